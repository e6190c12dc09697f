local astrum = require "astrum"
local flow = require "spec.support.flow"

local F, Ref = astrum.F, astrum.Ref

-- The value that a task gets as its input when another one returns `result`.
local function received(result, input, config)
  local got = table.pack()
  local report = flow.run(function(task)
    task("load", function()
      return result
    end)
    task("use", {
      inputs = { input },
      run = function(value)
        got = table.pack(value)
      end,
    })
  end, config)
  report:assert()
  assert.equal(1, got.n)
  return got[1]
end

describe("a reference", function()
  local result = { id = 7, list = { { sku = "mug" }, { sku = "pen" } }, ["deep.x"] = "literal" }

  local spellings = {
    ["F.load.list[2].sku"] = F.load.list[2].sku,
    ['F("load", "list", 2, "sku")'] = F("load", "list", 2, "sku"),
    ['F "load.list[2].sku"'] = F "load.list[2].sku",
    ['F(F.load, "list")[2].sku'] = F(F.load, "list")[2].sku,
  }
  for spelling, reference in pairs(spellings) do
    it("may be written " .. spelling, function()
      assert.equal("pen", received(result, reference))
    end)
  end

  it("through a handle is the same as through F", function()
    local report = flow.run(function(task)
      local load_order = task("load_order", function()
        return result
      end)
      task("use", {
        inputs = { load_order.list[1].sku, load_order, F.load_order.id },
        run = function(sku, order, id)
          return sku .. order.id .. id
        end,
      })
    end)
    assert.equal("mug77", report:result("use"))
  end)

  it("to the whole result gives the very value that was returned", function()
    assert.equal(result, received(result, F.load))
    assert.equal(result.list, received(result, F.load.list))
  end)

  it("keeps a dot in a field that is given as an argument", function()
    assert.equal("literal", received(result, F("load", "deep.x")))
  end)

  it("reaches a task whose name has a dot", function()
    local report = flow.run(function(task)
      task("a.b", function()
        return { c = 3 }
      end)
      task("use", {
        inputs = { F["a.b"].c, F("a.b", "c") },
        run = function(first, second)
          return first + second
        end,
      })
    end)
    assert.equal(6, report:result("use"))
  end)

  it("gives false as any other value", function()
    assert.equal(false, received(false, F.load))
    assert.equal(false, received({ ok = false }, F.load.ok))
  end)

  it("to a whole result that is nil gives nil", function()
    assert.is_nil(received(nil, F.load))
  end)

  it("may be to a task that is declared later", function()
    local report = flow.run(function(task)
      task("use", {
        inputs = { n = F.load.n },
        run = function(n)
          return n
        end,
      })
      task("load", function()
        return { n = 1 }
      end)
    end)
    assert.equal(1, report:result("use"))
  end)

  it("asks the __index of a result that has one", function()
    local proxy = setmetatable({}, {
      __index = function(_, key)
        return "asked for " .. key
      end,
    })
    assert.equal("asked for name", received(proxy, F.load.name))
    assert.equal("asked for name", received({ deep = proxy }, F.load.deep.name))
  end)

  it("fails its consumer with what the __index of a result raises", function()
    local report = flow.run(function(task)
      task("load", function()
        return setmetatable({}, {
          __index = function(_, key)
            error("no " .. key, 0)
          end,
        })
      end)
      task("use", { inputs = { F.load.name }, run = function(_) end })
    end)
    assert.same({ load = "completed", use = "failed" }, flow.statuses(report))
    assert.equal("no name", report:task("use").error_message)
  end)
end)

describe("Ref", function()
  local accepted = {
    integer = 3,
    number = 2.5,
    string = "x",
    boolean = false,
    table = { a = 1 },
    list = { 1, 2 },
    ["function"] = print,
    any = "x",
  }
  for name, value in pairs(accepted) do
    it("passes a value of type " .. name, function()
      assert.equal(value, received({ v = value }, Ref(name, F.load.v)))
    end)
  end

  it("takes an integer for a number and an empty table for a list", function()
    assert.equal(1, received({ v = 1 }, Ref("number", F.load.v)))
    assert.same({}, received({ v = {} }, Ref("list", F.load.v)))
  end)

  it("allows nil anywhere along the path of an optional type", function()
    assert.is_nil(received({}, Ref("integer?", F.load.v)))
    assert.is_nil(received({}, Ref("integer?", F.load.a.b.c)))
    assert.is_nil(received(nil, Ref("integer?", F.load.a)))
    assert.is_nil(received(nil, Ref("table?", F.load)))
    assert.is_nil(received({}, Ref("any?", F.load.v)))
  end)

  it("gives the default in place of nil", function()
    assert.equal(5, received({}, Ref("integer", F.load.v, { default = 5 })))
    assert.equal(5, received(nil, Ref("integer", F.load.a.b, { default = 5 })))
    assert.equal(false, received({}, Ref("boolean", F.load.v, { default = false })))
    assert.equal(1, received({ v = 1 }, Ref("integer", F.load.v, { default = 5 })))
  end)

  it("does not take the default in place of false", function()
    assert.equal(false, received({ v = false }, Ref("boolean", F.load.v, { default = true })))
  end)

  it("asks a predicate for the value", function()
    local function is_even(value)
      return value % 2 == 0
    end
    assert.equal(4, received({ v = 4 }, Ref(is_even, F.load.v)))
  end)

  it("lets skip_type_check pass any type", function()
    local config = { skip_type_check = true }
    assert.equal("x", received({ v = "x" }, Ref("integer", F.load.v), config))
    local function never()
      return false
    end
    assert.equal("x", received({ v = "x" }, Ref(never, F.load.v), config))
  end)

  it("keeps optional paths and defaults with skip_type_check", function()
    local config = { skip_type_check = true }
    assert.is_nil(received({}, Ref("integer?", F.load.a.b), config))
    assert.equal(5, received({}, Ref("integer", F.load.a, { default = 5 }), config))
  end)
end)

