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

local function check(scheduler, method)
  local self = private[scheduler]
  errors.check_method(self, "scheduler", method)
  return self
end

---Starts a run and returns its handle at once. It goes on whenever the event loop turns.
---@return astrum.Run
function Scheduler:start()
  local this = check(self, "start")
  return runs.start(this.workflow, this.program, this.planning_duration)
end

---Runs the workflow and returns its report. In the main program this turns the event loop until
---the run is over; inside a task it suspends the task, and the run ends with it.
---@return astrum.Report
function Scheduler:execute()
  check(self, "execute")
  runs.check_wait("execute")
  return self:start():wait()
end

---The declaration of a task of this scheduler, or nil.
---@param name string
---@return table?
function Scheduler:find_task_by_name(name)
  local workflow = check(self, "find_task_by_name").workflow
  local id = workflow.index[name]
  return id and require("astrum.task").view(workflow.tasks[id].record) or nil
end

---A scheduler has no cycle; a workflow with one cannot be built. Here for programs that ask.
function Scheduler:detect_cycle()
  check(self, "detect_cycle")
end

---The plan: stages, what they wait for, what can run side by side.
---@return astrum.ExecutionPlan
function Scheduler:get_execute_timeline()
  check(self, "get_execute_timeline")
  return self.plan
end

-- --- drawing

local function drawn_function(fn)
  local source, line = core.definition(fn)
  return line > 0 and source .. ":" .. line or "C function"
end

-- How an input is drawn: constants and contexts are not.
local function drawn_input(entry)
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
    local label = drawn_function(entry.value)
    list[1] = { parameter = entry.parameter, kind = "function", label = label }
  end
  return list
end

local function drawing_of(workflow)
  local drawn = { index = workflow.index, tasks = {}, namespace = workflow.namespace }
  for id, task in ipairs(workflow.tasks) do
    local inputs = { n = 0 }
    for i = 1, task.inputs.n do
      for _, input in ipairs(drawn_input(task.inputs[i])) do
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
---@param given? { width?: integer, color?: boolean, unicode?: boolean }
---@return string
function Scheduler:tree(given)
  local this = check(self, "tree")
  return view.tree(drawing_of(this.workflow), drawing_options(given, "tree"))
end

---The tree, the table of data and a summary as text: what `visualize` prints.
---@param given? { width?: integer, color?: boolean, unicode?: boolean }
---@return string
function Scheduler:draw(given)
  local this = check(self, "draw")
  return view.draw(drawing_of(this.workflow), drawing_options(given, "draw"))
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
