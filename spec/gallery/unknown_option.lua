local astrum = require "astrum"
local task = astrum.task

task "fetch" {
  retrys = 3,
  run = function() end,
}
