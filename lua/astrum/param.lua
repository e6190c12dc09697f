-- Params: values that a run is given from outside, by name. Declared as inputs, given by `params`
-- or as texts from the command line.
local core = require "astrum.core"
local errors = require "astrum.error"
local excerpt = require "astrum.excerpt"
local options = require "astrum.options"
local ref = require "astrum.ref"
local suggest = require "astrum.suggest"

core.own()

local M = {}

local quote <const> = errors.quote
local NONE <const> = {}

local known = options.known { "type", "default", "sensitive", "description" }

---@class astrum.Param a value that comes from outside
---@field name string
---@field type string|function|nil nil: any value but nil
---@field default any
---@field sensitive true?
---@field description string?
---@field source string
---@field line integer

---@class astrum.DeclaredParam: astrum.Param one of a workflow
---@field used true? a task of the workflow takes it

-- --- types

-- Which may name its length in `n`, and then have holes, as table.pack and a map leave it.
local function is_plain_list(value)
  if type(value) ~= "table" then
    return false
  end
  local length = rawget(value, "n")
  if math.type(length) ~= "integer" then
    return (options.is_list(value))
  end
  for key in next, value do
    local fits = math.type(key) == "integer" and key >= 1 and key <= length
    if not fits and key ~= "n" then
      return false
    end
  end
  return true
end

local matches <const> = {
  integer = function(value)
    return math.type(value) == "integer"
  end,
  list = is_plain_list,
  any = function(value)
    return value ~= nil
  end,
}

local function base_type(wanted)
  return (wanted:gsub("%?$", ""))
end

---Whether a param may be left without a value.
---@param param astrum.Param
---@return boolean
function M.is_optional(param)
  return param.default ~= nil or type(param.type) == "string" and param.type:sub(-1) == "?"
end

-- Why a predicate refuses a value, or nil.
local function refusal(param, value)
  local ok, passes, why = pcall(param.type, value)
  if ok and passes then
    return nil
  end
  why = ok and why or not ok and passes or nil
  if why == nil or param.sensitive then
    return "the value is refused"
  end
  return tostring(why)
end

local function mismatch(param, value)
  local wanted = param.type or "any"
  if type(wanted) == "function" then
    return refusal(param, value)
  end
  local base = base_type(wanted)
  local match = matches[base]
  if match and not match(value) or not match and type(value) ~= base then
    local got = base == "integer" and type(value) == "number" and "a float" or type(value)
    if base == "list" and type(value) == "table" then
      got = "a table that is no list"
    end
    return base .. " expected, got " .. got
  end
  return nil
end

---What is wrong with a value for a param, or nil. Never shows a sensitive value.
---@param param astrum.Param
---@param value any
---@return string?
function M.problem(param, value)
  if value == nil then
    return not M.is_optional(param) and "param " .. quote(param.name) .. " has no value" or nil
  end
  local why = mismatch(param, value)
  return why and "param " .. quote(param.name) .. ": " .. why
end

-- --- declaring

local function check_name(name)
  options.want_dot(name, "param", "TaskRegistrationError")
  if type(name) ~= "string" then
    errors.raise(
      "TaskRegistrationError",
      "param: the name is a string, got " .. type(name),
      'as in astrum.param("region", { type = "string" })'
    )
  elseif name == "" then
    errors.raise("TaskRegistrationError", "param: the name is empty")
  elseif name:find("=", 1, true) then
    errors.raise("TaskRegistrationError", "param: the name " .. quote(name) .. " has a '='")
  end
end

---A value that comes from outside, for use as an input: by `params = { region = "EU" }` where a
---workflow is built or executed, or by `--set region=EU`.
---@param name string
---@param given table? type, default, sensitive, description
---@return astrum.Param
function M.param(name, given)
  check_name(name)
  local what = "param " .. quote(name)
  if given == nil then
    given = NONE
  elseif type(given) ~= "table" then
    errors.raise(
      "TaskRegistrationError",
      what .. ": the options are a table, got " .. type(given),
      'as in astrum.param("region", { type = "string" })'
    )
  end
  options.check(given, known, what, "TaskRegistrationError")
  if given.type ~= nil then
    ref.check_type(what, given.type, 'as in astrum.param("region", { type = "string" })')
  end
  ref.check_boolean(what, "sensitive", given.sensitive)
  if given.description ~= nil and type(given.description) ~= "string" then
    local text = what .. ": description is a string, got " .. type(given.description)
    errors.raise("TaskRegistrationError", text)
  end
  local source, line = core.where()
  local param = setmetatable({
    name = name,
    type = given.type,
    default = given.default,
    sensitive = given.sensitive or nil,
    description = given.description,
    source = source,
    line = line,
  }, ref.Param)
  local why = given.default ~= nil and mismatch(param, given.default)
  if why then
    errors.raise("TaskRegistrationError", what .. ": default: " .. why)
  end
  return param
end

local function is_same(a, b)
  return rawequal(a, b)
    or a.type == b.type
      and rawequal(a.default, b.default)
      and a.sensitive == b.sensitive
      and a.description == b.description
end

-- Calls visit(param) for each param among the inputs of a record.
local function each_param(record, visit)
  for i = 1, record.inputs.n do
    if record.inputs[i].param then
      visit(record.inputs[i].param)
    end
  end
  for _, list in ipairs(record.map or NONE) do
    if list.input.param then
      visit(list.input.param)
    end
  end
end

