local astrum = require "astrum"
local task, F = astrum.task, astrum.F

task("load_order", function()
  return { coupon = "SAVE20", items = { { sku = "mug", cents = 1200 } } }
end)

task "price" {
  retry = 2,
  inputs = { coupon = F.load_order.cupon },
  run = function(coupon) end,
}

astrum.run():assert()
