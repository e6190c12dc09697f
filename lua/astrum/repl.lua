-- The prompt of astrum-lua: reads lines until they make a chunk, runs it and
-- shows its values. The host reads lines and guards calls (bindings/guard.c).

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

-- An expression is tried first, so that its values are shown.
---@param text string
---@return function|nil chunk
---@return boolean incomplete more lines could make it a chunk
---@return string|nil message why it is none
local function compile(text)
  local expression, first = load("return " .. text, "=stdin", "t")
  if expression then
    return expression, false
  end
  local chunk, message = load(text, "=stdin", "t")
  if chunk then
    return chunk, false
  end
  local incomplete = first:find "<eof>$" or message:find "<eof>$"
  return nil, incomplete ~= nil, message
end

-- Reads one chunk of any number of lines.
---@param host astrum.ReplHost
---@return function|nil|false chunk nil: the input has ended; false: there is none
---@return string|nil message of a syntax error
local function read_chunk(host)
  local line = host.read(prompt("_PROMPT", "> "))
  if not line then
    return line
  end
  local text = line:gsub("^=", "return ")
  while true do
    local chunk, incomplete, message = compile(text)
    if chunk or not incomplete then
      return chunk or false, message
    end
    line = host.read(prompt("_PROMPT2", ">> "))
    if line == nil then
      return false, message
    elseif line == false then
      return false
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
  local ok, text = pcall(tostring, e)
  text = ok and text:gsub(BELOW, "\n\t[C]: in ?") or "(error object has no text)"
  io.stdout:flush()
  io.stderr:write(text, "\n")
end

---@param host astrum.ReplHost
---@param ok boolean
local function finish(host, ok, ...)
  if ok then
    local shown, e = host.call(show, ...)
    if not shown then
      show_error(e)
    end
  else
    show_error((...))
  end
end

---Talks with the user until the input ends.
---@param host astrum.ReplHost
function M.run(host)
  while true do
    local chunk, message = read_chunk(host)
    if chunk then
      finish(host, host.call(chunk))
    elseif message then
      show_error(message)
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
