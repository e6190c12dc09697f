-- AstrumConfig: the settings of a build and its runs. Every setting works or is refused.
local core = require "astrum.core"
local errors = require "astrum.error"
local options = require "astrum.options"
local policies = require "astrum.policy"
local ref = require "astrum.ref"
local suggest = require "astrum.suggest"

core.own()

local M = {}

local NAME <const> = "AstrumConfig"

local known = options.known {
  "skip_type_check",
  "visualize",
  "silence",
  "silence_warnings",
  "strict_topology",
  "concurrency_limit",
  "ignore_tail_task",
  "failure_mode",
  "keep_results",
  "defaults",
  "deadline",
  "pools",
  "max_total_attempts",
  "cancel_grace",
  "on_event",
  "around",
  "seed",
  "workers",
}

-- Settings of Astrum that mean nothing here.
local refused <const> = {
  infer_via_ast = "Lua functions declare no types to infer; use Ref(type, F.task.field)",
  allow_no_dir_definition = "an input always names its source, so it is always refused",
  has_data_path = "an input always says where its value comes from, so there is nothing to choose",
  auto_sync_dependencies = "a reference is always a dependency too, so it is always on",
}

-- What settings are called elsewhere.
local OTHER_NAMES <const> = {
  concurrency = "concurrency_limit",
  fail_fast = "failure_mode",
  jobs = "concurrency_limit",
  keep_going = "failure_mode",
  max_concurrency = "concurrency_limit",
  max_parallel = "concurrency_limit",
  parallelism = "concurrency_limit",
  random_seed = "seed",
  threads = "workers",
  timeout = "deadline",
}

local defaults <const> = {
  skip_type_check = false,
  visualize = false,
  silence = true,
  silence_warnings = false,
  strict_topology = false,
  failure_mode = "fail_fast",
}

---@class astrum.Config
---@field skip_type_check boolean
---@field visualize boolean
---@field silence boolean
---@field silence_warnings boolean
---@field strict_topology boolean
---@field concurrency_limit integer?
---@field ignore_tail_task string[]
---@field failure_mode "fail_fast"|"keep_going"
---@field keep_results "all"|"targets"|string[]|nil which results the report keeps beside sensitive
---ones and those that no task waits for, "all" when left out; any other is freed when the last task
---that waits for it has completed
---@field defaults astrum.TaskDefaults? for tasks that do not say otherwise
---@field deadline number? seconds that a run may take; then it ends as failed
---@field pools table<string, integer|astrum.PoolOptions>? slots, or slots and rate, by name
---@field max_total_attempts integer? of all tasks together, retries and runs inside included
---@field cancel_grace number? seconds between TERM and KILL, 5 by default
---@field on_event function? is called with each event of a run
---@field around function? wraps all bodies: around(ctx, run)
---@field seed integer? of the jitter between retries
---@field workers integer? threads for executor = "thread", one for each core by default

---Options of tasks that have none of their own. Times are seconds.
---@class astrum.TaskDefaults
---@field retry integer|astrum.RetryOptions|nil
---@field timeout number?
---@field idle_timeout number?
---@field priority integer?
---@field executor "loop"|"thread"|"process"|nil
---@field cancel_grace number?

---A pool: at least one of the two.
---@class astrum.PoolOptions
---@field slots integer? units that may be taken at once
---@field rate table? { 10, per = 1 }: at most 10 starts within any second

---What a configuration means for builds and runs; times are ns.
---@class astrum.Settings
---@field defaults astrum.DeclaredPolicy
---@field deadline integer?
---@field pools table<string, astrum.PoolSettings>?
---@field max_total_attempts integer?
---@field cancel_grace integer
---@field on_event function?
---@field around function?
---@field seed integer?
---@field workers integer?

---@class astrum.PoolSettings
---@field slots integer? units that may be taken at once
---@field rate integer? attempts that may start within `per`
---@field per integer? ns

-- By configuration: what was given, and the settings.
local private = setmetatable({}, { __mode = "k" })

local show <const> = options.value_text

local function refuse(key, wanted, value, help)
  errors.raise("ConfigError", key .. " must be " .. wanted .. ", got " .. show(value), help, {
    marks = options.marks(key),
  })
