local astrum = require "astrum"
local task = astrum.task

task "backup" {
  inputs = { day = "Sunday" },
  when = function(dya)
    return dya ~= "Sunday"
  end,
  run = function(day) end,
}

astrum.run()
