-- What the terminal can do, and text that is safe to send to it: colour, character set and
-- width are decided from the environment; names and values are data, so whatever could move
-- the cursor or reorder the line is shown as an escape.
local M = {}

local DEFAULT_WIDTH <const> = 80

-- What the command line says of colour.
local wish

---Sets what decides where the code does not say whether there is to be colour.
---@param choice "auto"|"always"|"never"
function M.set_color(choice)
  wish = choice
end

-- Pairs of first and last code point, ascending: two columns wide.
-- stylua: ignore
local WIDE <const> = {
  0x1100, 0x115F, 0x231A, 0x231B, 0x2329, 0x232A, 0x23E9, 0x23EC, 0x23F0, 0x23F0,
  0x23F3, 0x23F3, 0x25FD, 0x25FE, 0x2614, 0x2615, 0x2648, 0x2653, 0x267F, 0x267F,
  0x2693, 0x2693, 0x26A1, 0x26A1, 0x26AA, 0x26AB, 0x26BD, 0x26BE, 0x26C4, 0x26C5,
  0x26CE, 0x26CE, 0x26D4, 0x26D4, 0x26EA, 0x26EA, 0x26F2, 0x26F3, 0x26F5, 0x26F5,
  0x26FA, 0x26FA, 0x26FD, 0x26FD, 0x2705, 0x2705, 0x270A, 0x270B, 0x2728, 0x2728,
  0x274C, 0x274C, 0x274E, 0x274E, 0x2753, 0x2755, 0x2757, 0x2757, 0x2795, 0x2797,
  0x27B0, 0x27B0, 0x27BF, 0x27BF, 0x2B1B, 0x2B1C, 0x2B50, 0x2B50, 0x2B55, 0x2B55,
  0x2E80, 0x303E, 0x3040, 0x3247, 0x3250, 0x4DBF, 0x4E00, 0xA4CF, 0xA960, 0xA97F,
  0xAC00, 0xD7A3, 0xF900, 0xFAFF, 0xFE10, 0xFE1F, 0xFE30, 0xFE6F, 0xFF00, 0xFF60,
  0xFFE0, 0xFFE6, 0x16FE0, 0x18DFF, 0x1AFF0, 0x1B2FF, 0x1F004, 0x1F004, 0x1F0CF, 0x1F0CF,
  0x1F18E, 0x1F18E, 0x1F191, 0x1F19A, 0x1F200, 0x1F320, 0x1F32D, 0x1F335, 0x1F337, 0x1F37C,
  0x1F37E, 0x1F393, 0x1F3A0, 0x1F3CA, 0x1F3CF, 0x1F3D3, 0x1F3E0, 0x1F3F0, 0x1F3F4, 0x1F3F4,
  0x1F3F8, 0x1F43E, 0x1F440, 0x1F440, 0x1F442, 0x1F4FC, 0x1F4FF, 0x1F53D, 0x1F54B, 0x1F54E,
  0x1F550, 0x1F567, 0x1F57A, 0x1F57A, 0x1F595, 0x1F596, 0x1F5A4, 0x1F5A4, 0x1F5FB, 0x1F64F,
  0x1F680, 0x1F6C5, 0x1F6CC, 0x1F6CC, 0x1F6D0, 0x1F6D2, 0x1F6D5, 0x1F6DF, 0x1F6EB, 0x1F6EF,
  0x1F6F4, 0x1F6FF, 0x1F7E0, 0x1F7FF, 0x1F90C, 0x1F93A, 0x1F93C, 0x1F945, 0x1F947, 0x1F9FF,
  0x1FA70, 0x1FAFF, 0x20000, 0x3FFFD,
}

