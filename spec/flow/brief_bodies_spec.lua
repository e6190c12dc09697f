-- Bodies for worker threads that are done sooner than a thread could be told of them.
local astrum = require "astrum"
local core = require "astrum.core"

-- Busted gives specs globals of their own, which cannot travel.
local describe <const>, it <const>, assert <const> = describe, it, assert
local before_each <const>, after_each <const> = before_each, after_each
local _ENV <const> = _G -- luacheck: ignore 211

describe("a brief body of a worker thread", function()
  local registry, limit

  before_each(function()
    registry = astrum.SchedulerRegistry "brief"
    limit = core.brief_limit(1000000000)
  end)

  after_each(function()
    core.brief_limit(limit)
  end)

  -- Runs a body for each of the arguments; those before have made it known.
  local function run_each(body, arguments)
    registry:clear()
    for i, argument in ipairs(arguments) do
      registry.task("t" .. i, { executor = "thread", inputs = { argument }, run = body })
    end
    local scheduler =
      registry:build_scheduler { config = { workers = 2, failure_mode = "keep_going" } }
    scheduler:execute()
    local before = core.brief_count()
    return scheduler:execute(), core.brief_count() - before
  end

  local function results_of(report)
    local results = {}
    for _, result in pairs(report.task_return_set) do
      results[#results + 1] = result
    end
    return results
  end

  it("runs at home once workers have run it", function()
    local report, count = run_each(function(x)
      return 2 * x
    end, { 1, 2, 3 })
    assert.equal(3, count)
    assert.same({ 2, 4, 6 }, { report:result "t1", report:result "t2", report:result "t3" })
  end)

  it("does not when it takes workers longer", function()
    core.brief_limit(0)
    local report, count = run_each(function(x)
      return 2 * x
    end, { 1, 2 })
    assert.equal(0, count)
    assert.equal(4, report:result "t2")
  end)

  it("computes with math", function()
    local floor = math.floor
    local report, count = run_each(function(x)
      local list = { math.max(x, 1.5), floor(x * 1.5) }
      return { sum = list[1] + list[2], text = x .. "!" }
    end, { 1, 2 })
    assert.equal(2, count)
    assert.same({ sum = 5, text = "2!" }, report:result "t2")
  end)

  it("runs in a worker when it uses another library", function()
    for _, body in ipairs {
      function(x)
        return tostring(x)
      end,
      function(x)
        return #table.pack(x)
      end,
      function(x)
        return (("a"):rep(x))
      end,
      function(x)
        return math.random(x, x)
      end,
    } do
      local report, count = run_each(body, { 1, 2 })
      assert.equal(0, count)
      assert.is_true(report:ok())
    end
  end)

  it("sees no function that the script has put in the place of one of Lua's", function()
    local sqrt <const> = math.sqrt
    math.sqrt = function() -- luacheck: ignore
      return "patched"
    end
    local report, count = run_each(function(x)
      return math.sqrt(x)
    end, { 1, 4 })
    math.sqrt = sqrt -- luacheck: ignore
    assert.equal(2, count)
    assert.equal(2.0, report:result "t2")
  end)

  it("sees no method that the script has given to strings, numbers or nil", function()
    string.doubled = function(text) -- luacheck: ignore
      return text .. text
    end
    local report, count = run_each(function(x)
      return x == 0 and ("a"):doubled() or x
    end, { 1, 2 })
    string.doubled = nil -- luacheck: ignore
    assert.equal(2, count)
    assert.equal(2, report:result "t2")
    debug.setmetatable(0, { __index = { name = "number" } })
    local ok, again = pcall(run_each, function(x)
      return x
    end, { 1, 2 })
    local in_metatable = core.brief_count()
    debug.setmetatable(0, nil)
    assert.is_true(ok)
    assert.equal(2, again:result "t2")
    assert.equal(in_metatable, core.brief_count())
  end)

  -- What bodies say of each of the arguments when the script gives strings a method, or a field of
  -- any other name, between two runs.
  local function run_around(body, arguments, name)
    registry:clear()
    for i, argument in ipairs(arguments) do
      registry.task("t" .. i, { executor = "thread", inputs = { argument }, run = body })
    end
    local scheduler = registry:build_scheduler { config = { workers = 2 } }
    scheduler:execute()
    scheduler:execute()
    string[name] = function() -- luacheck: ignore
      return "of the script"
    end
    local report = scheduler:execute()
    string[name] = nil -- luacheck: ignore
    return results_of(report)
  end

  it("sees no method that strings were given later", function()
    local results = run_around(function(text)
      return text.later and text:later() or "none"
    end, { "a", "b", "later" }, "later")
    assert.same({ "none", "none", "none" }, results)
  end)

  it("sees no method whose name it computes", function()
    local results = run_around(function(name)
      local method = ("x")[name .. "er"]
      return method and method() or "none"
    end, { "lat", "lat" }, "later")
    assert.same({ "none", "none" }, results)
  end)

  it("sees no method with a long name", function()
    local results = run_around(function(text)
      local method = text.a_name_of_more_than_forty_bytes_is_another_constant
      return method and method() or "none"
    end, { "a", "b" }, "a_name_of_more_than_forty_bytes_is_another_constant")
    assert.same({ "none", "none" }, results)
  end)

  it("takes nothing away from strings that the script's finalizers use", function()
    string.doubled = function(text) -- luacheck: ignore
      return text .. text
    end
    local arguments = {}
    for i = 1, 2000 do
      arguments[i] = i
    end
    local finalized, failed, goes_on = 0, 0, true
    -- Each makes the next one, so that every turn of the collector meets some.
    local function leave_garbage()
      setmetatable({}, {
        __gc = function()
          finalized = finalized + 1
          local ok, text = pcall(function()
            return ("a"):doubled()
          end)
          failed = failed + (ok and text == "aa" and 0 or 1)
          if goes_on then
            leave_garbage()
          end
        end,
      })
    end
    for _ = 1, 100 do
      leave_garbage()
    end
    -- On a busy machine a body may take too long to be run at home, and with much in memory the
    -- collector takes its time.
    local total, runs = 0, 0
    while (total < 1000 or finalized == 0) and runs < 20 do
      local _, count = run_each(function(x)
        local list = {}
        for i = 1, 200 do
          list[i] = { x }
        end
        return #list
      end, arguments)
      total, runs = total + count, runs + 1
    end
    goes_on = false
    string.doubled = nil -- luacheck: ignore
    assert.is_true(total > 0)
    assert.is_true(finalized > 0)
    assert.equal(0, failed)
  end)

  it("leaves the collector as it is", function()
    local is_finalized = false
    local function body(x)
      local list = {}
      for i = 1, 1000 do
        list[i] = { x }
      end
      return #list
    end
    run_each(body, { 1, 2 })
    collectgarbage()
    collectgarbage "stop"
    setmetatable({}, {
      __gc = function()
        is_finalized = true
      end,
    })
    local arguments = {}
    for i = 1, 100 do
      arguments[i] = i
    end
    -- On a busy machine a body may take too long to be run at home.
    local count, rounds, _ = 0, 0, nil
    while count == 0 and rounds < 10 do
      rounds = rounds + 1
      _, count = run_each(body, arguments)
    end
    local runs, was_finalized = collectgarbage "isrunning", is_finalized
    collectgarbage "restart"
    assert.is_true(count > 0)
    assert.is_false(runs)
    assert.is_false(was_finalized)
    assert.is_true(collectgarbage "isrunning")
  end)

  it("returns any number of results, of which the task has the first", function()
    local report = run_each(function(x)
      local function many(n)
        if n == 0 then
          return
        end
        return n, many(n - 1)
      end
      return many(x)
    end, { 1, 5000 })
    assert.equal(5000, report:result "t2")
  end)

  it("gives the NaN that a worker gives", function()
    local function body(x)
      return (x - x) / (x - x)
    end
    local report, count = run_each(body, { 1, 2 })
    local home = tostring(report:result "t2")
    assert.equal(2, count)
    core.brief_limit(0)
    report, count = run_each(body, { 1, 2 })
    assert.equal(0, count)
    assert.equal(tostring(report:result "t2"), home)
  end)

  it("is told of a NaN as a worker is", function()
    local function body(x)
      return x .. ""
    end
    local nan = -(0 / 0)
    local home = run_each(body, { nan, -nan })
    core.brief_limit(0)
    local worker = run_each(body, { nan, -nan })
    assert.same({ worker:result "t1", worker:result "t2" }, { home:result "t1", home:result "t2" })
  end)

  it("runs in a worker when a string among its arguments is large", function()
    local function body(text)
      return #(text .. text)
    end
    local _, count = run_each(body, { ("x"):rep(4096), ("y"):rep(4096) })
    assert.equal(2, count)
    local report
    report, count = run_each(body, { ("x"):rep(4097), ("y"):rep(5000) })
    assert.equal(0, count)
    assert.equal(10000, report:result "t2")
  end)

  it("changes no variable of the script", function()
    local calls = 0
    local _, count = run_each(function(_)
      calls = calls + 1
      total_of_brief = calls -- luacheck: ignore
    end, { 1, 2 })
    assert.equal(2, count)
    assert.equal(0, calls)
    assert.is_nil(rawget(_G, "total_of_brief"))
  end)

  it("gives a copy of a table that it keeps", function()
    local kept = { n = 0 }
    local report, count = run_each(function(_)
      kept.n = kept.n + 1
      return kept
    end, { 1, 2 })
    assert.equal(2, count)
    assert.equal(0, kept.n)
    assert.not_equal(report:result "t1", report:result "t2")
    assert.equal(report:result("t1").n + 1, report:result("t2").n)
  end)

  it("runs in a worker when it wants more of the library", function()
    local report, count = run_each(function(_)
      return type(os.time())
    end, { 1, 2 })
    assert.equal(0, count)
    assert.equal("number", report:result "t2")
  end)

  it("runs in a worker when it reads a global that is not there", function()
    local report, count = run_each(function(_)
      return nobody_has_set_this == nil -- luacheck: ignore
    end, { 1, 2 })
    assert.equal(0, count)
    assert.is_true(report:result "t2")
  end)

  it("runs in a worker when what it calls comes from a module", function()
    local report, count = run_each(function(x)
      astrum.sleep(0)
      return x
    end, { 1, 2 })
    assert.equal(0, count)
    assert.equal(2, report:result "t2")
  end)

  it("runs in a worker when an argument is a table", function()
    local report, count = run_each(function(x)
      x.seen = true
      return x
    end, { { 1 }, { 2 } })
    assert.equal(0, count)
    assert.same({ 2, seen = true }, report:result "t2")
  end)

  it("is given to a worker when it takes long for once", function()
    local report, count = run_each(function(x)
      local sum = 0
      for i = 1, x do
        sum = sum + i
      end
      return sum
    end, { 10, 10, 20000000, 10 })
    assert.is_true(count < 4)
    assert.equal(200000010000000, report:result "t3")
    assert.equal(1, report:task("t3").attempt_count)
    assert.equal(55, report:result "t4")
  end)

  it("is given to a worker then also when a timer is set for much later", function()
    registry.task("limited", { timeout = 60, run = print })
    registry:build_scheduler({}):execute()
    local _, count = run_each(function(x)
      for _ = 1, x do
      end
      return x
    end, { 10, 20000000 })
    assert.is_true(count < 2)
  end)

  it("fails as in a worker, in one attempt", function()
    local function body(x)
      if x > 1 then
        error("too much: " .. x)
      end
      return x
    end
    local report = run_each(body, { 1, 2 })
    local home = report:task("t2").error
    core.brief_limit(0)
    local worker = run_each(body, { 1, 2 }):task("t2").error
    assert.equal(worker.message, home.message)
    assert.equal(worker.traceback, home.traceback)
    assert.equal(1, report:task("t2").attempt_count)
  end)

  it("fails when it returns nil and an error", function()
    local report = run_each(function(x)
      if x > 1 then
        return nil, "refused"
      end
      return x
    end, { 1, 2 })
    assert.equal("failed", report:task("t2").status)
  end)

  it("is retried as ever", function()
    registry:clear()
    registry.task("flaky", {
      executor = "thread",
      inputs = { x = 1 },
      retry = { max = 1, delay = 0 },
      run = function(x)
        error("no " .. x)
      end,
    })
    local scheduler = registry:build_scheduler {}
    scheduler:execute()
    assert.equal(2, scheduler:execute():task("flaky").attempt_count)
  end)

  it("stays in the worker when there is only one, which keeps its variables", function()
    local calls = 0
    for i = 1, 4 do
      registry.task("t" .. i, {
        executor = "thread",
        run = function()
          calls = calls + 1
          return calls
        end,
      })
    end
    local scheduler = registry:build_scheduler { config = { workers = 1 } }
    assert.equal(4, math.max(table.unpack(results_of(scheduler:execute()))))
    assert.equal(8, math.max(table.unpack(results_of(scheduler:execute()))))
  end)

  it("stays in a worker when it has a timeout", function()
    registry.task("limited", {
      executor = "thread",
      inputs = { x = 1 },
      timeout = 60,
      run = function(x)
        return x
      end,
    })
    local scheduler = registry:build_scheduler {}
    scheduler:execute()
    local before = core.brief_count()
    assert.equal(1, scheduler:execute():result "limited")
    assert.equal(before, core.brief_count())
  end)

  it("may be an item of a map", function()
    registry.task("squares", {
      executor = "thread",
      map = { x = { 1, 2, 3 } },
      run = function(x)
        return x * x
      end,
    })
    local scheduler = registry:build_scheduler {}
    scheduler:execute()
    local before = core.brief_count()
    assert.same({ 1, 4, 9, n = 3 }, scheduler:execute():result "squares")
    assert.is_true(core.brief_count() > before)
  end)
end)
