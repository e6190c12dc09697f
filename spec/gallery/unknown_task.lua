local astrum = require "astrum"
local task, F = astrum.task, astrum.F

task("load_order", function()
  return { coupon = "SAVE20", items = { { sku = "mug", cents = 1200 } } }
end)

task "price" {
  inputs = { items = F.load_ordr.items },
  run = function(items) end,
}

astrum.run()
