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
  completed = "completed",
  failed = "failed",
  timed_out = "timed out",
  cancelled = "was cancelled",
  skipped = "was skipped",
}

-- The next task behind `id` of which there may be something to say.
local function next_of_note(view, id)
  local after = view.run:next_unusual(id)
  while after and not view.workflow.store and view.workflow.tasks[after].detached do
    after = view.run:next_unusual(after)
  end
  return after
end

--- Goes over the ids of the tasks that did not complete with their first attempt, and of maps;
--- detached ones are left out.
---@param view table
---@return fun(view: table, id: integer): integer?
---@return table view
---@return integer
function M.each_unusual(view)
  return next_of_note, view, 0
end

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

local REASONS <const> = {
  stuck = "nothing was left that could let it go on",
  memory = "there was not enough memory to start it",
  deadline = "the run took longer than its deadline",
  condition = "its `when` said no",
  item = "another item of the map failed",
}

--- Why a task was skipped or cancelled, or nil for one that was neither.
---@param view table
---@param record table of the task
---@return string?
function M.reason(view, record)
  if record.state ~= "skipped" and record.state ~= "cancelled" then
    return nil
  elseif REASONS[record.cause] then
    return REASONS[record.cause]
  elseif record.cause == "request" or record.cause == "parent" then
    return with_detail("the run was cancelled", cancel_detail(record.cause, view.status.reason))
  elseif record.cause == "trigger" and not record.blame then
    return "its trigger could not come: nothing is upstream"
  end
  local blame = record.blame or view.status.blame
  if not blame then
    return "another task failed"
  end
  local state = view.run:record(blame).state
  return ("task '%s' %s"):format(view.name(blame), ENDED[state] or "did not complete")
end

--- What the failure of a task or item says; of a map, which item failed and why.
---@param view table
---@param id integer
---@param item integer? of a map
---@return string
function M.of_failure(view, id, item)
  local failure = view.run:error(id, item)
  local text = M.text(failure)
  if not item and type(failure) == "table" and failure.item then
    return "item " .. failure.item .. ": " .. text
  end
  return text
end

--- The `error_message` of a task or item, or nil.
---@param view table
---@param id integer
---@param record table of the task or item
---@param item integer? of a map
---@return string?
function M.of_task(view, id, record, item)
  if record.state == "failed" or record.state == "timed_out" then
    return M.of_failure(view, id, item)
  elseif record.state ~= "cancelled" then
    return nil
  elseif record.cause == "failure" or record.cause == "upstream" or record.cause == "item" then
    return M.CANCELLED_BY_FAILURE
  end
  return M.CANCELLED
end

local FAILED_OUTCOME <const> = { failure = true, failure_final = true, timed_out = true }

--- The `error_message` of an attempt, or nil.
---@param attempt table
---@return string?
function M.of_attempt(attempt)
  if attempt.outcome == "stopped" then
    return M.CANCELLED
  elseif FAILED_OUTCOME[attempt.outcome] then
    return M.text(attempt.error)
  end
  return nil
end

local function stuck_text(view)
  local names, count = {}, 0
  for id in M.each_unusual(view) do
    local _, cause = view.run:outcome(id)
    if cause == "stuck" then
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

-- The entry that says how the run ended, if one is due, and the task whose error is in it.
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
  elseif status.cause == "deadline" then
    local deadline = view.workflow.settings.deadline
    return ("Execution failed: the run took longer than its deadline of %.6g s"):format(
      deadline / 1e9
    )
  elseif view.fail_fast and status.blame then
    local text = M.of_failure(view, status.blame)
    local form = "Execution interrupted; task '%s' failed: %s"
    return form:format(view.name(status.blame), text), status.blame
  end
  return nil
end

local function by_time(left, right)
  if left.time ~= right.time then
    return left.time < right.time
  elseif left.id ~= right.id then
    return left.id < right.id
  elseif left.item ~= right.item then
    return (left.item or 0) < (right.item or 0)
  end
  return (left.attempt and left.attempt.attempt or 0)
    < (right.attempt and right.attempt.attempt or 0)
end

local HANDLES <const> = { one_failed = true, all_failed = true }

-- The name of a task that has handled the failure of another one; "" when others only wait for it,
-- nil when none does.
local function dependent_of(view, id)
  local found
  for _, other in ipairs(view.workflow.graph:downstream(id)) do
    found = found or ""
    if view.run:state(other) == "completed" then
      local trigger = view.workflow.tasks[other].policy.trigger
      if HANDLES[trigger] then
        return view.name(other)
      end
    end
  end
  return found
end

-- That there were no attempts left for more, if so. Attempts of runs inside are not seen here.
local function limit_text(view)
  local limit = (view.workflow.settings or {}).max_total_attempts
  if not limit then
    return nil
  end
  local count, refused = #view.workflow.tasks, false
  local function add(record)
    count = count + record.attempts
    refused = refused or record.cause == "attempts"
  end
  local id = view.run:next_unusual(0)
  while id do
    local record = view.run:record(id)
    count = count - 1
    if view.workflow.tasks[id].record.map then
      for item = 1, record.items or 0 do
        add(view.run:record(id, item))
      end
    else
      add(record)
    end
    id = view.run:next_unusual(id)
  end
  if refused or count >= limit then
    local text =
      "The run used its max_total_attempts of %d; nothing was started or retried after that"
    return text:format(limit)
  end
