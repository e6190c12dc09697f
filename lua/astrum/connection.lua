-- The edges of a workflow: from what each task says that it needs, or the mistake that it says so.
local core = require "astrum.core"
local edges = require "astrum.edge"
local errors = require "astrum.error"
local options = require "astrum.options"
local suggest = require "astrum.suggest"

core.own()

local M = {}

local quote <const> = errors.quote
local reference_task <const> = core.reference_task
local NONE <const> = {}

local function describe(entry, position)
  return (entry.is_list and "map " or "input ")
    .. (entry.parameter and quote(entry.parameter) or position)
end

-- Whether a task has been named, and its mistake is known already.
local function is_unfinished(build, name)
  for place in pairs(build.source.pending) do
    if place.name == name then
      return true
    end
  end
  return false
end

local function add_unknown_reference(build, record, entry, position, reference, name)
  local text = "task " .. quote(record.name) .. ": " .. describe(entry, position)
  text = text .. " reads from unknown task " .. quote(name)
  local place = edges.place_of_reference(record, reference)
  local marks = { { name = name, form = "reference", after = entry.parameter } }
  local fields = { task = record.name, marks = marks }
  local help = build:nearest_task(name, record.name)
  build:mistake("TaskDependencyError", place, text, help, fields)
end

local function add_foreign(build, record, what, place, name, owner)
  local text = "task " .. quote(record.name) .. ": " .. what .. " task " .. quote(name)
  local mine, theirs = quote(build.source.namespace), quote(owner.namespace)
  text = text .. " of " .. (mine == theirs and "another registry " or "namespace ") .. theirs
  build:mistake("TaskDependencyError", place, text, build:own_tasks_only(), { task = record.name })
end

-- An edge from task `name`, once; `reference` is where it comes from, nil for depends_on.
local function add_edge(build, task, name, reference)
  local before, after = build.index[name], task.id
  if build.last_edge[before] == after then
    return
  end
  build.last_edge[before] = after
  task.depends[#task.depends + 1] = name
  build.graph:edge(before, after)
  if build.detached[before] then
    local consumer = quote(task.name)
    local text = "task " .. quote(name) .. " is detached, but task " .. consumer .. " depends on it"
    local help = "nothing may wait for a detached task; take the dependency out, or the `detached`"
    local place = edges.place_of_reference(task.record, reference)
    local fields = { task = task.name, marks = edges.marks(name, task.name) }
    build:mistake("TaskDependencyError", place, text, help, fields)
  end
end

local function is_declared(record, name)
  for _, dependency in ipairs(record.depends_on) do
    if dependency.name == name then
      return true
    end
  end
  return false
end

-- The result of a workflow has a field for each of its tasks.
local function check_field(build, task, entry, position, reference, name)
  local before = build.tasks[build.index[name]]
  local child = before.child
  if not child or before.record.map then
    return
  end
  local _, path, source, line = core.reference(reference)
  local field = path[1]
  if field == nil then
    return
  end
  local names = {}
  for _, inside in ipairs(child.tasks) do
    if not inside.detached then
      names[#names + 1] = inside.name
    end
  end
  local inside = child.tasks[child.index[field]]
  if not inside or inside.detached then
    local what = inside and "a detached task" or "no task"
    local text = "task " .. quote(task.name) .. ": " .. describe(entry, position) .. " reads "
    text = text .. options.key_text(field) .. ", which is " .. what .. " of workflow "
    local help = suggest.help(field, names, "tasks")
    local place = { source = source, line = line }
    text = text .. quote(child.namespace)
    local marks = type(field) == "string"
      and { { name = field, form = "field", after = entry.parameter } }
    build:mistake("TaskDependencyError", place, text, help, { task = task.name, marks = marks })
  end
end

local function connect_reference(build, task, entry, position, reference)
  local record = task.record
  local name, _, owner = reference_task(reference)
  if owner and owner ~= build.source and not build.source.is_manual then
    local what = describe(entry, position) .. " reads from"
    add_foreign(build, record, what, edges.place_of_reference(record, reference), name, owner)
  elseif not build.index[name] then
    if not is_unfinished(build, name) then
      add_unknown_reference(build, record, entry, position, reference, name)
    end
  else
    add_edge(build, task, name, reference)
    check_field(build, task, entry, position, reference, name)
    if build.config.strict_topology and not is_declared(record, name) then
      local text = "Topology mismatch: Task " .. quote(record.name) .. " receives data from "
      text = text .. quote(name) .. ", but it is missing in from_tasks"
      local help = "add it to depends_on, or leave strict_topology out"
      local place = edges.place_of_reference(record, reference)
      local marks = { { name = name, form = "reference", after = entry.parameter } }
      local fields = { task = record.name, marks = marks }
      build:mistake("TaskDependencyError", place, text, help, fields)
    end
  end
end

local function connect_entry(build, task, entry, position)
  if entry.reference then
    connect_reference(build, task, entry, position, entry.reference)
  elseif entry.references then
    for _, reference in ipairs(entry.references) do
      connect_reference(build, task, entry, position, reference)
    end
  end
end

---Makes the edges from all tasks that a task waits for, and collects the mistakes in that.
---@param build astrum.Build
---@param task astrum.WorkflowTask
function M.connect(build, task)
  local record, inputs = task.record, task.inputs
  for i = 1, inputs.n do
    connect_entry(build, task, inputs[i], i)
  end
  for k, list in ipairs(record.map or NONE) do
    connect_entry(build, task, list.input, k)
  end
  for _, dependency in ipairs(record.depends_on) do
    local name, owner = dependency.name, dependency.owner
    if owner and owner ~= build.source and not build.source.is_manual then
      add_foreign(build, record, "depends_on names", record, name, owner)
    elseif build.index[name] then
      add_edge(build, task, name)
    elseif not is_unfinished(build, name) then
      local text = "Registry " .. quote(build.source.namespace) .. " has unknown dependencies: "
      text = text .. errors.list { name }
      local help = "task " .. quote(record.name) .. " depends on it"
      local nearest = build:nearest_task(name, record.name)
      help = nearest and help .. "; " .. nearest or help
      local marks = errors.marks(record.name)
      table.insert(marks, 1, { name = name, form = "string", after = "depends_on" })
      local fields = { task = record.name, marks = marks }
      build:mistake("TaskDependencyError", record, text, help, fields)
    end
  end
end

return M
