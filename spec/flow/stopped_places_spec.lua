-- Where the code of a body was that is stopped, and what is told of one that does not stop.
local astrum = require "astrum"
local flow = require "spec.support.flow"
local program = require "spec.support.program"
local traces = require "astrum.traceback"

-- The frames of a task `work` that is stopped after 10 ms; the text of its body begins in line 2.
local function frames_of(executor, body)
  local text = "local task, _ENV = task, _G "
    .. 'task("work", { timeout = 0.01, executor = %s, run = function()\n%send })'
  local report = flow.load(text:format(executor, body)):run {}
  assert.equal("timed_out", report:task("work").status)
  return traces.frames(report:task("work").error.traceback)
end

-- By what the body does: its text, and where it was.
local BODIES <const> = {
  ["a while loop"] = {
    "local s = 0\n\nwhile true do\n  s = s + 1\nend\n",
    { "flow.lua:5: in function <flow.lua:1>" },
  },
  ["an empty while loop"] = {
    "local s = 0\n\nwhile true do\nend\nreturn s\n",
    { "flow.lua:4: in function <flow.lua:1>" },
  },
  ["a for loop"] = {
    "local s = 0\n\nfor i = 1, math.huge do\n  s = s + i\nend\n",
    { "flow.lua:5: in function <flow.lua:1>" },
  },
  ["an empty for loop"] = {
    "local s = 0\n\nfor _ = s, math.maxinteger do\nend\n",
    { "flow.lua:4: in function <flow.lua:1>" },
  },
  ["a repeat loop"] = {
    "local s = 0\n\nrepeat\n  s = s + 1\nuntil false\n",
    { "flow.lua:5: in function <flow.lua:1>" },
  },
  ["a loop in pcall"] = {
    "pcall(function()\n\n  while true do\n  end\nend)\n",
    {
      "flow.lua:4: in function <flow.lua:2>",
      "[C]: in function 'pcall'",
      "flow.lua:2: in function <flow.lua:1>",
    },
  },
  ["a loop in a function"] = {
    "local function spin(n)\n  local s = n\n\n  while true do\n    s = s + 1\n"
      .. "  end\nend\nspin(1)\n",
    { "flow.lua:6: in local 'spin'", "flow.lua:9: in function <flow.lua:1>" },
  },
  ["a loop that calls C functions"] = {
    "local s = 0\n\nwhile true do\n  s = math.max(s, 1)\nend\n",
    { "flow.lua:5: in function <flow.lua:1>" },
  },
  ["a loop in coroutines"] = {
    "local co = coroutine.wrap(function()\n"
      .. "  coroutine.resume(coroutine.create(function()\n"
      .. "    local s = 0\n\n    while true do\n      s = s + 1\n    end\n  end))\nend)\n"
      .. "co()\n",
    {
      "flow.lua:7: in function <flow.lua:3>",
      "[C]: in function 'coroutine.resume'",
      "flow.lua:3: in function <flow.lua:2>",
      "[C]: in local 'co'",
      "flow.lua:11: in function <flow.lua:1>",
    },
  },
  ["a loop in a member of astrum.all"] = {
    'require("astrum").all { function()\n  local s = 0\n\n'
      .. "  while true do\n    s = s + 1\n  end\nend }\n",
    {
      "flow.lua:6: in function <flow.lua:2>",
      "[C]: in function 'astrum.all'",
      "flow.lua:2: in function <flow.lua:1>",
    },
  },
  ["a loop in a callback of gsub"] = {
    'pcall(string.gsub, "x", "x", function()\n  local s = 0\n\n  while true do\n    s = s + 1\n'
      .. "  end\nend)\nwhile true do\nend\n",
    {
      "flow.lua:6: in function <flow.lua:2>",
      "[C]: in function 'string.gsub'",
      "[C]: in function 'pcall'",
      "flow.lua:2: in function <flow.lua:1>",
    },
  },
  ["a loop in __close"] = {
    "do\n  local _ <close> = setmetatable({}, { __close = function()\n    local s = 0\n\n"
      .. "    while s do\n      s = s + 1\n    end\n  end })\nend\n",
    { "flow.lua:6: in metamethod 'close'", "flow.lua:9: in function <flow.lua:1>" },
  },
  ["a sleep"] = {
    'local astrum = require "astrum"\n\nastrum.sleep(10)\n',
    { "[C]: in function 'astrum.sleep'", "flow.lua:4: in function <flow.lua:1>" },
  },
}

for what, case in pairs(BODIES) do
  describe("a timeout says where it has stopped " .. what, function()
    it("in the loop", function()
      assert.same(case[2], frames_of("nil", case[1]))
    end)

    it("in a worker thread", function()
      assert.same(case[2], frames_of('"thread"', case[1]))
    end)
  end)
end

describe("a timeout says where it has stopped", function()
  it("a body that a C function has held up: in the call of that", function()
    local pipe <close> = program.pipe()
    local body = ('local pipe = io.open(%q, "r+")\nlocal _ = pipe:read "l"\n\nreturn 1\n'):format(
      pipe.path
    )
    local writer = io.popen(("sleep 0.02; echo > %s"):format(program.quote(pipe.path)))
    assert.same({ "flow.lua:3: in function <flow.lua:1>" }, frames_of("nil", body))
    writer:close()
  end)

  it("each attempt in a worker thread", function()
    local report = flow
      .load([[
local task, _ENV = task, _G
task("work", { timeout = 0.01, retry = 1, executor = "thread", run = function(ctx)
  while ctx.attempt == 1 do
  end

  while true do
  end
end })]])
      :run {}
    local places = {}
    for i, attempt in ipairs(report:task("work").attempt_statistics) do
      places[i] = traces.frames(attempt.error.traceback)[1]
    end
    assert.equal("flow.lua:6: in function <flow.lua:2>", places[2])
    assert.matches("^flow.lua:[34]: in function <flow.lua:2>$", places[1])
  end)
end)

