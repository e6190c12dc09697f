-- Tables of options: closed lists of known keys, and tables that cannot be written.
local core = require "astrum.core"
local errors = require "astrum.error"
local suggest = require "astrum.suggest"

core.own()

local M = {}

---A list of option names, with what check needs.
---@param names string[] in the order in which help lists them
---@return table
function M.known(names)
  local set = { names = names }
  for _, name in ipairs(names) do
    set[name] = true
  end
  return set
end

---The first key of a table, in a fixed order, that is not a known option.
---@param given table
---@param known table made by `known`
---@return any key or nil
function M.first_unknown(given, known)
  local unknown
  for key in next, given do
    if known[key] ~= true and (unknown == nil or tostring(key) < tostring(unknown)) then
      unknown = key
    end
  end
  return unknown
end

---How a key of any type is written in a message.
---@param key any
---@return string
function M.key_text(key)
  return type(key) == "string" and errors.quote(key) or tostring(key)
end

---How a value that a user gave is written in a message.
---@param value any
---@return string
function M.value_text(value)
  if type(value) == "string" then
    return errors.quote(value)
  elseif type(value) == "number" or type(value) == "boolean" or value == nil then
    return tostring(value)
  elseif core.is_reference(value) then
    return "the reference " .. tostring(value)
  end
  return "a " .. type(value)
end

---A copy of a table, which may be a read-only one, that `next` can walk.
---@param given table
---@return table
function M.plain(given)
  local copy = {}
  for key, value in pairs(given) do
    copy[key] = value
  end
  return copy
end

---Help for an unknown option: all of them, if none is near.
---@param key any
---@param known table made by `known`
---@param other_names table<string, string>? what options are called elsewhere
---@return string
function M.help(key, known, other_names)
  if other_names and other_names[key] then
    return "did you mean " .. errors.quote(other_names[key]) .. "?"
  end
  return suggest.help(key, known.names, "options", #known.names)
end

---Raises an error at the user's line when a table has a key that is no known option.
---@param given table
---@param known table made by `known`
---@param what string of what these are the options, "AstrumConfig"
---@param kind string of the error
---@param other_names table<string, string>? what options are called elsewhere
function M.check(given, known, what, kind, other_names)
  local key = M.first_unknown(given, known)
  if key ~= nil then
    local text = what .. ": unknown option " .. M.key_text(key)
    errors.raise(kind, text, M.help(key, known, other_names), { marks = M.marks(key) })
  end
end

---What carets point to where a key of a table of options is wrong.
---@param key any
---@return astrum.Mark[]?
function M.marks(key)
  return type(key) == "string" and { { name = key, form = "option" } } or nil
end

---Checks a table of options that have a simple type each. Raises an error at the user's line.
---@param given table?
---@param types table the names as a list, and by name "boolean" or "integer" (from 0)
---@param what string of what these are the options
---@return table given, or an empty table
function M.simple(given, types, what)
  if given == nil then
    return {}
  elseif type(given) ~= "table" then
    errors.raise("ConfigError", what .. ": the options are a table, got " .. type(given))
  end
  M.check(given, M.known(types), what, "ConfigError")
  for _, name in ipairs(types) do
    local value, wanted = given[name], types[name]
    local fits = type(value) == wanted
    if wanted == "integer" then
      fits = type(value) == "number" and (math.tointeger(value) or -1) >= 0
    end
    if value ~= nil and not fits then
      local got = type(value) == "number" and tostring(value) or type(value)
      local must = wanted == "integer" and "an integer from 0" or "true or false"
      errors.raise("ConfigError", what .. ": " .. name .. " must be " .. must .. ", got " .. got)
    end
  end
  return given
end

---A table that reads like `values` and cannot be written.
---@param values table
---@param name string what it is, for messages and as `__name`
---@return table
function M.read_only(values, name)
  return setmetatable({}, {
    __name = name,
    __metatable = name,
    __index = values,
    __len = function()
      return #values
    end,
    __pairs = function()
      return next, values
    end,
    __newindex = function(_, key)
      errors.raise(
        "SchedulerError",
        name .. " is read-only: " .. M.key_text(key) .. " cannot be set"
      )
    end,
  })
end

---Makes the methods of a class refuse a call without their object, as in report.ok().
---@param class table
---@param what string the object in the message, "report"
---@param is_object fun(value: any): any whether a value is such an object
function M.want_colon(class, what, is_object)
  for name, method in pairs(class) do
    if type(method) == "function" and name:sub(1, 2) ~= "__" then
      class[name] = function(object, ...)
        if not is_object(object) then
          local text = name .. ": call it with a colon, as in " .. what .. ":" .. name .. "()"
          errors.raise("SchedulerError", text)
        end
        return method(object, ...)
      end
    end
  end
end

---Refuses a function of the library that was called with a colon, as in astrum:run().
---@param first any the first argument
---@param what string the function
---@param kind string of the error
function M.want_dot(first, what, kind)
  if first ~= nil and rawequal(first, package.loaded.astrum) then
    local help = ("write astrum.%s, not astrum:%s"):format(what, what)
    local fields = { marks = { { name = what, form = "name" } } }
    errors.raise(kind, what .. ": call it with a dot", help, fields)
  end
end

---Whether a list has no holes and no other keys; else the first index that is nil, or false.
---@param list table
---@return boolean is_list
---@return integer? hole
function M.is_list(list)
  local count, largest = 0, 0
  for key in next, list do
    if math.type(key) ~= "integer" or key < 1 then
      return false
    end
    count = count + 1
    largest = math.max(largest, key)
  end
  if largest == count then
    return true
  end
  local hole = 1
  while list[hole] ~= nil do
    hole = hole + 1
  end
  return false, hole
end

return M
