local astrum = require "astrum"
local task = astrum.task

task "fetch" { retry = { max = 3, backoff = 0.5 }, run = function() end }
