-- A report as JSON. Keys have the names of the report's fields; docs/report-json.md describes them.
local json = require "astrum.json"
local reports = require "astrum.report"
local secret = require "astrum.secret"
local statistics = require "astrum.report.statistics"

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
-- stylua: ignore
local TAIL <const> = {
  "task_name", "status", "depends_on", "start_time", "end_time", "duration", "attempt_count",
  "attempt_statistics", "error_message", "error",
}

-- What is known of an error: what it says, where it was and what led to it.
local function error_object(failure)
  return type(failure) == "table" and json.object(ERROR, failure) or nil
end

local function names_list(names)
  return json.list(#names, function(position)
    return names[position]
  end)
end

local function attempt_list(entry)
  local attempts = entry.attempt_statistics
  return json.list(#attempts, function(position)
    local attempt = attempts[position]
    local values = setmetatable({ error = error_object(attempt.error) }, { __index = attempt })
    return json.object(ATTEMPT, values)
  end)
end

-- The object of a task or of an item of a map; `values` has what the entry has not.
local function entry_object(names, entry, values)
  values.attempt_statistics = attempt_list(entry)
  values.error = error_object(entry.error)
  values.report = entry.report and M.object(entry.report)
  if entry.items then
    values.items = json.list(#entry.items, function(position)
      return entry_object(ITEM, entry.items[position], {})
    end)
  end
  return json.object(names, setmetatable(values, { __index = entry }))
end

-- The ids of all tasks that count.
local function counted(view)
  local ids = {}
  for id, task in ipairs(view.workflow.tasks) do
    ids[#ids + 1] = not task.detached and id or nil
  end
  return ids
end

local function task_list(view, ids, shown)
  return json.list(#ids, function(position)
    local id = ids[position]
    local values = { depends_on = names_list(view.workflow.tasks[id].depends) }
    local record = shown and view.run:record(id)
    if record and record.state == "completed" and not record.released then
      values.result = shown(id, view.run:result(id))
    end
    return entry_object(TASK, statistics.task(view, id), values)
  end)
end

local function tail_list(view)
  local ids = {}
  for id, task in ipairs(view.workflow.tasks) do
    ids[#ids + 1] = task.detached and id or nil
  end
  return json.list(#ids, function(position)
    local entry = statistics.task(view, ids[position])
    local depends = names_list(view.workflow.tasks[ids[position]].depends)
    return entry_object(TAIL, entry, { depends_on = depends })
  end)
end

local function stage_list(view)
  local stages, wall = {}, view.status.wall
  for level = 0, view.stage_count - 1 do
    local name = ("Stage_%d"):format(level)
    stages[level + 1] = { stage_id = level, stage_name = name, duration = 0.0, task_count = 0 }
  end
  for id, task in ipairs(view.workflow.tasks) do
    local stage, record = stages[view.workflow.plan:level(id) + 1], view.run:record(id)
    stage.task_count = stage.task_count + (task.detached and 0 or 1)
    if record.start and not task.detached then
      local finish = record.finish or record.start
      stage.first = math.min(stage.first or record.start, record.start)
      stage.last = math.max(stage.last or finish, finish)
      stage.start_time, stage.end_time = wall + stage.first, wall + stage.last
      stage.duration = stage.last - stage.first
    end
  end
  return json.list(#stages, function(position)
    return json.object(STAGE, stages[position])
  end)
end

---The report as a value that json.encode writes.
---@param report astrum.Report
---@param options { results?: boolean, ids?: integer[] }? with results; only some of the tasks
---@return astrum.JsonObject
function M.object(report, options)
  local view = reports.view_of(report)
  local data, shown = view.data, nil
  if options and options.results then
    shown = secret.shown_results(data)
  end
  local names, duration = report:critical_path()
  local values = {
    schema = M.SCHEMA,
    namespace = view.workflow.namespace,
    run_id = data and data.run_id,
    critical_path = json.object(PATH, { tasks = names_list(names), duration = duration }),
    error_summary = names_list(report.error_summary),
    stage_statistics = stage_list(view),
    task_statistics = task_list(view, options and options.ids or counted(view), shown),
    tail_tasks = tail_list(view),
  }
  return json.object(REPORT, setmetatable(values, { __index = report }))
end

return M
