-- Workflows inside workflows: what their builds share, and how a task that is a workflow feeds its
-- params.
local configs = require "astrum.config"
local core = require "astrum.core"
local errors = require "astrum.error"
local params = require "astrum.param"
local suggest = require "astrum.suggest"

core.own()

local M = {}

local quote <const> = errors.quote

-- As many runs may be inside one another.
local MOST_DEEP <const> = 16

-- Settings that belong to the outermost run, or that name tasks of one workflow. All results of one
-- inside are kept: they are the result of its task.
local only_outside <const> = {
  "keep_results",
  "concurrency_limit",
  "pools",
  "ignore_tail_task",
  "visualize",
  "deadline",
  "max_total_attempts",
  "seed",
}

---@class astrum.Nest what the builds of a workflow and of those inside it share
---@field config astrum.Config of the outermost one
---@field inner_config astrum.Config?
---@field mistakes astrum.Error[]
---@field pools { names: string[], numbers: table<string, integer>, is_open: boolean }
---@field path table[] sources that are being built, from the outside
---@field built table<table, astrum.Workflow|false> by registry; false: it has mistakes
---@field params table<table, table<string, astrum.DeclaredParam>> by registry
---@field exports any what loaded modules export, for bodies that run elsewhere
---@field packed table<function, string> these bodies

