local astrum = require "astrum"
local flow = require "spec.support.flow"
local testing = require "astrum.testing"

local sleep = astrum.sleep

-- Runs in virtual time; the events, and the report.
local function events_of(declare, config)
  local events = {}
  config = config or {}
  config.on_event = function(event)
    events[#events + 1] = event
  end
  local report = testing.run(flow.registry(declare), { config = config })
  return events, report
end

-- One line an event: kind, path below the run, attempt, state.
local function lines_of(events)
  local lines = {}
  for i, event in ipairs(events) do
    local path = event.path:gsub("^%d+T%d+Z%-%x+", "")
    local parts = { event.kind, path ~= "" and path or nil }
    if event.attempt then
      parts[#parts + 1] = "#" .. event.attempt
    end
    parts[#parts + 1] = event.state
    if event.will_retry then
      parts[#parts + 1] = "again"
    end
    lines[i] = table.concat(parts, " ")
  end
  return lines
end

describe("on_event", function()
  it("is told of everything in its order", function()
    local events = events_of(function(task)
      task("load", function() end)
      task("use", { depends_on = { "load" }, run = function() end })
    end)
    assert.same({
      "run_started",
      "task_ready /load",
      "attempt_started /load #1",
      "attempt_finished /load #1 completed",
      "task_finished /load #1 completed",
      "task_ready /use",
      "attempt_started /use #1",
      "attempt_finished /use #1 completed",
      "task_finished /use #1 completed",
      "run_finished completed",
    }, lines_of(events))
  end)

  it("is told of failures, retries and skips with their errors and reasons", function()
    local events = events_of(function(task)
      task("load", {
        retry = { max = 1, delay = 2, jitter = false },
        run = function(ctx)
          sleep(1)
          error("boom " .. ctx.attempt, 0)
        end,
      })
      task("use", { depends_on = { "load" }, run = function() end })
    end, { failure_mode = "keep_going" })
    assert.same({
      "run_started",
      "task_ready /load",
      "attempt_started /load #1",
      "attempt_finished /load #1 failed again",
      "attempt_started /load #2",
      "attempt_finished /load #2 failed",
      "task_finished /load #2 failed",
      "task_finished /use skipped",
      "run_finished failed",
    }, lines_of(events))
    assert.equal("boom 1", events[4].error.message)
    assert.equal("boom 2", events[6].error.message)
    assert.equal("boom 2", events[7].error.message)
    assert.equal("task 'load' failed", events[8].reason)
    assert.equal("use", events[8].task)
    local times = {}
    for i, event in ipairs(events) do
      times[i] = math.floor(event.time + 0.5)
    end
    assert.same({ 0, 0, 0, 1, 3, 4, 4, 4, 4 }, times)
  end)

  it("is told of what was cancelled, and why", function()
    local events = events_of(function(task)
      task("fails", function()
        sleep(1)
        error("boom", 0)
      end)
      task("slow", function()
        sleep(10)
      end)
      task("later", { depends_on = { "slow" }, run = function() end })
    end)
    local reasons = {}
    for _, event in ipairs(events) do
      if event.kind == "task_finished" then
        reasons[event.task] = event.state .. ": " .. tostring(event.reason)
      end
    end
    assert.same({
      fails = "failed: nil",
      slow = "cancelled: task 'fails' failed",
      later = "skipped: task 'fails' failed",
    }, reasons)
  end)

  it("is told of a declined task without an attempt", function()
    local events = events_of(function(task)
      task("use", {
        when = function()
          return false
        end,
        run = function() end,
      })
    end)
    assert.same({
      "run_started",
      "task_ready /use",
      "task_finished /use skipped",
      "run_finished completed",
    }, lines_of(events))
    assert.equal("its `when` said no", events[3].reason)
  end)

  it("is told of the attempt whose condition raises", function()
    local events = events_of(function(task)
      task("use", {
        when = function()
          error("no key", 0)
        end,
        run = function() end,
      })
    end)
    assert.same({
      "run_started",
      "task_ready /use",
      "attempt_started /use #1",
      "attempt_finished /use #1 failed",
      "task_finished /use #1 failed",
      "run_finished failed",
    }, lines_of(events))
    assert.equal("in its `when`: no key", events[4].error.message)
  end)

  it("is told of the items of a map", function()
    local events = events_of(function(task)
      task("each", {
        map = { n = { 1, 2 } },
        run = function(n)
          sleep(n)
        end,
      })
    end)
    assert.same({
      "run_started",
      "task_ready /each",
      "task_ready /each[1]",
      "task_ready /each[2]",
      "attempt_started /each[1] #1",
      "attempt_started /each[2] #1",
      "attempt_finished /each[1] #1 completed",
      "task_finished /each[1] #1 completed",
      "attempt_finished /each[2] #1 completed",
      "task_finished /each[2] #1 completed",
      "task_finished /each completed",
      "run_finished completed",
    }, lines_of(events))
    assert.equal(2, events[4].item)
    assert.is_nil(events[2].item)
  end)

  it("is told of the tasks of a workflow inside", function()
    local inner = flow.registry(function(task)
      task("leaf", function() end)
    end)
    local events = events_of(function(task)
      task("top", { workflow = inner })
    end)
    assert.same({
      "run_started",
      "task_ready /top",
      "attempt_started /top #1",
      "run_started /top",
      "task_ready /top/leaf",
      "attempt_started /top/leaf #1",
      "attempt_finished /top/leaf #1 completed",
      "task_finished /top/leaf #1 completed",
      "run_finished /top completed",
      "attempt_finished /top #1 completed",
      "task_finished /top #1 completed",
      "run_finished completed",
    }, lines_of(events))
  end)

  it("is told of timeouts", function()
    local events = events_of(function(task)
      task("slow", {
        timeout = 2,
        run = function()
          sleep(10)
        end,
      })
    end)
    assert.equal("attempt_finished /slow #1 timed_out", lines_of(events)[4])
    assert.equal("timed out after 2 s", events[4].error.message)
    assert.equal("task_finished /slow #1 timed_out", lines_of(events)[5])
  end)

  it("that raises is told on standard error and changes nothing", function()
    local report
    local written = flow.stderr_of(function()
      report = flow.run(function(task)
        task("load", function()
          return 1
        end)
      end, {
        on_event = function(event)
          if event.kind == "attempt_started" then
            error("hook is broken", 0)
          end
        end,
      })
    end)
    assert.equal(1, report:assert():result "load")
    assert.equal("astrum: error in an event handler: hook is broken\n", written)
  end)

  it("that raises at each event is told once in a run", function()
    local registry = flow.registry(function(task)
      task("load", function() end)
    end)
    local function run()
      registry:run {
        config = {
          on_event = function()
            error("hook is broken", 0)
          end,
        },
      }
    end
    local text = "astrum: error in an event handler: hook is broken\n"
    assert.equal(text, flow.stderr_of(run))
    assert.equal(text, flow.stderr_of(run))
  end)

  it("cannot wait", function()
    local written = flow.stderr_of(function()
      flow
        .run(function(task)
          task("load", function() end)
        end, {
          on_event = function(event)
            if event.kind == "run_finished" then
              sleep(0.001)
            end
          end,
        })
        :assert()
    end)
    assert.is_truthy(
      written:find("astrum: error in an event handler: ", 1, true)
        and written:find("sleep: ", 1, true),
      written
    )
  end)

  it("cannot wait either where a body has started the run", function()
    local inner = flow.build(function(task)
      task("load", function() end)
    end, {
      on_event = function(event)
        if event.kind == "run_started" then
          local _, why = pcall(sleep, 0.001)
          error(why, 0)
        end
      end,
    })
    local written = flow.stderr_of(function()
      flow
        .run(function(task)
          task("outer", function()
            inner:execute()
          end)
        end)
        :assert()
    end)
    assert.equal(
      "astrum: error in an event handler: sleep: a callback of the event loop cannot wait; only "
        .. "a task or the main program can\n",
      written
    )
  end)

  it("may cancel the run", function()
    local handle
    handle = flow
      .build(function(task)
        task("load", function() end)
        task("use", { depends_on = { "load" }, run = function() end })
      end, {
        on_event = function(event)
          if event.kind == "task_finished" and event.task == "load" then
            handle:cancel "seen enough"
          end
        end,
      })
      :start()
    local report = handle:wait()
    assert.equal("cancelled", report.execution_state)
    assert.same({ load = "completed", use = "skipped" }, flow.statuses(report))
  end)
end)

describe("around", function()
  it("wraps a body: that of the configuration is outermost", function()
    local order = {}
    local report = flow.run(function(task)
      task("load", {
        inputs = { n = 20 },
        around = function(ctx, run)
          order[#order + 1] = "task before " .. ctx.task
          local result = run()
          order[#order + 1] = "task after"
          return result + 1
        end,
        run = function(n)
          order[#order + 1] = "body"
          return n
        end,
      })
    end, {
      around = function(ctx, run)
        order[#order + 1] = "config before " .. ctx.task
        local result = run()
        order[#order + 1] = "config after"
        return result * 2
      end,
    })
    assert.equal(42, report:assert():result "load")
    assert.same({
      "config before load",
      "task before load",
      "body",
      "task after",
      "config after",
    }, order)
  end)

  it("may wait", function()
    local report = testing.run(flow.registry(function(task)
      task("load", {
        around = function(_, run)
          sleep(1)
          local result = run()
          sleep(1)
          return result
        end,
        run = function()
          sleep(1)
          return 7
        end,
      })
    end))
    assert.equal(7, report:assert():result "load")
    assert.is_true(math.abs(report.execution_duration - 3) < 0.5)
  end)

  it("that raises fails the attempt, which is retried", function()
    local calls = 0
    local report = flow.run(function(task)
      task("load", {
        retry = 1,
        around = function(_, run)
          calls = calls + 1
          if calls == 1 then
            error("no span", 0)
          end
          return run()
        end,
        run = function()
          return 1
        end,
      })
    end)
    assert.equal(1, report:assert():result "load")
    assert.equal("no span", report:task("load").attempt_statistics[1].error_message)
  end)

  it("that does not call run decides the result", function()
    local report = flow.run(function(task)
      task("load", {
        around = function()
          return "from the cache"
        end,
        run = function()
          error("the body ran", 0)
        end,
      })
    end)
    assert.equal("from the cache", report:assert():result "load")
  end)

  it("sees an error of the body and may take its place", function()
    local report = flow.run(function(task)
      task("load", {
        around = function(_, run)
          local ok, why = pcall(run)
          return ok and "fine" or "instead of " .. why
        end,
        run = function()
          error("boom", 0)
        end,
      })
    end)
    assert.equal("instead of boom", report:assert():result "load")
  end)

  it("passes on nil and an error that the body returns", function()
    local report = flow.run(function(task)
      task("load", {
        around = function(_, run)
          return run()
        end,
        run = function()
          return nil, "not found"
        end,
      })
    end)
    assert.equal("not found", report:task("load").error_message)
  end)

  it("is called for each item of a map and for stubs", function()
    local seen = {}
    local report = testing.run(
      flow.registry(function(task)
        task("each", {
          map = { n = { 1, 2 } },
          run = function(n)
            return n
          end,
        })
        task("one", function() end)
      end),
      {
        stubs = { one = 5 },
        config = {
          around = function(ctx, run)
            seen[#seen + 1] = ctx.task .. (ctx.item or "")
            return run()
          end,
        },
      }
    )
    report:assert()
    table.sort(seen)
    assert.same({ "each1", "each2", "one" }, seen)
    assert.equal(5, report:result "one")
  end)
end)
