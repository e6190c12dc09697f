-- Runs astrum-lua, or another program, and collects what comes of it.

local M = {}

-- The program that runs the specs, unless that is some other Lua.
local function find_program()
  local pipe <close> = assert(io.popen("readlink /proc/$PPID/exe"))
  local path = pipe:read "l"
  if path and path:find "/astrum%-lua$" then
    return path
  end
  local here <close> = assert(io.popen "pwd")
  return here:read "l" .. "/build/bin/astrum-lua"
end

M.path = os.getenv "ASTRUM_LUA" or find_program()

---@param word string
---@return string quoted for sh
function M.quote(word)
  return "'" .. word:gsub("'", [['\'']]) .. "'"
end

local function read(path)
  local file <close> = assert(io.open(path, "rb"))
  return file:read "a"
end

-- The build folder the program is in.
M.build = M.path:match "^(.*)/bin/[^/]+$"

---@return string the sanitizers the program is built with, "" if none
function M.sanitizers()
  local cache = read(M.build .. "/CMakeCache.txt")
  return cache:match "\nASTRUM_SANITIZE:STRING=([^\n]*)" or ""
end

---Writes a file that is gone when the returned value is closed.
---@param text string
---@return { path: string }
function M.file(text)
  local path = os.tmpname()
  local file <close> = assert(io.open(path, "wb"))
  assert(file:write(text))
  return setmetatable({ path = path }, {
    __close = function()
      os.remove(path)
    end,
  })
end

---A named pipe that is gone when the returned value is closed: who reads from it waits for who
---writes to it, so that no time has to be guessed.
---@return { path: string }
function M.pipe()
  local pipe = M.file ""
  os.remove(pipe.path)
  assert(os.execute("mkfifo " .. M.quote(pipe.path)))
  return pipe
end

---Whether a process is there and no zombie that its parent has not looked for yet.
---@param pid string|integer
---@return boolean
function M.is_alive(pid)
  local file <close> = io.open("/proc/" .. pid .. "/stat", "rb")
  local state = file and file:read("a"):match("%) (%a)")
  return state ~= nil and state ~= "Z" and state ~= "X"
end

---Whether a process ends by itself within a second.
---@param pid string|integer
---@return boolean
function M.ends(pid)
  for _ = 1, 500 do
    if not M.is_alive(pid) then
      return true
    end
    os.execute("sleep 0.002")
  end
  return false
end

---@class astrum.spec.RunOptions
---@field program? string in place of astrum-lua
---@field input? string standard input, empty by default
---@field env? string words for env(1), such as "LUA_INIT=x=1"
---@field directory? string to run in

---@param arguments string[]
---@param options? astrum.spec.RunOptions
---@return { code: integer, out: string, err: string }
function M.run(arguments, options)
  options = options or {}
  local input <close> = M.file(options.input or "")
  local out <close> = M.file ""
  local err <close> = M.file ""
  local words = {}
  for i, argument in ipairs(arguments) do
    words[i] = M.quote(argument)
  end
  local command = string.format(
    "cd %s && env -u LUA_INIT -u LUA_INIT_5_4 --default-signal=INT,TERM %s "
      .. "timeout --foreground 20 %s %s <%s >%s 2>%s",
    M.quote(options.directory or "."),
    options.env or "",
    M.quote(options.program or M.path),
    table.concat(words, " "),
    M.quote(input.path),
    M.quote(out.path),
    M.quote(err.path)
  )
  local _, how, code = os.execute(command)
  code = how == "signal" and 128 + code or code
  return { code = code, out = read(out.path), err = read(err.path) }
end

return M
