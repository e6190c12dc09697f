-- What runs in a worker thread (lua_worker.c): one task, the host, in which `core.serve` runs the
-- bodies of other tasks one by one. When something ends the host, the next one goes on.
local core = require "astrum.core"
local failure = require "astrum.failure"
local registries = require "astrum.registry"
local runs = require "astrum.run"
local schedulers = require "astrum.scheduler"
local traces = require "astrum.traceback"

core.own()

local M = {}

-- What ctx tells is that of the body that runs.
local TOLD <const> = setmetatable({
  log = core.tell_log,
  progress = core.tell_progress,
}, { __index = core.told })

---Runs bodies until the pool is closed.
function M.main()
  local registry = registries.SchedulerRegistry "worker"
  registry.task("host", function()
    core.serve(failure.text)
  end)
  local scheduler = registry:build_scheduler {}
  local workflow, program = schedulers.workflow_of(scheduler), schedulers.program_of(scheduler)
  while core.is_serving() do
    local report = runs.execute(workflow, program, { told = TOLD })
    local why = report:task("host").error
    if why then
      core.end_call(why.message, why.cause, traces.trim(why.traceback))
    else
      core.end_call "the worker thread was stopped"
    end
  end
end

return M
