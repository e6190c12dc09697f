local astrum = require "astrum"
local task, F = astrum.task, astrum.F

task "bake" { depends_on = { "mix" }, run = function() end }
task "mix" { inputs = { flour = F.buy.flour }, run = function(flour) end }
task "buy" { depends_on = { "bake" }, run = function() end }

astrum.run()
