-- How bodies end before they are over, on every path that leads there, and what is left of them.
local astrum = require "astrum"
local flow = require "spec.support.flow"
local program = require "spec.support.program"

local sleep = astrum.sleep

-- Starts the tasks, lets what can begin begin, cancels the run, and returns the report.
local function cancel(declare, config, reason)
  local handle = flow.build(declare, config):start()
  sleep(0.001)
  handle:cancel(reason)
  return handle:wait()
end

-- Whether nothing of any run is alive and nothing on the loop could still happen: the main program
-- would wait forever for the callback.
local function assert_nothing_left()
  local failure = flow.raised(astrum.await, function() end)
  assert.truthy(
    failure:find("await: nothing is left that could end the wait", 1, true),
    tostring(failure)
  )
end

describe("a to-be-closed variable of a body is closed exactly once", function()
  -- Runs a task `body` with one in virtual time, and asserts its status.
  local function assert_closed(status, finish, spec, config, more)
    local closed = {}
    spec = spec or {}
    spec.run = function(ctx)
      local _ <close> = flow.closing(closed, "closed")
      return finish(ctx)
    end
    local report = astrum.testing.run(
      flow.registry(function(task)
        task("body", spec)
        if more then
          more(task)
        end
      end),
      { config = config }
    )
    assert.equal(status, report:task("body").status)
    assert.same({ "closed" }, closed)
    assert_nothing_left()
    return report
  end

  local function wait()
    sleep(100)
  end

  it("when it returns", function()
    assert_closed("completed", function()
      return 1
    end)
  end)

  it("when it raises", function()
    assert_closed("failed", function()
      error("boom", 0)
    end)
  end)

  it("when it raises after a wait", function()
    assert_closed("failed", function()
      sleep(1)
      error("boom", 0)
    end)
  end)

  it("when it returns nil and an error", function()
    assert_closed("failed", function()
      return nil, "boom"
    end)
  end)

  it("when it times out", function()
    assert_closed("timed_out", wait, { timeout = 1 })
  end)

  it("when it is idle", function()
    assert_closed("timed_out", wait, { idle_timeout = 1 })
  end)

  it("when the run is over its deadline", function()
    assert_closed("cancelled", wait, nil, { deadline = 1 })
  end)

  it("when another task fails in fail_fast mode", function()
    local report = assert_closed("cancelled", wait, nil, nil, function(task)
      task("other", function()
        sleep(1)
        error("boom", 0)
      end)
    end)
    assert.equal("task 'other' failed", report:task("body").reason)
    assert.equal("Task cancelled due to previous failure", report:task("body").error_message)
  end)

  it("when the run is stuck", function()
    assert_closed("cancelled", function()
      astrum.await(function() end)
    end)
  end)

  it("when it is cancelled", function()
    local closed = {}
    cancel(function(task)
      task("body", function()
        local _ <close> = flow.closing(closed, "closed")
        sleep(10)
      end)
    end)
    assert.same({ "closed" }, closed)
    assert_nothing_left()
  end)

  it("when another member of astrum.all fails", function()
    local closed = {}
    local report = astrum.testing.run(flow.registry(function(task)
      task("body", function()
        astrum.all {
          function()
            local _ <close> = flow.closing(closed, "member")
            sleep(100)
          end,
          function()
            sleep(1)
            error("boom", 0)
          end,
        }
      end)
    end))
    assert.equal("boom", report:task("body").error_message)
    assert.same({ "member" }, closed)
    assert.equal(1.0, report.execution_duration)
  end)

  it("in each attempt", function()
    local closed = {}
    astrum.testing.run(flow.registry(function(task)
      task("body", {
        timeout = 1,
        retry = { max = 2, delay = 5 },
        run = function(ctx)
          local _ <close> = flow.closing(closed, "attempt " .. ctx.attempt)
          sleep(10)
        end,
      })
    end))
    assert.same({ "attempt 1", "attempt 2", "attempt 3" }, closed)
  end)

  it("in the order opposite to that of the declarations, inner functions first", function()
    local closed = {}
    cancel(function(task)
      task("body", function()
        local _ <close> = flow.closing(closed, "outer")
        local function inner()
          local _ <close> = flow.closing(closed, "inner 1")
          local _ <close> = flow.closing(closed, "inner 2")
          sleep(10)
        end
        inner()
      end)
    end)
    assert.same({ "inner 2", "inner 1", "outer" }, closed)
  end)

  it("also when closing another one raises", function()
    local closed, report = {}, nil
    local written = flow.stderr_of(function()
      report = astrum.testing.run(flow.registry(function(task)
        task("body", {
          timeout = 1,
          run = function()
            local _ <close> = flow.closing(closed, "first")
            local _ <close> = setmetatable({}, {
              __close = function()
                error("cannot close", 0)
              end,
            })
            sleep(10)
          end,
        })
      end))
    end)
    assert.same({ "first" }, closed)
    assert.equal("timed_out", report:task("body").status)
    assert.equal("timed out after 1 s", report:task("body").error_message)
    assert.equal("astrum: error in the cleanup of a task: cannot close\n", written)
  end)
end)

