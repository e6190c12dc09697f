local astrum = require "astrum"
local task = astrum.task

task("fetch", function() end)
task "store" { depends_on = { "fetsh" }, run = function() end }

astrum.run()
