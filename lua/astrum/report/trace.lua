-- A report in the Trace Event Format, which Perfetto and chrome://tracing open: an X event for each
-- attempt, on lanes so that overlapping ones never share one, and an arrow for each edge on which
-- data went. A task that is a workflow has a process of its own for its run.
--
-- https://docs.google.com/document/d/1CvAClvFfyA5R-PhYUmn5OOQtYMH4h6I0nSsKchNAySU
local json = require "astrum.json"
local reports = require "astrum.report"
local source = require "astrum.view.source"
local spans_of = require("astrum.report.spans").of

local M = {}

-- Pieces are handed on when they have come to so many.
local PIECES <const> = 4096

local META <const> = '{"ph":"M","pid":%d,"tid":%d,"name":"%s","args":{"name":%s}}'
local SPAN <const> =
  '{"ph":"X","pid":%d,"tid":%d,"ts":%s,"dur":%s,"name":%s,"cat":"%s","args":{%s}}'
local FLOW <const> = '{"ph":"%s","pid":%d,"tid":%d,"ts":%s,"id":%d,"name":"data","cat":"data"%s}'

-- Nanoseconds as microseconds with three decimals.
local function microseconds(ns)
  return ("%d.%03d"):format(ns // 1000, ns % 1000)
end

-- A point in time, with half a nanosecond more: Perfetto multiplies by 1000 and cuts to a whole
-- number. What comes out just below one would lose a nanosecond, and a span would begin before the
-- one in front of it has ended.
local function point(ns)
  return (ns < 0 and "-" .. microseconds(-ns) or microseconds(ns)) .. "5"
end

local function arguments_of(span)
  local parts = {}
  if span.item then
    parts[1] = ('"item":%d'):format(span.item)
  end
  parts[#parts + 1] = ('"attempt":%d,"status":"%s"'):format(span.attempt, span.status)
  if span.error_message then
    parts[#parts + 1] = '"error":' .. json.text(span.error_message)
  end
  if span.will_retry then
    parts[#parts + 1] = '"will_retry":true'
  end
  return table.concat(parts, ",")
end

-- The first span of each task and the one that ended last.
local function ends_of(spans)
  local first, last = {}, {}
  for _, span in ipairs(spans) do
    first[span.id] = first[span.id] or span
    local other = last[span.id]
    last[span.id] = other and other.finish > span.finish and other or span
  end
  return first, last
end

-- An arrow begins inside a span, so not at its very end, which may be read 1 ns too early.
local function add_flow(writer, pid, from, to, offset)
  writer.flows = writer.flows + 1
  local time = math.max(from.start, from.finish - 2)
  local id = writer.flows
  writer:add(FLOW:format("s", pid, from.lane, point(time + offset), id, ""))
  writer:add(FLOW:format("f", pid, to.lane, point(to.start + offset), id, ',"bp":"e"'))
end

local function add_flows(writer, view, spans, pid, offset)
  local first, last = ends_of(spans)
  for id, task in ipairs(view.workflow.tasks) do
    local seen = {}
    for _, reference in ipairs(first[id] and source.references(task) or {}) do
      local from = last[view.workflow.index[reference.source]]
      if from and not seen[from] then
        seen[from] = true
        add_flow(writer, pid, from, first[id], offset)
      end
    end
  end
end

local function add_report(writer, report, name)
  local view = reports.view_of(report)
  writer.processes = writer.processes + 1
  local pid = writer.processes
  local offset = math.floor((view.status.wall - writer.wall) * 1e9 + 0.5)
  local spans, lanes = spans_of(view)
  writer:add(META:format(pid, 0, "process_name", json.text(name)))
  for lane = 1, lanes do
    writer:add(META:format(pid, lane, "thread_name", ('"slot %d"'):format(lane)))
    writer:add(
      ('{"ph":"M","pid":%d,"tid":%d,"name":"thread_sort_index","args":{"sort_index":%d}}'):format(
        pid,
        lane,
        lane
      )
    )
  end
  local names = {}
  for _, span in ipairs(spans) do
    names[span.id] = names[span.id] or json.text(view.name(span.id))
    writer:add(
      SPAN:format(
        pid,
        span.lane,
        point(span.start + offset),
        microseconds(span.finish - span.start),
        names[span.id],
        span.status,
        arguments_of(span)
      )
    )
  end
  add_flows(writer, view, spans, pid, offset)
  for id in ipairs(view.workflow.tasks) do
    local inner = view.reports and view.reports[id] or {}
    local items = {}
    for item in pairs(inner) do
      items[#items + 1] = item
    end
    table.sort(items)
    for _, item in ipairs(items) do
      local suffix = item > 0 and ("[%d]"):format(item) or ""
      add_report(writer, inner[item], name .. "/" .. view.name(id) .. suffix)
    end
  end
end

---Writes the trace of a report.
---@param report astrum.Report
---@param write fun(piece: string) gets it in pieces
function M.write(report, write)
  local view = reports.view_of(report)
  local pieces = { '{"displayTimeUnit":"ms","traceEvents":[\n' }
  local writer = { processes = 0, flows = 0, wall = view.status.wall, separator = "" }
  function writer:add(event)
    pieces[#pieces + 1] = self.separator
    pieces[#pieces + 1] = event
    self.separator = ",\n"
    if #pieces >= PIECES then
      write(table.concat(pieces))
      pieces = {}
    end
  end
  add_report(writer, report, view.workflow.namespace or "workflow")
  pieces[#pieces + 1] = "\n]}\n"
  write(table.concat(pieces))
end

return M
