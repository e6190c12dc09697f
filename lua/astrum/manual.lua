-- Graphs made by hand, and the plan as people see it: TaskOrder, ExecutionPlanner,
-- DynamicScheduler.
local build = require "astrum.build"
local configs = require "astrum.config"
local core = require "astrum.core"
local edges = require "astrum.edge"
local errors = require "astrum.error"
local options = require "astrum.options"
local tasks = require "astrum.task"

core.own()

local M = {}

local quote <const> = errors.quote

-- --- TaskOrder

---@class astrum.TaskOrder
---@field task_name string
---@field dependencies astrum.TaskOrder[]
local TaskOrder = { __name = "astrum.TaskOrder" }
TaskOrder.__index = TaskOrder

local function is_order(value)
  return getmetatable(value) == TaskOrder
end

---A task and the ones it waits for. Raises a TaskDependencyError for a wrong argument.
---@param name string
---@param dependencies table? of TaskOrders or names
---@return astrum.TaskOrder
function M.TaskOrder(name, dependencies)
  local list = {}
  if type(name) ~= "string" then
    errors.raise("TaskDependencyError", "TaskOrder: the name is a string, got " .. type(name))
  elseif
    dependencies ~= nil and (type(dependencies) ~= "table" or not options.is_list(dependencies))
  then
    errors.raise(
      "TaskDependencyError",
      "TaskOrder " .. quote(name) .. ": the dependencies are a list without holes",
      'as in TaskOrder("join", { first, second })'
    )
  end
  for i, dependency in ipairs(dependencies or {}) do
    if type(dependency) == "string" then
      dependency = setmetatable({ task_name = dependency, dependencies = {} }, TaskOrder)
    elseif not is_order(dependency) then
      errors.raise(
        "TaskDependencyError",
        "TaskOrder " .. quote(name) .. ": dependency " .. i .. " is no TaskOrder and no name"
      )
    end
    list[i] = dependency
  end
  return setmetatable({ task_name = name, dependencies = list }, TaskOrder)
end

---The tasks of a workflow as orders that refer to each other.
---@param workflow astrum.Workflow
---@return astrum.TaskOrder[]
function M.task_orders(workflow)
  local orders = {}
  for id, task in ipairs(workflow.tasks) do
    orders[id] = setmetatable({ task_name = task.name, dependencies = {} }, TaskOrder)
  end
  for id, task in ipairs(workflow.tasks) do
    for i, name in ipairs(task.depends) do
      orders[id].dependencies[i] = orders[workflow.index[name]]
    end
  end
  return orders
end

-- --- ExecutionPlan

---@class astrum.ExecutionStage
---@field stage_id integer from 0
---@field start_tasks string[]
---@field wait_for_tasks string[]
---@field parallel_tasks string[]

---@class astrum.ExecutionPlan
---@field stages astrum.ExecutionStage[]
---@field total_tasks integer
---@field max_parallelism integer
---@field original_tasks astrum.TaskOrder[]
local ExecutionPlan = { __name = "astrum.ExecutionPlan" }

local function stages_of(graph, plan)
  local function names(level, list)
    local ids = plan:stage(level, list)
    for i, id in ipairs(ids) do
      ids[i] = graph:name(id)
    end
    return ids
  end
  local stages = {}
  for level = 0, plan:stage_count() - 1 do
    stages[level + 1] = {
      stage_id = level,
      start_tasks = names(level, "start"),
      wait_for_tasks = names(level, "wait_for"),
      parallel_tasks = names(level, "parallel"),
    }
  end
  return stages
end

-- Fields that a large plan makes only when they are read.
local made_late = {
  stages = function(self)
    return stages_of(self.graph, self.plan)
  end,
  original_tasks = function(self)
    return M.task_orders(self.workflow)
  end,
}

function ExecutionPlan.__index(self, key)
  local make = made_late[key]
  if make then
    local value = make(self)
    rawset(self, key, value)
    return value
  end
  return ExecutionPlan[key]
end

