local astrum = require "astrum"
local errors = require "astrum.error"
local registry = require "astrum.registry"

-- Declares a task with these options, as the file flow.lua.
local function declare(given)
  local mine = registry.SchedulerRegistry "mine"
  local env = {
    task = mine.task,
    F = astrum.F,
    Ref = astrum.Ref,
    T = astrum.T,
    param = astrum.param,
    other = registry.SchedulerRegistry "other",
  }
  local text = "task 'a' { " .. given .. " }"
  local chunk = assert(load(text, "=flow.lua", "t", setmetatable(env, { __index = _G })))
  local ok, e = pcall(chunk)
  return ok, e, mine.index.a, mine
end

local function record_of(given)
  local ok, e, record, mine = declare(given)
  assert.is_true(ok, tostring(e))
  return record, mine
end

local function policy_of(given)
  return record_of("run = print, " .. given).policy
end

local function refuses(cases)
  for given, expected in pairs(cases) do
    it("refuses " .. given, function()
      if not given:find("run =", 1, true) and not given:find("workflow =", 1, true) then
        given = "run = print, " .. given
      end
      local ok, e = declare(given)
      assert.is_false(ok)
      assert.equal("flow.lua:1: " .. expected, tostring(e))
      assert.is_true(errors.is(e, "TaskRegistrationError"))
    end)
  end
end

describe("the option retry", function()
  it("as a number retries at once", function()
    assert.same({ max = 2 }, policy_of("retry = 2").retry)
    assert.equal(2, record_of("run = print, retry = 2.0").retry)
  end)

  it("as a table has defaults", function()
    assert.same({
      max = 3,
      delay = 500000000,
      backoff = 2.0,
      max_delay = 128000000000,
      jitter = true,
    }, policy_of("retry = {}").retry)
  end)

  it("as a table keeps what is given, in nanoseconds", function()
    local given = "max = 5, delay = 0.25, backoff = 1, max_delay = 3, jitter = false, on = print"
    local record = record_of("run = print, retry = { " .. given .. " }")
    assert.same({
      max = 5,
      delay = 250000000,
      backoff = 1.0,
      max_delay = 3000000000,
      jitter = false,
      on = print,
    }, record.policy.retry)
    assert.equal(5, record.retry)
  end)

  it("may have no delay", function()
    assert.same({ max = 4 }, policy_of("retry = { max = 4, delay = 0 }").retry)
  end)

  it("waits longer than the default bound when the delay is longer", function()
    local retry = policy_of("retry = { delay = 300 }").retry
    assert.equal(300000000000, retry.delay)
    assert.equal(300000000000, retry.max_delay)
  end)

  refuses {
    ["retry = { maks = 1 }"] = "task 'a': retry: unknown option 'maks'\nhelp: did you mean 'max'?",
    ["retry = { 3 }"] = "task 'a': retry: unknown option 1\n"
      .. "help: the options are: max, delay, backoff, max_delay, jitter, on",
    ["retry = { max = -1 }"] = "task 'a': retry.max is a whole number from 0 to 4294967295, got -1",
    ["retry = { max = 1.5 }"] = "task 'a': retry.max is a whole number from 0 to 4294967295, "
      .. "got 1.5",
    ["retry = { max = '2' }"] = "task 'a': retry.max is a whole number from 0 to 4294967295, "
      .. "got '2'",
    ["retry = { delay = -1 }"] = "task 'a': retry.delay is a number of seconds, 0 or more, got -1",
    ["retry = { delay = 'long' }"] = "task 'a': retry.delay is a number of seconds, 0 or more, "
      .. "got 'long'",
    ["retry = { delay = 0/0 }"] = "task 'a': retry.delay is a number of seconds, 0 or more, got "
      .. tostring(0 / 0),
    ["retry = { backoff = 0.5 }"] = "task 'a': retry.backoff is a number, 1 or more, got 0.5",
    ["retry = { backoff = math.huge }"] = "task 'a': retry.backoff is a number, 1 or more, got inf",
    ["retry = { max_delay = 0 }"] = "task 'a': retry.max_delay is a number of seconds above 0, "
      .. "got 0",
    ["retry = { max_delay = 0.1 }"] = "task 'a': retry.max_delay is shorter than retry.delay, "
      .. "0.1 < 0.5\nhelp: the first wait is the delay; no wait is longer than max_delay",
    ["retry = { delay = 3, max_delay = 2 }"] = "task 'a': retry.max_delay is shorter than "
      .. "retry.delay, 2 < 3\nhelp: the first wait is the delay; no wait is longer than max_delay",
    ["retry = { jitter = 1 }"] = "task 'a': retry.jitter is true or false, got 1",
    ["retry = { on = true }"] = "task 'a': retry.on is a function, got true\n"
      .. "help: write on = function(err) return ... end",
    ["retry = { delay = 0, backoff = 2 }"] = "task 'a': retry.backoff changes a delay, but "
      .. "retry.delay is 0\nhelp: give a delay, as in delay = 0.5, or leave backoff out",
    ["retry = { delay = 0, max_delay = 2 }"] = "task 'a': retry.max_delay changes a delay, but "
      .. "retry.delay is 0\nhelp: give a delay, as in delay = 0.5, or leave max_delay out",
    ["retry = { delay = 0, jitter = true }"] = "task 'a': retry.jitter changes a delay, but "
      .. "retry.delay is 0\nhelp: give a delay, as in delay = 0.5, or leave jitter out",
  }
end)

