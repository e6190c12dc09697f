-- The other side of executor.lua: a child process that runs one body. What it is to run comes on
-- standard input; frames go out on descriptor 3, where the parent reads them.
local core = require "astrum.core"
local errors = require "astrum.error"
local failure = require "astrum.failure"
local log = require "astrum.log"
local registries = require "astrum.registry"
local runs = require "astrum.run"
local schedulers = require "astrum.scheduler"
local traces = require "astrum.traceback"
local travel = require "astrum.travel"

core.own()

local M = {}

local function send(letter, payload)
  core.write_channel(string.pack("<I4", #payload) .. letter .. payload)
end

-- An error value travels if it is data; its text always does.
local function send_error(value, traceback)
  local text = failure.text(value)
  local encoded = value ~= text and core.encode("error", text, errors.sent(value), traceback)
  send("e", encoded or core.encode("error", text, nil, traceback))
end

local function send_stray(where, text)
  send("s", core.encode("stray error", where, text))
  return true
end

local function send_result(result)
  local encoded, why = core.encode("result", result)
  if encoded then
    send("r", encoded)
  else
    send_error(travel.result_text(why, travel.PLACES.process), nil)
  end
end

-- A body that a task of this process runs, so that it may wait and has its `ctx`.
local function run(about, body, arguments)
  local results
  local registry = registries.SchedulerRegistry(about.namespace)
  registry.task(about.task, function()
    if about.ctx_at then
      arguments[about.ctx_at] = core.context()
    end
    results = table.pack(body(table.unpack(arguments, 1, arguments.n)))
    if results[1] == nil and results[2] ~= nil then
      return nil, results[2]
    end
  end)
  local scheduler = registry:build_scheduler {}
  local workflow = schedulers.workflow_of(scheduler)
  local told = {
    task = about.task,
    item = about.item,
    attempt = about.attempt,
    run_id = about.run_id,
    idempotency_key = about.key,
    deadline = about.deadline,
    params = about.params,
    log = function(text)
      send("l", text)
    end,
    progress = function(fraction, text)
      send("p", core.encode("progress", fraction, text))
    end,
  }
  local program, given = schedulers.program_of(scheduler), { told = told, seed = about.seed }
  local report = runs.execute(workflow, program, given)
  if report:ok() then
    send_result(results[1])
    return
  end
  local entry = report:task(about.task)
  local cause = entry.error
  if cause then
    send_error(cause.cause, traces.trim(cause.traceback))
  else
    send_error("nothing is left in the child process that could let the body go on", nil)
  end
end

---Runs what comes on standard input, and tells what became of it.
function M.main()
  core.keep_channel()
  log.tell_home = send_stray
  local input = table.pack(core.decode(io.stdin:read("a")))
  local about = input[2]
  package.path, package.cpath = about.path, about.cpath
  local body, why = core.unpack_function(about.packed)
  if not body then
    send_error(why, nil)
    return
  end
  run(about, body, table.pack(table.unpack(input, 3, 2 + about.n)))
end

return M