---Begins the build of an outermost workflow.
---@param config astrum.Config
---@return astrum.Nest
function M.new(config, open_pools)
  local declared = configs.settings(config).pools
  local names, numbers = {}, {}
  for name in pairs(declared or {}) do
    names[#names + 1] = name
  end
  table.sort(names)
  for i, name in ipairs(names) do
    numbers[name] = i - 1
  end
  return {
    config = config,
    mistakes = {},
    -- Inside a task the pools are those of the outermost run, which are not known here.
    pools = {
      names = names,
      numbers = numbers,
      is_open = not declared and (open_pools or core.context() ~= nil),
    },
    path = {},
    built = {},
    packed = {},
    params = {},
  }
end

---The configuration of the workflows inside.
---@param nest astrum.Nest
---@return astrum.Config
function M.inner_config(nest)
  nest.inner_config = nest.inner_config or configs.derive(nest.config, {}, only_outside)
  return nest.inner_config
end

---The params of a registry; what is wrong with them is told once.
---@param build astrum.Build
---@param source table
---@return table<string, astrum.DeclaredParam>
function M.params_of(build, source)
  local all = build.nest.params
  if not all[source] then
    all[source] = params.collect(source.special or source.records, function(param, text, help)
      build:mistake("TaskRegistrationError", param, text, help)
    end)
  end
  return all[source]
end

-- --- pools

local function pool_help(declared, name)
  local names = {}
  for other in pairs(declared) do
    names[#names + 1] = other
  end
  table.sort(names)
  local nearest = suggest.nearest(name, names)
  if nearest then
    return "did you mean " .. quote(nearest) .. "?"
  end
  local shown = name:find "^[%a_][%w_]*$" and name or "db"
  return "declare it in config, as in pools = { " .. shown .. " = 2 }"
end

---Gives each pool that a task takes a number.
---@param build astrum.Build takes the mistakes
---@param record astrum.TaskRecord
function M.number_pools(build, record)
  local nest = build.nest
  local pools = nest.pools
  local declared = configs.settings(nest.config).pools or {}
  for _, entry in ipairs(record.policy.pools or {}) do
    local name, pool = entry.name, declared[entry.name]
    local what = "task " .. quote(record.name) .. ": "
    local marks =
      errors.marks(record.name, record.given and record.given.pool and "pool" or "pools")
    local fields = { task = record.name, marks = marks }
    if not pool and not pools.is_open then
      local text = what .. "pool " .. quote(name) .. " is not declared"
      build:mistake("ConfigError", record, text, pool_help(declared, name), fields)
    elseif pool and pool.slots and entry.units > pool.slots then
      local text = what .. "takes " .. entry.units .. " units of pool " .. quote(name)
      text = text .. ", which has " .. pool.slots
      local help = "it could never start; take fewer, or give the pool more slots"
      build:mistake("ConfigError", record, text, help, fields)
    end
    if not pools.numbers[name] then
      pools.numbers[name] = #pools.names
      pools.names[#pools.names + 1] = name
    end
  end
end

-- --- building what is inside

local function path_text(nest, last)
  local names = {}
  for i, source in ipairs(nest.path) do
    names[i] = errors.escape(source.namespace)
  end
  names[#names + 1] = last and errors.escape(last.namespace)
  return table.concat(names, " -> ")
end

local function too_deep(build, record)
  local text = "task " .. quote(record.name) .. ": workflows are nested deeper than " .. MOST_DEEP
  local help = "inside one another are " .. path_text(build.nest, record.workflow)
  build:mistake("TaskRegistrationError", record, text, help, { task = record.name })
end

---The workflow of a task, built once for all tasks that have it; nil when it has mistakes, which
---the build takes.
---@param build astrum.Build
---@param record astrum.TaskRecord
---@param build_one fun(registry: table, nest: astrum.Nest, place: table): astrum.Workflow?
---@return astrum.Workflow?
function M.child(build, record, build_one)
  local registry, nest = record.workflow, build.nest
  for i, source in ipairs(nest.path) do
    if source == registry then
      local path = { path = table.move(nest.path, i, #nest.path, 1, {}) }
      local text = "task " .. quote(record.name) .. ": workflow " .. quote(registry.namespace)
      text = text .. " is inside itself: " .. path_text(path, registry)
      build:mistake("TaskOrderLoopError", record, text, nil, { task = record.name })
      return nil
    end
  end
  local child = nest.built[registry]
  if child == nil then
    if #nest.path >= MOST_DEEP then
      too_deep(build, record)
      return nil
    end
    child = build_one(registry, nest, record) or false
    nest.built[registry] = child
  end
  if child and #nest.path + child.height > MOST_DEEP then
    too_deep(build, record)
    return nil
  end
  return child or nil
end

-- --- inputs for the params inside

local function sorted_names(declared)
  local names = {}
  for name in pairs(declared) do
    names[#names + 1] = name
  end
  table.sort(names)
  return names
end

---The inputs of a task that is a workflow, with one that is missing for each param that has none.
---@param build astrum.Build takes the mistakes
---@param record astrum.TaskRecord
---@return table list of astrum.Input, with n
function M.inputs(build, record)
  local declared = M.params_of(build, record.workflow)
  local names = sorted_names(declared)
  local given, inputs = {}, { n = 0 }
  local function add(entry)
    inputs.n = inputs.n + 1
    inputs[inputs.n] = entry
  end
  for i = 1, record.inputs.n do
    local entry = record.inputs[i]
    local name = entry.parameter
    given[name] = entry
    if not declared[name] then
      local what = entry.kind == "item" and ": map " or ": input "
      local text = "task "
        .. quote(record.name)
        .. what
        .. quote(name)
        .. " is no param of workflow "
      text = text .. quote(record.workflow.namespace)
      local help = suggest.help(name, names, "params")
      build:mistake("TaskRegistrationError", record, text, help, { task = record.name })
      add(entry)
    end
  end
  for _, name in ipairs(names) do
    add(given[name] or { parameter = name, kind = "missing" })
  end
  return inputs
end

-- A reference that gives a param and says no type of its own wants that of the param, so that a
-- mistake is told with both tasks.
local function typed(entry, param)
  if entry.kind ~= "reference" or entry.type ~= nil or not param then
    return entry
  elseif params.is_optional(param) or type(param.type) ~= "string" then
    return entry
  end
  local copy = {}
  for key, value in pairs(entry) do
    copy[key] = value
  end
  copy.type = param.type
  return copy
end

---The same when outputs of other tasks have been added: params that still have no input must have a
---default; constants must fit.
---@param build astrum.Build takes the mistakes
---@param record astrum.TaskRecord
---@param inputs table list of astrum.Input, with n
---@return table list of astrum.Input, with n
function M.complete(build, record, inputs)
  local declared, kept = M.params_of(build, record.workflow), { n = 0 }
  local what, fields = "task " .. quote(record.name) .. ": ", { task = record.name }
  for i = 1, inputs.n do
    local entry = inputs[i]
    local param = declared[entry.parameter]
    if entry.kind ~= "missing" then
      kept.n = kept.n + 1
      kept[kept.n] = typed(entry, param)
      local problem = entry.kind == "constant" and param and params.problem(param, entry.value)
      if problem then
        build:mistake("TypeMatchError", record, what .. problem, nil, fields)
      end
    elseif not params.is_optional(param) then
      local text = what .. "param " .. quote(param.name) .. " of workflow "
      text = text .. quote(record.workflow.namespace) .. " has no input"
      local shown = errors.escape(param.name)
      local help = "add inputs." .. shown .. " = F.<task>.<field>, or give the param a default"
      build:mistake("TaskRegistrationError", record, text, help, fields)
    end
  end
  return kept
end

return M
