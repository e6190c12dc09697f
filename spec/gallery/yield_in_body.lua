local astrum = require "astrum"
local task = astrum.task

task("step", function()
  coroutine.yield(1)
end)

astrum.run():assert()
