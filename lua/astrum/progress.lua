-- How far runs are, on standard error: a line or a panel on a terminal, drawn at most ten times a
-- second, or a line for each task that is over. Failures are told at once, and a line at the end
-- says what became of each run.
local console = require "astrum.console"
local core = require "astrum.core"
local errors = require "astrum.error"
local failure = require "astrum.failure"
local secret = require "astrum.secret"
local terminal = require "astrum.terminal"

core.own()

local M = {}

local INTERVAL <const> = 0.1

-- Larger runs do not get a line for each task unless it was asked for, but say how far they are
-- after so many seconds.
local MOST_LISTED <const> = 1000
local SLOW_INTERVAL <const> = 10.0

-- Seconds between two lines of what a task tells of itself.
local TOLD_INTERVAL <const> = 1.0

-- Items of a map whose failures are told one by one.
local MOST_ITEMS <const> = 10

local MOST_NAMED <const> = 20
local MOST_ROWS <const> = 60
local ROW_INDENT <const> = "  "
local MOST_NAME_WIDTH <const> = 40
local LEAST_NAMES <const> = 8

---@class astrum.Progress
---@field how "line"|"full"|"plain"
---@field color boolean
---@field ascii boolean
---@field more string stands for what is cut off
---@field most_listed number runs with more tasks have no line for each
---@field tells boolean? there are lines for what tasks tell of themselves
---@field is_quiet boolean? nothing stays of what is shown
---@field ticks boolean? something is shown again and again
---@field active table[] runs that go on, in the order in which they began
local Progress = {}
Progress.__index = Progress

function Progress:paint(color, text)
  return self.color and terminal.paint(color, text) or text
end

