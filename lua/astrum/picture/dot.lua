-- A graph as text for Graphviz.
local M = {}

-- The colours of each outcome: fill and border.
local COLORS <const> = {
  completed = { "#dcf5e3", "#1a7f37" },
  failed = { "#ffe0dd", "#cf222e" },
  timed_out = { "#ffe9c7", "#bc4c00" },
  cancelled = { "#efe4ff", "#8250df" },
  skipped = { "#eceff2", "#6e7781" },
  pending = { "#ffffff", "#6e7781" },
  running = { "#ddf4ff", "#0969da" },
}

-- Inside quotes a backslash begins an escape and an ampersand an entity.
local function text_of(text)
  return (text:gsub('[\\"]', "\\%0"):gsub("&", "&amp;"))
end

local function label_of(lines)
  local parts = {}
  for position, line in ipairs(lines) do
    parts[position] = text_of(line)
  end
  return '"' .. table.concat(parts, "\\n") .. '"'
end

local function node_line(position, node)
  local lines = table.move(node.notes, 1, #node.notes, 2, { node.name })
  lines[#lines + 1] = node.outcome
  local style = "rounded,filled"
  if node.status == "skipped" or node.detached then
    style = style .. ",dashed"
  end
  local color = COLORS[node.status]
  local extra = color and (', fillcolor="%s", color="%s"'):format(color[1], color[2]) or ""
  return ('  n%d [label=%s, style="%s"%s];'):format(position, label_of(lines), style, extra)
end

---@param graph astrum.picture.Graph
---@return string
function M.draw(graph)
  local out = {
    "digraph workflow {",
    '  graph [bgcolor="transparent", rankdir=TB];',
    '  node [shape=box, fontname="Helvetica", fontsize=11, fillcolor="#f6f8fa", color="#57606a"];',
    '  edge [fontname="Helvetica", fontsize=9, color="#57606a", fontcolor="#57606a"];',
  }
  for position, node in ipairs(graph.nodes) do
    out[#out + 1] = node_line(position, node)
  end
  for _, edge in ipairs(graph.edges) do
    local attributes = {}
    if #edge.labels > 0 then
      attributes[1] = "label=" .. label_of(edge.labels)
    end
    if edge.critical then
      attributes[#attributes + 1] = "penwidth=2"
    end
    local list = #attributes > 0 and " [" .. table.concat(attributes, ", ") .. "]" or ""
    out[#out + 1] = ("  n%d -> n%d%s;"):format(edge.from, edge.to, list)
  end
  if graph.left_out then
    out[#out + 1] = ("  more [label=%s, shape=plaintext];"):format(label_of { graph.left_out })
  end
  out[#out + 1] = "}"
  return table.concat(out, "\n") .. "\n"
end

return M
