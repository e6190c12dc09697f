local astrum = require "astrum"
local elsewhere = require "spec.support.elsewhere"
local flow = require "spec.support.flow"
local program = require "spec.support.program"

local F, sleep = astrum.F, astrum.sleep

-- Busted gives specs globals of their own, which cannot travel.
local describe <const>, it <const>, assert <const> = describe, it, assert
local _ENV <const> = _G -- luacheck: ignore 211

-- What holds wherever a body runs that is not in this Lua state.
local function specs(executor, place)
  local there = elsewhere(executor)
  local run, result_of, message_of = there.run, there.result_of, there.message_of

  describe("a task that runs in a " .. place, function()
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
            executor = executor,
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
          executor = executor,
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
          executor = executor,
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

    it("is replaced by a stub in a test", function()
      local registry = flow.registry(function(task)
        task("work", {
          executor = executor,
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

  describe("ctx in a " .. place, function()
    it("tells what the attempt is", function()
      local report = flow.run(function(task)
        task("work", {
          executor = executor,
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
          executor = executor,
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
              executor = executor,
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
            executor = executor,
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

  describe("values to and from a " .. place, function()
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

    it("that cannot leave it are an error with their path, and what to do instead", function()
      local prefix = "the result cannot leave the " .. place .. ": "
      local data = "only nil, booleans, numbers, strings and tables of these travel"
      local inside = "\nhelp: use it inside the body, and return data; " .. data
      assert.equal(
        prefix .. "result.a[2].f is a function" .. inside,
        message_of(function()
          return { a = { 1, { f = print } } }
        end)
      )
      assert.equal(
        prefix .. "result is a coroutine" .. inside,
        message_of(function()
          return coroutine.create(print)
        end)
      )
      assert.equal(
        prefix
          .. "result.self is a cycle: it leads back to result\n"
          .. "help: return it without the field that leads back",
        message_of(function()
          local result = {}
          result.self = result
          return result
        end)
      )
      assert.equal(
        prefix
          .. "result is a table with a metatable\nhelp: return its data in a plain table; "
          .. data,
        message_of(function()
          return setmetatable({}, {})
        end)
      )
      assert.equal(
        prefix
          .. "result.n.n.n ... .n is nested too deeply: 128 tables are the most\n"
          .. "help: return flatter tables",
        message_of(function()
          local result = {}
          for _ = 1, 200 do
            result = { n = result }
          end
          return result
        end)
      )
    end)
  end)

  describe("an error in a " .. place, function()
    it("has its text, its place and its traceback", function()
      local line = debug.getinfo(1, "l").currentline + 3
      local where = debug.getinfo(1, "S").short_src .. ":" .. line
      local report = run(function()
        error("boom")
      end)
      local failure = report:task("work").error
      assert.equal("TaskFailedError", failure.kind)
      assert.equal(where .. ": boom", failure.message)
      assert.equal(where .. ": boom", failure.cause)
      assert.equal("work", failure.task)
      assert.equal(1, failure.attempt)
      assert.truthy(failure.traceback:find(where .. ": in ", 1, true), failure.traceback)
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

    it("that is a blank text or false comes as its cause, as in the loop", function()
      for _, value in ipairs { "", " \n" } do
        local report = run(function()
          error(value, 0)
        end)
        assert.equal("(the error message is empty)", report:task("work").error_message)
        assert.equal(value, report:task("work").error.cause)
      end
      local report = run(function()
        error(false)
      end)
      assert.is_false(report:task("work").error.cause)
    end)

    it("does not show what is sensitive in a run inside the body", function()
      local report = run(function()
        local inner = astrum.SchedulerRegistry "inner"
        inner.task("token", {
          sensitive = true,
          run = function()
            return "s3cr3t"
          end,
        })
        error("with " .. inner:run({}):result "token", 0)
      end)
      assert.equal("with [hidden]", report:task("work").error.message)
      assert.equal("with [hidden]", report:task("work").error.cause)
    end)

    it("of the library stays what it is", function()
      local failure = run(function()
        astrum.SchedulerRegistry("inner"):build_scheduler { colour = 1 }
      end):task("work").error
      assert.equal("ConfigError", failure.cause.kind)
      assert.is_true(astrum.errors.is(failure.cause, "ConfigError"))
      assert.equal(failure.message, failure.cause.message)
      failure = run(function()
        local inner = astrum.SchedulerRegistry "inner"
        inner.task("a", { depends_on = { "x", "y" }, run = print })
        inner:build_scheduler {}
      end):task("work").error
      assert.is_true(astrum.errors.is(failure.cause.errors[2], "TaskDependencyError"))
    end)

    it("has the traceback of the member of astrum.all that failed", function()
      local traceback = run(function()
        local function fail_in_member()
          error "boom"
        end
        astrum.all {
          function()
            fail_in_member()
          end,
        }
      end):task("work").error.traceback
      local member = traceback:find("'fail_in_member'", 1, true)
      assert.truthy(member, traceback)
      assert.truthy(traceback:find("all'", member, true), traceback)
    end)

    it("is not replaced by one of a to-be-closed variable, which is told, too", function()
      local file <close> = program.file(([[
        local astrum = require "astrum"
        astrum.task("work", {
          executor = %q,
          run = function()
            local _ <close> = setmetatable({}, {
              __close = function()
                error("while closing", 0)
              end,
            })
            error("boom", 0)
          end,
        })
        print(astrum.run({}):task("work").error_message)
      ]]):format(executor))
      assert.same({
        code = 0,
        out = "boom\n",
        err = "astrum: error in the cleanup of a task: while closing\n",
      }, program.run { file.path })
    end)

    it("is that of a body which waits for what never comes", function()
      assert.equal(
        "nothing is left in the " .. place .. " that could let the body go on",
        message_of(function()
          astrum.await(function() end)
        end)
      )
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
        error(setmetatable({ print }, {
          __tostring = function()
            return "an object"
          end,
        }))
      end)
      assert.equal("an object", report:task("work").error_message)
      assert.equal("an object", report:task("work").error.cause)
    end)

    it("that is an object comes as its fields, with its own text", function()
      local Refusal = {
        __tostring = function(self)
          return "status " .. self.status
        end,
        __metatable = "Refusal",
      }
      local function check(body)
        local shown = {}
        local report = run(body, {
          retry = {
            max = 1,
            delay = 0,
            on = function(e)
              shown[#shown + 1] = e.cause.status
              return true
            end,
          },
        })
        local failure = report:task("work").error
        assert.equal("status 503", failure.message)
        assert.same({ status = 503, list = { 1 } }, failure.cause)
        assert.is_nil(getmetatable(failure.cause))
        assert.same({ 503 }, shown)
      end
      check(function()
        error(setmetatable({ status = 503, list = { 1 } }, Refusal))
      end)
      check(function()
        return nil, setmetatable({ status = 503, list = { 1 } }, Refusal)
      end)
    end)

    it("that is an object with another one in it comes as its text", function()
      local failure = run(function()
        error(setmetatable({ inner = setmetatable({}, {}) }, {
          __tostring = function()
            return "an object"
          end,
        }))
      end):task("work").error
      assert.equal("an object", failure.message)
      assert.equal("an object", failure.cause)
    end)

    it("is shown to retry.on, and retried", function()
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

  describe("a body that travels to a " .. place, function()
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
          local kind = type(astrum.task) == "function" and "task"
          return { format("%02d", 5), type(messages.run), kind }
        end)
      )
    end)

    it("cannot take globals that are not Lua's own", function()
      local globals = setmetatable({}, { __index = _G })
      local failure =
        flow.raised(run, load("return function() return print end", "=f", "t", globals)())
      local text = "task 'work': executor = '"
      text = text .. executor .. "': upvalue '_ENV' is a table with a metatable"
      local help = "its globals are not Lua's own, as in a spec of busted; declare the task in a "
        .. "module, or begin the file with local _ENV = _G"
      assert.equal("f:1: " .. text .. "\nhelp: " .. help, failure.message)
    end)
  end)
end

specs("process", "child process")
specs("thread", "worker thread")
