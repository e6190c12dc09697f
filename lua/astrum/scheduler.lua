-- Schedulers: a checked workflow that can be run any number of times, also at once.
local build = require "astrum.build"
local core = require "astrum.core"
local errors = require "astrum.error"
local manual = require "astrum.manual"
local options = require "astrum.options"
local programs = require "astrum.program"
local runs = require "astrum.run"
local source = require "astrum.view.source"
local terminal = require "astrum.terminal"
local unused = require "astrum.unused"
local view = require "astrum.view"

core.own()

local M = {}

-- Builds of a program that is only looked at.
local quiet_builds = false

---No build prints anything from now on.
function M.be_quiet()
  quiet_builds = true
end

local private = setmetatable({}, { __mode = "k" })

---A workflow that has been checked and planned. It never changes; what changes during a run is on
---the run's handle and on its report.
---@class astrum.Scheduler
---@field plan astrum.ExecutionPlan
---@field config astrum.Config
---@field namespace string
local Scheduler = {}

local late = {}

function late.plan(self)
  self.plan = self.plan or manual.execution_plan(self.workflow)
  return self.plan
end

function late.config(self)
  return self.workflow.config
end

function late.namespace(self)
  return self.workflow.namespace
end

local metatable = { __name = "astrum.Scheduler" }

function metatable.__index(scheduler, key)
  unused.is_used = true
  local get = late[key]
  if get then
    return get(private[scheduler])
  end
  return Scheduler[key]
end

-- For completion at the prompt, which calls no function.
metatable.__names = Scheduler

function metatable.__newindex(_, key)
  errors.raise("SchedulerError", "a scheduler is read-only: " .. tostring(key) .. " cannot be set")
end

function metatable.__tostring(scheduler)
  local workflow = private[scheduler].workflow
  local count = #workflow.tasks
  return ("scheduler of namespace %s: %d task%s"):format(
    errors.quote(workflow.namespace),
    count,
    count == 1 and "" or "s"
  )
end

local known_options = options.known { "params" }

local function check_options(given, method)
  if given == nil then
    return {}
  elseif type(given) ~= "table" then
    local text = method .. ": the options are a table, got " .. type(given)
    errors.raise("ConfigError", text, "as in scheduler:" .. method .. " { params = { ... } }")
  end
  options.check(given, known_options, method, "ConfigError")
  return given
end

-- Who is told of the runs that the main program starts, if anybody.
local observer

-- What an observer is told who comes later; nil: there will be none.
local noted

