-- Tasks of which nothing is said but their body and what they read from are kept in columns.
local astrum = require "astrum"
local program = require "spec.support.program"
local F = astrum.F

describe("a plain declaration", function()
  local registry, task

  before_each(function()
    registry = astrum.SchedulerRegistry("columns")
    task = registry.task
    task("a", function()
      return { v = 1 }
    end)
  end)

  local function add_one(v)
    return { v = v + 1 }
  end

  it("does not change with the table it was made from", function()
    local spec = { inputs = { v = F.a.v }, run = add_one }
    task("b", spec)
    spec.inputs.v = F.nobody.v
    spec.run = error
    assert.equal(2, registry:run({}):result("b").v)
  end)

  for _, size in ipairs { 40, 41 } do
    it(("is found by a name of %d bytes"):format(size), function()
      -- Not one string: each is put together anew.
      local function name()
        return ("n"):rep(size - 1) .. "1"
      end
      task("b", { inputs = { v = F[name()].v }, run = add_one })
      task(name(), { inputs = { v = F.a.v }, run = add_one })
      assert.equal(3, registry:run({}):result("b").v)
      local _, problem = pcall(task, name(), add_one)
      assert.truthy(tostring(problem):find("is declared twice", 1, true))
    end)
  end

  it("is at its own place where functions of two files declare by turns", function()
    local declare = {}
    for place, file in ipairs { "first.lua", "second.lua" } do
      local text = ("\n"):rep(place)
        .. [[
        local task, F, name = ...
        return task(name, { inputs = {
          x = F["no_" .. name].v,
        }, run = function(x) return x end })
      ]]
      declare[place] = assert(load(text, "@" .. file))
    end
    for i = 1, 4 do
      declare[2 - i % 2](task, F, "t" .. i)
    end
    local _, problem = pcall(registry.build_scheduler, registry, {})
    local places = {}
    for place, name in tostring(problem):gmatch "([%w.]+:%d+): task '(t%d)'" do
      places[#places + 1] = name .. " " .. place
    end
    table.sort(places)
    assert.same(
      { "t1 first.lua:4", "t2 second.lua:5", "t3 first.lua:4", "t4 second.lua:5" },
      places
    )
  end)

  it("keeps its inputs when a finalizer declares a task meanwhile", function()
    -- In a program of its own, where the collector has nothing else to do.
    local file <close> = program.file [[
      local astrum = require "astrum"
      local F = astrum.F
      local registry = astrum.SchedulerRegistry "finalizers"
      local task = registry.task
      task("one", function() return 1 end)
      task("two", function() return 2 end)
      local count, is_inside = 0, false
      local litter = {
        __gc = function()
          if is_inside then
            is_inside = false
            count = count + 1
            local inputs = { x = F.one, y = F.one }
            task("inner" .. count, { inputs = inputs, run = function(x, y) return x + y end })
          end
        end,
      }
      local makers = {}
      for i = 1, 3000 do
        makers[i] = load("local F = ... return F.two, F.two", "@maker" .. i)
      end
      collectgarbage()
      collectgarbage("incremental", 100, 100, 4)
      for i = 1, 3000 do
        for _ = 1, 20 do
          setmetatable({}, litter)
        end
        local x, y = makers[i](F)
        local spec = { inputs = { p = x, q = y }, run = function(p, q) return p + q end }
        is_inside = true
        task("outer" .. i, spec)
        is_inside = false
      end
      local values = registry:run({}).task_return_set
      for i = 1, count do
        assert(values["inner" .. i] == 2)
      end
      for i = 1, 3000 do
        assert(values["outer" .. i] == 4)
      end
      print(count > 0)
    ]]
    assert.same({ code = 0, out = "true\n", err = "" }, program.run { file.path })
  end)

  it("does not keep the functions that declared it when it has been built", function()
    local kept = setmetatable({}, { __mode = "k" })
    for i = 1, 20 do
      local function declare()
        local inputs = { v = F.a.v }
        task("t" .. i, { inputs = inputs, timeout = i % 2 == 0 and 5 or nil, run = add_one })
      end
      kept[declare] = true
      declare()
    end
    registry:build_scheduler {}
    collectgarbage()
    collectgarbage()
    assert.is_nil(next(kept))
  end)

  it("is declared by a function that was kept when the registry has been cleared", function()
    registry:clear()
    task("a", function()
      return { v = 5 }
    end)
    task("b", { inputs = { v = F.a.v }, run = add_one })
    assert.equal(2, #registry.records)
    assert.equal(6, registry:run({}):result("b").v)
  end)

  it("stays in a scheduler when more is declared and when all is cleared", function()
    task("b", { inputs = { v = F.a.v }, run = add_one })
    local scheduler = registry:build_scheduler {}
    task("c", { inputs = { v = F.b.v }, run = add_one })
    registry:clear()
    local report = scheduler:execute()
    assert.equal(2, report.total_tasks)
    assert.equal(2, report:result("b").v)
    assert.is_nil(scheduler:find_task_by_name "c")
  end)

  it("may have ctx anywhere among its parameters", function()
    local seen = {}
    task("b", function(ctx)
      return { v = 10 * ctx.attempt }
    end)
    local reads <const> = { a = F.a.v, b = F.b.v }
    task("first", {
      inputs = reads,
      run = function(ctx, a, b)
        seen.first = { ctx.task, a, b }
      end,
    })
    task("between", {
      inputs = reads,
      run = function(a, ctx, b)
        seen.between = { ctx.task, a, b }
      end,
    })
    task("last", {
      inputs = reads,
      run = function(b, a, ctx)
        seen.last = { ctx.task, a, b }
      end,
    })
    registry:run({}):assert()
    assert.same({ "first", 1, 10 }, seen.first)
    assert.same({ "between", 1, 10 }, seen.between)
    assert.same({ "last", 1, 10 }, seen.last)
    assert.same({ a = F.a.v, b = F.b.v }, registry:get_task("between").inputs)
    for number = 1, 5 do
      assert.is_true(registry.store:is_plain(number))
    end
  end)

  it("may list its inputs in the order of its parameters", function()
    task("b", {
      inputs = { F.a.v, F.a },
      run = function(v, ctx)
        return v + ctx.v
      end,
    })
    assert.is_true(registry.store:is_plain(2))
    assert.same({ F.a.v, F.a }, registry:get_task("b").inputs)
    assert.equal(2, registry:run({}):result("b"))
  end)

  it("that lists too few or too many inputs is refused", function()
    for _, list in ipairs { { F.a }, { F.a, F.a, F.a }, { F.a, nil, F.a } } do
      local ok = pcall(task, "b", {
        inputs = list,
        run = function(x, y)
          return x, y
        end,
      })
      assert.is_false(ok)
    end
    assert.equal(1, #registry.records)
  end)

  it("reads from tasks that have options, and they from it", function()
    task("b", { inputs = { v = F.a.v }, retry = 1, run = add_one })
    task("c", { inputs = { v = F.b.v }, run = add_one })
    task("d", {
      inputs = { F.c },
      depends_on = { "a" },
      run = function(c)
        return c.v
      end,
    })
    local report = registry:run {}
    assert.equal(3, report:result "d")
    assert.same({ "a" }, report.original_tasks.b)
    assert.same({ "b" }, report.original_tasks.c)
  end)

  it("gets results by handles, whole and in part, and by an index", function()
    local list = task("list", function()
      return { "x", "y" }
    end)
    task("b", {
      inputs = { all = list, second = list[2] },
      run = function(all, second)
        return all[1] .. second
      end,
    })
    assert.equal("xy", registry:run({}):result "b")
    assert.is_true(registry:get_task("b").inputs.all == list)
    assert.is_true(registry:get_task("b").inputs.second == F.list[2])
  end)

  it("gets all inputs in one table, by their names", function()
    task("b", {
      inputs = { x = F.a.v, y = F.a },
      run = function(inputs)
        return inputs.x + inputs.y.v
      end,
    })
    assert.equal(2, registry:run({}):result "b")
  end)

  it("tells of the first missing field by name when it takes all inputs in a table", function()
    local fields = {}
    for _, name in ipairs { "d", "b", "c", "e", "a" } do
      fields[name] = F.a["missing_" .. name]
    end
    task("b", {
      inputs = fields,
      run = function(inputs)
        return inputs
      end,
    })
    local message = registry:run({}):task("b").error_message
    assert.equal(
      "task 'b': input 'a': a has no field 'missing_a'\nhelp: a has: v",
      (message:match ": (task 'b'.*)$")
    )
  end)

  it("is told of with other mistakes, in the order of declaration", function()
    task("b", { inputs = { v = F.nobody.v }, run = add_one })
    task("c", { depends_on = { "none" }, run = print })
    task("d", { inputs = { v = F.nowhere.v }, run = add_one })
    local ok, problem = pcall(registry.build_scheduler, registry, {})
    assert.is_false(ok)
    local tasks = {}
    for i, mistake in ipairs(problem.errors) do
      tasks[i] = mistake.task
    end
    assert.same({ "b", "c", "d" }, tasks)
  end)

  it("refuses an output for a parameter that has an input", function()
    task("b", { inputs = { v = F.a.v }, run = add_one })
    task("c", { outputs = { astrum.T("b", "x", "v") }, run = print })
    local ok, problem = pcall(registry.build_scheduler, registry, {})
    assert.is_false(ok)
    assert.equal(
      "task 'c': output goes to parameter 'v' of task 'b'\n"
        .. "help: this parameter has an input already; keep one of the two",
      (tostring(problem):gsub("\n [^\n]*", ""):match ": (task 'c'.*)$")
    )
  end)

  -- Each declaration is finished while garbage with a finalizer, which declares, is collected.
  local function declare_in_finalizers(spec_of, count)
    local mode = collectgarbage "incremental"
    collectgarbage("incremental", 100, 1000, 40)
    local declared, is_inside = 0, false
    for i = 1, count do
      local name, spec = "outer" .. i, spec_of(i)
      collectgarbage()
      collectgarbage "stop"
      setmetatable({}, {
        __gc = function()
          if is_inside then
            declared = declared + 1
            task("inner" .. declared, spec_of(declared))
          end
        end,
      })
      is_inside = true
      collectgarbage "restart"
      task(name, spec)
      is_inside = false
    end
    collectgarbage(mode)
    return declared
  end

  for form, spec_of in pairs {
    ["parameters"] = function(i)
      return {
        inputs = { v = F.a.v },
        run = function(v)
          return v + i
        end,
      }
    end,
    ["a table of inputs"] = function(i)
      return {
        inputs = { v = F.a.v, w = F.a.v },
        run = function(inputs)
          return inputs.v + i
        end,
      }
    end,
  } do
    it("keeps its body and " .. form .. " when a finalizer declares in the midst of it", function()
      local declared = declare_in_finalizers(spec_of, 40)
      assert.is_true(declared > 0)
      local report = registry:run {}
      for i = 1, 40 do
        assert.equal(1 + i, report:result("outer" .. i))
      end
      for i = 1, declared do
        assert.equal(1 + i, report:result("inner" .. i))
      end
    end)
  end
end)
