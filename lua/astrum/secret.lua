-- Sensitive values never show: what is text of a run (errors, logs, progress) is searched for them
-- before anybody sees it. Sensitive are results of tasks and parameters that are declared so, and
-- what an input takes that is.
local core = require "astrum.core"
local errors = require "astrum.error"
local pretty = require "astrum.pretty"

core.own()

local M = {}

local HIDDEN <const> = "[hidden]"

-- Shorter ones would be found everywhere.
local SHORTEST <const> = 4
local MOST <const> = 1000
local DEEPEST <const> = 8
local DEEPEST_SHOWN <const> = 64

-- A text as it is shown inside a table, which may be its beginning only.
local function inside_table(text)
  local shown = pretty.text { text }
  local whole = shown:match '^{ "(.*)" }$'
  if whole then
    return whole
  end
  local cut = shown:match '^{ "(.*)" %(.* bytes%) }$'
  return cut and cut:gsub("…$", ""):gsub("%.%.%.$", "")
end

-- Adds a text, also as it is shown where control characters and quotes are not.
local function add_text(found, text)
  if #text < SHORTEST or #found >= MOST then
    return
  end
  found[#found + 1] = text
  local escaped, quoted = errors.escape(text), inside_table(text)
  if escaped ~= text then
    found[#found + 1] = escaped
  end
  if quoted and quoted ~= text and quoted ~= escaped then
    found[#found + 1] = quoted
  end
end

local function add(found, value, depth)
  local kind = type(value)
  if kind == "number" or kind == "string" then
    add_text(found, tostring(value))
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

-- Calls `visit` for each input of a task and each list of its map.
local function each_input(task, visit)
  for i = 1, task.inputs.n do
    visit(task.inputs[i])
  end
  for _, list in ipairs(task.record.map or {}) do
    visit(list.input)
  end
end

local function add_run(found, data)
  for name, param in pairs(data.workflow.params) do
    if param.sensitive then
      add(found, data.params[name], 0)
    end
  end
  for id, task in ipairs(data.workflow.tasks) do
    if task.record.sensitive and data.run then
      add(found, data.run:result(id), 0)
    end
    if data.run then
      each_input(task, function(entry)
        if entry.sensitive then
          add_input(found, data, entry)
        end
      end)
    end
  end
end

-- What is sensitive among the values of a run and of those inside it, longest first: one may be
-- part of another.
local function values_of(data)
  local found = {}
  add_run(found, data)
  for _, inner in ipairs(data.sensitive_runs or {}) do
    add_run(found, inner)
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
    for _, task in ipairs(workflow.tasks) do
      any = any or task.record.sensitive == true
      each_input(task, function(entry)
        any = any or entry.sensitive == true
      end)
    end
    has[workflow] = any
  end
  return has[workflow]
end

-- Runs with something sensitive whose data is still there, by a number. Weak keys would still be
-- there while their run is finalized.
local watched, watched_count = setmetatable({}, { __mode = "v" }), 0

---Tells of a run that begins, so that the runs around it hide what is sensitive in it.
---@param data astrum.RunData
function M.watch(data)
  if not has_any(data.workflow) then
    return
  end
  watched_count = watched_count + 1
  watched[watched_count] = data
  local around = data.parent
  while around do
    around.sensitive_runs = around.sensitive_runs or {}
    table.insert(around.sensitive_runs, data)
    around = around.parent
  end
end

local function hide_values(values, text)
  for _, value in ipairs(values) do
    text = text:gsub(value:gsub("%W", "%%%0"), (HIDDEN:gsub("%%", "%%%%")))
  end
  return text
end

---A function that takes the sensitive values of a run, of the runs around it, and of those inside
---out of texts; nil when there are none. For many texts of a run that is over.
---@param data astrum.RunData
---@return (fun(text: string): string)?
function M.hider(data)
  local lists, around = {}, data
  while around do
    if around.sensitive_runs or has_any(around.workflow) then
      lists[#lists + 1] = values_of(around)
    end
    around = around.parent
  end
  return #lists > 0
      and function(text)
        for _, values in ipairs(lists) do
          text = hide_values(values, text)
        end
        return text
      end
    or nil
end

---The text without the sensitive values of a run, of the runs around it, and of those inside.
---@param data astrum.RunData
---@param text string
---@return string
function M.hide(data, text)
  local hide = M.hider(data)
  return hide and hide(text) or text
end

---The text without the sensitive values of any run.
---@param text string
---@return string
function M.hide_all(text)
  for _, data in pairs(watched) do
    text = hide_values(values_of(data), text)
  end
  return text
end

---A value that is shown as text without the sensitive values of a run; itself if there are none.
---@param data astrum.RunData
---@param value any
---@return any
function M.hide_value(data, value)
  if value == nil or not (data.sensitive_runs or has_any(data.workflow)) then
    return value
  end
  return M.hide(data, pretty.text(value))
end

---The tasks whose results are sensitive, or that an input reads which is; nil for none.
---@param workflow astrum.Workflow
---@return table<integer, true>? ids
function M.sources(workflow)
  if not has_any(workflow) then
    return nil
  end
  local ids = {}
  for id, task in ipairs(workflow.tasks) do
    ids[id] = task.record.sensitive or ids[id]
    each_input(task, function(entry)
      if entry.sensitive and entry.reference then
        ids[workflow.index[core.reference(entry.reference)]] = true
      end
    end)
  end
  return ids
end

-- --- results

-- A copy of what JSON can show of a value, with its texts and numbers searched for what is hidden.
local function masked(value, hide, seen, depth)
  local kind = type(value)
  if kind == "string" then
    return hide(value)
  elseif kind == "number" then
    return hide(tostring(value)) == tostring(value) and value or HIDDEN
  elseif kind ~= "table" then
    return value
  end
  if not seen[value] then
    local copy = {}
    seen[value] = copy
    for key, inner in next, depth < DEEPEST_SHOWN and value or {} do
      copy[type(key) == "string" and hide(key) or key] = masked(inner, hide, seen, depth + 1)
    end
  end
  return seen[value]
end

-- The value without what lies at a path in it.
local function without(value, path, depth)
  if depth > path.n then
    return HIDDEN
  elseif type(value) ~= "table" then
    return value
  end
  local copy = {}
  for key, inner in next, value do
    copy[key] = inner
  end
  if copy[path[depth]] ~= nil then
    copy[path[depth]] = without(copy[path[depth]], path, depth + 1)
  end
  return copy
end

-- By task, the paths in its result that are sensitive: where an input reads that is, and in the
-- result of a workflow the tasks that are.
local function sensitive_paths(workflow)
  local paths = {}
  local function add_path(id, path)
    paths[id] = paths[id] or {}
    table.insert(paths[id], path)
  end
  for id, task in ipairs(workflow.tasks) do
    each_input(task, function(entry)
      if entry.sensitive and entry.reference then
        local name, path = core.reference(entry.reference)
        add_path(workflow.index[name], path)
      end
    end)
    if task.child then
      for inner in pairs(M.sources(task.child) or {}) do
        add_path(id, { n = 1, task.child.tasks[inner].name })
      end
    end
  end
  return paths
end

---A function that gives what may be shown of the result of a task, by its id.
---@param data astrum.RunData
---@return fun(id: integer, value: any): any
function M.shown_results(data)
  local hide = M.hider(data)
  if not hide then
    return function(_, value)
      return value
    end
  end
  local paths = sensitive_paths(data.workflow)
  return function(id, value)
    if data.workflow.tasks[id].record.sensitive then
      return HIDDEN
    end
    for _, path in ipairs(paths[id] or {}) do
      value = without(value, path, 1)
    end
    return masked(value, hide, {}, 0)
  end
end

return M
