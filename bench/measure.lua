-- Starts the contenders, each figure in a process of its own or in turns within one, and keeps what
-- they print. Checksums are compared as they come: a contender that gets another one ends it all.
local astrum = require "astrum"

local M = {}

---@class bench.Figures values by round
---@field build number[] ns a task
---@field run number[] ns a task
---@field total number[] their sum
---@field bytes number[] peak, a task; empty where it is not known

local checksums = {}

local function check(shape, n, who, checksum)
  local key = shape .. " " .. n
  checksums[key] = checksums[key] or checksum
  assert(
    checksums[key] == checksum,
    ("%s, %d tasks: %s has the checksum %d, others %d"):format(
      shape,
      n,
      who,
      checksum,
      checksums[key]
    )
  )
end

local figures = {}

---What has been measured of a contender, or nil.
---@param who string
---@param shape string
---@param n integer
---@return bench.Figures?
function M.get(who, shape, n)
  return figures[who .. "|" .. shape .. "|" .. n]
end

local function keep(who, shape, n, build, run, bytes)
  local key = who .. "|" .. shape .. "|" .. n
  local kept = figures[key] or { build = {}, run = {}, total = {}, bytes = {} }
  figures[key] = kept
  table.insert(kept.build, build)
  table.insert(kept.run, run)
  table.insert(kept.total, build + run)
  if bytes then
    table.insert(kept.bytes, bytes)
  end
end

---Runs a command and returns what it printed; nil and why when it failed.
---@param command table as astrum.spawn takes it
---@return string? output
---@return string? why
function M.output(command)
  local ok, result = pcall(astrum.spawn, command)
  if not ok then
    return nil, tostring(result)
  elseif result.code ~= 0 then
    return nil, result.stderr .. (result.signal and " signal " .. result.signal or "")
  end
  return result.stdout
end

local function must(command)
  local output, why = M.output(command)
  return assert(output, why and table.concat(command, " ") .. ": " .. why)
end

---Whether a program is there.
---@param name string
---@return boolean
function M.has(name)
  return M.output { "sh", "-c", 'command -v "$1"', "sh", name } ~= nil
end

local function fields(line)
  local list = {}
  for field in line:gmatch "[^\t]+" do
    list[#list + 1] = tonumber(field) or field
  end
  return table.unpack(list)
end

---@class bench.Paths
---@field astrum string the program astrum-lua
---@field here string the folder of the benchmarks
---@field sched string the program bench_sched

---@param paths bench.Paths
function M.open(paths)
  M.paths = paths
end

---Lua contenders in turns within one process.
---@param names string[] of graphs.contenders
---@param shape string
---@param n integer
---@param rounds integer
---@param limit integer? size of the C stack in kB
function M.lua_turns(names, shape, n, rounds, limit)
  local paths = M.paths
  local command = { paths.astrum, paths.here .. "/lua_tasks.lua", "time", shape, n, rounds }
  table.move(names, 1, #names, #command + 1, command)
  for i, word in ipairs(command) do
    command[i] = tostring(word)
  end
  if limit then
    local set = 'ulimit -s "$0" && exec "$@"'
    command = { "sh", "-c", set, tostring(limit), table.unpack(command) }
  end
  for line in must(command):gmatch "[^\n]+" do
    local number, build, run, checksum = fields(line)
    check(shape, n, names[number], checksum)
    keep(names[number], shape, n, build, run)
  end
end

---The core and the limit in turns within one process.
---@param shape string
---@param n integer
---@param rounds integer
function M.c_turns(shape, n, rounds)
  local output = must { M.paths.sched, shape, tostring(n), tostring(rounds) }
  for line in output:gmatch "[^\n]+" do
    local who, build, run, bytes, checksum = fields(line)
    check(shape, n, who, checksum)
    keep(who, shape, n, build, run, bytes)
  end
end

local kinds = {}

function kinds.lua(name, shape, n)
  local paths = M.paths
  local file = paths.here .. "/lua_tasks.lua"
  local output = must { paths.astrum, file, "memory", shape, tostring(n), name }
  local checksum, bytes, build, run = fields(output)
  return build, run, checksum, bytes
end

function kinds.node(name, shape, n)
  local file = M.paths.here .. "/peers/node.mjs"
  return fields(must { "node", file, "run", name, shape, tostring(n) })
end

function kinds.python(name, shape, n)
  local file = M.paths.here .. "/peers/python.py"
  return fields(must { M.paths.python, file, "run", name, shape, tostring(n) })
end

---@class bench.Contender
---@field kind "lua"|"node"|"python"
---@field name string

---Contenders in turns, each in a process of its own, so that the peak of its memory is known. What
---is kept of them has " alone" behind the name for Lua contenders, which also run in turns.
---@param contenders bench.Contender[]
---@param shape string
---@param n integer
---@param rounds integer
function M.process_turns(contenders, shape, n, rounds)
  for _ = 1, rounds do
    for _, contender in ipairs(contenders) do
      local name = contender.name
      local build, run, checksum, bytes = kinds[contender.kind](name, shape, n)
      check(shape, n, name, math.tointeger(checksum) or checksum)
      keep(contender.kind == "lua" and name .. " alone" or name, shape, n, build, run, bytes)
    end
  end
end

---The contenders of other languages that are installed here, and the names of those that are not.
---@return table<string, bench.Contender> by name
---@return string[] missing
function M.peers()
  local found, missing = {}, {}
  local function probe(kind, program, file, names)
    local output = program and M.output { program, M.paths.here .. "/peers/" .. file, "probe" }
    for name in (output or ""):gmatch "[^\n]+" do
      found[name] = { kind = kind, name = name }
    end
    for _, name in ipairs(names) do
      if not found[name] then
        missing[#missing + 1] = name
      end
    end
  end
  local node = M.has "node" and "node"
  probe("node", node, "node.mjs", { "node promises", "async auto", "p-graph", "langgraph" })
  -- Debian's packages belong to Debian's Python.
  local debian = M.output { "/usr/bin/python3", "--version" } and "/usr/bin/python3"
  M.paths.python = debian or M.has "python3" and "python3"
  probe("python", M.paths.python, "python.py", { "asyncio", "dask", "dask, 2 threads" })
  return found, missing
end

return M
