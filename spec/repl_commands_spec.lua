-- The commands of the prompt. Its input is a pipe, so typed lines are not echoed.

local program = require "spec.support.program"

local FLOW <const> = [[
local astrum = require "astrum"
local task, F = astrum.task, astrum.F

task "load" {
  description = "Reads the orders",
  inputs = { region = astrum.param("region", { type = "string", default = "EU" }) },
  run = function(region)
    return { count = 3, region = region }
  end,
}
task "count" {
  inputs = { n = astrum.Ref("integer", F.load.count, { default = 0 }), clock = os.time },
  run = function(n, clock) return n end,
}
task("fail", { depends_on = { "load" }, run = function() error("broken", 0) end })
task("password", { sensitive = true, run = function() return "hidden" end })
]]

-- Output without the version, prompts and times, and errors, for typed lines.
local function talk(lines, arguments)
  local result = program.run(
    { "-i", table.unpack(arguments or {}) },
    { input = lines, env = "-u COLUMNS -u FORCE_COLOR -u CLICOLOR_FORCE LC_ALL=C.UTF-8" }
  )
  assert.equal(0, result.code)
  local out = result.out:gsub("^astrum%-lua [^\n]*", "")
  local prompts
  repeat
    out, prompts = out:gsub("\n>>? ", "\n")
  until prompts == 0
  out = out:gsub("^\n", ""):gsub("%d+%.%d+ m?s", "TIME"):gsub(" +TIME", " TIME")
  return out:gsub("%-%-+", "--"), result.err
end

local function assert_talks(expected, lines)
  local out, err = talk(lines)
  assert.equal("", err)
  assert.equal(expected, out)
end

local function assert_refuses(expected, line)
  local out, err = talk(line .. "\n'on'\n")
  assert.equal(expected .. "\n", err)
  assert.equal('"on"\n\n', out)
end

