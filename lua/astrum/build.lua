-- From declarations to a workflow that can run: chooses the tasks, connects their inputs, and makes
-- the graph. Declarations are only read, so any number of builds may follow. All mistakes are
-- collected and raised as one error. Takes time linear in tasks and references.
local columns = require "astrum.columns"
local configs = require "astrum.config"
local connections = require "astrum.connection"
local core = require "astrum.core"
local edges = require "astrum.edge"
local errors = require "astrum.error"
local input = require "astrum.input"
local nested = require "astrum.nested"
local options = require "astrum.options"
local params = require "astrum.param"
local policies = require "astrum.policy"
local push = require "astrum.push"
local ref = require "astrum.ref"
local suggest = require "astrum.suggest"
local travel = require "astrum.travel"
local unused = require "astrum.unused"

core.own()

local M = {}

local quote <const> = errors.quote
local reference_task <const> = core.reference_task

local known = options.known { "namespace", "target_tasks", "config", "params" }

-- Comparing a name with all others takes long in a large build with many mistakes.
local MOST_COMPARED <const> = 1000000

local NONE <const> = {}

---A task of a workflow.
---@class astrum.WorkflowTask
---@field id integer
---@field record astrum.TaskRecord
---@field name string
---@field inputs table list of astrum.Input, with n
---@field depends string[] names of the tasks that it waits for
---@field detached true?
---@field policy astrum.Policy
---@field when { fn: function, positions: (integer|string)[] }? positions in the inputs, "inputs" or
---"context"
---@field child astrum.Workflow? what it runs in place of a body
---@field packed any what a child process is sent, by core.pack_function

---@class astrum.Workflow
---@field namespace string
---@field source astrum.Registry|table what it was built from
---@field graph userdata frozen
---@field plan userdata
---@field tasks astrum.WorkflowTask[] by id
---@field special astrum.WorkflowTask[] those of which more is said than what they read from
---@field detached table<integer, true> by id
---@field store userdata? the plain ones are its declarations of the same numbers
---@field index table<string, integer>
---@field targets string[]? named for this build
---@field warnings string[]
---@field config astrum.Config
---@field settings astrum.Settings
---@field params table<string, astrum.DeclaredParam> by name
---@field param_values table<string, any> given where it was built, checked
---@field pools string[] names in the order of their numbers; the workflows inside share the list
---@field height integer 1 and the workflows inside one another in it

---@class astrum.Build what one build works on
---@field source table records, index, pending, namespace
---@field nest astrum.Nest
---@field config astrum.Config
---@field settings astrum.Settings
---@field params table<string, astrum.DeclaredParam>
---@field mistakes astrum.Error[]
---@field pushes table<string, table[]> by target: the tasks that push into it
---@field tasks table[] the selected ones
---@field index table<string, integer> of the selected ones
local Build = {}
Build.__index = Build

