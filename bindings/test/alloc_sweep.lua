-- What the scenarios of alloc_sweep.c share, and those of how tasks run. Each prepares a workflow
-- while there is memory, then returns the function that is run again and again while there is none,
-- and what its report has otherwise: the state and the number of completed tasks.
local astrum = require "astrum"

local F <const>, Ref <const>, T <const> = astrum.F, astrum.Ref, astrum.T

-- Lines for standard error go nowhere.
io.stderr = { write = function() end }

-- Lua's large string buffers have a metatable that stays incomplete when the first of them finds no
-- memory: "variable '(C temporary)' got a non-closable value".
local _ = table.concat({ ("x"):rep(10000) }, "", 1, 1) .. ("x"):rep(10000):upper()

local STATES <const> = { completed = true, failed = true, cancelled = true }

-- What may be told of a failure: want of memory, or what a scenario means to fail with.
local EXPECTED <const> = {
  "not enough memory",
  "Task cancelled",
  "stack overflow", -- there is no memory for a larger one
  "boom",
  "(error object is a table value)", -- whose text could not be made
  "has no field 'nothing'",
  "is refused by the check",
  "unknown option 'retrys'",
  "unknown dependencies: ['sceond']",
  "coroutine.yield was called in the task itself",
  "lists that a map goes over together have one length",
  "timed out",
  'code = "boom"',
}

local function is_expected(value)
  local text = tostring(value)
  for _, part in ipairs(EXPECTED) do
    if text:find(part, 1, true) then
      return true
    end
  end
  return false
end

local M = {}

-- What is wrong with a report, or nil. `faulty`: an allocation failed during the run.
function M.check(report, faulty, wanted)
  local text = tostring(report)
  local found = report.execution_state .. " " .. report.successful_tasks
  local sum = report.successful_tasks
    + report.failed_tasks
    + report.timed_out_tasks
    + report.cancelled_tasks
    + report.skipped_tasks
  if not faulty and found ~= wanted then
    return found .. " in place of " .. wanted .. ": " .. text
  elseif not STATES[report.execution_state] then
    return "not a final state: " .. text
  elseif sum ~= report.total_tasks or #report.task_statistics ~= sum then
    return "the counts do not sum up: " .. text
  end
  for _, task in ipairs(report.task_statistics) do
    for _, attempt in ipairs(task.attempt_statistics or {}) do
      if attempt.status == "running" then
        return "an attempt of " .. task.task_name .. " has not ended: " .. text
      elseif attempt.error_message and not is_expected(attempt.error_message) then
        return task.task_name .. " failed: " .. attempt.error_message
      end
    end
    if task.status == "failed" and not is_expected(task.error_message) then
      return task.task_name .. " failed: " .. tostring(task.error_message)
    end
  end
end

-- What is wrong with an error that a scenario raised, or nil.
function M.check_error(value)
  if not is_expected(value) then
    return "raised: " .. tostring(value)
  end
end

function M.workflow(declare, config)
  local registry = astrum.SchedulerRegistry "sweep"
  declare(registry.task)
  local scheduler = registry:build_scheduler { config = config }
  return function()
    return scheduler:execute()
  end, scheduler
end

function M.boom()
  error "boom"
end

function M.closing(close)
  return setmetatable({}, { __close = close })
end

