local errors = require "astrum.error"
local input = require "astrum.input"
local ref = require "astrum.ref"
local registry = require "astrum.registry"

local F, Ref, T = ref.F, ref.Ref, ref.T

-- Runs text as the file flow.lua, with a `task` of a new registry.
local function flow(text)
  local mine = registry.SchedulerRegistry "mine"
  local env = { task = mine.task, F = F, Ref = Ref, T = T }
  local chunk = assert(load(text, "=flow.lua", "t", setmetatable(env, { __index = _G })))
  local ok, result = pcall(chunk)
  return ok, result, mine
end

local function message_of(text)
  local ok, e = flow(text)
  assert.is_false(ok, text)
  assert.is_true(errors.is(e, "TaskRegistrationError"))
  return tostring(e), e
end

local function record_of(text, name)
  local ok, e, mine = flow(text)
  assert.is_true(ok, tostring(e))
  return mine.index[name or "a"]
end

local function inputs_of(text)
  return record_of(text).inputs
end

describe("a declaration", function()
  it("may be a name and a body", function()
    local record = record_of "task('a', function() return 1 end)"
    assert.equal(1, record.run())
    assert.equal(0, record.inputs.n)
  end)

  it("may be a name and a table", function()
    assert.equal(2, record_of("task('a', { run = function() return 2 end })").run())
  end)

  it("may be a name followed by a table", function()
    assert.equal(3, record_of("task 'a' { run = function() return 3 end }").run())
  end)

  it("may be a name followed by a body", function()
    assert.equal(4, record_of("task 'a' (function() return 4 end)").run())
  end)

  it("keeps its options", function()
    local record = record_of [[task "a" {
      description = "adds up",
      retry = 2,
      detached = true,
      depends_on = { "b" },
      outputs = { T("c", "f", "p") },
      run = function() end,
    }]]
    assert.equal("adds up", record.description)
    assert.equal(2, record.retry)
    assert.is_true(record.detached)
    assert.same({ name = "b", source = "flow.lua", line = 1 }, record.depends_on[1])
    assert.same({
      { target = "c", path = { "f", n = 1 }, parameter = "p", source = "flow.lua", line = 6 },
    }, record.outputs)
  end)

  it("has defaults", function()
    local record = record_of "task('a', function() end)"
    assert.same({ 0, false }, { record.retry, record.detached })
    assert.same({}, record.depends_on)
    assert.same({}, record.outputs)
    assert.is_nil(record.description)
    assert.equal("mine", record.namespace)
  end)

  it("is where its name is, however long the table is", function()
    local record = record_of "\ntask 'a' {\n\n\n  run = function() end,\n}"
    assert.same({ "flow.lua", 2 }, { record.source, record.line })
  end)

  it("made by a wrapper is where the wrapper calls task", function()
    local record = record_of [[
local function shout(name)
  local handle = task(name, function() end)
  return handle
end
shout "a"]]
    assert.equal(2, record.line)
  end)

  it("made by a tail call is where the wrapper is called", function()
    local record = record_of [[
local function shout(name)
  return task(name, print)
end

local _ = shout "a"]]
    assert.equal(5, record.line)
  end)

  it("made through pcall is where pcall is called", function()
    assert.equal(2, record_of("\npcall(task, 'a', print)").line)
  end)

  it("gives a handle that is a reference to the whole result", function()
    local _, handle = flow "return task('a', function() end)"
    assert.equal("F.a", tostring(handle))
    assert.equal("F.a.run.name", tostring(handle.run.name))
  end)

  it("may use one closure for many tasks", function()
    local ok, _, mine = flow "local f = function() end\nfor i = 1, 3 do task('t' .. i, f) end"
    assert.is_true(ok)
    assert.equal(3, #mine.records)
  end)
end)

describe("a declaration that is wrong", function()
  local cases = {
    ["has an unknown option"] = {
      "task 'a' { retrys = 1, run = print }",
      "task 'a': unknown option 'retrys'\nhelp: did you mean 'retry'?",
    },
    ["has an option that is like no other"] = {
      "task 'a' { zzzzzzzzzz = 1, run = print }",
      "task 'a': unknown option 'zzzzzzzzzz'\nhelp: the options are: run, inputs, outputs, "
        .. "depends_on, retry, timeout, when, trigger, map, workflow, namespace, description, "
        .. "detached, idle_timeout, pool, pools, priority, max_items, max_concurrency, "
        .. "on_item_failure, sensitive, executor, around, cancel_grace",
    },
    ["has a body without run"] = {
      "task 'a' { function() end }",
      "task 'a': unknown option 1\nhelp: write run = function() ... end",
    },
    ["has no run"] = {
      "task 'a' {}",
      "task 'a' has no run function\n"
        .. "help: write run = function() ... end; a misspelled variable is nil too",
    },
    ["has a command for run"] = {
      "task 'a' { run = 'ls' }",
      "task 'a': run is a function, got string\n"
        .. "help: a command is run by astrum.spawn { ... } inside the function",
    },
    ["has a run that is no function"] = {
      "task 'a' { run = 1 }",
      "task 'a': run is a function, got number\nhelp: write run = function() ... end",
    },
    ["has a callable table for run"] = {
      "task 'a' { run = setmetatable({}, { __call = print }) }",
      "task 'a': run is a function, got table\n"
        .. "help: wrap it: run = function(...) return value(...) end",
    },
    ["has a string for a spec"] = {
      "task('a', 'b')",
      "task 'a': a table of options or a function must follow the name, got string",
    },
    ["has a reference for a spec"] = {
      "task('a', F.b)",
      "task 'a': a table of options or a function must follow the name, got F.b",
    },
    ["has no name"] = {
      "task(function() end)",
      "task: the name is a string, got function\n"
        .. 'help: as in task "load_order" { run = function() ... end }',
    },
    ["has a handle for its name"] = {
      "task(F.b, print)",
      "task: the name is a string, got the reference F.b\n"
        .. 'help: as in task "load_order" { run = function() ... end }',
    },
    ["has an empty name"] = { "task('', print)", "task: the name is empty" },
    ["has a name that is too long"] = {
      "task(('x'):rep(1025), print)",
      "task: the name is longer than 1024 bytes",
    },
    ["has a negative retry"] = {
      "task 'a' { retry = -1, run = print }",
      "Task 'a' retry must be a non-negative integer.\n"
        .. "help: write retry = 3, or in a declaration retry = { max = 3, delay = 1 }",
    },
    ["has half a retry"] = {
      "task 'a' { retry = 0.5, run = print }",
      "Task 'a' retry must be a non-negative integer.\n"
        .. "help: write retry = 3, or in a declaration retry = { max = 3, delay = 1 }",
    },
    ["has a boolean retry"] = {
      "task 'a' { retry = true, run = print }",
      "Task 'a' retry must be a non-negative integer.\n"
        .. "help: write retry = 3, or in a declaration retry = { max = 3, delay = 1 }",
    },
    ["has a retry in a string"] = {
      "task 'a' { retry = '1', run = print }",
      "Task 'a' retry must be a non-negative integer.\n"
        .. "help: write retry = 3, or in a declaration retry = { max = 3, delay = 1 }",
    },
    ["has an endless retry"] = {
      "task 'a' { retry = 1 << 32, run = print }",
      "task 'a': retry is at most 4294967295",
    },
    ["has a description that is no string"] = {
      "task 'a' { description = 1, run = print }",
      "task 'a': description is a string, got number",
    },
    ["has detached that is no boolean"] = {
      "task 'a' { detached = 'yes', run = print }",
      "task 'a': detached is a boolean, got string",
    },
    ["has depends_on that is no list"] = {
      "task 'a' { depends_on = 'b', run = print }",
      "task 'a': depends_on is a list, got 'b'\nhelp: write depends_on = { \"b\" }",
    },
    ["has a hole in depends_on"] = {
      "task 'a' { depends_on = { 'b', nil, 'c' }, run = print }",
      "task 'a': depends_on[2] is nil\nhelp: write depends_on = { \"a\", handle }",
    },
    ["depends on a field"] = {
      "task 'a' { depends_on = { F.b.c }, run = print }",
      "task 'a': depends_on[1] is the name or the handle of a task, got F.b.c, which is a field\n"
        .. 'help: write depends_on = { "a", handle }',
    },
    ["depends on a number"] = {
      "task 'a' { depends_on = { 1 }, run = print }",
      "task 'a': depends_on[1] is the name or the handle of a task, got number\n"
        .. 'help: write depends_on = { "a", handle }',
    },
    ["has outputs that are not made by T"] = {
      "task 'a' { outputs = { 'b' }, run = print }",
      "task 'a': outputs[1] is not made by T\n"
        .. 'help: write outputs = { T("target", "field", "parameter") }',
    },
    ["has outputs without a list"] = {
      "task 'a' { outputs = T('b', 'c', 'd'), run = print }",
      "task 'a': outputs is a list, got a table with other keys\n"
        .. 'help: write outputs = { T("target", "field", "parameter") }',
    },
    ["has inputs that are no table"] = {
      "task 'a' { inputs = F.b, run = print }",
      "task 'a': inputs is a table, got the reference F.b\n"
        .. "help: write inputs = { name = F.task.field } or inputs = { F.task.field }",
    },
    ["is never given its table"] = {
      "task 'a' (nil)",
      "task 'a': the table of options or the function is nil",
    },
    ["names another namespace than its registry's"] = {
      "task 'a' { namespace = 'other', run = print }",
      "task 'a': namespace 'other' does not fit the registry of namespace 'mine'\n"
        .. "help: leave the option out, or declare it with astrum.task",
    },
    ["has a namespace that is no string"] = {
      "task 'a' { namespace = 1, run = print }",
      "task 'a': namespace is a string, got number",
    },
  }
  for what, case in pairs(cases) do
    it("is refused when it " .. what, function()
      assert.equal("flow.lua:1: " .. case[2], (message_of("local _ = " .. case[1])))
    end)
  end

  it("says which task it is", function()
    local _, e = message_of "task 'a' {}"
    assert.equal("a", e.task)
    assert.same({ "flow.lua", 1 }, { e.source, e.line })
  end)

  it("cannot smuggle commands to the terminal", function()
    assert.equal(
      "flow.lua:1: task '\\x1B[2J': description is a string, got number",
      (message_of "task '\27[2J' { run = print, description = 1 }")
    )
  end)

  it("is found at the second of two declarations of one name", function()
    assert.equal(
      "flow.lua:3: task 'a' is declared twice in namespace 'mine'\n"
        .. "help: first declared at flow.lua:1; give one of them another name",
      (message_of "task('a', print)\n\ntask 'a' { run = print }")
    )
  end)
end)

describe("inputs with names", function()
  it("stand in the order of the parameters", function()
    local inputs = inputs_of [[task "a" {
      inputs = { third = 3, first = F.b, second = F.c.d },
      run = function(first, second, third) end,
    }]]
    assert.equal(3, inputs.n)
    assert.same({ "first", "second", "third" }, {
      inputs[1].parameter,
      inputs[2].parameter,
      inputs[3].parameter,
    })
    assert.equal("F.b", tostring(inputs[1].reference))
    assert.equal("F.c.d", tostring(inputs[2].reference))
    assert.same({ parameter = "third", kind = "constant", value = 3 }, inputs[3])
  end)

  it("may be references with a type and a default", function()
    local inputs = inputs_of [[task "a" {
      inputs = { x = Ref("integer?", F.b.n, { default = 7 }) },
      run = function(x) end,
    }]]
    assert.equal("reference", inputs[1].kind)
    assert.equal("F.b.n", tostring(inputs[1].reference))
    assert.same({ "integer?", 7, true }, {
      inputs[1].type,
      inputs[1].default,
      inputs[1].has_default,
    })
  end)

  it("may have false for a default and for a value", function()
    local inputs = inputs_of [[task "a" {
      inputs = { x = Ref("boolean", F.b.n, { default = false }), y = false },
      run = function(x, y) end,
    }]]
    assert.is_true(inputs[1].has_default)
    assert.is_false(inputs[1].default)
    assert.same({ parameter = "y", kind = "constant", value = false }, inputs[2])
  end)

  it("may be functions", function()
    local inputs = inputs_of "task 'a' { inputs = { now = os.time }, run = function(now) end }"
    assert.same({ parameter = "now", kind = "function", value = os.time }, inputs[1])
  end)

  it("may be tables, objects and callable tables, which are constants", function()
    local inputs = inputs_of [[task "a" {
      inputs = {
        rates = { SAVE20 = 20 },
        object = setmetatable({}, { __index = F }),
        callable = setmetatable({}, { __call = print }),
      },
      run = function(rates, object, callable) end,
    }]]
    assert.equal("constant", inputs[1].kind)
    assert.same({ SAVE20 = 20 }, inputs[1].value)
    assert.equal("constant", inputs[2].kind)
    assert.equal("constant", inputs[3].kind)
  end)

  it("may be tables that contain references, which are templates", function()
    local inputs = inputs_of [[task "a" {
      inputs = { parts = { F.b, { F.c.x } } },
      run = function(parts) end,
    }]]
    assert.equal("template", inputs[1].kind)
    assert.equal(2, #inputs[1].references)
    assert.equal("F.b", tostring(inputs[1].value[1]))
  end)

  it("leave the reserved parameters to the engine", function()
    local inputs = inputs_of [[task "a" {
      inputs = { x = 1 },
      run = function(ctx, x, inputs) end,
    }]]
    assert.equal(3, inputs.n)
    assert.same({ parameter = "ctx", kind = "context" }, inputs[1])
    assert.same({ parameter = "inputs", kind = "inputs" }, inputs[3])
  end)

  it("need no parameter of their own when the body takes inputs", function()
    local inputs = inputs_of [[task "a" {
      inputs = { z = 1, y = F.b, x = 3 },
      run = function(inputs, x) end,
    }]]
    assert.equal(4, inputs.n)
    assert.same({ "inputs", "x", "y", "z" }, {
      inputs[1].parameter,
      inputs[2].parameter,
      inputs[3].parameter,
      inputs[4].parameter,
    })
    assert.is_nil(inputs[2].hidden)
    assert.is_true(inputs[3].hidden)
    assert.is_true(inputs[4].hidden)
  end)

  it("may be left to the outputs of another task", function()
    local record = record_of "task('a', function(x) end)"
    assert.same({ n = 1, { parameter = "x", kind = "missing" } }, record.inputs)
    assert.is_true(record.has_missing)
  end)

  it("are read when the task is declared", function()
    local inputs = inputs_of [[
      local given = { x = 1 }
      task "a" { inputs = given, run = function(x) end }
      given.x = 2]]
    assert.equal(1, inputs[1].value)
  end)

  local cases = {
    ["a misspelled parameter"] = {
      "task 'a' { inputs = { subtotal_cents = 1 },\nrun = function(subtotal_cent) end }",
      "flow.lua:2: task 'a': parameter 'subtotal_cent' has no input\n"
        .. "help: did you mean 'subtotal_cents'?",
    },
    ["an input without a parameter"] = {
      "task 'a' { inputs = { coupon = 1, x = 2 },\nrun = function(x) end }",
      "flow.lua:1: task 'a': input 'coupon' is never received by run\n"
        .. "help: name a parameter after it, or take the parameter 'inputs'",
    },
    ["a C function"] = {
      "task 'a' { inputs = { x = 1 }, run = string.format }",
      "flow.lua:1: task 'a': run's parameter names are not visible (C function)\n"
        .. "help: list the inputs in order: inputs = { F.a, F.b }",
    },
    ["a vararg function"] = {
      "task 'a' { inputs = { a = 1 }, run = function(a, ...) end }",
      "flow.lua:1: task 'a': run's parameter names are not visible (function(...))\n"
        .. "help: list the inputs in order: inputs = { F.a, F.b }",
    },
    ["a coroutine"] = {
      "task 'a' { inputs = { a = 1 }, run = coroutine.wrap(print) }",
      "flow.lua:1: task 'a': run's parameter names are not visible (C function)\n"
        .. "help: list the inputs in order: inputs = { F.a, F.b }",
    },
    ["stripped bytecode"] = {
      "task('a', load(string.dump(function(a) end, true)))",
      "flow.lua:1: task 'a': run's parameter names are not visible (stripped bytecode)\n"
        .. "help: list the inputs in order: inputs = { F.a, F.b }",
    },
    ["two parameters of one name"] = {
      "task 'a' { inputs = { _ = 1 }, run = function(_, _) end }",
      "flow.lua:1: task 'a': run has two parameters '_'\n"
        .. "help: list the inputs in order: inputs = { F.a, F.b }",
    },
    ["an input with a reserved name"] = {
      "task 'a' { inputs = { ctx = 1 }, run = function(ctx) end }",
      "flow.lua:1: task 'a': input 'ctx' has the name of a reserved parameter\n"
        .. "help: choose another name for this input and its parameter",
    },
    ["F as an input"] = {
      "task 'a' { inputs = { x = F }, run = function(x) end }",
      "flow.lua:1: task 'a': input 'x' is F itself\nhelp: name a task, as in F.load_order",
    },
    ["T as an input"] = {
      "task 'a' { inputs = { x = T('a', 'b', 'c') }, run = function(x) end }",
      "flow.lua:1: task 'a': input 'x' is a T\nhelp: T belongs in outputs",
    },
    ["a template that cannot be"] = {
      "task 'a' { inputs = { x = { [F.b] = 1 } }, run = function(x) end }",
      "flow.lua:1: task 'a': input 'x': F.b is the key of a table; only values can be references",
    },
  }
  for what, case in pairs(cases) do
    it("refuse " .. what, function()
      assert.equal(case[2], (message_of(case[1])))
    end)
  end

  it("tell where the task is when its body is in another file", function()
    local body = assert(load("\nreturn function(colour) end", "=bodies.lua"))()
    local record = { name = "a", run = body, source = "flow.lua", line = 3 }
    assert.equal(
      "bodies.lua:2: task 'a': parameter 'colour' has no input\n"
        .. "help: did you mean 'color'?\ndeclared at flow.lua:3",
      tostring(input.missing(record, "colour", { "color" }))
    )
  end)
end)

describe("inputs in a list", function()
  it("stand in their own order", function()
    local inputs = inputs_of "task 'a' { inputs = { 'x', F.b }, run = function(p, q) end }"
    assert.equal(2, inputs.n)
    assert.same({ kind = "constant", value = "x" }, inputs[1])
    assert.is_nil(inputs[2].parameter)
    assert.equal("F.b", tostring(inputs[2].reference))
  end)

  it("know no reserved names", function()
    local inputs = inputs_of "task 'a' { inputs = { 1, 2 }, run = function(ctx, inputs) end }"
    assert.same({ "constant", "constant" }, { inputs[1].kind, inputs[2].kind })
  end)

  it("go to functions whose parameters have no visible names", function()
    for _, run in ipairs {
      "string.format",
      "function(...) end",
      "function(a, ...) end",
      "coroutine.wrap(print)",
      "load(string.dump(function(a, b) end, true))",
      "function(_, _) end",
      "assert(load 'return ...')",
    } do
      local inputs = inputs_of("task 'a' { inputs = { 1, F.b }, run = " .. run .. " }")
      assert.equal(2, inputs.n, run)
    end
  end)

  local cases = {
    ["fewer than the parameters"] = {
      "{ 1 }, run = function(a, b) end",
      "run takes 2 parameters, but inputs lists 1\n"
        .. "help: list one input for each parameter, in order",
    },
    ["more than the parameters"] = {
      "{ 1, 2 }, run = function(a) end",
      "run takes 1 parameter, but inputs lists 2\n"
        .. "help: list one input for each parameter, in order",
    },
    ["a hole"] = {
      "{ 1, nil, 3 }, run = function(a, b, c) end",
      "input 2 is nil\n"
        .. "help: a list of inputs has no holes; is the name of a variable misspelled?",
    },
    ["a hole at the beginning"] = {
      "{ nil, 2 }, run = function(a, b) end",
      "input 1 is nil\n"
        .. "help: a list of inputs has no holes; is the name of a variable misspelled?",
    },
    ["names among them"] = {
      "{ 1, b = 2 }, run = function(a, b) end",
      "inputs mixes names and positions\n"
        .. "help: name every input, or list all of them in order",
    },
    ["other keys"] = {
      "{ [0] = 1 }, run = function(a) end",
      "inputs has a key that is no name and no position from 1\n"
        .. "help: list the inputs in order: inputs = { F.a, F.b }",
    },
  }
  for what, case in pairs(cases) do
    it("refuse " .. what, function()
      local text = "task 'a' { inputs = " .. case[1] .. " }"
      assert.equal("flow.lua:1: task 'a': " .. case[2], (message_of(text)))
    end)
  end
end)
