-- Pushed outputs: T(target, field, parameter) in the outputs of a task becomes an input of the
-- target. Declarations stay as they are; a target gets its own list of inputs in each build.
local core = require "astrum.core"
local errors = require "astrum.error"
local suggest = require "astrum.suggest"

core.own()

local M = {}

local quote <const> = errors.quote

---Who pushes into whom.
---@param records astrum.TaskRecord[] all that may push
---@return table<string, table[]> by target: the pushing record and its output
function M.collect(records)
  local pushes = {}
  for _, record in ipairs(records) do
    for _, output in ipairs(record.outputs) do
      local list = pushes[output.target]
      if not list then
        list = {}
        pushes[output.target] = list
      end
      list[#list + 1] = { record = record, output = output }
    end
  end
  return pushes
end

-- The parameters that can take a value, and whether there is one that takes all inputs.
local function parameters_of(inputs)
  local names, takes_all = {}, false
  for i = 1, inputs.n do
    local kind, parameter = inputs[i].kind, inputs[i].parameter
    takes_all = takes_all or kind == "inputs"
    if parameter and kind ~= "inputs" and kind ~= "context" then
      names[#names + 1] = parameter
    end
  end
  return names, takes_all
end

local function position_of(inputs, parameter)
  for i = 1, inputs.n do
    if inputs[i].parameter == parameter then
      return i
    end
  end
end

local function add_mistake(build, target, pushed, text, help)
  local producer = pushed.record.name
  text = "task " .. quote(producer) .. ": " .. text .. " of task " .. quote(target.name)
  local marks = { { name = pushed.output.parameter, form = "string", after = "outputs" } }
  local fields = { task = producer, marks = marks }
  build:mistake("TaskDependencyError", pushed.output, text, help, fields)
end

local function apply_one(build, target, inputs, pushed)
  local output = pushed.output
  local parameter = output.parameter
  local entry = {
    parameter = parameter,
    kind = "reference",
    reference = core.new_reference(pushed.record.name, output.path, output.source, output.line),
  }
  local position = position_of(inputs, parameter)
  local kind = position and inputs[position].kind
  local names, takes_all = parameters_of(inputs)
  if kind == "missing" then
    inputs[position] = entry
  elseif kind and kind ~= "inputs" and kind ~= "context" then
    local text = "output goes to parameter " .. quote(parameter)
    local help = "this parameter has an input already; keep one of the two"
    add_mistake(build, target, pushed, text, help)
  elseif takes_all and not kind then
    entry.hidden = true
    inputs.n = inputs.n + 1
    inputs[inputs.n] = entry
  else
    local text = "output goes to unknown parameter " .. quote(parameter)
    local help = "this task has no parameter that takes an input by name"
    if #names > 0 then
      help = suggest.help(parameter, names, "parameters")
    end
    -- What was meant does not lack its input, too.
    local meant = position_of(inputs, suggest.nearest(parameter, names))
    if meant and inputs[meant].kind == "missing" then
      inputs[meant] = entry
    end
    add_mistake(build, target, pushed, text, help)
  end
end

local function by_parameter(a, b)
  return a.parameter < b.parameter
end

local function sort_hidden(inputs)
  local hidden, first = {}, inputs.n + 1
  for i = 1, inputs.n do
    if inputs[i].hidden then
      first = math.min(first, i)
      hidden[#hidden + 1] = inputs[i]
    end
  end
  table.sort(hidden, by_parameter)
  table.move(hidden, 1, #hidden, first, inputs)
end

---The inputs of a record with what other tasks push into it.
---@param build astrum.Build takes the mistakes
---@param record astrum.TaskRecord
---@param given table list of astrum.Input, with n
---@return table list of astrum.Input, with n
function M.apply(build, record, given)
  local pushes = build.pushes[record.name]
  if not pushes then
    return given
  end
  local inputs = table.move(given, 1, given.n, 1, { n = given.n })
  for _, pushed in ipairs(pushes) do
    apply_one(build, record, inputs, pushed)
  end
  sort_hidden(inputs)
  return inputs
end

---Notes outputs of a record that go to tasks which do not exist.
---@param build astrum.Build takes the mistakes
---@param record astrum.TaskRecord
function M.check_targets(build, record)
  for _, output in ipairs(record.outputs) do
    local target = output.target
    if not build.source.index[target] then
      local text = "task " .. quote(record.name) .. ": output goes to unknown task "
      text = text .. quote(target)
      local marks = { { name = target, form = "declaration" } }
      local fields = { task = record.name, marks = marks }
      local help = build:nearest_task(target, record.name)
      build:mistake("TaskDependencyError", output, text, help, fields)
    end
  end
end

return M
