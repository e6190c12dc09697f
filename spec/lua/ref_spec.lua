local core = require "astrum.core"
local errors = require "astrum.error"
local ref = require "astrum.ref"

local F, Ref, T = ref.F, ref.Ref, ref.T

-- Runs text as the file flow.lua; returns what pcall does.
local function flow(text)
  local env = setmetatable({ F = F, Ref = Ref, T = T }, { __index = _G })
  return pcall(assert(load(text, "=flow.lua", "t", env)))
end

local function message_of(text)
  local ok, e = flow(text)
  assert.is_false(ok, text)
  return tostring(e)
end

local function path_of(reference)
  local name, path = core.reference(reference)
  return name, path
end

describe("a reference", function()
  it("is written in many ways that are equal", function()
    local handle = core.new_handle("t", {}, "flow.lua", 1)
    local spellings = {
      F.t.f[1].g,
      F("t", "f", 1, "g"),
      F "t.f[1].g",
      F(handle, "f", 1, "g"),
      handle.f[1].g,
      F(F.t.f, 1).g,
      F["t"]["f"][1.0]["g"],
    }
    for _, reference in ipairs(spellings) do
      local name, path = path_of(reference)
      assert.equal("t", name)
      assert.same({ "f", 1, "g", n = 3 }, path)
      assert.equal("F.t.f[1].g", tostring(reference))
      assert.is_true(reference == F.t.f[1].g)
    end
  end)

  it("differs from one to another task, field, depth or registry", function()
    local reference = F.t.f[1]
    for _, other in ipairs { F.u.f[1], F.t.g[1], F.t.f[2], F.t.f["1"], F.t.f, F.t.f[1].g, F } do
      assert.is_true(reference ~= other, tostring(other))
    end
    local mine, theirs = core.new_handle("t", {}, "a.lua", 1), core.new_handle("t", {}, "a.lua", 1)
    assert.is_true(mine.f ~= theirs.f)
    assert.is_true(mine.f == F.t.f and theirs.f == F.t.f)
    assert.is_true(reference ~= "F.t.f[1]" and reference ~= io.stdout)
  end)

  it("to a whole result has no path", function()
    for _, reference in ipairs { F.t, F "t", F("t"), F(F.t) } do
      local name, path = path_of(reference)
      assert.equal("t", name)
      assert.same({ n = 0 }, path)
    end
  end)

  it("takes keys literally when there are several arguments", function()
    local name, path = path_of(F("a.b", "deep.x"))
    assert.equal("a.b", name)
    assert.same({ "deep.x", n = 1 }, path)
    assert.equal('F["a.b"]["deep.x"]', tostring(F["a.b"]["deep.x"]))
  end)

  it("may have any field name", function()
    for _, name in ipairs { "name", "retry", "run", "end", "n", "__index", "", "a\0b" } do
      local _, path = path_of(F.t[name])
      assert.equal(name, path[1])
    end
  end)

  it("is written with brackets where Lua needs them", function()
    assert.equal('F.t["end"]["a b"]["1x"]._x1', tostring(F.t["end"]["a b"]["1x"]._x1))
    assert.equal('F.t["\\"\\\\\\010"]', tostring(F.t['"\\\n']))
  end)

  it("remembers its own line", function()
    local _, reference = flow("local r = F.t\nr =\n  r.f\nreturn r")
    local _, _, source, line = core.reference(reference)
    assert.equal("flow.lua", source)
    assert.equal(3, line)
  end)

  it("remembers the owner of the handle it comes from", function()
    local owner = {}
    local handle = core.new_handle("t", owner, "flow.lua", 1)
    assert.equal(owner, (select(5, core.reference(handle.a[1]))))
    assert.equal(owner, (select(5, core.reference(F(handle, "a")))))
    assert.is_nil((select(5, core.reference(F.t.a))))
  end)

  it("is told from other values", function()
    assert.is_true(core.is_reference(F.t))
    for _, value in ipairs { F, "t", {}, io.stdout, 1 } do
      assert.is_false(core.is_reference(value))
    end
    assert.is_false(core.is_reference(nil))
  end)

  it("may be very deep", function()
    local reference = F.t
    for _ = 1, 100000 do
      reference = reference.next
    end
    local _, path = path_of(reference)
    assert.equal(100000, path.n)
  end)
end)

