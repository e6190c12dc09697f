-- Places of a layered drawing: every node stands in the layer of its stage, edges lead from layer
-- to layer. An edge that passes layers by, or that has a label, gets a point in each of them, so
-- nothing is drawn across a node. The order within the layers comes from sweeps that put each
-- point at the median of its neighbours; the places then from sweeps that put it as near to the
-- mean of them as the order and the gaps allow, which is a least-squares problem that merging of
-- blocks solves exactly. The outcome depends on the graph alone.
--
-- K. Sugiyama, S. Tagawa, M. Toda, Methods for Visual Understanding of Hierarchical System
-- Structures (1981); E. Gansner et al., A Technique for Drawing Directed Graphs (1993).
local M = {}

local SMALL <const> = 400
local MOST_POINTS <const> = 30000

-- How straight a line between two points of an edge is to be, between a point and a node, and how
-- firm a node stands that has no edges, where 1 is a line between two nodes.
local BETWEEN_POINTS <const> = 8
local BESIDE_POINT <const> = 2
local LOOSE <const> = 0.1

---@class astrum.layout.Node
---@field level integer from 0
---@field length number extent along the layers
---@field depth number extent across them

---@class astrum.layout.Edge
---@field from integer
---@field to integer
---@field length number? of its label
---@field depth number?

-- --- points: nodes first, then what edges need between them

