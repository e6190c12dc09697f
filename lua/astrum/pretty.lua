-- Prints any Lua value for people: the REPL's answers and values inside messages. Limited in
-- depth, width and length, the same for equal values, and never in trouble: tables are read
-- raw, and of metamethods only __tostring is called, protected.
local terminal = require "astrum.terminal"

-- Sees through __metatable, where the host has the debug library.
local getmetatable <const> = debug and debug.getmetatable or getmetatable
local math_type <const> = math.type

local M = {}

local INDENT <const> = 2
local DEPTH_LIMIT <const> = 100
local KEY_LIMIT <const> = 10000
local ONE_LINE <const> = math.maxinteger
local HIDDEN <const> = "[hidden]"
local SHORT <const> = 16

local DEFAULTS <const> = {
  depth = 4,
  width = 80,
  entries = 50,
  total = 1000,
  text = 200,
  unicode = true,
}

-- How much more of a string is shown when it is the whole answer.
local WHOLE_ANSWER <const> = 20

local WORDS <const> = [[and break do else elseif end false for function goto if in local nil not or
  repeat return then true until while]]
local RESERVED <const> = {}
for word in WORDS:gmatch("%a+") do
  RESERVED[word] = true
end

local ESCAPES <const> = { ["\n"] = "\\n", ["\r"] = "\\r", ["\t"] = "\\t" }

---@class astrum.PrettyOptions
---@field depth? integer levels of tables, 4
---@field width? integer columns before a table is broken into lines, 80
---@field entries? integer entries shown of one table, 50
---@field total? integer entries shown of all tables together, 1000
---@field text? integer bytes shown of a string inside a table, 200
---@field unicode? boolean false: plain ASCII
---@field mask? fun(text: string): string what may be shown of a text, a number, a key, or of what
---an object says of itself; is asked before anything is cut or escaped, and must not fail
---@field hidden? table<table, table<any, true>> by table, the keys whose values are not shown

local function number_text(number)
  if math.type(number) == "integer" then
    return ("%d"):format(number)
  elseif number ~= number then
    return "nan"
  elseif number == math.huge or number == -math.huge then
    return number > 0 and "math.huge" or "-math.huge"
  end
  local text = ("%.14g"):format(number)
  if tonumber(text) ~= number then
    text = ("%.17g"):format(number)
  end
  return text:find("[.e]") and text or text .. ".0"
end

-- Cuts in front of a character, not inside one.
local function beginning(text, limit)
  local last = limit
  while last > limit - 3 and last > 0 and text:find("^[\x80-\xBF]", last + 1) do
    last = last - 1
  end
  return text:sub(1, last)
end

local function masked(printer, text)
  return printer.mask and printer.mask(text) or text
end