---The params of some declarations, by name.
---@param records astrum.TaskRecord[]
---@param mistake fun(param: astrum.Param, text: string, help: string) takes what is wrong
---@return table<string, astrum.DeclaredParam>
function M.collect(records, mistake)
  local declared, told = {}, {}
  local function add(param)
    local earlier = declared[param.name]
    if not earlier then
      declared[param.name] = setmetatable(options.plain(param), ref.Param)
    elseif not is_same(earlier, param) and not told[param] then
      told[param] = true
      local text = "param " .. quote(param.name) .. " is declared twice with different settings"
      local place = errors.where(earlier.source, earlier.line)
      mistake(param, text, "first declared at " .. place .. "; make it once and use that")
    end
  end
  for _, record in ipairs(records) do
    if record.has_params then
      each_param(record, add)
    end
  end
  return declared
end

---Notes which params are used.
---@param declared table<string, astrum.DeclaredParam>
---@param record astrum.TaskRecord that takes them
function M.use(declared, record)
  if record.has_params then
    each_param(record, function(param)
      declared[param.name].used = true
    end)
  end
end

-- --- values

local function sorted_names(declared)
  local names = {}
  for name in pairs(declared) do
    names[#names + 1] = name
  end
  table.sort(names)
  return names
end

local function sorted_keys(given)
  local keys = {}
  for key in pairs(given) do
    keys[#keys + 1] = key
  end
  table.sort(keys, function(a, b)
    return tostring(a) < tostring(b)
  end)
  return keys
end

---Values by name, checked; they need not be complete.
---@param declared table<string, astrum.DeclaredParam>
---@param given table?
---@param mistake fun(text: string, help: string?) takes what is wrong
---@return table<string, any>
function M.check(declared, given, mistake)
  local values = {}
  for _, name in ipairs(sorted_keys(given or NONE)) do
    local param, value = declared[name], given[name]
    if not param then
      local help = suggest.help(name, sorted_names(declared), "params")
      mistake("unknown param " .. options.key_text(name), help)
    else
      local problem = M.problem(param, value)
      if problem then
        mistake(problem)
      end
      values[name] = value
    end
  end
  return values
end

-- Where a param is declared, with the line.
local function declared_text(param)
  local text = "declared at " .. errors.where(param.source, param.line)
  local marks = { { name = param.name, form = "string" } }
  local shown = excerpt.of(param.source, param.line, marks)
  shown = shown or excerpt.line(param.source, param.line)
  return shown and text .. "\n" .. shown or text
end

-- Collects mistakes, and raises them as one error at the user's line.
local function collector(what)
  local mistakes = {}
  local source, line = core.where()
  local function add(text, help, param)
    local fields = param and { note = declared_text(param) }
    local mistake = errors.at("ConfigError", source, line, what .. ": " .. text, help, fields)
    mistakes[#mistakes + 1] = mistake
  end
  local function finish()
    if #mistakes > 0 then
      error(errors.combine(mistakes), 0)
    end
  end
  return add, finish
end

---The values of all params for a run. Raises one error with all mistakes: an unknown name, a value
---of another type, a param without a value that a task takes.
---@param declared table<string, astrum.DeclaredParam>
---@param given table? values by name
---@param what string begins the texts
---@param base table<string, any>? values that were given before
---@return table<string, any> values
function M.resolve(declared, given, what, base)
  local mistake, finish = collector(what)
  if given ~= nil and type(given) ~= "table" then
    mistake("params is a table of values by name, got " .. type(given))
    finish()
  end
  local values = M.check(declared, given, mistake)
  for _, name in ipairs(sorted_names(declared)) do
    local param = declared[name]
    if values[name] == nil then
      values[name] = (base or NONE)[name]
    end
    if values[name] == nil then
      values[name] = param.default
    end
    if values[name] == nil and param.used and not M.is_optional(param) then
      local shown = errors.escape(name)
      local help = "give it one: params = { " .. shown .. " = ... }, or --set " .. shown .. "=..."
      mistake("param " .. quote(name) .. " has no value", help, param)
    end
  end
  finish()
  return values
end

local converters = {}

function converters.integer(text)
  return math.tointeger(tonumber(text)), "is no integer"
end

function converters.number(text)
  local number = tonumber(text)
  local is_finite = number and number - number == 0
  return is_finite and number or nil, "is no number"
end

function converters.boolean(text)
  if text == "true" or text == "false" then
    return text == "true"
  end
  return nil, "is neither true nor false"
end

function converters.string(text)
  return text
end

converters.any = converters.string

-- What to write, by type.
local EXAMPLES <const> = {
  integer = "write a whole number, as in 12",
  number = "write a number, as in 1.5",
  boolean = "write true or false",
}

-- The value that a text means for a param, or nil and what is wrong.
local function convert(param, text)
  local wanted = param.type or "any"
  local base = type(wanted) == "function" and "any" or base_type(wanted)
  local converter = converters[base]
  if not converter then
    return nil, "a " .. base .. " cannot be given as text", "give it by params = { ... }"
  end
  local value, why = converter(text)
  if value == nil then
    return nil, (param.sensitive and "the value" or quote(text)) .. " " .. why, EXAMPLES[base]
  end
  return value
end

---The values that texts from the command line mean. Raises one error with all mistakes.
---@param declared table<string, astrum.DeclaredParam>
---@param texts table<string, string> by name
---@param what string begins the texts of errors
---@return table<string, any> values
function M.parse(declared, texts, what)
  local mistake, finish = collector(what)
  local given = {}
  for _, name in ipairs(sorted_keys(texts)) do
    local param = declared[name]
    if not param then
      given[name] = texts[name]
    else
      local value, why, help = convert(param, texts[name])
      if value == nil then
        mistake("param " .. quote(name) .. ": " .. why, help)
      end
      given[name] = value
    end
  end
  local values = M.check(declared, given, mistake)
  finish()
  return values
end

return M
