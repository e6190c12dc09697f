-- A report as one HTML page that needs no other file and makes no request. All of it can be read
-- without its script, which adds choosing, moving, filtering and sorting.
local data = require "astrum.html.data"
local graphs = require "astrum.picture.graph"
local reports = require "astrum.report"
local svg = require "astrum.picture.svg"
local terminal = require "astrum.terminal"
local text = require "astrum.html.text"
local timeline = require "astrum.html.timeline"

local M = {}

local MOST_TASKS <const> = 10000
local MOST_DRAWN <const> = { tasks = 5000, edges = 20000 }
local MOST_ERRORS <const> = 50
local MOST_ON_PATH <const> = 30

-- With more lanes only those are laid out that can be seen.
local MOST_LANES <const> = 100

local COUNTS <const> = {
  { "completed", "successful_tasks" },
  { "failed", "failed_tasks" },
  { "timed_out", "timed_out_tasks" },
  { "cancelled", "cancelled_tasks" },
  { "skipped", "skipped_tasks" },
}

-- --- which tasks

-- All, or of many those that did not complete and the first of the others.
local function choose(view)
  local tasks = view.workflow.tasks
  local chosen, count = {}, 0
  local function take(wanted)
    for id in ipairs(tasks) do
      if count < MOST_TASKS and not chosen[id] and wanted(id) then
        chosen[id], count = true, count + 1
      end
    end
  end
  if #tasks > MOST_TASKS then
    take(function(id)
      return view.run:record(id).state ~= "completed"
    end)
  end
  take(function()
    return true
  end)
  local ids = {}
  for id in ipairs(tasks) do
    ids[#ids + 1] = chosen[id] and id or nil
  end
  return ids, chosen
end

-- --- parts of the page

local function head(page)
  local report, view = page.report, page.view
  local run_id = view.data and view.data.run_id
  local started = os.date("!%Y-%m-%d %H:%M:%S UTC", math.floor(report.total_start_time))
  local parts = {
    "started " .. started,
    "took " .. text.duration(report.total_duration),
    run_id and "run " .. text.line(run_id) or nil,
  }
  return ([[
<header>
<p class="brand">astrum run report</p>
<h1>%s <span class="badge %s">%s</span></h1>
<p class="sub">%s</p>
</header>]]):format(
    page.title,
    report.execution_state,
    text.status(report.execution_state),
    table.concat(parts, " · ")
  )
end

local function tile(title, value, class)
  return ('<div class="%s"><dt>%s</dt><dd>%s</dd></div>'):format(class or "", title, value)
end

local function summary(page)
  local report = page.report
  local bar, tiles = {}, { tile("tasks", terminal.count(report.total_tasks)) }
  for _, count in ipairs(COUNTS) do
    local status, value = count[1], report[count[2]]
    if value > 0 then
      bar[#bar + 1] = ('<span class="%s" style="flex:%d" title="%s %s"></span>'):format(
        status,
        value,
        terminal.count(value),
        text.status(status)
      )
    end
    local class = value == 0 and "zero" or status
    tiles[#tiles + 1] = tile(text.status(status), terminal.count(value), class)
  end
  tiles[#tiles + 1] = tile("run time", text.duration(report.execution_duration))
  tiles[#tiles + 1] = tile("critical path", text.duration(page.path_duration))
  tiles[#tiles + 1] = tile("stages", terminal.count(report.total_stages))
  tiles[#tiles + 1] = tile("most at once", terminal.count(page.slots))
  local verdict = ""
  if report.execution_state ~= "completed" and report.error_summary[1] then
    verdict = ('<p class="verdict">%s</p>'):format(text.lines(report.error_summary[1]))
  end
  return ([[
<section aria-label="Summary">
<div class="bar" aria-hidden="true">%s</div>
<dl class="tiles">%s</dl>
%s
</section>]]):format(table.concat(bar), table.concat(tiles), verdict)
end

local function skipped_because(view)
  local counts = {}
  for id in ipairs(view.workflow.tasks) do
    local record = view.run:record(id)
    if record.blame and (record.state == "skipped" or record.state == "cancelled") then
      counts[record.blame] = (counts[record.blame] or 0) + 1
    end
  end
  return counts
end

local function error_of(page, id, entry, because)
  local failure = type(entry.error) == "table" and entry.error or {}
  local parts = { ("<pre>%s</pre>"):format(text.lines(entry.error_message or "")) }
  if failure.traceback then
    parts[#parts + 1] = ("<pre>%s</pre>"):format(text.lines(failure.traceback))
  end
  for _, attempt in ipairs(entry.attempt_statistics) do
    if attempt.will_retry then
      parts[#parts + 1] = ('<p class="hint">attempt %d: %s</p>'):format(
        attempt.attempt_number,
        text.line(attempt.error_message or "", 300)
      )
    end
  end
  if because[id] then
    local form = '<p class="hint">%s did not run to the end because of it.</p>'
    parts[#parts + 1] = form:format(text.count(because[id], "task"))
  end
  local first = (entry.error_message or ""):match("^[^\n]*")
  local open = page.error_count == 1 and " open" or ""
  local form = '<details%s><summary><b class="mono status %s">%s %s</b> %s</summary>'
    .. "<div>%s</div></details>"
  return form:format(
    open,
    entry.status,
    text.SIGNS[entry.status],
    text.line(entry.task_name, 80),
    text.line(first, 160),
    table.concat(parts, "\n")
  )
end

local function failures(page)
  local list, ids = {}, {}
  for id in ipairs(page.view.workflow.tasks) do
    local state = page.view.run:record(id).state
    if state == "failed" or state == "timed_out" then
      ids[#ids + 1] = id
    end
  end
  if #ids == 0 then
    return ""
  end
  page.error_count = #ids
  local because = skipped_because(page.view)
  for position = 1, math.min(#ids, MOST_ERRORS) do
    local entry = page.report:task(page.view.name(ids[position]))
    list[position] = error_of(page, ids[position], entry, because)
  end
  if #ids > MOST_ERRORS then
    list[#list + 1] = ('<p class="hint">… and %s more; the table has them all.</p>'):format(
      terminal.count(#ids - MOST_ERRORS)
    )
  end
  return ([[
<section aria-labelledby="h-errors"><h2 id="h-errors">Errors</h2>
%s
</section>]]):format(table.concat(list, "\n"))
end

local function critical_path(page)
  local chips = {}
  for position, name in ipairs(page.path) do
    if position > MOST_ON_PATH then
      chips[position] = ("<li>… and %s more</li>"):format(
        terminal.count(#page.path - MOST_ON_PATH)
      )
      break
    end
    local entry = page.report:task(name)
    local form = '<li><button type="button" class="chip mono" data-task="%d">%s<small>%s</small>'
      .. "</button></li>"
    chips[position] = form:format(
      page.view.workflow.index[name],
      text.line(name, 60),
      entry.start_time and text.duration(entry.duration) or "–"
    )
  end
  if #chips == 0 then
    return ""
  end
  return ([[
<section aria-labelledby="h-path"><h2 id="h-path">Critical path</h2>
<ol class="path">%s</ol></section>]]):format(table.concat(chips))
end

local function picture(page)
  local graph = graphs.of(page.view.workflow, page.report, MOST_DRAWN)
  local content, width, height, direction = svg.content(graph)
  return ([[
<section class="heavy" aria-labelledby="h-dag"><h2 id="h-dag">Workflow</h2>
<div class="tools only-script">
<button type="button" id="zoom-out" aria-label="Zoom out">−</button>
<button type="button" id="zoom-in" aria-label="Zoom in">+</button>
<button type="button" id="zoom-fit">Fit</button>
<span class="hint">Drag to move, Ctrl and wheel to zoom, click a task for its inputs, attempts and
errors. With the keyboard: Tab to a task, arrows to the next, Enter opens.</span>
</div>
<div class="frame dag" role="group" aria-label="Picture of the workflow">
<svg class="astrum-dag" data-direction="%s" width="%d" height="%d" viewBox="0 0 %d %d">
%s
</svg>
</div></section>]]):format(direction, width, height, width, height, content)
end

local BAR_STATES <const> = { "completed", "failed", "timed_out", "cancelled", "running" }

-- What the colours of the bars mean, of those that are there.
local function legend(states)
  local parts = {}
  for _, state in ipairs(BAR_STATES) do
    if states[state] then
      parts[#parts + 1] = ('<span class="%s">%s</span>'):format(state, (state:gsub("_", " ")))
    end
  end
  return table.concat(parts, "\n")
end

local function times(page)
  local note = ""
  if page.bars_left_out > 0 then
    local form = '<p class="hint">… and %s that are not drawn</p>'
    note = form:format(text.count(page.bars_left_out, "attempt"))
  end
  return ([[
<section class="heavy" aria-labelledby="h-time"><h2 id="h-time">Timeline</h2>
<div class="tools only-script">
<button type="button" id="by-slot" aria-pressed="true">By slot</button>
<button type="button" id="by-task" aria-pressed="false">By task</button>
<label>Stretch <input type="range" id="stretch" min="0" max="7" step="0.25" value="0"></label>
</div>
<p class="skip">The table below has the same times.</p>
<div class="frame timeline" tabindex="0" role="group" aria-label="Timeline">
<div class="chart%s" id="chart" aria-hidden="true">
%s
</div></div>
<p class="legend">%s
<span class="wait">waited in a queue</span><span class="retry">waited for its retry</span>
<span class="hot">on the critical path</span></p>%s
</section>]]):format(
    page.slots > MOST_LANES and " long" or "",
    page.chart,
    legend(page.bar_states),
    note
  )
end

local COLUMNS <const> = {
  { "name", "Task" },
  { "stage", "Stage", "82px" },
  { "status", "Status", "136px" },
  { "attempts", "Attempts", "104px" },
  { "start", "Start", "98px" },
  { "wait", "Waited", "98px" },
  { "duration", "Duration", "106px" },
  { "error", "Error or reason" },
}
local NUMBERS <const> =
  { stage = true, attempts = true, start = true, wait = true, duration = true }

local function row_of(page, id)
  local task = page.view.workflow.tasks[id]
  local entry = page.report:task(page.view.name(id))
  local started = entry.start_time and entry.start_time - page.view.status.wall
  local class = entry.status .. (page.critical[id] and " hot" or "")
  local message = entry.error_message or entry.reason or task.detached and "detached" or ""
  local cells = {
    ('<button type="button" class="mono" data-task="%d">%s</button>'):format(
      id,
      text.line(entry.task_name, 120)
    ),
    tostring(entry.stage_id),
    ('<span class="status">%s</span>'):format(
      entry.reused and text.SIGNS.completed .. " reused" or text.status(entry.status)
    ),
    entry.attempt_count > 0 and tostring(entry.attempt_count) or "–",
    started and text.duration(math.max(0, started)) or "–",
    started and text.duration(entry.wait_duration) or "–",
    started and text.duration(entry.duration) or "–",
    text.line(message, 200),
  }
  local out = { ('<tr class="%s" data-task="%d">'):format(class, id) }
  for position, cell in ipairs(cells) do
    local form = NUMBERS[COLUMNS[position][1]] and '<td class="right">%s</td>' or "<td>%s</td>"
    out[#out + 1] = form:format(cell)
  end
  out[#out + 1] = "</tr>"
  return table.concat(out)
end

local function tasks(page)
  local heads, rows, choices = {}, {}, {}
  for position, column in ipairs(COLUMNS) do
    local form = '<th scope="col"%s%s><button type="button" data-key="%s">%s</button></th>'
    heads[position] = form:format(
      column[3] and (' style="width:%s"'):format(column[3]) or "",
      NUMBERS[column[1]] and ' class="right"' or "",
      column[1],
      column[2]
    )
  end
  for position, id in ipairs(page.ids) do
    rows[position] = row_of(page, id)
  end
  for _, count in ipairs(COUNTS) do
    choices[#choices + 1] = ('<option value="%s">%s</option>'):format(
      count[1],
      text.status(count[1])
    )
  end
  local hidden = #page.view.workflow.tasks - #page.ids
  local note = hidden > 0
      and ('<p class="hint">… and %s, which completed, not shown</p>'):format(
        text.count(hidden, "more task")
      )
    or ""
  return ([[
<section class="heavy" aria-labelledby="h-tasks"><h2 id="h-tasks">Tasks</h2>
<div class="tools only-script">
<input type="search" id="filter" placeholder="Filter by name or error" aria-label="Filter tasks">
<select id="status" aria-label="Status"><option value="">all</option>%s
<option value="critical">◆ critical path</option></select>
<span class="count" id="shown" role="status"></span>
</div>
<div class="table"><table id="tasks"><thead><tr>%s</tr></thead>
<tbody>
%s
</tbody></table></div>
<p class="more-rows only-script"><button type="button" id="more"></button></p>%s
</section>]]):format(table.concat(choices), table.concat(heads), table.concat(rows, "\n"), note)
end

-- --- the page

local POLICY <const> = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; "
  .. "base-uri 'none'; form-action 'none'"

---The page.
---@param report astrum.Report
---@return string
function M.page(report)
  local view = reports.view_of(report)
  local page = { report = report, view = view, critical = {} }
  page.title = text.line(view.workflow.namespace or "workflow", 80)
  page.ids, page.shown = choose(view)
  page.path, page.path_duration = report:critical_path()
  for _, name in ipairs(page.path) do
    page.critical[view.workflow.index[name]] = true
  end
  page.chart, page.slots, page.bars_left_out, page.bar_states =
    timeline.draw(view, page.critical, page.shown)
  local parts = {
    '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">',
    ('<meta http-equiv="Content-Security-Policy" content="%s">'):format(POLICY),
    '<meta name="viewport" content="width=device-width, initial-scale=1">',
    ("<title>%s: %s</title>"):format(page.title, report.execution_state),
    "<style>\n" .. require "astrum.html.style" .. svg.STYLE .. "</style>",
    '</head>\n<body>\n<a class="skip" href="#h-tasks">To the table of tasks</a>',
    head(page),
    "<main>",
    summary(page),
    failures(page),
    critical_path(page),
    '<div class="split"><div class="main">',
    picture(page),
    times(page),
    tasks(page),
    '</div>\n<aside id="details" aria-label="Details of a task" hidden></aside></div>',
    "</main>",
    "<footer>Made by astrum-lua.</footer>",
    '<script type="application/json" id="data">'
      .. data.encode(report, view, page.ids, page.critical)
      .. "</script>",
    "<script>\n" .. require "astrum.html.script" .. "</script>",
    "</body>\n</html>\n",
  }
  return table.concat(parts, "\n")
end

return M
