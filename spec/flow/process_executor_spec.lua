local astrum = require "astrum"
local flow = require "spec.support.flow"
local program = require "spec.support.program"

local F, sleep = astrum.F, astrum.sleep

-- Busted gives specs globals of their own, which cannot travel.
local busted <const> = _ENV
local describe <const>, it <const>, assert <const> = describe, it, assert
local _ENV <const> = _G -- luacheck: ignore 211

-- Runs one task `work` in a child process and returns the report.
local function run(body, spec, config)
  spec = spec or {}
  spec.executor, spec.run = "process", body
  return flow.run(function(task)
    task("work", spec)
  end, config)
end

-- What the body returns there.
local function result_of(body, spec, config)
  return (run(body, spec, config):assert():result("work"))
end

-- The text of the error of the task.
local function message_of(body, spec, config)
  local report = run(body, spec, config)
  assert.equal("failed", report:task("work").status)
  return report:task("work").error_message
end

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

  it("waits there as anywhere", function()
    assert.same(
      { "a", "b", "c", "out\n" },
      result_of(function()
        sleep(0.001)
        local found = astrum.all {
          function()
            sleep(0.002)
            return "a"
          end,
          function()
            return "b"
          end,
        }
        found[3] = astrum.await(function(done)
          done("c")
        end)
        found[4] = astrum.spawn({ "echo", "out" }).stdout
        found.n = nil
        return found
      end)
    )
  end)

  it("runs beside others", function()
    local report = flow.run(function(task)
      for i = 1, 3 do
        task("work" .. i, {
          executor = "process",
          run = function()
            return i
          end,
        })
      end
    end)
    assert.same({ work1 = 1, work2 = 2, work3 = 3 }, report.task_return_set)
  end)

  it("takes the results of other tasks and gives its own to others", function()
    local report = flow.run(function(task)
      task("list", function()
        return { 3, 4 }
      end)
      task("work", {
        executor = "process",
        inputs = { list = F.list, by = 2 },
        run = function(list, by)
          return { product = list[1] * list[2] * by }
        end,
      })
      task("use", {
        inputs = { product = F.work.product },
        run = function(product)
          return product + 1
        end,
      })
    end)
    assert.equal(25, report:result("use"))
  end)

  it("returns nothing, or nil", function()
    local report = run(function() end)
    assert.equal("completed", report.execution_state)
    assert.is_true(report:has_result("work"))
    assert.is_nil((report:result("work")))
  end)

  it("can be a map, with a condition and functions around", function()
    local report = flow.run(function(task)
      task("work", {
        executor = "process",
        map = { value = { 1, 2, 3 } },
        when = function(value)
          return value ~= 2
        end,
        around = function(_, go)
          return go() .. " around"
        end,
        run = function(value, ctx)
          return value .. " of item " .. ctx.item
        end,
      })
    end)
    local result = report:assert():result("work")
    assert.same({ "1 of item 1 around", nil, "3 of item 3 around", n = 3 }, result)
  end)

  it("can be the default of a configuration", function()
    local report = flow.run(function(task)
      task("work", function()
        return io.open("/proc/self/stat"):read("n")
      end)
    end, { defaults = { executor = "process" } })
    assert.not_equal(io.open("/proc/self/stat"):read("n"), report:result("work"))
  end)

  it("is replaced by a stub in a test", function()
    local registry = flow.registry(function(task)
      task("work", {
        executor = "process",
        run = function()
          return "real"
        end,
      })
    end)
    local report = astrum.testing.run(registry, { stubs = { work = "stub" } })
    assert.equal("stub", report:result("work"))
    assert.equal(0.0, report.execution_duration)
  end)
end)

