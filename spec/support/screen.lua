-- A terminal for specs: runs a program on a pseudo terminal, and shows what is on the screen when
-- its output has been carried out.

local program = require "spec.support.program"

local M = {}

---@class astrum.spec.Screen
---@field lines string[] what is to be seen, without empty lines at the end
---@field raw string all that was written
---@field code integer of the program

-- Carries out what a program writes; knows only what the display of progress uses.
local function show(raw, columns)
  local rows, row, column = { {} }, 1, 1
  local function put(character)
    if column > columns then
      row, column = row + 1, 1
    end
    rows[row] = rows[row] or {}
    rows[row][column] = character
    column = column + 1
  end
  local function clear_from(first_row, first_column)
    for i = #rows, first_row, -1 do
      for j = #rows[i], i == first_row and first_column or 1, -1 do
        rows[i][j] = nil
      end
    end
  end
  local at = 1
  while at <= #raw do
    local number, command = raw:match("^\27%[([%d;]*)(%a)", at)
    local character = raw:match("^[^\128-\191][\128-\191]*", at)
    if command then
      at = at + #raw:match("^\27%[[%d;]*%a", at)
      if command == "K" then
        for j = #rows[row], column, -1 do
          rows[row][j] = nil
        end
      elseif command == "J" then
        clear_from(row, column)
      elseif command == "A" then
        row = row - math.tointeger(tonumber(number))
        assert(row >= 1, "the cursor left the screen")
      else
        assert(command == "m", "unknown command " .. command)
      end
    elseif character == "\r" then
      at, column = at + 1, 1
    elseif character == "\n" then
      at, row = at + 1, row + 1
      rows[row] = rows[row] or {}
    else
      put(character)
      at = at + #character
    end
  end
  local lines = {}
  for i, cells in ipairs(rows) do
    for j = 1, #cells do
      cells[j] = cells[j] or " "
    end
    lines[i] = table.concat(cells)
  end
  while lines[#lines] == "" do
    lines[#lines] = nil
  end
  return lines
end

---Runs astrum-lua on a terminal.
---@param arguments string[]
---@param size? { columns?: integer, rows?: integer, env?: string, steps?: string[] } 80, 24; with
---what is typed, in the steps of bindings/test/pty_drive.c
---@return astrum.spec.Screen
function M.run(arguments, size)
  size = size or {}
  local columns, rows = size.columns or 80, size.rows or 24
  local command = ('stty cols %d rows %d; exec "$0" "$@"'):format(columns, rows)
  local words = { "sh", "-c", command, program.path, table.unpack(arguments) }
  local result = program.run(words, {
    program = program.build .. "/test/pty_drive",
    input = table.concat(size.steps or {}, "\n"),
    env = "-u COLUMNS -u NO_COLOR -u FORCE_COLOR TERM=xterm LC_ALL=C.UTF-8 " .. (size.env or ""),
  })
  assert(result.err == "", result.err .. result.out)
  return { raw = result.out, lines = show(result.out, columns), code = result.code }
end

return M
