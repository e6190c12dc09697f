-- Checks that every public function and method says what it does and what each parameter is.
-- usage: lua5.4 scripts/check-annotations.lua, at the root. Exits 1 when something is missing.

package.path = "scripts/?.lua;" .. package.path
local annotations = require "annotations"

local problems = 0

local function tell(place, text)
  problems = problems + 1
  io.stderr:write(place, ": ", text, "\n")
end

local function check(comment, name)
  if #comment.text == 0 then
    tell(comment.place, name .. " has no comment; write `---` and what it does above it")
  end
  for _, parameter in ipairs(comment.parameters) do
    if parameter ~= "..." and not comment.params[parameter] then
      tell(comment.place, ("%s has no `---@param %s`"):format(name, parameter))
    end
  end
end

local count = 0

for _, entry in ipairs(annotations.public()) do
  if entry.comment then
    count = count + 1
    check(entry.comment, "astrum." .. entry.name)
  elseif not entry.name:find("^%u[%u_]*$") then
    local place = annotations.path(entry.module)
    tell(place, ("astrum.%s: no function %s is declared here"):format(entry.name, entry.key))
  end
end

for _, pair in ipairs(annotations.CLASSES) do
  local class, path = table.unpack(pair)
  local found = annotations.read(path)
  local methods = annotations.methods(found, class)
  if not found.classes[class] or #methods == 0 then
    tell(path, class .. " has no `---@class` above its table")
  end
  for _, comment in ipairs(methods) do
    count = count + 1
    check(comment, class .. ":" .. comment.name)
  end
end

if problems > 0 then
  os.exit(1)
end
print(("check-annotations: %d public functions and methods"):format(count))
