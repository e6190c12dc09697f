local AstrumConfig = require("astrum.config").AstrumConfig
local errors = require "astrum.error"
local F = require("astrum.ref").F

local function message_of(text)
  local env = setmetatable({ AstrumConfig = AstrumConfig, F = F }, { __index = _G })
  local ok, e = pcall(assert(load(text, "=flow.lua", "t", env)))
  assert.is_false(ok, text)
  return tostring(e), e
end

local ALL_OPTIONS <const> = "help: the options are: skip_type_check, visualize, silence, "
  .. "silence_warnings, strict_topology, concurrency_limit, ignore_tail_task, failure_mode, "
  .. "defaults, deadline, pools, max_total_attempts, cancel_grace, on_event, around, seed"

describe("AstrumConfig", function()
  it("has a default for every setting", function()
    local config = AstrumConfig()
    assert.is_false(config.skip_type_check)
    assert.is_false(config.visualize)
    assert.is_true(config.silence)
    assert.is_false(config.silence_warnings)
    assert.is_false(config.strict_topology)
    assert.is_nil(config.concurrency_limit)
    assert.equal(0, #config.ignore_tail_task)
    assert.equal("fail_fast", config.failure_mode)
  end)

  it("keeps what is given", function()
    local config = AstrumConfig {
      skip_type_check = true,
      visualize = true,
      silence = false,
      silence_warnings = true,
      strict_topology = true,
      concurrency_limit = 4,
      ignore_tail_task = { "log", F.notify },
      failure_mode = "keep_going",
    }
    assert.is_true(config.skip_type_check)
    assert.is_true(config.visualize)
    assert.is_false(config.silence)
    assert.is_true(config.silence_warnings)
    assert.is_true(config.strict_topology)
    assert.equal(4, config.concurrency_limit)
    assert.same({ "log", "notify" }, { config.ignore_tail_task[1], config.ignore_tail_task[2] })
    assert.equal("keep_going", config.failure_mode)
  end)

  it("is not changed by changing the table it was made from", function()
    local names = { "log" }
    local given = { concurrency_limit = 4, ignore_tail_task = names }
    local config = AstrumConfig(given)
    given.concurrency_limit = 8
    names[1] = "other"
    assert.equal(4, config.concurrency_limit)
    assert.equal("log", config.ignore_tail_task[1])
  end)

  it("gives a configuration back as it is", function()
    local config = AstrumConfig { visualize = true }
    assert.equal(config, AstrumConfig(config))
  end)

  it("is read-only", function()
    assert.equal(
      "flow.lua:1: AstrumConfig is read-only: 'silence' cannot be set",
      (message_of("AstrumConfig().silence = false"))
    )
    assert.equal(
      "flow.lua:1: ignore_tail_task is read-only: 1 cannot be set",
      (message_of("AstrumConfig().ignore_tail_task[1] = 'a'"))
    )
  end)

  it("can be listed with pairs", function()
    local names = {}
    for name in pairs(AstrumConfig { concurrency_limit = 1 }) do
      names[#names + 1] = name
    end
    table.sort(names)
    assert.same({
      "concurrency_limit",
      "failure_mode",
      "ignore_tail_task",
      "silence",
      "silence_warnings",
      "skip_type_check",
      "strict_topology",
      "visualize",
    }, names)
  end)

  local refused = {
    ["{ concurency_limit = 1 }"] = "AstrumConfig: unknown option 'concurency_limit'\n"
      .. "help: did you mean 'concurrency_limit'?",
    ["{ has_data_path = true }"] = "AstrumConfig: unknown option 'has_data_path'\n" .. ALL_OPTIONS,
    ["{ 4 }"] = "AstrumConfig: unknown option 1\n" .. ALL_OPTIONS,
    ["{ concurrency_limit = 0 }"] = "concurrency_limit must be a positive integer, got 0\n"
      .. "help: leave it out for no limit",
    ["{ concurrency_limit = -3 }"] = "concurrency_limit must be a positive integer, got -3\n"
      .. "help: leave it out for no limit",
    ["{ concurrency_limit = 1.5 }"] = "concurrency_limit must be a positive integer, got 1.5\n"
      .. "help: leave it out for no limit",
    ["{ concurrency_limit = '4' }"] = "concurrency_limit must be a positive integer, got '4'\n"
      .. "help: leave it out for no limit",
    ["{ visualize = 1 }"] = "visualize must be true or false, got 1",
    ["{ failure_mode = 'fail_fats' }"] = "failure_mode must be 'fail_fast' or 'keep_going', "
      .. "got 'fail_fats'\nhelp: did you mean 'fail_fast'?",
    ["{ ignore_tail_task = 'log' }"] = "ignore_tail_task must be a list of task names, got 'log'",
    ["{ ignore_tail_task = { 1 } }"] = "ignore_tail_task[1] must be the name or the handle of a "
      .. "task, got 1",
    ["3"] = "AstrumConfig must be a table, got 3",
    ["{ infer_via_ast = true }"] = "AstrumConfig: infer_via_ast has no meaning here: "
      .. "Lua functions declare no types to infer; use Ref(type, F.task.field)",
    ["{ allow_no_dir_definition = false }"] = "AstrumConfig: allow_no_dir_definition has no "
      .. "meaning here: an input always names its source, so it is always refused",
    ["{ auto_sync_dependencies = true }"] = "AstrumConfig: auto_sync_dependencies has no "
      .. "meaning here: a reference is always a dependency too, so it is always on",
  }
  for given, expected in pairs(refused) do
    it("refuses " .. given, function()
      local message, e = message_of("local _ = AstrumConfig(" .. given .. ")")
      assert.equal("flow.lua:1: " .. expected, message)
      assert.is_true(errors.is(e, "ConfigError"))
    end)
  end
end)
