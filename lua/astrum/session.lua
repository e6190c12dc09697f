-- What the command line asks of the workflows of a program: looks in place of runs, values of
-- params, limits, and what is written of each run. bindings/main.c calls `begin` before the program
-- and `finish` at its end, when something is asked for. Nothing more is loaded than that needs.
local core = require "astrum.core"
local errors = require "astrum.error"

core.own()

local M = {}

-- A script may replace them.
local exit <const> = os.exit
local require <const> = require
local traceback <const> = debug.traceback
local stdout <const> = io.stdout
local stderr <const> = io.stderr

local quote <const> = errors.quote

local session

local function refuse(text, help)
  error(errors.new("ConfigError", help and text .. "\nhelp: " .. help or text), 0)
end

-- Prints what went wrong where no error can be raised, and returns the exit code.
local function tell(e)
  stdout:flush()
  stderr:write(session.command.name, ": ", errors.full_text(e), "\n")
  return require("astrum.cli").exit_code(e)
end

local function with_traceback(e)
  return errors.is_error(e) and e or traceback(tostring(e), 2)
end

-- Ends the process. No script can catch that.
local function leave(code)
  session.is_over = true
  stdout:flush()
  if session.data then
    session.data:flush()
  end
  exit(code, true)
end

-- --- looks

local function look(running, given)
  local show, command = require("astrum.look").show, session.command
  local ok, code =
    xpcall(show, with_traceback, command, running, given, session.data, session.style)
  return ok and code or tell(code)
end

-- --- targets

