local astrum = require "astrum"
local flow = require "spec.support.flow"
local testing = require "astrum.testing"

local F, Ref, sleep = astrum.F, astrum.Ref, astrum.sleep

describe("keep_results and maps", function()
  -- Whether the list that a map went over, and what its items returned, are alive in the last task.
  local function alive_after(list_of, options)
    local made, alive = setmetatable({}, { __mode = "v" }), nil
    local report = flow.run(function(task)
      task("list", function()
        made.list = list_of()
        return made.list
      end)
      local spec = {
        map = { n = F.list },
        run = function(n)
          made.item = { n }
          return made.item
        end,
      }
      for key, value in pairs(options or {}) do
        spec[key] = value
      end
      task("each", spec)
      task("count", {
        inputs = { all = F.each },
        run = function(all)
          return all.n
        end,
      })
      task("last", {
        depends_on = { "count" },
        run = function()
          sleep(0)
          collectgarbage()
          alive = { list = made.list ~= nil, item = made.item ~= nil }
        end,
      })
    end, { keep_results = { "count" } })
    report:assert()
    return alive, report
  end

  it("let the list and the results of the items go", function()
    local alive, report = alive_after(function()
      return { 1, 2, 3 }
    end)
    assert.same({ list = false, item = false }, alive)
    assert.equal(3, report:result "count")
    assert.is_false(report:has_result "each")
    assert.equal(3, #report:task("each").items)
  end)

  it("let them go when failed items are collected", function()
    local alive = alive_after(function()
      return { 1, 2, 3 }
    end, { on_item_failure = "collect" })
    assert.same({ list = false, item = false }, alive)
  end)

  it("let the list of an empty map go", function()
    local alive, report = alive_after(function()
      return {}
    end)
    assert.is_false(alive.list)
    assert.equal(0, report:result "count")
  end)

  it("keep the results of a map that is named", function()
    local report = flow.run(function(task)
      task("each", {
        map = { n = { 1, 2 } },
        run = function(n)
          return n
        end,
      })
      task("use", { inputs = { F.each }, run = rawlen })
    end, { keep_results = { "each" } })
    assert.same({ 1, 2, n = 2 }, report:assert():result "each")
  end)
end)

describe("keep_results and triggers", function()
  it("keep a result while a task that does not wait for it may read it", function()
    local report = testing.run(
      flow.registry(function(task)
        task("quick", function()
          return "quick"
        end)
        task("slow", function()
          sleep(1)
          return "slow"
        end)
        task("first", {
          inputs = { a = Ref("any?", F.quick), b = Ref("any?", F.slow) },
          trigger = "one_success",
          run = function(a, b)
            return (a or "-") .. (b or "-")
          end,
        })
        task("both", {
          inputs = { a = F.quick, b = F.slow },
          run = function(a, b)
            return a .. b
          end,
        })
      end),
      { config = { keep_results = {} } }
    )
    report:assert()
    assert.equal("quick-", report:result "first")
    assert.equal("quickslow", report:result "both")
    assert.is_false(report:has_result "quick")
  end)

  it("let a result go when it comes after all who wanted it", function()
    local report = testing.run(
      flow.registry(function(task)
        task("slow", function()
          sleep(1)
          return "slow"
        end)
        task("early", {
          inputs = { b = Ref("any?", F.slow) },
          trigger = "always",
          run = function(b)
            return b == nil
          end,
        })
      end),
      { config = { keep_results = {} } }
    )
    assert.is_true(report:assert():result "early")
    assert.is_false(report:has_result "slow")
    local _, failure = report:result "slow"
    assert.equal(
      "the result of task 'slow' was not kept\nhelp: name it in the setting keep_results",
      failure.message
    )
  end)
end)

describe("a detached task", function()
  local function tail_of(declare, config)
    local report = flow.run(declare, config)
    return report.tail_tasks.tail, report
  end

  it("may be a map", function()
    local tail, report = tail_of(function(task)
      task("list", function()
        return { 1, 2 }
      end)
      task("tail", {
        detached = true,
        map = { n = F.list },
        run = function(n)
          sleep(n / 1000)
          return n * 10
        end,
      })
    end)
    assert.equal("completed", report.execution_state)
    assert.equal("completed", tail.wait())
    assert.same({ 10, 20, n = 2 }, tail.result)
    assert.equal(1, report.total_tasks)
  end)

  it("may be a workflow", function()
    local inner = flow.registry(function(task)
      task("leaf", function()
        sleep(0.001)
        return 5
      end)
    end)
    local tail, report = tail_of(function(task)
      task("tail", { detached = true, workflow = inner })
    end)
    assert.equal("completed", tail.wait())
    assert.same({ leaf = 5 }, tail.result)
    assert.equal("completed", report:task("tail").report.execution_state)
  end)

  it("may be declined", function()
    local tail, report = tail_of(function(task)
      task("tail", {
        detached = true,
        when = function()
          return false
        end,
        run = function() end,
      })
    end)
    assert.equal("skipped", tail.wait())
    assert.is_nil(tail.error)
    assert.equal("its `when` said no", report:task("tail").reason)
  end)

  it("may time out without an effect on the run", function()
    local tail, report = tail_of(function(task)
      task("one", function() end)
      task("tail", {
        detached = true,
        timeout = 0.002,
        run = function()
          sleep(1)
        end,
      })
    end)
    assert.equal("timed_out", tail.wait())
    assert.equal("timed out after 0.002 s", tail.error.message)
    assert.equal("completed", report.execution_state)
    assert.equal(0, report.timed_out_tasks)
  end)

  it("may clean up after a failure", function()
    local tail, report = tail_of(function(task)
      task("one", function()
        error("boom", 0)
      end)
      task("tail", {
        detached = true,
        depends_on = { "one" },
        trigger = "all_done",
        run = function()
          sleep(0.001)
          return "clean"
        end,
      })
    end)
    assert.equal("failed", report.execution_state)
    assert.equal("completed", tail.wait())
    assert.equal("clean", tail.result)
  end)

  it("takes units of pools", function()
    local tail, report = tail_of(function(task)
      task("tail", {
        detached = true,
        pool = "db",
        run = function()
          sleep(0.005)
        end,
      })
      task("one", {
        pool = "db",
        run = function() end,
      })
    end, { pools = { db = 1 } })
    assert.equal("completed", tail.wait())
    local waited = report:assert():task("one").start_time - report.total_start_time
    assert.is_true(waited >= 0.004, "waited " .. waited)
  end)

  it("that is sensitive is hidden in its own failure", function()
    local tail = tail_of(function(task)
      task("token", {
        sensitive = true,
        run = function()
          return "s3cr3t"
        end,
      })
      task("tail", {
        detached = true,
        inputs = { token = F.token },
        run = function(token)
          error("with " .. token, 0)
        end,
      })
    end)
    assert.equal("failed", tail.wait())
    assert.equal("with [hidden]", tail.error.message)
  end)
end)
