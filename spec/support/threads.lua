-- For `busted --helper`: bodies run in worker threads where nothing says otherwise and they can do
-- without what their spec shares with them. Such are those whose upvalues are strings, what modules
-- export, and functions of that kind, and which use nothing of busted's. Others change variables of
-- the spec or look into its tables, of which threads have copies; they stay at home. So do those of
-- workflows that are built in virtual time, which is not that of a worker. There are enough threads
-- for all that wait at the same time.
local core = require "astrum.core"
local policies = require "astrum.policy"
local testing = require "astrum.testing"

local WORKERS <const> = 8

local BUSTED <const> = { "assert", "describe", "it", "pending", "spy", "stub", "mock", "finally" }

-- Whether code has one of the names as a short string among its constants.
local function names_busted(code)
  for _, name in ipairs(BUSTED) do
    if code:find("\4" .. string.char(0x81 + #name) .. name, 1, true) then
      return true
    end
  end
  return false
end

local copy_of

-- What stands for the upvalue of a copy; nil when there is nothing.
local function replaced(name, value, exports)
  if name == "_ENV" then
    local is_plain = value == _G or rawget(value, "astrum") == nil
    return is_plain and _G or nil
  elseif type(value) == "string" or exports[value] then
    return value
  end
  return type(value) == "function" and copy_of(value, exports) or nil
end

-- A copy of a Lua function that shares nothing with it; nil when there cannot be one.
function copy_of(fn, exports)
  local code = debug.getinfo(fn, "S").what ~= "C" and string.dump(fn)
  if not code or names_busted(code) then
    return nil
  end
  local copy = load(code, "body", "b")
  for i = 1, debug.getinfo(fn, "u").nups do
    local name, value = debug.getupvalue(fn, i)
    value = value ~= fn and replaced(name, value, exports)
    if not value then
      return nil
    end
    debug.setupvalue(copy, i, value)
  end
  return copy
end

local is_virtual = false
local run <const> = testing.run

function testing.run(...)
  local _ <close> = setmetatable({}, {
    __close = function()
      is_virtual = false
    end,
  })
  is_virtual = true
  return run(...)
end

require("astrum").testing.run = testing.run

local with_thread = setmetatable({}, { __mode = "k" })

local function settings_of(settings)
  if not with_thread[settings] then
    local defaults = setmetatable({ executor = "thread" }, { __index = settings.defaults })
    settings.workers = settings.workers or WORKERS
    with_thread[settings] = setmetatable({ defaults = defaults }, { __index = settings })
  end
  return with_thread[settings]
end

local effective <const> = policies.effective
local copies, count = setmetatable({}, { __mode = "k" }), 0

-- Whether the body of a declaration can run in a thread; then it is a copy afterwards. One in
-- columns has no body here: what follows looks at each.
local function travels(record, settings)
  local policy = record.policy
  if is_virtual or record.workflow or policy.executor or settings.defaults.executor then
    return false
  elseif not record.run or copies[record.run] then
    return true
  end
  local copy = copy_of(record.run, core.exports())
  if copy then
    record.run, copies[copy], count = copy, true, count + 1
  end
  return copy ~= nil
end

function policies.effective(cache, record, settings, ...)
  if not travels(record, settings) then
    return effective(cache, record, settings, ...)
  end
  cache.threads = cache.threads or {}
  return effective(cache.threads, record, settings_of(settings), ...)
end

require("busted").subscribe({ "exit" }, function()
  io.stderr:write(count, " bodies were declared for worker threads\n")
  return nil, true
end)
