-- The inputs of a declaration: values by parameter name, or a list by position, become one list in
-- the order of the body's parameters.
local core = require "astrum.core"
local errors = require "astrum.error"
local options = require "astrum.options"
local ref = require "astrum.ref"
local suggest = require "astrum.suggest"

core.own()

local M = {}

local is_reference <const> = core.is_reference
local quote <const> = errors.quote
local fail <const> = errors.raise_for_task

local AS_LIST <const> = "list the inputs in order: inputs = { F.a, F.b }"

---The inputs of a body that takes none.
M.NONE = { n = 0 }

---@class astrum.Input
---@field parameter string? nil in a list of inputs
---@field kind "reference"|"function"|"constant"|"template"|"inputs"|"context"|"missing"
---@field reference userdata?
---@field references userdata[]? in a template
---@field type string|function|nil
---@field default any
---@field has_default true?
---@field value any
---@field hidden true? only in the table of the parameter `inputs`

local function describe_input(key)
  return "input " .. options.key_text(key)
end

local function make_input(record, key, parameter, value)
  local kind = type(value)
  if kind == "userdata" then
    if is_reference(value) then
      return { parameter = parameter, kind = "reference", reference = value }
    elseif value == core.F then
      fail(record, describe_input(key) .. " is F itself", "name a task, as in F.load_order")
    end
  elseif kind == "function" then
    return { parameter = parameter, kind = "function", value = value }
  elseif kind == "table" then
    if ref.is_ref(value) then
      return {
        parameter = parameter,
        kind = "reference",
        reference = value.reference,
        type = value.type,
        default = value.default,
        has_default = value.default ~= nil or nil,
      }
    elseif ref.is_t(value) then
      fail(record, describe_input(key) .. " is a T", "T belongs in outputs")
    elseif getmetatable(value) == nil then
      local references, problem = ref.collect(value)
      if problem then
        fail(record, describe_input(key) .. ": " .. problem)
      elseif references then
        return {
          parameter = parameter,
          kind = "template",
          value = value,
          references = references,
        }
      end
    end
  end
  return { parameter = parameter, kind = "constant", value = value }
end

---The error that a parameter has no input, placed at the body.
---@param record astrum.TaskRecord
---@param parameter string
---@param unused string[]? inputs that have no parameter
---@return astrum.Error
function M.missing(record, parameter, unused)
  local source, line = core.definition(record.run)
  local marks = { { name = parameter, form = "parameter" } }
  local fields = { task = record.name, marks = marks }
  if source ~= record.source then
    fields.note = "declared at " .. record.source .. ":" .. record.line
  end
  local help = "add inputs." .. parameter .. " = F.<task>.<field>"
  local nearest = suggest.nearest(parameter, unused or {})
  if nearest then
    help = "did you mean " .. quote(nearest) .. "?"
  elseif parameter == "self" or parameter == "_" then
    help = AS_LIST
  end
  local text = "task " .. quote(record.name)
  text = text .. ": parameter " .. quote(parameter) .. " has no input"
  return errors.at("TaskRegistrationError", source, line, text, help, fields)
end

-- Why the names of a body's parameters cannot be read, or nil.
local function invisible(names, is_vararg, what)
  if what == "C" then
    return "C function"
  elseif names == nil then
    return "stripped bytecode"
  elseif is_vararg then
    return "function(...)"
  end
end

local function check_reserved(record, given)
  if given.ctx ~= nil or given.inputs ~= nil then
    local name = given.ctx ~= nil and "ctx" or "inputs"
    local help = "choose another name for this input and its parameter"
    fail(record, describe_input(name) .. " has the name of a reserved parameter", help, name)
  end
end

local function check_twins(record, names)
  local seen = {}
  for i = 1, names.n do
    if seen[names[i]] then
      fail(record, "run has two parameters " .. quote(names[i]), AS_LIST)
    end
    seen[names[i]] = true
  end
end

