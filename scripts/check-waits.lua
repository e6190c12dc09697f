-- Adds up how long the specs wait for time, with all processes they start, and fails from two
-- seconds. Strace tells each call that waits and how long it took. It counts when it ended because
-- its time was over: a sleep, a poll or a lock that timed out, or an epoll_wait that was woken by
-- timers alone. A wait for a child process, for data or for a signal is not counted; when those
-- come late because another process sleeps, that sleep is. Processes that sleep at once count one
-- by one.
-- usage: lua5.4 scripts/check-waits.lua [BUILD [SPEC]], at the root

local LIMIT <const> = 2.0
-- A spec that waits so long is listed.
local SHOWN <const> = 0.03

local WAITS <const> = "epoll_wait,epoll_pwait,epoll_pwait2,poll,ppoll,select,pselect6,nanosleep,"
  .. "clock_nanosleep,futex,rt_sigtimedwait"
-- What a descriptor is, and which spec runs.
local OTHERS <const> = "timerfd_create,close,unlink"

-- Makes busted leave the name of each spec in the trace.
local MARKS <const> = [[
local busted = require "busted"
local function mark(name)
  os.remove("/spec/" .. name)
  return nil, true
end
busted.subscribe({ "file", "start" }, function(file)
  return mark("file " .. file.name)
end)
busted.subscribe({ "test", "start" }, function(test)
  return mark("test " .. test.name)
end)
busted.subscribe({ "test", "end" }, function()
  return mark "test (between the specs)"
end)
]]

local build, spec = arg[1] or "build", arg[2] or "spec"

-- The timers among the descriptors of each process.
local timers = {}

local function is_timer_alone(process, events)
  local found
  for descriptor in events:gmatch "u32=(%d+)" do
    found = true
    if not timers[process .. " " .. descriptor] then
      return false
    end
  end
  return found or false
end

-- Whether a call that waits ended because its time was over.
local function is_over(process, call, rest)
  if call:find "nanosleep$" then
    return rest:find("= 0 <", 1, true) ~= nil
  elseif call == "futex" then
    return rest:find("ETIMEDOUT", 1, true) ~= nil
  elseif call == "rt_sigtimedwait" then
    return rest:find("EAGAIN", 1, true) ~= nil
  elseif not call:find "^epoll" then
    return rest:find("(Timeout)", 1, true) ~= nil
  elseif rest:find("= 0 <", 1, true) then
    return not rest:find("], %d+, 0[,)]") -- asked only
  end
  return is_timer_alone(process, rest)
end

-- Seconds in all, and by the names of specs.
local function add_up(path)
  local total, of_spec, file, test = 0.0, {}, "", ""
  for line in io.lines(path) do
    local process, rest = line:match "^(%d+)%s+(.*)$"
    local call = rest and (rest:match "^<%.%.%. ([%w_]+) resumed>" or rest:match "^([%w_]+)%(")
    if call == "unlink" then
      local kind, name = rest:match '"/spec/(%a+) (.*)"'
      file = kind == "file" and name or file
      test = kind == "test" and name or test
    elseif call == "close" then
      timers[process .. " " .. (rest:match "^close%((%d+)" or "")] = nil
    elseif call == "timerfd_create" then
      timers[process .. " " .. (rest:match "= (%d+)" or "")] = true
    elseif call then
      local seconds = tonumber(rest:match "<([%d.]+)>$")
      if seconds and is_over(process, call, rest) then
        local name = file .. ": " .. test
        total = total + seconds
        of_spec[name] = (of_spec[name] or 0.0) + seconds
      end
    end
  end
  return total, of_spec
end

if not os.execute "strace -f --seccomp-bpf -o /dev/null true 2>/dev/null" then
  print "check-waits: strace is not here, or may not trace: skipped"
  os.exit(true)
end

local trace = os.tmpname()
local marks, output = trace .. ".lua", trace .. ".out"
do
  local file <close> = assert(io.open(marks, "w"))
  assert(file:write(MARKS))
end
local strace = ("strace -f --seccomp-bpf -qq -T -s 200 -e signal=none -e trace=%s,%s -o %s"):format(
  WAITS,
  OTHERS,
  trace
)
local busted = ("%s/bin/astrum-lua /usr/bin/busted --ignore-lua --helper=%s %s >%s 2>&1"):format(
  build,
  marks,
  spec,
  output
)
local ok = os.execute(strace .. " " .. busted)
if not ok then
  io.stderr:write(io.open(output):read "a", "\ncheck-waits: the specs failed\n")
end
local total, of_spec = add_up(trace)
for _, path in ipairs { trace, marks, output } do
  os.remove(path)
end

local names = {}
for name, seconds in pairs(of_spec) do
  names[#names + 1] = seconds >= SHOWN and name or nil
end
table.sort(names, function(a, b)
  return of_spec[a] > of_spec[b]
end)
for _, name in ipairs(names) do
  print(("%5.2f s  %s"):format(of_spec[name], name))
end
print(("%5.2f s  in all; less than %g s is allowed"):format(total, LIMIT))
if total >= LIMIT then
  io.stderr:write "check-waits: wait for an event, or in virtual time (docs/testing.md)\n"
end
os.exit(ok and total < LIMIT)
