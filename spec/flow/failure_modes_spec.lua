local astrum = require "astrum"
local flow = require "spec.support.flow"

local F, sleep = astrum.F, astrum.sleep

-- One task fails after 2 ms while another would take 10 s; names in this order.
local function declare_race(task, names)
  local bodies = {
    fails = function()
      sleep(0.002)
      error("no connection", 0)
    end,
    slow = function()
      sleep(10)
    end,
  }
  for _, name in ipairs(names) do
    task(name, bodies[name])
  end
end

describe("fail_fast", function()
  for _, names in ipairs { { "fails", "slow" }, { "slow", "fails" } } do
    it("ends the run at once when " .. table.concat(names, " is declared before "), function()
      local report = flow.run_in_virtual_time(function(task)
        declare_race(task, names)
      end)
      assert.same({ fails = "failed", slow = "cancelled" }, flow.statuses(report))
      assert.is_true(report.execution_duration < 1)
    end)
  end

  it("begins the error summary with the task that failed first", function()
    local report = flow.run_in_virtual_time(function(task)
      task("early", function()
        error("boom", 0)
      end)
      task("after", { depends_on = { "early" }, run = function() end })
    end)
    assert.same({
      "Execution interrupted; task 'early' failed: boom",
      "Task 'early' failed during execution: boom",
    }, report.error_summary)
  end)

  it("starts nothing new after a failure", function()
    local started = {}
    local report = flow.run_in_virtual_time(function(task)
      task("fails", function()
        error("boom", 0)
      end)
      for i = 1, 3 do
        task("later" .. i, function()
          started[#started + 1] = i
        end)
      end
    end, { concurrency_limit = 1 })
    assert.same({}, started)
    assert.same(
      { fails = "failed", later1 = "skipped", later2 = "skipped", later3 = "skipped" },
      flow.statuses(report)
    )
    assert.equal("task 'fails' failed", report:task("later1").reason)
  end)

  it("does not retry what it has cancelled", function()
    local calls = 0
    local report = flow.run_in_virtual_time(function(task)
      task("slow", {
        retry = 5,
        run = function()
          calls = calls + 1
          sleep(10)
        end,
      })
      task("fails", function()
        sleep(0.001)
        error("boom", 0)
      end)
    end)
    assert.equal(1, calls)
    local slow = report:task("slow")
    assert.equal("cancelled", slow.status)
    assert.equal("Task cancelled due to previous failure", slow.error_message)
    assert.equal("task 'fails' failed", slow.reason)
    assert.equal("cancelled", slow.attempt_statistics[1].status)
    assert.equal("Task cancelled", slow.attempt_statistics[1].error_message)
    assert.is_false(slow.attempt_statistics[1].will_retry)
  end)

  it("waits for the retries of a task before it counts as failed", function()
    local report = flow.run_in_virtual_time(function(task)
      task("unsteady", {
        retry = 1,
        run = function(ctx)
          assert(ctx.attempt > 1, "first")
        end,
      })
      task("other", function()
        sleep(0.003)
        return "done"
      end)
    end)
    assert.equal("completed", report.execution_state)
    assert.equal("done", report:result("other"))
  end)

  it("keeps the results of tasks that were complete", function()
    local report = flow.run_in_virtual_time(function(task)
      task("load", function()
        return 1
      end)
      task("fails", {
        inputs = { n = F.load },
        run = function(n)
          error("boom " .. n, 0)
        end,
      })
    end)
    assert.same({ load = 1 }, report.task_return_set)
  end)

  it("is the default", function()
    local report = flow.run_in_virtual_time(function(task)
      declare_race(task, { "slow", "fails" })
    end, {})
    assert.equal("cancelled", report:task("slow").status)
    assert.equal("fail_fast", astrum.AstrumConfig().failure_mode)
  end)
end)

describe("keep_going", function()
  local KEEP_GOING <const> = { failure_mode = "keep_going" }

  it("skips only what depends on the failure", function()
    local report = flow.run_in_virtual_time(function(task)
      task("fails", function()
        error("boom", 0)
      end)
      task("needs_it", { depends_on = { "fails" }, run = function() end })
      task("needs_that", { depends_on = { "needs_it" }, run = function() end })
      task("slow", function()
        sleep(0.003)
      end)
      task("after_slow", { depends_on = { "slow" }, run = function() end })
    end, KEEP_GOING)
    assert.equal("failed", report.execution_state)
    assert.same({
      fails = "failed",
      needs_it = "skipped",
      needs_that = "skipped",
      slow = "completed",
      after_slow = "completed",
    }, flow.statuses(report))
  end)

  it("says for each skipped task what it is skipped for", function()
    local report = flow.run_in_virtual_time(function(task)
      task("fails", function()
        error("boom", 0)
      end)
      task("needs_it", { depends_on = { "fails" }, run = function() end })
      task("needs_that", { depends_on = { "needs_it" }, run = function() end })
    end, KEEP_GOING)
    assert.equal("task 'fails' failed", report:task("needs_it").reason)
    local reason = report:task("needs_that").reason
    assert.equal("task 'fails' failed", reason)
  end)

  it("lists every failure in the error summary in the order of time", function()
    local report = flow.run_in_virtual_time(function(task)
      task("late", function()
        sleep(0.004)
        error("second", 0)
      end)
      task("early", function()
        error("first", 0)
      end)
      task("after_late", { depends_on = { "late" }, run = function() end })
    end, KEEP_GOING)
    assert.same({
      "Final task 'early' failed: first",
      "Task 'late' failed during execution: second",
    }, report.error_summary)
    assert.equal(2, report.failed_tasks)
  end)

  it("skips a task that needs a failed one beside complete ones", function()
    local report = flow.run_in_virtual_time(function(task)
      task("fails", function()
        sleep(0.002)
        error("boom", 0)
      end)
      task("fine", function() end)
      task("join", { depends_on = { "fine", "fails" }, run = function() end })
    end, KEEP_GOING)
    assert.same({ fails = "failed", fine = "completed", join = "skipped" }, flow.statuses(report))
  end)
end)

describe("report:assert", function()
  it("returns the report of a run that completed", function()
    local report = flow.run(function(task)
      task("load", function() end)
    end)
    assert.equal(report, report:assert())
  end)

  it("raises the failure with the error of the first task that failed as its cause", function()
    local report = flow.run(function(task)
      task("load", function()
        error("boom", 0)
      end)
    end)
    local failure = flow.raised(report.assert, report)
    assert.equal("TaskFailedError", failure.kind)
    assert.equal("Execution interrupted; task 'load' failed: boom", tostring(failure))
    assert.equal("load", failure.task)
    assert.equal(report:task("load").error, failure.cause)
  end)

  it("tells how many tasks failed besides the first", function()
    local report = flow.run(function(task)
      for _, name in ipairs { "a", "b", "c" } do
        task(name, function()
          error(name .. " failed", 0)
        end)
      end
    end, { failure_mode = "keep_going" })
    local failure = flow.raised(report.assert, report)
    assert.equal("Final task 'a' failed: a failed (and 2 more failed tasks)", failure.message)
    assert.equal(3, #failure.errors)
  end)
end)