---Seconds as people say them: 0.12s, 4.2s, 1m 05s, 2h 03m.
---@param seconds number
---@return string
function M.duration(seconds)
  if seconds < 1 then
    return ("%.2fs"):format(seconds)
  elseif seconds < 59.95 then
    return ("%.1fs"):format(seconds)
  end
  local whole = math.floor(seconds + 0.5)
  if whole < 3600 then
    return ("%dm %02ds"):format(whole // 60, whole % 60)
  end
  return ("%dh %02dm"):format(whole // 3600, whole % 3600 // 60)
end

---Seconds until the end, or nil when nothing can be said. The work that is left goes on as fast as
---the work that is done; but no faster than the longest path, if each task on it takes as long as
---those before it.
---@param total integer tasks
---@param done integer tasks
---@param elapsed number seconds
---@param stages integer tasks on the longest path
---@return number?
function M.remaining(total, done, elapsed, stages)
  if done == 0 or done >= total then
    return nil
  end
  local by_rate = elapsed * (total - done) / done
  local passed = math.max(1, stages * done / total)
  local by_path = elapsed * (stages - passed) / passed
  return math.max(by_rate, by_path)
end

-- --- what a run says

-- Tasks that have ended, without those that never started.
local function done(status)
  return status.completed + status.failed + status.timed_out + status.cancelled
end

-- The counts of all runs that go on, together.
function Progress:counts()
  local sum =
    { total = 0, done = 0, skipped = 0, failed = 0, retries = 0, elapsed = 0.0, stages = 0 }
  for _, watched in ipairs(self.active) do
    local status = watched.data.run:status()
    sum.total = sum.total + status.tasks
    sum.done = sum.done + done(status)
    sum.skipped = sum.skipped + status.skipped
    sum.failed = sum.failed + status.failed + status.timed_out
    sum.retries = sum.retries + watched.retries
    sum.elapsed = math.max(sum.elapsed, status.duration)
    sum.stages = math.max(sum.stages, watched.stages)
  end
  return sum
end

local function percent(fraction)
  return ("%d%%"):format(math.floor(fraction * 100))
end

local function plural(count, noun)
  local ending = noun == "retry" and "retries" or noun .. "s"
  return terminal.count(count) .. " " .. (count == 1 and noun or ending)
end

---@class astrum.RunningTask
---@field name string
---@field items string? of a map: "4,512 of 10,000 items"
---@field items_running integer? of a map
---@field fraction number? what the task told; of a map the part of its items that are over
---@field told string? what the task told
---@field attempt integer
---@field seconds number since it began

-- How far a task is: a fraction, and what it told.
local function progress_of(data, id, record)
  local fraction, told = data.run:progress(id)
  told = told and secret.hide(data, told)
  if not record.items then
    return fraction, told
  end
  local finished = record.items - record.left
  local items = ("%s of %s"):format(terminal.count(finished), plural(record.items, "item"))
  return finished / record.items, told, items
end

function Progress:running_task(data, entry)
  local id = entry[1]
  local record = data.run:record(id)
  local fraction, told, items = progress_of(data, id, record)
  return {
    name = terminal.escape(data.workflow.tasks[id].name, self.ascii),
    items = items,
    items_running = entry.items,
    fraction = fraction,
    told = told and terminal.escape(told, self.ascii),
    attempt = record.attempts,
    seconds = math.max(0, data.run:status().duration - (record.start or 0)),
  }
end

-- Up to `most` tasks that run, and how many there are.
function Progress:running(most)
  local tasks, all = {}, 0
  for _, watched in ipairs(self.active) do
    local list, count = watched.data.run:running(most - #tasks)
    all = all + count
    for _, entry in ipairs(list) do
      tasks[#tasks + 1] = self:running_task(watched.data, entry)
    end
  end
  return tasks, all
end

-- What is said behind the counts, as in "3 running, 5 waiting, 2 failed, 1 retry, 4.2s, about 6s
-- left"; `tasks` are some that run, `all` is how many do, where that is to be told. What matters
-- least is left out where it is wider than `width`.
local function tail_text(counts, tasks, all, width)
  local parts = {}
  local function add(rank, text)
    parts[#parts + 1] = { rank = rank, text = text }
  end
  if all then
    add(2, terminal.count(all) .. " running")
    local waiting = counts.total - counts.skipped - counts.done - all
    if waiting > 0 then
      add(3, terminal.count(waiting) .. " waiting")
    end
  end
  if counts.failed > 0 then
    add(0, terminal.count(counts.failed) .. " failed")
  end
  if counts.retries > 0 then
    add(4, plural(counts.retries, "retry"))
  end
  add(1, M.duration(counts.elapsed))
  local progress = counts.done
  for _, task in ipairs(tasks) do
    progress = progress + (task.fraction or 0)
  end
  local total = counts.total - counts.skipped
  local left = M.remaining(total, progress, counts.elapsed, counts.stages)
  if left and counts.elapsed >= 1 then
    add(5, "about " .. M.duration(math.ceil(left)):gsub("%.0s$", "s") .. " left")
  end
  for rank = 6, 0, -1 do
    local texts = {}
    for _, part in ipairs(parts) do
      texts[#texts + 1] = part.rank < rank and part.text or nil
    end
    local text = table.concat(texts, ", ")
    if #text <= width then
      return text
    end
  end
  return ""
end

-- --- drawing

local function say(text)
  io.stderr:write(text, "\n")
end

local function size()
  local _, columns, rows = core.terminal(2)
  return terminal.width(columns) - 1, rows or 24
end

-- "[3/5]", "[3/5, 1 skipped]"
local function head_text(counts)
  local text = terminal.count(counts.done) .. "/" .. terminal.count(counts.total)
  if counts.skipped > 0 then
    text = text .. ", " .. terminal.count(counts.skipped) .. " skipped"
  end
  return "[" .. text .. "]"
end

-- The line is never as wide as the terminal, which would wrap it. On a narrow one there is room for
-- some of what runs, and less is said behind it.
function Progress:line(width)
  local counts = self:counts()
  local tasks, all = self:running(MOST_NAMED)
  local names = {}
  for i, task in ipairs(tasks) do
    local how = task.items or task.fraction and percent(task.fraction)
    names[i] = task.name .. (task.items and " (" .. how .. ")" or how and " " .. how or "")
  end
  local text = table.concat(names, ", ")
  if all > #tasks then
    text = text .. ", +" .. all - #tasks
  end
  local head = terminal.cut(head_text(counts), width, self.more)
  local wanted = math.min(terminal.display_width(text), math.max(LEAST_NAMES, width // 3))
  local tail = tail_text(counts, tasks, nil, width - #head - wanted - 4)
  local room = width - #head - #tail - 4
  if text == "" or room < LEAST_NAMES and wanted > room then
    return { tail == "" and head or head .. " " .. tail }
  end
  text = terminal.cut(text, room, self.more)
  return { head .. " " .. (tail == "" and text or text .. "  " .. tail) }
end

local function pad(text, width)
  return text .. (" "):rep(width - terminal.display_width(text))
end

-- Name, time, percent and what the task tells, in columns.
function Progress:row(task, name_width)
  local parts = {
    pad(terminal.cut(task.name, name_width, self.more), name_width),
    pad(M.duration(task.seconds), 6),
    task.fraction and ("%4s"):format(percent(task.fraction)) or nil,
  }
  if task.items then
    local running = terminal.count(task.items_running or 0) .. " running"
    parts[#parts + 1] = task.items .. ", " .. running
  end
  parts[#parts + 1] = task.attempt > 1 and "(attempt " .. task.attempt .. ")" or nil
  parts[#parts + 1] = task.told
  return (ROW_INDENT .. table.concat(parts, "  "):gsub(" +$", ""))
end

function Progress:panel(width, height)
  local counts = self:counts()
  local tasks, all = self:running(math.max(1, math.min(MOST_ROWS, height - 3)))
  local lines, name_width = {}, 0
  for _, task in ipairs(tasks) do
    name_width = math.max(name_width, terminal.display_width(task.name))
  end
  name_width = math.min(name_width, MOST_NAME_WIDTH, math.max(LEAST_NAMES, width // 2))
  for i, task in ipairs(tasks) do
    lines[i] = terminal.cut(self:row(task, name_width), width, self.more)
  end
  if all > #tasks then
    lines[#lines + 1] = ROW_INDENT .. "and " .. terminal.count(all - #tasks) .. " more"
  end
  local head = head_text(counts)
  local last = head .. " " .. tail_text(counts, tasks, all, width - #head - 1)
  lines[#lines + 1] = terminal.cut(last, width, self.more)
  return lines
end

-- The task's name, for an item of a map with its number.
local function name_of(data, id, item)
  local name = errors.escape(data.workflow.tasks[id].name)
  return item > 0 and name .. "[" .. item .. "]" or name
end

-- A line for each task that has told something new of itself.
local function tell_told(watched)
  local data = watched.data
  local now = data.run:status().duration
  for _, id in ipairs(data.run:telling()) do
    local last = watched.told[id]
    local fraction, text, items = progress_of(data, id, data.run:record(id))
    text = items or text
    local is_new = not last or last.fraction ~= fraction or last.text ~= text
    if is_new and (not last or now - last.time >= TOLD_INTERVAL) then
      watched.told[id] = { fraction = fraction, text = text, time = now }
      local line = name_of(data, id, 0) .. "  " .. percent(fraction)
      say(text and line .. "  " .. errors.escape(text) or line)
    end
  end
end

function Progress:tick()
  if self.tells then
    for _, watched in ipairs(self.active) do
      tell_told(watched)
    end
  elseif self.how == "plain" then
    local counts = self:counts()
    say(head_text(counts) .. " " .. tail_text(counts, {}, nil, math.huge))
  else
    self:draw()
  end
end

function Progress:draw()
  local width, height = size()
  local lines = self.how == "full" and self:panel(width, height) or self:line(width)
  local widths = {}
  for i, line in ipairs(lines) do
    widths[i] = terminal.display_width(line)
  end
  console.draw(lines, widths)
end

-- --- lines that stay

local SHOWN <const> = { failed = "FAILED", timed_out = "TIMED OUT" }

-- Text of an error, each line of it indented and safe to show.
local function indented(text)
  local lines = {}
  for line in (text .. "\n"):gmatch "(.-)\n" do
    lines[#lines + 1] = "  " .. errors.escape((line:gsub("\t", "    ")))
  end
  return table.concat(lines, "\n")
end

function Progress:tell_failure(data, id, item, attempt, state, is_explained)
  local attempts = data.run:attempts(id, item)
  local e = attempts[attempt] and attempts[attempt].error
  local text = self:paint("red", (SHOWN[state] or "FAILED") .. ":")
  text = text .. " " .. name_of(data, id, item)
  if attempt > 1 then
    text = text .. " (attempt " .. attempt .. ")"
  end
  if e ~= nil and not is_explained then
    text = text .. "\n" .. indented(failure.text(e))
  end
  say(text)
end

-- Counts an item of a map that has failed, and whether it is told of. Thousands may fail alike.
local function is_listed(watched, id)
  local count = (watched.bad_items[id] or 0) + 1
  watched.bad_items[id] = count
  if count == MOST_ITEMS + 1 then
    say("more items of " .. name_of(watched.data, id, 0) .. " fail; they are in the report")
  end
  return count <= MOST_ITEMS
end

-- Names the tasks that have been skipped since this was last done.
local function tell_skipped(watched)
  local ids = watched.skipped
  if #ids == 0 then
    return
  end
  watched.skipped = {}
  local names = {}
  for i = 1, math.min(#ids, MOST_NAMED) do
    names[i] = name_of(watched.data, ids[i], 0)
  end
  if #ids > #names then
    names[#names + 1] = "and " .. terminal.count(#ids - #names) .. " more"
  end
  say("skipped: " .. table.concat(names, ", "))
end

-- A line for a task that is over, other than by a failure, which has been told. Tasks that are
-- skipped one after the other share a line.
local function tell_end(watched, id, state)
  local data, status = watched.data, watched.data.run:status()
  if state == "skipped" then
    table.insert(watched.skipped, id)
    return
  end
  tell_skipped(watched)
  local head = head_text { done = done(status), skipped = status.skipped, total = status.tasks }
  local text = head .. " " .. name_of(data, id, 0)
  if state == "completed" then
    local record = data.run:record(id)
    local took = (record.finish or 0) - (record.start or record.finish or 0)
    text = text .. "  " .. M.duration(took)
  else
    text = text .. "  " .. state:gsub("_", " ")
  end
  if watched.bad_items[id] then
    text = text .. ", " .. plural(watched.bad_items[id], "item") .. " failed"
  end
  say(text)
end

-- --- runs

---What is to be told of a run.
---@param workflow astrum.Workflow
---@return "failures"|"all"
function Progress:wants(workflow)
  return self.how == "plain" and #workflow.tasks <= self.most_listed and "all" or "failures"
end

---Begins to watch a run. Returns what is to be told of attempts that fail; of all that happens when
---there is a line for each task.
---@param data astrum.RunData
---@param explains boolean? a failure ends the run, and then is explained
---@return function
function Progress:watch(data, explains)
  local watched = {
    data = data,
    retries = 0,
    skipped = {},
    told = {},
    bad_items = {},
    stages = data.workflow.plan:stage_count(),
  }
  self.active[#self.active + 1] = watched
  local all = self:wants(data.workflow) == "all"
  if (self.tells or not all) and not self.ticks then
    self.ticks = true
    local is_slow = self.how == "plain" and not self.tells
    core.tick(is_slow and SLOW_INTERVAL or INTERVAL, function()
      self:tick()
    end)
  end
  return function(kind, id, item, attempt, state, will_retry)
    if kind == "attempt_finished" and (state == "failed" or state == "timed_out") then
      if will_retry then
        watched.retries = watched.retries + 1
      elseif not self.is_quiet and (item == 0 or is_listed(watched, id)) then
        -- A failure is told once.
        local is_explained = explains and data.run:status().blame == id
        self:tell_failure(data, id, item, attempt, state, is_explained)
      end
    elseif all and kind == "task_finished" and item == 0 then
      tell_end(watched, id, state)
    end
  end
end

-- "7 completed, 1 failed, 2 skipped"
local function outcome_text(status)
  local parts = {}
  for _, state in ipairs { "completed", "failed", "timed_out", "cancelled", "skipped" } do
    if status[state] > 0 then
      parts[#parts + 1] = terminal.count(status[state]) .. " " .. state:gsub("_", " ")
    end
  end
  return table.concat(parts, ", ")
end

---Ends the watch of a run that has its verdict, and says what became of it.
---@param data astrum.RunData
---@param explanation string? what went wrong
function Progress:ended(data, explanation)
  local retries = 0
  for i, watched in ipairs(self.active) do
    if watched.data == data then
      retries = watched.retries
      tell_skipped(watched)
      table.remove(self.active, i)
      break
    end
  end
  if self.how ~= "plain" then
    console.clear()
  end
  if self.ticks and #self.active == 0 then
    self.ticks = false
    core.tick()
  end
  if self.is_quiet then
    return
  end
  if explanation then
    say("\n" .. explanation .. "\n")
  end
  local status = data.run:status()
  local color = status.state == "completed" and "green" or "red"
  local namespace = data.namespace
  local whose = namespace == "default" and "run " or "run of " .. errors.escape(namespace) .. " "
  local text = self:paint(color, whose .. status.state .. ":")
  text = text .. " " .. outcome_text(status)
  if retries > 0 then
    text = text .. ", " .. plural(retries, "retry")
  end
  say(text .. " in " .. M.duration(status.duration))
end

---Progress as it is wanted: "auto" is a line on a terminal and else a line for each task, if they
---are not very many; "full" is a panel on a terminal and else those lines, and what tasks tell.
---@param choice "auto"|"plain"|"full"
---@return astrum.Progress
function M.new(choice)
  local style = terminal.options(2, core.terminal)
  local how = "plain"
  if choice ~= "plain" and os.getenv "TERM" ~= "dumb" and console.open_display() then
    how = choice == "full" and "full" or "line"
  end
  return setmetatable({
    how = how,
    color = style.color,
    ascii = not style.unicode,
    more = style.unicode and "…" or "...",
    most_listed = choice == "auto" and MOST_LISTED or math.huge,
    tells = choice == "full" and how == "plain",
    active = {},
  }, Progress)
end

return M