describe("using a reference as a value", function()
  local uses = {
    ["concatenating"] = 'return F.a.b[1] .. "x"',
    ["concatenating from the right"] = 'return "x" .. F.a.b[1]',
    ["taking its length"] = "return #F.a.b[1]",
    ["adding"] = "return F.a.b[1] + 1",
    ["dividing a number by it"] = "return 1 // F.a.b[1]",
    ["negating"] = "return -F.a.b[1]",
    ["shifting"] = "return F.a.b[1] << 1",
    ["comparing with <"] = "return F.a.b[1] < 1",
    ["comparing with <="] = "return 1 <= F.a.b[1]",
    ["pairs"] = "for _ in pairs(F.a.b[1]) do end",
    ["ipairs"] = "for _ in ipairs(F.a.b[1]) do end",
    ["table.unpack"] = "local x = table.unpack(F.a.b[1]) return x",
    ["table.concat"] = "local x = table.concat(F.a.b[1]) return x",
    ["assigning"] = "F.a.b[1] = 2",
  }
  for what, text in pairs(uses) do
    it("fails for " .. what, function()
      local expected = "flow.lua:1: F.a.b[1] is a reference; its value exists only inside run\n"
        .. "help: list it in inputs, and use the parameter of run"
      assert.equal(expected, message_of(text))
    end)
  end

  it("fails for a call", function()
    assert.equal(
      "flow.lua:2: F.a is a reference and cannot be called; its value exists only inside run\n"
        .. "help: list it in inputs, and use the parameter of run",
      message_of("\nreturn (F.a 'b')")
    )
  end)

  it("fails for F itself", function()
    local expected = "flow.lua:1: F is where references begin and has no value; name a task, "
      .. "as in F.load_order"
    assert.equal(expected, message_of("return #F"))
    assert.equal(expected, message_of("return F .. ''"))
    assert.equal(
      "flow.lua:1: F.x is a reference; its value exists only inside run\n"
        .. "help: list it in inputs, and use the parameter of run",
      message_of("F.x = 1")
    )
  end)

  it("raises an error object", function()
    local _, e = flow("return F.a + 1")
    assert.is_true(errors.is(e, "TaskRegistrationError"))
  end)
end)

describe("a key that cannot be", function()
  local cases = {
    ["return F.a.b[0]"] = "F.a.b[0]: indexes start at 1",
    ["return F.a.b[-1]"] = "F.a.b[-1]: indexes start at 1",
    ["return F('a', 'b', 0)"] = "F.a.b[0]: indexes start at 1",
    ["return F.a[1.5]"] = "F.a[1.5]: an index is a whole number from 1",
    ["return F.a[true]"] = "F.a: a key is a name or an index from 1, got boolean",
    ["return F.a[nil]"] = "F.a: a key is a name or an index from 1, got nil",
    ["return F('a', nil)"] = "F.a: a key is a name or an index from 1, got nil",
    ["return F[1]"] = "F: the name of a task is a string, got number",
    ["return F({})"] = "F: the name of a task is a string, got table",
    ["return F()"] = 'F: name a task, as in F("load_order", "coupon")',
  }
  for text, expected in pairs(cases) do
    it("is refused in " .. text, function()
      assert.equal("flow.lua:1: " .. expected, message_of(text .. ", 1"))
    end)
  end
end)

describe("a path in one string", function()
  local cases = {
    [".f"] = "the name of a task is missing",
    [""] = "the name of a task is missing",
    ["t."] = "a name is missing after a dot",
    ["t..f"] = "a name is missing after a dot",
    ["t[x]"] = "brackets hold an index",
    ["t["] = "brackets hold an index",
    ["t[1"] = "brackets hold an index",
    ["t[-1]"] = "brackets hold an index",
    ["t[9999999999999999999]"] = "brackets hold an index",
    ["t[0]"] = "indexes start at 1",
    ["t[1]f"] = "a dot or a bracket is missing",
    ["t]"] = "a dot or a bracket is missing",
  }
  for path, why in pairs(cases) do
    it("is refused when it is " .. path, function()
      assert.equal(
        ('flow.lua:1: F "%s": %s; a path is written task.field[1].field'):format(path, why),
        message_of(('return F "%s", 1'):format(path))
      )
    end)
  end
end)

