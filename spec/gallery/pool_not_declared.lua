local astrum = require "astrum"
local task = astrum.task

task "query" { pool = "bd", run = function() end }

astrum.run { config = { pools = { db = 2 } } }
