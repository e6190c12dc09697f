-- A run and a plan made of plain tables, with the methods of the real ones that a report uses.
local M = {}

local Run = {}
Run.__index = Run

function Run:status()
  return self.summary
end

function Run:record(id)
  return self.records[id]
end

function Run:busy(id)
  return self.records[id].busy, self.records[id].attempts
end

function Run:state(id)
  return self.records[id].state
end

function Run:outcome(id)
  local record = self.records[id]
  return record.state, record.cause, record.blame
end

function Run:next_unusual(id)
  for after = id + 1, #self.records do
    local record = self.records[after]
    if record.state ~= "completed" or record.attempts ~= 1 or record.items then
      return after
    end
  end
end

function Run:attempts(id)
  return self.attempt_lists[id] or {}
end

function Run:result(id)
  return self.results[id]
end

function Run:error(id)
  return self.errors[id]
end

local Plan = {}
Plan.__index = Plan

function Plan:stage_count()
  return #self.stages
end

function Plan:level(id)
  return self.levels[id]
end

function Plan:max_parallelism()
  local most = 0
  for _, stage in ipairs(self.stages) do
    most = math.max(most, #stage.parallel)
  end
  return most
end

function Plan:stage(level, list)
  return self.stages[level + 1][list]
end

-- The tasks of the workflow must stand in an order in which they could run.
function Plan:critical_path(weights)
  local sums, before, best = {}, {}, nil
  for id, parents in ipairs(self.parents) do
    local longest = nil
    for _, parent in ipairs(parents) do
      if not longest or sums[parent] > sums[longest] then
        longest = parent
      end
    end
    before[id] = longest
    sums[id] = (longest and sums[longest] or 0) + weights[id]
    best = (not best or sums[id] > sums[best]) and id or best
  end
  local path, id = {}, best
  while id do
    table.insert(path, 1, id)
    id = before[id]
  end
  return path, best and sums[best] or 0
end

local Graph = {}
Graph.__index = Graph

function Graph:downstream(id)
  return self.below[id] or {}
end

--- Gives a workflow of spec.support.graphs a plan, and its graph.
---@param workflow table
---@return table
function M.plan(workflow)
  local plan = setmetatable({ levels = {}, parents = {}, stages = {} }, Plan)
  local below = {}
  for id, task in ipairs(workflow.tasks) do
    local level, parents = 0, {}
    for position, name in ipairs(task.depends) do
      parents[position] = workflow.index[name]
      level = math.max(level, plan.levels[workflow.index[name]] + 1)
    end
    plan.levels[id], plan.parents[id] = level, parents
    local stage = plan.stages[level + 1] or { start = {}, wait_for = {} }
    plan.stages[level + 1] = stage
    table.insert(stage.start, id)
    for _, parent in ipairs(parents) do
      table.insert(stage.wait_for, parent)
      below[parent] = below[parent] or {}
      table.insert(below[parent], id)
    end
    stage.parallel = stage.start
  end
  workflow.plan, workflow.graph = plan, setmetatable({ below = below }, Graph)
  return workflow
end

local COUNTED <const> = { "completed", "failed", "timed_out", "cancelled", "skipped" }

--- A run of a workflow. `spec.tasks` gives by name: state, cause, blame (a name), ready, start,
--- finish, busy, attempts (a list, or their number), result, error.
---@param workflow table
---@param spec table
---@return table
function M.new(workflow, spec)
  local run = setmetatable({ records = {}, attempt_lists = {}, results = {}, errors = {} }, Run)
  local status = {
    state = spec.state or "completed",
    cause = spec.cause or "none",
    reason = spec.reason,
    blame = spec.blame and workflow.index[spec.blame],
    wall = spec.wall or 1000.0,
    duration = spec.duration or 0.0,
    tasks = 0,
    running = 0,
  }
  for _, state in ipairs(COUNTED) do
    status[state] = 0
  end
  for id, task in ipairs(workflow.tasks) do
    local given = spec.tasks and spec.tasks[task.name] or {}
    local state = given.state or "completed"
    local list = type(given.attempts) == "table" and given.attempts or nil
    run.records[id] = {
      state = state,
      cause = given.cause or "none",
      blame = given.blame and workflow.index[given.blame],
      attempts = list and #list or given.attempts or (state == "skipped" and 0 or 1),
      ready = given.ready,
      start = given.start,
      finish = given.finish,
      busy = given.busy or 0.0,
    }
    run.attempt_lists[id] = list
    run.results[id], run.errors[id] = given.result, given.error
    if not task.detached then
      status.tasks = status.tasks + 1
      status[state] = (status[state] or 0) + 1
    end
  end
  run.summary = status
  return run
end

return M
