local astrum = require "astrum"

local shipping = astrum.SchedulerRegistry "shipping"
local import = astrum.namespace "nightly_import"
local task, F, sleep = import.task, astrum.F, astrum.sleep

shipping.task("label", function()
  sleep(0.04)
end)
shipping.task("book", {
  depends_on = { "label" },
  run = function()
    sleep(0.09)
  end,
})

task("load_order", function()
  sleep(0.11)
  return { items = { 1, 2, 3, 4, 5 }, coupon = "SAVE20" }
end)
task("load_inventory", function()
  sleep(0.16)
  return { stock = { 1, 2, 3 } }
end)
task("load_prices", {
  retry = { max = 3, delay = 0.03 },
  run = function(ctx)
    sleep(0.05)
    return ctx.attempt > 2 and { cents = 100 } or error "503 from the price service"
  end,
})
task("token", {
  sensitive = true,
  run = function()
    return "4111 1111 1111 1111"
  end,
})
task("validate_cart", {
  inputs = { items = F.load_order.items, stock = F.load_inventory.stock },
  run = function(items, stock)
    sleep(0.04)
    return { ok = #items > #stock }
  end,
})
task("price_items", {
  map = { item = F.load_order.items },
  inputs = { cents = F.load_prices.cents },
  run = function(item, cents)
    sleep(0.02 * item)
    return item * cents
  end,
})
task("apply_discount", {
  inputs = { prices = F.price_items, coupon = F.load_order.coupon },
  run = function(prices, coupon)
    sleep(0.05)
    return { net = #prices * (coupon == "SAVE20" and 80 or 100) }
  end,
})
task("charge_card", {
  inputs = { net = F.apply_discount.net, token = F.token },
  retry = 1,
  timeout = 0.1,
  run = function(net, token, ctx)
    if ctx.attempt == 1 then
      sleep(1)
    end
    sleep(0.03)
    error(("card %s declined for %d cents"):format(token, net))
  end,
})
task("ship", { workflow = shipping, depends_on = { "validate_cart" } })
task("receipt", { depends_on = { "charge_card" }, run = function() end })
task("cleanup", {
  depends_on = { "receipt", "ship" },
  trigger = "all_done",
  run = function()
    sleep(0.03)
  end,
})

import:run { config = { failure_mode = "keep_going", concurrency_limit = 4 } }
