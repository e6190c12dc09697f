local astrum = require "astrum"
local task = astrum.task

local log = io.open("/dev/null", "w")

task "count" {
  executor = "process",
  run = function()
    log:write("x")
  end,
}

astrum.run()
