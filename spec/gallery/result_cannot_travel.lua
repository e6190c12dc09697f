local astrum = require "astrum"
local task = astrum.task

task "open" {
  executor = "process",
  run = function()
    return { file = print }
  end,
}

astrum.run():assert()
