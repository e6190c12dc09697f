-- The plan of a workflow to read: its stages, and its critical path.
local core = require "astrum.core"
local drawing = require "astrum.report.table"
local errors = require "astrum.error"
local terminal = require "astrum.terminal"

core.own()

local M = {}

local MOST_NAMED <const> = 3

local function count(number, noun)
  return terminal.count(number) .. " " .. noun .. (number == 1 and "" or "s")
end

-- A list after a label, over as many lines as it takes.
local function add_list(lines, label, texts, separator, width)
  local line, indent = label, (" "):rep(#label)
  for i, text in ipairs(texts) do
    local piece = text .. (i < #texts and separator or "")
    if i > 1 and terminal.display_width(piece) > width - terminal.display_width(line) then
      lines[#lines + 1] = line:gsub(" $", "")
      line = indent
    end
    line = line .. piece .. (i < #texts and " " or "")
  end
  lines[#lines + 1] = line
end

-- Texts of tasks; of more than `most` the first ones.
local function some(workflow, ids, most, text_of)
  local texts = {}
  for i = 1, math.min(#ids, most) do
    texts[i] = text_of(workflow.tasks[ids[i]])
  end
  if #ids > most then
    texts[#texts + 1] = "and " .. terminal.count(#ids - most) .. " more"
  end
  return texts
end

local function name_of(task)
  return errors.escape(task.name)
end

-- What is said of the critical path when some tasks have run.
local function basis(workflow, total, missing)
  local text = drawing.duration(total) .. ", by the last run of each task"
  if missing[1] then
    local names = table.concat(some(workflow, missing, MOST_NAMED, name_of), ", ")
    text = text .. "; not measured: " .. names
  end
  return text
end

local function add_critical_path(lines, workflow, given)
  local weights, missing, is_measured = {}, {}, false
  for id, task in ipairs(given.seconds and workflow.tasks or {}) do
    weights[id] = given.seconds(task)
    is_measured = is_measured or weights[id] ~= nil
    if not weights[id] and not task.detached then
      missing[#missing + 1] = id
    end
  end
  local ids, total = workflow.plan:critical_path(is_measured and weights or nil)
  local texts = some(workflow, ids, given.most, function(task)
    local seconds = weights[task.id]
    local took = seconds and " (" .. drawing.duration(seconds) .. ")" or ""
    return name_of(task) .. took
  end)
  local label = "  critical path  "
  add_list(lines, label, texts, " ->", given.width)
  local why = "by number of tasks, as no run has measured them"
  lines[#lines + 1] = (" "):rep(#label) .. (is_measured and basis(workflow, total, missing) or why)
end

-- "5 slots, 10 starts in 1 s"; nil for a pool that the config of the run will declare.
local function pool_text(pool)
  local parts = {}
  if pool and pool.slots then
    parts[1] = count(pool.slots, "slot")
  end
  if pool and pool.rate then
    parts[#parts + 1] = ("%s in %.6g s"):format(count(pool.rate, "start"), pool.per / 1e9)
  end
  return parts[1] and table.concat(parts, ", ") or "as the config of the run says"
end

-- Lines of what else keeps tasks from running at once: label and texts.
local function limits_of(workflow)
  local limits = {}
  local limit = workflow.config.concurrency_limit
  if limit then
    limits[1] = { label = "concurrency_limit", texts = { terminal.count(limit) } }
  end
  local users, maps = {}, {}
  for _, task in ipairs(workflow.special) do
    for _, used in ipairs(task.policy.pools or {}) do
      local text = name_of(task)
      text = used.units > 1 and text .. " (" .. count(used.units, "unit") .. ")" or text
      users[used.name] = users[used.name] or {}
      table.insert(users[used.name], text)
    end
    if task.policy.max_concurrency then
      local text = count(task.policy.max_concurrency, "item") .. " at once"
      maps[#maps + 1] = { label = "map " .. name_of(task), texts = { text } }
    end
  end
  local pools = workflow.settings.pools or {}
  for _, name in ipairs(workflow.pools) do
    if users[name] then
      local label = "pool " .. errors.escape(name)
      limits[#limits + 1] = { label = label, texts = users[name], head = pool_text(pools[name]) }
    end
  end
  return table.move(maps, 1, #maps, #limits + 1, limits)
end

local function has_map(workflow)
  for _, task in ipairs(workflow.special) do
    if task.record.map then
      return true
    end
  end
  return false
end

local function add_limits(lines, workflow, given)
  for _, limit in ipairs(limits_of(workflow)) do
    local texts = limit.texts
    if #texts > given.most then
      texts = table.move(texts, 1, given.most, 1, {})
      texts[#texts + 1] = "and " .. terminal.count(#limit.texts - given.most) .. " more"
    end
    local label = "  " .. limit.label .. "  " .. (limit.head and limit.head .. ": " or "")
    add_list(lines, label, texts, ",", given.width)
  end
end

---The stages of a workflow, what limits it, and its critical path: by how long tasks took, where
---that is known of any, else by their number.
---@param workflow astrum.Workflow
---@param given { width: integer, most?: integer, seconds?: fun(task: table): number? } the width of
---the terminal; how many tasks of a list are named, all unless given; how long a task took
---@return string[] lines
function M.lines(workflow, given)
  local plan = workflow.plan
  local stages = plan:stage_count()
  given = { width = given.width, most = given.most or math.huge, seconds = given.seconds }
  local lines = {
    ("namespace %s: %s in %s, at most %s at once%s"):format(
      errors.escape(workflow.namespace),
      count(#workflow.tasks, "task"),
      count(stages, "stage"),
      terminal.count(plan:max_parallelism()),
      has_map(workflow) and ", not counting items of maps" or ""
    ),
  }
  local width = #tostring(stages - 1)
  for level = 0, stages - 1 do
    local texts = some(workflow, plan:stage(level, "start"), given.most, name_of)
    add_list(lines, ("  stage %%-%dd  "):format(width):format(level), texts, ",", given.width)
  end
  add_limits(lines, workflow, given)
  if stages > 0 then
    add_critical_path(lines, workflow, given)
  end
  return lines
end

return M
