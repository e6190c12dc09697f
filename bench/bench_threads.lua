-- What a second core brings: the same tasks with executor = "loop" and "thread" by turns, for tasks
-- of different lengths. `wide` are tasks that wait for nothing, `layered` those that wait for two
-- of the layer before. Medians; the checksums are compared. The gain is that of the time on the
-- clock, which suffers when others use the cores; `cores` is the gain of two tasks of some 20 ms at
-- the same time, and `cpu` is what all threads together computed for a task.
--
-- usage: astrum-lua bench/bench_threads.lua [rounds, default 7] [workers, default one a core]
local astrum = require "astrum"
local core = require "astrum.core"

local ROUNDS <const> = tonumber(arg[1]) or 7
local WORKERS <const> = math.tointeger(tonumber(arg[2]))
local WIDTH <const> = 100
local LOOPS <const> = { 10, 100, 300, 1000, 3000, 10000, 100000 }

local function median(values)
  table.sort(values)
  return values[(#values + 1) // 2]
end

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
  return registry:build_scheduler { config = { workers = WORKERS } }
end

local function run(scheduler, count)
  collectgarbage()
  local before, cpu = core.clock(), os.clock()
  local report = scheduler:execute():assert()
  local time = core.clock() - before
  cpu = os.clock() - cpu
  local sum = 0
  for i = 1, count do
    sum = (sum * 31 + report:result("t" .. i)) & 0xFFFFFFFF
  end
  return time / count * 1e6, cpu / count * 1e6, sum
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

local coarse = {}
for _, executor in ipairs { "loop", "thread" } do
  coarse[executor] = build("wide", 2, 2000000, executor)
end

-- How many cores there are for two threads, as others leave them.
local function cores()
  return run(coarse.loop, 2) / run(coarse.thread, 2)
end

local function load_average()
  local file <close> = assert(io.open "/proc/loadavg")
  return file:read("l"):match "^%S+"
end

print "shape     grain us   tasks   loop us  thread us   gain  cores   loop cpu  thread cpu"
for _, shape in ipairs { "wide", "layered" } do
  for _, loops in ipairs(LOOPS) do
    local length = grain(loops)
    local most = math.tointeger(150000 // (length + 2)) // WIDTH * WIDTH
    local count = math.max(WIDTH, math.min(20000, most))
    local loop = build(shape, count, loops, "loop")
    local thread = build(shape, count, loops, "thread")
    local times = { {}, {}, {}, {}, {}, {} }
    run(thread, count) -- starts the threads
    for i = 1, ROUNDS do
      local loop_time, loop_cpu, expected = run(loop, count)
      local thread_time, thread_cpu, sum = run(thread, count)
      assert(sum == expected, "the checksums differ")
      for j, value in ipairs {
        loop_time,
        thread_time,
        loop_time / thread_time,
        cores(),
        loop_cpu,
        thread_cpu,
      } do
        times[j][i] = value
      end
    end
    for j = 1, 6 do
      times[j] = median(times[j])
    end
    print(
      ("%-8s %9.2f %7d %9.2f  %9.2f %5.2fx  %5.2f  %9.2f   %9.2f"):format(
        shape,
        length,
        count,
        table.unpack(times)
      )
    )
  end
end
print("load average " .. load_average())
