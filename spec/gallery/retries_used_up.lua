local astrum = require "astrum"
local task = astrum.task

task "fetch" {
  retry = 3,
  run = function(ctx)
    if ctx.attempt == 1 then
      error("connection refused")
    end
    error("HTTP 503 at attempt " .. ctx.attempt)
  end,
}

astrum.run():assert()