describe("times of a task", function()
  it("are nanoseconds", function()
    local policy = policy_of "timeout = 2, idle_timeout = 0.5, cancel_grace = 1e-3"
    assert.same({ timeout = 2000000000, idle_timeout = 500000000, cancel_grace = 1000000 }, policy)
    assert.equal("integer", math.type(policy.idle_timeout))
  end)

  it("are never nothing when they are more than nothing", function()
    assert.equal(1, policy_of("timeout = 1e-12").timeout)
  end)

  it("keep whole seconds exactly", function()
    assert.equal(9223372036000000000, policy_of("timeout = 9223372036").timeout)
  end)

  it("may leave no time between TERM and KILL", function()
    assert.equal(0, policy_of("cancel_grace = 0").cancel_grace)
  end)

  refuses {
    ["timeout = 0"] = "task 'a': timeout is a number of seconds above 0, got 0",
    ["timeout = -1"] = "task 'a': timeout is a number of seconds above 0, got -1",
    ["timeout = '5s'"] = "task 'a': timeout is a number of seconds above 0, got '5s'",
    ["timeout = {}"] = "task 'a': timeout is a number of seconds above 0, got a table",
    ["timeout = math.huge"] = "task 'a': timeout is a number of seconds above 0, got inf",
    ["timeout = 1e10"] = "task 'a': timeout is at most 9223372036 seconds, got 10000000000.0\n"
      .. "help: leave it out for no limit",
    ["idle_timeout = 0"] = "task 'a': idle_timeout is a number of seconds above 0, got 0",
    ["cancel_grace = -1"] = "task 'a': cancel_grace is a number of seconds, 0 or more, got -1",
    ["timeout = 1, idle_timeout = 1"] = "task 'a': idle_timeout is not shorter than timeout, "
      .. "so it never comes\nhelp: make it shorter, or leave one of them out",
  }
end)

describe("the options pool, pools and priority", function()
  it("are kept, pools sorted by name", function()
    assert.same({ { name = "db", units = 1 } }, policy_of("pool = 'db'").pools)
    assert.same(
      { { name = "db", units = 1 }, { name = "gpu", units = 2 } },
      policy_of("pools = { gpu = 2.0, db = 1 }").pools
    )
    assert.equal(-2147483648, policy_of("priority = -2147483648").priority)
  end)

  refuses {
    ["pool = 1"] = "task 'a': pool is the name of a pool, got 1\n"
      .. "help: for several write pools = { db = 1, gpu = 2 }",
    ["pool = { db = 1 }"] = "task 'a': pool is the name of a pool, got a table\n"
      .. "help: for several write pools = { db = 1, gpu = 2 }",
    ["pools = 'db'"] = "task 'a': pools is a table of units by pool, got 'db'\n"
      .. "help: write pools = { db = 1, gpu = 2 }",
    ["pools = { 'db' }"] = "task 'a': pools: 1 is no name of a pool\n"
      .. "help: write pools = { db = 1, gpu = 2 }",
    ["pools = {}"] = "task 'a': pools names no pool\nhelp: write pools = { db = 1, gpu = 2 }",
    ["pools = { db = 0 }"] = "task 'a': pools.db is a whole number from 1 to 4294967295, got 0",
    ["pool = 'db', pools = { db = 1 }"] = "task 'a': pool and pools are both given\n"
      .. "help: write pools = { db = 1, gpu = 2 } for several",
    ["priority = 0.5"] = "task 'a': priority is a whole number from -2147483648 to 2147483647, "
      .. "got 0.5",
    ["priority = 2147483648"] = "task 'a': priority is a whole number from -2147483648 to "
      .. "2147483647, got 2147483648",
  }
end)

