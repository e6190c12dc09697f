-- luacheck: no unused args
local build = require "astrum.build"
local core = require "astrum.core"
local errors = require "astrum.error"
local builds = require "spec.support.builds"

local build_flow, mistakes_of = builds.build_flow, builds.mistakes_of

-- The only mistake, as place, text and help.
local function mistake_of(text, given)
  local e = mistakes_of(text, given)
  assert.equal(1, #e.errors, e.message)
  return e.message, e.errors[1]
end

local function policy_of(options, config)
  local given = { config = config }
  return build_flow("task 'a' { run = body, " .. options .. " }", given).tasks[1].policy
end

describe("the policy that applies", function()
  it("is all default for a plain task", function()
    assert.same({
      retry = 0,
      priority = 0,
      executor = "loop",
      cancel_grace = 5000000000,
      trigger = "all_success",
    }, policy_of "")
  end)

  it("has all options, and what the graph takes", function()
    local workflow = build_flow(
      [[
      task "list" { run = body }
      task "a" {
        map = { item = F.list }, run = function(item) end,
        retry = { max = 2, delay = 1, backoff = 3, max_delay = 9, jitter = false, on = print },
        timeout = 5, idle_timeout = 1, pools = { gpu = 2, db = 1 }, priority = 7,
        trigger = "none_failed", max_items = 10, max_concurrency = 4,
        on_item_failure = "collect", detached = true, cancel_grace = 2, executor = "process",
      }]],
      { config = { pools = { gpu = 2, api = 1, db = 1 } } }
    )
    local policy = workflow.tasks[2].policy
    assert.same({
      max_retries = 2,
      delay = 1000000000,
      max_delay = 9000000000,
      backoff = 3.0,
      jitter = false,
      detached = true,
      timeout = 5000000000,
      idle_timeout = 1000000000,
      pools = { { pool = 1, units = 1 }, { pool = 2, units = 2 } },
      priority = 7,
      trigger = 5,
      map = true,
      tolerant = true,
      max_items = 10,
      max_concurrency = 4,
    }, policy.graph)
    policy = setmetatable({ graph = false }, { __index = policy })
    assert.equal(2, policy.retry)
    assert.equal(print, policy.retry_on)
    assert.equal("collect", policy.on_item_failure)
    assert.equal(2000000000, policy.cancel_grace)
    assert.equal("process", policy.executor)
    assert.equal("none_failed", policy.trigger)
    assert.same({ { name = "db", units = 1 }, { name = "gpu", units = 2 } }, policy.pools)
    assert.same({ "api", "db", "gpu" }, workflow.pools)
  end)

  it("takes what a task does not say from the configuration", function()
    local config = {
      defaults = { retry = 3, timeout = 2, idle_timeout = 1, priority = 4, executor = "process" },
      cancel_grace = 1,
    }
    local policy = policy_of("", config)
    assert.same({ 3, 2000000000, 1000000000, 4, "process", 1000000000 }, {
      policy.retry,
      policy.timeout,
      policy.idle_timeout,
      policy.priority,
      policy.executor,
      policy.cancel_grace,
    })
    assert.same({
      max_retries = 3,
      timeout = 2000000000,
      idle_timeout = 1000000000,
      priority = 4,
    }, policy.graph)
  end)

  it("prefers what the task says, no retry and priority 0 too", function()
    local config = {
      defaults = { retry = { max = 3, on = print }, priority = 4, cancel_grace = 3 },
    }
    local policy = policy_of("retry = 0, priority = 0, executor = 'loop'", config)
    assert.same({ 0, 0, "loop", 3000000000 }, {
      policy.retry,
      policy.priority,
      policy.executor,
      policy.cancel_grace,
    })
    assert.is_nil(policy.retry_on)
    assert.is_nil(policy.graph)
    assert.equal(1, policy_of("retry = 1", config).retry)
  end)

  it("is one table for equal policies", function()
    local workflow = build_flow [[
      task "a" { run = body }
      task "b" { run = body }
      task "c" { run = body, retry = 1, timeout = 2 }
      task "d" { run = body, retry = 1, timeout = 2 }
      task "e" { run = body, retry = 1, timeout = 3 }
      task "f" { run = body, retry = { max = 1, delay = 0, on = print } }
      task "g" { run = body, retry = { max = 1, delay = 0, on = type } }]]
    local tasks = workflow.tasks
    assert.equal(tasks[1].policy, tasks[2].policy)
    assert.equal(tasks[3].policy, tasks[4].policy)
    assert.not_equal(tasks[4].policy, tasks[5].policy)
    assert.not_equal(tasks[6].policy, tasks[7].policy)
  end)

  it("numbers the triggers as the library does", function()
    local names = { "all_done", "all_failed", "one_success", "one_failed" }
    names[#names + 1] = "none_failed"
    names[#names + 1] = "none_failed_min_one_success"
    names[#names + 1] = "always"
    for number, name in ipairs(names) do
      local text = "task 'b' { run = body }\ntask 'a' { run = body, depends_on = { 'b' }, "
      local workflow = build_flow(text .. "trigger = '" .. name .. "' }")
      assert.equal(number, workflow.tasks[2].policy.graph.trigger)
    end
  end)

  it("goes with a task of a graph made by hand", function()
    local workflow = require("astrum.manual").workflow {
      tasks = { { "a", { run = print, timeout = 1, retry = { max = 3, delay = 2 } } } },
      task_retries = { a = 5 },
      config = { deadline = 4 },
    }
    assert.same({ max_retries = 5, timeout = 1000000000 }, workflow.tasks[1].policy.graph)
    assert.equal(4000000000, workflow.settings.deadline)
  end)
end)

describe("a build is refused", function()
  it("when a pool is not declared", function()
    local text = "task 'a' { run = body, pool = 'bd' }"
    local message, e = mistake_of(text, { config = { pools = { db = 1 } } })
    assert.equal(
      "flow.lua:1: task 'a': pool 'bd' is not declared\nhelp: did you mean 'db'?",
      message
    )
    assert.is_true(errors.is(e, "ConfigError"))
    assert.equal(
      "flow.lua:1: task 'a': pool 'bd' is not declared\n"
        .. "help: declare it in config, as in pools = { bd = 2 }",
      (mistake_of(text))
    )
  end)

  it("when two tasks take a pool that is not declared, which is no help for each other", function()
    local text = "task 'a' { run = body, pool = 'db' } task 'b' { run = body, pool = 'db' }"
    local expected = "flow.lua:1: task '%s': pool 'db' is not declared\n"
      .. "help: declare it in config, as in pools = { db = 2 }"
    local message = expected:format "a" .. "\n\n" .. expected:format "b"
    assert.equal(message, mistakes_of(text).message)
  end)

  it("when a task wants more units than a pool has", function()
    assert.equal(
      "flow.lua:1: task 'a': takes 3 units of pool 'db', which has 2\n"
        .. "help: it could never start; take fewer, or give the pool more slots",
      (
        mistake_of(
          "task 'a' { run = body, pools = { db = 3, api = 9 } }",
          { config = { pools = { db = 2, api = { rate = { 1, per = 1 } } } } }
        )
      )
    )
  end)

  for _, trigger in ipairs {
    "all_failed",
    "one_success",
    "one_failed",
    "none_failed",
    "none_failed_min_one_success",
  } do
    it("when nothing is upstream of the trigger " .. trigger, function()
      assert.equal(
        "flow.lua:1: task 'a': trigger = '"
          .. trigger
          .. "', but nothing is upstream\nhelp: add a dependency, or leave trigger out",
        (mistake_of("task 'a' { run = body, trigger = '" .. trigger .. "' }"))
      )
    end)
  end

  it("for one reason when the task upstream does not exist", function()
    mistake_of "task 'a' { run = body, trigger = 'one_failed', depends_on = { 'b' } }"
  end)

  it("when a map reads from an unknown task", function()
    assert.equal(
      "flow.lua:2: task 'a': map 'item' reads from unknown task 'lst'\n"
        .. "help: did you mean 'list'? (declared at flow.lua:1)",
      (
        mistake_of [[task "list" { run = body }
task "a" { map = { item = F.lst }, run = function(item) end }]]
      )
    )
  end)

  it("when a map reads from its own task, at the line of the list", function()
    local _, e = mistake_of [[task "a" {
  run = function(item) end,
  map = { item = F.a },
}]]
    assert.equal("dependency cycle: a -> a", e.text)
    assert.equal(3, e.line)
  end)

  it("when an output goes to a parameter that a map feeds", function()
    assert.equal(
      "flow.lua:2: task 'b': output goes to parameter 'item' of task 'a'\n"
        .. "help: this parameter has an input already; keep one of the two",
      (
        mistake_of [[task "a" { map = { item = { 1 } }, run = function(item) end }
task "b" { run = body, outputs = { T("a", nil, "item") } }]]
      )
    )
  end)
end)

describe("triggers that need no task upstream", function()
  for _, trigger in ipairs { "all_success", "all_done", "always" } do
    it("are built: " .. trigger, function()
      build_flow("task 'a' { run = body, trigger = '" .. trigger .. "' }")
    end)
  end
end)

describe("a map in a build", function()
  it("depends on what its lists come from", function()
    local workflow = build_flow [[
      task "files" { run = body }
      task "sizes" { run = body }
      task "a" { map = { file = F.files, size = { F.sizes.first, 2 } }, inputs = { x = 1 },
        run = function(file, size, x) end }
      task "b" { run = function(sizes) end, inputs = { sizes = F.a } }]]
    assert.same({ "files", "sizes" }, workflow.tasks[3].depends)
    assert.same({ 1, 2 }, workflow.graph:upstream(3))
    assert.same({ map = true }, workflow.tasks[3].policy.graph)
    assert.equal("fail", workflow.tasks[3].policy.on_item_failure)
  end)

  it("brings the tasks of its lists along", function()
    local workflow = build_flow(
      [[task "files" { run = body }
      task "other" { run = body }
      task "a" { map = { file = F.files }, run = function(file) end }]],
      { target_tasks = { "a" } }
    )
    assert.equal(2, #workflow.tasks)
  end)

  it("that skips failed items is tolerant", function()
    local text = "task 'a' { map = { x = { 1 } }, run = function(x) end, on_item_failure = '"
    assert.is_true(build_flow(text .. "skip' }").tasks[1].policy.graph.tolerant)
    assert.is_nil(build_flow(text .. "fail' }").tasks[1].policy.graph.tolerant)
  end)
end)

describe("a condition in a build", function()
  local function positions_of(text)
    local tasks = build_flow("task 'x' { run = body }\n" .. text).tasks
    return tasks[#tasks].when.positions
  end

  it("knows where its arguments come from", function()
    assert.same(
      { 2, 1 },
      positions_of [[task "a" { inputs = { p = 1, q = F.x },
      run = function(p, q) end, when = function(q, p) end }]]
    )
    assert.same(
      { "context", 1, "inputs" },
      positions_of [[task "a" { inputs = { p = 1 },
      run = function(p) end, when = function(ctx, p, inputs) end }]]
    )
    assert.same(
      { 1, 2 },
      positions_of [[task "a" { inputs = { 1, 2, 3 },
      run = function(p, q, r) end, when = function(a, b) end }]]
    )
    assert.same({}, positions_of [[task "a" { run = body, when = function() end }]])
    assert.same(
      { 2 },
      positions_of [[task "a" { map = { p = { 1 } },
      run = function(inputs) end, when = function(p) end }]]
    )
  end)

  it("finds an input that is only in the table of all inputs, when others are pushed", function()
    local workflow = build_flow [[
      task "x" { run = body, outputs = { T("a", nil, "m") } }
      task "a" { inputs = { z = 1, b = 2 }, run = function(inputs) end,
        when = function(z, b) end }]]
    local task = workflow.tasks[2]
    local found = {}
    for i, position in ipairs(task.when.positions) do
      found[i] = task.inputs[position].parameter
    end
    assert.same({ "z", "b" }, found)
  end)
end)

describe("params of a build", function()
  local text = [[
    local region = param("region", { type = "string" })
    task "a" { inputs = { where = region }, run = function(where) end }
    task "b" { inputs = { param("count", { default = 1 }), region }, run = function(n, w) end }
    task "c" { map = { row = param("rows", { type = "list" }) }, run = function(row) end }]]

  it("are all of the registry, with those that are used", function()
    local workflow = build_flow(text, { target_tasks = { "a" } })
    assert.is_true(workflow.params.region.used)
    assert.is_nil(workflow.params.count.used)
    assert.is_nil(workflow.params.rows.used)
    assert.equal("string", workflow.params.region.type)
    assert.equal(1, workflow.params.region.line)
    assert.is_true(build_flow(text).params.rows.used)
    assert.same({}, build_flow("task 'a' { run = body }").params)
  end)

  it("may be given, not all of them", function()
    local workflow = build_flow(text, { params = { region = "US" } })
    assert.same({ region = "US" }, workflow.param_values)
    assert.same({}, build_flow(text).param_values)
  end)

  it("do not change from one build to the next", function()
    local _, mine = build_flow(text)
    assert.is_nil(build.build(mine, { target_tasks = { "a" } }).params.count.used)
  end)

  it("are checked when they are given", function()
    local e = mistakes_of(text, { params = { regoin = "US", region = 1 } })
    assert.same({
      "param 'region': string expected, got number",
      "unknown param 'regoin'",
    }, { e.errors[1].text, e.errors[2].text })
    assert.equal("did you mean 'region'?", e.errors[2].help)
    assert.is_true(errors.is(e, "ConfigError"))
  end)

  it("must be a table", function()
    local ok, e = pcall(build.options, { params = 1 }, "run")
    assert.is_false(ok)
    assert.equal("run: params is a table of values by name, got number", e.text)
  end)

  it("with one name have one declaration", function()
    local message, e = mistake_of [[local first = param("p", { default = 1 })
local second = param("p", { default = 2 })
task "a" { inputs = { first }, run = function(x) end }
task "b" { inputs = { second }, run = function(x) end }
task "c" { inputs = { second }, run = function(x) end }]]
    assert.equal(
      "flow.lua:2: param 'p' is declared twice with different settings\n"
        .. "help: first declared at flow.lua:1; make it once and use that",
      message
    )
    assert.is_true(errors.is(e, "TaskRegistrationError"))
    build_flow [[task "a" { inputs = { param("p", { default = 1 }) }, run = function(x) end }
      task "b" { inputs = { param("p", { default = 1 }) }, run = function(x) end }]]
  end)
end)

describe("the body of a child process", function()
  local real, real_exports = core.pack_function, core.exports
  after_each(function()
    core.pack_function, core.exports = real, real_exports
  end)

  local text = [[task "a" {
    executor = "process",
    run = function() end,
  }
  task "b" { run = body }]]

  it("is packed", function()
    core.exports = function()
      return "exports"
    end
    core.pack_function = function(body, exports)
      return { body, exports }
    end
    local workflow = build_flow(text)
    assert.same({ workflow.tasks[1].record.run, "exports" }, workflow.tasks[1].packed)
    assert.is_nil(workflow.tasks[2].packed)
  end)

  it("that cannot be packed is refused where it begins", function()
    core.pack_function = function()
      return nil, "upvalue 'socket' is a userdata"
    end
    assert.equal(
      "flow.lua:3: task 'a': executor = 'process': upvalue 'socket' is a userdata\n"
        .. "help: make it inside the body; only functions, data, and what modules export "
        .. "can travel",
      (mistake_of(text))
    )
    core.pack_function = function()
      return nil, "upvalue 'list' has a cycle"
    end
    assert.equal(
      "flow.lua:3: task 'a': executor = 'process': upvalue 'list' has a cycle\n"
        .. "help: make it inside the body; only functions, data, and what modules export "
        .. "can travel",
      (mistake_of(text))
    )
    core.pack_function = function()
      return nil, "the body is a function made by C that no loaded module exports"
    end
    assert.equal(
      "flow.lua:1: task 'a': executor = 'process': the body is a function made by C that no "
        .. "loaded module exports\nhelp: write run = function(...) ... end, and make it or get it "
        .. "from its module in there",
      (mistake_of "task 'a' { executor = 'process', run = print }")
    )
  end)
end)

describe("graph:add", function()
  local function refusal_of(policy)
    local ok, why = pcall(core.graph().add, core.graph(), "a", policy)
    assert.is_false(ok)
    return (why:gsub("^.-%(", "("))
  end

  it("takes every field of a policy", function()
    local graph = core.graph()
    assert.equal(
      1,
      graph:add("a", {
        max_retries = 1,
        delay = 1,
        max_delay = 2,
        backoff = 2,
        jitter = true,
        detached = false,
        timeout = 1,
        idle_timeout = 1,
        pools = { { pool = 0, units = 1 }, { pool = 3, units = 2 } },
        priority = -1,
        trigger = 7,
        map = true,
        tolerant = true,
        max_items = 1,
        max_concurrency = 1,
      })
    )
  end)

  local cases = {
    { { delays = 1 }, "unknown policy 'delays'" },
    { { [1] = 1 }, "policies have names" },
    {
      { max_retries = -1 },
      "policy 'max_retries' must be a whole number from 0 to 4294967295, got -1",
    },
    {
      { delay = -1 },
      "policy 'delay' must be a whole number of nanoseconds, 0 or more, got -1",
    },
    {
      { timeout = "1" },
      "policy 'timeout' must be a whole number of nanoseconds, 0 or more, got string",
    },
    { { backoff = 0.5 }, "policy 'backoff' must be a finite number, 1 or more, got 0.5" },
    { { map = 1 }, "policy 'map' must be a boolean, got 1" },
    { { trigger = 8 }, "policy 'trigger' must be the number of a trigger, got 8" },
    {
      { priority = 1 << 31 },
      "policy 'priority' must be a whole number of 32 bits, got 2147483648",
    },
    {
      { pools = 1 },
      "policy 'pools' must be a list of { pool = number, units = number }, got 1",
    },
    {
      { pools = { { pool = 0, units = 0 } } },
      "policy 'pools' must be a list of { pool = number, units = number }, got table",
    },
  }
  for _, case in ipairs(cases) do
    it("refuses " .. next(case[1]) .. ": " .. case[2], function()
      assert.equal("(" .. case[2] .. ")", refusal_of(case[1]))
    end)
  end
end)
