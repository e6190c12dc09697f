-- The texts of mistakes with what cannot go to a worker thread or a child process.
local astrum = require "astrum"
local flow = require "spec.support.flow"

local DATA <const> = "only nil, booleans, numbers, strings and tables of these travel"
local EXPORTS <const> = "only functions, data, and what modules export can travel"
local INSIDE <const> = "\nhelp: make it inside the body, or pass its data; " .. DATA
local PLAIN <const> = " is a table with a metatable\nhelp: pass its data in a plain table; " .. DATA
local FUNCTION <const> = "\nhelp: " .. DATA .. "; a Lua function can be an upvalue of the body"

local function specs(executor, place)
  local function load(text, given)
    return flow.load(text:gsub("EXECUTOR", ("%q"):format(executor)), given)
  end

  -- The message of the error of a build.
  local function refusal(text, given)
    local e = flow.raised(function()
      load(text, given):build_scheduler {}
    end)
    assert.is_true(astrum.errors.is(e, "TaskRegistrationError"))
    return e.message
  end

  describe("an upvalue of a body in a " .. place, function()
    local start = "flow.lua:3: task 'use': executor = '" .. executor .. "': "

    local function upvalue(value, given)
      return refusal(
        "local load = task('load', function() end)\nlocal value = "
          .. value
          .. "\ntask('use', { executor = EXECUTOR, run = function() return value end })",
        given
      )
    end

    it("that is a coroutine is told as one", function()
      assert.equal(
        start .. "upvalue 'value' is a coroutine\nhelp: make it inside the body; " .. EXPORTS,
        upvalue "coroutine.create(print)"
      )
      assert.equal(
        start .. "upvalue 'value.out' is a coroutine\nhelp: make it inside the body; " .. EXPORTS,
        upvalue "{ out = coroutine.create(print) }"
      )
    end)

    it("that is a userdata is to be made inside the body", function()
      assert.equal(
        start .. "upvalue 'value' is a userdata\nhelp: make it inside the body; " .. EXPORTS,
        upvalue("given", io.tmpfile())
      )
    end)

    it("that is a function of coroutine.wrap is to be made inside the body", function()
      assert.equal(
        start
          .. "upvalue 'value' is a function made by C that no loaded module exports\n"
          .. "help: make it inside the body, as by coroutine.wrap, or get it there from its module",
        upvalue "coroutine.wrap(print)"
      )
    end)

    it("that is an object may be a plain table", function()
      assert.equal(
        start
          .. "upvalue 'value' is a table with a metatable\n"
          .. "help: make it inside the body, or take its data along in a plain table; "
          .. EXPORTS,
        upvalue "setmetatable({}, {})"
      )
    end)

    it("that is nested too deeply may be flatter", function()
      local deep = {}
      for _ = 1, 200 do
        deep = { n = deep }
      end
      assert.equal(
        start
          .. "upvalue 'value.n.n.n ... .n' is nested too deeply: 128 tables are the most\n"
          .. "help: make it inside the body, or take flatter tables along",
        upvalue("given", deep)
      )
    end)

    it("that is a task is to be an input", function()
      assert.equal(
        start
          .. "upvalue 'value' is the task 'load'\n"
          .. "help: list it in inputs: inputs = { value = value }",
        upvalue "load"
      )
      assert.equal(
        start
          .. "upvalue 'value.tasks.load' is the task 'load'\n"
          .. "help: list it in inputs: inputs = { load = value.tasks.load }",
        upvalue "{ tasks = { load = load } }"
      )
      assert.equal(
        start
          .. "upvalue 'load' of upvalue 'value' is the task 'load'\n"
          .. "help: list it in inputs: inputs = { load = load }",
        upvalue "function() return load end"
      )
    end)

    it("that is a reference is to be an input", function()
      assert.equal(
        start
          .. "upvalue 'value' is the reference F.load.items[1]\n"
          .. "help: list it in inputs: inputs = { value = value }",
        upvalue "F.load.items[1]"
      )
    end)
  end)

  describe("what a declaration gives to a body in a " .. place, function()
    local function declared(spec, given)
      return refusal(
        "task('load', function() end)\ntask('use', {\n  executor = EXECUTOR,\n  "
          .. spec
          .. ",\n  run = function(job) return job end,\n})",
        given
      )
    end

    it("is refused by the build if it cannot travel", function()
      local start = "flow.lua:2: task 'use': input 'job' cannot go to a " .. place .. ": "
      assert.equal(
        start .. "job.fn is a function" .. FUNCTION,
        declared "inputs = { job = { fn = print } }"
      )
      assert.equal(
        start .. "job is a userdata" .. INSIDE,
        declared("inputs = { job = given }", io.tmpfile())
      )
      assert.equal(start .. "job" .. PLAIN, declared "inputs = { job = setmetatable({}, {}) }")
    end)

    it("is refused beside references in one table", function()
      assert.equal(
        "flow.lua:2: task 'use': input 'job' cannot go to a "
          .. place
          .. ": job.list[2] is a function"
          .. FUNCTION,
        declared "inputs = { job = { from = F.load.x, list = { F.load, print } } }"
      )
    end)

    it("is refused with its number in a list of inputs", function()
      assert.equal(
        "flow.lua:2: task 'use': input 1 cannot go to a "
          .. place
          .. ": inputs[1].out is a userdata"
          .. INSIDE,
        declared("inputs = { { out = given } }", io.tmpfile())
      )
    end)

    it("is refused in a list of a map", function()
      assert.equal(
        "flow.lua:2: task 'use': map 'job' cannot go to a "
          .. place
          .. ": job[2] is a function"
          .. FUNCTION,
        declared "map = { job = { 1, print } }"
      )
    end)

    it("travels if all of it is data", function()
      local registry = load([[
          task("load", function() return { x = 7 } end)
          local list = setmetatable({ 1, 2 }, { __name = "list" })
          task("use", {
            executor = EXECUTOR,
            inputs = { job = { from = F.load.x, again = { F.load.x, "a" } } },
            map = { item = list },
            run = function(job, item) return job.from + job.again[1] + item end,
          })]])
      assert.same({ 15, 16, n = 2 }, registry:run({}):assert():result("use"))
    end)
  end)

  describe("an input that cannot go to a " .. place, function()
    local TEXT <const> = [[
task("load", function() return given end)
task("use", {
  executor = EXECUTOR,
  retry = { max = 2, delay = 0 },
  inputs = {
    value = INPUT,
  },
  run = function(value) return value end,
})]]

    local function report_of(given, input)
      local report = load(TEXT:gsub("INPUT", input or "F.load.value"), given):run()
      assert.equal("failed", report:task("use").status)
      return report
    end

    local start = "flow.lua:6: task 'use': input 'value' cannot go to a " .. place .. ": "

    it("fails the task at the line of the input, with what to do instead", function()
      local function message(value)
        return report_of({ value = value }):task("use").error_message
      end
      assert.equal(start .. "value is a userdata" .. INSIDE, message(io.tmpfile()))
      assert.equal(start .. "value is a coroutine" .. INSIDE, message(coroutine.create(print)))
      assert.equal(
        start .. "value.on.done is a function" .. FUNCTION,
        message {
          on = { done = print },
        }
      )
      assert.equal(start .. "value" .. PLAIN, message(setmetatable({}, {})))
      local cycle = {}
      cycle.self = cycle
      assert.equal(
        start
          .. "value.self is a cycle: it leads back to value\n"
          .. "help: pass it without the field that leads back",
        message(cycle)
      )
      local deep = {}
      for _ = 1, 200 do
        deep = { n = deep }
      end
      assert.equal(
        start
          .. "value.n.n.n ... .n is nested too deeply: 128 tables are the most\n"
          .. "help: pass flatter tables",
        message(deep)
      )
    end)

    it("is not retried, as its inputs would be the same", function()
      local report = report_of { value = print }
      local use = report:task "use"
      assert.equal(1, use.attempt_count)
      assert.equal("TypeMatchError", use.error.kind)
      assert.same({ "use", 1 }, { use.error.task, use.error.attempt })
      assert.truthy(
        report:explain():find(
          "task 'use' (flow.lua:2) failed at attempt 1 of 3, not retried: its inputs would be the "
            .. "same\n",
          1,
          true
        )
      )
    end)

    it("is retried if a function gave it, which may give another value", function()
      local count = 0
      local function give()
        count = count + 1
        return count < 3 and print or count
      end
      local report = load(TEXT:gsub("INPUT", "given"), give):run()
      assert.equal(3, report:assert():result("use"))
      assert.equal(3, report:task("use").attempt_count)
      local failure = report_of(function()
        return print
      end, "given"):task("use").error
      assert.equal("TaskFailedError", failure.kind)
      local text = "flow.lua:2: task 'use': input 'value' cannot go to a " .. place
      assert.equal(text .. ": value is a function" .. FUNCTION, failure.message)
    end)

    it("fails the item of a map that gets it", function()
      local report = load([[
          task("load", function() return { 1, print } end)
          task("use", {
            executor = EXECUTOR,
            retry = 1,
            map = { value = F.load },
            on_item_failure = "collect",
            run = function(value) return value end,
          })]]):run()
      local result = report:assert():result "use"
      assert.equal(1, result[1])
      local failure = result[2]
      assert.same({ "TypeMatchError", 2, 1 }, { failure.kind, failure.item, failure.attempt })
      assert.equal(
        "flow.lua:5: task 'use': input 'value' cannot go to a "
          .. place
          .. ": value is a function"
          .. FUNCTION,
        failure.message
      )
    end)

    it("is an error that a function around the body may replace by its own", function()
      local report = load([[
          task("load", function() return print end)
          task("use", {
            executor = EXECUTOR,
            retry = 1,
            inputs = { value = F.load },
            around = function(_, go)
              local ok, e = pcall(go)
              error(e.kind .. " around", 0)
            end,
            run = function(value) return value end,
          })]]):run()
      assert.equal("TypeMatchError around", report:task("use").error_message)
      assert.equal(2, report:task("use").attempt_count)
    end)
  end)

  describe("params that cannot go to a " .. place, function()
    it("fail the task once, with what to do instead", function()
      local registry = load [[
        task("other", {
          inputs = { cfg = astrum.param("cfg", { type = "any" }) },
          run = function(cfg) return 1 end,
        })
        task("use", {
          executor = EXECUTOR,
          retry = 1,
          run = function(ctx) return ctx.params end,
        })]]
      local options =
        { params = { cfg = { on = print } }, config = { failure_mode = "keep_going" } }
      local use = registry:build_scheduler(options):execute():task "use"
      assert.equal(
        "flow.lua:5: task 'use': the params of the run cannot go to a "
          .. place
          .. ": params.cfg.on is a function"
          .. FUNCTION,
        use.error_message
      )
      assert.equal(1, use.attempt_count)
    end)
  end)
end

specs("process", "child process")
specs("thread", "worker thread")
