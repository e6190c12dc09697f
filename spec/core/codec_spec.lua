local core = require "astrum.core"

-- The copies of the values, with their number first.
local function copy(...)
  return core.decode(assert(core.encode("result", ...)))
end

describe("core.encode and core.decode", function()
  it("copy data with the number of values first", function()
    local shared = { "x" }
    local n, first, second, third = copy({ v = 5, a = shared, b = shared }, nil, nil)
    assert.equal(3, n)
    assert.same({ v = 5, a = { "x" }, b = { "x" } }, first)
    assert.equal(first.a, first.b)
    assert.not_equal(shared, first.a)
    assert.is_nil(second)
    assert.is_nil(third)
  end)

  it("keep the kind of a number", function()
    local _, whole, float = copy(3, 3.0)
    assert.equal("integer", math.type(whole))
    assert.equal("float", math.type(float))
  end)

  it("call no metamethod of strings and read no global", function()
    local n, text = copy "text"
    assert.same({ 1, "text" }, { n, text })
  end)

  it("tell which value does not travel", function()
    local bytes, message = core.encode("result", { a = { 1, 2, { f = print } } })
    assert.is_nil(bytes)
    assert.equal("result.a[3].f is a function", message)
  end)

  it("refuse an object with a metatable", function()
    local _, message = core.encode("value", { when = setmetatable({}, {}) })
    assert.equal("value.when is a table with a metatable", message)
  end)

  it("tell that bytes are damaged", function()
    local bytes = core.encode("result", "a text")
    local n, message = core.decode(bytes:sub(1, -2))
    assert.is_nil(n)
    assert.equal("the bytes are damaged at 11: they end too early", message)
  end)

  it("tell that bytes are no values", function()
    local n, message = core.decode "return os.exit()"
    assert.is_nil(n)
    assert.equal("the bytes are no values that astrum has written", message)
  end)

  it("read no functions, not even packed ones", function()
    local n, message = core.decode(assert(core.pack_function(print)))
    assert.is_nil(n)
    assert.equal("the bytes are no values that astrum has written", message)
  end)
end)
