-- Runs: starting one, its handle, and what the C module asks of Lua while it goes on.
local core = require "astrum.core"
local errors = require "astrum.error"
local failure = require "astrum.failure"
local log = require "astrum.log"
local reports = require "astrum.report"

core.own()

local M = {}

---@class astrum.RunData what belongs to one run; the C module hands it to the hooks
---@field run userdata
---@field workflow astrum.Workflow
---@field namespace string
---@field run_id string
---@field path string identity: the run_id, below it those of parent tasks
---@field params table
---@field planning_duration number
---@field reason any why it was cancelled
---@field listeners function[] called when it has its verdict
---@field report astrum.Report?

-- --- handles

---A run that has been started. What changes during a run is read from here.
---@class astrum.Run
local Run = { __name = "astrum.Run" }
Run.__index = Run

local private = setmetatable({}, { __mode = "k" })

local function data_of(handle)
  return private[handle]
end

---Raises an error at the user's line where nobody can wait for a run.
---@param what string the function that waits
---@param run userdata? nil for a run that is to be started
---@param id integer? of a task of the run
function M.check_wait(what, run, id)
  -- The module puts no line of ours before a text for pcall.
  local ok, why = pcall(core.check_wait, run, id, what)
  if not ok then
    errors.raise("SchedulerError", why)
  end
end

-- States of the scheduler under the names that users see.
local SHOWN <const> = { ready = "pending", retrying = "running" }

-- A detached task: its own state, beside that of the run.
local function tail_task(data, id)
  local run, name = data.run, data.workflow.tasks[id].name
  local fields = {}
  function fields.status()
    local state = run:record(id).state
    return SHOWN[state] or state
  end
  function fields.result()
    if run:record(id).state == "completed" then
      return run:result(id)
    end
  end
  function fields.error()
    return run:error(id)
  end
  local methods = {}
  --- Waits until the task is over; returns its status.
  function methods.wait()
    M.check_wait("wait", run, id)
    run:wait(id)
    return fields.status()
  end
  return setmetatable({}, {
    __name = "astrum.TailTask",
    __index = function(_, key)
      if key == "task_name" then
        return name
      end
      local field = fields[key]
      if field then
        return field()
      end
      return methods[key]
    end,
    __newindex = function()
      errors.raise("SchedulerError", "the handle of a detached task is read-only")
    end,
    __tostring = function()
      return "detached task " .. errors.quote(name) .. ": " .. fields.status()
    end,
  })
end

local SIGNALS <const> = { [1] = "SIGHUP", [2] = "SIGINT", [15] = "SIGTERM" }

local function reason_of(data)
  local signal = core.interrupted(true)
  if data.reason == nil and signal then
    return SIGNALS[signal] or "signal " .. signal
  end
  return data.reason
end

local function report_of(data)
  if not data.report then
    local tails = {}
    for id, task in ipairs(data.workflow.tasks) do
      if task.detached then
        tails[task.name] = tail_task(data, id)
      end
    end
    local timing = { planning_duration = data.planning_duration }
    data.report = reports.new(data.run, data.workflow, timing, {
      tail_tasks = tails,
      reason = reason_of(data),
    })
  end
  return data.report
end

local exit <const> = os.exit

-- In astrum-lua a signal that has ended the runs ends the program too.
local function end_if_interrupted(report)
  local signal = core.interrupted()
  if signal and core.owns_process then
    io.stdout:flush()
    io.stderr:write(tostring(report), "\n")
    exit(128 + signal, true)
  end
end

---Waits until the run has its verdict and returns its report. In the main program this turns the
---event loop, inside a task it suspends the task.
---@return astrum.Report
function Run:wait()
  local data = data_of(self)
  M.check_wait("wait", data.run)
  data.run:wait()
  local report = report_of(data)
  if not core.context() then
    end_if_interrupted(report)
  end
  return report
end

---Asks the run to stop: nothing new starts, and what runs is cancelled. Returns at once.
---@param reason any is told in the report
function Run:cancel(reason)
  local data = data_of(self)
  if data.reason == nil and not data.run:finished() then
    data.reason = reason
  end
  data.run:cancel()
end

---@class astrum.RunStatus
---@field state "running"|"completed"|"failed"|"cancelled"
---@field tasks integer
---@field completed integer
---@field failed integer
---@field cancelled integer
---@field skipped integer
---@field running integer
---@field duration number seconds so far
---@field progress table<string, table> what tasks told by ctx.progress: { fraction, text }

---How far the run is.
---@return astrum.RunStatus
function Run:status()
  local data = data_of(self)
  local status = data.run:status()
  status.progress = {}
  for id, task in ipairs(data.workflow.tasks) do
    local fraction, text = data.run:progress(id)
    if fraction then
      status.progress[task.name] = { fraction = fraction, text = text }
    end
  end
  return status
