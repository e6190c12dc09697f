-- The data transport matrix: one row a task, with everything that goes in and comes out.
local label = require "astrum.view.label"
local fill = require("astrum.view.model").fill
local text = require "astrum.view.text"

local M = {}

local ROW_LIMIT <const> = 200
local ITEM_LIMIT <const> = 20
local BORDERS <const> = 10
local COLUMNS <const> = 3

local function numbered(items, noun, line_of, look)
  local cell = {}
  for position = 1, math.min(#items, ITEM_LIMIT) do
    local number = ("%d. "):format(position)
    cell[position] = {
      { { number, "faint" } },
      line_of(items[position]),
      { { (" "):rep(#number) } },
    }
  end
  if #items > ITEM_LIMIT then
    local more = label.more(#items - ITEM_LIMIT, noun, look)
    cell[#cell + 1] = { {}, { { more, "faint" } }, {} }
  elseif #items == 0 then
    cell[1] = { {}, { { look.symbols.none, "faint" } }, {} }
  end
  return cell
end

local function row_of(node, model, look)
  local arrow = (" %s\u{A0}"):format(look.symbols.to)
  local function input_line(item)
    return {
      { label.source(item, look) },
      { "." .. label.key(item, look), "input" },
      { arrow .. label.type(item, look), "faint" },
    }
  end
  local function output_line(item)
    return {
      { label.key(item, look), "output" },
      { arrow, "faint" },
      { label.safe(model.nodes[item.target].name, look) },
      { " " .. label.type(item, look), "faint" },
    }
  end
  return {
    { { {}, { { label.safe(node.name, look), "name" } }, {} } },
    numbered(node.inputs, "input", input_line, look),
    numbered(node.outputs, "output", output_line, look),
  }
end

local function header_row(look)
  local symbols = look.symbols
  local row = {}
  for index, title in ipairs { "Task", "Input " .. symbols.input, "Output " .. symbols.output } do
    row[index] = { { {}, { { title, "title" } }, {} } }
  end
  return row
end

--- The rows of the matrix, the header first; a row has three cells, a cell has lines as
--- text.wrap wants them.
---@param model astrum.view.Model
---@param look astrum.view.Look
---@return table[]
function M.rows(model, look)
  local rows, shown = { header_row(look) }, {}
  for id = 1, math.min(#model.nodes, ROW_LIMIT) do
    shown[id] = true
  end
  fill(model, shown)
  for id = 1, math.min(#model.nodes, ROW_LIMIT) do
    rows[#rows + 1] = row_of(model.nodes[id], model, look)
  end
  if #model.nodes > ROW_LIMIT then
    local more = label.more(#model.nodes - ROW_LIMIT, "task", look)
    rows[#rows + 1] = { { { {}, { { more, "faint" } }, {} } }, {}, {} }
  end
  return rows
end

local function natural_widths(rows)
  local widths = { 0, 0, 0 }
  for _, row in ipairs(rows) do
    for column, cell in ipairs(row) do
      for _, line in ipairs(cell) do
        local width = text.width(line[1]) + text.width(line[2])
        widths[column] = math.max(widths[column], width)
      end
    end
  end
  return widths
end

--- Columns that the matrix takes when no line is broken.
---@param rows table[]
---@return integer
function M.natural_width(rows)
  local widths = natural_widths(rows)
  return widths[1] + widths[2] + widths[3] + BORDERS
end

-- Columns narrower than an equal share of what is left keep their width; the others share.
local function column_widths(rows, width)
  local widths, fixed = natural_widths(rows), {}
  local room, sharing = width - BORDERS, COLUMNS
  local settled
  repeat
    settled = true
    for column = 1, COLUMNS do
      if not fixed[column] and widths[column] <= room // sharing then
        fixed[column] = true
        room, sharing = room - widths[column], sharing - 1
        settled = false
      end
    end
  until settled or sharing == 0
  for column = 1, COLUMNS do
    if not fixed[column] then
      widths[column] = room // sharing
      room, sharing = room - widths[column], sharing - 1
    end
  end
  widths[COLUMNS] = widths[COLUMNS] + math.max(0, room)
  return widths
end

local function rule(widths, left, cross, right, look)
  local parts = {}
  for column, width in ipairs(widths) do
    parts[column] = look.symbols.horizontal:rep(width + 2)
  end
  return text.paint({ { left .. table.concat(parts, cross) .. right, "faint" } }, look)
end

-- The lines of each cell of a row, broken to the widths, and the height of the tallest.
local function break_row(row, widths)
  local cells, height = {}, 1
  for column, cell in ipairs(row) do
    local lines = {}
    for _, line in ipairs(cell) do
      local broken = text.wrap(line[1], line[2], line[3], widths[column])
      table.move(broken, 1, #broken, #lines + 1, lines)
    end
    cells[column] = lines
    height = math.max(height, #lines)
  end
  return { cells = cells, height = height }
end

local function add_row(out, row, widths, look)
  local edge = { look.symbols.vertical, "faint" }
  for index = 1, row.height do
    local line = { edge }
    for column, width in ipairs(widths) do
      local content = text.pad(row.cells[column][index] or {}, width)
      line = text.join(line, { { " " } }, content, { { " " }, edge })
    end
    out[#out + 1] = text.paint(line, look)
  end
end

--- The table as text, exactly `width` columns wide. Rows are set apart by lines when one of them
--- is taller than a line.
---@param rows table[]
---@param width integer
---@param look astrum.view.Look
---@return string[]
function M.draw(rows, width, look)
  local symbols = look.symbols
  local widths = column_widths(rows, width)
  local out = {
    text.paint({ { symbols.matrix_title .. "Data Transport Matrix", "title" } }, look),
    rule(widths, symbols.top_left, symbols.top, symbols.top_right, look),
  }
  local broken, tall = {}, false
  for index, row in ipairs(rows) do
    broken[index] = break_row(row, widths)
    tall = tall or broken[index].height > 1
  end
  local between = rule(widths, symbols.left, symbols.cross, symbols.right, look)
  for index, row in ipairs(broken) do
    if index == 2 or (index > 2 and tall) then
      out[#out + 1] = between
    end
    add_row(out, row, widths, look)
  end
  out[#out + 1] = rule(widths, symbols.bottom_left, symbols.bottom, symbols.bottom_right, look)
  return out
end

return M
