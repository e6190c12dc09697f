-- What an input can be besides a plain value: F, Ref, T, params, and tables that hold references.
local core = require "astrum.core"
local errors = require "astrum.error"
local options = require "astrum.options"
local suggest = require "astrum.suggest"

core.own()

local M = {}

---The root of all references: F.task.field[1], F("task", "field", 1), F "task.field[1]".
M.F = core.F

local TYPES <const> =
  { "integer", "number", "string", "boolean", "table", "list", "function", "any" }
local MOST_DEEP <const> = 100

local known_types = {}
for _, name in ipairs(TYPES) do
  known_types[name] = true
  known_types[name .. "?"] = true
end

-- What the types are called elsewhere.
local other_names <const> =
  { int = "integer", float = "number", str = "string", bool = "boolean", dict = "table" }

local reference_options = options.known { "default", "sensitive" }

---@class astrum.Ref a reference whose value is checked at run time
---@field type string|function
---@field reference userdata
---@field default any
---@field sensitive true?
local Ref = { __name = "astrum.Ref" }

---@class astrum.T a field of a result that is pushed into a parameter of another task
---@field target string
---@field path table keys, with n
---@field parameter string
---@field source string
---@field line integer
local T = { __name = "astrum.T" }

---What a value is, for the end of a message: "got nil".
---@param value any
---@return string
function M.describe(value)
  if core.is_reference(value) then
    return "the reference " .. tostring(value)
  elseif M.is_ref(value) then
    return "a Ref"
  elseif M.is_param(value) then
    return "the param " .. errors.quote(value.name)
  elseif type(value) == "string" then
    return "the string " .. errors.quote(value)
  end
  return value == nil and "nil" or "a " .. type(value)
end

local describe <const> = M.describe

---The metatable of params, which `astrum.param` makes.
M.Param = { __name = "astrum.Param" }

---Raises an error at the user's line when a value is no type.
---@param what string begins the text
---@param wanted any
---@param example string for help
function M.check_type(what, wanted, example)
  if type(wanted) == "function" or known_types[wanted] then
    return
  elseif type(wanted) ~= "string" then
    errors.raise(
      "TaskRegistrationError",
      what .. ": the type is a name or a function, got " .. describe(wanted),
      example
    )
  end
  errors.raise(
    "TaskRegistrationError",
    what .. ": unknown type " .. errors.quote(wanted),
    other_names[wanted] and "did you mean '" .. other_names[wanted] .. "'?"
      or suggest.help(wanted, TYPES, "types"),
    { marks = { { name = wanted, form = "string" } } }
  )
end

-- The options of a Ref, checked.
local function reference_settings(given)
  if given == nil then
    return {}
  elseif type(given) ~= "table" then
    errors.raise(
      "TaskRegistrationError",
      "Ref: the options are a table, got " .. describe(given),
      'as in Ref("integer", F.task.field, { default = 0 })'
    )
  end
  options.check(given, reference_options, "Ref", "TaskRegistrationError")
  M.check_boolean("Ref", "sensitive", given.sensitive)
  return given
end

---Raises an error at the user's line when a value is neither nil nor a boolean.
---@param what string begins the text
---@param key string
---@param value any
function M.check_boolean(what, key, value)
  if value ~= nil and type(value) ~= "boolean" then
    local text = what .. ": " .. key .. " is true or false, got " .. describe(value)
    errors.raise("TaskRegistrationError", text)
  end
end

---A reference with a type. The value is checked before each attempt of the consumer; one that does
---not fit fails it with a TypeMatchError. Raises a TaskRegistrationError for a wrong argument.
---@param wanted string|function a type's name, with "?" where nil is allowed, or a predicate
---@param reference userdata F.task.field or a handle
---@param given table? `default`: used in place of nil; `sensitive`: never shown
---@return astrum.Ref
function M.Ref(wanted, reference, given)
  M.check_type("Ref", wanted, 'as in Ref("integer", F.task.field)')
  if M.is_param(reference) then
    errors.raise(
      "TaskRegistrationError",
      "Ref: param " .. errors.quote(reference.name) .. " has a type of its own",
      "use the param itself as the input"
    )
  elseif not core.is_reference(reference) then
    errors.raise(
      "TaskRegistrationError",
      "Ref: a reference such as F.task.field must follow the type, got " .. describe(reference)
    )
  end
  local settings = reference_settings(given)
  return setmetatable({
    type = wanted,
    reference = reference,
    default = settings.default,
    sensitive = settings.sensitive or nil,
  }, Ref)
