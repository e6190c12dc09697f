local astrum = require "astrum"
local task = astrum.task

task "fetch" {
  retry = 10,
  run = function()
    error("HTTP 503")
  end,
}
task "store" { depends_on = { "fetch" }, run = function() end }

astrum.run({ config = { max_total_attempts = 3 } }):assert()
