-- What a report tells of a run that failed, for people.

local astrum = require "astrum"
local flow = require "spec.support.flow"
local traces = require "astrum.traceback"

local PLAIN <const> = { unicode = true, color = false }

local function explain(text, config, given)
  local report = flow.load(text, given):run { config = config }
  return report:explain(PLAIN), report
end

describe("what is told of a run", function()
  it("is nothing when it completed", function()
    assert.is_nil((explain "task('a', function() end)"))
  end)

  it("has the place, the attempts and the traceback of the task that failed", function()
    local text = explain [[
local function pay(n)
  error("card " .. n .. " was declined")
end
task("charge", { retry = 2, run = function(ctx)
  if ctx.attempt == 1 then
    error("HTTP 503")
  end
  pay(7)
end })
]]
    assert.equal(
      [[
Execution interrupted; task 'charge' failed: flow.lua:2: card 7 was declined

task 'charge' (flow.lua:4) failed at attempt 3 of 3
earlier attempts:
  1: flow.lua:6: HTTP 503
  2: the same
traceback:
  flow.lua:2: in upvalue 'pay'
  flow.lua:8: in the body of 'charge']],
      text
    )
  end)

  it("has the last of many earlier attempts", function()
    local text = explain [[
task("a", { retry = 7, run = function(ctx) error("attempt " .. ctx.attempt, 0) end })
]]
    assert.truthy(
      text:find("earlier attempts:\n  … 2 more\n  3: attempt 3\n  4: attempt 4\n", 1, true)
    )
    assert.truthy(text:find("\n  7: attempt 7\ntraceback:", 1, true))
  end)

  it("has every input, where it comes from, and what is not kept", function()
    local text = explain [[
task("load", function() return { order = { id = 7 }, list = { 1, 2, 3 } } end)
task("use", {
  inputs = {
    order = F.load.order,
    second = F.load.list[2],
    gone = Ref("any?", F.load.coupon, { default = "none" }),
    both = { F.load.order.id, "x" },
    name = "Mia",
    region = astrum.param("region", { default = "EU" }),
    today = os.date,
  },
  run = function(order, second, gone, both, name, region, today, ctx) error("no", 0) end,
})
]]
    assert.equal(
      [[
Execution interrupted; task 'use' failed: no

task 'use' (flow.lua:2) failed
inputs:
  order = { id = 7 }  (from load.order)
  second = 2  (from load.list[2])
  gone = "none"  (its default; from load.coupon)
  both = { 7, "x" }
  name = "Mia"
  region = "EU"  (param region)
  today = not kept  (what os.date returned for the attempt)
traceback:
  flow.lua:12: in the body of 'use']],
      text
    )
  end)

  it("has the inputs of a task by their number where they have no names", function()
    local text = explain [[
task("use", { inputs = { "a", 2 }, run = function(x, y) error("no", 0) end })
]]
    assert.truthy(text:find('inputs:\n  1 = "a"\n  2 = 2\n', 1, true))
  end)

  it("shortens large inputs", function()
    local given = { text = ("long "):rep(1000), list = {}, deep = { { { { { "x" } } } } } }
    for i = 1, 1000 do
      given.list[i] = i
    end
    local text = explain(
      [[
task("use", { inputs = { text = given.text, list = given.list, deep = given.deep },
  run = function(text, list, deep) error("no", 0) end })
]],
      nil,
      given
    )
    assert.truthy(text:find("list = { 1, 2, 3, 4, 5, 6, … 994 more }\n", 1, true))
    assert.truthy(text:find("deep = { { { {…} } } }\n", 1, true))
    for line in text:gmatch "[^\n]+" do
      assert.is_true(utf8.len(line) <= 100, line)
    end
  end)

  it("names twenty inputs and counts the others", function()
    local names, values = {}, {}
    for i = 1, 23 do
      names[i] = ("p%02d"):format(i)
      values[i] = names[i] .. " = " .. i
    end
    local form = "task('use', { inputs = { %s }, run = function(%s) error('no', 0) end })"
    local text = explain(form:format(table.concat(values, ", "), table.concat(names, ", ")))
    assert.truthy(text:find("  p20 = 20\n  and 3 more\n", 1, true))
  end)

  it("has the item of a map that failed", function()
    local text = explain [[
task("list", function() return { "a", "b" } end)
task("use", { map = { item = F.list }, run = function(item)
  if item == "b" then error("no", 0) end
end })
]]
    assert.equal(
      [[
Execution interrupted; task 'use' failed: item 2: no

task 'use[2]' (flow.lua:2) failed
inputs:
  item = "b"  (from list, item 2)
traceback:
  flow.lua:3: in the body of 'use']],
      text
    )
  end)

  it("says what was stopped and what did not run because of it", function()
    local text = explain [[
task("slow", function() sleep(10) end)
task("bad", function() sleep(0) return nil, "no" end)
for i = 1, 14 do
  task("after" .. i, { depends_on = { "bad" }, run = function() end })
end
]]
    assert.equal(
      [[
Execution interrupted; task 'bad' failed: no

task 'bad' (flow.lua:2) failed
cancelled because of it: slow
not run because of it: after1, after2, after3, after4, after5, after6, after7, after8, after9, ]]
        .. "after10 and 4 more",
      text
    )
  end)

  it("has the first of several failures whole and the others in a line each", function()
    local text = explain(
      [[
for i = 1, 13 do
  task("bad" .. i, function() return nil, "no " .. i end)
end
task("after", { depends_on = { "bad3" }, run = function() end })
]],
      { failure_mode = "keep_going" }
    )
    assert.truthy(text:find("\n\n12 more tasks failed:\n  bad2: no 2\n  bad3: no 3\n", 1, true))
    assert.truthy(text:find("\n    not run because of it: after\n  bad4: no 4\n", 1, true))
    assert.equal("  and 2 more", text:match "[^\n]*$")
  end)

  it("leads to the task that failed in a workflow inside", function()
    local text = explain [[
local inner = astrum.workflow "inner" {
  first = { inputs = { n = astrum.param "n" }, run = function(n) error("no", 0) end },
  second = { depends_on = { "first" }, run = function() end },
}
task("outer", { workflow = inner, inputs = { n = 7 } })
task("after", { depends_on = { "outer" }, run = function() end })
]]
    assert.equal(
      [[
Execution interrupted; task 'outer' failed: task 'outer/first' failed: no

task 'outer/first' (flow.lua:2) failed
inputs:
  n = 7  (param n)
traceback:
  flow.lua:2: in the body of 'first'
not run because of it: second

task 'outer' (flow.lua:5) failed because of it
inputs:
  n = 7
not run because of it: after]],
      text
    )
  end)

  it("leads through runs that tasks have asserted, and repeats no headline", function()
    local text, report = explain [[
local inner = astrum.SchedulerRegistry "inner"
inner:task("first", function() error("no", 0) end)
local middle = astrum.SchedulerRegistry "middle"
middle:task("call", function() inner:run():assert() end)
task("outer", function() middle:run():assert() end)
]]
    assert.equal(
      [[
Execution interrupted; task 'outer' failed: task 'outer/call/first' failed: no

task 'outer/call/first' (flow.lua:2) failed
traceback:
  flow.lua:2: in the body of 'first'

task 'outer/call' (flow.lua:4) failed because of it

task 'outer' (flow.lua:5) failed because of it]],
      text
    )
    assert.equal("task 'outer/call/first' failed: no", report:task("outer").error_message)
  end)

  it("leaves out a failure that a task has handled", function()
    local text = explain(
      [[
task("bad", function() return nil, "no" end)
task("handler", { depends_on = { "bad" }, trigger = "one_failed", run = function() end })
task("worse", function() sleep(0) return nil, "really not" end)
]],
      { failure_mode = "keep_going" }
    )
    assert.falsy(text:find("task 'bad'", 1, true))
    assert.truthy(text:find("task 'worse' (flow.lua:3) failed", 1, true))
  end)

  it("says where a task was that took too long", function()
    local text = explain [[
task("slow", { timeout = 0.001, run = function()
  sleep(10)
end })
]]
    assert.equal(
      [[
Execution interrupted; task 'slow' failed: timed out after 0.001 s

task 'slow' (flow.lua:1) timed out
it was at:
  [C]: in function 'astrum.sleep'
  flow.lua:2: in the body of 'slow']],
      text
    )
  end)

  it("says what a cancelled run was about", function()
    local handle = flow
      .build(function(task)
        task("slow", function()
          astrum.sleep(10)
        end)
        task("after", { depends_on = { "slow" }, run = function() end })
      end)
      :start()
    astrum.sleep(0.001)
    handle:cancel "enough"
    assert.equal(
      "Execution cancelled: enough\n\nstopped while it ran: slow\n"
        .. "  slow was at spec/flow/explain_spec.lua:271, in its body\n"
        .. " 271 |           astrum.sleep(10)\nnever started: after",
      handle:wait():explain(PLAIN)
    )
  end)

  it("can do nothing to a terminal", function()
    local text = explain "task('a\\27[2J', function() error('x\\27]0;y\\7\\r\\nz', 0) end)"
    assert.falsy(text:find "[\0-\9\11-\31\127]")
    assert.truthy(text:find("task 'a\\x1B[2J' (flow.lua:1) failed", 1, true))
  end)

  it("survives inputs whose methods fail", function()
    local text = explain [[
local bad = setmetatable({}, { __index = function() error "worse" end })
task("load", function() return { x = 1 } end)
task("use", { inputs = { bad = bad, x = F.load.x }, run = function(bad, x) return bad.y end })
]]
    assert.truthy(text:find("inputs:\n  bad = {}\n  x = 1  (from load.x)\n", 1, true), text)
  end)

  it("is coloured where that is asked for", function()
    local report = flow.load("task('a', function() error('no', 0) end)"):run()
    local text = report:explain { color = true }
    assert.truthy(text:find("\27[31mtask 'a' (flow.lua:1) failed\27[0m", 1, true))
  end)

  it("refuses an option that it does not know", function()
    local report = flow.load("task('a', function() end)"):run()
    assert.has_error(function()
      report:explain { colour = true }
    end)
  end)
end)

