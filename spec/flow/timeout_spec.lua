local astrum = require "astrum"
local flow = require "spec.support.flow"
local program = require "spec.support.program"

local sleep = astrum.sleep

-- Runs the tasks in virtual time.
local function run(declare, config)
  return astrum.testing.run(flow.registry(declare), { config = config })
end

-- Computes for so many seconds without a wait.
local function compute(seconds)
  local till = os.clock() + seconds
  while os.clock() < till do
  end
end

-- What a timeout makes of a task `slow` with this body; it must take `timeout` seconds.
local function assert_times_out(body, more)
  local spec = { timeout = 2, run = body }
  for key, value in pairs(more or {}) do
    spec[key] = value
  end
  local closed = {}
  local report = run(function(task)
    task("slow", spec)
    task("after", { depends_on = { "slow" }, run = function() end })
  end)
  assert.equal(2.0, report.execution_duration)
  assert.same({ slow = "timed_out", after = "skipped" }, flow.statuses(report))
  local entry = report:task("slow")
  assert.equal("timed out after 2 s", entry.error_message)
  assert.equal("TaskTimeoutError", entry.error.kind)
  assert.equal("slow", entry.error.task)
  assert.equal(1, entry.error.attempt)
  assert.equal(2.0, entry.duration)
  assert.is_nil((report:result("slow")))
  return report, closed
end

