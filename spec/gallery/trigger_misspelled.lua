local astrum = require "astrum"
local task = astrum.task

task("fetch", function() end)
task "clean_up" { depends_on = { "fetch" }, trigger = "all_finished", run = function() end }
