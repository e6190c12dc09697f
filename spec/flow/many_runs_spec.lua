local astrum = require "astrum"
local flow = require "spec.support.flow"
local program = require "spec.support.program"

local F, Ref, T, sleep = astrum.F, astrum.Ref, astrum.T, astrum.sleep

-- A scheduler whose runs give 1, 2, 3, ...: each run its own number, to two consumers.
local function counting_scheduler(time)
  local count = 0
  return flow.build(function(task)
    task("count", function()
      count = count + 1
      local mine = count
      sleep(time)
      return { n = mine }
    end)
    task("use", {
      inputs = { n = Ref("integer", F.count.n), whole = F.count },
      run = function(n, whole)
        sleep(time)
        return n * 10 + whole.n
      end,
    })
  end)
end

describe("a scheduler", function()
  it("can be executed any number of times", function()
    local scheduler = counting_scheduler(0)
    for i = 1, 3 do
      local report = scheduler:execute():assert()
      assert.equal(i * 11, report:result("use"))
    end
  end)

  it("keeps the data of two runs at the same time apart", function()
    local scheduler = counting_scheduler(0.001)
    local first, second = scheduler:start(), scheduler:start()
    assert.equal(11, first:wait():result("use"))
    assert.equal(22, second:wait():result("use"))
  end)

  it("keeps the reports of two runs apart", function()
    local scheduler = counting_scheduler(0)
    local first = scheduler:execute()
    local second = scheduler:execute()
    assert.equal(11, first:result("use"))
    assert.equal(22, second:result("use"))
    assert.not_equal(first.task_return_set, second.task_return_set)
    assert.same({ n = 1 }, first.task_return_set.count)
  end)

  it("can fail in one run and complete in the next", function()
    local attempts = 0
    local scheduler = flow.build(function(task)
      task("unsteady", function()
        attempts = attempts + 1
        if attempts == 1 then
          error("first run", 0)
        end
        return attempts
      end)
      task("after", { depends_on = { "unsteady" }, run = function() end })
    end)
    local failed, completed = scheduler:execute(), scheduler:execute()
    assert.equal("failed", failed.execution_state)
    assert.equal("completed", completed.execution_state)
    assert.equal("first run", failed:task("unsteady").error_message)
    assert.is_nil(completed:task("unsteady").error_message)
  end)

  it("can be cancelled in one run while another goes on", function()
    local scheduler = counting_scheduler(0.002)
    local first, second = scheduler:start(), scheduler:start()
    sleep(0)
    first:cancel()
    assert.equal("cancelled", first:wait().execution_state)
    assert.equal(22, second:wait():assert():result("use"))
  end)

  it("can be executed by one of its own tasks", function()
    local depth = 0
    local scheduler
    scheduler = flow.build(function(task)
      task("nest", function()
        depth = depth + 1
        if depth < 3 then
          return scheduler:execute():result("nest") + 1
        end
        return 1
      end)
    end)
    assert.equal(3, scheduler:execute():assert():result("nest"))
  end)

  it("gives every run a name of its own", function()
    local seen = {}
    local scheduler = flow.build(function(task)
      task("load", function(ctx)
        assert.is_nil(seen[ctx.run_id])
        seen[ctx.run_id] = true
      end)
    end)
    for _ = 1, 20 do
      scheduler:execute():assert()
    end
  end)

  it("is read-only", function()
    local scheduler = counting_scheduler(0)
    local failure = flow.raised(function()
      scheduler.config = {}
    end)
    assert.equal("a scheduler is read-only: config cannot be set", failure.text)
    assert.has_error(function()
      scheduler.config.silence = false
    end)
  end)

  it("is not changed by tasks that are declared later", function()
    local registry = flow.registry(function(task)
      task("load", function() end)
    end)
    local scheduler = registry:build_scheduler()
    registry.task("late", function() end)
    assert.equal(1, scheduler:execute().total_tasks)
    assert.equal(2, registry:run().total_tasks)
  end)

  it("says what it is", function()
    assert.equal("scheduler of namespace 'flow': 2 tasks", tostring(counting_scheduler(0)))
  end)

  it("gives its plan, and has no cycle to find", function()
    local scheduler = counting_scheduler(0)
    assert.equal(scheduler.plan, scheduler:get_execute_timeline())
    assert.equal(2, scheduler.plan.total_tasks)
    assert.is_nil(scheduler:detect_cycle())
  end)

  it("asks for a colon where there is none", function()
    local failure = flow.raised(counting_scheduler(0).execute)
    assert.equal("execute: call it with a colon, as in scheduler:execute()", failure.text)
  end)

  it("and all that comes from it ask for a colon where there is none", function()
    local scheduler = counting_scheduler(0)
    local run = scheduler:start()
    local objects = {
      registry = { astrum.SchedulerRegistry "flow", "get_task" },
      scheduler = { scheduler, "tree" },
      handle = { run, "status" },
      report = { run:wait(), "result" },
      plan = { scheduler.plan, "get_visualization_table" },
      planner = { astrum.ExecutionPlanner {}, "validate" },
    }
    for what, pair in pairs(objects) do
      local method = pair[2]
      local failure = flow.raised(function()
        pair[1][method] "use"
      end)
      local text = method .. ": call it with a colon, as in " .. what .. ":" .. method .. "()"
      assert.equal(text, failure.text)
      assert.is_truthy(failure.message:find("many_runs_spec.lua:%d+: "))
    end
  end)

  it("finds the declaration of a task", function()
    local scheduler = counting_scheduler(0)
    assert.equal("use", scheduler:find_task_by_name("use").task_id)
    assert.is_nil(scheduler:find_task_by_name("missing"))
  end)
end)

