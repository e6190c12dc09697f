-- The types in astrum.meta.lua against what is there.

package.path = "scripts/?.lua;" .. package.path
local annotations = require "annotations"
local astrum = require "astrum"

local PATH <const> = "lua/astrum/astrum.meta.lua"
local meta = annotations.read(PATH)

local function field_names(class)
  local names = {}
  for _, field in ipairs(meta.classes[class].fields) do
    names[#names + 1] = field:match("^([%w_]+)%??%s")
  end
  table.sort(names)
  return names
end

-- The names that the help of an error lists.
local function listed(text, pattern)
  local names = {}
  for name in text:match(pattern):gmatch("[%w_]+") do
    names[#names + 1] = name
  end
  table.sort(names)
  return names
end

local function error_of(fn, ...)
  local ok, e = pcall(fn, ...)
  assert.is_false(ok)
  return tostring(e)
end

describe("astrum.meta.lua", function()
  after_each(function()
    astrum.clear_registry()
  end)

  it("is Lua that can be loaded", function()
    local core = assert(loadfile(PATH))()
    assert.equal("table", type(core))
  end)

  it("declares functions that the C module has, and that are public", function()
    local core = require "astrum.core"
    assert.equal(6, #meta.functions)
    for _, comment in ipairs(meta.functions) do
      assert.equal("function", type(core[comment.name]), comment.name)
      assert.equal(core[comment.name], astrum[comment.name], comment.name)
    end
  end)

  it("declares every public function that comes from the C module", function()
    local declared = {}
    for _, comment in ipairs(meta.functions) do
      declared[comment.name] = true
    end
    for name, value in pairs(astrum) do
      if type(value) == "function" and debug.getinfo(value, "S").what == "C" then
        assert.is_true(declared[name], name)
      end
    end
  end)

  it("gives the parameters of each function, the first of which must be there", function()
    for _, comment in ipairs(meta.functions) do
      local takes_none = #comment.parameters == 0
      assert.equal(takes_none, (pcall(astrum[comment.name])), comment.name)
    end
  end)

  it("has the fields of astrum that it types", function()
    for _, name in ipairs(field_names("astrum")) do
      assert.is_not_nil(astrum[name], name)
    end
  end)

  it("has the options of a task", function()
    local text = error_of(astrum.task, "a", { zzzzzzzzzzzz = 1 })
    assert.same(listed(text, "options are: (.*)$"), field_names("astrum.TaskSpec"))
  end)

  it("has the options of a build", function()
    local text = error_of(astrum.build_scheduler, { zzzzzzzzzzzzzzzz = 1 })
    assert.same(listed(text, "options are: (.*)$"), field_names("astrum.BuildOptions"))
  end)

  it("has the options of spawn", function()
    local text = error_of(astrum.spawn, { zzzz = 1 })
    assert.same(listed(text, "it takes (.*)$"), field_names("astrum.SpawnOptions"))
  end)

  it("has the fields of ctx", function()
    astrum.task("a", function(ctx)
      return error_of(function()
        return ctx.zzzz
      end)
    end)
    local text = astrum.run():assert():result("a")
    local list = text:match("it has (.*)$"):gsub("%b()", "")
    assert.same(listed(list, ".*"), field_names("astrum.Context"))
  end)

  it("has the types of Ref", function()
    local text = error_of(astrum.Ref, "zzzzzzzzzz", astrum.F.a)
    local source = assert(io.open(PATH)):read("a")
    local alias = source:match("@alias astrum.Type\n(.-)\n\n")
    for _, name in ipairs(listed(text, "types are: (.*)$")) do
      assert.is_truthy(alias:find('"' .. name .. '"', 1, true), name)
      assert.is_truthy(alias:find('"' .. name .. '?"', 1, true), name)
    end
  end)
end)
