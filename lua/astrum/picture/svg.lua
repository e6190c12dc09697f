-- A graph as SVG. Stages go down, or to the right where that would be too wide. Text is set in a
-- font of fixed width, so that it is known how much room it takes. Colours follow the reader's wish
-- for light or dark.
local layout = require "astrum.picture.layout"
local terminal = require "astrum.terminal"

local M = {}

local NAME_COLUMN <const> = 7.3
local NOTE_COLUMN <const> = 6.1
local LABEL_COLUMN <const> = 5.8
local NAME_LINE <const> = 18
local NOTE_LINE <const> = 14
local LABEL_LINE <const> = 13
local PADDING <const> = 12
local MARGIN <const> = 16
local PORT_GAP <const> = 14
local WIDEST <const> = 1100
local MOST_LABELLED <const> = 60

--- The style of the picture; every selector begins with a class of its own.
M.STYLE = [[
.astrum-dag { --ink: #1f2328; --faint: #59636e; --line: #9aa4af; --paper: #ffffff;
  --plain: #f6f8fa; --edge: #c4ccd4; --hot: #0969da;
  --ok: #1a7f37; --ok-paper: #ebf8ee; --bad: #cf222e; --bad-paper: #ffefed;
  --late: #b54708; --late-paper: #fff3e0; --off: #7a45d0; --off-paper: #f5efff;
  --now: #0969da; --now-paper: #e8f4ff;
  font-family: ui-monospace, SFMono-Regular, Menlo, Consolas, "DejaVu Sans Mono", monospace; }
@media (prefers-color-scheme: dark) { .astrum-dag { --ink: #e6edf3; --faint: #9aa4af;
  --line: #6e7781; --paper: #0d1117; --plain: #1b222b; --edge: #3d4650; --hot: #4ea1ff;
  --ok: #3fb950; --ok-paper: #12261a; --bad: #ff6a60; --bad-paper: #2d1518;
  --late: #f0883e; --late-paper: #2b1d10; --off: #b98cff; --off-paper: #21193a;
  --now: #4ea1ff; --now-paper: #10243d; } }
.astrum-dag .box { fill: var(--plain); stroke: var(--edge); stroke-width: 1.2; }
.astrum-dag .name { font-size: 12px; font-weight: 600; fill: var(--ink); }
.astrum-dag .note, .astrum-dag .outcome { font-size: 10px; fill: var(--faint); }
.astrum-dag .edge { fill: none; stroke: var(--line); stroke-width: 1.3; }
.astrum-dag .tip { fill: var(--line); }
.astrum-dag .edge.critical { stroke: var(--hot); stroke-width: 2.4; }
.astrum-dag .hot { fill: var(--hot); }
.astrum-dag .label { font-size: 9.5px; fill: var(--faint); stroke: var(--paper);
  stroke-width: 4px; stroke-linejoin: round; paint-order: stroke; }
.astrum-dag .more { font-size: 12px; fill: var(--faint); }
.astrum-dag .completed .box { fill: var(--ok-paper); stroke: var(--ok); }
.astrum-dag .completed .outcome { fill: var(--ok); }
.astrum-dag .failed .box { fill: var(--bad-paper); stroke: var(--bad); stroke-width: 2; }
.astrum-dag .failed .outcome { fill: var(--bad); }
.astrum-dag .timed_out .box { fill: var(--late-paper); stroke: var(--late); stroke-width: 2; }
.astrum-dag .timed_out .outcome { fill: var(--late); }
.astrum-dag .cancelled .box { fill: var(--off-paper); stroke: var(--off); }
.astrum-dag .cancelled .outcome { fill: var(--off); }
.astrum-dag .skipped .box { stroke-dasharray: 5 4; }
.astrum-dag .detached .box { stroke-dasharray: 2 3; }
.astrum-dag .running .box { fill: var(--now-paper); stroke: var(--now); }
.astrum-dag .running .outcome { fill: var(--now); }
]]

local ENTITIES <const> =
  { ["&"] = "&amp;", ["<"] = "&lt;", [">"] = "&gt;", ['"'] = "&quot;", ["'"] = "&#39;" }

---Text for SVG and HTML.
---@param text string safe to show
---@return string
function M.text(text)
  return (text:gsub("[&<>\"']", ENTITIES))
end

-- A coordinate: a tenth of a pixel is enough.
local function at(number)
  local text = ("%.1f"):format(number):gsub(",", "."):gsub("%.0$", "")
  return text == "-0" and "0" or text
end

local function columns(text)
  return terminal.display_width(text)
end

-- --- sizes

local function size_node(node)
  node.note = table.concat(node.notes, " · ")
  node.lines = { { "name", node.name } }
  if #node.notes > 0 then
    node.lines[2] = { "note", node.note }
  end
  if node.outcome then
    node.lines[#node.lines + 1] = { "outcome", node.outcome }
  end
  local width = columns(node.name) * NAME_COLUMN
  for position = 2, #node.lines do
    width = math.max(width, columns(node.lines[position][2]) * NOTE_COLUMN)
  end
  node.width = math.max(64, math.ceil(width + 2 * PADDING))
  node.height = NAME_LINE + (#node.lines - 1) * NOTE_LINE + PADDING
end

local function size_label(edge)
  local width = 0
  for _, label in ipairs(edge.labels) do
    width = math.max(width, columns(label) * LABEL_COLUMN)
  end
  return width, #edge.labels * LABEL_LINE
end

-- Whether stages go to the right: where one is too wide to stand across a page.
local function is_wide(graph)
  local widths = {}
  for _, node in ipairs(graph.nodes) do
    widths[node.level] = (widths[node.level] or 0) + node.width + 24
    if widths[node.level] > WIDEST then
      return true
    end
  end
  return false
end

local function place(graph)
  local right = is_wide(graph)
  for _, node in ipairs(graph.nodes) do
    node.length = right and node.height or node.width
    node.depth = right and node.width or node.height
  end
  local labelled = false
  if #graph.edges <= MOST_LABELLED then
    for _, edge in ipairs(graph.edges) do
      if #edge.labels > 0 then
        local width, height = size_label(edge)
        edge.length, edge.depth = right and height or width, right and width or height
        labelled = true
      end
    end
  end
  local across = labelled and (right and 26 or 20) or (right and 64 or 44)
  local along, deep = layout.place(graph.nodes, graph.edges, {
    along = right and 14 or 24,
    across = across,
  })
  return right, along, deep
end

-- --- edges

-- Where each edge leaves and enters: spread over the side, in the order of where it goes.
local function spread(graph, own, index_of, field)
  local lists = {}
  for _, edge in ipairs(graph.edges) do
    lists[edge[own]] = lists[edge[own]] or {}
    table.insert(lists[edge[own]], edge)
  end
  for position, list in pairs(lists) do
    local node, places = graph.nodes[position], {}
    for index, edge in ipairs(list) do
      places[edge] = { edge.points[index_of(edge)][1], index }
    end
    table.sort(list, function(a, b)
      local left, right = places[a], places[b]
      return left[1] < right[1] or left[1] == right[1] and left[2] < right[2]
    end)
    local step = math.min(PORT_GAP, (node.length - 20) / math.max(1, #list - 1))
    for index, edge in ipairs(list) do
      edge[field] = node.along + (index - (#list + 1) / 2) * math.max(0, step)
    end
  end
end

-- The slope at each knot of a line that never swings beyond them: the harmonic mean of the slopes
-- on both sides, flat where it turns and at the ends.
--
-- F. Fritsch, J. Butland, A Method for Constructing Local Monotone Piecewise Cubic Interpolants
-- (1984).
local function slopes_of(knots)
  local slopes = {}
  for position = 1, #knots do
    local before, here, after = knots[position - 1], knots[position], knots[position + 1]
    slopes[position] = 0
    if before and after then
      local first = (here[1] - before[1]) / (here[2] - before[2])
      local second = (after[1] - here[1]) / (after[2] - here[2])
      slopes[position] = first * second > 0 and 2 * first * second / (first + second) or 0
    end
  end
  return slopes
end

local function knots_of(graph, edge)
  local from, to = graph.nodes[edge.from], graph.nodes[edge.to]
  local knots = { { edge.leaves, from.across + from.depth / 2 } }
  for position = 2, #edge.points - 1 do
    local along, top, bottom = table.unpack(edge.points[position])
    knots[position] = { along, (top + bottom) / 2 }
  end
  knots[#knots + 1] = { edge.enters, to.across - to.depth / 2 - 2 }
  return knots
end

local function path_of(graph, edge, right)
  local function point(along, across)
    return right and at(across) .. " " .. at(along) or at(along) .. " " .. at(across)
  end
  local knots = knots_of(graph, edge)
  local slopes = slopes_of(knots)
  local parts = { "M" .. point(table.unpack(knots[1])) }
  for position = 2, #knots do
    local a0, c0 = table.unpack(knots[position - 1])
    local a1, c1 = table.unpack(knots[position])
    local reach = (c1 - c0) * (#knots == 2 and 0.5 or 0.4)
    parts[position] = ("C%s %s %s"):format(
      point(a0 + slopes[position - 1] * reach, c0 + reach),
      point(a1 - slopes[position] * reach, c1 - reach),
      point(a1, c1)
    )
  end
  return table.concat(parts)
end

local EDGE <const> = '<path class="%s" data-from="%d" data-to="%d" '
  .. 'marker-end="url(#%s)" d="%s"/>'

local function add_edges(out, graph, right)
  spread(graph, "from", function()
    return 2
  end, "leaves")
  spread(graph, "to", function(edge)
    return #edge.points - 1
  end, "enters")
  for _, edge in ipairs(graph.edges) do
    local class = edge.critical and "edge critical" or "edge"
    local marker = edge.critical and "tip-hot" or "tip"
    out[#out + 1] = EDGE:format(
      class,
      graph.nodes[edge.from].id,
      graph.nodes[edge.to].id,
      marker,
      path_of(graph, edge, right)
    )
  end
end

local function add_labels(out, graph, right)
  for _, edge in ipairs(graph.edges) do
    if edge.label then
      local x, y = edge.label[1], edge.label[2]
      if right then
        x, y = y, x
      end
      y = y - (#edge.labels - 1) * LABEL_LINE / 2 + 3.5
      for position, label in ipairs(edge.labels) do
        out[#out + 1] = ('<text class="label" text-anchor="middle" x="%s" y="%s">%s</text>'):format(
          at(x),
          at(y + (position - 1) * LABEL_LINE),
          M.text(label)
        )
      end
    end
  end
end

-- --- nodes

local function add_node(out, position, node, right)
  local x, y = node.along, node.across
  if right then
    x, y = y, x
  end
  local class = "node" .. (node.status and " " .. node.status or "")
  if node.detached then
    class = class .. " detached"
  end
  out[#out + 1] = ('<g class="%s" id="n%d" data-task="%d" transform="translate(%s %s)">'):format(
    class,
    position,
    node.id,
    at(x - node.width / 2),
    at(y - node.height / 2)
  )
  local title = terminal.cut(node.full, 300)
  for line = 2, #node.lines do
    title = title .. ", " .. node.lines[line][2]
  end
  out[#out + 1] = ("<title>%s</title>"):format(M.text(title))
  out[#out + 1] = ('<rect class="box" width="%d" height="%d" rx="7"/>'):format(
    node.width,
    node.height
  )
  local down = PADDING / 2 + 13
  for _, line in ipairs(node.lines) do
    out[#out + 1] = ('<text class="%s" text-anchor="middle" x="%s" y="%s">%s</text>'):format(
      line[1],
      at(node.width / 2),
      at(down),
      M.text(line[2])
    )
    down = down + (line[1] == "name" and 15 or NOTE_LINE)
  end
  out[#out + 1] = "</g>"
end

local MARKER <const> = '<marker id="%s" viewBox="0 0 8 8" refX="6.5" refY="4" '
  .. 'markerWidth="%d" markerHeight="%d" markerUnits="userSpaceOnUse" orient="auto">'
  .. '<path class="%s" d="M0 .8 8 4 0 7.2z"/></marker>'
local MARKERS <const> = "<defs>\n"
  .. MARKER:format("tip", 8, 8, "tip")
  .. "\n"
  .. MARKER:format("tip-hot", 10, 10, "hot")
  .. "\n</defs>"

---What is inside the svg element, and its size.
---@param graph astrum.picture.Graph
---@return string
---@return number width
---@return number height
---@return "down"|"right" direction of the stages
function M.content(graph)
  for _, node in ipairs(graph.nodes) do
    size_node(node)
  end
  local right, along, across = place(graph)
  local width, height = along, across
  if right then
    width, height = across, along
  end
  local out = { MARKERS, ('<g transform="translate(%d %d)">'):format(MARGIN, MARGIN) }
  add_edges(out, graph, right)
  for position, node in ipairs(graph.nodes) do
    add_node(out, position, node, right)
  end
  add_labels(out, graph, right)
  local note = graph.left_out or (#graph.nodes == 0 and "no tasks") or nil
  if note then
    out[#out + 1] = ('<text class="more" x="0" y="%s">%s</text>'):format(
      at(height + 24),
      M.text(note)
    )
    width, height = math.max(width, columns(note) * NAME_COLUMN + 24), height + 28
  end
  out[#out + 1] = "</g>"
  width, height = math.ceil(width + 2 * MARGIN), math.ceil(height + 2 * MARGIN)
  return table.concat(out, "\n"), width, height, right and "right" or "down"
end

---A picture that stands alone.
---@param graph astrum.picture.Graph
---@return string
function M.draw(graph)
  local count = #graph.nodes
  local content, width, height = M.content(graph)
  local out = {
    '<svg xmlns="http://www.w3.org/2000/svg" class="astrum-dag" role="img" ',
    ('width="%d" height="%d" viewBox="0 0 %d %d">\n'):format(width, height, width, height),
    ("<title>Workflow of %d task%s</title>\n"):format(count, count == 1 and "" or "s"),
    "<style>\n",
    M.STYLE,
    '</style>\n<rect width="100%" height="100%" fill="var(--paper)"/>\n',
    content,
    "\n</svg>\n",
  }
  return table.concat(out)
end

return M
