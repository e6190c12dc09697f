local astrum = require "astrum"
local task = astrum.task

task("fetch", function() end)

astrum.run { config = { concurrency_limit = 0 } }
