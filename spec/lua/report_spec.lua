local errors = require "astrum.error"
local fake_run = require "spec.support.fake_run"
local graphs = require "spec.support.graphs"
local report = require "astrum.report"
local reports = require "spec.support.reports"

local failed <const> = reports.failed
local reported <const> = reports.reported
local shop <const> = reports.shop

describe("report fields", function()
  it("count every task once", function()
    local shown = shop()
    assert.equal("failed", shown.execution_state)
    assert.equal(4, shown.total_tasks)
    assert.equal(1, shown.successful_tasks)
    assert.equal(1, shown.failed_tasks)
    assert.equal(1, shown.cancelled_tasks)
    assert.equal(1, shown.skipped_tasks)
    assert.equal(0, shown.timed_out_tasks)
  end)

  it("give wall clock times and durations with the planning", function()
    local shown = shop()
    assert.equal(999.5, shown.total_start_time)
    assert.equal(1000.0305, shown.total_end_time)
    assert.equal(0.5, shown.planning_duration)
    assert.equal(0.0305, shown.execution_duration)
    assert.equal(0.5305, shown.total_duration)
  end)

  it("give the size of the plan", function()
    local shown = shop()
    assert.equal(2, shown.total_stages)
    assert.equal(3, shown.max_parallelism)
  end)

  it("give the dependencies of every task", function()
    assert.same({
      load_orders = {},
      check_inventory = {},
      send_newsletter = {},
      reconcile_orders = { "load_orders", "check_inventory" },
    }, shop().original_tasks)
  end)

  it("give the results of completed tasks, false too and nil not", function()
    local shown = reported(graphs.fan_in(), {
      tasks = { task1 = { result = false }, task2 = {}, task3 = { result = "task3" } },
    })
    assert.same({ task1 = false, task3 = "task3" }, shown.task_return_set)
  end)

  it("build statistics when they are first read, and only once", function()
    local workflow = fake_run.plan(graphs.serial())
    local run = fake_run.new(workflow, {})
    local reads = 0
    local read = run.record
    function run:record(id)
      reads = reads + 1
      return read(self, id)
    end
    local shown = report.new(run, workflow)
    assert.equal(0, reads)
    local statistics = shown.task_statistics
    assert.is_true(reads > 0)
    reads = 0
    assert.equal(statistics, shown.task_statistics)
    assert.equal(statistics[1], shown:task("task1"))
    assert.equal(0, reads)
  end)

  it("are all seen by pairs", function()
    local seen = {}
    for name in pairs(shop()) do
      seen[name] = true
    end
    for _, name in ipairs {
      "execution_state",
      "task_statistics",
      "stage_statistics",
      "error_summary",
      "original_tasks",
      "task_return_set",
      "tail_tasks",
    } do
      assert.is_true(seen[name], name)
    end
  end)

  it("leave detached tasks to tail_tasks", function()
    local workflow = fake_run.plan(graphs.workflow { { "work" }, { "log", detached = true } })
    local run = fake_run.new(workflow, {
      tasks = {
        work = { busy = 1.0, result = 1 },
        log = {
          state = "failed",
          cause = "error",
          busy = 9.0,
          result = 2,
          error = failed("log", "boom"),
        },
      },
    })
    local handle = {}
    local shown = report.new(run, workflow, nil, { tail_tasks = { log = handle } })
    assert.equal(handle, shown.tail_tasks.log)
    assert.equal(1, shown.total_tasks)
    assert.equal(1, #shown.task_statistics)
    assert.equal("work", shown:get_longest_task().task_name)
    assert.equal(1.0, shown:get_average_task_duration())
    assert.equal(1, #shown:get_task_statistics_by_stage(0))
    assert.same({ "work" }, (shown:critical_path()))
    assert.same({ work = 1 }, shown.task_return_set)
    assert.same({}, shown.error_summary)
    assert.is_nil(shown:tostring({ unicode = true }):find("log", 1, true))
  end)

  it("are empty for a workflow without tasks", function()
    local shown = reported(graphs.workflow {}, {})
    assert.is_true(shown:ok())
    assert.same({}, shown.task_statistics)
    assert.same({}, shown.stage_statistics)
    assert.same({}, shown:get_task_statistics_by_stage(0))
    assert.is_nil(shown:get_longest_task())
    assert.equal(0.0, shown:get_average_task_duration())
    assert.same({ {}, 0.0 }, { shown:critical_path() })
  end)
end)

describe("report task statistics", function()
  it("describe a completed task", function()
    local entry = shop():task("load_orders")
    assert.same({
      task_name = "load_orders",
      stage_id = 0,
      status = "completed",
      ready_time = 1000,
      start_time = 1000.001,
      end_time = 1000.021,
      duration = 0.02,
      wait_duration = entry.wait_duration,
      retry = 0,
      attempt_count = 1,
      attempt_statistics = {
        {
          task_name = "load_orders",
          attempt_number = 1,
          max_retries = 0,
          status = "completed",
          start_time = 1000.001,
          end_time = 1000.021,
          duration = 0.021 - 0.001,
          will_retry = false,
        },
      },
    }, entry)
    assert.is_near(0.001, entry.wait_duration, 1e-9)
  end)

  it("describe a failed task with its error", function()
    local shown, failure = shop()
    local entry = shown:task("check_inventory")
    assert.equal("failed", entry.status)
    assert.equal("inventory service returned HTTP 503", entry.error_message)
    assert.equal(failure, entry.error)
    assert.is_nil(entry.reason)
    local attempt = entry.attempt_statistics[1]
    assert.equal("failed", attempt.status)
    assert.equal("inventory service returned HTTP 503", attempt.error_message)
    assert.equal(failure, attempt.error)
  end)

  it("describe a cancelled task", function()
    local entry = shop():task("send_newsletter")
    assert.equal("cancelled", entry.status)
    assert.equal("Task cancelled due to previous failure", entry.error_message)
    assert.equal("task 'check_inventory' failed", entry.reason)
    assert.equal("cancelled", entry.attempt_statistics[1].status)
    assert.equal("Task cancelled", entry.attempt_statistics[1].error_message)
  end)

  it("describe a skipped task", function()
    local entry = shop():task("reconcile_orders")
    assert.same({
      task_name = "reconcile_orders",
      stage_id = 1,
      status = "skipped",
      reason = "task 'check_inventory' failed",
      duration = 0.0,
      wait_duration = 0.0,
      retry = 0,
      attempt_count = 0,
      attempt_statistics = {},
    }, entry)
  end)

  it("come in the order of declaration", function()
    local names = {}
    for position, entry in ipairs(shop().task_statistics) do
      names[position] = entry.task_name
    end
    assert.same({ "load_orders", "check_inventory", "send_newsletter", "reconcile_orders" }, names)
  end)

  it("give the reason for which a task did not complete", function()
    local function reason(record, spec)
      spec = spec or {}
      record.state = record.state or "skipped"
      spec.tasks = { task1 = spec.first or {}, task2 = record }
      return reported(graphs.serial(), spec):task("task2").reason
    end
    assert.equal(
      "task 'task1' was skipped",
      reason({ cause = "upstream", blame = "task1" }, { first = { state = "skipped" } })
    )
    assert.equal(
      "task 'task1' was cancelled",
      reason({ cause = "upstream", blame = "task1" }, { first = { state = "cancelled" } })
    )
    assert.equal("another task failed", reason { cause = "failure" })
    assert.equal("the run was cancelled", reason { cause = "request" })
    assert.equal(
      "the run was cancelled: no longer needed",
      reason({ cause = "request" }, { reason = "no longer needed" })
    )
    assert.equal(
      "the run was cancelled: the task that this run belongs to is over",
      reason { cause = "parent" }
    )
    assert.equal("nothing was left that could let it go on", reason { cause = "stuck" })
    assert.equal("there was not enough memory to start it", reason { cause = "memory" })
    assert.is_nil(reason { state = "completed" })
  end)

  it("say only that a task was cancelled when nothing failed", function()
    local shown = reported(graphs.serial(), {
      state = "cancelled",
      cause = "request",
      tasks = { task1 = { state = "cancelled", cause = "request" } },
    })
    assert.equal("Task cancelled", shown:task("task1").error_message)
  end)

  it("show what is going on while the run is not over", function()
    local shown = reported(graphs.fan_in(), {
      state = "running",
      tasks = {
        task1 = {
          state = "running",
          ready = 0,
          start = 0,
          attempts = {
            { attempt = 1, will_retry = false, start = 0 },
          },
        },
        task2 = { state = "ready", ready = 0, attempts = 0 },
        task3 = { state = "pending", attempts = 0 },
      },
    })
    assert.equal("running", shown:task("task1").status)
    assert.equal("running", shown:task("task1").attempt_statistics[1].status)
    assert.is_nil(shown:task("task1").end_time)
    assert.equal("pending", shown:task("task2").status)
    assert.equal("pending", shown:task("task3").status)
  end)

  it("raise for a task that is not in the run", function()
    local shown = shop()
    local ok, failure = pcall(shown.task, shown, "load_order")
    local line = debug.getinfo(1, "l").currentline - 1
    assert.is_false(ok)
    assert.is_true(errors.is(failure, "TaskNotFoundError"))
    assert.equal(
      (
        "spec/lua/report_spec.lua:%d: the run has no task 'load_order'\n"
        .. "help: did you mean 'load_orders'?"
      ):format(line),
      failure.message
    )
  end)
end)

describe("report stage statistics", function()
  it("are views of the plan with the times of their tasks", function()
    local stages = shop().stage_statistics
    assert.same({
      stage_id = 0,
      stage_name = "Stage_0",
      start_time = 1000,
      end_time = 1000.03,
      duration = 0.03,
      parallel_task_count = 3,
      wait_task_count = 0,
      parallel_tasks = { "load_orders", "check_inventory", "send_newsletter" },
      wait_tasks = {},
    }, stages[1])
    assert.same({
      stage_id = 1,
      stage_name = "Stage_1",
      duration = 0.0,
      parallel_task_count = 1,
      wait_task_count = 2,
      parallel_tasks = { "reconcile_orders" },
      wait_tasks = { "load_orders", "check_inventory" },
    }, stages[2])
  end)

  it("give the tasks of one stage", function()
    local list = shop():get_task_statistics_by_stage(1)
    assert.equal(1, #list)
    assert.equal("reconcile_orders", list[1].task_name)
    assert.same({}, shop():get_task_statistics_by_stage(9))
  end)
end)

describe("report durations", function()
  it("name the longest task", function()
    assert.equal("check_inventory", shop():get_longest_task().task_name)
  end)

  it("average over the tasks that started", function()
    assert.is_near(0.08 / 3, shop():get_average_task_duration(), 1e-9)
  end)

  it("give the critical path by what the tasks really took", function()
    local shown = reported(graphs.branches(), {
      tasks = {
        task1 = { busy = 1.0 },
        task2 = { busy = 2.0 },
        task3 = { busy = 3.0 },
        task4 = { busy = 2.5 },
        task5 = { busy = 2.0 },
      },
    })
    assert.same({ { "task2", "task3" }, 5.0 }, { shown:critical_path() })
  end)
end)

describe("report:result", function()
  it("gives the result of a completed task", function()
    assert.same({ count = 2 }, shop():result("load_orders"))
  end)

  it("gives nil and the error of a failed task", function()
    local shown, failure = shop()
    local value, why = shown:result("check_inventory")
    assert.is_nil(value)
    assert.equal(failure, why)
  end)

  it("gives nil and the reason of a task that did not run to its end", function()
    local value, why = shop():result("reconcile_orders")
    assert.is_nil(value)
    assert.is_true(errors.is(why, "TaskCancelledError"))
    assert.equal("task 'reconcile_orders' was skipped: task 'check_inventory' failed", why.message)
    assert.equal("reconcile_orders", why.task)
    assert.equal(
      "task 'send_newsletter' was cancelled: task 'check_inventory' failed",
      select(2, shop():result("send_newsletter")).message
    )
  end)

  it("says that a task is not over", function()
    local shown = reported(graphs.serial(), {
      state = "running",
      tasks = { task2 = { state = "pending", attempts = 0 } },
    })
    assert.equal("task 'task2' is pending", select(2, shown:result("task2")).message)
  end)

  it("tells a nil result from no result", function()
    local shown = shop()
    assert.is_true(reported(graphs.serial(), {}):has_result("task1"))
    assert.is_false(shown:has_result("check_inventory"))
  end)

  it("raises for a task that is not in the run", function()
    local shown = shop()
    for _, method in ipairs { "result", "has_result" } do
      local ok, failure = pcall(shown[method], shown, "zzz")
      assert.is_false(ok)
      assert.equal("the run has no task 'zzz'", failure.text)
      assert.equal(
        "the tasks are: load_orders, check_inventory, send_newsletter, " .. "reconcile_orders",
        failure.help
      )
    end
  end)
end)

describe("report:assert", function()
  local function raised(shown)
    local ok, failure = pcall(shown.assert, shown)
    assert.is_false(ok)
    return failure
  end

  it("returns the report of a completed run", function()
    local shown = reported(graphs.serial(), {})
    assert.equal(shown, shown:assert())
    assert.is_true(shown:ok())
  end)

  it("raises the first failure with its cause", function()
    local shown, cause = shop()
    assert.is_false(shown:ok())
    local failure = raised(shown)
    assert.is_true(errors.is(failure, "TaskFailedError"))
    assert.equal(
      "Execution interrupted; task 'check_inventory' failed: "
        .. "inventory service returned HTTP 503",
      failure.message
    )
    assert.equal(cause, failure.cause)
    assert.equal("check_inventory", failure.task)
    assert.equal(1, failure.attempt)
  end)

  it("counts further failures and keeps them all", function()
    local workflow = graphs.fan_in()
    workflow.config = { failure_mode = "keep_going" }
    local first, second = failed("task1", "one"), failed("task2", "two")
    local failure = raised(reported(workflow, {
      state = "failed",
      cause = "error",
      tasks = {
        task1 = { state = "failed", cause = "error", finish = 1, error = first },
        task2 = { state = "failed", cause = "error", finish = 2, error = second },
        task3 = { state = "skipped", cause = "upstream", blame = "task1" },
      },
    }))
    assert.equal(
      "Task 'task1' failed during execution: one (and 1 more failed task)",
      failure.message
    )
    assert.equal(first, failure.cause)
    assert.equal(second, failure.errors[2])
  end)

  it("raises for a cancelled run", function()
    local failure = raised(reported(graphs.serial(), {
      state = "cancelled",
      cause = "request",
      reason = "too late",
    }))
    assert.is_true(errors.is(failure, "TaskCancelledError"))
    assert.equal("Execution cancelled: too late", failure.message)
  end)

  it("raises when the engine is to blame", function()
    local failure = raised(reported(graphs.serial(), { state = "failed", cause = "memory" }))
    assert.is_true(errors.is(failure, "SchedulerError"))
    assert.equal("Execution failed: not enough memory", failure.message)
  end)

  it("raises while the run goes on", function()
    local failure = raised(reported(graphs.serial(), { state = "running" }))
    assert.equal("the run is not over, it is running", failure.message)
  end)
end)
