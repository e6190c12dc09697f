-- Plain declarations in a build: they stay in the columns of core.declarations, and what the rest
-- of the library wants to see of one is made when somebody looks at it.
local core = require "astrum.core"
local policies = require "astrum.policy"

core.own()

local M = {}

local reference_task <const> = core.reference_task

-- The binding's own, ns.
local DEFAULT_GRACE <const> = 5000000000

-- What policies look at of a record that says nothing of them.
local PLAIN <const> = { policy = policies.NONE }

---Whether tasks that are declared plainly may stay in columns: nothing is said of them but what
---they read from. The records are then all of the source, so that ids are numbers of declarations.
---@param build astrum.Build
---@param records astrum.TaskRecord[] those to build
---@return boolean
function M.can_stay(build, records)
  local source, config = build.source, build.config
  if not source.store or records ~= source.records then
    return false
  elseif #config.ignore_tail_task > 0 or config.strict_topology then
    return false
  end
  for _, record in ipairs(source.special) do
    if record.detached or record.workflow then
      return false
    end
  end
  local index = source.index
  for target in pairs(build.pushes) do
    local record = index[target]
    if record and source.store:is_plain(source.store:find(target)) then
      return false
    end
  end
  local numbers = build.nest.pools.numbers
  local policy = policies.effective(build.policies, PLAIN, build.settings, false, numbers)
  build.plain_policy = policy
  return not policy.graph and policy.executor == "loop" and policy.cancel_grace == DEFAULT_GRACE
end

---The records that tasks need, and their own, in the order of declaration: all of the source if it
---has no others. Plain ones are looked at in their columns.
---@param build astrum.Build
---@param names string[]
---@return astrum.TaskRecord[]
function M.select(build, names)
  local source = build.source
  local store, records = source.store, source.records
  local wanted, queue, count = {}, {}, 0
  local function want(number)
    if number and number ~= 0 and not wanted[number] then
      count = count + 1
      wanted[number], queue[count] = true, number
    end
  end
  local function want_name(name)
    want(store:find(name))
  end
  for _, name in ipairs(names) do
    want_name(name)
  end
  local first = 1
  while first <= count do
    local number = queue[first]
    if store:is_plain(number) and not build.pushes[store:name(number)] then
      local place, before = 1, store:reads(number, 1)
      while before do
        want(before)
        place = place + 1
        before = store:reads(number, place)
      end
    else
      build:each_dependency(records[number], want_name)
    end
    first = first + 1
  end
  if count == #records then
    return records
  end
  local selected = {}
  for number = 1, #records do
    if wanted[number] then
      selected[#selected + 1] = records[number]
    end
  end
  return selected
end

-- The names that a plain task waits for, each once.
local function plain_depends(record)
  local depends, seen = {}, {}
  for i = 1, record.inputs.n do
    local reference = record.inputs[i].reference
    local name = reference and reference_task(reference)
    if name and not seen[name] then
      seen[name] = true
      depends[#depends + 1] = name
    end
  end
  return depends
end

---Tasks and index for the first `count` declarations of a store; what a plain one looks like is
---made when somebody looks at it.
---@param build astrum.Build
---@param count integer
function M.use(build, count)
  local store, records, policy = build.source.store, build.source.records, build.plain_policy
  build.store, build.count = store, count
  build.tasks = setmetatable({}, {
    __index = function(tasks, id)
      if math.type(id) ~= "integer" or id > count or not store:is_plain(id) then
        return nil
      end
      local record = records[id]
      local task = {
        id = id,
        record = record,
        name = record.name,
        inputs = record.inputs,
        depends = plain_depends(record),
        policy = policy,
      }
      tasks[id] = task
      return task
    end,
    __len = function()
      return count
    end,
  })
  build.index = setmetatable({}, {
    __index = function(_, name)
      local id = store:find(name)
      return id and id <= count and id or nil
    end,
  })
end

---The number behind the plain tasks from `id` on for which `method` of the store could do its work.
---@param build astrum.Build
---@param method "add_tasks"|"connect"
---@param id integer
---@return integer
function M.behind(build, method, id)
  local store = build.store
  if store and store:is_plain(id) then
    return store[method](store, build.graph, id, build.count)
  end
  return id
end

return M