describe("the commands of the prompt", function()
  local flow

  before_each(function()
    flow = program.file(FLOW)
  end)

  after_each(function()
    getmetatable(flow).__close(flow)
  end)

  local function loaded(lines)
    return ".load " .. flow.path .. "\n" .. lines
  end

  -- The name of the file is another one each time.
  local function named(text)
    return (text:gsub(flow.path:gsub("%W", "%%%0"), "FLOW"))
  end

  local function assert_shows(expected, lines)
    local out, err = talk(loaded(lines))
    assert.equal("", err)
    assert.equal("loaded FLOW: 4 tasks\n" .. expected, named(out))
  end

  it("are listed by .help", function()
    local out = talk ".help\n"
    assert.matches("^%.help %[COMMAND%] +what the commands do\n", out)
    for _, line in ipairs { ".explain [TARGET...]", ".time on|off", ".quit" } do
      assert.is_truthy(out:find("\n" .. line, 1, true), line)
    end
    for line in out:gmatch "[^\n]+" do
      assert.is_true(#line <= 80, line)
    end
  end)

  it("are told of one by one", function()
    assert_talks(
      "usage: .show TASK\na task: declaration, connections, last run\n\n",
      ".help show\n"
    )
    assert_talks(
      "usage: .report\nthe report of the last run; what went wrong in it\n\n",
      ".help .report\n"
    )
  end)

  it("suggest the nearest name for one that is not known", function()
    local text = "unknown command '.grph'\nhelp: did you mean '.graph'? enter .help for help"
    assert_refuses(text, ".grph")
    assert_refuses("unknown command '.xyz123'\nhelp: enter .help for help", ".xyz123")
    assert_refuses(text, ".help grph")
    assert_refuses(
      "unknown command '.exit'\nhelp: did you mean '.quit'? enter .help for help",
      ".exit"
    )
  end)

  it("tell how they are used when there are too few or too many arguments", function()
    assert_refuses("usage: .show TASK\nhelp: enter .help show for more", ".show")
    assert_refuses("usage: .quit\nhelp: enter .help quit for more", ".quit now")
  end)

  it("list the tasks", function()
    assert_shows(
      "load      not run  Reads the orders\ncount     not run\nfail      not run\n"
        .. "password  not run\n\n",
      ".tasks\n"
    )
  end)

  it("list the tasks that a glob matches, as a shell would", function()
    local count, fail = "count  not run\n", "fail  not run\n"
    assert_shows(count .. "\n", ".tasks co*\n")
    assert_shows(count .. "\n", ".tasks *nt\n")
    assert_shows(fail .. "\n", ".tasks f??l\n")
    assert_shows("no task matches 'f?l'\n\n", ".tasks f?l\n")
    assert_talks('F["größe"]\ngröße  not run\n\n', "task('größe', print)\n.tasks gr??e\n")
  end)

  it("list the tasks with a text in their names", function()
    assert_shows("count  not run\n\n", ".tasks oun\n")
    assert_shows("no task matches '[a-z]'\n\n", ".tasks [a-z]\n")
  end)

  it("say that there is no task to list", function()
    assert_talks("no tasks in namespace 'default'\n\n", ".tasks\n")
  end)

  it("show a declaration with its source, inputs and consumers", function()
    assert_shows(
      [[
task 'load', declared at FLOW:4
Reads the orders
  | task "load" {
  |   description = "Reads the orders",
  |   inputs = { region = astrum.param("region", { type = "string", default = "EU" }) },
  |   run = function(region)
  |     return { count = 3, region = region }
  |   end,
  | }
inputs:
  region = param 'region'
waits for: nothing
used by: count, fail
last run: none since it was declared

]],
      ".show load\n"
    )
  end)

  it("show the source of a task that was typed", function()
    assert_talks(
      [[
F.typed
task 'typed', declared at stdin:1
  | task("typed", function()
  |   return 1
  | end)
waits for: nothing
used by: nothing
last run: none since it was declared

]],
      'task("typed", function()\n  return 1\nend)\n.show typed\n'
    )
  end)

  it("show attempts and the last result", function()
    local out = talk(loaded ".run count\n.show count\n")
    assert.matches(
      "  n = F.load.count, integer, else 0\n  clock = a C function\nwaits for: load\n"
        .. "used by: nothing\nlast run: completed\n  attempt 1: completed in TIME\n  result: 3\n",
      out
    )
  end)

  it("show what became of the items of a map", function()
    local out = talk(
      "task('list', function() return { 1, 2, 3 } end)\n"
        .. "task('each', { map = { item = F.list }, on_item_failure = 'collect',\n"
        .. "run = function(item) if item == 2 then error('odd', 0) end end })\n.run\n.show each\n"
    )
    local text = "last run: completed\n  items: 2 completed, 1 failed\n"
      .. "  item 2, attempt 1: failed in TIME: odd\n"
    assert.truthy(out:find(text, 1, true), out)
  end)

  it("hide what is sensitive", function()
    local out = talk(loaded ".run password\n.show password\n.result password\n")
    assert.matches("result: %(sensitive%)", out)
    assert.matches("%(sensitive%)\n\n$", out)
  end)

  it("tell the error of a task that failed", function()
    local _, err = talk(loaded ".run fail\n.result fail\n")
    assert.matches("^broken\n", err)
  end)

  it("draw the graph", function()
    local out = talk(loaded ".graph\n.graph tree\n")
    local tree = out:match "tasks\n(.-\n)📋"
    assert.equal(tree .. tree .. "\n", out:match "tasks\n(.*)")
  end)

  it("draw a task and what it needs, in any format", function()
    local out, err = talk(loaded ".graph mermaid count\n.graph svg load\n")
    assert.equal("", err)
    local _, load_is_there = out:gsub("load", "")
    assert.is_truthy(out:find('n1["load"]', 1, true), out)
    assert.is_truthy(out:find("<title>Workflow of 1 task</title>", 1, true), out)
    assert.is_falsy(out:find("password", 1, true), out)
    assert.is_true(load_is_there > 1)
  end)

  it("refuse to draw what is neither a format nor a task", function()
    assert_refuses(
      "'jpeg2000' is neither a format of .graph nor a task\n"
        .. "help: the formats are: tree, dot, mermaid, svg",
      ".graph jpeg2000"
    )
    assert_refuses(
      "'tre' is neither a format of .graph nor a task\nhelp: did you mean 'tree'?",
      ".graph tre"
    )
  end)

  it("draw and plan tasks whose pools no run has declared yet", function()
    local out, err = talk "task('a', { pool = 'db', run = print })\n.graph\n.plan\n.explain\n"
    assert.equal("", err)
    assert.matches("└─ a\n.*  stage 0  a\n.*a  runs  it has not run yet\n", out)
  end)

  it("plan a task and what it needs", function()
    assert_shows(
      "namespace default: 2 tasks in 2 stages, at most 1 at once\n"
        .. "  stage 0  load\n  stage 1  count\n"
        .. "  critical path  load -> count\n"
        .. "                 by number of tasks, as no run has measured them\n\n",
      ".plan count\n"
    )
  end)

  it("run the targets that a glob matches", function()
    local out, err = talk(loaded ".run co* l*d\n.tasks\n.run zz*\n")
    assert.equal("no task matches 'zz*'\nhelp: enter .tasks to list them\n", err)
    assert.matches(
      "\nload      completed  Reads the orders\ncount     completed\nfail      not run\n",
      out
    )
  end)

  it("show the plan", function()
    assert_shows(
      "namespace default: 4 tasks in 2 stages, at most 3 at once\n"
        .. "  stage 0  load, password\n  stage 1  count, fail\n"
        .. "  critical path  load -> count\n"
        .. "                 by number of tasks, as no run has measured them\n\n",
      ".plan\n"
    )
  end)

  it("show the critical path by how long tasks took when they last ran", function()
    local plan = talk(
      "task('slow', function() sleep(0.005) end)\ntask('quick', function() end)\n"
        .. "task('last', { depends_on = { 'quick', 'slow' }, run = function() end })\n"
        .. "r = run()\n.plan\ntask('last', { depends_on = { 'slow' }, run = function() end })\n"
        .. ".plan\n"
    )
    for _, line in ipairs {
      "\n  critical path  slow (TIME) -> last (TIME)\n TIME, by the last run of each task\n",
      "\n  critical path  slow (TIME) -> last\n"
        .. " TIME, by the last run of each task; not measured: last\n",
    } do
      assert.truthy(plan:find(line, 1, true), plan)
    end
  end)

  it("run targets and show the report and the timeline", function()
    local out, err = talk(loaded ".run load\n.report\n.timeline\nreport:result('load').count\n")
    assert.equal("", err)
    local report = "Task Stage Status Duration Error\n-- -- -- -- --\nload 0 completed TIME\n"
      .. "state=completed, completed=1, failed=0, duration=TIME\n"
    assert.equal(
      "loaded FLOW: 4 tasks\n"
        .. report
        .. report
        .. "load |█| TIME\n"
        .. "█ completed, ░ failed, timed out or cancelled; the bars span TIME\n3\n\n",
      (named(out):gsub("  +", " "):gsub("█", "#"):gsub("#+", "█"))
    )
  end)

  it("tell an error of several lines once in the report", function()
    local out = talk 'task("a", function() error("one\\ntwo\\nthree", 0) end)\n.run\n.report\n'
    local _, told = out:gsub("\ntwo\nthree\n", "")
    assert.equal(2, told)
    assert.matches("\ntwo\nthree\n\ntask 'a' %(stdin:1%) failed\n", out)
  end)

  it("tell in the report what went wrong", function()
    local out, err = talk(loaded [[
task("bad", { inputs = { n = F.load.count }, run = function(n) error("no " .. n) end })
.run bad
.report
]])
    assert.equal("", err)
    local explained = "\n\ntask 'bad' (stdin:1) failed\ninputs:\n  n = 3  (from load.count)\n"
      .. "traceback:\n  stdin:1: in the body of 'bad'\n\n"
    assert.equal(explained, out:sub(-#explained))
    local _, headlines = out:gsub("Execution interrupted; task 'bad' failed: stdin:1: no 3\n", "")
    assert.equal(2, headlines)
  end)

  it("hide in results what is sensitive in their run", function()
    local out = talk [[
pw = astrum.param("pw", { sensitive = true, default = "sekret" })
task("join", { inputs = { pw = pw }, run = function(pw) return "EU" .. pw end })
.run join
.result join
.show join
]]
    assert.truthy(out:find('\n"EU[hidden]"\n', 1, true), out)
    assert.truthy(out:find('\n  result: "EU[hidden]"\n', 1, true), out)
    assert.falsy(out:find("EUsekret", 1, true), out)
  end)

  it("give params by their names", function()
    local out = talk(loaded ".run load region=US\n.result load\n.explain load\n")
    assert.matches('{ count = 3, region = "US" }\nload  reused  unchanged', out)
  end)

  it("refuse a param that is not there", function()
    local _, err = talk(loaded ".run load zone=1\n")
    assert.equal("run: unknown param 'zone'\nhelp: the params are: region\n", err)
  end)

  it("explain a run without running", function()
    assert_shows("load  runs  it has not run yet\n\n", ".explain load\n")
  end)

  it("explain a run with another value of a param", function()
    local out = talk(loaded ".run load\n.explain load region=US\n.explain load region=EU\n")
    assert.matches("\nload  runs  param 'region' changed\n", out)
    assert.matches("\nload  reused  unchanged since its last result\n", out)
    local _, err = talk(loaded ".explain load regoin=US\n")
    assert.matches("^run: unknown param 'regoin'\nhelp: did you mean 'region'%?\n", err)
  end)

  it("run again what ran last, all of it", function()
    local out = talk(loaded ".run load\n.run load\n.rerun\n")
    local _, reused = out:gsub("load +0 +reused", "")
    local _, completed = out:gsub("load +0 +completed", "")
    assert.same({ 1, 2 }, { reused, completed })
  end)

  it("know of a run of the script before the prompt", function()
    local file <close> = program.file [[
local astrum = require "astrum"
astrum.task("one", function() return 1 end)
astrum.task("two", { inputs = { n = astrum.F.one }, run = function(n) return n + 1 end })
astrum.run():assert()
]]
    local out = talk(".explain\n.result two\n.report\n", { file.path })
    assert.matches("^one  reused  unchanged since its last result\ntwo  reused", out)
    assert.matches("\n2\nTask .*state=completed, completed=2, failed=0", out)
  end)

  it("count tasks that are reused as completed, also when the run fails", function()
    local out = talk [[
task("a", function() return 1 end)
task("b", { inputs = { a = F.a }, run = function(a) return a end })
task("c", { inputs = { a = F.a }, run = function(a) return a end })
.run
task("z", function() error("no") end)
.run
report:task("b").attempt_count
report:task("b").reused
report:mermaid():match "b\\n[^\"]*"
]]
    assert.matches("state=failed, completed=3, failed=1, duration", out)
    assert.matches("\n0\ntrue\n", out)
    assert.matches("reused", out:match "\n0\ntrue\n(.*)$")
  end)

  it("need a run before they can tell of one", function()
    local text = "nothing has run in namespace 'default'\nhelp: enter .run, or run { ... }"
    for _, line in ipairs { ".report", ".timeline", ".rerun" } do
      assert_refuses(text, line)
    end
  end)

  it("need a task that is there", function()
    local _, err = talk(loaded ".show lod\n.run lod\n")
    local text = "there is no task 'lod' in namespace 'default'\nhelp: did you mean 'load'?\n"
    assert.equal(text .. text, err)
  end)

  it("tell that a task has not run", function()
    local _, err = talk(loaded ".result load\n")
    assert.equal("task 'load' has not run since it was declared\nhelp: enter .run load\n", err)
  end)

  it("choose a namespace and list them", function()
    assert_talks(
      "* default  0 tasks\nF.a\nnamespace other: new, empty\nF.b\n"
        .. "  default  1 task\n* other    1 task\n\n",
      ".namespace\ntask('a', function() end)\n.namespace other\ntask('b', function() end)\n"
        .. ".namespace\n"
    )
  end)

  it("say what a namespace has when it is chosen", function()
    assert_shows(
      "namespace othre: new, empty\nnamespace default: 4 tasks\n\n",
      ".namespace othre\n.namespace default\n"
    )
  end)

  it("load a file again after it was changed", function()
    local out, err = talk(loaded(".run load\n.load " .. flow.path .. "\n.explain load\n"))
    assert.equal("", err)
    assert.matches("load  runs  its declaration changed\n", out)
  end)

  it("tell where a file that is loaded is wrong", function()
    local bad <close> = program.file "local x = \nerror('no')"
    local _, err = talk(".load " .. bad.path .. "\n.load /nothing.lua\n")
    local text = "%s:2: no\nstack traceback:\n\t[C]: in function 'error'\n"
      .. "\t%s:2: in main chunk\n\t[C]: in ?\n"
      .. "cannot open /nothing.lua: No such file or directory\n"
    assert.equal(text:format(bad.path, bad.path), err)
  end)

  it("save what was entered, so that it can be run", function()
    local out <close> = program.file ""
    os.remove(out.path)
    talk(
      "n = 1\nn + 1\ntask('a', function() return n end)\ntask('a', function() return n + 1 end)\n"
        .. "n = nil + 1\n.namespace other\ntask('b', function()\n  return 5\nend)\n"
        .. ".save "
        .. out.path
        .. "\n.save "
        .. out.path
        .. "\n"
    )
    local file <close> = assert(io.open(out.path))
    assert.equal(
      [[
local astrum = require "astrum"
local task, F, Ref = astrum.task, astrum.F, astrum.Ref
local run, sleep = astrum.run, astrum.sleep

n = 1
task('a', function() return n + 1 end)
astrum.use_namespace("other", function()
task('b', function()
  return 5
end)
end)
]],
      file:read "a"
    )
    local code = "dofile %q"
      .. " print(astrum.run():result 'a', astrum.run { namespace = 'other' }:result 'b')"
    local result = program.run { "-l", "astrum", "-e", code:format(out.path) }
    assert.equal("2\t5\n", result.out)
  end)

  it("save entries that end with a return, or begin with a bracket, as a script", function()
    local out <close> = program.file ""
    os.remove(out.path)
    talk(
      "n = 1\nn = n + 1 return n\n(task)('a', function() return n end)\n.save " .. out.path .. "\n"
    )
    local code = ("dofile %q print(astrum.run():result 'a')"):format(out.path)
    local result = program.run { "-l", "astrum", "-e", code }
    assert.equal("2\n", result.out, result.err)
  end)

  -- What `.save` says after some lines, the file that it writes, and errors.
  local function saved(lines, arguments)
    local out <close> = program.file ""
    os.remove(out.path)
    local told, err = talk(lines .. "\n.save " .. out.path .. "\n", arguments)
    local file <close> = io.open(out.path)
    local text = file and file:read "a"
    local listed = file and program.run { "--list", out.path }
    local function shorter(shown)
      return named(shown:gsub(out.path:gsub("%W", "%%%0"), "SAVED"))
    end
    return shorter(told), text and named(text), listed and listed.out, err
  end

  it("say what was saved", function()
    local told = saved "task('a', print)\ntask('b', print)"
    assert.equal("F.a\nF.b\nsaved 2 declarations to SAVED\n\n", told)
  end)

  it("save tasks of a file that was loaded, as a call of the file", function()
    local told, text, listed = saved(loaded "task('mine', print)")
    assert.equal(
      "loaded FLOW: 4 tasks\nF.mine\n"
        .. "saved 5 declarations to SAVED, which runs FLOW for 4 of them\n\n",
      told
    )
    assert.is_truthy(text:find('dofile("FLOW")', 1, true), text)
    assert.matches("\n  load .*\n  count.*\n  fail.*\n  password.*\n  mine", listed)
  end)

  it("save tasks of a file that were declared again", function()
    local again = "task('fail', { inputs = { F.load.count }, run = print })"
    local _, text, listed = saved(loaded(again))
    assert.is_truthy(
      text:find('dofile("FLOW")\nrequire("astrum.registry").begin_entry()', 1, true),
      text
    )
    assert.matches("\n  fail *\n      load%.count\n", listed)
  end)

  it("save a file that was loaded twice as one call of the file", function()
    local told, text, listed = saved(loaded(".load " .. flow.path))
    assert.is_truthy(told:find("saved 4 declarations to SAVED, which runs FLOW\n", 1, true), told)
    local _, calls = text:gsub('dofile%("FLOW"%)', "")
    assert.equal(1, calls)
    assert.matches("\n  load .*\n  count.*\n  fail.*\n  password", listed)
  end)

  it("save locals for the entry that they are of", function()
    local _, text, listed =
      saved("local x <const> = 1 task('a', function() return x end)\nx = 2 task('b', print)")
    assert.is_truthy(load(text))
    assert.matches("\n  a *\n  b *\n", listed)
  end)

  it("save an entry of which one task was declared again", function()
    local told, _, listed = saved "x = 1 task('a', print) task('b', print)\ntask('a', next)"
    assert.matches("saved 2 declarations", told)
    assert.matches("\n  a *\n  b *\n", listed)
  end)

  it("save tasks of the script before the prompt, with its arguments", function()
    local _, text, listed = saved("task('mine', print)", { flow.path, "EU" })
    assert.is_truthy(
      text:find(
        'arg = { [0] = "FLOW", "EU" }\nassert(loadfile(arg[0]))(table.unpack(arg))\n',
        1,
        true
      ),
      text
    )
    assert.matches("\n  load .*\n  mine", listed)
  end)

  it("tell which tasks could not be saved", function()
    local told = saved("task('a', print) error 'no'\ntask('b', print)", {
      "-e",
      "require 'astrum'.task('c', print)",
    })
    assert.equal(
      "F.b\nsaved 1 declaration to SAVED\nnot saved: c (declared by -e)\n"
        .. "not saved: a (the entry failed)\n\n",
      told
    )
  end)

  it("load a file that was saved, and save all of it again", function()
    local first <close> = program.file ""
    os.remove(first.path)
    local _, _, listed, err = saved(
      loaded("task('fail', print)\n.save " .. first.path)
        .. "\n.reset\n.load "
        .. first.path
        .. "\ntask('mine', print)"
    )
    assert.equal("", err)
    assert.matches("\n  load .*\n  count.*\n  fail.*\n  password.*\n  mine", listed)
  end)

  it("save no file over one that the saved script would run", function()
    local first <close> = program.file ""
    os.remove(first.path)
    local _, err =
      talk(loaded((".save %s\n.load %s\n.save %s\n"):format(first.path, first.path, first.path)))
    local text = "the tasks of %s are a part of this session\nhelp: give the name of a new file\n"
    assert.equal(text:format(first.path), err)
  end)

  it("save over no file that was there before", function()
    assert_refuses(
      flow.path .. " is there already\nhelp: give the name of a new file",
      ".save " .. flow.path
    )
  end)

  it("forget tasks and results", function()
    assert_shows(
      "forgotten: 4 tasks\nno tasks in namespace 'default'\nF.load\n"
        .. "load  runs  it has not run yet\n5\n\n",
      "x = 5\n.reset\n.tasks\ntask('load', function() end)\n.explain\nx\n"
    )
  end)

  it("tell how long entries take", function()
    assert_talks("(TIME)\n1\n(TIME)\n2\n\n", ".time on\n1\n.time off\n2\n")
    assert_refuses("on or off is wanted, got 'maybe'", ".time maybe")
  end)

  it("have colour on a terminal, or when it is asked for", function()
    local result = program.run({ "--color=always", "-i" }, {
      input = "task('a', function() error 'no' end)\n.tasks\n.explain\n.graph\n.run\n.timeline\n",
      env = "LC_ALL=C.UTF-8",
    })
    for _, text in ipairs {
      "a  \27[2mnot run\27[0m\n",
      "a  \27[36mruns\27[0m  it has not run yet\n",
      "\27[1ma\27[0m",
      "\27[31mfailed\27[0m",
      "a |\27[31m░",
    } do
      assert.truthy(result.out:find(text, 1, true), result.out)
    end
  end)

  it("leave", function()
    assert_talks("1\n", "1\n.quit\n2\n")
  end)

  it("take no line of Lua away", function()
    assert_talks("0.5\n0\n\n", ".5\nselect('#', ...)\n")
  end)
end)

describe("a session", function()
  it("has what is typed most as globals", function()
    assert_talks(
      "true\ttrue\ttrue\ttrue\ttrue\ttrue\n\n",
      "a = require 'astrum'\n"
        .. "astrum == a, task == a.task, F == a.F, Ref == a.Ref, run == a.run, sleep == a.sleep\n"
    )
  end)

  it("leaves globals of a script alone, and gives none to a script", function()
    local script <close> = program.file "run = 'mine' print(task)"
    local result = program.run({ "-i", script.path }, { input = "run\n" })
    assert.matches('\nnil\n> "mine"\n', result.out)
  end)

  it("takes the place of a task when it is declared again", function()
    local out, err = talk "task('a', function() return 1 end)\ntask('a', function() return 2 end)\n"
    assert.equal("", err)
    assert.equal("F.a\nF.a\n\n", out)
  end)

  it("refuses two declarations of a name in one entry", function()
    local _, err = talk "f = function() end\ntask('a', f) task('a', f)\n"
    assert.matches("^stdin:1: task 'a' is declared twice in namespace 'default'\n", err)
  end)

  it("tells of a run that nobody waited for", function()
    local out = talk(
      "task('a', function() astrum.sleep(0.001) end)\nh = astrum.build_scheduler():start()\n"
        .. "astrum.sleep(0.01)\n"
    )
    assert.matches("\nrun %d+T%d+Z%-%x+: completed, 1 task, TIME\n", out)
  end)

  it("tells no failure of a run in the background that completed", function()
    local out = talk(
      "task('a', { retry = 1, run = function(ctx) if ctx.attempt == 1 then error 'no' end end })\n"
        .. "h = astrum.build_scheduler():start()\nsleep(0.01)\n"
    )
    assert.matches("\nrun %d+T%d+Z%-%x+: completed, 1 task, TIME\n\n$", out)
  end)

  it("does not tell of a run that its own line waited for", function()
    assert_talks('F.a\n"completed"\n\n', "task('a', function() end)\nrun().execution_state\n")
  end)

  it("says that it waits for runs which go on when it ends", function()
    local out, err =
      talk("task('a', function() astrum.sleep(0.02) end)\nh = astrum.build_scheduler():start()\n")
    assert.equal("waiting, as a run goes on; Ctrl-C cancels\n", err)
    assert.matches("completed, 1 task", out)
  end)
end)
