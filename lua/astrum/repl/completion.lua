-- What a half-typed name at the prompt can become: globals and fields, task names behind F, fields
-- of last results, commands and their arguments. It reads tables and the tables that their __index
-- names, and never calls a function.
local commands = require "astrum.repl.commands"
local core = require "astrum.core"
local registries = require "astrum.registry"

core.own()

-- Sees through __metatable, where the host has the debug library.
local getmetatable <const> = debug and debug.getmetatable or getmetatable

local M = {}

local MOST_TABLES <const> = 10

local KEYWORDS <const> = {}
for word in
  ([[and break do else elseif end false for function goto if in local nil not or repeat return then
    true until while]]):gmatch("%a+")
do
  KEYWORDS[word] = true
end

local function is_name(text)
  return type(text) == "string" and text:find("^[%a_][%w_]*$") ~= nil and not KEYWORDS[text]
end

-- The table that a value's fields come from when it has none of its own.
local function behind(value)
  local metatable = getmetatable(value)
  if type(metatable) ~= "table" then
    return nil
  end
  local names, index = rawget(metatable, "__names"), rawget(metatable, "__index")
  return type(names) == "table" and names or type(index) == "table" and index or nil
end

-- Calls visit(table) for all tables in which the fields of a value are looked for.
local function each_table(value, visit)
  for _ = 1, MOST_TABLES do
    if type(value) == "table" then
      visit(value)
    end
    value = behind(value)
    if value == nil then
      return
    end
  end
end

local function field(value, name)
  local found
  each_table(value, function(object)
    if found == nil then
      found = rawget(object, name)
    end
  end)
  return found
end

local function add_fields(names, value, only_functions)
  each_table(value, function(object)
    for key, item in next, object do
      if is_name(key) and (not only_functions or type(item) == "function") then
        names[key] = true
      end
    end
  end)
end

local function task_names()
  local names = {}
  for _, record in ipairs(registries.get_registry().records) do
    names[record.name] = true
  end
  return names
end

local function only_identifiers(names)
  local kept = {}
  for name in pairs(names) do
    kept[name] = is_name(name) or nil
  end
  return kept
end

-- What a path of names leads to; behind F.<task> it goes into the last result of the task.
local function resolve(session, path)
  local value
  for i, name in ipairs(path) do
    if i == 1 then
      value = rawget(_G, name)
    elseif rawequal(value, core.F) then
      value = session:last_result(name)
    else
      value = field(value, name)
    end
    if value == nil then
      return nil
    end
  end
  return value
end

-- The names that a path can go on with. `mark` is what stands before the next one.
local function members(session, path, mark)
  local names = {}
  local value = resolve(session, path)
  if rawequal(value, core.F) then
    return only_identifiers(task_names())
  elseif core.is_reference(value) then
    local name, depth = core.reference_task(value)
    value = depth == 0 and session:last_result(name) or nil
  end
  add_fields(names, value, mark == ":")
  return names
end

local function globals()
  local names = {}
  for word in pairs(KEYWORDS) do
    names[word] = true
  end
  add_fields(names, _G)
  return names
end

-- In a string behind F or behind a bracket of it: names of tasks.
local function in_string(line)
  local partial = line:match("%f[%w_]F%s*%(?%s*[\"']([^\"']*)$")
    or line:match("%f[%w_]F%s*%[%s*[\"']([^\"']*)$")
  if partial then
    return task_names(), partial
  end
  return {}, ""
end

local function of_lua(session, line)
  local quotes = select(2, line:gsub('"', "")) + select(2, line:gsub("'", ""))
  if quotes % 2 == 1 then
    return in_string(line)
  end
  local chain = line:match("[%w_.:]*$")
  local base, mark, partial = chain:match("^(.-)([.:]?)([%w_]*)$")
  if mark == "" then
    return globals(), partial
  end
  local path = {}
  for name in base:gmatch("[^.:]+") do
    path[#path + 1] = name
  end
  -- What a call or an index gave is not known without calling it.
  if base == "" or base:find("^[.:]") or base:find("[.:][.:]") then
    return {}, partial
  end
  return members(session, path, mark), partial
end

local ARGUMENTS <const> = {}

function ARGUMENTS.task()
  return task_names()
end

function ARGUMENTS.graph()
  local names = task_names()
  for _, format in ipairs(commands.FORMATS) do
    names[format] = true
  end
  return names
end

function ARGUMENTS.namespace()
  local names = {}
  for _, name in ipairs(registries.namespaces()) do
    names[name] = true
  end
  return names
end

function ARGUMENTS.command()
  return commands.names()
end

local function of_command(line)
  local partial = line:match("^%s*%.(%a*)$")
  if partial then
    local names = {}
    for name in pairs(commands.names()) do
      names[commands.argument(name) and name .. " " or name] = true
    end
    return names, partial
  end
  local name, rest = line:match("^%s*%.(%a+)%s+(.*)$")
  local kind = commands.argument(name)
  partial = rest:match('"([^"]*)$') or rest:match("%S*$")
  if kind == "file" then
    return nil
  elseif type(kind) == "table" then
    return kind, partial
  end
  return kind and ARGUMENTS[kind]() or {}, partial
end

---What can stand in place of the end of a line.
---@param session astrum.ReplSession
---@param line string up to the cursor
---@param start integer? first byte of what is replaced; where the name begins when left out
---@return string[]? texts sorted; nil: the names of files
function M.complete(session, line, start)
  local names, partial
  if line:find("^%s*%.%a*$") or line:find("^%s*%.%a+%s") then
    names, partial = of_command(line)
    if not names then
      return nil
    end
  else
    names, partial = of_lua(session, line)
  end
  local begins = #line - #partial + 1
  start = start or begins
  local texts = {}
  for name in pairs(names) do
    if name:sub(1, #partial) == partial then
      local text = name:sub(math.max(1, start - begins + 1))
      texts[#texts + 1] = start < begins and line:sub(start, begins - 1) .. text or text
    end
  end
  table.sort(texts)
  return texts
end

return M
