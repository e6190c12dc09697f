-- A report as JSON. Keys have the names of the report's fields; docs/report-json.md describes them.
local json = require "astrum.json"
local reports = require "astrum.report"
local secret = require "astrum.secret"

local M = {}

M.SCHEMA = "astrum-report/1"

-- The keys of each object, in the order in which they are written.
-- stylua: ignore
local REPORT <const> = {
  "schema", "namespace", "run_id", "execution_state", "total_start_time", "total_end_time",
  "total_duration", "planning_duration", "execution_duration", "total_tasks", "successful_tasks",
  "failed_tasks", "timed_out_tasks", "cancelled_tasks", "skipped_tasks", "total_stages",
  "max_parallelism", "critical_path", "error_summary", "stage_statistics", "task_statistics",
  "tail_tasks",
}
-- stylua: ignore
local TASK <const> = {
  "task_name", "stage_id", "status", "reason", "depends_on", "ready_time", "start_time",
  "end_time", "duration", "wait_duration", "retry", "attempt_count", "attempt_statistics",
  "error_message", "error", "handled", "items", "report", "result",
}
-- stylua: ignore
local ATTEMPT <const> = {
  "attempt_number", "status", "start_time", "end_time", "duration", "will_retry",
  "error_message", "error",
}
-- stylua: ignore
local STAGE <const> = {
  "stage_id", "stage_name", "start_time", "end_time", "duration", "task_count",
}
local ERROR <const> = { "kind", "message", "path", "item", "source", "line", "traceback" }
-- stylua: ignore
local ITEM <const> = {
  "item", "status", "reason", "ready_time", "start_time", "end_time", "duration", "wait_duration",
  "attempt_count", "attempt_statistics", "error_message", "error", "report",
}
local PATH <const> = { "tasks", "duration" }
local TAIL <const> = { "task_name", "status", "depends_on" }

local STATES <const> = { ready = "pending", retrying = "running" }

-- What is known of an error: what it says, where it was and what led to it.
local function error_object(failure)
  return type(failure) == "table" and json.object(ERROR, failure) or nil
end

local function attempt_list(entry)
  local list = {}
  for position, attempt in ipairs(entry.attempt_statistics) do
    local values = setmetatable({ error = error_object(attempt.error) }, { __index = attempt })
    list[position] = json.object(ATTEMPT, values)
  end
  return json.list(list)
end

-- The object of a task or of an item of a map; `values` has what the entry has not.
local function entry_object(names, entry, values)
  values.attempt_statistics = attempt_list(entry)
  values.error = error_object(entry.error)
  values.report = entry.report and M.object(entry.report)
  if entry.items then
    local items = {}
    for position, item in ipairs(entry.items) do
      items[position] = entry_object(ITEM, item, {})
    end
    values.items = json.list(items)
  end
  return json.object(names, setmetatable(values, { __index = entry }))
end

local function task_lists(report, view, shown)
  local tasks, tails = {}, {}
  for id, task in ipairs(view.workflow.tasks) do
    local values = { depends_on = json.list(task.depends) }
    if task.detached then
      local state = view.run:record(id).state
      values.task_name, values.status = view.name(id), STATES[state] or state
      tails[#tails + 1] = json.object(TAIL, values)
    else
      local record = view.run:record(id)
      if shown and record.state == "completed" and not record.released then
        values.result = shown(id, view.run:result(id))
      end
      tasks[#tasks + 1] = entry_object(TASK, report:task(view.name(id)), values)
    end
  end
  return json.list(tasks), json.list(tails)
end

local function stage_list(view)
  local stages = {}
  for level = 0, view.stage_count - 1 do
    local name = ("Stage_%d"):format(level)
    stages[level + 1] = { stage_id = level, stage_name = name, duration = 0.0, task_count = 0 }
  end
  for id, task in ipairs(view.workflow.tasks) do
    local stage, record = stages[view.workflow.plan:level(id) + 1], view.run:record(id)
    local start = not task.detached and record.start
    stage.task_count = stage.task_count + (task.detached and 0 or 1)
    if start then
      local finish = record.finish or start
      stage.first = math.min(stage.first or start, start)
      stage.last = math.max(stage.last or finish, finish)
    end
  end
  local list, wall = {}, view.status.wall
  for position, stage in ipairs(stages) do
    if stage.first then
      stage.start_time, stage.end_time = wall + stage.first, wall + stage.last
      stage.duration = stage.last - stage.first
    end
    list[position] = json.object(STAGE, stage)
  end
  return json.list(list)
end

---The report as a value that json.encode writes.
---@param report astrum.Report
---@param options { results?: boolean }? with the results of tasks
---@return astrum.JsonObject
function M.object(report, options)
  local view = reports.view_of(report)
  local data, shown = view.data, nil
  if options and options.results then
    shown = data and secret.shown_results(data) or function(_, value)
      return value
    end
  end
  local names, duration = report:critical_path()
  local tasks, tails = task_lists(report, view, shown)
  return json.object(
    REPORT,
    setmetatable({
      schema = M.SCHEMA,
      namespace = view.workflow.namespace,
      run_id = data and data.run_id,
      critical_path = json.object(PATH, { tasks = json.list(names), duration = duration }),
      error_summary = json.list(report.error_summary),
      stage_statistics = stage_list(view),
      task_statistics = tasks,
      tail_tasks = tails,
    }, { __index = report })
  )
end

return M
