local hostile = require "spec.support.hostile"
local json = require "astrum.json"

local has_oracle, oracle = pcall(require, "dkjson")

-- What another reader of JSON makes of it.
local function read(text)
  if not has_oracle then
    pending("dkjson is not installed (Debian package lua-dkjson)")
  end
  local value, _, why = oracle.decode(text)
  assert.is_nil(why)
  return value
end

describe("JSON", function()
  it("has objects with their keys in the order that was asked for", function()
    local object = json.object({ "b", "a", "missing", "c" }, { a = 1, b = "x", c = true, d = 2 })
    assert.equal('{"b":"x","a":1,"c":true}', json.encode(object))
  end)

  it("has tables with sorted keys, other keys than strings in brackets behind them", function()
    local value = { b = 1, a = 2, [true] = 3, [10] = 4, [1.5] = 5 }
    assert.equal('{"a":2,"b":1,"[1.5]":5,"[10]":4,"[true]":3}', json.encode(value))
  end)

  it("has lists, with null for what is missing up to n", function()
    assert.equal("[1,2,3]", json.encode { 1, 2, 3 })
    assert.equal("[1,null,3,null]", json.encode { 1, nil, 3, n = 4 })
    assert.equal("[]", json.encode { n = 0 })
    assert.equal("{}", json.encode {})
  end)

  it("does not take a large n for the length of a list", function()
    assert.equal('{"n":1000000000,"[1]":"x"}', json.encode { "x", n = 1000000000 })
    assert.equal('{"n":-1}', json.encode { n = -1 })
  end)

  it("makes the entries of a list when it is their turn", function()
    local made = {}
    local list = json.list(3, function(position)
      made[#made + 1] = position
      return position * 10
    end)
    assert.equal("[10,20,30]", json.encode(list))
    assert.same({ 1, 2, 3 }, made)
    assert.equal("[]", json.encode(json.list(0)))
  end)

  it("is exact for integers", function()
    assert.equal("9223372036854775807", json.encode(math.maxinteger))
    assert.equal("-9223372036854775808", json.encode(math.mininteger))
    assert.equal("9007199254740993", json.encode(9007199254740993))
  end)

  it("writes floats so that they read back the same", function()
    local samples =
      { 0.1, 1 / 3, 1e300, 5e-324, -0.0, 2.0, 1795573360.2793128, 123456789012345680.0 }
    for _, number in ipairs(samples) do
      local text = json.number(number)
      assert.equal(number, tonumber(text))
      assert.equal("float", math.type(tonumber(text)))
    end
    assert.equal("2.0", json.number(2.0))
    assert.equal("0.1", json.number(0.1))
  end)

  it("has texts for the numbers that it lacks", function()
    assert.equal('["NaN","Infinity","-Infinity"]', json.encode { 0 / 0, math.huge, -math.huge })
  end)

  it("says what it cannot hold", function()
    local value = { print, io.stdout, coroutine.create(print) }
    assert.equal('["[function]","[userdata]","[thread]"]', json.encode(value))
  end)

  it("says where a table is inside itself, and shows one that is there twice", function()
    local inner = { 1 }
    local value = { inner, inner }
    value[3] = value
    assert.equal('[[1],[1],"[cycle]"]', json.encode(value))
  end)

  it("ends at 64 levels", function()
    local value = {}
    for _ = 1, 100 do
      value = { value }
    end
    local text = json.encode(value)
    assert.equal(("["):rep(64) .. '"[too deep]"' .. ("]"):rep(64), text)
  end)

  it("escapes what has a meaning and what does not show", function()
    assert.equal([["\"\\\b\f\n\r\t\u0000\u001B\u007F"]], json.text '"\\\b\f\n\r\t\0\27\127')
    assert.equal([["\u202Eabc\u2028\u0085\uFEFF"]], json.text "\u{202E}abc\u{2028}\u{85}\u{FEFF}")
  end)

  it("writes bytes that are no UTF-8 as text", function()
    assert.equal([["a\\xFFb\\xC3é"]], json.text "a\xFFb\xC3é")
    assert.equal([["\\xED\\xA0\\x80"]], json.text "\xED\xA0\x80")
  end)

  it("can have a line for each entry", function()
    local value = json.object({ "a", "b", "c", "d" }, {
      a = { 1, 2 },
      b = { x = true },
      c = {},
      d = json.list(0),
    })
    assert.equal(
      [[
{
  "a": [
    1,
    2
  ],
  "b": {
    "x": true
  },
  "c": {},
  "d": []
}]],
      json.encode(value, 2)
    )
  end)

  it("is read by another program as it was meant", function()
    local value = {
      text = 'é \u{1F680} " \\ / \n',
      list = { 1, 2.5, true, false },
      nested = { deep = { deeper = "x" } },
      large = math.maxinteger,
    }
    assert.same(value, read(json.encode(value)))
    assert.same(value, read(json.encode(value, 2)))
  end)

  it("gives back every name that is valid UTF-8", function()
    for _, name in ipairs(hostile.NAMES) do
      if utf8.len(name) then
        assert.equal(name, read(json.text(name)))
      end
      assert.is_truthy(utf8.len(json.text(name)))
      assert.is_nil(json.text(name):find("[\0-\31\127]"))
    end
  end)
end)
