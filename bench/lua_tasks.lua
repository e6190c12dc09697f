-- Lua tasks: astrum and the loops by hand in turn, in one process. Run by bench/main.lua.
--
-- Where contenders take turns it is the time of the CPU that counts, so that a machine with other
-- work to do does not disturb; a contender alone is measured as programs in other languages are.
--
-- usage: astrum-lua lua_tasks.lua time SHAPE TASKS ROUNDS CONTENDER...
--          prints for each round and contender: its number, ns a task to build and to run, checksum
--        astrum-lua lua_tasks.lua memory SHAPE TASKS CONTENDER
--          prints the checksum, the peak of bytes a task over that of the graph's own tables, and
--          ns a task as above
local core = require "astrum.core"

package.path = (arg[0]:match("^(.*)/[^/]*$") or ".") .. "/?.lua;" .. package.path
local graphs = require "graphs"

-- Kilobytes of memory that the process has, and had at most.
local function memory()
  local file = io.open("/proc/self/status")
  local text = file and file:read("a") or ""
  if file then
    file:close()
  end
  local function number(name)
    return tonumber(text:match(name .. ":%s*(%d+)")) or 0
  end
  return number("VmRSS"), number("VmHWM")
end

-- The collector as it is in a new state: it remembers of the contender before whether its last
-- collections were worth it, and the next one would be slower or faster for that.
local function reset_collector()
  collectgarbage "incremental"
  collectgarbage "generational"
  collectgarbage()
end

local what, shape, tasks = arg[1], arg[2], tonumber(arg[3])
local deps, n = graphs.make(shape, tasks)

if what == "memory" then
  -- Modules are loaded before, as they are for programs in other languages.
  local few, count = graphs.make(shape, 10)
  graphs.contenders[arg[4]](few, count, core.clock)
  reset_collector()
  local before = memory()
  local build, run, checksum = graphs.contenders[arg[4]](deps, n, core.clock)
  local _, peak = memory()
  print(checksum, (peak - before) * 1024 // n, build / n * 1e9, run / n * 1e9)
else
  for _ = 1, tonumber(arg[4]) do
    for k = 5, #arg do
      reset_collector()
      local build, run, checksum = graphs.contenders[arg[k]](deps, n, os.clock)
      print(k - 4, ("%.2f"):format(build / n * 1e9), ("%.2f"):format(run / n * 1e9), checksum)
    end
  end
end
