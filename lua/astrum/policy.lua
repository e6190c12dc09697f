-- How a task is carried out: retries, times, pools, triggers, maps. Checks what is declared, and
-- works out what applies in one build: a task's own option, else the default of the configuration.
-- Times become whole nanoseconds here.
local core = require "astrum.core"
local errors = require "astrum.error"
local options = require "astrum.options"
local suggest = require "astrum.suggest"

core.own()

local M = {}

local quote <const> = errors.quote
local show <const> = options.value_text

local LARGEST <const> = 0xFFFFFFFF
local LONGEST_TIME <const> = 9223372036 -- seconds: what nanoseconds of 63 bits can hold
local NONE <const> = {}

---What is true of a task that declares nothing.
M.NONE = NONE

---The longest time between TERM and KILL, ns.
M.CANCEL_GRACE = 5000000000

-- What a table of retries has when it does not say otherwise.
local RETRIES <const> = 3
local DELAY <const> = 500000000
local BACKOFF <const> = 2.0
local MAX_DELAY <const> = 128000000000

---Triggers in the order of astrum_trigger.
local TRIGGERS <const> = {
  "all_success",
  "all_done",
  "all_failed",
  "one_success",
  "one_failed",
  "none_failed",
  "none_failed_min_one_success",
  "always",
}

local trigger_numbers = {}
for i, name in ipairs(TRIGGERS) do
  trigger_numbers[name] = i - 1
end

-- Triggers that say something about a task that waits for nothing.
local free_triggers <const> = { all_success = true, all_done = true, always = true }

---Options of a task that are checked here.
M.KEYS = {
  "retry",
  "timeout",
  "idle_timeout",
  "pool",
  "pools",
  "priority",
  "trigger",
  "max_items",
  "max_concurrency",
  "on_item_failure",
  "executor",
  "cancel_grace",
}

---@class astrum.Retry
---@field max integer
---@field delay integer? ns
---@field backoff number?
---@field max_delay integer? ns
---@field jitter boolean?
---@field on fun(err: any): boolean|nil

---What a task declares of these options; all may be nil.
---@class astrum.DeclaredPolicy
---@field retry astrum.Retry?
---@field timeout integer? ns
---@field idle_timeout integer? ns
---@field pools table[]? name and units, sorted by name
---@field priority integer?
---@field trigger string?
---@field max_items integer?
---@field max_concurrency integer?
---@field on_item_failure string?
---@field executor string?
---@field cancel_grace integer? ns

---What applies to a task of a workflow. Equal policies of one workflow are one table.
---@class astrum.Policy
---@field retry integer
---@field retry_on fun(err: any): boolean|nil
---@field delay integer? ns
---@field max_delay integer? ns
---@field backoff number?
---@field jitter boolean?
---@field timeout integer? ns
---@field idle_timeout integer? ns
---@field priority integer
---@field executor "loop"|"thread"|"process"
---@field cancel_grace integer ns
---@field trigger string
---@field pools table[]? name and units, sorted by name
---@field max_items integer?
---@field max_concurrency integer?
---@field on_item_failure "fail"|"collect"|"skip"|nil of a map
---@field graph table? what graph:add takes

-- --- who is to blame for a wrong value

---Whom errors point to: `text` raises one, `value` says what a value must be.
---@param record astrum.TaskRecord
---@return table
function M.of_task(record)
  return {
    text = function(text, help, option)
      errors.raise_for_task(record, text, help, option)
    end,
    value = function(key, wanted, value, help)
      local text = key .. " is " .. wanted .. ", got " .. show(value)
      errors.raise_for_task(record, text, help, key:match "[^.]*$")
    end,
  }
end

---The same for settings of a configuration.
---@param prefix string of the keys
---@return table
function M.of_config(prefix)
  return {
    text = function(text, help, option)
      errors.raise("ConfigError", prefix .. text, help, { marks = options.marks(option) })
    end,
    value = function(key, wanted, value, help)
      local text = prefix .. key .. " must be " .. wanted .. ", got " .. show(value)
      local marks = options.marks(key:match "[^.]*$")
      errors.raise("ConfigError", text, help, { marks = marks })
    end,
  }
end

-- --- single values

