-- What a second core brings: the same tasks with executor = "loop" and "thread" by turns, for tasks
-- of different lengths. `wide` are tasks that wait for nothing, `layered` those that wait for two
-- of the layer before. The gain is that of the time on the clock, which suffers when others use the
-- cores: beside it is the gain of two tasks of some 20 ms at the same time. Bodies that take next
-- to no time are run at home, in the loop's thread.
local astrum = require "astrum"
local core = require "astrum.core"
local statistics = require "statistics"

local M = {}

local WIDTH <const> = 100
local LOOPS <const> = { 10, 100, 300, 1000, 3000, 10000, 100000 }

-- A scheduler of `count` tasks that compute, and one that adds up the layers' ends.
local function build(shape, count, loops, executor)
  local registry = astrum.SchedulerRegistry "bench"
  local function work(a, b)
    local x = a + (b or 1)
    for i = 1, loops do
      x = (x * 1664525 + i) & 0xFFFFFFFF
    end
    return x
  end
  for i = 1, count do
    local layer, at = (i - 1) // WIDTH, (i - 1) % WIDTH
    local spec = { executor = executor, inputs = { a = i, b = 1 }, run = work }
    if shape == "layered" and layer > 0 then
      local first = (layer - 1) * WIDTH
      spec.inputs.a = astrum.F["t" .. first + at + 1]
      spec.inputs.b = astrum.F["t" .. first + (at + 1) % WIDTH + 1]
    end
    registry.task("t" .. i, spec)
  end
  return registry:build_scheduler {}
end

local function run(scheduler, count)
  collectgarbage()
  local before = core.clock()
  local report = scheduler:execute():assert()
  local time = core.clock() - before
  local sum = 0
  for i = 1, count do
    sum = (sum * 31 + report:result("t" .. i)) & 0xFFFFFFFF
  end
  return time / count * 1e6, sum
end

-- How long the loop of one task takes, us.
local function grain(loops)
  local x, before = 1, core.clock()
  for _ = 1, 3000000 // loops do
    for i = 1, loops do
      x = (x * 1664525 + i) & 0xFFFFFFFF
    end
  end
  return (core.clock() - before) / (3000000 // loops) * 1e6
end

local function measure(shape, loops, rounds, cores)
  local length = grain(loops)
  local most = math.tointeger(150000 // (length + 2)) // WIDTH * WIDTH
  local count = math.max(WIDTH, math.min(20000, most))
  local loop = build(shape, count, loops, "loop")
  local thread = build(shape, count, loops, "thread")
  local found = { shape = shape, grain = length, loop = {}, thread = {}, cores = {} }
  run(thread, count) -- starts the threads
  local home = core.brief_count()
  for i = 1, rounds do
    local loop_time, expected = run(loop, count)
    local thread_time, sum = run(thread, count)
    assert(sum == expected, "the checksums differ")
    found.loop[i], found.thread[i], found.cores[i] = loop_time, thread_time, cores()
  end
  found.gain = statistics.ratio(found.loop, found.thread)
  found.at_home = (core.brief_count() - home) / (rounds * count)
  return found
end

---@class bench.Gain
---@field shape "wide"|"layered"
---@field grain number how long the body of a task computes, us
---@field loop number[] us a task, by round
---@field thread number[] us a task, by round
---@field gain number median of their ratios
---@field at_home number share of the bodies for threads that were run in the loop's own
---@field cores number[] the gain of two long tasks, by round

---@param rounds integer
---@return bench.Gain[]
function M.measure(rounds)
  local coarse = {}
  for _, executor in ipairs { "loop", "thread" } do
    coarse[executor] = build("wide", 2, 2000000, executor)
  end
  -- How many cores there are for two threads, as others leave them.
  local function cores()
    return run(coarse.loop, 2) / run(coarse.thread, 2)
  end
  local list = {}
  for _, shape in ipairs { "wide", "layered" } do
    for _, loops in ipairs(LOOPS) do
      list[#list + 1] = measure(shape, loops, rounds, cores)
    end
  end
  return list
end

return M
