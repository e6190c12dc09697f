local astrum = require "astrum"

astrum:task "load" {
  run = function()
    return 1
  end,
}
