local astrum = require "astrum"
local errors = require "astrum.error"
local params = require "astrum.param"
local registry = require "astrum.registry"

local param = astrum.param

local function message_of(text)
  local env = setmetatable({ param = param, params = params }, { __index = _G })
  local ok, e = pcall(assert(load(text, "=flow.lua", "t", env)))
  assert.is_false(ok, text)
  return tostring(e), e
end

-- Params as a build has them.
local function declared(list)
  local all = {}
  for _, one in ipairs(list) do
    all[one.name] = setmetatable({ used = true }, { __index = one })
  end
  return all
end

describe("a param", function()
  it("has what it was given", function()
    local given = { type = "string", default = "EU", sensitive = true, description = "where" }
    local region = param("region", given)
    assert.equal("region", region.name)
    assert.equal("string", region.type)
    assert.equal("EU", region.default)
    assert.is_true(region.sensitive)
    assert.equal("where", region.description)
  end)

  it("needs no options", function()
    assert.is_nil(param("region").type)
  end)

  it("is an input", function()
    local mine = registry.SchedulerRegistry "mine"
    local region = param("region", { sensitive = true })
    mine.task("a", {
      inputs = { where = region },
      run = function(where)
        return where
      end,
    })
    assert.same({
      parameter = "where",
      kind = "param",
      name = "region",
      param = region,
      sensitive = true,
    }, mine.index.a.inputs[1])
  end)

  local refused = {
    ["param(1)"] = "param: the name is a string, got number\n"
      .. 'help: as in astrum.param("region", { type = "string" })',
    ["param ''"] = "param: the name is empty",
    ["param 'a=b'"] = "param: the name 'a=b' has a '='",
    ["param('p', 'string')"] = "param 'p': the options are a table, got string\n"
      .. 'help: as in astrum.param("region", { type = "string" })',
    ["param('p', { typ = 'string' })"] = "param 'p': unknown option 'typ'\n"
      .. "help: did you mean 'type'?",
    ["param('p', { type = 'str' })"] = "param 'p': unknown type 'str'\n"
      .. "help: did you mean 'string'?",
    ["param('p', { type = 1 })"] = "param 'p': the type is a name or a function, got a number\n"
      .. 'help: as in astrum.param("region", { type = "string" })',
    ["param('p', { sensitive = 1 })"] = "param 'p': sensitive is true or false, got a number",
    ["param('p', { description = 1 })"] = "param 'p': description is a string, got number",
    ["param('p', { type = 'string', default = 1 })"] = "param 'p': default: string expected, "
      .. "got number",
    ["param('p', { type = 'integer', default = 1.5 })"] = "param 'p': default: integer expected, "
      .. "got a float",
    ["param('p', { type = 'list', default = { x = 1 } })"] = "param 'p': default: list expected, "
      .. "got a table that is no list",
    ["param('p', { type = function() return false, 'too cold' end, default = 1 })"] = "param 'p': "
      .. "default: too cold",
  }
  for text, expected in pairs(refused) do
    it("refuses " .. text, function()
      local message, e = message_of("local _ = " .. text)
      assert.equal("flow.lua:1: " .. expected, message)
      assert.is_true(errors.is(e, "TaskRegistrationError"))
    end)
  end

  it("is refused where its value cannot be put", function()
    local mine = registry.SchedulerRegistry "mine"
    local function declare(inputs)
      mine.task("a", { inputs = inputs, run = print })
    end
    local text = "task 'a': input 1: param 'region' is in a table; make it an input of its own"
    local ok, e = pcall(declare, { { param "region" } })
    assert.is_false(ok)
    assert.equal(text, e.text)
    ok, e = pcall(declare, { { astrum.F.x, { param "region" } } })
    assert.is_false(ok)
    assert.equal(text, e.text)
    ok, e = pcall(astrum.Ref, "string", param "region")
    assert.is_false(ok)
    assert.equal("Ref: param 'region' has a type of its own", e.text)
    assert.equal("use the param itself as the input", e.help)
  end)
end)

