-- Reports of runs that did not happen, for the specs of lua/astrum/report.
local errors = require "astrum.error"
local failure = require "astrum.failure"
local fake_run = require "spec.support.fake_run"
local graphs = require "spec.support.graphs"
local report = require "astrum.report"

local M = {}

function M.failed(task, cause, fields)
  fields = fields or {}
  fields.task, fields.cause = task, cause
  return errors.new("TaskFailedError", failure.text(cause), fields)
end

-- One task completes, one fails, one runs on and is cancelled, one never starts.
function M.shop()
  local workflow = fake_run.plan(graphs.workflow {
    { "load_orders" },
    { "check_inventory" },
    { "send_newsletter" },
    { "reconcile_orders", {}, { "load_orders", "check_inventory" } },
  })
  local problem =
    M.failed("check_inventory", "inventory service returned HTTP 503", { attempt = 1 })
  local stopped = { attempt = 1, outcome = "stopped", will_retry = false, start = 0, finish = 0.03 }
  local run = fake_run.new(workflow, {
    state = "failed",
    cause = "error",
    blame = "check_inventory",
    wall = 1000,
    duration = 0.0305,
    tasks = {
      load_orders = {
        ready = 0,
        start = 0.001,
        finish = 0.021,
        busy = 0.02,
        result = { count = 2 },
        attempts = {
          { attempt = 1, outcome = "succeeded", will_retry = false, start = 0.001, finish = 0.021 },
        },
      },
      check_inventory = {
        state = "failed",
        cause = "error",
        ready = 0,
        start = 0,
        finish = 0.03,
        busy = 0.03,
        error = problem,
        attempts = {
          {
            attempt = 1,
            outcome = "failure",
            start = 0,
            finish = 0.03,
            error = problem,
            will_retry = false,
          },
        },
      },
      send_newsletter = {
        state = "cancelled",
        cause = "failure",
        blame = "check_inventory",
        ready = 0,
        start = 0,
        finish = 0.03,
        busy = 0.03,
        attempts = { stopped },
      },
      reconcile_orders = {
        state = "skipped",
        cause = "upstream",
        blame = "check_inventory",
        finish = 0.03,
      },
    },
  })
  return report.new(run, workflow, { planning_duration = 0.5 }), problem
end

-- Reports a run of a graph; `spec` as in spec.support.fake_run.
function M.reported(workflow, spec)
  fake_run.plan(workflow)
  return report.new(fake_run.new(workflow, spec), workflow)
end

function M.attempts(...)
  local list = { ... }
  for number, attempt in ipairs(list) do
    attempt.attempt = number
    attempt.start = attempt.start or attempt.finish
  end
  return list
end

return M
