local astrum = require "astrum"
local task, F = astrum.task, astrum.F

task("load_order", function()
  return { coupon = "SAVE20", items = { { sku = "mug", cents = 1200 } } }
end)

task "second" {
  inputs = { sku = F.load_order.items[2].sku },
  run = function(sku) end,
}

astrum.run():assert()
