local astrum = require "astrum"
local task, F, sleep = astrum.task, astrum.F, astrum.sleep

task("load_orders", function()
  sleep(0.12)
  return {
    { id = "A-1", cents = 1500, country = "DE" },
    { id = "A-2", cents = 900, country = "FR" },
  }
end)
task("load_stock", function()
  sleep(0.08)
  return { ["A-1"] = 4, ["A-2"] = 7 }
end)
task "fetch_rates" {
  retry = { max = 2, delay = 0.05 },
  run = function(ctx)
    sleep(0.1)
    return ctx.attempt > 1 and { DE = 19 } or error "503 from the rates service"
  end,
}
task "reserve" {
  inputs = { orders = F.load_orders, stock = F.load_stock },
  run = function(orders, stock)
    sleep(0.06)
    return stock[orders[1].id] > 0
  end,
}
task "price" {
  inputs = { orders = F.load_orders, rates = F.fetch_rates },
  run = function(orders, rates)
    local sum = 0
    for _, order in ipairs(orders) do
      local rate = rates[order.country] or error("no rate for " .. order.country)
      sum = sum + order.cents + order.cents * rate // 100
    end
    return sum
  end,
}
task "invoice" {
  inputs = { cents = F.price },
  depends_on = { "reserve" },
  run = function(cents)
    sleep(0.06)
    return ("%.2f EUR"):format(cents / 100)
  end,
}
