local astrum = require "astrum"
local task, F = astrum.task, astrum.F

task("load_order", function() end)
task "price" {
  inputs = { sku = F.load_order.items[1].sku },
  run = function(sku) end,
}

astrum.run():assert()
