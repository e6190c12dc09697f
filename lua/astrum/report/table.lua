-- A report as text: one row a task, the totals, the error summary in short. Limited in size, and
-- what did not complete comes before what is left out.
local excerpt = require "astrum.excerpt"
local messages = require "astrum.report.messages"
local terminal = require "astrum.terminal"

local M = {}

local ROW_LIMIT <const> = 50
local ENTRY_LIMIT <const> = 10
local NAME_WIDTH <const> = 40
local ERROR_WIDTH <const> = 60
local LEAST_ERROR_WIDTH <const> = 20
local ENTRY_WIDTH <const> = 1000

local HEADER <const> = { "Task", "Stage", "Status", "Duration", "Error" }
local RIGHT <const> = { [2] = true, [4] = true }

--- Seconds in the unit in which they read best: 12 µs would be 0.012 ms.
---@param seconds number
---@return string
function M.duration(seconds)
  if seconds < 1 then
    return ("%.3f ms"):format(seconds * 1000)
  end
  return ("%.3f s"):format(seconds)
end

-- Ids of the tasks to list, in the order of declaration.
local function rows_of(report, view, limit)
  local ids = {}
  local all = report.total_tasks <= limit
  local wanted = math.max(0, limit - (report.total_tasks - report.successful_tasks))
  for id, task in ipairs(view.workflow.tasks) do
    if #ids >= limit then
      break
    end
    if not task.detached then
      if all or view.run:record(id).state ~= "completed" then
        ids[#ids + 1] = id
      elseif wanted > 0 then
        wanted = wanted - 1
        ids[#ids + 1] = id
      end
    end
  end
  return ids
end

local function first_line(text)
  return text:match("^[^\n]*")
end

local function row_of(entry, style)
  local failure = entry.status == "cancelled" and entry.reason
    or entry.error_message
    or entry.reason
    or ""
  local function cell(text, width)
    return terminal.cut(terminal.escape(first_line(text), style.ascii), width, style.more)
  end
  return {
    cell(entry.task_name, NAME_WIDTH),
    tostring(entry.stage_id),
    entry.reused and "reused" or entry.status,
    entry.attempt_count > 0 and M.duration(entry.duration) or "-",
    cell(failure, ERROR_WIDTH),
  }
end

local STATUS <const> = 3

local function align(rows, style)
  local widths = {}
  for _, row in ipairs(rows) do
    for column, text in ipairs(row) do
      widths[column] = math.max(widths[column] or 0, terminal.display_width(text))
    end
  end
  local lines = {}
  for index, row in ipairs(rows) do
    local cells = {}
    for column, text in ipairs(row) do
      local blank = (" "):rep(widths[column] - terminal.display_width(text))
      local is_state = style.color and column == STATUS and index > 1
      local painted = is_state and terminal.paint_state(text, text) or text
      cells[column] = RIGHT[column] and blank .. painted or painted .. blank
    end
    lines[index] = table.concat(cells, "  "):gsub("%s+$", "")
  end
  return lines, widths
end

local function totals(report, style)
  local state = report.execution_state
  local parts = {
    "state=" .. (style.color and terminal.paint_state(state, state) or state),
    ("completed=%d"):format(report.successful_tasks),
    ("failed=%d"):format(report.failed_tasks),
  }
  for _, kind in ipairs { "timed_out", "cancelled", "skipped" } do
    local count = report[kind .. "_tasks"]
    if count > 0 then
      parts[#parts + 1] = ("%s=%d"):format(kind, count)
    end
  end
  parts[#parts + 1] = "duration=" .. M.duration(report.execution_duration)
  return table.concat(parts, ", ")
end

-- Cuts the errors, which are the last column, so that rows have room in so many columns.
local function cut_errors(rows, width, style)
  local others = 0
  for column = 1, #HEADER - 1 do
    local widest = 0
    for _, row in ipairs(rows) do
      widest = math.max(widest, terminal.display_width(row[column]))
    end
    others = others + widest + 2
  end
  local room = math.max(LEAST_ERROR_WIDTH, width - others)
  for _, row in ipairs(rows) do
    row[#HEADER] = terminal.cut(row[#HEADER], room, style.more)
  end
end

-- Adds a line, broken between words where it is wider than `width`, and then indented.
local function add_broken(lines, text, width)
  if not width or terminal.display_width(text) <= width then
    lines[#lines + 1] = text
    return
  end
  local line = nil
  for word in text:gmatch "%S+" do
    local longer = line and line .. " " .. word or word
    if line and terminal.display_width(longer) > width then
      lines[#lines + 1] = line
      longer = "  " .. word
    end
    line = longer
  end
  lines[#lines + 1] = line
end

-- Adds the lines of a message. Carets stay below what they point to.
local function add_entry(lines, entry, style)
  for text, is_excerpt in excerpt.lines(entry, style) do
    if is_excerpt then
      lines[#lines + 1] = text
    elseif text ~= "" then
      add_broken(lines, terminal.cut(text, ENTRY_WIDTH, style.more), style.width)
    end
  end
end

local function add_entries(lines, entries, style)
  for position = 1, math.min(#entries, ENTRY_LIMIT) do
    add_entry(lines, entries[position], style)
  end
  if #entries > ENTRY_LIMIT then
    local hidden = terminal.count(#entries - ENTRY_LIMIT)
    lines[#lines + 1] = ("%s and %s more messages"):format(style.more, hidden)
  end
end

--- The report as text, without a newline at its end.
---@param report astrum.Report
---@param view table as messages.lua takes it
---@param options? { unicode?: boolean, rows?: integer, color?: boolean, width?: integer }
---@return string
function M.draw(report, view, options)
  local unicode = options and options.unicode
  if unicode == nil then
    unicode = terminal.unicode()
  end
  local style = { ascii = not unicode, more = unicode and "…" or "..." }
  style.color = options and options.color
  style.width = options and options.width
  local rows = { HEADER }
  for _, id in ipairs(rows_of(report, view, options and options.rows or ROW_LIMIT)) do
    rows[#rows + 1] = row_of(report:task(view.name(id)), style)
  end
  if style.width then
    cut_errors(rows, style.width, style)
  end
  local lines, widths = align(rows, style)
  local rule = {}
  for column, width in ipairs(widths) do
    rule[column] = ("-"):rep(width)
  end
  table.insert(lines, 2, table.concat(rule, "  "))
  local hidden = report.total_tasks - (#rows - 1)
  if hidden > 0 then
    lines[#lines + 1] = ("%s and %s more"):format(style.more, terminal.count(hidden))
  end
  lines[#lines + 1] = totals(report, style)
  add_entries(lines, messages.summary(view, true), style)
  return table.concat(lines, "\n")
end

return M
