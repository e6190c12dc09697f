local astrum = require "astrum"
local task = astrum.task

task "train" { pools = { gpu = 4 }, run = function() end }

astrum.run { config = { pools = { gpu = 2 } } }
