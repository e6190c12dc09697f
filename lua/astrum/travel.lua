-- What cannot go to a worker thread or a child process: what is told of it, and what to do instead.
-- The codec says what is wrong in a value, and where (`why`).
local core = require "astrum.core"
local errors = require "astrum.error"

core.own()

local M = {}

local quote <const> = errors.quote

---What executors run bodies in.
M.PLACES = { thread = "worker thread", process = "child process" }

local DATA <const> = "only nil, booleans, numbers, strings and tables of these travel"

-- How reasons end, and help about a value with a verb: "pass" or "return".
local VALUES <const> = {
  { " is a table with a metatable$", "%s its data in a plain table; " .. DATA },
  { " is nested too deeply: [^\"']*$", "%s flatter tables" },
  { " is larger than %d+ bytes$", "%s the name of a file that holds it" },
  { " is a cycle: ", "%s it without the field that leads back" },
}

local FUNCTION <const> = " is a function$"

local function help_of_value(why, verb)
  for _, entry in ipairs(VALUES) do
    if why:find(entry[1]) then
      return entry[2]:format(verb)
    end
  end
end

local function input_help(why)
  if why:find(FUNCTION) then
    return DATA .. "; a Lua function can be an upvalue of the body"
  end
  return help_of_value(why, "pass") or "make it inside the body, or pass its data; " .. DATA
end

---The text of the error of a result that cannot travel.
---@param why string
---@param place string one of PLACES
---@return string
function M.result_text(why, place)
  local help = help_of_value(why, "return") or "use it inside the body, and return data; " .. DATA
  return ("the result cannot leave the %s: %s\nhelp: %s"):format(place, why, help)
end

---What is told of an input, or of the params, that cannot travel.
---@param what string "input 'file'"
---@param place string one of PLACES
---@param why string
---@return string text
---@return string help
function M.input_text(what, place, why)
  return what .. " cannot go to a " .. place .. ": " .. why, input_help(why)
end

---How an input is named in texts, and its value in what the codec says.
---@param entry astrum.Input
---@param position integer
---@return string what "input 'file'"
---@return string root "file"
function M.names(entry, position)
  local parameter = entry.parameter
  if parameter then
    return "input " .. quote(parameter), parameter
  end
  return "input " .. position, "inputs[" .. position .. "]"
end

-- --- constants

local SIMPLE <const> = { ["nil"] = true, boolean = true, number = true, string = true }

-- A table with references as a run makes it, with true in the place of each.
local function resolved(value, seen)
  if core.is_reference(value) then
    return true
  elseif type(value) ~= "table" or getmetatable(value) ~= nil then
    return value
  elseif not seen[value] then
    local copy = {}
    seen[value] = copy
    for key, inner in next, value do
      copy[key] = resolved(inner, seen)
    end
  end
  return seen[value]
end

---Why an input or a list of a map that is written in a declaration cannot travel; nil: it can, or
---that is not known yet.
---@param entry astrum.Input
---@param root string what it is called
---@param known table<any, true> values that can, which others may have, too
---@return string?
function M.constant_problem(entry, root, known)
  local value = entry.value
  if (entry.kind ~= "constant" and entry.kind ~= "template") or SIMPLE[type(value)] then
    return nil
  elseif known[value] then
    return nil
  end
  local sent = entry.kind == "template" and resolved(value, {}) or value
  if entry.is_list and type(sent) == "table" then
    sent = table.move(sent, 1, math.tointeger(sent.n) or #sent, 1, {}) -- only the items travel
  end
  local encoded, why = core.encode(root, sent)
  known[value] = encoded and getmetatable(value) == nil or nil
  return why
end

-- --- upvalues of bodies

-- The value that the codec has found to be a userdata, by the names in what it says.
local function found_value(body, why)
  local value = body
  local names = {}
  for name in why:gmatch "upvalue '([%w_.]+)'" do
    table.insert(names, 1, name)
  end
  for _, name in ipairs(names) do
    for key in name:gmatch "[^.]+" do
      if type(value) == "function" then
        value = core.upvalue(value, key)
      else
        value = type(value) == "table" and rawget(value, key) or nil
      end
    end
  end
  return value, names[#names]
end

local EXPORTS <const> = "only functions, data, and what modules export can travel"

-- How reasons end, and help about an upvalue.
local UPVALUES <const> = {
  {
    " is a table with a metatable$",
    "make it inside the body, or take its data along in a plain table; " .. EXPORTS,
  },
  {
    " is a function made by C that no loaded module exports$",
    "make it inside the body, as by coroutine.wrap, or get it there from its module",
  },
  { " is nested too deeply: [^\"']*$", "make it inside the body, or take flatter tables along" },
  { " is larger than %d+ bytes$", "make it inside the body, or read it there from a file" },
}

---What is wrong with a body that cannot travel, and what to do about it.
---@param body function
---@param why string
---@return string text
---@return string help
function M.of_body(body, why)
  if why:find "^the body is a function made by C" then
    return why, "write run = function(...) ... end, and make it or get it from its module in there"
  elseif why:find "^upvalue '_ENV'" then
    return why,
      "its globals are not Lua's own, as in a spec of busted; declare the task in a "
        .. "module, or begin the file with local _ENV = _G"
  elseif why:find "^upvalue .* is a userdata$" then
    local value, path = found_value(body, why)
    if core.is_reference(value) then
      local name, keys = core.reference_task(value)
      local what = keys == 0 and "the task " .. quote(name) or "the reference " .. tostring(value)
      local input = "inputs = { %s = %s }"
      return why:gsub("a userdata$", (what:gsub("%%", "%%%%"))),
        "list it in inputs: " .. input:format(path:match "[^.]+$", path)
    end
  end
  for _, entry in ipairs(UPVALUES) do
    if why:find(entry[1]) then
      return why, entry[2]
    end
  end
  return why, "make it inside the body; " .. EXPORTS
end

return M
