-- Events of a run: what they hold, and who is told of them.
local core = require "astrum.core"
local log = require "astrum.log"
local messages = require "astrum.report.messages"
local secret = require "astrum.secret"

core.own()

local M = {}

---@class astrum.Event
---@field kind string run_started, task_ready, attempt_started, attempt_finished, task_finished or
---run_finished
---@field path string identity of the run, task or item: run_id/task[item]
---@field time number seconds since the run began
---@field task string?
---@field item integer? of a map, from 1
---@field attempt integer? from 1; nil where no attempt has begun
---@field state string? what became of it, for what has finished
---@field will_retry boolean? of an attempt that has finished
---@field error any of an attempt or task that failed
---@field reason string? why a task was skipped or cancelled

-- The log tells of attempts and runs only.
local LOGGED <const> = {
  run_started = true,
  attempt_started = true,
  attempt_finished = true,
  run_finished = true,
}

---Whether anybody is told of the events of a run.
---@param workflow astrum.Workflow
---@return boolean
function M.wanted(workflow)
  return not workflow.config.silence or workflow.settings.on_event ~= nil or log.form ~= nil
end

local function reason_of(data, record)
  local view = {
    run = data.run,
    workflow = data.workflow,
    status = { reason = secret.hide_value(data, data.reason), blame = record.blame },
    name = function(id)
      return data.workflow.tasks[id].name
    end,
  }
  return messages.reason(view, record)
end

local function add_outcome(event, data, id, item)
  if event.kind == "attempt_finished" then
    if event.state == "failed" or event.state == "timed_out" then
      local attempts = data.run:attempts(id, item)
      event.error = attempts[event.attempt] and attempts[event.attempt].error
    end
  elseif event.kind == "task_finished" then
    event.error = data.run:error(id, item)
    event.reason = reason_of(data, data.run:record(id, item))
  end
end

-- Whether a run has not yet had this error in its handler of events.
local function is_new(data, problem)
  local text = type(problem) == "string" and problem or type(problem)
  data.handler_errors = data.handler_errors or {}
  local known = data.handler_errors[text]
  data.handler_errors[text] = true
  return not known
end

---Tells those who asked of an event; the C module calls it, and writes an error to stderr.
---@param data astrum.RunData
---@param kind string
---@param id integer? of the task
---@param item integer 0 for none
---@param attempt integer 0 for none
---@param time number
---@param state string?
---@param will_retry boolean
function M.tell(data, kind, id, item, attempt, time, state, will_retry)
  local workflow = data.workflow
  if data.watch then
    data.watch(kind, id, item, attempt, state, will_retry)
    if not M.wanted(workflow) then
      return
    end
  end
  local event = { kind = kind, path = data.path, time = time, state = state }
  if id then
    event.task = data.workflow.tasks[id].name
    event.path = data.path .. "/" .. event.task
    -- Of a map the items have the attempts.
    local counts = attempt > 0 and (item > 0 or not workflow.tasks[id].record.map)
    event.attempt = counts and attempt or nil
    if item > 0 then
      event.item = item
      event.path = event.path .. "[" .. item .. "]"
    end
    if kind == "attempt_finished" then
      event.will_retry = will_retry
    end
    add_outcome(event, data, id, item)
  end
  if (not workflow.config.silence or log.form) and LOGGED[kind] then
    log.event(event)
  end
  if workflow.settings.on_event then
    local ok, problem = pcall(workflow.settings.on_event, event)
    if not ok and is_new(data, problem) then
      error(problem, 0)
    end
  end
end

return M
