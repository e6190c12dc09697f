-- Progress on standard error: on a terminal, and where there is none.

local program = require "spec.support.program"
local screen = require "spec.support.screen"

-- In a script `wait()` lets all others go on and draws between two ticks, twice, so that no script
-- has to last until a tick; `ticks` says how many have come by themselves.
local WAITS <const> = [[
local astrum = require "astrum"
local core = require "astrum.core"
local task = astrum.task
local tick, draw, ticks = core.tick, nil, 0
function core.tick(seconds, fire)
  draw = fire
  tick(seconds, fire and function() ticks = ticks + 1 fire() end)
end
local function wait()
  for _ = 1, 2 do
    astrum.sleep(0)
    if draw then draw() end
  end
end
]]

-- The name of the script reads FILE, before times read T: it can end as one, in 1s.
local function comparable(text, script)
  return (text:gsub(script.path:gsub("%p", "%%%0"), "FILE"):gsub("[%d.]+s%f[%W]", "T"))
end

-- Runs a script on a terminal.
local function on_terminal(text, arguments, size)
  local script <close> = program.file(WAITS .. text)
  arguments = table.move(arguments, 1, #arguments, 1, {})
  arguments[#arguments + 1] = script.path
  local result = screen.run(arguments, size)
  for i, line in ipairs(result.lines) do
    result.lines[i] = comparable(line, script)
  end
  result.raw = result.raw:gsub("[%d.]+s%f[%W]", "T")
  return result
end

-- The same without a terminal.
local function elsewhere(text, arguments)
  local script <close> = program.file(WAITS .. text)
  arguments = table.move(arguments, 1, #arguments, 1, {})
  arguments[#arguments + 1] = script.path
  local result = program.run(arguments)
  result.err = comparable(result.err, script)
  return result
end

describe("progress on a terminal", function()
  it("is a line with counts and what runs, and is gone at the end", function()
    local result = on_terminal('task("slow", wait) task("quick", function() end)', { "--run" })
    assert.truthy(result.raw:find("[1/2] slow  T", 1, true))
    assert.same({ "run completed: 2 completed in T" }, result.lines)
    assert.equal(0, result.code)
  end)

  it("leaves what a script prints as it is", function()
    local result = on_terminal(
      [[
      task("slow", function()
        wait()
        print "a line"
        wait()
        io.stderr:write "on stderr\n"
        wait()
        io.write("two ", "pieces\n")
      end)
      ]],
      { "--run" }
    )
    assert.same({
      "a line",
      "on stderr",
      "two pieces",
      "run completed: 1 completed in T",
    }, result.lines)
  end)

  it("does not write into a line that a script has begun", function()
    local result = on_terminal(
      [[
      task("slow", function()
        wait()
        io.write "begun"
        wait()
        print ", ended"
      end)
      ]],
      { "--run" }
    )
    assert.same({ "begun, ended", "run completed: 1 completed in T" }, result.lines)
  end)

  it("makes room for child processes that print themselves", function()
    local pipe <close> = program.pipe()
    local result = on_terminal(
      [[
      local path = os.getenv "PIPE"
      task("child", function()
        wait()
        local script = "exec 3<$PIPE; read line <&3; echo one; read line <&3; echo two"
        astrum.all {
          function() astrum.spawn { "sh", "-c", script, stdout = "inherit" } end,
          function()
            local pipe <close> = io.open(path, "w")
            for _ = 1, 2 do
              wait()
              pipe:write("go on\n"):flush()
            end
          end,
        }
        wait()
      end)
      ]],
      { "--run" },
      { env = "PIPE=" .. pipe.path }
    )
    assert.same({ "one", "two", "run completed: 1 completed in T" }, result.lines)
    assert.truthy(result.raw:find("two\r\n[0/1] child  T", 1, true))
  end)

  it("tells a failure at once, and what a task says of itself", function()
    local result = on_terminal(
      [[
      task("slow", function(ctx)
        ctx.progress(0.25, "reading")
        wait()
        print "after the failure"
      end)
      task("bad", { retry = 1, run = function() error("boom", 0) end })
      ]],
      { "--run", "-k" }
    )
    assert.truthy(result.raw:find("[1/2] slow 25%  1 failed, 1 retry, T", 1, true))
    assert.truthy(result.raw:find("\27[31mFAILED:\27[0m bad", 1, true))
    assert.same({
      "FAILED: bad (attempt 2)",
      "  boom",
      "after the failure",
      "",
      "Final task 'bad' failed: boom",
      "",
      "task 'bad' (FILE:20) failed at attempt 2 of 2",
      '  20 |       task("bad", { retry = 1, run = function() error("boom", 0) end })',
      "the attempt before failed with the same error",
      "traceback:",
      "  FILE:20: in the body of 'bad'",
      "",
      "run failed: 1 completed, 1 failed, 1 retry in T",
    }, result.lines)
    assert.equal(1, result.code)
  end)

  it("has no colour after --color=never", function()
    local text = 'task("bad", function() error("boom", 0) end)'
    local result = on_terminal(text, { "--run", "--color=never" })
    assert.falsy(result.raw:find("\27%[[%d;]*m"))
  end)

  it("is never as wide as the terminal", function()
    local text = 'for i = 1, 9 do task("a_long_name_" .. i, wait) end'
    for _, columns in ipairs { 12, 40 } do
      local result = on_terminal(text, { "--run" }, { columns = columns })
      for line in result.raw:gmatch "%[0/9%][^\r\n]*" do
        assert.is_true(utf8.len(line) < columns, line)
      end
      assert.equal("run completed: 9 completed in T", (table.concat(result.lines)))
    end
  end)

  it("shows control characters in a name as text", function()
    local result = on_terminal('task("a\27[2Jb", wait)', { "--run" })
    assert.truthy(result.raw:find("[0/1] a\\x1B[2Jb  T", 1, true))
  end)

  it("is a panel of what runs for --progress=full", function()
    local result = on_terminal(
      [[
      task("first", function(ctx) ctx.progress(0.5, "half of it") wait() end)
      task("second", function() wait() print "printed above" wait() end)
      ]],
      { "--run", "--progress=full" }
    )
    local panel = "  first   T    50%  half of it\r\n  second  T\r\n[0/2] 2 running, T"
    assert.truthy(result.raw:find(panel, 1, true))
    assert.same({ "printed above", "run completed: 2 completed in T" }, result.lines)
  end)

  it("counts in the panel what waits for others", function()
    local text = 'task("a", wait) task("b", { depends_on = { "a" }, run = wait })'
    local result = on_terminal(text, { "--run", "--progress=full" })
    assert.truthy(result.raw:find("  a  T\r\n[0/2] 1 running, 1 waiting, T", 1, true))
    assert.truthy(result.raw:find("  b  T\r\n[1/2] 1 running, T", 1, true))
  end)

  it("never shows what is sensitive", function()
    local result = on_terminal(
      [[
      task("load", {
        inputs = { token = astrum.param("token", { sensitive = true }) },
        run = function(token, ctx) ctx.progress(0.5, "with " .. token) wait() end,
      })
      ]],
      { "--run", "--progress=full", "--set", "token=geheim" }
    )
    assert.truthy(result.raw:find("  load  T    50%  with [hidden]", 1, true))
    assert.falsy(result.raw:find("geheim", 1, true))
  end)

  it("hides rows of the panel that the terminal has no room for", function()
    local text = 'for i = 1, 30 do task("t" .. i, wait) end'
    local result = on_terminal(text, { "--run", "--progress=full" }, { rows = 8 })
    assert.truthy(result.raw:find("  t5  T\r\n  and 25 more\r\n[0/30] 30 running, T", 1, true))
    assert.same({ "run completed: 30 completed in T" }, result.lines)
  end)

  it("shows the items of a map as one task", function()
    local result = on_terminal(
      [[
      task("each", {
        map = { item = { 1, 2, 3 } },
        max_concurrency = 2,
        run = function(item) wait() end,
      })
      ]],
      { "--run" }
    )
    assert.truthy(result.raw:find("[0/1] each (0 of 3 items)  T", 1, true))
  end)

  it("says in the panel how many items of a map are over", function()
    local result = on_terminal(
      [[
      task("each", {
        map = { item = { 1, 2, 3, 4 } },
        run = function(item, ctx) if item > 2 then wait() end end,
      })
      ]],
      { "--run", "--progress=full" }
    )
    assert.truthy(result.raw:find("  each  T    50%  2 of 4 items, 2 running\r\n", 1, true))
  end)

  it("leaves out what matters least where the terminal is narrow", function()
    local flow = [[
      task("bad", { retry = 1, run = function() error("boom", 0) end })
      task("a_task_with_a_long_name", wait)
    ]]
    local wide = on_terminal(flow, { "--run", "-k" }, { columns = 60 })
    local shown = "[1/2] a_task_with_a_long_name  1 failed, 1 retry, T"
    assert.truthy(wide.raw:find(shown, 1, true))
    local narrow = on_terminal(flow, { "--run", "-k" }, { columns = 36 })
    assert.truthy(narrow.raw:find("[1/2] a_task_wit…  1 failed, T", 1, true))
    narrow = on_terminal(flow, { "--run", "-k" }, { columns = 12 })
    assert.truthy(narrow.raw:find("\n[1/2]\r\27[K", 1, true))
  end)

  it("is drawn by itself, at most ten times a second", function()
    local text = 'task("slow", function() repeat astrum.sleep(0.01) until ticks == 1 end)'
    local script <close> = program.file(WAITS .. text)
    local result = screen.run { "--run", script.path }
    local _, draws = result.raw:gsub("%[0/1%]", "")
    assert.equal(1, draws)
    assert.is_true(tonumber(result.raw:match "completed in ([%d.]+)s") >= 0.1)
  end)

  it("is nothing for --progress=none, and without --run", function()
    local text = 'task("slow", wait)'
    assert.equal("", on_terminal(text, { "--run", "--progress=none" }).raw)
    assert.equal("", on_terminal(text .. "astrum.run {}", {}).raw)
  end)

  it("is there for a script that runs its workflow itself", function()
    local result = on_terminal('task("slow", wait) astrum.run {}', { "--progress" })
    assert.truthy(result.raw:find("[0/1] slow  T", 1, true))
    assert.same({ "run completed: 1 completed in T" }, result.lines)
  end)

  it("is there for a run at the prompt", function()
    local steps =
      { "< > ", [[> require('astrum').run {}\r]], "< run completed", "< > ", [[> \x04]] }
    local result = on_terminal('task("slow", wait)', { "--progress", "-i" }, { steps = steps })
    assert.truthy(result.raw:find("[0/1] slow  T", 1, true))
    local shown = table.concat(result.lines, "\n")
    assert.truthy(shown:find("\nrun completed: 1 completed in T\n", 1, true))
  end)

  it("is a line for each task on a terminal that is dumb", function()
    local text = 'task("slow", wait)'
    local result = on_terminal(text, { "--run" }, { env = "TERM=dumb" })
    assert.same({ "[1/1] slow  T", "run completed: 1 completed in T" }, result.lines)
  end)

  it("shows the tasks of all runs that go on", function()
    local result = on_terminal(
      [[
      task("a", wait)
      local scheduler = astrum.build_scheduler {}
      local one, two = scheduler:start(), scheduler:start()
      one:wait()
      two:wait()
      ]],
      { "--progress" }
    )
    assert.truthy(result.raw:find("[0/2] a, a  T", 1, true))
    local ended = "run completed: 1 completed in T"
    assert.same({ ended, ended }, result.lines)
  end)

  it("is a line only, though a script asks for events", function()
    local text = 'task("slow", wait) astrum.run { config = { on_event = function() end } }'
    local result = on_terminal(text, { "--progress" })
    assert.same({ "run completed: 1 completed in T" }, result.lines)
  end)

  it("is gone when a script exits", function()
    local text = 'task("slow", function() wait() os.exit(3) end)'
    local result = on_terminal(text, { "--run" })
    assert.truthy(result.raw:find("[0/1] slow  T", 1, true))
    assert.same({}, result.lines)
    assert.equal(3, result.code)
  end)

  it("is gone when a signal ends the run", function()
    local text = [[task("slow", function()
      wait()
      io.popen("kill -INT $PPID"):close()
      astrum.sleep(10)
    end)]]
    local result = on_terminal(text, { "--run" })
    local told = table.concat(result.lines, "\n")
    local first = "\nExecution cancelled: SIGINT\n\nstopped while it ran: slow\n  slow was at FILE:"
    assert.equal(first, told:sub(1, #first))
    assert.equal("run cancelled: 1 cancelled in T", result.lines[#result.lines])
    assert.equal(130, result.code)
  end)

  it("does not keep a run going that waits for nothing", function()
    local text = 'task("stuck", function() astrum.await(function() end) end)'
    local result = on_terminal(text, { "--run" })
    assert.equal(1, result.code)
    assert.equal("run failed: 1 cancelled in T", result.lines[#result.lines])
  end)
end)

describe("progress elsewhere", function()
  local FLOW <const> = [[
    task("load", function() end)
    task("bad", { depends_on = { "load" }, run = function() error("boom", 0) end })
    task("after", { depends_on = { "bad" }, run = function() end })
  ]]

  local EXPLANATION <const> = [[
Execution interrupted; task 'bad' failed: boom

task 'bad' (FILE:16) failed
  16 |     task("bad", { depends_on = { "load" }, run = function() error("boom", 0) end })
traceback:
  FILE:16: in the body of 'bad'
not run because of it: after]]

  it("is a line for each task that is over, and each failure", function()
    local result = elsewhere(FLOW, { "--run" })
    assert.equal(
      table.concat({
        "[1/3] load  T",
        "FAILED: bad",
        "[2/3, 1 skipped] bad  failed",
        "skipped: after",
        "",
        EXPLANATION,
        "",
        "run failed: 1 completed, 1 failed, 1 skipped in T",
        "",
      }, "\n"),
      result.err
    )
    assert.equal("", result.out)
    assert.equal(1, result.code)
  end)

  it("is the same for --progress=full", function()
    assert.same(elsewhere(FLOW, { "--run" }), elsewhere(FLOW, { "--run", "--progress=full" }))
  end)

  it("tells what tasks say of themselves for --progress=full", function()
    local flow = [[
      task("copy", function(ctx)
        ctx.progress(0.5, "half\27[2J")
        wait()
        ctx.progress(0.75, "too soon after the line before")
        wait()
      end)
    ]]
    local result = elsewhere(flow, { "--run", "--progress=full" })
    local expected = "copy  50%  half\\x1B[2J\n[1/1] copy  T\nrun completed: 1 completed in T\n"
    assert.equal(expected, result.err)
  end)

  it("names the tasks that are skipped one after the other in one line", function()
    local flow = [[
      local never = { when = function() return false end, run = function() end }
      for _, name in ipairs { "a", "b" } do task(name, never) end
      task("last", { depends_on = { "a", "b" }, trigger = "all_done", run = function() end })
    ]]
    local expected = "skipped: a, b\n[1/3, 2 skipped] last  T\n"
      .. "run completed: 1 completed, 2 skipped in T\n"
    assert.equal(expected, elsewhere(flow, { "--run" }).err)
  end)

  it("is nothing where a program reads the log", function()
    local result = elsewhere('task("load", function() end)', { "--run", "--log=json" })
    for line in result.err:gmatch "[^\n]+" do
      assert.equal("{", line:sub(1, 1))
    end
  end)

  it("does not say that a run was interrupted that went on for -k", function()
    local result = elsewhere(FLOW, { "--run", "-k" })
    assert.falsy(result.err:find("interrupted", 1, true))
    assert.truthy(result.err:find("\nTask 'bad' failed during execution: boom\n", 1, true))
  end)

  it("tells of the first items of a map that fail, and counts them", function()
    local flow = [[
      local items = {}
      for i = 1, 100 do items[i] = i end
      task("each", { map = { item = items }, on_item_failure = "skip",
        run = function(item) if item <= 50 then error("boom", 0) end end })
    ]]
    local result = elsewhere(flow, { "--run" })
    local _, told = result.err:gsub("FAILED: each%[%d+%]\n  boom\n", "")
    assert.equal(10, told)
    local ending = "FAILED: each[10]\n  boom\n"
      .. "more items of each fail; they are in the report\n"
      .. "[1/1] each  T, 50 items failed\nrun completed: 1 completed in T\n"
    assert.equal(ending, result.err:sub(-#ending))
  end)

  it("names the namespace of a run that is not the default one", function()
    local flow = 'astrum.namespace("shop").task("load", function() end)'
    local result = elsewhere(flow, { "--run" })
    assert.equal("[1/1] load  T\nrun of shop completed: 1 completed in T\n", result.err)
  end)

  it("is nothing for --progress=none, but for what went wrong", function()
    local result = elsewhere(FLOW, { "--run", "--progress=none" })
    assert.same({ code = 1, out = "", err = EXPLANATION .. "\n" }, result)
  end)

  it("has no line for each of very many tasks, unless that was asked for", function()
    local flow = [[
      for i = 1, 1001 do task("t" .. i, i == 7 and error or function() end) end
    ]]
    local result = elsewhere(flow, { "--run", "-k" })
    assert.equal("FAILED: t7\n", result.err:match "^[^\n]*\n")
    local last = "run failed: 1,000 completed, 1 failed in T\n"
    assert.equal(last, result.err:match "[^\n]*\n$")
    assert.falsy(result.err:find("t8", 1, true))
    local _, lines = elsewhere(flow, { "--run", "-k", "--progress=plain" }).err:gsub("%[", "")
    assert.equal(1001, lines)
  end)

  it("leaves on_event of the script as it is", function()
    local flow = [[
      task("load", function() end)
      local seen = {}
      astrum.run { config = { on_event = function(event) seen[#seen + 1] = event.kind end } }
      print(table.concat(seen, " "))
    ]]
    local result = elsewhere(flow, { "--progress=plain" })
    assert.equal(elsewhere(flow, {}).out, result.out)
    assert.equal("[1/1] load  T\nrun completed: 1 completed in T\n", result.err)
  end)

  it("names the item of a map that failed, and never shows what is sensitive", function()
    local result = elsewhere(
      [[
      task("each", {
        map = { item = { "a", "b" } },
        sensitive = true,
        run = function(item) if item == "b" then error("no", 0) end end,
      })
      ]],
      { "--run" }
    )
    assert.truthy(result.err:find("FAILED: each[2]\n", 1, true))
  end)
end)

describe("the texts of progress", function()
  -- The program has the module that this one needs.
  local progress = require "astrum.progress"

  it("tell seconds as people do", function()
    local cases = {
      { 0, "0.00s" },
      { 0.126, "0.13s" },
      { 1, "1.0s" },
      { 59.94, "59.9s" },
      { 59.96, "1m 00s" },
      { 65, "1m 05s" },
      { 3600, "1h 00m" },
      { 7380, "2h 03m" },
    }
    for _, case in ipairs(cases) do
      assert.equal(case[2], progress.duration(case[1]))
    end
  end)

  it("guess the end by the work that is done, and by the longest path", function()
    assert.is_nil(progress.remaining(10, 0, 5, 1))
    assert.is_nil(progress.remaining(10, 10, 5, 1))
    -- Half of the work took ten seconds.
    assert.equal(10, progress.remaining(10, 5, 10, 2))
    -- One of ten tasks in a row took a second.
    assert.equal(9, progress.remaining(10, 1, 1, 10))
  end)
end)
