local flow = require "spec.support.flow"
local hostile = require "spec.support.hostile"

local has_oracle, oracle = pcall(require, "dkjson")

local function events_of(text)
  if not has_oracle then
    pending("dkjson is not installed (Debian package lua-dkjson)")
  end
  local value, _, why = oracle.decode(text)
  assert.is_nil(why)
  local by_phase = {}
  for _, event in ipairs(value.traceEvents) do
    by_phase[event.ph] = by_phase[event.ph] or {}
    table.insert(by_phase[event.ph], event)
  end
  return by_phase
end

local function named(events, name)
  local found = {}
  for _, event in ipairs(events) do
    if event.name == name then
      found[#found + 1] = event
    end
  end
  return found
end

local function shop()
  return flow
    .load([[
task("load", function() sleep(0.001) return { items = { 1, 2, 3 } } end)
task("flaky", { retry = 1, run = function(ctx)
  if ctx.attempt == 1 then error("not yet") end
end })
task("each", { map = { item = F.load.items }, run = function(item) sleep(0.001) end })
task("use", { inputs = { a = F.load.items, b = F.each }, depends_on = { "flaky" },
  run = function(a, b) end })
task("never", { trigger = "all_failed", depends_on = { "use" }, run = function() end })
]])
    :run {}
end

describe("the trace of a report", function()
  it("has a span for each attempt and each item", function()
    local events = events_of(shop():trace())
    assert.equal(7, #events.X)
    local flaky = named(events.X, "flaky")
    assert.same({ 1, 2 }, { flaky[1].args.attempt, flaky[2].args.attempt })
    assert.same(
      { attempt = 1, status = "failed", error = "flow.lua:3: not yet", will_retry = true },
      flaky[1].args
    )
    assert.same({ attempt = 2, status = "completed" }, flaky[2].args)
    assert.same({ item = 3, attempt = 1, status = "completed" }, named(events.X, "each")[3].args)
    assert.equal(0, #named(events.X, "never"))
  end)

  it("has times in microseconds from the begin of the run", function()
    local report = shop()
    local load = named(events_of(report:trace()).X, "load")[1]
    assert.is_true(load.ts >= 0 and load.ts < report.execution_duration * 1e6)
    assert.is_true(math.abs(load.dur - report:task("load").duration * 1e6) < 0.002)
  end)

  it("names its lanes after slots", function()
    local events = events_of(shop():trace())
    local lanes = named(events.M, "thread_name")
    assert.equal("slot 1", lanes[1].args.name)
    assert.equal("flow", named(events.M, "process_name")[1].args.name)
    assert.equal(#lanes, #named(events.M, "thread_sort_index"))
  end)

  it("has an arrow for each edge on which data went", function()
    local events = events_of(shop():trace())
    assert.equal(3, #events.s)
    assert.equal(3, #events.f)
    for position, from in ipairs(events.s) do
      local to = events.f[position]
      assert.equal(from.id, to.id)
      assert.equal("e", to.bp)
      assert.is_true(from.ts <= to.ts)
    end
  end)

  it("begins each arrow inside a span and ends it at the begin of one", function()
    local events = events_of(shop():trace())
    local function inside(event)
      for _, span in ipairs(events.X) do
        if span.tid == event.tid and span.ts <= event.ts and event.ts <= span.ts + span.dur then
          return true
        end
      end
    end
    for position, from in ipairs(events.s) do
      assert.is_true(inside(from))
      assert.is_true(inside(events.f[position]))
    end
  end)

  it("has no spans that overlap when Perfetto has cut times to whole nanoseconds", function()
    local report = flow.run(function(task)
      for number = 1, 300 do
        task("task" .. number, function() end)
      end
    end, { concurrency_limit = 1 })
    local function nanoseconds(microseconds)
      return math.tointeger((math.modf(microseconds * 1000.0)))
    end
    local ended = 0
    for _, span in ipairs(events_of(report:trace()).X) do
      assert.is_true(nanoseconds(span.ts) >= ended)
      ended = nanoseconds(span.ts) + nanoseconds(span.dur)
    end
  end)

  it("never has two spans at once on a lane, and no more lanes than slots", function()
    local report = flow.run(function(task)
      for number = 1, 60 do
        task("task" .. number, function()
          require("astrum").sleep(0.0001 * (number * 7 % 5))
        end)
      end
    end, { concurrency_limit = 4 })
    local ends, most = {}, 0
    local spans = events_of(report:trace()).X
    table.sort(spans, function(a, b)
      return a.ts < b.ts
    end)
    for _, span in ipairs(spans) do
      assert.is_true(span.ts >= (ends[span.tid] or 0) - 1e-6)
      ends[span.tid] = span.ts + span.dur
      most = math.max(most, span.tid)
    end
    assert.equal(4, most)
  end)

  it("has a process of its own for the run of a task that is a workflow", function()
    local inner = flow.registry(function(task)
      task("a", function() end)
    end)
    local report = flow.run(function(task)
      task("outer", { workflow = inner })
    end)
    local events = events_of(report:trace())
    assert.equal(1, named(events.X, "outer")[1].pid)
    assert.equal(2, named(events.X, "a")[1].pid)
    assert.equal("flow/outer", named(events.M, "process_name")[2].args.name)
  end)

  it("is valid whatever names and errors are", function()
    local report = flow.run(function(task)
      for _, name in ipairs(hostile.NAMES) do
        task(name, function()
          error(name, 0)
        end)
      end
    end, { failure_mode = "keep_going" })
    local spans = events_of(report:trace()).X
    for position, name in ipairs(hostile.NAMES) do
      if utf8.len(name) then
        assert.equal(name, spans[position].name)
      end
    end
  end)

  it("is handed on in pieces to a function", function()
    local report = flow.run(function(task)
      for number = 1, 5000 do
        task("task" .. number, function() end)
      end
    end)
    local pieces = {}
    assert.is_nil(report:trace(function(piece)
      pieces[#pieces + 1] = piece
    end))
    assert.is_true(#pieces > 1)
    assert.equal(report:trace(), table.concat(pieces))
  end)

  it("wants a function", function()
    local failure = flow.raised(shop().trace, shop(), "file.json")
    assert.equal("trace: a function that writes is wanted, got string", failure.text)
    assert.equal("leave it out to get the text", failure.help)
  end)
end)
