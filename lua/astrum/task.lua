-- A declaration becomes a record: checked, in the order of the body's parameters, never changed
-- afterwards. Whatever can be known to be wrong here is raised at the user's line.
local core = require "astrum.core"
local errors = require "astrum.error"
local inputs = require "astrum.input"
local options = require "astrum.options"
local policies = require "astrum.policy"
local ref = require "astrum.ref"

core.own()

local M = {}

local is_reference <const> = core.is_reference
local quote <const> = errors.quote
local fail <const> = errors.raise_for_task

local LONGEST_NAME <const> = 1024

-- In the order in which help lists them.
local known = options.known {
  "run",
  "inputs",
  "outputs",
  "depends_on",
  "retry",
  "timeout",
  "when",
  "trigger",
  "map",
  "workflow",
  "namespace",
  "description",
  "detached",
  "idle_timeout",
  "pool",
  "pools",
  "priority",
  "max_items",
  "max_concurrency",
  "on_item_failure",
  "sensitive",
  "executor",
  "around",
  "cancel_grace",
}

-- Options that a view and a new declaration repeat as they were given.
local repeated = { when = true, workflow = true, sensitive = true, around = true }
for _, key in ipairs(policies.KEYS) do
  repeated[key] = true
end

local NONE <const> = {}

---@class astrum.TaskRecord
---@field name string
---@field namespace string
---@field description string?
---@field run function? nil: the task is a workflow
---@field workflow astrum.Registry? in place of run
---@field retry integer retries as declared, 0 by default
---@field policy astrum.DeclaredPolicy
---@field map astrum.MapList[]? sorted by parameter
---@field when astrum.Condition?
---@field sensitive true?
---@field around function?
---@field given table? options as they were given, for views and new declarations
---@field detached boolean
---@field depends_on table[]
---@field inputs table list of astrum.Input, with n
---@field outputs astrum.T[]
---@field source string
---@field line integer
---@field entry integer at a prompt the number of what declared it, else 0
---@field is_reused true? it stands for a task of an earlier run, and gives its result
---@field origin astrum.TaskRecord? the declaration that it stands for
---@field has_missing true? an input must come from the outputs of another task
---@field has_params true? an input comes from outside

-- A type for a message; of userdata that says little, the reference itself.
local function kind_of(value)
  return is_reference(value) and "the reference " .. tostring(value) or type(value)
end

---Raises an error when a value cannot be the name of a task.
---@param name any
function M.check_name(name)
  options.want_dot(name, "task", "TaskRegistrationError")
  if type(name) ~= "string" then
    local given = type(name) == "table" and not core.is_reference(name) and rawget(name, "name")
    local example = type(given) == "string" and errors.escape(given) or "load_order"
    errors.raise(
      "TaskRegistrationError",
      "task: the name is a string, got " .. kind_of(name),
      ('as in task "%s" { run = function() ... end }'):format(example)
    )
  elseif name == "" then
    errors.raise("TaskRegistrationError", "task: the name is empty")
  elseif #name > LONGEST_NAME then
    errors.raise(
      "TaskRegistrationError",
      "task: the name is longer than " .. LONGEST_NAME .. " bytes"
    )
  end
end

-- --- the other options

local function check_list(record, option, list, example)
  local is_list, hole = false, nil
  if type(list) == "table" then
    is_list, hole = options.is_list(list)
  end
  if hole then
    fail(
      record,
      option .. "[" .. hole .. "] is nil",
      "write " .. option .. " = " .. example,
      option
    )
  elseif not is_list then
    local text = option .. " is a list, got " .. options.value_text(list)
    if type(list) == "table" then
      text = option .. " is a list, got a table with other keys"
    elseif type(list) == "string" and option == "depends_on" then
      example = "{ " .. ("%q"):format(list) .. " }"
    end
    fail(record, text, "write " .. option .. " = " .. example, option)
  end
end

