local astrum = require "astrum"
local flow = require "spec.support.flow"
local program = require "spec.support.program"

local F, sleep = astrum.F, astrum.sleep

-- A run with a task `load` and a detached task `audit`, which ends later.
local function run_with_tail(body, config)
  return flow.run(function(task)
    task("load", function()
      sleep(0.001)
      return "loaded"
    end)
    task("audit", { detached = true, run = body })
  end, config)
end

describe("a detached task", function()
  it("is not waited for and has a handle in the report", function()
    local gate = flow.gate()
    local report = run_with_tail(function()
      gate.wait()
      return "audited"
    end)
    local tail = report.tail_tasks.audit
    assert.equal("completed", report.execution_state)
    assert.equal("audit", tail.task_name)
    assert.equal("running", tail.status)
    assert.is_nil(tail.result)
    gate.open()
    assert.equal("completed", tail:wait())
    assert.equal("audited", tail.result)
    assert.is_nil(tail.error)
    assert.equal("detached task 'audit': completed", tostring(tail))
  end)

  it("is not counted and has no row", function()
    local report = run_with_tail(function()
      sleep(0)
    end)
    report.tail_tasks.audit:wait()
    assert.equal(1, report.total_tasks)
    assert.equal(1, report.successful_tasks)
    assert.same({ load = "completed" }, flow.statuses(report))
    assert.same({ load = "loaded" }, report.task_return_set)
  end)

  it("that fails keeps its error and changes nothing for the run", function()
    local report = run_with_tail(function()
      sleep(0.002)
      error("boom", 0)
    end)
    local tail = report.tail_tasks.audit
    assert.equal("failed", tail:wait())
    assert.equal("boom", tail.error.message)
    assert.equal("completed", report.execution_state)
    assert.same({}, report.error_summary)
  end)

  it("that fails before the others end does not stop them", function()
    local report = run_with_tail(function()
      error("boom", 0)
    end)
    assert.equal("completed", report.execution_state)
    assert.equal("loaded", report:result("load"))
    assert.equal("failed", report.tail_tasks.audit.status)
  end)

  it("is cancelled when a task of the run fails", function()
    local closed = {}
    local report = flow.run(function(task)
      task("fails", function()
        sleep(0.001)
        error("boom", 0)
      end)
      task("audit", {
        detached = true,
        run = function()
          local _ <close> = flow.closing(closed, "audit")
          sleep(10)
        end,
      })
    end)
    assert.equal("failed", report.execution_state)
    assert.equal("cancelled", report.tail_tasks.audit:wait())
    assert.same({ "audit" }, closed)
  end)

  it("goes on when a task fails and the mode is keep_going", function()
    local report = flow.run(function(task)
      task("fails", function()
        error("boom", 0)
      end)
      task("audit", {
        detached = true,
        run = function()
          sleep(0.002)
          return "audited"
        end,
      })
    end, { failure_mode = "keep_going" })
    assert.equal("failed", report.execution_state)
    assert.equal("completed", report.tail_tasks.audit:wait())
    assert.equal("audited", report.tail_tasks.audit.result)
  end)

  it("is cancelled with its run", function()
    local handle = flow
      .build(function(task)
        task("load", function()
          sleep(10)
        end)
        task("audit", {
          detached = true,
          run = function()
            sleep(10)
          end,
        })
      end)
      :start()
    sleep(0.001)
    handle:cancel()
    assert.equal("cancelled", handle:wait().tail_tasks.audit:wait())
  end)

  it("is retried as any other", function()
    local report = flow.run(function(task)
      task("audit", {
        detached = true,
        retry = 2,
        run = function(ctx)
          sleep(0)
          if ctx.attempt < 3 then
            error("again", 0)
          end
          return ctx.attempt
        end,
      })
    end)
    local tail = report.tail_tasks.audit
    assert.equal("completed", tail:wait())
    assert.equal(3, tail.result)
  end)

  it("gets the results of tasks that it depends on", function()
    local report = flow.run(function(task)
      task("load", function()
        return 20
      end)
      task("audit", {
        detached = true,
        inputs = { n = F.load },
        run = function(n)
          sleep(0.001)
          return n + 1
        end,
      })
    end)
    local tail = report.tail_tasks.audit
    tail:wait()
    assert.equal(21, tail.result)
  end)

  it("may give false", function()
    local report = run_with_tail(function()
      return false
    end)
    report.tail_tasks.audit:wait()
    assert.equal(false, report.tail_tasks.audit.result)
  end)

  it("can be named in ignore_tail_task", function()
    local report = flow.run(function(task)
      task("load", function() end)
      task("audit", function()
        sleep(0.002)
      end)
    end, { ignore_tail_task = { "audit" } })
    assert.equal(1, report.total_tasks)
    assert.equal("completed", report.tail_tasks.audit:wait())
  end)

  it("is waited for inside a task without blocking others", function()
    local inner
    local order = {}
    local report = flow.run(function(task)
      task("waits", function()
        inner = run_with_tail(function()
          sleep(0.004)
          return "audited"
        end)
        inner.tail_tasks.audit:wait()
        order[#order + 1] = inner.tail_tasks.audit.result
      end)
      task("other", function()
        sleep(0.002)
        order[#order + 1] = "other"
      end)
    end)
    report:assert()
    assert.same({ "other", "audited" }, order)
  end)

  it("has a handle that is read-only", function()
    local report = run_with_tail(function() end)
    local failure = flow.raised(function()
      report.tail_tasks.audit.status = "x"
    end)
    assert.equal("the handle of a detached task is read-only", failure.text)
  end)

  it("is pending while it waits for a slot", function()
    local gate = flow.gate()
    local report = flow.run(function(task)
      task("load", function() end)
      for _, name in ipairs { "first", "second" } do
        task(name, { detached = true, run = gate.wait })
      end
    end, { concurrency_limit = 1 })
    sleep(0)
    local first, second = report.tail_tasks.first, report.tail_tasks.second
    assert.same({ "running", "pending" }, { first.status, second.status })
    gate.open()
    assert.same({ "completed", "completed" }, { first:wait(), second:wait() })
  end)

  it("is driven to its end before the program exits", function()
    local file <close> = program.file [[
local astrum = require "astrum"
astrum.task("audit", { detached = true, run = function() astrum.sleep(0.002) print("audited") end })
print(astrum.run({}).execution_state)
]]
    assert.same({ code = 0, out = "completed\naudited\n", err = "" }, program.run { file.path })
  end)

  it("cannot have tasks that depend on it", function()
    local failure = flow.raised(function()
      flow
        .load([[
task("audit", { detached = true, run = function() end })
task("after", {
  inputs = { F.audit },
  run = function(audit) return audit end,
})
]])
        :build_scheduler()
    end)
    assert.equal(
      "flow.lua:3: task 'audit' is detached, but task 'after' depends on it\n"
        .. "help: nothing may wait for a detached task; take the dependency out, or the `detached`",
      failure.message
    )
  end)

  it("that is the only one lets the run complete at once", function()
    local report = flow.run(function(task)
      task("audit", {
        detached = true,
        run = function()
          sleep(0.002)
        end,
      })
    end)
    assert.equal("completed", report.execution_state)
    assert.equal(0, report.total_tasks)
    assert.equal("completed", report.tail_tasks.audit:wait())
  end)
end)
