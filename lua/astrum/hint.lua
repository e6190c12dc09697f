-- What may have been meant where Lua says that a value is nil: a misspelled function of this
-- library, one that was not made a local, a misspelled global.
local core = require "astrum.core"
local excerpt = require "astrum.excerpt"
local suggest = require "astrum.suggest"

core.own()

local M = {}

local quote <const> = require("astrum.error").quote

-- Shorter names are near to too many others.
local SHORTEST <const> = 3

local function public_names()
  local names = {}
  for name in next, package.loaded.astrum or {} do
    names[#names + 1] = name
  end
  table.sort(names)
  return names
end

local function of_field(line, name)
  if line:find("%f[%w_]astrum%s*%.%s*" .. name .. "%f[^%w_]") then
    local nearest = suggest.nearest(name, public_names())
    return nearest and "did you mean 'astrum." .. nearest .. "'?"
  end
end

local function of_method(name)
  local names = {}
  for method in next, require("astrum.report").METHODS do
    names[#names + 1] = method
  end
  table.sort(names)
  local nearest = suggest.nearest(name, names)
  return nearest and "a report has the method " .. quote(nearest)
end

-- What is used to declare, and then is nil in a script that has not loaded the library.
local DECLARING <const> = { task = true, F = true, T = true, Ref = true }

local function of_global(name)
  if name == "astrum" then
    return 'write local astrum = require "astrum"'
  end
  if DECLARING[name] and not package.loaded.astrum then
    return ('write local %s = require("astrum").%s'):format(name, name)
  end
  local public = package.loaded.astrum
  if public and rawget(public, name) ~= nil then
    return ('write local %s = require("astrum").%s'):format(name, name)
  end
  if rawget(_G, name) ~= nil then
    -- It is nil where the body has been.
    return "a worker thread or a child process has globals of its own; make "
      .. quote(name)
      .. " a local variable of the file"
  end
  local names = public_names()
  for global in next, _G do
    names[#names + 1] = type(global) == "string" and global or nil
  end
  table.sort(names)
  local nearest = suggest.nearest(name, names)
  return nearest and "did you mean " .. quote(nearest) .. "?"
end

---The place in front of the text of an error: source, line, and the text behind it. What raised the
---error anew may have put a place of its own before; the last one is given.
---@param text string
---@return string? source
---@return integer? line
---@return string rest
function M.place(text)
  local source, line
  local at = 1
  local first, number, behind = text:match "^([^%s:]+):(%d+): ()"
  while first do
    source, line, at = first, number, behind
    first, number, behind = text:match("^([^%s:]+):(%d+): ()", at)
  end
  return source, math.tointeger(tonumber(line)), text:sub(at)
end

---What in its line the text of an error of Lua's is about: a nil value (field 'user').
---@param text string
---@return string? name
function M.name(text)
  return text:match "%(%a+ '([^'\n]+)'%)"
end

-- The function of the library that has got the library itself for its first argument.
local function called_with_colon(source, number, rest)
  local name = rest:match "^(%l[%w_]*): "
  local line = name and source and core.source_line(source, number)
  local is_so = line and line:find("%f[%w_]astrum%s*:%s*" .. name .. "%f[^%w_]")
  return is_so and name or nil
end

---What may have been meant, or nil.
---@param text string of an error, with the place in front
---@param line string? of that place, where it is in no file
---@return string?
function M.help(text, line)
  local source, number, rest = M.place(text)
  local called = called_with_colon(source, number, rest)
  if called then
    return ("write astrum.%s, not astrum:%s"):format(called, called)
  end
  local kind, name = rest:match "^attempt to [%a ]- a nil value %((%a+) '([%w_]+)'%)"
  if not source or not name or #name < SHORTEST and name ~= "F" and name ~= "T" then
    return nil
  elseif kind == "global" then
    return of_global(name)
  elseif kind == "method" then
    return of_method(name)
  end
  line = kind == "field" and (line or core.source_line(source, number))
  return line and of_field(line, name) or nil
end

-- Where the mistake of a syntax error is: before "near 'x'".
local function syntax_excerpt(text)
  local source, number, rest = M.place(text)
  local near = rest:match " near '?(.-)'?$"
  if not near or rest:find "\n" then
    return nil
  end
  local shown = excerpt.of(source, number, { { name = near, form = "name" } })
    or excerpt.line(source, number)
  if shown and rest:find "^'}' expected" then
    shown = shown .. "\nhelp: is a comma missing in front of it?"
  end
  return shown
end

---The text of an error that a script did not catch, with the line of a syntax error, and with what
---may have been meant.
---@param text string may end with a traceback
---@return string
function M.told(text)
  local message, trace = text:match "^(.-)(\nstack traceback:.*)$"
  message = message or text
  local source, line, rest = M.place(message)
  local shown = source and not trace and syntax_excerpt(message)
  if shown then
    return text .. "\n" .. shown
  end
  local help = source and M.help(message)
  if not help then
    return text
  end
  -- A place in a text can be any; a line of the code that ran is shown.
  local is_of_code = trace and trace:find("\n\t" .. source .. ":" .. line .. ": in ", 1, true)
  local name = M.name(message) or called_with_colon(source, line, rest)
  shown = is_of_code and excerpt.of(source, line, { { name = name, form = "name" } })
  return message .. (shown and "\n" .. shown or "") .. "\nhelp: " .. help .. (trace or "")
end

return M
