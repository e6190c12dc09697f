local astrum = require "astrum"
local task, F = astrum.task, astrum.F

task "fetch"

task "store" {
  inputs = { page = F.fetch },
  run = function(page) end,
}

astrum.run()
