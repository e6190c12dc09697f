local astrum = require "astrum"
local flow = require "spec.support.flow"

local F, sleep = astrum.F, astrum.sleep

-- load -> size, sum -> done. `alive()` tells in `done` whether load's result is still there.
local function declare(seen)
  return function(task)
    local made = setmetatable({}, { __mode = "v" })
    task("load", function()
      made[1] = { 1, 2, 3 }
      return made[1]
    end)
    task("size", { inputs = { F.load }, run = rawlen })
    task("sum", {
      inputs = { list = F.load },
      run = function(list)
        sleep(0.001)
        return list[1] + list[2] + list[3]
      end,
    })
    task("done", {
      inputs = { size = F.size, sum = F.sum },
      run = function(size, sum)
        sleep(0)
        collectgarbage()
        seen.alive = made[1] ~= nil
        return size + sum
      end,
    })
  end
end

describe("keep_results", function()
  it("lets results go after their last consumer", function()
    local seen = {}
    local report = flow.run(declare(seen), { keep_results = {} })
    assert.equal(9, report:assert():result("done"))
    assert.is_false(seen.alive)
  end)

  it("keeps the results it names, and those of tasks nobody waits for", function()
    local seen = {}
    local report = flow.run(declare(seen), { keep_results = { "load" } })
    assert.is_true(seen.alive)
    assert.same({ load = { 1, 2, 3 }, done = 9 }, report.task_return_set)
  end)

  for _, what in ipairs { "left out", "'all'" } do
    it("keeps all when it is " .. what, function()
      local config = what == "'all'" and { keep_results = "all" } or nil
      local report = flow.run(declare {}, config)
      assert.same({ load = { 1, 2, 3 }, size = 3, sum = 6, done = 9 }, report.task_return_set)
    end)
  end

  it("keeps what no task waits for when it is 'targets' and none are named", function()
    local seen = {}
    local report = flow.run(declare(seen), { keep_results = "targets" })
    assert.same({ done = 9 }, report.task_return_set)
    assert.is_false(seen.alive)
  end)

  it("keeps the targets when it is 'targets', whether tasks wait for them or not", function()
    local registry = flow.registry(declare {})
    local report = registry:run {
      target_tasks = { "sum", "done" },
      config = { keep_results = "targets" },
    }
    assert.same({ sum = 6, done = 9 }, report.task_return_set)
  end)

  it("tells in the report what was not kept", function()
    local report = flow.run(declare {}, { keep_results = {} })
    local value, why = report:result("sum")
    assert.is_nil(value)
    assert.equal("FieldError", why.kind)
    assert.equal(
      "the result of task 'sum' was not kept\nhelp: name it in the setting keep_results",
      why.message
    )
    assert.is_false(report:has_result("sum"))
    assert.is_true(report:has_result("done"))
    assert.equal("completed", report:task("sum").status)
  end)

  it("keeps what a task still needs that is retried", function()
    local report = flow.run(function(task)
      task("load", function()
        return { n = 5 }
      end)
      task("use", {
        retry = 2,
        inputs = { n = F.load.n },
        run = function(n, ctx)
          return ctx.attempt == 3 and n or error("not yet")
        end,
      })
    end, { keep_results = {} })
    assert.equal(5, report:assert():result("use"))
    assert.is_false(report:has_result("load"))
  end)

  it("keeps what a consumer did not get to use", function()
    local report = flow.run(function(task)
      task("load", function()
        return 5
      end)
      task("use", {
        inputs = { F.load },
        run = function(_)
          error("broken")
        end,
      })
    end, { keep_results = {} })
    assert.equal(5, report:result("load"))
  end)

  for what, kept in pairs { ["'targets'"] = "targets", ["a list of names"] = { "load" } } do
    it("keeps all results of a workflow that is a task when it is " .. what, function()
      local inner = astrum.workflow "inner" {
        first = function()
          return 1
        end,
        last = {
          inputs = { first = F.first },
          run = function(first)
            return first + 1
          end,
        },
      }
      local report = flow.run(function(task)
        task("load", function()
          return 3
        end)
        task("inner", { workflow = inner })
        task("sum", {
          inputs = { load = F.load, first = F.inner.first },
          run = function(load, first)
            return load + first
          end,
        })
      end, { keep_results = kept })
      assert.equal(4, report:assert():result("sum"))
      assert.is_false(report:has_result("inner"))
    end)
  end

  it("belongs to each run of a scheduler", function()
    local scheduler = flow.build(declare {}, { keep_results = {} })
    local first, second = scheduler:start(), scheduler:start()
    assert.equal(9, first:wait():result("done"))
    assert.equal(9, second:wait():result("done"))
  end)

  it("refuses names that are not in the run", function()
    local failure = flow.raised(flow.run, declare {}, { keep_results = { "laod" } })
    assert.equal("keep_results names unknown task 'laod'", failure.errors[1].text)
    assert.is_true(astrum.errors.is(failure, "ConfigError"))
  end)
end)
