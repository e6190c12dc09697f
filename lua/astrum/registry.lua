-- Registries hold the declarations of one namespace, in order. The hub has the registries that are
-- reached by their namespace; SchedulerRegistry and workflow make some outside of it.
local build = require "astrum.build"
local core = require "astrum.core"
local errors = require "astrum.error"
local manual = require "astrum.manual"
local options = require "astrum.options"
local suggest = require "astrum.suggest"
local tasks = require "astrum.task"
local unused = require "astrum.unused"

core.own()

local M = {}

local quote <const> = errors.quote

---The namespace where tasks are declared when nothing else is said.
M.DEFAULT_NAMESPACE = "default"

-- --- registries

---The declarations of one namespace, in their order.
---@class astrum.Registry
---@field namespace string
---@field task function declares a task; may be called with . and :
---@field store userdata the declarations in columns; records are made of those that are plain
---when they are looked at
---@field declare_plain function declares what the store can keep, else returns nothing
---@field special astrum.TaskRecord[] those that are not plain, in the order of declaration
---@field records astrum.TaskRecord[] in the order of declaration
---@field index table<string, astrum.TaskRecord>
---@field built integer? how many of them the last build has seen
---@field pending table<table, true> tasks that have a name and no body yet
local Registry = { __name = "astrum.Registry" }
Registry.__index = Registry

-- What has been entered at a prompt so far. A declaration of one entry replaces those of earlier
-- ones; a script is one entry. Only what a script declares is kept in columns: the others are not
-- many, and their records tell the entry.
local entries = 0

---Begins an entry at a prompt.
---@return integer number of the entry; the tasks that it declares have it in their records
function M.begin_entry()
  entries = entries + 1
  return entries
end

---The number of the last entry.
---@return integer 0 before the first
function M.last_entry()
  return entries
end

-- What a registry has of its declarations. It is never changed but by further ones: schedulers that
-- have been built look at it.
local function new_columns(registry)
  local store = core.declarations()
  local records = setmetatable({}, {
    __index = function(records, number)
      if store:is_plain(number) then
        local record = tasks.plain_record(store, number, registry)
        rawset(records, number, record)
        return record
      end
    end,
    __len = function()
      return store:count()
    end,
  })
  local index = setmetatable({}, {
    __index = function(_, name)
      local number = store:find(name)
      return number and records[number]
    end,
  })
  return { store = store, records = records, special = {}, index = index }
end

local function use(registry, columns)
  registry.store, registry.records = columns.store, columns.records
  registry.special, registry.index = columns.special, columns.index
  if registry.declare_plain then
    columns.store:adopt(registry.declare_plain)
  else
    registry.declare_plain = columns.store:declarer(registry)
  end
end

