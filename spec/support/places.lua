-- The two places where code may wait: a task and the main program.
local flow = require "spec.support.flow"

local M = {}

---Runs a body as the only task of a workflow; returns what it returns and raises what it raises.
---@param body function
---@return any
function M.in_task(body)
  local report = flow.run(function(task)
    task("body", body)
  end)
  if report.execution_state ~= "completed" then
    error(report:task("body").error.cause, 0)
  end
  return report:result("body")
end

---@param body function
---@return any
function M.in_main(body)
  return (body())
end

---Each place has a name, to be described by, and the function that runs a body there.
M.both = {
  { name = "in a task", run = M.in_task },
  { name = "in the main program", run = M.in_main },
}

---The error message of a body that is a task of flow.lua, given as source text.
---@param text string
---@param given any
---@return string?
function M.failure(text, given)
  local registry = flow.load('task("body", function()\n' .. text .. "\nend)", given)
  return registry:run({}):task("body").error_message
end

return M
