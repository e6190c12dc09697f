local astrum = require "astrum"
local task = astrum.task

task("step", function()
  local co = coroutine.wrap(function()
    astrum.sleep(1)
  end)
  co()
end)

astrum.run():assert()