local function add_point(state, layer, length, depth)
  local point = #state.layer_of + 1
  state.layer_of[point] = layer
  state.length[point], state.depth[point] = length, depth
  state.up[point], state.down[point] = {}, {}
  local list = state.layers[layer]
  list[#list + 1] = point
  return point
end

local function link(state, above, below)
  state.down[above][#state.down[above] + 1] = below
  state.up[below][#state.up[below] + 1] = above
end

local function add_edge(state, edge, room)
  local first, last = state.layer_of[edge.from], state.layer_of[edge.to]
  local chain = { edge.from }
  if room >= last - first - 1 then
    for layer = first + 1, last - 1 do
      local is_label = edge.length and layer == last - 1
      local length, depth = is_label and edge.length or 0, is_label and edge.depth or 0
      local point = add_point(state, layer, length, depth)
      link(state, chain[#chain], point)
      chain[#chain + 1] = point
    end
    link(state, chain[#chain], edge.to)
  end
  chain[#chain + 1] = edge.to
  return chain
end

-- With labels each stage takes two layers: one for the labels of the edges into it.
local function make_points(nodes, edges)
  local state = { layers = {}, layer_of = {}, length = {}, depth = {}, up = {}, down = {} }
  local step = 1
  for _, edge in ipairs(edges) do
    step = edge.length and 2 or step
  end
  local last = 0
  for _, node in ipairs(nodes) do
    last = math.max(last, node.level * step)
  end
  for layer = 0, last do
    state.layers[layer] = {}
  end
  state.last = last
  for _, node in ipairs(nodes) do
    add_point(state, node.level * step, node.length, node.depth)
  end
  state.chains = {}
  for position, edge in ipairs(edges) do
    state.chains[position] = add_edge(state, edge, MOST_POINTS - #state.layer_of)
  end
  return state
end

-- --- order

local function number(state, layer)
  for place, point in ipairs(state.layers[layer]) do
    state.place[point] = place
  end
end

local function median(state, neighbours, own)
  local places = {}
  for position, point in ipairs(neighbours) do
    places[position] = state.place[point]
  end
  local count = #places
  if count == 0 then
    return own
  end
  table.sort(places)
  local middle = count // 2
  return count % 2 == 1 and places[middle + 1] or (places[middle] + places[middle + 1]) / 2
end

local function order_layer(state, layer, neighbours)
  local keys, points = {}, state.layers[layer]
  for place, point in ipairs(points) do
    keys[point] = median(state, neighbours[point], place)
  end
  table.sort(points, function(a, b)
    if keys[a] ~= keys[b] then
      return keys[a] < keys[b]
    end
    return state.place[a] < state.place[b]
  end)
  number(state, layer)
end

-- Crossings between a layer and the next: pairs of edges in the wrong order, counted with a tree
-- of sums over the places of the lower ends.
local function count_crossings(state, layer)
  local size, sums, count, added = #state.layers[layer + 1], {}, 0, 0
  for _, point in ipairs(state.layers[layer]) do
    local ends = {}
    for position, below in ipairs(state.down[point]) do
      ends[position] = state.place[below]
    end
    for _, place in ipairs(ends) do
      local before, index = 0, place
      while index > 0 do
        before, index = before + (sums[index] or 0), index - (index & -index)
      end
      count = count + added - before
    end
    for _, place in ipairs(ends) do
      added = added + 1
      local index = place
      while index <= size do
        sums[index], index = (sums[index] or 0) + 1, index + (index & -index)
      end
    end
  end
  return count
end

local function crossings(state)
  local count = 0
  for layer = 0, state.last - 1 do
    count = count + count_crossings(state, layer)
  end
  return count
end

local function pair_crossings(state, neighbours, left, right)
  local count = 0
  for _, a in ipairs(neighbours[left]) do
    for _, b in ipairs(neighbours[right]) do
      count = count + (state.place[a] > state.place[b] and 1 or 0)
    end
  end
  return count
end

-- Swaps neighbours as long as that takes crossings away.
local function swap_neighbours(state)
  for _ = 1, 10 do
    local better = false
    for layer = 0, state.last do
      local points = state.layers[layer]
      for place = 1, #points - 1 do
        local a, b = points[place], points[place + 1]
        local now = pair_crossings(state, state.up, a, b) + pair_crossings(state, state.down, a, b)
        local swapped = pair_crossings(state, state.up, b, a)
          + pair_crossings(state, state.down, b, a)
        if swapped < now then
          points[place], points[place + 1], better = b, a, true
          state.place[b], state.place[a] = place, place + 1
        end
      end
    end
    if not better then
      return
    end
  end
end

local function copy_layers(state)
  local copy = {}
  for layer = 0, state.last do
    copy[layer] = table.move(state.layers[layer], 1, #state.layers[layer], 1, {})
  end
  return copy
end

local function order(state)
  state.place = {}
  for layer = 0, state.last do
    number(state, layer)
  end
  local is_small = #state.layer_of <= SMALL
  local best, fewest = copy_layers(state), crossings(state)
  for _ = 1, is_small and 12 or 4 do
    for layer = 1, state.last do
      order_layer(state, layer, state.up)
    end
    for layer = state.last - 1, 0, -1 do
      order_layer(state, layer, state.down)
    end
    if is_small then
      swap_neighbours(state)
    end
    local count = crossings(state)
    if count < fewest then
      best, fewest = copy_layers(state), count
    end
  end
  state.layers = best
  for layer = 0, state.last do
    number(state, layer)
  end
end

-- --- places along the layers

-- Puts the points of a layer as near to `wanted` as their order and gaps allow.
local function settle(state, points, wanted, weights, gap)
  local blocks, offset, offsets = {}, 0, {}
  for position, point in ipairs(points) do
    if position > 1 then
      offset = offset + (state.length[points[position - 1]] + state.length[point]) / 2 + gap
    end
    offsets[position] = offset
    local block = { wanted[position] - offset, weights[position], 1 }
    while #blocks > 0 and blocks[#blocks][1] >= block[1] do
      local before = table.remove(blocks)
      local weight = before[2] + block[2]
      block =
        { (before[1] * before[2] + block[1] * block[2]) / weight, weight, before[3] + block[3] }
    end
    blocks[#blocks + 1] = block
  end
  local position = 0
  for _, block in ipairs(blocks) do
    for _ = 1, block[3] do
      position = position + 1
      state.along[points[position]] = block[1] + offsets[position]
    end
  end
end

-- How much a line between two points is to be straight.
local function pull_of(state, a, b)
  local first, second = a > state.node_count, b > state.node_count
  return first and second and BETWEEN_POINTS or (first or second) and BESIDE_POINT or 1
end

local function goal_of(state, point, sides)
  local sum, weight = 0, 0
  for _, side in ipairs(sides) do
    for _, other in ipairs(side[point]) do
      local pull = pull_of(state, point, other)
      sum, weight = sum + pull * state.along[other], weight + pull
    end
  end
  if weight == 0 then
    return state.along[point], LOOSE
  end
  return sum / weight, weight
end

local function place_layer(state, layer, sides, gap)
  local points, wanted, weights = state.layers[layer], {}, {}
  for position, point in ipairs(points) do
    wanted[position], weights[position] = goal_of(state, point, sides)
  end
  settle(state, points, wanted, weights, gap)
end

local function pack(state, gap)
  state.along = {}
  for layer = 0, state.last do
    local along = 0
    for _, point in ipairs(state.layers[layer]) do
      state.along[point] = along + state.length[point] / 2
      along = along + state.length[point] + gap
    end
    for _, point in ipairs(state.layers[layer]) do
      state.along[point] = state.along[point] - along / 2
    end
  end
end

local function place(state, gap)
  pack(state, gap)
  local up, down, both = { state.up }, { state.down }, { state.up, state.down }
  local is_small = #state.layer_of <= SMALL
  for _ = 1, is_small and 6 or 3 do
    for layer = 1, state.last do
      place_layer(state, layer, up, gap)
    end
    for layer = state.last - 1, 0, -1 do
      place_layer(state, layer, down, gap)
    end
  end
  for _ = 1, is_small and 30 or 3 do
    for layer = 0, state.last do
      place_layer(state, layer, both, gap)
    end
    for layer = state.last - 1, 0, -1 do
      place_layer(state, layer, both, gap)
    end
  end
end

-- --- places across

local function set_across(state, gap)
  local across, most = 0, {}
  state.top, state.bottom = {}, {}
  for layer = 0, state.last do
    most[layer] = 0
    for _, point in ipairs(state.layers[layer]) do
      most[layer] = math.max(most[layer], state.depth[point])
    end
    state.top[layer] = across
    state.bottom[layer] = across + most[layer]
    across = state.bottom[layer] + gap
  end
  return state.bottom[state.last]
end

local function bounds(state)
  local least, most = math.huge, -math.huge
  for point, along in ipairs(state.along) do
    least = math.min(least, along - state.length[point] / 2)
    most = math.max(most, along + state.length[point] / 2)
  end
  return least, most
end

---Places nodes and edges. Sets of each node `along` and `across`, its middle; of each edge
---`points`, a list of { along, from, to }, where `from` and `to` bound the layer, first and last
---the two nodes; and `label`, the middle of its label. Returns the extents of the whole.
---@param nodes astrum.layout.Node[]
---@param edges astrum.layout.Edge[] from lower levels to higher ones
---@param gaps { along: number, across: number }
---@return number along
---@return number across
function M.place(nodes, edges, gaps)
  if #nodes == 0 then
    return 0, 0
  end
  local state = make_points(nodes, edges)
  state.node_count = #nodes
  order(state)
  place(state, gaps.along)
  local size = set_across(state, gaps.across)
  local least, most = bounds(state)
  for point, node in ipairs(nodes) do
    local layer = state.layer_of[point]
    node.along = state.along[point] - least
    node.across = (state.top[layer] + state.bottom[layer]) / 2
  end
  for position, edge in ipairs(edges) do
    edge.points = {}
    for index, point in ipairs(state.chains[position]) do
      local layer = state.layer_of[point]
      local along = state.along[point] - least
      edge.points[index] = { along, state.top[layer], state.bottom[layer] }
      if point > #nodes and state.depth[point] > 0 then
        edge.label = { along, (state.top[layer] + state.bottom[layer]) / 2 }
      end
    end
  end
  return most - least, size
end

return M