function Build:mistake(kind, place, text, help, fields)
  if #self.mistakes >= errors.MOST_SHOWN then
    fields.marks = nil -- nobody sees them, and each would be read from a file
  end
  local mistake = errors.at(kind, place.source, place.line, text, help, fields)
  self.mistakes[#self.mistakes + 1] = mistake
end

-- Help for a task name that is not there; `asking` is the task that names it.
function Build:nearest_task(name, asking)
  local elsewhere = self.source.elsewhere and self.source:elsewhere(name)
  if elsewhere then
    return "there is one in namespace " .. quote(elsewhere) .. "; " .. self:own_tasks_only()
  end
  local names = self.names
  if not names then
    names = {}
    local store = self.source.store
    for i = 1, #self.source.records do
      names[i] = store and store:name(i) or self.source.records[i].name
    end
    self.names = names
  end
  self.compared = self.compared + #names
  if self.compared > MOST_COMPARED and self.compared > #names then
    return nil
  end
  local nearest = suggest.nearest(name, names)
  if not nearest or nearest == asking then
    return suggest.help(nil, names, "tasks")
  end
  local record = self.source.index[nearest]
  local place = errors.where(record.source, record.line)
  return "did you mean " .. quote(nearest) .. "? (declared at " .. place .. ")"
end

function Build:own_tasks_only()
  return "a task can use only tasks of its own namespace, here " .. quote(self.source.namespace)
end

-- --- which tasks

function Build:report_unfinished()
  local unfinished = {}
  for place in pairs(self.source.pending) do
    unfinished[#unfinished + 1] = place
  end
  table.sort(unfinished, function(a, b)
    return a.order < b.order
  end)
  for _, place in ipairs(unfinished) do
    local name = quote(place.name)
    local help = "write task " .. name .. " { run = function() ... end }"
    help = help .. "; a misspelled variable is nil"
    local text = "task " .. name .. " has a name but never got its body"
    local fields = { task = place.name, marks = errors.marks(place.name) }
    self:mistake("TaskRegistrationError", place, text, help, fields)
  end
end

-- Calls visit(name) for each task that a record depends on; a name may come more than once.
function Build:each_dependency(record, visit)
  local inputs = record.inputs
  for i = 1, inputs.n do
    for _, reference in ipairs(inputs[i].references or { inputs[i].reference }) do
      visit((reference_task(reference)))
    end
  end
  for _, list in ipairs(record.map or NONE) do
    for _, reference in ipairs(list.input.references or { list.input.reference }) do
      visit((reference_task(reference)))
    end
  end
  for _, pushed in ipairs(self.pushes[record.name] or NONE) do
    visit(pushed.record.name)
  end
  for _, dependency in ipairs(record.depends_on) do
    visit(dependency.name)
  end
end

-- The records to build, in the order of declaration.
function Build:select(targets, place)
  local source = self.source
  if targets == nil then
    return source.records
  end
  for _, name in ipairs(targets) do
    if not source.index[name] then
      local text = "Task " .. quote(name) .. " is not registered in "
      text = text .. quote(source.namespace) .. "."
      local fields = { task = name, marks = { { name = name, form = "string" } } }
      self:mistake("TaskNotFoundError", place, text, self:nearest_task(name), fields)
    end
  end
  if source.store then
    return columns.select(self, targets)
  end
  local wanted, queue = {}, {}
  local function want(name)
    if not wanted[name] and source.index[name] then
      wanted[name] = true
      queue[#queue + 1] = source.index[name]
    end
  end
  for _, name in ipairs(targets) do
    want(name)
  end
  local first = 1
  while queue[first] do
    self:each_dependency(queue[first], want)
    first = first + 1
  end
  local selected = {}
  for _, record in ipairs(source.records) do
    if wanted[record.name] then
      selected[#selected + 1] = record
    end
  end
  return selected
end

-- The inputs of a record with what other tasks push into it.
function Build:inputs_of(record)
  if record.workflow then
    local inputs = push.apply(self, record, nested.inputs(self, record))
    return nested.complete(self, record, inputs)
  end
  local inputs = push.apply(self, record, record.inputs)
  if record.has_missing then
    for i = 1, inputs.n do
      if inputs[i].kind == "missing" then
        self.mistakes[#self.mistakes + 1] = input.missing(record, inputs[i].parameter)
      end
    end
  end
  return inputs
end

-- The condition with the places of its arguments.
function Build:condition_of(task)
  local record = task.record
  local positions, unknown = input.positions(record.when, task.inputs)
  if not positions then
    local text = "task " .. quote(record.name) .. ": when has the parameter " .. quote(unknown)
    text = text .. ", which is no input of the task"
    local names = {}
    for i = 1, task.inputs.n do
      names[i] = task.inputs[i].parameter
    end
    local help = suggest.help(unknown, names, "inputs")
    local fields = { task = record.name, marks = errors.marks(record.name, "when") }
    self:mistake("TaskRegistrationError", record, text, help, fields)
  end
  return { fn = record.when.fn, positions = positions }
end

-- What a child process or another thread needs of a body.
function Build:packed_body(task)
  local record = task.record
  local nest = self.nest
  if nest.packed[record.run] then
    return nest.packed[record.run]
  end
  nest.exports = nest.exports or core.exports and core.exports()
  local packed, why = core.pack_function(record.run, nest.exports)
  if packed == nil then
    local source, line = core.definition(record.run)
    local place = line > 0 and { source = source, line = line } or record
    local what, help = travel.of_body(record.run, why)
    local text = "task " .. quote(record.name) .. ": executor = "
    text = text .. quote(task.policy.executor) .. ": " .. what
    local upvalue = why:match "^upvalue '([%a_][%w_]*)"
    local marks = upvalue and { { name = upvalue, form = "upvalue" } }
    self:mistake("TaskRegistrationError", place, text, help, { task = record.name, marks = marks })
  end
  nest.packed[record.run] = packed
  return packed
end

-- Inputs and lists of a map that are written in the declaration travel with each attempt.
function Build:check_constants(task)
  local record = task.record
  self.nest.travelling = self.nest.travelling or {}
  local function check(entry, what, root)
    local why = travel.constant_problem(entry, root, self.nest.travelling)
    if why then
      local place = travel.PLACES[task.policy.executor]
      local text, help = travel.input_text(what, place, why)
      text = "task " .. quote(record.name) .. ": " .. text
      local marks = errors.marks(record.name, entry.parameter)
      local fields = { task = record.name, marks = marks }
      self:mistake("TaskRegistrationError", record, text, help, fields)
    end
  end
  for i = 1, task.inputs.n do
    check(task.inputs[i], travel.names(task.inputs[i], i))
  end
  for _, list in ipairs(record.map or NONE) do
    check(list.input, "map " .. quote(list.parameter), list.parameter)
  end
end

-- --- the graph

function Build:policy_of(record, detached)
  if record.policy.pools then
    nested.number_pools(self, record)
  end
  local numbers = self.nest.pools.numbers
  return policies.effective(self.policies, record, self.settings, detached, numbers)
end

-- A trigger that looks at tasks upstream where there are none.
function Build:check_trigger(task)
  local record = task.record
  local has_upstream = false
  self:each_dependency(record, function()
    has_upstream = true
  end)
  if not has_upstream then
    local text = "task " .. quote(record.name) .. ": trigger = " .. quote(task.policy.trigger)
    text = text .. ", but nothing is upstream"
    local help = "add a dependency, or leave trigger out"
    local fields = { task = record.name, marks = errors.marks(record.name, "trigger") }
    self:mistake("TaskDependencyError", record, text, help, fields)
  end
end

function Build:add_tasks(records)
  local ignored = {}
  for _, name in ipairs(self.config.ignore_tail_task) do
    ignored[name] = true
  end
  if columns.can_stay(self, records) then
    columns.use(self, #records)
  end
  local count, id = #records, 1
  while id <= count do
    local next_id = columns.behind(self, "add_tasks", id)
    if next_id == id then
      self:add_task(id, records[id], ignored)
      next_id = id + 1
    end
    id = next_id
  end
  for _, setting in ipairs { "ignore_tail_task", "keep_results" } do
    local names = self.config[setting]
    for _, name in ipairs(type(names) == "table" and names or {}) do
      if not self.index[name] then
        local text = setting .. " names unknown task " .. quote(name)
        self:mistake("ConfigError", self.place, text, self:nearest_task(name), { task = name })
      end
    end
  end
end

function Build:add_task(id, record, ignored)
  local detached = record.detached or ignored[record.name] or false
  self.detached[id] = detached or nil
  local policy = self:policy_of(record, detached)
  local added, why = self.graph:add(record.name, policy.graph)
  if not added then
    error(errors.new("SchedulerError", "task " .. quote(record.name) .. ": " .. why), 0)
  end
  if not self.store then
    self.index[record.name] = id
  end
  local task = {
    id = id,
    record = record,
    name = record.name,
    detached = detached or nil,
    depends = {},
    policy = policy,
  }
  self.tasks[id] = task
  if self.store then
    self.special[#self.special + 1] = task
  end
end

function Build:freeze()
  local frozen, why, code, cycle = self.graph:freeze()
  if frozen then
    return
  elseif code ~= "ECYCLE" then
    -- A detached task with dependents has been reported already.
    if #self.mistakes == 0 then
      error(errors.new("SchedulerError", "the graph cannot be made: " .. tostring(why)), 0)
    end
    return
  end
  local names = {}
  for i, id in ipairs(cycle) do
    names[i] = self.tasks[id].name
  end
  local place = edges.place(self.tasks[cycle[1]], names[#names])
  local text = "dependency cycle: " .. edges.cycle_text(names)
  local help = #names == 1 and "a task cannot wait for itself; take this dependency out"
    or "each of them waits for the next; take one of these dependencies out"
  local marks = edges.marks(names[#names], names[1])
  local note = edges.others(self.tasks, cycle, names)
  local fields = { task = names[1], cycle = names, marks = marks, note = note }
  self:mistake("TaskOrderLoopError", place, text, help, fields)
end

-- --- entry

-- What the options are called elsewhere.
local OTHER_NAMES <const> = {
  args = "params",
  arguments = "params",
  configuration = "config",
  inputs = "params",
  options = "config",
  settings = "config",
  targets = "target_tasks",
  tasks = "target_tasks",
}

---Checks the table of options of a build and gives its parts. The array part is `target_tasks`.
---Raises errors at the user's line.
---@param given table?
---@param what string the function that they were given to
---@return table options namespace, target_tasks (names, or nil for all), config, params
function M.options(given, what)
  options.want_dot(given, what, "ConfigError")
  given = given == nil and {} or given
  if type(given) ~= "table" then
    local help = type(given) == "string"
      and "write " .. what .. " { " .. ("%q"):format(given) .. " }"
    errors.raise(
      "ConfigError",
      what .. ": the options are a table, got " .. type(given),
      help or nil
    )
  end
  local named, listed = {}, {}
  for key, value in next, given do
    local part = math.type(key) == "integer" and listed or named
    part[key] = value
  end
  local unknown = options.first_unknown(named, known)
  if unknown ~= nil then
    local text = what .. ": unknown option " .. options.key_text(unknown)
    local help = options.help(unknown, known, OTHER_NAMES)
    if configs.has(unknown) then
      help = "it belongs in config: config = { " .. unknown .. " = ... }"
    elseif policies.has_default(unknown) then
      help = "for all tasks: config = { defaults = { " .. unknown .. " = ... } }"
    end
    errors.raise("ConfigError", text, help, { marks = options.marks(unknown) })
  end
  local targets = named.target_tasks
  if next(listed) ~= nil then
    if targets ~= nil then
      errors.raise("ConfigError", what .. ": targets are listed and in target_tasks; give one")
    end
    targets = listed
  end
  local names
  if targets ~= nil then
    if type(targets) ~= "table" or not options.is_list(targets) then
      local text = what .. ": target_tasks is a list of task names without holes"
      errors.raise("ConfigError", text, 'write target_tasks = { "a", "b" }')
    end
    names = {}
    for i, target in ipairs(targets) do
      names[i] = ref.task_name(target)
      if not names[i] then
        local text = what .. ": target " .. i .. " is the name or the handle of a task, got "
        errors.raise("ConfigError", text .. type(target))
      end
    end
  end
  if named.namespace ~= nil and type(named.namespace) ~= "string" then
    errors.raise("ConfigError", what .. ": namespace is a string, got " .. type(named.namespace))
  end
  local values = named.params
  if values ~= nil and type(values) ~= "table" then
    local text = what .. ": params is a table of values by name, got " .. type(values)
    errors.raise("ConfigError", text)
  end
  return {
    namespace = named.namespace,
    target_tasks = names,
    config = configs.AstrumConfig(named.config),
    params = values,
  }
end

local build_one

-- Builds the workflows inside; how many are inside one another.
function Build:add_children()
  local height = 0
  for _, task in ipairs(self.special) do
    if task.record.workflow then
      task.child = nested.child(self, task.record, build_one)
      height = math.max(height, task.child and task.child.height or 0)
    end
  end
  return height
end

function Build:finish_task(task)
  local record = task.record
  task.inputs = self:inputs_of(record)
  if record.when then
    task.when = self:condition_of(task)
  end
  if record.has_params then
    params.use(self.params, record)
  end
  local policy = task.policy
  if policy.executor ~= "loop" and core.pack_function then
    task.packed = self:packed_body(task)
    self:check_constants(task)
  end
  push.check_targets(self, record)
  connections.connect(self, task)
  if not policies.is_free(policy.trigger) then
    self:check_trigger(task)
  end
end

-- Builds one workflow; `given` has target_tasks and params. nil: it has mistakes, which `nest` has.
local function build_source(source, nest, place, given)
  local before = #nest.mistakes
  local config = #nest.path == 0 and nest.config or nested.inner_config(nest)
  local self = setmetatable({
    source = source,
    nest = nest,
    config = config,
    settings = configs.settings(config),
    place = place,
    mistakes = nest.mistakes,
    pushes = push.collect(source.special or source.records),
    tasks = {},
    index = {},
    detached = {},
    policies = {},
    special = {},
    last_edge = {},
    compared = 0,
    graph = core.graph(),
  }, Build)
  nest.path[#nest.path + 1] = source
  source.built = #source.records
  self.params = nested.params_of(self, source)
  self:report_unfinished()
  if #source.records == 0 and #nest.mistakes == before and not source.is_manual then
    local text = "namespace " .. quote(source.namespace) .. " has no tasks"
    self:mistake("TaskNotFoundError", self.place, text, "declare tasks before they are built")
  end
  self:add_tasks(self:select(given.target_tasks, self.place))
  self.special = self.store and self.special or self.tasks
  local height = self:add_children()
  local id = 1
  while id <= #self.tasks do
    local next_id = columns.behind(self, "connect", id)
    if next_id == id then
      self:finish_task(self.tasks[id])
      next_id = id + 1
    end
    id = next_id
  end
  local values = params.check(self.params, given.params, function(text, help)
    self:mistake("ConfigError", self.place, text, help)
  end)
  self:freeze()
  nest.path[#nest.path] = nil
  if #nest.mistakes > before then
    return nil
  end
  return {
    namespace = source.namespace,
    source = source,
    graph = self.graph,
    plan = self.graph:plan(),
    tasks = self.tasks,
    special = self.special,
    detached = self.detached,
    store = self.store,
    index = self.index,
    targets = given.target_tasks,
    warnings = {},
    config = self.config,
    settings = self.settings,
    params = self.params,
    param_values = values,
    pools = nest.pools.names,
    height = height + 1,
  }
end

build_one = function(registry, nest, place)
  return build_source(registry, nest, place, NONE)
end

---Builds a workflow and those inside it. Raises one error with all mistakes in `errors`.
---@param source table a registry, or a table with its fields records, index, pending, namespace
---@param given table? target_tasks, config, params; open_pools: the config that declares the pools
---is not known, so any will do
---@return astrum.Workflow
function M.build(source, given)
  given = given or NONE
  local user_source, user_line = core.where()
  local nest = nested.new(configs.AstrumConfig(given.config), given.open_pools)
  local place = { source = user_source, line = user_line }
  local workflow = build_source(source, nest, place, given)
  if not workflow then
    unused.is_used = true
    error(errors.combine(nest.mistakes), 0)
  end
  return workflow
end

return M
