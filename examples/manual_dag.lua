-- A graph built by hand. TaskOrder says what waits for what, a list of pairs
-- says what each task does, and DynamicScheduler joins the two. No data flows
-- along the edges: here the bodies share a table.
--
--   astrum-lua examples/manual_dag.lua

local astrum = require "astrum"
local TaskOrder, sleep = astrum.TaskOrder, astrum.sleep

-- What waits for what ---------------------------------------------------------

local orders = TaskOrder("extract_orders")
local customers = TaskOrder("extract_customers")
local rates = TaskOrder("extract_exchange_rates")
local valid_orders = TaskOrder("validate_orders", { orders })
local segments = TaskOrder("enrich_customers", { customers })
local revenue = TaskOrder("build_revenue_report", { valid_orders, segments, rates })
local risk = TaskOrder("build_risk_report", { valid_orders, segments })
local publish = TaskOrder("publish_report", { revenue, risk })

local task_order = {
  orders,
  customers,
  rates,
  valid_orders,
  segments,
  revenue,
  risk,
  publish,
}

-- What each task does ---------------------------------------------------------

local data = {}

local function extract_orders()
  sleep(0.01)
  data.orders = {
    { customer = "ada", amount = 120, currency = "EUR" },
    { customer = "bob", amount = 50, currency = "USD" },
    { customer = "eve", amount = -10, currency = "EUR" },
  }
end

local function extract_customers()
  sleep(0.01)
  data.customers = { ada = { years = 6 }, bob = { years = 1 }, eve = { years = 3 } }
end

local function extract_exchange_rates()
  sleep(0.005)
  data.cents_per_unit = { EUR = 100, USD = 90 }
end

local function validate_orders()
  data.valid_orders = {}
  for _, order in ipairs(data.orders) do
    if order.amount > 0 then
      table.insert(data.valid_orders, order)
    end
  end
end

local function enrich_customers()
  for _, customer in pairs(data.customers) do
    customer.segment = customer.years >= 2 and "loyal" or "new"
  end
end

local function build_revenue_report()
  data.revenue_cents = { loyal = 0, new = 0 }
  for _, order in ipairs(data.valid_orders) do
    local segment = data.customers[order.customer].segment
    local cents = order.amount * data.cents_per_unit[order.currency]
    data.revenue_cents[segment] = data.revenue_cents[segment] + cents
  end
end

local function build_risk_report()
  data.rejected_orders = #data.orders - #data.valid_orders
end

local function publish_report()
  data.published = ("loyal %d, new %d cents; %d order rejected"):format(
    data.revenue_cents.loyal,
    data.revenue_cents.new,
    data.rejected_orders
  )
end

local scheduler = astrum.DynamicScheduler {
  tasks = {
    { "extract_orders", extract_orders },
    { "extract_customers", extract_customers },
    { "extract_exchange_rates", extract_exchange_rates },
    { "validate_orders", validate_orders },
    { "enrich_customers", enrich_customers },
    { "build_revenue_report", build_revenue_report },
    { "build_risk_report", build_risk_report },
    { "publish_report", publish_report },
  },
  task_order = task_order,
}

-- Stages are a way to look at the graph. The run does not follow them: each
-- task starts when what it waits for is complete.
local plan = astrum.ExecutionPlanner(task_order):get_execute_timeline()
print(plan:get_visualization_table())

local report = scheduler:execute():assert()

print()
print("state: " .. report.execution_state)
print(("tasks: %d/%d completed"):format(report.successful_tasks, report.total_tasks))
print("dependency map:")
for _, order in ipairs(task_order) do
  local name = order.task_name
  print(("- %s: [%s]"):format(name, table.concat(report.original_tasks[name], ", ")))
end
print()
print("published: " .. data.published)

assert(report.total_stages == 4)
assert(report.successful_tasks == 8)
assert(data.published == "loyal 12000, new 4500 cents; 1 order rejected")
