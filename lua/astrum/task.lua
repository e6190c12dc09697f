-- A declaration becomes a record: checked, in the order of the body's parameters, never changed
-- afterwards. Whatever can be known to be wrong here is raised at the user's line.
local core = require "astrum.core"
local errors = require "astrum.error"
local inputs = require "astrum.input"
local options = require "astrum.options"
local ref = require "astrum.ref"
local suggest = require "astrum.suggest"

core.own()

local M = {}

local is_reference <const> = core.is_reference
local quote <const> = errors.quote
local fail <const> = errors.raise_for_task

local LONGEST_NAME <const> = 1024
local MOST_RETRIES <const> = 0xFFFFFFFF

local known = options.known {
  "run",
  "inputs",
  "outputs",
  "depends_on",
  "retry",
  "namespace",
  "description",
  "detached",
}

local NONE <const> = {}

---@class astrum.TaskRecord
---@field name string
---@field namespace string
---@field description string?
---@field run function
---@field retry integer
---@field detached boolean
---@field depends_on table[]
---@field inputs table list of astrum.Input, with n
---@field outputs astrum.T[]
---@field source string
---@field line integer
---@field has_missing true? an input must come from the outputs of another task

-- A type for a message; of userdata that says little, the reference itself.
local function kind_of(value)
  return is_reference(value) and "the reference " .. tostring(value) or type(value)
end

---Raises an error when a value cannot be the name of a task.
---@param name any
function M.check_name(name)
  if type(name) ~= "string" then
    errors.raise(
      "TaskRegistrationError",
      "task: the name is a string, got " .. kind_of(name),
      'as in task "load_order" { run = function() ... end }'
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
    fail(record, option .. "[" .. hole .. "] is nil", "write " .. option .. " = " .. example)
  elseif not is_list then
    fail(record, option .. " is a list", "write " .. option .. " = " .. example)
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
      fail(record, text, 'write depends_on = { "a", handle }')
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
      fail(record, "outputs[" .. i .. "] is not made by T", help)
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

---The number of retries, checked. Raises an error at the declaration.
---@param record table name, source and line of the task
---@param retry any
---@return integer
function M.check_retry(record, retry)
  local whole = type(retry) == "number" and math.tointeger(retry)
  if not whole or whole < 0 then
    local text = "Task " .. quote(record.name) .. " retry must be a non-negative integer."
    local fields = { task = record.name, marks = errors.marks(record.name, "retry") }
    error(errors.at("TaskRegistrationError", record.source, record.line, text, nil, fields), 0)
  elseif whole > MOST_RETRIES then
    fail(record, "retry is at most " .. MOST_RETRIES)
  end
  return whole
end

local function check_type(record, option, value, wanted)
  if value ~= nil and type(value) ~= wanted then
    fail(record, option .. " is a " .. wanted .. ", got " .. type(value), nil, option)
  end
end

local function check_options(record, spec)
  local key = options.first_unknown(spec, known)
  if key == nil then
    return
  end
  local help = suggest.help(key, known.names, "options")
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
    fail(record, "run is a function, got " .. type(run), RUN_HELP[type(run)])
  end
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
  check_run(record, spec.run)
  check_type(record, "description", spec.description, "string")
  check_type(record, "detached", spec.detached, "boolean")
  record.run = spec.run
  record.description = spec.description
  record.detached = spec.detached or false
  if spec.retry ~= nil then
    record.retry = M.check_retry(record, spec.retry)
  end
  record.depends_on = make_depends_on(record, spec.depends_on)
  record.outputs = make_outputs(record, spec.outputs)
  record.inputs = inputs.make(record, spec.inputs)
  return record
end

-- --- views

local function input_values(record, rebuild)
  local values
  for i = 1, record.inputs.n do
    local input = record.inputs[i]
    local kind = input.kind
    local value = input.value
    if kind == "reference" then
      value = input.reference
      if rebuild and input.type then
        value = ref.Ref(input.type, value, { default = input.default })
      end
    end
    if kind ~= "missing" and kind ~= "inputs" and kind ~= "context" then
      values = values or {}
      values[input.parameter or i] = value
    end
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
  return options.read_only({
    task_id = record.name,
    run = record.run,
    depends_on = dependency_names(record),
    retry = record.retry,
    inputs = input_values(record, false) or {},
    namespace = record.namespace,
    description = record.description,
    detached = record.detached,
  }, "RegisteredTask")
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
  return {
    run = record.run,
    inputs = input_values(record, true),
    outputs = outputs,
    depends_on = dependency_names(record),
    retry = record.retry,
    description = record.description,
    detached = record.detached,
  }
end

return M
