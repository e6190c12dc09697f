local errors = require "astrum.error"
local graphs = require "spec.support.graphs"
local reports = require "spec.support.reports"

local attempts <const> = reports.attempts
local failed <const> = reports.failed
local reported <const> = reports.reported
local shop <const> = reports.shop

describe("report error messages", function()
  local function message(failure)
    return reported(graphs.parallel(), {
      state = "failed",
      blame = "task1",
      tasks = { task1 = { state = "failed", cause = "error", error = failure } },
    }):task("task1").error_message
  end

  it("are the text of the body's own error", function()
    assert.equal("flow.lua:3: boom", message(failed("task1", "flow.lua:3: boom")))
  end)

  it("are the text of an error of the engine", function()
    assert.equal(
      "task 'b': input 'c': a has no field 'cupon'",
      message(errors.new("FieldError", "task 'b': input 'c': a has no field 'cupon'"))
    )
  end)

  it("use __tostring of an error value", function()
    local value = setmetatable({}, {
      __tostring = function()
        return "code 7"
      end,
    })
    assert.equal("code 7", message(failed("task1", value)))
  end)

  it("print an error value that is a plain table", function()
    assert.equal("{ code = 7 }", message(failed("task1", { code = 7 })))
  end)

  it("survive an error value whose __tostring fails", function()
    local value = setmetatable({}, {
      __tostring = function()
        error "again"
      end,
    })
    assert.equal("(error object is a table value)", message(failed("task1", value)))
  end)

  it("are never empty", function()
    assert.equal("(the error message is empty)", message(failed("task1", "")))
    assert.equal("(the error message is empty)", message(failed("task1", " \n")))
  end)
end)

describe("report error_summary", function()
  it("begins with the failure that ended a fail_fast run", function()
    assert.same({
      "Execution interrupted; task 'check_inventory' failed: inventory service returned HTTP 503",
      "Task 'check_inventory' failed during execution: inventory service returned HTTP 503",
    }, shop().error_summary)
  end)

  it("tells a final task from one that others wait for", function()
    local workflow = graphs.fan_in()
    workflow.config = { failure_mode = "keep_going" }
    local shown = reported(workflow, {
      state = "failed",
      cause = "error",
      tasks = {
        task1 = { state = "completed" },
        task2 = { state = "failed", cause = "error", finish = 2, error = failed("task2", "late") },
        task3 = { state = "failed", cause = "error", finish = 1, error = failed("task3", "early") },
      },
    })
    assert.same({
      "Final task 'task3' failed: early",
      "Task 'task2' failed during execution: late",
    }, shown.error_summary)
  end)

  it("keeps retried attempts of a task that completed", function()
    local shown = reported(graphs.workflow { { "fetch", retry = 1 } }, {
      tasks = {
        fetch = {
          attempts = attempts({
            outcome = "failure",
            will_retry = true,
            finish = 1,
            error = failed("fetch", "timeout"),
          }, { outcome = "succeeded", will_retry = false, finish = 2 }),
        },
      },
    })
    assert.same({
      "Task 'fetch' attempt 1/2 failed; retrying with 1 retries left: timeout",
    }, shown.error_summary)
  end)

  it("lists retried attempts in the order of time, then exhausted retries", function()
    local function failing(times)
      local list = {}
      for number, time in ipairs(times) do
        list[number] = {
          outcome = "failure",
          will_retry = number < 3,
          finish = time,
          error = failed("x", "boom " .. time),
        }
      end
      return attempts(table.unpack(list))
    end
    local workflow = graphs.workflow { { "a", retry = 2 }, { "b", retry = 2 } }
    workflow.config = { failure_mode = "keep_going" }
    local shown = reported(workflow, {
      state = "failed",
      cause = "error",
      tasks = {
        a = {
          state = "failed",
          cause = "error",
          finish = 6,
          attempts = failing { 1, 4, 6 },
          error = failed("a", "boom 6"),
        },
        b = {
          state = "failed",
          cause = "error",
          finish = 5,
          attempts = failing { 2, 3, 5 },
          error = failed("b", "boom 5"),
        },
      },
    })
    assert.same({
      "Final task 'b' failed: boom 5",
      "Final task 'a' failed: boom 6",
      "Task 'a' attempt 1/3 failed; retrying with 2 retries left: boom 1",
      "Task 'b' attempt 1/3 failed; retrying with 2 retries left: boom 2",
      "Task 'b' attempt 2/3 failed; retrying with 1 retries left: boom 3",
      "Task 'a' attempt 2/3 failed; retrying with 1 retries left: boom 4",
      "Task 'b' exhausted 2 retries after 3 attempts: boom 5",
      "Task 'a' exhausted 2 retries after 3 attempts: boom 6",
    }, shown.error_summary)
  end)

  it("does not speak of exhausted retries when a failure is final at once", function()
    local failure = errors.new("FieldError", "no field 'x'")
    local shown = reported(graphs.workflow { { "a", retry = 2 } }, {
      state = "failed",
      cause = "error",
      blame = "a",
      tasks = {
        a = {
          state = "failed",
          cause = "error",
          error = failure,
          attempts = attempts({
            outcome = "failure_final",
            will_retry = false,
            finish = 1,
            error = failure,
          }),
        },
      },
    })
    assert.same({
      "Execution interrupted; task 'a' failed: no field 'x'",
      "Final task 'a' failed: no field 'x'",
    }, shown.error_summary)
  end)

  it("says why a run was cancelled", function()
    local function summary(reason, cause)
      return reported(graphs.parallel(), {
        state = "cancelled",
        cause = cause or "request",
        reason = reason,
        tasks = {},
      }).error_summary
    end
    assert.same({ "Execution cancelled: too late" }, summary("too late"))
    assert.same({ "Execution cancelled" }, summary(nil))
    assert.same(
      { "Execution cancelled: the task that this run belongs to is over" },
      summary(nil, "parent")
    )
  end)

  it("names the tasks that were waiting when a run got stuck", function()
    local shown = reported(graphs.fan_in(), {
      state = "failed",
      cause = "stuck",
      tasks = {
        task2 = { state = "cancelled", cause = "stuck" },
        task3 = { state = "skipped", cause = "stuck" },
      },
    })
    assert.same({
      "Execution failed: nothing is left that could happen; waiting: task2, task3",
    }, shown.error_summary)
  end)

  it("says when memory ran out", function()
    local shown = reported(graphs.parallel(), { state = "failed", cause = "memory" })
    assert.same({ "Execution failed: not enough memory" }, shown.error_summary)
  end)

  it("is empty for a run without any failure", function()
    assert.same({}, reported(graphs.serial(), {}).error_summary)
  end)
end)