describe("the options trigger, executor, around and sensitive", function()
  it("are kept", function()
    local record = record_of [[run = print, trigger = "none_failed_min_one_success",
      executor = "process", around = print, sensitive = true]]
    assert.same({ trigger = "none_failed_min_one_success", executor = "process" }, record.policy)
    assert.equal(print, record.around)
    assert.is_true(record.sensitive)
  end)

  refuses {
    ["trigger = 'all_sucess'"] = "task 'a': trigger is the name of a trigger, got 'all_sucess'\n"
      .. "help: did you mean 'all_success'?",
    ["trigger = 1"] = "task 'a': trigger is the name of a trigger, got 1\n"
      .. "help: the triggers are: all_success, all_done, all_failed, one_success, one_failed, "
      .. "none_failed, none_failed_min_one_success, always",
    ["executor = 'remote'"] = "task 'a': executor = 'remote' is not there yet\n"
      .. "help: use 'loop', 'thread' or 'process'",
    ["executor = 'proces'"] = "task 'a': executor is 'loop', 'thread' or 'process', got 'proces'\n"
      .. "help: did you mean 'process'?",
    ["executor = 'x'"] = "task 'a': executor is 'loop', 'thread' or 'process', got 'x'\n"
      .. "help: leave it out to run the body in the loop",
    ["executor = 'fork'"] = "task 'a': executor is 'loop', 'thread' or 'process', got 'fork'\n"
      .. "help: did you mean 'process'?",
    ["around = 1"] = "task 'a': around is a function, got number",
    ["sensitive = 1"] = "task 'a': sensitive is a boolean, got number",
    ["timeoutt = 1"] = "task 'a': unknown option 'timeoutt'\nhelp: did you mean 'timeout'?",
  }
end)

