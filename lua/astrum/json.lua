-- Writes JSON. Keys keep the order they are given in, integers are exact, and numbers that JSON
-- does not have are the texts "NaN", "Infinity" and "-Infinity". What comes out is always valid
-- UTF-8: a byte that is none becomes the four characters \xNN.
local M = {}

---@class astrum.JsonObject an object whose keys have an order
---@field names string[]
---@field values table a key whose value is nil is left out

local Object = { __name = "astrum.JsonObject" }
local List = { __name = "astrum.JsonList" }

local DEEPEST <const> = 64
local HOLES <const> = 16
local MOST_PIECES <const> = 4096

local ESCAPES <const> = {
  ['"'] = '\\"',
  ["\\"] = "\\\\",
  ["\b"] = "\\b",
  ["\f"] = "\\f",
  ["\n"] = "\\n",
  ["\r"] = "\\r",
  ["\t"] = "\\t",
}

-- Invisible characters of more than a byte that reorder, hide or end lines.
local INVISIBLE <const> = {
  "\u{61C}",
  "\u{200B}",
  "\u{200E}",
  "\u{200F}",
  "\u{2028}",
  "\u{2029}",
  "\u{202A}",
  "\u{202B}",
  "\u{202C}",
  "\u{202D}",
  "\u{202E}",
  "\u{2060}",
  "\u{2066}",
  "\u{2067}",
  "\u{2068}",
  "\u{2069}",
  "\u{FEFF}",
}

for byte = 0, 0x1F do
  local character = string.char(byte)
  ESCAPES[character] = ESCAPES[character] or ("\\u%04X"):format(byte)
end
ESCAPES["\x7F"] = "\\u007F"
for code = 0x80, 0x9F do
  ESCAPES[utf8.char(code)] = ("\\u%04X"):format(code)
end
for _, character in ipairs(INVISIBLE) do
  ESCAPES[character] = ("\\u%04X"):format(utf8.codepoint(character))
end

