local astrum = require "astrum"
local task = astrum.task

task "pack" { pool = "db", pools = { gpu = 1 }, run = function() end }
