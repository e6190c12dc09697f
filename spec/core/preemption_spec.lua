-- Lua code that never waits is stopped. What a signal of the user ends is a program of its own.
local astrum = require "astrum"
local flow = require "spec.support.flow"
local program = require "spec.support.program"

-- A task whose body loops after SIGINT, inside of what `code` makes of it.
local function interrupt(code)
  local file <close> = program.file(([[
    local astrum = require "astrum"
    local function loop()
      io.popen("kill -INT $PPID"):close()
      while true do end
    end
    astrum.task("loops", function()
      local guard <close> = setmetatable({}, { __close = function() print "closed" end })
      %s
    end)
    astrum.task "next" { depends_on = { "loops" }, run = function() print "not reached" end }
    astrum.run {}
    print "not reached either"
  ]]):format(code))
  return program.run { file.path }
end

describe("SIGINT in astrum-lua stops a task that loops", function()
  for name, code in pairs {
    ["in the body"] = "loop()",
    ["in pcall"] = "while true do pcall(loop) end",
    ["in the message handler of xpcall"] = "xpcall(error, loop)",
    ["in a callback of gsub"] = "string.gsub('x', 'x', loop)",
    ["in a coroutine of its own"] = "while true do pcall(coroutine.wrap(loop)) end",
    ["and takes every hook away"] = "debug.sethook() while true do pcall(loop) end",
  } do
    it(name, function()
      local result = interrupt(code)
      assert.equal("closed\n", result.out)
      assert.equal("Task ", result.err:sub(1, 5)) -- nothing but the report
      assert.truthy(result.err:find("\nExecution cancelled: SIGINT\n", 1, true))
      assert.equal(130, result.code)
    end)
  end
end)

it("SIGINT in astrum-lua is an error in a coroutine of the main program", function()
  local result = program.run {
    "-e",
    [[
      local co = coroutine.create(function()
        io.popen("kill -INT $PPID"):close()
        while true do end
      end)
      print(coroutine.resume(co))]],
  }
  assert.same({ code = 130, out = "false\tinterrupted!\n", err = "" }, result)
end)

describe("a timeout stops a task that loops", function()
  local function loop()
    while true do
    end
  end

  for name, body in pairs {
    ["in the body"] = loop,
    ["after it took the hooks away"] = function()
      debug.sethook()
      loop()
    end,
    ["in pcall"] = function()
      while true do
        pcall(loop)
      end
    end,
    ["in the message handler of xpcall"] = function()
      xpcall(error, loop)
    end,
    ["in a callback of gsub"] = function()
      string.gsub("x", "x", loop)
    end,
    ["in a coroutine of its own"] = function()
      while true do
        pcall(coroutine.wrap(loop))
      end
    end,
    ["in a member of astrum.all"] = function()
      astrum.all { loop, loop }
    end,
  } do
    it(name, function()
      local closed = 0
      local report = flow.run(function(task)
        task("loops", {
          timeout = 0.01,
          run = function()
            local _ <close> = setmetatable({}, {
              __close = function()
                closed = closed + 1
              end,
            })
            body()
          end,
        })
        task("sibling", function()
          astrum.sleep(0.001)
          return "fine"
        end)
      end, { failure_mode = "keep_going" })
      assert.equal("timed_out", report:task("loops").status)
      assert.equal("timed out after 0.01 s", report:task("loops").error_message)
      assert.equal(1, closed)
      assert.equal("fine", report:result "sibling")
    end)
  end

  it("in each attempt", function()
    local attempts = 0
    local report = flow.run(function(task)
      task("loops", {
        timeout = 0.01,
        retry = 1,
        run = function()
          attempts = attempts + 1
          if attempts == 1 then
            loop()
          end
          return attempts
        end,
      })
    end)
    assert.equal(2, report:result "loops")
  end)

  it("in one of its inputs", function()
    local report = flow.run(function(task)
      task("loops", {
        timeout = 0.01,
        inputs = { x = loop },
        run = function(x)
          return x
        end,
      })
    end)
    assert.equal("timed_out", report:task("loops").status)
  end)
end)

describe("preemption under stock lua5.4", function()
  -- What the process and the coroutine library are like, told by SigCgt of /proc.
  local BEGINNING <const> = [[
    local resume, wrap, close = coroutine.resume, coroutine.wrap, coroutine.close
    local function signals()
      return io.open("/proc/self/status"):read("a"):match "SigCgt:%s*(%x+)"
    end
    local function same()
      return resume == coroutine.resume and wrap == coroutine.wrap and close == coroutine.close
    end
    local before = signals()
    local astrum = require "astrum"
    astrum.sleep(0)
  ]]

  -- Runs lua5.4, by the words of another command if they are given.
  local function run(code, ...)
    if program.sanitizers() ~= "" then
      pending "stock lua5.4 cannot load a module that is built with sanitizers"
    end
    local file <close> = program.file(BEGINNING .. code)
    local words = { ... }
    table.move({ "lua5.4", file.path }, 1, 2, #words + 1, words)
    return program.run({ table.unpack(words, 2) }, {
      program = words[1],
      env = ("LUA_PATH='lua/?.lua;lua/?/init.lua;;' LUA_CPATH=%s"):format(
        program.quote(program.build .. "/lua/?.so;;")
      ),
    })
  end

  it("is missed by a task that runs on, which is told once", function()
    local result = run [[
      for _, name in ipairs { "long", "longer" } do
        astrum.task(name) {
          timeout = 0.005,
          run = function()
            local ends = os.clock() + 0.02
            while os.clock() < ends do end
          end,
        }
      end
      local report = astrum.run { config = { failure_mode = "keep_going" } }
      print(report:task("long").status, report:task("longer").status)]]
    assert.equal("timed_out\ttimed_out\n", result.out)
    local line = "astrum: task 'long' ran TIME although its timeout is 0.005 s: Lua code that "
      .. "never waits is stopped only after astrum.enable_preemption(), or with "
      .. 'executor = "process"\n'
    assert.equal(line, (result.err:gsub("ran [%d.]+ s", "ran TIME")))
  end)

  it("changes nothing unless it is asked for", function()
    local result = run "print(same(), signals() == before)"
    assert.same({ code = 0, out = "true\ttrue\n", err = "" }, result)
  end)

  it("says why there is none, and changes nothing", function()
    local result = run(
      "print(astrum.enable_preemption()) print(same(), signals() == before)",
      "prlimit",
      "--sigpending=0"
    )
    local out = "nil\tenable_preemption: the limit of pending signals (ulimit -i) is reached, "
      .. 'raise it; Lua code that never waits is stopped only with executor = "process"\n'
      .. "true\ttrue\n"
    assert.same({ code = 0, out = out, err = "" }, result)
  end)

  it("installs one signal handler and replaces three functions, once", function()
    local result = run [[
      print(astrum.enable_preemption())
      local after = signals()
      local handlers = tonumber(after, 16) ~ tonumber(before, 16)
      print(handlers ~= 0, handlers & (handlers - 1))
      print(resume == coroutine.resume, wrap == coroutine.wrap, close == coroutine.close)
      resume, wrap, close = coroutine.resume, coroutine.wrap, coroutine.close
      print(astrum.enable_preemption())
      print(same(), signals() == after)]]
    local out = "true\ntrue\t0\nfalse\tfalse\tfalse\ntrue\ntrue\ttrue\n"
    assert.same({ code = 0, out = out, err = "" }, result)
  end)
end)
