-- executor = "process": an attempt's body runs in a child astrum-lua, which ends with its process
-- group when the attempt times out or is cancelled. Function, arguments and what `ctx` tells travel
-- on the child's standard input; frames come back on its descriptor 3 (worker.lua writes them).
--
--   frame   u32 length of the payload, little endian; one letter; payload
--   p       progress: fraction, text        l  a line of ctx.log
--   r       the values that the body returned
--   e       an error: text, the value if it is data, traceback
local core = require "astrum.core"
local errors = require "astrum.error"
local failure = require "astrum.failure"
local log = require "astrum.log"

core.own()

local M = {}

local BOOTSTRAP <const> = 'require("astrum.worker").main()'

-- Reads frames out of chunks as they come and hands each on.
local function reader(receive)
  local rest = ""
  return function(chunk)
    rest = rest .. chunk
    local at = 1
    while #rest - at + 1 >= 5 do
      local length = string.unpack("<I4", rest, at)
      if #rest - at - 4 < length then
        break
      end
      receive(rest:sub(at + 4, at + 4), rest:sub(at + 5, at + 4 + length))
      at = at + 5 + length
    end
    rest = rest:sub(at)
  end
end

-- The error of a body in a child, as if it had been raised here.
local function raise_from(payload, name)
  local _, text, value, traceback = core.decode(payload)
  error(
    errors.new("TaskFailedError", text, {
      task = name,
      cause = value == nil and text or value,
      traceback = traceback,
    }),
    0
  )
end

local function ending(result)
  if result.signal then
    return "was ended by signal " .. result.signal
  end
  return "exited with code " .. tostring(result.code)
end

-- The program that is the child: this one, or the one that the module was installed with.
local function program()
  return core.is_program and "/proc/self/exe" or "astrum-lua"
end

-- What the child needs to know to look like the task.
local function description(context, packed, arguments)
  local ctx_at
  for i = 1, arguments.n do
    if rawequal(arguments[i], context) then
      arguments[i], ctx_at = nil, i
    end
  end
  local encoded, why = core.encode("what is sent to the child process", {
    packed = packed,
    path = package.path,
    cpath = package.cpath,
    task = context.task,
    item = context.item,
    attempt = context.attempt,
    namespace = context.namespace,
    run_id = context.run_id,
    key = context.idempotency_key,
    deadline = context.deadline,
    params = context.params,
    n = arguments.n,
    ctx_at = ctx_at,
  }, table.unpack(arguments, 1, arguments.n))
  if not encoded then
    error(why, 0)
  end
  return encoded
end

local function spawn_worker(spec, receive)
  local ok, result = pcall(core.spawn_worker, spec, receive)
  if ok then
    return result
  end
  local text = 'executor = "process" cannot start ' .. spec[1] .. ": " .. failure.text(result)
  error(text .. "\nhelp: the folder of astrum-lua has to be in PATH", 0)
end

---The body of a task that runs `packed`, a function as bytes, in a child process.
---@param packed string
---@return function
function M.body(packed)
  return function(...)
    local context = core.context()
    local kind, final
    local receive = reader(function(letter, payload)
      if letter == "p" then
        context.progress(select(2, core.decode(payload)))
      elseif letter == "l" then
        log.task(context.task, payload)
      else
        kind, final = letter, payload
      end
    end)
    local result = spawn_worker({
      program(),
      "-E",
      "-e",
      BOOTSTRAP,
      stdin = description(context, packed, table.pack(...)),
      stdout = "inherit",
      stderr = "inherit",
    }, receive)
    if kind == "r" then
      return select(2, core.decode(final))
    elseif kind == "e" then
      raise_from(final, context.task)
    end
    error("the child process of the task " .. ending(result) .. " before it returned", 0)
  end
end

return M
