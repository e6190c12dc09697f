local astrum = require "astrum"
local task, F = astrum.task, astrum.F

task("load_order", function()
  return { coupon = "SAVE20", items = { { sku = "mug", cents = 1200 } } }
end)

local function discount(coupon)
  error("unknown coupon " .. coupon)
end

task "price" {
  inputs = { coupon = F.load_order.coupon, currency = "EUR", today = os.date },
  run = function(coupon, currency, today)
    return { cents = discount(coupon) }
  end,
}
task "invoice" { inputs = { cents = F.price.cents }, run = function(cents) end }
task "mail" { depends_on = { "invoice" }, run = function() end }

astrum.run():assert()
