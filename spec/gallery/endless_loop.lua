local astrum = require "astrum"
local task = astrum.task

task "spin" {
  timeout = 0.01,
  run = function()
    local n = 0 while true do n = n + 1 end
  end,
}

astrum.run():assert()
