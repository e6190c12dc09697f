-- The texts of mistakes of the consumer: an input that is not what the producer returned.
local flow = require "spec.support.flow"

local TEXT <const> = [[
task("load", function() return given end)
task("use", {
  inputs = {
    value = %s,
  },
  run = function(value) return value end,
})
]]

-- The statistics of a task with that input, line 4 of flow.lua, when load gives `result`.
local function use(result, input)
  local report = flow.load(TEXT:format(input), result):run()
  assert.equal("completed", report:task("load").status)
  assert.equal("failed", report:task("use").status)
  return report:task("use")
end

local function message(result, input)
  return use(result, input).error_message
end

describe("a missing field", function()
  it("is told with consumer, input, source and the fields that exist", function()
    assert.equal(
      "flow.lua:4: task 'use': input 'value': load has no field 'payment'\n"
        .. "help: load has: coupon, items",
      message({ coupon = "x", items = {} }, "F.load.payment")
    )
  end)

  it("is told with the number of keys when none is a name", function()
    local text =
      "flow.lua:4: task 'use': input 'value': load has no field 'payment'\nhelp: load has: "
    assert.equal(text .. "1 key that is no name", message({ [true] = 1 }, "F.load.payment"))
    assert.equal(
      text .. "2 keys that are no names",
      message({ [true] = 1, [1.5] = 2 }, "F.load.payment")
    )
  end)

  it("is told with the nearest field that exists", function()
    assert.equal(
      "flow.lua:4: task 'use': input 'value': load has no field 'cupon'\n"
        .. "help: did you mean 'coupon'? load has: coupon, items",
      message({ coupon = "x", items = {} }, "F.load.cupon")
    )
  end)

  it("names the step of the path that failed", function()
    assert.equal(
      "flow.lua:4: task 'use': input 'value': load.items[1] has no field 'price'\n"
        .. "help: load.items[1] has: sku",
      message({ items = { { sku = "mug" } } }, "F.load.items[1].price")
    )
  end)

  it("of a list says its length", function()
    assert.equal(
      "flow.lua:4: task 'use': input 'value': load has no entry 3\n"
        .. "help: load is a list of 2 entries",
      message({ "a", "b" }, "F.load[3]")
    )
    assert.equal(
      "flow.lua:4: task 'use': input 'value': load.items has no entry 2\n"
        .. "help: load.items is a list of 1 entry",
      message({ items = { "a" } }, "F.load.items[2]")
    )
  end)

  it("of a table that was asked as a list says which fields there are", function()
    assert.equal(
      "flow.lua:4: task 'use': input 'value': load has no entry 1\n"
        .. "help: load has: coupon, items",
      message({ coupon = "x", items = {} }, "F.load[1]")
    )
  end)

  it("of a list that was asked for a name says its length", function()
    assert.equal(
      "flow.lua:4: task 'use': input 'value': load has no field 'sku'\n"
        .. "help: load is a list of 2 entries",
      message({ "a", "b" }, "F.load.sku")
    )
  end)

  it("of an empty table says that it is empty", function()
    assert.equal(
      "flow.lua:4: task 'use': input 'value': load has no field 'sku'\n"
        .. "help: load is an empty table",
      message({}, "F.load.sku")
    )
  end)

  it("shows ten fields at most", function()
    local result = {}
    for i = 10, 25 do
      result["field" .. i] = i
    end
    assert.equal(
      "flow.lua:4: task 'use': input 'value': load has no field 'nothing_like_it'\n"
        .. "help: load has: field10, field11, field12, field13, field14, field15, field16, "
        .. "field17, field18, field19 and 6 more",
      message(result, "F.load.nothing_like_it")
    )
  end)

  it("shows strange names of fields escaped", function()
    assert.equal(
      "flow.lua:4: task 'use': input 'value': load has no field 'other'\n"
        .. "help: load has: a\\x1B[31mb",
      message({ ["a\27[31mb"] = 1 }, "F.load.other")
    )
  end)

  it("names an entry of a list of inputs by its number", function()
    local report = flow
      .load([[
task("load", function() return { id = 1 } end)
task("use", {
  inputs = { 1, F.load.name },
  run = function(first, second) return { first, second } end,
})
]])
      :run()
    assert.equal(
      "flow.lua:3: task 'use': input 2: load has no field 'name'\nhelp: load has: id",
      report:task("use").error_message
    )
  end)

  it("in a table with references names the field", function()
    assert.equal(
      "flow.lua:4: task 'use': input 'value': load has no field 'name'\nhelp: load has: id",
      message({ id = 1 }, "{ a = { F.load.name } }")
    )
  end)

  it("that an output pushes is charged to the task it goes to, at its own line", function()
    local report = flow
      .load([[
task("use", {
  run = function(name) return name end,
})
task("load", {
  outputs = {
    T("use", "name", "name"),
  },
  run = function() return { id = 1 } end,
})
]])
      :run()
    assert.same({ load = "completed", use = "failed" }, flow.statuses(report))
    assert.equal(
      "flow.lua:6: task 'use': input 'name': load has no field 'name'\nhelp: load has: id",
      report:task("use").error_message
    )
  end)
end)

