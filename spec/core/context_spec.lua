local astrum = require "astrum"
local flow = require "spec.support.flow"
local places = require "spec.support.places"

describe("ctx", function()
  it("tells the task, its namespace and the attempt", function()
    local seen = {}
    local registry = astrum.SchedulerRegistry "shop"
    registry.task("load", {
      retry = 1,
      run = function(ctx)
        seen[#seen + 1] = { ctx.task, ctx.namespace, ctx.attempt }
        return ctx.attempt == 2 or error "again"
      end,
    })
    registry:run {}
    assert.same({ { "load", "shop", 1 }, { "load", "shop", 2 } }, seen)
  end)

  it("has a key that is the same in every attempt and differs between runs", function()
    local keys = {}
    local scheduler = flow.build(function(task)
      task("load", {
        retry = 1,
        run = function(ctx)
          keys[#keys + 1] = ctx.idempotency_key
          assert.equal(ctx.run_id .. "/load", ctx.idempotency_key)
          return ctx.attempt == 2 or error "again"
        end,
      })
    end)
    scheduler:execute():assert()
    scheduler:execute():assert()
    assert.equal(keys[1], keys[2])
    assert.not_equal(keys[2], keys[3])
  end)

  it("has empty params and no deadline", function()
    places.in_task(function()
      local ctx = astrum.context()
      assert.same({}, ctx.params)
      assert.is_nil(ctx.deadline)
    end)
  end)

  it("is what astrum.context gives anywhere below the body", function()
    places.in_task(function()
      local ctx = astrum.context()
      local inside = coroutine.wrap(function()
        return astrum.context()
      end)()
      assert.equal(ctx, inside)
      assert.equal(ctx, astrum.all({ astrum.context })[1])
    end)
  end)

  it("does not exist outside of tasks", function()
    assert.is_nil(astrum.context())
  end)

  it("knows that its run was asked to stop", function()
    local before, after
    local handle
    local scheduler = flow.build(function(task)
      task("load", function(ctx)
        before = ctx.cancelled()
        handle:cancel()
        after = ctx.cancelled()
      end)
    end)
    handle = scheduler:start()
    handle:wait()
    assert.is_false(before)
    assert.is_true(after)
  end)

  it("can be read after the attempt", function()
    local kept
    places.in_task(function()
      kept = astrum.context()
    end)
    assert.equal("body", kept.task)
    assert.is_true(kept.cancelled())
    assert.equal("ctx of task 'body', attempt 1", tostring(kept))
  end)

  it("tells progress to the status of the run", function()
    local gate = flow.gate()
    local scheduler = flow.build(function(task)
      task("load", function(ctx)
        ctx.progress(0.25, "a quarter")
        gate.wait()
      end)
    end)
    local handle = scheduler:start()
    astrum.sleep(0.001)
    assert.same({ load = { fraction = 0.25, text = "a quarter" } }, handle:status().progress)
    gate.open()
    handle:wait()
  end)

  it("writes a line for log", function()
    local text = flow.stderr_of(function()
      places.in_task(function()
        astrum.context().log("rows", 3, nil, "done\27[31m")
      end)
    end)
    assert.equal("log body: rows 3 nil done\\x1B[31m\n", text:gsub("^%d%d:%d%d:%d%d%.%d%d%d ", ""))
  end)

  local mistakes = {
    {
      "a field that is not there",
      "return astrum.context().tsak",
      "ctx has no field 'tsak'; it has task, item, namespace, attempt, run_id, idempotency_key, "
        .. "deadline, params, cancelled(), log(...), progress(fraction, text)",
    },
    { "a new field", "astrum.context().x = 1", "ctx is read only" },
    {
      "progress with a colon",
      "astrum.context():progress(0.5)",
      "ctx.progress: call it with a dot, as in ctx.progress(0.5)",
    },
    {
      "progress beyond 1",
      "astrum.context().progress(2)",
      "ctx.progress: the fraction must be from 0 to 1, not 2.0",
    },
  }
  for _, case in ipairs(mistakes) do
    it("refuses " .. case[1], function()
      assert.equal("flow.lua:2: " .. case[3], places.failure(case[2]))
    end)
  end
end)