end

--- Whether `retry.on` has refused another attempt of a task that has one. It is asked for what a
--- body raises and for a timeout, but not when no attempt could follow anyway.
---@param view table
---@param attempts table[]
---@return boolean
function M.was_refused(view, attempts)
  local last = attempts[#attempts]
  if not last or last.will_retry then
    return false
  elseif last.outcome == "failure_final" then
    local failure = last.error
    local is_of_body = type(failure) == "table" and failure.kind == "TaskFailedError"
    return is_of_body and not failure.in_condition
  end
  return last.outcome == "timed_out" and not limit_text(view)
end

local function has_failed(record)
  return record.state == "failed" or record.state == "timed_out"
end

-- Adds what there is to say of a task, or of an item of one that is a map.
local function collect_one(view, id, item, failed, retried)
  local record = view.run:record(id, item)
  local one_is_all = record.attempts <= 1 and record.state ~= "cancelled"
  if one_is_all and not has_failed(record) then
    return
  end
  local attempts = view.run:attempts(id, item)
  for _, attempt in ipairs(attempts) do
    if attempt.will_retry then
      local time = attempt.finish or 0
      retried[#retried + 1] = { id = id, item = item, time = time, attempt = attempt }
    end
  end
  if has_failed(record) and record.cause ~= "item" then
    local policy = view.workflow.tasks[id].policy
    local may_refuse = policy.retry_on and #attempts <= policy.retry
    failed[#failed + 1] = {
      id = id,
      item = item,
      time = record.finish or 0,
      attempts = #attempts,
      refused = may_refuse and M.was_refused(view, attempts),
    }
  end
end

-- Failed tasks and retried attempts, each in the order of time.
local function collect(view)
  local failed, retried = {}, {}
  for id in M.each_unusual(view) do
    if view.run:state(id) ~= "skipped" then
      collect_one(view, id, nil, failed, retried)
      for item = 1, view.run:record(id).items or 0 do
        collect_one(view, id, item, failed, retried)
      end
    end
  end
  table.sort(failed, by_time)
  table.sort(retried, by_time)
  return failed, retried
end

local function label_of(view, place)
  local name = view.name(place.id)
  return place.item and name .. "[" .. place.item .. "]" or name
end

-- Of an item whose failure does not fail its map.
local TOLERATED <const> = {
  collect = "Item '%s' failed, its error is in the result: %s",
  skip = "Item '%s' failed and was left out: %s",
}

-- Why nothing followed the last attempt of a failed task that has retries.
local function end_of_retries(view, place)
  local retry = view.workflow.tasks[place.id].policy.retry
  local label, attempts = label_of(view, place), place.attempts
  if place.refused then
    local form = "Task '%s' attempt %d/%d was not retried: its `retry.on` returned false or nil"
    return form:format(label, attempts, retry + 1)
  elseif retry > 0 and attempts > retry then
    return ("Task '%s' exhausted %d retries after %d attempts"):format(label, retry, attempts)
  end
end

-- What is said of a failed task or item; `dependent` is what dependent_of gives.
local function failure_line(view, place, dependent, text)
  local label = label_of(view, place)
  local mode = place.item and view.workflow.tasks[place.id].policy.on_item_failure
  if TOLERATED[mode or ""] then
    return TOLERATED[mode]:format(label, text)
  elseif not dependent then
    return ("Final task '%s' failed: %s"):format(label, text)
  elseif dependent == "" then
    return ("Task '%s' failed during execution: %s"):format(label, text)
  end
  return ("Task '%s' failed, which task '%s' handled: %s"):format(label, dependent, text)
end

--- The error summary: how the run ended, then failed tasks, retried attempts, exhausted and refused
--- retries, each in the order of time.
---@param view table
---@param short boolean? nothing is told twice
---@return string[]
function M.summary(view, short)
  local head, told = headline(view)
  local failure = told and view.run:error(told)
  local told_item = type(failure) == "table" and failure.item or nil
  local entries = { head }
  local failed, retried = collect(view)
  if #failed > 0 then
    entries[#entries + 1] = limit_text(view)
  end
  for _, place in ipairs(failed) do
    local is_told = place.id == told and (place.item == nil or place.item == told_item)
    if not (short and is_told) then
      local text = M.of_failure(view, place.id, place.item)
      entries[#entries + 1] = failure_line(view, place, dependent_of(view, place.id), text)
    end
  end
  for _, place in ipairs(retried) do
    local total = view.workflow.tasks[place.id].policy.retry + 1
    local number = place.attempt.attempt
    local form = "Task '%s' attempt %d/%d failed; retrying with %d retries left: %s"
    local text = M.of_attempt(place.attempt)
    entries[#entries + 1] = form:format(label_of(view, place), number, total, total - number, text)
  end
  for _, place in ipairs(failed) do
    local text = end_of_retries(view, place)
    if text and not short and not place.refused then
      text = text .. ": " .. M.of_failure(view, place.id, place.item)
    end
    entries[#entries + 1] = text
  end
  return entries
end

return M
