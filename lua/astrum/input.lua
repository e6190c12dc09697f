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

local LARGEST <const> = 0xFFFFFFFF
local AS_LIST <const> = "list the inputs in order: inputs = { F.a, F.b }"

local BY_NAME <const> = "write inputs = { name = F.<task>.<field> }"

---The inputs of a body that takes none.
M.NONE = { n = 0 }

---@alias astrum.InputKind
---| "reference"|"function"|"constant"|"template"|"inputs"|"context"|"missing"
---| "param" a value from outside
---| "item" an element of a list of the map

---@class astrum.Input
---@field parameter string? nil in a list of inputs
---@field kind astrum.InputKind
---@field reference userdata?
---@field references userdata[]? in a template
---@field type string|function|nil
---@field default any
---@field has_default true?
---@field value any
---@field hidden true? only in the table of the parameter `inputs`
---@field sensitive true? its value is never shown
---@field name string? of the param
---@field param astrum.Param?
---@field item integer? which list of the map
---@field is_list true? it is a list of the map

---A list of a map.
---@class astrum.MapList
---@field parameter string gets an element
---@field input astrum.Input gives the list

---The condition of a task, as it is declared.
---@class astrum.Condition
---@field fn function
---@field parameters string[]? nil: it takes the inputs by position, so many
---@field count integer?

local function describe(what, key)
  return what .. " " .. options.key_text(key)
end

local function describe_input(key)
  return describe("input", key)
end

-- `what` is for messages: "input" or "map".
local function make_input(record, what, key, parameter, value)
  local kind = type(value)
  if kind == "userdata" then
    if is_reference(value) then
      return { parameter = parameter, kind = "reference", reference = value }
    elseif value == core.F then
      fail(
        record,
        describe(what, key) .. " is F itself",
        "name a task, as in F.load_order",
        parameter
      )
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
        sensitive = value.sensitive,
      }
    elseif ref.is_param(value) then
      record.has_params = true
      return {
        parameter = parameter,
        kind = "param",
        name = value.name,
        param = value,
        sensitive = value.sensitive,
      }
    elseif ref.is_t(value) then
      fail(record, describe(what, key) .. " is a T", "T belongs in outputs", parameter)
    elseif getmetatable(value) == nil then
      local references, problem = ref.collect(value)
      if problem then
        fail(record, describe(what, key) .. ": " .. problem)
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

-- How a method becomes a body.
local function wrapped_method(method)
  local names, count = core.parameters(method)
  local taken = table.concat(names, ", ", 2, count)
  local help = "it is a method; wrap it: run = function(%s) return object:method(%s) end"
  return help:format(taken, taken)
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
    fields.note = "declared at " .. errors.where(record.source, record.line)
  end
  local help = "add inputs." .. parameter .. " = F.<task>.<field>"
  local nearest = suggest.nearest(parameter, unused or {})
  if nearest then
    help = "did you mean " .. quote(nearest) .. "?"
  elseif parameter == "self" then
    help = wrapped_method(record.run)
  elseif parameter == "_" then
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

local function check_reserved(record, what, given)
  if given.ctx ~= nil or given.inputs ~= nil then
    local name = given.ctx ~= nil and "ctx" or "inputs"
    local help = "choose another name for this input and its parameter"
    fail(record, describe(what, name) .. " has the name of a reserved parameter", help, name)
  end
end

-- --- the lists of a map

local LIST_TYPES <const> = { list = true, table = true, any = true }

-- A list that a map is given must look like one as far as that is known.
local function check_list(record, entry)
  local what = describe("map", entry.parameter)
  local wanted = entry.type
  if entry.param then
    wanted = entry.param.type
  end
  if type(wanted) == "string" and not LIST_TYPES[(wanted:gsub("%?$", ""))] then
    fail(record, what .. " is a list, but its type is " .. quote(wanted), "write 'list'")
  elseif entry.kind == "constant" then
    local value = entry.value
    if type(value) ~= "table" then
      fail(
        record,
        what .. " is a list, got " .. type(value),
        "write map = { item = F.<task> }",
        "map"
      )
    elseif type(value.n) ~= "number" and not options.is_list(value) then
      fail(record, what .. " is a list from 1 without holes and other keys")
    end
    return value.n or #value
  end
end

local function check_length(record, lists, lengths, most)
  local first
  for k, list in ipairs(lists) do
    local length = lengths[k]
    if length and first and length ~= lengths[first] then
      local text = "map "
        .. quote(lists[first].parameter)
        .. " has "
        .. lengths[first]
        .. " items, "
      text = text .. quote(list.parameter) .. " has " .. length
      fail(record, text, "lists of one map have one length", "map")
    elseif length and length > (most or LARGEST) then
      local text = "map " .. quote(list.parameter) .. " has " .. length .. " items, more than "
      fail(record, text .. "max_items = " .. most)
    end
    first = first or length and k
  end
end

