-- Tracebacks as people read them: without the frames of this library, without those of the
-- functions that only raise.
local core = require "astrum.core"

core.own()

local M = {}

local RAISE <const> = {
  ["[C]: in function 'error'"] = true,
  ["[C]: in function 'assert'"] = true,
}

-- Below it is what runs bodies in a worker thread.
local SERVE <const> = {
  ["[C]: in function 'astrum.core.serve'"] = true,
}

local function is_tail(frame)
  return frame:sub(1, 1) == "("
end

local function is_c(frame)
  return frame:sub(1, 4) == "[C]:"
end

---Where a frame is; nil for a function in C.
---@param frame string
---@return string? source
---@return integer? line
function M.place(frame)
  local source, line = frame:match "^(.-):(%d+): in "
  return source, math.tointeger(tonumber(line))
end

---The frames of the user's in a traceback, innermost first: "flow.lua:5: in upvalue 'pay'". A
---function in C is one of them when the user's code has called it.
---@param traceback string
---@return string[]
function M.frames(traceback)
  local own, frames, is_behind_own = core.own_sources(), {}, false
  -- Of what was called from the library there is only what a later frame of the user's called.
  local function drop_below()
    local last = frames[#frames]
    while last and (is_c(last) or is_tail(last)) do
      frames[#frames] = nil
      last = frames[#frames]
    end
  end
  for frame in traceback:gmatch "\n\t([^\n]*)" do
    local source = M.place(frame)
    if SERVE[frame] then
      break
    elseif source and own[source] then
      drop_below()
      is_behind_own = true
    elseif frame:find "^%.%.%.\t" then
      frames[#frames + 1] = "..."
    elseif not (is_behind_own and is_tail(frame)) and not (#frames == 0 and RAISE[frame]) then
      frames[#frames + 1] = frame:gsub("^(%[C%]: in function 'astrum%.)core%.", "%1")
      is_behind_own = false
    end
  end
  drop_below()
  return frames
end

---A traceback with the frames of the user's only; nil for none.
---@param traceback string?
---@return string?
function M.trim(traceback)
  local frames = traceback and M.frames(traceback) or {}
  return frames[1] and "stack traceback:\n\t" .. table.concat(frames, "\n\t") or nil
end

return M
