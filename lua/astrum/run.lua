-- Runs: starting one, its handle, and what the C module asks of Lua while it goes on.
local bodies = require "astrum.body"
local core = require "astrum.core"
local errors = require "astrum.error"
local events = require "astrum.event"
local executor = require "astrum.executor"
local failure = require "astrum.failure"
local log = require "astrum.log"
local option_lists = require "astrum.options"
local params = require "astrum.param"
local reports = require "astrum.report"
local secret = require "astrum.secret"
local unused = require "astrum.unused"

core.own()

local M = {}

---@class astrum.RunData what belongs to one run; the C module hands it to the hooks
---@field run userdata
---@field workflow astrum.Workflow
---@field namespace string
---@field run_id string
---@field path string identity: the run_id, below it those of parent tasks
---@field params table<string, any> values, with defaults
---@field planning_duration number
---@field reason any why it was cancelled
---@field listeners function[] called when it has its verdict
---@field report astrum.Report?
---@field parent astrum.RunData? the run around it
---@field parent_id integer? the task of that run
---@field pool_numbers table<string, integer> of the outermost run, from 0
---@field seed integer
---@field watch function? is told of what happens, for the progress
---@field keep_going boolean
---@field too_deep astrum.Error? a run inside it that was refused
---@field reports table<integer, table<integer, astrum.Report>>? of the runs of tasks that are
---workflows, by task and item; item 0 is the task itself

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
    local state = run:state(id)
    return SHOWN[state] or state
  end
  function fields.result()
    if run:state(id) == "completed" then
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
  return secret.hide_value(data, data.reason)
end

