-- Error objects. `message` is the whole text that a user sees: the place, what is wrong, and a
-- line with help where there is any. tostring gives the message. A build error carries every
-- mistake of the build in `errors`.
local core = require "astrum.core"
local excerpt = require "astrum.excerpt"
local terminal = require "astrum.terminal"
local traces = require "astrum.traceback"

core.own()

local M = {}

---@class astrum.Error
---@field kind string SchedulerError or one of the kinds below it
---@field message string the whole text
---@field text string? the text without place and help
---@field help string?
---@field source string? file of the declaration that is to blame
---@field line integer?
---@field task string?
---@field attempt integer?
---@field cause any the original error value
---@field traceback string?
---@field errors table? the single mistakes
local Error = { __name = "astrum.Error" }
Error.__index = Error

function Error:__tostring()
  return self.message
end

-- Each kind and the kind it belongs to.
local parents <const> = {
  SchedulerError = false,
  TaskRegistrationError = "SchedulerError",
  TaskDependencyError = "SchedulerError",
  TaskOrderLoopError = "SchedulerError",
  TaskNotFoundError = "SchedulerError",
  FieldError = "SchedulerError",
  TypeMatchError = "SchedulerError",
  TaskFailedError = "SchedulerError",
  TaskTimeoutError = "SchedulerError",
  TaskCancelledError = "SchedulerError",
  ConfigError = "SchedulerError",
}

---How many mistakes of a build its message shows.
M.MOST_SHOWN = 50

-- Of mistakes that are alike so many are shown; of more, one and so many names.
local MOST_ALIKE <const> = 3

---Makes an error object; nothing is raised.
---@param kind string
---@param message string
---@param fields table? further fields of the object
---@return astrum.Error
function M.new(kind, message, fields)
  assert(parents[kind] ~= nil, "not a kind of error")
  local object = { kind = kind, message = message }
  for key, value in pairs(fields or {}) do
    object[key] = value
  end
  return setmetatable(object, Error)
end

---Whether a value is an error of this kind, of one below it, or a build error with such a mistake.
---Raises an error for a kind that does not exist.
---@param value any
---@param kind string "SchedulerError" (all of them) or a kind below it, "FieldError"
---@return boolean
function M.is(value, kind)
  if parents[kind] == nil then
    error("'" .. tostring(kind) .. "' is not a kind of error", 2)
  end
  if getmetatable(value) ~= Error then
    return false
  end
  local own = value.kind
  while own do
    if own == kind then
      return true
    end
    own = parents[own]
  end
  for _, mistake in ipairs(value.errors or {}) do
    if getmetatable(mistake) == Error and M.is(mistake, kind) then
      return true
    end
  end
  return false
end

---Whether a value is an error object of this library.
---@param value any
---@return boolean
function M.is_error(value)
  return getmetatable(value) == Error
end

---What stands for the value of an error on its way to another Lua state: of an object its fields.
---@param value any
---@return any data, if all that is in the value is
function M.sent(value)
  if type(value) ~= "table" then
    return value
  elseif not M.is_error(value) and getmetatable(value) == nil then
    return { data = value }
  end
  local fields = {}
  for key, field in next, value do
    fields[key] = field
  end
  if not M.is_error(value) then
    return { data = fields }
  end
  fields.cause = M.sent(value.cause)
  for i, mistake in ipairs(value.errors or {}) do
    fields.errors = i == 1 and {} or fields.errors
    fields.errors[i] = M.sent(mistake)
  end
  return { error = fields }
end

---The value that `sent` has made this of.
---@param value any
---@return any
function M.received(value)
  local fields = type(value) == "table" and value.error
  if not fields then
    return type(value) == "table" and value.data or value
  end
  fields.cause = M.received(fields.cause)
  for i, mistake in ipairs(fields.errors or {}) do
    fields.errors[i] = M.received(mistake)
  end
  return setmetatable(fields, Error)
end

---The text with nothing in it that a terminal could take for a command.
---@param text string
---@return string
function M.escape(text)
  return (terminal.escape(text))
end

---A name between quotes, escaped.
---@param name string
---@return string
function M.quote(name)
  return "'" .. M.escape(name) .. "'"
end

---Names as a list, ['a', 'b'].
---@param names string[]
---@return string
function M.list(names)
  local quoted = {}
  for i, name in ipairs(names) do
    quoted[i] = M.quote(name)
  end
  return "[" .. table.concat(quoted, ", ") .. "]"
end

---A line of the user's, "flow.lua:12". The name of a chunk is a text of the user's.
---@param source string
---@param line integer not above 0 where only the file is known
---@return string
function M.where(source, line)
  return line > 0 and M.escape(source) .. ":" .. line or M.escape(source)
end

---The beginning of a message, "flow.lua:12: "; empty where the place is not known, as after a tail
---call.
---@param source string
---@param line integer
---@return string
function M.place(source, line)
  if source == "?" then
    return ""
  end
  return M.where(source, line) .. ": "
end

