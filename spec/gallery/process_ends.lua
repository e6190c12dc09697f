local astrum = require "astrum"
local task = astrum.task

task "crash" {
  executor = "process",
  run = function()
    os.exit(3)
  end,
}

astrum.run():assert()
