-- The dependency tree: a task, the values it takes and gives, and below it the tasks it feeds.
-- First the walk (without recursion) chooses what is shown, as a flat list of entries with a
-- depth; then each entry gets its branch lines, which need to know what follows it.
local label = require "astrum.view.label"
local fill = require("astrum.view.model").fill
local text = require "astrum.view.text"

local M = {}

local TASK_LIMIT <const> = 200
local LINE_LIMIT <const> = 400
local ITEM_LIMIT <const> = 20
local TEXT_ROOM <const> = 36
local LEAST_DEPTH <const> = 4

-- How many levels fit if the deepest one is to keep some room for its text. What is deeper
-- continues further below, back at the left.
local function depth_limit(width)
  return math.max(LEAST_DEPTH, (width - TEXT_ROOM) // 3)
end

local function cut_entry(model, walk)
  local hidden = #model.nodes - walk.shown
  if hidden > 0 then
    return { depth = 1, hidden = hidden, noun = "task" }
  end
  return { depth = 1, hidden = model.edge_count - walk.links, noun = "repeated task" }
end

-- Adds the entry of one task met at `depth`; returns the ids to visit below it, or nil.
local function visit(model, walk, id, depth)
  local entry = { depth = depth, id = id }
  walk.entries[#walk.entries + 1] = entry
  if depth > 1 then
    walk.links = walk.links + 1
  end
  if walk.seen[id] then
    entry.again = true
    return nil
  end
  walk.seen[id] = true
  walk.shown = walk.shown + 1
  local children = model.nodes[id].children
  if #children == 0 then
    return nil
  end
  if depth >= walk.depth_limit then
    entry.below = true
    walk.waiting[#walk.waiting + 1] = id
    return nil
  end
  return children
end

-- Walks down from the ids; returns false when the limits cut it short.
local function descend(model, walk, ids, depth)
  local stack = { { ids = ids, position = 1, depth = depth } }
  while #stack > 0 do
    local frame = stack[#stack]
    local id = frame.ids[frame.position]
    if id == nil then
      stack[#stack] = nil
    elseif #walk.entries >= LINE_LIMIT or (walk.shown >= TASK_LIMIT and not walk.seen[id]) then
      return false
    else
      frame.position = frame.position + 1
      local children = visit(model, walk, id, frame.depth)
      if children then
        stack[#stack + 1] = { ids = children, position = 1, depth = frame.depth + 1 }
      end
    end
  end
  return true
end

local function entries_of(model, width)
  local walk = {
    entries = {},
    seen = {},
    waiting = {},
    shown = 0,
    links = 0,
    depth_limit = depth_limit(width),
  }
  local complete = descend(model, walk, model.roots, 1)
  local next_waiting = 1
  while complete and walk.waiting[next_waiting] do
    local id = walk.waiting[next_waiting]
    next_waiting = next_waiting + 1
    walk.entries[#walk.entries + 1] = { depth = 1, id = id, continued = true }
    complete = descend(model, walk, model.nodes[id].children, 2)
  end
  if not complete then
    walk.entries[#walk.entries + 1] = cut_entry(model, walk)
  end
  return walk.entries
end

-- An entry is the last of its parent when no other of its depth comes before a lesser depth.
local function mark_last(entries)
  local follows, deepest = {}, 0
  for index = #entries, 1, -1 do
    local entry = entries[index]
    entry.last = not follows[entry.depth]
    for depth = entry.depth + 1, deepest do
      follows[depth] = nil
    end
    follows[entry.depth] = true
    deepest = entry.depth
    local below = entries[index + 1]
    entry.parent = below ~= nil and below.depth > entry.depth
  end
end

local function badges(node, symbols)
  local line = {}
  if node.parent_count > 1 then
    line[#line + 1] = { (" %s%d"):format(symbols.fan_in, node.parent_count), "badge" }
  end
  if #node.children > 1 then
    line[#line + 1] = { (" %s%d"):format(symbols.fan_out, #node.children), "badge" }
  end
  return line
end

local function title_of(entry, model, look)
  local symbols = look.symbols
  if entry.hidden then
    return { { label.more(entry.hidden, entry.noun, look), "faint" } }
  end
  local node = model.nodes[entry.id]
  local name = label.safe(node.name, look)
  if entry.again then
    local line = { { ("%s%s (already shown)"):format(symbols.again, name), "faint" } }
    return text.join(line, badges(node, symbols))
  end
  if entry.continued then
    return { { name, "name" }, { " (continued)", "faint" } }
  end
  local line = text.join({ { name, "name" } }, badges(node, symbols))
  if entry.below then
    line[#line + 1] = { (" %s continued below"):format(symbols.below), "faint" }
  end
  return line
end

local function input_line(item, look)
  local symbols = look.symbols
  return {
    { symbols.input .. " ", "input" },
    { label.key(item, look) },
    { (" %s\u{A0}"):format(symbols.from), "input" },
    { label.source(item, look) },
    { " :\u{A0}" .. label.type(item, look), "faint" },
  }
end

local function output_line(item, look, model)
  local symbols = look.symbols
  return {
    { symbols.output .. " ", "output" },
    { label.key(item, look) },
    { (" %s\u{A0}"):format(symbols.to), "output" },
    { label.safe(model.nodes[item.target].name, look) },
    { " :\u{A0}" .. label.type(item, look), "faint" },
  }
end

local function add_items(lines, items, noun, line_of, model, look)
  for position = 1, math.min(#items, ITEM_LIMIT) do
    lines[#lines + 1] = line_of(items[position], look, model)
  end
  if #items > ITEM_LIMIT then
    lines[#lines + 1] = { { label.more(#items - ITEM_LIMIT, noun, look), "faint" } }
  end
end

local function data_lines(entry, model, look)
  local lines = {}
  if entry.id and not entry.again and not entry.continued then
    local node = model.nodes[entry.id]
    add_items(lines, node.inputs, "input", input_line, model, look)
    add_items(lines, node.outputs, "output", output_line, model, look)
  end
  return lines
end

local function faint(content)
  return { { content, "faint" } }
end

-- Adds an entry's lines, each { head, body, hang } as text.wrap wants them.
local function add_entry(lines, entry, guides, model, look)
  local symbols = look.symbols
  local before = table.concat(guides, "", 1, entry.depth - 1)
  guides[entry.depth] = entry.last and symbols.gap or symbols.guide
  local inside = before .. guides[entry.depth] .. (entry.parent and symbols.guide or symbols.gap)
  lines[#lines + 1] = {
    faint(before .. (entry.last and symbols.last or symbols.branch)),
    title_of(entry, model, look),
    faint(inside),
  }
  for _, line in ipairs(data_lines(entry, model, look)) do
    lines[#lines + 1] = { faint(inside), line, faint(inside .. "  ") }
  end
end

--- The lines of the tree before they are broken to the width, each { head, body, hang }.
---@param model astrum.view.Model
---@param look astrum.view.Look
---@param width integer columns that the tree may take
---@return table[]
function M.lines(model, look, width)
  local symbols = look.symbols
  local root = { { symbols.tree_title .. "Astrum DAG dependency tree", "title" } }
  local lines = { { {}, root, {} } }
  if #model.nodes == 0 then
    lines[2] = { faint(symbols.last), { { "No tasks" } }, {} }
  elseif #model.roots == 0 then
    local warning = symbols.warning .. "No root node found (possible dependency cycle)"
    lines[2] = { faint(symbols.last), { { warning, "warning" } }, faint(symbols.gap) }
  end
  local entries, guides, shown = entries_of(model, width), {}, {}
  for _, entry in ipairs(entries) do
    if entry.id then
      shown[entry.id] = true
    end
  end
  fill(model, shown)
  mark_last(entries)
  for _, entry in ipairs(entries) do
    add_entry(lines, entry, guides, model, look)
  end
  return lines
end

return M
