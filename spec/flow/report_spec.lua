local astrum = require "astrum"
local flow = require "spec.support.flow"

local F, sleep = astrum.F, astrum.sleep

-- Two roots, of which one takes longer, a join, and a last task.
local function declare_diamond(task)
  task("left", function()
    sleep(0.004)
    return { n = 1 }
  end)
  task("right", function()
    return { n = 2 }
  end)
  task("join", {
    inputs = { a = F.left.n, b = F.right.n },
    run = function(a, b)
      return a + b
    end,
  })
  task("last", { depends_on = { "join", "left" }, run = function() end })
end

describe("the report of a run", function()
  it("has the fields of the whole run", function()
    local report = flow.run_in_virtual_time(declare_diamond)
    assert.equal("completed", report.execution_state)
    assert.is_true(report:ok())
    assert.equal(4, report.total_tasks)
    assert.equal(3, report.total_stages)
    assert.equal(2, report.max_parallelism)
    assert.same(
      { completed = 4, failed = 0, timed_out = 0, cancelled = 0, skipped = 0 },
      flow.counts(report)
    )
    assert.same({}, report.error_summary)
    assert.same({}, report.tail_tasks)
    assert.same({ left = { n = 1 }, right = { n = 2 }, join = 3 }, report.task_return_set)
  end)

  it("names the dependencies of every task, each once", function()
    assert.same({
      left = {},
      right = {},
      join = { "left", "right" },
      last = { "join", "left" },
    }, flow.run_in_virtual_time(declare_diamond).original_tasks)
  end)

  it("has the statistics of a task", function()
    local entry = flow.run_in_virtual_time(declare_diamond):task("join")
    assert.equal("join", entry.task_name)
    assert.equal(1, entry.stage_id)
    assert.equal("completed", entry.status)
    assert.equal(0, entry.retry)
    assert.equal(1, entry.attempt_count)
    assert.is_nil(entry.reason)
    assert.is_nil(entry.error)
  end)

  it("has the statistics of an attempt", function()
    local report = flow.run_in_virtual_time(declare_diamond)
    local attempt = report:task("left").attempt_statistics[1]
    assert.equal("left", attempt.task_name)
    assert.equal(1, attempt.attempt_number)
    assert.equal(0, attempt.max_retries)
    assert.equal("completed", attempt.status)
    assert.is_false(attempt.will_retry)
    assert.is_true(attempt.duration >= 0.004)
    assert.equal(report:task("left").start_time, attempt.start_time)
  end)

  it("has a view of the stages", function()
    local report = flow.run_in_virtual_time(declare_diamond)
    local list = {}
    for i, stage in ipairs(report.stage_statistics) do
      list[i] = { stage.stage_id, stage.stage_name, stage.parallel_tasks, stage.wait_tasks }
      assert.equal(#stage.parallel_tasks, stage.parallel_task_count)
      assert.equal(#stage.wait_tasks, stage.wait_task_count)
    end
    assert.same({
      { 0, "Stage_0", { "left", "right" }, {} },
      { 1, "Stage_1", { "join" }, { "left", "right" } },
      { 2, "Stage_2", { "last" }, { "left", "join" } },
    }, list)
    assert.equal(0.004, report.stage_statistics[1].duration)
  end)

  it("gives the tasks of a stage", function()
    local report = flow.run_in_virtual_time(declare_diamond)
    local names = {}
    for i, entry in ipairs(report:get_task_statistics_by_stage(0)) do
      names[i] = entry.task_name
    end
    assert.same({ "left", "right" }, names)
    assert.same({}, report:get_task_statistics_by_stage(9))
  end)

  it("knows the longest task, the average and the critical path", function()
    local report = flow.run_in_virtual_time(declare_diamond)
    assert.equal("left", report:get_longest_task().task_name)
    assert.equal(0.001, report:get_average_task_duration())
    local names, total = report:critical_path()
    assert.same({ "left", "join", "last" }, names)
    assert.same({ 0.004, 0.004 }, { total, report.execution_duration })
  end)

  it("of no tasks is empty", function()
    local report = flow.registry(declare_diamond):run { target_tasks = {} }
    assert.equal("completed", report.execution_state)
    assert.same({ 0, 0, 0 }, { report.total_tasks, report.total_stages, report.max_parallelism })
    assert.same({}, report.task_statistics)
    assert.same({}, report.stage_statistics)
    assert.is_nil(report:get_longest_task())
    assert.equal(0.0, report:get_average_task_duration())
  end)

  it("takes the handle of a task for its name", function()
    local handle
    local report = flow.run(function(task)
      handle = task("load", function()
        return 1
      end)
    end)
    assert.equal(1, report:result(handle))
    assert.is_true(report:has_result(handle))
    assert.equal("load", report:task(handle).task_name)
  end)

  it("asks for a colon where there is none", function()
    local report = flow.run_in_virtual_time(declare_diamond)
    local methods = { "ok", "assert", "result", "has_result", "task", "tostring" }
    local more = { "get_longest_task", "get_average_task_duration", "critical_path" }
    table.move(more, 1, #more, #methods + 1, methods)
    for _, method in ipairs(methods) do
      local failure = flow.raised(report[method], "left")
      local expected = method .. ": call it with a colon, as in report:" .. method .. "()"
      assert.equal(expected, failure.text)
    end
  end)

  it("refuses options of its text that it does not know", function()
    local report = flow.run_in_virtual_time(declare_diamond)
    local failure = flow.raised(report.tostring, report, { row = 1 })
    assert.equal("tostring: unknown option 'row'", failure.text)
    assert.equal("did you mean 'rows'?", failure.help)
    failure = flow.raised(report.tostring, report, { rows = -1 })
    assert.equal("tostring: rows must be an integer from 0, got -1", failure.text)
    failure = flow.raised(report.tostring, report, { unicode = 1 })
    assert.equal("tostring: unicode must be true or false, got 1", failure.text)
  end)

  it("raises for a name that is not in the run", function()
    local report = flow.run_in_virtual_time(declare_diamond)
    for _, method in ipairs { "result", "has_result", "task" } do
      local failure = flow.raised(report[method], report, "jion")
      assert.equal("TaskNotFoundError", failure.kind)
      assert.equal("the run has no task 'jion'", failure.text)
      assert.equal("did you mean 'join'?", failure.help)
    end
  end)

  it("is written as a table with totals and messages", function()
    local report = flow.run(function(task)
      task("load", function() end)
      task("fails", {
        depends_on = { "load" },
        run = function()
          error("boom", 0)
        end,
      })
    end)
    local text = tostring(report):gsub("%d+%.%d+ ms", "TIME"):gsub("%-+", "-"):gsub(" +", " ")
    assert.equal(
      "Task Stage Status Duration Error\n"
        .. "- - - - -\n"
        .. "load 0 completed TIME\n"
        .. "fails 1 failed TIME boom\n"
        .. "state=failed, completed=1, failed=1, duration=TIME\n"
        .. "Execution interrupted; task 'fails' failed: boom",
      text
    )
  end)

  it("tells in the table each thing once", function()
    local report = astrum.testing.run(flow.registry(function(task)
      task("fails", {
        retry = { max = 1, delay = 1, jitter = false },
        run = function()
          error("boom", 0)
        end,
      })
      task("long", function()
        astrum.sleep(60)
      end)
    end))
    assert.equal(
      "Task   Stage  Status     Duration  Error\n"
        .. "-----  -----  ---------  --------  -------------------\n"
        .. "fails      0  failed     0.000 ms  boom\n"
        .. "long       0  cancelled   1.000 s  task 'fails' failed\n"
        .. "state=failed, completed=0, failed=1, cancelled=1, duration=1.000 s\n"
        .. "Execution interrupted; task 'fails' failed: boom\n"
        .. "Task 'fails' attempt 1/2 failed; retrying with 1 retries left: boom\n"
        .. "Task 'fails' exhausted 1 retries after 2 attempts",
      tostring(report)
    )
    assert.equal("Task 'fails' exhausted 1 retries after 2 attempts: boom", report.error_summary[4])
  end)

  it("names the item in the table that failed a map once", function()
    local report = flow.run(function(task)
      task("each", {
        map = { n = { 1, 2 } },
        run = function(n)
          return n == 1 or error("boom", 0)
        end,
      })
    end)
    local text = tostring(report)
    assert.equal("Execution interrupted; task 'each' failed: item 2: boom", text:match "[^\n]*$")
    assert.equal("Final task 'each[2]' failed: boom", report.error_summary[2])
  end)

  it("keeps in the table what failed before a deadline", function()
    local report = astrum.testing.run(
      flow.registry(function(task)
        task("fails", function()
          error("boom", 0)
        end)
        task("long", function()
          astrum.sleep(60)
        end)
      end),
      { config = { failure_mode = "keep_going", deadline = 5 } }
    )
    assert.is_truthy(tostring(report):find("\nFinal task 'fails' failed: boom", 1, true))
  end)

  it("stays readable when the run, its handle and its scheduler are gone", function()
    local report = flow.run_in_virtual_time(declare_diamond)
    for _ = 1, 3 do
      collectgarbage()
    end
    assert.equal(3, report:result("join"))
    assert.equal(4, #report.task_statistics)
  end)
end)

describe("the error summary", function()
  it("calls a failed task with dependents a task, one without a final task", function()
    local report = flow.run_in_virtual_time(function(task)
      task("inner", function()
        error("one", 0)
      end)
      task("final", function()
        error("two", 0)
      end)
      task("after", { depends_on = { "inner" }, run = function() end })
    end, { failure_mode = "keep_going" })
    assert.same({
      "Task 'inner' failed during execution: one",
      "Final task 'final' failed: two",
    }, report.error_summary)
  end)

  it("has everything in its order: interruption, failures, retries, exhausted retries", function()
    local report = flow.run_in_virtual_time(function(task)
      task("steady", {
        retry = 1,
        run = function(ctx)
          if ctx.attempt == 1 then
            error("first try", 0)
          end
        end,
      })
      task("broken", {
        retry = 1,
        run = function()
          sleep(0.003)
          error("no luck", 0)
        end,
      })
    end)
    assert.same({
      "Execution interrupted; task 'broken' failed: no luck",
      "Final task 'broken' failed: no luck",
      "Task 'steady' attempt 1/2 failed; retrying with 1 retries left: first try",
      "Task 'broken' attempt 1/2 failed; retrying with 1 retries left: no luck",
      "Task 'broken' exhausted 1 retries after 2 attempts: no luck",
    }, report.error_summary)
  end)
end)

describe("a run handle", function()
  it("tells how far the run is", function()
    local gate = flow.gate()
    local scheduler = flow.build(function(task)
      task("quick", function() end)
      task("slow", function(ctx)
        ctx.progress(0.5, "half")
        gate.wait()
      end)
      task("after", { depends_on = { "slow" }, run = function() end })
    end)
    local handle = scheduler:start()
    assert.equal("running", handle:status().state)
    sleep(0.001)
    local status = handle:status()
    assert.same({ 3, 1, 1, "running" }, {
      status.tasks,
      status.completed,
      status.running,
      status.state,
    })
    assert.same({ slow = { fraction = 0.5, text = "half" } }, status.progress)
    assert.is_nil(handle:report())
    gate.open()
    local report = handle:wait()
    assert.equal("completed", handle:status().state)
    assert.equal(report, handle:report())
    assert.equal(report, handle:wait())
  end)

  it("asks for a colon where there is none", function()
    local handle = flow.build(declare_diamond):start()
    for _, method in ipairs { "wait", "cancel", "status", "report" } do
      local failure = flow.raised(handle[method])
      local expected = method .. ": call it with a colon, as in handle:" .. method .. "()"
      assert.equal(expected, failure.text)
    end
    handle:wait()
  end)

  it("calls on_done at once when the run is over, and raises for what is no function", function()
    local handle = flow
      .build(function(task)
        task("load", function() end)
      end)
      :start()
    local report = handle:wait()
    local seen
    handle:on_done(function(done)
      seen = done
    end)
    assert.equal(report, seen)
    local failure = flow.raised(handle.on_done, handle, 1)
    assert.equal("on_done: a function is wanted, got number", failure.text)
  end)

  it("is read-only", function()
    local handle = flow
      .build(function(task)
        task("load", function() end)
      end)
      :start()
    local failure = flow.raised(function()
      handle.state = 1
    end)
    assert.equal("the handle of a run is read-only", failure.text)
    handle:wait()
  end)
end)