-- The registries that have a target, with the targets of each. Raises when one is nowhere.
local function select_targets(targets, registries)
  local names, chosen, places = {}, {}, {}
  for _, registry in ipairs(registries) do
    for _, record in ipairs(registry.records) do
      names[#names + 1] = record.name
      places[record.name] = places[record.name] or {}
      table.insert(places[record.name], registry)
    end
  end
  for _, target in ipairs(targets) do
    if not places[target] then
      local help = require("astrum.suggest").help(target, names, "tasks")
      refuse("--run: there is no task " .. quote(target), help)
    end
    for _, registry in ipairs(places[target]) do
      chosen[registry] = chosen[registry] or {}
      table.insert(chosen[registry], target)
    end
  end
  return chosen
end

---@class astrum.ProgramPart a namespace of the program
---@field registry astrum.Registry|table
---@field targets string[]? nil: all
---@field workflow astrum.Workflow? as the program has built it
---@field given table? params that the program gave where it runs it

---The namespaces that a look or a run is about: those of the hub, and what the program is running.
---@param command astrum.Command
---@param running astrum.Workflow?
---@return astrum.ProgramPart[]
function M.parts(command, running)
  local registries = require("astrum.registry").with_tasks()
  local source = running and running.source
  local is_listed = source == nil
  for _, registry in ipairs(registries) do
    is_listed = is_listed or registry == source
  end
  if not is_listed then
    registries[#registries + 1] = source
  end
  if #registries == 0 then
    refuse("no task is declared", 'a script declares tasks with require("astrum").task')
  end
  local chosen = command.targets and select_targets(command.targets, registries)
  local parts = {}
  for _, registry in ipairs(registries) do
    if not chosen or chosen[registry] then
      parts[#parts + 1] = {
        registry = registry,
        targets = chosen and chosen[registry],
        workflow = not chosen and registry == source and running or nil,
      }
    end
  end
  return parts
end

-- Builds all there is to run before any of it runs.
local function run_parts(running)
  session.runs_targets, session.asked.what = true, "--run"
  local build, schedulers = require "astrum.build", require "astrum.scheduler"
  local built = {}
  for i, part in ipairs(M.parts(session.command, running)) do
    local began = core.clock()
    local config = running and running.source == part.registry and running.config or nil
    local given = { target_tasks = part.targets, config = config }
    built[i] = schedulers.new(build.build(part.registry, given), began)
  end
  for _, scheduler in ipairs(built) do
    scheduler:execute()
  end
end

-- --- params

local function all_params(workflow)
  local params, registries = require "astrum.param", require "astrum.registry"
  local names, found = {}, {}
  local function add(name)
    if not found[name] then
      found[name] = true
      names[#names + 1] = name
    end
  end
  for name in pairs(workflow and workflow.params or {}) do
    add(name)
  end
  for _, registry in ipairs(registries.all()) do
    local declared = params.collect(registry.records, function() end)
    for name in pairs(declared) do
      add(name)
    end
  end
  table.sort(names)
  return names, found
end

-- Raises for names that no registry declares; only what is declared by now counts.
local function check_names(workflow)
  if session.checked or next(session.command.set) == nil then
    return
  end
  local names, found = all_params(workflow)
  local unknown = {}
  for name in pairs(session.command.set) do
    if not found[name] then
      unknown[#unknown + 1] = name
    end
  end
  table.sort(unknown)
  if unknown[1] then
    local help = require("astrum.suggest").help(unknown[1], names, "params")
    refuse("--set: no task takes a param " .. quote(unknown[1]), help)
  end
  session.checked = true
end

---The values that --set gives to the params of a workflow.
---@param workflow astrum.Workflow
---@return table<string, any>
function M.set_values(workflow)
  check_names(workflow)
  local texts = {}
  for name, text in pairs(session.command.set) do
    if workflow.params[name] then
      texts[name] = text
      session.taken[name] = true
    end
  end
  return require("astrum.param").parse(workflow.params, texts, "--set")
end

local function params_of(workflow, given)
  local ok, values = pcall(M.set_values, workflow)
  if not ok then
    -- The command line is wrong, not the script: it is not the script's to catch.
    leave(tell(values))
  end
  if next(values) == nil or given ~= nil and type(given) ~= "table" then
    return given
  end
  for name, value in pairs(given or {}) do
    if values[name] == nil then
      values[name] = value
    end
  end
  return values
end

-- --- runs

-- Refuses files that could not be written, before the work is done that they are to tell of.
local function check_files()
  local command = session.command
  for _, option in ipairs { "html", "trace" } do
    if command[option] and not session.files_checked then
      local ok, why = require("astrum.console").check_file(command[option])
      if not ok then
        refuse("--" .. option .. ": " .. why .. "; nothing has run")
      end
    end
  end
  session.files_checked = true
end

local function before(workflow, given)
  if session.is_over then
    errors.raise("SchedulerError", "the program is ending; nothing can be run any more")
  elseif session.command.looks[1] then
    leave(look(workflow, given))
  elseif session.command.targets and not session.runs_targets then
    local ok, e = pcall(run_parts, workflow)
    local code = ok and 0 or tell(e)
    core.drain()
    leave(code ~= 0 and code or session.code)
  end
  local ok, e = pcall(check_files)
  if not ok then
    leave(tell(e))
  end
end

local function write_file(path, text)
  local ok, why = require("astrum.console").write_file(path, text)
  if not ok then
    stdout:flush()
    stderr:write(session.command.name, ": ", why, "\n")
    session.code = 1
  end
end

-- The file of a run: the second one's has a 2 before the ending of its name.
local function numbered(path, number)
  if number == 1 then
    return path
  end
  local folder, name = path:match "^(.*/)([^/]*)$"
  folder, name = folder or "", name or path
  local stem, ending = name:match "^(.+)(%.[^.]*)$"
  return folder .. (stem or name) .. "-" .. number .. (ending or "")
end

local function write_data(data, text)
  local ok, why = data:write(text, "\n")
  if ok then
    ok, why = data:flush()
  end
  if not ok then
    stderr:write(session.command.name, ": cannot write to standard output: ", why, "\n")
    session.code = 1
  end
end

local function write_report(report)
  local command, data = session.command, session.data or stdout
  session.written = session.written + 1
  if command.html then
    write_file(numbered(command.html, session.written), report:html())
  end
  if command.trace then
    write_file(numbered(command.trace, session.written), report:trace())
  end
  if command.report == "json" then
    write_data(data, report:json())
  elseif command.report then
    local width = core.terminal(1) and session.style.width or nil
    write_data(data, report:tostring { color = session.style.color, width = width })
  end
end

-- Whether failures are explained where a run ends. The lines of the log are for programs.
local function explains()
  return session.command.run and session.command.log ~= "json"
end

local function started(data)
  session.started = session.started + 1
  if session.progress then
    return session.progress:watch(data, explains() and not data.keep_going)
  end
end

local function explain_failure(data, report)
  local explanation
  if session.command.run and not report:ok() then
    session.code = 1
    if explains() then
      explanation = require("astrum.report").tell(report)
    end
  end
  if session.progress then
    session.progress:ended(data, explanation)
  elseif explanation then
    stdout:flush()
    stderr:write(explanation, "\n")
  end
end

-- Whatever goes wrong with one of them, the other is done.
local function ended(data, report)
  for _, act in ipairs { explain_failure, write_report } do
    local ok, e = xpcall(act, with_traceback, act == write_report and report or data, report)
    if not ok then
      tell(e)
      session.code = 1
    end
  end
end

-- --- program

-- Progress is shown when asked for, and to those who ask for a run, unless a program reads the log.
local function wanted_progress(command)
  local choice = command.progress or command.run and command.log ~= "json" and "auto" or "none"
  if choice == "none" then
    return nil
  end
  return require("astrum.progress").new(choice)
end

local function check_together(command)
  local look_given = command.looks[1]
  -- With targets, --run says what to look at.
  local about_runs = command.needs_run or command.run and not command.targets and "--run"
  for _, asked in ipairs(command.looks) do
    if asked.what ~= "dry-run" and about_runs then
      local text = about_runs .. " is about runs, and " .. asked.option .. " runs nothing"
      refuse(text, "leave one of them out")
    end
  end
  if look_given and command.interactive then
    refuse(look_given.option .. " ends the program, so -i has no effect", "leave one of them out")
  end
end

---Prepares what the command line asks for. Raises a ConfigError for options that exclude each
---other.
---@param command astrum.Command
---@return integer exit code, 0 to go on
function M.begin(command)
  session = {
    command = command,
    taken = {},
    code = 0,
    started = 0,
    written = 0,
  }
  check_together(command)
  if command.color then
    require("astrum.terminal").set_color(command.color)
  end
  if command.log then
    require("astrum.log").form = command.log
  end
  session.style = require("astrum.terminal").options(1, core.terminal)
  session.progress = not command.looks[1] and wanted_progress(command) or nil
  if command.looks[1] or command.report == "json" then
    local why
    session.data, why = require("astrum.console").divert()
    if not session.data then
      local text = "cannot write to standard output: " .. why
      error(errors.new("SchedulerError", text, { of_run = true }), 0)
    end
  end
  if command.looks[1] then
    require("astrum.scheduler").be_quiet()
  end
  session.asked = {
    before = before,
    params = params_of,
    watches = session.progress and function(workflow)
      return session.progress:wants(workflow)
    end,
    started = started,
    ended = ended,
    concurrency = command.concurrency,
    keep_going = command.keep_going,
  }
  require("astrum.run").set_command(session.asked)
  return 0
end

-- Raises for what was asked for and came to nothing.
local function check_used(command)
  if command.needs_run and session.started == 0 then
    local text = command.needs_run .. ": the program runs no workflow"
    refuse(text, not command.run and "add --run to run the tasks that it declares" or nil)
  end
  for _, name in ipairs((all_params())) do
    if command.set[name] ~= nil and not session.taken[name] then
      refuse("--set: no run took the param " .. quote(name), "add --run, or run its namespace")
    end
  end
end

---Before the prompt: what is to be done with what the program has declared.
---@return integer exit code
function M.pause()
  local command = session.command
  if command.looks[1] then
    leave(look())
  elseif command.run and session.started == 0 then
    run_parts()
  end
  return 0
end

---At the end of the program. Raises what a build raises.
---@return integer exit code
function M.finish()
  M.pause()
  core.drain()
  if session.code == 0 then
    check_names()
    check_used(session.command)
  end
  if session.data then
    session.data:flush()
  end
  return session.code
end

return M
