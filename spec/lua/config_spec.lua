local configs = require "astrum.config"
local errors = require "astrum.error"
local F = require("astrum.ref").F

local AstrumConfig = configs.AstrumConfig

local function message_of(text)
  local env = setmetatable({ AstrumConfig = AstrumConfig, F = F }, { __index = _G })
  local ok, e = pcall(assert(load(text, "=flow.lua", "t", env)))
  assert.is_false(ok, text)
  return tostring(e), e
end

local ALL_OPTIONS <const> = "help: the options are: skip_type_check, visualize, silence, "
  .. "silence_warnings, strict_topology, concurrency_limit, ignore_tail_task, failure_mode, "
  .. "keep_results, defaults, deadline, pools, max_total_attempts, cancel_grace, on_event, "
  .. "around, seed, workers"

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
    assert.is_nil(config.defaults)
    assert.is_nil(config.deadline)
    assert.is_nil(config.pools)
    assert.is_nil(config.max_total_attempts)
    assert.is_nil(config.cancel_grace)
    assert.is_nil(config.on_event)
    assert.is_nil(config.around)
    assert.is_nil(config.seed)
    assert.same({ defaults = {}, cancel_grace = 5000000000 }, configs.settings(config))
  end)

  it("keeps limits and hooks, in seconds", function()
    local config = AstrumConfig {
      defaults = { retry = { max = 2, delay = 1 }, timeout = 3 },
      deadline = 60,
      pools = { db = 2, api = { slots = 5, rate = { 10, per = 0.5 } } },
      max_total_attempts = 100,
      cancel_grace = 0.5,
      on_event = print,
      around = type,
      seed = 7,
    }
    assert.equal(1, config.defaults.retry.delay)
    assert.equal(3, config.defaults.timeout)
    assert.equal(60, config.deadline)
    assert.equal(2, config.pools.db)
    assert.equal(10, config.pools.api.rate[1])
    assert.equal(0.5, config.pools.api.rate.per)
    assert.equal(100, config.max_total_attempts)
    assert.equal(0.5, config.cancel_grace)
    assert.equal(print, config.on_event)
    assert.equal(type, config.around)
    assert.equal(7, config.seed)
  end)

  it("gives builds and runs nanoseconds", function()
    local config = AstrumConfig {
      defaults = {
        retry = 2,
        timeout = 3,
        idle_timeout = 1,
        priority = -1,
        executor = "process",
      },
      deadline = 60,
      pools = { db = 2, api = { rate = { 10, per = 0.5 } } },
      max_total_attempts = 100,
      cancel_grace = 0,
      on_event = print,
      around = type,
      seed = -7,
      workers = 3,
    }
    assert.same({
      defaults = {
        retry = { max = 2 },
        timeout = 3000000000,
        idle_timeout = 1000000000,
        priority = -1,
        executor = "process",
      },
      deadline = 60000000000,
      pools = { db = { slots = 2 }, api = { rate = 10, per = 500000000 } },
      max_total_attempts = 100,
      cancel_grace = 0,
      on_event = print,
      around = type,
      seed = -7,
      workers = 3,
    }, configs.settings(config))
  end)

  it("may be made from settings of another one", function()
    local first = AstrumConfig { defaults = { retry = { max = 2 } }, pools = { db = 2 } }
    local second = AstrumConfig { defaults = first.defaults, pools = first.pools }
    assert.same(configs.settings(first), configs.settings(second))
  end)

  it("can be derived from another one", function()
    local first = AstrumConfig { deadline = 1, pools = { db = 2 }, ignore_tail_task = { "a" } }
    local second = configs.derive(first, { deadline = 2 }, { "pools" })
    assert.equal(2, second.deadline)
    assert.is_nil(second.pools)
    assert.equal("a", second.ignore_tail_task[1])
    assert.equal(2000000000, configs.settings(second).deadline)
  end)

  it("does not let its pools be written", function()
    assert.equal(
      "flow.lua:1: pools is read-only: 'db' cannot be set",
      (message_of("AstrumConfig({ pools = { db = 1 } }).pools.db = 2"))
    )
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
      keep_results = { "total", F.sum },
    }
    assert.is_true(config.skip_type_check)
    assert.is_true(config.visualize)
    assert.is_false(config.silence)
    assert.is_true(config.silence_warnings)
    assert.is_true(config.strict_topology)
    assert.equal(4, config.concurrency_limit)
    assert.same({ "log", "notify" }, { config.ignore_tail_task[1], config.ignore_tail_task[2] })
    assert.equal("keep_going", config.failure_mode)
    assert.same({ "total", "sum" }, { config.keep_results[1], config.keep_results[2] })
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
    ["{ has_data_path = true }"] = "AstrumConfig: has_data_path has no meaning here: "
      .. "an input always says where its value comes from, so there is nothing to choose",
    ["{ checkpoint = true }"] = "AstrumConfig: unknown option 'checkpoint'\n" .. ALL_OPTIONS,
    ["{ 4 }"] = "AstrumConfig: unknown option 1\n" .. ALL_OPTIONS,
    ["{ concurrency_limit = 0 }"] = "concurrency_limit must be a positive integer, got 0\n"
      .. "help: leave it out for no limit",
    ["{ concurrency_limit = -3 }"] = "concurrency_limit must be a positive integer, got -3\n"
      .. "help: leave it out for no limit",
    ["{ concurrency_limit = 1.5 }"] = "concurrency_limit must be a positive integer, got 1.5\n"
      .. "help: leave it out for no limit",
    ["{ concurrency_limit = '4' }"] = "concurrency_limit must be a positive integer, got '4'\n"
      .. "help: leave it out for no limit",
    ["{ defaults = 3 }"] = "defaults must be a table, got 3\nhelp: write defaults = { retry = 2 }",
    ["{ defaults = { retrys = 2 } }"] = "defaults: unknown option 'retrys'\n"
      .. "help: did you mean 'retry'?",
    ["{ defaults = { pool = 'db' } }"] = "defaults: unknown option 'pool'\n"
      .. "help: the options are: retry, timeout, idle_timeout, priority, executor, cancel_grace",
    ["{ defaults = { retry = -1 } }"] = "defaults.retry must be a non-negative integer or a "
      .. "table, got -1",
    ["{ defaults = { retry = { max = -1 } } }"] = "defaults.retry.max must be a whole number from "
      .. "0 to 4294967295, got -1",
    ["{ defaults = { timeout = 0 } }"] = "defaults.timeout must be a number of seconds above 0, "
      .. "got 0",
    ["{ defaults = { timeout = 1, idle_timeout = 2 } }"] = "defaults.idle_timeout is not shorter "
      .. "than timeout, so it never comes\nhelp: make it shorter, or leave one of them out",
    ["{ defaults = { executor = 'procces' } }"] = "defaults.executor must be 'loop', 'thread' or "
      .. "'process', got 'procces'\nhelp: did you mean 'process'?",
    ["{ defaults = { executor = 'cluster' } }"] = "defaults.executor must be 'loop', 'thread' or "
      .. "'process', got 'cluster'\nhelp: leave it out to run the body in the loop",
    ["{ defaults = { executor = 'remote' } }"] = "defaults.executor = 'remote' is not there yet\n"
      .. "help: use 'loop', 'thread' or 'process'",
    ["{ workers = 0 }"] = "workers must be a whole number from 1 to 1024, got 0\n"
      .. "help: leave it out for one for each core",
    ["{ workers = 1025 }"] = "workers must be a whole number from 1 to 1024, got 1025\n"
      .. "help: leave it out for one for each core",
    ["{ workers = 1.5 }"] = "workers must be a whole number from 1 to 1024, got 1.5\n"
      .. "help: leave it out for one for each core",
    ["{ workers = 'all' }"] = "workers must be a whole number from 1 to 1024, got 'all'\n"
      .. "help: leave it out for one for each core",
    ["{ defaults = { cancel_grace = 1 }, cancel_grace = 2 }"] = "cancel_grace is given twice, "
      .. "also in defaults\nhelp: leave one of the two out",
    ["{ deadline = 0 }"] = "deadline must be a number of seconds above 0, got 0",
    ["{ deadline = '1h' }"] = "deadline must be a number of seconds above 0, got '1h'",
    ["{ cancel_grace = -1 }"] = "cancel_grace must be a number of seconds, 0 or more, got -1",
    ["{ max_total_attempts = 0 }"] = "max_total_attempts must be a whole number from 1 to "
      .. "4294967295, got 0",
    ["{ on_event = 1 }"] = "on_event must be a function, got 1\n"
      .. "help: write on_event = function(event) ... end",
    ["{ around = 1 }"] = "around must be a function, got 1\n"
      .. "help: write around = function(ctx, run) ... end",
    ["{ seed = 1.5 }"] = "seed must be an integer, got 1.5",
    ["{ pools = 1 }"] = "pools must be a table of pools by name, got 1\n"
      .. "help: write pools = { db = 2 }",
    ["{ pools = { 'db' } }"] = "pools: 1 is no name of a pool\nhelp: write pools = { db = 2 }",
    ["{ pools = { db = 0 } }"] = "pool 'db' must be a whole number from 1 to 4294967295, got 0",
    ["{ pools = { db = 'many' } }"] = "pool 'db' must be a number of slots or a table, got "
      .. "'many'\nhelp: write db = 2, or db = { slots = 2 }",
    ["{ pools = { db = {} } }"] = "pool 'db' has neither slots nor a rate\n"
      .. "help: write { slots = 5 }, { rate = { 10, per = 1 } }, or both",
    ["{ pools = { db = { slot = 1 } } }"] = "pool 'db': unknown option 'slot'\n"
      .. "help: did you mean 'slots'?",
    ["{ pools = { db = { slots = 0 } } }"] = "pool 'db': slots must be a whole number from 1 to "
      .. "4294967295, got 0",
    ["{ pools = { db = { rate = 10 } } }"] = "pool 'db': rate must be a table of starts and "
      .. "seconds, got 10\nhelp: write rate = { 10, per = 1 } for at most 10 starts within a "
      .. "second",
    ["{ pools = { db = { rate = { 10 } } } }"] = "pool 'db': rate has no `per`\n"
      .. "help: write rate = { 10, per = 1 } for at most 10 starts within a second",
    ["{ pools = { db = { rate = { per = 1 } } } }"] = "pool 'db': rate does not say how many "
      .. "starts\nhelp: write rate = { 10, per = 1 } for at most 10 starts within a second",
    ["{ timeout = 3 }"] = "AstrumConfig: unknown option 'timeout'\n"
      .. "help: for all tasks that say nothing: defaults = { timeout = ... }",
    ["{ pools = { db = { rate = { 10, per = 1, each = 2 } } } }"] = "pool 'db': rate has the "
      .. "unknown key 'each'\nhelp: write rate = { 10, per = 1 } for at most 10 starts within a "
      .. "second",
    ["{ pools = { db = { rate = { 0, per = 1 } } } }"] = "pool 'db': rate[1] must be a whole "
      .. "number from 1 to 4294967295, got 0",
    ["{ pools = { db = { rate = { 1, per = 0 } } } }"] = "pool 'db': rate.per must be a number of "
      .. "seconds above 0, got 0",
    ["{ visualize = 1 }"] = "visualize must be true or false, got 1",
    ["{ failure_mode = 'fail_fats' }"] = "failure_mode must be 'fail_fast' or 'keep_going', "
      .. "got 'fail_fats'\nhelp: did you mean 'fail_fast'?",
    ["{ ignore_tail_task = 'log' }"] = "ignore_tail_task must be a list of task names, got 'log'",
    ["{ ignore_tail_task = { 1 } }"] = "ignore_tail_task[1] must be the name or the handle of a "
      .. "task, got 1",
    ["{ keep_results = 'load' }"] = "keep_results must be 'all', 'targets' or a list of task "
      .. "names, got 'load'",
    ["{ keep_results = { 1 } }"] = "keep_results[1] must be the name or the handle of a task, "
      .. "got 1",
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
