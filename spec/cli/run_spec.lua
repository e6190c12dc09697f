-- --run, values and limits from the command line, and what is written of each run.

local program = require "spec.support.program"

local FLOW <const> = [[
local astrum = require "astrum"
local task, F = astrum.task, astrum.F
task("load", { inputs = { region = astrum.param("region", { default = "EU" }),
    count = astrum.param("count", { type = "integer", default = 1 }) },
  run = function(region, count) print("load", region, count) end })
task("left", { depends_on = { "load" }, run = function() print "left" end })
task("right", { depends_on = { "load" }, run = function() print "right" end })
]]

local FAILS <const> = [[
local astrum = require "astrum"
astrum.task("bad", function() error("boom", 0) end)
astrum.task("late", function() astrum.sleep(0) astrum.sleep(0) print "late" end)
]]

-- Runs a script without progress.
local function run(text, ...)
  local script <close> = program.file(text)
  local arguments = table.pack("--progress=none", ...)
  arguments[#arguments + 1] = script.path
  local result = program.run(arguments)
  local names = { [program.path] = "PROGRAM", [script.path] = "FILE" }
  for path, name in pairs(names) do
    result.err = result.err:gsub(path:gsub("%p", "%%%0"), name)
  end
  return result
end

local function read(path)
  local file <close> = assert(io.open(path))
  return file:read "a"
end

-- A folder that is gone when the returned value is closed.
local function folder()
  local path = os.tmpname()
  os.remove(path)
  assert(os.execute("mkdir " .. path))
  return setmetatable({ path = path }, {
    __close = function()
      os.execute("rm -r " .. path)
    end,
  })
end

local function names_in(path)
  local pipe <close> = assert(io.popen("ls -A " .. path))
  return (pipe:read("a"):gsub("\n", " "))
end

describe("--run", function()
  it("runs what a script declares", function()
    local result = run(FLOW, "--run")
    assert.same({ code = 0, out = "load\tEU\t1\nleft\nright\n", err = "" }, result)
  end)

  it("runs its targets and what they need", function()
    assert.equal("load\tEU\t1\nright\n", run(FLOW, "--run=right").out)
    assert.equal("load\tEU\t1\nleft\nright\n", run(FLOW, "--run=right,left").out)
  end)

  it("runs each namespace in turn", function()
    local text = [[
      local astrum = require "astrum"
      astrum.namespace("zoo").task("z", function() print "z" end)
      astrum.namespace("air").task("a", function() print "a" end)
    ]]
    assert.equal("z\na\n", run(text, "--run").out)
    assert.equal("a\n", run(text, "--run=a").out)
  end)

  it("runs nothing when one of the namespaces cannot be built", function()
    local text = FLOW
      .. 'astrum.namespace("other").task("x", { depends_on = { "y" }, run = function() end })'
    local result = run(text, "--run")
    assert.equal(2, result.code)
    assert.equal("", result.out)
  end)

  it("lets a script run its workflows itself", function()
    local result = run(FLOW .. "astrum.run { 'load' } print 'end'", "--run")
    assert.same({ code = 0, out = "load\tEU\t1\nend\n", err = "" }, result)
  end)

  it("runs its targets in place of the script's first run, by its config", function()
    local text = FLOW
      .. [[
      task("limited", { pool = "db", run = function() print "limited" end })
      astrum.run { "load", config = { pools = { db = 1 } } }
      print "not reached"
    ]]
    local result = run(text, "--run=limited")
    assert.same({ code = 0, out = "limited\n", err = "" }, result)
  end)

  it("ends with 1 when a run did not complete", function()
    assert.equal(1, run(FAILS, "--run").code)
    assert.equal(1, run(FAILS .. "astrum.run {}", "--run").code)
    assert.equal(1, run(FAILS .. "astrum.run {}", "--run=bad").code)
    assert.equal(0, run(FAILS .. "astrum.run {}").code)
  end)

  it("writes the report of a run though it could not be explained", function()
    local text = [[
      package.preload["astrum.report.explanation"] = function() error("no memory", 0) end
    ]]
    local result = run(text .. FAILS .. "astrum.run {}", "--run", "--report=json")
    assert.truthy(result.err:find("PROGRAM: no memory", 1, true), result.err)
    assert.truthy(result.out:find('"execution_state":"failed"', 1, true), result.out)
    assert.equal(1, result.code)
  end)

  it("explains a run that failed once, though the script asserts it", function()
    local result = run(FAILS .. "astrum.run():assert()", "--run")
    local message = [[
Execution interrupted; task 'bad' failed: boom

task 'bad' (FILE:2) failed
   2 | astrum.task("bad", function() error("boom", 0) end)
traceback:
  FILE:2: in the body of 'bad'
not started, as the run stopped at the first failure: late
PROGRAM: task 'bad' failed, as told above
]]
    assert.equal(message, result.err)
    assert.equal(1, result.code)
  end)

  it("waits for runs that the script has only started", function()
    local text = FAILS .. "astrum.build_scheduler({}):start()"
    assert.equal(1, run(text, "--run").code)
  end)

  it("leaves runs inside of tasks to the run around them", function()
    local text = [[
      local astrum = require "astrum"
      local inner = astrum.workflow "inner" { x = { run = function() error("boom", 0) end } }
      astrum.task("outer", function() inner:run() end)
    ]]
    assert.equal(0, run(text, "--run").code)
  end)

  it("refuses a target that is not there", function()
    local result = run(FLOW, "--run=rihgt")
    local message = "PROGRAM: --run: there is no task 'rihgt'\nhelp: did you mean 'right'?\n"
    assert.same({ code = 2, out = "", err = message }, result)
  end)

  it("ends with the code of os.exit", function()
    assert.equal(7, run(FLOW .. "astrum.run {} os.exit(7)", "--run").code)
  end)

  it("drives detached tasks to their end", function()
    local text = FLOW
      .. 'task("tail", { detached = true, run = function() astrum.sleep(0.002) print "tail" end })'
    assert.truthy(run(text, "--run").out:find "tail\n$")
    assert.truthy(run(text .. "astrum.run {}", "--run=tail").out:find "tail\n$")
  end)

  it("ends with 130 after SIGINT", function()
    local text = [[
      local astrum = require "astrum"
      astrum.task("a", function()
        io.popen("kill -INT $PPID"):close()
        astrum.sleep(10)
      end)
    ]]
    assert.equal(130, run(text, "--run").code)
  end)
end)

describe("--set", function()
  it("gives values to params, by their types", function()
    local result = run(FLOW, "--run=load", "--set", "region=a=b", "--set=count=7")
    assert.equal("load\ta=b\t7\n", result.out)
  end)

  it("wins over what the script gives", function()
    local text = FLOW .. "astrum.run { 'load', params = { region = 'US', count = 3 } }"
    assert.equal("load\tAS\t3\n", run(text, "--set", "region=AS").out)
    text = FLOW .. "astrum.build_scheduler({ target_tasks = { 'load' } })"
    text = text .. ":execute { params = { region = 'US' } }"
    assert.equal("load\tAS\t1\n", run(text, "--set", "region=AS").out)
  end)

  it("goes to each run that has the param", function()
    local text = [[
      local astrum = require "astrum"
      for _, name in ipairs { "one", "two" } do
        local param = astrum.param(name, { default = "-" })
        local registry = astrum.SchedulerRegistry(name)
        registry.task("t", { inputs = { param }, run = print })
        registry:run()
      end
    ]]
    assert.equal("1\n-\n", run(text, "--set", "one=1").out)
  end)

  it("refuses a name that no task takes", function()
    local result = run(FLOW, "--run", "--set", "regoin=x")
    local message = "PROGRAM: --set: no task takes a param 'regoin'\nhelp: did you mean 'region'?\n"
    assert.same({ code = 2, out = "", err = message }, result)
  end)

  it("refuses a value that does not fit, though the script catches errors", function()
    local text = FLOW .. "pcall(astrum.run, {}) print 'not reached'"
    local result = run(text, "--set", "count=many")
    local message = "PROGRAM: FILE:8: --set: param 'count': 'many' is no integer\n"
      .. "help: write a whole number, as in 12\n"
    assert.same({ code = 2, out = "", err = message }, result)
  end)

  it("is refused when no run takes it", function()
    local result = run(
      FLOW .. "astrum.namespace('n').task('x', print) astrum.run { namespace = 'n' }",
      "--set",
      "region=x"
    )
    local message = "PROGRAM: --set: no run took the param 'region'\n"
      .. "help: add --run, or run its namespace\n"
    assert.same({ code = 2, out = "\n", err = message }, result)
  end)
end)

describe("a limit from the command line", function()
  local text <const> = [[
    local astrum = require "astrum"
    local running, most = 0, 0
    for i = 1, 6 do
      astrum.task("t" .. i, function()
        running = running + 1
        most = math.max(most, running)
        astrum.sleep(0)
        running = running - 1
      end)
    end
    astrum.run { config = { concurrency_limit = 4 } }
    print(most)
  ]]

  it("takes the place of the config's for -j", function()
    assert.equal("4\n", run(text).out)
    assert.equal("2\n", run(text, "-j", "2").out)
    assert.equal("6\n", run(text, "-j6").out)
  end)

  it("goes on after a failure for -k", function()
    assert.equal("", run(FAILS, "--run").out)
    assert.equal("late\n", run(FAILS, "--run", "-k").out)
    assert.equal("late\n", run(FAILS .. "astrum.run {}", "-k").out)
  end)
end)

describe("what is written of a run", function()
  it("is its report for --report", function()
    local out = run(FLOW, "--run=load", "--report").out
    assert.equal("load\tEU\t1\nTask", out:match "^.-Task")
    assert.truthy(out:find "\nstate=completed, completed=1, failed=0, duration=[%d.]+ ms\n$")
  end)

  it("is a line of JSON for each run, apart from what the script prints", function()
    local text = FLOW .. "astrum.run { 'load' } astrum.run { 'left' } print 'end'"
    local result = run(text, "--json")
    local lines = {}
    for line in result.out:gmatch "([^\n]*)\n" do
      lines[#lines + 1] = line
    end
    local json = require "dkjson"
    assert.equal(2, #lines)
    assert.equal(1, json.decode(lines[1]).total_tasks)
    assert.equal("completed", json.decode(lines[2]).execution_state)
    assert.equal("load\tEU\t1\nload\tEU\t1\nleft\nend\n", result.err)
    local same = run(text, "--report=json")
    assert.equal(result.err, same.err)
  end)

  it("keeps what child processes print apart from JSON", function()
    local text = [[
      local astrum = require "astrum"
      astrum.task("child", function()
        astrum.spawn { "echo", "from the child", stdout = "inherit" }
      end)
    ]]
    local result = run(text, "--run", "--json")
    assert.equal("from the child\n", result.err)
    assert.equal("{", result.out:sub(1, 1))
  end)

  it("is a trace for --trace, with a number from the second run on", function()
    local place <close> = folder()
    local file = place.path .. "/trace.json"
    local text = FLOW .. "astrum.run { 'load' } astrum.run { 'load' }"
    assert.equal(0, run(text, "--trace", file).code)
    assert.equal("trace-2.json trace.json ", names_in(place.path))
    assert.truthy(read(file):find('"traceEvents"', 1, true))
  end)

  it("is a page for --html", function()
    local place <close> = folder()
    local file = place.path .. "/report.html"
    assert.equal(1, run(FAILS, "--run", "--html", file).code)
    local page = read(file)
    assert.equal("<!doctype html>", page:match("^[^\n]*"):lower())
    assert.truthy(page:find("boom", 1, true))
  end)

  it("takes the place of a file that was there, with the mode of a new one", function()
    local place <close> = folder()
    local file = place.path .. "/trace.json"
    os.execute("echo old > " .. file)
    assert.equal(0, run(FLOW, "--run", "--trace", file).code)
    assert.falsy(read(file):find "old")
    local pipe <close> = io.popen("umask 022; stat -c %a " .. file)
    assert.equal("644\n", pipe:read "a")
    assert.equal("trace.json ", names_in(place.path))
  end)

  it("never goes through a symbolic link", function()
    local place <close> = folder()
    local file, target = place.path .. "/link", place.path .. "/target"
    os.execute(("echo kept > %s; ln -s %s %s"):format(target, target, file))
    local result = run(FLOW, "--run", "--trace", file)
    local message = "PROGRAM: --trace: cannot write %s: it is a symbolic link; "
      .. "name the file that it leads to; nothing has run\n"
    assert.equal(message:format(file), result.err)
    assert.equal(2, result.code)
    assert.equal("kept\n", read(target))
  end)

  it("is refused before anything runs when it cannot be written", function()
    local place <close> = folder()
    local file = place.path .. "/none/trace.json"
    for _, option in ipairs { "--trace", "--html" } do
      local function refused(path, why)
        local message = ("PROGRAM: %s: cannot write %s: %s; nothing has run\n"):format(
          option,
          path,
          why
        )
        assert.same({ code = 2, out = "", err = message }, run(FLOW, "--run", option, path))
        local text = FLOW .. "pcall(astrum.run)"
        assert.same({ code = 2, out = "", err = message }, run(text, option, path))
      end
      refused(file, "No such file or directory")
      refused(place.path, "it is a folder")
      refused("/dev/null", "it is not a file")
    end
    assert.equal("", names_in(place.path))
  end)

  it("may go to a folder that the script makes", function()
    local place <close> = folder()
    local text = ('os.execute("mkdir %s/new")'):format(place.path) .. FLOW
    assert.equal(0, run(text, "--run", "--trace", place.path .. "/new/trace.json").code)
    assert.equal("trace.json ", names_in(place.path .. "/new"))
  end)

  it("leaves an old file as it is when nothing runs", function()
    local place <close> = folder()
    local file = place.path .. "/trace.json"
    os.execute("echo old > " .. file)
    local text = [[
      local astrum = require "astrum"
      astrum.task("a", { inputs = { astrum.param "p" }, run = print })
    ]]
    local result = run(text, "--run", "--trace", file)
    local message = "PROGRAM: --run: param 'p' has no value\n"
      .. "help: give it one: params = { p = ... }, or --set p=...\n"
      .. "declared at FILE:2\n"
      .. '   2 |       astrum.task("a", { inputs = { astrum.param "p" }, run = print })\n'
      .. "     |                                                   ^\n"
    assert.same({ code = 2, out = "", err = message }, result)
    assert.equal("old\n", read(file))
    assert.equal("trace.json ", names_in(place.path))
  end)

  it("is nothing when nothing runs, and that is an error", function()
    for _, option in ipairs { "--json", "--report", "--log", "-k", "-j2" } do
      local result = run(FLOW, option)
      local message = "PROGRAM: %s: the program runs no workflow\n"
        .. "help: add --run to run the tasks that it declares\n"
      assert.equal(message:format(option:sub(1, 2) == "-j" and "-j" or option), result.err)
      assert.equal(2, result.code)
    end
  end)
end)

describe("data that nobody can have", function()
  local path = os.tmpname()

  setup(function()
    local file <close> = assert(io.open(path, "wb"))
    file:write(FLOW)
  end)

  teardown(function()
    os.remove(path)
  end)

  local function shell(words, output)
    local command = ("exec %s --progress=none %s %s >%s"):format(program.path, words, path, output)
    local result = program.run({ "-c", command }, { program = "sh" })
    local err = result.err:gsub(program.path:gsub("%p", "%%%0"), "PROGRAM")
    return result.code, err
  end

  it("is told of where the disk is full", function()
    local message = "PROGRAM: cannot write to standard output: No space left on device\n"
    for _, words in ipairs { "--list", "--graph=svg", "--plan" } do
      local code, err = shell(words, "/dev/full")
      assert.same({ 1, message }, { code, err })
    end
    for _, words in ipairs { "--run --json", "--run --report" } do
      local code, err = shell(words, "/dev/full")
      assert.equal(1, code)
      assert.equal(message, err:match "PROGRAM[^\n]*\n")
    end
  end)

  it("is told of where standard output is closed", function()
    local message = "PROGRAM: cannot write to standard output: Bad file descriptor\n"
    for _, words in ipairs { "--list", "--run --report" } do
      local code, err = shell(words, "&-")
      assert.same({ 1, message }, { code, err })
    end
  end)

  it("ends nowhere else where the standard streams are closed", function()
    local code = shell("--run", "&- <&- 2>&-")
    assert.equal(0, code)
  end)
end)

describe("--log", function()
  it("writes a line for each event", function()
    local result = run(FLOW, "--run=load", "--log")
    local kinds = {}
    for kind in result.err:gmatch "%d%d:%d%d:%d%d%.%d%d%d ([%w_]+)" do
      kinds[#kinds + 1] = kind
    end
    local expected = "run_started attempt_started attempt_finished run_finished"
    assert.equal(expected, table.concat(kinds, " "))
  end)

  it("writes an object for each event for json", function()
    local text = [[
      local astrum = require "astrum"
      astrum.task('a"b', { retry = 1, run = function(ctx) ctx.log("x\ty") error("boom", 0) end })
    ]]
    local json = require "dkjson"
    local events = {}
    for line in run(text, "--run", "--log=json").err:gmatch "([^\n]*)\n" do
      local event = json.decode(line)
      assert.equal("number", type(event.time))
      events[#events + 1] = event
    end
    assert.equal("run_started", events[1].event)
    assert.equal('a"b', events[2].task)
    assert.equal(1, events[2].attempt)
    assert.equal("x\ty", events[3].text)
    assert.equal("failed", events[4].state)
    assert.is_true(events[4].will_retry)
    assert.equal("failed", events[#events].state)
  end)
end)

describe("--log of a map", function()
  local MAP <const> = [[
    local astrum = require "astrum"
    astrum.task("each", { map = { x = { 7, 8 } }, retry = 1, run = function(x, ctx)
      ctx.log("got", x)
      if x == 8 and ctx.attempt == 1 then error("no", 0) end
    end })
  ]]

  it("names the items", function()
    local lines = {}
    for line in run(MAP, "--run", "--log").err:gmatch "%S+ ([^\n]*)\n" do
      if not line:find "^run_" then
        lines[#lines + 1] = line
      end
    end
    assert.same({
      "attempt_started each[1]",
      "log each[1]: got 7",
      "attempt_finished each[1] completed",
      "attempt_started each[2]",
      "log each[2]: got 8",
      "attempt_finished each[2] failed, will be retried: no",
      "attempt_started each[2] #2",
      "log each[2]: got 8",
      "attempt_finished each[2] #2 completed",
    }, lines)
  end)

  it("numbers the items in what they log for json", function()
    local result = run(MAP, "--run", "--log=json")
    assert.truthy(
      result.err:find('"event":"log","task":"each","item":2,"text":"got\\t8"}', 1, true)
    )
  end)
end)

describe("the prompt", function()
  it("comes after --run", function()
    local script <close> = program.file(FLOW)
    local result = program.run(
      { "--run=load", "--progress=none", "-i", script.path },
      { input = "print(1 + 1)\n" }
    )
    assert.truthy(result.out:find("load\tEU\t1\n.*2\n"))
    assert.equal(0, result.code)
  end)
end)
