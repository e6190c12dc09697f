local astrum = require "astrum"
local task = astrum.task

task "alarm" { trigger = "one_failed", run = function() end }

astrum.run()
