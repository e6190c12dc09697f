local astrum = require "astrum"
local flow = require "spec.support.flow"
local places = require "spec.support.places"
local program = require "spec.support.program"

local function sh(command, options)
  local given = options or {}
  given[1], given[2], given[3] = "sh", "-c", command
  return astrum.spawn(given)
end

-- An orphan that has ended may stay a zombie until init looks.
local function alive(pid)
  local file = io.open("/proc/" .. pid .. "/stat")
  local state = file and file:read("a"):match "%) (%a)"
  if file then
    file:close()
  end
  return state ~= nil and state ~= "Z"
end

describe("astrum.spawn", function()
  for _, place in ipairs(places.both) do
    describe(place.name, function()
      local run = place.run

      it("returns the exit code and both outputs", function()
        assert.same(
          { code = 3, stdout = "out\n", stderr = "err\n" },
          run(function()
            return sh "echo out; echo err >&2; exit 3"
          end)
        )
      end)

      it("returns the signal that ended it and no code", function()
        local result = run(function()
          return sh "kill -9 $$"
        end)
        assert.same({ signal = 9, stdout = "", stderr = "" }, result)
      end)

      it("gives it the text of stdin, any size and any bytes", function()
        local text = ("\0\255line\n"):rep(50000)
        local result = run(function()
          return astrum.spawn { "cat", stdin = text }
        end)
        assert.equal(0, result.code)
        assert.is_true(result.stdout == text)
      end)

      it("runs it in the folder of cwd", function()
        assert.equal(
          "/\n",
          run(function()
            return sh("pwd", { cwd = "/" }).stdout
          end)
        )
      end)

      it("adds to the environment what env has and takes out what is false there", function()
        local result = run(function()
          local env = { ASTRUM_SPEC = "a b=c", HOME = false }
          return sh('echo "$ASTRUM_SPEC|${HOME-none}|${PATH:+kept}"', { env = env })
        end)
        assert.equal("a b=c|none|kept\n", result.stdout)
      end)

      it("drops an output that is null", function()
        local result = run(function()
          return sh("echo out; echo err >&2", { stdout = "null" })
        end)
        assert.same({ code = 0, stdout = "", stderr = "err\n" }, result)
      end)
    end)
  end

  it("lets other tasks go on", function()
    local order = {}
    local pipe <close> = program.pipe()
    flow.run(function(task)
      task("slow", function()
        sh("timeout 10 cat " .. pipe.path)
        order[#order + 1] = "slow"
      end)
      task("quick", function()
        order[#order + 1] = "quick"
        assert(io.open(pipe.path, "w")):close()
      end)
    end)
    assert.same({ "quick", "slow" }, order)
  end)

  it("ends the whole process group when its task is cancelled", function()
    local file = os.tmpname()
    local scheduler = flow.build(function(task)
      task("child", function()
        sh("sleep 60 & echo $! $$ > " .. file .. "; wait")
      end)
    end)
    local handle = scheduler:start()
    local pids
    repeat
      astrum.sleep(0.002)
      pids = io.open(file):read "a"
    until pids:find "\n"
    handle:cancel()
    assert.equal("cancelled", handle:wait().execution_state)
    os.remove(file)
    for pid in pids:gmatch "%d+" do
      local tries = 0
      while alive(pid) and tries < 20 do -- it has been killed, but takes its time
        astrum.sleep(0.001)
        tries = tries + 1
      end
      assert.is_false(alive(pid))
    end
  end)
end)

describe("an output of astrum.spawn that is inherited", function()
  it("goes where that of the program goes", function()
    local result = program.run {
      "-e",
      [[
        local result = require("astrum").spawn {
          "sh", "-c", "echo out; echo err >&2", stdout = "inherit", stderr = "inherit",
        }
        print(result.code, #result.stdout, #result.stderr)
      ]],
    }
    assert.same({ code = 0, out = "out\n0\t0\t0\n", err = "err\n" }, result)
  end)
end)

describe("astrum.spawn refuses", function()
  local function message(text)
    return places.failure("astrum.spawn" .. text)
  end

  local cases = {
    {
      "what is no table",
      "(5)",
      'spawn: a table with the command is wanted, as in spawn { "ls", "-l" }, got number',
    },
    { "an empty table", "{}", 'spawn: name the command, as in spawn { "ls", "-l" }' },
    {
      "an unknown command",
      '{ "no-such-command" }',
      "spawn: cannot start 'no-such-command': No such file or directory",
    },
    {
      "a command line in one text",
      '{ "no-such-command -l" }',
      "spawn: cannot start 'no-such-command -l': No such file or directory (there is no shell: "
        .. "give each word as an entry of its own)",
    },
    {
      "an unknown folder",
      '{ "ls", cwd = "/no/such" }',
      "spawn: cannot start 'ls' in '/no/such': No such file or directory",
    },
    {
      "an unknown option",
      '{ "ls", cdw = "/" }',
      "spawn: unknown option 'cdw'; it takes cwd, env, stdin, stdout, stderr",
    },
    {
      "an unknown way for an output",
      '{ "ls", stdout = "keep" }',
      'spawn: stdout must be "capture", "inherit" or "null"',
    },
    {
      "an argument that is no text",
      '{ "ls", {} }',
      "spawn: entry 2 of the list must be a string, got table",
    },
    { "a NUL byte", '{ "ls", "a\\0b" }', "spawn: an argument must not hold a NUL byte" },
    { "a hole", '{ "ls", [5] = "x" }', "spawn: there is an argument at 5, but none before it" },
    {
      "a stdin that is no text",
      '{ "ls", stdin = {} }',
      "spawn: stdin must be a string, got table",
    },
    { "an env that is no table", '{ "ls", env = 1 }', "spawn: env must be a table, got number" },
    {
      "a bad name in env",
      '{ "ls", env = { ["A=B"] = "x" } }',
      "spawn: 'A=B' cannot be a name in env",
    },
  }
  for _, case in ipairs(cases) do
    it(case[1], function()
      assert.equal("flow.lua:2: " .. case[3], message(case[2]))
    end)
  end
end)

describe("spawn where SIGCHLD is ignored", function()
  it("says that it cannot know how the process ended", function()
    local code = 'print(select(2, pcall(require("astrum").spawn, { "true" })))'
    local words = { "--ignore-signal=CHLD", program.path, "-e", code }
    local result = program.run(words, { program = "env" })
    local text = "spawn: the system does not tell how the process ended; is SIGCHLD ignored, or "
      .. "does other code wait for child processes that are not its own?\n"
    assert.same({ code = 0, out = text, err = "" }, result)
  end)
end)

describe("spawn where descriptors run out", function()
  it("fails the attempt, which can be retried when there are some again", function()
    local script <close> = program.file [[
      local astrum = require "astrum"
      local files = {}
      astrum.task("spawns", {
        retry = 1,
        run = function(ctx)
          if ctx.attempt == 1 then
            repeat
              files[#files + 1] = io.open("/dev/null")
            until not io.open("/dev/null")
          else
            for _, file in ipairs(files) do
              file:close()
            end
          end
          return astrum.spawn({ "echo", "here" }).stdout
        end,
      })
      local report = astrum.run {}
      io.write(report:task("spawns").attempt_statistics[1].error_message, "\n")
      io.write(report:result "spawns")
    ]]
    local command = "ulimit -n 64; exec " .. program.quote(program.path) .. " " .. script.path
    local result = program.run({ "-c", command }, { program = "sh" })
    assert.equal("", result.err)
    assert.equal(
      script.path .. ":15: spawn: cannot start 'echo': Too many open files\nhere\n",
      result.out
    )
  end)
end)
