local astrum = require "astrum"
local task = astrum.task

task("fetch", function() end)
local report = astrum.run()
print(report.task_return_set.fetch.page)
