-- What a session at the prompt reuses, and what it tells about it.
local astrum = require "astrum"
local registries = require "astrum.registry"
local schedulers = require "astrum.scheduler"
local sessions = require "astrum.repl.session"

local F = astrum.F

describe("a session at the prompt", function()
  local session, calls

  before_each(function()
    astrum.clear_registry()
    session = sessions.new()
    calls = {}
  end)

  after_each(function()
    schedulers.observe(nil)
    astrum.clear_registry()
  end)

  -- Declares a task as an entry of its own does.
  local function declare(name, spec)
    registries.begin_entry()
    local body = type(spec) == "function" and spec or spec.run
    local function counted(...)
      calls[#calls + 1] = name
      return body(...)
    end
    if type(spec) == "function" then
      astrum.task(name, counted)
      return
    end
    spec.run = counted
    if spec.inputs and #spec.inputs == 0 then
      local list = {}
      for _, value in pairs(spec.inputs) do
        list[#list + 1] = value
      end
      spec.inputs = list
    end
    astrum.task(name, spec)
  end

  local function declare_chain()
    declare("one", function()
      return 1
    end)
    declare("two", {
      inputs = { F.one },
      run = function(n)
        return n + 1
      end,
    })
    declare("three", {
      inputs = { F.two },
      run = function(n)
        return n + 1
      end,
    })
  end

  local function reasons(targets, params)
    local texts = {}
    for _, decision in ipairs(session:decide(session:build(targets), params)) do
      texts[decision.name] = (decision.runs and "runs: " or "reused: ") .. decision.why
    end
    return texts
  end

  local function run(targets, values)
    calls = {}
    return session:run(targets, values)
  end

  local REUSED <const> = "reused: unchanged since its last result"

  it("runs everything once", function()
    declare_chain()
    assert.equal("runs: it has not run yet", reasons().two)
    assert.equal(3, run():result "three")
    assert.same({ "one", "two", "three" }, calls)
  end)

  it("reuses all results of a run that nothing has changed since", function()
    declare_chain()
    run()
    assert.same({ one = REUSED, two = REUSED, three = REUSED }, reasons())
    local report = run()
    assert.same({}, calls)
    assert.equal(3, report:result "three")
    assert.is_true(report:task("two").reused)
  end)

  it("runs a task that was declared anew, and what depends on it", function()
    declare_chain()
    run()
    declare("two", {
      inputs = { F.one },
      run = function(n)
        return n + 10
      end,
    })
    assert.same({
      one = REUSED,
      two = "runs: its declaration changed",
      three = "runs: 'two' runs",
    }, reasons())
    local report = run { "three" }
    assert.same({ "two", "three" }, calls)
    assert.equal(12, report:result "three")
    assert.is_nil(report:task("two").reused)
  end)

  it("runs what takes a result that is newer than the one it took", function()
    declare_chain()
    run()
    declare("two", {
      inputs = { F.one },
      run = function()
        return 20
      end,
    })
    run { "two" }
    assert.equal("runs: 'two' has a newer result", reasons().three)
    assert.equal(21, run():result "three")
    assert.same({ "three" }, calls)
  end)

  it("runs what failed again, and what was skipped because of it", function()
    declare("one", function()
      error("broken", 0)
    end)
    declare("two", { inputs = { F.one }, run = function() end })
    run()
    assert.equal("runs: it failed last time", reasons().one)
    assert.equal("runs: it was skipped last time", reasons().two)
  end)

  it("reuses a result that is nil", function()
    declare("one", function() end)
    declare("two", {
      inputs = { astrum.Ref("any?", F.one) },
      run = function(v)
        return v == nil
      end,
    })
    run()
    declare("two", {
      inputs = { astrum.Ref("any?", F.one) },
      run = function(v)
        return v
      end,
    })
    local report = run()
    assert.same({ "two" }, calls)
    assert.is_true(report:ok())
  end)

  it("runs a task whose input is a function", function()
    declare("one", {
      inputs = {
        function()
          return 5
        end,
      },
      run = function(n)
        return n
      end,
    })
    run()
    assert.equal("runs: input 1 is a function, which may give another value", reasons().one)
    run()
    assert.same({ "one" }, calls)
  end)

  it("runs a task that takes a param which changed", function()
    local region = astrum.param("region", { type = "string", default = "EU" })
    declare("one", {
      inputs = { region },
      run = function(r)
        return r
      end,
    })
    declare("two", function()
      return 2
    end)
    run()
    assert.equal(REUSED, reasons().one)
    assert.equal("runs: param 'region' changed", reasons(nil, { region = "US" }).one)
    local report = run(nil, { region = "US" })
    assert.same({ "one" }, calls)
    assert.equal("US", report:result "one")
    run()
    assert.same({}, calls)
  end)

  it("runs a task that depends on others than before", function()
    declare_chain()
    run()
    declare("zero", {
      outputs = { astrum.T("three", nil, "pushed") },
      run = function()
        return 0
      end,
    })
    registries.begin_entry()
    astrum.task("three", {
      inputs = { n = F.two },
      run = function(n, pushed)
        return n + pushed
      end,
    })
    run()
    declare("zero", {
      outputs = { astrum.T("three", nil, "pushed") },
      run = function()
        return 7
      end,
    })
    assert.equal("runs: 'zero' runs", reasons().three)
    assert.equal(9, run():result "three")
  end)

  it("gives a reused result to what it is pushed into", function()
    declare("one", {
      outputs = { astrum.T("two", "n", "n") },
      run = function()
        return { n = 4 }
      end,
    })
    registries.begin_entry()
    astrum.task("two", function(n)
      return n
    end)
    run()
    registries.begin_entry()
    astrum.task("two", function(n)
      return n * 2
    end)
    assert.equal(8, run():result "two")
    assert.same({}, calls)
  end)

  it("runs a task that is a workflow when a task inside changed", function()
    local inner = astrum.SchedulerRegistry "inner"
    inner.task("a", function()
      return 1
    end)
    astrum.task("outer", { workflow = inner })
    assert.equal(1, run():result("outer").a)
    assert.equal(REUSED, reasons().outer)
    registries.begin_entry()
    inner.task("a", function()
      return 2
    end)
    assert.equal("runs: workflow 'inner' changed", reasons().outer)
    assert.equal(2, run():result("outer").a)
  end)

  it("reuses the list of a map as a whole", function()
    declare("list", function()
      return { 1, 2, 3 }
    end)
    registries.begin_entry()
    astrum.task("each", {
      map = { n = F.list },
      run = function(n)
        calls[#calls + 1] = "each"
        return n * n
      end,
    })
    run()
    declare("sum", {
      inputs = { F.each },
      run = function(squares)
        return squares[1] + squares[2] + squares[3]
      end,
    })
    assert.equal(14, run():result "sum")
    assert.same({ "sum" }, calls)
  end)

  it("remembers the results of runs that a line has started", function()
    declare_chain()
    astrum.run { "two" }
    assert.same({ one = REUSED, two = REUSED, three = "runs: it has not run yet" }, reasons())
  end)

  it("keeps the config of the last run", function()
    declare("one", {
      pool = "db",
      run = function()
        return 1
      end,
    })
    astrum.run { config = { pools = { db = 1 } } }
    assert.is_true(run():ok())
  end)

  it("tells no cancellation of a result that it reuses", function()
    declare("bad", function() end)
    declare("kept", function() end)
    run()
    declare("bad", function()
      error("boom", 0)
    end)
    local report = run()
    local row = tostring(report):match "\nkept[^\n]*"
    assert.equal("kept  0  reused  -", (row:gsub("^\n", ""):gsub(" +", "  ")))
    assert.falsy(report:explain():find("kept", 1, true))
  end)

  it("runs nothing to decide", function()
    declare_chain()
    reasons()
    assert.same({}, calls)
  end)

  it("does not take a test for a run", function()
    declare_chain()
    astrum.testing.run("default", { stubs = { one = 100 } })
    assert.equal("runs: it has not run yet", reasons().one)
  end)

  it("runs all anew when it is told to", function()
    declare_chain()
    run()
    calls = {}
    session:run(nil, nil, true)
    assert.same({ "one", "two", "three" }, calls)
  end)

  it("does not put wrappers of the config around reused results", function()
    declare("one", function()
      return 1
    end)
    local wrapped = 0
    astrum.run {
      config = {
        around = function(_, body)
          wrapped = wrapped + 1
          return body()
        end,
      },
    }
    run()
    assert.equal(1, wrapped)
  end)
end)

describe("declarations of several entries", function()
  before_each(astrum.clear_registry)
  after_each(astrum.clear_registry)

  it("replace those of earlier ones, in their place", function()
    registries.begin_entry()
    astrum.task("a", function() end)
    astrum.task("b", function() end)
    registries.begin_entry()
    astrum.task("a", {
      description = "new",
      run = function() end,
    })
    local records = astrum.get_registry().records
    assert.equal(2, #records)
    assert.equal("new", records[1].description)
    assert.equal("new", astrum.get_registry():get_task("a").description)
  end)

  it("are mistakes when one entry declares a name twice", function()
    registries.begin_entry()
    astrum.task("a", function() end)
    local ok, e = pcall(astrum.task, "a", function() end)
    assert.is_false(ok)
    assert.matches("task 'a' is declared twice in namespace 'default'", e.message)
  end)

  it("take the place of a name that was left without its spec", function()
    registries.begin_entry()
    local _ = astrum.task "a"
    registries.begin_entry()
    astrum.task("a", function()
      return 1
    end)
    assert.equal(1, astrum.run():result "a")
  end)
end)
