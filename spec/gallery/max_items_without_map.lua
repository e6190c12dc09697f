local astrum = require "astrum"
local task = astrum.task

task "pack" { max_items = 3, run = function() end }
