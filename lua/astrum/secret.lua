-- Sensitive values never show: what is text of a run (errors, logs, progress) is searched for them
-- before anybody sees it. Sensitive are results of tasks and parameters that are declared so, and
-- what an input takes that is.
local core = require "astrum.core"

core.own()

local M = {}

local HIDDEN <const> = "[hidden]"

-- Shorter ones would be found everywhere.
local SHORTEST <const> = 4
local MOST <const> = 1000
local DEEPEST <const> = 8

local function add(found, value, depth)
  local kind = type(value)
  if kind == "number" then
    value, kind = tostring(value), "string"
  end
  if kind == "string" then
    if #value >= SHORTEST and #found < MOST then
      found[#found + 1] = value
    end
  elseif kind == "table" and depth < DEEPEST then
    for key, inner in next, value do
      add(found, inner, depth + 1)
      if type(key) == "string" and type(inner) == "boolean" then
        add(found, key, depth + 1)
      end
    end
  end
end

local function follow(value, path)
  for i = 1, path.n do
    if type(value) ~= "table" then
      return nil
    end
    value = rawget(value, path[i])
  end
  return value
end

local function add_input(found, data, entry)
  if entry.reference then
    local name, path = core.reference(entry.reference)
    local id = data.workflow.index[name]
    add(found, follow(data.run:result(id), path), 0)
  end
end

-- What is sensitive among the values of a run, longest first: one may be part of another.
local function values_of(data)
  local found = {}
  for name, param in pairs(data.workflow.params) do
    if param.sensitive then
      add(found, data.params[name], 0)
    end
  end
  for _, task in ipairs(data.workflow.special) do
    if task.record.sensitive and data.run then
      add(found, data.run:result(task.id), 0)
    end
    for i = 1, data.run and task.inputs.n or 0 do
      if task.inputs[i].sensitive then
        add_input(found, data, task.inputs[i])
      end
    end
  end
  table.sort(found, function(a, b)
    return #a > #b
  end)
  return found
end

-- Whether a workflow has anything sensitive; found out once.
local has = setmetatable({}, { __mode = "k" })

local function has_any(workflow)
  if has[workflow] == nil then
    local any = false
    for _, param in pairs(workflow.params) do
      any = any or param.sensitive == true
    end
    for _, task in ipairs(workflow.special) do
      any = any or task.record.sensitive == true
      for i = 1, task.inputs.n do
        any = any or task.inputs[i].sensitive == true
      end
    end
    has[workflow] = any
  end
  return has[workflow]
end

---The text without the sensitive values of a run and of the runs around it.
---@param data astrum.RunData
---@param text string
---@return string
function M.hide(data, text)
  local around = data
  while around do
    if has_any(around.workflow) then
      for _, value in ipairs(values_of(around)) do
        text = text:gsub(value:gsub("%W", "%%%0"), (HIDDEN:gsub("%%", "%%%%")))
      end
    end
    around = around.parent
  end
  return text
end

return M
