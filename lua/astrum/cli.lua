-- The texts of the command line, and the exit code of an uncaught error.

local errors = require "astrum.error"
local suggest = require "astrum.suggest"

local M = {}

local commands = require "astrum.command"

local USAGE <const> = [==[
usage: astrum-lua [options] [script [args]]
try 'astrum-lua --help' for the list of options]==]

local HELP <const> = [==[
usage: astrum-lua [options] [script [args]]

  astrum-lua --run flow.lua                run the tasks that a script declares
  astrum-lua --graph=mermaid flow.lua      draw them; nothing runs

Look at a workflow without running it:
  --list               list the tasks, what they do and what they take
  --check              check everything that can be checked before a run
  --plan               show the stages and the critical path
  --graph[=FORMAT]     draw it: tree (default), dot, mermaid or svg
  -n, --dry-run        say what would run, why, and in which order

Run:
  --run[=TASK,...]     run what the script declares, or these tasks and all that
                       they need; exit with 1 when a run does not complete
  --set NAME=VALUE     give a param a value
  -j N                 run at most N tasks at once
  -k                   after a failure go on with what does not depend on it
  --progress[=HOW]     on standard error: auto (default), plain, full or none
  --log[=FORMAT]       log events to standard error: plain (default) or json
  --report[=FORMAT]    print the report of each run: text (default) or json
  --json               the same as --report=json
  --trace FILE         write a trace of the run, for Perfetto
  --html FILE          write the report as a page
  --color[=WHEN]       auto, always or never

As the lua command:
  -e stat              run the text 'stat'
  -l mod               load module 'mod' into the global 'mod'
  -l g=mod             load module 'mod' into the global 'g'
  -i                   go to the prompt after the script
  -v                   show the version
  -E                   ignore the environment (LUA_INIT, LUA_PATH, LUA_CPATH)
  -W                   turn warnings on
  --                   end the options
  -                    read the script from standard input

  --help               show this text
  --version            show the version
  --completions SHELL  print what bash, zsh or fish needs to complete options

Options end at the script: what stands behind it is the script's own, in arg.
All of them work with scripts that only declare tasks and with scripts that run
them. Without a script, standard input is the script unless it is a terminal;
then there is a prompt.

Exit codes: 0 done; 1 the script failed, or a run with --run; 2 the command
line, a declaration or a build is wrong; 130 and 143 ended by SIGINT, SIGTERM.]==]

-- Kinds that tell of a run that went wrong, not of a mistake in a declaration.
local RUN_KINDS <const> = {
  "TaskFailedError",
  "TaskTimeoutError",
  "TaskCancelledError",
  "FieldError",
  "TypeMatchError",
}

---@param versions string ours and, in brackets, that of Lua
---@return string text of --version, of -v and above the prompt
function M.version(versions)
  return "astrum-lua " .. versions
end

---What --help, --version and --completions print.
---@param versions string
---@param command astrum.Command
---@return string
function M.show(versions, command)
  if command.show == "help" then
    return HELP
  elseif command.show == "version" then
    return M.version(versions)
  end
  return require("astrum.completion")[command.shell]()
end

-- What is wrong with an option, by kind; `given` is what it got.
local mistakes = {}

-- What other tools call options that are here.
local ELSEWHERE <const> = {
  ["-h"] = "--help",
  ["-?"] = "--help",
  ["-V"] = "--version",
  ["--jobs"] = "-j",
  ["--concurrency"] = "-j",
  ["--keep-going"] = "-k",
  ["--param"] = "--set",
  ["--params"] = "--set",
  ["--dag"] = "--graph",
  ["--with-trace"] = "--trace",
  ["--with-report"] = "--html",
}

function mistakes.unknown_option(option)
  local name = option:match "^[^=]*"
  local known_as = ELSEWHERE[name] or commands.find("-" .. name) and "-" .. name
  if known_as then
    return ("unknown option '%s'\ndid you mean '%s'?"):format(option, known_as)
  end
  local names = {}
  for i, known in ipairs(commands.OPTIONS) do
    names[i] = known.name
  end
  local nearest = #name > 2 and suggest.nearest(name, names)
  local hint = nearest and ("\ndid you mean '%s'?"):format(nearest) or ""
  return ("unknown option '%s'%s"):format(option, hint)
end

function mistakes.no_argument(option)
  return ("option '%s' needs an argument"):format(option)
end

function mistakes.extra_argument(option)
  return ("option '%s' takes no argument"):format(option)
end

function mistakes.is_script(option, given)
  return ("option '%s' writes a file, and '%s' is a script\nname the file first, as in %s"):format(
    option,
    given,
    option == "--html" and "--html report.html flow.lua" or "--trace run.json flow.lua"
  )
end

function mistakes.no_target(option)
  return ("option '%s=' names no task; without '=' all tasks run"):format(option)
end

function mistakes.no_value(option, given)
  return ("option '%s' wants NAME=VALUE, got '%s'"):format(option, given)
end

function mistakes.no_number(option, given)
  return ("option '%s' wants a number of tasks from 1, got '%s'"):format(option, given)
end

function mistakes.wrong_choice(option, given)
  local nearest = suggest.nearest(given.value, given.choices)
  local hint = nearest and ("\ndid you mean '%s=%s'?"):format(option, nearest) or ""
  local last = #given.choices
  local choices = table.concat(given.choices, ", ", 1, last - 1) .. " or " .. given.choices[last]
  return ("option '%s' wants %s, got '%s'%s"):format(option, choices, given.value, hint)
end

---What is wrong with the command line, and how it is used.
---@param _ nil
---@param command astrum.Command
---@return string
function M.mistake(_, command)
  local kind, option, given = table.unpack(command.mistake, 1, 3)
  if type(given) == "table" then
    given.value = errors.escape(given.value)
  elseif given then
    given = errors.escape(given)
  end
  return mistakes[kind](errors.escape(option), given) .. "\n" .. USAGE
end

-- What a word was to be that has been taken for the script; nil where that is not known.
local function misread(word, before)
  local option = before and commands.find(before)
  if not option or before:find("=", 1, true) or word:find "%.lua$" then
    return nil
  elseif option.name == "--json" then
    return "--json takes no file; it prints on standard output: --json flow.lua >" .. word
  elseif option.name == "--run" then
    return ("tasks to run stand behind a '=', as in --run=%s"):format(word)
  elseif option.choices and option.argument == "optional" then
    local choice = suggest.nearest(word, option.choices) or option.choices[1]
    return ("what %s takes stands behind a '=', as in %s=%s"):format(before, before, choice)
  end
end

local function exists(path)
  local file <close> = io.open(path)
  return file ~= nil
end

---The message for a script that cannot be read, with what may have been meant.
---@param message string
---@param command astrum.Command
---@return string
function M.no_script(message, command)
  local word = command.words[command.script]
  local help = misread(word, command.words[command.script - 1])
  if not word:find "%.lua$" and exists(word .. ".lua") then
    help = "did you mean '" .. word .. ".lua'?"
  end
  return help and message .. "\nhelp: " .. errors.escape(help) or message
end

---@param e any an error that nothing caught
---@return integer code 2 for a declaration or build that is wrong, else 1
function M.exit_code(e)
  if not errors.is(e, "SchedulerError") then
    return 1
  end
  if e.errors and e.kind ~= "TaskFailedError" then
    return 2
  elseif e.of_run then
    return 1
  end
  for _, kind in ipairs(RUN_KINDS) do
    if errors.is(e, kind) then
      return 1
    end
  end
  return 2
end

return M
