local astrum = require "astrum"
local task = astrum.task

task "backup" {
  inputs = { day = "Sunday" },
  when = function(day)
    return day.is_workday()
  end,
  run = function(day) end,
}

astrum.run():assert()
