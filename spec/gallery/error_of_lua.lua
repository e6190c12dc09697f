local astrum = require "astrum"
local task, F = astrum.task, astrum.F

task("load_order", function()
  return { coupon = "SAVE20", items = { { sku = "mug", cents = 1200 } } }
end)

task "ship" {
  inputs = { order = F.load_order },
  run = function(order)
    return order.address.street
  end,
}

astrum.run():assert()
