local astrum = require "astrum"
local flow = require "spec.support.flow"
local testing = require "astrum.testing"

local F, Ref, sleep = astrum.F, astrum.Ref, astrum.sleep

local function never()
  error("the body ran", 0)
end

describe("when", function()
  it("takes inputs by name, whatever the body takes", function()
    local seen
    local report = flow.run(function(task)
      task("load", function()
        return { rows = 3, kind = "csv" }
      end)
      task("use", {
        inputs = { rows = F.load.rows, kind = F.load.kind, unit = "MB" },
        when = function(unit, kind)
          seen = { unit, kind }
          return true
        end,
        run = function(rows, kind, unit)
          return rows .. kind .. unit
        end,
      })
    end)
    assert.same({ "MB", "csv" }, seen)
    assert.equal("3csvMB", report:assert():result "use")
  end)

  it("takes positional inputs in their order", function()
    local seen
    local report = flow.run(function(task)
      task("load", function()
        return 3
      end)
      task("use", {
        inputs = { F.load, false, 2 },
        when = function(...)
          seen = table.pack(...)
          return true
        end,
        run = function(...)
          return select("#", ...)
        end,
      })
    end)
    assert.equal(seen.n, report:assert():result "use")
  end)

  it("takes inputs and ctx although the body does not", function()
    local inputs_seen, task_seen
    local report = flow.run(function(task)
      task("use", {
        inputs = {
          a = 1,
          b = function()
            return 2
          end,
        },
        when = function(inputs, ctx)
          inputs_seen, task_seen = inputs, ctx.task .. "#" .. ctx.attempt
          return true
        end,
        run = function(b, a)
          return b - a
        end,
      })
    end)
    assert.equal(1, report:assert():result "use")
    assert.same({ a = 1, b = 2 }, inputs_seen)
    assert.equal("use#1", task_seen)
  end)

  it("takes an input that the body has as a field of inputs only", function()
    local report = flow.run(function(task)
      task("use", {
        inputs = { a = 1, b = 2 },
        when = function(b)
          return b == 2
        end,
        run = function(inputs)
          return inputs.a + inputs.b
        end,
      })
    end)
    assert.equal(3, report:assert():result "use")
  end)

  it("may wait", function()
    local report = testing.run(flow.registry(function(task)
      task("use", {
        when = function()
          sleep(2)
          return true
        end,
        run = function()
          sleep(1)
          return 1
        end,
      })
    end))
    assert.equal(1, report:assert():result "use")
    assert.is_true(math.abs(report:task("use").duration - 3) < 0.5)
  end)

  for _, answer in ipairs { "false", "nil" } do
    it("skips the task when it returns " .. answer, function()
      local report = flow.run(function(task)
        task("use", {
          retry = 2,
          when = function()
            if answer == "false" then
              return false
            end
          end,
          run = never,
        })
      end)
      local entry = report:task "use"
      assert.equal("completed", report.execution_state)
      assert.equal("skipped", entry.status)
      assert.equal("its `when` said no", entry.reason)
      assert.equal(0, entry.attempt_count)
      assert.same({}, entry.attempt_statistics)
      assert.is_nil(entry.start_time)
      assert.is_nil(entry.error)
      assert.equal(1, report.skipped_tasks)
      local result, failure = report:result "use"
      assert.is_nil(result)
      assert.equal("task 'use' was skipped: its `when` said no", failure.message)
    end)
  end

  it("that raises fails the task without a retry", function()
    local asked = 0
    local report = flow.run(function(task)
      task("use", {
        retry = 3,
        when = function()
          asked = asked + 1
          error("no such key", 0)
        end,
        run = never,
      })
    end)
    local entry = report:task "use"
    assert.equal(1, asked)
    assert.equal("failed", entry.status)
    assert.equal(1, entry.attempt_count)
    assert.equal("in its `when`: no such key", entry.error_message)
    assert.equal("no such key", entry.error.cause)
    assert.equal("TaskFailedError", entry.error.kind)
  end)

  it("is asked once although the body is retried", function()
    local asked, ran = 0, 0
    local report = flow.run(function(task)
      task("use", {
        retry = 2,
        when = function()
          asked = asked + 1
          return true
        end,
        run = function()
          ran = ran + 1
          assert(ran == 3, "again")
        end,
      })
    end)
    report:assert()
    assert.same({ 1, 3 }, { asked, ran })
  end)

  it("is asked in the next attempt when an input fails in the first", function()
    local calls, asked = 0, 0
    local report = flow.run(function(task)
      task("use", {
        retry = 2,
        inputs = {
          rows = function()
            calls = calls + 1
            assert(calls == 2, "no connection")
            return 0
          end,
        },
        when = function(rows)
          asked = asked + 1
          return rows > 0
        end,
        run = function(rows)
          never(rows)
        end,
      })
    end)
    local entry = report:task "use"
    assert.same({ 2, 1 }, { calls, asked })
    assert.equal("skipped", entry.status)
    assert.equal("its `when` said no", entry.reason)
    assert.equal(1, entry.attempt_count)
    assert.equal("completed", report.execution_state)
  end)

  it("is asked again in the next attempt when it takes too long", function()
    local asked = 0
    local report = testing.run(flow.registry(function(task)
      task("use", {
        retry = 1,
        timeout = 1,
        when = function()
          asked = asked + 1
          sleep(asked == 1 and 5 or 0)
          return false
        end,
        run = never,
      })
    end))
    assert.equal(2, asked)
    assert.equal("skipped", report:task("use").status)
    assert.equal("timed_out", report:task("use").attempt_statistics[1].status)
  end)

  it("is asked for each item of a map", function()
    local asked = {}
    local report = flow.run(function(task)
      task("use", {
        map = { n = { 1, 2, 3, 4 } },
        retry = 1,
        when = function(n, ctx)
          asked[#asked + 1] = ctx.item
          return n % 2 == 0
        end,
        run = function(n, ctx)
          assert(ctx.attempt == 2, "again")
          return n * 10
        end,
      })
    end)
    assert.same({ 1, 2, 3, 4 }, asked)
    assert.same({ nil, 20, nil, 40, n = 4 }, report:assert():result "use")
    local items = report:task("use").items
    assert.equal("skipped", items[1].status)
    assert.equal("its `when` said no", items[1].reason)
    assert.equal("completed", items[2].status)
    assert.equal(2, items[2].attempt_count)
  end)

  it("is not asked when an input is missing", function()
    local registry = flow.load(
      [[
task("load", function() return {} end)
task "use" { inputs = { rows = F.load.rows }, when = given, run = function(rows) end }]],
      function(rows)
        error("asked for " .. rows, 0)
      end
    )
    assert.equal(
      "flow.lua:2: task 'use': input 'rows': load has no field 'rows'\n"
        .. "help: load is an empty table",
      registry:run({}):task("use").error_message
    )
  end)

  it("counts for no rate when it says no", function()
    local report = testing.run(
      flow.registry(function(task)
        for i = 1, 4 do
          task("use" .. i, {
            pool = "api",
            when = function()
              return i % 2 == 0
            end,
            run = function() end,
          })
        end
      end),
      { config = { pools = { api = { slots = 1, rate = { 2, per = 10 } } } } }
    )
    assert.is_true(report:assert().execution_duration < 1)
  end)

  it("sees optional references as the body does", function()
    local report = flow.run(function(task)
      task("load", function()
        error("boom", 0)
      end)
      task("use", {
        inputs = { rows = Ref("any?", F.load.rows) },
        trigger = "one_failed",
        when = function(rows)
          return rows == nil
        end,
        run = function(rows)
          return rows == nil
        end,
      })
    end)
    assert.is_true(report:assert():result "use")
  end)

  it("that cancels its run is over", function()
    local handle
    handle = flow
      .build(function(task)
        task("use", {
          when = function()
            handle:cancel "enough"
            sleep(10)
            return true
          end,
          run = never,
        })
      end)
      :start()
    local report = handle:wait()
    assert.equal("cancelled", report.execution_state)
    assert.equal("cancelled", report:task("use").status)
  end)
end)
