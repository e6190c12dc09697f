local astrum = require "astrum"
local flow = require "spec.support.flow"

local sleep = astrum.sleep

-- Runs one task in virtual time that fails with its number, and returns the report.
local function failing(retry, more)
  local registry = flow.registry(function(task)
    task("load", {
      retry = retry,
      run = function(ctx)
        error("failure " .. ctx.attempt, 0)
      end,
    })
  end)
  return astrum.testing.run(registry, more)
end

-- How long the run waited before each attempt after the first, in seconds.
local function waits_of(report, name)
  local waits, last = {}, nil
  for i, attempt in ipairs(report:task(name or "load").attempt_statistics) do
    if last then
      waits[i - 1] = attempt.start_time - last.end_time
    end
    last = attempt
  end
  return waits
end

-- Times are wall clock and lose a little.
local function assert_near(expected, found)
  assert.equal(#expected, #found)
  for i, value in ipairs(expected) do
    assert.is_true(math.abs(value - found[i]) < 1e-3, ("%s is not %s"):format(found[i], value))
  end
end

describe("a retry record", function()
  it("waits its delay, twice as long each time, and not after the last attempt", function()
    local report = failing { max = 3, delay = 10, backoff = 2, jitter = false }
    assert_near({ 10, 20, 40 }, waits_of(report))
    assert.equal(70.0, report.execution_duration)
    assert.equal("failed", report.execution_state)
    assert.equal(70.0, report:task("load").wait_duration)
    assert.equal(0.0, report:task("load").duration)
  end)

  it("waits no longer than max_delay", function()
    local report = failing { max = 4, delay = 10, backoff = 3, max_delay = 45, jitter = false }
    assert_near({ 10, 30, 45, 45 }, waits_of(report))
  end)

  it("waits the same each time with a backoff of 1", function()
    local report = failing { max = 2, delay = 0.5, backoff = 1, jitter = false }
    assert_near({ 0.5, 0.5 }, waits_of(report))
  end)

  it("waits three hours in a moment of a test", function()
    local began = os.clock()
    local report = failing { max = 1, delay = 10800, max_delay = 10800, jitter = false }
    assert.equal(10800.0, report.execution_duration)
    assert.is_true(os.clock() - began < 1)
  end)

  it("does not wait without a delay", function()
    local report = failing(5)
    assert.equal(0.0, report.execution_duration)
    assert.equal(6, report:task("load").attempt_count)
  end)

  it("waits a random part of its delay that the seed decides", function()
    local retry = { max = 6, delay = 10, backoff = 1, max_delay = 10, jitter = true }
    local first = waits_of(failing(retry, { seed = 1 }))
    local same = waits_of(failing(retry, { seed = 1 }))
    local other = waits_of(failing(retry, { seed = 2 }))
    assert_near(first, same)
    local differs = false
    for i, wait in ipairs(first) do
      assert.is_true(wait >= 0 and wait <= 10)
      differs = differs or math.abs(wait - other[i]) > 1e-3
      assert.is_true(i == 1 or math.abs(wait - first[i - 1]) > 1e-3)
    end
    assert.is_true(differs)
  end)

  it("takes the seed of the configuration when the test gives none", function()
    local retry = { max = 2, delay = 10, jitter = true }
    local first = waits_of(failing(retry, { config = { seed = 7 } }))
    assert_near(first, waits_of(failing(retry, { seed = 7 })))
    local over = waits_of(failing(retry, { seed = 8, config = { seed = 7 } }))
    assert_near(over, waits_of(failing(retry, { seed = 8 })))
  end)

  it("lets tasks of one seed wait for different times", function()
    local registry = flow.registry(function(task)
      for _, name in ipairs { "a", "b" } do
        task(name, {
          retry = { max = 1, delay = 100, jitter = true },
          run = function()
            error("down", 0)
          end,
        })
      end
    end)
    local report = astrum.testing.run(registry, { config = { failure_mode = "keep_going" } })
    local a, b = waits_of(report, "a")[1], waits_of(report, "b")[1]
    assert.is_true(math.abs(a - b) > 1e-3)
  end)

  it("gives its slot back while it waits", function()
    local order = {}
    local registry = flow.registry(function(task)
      task("unsteady", {
        retry = { max = 1, delay = 60, jitter = false },
        run = function(ctx)
          order[#order + 1] = "unsteady " .. ctx.attempt
          assert(ctx.attempt == 2)
        end,
      })
      task("other", function()
        order[#order + 1] = "other"
        sleep(5)
      end)
    end)
    local report = astrum.testing.run(registry, { config = { concurrency_limit = 1 } })
    assert.same({ "unsteady 1", "other", "unsteady 2" }, order)
    assert.equal(60.0, report.execution_duration)
  end)

  it("tries again after a timeout, with the whole time anew", function()
    local registry = flow.registry(function(task)
      task("load", {
        timeout = 2,
        retry = { max = 2, delay = 3, backoff = 1, jitter = false },
        run = function(ctx)
          sleep(ctx.attempt == 3 and 1.5 or 100)
          return ctx.attempt
        end,
      })
    end)
    local report = astrum.testing.run(registry)
    assert.equal("completed", report.execution_state)
    assert.equal(3, report:result("load"))
    assert.equal(2 + 3 + 2 + 3 + 1.5, report.execution_duration)
    local statuses, errors = {}, {}
    for i, attempt in ipairs(report:task("load").attempt_statistics) do
      statuses[i] = attempt.status
      errors[i] = attempt.error and attempt.error.kind .. ": " .. attempt.error.message or "-"
    end
    assert.same({ "timed_out", "timed_out", "completed" }, statuses)
    assert.same({
      "TaskTimeoutError: timed out after 2 s",
      "TaskTimeoutError: timed out after 2 s",
      "-",
    }, errors)
    assert.same({
      "Task 'load' attempt 1/3 failed; retrying with 2 retries left: timed out after 2 s",
      "Task 'load' attempt 2/3 failed; retrying with 1 retries left: timed out after 2 s",
    }, report.error_summary)
  end)

  it("keeps the error of every attempt, of whatever kind", function()
    local registry = flow.registry(function(task)
      task("load", {
        timeout = 1,
        retry = { max = 3, delay = 1, jitter = false },
        run = function(ctx)
          if ctx.attempt == 1 then
            error({ code = 503 })
          elseif ctx.attempt == 2 then
            sleep(9)
          elseif ctx.attempt == 3 then
            return nil, "no answer"
          end
          error("the last", 0)
        end,
      })
    end)
    local report = astrum.testing.run(registry)
    local list = {}
    for i, attempt in ipairs(report:task("load").attempt_statistics) do
      assert.equal(i, attempt.error.attempt)
      assert.equal("load", attempt.error.task)
      list[i] = { attempt.status, attempt.error.kind, attempt.error_message, attempt.will_retry }
    end
    assert.same({
      { "failed", "TaskFailedError", "{ code = 503 }", true },
      { "timed_out", "TaskTimeoutError", "timed out after 1 s", true },
      { "failed", "TaskFailedError", "no answer", true },
      { "failed", "TaskFailedError", "the last", false },
    }, list)
    assert.equal(503, report:task("load").attempt_statistics[1].error.cause.code)
    assert.equal("the last", report:task("load").error_message)
  end)

  it("waits for a slot again when its delay is over", function()
    local registry = flow.registry(function(task)
      task("unsteady", {
        retry = { max = 1, delay = 10, jitter = false },
        run = function(ctx)
          assert(ctx.attempt == 2, "not yet")
        end,
      })
      task("long", function()
        sleep(30)
      end)
    end)
    local report = astrum.testing.run(registry, { config = { concurrency_limit = 1 } })
    assert.equal("completed", report.execution_state)
    assert.equal(30.0, report:task("unsteady").wait_duration)
  end)
end)

describe("retry.on", function()
  it("is asked with the error object before each retry, and can refuse", function()
    local seen = {}
    local report = failing {
      max = 5,
      delay = 1,
      jitter = false,
      on = function(err)
        seen[#seen + 1] = { err.kind, err.task, err.attempt, err.message, err.cause }
        return err.attempt < 3
      end,
    }
    assert.same({
      { "TaskFailedError", "load", 1, "failure 1", "failure 1" },
      { "TaskFailedError", "load", 2, "failure 2", "failure 2" },
      { "TaskFailedError", "load", 3, "failure 3", "failure 3" },
    }, seen)
    assert.equal(3, report:task("load").attempt_count)
    assert.equal("failure 3", report:task("load").error_message)
    assert.is_false(report:task("load").attempt_statistics[3].will_retry)
    assert.same({
      "Execution interrupted; task 'load' failed: failure 3",
      "Final task 'load' failed: failure 3",
      "Task 'load' attempt 1/6 failed; retrying with 5 retries left: failure 1",
      "Task 'load' attempt 2/6 failed; retrying with 4 retries left: failure 2",
      "Task 'load' attempt 3/6 was not retried: its `retry.on` returned false or nil",
    }, report.error_summary)
  end)

  it("is not asked after the last attempt", function()
    local calls = 0
    failing {
      max = 1,
      delay = 1,
      on = function()
        calls = calls + 1
        return true
      end,
    }
    assert.equal(1, calls)
  end)

  it("is asked after a timeout, too", function()
    local kinds = {}
    local registry = flow.registry(function(task)
      task("load", {
        timeout = 1,
        retry = {
          max = 3,
          delay = 1,
          on = function(err)
            kinds[#kinds + 1] = err.kind
            return not astrum.errors.is(err, "TaskTimeoutError")
          end,
        },
        run = function()
          sleep(9)
        end,
      })
    end)
    local report = astrum.testing.run(registry)
    assert.same({ "TaskTimeoutError" }, kinds)
    assert.equal("timed_out", report:task("load").status)
    assert.equal(1, report:task("load").attempt_count)
    assert.equal(
      "Task 'load' attempt 1/4 was not retried: its `retry.on` returned false or nil",
      report.error_summary[3]
    )
  end)

  it("refuses when it returns nothing, and the report says so", function()
    local report = failing { max = 2, delay = 0, on = function() end }
    assert.same({
      "Execution interrupted; task 'load' failed: failure 1",
      "Final task 'load' failed: failure 1",
      "Task 'load' attempt 1/3 was not retried: its `retry.on` returned false or nil",
    }, report.error_summary)
  end)

  it("is not blamed when `when` has failed", function()
    local report = flow.run(function(task)
      task("load", {
        retry = {
          max = 2,
          delay = 0,
          on = function()
            return true
          end,
        },
        when = function()
          error("broken", 0)
        end,
        run = function() end,
      })
    end)
    assert.same({
      "Execution interrupted; task 'load' failed: in its `when`: broken",
      "Final task 'load' failed: in its `when`: broken",
    }, report.error_summary)
  end)

  it("is asked after an answer that came too late", function()
    local kinds = {}
    local registry = flow.registry(function(task)
      task("load", {
        timeout = 0.001,
        retry = {
          max = 3,
          delay = 0,
          on = function(err)
            kinds[#kinds + 1] = err.kind
            return false
          end,
        },
        run = function()
          local till = os.clock() + 0.004
          while os.clock() < till do
          end
          return "late"
        end,
      })
    end)
    local report = registry:run {}
    assert.same({ "TaskTimeoutError" }, kinds)
    assert.equal("timed_out", report:task("load").status)
    assert.is_nil((report:result("load")))
  end)

  it("is not asked about a mistake of the consumer", function()
    local calls = 0
    local registry = flow.registry(function(task)
      task("load", function()
        return {}
      end)
      task("use", {
        inputs = { value = astrum.F.load.value },
        retry = {
          max = 3,
          delay = 1,
          on = function()
            calls = calls + 1
            return true
          end,
        },
        run = function(value)
          return value
        end,
      })
    end)
    local report = astrum.testing.run(registry)
    assert.equal("FieldError", report:task("use").error.kind)
    assert.equal(2, #report.error_summary)
    assert.equal(0, calls)
    assert.equal(1, report:task("use").attempt_count)
  end)

  it("that raises is told, and the task is not retried", function()
    local report
    local written = flow.stderr_of(function()
      report = failing {
        max = 3,
        delay = 1,
        on = function()
          error("no idea", 0)
        end,
      }
    end)
    assert.equal(
      "astrum: error in retry.on of task 'load', which is not retried: no idea\n",
      written
    )
    assert.equal(1, report:task("load").attempt_count)
    assert.equal("failure 1", report:task("load").error_message)
  end)

  it("cannot wait", function()
    local written = flow.stderr_of(function()
      failing {
        max = 3,
        delay = 1,
        on = function()
          local _, why = pcall(sleep, 1)
          error(why, 0)
        end,
      }
    end)
    local text = "retry.on of task 'load', which is not retried: sleep: retry.on cannot wait\n"
    assert.equal("astrum: error in " .. text, written)
  end)

  it("cannot start a run, which is told at its line", function()
    local other = flow.build(function(task)
      task("other", function() end)
    end)
    local written = flow.stderr_of(function()
      failing {
        max = 3,
        on = function()
          local _, why = pcall(other.start, other)
          error(why.text, 0)
        end,
      }
    end)
    local text = "retry.on of task 'load', which is not retried: the run cannot be started: "
    assert.equal("astrum: error in " .. text .. "retry.on cannot wait\n", written)
  end)
end)

describe("config.defaults", function()
  it("gives every task its retries and times, unless it has its own", function()
    local registry = flow.registry(function(task)
      local function slow()
        sleep(100)
      end
      task("default", slow)
      task("own", { retry = 0, timeout = 7, run = slow })
    end)
    local report = astrum.testing.run(registry, {
      config = {
        failure_mode = "keep_going",
        defaults = { timeout = 5, retry = { max = 1, delay = 2, jitter = false } },
      },
    })
    assert.same({ default = "timed_out", own = "timed_out" }, flow.statuses(report))
    local default, own = report:task("default"), report:task("own")
    assert.equal(2, default.attempt_count)
    assert.equal(1, default.retry)
    assert.equal("timed out after 5 s", default.error_message)
    assert.equal(10.0, default.duration)
    assert.equal(2.0, default.wait_duration)
    assert.equal(1, own.attempt_count)
    assert.equal("timed out after 7 s", own.error_message)
  end)

  it("holds in runs of tasks that are workflows", function()
    local inner = flow.registry(function(task)
      task("load", function(ctx)
        assert(ctx.attempt == 2, "not yet")
      end)
    end)
    local registry = flow.registry(function(task)
      task("part", { workflow = inner, retry = 0 })
    end)
    local config = { defaults = { retry = { max = 1, delay = 60, jitter = false } } }
    local report = astrum.testing.run(registry, { config = config })
    assert.equal("completed", report.execution_state)
    assert.equal(60.0, report.execution_duration)
    assert.equal(2, report:task("part").report:task("load").attempt_count)
  end)
end)

describe("config.max_total_attempts", function()
  local function storm(limit, mode)
    local registry = flow.registry(function(task)
      task("first", {
        retry = { max = 9, delay = 1, backoff = 1, jitter = false },
        run = function(ctx)
          error("failure " .. ctx.attempt, 0)
        end,
      })
      task("slow", function()
        sleep(100)
      end)
      task("after", { depends_on = { "slow" }, run = function() end })
    end)
    local config = { max_total_attempts = limit, failure_mode = mode }
    return astrum.testing.run(registry, { config = config })
  end

  it("ends a storm of retries, and the report says so", function()
    local report = storm(4)
    assert.same({ first = "failed", slow = "cancelled", after = "skipped" }, flow.statuses(report))
    assert.equal(3, report:task("first").attempt_count)
    assert.same({
      "Execution interrupted; task 'first' failed: failure 3",
      "The run used its max_total_attempts of 4; nothing was started or retried after that",
      "Final task 'first' failed: failure 3",
      "Task 'first' attempt 1/10 failed; retrying with 9 retries left: failure 1",
      "Task 'first' attempt 2/10 failed; retrying with 8 retries left: failure 2",
    }, report.error_summary)
  end)

  it("fails a task that would begin after that, with an error that says why", function()
    local report = storm(4, "keep_going")
    local entry = report:task("after")
    local text = "it could not start: the run has used its max_total_attempts of 4"
    assert.equal("failed", entry.status)
    assert.equal(text, entry.error_message)
    assert.equal("TaskFailedError", entry.error.kind)
    assert.equal("after", entry.error.task)
    assert.equal(0, entry.attempt_count)
    assert.same({}, entry.attempt_statistics)
    local _, failure = report:result("after")
    assert.equal(failure, entry.error)
    assert.equal("Final task 'after' failed: " .. text, report.error_summary[3])
  end)

  it("counts attempts of runs inside a task", function()
    local inner = flow.registry(function(task)
      task("load", {
        retry = 5,
        run = function()
          error("down", 0)
        end,
      })
    end)
    local registry = flow.registry(function(task)
      task("part", { workflow = inner, retry = 5 })
    end)
    local report = astrum.testing.run(registry, { config = { max_total_attempts = 3 } })
    assert.equal(1, report:task("part").attempt_count)
    assert.equal(2, report:task("part").report:task("load").attempt_count)
    assert.equal("task 'part/load' failed: down", report:task("part").error_message)
  end)

  it("tells no more of it when it was not reached", function()
    local report = astrum.testing.run(
      flow.registry(function(task)
        task("load", function()
          error("down", 0)
        end)
      end),
      { config = { max_total_attempts = 5 } }
    )
    assert.same({
      "Execution interrupted; task 'load' failed: down",
      "Final task 'load' failed: down",
    }, report.error_summary)
  end)
end)
