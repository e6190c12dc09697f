local layout = require "astrum.picture.layout"

local GAPS <const> = { along = 10, across = 20 }

-- Nodes of 40 by 20 at the given levels.
local function nodes_at(...)
  local nodes = {}
  for position, level in ipairs { ... } do
    nodes[position] = { level = level, length = 40, depth = 20 }
  end
  return nodes
end

local function edges_of(...)
  local edges = {}
  for position, pair in ipairs { ... } do
    edges[position] = { from = pair[1], to = pair[2] }
  end
  return edges
end

local function alongs(nodes)
  local list = {}
  for position, node in ipairs(nodes) do
    list[position] = node.along
  end
  return list
end

describe("the places of a layered drawing", function()
  it("are none for no nodes", function()
    assert.same({ 0, 0 }, { layout.place({}, {}, GAPS) })
  end)

  it("put every level into a layer of its own", function()
    local nodes = nodes_at(0, 1, 2)
    local along, across = layout.place(nodes, edges_of({ 1, 2 }, { 2, 3 }), GAPS)
    assert.same({ 10, 50, 90 }, { nodes[1].across, nodes[2].across, nodes[3].across })
    assert.same({ 40, 100 }, { along, across })
  end)

  it("set a chain in a straight line", function()
    local nodes = nodes_at(0, 1, 2)
    layout.place(nodes, edges_of({ 1, 2 }, { 2, 3 }), GAPS)
    assert.same({ 20, 20, 20 }, alongs(nodes))
  end)

  it("set a node over the middle of those that it feeds", function()
    local nodes = nodes_at(0, 1, 1)
    layout.place(nodes, edges_of({ 1, 2 }, { 1, 3 }), GAPS)
    local list = alongs(nodes)
    assert.is_true(math.abs(list[1] - (list[2] + list[3]) / 2) < 0.01)
  end)

  it("take crossings away", function()
    local nodes = nodes_at(0, 0, 1, 1)
    layout.place(nodes, edges_of({ 1, 4 }, { 2, 3 }), GAPS)
    local list = alongs(nodes)
    assert.equal(list[1] < list[2], list[4] < list[3])
  end)

  it("never overlap in a layer", function()
    local nodes, edges = {}, {}
    for number = 0, 199 do
      local level = number // 20
      nodes[number + 1] = { level = level, length = 20 + number * 7 % 60, depth = 20 }
      for way = 1, level > 0 and 2 or 0 do
        local from = (number * way * 13 + way) % (level * 20) + 1
        edges[#edges + 1] = { from = from, to = number + 1 }
      end
    end
    layout.place(nodes, edges, GAPS)
    table.sort(nodes, function(a, b)
      return a.level < b.level or a.level == b.level and a.along < b.along
    end)
    for position = 2, #nodes do
      local before, node = nodes[position - 1], nodes[position]
      if before.level == node.level then
        local room = node.along - before.along - (before.length + node.length) / 2
        assert.is_true(room >= GAPS.along - 1e-6)
      end
    end
  end)

  it("lead a long edge through every layer that it passes, beside the nodes there", function()
    local nodes, edges = nodes_at(0, 1, 2), edges_of({ 1, 2 }, { 2, 3 }, { 1, 3 })
    layout.place(nodes, edges, GAPS)
    local points = edges[3].points
    assert.equal(3, #points)
    assert.is_true(math.abs(points[2][1] - nodes[2].along) >= 20)
  end)

  it("give a label a layer of its own, before the node that the edge leads to", function()
    local nodes = nodes_at(0, 1)
    local edges = { { from = 1, to = 2, length = 80, depth = 12 } }
    local along, across = layout.place(nodes, edges, GAPS)
    assert.same({ 80, 92 }, { along, across })
    assert.same({ 40, 46 }, edges[1].label)
    assert.equal(82, nodes[2].across)
  end)

  it("depend on nothing but the graph", function()
    local function draw()
      local nodes = nodes_at(0, 0, 0, 1, 1, 1, 2, 2)
      local edges = edges_of({ 1, 5 }, { 2, 4 }, { 3, 6 }, { 1, 6 }, { 4, 8 }, { 5, 7 }, { 2, 8 })
      layout.place(nodes, edges, GAPS)
      return alongs(nodes)
    end
    assert.same(draw(), draw())
  end)
end)