end

---Calls a function with the report when the run has its verdict, at once if it has it already.
---@param fn fun(report: astrum.Report)
function Run:on_done(fn)
  if type(fn) ~= "function" then
    errors.raise("SchedulerError", "on_done: a function is wanted, got " .. type(fn))
  end
  local data = data_of(self)
  if data.run:finished() then
    fn(report_of(data))
  else
    data.listeners[#data.listeners + 1] = fn
  end
end

---The report of a run that has its verdict, else nil.
---@return astrum.Report?
function Run:report()
  local data = data_of(self)
  return data.run:finished() and report_of(data) or nil
end

function Run:__tostring()
  local data = data_of(self)
  return "run " .. data.run_id .. ": " .. data.run:status().state
end

function Run.__newindex()
  errors.raise("SchedulerError", "the handle of a run is read-only")
end

-- --- starting

local count = 0

-- A name that no other run has: the time, and a number that is not the same twice.
local function new_run_id()
  count = count + 1
  local unique = (math.floor(core.clock() * 1e6) * 0x9E3779B1 + count) & 0xFFFFFFFF
  return os.date("!%Y%m%dT%H%M%SZ") .. ("-%08x"):format(unique)
end

local function check_nested(config, context)
  if context and config.concurrency_limit then
    errors.raise(
      "ConfigError",
      "concurrency_limit belongs to the outermost run; this one runs inside task "
        .. errors.quote(context.task),
      "leave it out here; the run inside takes its slots from the outer one"
    )
  end
end

-- How many runs an attempt has started, by its context.
local children = setmetatable({}, { __mode = "k" })

-- Identity: the run_id, or the path of the task that it belongs to; a second run of the same
-- attempt is told from the first by its number.
local function path_of(context, run_id)
  if not context then
    return run_id
  end
  local number = (children[context] or 0) + 1
  children[context] = number
  return context.idempotency_key .. (number > 1 and "#" .. number or "")
end

---Starts a run; nothing of it runs before the event loop turns.
---@param workflow astrum.Workflow
---@param program userdata
---@param planning_duration number
---@return astrum.Run
function M.start(workflow, program, planning_duration)
  local config, context = workflow.config, core.context()
  check_nested(config, context)
  local run_id = new_run_id()
  local data = {
    workflow = workflow,
    namespace = workflow.namespace,
    run_id = run_id,
    path = path_of(context, run_id),
    params = {},
    planning_duration = planning_duration,
    listeners = {},
  }
  local run, why, code = core.start(program, {
    keep_going = config.failure_mode == "keep_going",
    concurrency = config.concurrency_limit,
    seed = math.floor(core.clock() * 1e9),
    events = not config.silence,
    data = data,
  })
  if not run then
    local help = code == "EDEPTH" and "at most 16 runs may be inside one another" or nil
    errors.raise("SchedulerError", "the run cannot be started: " .. why, help)
  end
  data.run = run
  local handle = setmetatable({}, Run)
  private[handle] = data
  if not config.silence then
    log.event { kind = "run_started", path = data.path }
  end
  return handle
end

-- --- hooks of the C module

local hooks = {}

function hooks.failure(data, id, attempt, value, traceback, how)
  return failure.of_body(data.workflow.tasks[id].name, attempt, value, traceback, how)
end

function hooks.input(data, id, attempt, problem, position, step, value)
  return failure.of_input(data.workflow, data.run, id, attempt, problem, position, step, value)
end

function hooks.event(data, kind, id, attempt, _, state, will_retry)
  local event = { kind = kind, path = data.path, attempt = attempt, state = state }
  if id then
    event.task = data.workflow.tasks[id].name
    event.path = data.path .. "/" .. event.task
    event.will_retry = will_retry
    if state == "failure" then
      local attempts = data.run:attempts(id)
      event.error = attempts[attempt] and attempts[attempt].error
    end
  end
  if kind ~= "run_started" then
    log.event(event)
  end
end

function hooks.log(data, id, _, text)
  log.task(data.workflow.tasks[id].name, text)
end

function hooks.error(where, value)
  log.stray_error(where, failure.text(value))
end

local function with_traceback(value)
  local text = failure.text(value)
  return debug and debug.traceback(text, 2) or text
end

function hooks.done(data)
  for _, listener in ipairs(data.listeners) do
    local ok, why = xpcall(listener, with_traceback, report_of(data))
    if not ok then
      log.stray_error("an on_done function", why)
    end
  end
  data.listeners = {}
end

core.set_hooks(hooks)

return M