---Keeps in mind which runs the main program starts, for an observer who comes later: a script runs
---before its prompt.
function M.note_runs()
  noted = {}
  observer = function(...)
    noted[#noted + 1] = table.pack(...)
  end
end

---Sets who is told of each run that the main program starts: the prompt.
---@param fn fun(handle: astrum.Run, workflow: astrum.Workflow, given: table)? nil: nobody
function M.observe(fn)
  local before = noted or {}
  observer, noted = fn, nil
  for _, told in ipairs(fn and before or {}) do
    fn(table.unpack(told, 1, told.n))
  end
end

local function start(this, given)
  local handle = runs.start(this.workflow, this.program, this.planning_duration, given)
  if observer and not core.context() then
    observer(handle, this.workflow, given)
  end
  return handle
end

---Starts a run and returns its handle at once. It goes on whenever the event loop turns. Inside a
---task it belongs to the task. Raises a SchedulerError for runs nested deeper than 16, a
---ConfigError for a limit of a run inside another and for params that do not fit.
---@param given? { params?: table<string, any> } values of the workflow's parameters
---@return astrum.Run
function Scheduler:start(given)
  local this = private[self]
  given = check_options(given, "start")
  return start(this, given)
end

---Runs the workflow and returns its report. In the main program this turns the event loop until
---the run is over; inside a task it suspends the task, and the run ends with it. Raises a
---SchedulerError where nobody can wait, as in a callback of the loop, and what `start` raises.
---@param given? { params?: table<string, any> } values of the workflow's parameters
---@return astrum.Report
function Scheduler:execute(given)
  local this = private[self]
  given = check_options(given, "execute")
  runs.check_wait("execute")
  return start(this, given):wait()
end

---The declaration of a task of this scheduler, or nil.
---@param name string
---@return table?
function Scheduler:find_task_by_name(name)
  local workflow = private[self].workflow
  local id = workflow.index[name]
  return id and require("astrum.task").view(workflow.tasks[id].record) or nil
end

---A scheduler has no cycle; a workflow with one cannot be built. Here for programs that ask.
function Scheduler:detect_cycle() end -- luacheck: ignore 212

---The plan: stages, what they wait for, what can run side by side.
---@return astrum.ExecutionPlan
function Scheduler:get_execute_timeline()
  return self.plan
end

-- --- drawing

local DRAWING <const> =
  { "width", "color", "unicode", width = "integer", color = "boolean", unicode = "boolean" }

local function drawing_options(given, method)
  local is_terminal, columns = core.terminal(1)
  given = options.simple(given, DRAWING, method)
  local unicode = given.unicode
  if unicode == nil then
    unicode = terminal.unicode()
  end
  return {
    width = given.width or terminal.width(columns),
    color = terminal.color { color = given.color, isatty = is_terminal },
    unicode = unicode,
  }
end

---The tree of dependencies as text.
---@param given? { width?: integer, color?: boolean, unicode?: boolean } columns; by the terminal
---@return string
function Scheduler:tree(given)
  return view.tree(source.of(private[self].workflow), drawing_options(given, "tree"))
end

---The tree, the table of data and a summary as text: what `visualize` prints.
---@param given? { width?: integer, color?: boolean, unicode?: boolean } columns; by the terminal
---@return string
function Scheduler:draw(given)
  return view.draw(source.of(private[self].workflow), drawing_options(given, "draw"))
end

---The workflow as Mermaid text, a `flowchart TD`: edges carry the fields that travel, `a -> b`
---where the parameter has another name.
---@param given? { tasks?: integer, edges?: integer } how many are drawn: 200 and 500
---@return string
function Scheduler:mermaid(given)
  return require("astrum.picture").mermaid(private[self].workflow, nil, given)
end

---The workflow as text for Graphviz; nothing needs to be installed to write it.
---@param given? { tasks?: integer, edges?: integer } how many are drawn: 200 and 500
---@return string
function Scheduler:dot(given)
  return require("astrum.picture").dot(private[self].workflow, nil, given)
end

---The workflow as an SVG picture. Graphviz places the tasks if that is asked for; a ConfigError
---where it is not installed.
---@param given? { tasks?: integer, edges?: integer, graphviz?: boolean } 200 and 500; by ourselves
---@return string
function Scheduler:svg(given)
  return require("astrum.picture").svg(private[self].workflow, nil, given)
end

options.want_colon(Scheduler, "scheduler", function(value)
  return private[value]
end)

-- --- for the other files

---@param value any
---@return boolean
function M.is_scheduler(value)
  return private[value] ~= nil
end

---The workflow of a scheduler.
---@param scheduler astrum.Scheduler
---@return astrum.Workflow
function M.workflow_of(scheduler)
  return private[scheduler].workflow
end

---@param scheduler astrum.Scheduler
---@return userdata
function M.program_of(scheduler)
  return private[scheduler].program
end

-- --- making

---Makes the scheduler of a workflow.
---@param workflow astrum.Workflow
---@param began number of the monotonic clock, when the build began
---@param quiet boolean? true: neither warnings nor a drawing are printed, whatever the config says
---@return astrum.Scheduler
function M.new(workflow, began, quiet)
  local scheduler = setmetatable({}, metatable)
  local program = programs.compile(workflow)
  private[scheduler] = {
    workflow = workflow,
    program = program,
    planning_duration = core.clock() - began,
  }
  if quiet then
    return scheduler
  end
  if not workflow.config.silence_warnings then
    for _, warning in ipairs(workflow.warnings) do
      io.stderr:write("astrum: ", warning, "\n")
    end
  end
  if workflow.config.visualize then
    local text = scheduler:draw()
    io.stdout:write(text, text:sub(-1) == "\n" and "" or "\n")
  end
  return scheduler
end

---Builds a registry.
---@param registry astrum.Registry
---@param given table target_tasks, config
---@return astrum.Scheduler
function M.build_scheduler(registry, given)
  local began = core.clock()
  return M.new(build.build(registry, given), began, quiet_builds)
end

---Builds a registry and executes it.
---@param registry astrum.Registry
---@param given table target_tasks, config
---@return astrum.Report
function M.run(registry, given)
  return M.build_scheduler(registry, given):execute()
end

return M
