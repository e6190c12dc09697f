-- Tells of tasks that a script has declared and never run: who forgets the run, or declares behind
-- it, would else see nothing at all.
local core = require "astrum.core"
local errors = require "astrum.error"

core.own()

local M = {}

---Whether a run has been started.
M.has_run = false

---Whether a script looks at its tasks in some other way: draws them, or sees what is wrong.
M.is_used = false

local MOST_NAMED <const> = 3

-- The places of the tasks of a registry that a script has declared, from one number on.
local function add_places(places, registry, first, source)
  local store = registry.store
  for i = first, store:count() do
    local name, _, found, line
    if store:is_plain(i) then
      name, _, found, line = store:plain(i)
    else
      local record = registry.records[i]
      name, found, line = record.name, record.source, record.line
    end
    if found == source then
      places[#places + 1] = { name = name, line = line, order = #places }
    end
  end
end

-- What a run behind the declarations would have run.
local function declared_late(registries, source)
  local places = {}
  for _, registry in ipairs(registries) do
    if registry.built then
      add_places(places, registry, registry.built + 1, source)
    end
  end
  table.sort(places, function(a, b)
    return a.line < b.line or a.line == b.line and a.order < b.order
  end)
  return places
end

local function late_text(source, places)
  local first = places[1]
  if #places == 1 then
    local text = "%s:%d: task %s is declared too late for a run, so it never runs"
    return text:format(errors.escape(source), first.line, errors.quote(first.name))
  end
  local names = {}
  for i = 1, math.min(#places, MOST_NAMED) do
    names[i] = errors.quote(places[i].name)
  end
  if #places > #names then
    names[#names + 1] = "and " .. #places - #names .. " more"
  end
  local text = "%s:%d: %d tasks are declared too late for a run, so they never run: %s"
  local list = table.concat(names, ", ")
  return text:format(errors.escape(source), first.line, #places, list)
end

-- The first word behind the script that would do something in front of it.
local function misplaced_option(command)
  local commands = require "astrum.command"
  for i = command.script + 1, #command.words do
    local option = commands.find(command.words[i])
    if option and (option.look or option.needs_run or option.name == "--run") then
      return errors.escape(command.words[i])
    end
  end
end

---What is to be told when a script has come to its end, or nil.
---@param command astrum.Command
---@param source string as errors name the script
---@return string?
function M.text(command, source)
  local registries = require("astrum.registry").with_tasks()
  if M.has_run then
    local places = declared_late(registries, source)
    return places[1] and late_text(source, places)
  elseif M.is_used then
    return nil
  end
  local places = {}
  for _, registry in ipairs(registries) do
    add_places(places, registry, 1, source)
  end
  if not places[1] then
    return nil
  end
  local name = errors.escape(command.words[command.script])
  local noun, them = #places .. " tasks", "them"
  if #places == 1 then
    noun, them = "1 task", "it"
  end
  local shown = name == "-" and "the script" or name
  local text = shown .. " declares " .. noun .. " and runs none: "
  local option = misplaced_option(command)
  if option then
    local form = "%soptions go in front of the script, as in 'astrum-lua %s %s'"
    return form:format(text, option, name)
  end
  local form = "%s'astrum-lua --run %s' runs %s, 'astrum-lua --list %s' lists %s"
  return form:format(text, name, them, name, them)
end

return M
