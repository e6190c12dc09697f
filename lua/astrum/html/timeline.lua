-- The timeline of the HTML report: a lane for each slot, a bar for each attempt, and below the bars
-- thin lines for the time that a task waited in a queue or for its retry.
local text = require "astrum.html.text"
local spans_of = require("astrum.report.spans").of

local M = {}

local MOST <const> = 20000
local TICKS <const> = 8
local LEAST_WAIT <const> = 0.001

-- 1, 2 or 5 times a power of ten, so that there are about so many steps.
local function nice_step(total, count)
  local rough = total / count
  local power = 10 ^ math.floor(math.log(rough, 10))
  for _, factor in ipairs { 1, 2, 5 } do
    if rough <= factor * power then
      return factor * power
    end
  end
  return 10 * power
end

local function percent(ns, total)
  return (("%.4f"):format(100 * ns / total):gsub(",", "."):gsub("%.?0+$", ""))
end

local function axis(total)
  local step = nice_step(total, TICKS)
  local labels, lines = {}, {}
  for tick = 0, math.floor(total / step + 1e-9) do
    local place = percent(tick * step, total)
    if tick * step < total * 0.97 then
      labels[#labels + 1] = ('<span style="left:%s%%">%s</span>'):format(
        place,
        tick == 0 and "0" or text.duration(tick * step / 1e9)
      )
    end
    lines[#lines + 1] = ('<i style="left:%s%%"></i>'):format(place)
  end
  return ('<div class="axis">%s</div><div class="grid">%s</div>'):format(
    table.concat(labels),
    table.concat(lines)
  )
end

local function item_of(span)
  return span.item and (' data-item="%d"'):format(span.item) or ""
end

local function wait_of(span, before, view, total)
  local from = before
  if not from then
    local record = view.run:record(span.id, span.item)
    from = record.ready and math.floor(record.ready * 1e9 + 0.5) or span.start
  end
  if span.start - from < total * LEAST_WAIT then
    return ""
  end
  return ('<i%s data-task="%d"%s style="left:%s%%;width:%s%%"></i>'):format(
    before and ' class="retry"' or "",
    span.id,
    item_of(span),
    percent(from, total),
    percent(span.start - from, total)
  )
end

local BAR <const> = '<b class="%s%s" data-task="%d"%s title="%s" '
  .. 'style="left:%s%%;width:%s%%">%s%s</b>'
local LANE <const> = '<div class="lane" data-name="slot %d"><div class="track">%s</div></div>'

local function bar_of(span, name, is_hot, total)
  local attempt = span.attempt > 1 and (" #%d"):format(span.attempt) or ""
  local title = ("%s%s: %s, %s, from %s"):format(
    name,
    attempt,
    text.status(span.status),
    text.duration((span.finish - span.start) / 1e9),
    text.duration(span.start / 1e9)
  )
  return BAR:format(
    span.status,
    is_hot and " hot" or "",
    span.id,
    item_of(span),
    title,
    percent(span.start, total),
    percent(span.finish - span.start, total),
    name,
    attempt
  )
end

---The chart, how many slots it has, how many attempts are left out, and the states of those drawn.
---@param view table as report/messages.lua takes it
---@param critical table<integer, true> ids of tasks
---@param shown table<integer, any> ids of tasks
---@return string
---@return integer slots
---@return integer left_out
---@return table<string, true> states
function M.draw(view, critical, shown)
  local spans, count = spans_of(view)
  local total = math.max(1, math.floor(view.status.duration * 1e9 + 0.5))
  for _, span in ipairs(spans) do
    total = math.max(total, span.finish)
  end
  local lanes, ends, drawn, states = {}, {}, 0, {}
  for _, span in ipairs(spans) do
    if drawn < MOST and shown[span.id] then
      drawn = drawn + 1
      states[span.status] = true
      local lane = lanes[span.lane] or {}
      lanes[span.lane] = lane
      local key = span.id << 32 | (span.item or 0)
      local name = text.line(view.name(span.id), 60)
      name = span.item and ("%s[%d]"):format(name, span.item) or name
      lane[#lane + 1] = wait_of(span, ends[key], view, total)
      lane[#lane + 1] = bar_of(span, name, critical[span.id], total)
      ends[key] = span.finish
    end
  end
  local out = { axis(total) }
  for number = 1, count do
    if lanes[number] then
      out[#out + 1] = LANE:format(number, table.concat(lanes[number]))
    end
  end
  return table.concat(out, "\n"), count, #spans - drawn, states
end

return M
