-- What runs in a worker thread (lua_worker.c): one task, the host, in which `core.serve` runs the
-- bodies of other tasks one by one. When something ends the host, the next one goes on.
local core = require "astrum.core"
local errors = require "astrum.error"
local failure = require "astrum.failure"
local log = require "astrum.log"
local registries = require "astrum.registry"
local runs = require "astrum.run"
local schedulers = require "astrum.scheduler"
local secret = require "astrum.secret"
local traces = require "astrum.traceback"
local travel = require "astrum.travel"

core.own()

local M = {}

-- Where the body was that has been stopped.
local place

-- What ctx tells is that of the body that runs.
local TOLD <const> = setmetatable({
  log = core.tell_log,
  progress = core.tell_progress,
  stopped = function(traceback)
    place = traceback
  end,
}, { __index = core.told })

local STUCK <const> = "nothing is left in the worker thread that could let the body go on"

-- The text of the error of a body, and its value where the text does not tell all of it; `refused`:
-- why its result cannot travel. Only here are the secrets of runs inside the body known.
local function told_of(value, refused)
  local data = core.current_run()
  if refused then
    return secret.hide(data, travel.result_text(refused, travel.PLACES.thread))
  end
  local text = failure.text(value, secret.hider(data))
  if type(value) == "string" then
    value = secret.hide(data, value)
    if value == text then
      value = nil
    end
  end
  return text, errors.sent(value)
end

---Runs bodies until the pool is closed.
function M.main()
  log.tell_home = core.tell_stray
  local registry = registries.SchedulerRegistry "worker"
  registry.task("host", function()
    core.serve(told_of)
  end)
  local scheduler = registry:build_scheduler {}
  local workflow, program = schedulers.workflow_of(scheduler), schedulers.program_of(scheduler)
  while core.is_serving() do
    place = nil
    local report = runs.execute(workflow, program, { told = TOLD })
    local why = report:task("host").error
    if why then
      core.end_call(why.message, errors.sent(why.cause), traces.trim(place or why.traceback))
    else
      core.end_call(STUCK, nil, traces.trim(place))
    end
  end
end

return M
