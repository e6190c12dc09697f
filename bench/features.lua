-- What each feature costs: a chain of tasks as plain as can be, and the same chain with one thing
-- more in each task. They take turns; what counts is the time of the CPU, of this process and its
-- threads, but not of its child processes.
local astrum = require "astrum"

local F <const> = astrum.F

local M = {}

local TASKS <const> = 2000

local function body(v)
  return { v = v + 1 }
end

-- Declares a chain; spec(reference) gives a task that reads the field v of the one before.
local function chain(count, spec)
  local registry = astrum.SchedulerRegistry("features")
  registry.task("t1", function()
    return { v = 1 }
  end)
  for i = 2, count do
    registry.task("t" .. i, spec(F["t" .. i - 1].v))
  end
  return registry
end

-- A feature by the options that it adds to each task.
local function options(more)
  return function(reference)
    local spec = { inputs = { v = reference }, run = body }
    for key, value in pairs(more) do
      spec[key] = value
    end
    return spec
  end
end

local function nothing() end

-- The same as the body, in a workflow of its own.
local function inner_workflow()
  local inner = astrum.workflow "inner" {
    v = {
      inputs = { v = astrum.param("v", { type = "integer" }) },
      run = function(v)
        return v + 1
      end,
    },
  }
  return function(reference)
    return { inputs = { v = reference }, workflow = inner }
  end
end

-- In the order in which they are shown. `count`: of tasks, where TASKS would take too long.
local FEATURES <const> = {
  { "plain: one field of another task", options {} },
  {
    "`ctx`",
    function(reference)
      return {
        inputs = { v = reference },
        run = function(v, ctx)
          return { v = v + ctx.attempt }
        end,
      }
    end,
  },
  {
    "`Ref` with a type",
    function(reference)
      return { inputs = { v = astrum.Ref("integer", reference) }, run = body }
    end,
  },
  {
    "a table that holds the reference",
    function(reference)
      return {
        inputs = { list = { reference, 1 } },
        run = function(list)
          return { v = list[1] + 1 }
        end,
      }
    end,
  },
  { "`retry`, not needed", options { retry = 2 } },
  {
    "`retry`, once for each task",
    function(reference)
      local failed = false
      return {
        inputs = { v = reference },
        retry = 1,
        run = function(v)
          if not failed then
            failed = true
            error "once"
          end
          return { v = v + 1 }
        end,
      }
    end,
  },
  { "`timeout`, not reached", options { timeout = 60 } },
  {
    "`when`",
    options {
      when = function(v)
        return v > 0
      end,
    },
  },
  { "`priority`", options { priority = 1 } },
  { "`pool`", options { pool = "few" }, config = { pools = { few = 2 } } },
  { "`on_event`", options {}, config = { on_event = nothing } },
  {
    "`around`",
    options {},
    config = {
      around = function(_, run)
        return run()
      end,
    },
  },
  { '`keep_results = "targets"`', options {}, config = { keep_results = "targets" } },
  {
    "`sleep(0)` in the body",
    function(reference)
      return {
        inputs = { v = reference },
        run = function(v)
          astrum.sleep(0)
          return { v = v + 1 }
        end,
      }
    end,
  },
  { '`executor = "thread"`', options { executor = "thread" } },
  { '`executor = "process"`', options { executor = "process" }, count = 20 },
}

-- An item of a map in place of a task.
local function map()
  local list = {}
  for i = 1, TASKS do
    list[i] = i
  end
  local registry = astrum.SchedulerRegistry("features")
  registry.task("list", function()
    return list
  end)
  registry.task("each", { map = { v = F.list }, run = body })
  return registry
end

local function measure(declare, config, count)
  collectgarbage()
  local began = os.clock()
  local scheduler = declare():build_scheduler { config = config }
  local built = os.clock()
  scheduler:execute():assert()
  local ran = os.clock()
  return (built - began) / count * 1e9, (ran - built) / count * 1e9
end

---Nanoseconds a task to declare and build, and to run.
---@param rounds integer
---@return { name: string, build: number[], run: number[] }[]
function M.measure(rounds)
  local found, ways = {}, {}
  local function add(name, declare, config, count)
    found[#found + 1] = { name = name, build = {}, run = {} }
    ways[#found] = { declare, config, count }
  end
  for _, feature in ipairs(FEATURES) do
    local count = feature.count or TASKS
    add(feature[1], function()
      return chain(count, feature[2])
    end, feature.config, count)
  end
  local inner = inner_workflow()
  add("`workflow` of one task", function()
    return chain(TASKS, inner)
  end, nil, TASKS)
  add("an item of `map`", map, nil, TASKS)
  for _ = 1, rounds do
    for i, way in ipairs(ways) do
      local build, run = measure(table.unpack(way, 1, 3))
      table.insert(found[i].build, build)
      table.insert(found[i].run, run)
    end
  end
  return found
end

return M
