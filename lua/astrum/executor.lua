-- executor = "thread": an attempt's body runs in a worker thread (lua_thread.c).
-- executor = "process": an attempt's body runs in a child astrum-lua, which ends with its process
-- group when the attempt times out or is cancelled. Function, arguments and what `ctx` tells travel
-- on the child's standard input; frames come back on its descriptor 3 (worker.lua writes them).
--
--   frame   u32 length of the payload, little endian; one letter; payload
--   p       progress: fraction, text        l  a line of ctx.log
--   s       an error that nobody takes: where, text
--   r       the values that the body returned
--   e       an error: text, the value if it is data, traceback
local core = require "astrum.core"
local errors = require "astrum.error"
local failure = require "astrum.failure"
local log = require "astrum.log"
local secret = require "astrum.secret"
local travel = require "astrum.travel"

core.own()

local M = {}

local FOREIGN <const> = "descriptor 3 of the child process, where astrum reads the result, was "
  .. "written to by other code; bodies and programs they start must leave it alone"

local NO_INPUT <const> = {}

local BOOTSTRAP <const> = 'require("astrum.worker").main()'

-- Reads frames out of chunks as they come. `receive` has a function of the payload by the letter,
-- which says whether it understood. The reader returns whether all that came so far were frames;
-- after something that is none nothing can be read.
local function reader(receive)
  local chunks, size, wanted, is_broken = {}, 0, 5, false
  local function read(bytes, at)
    while size - at + 1 >= 5 and not is_broken do
      local length, take = string.unpack("<I4", bytes, at), receive[bytes:sub(at + 4, at + 4)]
      if not take then
        is_broken = true
        break
      elseif size - at - 4 < length then
        wanted = 5 + length
        break
      end
      is_broken = not take(bytes:sub(at + 5, at + 4 + length))
      at = at + 5 + length
    end
    return at
  end
  return function(chunk)
    if is_broken then
      return false
    end
    chunks[#chunks + 1], size = chunk, size + #chunk
    if size >= wanted then
      wanted = 5
      local bytes = table.concat(chunks)
      local at = read(bytes, 1)
      chunks, size = { bytes:sub(at) }, size - at + 1
    end
    return not is_broken and size == 0
  end
end

-- Raises what went wrong in or with a child as if it had been raised here.
local function fail(name, text, sent, traceback)
  local cause = errors.received(sent)
  error(
    errors.new("TaskFailedError", text, {
      task = name,
      cause = cause == nil and text or cause,
      traceback = traceback,
      from_child = true,
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

-- Raises which argument of the task that runs cannot go where its body does, or that the params
-- cannot; `why` if none of them is to blame.
local function refuse(task, arguments, params, why)
  local inputs, place = task.inputs, travel.PLACES[task.policy.executor]
  for i = 1, arguments.n do
    local what, root = travel.names(inputs[i] or NO_INPUT, i)
    local encoded, problem = core.encode(root, arguments[i])
    if not encoded then
      error(failure.of_argument(task, i, what, place, problem), 0)
    end
  end
  local encoded, problem = core.encode("params", params)
  if not encoded then
    error(failure.of_argument(task, nil, "the params of the run", place, problem), 0)
  end
  fail(task.name, why)
end

---The seed of a run; that of the task at home, where its body runs elsewhere.
---@param data table what belongs to the run
---@return integer
function M.seed(data)
  return data.told and data.told.seed or data.seed
end

-- What the child needs to know to look like the task.
local function description(context, task, arguments)
  local ctx_at
  for i = 1, arguments.n do
    if rawequal(arguments[i], context) then
      arguments[i], ctx_at = nil, i
    end
  end
  local encoded, why = core.encode("what goes to the child process", {
    packed = task.packed,
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
    seed = M.seed(core.current_run()),
    n = arguments.n,
    ctx_at = ctx_at,
  }, table.unpack(arguments, 1, arguments.n))
  if not encoded then
    refuse(task, arguments, context.params, why)
  end
  return encoded
end

local function spawn_worker(spec, receive, name)
  local ok, result = pcall(core.spawn_worker, spec, receive)
  if ok then
    return result
  end
  local text = 'executor = "process" cannot start ' .. spec[1] .. ": " .. failure.text(result)
  fail(name, text .. "\nhelp: the folder of astrum-lua has to be in PATH")
end

local BODIES <const> = {}

-- By workflow and packed function: what calls it in a worker thread. Many tasks may have the same.
local thread_calls = setmetatable({}, { __mode = "k" })

local function refuse_call(why, ...)
  local data, id = core.current_run()
  refuse(data.workflow.tasks[id], table.pack(...), data.params, why)
end

function BODIES.thread(task, workflow)
  local calls = thread_calls[workflow] or {}
  thread_calls[workflow] = calls
  if not calls[task.packed] then
    local workers = workflow.settings.workers or core.cores()
    local body = core.thread_body(task.packed, workers)
    calls[task.packed] = core.thread_call(body, fail, refuse_call)
  end
  return calls[task.packed]
end

function BODIES.process(task)
  return function(...)
    local context = core.context()
    local kind, final, is_foreign
    local function finally(letter)
      return function(payload)
        kind, final = letter, table.pack(core.decode(payload))
        return final[1]
      end
    end
    local read = reader {
      p = function(payload)
        return (pcall(context.progress, select(2, core.decode(payload))))
      end,
      l = function(payload)
        context.log(payload)
        return true
      end,
      s = function(payload)
        local ok, where, text = core.decode(payload)
        if ok then
          log.stray_error(where, secret.hide_all(text))
        end
        return ok
      end,
      r = finally "r",
      e = finally "e",
    }
    local function receive(chunk)
      is_foreign = not read(chunk)
    end
    local result = spawn_worker({
      program(),
      "-E",
      "-e",
      BOOTSTRAP,
      stdin = description(context, task, table.pack(...)),
      stdout = "inherit",
      stderr = "inherit",
    }, receive, task.name)
    if kind == "r" and final[1] then
      return table.unpack(final, 2, final.n)
    elseif kind == "e" and final[1] then
      fail(task.name, table.unpack(final, 2, final.n))
    elseif is_foreign and result.code == 0 then
      fail(task.name, FOREIGN)
    end
    fail(task.name, "the child process of the task " .. ending(result) .. " before it returned")
  end
end

---The body of a task with `packed`, a function as bytes, which runs elsewhere.
---@param task table of the workflow
---@param workflow astrum.Workflow
---@return function
function M.body(task, workflow)
  return BODIES[task.policy.executor](task, workflow)
end

return M
