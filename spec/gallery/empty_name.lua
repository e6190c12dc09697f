local astrum = require "astrum"
local task = astrum.task

task("", function() end)
