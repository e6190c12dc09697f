-- Lua code that never waits is stopped. Each case is a program of its own: a signal ends it.
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
      assert.equal("Execution cancelled: SIGINT", result.err:match "([^\n]*)\n$")
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

  local function run(code)
    if program.sanitizers() ~= "" then
      pending "stock lua5.4 cannot load a module that is built with sanitizers"
    end
    local file <close> = program.file(BEGINNING .. code)
    return program.run({ file.path }, {
      program = "lua5.4",
      env = ("LUA_PATH='lua/?.lua;lua/?/init.lua;;' LUA_CPATH=%s"):format(
        program.quote(program.build .. "/lua/?.so;;")
      ),
    })
  end

  it("changes nothing unless it is asked for", function()
    local result = run "print(same(), signals() == before)"
    assert.same({ code = 0, out = "true\ttrue\n", err = "" }, result)
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