describe("a map", function()
  it("has its lists sorted by parameter, and items among the inputs", function()
    local record = record_of [[map = { b = F.numbers, a = { 1, 2 } }, inputs = { x = "EUR" },
      run = function(b, x, a) end]]
    assert.same({ "a", "b" }, { record.map[1].parameter, record.map[2].parameter })
    assert.same({ "constant", "reference" }, { record.map[1].input.kind, record.map[2].input.kind })
    assert.same({
      { parameter = "b", kind = "item", item = 2 },
      { parameter = "x", kind = "constant", value = "EUR" },
      { parameter = "a", kind = "item", item = 1 },
      n = 3,
    }, record.inputs)
  end)

  it("takes what an input takes", function()
    local record = record_of [[run = function(a, b, c, d, e) end, map = {
      a = F.x.y, b = Ref("list", F.z), c = { F.x, 1 }, d = print, e = param("rows") }]]
    local kinds = {}
    for k, list in ipairs(record.map) do
      kinds[k] = list.input.kind
    end
    assert.same({ "reference", "reference", "template", "function", "param" }, kinds)
    assert.equal("list", record.map[2].input.type)
    assert.is_true(record.has_params)
  end)

  it("may feed the table of all inputs", function()
    local record = record_of "map = { item = F.x }, run = function(inputs) end"
    assert.same({ parameter = "item", kind = "item", item = 1, hidden = true }, record.inputs[2])
  end)

  it("keeps its limits", function()
    local record = record_of [[map = { item = F.x }, run = function(item) end, max_items = 10,
      max_concurrency = 2, on_item_failure = "collect", detached = true]]
    assert.same({ max_items = 10, max_concurrency = 2, on_item_failure = "collect" }, record.policy)
  end)

  it("may be a list with its number of elements in n", function()
    local record = record_of "map = { item = { 1, nil, 3, n = 3 } }, run = function(item) end"
    assert.equal(3, record.map[1].input.value.n)
  end)

  refuses {
    ["map = F.x, run = print"] = "task 'a': map is a table of lists by parameter, got the "
      .. "reference F.x\n"
      .. "help: write map = { item = F.<task> }",
    ["map = Ref('list', F.x), run = print"] = "task 'a': map is a table of lists by parameter, "
      .. "got a table\nhelp: write map = { item = F.<task> }",
    ["map = {}, run = print"] = "task 'a': map names no list\n"
      .. "help: write map = { item = F.<task> }",
    ["map = { F.x }, run = print"] = "task 'a': map: 1 is no name of a parameter\n"
      .. "help: write map = { item = F.<task> }",
    ["map = { item = 3 }, run = function(item) end"] = "task 'a': map 'item' is a list, "
      .. "got number\nhelp: write map = { item = F.<task> }",
    ["map = { item = { x = 1 } }, run = function(item) end"] = "task 'a': map 'item' is a list "
      .. "from 1 without holes and other keys",
    ["map = { item = Ref('string', F.x) }, run = function(item) end"] = "task 'a': map 'item' is "
      .. "a list, but its type is 'string'\nhelp: write 'list'",
    ["map = { item = param('p', { type = 'integer?' }) }, run = function(item) end"] = "task 'a': "
      .. "map 'item' is a list, but its type is 'integer?'\nhelp: write 'list'",
    ["map = { item = T('b', 'f', 'p') }, run = function(item) end"] = "task 'a': map 'item' is a "
      .. "T\nhelp: T belongs in outputs",
    ["map = { item = F }, run = function(item) end"] = "task 'a': map 'item' is F itself\n"
      .. "help: name a task, as in F.load_order",
    ["map = { a = { 1, 2 }, b = { 1 } }, run = function(a, b) end"] = "task 'a': map 'a' has 2 "
      .. "items, 'b' has 1\nhelp: lists of one map have one length",
    ["map = { a = { 1, 2 } }, max_items = 1, run = function(a) end"] = "task 'a': map 'a' has 2 "
      .. "items, more than max_items = 1",
    ["map = { item = F.x }, run = function() end"] = "task 'a': map 'item' is never received by "
      .. "run\nhelp: name a parameter after it, or take the parameter 'inputs'",
    ["map = { itm = F.x }, run = function(item) end"] = "task 'a': parameter 'item' has no input\n"
      .. "help: did you mean 'itm'?",
    ["map = { item = F.x }, run = print"] = "task 'a': run's parameter names are not visible "
      .. "(C function)\nhelp: wrap it: run = function(item) return value(item) end",
    ["map = { item = F.x }, inputs = { F.y }, run = function(item) end"] = "task 'a': a map needs "
      .. "its inputs by name\nhelp: write inputs = { name = F.<task>.<field> }",
    ["map = { item = F.x }, inputs = { item = 1 }, run = function(item) end"] = "task 'a': 'item' "
      .. "is in inputs and in map\nhelp: keep one of the two",
    ["map = { ctx = F.x }, run = function(ctx) end"] = "task 'a': map 'ctx' has the name of a "
      .. "reserved parameter\nhelp: choose another name for this input and its parameter",
    ["max_items = 1"] = "task 'a': max_items belongs to a map\n"
      .. "help: add map = { item = F.<task> }, or leave max_items out",
    ["max_concurrency = 1"] = "task 'a': max_concurrency belongs to a map\n"
      .. "help: add map = { item = F.<task> }, or leave max_concurrency out",
    ["on_item_failure = 'skip'"] = "task 'a': on_item_failure belongs to a map\n"
      .. "help: add map = { item = F.<task> }, or leave on_item_failure out",
    ["map = { item = F.x }, run = function(item) end, max_items = 0"] = "task 'a': max_items is a "
      .. "whole number from 1 to 4294967295, got 0",
    ["map = { item = F.x }, run = function(item) end, max_concurrency = 0"] = "task 'a': "
      .. "max_concurrency is a whole number from 1 to 4294967295, got 0",
    ["map = { item = F.x }, run = function(item) end, on_item_failure = 'colect'"] = "task 'a': "
      .. "on_item_failure is 'fail', 'collect' or 'skip', got 'colect'\n"
      .. "help: did you mean 'collect'?",
  }
end)

