-- The report of one run. Counts and times are there at once; statistics are built when they
-- are first read, so that a run of a million tasks does not pay for them.
local core = require "astrum.core"
local errors = require "astrum.error"
local messages = require "astrum.report.messages"
local options = require "astrum.options"
local ref = require "astrum.ref"
local statistics = require "astrum.report.statistics"
local suggest = require "astrum.suggest"
local drawing = require "astrum.report.table"
local terminal = require "astrum.terminal"

core.own()

local M = {}

---@class astrum.Report
---@field execution_state "pending"|"planning"|"running"|"completed"|"failed"|"cancelled"
---@field total_start_time number wall clock, seconds
---@field total_end_time number
---@field total_duration number planning and execution
---@field planning_duration number
---@field execution_duration number
---@field total_tasks integer without detached ones; the five counts below sum up to it
---@field successful_tasks integer
---@field failed_tasks integer
---@field timed_out_tasks integer
---@field cancelled_tasks integer
---@field skipped_tasks integer
---@field total_stages integer
---@field max_parallelism integer longest list of tasks of the plan that may run side by side
---@field task_statistics astrum.TaskStatistics[]
---@field stage_statistics astrum.StageStatistics[]
---@field error_summary string[]
---@field original_tasks table<string, string[]> task name to the names of its dependencies
---@field task_return_set table<string, any> results that are not nil
---@field tail_tasks table<string, any> handles of detached tasks
local Report = {}

-- stylua: ignore
local TEXT_OPTIONS <const> = {
  "unicode", "rows", "color", "width",
  unicode = "boolean", rows = "integer", color = "boolean", width = "integer",
}

-- What a report reads from: run, workflow, status, fail_fast, name(id), entries already made.
local views = setmetatable({}, { __mode = "k" })

local function entry_of(view, id)
  local entry = view.entries[id]
  if not entry then
    entry = statistics.task(view, id)
    view.entries[id] = entry
  end
  return entry
end

-- Calls `visit(id)` for each task that counts. With a store there are none that do not.
local function each_task(view, visit)
  local tasks = view.workflow.tasks
  for id = 1, #tasks do
    if view.workflow.store or not tasks[id].detached then
      visit(id)
    end
  end
end

local BUILDERS <const> = {}

