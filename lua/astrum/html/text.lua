-- Texts of the HTML report: escaped, safe to show, in the units in which they read best.
local markup = require("astrum.picture.svg").text
local terminal = require "astrum.terminal"

local M = {}

---A text on one line.
---@param text string
---@param width? integer at most so many columns
---@return string
function M.line(text, width)
  text = terminal.escape(text)
  return markup(width and terminal.cut(text, width) or text)
end

---A text that keeps its lines.
---@param text string
---@return string
function M.lines(text)
  local lines = {}
  for line in (text:gsub("\t", "    ") .. "\n"):gmatch("(.-)\n") do
    lines[#lines + 1] = terminal.escape(line)
  end
  return markup(table.concat(lines, "\n"))
end

---@param seconds number
---@return string
function M.duration(seconds)
  if seconds < 0.001 then
    return ("%.0f µs"):format(seconds * 1e6)
  elseif seconds < 1 then
    return ("%.3g ms"):format(seconds * 1e3)
  end
  return (seconds < 100 and "%.2f s" or "%.0f s"):format(seconds)
end

local WORDS <const> = { timed_out = "timed out" }

M.SIGNS = {
  completed = "✓",
  failed = "✗",
  timed_out = "◔",
  cancelled = "⊘",
  skipped = "↷",
  pending = "○",
  running = "●",
}

---@param status string
---@return string with its sign, which says the same as its colour
function M.status(status)
  return (M.SIGNS[status] or "") .. " " .. (WORDS[status] or status)
end

---@param count integer
---@param noun string in the singular
---@return string
function M.count(count, noun)
  return terminal.count(count) .. " " .. noun .. (count == 1 and "" or "s")
end

return M
