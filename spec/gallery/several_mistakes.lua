local astrum = require "astrum"
local task, F = astrum.task, astrum.F

task "fetch" { pool = "api", run = function() end }
task "parse" { inputs = { page = F.fetsh }, run = function(page) end }
task "store" { depends_on = { "pase" }, run = function() end }

astrum.run()
