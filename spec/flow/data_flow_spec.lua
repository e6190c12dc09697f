local astrum = require "astrum"
local flow = require "spec.support.flow"

local sleep = astrum.sleep

-- Declares a chain of sleeps of so many milliseconds: name1, name2, ...
local function declare_chain(task, name, milliseconds)
  for i, time in ipairs(milliseconds) do
    task(name .. i, {
      depends_on = i > 1 and { name .. i - 1 } or {},
      run = function()
        sleep(time / 1000)
      end,
    })
  end
end

-- How many milliseconds of virtual time two chains take.
local function time_of(first, second)
  local registry = flow.registry(function(task)
    declare_chain(task, "a", first)
    declare_chain(task, "b", second)
  end)
  local report = astrum.testing.run(registry):assert()
  return math.floor(report.execution_duration * 1000 + 0.5)
end

describe("data flow", function()
  it("starts a task when its own inputs are there, not when a stage is complete", function()
    local order = {}
    local registry = flow.registry(function(task)
      local function note(name, time, dependencies)
        task(name, {
          depends_on = dependencies,
          run = function()
            sleep(time)
            order[#order + 1] = name
          end,
        })
      end
      note("slow", 20, {})
      note("quick1", 0, {})
      note("quick2", 0, { "quick1" })
      note("quick3", 0, { "quick2" })
      note("after_slow", 0, { "slow" })
    end)
    astrum.testing.run(registry):assert()
    assert.same({ "quick1", "quick2", "quick3", "slow", "after_slow" }, order)
  end)

  it("starts a task in the moment in which its last input is there", function()
    local report = astrum.testing.run(flow.registry(function(task)
      declare_chain(task, "a", { 5, 5 })
      declare_chain(task, "b", { 12 })
      task("join", { depends_on = { "a2", "b1" }, run = function() end })
    end))
    assert.equal(report:task("b1").end_time, report:task("join").ready_time)
    assert.equal(report:task("b1").end_time, report:task("join").start_time)
    assert.equal(report:task("a1").end_time, report:task("a2").ready_time)
  end)

  it("runs one long task beside a chain of short ones", function()
    assert.equal(18, time_of({ 18 }, { 3, 3, 3 }))
  end)

  it("does not hold up the second task of the shorter branch", function()
    assert.equal(21, time_of({ 18, 3 }, { 3, 3, 3 }))
  end)

  it("runs a branch that is slow first beside one that is slow last", function()
    assert.equal(20, time_of({ 18, 1, 1 }, { 1, 1, 18 }))
  end)

  it("runs two branches that are slow in turns without a barrier", function()
    assert.equal(33, time_of({ 10, 1, 10, 1, 10, 1 }, { 1, 10, 1, 10, 1, 10 }))
  end)

  it("counts depends_on as order without data", function()
    local order = {}
    flow.run(function(task)
      task("second", {
        depends_on = { "first" },
        run = function()
          order[#order + 1] = "second"
        end,
      })
      task("first", function()
        sleep(0.001)
        order[#order + 1] = "first"
      end)
    end)
    assert.same({ "first", "second" }, order)
  end)

  it("runs the targets and all they need, in the order of declaration", function()
    local ran = {}
    local registry = flow.registry(function(task)
      local function note(name, inputs, depends_on)
        local function run()
          ran[#ran + 1] = name
        end
        task(name, {
          inputs = inputs,
          depends_on = depends_on,
          run = inputs and function(_)
            run()
          end or run,
        })
      end
      note("order_only")
      note("other")
      note("source")
      note("target", { astrum.F.source }, { "order_only" })
      note("after_target", nil, { "target" })
    end)
    local report = registry:run { "target" }
    assert.same({ "order_only", "source", "target" }, ran)
    assert.equal(3, report.total_tasks)
  end)

  it("runs nothing and completes for an empty list of targets", function()
    local report = flow
      .registry(function(task)
        task("load", function() end)
      end)
      :run { target_tasks = {} }
    assert.equal("completed", report.execution_state)
    assert.equal(0, report.total_tasks)
  end)

  it("starts the steps of independent tasks in the order of declaration", function()
    local started = {}
    flow.run(function(task)
      for i = 1, 5 do
        task("task" .. i, function()
          started[i] = #started + 1
        end)
      end
    end)
    assert.same({ 1, 2, 3, 4, 5 }, started)
  end)
end)
