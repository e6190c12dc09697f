-- What an attempt calls: the body of the declaration, a stub in its place, or what stands for a
-- workflow; inside the functions that are to be around it.
local core = require "astrum.core"
local errors = require "astrum.error"
local executor = require "astrum.executor"
local params = require "astrum.param"

core.own()

local M = {}

-- How the bodies of tasks that are workflows are run; run.lua sets it.
local run_child

---Sets what runs a workflow that is a task.
---@param fn fun(child: astrum.Workflow, values: table): any
function M.set_run_child(fn)
  run_child = fn
end

local function child_body(task)
  local child, names = task.child, {}
  for i = 1, task.inputs.n do
    names[i] = task.inputs[i].parameter
  end
  return function(...)
    local values = {}
    for i, name in ipairs(names) do
      local value = (select(i, ...))
      local problem = params.problem(child.params[name], value)
      if problem then
        error(errors.new("TypeMatchError", problem, { task = task.name }), 0)
      end
      values[name] = value
    end
    return run_child(child, values)
  end
end

local function wrap(around, body)
  return function(...)
    local arguments = table.pack(...)
    return around(core.context(), function()
      return body(table.unpack(arguments, 1, arguments.n))
    end)
  end
end

---The function that an attempt of a task calls.
---@param workflow astrum.Workflow
---@param task table of the workflow
---@param stub? function in place of the body
---@return function
function M.of(workflow, task, stub)
  local body = task.record.run
  if stub then
    body = stub
  elseif task.child then
    body = child_body(task)
  elseif task.packed then
    body = executor.body(task, workflow)
  end
  if task.record.around then
    body = wrap(task.record.around, body)
  end
  if workflow.settings.around and not task.record.is_reused then
    body = wrap(workflow.settings.around, body)
  end
  return body
end

return M
