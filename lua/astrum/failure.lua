-- What went wrong in an attempt, as an error object: the error of a body, or a mistake of the
-- consumer, whose input is not what the producer returned.
local core = require "astrum.core"
local errors = require "astrum.error"
local options = require "astrum.options"
local pretty = require "astrum.pretty"
local suggest = require "astrum.suggest"
local travel = require "astrum.travel"

core.own()

-- Sees through __metatable, where the host has the debug library.
local getmetatable <const> = debug and debug.getmetatable or getmetatable

local M = {}

local quote <const> = errors.quote

local MOST_FIELDS <const> = 10

-- What carets may point to in the line of a mistake, by its error.
local marks_of = setmetatable({}, { __mode = "k" })

---What carets may point to in the line that an error is about; nil for nothing.
---@param failure astrum.Error
---@return astrum.Mark[]?
function M.marks(failure)
  return marks_of[failure]
end

local function same(text)
  return text
end

-- What the value's own __tostring gives, if it has one that works.
local function own_text(value)
  local metatable = getmetatable(value)
  if type(metatable) == "table" and rawget(metatable, "__tostring") ~= nil then
    local ok, text = pcall(tostring, value)
    if ok and type(text) == "string" then
      return text
    end
    return "(error object is a " .. type(value) .. " value)"
  end
end

