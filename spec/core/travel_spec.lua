local core = require "astrum.core"
local program = require "spec.support.program"

-- Runs a chunk with the usual globals; busted gives its specs others.
local plain = load(
  [[local text = ... return assert(load(text, "=travel", "t"))(select(2, ...))]],
  "=plain",
  "t",
  _G
)

-- The copy of a function that a chunk returns, then what else it returns.
local function travel(text, ...)
  local results = table.pack(plain(text, ...))
  results[1] = assert(core.unpack_function(assert(core.pack_function(results[1]))))
  return table.unpack(results, 1, results.n)
end

local function refusal(text, ...)
  local bytes, message = core.pack_function(plain(text, ...))
  assert.is_nil(bytes)
  return message
end

describe("core.pack_function and core.unpack_function", function()
  it("copy the data of upvalues", function()
    local copy, original = travel [[
      local order = { id = 7, items = { "a", "b" } }
      return function() order.id = order.id + 1 return order end, order
    ]]
    assert.same({ id = 8, items = { "a", "b" } }, copy())
    assert.equal(7, original.id)
  end)

  it("copy an upvalue that has no value yet", function()
    local copy = travel [[
      local late
      return function(v) if v then late = v end return late end
    ]]
    assert.is_nil(copy())
    assert.equal(3, copy(3))
  end)

  it("take along Lua functions with upvalues of their own", function()
    local copy = travel [[
      local rate = 3
      local function price(n) return n * rate end
      local function total(...)
        local sum = 0
        for _, n in ipairs { ... } do sum = sum + price(n) end
        return sum
      end
      return function() return total(1, 2, 3) end
    ]]
    assert.equal(18, copy())
  end)

  it("take along functions that call themselves and each other", function()
    local copy = travel [[
      local odd
      local function even(n) if n == 0 then return true end return odd(n - 1) end
      function odd(n) if n == 0 then return false end return even(n - 1) end
      local function sum(n) return n == 0 and 0 or n + sum(n - 1) end
      return function(n) return even(n), sum(n) end
    ]]
    assert.same({ true, 55 }, { copy(10) })
  end)

  it("let functions share a variable afterwards, but not with the original", function()
    local copy, original = travel [[
      local count = 0
      local function add() count = count + 1 end
      return function() add() add() return count end, function() return count end
    ]]
    assert.equal(2, copy())
    assert.equal(4, copy())
    assert.equal(0, original())
  end)

  it("take along tables of functions that refer to their table", function()
    local copy = travel [[
      local tools = { factor = 2 }
      function tools.twice(n) return n * tools.factor end
      function tools.four_times(n) return tools.twice(tools.twice(n)) end
      return function(n) return tools.four_times(n), tools end
    ]]
    local result, tools = copy(3)
    assert.equal(12, result)
    tools.factor = 3
    assert.equal(27, tools.four_times(3))
  end)

  it("name modules and what they export", function()
    local astrum = require "astrum"
    local copy = travel(
      [[
      local astrum, sleep, F, format, byte, out, print, text = ...
      return function() return astrum, sleep, F, format, byte, out, print, text end
    ]],
      astrum,
      astrum.sleep,
      astrum.F,
      string.format,
      string.byte,
      io.stdout,
      print,
      string
    )
    local found = { copy() }
    assert.equal(astrum, found[1])
    assert.equal(astrum.sleep, found[2])
    assert.is_true(rawequal(astrum.F, found[3]))
    assert.equal(string.format, found[4])
    assert.equal(string.byte, found[5])
    assert.equal(io.stdout, found[6])
    assert.equal(print, found[7])
    assert.equal(string, found[8])
  end)

  it("keep lines and names for tracebacks", function()
    local copy = travel [[local function fail() error "no" end
      return function() local ok, why = pcall(fail) return why end]]
    assert.equal("travel:1: no", copy())
  end)

  it("pack a function that a module exports by its name", function()
    local bytes = assert(core.pack_function(string.upper))
    assert.equal(string.upper, core.unpack_function(bytes))
  end)

  it("take the exports that were listed before", function()
    local exports = core.exports()
    local bytes = assert(core.pack_function(string.upper, exports))
    assert.equal(string.upper, core.unpack_function(bytes))
    exports[string.upper] = nil
    local _, message = core.pack_function(string.upper, exports)
    assert.equal("the body is a function made by C that no loaded module exports", message)
  end)

  it("load what the other state has not loaded", function()
    local file <close> = program.file [[
      local core = require "astrum.core"
      local pretty = require "astrum.pretty"
      local suggest = require("astrum.suggest")
      local bytes = assert(core.pack_function(function() return pretty, suggest end))
      package.loaded["astrum.pretty"] = nil
      package.loaded["astrum.suggest"] = nil
      local a, b = core.unpack_function(bytes)()
      print(a ~= pretty, a == require "astrum.pretty", b == require "astrum.suggest")
    ]]
    local result = program.run { file.path }
    assert.equal("true\ttrue\ttrue\n", result.out)
  end)

  it("run in another process", function()
    local bytes = assert(core.pack_function(plain([[
      local upper, prices = string.upper, { mouse = 25 }
      local function price(name, count) return prices[name] * count end
      return function(name, count) return { name = upper(name), sum = price(name, count) } end
    ]])))
    local result = program.run({
      "-e",
      [[local core = require "astrum.core"
        local body = assert(core.unpack_function(io.read "a"))
        io.write(assert(core.encode("result", body("mouse", 3))))]],
    }, { input = bytes })
    assert.equal("", result.err)
    local _, value = core.decode(result.out)
    assert.same({ name = "MOUSE", sum = 75 }, value)
  end)

  it("tell which module cannot be loaded", function()
    package.loaded["spec.gone"] = { f = plain "return function() end" }
    local bytes = assert(
      core.pack_function(
        plain("local f = ... return function() return f end", package.loaded["spec.gone"].f)
      )
    )
    package.loaded["spec.gone"] = nil
    local fn, message = core.unpack_function(bytes)
    assert.is_nil(fn)
    assert.equal("module 'spec.gone' cannot be loaded: module 'spec.gone' not found", message)
    package.loaded["spec.gone"] = {}
    fn, message = core.unpack_function(bytes)
    package.loaded["spec.gone"] = nil
    assert.is_nil(fn)
    assert.equal("module 'spec.gone' has no field 'f' here", message)
  end)

  it("do not name what stands in no module, though it is global", function()
    local copy = plain [[
      local function helper() return 1 end
      _G.travel_spec_helper = helper
      return function() return helper() end
    ]]
    local bytes = assert(core.pack_function(copy))
    _G.travel_spec_helper = nil
    assert.equal(1, core.unpack_function(bytes)())
  end)

  it("refuse what cannot travel with the name of the upvalue", function()
    assert.equal(
      "upvalue 'db' is a userdata",
      refusal("local db = ... return function() return db end", io.tmpfile())
    )
    assert.equal(
      "upvalue 'cfg.handle' is a function made by C that no loaded module exports",
      refusal "local cfg = { handle = coroutine.wrap(print) } return function() return cfg end"
    )
    assert.equal(
      "upvalue 'jobs[2]' is a coroutine",
      refusal "local jobs = { 1, coroutine.create(print) } return function() return jobs end"
    )
    assert.equal(
      "upvalue 'point' is a table with a metatable",
      refusal "local point = setmetatable({}, {}) return function() return point end"
    )
    assert.equal(
      "a key of upvalue 'set' is a coroutine",
      refusal "local set = { [coroutine.create(print)] = 1 } return function() return set end"
    )
  end)

  it("refuse an upvalue of an upvalue with the names of both", function()
    assert.equal(
      "upvalue 'db' of upvalue 'tools.open' is a coroutine",
      refusal [[
        local db = coroutine.create(print)
        local tools = { open = function() return db end }
        return function() return tools.open() end
      ]]
    )
  end)

  it("refuse a C function that no module exports", function()
    local bytes, message = core.pack_function(coroutine.wrap(print))
    assert.is_nil(bytes)
    assert.equal("the body is a function made by C that no loaded module exports", message)
  end)

  it("refuse functions nested too deeply", function()
    assert.equal(
      "upvalue 'inner' of upvalue 'inner' of upvalue 'inner' of ... is nested too deeply: "
        .. "128 tables and functions are the most",
      refusal [[
        local function nest(n)
          if n == 0 then return function() end end
          local inner = nest(n - 1)
          return function() return inner end
        end
        return nest(150)
      ]]
    )
  end)

  it("tell that bytes are no function", function()
    local fn, message = core.unpack_function "return 1"
    assert.is_nil(fn)
    assert.equal("the bytes are no function that astrum has packed", message)
  end)

  it("tell that bytes are of another version", function()
    local bytes = assert(core.pack_function(plain "return function() end"))
    local version = core.version
    local fn, message = core.unpack_function((bytes:gsub(version:gsub("%.", "%%."), "9.9.9", 1)))
    assert.is_nil(fn)
    assert.equal("the function was packed by astrum 9.9.9, and this is astrum " .. version, message)
  end)
end)
