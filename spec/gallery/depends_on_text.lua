local astrum = require "astrum"
local task = astrum.task

task("fetch", function() end)
task "store" { depends_on = "fetch", run = function() end }
