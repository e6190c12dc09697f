local astrum = require "astrum"
local elsewhere = require "spec.support.elsewhere" "process"
local flow = require "spec.support.flow"
local program = require "spec.support.program"

local sleep = astrum.sleep
local run, result_of, message_of = elsewhere.run, elsewhere.result_of, elsewhere.message_of

-- Busted gives specs globals of their own, which cannot travel.
local busted <const> = _ENV
local describe <const>, it <const>, assert <const> = describe, it, assert
local _ENV <const> = _G -- luacheck: ignore 211

-- Runs a script in astrum-lua.
local function script(text, options)
  local file <close> = program.file(text)
  return program.run({ file.path }, options)
end

describe('a task with executor = "process"', function()
  it("runs in a process of its own", function()
    local function pid()
      return (io.open("/proc/self/stat"):read("n"))
    end
    local own, child = pid(), result_of(pid)
    assert.equal("integer", math.type(child))
    assert.not_equal(own, child)
    assert.is_false(program.is_alive(child))
  end)

  it("gives only its first result, whatever else it returns", function()
    assert.equal(
      7,
      result_of(function()
        return 7, function() end
      end)
    )
  end)

  it("can be the default of a configuration", function()
    local report = flow.run(function(task)
      task("work", function()
        return io.open("/proc/self/stat"):read("n")
      end)
    end, { defaults = { executor = "process" } })
    assert.not_equal(io.open("/proc/self/stat"):read("n"), report:result("work"))
  end)
end)

describe("a child process that ends without an answer", function()
  local prefix = "the child process of the task "

  it("by os.exit fails the attempt", function()
    local text = " before it returned"
    assert.equal(
      prefix .. "exited with code 3" .. text,
      message_of(function()
        os.exit(3)
      end)
    )
    local report = run(function()
      os.exit(true)
    end)
    assert.equal(prefix .. "exited with code 0" .. text, report:task("work").error_message)
    assert.is_nil(report:task("work").error.traceback)
  end)

  it("by a signal fails the attempt, which is retried", function()
    local report = run(function(ctx)
      if ctx.attempt == 1 then
        os.execute "kill -9 $PPID"
      end
      return "alive"
    end, { retry = 1 })
    assert.equal("alive", report:assert():result("work"))
    assert.equal(
      prefix .. "was ended by signal 9 before it returned",
      report:task("work").attempt_statistics[1].error_message
    )
  end)

  it("because its descriptor 3 was written to says so", function()
    local text = "descriptor 3 of the child process, where astrum reads the result, was written "
      .. "to by other code; bodies and programs they start must leave it alone"
    local function written(bytes)
      return message_of(function()
        local channel <close> = io.open("/dev/fd/3", "w")
        channel:write(bytes)
      end)
    end
    assert.equal(text, written "no frame at all")
    assert.equal(text, written "nothing of a frame")
    assert.equal(text, written "\3\0\0\0r???")
    assert.equal(text, written "\3\0\0\0r???\1\0\0\0lx")
    assert.equal(text, written "\3\0\0\0e???")
    assert.equal(text, written "\3\0\0\0p???")
  end)

  it("in the middle of its result fails the attempt", function()
    local text = message_of(function()
      local channel <close> = io.open("/dev/fd/3", "w")
      channel:write "\200\0\0\0rcut"
      channel:flush()
      os.execute "kill -9 $PPID"
    end)
    assert.equal(prefix .. "was ended by signal 9 before it returned", text)
  end)

  it("takes no other task with it", function()
    local report = flow.run(function(task)
      task("work", {
        executor = "process",
        run = function()
          os.exit(1)
        end,
      })
      task("other", function()
        return 1
      end)
    end, { failure_mode = "keep_going" })
    assert.same({ work = "failed", other = "completed" }, flow.statuses(report))
  end)
end)

