-- What went wrong in a run, as text for people: the task that failed, its attempts, its inputs, the
-- user's lines that led to the error, and what did not run because of it. All of it is read from
-- the records when somebody asks, so a run that completes pays nothing.
local core = require "astrum.core"
local errors = require "astrum.error"
local excerpt = require "astrum.excerpt"
local failures = require "astrum.failure"
local hints = require "astrum.hint"
local messages = require "astrum.report.messages"
local secret = require "astrum.secret"
local terminal = require "astrum.terminal"
local traces = require "astrum.traceback"
local values = require "astrum.report.inputs"

core.own()

local M = {}

local quote <const> = errors.quote

local MOST_FAILURES <const> = 10
local MOST_ATTEMPTS <const> = 5
local MOST_FRAMES <const> = 20
local MOST_NAMES <const> = 10
local TEXT_WIDTH <const> = 200
local DEEPEST <const> = 64

-- Lines of text that grow; `paint` colours a part where there is colour.
local function new_page(style)
  local page = { lines = {}, style = style }
  function page.paint(color, text)
    return style.color and terminal.paint(color, text) or text
  end
  function page.add(line)
    page.lines[#page.lines + 1] = line
  end
  return page
end

-- Text of the user's, safe on a terminal, which may have several lines.
local function safe(page, text)
  local lines = {}
  for line in excerpt.lines(text:match "^.*%S" or "", page.style) do
    lines[#lines + 1] = line
  end
  return table.concat(lines, "\n")
end

-- Calls `add(page, ...)`. Values of the user's have methods, which may do anything; what could not
-- be shown is named.
local function add_part(page, what, add, ...)
  local count = #page.lines
  local ok, why = pcall(add, page, ...)
  if not ok then
    table.move(page.lines, #page.lines + 1, 2 * #page.lines - count, count + 1)
    page.add(what .. " could not be shown: " .. safe(page, failures.text(why)))
  end
end

-- The first line of such a text, of a length that can be read at a glance.
local function short(page, text)
  return terminal.cut(safe(page, text:match "^[^\n]*"), TEXT_WIDTH, page.style.more)
end

-- --- where

-- The place in front of a text, if it is in one of the user's files that are known to have to do
-- with the error: an error may say anything, and names a file of others as easily. What raised the
-- error anew may have put a place of its own before; the last one is given.
local function place_in_text(text, sources)
  local found, number
  local at = 1
  local function pass(source)
    local first = "^" .. source:gsub("%W", "%%%0") .. ":(%d+): ()"
    local line, behind = text:match(first, at)
    if line then
      found, number, at = sources[source], math.tointeger(tonumber(line)), behind
    end
    return line
  end
  local again = true
  while again do
    again = false
    for source in pairs(sources) do
      again = pass(source) or again
    end
  end
  return found, number
end

-- Where the user's code was when an error was raised.
local function place_of(place, text, frames)
  local sources, first, first_line = {}, nil, nil
  local function know(source)
    sources[source], sources[errors.escape(source)] = source, source
  end
  local record = place.task.record or {}
  if record.source and record.source ~= "?" then
    know(record.source)
  end
  for _, frame in ipairs(frames) do
    local source, line = traces.place(frame)
    if source then
      know(source)
      if not first then
        first, first_line = source, line
      end
    end
  end
  local source, line = place_in_text(text:gsub("^in its `when`: ", ""), sources)
  if source then
    return source, line
  end
  return first, first_line
end

-- The line where the error was raised, with carets if it is known what is wrong in it.
local function excerpt_of(page, place)
  local failure = place.failure
  local text = messages.text(failure)
  local source, line = failure.source, failure.line
  local marks = failures.marks(failure)
  if not source then
    local frames = failure.traceback and traces.frames(failure.traceback) or {}
    source, line = place_of(place, text, frames)
    local name = hints.name(text)
    marks = name and { { name = name, form = "name" } }
  end
  local ascii = page.style.ascii
  local shown = line and excerpt.line(source, line, ascii)
  -- A mistake of a declaration brings its line with it.
  if shown and not text:find(shown, 1, true) then
    page.add(marks and excerpt.of(source, line, marks, ascii) or shown)
  end
  local help = hints.help(text)
  if help then
    page.add("help: " .. help)
  end
end

-- Names the frame of a function of the task, which is called from the library: the outermost one
-- whose line is inside of it.
local function name_frame(frames, fn, what)
  if type(fn) ~= "function" then
    return
  end
  local source, first, last = core.definition(fn)
  for i = #frames, 1, -1 do
    local at, line = traces.place(frames[i])
    if at == source and line and line >= first and line <= last then
      frames[i] = ("%s:%d: in %s"):format(at, line, what)
      return
    end
  end
end

-- Frames that come one after the other become one, with how often they came.
local function folded(frames)
  local lines, counts = {}, {}
  for _, frame in ipairs(frames) do
    if frame == lines[#lines] then
      counts[#lines] = counts[#lines] + 1
    else
      lines[#lines + 1] = frame
      counts[#lines] = 1
    end
  end
  for i, count in ipairs(counts) do
    if count > 1 then
      lines[i] = ("%s (%d times)"):format(lines[i], count)
    end
  end
  return lines
end

local function trace_of(page, place, failure)
  local frames = failure.traceback and traces.frames(failure.traceback) or {}
  if #frames == 0 then
    return
  end
  local record, name = place.task.record or {}, quote(place.task.name)
  if failure.in_condition then
    name_frame(frames, record.when and record.when.fn, "the `when` of " .. name)
  else
    name_frame(frames, record.run, "the body of " .. name)
  end
  local lines = folded(frames)
  local waited = failure.kind == "TaskTimeoutError"
  page.add(page.paint("dim", waited and "it was at:" or "traceback:"))
  for i = 1, math.min(#lines, MOST_FRAMES) do
    page.add("  " .. short(page, lines[i]))
  end
  if #lines > MOST_FRAMES then
    page.add("  and " .. #lines - MOST_FRAMES .. " more")
  end
end

-- --- attempts

-- Why there were not all the attempts that its retries allow.
local function why_no_more(place, failure, attempts)
  if failure.kind == "FieldError" or failure.kind == "TypeMatchError" then
    return "not retried: its inputs would be the same"
  elseif failure.in_condition then
    return "not retried: `when` is asked only once"
  elseif place.task.policy.retry_on and messages.was_refused(place.view, attempts) then
    return "not retried: its `retry.on` returned false or nil"
  end
  local data = place.view.data
  while data and data.parent do
    data = data.parent
  end
  local limit = data and data.workflow.settings.max_total_attempts
  return limit and "not retried: the run has used its max_total_attempts of " .. limit
    or "not retried"
end

-- " at attempt 3 of 3", and why not more if it could have had more.
local function attempt_text(place, failure, attempts)
  local total = place.task.policy.retry + 1
  if #attempts == 0 or total == 1 then
    return ""
  end
  local text = (" at attempt %d of %d"):format(#attempts, total)
  return #attempts < total and text .. ", " .. why_no_more(place, failure, attempts) or text
end

-- The errors of the attempts before the last one.
local function earlier_attempts(page, attempts)
  local count = #attempts - 1
  if count < 1 then
    return
  end
  local last = messages.of_attempt(attempts[#attempts])
  local are_same = true
  for i = 1, count do
    are_same = are_same and messages.of_attempt(attempts[i]) == last
  end
  if are_same then
    page.add(
      count == 1 and "the attempt before failed with the same error"
        or ("the %d attempts before failed with the same error"):format(count)
    )
    return
  end
  page.add(page.paint("dim", "earlier attempts:"))
  local first = math.max(1, count - MOST_ATTEMPTS + 1)
  if first > 1 then
    page.add(("  %s %d more"):format(page.style.more, first - 1))
  end
  for i = first, count do
    local text = messages.of_attempt(attempts[i]) or ""
    page.add(("  %d: %s"):format(i, text == last and "the same" or short(page, text)))
  end
end

-- --- what else came of it

-- What is said of tasks that did not run to their end: when a task is to blame, and when it is the
-- run.
local SAID <const> = {
  { "cancelled", "cancelled because of it", "stopped while it ran" },
  {
    "waiting",
    "cancelled because of it, before its next attempt",
    "stopped before its next attempt",
  },
  { "skipped", "not run because of it", "never started" },
  { "apart", "not started, as the run stopped at the first failure" },
}

-- Of one of those lists so many names are shown, and how many there are.
local function count_in(lists, blame, kind, id)
  local list = lists[blame]
  if not list then
    list = {}
    lists[blame] = list
  end
  local ids = list[kind]
  if not ids then
    ids = { count = 0 }
    list[kind] = ids
  end
  ids.count = ids.count + 1
  if #ids < MOST_NAMES then
    ids[#ids + 1] = id
  end
end

-- The tasks below one, directly or not, that did not run.
local function skipped_below(view, id)
  local below, queue, first = {}, { id }, 1
  while queue[first] do
    for _, other in ipairs(view.workflow.graph:downstream(queue[first])) do
      if not below[other] and view.run:state(other) == "skipped" then
        below[other] = true
        queue[#queue + 1] = other
      end
    end
    first = first + 1
  end
  return below
end

-- The attempt that failed before a task was cancelled which waited for its next one.
local function last_failed(view, id)
  local attempts = view.run:attempts(id)
  local last = attempts[#attempts]
  return last and last.will_retry and last or nil
end

-- Whether a task stands for a result of an earlier run.
local function is_reused(view, id)
  return not view.workflow.store and view.workflow.tasks[id].record.is_reused
end

local OF_THE_RUN <const> =
  { request = true, parent = true, deadline = true, stuck = true, memory = true }

-- By id of the task that is to blame, 0 for the run, what did not run to its end.
local function consequences(view)
  local lists, below = {}, {} -- by the task that is to blame
  if view.status.skipped + view.status.cancelled == 0 then
    return lists
  end
  for id in messages.each_unusual(view) do
    local state, cause, blame = view.run:outcome(id)
    local kind = (state == "skipped" or state == "cancelled") and state or nil
    if OF_THE_RUN[cause] then
      blame = 0
    elseif cause == "failure" then
      blame = blame or view.status.blame or 0
    elseif cause ~= "upstream" and cause ~= "trigger" then
      kind = nil
    end
    if kind and is_reused(view, id) then
      kind = nil
    end
    if kind == "cancelled" and last_failed(view, id) then
      kind = "waiting"
    elseif kind == "skipped" and cause == "failure" and blame ~= 0 then
      below[blame] = below[blame] or skipped_below(view, blame)
      kind = below[blame][id] and kind or "apart"
    end
    if kind and blame then
      count_in(lists, blame, kind, id)
    end
  end
  return lists
end

local function names_of(view, ids)
  local names = {}
  for i, id in ipairs(ids) do
    names[i] = errors.escape(view.name(id))
  end
  local more = ids.count - #ids
  return table.concat(names, ", ") .. (more > 0 and " and " .. more .. " more" or "")
end

-- What the last attempts of tasks said that waited for their next one.
local function add_last_errors(page, view, ids, indent)
  for _, id in ipairs(ids) do
    local last = last_failed(view, id)
    local text = ("  %s: attempt %d of %d failed: "):format(
      errors.escape(view.name(id)),
      last.attempt,
      view.workflow.tasks[id].policy.retry + 1
    )
    page.add(indent .. text .. short(page, messages.of_attempt(last) or ""))
  end
end

-- Where the bodies were that were stopped with the run.
local function add_places(page, view)
  for _, stopped in ipairs(view.data and view.data.stopped or {}) do
    local task = view.workflow.tasks[stopped.id]
    local frames = stopped.traceback and traces.frames(stopped.traceback) or {}
    name_frame(frames, (task.record or {}).run, "its body")
    for _, frame in ipairs(frames) do
      local source, line = traces.place(frame)
      if source then
        local name = errors.escape(view.name(stopped.id))
        name = stopped.item > 0 and name .. "[" .. stopped.item .. "]" or name
        page.add("  " .. name .. " was at " .. short(page, frame:gsub(": in ", ", in ", 1)))
        if #view.data.stopped == 1 then
          page.add(excerpt.line(source, line, page.style.ascii))
        end
        break
      end
    end
  end
end

local function add_consequences(page, view, lists, form, indent)
  indent = indent or ""
  for _, said in ipairs(SAID) do
    local ids = lists and lists[said[1]]
    if ids then
      local text = page.paint("dim", said[form or 2] .. ":")
      page.add(indent .. text .. " " .. names_of(view, ids))
      if said[1] == "waiting" then
        add_last_errors(page, view, ids, indent)
      elseif said[1] == "cancelled" and form == 3 then
        add_places(page, view)
      end
    end
  end
end

-- --- which task

---@class astrum.FailurePlace a task that failed, or an item of one
---@field view table of its run
---@field id integer
---@field item integer?
---@field task table of the workflow
---@field path string
---@field failure any its error

local function place_at(view, id, before)
  local failure = view.run:error(id)
  local item = type(failure) == "table" and failure.item or nil
  local label = item and view.name(id) .. "[" .. item .. "]" or view.name(id)
  return {
    view = view,
    id = id,
    item = item,
    task = view.workflow.tasks[id],
    path = before and before .. "/" .. label or label,
    failure = failure,
  }
end

-- Whether a task failed and nothing made up for it.
local function has_failed(view, id)
  local state = view.run:state(id)
  return (state == "failed" or state == "timed_out") and not view.run:record(id).handled
end

-- Ids of the tasks that failed; the one that ended the run comes first.
local function failed_ids(view)
  local ids, first = {}, view.status.blame
  if first and has_failed(view, first) then
    ids[1] = first
  end
  if #ids == view.status.failed + view.status.timed_out then
    return ids
  end
  for id in messages.each_unusual(view) do
    if id ~= ids[1] and has_failed(view, id) then
      ids[#ids + 1] = id
    end
  end
  return ids
end

-- The places from a task to the one inside that is to blame, innermost first.
local function way_in(view, id, view_inside)
  local places = { place_at(view, id) }
  while #places < DEEPEST do
    local outer = places[1]
    local inside = view_inside(outer)
    local ids = inside and failed_ids(inside) or {}
    if not ids[1] then
      break
    end
    table.insert(places, 1, place_at(inside, ids[1], outer.path))
  end
  return places
end

-- --- blocks

local function title(page, place, attempts, is_inside)
  local record = place.task.record or {}
  local text = "task " .. quote(place.path)
  if record.source and record.source ~= "?" then
    text = text .. " (" .. errors.where(record.source, record.line) .. ")"
  end
  local timed_out = type(place.failure) == "table" and place.failure.kind == "TaskTimeoutError"
  text = text .. (timed_out and " timed out" or " failed")
  text = is_inside and text .. " because of it" or text
  return page.paint("red", text .. attempt_text(place, place.failure, attempts))
end

local function attempts_of(place)
  return place.view.run:attempts(place.id, place.item)
end

-- All that is known of a task that failed.
local function whole_block(page, place)
  local failure, attempts = place.failure, attempts_of(place)
  page.add("")
  page.add(title(page, place, attempts))
  if type(failure) == "table" then
    add_part(page, "the line", excerpt_of, place)
  end
  add_part(page, "the attempts", earlier_attempts, attempts)
  add_part(page, "the inputs", values.add, place)
  if type(failure) == "table" then
    add_part(page, "the traceback", trace_of, place, failure)
  end
end

-- The task that is to blame, then those around it.
local function first_block(page, places, lists)
  whole_block(page, places[1])
  for i = 2, #places do
    local inside, place = places[i - 1], places[i]
    add_consequences(page, inside.view, consequences(inside.view)[inside.id])
    page.add("")
    page.add(title(page, place, attempts_of(place), true))
    add_part(page, "the inputs", values.add, place)
  end
  add_consequences(page, places[#places].view, lists)
end

-- Of tasks that failed beside the first one.
local function short_blocks(page, view, ids, lists)
  if #ids < 2 then
    return
  end
  page.add("")
  local count = #ids - 1
  local text = count == 1 and "1 more task failed:" or count .. " more tasks failed:"
  page.add(page.paint("red", text))
  for i = 2, math.min(#ids, MOST_FAILURES + 1) do
    local place = place_at(view, ids[i])
    page.add("  " .. errors.escape(place.path) .. ": " .. short(page, messages.text(place.failure)))
    add_consequences(page, view, lists[ids[i]], 2, "    ")
  end
  if count > MOST_FAILURES then
    page.add(("  and %d more"):format(count - MOST_FAILURES))
  end
end

-- What to do about a run that ended for a reason of its own.
local HELP <const> = {
  deadline = "give the run a longer deadline, or what may be slow a timeout",
  stuck = "an astrum.await ends when its `done` is called, and nothing that could call it is left",
}

---The text, or nil for a run that completed or is not over.
---@param view table
---@param headline string? what comes first; nil: it has been told
---@param view_inside fun(place: astrum.FailurePlace): table? the view of the run inside a task
---@param given? { color?: boolean, unicode?: boolean }
---@return string?
function M.text(view, headline, view_inside, given)
  local state = view.status.state
  if state ~= "failed" and state ~= "cancelled" then
    return nil
  end
  local unicode = given and given.unicode
  if unicode == nil then
    unicode = terminal.unicode()
  end
  local style = { color = given and given.color, ascii = not unicode }
  style.more = unicode and "…" or "..."
  local page = new_page(style)
  if headline then
    page.add(safe(page, headline))
  end
  local lists, ids = consequences(view), failed_ids(view)
  if ids[1] then
    first_block(page, way_in(view, ids[1], view_inside), lists[ids[1]])
  end
  short_blocks(page, view, ids, lists)
  if lists[0] then
    page.add("")
    add_consequences(page, view, lists[0], 3)
    if HELP[view.status.cause] then
      page.add("help: " .. HELP[view.status.cause])
    end
  end
  local text = table.concat(page.lines, "\n")
  return view.data and secret.hide(view.data, text) or text
end

return M