describe("a condition", function()
  it("takes inputs by name", function()
    local record = record_of [[inputs = { x = F.x, y = 1 }, run = function(x, y, ctx) end,
      when = function(y, ctx, inputs) return y end]]
    assert.same({ "y", "ctx", "inputs", n = 3 }, record.when.parameters)
  end)

  it("takes inputs by position, some or all", function()
    local inputs = "inputs = { F.x, 1, 2 }, run = function(a, b, c) end, "
    assert.equal(2, record_of(inputs .. "when = function(p, q) end").when.count)
    assert.equal(3, record_of(inputs .. "when = function(...) end").when.count)
    assert.equal(0, record_of(inputs .. "when = function() end").when.count)
  end)

  it("may be a C function when there are no inputs", function()
    assert.same({ fn = print, count = 0 }, record_of("run = print, when = print").when)
  end)

  it("may take items of a map", function()
    local record = record_of [[map = { item = F.x }, run = function(item) end,
      when = function(item) end]]
    assert.same({ "item", n = 1 }, record.when.parameters)
  end)

  it("may take what other tasks push", function()
    assert.truthy(record_of("run = function(x) end, when = function(x) end").when)
  end)

  refuses {
    ["when = true"] = "task 'a': when is a function, got boolean\n"
      .. "help: write when = function(...) return true end, with inputs of the task as parameters",
    ["inputs = { total = 1 }, run = function(total) end, when = function(totl) end"] = "task 'a': "
      .. "when has the parameter 'totl', which is no input of the task\n"
      .. "help: did you mean 'total'?",
    ["run = function() end, when = function(x) end"] = "task 'a': when has the parameter 'x', "
      .. "which is no input of the task\nhelp: there are no inputs",
    ["inputs = { 1 }, run = function(x) end, when = function(x, y) end"] = "task 'a': when takes "
      .. "2 parameters, but inputs lists 1",
    ["inputs = { x = 1 }, run = function(x) end, when = function(...) end"] = "task 'a': when's "
      .. "parameter names are not visible (function(...))\n"
      .. "help: wrap it: when = function(name) return value(name) end",
    ["inputs = { x = 1 }, run = function(x) end, when = print"] = "task 'a': when's parameter "
      .. "names are not visible (C function)\n"
      .. "help: wrap it: when = function(name) return value(name) end",
  }
end)

describe("a task that is a workflow", function()
  it("has inputs by name", function()
    local record = record_of [[workflow = other, inputs = { z = 1, b = F.x }, map = { c = F.y },
      retry = 1, timeout = 5, when = function(b) end, sensitive = true]]
    assert.equal("other", record.workflow.namespace)
    assert.is_nil(record.run)
    assert.same({
      { "b", "reference" },
      { "c", "item" },
      { "z", "constant" },
    }, {
      { record.inputs[1].parameter, record.inputs[1].kind },
      { record.inputs[2].parameter, record.inputs[2].kind },
      { record.inputs[3].parameter, record.inputs[3].kind },
    })
  end)

  refuses {
    ["workflow = other, run = print"] = "task 'a': run and workflow are both given\n"
      .. "help: keep one of the two",
    ["workflow = 'other'"] = "task 'a': workflow is a registry, got 'other'\n"
      .. 'help: write workflow = astrum.workflow "name" { ... } or astrum.namespace "name"',
    ["workflow = {}"] = "task 'a': workflow is a registry, got a table\n"
      .. 'help: write workflow = astrum.workflow "name" { ... } or astrum.namespace "name"',
    ["workflow = other, inputs = { F.x }"] = "task 'a': inputs of a workflow have names, those of "
      .. "its params\nhelp: write inputs = { name = F.<task>.<field> }",
    ["workflow = other, inputs = { ctx = 1 }"] = "task 'a': input 'ctx' has the name of a reserved "
      .. "parameter\nhelp: choose another name for this input and its parameter",
    ["workflow = other, executor = 'loop'"] = "task 'a': executor belongs to a body, and a "
      .. "workflow has none\nhelp: give it to the tasks of the workflow",
    ["workflow = other, idle_timeout = 1"] = "task 'a': idle_timeout belongs to a body, and a "
      .. "workflow has none\nhelp: give it to the tasks of the workflow",
    ["workflow = other, cancel_grace = 1"] = "task 'a': cancel_grace belongs to a body, and a "
      .. "workflow has none\nhelp: give it to the tasks of the workflow",
    ["workflow = other, around = print"] = "task 'a': around belongs to a body, and a workflow "
      .. "has none\nhelp: give it to the tasks of the workflow",
  }
end)

