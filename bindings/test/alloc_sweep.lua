-- The scenarios of alloc_sweep.c. Each prepares a workflow while there is memory, then returns the
-- function that is run again and again while there is none, and what its report has otherwise:
-- the state and the number of completed tasks.
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

local function workflow(declare, config)
  local registry = astrum.SchedulerRegistry "sweep"
  declare(registry.task)
  local scheduler = registry:build_scheduler { config = config }
  return function()
    return scheduler:execute()
  end, scheduler
end

local function boom()
  error "boom"
end

local function closing(close)
  return setmetatable({}, { __close = close })
end

-- --- scenarios, in the order in which they run

local function scenario(name, prepare, step)
  M[#M + 1] = { name = name, prepare = prepare, step = step or 1 }
end

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

scenario("events", function()
  local run = workflow(function(task)
    task("one", function()
      astrum.sleep(0)
    end)
    task("two", { depends_on = { "one" }, retry = 1, run = boom })
  end, { silence = false })
  return run, "failed 1"
end)

scenario("detached", function()
  local run = workflow(function(task)
    task("one", function() end)
    task "tail" {
      detached = true,
      run = function()
        astrum.sleep(0)
      end,
    }
  end)
  return function()
    local report = run()
    report.tail_tasks.tail.wait()
    return report
  end,
    "completed 1"
end)

scenario("many", function()
  local run = workflow(function(task)
    for i = 1, 70 do
      task("task" .. i, function()
        astrum.sleep(0)
      end)
    end
  end)
  return run, "completed 70"
end)

scenario("report", function()
  local run = workflow(function(task)
    task("one", function() end)
    task("two", { depends_on = { "one" }, retry = 1, run = boom })
    task("three", { depends_on = { "two" }, run = boom })
  end)
  return function()
    local report = run()
    assert(#tostring(report) > 0, "no text")
    assert(#report.task_statistics == 3 and report.error_summary, "no statistics")
    assert(report:critical_path() and report:task "three", "no path")
    return report
  end,
    "failed 1"
end)

scenario("maps", function()
  local run = workflow(function(task)
    task("list", function()
      return { 1, 2, 3 }
    end)
    task "each" {
      map = { n = F.list, text = { "a", "b", "c" } },
      retry = 1,
      max_concurrency = 2,
      when = function(n)
        return n ~= 2
      end,
      run = function(n, text, ctx)
        if n == 3 and ctx.attempt == 1 then
          boom()
        end
        astrum.sleep(0)
        return text .. ctx.item
      end,
    }
    task "tolerant" {
      map = { n = F.list },
      on_item_failure = "collect",
      run = function(n)
        error("boom " .. n)
      end,
    }
    task "breaks" {
      map = { n = F.list },
      run = function(n)
        astrum.sleep(0)
        return n == 2 and boom()
      end,
    }
    task("wrong", { map = { n = { 1 }, m = F.list }, run = function(n, m) end })
    task("empty", {
      map = { n = {} },
      run = function(n)
        return n
      end,
    })
    task("use", { inputs = { F.each }, depends_on = { "empty" }, run = rawlen })
  end, { failure_mode = "keep_going", keep_results = {} })
  return function()
    local report = run()
    for _, entry in ipairs(report.task_statistics) do
      for _, item in ipairs(entry.items or {}) do
        assert(item.status and #item.attempt_statistics >= 0, "no statistics")
      end
    end
    assert(report.error_summary and tostring(report), "no text")
    return report
  end,
    "failed 5"
end)

scenario("conditions", function()
  local run = workflow(function(task)
    task "later" {
      retry = 1,
      inputs = {
        n = function()
          return astrum.context().attempt == 1 and boom() or 1
        end,
      },
      when = function(n, inputs, ctx)
        astrum.sleep(0)
        return inputs.n == n and ctx.attempt == 2
      end,
      run = function(n) end,
    }
    task "declined" {
      when = function()
        return false
      end,
      run = boom,
    }
    task("after", { depends_on = { "declined" }, trigger = "none_failed", run = function() end })
    task("raises", { retry = 1, when = boom, run = function() end })
    task "handles" {
      inputs = { x = Ref("any?", F.raises.x) },
      trigger = "one_failed",
      run = function(x)
        return type(x)
      end,
    }
    task("cleans", { depends_on = { "later" }, trigger = "all_done", run = function() end })
  end, { failure_mode = "keep_going" })
  return function()
    local report = run()
    assert(report.task_statistics and report.error_summary, "no statistics")
    return report
  end,
    "completed 4"
end)

scenario("pools", function()
  local inner = astrum.SchedulerRegistry "inner"
  inner.task("small", { pool = "db", run = function() end })
  local large = astrum.SchedulerRegistry "large"
  large.task("large", { pools = { db = 2 }, run = function() end })
  local run = workflow(function(task)
    for i = 1, 3 do
      task("t" .. i, {
        pools = { db = 1, api = 1 },
        priority = i,
        run = function()
          astrum.sleep(0)
        end,
      })
    end
    task("inside", {
      pool = "db",
      run = function()
        return inner:run({}):ok()
      end,
    })
    task("refused", {
      pool = "db",
      run = function()
        local ok, why = pcall(large.run, large, {})
        assert(not ok, "no error")
        error("boom: " .. tostring(why), 0)
      end,
    })
  end, {
    failure_mode = "keep_going",
    pools = { db = 2, api = { slots = 2, rate = { 100, per = 0.001 } } },
  })
  return run, "failed 4"
end)

scenario("workflows", function()
  local inner = astrum.SchedulerRegistry "inner"
  inner.task("text", {
    inputs = { name = astrum.param("name", { type = "string", sensitive = true }) },
    run = function(name)
      astrum.sleep(0)
      return name .. "!"
    end,
  })
  local bad = astrum.SchedulerRegistry "bad"
  bad.task("fails", boom)
  local run = workflow(function(task)
    task("greet", { workflow = inner, inputs = { name = "Ada Lovelace" } })
    task("each", { workflow = inner, map = { name = { "Grace", "Barbara" } } })
    task("bad", { workflow = bad, retry = 1 })
    task("use", { inputs = { F.greet.text }, sensitive = true, run = string.upper })
    task("log", {
      inputs = { text = F.use },
      run = function(text, ctx)
        ctx.log(text)
        error("boom " .. text, 0)
      end,
    })
  end, { failure_mode = "keep_going" })
  return function()
    local report = run()
    assert(tostring(report), "no text")
    return report
  end,
    "failed 3"
end)

scenario("timeouts", function()
  local run = workflow(function(task)
    task("slow", {
      timeout = 0.0005,
      retry = {
        max = 1,
        delay = 0,
        on = function(err)
          return err ~= nil
        end,
      },
      run = function()
        local _ <close> = closing(function() end)
        astrum.sleep(1)
      end,
    })
    task("idle", {
      idle_timeout = 0.0005,
      run = function(ctx)
        ctx.progress(0.5)
        astrum.all {
          function()
            astrum.sleep(1)
          end,
        }
      end,
    })
    task("each", {
      map = { n = { 1, 2 } },
      timeout = 0.005, -- of the expansion, too, which has to be in time
      on_item_failure = "skip",
      run = function(n)
        astrum.sleep(n)
      end,
    })
  end, { failure_mode = "keep_going", deadline = 10 })
  return run, "failed 1"
end)

scenario("on_event", function()
  local seen = 0
  local run = workflow(function(task)
    task("one", {
      around = function(ctx, body)
        return body(ctx)
      end,
      run = function()
        astrum.sleep(0)
      end,
    })
    task("two", { depends_on = { "one" }, retry = 1, run = boom })
    task("three", { depends_on = { "two" }, run = boom })
    task("each", {
      map = { n = { 1, 2 } },
      run = function(n)
        return n
      end,
    })
  end, {
    failure_mode = "keep_going",
    around = function(_, body)
      return body()
    end,
    on_event = function(event)
      seen = seen + #event.kind
      if event.kind == "task_ready" then
        boom()
      end
    end,
  })
  return run, "failed 2"
end)

scenario("preemption", function()
  local run = workflow(function(task)
    task("child", function()
      local co = coroutine.create(coroutine.yield)
      assert(coroutine.resume(co, 1))
      return coroutine.close(co), coroutine.wrap(coroutine.yield)(2)
    end)
  end)
  return function()
    assert(astrum.enable_preemption())
    return run()
  end, "completed 1"
end)

scenario("spawn", function()
  local run = workflow(function(task)
    task("echo", function()
      local result = astrum.spawn { "/bin/cat", stdin = "text", env = { A = "b" }, cwd = "/" }
      assert(result.stdout == "text", "boom: no text came back")
    end)
    task("missing", function()
      assert(not pcall(astrum.spawn, { "/no/such/command" }), "no error")
    end)
    task("cancelled", function()
      local function long()
        astrum.spawn { "/bin/sleep", "10" }
      end
      assert(not pcall(astrum.all, { long, boom }), "no error")
    end)
  end)
  return function()
    astrum.spawn { "/bin/true" }
    return run()
  end, "completed 3"
end)

scenario("threads", function()
  local offset = 5
  local run = workflow(function(task)
    task("add", {
      executor = "thread",
      inputs = { value = { 1, 2 } },
      run = function(value, ctx)
        ctx.log("adds")
        ctx.progress(0.5, "half")
        return { sum = value[1] + value[2] + offset }
      end,
    })
    task("items", {
      executor = "thread",
      map = { item = { 1, 2, 3 } },
      run = function(item)
        return item
      end,
    })
    task("fails", {
      executor = "thread",
      run = function()
        error { code = "boom" }
      end,
    })
  end, { failure_mode = "keep_going", workers = 1 })
  return function()
    return run()
  end, "failed 2"
end)

return M
