local astrum = require "astrum"
local flow = require "spec.support.flow"
local program = require "spec.support.program"

local F = astrum.F

local N <const> = 100000
local FEWER <const> = 20000

describe("a large graph", function()
  after_each(function()
    collectgarbage()
  end)

  it("that is a chain completes", function()
    local report = flow.run(function(task)
      local function add(n)
        return n + 1
      end
      task("t1", function()
        return 1
      end)
      for i = 2, N do
        task("t" .. i, { inputs = { n = F["t" .. i - 1] }, run = add })
      end
    end)
    assert.equal("completed", report.execution_state)
    assert.equal(N, report:result("t" .. N))
    assert.equal(N, report.total_stages)
  end)

  it("that is a chain declared in reverse completes", function()
    local report = flow
      .registry(function(task)
        local function add(n)
          return n + 1
        end
        for i = N, 2, -1 do
          task("t" .. i, { inputs = { n = F["t" .. i - 1] }, run = add })
        end
        task("t1", function()
          return 1
        end)
      end)
      :run { "t" .. N }
    assert.equal(N, report:assert():result("t" .. N))
  end)

  -- The registry of a chain in which each task adds 1.
  local function chain()
    local registry = astrum.SchedulerRegistry "chain"
    registry.task("t1", function()
      return 1
    end)
    for i = 2, 1000 do
      registry.task("t" .. i, {
        inputs = { n = F["t" .. i - 1] },
        run = function(n)
          return n + 1
        end,
      })
    end
    return registry
  end

  it("takes no more memory when a target that needs all of it is named", function()
    local function memory(...)
      local registry = chain()
      collectgarbage()
      collectgarbage()
      local before = collectgarbage "count"
      local scheduler = registry:build_scheduler { target_tasks = ... }
      collectgarbage()
      collectgarbage()
      return collectgarbage "count" - before, scheduler
    end
    assert.is_true(memory { "t1000" } < 1.5 * memory())
  end)

  it("builds what a target in the midst needs, and no more", function()
    local report = chain():run({ "t500" }):assert()
    assert.equal(500, report.total_stages)
    assert.equal(500, report:result "t500")
  end)

  it("that is a chain needs no more than 256 KB of C stack to be built, drawn and run", function()
    local script <close> = program.file [[
      local astrum = require "astrum"
      local function add(n) return n + 1 end
      astrum.task("t1", function() return 1 end)
      for i = 2, 20000 do
        astrum.task("t" .. i, { inputs = { n = astrum.F["t" .. i - 1] }, run = add })
      end
      local scheduler = astrum.build_scheduler { target_tasks = { "t20000" } }
      assert(#scheduler:tree() > 0)
      print(scheduler:execute():assert():result "t20000")
    ]]
    local command = "ulimit -s 256; exec " .. program.quote(program.path) .. " " .. script.path
    local result = program.run({ "-c", command }, { program = "sh" })
    assert.equal("", result.err)
    assert.equal("20000\n", result.out)
  end)

  it("that fans out and comes together in the parameter `inputs` completes", function()
    local report = flow.run(function(task)
      local source = task("source", function()
        return { n = 2 }
      end)
      local function same(n)
        return n
      end
      local function sum_of(inputs)
        local sum = 0
        for _, n in pairs(inputs) do
          sum = sum + n
        end
        return sum
      end
      local results = {}
      for i = 1, N - 2 do
        results["t" .. i] = task("t" .. i, { inputs = { n = source.n }, run = same })
      end
      task("sum", { inputs = results, run = sum_of })
    end)
    assert.equal("completed", report.execution_state)
    assert.equal(2 * (N - 2), report:result("sum"))
    assert.equal(N, report.successful_tasks)
  end)

  it("of which the first fails skips all the others", function()
    local report = flow.run(function(task)
      task("t1", function()
        error("boom", 0)
      end)
      local function idle() end
      for i = 2, FEWER do
        task("t" .. i, { depends_on = { "t" .. i - 1 }, run = idle })
      end
    end, { failure_mode = "keep_going" })
    assert.same({ 1, FEWER - 1 }, { report.failed_tasks, report.skipped_tasks })
    assert.equal("task 't1' failed", report:task("t" .. FEWER).reason)
    assert.same({ "Task 't1' failed during execution: boom" }, report.error_summary)
  end)

  it("that all sleep at once completes", function()
    local report = flow.run(function(task)
      local function wait()
        astrum.sleep(0.001)
      end
      for i = 1, FEWER do
        task("t" .. i, wait)
      end
    end)
    assert.equal(FEWER, report.successful_tasks)
  end)
end)

describe("a task with more inputs than a Lua function can take", function()
  it("is told to take the parameter `inputs`", function()
    local inputs = {}
    for i = 1, 600000 do
      inputs[i] = i
    end
    local registry = flow.load(
      [[
task("sum", {
  inputs = given,
  run = function(...) return select("#", ...) end,
})
]],
      inputs
    )
    local entry = registry:run():task("sum")
    assert.equal("failed", entry.status)
    assert.equal(
      "flow.lua:1: task 'sum' has more inputs than a Lua function can take\n"
        .. "help: take the parameter 'inputs', a table with all of them",
      entry.error_message
    )
  end)
end)
