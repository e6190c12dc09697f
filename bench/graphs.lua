-- The graphs that the benchmarks run, the hand-written Lua loops over them, and the same work given
-- to astrum.
--
-- Tasks are numbered from 0. Task i waits for deps[i], and every dependency has a smaller number.
-- Each task returns { v = (1 + sum of the v of its dependencies) & 1048575 }. The sum of all v is
-- the checksum, which is the same for whoever runs the graph. bench/shapes.c, bench/peers/node.mjs
-- and bench/peers/python.py make the same graphs.
local M = {}

local MASK <const> = 1048575

---How long a task of the shape "sleepers" sleeps, in seconds.
M.SLEEP = 0.01

-- --- shapes

local shapes = {}

function shapes.chain(n)
  local deps = { [0] = {} }
  for i = 1, n - 1 do
    deps[i] = { i - 1 }
  end
  return deps, n
end

-- One task, then n - 2 that wait for it, then one that waits for all of those.
function shapes.wide(n)
  local deps, middle = { [0] = {} }, {}
  for i = 1, n - 2 do
    deps[i] = { 0 }
    middle[i] = i
  end
  deps[n - 1] = middle
  return deps, n
end

-- Three draws from the layer before, repeated ones dropped.
function shapes.layered(n)
  local width = n < 1000 and 10 or 100
  local layers = n // width
  local deps, x = {}, 12345
  for layer = 0, layers - 1 do
    for place = 0, width - 1 do
      local list = {}
      for _ = 1, layer > 0 and 3 or 0 do
        x = (x * 1103515245 + 12345) & 0x7fffffff
        local before = (layer - 1) * width + (x >> 8) % width
        if list[1] ~= before and list[2] ~= before then
          list[#list + 1] = before
        end
      end
      deps[layer * width + place] = list
    end
  end
  return deps, layers * width
end

-- A binary tree whose leaves come first and whose root comes last.
function shapes.tree(n)
  local deps = {}
  for i = 0, n - 1 do
    local heap, list = n - 1 - i, {}
    for child = 2 * heap + 1, 2 * heap + 2 do
      if child < n then
        list[#list + 1] = n - 1 - child
      end
    end
    deps[i] = list
  end
  return deps, n
end

-- A square in which each task waits for its left and its upper neighbour.
function shapes.wave(n)
  local side = math.floor(math.sqrt(n))
  local deps = {}
  for row = 0, side - 1 do
    for column = 0, side - 1 do
      local id, list = row * side + column, {}
      if column > 0 then
        list[1] = id - 1
      end
      if row > 0 then
        list[#list + 1] = id - side
      end
      deps[id] = list
    end
  end
  return deps, side * side
end

function shapes.sleepers(n)
  local deps = {}
  for i = 0, n - 1 do
    deps[i] = {}
  end
  return deps, n
end

---@param shape "chain"|"wide"|"layered"|"tree"|"wave"|"sleepers"
---@param n integer
---@return table deps lists of numbers, from 0
---@return integer count of tasks, at most n
function M.make(shape, n)
  return shapes[shape](n)
end

-- --- loops by hand

local function plain_body(inputs)
  if inputs == 0 then
    return function()
      return { v = 1 }
    end
  elseif inputs == 1 then
    return function(a)
      return { v = (1 + a.d1) & MASK }
    end
  elseif inputs == 2 then
    return function(a)
      return { v = (1 + a.d1 + a.d2) & MASK }
    end
  elseif inputs == 3 then
    return function(a)
      return { v = (1 + a.d1 + a.d2 + a.d3) & MASK }
    end
  end
  return function(a)
    local sum = 1
    for _, v in pairs(a) do
      sum = sum + v
    end
    return { v = sum & MASK }
  end
end

local function sum_of(results, n)
  local checksum = 0
  for i = 0, n - 1 do
    checksum = checksum + results[i].v
  end
  return checksum
end

local function call_in_new_coroutine(body, arguments)
  return coroutine.wrap(body)(arguments)
end

local function reused_coroutine()
  local resume = coroutine.wrap(function(body, arguments)
    while true do
      body, arguments = coroutine.yield(body(arguments))
    end
  end)
  return resume
end

-- Runs a graph in the order of numbers; call(body, arguments) runs a task.
local function loop(deps, n, clock, call_body)
  local began = clock()
  local bodies, references, results = {}, {}, {}
  for i = 0, n - 1 do
    bodies[i] = plain_body(#deps[i])
    local inputs = {}
    for j = 1, #deps[i] do
      inputs["d" .. j] = { deps[i][j], "v" }
    end
    references[i] = inputs
  end
  local built = clock()
  for i = 0, n - 1 do
    local arguments = {}
    for name, reference in pairs(references[i]) do
      arguments[name] = results[reference[1]][reference[2]]
    end
    results[i] = call_body(bodies[i], arguments)
  end
  local ran = clock()
  return built - began, ran - built, sum_of(results, n)
end

-- The loop that the goals are measured against: nothing stands between it and the bodies, which
-- take a table of what they read, by name.
local function bare_loop(deps, n, clock)
  local began = clock()
  local bodies, references, results = {}, {}, {}
  for i = 0, n - 1 do
    bodies[i] = plain_body(#deps[i])
    local inputs = {}
    for j = 1, #deps[i] do
      inputs["d" .. j] = { deps[i][j], "v" }
    end
    references[i] = inputs
  end
  local built = clock()
  for i = 0, n - 1 do
    local arguments = {}
    for name, reference in pairs(references[i]) do
      arguments[name] = results[reference[1]][reference[2]]
    end
    results[i] = bodies[i](arguments)
  end
  local ran = clock()
  return built - began, ran - built, sum_of(results, n)
end

-- --- bodies by position

local function task_body(inputs)
  if inputs == 0 then
    return function()
      return { v = 1 }
    end
  elseif inputs == 1 then
    return function(d1)
      return { v = (1 + d1) & MASK }
    end
  elseif inputs == 2 then
    return function(d1, d2)
      return { v = (1 + d1 + d2) & MASK }
    end
  elseif inputs == 3 then
    return function(d1, d2, d3)
      return { v = (1 + d1 + d2 + d3) & MASK }
    end
  end
  return function(inputs) -- luacheck: ignore 432
    local sum = 1
    for _, v in pairs(inputs) do
      sum = sum + v
    end
    return { v = sum & MASK }
  end
end

-- The shortest loop: the bodies that astrum's tasks have, and what they read written out for each
-- number of inputs.
local function positional_loop(deps, n, clock)
  local began = clock()
  local bodies, sources, results = {}, {}, {}
  for i = 0, n - 1 do
    bodies[i] = task_body(#deps[i])
    sources[i] = deps[i]
  end
  local built = clock()
  for i = 0, n - 1 do
    local body, from = bodies[i], sources[i]
    local count = #from
    if count == 0 then
      results[i] = body()
    elseif count == 1 then
      results[i] = body(results[from[1]].v)
    elseif count == 2 then
      results[i] = body(results[from[1]].v, results[from[2]].v)
    elseif count == 3 then
      results[i] = body(results[from[1]].v, results[from[2]].v, results[from[3]].v)
    else
      local values = {}
      for j = 1, count do
        values[j] = results[from[j]].v
      end
      results[i] = body(values)
    end
  end
  local ran = clock()
  return built - began, ran - built, sum_of(results, n)
end

-- --- astrum

-- Declares, builds and runs; the names, which the loops by hand do without, are there before.
-- body(inputs) gives the function of a task with so many inputs.
local function astrum_tasks(deps, n, clock, body)
  local astrum = require "astrum"
  local names = {}
  for i = 0, n - 1 do
    names[i] = "t" .. i
  end
  local began = clock()
  local registry = astrum.SchedulerRegistry("bench")
  local task, F = registry.task, astrum.F
  for i = 0, n - 1 do
    local before, inputs = deps[i], {}
    for j = 1, #before do
      inputs["d" .. j] = F[names[before[j]]].v
    end
    task(names[i], { inputs = inputs, run = body(#before) })
  end
  local scheduler = registry:build_scheduler {}
  local built = clock()
  local report = scheduler:execute()
  local ran = clock()
  local checksum = 0
  for _, value in pairs(report:assert().task_return_set) do
    checksum = checksum + value.v
  end
  return built - began, ran - built, checksum
end

local function sleeper()
  local sleep = require("astrum").sleep
  return function()
    sleep(M.SLEEP)
    return { v = 1 }
  end
end

---Ways to run a graph, by name: fn(deps, n, clock) -> seconds to build, seconds to run, checksum.
---@type table<string, fun(deps: table, n: integer, clock: fun(): number): number, number, integer>
M.contenders = {
  ["bare loop"] = bare_loop,
  ["bare loop, a coroutine each"] = function(deps, n, clock)
    return loop(deps, n, clock, call_in_new_coroutine)
  end,
  ["bare loop, one coroutine"] = function(deps, n, clock)
    return loop(deps, n, clock, reused_coroutine())
  end,
  ["bare loop, by position"] = positional_loop,
  ["astrum"] = function(deps, n, clock)
    return astrum_tasks(deps, n, clock, task_body)
  end,
  ["astrum sleepers"] = function(deps, n, clock)
    return astrum_tasks(deps, n, clock, sleeper)
  end,
}

return M
