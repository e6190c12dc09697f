-- Compiles a workflow into a program: bodies, and for each argument where its value comes from.
-- It is what a run works on, so that nothing of the declaration is looked at between two tasks.
local bodies = require "astrum.body"
local core = require "astrum.core"
local secret = require "astrum.secret"

core.own()

local M = {}

-- The references inside a constant table, each with the id of its task and its keys.
local function inner_references(workflow, entry)
  local found = {}
  for _, reference in ipairs(entry.references) do
    local name, path = core.reference(reference)
    local keys = { workflow.index[name] }
    table.move(path, 1, path.n, 2, keys)
    found[reference] = keys
  end
  return found
end

-- The binding's own, ns.
local DEFAULT_GRACE <const> = 5000000000

local ADD <const> = {}

function ADD.reference(program, workflow, id, entry)
  local name, path = core.reference(entry.reference)
  local wanted, optional = entry.type, false
  if workflow.config.skip_type_check then
    optional = type(wanted) == "string" and wanted:sub(-1) == "?"
    wanted = nil
  end
  local source = workflow.index[name]
  local hidden = entry.hidden
  program:reference(id, entry.parameter, hidden, source, path, wanted, optional, entry.default)
end

ADD["function"] = function(program, _, id, entry)
  program:call(id, entry.parameter, entry.hidden, entry.value)
end

function ADD.constant(program, _, id, entry)
  program:constant(id, entry.parameter, entry.hidden, entry.value)
end

function ADD.template(program, workflow, id, entry)
  local references = inner_references(workflow, entry)
  program:template(id, entry.parameter, entry.hidden, entry.value, references)
end

function ADD.inputs(program, _, id)
  program:inputs(id)
end

function ADD.context(program, _, id)
  program:context(id)
end

function ADD.item(program, _, id, entry)
  program:item(id, entry.parameter, entry.hidden, entry.item)
end

function ADD.param(program, _, id, entry)
  program:param(id, entry.parameter, entry.hidden, entry.name)
end

local compile -- M.compile, which tasks that are workflows need

-- What only tasks with a policy have.
local function add_policy(program, workflow, id, task)
  local policy, lists = task.policy, task.record.map
  if lists then
    for _, list in ipairs(lists) do
      ADD[list.input.kind](program, workflow, id, list.input)
    end
    program:map(id, #lists)
  end
  if task.when then
    program:condition(id, task.when.fn, task.when.positions)
  end
  if policy.retry_on then
    program:retry_on(id, policy.retry_on)
  end
  if policy.cancel_grace ~= DEFAULT_GRACE then
    program:cancel_grace(id, policy.cancel_grace)
  end
  local limited = policy.timeout ~= nil or policy.idle_timeout ~= nil
  program:flags(id, policy.trigger ~= "all_success", limited)
end

-- The ids of the tasks whose results are to stay: those that are named, and the sensitive ones,
-- which are looked for in all that is shown.
local function kept_ids(workflow, names)
  local ids = {}
  for id in pairs(secret.sources(workflow) or {}) do
    table.insert(ids, id)
  end
  for _, name in ipairs(names) do
    table.insert(ids, workflow.index[name])
  end
  return ids
end

local function compile_task(program, workflow, id, stubs)
  local task = workflow.tasks[id]
  local child = task.child
  if child and not child.program then
    child.program = compile(child)
  end
  program:body(id, bodies.of(workflow, task, stubs and stubs[task.name]))
  local inputs = task.inputs
  for i = 1, inputs.n do
    local entry = inputs[i]
    ADD[entry.kind](program, workflow, id, entry)
  end
  local policy = task.policy
  if policy.graph or policy.cancel_grace ~= DEFAULT_GRACE or task.when then
    add_policy(program, workflow, id, task)
  end
end

---Compiles a workflow and the workflows that are tasks of it; they have their own in `program`.
---@param workflow astrum.Workflow
---@param stubs? table<string, function> bodies in place of those that are declared
---@return userdata program
function M.compile(workflow, stubs)
  local program = core.program(workflow.graph)
  local store = workflow.store
  if stubs or workflow.settings.around then
    store = nil
  end
  local id, count = 1, #workflow.tasks
  while id <= count do
    if store and store:is_plain(id) then
      id = program:plain(store, id, count)
    else
      compile_task(program, workflow, id, stubs)
      id = id + 1
    end
  end
  local kept = workflow.config.keep_results or "all"
  if kept == "targets" then
    kept = workflow.targets or {}
  end
  if kept ~= "all" then
    program:keep(kept_ids(workflow, kept))
  end
  return program
end

compile = M.compile

return M
