local astrum = require "astrum"
local task = astrum.task

task("fetch", function() end)

astrum.run { config = { failure_mode = "continue" } }
