-- Tasks in a namespace, declared in both styles, and views of them that the
-- program makes itself: a tree from the task orders, a table from the plan.
-- Building changes no declaration, so one namespace can be built twice.
--
--   astrum-lua examples/namespaces.lua

local astrum = require "astrum"
local task, sleep = astrum.task, astrum.sleep

-- The namespace as an option of each task ...

task "load_sales" {
  namespace = "analytics",
  description = "Nothing comes before it, so it starts at once.",
  run = function()
    sleep(0.01)
  end,
}

task "load_products" {
  namespace = "analytics",
  run = function()
    sleep(0.01)
  end,
}

-- ... or around all of them.

astrum.use_namespace("analytics", function()
  task("load_campaigns", function()
    sleep(0.005)
  end)

  local function pause()
    sleep(0.002)
  end

  task "clean_sales" { depends_on = { "load_sales" }, run = pause }
  task "join_catalog" { depends_on = { "clean_sales", "load_products" }, run = pause }
  task "attribute_campaigns" { depends_on = { "clean_sales", "load_campaigns" }, run = pause }
  task "build_dashboard" { depends_on = { "join_catalog", "attribute_campaigns" }, run = pause }
  task "send_digest" { depends_on = { "build_dashboard" }, run = pause }
end)

-- A tree from the orders -------------------------------------------------------

local function print_tree(orders)
  local children, stack = {}, {}
  for _, order in ipairs(orders) do
    children[order.task_name] = {}
    for _, dependency in ipairs(order.dependencies) do
      table.insert(children[dependency.task_name], order.task_name)
    end
  end
  for i = #orders, 1, -1 do
    if #orders[i].dependencies == 0 then
      stack[#stack + 1] = { name = orders[i].task_name, depth = 0 }
    end
  end
  local shown = {}
  while #stack > 0 do
    local node = table.remove(stack)
    local again = shown[node.name] and " (already shown)" or ""
    print(("  "):rep(node.depth) .. "- " .. node.name .. again)
    if not shown[node.name] then
      shown[node.name] = true
      local names = children[node.name]
      for i = #names, 1, -1 do
        stack[#stack + 1] = { name = names[i], depth = node.depth + 1 }
      end
    end
  end
end

-- A table from the plan --------------------------------------------------------

local function list(names)
  return #names > 0 and table.concat(names, ", ") or "-"
end

local function print_stages(plan)
  for _, stage in ipairs(plan.stages) do
    print(("stage %d: %s"):format(stage.stage_id, list(stage.start_tasks)))
    print(("  after:  %s"):format(list(stage.wait_for_tasks)))
    print(("  beside: %s"):format(list(stage.parallel_tasks)))
  end
end

local TARGETS <const> = { "send_digest" }

-- The namespace as an option of the build, or around it.
local orders = astrum.build_task_orders { namespace = "analytics", target_tasks = TARGETS }
local scheduler = astrum.use_namespace("analytics", function()
  return astrum.build_scheduler { target_tasks = TARGETS }
end)

print_tree(orders)
print()
print_stages(scheduler:get_execute_timeline())
print()

local report = scheduler:execute():assert()
print(
  ("state=%s, completed=%d/%d"):format(
    report.execution_state,
    report.successful_tasks,
    report.total_tasks
  )
)
for _, order in ipairs(orders) do
  print(order.task_name .. ": " .. list(report.original_tasks[order.task_name]))
end

-- A second build of the same namespace.
assert(astrum.run({ namespace = "analytics", target_tasks = TARGETS }):ok())
