local astrum = require "astrum"
local task, F = astrum.task, astrum.F

task("load_order", function()
  return { coupon = "SAVE20", items = { { sku = "mug", cents = 1200 } } }
end)

task "pack" {
  map = { item = F.load_order.coupon },
  run = function(item) end,
}

astrum.run():assert()
