-- The prompt of astrum-lua: reads lines until they make a chunk, runs it and
-- shows its values. The host reads lines and guards calls (bindings/guard.c).

local core = require "astrum.core"
local errors = require "astrum.error"
local pretty = require "astrum.pretty"

local M = {}

---@class astrum.ReplHost
---@field read fun(prompt: string): string|nil|false next line; nil: no more; false: line dropped
---@field call fun(f: function, ...): boolean, any pcall with traceback and signals

---@param name string of the global that holds the prompt
---@param default string
---@return string
local function prompt(name, default)
  local value = rawget(_G, name)
  if value == nil then
    return default
  end
  local ok, text = pcall(tostring, value)
  return ok and text or default
end

-- Compiled code begins with this byte too, which `load` would tell of.
local ESCAPE <const> = 27
local NO_KEYS <const> = "stdin:1: the line begins with an escape character; "
  .. "the prompt has no keys for editing, but under rlwrap it has"

-- An expression is tried first, so that its values are shown. The nil in front of them, which
-- `finish` takes away, keeps the call of a line from being a tail call: messages show where
-- something was called.
---@param text string
---@return function|nil chunk
---@return integer|string extra number of values to take away; what is wrong, without a chunk
---@return boolean? incomplete more lines could make it a chunk
local function compile(text)
  if text:byte() == ESCAPE then
    return nil, NO_KEYS, false
  end
  local expression, first = load("return nil, " .. text, "=stdin", "t")
  if expression then
    return expression, 1
  end
  local chunk, message = load(text, "=stdin", "t")
  if chunk then
    return chunk, 0
  end
  return nil, message, (first:find "<eof>$" or message:find "<eof>$") ~= nil
end

-- Reads one chunk of any number of lines.
---@param host astrum.ReplHost
---@return function|nil|false chunk nil: the input has ended; false: there is none
---@return integer|string|nil extra as of `compile`; nil: the user dropped the lines
local function read_chunk(host)
  local line = host.read(prompt("_PROMPT", "> "))
  if not line then
    return line
  end
  local text = line:gsub("^=", "")
  while true do
    local chunk, extra, incomplete = compile(text)
    if chunk or not incomplete then
      return chunk or false, extra
    end
    line = host.read(prompt("_PROMPT2", ">> "))
    if not line then
      return false, line == nil and extra or nil
    end
    text = text .. "\n" .. line
  end
end

local function show(...)
  local texts = table.pack(...)
  for i = 1, texts.n do
    texts[i] = pretty.value(texts[i])
  end
  if texts.n > 0 then
    io.stdout:write(table.concat(texts, "\t"), "\n")
  end
end

-- Leaves out of a traceback what lies below the user's chunk.
local BELOW <const> = "\n\t%[C%]: in [^\n]*\n\tastrum/repl%.lua:.*$"

local function show_error(e)
  local ok, text = pcall(errors.full_text, e)
  text = ok and text:gsub(BELOW, "\n\t[C]: in ?") or "(error object has no text)"
  io.stdout:flush()
  io.stderr:write(text, "\n")
end

---@param host astrum.ReplHost
---@param extra integer values to take away
---@param ok boolean
local function finish(host, extra, ok, ...)
  if not ok then
    show_error((...))
    return
  end
  local shown, e = host.call(show, select(extra + 1, ...))
  if not shown then
    show_error(e)
  end
end

---Talks with the user until the input ends.
---@param host astrum.ReplHost
function M.run(host)
  core.owns_process = nil -- a signal ends what a line started, not the session
  while true do
    local chunk, extra = read_chunk(host)
    if chunk then
      finish(host, extra, host.call(chunk))
    elseif extra then
      show_error(extra)
    elseif chunk == nil then
      break
    else
      io.stdout:write "\n"
    end
  end
  io.stdout:write "\n"
  io.stdout:flush()
end

return M
