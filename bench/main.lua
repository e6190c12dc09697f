-- Measures astrum-lua beside its peers and writes the tables of README.md.
--
-- usage: astrum-lua bench/main.lua BENCH_SCHED [quick|full]
--   quick  about three minutes on two cores (default)
--   full   sizes up to a million and more rounds

local here = arg[0]:match("^(.*)/[^/]*$") or "."
package.path = here .. "/?.lua;" .. package.path
local cases = require "cases"
local features = require "features"
local goals = require "goals"
local measure = require "measure"
local statistics = require "statistics"
local threads = require "threads"

local full = arg[2] == "full"
assert(arg[1] and (arg[2] == nil or arg[2] == "quick" or full), "usage: see bench/main.lua")
measure.open { astrum = arg[-1], here = here, sched = arg[1] }

local LOOPS <const> = {
  "bare loop",
  "bare loop, one coroutine",
  "bare loop, a coroutine each",
  "bare loop, by position",
}
local LUA <const> = { "bare loop", LOOPS[2], LOOPS[3], LOOPS[4], "astrum" }
local C <const> = {
  "limit",
  "limit stamped",
  "limit stamped once",
  "sched",
  "sched stamped",
  "flow",
}
local PEERS <const> = {
  "node promises",
  "p-graph",
  "asyncio",
  "dask",
  "dask, 2 threads",
  "async auto",
  "langgraph",
}

local SHAPES <const> = { "chain", "layered", "wide", "tree", "wave" }
local SIZES <const> = full and { 100, 1000, 10000, 100000, 1000000 } or { 100, 1000, 10000, 100000 }

-- The largest graph that a slow peer gets, and where tree and wave end.
local LARGEST <const> = {
  ["node promises"] = 100000,
  ["p-graph"] = full and 100000 or 10000,
  asyncio = 100000,
  dask = 10000,
  ["dask, 2 threads"] = 1000,
  ["async auto"] = 1000,
  langgraph = full and 1000 or 100,
  tree = full and 1000000 or 10000,
  wave = full and 1000000 or 10000,
}

local function rounds_of(n)
  if n <= 10000 then
    return 7
  elseif n <= 100000 then
    return full and 7 or 3
  end
  return 3
end

local function tell(text)
  io.stderr:write(text, "\n")
end

-- --- measuring

local peers, missing = measure.peers()

local function measure_graphs()
  for _, shape in ipairs(SHAPES) do
    for _, n in ipairs(SIZES) do
      if n <= (LARGEST[shape] or n) then
        tell(("%s, %d tasks"):format(shape, n))
        measure.c_turns(shape, n, rounds_of(n))
        measure.lua_turns(LUA, shape, n, rounds_of(n))
      end
    end
  end
end

