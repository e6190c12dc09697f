local astrum = require "astrum"
local task = astrum.task

task "fetch" {
  max_retries = 3,
  run = function() end,
}
