-- The scenarios of alloc_sweep.c for what is said of tasks and runs: events, reports, policy, child
-- processes and threads. The argument is what alloc_sweep.lua returns.
local M = ...
local astrum = require "astrum"

local F <const>, Ref <const> = astrum.F, astrum.Ref
local workflow, boom, closing, scenario = M.workflow, M.boom, M.closing, M.scenario

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
