-- A graph as Mermaid text, a `flowchart TD`.
local M = {}

-- The colours of each outcome: fill, border, text.
local CLASSES <const> = {
  { "completed", "fill:#dcf5e3,stroke:#1a7f37,color:#0b3d1b" },
  { "failed", "fill:#ffe0dd,stroke:#cf222e,color:#5c0b12" },
  { "timed_out", "fill:#ffe9c7,stroke:#bc4c00,color:#4f2000" },
  { "cancelled", "fill:#efe4ff,stroke:#8250df,color:#35166b" },
  { "skipped", "fill:#eceff2,stroke:#6e7781,color:#32383f,stroke-dasharray:4 3" },
  { "pending", "fill:#ffffff,stroke:#6e7781,color:#32383f" },
  { "running", "fill:#ddf4ff,stroke:#0969da,color:#0a3069" },
}

local function codes(characters)
  return (
    characters:gsub(".", function(character)
      return ("#%d;"):format(character:byte())
    end)
  )
end

-- Text in quotes: what some version of Mermaid takes for markup, an icon, a list or a link becomes
-- character codes.
local function text_of(text)
  text = text:gsub('["#&<>\\`*~|;%%{}$@!^:]', codes)
  text = text:gsub("%f[%w_]_+", codes):gsub("_+%f[^%w_]", codes)
  text = text:gsub("^[-+]", codes):gsub("^(%d+)(%.)", function(number, dot)
    return number .. codes(dot)
  end)
  return (text:gsub("[wW][wW][wW]%.", codes))
end

local function label_of(lines)
  local parts = {}
  for position, line in ipairs(lines) do
    parts[position] = text_of(line)
  end
  return '"' .. table.concat(parts, "\\n") .. '"'
end

local function edge_label(labels)
  local parts = {}
  for position, label in ipairs(labels) do
    parts[position] = text_of(label):gsub(" %-#62; ", " -> ")
  end
  return '"' .. table.concat(parts, ", ") .. '"'
end

---@param graph astrum.picture.Graph
---@return string
function M.draw(graph)
  local out, used = { "flowchart TD" }, {}
  for position, node in ipairs(graph.nodes) do
    local lines = table.move(node.notes, 1, #node.notes, 2, { node.name })
    lines[#lines + 1] = node.outcome
    local class = node.status and ":::" .. node.status or ""
    used[node.status or false] = true
    out[#out + 1] = ("    n%d[%s]%s"):format(position, label_of(lines), class)
  end
  for _, edge in ipairs(graph.edges) do
    local arrow = edge.critical and "==>" or "-->"
    local label = #edge.labels > 0 and "|" .. edge_label(edge.labels) .. "|" or ""
    out[#out + 1] = ("    n%d %s%s n%d"):format(edge.from, arrow, label, edge.to)
  end
  if graph.left_out then
    out[#out + 1] = ("    more[%s]"):format(label_of { graph.left_out })
  end
  for _, class in ipairs(CLASSES) do
    if used[class[1]] then
      out[#out + 1] = ("    classDef %s %s"):format(class[1], class[2])
    end
  end
  return table.concat(out, "\n") .. "\n"
end

return M
