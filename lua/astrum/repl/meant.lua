-- What may have been meant where an entry finds nil: a local of an earlier entry, which has ended
-- with it, something of the library that is no global, or what astrum.hint says.
local commands = require "astrum.repl.commands"
local core = require "astrum.core"
local hints = require "astrum.hint"

core.own()

local M = {}

local quote <const> = require("astrum.error").quote

---Help for a global that is nil.
---@param session astrum.ReplSession
---@param name string
---@return string?
function M.global(session, name)
  local public = package.loaded.astrum
  if rawget(_G, name) ~= nil then
    return nil
  elseif session.locals[name] then
    return quote(name) .. " was a local, which ends with its entry; enter it again without `local`"
  elseif type(public) == "table" and rawget(public, name) ~= nil then
    return ("write astrum.%s, or enter %s = astrum.%s first"):format(name, name, name)
  end
  local command = commands.named(name)
  return command and "commands begin with a dot: enter ." .. command
end

---The text of an error that an entry has raised, with help where there is some.
---@param session astrum.ReplSession
---@param text string may end with a traceback
---@param entered string? the text of the entry
---@return string
function M.told(session, text, entered)
  local message, trace = text:match "^(.-)(\nstack traceback:.*)$"
  message = message or text
  local source, number, rest = hints.place(message)
  if not source then
    return text
  end
  local name = rest:match "a nil value %(global '([%w_]+)'%)$"
  local help = name and M.global(session, name)
  if not help then
    local line, at = nil, 0
    for each in (source == "stdin" and entered or ""):gmatch "[^\n]*" do
      at = at + 1
      line = at == number and each or line
    end
    help = hints.help(message, line)
  end
  return help and message .. "\nhelp: " .. help .. (trace or "") or text
end

return M
