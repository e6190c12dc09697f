-- Lines on standard error: events of a run, what tasks log, errors that nobody else would see.
local core = require "astrum.core"
local errors = require "astrum.error"

core.own()

local M = {}

---How lines are written that tell of runs: "plain", "json", or nil for plain ones of those runs
---whose config asks for them.
---@type "plain"|"json"|nil
M.form = nil

---In a worker, tells the program at home of an error that nobody takes; only there is known what is
---sensitive. False when nobody listens.
---@type (fun(where: string, text: string): boolean)?
M.tell_home = nil

local function clock()
  local now = core.time()
  local milliseconds = math.floor(now % 1 * 1000)
  return os.date("%H:%M:%S", math.floor(now)) .. ("%.3f"):format(milliseconds / 1000):sub(2)
end

---Writes one line: time, what happened, and details.
---@param what string
---@param ... string
function M.line(what, ...)
  local parts = { clock(), what, ... }
  for i, part in ipairs(parts) do
    parts[i] = errors.escape(part)
  end
  -- One write, so that lines of several processes do not mix.
  io.stderr:write(table.concat(parts, " ") .. "\n")
end

---Tells of an error in code that has nobody to raise it to.
---@param where string
---@param text string
function M.stray_error(where, text)
  if M.tell_home then
    local ok, is_told = pcall(M.tell_home, where, text)
    if ok and is_told then
      return
    end
  end
  text = text:gsub("[^\n\t]+", errors.escape)
  io.stderr:write("astrum: error in " .. where .. ": " .. text .. "\n")
end

-- A task, or an item of a map.
local function label(task, item)
  return item and task .. "[" .. item .. "]" or task
end

-- What an event of a task adds to its line.
local function detail_of(event)
  if event.kind == "attempt_finished" then
    local text = event.state
    if event.will_retry then
      text = text .. ", will be retried"
    end
    return event.error and text .. ": " .. event.error.message:match("[^\n]*") or text
  end
  return event.state
end

-- stylua: ignore
local FIELDS <const> = {
  "time", "event", "path", "task", "item", "attempt", "state", "will_retry", "error", "text",
}

-- The line of an event as JSON: the fields of the event that are texts, numbers or booleans.
local function write_json(fields)
  local json = require "astrum.json"
  local members = {}
  for _, name in ipairs(FIELDS) do
    local value = fields[name]
    if value ~= nil then
      local text = type(value) == "string" and json.text(value)
        or name == "time" and ("%.3f"):format(value)
        or tostring(value)
      members[#members + 1] = json.text(name) .. ":" .. text
    end
  end
  io.stderr:write("{", table.concat(members, ","), "}\n")
end

---Writes the line of an event.
---@param event table
function M.event(event)
  if M.form == "json" then
    return write_json {
      time = core.time(),
      event = event.kind,
      path = event.path,
      task = event.task,
      item = event.item,
      attempt = event.attempt,
      state = event.state,
      will_retry = event.will_retry,
      error = event.error and event.error.message,
    }
  end
  local parts = {}
  if event.task then
    parts[1] = label(event.task, event.item)
    if event.attempt and event.attempt > 1 then
      parts[1] = parts[1] .. " #" .. event.attempt
    end
  else
    parts[1] = event.path
  end
  parts[2] = detail_of(event)
  M.line(event.kind, table.unpack(parts))
end

---Writes what a task logs.
---@param task string
---@param item integer? of a map
---@param text string
function M.task(task, item, text)
  if M.form == "json" then
    return write_json { time = core.time(), event = "log", task = task, item = item, text = text }
  end
  for line in (text .. "\n"):gmatch("(.-)\n") do
    M.line("log", label(task, item) .. ":", (line:gsub("\t", " ")))
  end
end

return M
