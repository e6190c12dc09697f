local astrum = require "astrum"
local task = astrum.task

task "watch" { detached = true, run = function() end }
task "report" { depends_on = { "watch" }, run = function() end }

astrum.run()
