local astrum = require "astrum"
local task = astrum.task

task "count" { executor = "threads", run = function() end }
