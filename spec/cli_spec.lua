-- astrum-lua on the command line: what it shares with lua5.4, told by running
-- both, and what is its own.

local program = require "spec.support.program"

local SHOW_ARGUMENTS <const> = [[
#!/usr/bin/env lua
local first = 0
while arg[first - 1] do
  first = first - 1
end
for i = first + 1, #arg do
  print(i, arg[i])
end
print(select("#", ...), ...)
]]

-- Both programs with the same words; each one's own path reads PROGRAM.
local function run_both(arguments, options)
  local results = {}
  for i, path in ipairs { program.path, "lua5.4" } do
    local own = { program = path }
    for key, value in pairs(options or {}) do
      own[key] = value
    end
    local result = program.run(arguments, own)
    result.err = result.err:gsub("^" .. path:gsub("%p", "%%%0"), "PROGRAM")
    results[i] = result
  end
  return results[1], results[2]
end

local function sends(signal)
  return string.format('io.popen("kill -%s $PPID"):close() ', signal)
end

describe("astrum-lua does as lua5.4 when it", function()
  local script, code_file

  setup(function()
    script = program.file(SHOW_ARGUMENTS)
    code_file = program.file 'print "from the file"'
  end)

  teardown(function()
    os.remove(script.path)
    os.remove(code_file.path)
  end)

  -- name, function that gives arguments and options, exit code
  local cases = {
    { "runs the texts of -e in order", { "-e", "x = 1", "-e", "print(x)" }, 0 },
    { "takes a text from the word of -e itself", { "-eprint(1)" }, 0 },
    { "loads a module into the global of its name", { "-l", "os", "-e", "print(os == os)" }, 0 },
    { "loads a module into a named global", { "-l", "g=string", "-e", "print(g == string)" }, 0 },
    { "fails on a module that is not there", { "-l", "no.such.module" }, 1 },
    { "reads the script from standard input for -", { "-", "a", "b" }, 0, input = "print(...)" },
    { "runs standard input that is no terminal", {}, 0, input = "print(1, ...)" },
    { "takes - behind -- for a file name", { "--", "-" }, 1 },
    { "shows warnings after -W", { "-W", "-e", "warn('careful')" }, 0 },
    { "hides warnings", { "-e", "warn('careful')" }, 0 },
    { "runs LUA_INIT first", { "-e", "print(x)" }, 0, env = "LUA_INIT=x=1" },
    {
      "prefers the LUA_INIT of its version",
      { "-e", "print(x)" },
      0,
      env = "LUA_INIT=x=1 LUA_INIT_5_4=x=2",
    },
    { "ignores the environment after -E", { "-E", "-e", "print(x)" }, 0, env = "LUA_INIT=x=1" },
    { "ends on an error in LUA_INIT", { "-e", "print(1)" }, 1, env = "LUA_INIT='error(1)'" },
    {
      "looks for modules in the same places",
      { "-e", "print(package.path, package.cpath)" },
      0,
    },
    { "looks where LUA_PATH says", { "-e", "print(package.path)" }, 0, env = "LUA_PATH='x;;'" },
    {
      "prints an error with its traceback",
      { "-e", "local function f() error 'boom' end f()" },
      1,
    },
    { "prints an error of another type", { "-e", "error {}" }, 1 },
    { "prints an error that is nil", { "-e", "error()" }, 1 },
    { "prints an error that is a number", { "-e", "error(12)" }, 1 },
    {
      "prints an error by its __tostring",
      { "-e", "error(setmetatable({}, { __tostring = function() return 'own' end }))" },
      1,
    },
    { "prints a syntax error", { "-e", "x =" }, 1 },
    { "does not find a script", { "/no/such/script.lua" }, 1 },
    { "ends with the code of os.exit", { "-e", "os.exit(7)" }, 7 },
    { "closes its variables before os.exit", { "-e", "os.exit(true, true)" }, 0 },
    { "collects garbage in generations", { "-e", "print(collectgarbage 'incremental')" }, 0 },
  }

  for _, case in ipairs(cases) do
    local name, arguments, code = table.unpack(case)
    it(name, function()
      local ours, theirs = run_both(arguments, { input = case.input, env = case.env })
      assert.same(theirs, ours)
      assert.equal(code, ours.code)
    end)
  end

  it("hands the words behind the script to it", function()
    local ours, theirs = run_both { script.path, "", "a b", "$x", "it's", "-e", "--help" }
    assert.same(theirs, ours)
    assert.equal("6\t\ta b\t$x\tit's\t-e\t--help\n", ours.out:match "[^\n]*\n$")
  end)

  it("puts the words before the script at negative places of arg", function()
    local ours, theirs = run_both { "-W", "-e", "x = 1", script.path, "a" }
    assert.same(theirs, ours)
    assert.equal("-3\t-W\n", ours.out:match "^[^\n]*\n")
  end)

  it("runs the file that LUA_INIT names", function()
    local ours, theirs = run_both({ "-e", "print(1)" }, { env = "LUA_INIT=@" .. code_file.path })
    assert.same(theirs, ours)
    assert.equal("from the file\n1\n", ours.out)
  end)
end)

