local astrum = require "astrum"
local task = astrum.task

task "fetch" {
  retry = 2,
  run = function()
    error("HTTP 404")
  end,
}

astrum.run():assert()
