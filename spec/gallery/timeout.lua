local astrum = require "astrum"
local task = astrum.task

task "wait" {
  timeout = 0.005,
  run = function()
    astrum.sleep(10)
  end,
}
task "after" { depends_on = { "wait" }, run = function() end }

astrum.run():assert()