-- The same for marks that take no column of their own, of the scripts in common use.
-- stylua: ignore
local ZERO <const> = {
  0x0300, 0x036F, 0x0483, 0x0489, 0x0591, 0x05BD, 0x05BF, 0x05BF, 0x05C1, 0x05C2,
  0x05C4, 0x05C5, 0x05C7, 0x05C7, 0x0610, 0x061A, 0x064B, 0x065F, 0x0670, 0x0670,
  0x06D6, 0x06DC, 0x06DF, 0x06E4, 0x06E7, 0x06E8, 0x06EA, 0x06ED, 0x0900, 0x0902,
  0x093A, 0x093A, 0x093C, 0x093C, 0x0941, 0x0948, 0x094D, 0x094D, 0x0951, 0x0957,
  0x0981, 0x0981, 0x09BC, 0x09BC, 0x09C1, 0x09C4, 0x09CD, 0x09CD, 0x0E31, 0x0E31,
  0x0E34, 0x0E3A, 0x0E47, 0x0E4E, 0x0EB1, 0x0EB1, 0x0EB4, 0x0EBC, 0x0EC8, 0x0ECD,
  0x1160, 0x11FF, 0x135D, 0x135F, 0x17B4, 0x17B5, 0x17B7, 0x17BD, 0x17C6, 0x17C6,
  0x17C9, 0x17D3, 0x1AB0, 0x1AFF, 0x1DC0, 0x1DFF, 0x200C, 0x200D, 0x20D0, 0x20F0,
  0x302A, 0x302D, 0x3099, 0x309A, 0xFE00, 0xFE0F, 0xFE20, 0xFE2F, 0xE0100, 0xE01EF,
}

-- Invisible characters that reorder, hide or break text; zero-width joiners are left alone
-- because several scripts and many emoji need them.
-- stylua: ignore
local UNSAFE <const> = {
  0x0000, 0x001F, 0x007F, 0x009F, 0x061C, 0x061C, 0x200B, 0x200B, 0x200E, 0x200F,
  0x2028, 0x202E, 0x2060, 0x206F, 0xFEFF, 0xFEFF, 0xFFF9, 0xFFFB, 0xE0000, 0xE007F,
}

local function within(ranges, code)
  local low, high = 1, #ranges // 2
  while low <= high do
    local middle = (low + high) // 2
    if code < ranges[2 * middle - 1] then
      high = middle - 1
    elseif code > ranges[2 * middle] then
      low = middle + 1
    else
      return true
    end
  end
  return false
end

local function value_of(getenv, name)
  local value = getenv(name)
  if value ~= nil and value ~= "" then
    return value
  end
  return nil
end

---@class astrum.TerminalQuery
---@field color? "auto"|"always"|"never"|boolean what the user asked for
---@field isatty? boolean whether the stream is a terminal
---@field getenv? fun(name: string): string? `os.getenv` unless given

--- Whether to use colour. The first that says something decides: the user's wish, FORCE_COLOR,
--- NO_COLOR, CLICOLOR_FORCE, then whether the stream is a terminal that is not dumb.
---@param query? astrum.TerminalQuery
---@return boolean
function M.color(query)
  query = query or {}
  local getenv = query.getenv or os.getenv
  if query.color == true or query.color == "always" then
    return true
  end
  if query.color == false or query.color == "never" then
    return false
  end
  if wish == "always" or wish == "never" then
    return wish == "always"
  end
  if value_of(getenv, "FORCE_COLOR") then
    return true
  end
  if value_of(getenv, "NO_COLOR") then
    return false
  end
  if (value_of(getenv, "CLICOLOR_FORCE") or "0") ~= "0" then
    return true
  end
  return query.isatty == true and getenv("TERM") ~= "dumb"
end

--- Whether the locale can show more than ASCII.
---@param getenv? fun(name: string): string? `os.getenv` unless given
---@return boolean
function M.unicode(getenv)
  getenv = getenv or os.getenv
  local locale = value_of(getenv, "LC_ALL")
    or value_of(getenv, "LC_CTYPE")
    or value_of(getenv, "LANG")
    or ""
  return locale:lower():find("utf%-?8") ~= nil
end

--- The width to draw for: COLUMNS, else what the terminal says, else 80.
---@param columns? integer what the terminal says
---@param getenv? fun(name: string): string? `os.getenv` unless given
---@return integer
function M.width(columns, getenv)
  local text = value_of(getenv or os.getenv, "COLUMNS")
  local wanted = text and text:match("^%d+$") and math.tointeger(tonumber(text))
  if wanted and wanted > 0 then
    return wanted
  end
  if columns and columns > 0 then
    return columns
  end
  return DEFAULT_WIDTH
end

---@class astrum.TerminalOptions
---@field width integer
---@field color boolean
---@field unicode boolean

