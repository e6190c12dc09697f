local astrum = require "astrum"
local task, F = astrum.task, astrum.F

task("load_order", function()
  return { coupon = "SAVE20", items = { { sku = "mug", cents = 1200 } } }
end)

task "price" {
  inputs = { itmes = F.load_order.items },
  run = function(items) end,
}
