-- The commands of the prompt: lines that begin with a dot, which no line of Lua does that would
-- make sense.
local core = require "astrum.core"
local errors = require "astrum.error"
local plans = require "astrum.view.plan"
local registries = require "astrum.registry"
local reports = require "astrum.report"
local schedulers = require "astrum.scheduler"
local show = require "astrum.repl.show"
local suggest = require "astrum.suggest"
local terminal = require "astrum.terminal"

core.own()

local M = {}

local quote <const> = errors.quote

local MOST_NAMED <const> = 100 -- tasks of a stage

local function fail(text, help)
  error(errors.new("SchedulerError", help and text .. "\nhelp: " .. help or text), 0)
end

local function say(text)
  io.stdout:write(text, "\n")
end

---@class astrum.ReplCommand
---@field name string
---@field arguments string? as .help shows them
---@field takes string|table|nil what completes an argument: "task", "file", ... or the words
---@field least integer? of arguments
---@field most integer? 0 unless given
---@field help string
---@field more string? what .help tells of it alone
---@field run fun(session: astrum.ReplSession, ...: string)

---@type astrum.ReplCommand[] in the order of .help
local list = {}
local by_name = {}

local function command(given)
  list[#list + 1] = given
  by_name[given.name] = given
end

-- --- what several commands need

local function registry_of(session)
  return registries.namespace(session:namespace())
end

local function record_of(session, name)
  local registry = registry_of(session)
  local record = registry.index[name]
  if not record then
    local names = {}
    for i, other in ipairs(registry.records) do
      names[i] = other.name
    end
    local text = "there is no task " .. quote(name) .. " in namespace "
    fail(text .. quote(registry.namespace), suggest.help(name, names, "tasks"))
  end
  return record
end

local function last_report(session)
  local last = session:last_run()
  if not last then
    local namespace = quote(session:namespace())
    fail("nothing has run in namespace " .. namespace, "enter .run, or run { ... }")
  end
  return last.report
end

-- How standard output looks.
local function style()
  return terminal.options(1, core.terminal)
end

-- Rows in columns; the second one is a state, if `states` says so.
local function aligned(rows, states)
  local color = states and style().color
  local widths, lines = {}, {}
  for _, row in ipairs(rows) do
    for column, text in ipairs(row) do
      widths[column] = math.max(widths[column] or 0, terminal.display_width(text))
    end
  end
  for i, row in ipairs(rows) do
    local cells = {}
    for column, text in ipairs(row) do
      local blank = (" "):rep(widths[column] - terminal.display_width(text))
      local is_state = color and column == 2
      cells[column] = (is_state and terminal.paint_state(states[text] or text, text) or text)
        .. blank
    end
    lines[i] = table.concat(cells, "  "):gsub("%s+$", "")
  end
  return table.concat(lines, "\n")
end

-- Targets and values of params among the words of .run; no targets: all tasks.
local function targets_of(session, words)
  local targets, values = {}, {}
  for _, word in ipairs(words) do
    local name, value = word:match("^([%a_][%w_]*)=(.*)$")
    if name and not registry_of(session).index[word] then
      values[name] = value
    else
      targets[#targets + 1] = record_of(session, word).name
    end
  end
  return #targets > 0 and targets or nil, values
end

-- On a terminal no line is longer than it is wide.
local function say_report(report)
  local width = core.terminal(1) and style().width or nil
  say(report:tostring { color = style().color, width = width })
end

local function finish_run(report)
  rawset(_G, "report", report)
  say_report(report)
end

-- --- commands

command {
  name = "help",
  arguments = "[COMMAND]",
  takes = "command",
  most = 1,
  help = "what the commands do",
  run = function(_, name)
    if name then
      local found = M.find(name)
      say(("usage: .%s %s"):format(found.name, found.arguments or ""):gsub(" $", ""))
      say(found.help)
      if found.more then
        say(found.more)
      end
      return
    end
    local rows = {}
    for i, each in ipairs(list) do
      rows[i] = { "." .. each.name .. (each.arguments and " " .. each.arguments or ""), each.help }
    end
    say(aligned(rows))
    say "Anything else is Lua. astrum, task, F, Ref, run and sleep are globals here."
  end,
}

command {
  name = "tasks",
  arguments = "[PATTERN]",
  takes = "task",
  most = 1,
  help = "the tasks, or those whose names match",
  more = "The pattern is a part of the name, or a pattern of Lua.",
  run = function(session, pattern)
    local rows = {}
    for _, record in ipairs(registry_of(session).records) do
      local ok, found = true, true
      if pattern then
        found = record.name:find(pattern, 1, true)
        if not found then
          ok, found = pcall(string.find, record.name, pattern)
        end
      end
      if ok and found then
        local kept = session.kept[record]
        local status = kept and kept.report:task(record.name).status or "not run"
        rows[#rows + 1] = {
          errors.escape(record.name),
          status,
          errors.escape(record.description or ""),
        }
      end
    end
    say(#rows > 0 and aligned(rows, {}) or "no tasks")
  end,
}

command {
  name = "show",
  arguments = "TASK",
  takes = "task",
  least = 1,
  most = 1,
  help = "a task: declaration, connections, last run",
  run = function(session, name)
    say(show.task(session, registry_of(session), record_of(session, name)))
  end,
}

local FORMATS <const> = { tree = true, dot = true, mermaid = true }

command {
  name = "graph",
  arguments = "[tree|dot|mermaid]",
  takes = FORMATS,
  most = 1,
  help = "what depends on what",
  run = function(session, format)
    format = format or "tree"
    if not FORMATS[format] then
      fail("there is no graph format " .. quote(format), "the formats are: tree, dot, mermaid")
    end
    local scheduler = schedulers.new(session:build(nil, {}), core.clock())
    local draw = scheduler[format]
    if not draw then
      fail("the format " .. quote(format) .. " is not available in this version")
    end
    say((draw(scheduler, format == "tree" and style() or nil):gsub("\n$", "")))
  end,
}

command {
  name = "plan",
  help = "the stages of the tasks, the critical path",
  more = [[
The critical path is the chain of tasks that takes the longest: by how long each
took when it last ran as it is declared now, and by number of tasks before any
has run.]],
  run = function(session)
    local lines = plans.lines(session:build(), {
      width = style().width,
      most = MOST_NAMED,
      seconds = function(task)
        return session:seconds(task)
      end,
    })
    say(table.concat(lines, "\n"))
  end,
}

command {
  name = "run",
  arguments = "[TARGET...]",
  takes = "task",
  most = math.huge,
  help = "run what changed, reuse the other results",
  more = [[
Runs the targets and what they need; without a target all tasks. A task runs
again when its declaration, a param or a result that it takes changed, when an
input is a function, and after a failure. The config and the params are those
of the last run; NAME=VALUE among the targets changes a param. The report is in
the global `report`.]],
  run = function(session, ...)
    local targets, values = targets_of(session, { ... })
    finish_run(session:run(targets, values))
  end,
}

command {
  name = "rerun",
  help = "run the tasks of the last run, all anew",
  run = function(session)
    last_report(session)
    finish_run(session:run(session:last_run().names, nil, true))
  end,
}

command {
  name = "report",
  help = "the report of the last run, and what went wrong in it",
  run = function(session)
    local report = last_report(session)
    say_report(report)
    -- The last lines of the report say how the run ended.
    local text = reports.details(report, { color = style().color })
    if text then
      say(text)
    end
  end,
}

command {
  name = "timeline",
  help = "when the tasks of the last run ran",
  run = function(session)
    say(show.timeline(last_report(session), style()))
  end,
}

command {
  name = "result",
  arguments = "TASK",
  takes = "task",
  least = 1,
  most = 1,
  help = "the last result of a task, or its error",
  run = function(session, name)
    local record = record_of(session, name)
    local kept = session.kept[record]
    if not kept then
      fail("task " .. quote(name) .. " has not run since it was declared", "enter .run " .. name)
    end
    local _, failure = kept.report:result(name)
    if failure ~= nil then
      fail(errors.full_text(failure))
    end
    say(show.result(record, kept.report))
  end,
}

command {
  name = "explain",
  arguments = "[TARGET...]",
  takes = "task",
  most = math.huge,
  help = "why .run would run or reuse each task",
  more = "Nothing is run. NAME=VALUE among the targets is a param, as for .run.",
  run = function(session, ...)
    local targets, values = targets_of(session, { ... })
    local workflow = session:build(targets)
    local decided = session:decide(workflow, session:params(workflow, values))
    local rows = {}
    for i, decision in ipairs(decided) do
      rows[i] = { errors.escape(decision.name), decision.runs and "runs" or "reused", decision.why }
    end
    say(aligned(rows, { runs = "running" }))
  end,
}

command {
  name = "namespace",
  arguments = "[NAME]",
  takes = "namespace",
  most = 1,
  help = "choose the active namespace, or list them",
  run = function(session, name)
    if name then
      session:use(name)
      return
    end
    local active, rows, names = session:namespace(), {}, registries.namespaces()
    if #registries.namespace(active).records == 0 then
      table.insert(names, 1, active)
    end
    for i, each in ipairs(names) do
      local count = #registries.namespace(each).records
      local text = ("%d task%s"):format(count, count == 1 and "" or "s")
      rows[i] = { (each == active and "* " or "  ") .. errors.escape(each), text }
    end
    say(aligned(rows))
  end,
}

command {
  name = "load",
  arguments = "FILE",
  takes = "file",
  least = 1,
  most = 1,
  help = "run a file; its tasks replace earlier ones",
  run = function(_, path)
    local chunk, why = loadfile(path, "t")
    if not chunk then
      fail(why)
    end
    return chunk()
  end,
}

-- The text of a chunk as a statement that others can follow, in its namespace.
local function statement(chunk)
  local text = load(chunk.text, "=text", "t") and chunk.text or "local _ = " .. chunk.text
  if not load(text .. "\nlocal _", "=text", "t") then
    -- It ends with a `return`, which no statement can follow.
    text = ("local _ = (function()\n%s\nend)()"):format(text)
  elseif text:find "^%s*%(" then
    -- What begins with a bracket would call the value of the line above it.
    text = ";" .. text
  end
  if chunk.namespace ~= registries.DEFAULT_NAMESPACE then
    text = ("astrum.use_namespace(%q, function()\n%s\nend)"):format(chunk.namespace, text)
  end
  return text
end

-- Whether a chunk belongs into a script that makes the same tasks.
local function is_worth_keeping(chunk, entry, current)
  if chunk.has_failed then
    return false
  elseif chunk.is_declaration then
    return current[entry] ~= nil
  end
  return chunk.is_statement
end

command {
  name = "save",
  arguments = "FILE",
  takes = "file",
  least = 1,
  most = 1,
  help = "write what was entered as a script",
  more = [[
Leaves out what failed, what was replaced, and expressions that declare nothing.]],
  run = function(session, path)
    local there = not session.saved[path] and io.open(path, "rb")
    if there then
      there:close()
      fail(path .. " is there already", "give the name of a new file")
    end
    local current = {}
    for _, name in ipairs(registries.namespaces()) do
      for _, record in ipairs(registries.namespace(name).records) do
        current[record.entry] = true
      end
    end
    local parts = {
      'local astrum = require "astrum"',
      "local task, F, Ref = astrum.task, astrum.F, astrum.Ref",
      "local run, sleep = astrum.run, astrum.sleep",
      "",
    }
    for entry = 1, session.entry do
      local chunk = session.chunks[entry]
      if chunk and is_worth_keeping(chunk, entry, current) then
        parts[#parts + 1] = statement(chunk)
      end
    end
    local file, why = io.open(path, "wb")
    if not file then
      fail(why)
    end
    local written, problem = file:write(table.concat(parts, "\n"), "\n")
    local closed, late = file:close()
    if not (written and closed) then
      fail(problem or late)
    end
    session.saved[path] = true
  end,
}

command {
  name = "reset",
  help = "forget all tasks and results",
  more = "Variables stay.",
  run = function(session)
    session:reset()
  end,
}

command {
  name = "time",
  arguments = "on|off",
  takes = { on = true, off = true },
  least = 1,
  most = 1,
  help = "tell how long each entry takes, or do not",
  run = function(session, word)
    if word ~= "on" and word ~= "off" then
      fail("on or off is wanted, got " .. quote(word))
    end
    session.is_timed = word == "on"
  end,
}

command {
  name = "quit",
  help = "leave; so does Ctrl-D",
  run = function(session)
    session.is_over = true
  end,
}

-- --- for the prompt

---The names, for completion.
---@return table<string, true>
function M.names()
  local names = {}
  for name in pairs(by_name) do
    names[name] = true
  end
  return names
end

---What completes the arguments of a command.
---@param name string
---@return string|table|nil
function M.argument(name)
  return by_name[name] and by_name[name].takes
end

---The command of a name; one that is not known is an error.
---@param name string with or without its dot
---@return astrum.ReplCommand
function M.find(name)
  local bare = name:gsub("^%.", "")
  local found = by_name[bare]
  if not found then
    local names = {}
    for i, each in ipairs(list) do
      names[i] = each.name
    end
    local nearest = suggest.nearest(bare, names)
    local meant = nearest and "did you mean '." .. nearest .. "'? " or ""
    fail("unknown command " .. quote("." .. bare), meant .. "enter .help for help")
  end
  return found
end

---Whether a line is a command.
---@param line string
---@return boolean
function M.is_command(line)
  return line:find("^%s*%.%a") ~= nil
end

-- The words of a line; one between double quotes may hold blanks.
local function words_of(text)
  local words, rest = {}, text
  while true do
    rest = rest:gsub("^%s+", "")
    if rest == "" then
      return words
    end
    local word, behind = rest:match('^"([^"]*)"(.*)$')
    if not word then
      word, behind = rest:match("^(%S+)(.*)$")
    end
    words[#words + 1], rest = word, behind
  end
end

---Carries out a command. Raises an error for what is wrong.
---@param session astrum.ReplSession
---@param line string
function M.run(session, line)
  local name, rest = line:match("^%s*%.([^%s]*)(.*)$")
  local found, words = M.find(name), words_of(rest)
  if #words < (found.least or 0) or #words > (found.most or 0) then
    local usage = ("usage: .%s %s"):format(found.name, found.arguments or ""):gsub(" $", "")
    fail(usage, "enter .help " .. found.name .. " for more")
  end
  return found.run(session, table.unpack(words))
end

return M
