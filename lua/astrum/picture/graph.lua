-- What there is to draw of a workflow or of a report: tasks and edges with their labels, safe to
-- show and limited in size. Every picture starts here; none sees a raw name.
local path_text = require("astrum.view.model").path_text
local source = require "astrum.view.source"
local terminal = require "astrum.terminal"

local M = {}

M.TASKS = 200
M.EDGES = 500

local NAME_WIDTH <const> = 48
local LABEL_WIDTH <const> = 40
local LABELS <const> = 3

local SIGNS <const> = {
  completed = "✓",
  failed = "✗",
  timed_out = "◔",
  cancelled = "⊘",
  skipped = "↷",
  pending = "○",
  running = "●",
}

---@class astrum.picture.Node
---@field id integer of the task
---@field level integer
---@field name string safe, cut to a width
---@field full string safe, whole
---@field notes string[] short texts below the name
---@field status string? of a report
---@field detached true?

---@class astrum.picture.Edge
---@field from integer position of a node
---@field to integer
---@field labels string[] what travels; empty for order alone
---@field critical boolean?

---@class astrum.picture.Graph
---@field nodes astrum.picture.Node[]
---@field edges astrum.picture.Edge[]
---@field left_out string? says how much is not drawn

---A text that can be shown: one line, nothing invisible, at most so wide.
---@param text string
---@param width integer
---@return string
function M.safe(text, width)
  return terminal.cut(terminal.escape(text), width)
end

local function label_of(reference)
  local path, parameter = reference.path, reference.parameter
  local text = path.n == 0 and "whole result" or path_text(path)
  if parameter and parameter ~= text and path.n > 0 then
    text = text .. " -> " .. tostring(parameter)
  end
  return M.safe(reference.each and text .. " (each)" or text, LABEL_WIDTH)
end

-- The labels of the edges into a task, by the name of the task they come from.
local function labels_of(task)
  local labels, seen = {}, {}
  for _, reference in ipairs(source.references(task)) do
    local list = labels[reference.source] or { count = 0 }
    labels[reference.source] = list
    local text = label_of(reference)
    local key = reference.source .. "\0" .. text
    if not seen[key] then
      seen[key] = true
      list.count = list.count + 1
      list[#list + 1] = #list < LABELS and text or nil
    end
  end
  for _, list in pairs(labels) do
    if list.count > LABELS then
      list[#list + 1] = ("+%d more"):format(list.count - LABELS)
    end
  end
  return labels
end

local function notes_of(task)
  local notes, record, policy = {}, task.record, task.policy
  if policy.retry > 0 then
    notes[#notes + 1] = ("retry=%d"):format(policy.retry)
  end
  if record.map then
    notes[#notes + 1] = "map"
  end
  if record.workflow then
    notes[#notes + 1] = "workflow"
  end
  if policy.trigger and policy.trigger ~= "all_success" then
    notes[#notes + 1] = policy.trigger
  end
  if task.detached then
    notes[#notes + 1] = "detached"
  end
  return notes
end

local function duration_text(seconds)
  if seconds < 0.001 then
    return ("%.0f µs"):format(seconds * 1e6)
  elseif seconds < 1 then
    return ("%.3g ms"):format(seconds * 1e3)
  end
  return ("%.2f s"):format(seconds)
end

local function outcome_note(entry)
  local text = SIGNS[entry.status] .. " "
  text = text .. (entry.reused and "reused" or entry.status:gsub("_", " "))
  if entry.attempt_count > 0 then
    text = text .. ", " .. duration_text(entry.duration)
  end
  if entry.attempt_count > 1 then
    text = ("%s, %d attempts"):format(text, entry.attempt_count)
  end
  return text
end

-- Which tasks are drawn: what did not complete first, then as declared.
local function choose(workflow, report, limit)
  local chosen, count = {}, 0
  local function take(wanted)
    for id, task in ipairs(workflow.tasks) do
      if count < limit and not chosen[id] and wanted(task) then
        chosen[id], count = true, count + 1
      end
    end
  end
  if report and #workflow.tasks > limit then
    take(function(task)
      local status = report:task(task.name).status
      return status == "failed" or status == "timed_out"
    end)
  end
  take(function()
    return true
  end)
  return chosen, count
end

local function left_out_text(tasks, edges)
  local parts = {}
  if tasks > 0 then
    parts[1] = ("%s more task%s"):format(terminal.count(tasks), tasks == 1 and "" or "s")
  end
  if edges > 0 then
    parts[#parts + 1] = ("%s more edge%s"):format(terminal.count(edges), edges == 1 and "" or "s")
  end
  return #parts > 0 and "… and " .. table.concat(parts, " and ") or nil
end

local function critical_edges(report)
  local after = {}
  if report then
    local names = report:critical_path()
    for position = 2, #names do
      after[names[position - 1]] = names[position]
    end
  end
  return after
end

local function add_edges(graph, workflow, places, limit, after)
  local hidden = 0
  for id, task in ipairs(workflow.tasks) do
    local to = places[id]
    local labels = to and #task.depends > 0 and labels_of(task) or {}
    for _, name in ipairs(task.depends) do
      local from = places[workflow.index[name]]
      if from and to and #graph.edges < limit then
        graph.edges[#graph.edges + 1] =
          { from = from, to = to, labels = labels[name] or {}, critical = after[name] == task.name }
      else
        hidden = hidden + 1
      end
    end
  end
  return hidden
end

---@param workflow astrum.Workflow
---@param report astrum.Report? colours and durations come from it
---@param limits { tasks?: integer, edges?: integer }?
---@return astrum.picture.Graph
function M.of(workflow, report, limits)
  limits = limits or {}
  local chosen, count = choose(workflow, report, limits.tasks or M.TASKS)
  local graph, places = { nodes = {}, edges = {} }, {}
  for id, task in ipairs(workflow.tasks) do
    if chosen[id] then
      local node = {
        id = id,
        level = workflow.plan:level(id),
        name = M.safe(task.name, NAME_WIDTH),
        full = terminal.escape(task.name),
        notes = notes_of(task),
        detached = task.detached,
      }
      if report then
        local entry = report:task(task.name)
        node.status = entry.status
        node.outcome = outcome_note(entry)
      end
      places[id] = #graph.nodes + 1
      graph.nodes[places[id]] = node
    end
  end
  local edges = limits.edges or M.EDGES
  local hidden = add_edges(graph, workflow, places, edges, critical_edges(report))
  graph.left_out = left_out_text(#workflow.tasks - count, hidden)
  return graph
end

return M
