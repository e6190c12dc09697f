local astrum = require "astrum"
local flow = require "spec.support.flow"

-- A wait that nothing will ever end.
local function wait_for_ever()
  astrum.await(function() end)
end

describe("a run in which nothing can happen any more", function()
  it("fails and names the tasks that wait", function()
    local report = flow.run(function(task)
      task("forgotten", wait_for_ever)
      task("also", wait_for_ever)
      task("done", function() end)
    end)
    assert.equal("failed", report.execution_state)
    assert.same(
      { "Execution failed: nothing is left that could happen; waiting: forgotten, also" },
      report.error_summary
    )
    assert.same(
      { forgotten = "cancelled", also = "cancelled", done = "completed" },
      flow.statuses(report)
    )
    assert.equal("nothing was left that could let it go on", report:task("forgotten").reason)
  end)

  it("closes the bodies that wait", function()
    local list = {}
    flow.run(function(task)
      task("forgotten", function()
        local _ <close> = flow.closing(list, "closed")
        wait_for_ever()
      end)
    end)
    assert.same({ "closed" }, list)
  end)

  it("raises a SchedulerError from report:assert", function()
    local report = flow.run(function(task)
      task("forgotten", wait_for_ever)
    end)
    local failure = flow.raised(report.assert, report)
    assert.equal("SchedulerError", failure.kind)
    assert.equal(
      "Execution failed: nothing is left that could happen; waiting: forgotten",
      failure.message
    )
  end)

  it("has skipped the tasks that could not start", function()
    local report = flow.run(function(task)
      task("forgotten", wait_for_ever)
      task("after", { depends_on = { "forgotten" }, run = function() end })
    end)
    assert.same({ forgotten = "cancelled", after = "skipped" }, flow.statuses(report))
  end)

  it("does not end a run that still waits for a timer or a process", function()
    local report = flow.run(function(task)
      task("process", function()
        return astrum.spawn({ "sh", "-c", "sleep 0.01; echo done" }).stdout
      end)
    end)
    assert.equal("done\n", report:assert():result("process"))
  end)

  it("is over for a run inside a task too", function()
    local report = flow.run(function(task)
      task("outer", function()
        flow.run(function(inner)
          inner("forgotten", wait_for_ever)
        end)
      end)
    end)
    assert.equal("failed", report.execution_state)
    assert.equal("cancelled", report:task("outer").status)
  end)
end)
