-- What an explanation shows of files, names and values: only what has to do with the failure, and
-- whatever these are.

local astrum = require "astrum"
local flow = require "spec.support.flow"
local program = require "spec.support.program"
local traces = require "astrum.traceback"

local PLAIN <const> = { unicode = true, color = false }

-- What is told of a program that runs its tasks, with FILE for its name; `names` are replaced, too.
local function told(text, names)
  local file <close> = program.file('local astrum = require "astrum"\n' .. text)
  local code = text:find "astrum.run" and "" or "\nprint(astrum.run():explain { unicode = true })"
  local pipe <close> = assert(io.open(file.path, "a"))
  pipe:write(code)
  pipe:close()
  local result = program.run { file.path }
  local shown = result.out .. result.err
  for from, to in pairs(names or {}) do
    shown = shown:gsub(from:gsub("%W", "%%%0"), to)
  end
  return (shown:gsub(file.path:gsub("%W", "%%%0"), "FILE"))
end

describe("an explanation", function()
  it("shows no line of a file that only the text of the error names", function()
    local other <close> = program.file "NAME=joe\nPASSWORD=hunter2"
    local text = ([[astrum.task("load", function() error("%s:2: bad line", 0) end)]]):format(
      other.path
    )
    assert.equal(
      [[
Execution interrupted; task 'load' failed: OTHER:2: bad line

task 'load' (FILE:2) failed
   2 | astrum.task("load", function() error("OTHER:2: bad line", 0) end)
traceback:
  FILE:2: in the body of 'load'
]],
      told(text, { [other.path] = "OTHER" })
    )
  end)

  it("shows the line that raised where the text begins with another machine's port", function()
    local text = told [[
local function call()
  error("db:5432: connection refused", 0)
end
astrum.task("x", function() call() end)]]
    assert.truthy(text:find('\n   3 |   error("db:5432: connection refused", 0)\n', 1, true))
  end)

  it("calls no __eq of a result", function()
    local text = flow
      .load([[
task("a", function() return setmetatable({}, { __eq = function() error "eq" end }) end)
task("b", { inputs = { v = F.a }, run = function(v) error("boom", 0) end })
]])
      :run()
      :explain(PLAIN)
    assert.truthy(text:find("inputs:\n  v = {}  (from a)\n", 1, true), text)
  end)

  it("survives the text of an error with half a character in it", function()
    local text = told [[
astrum.task("x", function()
  error(arg[0] .. ":5: attempt to index a nil value (field '\xA9')", 0)
end)
-- é
]]
    assert.truthy(
      text:find("(field '\\xA9')\n\ntask 'x' (FILE:2) failed\n   5 | -- é\n", 1, true),
      text
    )
  end)

  it("says what it cannot show, and all that it can", function()
    local report = flow.load("task('a', function() error('no', 0) end)"):run()
    local failed = report:task("a").error
    failed.traceback = setmetatable({}, {
      __index = function()
        error("no traceback", 0)
      end,
    })
    local text = report:explain(PLAIN)
    assert.truthy(text:find("\n\ntask 'a' (flow.lua:1) failed\n", 1, true), text)
    assert.truthy(text:find("the traceback could not be shown: ", 1, true), text)
  end)

  it("has the frames of a user's file whose name is one of the library's", function()
    local chunk = assert(load(
      [[
local astrum = ...
local registry = astrum.SchedulerRegistry "flow"
registry:task("a", function() error("boom") end)
return registry]],
      "=astrum/build.lua"
    ))
    local text = chunk(astrum):run():explain(PLAIN)
    assert.truthy(text:find("traceback:\n  astrum/build.lua:3: in the body of 'a'", 1, true), text)
    assert.same({ "astrum/build.lua:3: in f" }, traces.frames "\n\tastrum/build.lua:3: in f")
  end)

  it("sends nothing to the terminal that the name of a chunk has", function()
    local chunk = assert(load(
      [[
local astrum = ...
local registry = astrum.SchedulerRegistry "flow"
registry:task("a", function() error("boom") end)
local ok, e = pcall(registry.task, registry, "a", { retries = 1 })
return registry, e.message]],
      "=\27[2Jevil"
    ))
    local registry, message = chunk(astrum)
    local text = registry:run():explain(PLAIN)
    assert.falsy(text:find "[\0-\9\11-\31\127]")
    assert.truthy(text:find("\ntask 'a' (\\x1B[2Jevil:3) failed\n", 1, true), text)
    assert.equal("\\x1B[2Jevil:4: ", message:sub(1, 15))
  end)

  it("puts the carets below wide and combining characters", function()
    local text = told [[
astrum.task("w", function() local s = "日本" .. "e\u{301}é" return nothere.z end)]]
    local line, carets = text:match "\n(   2 | [^\n]*)\n([^\n]*)\n"
    local before = line:match "^(.-)nothere"
    local columns = utf8.len(before) + 2 -- two wide characters
    assert.equal(columns, #carets:match "^[^%^]*")
    assert.equal(7, #carets:match "%^+")
  end)

  it("tells once what a place in front of a place says, and no empty line", function()
    local text =
      flow.load([[task("a", function() error("flow.lua:1: boom\n") end)]]):run():explain(PLAIN)
    assert.equal(
      "Execution interrupted; task 'a' failed: flow.lua:1: boom\n\ntask 'a' (flow.lua:1) failed",
      text:match "^(.-)\ntraceback"
    )
  end)

  it("shows the line of a mistake in a declaration once", function()
    local text = told [[
astrum.task("outer", function()
  astrum.task("inner", { retries = 3, run = print })
end)]]
    local _, count = text:gsub("   3 | ", "")
    assert.equal(1, count)
  end)
end)

describe("why a task was not tried again", function()
  local RETRIES <const> = [[
task("x", { retry = { max = 3, delay = 0, on = function(e) return given.again end },
  run = function() error("boom", 0) end })]]

  local function title(again, limit)
    local registry = flow.load(RETRIES, { again = again })
    local report = registry:run { config = { max_total_attempts = limit } }
    return report:explain(PLAIN):match "\n(task 'x'[^\n]*)"
  end

  it("is the limit of the run, though the task has a retry.on", function()
    assert.equal(
      "task 'x' (flow.lua:1) failed at attempt 2 of 4, "
        .. "not retried: the run has used its max_total_attempts of 2",
      title(true, 2)
    )
  end)

  it("is retry.on, though the run has a limit", function()
    assert.equal(
      "task 'x' (flow.lua:1) failed at attempt 1 of 4, "
        .. "not retried: its `retry.on` returned false or nil",
      title(false, 100)
    )
  end)
end)

describe("what is told of tasks that did not end", function()
  it("has the last error of one that waited for its next attempt", function()
    local report = flow
      .load([[task("x", { retry = { max = 5, delay = 10 }, run = function() error("boom") end })]])
      :run { config = { deadline = 0.002 } }
    assert.equal(
      [[
Execution failed: the run took longer than its deadline of 0.002 s

stopped before its next attempt: x
  x: attempt 1 of 6 failed: flow.lua:1: boom
help: give the run a longer deadline, or what may be slow a timeout]],
      report:explain(PLAIN)
    )
  end)

  it("says apart what only had not begun when the run stopped", function()
    local report = flow
      .load([[
task("load", function() sleep(0) end)
task("bad", function() return nil, "no" end)
task("other", { depends_on = { "load" }, run = function() end })
task("below", { depends_on = { "bad", "other" }, run = function() end })
]])
      :run()
    assert.equal(
      [[
task 'bad' (flow.lua:2) failed
cancelled because of it: load
not run because of it: below
not started, as the run stopped at the first failure: other]],
      report:explain(PLAIN):match "\n\n(.*)$"
    )
  end)

  it("does not blame a failure for what a condition has skipped", function()
    local report = flow
      .load([[
task("choice", { when = function() return false end, run = function() end })
task("bad", { depends_on = { "last" }, run = function() return nil, "no" end })
task("last", function() sleep(0) end)
]])
      :run()
    assert.falsy(report:explain(PLAIN):find("choice", 1, true))
  end)

  it("says where each was, at most ten", function()
    local registry = flow.load [[
for i = 1, 12 do
  task("slow" .. i, function()
    local function inner() sleep(10) end
    inner()
  end)
end]]
    local handle = registry:build_scheduler():start()
    astrum.sleep(0.001)
    handle:cancel()
    local text = handle:wait():explain(PLAIN)
    local _, count = text:gsub("\n  slow%d+ was at flow.lua:3, in local 'inner'", "")
    assert.equal(10, count)
  end)
end)

describe("the cost of an explanation", function()
  it("does not grow with tasks that completed", function()
    local registry = astrum.SchedulerRegistry "flow"
    for i = 1, 5000 do
      registry:task("t" .. i, function()
        if i == 5000 then
          error("boom", 0)
        end
      end)
    end
    local report = registry:run()
    collectgarbage()
    collectgarbage "stop"
    local before = collectgarbage "count"
    local text = report:explain(PLAIN)
    local cost = collectgarbage "count" - before
    collectgarbage "restart"
    assert.truthy(text:find("task 't5000'", 1, true))
    assert.is_true(cost < 500, cost .. " KiB")
  end)
end)
