-- What was entered in earlier sessions: a file with one line for each entry, the newest last.
-- Several sessions may write to it, as each entry is added when it is complete.
local M = {}

local MOST_ENTRIES <const> = 1000

-- What stands for a line break in the file. Lua takes it for a blank.
local BREAK <const> = "\v"

---Where the lines are kept, or nil when the environment does not say where that could be.
---@param getenv? fun(name: string): string? `os.getenv` unless given
---@return string?
function M.path(getenv)
  getenv = getenv or os.getenv
  local state, home = getenv "XDG_STATE_HOME", getenv "HOME"
  -- A relative path counts as none, says the standard of the variable.
  if not (state and state:sub(1, 1) == "/") then
    if not home or home == "" then
      return nil
    end
    state = home .. "/.local/state"
  end
  return state .. "/astrum/history"
end

---The newest entries, each where it was entered last.
---@param lines string[]
---@return string[]
function M.distinct(lines)
  local seen, newest = {}, {}
  for i = #lines, 1, -1 do
    if not seen[lines[i]] and #newest < MOST_ENTRIES then
      seen[lines[i]] = true
      newest[#newest + 1] = lines[i]
    end
  end
  local oldest_first = {}
  for i = #newest, 1, -1 do
    oldest_first[#oldest_first + 1] = newest[i]
  end
  return oldest_first
end

local function in_file(entry)
  return (entry:gsub("\n", BREAK))
end

local function read(path)
  local lines = {}
  local file <close> = io.open(path, "rb")
  for line in file and file:lines() or function() end do
    lines[#lines + 1] = line:gsub(BREAK, "\n")
  end
  return lines
end

local function write(host, path, lines)
  local new = path .. ".new"
  os.remove(new)
  local made, why = host.private_file(new)
  if not made then
    return nil, why
  end
  local file <close> = assert(io.open(new, "wb"))
  for _, line in ipairs(lines) do
    file:write(in_file(line), "\n")
  end
  file:close()
  return os.rename(new, path)
end

---@class astrum.History
---@field host astrum.ReplHost
---@field path string?
---@field lines string[]
local History = {}
History.__index = History

---Reads the entries and gives them to the keys that go through them.
---@param host astrum.ReplHost
---@param path string? nil: they are kept for this session alone
---@return astrum.History
---@return string? why they cannot be kept for others
function M.open(host, path)
  local made, why
  if path then
    made, why = host.private_file(path)
  end
  if not made then
    return setmetatable({ host = host, lines = {} }, History), why
  end
  local all = read(path)
  local lines = M.distinct(all)
  if #lines < #all then
    write(host, path, lines)
  end
  host.set_history(lines)
  return setmetatable({ host = host, path = path, lines = lines }, History)
end

---Adds what was entered. Blank ones are left out.
---@param line string of one line or more
function History:add(line)
  if not line:find("%S") or line == self.lines[#self.lines] then
    return
  end
  self.lines[#self.lines + 1] = line
  self.lines = M.distinct(self.lines)
  self.host.set_history(self.lines)
  local file <close> = self.path and io.open(self.path, "ab")
  if file then
    file:write(in_file(line), "\n")
  end
end

return M
