local astrum = require "astrum"
local task = astrum.task

task("sort", function()
  table.sort({ 3, 1, 2 }, function(a, b)
    astrum.sleep(0.001)
    return a < b
  end)
end)

astrum.run():assert()
