local astrum = require "astrum"

local load = astrum.task "load" {
  run = function()
    return 7
  end,
}

astrum.task "use" {
  executor = "thread",
  run = function()
    return load + 1
  end,
}

astrum.run():assert()
