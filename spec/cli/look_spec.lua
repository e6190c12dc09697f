-- --list, --check, --plan, --graph and --dry-run: a look at a program that runs nothing of it.

local program = require "spec.support.program"

local DECLARES <const> = [[
local astrum = require "astrum"
local task, F = astrum.task, astrum.F
task("load", { description = "Loads the orders.\nSecond line.", run = function() print "RAN" end })
task("rates", { inputs = { region = astrum.param("region", { default = "EU" }) },
  run = function(region) print("RAN") end })
task("total", { inputs = { orders = F.load.orders[1], rates = F.rates, scale = 2 },
  run = function(orders, rates, scale) print "RAN" end })
]]

local RUNS <const> = DECLARES .. "astrum.run {}\nprint 'not reached'\n"

local function run(text, ...)
  local script <close> = program.file(text)
  local arguments = table.pack(...)
  arguments[#arguments + 1] = script.path
  local result = program.run(arguments)
  local names = { [program.path] = "PROGRAM", [script.path] = "FILE" }
  for path, name in pairs(names) do
    result.err = result.err:gsub(path:gsub("%p", "%%%0"), name)
  end
  return result
end

local function shows(out)
  return { code = 0, out = out, err = "" }
end

local LIST <const> = [[
namespace default
  load   Loads the orders.
  rates
      region = --set region
  total
      orders = load.orders[1], rates = rates, scale = constant
  params
      region  any value, default "EU"
]]

local PLAN <const> = [[
namespace default: 3 tasks in 2 stages, at most 2 at once
  stage 0  load, rates
  stage 1  total
  critical path  load -> total
                 by number of tasks, as no run has measured them
]]

local DRY_RUN <const> = [[
namespace default: 3 tasks would run
  param region = "EU"  (default)
  1  load   needed by total
  2  rates  needed by total
  3  total  a result of the run
]]

local CHECK <const> = "namespace default: ok, 3 tasks in 2 stages\n"

for name, text in pairs { ["only declares"] = DECLARES, ["runs its workflow"] = RUNS } do
  describe("a look at a script that " .. name, function()
    it("lists the tasks for --list", function()
      assert.same(shows(LIST), run(text, "--list"))
    end)

    it("shows the stages for --plan", function()
      assert.same(shows(PLAN), run(text, "--plan"))
    end)

    it("says what would run for --dry-run and -n", function()
      assert.same(shows(DRY_RUN), run(text, "--dry-run"))
      assert.same(shows(DRY_RUN), run(text, "-n", "-j2", "-k", "--html", "x.html"))
    end)

    it("checks for --check", function()
      assert.same(shows(CHECK), run(text, "--check"))
    end)

    it("draws for --graph", function()
      local result = run(text, "--graph=mermaid")
      assert.equal(0, result.code)
      assert.equal("flowchart TD\n", result.out:match "^[^\n]*\n")
      assert.truthy(run(text, "--graph").out:find("load", 1, true))
      assert.equal("digraph", run(text, "--graph=dot").out:match "^%w+")
      assert.equal("<svg", run(text, "--graph=svg").out:match "^<%w+")
    end)

    it("shows several looks in their order", function()
      assert.same(shows(PLAN .. "\n" .. CHECK), run(text, "--plan", "--check"))
    end)

    it("shows only the tasks of --run=TASK and what they need", function()
      local expected = "namespace default: 1 task would run, 2 would not\n"
        .. '  param region = "EU"  (default)\n  1  rates  target\n'
      assert.same(shows(expected), run(text, "-n", "--run=rates"))
    end)

    it("refuses a target that is not there", function()
      local result = run(text, "-n", "--run=rate")
      local message = "PROGRAM: --run: there is no task 'rate'\nhelp: did you mean 'rates'?\n"
      assert.same({ code = 2, out = "", err = message }, result)
    end)

    it("refuses values of --set that do not fit", function()
      local result = run(text, "--plan", "--set", "regio=US")
      local message =
        "PROGRAM: --set: no task takes a param 'regio'\nhelp: did you mean 'region'?\n"
      assert.same({ code = 2, out = "", err = message }, result)
    end)
  end)
end

describe("a look", function()
  it("cannot be caught by the script", function()
    local text = DECLARES
      .. [[
      os.exit = function() print "replaced" end
      local body = coroutine.wrap(function()
        print(pcall(function() return astrum.run {} end))
      end)
      body()
      print "not reached"
    ]]
    assert.same(shows(CHECK), run(text, "--check"))
  end)

  it("stops at start as at run", function()
    local text = DECLARES .. "astrum.build_scheduler({}):start() print 'not reached'"
    assert.same(shows(CHECK), run(text, "--check"))
  end)

  it("lets what the script closes run nothing either", function()
    local text = DECLARES
      .. [[
      local guard <close> = setmetatable({}, { __close = function()
        io.stderr:write(tostring(select(2, pcall(astrum.run, {}))), "\n")
      end })
      astrum.run {}
    ]]
    local result = run(text, "--check")
    assert.equal(CHECK, result.out)
    local message = "FILE:9: the program is ending; nothing can be run any more\n"
    assert.equal(message, result.err)
  end)

  it("keeps what the script prints apart from the data", function()
    local result = run("print 'from the script'\n" .. RUNS, "--plan")
    assert.same({ code = 0, out = PLAN, err = "from the script\n" }, result)
  end)

  it("draws nothing that the config asks for", function()
    local text = DECLARES .. "astrum.run { config = { visualize = true } }"
    assert.same(shows(CHECK), run(text, "--check"))
  end)

  it("shows all namespaces, and a registry outside of the hub that is run", function()
    local text = [[
      local astrum = require "astrum"
      astrum.namespace("zoo").task("z", function() end)
      astrum.namespace("air").task("a", function() end)
      local side = astrum.SchedulerRegistry "side"
      side.task("s", function() end)
      side:run()
    ]]
    local ok = "namespace %s: ok, 1 task in 1 stage\n"
    local expected = ok:format "zoo" .. ok:format "air" .. ok:format "side"
    assert.same(shows(expected), run(text, "--check"))
    assert.truthy(run(text, "--graph=svg").out:find("namespace side", 1, true))
    local mermaid = run(text, "--graph=mermaid").out
    assert.equal("%% namespace zoo\nflowchart TD\n", mermaid:match "^[^\n]*\n[^\n]*\n")
  end)

  it("uses the targets and the config of the run that it takes the place of", function()
    local text = [[
      local astrum = require "astrum"
      astrum.task("a", { pool = "db", run = function() end })
      astrum.task("b", function() end)
      astrum.run { "a", config = { pools = { db = 2 } } }
    ]]
    local expected =
      "namespace default: 1 task would run, 1 would not\n  1  a  a result of the run; pool db\n"
    assert.same(shows(expected), run(text, "-n"))
  end)

  it("does not need to know the pools of a script that only declares", function()
    local text = 'require("astrum").task("a", { pool = "db", run = function() end })'
    assert.same(shows "namespace default: ok, 1 task in 1 stage\n", run(text, "--check"))
  end)

  it("tells the mistakes of every namespace for --check", function()
    local text = [[
      local astrum = require "astrum"
      for _, name in ipairs { "one", "two" } do
        astrum.namespace(name).task("a", { depends_on = { "b" }, run = function() end })
      end
      astrum.namespace("three").task("a", function() end)
    ]]
    local result = run(text, "--check")
    assert.equal(2, result.code)
    assert.equal("namespace three: ok, 1 task in 1 stage\n", result.out)
    local _, count = result.err:gsub("has unknown dependencies: %['b'%]", "")
    assert.equal(2, count, result.err)
  end)

  it("says why a task may not run, or run several times", function()
    local text = [[
      local astrum = require "astrum"
      local inner = astrum.workflow "inner" { x = { run = function() end } }
      astrum.task("a", function() end)
      astrum.task("each", { map = { item = { 1 } }, run = function(item) end })
      astrum.task("maybe", { when = function() end, depends_on = { "a" }, run = function() end })
      astrum.task("rescue", { trigger = "one_failed", depends_on = { "a" }, run = function() end })
      astrum.task("whole", { workflow = inner })
      astrum.task("tail", { detached = true, run = function() end })
    ]]
    local expected = [[
namespace default: 6 tasks would run
  1  a       needed by maybe, rescue
  2  each    a result of the run; once for each item
  3  whole   a result of the run; a workflow of 1 task
  4  tail    detached: the run does not wait for it
  5  maybe   a result of the run; if its condition holds
  6  rescue  a result of the run; trigger one_failed
]]
    assert.same(shows(expected), run(text, "-n"))
  end)

  it("lists the params with their types and defaults", function()
    local text = [[
      local astrum = require "astrum"
      local param = astrum.param
      astrum.task("a", { inputs = {
        day = param("day", { type = "integer" }),
        names = param("names", { type = "list?", description = "Who.\nMore." }),
        rate = param("rate", { type = "number", default = 0.5 }),
      }, run = function(day, names, rate) end })
      astrum.task("c", { inputs = {
        token = param("token", { default = "geheim", sensitive = true }),
        even = param("even", { type = function(v) return v % 2 == 0 end }),
      }, run = function(token, even) end })
      astrum.task("b", { map = { x = astrum.F.a, y = param("ys") }, run = function(x, y) end })
    ]]
    local expected = [[
namespace default
  a
      day = --set day, names = --set names, rate = --set rate
  c
      token = --set token, even = --set even
  b
      x = each of a, y = each of --set ys
  params
      day    integer, needs a value
      even   what a function accepts, needs a value
      names  list or nothing, may be left out  Who.
      rate   number, default 0.5
      token  any value, default [hidden]
      ys     any value, needs a value
]]
    assert.same(shows(expected), run(text, "--list"))
  end)

  local LIMITED <const> = [[
    local astrum = require "astrum"
    local task = astrum.task
    task("fetch", { pool = "api", retry = 2, timeout = 30,
      inputs = { day = astrum.param("day", { type = "integer" }) }, run = function(day) end })
    task("each", { map = { x = astrum.F.fetch }, max_concurrency = 2, pools = { db = 2 },
      executor = "thread", run = function(x) end })
    task("save", { depends_on = { "each" }, pool = "db", executor = "process",
      run = function() end })
  ]]

  local LIMITED_RUN <const> = LIMITED
    .. "astrum.build_scheduler({ config = { concurrency_limit = 4, pools = {"
    .. " api = { slots = 5, rate = { 10, per = 1 } }, db = 1 + 2 } } })"
    .. ":execute { params = { day = 3 } }"

  it("tells for --plan what limits the run", function()
    local expected = [[
namespace default: 3 tasks in 3 stages, at most 1 at once, not counting items of maps
  stage 0  fetch
  stage 1  each
  stage 2  save
  concurrency_limit  4
  pool api  5 slots, 10 starts in 1 s: fetch
  pool db  3 slots: each (2 units), save
  map each  2 items at once
  critical path  fetch -> each -> save
                 by number of tasks, as no run has measured them
]]
    assert.same(shows(expected), run(LIMITED_RUN, "--plan"))
    local unknown = run(LIMITED, "--plan").out
    assert.truthy(unknown:find("  pool api  as the config of the run says: fetch\n", 1, true))
  end)

  it("tells for --dry-run what a task is carried out by, and the values of params", function()
    local expected = [[
namespace default: 3 tasks would run
  param day = 3  (the program)
  1  fetch  needed by each; 2 retries; timeout 30 s; pool api
  2  each   needed by save; once for each item; in a worker thread; pool db
  3  save   a result of the run; in a child process; pool db
]]
    assert.same(shows(expected), run(LIMITED_RUN, "-n"))
    local set = run(LIMITED_RUN, "-n", "--set", "day=5").out
    assert.truthy(set:find("\n  param day = 5  (--set)\n", 1, true))
    local missing = run(LIMITED, "-n").out
    local text = "\n  param day has no value: give it one with --set day=...\n"
    assert.truthy(missing:find(text, 1, true))
  end)

  it("has nothing to show where no task is declared", function()
    local result = run("x = 1", "--list")
    local message = "PROGRAM: no task is declared\n"
      .. 'help: a script declares tasks with require("astrum").task\n'
    assert.same({ code = 2, out = "", err = message }, result)
  end)

  it("excludes options that are about runs", function()
    local result = run("x = 1", "--plan", "--html", "x.html")
    local message = "PROGRAM: --html is about runs, and --plan runs nothing\n"
      .. "help: leave one of them out\n"
    assert.same({ code = 2, out = "", err = message }, result)
    message = message:gsub("%-%-html", "--run")
    assert.same({ code = 2, out = "", err = message }, run("x = 1", "--plan", "--run"))
  end)

  it("excludes the prompt", function()
    local result = run("x = 1", "--plan", "-i")
    assert.equal(2, result.code)
    local message = "PROGRAM: --plan ends the program, so -i has no effect\n"
      .. "help: leave one of them out\n"
    assert.equal(message, result.err)
  end)

  it("ends with 1 when the script fails before it", function()
    local result = run(DECLARES .. "error('broken', 0)", "--plan")
    assert.equal(1, result.code)
    assert.equal("", result.out)
  end)

  it("takes a script from standard input", function()
    assert.same(shows(CHECK), program.run({ "--check" }, { input = DECLARES }))
    assert.same(shows(CHECK), program.run { "--check", "-e", DECLARES })
  end)

  it("gives the six graphs of the example", function()
    local result = program.run { "--graph=mermaid", "examples/fast_start.lua" }
    local _, count = result.out:gsub("flowchart TD\n", "")
    assert.equal(6, count)
    assert.truthy(result.out:find("retry=1", 1, true))
    assert.same({ 0, "" }, { result.code, result.err })
  end)

  it("shows names as text", function()
    local text = 'require("astrum").task("a\27[2J", { description = "b\27]0;x\7", '
      .. "run = function() end })"
    local expected = "namespace default\n  a\\x1B[2J  b\\x1B]0;x\\x07\n"
    assert.same(shows(expected), run(text, "--list"))
  end)
end)