describe("a traceback for people", function()
  it("has the frames of the user's, and what these called", function()
    local own = debug.getinfo(traces.frames, "S").short_src
    local text = "stack traceback:\n\t[C]: in function 'error'\n\tflow.lua:1: in local 'f'\n"
      .. "\t[C]: in function 'pcall'\n\tflow.lua:2: in function <flow.lua:1>\n"
      .. ("\t(...tail calls...)\n\t%s:3: in function <%s:2>\n"):format(own, own)
      .. "\t(...tail calls...)\n\tflow.lua:9: in main chunk\n\t[C]: in ?"
    assert.same({
      "flow.lua:1: in local 'f'",
      "[C]: in function 'pcall'",
      "flow.lua:2: in function <flow.lua:1>",
      "flow.lua:9: in main chunk",
    }, traces.frames(text))
  end)

  it("calls functions of the library by their public names", function()
    local text = "stack traceback:\n\t[C]: in function 'astrum.core.sleep'\n\tflow.lua:2: in f"
    assert.equal("[C]: in function 'astrum.sleep'", traces.frames(text)[1])
  end)

  it("is nothing without a frame of the user's", function()
    assert.is_nil(traces.trim "stack traceback:\n\t[C]: in ?")
    assert.is_nil(traces.trim(nil))
  end)
end)