describe("the view of a declaration", function()
  it("has the options as they were given", function()
    local _, mine = record_of [[map = { item = F.x }, run = function(item) end, timeout = 2,
      retry = { max = 4 }, pools = { db = 1 }, trigger = "all_done", when = print2,
      max_items = 3, on_item_failure = "skip", sensitive = true]]
    local view = mine:get_task "a"
    assert.same({ max = 4 }, view.retry)
    assert.same({ db = 1 }, view.pools)
    assert.same({ 2, "all_done", 3, "skip", true }, {
      view.timeout,
      view.trigger,
      view.max_items,
      view.on_item_failure,
      view.sensitive,
    })
    assert.equal("F.x", tostring(view.map.item))
  end)

  it("can be declared again by hand, with all options", function()
    local mine = registry.SchedulerRegistry "mine"
    mine.task("x", function() end)
    mine.task("a", {
      map = { item = astrum.Ref("list", astrum.F.x, { sensitive = true }) },
      inputs = { region = astrum.param("region", { default = "EU" }) },
      when = function(item)
        return item
      end,
      retry = { max = 4, delay = 1 },
      timeout = 2,
      priority = 3,
      max_items = 3,
      on_item_failure = "skip",
      executor = "process",
      run = function(item, region)
        return item, region
      end,
    })
    local again = registry.SchedulerRegistry "again"
    for _, pair in ipairs(mine:build_tasks()) do
      again.task(pair[1], pair[2])
    end
    local first, second = mine.index.a, again.index.a
    for _, key in ipairs { "policy", "when", "map", "inputs", "retry" } do
      assert.same(first[key], second[key], key)
    end
  end)
end)

describe("a policy that was declared before", function()
  it("is shared by declarations that say the same", function()
    local given = "retry = { max = 2, delay = 1 }, timeout = 5"
    assert.equal(policy_of(given), policy_of(given))
  end)

  it("is not that of a declaration that says something else", function()
    assert.same({ retry = { max = 2 } }, policy_of "retry = 2")
    assert.same({ retry = { max = 3 } }, policy_of "retry = 3")
    assert.same({ retry = { max = 2 }, priority = 2 }, policy_of "retry = 2, priority = 2")
    assert.same({ priority = 2 }, policy_of "priority = 2")
    assert.equal(1, policy_of("retry = { max = 1 }").retry.max)
    assert.equal(3, policy_of("retry = {}").retry.max)
  end)

  it("does not let a wrong one pass that looks like it", function()
    policy_of "retry = {}"
    assert.is_false((declare "run = print, retry = true"))
    policy_of "retry = { max = 2 }"
    assert.is_false((declare 'run = print, retry = { max = "2" }'))
    assert.is_false((declare "run = print, retry = { max = 2, times = 2 }"))
    record_of "run = function(x) end, map = { x = { 1 } }, max_items = 3"
    assert.is_false((declare "run = print, max_items = 3"))
    assert.is_false((declare "run = print, timeout = 0/0"))
  end)

  it("keeps no function of the user alive", function()
    local held = setmetatable({}, { __mode = "k" })
    local mine = registry.SchedulerRegistry "short"
    do
      local function on() end
      held[on] = true
      mine.task("a", { retry = { max = 2, on = on }, run = function() end })
      mine:clear()
    end
    collectgarbage()
    collectgarbage()
    assert.is_nil(next(held))
  end)
end)