describe("a field of what has none", function()
  it("is told for a whole result that is nil", function()
    assert.equal(
      "flow.lua:4: task 'use': input 'value': load is nil, which has no field 'id'\n"
        .. "help: return a table from task 'load'",
      message(nil, "F.load.id")
    )
  end)

  it("is told for a string, although Lua could index it", function()
    assert.equal(
      "flow.lua:4: task 'use': input 'value': load is a string, which has no field 'upper'\n"
        .. "help: return a table from task 'load'",
      message("text", "F.load.upper")
    )
  end)

  it("is told for a value inside the result", function()
    assert.equal(
      "flow.lua:4: task 'use': input 'value': load.id is a number, which has no field 'x'\n"
        .. "help: look at what task 'load' returns",
      message({ id = 1 }, "F.load.id.x")
    )
  end)

  it("is told for false, also of an optional reference", function()
    assert.equal(
      "flow.lua:4: task 'use': input 'value': load.id is a boolean, which has no field 'x'\n"
        .. "help: look at what task 'load' returns",
      message({ id = false }, 'Ref("any?", F.load.id.x)')
    )
  end)
end)

describe("the mistake of a consumer", function()
  it("is a FieldError of its first attempt with the task's name", function()
    local failure = use({ id = 1 }, "F.load.name").error
    assert.equal("FieldError", failure.kind)
    assert.equal("use", failure.task)
    assert.equal(1, failure.attempt)
    assert.equal("flow.lua", failure.source)
    assert.equal(4, failure.line)
  end)

  it("leaves the producer complete with its result", function()
    local report = flow.load(TEXT:format "F.load.name", { id = 1 }):run()
    assert.same({ id = 1 }, report:result("load"))
    assert.equal(1, report:task("load").attempt_count)
    assert.equal(1, report.failed_tasks)
  end)

  it("is told in the error summary as a failure of the consumer", function()
    local report = flow.load(TEXT:format "F.load.name", { id = 1 }):run()
    local text = "flow.lua:4: task 'use': input 'value': load has no field 'name'\n"
      .. "help: load has: id"
    assert.same({
      "Execution interrupted; task 'use' failed: " .. text,
      "Final task 'use' failed: " .. text,
    }, report.error_summary)
  end)
end)

