-- What --list, --check, --plan, --graph and --dry-run print. Nothing of a workflow is carried out.
local build = require "astrum.build"
local cli = require "astrum.cli"
local core = require "astrum.core"
local errors = require "astrum.error"
local params = require "astrum.param"
local plans = require "astrum.view.plan"
local schedulers = require "astrum.scheduler"
local session = require "astrum.session"
local terminal = require "astrum.terminal"

core.own()

local M = {}

local escape <const> = errors.escape
local NONE <const> = {}

local function count(number, noun)
  return terminal.count(number) .. " " .. noun .. (number == 1 and "" or "s")
end

local function pad(text, width)
  return text .. (" "):rep(width - terminal.display_width(text))
end

local function join(names, separator)
  local shown = {}
  for i, name in ipairs(names) do
    shown[i] = escape(name)
  end
  return table.concat(shown, separator or ", ")
end

-- The workflow of a part. The config that declares its pools may not be known, so any pool will do.
local function workflow_of(part)
  if not part.workflow then
    local given = { target_tasks = part.targets, open_pools = true }
    part.workflow = build.build(part.registry, given)
  end
  session.set_values(part.workflow)
  return part.workflow
end

local function scheduler_of(part)
  return schedulers.new(workflow_of(part), core.clock(), true)
end

-- --- list

