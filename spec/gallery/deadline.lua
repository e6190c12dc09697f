local astrum = require "astrum"
local task = astrum.task

task("slow", function()
  astrum.sleep(10)
end)
task "after" { depends_on = { "slow" }, run = function() end }

astrum.run({ config = { deadline = 0.005 } }):assert()