---A whole number between two bounds, or an error.
---@param subject table made by of_task or of_config
---@param key string
---@param value any
---@param least integer
---@param most integer
---@param help string?
---@return integer
function M.whole(subject, key, value, least, most, help)
  local whole = type(value) == "number" and math.tointeger(value)
  if not whole or whole < least or whole > most then
    subject.value(key, "a whole number from " .. least .. " to " .. most, value, help)
  end
  return whole
end

---A time in seconds as whole nanoseconds, or an error.
---@param subject table made by of_task or of_config
---@param key string
---@param value any
---@param zero boolean? whether 0 is a time
---@return integer
function M.nanoseconds(subject, key, value, zero)
  local is_time = type(value) == "number" and (value > 0 or zero and value == 0)
  if not is_time or value == math.huge then
    local wanted = zero and "a number of seconds, 0 or more" or "a number of seconds above 0"
    subject.value(key, wanted, value)
  elseif value > LONGEST_TIME then
    subject.value(key, "at most " .. LONGEST_TIME .. " seconds", value, "leave it out for no limit")
  end
  local nanoseconds = math.tointeger(value) and math.tointeger(value) * 1000000000
    or math.floor(value * 1e9 + 0.5)
  return value > 0 and math.max(1, nanoseconds) or 0
end