describe("cleanup that waits gets an error that says why it cannot", function()
  local WAITS <const> = {
    sleep = function()
      sleep(1)
    end,
    await = function()
      astrum.await(function() end)
    end,
    all = function()
      astrum.all { function() end }
    end,
    spawn = function()
      astrum.spawn { "true" }
    end,
  }

  for _, name in ipairs { "sleep", "await", "all", "spawn" } do
    it("in a to-be-closed variable that calls " .. name, function()
      local found
      astrum.testing.run(flow.registry(function(task)
        task("body", {
          timeout = 1,
          run = function()
            local _ <close> = setmetatable({}, {
              __close = function()
                found = flow.raised(WAITS[name])
              end,
            })
            sleep(10)
          end,
        })
      end))
      local text = name .. ": cleanup cannot wait, the task is over"
      assert.equal(text, (tostring(found):gsub("^[^:]*:%d+: ", "")))
    end)
  end

  it("in the cleanup of an await", function()
    local found
    astrum.testing.run(flow.registry(function(task)
      task("body", {
        timeout = 1,
        run = function()
          astrum.await(function()
            return function()
              found = flow.raised(sleep, 1)
            end
          end)
        end,
      })
    end))
    assert.equal("sleep: cleanup cannot wait, the task is over", found)
  end)

  it("in a scheduler that it wants to execute", function()
    local found
    local other = flow.build(function(task)
      task("other", function() end)
    end)
    astrum.testing.run(flow.registry(function(task)
      task("body", {
        timeout = 1,
        run = function()
          local _ <close> = setmetatable({}, {
            __close = function()
              found = flow.raised(other.execute, other)
            end,
          })
          sleep(10)
        end,
      })
    end))
    assert.equal("SchedulerError", found.kind)
    assert.truthy(found.message:find("cleanup cannot wait, the task is over", 1, true))
  end)
end)