describe("the group of a child process", function()
  -- A body that starts a program in the background, writes the numbers of both, and computes or
  -- waits; `path` has them.
  local function body_of(path, computes)
    return function(ctx)
      local pipe = io.popen("sleep 20 >/dev/null 2>&1 & echo $! $PPID")
      local text = pipe:read("l")
      local file = io.open(path, "w")
      file:write(text, "\n")
      file:close()
      ctx.progress(0.5)
      while computes do
      end
      sleep(20)
    end
  end

  -- Runs a body that is idle once it has written to a file. Before that it must not be: a machine
  -- may be slow to start a process.
  local function run_idle(path, body)
    local limit = 0.03
    repeat
      local report = run(body, { idle_timeout = limit })
      assert.equal(
        "timed out: no progress for " .. limit .. " s",
        report:task("work").error_message
      )
      limit = limit * 2
    until io.lines(path)()
  end

  local function assert_gone(path)
    local started, child = io.lines(path)():match("^(%d+) (%d+)$")
    assert.is_true(program.ends(started))
    assert.is_nil(io.open("/proc/" .. child .. "/stat"), "it is there, or a zombie")
  end

  for _, computes in ipairs { false, true } do
    local what = computes and "computes" or "waits"

    it("ends when the body times out while it " .. what, function()
      local file <close> = program.file ""
      run_idle(file.path, body_of(file.path, computes))
      assert_gone(file.path)
    end)

    it("ends when the run is cancelled while it " .. what, function()
      local file <close> = program.file ""
      local handle = flow
        .build(function(task)
          task("work", { executor = "process", run = body_of(file.path, computes) })
        end)
        :start()
      for _ = 1, 2000 do
        sleep(0.002)
        if handle:status().progress.work then
          break
        end
      end
      handle:cancel("enough")
      local report = handle:wait()
      assert.equal("cancelled", report:task("work").status)
      assert.equal("the run was cancelled: enough", report:task("work").reason)
      assert_gone(file.path)
    end)
  end

  it("may clean up before it ends", function()
    local file <close> = program.file ""
    local path = file.path
    run_idle(path, function(ctx)
      local _ <close> = setmetatable({}, {
        __close = function()
          local out = io.open(path, "a")
          out:write("closed\n")
          out:close()
        end,
      })
      ctx.progress(0.5)
      sleep(20)
    end)
    local lines = {}
    for line in io.lines(path) do
      lines[#lines + 1] = line
    end
    assert.same({ "closed" }, lines)
  end)

  it("is not waited for when the body has returned", function()
    local file <close> = program.file ""
    local path = file.path
    local report = run(function()
      os.execute("sleep 20 >/dev/null 2>&1 & echo $! >" .. path)
      return 1
    end)
    assert.is_true(report:assert():task("work").duration < 10)
    os.execute("kill " .. io.lines(path)())
  end)
end)

describe("the group of a child process whose parent is killed", function()
  it("is killed, too, while the body computes", function()
    local file <close> = program.file ""
    local path = file.path
    local result = script(([[
      local astrum = require "astrum"
      local path = %q
      astrum.task("work", {
        executor = "process",
        run = function()
          os.execute("sleep 20 >/dev/null 2>&1 & echo $! $PPID >" .. path)
          os.execute("kill -KILL $(cut -d' ' -f4 /proc/$PPID/stat)")
          while true do
          end
        end,
      })
      astrum.run {}
    ]]):format(path))
    local started, child = io.lines(path)():match("^(%d+) (%d+)$")
    assert.equal(137, result.code)
    assert.is_true(program.ends(child))
    assert.is_true(program.ends(started))
  end)
end)

describe("a script with child processes", function()
  local TEXT <const> = [[
    local astrum = require "astrum"
    astrum.task("work", {
      executor = "process",
      run = function(ctx)
        print("printed by " .. ctx.task)
        io.stderr:write("written\n")
        return 5
      end,
    })
    local report = astrum.run {}
    print(report.execution_state, report:result("work"), report.error_summary[1])
  ]]

  it("shows what bodies print", function()
    local result = script(TEXT)
    assert.same(
      { code = 0, out = "printed by work\ncompleted\t5\tnil\n", err = "written\n" },
      result
    )
  end)

  it("does not look at the environment for the child's start", function()
    local result = script(TEXT, { env = "LUA_PATH=/nowhere/?.lua" })
    assert.equal("printed by work\ncompleted\t5\tnil\n", result.out)
  end)

  local function stock(env)
    if program.sanitizers() ~= "" then
      busted.pending "stock lua5.4 cannot load a module that is built with sanitizers"
    end
    return script(TEXT, {
      program = "lua5.4",
      env = ("LUA_PATH='lua/?.lua;lua/?/init.lua;;' LUA_CPATH=%s %s"):format(
        program.quote(program.build .. "/lua/?.so;;"),
        env
      ),
    })
  end

  it("works under stock lua5.4 with astrum-lua in PATH", function()
    local result = stock(('PATH=%s/bin:"$PATH"'):format(program.quote(program.build)))
    assert.same(
      { code = 0, out = "printed by work\ncompleted\t5\tnil\n", err = "written\n" },
      result
    )
  end)

  it("under stock lua5.4 without astrum-lua in PATH says so", function()
    local result = stock "PATH=/usr/bin:/bin"
    assert.equal(
      "failed\tnil\tExecution interrupted; task 'work' failed: executor = \"process\" cannot "
        .. "start astrum-lua: spawn: cannot start 'astrum-lua': No such file or directory\n"
        .. "help: the folder of astrum-lua has to be in PATH\n",
      result.out
    )
  end)

  it("leaves no process behind when it is interrupted", function()
    local file <close> = program.file ""
    local result = script(([[
      local astrum = require "astrum"
      local path = %q
      astrum.task("work", {
        executor = "process",
        run = function()
          local out = io.open(path, "w")
          out:write(io.open("/proc/self/stat"):read("n"))
          out:close()
          os.execute("kill -INT $(cut -d' ' -f4 /proc/$PPID/stat)")
          astrum.sleep(20)
        end,
      })
      astrum.run {}
    ]]):format(file.path))
    assert.equal(130, result.code)
    assert.is_true(program.ends(io.lines(file.path)()))
  end)
end)
