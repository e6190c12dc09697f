local astrum = require "astrum"
local task = astrum.task

local shop = {}
function shop:open(key) end

task "open" {
  inputs = { key = "front" },
  run = shop.open,
}

astrum.run()
