local pretty = require "astrum.pretty"

describe("pretty.value", function()
  it("prints simple values as Lua writes them", function()
    assert.equal("nil", pretty.value(nil))
    assert.equal("true", pretty.value(true))
    assert.equal("42", pretty.value(42))
    assert.equal("-9223372036854775808", pretty.value(math.mininteger))
  end)

  it("tells floats from integers and keeps their digits", function()
    assert.equal("1.0", pretty.value(1.0))
    assert.equal("0.1", pretty.value(0.1))
    assert.equal("0.30000000000000004", pretty.value(0.1 + 0.2))
    assert.equal("9007199254740992.0", pretty.value(2.0 ^ 53))
    assert.equal("1e+100", pretty.value(1e100))
    assert.equal("math.huge", pretty.value(math.huge))
    assert.equal("-math.huge", pretty.value(-math.huge))
    assert.equal("nan", pretty.value(0 / 0))
  end)

  it("quotes strings and shows what would disturb the terminal", function()
    assert.equal('"say \\"hi\\"\\n\\tC:\\\\"', pretty.value('say "hi"\n\tC:\\'))
    assert.equal(
      '"\\x1B[2J\\x00\\xFF\\xE2\\x80\\xAEé注"',
      pretty.value("\27[2J\0\xFF\u{202E}é注")
    )
  end)

  it("prints in plain ASCII where that is asked for", function()
    local text = pretty.value({ "注", ("x"):rep(300) }, { unicode = false })
    assert.is_nil(text:find("[^\n\x20-\x7E]"))
    assert.truthy(text:find('"\\u{6CE8}"', 1, true))
  end)

  it("cuts a long string between two characters and says how long it is", function()
    assert.equal('{ "éé…" (8 bytes) }', pretty.value({ "éééé" }, { text = 5 }))
    assert.equal('{ "abcd" }', pretty.value({ "abcd" }, { text = 4 }))
  end)

  it("shows more of a string that is the whole answer", function()
    assert.equal(3002, #pretty.value(("x"):rep(3000)))
    assert.truthy(pretty.value(("x"):rep(5000)):find('x…" %(5,000 bytes%)$'))
  end)

  it("prints small tables on one line, lists first and keys in order", function()
    assert.equal("{}", pretty.value {})
    assert.equal('{ 1, "b", false }', pretty.value { 1, "b", false })
    assert.equal(
      "{ 7, [-1] = 1, [1.5] = 2, [3] = 3, a = 4, b = 5, [false] = 6 }",
      pretty.value { 7, b = 5, a = 4, [3] = 3, [-1] = 1, [1.5] = 2, [false] = 6 }
    )
  end)

  it("brackets keys that are no names", function()
    assert.equal(
      '{ ["end"] = 1, ["two words"] = 2, [<table>] = 3 }',
      pretty.value { ["end"] = 1, ["two words"] = 2, [{}] = 3 }
    )
  end)

  it("breaks a table that is too wide into lines", function()
    local order = {
      order_id = "order-1001",
      items = { { sku = "mesh-keyboard", qty = 2 }, { sku = "flow-mouse", qty = 1 } },
    }
    assert.equal(
      [[
{
  items = {
    { qty = 2, sku = "mesh-keyboard" },
    { qty = 1, sku = "flow-mouse" },
  },
  order_id = "order-1001",
}]],
      pretty.value(order, { width = 50 })
    )
  end)

  it("uses the width exactly", function()
    local value = { name = "abc" }
    assert.equal('{ name = "abc" }', pretty.value(value, { width = 16 }))
    assert.equal('{\n  name = "abc",\n}', pretty.value(value, { width = 15 }))
  end)

  it("fills lines with the short entries of a list", function()
    local list = {}
    for number = 1, 12 do
      list[number] = number
    end
    assert.equal(
      "{\n  1, 2, 3, 4, 5, 6,\n  7, 8, 9, 10, 11,\n  12,\n}",
      pretty.value(list, { width = 20 })
    )
  end)

  it("shows 50 entries of a table and says how many are left", function()
    local list = {}
    for number = 1, 1050 do
      list[number] = true
    end
    local text = pretty.value(list)
    assert.equal(50, select(2, text:gsub("true", "")))
    assert.truthy(text:find("… 1,000 more\n}$"))
  end)

  it("lists what is in front of a hole", function()
    local value = { 1, 2, nil, 4, nil, nil, nil, 8 }
    assert.equal("{ 1, 2, [4] = 4, [8] = 8 }", pretty.value(value))
  end)

  it("counts keys that it leaves out too", function()
    assert.equal("{ 1, 2, … 2 more }", pretty.value({ 1, 2, a = 3, b = 4 }, { entries = 2 }))
    assert.equal(
      "{ 1, 2, a = 3, … 1 more }",
      pretty.value({ 1, 2, a = 3, b = 4 }, { entries = 3 })
    )
  end)

  it("stops at a depth", function()
    assert.equal("{ { {…} } }", pretty.value({ { { 1 } } }, { depth = 2 }))
    assert.equal("{ { {} } }", pretty.value({ { {} } }, { depth = 2 }))
  end)

  it("stops after a number of entries in all", function()
    local shared = { 1, 2 }
    for _ = 1, 40 do
      shared = { shared, shared }
    end
    assert.is_true(#pretty.value(shared, { depth = 50 }) < 1000000)
  end)

  it("shows cycles, and shared tables as often as they occur", function()
    local node, shared = { name = "a" }, { 1 }
    node.next = { back = node }
    assert.equal('{ name = "a", next = { back = <cycle> } }', pretty.value(node))
    assert.equal("{ { 1 }, { 1 } }", pretty.value { shared, shared })
  end)

  it("names functions by their place", function()
    local line = debug.getinfo(1, "l").currentline + 1
    local function here() end
    assert.equal(("<function spec/lua/pretty_spec.lua:%d>"):format(line), pretty.value(here))
    assert.equal("<builtin function>", pretty.value(print))
    assert.equal("<thread>", pretty.value(coroutine.create(here)))
  end)

  it("lets objects speak for themselves", function()
    local object = setmetatable({}, {
      __tostring = function()
        return "line 1\nline\t2"
      end,
    })
    assert.equal("line 1\nline\\x092", pretty.value(object))
    assert.equal("{ line 1\\x0Aline\\x092 }", pretty.value { object })
    assert.truthy(pretty.value(io.stdout):find("^file %("))
  end)

  it("puts the name of a class in front of its fields", function()
    local class = { __name = "shop.Order" }
    assert.equal("shop.Order { id = 1 }", pretty.value(setmetatable({ id = 1 }, class)))
    assert.equal("shop.Order {}", pretty.value(setmetatable({}, class)))
  end)

  it("survives objects whose metamethods fail", function()
    local function fail()
      error "never call this"
    end
    local silent = setmetatable({ 1, a = 2 }, {
      __index = fail,
      __pairs = fail,
      __len = fail,
      __eq = fail,
      __lt = fail,
      __concat = fail,
    })
    assert.equal("{ 1, a = 2 }", pretty.value(silent))
    assert.equal(
      "<table whose __tostring fails>",
      pretty.value(setmetatable({}, { __tostring = fail }))
    )
    assert.equal(
      "<table whose __tostring fails>",
      pretty.value(setmetatable({}, {
        __tostring = function()
          return {}
        end,
      }))
    )
  end)

  it("reads a table with a protected metatable raw", function()
    assert.equal("{ 1 }", pretty.value(setmetatable({ 1 }, { __metatable = "no" })))
  end)
end)

describe("pretty.value with a mask", function()
  local function mask(text)
    return (text:gsub("sécret%-value", "#"):gsub("4711", "#"))
  end

  local function shown(value, options)
    options = options or {}
    options.mask = mask
    return pretty.value(value, options)
  end

  it("masks texts, numbers and keys before it writes them in ASCII", function()
    local value = { "a sécret-value", 14711.5, ["sécret-value"] = 1, [4711] = 2 }
    local text = shown(value, { unicode = false })
    assert.equal('{ "a #", 1#.5, [#] = 2, ["#"] = 1 }', text)
  end)

  it("masks a text before it cuts it", function()
    assert.equal('{ "xx#" }', shown({ "xxsécret-value" }, { text = 5 }))
    assert.equal('{ "xxxx#…" (10 bytes) }', shown({ "xxxxsécret-valuexxxxx" }, { text = 5 }))
  end)

  it("masks what objects say of themselves before it cuts that", function()
    local object = setmetatable({}, {
      __tostring = function()
        return "xxxsécret-value"
      end,
    })
    assert.equal("{ xxx# }", shown({ object }, { text = 6 }))
    assert.equal("A# { 1 }", shown(setmetatable({ 1 }, { __name = "Asécret-value" })))
  end)

  it("shows no value of a hidden key", function()
    local inner = { pin = 12, name = "x" }
    local value = { inner, { pin = 13 } }
    local text = pretty.value(value, { hidden = { [inner] = { pin = true }, [value] = { true } } })
    assert.equal("{ [hidden], { pin = 13 } }", text)
    text = pretty.value(value, { hidden = { [inner] = { pin = true } } })
    assert.equal('{ { name = "x", pin = [hidden] }, { pin = 13 } }', text)
  end)
end)

describe("pretty.line", function()
  it("prints on one line, as deep as fits", function()
    local value = { a = { b = { c = 1 } } }
    assert.equal("{ a = { b = { c = 1 } } }", pretty.line(value, 25))
    assert.equal("{ a = { b = {…} } }", pretty.line(value, 24))
    assert.equal("{ a = {…} }", pretty.line(value, 11))
  end)

  it("cuts what does not fit", function()
    assert.equal("{ a = {…", pretty.line({ a = { b = { c = 1 } } }, 8))
  end)

  it("shows as many entries when the first try did not fit", function()
    local value = { { ("x"):rep(50) }, { ("y"):rep(50) }, 3 }
    assert.equal("{ {…}, {…}, 3 }", pretty.line(value, 20, { total = 5 }))
  end)
end)

describe("pretty.text", function()
  it("takes a string as it is", function()
    assert.equal('say "hi"\n', pretty.text 'say "hi"\n')
  end)

  it("prints anything else on one line", function()
    local wide = { a = ("x"):rep(100), b = { c = ("y"):rep(100) } }
    assert.is_nil(pretty.text(wide):find("\n", 1, true))
    assert.equal("nil", pretty.text(nil))
  end)
end)