end

local checks = {}

function checks.concurrency_limit(key, value)
  local limit = type(value) == "number" and math.tointeger(value)
  if not limit or limit < 1 or limit > 0xFFFFFFFF then
    refuse(key, "a positive integer", value, "leave it out for no limit")
  end
  return limit
end

function checks.failure_mode(key, value)
  if value ~= "fail_fast" and value ~= "keep_going" then
    local modes <const> = { "fail_fast", "keep_going" }
    refuse(key, "'fail_fast' or 'keep_going'", value, suggest.help(value, modes, "modes"))
  end
  return value
end

local function check_names(key, value)
  if type(value) ~= "table" or not options.is_list(value) then
    refuse(key, "a list of task names", value)
  end
  local names = {}
  for i, entry in ipairs(value) do
    names[i] = ref.task_name(entry)
    if not names[i] then
      refuse(key .. "[" .. i .. "]", "the name or the handle of a task", entry)
    end
  end
  return options.read_only(names, key)
end

checks.ignore_tail_task = check_names

function checks.keep_results(key, value)
  if value == "all" or value == "targets" then
    return value
  elseif type(value) ~= "table" then
    refuse(key, "'all', 'targets' or a list of task names", value)
  end
  return check_names(key, value)
end

local function check_boolean(key, value)
  if type(value) ~= "boolean" then
    refuse(key, "true or false", value)
  end
  return value
end

-- A copy of a setting that is a table, to be read only.
local function frozen(value, name)
  if type(value) ~= "table" then
    return value
  end
  local copy = {}
  for key, inner in pairs(value) do
    copy[key] = frozen(inner, name)
  end
  return options.read_only(copy, name)
end

-- --- settings, which are not what users read

local LARGEST <const> = 0xFFFFFFFF
local MOST_WORKERS <const> = 1024
local subject <const> = policies.of_config ""

local settings_of = { defaults = policies.defaults }

function settings_of.deadline(value)
  return policies.nanoseconds(subject, "deadline", value)
end

function settings_of.cancel_grace(value)
  return policies.nanoseconds(subject, "cancel_grace", value, true)
end

function settings_of.max_total_attempts(value)
  return policies.whole(subject, "max_total_attempts", value, 1, LARGEST)
end

function settings_of.seed(value)
  return math.type(value) == "integer" and value or refuse("seed", "an integer", value)
end

function settings_of.workers(value)
  local help <const> = "leave it out for one for each core"
  return policies.whole(subject, "workers", value, 1, MOST_WORKERS, help)
end

function settings_of.on_event(value)
  return type(value) == "function" and value
    or refuse("on_event", "a function", value, "write on_event = function(event) ... end")
end

function settings_of.around(value)
  return type(value) == "function" and value
    or refuse("around", "a function", value, "write around = function(ctx, run) ... end")
end

local pool_options = options.known { "slots", "rate" }

local function rate_of(what, pool, rate)
  local help <const> = "write rate = { 10, per = 1 } for at most 10 starts within a second"
  local whole = type(rate) == "table" and options.plain(rate) or nil
  if not whole then
    refuse(what .. ": rate", "a table of starts and seconds", rate, help)
  elseif whole[1] == nil or whole.per == nil then
    local missing = whole[1] == nil and "does not say how many starts" or "has no `per`"
    errors.raise("ConfigError", what .. ": rate " .. missing, help)
  end
  for key in pairs(whole) do
    if key ~= 1 and key ~= "per" then
      errors.raise(
        "ConfigError",
        what .. ": rate has the unknown key " .. options.key_text(key),
        help
      )
    end
  end
  local blamed = policies.of_config(what .. ": rate.")
  pool.rate = policies.whole(policies.of_config(what .. ": "), "rate[1]", whole[1], 1, LARGEST)
  pool.per = policies.nanoseconds(blamed, "per", whole.per)
end

