-- Schedulers: a checked workflow that can be run any number of times, also at once.
local build = require "astrum.build"
local core = require "astrum.core"
local errors = require "astrum.error"
local manual = require "astrum.manual"
local options = require "astrum.options"
local programs = require "astrum.program"
local runs = require "astrum.run"
local terminal = require "astrum.terminal"
local view = require "astrum.view"

core.own()

local M = {}

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

---Sets who is told of each run that the main program starts: the prompt.
---@param fn fun(handle: astrum.Run, workflow: astrum.Workflow, given: table)? nil: nobody
function M.observe(fn)
  observer = fn
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

-- The names of the functions that globals and loaded modules hold: os.time, get_store_name.
local function known_functions()
  local modules, names = {}, {}
  for module, value in pairs(package and package.loaded or {}) do
    if type(module) == "string" and type(value) == "table" then
      modules[#modules + 1] = module
    end
  end
  table.sort(modules, function(a, b)
    if a == "_G" or b == "_G" then
      return a == "_G" and b ~= "_G"
    end
    return a < b
  end)
  for _, module in ipairs(modules) do
    local prefix = module == "_G" and "" or module .. "."
    for key, value in next, package.loaded[module] do
      if type(key) == "string" and type(value) == "function" then
        local name = prefix .. key
        local other = names[value]
        if not other or (other.module == module and name < other.name) then
          names[value] = { module = module, name = name }
        end
      end
    end
  end
  return names
end

-- What a function is called where that can be known, else where it stands.
local function drawn_function(fn, known)
  local source, line = core.definition(fn)
  local name = known[fn] and known[fn].name
  return name or line > 0 and source .. ":" .. line or "C function"
end

-- How an input is drawn: constants and contexts are not.
local function drawn_input(entry, known)
  local shown_type = type(entry.type) == "function" and "checked" or entry.type
  local list = {}
  for _, reference in ipairs(entry.references or { entry.reference }) do
    local name, path = core.reference(reference)
    list[#list + 1] = {
      parameter = entry.parameter,
      kind = "reference",
      source = name,
      path = path,
      type = shown_type,
    }
  end
  if entry.kind == "function" then
    local label = drawn_function(entry.value, known)
    list[1] = { parameter = entry.parameter, kind = "function", label = label }
  end
  return list
end

local function drawing_of(workflow)
  local drawn = { index = workflow.index, tasks = {}, namespace = workflow.namespace }
  local known = known_functions()
  for id, task in ipairs(workflow.tasks) do
    local inputs = { n = 0 }
    for i = 1, task.inputs.n do
      for _, input in ipairs(drawn_input(task.inputs[i], known)) do
        inputs.n = inputs.n + 1
        inputs[inputs.n] = input
      end
    end
    drawn.tasks[id] = { name = task.name, depends = task.depends, inputs = inputs }
  end
  return drawn
end

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
  return view.tree(drawing_of(private[self].workflow), drawing_options(given, "tree"))
end

---The tree, the table of data and a summary as text: what `visualize` prints.
---@param given? { width?: integer, color?: boolean, unicode?: boolean } columns; by the terminal
---@return string
function Scheduler:draw(given)
  return view.draw(drawing_of(private[self].workflow), drawing_options(given, "draw"))
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
---@return astrum.Scheduler
function M.new(workflow, began)
  local scheduler = setmetatable({}, metatable)
  local program = programs.compile(workflow)
  private[scheduler] = {
    workflow = workflow,
    program = program,
    planning_duration = core.clock() - began,
  }
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
  return M.new(build.build(registry, given), began)
end

---Builds a registry and executes it.
---@param registry astrum.Registry
---@param given table target_tasks, config
---@return astrum.Report
function M.run(registry, given)
  return M.build_scheduler(registry, given):execute()
end

return M
