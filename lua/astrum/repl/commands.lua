-- The commands of the prompt: lines that begin with a dot, which no line of Lua does that would
-- make sense.
local core = require "astrum.core"
local errors = require "astrum.error"
local live = require "astrum.repl.live"
local plans = require "astrum.view.plan"
local registries = require "astrum.registry"
local reports = require "astrum.report"
local saving = require "astrum.repl.saving"
local schedulers = require "astrum.scheduler"
local show = require "astrum.repl.show"
local suggest = require "astrum.suggest"
local terminal = require "astrum.terminal"

core.own()

local M = {}

local quote <const> = errors.quote

local MOST_NAMED <const> = 100 -- tasks of a stage

local ANY_CHARACTER <const> = "[%%z\1-\127\192-\255][\128-\191]*"

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

local function plural(count, noun)
  return ("%d %s%s"):format(count, noun, count == 1 and "" or "s")
end

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

-- A pattern of names as one of Lua: * is any text, ? any character.
local function is_pattern(text)
  return text:find "[*?]" ~= nil
end

-- What tells whether a name fits to a pattern; a text without * and ? is a part of it.
local function matcher(text)
  if not is_pattern(text) then
    return function(name)
      return name:find(text, 1, true) ~= nil
    end
  end
  local pattern = text:gsub("%W", "%%%0"):gsub("%%%*", ".*"):gsub("%%%?", ANY_CHARACTER)
  return function(name)
    return name:find("^" .. pattern .. "$") ~= nil
  end
end