describe("astrum-lua", function()
  local USAGE <const> = "usage: astrum-lua [options] [script [args]]\n"
    .. "try 'astrum-lua --help' for the list of options\n"

  it("shows its options for --help", function()
    local result = program.run { "--help" }
    assert.equal("usage: astrum-lua [options] [script [args]]\n", result.out:match "^[^\n]*\n")
    assert.equal("", result.err)
    assert.equal(0, result.code)
  end)

  it("shows its version for --version and -v", function()
    local result = program.run { "--version" }
    assert.matches("^astrum%-lua %d+%.%d+%.%d+ %(Lua 5%.4%.%d+%)\n$", result.out)
    assert.same(result, program.run { "-v" })
    assert.equal(0, result.code)
  end)

  it("refuses an unknown option with exit code 2", function()
    local result = program.run { "-x", "script.lua" }
    assert.equal(program.path .. ": unknown option '-x'\n" .. USAGE, result.err)
    assert.equal(2, result.code)
  end)

  it("names the option that was meant", function()
    local result = program.run { "--hlep" }
    local hint = ": unknown option '--hlep'\ndid you mean '--help'?\n"
    assert.equal(program.path .. hint .. USAGE, result.err)
    assert.equal(2, result.code)
  end)

  it("misses the argument of an option", function()
    for _, arguments in ipairs { { "-e" }, { "-l", "-i" } } do
      local result = program.run(arguments)
      local message = string.format(": option '%s' needs an argument\n", arguments[1])
      assert.equal(program.path .. message .. USAGE, result.err)
      assert.equal(2, result.code)
    end
  end)

  it("finds astrum in any directory without any environment", function()
    local code = "print(debug.getinfo(require('astrum').task, 'S').short_src:match '^astrum/')"
    local result = program.run({ "-e", code }, { directory = "/", env = "-i" })
    assert.same({ code = 0, out = "astrum/\n", err = "" }, result)
  end)

  it("refuses a script that is compiled code", function()
    local script <close> = program.file(string.dump(load "print(1)"))
    local result = program.run { script.path }
    local message = "%s: %s: this is compiled Lua code; run its source instead\n"
    assert.equal(message:format(program.path, script.path), result.err)
    assert.equal(1, result.code)
  end)

  it("ends with 2 and no traceback after a wrong declaration", function()
    local script <close> = program.file [[
      local astrum = require "astrum"
      astrum.task("a", { retrys = 1, run = function() end })
    ]]
    local result = program.run { script.path }
    local message = [[
%s: %s:2: task 'a': unknown option 'retrys'
   2 |       astrum.task("a", { retrys = 1, run = function() end })
     |                          ^^^^^^
help: did you mean 'retry'?
]]
    assert.equal(message:format(program.path, script.path), result.err)
    assert.equal(2, result.code)
  end)

  it("ends with 2 after a wrong constant for a param of a workflow", function()
    local script <close> = program.file [[
      local astrum = require "astrum"
      local inner = astrum.workflow "inner" {
        one = { inputs = { n = astrum.param("n", { type = "integer" }) }, run = function(n) end },
      }
      astrum.task("a", { workflow = inner, inputs = { n = "x" } })
      astrum.run()
    ]]
    local result = program.run { script.path }
    local message = "%s: %s:5: task 'a': param 'n': integer expected, got string\n"
    assert.equal(message:format(program.path, script.path), result.err)
    assert.equal(2, result.code)
  end)

  it("ends with 1 after a run that reached its deadline and was asserted", function()
    local code = "local a = require 'astrum' a.task('a', function() a.sleep(9) end)"
      .. "a.run({ config = { deadline = 0.001 } }):assert()"
    local result = program.run { "-e", code }
    local message = ": Execution failed: the run took longer than its deadline of 0.001 s\n\n"
      .. "stopped while it ran: a\n"
      .. "help: give the run a longer deadline, or what may be slow a timeout\n"
    assert.equal(program.path .. message, result.err)
    assert.equal(1, result.code)
  end)

  it("points to the value that is wrong", function()
    local script <close> = program.file [[
      local astrum = require "astrum"
      astrum.task("a", { retry = { max = 3, delay = "1s" }, run = function() end })
    ]]
    local result = program.run { script.path }
    local message = [[
%s: %s:2: task 'a': retry.delay is a number of seconds, 0 or more, got '1s'
   2 |       astrum.task("a", { retry = { max = 3, delay = "1s" }, run = function() end })
     |                                             ^^^^^
]]
    assert.equal(message:format(program.path, script.path), result.err)
  end)

  it("ends with 1 after an error that its text cannot be made of", function()
    local code = "error(setmetatable({}, { __tostring = function() error 'worse' end }))"
    local result = program.run { "-e", code }
    assert.equal(program.path .. ": (command line):1: worse\n", result.err)
    assert.equal(1, result.code)
  end)

  it("shows no line of a file that only the text of an error names", function()
    local other <close> = program.file "NAME=joe\nPASSWORD prnt hunter2"
    local text = "error('%s:2: attempt to index a nil value (global \\'prnt\\')', 0)"
    local result = program.run { "-e", text:format(other.path) }
    assert.truthy(result.err:find("help: did you mean 'print'?", 1, true))
    assert.falsy(result.err:find("hunter2", 1, true))
  end)

  it("describes an error though the script took require away", function()
    local result = program.run { "-e", "require = nil error(false)" }
    local message = ": (error object is a boolean value)\n"
    assert.equal(program.path .. message, result.err:match "^[^\n]*\n")
    local code = "require = nil error(setmetatable({}, { __tostring = function() end }))"
    result = program.run { "-e", code }
    assert.equal(program.path .. ": '__tostring' must return a string\n", result.err)
    assert.equal(1, result.code)
  end)

  it("ends with 130 after SIGINT, which is an error in the script", function()
    local result = program.run { "-e", sends "INT" .. "while true do end" }
    local message = program.path .. ": interrupted!\nstack traceback:\n"
    assert.equal(message, result.err:sub(1, #message))
    assert.equal(130, result.code)
  end)

  it("ends with 130 though the script caught the error of SIGINT", function()
    local code = "print(pcall(function() %s while true do end end))"
    local result = program.run { "-e", code:format(sends "INT") }
    assert.same({ code = 130, out = "false\tinterrupted!\n", err = "" }, result)
  end)

  for signal, code in pairs { INT = 130, TERM = 143, HUP = 129 } do
    it("ends a workflow in good order at SIG" .. signal, function()
      local script <close> = program.file [[
        local astrum = require "astrum"
        astrum.task("a", function()
          local guard <close> = setmetatable({}, { __close = function() print "closed" end })
          io.popen("kill -" .. arg[1] .. " $PPID"):close()
          astrum.sleep(10)
        end)
        astrum.task "b" { depends_on = { "a" }, run = function() print "not reached" end }
        astrum.run {}
        print "not reached either"
      ]]
      local result = program.run { script.path, signal }
      assert.equal("closed\n", result.out)
      local told = ("\nExecution cancelled: SIG%s\n\nstopped while it ran: a\n"):format(signal)
      assert.truthy(result.err:find(told, 1, true))
      assert.equal("never started: b", result.err:match "([^\n]*)\n$")
      assert.truthy(result.err:find("state=cancelled, completed=0, failed=0", 1, true))
      assert.equal(code, result.code)
    end)
  end

  it("drives a detached task to its end", function()
    local script <close> = program.file [[
      local astrum = require "astrum"
      astrum.task("a", function() end)
      astrum.task "tail" {
        detached = true,
        run = function()
          astrum.sleep(0.002)
          print "tail"
        end,
      }
      print(astrum.run({}).execution_state)
    ]]
    local result = program.run { script.path }
    assert.same({ code = 0, out = "completed\ntail\n", err = "" }, result)
  end)

  it("ends with 1 when a script asserts a run that failed", function()
    local script <close> = program.file [[
      local astrum = require "astrum"
      astrum.task("a", function() error("boom", 0) end)
      astrum.run({}):assert()
    ]]
    local result = program.run { script.path }
    local message = [[
%s: Execution interrupted; task 'a' failed: boom

task 'a' (%s:2) failed
   2 |       astrum.task("a", function() error("boom", 0) end)
traceback:
  %s:2: in the body of 'a'
]]
    assert.equal(message:format(program.path, script.path, script.path), result.err)
    assert.equal("", result.out)
    assert.equal(1, result.code)
  end)

  it("leaves no child process behind when a script exits", function()
    local script <close> = program.file [[
      local astrum = require "astrum"
      local path = os.tmpname()
      astrum.task("child", function()
        astrum.spawn { "sh", "-c", "echo $$ > " .. path .. "; sleep 20" }
      end)
      astrum.task("exit", function()
        local pid
        repeat
          astrum.sleep(0.001)
          pid = io.open(path):read "n"
        until pid
        os.remove(path)
        io.write(pid):close()
        os.exit(3)
      end)
      astrum.run {}
    ]]
    local result = program.run { script.path }
    assert.equal(3, result.code)
    local file = io.open("/proc/" .. result.out .. "/stat")
    assert.is_truthy(not file or file:read("a"):find ") Z ")
  end)

  it("takes two signals at once for one", function()
    local code = [[
      print(pcall(function()
        io.popen("kill -INT $PPID; kill -INT $PPID"):close()
        while true do end
      end))]]
    local result = program.run { "-e", code }
    assert.same({ code = 130, out = "false\tinterrupted!\n", err = "" }, result)
  end)

  it("ends at once at a second signal", function()
    local code = [[
      local function interrupt()
        io.popen("kill -INT $PPID"):close()
        local ends = os.clock() + 0.03
        while os.clock() < ends do end
      end
      pcall(interrupt)
      local ends = os.clock() + 0.03
      while os.clock() < ends do end
      pcall(interrupt)
      print "not reached"]]
    local result = program.run { "-e", code }
    assert.same({ code = 130, out = "", err = "" }, result)
  end)

  it("goes on with a workflow whose output nobody reads", function()
    local script <close> = program.file [[
      local astrum = require "astrum"
      astrum.task("prints", function()
        astrum.spawn { "sleep", "0.01" }
        io.write("lost"):flush()
        astrum.sleep(0)
        io.stderr:write "done"
      end)
      astrum.run {}
    ]]
    local command = program.quote(program.path) .. " " .. script.path .. " | true"
    local result = program.run({ "-c", command }, { program = "sh" })
    assert.same({ code = 0, out = "", err = "done" }, result)
  end)

  it("is ended by SIGPIPE when no workflow runs", function()
    local command = "(%s -e 'while true do print(1) end'; echo $? >&2) | true"
    command = command:format(program.quote(program.path))
    local result = program.run({ "-c", command }, { program = "sh" })
    assert.same({ code = 0, out = "", err = "141\n" }, result)
  end)

  it("ends with 143 after SIGTERM", function()
    local result = program.run { "-e", sends "TERM" .. "while true do end" }
    assert.equal(143, result.code)
  end)
end)
