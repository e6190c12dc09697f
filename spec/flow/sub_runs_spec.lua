local astrum = require "astrum"
local flow = require "spec.support.flow"

local sleep = astrum.sleep

-- Runs a workflow whose only task has this body; the statistics of the task.
local function in_task(body, config)
  local report = flow.run(function(task)
    task("outer", body)
  end, config)
  return report:task("outer"), report
end

local function declare_inner(task)
  task("inner", function()
    sleep(0.001)
    return "inner result"
  end)
end

describe("a run inside a task", function()
  it("suspends the task and gives its report", function()
    local _, report = in_task(function()
      return flow.run(declare_inner):result("inner")
    end)
    assert.equal("inner result", report:result("outer"))
  end)

  it("lets other tasks of the outer run go on", function()
    local order = {}
    flow
      .run(function(task)
        task("outer", function()
          flow.run(function(inner)
            inner("slow", function()
              sleep(0.004)
              order[#order + 1] = "inner"
            end)
          end)
        end)
        task("beside", function()
          sleep(0.001)
          order[#order + 1] = "beside"
        end)
      end)
      :assert()
    assert.same({ "beside", "inner" }, order)
  end)

  it("that fails does not fail the task unless it asserts", function()
    local state
    local entry = in_task(function()
      local report = flow.run(function(task)
        task("fails", function()
          error("boom", 0)
        end)
      end)
      state = report.execution_state
    end)
    assert.equal("failed", state)
    assert.equal("completed", entry.status)
  end)

  it("that fails and is asserted fails the task with its error", function()
    local entry = in_task(function()
      flow
        .run(function(task)
          task("fails", function()
            error("boom", 0)
          end)
        end)
        :assert()
    end)
    assert.equal("failed", entry.status)
    assert.equal("task 'outer/fails' failed: boom", entry.error_message)
    assert.equal("fails", entry.error.cause.task)
  end)

  it("needs no slot of its own where the limit is one", function()
    local _, report = in_task(function()
      return flow.run(declare_inner):result("inner")
    end, { concurrency_limit = 1 })
    assert.equal("inner result", report:assert():result("outer"))
  end)

  it("works at any depth with a limit of one", function()
    local function nested(depth)
      return function()
        if depth == 0 then
          return "bottom"
        end
        return flow
          .run(function(task)
            task("level" .. depth, nested(depth - 1))
          end)
          :assert()
          :result("level" .. depth)
      end
    end
    local _, report = in_task(nested(5), { concurrency_limit = 1 })
    assert.equal("bottom", report:assert():result("outer"))
  end)

  it("takes its slots from the limit of the outermost run", function()
    local now, most = 0, 0
    flow
      .run(function(task)
        for i = 1, 3 do
          task("outer" .. i, function()
            flow.run(function(inner)
              for k = 1, 3 do
                inner("inner" .. k, function()
                  now = now + 1
                  most = math.max(most, now)
                  sleep(0.001)
                  now = now - 1
                end)
              end
            end)
          end)
        end
      end, { concurrency_limit = 2 })
      :assert()
    assert.equal(2, most)
  end)

  it("lets the task go on only when it has a slot again", function()
    local now, most = 0, 0
    local function work()
      now = now + 1
      most = math.max(most, now)
      sleep(0.001)
      now = now - 1
    end
    flow
      .run(function(task)
        for i = 1, 4 do
          task("outer" .. i, function()
            flow.run(function(inner)
              inner("inner", work)
            end)
            work()
          end)
        end
      end, { concurrency_limit = 1 })
      :assert()
    assert.equal(1, most)
  end)

  it("lets the task go on before tasks begin that have waited longer for a slot", function()
    local order = {}
    local inner_began, after_began, next_began = flow.gate(), flow.gate(), flow.gate()
    local function declare(task)
      task("source", inner_began.wait)
      task("after1", {
        depends_on = { "source" },
        run = function()
          after_began.open()
          next_began.wait()
        end,
      })
      task("after2", {
        depends_on = { "source" },
        run = function()
          order[#order + 1] = "after2"
          next_began.open()
        end,
      })
      task("outer", function()
        flow.run(function(inner)
          inner("inner", function()
            inner_began.open()
            after_began.wait()
          end)
        end)
        order[#order + 1] = "outer"
        next_began.open()
      end)
    end
    flow.run(declare, { concurrency_limit = 2 }):assert()
    assert.same({ "outer", "after2" }, order)
  end)

  it("is cancelled with its task", function()
    local closed = {}
    local inner_report
    local handle = flow
      .build(function(task)
        task("outer", function()
          local _ <close> = flow.closing(closed, "outer")
          local inner = flow
            .build(function(inner)
              inner("slow", function()
                local _ <close> = flow.closing(closed, "inner")
                sleep(10)
              end)
            end)
            :start()
          inner:on_done(function(report)
            inner_report = report
          end)
          inner:wait()
        end)
      end)
      :start()
    sleep(0.001)
    handle:cancel("enough")
    local report = handle:wait()
    assert.equal("cancelled", report:task("outer").status)
    table.sort(closed)
    assert.same({ "inner", "outer" }, closed)
    assert.equal("cancelled", inner_report.execution_state)
    assert.same(
      { "Execution cancelled: the task that this run belongs to is over" },
      inner_report.error_summary
    )
  end)

  it("is cancelled when a task beside its own fails", function()
    local inner_state
    local report = flow.run(function(task)
      task("outer", function()
        local inner = flow
          .build(function(inner)
            inner("slow", function()
              sleep(10)
            end)
          end)
          :start()
        inner:on_done(function(inner_report)
          inner_state = inner_report.execution_state
        end)
        inner:wait()
      end)
      task("fails", function()
        sleep(0.001)
        error("boom", 0)
      end)
    end)
    assert.same({ outer = "cancelled", fails = "failed" }, flow.statuses(report))
    assert.equal("cancelled", inner_state)
    assert.is_true(report.total_duration < 1)
  end)

  it("that nobody waits for is waited for by its task", function()
    local handle
    local entry, report = in_task(function()
      handle = flow.build(declare_inner):start()
      return "outer result"
    end)
    assert.equal("completed", entry.status)
    assert.equal("outer result", report:result("outer"))
    assert.equal("completed", handle:report().execution_state)
    assert.equal("inner result", handle:report():result("inner"))
  end)

  it("is cancelled when its task fails", function()
    local handle
    local entry = in_task(function()
      handle = flow
        .build(function(task)
          task("slow", function()
            sleep(10)
          end)
        end)
        :start()
      sleep(0)
      error("boom", 0)
    end)
    assert.equal("failed", entry.status)
    assert.equal("boom", entry.error_message)
    assert.equal("cancelled", handle:report().execution_state)
  end)

  it("is one beside others inside astrum.all", function()
    local _, report = in_task(function()
      local results = astrum.all {
        function()
          return flow.run(declare_inner):result("inner")
        end,
        function()
          return flow.run(declare_inner):result("inner")
        end,
      }
      return table.concat(results, "+")
    end, { concurrency_limit = 1 })
    assert.equal("inner result+inner result", report:assert():result("outer"))
  end)

  it("has the path of its task in the keys of its tasks", function()
    local keys = {}
    in_task(function(ctx)
      keys[1] = ctx.idempotency_key
      keys[2] = ctx.run_id
      flow.run(function(task)
        task("inner", function()
          keys[3] = astrum.context().idempotency_key
        end)
      end)
    end)
    assert.equal(keys[2] .. "/outer", keys[1])
    assert.equal(keys[2] .. "/outer/inner", keys[3])
  end)

  it("is told from an earlier one of the same attempt by its number", function()
    local keys = {}
    in_task(function(ctx)
      for _ = 1, 3 do
        flow.run(function(task)
          task("inner", function(ctx) -- luacheck: ignore 432
            keys[#keys + 1] = ctx.idempotency_key
          end)
        end)
      end
      keys.run_id = ctx.run_id
    end)
    local outer = keys.run_id .. "/outer"
    assert.equal(outer .. "/inner", keys[1])
    assert.equal(outer .. "#2/inner", keys[2])
    assert.equal(outer .. "#3/inner", keys[3])
  end)
end)

describe("what a run inside a task cannot do", function()
  it("is to have a limit of its own", function()
    local entry = in_task(function()
      flow.run(declare_inner, { concurrency_limit = 2 })
    end)
    assert.equal("failed", entry.status)
    assert.equal("ConfigError", entry.error.cause.kind)
    assert.equal(
      "concurrency_limit belongs to the outermost run; this one runs inside task 'outer'",
      entry.error.cause.text
    )
    assert.equal(
      "leave it out here; the runs inside share the limits of the outer one",
      entry.error.cause.help
    )
  end)

  it("is to be nested deeper than sixteen runs", function()
    local deepest = 0
    local failure
    local function nested(depth)
      return function()
        deepest = depth
        local ok, value = pcall(flow.run, function(task)
          task("level", nested(depth + 1))
        end)
        if not ok then
          failure = value
        end
      end
    end
    flow.run(function(task)
      task("level", nested(1))
    end)
    assert.equal(16, deepest)
    assert.equal("SchedulerError", failure.kind)
    assert.equal("the run cannot be started: runs are nested too deeply", failure.text)
    assert.equal("at most 16 runs may be inside one another", failure.help)
  end)

  it(
    "is to go around in a circle, whose end does not pass for a task that has completed",
    function()
      local registry = astrum.SchedulerRegistry "circle"
      registry.task("around", function()
        return registry:run()
      end)
      local report = registry:run()
      assert.equal("failed", report.execution_state)
      local cause = report:task("around").error.cause
      assert.equal("the run cannot be started: runs are nested too deeply", cause.text)
      assert.equal(
        "at most 16 runs may be inside one another; task 'around' runs the workflow "
          .. "that it belongs to",
        cause.help
      )
      assert.truthy(cause.message:find "^spec/flow/sub_runs_spec.lua:%d+: ")
    end
  )

  it("may be nested too deeply by a task that catches that", function()
    local inner
    local registry = astrum.SchedulerRegistry "circle"
    registry.task("around", function()
      local ok, report = pcall(registry.run, registry)
      if not ok then
        error("caught", 0)
      end
      inner = report
    end)
    assert.is_true(registry:run():ok())
    assert.is_true(inner:ok())
  end)

  it("is to be waited for by a task of itself", function()
    local handle
    handle = flow
      .build(function(task)
        task("own", function()
          handle:wait()
        end)
      end)
      :start()
    local entry = handle:wait():task("own")
    assert.equal("failed", entry.status)
    assert.equal("wait: a task cannot wait for the run it is part of", entry.error.cause.text)
  end)

  it("is to be waited for by a task of a run inside it", function()
    local handle
    local message
    handle = flow
      .build(function(task)
        task("outer", function()
          flow.run(function(inner)
            inner("inner", function()
              local _, value = pcall(handle.wait, handle)
              message = value.text
            end)
          end)
        end)
      end)
      :start()
    handle:wait():assert()
    assert.equal("wait: a task cannot wait for the run it is part of", message)
  end)

  it("is to be executed in a callback of the loop", function()
    local message
    local ran = false
    local handle = flow.build(declare_inner):start()
    handle:on_done(function()
      local ok, value = pcall(flow.run, function(task)
        task("load", function()
          ran = true
        end)
      end)
      message = not ok and value.text
    end)
    handle:wait()
    sleep(0.001)
    assert.equal(
      "execute: the event loop is turning, and a callback of it cannot wait; use "
        .. "scheduler:start() and handle:on_done(), or wait in a task",
      message
    )
    assert.is_false(ran)
  end)

  it("is to be executed in a coroutine of the task's own", function()
    local ran = false
    local entry = in_task(function()
      local scheduler = flow.build(function(task)
        task("load", function()
          ran = true
        end)
      end)
      local ok, failure = coroutine.resume(coroutine.create(function()
        scheduler:execute()
      end))
      assert.is_false(ok)
      error(failure.text, 0)
    end)
    assert.equal(
      "execute: a coroutine of your own cannot wait, only the task itself; call it in the body, "
        .. "or use astrum.all",
      entry.error_message
    )
    assert.is_false(ran)
  end)
end)
