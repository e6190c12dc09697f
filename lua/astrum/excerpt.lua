-- The line of the user's that a message is about, with carets below what is wrong there.
local core = require "astrum.core"
local terminal = require "astrum.terminal"

core.own()

local M = {}

local MOST_LINES <const> = 50

---@alias astrum.MarkForm
---| "reference"|"declaration"|"string"|"parameter"|"field"|"index"
---| "name" any place where it is a word
---| "option"|"upvalue" also in the lines below the first one

---@class astrum.Mark what to put carets below
---@field name string of a task, a parameter or an option
---@field form astrum.MarkForm how it is written
---@field after string? the input or option that it belongs to, written before it

-- What may stand before and behind a name, by the form in which it is written.
local BEFORE <const> = {
  reference = { "%f[%w_]F%s*%.%s*$", "%f[%w_]F%s*%(?%s*[\"']$", "%f[%w_]F%s*%[%s*[\"']$" },
  declaration = { "[%w_]%s*%(?%s*[\"']$" },
  string = { "[\"']$" },
  option = { "[{,%s]$" },
  field = { "[%w_%])}]%s*%.%s*$", "[%[(,.]%s*[\"']$", "[\"'][%w_.]*%.$" },
  index = { "[%w_%]]%s*$" },
  name = { "^$", "[^%w_]$" },
  upvalue = { "^$", "[^%w_]$" },
  parameter = { "function%s*[%w_.:]*%s*%($", "function%s*[%w_.:]*%s*%([^)]*[,%s]$" },
}
local BEHIND <const> = {
  reference = "^[^%w_]",
  declaration = "^[\"']",
  string = "^[\"']",
  option = "^%s*=[^=]",
  field = "^[^%w_]",
  index = "^",
  name = "^[^%w_]",
  upvalue = "^[^%w_]",
  parameter = "^%s*[,)]",
}

local function stands_there(line, first, last, form)
  if not (line:sub(last + 1) .. "\n"):find(BEHIND[form]) then
    return false
  end
  local before = line:sub(1, first - 1)
  for _, pattern in ipairs(BEFORE[form]) do
    if before:find(pattern) then
      return true
    end
  end
  return false
end

-- Where the name stands: the only place that fits, or the first one behind `after`.
local function find(line, mark)
  local start, is_sure = 1, false
  if mark.after then
    local _, last = line:find("%f[%w_]" .. mark.after:gsub("%W", "%%%0") .. "%f[^%w_]%s*=[^=]")
    start, is_sure = last or 1, last ~= nil
  end
  local found
  while true do
    local first, last = line:find(mark.name, start, true)
    if not first or mark.name == "" then
      return found, found and found + #mark.name - 1
    end
    if stands_there(line, first, last, mark.form) then
      if found then
        return nil
      end
      found = first
      if is_sure then
        return first, last
      end
    end
    start = first + 1
  end
end

local function with_number(line, text)
  return ("%4d | %s"):format(line, text)
end

-- As it is shown: carets stand below what is seen, not below the bytes of the file.
local function plain(text, ascii)
  return terminal.escape(text:gsub("\t", "    "), ascii)
end

-- The line, if it is text that can be shown as it is.
local function readable_line(source, line)
  local text = line > 0 and core.source_line(source, line)
  text = text and text:gsub("%s+$", "")
  if not text or text:find("[\0-\8\10-\31\127]") or text:find("\xC2[\x80-\x9F]") then
    return nil
  end
  return utf8.len(text) and text or nil
end

