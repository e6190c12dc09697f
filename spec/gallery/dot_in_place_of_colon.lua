local astrum = require "astrum"

local registry = astrum.SchedulerRegistry "shop"
registry:task("fetch", function() end)
local report = registry.run()
report.assert()
