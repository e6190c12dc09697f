-- Where a task says that it needs another one, and cycles of such tasks as text.
local core = require "astrum.core"
local errors = require "astrum.error"

core.own()

local M = {}

local reference_task <const> = core.reference_task

local MOST_TOLD <const> = 5
local MOST_IN_CYCLE <const> = 20
local NONE <const> = {}

---The line of a reference. For a handle, and for no reference, that of the declaration.
---@param record astrum.TaskRecord
---@param reference userdata?
---@return table source and line
function M.place_of_reference(record, reference)
  if not reference then
    return record
  end
  local _, path, source, line, owner = core.reference(reference)
  if owner and path.n == 0 then
    return record
  end
  return { source = source, line = line }
end

---What carets point to where a task names another one.
---@param name string of the other one
---@param owner string
---@return astrum.Mark[]
function M.marks(name, owner)
  local marks = errors.marks(owner)
  table.insert(marks, 1, { name = name, form = "reference" })
  table.insert(marks, 2, { name = name, form = "string", after = "depends_on" })
  return marks
end

---Where a task says that it needs another one.
---@param task astrum.WorkflowTask
---@param name string of the other one
---@return table source and line
function M.place(task, name)
  local function reference_in(entry)
    for _, reference in ipairs(entry.references or { entry.reference }) do
      if reference_task(reference) == name then
        return reference
      end
    end
  end
  for i = 1, task.inputs.n do
    local reference = reference_in(task.inputs[i])
    if reference then
      return M.place_of_reference(task.record, reference)
    end
  end
  for _, list in ipairs(task.record.map or NONE) do
    local reference = reference_in(list.input)
    if reference then
      return M.place_of_reference(task.record, reference)
    end
  end
  return task.record
end

---A cycle as text, a -> c -> b -> a, where -> reads "needs".
---@param names string[] each needs the one before it, the first one the last
---@return string
function M.cycle_text(names)
  local path = { names[1] }
  for i = #names, 1, -1 do
    path[#path + 1] = names[i]
  end
  for i, name in ipairs(path) do
    path[i] = errors.escape(name)
  end
  if #path > MOST_IN_CYCLE then
    local half = MOST_IN_CYCLE // 2
    local left_out = "... " .. #path - MOST_IN_CYCLE .. " more ..."
    local shown = table.move(path, 1, half, 1, {})
    shown[half + 1] = left_out
    path = table.move(path, #path - half + 1, #path, half + 2, shown)
  end
  return table.concat(path, " -> ")
end

---Lines that say where the tasks of a cycle but the first need the next one; nil for none.
---@param tasks table<integer, astrum.WorkflowTask>
---@param ids integer[]
---@param names string[] of the ids
---@return string?
function M.others(tasks, ids, names)
  local lines = {}
  for i = #names, 2, -1 do
    if #lines == MOST_TOLD then
      lines[#lines + 1] = "and " .. i - 1 .. " more"
      break
    end
    local place = M.place(tasks[ids[i]], names[i - 1])
    local text = errors.escape(names[i]) .. " needs " .. errors.escape(names[i - 1])
    lines[#lines + 1] = errors.place(place.source, place.line) .. text
  end
  return lines[1] and table.concat(lines, "\n")
end

return M
