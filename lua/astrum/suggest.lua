-- "Did you mean": the nearest of the names that would have been right.
local errors = require "astrum.error"

local M = {}

local MOST_LISTED <const> = 10

-- Edit distance of two strings, or nil when it is above the limit. Looks only at the band of the
-- matrix that a distance within the limit can reach.
local function distance(a, b, limit)
  local size_a, size_b = #a, #b
  if math.abs(size_a - size_b) > limit then
    return nil
  end
  local far = limit + 1
  local row = {}
  for j = 0, size_b do
    row[j] = math.min(j, far)
  end
  for i = 1, size_a do
    local low, high = math.max(1, i - limit), math.min(size_b, i + limit)
    local diagonal = row[low - 1]
    row[low - 1] = low == 1 and math.min(i, far) or far
    local best = row[low - 1]
    local byte = a:byte(i)
    for j = low, high do
      local above = j == i + limit and far or row[j]
      local cost = diagonal + (byte == b:byte(j) and 0 or 1)
      diagonal = row[j]
      cost = math.min(cost, above + 1, row[j - 1] + 1, far)
      row[j] = cost
      best = math.min(best, cost)
    end
    if best > limit then
      return nil
    end
  end
  return row[size_b] <= limit and row[size_b] or nil
end

-- Of names of which one begins with the other, as trigger_rule and trigger, concurrency and
-- concurrency_limit: the only one.
local function same_begin(name, names)
  local found
  for _, candidate in ipairs(names) do
    local short, long = candidate, name
    if #short > #long then
      short, long = long, short
    end
    if #short > 3 and long:sub(1, #short + 1) == short .. "_" then
      if found then
        return nil
      end
      found = candidate
    end
  end
  return found
end

-- Any letter is one edit away from any other one, and no hint at what was meant.
local function share_letter(name, candidate)
  for i = 1, #name do
    if candidate:find(name:sub(i, i), 1, true) then
      return true
    end
  end
  return name == candidate
end

---The nearest of some names, if one is near enough to be what was meant.
---@param name string
---@param names string[]
---@return string?
function M.nearest(name, names)
  local limit = #name == 1 and 1 or math.max(2, #name // 3)
  local nearest
  for _, candidate in ipairs(names) do
    local apart = distance(name, candidate, limit)
    if apart and share_letter(name, candidate) then
      nearest = candidate
      limit = apart - 1
      if limit < 0 then
        break
      end
    end
  end
  return nearest or same_begin(name, names)
end

---The names in a sentence, the first ones of many: "a, b, c and 4 more".
---@param names string[]
---@param most integer? how many are the first ones
---@return string
function M.enumerate(names, most)
  most = most or MOST_LISTED
  local shown = {}
  for i = 1, math.min(#names, most) do
    shown[i] = errors.escape(names[i])
  end
  local text = table.concat(shown, ", ")
  if #names > most then
    text = text .. " and " .. #names - most .. " more"
  end
  return text
end

---Help for a name that is not known.
---@param name any what was given
---@param names string[] what there is
---@param what string "options", "tasks"
---@param most integer? how many of the names are listed
---@return string
function M.help(name, names, what, most)
  local nearest = type(name) == "string" and M.nearest(name, names)
  if nearest then
    return "did you mean " .. errors.quote(nearest) .. "?"
  end
  if #names == 0 then
    return "there are no " .. what
  end
  return "the " .. what .. " are: " .. M.enumerate(names, most)
end

return M
