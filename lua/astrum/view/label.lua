-- The small pieces that the tree and the matrix share: names, keys, sources, types.
local terminal = require "astrum.terminal"
local model = require "astrum.view.model"

local M = {}

---@param text string
---@param look astrum.view.Look
---@return string
function M.safe(text, look)
  return terminal.escape(text, look.ascii)
end

--- What an item carries: 'items[1].sku', [1], or the sign for a whole result.
---@param item astrum.view.Item
---@param look astrum.view.Look
---@return string
function M.key(item, look)
  local path = item.path
  if item.label then
    path = { n = 1, item.parameter }
  end
  if path.n == 0 then
    return look.symbols.whole
  end
  local text = M.safe(model.path_text(path), look)
  if path.n == 1 and math.type(path[1]) == "integer" then
    return text
  end
  return "'" .. text .. "'"
end

--- Where an item comes from: the name of a task, or ƒ(name) for a function.
---@param item astrum.view.Item
---@param look astrum.view.Look
---@return string
function M.source(item, look)
  if item.label then
    return ("%s(%s)"):format(look.symbols.called, M.safe(item.label, look))
  end
  return M.safe(item.source, look)
end

--- The declared type, "checked" for a predicate, "any" without one; behind it whether a map gets
--- the elements one by one.
---@param item astrum.view.Item
---@param look astrum.view.Look
---@return string
function M.type(item, look)
  local text = "any"
  if item.type ~= nil then
    text = type(item.type) == "string" and M.safe(item.type, look) or "checked"
  end
  return item.each and text .. " (each)" or text
end

--- "… and 99,800 more tasks"
---@param count integer
---@param noun string in the singular
---@param look astrum.view.Look
---@return string
function M.more(count, noun, look)
  local plural = count == 1 and noun or noun .. "s"
  return ("%s and %s more %s"):format(look.symbols.more, terminal.count(count), plural)
end

return M
