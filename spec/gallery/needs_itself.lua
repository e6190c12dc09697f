local astrum = require "astrum"
local task, F = astrum.task, astrum.F

task "count" { inputs = { before = F.count }, run = function(before) end }

astrum.run()
