-- Lua tasks against a plain Lua loop over the same graphs: both in turn, in one process for each
-- graph, medians. Times are nanoseconds a task; the ratio is what counts, as machines differ.
-- The memory is the peak of the process (VmHWM) that ran the engine alone, over that of one which
-- only made the graph's table.
--
-- usage: astrum-lua bench/bench_run.lua [largest number of tasks, default 100000]
local astrum = require "astrum"
local core = require "astrum.core"

local here = arg[0]:match("^(.*)/[^/]*$") or "."
package.path = here .. "/?.lua;" .. package.path
local graphs = require "graphs"

local SHAPES <const> = { "chain", "wide", "layered" }

local function median(values)
  table.sort(values)
  return values[(#values + 1) // 2]
end

local function peak_kilobytes()
  local file = io.open("/proc/self/status")
  local text = file and file:read("a") or ""
  if file then
    file:close()
  end
  return tonumber(text:match("VmHWM:%s*(%d+)")) or 0
end

-- Runs in a process of its own and prints one line for measure().
local function child(what, shape, size)
  local deps, n = graphs.make(shape, size)
  if what == "memory" then
    local before = peak_kilobytes()
    graphs.engine(deps, n, core.clock)
    print((peak_kilobytes() - before) * 1024 // n)
    return
  end
  local times = { {}, {}, {}, {} }
  for _ = 1, size > 100000 and 3 or 7 do
    collectgarbage()
    local plain_build, plain_run, expected = graphs.plain_loop(deps, n, core.clock)
    collectgarbage()
    local build, run, checksum = graphs.engine(deps, n, core.clock)
    assert(checksum == expected, "the checksums differ")
    for i, time in ipairs { build, run, plain_build, plain_run } do
      table.insert(times[i], time / n * 1e9)
    end
  end
  for i = 1, 4 do
    times[i] = ("%.1f"):format(median(times[i]))
  end
  print(table.concat(times, " "))
end

local function measure(what, shape, size)
  local result = astrum.spawn { arg[-1], arg[0], "child", what, shape, tostring(size) }
  assert(result.code == 0, result.stderr)
  local numbers = {}
  for number in result.stdout:gmatch("%S+") do
    numbers[#numbers + 1] = tonumber(number)
  end
  return table.unpack(numbers)
end

local function main(largest)
  print("shape      tasks   build ns  (x plain)     run ns  (x plain)   B a task")
  for _, shape in ipairs(SHAPES) do
    local size = 1000
    while size <= largest do
      local build, run, plain_build, plain_run = measure("time", shape, size)
      local memory = measure("memory", shape, size)
      print(
        ("%-8s %7d %10.0f %9.2fx %10.0f %9.2fx %10d"):format(
          shape,
          size,
          build,
          build / plain_build,
          run,
          run / plain_run,
          memory
        )
      )
      size = size * 10
    end
  end
end

if arg[1] == "child" then
  child(arg[2], arg[3], tonumber(arg[4]))
else
  main(tonumber(arg[1] or 100000))
end
