-- Tests of workflows: a run with bodies replaced, in virtual time. Sleeps, timeouts, delays and
-- deadlines take no real time; what a run does is the same whenever its seed is.
local core = require "astrum.core"
local errors = require "astrum.error"
local options = require "astrum.options"
local programs = require "astrum.program"
local registries = require "astrum.registry"
local runs = require "astrum.run"
local schedulers = require "astrum.scheduler"
local suggest = require "astrum.suggest"

core.own()

local M = {}

local known = options.known { "stubs", "seed", "params", "config", "target_tasks" }

---What a test changes of a run.
---@class astrum.TestOptions
---@field stubs? table<string, any> by task: what it returns, or a function in place of its body
---@field seed? integer of the jitter; that of the configuration, or 0, when left out
---@field params? table<string, any>
---@field config? astrum.Config|table with a registry only: a scheduler has its own
---@field target_tasks? string[] with a registry only

local function raise(text, help)
  errors.raise("ConfigError", "testing.run: " .. text, help)
end

local function scheduler_of(target, given)
  if schedulers.is_scheduler(target) then
    for _, key in ipairs { "config", "target_tasks" } do
      if given[key] ~= nil then
        raise(key .. " goes with a registry; a scheduler has its own", "build it with this " .. key)
      end
    end
    return target
  elseif type(target) == "string" then
    target = registries.namespace(target)
  elseif not registries.is_registry(target) then
    local text = "a registry, a namespace or a scheduler is wanted, got " .. type(target)
    raise(text, 'as in astrum.testing.run("default", { stubs = ... })')
  end
  return target:build_scheduler { config = given.config, target_tasks = given.target_tasks }
end

local function bodies_of(workflow, stubs)
  if type(stubs) ~= "table" then
    raise("stubs is a table by task name, got " .. type(stubs))
  end
  local bodies = {}
  for name, stub in next, stubs do
    if not workflow.index[name] then
      local names = {}
      for id, task in ipairs(workflow.tasks) do
        names[id] = task.name
      end
      local text = "stubs names unknown task " .. options.key_text(name)
      raise(text, suggest.help(name, names, "tasks"))
    end
    bodies[name] = type(stub) == "function" and stub or function()
      return stub
    end
  end
  return bodies
end

local Clock = { __name = "astrum.testing clock" }

function Clock.__close()
  core.virtual_time(false)
end

-- Whether other runs go on is asked here: their times would become virtual, too.
local function start_clock()
  if not core.virtual_time(true) then
    raise("other runs go on, whose time would be virtual, too", "wait for their end first")
  end
  return setmetatable({}, Clock)
end

---Runs a workflow in virtual time and returns its report, whose durations are virtual. Virtual time
---moves only while no real callback is outstanding: a child process takes the time it takes. Waits
---for detached tasks, too. Not inside a task, and not while other runs go on.
---@param target astrum.Registry|astrum.Scheduler|string a registry, a namespace, or a scheduler
---@param given? astrum.TestOptions
---@return astrum.Report
function M.run(target, given)
  given = given == nil and {} or given
  if type(given) ~= "table" then
    raise("the options are a table, got " .. type(given))
  end
  options.check(given, known, "testing.run", "ConfigError")
  if given.seed ~= nil and math.type(given.seed) ~= "integer" then
    raise("seed is an integer, got " .. options.value_text(given.seed))
  end
  local workflow = schedulers.workflow_of(scheduler_of(target, given))
  local program = programs.compile(workflow, bodies_of(workflow, given.stubs or {}))
  if core.context() then
    raise("a task cannot run it, its time would become virtual, too", "call it in the main program")
  end
  runs.check_wait("testing.run")
  local _ <close> = start_clock()
  local seed = given.seed or workflow.settings.seed or 0
  local options_of_run = { params = given.params, seed = seed, what = "testing.run" }
  local report = runs.start(workflow, program, 0.0, options_of_run):wait()
  for _, tail in pairs(report.tail_tasks) do
    tail.wait()
  end
  return report
end

return M
