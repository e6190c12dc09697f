local astrum = require "astrum"
local flow = require "spec.support.flow"

local F, T = astrum.F, astrum.T

describe("a fan-in", function()
  it("gives a task the whole results of several others", function()
    local report = flow.run(function(task)
      task("first", function()
        return "a"
      end)
      task("second", function()
        return "b"
      end)
      task("join", {
        inputs = { left = F.first, right = F.second },
        run = function(left, right)
          return left .. right
        end,
      })
    end)
    assert.equal("ab", report:result("join"))
  end)

  it("matches inputs with parameters by their names, whatever their order", function()
    local report = flow.run(function(task)
      task("load", function()
        return { one = 1, two = 2, three = 3 }
      end)
      task("join", {
        inputs = { a = F.load.one, b = F.load.two, c = F.load.three },
        run = function(c, a, b)
          return c * 100 + a * 10 + b
        end,
      })
    end)
    assert.equal(312, report:result("join"))
  end)

  it("gives one whole result to several tasks beside others that take its fields", function()
    local report = flow.run(function(task)
      task("load", function()
        return { id = 7 }
      end)
      for _, name in ipairs { "first", "second" } do
        task(name, {
          inputs = { order = F.load },
          run = function(order)
            return order.id
          end,
        })
      end
      task("third", {
        inputs = { id = F.load.id, order = F.load },
        run = function(id, order)
          return id == order.id
        end,
      })
    end)
    assert.same({ load = { id = 7 }, first = 7, second = 7, third = true }, report.task_return_set)
  end)

  it("puts entry i of a list of inputs into parameter i", function()
    local report = flow.run(function(task)
      task("load", function()
        return { b = "b", c = "c" }
      end)
      task("join", {
        inputs = { "a", F.load.b, F.load.c, nil },
        run = function(first, second, third)
          return first .. second .. third
        end,
      })
    end)
    assert.equal("abc", report:result("join"))
  end)

  it("passes a list of inputs to a C function and to a vararg body", function()
    local report = flow.run(function(task)
      task("load", function()
        return { cents = 250 }
      end)
      task("format", { inputs = { "%d cents", F.load.cents }, run = string.format })
      task("count", {
        inputs = { F.load, F.load.cents, "x" },
        run = function(...)
          return select("#", ...)
        end,
      })
    end)
    assert.equal("250 cents", report:result("format"))
    assert.equal(3, report:result("count"))
  end)

  it("gives all inputs in one table to the parameter `inputs`", function()
    local report = flow.run(function(task)
      task("load", function()
        return { a = 1, b = 2 }
      end)
      task("join", {
        inputs = { a = F.load.a, b = F.load.b, name = "x" },
        run = function(inputs, name)
          return { sum = inputs.a + inputs.b, name = name, again = inputs.name }
        end,
      })
    end)
    assert.same({ sum = 3, name = "x", again = "x" }, report:result("join"))
  end)

  it("lets tasks made in a loop share one body", function()
    local report = flow.run(function(task)
      local function square(n)
        return n * n
      end
      local function sum_of(squares)
        local sum = 0
        for _, value in ipairs(squares) do
          sum = sum + value
        end
        return sum
      end
      local squares = {}
      for i = 1, 5 do
        squares[i] = task("square" .. i, { inputs = { n = i }, run = square })
      end
      task("sum", {
        inputs = { squares = squares },
        run = sum_of,
      })
    end)
    assert.equal(55, report:result("sum"))
  end)

  it("takes values that earlier tasks push with outputs", function()
    local report = flow.run(function(task)
      task("join", {
        inputs = { left = F.first },
        run = function(left, right, whole)
          return left .. right .. whole.deep.x
        end,
      })
      task("first", function()
        return "a"
      end)
      task("second", {
        outputs = { T("join", { "deep", "x" }, "right"), T("join", nil, "whole") },
        run = function()
          return { deep = { x = "b" } }
        end,
      })
    end)
    assert.equal("abb", report:result("join"))
  end)

  it("starts a task with three sources once, after the last of them", function()
    local starts = 0
    local report = flow.run(function(task)
      for i = 1, 3 do
        task("source" .. i, function()
          astrum.sleep(i / 1000)
          return i
        end)
      end
      task("join", {
        inputs = { a = F.source1, b = F.source2, c = F.source3 },
        run = function(a, b, c)
          starts = starts + 1
          return a + b + c
        end,
      })
    end)
    assert.equal(1, starts)
    assert.equal(6, report:result("join"))
  end)
end)
