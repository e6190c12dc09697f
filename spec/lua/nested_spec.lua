-- luacheck: no unused args
local build = require "astrum.build"
local errors = require "astrum.error"
local registry = require "astrum.registry"
local builds = require "spec.support.builds"

local build_flow, mistakes_of = builds.build_flow, builds.mistakes_of

-- A registry `ship` with params weight and region, then the lines given.
local function with_ship(lines)
  return [[
local ship = registry "ship"
ship.task("weigh", { inputs = { param("weight", { type = "number" }) }, run = function(w) end })
ship.task("send", { inputs = { param("region", { default = "EU" }), F.weigh },
  run = function(region, w) end })
]] .. lines
end

describe("a workflow inside a workflow", function()
  it("is built with it", function()
    local workflow = build_flow(with_ship [[
task "order" { run = body }
task "ship" { workflow = ship, inputs = { weight = F.order.weight } }
task "tell" { inputs = { F.ship.send.code }, run = function(code) end }]])
    local task = workflow.tasks[2]
    assert.same({ "order" }, task.depends)
    assert.equal("ship", task.child.namespace)
    assert.same({ weigh = 1, send = 2 }, task.child.index)
    assert.same({ 1 }, task.child.graph:upstream(2))
    assert.is_true(task.child.params.region.used)
    assert.equal(1, task.inputs.n)
    assert.equal("weight", task.inputs[1].parameter)
    assert.equal(2, workflow.height)
    assert.equal(1, task.child.height)
  end)

  it("may be a map over lists of params", function()
    local workflow = build_flow(with_ship [[
task "ship" { workflow = ship, map = { weight = { 1, 2 } }, inputs = { region = "US" } }]])
    local inputs = workflow.tasks[1].inputs
    assert.same(
      { { "region", "constant" }, { "weight", "item" } },
      { { inputs[1].parameter, inputs[1].kind }, { inputs[2].parameter, inputs[2].kind } }
    )
    assert.same({ map = true }, workflow.tasks[1].policy.graph)
  end)

  it("takes outputs that are pushed to its params", function()
    local workflow = build_flow(with_ship [[
task "order" { run = body, outputs = { T("ship", "weight", "weight") } }
task "ship" { workflow = ship, when = function(weight) end }]])
    assert.equal("reference", workflow.tasks[2].inputs[1].kind)
    assert.same({ "order" }, workflow.tasks[2].depends)
    assert.same({ 1 }, workflow.tasks[2].when.positions)
  end)

  it("is one for all tasks that have it", function()
    local workflow = build_flow(with_ship [[
task "a" { workflow = ship, inputs = { weight = 1 } }
task "b" { workflow = ship, inputs = { weight = 2 } }]])
    assert.equal(workflow.tasks[1].child, workflow.tasks[2].child)
  end)

  it("has the configuration of the outer one, without what is only the outermost's", function()
    local workflow =
      build_flow(with_ship [[task "a" { workflow = ship, inputs = { weight = 1 } }]], {
        config = {
          failure_mode = "keep_going",
          defaults = { retry = 2, idle_timeout = 1, executor = "process", cancel_grace = 1 },
          concurrency_limit = 2,
          deadline = 5,
          pools = { db = 1 },
          max_total_attempts = 9,
          seed = 3,
          around = print,
          on_event = print,
        },
      })
    local outer, child = workflow.tasks[1], workflow.tasks[1].child
    assert.same({ "keep_going", 2 }, { child.config.failure_mode, child.tasks[1].policy.retry })
    for _, key in ipairs {
      "concurrency_limit",
      "deadline",
      "pools",
      "max_total_attempts",
      "seed",
    } do
      assert.is_nil(child.config[key], key)
      assert.is_nil(child.settings[key], key)
    end
    assert.equal(print, child.settings.around)
    assert.equal(print, child.settings.on_event)
    assert.equal("process", child.tasks[1].policy.executor)
    assert.same({ "loop", 5000000000 }, { outer.policy.executor, outer.policy.cancel_grace })
    assert.is_nil(outer.policy.idle_timeout)
  end)

  it("takes from the pools of the outermost one", function()
    local workflow = build_flow(
      [[
local inner = registry "inner"
inner.task("x", { run = body, pool = "gpu" })
task "a" { workflow = inner }]],
      { config = { pools = { db = 1, gpu = 1 } } }
    )
    local child = workflow.tasks[1].child
    assert.equal(workflow.pools, child.pools)
    assert.same({ { pool = 1, units = 1 } }, child.tasks[1].policy.graph.pools)
  end)

  it("may be sixteen deep", function()
    local text = "local r = registry 'r1'\nr.task('x', { run = body })\n"
      .. "for i = 2, N do local n = registry('r' .. i)\nn.task('x', { workflow = r })\nr = n end\n"
      .. "task 'a' { workflow = r }"
    assert.equal(16, build_flow((text:gsub("N", "15"))).height)
    local e = mistakes_of((text:gsub("N", "16")))
    assert.equal("task 'x': workflows are nested deeper than 16", e.errors[1].text)
    assert.equal(
      "inside one another are mine -> r16 -> r15 -> r14 -> r13 -> r12 -> r11 -> r10 -> r9 -> r8 -> "
        .. "r7 -> r6 -> r5 -> r4 -> r3 -> r2 -> r1",
      e.errors[1].help
    )
  end)

  it("is too deep also when it has been built already nearer to the outside", function()
    local e = mistakes_of [[
local deep = registry "r1"
deep.task("x", { run = body })
for i = 2, 9 do
  local n = registry("r" .. i)
  n.task("x", { workflow = deep })
  deep = n
end
local other = deep
for i = 10, 16 do
  local n = registry("r" .. i)
  n.task("x", { workflow = other })
  other = n
end
task "near" { workflow = deep }
task "far" { workflow = other }]]
    assert.equal("task 'x': workflows are nested deeper than 16", e.errors[1].text)
  end)

  it("that is wide and deep is built once for each registry", function()
    local workflow = build_flow [[
local r = registry "r1"
r.task("x", { run = body })
for i = 2, 15 do
  local n = registry("r" .. i)
  for j = 1, 10 do
    n.task("x" .. j, { workflow = r })
  end
  r = n
end
task "a" { workflow = r }]]
    assert.equal(16, workflow.height)
  end)
end)

