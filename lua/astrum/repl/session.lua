-- What a session at the prompt remembers: the last result of each task, and with what it came to
-- be. So a run can reuse the results of tasks that would come to the same again.
local build = require "astrum.build"
local core = require "astrum.core"
local errors = require "astrum.error"
local input = require "astrum.input"
local options = require "astrum.options"
local params = require "astrum.param"
local policies = require "astrum.policy"
local registries = require "astrum.registry"
local reports = require "astrum.report"
local runs = require "astrum.run"
local schedulers = require "astrum.scheduler"

core.own()

local M = {}

local quote <const> = errors.quote

---@class astrum.KeptResult what became of a task, and with what
---@field name string
---@field report astrum.Report
---@field upstream table<string, astrum.KeptResult> of the tasks that it waited for
---@field params table<string, any> that it took
---@field inside astrum.TaskRecord[] of the workflow that it is, if it is one

---@class astrum.LastRun
---@field report astrum.Report
---@field config astrum.Config
---@field params table<string, any>? as they were given
---@field names string[] of its tasks

---@class astrum.ReplSession
---@field kept table<astrum.TaskRecord, astrum.KeptResult> by declaration
---@field ran table<string, table<string, true>> names of tasks that have run, by namespace
---@field last table<string, astrum.LastRun> by namespace
---@field chunks table<integer, astrum.ReplChunk> by the number of the entry
---@field locals table<string, true> names that entries have made local
---@field saved table<string, true> files that it has written
---@field entry integer number of the last entry
---@field is_waiting boolean the prompt is shown
---@field running integer runs that go on
---@field is_timed boolean tells how long entries take
---@field is_over boolean
local Session = {}
Session.__index = Session

---@class astrum.ReplChunk what was entered
---@field text string
---@field file string? that it runs
---@field namespace string that was active
---@field is_statement boolean
---@field is_declaration boolean? it declared tasks
---@field last integer? of its entries, when it was more than one
---@field names string[]? of those, each behind its namespace
---@field has_failed boolean?

-- --- what runs leave

-- Calls visit(entry, position) for all inputs of a task and of its map.
local function each_input(task, visit)
  for i = 1, task.inputs.n do
    visit(task.inputs[i], i)
  end
  for i, list in ipairs(task.record.map or {}) do
    visit(list.input, i)
  end
end

