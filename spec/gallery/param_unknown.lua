local astrum = require "astrum"
local task = astrum.task

task "greet" {
  inputs = { region = astrum.param("region", { default = "EU" }) },
  run = function(region) end,
}

astrum.run { params = { regoin = "US" } }
