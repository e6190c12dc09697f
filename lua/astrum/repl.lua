-- The prompt of astrum-lua: reads lines until they make a chunk, runs it and shows its values. The
-- host reads lines and guards calls (bindings/repl.h).

local astrum = require "astrum"
local commands = require "astrum.repl.commands"
local completion = require "astrum.repl.completion"
local core = require "astrum.core"
local drawing = require "astrum.report.table"
local errors = require "astrum.error"
local histories = require "astrum.repl.history"
local meant = require "astrum.repl.meant"
local pretty = require "astrum.pretty"
local registries = require "astrum.registry"
local sessions = require "astrum.repl.session"
local terminal = require "astrum.terminal"

core.own()

local M = {}

---@class astrum.ReplHost
---@field read fun(prompt: string): string|nil|false next line; nil: no more; false: line dropped
---@field call fun(f: function, ...): boolean, any pcall with traceback and signals
---@field edits boolean lines are edited, so there is a history
---@field set_completer fun(f: fun(line: string, start: integer, stop: integer): string[]?)
---@field set_history fun(lines: string[]) the oldest first
---@field private_file fun(path: string): boolean?, string? only its owner can read it

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
  .. "this prompt has no keys for editing, but under rlwrap it has"

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

-- A line from the user: what was pasted, or comes from the history, may be several.
local function read_line(talk, name, default)
  if talk.pasted[1] then
    return table.remove(talk.pasted, 1)
  end
  talk.session.is_waiting = true
  local line = talk.host.read(prompt(name, default))
  talk.session.is_waiting = false
  return line
end

local function keep_line(talk, text)
  if talk.history then
    talk.history:add(text)
  end
end