end

---Whether a value was made by `astrum.param`.
---@param value any
---@return boolean
function M.is_param(value)
  return getmetatable(value) == M.Param
end

---Whether a value was made by Ref.
---@param value any
---@return boolean
function M.is_ref(value)
  return getmetatable(value) == Ref
end

---The name of a task, given as a string or as a handle; nil for anything else.
---@param value any
---@return string? name
---@return table? owner the registry of a handle
function M.task_name(value)
  if type(value) == "string" then
    return value
  end
  if core.is_reference(value) then
    local name, depth, owner = core.reference_task(value)
    if depth == 0 then
      return name, owner
    end
  end
  return nil
end

local function path_of(field)
  if field == nil then
    return { n = 0 }
  end
  if type(field) ~= "table" then
    return { n = 1, field }
  end
  if not options.is_list(field) then
    return nil
  end
  local path = table.move(field, 1, #field, 1, {})
  path.n = #field
  return path
end

local function is_path(path)
  for i = 1, path and path.n or -1 do
    local key = path[i]
    if type(key) ~= "string" and not (math.type(key) == "integer" and key >= 1) then
      return false
    end
  end
  return path ~= nil
end

---Names a field of a task's own result that goes into a parameter of another task: an entry of
---`outputs`. Raises a TaskRegistrationError for a wrong argument; whether target and parameter are
---there is checked at build.
---@param target string|userdata name or handle of the other task
---@param field string|integer|table|nil field, index or list of both; nil: the whole result
---@param parameter string of the target's body
---@return astrum.T
function M.T(target, field, parameter)
  local name = M.task_name(target)
  local help <const> = 'as in T("target", "field", "parameter")'
  if not name then
    errors.raise(
      "TaskRegistrationError",
      "T: the target is the name or the handle of a task, got " .. describe(target),
      help
    )
  end
  if type(parameter) ~= "string" then
    errors.raise(
      "TaskRegistrationError",
      "T: the parameter is a name, got " .. describe(parameter),
      help
    )
  end
  local path = path_of(field)
  if not is_path(path) then
    errors.raise(
      "TaskRegistrationError",
      "T: the field is a name, an index from 1, or a list of them",
      help
    )
  end
  local source, line = core.where()
  return setmetatable(
    { target = name, path = path, parameter = parameter, source = source, line = line },
    T
  )
end

---Whether a value was made by T.
---@param value any
---@return boolean
function M.is_t(value)
  return getmetatable(value) == T
end

---The references that a constant table holds, at any depth; tables with a metatable are values of
---their own and are not searched.
---@param constant table
---@return userdata[]? references nil when there are none
---@return string? problem why the table cannot be used
function M.collect(constant)
  local found
  local queue, depths, seen = { constant }, { 1 }, { [constant] = true }
  local first = 1
  while queue[first] do
    local depth = depths[first]
    for key, value in next, queue[first] do
      if core.is_reference(key) then
        return nil, tostring(key) .. " is the key of a table; only values can be references"
      elseif value == core.F then
        return nil, "F is in a table; name a task, as in F.load_order"
      elseif core.is_reference(value) then
        found = found or {}
        found[#found + 1] = value
      elseif M.is_ref(value) or M.is_t(value) then
        return nil, (M.is_ref(value) and "Ref" or "T") .. " is in a table; use F there"
      elseif M.is_param(value) then
        local name = errors.quote(value.name)
        return nil, "param " .. name .. " is in a table; make it an input of its own"
      elseif type(value) == "table" and not seen[value] and getmetatable(value) == nil then
        seen[value] = true
        queue[#queue + 1] = value
        depths[#queue] = depth + 1
      end
    end
    first = first + 1
  end
  if found and depths[#queue] > MOST_DEEP then
    return nil, "a table with references is nested deeper than " .. MOST_DEEP .. " levels"
  end
  return found
end

return M
