local astrum = require "astrum"
local flow = require "spec.support.flow"

local param = astrum.param

local function registry()
  return flow.load [[
task "fetch" {
  inputs = {
    region = astrum.param("region", { type = "string" }),
    limit = astrum.param("limit", { type = "integer", default = 10 }),
    note = astrum.param("note", { type = "string?" }),
  },
  run = function(region, limit, note, ctx)
    return { region = region, limit = limit, note = note, ctx = ctx.params }
  end,
}]]
end

describe("params", function()
  it("are given by execute, with defaults for the rest", function()
    local report = registry():build_scheduler({}):execute { params = { region = "EU" } }
    local result = report:assert():result "fetch"
    assert.equal("EU", result.region)
    assert.equal(10, result.limit)
    assert.is_nil(result.note)
    assert.same({ region = "EU", limit = 10 }, result.ctx)
  end)

  it("are given by run", function()
    local report = registry():run { params = { region = "US", limit = 3, note = "x" } }
    local result = report:assert():result "fetch"
    assert.same({ region = "US", limit = 3, note = "x" }, result.ctx)
    assert.equal("x", result.note)
  end)

  it("of two runs of one scheduler are apart", function()
    local scheduler = registry():build_scheduler {}
    local one = scheduler:start { params = { region = "EU" } }
    local two = scheduler:start { params = { region = "US" } }
    assert.equal("EU", one:wait():result("fetch").region)
    assert.equal("US", two:wait():result("fetch").region)
  end)

  it("without a value are an error of execute that says how to give it", function()
    local scheduler = registry():build_scheduler {}
    local failure = flow.raised(scheduler.execute, scheduler)
    assert.equal("ConfigError", failure.kind)
    assert.is_truthy(failure.message:find("param 'region' has no value", 1, true), failure.message)
    assert.is_truthy(failure.message:find("region", 1, true))
  end)

  it("of another type are an error", function()
    local failure = flow.raised(function()
      registry():build_scheduler({}):execute { params = { region = "EU", limit = "x" } }
    end)
    assert.equal("ConfigError", failure.kind)
    assert.is_truthy(
      failure.message:find("execute: param 'limit': integer expected, got string", 1, true),
      failure.message
    )
  end)

  it("that are unknown are an error with a suggestion", function()
    local failure = flow.raised(function()
      registry():build_scheduler({}):execute { params = { region = "EU", limt = 3 } }
    end)
    assert.equal("ConfigError", failure.kind)
    assert.is_truthy(failure.message:find("limt", 1, true))
    assert.is_truthy(failure.message:find("did you mean 'limit'?", 1, true))
  end)

  it("that are wrong start nothing", function()
    local ran = false
    local scheduler = flow.build(function(task)
      task("fetch", {
        inputs = { region = param "region" },
        run = function(region)
          ran = region ~= nil or true
        end,
      })
    end)
    flow.raised(scheduler.execute, scheduler)
    assert.is_false(ran)
  end)
end)
