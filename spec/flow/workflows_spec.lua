local astrum = require "astrum"
local flow = require "spec.support.flow"
local testing = require "astrum.testing"

local F, Ref, sleep = astrum.F, astrum.Ref, astrum.sleep

-- A workflow that takes name and greeting and gives a text.
local function greeter()
  return flow.registry(function(task)
    task("text", {
      inputs = {
        name = astrum.param("name", { type = "string" }),
        greeting = astrum.param("greeting", { type = "string", default = "hello" }),
      },
      run = function(name, greeting)
        return greeting .. " " .. name
      end,
    })
    task("size", {
      inputs = { text = F.text },
      run = function(text)
        return #text
      end,
    })
  end)
end

-- Registries inside one another: the innermost has the task `leaf`.
local function nested(names, leaf, options)
  local registry = flow.registry(function(task)
    task("leaf", leaf)
  end)
  for i = #names, 1, -1 do
    local inner = registry
    registry = flow.registry(function(task)
      local spec = { workflow = inner }
      for key, value in pairs(options or {}) do
        spec[key] = value
      end
      task(names[i], spec)
    end)
  end
  return registry
end

describe("a task that is a workflow", function()
  it("gives the inputs as params and returns the results by task", function()
    local report = flow.run(function(task)
      task("who", function()
        return { name = "Ada" }
      end)
      task("greet", { workflow = greeter(), inputs = { name = F.who.name } })
      task("use", {
        inputs = { size = F.greet.size, text = Ref("string", F.greet.text) },
        run = function(text, size)
          return text .. size
        end,
      })
    end)
    assert.same({ text = "hello Ada", size = 9 }, report:assert():result "greet")
    assert.equal("hello Ada9", report:result "use")
    assert.equal(3, report.total_tasks)
  end)

  it("takes an input in place of a default", function()
    local report = flow.run(function(task)
      task("greet", { workflow = greeter(), inputs = { name = "Ada", greeting = "bye" } })
    end)
    assert.equal("bye Ada", report:assert():result("greet").text)
  end)

  it("refuses a value of another type and says where", function()
    local registry = flow.load(
      [[
task("who", function() return 7 end)
task "greet" { workflow = given, retry = 2, inputs = { name = F.who } }]],
      greeter()
    )
    local entry = registry:run({}):task "greet"
    assert.equal("TypeMatchError", entry.error.kind)
    assert.equal(1, entry.attempt_count)
    assert.equal(
      "flow.lua:2: task 'greet': input 'name' wants string, who is number",
      entry.error_message
    )
    assert.is_nil(entry.report)
  end)

  it("has the report of its run", function()
    local report = flow.run(function(task)
      task("greet", { workflow = greeter(), inputs = { name = "Ada" } })
      task("plain", function() end)
    end)
    local inner = report:task("greet").report
    assert.equal("completed", inner.execution_state)
    assert.equal("hello Ada", inner:result "text")
    assert.same({ text = "completed", size = "completed" }, flow.statuses(inner))
    assert.is_nil(report:task("plain").report)
  end)

  it("fails with the path to the task that failed, through three levels", function()
    local report = flow.run(function(task)
      task("top", {
        workflow = nested({ "middle", "low" }, function()
          error("no space left", 0)
        end),
      })
    end)
    assert.equal("failed", report.execution_state)
    assert.same({
      "Execution interrupted; task 'top' failed: task 'top/middle/low/leaf' failed: no space left",
      "Final task 'top' failed: task 'top/middle/low/leaf' failed: no space left",
    }, report.error_summary)
    local failure = report:task("top").error
    assert.equal("TaskFailedError", failure.kind)
    assert.equal("top", failure.task)
    assert.equal("top/middle/low/leaf", failure.path)
    local inner = report:task("top").report
    assert.equal("task 'middle/low/leaf' failed: no space left", inner:task("middle").error_message)
    inner = inner:task("middle").report:task("low").report
    assert.equal("no space left", inner:task("leaf").error_message)
  end)

  it("fails with the path to the item that failed", function()
    local inner = flow.registry(function(task)
      task("each", {
        map = { n = { 1, 2 } },
        run = function(n)
          if n == 2 then
            error("bad", 0)
          end
        end,
      })
    end)
    local report = flow.run(function(task)
      task("top", { workflow = inner })
    end)
    assert.equal("task 'top/each[2]' failed: bad", report:task("top").error_message)
  end)

  it("fails with the path through a map of workflows", function()
    local inner = flow.registry(function(task)
      task("leaf", {
        inputs = { n = astrum.param("n", { type = "integer" }) },
        run = function(n)
          error("bad " .. n, 0)
        end,
      })
    end)
    local report = flow.run(function(task)
      task("top", { workflow = inner, map = { n = { 7, 8 } } })
    end)
    assert.equal("item 1: task 'top[1]/leaf' failed: bad 7", report:task("top").error_message)
  end)

  it("fails when an element of a map is of another type", function()
    local report = flow.run(function(task)
      task("top", { workflow = greeter(), map = { name = { 7 } } })
    end)
    assert.equal(
      "item 1: param 'name': string expected, got number",
      report:task("top").error_message
    )
  end)

  it("that takes too long says so", function()
    local inner = flow.registry(function(task)
      task("slow", function()
        sleep(10)
      end)
    end)
    local report = testing.run(
      flow.registry(function(task)
        task("top", { workflow = inner, timeout = 2 })
      end),
      {}
    )
    assert.equal("timed_out", report:task("top").status)
    assert.equal("timed out after 2 s", report:task("top").error_message)
  end)

  it("runs all again when it is retried", function()
    local runs = { first = 0, second = 0 }
    local inner = flow.registry(function(task)
      task("first", function()
        runs.first = runs.first + 1
        return runs.first
      end)
      task("second", {
        inputs = { n = F.first },
        run = function(n)
          runs.second = runs.second + 1
          if n == 1 then
            error("again", 0)
          end
        end,
      })
    end)
    local report = flow.run(function(task)
      task("top", { workflow = inner, retry = 1 })
    end)
    assert.same({ first = 2, second = 2 }, runs)
    local entry = report:assert():task "top"
    assert.equal(2, entry.attempt_count)
    assert.equal("task 'top/second' failed: again", entry.attempt_statistics[1].error_message)
    assert.equal(2, entry.report:result "first")
  end)

  it("is cancelled down to the last body", function()
    local closed, handle = {}, nil
    local registry = nested({ "top", "middle", "low" }, function()
      local _ <close> = flow.closing(closed, "closed")
      handle:cancel "enough"
      sleep(10)
    end)
    handle = registry:build_scheduler({}):start()
    local report = handle:wait()
    assert.same({ "closed" }, closed)
    assert.equal("cancelled", report.execution_state)
    assert.equal("cancelled", report:task("top").status)
    assert.equal("the run was cancelled: enough", report:task("top").reason)
  end)

  it("is stopped when another task of the run fails", function()
    local closed = {}
    local registry = nested({ "top", "low" }, function()
      local _ <close> = flow.closing(closed, "closed")
      sleep(100)
    end)
    registry.task("other", function()
      sleep(1)
      error("boom", 0)
    end)
    local report = testing.run(registry)
    assert.same({ "closed" }, closed)
    assert.same({ top = "cancelled", other = "failed" }, flow.statuses(report))
  end)

  for _, mode in ipairs { "fail_fast", "keep_going" } do
    it("has the failure mode of the run around it: " .. mode, function()
      local inner = flow.registry(function(task)
        task("fails", function()
          sleep(1)
          error("boom", 0)
        end)
        task("slow", function()
          sleep(5)
        end)
      end)
      local report = testing.run(
        flow.registry(function(task)
          task("top", { workflow = inner })
        end),
        { config = { failure_mode = mode } }
      )
      local status = report:task("top").report
      assert.equal("failed", report.execution_state)
      assert.equal(mode == "fail_fast" and "cancelled" or "completed", status:task("slow").status)
    end)
  end

  it("may be a map: one run for each item", function()
    local report = flow.run(function(task)
      task("greet", { workflow = greeter(), map = { name = { "Ada", "Grace" } } })
    end)
    assert.same({
      { text = "hello Ada", size = 9 },
      { text = "hello Grace", size = 11 },
      n = 2,
    }, report:assert():result "greet")
    local items = report:task("greet").items
    assert.equal("hello Grace", items[2].report:result "text")
    assert.equal("hello Ada", items[1].report:result "text")
  end)

  it("takes the default of a param for a nil result", function()
    local report = flow.run(function(task)
      task("none", function() end)
      task("greet", { workflow = greeter(), inputs = { name = "Ada", greeting = F.none } })
    end)
    assert.equal("hello Ada", report:assert():result("greet").text)
  end)

  it("has paths for its tasks below its own", function()
    local key = {}
    local inner = flow.registry(function(task)
      task("leaf", {
        inputs = { n = astrum.param "n" },
        run = function(n, ctx)
          key[n] = ctx.idempotency_key:sub(#ctx.run_id + 1)
        end,
      })
    end)
    flow
      .run(function(task)
        task("top", { workflow = inner, inputs = { n = "one" } })
        task("each", { workflow = inner, map = { n = { 1, 2 } } })
      end)
      :assert()
    assert.same({ one = "/top/leaf", "/each[1]/leaf", "/each[2]/leaf" }, key)
  end)

  it("is declined by its condition", function()
    local report = flow.run(function(task)
      task("greet", {
        workflow = greeter(),
        inputs = { name = "Ada" },
        when = function(name)
          return name ~= "Ada"
        end,
      })
    end)
    assert.equal("skipped", report:task("greet").status)
    assert.is_nil(report:task("greet").report)
  end)

  it("may be replaced in a test", function()
    local report = testing.run(
      flow.registry(function(task)
        task("greet", { workflow = greeter(), inputs = { name = "Ada" } })
        task("use", {
          inputs = { text = F.greet.text },
          run = function(text)
            return text
          end,
        })
      end),
      { stubs = { greet = { text = "stub" } } }
    )
    assert.equal("stub", report:assert():result "use")
  end)
end)

describe("workflows inside one another", function()
  it("may be 16 deep", function()
    local names = {}
    for i = 1, 15 do
      names[i] = "level" .. i
    end
    local registry = nested(names, function()
      return "down here"
    end)
    assert.is_true(registry:run({}):ok())
  end)

  it("are refused when they are deeper", function()
    local names = {}
    for i = 1, 16 do
      names[i] = "level" .. i
    end
    local failure = flow.raised(function()
      nested(names, function() end):build_scheduler {}
    end)
    assert.equal("TaskRegistrationError", failure.kind)
    assert.is_truthy(failure.message:find(": workflows are nested deeper than 16", 1, true))
  end)

  it("are refused when a run in a body is deeper", function()
    local deepest, text = 0, nil
    local function go(level)
      return flow.registry(function(task)
        task("level" .. level, function()
          deepest = level
          local ok, failure = pcall(function()
            go(level + 1):run({}):assert()
          end)
          if not ok and not text then
            text = failure.message
          end
        end)
      end)
    end
    go(1):run({})
    assert.equal(16, deepest)
    assert.equal(
      "the run cannot be started: runs are nested too deeply\n"
        .. "help: at most 16 runs may be inside one another",
      (text:gsub("^[^:]+:%d+: ", ""))
    )
  end)

  it("are refused when one is inside itself", function()
    local registry = astrum.SchedulerRegistry "loop"
    registry.task("again", { workflow = registry })
    local failure = flow.raised(function()
      registry:build_scheduler {}
    end)
    assert.equal("TaskOrderLoopError", failure.kind)
    assert.is_truthy(
      failure.message:find("task 'again': workflow 'loop' is inside itself: loop -> loop", 1, true)
    )
  end)
end)

describe("a run inside a body", function()
  it("has its own deadline", function()
    local report = testing.run(flow.registry(function(task)
      task("outer", function()
        local inner = flow
          .registry(function(inside)
            inside("slow", function()
              sleep(10)
            end)
          end)
          :run { config = { deadline = 2 } }
        return inner.execution_state .. ": " .. inner.error_summary[1]
      end)
    end))
    assert.equal(
      "failed: Execution failed: the run took longer than its deadline of 2 s",
      report:assert():result "outer"
    )
  end)

  it("may have no limit of its own", function()
    local report = flow.run(function(task)
      task("outer", function()
        flow
          .registry(function(inside)
            inside("in", function() end)
          end)
          :run { config = { pools = { db = 1 } } }
      end)
    end)
    assert.equal(
      "pools belongs to the outermost run; this one runs inside task 'outer'\n"
        .. "help: leave it out here; the runs inside share the limits of the outer one",
      (report:task("outer").error_message:gsub("^%S+:%d+: ", ""))
    )
  end)

  it("shares the limit of the outermost run", function()
    local running, most = 0, 0
    local report = testing.run(
      flow.registry(function(task)
        for i = 1, 3 do
          task("outer" .. i, function()
            flow
              .registry(function(inside)
                for j = 1, 3 do
                  inside("in" .. j, function()
                    running = running + 1
                    most = math.max(most, running)
                    sleep(1)
                    running = running - 1
                  end)
                end
              end)
              :run({})
              :assert()
          end)
        end
      end),
      { config = { concurrency_limit = 2 } }
    )
    report:assert()
    assert.equal(2, most)
  end)
end)
