local astrum = require "astrum"
local flow = require "spec.support.flow"

local F = astrum.F

describe("namespaces", function()
  after_each(function()
    astrum.clear_registry()
  end)

  it("run the tasks of one name in each without touching the other", function()
    for _, namespace in ipairs { "left", "right" } do
      astrum.task("load", {
        namespace = namespace,
        run = function(ctx)
          return ctx.namespace
        end,
      })
    end
    assert.equal("left", astrum.run({ namespace = "left" }):result("load"))
    assert.equal("right", astrum.run({ namespace = "right" }):result("load"))
  end)

  it("are used by everything that is declared and run inside use_namespace", function()
    local report = astrum.use_namespace("shop", function()
      astrum.task("load", function()
        return 1
      end)
      astrum.task("use", {
        inputs = { n = F.load },
        run = function(n)
          return n + 1
        end,
      })
      return astrum.run {}
    end)
    assert.equal(2, report:result("use"))
    assert.equal("default", astrum.active_namespace())
  end)

  it("are used until the guard is closed", function()
    do
      local _ <close> = astrum.use_namespace "shop"
      astrum.task("load", function()
        return "shop"
      end)
    end
    assert.equal("shop", astrum.run({ namespace = "shop" }):result("load"))
    local failure = flow.raised(astrum.run, {})
    assert.equal("namespace 'default' has no tasks", failure.text)
  end)

  it("are restored when the body of use_namespace raises", function()
    local failure = flow.raised(astrum.use_namespace, "shop", function()
      error("boom", 0)
    end)
    assert.equal("boom", failure)
    assert.equal("default", astrum.active_namespace())
  end)

  it("are kept for each task, so that two tasks cannot disturb each other", function()
    local seen = {}
    local function enter(namespace, time)
      return function()
        local _ <close> = astrum.use_namespace(namespace)
        astrum.sleep(time)
        seen[namespace] = astrum.active_namespace()
      end
    end
    flow.run(function(task)
      task("one", enter("first", 0.002))
      task("two", enter("second", 0.001))
    end)
    assert.same({ first = "first", second = "second" }, seen)
    assert.equal("default", astrum.active_namespace())
  end)

  it("that are mistyped are an error with the nearest known name", function()
    astrum.task("load", { namespace = "checkout", run = function() end })
    local failure = flow.raised(astrum.run, { namespace = "chekout" })
    assert.equal("TaskNotFoundError", failure.kind)
    assert.equal("namespace 'chekout' has no tasks", failure.text)
    assert.equal("did you mean 'checkout'?", failure.help)
  end)

  it("can be declared again after clear_registry", function()
    for i = 1, 2 do
      local task = astrum.namespace("shop").task
      task("load", function()
        return i
      end)
      assert.equal(i, astrum.run({ namespace = "shop" }):result("load"))
      astrum.clear_registry("shop")
    end
  end)

  it("stay runnable through a scheduler that was built before clear_registry", function()
    local task = astrum.namespace("shop").task
    task("load", function()
      return "kept"
    end)
    local scheduler = astrum.build_scheduler { namespace = "shop" }
    astrum.clear_registry()
    assert.equal("kept", scheduler:execute():result("load"))
    assert.equal("shop", scheduler.namespace)
  end)

  it("run a workflow made of a table", function()
    local report = astrum
      .workflow("table")({
      load = function()
        return { n = 20 }
      end,
      use = {
        inputs = { n = F.load.n },
        run = function(n)
          return n + 1
        end,
      },
    })
      :run()
    assert.equal(21, report:result("use"))
  end)
end)
