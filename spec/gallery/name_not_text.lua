local astrum = require "astrum"
local task = astrum.task

task(42, function() end)
