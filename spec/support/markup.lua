-- Reads XML and HTML as far as the pictures need it; raises an error for what is not well-formed.
local M = {}

local ENTITIES <const> = { amp = "&", lt = "<", gt = ">", quot = '"' }
local EMPTY <const> = { meta = true, input = true }

---@param text string
---@return string
function M.decode(text)
  return (
    text:gsub("&(#?%w+);", function(entity)
      local code = entity:match("^#(%d+)$")
      return code and utf8.char(tonumber(code)) or ENTITIES[entity] or error("&" .. entity)
    end)
  )
end

local function attributes_of(text)
  local attributes = {}
  for name, value in text:gmatch('([%w-]+)="([^"<]*)"') do
    attributes[name] = M.decode(value)
  end
  return attributes
end

---The elements of a document, in order: name, attributes, `text` directly in it, `parent`.
---@param text string
---@return table[]
function M.elements(text)
  local list, open, from = {}, {}, 1
  while true do
    local start, stop, slash, name, rest = text:find("<(/?)([%a][%w]*)([^<>]*)>", from)
    local before = text:sub(from, (start or #text + 1) - 1)
    if before:sub(1, 2) ~= "<!" then
      assert(not before:find("[<>]"), "a stray bracket: " .. before:sub(1, 80))
    end
    local inside = open[#open]
    if inside then
      inside.text = inside.text .. M.decode(before)
    end
    if not start then
      break
    end
    from = stop + 1
    if slash == "/" then
      local last = table.remove(open)
      assert(last and last.name == name, ("</%s> ends %s"):format(name, last and last.name))
    else
      local element = { name = name, text = "", parent = inside, attributes = attributes_of(rest) }
      list[#list + 1] = element
      if name == "style" or name == "script" then
        local last = assert(text:find("</" .. name .. ">", from, true))
        element.text = text:sub(from, last - 1)
        from = last + #name + 3
      elseif rest:sub(-1) ~= "/" and not EMPTY[name] then
        open[#open + 1] = element
      end
    end
  end
  assert(#open == 0, "an element is not ended")
  return list
end

---The elements with a class.
---@param elements table[]
---@param class string
---@return table[]
function M.of_class(elements, class)
  local found = {}
  for _, element in ipairs(elements) do
    if (" " .. (element.attributes.class or "") .. " "):find(" " .. class .. " ", 1, true) then
      found[#found + 1] = element
    end
  end
  return found
end

return M
