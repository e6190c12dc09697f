local astrum = require "astrum"

limit = 3

astrum.task("count", {
  executor = "thread",
  run = function()
    return limit + 1
  end,
})

astrum.run():assert()