-- Names of the tasks that a word among targets means: that task, or those that fit to a pattern.
local function add_targets(session, targets, word)
  local registry, before = registry_of(session), #targets
  if registry.index[word] or not is_pattern(word) then
    targets[#targets + 1] = record_of(session, word).name
    return
  end
  local fits = matcher(word)
  for _, record in ipairs(registry.records) do
    if fits(record.name) then
      targets[#targets + 1] = record.name
    end
  end
  if #targets == before then
    fail("no task matches " .. quote(word), "enter .tasks to list them")
  end
end

-- Targets among words, without double ones; nil for none, which means all tasks.
local function targets_of(session, words)
  local targets, distinct = {}, {}
  for _, word in ipairs(words) do
    add_targets(session, targets, word)
  end
  for _, name in ipairs(targets) do
    if not distinct[name] then
      distinct[name] = true
      distinct[#distinct + 1] = name
    end
  end
  return #distinct > 0 and distinct or nil
end

-- Targets and values of params among the words of .run.
local function goals_of(session, words)
  local targets, values = {}, {}
  for _, word in ipairs(words) do
    local name, value = word:match("^([%a_][%w_]*)=(.*)$")
    if name and not registry_of(session).index[word] then
      values[name] = value
    else
      targets[#targets + 1] = word
    end
  end
  return targets_of(session, targets), values
end

-- On a terminal no line is longer than it is wide.
local function say_report(report)
  local width = core.terminal(1) and style().width or nil
  say(report:tostring { color = style().color, width = width })
end

-- Runs tasks, and shows how far they are and what they came to.
local function run_tasks(session, ...)
  local report
  do
    local _ <close> = live.begin()
    report = session:run(...)
  end
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
    say "Anything else is Lua. astrum, task, F, Ref, run and sleep are globals; the rest"
    say "of the library is in astrum, as astrum.spawn."
  end,
}

command {
  name = "tasks",
  arguments = "[PATTERN]",
  takes = "task",
  most = 1,
  help = "the tasks, or those whose names match",
  more = [[
In the pattern * is any text and ? any character, as in load_* or *.csv. One
without them is a part of the name.]],
  run = function(session, pattern)
    local registry, rows = registry_of(session), {}
    local fits = matcher(pattern or "")
    for _, record in ipairs(registry.records) do
      if fits(record.name) then
        local kept = session.kept[record]
        local status = kept and kept.report:task(record.name).status or "not run"
        rows[#rows + 1] = {
          errors.escape(record.name),
          status,
          errors.escape(record.description or ""),
        }
      end
    end
    if #rows > 0 then
      say(aligned(rows, {}))
    elseif pattern and #registry.records > 0 then
      say("no task matches " .. quote(pattern))
    else
      say("no tasks in namespace " .. quote(registry.namespace))
    end
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

local FORMATS <const> = { "tree", "dot", "mermaid", "svg" }

local function check_format_or_task(session, word)
  local records = registry_of(session).records
  local names = table.move(FORMATS, 1, #FORMATS, 1, {})
  for _, record in ipairs(records) do
    names[#names + 1] = record.name
  end
  if not is_pattern(word) and not registry_of(session).index[word] then
    local nearest = suggest.nearest(word, names)
    local help = nearest and "did you mean " .. quote(nearest) .. "?"
    fail(
      quote(word) .. " is neither a format of .graph nor a task",
      help or "the formats are: " .. table.concat(FORMATS, ", ")
    )
  end
end

command {
  name = "graph",
  arguments = "[FORMAT] [TARGET...]",
  takes = "graph",
  most = math.huge,
  help = "what depends on what",
  more = [[
The formats are tree, dot, mermaid and svg. With targets only those and what
they need. For a file: astrum-lua --graph=svg FILE.lua > FILE.svg]],
  run = function(session, first, ...)
    local format, words = "tree", { first, ... }
    for _, each in ipairs(FORMATS) do
      if first == each then
        format = table.remove(words, 1)
        break
      end
    end
    if words[1] then
      check_format_or_task(session, words[1])
    end
    local workflow = session:look(targets_of(session, words))
    local scheduler = schedulers.new(workflow, core.clock())
    local text = scheduler[format](scheduler, format == "tree" and style() or nil)
    say((text:gsub("\n$", "")))
  end,
}

command {
  name = "plan",
  arguments = "[TARGET...]",
  takes = "task",
  most = math.huge,
  help = "the stages of the tasks, the critical path",
  more = [[
The critical path is the chain of tasks that takes the longest: by how long each
took when it last ran as it is declared now, and by number of tasks before any
has run. With targets only those and what they need.]],
  run = function(session, ...)
    local lines = plans.lines(session:look(targets_of(session, { ... })), {
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
input is a function, and after a failure. A target may be a pattern, as for
.tasks. The config and the params are those of the last run, as in
run { config = { pools = { db = 2 } } }; NAME=VALUE among the targets changes a
param. The report is in the global `report`.]],
  run = function(session, ...)
    local targets, values = goals_of(session, { ... })
    run_tasks(session, targets, values)
  end,
}

command {
  name = "rerun",
  help = "run the tasks of the last run, all anew",
  run = function(session)
    last_report(session)
    run_tasks(session, session:last_run().names, nil, true)
  end,
}

command {
  name = "report",
  help = "the report of the last run; what went wrong in it",
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
    local targets, values = goals_of(session, { ... })
    local workflow = session:look(targets)
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
      local count = #registries.namespace(name).records
      local text = count > 0 and plural(count, "task") or "new, empty"
      say(("namespace %s: %s"):format(errors.escape(name), text))
      return
    end
    local active, rows, names = session:namespace(), {}, registries.namespaces()
    if #registries.namespace(active).records == 0 then
      table.insert(names, 1, active)
    end
    for i, each in ipairs(names) do
      local text = plural(#registries.namespace(each).records, "task")
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
  run = function(session, path)
    local chunk, why = loadfile(path, "t")
    if not chunk then
      fail(why)
    end
    session:remember { text = ("dofile(%q)"):format(path), file = path, is_statement = true }
    return chunk()
  end,
}

command {
  name = "save",
  arguments = "FILE",
  takes = "file",
  least = 1,
  most = 1,
  help = "write what was entered as a script",
  more = [[
The script makes the same tasks. It runs the files that the session has loaded,
and leaves out what failed, what was replaced, and expressions that declare
nothing. A file that was there before is not written over.]],
  run = function(session, path)
    local there = not session.saved[path] and io.open(path, "rb")
    if there then
      there:close()
      fail(path .. " is there already", "give the name of a new file")
    end
    local script = saving.script(session)
    if saving.runs(script, path) then
      fail("the tasks of " .. path .. " are a part of this session", "give the name of a new file")
    end
    local loads, problem = load(script.text, "=" .. errors.escape(path), "t")
    if not loads then
      fail("nothing is saved, as it could not be loaded: " .. problem)
    end
    local written, why = require("astrum.console").write_file(path, script.text)
    if not written then
      fail(why)
    end
    session.saved[path] = true
    say(saving.told(script, path))
  end,
}

command {
  name = "reset",
  help = "forget all tasks and results",
  more = "Variables stay.",
  run = function(session)
    local count = 0
    for _, name in ipairs(registries.namespaces()) do
      count = count + #registries.namespace(name).records
    end
    session:reset()
    say("forgotten: " .. plural(count, "task"))
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

---Of .graph.
M.FORMATS = FORMATS

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

-- What other prompts call them.
local OTHER_NAMES <const> = { exit = "quit", bye = "quit", ls = "tasks", cd = "namespace" }

---The name of the command that a word means, if it means one.
---@param word string
---@return string?
function M.named(word)
  return by_name[word] and word or OTHER_NAMES[word]
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
    local nearest = OTHER_NAMES[bare] or suggest.nearest(bare, names)
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

---Whether a line is one of the commands that there are, and not the rest of an expression.
---@param line string
---@return boolean
function M.is_known(line)
  local name = line:match "^%s*%.(%a+)%f[%s\0]"
  return by_name[name] ~= nil
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
