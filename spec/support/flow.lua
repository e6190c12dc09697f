-- Workflows of a few lines for the specs of spec/flow, in registries of their own.
local astrum = require "astrum"

local M = {}

---A registry with the tasks that `declare` makes; it gets the registry's `task`.
---@param declare fun(task: function)
---@return table
function M.registry(declare)
  local registry = astrum.SchedulerRegistry "flow"
  declare(registry.task)
  return registry
end

---@param declare fun(task: function)
---@param config? table
---@return table scheduler
function M.build(declare, config)
  return M.registry(declare):build_scheduler { config = config }
end

---@param declare fun(task: function)
---@param config? table
---@return table report
function M.run(declare, config)
  return M.build(declare, config):execute()
end

---The same in virtual time.
---@param declare fun(task: function)
---@param config? table
---@return table report
function M.run_in_virtual_time(declare, config)
  return astrum.testing.run(M.registry(declare), { config = config })
end

---A registry from source text that is named flow.lua, so that error texts have known lines. The
---text sees astrum, task, F, Ref, T, sleep, and `given`.
---@param text string
---@param given any
---@return table
function M.load(text, given)
  local registry = astrum.SchedulerRegistry "flow"
  local names = setmetatable({
    astrum = astrum,
    task = registry.task,
    F = astrum.F,
    Ref = astrum.Ref,
    T = astrum.T,
    sleep = astrum.sleep,
    given = given,
  }, { __index = _G })
  assert(load(text, "=flow.lua", "t", names))()
  return registry
end

---The status of every task of a report by its name.
---@param report table
---@return table<string, string>
function M.statuses(report)
  local statuses = {}
  for _, entry in ipairs(report.task_statistics) do
    statuses[entry.task_name] = entry.status
  end
  return statuses
end

---How often each status comes, and the sum.
---@param report table
---@return table
function M.counts(report)
  return {
    completed = report.successful_tasks,
    failed = report.failed_tasks,
    timed_out = report.timed_out_tasks,
    cancelled = report.cancelled_tasks,
    skipped = report.skipped_tasks,
  }
end

---A value that adds a text to a list when it is closed.
---@param list string[]
---@param text string
function M.closing(list, text)
  return setmetatable({}, {
    __close = function()
      list[#list + 1] = text
    end,
  })
end

---The error that a function raises; there must be one.
---@param body function
---@return any
function M.raised(body, ...)
  local ok, value = pcall(body, ...)
  assert(not ok, "no error was raised")
  return value
end

---Something that tasks wait for until it is opened.
---@return { wait: function, open: function }
function M.gate()
  local gate, is_open, waiting = {}, false, {}
  function gate.wait()
    if not is_open then
      astrum.await(function(done)
        waiting[#waiting + 1] = done
      end)
    end
  end
  function gate.open()
    is_open = true
    for _, go_on in ipairs(waiting) do
      go_on()
    end
  end
  return gate
end

---What a function writes through io.stderr, which is not written.
---@param body function
---@return string
function M.stderr_of(body)
  local written = {}
  local stderr <const> = io.stderr
  local _ <close> = setmetatable({}, {
    __close = function()
      rawset(io, "stderr", stderr)
    end,
  })
  rawset(io, "stderr", {
    write = function(_, ...)
      written[#written + 1] = table.concat { ... }
    end,
  })
  body()
  return table.concat(written)
end

return M
