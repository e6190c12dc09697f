-- Sensitive values never show. Sensitive are results of tasks and parameters that are declared so,
-- and what an input takes that is. A value is masked while it is drawn, before anything of it is
-- cut or escaped (pretty.lua); text that is there already, as that of an error, is searched.
local core = require "astrum.core"
local errors = require "astrum.error"
local pretty = require "astrum.pretty"
local terminal = require "astrum.terminal"

core.own()

-- Sees through __metatable, where the host has the debug library.
local getmetatable <const> = debug and debug.getmetatable or getmetatable

local M = {}

local HIDDEN <const> = "[hidden]"

-- Shorter ones would be found everywhere.
local SHORTEST <const> = 4
-- With more texts to look for, the whole of a text is hidden.
local MOST <const> = 10000
local DEEPEST_SHOWN <const> = 64
local LONGEST_FIELD <const> = 20

---@class astrum.Secrets what is to be hidden in a run and in all runs inside it
---@field texts string[]
---@field known table<string, true>
---@field fields table<string, true> keys that references name
---@field pending table[] where values are still to come from: run data, task, path
---@field errors table<astrum.Error, true> those made while values were still to come; weak
---@field looked_for integer for so many texts those errors were searched
---@field body? string whose it is, in a worker
---@field look_at integer so many pending places are looked at when a run begins, lest they pile up

-- --- texts to look for

