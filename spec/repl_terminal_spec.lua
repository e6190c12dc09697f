-- The prompt on a terminal, typed at key by key.

local program = require "spec.support.program"

local DRIVER <const> = program.build .. "/test/pty_drive"

local function has_editor()
  local file <close> = assert(io.open(program.build .. "/CMakeCache.txt", "rb"))
  local cache = file:read "a"
  return cache:match "\nASTRUM_LIBEDIT:STRING=(%u+)" ~= "OFF"
    and cache:match "\nLIBEDIT_LIBRARY:FILEPATH=/" ~= nil
end

-- Of two signals within 20 ms the second counts as the first: hence the pauses.

local state

-- A session; the steps are those of bindings/test/pty_drive.c.
local function talk(steps, arguments)
  local words = { program.path, table.unpack(arguments or {}) }
  return program.run(words, {
    program = DRIVER,
    env = "-u COLUMNS -u FORCE_COLOR NO_COLOR=1 TERM=xterm LC_ALL=C.UTF-8 XDG_STATE_HOME="
      .. program.quote(state),
    input = table.concat(steps, "\n") .. "\n",
  })
end

local function assert_goes(steps, arguments)
  local result = talk(steps, arguments)
  assert.equal("", result.err, result.out)
  assert.equal(0, result.code)
  return result
end

describe("the prompt on a terminal", function()
  before_each(function()
    local pipe <close> = assert(io.popen "mktemp -d")
    state = pipe:read "l"
  end)

  after_each(function()
    os.execute("rm -rf " .. program.quote(state))
  end)

  it("runs lines and leaves at Ctrl-D", function()
    assert_goes { "< > ", [[> 6 * 7\r]], [[< 42\r\n]], "< > ", [[> \x04]] }
  end)

  it("leaves at .quit", function()
    assert_goes { "< > ", [[> .quit\r]] }
  end)

  it("drops a line at Ctrl-C", function()
    assert_goes {
      "< > ",
      [[> error 'no']],
      "< no'",
      [[> \x03]],
      "< > ",
      [[> 'still ' .. 'here'\r]],
      [[< "still here"]],
      "< > ",
      [[> \x04]],
    }
  end)

  it("cancels a run at Ctrl-C and goes on", function()
    assert_goes {
      "< > ",
      [[> task("slow", function() print("b" .. "egun") astrum.sleep(60) end)\r]],
      [[< F.slow]],
      [[> .run slow\r]],
      [[< begun]],
      [[> \x03]],
      [[< Execution cancelled: SIGINT]],
      "< > ",
      [[> 'still ' .. 'here'\r]],
      [[< "still here"]],
      "< > ",
      [[> \x04]],
    }
  end)

  it("does not end at a second Ctrl-C while a body closes", function()
    assert_goes {
      "< > ",
      [[> deaf = "trap '' TERM; echo re''ady; sleep 60"\r]],
      "< > ",
      [[> function wait() astrum.spawn { "sh", "-c", deaf, stdout = "inherit" } end\r]],
      "< > ",
      [[> task("stubborn", wait)\r]],
      "< F.stubborn",
      [[> .run stubborn\r]],
      "< ready",
      [[> \x03]],
      "pause 25",
      [[> \x03]],
      "< Execution cancelled: SIGINT",
      "< > ",
      [[> \x04]],
    }
  end)

  it("stops code that loops at Ctrl-C while a task waits in the background", function()
    assert_goes {
      "< > ",
      [[> task("slow", function() sleep(60) end)\r]],
      "< F.slow",
      [[> slow = astrum.build_scheduler { "slow" }:start()\r]],
      "< > ",
      [[> print("lo" .. "ops") while true do end\r]],
      "< loops",
      [[> \x03]],
      "< interrupted!",
      "< > ",
      [[> slow:status().running\r]],
      "< 1",
      [[> slow:cancel()\r]],
      "< : cancelled, 1 task, ",
      [[> \x04]],
    }
  end)

  it("stops a task in the background that never waits at the second Ctrl-C", function()
    assert_goes {
      "< > ",
      [[> function say() io.popen("echo be''gun >&2"):close() end\r]],
      "< > ",
      [[> task("hog", function() say() while true do local _ = {} end end)\r]],
      "< F.hog",
      [[> hogs = astrum.build_scheduler { "hog" }:start()\r]],
      -- Said by a child, which may be over before the task goes on.
      "< begun",
      "pause 100",
      [[> \x03]],
      "pause 25",
      [[> \x03]],
      "< : cancelled, 1 task, ",
      "< > ",
      [[> \x04]],
    }
  end)
end)

