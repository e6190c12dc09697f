-- The attempts of a report as spans of time on lanes: overlapping ones never share a lane, and the
-- lowest lane that is free is taken. So lanes look like the slots of a concurrency limit.
local messages = require "astrum.report.messages"
local ATTEMPT_STATUS <const> = require("astrum.report.statistics").ATTEMPT_STATUS

local M = {}

---@class astrum.report.Span
---@field id integer of the task
---@field item integer? of a map
---@field attempt integer from 1
---@field start integer ns since the begin of the run
---@field finish integer ns
---@field lane integer from 1
---@field status string
---@field error_message string?
---@field will_retry boolean

local function nanoseconds(seconds)
  return math.floor(seconds * 1e9 + 0.5)
end

-- Adds the attempts of a task, or of an item of a map.
local function add_attempts(spans, view, id, item)
  for _, attempt in ipairs(view.run:attempts(id, item)) do
    local start = nanoseconds(attempt.start)
    spans[#spans + 1] = {
      id = id,
      item = item,
      attempt = attempt.attempt,
      start = start,
      finish = math.max(start, nanoseconds(attempt.finish or view.status.duration)),
      status = ATTEMPT_STATUS[attempt.outcome] or "running",
      error_message = messages.of_attempt(attempt),
      will_retry = attempt.will_retry or false,
    }
  end
end

local function by_start(a, b)
  if a.start ~= b.start then
    return a.start < b.start
  elseif a.id ~= b.id then
    return a.id < b.id
  elseif a.item ~= b.item then
    return (a.item or 0) < (b.item or 0)
  end
  return a.attempt < b.attempt
end

-- A heap whose top is the entry that comes before all others.
local function push(heap, entry, before)
  local place = #heap + 1
  heap[place] = entry
  while place > 1 and before(entry, heap[place // 2]) do
    heap[place], heap[place // 2] = heap[place // 2], entry
    place = place // 2
  end
end

local function pop(heap, before)
  local top, last = heap[1], heap[#heap]
  heap[#heap] = nil
  local count, place = #heap, 1
  while count > 0 do
    local child = 2 * place
    if child < count and before(heap[child + 1], heap[child]) then
      child = child + 1
    end
    if child > count or not before(heap[child], last) then
      heap[place] = last
      break
    end
    heap[place] = heap[child]
    place = child
  end
  return top
end

local function ends_first(a, b)
  return a.finish < b.finish or a.finish == b.finish and a.lane < b.lane
end

local function is_lower(a, b)
  return a < b
end

local function pack(spans)
  local busy, free, count = {}, {}, 0
  for _, span in ipairs(spans) do
    while busy[1] and busy[1].finish <= span.start do
      push(free, pop(busy, ends_first).lane, is_lower)
    end
    if not free[1] then
      count = count + 1
      push(free, count, is_lower)
    end
    span.lane = pop(free, is_lower)
    push(busy, span, ends_first)
  end
  return count
end

---The spans of a report by their start, and how many lanes they take.
---@param view table as messages.lua takes it
---@return astrum.report.Span[]
---@return integer lanes
function M.of(view)
  local spans = {}
  for id, task in ipairs(view.workflow.tasks) do
    local record = view.run:record(id)
    if task.record.map then
      for item = 1, record.items or 0 do
        add_attempts(spans, view, id, item)
      end
    elseif record.attempts > 0 then
      add_attempts(spans, view, id, nil)
    end
  end
  table.sort(spans, by_start)
  return spans, pack(spans)
end

return M