local function add_once(secrets, text)
  local is_hideable = #text >= SHORTEST and not HIDDEN:find(text, 1, true)
  if is_hideable and not secrets.known[text] and #secrets.texts <= MOST then
    secrets.known[text] = true
    secrets.texts[#secrets.texts + 1] = text
  end
end

-- Adds a text, also as it is written where control characters, quotes or letters are not, and its
-- lines: messages often tell of one, and some end at a zero byte.
local function add_text(secrets, text)
  if secrets.known[text] then
    return
  end
  add_once(secrets, text)
  if not text:find "[^ !#-%[%]-~]" then
    return
  end
  if text:find "[\n\r\0]" then
    for line in text:gmatch "[^\n\r\0]+" do
      add_text(secrets, line)
    end
  end
  add_once(secrets, errors.escape(text))
  add_once(secrets, ("%q"):format(text):sub(2, -2))
  for _, ascii in ipairs { false, true } do
    add_once(secrets, terminal.escape(text, ascii))
    local limits = { text = math.maxinteger, unicode = not ascii }
    add_once(secrets, pretty.text({ text }, limits):match '^{ "(.*)" }$')
  end
end

local function add_number(secrets, number)
  add_text(secrets, tostring(number))
  add_text(secrets, pretty.text(number))
  local integer = math.tointeger(number)
  if integer then
    add_text(secrets, tostring(integer))
  end
end

-- What an object says of itself.
local function add_own_text(secrets, object)
  local metatable = getmetatable(object)
  if type(metatable) == "table" and rawget(metatable, "__tostring") ~= nil then
    local ok, text = pcall(tostring, object)
    if ok then
      add_text(secrets, text)
    end
  end
end

-- Whether all that a table with keys that are no positions has are booleans.
local function is_set(object, is_position)
  for key, value in next, object do
    if not is_position(key) and type(value) ~= "boolean" then
      return false
    end
  end
  return true
end

-- Calls `visit` for the keys of a table that are values: not for positions in a list, names that
-- references use, and short words, which name fields; of a set for all.
local function each_secret_key(secrets, object, visit)
  local length = math.tointeger(rawget(object, "n")) or rawlen(object)
  local function is_position(key)
    return math.type(key) == "integer" and key >= 1 and key <= length
  end
  local everything
  for key in next, object do
    local is_word = type(key) == "string" and #key <= LONGEST_FIELD and key:find "^[%a_]+$"
    if is_word or secrets.fields[key] then
      if everything == nil then
        everything = is_set(object, is_position)
      end
      if everything then
        visit(key)
      end
    elseif not is_position(key) then
      visit(key)
    end
  end
end

-- Adds all that is in a value.
local function add(secrets, value)
  local seen, stack = {}, {}
  local function push(inner)
    local kind = type(inner)
    if kind == "string" then
      add_text(secrets, inner)
    elseif kind == "number" then
      add_number(secrets, inner)
    elseif (kind == "table" or kind == "userdata") and not seen[inner] then
      seen[inner] = true
      stack[#stack + 1] = inner
    end
  end
  push(value)
  while stack[1] do
    local object = table.remove(stack)
    add_own_text(secrets, object)
    if type(object) == "table" then
      local length, is_list = rawlen(object), true
      for key, inner in next, object do
        push(inner)
        is_list = is_list and math.type(key) == "integer" and key >= 1 and key <= length
        if #secrets.texts > MOST then
          return
        end
      end
      if not is_list then
        each_secret_key(secrets, object, push)
      end
    end
  end
end

-- --- where they come from

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

-- The keys that references of a workflow name.
local function field_names(workflow)
  local fields = {}
  local function add_path(reference)
    local _, path = core.reference(reference)
    for i = 1, path.n do
      fields[path[i]] = true
    end
  end
  for _, task in ipairs(workflow.tasks) do
    each_input(task, function(entry)
      for _, reference in ipairs(entry.references or { entry.reference }) do
        add_path(reference)
      end
    end)
  end
  return fields
end

local function find_sources(workflow)
  local sources = { params = {}, results = {}, defaults = {} }
  local known = {}
  for name, param in pairs(workflow.params) do
    table.insert(sources.params, param.sensitive and name or nil)
  end
  local function add_source(id, path)
    local parts = { id }
    for i = 1, path.n do
      parts[i + 1] = ("%q"):format(path[i])
    end
    local key = table.concat(parts, ".")
    if not known[key] then
      known[key] = true
      table.insert(sources.results, { id = id, path = path })
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
        table.insert(sources.defaults, entry.default)
      end
    end)
  end
  sources.is_empty = #sources.params == 0 and #sources.results == 0
  sources.fields = sources.is_empty and {} or field_names(workflow)
  return sources
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
    secrets = { texts = {}, known = {}, fields = {}, pending = {}, look_at = 64, looked_for = 0 }
    secrets.errors = setmetatable({}, { __mode = "k" })
    secrets.body = data.told and data.told.idempotency_key
    if not data.secrets then
      watched_count = watched_count + 1
      watched[watched_count] = data
    end
    data.secrets = secrets
  end
  return secrets
end

-- What a table has under a key, as a body would find it.
local function field_of(object, key)
  local value = rawget(object, key)
  if value == nil and getmetatable(object) then
    local ok, found = pcall(function()
      return object[key]
    end)
    return ok and found or nil
  end
  return value
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
    value = type(value) == "table" and field_of(value, place.path[i])
  end
  return value or false
end

-- Adds the values that have come since.
local function collect(secrets)
  local pending = secrets.pending
  for i = #pending, 1, -1 do
    local place = pending[i]
    local value = place and look(place)
    if value ~= nil and pending[i] == place then
      pending[i] = pending[#pending]
      pending[#pending] = nil
      add(secrets, value)
    end
  end
end

---Tells of a run that begins: what is sensitive in it is hidden in all runs of its tree.
---@param data astrum.RunData
function M.watch(data)
  local sources = sources_of(data.workflow)
  if sources.is_empty then
    return
  end
  local secrets = secrets_of(outermost(data))
  for name in pairs(sources.fields) do
    secrets.fields[name] = true
  end
  for _, name in ipairs(sources.params) do
    add(secrets, data.params[name])
  end
  for _, value in ipairs(sources.defaults) do
    add(secrets, value)
  end
  for _, source in ipairs(sources.results) do
    table.insert(secrets.pending, { data = data, id = source.id, path = source.path })
  end
  if #secrets.pending > secrets.look_at then
    collect(secrets)
    secrets.look_at = math.max(64, 2 * #secrets.pending)
  end
end

-- --- masking of text

-- Adds where in a text a secret stands, first and last byte.
local function add_places(places, text, secret)
  local first, last = text:find(secret, 1, true)
  local place
  while first do
    if place and first <= place[2] then
      place[2] = last
    else
      place = { first, last }
      places[#places + 1] = place
    end
    first, last = text:find(secret, first + 1, true)
  end
end

-- The last bytes in front of each place where a text breaks off, and the first ones behind it.
local function ends_of(text)
  local ends, begins = {}, {}
  for _, pattern in ipairs { "()%.%.%.()", "()\u{2026}()" } do
    for last, first in text:gmatch(pattern) do
      ends[#ends + 1], begins[#begins + 1] = last - 1, first
    end
  end
  return ends, begins
end

-- Adds where a secret begins that breaks off: others cut, too, as Lua the names of chunks.
local function add_beginnings(places, text, secret, ends)
  local start <const> = secret:sub(1, SHORTEST)
  for _, last in ipairs(ends) do
    local first = math.max(1, last - #secret + 2)
    local tail = text:sub(first, last)
    local at = tail:find(start, 1, true)
    while at do
      if secret:sub(1, #tail - at + 1) == tail:sub(at) then
        places[#places + 1] = { first + at - 1, last }
        break
      end
      at = tail:find(start, at + 1, true)
    end
  end
end

-- Adds where a secret goes on whose beginning is cut off.
local function add_endings(places, text, secret, begins)
  local last_bytes <const> = secret:sub(-SHORTEST)
  for _, first in ipairs(begins) do
    local head = text:sub(first, first + #secret - 2)
    local at, last = head:find(last_bytes, 1, true)
    while at do
      if secret:sub(-last) == head:sub(1, last) then
        places[#places + 1] = { first, first + last - 1 }
        break
      end
      at, last = head:find(last_bytes, at + 1, true)
    end
  end
end

-- The text with HIDDEN for each place, and for those that overlap together.
local function without_places(text, places)
  table.sort(places, function(a, b)
    return a[1] < b[1]
  end)
  local parts, done = {}, 0
  for _, place in ipairs(places) do
    if place[1] > done then
      parts[#parts + 1] = text:sub(done + 1, place[1] - 1)
      parts[#parts + 1] = HIDDEN
    end
    done = math.max(done, place[2])
  end
  parts[#parts + 1] = text:sub(done + 1)
  return table.concat(parts)
end

local function mask(secrets, text)
  collect(secrets)
  if #secrets.texts > MOST then
    return HIDDEN
  end
  local places = {}
  local ends, begins = ends_of(text)
  for _, secret in ipairs(secrets.texts) do
    add_places(places, text, secret)
    if ends[1] then
      add_beginnings(places, text, secret, ends)
      add_endings(places, text, secret, begins)
    end
  end
  return places[1] and without_places(text, places) or text
end

---What hides the sensitive values of a run, of the runs around it, and of those inside in a text;
---nil when there are none.
---@param data astrum.RunData
---@return (fun(text: string): string)?
function M.hider(data)
  local secrets = known_secrets(outermost(data))
  return secrets and function(text)
    return mask(secrets, text)
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
    text = mask(data.secrets, text)
  end
  return text
end

---A value that is shown as text without the sensitive values of a run; itself if there are none.
---@param data astrum.RunData
---@param value any
---@return any
function M.hide_value(data, value)
  local hide = value ~= nil and M.hider(data)
  return hide and pretty.text(value, { mask = hide }) or value
end

-- The fields of an error that are shown.
local SHOWN_FIELDS <const> =
  { "message", "text", "help", "root_text", "path", "traceback", "cause" }

local function mask_error(secrets, failed)
  for _, key in ipairs(SHOWN_FIELDS) do
    if type(failed[key]) == "string" then
      failed[key] = mask(secrets, failed[key])
    end
  end
end

---The error of a task without the sensitive values of its run.
---@param data astrum.RunData
---@param failed astrum.Error is changed
---@return astrum.Error
function M.hide_error(data, failed)
  local secrets = known_secrets(outermost(data))
  if secrets then
    mask_error(secrets, failed)
    secrets.errors[failed] = secrets.pending[1] and true
  end
  return failed
end

---Hides in errors that are there what has become known since, as what a task returns whose earlier
---attempt has raised it.
---@param data astrum.RunData
function M.hide_errors(data)
  local secrets = known_secrets(outermost(data))
  if not secrets then
    return
  end
  collect(secrets)
  if #secrets.texts > secrets.looked_for then
    secrets.looked_for = #secrets.texts
    for failed in pairs(secrets.errors) do
      mask_error(secrets, failed)
    end
  end
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

-- By task, the paths in its result that are sensitive: where an input reads that is, and in the
-- result of a workflow the tasks that are.
local function sensitive_paths(workflow)
  local paths = {}
  local function add_path(id, path)
    paths[id] = paths[id] or {}
    table.insert(paths[id], path)
  end
  for id, task in ipairs(workflow.tasks) do
    if task.record.sensitive then
      add_path(id, WHOLE)
    end
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

-- Adds the place at the end of a path in a value; true when that is the value itself.
local function hide_place(hidden, value, path)
  for i = 1, path.n do
    if type(value) ~= "table" then
      return false
    elseif i == path.n then
      hidden[value] = hidden[value] or {}
      hidden[value][path[i]] = true
      return false
    end
    value = field_of(value, path[i])
  end
  return true
end

---@class astrum.Mask how to draw results of a run, as options of pretty.lua, too
---@field mask fun(text: string): string
---@field hidden table<table, table<any, true>> by table, the keys of what is sensitive; those in a
---result are there after `covers`
---@field covers fun(id: integer, result: any): boolean whether the whole result of a task is hidden

---What masks the results of a run while they are drawn; nil when nothing is to be masked.
---@param data astrum.RunData?
---@return astrum.Mask?
function M.mask(data)
  local hide = data and M.hider(data)
  if not hide then
    return nil
  end
  local paths, hidden = sensitive_paths(data.workflow), {}
  return {
    mask = hide,
    hidden = hidden,
    covers = function(id, result)
      for _, path in ipairs(paths[id] or {}) do
        if hide_place(hidden, result, path) then
          return true
        end
      end
      return false
    end,
  }
end

-- A copy of what JSON can show of a value, masked.
local function masked(value, given, seen, depth)
  local kind = type(value)
  if kind == "string" then
    return given.mask(value)
  elseif kind == "number" then
    return given.mask(tostring(value)) == tostring(value) and value or HIDDEN
  elseif kind ~= "table" then
    return value
  end
  if not seen[value] then
    local copy, hidden_keys = {}, given.hidden[value] or {}
    seen[value] = copy
    for key, inner in next, depth < DEEPEST_SHOWN and value or {} do
      local shown_key = key
      if type(key) == "string" or type(key) == "number" then
        shown_key = masked(key, given, seen, depth)
      end
      copy[shown_key] = hidden_keys[key] and HIDDEN or masked(inner, given, seen, depth + 1)
    end
  end
  return seen[value]
end

---A function that gives what JSON may show of the result of a task, by its id.
---@param data astrum.RunData?
---@return fun(id: integer, value: any): any
function M.shown_results(data)
  local given = M.mask(data)
  return function(id, value)
    if not given then
      return value
    end
    return given.covers(id, value) and HIDDEN or masked(value, given, {}, 0)
  end
end

return M