---The lists of a map, sorted by parameter. Raises an error that points to the declaration.
---@param record astrum.TaskRecord
---@param given any
---@param max_items integer?
---@return astrum.MapList[]
function M.make_map(record, given, max_items)
  local help <const> = "write map = { item = F.<task> }"
  if type(given) ~= "table" or ref.is_ref(given) or ref.is_param(given) then
    fail(
      record,
      "map is a table of lists by parameter, got " .. options.value_text(given),
      help,
      "map"
    )
  end
  local names = {}
  for name in next, given do
    if type(name) ~= "string" then
      fail(record, "map: " .. tostring(name) .. " is no name of a parameter", help)
    end
    names[#names + 1] = name
  end
  if #names == 0 then
    fail(record, "map names no list", help, "map")
  end
  check_reserved(record, "map", given)
  table.sort(names)
  local lists, lengths = {}, {}
  for k, name in ipairs(names) do
    local entry = make_input(record, "map", name, name, given[name])
    entry.is_list = true
    lists[k] = { parameter = name, input = entry }
    lengths[k] = check_list(record, entry)
  end
  check_length(record, lists, lengths, max_items)
  return lists
end

-- The number of the list by parameter; no list is also among the inputs.
local function numbers_of(record, given)
  local numbers = {}
  for k, list in ipairs(record.map or {}) do
    if given[list.parameter] ~= nil then
      local text = quote(list.parameter) .. " is in inputs and in map"
      fail(record, text, "keep one of the two")
    end
    numbers[list.parameter] = k
  end
  return numbers
end

-- --- inputs by name and by position

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
local function unused_names(names, given, numbers)
  local wanted, unused = {}, {}
  for i = 1, names.n do
    wanted[names[i]] = true
  end
  for _, set in ipairs { given, numbers } do
    for name in next, set do
      if not wanted[name] then
        unused[#unused + 1] = name
      end
    end
  end
  table.sort(unused)
  return unused
end

local function check_unused(record, inputs, unused, numbers)
  for i = 1, inputs.n do
    local parameter = inputs[i].kind == "missing" and inputs[i].parameter
    if parameter and suggest.nearest(parameter, unused) then
      error(M.missing(record, parameter, unused), 0)
    end
  end
  local help = "name a parameter after it, or take the parameter 'inputs'"
  local what = numbers[unused[1]] and "map" or "input"
  fail(record, describe(what, unused[1]) .. " is never received by run", help, unused[1])
end

local NO_NUMBERS <const> = {}

local function keyed_inputs(record, given, given_count)
  local names, count, is_vararg, what = core.parameters(record.run)
  local unreadable = invisible(names, is_vararg, what)
  local numbers = record.map and numbers_of(record, given) or NO_NUMBERS
  local wanted = given_count + (record.map and #record.map or 0)
  if unreadable and (wanted > 0 or names == nil) then
    local help = record.map and "wrap it: run = function(item) return value(item) end" or AS_LIST
    fail(record, "run's parameter names are not visible (" .. unreadable .. ")", help, "run")
  elseif count == 0 and wanted == 0 then
    return M.NONE
  end
  if count > 1 then
    check_twins(record, names)
  end
  check_reserved(record, "input", given)
  local inputs = { n = count }
  local received, wants_all = 0, false
  for i = 1, count do
    local name = names[i]
    local value = given[name]
    if value ~= nil then
      inputs[i] = make_input(record, "input", name, name, value)
      received = received + 1
    elseif numbers[name] then
      inputs[i] = { parameter = name, kind = "item", item = numbers[name] }
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
  if received == wanted then
    return inputs
  end
  local unused = unused_names(names, given, numbers)
  if not wants_all then
    check_unused(record, inputs, unused, numbers)
  end
  for i, name in ipairs(unused) do
    local input
    if numbers[name] then
      input = { parameter = name, kind = "item", item = numbers[name] }
    else
      input = make_input(record, "input", name, name, given[name])
    end
    input.hidden = true
    inputs[count + i] = input
  end
  inputs.n = count + #unused
  return inputs
end

-- Inputs of a workflow: values for its params, by name.
local function workflow_inputs(record, given)
  check_reserved(record, "input", given)
  local numbers = numbers_of(record, given)
  local names = unused_names({ n = 0 }, given, numbers)
  local inputs = { n = #names }
  for i, name in ipairs(names) do
    if numbers[name] then
      inputs[i] = { parameter = name, kind = "item", item = numbers[name] }
    else
      inputs[i] = make_input(record, "input", name, name, given[name])
    end
  end
  return inputs
end

local function inputs_by_name(record, given, given_count)
  if record.workflow then
    return workflow_inputs(record, given)
  end
  return keyed_inputs(record, given, given_count)
end

local function listed_inputs(record, given, given_count)
  local _, count, is_vararg = core.parameters(record.run)
  if not is_vararg and count ~= given_count then
    local text = "run takes "
      .. count
      .. (count == 1 and " parameter" or " parameters")
      .. ", but inputs lists "
      .. given_count
    fail(record, text, "list one input for each parameter, in order", "inputs")
  end
  local inputs = { n = given_count }
  for i = 1, given_count do
    inputs[i] = make_input(record, "input", i, nil, given[i])
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
    return inputs_by_name(record, {}, 0)
  elseif type(given) ~= "table" or ref.is_ref(given) or ref.is_param(given) then
    local help = "write inputs = { name = F.task.field } or inputs = { F.task.field }"
    fail(record, "inputs is a table, got " .. ref.describe(given), help, "inputs")
  end
  local names, total = 0, 0
  for key in next, given do
    total = total + 1
    if type(key) == "string" then
      names = names + 1
    end
  end
  if names == total then
    return inputs_by_name(record, given, total)
  elseif names > 0 then
    local help = "name every input, or list all of them in order"
    fail(record, "inputs mixes names and positions", help, "inputs")
  end
  local is_list, hole = options.is_list(given)
  if hole then
    local help = "a list of inputs has no holes; is the name of a variable misspelled?"
    fail(record, describe_input(hole) .. " is nil", help, "inputs")
  elseif not is_list then
    fail(record, "inputs has a key that is no name and no position from 1", AS_LIST, "inputs")
  end
  if record.workflow then
    fail(record, "inputs of a workflow have names, those of its params", BY_NAME, "inputs")
  elseif record.map then
    fail(record, "a map needs its inputs by name", BY_NAME, "inputs")
  end
  return listed_inputs(record, given, total)
end

---The inputs of a declaration that is kept in columns.
---@param store userdata made by core.declarations
---@param number integer of the declaration
---@param count integer
---@param takes_table boolean the one parameter gets all of them
---@param context integer place of the parameter ctx, from 1; 0: none
---@param registry table owner of handles
---@return table list of astrum.Input, with n
function M.plain(store, number, count, takes_table, context, registry)
  if count == 0 and context == 0 then
    return M.NONE
  end
  local inputs = {}
  if takes_table then
    inputs[1] = { parameter = "inputs", kind = "inputs" }
  end
  for i = 1, count do
    if i == context then
      inputs[#inputs + 1] = { parameter = "ctx", kind = "context" }
    end
    local parameter, name, path, source, line, is_handle = store:input(number, i)
    local reference
    if is_handle then
      reference = core.new_handle(name, registry, source, line)
    else
      reference = core.new_reference(name, path, source, line)
    end
    inputs[#inputs + 1] = {
      parameter = parameter,
      kind = "reference",
      reference = reference,
      hidden = takes_table or nil,
    }
  end
  if context > count then
    inputs[#inputs + 1] = { parameter = "ctx", kind = "context" }
  end
  inputs.n = #inputs
  return inputs
end

-- --- conditions

local function known_inputs(record)
  local names, known = {}, { inputs = true, ctx = true }
  for i = 1, record.inputs.n do
    local name = record.inputs[i].parameter
    if not known[name] then
      known[name] = true
      names[#names + 1] = name
    end
  end
  return names, known
end

---The condition of a task. Its parameters are matched with the inputs of the task. Raises an error
---that points to the declaration.
---@param record astrum.TaskRecord with its inputs
---@param fn any
---@return astrum.Condition
function M.make_condition(record, fn)
  if type(fn) ~= "function" then
    local help = "write when = function(...) return true end, with inputs of the task as parameters"
    fail(record, "when is a function, got " .. type(fn), help, "when")
  end
  local names, count, is_vararg, what = core.parameters(fn)
  local inputs = record.inputs
  if inputs.n == 0 and (is_vararg or what == "C") then
    return { fn = fn, count = 0 }
  elseif inputs.n > 0 and not inputs[1].parameter then
    if is_vararg then
      count = inputs.n
    elseif count > inputs.n then
      local text = "when takes " .. count .. (count == 1 and " parameter" or " parameters")
      fail(record, text .. ", but inputs lists " .. inputs.n, nil, "when")
    end
    return { fn = fn, count = count }
  end
  local unreadable = invisible(names, is_vararg, what)
  if unreadable then
    local text = "when's parameter names are not visible (" .. unreadable .. ")"
    fail(record, text, "wrap it: when = function(name) return value(name) end", "when")
  end
  if not record.workflow then
    local given, known = known_inputs(record)
    for _, name in ipairs(names) do
      if not known[name] then
        local text = "when has the parameter " .. quote(name) .. ", which is no input of the task"
        fail(record, text, suggest.help(name, given, "inputs"), "when")
      end
    end
  end
  return { fn = fn, parameters = names }
end

local RESERVED <const> = { inputs = "inputs", ctx = "context" }

---Where the arguments of a condition come from: positions in the inputs, or "inputs" or "context".
---@param condition astrum.Condition
---@param inputs table list of astrum.Input
---@return (integer|string)[]? positions
---@return string? unknown a parameter that is no input
function M.positions(condition, inputs)
  local positions = {}
  if not condition.parameters then
    for i = 1, condition.count do
      positions[i] = i
    end
    return positions
  end
  for i, name in ipairs(condition.parameters) do
    positions[i] = RESERVED[name]
    for position = 1, positions[i] and 0 or inputs.n do
      if inputs[position].parameter == name then
        positions[i] = position
      end
    end
    if not positions[i] then
      return nil, name
    end
  end
  return positions
end

return M
