-- Drawings of a workflow for the terminal: the dependency tree, the data transport matrix and
-- a summary. They look the same whatever was declared first, fit the width, and stay readable
-- for large workflows by saying how much they leave out.
local terminal = require "astrum.terminal"
local label = require "astrum.view.label"
local matrix = require "astrum.view.matrix"
local model = require "astrum.view.model"
local text = require "astrum.view.text"
local tree = require "astrum.view.tree"

local M = {}

local DEFAULT_WIDTH <const> = 80
local LEAST_WIDTH <const> = 40
local FRAME <const> = 4
local NAME_LIMIT <const> = 20

---@class astrum.ViewOptions
---@field width? integer columns of the terminal, 80 unless given, at least 40
---@field color? boolean false unless given
---@field unicode? boolean false: plain ASCII

local function width_of(options)
  return math.max(LEAST_WIDTH, math.floor(options and options.width or DEFAULT_WIDTH))
end

local function natural_width(lines)
  local widest = 0
  for _, line in ipairs(lines) do
    widest = math.max(widest, text.width(line[1]) + text.width(line[2]))
  end
  return widest
end

local function fit(lines, width)
  local out = {}
  for _, line in ipairs(lines) do
    local broken = text.wrap(line[1], line[2], line[3], width)
    table.move(broken, 1, #broken, #out + 1, out)
  end
  return out
end

local function name_list(ids, drawn, look)
  local names = {}
  for position = 1, math.min(#ids, NAME_LIMIT) do
    names[position] = label.safe(drawn.nodes[ids[position]].name, look)
  end
  local list = table.concat(names, ", ")
  if #ids > NAME_LIMIT then
    list = ("%s, %s"):format(list, label.more(#ids - NAME_LIMIT, "task", look))
  end
  return list
end

local function summary_lines(drawn, look)
  local lines = {}
  local function add(title, value)
    lines[#lines + 1] = { {}, { { title .. ": ", "faint" }, { value } }, { { "  " } } }
  end
  add("Tasks", terminal.count(#drawn.nodes))
  add("Dependency edges", terminal.count(drawn.edge_count))
  add("Data items", terminal.count(drawn.data_count))
  if drawn.function_count > 0 then
    add("Injected functions", terminal.count(drawn.function_count))
  end
  if #drawn.fan_in > 0 then
    add("Fan-in nodes", name_list(drawn.fan_in, drawn, look))
  end
  if #drawn.fan_out > 0 then
    add("Fan-out nodes", name_list(drawn.fan_out, drawn, look))
  end
  return lines
end

local function append(out, lines)
  out[#out + 1] = ""
  table.move(lines, 1, #lines, #out + 1, out)
end

--- The dependency tree alone.
---@param workflow table
---@param options? astrum.ViewOptions
---@return string
function M.tree(workflow, options)
  local look, width = text.look(options), width_of(options)
  local out = {}
  for index, line in ipairs(fit(tree.lines(model.of(workflow), look, width), width)) do
    out[index] = text.paint(line, look)
  end
  return table.concat(out, "\n") .. "\n"
end

--- Everything: the tree in a panel, the matrix, the summary. The three are equally wide.
---@param workflow table
---@param options? astrum.ViewOptions
---@return string
function M.draw(workflow, options)
  local look, width = text.look(options), width_of(options)
  local drawn = model.of(workflow)
  local tree_lines = tree.lines(drawn, look, width - FRAME)
  local rows = matrix.rows(drawn, look)
  local summary = summary_lines(drawn, look)
  width = math.min(
    width,
    math.max(LEAST_WIDTH, natural_width(tree_lines) + FRAME, matrix.natural_width(rows))
  )
  local out = {}
  append(out, text.panel("Astrum Execution Plan", fit(tree_lines, width - FRAME), width, look))
  append(out, matrix.draw(rows, width, look))
  local title = look.symbols.summary_title .. "Summary"
  append(out, text.panel(title, fit(summary, width - FRAME), width, look))
  return table.concat(out, "\n") .. "\n"
end

return M
