-- One graph, declared twice: with inputs written out, and with inputs that a
-- program makes from a table of relations. F is an ordinary function, so both
-- are the same to the engine.
--
--   astrum-lua examples/generated_inputs.lua

local astrum = require "astrum"
local F = astrum.F

-- What each step does, for both.
local steps <const> = {
  take_order = function()
    return { order_id = "ORDER-1001", drink = "latte", customer = "Alice" }
  end,
  grind_beans = function(drink_type)
    return { beans_ready = "ground beans for " .. drink_type }
  end,
  brew_coffee = function(beans, drink_type)
    return { coffee_liquid = drink_type .. " brewed with " .. beans }
  end,
  prepare_milk = function(drink_type)
    return { milk_foam = "steamed milk for " .. drink_type }
  end,
  assemble_drink = function(coffee, milk, order_id)
    return { final_drink = order_id .. ": " .. coffee .. " + " .. milk }
  end,
  serve_customer = function(customer_name, drink)
    return { message = customer_name .. " receives " .. drink }
  end,
}

-- Written out ------------------------------------------------------------------

do
  local task = astrum.namespace("written").task
  task("take_order", steps.take_order)
  task "grind_beans" { inputs = { drink_type = F.take_order.drink }, run = steps.grind_beans }
  task "brew_coffee" {
    inputs = { beans = F.grind_beans.beans_ready, drink_type = F.take_order.drink },
    run = steps.brew_coffee,
  }
  task "prepare_milk" { inputs = { drink_type = F.take_order.drink }, run = steps.prepare_milk }
  task "assemble_drink" {
    inputs = {
      coffee = F.brew_coffee.coffee_liquid,
      milk = F.prepare_milk.milk_foam,
      order_id = F.take_order.order_id,
    },
    run = steps.assemble_drink,
  }
  task "serve_customer" {
    inputs = { customer_name = F.take_order.customer, drink = F.assemble_drink.final_drink },
    run = steps.serve_customer,
  }
end

-- Made by a program --------------------------------------------------------------

-- task, parameter, source, key: it could as well be read from a file.
local relations <const> = {
  { "grind_beans", "drink_type", "take_order", "drink" },
  { "brew_coffee", "beans", "grind_beans", "beans_ready" },
  { "brew_coffee", "drink_type", "take_order", "drink" },
  { "prepare_milk", "drink_type", "take_order", "drink" },
  { "assemble_drink", "coffee", "brew_coffee", "coffee_liquid" },
  { "assemble_drink", "milk", "prepare_milk", "milk_foam" },
  { "assemble_drink", "order_id", "take_order", "order_id" },
  { "serve_customer", "customer_name", "take_order", "customer" },
  { "serve_customer", "drink", "assemble_drink", "final_drink" },
}

local specs = {}
for name, run in pairs(steps) do
  specs[name] = { inputs = {}, run = run }
end
for _, relation in ipairs(relations) do
  local name, parameter, source, key = table.unpack(relation)
  specs[name].inputs[parameter] = F(source, key)
end
-- Takes a table of tasks; their order is that of the bodies above.
local workflow = astrum.workflow("generated", specs)

-- Both run -----------------------------------------------------------------------

local written = astrum.run({ namespace = "written" }):assert():result("serve_customer")
local generated = workflow:run():assert():result("serve_customer")
print("written:   " .. written.message)
print("generated: " .. generated.message)
print("same result: " .. tostring(written.message == generated.message))
