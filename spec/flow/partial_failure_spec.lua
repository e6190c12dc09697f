local astrum = require "astrum"
local flow = require "spec.support.flow"

local sleep = astrum.sleep
local testing = astrum.testing

-- One task of each ending.
local function declare_all_endings(task)
  task("done", function()
    return 1
  end)
  task("fails", {
    depends_on = { "done" },
    run = function()
      sleep(0.003)
      error("boom", 0)
    end,
  })
  task("runs", function()
    sleep(10)
  end)
  task("never", { depends_on = { "runs" }, run = function() end })
  task("beside", { depends_on = { "done" }, run = function() end })
end

describe("the report of a run that failed in part", function()
  it("has a row for every task, in the order of declaration", function()
    local report = flow.run_in_virtual_time(declare_all_endings)
    local rows = {}
    for i, entry in ipairs(report.task_statistics) do
      rows[i] = { entry.task_name, entry.stage_id, entry.status }
    end
    assert.same({
      { "done", 0, "completed" },
      { "fails", 1, "failed" },
      { "runs", 0, "cancelled" },
      { "never", 1, "skipped" },
      { "beside", 1, "completed" },
    }, rows)
  end)

  it("has counts that are disjoint and add up to the total", function()
    local report = flow.run_in_virtual_time(declare_all_endings)
    assert.same(
      { completed = 2, failed = 1, timed_out = 0, cancelled = 1, skipped = 1 },
      flow.counts(report)
    )
    assert.equal(5, report.total_tasks)
  end)

  it("says why a task did not end well", function()
    local report = flow.run_in_virtual_time(declare_all_endings)
    local reasons = {}
    for _, entry in ipairs(report.task_statistics) do
      reasons[entry.task_name] = { entry.reason or "-", entry.error_message or "-" }
    end
    assert.same({
      done = { "-", "-" },
      fails = { "-", "boom" },
      runs = { "task 'fails' failed", "Task cancelled due to previous failure" },
      never = { "task 'fails' failed", "-" },
      beside = { "-", "-" },
    }, reasons)
  end)

  it("has no times for a task that never started", function()
    local never = flow.run_in_virtual_time(declare_all_endings):task("never")
    assert.is_nil(never.ready_time)
    assert.is_nil(never.start_time)
    assert.is_nil(never.end_time)
    assert.same({ 0.0, 0.0, 0 }, { never.duration, never.wait_duration, never.attempt_count })
    assert.same({}, never.attempt_statistics)
  end)

  it("gives the error of a failed task beside a nil result", function()
    local report = flow.run_in_virtual_time(declare_all_endings)
    local result, failure = report:result("fails")
    assert.is_nil(result)
    assert.equal("boom", failure.message)
    assert.equal("TaskFailedError", failure.kind)
  end)

  it("gives an error that says why for a task without a result of its own", function()
    local report = flow.run_in_virtual_time(declare_all_endings)
    local _, cancelled = report:result("runs")
    assert.equal("TaskCancelledError", cancelled.kind)
    assert.equal("task 'runs' was cancelled: task 'fails' failed", cancelled.message)
    local _, skipped = report:result("never")
    assert.equal("task 'never' was skipped: task 'fails' failed", skipped.message)
  end)

  it("has in task_return_set what completed", function()
    local report = flow.run_in_virtual_time(declare_all_endings)
    assert.same({ done = 1 }, report.task_return_set)
    assert.is_true(report:has_result("beside"))
    assert.is_false(report:has_result("runs"))
  end)

  it("charges no failure to a task that was complete before", function()
    local report = flow.run_in_virtual_time(declare_all_endings)
    local done = report:task("done")
    assert.equal("completed", done.status)
    assert.equal("completed", done.attempt_statistics[1].status)
    assert.is_nil(done.error)
  end)
end)

describe("times in a report", function()
  it("leave the time in the queue out of the duration", function()
    local report = testing.run(
      flow.registry(function(task)
        for i = 1, 4 do
          task("task" .. i, function()
            sleep(5)
          end)
        end
      end),
      { config = { concurrency_limit = 1 } }
    )
    for i = 1, 4 do
      local entry = report:task("task" .. i)
      assert.equal(5, entry.duration)
      assert.equal(5 * (i - 1), entry.wait_duration)
    end
  end)

  it("are those of the task itself, not of the slowest beside it", function()
    local report = testing.run(flow.registry(function(task)
      task("slow", function()
        sleep(20)
      end)
      task("quick", function()
        sleep(1)
      end)
    end))
    assert.equal(1, report:task("quick").duration)
    assert.equal(20, report:task("slow").duration)
  end)

  it("count the work of all attempts and not the time between them", function()
    local report = flow.run(function(task)
      task("load", {
        retry = 2,
        run = function(ctx)
          sleep(0.002)
          assert(ctx.attempt == 3)
        end,
      })
    end)
    local entry = report:task("load")
    local sum = 0
    for _, attempt in ipairs(entry.attempt_statistics) do
      sum = sum + attempt.duration
    end
    assert.is_true(entry.duration >= 0.006)
    assert.is_true(math.abs(entry.duration - sum) < 1e-6)
  end)

  it("are wall clock for starts and ends", function()
    local before = os.time()
    local report = flow.run(function(task)
      task("load", function()
        sleep(0.001)
      end)
    end)
    local entry = report:task("load")
    assert.is_true(report.total_start_time >= before - 1)
    assert.is_true(report.total_end_time <= os.time() + 1)
    assert.is_true(entry.ready_time <= entry.start_time)
    assert.is_true(math.abs(entry.end_time - entry.start_time - entry.duration) < 1e-5)
  end)

  it("of the run are planning and execution, which add up", function()
    local report = flow.run(function(task)
      task("load", function()
        sleep(0.002)
      end)
    end)
    assert.is_true(report.execution_duration >= 0.002)
    assert.is_true(report.planning_duration > 0)
    assert.is_true(
      math.abs(report.total_duration - report.planning_duration - report.execution_duration) < 1e-9
    )
  end)
end)