--- All three decisions for one stream.
---@param fd integer 1 for standard output, 2 for standard error
---@param probe? fun(fd: integer): boolean, integer? says whether `fd` is a terminal, and how wide
---@param query? astrum.TerminalQuery `isatty` is taken from the probe
---@return astrum.TerminalOptions
function M.options(fd, probe, query)
  query = query or {}
  local isatty, columns
  if probe then
    isatty, columns = probe(fd)
  end
  return {
    width = M.width(columns, query.getenv),
    color = M.color { color = query.color, isatty = isatty, getenv = query.getenv },
    unicode = M.unicode(query.getenv),
  }
end

local function hex(bytes)
  return (bytes:gsub(".", function(byte)
    return ("\\x%02X"):format(byte:byte())
  end))
end

local function escape_valid(text, ascii)
  local escaped = text:gsub("[\0-\x1F\x7F\xC2-\xF4][\x80-\xBF]*", function(character)
    local code = utf8.codepoint(character)
    if within(UNSAFE, code) then
      return hex(character)
    end
    return ascii and code > 0x7F and ("\\u{%X}"):format(code) or nil
  end)
  return escaped
end

--- Text that is safe on a terminal and takes one line: control characters, those that reorder
--- or hide text and invalid UTF-8 become \xNN, byte by byte.
---@param text string
---@param ascii? boolean true: everything that is not ASCII becomes \u{XXXX}
---@return string
function M.escape(text, ascii)
  if not text:find("[^\x20-\x7E]") then
    return text
  end
  local parts, from = {}, 1
  while from <= #text do
    local count, invalid = utf8.len(text, from)
    local last = count and #text or invalid - 1
    parts[#parts + 1] = escape_valid(text:sub(from, last), ascii)
    if invalid then
      parts[#parts + 1] = hex(text:sub(invalid, invalid))
    end
    from = last + (count and 1 or 2)
  end
  return table.concat(parts)
end

--- Columns that one code point takes: 0, 1 or 2.
---@param code integer
---@return integer
function M.code_width(code)
  if code < 0x300 then
    return 1
  end
  if within(ZERO, code) then
    return 0
  end
  return within(WIDE, code) and 2 or 1
end

--- Columns that a text takes. It must be valid UTF-8, as `escape` returns it.
---@param text string
---@return integer
function M.display_width(text)
  if not text:find("[\x80-\xFF]") then
    return #text
  end
  local width = 0
  for _, code in utf8.codes(text) do
    width = width + M.code_width(code)
  end
  return width
end

--- The text itself if it fits into `width` columns, else its beginning and `ellipsis`.
---@param text string valid UTF-8
---@param width integer
---@param ellipsis? string "…" unless given
---@return string
function M.cut(text, width, ellipsis)
  if M.display_width(text) <= width then
    return text
  end
  ellipsis = ellipsis or "…"
  local room = width - M.display_width(ellipsis)
  for position, code in utf8.codes(text) do
    room = room - M.code_width(code)
    if room < 0 then
      return text:sub(1, position - 1) .. ellipsis
    end
  end
  return text
end

local CODES <const> = { bold = 1, dim = 2, red = 31, green = 32, yellow = 33, cyan = 36 }

--- A text in a colour, for a stream that has colour.
---@param color "bold"|"dim"|"red"|"green"|"yellow"|"cyan"
---@param text string
---@return string
function M.paint(color, text)
  return ("\27[%dm%s\27[0m"):format(CODES[color], text)
end

local STATE_COLORS <const> = {
  completed = "green",
  failed = "red",
  timed_out = "yellow",
  cancelled = "yellow",
  running = "cyan",
  skipped = "dim",
  reused = "dim",
  ["not run"] = "dim",
}

--- A text in the colour of the state of a task or run.
---@param state string
---@param text string
---@return string
function M.paint_state(state, text)
  local color = STATE_COLORS[state]
  return color and M.paint(color, text) or text
end

--- A count with its thousands set apart: 99,800.
---@param number integer
---@return string
function M.count(number)
  local text = ("%d"):format(number):reverse():gsub("%d%d%d", "%0,"):reverse()
  return (text:gsub("^,", ""))
end

return M
