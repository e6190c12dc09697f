-- The sentences of a report: what an error says, why a task did not run, the error summary.
-- Other programs match on these texts.
--
-- The functions take a "view" of the run, which report.lua makes:
--   run, workflow, status (of the run), fail_fast, name(id)
local failures = require "astrum.failure"
local pretty = require "astrum.pretty"

local M = {}

M.CANCELLED_BY_FAILURE = "Task cancelled due to previous failure"
M.CANCELLED = "Task cancelled"

local NAME_LIMIT <const> = 10

local ENDED <const> = {
  failed = "failed",
  cancelled = "was cancelled",
  skipped = "was skipped",
}

--- What an error says, never empty.
---@param value any an error object, or what a body raised
---@return string
function M.text(value)
  return failures.text(value)
end

-- What is known beyond the fact that the run was cancelled, or nil.
local function cancel_detail(cause, reason)
  if cause == "parent" then
    return "the task that this run belongs to is over"
  elseif reason == nil or reason == "" then
    return nil
  end
  return pretty.text(reason)
end

local function with_detail(text, detail)
  return detail and ("%s: %s"):format(text, detail) or text
end

--- Why a task was skipped or cancelled, or nil for one that was neither.
---@param view table
---@param record table of the task
---@return string?
function M.reason(view, record)
  if record.state ~= "skipped" and record.state ~= "cancelled" then
    return nil
  elseif record.cause == "stuck" then
    return "nothing was left that could let it go on"
  elseif record.cause == "memory" then
    return "there was not enough memory to start it"
  elseif record.cause == "request" or record.cause == "parent" then
    return with_detail("the run was cancelled", cancel_detail(record.cause, view.status.reason))
  end
  local blame = record.blame or view.status.blame
  if not blame then
    return "another task failed"
  end
  local state = view.run:record(blame).state
  return ("task '%s' %s"):format(view.name(blame), ENDED[state] or "did not complete")
end

--- The `error_message` of a task, or nil.
---@param view table
---@param id integer
---@param record table of the task
---@return string?
function M.of_task(view, id, record)
  if record.state == "failed" then
    return M.text(view.run:error(id))
  elseif record.state ~= "cancelled" then
    return nil
  elseif record.cause == "failure" or record.cause == "upstream" then
    return M.CANCELLED_BY_FAILURE
  end
  return M.CANCELLED
end

--- The `error_message` of an attempt, or nil.
---@param view table
---@param id integer of its task
---@param attempt table
---@return string?
function M.of_attempt(view, id, attempt)
  if attempt.outcome == "stopped" then
    return M.CANCELLED
  elseif attempt.outcome == "failure" or attempt.outcome == "failure_final" then
    local failure = attempt.error
    if failure == nil then
      failure = view.run:error(id)
    end
    return M.text(failure)
  end
  return nil
end

local function stuck_text(view)
  local names, count = {}, 0
  for id in ipairs(view.workflow.tasks) do
    if view.run:record(id).cause == "stuck" then
      count = count + 1
      if count <= NAME_LIMIT then
        names[count] = view.name(id)
      end
    end
  end
  if count > NAME_LIMIT then
    names[#names + 1] = ("and %d more"):format(count - NAME_LIMIT)
  end
  return "nothing is left that could happen; waiting: " .. table.concat(names, ", ")
end

-- The entry that says how the run ended, if one is due.
local function headline(view)
  local status = view.status
  if status.state == "cancelled" then
    return with_detail("Execution cancelled", cancel_detail(status.cause, status.reason))
  elseif status.state ~= "failed" then
    return nil
  elseif status.cause == "stuck" then
    return "Execution failed: " .. stuck_text(view)
  elseif status.cause == "memory" then
    return "Execution failed: not enough memory"
  elseif view.fail_fast and status.blame then
    local text = M.text(view.run:error(status.blame))
    return ("Execution interrupted; task '%s' failed: %s"):format(view.name(status.blame), text)
  end
  return nil
end

local function by_time(left, right)
  if left.time ~= right.time then
    return left.time < right.time
  end
  return left.id < right.id
end

local function dependents_of(workflow)
  local names = {}
  for _, task in ipairs(workflow.tasks) do
    for _, name in ipairs(task.depends or {}) do
      names[name] = true
    end
  end
  return names
end

-- Failed tasks and retried attempts, each in the order of time.
local function collect(view)
  local failed, retried = {}, {}
  for id, task in ipairs(view.workflow.tasks) do
    local record = view.run:record(id)
    if not task.detached and (record.state == "failed" or record.attempts > 1) then
      local attempts = view.run:attempts(id)
      for _, attempt in ipairs(attempts) do
        if attempt.outcome == "failure" and attempt.will_retry then
          local time = attempt.finish or 0
          retried[#retried + 1] = { id = id, time = time, attempt = attempt }
        end
      end
      if record.state == "failed" then
        failed[#failed + 1] = { id = id, time = record.finish or 0, attempts = #attempts }
      end
    end
  end
  table.sort(failed, by_time)
  table.sort(retried, by_time)
  return failed, retried
end

--- The error summary: how the run ended, then failed tasks, retried attempts and exhausted
--- retries, each in the order of time.
---@param view table
---@return string[]
function M.summary(view)
  local entries = { headline(view) }
  local failed, retried = collect(view)
  local dependents = #failed > 0 and dependents_of(view.workflow) or {}
  for _, item in ipairs(failed) do
    local name = view.name(item.id)
    local form = dependents[name] and "Task '%s' failed during execution: %s"
      or "Final task '%s' failed: %s"
    entries[#entries + 1] = form:format(name, M.text(view.run:error(item.id)))
  end
  for _, item in ipairs(retried) do
    local total = view.workflow.tasks[item.id].record.retry + 1
    local number = item.attempt.attempt
    local form = "Task '%s' attempt %d/%d failed; retrying with %d retries left: %s"
    local text = M.of_attempt(view, item.id, item.attempt)
    entries[#entries + 1] = form:format(view.name(item.id), number, total, total - number, text)
  end
  for _, item in ipairs(failed) do
    local retry = view.workflow.tasks[item.id].record.retry
    if retry > 0 and item.attempts > retry then
      local text = M.text(view.run:error(item.id))
      local form = "Task '%s' exhausted %d retries after %d attempts: %s"
      entries[#entries + 1] = form:format(view.name(item.id), retry, item.attempts, text)
    end
  end
  return entries
end

return M