describe("the editor of the prompt", function()
  if not has_editor() then
    pending "needs libedit"
    return
  end

  before_each(function()
    local pipe <close> = assert(io.popen "mktemp -d")
    state = pipe:read "l"
  end)

  after_each(function()
    os.execute("rm -rf " .. program.quote(state))
  end)

  it("moves in the line", function()
    assert_goes { "< > ", [[> + 1\x01 41 \r]], [[< 42\r\n]], "< > ", [[> \x04]] }
  end)

  it("completes names of tasks and goes on with their results", function()
    assert_goes {
      "< > ",
      [[> task("load_order", function() return { customer = "Ada" } end)\r]],
      "< F.load_order",
      [[> .run\r]],
      "< completed=1",
      [[> F.lo\t.cus\t\r]],
      [[< F.load_order.customer\r\n]],
      [[> .resu\t lo\t\r]],
      [[< { customer = "Ada" }]],
      "< > ",
      [[> \x04]],
    }
  end)

  it("keeps the lines for the next session, readable for nobody else", function()
    assert_goes { "< > ", [[> 'first' .. 'line'\r]], "< firstline", "< > ", [[> \x04]] }
    assert_goes {
      "< > ",
      [[> \x1b[A]],
      "< 'first' .. 'line'",
      [[> \r]],
      [[< "firstline"]],
      "< > ",
      [[> \x04]],
    }
    local pipe <close> = assert(io.popen("stat -c %a " .. state .. "/astrum/history"))
    assert.equal("600", pipe:read "l")
    local file <close> = assert(io.open(state .. "/astrum/history"))
    assert.equal("'first' .. 'line'\n", file:read "a")
  end)

  it("tells of the end of a run in the background above the line that is typed", function()
    local result = assert_goes {
      "< > ",
      [[> task("short", function() astrum.sleep(0.02) print("fr" .. "om", "a task") end)\r]],
      "< F.short",
      [[> background = astrum.build_scheduler():start()\r]],
      "< > ",
      "> 6 * 7",
      [[< from\ta task]],
      "< : completed, 1 task, 0.0 s",
      "< > 6 * 7",
      [[> \r]],
      [[< 42\r\n]],
      "< > ",
      [[> \x04]],
    }
    assert.matches("\r\27%[Jfrom\ta task\r\n", result.out)
  end)

  it("lets a user declare, run, change a task, ask why and run again", function()
    assert_goes {
      "< > ",
      [[> task("fetch", function() return 20 end)\r]],
      "< F.fetch",
      [[> task "double" {\r]],
      "< >> ",
      [[> inputs = { n = F.fetch }, run = function(n) return 2 * n end }\r]],
      "< F.double",
      [[> .run double\r]],
      "< completed=2",
      [[> task("double", { inputs = { n = F.fetch }, run = function(n) return 3 * n end })\r]],
      [[< F.double\r\n]],
      [[> .explain double\r]],
      "< fetch   reused  unchanged since its last result",
      "< double  runs    its declaration changed",
      [[> .run double\r]],
      "< reused",
      "< completed=2",
      [[> .result double\r]],
      [[< 60\r\n]],
      "< > ",
      [[> \x04]],
    }
  end)

  it("gives an entry of several lines back as a whole, to be changed and run", function()
    assert_goes {
      "< > ",
      [[> task("twice", function() -- doubles\r]],
      "< >> ",
      [[> return 2 * 21\r]],
      "< >> ",
      [[> end)\r]],
      "< F.twice",
      "< > ",
      [[> \x1b[A]],
      [[< task("twice", function() -- doubles⏎return 2 * 21⏎end)]],
      [[> \x1b[D\x1b[D\x1b[D\x1b[D\x1b[D\x7f5\r]],
      "< F.twice",
      [[> .run\r]],
      "< completed=1",
      [[> .result twice\r]],
      [[< 50\r\n]],
      [[> .show twice\r]],
      [[<   | return 2 * 25\r\n]],
      "< > ",
      [[> \x04]],
    }
    assert_goes {
      "< > ",
      [[> \x12doubles]],
      [[< return 2 * 25]],
      [[> \r]],
      "< F.twice",
      "< > ",
      [[> \x04]],
    }
  end)

  it("takes what is pasted as one entry, with its tabs and locals, when Enter is typed", function()
    assert_goes {
      "< > ",
      [[> \x1b[200~local function two(x)\r\treturn 2*x\rend\rprint("tw".."ice",two(3))\r\x1b[201~]],
      [[< two(3)]],
      [[> \r]],
      [[< twice\t6\r\n]],
      "< > ",
      [[> \x04]],
    }
  end)

  it("inserts a paste of one line where the cursor is", function()
    assert_goes {
      "< > ",
      [[> 40\x01]],
      [[> \x1b[200~2 + \x07\x1b[201~]],
      "< 2 + ",
      [[> \r]],
      [[< 42\r\n]],
      "< > ",
      [[> \x04]],
    }
  end)

  it("edits a line that is higher than the terminal", function()
    assert_goes {
      "size 40 6",
      "< > ",
      "> #'" .. ("x"):rep(1100),
      [[> \x01\x05]],
      "> " .. ("y"):rep(100) .. "'",
      [[> \x01\x06\x06\x7f\x7f#'\x05\r]],
      [[< 1200\r\n]],
      "< > ",
      [[> \x04]],
    }
  end)

  it("tells that a paste is too long to be edited", function()
    local steps = { "< > ", [[> \x1b[200~]] }
    for _ = 1, 9 do
      steps[#steps + 1] = "> " .. ("x"):rep(2000)
    end
    for _, step in ipairs {
      [[> \x1b[201~]],
      [[< what was pasted is too long to be edited; put it into a file, and enter .load FILE\r\n]],
      "< > ",
      [[> 6 * 7\r]],
      [[< 42\r\n]],
      "< > ",
      [[> \x04]],
    } do
      steps[#steps + 1] = step
    end
    assert_goes(steps)
  end)

  it("takes commands among the lines of a paste", function()
    assert_goes {
      "< > ",
      [[> \x1b[200~task("a", function()\nreturn 5\nend)\n.run a\n.result a\n\x1b[201~]],
      "< .result a",
      [[> \r]],
      "< F.a",
      "< completed=1",
      [[< 5\r\n]],
      "< > ",
      [[> \x04]],
    }
  end)

  it("leaves out the rest of a paste when one of its lines fails", function()
    assert_goes {
      "< > ",
      [[> \x1b[200~error("no")\n.tasks\nprint("still ".."runs")\x1b[201~]],
      [[> \r]],
      "< left out: 2 more lines of what was pasted",
      "< > ",
      [[> 6 * 7\r]],
      [[< 42\r\n]],
      "< > ",
      [[> \x04]],
    }
  end)

  it("goes on after a paste that has no end", function()
    assert_goes {
      "< > ",
      [[> \x1b[200~abc]],
      "pause 100",
      [[> \x03]],
      "< > ",
      [[> 6 * 7\r]],
      [[< 42\r\n]],
      "< > ",
      [[> \x04]],
    }
  end)

  it("indents at Tab where there is nothing to complete", function()
    local result = assert_goes {
      "< > ",
      [[> if true then\r]],
      "< >> ",
      [[> \tprint("in" .. "side")\r]],
      [[< >>   print]],
      [[> end\r]],
      "< inside",
      "< > ",
      [[> \x04]],
    }
    assert.falsy(result.out:find("collectgarbage", 1, true))
  end)

  it("leaves a search in the history at Ctrl-C", function()
    assert_goes {
      "< > ",
      [[> 'fo' .. 'und'\r]],
      "< found",
      "< > ",
      [[> \x12fo]],
      "< bck:f",
      [[> \x03]],
      [[< \x1b[?2004l]],
      "< > ",
      [[> 6 * 7\r]],
      [[< 42\r\n]],
      "< > ",
      [[> \x04]],
    }
  end)

  it("writes over no long entry when a run in the background ends", function()
    local result = assert_goes {
      "size 40 10",
      "< > ",
      [[> task("short", function() astrum.sleep(0.02) end)\r]],
      "< F.short",
      "< > ",
      [[> background = astrum.build_scheduler():start() -- more than one line\r]],
      "< : completed, 1 task, 0.0 s",
      "< > ",
      [[> \x04]],
    }
    assert.falsy(result.out:find("\27[1A\r\27[Jrun", 1, true))
  end)

  it("shows how far a run is, and nothing of that stays", function()
    local result = assert_goes {
      "< > ",
      [[> task("bad", function() sleep(0.15) error "no" end)\r]],
      "< F.bad",
      [[> .run\r]],
      "< [0/1] bad",
      "< Task ",
      "< > ",
      [[> \x04]],
    }
    assert.matches("%[0/1%] bad[^\n]*\r\27%[KTask ", result.out)
    assert.falsy(result.out:find("run failed", 1, true))
    assert.falsy(result.out:find("FAILED", 1, true))
  end)

  it("redraws the line when the terminal changes its size", function()
    assert_goes { "< > ", "> 40 ", "size 40 10", [[> + 2\r]], [[< 42\r\n]], "< > ", [[> \x04]] }
  end)
end)
