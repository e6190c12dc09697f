-- How far a run is, on the terminal while the prompt waits for it. Nothing of it stays.
local core = require "astrum.core"
local runs = require "astrum.run"

core.own()

local M = {}

local progress -- made for the first run

local function is_wanted(asked)
  return core.terminal(0) and core.terminal(1) and core.terminal(2) and not asked.watches
end

local function of_terminal()
  if progress == nil then
    local made = require("astrum.progress").new "auto"
    made.is_quiet = true
    progress = made.how == "line" and made
  end
  return progress
end

---Shows the runs that are started from now on, until what is returned is closed. Does nothing
---without a terminal, and where the command line asks for a progress of its own.
---@return table
function M.begin()
  local before = runs.command()
  local asked = before or {}
  local shown = is_wanted(asked) and of_terminal()
  if not shown then
    return setmetatable({}, { __close = function() end })
  end
  local mine = {}
  for key, value in pairs(asked) do
    mine[key] = value
  end
  function mine.watches()
    return "failures"
  end
  function mine.started(data)
    if asked.started then
      asked.started(data)
    end
    return shown:watch(data)
  end
  function mine.ended(data, report)
    shown:ended(data)
    if asked.ended then
      asked.ended(data, report)
    end
  end
  runs.set_command(mine)
  return setmetatable({}, {
    __close = function()
      runs.set_command(before)
    end,
  })
end

return M