-- Each in a process of its own, for the peak of memory and for programs in other languages.
local function measure_processes(shape, n, rounds)
  local contenders = {}
  for _, name in ipairs { "astrum", "bare loop" } do
    contenders[#contenders + 1] = { kind = "lua", name = name }
  end
  for _, name in ipairs(PEERS) do
    if peers[name] and n <= LARGEST[name] then
      contenders[#contenders + 1] = peers[name]
    end
  end
  tell(("%s, %d tasks, one process each"):format(shape, n))
  measure.process_turns(contenders, shape, n, rounds)
end

local SLEEPERS <const> = {
  ["node promises"] = 100000,
  asyncio = 100000,
  ["p-graph"] = full and 100000 or 10000,
  ["async auto"] = 1000,
}

local function measure_sleepers(n)
  local contenders = { { kind = "lua", name = "astrum sleepers" } }
  for _, name in ipairs { "node promises", "asyncio", "p-graph", "async auto" } do
    if peers[name] and n <= SLEEPERS[name] then
      contenders[#contenders + 1] = peers[name]
    end
  end
  tell(("sleepers, %d tasks"):format(n))
  measure.process_turns(contenders, "sleepers", n, full and 5 or 3)
end

-- --- telling

local median, ratio, short = statistics.median, statistics.ratio, statistics.short

local function figure(who, shape, n, field)
  local figures = measure.get(who, shape, n)
  return figures and median(figures[field])
end

local function times(who, base, shape, n, field)
  local a, b = measure.get(who, shape, n), measure.get(base, shape, n)
  return a and b and ratio(a[field], b[field])
end

local function exponent(who, shape, field)
  local points = {}
  for _, n in ipairs(SIZES) do
    local value = n >= 1000 and figure(who, shape, n, field)
    if value then
      points[#points + 1] = { n, value * n }
    end
  end
  return statistics.exponent(points)
end

-- Rows for each shape and size that was measured; cells(shape, n) gives what follows.
local function graph_rows(cells)
  local rows = {}
  for _, shape in ipairs(SHAPES) do
    for _, n in ipairs(SIZES) do
      if measure.get("astrum", shape, n) then
        rows[#rows + 1] = { shape .. " " .. statistics.count(n), table.unpack(cells(shape, n)) }
      end
    end
  end
  return rows
end

local function lua_table()
  local head = { "Lua tasks", "build, x bare", "run, x bare", "all, x bare" }
  head[#head + 1], head[#head + 2] = "one coroutine", "a coroutine each"
  head[#head + 1], head[#head + 2] = "run, x by position", "all, x by position"
  head[#head + 1], head[#head + 2] = "build, ns", "run, ns"
  local rows = graph_rows(function(shape, n)
    local function of(who, field)
      return short(times(who, "bare loop", shape, n, field))
    end
    return {
      of("astrum", "build"),
      of("astrum", "run"),
      of("astrum", "total"),
      of(LOOPS[2], "run"),
      of(LOOPS[3], "run"),
      short(times("astrum", LOOPS[4], shape, n, "run")),
      short(times("astrum", LOOPS[4], shape, n, "total")),
      short(figure("astrum", shape, n, "build")),
      short(figure("astrum", shape, n, "run")),
    }
  end)
  return statistics.table(head, rows)
end

local function c_table()
  local head = { "C tasks", "flow, x stamped", "x stamped once", "scheduler, x limit" }
  local rest = { "with times, x stamped once", "flow, ns", "scheduler, ns", "with times" }
  table.move(rest, 1, #rest, #head + 1, head)
  table.move({ "limit, ns", "stamped", "once", "flow, B" }, 1, 4, #head + 1, head)
  local rows = graph_rows(function(shape, n)
    return {
      short(times("flow", "limit stamped", shape, n, "run")),
      short(times("flow", "limit stamped once", shape, n, "run")),
      short(times("sched", "limit", shape, n, "run")),
      short(times("sched stamped", "limit stamped once", shape, n, "run")),
      short(figure("flow", shape, n, "run")),
      short(figure("sched", shape, n, "run")),
      short(figure("sched stamped", shape, n, "run")),
      short(figure("limit", shape, n, "run")),
      short(figure("limit stamped", shape, n, "run")),
      short(figure("limit stamped once", shape, n, "run")),
      short(figure("flow", shape, n, "bytes")),
    }
  end)
  return statistics.table(head, rows)
end

local function growth_table()
  local names, rows = {}, {}
  table.move(LUA, 1, #LUA, 1, names)
  table.move(C, 1, #C, #names + 1, names)
  for _, name in ipairs(names) do
    local row = { name }
    for _, shape in ipairs { "chain", "layered", "wide" } do
      row[#row + 1] = short(exponent(name, shape, "build"))
      row[#row + 1] = short(exponent(name, shape, "run"))
    end
    rows[#rows + 1] = row
  end
  local head = { "growth exponent" }
  for _, shape in ipairs { "chain", "layered", "wide" } do
    head[#head + 1] = shape .. " build"
    head[#head + 1] = "run"
  end
  return statistics.table(head, rows)
end

-- astrum and the bare loop, each in a process of its own.
local function alone_table(shapes)
  local rows = {}
  for _, shape in ipairs(shapes) do
    for _, n in ipairs(SIZES) do
      if measure.get("astrum alone", shape, n) then
        rows[#rows + 1] = {
          ("%s %s"):format(shape, statistics.count(n)),
          short(times("astrum alone", "bare loop alone", shape, n, "build")),
          short(times("astrum alone", "bare loop alone", shape, n, "run")),
          short(figure("astrum alone", shape, n, "build")),
          short(figure("astrum alone", shape, n, "run")),
          ("%d"):format(figure("astrum alone", shape, n, "bytes")),
          ("%d"):format(figure("bare loop alone", shape, n, "bytes")),
        }
      end
    end
  end
  return statistics.table(
    { "alone", "build, x bare", "run, x bare", "build, ns", "run, ns", "peak B", "bare, B" },
    rows
  )
end

-- Build and run together, as a multiple of astrum's, and the peak of memory.
local function peer_table(shapes, sizes)
  local rows, names = {}, { "astrum alone", "bare loop alone" }
  table.move(PEERS, 1, #PEERS, 3, names)
  for _, shape in ipairs(shapes) do
    for _, n in ipairs(sizes) do
      for _, name in ipairs(names) do
        if measure.get(name, shape, n) then
          rows[#rows + 1] = {
            ("%s %s: %s"):format(shape, statistics.count(n), (name:gsub(" alone$", ""))),
            short(times(name, "astrum alone", shape, n, "total")),
            short(figure(name, shape, n, "total")),
            ("%d"):format(figure(name, shape, n, "bytes")),
          }
        end
      end
    end
  end
  return statistics.table({ "build and run", "x astrum", "ns a task", "peak B a task" }, rows)
end

local function sleeper_table(sizes)
  local rows = {}
  for _, n in ipairs(sizes) do
    for _, name in ipairs { "astrum sleepers alone", table.unpack(PEERS) } do
      local run = figure(name, "sleepers", n, "run")
      if run then
        local shown = name == "astrum sleepers alone" and "astrum" or name
        rows[#rows + 1] = {
          ("%s: %s"):format(statistics.count(n), shown),
          short(run * n / 1e6),
          short(figure(name, "sleepers", n, "build") * n / 1e6),
          ("%d"):format(figure(name, "sleepers", n, "bytes")),
        }
      end
    end
  end
  return statistics.table({ "sleepers of 10 ms", "run, ms", "build, ms", "peak B a task" }, rows)
end

-- Makespans over critical paths: by case the median of each contender.
local function measure_barriers(rounds)
  local names = { "astrum" }
  for _, name in ipairs { "p-graph", "async auto", "langgraph" } do
    names[#names + 1] = peers[name] and name
  end
  local found, rows = {}, {}
  for k, branches in ipairs(cases.BARRIERS) do
    tell("barriers, case " .. k)
    local values = {}
    for _ = 1, rounds do
      for _, name in ipairs(names) do
        values[name] = values[name] or {}
        local makespan = cases.barrier(peers[name], branches)
        table.insert(values[name], makespan / cases.critical_path(branches))
      end
    end
    local row = { cases.barrier_text(branches) }
    for i, name in ipairs(names) do
      found[name] = math.max(found[name] or 0, median(values[name]))
      row[i + 1] = ("%.3f"):format(median(values[name]))
    end
    rows[k] = row
  end
  local head = { "makespan / critical path" }
  table.move(names, 1, #names, 2, head)
  return statistics.table(head, rows), found.astrum
end

local function simple_table(title, base, found, unit)
  local rows, names = {}, {}
  for name in pairs(found) do
    names[#names + 1] = name
  end
  table.sort(names, function(a, b)
    return median(found[a]) < median(found[b])
  end)
  for i, name in ipairs(names) do
    rows[i] = { name, short(ratio(found[name], found[base])), short(median(found[name])) }
  end
  return statistics.table({ title, "x " .. base, unit }, rows)
end

local function feature_table(rounds)
  tell "features"
  local rows = {}
  for i, found in ipairs(features.measure(rounds)) do
    rows[i] = { found.name, short(median(found.build)), short(median(found.run)) }
  end
  return statistics.table({ "a task with", "declare and build, ns", "run, ns" }, rows)
end

local function thread_table(gains)
  local rows = {}
  for i, found in ipairs(gains) do
    rows[i] = {
      ("%s, %s us"):format(found.shape, short(found.grain)),
      short(median(found.loop)),
      short(median(found.thread)),
      short(found.gain),
      ("%.0f %%"):format(found.at_home * 100),
      short(median(found.cores)),
    }
  end
  local head = { "bodies that compute for", "loop, us a task", "threads, us a task", "gain" }
  head[#head + 1], head[#head + 2] = "at home", "of two long tasks"
  return statistics.table(head, rows)
end

-- --- the whole

local MARK_BEGIN <const>, MARK_END <const> = "<!-- bench: begin -->", "<!-- bench: end -->"

local function write_readme(text)
  local path = here .. "/README.md"
  local file = assert(io.open(path))
  local old = file:read "a"
  file:close()
  local first, last = old:find(MARK_BEGIN, 1, true), old:find(MARK_END, 1, true)
  assert(first and last, path .. ": the marks of the tables are missing")
  file = assert(io.open(path, "w"))
  file:write(old:sub(1, first - 1), MARK_BEGIN, "\n", text, "\n", old:sub(last))
  file:close()
end

local function processor()
  local file = io.open "/proc/cpuinfo"
  local text = file and file:read "a" or ""
  if file then
    file:close()
  end
  local _, count = text:gsub("\nprocessor%s*:", "")
  return (text:match "model name%s*:%s*([^\n]+)" or "unknown processor")
    .. ", "
    .. count + 1
    .. " cores"
end

local function main()
  local parts = {}
  local function add(text)
    parts[#parts + 1] = text
  end
  local peer_sizes = full and { 1000, 10000, 100000 } or { 1000, 10000 }
  measure_graphs()
  if peers.langgraph then
    measure_processes("chain", 100, 1)
  end
  for _, shape in ipairs { "chain", "layered", "wide" } do
    for _, n in ipairs(peer_sizes) do
      measure_processes(shape, n, 3)
    end
    local lua = { { kind = "lua", name = "astrum" }, { kind = "lua", name = "bare loop" } }
    measure.process_turns(lua, shape, SIZES[#SIZES], full and 3 or 1)
  end
  local sleeper_sizes = { 1000, 10000, 100000 }
  for _, n in ipairs(sleeper_sizes) do
    measure_sleepers(n)
  end
  tell "two cores"
  local gains = threads.measure(full and 9 or 5)
  local costs = feature_table(full and 7 or 3)
  local barriers, worst = measure_barriers(full and 5 or 1)
  tell "child processes"
  local processes = cases.processes(full and 1000 or 200, full and 5 or 3)
  tell "starts of programs"
  local starts = cases.starts(full and 31 or 15)
  tell "a chain with a small C stack"
  local deepest = SIZES[#SIZES]
  local survives = pcall(measure.lua_turns, { "astrum" }, "chain", deepest, 1, 256)
  local verdicts = goals.table {
    sizes = SIZES,
    figure = figure,
    times = times,
    exponent = exponent,
    makespan = worst,
    gains = gains,
    small_stack = survives,
    deepest = deepest,
  }

  add(
    ("%s, %s mode. Medians; every ratio is the median of the ratios of the rounds."):format(
      processor(),
      full and "full" or "quick"
    )
  )
  add(
    #missing == 0 and "All peers are installed."
      or "Not installed (`make bench-peers`): " .. table.concat(missing, ", ") .. "."
  )
  add("### Goals")
  add(verdicts)
  add("### Graphs of tiny tasks")
  add(lua_table())
  add(c_table())
  add(growth_table())
  add(alone_table { "chain", "layered", "wide" })
  add("### What a feature costs")
  add(costs)
  add("### Two cores")
  add(thread_table(gains))
  add("### Peers")
  if peers.langgraph then
    add(peer_table({ "chain" }, { 100 }))
  end
  add(peer_table({ "chain", "layered", "wide" }, peer_sizes))
  add(sleeper_table(sleeper_sizes))
  add(barriers)
  add("### Child processes and starts")
  add(simple_table("sh -c true, two at a time", "astrum", processes, "us each"))
  add(simple_table("an empty program", "lua5.4", starts, "ms"))
  local text = table.concat(parts, "\n\n")
  print(text)
  write_readme(text)
end

main()