---Makes an error that points to a line of the user's.
---@param kind string
---@param source string
---@param line integer
---@param text string
---@param help string? what to do about it
---@param fields table? further fields of the object, and `marks`: what carets may point to
---@return astrum.Error
function M.at(kind, source, line, text, help, fields)
  local message = M.place(source, line) .. text
  local marks = fields and fields.marks
  local shown = marks and excerpt.of(source, line, marks)
  if shown then
    message = message .. "\n" .. shown
  end
  if help then
    message = message .. "\nhelp: " .. help
  end
  if fields and fields.note then
    message = message .. "\n" .. fields.note
  end
  local object = M.new(kind, message, fields)
  object.text, object.help, object.source, object.line = text, help, source, line
  object.marks = nil
  return object
end

---Raises an error that points to the line of the user's that called into the library.
---@param kind string
---@param text string
---@param help string?
---@param fields table?
function M.raise(kind, text, help, fields)
  local source, line = core.where()
  error(M.at(kind, source, line, text, help, fields), 0)
end

---What carets point to in an error of a declaration: the option, else the name of the task.
---@param name string
---@param option string?
---@return astrum.Mark[]
function M.marks(name, option)
  local marks = { { name = name, form = "declaration" } }
  if option then
    table.insert(marks, 1, { name = option, form = "option" })
  end
  return marks
end

---Raises an error of a declaration, at its line.
---@param record table name, source and line of the task
---@param text string
---@param help string?
---@param option string? the option or the input that is wrong
function M.raise_for_task(record, text, help, option)
  text = "task " .. M.quote(record.name) .. ": " .. text
  local fields = { task = record.name, marks = M.marks(record.name, option) }
  error(M.at("TaskRegistrationError", record.source, record.line, text, help, fields), 0)
end

-- What there is to tell of an error beyond its message, by error.
local explanations = setmetatable({}, { __mode = "k" })

---Sets what tells more of an error than its message.
---@param e astrum.Error
---@param explain fun(): string? the whole text for people
function M.explain_with(e, explain)
  explanations[e] = explain
end

---The text of an error that nobody caught: what is known of the run that failed, or an error of a
---body with the places that lead to it.
---@param value any
---@return string
function M.full_text(value)
  local explain = explanations[value]
  if explain then
    local ok, text = pcall(explain)
    if ok and text then
      return text
    end
  end
  local text = tostring(value)
  if not M.is_error(value) or not value.traceback then
    return text
  end
  local frames = traces.frames(value.traceback)
  return #frames == 0 and text or text .. "\ntraceback:\n  " .. table.concat(frames, "\n  ")
end

-- What a mistake has in common with those that tasks declared by the same line have made, as in a
-- loop: all but the names. nil where no task has made it.
local function pattern_of(mistake)
  if not mistake.task or not mistake.line or not mistake.text then
    return nil
  end
  local text = mistake.text:gsub("'[^']*'", "''")
  return ("%s\0%s\0%d\0%s"):format(mistake.kind, mistake.source, mistake.line, text)
end

-- The mistakes in groups of those that are alike, in the order of the first of each.
local function alike(mistakes)
  local groups, by_pattern = {}, {}
  for _, mistake in ipairs(mistakes) do
    local pattern = pattern_of(mistake)
    local group = pattern and by_pattern[pattern]
    if group then
      group[#group + 1] = mistake
    else
      groups[#groups + 1] = { mistake }
      if pattern then
        by_pattern[pattern] = groups[#groups]
      end
    end
  end
  return groups
end

-- The first one of a group, and of which tasks the same is to be said.
local function message_of_many(group)
  local names = {}
  for i = 2, math.min(#group, MOST_ALIKE + 1) do
    names[#names + 1] = M.quote(group[i].task)
  end
  local more = #group - 1 - #names
  local text = ("%s\nlikewise for %d more tasks declared there: %s"):format(
    group[1].message,
    #group - 1,
    table.concat(names, ", ")
  )
  return more > 0 and ("%s and %d others"):format(text, more) or text
end

---Makes one error of all mistakes of a build.
---@param mistakes astrum.Error[] at least one
---@return astrum.Error
function M.combine(mistakes)
  local kind = mistakes[1].kind
  for _, mistake in ipairs(mistakes) do
    if mistake.kind ~= kind then
      kind = "SchedulerError"
    end
  end
  local messages, told = {}, 0
  for _, group in ipairs(alike(mistakes)) do
    local whole = #group <= MOST_ALIKE and #group or 1
    for i = 1, whole do
      if #messages < M.MOST_SHOWN then
        messages[#messages + 1] = whole < #group and message_of_many(group) or group[i].message
        told = told + #group // whole
      end
    end
  end
  if told < #mistakes then
    messages[#messages + 1] = #mistakes - told .. " more mistakes are in the error's `errors`"
  end
  local first = mistakes[1]
  return M.new(kind, table.concat(messages, "\n\n"), {
    errors = mistakes,
    source = first.source,
    line = first.line,
    task = #mistakes == 1 and first.task or nil,
  })
end

-- What using a reference as a value raises.
core.on_misuse(function(message)
  local source, line = core.where()
  return M.at("TaskRegistrationError", source, line, message)
end)

return M