local function report_of(data)
  if not data.report then
    secret.hide_errors(data)
    local tails = {}
    for id in pairs(data.workflow.detached) do
      tails[data.workflow.tasks[id].name] = tail_task(data, id)
    end
    -- Those of detached tasks may come later.
    data.reports = data.reports or {}
    local timing = { planning_duration = data.planning_duration }
    data.report = reports.new(data.run, data.workflow, timing, {
      tail_tasks = tails,
      reason = reason_of(data),
      reports = data.reports,
      data = data,
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
    io.stderr:write(reports.of_interrupted(report))
    exit(128 + signal, true)
  end
end

-- The refusal of a run that was too deep, if this run failed of it.
local function too_deep(data)
  local blame = data.too_deep and data.run:status().blame
  local failed = blame and data.run:error(blame)
  return failed and failed.cause == data.too_deep and data.too_deep or nil
end

---Waits until the run has its verdict and returns its report. In the main program this turns the
---event loop, inside a task it suspends the task. Raises a SchedulerError where nobody can wait, as
---in a callback of the loop or in a task of this very run.
---@return astrum.Report
function Run:wait()
  local data = data_of(self)
  M.check_wait("wait", data.run)
  data.run:wait()
  local report = report_of(data)
  if not core.context() then
    end_if_interrupted(report)
  elseif data.parent and too_deep(data) then
    -- It is a mistake of the workflow and no failure that a report may keep from the bodies around:
    -- who returns the report would have completed.
    data.parent.too_deep = data.too_deep
    error(data.too_deep, 0)
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
  for _, id in ipairs(data.run:telling()) do
    local fraction, text = data.run:progress(id)
    text = text and secret.hide(data, text)
    status.progress[data.workflow.tasks[id].name] = { fraction = fraction, text = text }
  end
  return status
end

---Calls a function with the report when the run has its verdict, at once if it has it already. An
---error in it is told on stderr. Raises a SchedulerError for what is no function.
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

---The values of the params of a run.
---@param handle astrum.Run
---@return table<string, any>
function M.params_of(handle)
  return data_of(handle).params
end

option_lists.want_colon(Run, "handle", function(value)
  return private[value]
end)

-- --- starting

---What the command line asks of outermost runs.
---@class astrum.RunCommand
---@field before fun(workflow: astrum.Workflow, given: table?) called with the params that
---are given, before a run is started; may end the process
---@field params fun(workflow: astrum.Workflow, given: table?): table? values in place of `given`
---@field watches fun(workflow: astrum.Workflow): "failures"|"all"|nil what `started` returns a
---function for
---@field started fun(data: astrum.RunData): function? called when a run has been started; what it
---returns is told of attempts that fail, or of all that happens
---@field ended fun(data: astrum.RunData, report: astrum.Report)
---@field what string? begins the texts of errors, where no function of the user's is at fault
---@field concurrency integer?
---@field keep_going true?
local command

---Sets what the command line asks of the outermost runs that are started from now on.
---@param asked astrum.RunCommand
function M.set_command(asked)
  command = asked
end

---What is asked of those runs.
---@return astrum.RunCommand?
function M.command()
  return command
end

local NONE <const> = {}
local count = 0

-- A name that no other run has: the time, and a number that is not the same twice.
local function new_run_id()
  count = count + 1
  local unique = (math.floor(core.clock() * 1e6) * 0x9E3779B1 + count) & 0xFFFFFFFF
  return os.date("!%Y%m%dT%H%M%SZ") .. ("-%08x"):format(unique)
end

-- Settings that belong to the outermost run.
local OUTERMOST <const> = { "concurrency_limit", "pools", "max_total_attempts" }

local function check_nested(config, context)
  for _, key in ipairs(OUTERMOST) do
    if config[key] ~= nil then
      local text = key .. " belongs to the outermost run; this one runs inside task "
      local help = "leave it out here; the runs inside share the limits of the outer one"
      errors.raise("ConfigError", text .. errors.quote(context.task), help)
    end
  end
end

-- How many runs an attempt has started, by its context.
local children = setmetatable({}, { __mode = "k" })

-- Identity: the run_id, or the path of the task that it belongs to; a second run of the same
-- attempt is told from the first by its number.
local function path_of(context, run_id)
  if not context then
    return run_id, 1
  end
  local number = (children[context] or 0) + 1
  children[context] = number
  return context.idempotency_key .. (number > 1 and "#" .. number or ""), number
end

-- Another seed for each run inside, the same whenever the outermost has the same: FNV-1a of the
-- task, the item and the number of the run.
local function child_seed(seed, task, item, number)
  local hash = seed ~ 0xCBF29CE484222325
  for _, byte in ipairs { (task .. "\0" .. item .. "\0" .. number):byte(1, -1) } do
    hash = (hash ~ byte) * 0x100000001B3
  end
  return hash
end

-- The pools of an outermost run as a list, and their numbers.
local function pools_of(settings)
  local names, pools, numbers = {}, {}, {}
  for name in pairs(settings.pools or {}) do
    names[#names + 1] = name
  end
  table.sort(names)
  for i, name in ipairs(names) do
    pools[i] = settings.pools[name]
    numbers[name] = i - 1
  end
  return pools, numbers
end

-- For each pool of the graph its number in the outermost run.
local function pool_places(data)
  local places = {}
  for i, name in ipairs(data.workflow.pools) do
    places[i] = data.pool_numbers[name]
    if not places[i] then
      local text = "the outermost run has no pool " .. errors.quote(name)
      local help = "declare it in the config of that run, as in pools = { %s = 2 }"
      errors.raise("ConfigError", text, help:format(errors.escape(name)))
    end
  end
  return places
end

-- The units that the tasks around a run hold, and the pools of the outermost one.
local function held_around(data)
  local held, outermost = {}, data
  local around, id = data.parent, data.parent_id
  while around do
    for _, pool in ipairs(around.workflow.tasks[id].policy.pools or {}) do
      held[pool.name] = (held[pool.name] or 0) + pool.units
    end
    outermost, around, id = around, around.parent, around.parent_id
  end
  return held, outermost.workflow.settings.pools or {}
end

-- Why a run can never be granted what a task of it wants from a pool.
local function pool_problem(data)
  local held, pools = held_around(data)
  for _, task in ipairs(data.workflow.special) do
    for _, want in ipairs(task.policy.pools or {}) do
      local name, slots = want.name, pools[want.name] and pools[want.name].slots
      if slots and want.units + (held[name] or 0) > slots then
        local text = "task %s wants %d unit%s of pool %s, which has %d"
        local plural = want.units == 1 and "" or "s"
        text = text:format(errors.quote(task.name), want.units, plural, errors.quote(name), slots)
        return held[name] and text .. ", and the tasks around this run hold " .. held[name] or text
      end
    end
  end
  return "a task wants more units of a pool than there are"
end

-- Help for a run that is too deep: a workflow that goes around in a circle, as a rule.
local function depth_help(data)
  local help = "at most 16 runs may be inside one another"
  local inner = data
  while inner.parent do
    local outer = inner.parent
    if outer.workflow.source == data.workflow.source then
      local name = errors.quote(outer.workflow.tasks[inner.parent_id].name)
      return help .. "; task " .. name .. " runs the workflow that it belongs to"
    end
    inner = outer
  end
  return help
end

local function raise_refused(data, why, code)
  local help
  if code == "EDEPTH" then
    help = depth_help(data)
  elseif code == "EPOOL" then
    why = pool_problem(data)
    help = "it could never start; take fewer units, or give the pool more slots"
  end
  local source, line = core.where()
  if line < 0 and data.parent then
    -- The body has left its place to what it returns: return astrum.run().
    local record = data.parent.workflow.tasks[data.parent_id].record
    source, line = record.source, record.line
  end
  local text = "the run cannot be started: " .. why
  local refused = errors.at("SchedulerError", source, line, text, help)
  if code == "EDEPTH" then
    data.parent.too_deep = refused
  end
  error(refused, 0)
end

---@class astrum.RunOptions
---@field params table<string, any>? values of the workflow's parameters
---@field seed integer? of the jitter
---@field what string? the function of the user's, for texts of errors
---@field told table? what ctx tells, of a body that runs for a task elsewhere

---Starts a run; nothing of it runs before the event loop turns.
---@param workflow astrum.Workflow
---@param program userdata
---@param planning_duration number
---@param options astrum.RunOptions
---@return astrum.Run
function M.start(workflow, program, planning_duration, options)
  local config, settings, context = workflow.config, workflow.settings, core.context()
  local asked = not context and command or NONE
  local given = options.params
  if asked.before then
    asked.before(workflow, given)
    given = asked.params(workflow, given)
  end
  local what = options.what or asked.what or "execute"
  local values = params.resolve(workflow.params, given, what, workflow.param_values)
  local told = options.told
  local run_id = told and told.run_id or new_run_id()
  local path, number = path_of(context, run_id)
  local data = {
    workflow = workflow,
    namespace = workflow.namespace,
    run_id = run_id,
    path = path,
    params = values,
    planning_duration = planning_duration,
    listeners = {},
    told = told,
    keep_going = asked.keep_going or config.failure_mode == "keep_going",
  }
  local pools
  if context then
    check_nested(config, context)
    data.parent, data.parent_id = core.current_run()
    data.run_id = context.run_id
    data.pool_numbers = data.parent.pool_numbers
    data.seed = child_seed(executor.seed(data.parent), context.task, context.item or 0, number)
  else
    pools, data.pool_numbers = pools_of(settings)
    data.seed = options.seed or settings.seed or math.floor(core.clock() * 1e9)
  end
  local watches = asked.watches and asked.watches(workflow)
  local run, why, code = core.start(program, {
    keep_going = data.keep_going,
    concurrency = asked.concurrency or config.concurrency_limit,
    max_total_attempts = settings.max_total_attempts,
    deadline = settings.deadline,
    pools = pools,
    pool_of = pool_places(data),
    seed = data.seed,
    events = events.wanted(workflow),
    failures = watches ~= nil,
    changes = watches == "all" or settings.on_event ~= nil,
    data = data,
  })
  if not run then
    raise_refused(data, why, code)
  end
  data.run = run
  unused.has_run = true
  if asked.started then
    data.watch = asked.started(data)
    data.listeners[1] = function(report)
      asked.ended(data, report)
    end
  end
  local handle = setmetatable({}, Run)
  private[handle] = data
  secret.watch(data)
  return handle
end

---Runs a workflow to its verdict, and leaves what a signal means to the caller.
---@param workflow astrum.Workflow
---@param program userdata
---@param options astrum.RunOptions
---@return astrum.Report
function M.execute(workflow, program, options)
  local data = data_of(M.start(workflow, program, 0.0, options))
  data.run:wait()
  return report_of(data)
end

-- --- tasks that are workflows

-- The error of a task whose workflow did not complete: the path to the task that is to blame.
local function child_error(context, data)
  local name, label = context.task, context.task
  if context.item then
    label = label .. "[" .. context.item .. "]"
  end
  local status = data.run:status()
  local cause = status.blame and data.run:error(status.blame)
  if not cause then
    local text = "workflow "
      .. errors.quote(name)
      .. " "
      .. (report_of(data).error_summary[1] or "")
    return errors.new("TaskFailedError", text, { task = name })
  end
  local inner = data.workflow.tasks[status.blame].name
  local text = failure.text(cause)
  if errors.is_error(cause) then
    inner = cause.path or cause.item and inner .. "[" .. cause.item .. "]" or inner
    text = cause.root_text or text
  end
  local path = label .. "/" .. inner
  return errors.new("TaskFailedError", "task " .. errors.quote(path) .. " failed: " .. text, {
    task = name,
    path = path,
    root_text = text,
    cause = cause,
    traceback = errors.is_error(cause) and cause.traceback or nil,
  })
end

local function keep_report(data, context, report)
  local parent, id = data.parent, data.parent_id
  parent.reports = parent.reports or {}
  parent.reports[id] = parent.reports[id] or {}
  parent.reports[id][context.item or 0] = report
end

bodies.set_run_child(function(child, values)
  local context = core.context()
  local handle = M.start(child, child.program, 0.0, { params = values })
  local data = data_of(handle)
  data.run:wait()
  local report = report_of(data)
  keep_report(data, context, report)
  if report:ok() then
    return report.task_return_set
  end
  error(child_error(context, data), 0)
end)

-- --- hooks of the C module

local hooks = {}

local function outermost(data)
  while data.parent do
    data = data.parent
  end
  return data
end

function hooks.failure(data, id, attempt, item, value, traceback, how)
  local name = data.workflow.tasks[id].name
  if how == "attempts" then
    return failure.of_attempts(name, item, outermost(data).workflow.settings.max_total_attempts)
  end
  local mask = secret.hider(data)
  local failed, is_final = failure.of_body(name, attempt, item, value, traceback, how, mask)
  return secret.hide_error(data, failed), is_final
end

function hooks.input(data, id, attempt, item, problem, position, step, value)
  local place = { id = id, attempt = attempt, item = item > 0 and item or nil }
  local workflow, mask = data.workflow, secret.hider(data)
  local failed = failure.of_input(workflow, data.run, place, problem, position, step, value, mask)
  return secret.hide_error(data, failed)
end

function hooks.timeout(data, id, attempt, item, idle, traceback)
  local failed = failure.of_timeout(data.workflow.tasks[id], attempt, item, idle, traceback)
  return secret.hide_error(data, failed)
end

-- Where a body was that was stopped with the run; or, with the error of that, one in a worker
-- thread that took too long.
function hooks.stopped(data, id, item, traceback, late)
  if errors.is_error(late) then
    late.traceback = secret.hide(data, traceback)
    return
  elseif data.told and data.told.stopped then
    data.told.stopped(traceback)
  end
  data.stopped = data.stopped or {}
  table.insert(data.stopped, { id = id, item = item, traceback = traceback })
end

-- The result of a map: the list of what its items returned.
function hooks.items(data, id, results, items)
  local mode = data.workflow.tasks[id].policy.on_item_failure
  results.n = items
  if mode == "fail" then
    return results
  end
  local kept = { n = 0 }
  for item = 1, items do
    local error_of = data.run:error(id, item)
    if mode == "collect" and error_of ~= nil then
      results[item] = error_of
    elseif mode == "skip" and data.run:state(id, item) == "completed" then
      kept.n = kept.n + 1
      kept[kept.n] = results[item]
    end
  end
  return mode == "skip" and kept or results
end

hooks.event = events.tell

function hooks.log(data, id, _, item, text)
  text = secret.hide(data, text)
  if data.told then
    data.told.log(text)
  else
    log.task(data.workflow.tasks[id].name, item > 0 and item or nil, text)
  end
end

function hooks.error(where, value)
  log.stray_error(errors.escape(where), failure.text(value, secret.hide_all))
end

local function with_traceback(value)
  local text = failure.text(value)
  return debug and debug.traceback(text, 2) or text
end

function hooks.done(data)
  for _, listener in ipairs(data.listeners) do
    local ok, why = xpcall(listener, with_traceback, report_of(data))
    if not ok then
      log.stray_error("an on_done function", secret.hide_all(why))
    end
  end
  data.listeners = {}
end

core.set_hooks(hooks)

return M
