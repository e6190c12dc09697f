-- The inputs that a task had, as text: found again from the results of the run, where they are
-- kept.
local core = require "astrum.core"
local path_text = require("astrum.view.model").path_text
local pretty = require "astrum.pretty"
local secret = require "astrum.secret"
local source = require "astrum.view.source"
local terminal = require "astrum.terminal"

core.own()

local M = {}

local MOST_INPUTS <const> = 20
local WIDTH <const> = 70
local VALUE <const> = { depth = 3, entries = 6, total = 24, text = 60 }
local DEEPEST <const> = 8

local HIDDEN <const> = "[hidden]"

-- What stands for a value that cannot be had. The user's values have an __eq that may fail, so that
-- nothing is compared with it but raw.
local NOT_KEPT <const> = setmetatable({}, {
  __tostring = function()
    return "(not kept)"
  end,
})

local function path_from(name, path, count)
  local keys = table.move(path, 1, count, 1, { n = count })
  return count > 0 and (name .. "." .. path_text(keys)):gsub("%.%[", "[") or name
end

-- What a table has under a key, HIDDEN where that is sensitive.
local function field_of(place, value, key)
  local hidden = place.mask and place.mask.hidden[value]
  if hidden and hidden[key] then
    return HIDDEN
  end
  return value[key]
end

-- What a reference reads: its value, and where that comes from. Where its path breaks off, nil, and
-- what is there.
local function value_of(place, reference)
  local name, path = core.reference(reference)
  local view = place.view
  local id = view.workflow.index[name]
  local from = path_from(name, path, path.n)
  local record = view.run:record(id)
  if record.released then
    return NOT_KEPT, from
  elseif record.state ~= "completed" then
    return nil, from .. ", which did not complete"
  end
  local value = view.run:result(id)
  if place.mask and place.mask.covers(id, value) then
    return HIDDEN, from
  end
  for i = 1, path.n do
    local next_value
    if type(value) == "table" then
      next_value = field_of(place, value, path[i])
    end
    if rawequal(next_value, HIDDEN) then
      return HIDDEN, from
    elseif next_value == nil then
      return nil, from, path_from(name, path, i - 1) .. " is " .. place.text_of(value)
    end
    value = next_value
  end
  return value, from
end

-- A constant with references in it, with their values in their place.
local function filled(place, value, depth)
  if core.is_reference(value) then
    return (value_of(place, value))
  elseif type(value) ~= "table" or getmetatable(value) ~= nil or depth > DEEPEST then
    return value
  end
  local copy = {}
  for key, inner in next, value do
    copy[key] = filled(place, inner, depth + 1)
  end
  return copy
end

local function text_of(page, mask, value)
  if rawequal(value, HIDDEN) then
    return HIDDEN
  elseif rawequal(value, NOT_KEPT) then
    return "not kept"
  end
  local options = { unicode = not page.style.ascii }
  options.mask, options.hidden = mask and mask.mask, mask and mask.hidden
  for key, limit in pairs(VALUE) do
    options[key] = limit
  end
  return pretty.line(value, WIDTH, options)
end

local resolve

local function item_of(place, entry)
  local list = place.task.record.map[entry.item]
  local value, from = resolve(place, list.input)
  if not place.item then
    return value, "an item of it for each attempt"
  elseif type(value) == "table" and not rawequal(value, NOT_KEPT) then
    return field_of(place, value, place.item), from and from .. ", item " .. place.item
  end
  return value, from
end

-- The value of an input and what is to be said of where it comes from.
function resolve(place, entry)
  if entry.sensitive then
    local name = entry.reference and core.reference(entry.reference)
    return HIDDEN, name and "from " .. name or nil
  elseif entry.kind == "reference" then
    local value, from, broken = value_of(place, entry.reference)
    if value == nil and entry.has_default then
      return entry.default, "its default; from " .. from
    end
    return value, broken or "from " .. from
  elseif entry.kind == "template" then
    return filled(place, entry.value, 0)
  elseif entry.kind == "param" then
    local params = place.view.data and place.view.data.params or {}
    return params[entry.name], "param " .. entry.name
  elseif entry.kind == "function" then
    local name = place.name_of(entry.value)
    return NOT_KEPT, "what " .. name .. " returned for the attempt"
  elseif entry.kind == "item" then
    return item_of(place, entry)
  end
  return entry.value
end

local TAKEN <const> = { context = true, inputs = true, missing = true }

---Adds lines with the inputs of a task to a page.
---@param page table
---@param place astrum.FailurePlace
function M.add(page, place)
  local inputs = place.task.inputs
  if not inputs or inputs.n == 0 then
    return
  end
  local data = place.view.data
  place.name_of = source.namer()
  local mask = secret.mask(data)
  place.mask = mask
  function place.text_of(value)
    return text_of(page, mask, value)
  end
  local lines, hidden = {}, 0
  for position = 1, inputs.n do
    local entry = inputs[position]
    if not TAKEN[entry.kind] then
      if #lines < MOST_INPUTS then
        -- Objects of the user's have methods that may fail.
        local ok, value, from = pcall(resolve, place, entry)
        if not ok then
          value, from = NOT_KEPT, nil
        end
        local name = terminal.escape(entry.parameter or tostring(position), page.style.ascii)
        local line = ("  %s = %s"):format(name, place.text_of(value))
        local note = from and "  (" .. terminal.escape(from, page.style.ascii) .. ")" or ""
        lines[#lines + 1] = line .. (note ~= "" and page.paint("dim", note) or "")
      else
        hidden = hidden + 1
      end
    end
  end
  if #lines == 0 then
    return
  end
  page.add(page.paint("dim", "inputs:"))
  for _, line in ipairs(lines) do
    page.add(line)
  end
  if hidden > 0 then
    page.add(("  and %d more"):format(hidden))
  end
end

return M