describe("a workflow inside a workflow is refused", function()
  local cases = {
    ["when it is inside itself"] = {
      "task 'a' { workflow = mine }",
      "flow.lua:5: task 'a': workflow 'mine' is inside itself: mine -> mine",
      "TaskOrderLoopError",
    },
    ["when it is inside itself by way of others"] = {
      "ship.task('loop', { workflow = ship, inputs = { weight = 1 } })\n"
        .. "task 'a' { workflow = ship, inputs = { weight = 1 } }",
      "flow.lua:5: task 'loop': workflow 'ship' is inside itself: ship -> ship",
      "TaskOrderLoopError",
    },
    ["when a param has no input"] = {
      "task 'a' { workflow = ship }",
      "flow.lua:5: task 'a': param 'weight' of workflow 'ship' has no input\n"
        .. "help: add inputs.weight = F.<task>.<field>, or give the param a default",
      "TaskRegistrationError",
    },
    ["when an input is no param"] = {
      "task 'a' { workflow = ship, inputs = { weight = 1, regoin = 'US' } }",
      "flow.lua:5: task 'a': input 'regoin' is no param of workflow 'ship'\n"
        .. "help: did you mean 'region'?",
      "TaskRegistrationError",
    },
    ["when a map is no param"] = {
      "task 'a' { workflow = ship, inputs = { weight = 1 }, map = { zzzzzzzzzzzz = { 1 } } }",
      "flow.lua:5: task 'a': map 'zzzzzzzzzzzz' is no param of workflow 'ship'\n"
        .. "help: the params are: region, weight",
      "TaskRegistrationError",
    },
    ["when a constant has another type than the param"] = {
      "task 'a' { workflow = ship, inputs = { weight = 'heavy' } }",
      "flow.lua:5: task 'a': param 'weight': number expected, got string",
      "TypeMatchError",
    },
    ["when its condition wants what is no input"] = {
      "task 'a' { workflow = ship, inputs = { weight = 1 }, when = function(wheight) end }",
      "flow.lua:5: task 'a': when has the parameter 'wheight', which is no input of the task\n"
        .. "help: did you mean 'weight'?",
      "TaskRegistrationError",
    },
    ["when an output goes to no param"] = {
      "task 'a' { workflow = ship, inputs = { weight = 1 } }\n"
        .. "task 'b' { run = body, outputs = { T('a', nil, 'regoin') } }",
      "flow.lua:6: task 'b': output goes to unknown parameter 'regoin' of task 'a'\n"
        .. "help: did you mean 'region'?",
      "TaskDependencyError",
    },
    ["when a reference names no task of it"] = {
      "task 'a' { workflow = ship, inputs = { weight = 1 } }\n"
        .. "task 'b' { inputs = { F.a.sned }, run = function(x) end }",
      "flow.lua:6: task 'b': input 1 reads 'sned', which is no task of workflow 'ship'\n"
        .. "help: did you mean 'send'?",
      "TaskDependencyError",
    },
    ["when a reference has an index in place of a task of it"] = {
      "task 'a' { workflow = ship, inputs = { weight = 1 } }\n"
        .. "task 'b' { inputs = { F.a[1] }, run = function(x) end }",
      "flow.lua:6: task 'b': input 1 reads 1, which is no task of workflow 'ship'\n"
        .. "help: the tasks are: weigh, send",
      "TaskDependencyError",
    },
    ["when a reference names a detached task of it"] = {
      "ship.task('log', { run = body, detached = true })\n"
        .. "task 'a' { workflow = ship, inputs = { weight = 1 } }\n"
        .. "task 'b' { inputs = { F.a.log }, run = function(x) end }",
      "flow.lua:7: task 'b': input 1 reads 'log', which is a detached task of workflow 'ship'\n"
        .. "help: the tasks are: weigh, send",
      "TaskDependencyError",
    },
    ["when it has no tasks"] = {
      "task 'a' { workflow = registry 'empty' }",
      "flow.lua:5: namespace 'empty' has no tasks\nhelp: declare tasks before they are built",
      "TaskNotFoundError",
    },
    ["when a pool inside it is not declared"] = {
      "ship.task('x', { run = body, pool = 'db' })\n"
        .. "task 'a' { workflow = ship, inputs = { weight = 1 } }",
      "flow.lua:5: task 'x': pool 'db' is not declared\n"
        .. "help: declare it in config, as in pools = { db = 2 }",
      "ConfigError",
    },
  }
  for name, case in pairs(cases) do
    it(name, function()
      local e = mistakes_of(with_ship(case[1]))
      assert.equal(1, #e.errors, e.message)
      assert.equal(case[2], e.message)
      assert.is_true(errors.is(e, case[3]))
    end)
  end

  it("with all mistakes of all workflows together, each once", function()
    local e = mistakes_of(with_ship [[
ship.task("x", { run = body, depends_on = { "nowhere" } })
ship.task("y", { run = function(x) end, inputs = { F.nobody } })
task "a" { workflow = ship, inputs = { weight = 1 } }
task "b" { workflow = ship, inputs = { wait = 1 } }
task "c" { run = function(z) end }]])
    local places = {}
    for i, mistake in ipairs(e.errors) do
      places[i] = mistake.source .. ":" .. mistake.line
    end
    assert.same({
      "flow.lua:5",
      "flow.lua:6",
      "flow.lua:8",
      "flow.lua:8",
      "flow.lua:9",
    }, places)
  end)
end)

describe("a workflow built inside a task", function()
  it("may take from pools that only the outermost run knows", function()
    local inner = registry.SchedulerRegistry "inner"
    inner.task("x", { run = print, pools = { gpu = 2, db = 1 } })
    local outer = registry.SchedulerRegistry "outer"
    outer.task("build", function()
      local workflow = build.build(inner)
      return { pools = workflow.pools, graph = workflow.tasks[1].policy.graph }
    end)
    local built = outer:run():assert():result "build"
    assert.same({ "db", "gpu" }, built.pools)
    assert.same({ { pool = 0, units = 1 }, { pool = 1, units = 2 } }, built.graph.pools)
    assert.is_false((pcall(build.build, inner)))
  end)
end)
