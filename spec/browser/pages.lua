-- Writes the pages that report_test.js opens: astrum-lua spec/browser/pages.lua FOLDER
local astrum = require "astrum"
local hostile = require "spec.support.hostile"

local folder = arg[1]
local F <const>, sleep <const> = astrum.F, astrum.sleep

local function write(name, text)
  local file <close> = assert(io.open(folder .. "/" .. name, "wb"))
  assert(file:write(text))
end

local function shop(targets)
  local registry = astrum.SchedulerRegistry "nightly_import"
  local task = registry.task
  local shipping = astrum.SchedulerRegistry "shipping"
  shipping.task("label", function()
    sleep(0.002)
  end)
  shipping.task("book", {
    depends_on = { "label" },
    run = function()
      sleep(0.004)
    end,
  })
  task("load_order", function()
    sleep(0.004)
    return { items = { 1, 2, 3, 4, 5 }, coupon = "SAVE20" }
  end)
  task("load_inventory", function()
    sleep(0.007)
    return { stock = { 1, 2, 3 } }
  end)
  task("load_prices", {
    retry = { max = 3, delay = 0.003 },
    run = function(ctx)
      sleep(0.002)
      if ctx.attempt < 3 then
        error("HTTP 503 from the price service")
      end
      return { cents = 100 }
    end,
  })
  task("token", {
    sensitive = true,
    run = function()
      return "very-secret-token"
    end,
  })
  task("validate_cart", {
    inputs = { items = F.load_order.items, stock = F.load_inventory.stock },
    run = function(items, stock)
      sleep(0.002)
      return { ok = #items > #stock }
    end,
  })
  task("price_items", {
    map = { item = F.load_order.items },
    inputs = { cents = F.load_prices.cents },
    run = function(item, cents)
      sleep(0.001 * item)
      return item * cents
    end,
  })
  task("apply_discount", {
    inputs = { prices = F.price_items, coupon = F.load_order.coupon, rate = 0.2, now = os.time },
    run = function(prices, coupon, rate, now) -- luacheck: ignore 212
      sleep(0.002)
      return { net = #prices }
    end,
  })
  task("charge_card", {
    inputs = { net = F.apply_discount.net, token = F.token },
    retry = 1,
    timeout = 0.004,
    run = function(net, token, ctx)
      if ctx.attempt == 1 then
        sleep(1)
      end
      error(("card declined for %s\nat %s"):format(token, net))
    end,
  })
  task("ship", { workflow = shipping, depends_on = { "validate_cart" } })
  task("receipt", { depends_on = { "charge_card" }, run = function() end })
  task("cleanup", {
    depends_on = { "receipt", "ship" },
    trigger = "all_done",
    run = function()
      sleep(0.001)
    end,
  })
  task("audit", {
    detached = true,
    inputs = { ok = F.validate_cart.ok },
    run = function(ok)
      sleep(ok and 0.02 or 0)
    end,
  })
  return registry:build_scheduler {
    target_tasks = targets,
    config = { failure_mode = "keep_going", concurrency_limit = 4 },
  }
end

-- A chain of tasks whose names are the fields that travel, and for each a task that fails with it.
local function hostile_names()
  local names <const> = hostile.NAMES
  local registry = astrum.SchedulerRegistry(names[1])
  for position, name in ipairs(names) do
    registry.task(name, {
      inputs = position > 1 and { F(names[position - 1], name) } or {},
      run = function(...) -- luacheck: ignore 212
        return { [names[position + 1] or "end"] = name }
      end,
    })
    registry.task("error " .. position, {
      inputs = { F[name] },
      run = function(value) -- luacheck: ignore 212
        error(name, 0)
      end,
    })
  end
  return registry:build_scheduler { config = { failure_mode = "keep_going" } }
end

local function many(count)
  local registry = astrum.SchedulerRegistry "many"
  local per_stage <const> = 50
  for number = 1, count do
    local taken, stage = {}, (number - 1) // per_stage
    for way = 1, stage > 0 and 1 + number % 3 or 0 do
      local from = (stage - 1) * per_stage + (number * (way + 6)) % per_stage + 1
      taken["input" .. way] = F["task_" .. from]
    end
    registry.task("task_" .. number, {
      inputs = taken,
      retry = number % 500 == 0 and 1 or 0,
      run = function(inputs, ctx) -- luacheck: ignore 212
        if number % 500 == 0 and ctx.attempt == 1 then
          error("not yet")
        elseif number == count then
          error("the last one fails")
        end
        return number
      end,
    })
  end
  return registry:build_scheduler { config = { concurrency_limit = 16 } }
end

write("shop.html", shop():execute():html())
write("hostile.html", hostile_names():execute():html())
local report = many(5000):execute()
local began = os.clock()
write("many.html", report:html())
print(("a page of 5,000 tasks took %.2f s to write"):format(os.clock() - began))
write("empty.html", shop({}):execute():html())
