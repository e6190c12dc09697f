-- luacheck: no unused args
local build = require "astrum.build"
local errors = require "astrum.error"
local manual = require "astrum.manual"
local ref = require "astrum.ref"
local registry = require "astrum.registry"

local TaskOrder, ExecutionPlanner = manual.TaskOrder, manual.ExecutionPlanner

local function message_of(text)
  local env = setmetatable({
    TaskOrder = TaskOrder,
    ExecutionPlanner = ExecutionPlanner,
    workflow = manual.workflow,
    body = function() end,
  }, { __index = _G })
  local ok, e = pcall(assert(load(text, "=flow.lua", "t", env)))
  assert.is_false(ok, text)
  return tostring(e), e
end

local function body() end

describe("TaskOrder", function()
  it("is a task and the orders it waits for", function()
    local a = TaskOrder "a"
    local b = TaskOrder("b", { a, "c" })
    assert.equal("b", b.task_name)
    assert.equal(a, b.dependencies[1])
    assert.equal("c", b.dependencies[2].task_name)
    assert.same({}, a.dependencies)
  end)

  it("refuses what cannot be", function()
    assert.equal(
      "flow.lua:1: TaskOrder: the name is a string, got nil",
      (message_of "local _ = TaskOrder()")
    )
    assert.equal(
      "flow.lua:1: TaskOrder 'a': the dependencies are a list without holes\n"
        .. 'help: as in TaskOrder("join", { first, second })',
      (message_of "local _ = TaskOrder('a', 'b')")
    )
    assert.equal(
      "flow.lua:1: TaskOrder 'a': dependency 1 is no TaskOrder and no name",
      (message_of "local _ = TaskOrder('a', { 1 })")
    )
  end)
end)