describe("values of params", function()
  local all = declared {
    param("region", { type = "string" }),
    param("count", { type = "integer", default = 3 }),
    param("ratio", { type = "number?" }),
    param("secret", {
      type = function(value)
        return value == "open", "not " .. tostring(value)
      end,
      sensitive = true,
      default = "open",
    }),
  }

  it("are the given ones, then those from before, then the defaults", function()
    assert.same(
      { region = "US", count = 4, secret = "open" },
      params.resolve(all, { region = "US" }, "execute", { region = "EU", count = 4 })
    )
  end)

  it("need not be there when nobody takes them", function()
    local unused = { region = setmetatable({ used = false }, { __index = all.region }) }
    assert.same({}, params.resolve(unused, nil, "execute"))
  end)

  it("have a problem when there is none, unless they are optional", function()
    assert.equal("param 'region' has no value", params.problem(all.region, nil))
    assert.is_nil(params.problem(all.count, nil))
    assert.is_nil(params.problem(all.ratio, nil))
    assert.is_nil(params.problem(all.region, "EU"))
  end)

  it("may be false", function()
    local flags = declared { param("on", { type = "boolean", default = true }) }
    assert.same({ on = false }, params.resolve(flags, { on = false }, "execute"))
  end)

  local function problem_of(given)
    local ok, e = pcall(params.resolve, all, given, "execute")
    assert.is_false(ok)
    assert.is_true(errors.is(e, "ConfigError"))
    return e
  end

  it("are told when they are missing", function()
    local e = problem_of {}
    assert.equal("execute: param 'region' has no value", e.errors[1].text)
    assert.equal("give it one: params = { region = ... }, or --set region=...", e.errors[1].help)
  end)

  it("are refused by name and type, all together", function()
    local e = problem_of { regoin = "US", region = 1, count = 1.5, ratio = "x", [1] = 2 }
    local texts = {}
    for i, mistake in ipairs(e.errors) do
      texts[i] = mistake.text .. "|" .. (mistake.help or "")
    end
    assert.same({
      "execute: unknown param 1|the params are: count, ratio, region, secret",
      "execute: param 'count': integer expected, got a float|",
      "execute: param 'ratio': number expected, got string|",
      "execute: param 'region': string expected, got number|",
      "execute: unknown param 'regoin'|did you mean 'region'?",
    }, texts)
  end)

  it("are not shown when they are sensitive", function()
    local e = problem_of { region = "US", secret = "hunter2" }
    assert.equal("execute: param 'secret': the value is refused", e.errors[1].text)
  end)

  it("must be in a table", function()
    local e = problem_of "x"
    assert.equal("execute: params is a table of values by name, got string", e.errors[1].text)
  end)
end)

describe("texts for params", function()
  local all = declared {
    param("region"),
    param("count", { type = "integer" }),
    param("ratio", { type = "number?" }),
    param("on", { type = "boolean" }),
    param("name", { type = "string" }),
    param("rows", { type = "list" }),
    param("pin", { type = "integer", sensitive = true }),
    param("short", {
      type = function(value)
        return #value < 3, "too long"
      end,
    }),
  }

  it("become values of their types", function()
    assert.same(
      {
        region = "4",
        count = 4,
        ratio = 0.5,
        on = false,
        name = "true",
        short = "ab",
      },
      params.parse(all, {
        region = "4",
        count = "4",
        ratio = "0.5",
        on = "false",
        name = "true",
        short = "ab",
      }, "--set")
    )
  end)

  local cases = {
    { "count", "4.5", "--set: param 'count': '4.5' is no integer" },
    { "count", "", "--set: param 'count': '' is no integer" },
    { "ratio", "x", "--set: param 'ratio': 'x' is no number" },
    { "ratio", "1e999", "--set: param 'ratio': '1e999' is no number" },
    { "on", "yes", "--set: param 'on': 'yes' is neither true nor false" },
    { "rows", "1,2", "--set: param 'rows': a list cannot be given as text" },
    { "pin", "x", "--set: param 'pin': the value is no integer" },
    { "short", "abc", "--set: param 'short': too long" },
    { "cuont", "1", "--set: unknown param 'cuont'" },
  }
  for _, case in ipairs(cases) do
    it("are refused: " .. case[1] .. "=" .. case[2], function()
      local ok, e = pcall(params.parse, all, { [case[1]] = case[2] }, "--set")
      assert.is_false(ok)
      assert.equal(case[3], e.errors[1].text)
      assert.equal(1, #e.errors)
    end)
  end

  it("come with help", function()
    local ok, e = pcall(params.parse, all, { rows = "1", cuont = "1" }, "--set")
    assert.is_false(ok)
    assert.equal("give it by params = { ... }", e.errors[1].help)
    assert.equal("did you mean 'count'?", e.errors[2].help)
  end)
end)
