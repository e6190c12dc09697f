local astrum = require "astrum"
local task, F, Ref = astrum.task, astrum.F, astrum.Ref

task("load_order", function()
  return { coupon = "SAVE20", items = { { sku = "mug", cents = 1200 } } }
end)

task "price" {
  inputs = { items = Ref("lst", F.load_order.items) },
  run = function(items) end,
}
