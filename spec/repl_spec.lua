-- The prompt of astrum-lua. Its input is a pipe, so typed lines are not echoed.

local program = require "spec.support.program"

-- Output after the version line, errors and exit code for typed lines.
local function talk(lines, arguments)
  local words = arguments or {}
  table.insert(words, 1, "-i")
  local result = program.run(words, { input = lines })
  result.out = result.out:gsub("^astrum%-lua [^\n]*\n", "")
  return result
end

describe("the prompt", function()
  it("shows the version first", function()
    local version = program.run({ "--version" }).out
    assert.equal(version .. "> \n", program.run({ "-i" }).out)
  end)

  it("shows the values of an expression", function()
    assert.same({ code = 0, out = "> 3\tnil\t4\n> \n", err = "" }, talk "1 + 2, nil, 4\n")
  end)

  it("tells texts from numbers", function()
    assert.equal('> "1"\t1\n> \n', talk("'1', 1\n").out)
  end)

  it("shows what tables hold", function()
    assert.equal("> { 1, 2, a = true }\n> \n", talk("{ 1, 2, a = true }\n").out)
  end)

  it("accepts an expression after =", function()
    assert.equal("> 3\n> \n", talk("=1 + 2\n").out)
  end)

  it("shows nothing for a statement or an empty line", function()
    assert.equal("> > > > \n", talk("x = 1\n\n-- nothing\n").out)
  end)

  it("shows the values that a statement returns", function()
    assert.equal("> 5\n> \n", talk("local a = 5 return a\n").out)
  end)

  it(
    "shows a text of several lines as it is, with its colours and nothing else that is obeyed",
    function()
      assert.equal("> a\n    b\n> \n", talk("'a\\n\\tb\\n'\n").out)
      assert.equal("> \27[1ma\27[0m\n\\x1B[2Jb\n> \n", talk("'\\27[1ma\\27[0m\\n\\27[2Jb'\n").out)
      -- What only looks like it is no colour.
      assert.equal("> a\n\\x1B[31mb\n> \n", talk("'a\\n\\\\x1B[31mb'\n").out)
    end
  )

  it("tells that a local has ended with its entry", function()
    local help =
      "help: 'x' was a local, which ends with its entry; enter it again without `local`\n"
    local result = talk "local x, y <const> = 5\nx\n"
    assert.equal(help, result.err)
    assert.equal("> > nil\n> \n", result.out)
    assert.equal(
      "stdin:1: attempt to call a nil value (global 'x')\n"
        .. help
        .. "stack traceback:\n\tstdin:1: in main chunk\n\t[C]: in ?\n",
      talk("local function x() end\nx(1)\n").err
    )
  end)

  it("tells where a function of the library is that is no global", function()
    assert.equal(
      "stdin:1: attempt to call a nil value (global 'spawn')\n"
        .. "help: write astrum.spawn, or enter spawn = astrum.spawn first\n"
        .. "stack traceback:\n\tstdin:1: in main chunk\n\t[C]: in ?\n",
      talk('spawn { "ls" }\n').err
    )
    assert.equal(
      "help: write astrum.param, or enter param = astrum.param first\n",
      talk("param\n").err
    )
  end)

  it("tells that commands begin with a dot", function()
    local result = talk "quit\nhelp()\nexit\n"
    assert.matches("^help: commands begin with a dot: enter .quit\n", result.err)
    assert.matches("\nhelp: commands begin with a dot: enter .help\nstack", result.err)
    assert.matches("\nhelp: commands begin with a dot: enter .quit\n$", result.err)
  end)

  it("suggests the name that is nearest to one that is nil", function()
    assert.matches("\nhelp: did you mean 'print'%?\n", talk("prnt(1)\n").err)
    assert.matches("\nhelp: did you mean 'astrum.sleep'%?\n", talk("x =\nastrum.slep(1)\n").err)
  end)

  it("says nothing of a name that is nil for no reason that it knows", function()
    assert.equal("", talk("unheard_of\nx = nil\nx\n").err)
  end)

  it("keeps globals from line to line", function()
    assert.equal("> > 5\n> \n", talk("x = 5\nx\n").out)
  end)

  it("asks for more lines until a statement is complete", function()
    assert.equal("> >> >> > 2\n> \n", talk("function f()\nreturn 2\nend\nf()\n").out)
  end)

  it("asks for more lines until an expression is complete", function()
    assert.equal("> >> >> 3\n> \n", talk("(1 +\n2\n)\n").out)
  end)

  it("shows where the body of a task failed", function()
    local lines = "astrum = require 'astrum'\n"
      .. "local _ = astrum.task('a', function() error 'x' end)\n"
      .. "astrum.run():assert()\n"
    assert.equal(
      "Execution interrupted; task 'a' failed: stdin:1: x\n"
        .. "\ntask 'a' (stdin:1) failed\ntraceback:\n  stdin:1: in the body of 'a'\n",
      talk(lines).err
    )
  end)

  it("does not interrupt what is typed after a run that Ctrl-C has ended", function()
    local lines = [[
astrum = require 'astrum'
F = astrum.task('b', function() io.popen('kill -INT $PPID'):close() astrum.sleep(1) end)
astrum.run({ 'b' }).execution_state
astrum.sleep(0.001) print 'slept'
]]
    local result = talk(lines)
    assert.equal('> > > "cancelled"\n> slept\n> \n', result.out)
    assert.equal("", result.err)
  end)

  it("says so when a key for editing was typed", function()
    local result = talk "\27[A\n\27[B\n1\n"
    local message = "stdin:1: the line begins with an escape character; this prompt has no keys "
      .. "for editing, but under rlwrap it has\n"
    assert.equal(message:rep(2), result.err)
    assert.equal("> > > 1\n> \n", result.out)
  end)

  it("takes its prompts from _PROMPT and _PROMPT2", function()
    local lines = "_PROMPT, _PROMPT2 = 'lua: ', 5\n(1\n)\n"
    assert.equal("> lua: 51\nlua: \n", talk(lines).out)
  end)

  it("goes on after an error, which shows where it was", function()
    local result = talk "error 'boom'\n1\n"
    assert.equal("> > 1\n> \n", result.out)
    assert.equal(
      "stdin:1: boom\nstack traceback:\n\t[C]: in function 'error'\n"
        .. "\tstdin:1: in main chunk\n\t[C]: in ?\n",
      result.err
    )
    assert.equal(0, result.code)
  end)

  it("goes on after an error object", function()
    local result = talk "error(setmetatable({}, { __tostring = function() return 'own' end }))\n1\n"
    assert.same({ code = 0, out = "> > 1\n> \n", err = "own\n" }, result)
  end)

  it("goes on after an error object without a text", function()
    local result = talk "error(setmetatable({}, { __tostring = error }))\n1\n"
    assert.same({ code = 0, out = "> > 1\n> \n", err = "(error object has no text)\n" }, result)
  end)

  it("names its own line where a declaration is wrong", function()
    local result = talk "astrum = require 'astrum'\nastrum.task('a', { run = 1 })\n"
    local message = "stdin:1: task 'a': run is a function, got number\n"
      .. "help: write run = function() ... end\n"
    assert.equal(message, result.err)
  end)

  it("runs a workflow and waits in a line", function()
    local lines = "astrum = require 'astrum'\nt = astrum.task('a', function() return 7 end)\n"
      .. "astrum.sleep(0.001)\nastrum.run({}):result 'a'\n"
    assert.same({ code = 0, out = "> > > > 7\n> \n", err = "" }, talk(lines))
  end)

  it("goes on after a workflow that SIGINT cancelled", function()
    local lines = "astrum = require 'astrum'\n"
      .. "function a() io.popen('kill -INT $PPID'):close() astrum.sleep(9) end\n"
      .. "t = astrum.task('a', a)\n"
      .. "astrum.run({}).execution_state\n1\n"
    local result = talk(lines)
    assert.equal('> > > > "cancelled"\n> 1\n> \n', result.out)
    assert.equal(0, result.code)
  end)

  it("goes on after a syntax error", function()
    local result = talk "x = = 1\n1\n"
    assert.equal("> > 1\n> \n", result.out)
    assert.equal("stdin:1: unexpected symbol near '='\n", result.err)
  end)

  it("reports a chunk that the end of the input leaves incomplete", function()
    local result = talk "f(\n"
    assert.equal("> >> > \n", result.out)
    assert.equal("stdin:1: unexpected symbol near <eof>\n", result.err)
  end)

  it("goes on after SIGINT", function()
    local result = talk 'io.popen("kill -INT $PPID"):close() while true do end\n1\n'
    assert.equal("> > 1\n> \n", result.out)
    assert.equal("interrupted!\n", result.err:match "^[^\n]*\n")
    assert.equal(0, result.code)
  end)

  it("follows a script after -i and sees its globals", function()
    local script <close> = program.file "x = ..."
    assert.equal("> 2\n> \n", talk("x + 1\n", { script.path, "1" }).out)
  end)

  it("does not follow a script that failed", function()
    local script <close> = program.file "error('boom', 0)"
    local result = talk("1\n", { script.path })
    assert.equal("", result.out)
    assert.equal(1, result.code)
  end)

  it("reads a line of any length", function()
    local result = talk("#'" .. ("x"):rep(5000) .. "'\n")
    assert.equal("> 5000\n> \n", result.out)
  end)

  it("reads a last line without a newline", function()
    assert.equal("> 1\n> \n", talk("1").out)
  end)

  it("starts by itself on a terminal", function()
    -- The history cannot be kept in a file that is no folder.
    local no_folder <close> = program.file ""
    local result = program.run({ program.path }, {
      program = program.build .. "/test/pty_drive",
      input = [[
< >
> 6 * 7\r
< 42\r\n
< >
> \x04]],
      env = "XDG_STATE_HOME=" .. no_folder.path,
    })
    assert.equal("", result.err, result.out)
    assert.equal(0, result.code)
  end)
end)
