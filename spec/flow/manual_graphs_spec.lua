local astrum = require "astrum"
local flow = require "spec.support.flow"

local F, TaskOrder = astrum.F, astrum.TaskOrder

-- Eight tasks by hand; each notes its name when it runs.
local function eight_tasks()
  local list, orders, ran = {}, {}, {}
  local function add(name, ...)
    orders[name] = TaskOrder(name, { ... })
    orders[#orders + 1] = orders[name]
    list[#list + 1] = {
      name,
      function()
        ran[#ran + 1] = name
        return name
      end,
    }
    return orders[name]
  end
  local fetch_a, fetch_b, settings = add "fetch_a", add "fetch_b", add "settings"
  local clean_a, clean_b = add("clean_a", fetch_a), add("clean_b", fetch_b)
  local join = add("join", clean_a, clean_b, settings)
  add("save", join)
  add("notify", join)
  return { tasks = list, task_order = orders }, ran
end

describe("a graph made by hand", function()
  it("runs in the order that the task orders give", function()
    local given, ran = eight_tasks()
    given.task_order = table.move(given.task_order, 1, 8, 1, {})
    local report = astrum.DynamicScheduler(given):execute():assert()
    assert.equal(8, report.successful_tasks)
    assert.equal(4, report.total_stages)
    local place = {}
    for i, name in ipairs(ran) do
      place[name] = i
    end
    assert.is_true(place.join > place.clean_a and place.join > place.settings)
    assert.same({ "clean_a", "clean_b", "settings" }, report.original_tasks.join)
    assert.equal("save", report:result("save"))
  end)

  it("shows the plan that its planner makes", function()
    local given = eight_tasks()
    local orders = table.move(given.task_order, 1, 8, 1, {})
    local plan = astrum.ExecutionPlanner(orders):get_execute_timeline()
    local scheduler = astrum.DynamicScheduler { tasks = given.tasks, task_order = orders }
    assert.equal(
      plan:get_full_visualization(),
      scheduler:get_execute_timeline():get_full_visualization()
    )
    assert.equal(4, #plan.stages)
  end)

  it("takes specs with references in place of functions", function()
    local report = astrum
      .DynamicScheduler({
        tasks = {
          {
            "load",
            function()
              return { n = 4 }
            end,
          },
          {
            "use",
            {
              inputs = { n = F.load.n },
              run = function(n)
                return n * 2
              end,
            },
          },
        },
      })
      :execute()
    assert.equal(8, report:result("use"))
  end)

  it("takes retries, a limit and detached tasks", function()
    local calls = 0
    local report = astrum
      .DynamicScheduler({
        tasks = {
          {
            "unsteady",
            function()
              calls = calls + 1
              if calls == 1 then
                error("once", 0)
              end
            end,
          },
          { "tail", function() end },
        },
        task_retries = { unsteady = 1 },
        ignore_tail_task = { "tail" },
        concurrency_limit = 1,
      })
      :execute()
    assert.equal("completed", report.execution_state)
    assert.equal(2, report:task("unsteady").attempt_count)
    assert.equal(1, report.total_tasks)
    assert.equal("completed", report.tail_tasks.tail:wait())
  end)

  it("reports all mistakes in one error", function()
    local failure = flow.raised(astrum.DynamicScheduler, {
      tasks = { { "a", function() end }, { "a", function() end }, { "b", 1 } },
      task_order = { TaskOrder "ghost" },
    })
    assert.equal("TaskRegistrationError", failure.kind)
    assert.same({
      "Duplicate task names in tasks: ['a']",
      "Task 'b' is not callable: number",
      "Task 'ghost' not found in task list.",
    }, failure.errors)
  end)

  it("with a cycle cannot be made", function()
    local failure = flow.raised(astrum.DynamicScheduler, {
      tasks = { { "a", function() end }, { "b", function() end } },
      task_order = { TaskOrder("a", { "b" }), TaskOrder("b", { "a" }) },
    })
    assert.equal("TaskOrderLoopError", failure.kind)
    assert.equal("Cycle detected: a -> b -> a", failure.text)
  end)

  it("runs what build_tasks and build_task_orders give of a registry", function()
    local registry = flow.registry(function(task)
      task("load", function()
        return 2
      end)
      task("use", {
        inputs = { n = F.load },
        run = function(n)
          return n + 1
        end,
      })
    end)
    local report = astrum
      .DynamicScheduler({
        tasks = registry:build_tasks(),
        task_order = registry:build_task_orders(),
      })
      :execute()
    assert.equal(3, report:result("use"))
  end)
end)