---The stages as text, a line each.
---@return string
function ExecutionPlan:get_visualization_table()
  if #self.stages == 0 then
    return "No execution stages."
  end
  local lines = { "Execution plan (" .. #self.stages .. " stages):" }
  for _, stage in ipairs(self.stages) do
    lines[#lines + 1] = ("- stage %d: start=%s, wait=%s, parallel=%s"):format(
      stage.stage_id,
      errors.list(stage.start_tasks),
      errors.list(stage.wait_for_tasks),
      errors.list(stage.parallel_tasks)
    )
  end
  return table.concat(lines, "\n")
end

---The dependencies as text, a line for each task.
---@return string
function ExecutionPlan:get_dependency_graph_info()
  if #self.original_tasks == 0 then
    return "No task dependency information."
  end
  local lines = { "Task dependency graph:" }
  for _, order in ipairs(self.original_tasks) do
    local names = {}
    for i, dependency in ipairs(order.dependencies) do
      names[i] = errors.escape(dependency.task_name)
    end
    local list = #names > 0 and table.concat(names, ", ") or "none"
    lines[#lines + 1] = "- " .. errors.escape(order.task_name) .. ": depends on [" .. list .. "]"
  end
  return table.concat(lines, "\n")
end

---Dependencies and stages.
---@return string
function ExecutionPlan:get_full_visualization()
  return self:get_dependency_graph_info() .. "\n\n" .. self:get_visualization_table()
end

options.want_colon(ExecutionPlan, "plan", function(value)
  return getmetatable(value) == ExecutionPlan
end)

local function new_plan(fields)
  fields.total_tasks = fields.graph:count()
  fields.max_parallelism = fields.plan:max_parallelism()
  return setmetatable(fields, ExecutionPlan)
end

---The plan of a workflow.
---@param workflow astrum.Workflow
---@return astrum.ExecutionPlan
function M.execution_plan(workflow)
  return new_plan { workflow = workflow, graph = workflow.graph, plan = workflow.plan }
end

-- --- ExecutionPlanner

---@class astrum.ExecutionPlanner
---@field task_order astrum.TaskOrder[]
local ExecutionPlanner = { __name = "astrum.ExecutionPlanner" }
ExecutionPlanner.__index = ExecutionPlanner

local function check_orders(orders, what)
  if type(orders) ~= "table" or not options.is_list(orders) then
    errors.raise("TaskDependencyError", what .. " is a list of TaskOrders without holes")
  end
  for i, order in ipairs(orders) do
    if not is_order(order) then
      errors.raise("TaskDependencyError", what .. "[" .. i .. "] is no TaskOrder")
    end
  end
end

---Plans a list of TaskOrders. Raises a TaskDependencyError when it is no such list; its methods
---check what the orders say.
---@param orders astrum.TaskOrder[] without holes
---@return astrum.ExecutionPlanner
function M.ExecutionPlanner(orders)
  check_orders(orders, "ExecutionPlanner: task_order")
  return setmetatable({ task_order = orders }, ExecutionPlanner)
end

-- The names that come more than once, sorted.
local function duplicates(names)
  local counts, twice = {}, {}
  for _, name in ipairs(names) do
    counts[name] = (counts[name] or 0) + 1
    if counts[name] == 2 then
      twice[#twice + 1] = name
    end
  end
  table.sort(twice)
  return twice
end

local function check_names(orders)
  local names, known, missing = {}, {}, {}
  for i, order in ipairs(orders) do
    names[i] = order.task_name
    known[order.task_name] = true
  end
  local twice = duplicates(names)
  if #twice > 0 then
    errors.raise(
      "TaskDependencyError",
      "Duplicate task names in task_order: " .. errors.list(twice)
    )
  end
  for _, order in ipairs(orders) do
    for _, dependency in ipairs(order.dependencies) do
      if not known[dependency.task_name] then
        missing[#missing + 1] = order.task_name .. " -> " .. dependency.task_name
      end
    end
  end
  if #missing > 0 then
    errors.raise(
      "TaskDependencyError",
      "Task dependencies are not present in task_order: " .. errors.list(missing)
    )
  end
end

-- The frozen graph of orders; what is not among them is left out.
local function graph_of(orders)
  local graph, index = core.graph(), {}
  for i, order in ipairs(orders) do
    index[order.task_name] = index[order.task_name] or i
    local added, why = graph:add(order.task_name)
    if not added and index[order.task_name] == i then
      errors.raise("TaskDependencyError", "task " .. quote(order.task_name) .. ": " .. why)
    end
  end
  for i, order in ipairs(orders) do
    for _, dependency in ipairs(order.dependencies) do
      if index[dependency.task_name] then
        graph:edge(index[dependency.task_name], i)
      end
    end
  end
  local frozen, why, code, cycle = graph:freeze()
  if not frozen then
    if code ~= "ECYCLE" then
      errors.raise("SchedulerError", "the graph cannot be made: " .. tostring(why))
    end
    local names = {}
    for i, id in ipairs(cycle) do
      names[i] = graph:name(id)
    end
    local text = "Cycle detected: " .. edges.cycle_text(names)
    errors.raise("TaskOrderLoopError", text, nil, { errors = { text } })
  end
  return graph
end

---Checks unique names, then known dependencies, then that there is no cycle. Raises what it finds
---first: a TaskDependencyError, or a TaskOrderLoopError with the cycle in `errors`.
function ExecutionPlanner:validate()
  check_names(self.task_order)
  graph_of(self.task_order)
end

---Raises a TaskOrderLoopError with the cycle in `errors` when the orders form one.
function ExecutionPlanner:detect_cycle()
  graph_of(self.task_order)
end

---Checks the orders and returns their plan. Raises what `validate` raises.
---@return astrum.ExecutionPlan
function ExecutionPlanner:get_execute_timeline()
  check_names(self.task_order)
  local graph = graph_of(self.task_order)
  return new_plan {
    graph = graph,
    plan = graph:plan(),
    original_tasks = table.move(self.task_order, 1, #self.task_order, 1, {}),
  }
end

options.want_colon(ExecutionPlanner, "planner", function(value)
  return getmetatable(value) == ExecutionPlanner
end)

-- --- DynamicScheduler

local known = options.known {
  "tasks",
  "task_order",
  "task_retries",
  "ignore_tail_task",
  "concurrency_limit",
  "config",
}

local function check_list(given, key)
  local list = given[key]
  if list ~= nil and (type(list) ~= "table" or not options.is_list(list)) then
    errors.raise("ConfigError", "DynamicScheduler: " .. key .. " is a list without holes")
  end
end

local function check_tables(given)
  if type(given) ~= "table" then
    errors.raise(
      "ConfigError",
      "DynamicScheduler: the options are a table, got " .. type(given),
      'as in DynamicScheduler { tasks = { { "load", load } } }'
    )
  end
  options.check(given, known, "DynamicScheduler", "ConfigError")
  check_list(given, "tasks")
  check_list(given, "ignore_tail_task")
  if given.task_order ~= nil then
    check_orders(given.task_order, "DynamicScheduler: task_order")
    check_names(given.task_order)
    graph_of(given.task_order)
  end
  local retries = given.task_retries
  if retries ~= nil and type(retries) ~= "table" then
    errors.raise("ConfigError", "DynamicScheduler: task_retries is a table of numbers by name")
  end
end

-- What is wrong with the pairs of names and bodies; one line for each.
local function pair_problems(given)
  local names, problems, known_names = {}, {}, {}
  for i, pair in ipairs(given.tasks or {}) do
    if type(pair) ~= "table" then
      problems[#problems + 1] = "Task #" .. i .. " is not a pair { name, function }: " .. type(pair)
    elseif type(pair[1]) ~= "string" then
      problems[#problems + 1] = "Task #" .. i .. " name is not a string: " .. type(pair[1])
    else
      names[#names + 1] = pair[1]
      known_names[pair[1]] = true
      if type(pair[2]) ~= "function" and type(pair[2]) ~= "table" then
        problems[#problems + 1] = "Task " .. quote(pair[1]) .. " is not callable: " .. type(pair[2])
      end
    end
  end
  local twice = duplicates(names)
  if #twice > 0 then
    table.insert(problems, 1, "Duplicate task names in tasks: " .. errors.list(twice))
  end
  for _, order in ipairs(given.task_order or {}) do
    if not known_names[order.task_name] then
      problems[#problems + 1] = "Task " .. quote(order.task_name) .. " not found in task list."
    end
  end
  local unknown = {}
  for name in pairs(given.task_retries or {}) do
    if not known_names[name] then
      unknown[#unknown + 1] = "task_retries names unknown task " .. options.key_text(name)
    end
  end
  table.sort(unknown)
  return table.move(unknown, 1, #unknown, #problems + 1, problems)
end

local function check_pairs(given)
  local problems = pair_problems(given)
  if #problems > 0 then
    local text = table.concat(problems, "\n")
    errors.raise("TaskRegistrationError", text, nil, { errors = problems })
  end
end

-- The records of the pairs, with the dependencies and retries that were given apart from them.
local function make_records(given)
  local source, line = core.where()
  local records, index = {}, {}
  for i, pair in ipairs(given.tasks or {}) do
    local name = pair[1]
    tasks.check_name(name)
    local record = tasks.record(name, pair[2], "manual", source, line)
    local retry = (given.task_retries or {})[name]
    if retry ~= nil then
      tasks.set_retry(record, retry)
    end
    records[i], index[name] = record, record
  end
  for _, order in ipairs(given.task_order or {}) do
    local record = index[order.task_name]
    local depends_on = table.move(record.depends_on, 1, #record.depends_on, 1, {})
    for _, dependency in ipairs(order.dependencies) do
      depends_on[#depends_on + 1] = { name = dependency.task_name, source = source, line = line }
    end
    record.depends_on = depends_on
  end
  return records, index
end

local function make_config(given)
  return configs.derive(configs.AstrumConfig(given.config), {
    ignore_tail_task = given.ignore_tail_task,
    concurrency_limit = given.concurrency_limit,
  })
end

---The workflow of a graph made by hand.
---@param given table tasks, task_order, task_retries, ignore_tail_task, concurrency_limit, config
---@return astrum.Workflow
function M.workflow(given)
  check_tables(given)
  check_pairs(given)
  local records, index = make_records(given)
  return build.build({
    namespace = "manual",
    records = records,
    index = index,
    pending = {},
    is_manual = true,
  }, { config = make_config(given) })
end

---A scheduler for a graph made by hand: `tasks` has pairs of a name and a body or spec,
---`task_order` TaskOrders, `task_retries` numbers by name. Raises one error with all wrong entries
---of `tasks`, a TaskDependencyError or TaskOrderLoopError for `task_order`, a ConfigError for wrong
---options.
---@param given table tasks, task_order, task_retries, ignore_tail_task, concurrency_limit, config
---@return astrum.Scheduler
function M.DynamicScheduler(given)
  local began = core.clock()
  return require("astrum.scheduler").new(M.workflow(given), began)
end

return M
