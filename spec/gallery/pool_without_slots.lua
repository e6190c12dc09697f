local astrum = require "astrum"
local task = astrum.task

task "train" { pool = "gpu", run = function() end }

astrum.run { config = { pools = { gpu = 0 } } }
