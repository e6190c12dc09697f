-- What there is to draw, taken from a workflow: who feeds whom, through what, and the totals.
-- Knows nothing of terminals and styles, so every kind of drawing starts here. The values that
-- travel are listed only for the tasks that are shown, which keeps large workflows cheap.
local M = {}

---@class astrum.view.Item one value on its way into a task
---@field target integer id of the task that receives it
---@field source? string name of the task it comes from; nil for a function
---@field label? string name or place of a function
---@field parameter string|integer name, or position, of the parameter
---@field path table keys below the whole result, with `n`
---@field type string|function|nil as it was declared
---@field each? true a map gets the elements one by one

---@class astrum.view.Node
---@field name string
---@field parent_count integer
---@field children integer[]
---@field inputs? astrum.view.Item[] once it is filled
---@field outputs? astrum.view.Item[] once it is filled

---@class astrum.view.Model
---@field nodes astrum.view.Node[]
---@field roots integer[]
---@field fan_in integer[] tasks that more than one task feeds
---@field fan_out integer[] tasks that feed more than one
---@field edge_count integer
---@field data_count integer values that come from tasks, once for each input
---@field function_count integer

local WHOLE <const> = { n = 0 }
local NONE <const> = {}
local NOWHERE <const> = 0

local function link_tasks(model, tasks, index)
  local nodes = model.nodes
  for id, task in ipairs(tasks) do
    local count = 0
    for _, name in ipairs(task.depends or NONE) do
      local parent = nodes[index[name]]
      if parent then
        count = count + 1
        if parent.children == NONE then
          parent.children = {}
        end
        parent.children[#parent.children + 1] = id
      end
    end
    nodes[id].parent_count = count
    model.edge_count = model.edge_count + count
  end
end

local function count_inputs(model, inputs)
  for position = 1, inputs.n or #inputs do
    local input = inputs[position]
    if input.kind == "reference" then
      model.data_count = model.data_count + 1
    elseif input.kind == "template" then
      model.data_count = model.data_count + #(input.references or NONE)
    elseif input.kind == "function" then
      model.function_count = model.function_count + 1
    end
  end
end

local function find_shapes(model)
  for id, node in ipairs(model.nodes) do
    if node.parent_count == 0 then
      model.roots[#model.roots + 1] = id
    elseif node.parent_count > 1 then
      model.fan_in[#model.fan_in + 1] = id
    end
    if #node.children > 1 then
      model.fan_out[#model.fan_out + 1] = id
    end
  end
end

--- Reads a workflow. Each input that is drawn names its `source` task and `path`, or is a
--- function with a `label`; a template lists the `references` inside it.
---@param workflow table
---@return astrum.view.Model
function M.of(workflow)
  local model = {
    workflow = workflow,
    nodes = {},
    roots = {},
    fan_in = {},
    fan_out = {},
    edge_count = 0,
    data_count = 0,
    function_count = 0,
  }
  for id, task in ipairs(workflow.tasks) do
    model.nodes[id] = { name = task.name or task.record.name, children = NONE, parent_count = 0 }
    count_inputs(model, task.inputs or NONE)
  end
  link_tasks(model, workflow.tasks, workflow.index)
  find_shapes(model)
  return model
end

-- Adds the reference where it goes in and where it comes out, as far as those are filled now.
local function add_reference(model, fresh, target, parameter, reference)
  local source = model.workflow.index[reference.source] or NOWHERE
  if not (fresh[target] or fresh[source]) then
    return
  end
  local item = {
    target = target,
    source = reference.source,
    parameter = parameter,
    path = reference.path or WHOLE,
    type = reference.type,
    each = reference.each,
  }
  if fresh[target] then
    local inputs = model.nodes[target].inputs
    inputs[#inputs + 1] = item
  end
  if fresh[source] then
    local outputs = model.nodes[source].outputs
    outputs[#outputs + 1] = item
  end
end

local function add_input(model, fresh, target, parameter, input)
  if input.kind == "reference" then
    add_reference(model, fresh, target, parameter, input)
  elseif input.kind == "template" then
    for _, reference in ipairs(input.references or NONE) do
      add_reference(model, fresh, target, parameter, reference)
    end
  elseif input.kind == "function" and fresh[target] then
    local inputs = model.nodes[target].inputs
    inputs[#inputs + 1] = {
      target = target,
      label = input.label or "?",
      parameter = parameter,
      path = WHOLE,
      type = input.type,
    }
  end
end

--- Lists the inputs and outputs of some tasks.
---@param model astrum.view.Model
---@param wanted table<integer, boolean> ids of the tasks
function M.fill(model, wanted)
  local fresh = {}
  for id in pairs(wanted) do
    local node = model.nodes[id]
    if not node.inputs then
      node.inputs, node.outputs = {}, {}
      fresh[id] = true
    end
  end
  for id, task in ipairs(model.workflow.tasks) do
    local inputs = task.inputs or NONE
    for position = 1, inputs.n or #inputs do
      local input = inputs[position]
      add_input(model, fresh, id, input.parameter or position, input)
    end
  end
end

--- A path as the user would write it behind the task: items[1].sku, ["two words"].
---@param path table keys with `n`
---@return string
function M.path_text(path)
  local parts = {}
  for position = 1, path.n or #path do
    local key = path[position]
    if math.type(key) == "integer" then
      parts[position] = ("[%d]"):format(key)
    elseif type(key) == "string" and key:find("^[%a_][%w_]*$") then
      parts[position] = position > 1 and "." .. key or key
    else
      parts[position] = ('["%s"]'):format(tostring(key):gsub('[\\"]', "\\%0"))
    end
  end
  return table.concat(parts)
end

return M