local function pool_of(name, given)
  local what = "pool " .. errors.quote(name)
  if type(given) == "number" then
    local blamed = policies.of_config("")
    return { slots = policies.whole(blamed, what, given, 1, LARGEST) }
  elseif type(given) ~= "table" then
    refuse(what, "a number of slots or a table", given, "write db = 2, or db = { slots = 2 }")
  end
  given = options.plain(given)
  options.check(given, pool_options, what, "ConfigError")
  if given.slots == nil and given.rate == nil then
    local help = "write { slots = 5 }, { rate = { 10, per = 1 } }, or both"
    errors.raise("ConfigError", what .. " has neither slots nor a rate", help)
  end
  local pool = {}
  if given.slots ~= nil then
    local blamed = policies.of_config(what .. ": ")
    pool.slots = policies.whole(blamed, "slots", given.slots, 1, LARGEST)
  end
  if given.rate ~= nil then
    rate_of(what, pool, given.rate)
  end
  return pool
end

function settings_of.pools(value)
  if type(value) ~= "table" then
    refuse("pools", "a table of pools by name", value, "write pools = { db = 2 }")
  end
  local names, pools = {}, {}
  for name in pairs(value) do
    if type(name) ~= "string" or name == "" then
      local text = "pools: " .. options.key_text(name) .. " is no name of a pool"
      errors.raise("ConfigError", text, "write pools = { db = 2 }")
    end
    names[#names + 1] = name
  end
  table.sort(names)
  for _, name in ipairs(names) do
    pools[name] = pool_of(name, value[name])
  end
  return pools
end

local function make_settings(given)
  local settings = { defaults = policies.NONE, cancel_grace = policies.CANCEL_GRACE }
  for _, key in ipairs(known.names) do
    if settings_of[key] and given[key] ~= nil then
      settings[key] = settings_of[key](given[key])
    end
  end
  if settings.defaults.cancel_grace and given.cancel_grace ~= nil then
    local text = "cancel_grace is given twice, also in defaults"
    errors.raise("ConfigError", text, "leave one of the two out")
  end
  return settings
end

---Whether there is a setting of this name.
---@param key any
---@return boolean
function M.has(key)
  return known[key] == true
end

---Makes a configuration: checked, with defaults, read-only. Raises a ConfigError for an unknown or
---impossible setting.
---@param given table? settings; what is left out has its default
---@return astrum.Config
function M.AstrumConfig(given)
  options.want_dot(given, NAME, "ConfigError")
  if getmetatable(given) == NAME and private[given] then
    return given
  elseif given ~= nil and type(given) ~= "table" then
    refuse(NAME, "a table", given)
  end
  given = options.plain(given or {})
  for key, why in pairs(refused) do
    if given[key] ~= nil then
      errors.raise("ConfigError", NAME .. ": " .. key .. " has no meaning here: " .. why)
    end
  end
  local unknown = options.first_unknown(given, known)
  if unknown ~= nil then
    local help = policies.has_default(unknown)
      and "for all tasks that say nothing: defaults = { " .. unknown .. " = ... }"
    local text = NAME .. ": unknown option " .. options.key_text(unknown)
    help = help or options.help(unknown, known, OTHER_NAMES)
    errors.raise("ConfigError", text, help, { marks = options.marks(unknown) })
  end
  local settings = make_settings(given)
  local values = { ignore_tail_task = options.read_only({}, "ignore_tail_task") }
  for _, key in ipairs(known.names) do
    local value = given[key]
    if value == nil then
      values[key] = values[key] or defaults[key]
    elseif settings_of[key] then
      values[key] = frozen(value, key)
    else
      values[key] = (checks[key] or check_boolean)(key, value)
    end
  end
  local config = options.read_only(values, NAME)
  private[config] = { values = values, settings = settings }
  return config
end

---What a configuration means.
---@param config astrum.Config
---@return astrum.Settings
function M.settings(config)
  return private[config].settings
end

---A configuration like another one.
---@param config astrum.Config
---@param changes table settings that are different
---@param dropped string[]? settings that are default
---@return astrum.Config
function M.derive(config, changes, dropped)
  local merged = options.plain(private[config].values)
  for _, key in ipairs(dropped or {}) do
    merged[key] = nil
  end
  for key, value in pairs(changes) do
    merged[key] = value
  end
  return M.AstrumConfig(merged)
end

return M
