local astrum = require "astrum"
local task = astrum.task

task "fetch" {
  retry = 3
  run = function() end,
}
