-- A coffee is made: six tasks, nine edges. Beans and milk are prepared at the
-- same time; the name of the shop comes from a function, which is called when
-- the coffee is served. Bodies that wait and bodies that do not look the same.
--
--   astrum-lua examples/coffee_shop.lua

local astrum = require "astrum"
local task, F, Ref, sleep = astrum.task, astrum.F, astrum.Ref, astrum.sleep

local function get_store_name()
  return "Astrum Coffee"
end

task("take_order", function()
  print("counter: welcome, what can we do for you?")
  sleep(0.01)
  return { order_id = "ORDER-2026", drink = "caramel macchiato", customer = "Alice" }
end)

task "grind_beans" {
  inputs = { drink_type = Ref("string", F.take_order.drink) },
  run = function(drink_type)
    print(("grinder: beans for a %s"):format(drink_type))
    sleep(0.01)
    return { beans_ready = true }
  end,
}

task "brew_coffee" {
  inputs = {
    beans = Ref("boolean", F.grind_beans.beans_ready),
    drink_type = Ref("string", F.take_order.drink),
  },
  run = function(beans, drink_type)
    assert(beans, "there are no beans")
    print(("machine: brewing for a %s"):format(drink_type))
    sleep(0.02)
    return { coffee_liquid = "espresso for a " .. drink_type }
  end,
}

task "prepare_milk" {
  inputs = { drink_type = Ref("string", F.take_order.drink) },
  run = function(drink_type)
    print(("steamer: milk for a %s"):format(drink_type))
    sleep(0.015)
    return { milk_foam = "silky foam" }
  end,
}

task "assemble_drink" {
  inputs = {
    coffee = Ref("string", F.brew_coffee.coffee_liquid),
    milk = Ref("string", F.prepare_milk.milk_foam),
    order_id = Ref("string", F.take_order.order_id),
  },
  run = function(coffee, milk, order_id)
    print(("barista: %s gets %s"):format(order_id, milk))
    return { final_drink = coffee .. " with " .. milk }
  end,
}

task "serve_customer" {
  inputs = {
    customer_name = Ref("string", F.take_order.customer),
    drink = Ref("string", F.assemble_drink.final_drink),
    store_name = get_store_name,
  },
  run = function(customer_name, drink, store_name)
    local message = ("%s: %s, here is your %s"):format(store_name, customer_name, drink)
    print(message)
    return { served = true, message = message }
  end,
}

print("=== the plan ===")
local scheduler = astrum.build_scheduler { config = { visualize = true } }

print("\n=== the work ===")
local report = scheduler:execute():assert()

print(("=== %s: %d tasks ==="):format(report.execution_state, report.successful_tasks))
assert(report:result("serve_customer").served)
