-- The tables of a report: one entry a task, an attempt, a stage. Start and end times are wall
-- clock; durations come from the monotonic clock of the run.
--
-- The functions take a "view" of the run, as messages.lua does.
local messages = require "astrum.report.messages"

local M = {}

local TASK_STATUS <const> = { ready = "pending", retrying = "running" }

--- The status of an attempt by its outcome.
M.ATTEMPT_STATUS = {
  succeeded = "completed",
  failure = "failed",
  failure_final = "failed",
  timed_out = "timed_out",
  stopped = "cancelled",
}

---@class astrum.AttemptStatistics
---@field task_name string
---@field attempt_number integer from 1
---@field max_retries integer
---@field start_time number
---@field end_time? number nil while it runs
---@field duration number
---@field status "completed"|"failed"|"timed_out"|"cancelled"|"running"
---@field error_message? string
---@field error? table
---@field will_retry boolean

---@class astrum.TaskStatistics
---@field task_name string
---@field stage_id integer level in the plan, from 0
---@field status "completed"|"failed"|"timed_out"|"cancelled"|"skipped"|"pending"|"running"
---@field reason? string why it was skipped or cancelled
---@field ready_time? number when its dependencies were complete
---@field start_time? number
---@field end_time? number
---@field duration number time in attempts
---@field wait_duration number time in queues and between attempts
---@field retry integer attempts allowed after the first
---@field attempt_count integer
---@field attempt_statistics astrum.AttemptStatistics[]
---@field error_message? string
---@field error? table the error object
---@field handled? true it failed, and a task with the trigger one_failed or all_failed completed
---@field reused? true at a prompt: its result is that of an earlier run
---@field item? integer number among the items of a map
---@field items? astrum.TaskStatistics[] of a map, in the order of its list
---@field report? astrum.Report of a task that is a workflow, when it has run

---@class astrum.StageStatistics
---@field stage_id integer
---@field stage_name string
---@field start_time? number first start of its tasks
---@field end_time? number last end of its tasks
---@field duration number
---@field parallel_task_count integer
---@field wait_task_count integer
---@field parallel_tasks string[]
---@field wait_tasks string[]

local function wall_time(view, seconds)
  return seconds and view.status.wall + seconds
end

local function attempt_entry(view, id, attempt)
  return {
    task_name = view.name(id),
    attempt_number = attempt.attempt,
    max_retries = view.workflow.tasks[id].policy.retry,
    start_time = wall_time(view, attempt.start),
    end_time = wall_time(view, attempt.finish),
    duration = attempt.finish and attempt.finish - attempt.start or 0.0,
    status = M.ATTEMPT_STATUS[attempt.outcome] or "running",
    error_message = messages.of_attempt(attempt),
    error = attempt.error,
    will_retry = attempt.will_retry or false,
  }
end

local function attempt_entries(view, id, item)
  local entries = {}
  for position, attempt in ipairs(view.run:attempts(id, item)) do
    entries[position] = attempt_entry(view, id, attempt)
  end
  return entries
end

-- The entry of a task, or of an item of a map.
local function entry_of(view, id, item)
  local record = view.run:record(id, item)
  local waited = 0.0
  if record.ready and record.finish then
    waited = math.max(0.0, record.finish - record.ready - record.busy)
  end
  local reports = view.reports and view.reports[id]
  local declared = view.workflow.tasks[id].record
  if declared and declared.is_reused then
    return {
      task_name = view.name(id),
      stage_id = view.workflow.plan:level(id),
      status = "completed",
      duration = 0.0,
      wait_duration = 0.0,
      retry = 0,
      attempt_count = 0,
      attempt_statistics = {},
      reused = true,
    }
  end
  return {
    task_name = view.name(id),
    item = item,
    stage_id = view.workflow.plan:level(id),
    status = TASK_STATUS[record.state] or record.state,
    reason = messages.reason(view, record),
    ready_time = wall_time(view, record.ready),
    start_time = wall_time(view, record.start),
    end_time = record.start and wall_time(view, record.finish),
    duration = record.busy,
    wait_duration = waited,
    retry = view.workflow.tasks[id].policy.retry,
    attempt_count = record.attempts,
    attempt_statistics = record.attempts > 0 and attempt_entries(view, id, item) or {},
    error_message = messages.of_task(view, id, record, item),
    error = view.run:error(id, item),
    handled = record.handled,
    report = reports and reports[item or 0],
  }
end

-- The entries of the items are made when somebody asks for them.
local function add_items(view, id, entry, count)
  return setmetatable(entry, {
    __index = function(map, key)
      if key ~= "items" then
        return nil
      end
      local items = {}
      for item = 1, count do
        items[item] = entry_of(view, id, item)
      end
      rawset(map, "items", items)
      return items
    end,
  })
end

--- Makes the entry of one task. Of a map `attempt_count` counts the attempts of its items, and
--- `attempt_statistics` is empty.
---@param view table
---@param id integer
---@return astrum.TaskStatistics
function M.task(view, id)
  local entry = entry_of(view, id)
  if view.workflow.tasks[id].record.map then
    local count, attempts = view.run:record(id).items or 0, 0
    for item = 1, count do
      attempts = attempts + select(2, view.run:busy(id, item))
    end
    entry.attempt_count, entry.attempt_statistics = attempts, {}
    return add_items(view, id, entry, count)
  end
  return entry
end

local function names_of(view, ids)
  local names = {}
  for position, id in ipairs(ids) do
    names[position] = view.name(id)
  end
  return names
end

-- First start and last end of the tasks of a stage, in seconds of the run.
local function span_of(view, ids)
  local first, last
  for _, id in ipairs(ids) do
    local record = view.run:record(id)
    if record.start then
      first = math.min(first or record.start, record.start)
      last = record.finish and math.max(last or record.finish, record.finish) or last
    end
  end
  return first, last
end

--- Makes the entry of one stage.
---@param view table
---@param level integer from 0
---@return astrum.StageStatistics
function M.stage(view, level)
  local plan = view.workflow.plan
  local parallel = names_of(view, plan:stage(level, "parallel"))
  local wait = names_of(view, plan:stage(level, "wait_for"))
  local first, last = span_of(view, plan:stage(level, "start"))
  return {
    stage_id = level,
    stage_name = ("Stage_%d"):format(level),
    start_time = wall_time(view, first),
    end_time = wall_time(view, last),
    duration = first and last and last - first or 0.0,
    parallel_task_count = #parallel,
    wait_task_count = #wait,
    parallel_tasks = parallel,
    wait_tasks = wait,
  }
end

return M