describe("a cancelled run", function()
  it("ends a task that waits for its next attempt", function()
    local attempts = 0
    local report = cancel(function(task)
      task("unsteady", {
        retry = { max = 5, delay = 10 },
        run = function()
          attempts = attempts + 1
          error("down", 0)
        end,
      })
    end, nil, "enough")
    assert.equal("cancelled", report.execution_state)
    local entry = report:task("unsteady")
    assert.equal("cancelled", entry.status)
    assert.equal("the run was cancelled: enough", entry.reason)
    assert.equal("Task cancelled", entry.error_message)
    assert.equal(1, entry.attempt_count)
    assert.equal("down", entry.attempt_statistics[1].error_message)
    assert.is_true(entry.attempt_statistics[1].will_retry)
    assert.same({
      "Execution cancelled: enough",
      "Task 'unsteady' attempt 1/6 failed; retrying with 5 retries left: down",
    }, report.error_summary)
    assert.equal(1, attempts)
    assert_nothing_left()
  end)

  it("ends the items of a map and skips those that have not begun", function()
    local closed = {}
    local report = cancel(function(task)
      task("each", {
        map = { value = { "a", "b", "c" } },
        max_concurrency = 2,
        run = function(value)
          local _ <close> = flow.closing(closed, value)
          sleep(10)
        end,
      })
    end, nil, "enough")
    table.sort(closed)
    assert.same({ "a", "b" }, closed)
    local entry = report:task("each")
    assert.equal("cancelled", entry.status)
    local statuses = {}
    for i, item in ipairs(entry.items) do
      statuses[i] = item.status .. ": " .. item.reason
    end
    local reason = "the run was cancelled: enough"
    assert.same(
      { "cancelled: " .. reason, "cancelled: " .. reason, "skipped: " .. reason },
      statuses
    )
    assert_nothing_left()
  end)

  it("ends the runs inside it", function()
    local closed, inner_report = {}, nil
    local inner = flow.registry(function(task)
      task("inside", function()
        local _ <close> = flow.closing(closed, "inside")
        sleep(10)
      end)
      task("never", { depends_on = { "inside" }, run = function() end })
    end)
    local report = cancel(function(task)
      task("part", { workflow = inner })
      task("own", function()
        local handle = inner:build_scheduler({}):start()
        handle:on_done(function(found)
          inner_report = found
        end)
        handle:wait()
      end)
    end, nil, "enough")
    assert.same({ "inside", "inside" }, closed)
    assert.same({ part = "cancelled", own = "cancelled" }, flow.statuses(report))
    assert.equal("cancelled", inner_report.execution_state)
    assert.same({ inside = "cancelled", never = "skipped" }, flow.statuses(inner_report))
    local text = "the task that this run belongs to is over"
    assert.same({ "Execution cancelled: " .. text }, inner_report.error_summary)
    assert.equal("the run was cancelled: " .. text, inner_report:task("never").reason)
    assert_nothing_left()
  end)

  it("ends a run inside a run inside a task", function()
    local closed = {}
    local function nest(depth)
      return flow.registry(function(task)
        if depth == 0 then
          task("deep", function()
            local _ <close> = flow.closing(closed, "deep")
            sleep(10)
          end)
        else
          task("level" .. depth, { workflow = nest(depth - 1) })
        end
      end)
    end
    local handle = nest(5):build_scheduler({}):start()
    sleep(0.002)
    handle:cancel()
    assert.equal("cancelled", handle:wait().execution_state)
    assert.same({ "deep" }, closed)
    assert_nothing_left()
  end)

  it("lets tasks that clean up do so", function()
    local cleaned = false
    local report = cancel(function(task)
      task("slow", function()
        sleep(10)
      end)
      task("clean", {
        depends_on = { "slow" },
        trigger = "all_done",
        run = function()
          sleep(0.001)
          cleaned = true
        end,
      })
    end)
    assert.is_true(cleaned)
    assert.equal("cancelled", report.execution_state)
    assert.same({ slow = "cancelled", clean = "completed" }, flow.statuses(report))
  end)

  it("stops tasks that clean up when it is cancelled again", function()
    local closed = {}
    local handle = flow
      .build(function(task)
        task("slow", function()
          sleep(10)
        end)
        task("clean", {
          depends_on = { "slow" },
          trigger = "all_done",
          run = function()
            local _ <close> = flow.closing(closed, "clean")
            sleep(10)
          end,
        })
        task("later", { depends_on = { "clean" }, trigger = "always", run = function() end })
        task("last", { depends_on = { "clean" }, trigger = "all_done", run = function() end })
      end)
      :start()
    sleep(0.001)
    handle:cancel("enough")
    sleep(0.001)
    assert.equal("running", handle:status().state)
    assert.equal(1, handle:status().running)
    handle:cancel("at once")
    local report = handle:wait()
    assert.same({ "clean" }, closed)
    assert.same({
      slow = "cancelled",
      clean = "cancelled",
      later = "completed",
      last = "skipped",
    }, flow.statuses(report))
    assert.same({ "Execution cancelled: enough" }, report.error_summary)
    assert_nothing_left()
  end)

  it("drops a done that comes in the same turn", function()
    local keep
    local handle = flow
      .build(function(task)
        task("wait", function()
          return astrum.await(function(done)
            keep = done
          end)
        end)
      end)
      :start()
    sleep(0.001)
    keep("in time")
    handle:cancel()
    local report = handle:wait()
    assert.equal("cancelled", report:task("wait").status)
    assert.is_nil((report:result("wait")))
    assert_nothing_left()
  end)

  it("kills the group of a child process that does not want to end", function()
    local file <close> = program.file ""
    local handle = flow
      .build(function(task)
        task("wait", {
          cancel_grace = 0.01,
          run = function()
            local command = "trap '' TERM; echo $$ >" .. file.path .. "; while :; do sleep 20; done"
            astrum.spawn { "sh", "-c", command }
          end,
        })
      end)
      :start()
    local pid
    for _ = 1, 1000 do
      sleep(0.002)
      pid = io.lines(file.path)()
      if pid then
        break
      end
    end
    handle:cancel()
    assert.equal("cancelled", handle:wait():task("wait").status)
    assert.is_true(program.ends(pid))
    assert_nothing_left()
  end)
end)

