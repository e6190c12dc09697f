local astrum = require "astrum"
local task = astrum.task

task "fetch" { retry = { times = 3 }, run = function() end }