local function source_text(reference)
  local name, path = core.reference(reference)
  local parts = { escape(name) }
  for i = 1, path.n or #path do
    local key = path[i]
    if type(key) == "string" and key:find "^[%a_][%w_]*$" then
      parts[#parts + 1] = "." .. key
    else
      local text = type(key) == "string" and '"' .. escape(key) .. '"' or tostring(key)
      parts[#parts + 1] = "[" .. text .. "]"
    end
  end
  return table.concat(parts)
end

-- Where the list of a map comes from.
local function list_text(record, parameter)
  for _, list in ipairs(record.map) do
    local input = list.input
    if input.parameter == parameter and input.kind == "reference" then
      return source_text(input.reference)
    elseif input.parameter == parameter and input.kind == "param" then
      return "--set " .. escape(input.name)
    end
  end
  return "a list"
end

-- Where the value of an input of a record comes from; nil for what is no input of the user's.
local function input_text(record, input)
  local from
  if input.kind == "reference" then
    from = source_text(input.reference)
  elseif input.kind == "template" then
    local sources = {}
    for i, reference in ipairs(input.references) do
      sources[i] = source_text(reference)
    end
    from = "{ " .. table.concat(sources, ", ") .. " }"
  elseif input.kind == "param" then
    from = "--set " .. escape(input.name)
  elseif input.kind == "item" then
    from = "each of " .. list_text(record, input.parameter)
  elseif input.kind == "function" or input.kind == "constant" or input.kind == "missing" then
    from = input.kind == "missing" and "pushed" or input.kind
  else
    return nil
  end
  return input.parameter and escape(input.parameter) .. " = " .. from or from
end

local function inputs_text(record)
  local texts = {}
  for i = 1, record.inputs.n do
    texts[#texts + 1] = input_text(record, record.inputs[i])
  end
  return table.concat(texts, ", ")
end

-- "integer", "list or nothing"
local function type_text(param)
  if type(param.type) == "function" then
    return "what a function accepts"
  end
  return param.type and (param.type:gsub("%?$", " or nothing")) or "any value"
end

local function value_text(param, value)
  if param.sensitive then
    return "[hidden]"
  elseif type(value) == "string" then
    return '"' .. escape(value) .. '"'
  elseif type(value) == "number" or type(value) == "boolean" then
    return tostring(value)
  end
  return "a " .. type(value)
end

local function default_text(param)
  if param.default ~= nil then
    return "default " .. value_text(param, param.default)
  end
  return params.is_optional(param) and "may be left out" or "needs a value"
end

local function sorted_params(declared)
  local list = {}
  for _, param in pairs(declared) do
    list[#list + 1] = param
  end
  table.sort(list, function(a, b)
    return a.name < b.name
  end)
  return list
end

local function list_params(records, out)
  local declared = sorted_params(params.collect(records, function() end))
  if not declared[1] then
    return
  end
  out "  params"
  local width = 0
  for _, param in ipairs(declared) do
    width = math.max(width, terminal.display_width(escape(param.name)))
  end
  for _, param in ipairs(declared) do
    local name = pad(escape(param.name), math.min(width, 40))
    local text = ("      %s  %s, %s"):format(name, type_text(param), default_text(param))
    if param.description then
      text = text .. "  " .. escape(param.description:match "[^\n]*")
    end
    out(text)
  end
end

local looks = {}

function looks.list(parts, out)
  for position, part in ipairs(parts) do
    local records, width, wanted = part.registry.records, 0, nil
    if part.targets then
      wanted = workflow_of(part).index
    end
    for _, record in ipairs(records) do
      width = math.max(width, terminal.display_width(escape(record.name)))
    end
    if position > 1 then
      out ""
    end
    out("namespace " .. escape(part.registry.namespace))
    local shown = {}
    for _, record in ipairs(records) do
      if not wanted or wanted[record.name] then
        local description = record.description and escape(record.description:match "[^\n]*") or ""
        out(("  " .. pad(escape(record.name), math.min(width, 40)) .. "  " .. description))
        local inputs = inputs_text(record)
        if inputs ~= "" then
          out("      " .. inputs)
        end
        shown[#shown + 1] = record
      end
    end
    list_params(shown, out)
  end
end

-- --- check

function looks.check(parts, out)
  local code = 0
  for _, part in ipairs(parts) do
    local ok, workflow = pcall(workflow_of, part)
    if ok then
      local stages = workflow.plan:stage_count()
      for _, warning in ipairs(workflow.warnings) do
        io.stderr:write("astrum: ", warning, "\n")
      end
      out(
        ("namespace %s: ok, %s in %s"):format(
          escape(workflow.namespace),
          count(#workflow.tasks, "task"),
          count(stages, "stage")
        )
      )
    elseif errors.is_error(workflow) then
      io.stderr:write(errors.full_text(workflow), "\n")
      code = cli.exit_code(workflow)
    else
      error(workflow, 0)
    end
  end
  return code
end

-- --- plan

function looks.plan(parts, out, style)
  for position, part in ipairs(parts) do
    if position > 1 then
      out ""
    end
    for _, line in ipairs(plans.lines(workflow_of(part), { width = style.width })) do
      out(line)
    end
  end
end

-- --- dry run

local function consumers_of(workflow)
  local consumers = {}
  for _, task in ipairs(workflow.tasks) do
    local seen = {}
    for _, name in ipairs(task.depends) do
      if not seen[name] then
        seen[name] = true
        consumers[name] = consumers[name] or {}
        table.insert(consumers[name], task.name)
      end
    end
  end
  return consumers
end

local MOST_NAMED <const> = 3

local function some(names)
  local shown = join(table.move(names, 1, math.min(#names, MOST_NAMED), 1, {}))
  return #names > MOST_NAMED and shown .. " and " .. #names - MOST_NAMED .. " more" or shown
end

local function why(task, is_target, has_targets, consumers)
  if is_target[task.name] then
    return "target"
  elseif task.detached then
    return "detached: the run does not wait for it"
  elseif consumers[task.name] then
    return "needed by " .. some(consumers[task.name])
  end
  return has_targets and "selected" or "a result of the run"
end

-- What may keep a task from running, or make it run more than once.
local function provisos(task)
  local texts = {}
  local policy, record = task.policy, task.record
  if record.when then
    texts[#texts + 1] = "if its condition holds"
  end
  if policy.trigger and policy.trigger ~= "all_success" then
    texts[#texts + 1] = "trigger " .. policy.trigger
  end
  if record.map then
    texts[#texts + 1] = "once for each item"
  end
  if task.child then
    texts[#texts + 1] = "a workflow of " .. count(#task.child.tasks, "task")
  end
  if policy.retry > 0 then
    texts[#texts + 1] = policy.retry == 1 and "1 retry" or policy.retry .. " retries"
  end
  if policy.timeout then
    texts[#texts + 1] = ("timeout %.6g s"):format(policy.timeout / 1e9)
  end
  if policy.executor == "thread" then
    texts[#texts + 1] = "in a worker thread"
  elseif policy.executor == "process" then
    texts[#texts + 1] = "in a child process"
  end
  for _, used in ipairs(policy.pools or NONE) do
    texts[#texts + 1] = "pool " .. escape(used.name)
  end
  return texts
end

-- The params that a run takes and their values: of the command line, of the program, by default.
local function show_params(part, out)
  local workflow = part.workflow
  local sources = {
    { from = "--set", values = session.set_values(workflow) },
    { from = "the program", values = type(part.given) == "table" and part.given or NONE },
    { from = "the program", values = workflow.param_values },
  }
  for _, param in ipairs(sorted_params(workflow.params)) do
    local value, from = param.default, "default"
    for i = #sources, 1, -1 do
      local given = sources[i].values[param.name]
      if given ~= nil then
        value, from = given, sources[i].from
      end
    end
    local name = escape(param.name)
    if param.used and value ~= nil then
      out(("  param %s = %s  (%s)"):format(name, value_text(param, value), from))
    elseif param.used and not params.is_optional(param) then
      out(("  param %s has no value: give it one with --set %s=..."):format(name, name))
    end
  end
end

local function in_order(workflow)
  local stage_of, tasks = {}, {}
  for level = 0, workflow.plan:stage_count() - 1 do
    for _, id in ipairs(workflow.plan:stage(level, "start")) do
      stage_of[id] = level
    end
  end
  for id, task in ipairs(workflow.tasks) do
    tasks[id] = task
  end
  table.sort(tasks, function(a, b)
    local x, y = stage_of[a.id] or 0, stage_of[b.id] or 0
    return x < y or x == y and a.id < b.id
  end)
  return tasks
end

looks["dry-run"] = function(parts, out)
  for position, part in ipairs(parts) do
    local workflow = workflow_of(part)
    local consumers, is_target, width = consumers_of(workflow), {}, 0
    for _, name in ipairs(part.targets or NONE) do
      is_target[name] = true
    end
    local tasks = in_order(workflow)
    for _, task in ipairs(tasks) do
      width = math.max(width, terminal.display_width(escape(task.name)))
    end
    if position > 1 then
      out ""
    end
    local text = ("namespace %s: %s would run"):format(
      escape(workflow.namespace),
      count(#tasks, "task")
    )
    local others = #part.registry.records - #tasks
    out(others > 0 and text .. ", " .. terminal.count(others) .. " would not" or text)
    show_params(part, out)
    for i, task in ipairs(tasks) do
      local reasons = provisos(task)
      table.insert(reasons, 1, why(task, is_target, part.targets ~= nil, consumers))
      local line = ("  %s  %s  %s"):format(
        (" "):rep(#tostring(#tasks) - #tostring(i)) .. i,
        pad(escape(task.name), math.min(width, 40)),
        table.concat(reasons, "; ")
      )
      out(line)
    end
  end
end

-- --- graph

-- How the text of each format names a namespace above its graph.
local HEADINGS <const> = { dot = "// namespace ", mermaid = "%% namespace ", tree = "namespace " }

local TITLE <const> =
  '<text x="12" y="%d" fill="#57606a" font-family="sans-serif" font-size="13">%s</text>'
local GAP <const> = 24

-- One picture of several, each below the name of its namespace.
local function stacked_svg(parts)
  local escape_xml = require("astrum.picture.svg").text
  local pieces, widest, y = {}, 0, 0
  for _, part in ipairs(parts) do
    local picture = scheduler_of(part):svg()
    local width, height = picture:match '^<svg [^>]-width="(%d+)" height="(%d+)"'
    local title = "namespace " .. escape_xml(escape(part.registry.namespace))
    pieces[#pieces + 1] = TITLE:format(y + GAP - 8, title)
    pieces[#pieces + 1] = picture:gsub("^<svg ", ('<svg y="%d" '):format(y + GAP), 1)
    widest = math.max(widest, math.tointeger(width))
    y = y + GAP + math.tointeger(height)
  end
  local head = '<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" viewBox="0 0 %d %d">'
  return head:format(widest, y, widest, y) .. "\n" .. table.concat(pieces, "\n") .. "\n</svg>"
end

function looks.graph(parts, out, style, form)
  form = form or "tree"
  if form == "svg" and #parts > 1 then
    out(stacked_svg(parts))
    return
  end
  for position, part in ipairs(parts) do
    local scheduler = scheduler_of(part)
    if position > 1 then
      out ""
    end
    if #parts > 1 then
      out(HEADINGS[form] .. escape(part.registry.namespace))
    end
    local given
    if form == "tree" then
      given = { width = style.width, color = style.color, unicode = style.unicode }
    end
    out((scheduler[form](scheduler, given):gsub("\n+$", "")))
  end
end

-- ---

---Prints the looks that a command line asks for. Raises a SchedulerError when it cannot.
---@param command astrum.Command
---@param running astrum.Workflow? what the program was about to run
---@param given table? params that it gave
---@param file file* gets the data
---@param style astrum.TerminalOptions of standard output
---@return integer exit code
function M.show(command, running, given, file, style)
  local parts = session.parts(command, running)
  for _, part in ipairs(parts) do
    part.given = running and part.registry == running.source and given or nil
  end
  local code = 0
  local failed
  local function out(line)
    local ok, reason = file:write((line:gsub(" +$", "")), "\n")
    failed = failed or not ok and reason
  end
  for i, asked in ipairs(command.looks) do
    if i > 1 then
      out ""
    end
    code = looks[asked.what](parts, out, style, asked.form) or code
  end
  local ok, reason = file:flush()
  failed = failed or not ok and reason
  if failed then
    local text = "cannot write to standard output: " .. failed
    error(errors.new("SchedulerError", text, { of_run = true }), 0)
  end
  return code
end

return M