local function make_depends_on(record, list)
  if list == nil then
    return NONE
  end
  check_list(record, "depends_on", list, '{ "a", handle }')
  local depends_on, seen = {}, {}
  for i, value in ipairs(list) do
    local name, owner = ref.task_name(value)
    if not name then
      local got = is_reference(value) and tostring(value) .. ", which is a field" or type(value)
      local text = "depends_on[" .. i .. "] is the name or the handle of a task, got " .. got
      fail(record, text, 'write depends_on = { "a", handle }', "depends_on")
    end
    if not seen[name] then
      seen[name] = true
      depends_on[#depends_on + 1] =
        { name = name, owner = owner, source = record.source, line = record.line }
    end
  end
  return depends_on
end

local function make_outputs(record, list)
  if list == nil then
    return NONE
  end
  check_list(record, "outputs", list, '{ T("target", "field", "parameter") }')
  local outputs = {}
  for i, output in ipairs(list) do
    if not ref.is_t(output) then
      local help = 'write outputs = { T("target", "field", "parameter") }'
      fail(record, "outputs[" .. i .. "] is not made by T", help, "outputs")
    end
    outputs[i] = {
      target = output.target,
      path = output.path,
      parameter = output.parameter,
      source = output.source,
      line = output.line,
    }
  end
  return outputs
end

---Sets the number of retries of a record, checked. Raises an error at the declaration.
---@param record astrum.TaskRecord
---@param retry any
function M.set_retry(record, retry)
  if type(retry) ~= "number" then
    retry = -1
  end
  local policy = options.plain(record.policy)
  policy.retry = policies.declared(record, { retry = retry }).retry
  record.policy, record.retry = policy, policy.retry.max
  record.given = options.plain(record.given or NONE)
  record.given.retry = record.retry
end

local function check_type(record, option, value, wanted)
  if value ~= nil and type(value) ~= wanted then
    fail(record, option .. " is a " .. wanted .. ", got " .. type(value), nil, option)
  end
end

-- What the options are called elsewhere.
local OTHER_NAMES <const> = {
  action = "run",
  after = "depends_on",
  args = "inputs",
  arguments = "inputs",
  attempts = "retry",
  body = "run",
  callback = "run",
  command = "run",
  condition = "when",
  dependencies = "depends_on",
  deps = "depends_on",
  expand = "map",
  fn = "run",
  foreach = "map",
  func = "run",
  handler = "run",
  kwargs = "inputs",
  max_retries = "retry",
  max_time = "timeout",
  needs = "depends_on",
  params = "inputs",
  parameters = "inputs",
  queue = "pool",
  requires = "depends_on",
  retries = "retry",
  secret = "sensitive",
  subworkflow = "workflow",
  trigger_rule = "trigger",
  upstream = "depends_on",
}

local function check_options(record, spec)
  local key = options.first_unknown(spec, known)
  if key == nil then
    return
  end
  local help = options.help(key, known, OTHER_NAMES)
  if key == 1 and type(spec[1]) == "function" then
    help = "write run = function() ... end"
  end
  local option = type(key) == "string" and key or nil
  fail(record, "unknown option " .. options.key_text(key), help, option)
end

local RUN_HELP <const> = {
  table = "wrap it: run = function(...) return value(...) end",
  string = "a command is run by astrum.spawn { ... } inside the function",
}

local function check_run(record, run)
  if run == nil then
    local text = "task " .. quote(record.name) .. " has no run function"
    local fields = { task = record.name, marks = errors.marks(record.name) }
    local help = "write run = function() ... end; a misspelled variable is nil too"
    error(errors.at("TaskRegistrationError", record.source, record.line, text, help, fields), 0)
  elseif type(run) ~= "function" then
    local help = RUN_HELP[type(run)] or "write run = function() ... end"
    fail(record, "run is a function, got " .. type(run), help, "run")
  end
end

local function check_workflow(record, spec)
  local help = 'write workflow = astrum.workflow "name" { ... } or astrum.namespace "name"'
  if spec.run ~= nil then
    fail(record, "run and workflow are both given", "keep one of the two")
  elseif spec.around ~= nil then
    local text = "around belongs to a body, and a workflow has none"
    fail(record, text, "give it to the tasks of the workflow", "around")
  elseif not require("astrum.registry").is_registry(spec.workflow) then
    fail(
      record,
      "workflow is a registry, got " .. options.value_text(spec.workflow),
      help,
      "workflow"
    )
  end
end

local function shallow_copy(value)
  return type(value) == "table" and getmetatable(value) == nil and options.plain(value) or value
end

-- The options that are only kept to be told again, or nil.
local function given_options(spec)
  local given
  for key, value in next, spec do
    if repeated[key] then
      given = given or {}
      given[key] = shallow_copy(value)
    end
  end
  return given
end

local function add_given(record, spec, given)
  check_type(record, "sensitive", spec.sensitive, "boolean")
  check_type(record, "around", spec.around, "function")
  record.sensitive = spec.sensitive or nil
  record.around = spec.around
  record.policy = policies.declared(record, spec)
  record.retry = record.policy.retry and record.policy.retry.max or 0
  record.given = given
end

---Makes the record of a declaration. Raises an error that points to it.
---@param name string
---@param spec table|function
---@param namespace string
---@param source string file of the declaration
---@param line integer
---@return astrum.TaskRecord
function M.record(name, spec, namespace, source, line)
  local record = {
    name = name,
    namespace = namespace,
    run = spec,
    retry = 0,
    policy = policies.NONE,
    detached = false,
    depends_on = NONE,
    inputs = inputs.NONE,
    outputs = NONE,
    source = source,
    line = line,
  }
  if type(spec) == "function" then
    record.inputs = inputs.make(record, nil)
    return record
  elseif type(spec) ~= "table" or ref.is_ref(spec) then
    local got = is_reference(spec) and tostring(spec) or type(spec)
    fail(record, "a table of options or a function must follow the name, got " .. got)
  end
  check_options(record, spec)
  if spec.workflow ~= nil then
    check_workflow(record, spec)
  else
    check_run(record, spec.run)
  end
  check_type(record, "description", spec.description, "string")
  check_type(record, "detached", spec.detached, "boolean")
  record.run, record.workflow = spec.run, spec.workflow
  record.description = spec.description
  record.detached = spec.detached or false
  local given = given_options(spec)
  if given then
    add_given(record, spec, given)
  end
  record.depends_on = make_depends_on(record, spec.depends_on)
  record.outputs = make_outputs(record, spec.outputs)
  if spec.map ~= nil then
    record.map = inputs.make_map(record, spec.map, record.policy.max_items)
  end
  record.inputs = inputs.make(record, spec.inputs)
  if spec.when ~= nil then
    record.when = inputs.make_condition(record, spec.when)
  end
  return record
end

---The record of a declaration that is kept in columns.
---@param store userdata made by core.declarations
---@param number integer of the declaration
---@param registry astrum.Registry
---@return astrum.TaskRecord
function M.plain_record(store, number, registry)
  local name, run, source, line, count, takes_table, context = store:plain(number)
  return {
    name = name,
    namespace = registry.namespace,
    run = run,
    retry = 0,
    policy = policies.NONE,
    detached = false,
    entry = 0,
    depends_on = NONE,
    inputs = inputs.plain(store, number, count, takes_table, context, registry),
    outputs = NONE,
    source = source,
    line = line,
  }
end

-- --- views

-- What was given for an input; with `rebuild` as it can be declared again.
local function given_value(input, rebuild)
  if input.kind == "param" then
    return input.param
  elseif input.kind ~= "reference" then
    return input.value
  elseif rebuild and (input.type or input.sensitive) then
    local settings = { default = input.default, sensitive = input.sensitive }
    return ref.Ref(input.type, input.reference, settings)
  end
  return input.reference
end

-- Inputs that no option of the declaration gives.
local not_given <const> = { missing = true, inputs = true, context = true, item = true }

local function input_values(record, rebuild)
  local values
  for i = 1, record.inputs.n do
    local input = record.inputs[i]
    if not not_given[input.kind] then
      values = values or {}
      values[input.parameter or i] = given_value(input, rebuild)
    end
  end
  return values
end

local function map_values(record, rebuild)
  local values
  for _, list in ipairs(record.map or NONE) do
    values = values or {}
    values[list.parameter] = given_value(list.input, rebuild)
  end
  return values
end

local function dependency_names(record)
  local names = {}
  for i, dependency in ipairs(record.depends_on) do
    names[i] = dependency.name
  end
  return names
end

---What get_task gives: a read-only view of a declaration.
---@param record astrum.TaskRecord
---@return table
function M.view(record)
  local values = options.plain(record.given or NONE)
  values.task_id = record.name
  values.run = record.run
  values.depends_on = dependency_names(record)
  values.retry = values.retry or record.retry
  values.inputs = input_values(record, false) or {}
  values.map = map_values(record, false)
  values.namespace = record.namespace
  values.description = record.description
  values.detached = record.detached
  return options.read_only(values, "RegisteredTask")
end

---A spec that declares the same task again.
---@param record astrum.TaskRecord
---@return table
function M.spec(record)
  local outputs = {}
  for i, output in ipairs(record.outputs) do
    local path = table.move(output.path, 1, output.path.n, 1, {})
    outputs[i] = ref.T(output.target, path, output.parameter)
  end
  local spec = options.plain(record.given or NONE)
  spec.run = record.run
  spec.inputs = input_values(record, true)
  spec.map = map_values(record, true)
  spec.outputs = outputs
  spec.depends_on = dependency_names(record)
  spec.retry = spec.retry or record.retry
  spec.description = record.description
  spec.detached = record.detached
  return spec
end

return M
