-- What the script of the HTML report knows of the tasks, as JSON that is safe inside a page.
local document = require "astrum.report.document"
local json = require "astrum.json"
local path_text = require("astrum.view.model").path_text
local pretty = require "astrum.pretty"
local secret = require "astrum.secret"
local source = require "astrum.view.source"
local terminal = require "astrum.terminal"

local M = {}

-- stylua: ignore
local TASK <const> = {
  "name", "stage", "entry", "critical", "inputs", "upstream", "downstream",
}
local INPUT <const> = { "text", "task" }
local PAGE <const> = { "report", "tasks" }

local CONSTANT_WIDTH <const> = 100

local function constant_text(entry, hide)
  if entry.sensitive then
    return "[hidden]"
  end
  local is_text = type(entry.value) == "string"
  local shown = pretty.text(entry.value, { depth = 2, entries = 5, mask = hide })
  shown = terminal.cut(terminal.escape(shown), CONSTANT_WIDTH)
  return is_text and ('"%s"'):format(shown) or shown
end

local function input_list(page, task)
  local list = {}
  local function add(parameter, text, from)
    local label = parameter and ("%s = %s"):format(parameter, text) or text
    list[#list + 1] = json.object(INPUT, { text = label, task = page.shown[from] and from or nil })
  end
  for _, reference in ipairs(source.references(task)) do
    local from = page.view.workflow.index[reference.source]
    local path = reference.path.n > 0 and path_text(reference.path) or "whole result"
    add(reference.parameter, reference.each and "each of " .. path or path, from)
  end
  for position = 1, task.inputs.n do
    local entry = task.inputs[position]
    if entry.kind == "function" then
      add(entry.parameter, ("ƒ(%s)"):format(page.name_of(entry.value)))
    elseif entry.kind == "constant" then
      add(entry.parameter, constant_text(entry, page.hide))
    elseif entry.kind == "param" then
      add(entry.parameter, ("param %s"):format(entry.name))
    end
  end
  return list
end

local function ids_of(page, names)
  local ids = {}
  for _, name in ipairs(names) do
    local id = page.view.workflow.index[name]
    ids[#ids + 1] = page.shown[id] and id or nil
  end
  return ids
end

local function plain_list(list)
  return json.list(#list, function(position)
    return list[position]
  end)
end

---The JSON of a page.
---@param report astrum.Report
---@param view table
---@param ids integer[] of the tasks that are shown
---@param critical table<integer, true> ids
---@return string
function M.encode(report, view, ids, critical)
  local tasks = view.workflow.tasks
  local page = { view = view, shown = {}, name_of = source.namer() }
  page.hide = view.data and secret.hider(view.data)
  local entries, counted, downstream = {}, {}, {}
  for _, id in ipairs(ids) do
    page.shown[id] = true
    downstream[id] = {}
    if not tasks[id].detached then
      counted[#counted + 1] = id
      entries[id] = #counted - 1
    end
  end
  for _, id in ipairs(ids) do
    for _, from in ipairs(ids_of(page, tasks[id].depends)) do
      table.insert(downstream[from], id)
    end
  end
  -- The list of a page begins with 0, ids with 1.
  local list = json.list(#tasks + 1, function(position)
    local id = position - 1
    if not page.shown[id] then
      return nil
    end
    return json.object(TASK, {
      name = view.name(id),
      stage = view.workflow.plan:level(id),
      entry = entries[id] or -1,
      critical = critical[id],
      inputs = plain_list(input_list(page, tasks[id])),
      upstream = plain_list(ids_of(page, tasks[id].depends)),
      downstream = plain_list(downstream[id]),
    })
  end)
  local object = document.object(report, { ids = counted })
  return (json.encode(json.object(PAGE, { report = object, tasks = list })):gsub("<", "\\u003C"))
end

return M