-- Without the newline that commands end their texts with, and without the place that error puts in
-- front of a text which has it already.
local function told_once(text)
  local place = text:match "^([^\n]-:%d+: )"
  local first = 1
  while place and text:find(place, first + #place, true) == first + #place do
    first = first + #place
  end
  text = text:sub(first)
  local last = text:match "^.*()%S"
  return last and text:find("\n", last + 1, true) and text:sub(1, last) or text
end

---The text of an error value, never empty. It may be any value, its methods may fail.
---@param value any
---@param mask? fun(text: string): string what may be shown of a text
---@return string
function M.text(value, mask)
  mask = mask or same
  local text
  if type(value) == "string" then
    text = told_once(value)
  elseif errors.is_error(value) then
    text = value.message
  elseif type(value) == "number" then
    text = tostring(value)
  else
    text = own_text(value)
    if not text then
      text = type(value) == "table" and pretty.text(value, { mask = mask })
        or "(error object is a " .. type(value) .. " value)"
    end
  end
  return text:find("%S") and mask(text) or "(the error message is empty)"
end

-- Errors of arguments that no attempt has ended with yet; true: another one would have the same.
local of_arguments = setmetatable({}, { __mode = "k" })

---The error of a body or of its condition.
---@param name string the task
---@param attempt integer
---@param item integer of a map, 0 for none
---@param value any what was raised
---@param traceback string of the coroutine that failed
---@param how string "raised", "returned", "yielded", "resumed" or "condition"
---@param mask? fun(text: string): string what may be shown of a text
---@return astrum.Error
---@return boolean? is_final whether another attempt would fail of the same
function M.of_body(name, attempt, item, value, traceback, how, mask)
  local is_final = of_arguments[value]
  if is_final ~= nil and value.task == name then
    of_arguments[value] = nil
    value.attempt, value.item = attempt, item > 0 and item or nil
    return value, is_final
  end
  local text = M.text(value, mask)
  local inside = errors.is_error(value) and value or {}
  local path = inside.path
  if inside.from_child then
    value, how, traceback = inside.cause, "returned", nil
  elseif path and inside.of_run then
    -- What the assert of a run inside has raised.
    path = (item > 0 and name .. "[" .. item .. "]" or name) .. "/" .. path
    text = "task " .. quote(path) .. " failed: " .. inside.root_text
  end
  return errors.new("TaskFailedError", how == "condition" and "in its `when`: " .. text or text, {
    task = name,
    attempt = attempt,
    item = item > 0 and item or nil,
    cause = value,
    in_condition = how == "condition" or nil,
    path = path,
    root_text = inside.root_text,
    traceback = inside.traceback or how ~= "returned" and traceback or nil,
  })
end

---The error of a task that could not begin because the run has had all its attempts.
---@param name string the task
---@param item integer of a map, 0 for none
---@param limit integer max_total_attempts
---@return astrum.Error
function M.of_attempts(name, item, limit)
  local text = "it could not start: the run has used its max_total_attempts of " .. limit
  return errors.new("TaskFailedError", text, { task = name, item = item > 0 and item or nil })
end

-- 0.5 s, 90 s: as it was declared.
local function seconds(nanoseconds)
  return ("%.6g s"):format(nanoseconds / 1e9)
end

---The error of an attempt that took too long.
---@param task table of the workflow
---@param attempt integer
---@param item integer of a map, 0 for none
---@param idle boolean it told no progress
---@param traceback string? where its body was
---@return astrum.Error
function M.of_timeout(task, attempt, item, idle, traceback)
  local policy = task.policy
  local text = "timed out"
  if idle and policy.idle_timeout then
    text = "timed out: no progress for " .. seconds(policy.idle_timeout)
  elseif policy.timeout then
    text = "timed out after " .. seconds(policy.timeout)
  end
  return errors.new("TaskTimeoutError", text, {
    task = task.name,
    attempt = attempt,
    item = item > 0 and item or nil,
    traceback = traceback,
  })
end

-- --- mistakes of the consumer

local function field_list(value)
  local names, more = {}, 0
  for key in next, value do
    if type(key) == "string" then
      names[#names + 1] = errors.escape(key)
    elseif math.type(key) ~= "integer" then
      more = more + 1
    end
  end
  table.sort(names)
  if #names > MOST_FIELDS then
    more = more + #names - MOST_FIELDS
    names = table.move(names, 1, MOST_FIELDS, 1, {})
  end
  if #names == 0 and more > 0 then
    return more == 1 and "1 key that is no name" or more .. " keys that are no names"
  end
  local text = table.concat(names, ", ")
  return more > 0 and text .. " and " .. more .. " more" or text
end

local function string_keys(value)
  local names = {}
  for key in next, value do
    if type(key) == "string" then
      names[#names + 1] = key
    end
  end
  table.sort(names)
  return names
end

-- The text of a path, as in load.items[1].sku.
local function path_text(name, path, count)
  local text = errors.escape(name)
  for i = 1, count do
    local key = path[i]
    if type(key) == "string" and key:find("^[%a_][%w_]*$") then
      text = text .. "." .. key
    else
      text = text .. "[" .. (type(key) == "string" and quote(key) or tostring(key)) .. "]"
    end
  end
  return text
end

-- What the table that was asked for a field has instead.
local function field_help(holder, value, key)
  local length, list = rawlen(value), field_list(value)
  if next(value) == nil then
    return holder .. " is an empty table"
  elseif list == "" or (length > 0 and type(key) ~= "string") then
    return holder .. " is a list of " .. length .. (length == 1 and " entry" or " entries")
  end
  local nearest = type(key) == "string" and suggest.nearest(key, string_keys(value))
  local help = nearest and "did you mean " .. quote(nearest) .. "? " or ""
  return help .. holder .. " has: " .. list
end

-- Follows a path as far as it goes: the value there and how many keys were followed.
local function follow(value, path)
  for i = 1, path.n do
    if type(value) ~= "table" then
      return value, i - 1
    end
    local found = value[path[i]]
    if found == nil then
      return value, i - 1
    end
    value = found
  end
  return value, path.n
end

local function describe_input(entry, position)
  return "input " .. (entry.parameter and quote(entry.parameter) or tostring(position))
end

local PROBLEMS <const> = {
  "not_table",
  "no_field",
  "type",
  "refused",
  "too_many",
  "not_completed",
  "not_list",
  "lengths",
  "items",
}

local function wanted_text(entry)
  return type(entry.type) == "string" and entry.type:gsub("%?$", "") or "something else"
end

-- kind, text and help of a mistake; `at` is how many keys were followed, `value` what is there.
local function explain(problem, entry, name, path, at, value, mask)
  local holder = path_text(name, path, at)
  if problem == "no_field" then
    local key = path[at + 1]
    local text = holder .. " has no field " .. options.key_text(key)
    if math.type(key) == "integer" then
      text = holder .. " has no entry " .. key
    end
    return "FieldError", text, field_help(holder, value, key)
  elseif problem == "not_table" then
    local what = value == nil and "nil" or "a " .. type(value)
    local text = holder .. " is " .. what .. ", which has no field "
    text = text .. options.key_text(path[at + 1])
    local help = at == 0 and "return a table from task " .. quote(name)
      or "look at what task " .. quote(name) .. " returns"
    return "FieldError", text, help
  elseif problem == "type" then
    local found = math.type(value) == "float" and "a float" or type(value)
    if entry.type == "list" and type(value) == "table" then
      found = "a table with other keys"
    end
    local text = "wants " .. wanted_text(entry) .. ", " .. holder .. " is " .. found
    local help = value == nil and 'write "' .. wanted_text(entry) .. '?" to allow nil' or nil
    return "TypeMatchError", text, help
  end
  local why = value ~= nil and ": " .. M.text(value, mask) or ""
  return "TypeMatchError", holder .. " is refused by the check of its Ref" .. why, nil
end

-- The place of a reference: its own line, or of a handle that of the declaration.
local function place_of(record, reference)
  local _, path, source, line, owner = core.reference(reference)
  if owner and path.n == 0 then
    return record.source, record.line
  end
  return source, line
end

local SHOWN_STATE <const> = {
  failed = "failed",
  timed_out = "timed out",
  cancelled = "was cancelled",
  skipped = "was skipped",
}

-- A key that no list has, or where the hole of a list is.
local function odd_key(value)
  for key in next, value do
    if math.type(key) ~= "integer" or key < 1 then
      return key
    end
  end
  return nil, select(2, options.is_list(value))
end

-- What is wrong with a list that a map goes over, and help.
local function explain_list(problem, task, at, value)
  if problem == "items" then
    local text = "has " .. at .. " items, more than its max_items " .. task.policy.max_items
    return text, "raise max_items, or give the map less to do"
  elseif problem == "lengths" then
    local first = task.record.map[1].parameter
    local count = value.n or #value
    local text = "has " .. count .. (count == 1 and " item, " or " items, ") .. quote(first)
    text = text .. " has " .. at
    return text, "lists that a map goes over together have one length"
  end
  if type(value) ~= "table" then
    return "wants a list, got " .. type(value), "give it a table with the keys 1 to n"
  end
  local odd, hole = odd_key(value)
  if odd ~= nil then
    local text = "wants a list, got a table with the key " .. options.key_text(odd)
    return text, "give it a table with the keys 1 to n only"
  end
  local help = "leave no item out, or set its field n to the length and expect nil there"
  return "wants a list, got one with a hole: nothing is at " .. hole, help
end

-- What in the line of a reference is wrong: the key that is not there, else the last one, else the
-- task.
local function marks_of_path(parameter, name, path, at)
  local key = path[math.min(at + 1, path.n)]
  local marks = { { name = name, form = "reference", after = parameter } }
  if type(key) == "string" then
    table.insert(marks, 1, { name = key, form = "field", after = parameter })
  elseif math.type(key) == "integer" then
    table.insert(marks, 1, { name = "[" .. key .. "]", form = "index", after = parameter })
  end
  return marks
end

---The error of a task whose argument cannot go where its body runs. What a function gives may be
---another value in the next attempt.
---@param task table of the workflow
---@param position integer? of the argument; nil: it is what all tasks of the run have
---@param what string "input 'file'"
---@param where string "worker thread"
---@param why string of the codec
---@return astrum.Error
function M.of_argument(task, position, what, where, why)
  local record = task.record
  local entry = task.inputs[position] or {}
  local input = entry.kind == "item" and record.map[entry.item].input or entry
  local source, line = record.source, record.line
  local marks = { { name = entry.parameter, form = "option" } }
  if input.reference then
    local name, path = core.reference(input.reference)
    source, line = place_of(record, input.reference)
    marks = marks_of_path(entry.parameter, name, path, path.n)
  end
  local is_final = input.kind ~= "function"
  local kind = is_final and "TypeMatchError" or "TaskFailedError"
  local text, help = travel.input_text(what, where, why)
  text = "task " .. quote(task.name) .. ": " .. text
  local e = errors.at(kind, source, line, text, help, { task = task.name })
  marks_of[e] = entry.parameter and marks
  of_arguments[e] = is_final
  return e
end

---The error of a consumer whose input could not be had.
---@param workflow astrum.Workflow
---@param run userdata
---@param where table id, attempt and item of the consumer
---@param number integer which of the problems
---@param position integer of the input; the lists of a map follow
---@param at integer keys of the path that were followed
---@param value any where it ended; of a table with references, the one that failed
---@param mask? fun(text: string): string what may be shown of a text
---@return astrum.Error
function M.of_input(workflow, run, where, number, position, at, value, mask)
  local task = workflow.tasks[where.id]
  local entry, record = task.inputs[position], task.record
  local problem = PROBLEMS[number]
  local fields = { task = task.name, attempt = where.attempt, item = where.item }
  local text = "task " .. quote(task.name) .. ": "
  local list_name
  if position > task.inputs.n and record.map then
    local list = record.map[position - task.inputs.n]
    entry, list_name = list.input, list.parameter
    text = text .. "map " .. quote(list.parameter)
  elseif entry then
    text = text .. describe_input(entry, position)
  end
  if problem == "not_list" or problem == "lengths" or problem == "items" then
    local what, help = explain_list(problem, task, at, value)
    local kind = problem == "not_list" and "TypeMatchError" or "FieldError"
    local source, line = record.source, record.line
    if entry.reference then
      source, line = place_of(record, entry.reference)
    end
    local e = errors.at(kind, source, line, text .. " " .. what, help, fields)
    marks_of[e] = { { name = list_name, form = "option" } }
    return e
  end
  if problem == "too_many" then
    text = "task " .. quote(task.name) .. " has more inputs than a Lua function can take"
    local help = "take the parameter 'inputs', a table with all of them"
    return errors.at("FieldError", record.source, record.line, text, help, fields)
  end
  local reference = entry.reference
  if entry.kind == "template" then
    reference = value
  end
  local name, path = core.reference(reference)
  if problem == "not_completed" then
    local state = SHOWN_STATE[run:state(workflow.index[name])] or "is not over"
    local source, line = place_of(record, reference)
    text = text .. " reads from task " .. quote(name) .. ", which " .. state
    local help = 'write Ref("any?", ...) to get nil then, or give it a default'
    if entry.kind == "template" then
      help = 'take it as an input of its own, as Ref("any?", ...) to get nil then'
    end
    local e = errors.at("FieldError", source, line, text, help, fields)
    marks_of[e] = { { name = name, form = "reference", after = entry.parameter } }
    return e
  end
  if entry.kind == "template" then
    value, at = follow(run:result(workflow.index[name]), path)
    problem = type(value) == "table" and "no_field" or "not_table"
  end
  if problem == "type" or problem == "refused" then
    at = path.n
  end
  local kind, what, help = explain(problem, entry, name, path, at, value, mask)
  local producer = workflow.tasks[workflow.index[name]]
  if problem == "no_field" and at == 0 and producer.record.map then
    help = "task " .. quote(name) .. " is a map, whose result is a list: take all of it as an input"
  end
  local source, line = place_of(record, reference)
  local separator = problem == "type" and " " or ": "
  local e = errors.at(kind, source, line, text .. separator .. what, help, fields)
  marks_of[e] = marks_of_path(entry.parameter, name, path, at)
  return e
end

return M
