local astrum = require "astrum"
local task = astrum.task

task "fetch" { timeout = "30s", run = function() end }
