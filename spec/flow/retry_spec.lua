local astrum = require "astrum"
local flow = require "spec.support.flow"

local F = astrum.F

-- A body that fails so many times, each with its number, and then succeeds.
local function failing(times)
  local calls = 0
  return function()
    calls = calls + 1
    if calls <= times then
      error("failure " .. calls, 0)
    end
    return calls
  end
end

describe("retry", function()
  it("runs a task again until it succeeds", function()
    local report = flow.run(function(task)
      task("load", { retry = 3, run = failing(2) })
    end)
    assert.equal("completed", report.execution_state)
    assert.equal(3, report:result("load"))
    assert.equal(3, report:task("load").attempt_count)
    assert.is_nil(report:task("load").error_message)
    assert.is_nil(report:task("load").error)
  end)

  it("fails a task after the last attempt", function()
    local report = flow.run(function(task)
      task("load", { retry = 2, run = failing(9) })
    end)
    assert.equal("failed", report.execution_state)
    assert.equal("failure 3", report:task("load").error_message)
    assert.equal(3, report:task("load").error.attempt)
  end)

  it("keeps every attempt with its error", function()
    local report = flow.run(function(task)
      task("load", { retry = 2, run = failing(2) })
    end)
    local list = {}
    for i, attempt in ipairs(report:task("load").attempt_statistics) do
      list[i] = {
        attempt.task_name,
        attempt.attempt_number,
        attempt.max_retries,
        attempt.status,
        attempt.error_message or "-",
        attempt.will_retry,
        attempt.error and attempt.error.attempt or 0,
      }
    end
    assert.same({
      { "load", 1, 2, "failed", "failure 1", true, 1 },
      { "load", 2, 2, "failed", "failure 2", true, 2 },
      { "load", 3, 2, "completed", "-", false, 0 },
    }, list)
  end)

  it("tells of retried attempts in the error summary of a run that completes", function()
    local report = flow.run(function(task)
      task("load", { retry = 2, run = failing(2) })
    end)
    assert.same({
      "Task 'load' attempt 1/3 failed; retrying with 2 retries left: failure 1",
      "Task 'load' attempt 2/3 failed; retrying with 1 retries left: failure 2",
    }, report.error_summary)
  end)

  it("tells of exhausted retries in the error summary", function()
    local report = flow.run(function(task)
      task("load", { retry = 1, run = failing(9) })
    end)
    assert.same({
      "Execution interrupted; task 'load' failed: failure 2",
      "Final task 'load' failed: failure 2",
      "Task 'load' attempt 1/2 failed; retrying with 1 retries left: failure 1",
      "Task 'load' exhausted 1 retries after 2 attempts: failure 2",
    }, report.error_summary)
  end)

  it("takes retry as retries after the first attempt, none by default", function()
    local report = flow.run(function(task)
      task("load", failing(1))
    end)
    assert.equal("failed", report.execution_state)
    assert.equal(1, report:task("load").attempt_count)
    assert.equal(0, report:task("load").retry)
  end)

  it("tells the body which attempt it is", function()
    local report = flow.run(function(task)
      task("load", {
        retry = 1,
        run = function(ctx)
          assert(ctx.attempt == 2, "too early")
          return ctx.attempt
        end,
      })
    end)
    assert.equal(2, report:result("load"))
  end)

  it("calls a function input again for every attempt", function()
    local calls = 0
    local report = flow.run(function(task)
      task("load", {
        retry = 2,
        inputs = {
          number = function()
            calls = calls + 1
            return calls
          end,
        },
        run = function(number)
          if number < 3 then
            error("only " .. number, 0)
          end
          return number
        end,
      })
    end)
    assert.equal(3, report:result("load"))
  end)

  it("retries an attempt whose function input fails", function()
    local input = failing(1)
    local report = flow.run(function(task)
      task("load", {
        retry = 1,
        inputs = { number = input },
        run = function(number)
          return number
        end,
      })
    end)
    assert.equal(2, report:result("load"))
    assert.equal("failure 1", report:task("load").attempt_statistics[1].error_message)
  end)

  it("does not retry a mistake of the consumer", function()
    local calls, produced = 0, 0
    local report = flow.run(function(task)
      task("load", {
        retry = 2,
        run = function()
          produced = produced + 1
          return { id = 1 }
        end,
      })
      task("use", {
        retry = 5,
        inputs = { name = F.load.name },
        run = function(name)
          calls = calls + 1
          return name
        end,
      })
    end)
    assert.same({ load = "completed", use = "failed" }, flow.statuses(report))
    assert.same({ 0, 1 }, { calls, produced })
    assert.equal(1, report:task("use").attempt_count)
    assert.is_false(report:task("use").attempt_statistics[1].will_retry)
  end)

  it("retries when the body returns nil and an error", function()
    local calls = 0
    local report = flow.run(function(task)
      task("load", {
        retry = 1,
        run = function()
          calls = calls + 1
          if calls == 1 then
            return nil, "not yet"
          end
          return "here"
        end,
      })
    end)
    assert.equal("here", report:result("load"))
    assert.equal("not yet", report:task("load").attempt_statistics[1].error_message)
  end)

  it("lets other tasks run between two attempts of one", function()
    local order = {}
    flow.run(function(task)
      task("load", {
        retry = 1,
        run = function(ctx)
          order[#order + 1] = "load " .. ctx.attempt
          assert(ctx.attempt > 1)
        end,
      })
      task("other", function()
        order[#order + 1] = "other"
      end)
    end, { concurrency_limit = 1 })
    assert.same(3, #order)
    assert.equal("load 1", order[1])
  end)

  it("gives the consumers the result of the attempt that succeeded", function()
    local report = flow.run(function(task)
      task("load", { retry = 1, run = failing(1) })
      task("use", {
        inputs = { number = F.load },
        run = function(number)
          return number
        end,
      })
    end)
    assert.equal(2, report:result("use"))
  end)
end)