-- All declarations of the workflow that a task is, and of those inside it.
local function records_inside(task)
  local records, queue, first = {}, { task.child }, 1
  while queue[first] do
    for _, inner in ipairs(queue[first].tasks) do
      records[#records + 1] = inner.record
      queue[#queue + 1] = inner.child
    end
    first = first + 1
  end
  return records
end

-- The params that a task takes; one with a context can read all of them.
local function params_of(task, values)
  local taken = {}
  each_input(task, function(entry)
    if entry.kind == "param" then
      taken[entry.name] = values[entry.name]
    elseif entry.kind == "context" then
      for name, value in pairs(values) do
        taken[name] = value
      end
    end
  end)
  return taken
end

function Session:keep(report, workflow, values)
  local ran = self.ran[workflow.namespace] or {}
  self.ran[workflow.namespace] = ran
  for _, task in ipairs(workflow.tasks) do
    if not task.detached and not task.record.is_reused then
      ran[task.name] = true
      self.kept[task.record] = {
        name = task.name,
        report = report,
        upstream = {},
        params = params_of(task, values),
        inside = records_inside(task),
      }
    end
  end
  for _, task in ipairs(workflow.tasks) do
    local kept = not task.record.is_reused and self.kept[task.record]
    for _, name in ipairs(kept and task.depends or {}) do
      local record = workflow.tasks[workflow.index[name]].record
      kept.upstream[name] = self.kept[record.origin or record]
    end
  end
end

local function names_of(workflow)
  local names = {}
  for id, task in ipairs(workflow.tasks) do
    names[id] = task.name
  end
  return names
end

local function plural(count, noun)
  return ("%d %s%s"):format(count, noun, count == 1 and "" or "s")
end

-- The line that tells of a run which nobody waited for.
local function ending(handle, report)
  local id = tostring(handle):match("^run [^:]*")
  local text = ("%s: %s, %s, %.1f s"):format(
    id,
    report.execution_state,
    plural(report.total_tasks, "task"),
    report.execution_duration
  )
  local why = not report:ok() and report.error_summary[1]
  return why and text .. "\n" .. why:match("^[^\n]*") or text
end

function Session:observe(handle, workflow, given)
  local entry, values = self.entry, runs.params_of(handle)
  self.running = self.running + 1
  handle:on_done(function(report)
    self.running = self.running - 1
    self.last[workflow.namespace] = {
      report = report,
      config = workflow.config,
      params = given.params,
      names = names_of(workflow),
    }
    self:keep(report, workflow, values)
    -- It is built here, as completion calls nothing.
    local _ = report.task_return_set
    if self.is_waiting or self.entry ~= entry then
      io.stdout:write(ending(handle, report), "\n")
    end
  end)
end

-- --- what would run

local function changed_params(kept, task, values)
  local now = params_of(task, values)
  for name, value in pairs(kept.params) do
    if not rawequal(now[name], value) then
      return name
    end
  end
  for name in pairs(now) do
    if kept.params[name] == nil then
      return name
    end
  end
  return nil
end

local function function_input(task)
  local found
  local function look(entry, position)
    if entry.kind == "function" and not found then
      found = entry.parameter and quote(entry.parameter) or tostring(position)
    end
  end
  each_input(task, look)
  for _, record in ipairs(records_inside(task)) do
    each_input({ inputs = record.inputs, record = record }, look)
  end
  return found
end

local function same_list(left, right)
  for i = 1, math.max(#left, #right) do
    if left[i] ~= right[i] then
      return false
    end
  end
  return true
end

-- Why a task with an earlier result runs because of what it depends on; nil: not because of that.
local function upstream_reason(self, workflow, task, kept, decided)
  local count = 0
  for _, name in ipairs(task.depends) do
    local id = workflow.index[name]
    count = count + 1
    if not kept.upstream[name] then
      return "it did not depend on " .. quote(name) .. " before"
    elseif decided[id].runs then
      return quote(name) .. " runs"
    elseif kept.upstream[name] ~= self.kept[workflow.tasks[id].record] then
      return quote(name) .. " has a newer result"
    end
  end
  for name in pairs(kept.upstream) do
    count = count - 1
    if not workflow.index[name] then
      return "it does not depend on " .. quote(name) .. " any more"
    end
  end
  return count ~= 0 and "it depends on other tasks than before" or nil
end

local STATUS_TEXTS <const> = {
  failed = "it failed last time",
  timed_out = "it timed out last time",
  cancelled = "it was cancelled last time",
  skipped = "it was skipped last time",
  completed = "its result was not kept",
}

-- Why a task runs, or nil when its result is reused.
local function reason_of(self, workflow, task, values, decided)
  local kept = self.kept[task.record]
  if task.detached then
    return "it is detached"
  elseif not kept then
    local ran = self.ran[workflow.namespace]
    return ran and ran[task.name] and "its declaration changed" or "it has not run yet"
  elseif not kept.report:has_result(task.name) then
    return STATUS_TEXTS[kept.report:task(task.name).status]
  end
  local by_function = function_input(task)
  if by_function then
    return "input " .. by_function .. " is a function, which may give another value"
  end
  local param = changed_params(kept, task, values)
  if param then
    return "param " .. quote(param) .. " changed"
  elseif not same_list(kept.inside, records_inside(task)) then
    return "workflow " .. quote(task.child.namespace) .. " changed"
  end
  return upstream_reason(self, workflow, task, kept, decided)
end

---@class astrum.ReplDecision
---@field name string
---@field runs boolean
---@field why string

-- Ids so that each task comes after those that it waits for.
local function in_order(workflow)
  local by_level, last, ids = {}, -1, {}
  for id in ipairs(workflow.tasks) do
    local level = workflow.plan:level(id)
    for new = last + 1, level do
      by_level[new] = {}
    end
    last = math.max(last, level)
    table.insert(by_level[level], id)
  end
  for level = 0, last do
    table.move(by_level[level], 1, #by_level[level], #ids + 1, ids)
  end
  return ids
end

---What a run of a workflow would do with each task, by id.
---@param workflow astrum.Workflow
---@param given table<string, any>? values of params
---@return astrum.ReplDecision[]
function Session:decide(workflow, given)
  local values, decided = {}, {}
  for name, param in pairs(workflow.params) do
    values[name] = given and given[name]
    if values[name] == nil then
      values[name] = param.default
    end
  end
  for _, id in ipairs(in_order(workflow)) do
    local task = workflow.tasks[id]
    local why = reason_of(self, workflow, task, values, decided)
    decided[id] =
      { name = task.name, runs = why ~= nil, why = why or "unchanged since its last result" }
  end
  return decided
end

-- --- running

---@return string
function Session:namespace() -- luacheck: ignore 212
  return registries.active_namespace()
end

---Builds tasks of the active namespace with the config of its last run. Raises what a build raises.
---@param targets string[]? nil: all
---@param config table? in place of that of the last run
---@return astrum.Workflow
function Session:build(targets, config)
  local namespace = self:namespace()
  local registry = registries.namespace(namespace)
  local last = self.last[namespace]
  return build.build(registry, { target_tasks = targets, config = config or last and last.config })
end

---Builds tasks of the active namespace to be looked at. The config that declares their pools may
---not be known yet, so any pool will do then.
---@param targets string[]? nil: all
---@return astrum.Workflow
function Session:look(targets)
  local namespace = self:namespace()
  local last = self.last[namespace]
  return build.build(registries.namespace(namespace), {
    target_tasks = targets,
    config = last and last.config,
    open_pools = last == nil,
  })
end

-- What stands for a task that is reused: the same place in the graph, and its result.
local function stand_in(workflow, task, kept, decided)
  local record = task.record
  local value = kept.report:result(task.name)
  local depends_on, outputs = {}, {}
  for i, name in ipairs(task.depends) do
    depends_on[i] = { name = name, source = record.source, line = record.line }
  end
  for _, output in ipairs(record.outputs) do
    local id = workflow.index[output.target]
    if id and decided[id].runs then
      outputs[#outputs + 1] = output
    end
  end
  return {
    name = record.name,
    namespace = record.namespace,
    description = record.description,
    run = function()
      return value
    end,
    retry = 0,
    policy = policies.NONE,
    detached = false,
    depends_on = depends_on,
    inputs = input.NONE,
    outputs = outputs,
    source = record.source,
    line = record.line,
    entry = record.entry,
    sensitive = record.sensitive,
    is_reused = true,
    origin = record,
  }
end

local function reuses_any(decided)
  for _, decision in ipairs(decided) do
    if not decision.runs then
      return true
    end
  end
  return false
end

-- The workflow with the results of the tasks that are reused in their place.
local function with_results(self, workflow, decided)
  if not reuses_any(decided) then
    return workflow
  end
  local source = { records = {}, index = {}, pending = {}, namespace = workflow.namespace }
  source.is_manual, source.has_reused = true, true
  for id, task in ipairs(workflow.tasks) do
    local record = task.record
    if not decided[id].runs then
      record = stand_in(workflow, task, self.kept[record], decided)
    end
    source.records[id] = record
    source.index[record.name] = record
  end
  return build.build(source, { config = workflow.config })
end

---The values of params for the next run of a workflow: those of the last run, and new ones. Raises
---for names and values that do not fit.
---@param workflow astrum.Workflow
---@param texts table<string, string>? new values, as they were typed
---@return table<string, any>
function Session:params(workflow, texts)
  local last = self.last[workflow.namespace]
  local given = options.plain(last and last.params or {})
  for name, value in pairs(params.parse(workflow.params, texts or {}, "run")) do
    given[name] = value
  end
  return given
end

---Runs tasks of the active namespace and what they need, reusing results. Raises what a build
---raises.
---@param targets string[]? nil: all
---@param texts table<string, string>? values of params, as they were typed
---@param anew boolean? nothing is reused
---@return astrum.Report
function Session:run(targets, texts, anew)
  local began = core.clock()
  local workflow = self:build(targets)
  local given = self:params(workflow, texts)
  if not anew then
    workflow = with_results(self, workflow, self:decide(workflow, given))
  end
  -- Those that only tasks take which are left out, or reused, are not known to the run.
  local known = {}
  for name in pairs(workflow.params) do
    known[name] = given[name]
  end
  local report = schedulers.new(workflow, began):execute { params = known }
  self.last[workflow.namespace].params = given
  return report
end

-- --- looking

---@return astrum.LastRun? of the active namespace
function Session:last_run()
  return self.last[self:namespace()]
end

---@param name string
---@return astrum.KeptResult? of the task as it is declared now
function Session:kept_of(name)
  local record = registries.namespace(self:namespace()).index[name]
  return record and self.kept[record]
end

---@param name string of a task
---@return any its last result, or nil
function Session:last_result(name)
  local kept = self:kept_of(name)
  return kept and kept.report:has_result(name) and kept.report:result(name) or nil
end

---How long a task took when it last ran as it is declared now; nil when it did not complete then.
---@param task table of a workflow
---@return number? seconds
function Session:seconds(task)
  local kept = self.kept[task.record]
  if not kept then
    return nil
  end
  local view = reports.view_of(kept.report)
  local record = view.run:record(view.workflow.index[kept.name])
  return record.state == "completed" and record.busy or nil
end

---Remembers what is entered now.
---@param chunk astrum.ReplChunk without its namespace
function Session:remember(chunk)
  chunk.namespace = self:namespace()
  self.chunks[self.entry] = chunk
end

---The tasks that an entry and those after it have declared, each name behind its namespace.
---@param entry integer
---@return string[]
function Session:declared_since(entry) -- luacheck: ignore 212
  local names = {}
  for _, name in ipairs(registries.namespaces()) do
    -- What is not special was declared before the prompt.
    for _, record in ipairs(registries.namespace(name).special) do
      if record.entry >= entry then
        names[#names + 1] = name .. "\0" .. record.name
      end
    end
  end
  return names
end

---Forgets all tasks and results.
function Session:reset()
  registries.clear_registry()
  self.kept, self.ran, self.last, self.chunks = setmetatable({}, { __mode = "k" }), {}, {}, {}
end

---Makes the active namespace another one.
---@param name string
function Session:use(name)
  if self.guard then
    getmetatable(self.guard).__close(self.guard)
  end
  self.guard = registries.use_namespace(name)
end

---The names that an entry makes local at the beginning of its lines.
---@param text string
---@return string[]
function M.locals(text)
  local names = {}
  for rest in ("\n" .. text):gmatch "\nlocal%s+([^=\n]*)" do
    if rest:find "^function%s" then
      names[#names + 1] = rest:match "^function%s+([%a_][%w_]*)"
    else
      for name in rest:gsub("<[^>]*>", ""):gmatch "[%a_][%w_]*" do
        names[#names + 1] = name
      end
    end
  end
  return names
end

---Begins a session: runs that the main program starts are remembered from here on.
---@return astrum.ReplSession
function M.new()
  local self = setmetatable({
    kept = setmetatable({}, { __mode = "k" }),
    ran = {},
    last = {},
    chunks = {},
    locals = {},
    saved = {},
    entry = 0,
    running = 0,
    is_waiting = false,
    is_timed = false,
    is_over = false,
  }, Session)
  schedulers.observe(function(...)
    self:observe(...)
  end)
  return self
end

return M
