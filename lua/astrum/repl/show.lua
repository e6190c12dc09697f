-- What the prompt tells of one task: how it is declared, what it is connected with, what became of
-- it; and the timeline of a run.
local core = require "astrum.core"
local drawing = require "astrum.report.table"
local errors = require "astrum.error"
local pretty = require "astrum.pretty"
local reports = require "astrum.report"
local secret = require "astrum.secret"
local terminal = require "astrum.terminal"

core.own()

local M = {}

---The result of a task as text, without what is sensitive in its run.
---@param record astrum.TaskRecord
---@param report astrum.Report in which it has one
---@param depth integer? of tables that is shown
---@return string
function M.result(record, report, depth)
  local view, result = reports.view_of(report), report:result(record.name)
  local mask = secret.mask(view.data)
  if record.sensitive or mask and mask.covers(view.workflow.index[record.name], result) then
    return "(sensitive)"
  end
  local options = { depth = depth, mask = mask and mask.mask, hidden = mask and mask.hidden }
  return pretty.value(result, options)
end

local MOST_LINES <const> = 200
local MOST_ROWS <const> = 50
local MOST_ITEMS <const> = 5
local NAME_WIDTH <const> = 24
local LEAST_BAR <const> = 20

-- --- the source of a declaration

-- The lines from the declaration on, until they make a chunk; at least the first one.
local function whole_statement(next_line)
  local first = next_line()
  local lines = {}
  local line = first
  while line and #lines < MOST_LINES do
    lines[#lines + 1] = line
    local text = table.concat(lines, "\n")
    if load(text, "=source", "t") or load("return " .. text, "=source", "t") then
      return text
    end
    line = next_line()
  end
  return first
end

local function lines_of_file(path, from)
  local file = io.open(path, "rb")
  if not file then
    return nil
  end
  for _ = 1, from - 1 do
    file:read "L"
  end
  local text = whole_statement(function()
    return (file:read "l")
  end)
  file:close()
  return text
end

local function source_of(session, record)
  local chunk = session.chunks[record.entry]
  if record.source == "stdin" and chunk then
    return chunk.text
  end
  return record.line > 0 and lines_of_file(record.source, record.line) or nil
end

-- --- connections

local function names_in(entry, visit)
  for _, reference in ipairs(entry.references or { entry.reference }) do
    visit((core.reference_task(reference)))
  end
end

-- Calls visit(name) for what a record says that it needs; a name may come more than once.
local function each_need(record, visit)
  for i = 1, record.inputs.n do
    names_in(record.inputs[i], visit)
  end
  for _, list in ipairs(record.map or {}) do
    names_in(list.input, visit)
  end
  for _, dependency in ipairs(record.depends_on) do
    visit(dependency.name)
  end
end

-- Names of the tasks that a task needs, and of those that need it.
local function connections(registry, record)
  local needs, needed_by = {}, {}
  local function add(list, name)
    if not list[name] then
      list[name] = true
      list[#list + 1] = name
    end
  end
  each_need(record, function(name)
    add(needs, name)
  end)
  for _, other in ipairs(registry.records) do
    each_need(other, function(name)
      if name == record.name then
        add(needed_by, other.name)
      end
    end)
    for _, output in ipairs(other.outputs) do
      if output.target == record.name then
        add(needs, other.name)
      elseif other == record then
        add(needed_by, output.target)
      end
    end
  end
  return needs, needed_by
end

-- --- inputs

local function function_text(fn)
  local source, line = core.definition(fn)
  return line > 0 and "function at " .. errors.where(source, line) or "a C function"
end

local INPUT_TEXTS <const> = {
  inputs = "the table of all inputs",
  context = "the context of the attempt",
  missing = "pushed by another task",
}

local function input_text(entry)
  if entry.sensitive then
    return "(sensitive)"
  elseif entry.kind == "reference" then
    local kind = type(entry.type) == "string" and ", " .. entry.type or ""
    local default = entry.has_default and ", else " .. pretty.text(entry.default) or ""
    return tostring(entry.reference) .. kind .. default
  elseif entry.kind == "function" then
    return function_text(entry.value)
  elseif entry.kind == "param" then
    return "param " .. errors.quote(entry.name)
  elseif entry.kind == "item" then
    return "an element of its map"
  elseif INPUT_TEXTS[entry.kind] then
    return INPUT_TEXTS[entry.kind]
  end
  return type(entry.value) == "string" and errors.quote(entry.value)
    or pretty.text(entry.value, { entries = 5, text = 40 })
end

local function add_inputs(lines, record)
  local function add(name, entry)
    lines[#lines + 1] = ("  %s = %s"):format(errors.escape(tostring(name)), input_text(entry))
  end
  if record.inputs.n > 0 then
    lines[#lines + 1] = "inputs:"
  end
  for i = 1, record.inputs.n do
    add(record.inputs[i].parameter or i, record.inputs[i])
  end
  for _, list in ipairs(record.map or {}) do
    add("map " .. list.parameter, list.input)
  end
end

local function add_names(lines, label, names)
  table.sort(names)
  for i, name in ipairs(names) do
    names[i] = errors.escape(name)
  end
  lines[#lines + 1] = label .. (#names > 0 and table.concat(names, ", ") or "nothing")
end

-- --- the last run

local function add_attempts(lines, entry, prefix)
  for _, attempt in ipairs(entry.attempt_statistics) do
    local text = ("  %sattempt %d: %s in %s"):format(
      prefix,
      attempt.attempt_number,
      attempt.status,
      drawing.duration(attempt.duration)
    )
    local why = attempt.error_message
    lines[#lines + 1] = why and text .. ": " .. errors.escape(why:match("^[^\n]*")) or text
  end
end

local ITEM_STATES <const> = { "completed", "failed", "timed_out", "cancelled", "skipped" }

-- How many items of a map became what, and the attempts of the first that did not complete.
local function add_items(lines, items)
  local counts, parts, shown = {}, {}, 0
  for _, item in ipairs(items) do
    counts[item.status] = (counts[item.status] or 0) + 1
  end
  for _, state in ipairs(ITEM_STATES) do
    if counts[state] then
      parts[#parts + 1] = terminal.count(counts[state]) .. " " .. state:gsub("_", " ")
    end
  end
  lines[#lines + 1] = "  items: " .. (parts[1] and table.concat(parts, ", ") or "none")
  for i, item in ipairs(items) do
    if item.attempt_count > 0 and item.status ~= "completed" and shown < MOST_ITEMS then
      shown = shown + 1
      add_attempts(lines, item, ("item %d, "):format(i))
    end
  end
end

local function add_last(lines, session, record)
  local kept = session.kept[record]
  if not kept then
    lines[#lines + 1] = "last run: none since it was declared"
    return
  end
  local entry = kept.report:task(record.name)
  lines[#lines + 1] = "last run: " .. entry.status .. (entry.reason and ", " .. entry.reason or "")
  if record.map then
    add_items(lines, entry.items or {})
  else
    add_attempts(lines, entry, "")
  end
  if kept.report:has_result(record.name) then
    local text = M.result(record, kept.report, 2)
    lines[#lines + 1] = "  result: " .. text:gsub("\n", "\n  ")
  end
end

---A task as text: its declaration, connections and last run.
---@param session astrum.ReplSession
---@param registry astrum.Registry
---@param record astrum.TaskRecord
---@return string
function M.task(session, registry, record)
  local place = errors.where(record.source, record.line)
  local lines = { ("task %s, declared at %s"):format(errors.quote(record.name), place) }
  if record.description then
    lines[#lines + 1] = errors.escape(record.description)
  end
  local source = source_of(session, record)
  if source then
    for line in (source .. "\n"):gmatch("(.-)\n") do
      lines[#lines + 1] = "  | " .. errors.escape(line:gsub("\t", "    "))
    end
  end
  local needs, needed_by = connections(registry, record)
  add_inputs(lines, record)
  add_names(lines, "waits for: ", needs)
  add_names(lines, "used by: ", needed_by)
  add_last(lines, session, record)
  local kept, text = session.kept[record], table.concat(lines, "\n")
  local data = kept and reports.view_of(kept.report).data
  return data and secret.hide(data, text) or text
end

-- --- the timeline

-- The cells as a text, each run of cells of one state in its colour.
local function painted(cells, states)
  local parts, from = {}, 1
  for i = 1, #cells do
    if i == #cells or states[i + 1] ~= states[i] then
      local text = table.concat(cells, "", from, i)
      parts[#parts + 1] = states[i] and terminal.paint_state(states[i], text) or text
      from = i + 1
    end
  end
  return table.concat(parts)
end

-- A bar of `width` cells with the attempts of a task between the first and the last second.
local function bar_of(entry, first, span, width, marks)
  local cells, states = {}, {}
  for i = 1, width do
    cells[i] = " "
  end
  local function cell(time)
    return math.max(1, math.min(width, math.floor((time - first) / span * width) + 1))
  end
  local attempts = entry.attempt_statistics
  if #attempts == 0 and entry.start_time then
    attempts =
      { { start_time = entry.start_time, end_time = entry.end_time, status = entry.status } }
  end
  for _, attempt in ipairs(attempts) do
    local mark = attempt.status == "completed" and marks.good or marks.bad
    for i = cell(attempt.start_time), cell(attempt.end_time or first + span) do
      cells[i], states[i] = mark, attempt.status
    end
  end
  return marks.color and painted(cells, states) or table.concat(cells)
end

---When the tasks of a run ran, as bars; the first ones of many.
---@param report astrum.Report
---@param given astrum.TerminalOptions
---@return string
function M.timeline(report, given)
  local entries = {}
  for _, entry in ipairs(report.task_statistics) do
    if entry.start_time and not entry.reused then
      entries[#entries + 1] = entry
    end
  end
  if #entries == 0 then
    return "no task of the run was started"
  end
  local order = {}
  for i, entry in ipairs(entries) do
    order[entry] = i
  end
  table.sort(entries, function(a, b)
    if a.start_time ~= b.start_time then
      return a.start_time < b.start_time
    end
    return order[a] < order[b]
  end)
  local marks = given.unicode and { good = "█", bad = "░" } or { good = "#", bad = "x" }
  marks.color = given.color
  local name_width = 0
  for i = 1, math.min(#entries, MOST_ROWS) do
    local name = terminal.escape(entries[i].task_name, not given.unicode)
    name_width = math.max(name_width, terminal.display_width(name))
  end
  name_width = math.min(name_width, NAME_WIDTH)
  local bar_width = math.max(LEAST_BAR, given.width - name_width - 16)
  local first = entries[1].start_time
  local span = math.max(report.total_end_time - first, 1e-9)
  local lines = {}
  for i = 1, math.min(#entries, MOST_ROWS) do
    local entry = entries[i]
    local name = terminal.escape(entry.task_name, not given.unicode)
    name = terminal.cut(name, name_width, given.unicode and "…" or "...")
    name = name .. (" "):rep(name_width - terminal.display_width(name))
    local bar = bar_of(entry, first, span, bar_width, marks)
    lines[i] = ("%s |%s| %s"):format(name, bar, drawing.duration(entry.duration))
  end
  if #entries > MOST_ROWS then
    lines[#lines + 1] = ("and %s more"):format(terminal.count(#entries - MOST_ROWS))
  end
  local legend = "%s completed, %s failed, timed out or cancelled; the bars span %s"
  lines[#lines + 1] = legend:format(marks.good, marks.bad, drawing.duration(span))
  return table.concat(lines, "\n")
end

return M
