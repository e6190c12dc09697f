-- The texts of the command line, and the exit code of an uncaught error.
-- Options are read by bindings/main.c.

local errors = require "astrum.error"
local suggest = require "astrum.suggest"

local M = {}

local LONG_OPTIONS <const> = { "--help", "--version" }

local USAGE <const> = [==[
usage: astrum-lua [options] [script [args]]
try 'astrum-lua --help' for the list of options]==]

local HELP <const> = [==[
usage: astrum-lua [options] [script [args]]

  astrum-lua flow.lua        run a script, with its workflows
  astrum-lua                 declare and run tasks at a prompt

Options end at the script. They are those of the lua command:
  -e stat       run the text 'stat'
  -l mod        load module 'mod' into the global 'mod'
  -l g=mod      load module 'mod' into the global 'g'
  -i            go to the prompt after the script
  -v            show the version
  -E            ignore the environment (LUA_INIT, LUA_PATH, LUA_CPATH)
  -W            turn warnings on
  --            end the options
  -             read the script from standard input
and
  --help        show this text
  --version     show the version

Without a script, standard input is the script unless it is a terminal.

Exit codes: 0 the script ended; 1 it failed; 2 the command line, a declaration
or a build is wrong; 130 and 143 ended by SIGINT and SIGTERM.]==]

-- Kinds that tell of a run that went wrong, not of a mistake in a declaration.
local RUN_KINDS <const> = {
  "TaskFailedError",
  "TaskTimeoutError",
  "TaskCancelledError",
  "FieldError",
  "TypeMatchError",
}

---@return string text of --help
function M.help()
  return HELP
end

---@param versions string ours and, in brackets, that of Lua
---@return string text of --version, of -v and above the prompt
function M.version(versions)
  return "astrum-lua " .. versions
end

---@param option string as it was typed
---@return string message
function M.unknown_option(option)
  local name = option:match "^[^=]*"
  local nearest = suggest.nearest(name, LONG_OPTIONS)
  local hint = nearest and string.format("\ndid you mean '%s'?", nearest) or ""
  return string.format("unknown option '%s'%s\n%s", option, hint, USAGE)
end

---@param option string
---@return string message
function M.no_argument(option)
  return string.format("option '%s' needs an argument\n%s", option, USAGE)
end

---@param e any an error that nothing caught
---@return integer code 2 for a declaration or build that is wrong, else 1
function M.exit_code(e)
  if not errors.is(e, "SchedulerError") then
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