describe("a planner", function()
  local function diamond()
    local a, lone = TaskOrder "a", TaskOrder "lone"
    local b, c = TaskOrder("b", { a }), TaskOrder("c", { a })
    return { a, lone, b, c, TaskOrder("d", { b, c }) }
  end

  it("gives the stages by longest path", function()
    local plan = ExecutionPlanner(diamond()):get_execute_timeline()
    assert.equal(5, plan.total_tasks)
    assert.equal(3, plan.max_parallelism)
    assert.same({
      {
        stage_id = 0,
        start_tasks = { "a", "lone" },
        wait_for_tasks = {},
        parallel_tasks = { "a", "lone" },
      },
      {
        stage_id = 1,
        start_tasks = { "b", "c" },
        wait_for_tasks = { "a" },
        parallel_tasks = { "lone", "b", "c" },
      },
      {
        stage_id = 2,
        start_tasks = { "d" },
        wait_for_tasks = { "b", "c" },
        parallel_tasks = { "lone", "d" },
      },
    }, plan.stages)
  end)

  it("keeps the orders", function()
    local orders = diamond()
    assert.same(orders, ExecutionPlanner(orders):get_execute_timeline().original_tasks)
  end)

  it("writes the plan as text", function()
    local plan = ExecutionPlanner(diamond()):get_execute_timeline()
    local stages = [[
Execution plan (3 stages):
- stage 0: start=['a', 'lone'], wait=[], parallel=['a', 'lone']
- stage 1: start=['b', 'c'], wait=['a'], parallel=['lone', 'b', 'c']
- stage 2: start=['d'], wait=['b', 'c'], parallel=['lone', 'd'] ]]
    stages = stages:sub(1, -2)
    local dependencies = [[
Task dependency graph:
- a: depends on [none]
- lone: depends on [none]
- b: depends on [a]
- c: depends on [a]
- d: depends on [b, c] ]]
    dependencies = dependencies:sub(1, -2)
    assert.equal(stages, plan:get_visualization_table())
    assert.equal(dependencies, plan:get_dependency_graph_info())
    assert.equal(dependencies .. "\n\n" .. stages, plan:get_full_visualization())
  end)

  it("asks for a colon where there is none", function()
    local planner = manual.ExecutionPlanner {}
    local plan = planner:get_execute_timeline()
    local cases = {
      plan = { plan, "get_full_visualization", "get_visualization_table" },
      planner = { planner, "validate", "detect_cycle", "get_execute_timeline" },
    }
    for name, case in pairs(cases) do
      for i = 2, #case do
        local _, e = pcall(case[1][case[i]])
        local expected = "%s: call it with a colon, as in %s:%s()"
        assert.equal(expected:format(case[i], name, case[i]), e.text)
      end
    end
  end)

  it("writes an empty plan as text", function()
    local plan = ExecutionPlanner({}):get_execute_timeline()
    assert.equal("No execution stages.", plan:get_visualization_table())
    assert.equal("No task dependency information.", plan:get_dependency_graph_info())
    assert.equal(
      "No task dependency information.\n\nNo execution stages.",
      plan:get_full_visualization()
    )
    assert.same({ 0, 0 }, { plan.total_tasks, plan.max_parallelism })
  end)

  it("accepts a good list", function()
    local planner = ExecutionPlanner(diamond())
    planner:validate()
    planner:detect_cycle()
  end)

  it("finds names that come twice", function()
    local message, e = message_of [[
ExecutionPlanner({ TaskOrder "a", TaskOrder "b", TaskOrder "a" }):validate()]]
    assert.equal("flow.lua:1: Duplicate task names in task_order: ['a']", message)
    assert.is_true(errors.is(e, "TaskDependencyError"))
  end)

  it("finds dependencies that are not in the list", function()
    local message, e = message_of [[
ExecutionPlanner({ TaskOrder("a", { "b" }) }):validate()]]
    assert.equal("flow.lua:1: Task dependencies are not present in task_order: ['a -> b']", message)
    assert.is_true(errors.is(e, "TaskDependencyError"))
  end)

  it("finds a cycle", function()
    local text = [[
local a, b = TaskOrder "a", TaskOrder "b"
a.dependencies[1], b.dependencies[1] = b, a
ExecutionPlanner({ TaskOrder "c", a, b }):]]
    for _, method in ipairs { "validate", "detect_cycle", "get_execute_timeline" } do
      local message, e = message_of(text .. method .. "()")
      assert.equal("flow.lua:3: Cycle detected: a -> b -> a", message)
      assert.is_true(errors.is(e, "TaskOrderLoopError"))
      assert.same({ "Cycle detected: a -> b -> a" }, e.errors)
    end
  end)

  it("looks for names first, then for dependencies, then for cycles", function()
    local text = [[
local a, b = TaskOrder "a", TaskOrder("b", { "x" })
a.dependencies[1] = a
ExecutionPlanner({ a, b%s }):validate()]]
    assert.equal(
      "flow.lua:3: Duplicate task names in task_order: ['a']",
      (message_of(text:format ", a"))
    )
    assert.equal(
      "flow.lua:3: Task dependencies are not present in task_order: ['b -> x']",
      (message_of(text:format ""))
    )
  end)

  it("needs no recursion", function()
    local orders = {}
    for i = 1, 5000 do
      orders[5001 - i] = TaskOrder("t" .. i, { i > 1 and "t" .. i - 1 or nil })
    end
    assert.equal(5000, #ExecutionPlanner(orders):get_execute_timeline().stages)
  end)

  it("refuses what is no list of orders", function()
    assert.equal(
      "flow.lua:1: ExecutionPlanner: task_order is a list of TaskOrders without holes",
      (message_of "local _ = ExecutionPlanner('a')")
    )
    assert.equal(
      "flow.lua:1: ExecutionPlanner: task_order[1] is no TaskOrder",
      (message_of "local _ = ExecutionPlanner { 'a' }")
    )
  end)
end)

describe("the plan of a workflow", function()
  it("has its tasks and dependencies", function()
    local mine = registry.SchedulerRegistry "mine"
    mine.task("b", { run = print, inputs = { ref.F.a } })
    mine.task("a", body)
    local plan = manual.execution_plan(build.build(mine))
    assert.equal(2, plan.total_tasks)
    assert.same({ "a" }, plan.stages[1].start_tasks)
    assert.equal(plan.original_tasks[2], plan.original_tasks[1].dependencies[1])
  end)
end)

describe("a graph made by hand", function()
  it("joins bodies and orders", function()
    local a = TaskOrder "a"
    local workflow = manual.workflow {
      tasks = { { "b", body }, { "a", body } },
      task_order = { a, TaskOrder("b", { a }) },
      task_retries = { a = 2 },
      ignore_tail_task = { "b" },
      concurrency_limit = 3,
    }
    assert.same({ b = 1, a = 2 }, workflow.index)
    assert.same({ "a" }, workflow.tasks[1].depends)
    assert.equal(2, workflow.tasks[2].record.retry)
    assert.equal(3, workflow.config.concurrency_limit)
    assert.equal("b", workflow.config.ignore_tail_task[1])
  end)

  it("takes specs, with their inputs, beside the orders", function()
    local workflow = manual.workflow {
      tasks = {
        { "a", body },
        { "b", body },
        { "c", { run = function(x) end, inputs = { x = ref.F.a.x }, depends_on = { "a" } } },
      },
      task_order = { TaskOrder("c", { TaskOrder "b" }), TaskOrder "b" },
    }
    assert.same({ "a", "b" }, workflow.tasks[3].depends)
  end)

  it("may have tasks without an order, or none", function()
    assert.equal(1, #manual.workflow({ tasks = { { "a", body } } }).tasks)
    assert.equal(0, #manual.workflow({}).tasks)
  end)

  it("can be made of the tasks and orders of a registry", function()
    local mine = registry.SchedulerRegistry "mine"
    local a = mine.task("a", body)
    mine.task("b", { run = print, inputs = { a.x } })
    local workflow = manual.workflow {
      tasks = mine:build_tasks(),
      task_order = mine:build_task_orders(),
    }
    assert.same({ "a" }, workflow.tasks[2].depends)
  end)

  it("takes a configuration", function()
    local workflow = manual.workflow {
      tasks = { { "a", body } },
      config = { failure_mode = "keep_going", ignore_tail_task = { "a" } },
    }
    assert.equal("keep_going", workflow.config.failure_mode)
    assert.equal("a", workflow.config.ignore_tail_task[1])
  end)

  it("becomes a scheduler", function()
    local real = package.loaded["astrum.scheduler"]
    package.loaded["astrum.scheduler"] = {
      new = function(workflow)
        return { workflow = workflow }
      end,
    }
    local ok, scheduler = pcall(manual.DynamicScheduler, { tasks = { { "a", body } } })
    package.loaded["astrum.scheduler"] = real
    assert(ok, scheduler)
    assert.equal("a", scheduler.workflow.tasks[1].name)
  end)

  it("reports all wrong tasks in one error", function()
    local message, e = message_of [[
local _ = workflow {
  tasks = { { "x", print }, { "x", 3 }, { 4, print }, "y" },
  task_order = { TaskOrder "ghost" },
  task_retries = { spirit = 1 },
}]]
    assert.equal(
      [[
flow.lua:1: Duplicate task names in tasks: ['x']
Task 'x' is not callable: number
Task #3 name is not a string: number
Task #4 is not a pair { name, function }: string
Task 'ghost' not found in task list.
task_retries names unknown task 'spirit']],
      message
    )
    assert.equal(6, #e.errors)
    assert.is_true(errors.is(e, "TaskRegistrationError"))
  end)

  local cases = {
    ["{ taks = {} }"] = "DynamicScheduler: unknown option 'taks'\nhelp: did you mean 'tasks'?",
    ["1"] = "DynamicScheduler: the options are a table, got number\n"
      .. 'help: as in DynamicScheduler { tasks = { { "load", load } } }',
    ["{ tasks = 1 }"] = "DynamicScheduler: tasks is a list without holes",
    ["{ task_order = { 1 } }"] = "DynamicScheduler: task_order[1] is no TaskOrder",
    ["{ task_retries = 1 }"] = "DynamicScheduler: task_retries is a table of numbers by name",
    ["{ tasks = { { 'a', body } }, task_retries = { a = -1 } }"] = "Task 'a' retry must be a "
      .. "non-negative integer."
      .. "\nhelp: write retry = 3, or in a declaration retry = { max = 3, delay = 1 }",
    ["{ tasks = { { 'a', body } }, task_retries = { a = { max = 1 } } }"] = "Task 'a' retry must "
      .. "be a non-negative integer."
      .. "\nhelp: write retry = 3, or in a declaration retry = { max = 3, delay = 1 }",
    ["{ tasks = { { 'a', body } }, concurrency_limit = 0 }"] = "concurrency_limit must be a "
      .. "positive integer, got 0\nhelp: leave it out for no limit",
    ["{ task_order = { TaskOrder 'a', TaskOrder 'a' } }"] = "Duplicate task names in task_order: "
      .. "['a']",
  }
  for given, expected in pairs(cases) do
    it("refuses " .. given, function()
      assert.equal("flow.lua:1: " .. expected, (message_of("local _ = workflow(" .. given .. ")")))
    end)
  end
end)
