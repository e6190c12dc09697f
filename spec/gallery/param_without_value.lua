local astrum = require "astrum"
local task = astrum.task

task "greet" {
  inputs = { region = astrum.param("region", { type = "string" }) },
  run = function(region) end,
}

astrum.run()
