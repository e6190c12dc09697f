local astrum = require "astrum"
local task, F, Ref = astrum.task, astrum.F, astrum.Ref

task("load_order", function()
  return { coupon = "SAVE20", items = { { sku = "mug", cents = 1200 } } }
end)

local function positive(n)
  return n > 2000, "2001 or more is wanted"
end

task "price" {
  inputs = { cents = Ref(positive, F.load_order.items[1].cents) },
  run = function(cents) end,
}

astrum.run():assert()
