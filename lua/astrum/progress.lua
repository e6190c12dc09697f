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

local MOST_NAMED <const> = 20
local MOST_ROWS <const> = 60
local ROW_INDENT <const> = "  "
local MOST_NAME_WIDTH <const> = 40

---@class astrum.Progress
---@field how "line"|"full"|"plain"
---@field color boolean
---@field ascii boolean
---@field more string stands for what is cut off
---@field most_listed number runs with more tasks have no line for each
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

local function over(status)
  return status.completed + status.failed + status.timed_out + status.cancelled + status.skipped
end

-- The counts of all runs that go on, together.
function Progress:counts()
  local sum =
    { total = 0, done = 0, failed = 0, retries = 0, running = 0, elapsed = 0.0, stages = 0 }
  for _, watched in ipairs(self.active) do
    local status = watched.data.run:status()
    sum.total = sum.total + status.tasks
    sum.done = sum.done + over(status)
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

---@class astrum.RunningTask
---@field name string with the items of a map that run
---@field fraction number? what the task told
---@field told string? what the task told
---@field attempt integer
---@field seconds number since it began

function Progress:running_task(data, entry)
  local id = entry[1]
  local record = data.run:record(id)
  local name = terminal.escape(data.workflow.tasks[id].name, self.ascii)
  if entry.items then
    name = name .. (" (%d of %d items running)"):format(entry.items, record.items or entry.items)
  end
  local fraction, told = data.run:progress(id)
  return {
    name = name,
    fraction = fraction,
    told = told and terminal.escape(secret.hide(data, told), self.ascii),
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

local function plural(count, noun)
  local ending = noun == "retry" and "retries" or noun .. "s"
  return count .. " " .. (count == 1 and noun or ending)
end

-- "3 running, 5 waiting, 2 failed, 1 retry, 4.2s, about 6s left"; `tasks` are some that run, `all`
-- is how many do, where that is to be told.
local function tail_text(counts, tasks, all)
  local parts = {}
  if all then
    parts[1] = terminal.count(all) .. " running"
    local waiting = counts.total - counts.done - all
    parts[2] = waiting > 0 and terminal.count(waiting) .. " waiting" or nil
  end
  if counts.failed > 0 then
    parts[#parts + 1] = counts.failed .. " failed"
  end
  if counts.retries > 0 then
    parts[#parts + 1] = plural(counts.retries, "retry")
  end
  parts[#parts + 1] = M.duration(counts.elapsed)
  local done = counts.done
  for _, task in ipairs(tasks) do
    done = done + (task.fraction or 0)
  end
  local left = M.remaining(counts.total, done, counts.elapsed, counts.stages)
  if left and counts.elapsed >= 1 then
    parts[#parts + 1] = "about " .. M.duration(math.ceil(left)):gsub("%.0s$", "s") .. " left"
  end
  return table.concat(parts, ", ")
end

-- --- drawing

local function say(text)
  io.stderr:write(text, "\n")
end

local function size()
  local _, columns, rows = core.terminal(2)
  return terminal.width(columns) - 1, rows or 24
end

local function head_text(counts)
  return ("[%s/%s]"):format(terminal.count(counts.done), terminal.count(counts.total))
end

-- The line is never as wide as the terminal, which would wrap it. What runs is cut first.
function Progress:line(width)
  local counts = self:counts()
  local tasks, all = self:running(MOST_NAMED)
  local head, tail = head_text(counts), tail_text(counts, tasks)
  local names = {}
  for i, task in ipairs(tasks) do
    names[i] = task.fraction and task.name .. " " .. percent(task.fraction) or task.name
  end
  local text = table.concat(names, ", ")
  if all > #tasks then
    text = text .. ", +" .. all - #tasks
  end
  local room = width - #head - #tail - 4
  if room < 8 then
    return { terminal.cut(head .. " " .. tail, width, self.more) }
  end
  text = terminal.cut(text, room, self.more)
  return { head .. " " .. text .. (text ~= "" and "  " or "") .. tail }
end

local function pad(text, width)
  return text .. (" "):rep(width - terminal.display_width(text))
end

-- Name, time, percent and what the task tells, in columns.
function Progress:row(task, name_width)
  local parts = {
    pad(terminal.cut(task.name, MOST_NAME_WIDTH, self.more), name_width),
    pad(M.duration(task.seconds), 6),
    task.fraction and ("%4s"):format(percent(task.fraction)) or nil,
  }
  parts[#parts + 1] = task.told
  parts[#parts + 1] = task.attempt > 1 and "(attempt " .. task.attempt .. ")" or nil
  return (ROW_INDENT .. table.concat(parts, "  "):gsub(" +$", ""))
end

function Progress:panel(width, height)
  local counts = self:counts()
  local tasks, all = self:running(math.max(1, math.min(MOST_ROWS, height - 3)))
  local lines, name_width = {}, 0
  for _, task in ipairs(tasks) do
    name_width = math.max(name_width, terminal.display_width(task.name))
  end
  name_width = math.min(name_width, MOST_NAME_WIDTH)
  for i, task in ipairs(tasks) do
    lines[i] = terminal.cut(self:row(task, name_width), width, self.more)
  end
  if all > #tasks then
    lines[#lines + 1] = ROW_INDENT .. "and " .. terminal.count(all - #tasks) .. " more"
  end
  local last = head_text(counts) .. " " .. tail_text(counts, tasks, all)
  lines[#lines + 1] = terminal.cut(last, width, self.more)
  return lines
end

function Progress:tick()
  if self.how == "plain" then
    local counts = self:counts()
    say(head_text(counts) .. " " .. tail_text(counts, {}))
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

-- The task's name, for an item of a map with its number.
local function name_of(data, id, item)
  local name = errors.escape(data.workflow.tasks[id].name)
  return item > 0 and name .. "[" .. item .. "]" or name
end

function Progress:tell_failure(data, id, item, attempt, state)
  local attempts = data.run:attempts(id, item)
  local e = attempts[attempt] and attempts[attempt].error
  local text = self:paint("red", (SHOWN[state] or "FAILED") .. ":")
  text = text .. " " .. name_of(data, id, item)
  if attempt > 1 then
    text = text .. " (attempt " .. attempt .. ")"
  end
  if e ~= nil then
    text = text .. "\n" .. indented(failure.text(e))
  end
  say(text)
end

-- A line for a task that is over, other than by a failure, which has been told.
local function tell_end(data, id, state)
  local status = data.run:status()
  local head = head_text { done = over(status), total = status.tasks }
  local text = head .. " " .. name_of(data, id, 0)
  if state == "completed" then
    local record = data.run:record(id)
    local took = (record.finish or 0) - (record.start or record.finish or 0)
    text = text .. "  " .. M.duration(took)
  else
    text = text .. "  " .. state:gsub("_", " ")
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
---@return function
function Progress:watch(data)
  local watched = { data = data, retries = 0, stages = data.workflow.plan:stage_count() }
  self.active[#self.active + 1] = watched
  local all = self:wants(data.workflow) == "all"
  if not all and not self.ticks then
    self.ticks = true
    core.tick(self.how == "plain" and SLOW_INTERVAL or INTERVAL, function()
      self:tick()
    end)
  end
  return function(kind, id, item, attempt, state, will_retry)
    if kind == "attempt_finished" and (state == "failed" or state == "timed_out") then
      if will_retry then
        watched.retries = watched.retries + 1
      elseif not self.is_quiet then
        self:tell_failure(data, id, item, attempt, state)
      end
    elseif all and kind == "task_finished" and item == 0 and state ~= "skipped" then
      tell_end(data, id, state)
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
---are not very many; "full" is a panel on a terminal.
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
    most_listed = choice == "plain" and math.huge or MOST_LISTED,
    active = {},
  }, Progress)
end

return M
