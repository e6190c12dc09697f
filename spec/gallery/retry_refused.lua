local astrum = require "astrum"
local task = astrum.task

task "fetch" {
  retry = {
    max = 5,
    delay = 0,
    on = function(e)
      return not tostring(e):find("404")
    end,
  },
  run = function(ctx)
    error(ctx.attempt == 1 and "HTTP 503" or "HTTP 404")
  end,
}

astrum.run():assert()
