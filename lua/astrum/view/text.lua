-- Styled text for the drawings. A line is a list of spans { text, style }; texts are escaped
-- already. Widths are display columns, never bytes. A no-break space keeps two words on one
-- line and is painted as a plain space.
local terminal = require "astrum.terminal"

local M = {}

local STYLES <const> = {
  title = "1;36",
  name = "1",
  badge = "33",
  input = "32",
  output = "35",
  faint = "2",
  warning = "1;31",
}

-- A break at a space that leaves less than this part of the line is not worth it.
local SHORT_LINE <const> = 0.4

---@class astrum.view.Look what a drawing is made of
---@field color boolean
---@field ascii boolean
---@field symbols table<string, string>

-- stylua: ignore
local UNICODE <const> = {
  input = "⬅", output = "➡", from = "←", to = "→", whole = "•",
  fan_in = "⇠×", fan_out = "⇢×", again = "↩ ", below = "↓", more = "…",
  called = "ƒ", none = "—", warning = "⚠ ",
  branch = "├─ ", last = "└─ ", guide = "│  ", gap = "   ",
  tree_title = "📋 ", matrix_title = "📊 ", summary_title = "📈 ",
  horizontal = "─", vertical = "│",
  top_left = "╭", top = "┬", top_right = "╮",
  left = "├", cross = "┼", right = "┤",
  bottom_left = "╰", bottom = "┴", bottom_right = "╯",
}

-- stylua: ignore
local ASCII <const> = {
  input = "<=", output = "=>", from = "<-", to = "->", whole = "*",
  fan_in = "<-x", fan_out = "->x", again = "^ ", below = "v", more = "...",
  called = "fn", none = "-", warning = "! ",
  branch = "|- ", last = "`- ", guide = "|  ", gap = "   ",
  tree_title = "", matrix_title = "", summary_title = "",
  horizontal = "-", vertical = "|",
  top_left = "+", top = "+", top_right = "+",
  left = "+", cross = "+", right = "+",
  bottom_left = "+", bottom = "+", bottom_right = "+",
}

---@param options? { color?: boolean, unicode?: boolean }
---@return astrum.view.Look
function M.look(options)
  options = options or {}
  local ascii = options.unicode == false
  return { color = options.color == true, ascii = ascii, symbols = ascii and ASCII or UNICODE }
end

--- Columns that a line takes.
---@param line { [1]: string, [2]: string? }[]
---@return integer
function M.width(line)
  local width = 0
  for _, span in ipairs(line) do
    width = width + terminal.display_width(span[1])
  end
  return width
end

--- The text to print for a line.
---@param line { [1]: string, [2]: string? }[]
---@param look astrum.view.Look
---@return string
function M.paint(line, look)
  local parts = {}
  for index, span in ipairs(line) do
    local code = look.color and STYLES[span[2]]
    local content = span[1]:gsub("\u{A0}", " ")
    parts[index] = code and ("\27[%sm%s\27[0m"):format(code, content) or content
  end
  return table.concat(parts)
end

--- One line of the spans of several.
---@return { [1]: string, [2]: string? }[]
function M.join(...)
  local joined = {}
  for _, line in ipairs { ... } do
    table.move(line, 1, #line, #joined + 1, joined)
  end
  return joined
end

--- The line with blanks behind it, up to `width` columns.
---@return { [1]: string, [2]: string? }[]
function M.pad(line, width)
  return M.join(line, { { (" "):rep(width - M.width(line)) } })
end

local function characters_of(line)
  local characters = {}
  for _, span in ipairs(line) do
    for _, code in utf8.codes(span[1]) do
      characters[#characters + 1] = {
        text = utf8.char(code),
        style = span[2],
        width = terminal.code_width(code),
      }
    end
  end
  return characters
end

local function line_of(characters, first, last)
  local line = {}
  for index = first, last do
    local character = characters[index]
    local span = line[#line]
    if span and span[2] == character.style then
      span[1] = span[1] .. character.text
    else
      line[#line + 1] = { character.text, character.style }
    end
  end
  return line
end

-- Where a line that overflows at `index` ends best: at a space if that fills it well enough,
-- else behind a dot, at any space, behind an underscore, else anywhere.
local function best_end(breaks, overflow, index)
  local space = breaks[" "]
  if space and space.width > overflow * SHORT_LINE then
    return space.index
  end
  local choice = breaks["."] or space or breaks["_"]
  return choice and choice.index or index - 1
end

-- Index of the last character that still belongs to the line that begins at `first`.
local function end_of_line(characters, first, room)
  local width, breaks = 0, {}
  for index = first, #characters do
    local character = characters[index]
    width = width + character.width
    if width > room and index > first and character.width > 0 then
      return character.text == " " and index or best_end(breaks, width, index)
    end
    breaks[character.text] = { index = index, width = width }
  end
  return #characters
end

--- Breaks a line so that it fits: `head` and its first part, then `hang` and the rest.
---@param head { [1]: string, [2]: string? }[]
---@param body { [1]: string, [2]: string? }[]
---@param hang { [1]: string, [2]: string? }[]
---@param width integer
---@return { [1]: string, [2]: string? }[][]
function M.wrap(head, body, hang, width)
  if M.width(head) + M.width(body) <= width then
    return { M.join(head, body) }
  end
  local characters = characters_of(body)
  local lines, first = {}, 1
  while first <= #characters do
    local lead = #lines == 0 and head or hang
    local last = end_of_line(characters, first, math.max(1, width - M.width(lead)))
    local shown = last
    while shown > first and characters[shown].text == " " do
      shown = shown - 1
    end
    lines[#lines + 1] = M.join(lead, line_of(characters, first, shown))
    first = last + 1
    while first <= #characters and characters[first].text == " " do
      first = first + 1
    end
  end
  return lines
end

--- A border with a title around lines that are at most `width` - 4 columns wide.
---@param title string
---@param lines { [1]: string, [2]: string? }[][]
---@param width integer
---@param look astrum.view.Look
---@return string[]
function M.panel(title, lines, width, look)
  local symbols = look.symbols
  local rest = width - 5 - terminal.display_width(title)
  local edge = { symbols.vertical, "faint" }
  local out = {
    M.paint({
      { symbols.top_left .. symbols.horizontal .. " ", "faint" },
      { title, "title" },
      { " " .. symbols.horizontal:rep(rest) .. symbols.top_right, "faint" },
    }, look),
  }
  for _, line in ipairs(lines) do
    local content = M.pad(line, width - 4)
    out[#out + 1] = M.paint(M.join({ edge, { " " } }, content, { { " " }, edge }), look)
  end
  local bottom = symbols.bottom_left .. symbols.horizontal:rep(width - 2) .. symbols.bottom_right
  out[#out + 1] = M.paint({ { bottom, "faint" } }, look)
  return out
end

return M
