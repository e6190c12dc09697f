-- luacheck: no unused args
local core = require "astrum.core"
local errors = require "astrum.error"

describe("error objects", function()
  it("print as their message", function()
    assert.equal("boom", tostring(errors.new("TaskFailedError", "boom")))
  end)

  it("keep the fields that they are made with", function()
    local cause = {}
    local e = errors.new("TaskFailedError", "boom", { task = "a", attempt = 2, cause = cause })
    assert.equal("a", e.task)
    assert.equal(2, e.attempt)
    assert.equal(cause, e.cause)
  end)

  it("are of their own kind", function()
    assert.is_true(errors.is(errors.new("FieldError", "x"), "FieldError"))
  end)

  it("are of the kind above their own", function()
    assert.is_true(errors.is(errors.new("ConfigError", "x"), "SchedulerError"))
  end)

  it("are of no other kind", function()
    assert.is_false(errors.is(errors.new("FieldError", "x"), "ConfigError"))
    assert.is_false(errors.is(errors.new("SchedulerError", "x"), "ConfigError"))
  end)

  it("can be told from other values", function()
    for _, value in ipairs { "text", 1, {}, print, setmetatable({}, { __metatable = "locked" }) } do
      assert.is_false(errors.is(value, "SchedulerError"))
      assert.is_false(errors.is_error(value))
    end
    assert.is_false(errors.is(nil, "SchedulerError"))
  end)

  it("cannot be asked for a kind that does not exist", function()
    local ok, message = pcall(errors.is, nil, "TaskFialedError")
    assert.is_false(ok)
    assert.equal("'TaskFialedError' is not a kind of error", message)
  end)

  it("begin with the place and end with the help", function()
    local e = errors.at("ConfigError", "flow.lua", 7, "it is wrong", "do it right")
    assert.equal("flow.lua:7: it is wrong\nhelp: do it right", e.message)
    assert.equal("it is wrong", e.text)
    assert.equal("do it right", e.help)
    assert.equal("flow.lua", e.source)
    assert.equal(7, e.line)
  end)

  it("leave the place out where none is known", function()
    assert.equal("lost", errors.at("ConfigError", "?", -1, "lost").message)
  end)

  it("point to the line outside of the library", function()
    local chunk = assert(load("local raise = ...\nlocal x = 1\nraise()", "=flow.lua"))
    local ok, e = pcall(chunk, function()
      errors.raise("ConfigError", "no")
    end)
    assert.is_false(ok)
    assert.truthy(e.message:find("error_spec.lua:%d+: no$"))
    ok, e = pcall(
      assert(load("local raise = ...\nraise('ConfigError', 'no') return 1", "=flow.lua")),
      errors.raise
    )
    assert.is_false(ok)
    assert.equal("flow.lua:2: no", e.message)
  end)
end)

describe("a build error", function()
  local function mistakes(count, kind)
    local list = {}
    for i = 1, count do
      list[i] = errors.at(kind or "ConfigError", "flow.lua", i, "mistake " .. i)
    end
    return list
  end

  it("has each mistake in a paragraph of its own", function()
    local e = errors.combine(mistakes(2))
    assert.equal("flow.lua:1: mistake 1\n\nflow.lua:2: mistake 2", e.message)
  end)

  it("is of every kind among its mistakes", function()
    local list = mistakes(1, "ConfigError")
    list[2] = errors.at("TaskOrderLoopError", "flow.lua", 2, "loop")
    local e = errors.combine(list)
    assert.is_true(errors.is(e, "ConfigError"))
    assert.is_true(errors.is(e, "TaskOrderLoopError"))
    assert.is_true(errors.is(e, "SchedulerError"))
    assert.is_false(errors.is(e, "FieldError"))
  end)

  it("has the kind of its mistakes when they are of one", function()
    assert.equal("ConfigError", errors.combine(mistakes(2)).kind)
  end)

  it("shows one of many that tasks of one line have in common, and names the tasks", function()
    local list = mistakes(1)
    for i = 1, 6 do
      local text = ("task 't%d': input 'v' reads from unknown task 'x%d'"):format(i, i)
      list[#list + 1] = errors.at("TaskNotFoundError", "flow.lua", 9, text, "declare it", {
        task = "t" .. i,
      })
    end
    local e = errors.combine(list)
    assert.equal(
      "flow.lua:1: mistake 1\n\n"
        .. "flow.lua:9: task 't1': input 'v' reads from unknown task 'x1'\n"
        .. "help: declare it\n"
        .. "likewise for 5 more tasks declared there: 't2', 't3', 't4' and 2 others",
      e.message
    )
    assert.equal(7, #e.errors)
  end)

  it("shows the first fifty of many mistakes and keeps all", function()
    local e = errors.combine(mistakes(53))
    assert.truthy(e.message:find("mistake 50\n\n3 more mistakes are in the error's `errors`$"))
    assert.equal(53, #e.errors)
  end)
end)

describe("names in messages", function()
  it("stand between quotes", function()
    assert.equal("'load order'", errors.quote("load order"))
  end)

  it("keep text in other scripts", function()
    assert.equal("'überprüfen 検査'", errors.quote("überprüfen 検査"))
  end)

  it("cannot send commands to a terminal", function()
    assert.equal("'a\\x1B[31m'", errors.quote("a\27[31m"))
    assert.equal("'\\xC2\\x9B'", errors.quote("\u{9b}"))
    assert.equal("'\\xFFz'", errors.quote("\xffz"))
  end)

  it("are listed in brackets", function()
    assert.equal("['a', 'b']", errors.list { "a", "b" })
    assert.equal("[]", errors.list {})
  end)
end)

describe("core.parameters", function()
  it("tells the names of a Lua function in order", function()
    local names, count, is_vararg, what = core.parameters(function(a, b) end)
    assert.same({ "a", "b", n = 2 }, names)
    assert.same({ 2, false, "Lua" }, { count, is_vararg, what })
  end)

  it("tells no names of a stripped function", function()
    local stripped = load(string.dump(function(a) end, true))
    local names, count = core.parameters(stripped)
    assert.is_nil(names)
    assert.equal(1, count)
  end)

  it("tells a C function", function()
    local names, count, is_vararg, what = core.parameters(string.format)
    assert.same({ n = 0 }, names)
    assert.same({ 0, true, "C" }, { count, is_vararg, what })
  end)

  it("refuses what is no function", function()
    assert.has_error(function()
      core.parameters {}
    end, "bad argument #1 to 'parameters' (function expected, got table)")
  end)
end)