describe("a report of a run that is cancelled says where it was", function()
  local function cancelled(executor, body)
    local file <close> = program.file(([[
      local astrum = require "astrum"
      astrum.task("work", { executor = %s, run = function()
        io.popen("(sleep 0.01; kill -INT $PPID) >/dev/null 2>&1 &"):close()
        local s = 0

        %s
          s = s + 1
        end
      end })
      astrum.run {}]]):format(executor, body))
    local err = program.run({ file.path }).err
    return (err:match("\nstopped while it ran: work\n(.*)$") or err):gsub("[^ ]*/lua_%w+", "FILE")
  end

  it("in the loop", function()
    assert.equal(
      "  work was at FILE:7, in its body\n   7 |           s = s + 1\n",
      (cancelled("nil", "while true do"))
    )
  end)

  it("in a worker thread", function()
    assert.equal(
      "  work was at FILE:7, in its body\n   7 |           s = s + 1\n",
      (cancelled('"thread"', "while true do"))
    )
  end)

  it("also when the body waits in a worker thread", function()
    local handle = flow
      .load([[
local task, _ENV = task, _G task("work", { executor = "thread", run = function(ctx)
  ctx.progress(0.5)
  require("astrum").sleep(10)
end })]])
      :build_scheduler({})
      :start()
    repeat
      astrum.sleep(0.001)
    until handle:status().progress.work
    handle:cancel()
    assert.equal(
      "Execution cancelled\n\nstopped while it ran: work\n  work was at flow.lua:3, in its body",
      handle:wait():explain { unicode = true, color = false }
    )
  end)
end)

describe("a body in C code that is to stop", function()
  -- Runs a script whose bodies read lines from a pipe, until so many lines are on stderr.
  local function told_of(text, count)
    local pipe <close> = program.pipe()
    local file <close> = program.file(text:format(pipe.path))
    local go_on = ('exec 3<>%s\n"$0" %s 2>&1 >/dev/null | { for i in %s; do\n'):format(
      program.quote(pipe.path),
      program.quote(file.path),
      ("x "):rep(count)
    ) .. 'read -r line; echo "$line"; done; for i in 1 2 3 4; do echo >&3; done; cat >/dev/null; }'
    local result = program.run({ "-c", go_on, program.path }, { program = "sh" })
    local lines = {}
    for line in result.out:gmatch "[^\n]+" do
      lines[#lines + 1] = line
    end
    table.sort(lines)
    return lines
  end

  local WHY <const> = ": it is where Lua cannot be stopped, most likely in a C function such as "
    .. "string.find; "
  local PROCESS <const> = 'with executor = "process" a task can be stopped anywhere'

  it("is told of by its name, its timeout and what helps, when it is in a worker thread", function()
    local lines = told_of(
      [[
      local astrum = require "astrum"
      local path = %q
      local inner = astrum.SchedulerRegistry "inner"
      inner.task("read", { executor = "thread", timeout = 0.01, run = function()
        return io.open(path, "r+"):read "l"
      end })
      astrum.task("each", {
        executor = "thread",
        timeout = 0.02,
        map = { n = { 1 } },
        run = function(n)
          return n, io.open(path, "r+"):read "l"
        end,
      })
      astrum.task("part", { workflow = inner })
      astrum.run { config = { workers = 2, failure_mode = "keep_going" } }]],
      2
    )
    assert.same({
      "astrum: task 'each[1]' still runs although its timeout of 0.02 s is over" .. WHY .. PROCESS,
      "astrum: task 'part/read' still runs although its timeout of 0.01 s is over"
        .. WHY
        .. PROCESS,
    }, lines)
  end)

  it("is told of as one of a run that is cancelled", function()
    local lines = told_of(
      [[
      local astrum = require "astrum"
      local path = %q
      astrum.task("read", { executor = "thread", run = function(ctx)
        ctx.progress(0.5)
        return io.open(path, "r+"):read "l"
      end })
      local handle = astrum.build_scheduler({}):start()
      repeat
        astrum.sleep(0.001)
      until handle:status().progress.read
      handle:cancel()
      handle:wait()]],
      1
    )
    assert.same({ "astrum: task 'read' does not stop" .. WHY .. PROCESS }, lines)
  end)

  it("is told that a second signal ends the program, when one has come", function()
    local lines = told_of(
      [[
      local astrum = require "astrum"
      local path = %q
      astrum.task("read", { executor = "thread", run = function(ctx)
        ctx.progress(0.5)
        return io.open(path, "r+"):read "l"
      end })
      local handle = astrum.build_scheduler({}):start()
      repeat
        astrum.sleep(0.001)
      until handle:status().progress.read
      os.execute("(sleep 0.01; kill -INT $PPID) &")
      handle:wait()]],
      1
    )
    local line = "astrum: task 'read' does not stop" .. WHY .. "a second signal ends the program"
    assert.same({ line }, lines)
  end)

  it("is ended without a word when it is in a child process", function()
    local file <close> = program.file [[
      local astrum = require "astrum"
      astrum.task("search", {
        executor = "process",
        timeout = 0.03,
        cancel_grace = 0.12,
        run = function()
          return ("x"):rep(1000):find(("x*"):rep(4) .. "y")
        end,
      })
      print(astrum.run({}):task("search").status)]]
    local result = program.run { file.path }
    assert.same({ code = 0, out = "timed_out\n", err = "" }, result)
  end)
end)