describe("ctx in a child process", function()
  it("tells what the attempt is", function()
    local report = flow.run(function(task)
      task("work", {
        executor = "process",
        namespace = nil,
        retry = 1,
        timeout = 60,
        run = function(ctx)
          assert(ctx.attempt == 2, "not yet")
          local found = { ctx.task, ctx.namespace, ctx.attempt, ctx.run_id, ctx.idempotency_key }
          found[6] = ctx.deadline
          found[7] = ctx.cancelled()
          found[8] = require("astrum").context().task
          return found
        end,
      })
    end)
    local found = report:assert():result("work")
    assert.same({ "work", "flow", 2 }, { found[1], found[2], found[3] })
    assert.equal(found[4] .. "/work", found[5])
    assert.truthy(found[4]:find("^%d+T%d+Z%-%x+$"))
    assert.is_true(found[6] > os.time() + 50 and found[6] < os.time() + 62)
    assert.is_false(found[7])
    assert.equal("work", found[8])
  end)

  it("has the params of the run", function()
    local registry = flow.registry(function(task)
      task("work", {
        executor = "process",
        inputs = { region = astrum.param("region", { type = "string", default = "EU" }) },
        run = function(region, ctx)
          return region .. " " .. ctx.params.region
        end,
      })
    end)
    local report = registry:build_scheduler({ params = { region = "US" } }):execute()
    assert.equal("US US", report:assert():result("work"))
  end)

  it("logs as in the loop, without what is sensitive", function()
    local written = flow.stderr_of(function()
      flow
        .run(function(task)
          task("key", {
            sensitive = true,
            run = function()
              return "swordfish"
            end,
          })
          task("work", {
            executor = "process",
            inputs = { key = F.key },
            run = function(key, ctx)
              ctx.log("the key is", key)
            end,
          })
        end)
        :assert()
    end)
    assert.equal("log work: the key is [hidden]\n", (written:gsub("^[%d:.]+ ", "")))
  end)

  it("tells its progress to the handle of the run, and refreshes the idle_timeout", function()
    local handle = flow
      .build(function(task)
        task("work", {
          executor = "process",
          idle_timeout = 2,
          run = function(ctx)
            for i = 1, 4 do
              sleep(0.002)
              ctx.progress(i / 4, "part " .. i)
            end
          end,
        })
      end)
      :start()
    assert.equal("completed", handle:wait().execution_state)
    assert.same({ work = { fraction = 1.0, text = "part 4" } }, handle:status().progress)
  end)

  it("that tells no progress is idle", function()
    local report = run(function(ctx)
      ctx.progress(0.5)
      sleep(20)
    end, { idle_timeout = 0.02 })
    assert.equal("timed out: no progress for 0.02 s", report:task("work").error_message)
  end)

  it("gives runs inside the path that they have in the loop", function()
    local function body(ctx)
      local registry = astrum.SchedulerRegistry "inner"
      registry.task("inside", function()
        local inner = astrum.context()
        return { inner.run_id == ctx.run_id, inner.idempotency_key }
      end)
      local first = registry:run({}):assert():result("inside")
      local second = registry:run({}):assert():result("inside")
      return { first[1], first[2], second[2], ctx.run_id }
    end
    local found = result_of(body)
    assert.same({
      true,
      found[4] .. "/work/inside",
      found[4] .. "/work#2/inside",
    }, { found[1], found[2], found[3] })
  end)
end)

