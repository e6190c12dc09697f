-- Reads the comments of Lua files for docs.lua and check-annotations.lua: functions with what
-- stands above them, classes with their fields, and which of them are public.

local M = {}

---@class Annotation
---@field owner string? local variable that the function is in, "M" or "Scheduler"
---@field name string
---@field method boolean declared with a colon
---@field parameters string[]
---@field text string[] lines of description
---@field params table<string, string> parameter to "type text"
---@field returns string[]
---@field place string file:line

local function lines_of(path)
  local lines = {}
  for line in assert(io.open(path)):lines() do
    lines[#lines + 1] = line
  end
  return lines
end

local function new_comment()
  return { text = {}, params = {}, returns = {}, fields = {} }
end

-- Adds a line of a comment; a line without tag goes on with what came before.
local function add_line(comment, line)
  local tag, rest = line:match("^@(%w+)%s*(.*)$")
  if tag == "param" then
    local name, what = rest:match("^(%S+)%s*(.*)$")
    local bare = name:gsub("%?$", "")
    comment.params[bare] = (name ~= bare and "? " or "") .. what
    comment.last = { comment.params, bare }
  elseif tag == "return" then
    comment.returns[#comment.returns + 1] = rest
    comment.last = { comment.returns, #comment.returns }
  elseif tag == "field" then
    comment.fields[#comment.fields + 1] = rest
    comment.last = { comment.fields, #comment.fields }
  elseif tag == "class" then
    comment.class = rest:match("^[%w_.]+")
    comment.last = nil
  elseif not tag and comment.last and line:find("%S") then
    local list, key = table.unpack(comment.last)
    list[key] = list[key] .. " " .. line:match("^%s*(.*)$")
  elseif not tag then
    comment.text[#comment.text + 1] = line
  end
end

local function function_of(line, comment, place)
  local owner, colon, name, list = line:match("^function ([%w_]+)([.:])([%w_]+)%((.-)%)")
  if not owner then
    return nil
  end
  local parameters = {}
  for parameter in list:gmatch("[^,%s]+") do
    parameters[#parameters + 1] = parameter
  end
  comment.owner, comment.name, comment.method = owner, name, colon == ":"
  comment.parameters, comment.place = parameters, place
  return comment
end

---Reads one file.
---@param path string
---@return { functions: Annotation[], classes: table<string, table>, locals: table<string, string> }
function M.read(path)
  local found = { functions = {}, classes = {}, locals = {} }
  local comment
  for number, line in ipairs(lines_of(path)) do
    local text = line:match("^%-%-%-%s?(.*)$")
    if text then
      comment = comment or new_comment()
      add_line(comment, text)
    else
      local annotated = function_of(line, comment or new_comment(), path .. ":" .. number)
      found.functions[#found.functions + 1] = annotated
      if comment and comment.class then
        found.classes[comment.class] = comment
        comment.order = number
        local variable = line:match("^local ([%w_]+) =")
        if variable then
          found.locals[variable] = comment.class
        end
      end
      comment = nil
    end
  end
  return found
end

---Splits "string the name" into the type and the rest; a type has blanks only inside brackets and
---after the colon of fun(...).
---@param text string
---@return string type
---@return string rest
function M.split_type(text)
  local depth, at = 0, 1
  while at <= #text do
    local char = text:sub(at, at)
    if char:find("[%(%{<]") then
      depth = depth + 1
    elseif char:find("[%)%}>]") then
      depth = depth - 1
    elseif char == " " and depth == 0 and text:sub(at - 1, at - 1) ~= ":" then
      break
    end
    at = at + 1
  end
  return text:sub(1, at - 1), text:sub(at + 1)
end

---The file of a module.
---@param module string "astrum.task"
---@return string
function M.path(module)
  if module == "astrum.core" then
    return "lua/astrum/astrum.meta.lua"
  end
  return "lua/" .. module:gsub("%.", "/") .. ".lua"
end

---The public functions of the table `astrum`, in the order of init.lua.
---@return { section: string, name: string, module: string, key: string, comment: Annotation? }[]
function M.public()
  local modules, list, files, section = {}, {}, {}, nil
  for _, line in ipairs(lines_of("lua/astrum/init.lua")) do
    local variable, module = line:match('^local ([%w_]+) = require "([%w_.]+)"')
    if variable then
      modules[variable] = module
    end
    section = line:match("^  %-%- (.+)$") or section
    local name, from, key = line:match("^  ([%w_]+) = ([%w_]+)%.([%w_]+),")
    if name and modules[from] and section then
      local path = M.path(modules[from])
      files[path] = files[path] or M.read(path)
      local entry = { section = section, name = name, module = modules[from], key = key }
      for _, comment in ipairs(files[path].functions) do
        if comment.name == key and (comment.owner == "M" or comment.owner == "core") then
          entry.comment = comment
        end
      end
      list[#list + 1] = entry
    end
  end
  return list
end

---The public methods of a class, in the order of the file.
---@param found table what `read` gave
---@param class string
---@return Annotation[]
function M.methods(found, class)
  local list = {}
  for _, comment in ipairs(found.functions) do
    if found.locals[comment.owner] == class and not comment.name:find("^__") then
      list[#list + 1] = comment
    end
  end
  return list
end

---Classes whose methods users call, their files, and what an object is called in a document.
M.CLASSES = {
  { "astrum.Registry", "lua/astrum/registry.lua", "registry" },
  { "astrum.Scheduler", "lua/astrum/scheduler.lua", "scheduler" },
  { "astrum.Run", "lua/astrum/run.lua", "handle" },
  { "astrum.Report", "lua/astrum/report.lua", "report" },
  { "astrum.ExecutionPlanner", "lua/astrum/manual.lua", "planner" },
  { "astrum.ExecutionPlan", "lua/astrum/manual.lua", "plan" },
}

return M
