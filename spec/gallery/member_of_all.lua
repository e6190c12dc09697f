local astrum = require "astrum"
local task = astrum.task

task("gather", function()
  return astrum.all {
    function()
      astrum.sleep(0)
      return 1
    end,
    function()
      error("no answer from the second one")
    end,
  }
end)

astrum.run():assert()