describe("values between the processes", function()
  it("are exact", function()
    local value = {
      3,
      3.0,
      math.mininteger,
      math.huge,
      -math.huge,
      0 / 0,
      -0.0,
      5e-324,
      "a\0b\xff",
      "",
      true,
      false,
      [-1] = "minus",
      [1.5] = "float",
      [true] = "boolean",
    }
    local found = result_of(function(given)
      return { given = given, own = { 1, 1.0, 0 / 0, -0.0, "\0" } }
    end, { inputs = { given = { value = value } } }).given.value
    for key, expected in pairs(value) do
      local got = found[key]
      assert.equal(math.type(expected), math.type(got))
      if expected == expected then
        assert.equal(expected, got)
      else
        assert.not_equal(got, got)
      end
    end
    assert.equal(-math.huge, 1 / found[7])
  end)

  it("keep what is shared in an argument, between arguments, and in the result", function()
    local shared = { 1 }
    local found = result_of(function(a, b)
      return { a.x == a.y, a.x == b, a.x, a.y }
    end, {
      inputs = {
        a = function()
          return { x = shared, y = shared }
        end,
        b = function()
          return shared
        end,
      },
    })
    assert.is_true(found[1])
    assert.is_true(found[2])
    assert.equal(found[3], found[4])
    assert.not_equal(shared, found[3])
  end)

  it("may be large", function()
    local found = result_of(function(text)
      return text .. text
    end, { inputs = { text = ("x"):rep(1000000) } })
    assert.equal(2000000, #found)
  end)

  it("that are nil stay in their places", function()
    local function nothing()
      return nil
    end
    local spec = { inputs = { nothing, 2, nothing } }
    assert.equal(
      "nil 2 nil",
      result_of(function(a, b, c)
        return tostring(a) .. " " .. tostring(b) .. " " .. tostring(c)
      end, spec)
    )
  end)

  it("that cannot leave the child are an error with their path", function()
    local prefix = "the result cannot leave the child process: "
    assert.equal(
      prefix .. "result.a[2].f is a function",
      message_of(function()
        return { a = { 1, { f = print } } }
      end)
    )
    assert.equal(
      prefix .. "result is a function",
      message_of(function()
        return print
      end)
    )
    assert.equal(
      prefix .. "result.self is a cycle: it leads back to result",
      message_of(function()
        local result = {}
        result.self = result
        return result
      end)
    )
    assert.equal(
      prefix .. "result is a table with a metatable",
      message_of(function()
        return setmetatable({}, {})
      end)
    )
  end)

  it("that cannot go to the child are an error with the name of the input", function()
    local report = run(function(config)
      return config
    end, {
      inputs = {
        config = function()
          return { on = { done = print } }
        end,
      },
    })
    local text = "input 'config' cannot go to a child process: config.on.done is a function"
    assert.equal(text, report:task("work").error_message)
    assert.equal("TaskFailedError", report:task("work").error.kind)
    assert.equal(
      "input '1' cannot go to a child process: 1 is a thread",
      message_of(function(value)
        return value
      end, {
        inputs = {
          function()
            return coroutine.create(print)
          end,
        },
      })
    )
  end)
end)

describe("an error in a child process", function()
  it("has its text, its place and its traceback", function()
    local line = debug.getinfo(1, "l").currentline + 3
    local place = debug.getinfo(1, "S").short_src .. ":" .. line
    local report = run(function()
      error("boom")
    end)
    local failure = report:task("work").error
    assert.equal("TaskFailedError", failure.kind)
    assert.equal(place .. ": boom", failure.message)
    assert.equal(place .. ": boom", failure.cause)
    assert.equal("work", failure.task)
    assert.equal(1, failure.attempt)
    assert.truthy(failure.traceback:find(place .. ": in ", 1, true), failure.traceback)
    assert.same({
      "Execution interrupted; task 'work' failed: " .. failure.message,
      "Final task 'work' failed: " .. failure.message,
    }, report.error_summary)
  end)

  it("that is data comes as its cause, as in the loop", function()
    local function body()
      error { code = 503, list = { 1 } }
    end
    local report = run(body)
    assert.equal("{ code = 503, list = { 1 } }", report:task("work").error_message)
    assert.same({ code = 503, list = { 1 } }, report:task("work").error.cause)
  end)

  it("that is returned has no traceback, as in the loop", function()
    local report = run(function()
      return nil, { code = 404 }
    end)
    assert.same({ code = 404 }, report:task("work").error.cause)
    assert.is_nil(report:task("work").error.traceback)
    assert.equal(
      "not found",
      message_of(function()
        return nil, "not found"
      end)
    )
  end)

  it("that is no data comes as its text", function()
    local report = run(function()
      error(setmetatable({}, {
        __tostring = function()
          return "an object"
        end,
      }))
    end)
    assert.equal("an object", report:task("work").error_message)
    assert.equal("an object", report:task("work").error.cause)
  end)

  it("is shown to retry.on, and retried in a new process", function()
    local codes = {}
    local report = run(function(ctx)
      if ctx.attempt < 3 then
        error { code = 500 + ctx.attempt }
      end
      return io.open("/proc/self/stat"):read("n")
    end, {
      retry = {
        max = 5,
        delay = 0,
        on = function(err)
          codes[#codes + 1] = err.cause.code
          return true
        end,
      },
    })
    assert.same({ 501, 502 }, codes)
    assert.equal(3, report:assert():task("work").attempt_count)
  end)

  it("can be seen by a function around the body", function()
    local found = result_of(function()
      error({ code = 7 })
    end, {
      around = function(_, go)
        local ok, why = pcall(go)
        return { ok, why.kind, why.message, why.cause.code }
      end,
    })
    assert.same({ false, "TaskFailedError", "{ code = 7 }", 7 }, found)
  end)

  it("that is a coroutine.yield in the body is told as in the loop", function()
    assert.equal(
      "coroutine.yield was called in the task itself, where nobody would resume it; wait with "
        .. "astrum.sleep, astrum.await or astrum.all, and yield only in coroutines of your own",
      message_of(function()
        coroutine.yield()
      end)
    )
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
    assert.is_true(report:assert():task("work").duration < 0.4)
    os.execute("kill " .. io.lines(path)())
  end)
end)

describe("a body that travels", function()
  it("takes its upvalues by copy", function()
    local counter, list = 1, { 10 }
    local function helper(value)
      return value + list[1]
    end
    local found = result_of(function()
      counter = counter + 1
      list[1] = 20
      return { counter, helper(1) }
    end)
    assert.same({ 2, 21 }, found)
    assert.equal(1, counter)
    assert.same({ 10 }, list)
  end)

  it("takes modules by their names, and what they export", function()
    local format = string.format
    local messages = require "spec.support.flow"
    assert.same(
      { "05", "function", "task" },
      result_of(function()
        return { format("%02d", 5), type(messages.run), type(astrum.task) == "function" and "task" }
      end)
    )
  end)

  it("cannot take globals that are not Lua's own", function()
    local globals = setmetatable({}, { __index = _G })
    local failure =
      flow.raised(run, load("return function() return print end", "=f", "t", globals)())
    local text = "task 'work': executor = 'process': upvalue '_ENV' is a table with a metatable"
    local help = "its globals are not Lua's own, as in a spec of busted; declare the task in a "
      .. "module, or begin the file with local _ENV = _G"
    assert.equal("f:1: " .. text .. "\nhelp: " .. help, failure.message)
  end)

  it("cannot take an upvalue that is no data", function()
    local handle = { out = coroutine.create(print) }
    local failure = flow.raised(run, function()
      return handle
    end)
    assert.equal("TaskRegistrationError", failure.kind)
    local text = "task 'work': executor = 'process': upvalue 'handle.out' is a thread"
    local help = "make it an input or a local of the body; functions, data, and what modules "
      .. "export can travel"
    assert.equal(text .. "\nhelp: " .. help, (failure.message:gsub("^[^:]*:%d+: ", "")))
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