describe("a wrong type", function()
  local cases = {
    { "integer", "x", "string" },
    { "integer", 1.5, "a float" },
    { "integer", 2.0, "a float" },
    { "number", "1", "string" },
    { "string", 1, "number" },
    { "boolean", 0, "number" },
    { "table", "x", "string" },
    { "list", { a = 1 }, "a table with other keys" },
    { "list", { 1, nil, 3 }, "a table with other keys" },
    { "list", { 1, nil, 3, n = 2 }, "a table with other keys" },
    { "list", { 1, n = 1, x = 1 }, "a table with other keys" },
    { "list", "x", "string" },
    { "function", {}, "table" },
    { "integer?", "x", "string" },
  }
  for _, case in ipairs(cases) do
    local wanted, value, found = case[1], case[2], case[3]
    it(("is told for %s where %s is wanted"):format(found, wanted), function()
      local entry = use({ id = value }, ('Ref("%s", F.load.id)'):format(wanted))
      assert.equal(
        ("flow.lua:4: task 'use': input 'value' wants %s, load.id is %s"):format(
          wanted:gsub("%?", ""),
          found
        ),
        entry.error_message
      )
      assert.equal("TypeMatchError", entry.error.kind)
    end)
  end

  it("is told for a whole result that is nil, with the way to allow it", function()
    assert.equal(
      "flow.lua:4: task 'use': input 'value' wants any, load is nil\n"
        .. 'help: write "any?" to allow nil',
      message(nil, 'Ref("any", F.load)')
    )
  end)

  it("of a handle is told at the declaration, not at that of the handle", function()
    local report = flow
      .load([[
local load_order = task("load_order", function() return "x" end)
task("use", {
  inputs = {
    order = Ref("table", load_order),
  },
  run = function(order) return order end,
})
]])
      :run()
    assert.equal(
      "flow.lua:2: task 'use': input 'order' wants table, load_order is string",
      report:task("use").error_message
    )
  end)

  it("is told for a missing field as a missing field", function()
    assert.equal(
      "flow.lua:4: task 'use': input 'value': load has no field 'count'\nhelp: load has: id",
      message({ id = 1 }, 'Ref("integer", F.load.count)')
    )
  end)
end)

describe("a predicate that refuses a value", function()
  it("is told with its reason", function()
    local entry = use({ id = 4 }, 'Ref(function(v) return v > 5, "too small" end, F.load.id)')
    assert.equal(
      "flow.lua:4: task 'use': input 'value': load.id is refused by the check of its Ref: "
        .. "too small",
      entry.error_message
    )
    assert.equal("TypeMatchError", entry.error.kind)
  end)

  it("is told without a reason", function()
    assert.equal(
      "flow.lua:4: task 'use': input 'value': load.id is refused by the check of its Ref",
      message({ id = 4 }, "Ref(function(v) return v > 5 end, F.load.id)")
    )
  end)

  it("fails the task with what it raises", function()
    local entry = use({ id = 4 }, 'Ref(function(v) error("broken check", 0) end, F.load.id)')
    assert.equal("broken check", entry.error_message)
    assert.equal("TaskFailedError", entry.error.kind)
  end)

  it("is not asked for the nil that a `?` type or a default allows", function()
    local report = flow
      .load([[
task("load", function() return {} end)
task("use", {
  inputs = { value = Ref(function(v) return v > 5 end, F.load.id, { default = 1 }) },
  run = function(value) return value end,
})
]])
      :run()
    assert.equal(1, report:result("use"))
  end)
end)

describe("a predicate that waits", function()
  local WAITS <const> = "Ref(function(v) sleep(0) return v == given, 'no' end, F.load.id)"

  local function waits(given)
    return flow
      .load([[
task("load", function() return { id = 4 } end)
task "use" {
  inputs = { before = F.load.id, value = ]] .. WAITS .. [[, after = "after" },
  run = function(before, value, after) return { before, value, after } end,
}
]], given)
      :run()
  end

  it("lets its value and the other inputs through", function()
    assert.same({ 4, 4, "after" }, waits(4):result("use"))
  end)

  it("refuses a value as any other", function()
    local entry = waits(5):task("use")
    assert.equal("TypeMatchError", entry.error.kind)
    assert.equal(1, entry.attempt_count)
    assert.equal(
      "flow.lua:3: task 'use': input 'value': load.id is refused by the check of its Ref: no",
      entry.error_message
    )
  end)
end)

describe("what cannot wait while inputs are resolved", function()
  it("is the __index of a result", function()
    local result = setmetatable({}, {
      __index = function()
        require("astrum").sleep(0)
        return 1
      end,
    })
    assert.is_truthy(message(result, "F.load.id"):find("sleep: cannot wait here", 1, true))
  end)
end)