-- Several lines with commands among them are taken one by one.
local function split(talk, text)
  local lines, has_commands = {}, false
  for line in text:gmatch "[^\n]+" do
    lines[#lines + 1] = line
    has_commands = has_commands or commands.is_known(line)
  end
  if has_commands and #lines > 1 then
    table.move(lines, 2, #lines, 1, talk.pasted)
    return lines[1]
  end
  return text
end

-- Reads one chunk of any number of lines, or a command.
---@param talk table
---@return function|nil|false chunk nil: the input has ended; false: there is none
---@return integer|string|nil extra as of `compile`; nil: the user dropped the lines
---@return string? text of the chunk
local function read_chunk(talk)
  local line = read_line(talk, "_PROMPT", "> ")
  if not line then
    return line
  elseif not compile(line) then
    line = split(talk, line)
  end
  if commands.is_command(line) then
    keep_line(talk, line)
    return function()
      commands.run(talk.session, line)
    end, 0
  end
  local text = line
  while true do
    local chunk, extra, incomplete = compile((text:gsub("^=", "")))
    if chunk or not incomplete then
      keep_line(talk, text)
      return chunk or false, extra, (text:gsub("^=", ""))
    end
    line = read_line(talk, "_PROMPT2", ">> ")
    if not line then
      keep_line(talk, text)
      return false, line == nil and extra or nil
    end
    text = text .. "\n" .. line
  end
end

-- A text of several lines, with nothing in it that a terminal would obey but colours.
local function drawn(text)
  local parts, at = {}, 1
  local function add(last)
    for line, ending in text:sub(at, last):gsub("\t", "    "):gmatch "([^\n]*)(\n?)" do
      parts[#parts + 1] = errors.escape(line) .. ending
    end
  end
  for first, colour, behind in text:gmatch "()(\27%[[%d;]*m)()" do
    add(first - 1)
    parts[#parts + 1], at = colour, behind
  end
  add(#text)
  return (table.concat(parts):gsub("\n$", ""))
end

local function show(...)
  local texts = table.pack(...)
  local is_terminal, columns = core.terminal(1)
  local width = is_terminal and terminal.width(columns) or nil
  for i = 1, texts.n do
    local value = texts[i]
    -- A drawing is made to be seen.
    local is_drawing = type(value) == "string" and value:find "\n" ~= nil
    texts[i] = is_drawing and drawn(value) or pretty.value(value, { width = width })
  end
  if texts.n > 0 then
    io.stdout:write(table.concat(texts, "\t"), "\n")
  end
end

-- Begins what lies below the user's chunk in a traceback: a call of C, the tail call of a file.
local BELOW <const> = {
  "\n\t%[C%]: in [^\n]*\n\tastrum/repl[./].*$",
  "\n\t%(%.%.%.tail calls%.%.%.%)\n\tastrum/repl[./].*$",
}

local function show_error(talk, e, entered)
  local ok, text = pcall(errors.full_text, e)
  text = ok and text or "(error object has no text)"
  if type(e) == "string" then
    text = meant.told(talk.session, text, entered)
  end
  for _, pattern in ipairs(BELOW) do
    text = text:gsub(pattern, "\n\t[C]: in ?")
  end
  io.stdout:flush()
  io.stderr:write(text, "\n")
end

-- Nothing looks less like a mistake than the nil of a name that is not there any more.
local function explain_nil(talk, entered)
  local name = entered:match "^%s*=?%s*([%a_][%w_]*)%s*$"
  local help = name and meant.global(talk.session, name)
  if help then
    io.stdout:flush()
    io.stderr:write("help: ", help, "\n")
  end
end

---@param talk table
---@param extra integer values to take away
---@param entered string? the text of the entry
---@param ok boolean
local function finish(talk, extra, entered, ok, ...)
  if not ok then
    show_error(talk, (...), entered)
    return false
  end
  local shown, e = talk.host.call(show, select(extra + 1, ...))
  if not shown then
    show_error(talk, e)
  elseif entered and (...) == nil then
    explain_nil(talk, entered)
  end
  return true
end

local function run_chunk(talk, chunk, extra, text)
  local session, began = talk.session, core.clock()
  local entry = registries.begin_entry()
  session.entry = entry
  if text then
    session:remember { text = text, is_statement = extra == 0 }
  end
  local ok = finish(talk, extra, text, talk.host.call(chunk))
  local kept = session.chunks[entry]
  if kept then
    kept.has_failed = not ok
    -- A file that a session has written may begin further ones.
    kept.last = registries.last_entry()
    kept.names = session:declared_since(entry)
    kept.is_declaration = #kept.names > 0
    if kept.file and ok then
      local plural = #kept.names == 1 and "" or "s"
      io.stdout:write(
        ("loaded %s: %d task%s\n"):format(errors.escape(kept.file), #kept.names, plural)
      )
    end
    for later = entry + 1, kept.last do
      session.chunks[later] = kept
    end
    session.entry = kept.last
    for _, name in ipairs(text and sessions.locals(text) or {}) do
      session.locals[name] = true
    end
  end
  if session.is_timed and not session.is_over then
    io.stdout:write("(", drawing.duration(core.clock() - began), ")\n")
  end
  return ok
end

-- Behind an entry that failed, or that the user has stopped.
local function leave_out_pasted(talk)
  local left = #talk.pasted
  if left > 0 then
    talk.pasted = {}
    local form = "left out: %d more line%s of what was pasted\n"
    io.stderr:write(form:format(left, left == 1 and "" or "s"))
  end
end

-- What people type most, where a script has not taken the name.
local GLOBALS <const> = { "task", "F", "Ref", "run", "sleep" }

local function set_globals()
  local function set(name, value)
    if rawget(_G, name) == nil then
      rawset(_G, name, value)
    end
  end
  set("astrum", astrum)
  for _, name in ipairs(GLOBALS) do
    set(name, astrum[name])
  end
end

local function begin(host)
  local talk = { host = host, session = sessions.new(), pasted = {} }
  set_globals()
  if host.edits then
    host.set_completer(function(line, start)
      return completion.complete(talk.session, line, start)
    end)
    local why
    talk.history, why = histories.open(host, histories.path())
    io.stdout:write "enter .help for the commands; .quit or Ctrl-D leaves\n"
    if why then
      io.stderr:write("astrum: the history of lines is not kept: ", why, "\n")
    end
  end
  return talk
end

-- The program ends when all runs have.
local function say_what_goes_on(session)
  local count = session.running
  if count > 0 then
    local runs = count == 1 and "a run goes" or count .. " runs go"
    io.stderr:write("waiting, as ", runs, " on; Ctrl-C cancels\n")
  end
end

---Talks with the user until the input ends.
---@param host astrum.ReplHost
function M.run(host)
  core.owns_process = nil -- a signal ends what a line started, not the session
  local talk = begin(host)
  repeat
    local chunk, extra, text = read_chunk(talk)
    if chunk then
      if not run_chunk(talk, chunk, extra, text) then
        leave_out_pasted(talk)
      end
    elseif extra then
      show_error(talk, extra)
      leave_out_pasted(talk)
    elseif chunk == false then
      io.stdout:write "\n"
    end
  until chunk == nil or talk.session.is_over
  if not talk.session.is_over then
    io.stdout:write "\n"
  end
  io.stdout:flush()
  talk.session.entry = registries.begin_entry()
  say_what_goes_on(talk.session)
end

return M
