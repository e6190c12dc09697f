-- Where the values of a workflow come from, in the plain form that drawings start from.
local core = require "astrum.core"

core.own()

local M = {}

-- The names of the functions that globals and loaded modules hold: os.time, get_store_name.
local function known_functions()
  local modules, names = {}, {}
  for module, value in pairs(package and package.loaded or {}) do
    if type(module) == "string" and type(value) == "table" then
      modules[#modules + 1] = module
    end
  end
  table.sort(modules, function(a, b)
    if a == "_G" or b == "_G" then
      return a == "_G" and b ~= "_G"
    end
    return a < b
  end)
  for _, module in ipairs(modules) do
    local prefix = module == "_G" and "" or module .. "."
    for key, value in next, package.loaded[module] do
      if type(key) == "string" and type(value) == "function" then
        local name = prefix .. key
        local other = names[value]
        if not other or (other.module == module and name < other.name) then
          names[value] = { module = module, name = name }
        end
      end
    end
  end
  return names
end

-- What a function is called where that can be known, else where it stands.
local function drawn_function(fn, known)
  local source, line = core.definition(fn)
  local name = known[fn] and known[fn].name
  return name or line > 0 and source .. ":" .. line or "C function"
end

-- Adds the references of an input; `parameter` gets the value, or each element of it.
local function add_references(list, entry, parameter, each)
  local shown_type = type(entry.type) == "function" and "checked" or entry.type
  for _, reference in ipairs(entry.references or { entry.reference }) do
    local name, path = core.reference(reference)
    list[#list + 1] = {
      parameter = parameter,
      kind = "reference",
      source = name,
      path = path,
      type = shown_type,
      each = each,
    }
  end
end

-- The references of an input; one that is an item has those of the list that it is taken from.
local function add_entry(list, task, entry)
  local lists = entry.kind == "item" and task.record.map
  if lists then
    add_references(list, lists[entry.item].input, entry.parameter, true)
  else
    add_references(list, entry, entry.parameter)
  end
end

---The values from tasks that a task of a workflow takes: parameter, source (a name), path, type;
---`each` when the parameter gets one element of the list at a time.
---@param task astrum.WorkflowTask
---@return table[]
function M.references(task)
  local list = {}
  for i = 1, task.inputs.n do
    add_entry(list, task, task.inputs[i])
  end
  return list
end

---A function that names functions: by global or module where that can be known, else by place.
---@return fun(fn: function): string
function M.namer()
  local known = known_functions()
  return function(fn)
    return drawn_function(fn, known)
  end
end

---A workflow as lua/astrum/view.lua draws it.
---@param workflow astrum.Workflow
---@return table
function M.of(workflow)
  local drawn = { index = workflow.index, tasks = {}, namespace = workflow.namespace }
  local name_of = M.namer()
  for id, task in ipairs(workflow.tasks) do
    local inputs = { n = 0 }
    for i = 1, task.inputs.n do
      local entry, list = task.inputs[i], {}
      if entry.kind == "function" then
        list[1] = { parameter = entry.parameter, kind = "function", label = name_of(entry.value) }
      else
        add_entry(list, task, entry)
      end
      table.move(list, 1, #list, inputs.n + 1, inputs)
      inputs.n = inputs.n + #list
    end
    drawn.tasks[id] = { name = task.name, depends = task.depends, inputs = inputs }
  end
  return drawn
end

return M