local function string_text(printer, text, limit)
  text = masked(printer, text)
  local shown = #text > limit and beginning(text, limit) or text
  shown = shown:gsub('[\\"]', "\\%0"):gsub("[\n\r\t]", ESCAPES)
  shown = terminal.escape(shown, printer.ascii)
  if #text > limit then
    return ('"%s%s" (%s bytes)'):format(shown, printer.more, terminal.count(#text))
  end
  return ('"%s"'):format(shown)
end

local function function_text(printer, value)
  local info = debug and debug.getinfo(value, "S")
  if not info or info.what == "C" then
    return "<builtin function>"
  end
  local place = ("%s:%d"):format(info.short_src, info.linedefined)
  return ("<function %s>"):format(terminal.escape(masked(printer, place), printer.ascii))
end

local function metafield(value, name)
  local ok, metatable = pcall(getmetatable, value)
  if ok and type(metatable) == "table" then
    return rawget(metatable, name)
  end
  return nil
end

local function escape_lines(printer, text)
  local lines = {}
  for line in (text .. "\n"):gmatch("(.-)\n") do
    lines[#lines + 1] = terminal.escape(line, printer.ascii)
  end
  return table.concat(lines, "\n")
end

-- What the object says of itself, or that it fails to.
local function object_text(printer, value, whole)
  local ok, text = pcall(tostring, value)
  if not ok then
    return ("<%s whose __tostring fails>"):format(type(value))
  end
  text = masked(printer, text)
  if whole then
    return escape_lines(printer, text)
  end
  text = terminal.escape(text, printer.ascii)
  return terminal.cut(text, printer.text, printer.more)
end

local function userdata_text(printer, value, whole)
  if type(value) == "userdata" and metafield(value, "__tostring") ~= nil then
    return object_text(printer, value, whole)
  end
  local name = metafield(value, "__name")
  if type(name) == "string" then
    return ("<%s>"):format(terminal.escape(masked(printer, name), printer.ascii))
  end
  return ("<%s>"):format(type(value))
end

local KEY_ORDER <const> = { number = 1, string = 2, boolean = 3 }

local function key_before(left, right)
  local left_type, right_type = type(left), type(right)
  if left_type ~= right_type then
    local left_order, right_order = KEY_ORDER[left_type] or 4, KEY_ORDER[right_type] or 4
    if left_order ~= right_order then
      return left_order < right_order
    end
    return left_type < right_type
  end
  if left_type == "number" or left_type == "string" then
    return left < right
  end
  return left_type == "boolean" and not left and right
end

-- Length of the list at the front, the other keys in order, and how many were not looked at.
local function keys_of(object)
  local length, listed = rawlen(object), 0
  local keys, ignored, all_texts = {}, 0, true
  local function collect()
    for key in next, object do
      if math_type(key) == "integer" and key >= 1 and key <= length then
        listed = listed + 1
      elseif #keys < KEY_LIMIT then
        keys[#keys + 1] = key
        all_texts = all_texts and type(key) == "string"
      else
        ignored = ignored + 1
      end
    end
  end
  collect()
  if listed < length then
    -- It has holes: the list ends at the first one.
    length, listed = 0, 0
    while rawget(object, length + 1) ~= nil do
      length = length + 1
    end
    keys, ignored, all_texts = {}, 0, true
    collect()
  end
  -- Without a function of ours that is many times faster.
  table.sort(keys, not all_texts and key_before or nil)
  return length, keys, ignored
end

-- The same, looked for once where a value is drawn several times.
local function known_keys(printer, object)
  local known = printer.keys[object]
  if not known then
    known = table.pack(keys_of(object))
    printer.keys[object] = known
  end
  return table.unpack(known, 1, 3)
end

local value_text

local function key_text(printer, key)
  if type(key) == "string" then
    if key:find("^[%a_][%w_]*$") and not RESERVED[key] and masked(printer, key) == key then
      return key
    end
    return ("[%s]"):format(string_text(printer, key, printer.text))
  elseif type(key) == "table" then
    return "[<table>]"
  end
  return ("[%s]"):format(value_text(printer, key, 0, 0))
end

-- The entries as text for a table whose own entries are `depth` levels deep, and whether some
-- were left out.
local function entries_of(printer, object, depth)
  local length, keys, hidden = known_keys(printer, object)
  local parts = {}
  local function room()
    return #parts < printer.entries and printer.left > 0
  end
  local hidden_keys = printer.hidden and printer.hidden[object]
  local function add(prefix, key)
    printer.left = printer.left - 1
    local at = INDENT * depth + terminal.display_width(prefix)
    local text = hidden_keys and hidden_keys[key] and HIDDEN
      or value_text(printer, rawget(object, key), at, depth)
    parts[#parts + 1] = prefix .. text
  end
  local position = 1
  while position <= length and room() do
    add("", position)
    position = position + 1
  end
  local index = 1
  while index <= #keys and room() do
    add(key_text(printer, keys[index]) .. " = ", keys[index])
    index = index + 1
  end
  hidden = hidden + (length - position + 1) + (#keys - index + 1)
  if hidden > 0 then
    parts[#parts + 1] = ("%s %s more"):format(printer.more, terminal.count(hidden))
  end
  return parts, hidden > 0
end

-- The entries in lines: short ones side by side, if all are short, else one a line.
local function lines_of(printer, parts, cut, depth)
  local room, lines = printer.width - INDENT * depth, {}
  local short = true
  for index = 1, #parts - (cut and 1 or 0) do
    local part = parts[index]
    short = short and #part <= SHORT and not part:find("\n") and not part:find(" = ", 1, true)
  end
  for index, part in ipairs(parts) do
    local text = part .. ((index < #parts or not cut) and "," or "")
    local line = lines[#lines]
    if short and line and terminal.display_width(line) + 1 + #text <= room then
      lines[#lines] = line .. " " .. text
    else
      lines[#lines + 1] = text
    end
  end
  return lines
end

local function table_text(printer, object, column, depth)
  if printer.open[object] then
    return "<cycle>"
  end
  local name = metafield(object, "__name")
  local label = type(name) == "string"
      and terminal.escape(masked(printer, name), printer.ascii) .. " "
    or ""
  if next(object) == nil then
    return label .. "{}"
  end
  if depth >= printer.depth or printer.left <= 0 then
    return label .. "{" .. printer.more .. "}"
  end
  printer.open[object] = true
  local parts, cut = entries_of(printer, object, depth + 1)
  printer.open[object] = nil
  local line = ("%s{ %s }"):format(label, table.concat(parts, ", "))
  if
    printer.width == ONE_LINE
    or (not line:find("\n") and column + terminal.display_width(line) <= printer.width)
  then
    return line
  end
  local blank = "\n" .. (" "):rep(INDENT)
  local inner = table.concat(lines_of(printer, parts, cut, depth + 1), "\n"):gsub("\n", blank)
  return ("%s{%s%s\n}"):format(label, blank, inner)
end

function value_text(printer, value, column, depth)
  local kind = type(value)
  local whole = depth == 0 and printer.width ~= ONE_LINE
  if kind == "number" then
    return masked(printer, number_text(value))
  elseif kind == "string" then
    return string_text(printer, value, whole and printer.text * WHOLE_ANSWER or printer.text)
  elseif kind == "nil" or kind == "boolean" then
    return tostring(value)
  elseif kind == "function" then
    return function_text(printer, value)
  elseif kind ~= "table" then
    return userdata_text(printer, value, whole)
  elseif metafield(value, "__tostring") ~= nil then
    return object_text(printer, value, whole)
  end
  return table_text(printer, value, column, depth)
end

local function printer_of(options)
  local printer = {}
  for name, default in pairs(DEFAULTS) do
    local given = options and options[name]
    printer[name] = given == nil and default or given
  end
  printer.mask, printer.hidden = options and options.mask, options and options.hidden
  printer.depth = math.min(printer.depth, DEPTH_LIMIT)
  printer.ascii = not printer.unicode
  printer.more = printer.unicode and "…" or "..."
  printer.left = printer.total
  printer.open, printer.keys = {}, {}
  return printer
end

--- Prints a value; the text may have several lines.
---@param value any
---@param options? astrum.PrettyOptions
---@return string
function M.value(value, options)
  return value_text(printer_of(options), value, 0, 0)
end

--- Prints a value on one line, for use inside a message: a string is taken as it is.
---@param value any
---@param options? astrum.PrettyOptions
---@return string
function M.text(value, options)
  local printer = printer_of(options)
  if type(value) == "string" then
    return masked(printer, value)
  end
  printer.width = ONE_LINE
  return value_text(printer, value, 0, 0)
end

--- Prints a value on one line of so many columns, as deep as fits; what does not is cut.
---@param value any
---@param columns integer
---@param options? astrum.PrettyOptions
---@return string
function M.line(value, columns, options)
  local printer = printer_of(options)
  printer.width = ONE_LINE
  local text
  for depth = printer.depth, 1, -1 do
    printer.depth, printer.left = depth, printer.total
    text = value_text(printer, value, 0, 0)
    if terminal.display_width(text) <= columns then
      return text
    end
  end
  return terminal.cut(text, columns, printer.more)
end

return M
