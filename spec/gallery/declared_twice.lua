local astrum = require "astrum"
local task = astrum.task

task("fetch", function() end)
task("store", function() end)
task("fetch", function() end)