describe("a registry", function()
  it("with references of every kind can be built and run again and again", function()
    local registry = flow.registry(function(task)
      task("load", {
        outputs = { T("use", "pushed", "pushed") },
        run = function()
          return { id = 1, list = { 2 }, pushed = 3 }
        end,
      })
      task("use", {
        inputs = { id = F.load.id, parts = { F.load.list[1] } },
        run = function(id, parts, pushed)
          return id + parts[1] + pushed
        end,
      })
    end)
    for _ = 1, 3 do
      assert.equal(6, registry:run():assert():result("use"))
      assert.equal(2, registry:build_scheduler():execute().successful_tasks)
    end
    assert.equal(1, #registry:build_task_orders()[2].dependencies)
  end)

  it("can be run with other targets and settings each time", function()
    local registry = flow.registry(function(task)
      task("first", function() end)
      task("second", function() end)
    end)
    assert.equal(1, registry:run({ "first" }).total_tasks)
    assert.equal(2, registry:run({ config = { concurrency_limit = 1 } }).total_tasks)
    assert.equal(1, registry:run({ target_tasks = { "second" } }).total_tasks)
  end)
end)

describe("two runs at once", function()
  it("take turns", function()
    local order = {}
    local function start(name)
      return flow
        .build(function(task)
          for i = 1, 3 do
            task("task" .. i, function()
              order[#order + 1] = name .. i
            end)
          end
        end)
        :start()
    end
    local handles = { start "a", start "b" }
    for _, handle in ipairs(handles) do
      handle:wait()
    end
    assert.same({ "a1", "b1", "a2", "b2", "a3", "b3" }, order)
  end)

  it("can wait for each other from tasks", function()
    local first = counting_scheduler(0.001):start()
    local report = flow.run(function(task)
      task("waits", function()
        return first:wait():result("use")
      end)
    end)
    assert.equal(11, report:assert():result("waits"))
  end)
end)

describe("a run with thousands of runs inside", function()
  -- Seconds for each run inside to end when the outer one is cancelled.
  local function time_to_cancel(count)
    local begun, begin, handle = 0, nil, nil
    local inner = flow.registry(function(task)
      task("wait", function()
        begun = begun + 1
        if begun == count then
          begin = os.clock()
          handle:cancel()
        end
        sleep(60)
      end)
    end)
    handle = flow
      .build(function(task)
        for i = 1, count do
          task("inner" .. i, { workflow = inner })
        end
      end)
      :start()
    assert.equal(count, handle:wait().cancelled_tasks)
    return (os.clock() - begin) / count
  end

  it("is cancelled in a time that grows with their number only", function()
    assert.is_true(time_to_cancel(10000) < 15 * time_to_cancel(500))
  end)
end)

describe("thousands of runs one after the other", function()
  -- Sanitizers keep freed memory for a while.
  if program.sanitizers() ~= "" then
    return
  end

  it("leave no memory taken", function()
    local script <close> = program.file [[
      local astrum = require "astrum"
      local F = astrum.F
      local inner = astrum.workflow "inner" {
        give = { inputs = { v = astrum.param("v", { sensitive = true }) }, run = function(v) return #v end },
      }
      local scheduler = astrum
        .workflow("outer", {
          list = function()
            return { 1, 2, 3 }
          end,
          each = {
            map = { n = F.list },
            retry = 1,
            on_item_failure = "collect",
            run = function(n, ctx)
              ctx.progress(0.5, "half")
              return n ~= 2 and n or error("two")
            end,
          },
          inside = { workflow = inner, inputs = { v = F.list } },
          skipped = { when = function() return false end, inputs = { F.each }, run = print },
          late = {
            timeout = 0.0001,
            run = function()
              astrum.all {
                function() astrum.sleep(1) end,
                function() astrum.await(function() return function() end end) end,
              }
            end,
          },
          detached = { detached = true, run = function() end },
          pooled = { pool = "p", run = function() end },
        })
        :build_scheduler {
          config = { failure_mode = "keep_going", pools = { p = 1 }, on_event = function() end },
        }
      local function memory()
        collectgarbage()
        collectgarbage()
        return tonumber(io.open("/proc/self/statm"):read("a"):match "^%d+ (%d+)")
      end
      local function run(count)
        for _ = 1, count do
          local handle = scheduler:start()
          if math.random(4) == 1 then
            handle:cancel()
          end
          handle:wait()
        end
        return memory()
      end
      local before = run(500)
      io.write((run(1500) - before) * 4, " KiB")
    ]]
    local result = program.run { script.path }
    assert.equal("", result.err)
    local growth = tonumber(result.out:match "^(-?%d+) KiB$")
    assert.is_true(growth < 1024, result.out)
  end)
end)
