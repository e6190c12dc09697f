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
local DEEPEST <const> = 8
-- With more texts to look for, the whole of a text is hidden.
local MOST <const> = 10000

---@class astrum.Secrets what is to be hidden in a run and in all runs inside it
---@field texts string[] longest first: one may be part of another
---@field known table<string, true>
---@field pending table[] where values are still to come from: run data, task, path
---@field is_sorted boolean
---@field body? string whose it is, in a worker
---@field look_at integer so many pending places are looked at when a run begins, lest they pile up
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

local function add_once(secrets, text)
  if #text < SHORTEST or secrets.known[text] or #secrets.texts > MOST then
    return
  end
  secrets.known[text] = true
  secrets.texts[#secrets.texts + 1] = text
  secrets.is_sorted = false
end

-- Adds a text, also as it is shown where control characters and quotes are not.
local function add_text(secrets, text)
  if #text < SHORTEST or secrets.known[text] then
    return
  end
  add_once(secrets, text)
  add_once(secrets, errors.escape(text))
  local quoted = inside_table(text)
  if quoted then
    add_once(secrets, quoted)
  end
end

local function add(secrets, value, depth)
  local kind = type(value)
  if kind == "number" or kind == "string" then
    add_text(secrets, tostring(value))
  elseif kind == "table" and depth < DEEPEST and #secrets.texts <= MOST then
    for key, inner in next, value do
      add(secrets, inner, depth + 1)
      if type(key) == "string" and type(inner) == "boolean" then
        add(secrets, key, depth + 1)
      end
    end
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

local WHOLE <const> = { n = 0 }

local function find_sources(workflow)
  local params, results, known = {}, {}, {}
  for name, param in pairs(workflow.params) do
    params[#params + 1] = param.sensitive and name or nil
  end
  local function add_source(id, path)
    local parts = { id }
    for i = 1, path.n do
      parts[i + 1] = ("%q"):format(path[i])
    end
    local key = table.concat(parts, ".")
    if not known[key] then
      known[key] = true
      results[#results + 1] = { id = id, path = path }
    end
  end
  for _, task in ipairs(workflow.special) do
    if task.record.sensitive then
      add_source(task.id, WHOLE)
    end
    each_input(task, function(entry)
      if entry.sensitive and entry.reference then
        local name, path = core.reference(entry.reference)
        add_source(workflow.index[name], path)
      end
    end)
  end
  return { params = params, results = results }
end

local found_sources = setmetatable({}, { __mode = "k" })

-- Where the sensitive values of a workflow's runs come from; found out once.
local function sources_of(workflow)
  local sources = found_sources[workflow]
  if not sources then
    sources = find_sources(workflow)
    found_sources[workflow] = sources
  end
  return sources
end

local function outermost(data)
  while data.parent do
    data = data.parent
  end
  return data
end

-- Outermost runs with something sensitive whose data is still there, by a number. Weak keys would
-- still be there while their run is finalized.
local watched, watched_count = setmetatable({}, { __mode = "v" }), 0

-- In a worker the outermost run goes through the bodies of many tasks. What is to be hidden is that
-- of the runs inside one body.
local function known_secrets(data)
  local secrets = data.secrets
  if secrets and data.told and secrets.body ~= data.told.idempotency_key then
    return nil
  end
  return secrets
end

local function secrets_of(data)
  local secrets = known_secrets(data)
  if not secrets then
    secrets = { texts = {}, known = {}, pending = {}, is_sorted = true, look_at = 64 }
    secrets.body = data.told and data.told.idempotency_key
    if not data.secrets then
      watched_count = watched_count + 1
      watched[watched_count] = data
    end
    data.secrets = secrets
  end
  return secrets
end

-- Finds the value at the end of a path; false when it will never come.
local function look(place)
  local run = place.data.run
  if not run then
    return nil
  end
  local value = run:result(place.id)
  if value == nil and not run:closed() then
    return nil
  end
  for i = 1, place.path.n do
    value = type(value) == "table" and rawget(value, place.path[i])
  end
  return value or false
end

-- Adds the values that have come since.
local function collect(secrets)
  local pending = secrets.pending
  for i = #pending, 1, -1 do
    local value = look(pending[i])
    if value ~= nil then
      add(secrets, value, 0)
      pending[i] = pending[#pending]
      pending[#pending] = nil
    end
  end
  if not secrets.is_sorted then
    table.sort(secrets.texts, function(a, b)
      return #a > #b
    end)
    secrets.is_sorted = true
  end
end

---Tells of a run that begins: what is sensitive in it is hidden in all runs of its tree.
---@param data astrum.RunData
function M.watch(data)
  local sources = sources_of(data.workflow)
  if #sources.params == 0 and #sources.results == 0 then
    return
  end
  local secrets = secrets_of(outermost(data))
  for _, name in ipairs(sources.params) do
    add(secrets, data.params[name], 0)
  end
  for _, source in ipairs(sources.results) do
    table.insert(secrets.pending, { data = data, id = source.id, path = source.path })
  end
  if #secrets.pending > secrets.look_at then
    collect(secrets)
    secrets.look_at = math.max(64, 2 * #secrets.pending)
  end
end

local function hide_texts(secrets, text)
  collect(secrets)
  if #secrets.texts > MOST then
    return HIDDEN
  end
  for _, secret in ipairs(secrets.texts) do
    if text:find(secret, 1, true) then
      text = text:gsub(secret:gsub("%W", "%%%0"), HIDDEN)
    end
  end
  return text
end

---What hides the sensitive values of a run, of the runs around it, and of those inside in a text;
---nil when there are none.
---@param data astrum.RunData
---@return (fun(text: string): string)?
function M.hider(data)
  local secrets = known_secrets(outermost(data))
  return secrets and function(text)
    return hide_texts(secrets, text)
  end or nil
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
    text = hide_texts(data.secrets, text)
  end
  return text
end

---A value that is shown as text without the sensitive values of a run; itself if there are none.
---@param data astrum.RunData
---@param value any
---@return any
function M.hide_value(data, value)
  if value == nil or not known_secrets(outermost(data)) then
    return value
  end
  return M.hide(data, pretty.text(value))
end

---The tasks whose results are sensitive, or that an input reads which is; nil for none.
---@param workflow astrum.Workflow
---@return table<integer, true>? ids
function M.sources(workflow)
  local results = sources_of(workflow).results
  if #results == 0 then
    return nil
  end
  local ids = {}
  for _, source in ipairs(results) do
    ids[source.id] = true
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