local function keep(columns, record)
  rawset(columns.records, columns.store:add(record.name), record)
  columns.special[#columns.special + 1] = record
end

-- Puts a record in the place of the one that it replaces. For the first one all declarations move
-- to new columns, none of them plain; there a build has looked at a record for the last time when
-- it is done.
local function replace(registry, record)
  if #registry.special < registry.store:count() then
    local columns = new_columns(registry)
    for _, each in ipairs(registry.records) do
      keep(columns, each)
    end
    use(registry, columns)
  end
  local number = registry.store:find(record.name)
  rawset(registry.records, number, record)
  registry.special[number] = record
end

-- A name that was entered earlier without its spec does not wait for it any more.
local function drop_pending(registry, name)
  for place in pairs(registry.pending) do
    if place.name == name and place.entry ~= entries then
      registry.pending[place] = nil
    end
  end
end

local function add(registry, name, spec, source, line)
  local earlier = registry.index[name]
  if earlier and earlier.entry == entries then
    local text = "task " .. quote(name) .. " is declared twice in namespace "
    text = text .. quote(registry.namespace)
    local help = "first declared at this very line; give each its own name"
    if earlier.source ~= source or earlier.line ~= line then
      help = "first declared at " .. errors.where(earlier.source, earlier.line)
      help = help .. "; give one of them another name"
    elseif M.in_hub(registry) then
      local clear = 'astrum.clear_registry("' .. errors.escape(registry.namespace) .. '")'
      help = help .. ", or call " .. clear .. " before the same code runs again"
    end
    local fields = { task = name, marks = errors.marks(name) }
    error(errors.at("TaskRegistrationError", source, line, text, help, fields), 0)
  end
  local record = tasks.record(name, spec, registry.namespace, source, line)
  record.entry = entries
  if earlier then
    replace(registry, record)
  else
    keep(registry, record)
  end
  drop_pending(registry, name)
  return core.new_handle(name, registry, source, line)
end

-- Declares a task, or remembers its name and returns the function that takes its spec.
-- `choose(spec)` gives the registry.
local function declare(choose, name, spec)
  tasks.check_name(name)
  local source, line = core.where()
  if spec ~= nil then
    return add(choose(spec, name), name, spec, source, line)
  end
  local waiting = choose(nil, name)
  waiting.started = waiting.started + 1
  local place = { name = name, source = source, line = line, entry = entries }
  place.order = waiting.started
  waiting.pending[place] = true
  return function(late_spec)
    if late_spec == nil then
      errors.raise(
        "TaskRegistrationError",
        "task " .. quote(name) .. ": the table of options or the function is nil"
      )
    end
    waiting.pending[place] = nil
    return add(choose(late_spec, name), name, late_spec, source, line)
  end
end

local function given_namespace(spec, name)
  local namespace = type(spec) == "table" and spec.namespace
  if namespace and (type(namespace) ~= "string" or namespace == "") then
    local got = namespace == "" and "an empty one" or type(namespace)
    errors.raise(
      "TaskRegistrationError",
      "task " .. quote(name) .. ": namespace is a string, got " .. got
    )
  end
  return namespace
end

-- All that are alive, those of the hub and the others, with a number in the order in which they
-- were made.
local alive = setmetatable({}, { __mode = "k" })
local made = 0

local function new_registry(namespace)
  made = made + 1
  local registry = setmetatable({ namespace = namespace }, Registry)
  alive[registry] = made
  local function choose(spec, name)
    local wanted = given_namespace(spec, name)
    if wanted and wanted ~= namespace then
      errors.raise(
        "TaskRegistrationError",
        "task "
          .. quote(name)
          .. ": namespace "
          .. quote(wanted)
          .. " does not fit the registry of namespace "
          .. quote(namespace),
        "leave the option out, or declare it with astrum.task"
      )
    end
    return registry
  end
  registry:clear()
  local declare_plain = registry.declare_plain
  function registry.task(first, second, third)
    local handle = entries == 0 and declare_plain(first, second)
    if handle then
      return handle
    elseif rawequal(first, registry) then
      return declare(choose, second, third)
    end
    return declare(choose, first, second)
  end
  return registry
end

local function check_namespace(what, namespace)
  options.want_dot(namespace, what, "TaskRegistrationError")
  if type(namespace) ~= "string" then
    errors.raise(
      "TaskRegistrationError",
      what .. ": the namespace is a string, got " .. type(namespace)
    )
  elseif namespace == "" then
    errors.raise("TaskRegistrationError", what .. ": the namespace is empty")
  end
end

---Whether a value is a registry.
---@param value any
---@return boolean
function M.is_registry(value)
  return getmetatable(value) == Registry
end

---Forgets all declarations. Handles can still be used as names.
function Registry:clear()
  use(self, new_columns(self))
  self.pending, self.started, self.built = {}, 0, self.built and 0
end

local function names_of(registry)
  local names = {}
  for i = 1, registry.store:count() do
    names[i] = registry.store:name(i)
  end
  return names
end

---The declaration of one task, read-only: task_id, run, depends_on (names), retry, inputs,
---namespace, description, detached. Raises a TaskNotFoundError when there is none.
---@param name string
---@return table
function Registry:get_task(name)
  local record = self.index[name]
  if not record then
    local text = "Task " .. options.key_text(name) .. " is not registered in "
    local help = suggest.help(name, names_of(self), "tasks")
    errors.raise("TaskNotFoundError", text .. quote(self.namespace) .. ".", help)
  end
  return tasks.view(record)
end

---All declarations by name. Changing the table changes nothing else.
---@return table<string, table>
function Registry:get_all_tasks()
  local all = {}
  for _, record in ipairs(self.records) do
    all[record.name] = tasks.view(record)
  end
  return all
end

local function check_options(registry, given, what)
  given = build.options(given, what)
  if given.namespace and given.namespace ~= registry.namespace then
    errors.raise(
      "ConfigError",
      what
        .. ": namespace "
        .. quote(given.namespace)
        .. " is not that of the registry, "
        .. quote(registry.namespace)
    )
  end
  return given
end

---The tasks with what they wait for, in the order of declaration. Raises what `build_scheduler`
---raises.
---@param given table? target_tasks, config
---@return astrum.TaskOrder[]
function Registry:build_task_orders(given)
  given = check_options(self, given, "build_task_orders")
  unused.is_used = true
  return manual.task_orders(build.build(self, given))
end

---The tasks as DynamicScheduler takes them, in the order of declaration. Raises what
---`build_scheduler` raises.
---@param given table? target_tasks
---@return table[] pairs of a name and a spec
function Registry:build_tasks(given)
  given = check_options(self, given, "build_tasks")
  unused.is_used = true
  local list = {}
  for i, task in ipairs(build.build(self, given).tasks) do
    list[i] = { task.name, tasks.spec(task.record) }
  end
  return list
end

---Checks everything and returns a scheduler. Raises one error with all mistakes in `errors`, a
---ConfigError for wrong options.
---@param given table? target_tasks, config, params
---@return astrum.Scheduler
function Registry:build_scheduler(given)
  given = check_options(self, given, "build_scheduler")
  return require("astrum.scheduler").build_scheduler(self, given)
end

---Builds and executes. Raises what `build_scheduler` and `execute` raise; a task that fails raises
---nothing, it is in the report.
---@param given table? target_tasks (or the array part), config, params
---@return astrum.Report
function Registry:run(given)
  given = check_options(self, given, "run")
  return require("astrum.scheduler").run(self, given)
end

options.want_colon(Registry, "registry", function(value)
  return getmetatable(value) == Registry
end)

---Makes a registry outside of the hub: `get_registry` does not find it. Raises a
---TaskRegistrationError for what is no name.
---@param namespace string? "default" when left out
---@return astrum.Registry
function M.SchedulerRegistry(namespace)
  namespace = namespace == nil and M.DEFAULT_NAMESPACE or namespace
  check_namespace("SchedulerRegistry", namespace)
  return new_registry(namespace)
end

-- --- the hub

local hub = {}

-- Namespaces made active, by coroutine.
local active = setmetatable({}, { __mode = "k" })

---The namespace that is active in this coroutine.
---@return string
function M.active_namespace()
  local stack = active[coroutine.running()]
  return stack and stack[#stack] or M.DEFAULT_NAMESPACE
end

---The registry of a namespace; it is made when it is new. Raises a TaskRegistrationError for what
---is no name.
---@param namespace string not empty
---@return astrum.Registry
function M.namespace(namespace)
  check_namespace("namespace", namespace)
  local registry = hub[namespace]
  if not registry then
    registry = new_registry(namespace)
    hub[namespace] = registry
  end
  return registry
end

---The registry of a namespace; it is made when it is new. Raises a TaskRegistrationError for what
---is no name.
---@param namespace string? the active one when left out
---@return astrum.Registry
function M.get_registry(namespace)
  return M.namespace(namespace == nil and M.active_namespace() or namespace)
end

---The namespaces that have tasks, sorted.
---@return string[]
function M.namespaces()
  local names = {}
  for name, registry in pairs(hub) do
    if #registry.records > 0 then
      names[#names + 1] = name
    end
  end
  table.sort(names)
  return names
end

---The first other namespace of the hub, by name, that has a task of this name.
---@param name string
---@return string?
function Registry:elsewhere(name)
  local found
  for namespace, other in pairs(hub) do
    if other ~= self and other.index[name] and (found == nil or namespace < found) then
      found = namespace
    end
  end
  return found
end

---Whether a registry is the hub's for its namespace.
---@param registry astrum.Registry
---@return boolean
function M.in_hub(registry)
  return hub[registry.namespace] == registry
end

local function in_order(registries)
  table.sort(registries, function(a, b)
    return alive[a] < alive[b]
  end)
  return registries
end

---The registries of the hub that have tasks, in the order in which they were made.
---@return astrum.Registry[]
function M.with_tasks()
  local list = {}
  for _, registry in pairs(hub) do
    if #registry.records > 0 or next(registry.pending) then
      list[#list + 1] = registry
    end
  end
  return in_order(list)
end

---All registries that somebody has, in the order in which they were made.
---@return astrum.Registry[]
function M.all()
  local list = {}
  for registry in pairs(alive) do
    list[#list + 1] = registry
  end
  return in_order(list)
end

---Forgets the declarations of one namespace, or of all. Schedulers that were built stay as they
---are. A namespace that is not there is no error.
---@param namespace string? all when left out
function M.clear_registry(namespace)
  if namespace ~= nil then
    check_namespace("clear_registry", namespace)
    if hub[namespace] then
      hub[namespace]:clear()
    end
    return
  end
  for _, registry in pairs(hub) do
    registry:clear()
  end
end

local Guard = { __name = "astrum.namespace guard" }

function Guard:__close()
  local stack = self.stack
  for i = #stack, self.height + 1, -1 do
    stack[i] = nil
  end
end

local function push_namespace(namespace)
  local thread = coroutine.running()
  local stack = active[thread]
  if not stack then
    stack = {}
    active[thread] = stack
  end
  local guard = setmetatable({ stack = stack, height = #stack }, Guard)
  stack[#stack + 1] = namespace
  return guard
end

---Makes a namespace active: while `body` runs, or until the returned value is closed, as in
---`local _ <close> = use_namespace "x"`. Errors of the body pass unchanged. Raises a
---TaskRegistrationError for a wrong argument.
---@param namespace string not empty
---@param body function? called with the further arguments
---@return any ... results of the body, or the value to close
function M.use_namespace(namespace, body, ...)
  check_namespace("use_namespace", namespace)
  if body == nil then
    return push_namespace(namespace)
  elseif type(body) ~= "function" then
    errors.raise(
      "TaskRegistrationError",
      "use_namespace: the body is a function, got " .. type(body)
    )
  end
  local _ <close> = push_namespace(namespace)
  return body(...)
end

local function choose_registry(spec, name)
  return M.namespace(given_namespace(spec, name) or M.active_namespace())
end

---Declares a task of the active namespace, or of the one that its spec names:
---task(name, spec), task(name, body), task "name" { ... }. Raises a TaskRegistrationError at the
---declaration for whatever is wrong with it, and for a name that is there already.
---@param name string 1 to 1024 bytes
---@param spec table|function|nil an astrum.TaskSpec, or the body alone
---@return any handle a reference to the whole result; without spec the function that takes it
function M.task(name, spec)
  local registry = hub[M.active_namespace()]
  local handle = registry and entries == 0 and registry.declare_plain(name, spec)
  if handle then
    return handle
  end
  return declare(choose_registry, name, spec)
end

-- The registry of a namespace that has tasks, or an error.
local function registry_to_build(given)
  local namespace = given.namespace or M.active_namespace()
  local registry = hub[namespace]
  if registry and (#registry.records > 0 or next(registry.pending)) then
    return registry
  end
  local namespaces = M.namespaces()
  local help = 'declare tasks first, as in astrum.task "load" { run = function() ... end }'
  if #namespaces > 0 then
    help = suggest.help(namespace, namespaces, "namespaces with tasks")
  end
  local fields = { marks = { { name = namespace, form = "string" } } }
  local text = "namespace " .. quote(namespace) .. " has no tasks"
  errors.raise("TaskNotFoundError", text, help, fields)
end

---Checks a namespace and returns a scheduler. Raises one error with all mistakes in `errors`, a
---TaskNotFoundError for a namespace without tasks, a ConfigError for wrong options.
---@param given table? an astrum.BuildOptions: namespace, target_tasks, config, params
---@return astrum.Scheduler
function M.build_scheduler(given)
  given = build.options(given, "build_scheduler")
  local registry = registry_to_build(given)
  return require("astrum.scheduler").build_scheduler(registry, given)
end

---Builds a namespace and executes it. Raises what `build_scheduler` and `execute` raise; a task
---that fails raises nothing, it is in the report.
---@param given table? an astrum.BuildOptions: namespace, targets, config, params
---@return astrum.Report
function M.run(given)
  given = build.options(given, "run")
  local registry = registry_to_build(given)
  return require("astrum.scheduler").run(registry, given)
end

---The tasks of a namespace with what they wait for, in the order of declaration. Raises what
---`build_scheduler` raises.
---@param given table? an astrum.BuildOptions: namespace, target_tasks, config
---@return astrum.TaskOrder[]
function M.build_task_orders(given)
  given = build.options(given, "build_task_orders")
  unused.is_used = true
  return manual.task_orders(build.build(registry_to_build(given), given))
end

-- --- workflow "x" { ... }

-- Where the body of a spec begins; C functions have no line and come last.
local function body_place(spec)
  local body = spec
  if type(spec) == "table" then
    body = spec.run
  end
  if type(body) ~= "function" then
    return nil, math.maxinteger
  end
  local source, line = core.definition(body)
  if line < 0 then
    return nil, math.maxinteger
  end
  return source, line
end

local function declare_all(registry, specs)
  local source, line = core.where()
  if type(specs) ~= "table" then
    errors.raise(
      "TaskRegistrationError",
      "workflow "
        .. quote(registry.namespace)
        .. ": a table of tasks by name must follow, got "
        .. type(specs)
    )
  end
  local places, names = {}, {}
  for name, spec in next, specs do
    if type(name) ~= "string" then
      errors.raise(
        "TaskRegistrationError",
        "workflow " .. quote(registry.namespace) .. ": " .. tostring(name) .. " is no task name",
        "write name = { run = function() ... end }"
      )
    end
    local body_source, body_line = body_place(spec)
    places[name] = { source = body_source or source, line = body_line, known = body_source }
    names[#names + 1] = name
  end
  table.sort(names, function(a, b)
    if places[a].line ~= places[b].line then
      return places[a].line < places[b].line
    end
    return a < b
  end)
  for _, name in ipairs(names) do
    local place = places[name]
    tasks.check_name(name)
    add(registry, name, specs[name], place.source, place.known and place.line or line)
  end
  return registry
end

---Makes a registry outside of the hub from a table of tasks by name, in the order of the lines of
---their bodies, then of the names:
---workflow "x" { load = function() ... end, sum = { run = ..., inputs = ... } }.
---Raises a TaskRegistrationError as `task` does.
---@param namespace string not empty
---@param specs table? an astrum.TaskSpec or a body for each name
---@return astrum.Registry|function registry without specs, the function that takes them
function M.workflow(namespace, specs)
  check_namespace("workflow", namespace)
  local registry = new_registry(namespace)
  if specs ~= nil then
    return declare_all(registry, specs)
  end
  return function(late_specs)
    return declare_all(registry, late_specs)
  end
end

return M
