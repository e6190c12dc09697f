-- AstrumConfig: the settings of a build and its runs. Every setting works or is refused.
local core = require "astrum.core"
local errors = require "astrum.error"
local options = require "astrum.options"
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
}

-- Settings of Astrum that mean nothing here.
local refused <const> = {
  infer_via_ast = "Lua functions declare no types to infer; use Ref(type, F.task.field)",
  allow_no_dir_definition = "an input always names its source, so it is always refused",
  has_data_path = "an input always says where its value comes from, so there is nothing to choose",
  auto_sync_dependencies = "a reference is always a dependency too, so it is always on",
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
---@field keep_results string[]? all results when left out

local function show(value)
  if type(value) == "string" then
    return errors.quote(value)
  elseif type(value) == "table" or type(value) == "function" or type(value) == "userdata" then
    return "a " .. type(value)
  end
  return tostring(value)
end

local function refuse(key, wanted, value, help)
  errors.raise("ConfigError", key .. " must be " .. wanted .. ", got " .. show(value), help)
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
checks.keep_results = check_names

local function check_boolean(key, value)
  if type(value) ~= "boolean" then
    refuse(key, "true or false", value)
  end
  return value
end

---Whether there is a setting of this name.
---@param key any
---@return boolean
function M.has(key)
  return defaults[key] ~= nil or checks[key] ~= nil
end

---Makes a configuration: checked, with defaults, read-only. Raises a ConfigError for an unknown or
---impossible setting.
---@param given table? settings; what is left out has its default
---@return astrum.Config
function M.AstrumConfig(given)
  if getmetatable(given) == NAME then
    return given
  elseif given ~= nil and type(given) ~= "table" then
    refuse(NAME, "a table", given)
  end
  given = given or {}
  for key, why in pairs(refused) do
    if given[key] ~= nil then
      errors.raise("ConfigError", NAME .. ": " .. key .. " has no meaning here: " .. why)
    end
  end
  options.check(given, known, NAME, "ConfigError")
  local values = { ignore_tail_task = options.read_only({}, "ignore_tail_task") }
  for _, key in ipairs(known.names) do
    local value = given[key]
    if value == nil then
      values[key] = values[key] or defaults[key]
    else
      values[key] = (checks[key] or check_boolean)(key, value)
    end
  end
  return options.read_only(values, NAME)
end

return M
