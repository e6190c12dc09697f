-- The graphs that the benchmarks run, their tasks, and the plain Lua loop they are compared with.
-- Task i waits for deps[i]; every dependency has a smaller number. Each task returns
-- { v = (1 + sum of the v of its dependencies) & 1048575 }; the sum of all v is the checksum.
local M = {}

local MASK <const> = 1048575

local function chain(n)
  local deps = { [0] = {} }
  for i = 1, n - 1 do
    deps[i] = { i - 1 }
  end
  return deps, n
end

local function wide(n)
  local deps, middle = { [0] = {} }, {}
  for i = 1, n - 2 do
    deps[i] = { 0 }
    middle[i] = i
  end
  deps[n - 1] = middle
  return deps, n
end

-- Three draws from the layer before, repeated ones dropped.
local function layered(n)
  local width = n < 1000 and 10 or 100
  local layers = n // width
  local deps, x = {}, 12345
  for layer = 0, layers - 1 do
    for place = 0, width - 1 do
      local list, seen = {}, {}
      for _ = 1, layer > 0 and 3 or 0 do
        x = (x * 1103515245 + 12345) & 0x7fffffff
        local before = (layer - 1) * width + (x >> 8) % width
        if not seen[before] then
          seen[before] = true
          list[#list + 1] = before
        end
      end
      deps[layer * width + place] = list
    end
  end
  return deps, layers * width
end

local SHAPES <const> = { chain = chain, wide = wide, layered = layered }

---@param shape "chain"|"wide"|"layered"
---@param n integer
---@return table deps lists of numbers, from 0
---@return integer count of tasks, at most n
function M.make(shape, n)
  return SHAPES[shape](n)
end

-- --- the plain loop

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

---Runs the graph as a hand-written loop would, in the order of numbers.
---@param deps table
---@param n integer
---@param clock fun(): number seconds
---@return number build seconds
---@return number run seconds
---@return integer checksum
function M.plain_loop(deps, n, clock)
  local began = clock()
  local bodies, references, results = {}, {}, {}
  for i = 0, n - 1 do
    bodies[i] = plain_body(#deps[i])
    local inputs = {}
    for j, before in ipairs(deps[i]) do
      inputs["d" .. j] = { before, "v" }
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
  local checksum = 0
  for i = 0, n - 1 do
    checksum = checksum + results[i].v
  end
  return built - began, ran - built, checksum
end

-- --- the engine

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

---Runs the graph with astrum, by names and field references.
---@param deps table
---@param n integer
---@param clock fun(): number seconds
---@return number build seconds: declarations and build_scheduler
---@return number run seconds
---@return integer checksum
function M.engine(deps, n, clock)
  local astrum = require "astrum"
  local began = clock()
  local registry = astrum.SchedulerRegistry("bench")
  local task, F = registry.task, astrum.F
  for i = 0, n - 1 do
    local inputs = {}
    for j, before in ipairs(deps[i]) do
      inputs["d" .. j] = F["t" .. before].v
    end
    task("t" .. i, { inputs = inputs, run = task_body(#deps[i]) })
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

return M