-- `step`: only every so manieth allocation fails.
function M.scenario(name, prepare, step)
  M[#M + 1] = { name = name, prepare = prepare, step = step or 1 }
end

local workflow, boom, closing, scenario = M.workflow, M.boom, M.closing, M.scenario

-- --- scenarios, in the order in which they run

scenario("flow", function()
  local run = workflow(function(task)
    task("load", function()
      return { items = { { qty = 2 } }, name = "x" }
    end)
    task "count" {
      inputs = { qty = Ref("integer", F.load.items[1].qty), name = F.load.name },
      retry = 1,
      run = function(qty, name)
        return { text = name .. qty }
      end,
    }
    task "print" {
      depends_on = { "load" },
      inputs = { "%s %d", F.count.text, 7 },
      run = string.format,
    }
  end)
  return run, "completed 3"
end)

scenario("declare", function()
  return function()
    local registry = astrum.SchedulerRegistry "sweep"
    local first = registry.task("first", function()
      return { a = { 1, 2 } }
    end)
    registry.task "second" {
      inputs = { x = first.a[1], y = F "first.a[2]", z = { F.first } },
      outputs = { T("third", "sum", "sum") },
      retry = 1,
      run = function(x, y, z)
        assert(z[1].a[1] == x)
        return { sum = x + y }
      end,
    }
    registry.task("third", function(sum)
      return sum
    end)
    return registry:run { target_tasks = { "third" }, config = { concurrency_limit = 2 } }
  end,
    "completed 3"
end)

scenario("columns", function()
  return function()
    local registry = astrum.SchedulerRegistry "sweep"
    registry.task("first", function()
      return { v = 1 }
    end)
    registry.task("second", {
      inputs = { x = F.first.v, y = F.first },
      run = function(x, ctx, y)
        return ctx.attempt + x + y.v
      end,
    })
    registry.task("third", {
      inputs = { F.second, F.first.v },
      run = function(x, y)
        return x + y
      end,
    })
    registry.task("fourth", {
      inputs = { x = F.third, y = F.first.v },
      run = function(inputs)
        return inputs.x + inputs.y
      end,
    })
    return registry:run {}
  end,
    "completed 4"
end)

scenario("keep_results", function()
  return function()
    local registry = astrum.SchedulerRegistry "sweep"
    registry.task("first", function()
      return { 1 }
    end)
    registry.task("second", { inputs = { F.first[1] }, run = math.abs })
    registry.task("third", { inputs = { F.second }, run = math.abs })
    local report = registry:run { config = { keep_results = { "first" } } }
    assert(not report:ok() or not report:has_result "second")
    return report
  end,
    "completed 3"
end)

-- Thousands of allocations of the same few kinds, those of closures and tables that modules begin
-- with: each is the first that fails in one of the three ways.
scenario("load", function()
  return function()
    for name in pairs(package.loaded) do
      if name:find "^astrum" then
        package.loaded[name] = nil
      end
    end
    local registry = require("astrum").SchedulerRegistry "sweep"
    registry.task("one", function() end)
    return registry:run {}
  end,
    "completed 1"
end, 3)

scenario("mistakes", function()
  return function()
    local registry = astrum.SchedulerRegistry "sweep"
    local ok, why = pcall(registry.task, "first", { retrys = 1, run = print })
    assert(not ok and is_expected(why), why)
    registry.task("second", { depends_on = { "sceond" }, run = boom })
    ok, why = pcall(registry.build_scheduler, registry, {})
    assert(not ok and is_expected(why), why)
    registry:clear()
    registry.task("third", boom)
    return registry:run { target_tasks = {} }
  end,
    "completed 0"
end)

scenario("retry", function()
  local run = workflow(function(task)
    task "flaky" {
      retry = 2,
      run = function(ctx)
        if ctx.attempt < 3 then
          error(setmetatable({}, {
            __tostring = function()
              return "boom"
            end,
          }))
        end
        return ctx.idempotency_key
      end,
    }
    task "fails" {
      retry = 1,
      depends_on = { "flaky" },
      run = function()
        return nil, "boom"
      end,
    }
    task("skipped", { depends_on = { "fails" }, run = print })
  end)
  return run, "failed 1"
end)

scenario("waits", function()
  local function later(value)
    return astrum.await(function(done)
      done(value, nil)
      return function() end
    end)
  end
  local run = workflow(function(task)
    task("all", function()
      local list = astrum.all {
        function()
          astrum.sleep(0)
          return later(1)
        end,
        function()
          return astrum.all {
            function()
              return later(2)
            end,
          }
        end,
      }
      assert(list.n == 2 and list[1] == 1 and list[2][1] == 2, "wrong results")
    end)
    task("failing", function()
      local ok = pcall(astrum.all, {
        function()
          local _ <close> = closing(function()
            error "boom in a cleanup"
          end)
          astrum.sleep(1)
        end,
        function()
          astrum.sleep(0)
          boom()
        end,
      })
      assert(not ok, "no error")
    end)
    task("await", function()
      local done
      astrum.all {
        function()
          astrum.await(function(given)
            done = given
          end)
        end,
        function()
          while not done do
            astrum.sleep(0)
          end
          done(1)
        end,
      }
    end)
  end)
  return run, "completed 3"
end)

scenario("main", function()
  local _, scheduler = workflow(function(task)
    task("one", function()
      astrum.sleep(0)
    end)
  end)
  return function()
    astrum.sleep(0)
    local list = astrum.all {
      function()
        astrum.sleep(0)
        return 1
      end,
      function()
        return (astrum.await(function(done)
          done(2)
        end))
      end,
    }
    assert(list[1] == 1 and list[2] == 2, "wrong results")
    pcall(astrum.all, { boom, boom })
    local handle = scheduler:start()
    handle:on_done(function(report)
      assert(tostring(report), "no report")
    end)
    assert(handle:status().tasks == 1, "wrong count")
    return handle:wait()
  end,
    "completed 1"
end)

scenario("inside", function()
  local _, inner = workflow(function(task)
    task("a", function()
      astrum.sleep(0)
    end)
    task("b", boom)
    task("c", { depends_on = { "b" }, run = boom })
  end, { failure_mode = "keep_going" })
  local run = workflow(function(task)
    task("waits", function()
      local one, other = inner:start(), inner:start()
      astrum.sleep(0)
      other:cancel "enough"
      one:cancel()
      return one:wait().total_tasks + other:wait().total_tasks
    end)
    task("executes", function()
      return inner:execute().execution_state
    end)
    task("beside", function()
      astrum.sleep(0)
    end)
  end, { concurrency_limit = 1 })
  return run, "completed 3"
end)

scenario("inputs", function()
  local run = workflow(function(task)
    task("load", function()
      return setmetatable({ n = 3 }, {
        __index = function(_, key)
          return key == "m" and 4 or nil
        end,
      })
    end)
    task "all_kinds" {
      inputs = {
        template = { F.load.n, { deep = F.load.n } },
        called = function()
          astrum.sleep(0)
          return 1
        end,
        checked = Ref(function(value)
          return value == 3, "not 3"
        end, F.load.n),
        meta = F.load.m,
        default = Ref("string?", F.load.none, { default = "d" }),
        hidden = 5,
      },
      run = function(inputs, template, called, checked, meta, default, ctx)
        assert(inputs.hidden == 5 and template[2].deep == 3 and called == 1, "wrong inputs")
        assert(checked == 3 and meta == 4 and default == "d", "wrong inputs")
        ctx.progress(0.5, "half")
        ctx.log("x", 1)
        return astrum.context().run_id
      end,
    }
    task("wrong", { inputs = { x = F.load.nothing }, run = function(x) end })
    task("none", { inputs = { x = { F.load.nothing } }, run = function(x) end })
    task "refused" {
      inputs = {
        x = Ref(function()
          return false, "never"
        end, F.load),
      },
      run = function(x) end,
    }
  end, { failure_mode = "keep_going" })
  return run, "failed 2"
end)

scenario("cancel", function()
  local _, scheduler = workflow(function(task)
    task("waits", function()
      local _ <close> = closing(boom)
      astrum.await(function()
        return boom
      end)
    end)
    task("group", function()
      local function long()
        astrum.sleep(1)
      end
      astrum.all { long, long }
    end)
  end)
  return function()
    local handle = scheduler:start()
    astrum.sleep(0)
    handle:cancel "stop"
    return handle:wait()
  end,
    "cancelled 0"
end)

scenario("stuck", function()
  local run = workflow(function(task)
    task("waits", function()
      astrum.await(function() end)
    end)
  end)
  return run, "failed 0"
end)

scenario("misuse", function()
  local run = workflow(function(task)
    task "yields" { retry = 1, run = coroutine.yield }
    task("caught", function()
      assert(not pcall(astrum.sleep, -1), "no error")
      assert(not pcall(coroutine.wrap(astrum.sleep), 0), "no error")
      assert(not pcall(table.sort, { 2, 1 }, astrum.sleep), "no error")
    end)
  end, { failure_mode = "keep_going" })
  return run, "failed 1"
end)

return M
