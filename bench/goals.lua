-- The goals of speed and memory, and whether the figures reach them.
local statistics = require "statistics"

local M = {}

local SHAPES <const> = { "chain", "layered", "wide" }

---@class bench.Measured
---@field sizes integer[]
---@field figure fun(who: string, shape: string, n: integer, field: string): number?
---@field times fun(who: string, base: string, shape: string, n: integer, field: string): number?
---@field exponent fun(who: string, shape: string, field: string): number?
---@field makespan number? the worst, over its critical path
---@field gains bench.Gain[] of two cores
---@field small_stack boolean
---@field deepest integer tasks of the chain for it

-- The worst value over shapes and sizes from 1000, and where it is; `pick` is math.max or math.min.
local function worst(measured, pick, shapes, get)
  local value, where
  for _, shape in ipairs(shapes) do
    for _, n in ipairs(measured.sizes) do
      local found = n >= 1000 and get(shape, n)
      if found and (value == nil or pick(value, found) ~= value) then
        value, where = found, shape .. " " .. statistics.count(n)
      end
    end
  end
  return value, where
end

-- At the largest size for which the goal is a ratio.
local function at_largest(measured, shape, get)
  for i = #measured.sizes, 1, -1 do
    local value = measured.sizes[i] < 1000000 and get(shape, measured.sizes[i])
    if value then
      return value, shape .. " " .. statistics.count(measured.sizes[i])
    end
  end
end

---The table of goals as Markdown.
---@param measured bench.Measured
---@return string
function M.table(measured)
  local figure, times = measured.figure, measured.times
  local rows = {}

  -- `limit` is the most, or with `is_least` the least, that is good.
  local function row(name, text, value, where, limit, is_least)
    local verdict = "not measured"
    if value then
      local good = is_least and value >= limit or not is_least and value <= limit
      verdict = good and "pass" or "FAIL"
    end
    rows[#rows + 1] = { name, text, statistics.short(value), where or "-", verdict }
  end

  local function against(who, base, field)
    return function(shape, n)
      return times(who, base, shape, n, field)
    end
  end
  local function bytes(who)
    return function(shape, n)
      return figure(who, shape, n, "bytes")
    end
  end

  local value, where = worst(measured, math.max, SHAPES, against("astrum", "bare loop", "run"))
  row("P1", "Lua tasks: run <= 1.0 x bare loop", value, where, 1.0)
  value, where = worst(measured, math.max, SHAPES, against("astrum", "bare loop", "build"))
  row("P2", "Lua tasks: build <= 3 x bare loop", value, where, 3)
  local alone = against("astrum alone", "bare loop alone", "build")
  value, where = worst(measured, math.max, SHAPES, alone)
  row("P2", "the same, each in a process of its own", value, where, 3)
  -- At a million tasks in ns, else beside the limit.
  for _, shape in ipairs { "chain", "layered" } do
    value, where = at_largest(measured, shape, against("flow", "limit stamped", "run"))
    row("P3", "C tasks with times: <= 1.4 x the limit, stamped", value, where, 1.4)
    local most = shape == "chain" and 100 or 150
    row(
      "P3",
      ("1M C tasks with times: <= %d ns"):format(most),
      figure("flow", shape, 1000000, "run"),
      shape .. " 1M",
      most
    )
  end
  for _, shape in ipairs { "chain", "layered" } do
    value, where = at_largest(measured, shape, against("sched", "limit", "run"))
    row("P4", "C tasks without times: <= 2 x limit", value, where, 2)
    local most = shape == "chain" and 30 or 60
    row(
      "P4",
      ("1M C tasks without times: <= %d ns"):format(most),
      figure("sched", shape, 1000000, "run"),
      shape .. " 1M",
      most
    )
  end
  value, where = worst(measured, math.max, SHAPES, bytes "flow")
  row("P5", "a C task <= 128 B", value, where, 128)
  value, where = worst(measured, math.max, SHAPES, bytes "astrum alone")
  row("P5", "a Lua task <= 700 B", value, where, 700)
  local run = figure("astrum sleepers alone", "sleepers", 100000, "run")
  row("P6", "100k sleepers <= 150 ms", run and run / 10, "sleepers 100k", 150)
  local held = figure("astrum sleepers alone", "sleepers", 100000, "bytes")
  row("P6", "a sleeper <= 1800 B", held, "sleepers 100k", 1800)
  row("P7", "makespan <= 1.02 x critical path", measured.makespan, "the worst case", 1.02)
  for _, goal in ipairs { { 300, 1.9 }, { 5, 1.6 }, { 0, 0.95 } } do
    value, where = nil, nil
    local is_disturbed = false
    for _, found in ipairs(measured.gains) do
      -- How long a body takes varies a little from run to run.
      local counts = found.grain >= 0.9 * goal[1]
      -- Others may have used the cores.
      local is_quiet = statistics.median(found.cores) >= 1.8
      is_disturbed = is_disturbed or not is_quiet and counts
      if is_quiet and counts and (value == nil or found.gain < value) then
        value, where = found.gain, ("%s, %s us"):format(found.shape, statistics.short(found.grain))
      end
    end
    if is_disturbed and value and value >= goal[2] then
      value, where = nil, "others use the cores"
    end
    local text = ("two cores >= %s x at tasks of %d us and more"):format(goal[2], goal[1])
    row("P8", text, value, where, goal[2], true)
  end
  for _, field in ipairs { "build", "run" } do
    value, where = nil, nil
    for _, shape in ipairs(SHAPES) do
      local found = measured.exponent("astrum", shape, field)
      if found and (value == nil or found > value) then
        value, where = found, shape
      end
    end
    row("P9", "growth exponent of the " .. field .. " <= 1.1", value, where, 1.1)
  end
  local depth = "chain " .. statistics.count(measured.deepest)
  rows[#rows + 1] = {
    "P10",
    "a chain of 1M with a C stack of 256 KB",
    measured.small_stack and "runs" or "dies",
    depth,
    measured.small_stack and (measured.deepest >= 1000000 and "pass" or "pass so far") or "FAIL",
  }
  row("P11", ">= 50 x Astrum with TaskData", nil, "it cannot be installed by itself", 50, true)
  value, where = worst(measured, math.min, SHAPES, against("p-graph", "astrum alone", "total"))
  row("P12", ">= 5 x p-graph, build and run", value, where, 5, true)
  value, where =
    worst(measured, math.min, SHAPES, against("node promises", "astrum alone", "total"))
  row("P13", ">= 1 x Node promises, build and run", value, where, 1, true)
  return statistics.table({ "goal", "", "worst figure", "where", "" }, rows)
end

return M