describe("a constant table with references", function()
  it("is rebuilt with their values at any depth", function()
    local parts = received({ x = 1, y = { 2 } }, {
      a = F.load.x,
      deep = { { F.load.y[1] }, "constant" },
      whole = F.load,
    })
    assert.same({ a = 1, deep = { { 2 }, "constant" }, whole = { x = 1, y = { 2 } } }, parts)
  end)

  it("is a fresh one for every run", function()
    local seen = {}
    local scheduler = flow.build(function(task)
      task("load", function()
        return 1
      end)
      task("use", {
        inputs = { parts = { F.load } },
        run = function(parts)
          parts[2] = "changed"
          seen[#seen + 1] = parts
        end,
      })
    end)
    scheduler:execute()
    scheduler:execute():assert()
    assert.not_equal(seen[1], seen[2])
  end)

  it("keeps false and leaves out nil", function()
    local parts = received(false, { a = F.load, b = 1 })
    assert.same({ a = false, b = 1 }, parts)
    assert.same({ b = 1 }, received(nil, { a = F.load, b = 1 }))
  end)

  it("keeps a table that stands in it twice one table", function()
    local shared = { F.load }
    local parts = received(1, { shared, shared })
    assert.equal(parts[1], parts[2])
  end)
end)

describe("a constant", function()
  it("without references is the very table that was declared", function()
    local rates = { SAVE20 = 20 }
    assert.equal(rates, received(nil, rates))
  end)

  it("with a metatable is not searched for references", function()
    local object = setmetatable({ F.load }, {})
    assert.equal(object, received(nil, object))
  end)

  it("may be false", function()
    assert.equal(false, received(nil, false))
  end)
end)

describe("a function input", function()
  local function used(input, body)
    return flow.run(function(task)
      task("use", {
        inputs = { value = input },
        run = body or function(value)
          return value
        end,
      })
    end)
  end

  it("gives its result", function()
    local report = used(function()
      return "made"
    end)
    assert.equal("made", report:result("use"))
  end)

  it("may give nil, false or a function", function()
    local report = used(function() end, function(value)
      return value == nil
    end)
    assert.equal(true, report:result("use"))
    assert.equal(
      false,
      used(function()
        return false
      end):result("use")
    )
    assert.equal(
      print,
      used(function()
        return print
      end):result("use")
    )
  end)

  it("gives its first result only", function()
    local report = used(function()
      return 1, 2
    end)
    assert.equal(1, report:result("use"))
  end)

  it("may wait", function()
    local report = used(function()
      astrum.sleep(0.001)
      return "late"
    end)
    assert.equal("late", report:result("use"))
    assert.is_true(report:task("use").duration >= 0.001)
  end)

  it("fails the attempt when it raises", function()
    local report = used(function()
      error("no input today", 0)
    end)
    assert.equal("no input today", report:task("use").error_message)
    assert.equal("TaskFailedError", report:task("use").error.kind)
  end)

  it("is called in the order of the parameters, with the task's context around it", function()
    local order = {}
    local function note(name)
      return function()
        order[#order + 1] = name .. " of " .. astrum.context().task
      end
    end
    flow.run(function(task)
      task("use", {
        inputs = { b = note "b", a = note "a", c = note "c" },
        run = function(c, a, b)
          return { c, a, b }
        end,
      })
    end)
    assert.same({ "c of use", "a of use", "b of use" }, order)
  end)

  it("is cancelled with its run while it waits", function()
    local handle = flow
      .build(function(task)
        task("use", {
          inputs = {
            value = function()
              astrum.sleep(10)
            end,
          },
          run = function(value)
            return value
          end,
        })
      end)
      :start()
    astrum.sleep(0.001)
    handle:cancel()
    assert.equal("cancelled", handle:wait():task("use").status)
  end)
end)

describe("a result", function()
  it("that is nil is told from no result by has_result", function()
    local report = flow.run(function(task)
      task("nothing", function() end)
      task("fails", function()
        error("boom", 0)
      end)
    end, { failure_mode = "keep_going" })
    assert.is_true(report:has_result("nothing"))
    assert.is_false(report:has_result("fails"))
    assert.same({}, report.task_return_set)
  end)

  it("is the first value that a body returns", function()
    local report = flow.run(function(task)
      task("load", function()
        return 1, 2
      end)
    end)
    assert.equal(1, report:result("load"))
  end)

  it("may be false", function()
    local report = flow.run(function(task)
      task("load", function()
        return false
      end)
    end)
    assert.equal("completed", report.execution_state)
    assert.same({ load = false }, report.task_return_set)
  end)

  it("may be nil beside an error that is nil", function()
    local report = flow.run(function(task)
      task("load", function()
        return nil, nil
      end)
    end)
    assert.is_true(report:has_result("load"))
  end)

  it("is none when nil comes with false", function()
    local report = flow.run(function(task)
      task("load", function()
        return nil, false
      end)
    end)
    assert.equal("failed", report.execution_state)
    assert.equal(false, report:task("load").error.cause)
  end)
end)
