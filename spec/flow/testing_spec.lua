local astrum = require "astrum"
local flow = require "spec.support.flow"

local F, sleep = astrum.F, astrum.sleep
local run = astrum.testing.run

-- A workflow of three tasks, of which only `total` would work in a test.
local function shop()
  return flow.registry(function(task)
    task("fetch", {
      retry = { max = 3, delay = 10, jitter = false },
      run = function()
        error("there is no network", 0)
      end,
    })
    task("total", {
      inputs = { prices = F.fetch, tax = astrum.param("tax", { type = "integer", default = 20 }) },
      run = function(prices, tax)
        local sum = 0
        for _, price in ipairs(prices) do
          sum = sum + price
        end
        return sum * (100 + tax) // 100
      end,
    })
    task("send", {
      inputs = { total = F.total },
      run = function(total)
        error("there is no mail for " .. total, 0)
      end,
    })
  end)
end

-- The text of the error that testing.run raises at a line of this file.
local function refusal(...)
  local failure = flow.raised(run, ...)
  return failure.kind .. ": " .. failure.message:gsub("^[^:\n]*spec[^:\n]*:%d+: ", "")
end

describe("testing.run", function()
  it("takes no real time for sleeps, timeouts and delays", function()
    local began = astrum.context and os.time()
    local report = run(flow.registry(function(task)
      task("day", function()
        sleep(86400)
      end)
      task("late", {
        timeout = 3600,
        retry = { max = 2, delay = 10800, backoff = 1, max_delay = 10800, jitter = false },
        run = function(ctx)
          if ctx.attempt < 3 then
            sleep(7200)
          end
          return ctx.attempt
        end,
      })
    end))
    assert.equal("completed", report.execution_state)
    assert.equal(3, report:result("late"))
    assert.equal(86400.0, report.execution_duration)
    assert.equal(86400.0, report:task("day").duration)
    assert.equal(7200.0, report:task("late").duration)
    assert.equal(21600.0, report:task("late").wait_duration)
    assert.is_true(os.time() - began < 5)
  end)

  it("gives exact durations", function()
    local report = run(flow.registry(function(task)
      task("a", function()
        sleep(0.1)
        sleep(0.2)
      end)
      task("b", {
        depends_on = { "a" },
        run = function()
          local total = 0
          for i = 1, 100000 do
            total = total + i
          end
          return total
        end,
      })
    end))
    assert.equal("0.3", ("%.10g"):format(report:task("a").duration))
    assert.equal(0.0, report:task("b").duration)
    assert.equal(0.0, report.planning_duration)
  end)

  it("wakes tasks in the order of their times", function()
    local order = {}
    run(flow.registry(function(task)
      for _, seconds in ipairs { 30, 10, 20 } do
        task("after" .. seconds, function()
          sleep(seconds)
          order[#order + 1] = seconds
        end)
      end
    end))
    assert.same({ 10, 20, 30 }, order)
  end)

  it("puts values in the place of bodies", function()
    local report = run(shop(), { stubs = { fetch = { 100, 200 }, send = true } })
    assert.equal("completed", report.execution_state)
    assert.equal(360, report:result("total"))
    assert.equal(true, report:result("send"))
  end)

  it("takes false as a value", function()
    local report = run(shop(), { stubs = { fetch = {}, send = false } })
    assert.equal(false, report:result("send"))
  end)

  it("puts functions in the place of bodies, with the same arguments", function()
    local sent
    run(shop(), {
      stubs = {
        fetch = function()
          sleep(5)
          return { 50 }
        end,
        send = function(total)
          sent = total
        end,
      },
    }):assert()
    assert.equal(60, sent)
  end)

  it("retries a stub that fails as it would retry the body", function()
    local attempts = {}
    local report = run(shop(), {
      stubs = {
        fetch = function()
          local ctx = astrum.context()
          attempts[#attempts + 1] = ctx.attempt
          if ctx.attempt < 3 then
            return nil, "busy"
          end
          return { 1 }
        end,
        send = true,
      },
    })
    assert.same({ 1, 2, 3 }, attempts)
    assert.equal("completed", report.execution_state)
    assert.equal(30.0, report.execution_duration)
  end)

  it("calls the functions around a stub", function()
    local seen = {}
    run(shop(), {
      stubs = { fetch = { 1 }, send = true },
      config = {
        around = function(ctx, go)
          seen[#seen + 1] = ctx.task
          return go()
        end,
      },
    })
    assert.same({ "fetch", "total", "send" }, seen)
  end)

  it("can replace a task that is a workflow, as a whole", function()
    local inner = flow.registry(function(task)
      task("load", function()
        error("there is no disk", 0)
      end)
    end)
    local registry = flow.registry(function(task)
      task("part", { workflow = inner })
      task("use", {
        inputs = { value = F.part.load },
        run = function(value)
          return value + 1
        end,
      })
    end)
    local report = run(registry, { stubs = { part = { load = 4 } } })
    assert.equal(5, report:result("use"))
    assert.is_nil(report:task("part").report)
    assert.equal("failed", run(registry).execution_state)
  end)

  it("changes nothing of the workflow", function()
    local registry = shop()
    run(registry, { stubs = { fetch = { 1 }, send = true } }):assert()
    local report = run(registry)
    assert.same({ fetch = "failed", total = "skipped", send = "skipped" }, flow.statuses(report))
  end)

  it("takes values of params", function()
    local stubs = { fetch = { 100 }, send = true }
    assert.equal(107, run(shop(), { stubs = stubs, params = { tax = 7 } }):result("total"))
    assert.equal(120, run(shop(), { stubs = stubs }):result("total"))
  end)

  it("takes a configuration and tasks to select", function()
    local report = run(shop(), {
      stubs = { fetch = { 1 } },
      config = { defaults = { timeout = 5 } },
      target_tasks = { "total" },
    })
    assert.same({ fetch = "completed", total = "completed" }, flow.statuses(report))
  end)

  it("takes a scheduler", function()
    local scheduler = shop():build_scheduler { config = { failure_mode = "keep_going" } }
    local report = run(scheduler, { stubs = { fetch = { 1 } } })
    assert.same(
      { fetch = "completed", total = "completed", send = "failed" },
      flow.statuses(report)
    )
  end)

  it("takes the name of a namespace", function()
    astrum.task("work", {
      namespace = "testing_spec",
      run = function()
        sleep(60)
        return 1
      end,
    })
    local report = run "testing_spec"
    astrum.clear_registry "testing_spec"
    assert.equal(1, report:result("work"))
    assert.equal(60.0, report.execution_duration)
  end)

  it("gives the same run for the same seed", function()
    local function starts(seed)
      local list = {}
      local registry = flow.registry(function(task)
        for i = 1, 4 do
          task("part" .. i, {
            retry = { max = 3, delay = 100, jitter = true },
            run = function(ctx)
              list[#list + 1] = "part" .. i .. " #" .. ctx.attempt
              assert(ctx.attempt == 4, "down")
            end,
          })
        end
      end)
      local report = run(registry, { seed = seed })
      return table.concat(list, ", ") .. " in " .. report.execution_duration
    end
    assert.equal(starts(3), starts(3))
    assert.equal(starts(nil), starts(0))
    assert.not_equal(starts(3), starts(4))
  end)

  it("waits for detached tasks, in virtual time too", function()
    local registry = flow.registry(function(task)
      task("main", function()
        sleep(1)
      end)
      task("later", {
        detached = true,
        run = function()
          sleep(7200)
          return "sent"
        end,
      })
    end)
    local report = run(registry)
    assert.equal(1.0, report.execution_duration)
    assert.equal("completed", report.tail_tasks.later.status)
    assert.equal("sent", report.tail_tasks.later.result)
  end)

  it("does not come round to the beginning of time", function()
    local report = run(flow.registry(function(task)
      task("sleeps", function()
        for _ = 1, 3 do
          sleep(9e9)
        end
      end)
    end))
    assert.is_true(report:assert().execution_duration > 1.8e10)
  end)

  it("finds out that nothing could go on", function()
    local report = run(flow.registry(function(task)
      task("never", function()
        astrum.await(function() end)
      end)
    end))
    assert.same(
      { "Execution failed: nothing is left that could happen; waiting: never" },
      report.error_summary
    )
  end)

  it("waits for a child process in real time, while the virtual time stands still", function()
    local order = {}
    local report = run(flow.registry(function(task)
      task("spawns", function()
        local result = astrum.spawn { "sh", "-c", "sleep 0.01; echo real" }
        order[#order + 1] = "spawns"
        return result.stdout
      end)
      task("sleeps", function()
        sleep(3600)
        order[#order + 1] = "sleeps"
      end)
    end))
    assert.equal("real\n", report:assert():result("spawns"))
    assert.same({ "spawns", "sleeps" }, order)
    assert.equal(3600.0, report.execution_duration)
    assert.equal(0.0, report:task("spawns").duration)
  end)

  it("runs bodies in child processes, whose sleeps are real", function()
    local path = os.tmpname()
    local file <close> = assert(io.open(path, "w"))
    file:write [[
      local astrum = require "astrum"
      local registry = astrum.SchedulerRegistry "child"
      registry.task("work", {
        executor = "process",
        run = function()
          astrum.sleep(0.005)
          return "from the child"
        end,
      })
      return registry
    ]]
    file:close()
    local registry = dofile(path)
    os.remove(path)
    assert.equal("from the child", run(registry):assert():result("work"))
  end)

  it("leaves the time of later runs real", function()
    run(flow.registry(function(task)
      task("work", function()
        sleep(3600)
      end)
    end))
    local report = flow.run(function(task)
      task("work", function()
        sleep(0.003)
      end)
    end)
    assert.is_true(report:task("work").duration >= 0.003)
    assert.is_true(report:task("work").duration < 60)
  end)

  it("leaves the time of later runs real when it raises", function()
    flow.raised(run, shop(), { params = { nothing = 1 } })
    local before = os.clock()
    local report = flow.run(function(task)
      task("work", {
        timeout = 0.003,
        run = function()
          sleep(10)
        end,
      })
    end)
    assert.equal("timed_out", report:task("work").status)
    assert.is_true(os.clock() - before < 5)
  end)

  it("can have a deadline", function()
    local report = run(
      flow.registry(function(task)
        task("slow", function()
          sleep(7200)
        end)
      end),
      { config = { deadline = 3600 } }
    )
    assert.same(
      { "Execution failed: the run took longer than its deadline of 3600 s" },
      report.error_summary
    )
    assert.equal(3600.0, report.execution_duration)
  end)

  it("runs workflows inside tasks in the same time", function()
    local inner = flow.registry(function(task)
      task("slow", function()
        sleep(1800)
      end)
    end)
    local report = run(flow.registry(function(task)
      task("first", { workflow = inner })
      task("second", {
        depends_on = { "first" },
        run = function()
          inner:run({}):assert()
        end,
      })
    end))
    assert.equal(3600.0, report:assert().execution_duration)
    assert.equal(1800.0, report:task("first").report.execution_duration)
  end)
end)

describe("testing.run refuses", function()
  it("what is no workflow", function()
    local text = "ConfigError: testing.run: a registry, a namespace or a scheduler is wanted, got "
    local help = '\nhelp: as in astrum.testing.run("default", { stubs = ... })'
    assert.equal(text .. "nil" .. help, refusal())
    assert.equal(text .. "table" .. help, refusal {})
  end)

  it("unknown options", function()
    assert.equal(
      "ConfigError: testing.run: unknown option 'stub'\nhelp: did you mean 'stubs'?",
      refusal(shop(), { stub = {} })
    )
    assert.equal(
      "ConfigError: testing.run: the options are a table, got number",
      refusal(shop(), 5)
    )
  end)

  it("stubs of unknown tasks", function()
    assert.equal(
      "ConfigError: testing.run: stubs names unknown task 'totl'\nhelp: did you mean 'total'?",
      refusal(shop(), { stubs = { totl = 1 } })
    )
    assert.equal(
      "ConfigError: testing.run: stubs names unknown task 1\n"
        .. "help: the tasks are: fetch, total, send",
      refusal(shop(), { stubs = { "total" } })
    )
    assert.equal(
      "ConfigError: testing.run: stubs is a table by task name, got string",
      refusal(shop(), { stubs = "total" })
    )
  end)

  it("stubs of tasks that are not selected", function()
    assert.equal(
      "ConfigError: testing.run: stubs names unknown task 'send'\n"
        .. "help: the tasks are: fetch, total",
      refusal(shop(), { stubs = { send = 1 }, target_tasks = { "total" } })
    )
  end)

  it("a seed that is no integer", function()
    assert.equal(
      "ConfigError: testing.run: seed is an integer, got 1.5",
      refusal(shop(), { seed = 1.5 })
    )
  end)

  it("params that do not exist, or of a wrong type", function()
    assert.equal(
      "ConfigError: testing.run: unknown param 'taxes'\nhelp: did you mean 'tax'?",
      refusal(shop(), { params = { taxes = 1 } })
    )
    assert.equal(
      "ConfigError: testing.run: param 'tax': integer expected, got string",
      refusal(shop(), { params = { tax = "7" } })
    )
  end)

  it("what a scheduler has already", function()
    local scheduler = shop():build_scheduler {}
    for _, key in ipairs { "config", "target_tasks" } do
      assert.equal(
        ("ConfigError: testing.run: %s goes with a registry; a scheduler has its own\n"):format(key)
          .. "help: build it with this "
          .. key,
        refusal(scheduler, { [key] = {} })
      )
    end
  end)

  it("to begin while other runs go on", function()
    local handle = flow
      .build(function(task)
        task("slow", function()
          sleep(10)
        end)
      end)
      :start()
    assert.equal(
      "ConfigError: testing.run: other runs go on, whose time would be virtual, too\n"
        .. "help: wait for their end first",
      refusal(shop())
    )
    handle:cancel()
    handle:wait()
    assert.equal("failed", run(shop()).execution_state)
  end)

  it("to be called in a task", function()
    local found
    run(flow.registry(function(task)
      task("work", function()
        found = refusal(shop())
      end)
    end))
    assert.equal(
      "ConfigError: testing.run: a task cannot run it, its time would become virtual, too\n"
        .. "help: call it in the main program",
      found
    )
  end)

  it("to be called in a callback of the loop", function()
    local found
    local handle = flow
      .build(function(task)
        task("work", function() end)
      end)
      :start()
    handle:on_done(function()
      found = flow.raised(run, shop())
    end)
    handle:wait()
    assert.equal("SchedulerError", found.kind)
    assert.truthy(found.message:find("testing.run: ", 1, true), found.message)
  end)
end)