describe("a timeout", function()
  it("ends a body that sleeps, and the run with it", function()
    local report = assert_times_out(function()
      sleep(100)
    end)
    assert.equal("failed", report.execution_state)
    assert.equal(0, report.failed_tasks)
    assert.equal(1, report.timed_out_tasks)
    assert.equal(1, report.skipped_tasks)
    assert.equal("task 'slow' timed out", report:task("after").reason)
    assert.same({
      "Execution interrupted; task 'slow' failed: timed out after 2 s",
      "Task 'slow' failed during execution: timed out after 2 s",
    }, report.error_summary)
    local failure = flow.raised(report.assert, report)
    assert.equal("TaskFailedError", failure.kind)
    assert.equal("Execution interrupted; task 'slow' failed: timed out after 2 s", failure.message)
    assert.equal(report:task("slow").error, failure.cause)
    assert.equal("TaskTimeoutError", failure.cause.kind)
  end)

  it("says in its traceback where the body was", function()
    local line = debug.getinfo(1, "l").currentline + 2
    local report = assert_times_out(function()
      sleep(100)
    end)
    local traceback = report:task("slow").error.traceback
    assert.truthy(traceback:find("timeout_spec.lua:" .. line, 1, true), traceback)
  end)

  it("ends a body that waits for a callback, and calls its cleanup once", function()
    local cleaned = 0
    assert_times_out(function()
      astrum.await(function()
        return function()
          cleaned = cleaned + 1
        end
      end)
    end)
    assert.equal(1, cleaned)
  end)

  it("ends a body in astrum.all with all that it waits for", function()
    local closed = {}
    assert_times_out(function()
      local _ <close> = flow.closing(closed, "body")
      local function member()
        local _ <close> = flow.closing(closed, "member")
        sleep(100)
      end
      astrum.all { member, member }
    end)
    assert.same({ "member", "member", "body" }, closed)
  end)

  it("ends a body that waits for a run of its own, and that run", function()
    local closed = {}
    local inner = flow.build(function(task)
      task("inside", function()
        local _ <close> = flow.closing(closed, "inside")
        sleep(100)
      end)
    end)
    assert_times_out(function()
      inner:execute()
    end)
    assert.same({ "inside" }, closed)
  end)

  it("ends a workflow that is a task", function()
    local closed = {}
    local inner = flow.registry(function(task)
      task("inside", function()
        local _ <close> = flow.closing(closed, "inside")
        sleep(100)
      end)
    end)
    assert_times_out(nil, { workflow = inner })
    assert.same({ "inside" }, closed)
  end)

  it("counts the time that function inputs take", function()
    assert_times_out(function(value)
      return value
    end, {
      inputs = {
        value = function()
          sleep(3)
          return 1
        end,
      },
    })
  end)

  it("counts function inputs and the body together", function()
    assert_times_out(function(value)
      sleep(1.5)
      return value
    end, {
      inputs = {
        value = function()
          sleep(1.5)
          return 1
        end,
      },
    })
  end)

  it("counts the condition of a task", function()
    assert_times_out(function() end, {
      when = function()
        sleep(3)
        return true
      end,
    })
  end)

  it("cannot be stopped by pcall", function()
    local went_on = false
    assert_times_out(function()
      while true do
        pcall(sleep, 100)
        went_on = true
      end
    end)
    assert.is_false(went_on)
  end)

  it("closes the variables of the body once", function()
    local closed = {}
    assert_times_out(function()
      local _ <close> = flow.closing(closed, "body")
      sleep(100)
    end)
    assert.same({ "body" }, closed)
  end)

  it("does nothing to a body that is over before", function()
    local report = run(function(task)
      task("quick", {
        timeout = 2,
        run = function()
          sleep(1.999)
          return "done"
        end,
      })
      task("long", function()
        sleep(10)
      end)
    end)
    assert.equal("completed", report.execution_state)
    assert.equal("done", report:result("quick"))
  end)

  it("is over when the body is ready at that very moment", function()
    assert_times_out(function()
      sleep(2)
      return "done"
    end)
  end)

  it("does not count the time that a task waits for its slot", function()
    local report = run(function(task)
      for i = 1, 4 do
        task("part" .. i, {
          timeout = 2,
          run = function()
            sleep(1.5)
          end,
        })
      end
    end, { concurrency_limit = 1 })
    assert.equal("completed", report.execution_state)
    assert.equal(6.0, report.execution_duration)
  end)

  it("makes late what is answered after it, and does not keep the result", function()
    local events = {}
    local report = flow.run(function(task)
      task("late", {
        timeout = 0.001,
        run = function()
          compute(0.004)
          return "late"
        end,
      })
      task("after", { depends_on = { "late" }, run = function() end })
    end, {
      on_event = function(event)
        if event.kind == "attempt_finished" then
          events[#events + 1] = { event.state, event.error.message }
        end
      end,
    })
    assert.same({ late = "timed_out", after = "skipped" }, flow.statuses(report))
    local result, failure = report:result("late")
    assert.is_nil(result)
    assert.equal("timed out after 0.001 s", failure.message)
    assert.is_false(report:has_result("late"))
    assert.same({}, report.task_return_set)
    assert.same({ { "timed_out", "timed out after 0.001 s" } }, events)
  end)

  it("makes late an error that is raised after it", function()
    local report = flow.run(function(task)
      task("late", {
        timeout = 0.001,
        run = function()
          compute(0.004)
          error("boom", 0)
        end,
      })
    end)
    assert.equal("timed_out", report:task("late").status)
    assert.equal("timed out after 0.001 s", report:task("late").error_message)
  end)

  it("changes nothing when done is called afterwards", function()
    local keep
    local report = assert_times_out(function()
      return astrum.await(function(done)
        keep = done
      end)
    end)
    keep("late")
    sleep(0.001)
    assert.equal("timed_out", report:task("slow").status)
    assert.is_nil((report:result("slow")))
  end)

  it("ends the group of a child process that the body waits for", function()
    local file <close> = program.file ""
    local command = "sleep 20 & echo $! $$ >" .. file.path .. "; wait"
    -- On a machine with much to do the processes may be there late.
    local limit = 0.01
    repeat
      local report = flow.run(function(task)
        task("wait", {
          timeout = limit,
          run = function()
            astrum.spawn { "sh", "-c", command }
          end,
        })
      end)
      assert.equal("timed_out", report:task("wait").status)
      limit = limit * 2
    until io.lines(file.path)()
    for pid in io.lines(file.path)():gmatch("%d+") do
      assert.is_true(program.ends(pid))
    end
  end)

  it("counts for each item of a map", function()
    local report = run(function(task)
      task("list", function()
        return { 1, 5, 1 }
      end)
      task("each", {
        map = { seconds = astrum.F.list },
        timeout = 2,
        on_item_failure = "collect",
        run = function(seconds)
          sleep(seconds)
          return seconds
        end,
      })
    end)
    assert.equal("completed", report.execution_state)
    local result = report:result("each")
    assert.equal(1, result[1])
    assert.equal("TaskTimeoutError", result[2].kind)
    assert.equal(2, result[2].item)
    assert.equal(1, result[3])
    local items = report:task("each").items
    assert.equal("timed_out", items[2].status)
    assert.equal("timed out after 2 s", items[2].error_message)
  end)

  it("of an item fails the map", function()
    local report = run(function(task)
      task("each", {
        map = { seconds = { 1, 5 } },
        timeout = 2,
        run = function(seconds)
          sleep(seconds)
        end,
      })
    end)
    assert.equal("failed", report:task("each").status)
    assert.equal("item 2: timed out after 2 s", report:task("each").error_message)
    assert.same({
      "Execution interrupted; task 'each' failed: item 2: timed out after 2 s",
      "Final task 'each[2]' failed: timed out after 2 s",
    }, report.error_summary)
  end)

  it("is told by ctx.deadline, in seconds since 1970", function()
    local left
    run(function(task)
      task("asks", {
        timeout = 90,
        run = function(ctx)
          left = ctx.deadline - os.time()
        end,
      })
    end)
    assert.is_true(left > 88 and left < 92)
  end)

  it("of each attempt has a deadline of its own", function()
    local deadlines = {}
    run(function(task)
      task("asks", {
        timeout = 10,
        retry = { max = 1, delay = 100, jitter = false },
        run = function(ctx)
          deadlines[ctx.attempt] = ctx.deadline
          error("again", 0)
        end,
      })
    end)
    assert.is_true(math.abs(deadlines[2] - deadlines[1] - 100) < 1e-3)
  end)
end)

describe("ctx.deadline", function()
  local function ask(spec, config)
    local found = "not asked"
    spec.run = function(ctx)
      found = ctx.deadline and ctx.deadline - os.time()
    end
    run(function(task)
      task("asks", spec)
    end, config)
    return found
  end

  it("is nil without a limit", function()
    assert.is_nil(ask {})
  end)

  it("is that of the run", function()
    local left = ask({}, { deadline = 50 })
    assert.is_true(left > 48 and left < 52)
  end)

  it("is the earlier one of task and run", function()
    local left = ask({ timeout = 20 }, { deadline = 50 })
    assert.is_true(left > 18 and left < 22)
    left = ask({ timeout = 80 }, { deadline = 50 })
    assert.is_true(left > 48 and left < 52)
  end)

  it("is that of the run around it in a run inside", function()
    local left
    local inner = flow.registry(function(task)
      task("asks", function(ctx)
        left = ctx.deadline - os.time()
      end)
    end)
    run(function(task)
      task("part", { workflow = inner })
    end, { deadline = 50 })
    assert.is_true(left > 48 and left < 52)
  end)

  it("is nil when the attempt is over", function()
    local kept
    run(function(task)
      task("asks", {
        timeout = 5,
        run = function(ctx)
          kept = ctx
        end,
      })
    end)
    assert.is_nil(kept.deadline)
  end)
end)

describe("an idle_timeout", function()
  it("ends a body that tells no progress for so long", function()
    local report = run(function(task)
      task("slow", {
        idle_timeout = 2,
        run = function(ctx)
          for i = 1, 5 do
            sleep(1.5)
            ctx.progress(i / 10, "part " .. i)
          end
          sleep(3)
        end,
      })
    end)
    assert.equal(9.5, report.execution_duration)
    local entry = report:task("slow")
    assert.equal("timed_out", entry.status)
    assert.equal("TaskTimeoutError", entry.error.kind)
    assert.equal("timed out: no progress for 2 s", entry.error_message)
    assert.equal(1, report.timed_out_tasks)
  end)

  it("leaves a body alone that tells its progress", function()
    local report = run(function(task)
      task("slow", {
        idle_timeout = 2,
        run = function(ctx)
          for i = 1, 10 do
            sleep(1.9)
            ctx.progress(i / 10)
          end
          return "done"
        end,
      })
    end)
    assert.equal("done", report:result("slow"))
  end)

  it("is refreshed by progress from anywhere below the body", function()
    local report = run(function(task)
      task("slow", {
        idle_timeout = 2,
        run = function()
          astrum.all {
            function()
              for _ = 1, 4 do
                sleep(1)
                astrum.context().progress(0.5)
              end
            end,
            function()
              sleep(5)
            end,
          }
        end,
      })
    end)
    assert.equal("completed", report.execution_state)
  end)

  it("goes with a timeout: the first of the two ends the attempt", function()
    local function with(seconds)
      return run(function(task)
        task("slow", {
          idle_timeout = 2,
          timeout = 5,
          run = function(ctx)
            while true do
              sleep(seconds)
              ctx.progress(0)
            end
          end,
        })
      end)
    end
    assert.equal("timed out after 5 s", with(1):task("slow").error_message)
    assert.equal("timed out: no progress for 2 s", with(3):task("slow").error_message)
  end)

  it("is retried as a timeout is", function()
    local report = run(function(task)
      task("slow", {
        idle_timeout = 2,
        retry = 1,
        run = function(ctx)
          sleep(ctx.attempt == 2 and 1 or 3)
        end,
      })
    end)
    assert.equal("completed", report.execution_state)
    assert.equal(3.0, report.execution_duration)
  end)

  it("is not refreshed by the progress of an attempt that is over", function()
    local old
    local report = run(function(task)
      task("slow", {
        idle_timeout = 2,
        retry = 1,
        run = function(ctx)
          if ctx.attempt == 1 then
            old = ctx
            error("again", 0)
          end
          sleep(1)
          old.progress(0.5)
          sleep(1.5)
        end,
      })
    end)
    assert.equal("timed_out", report:task("slow").status)
    assert.equal(2.0, report.execution_duration)
  end)
end)

describe("config.deadline", function()
  local function late()
    return run(function(task)
      task("quick", function()
        return 1
      end)
      task("slow", function()
        sleep(100)
      end)
      task("unsteady", {
        retry = { max = 9, delay = 50, jitter = false },
        run = function()
          error("down", 0)
        end,
      })
      task("after", { depends_on = { "slow" }, run = function() end })
    end, { deadline = 60, failure_mode = "keep_going" })
  end

  it("ends the run as failed and tells what ran and what never started", function()
    local report = late()
    assert.equal("failed", report.execution_state)
    assert.equal(60.0, report.execution_duration)
    assert.same({
      quick = "completed",
      slow = "cancelled",
      unsteady = "cancelled",
      after = "skipped",
    }, flow.statuses(report))
    local reason = "the run took longer than its deadline"
    for _, name in ipairs { "slow", "unsteady", "after" } do
      assert.equal(reason, report:task(name).reason)
    end
    assert.equal("Task cancelled", report:task("slow").error_message)
    assert.is_nil(report:task("slow").error)
    assert.is_nil(report:task("after").error_message)
    assert.equal(2, report:task("unsteady").attempt_count)
    assert.same({
      "Execution failed: the run took longer than its deadline of 60 s",
      "Task 'unsteady' attempt 1/10 failed; retrying with 9 retries left: down",
      "Task 'unsteady' attempt 2/10 failed; retrying with 8 retries left: down",
    }, report.error_summary)
  end)

  it("makes report:assert raise a SchedulerError", function()
    local report = late()
    local failure = flow.raised(report.assert, report)
    assert.equal("SchedulerError", failure.kind)
    assert.equal("Execution failed: the run took longer than its deadline of 60 s", failure.message)
  end)

  it("gives the reason with the missing result", function()
    local _, failure = late():result("slow")
    assert.equal("TaskCancelledError", failure.kind)
    assert.equal(
      "task 'slow' was cancelled: the run took longer than its deadline",
      failure.message
    )
  end)

  it("does nothing to a run that is over before", function()
    local report = run(function(task)
      task("quick", function()
        sleep(59)
      end)
    end, { deadline = 60 })
    assert.equal("completed", report.execution_state)
  end)

  it("counts the waits for a slot", function()
    local report = run(function(task)
      for i = 1, 3 do
        task("part" .. i, function()
          sleep(25)
        end)
      end
    end, { deadline = 60, concurrency_limit = 1 })
    assert.same({
      part1 = "completed",
      part2 = "completed",
      part3 = "cancelled",
    }, flow.statuses(report))
  end)

  it("stops the runs inside", function()
    local inner = flow.registry(function(task)
      task("inside", function()
        sleep(100)
      end)
      task("never", { depends_on = { "inside" }, run = function() end })
    end)
    local report = run(function(task)
      task("part", { workflow = inner })
    end, { deadline = 60 })
    assert.equal("failed", report.execution_state)
    assert.same({ part = "cancelled" }, flow.statuses(report))
  end)

  it("does not stop tasks that clean up", function()
    local cleaned = false
    local report = run(function(task)
      task("slow", function()
        sleep(100)
      end)
      task("clean", {
        depends_on = { "slow" },
        trigger = "all_done",
        run = function()
          sleep(5)
          cleaned = true
        end,
      })
    end, { deadline = 60 })
    assert.is_true(cleaned)
    assert.same({ slow = "cancelled", clean = "completed" }, flow.statuses(report))
    assert.equal("failed", report.execution_state)
    assert.equal(65.0, report.execution_duration)
  end)

  it("does not stop tasks that clean up while they compute", function()
    local text = [[
      local astrum = require "astrum"
      astrum.task("slow", function()
        astrum.sleep(5)
      end)
      astrum.task("clean", {
        trigger = "always",
        run = function(ctx)
          local begin = os.clock()
          repeat
          until os.clock() - begin > 0.03
          return "clean"
        end,
      })
      local report = astrum.run { config = { deadline = 0.015 } }
      print(report:task("clean").status, report:result "clean", report:task("slow").status)
    ]]
    local file <close> = program.file(text)
    local result = program.run { file.path }
    assert.same({ code = 0, out = "completed\tclean\tcancelled\n", err = "" }, result)
  end)

  it("comes in real time, too", function()
    local report = flow.run(function(task)
      task("slow", function()
        sleep(10)
      end)
    end, { deadline = 0.005 })
    assert.same(
      { "Execution failed: the run took longer than its deadline of 0.005 s" },
      report.error_summary
    )
  end)
end)