describe("Ref", function()
  it("joins a type, a reference and a default", function()
    local reference = F.t.f
    local checked = Ref("integer?", reference, { default = 0 })
    assert.is_true(ref.is_ref(checked))
    assert.same({ "integer?", 0 }, { checked.type, checked.default })
    assert.equal(reference, checked.reference)
  end)

  it("takes a predicate for a type", function()
    local predicate = function() end
    assert.equal(predicate, Ref(predicate, F.t).type)
  end)

  it("takes every type, with and without a question mark", function()
    local types = { "integer", "number", "string", "boolean", "table", "list", "function", "any" }
    for _, name in ipairs(types) do
      assert.equal(name, Ref(name, F.t).type)
      assert.equal(name .. "?", Ref(name .. "?", F.t).type)
    end
  end)

  it("refuses an unknown type", function()
    assert.equal(
      "flow.lua:1: Ref: unknown type 'strng'\nhelp: did you mean 'string'?",
      message_of("local _ = Ref('strng', F.t)")
    )
  end)

  it("knows what the types are called elsewhere", function()
    assert.equal(
      "flow.lua:1: Ref: unknown type 'int'\nhelp: did you mean 'integer'?",
      message_of("local _ = Ref('int', F.t)")
    )
  end)

  it("refuses a type that is neither name nor function", function()
    assert.equal(
      "flow.lua:1: Ref: the type is a name or a function, got the reference F.t\n"
        .. 'help: as in Ref("integer", F.task.field)',
      message_of("local _ = Ref(F.t)")
    )
  end)

  it("refuses what is no reference", function()
    assert.equal(
      "flow.lua:1: Ref: a reference such as F.task.field must follow the type, "
        .. "got the string 't.f'",
      message_of("local _ = Ref('integer', 't.f')")
    )
  end)

  it("refuses an unknown option", function()
    assert.equal(
      "flow.lua:1: Ref: unknown option 'defualt'\nhelp: did you mean 'default'?",
      message_of("local _ = Ref('integer', F.t, { defualt = 1 })")
    )
  end)
end)

describe("T", function()
  it("names a target, a field and a parameter", function()
    local _, push = flow("return (T('target', 'field', 'parameter'))")
    assert.is_true(ref.is_t(push))
    assert.equal("target", push.target)
    assert.same({ "field", n = 1 }, push.path)
    assert.equal("parameter", push.parameter)
    assert.same({ "flow.lua", 1 }, { push.source, push.line })
  end)

  it("takes a handle, an index, a list of keys or no field", function()
    assert.equal("t", T(F.t, "f", "p").target)
    assert.same({ 2, n = 1 }, T("t", 2, "p").path)
    assert.same({ "a", 1, "b", n = 3 }, T("t", { "a", 1, "b" }, "p").path)
    assert.same({ n = 0 }, T("t", nil, "p").path)
  end)

  it("refuses a wrong target", function()
    assert.equal(
      "flow.lua:1: T: the target is the name or the handle of a task, got the reference F.t.f\n"
        .. 'help: as in T("target", "field", "parameter")',
      message_of("local _ = T(F.t.f, 'f', 'p')")
    )
  end)

  it("refuses a wrong field", function()
    for _, field in ipairs { "0", "true", "{ 1.5 }", "{ 1, nil, 2 }", "{ a = 1 }" } do
      assert.equal(
        "flow.lua:1: T: the field is a name, an index from 1, or a list of them\n"
          .. 'help: as in T("target", "field", "parameter")',
        message_of(("local _ = T('t', %s, 'p')"):format(field))
      )
    end
  end)

  it("refuses a missing parameter", function()
    assert.equal(
      "flow.lua:1: T: the parameter is a name, got nil\n"
        .. 'help: as in T("target", "field", "parameter")',
      message_of("local _ = T('t', 'f')")
    )
  end)
end)

describe("a constant table", function()
  local function texts(references)
    local list = {}
    for i, reference in ipairs(references) do
      list[i] = tostring(reference)
    end
    table.sort(list)
    return list
  end

  it("has no references when it has none", function()
    assert.is_nil(ref.collect { 1, { "a" } })
  end)

  it("gives its references at any depth", function()
    local found = ref.collect { F.a, { deep = { F.b.x, "c" } } }
    assert.same({ "F.a", "F.b.x" }, texts(found))
  end)

  it("may be a cycle", function()
    local cyclic = { F.a }
    cyclic.self = cyclic
    assert.same({ "F.a" }, texts(ref.collect(cyclic)))
  end)

  it("is not searched below a metatable", function()
    assert.is_nil(ref.collect { setmetatable({ F.a }, {}) })
  end)

  it("may be a long list of cells when it has no references", function()
    local list
    for _ = 1, 1000 do
      list = { list }
    end
    assert.is_nil(ref.collect(list))
  end)

  it("with references may be nested 100 levels and no more", function()
    local nested = { F.a }
    for _ = 2, 100 do
      nested = { nested }
    end
    assert.equal(1, #ref.collect(nested))
    local found, problem = ref.collect { nested }
    assert.is_nil(found)
    assert.equal("a table with references is nested deeper than 100 levels", problem)
  end)

  it("cannot have a reference as a key", function()
    local _, problem = ref.collect { [F.a.b] = 1 }
    assert.equal("F.a.b is the key of a table; only values can be references", problem)
  end)

  it("cannot have F, Ref or T in it", function()
    assert.equal("F is in a table; name a task, as in F.load_order", (select(2, ref.collect { F })))
    assert.equal("Ref is in a table; use F there", (select(2, ref.collect { Ref("any", F.a) })))
    assert.equal("T is in a table; use F there", (select(2, ref.collect { T("a", "b", "c") })))
  end)
end)