local function replace_invalid(text)
  local parts, from = {}, 1
  while true do
    local count, invalid = utf8.len(text, from)
    if count then
      parts[#parts + 1] = text:sub(from)
      return table.concat(parts)
    end
    parts[#parts + 1] = text:sub(from, invalid - 1)
    parts[#parts + 1] = ("\\x%02X"):format(text:byte(invalid))
    from = invalid + 1
  end
end

--- A text in quotes.
---@param text string
---@return string
function M.text(text)
  if text:find("[\x80-\xFF]") then
    text = utf8.len(text) and text or replace_invalid(text)
    text = text:gsub(utf8.charpattern, ESCAPES)
  else
    text = text:gsub('[%c"\\]', ESCAPES)
  end
  return '"' .. text .. '"'
end

local FORMATS <const> = { "%.15g", "%.16g", "%.17g" }

--- A number; a float is written so that it reads back the same.
---@param number number
---@return string
function M.number(number)
  if math.type(number) == "integer" then
    return ("%d"):format(number)
  elseif number ~= number then
    return '"NaN"'
  elseif number == math.huge or number == -math.huge then
    return number > 0 and '"Infinity"' or '"-Infinity"'
  end
  local text
  for _, format in ipairs(FORMATS) do
    text = format:format(number)
    if tonumber(text) == number then
      break
    end
  end
  if text:find(",", 1, true) then
    text = text:gsub(",", ".") -- of some locales
  end
  return text:find("[.e]") and text or text .. ".0"
end

--- An object with some keys of a table, in the order in which they are named.
---@param names string[]
---@param values table
---@return astrum.JsonObject
function M.object(names, values)
  return setmetatable({ names = names, values = values }, Object)
end

-- How many entries a list has, or nil for a table that is none. A table with `n` may have holes,
-- though not so many that they would be the most of it.
local function list_length(value)
  local count = math.type(rawget(value, "n")) == "integer" and value.n or nil
  local length = count or rawlen(value)
  if length < 0 then
    return nil
  end
  local found = 0
  for key in next, value do
    if math.type(key) == "integer" and key >= 1 and key <= length then
      found = found + 1
    elseif not (count and key == "n") then
      return nil
    end
  end
  if count then
    return length <= 2 * found + HOLES and length or nil
  end
  return found > 0 and length or nil
end

local function key_text(key)
  if type(key) == "string" then
    return key
  end
  return "[" .. (math.type(key) == "integer" and ("%d"):format(key) or tostring(key)) .. "]"
end

-- Keys that are strings, then the others, which are written in brackets.
local function sorted_pairs(value)
  local list = {}
  for key, inner in next, value do
    list[#list + 1] = { key_text(key), inner, type(key) == "string" and 0 or 1 }
  end
  table.sort(list, function(a, b)
    if a[3] ~= b[3] then
      return a[3] < b[3]
    end
    return a[1] < b[1]
  end)
  return list
end

local add

-- Before an entry: what sets it apart from the one before, and its line.
local function begin_entry(out, is_first, level)
  if not is_first then
    out[#out + 1] = ","
  end
  if out.indent then
    out[#out + 1] = "\n" .. (" "):rep(out.indent * level)
  end
end

local function begin_member(out, key, is_first, level)
  begin_entry(out, is_first, level)
  local text = out.keys[key]
  if not text then
    text = M.text(key) .. (out.indent and ": " or ":")
    out.keys[key] = text
  end
  out[#out + 1] = text
end

local function add_object(out, object, level)
  local is_first, values = true, object.values
  for _, name in ipairs(object.names) do
    local inner = values[name]
    if inner ~= nil then
      begin_member(out, name, is_first, level + 1)
      add(out, inner, level + 1)
      is_first = false
    end
  end
  return is_first
end

local function add_sorted(out, value, level)
  local list = sorted_pairs(value)
  for position, entry in ipairs(list) do
    begin_member(out, entry[1], position == 1, level + 1)
    add(out, entry[2], level + 1)
  end
  return #list == 0
end

local function add_list(out, value, length, level)
  for position = 1, length do
    begin_entry(out, position == 1, level + 1)
    add(out, value[position], level + 1)
  end
  return length == 0
end

-- Many small pieces become one.
local function gather(out)
  out.gathered[#out.gathered + 1] = table.concat(out)
  for position = #out, 1, -1 do
    out[position] = nil
  end
end

-- A list whose entries are made when it is their turn.
local function add_made(out, list, level)
  for position = 1, list.count do
    begin_entry(out, position == 1, level + 1)
    add(out, list.make(position), level + 1)
    if #out > MOST_PIECES then
      gather(out)
    end
  end
  return list.count == 0
end

local function add_table(out, value, level)
  if out.open[value] then
    out[#out + 1] = '"[cycle]"'
    return
  elseif level >= DEEPEST then
    out[#out + 1] = '"[too deep]"'
    return
  end
  out.open[value] = true
  local metatable = getmetatable(value)
  local length = metatable ~= Object and metatable ~= List and list_length(value)
  local is_list = length or metatable == List
  out[#out + 1] = is_list and "[" or "{"
  local is_empty
  if metatable == Object then
    is_empty = add_object(out, value, level)
  elseif metatable == List then
    is_empty = add_made(out, value, level)
  elseif length then
    is_empty = add_list(out, value, length, level)
  else
    is_empty = add_sorted(out, value, level)
  end
  if out.indent and not is_empty then
    out[#out + 1] = "\n" .. (" "):rep(out.indent * level)
  end
  out[#out + 1] = is_list and "]" or "}"
  out.open[value] = nil
end

function add(out, value, level)
  local kind = type(value)
  if kind == "string" then
    out[#out + 1] = M.text(value)
  elseif kind == "number" then
    out[#out + 1] = M.number(value)
  elseif kind == "boolean" or kind == "nil" then
    out[#out + 1] = kind == "nil" and "null" or tostring(value)
  elseif kind == "table" then
    add_table(out, value, level)
  else
    out[#out + 1] = '"[' .. kind .. ']"'
  end
end

--- A list, also when it is empty, whose entries are made when it is their turn.
---@param count integer
---@param make fun(position: integer): any
---@return table
function M.list(count, make)
  return setmetatable({ count = count, make = make }, List)
end

--- A value as JSON. A table with the keys 1 to n is a list, any other an object with sorted keys;
--- keys that are no strings are written in brackets. Functions and the like are "[function]", a
--- table inside itself is "[cycle]", and below 64 levels stands "[too deep]".
---@param value any
---@param indent? integer blanks for each level; on one line unless given
---@return string
function M.encode(value, indent)
  local out = { open = {}, keys = {}, gathered = {}, indent = indent }
  add(out, value, 0)
  gather(out)
  return table.concat(out.gathered)
end

return M
