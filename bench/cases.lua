-- The benchmarks that are no graphs of tiny tasks: barriers between stages, child processes, starts
-- of programs.
local astrum = require "astrum"
local core = require "astrum.core"
local measure = require "measure"

local M = {}

-- --- barriers: branches, each a chain of sleeps in ms

M.BARRIERS = {
  { { 300 }, { 50, 50, 50 } },
  { { 300, 50 }, { 50, 50, 50 } },
  { { 300, 10, 10 }, { 10, 10, 300 } },
  { { 200, 10, 200, 10, 200, 10 }, { 10, 200, 10, 200, 10, 200 } },
}

local function sum(list)
  local total = 0
  for _, value in ipairs(list) do
    total = total + value
  end
  return total
end

---The critical path of a case, in ms.
---@param branches integer[][]
---@return integer
function M.critical_path(branches)
  local longest = 0
  for _, branch in ipairs(branches) do
    longest = math.max(longest, sum(branch))
  end
  return longest
end

---@param branches integer[][]
---@return string as in A = 300; B = 50, 50
function M.barrier_text(branches)
  local parts = {}
  for i, branch in ipairs(branches) do
    parts[i] = string.char(64 + i) .. " = " .. table.concat(branch, ", ")
  end
  return table.concat(parts, "; ")
end

local function astrum_barrier(branches)
  local registry = astrum.SchedulerRegistry("barrier")
  for i, branch in ipairs(branches) do
    for k, milliseconds in ipairs(branch) do
      registry.task(("%d.%d"):format(i, k), {
        depends_on = k > 1 and { ("%d.%d"):format(i, k - 1) } or nil,
        run = function()
          astrum.sleep(milliseconds / 1000)
        end,
      })
    end
  end
  local scheduler = registry:build_scheduler {}
  local began = core.clock()
  scheduler:execute():assert()
  return (core.clock() - began) * 1000
end

local function as_json(branches)
  local parts = {}
  for i, branch in ipairs(branches) do
    parts[i] = "[" .. table.concat(branch, ",") .. "]"
  end
  return "[" .. table.concat(parts, ",") .. "]"
end

---The makespan of a case in ms.
---@param contender bench.Contender? nil: astrum
---@param branches integer[][]
---@return number
function M.barrier(contender, branches)
  if not contender then
    return astrum_barrier(branches)
  end
  local paths = measure.paths
  local program = contender.kind == "node" and "node" or paths.python
  local file = contender.kind == "node" and "node.mjs" or "python.py"
  local path = paths.here .. "/peers/" .. file
  local output = measure.output { program, path, "barrier", contender.name, as_json(branches) }
  return assert(tonumber(output))
end

-- --- child processes, two at a time

local function write(path, text)
  local file = assert(io.open(path, "w"))
  file:write(text)
  file:close()
end

-- A folder with the files of ninja and make for `count` commands.
local function process_folder(count)
  local folder = os.tmpname()
  os.remove(folder)
  assert(os.execute("mkdir '" .. folder .. "'"))
  local ninja = { "rule run\n  command = true\n" }
  local make = { "all:" }
  for i = 1, count do
    ninja[#ninja + 1] = ("build t%d: run\n"):format(i)
    make[#make + 1] = (" t%d"):format(i)
  end
  -- With a colon in it the command is given to a shell, as ninja does with each.
  make[#make + 1] = "\nt%:\n\t@: ; true\n"
  write(folder .. "/build.ninja", table.concat(ninja))
  write(folder .. "/Makefile", table.concat(make))
  return folder
end

local function astrum_processes(count)
  local registry = astrum.SchedulerRegistry("processes")
  for i = 1, count do
    registry.task("t" .. i, function()
      assert(astrum.spawn({ "sh", "-c", "true" }).code == 0)
    end)
  end
  registry:run({ config = { concurrency_limit = 2 } }):assert()
end

---Microseconds for each of many commands given to a shell, two at a time, by round.
---@param count integer
---@param rounds integer
---@return table<string, number[]> by contender
function M.processes(count, rounds)
  local folder = process_folder(count)
  local contenders = { astrum = astrum_processes }
  for _, program in ipairs { "ninja", "make" } do
    if measure.has(program) then
      contenders[program] = function()
        assert(measure.output { program, "-C", folder, "-j2" })
      end
    end
  end
  local found = {}
  for _ = 1, rounds do
    for name, run in pairs(contenders) do
      local began = core.clock()
      run(count)
      found[name] = found[name] or {}
      table.insert(found[name], (core.clock() - began) / count * 1e6)
    end
  end
  os.execute("rm -r '" .. folder .. "'")
  return found
end

-- --- starting

---Milliseconds from nothing to the end of an empty program, by round.
---@param rounds integer
---@return table<string, number[]> by contender
function M.starts(rounds)
  local programs = {
    ["astrum-lua"] = { measure.paths.astrum, "-e", "" },
    ["astrum-lua, astrum loaded"] = { measure.paths.astrum, "-e", "require 'astrum'" },
    ["lua5.4"] = measure.has "lua5.4" and { "lua5.4", "-e", "" } or nil,
    ["python3"] = measure.paths.python and { measure.paths.python, "-c", "" } or nil,
    ["node"] = measure.has "node" and { "node", "-e", "" } or nil,
  }
  local found = {}
  for _ = 1, rounds do
    for name, command in pairs(programs) do
      local began = core.clock()
      assert(measure.output(command))
      found[name] = found[name] or {}
      table.insert(found[name], (core.clock() - began) * 1000)
    end
  end
  return found
end

return M
