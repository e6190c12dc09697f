local astrum = require "astrum"
local flow = require "spec.support.flow"
local program = require "spec.support.program"

local sleep = astrum.sleep

-- Starts a run whose task `slow` notes in `list` how it ends, and lets it begin.
local function start_slow(list, more)
  local handle = flow
    .build(function(task)
      task("slow", function()
        local _ <close> = flow.closing(list, "closed")
        list[#list + 1] = "began"
        sleep(10)
        list[#list + 1] = "went on"
      end)
      if more then
        more(task)
      end
    end)
    :start()
  sleep(0.001)
  return handle
end

describe("handle:cancel", function()
  it("ends the run as cancelled and tells the reason", function()
    local handle = start_slow({})
    handle:cancel("the user pressed a key")
    local report = handle:wait()
    assert.equal("cancelled", report.execution_state)
    assert.same({ "Execution cancelled: the user pressed a key" }, report.error_summary)
    local slow = report:task("slow")
    assert.equal("cancelled", slow.status)
    assert.equal("Task cancelled", slow.error_message)
    assert.equal("the run was cancelled: the user pressed a key", slow.reason)
  end)

  it("needs no reason", function()
    local handle = start_slow({})
    handle:cancel()
    local report = handle:wait()
    assert.same({ "Execution cancelled" }, report.error_summary)
    assert.equal("the run was cancelled", report:task("slow").reason)
  end)

  it("closes the variables of a body once and never goes on with it", function()
    local list = {}
    local handle = start_slow(list)
    handle:cancel()
    handle:cancel()
    handle:wait()
    sleep(0.001)
    assert.same({ "began", "closed" }, list)
  end)

  it("skips what has not started", function()
    local handle = start_slow({}, function(task)
      task("after", { depends_on = { "slow" }, run = function() end })
    end)
    handle:cancel("enough")
    local report = handle:wait()
    assert.same({ slow = "cancelled", after = "skipped" }, flow.statuses(report))
    assert.equal("the run was cancelled: enough", report:task("after").reason)
    assert.equal(0, report:task("after").attempt_count)
  end)

  it("keeps what was complete", function()
    local handle = start_slow({}, function(task)
      task("quick", function()
        return 1
      end)
    end)
    handle:cancel()
    local report = handle:wait()
    assert.equal(1, report:result("quick"))
    assert.same({ slow = "cancelled", quick = "completed" }, flow.statuses(report))
  end)

  it("keeps the first reason", function()
    local handle = start_slow({})
    handle:cancel("first")
    handle:cancel("second")
    assert.same({ "Execution cancelled: first" }, handle:wait().error_summary)
  end)

  it("changes nothing when the run is over", function()
    local handle = flow
      .build(function(task)
        task("load", function() end)
      end)
      :start()
    handle:wait()
    handle:cancel("late")
    assert.equal("completed", handle:wait().execution_state)
    assert.equal("completed", handle:status().state)
  end)

  it("can come before anything has started", function()
    local ran = false
    local handle = flow
      .build(function(task)
        task("load", function()
          ran = true
        end)
      end)
      :start()
    handle:cancel("never mind")
    local report = handle:wait()
    assert.is_false(ran)
    assert.equal("cancelled", report.execution_state)
    assert.same({ load = "skipped" }, flow.statuses(report))
  end)

  it("skips a task that waits for a slot", function()
    local handle = flow
      .build(function(task)
        task("slow", function()
          sleep(10)
        end)
        task("waits", function() end)
      end, { concurrency_limit = 1 })
      :start()
    sleep(0.001)
    handle:cancel()
    assert.same({ slow = "cancelled", waits = "skipped" }, flow.statuses(handle:wait()))
  end)

  it("calls a task cancelled that waits for a slot to be retried in", function()
    local handle = flow
      .build(function(task)
        task("unsteady", {
          retry = 1,
          run = function()
            error("again", 0)
          end,
        })
        task("slow", function()
          sleep(10)
        end)
      end, { concurrency_limit = 1 })
      :start()
    sleep(0.001)
    handle:cancel()
    local report = handle:wait()
    assert.same({ slow = "cancelled", unsteady = "cancelled" }, flow.statuses(report))
    local entry = report:task("unsteady")
    assert.equal(1, entry.attempt_count)
    assert.equal("Task cancelled", entry.error_message)
    assert.is_nil(entry.error)
    assert.equal("again", entry.attempt_statistics[1].error_message)
    local _, failure = report:result("unsteady")
    assert.equal("task 'unsteady' was cancelled: the run was cancelled", failure.message)
  end)

  it("ends a task that is being retried", function()
    local calls = 0
    local handle = flow
      .build(function(task)
        task("unsteady", {
          retry = 1000000,
          run = function()
            calls = calls + 1
            sleep(0)
            error("again", 0)
          end,
        })
      end)
      :start()
    sleep(0.001)
    handle:cancel()
    local before = calls
    local report = handle:wait()
    sleep(0.001)
    assert.is_true(before > 1)
    assert.equal(before, calls)
    assert.equal("cancelled", report:task("unsteady").status)
  end)

  it("makes report:assert raise a TaskCancelledError", function()
    local handle = start_slow({})
    handle:cancel("enough")
    local report = handle:wait()
    local failure = flow.raised(report.assert, report)
    assert.equal("TaskCancelledError", failure.kind)
    assert.equal("Execution cancelled: enough", failure.message)
  end)

  it("calls on_done with the report", function()
    local seen
    local handle = start_slow({})
    handle:on_done(function(report)
      seen = report.execution_state
    end)
    handle:cancel()
    handle:wait()
    assert.equal("cancelled", seen)
  end)
end)

describe("a cancelled wait", function()
  it("calls the cleanup of an await once", function()
    local cleaned = 0
    local handle = flow
      .build(function(task)
        task("wait", function()
          astrum.await(function()
            return function()
              cleaned = cleaned + 1
            end
          end)
        end)
        task("slow", function()
          sleep(10)
        end)
      end)
      :start()
    sleep(0.001)
    handle:cancel()
    handle:wait()
    assert.equal(1, cleaned)
  end)

  it("ignores done when it comes late", function()
    local keep
    local went_on = false
    local handle = flow
      .build(function(task)
        task("wait", function()
          astrum.await(function(done)
            keep = done
          end)
          went_on = true
        end)
        task("slow", function()
          sleep(10)
        end)
      end)
      :start()
    sleep(0.001)
    handle:cancel()
    local report = handle:wait()
    keep("late")
    sleep(0.001)
    assert.is_false(went_on)
    assert.equal("cancelled", report:task("wait").status)
    assert.is_nil(report:result("wait"))
  end)

  it("ends all members of astrum.all", function()
    local closed = {}
    local handle = flow
      .build(function(task)
        task("wait", function()
          local function member()
            local _ <close> = flow.closing(closed, "member")
            sleep(10)
          end
          local _ <close> = flow.closing(closed, "body")
          astrum.all { member, member }
        end)
      end)
      :start()
    sleep(0.001)
    handle:cancel()
    handle:wait()
    assert.same({ "member", "member", "body" }, closed)
  end)

  it("ends the child process that a task waits for", function()
    local file <close> = program.file ""
    local handle = flow
      .build(function(task)
        task("wait", function()
          astrum.spawn { "sh", "-c", "echo $$ >" .. file.path .. "; exec sleep 20" }
        end)
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
    local report = handle:wait()
    assert.equal("cancelled", report:task("wait").status)
    assert.is_nil(os.execute("kill -0 " .. pid .. " 2>/dev/null"))
  end)

  it("cannot be stopped by pcall", function()
    local went_on = false
    local handle = flow
      .build(function(task)
        task("stubborn", function()
          while true do
            pcall(sleep, 10)
            went_on = true
          end
        end)
      end)
      :start()
    sleep(0.001)
    handle:cancel()
    assert.equal("cancelled", handle:wait().execution_state)
    assert.is_false(went_on)
  end)

  it("tells of an error in a to-be-closed variable and ends all the same", function()
    local report
    local handle = flow
      .build(function(task)
        task("slow", function()
          local _ <close> = setmetatable({}, {
            __close = function()
              sleep(10)
            end,
          })
          sleep(10)
        end)
      end)
      :start()
    sleep(0.001)
    local line = debug.getinfo(1, "l").currentline - 8
    local written = flow.stderr_of(function()
      handle:cancel()
      report = handle:wait()
    end)
    assert.equal("cancelled", report:task("slow").status)
    local place = debug.getinfo(1, "S").short_src .. ":" .. line
    assert.equal(
      "astrum: error in the cleanup of a task: "
        .. place
        .. ": sleep: cleanup cannot wait, the task is over\n",
      written
    )
  end)
end)

describe("a body that cancels its own run", function()
  local function run_own(body)
    local handle
    local list = {}
    handle = flow
      .build(function(task)
        task("own", function()
          local _ <close> = flow.closing(list, "closed")
          handle:cancel("from inside")
          list[#list + 1] = "cancelled"
          return body(list)
        end)
        task("after", { depends_on = { "own" }, run = function() end })
      end)
      :start()
    return handle:wait(), list
  end

  it("is stopped at its next wait", function()
    local report, list = run_own(function(list)
      sleep(0)
      list[#list + 1] = "went on"
    end)
    assert.same({ "cancelled", "closed" }, list)
    assert.equal("cancelled", report.execution_state)
    assert.same({ own = "cancelled", after = "skipped" }, flow.statuses(report))
  end)

  it("is stopped at its return", function()
    local report, list = run_own(function()
      return "result"
    end)
    assert.same({ "cancelled", "closed" }, list)
    assert.equal("cancelled", report.execution_state)
    assert.equal("skipped", flow.statuses(report).after)
    assert.same({ "Execution cancelled: from inside" }, report.error_summary)
  end)

  it("does not fail the run with an error that it raises afterwards", function()
    local report = run_own(function()
      error("boom", 0)
    end)
    assert.equal("cancelled", report.execution_state)
    assert.same({ "Execution cancelled: from inside" }, report.error_summary)
    assert.is_nil(report:task("own").error)
  end)

  it("sees in ctx that its run is being cancelled", function()
    local seen = {}
    local handle
    handle = flow
      .build(function(task)
        task("own", function(ctx)
          seen[1] = ctx.cancelled()
          handle:cancel()
          seen[2] = ctx.cancelled()
        end)
      end)
      :start()
    handle:wait()
    assert.same({ false, true }, seen)
  end)
end)
