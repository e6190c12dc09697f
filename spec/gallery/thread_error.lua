local astrum = require "astrum"
local task = astrum.task

task "parse" {
  executor = "thread",
  inputs = { text = "no comma" },
  run = function(text)
    error("line 7: " .. text)
  end,
}

astrum.run():assert()
