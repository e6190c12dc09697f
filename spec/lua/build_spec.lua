-- luacheck: no unused args
local build = require "astrum.build"
local edges = require "astrum.edge"
local core = require "astrum.core"
local errors = require "astrum.error"
local ref = require "astrum.ref"
local registry = require "astrum.registry"
local builds = require "spec.support.builds"

local build_flow, mistakes_of = builds.build_flow, builds.mistakes_of

local function names_of(workflow)
  local names = {}
  for id, task in ipairs(workflow.tasks) do
    names[id] = task.name
  end
  return names
end

describe("a build", function()
  it("numbers the tasks in the order of declaration", function()
    local workflow = build_flow [[
      task "c" { run = function(x) end, inputs = { x = F.a } }
      task "a" { run = body }
      task "b" { run = body }]]
    assert.same({ "c", "a", "b" }, names_of(workflow))
    assert.same({ c = 1, a = 2, b = 3 }, workflow.index)
    assert.equal(3, workflow.graph:count())
    assert.equal("c", workflow.graph:name(1))
    assert.same({ 2 }, workflow.graph:upstream(1))
    assert.equal(2, workflow.plan:stage_count())
    assert.equal("mine", workflow.namespace)
  end)

  it("makes every reference a dependency, each task once, data before order", function()
    local workflow = build_flow [[
      local a = task "a" { run = body }
      task "b" { run = body }
      task "c" { run = body }
      task "d" { run = body }
      task "e" {
        depends_on = { "d", a },
        inputs = { whole = F.a, field = F.a.x, parts = { F.c, { F.b[1] } } },
        run = function(whole, field, parts) end,
      }]]
    assert.equal("a", workflow.tasks[5].depends[1])
    assert.equal("d", workflow.tasks[5].depends[4])
    assert.equal(4, #workflow.tasks[5].depends)
    assert.equal(4, workflow.graph:edge_count())
  end)

  it("has the records and their inputs", function()
    local workflow, mine = build_flow [[
      task "a" { run = body }
      task "b" { run = function(x) end, inputs = { x = F.a } }]]
    assert.equal(mine.records[2], workflow.tasks[2].record)
    assert.equal(mine.records[2].inputs, workflow.tasks[2].inputs)
  end)

  it("has a checked configuration", function()
    local workflow = build_flow("task 'a' { run = body }", { config = { concurrency_limit = 3 } })
    assert.equal(3, workflow.config.concurrency_limit)
    assert.is_true(workflow.config.silence)
  end)

  it("of a correct graph has no warnings", function()
    assert.same({}, build_flow("task 'a' { run = body }").warnings)
  end)

  it("can be repeated", function()
    local _, mine = build_flow [[
      task "use" { run = function(x) end, inputs = { x = F.make.f } }
      task "make" { run = body, outputs = { T("other", "g", "y") } }
      task "other" (function(y) end)]]
    for _ = 1, 3 do
      local workflow = build.build(mine)
      assert.same({ "use", "make", "other" }, names_of(workflow))
      assert.equal("reference", workflow.tasks[3].inputs[1].kind)
    end
    assert.equal("missing", mine.index.other.inputs[1].kind)
  end)

  it("copes with a chain that is declared in reverse", function()
    local mine = registry.SchedulerRegistry "mine"
    local run = function(x) end
    for i = 2000, 1, -1 do
      mine.task("t" .. i, { run = run, inputs = { x = ref.F["t" .. i - 1] } })
    end
    mine.task("t0", function() end)
    local workflow = build.build(mine, { target_tasks = { "t2000" } })
    assert.equal(2001, workflow.plan:stage_count())
  end)
end)

describe("the targets of a build", function()
  local text = [[
    task "a" { run = body }
    task "b" { run = function(x) end, inputs = { x = { F.a.f } } }
    task "c" { run = body, depends_on = { "b" } }
    task "d" { run = body }
    task "e" { run = body, outputs = { T("f", "x", "p") } }
    task "f" (function(p) end)]]

  it("bring what they need, in the order of declaration", function()
    assert.same({ "a", "b", "c" }, names_of(build_flow(text, { target_tasks = { "c" } })))
  end)

  it("bring the tasks that push into them", function()
    assert.same({ "e", "f" }, names_of(build_flow(text, { target_tasks = { "f" } })))
  end)

  it("may leave out the task that an output goes to", function()
    assert.same({ "e" }, names_of(build_flow(text, { target_tasks = { "e" } })))
  end)

  it("may be none", function()
    assert.same({}, names_of(build_flow(text, { target_tasks = {} })))
  end)

  it("must be declared", function()
    local e = mistakes_of(text, { target_tasks = { "nope_nope", "a" } })
    assert.truthy(
      e.message:find(
        ": Task 'nope_nope' is not registered in 'mine'.\nhelp: the tasks are: a, b, c, d, e, f",
        1,
        true
      )
    )
    assert.is_true(errors.is(e, "TaskNotFoundError"))
  end)
end)

describe("a pushed output", function()
  it("is an input of its target, with the edge", function()
    local workflow = build_flow [[
      task "target" (function(first, p) end)
      task "a" {
        run = body,
        outputs = { T("target", { "f", 1 }, "p"), T("target", nil, "first") },
      }]]
    local inputs = workflow.tasks[1].inputs
    assert.equal(2, inputs.n)
    assert.same({ "first", "p" }, { inputs[1].parameter, inputs[2].parameter })
    assert.equal("F.a", tostring(inputs[1].reference))
    assert.equal("F.a.f[1]", tostring(inputs[2].reference))
    assert.same({ "a" }, workflow.tasks[1].depends)
  end)

  it("can join inputs written at the target", function()
    local workflow = build_flow [[
      task "a" { run = body, outputs = { T("target", "f", "p") } }
      task "target" { run = function(x, p) end, inputs = { x = 1 } }]]
    assert.same({ "constant", "reference" }, {
      workflow.tasks[2].inputs[1].kind,
      workflow.tasks[2].inputs[2].kind,
    })
  end)

  it("needs no parameter when the target takes all inputs", function()
    local workflow = build_flow [[
      task "a" { run = body, outputs = { T("target", "f", "b") } }
      task "target" { run = function(inputs) end, inputs = { c = 1, a = 2 } }]]
    local inputs = workflow.tasks[2].inputs
    assert.equal(4, inputs.n)
    assert.same({ "inputs", "a", "b", "c" }, {
      inputs[1].parameter,
      inputs[2].parameter,
      inputs[3].parameter,
      inputs[4].parameter,
    })
    assert.is_true(inputs[3].hidden)
  end)

  local cases = {
    ["to an unknown task"] = {
      "task 'target' (function() end)\ntask 'a' { run = body, outputs = { T('taget', 'f', 'p') } }",
      "flow.lua:2: task 'a': output goes to unknown task 'taget'\n"
        .. "help: did you mean 'target'? (declared at flow.lua:1)",
    },
    ["to an unknown parameter"] = {
      "task 'target' { inputs = { price = 1 }, run = function(price) end }\n"
        .. "task 'a' { run = body, outputs = { T('target', 'f', 'prize') } }",
      "flow.lua:2: task 'a': output goes to unknown parameter 'prize' of task 'target'\n"
        .. "help: did you mean 'price'?",
    },
    ["to a parameter that has an input"] = {
      "task 'target' { inputs = { price = 1 }, run = function(price) end }\n"
        .. "task 'a' { run = body, outputs = { T('target', 'f', 'price') } }",
      "flow.lua:2: task 'a': output goes to parameter 'price' of task 'target'\n"
        .. "help: this parameter has an input already; keep one of the two",
    },
    ["to a parameter that gets one already"] = {
      "task 'target' (function(p) end)\n"
        .. "task 'a' { run = body, outputs = { T('target', 'f', 'p'), T('target', 'g', 'p') } }",
      "flow.lua:2: task 'a': output goes to parameter 'p' of task 'target'\n"
        .. "help: this parameter has an input already; keep one of the two",
    },
    ["to a list of inputs"] = {
      "task 'target' { inputs = { 1 }, run = function(p) end }\n"
        .. "task 'a' { run = body, outputs = { T('target', 'f', 'p') } }",
      "flow.lua:2: task 'a': output goes to unknown parameter 'p' of task 'target'\n"
        .. "help: this task has no parameter that takes an input by name",
    },
    ["to a reserved parameter"] = {
      "task 'target' (function(ctx) end)\n"
        .. "task 'a' { run = body, outputs = { T('target', 'f', 'ctx') } }",
      "flow.lua:2: task 'a': output goes to unknown parameter 'ctx' of task 'target'\n"
        .. "help: this task has no parameter that takes an input by name",
    },
  }
  for what, case in pairs(cases) do
    it("cannot go " .. what, function()
      local e = mistakes_of(case[1])
      assert.equal(case[2], e.message)
      assert.is_true(errors.is(e, "TaskDependencyError"))
    end)
  end
end)

describe("a mistake of a build", function()
  local cases = {
    ["a reference to an unknown task"] = {
      "task 'load_order' (body)\ntask 'b' {\n  inputs = {\n"
        .. "    coupon = F.load_ordr.coupon,\n  },\n  run = function(coupon) end,\n}",
      "flow.lua:4: task 'b': input 'coupon' reads from unknown task 'load_ordr'\n"
        .. "help: did you mean 'load_order'? (declared at flow.lua:1)",
      "TaskDependencyError",
    },
    ["an unknown task that is like no other"] = {
      "task 'b' { inputs = { F.nothing_like_it }, run = print }",
      "flow.lua:1: task 'b': input 1 reads from unknown task 'nothing_like_it'\n"
        .. "help: the tasks are: b",
      "TaskDependencyError",
    },
    ["an unknown task whose name is nearest to that of the task itself"] = {
      "task 'load' { inputs = { F.lod }, run = print }",
      "flow.lua:1: task 'load': input 1 reads from unknown task 'lod'\nhelp: the tasks are: load",
      "TaskDependencyError",
    },
    ["an unknown task inside a table"] = {
      "task 'b' { inputs = { x = { { F.gone_gone } } }, run = function(x) end }",
      "flow.lua:1: task 'b': input 'x' reads from unknown task 'gone_gone'\n"
        .. "help: the tasks are: b",
      "TaskDependencyError",
    },
    ["an unknown name in depends_on"] = {
      "task 'load' (body)\ntask 'b' { run = body, depends_on = { 'lod' } }",
      "flow.lua:2: Registry 'mine' has unknown dependencies: ['lod']\n"
        .. "help: task 'b' depends on it; did you mean 'load'? (declared at flow.lua:1)",
      "TaskDependencyError",
    },
    ["a parameter without an input"] = {
      "task 'b' {\n  run = function(colour) end,\n}",
      "flow.lua:2: task 'b': parameter 'colour' has no input\n"
        .. "help: add inputs.colour = F.<task>.<field>",
      "TaskRegistrationError",
    },
    ["a method's self"] = {
      "local o = {}\nfunction o:m(a) end\ntask 'b' { run = o.m, inputs = { a = 1 } }",
      "flow.lua:2: task 'b': parameter 'self' has no input\n"
        .. "help: it is a method; wrap it: run = function(a) return object:method(a) end",
      "TaskRegistrationError",
    },
    ["a task that never got its spec"] = {
      "task 'a' (body)\ntask 'never'",
      "flow.lua:2: task 'never' has a name but never got its body\n"
        .. "help: write task 'never' { run = function() ... end }; a misspelled variable is nil",
      "TaskRegistrationError",
    },
    ["a task that waits for itself"] = {
      "task 'a' { run = body, depends_on = { 'a' } }",
      "flow.lua:1: dependency cycle: a -> a\n"
        .. "help: a task cannot wait for itself; take this dependency out",
      "TaskOrderLoopError",
    },
    ["a detached task with dependents"] = {
      "task 'log' { run = body, detached = true }\n"
        .. "task 'b' { run = function(x) end,\n  inputs = { x = F.log } }",
      "flow.lua:3: task 'log' is detached, but task 'b' depends on it\n"
        .. "help: nothing may wait for a detached task; take the dependency out, or the `detached`",
      "TaskDependencyError",
    },
  }
  for what, case in pairs(cases) do
    it("is " .. what, function()
      local e = mistakes_of(case[1])
      assert.equal(case[2], e.message)
      assert.is_true(errors.is(e, case[3]))
      assert.is_true(errors.is(e, "SchedulerError"))
      assert.equal(1, #e.errors)
    end)
  end

  it("is a cycle, shown from its first task as who needs whom", function()
    local e = mistakes_of [[
task "a" { run = function(x) end, inputs = {
  x = F.c } }
task "b" { run = function(x) end, inputs = { x = F.a } }
task "c" { run = function(x) end, inputs = { x = F.b } }
task "d" { run = body, depends_on = { "a" } }]]
    assert.equal(
      "flow.lua:2: dependency cycle: a -> c -> b -> a\n"
        .. "help: each of them waits for the next; take one of these dependencies out\n"
        .. "flow.lua:4: c needs b\nflow.lua:3: b needs a",
      e.message
    )
    assert.same({ "a", "b", "c" }, e.errors[1].cycle)
  end)

  it("shows a long cycle with its middle left out", function()
    local names = {}
    for i = 1, 100 do
      names[i] = "t" .. i
    end
    assert.equal(
      "t1 -> t100 -> t99 -> t98 -> t97 -> t96 -> t95 -> t94 -> t93 -> t92 -> ... 81 more ... -> "
        .. "t10 -> t9 -> t8 -> t7 -> t6 -> t5 -> t4 -> t3 -> t2 -> t1",
      edges.cycle_text(names)
    )
  end)

  it("is a handle of another registry", function()
    local other = registry.SchedulerRegistry "other"
    local handle = other.task("load", function() end)
    local mine = registry.SchedulerRegistry "mine"
    assert(
      load(
        "local task, handle = ...\ntask('b', { run = print, inputs = {\nhandle.f } })",
        "=flow.lua"
      )
    )(mine.task, handle)
    local ok, e = pcall(build.build, mine)
    assert.is_false(ok)
    assert.equal(
      "flow.lua:3: task 'b': input 1 reads from task 'load' of namespace 'other'\n"
        .. "help: a task can use only tasks of its own namespace, here 'mine'",
      e.message
    )
  end)

  it("is a handle of another registry in depends_on, even of the same name", function()
    local handle = registry.SchedulerRegistry("mine").task("load", function() end)
    local mine = registry.SchedulerRegistry "mine"
    mine.task("load", function() end)
    assert(
      load(
        "local task, handle = ...\ntask('b', { run = print, depends_on = { handle } })",
        "=flow.lua"
      )
    )(mine.task, handle)
    local ok, e = pcall(build.build, mine)
    assert.is_false(ok)
    assert.equal(
      "flow.lua:2: task 'b': depends_on names task 'load' of another registry 'mine'\n"
        .. "help: a task can use only tasks of its own namespace, here 'mine'",
      e.message
    )
  end)

  it("is data from a task outside of depends_on when the topology is strict", function()
    local text = [[
      task "a" { run = body }
      task "b" { run = print, depends_on = { "a" }, inputs = { F.a } }
task "c" { run = print, inputs = { F.a.x } }]]
    assert.equal(3, #build_flow(text).tasks)
    local e = mistakes_of(text, { config = { strict_topology = true } })
    assert.equal(
      "flow.lua:3: Topology mismatch: Task 'c' receives data from 'a', "
        .. "but it is missing in from_tasks\n"
        .. "help: add it to depends_on, or leave strict_topology out",
      e.message
    )
  end)

  it("is a detached task that the configuration made so", function()
    local text = "task 'log' { run = body }\ntask 'b' { run = body, depends_on = { 'log' } }"
    local e = mistakes_of(text, { config = { ignore_tail_task = { "log" } } })
    assert.equal(
      "flow.lua:2: task 'log' is detached, but task 'b' depends on it\n"
        .. "help: nothing may wait for a detached task; take the dependency out, or the `detached`",
      e.message
    )
  end)

  it("is an unknown name in ignore_tail_task", function()
    local e =
      mistakes_of("task 'log' { run = body }", { config = { ignore_tail_task = { "lgo" } } })
    assert.truthy(
      e.message:find(
        ": ignore_tail_task names unknown task 'lgo'\n"
          .. "help: did you mean 'log'? (declared at flow.lua:1)",
        1,
        true
      )
    )
    assert.is_true(errors.is(e, "ConfigError"))
  end)

  it("is a registry without tasks", function()
    local e = mistakes_of ""
    assert.truthy(
      e.message:find(
        ": namespace 'mine' has no tasks\nhelp: declare tasks before they are built",
        1,
        true
      )
    )
    assert.is_true(errors.is(e, "TaskNotFoundError"))
  end)

  it("is reported together with all others", function()
    local e = mistakes_of [[
task "never"
task "a" { run = function(x, y) end, inputs = { x = F.gone_gone } }
task "b" { run = body, depends_on = { "c" } }
task "c" { run = body, depends_on = { "b", "lost_lost" } }]]
    assert.equal(
      [[
flow.lua:1: task 'never' has a name but never got its body
help: write task 'never' { run = function() ... end }; a misspelled variable is nil

flow.lua:2: task 'a': parameter 'y' has no input
help: add inputs.y = F.<task>.<field>

flow.lua:2: task 'a': input 'x' reads from unknown task 'gone_gone'
help: the tasks are: a, b, c

flow.lua:4: Registry 'mine' has unknown dependencies: ['lost_lost']
help: task 'c' depends on it; the tasks are: a, b, c

flow.lua:3: dependency cycle: b -> c -> b
help: each of them waits for the next; take one of these dependencies out
flow.lua:4: c needs b]],
      e.message
    )
    assert.equal(5, #e.errors)
    assert.equal("SchedulerError", e.kind)
    assert.is_true(errors.is(e, "TaskRegistrationError"))
    assert.is_true(errors.is(e, "TaskDependencyError"))
    assert.is_true(errors.is(e, "TaskOrderLoopError"))
  end)

  it("does not make the next build fail", function()
    local mine = registry.SchedulerRegistry "mine"
    mine.task("b", { run = print, inputs = { ref.F.a } })
    assert.is_false((pcall(build.build, mine)))
    mine.task("a", function() end)
    assert.equal(2, #build.build(mine).tasks)
  end)
end)

describe("the policy of a task", function()
  it("reaches the graph", function()
    local seen = {}
    local real = core.graph
    core.graph = function()
      local graph = real()
      return setmetatable({}, {
        __index = function(_, key)
          return function(_, ...)
            if key == "add" then
              seen[#seen + 1] = table.pack(...)
            end
            return graph[key](graph, ...)
          end
        end,
      })
    end
    local ok, e = pcall(
      build_flow,
      [[
      task "plain" { run = body }
      task "again" { run = body, retry = 2 }
      task "apart" { run = body, detached = true }
      task "tail" { run = body, retry = 2 }]],
      { config = { ignore_tail_task = { "tail" } } }
    )
    core.graph = real
    assert(ok, e)
    assert.is_nil(seen[1][2])
    assert.same({ max_retries = 2 }, seen[2][2])
    assert.same({ detached = true }, seen[3][2])
    assert.same({ max_retries = 2, detached = true }, seen[4][2])
  end)
end)

describe("the options of a build", function()
  local function options_of(given)
    return build.options(given, "run")
  end

  it("take the array part for the targets", function()
    assert.same({ "a", "b" }, options_of({ "a", ref.F.b }).target_tasks)
  end)

  it("take no targets for all tasks, and an empty list for none", function()
    assert.is_nil(options_of({}).target_tasks)
    assert.is_nil(options_of(nil).target_tasks)
    assert.same({}, options_of({ target_tasks = {} }).target_tasks)
  end)

  local cases = {
    ["{ namespac = 'a' }"] = "unknown option 'namespac'\nhelp: did you mean 'namespace'?",
    ["{ namespace = 1 }"] = "namespace is a string, got number",
    ["{ 'a', target_tasks = { 'b' } }"] = "targets are listed and in target_tasks; give one",
    ["{ target_tasks = 'a' }"] = "target_tasks is a list of task names without holes\n"
      .. 'help: write target_tasks = { "a", "b" }',
    ["{ 'a', nil, 'b' }"] = "target_tasks is a list of task names without holes\n"
      .. 'help: write target_tasks = { "a", "b" }',
    ["{ target_tasks = { 1 } }"] = "target 1 is the name or the handle of a task, got number",
    ["{ failure_mode = 'keep_going' }"] = "unknown option 'failure_mode'\n"
      .. "help: it belongs in config: config = { failure_mode = ... }",
    ["{ concurrency_limit = 2 }"] = "unknown option 'concurrency_limit'\n"
      .. "help: it belongs in config: config = { concurrency_limit = ... }",
    ["{ timeout = 2 }"] = "unknown option 'timeout'\n"
      .. "help: for all tasks: config = { defaults = { timeout = ... } }",
    ["'a'"] = 'the options are a table, got string\nhelp: write run { "a" }',
  }
  for given, expected in pairs(cases) do
    it("refuse " .. given, function()
      local text = "local options = ...\nlocal _ = options(" .. given .. ", 'run')"
      local ok, e = pcall(assert(load(text, "=flow.lua")), build.options)
      assert.is_false(ok)
      assert.equal("flow.lua:2: run: " .. expected, e.message)
      assert.is_true(errors.is(e, "ConfigError"))
    end)
  end
end)