-- The lines of a declaration behind its first one: those that are further in.
local function lines_inside(source, line)
  local indent = #(core.source_line(source, line) or ""):match "^%s*"
  local last = line + MOST_LINES
  return function(_, at)
    local text = at < last and core.source_line(source, at + 1)
    if text and (text:find "^%s*$" or #text:match "^%s*" > indent) then
      return at + 1
    end
  end,
    nil,
    line
end

local function drawn(line, text, first, last, ascii)
  local gutter = #with_number(line, "") - 3
  local before = terminal.display_width(plain(text:sub(1, first - 1), ascii))
  local width = terminal.display_width(plain(text:sub(first, last), ascii))
  local carets = (" "):rep(before) .. ("^"):rep(math.max(1, width))
  return with_number(line, plain(text, ascii)) .. "\n" .. (" "):rep(gutter) .. " | " .. carets
end

local function search(source, line, mark, ascii)
  local text = readable_line(source, line)
  local first, last = find(text or "", mark)
  -- A name may be a part of a character.
  if first and utf8.len(text, 1, first - 1) and utf8.len(mark.name) then
    return drawn(line, text, first, last, ascii)
  end
end

---The excerpt, two lines; nil when the line cannot be read, or when nothing of what could be marked
---is found there for certain.
---An option is also looked for in the lines of the declaration below the first one.
---@param source string as messages name it: a file, or some other name
---@param line integer from 1
---@param marks astrum.Mark[] the first one that is found gets the carets
---@param ascii boolean? other characters are shown as \u{XXXX}
---@return string?
function M.of(source, line, marks, ascii)
  for _, mark in ipairs(readable_line(source, line) and marks or {}) do
    local shown = search(source, line, mark, ascii)
    if not shown and (mark.form == "option" or mark.form == "upvalue") then
      for at in lines_inside(source, line) do
        shown = shown or search(source, at, mark, ascii)
      end
    end
    if shown then
      return shown
    end
  end
  return nil
end

---The line without carets; nil when it cannot be read, or is empty.
---@param source string
---@param line integer from 1
---@param ascii boolean? other characters are shown as \u{XXXX}
---@return string?
function M.line(source, line, ascii)
  local text = readable_line(source, line)
  return text and text ~= "" and with_number(line, plain(text, ascii)) or nil
end

-- Where in a text so many columns end: the byte behind them, and how many they are, which may be
-- one more.
local function behind_columns(text, columns)
  local width = 0
  for position, code in utf8.codes(text) do
    local more = terminal.code_width(code)
    if width >= columns and more > 0 then
      return position, width
    end
    width = width + more
  end
  return #text + 1, width
end

-- Both lines where only ASCII can be shown.
local function in_ascii(shown, carets)
  local first, last = carets:find "%^+"
  local from, behind = (behind_columns(shown, first - 1)), (behind_columns(shown, last))
  local before = #terminal.escape(shown:sub(1, from - 1), true)
  local width = #terminal.escape(shown:sub(from, behind - 1), true)
  local gutter = carets:match "^ *| "
  carets = gutter .. (" "):rep(before - #gutter) .. ("^"):rep(width)
  return terminal.escape(shown, true), carets
end

---Lines of a text as they are shown: safe on a terminal, and carets below what they point to. Where
---there is a width, of a line with carets what is far from these is left out.
---@param text string
---@param style { ascii: boolean?, more: string, width: integer? }
---@return fun(): string?, boolean? the next line, and whether it is one of an excerpt
function M.lines(text, style)
  local lines, i = {}, 0
  for line in (text .. "\n"):gmatch "(.-)\r?\n" do
    lines[#lines + 1] = (line:gsub("\t", "    "))
  end
  local below
  return function()
    if below then
      local carets = below
      below = nil
      return carets, true
    end
    i = i + 1
    local line, carets = lines[i], lines[i + 1]
    if not line or not line:find "^ *%d+ | " or not utf8.len(line) then
      return line and terminal.escape(line, style.ascii), false
    end
    carets = carets and carets:find "^ +| *%^+$" and carets or nil
    if not carets then
      return M.fit(terminal.escape(line, style.ascii), nil, style.width, style.more), true
    end
    i = i + 1
    if style.ascii then
      line, carets = in_ascii(line, carets)
    end
    line, below = M.fit(terminal.escape(line), carets, style.width, style.more)
    return line, true
  end
end

---A line with its carets for so many columns: what is far from the carets is left out.
---@param shown string the line of an excerpt
---@param carets string? the line below it
---@param width integer? columns; nil: there is room
---@param more string stands for what is left out
---@return string shown
---@return string? carets
function M.fit(shown, carets, width, more)
  local gutter, text = shown:match "^(%s*%d+ | )(.*)$"
  width = width or math.maxinteger
  local room = width - #gutter
  if terminal.display_width(shown) <= width or room < 8 then
    return shown, carets
  elseif not carets then
    return terminal.cut(shown, width, more)
  end
  local first, last = carets:find "%^+"
  local column, count = first - #gutter - 1, last - first + 1
  local more_width = terminal.display_width(more)
  if column + count > room - more_width then
    local from, dropped = behind_columns(text, math.max(column - math.max(room - count, 0) // 2, 1))
    text = more .. text:sub(from)
    column = column - dropped + more_width
  end
  text = terminal.cut(text, room, more)
  count = math.max(1, math.min(count, room - column))
  return gutter .. text, (" "):rep(#gutter - 3) .. " | " .. (" "):rep(column) .. ("^"):rep(count)
end

return M
