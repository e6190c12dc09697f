-- `when` and attempts: once it has said yes it is not asked again, and no body runs without that.
local astrum = require "astrum"
local flow = require "spec.support.flow"

local sleep = astrum.sleep

-- A function input that fails in the first attempt.
local function unsteady()
  if astrum.context().attempt == 1 then
    error("no value yet", 0)
  end
  return astrum.context().attempt
end

-- Runs one task in virtual time; gives its report entry, how often bodies and conditions ran, and
-- the events of attempts.
local function run(spec, condition, body)
  local seen = { asked = 0, ran = 0, events = {} }
  spec.when = function(...)
    seen.asked = seen.asked + 1
    return condition(...)
  end
  spec.run = function(...)
    seen.ran = seen.ran + 1
    return body(...)
  end
  local report = astrum.testing.run(
    flow.registry(function(task)
      task("work", spec)
    end),
    {
      config = {
        on_event = function(event)
          if event.attempt and event.kind ~= "task_finished" then
            seen.events[#seen.events + 1] = event.kind .. " " .. event.attempt
          end
        end,
      },
    }
  )
  return report:task("work"), seen
end

describe("a condition and attempts", function()
  it("is asked in a later attempt when the first did not come to it", function()
    local entry, seen = run({ retry = 2, inputs = { unsteady } }, function(value)
      return value == 2
    end, function(value)
      return value
    end)
    assert.equal("completed", entry.status)
    assert.equal(2, entry.attempt_count)
    assert.equal(1, seen.asked)
    assert.equal(1, seen.ran)
  end)

  it("skips the task when it says no only then, and the body does not run", function()
    local entry, seen = run({ retry = 5, inputs = { unsteady } }, function()
      return false
    end, function(value)
      return value
    end)
    assert.equal("skipped", entry.status)
    assert.equal("its `when` said no", entry.reason)
    assert.equal(1, entry.attempt_count)
    assert.equal(0, seen.ran)
  end)

  it("is not asked again when it has said yes", function()
    local entry, seen = run({ retry = 3 }, function()
      return true
    end, function()
      error("down", 0)
    end)
    assert.equal(4, entry.attempt_count)
    assert.equal(1, seen.asked)
    assert.equal(4, seen.ran)
  end)

  it("is asked in the next attempt when it takes too long", function()
    local entry, seen = run({ retry = 3, timeout = 2 }, function()
      sleep(5)
      return true
    end, function() end)
    assert.equal("timed_out", entry.status)
    assert.equal("timed out after 2 s", entry.error_message)
    assert.equal(4, entry.attempt_count)
    assert.equal(4, seen.asked)
    assert.equal(0, seen.ran)
  end)

  it("that says no too late counts as one that took too long", function()
    local entry, seen = run({ timeout = 2 }, function()
      sleep(2)
      return false
    end, function() end)
    assert.equal("timed_out", entry.status)
    assert.equal(1, entry.attempt_count)
    assert.equal(0, seen.ran)
    assert.same({ "attempt_started 1", "attempt_finished 1" }, seen.events)
  end)

  it("that raises gives an attempt that has started and finished", function()
    local entry, seen = run({ retry = 3 }, function()
      error("no idea", 0)
    end, function() end)
    assert.equal("in its `when`: no idea", entry.error_message)
    assert.same({ "attempt_started 1", "attempt_finished 1" }, seen.events)
  end)

  it("that says no gives no attempt", function()
    local entry, seen = run({ retry = 3 }, function()
      return false
    end, function() end)
    assert.equal("skipped", entry.status)
    assert.equal("its `when` said no", entry.reason)
    assert.same({}, seen.events)
  end)

  it("goes by item in a map", function()
    local asked, values = 0, {}
    local report = astrum.testing.run(flow.registry(function(task)
      task("each", {
        map = { value = { 1, 2 } },
        retry = 2,
        when = function()
          asked = asked + 1
          return true
        end,
        run = function(value, ctx)
          values[#values + 1] = value
          assert(ctx.attempt == 3, "not yet")
        end,
      })
    end))
    assert.equal("completed", report.execution_state)
    assert.equal(2, asked)
    assert.equal(6, #values)
  end)
end)