-- The given names that are no parameters, sorted.
local function unused_names(names, given)
  local wanted, unused = {}, {}
  for i = 1, names.n do
    wanted[names[i]] = true
  end
  for name in next, given do
    if not wanted[name] then
      unused[#unused + 1] = name
    end
  end
  table.sort(unused)
  return unused
end

local function check_unused(record, inputs, unused)
  for i = 1, inputs.n do
    local parameter = inputs[i].kind == "missing" and inputs[i].parameter
    if parameter and suggest.nearest(parameter, unused) then
      error(M.missing(record, parameter, unused), 0)
    end
  end
  local help = "name a parameter after it, or take the parameter 'inputs'"
  fail(record, describe_input(unused[1]) .. " is never received by run", help, unused[1])
end

local function keyed_inputs(record, given, given_count)
  local names, count, is_vararg, what = core.parameters(record.run)
  local unreadable = invisible(names, is_vararg, what)
  if unreadable and (given_count > 0 or names == nil) then
    fail(record, "run's parameter names are not visible (" .. unreadable .. ")", AS_LIST)
  elseif count == 0 and given_count == 0 then
    return M.NONE
  end
  if count > 1 then
    check_twins(record, names)
  end
  check_reserved(record, given)
  local inputs = { n = count }
  local received, wants_all = 0, false
  for i = 1, count do
    local name = names[i]
    local value = given[name]
    if value ~= nil then
      inputs[i] = make_input(record, name, name, value)
      received = received + 1
    elseif name == "inputs" then
      inputs[i] = { parameter = name, kind = "inputs" }
      wants_all = true
    elseif name == "ctx" then
      inputs[i] = { parameter = name, kind = "context" }
    else
      inputs[i] = { parameter = name, kind = "missing" }
      record.has_missing = true
    end
  end
  if received == given_count then
    return inputs
  end
  local unused = unused_names(names, given)
  if not wants_all then
    check_unused(record, inputs, unused)
  end
  for i, name in ipairs(unused) do
    local input = make_input(record, name, name, given[name])
    input.hidden = true
    inputs[count + i] = input
  end
  inputs.n = count + #unused
  return inputs
end

local function listed_inputs(record, given, given_count)
  local _, count, is_vararg = core.parameters(record.run)
  if not is_vararg and count ~= given_count then
    local text = "run takes "
      .. count
      .. (count == 1 and " parameter" or " parameters")
      .. ", but inputs lists "
      .. given_count
    fail(record, text, "list one input for each parameter, in order")
  end
  local inputs = { n = given_count }
  for i = 1, given_count do
    inputs[i] = make_input(record, i, nil, given[i])
  end
  return inputs
end

---Makes the inputs of a record, in the order of the body's parameters. Sets `has_missing` when some
---must come from the outputs of other tasks. Raises an error that points to the declaration.
---@param record astrum.TaskRecord name, run, source and line are set
---@param given table?
---@return table list of astrum.Input, with n
function M.make(record, given)
  if given == nil then
    return keyed_inputs(record, {}, 0)
  elseif type(given) ~= "table" or ref.is_ref(given) then
    local help = "write inputs = { name = F.task.field } or inputs = { F.task.field }"
    fail(record, "inputs is a table, got " .. ref.describe(given), help)
  end
  local names, total = 0, 0
  for key in next, given do
    total = total + 1
    if type(key) == "string" then
      names = names + 1
    end
  end
  if names == total then
    return keyed_inputs(record, given, total)
  elseif names > 0 then
    local help = "name every input, or list all of them in order"
    fail(record, "inputs mixes names and positions", help)
  end
  local is_list, hole = options.is_list(given)
  if hole then
    local help = "a list of inputs has no holes; is the name of a variable misspelled?"
    fail(record, describe_input(hole) .. " is nil", help)
  elseif not is_list then
    fail(record, "inputs has a key that is no name and no position from 1", AS_LIST)
  end
  return listed_inputs(record, given, total)
end

return M
