-- luacheck: no unused args
local errors = require "astrum.error"
local ref = require "astrum.ref"
local registry = require "astrum.registry"

local F = ref.F

local function flow(text)
  local env = setmetatable({ task = registry.task, F = F, astrum = registry }, { __index = _G })
  return pcall(assert(load(text, "=flow.lua", "t", env)))
end

local function message_of(text)
  local ok, e = flow(text)
  assert.is_false(ok, text)
  return tostring(e), e
end

local function body() end

-- Runs f with a stand-in for the scheduler, which gives back what it is called with.
local function with_scheduler(f)
  local real = package.loaded["astrum.scheduler"]
  local function echo(name)
    return function(...)
      return { name, ... }
    end
  end
  package.loaded["astrum.scheduler"] = { build_scheduler = echo "build", run = echo "run" }
  local ok, e = pcall(f)
  package.loaded["astrum.scheduler"] = real
  assert(ok, e)
end

before_each(function()
  registry.clear_registry()
end)

describe("a registry", function()
  it("keeps its tasks in the order of declaration", function()
    local mine = registry.SchedulerRegistry "mine"
    for _, name in ipairs { "c", "a", "b" } do
      mine.task(name, body)
    end
    local names = {}
    for i, order in ipairs(mine:build_task_orders()) do
      names[i] = order.task_name
    end
    assert.same({ "c", "a", "b" }, names)
  end)

  it("asks for a colon where there is none", function()
    local mine = registry.SchedulerRegistry "mine"
    local methods = { "clear", "get_task", "get_all_tasks", "build_tasks", "build_task_orders" }
    for _, method in ipairs { "build_scheduler", "run", table.unpack(methods) } do
      local _, e = pcall(mine[method], { "a" })
      local expected = method .. ": call it with a colon, as in registry:" .. method .. "()"
      assert.equal(expected, e.text)
    end
  end)

  it("declares with a dot and with a colon", function()
    local mine = registry.SchedulerRegistry "mine"
    mine.task("a", body)
    mine:task("b", body)
    mine:task "c" { run = body }
    mine.task "d" { run = body }
    assert.equal(4, #mine.records)
  end)

  it("is called default when it gets no name", function()
    assert.equal("default", registry.SchedulerRegistry().namespace)
  end)

  it("is apart from the hub's of the same name", function()
    registry.SchedulerRegistry("default").task("a", body)
    assert.same({}, registry.get_registry("default"):get_all_tasks())
  end)

  it("shows a declaration", function()
    local mine = registry.SchedulerRegistry "mine"
    mine.task("a", {
      run = function(x, y) end,
      inputs = { x = 1, y = F.b.c },
      depends_on = { "d", "d" },
      retry = 2,
    })
    local shown = mine:get_task "a"
    assert.equal("a", shown.task_id)
    assert.equal(mine.index.a.run, shown.run)
    assert.same({ "d" }, shown.depends_on)
    assert.equal(2, shown.retry)
    assert.equal(1, shown.inputs.x)
    assert.equal("F.b.c", tostring(shown.inputs.y))
  end)

  it("shows declarations that cannot be written", function()
    local mine = registry.SchedulerRegistry "mine"
    mine.task("a", body)
    local ok, e = pcall(function()
      mine:get_task("a").retry = 3
    end)
    assert.is_false(ok)
    assert.truthy(e.message:find ": RegisteredTask is read%-only: 'retry' cannot be set$")
  end)

  it("gives all tasks by name in a table of one's own", function()
    local mine = registry.SchedulerRegistry "mine"
    mine.task("a", body)
    mine:get_all_tasks().a = nil
    assert.equal("a", mine:get_all_tasks().a.task_id)
  end)

  it("names the nearest task when one is not there", function()
    flow "task('load_order', print)"
    local message, e = message_of "local _ = astrum.get_registry():get_task 'load_ordr'"
    assert.equal(
      "flow.lua:1: Task 'load_ordr' is not registered in 'default'.\n"
        .. "help: did you mean 'load_order'?",
      message
    )
    assert.is_true(errors.is(e, "TaskNotFoundError"))
  end)

  it("forgets its tasks", function()
    local mine = registry.SchedulerRegistry "mine"
    mine.task("a", body)
    mine.task "never"
    mine:clear()
    mine.task("a", body)
    assert.equal(1, #mine:build_task_orders())
  end)

  it("takes a handle for a name after it forgot the task", function()
    local mine = registry.SchedulerRegistry "mine"
    local handle = mine.task("a", body)
    mine:clear()
    mine.task("a", body)
    mine.task("b", { run = function(x) end, inputs = { x = handle.f } })
    assert.equal("a", mine:build_task_orders()[2].dependencies[1].task_name)
  end)

  it("gives task orders that refer to each other", function()
    local mine = registry.SchedulerRegistry "mine"
    mine.task("b", { run = function(x) end, inputs = { x = F.a.x }, depends_on = { "c", "a" } })
    mine.task("a", body)
    mine.task("c", body)
    local orders = mine:build_task_orders()
    assert.same({ orders[2], orders[3] }, orders[1].dependencies)
    assert.equal(orders[2], orders[1].dependencies[1])
  end)

  it("gives only the orders that a target needs", function()
    local mine = registry.SchedulerRegistry "mine"
    mine.task("a", body)
    mine.task("b", { run = body, depends_on = { "a" } })
    mine.task("c", body)
    assert.equal(2, #mine:build_task_orders { target_tasks = { "b" } })
  end)

  it("gives tasks that can be declared again", function()
    local mine, other = registry.SchedulerRegistry "mine", registry.SchedulerRegistry "other"
    mine.task("a", body)
    mine.task("b", {
      run = function(x, y) end,
      inputs = { x = ref.Ref("integer", F.a.x, { default = 1 }), y = { F.a } },
      retry = 2,
      outputs = { ref.T("c", "f", "p") },
      depends_on = { "a" },
    })
    mine.task("c", function(p) end)
    for _, pair in ipairs(mine:build_tasks()) do
      other.task(pair[1], pair[2])
    end
    local input = other.index.b.inputs[1]
    assert.same({ "integer", 1, 2 }, { input.type, input.default, other.index.b.retry })
    assert.equal("template", other.index.b.inputs[2].kind)
    assert.equal(3, #other:build_task_orders())
  end)

  it("hands builds and runs to the scheduler", function()
    with_scheduler(function()
      local mine = registry.SchedulerRegistry "mine"
      mine.task("a", body)
      local built = mine:build_scheduler { config = { concurrency_limit = 2 } }
      assert.same({ "build", mine }, { built[1], built[2] })
      assert.equal(2, built[3].config.concurrency_limit)
      local report = mine:run { "a" }
      assert.same({ "run", mine }, { report[1], report[2] })
      assert.same({ "a" }, report[3].target_tasks)
    end)
  end)

  it("refuses to build another namespace", function()
    assert.equal(
      "flow.lua:1: build_scheduler: namespace 'other' is not that of the registry, 'mine'",
      (
        message_of(
          "local _ = astrum.SchedulerRegistry('mine'):build_scheduler { namespace = 'other' }"
        )
      )
    )
  end)
end)

describe("a namespace", function()
  it("is default when nothing is said", function()
    assert.equal("default", registry.DEFAULT_NAMESPACE)
    assert.equal("default", registry.active_namespace())
    registry.task("a", body)
    assert.equal("a", registry.get_registry():get_task("a").task_id)
  end)

  it("can be chosen in the declaration", function()
    registry.task("a", { namespace = "x", run = body })
    registry.task "b" { namespace = "x", run = body }
    assert.equal(2, #registry.namespace("x").records)
    assert.equal(0, #registry.get_registry().records)
  end)

  it("has one registry", function()
    assert.equal(registry.namespace "x", registry.get_registry "x")
  end)

  it("has a task function of its own", function()
    local task = registry.namespace("x").task
    task("a", body)
    assert.equal("x", registry.get_registry("x"):get_task("a").namespace)
  end)

  it("may have tasks of the same names as another", function()
    registry.namespace("x").task("a", body)
    registry.namespace("y").task("a", body)
    assert.equal(1, #registry.namespace("y").records)
  end)

  it("is active inside of a block that is closed", function()
    do
      local _ <close> = registry.use_namespace "x"
      assert.equal("x", registry.active_namespace())
      assert.equal(registry.namespace "x", registry.get_registry())
      registry.task("a", body)
    end
    assert.equal("default", registry.active_namespace())
    assert.equal(1, #registry.namespace("x").records)
  end)

  it("is active while a function runs, which gets arguments and gives results", function()
    local seen, sum = registry.use_namespace("x", function(a, b)
      return registry.active_namespace(), a + b
    end, 1, 2)
    assert.same({ "x", 3 }, { seen, sum })
    assert.equal("default", registry.active_namespace())
  end)

  it("nests", function()
    registry.use_namespace("x", function()
      registry.use_namespace("y", function()
        assert.equal("y", registry.active_namespace())
      end)
      assert.equal("x", registry.active_namespace())
    end)
  end)

  it("is left after an error, which passes unchanged", function()
    local failure = {}
    local ok, e = pcall(registry.use_namespace, "x", function()
      error(failure)
    end)
    assert.is_false(ok)
    assert.equal(failure, e)
    assert.equal("default", registry.active_namespace())
  end)

  it("is active in one coroutine only", function()
    local co = coroutine.wrap(function()
      registry.use_namespace("x", function()
        coroutine.yield(registry.active_namespace())
        coroutine.yield(registry.active_namespace())
      end)
    end)
    assert.equal("x", co())
    registry.use_namespace("y", function()
      assert.equal("x", co())
      assert.equal("y", registry.active_namespace())
    end)
    assert.equal("default", registry.active_namespace())
  end)

  it("can be cleared alone", function()
    registry.namespace("x").task("a", body)
    registry.namespace("y").task("a", body)
    registry.clear_registry "x"
    assert.equal(0, #registry.namespace("x").records)
    assert.equal(1, #registry.namespace("y").records)
  end)

  it("can be cleared with all others", function()
    registry.namespace("x").task("a", body)
    registry.namespace("y").task("a", body)
    registry.clear_registry()
    assert.equal(0, #registry.namespace("x").records + #registry.namespace("y").records)
  end)

  it("refuses a second task of one name", function()
    assert.equal(
      "flow.lua:2: task 'a' is declared twice in namespace 'default'\n"
        .. "help: first declared at flow.lua:1; give one of them another name",
      (message_of "task('a', print)\ntask('a', print)")
    )
  end)

  it("refuses a task that the same line declares again and says how to begin again", function()
    assert.equal(
      "flow.lua:1: task 'a' is declared twice in namespace 'default'\n"
        .. "help: first declared at this very line; give each its own name, "
        .. 'or call astrum.clear_registry("default") before the same code runs again',
      (message_of "for _ = 1, 2 do task('a', print) end")
    )
  end)

  it("that is misspelled is an error with the nearest name", function()
    flow "astrum.namespace('checkout').task('a', print)"
    for _, name in ipairs { "build_scheduler", "run", "build_task_orders" } do
      local message, e = message_of("local _ = astrum." .. name .. " { namespace = 'chekout' }")
      assert.equal(
        "flow.lua:1: namespace 'chekout' has no tasks\nhelp: did you mean 'checkout'?",
        message
      )
      assert.is_true(errors.is(e, "TaskNotFoundError"))
    end
  end)

  it("is named when it has the task that another one looks for", function()
    assert.equal(
      "flow.lua:1: task 'b': input 'x' reads from unknown task 'load'\n"
        .. "help: there is one in namespace 'far'; a task can use only tasks of its own "
        .. "namespace, here 'near'",
      (
        message_of(
          "task('b', { namespace = 'near', inputs = { x = F.load }, run = function(x) end })\n"
            .. "task('load', { namespace = 'far', run = print })\n"
            .. "astrum.build_task_orders { namespace = 'near' }"
        )
      )
    )
  end)

  it("without tasks is an error", function()
    assert.equal(
      "flow.lua:1: namespace 'default' has no tasks\n"
        .. 'help: declare tasks first, as in astrum.task "load" { run = function() ... end }',
      (message_of "local _ = astrum.run()")
    )
  end)

  it("is the active one for a build that names none", function()
    with_scheduler(function()
      registry.namespace("x").task("a", body)
      registry.use_namespace("x", function()
        local report = registry.run { "a" }
        assert.same({ "run", registry.namespace "x" }, { report[1], report[2] })
        assert.equal(registry.namespace "x", registry.build_scheduler()[2])
      end)
    end)
  end)

  local wrong = {
    ["astrum.namespace()"] = "namespace: the namespace is a string, got nil",
    ["astrum.namespace ''"] = "namespace: the namespace is empty",
    ["astrum.use_namespace(1)"] = "use_namespace: the namespace is a string, got number",
    ["astrum.use_namespace('x', 1)"] = "use_namespace: the body is a function, got number",
    ["astrum.SchedulerRegistry(1)"] = "SchedulerRegistry: the namespace is a string, got number",
    ["astrum.clear_registry(1)"] = "clear_registry: the namespace is a string, got number",
  }
  for text, expected in pairs(wrong) do
    it("refuses " .. text, function()
      assert.equal("flow.lua:1: " .. expected, (message_of("local _ = " .. text)))
    end)
  end
end)

describe("a workflow in one table", function()
  local function names_of(mine)
    local names = {}
    for i, record in ipairs(mine.records) do
      names[i] = record.name
    end
    return names
  end

  it("has its tasks in the order of their bodies, then of their names", function()
    local _, mine = flow [[
return astrum.workflow "w" {
  zoo = function() end,
  last_c = string.format,
  ape = { inputs = { x = F.zoo }, run = function(x) end },
  bee = function() end, ant = function() end,
}]]
    assert.same({ "zoo", "ape", "ant", "bee", "last_c" }, names_of(mine))
  end)

  it("is a registry outside of the hub", function()
    local _, mine = flow "return astrum.workflow('w', { a = print })"
    assert.equal("w", mine.namespace)
    assert.equal(0, #registry.namespace("w").records)
    assert.equal(1, #mine:build_task_orders())
  end)

  it("has each task at the line of its body", function()
    local _, mine = flow "return astrum.workflow 'w' {\n\n  a = function() end,\n}"
    assert.same({ "flow.lua", 3 }, { mine.records[1].source, mine.records[1].line })
  end)

  it("refuses what is no table of tasks", function()
    assert.equal(
      "flow.lua:1: workflow 'w': a table of tasks by name must follow, got number",
      (message_of "local _ = astrum.workflow 'w' (1)")
    )
    assert.equal(
      "flow.lua:1: workflow 'w': 1 is no task name\n"
        .. "help: write name = { run = function() ... end }",
      (message_of "local _ = astrum.workflow 'w' { print }")
    )
    assert.equal(
      "flow.lua:1: task 'a' has no run function\n"
        .. "help: write run = function() ... end; a misspelled variable is nil too",
      (message_of "local _ = astrum.workflow 'w' { a = {} }")
    )
  end)
end)