function BUILDERS.task_statistics(view)
  local list = {}
  each_task(view, function(id)
    list[#list + 1] = entry_of(view, id)
  end)
  return list
end

function BUILDERS.stage_statistics(view)
  local list = {}
  for level = 0, view.stage_count - 1 do
    list[level + 1] = statistics.stage(view, level)
  end
  return list
end

function BUILDERS.original_tasks(view)
  local tasks = {}
  for id, task in ipairs(view.workflow.tasks) do
    tasks[view.name(id)] = table.move(task.depends, 1, #task.depends, 1, {})
  end
  return tasks
end

function BUILDERS.task_return_set(view)
  local results = {}
  each_task(view, function(id)
    if view.run:state(id) == "completed" then
      results[view.name(id)] = view.run:result(id)
    end
  end)
  return results
end

function BUILDERS.error_summary(view)
  return messages.summary(view)
end

local metatable = { __name = "astrum.Report" }

function metatable.__index(report, key)
  local builder = BUILDERS[key]
  if builder then
    local value = builder(views[report])
    rawset(report, key, value)
    return value
  end
  return Report[key]
end

-- For completion at the prompt, which calls no function.
metatable.__names = Report

function metatable.__pairs(report)
  for name in pairs(BUILDERS) do
    local _ = report[name]
  end
  return next, report, nil
end

function metatable.__tostring(report)
  return drawing.draw(report, views[report])
end

local function known_names(view)
  local names = {}
  for id = 1, #view.workflow.tasks do
    names[id] = view.name(id)
  end
  return names
end

-- The view and the id of a task by its name or handle; a name that is not in the run raises.
local function find(report, name)
  local view = views[report]
  name = ref.task_name(name) or name
  local id = view.workflow.index[name]
  if not id then
    local text = ("the run has no task %s"):format(errors.quote(tostring(name)))
    local help = suggest.help(name, known_names(view), "tasks")
    errors.raise("TaskNotFoundError", text, help, { task = name })
  end
  return view, id
end

--- Whether every task of the run completed.
---@return boolean
function Report:ok()
  return self.execution_state == "completed"
end

local function failed_errors(view)
  local list = {}
  for id in messages.each_unusual(view) do
    local state = view.run:state(id)
    if state == "failed" or state == "timed_out" then
      list[#list + 1] = view.run:error(id)
    end
  end
  return list
end

-- Reports by the error that their assert has raised.
local asserted = setmetatable({}, { __mode = "k" })

-- The view of the run inside a task that failed because of that run.
local function view_inside(place)
  local reports = place.view.reports and place.view.reports[place.id]
  local report = reports and reports[place.item or 0]
  if not report and errors.is_error(place.failure) then
    report = asserted[place.failure.cause]
  end
  return views[report]
end

-- What report:assert() raises for a run that failed because of its tasks.
local function failure_of(view, message)
  local failures = failed_errors(view)
  local first = view.status.blame and view.run:error(view.status.blame) or failures[1]
  local more = ""
  if #failures > 1 then
    local count = #failures - 1
    more = (" (and %d more failed task%s)"):format(count, count > 1 and "s" or "")
  end
  local known = type(first) == "table" and first or {}
  local task = view.workflow.tasks[view.workflow.index[known.task]] or {}
  local record = task.record or {}
  local label = known.item and known.task .. "[" .. known.item .. "]" or known.task
  return errors.new("TaskFailedError", message .. more, {
    task = known.task,
    source = record.source,
    line = record.line,
    attempt = known.attempt,
    cause = first,
    path = known.path or label,
    of_run = true,
    root_text = (known.root_text or messages.text(first)) .. more,
    traceback = known.traceback,
    errors = failures,
  })
end

-- The error that tells that a run did not complete.
local function error_of(report, view)
  local message = report.error_summary[1] or "Execution failed"
  if report.execution_state == "cancelled" then
    return errors.new("TaskCancelledError", message)
  elseif report.execution_state ~= "failed" then
    local text = ("the run is not over, it is %s"):format(report.execution_state)
    return errors.new("SchedulerError", text)
  elseif report.failed_tasks + report.timed_out_tasks == 0 then
    return errors.new("SchedulerError", message, { of_run = true })
  end
  return failure_of(view, message)
end

local EXPLAIN_OPTIONS <const> = { "color", "unicode", color = "boolean", unicode = "boolean" }

--- What went wrong, for people: how the run ended; of the task that is to blame its line, attempts,
--- inputs and the traceback without the frames of the library; what did not run because of it;
--- other failed tasks in short. Sensitive values are hidden. nil when the run completed or is not
--- over.
---@param given? { color?: boolean, unicode?: boolean } false; by the locale
---@return string?
function Report:explain(given)
  given = options.simple(given, EXPLAIN_OPTIONS, "explain")
  local view = views[self]
  if self:ok() then
    return nil
  end
  -- Loaded when something went wrong.
  local explanation = require "astrum.report.explanation"
  return explanation.text(view, error_of(self, view).message, view_inside, given)
end

---What explain tells below its first lines, which say how the run ended; nil when there is nothing.
---@param report astrum.Report
---@param given? { color?: boolean, unicode?: boolean }
---@return string?
function M.details(report, given)
  if report:ok() then
    return nil
  end
  local explanation = require "astrum.report.explanation"
  return explanation.text(views[report], nil, view_inside, given)
end

-- The text for standard error.
local function explain_there(report)
  return report:explain { color = terminal.options(2, core.terminal).color }
end

--- Returns the report when the run completed, else raises: a TaskFailedError whose `cause` is
--- the error of the first task that failed, a TaskCancelledError, or a SchedulerError.
---@return astrum.Report
function Report:assert()
  if self.execution_state == "completed" then
    return self
  end
  local e = error_of(self, views[self])
  local told = e.path and "task " .. errors.quote(e.path) .. " failed" or "the run did not complete"
  asserted[e] = self
  errors.explain_with(e, function()
    return views[self].is_told and told .. ", as told above" or explain_there(self)
  end)
  error(e, 0)
end

--- The result of a task. Of one that did not complete, or whose result was not to be kept: nil and
--- an error. A name that is not in the run raises.
---@param name string|userdata name or handle
---@return any result
---@return table? failure
function Report:result(name)
  local view, id = find(self, name)
  local record = view.run:record(id)
  if record.released then
    local message = ("the result of task %s was not kept"):format(errors.quote(name))
    local help = "name it in the setting keep_results"
    return nil, errors.new("FieldError", message .. "\nhelp: " .. help, { task = name })
  elseif record.state == "completed" then
    return view.run:result(id)
  end
  local failure = view.run:error(id)
  if failure == nil then
    local reason = messages.reason(view, record)
    local message = ("task '%s' is %s"):format(name, entry_of(view, id).status)
    if reason then
      message = ("task '%s' was %s: %s"):format(name, record.state, reason)
    end
    failure = errors.new("TaskCancelledError", message, { task = name })
  end
  return nil, failure
end

--- Whether the report has a result of a task: it completed, also with nil, and the result was kept.
--- An unknown name raises.
---@param name string|userdata name or handle
---@return boolean
function Report:has_result(name)
  local view, id = find(self, name)
  local record = view.run:record(id)
  return record.state == "completed" and not record.released
end

--- The statistics of one task. An unknown name raises.
---@param name string|userdata name or handle
---@return astrum.TaskStatistics
function Report:task(name)
  local view, id = find(self, name)
  return entry_of(view, id)
end

--- The statistics of the tasks of one stage; none for a stage that is not there.
---@param stage_id integer from 0
---@return astrum.TaskStatistics[]
function Report:get_task_statistics_by_stage(stage_id)
  local view, list = views[self], {}
  each_task(view, function(id)
    if view.workflow.plan:level(id) == stage_id then
      list[#list + 1] = entry_of(view, id)
    end
  end)
  return list
end

--- The statistics of the task that spent the most time in its attempts, or nil.
---@return astrum.TaskStatistics?
function Report:get_longest_task()
  local view = views[self]
  local longest, busiest = nil, -1
  each_task(view, function(id)
    local busy = view.run:busy(id)
    if busy > busiest then
      longest, busiest = id, busy
    end
  end)
  return longest and entry_of(view, longest)
end

--- Mean duration of the tasks that started, 0.0 without any.
---@return number seconds
function Report:get_average_task_duration()
  local view = views[self]
  local sum, count = 0.0, 0
  each_task(view, function(id)
    local busy, attempts = view.run:busy(id)
    if attempts > 0 then
      sum, count = sum + busy, count + 1
    end
  end)
  return count > 0 and sum / count or 0.0
end

--- The chain of dependencies that took the longest.
---@return string[] names
---@return number seconds sum of their durations
function Report:critical_path()
  local view = views[self]
  if #view.workflow.tasks == 0 then
    return {}, 0.0
  end
  local weights = {}
  for id = 1, #view.workflow.tasks do
    weights[id] = view.workflow.detached[id] and 0.0 or view.run:busy(id)
  end
  local ids, total = view.workflow.plan:critical_path(weights)
  local names = {}
  for position, id in ipairs(ids) do
    names[position] = view.name(id)
  end
  return names, total
end

--- The report as a table to read: tasks, totals, error summary.
---@param given? { unicode?: boolean, rows?: integer, color?: boolean, width?: integer } by the
--- locale; 50 rows; no colour; errors are cut, and messages broken, for so many columns
---@return string
function Report:tostring(given)
  return drawing.draw(self, views[self], options.simple(given, TEXT_OPTIONS, "tostring"))
end

-- --- for other programs

local JSON_OPTIONS <const> = { "results", "indent", results = "boolean", indent = "boolean" }

--- The report as JSON. Keys keep their order, integers are exact, and numbers that JSON does not
--- have are the texts "NaN", "Infinity" and "-Infinity". docs/report-json.md describes the keys.
--- Results of tasks are left out unless asked for; sensitive ones are "[hidden]".
---@param given? { results?: boolean, indent?: boolean } with results; over many lines
---@return string
function Report:json(given)
  given = options.simple(given, JSON_OPTIONS, "json")
  local document = require("astrum.report.document").object(self, given)
  return require("astrum.json").encode(document, given.indent and 2 or nil)
end

--- The report in the Trace Event Format, which Perfetto opens: a span for each attempt, on lanes,
--- and arrows where data went.
---@param write? fun(piece: string) gets the text in pieces; nothing is returned then
---@return string?
function Report:trace(write)
  if write ~= nil and type(write) ~= "function" then
    local text = "trace: a function that writes is wanted, got " .. type(write)
    errors.raise("ConfigError", text, "leave it out to get the text")
  end
  local pieces = {}
  require("astrum.report.trace").write(self, write or function(piece)
    pieces[#pieces + 1] = piece
  end)
  return not write and table.concat(pieces) or nil
end

--- The workflow as Mermaid text, a `flowchart TD`, coloured by outcome.
---@param given? { tasks?: integer, edges?: integer } how many are drawn: 200 and 500
---@return string
function Report:mermaid(given)
  return require("astrum.picture").mermaid(views[self].workflow, self, given)
end

--- The workflow as text for Graphviz, coloured by outcome.
---@param given? { tasks?: integer, edges?: integer } how many are drawn: 200 and 500
---@return string
function Report:dot(given)
  return require("astrum.picture").dot(views[self].workflow, self, given)
end

--- The workflow as an SVG picture, coloured by outcome. Graphviz places the tasks if that is asked
--- for; a ConfigError where it is not installed.
---@param given? { tasks?: integer, edges?: integer, graphviz?: boolean } 200 and 500; by ourselves
---@return string
function Report:svg(given)
  return require("astrum.picture").svg(views[self].workflow, self, given)
end

--- The report as one HTML page that needs nothing else: summary, picture, timeline, table, errors.
---@return string
function Report:html()
  return require("astrum.report.html").page(self)
end

options.want_colon(Report, "report", function(value)
  return views[value]
end)

---What is to be told of a run on standard error; nil when it completed. What its assert raises does
---not tell it again.
---@param report astrum.Report
---@return string?
function M.tell(report)
  views[report].is_told = true
  return explain_there(report)
end

---What is told of a run that a signal has ended, but nothing twice.
---@param report astrum.Report
---@return string
function M.of_interrupted(report)
  if views[report].is_told then
    return ""
  end
  local details = M.details(report)
  return tostring(report) .. "\n" .. (details and details .. "\n" or "")
end

---The methods of a report.
M.METHODS = Report

---What a report reads from.
---@param report astrum.Report
---@return table
function M.view_of(report)
  return views[report]
end

---@class astrum.ReportTiming
---@field planning_duration? number seconds spent before the run began, 0 unless given

-- Tasks whose results are those of an earlier run count as completed, whether or not this one came
-- to take them over.
local function count_reused(report, run, tasks)
  for id, task in ipairs(tasks) do
    local state = task.record.is_reused and run:state(id) or "completed"
    if state ~= "completed" then
      report[state .. "_tasks"] = report[state .. "_tasks"] - 1
      report.successful_tasks = report.successful_tasks + 1
    end
  end
end

--- Makes the report of a run.
---@param run table the run userdata
---@param workflow table what build.lua made
---@param timing? astrum.ReportTiming
---@param extra? { tail_tasks?: table<string, any>, reason?: any, reports?: table, data?: table }
--- handles of the detached tasks; why the run was cancelled; reports of tasks that are workflows,
--- by id and item; what belongs to the run
---@return astrum.Report
function M.new(run, workflow, timing, extra)
  local status, plan = run:status(), workflow.plan
  if extra and extra.reason ~= nil then
    status.reason = extra.reason
  end
  local planning = timing and timing.planning_duration or 0.0
  local report = {
    execution_state = status.state,
    total_start_time = status.wall - planning,
    total_end_time = status.wall + status.duration,
    total_duration = planning + status.duration,
    planning_duration = planning,
    execution_duration = status.duration,
    total_tasks = status.tasks,
    successful_tasks = status.completed,
    failed_tasks = status.failed,
    timed_out_tasks = status.timed_out,
    cancelled_tasks = status.cancelled,
    skipped_tasks = status.skipped,
    total_stages = plan and plan:stage_count() or 0,
    max_parallelism = plan and plan:max_parallelism() or 0,
    tail_tasks = extra and extra.tail_tasks or {},
  }
  if workflow.source and workflow.source.has_reused then
    count_reused(report, run, workflow.tasks)
  end
  local config, data = workflow.config or {}, extra and extra.data
  views[report] = {
    run = run,
    workflow = workflow,
    status = status,
    reports = extra and extra.reports,
    data = data,
    stage_count = report.total_stages,
    fail_fast = config.failure_mode ~= "keep_going" and not (data and data.keep_going),
    entries = {},
    name = function(id)
      if workflow.store then
        return workflow.store:name(id)
      end
      local task = workflow.tasks[id]
      return task.name or task.record.name
    end,
  }
  return setmetatable(report, metatable)
end

return M