local function in_words(names)
  local quoted = {}
  for i, name in ipairs(names) do
    quoted[i] = quote(name)
  end
  return table.concat(quoted, ", ", 1, #quoted - 1) .. " or " .. quoted[#quoted]
end

-- What triggers are called elsewhere.
local OTHER_TRIGGERS <const> = {
  all_completed = "all_done",
  all_finished = "all_done",
  any_failed = "one_failed",
  any_success = "one_success",
  all_succeeded = "all_success",
  completed = "all_done",
  done = "all_done",
  failure = "one_failed",
  finally = "all_done",
  on_failure = "one_failed",
  success = "all_success",
}

-- The same of executors.
local OTHER_EXECUTORS <const> = {
  async = "loop",
  child = "process",
  coroutine = "loop",
  fork = "process",
  parallel = "thread",
  subprocess = "process",
  worker = "thread",
}

local OTHER_NAMES <const> = { trigger = OTHER_TRIGGERS, executor = OTHER_EXECUTORS }

-- `otherwise`: help where none of the names is near.
local function one_of(subject, key, value, names, what, otherwise)
  for _, name in ipairs(names) do
    if value == name then
      return value
    end
  end
  local nearest = OTHER_NAMES[key] and OTHER_NAMES[key][value]
    or type(value) == "string" and suggest.nearest(value, names)
  local help = nearest and "did you mean " .. quote(nearest) .. "?" or otherwise
  if #names > 3 then
    help = help or suggest.help(nil, names, what .. "s")
    subject.value(key, "the name of a " .. what, value, help)
  end
  subject.value(key, in_words(names), value, help)
end

-- --- retry

local retry_known = options.known { "max", "delay", "backoff", "max_delay", "jitter", "on" }

-- What the fields are called elsewhere.
local RETRY_NAMES <const> = {
  attempts = "max",
  count = "max",
  factor = "backoff",
  interval = "delay",
  max_attempts = "max",
  max_retries = "max",
  max_interval = "max_delay",
  retries = "max",
  times = "max",
  wait = "delay",
}

local function check_keys(subject, key, given, known)
  local unknown = options.first_unknown(given, known)
  if unknown ~= nil then
    local text = key .. ": unknown option " .. options.key_text(unknown)
    subject.text(text, options.help(unknown, known, RETRY_NAMES), unknown)
  end
end

-- What only changes the waits between attempts, in a table without waits.
local function check_no_delay(subject, given)
  for _, key in ipairs { "backoff", "max_delay", "jitter" } do
    if given[key] then
      local text = "retry." .. key .. " changes a delay, but retry.delay is 0"
      subject.text(text, "give a delay, as in delay = 0.5, or leave " .. key .. " out", key)
    end
  end
end

local function retry_table(subject, given)
  check_keys(subject, "retry", given, retry_known)
  local retry = { max = RETRIES, delay = DELAY, backoff = BACKOFF, jitter = true, on = given.on }
  if given.max ~= nil then
    retry.max = M.whole(subject, "retry.max", given.max, 0, LARGEST)
  end
  if given.delay ~= nil then
    retry.delay = M.nanoseconds(subject, "retry.delay", given.delay, true)
  end
  if given.jitter ~= nil then
    if type(given.jitter) ~= "boolean" then
      subject.value("retry.jitter", "true or false", given.jitter)
    end
    retry.jitter = given.jitter
  end
  if given.backoff ~= nil then
    local backoff = given.backoff
    if type(backoff) ~= "number" or backoff ~= backoff or backoff < 1 or backoff == math.huge then
      subject.value("retry.backoff", "a number, 1 or more", backoff)
    end
    retry.backoff = backoff + 0.0
  end
  if given.on ~= nil and type(given.on) ~= "function" then
    subject.value("retry.on", "a function", given.on, "write on = function(err) return ... end")
  end
  if retry.delay == 0 then
    check_no_delay(subject, given)
    return { max = retry.max, on = retry.on }
  end
  retry.max_delay = math.max(MAX_DELAY, retry.delay)
  if given.max_delay ~= nil then
    retry.max_delay = M.nanoseconds(subject, "retry.max_delay", given.max_delay)
    if retry.max_delay < retry.delay then
      local text = "retry.max_delay is shorter than retry.delay, "
      text = text .. show(given.max_delay) .. " < " .. show(given.delay or DELAY / 1e9)
      subject.text(
        text,
        "the first wait is the delay; no wait is longer than max_delay",
        "max_delay"
      )
    end
  end
  return retry
end

local checks = {}

function checks.retry(subject, value)
  if type(value) == "table" then
    return retry_table(subject, options.plain(value))
  end
  local whole = type(value) == "number" and math.tointeger(value)
  if not whole or whole < 0 then
    subject.retry(value)
  elseif whole > LARGEST then
    subject.text("retry is at most " .. LARGEST)
  end
  return { max = whole }
end

-- --- the other options

function checks.timeout(subject, value)
  return M.nanoseconds(subject, "timeout", value)
end

function checks.idle_timeout(subject, value)
  return M.nanoseconds(subject, "idle_timeout", value)
end

function checks.cancel_grace(subject, value)
  return M.nanoseconds(subject, "cancel_grace", value, true)
end

function checks.priority(subject, value)
  return M.whole(subject, "priority", value, -0x80000000, 0x7FFFFFFF)
end

function checks.trigger(subject, value)
  return one_of(subject, "trigger", value, TRIGGERS, "trigger")
end

function checks.executor(subject, value)
  if value == "remote" then
    subject.text(
      "executor = 'remote' is not there yet",
      "use 'loop', 'thread' or 'process'",
      "executor"
    )
  end
  local names <const> = { "loop", "thread", "process" }
  local otherwise <const> = "leave it out to run the body in the loop"
  return one_of(subject, "executor", value, names, "executor", otherwise)
end

function checks.max_items(subject, value)
  return M.whole(subject, "max_items", value, 1, LARGEST)
end

function checks.max_concurrency(subject, value)
  return M.whole(subject, "max_concurrency", value, 1, LARGEST)
end

function checks.on_item_failure(subject, value)
  return one_of(subject, "on_item_failure", value, { "fail", "collect", "skip" }, "reaction")
end

function checks.pool(subject, value)
  if type(value) ~= "string" then
    subject.value(
      "pool",
      "the name of a pool",
      value,
      "for several write pools = { db = 1, gpu = 2 }"
    )
  end
  return { { name = value, units = 1 } }
end

function checks.pools(subject, value)
  local help <const> = "write pools = { db = 1, gpu = 2 }"
  if type(value) ~= "table" then
    subject.value("pools", "a table of units by pool", value, help)
  end
  local list = {}
  for name, units in pairs(value) do
    if type(name) ~= "string" then
      subject.text("pools: " .. options.key_text(name) .. " is no name of a pool", help)
    end
    list[#list + 1] = { name = name, units = units }
  end
  if #list == 0 then
    subject.text("pools names no pool", help)
  end
  table.sort(list, function(a, b)
    return a.name < b.name
  end)
  for _, entry in ipairs(list) do
    entry.units = M.whole(subject, "pools." .. errors.escape(entry.name), entry.units, 1, LARGEST)
  end
  return list
end

-- Options that say nothing without a map.
local only_maps <const> = { "max_items", "max_concurrency", "on_item_failure" }

-- Options that are about a body, which a workflow has not.
local only_bodies <const> = { "idle_timeout", "executor", "cancel_grace" }

local function check_together(subject, spec, policy)
  if spec.pool ~= nil and spec.pools ~= nil then
    subject.text(
      "pool and pools are both given",
      "write pools = { db = 1, gpu = 2 } for several",
      "pools"
    )
  elseif policy.timeout and policy.idle_timeout and policy.idle_timeout >= policy.timeout then
    local text = "idle_timeout is not shorter than timeout, so it never comes"
    subject.text(text, "make it shorter, or leave one of them out", "idle_timeout")
  end
  for _, key in ipairs(only_maps) do
    if spec[key] ~= nil and spec.map == nil then
      local help = "add map = { item = F.<task> }, or leave " .. key .. " out"
      subject.text(key .. " belongs to a map", help, key)
    end
  end
  for _, key in ipairs(only_bodies) do
    if spec[key] ~= nil and spec.workflow ~= nil then
      local help = "give it to the tasks of the workflow"
      subject.text(key .. " belongs to a body, and a workflow has none", help, key)
    end
  end
end

-- Declarations in a loop say the same: what was checked once is found again by what is given, key
-- by key in the order of `next`, and shared. With too many of them all are forgotten.
local MOST_SHARED <const> = 1000
local simple <const> = { number = true, string = true, boolean = true }
local is_checked_here <const> = options.known(M.KEYS)
local shared, shared_count = {}, 0

local function step(node, key, value)
  if value ~= value then
    return nil
  end
  local values = node[key]
  if not values then
    values = {}
    node[key] = values
  end
  local next_node = values[value]
  if not next_node then
    next_node = {}
    values[value] = next_node
    shared_count = shared_count + 1
  end
  return next_node
end

local function step_through_retry(node, given)
  if getmetatable(given) ~= nil then
    return nil
  end
  node = step(node, "table of retry", true)
  for key, value in next, given do
    if not node or retry_known[key] ~= true or not simple[type(value)] then
      return nil
    end
    node = step(node, key, value)
  end
  return node
end

-- Where the policy of such a declaration is shared, in `policy`; nil: it is not.
local function place_of(spec)
  if shared_count > MOST_SHARED then
    shared, shared_count = {}, 0
  end
  local node = step(step(shared, "map", spec.map ~= nil), "workflow", spec.workflow ~= nil)
  for key, value in next, spec do
    if not node then
      return nil
    elseif is_checked_here[key] == true then
      if key == "retry" and type(value) == "table" then
        node = step_through_retry(node, value)
      elseif simple[type(value)] then
        node = step(node, key, value)
      else
        return nil
      end
    end
  end
  return node
end

local function check_declared(record, spec)
  local policy, subject
  for _, key in ipairs(M.KEYS) do
    local value = spec[key]
    if value ~= nil then
      if not policy then
        policy, subject = {}, M.of_task(record)
        function subject.retry()
          local text = "Task " .. quote(record.name) .. " retry must be a non-negative integer."
          local fields = { task = record.name, marks = errors.marks(record.name, "retry") }
          local help = "write retry = 3, or in a declaration retry = { max = 3, delay = 1 }"
          error(
            errors.at("TaskRegistrationError", record.source, record.line, text, help, fields),
            0
          )
        end
      end
      policy[key == "pool" and "pools" or key] = checks[key](subject, value)
    end
  end
  if not policy then
    return NONE
  end
  check_together(subject, spec, policy)
  return policy
end

---The options of a declaration that are about how the task is carried out, checked. Raises an error
---at the declaration.
---@param record astrum.TaskRecord name, source and line are set
---@param spec table
---@return astrum.DeclaredPolicy not to be changed: other declarations may have it, too
function M.declared(record, spec)
  local place = place_of(spec)
  local policy = place and place.policy or check_declared(record, spec)
  if place then
    place.policy = policy
  end
  return policy
end

local defaults_known =
  options.known { "retry", "timeout", "idle_timeout", "priority", "executor", "cancel_grace" }

---Whether `defaults` may have an option of this name.
---@param key any
---@return boolean
function M.has_default(key)
  return defaults_known[key] == true
end

---The setting `defaults` of a configuration, checked. Raises an error at the user's line.
---@param given any
---@return astrum.DeclaredPolicy
function M.defaults(given)
  if type(given) ~= "table" then
    M.of_config("").value("defaults", "a table", given, "write defaults = { retry = 2 }")
  end
  given = options.plain(given)
  options.check(given, defaults_known, "defaults", "ConfigError")
  local policy, subject = {}, M.of_config "defaults."
  function subject.retry(value)
    subject.value("retry", "a non-negative integer or a table", value)
  end
  for _, key in ipairs(defaults_known.names) do
    if given[key] ~= nil then
      policy[key] = checks[key](subject, given[key])
    end
  end
  check_together(subject, given, policy)
  return policy
end

-- --- what applies

---Whether a trigger can come, and means something, for a task that waits for nothing.
---@param trigger string
---@return boolean
function M.is_free(trigger)
  return free_triggers[trigger] == true
end

-- What graph:add takes; nil when all of it is default. `pools` are numbers and units.
local function graph_policy(policy, detached, is_map, pools)
  local tolerant = policy.on_item_failure == "collect" or policy.on_item_failure == "skip"
  local graph = {
    max_retries = policy.retry > 0 and policy.retry or nil,
    delay = policy.delay,
    max_delay = policy.max_delay,
    backoff = policy.backoff,
    jitter = policy.jitter,
    detached = detached or nil,
    timeout = policy.timeout,
    idle_timeout = policy.idle_timeout,
    pools = pools,
    priority = policy.priority ~= 0 and policy.priority or nil,
    trigger = policy.trigger ~= "all_success" and trigger_numbers[policy.trigger] or nil,
    map = is_map or nil,
    tolerant = tolerant or nil,
    max_items = policy.max_items,
    max_concurrency = policy.max_concurrency,
  }
  return next(graph) ~= nil and graph or nil
end

local function key_of(policy, detached, is_map)
  local parts = {
    policy.retry,
    policy.retry_on and ("%p"):format(policy.retry_on) or "",
    policy.delay or "",
    policy.max_delay or "",
    policy.backoff or "",
    tostring(policy.jitter),
    policy.timeout or "",
    policy.idle_timeout or "",
    policy.priority,
    policy.executor,
    policy.cancel_grace,
    policy.trigger,
    policy.on_item_failure or "",
    policy.max_items or "",
    policy.max_concurrency or "",
    tostring(detached),
    tostring(is_map),
  }
  for _, entry in ipairs(policy.pools or NONE) do
    parts[#parts + 1] = entry.units
    parts[#parts + 1] = #entry.name
    parts[#parts + 1] = entry.name
  end
  return table.concat(parts, "|")
end

---What applies to a task. Equal policies give the same table.
---@param cache table of one build, empty at first
---@param record astrum.TaskRecord
---@param settings astrum.Settings
---@param detached boolean
---@param pool_numbers table<string, integer> by name, from 0; has the names that the task uses
---@return astrum.Policy
function M.effective(cache, record, settings, detached, pool_numbers)
  local own, defaults = record.policy, settings.defaults
  local is_map, has_body = record.map ~= nil, record.workflow == nil
  local is_plain = own == NONE and not detached and not is_map and has_body
  if is_plain and cache.plain then
    return cache.plain
  elseif not detached and cache[own] then
    return cache[own]
  end
  local for_bodies = has_body and defaults or NONE
  local retry = own.retry or defaults.retry or NONE
  local policy = {
    retry = retry.max or 0,
    timeout = own.timeout or defaults.timeout,
    idle_timeout = own.idle_timeout or for_bodies.idle_timeout,
    priority = own.priority or defaults.priority or 0,
    executor = own.executor or for_bodies.executor or "loop",
    cancel_grace = own.cancel_grace or for_bodies.cancel_grace or settings.cancel_grace,
    trigger = own.trigger or "all_success",
    pools = own.pools,
    max_items = own.max_items,
    max_concurrency = own.max_concurrency,
    on_item_failure = is_map and (own.on_item_failure or "fail") or nil,
  }
  if policy.retry > 0 then
    policy.retry_on, policy.delay, policy.max_delay = retry.on, retry.delay, retry.max_delay
    policy.backoff, policy.jitter = retry.backoff, retry.jitter
  end
  local key = key_of(policy, detached, is_map)
  if not cache[key] then
    local pools
    for i, entry in ipairs(own.pools or NONE) do
      pools = pools or {}
      pools[i] = { pool = pool_numbers[entry.name], units = entry.units }
    end
    policy.graph = graph_policy(policy, detached, is_map, pools)
    cache[key] = policy
  end
  if is_plain then
    cache.plain = cache[key]
  elseif own ~= NONE and not detached then
    -- Declarations share one only if none or all of them have a map, or a workflow.
    cache[own] = cache[key]
  end
  return cache[key]
end

return M
