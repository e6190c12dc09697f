local astrum = require "astrum"
local task = astrum.task

task("slow", function()
  astrum.sleep(10)
end)
task "after" { depends_on = { "slow" }, run = function() end }

local handle = astrum.build_scheduler():start()
astrum.sleep(0.001)
handle:cancel("the shop is closed")
handle:wait():assert()