describe("the report of a run that was stopped", function()
  it("says of each task what became of it, and why", function()
    local report = astrum.testing.run(flow.registry(function(task)
      task("done", function()
        return 1
      end)
      task("runs", function()
        sleep(100)
      end)
      task("retries", {
        retry = { max = 3, delay = 50, jitter = false },
        run = function()
          error("down", 0)
        end,
      })
      task("fails", function()
        sleep(10)
        error("boom", 0)
      end)
      task("waits", { depends_on = { "runs" }, run = function() end })
      task("below", { depends_on = { "fails" }, run = function() end })
    end))
    assert.same({
      done = "completed",
      runs = "cancelled",
      retries = "cancelled",
      fails = "failed",
      waits = "skipped",
      below = "skipped",
    }, flow.statuses(report))
    assert.same(
      { completed = 1, failed = 1, timed_out = 0, cancelled = 2, skipped = 2 },
      flow.counts(report)
    )
    for _, name in ipairs { "runs", "retries", "waits", "below" } do
      assert.equal("task 'fails' failed", report:task(name).reason)
    end
    assert.equal("Task cancelled due to previous failure", report:task("runs").error_message)
    assert.is_nil(report:task("waits").error_message)
    assert.equal(10.0, report:task("runs").duration)
    assert.is_nil(report:task("waits").start_time)
    local attempt = report:task("runs").attempt_statistics[1]
    assert.equal("cancelled", attempt.status)
    assert.equal("Task cancelled", attempt.error_message)
    assert.is_false(attempt.will_retry)
  end)

  it("counts what timed out apart from what failed", function()
    local report = astrum.testing.run(
      flow.registry(function(task)
        task("slow", {
          timeout = 1,
          run = function()
            sleep(9)
          end,
        })
        task("wrong", function()
          sleep(2)
          error("boom", 0)
        end)
        task("below", { depends_on = { "slow", "wrong" }, run = function() end })
      end),
      { config = { failure_mode = "keep_going" } }
    )
    assert.same(
      { completed = 0, failed = 1, timed_out = 1, cancelled = 0, skipped = 1 },
      flow.counts(report)
    )
    assert.equal("task 'slow' timed out", report:task("below").reason)
    assert.same({
      "Task 'slow' failed during execution: timed out after 1 s",
      "Task 'wrong' failed during execution: boom",
    }, report.error_summary)
    local failure = flow.raised(report.assert, report)
    assert.equal(
      "Task 'slow' failed during execution: timed out after 1 s (and 1 more failed task)",
      failure.message
    )
    assert.equal("TaskTimeoutError", failure.errors[1].kind)
    assert.equal("TaskFailedError", failure.errors[2].kind)
    assert.is_true(astrum.errors.is(failure, "TaskTimeoutError"))
  end)
end)
