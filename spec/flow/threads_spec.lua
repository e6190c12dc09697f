local astrum = require "astrum"
local core = require "astrum.core"
local elsewhere = require "spec.support.elsewhere" "thread"
local flow = require "spec.support.flow"
local program = require "spec.support.program"

local F, sleep = astrum.F, astrum.sleep
local run, result_of, message_of = elsewhere.run, elsewhere.result_of, elsewhere.message_of

-- Busted gives specs globals of their own, which cannot travel.
local busted <const> = _ENV
local describe <const>, it <const>, assert <const> = describe, it, assert
local _ENV <const> = _G -- luacheck: ignore 211

-- Never ends. The thread sanitizer lets a signal in only where memory is asked for.
local function spin()
  while true do
    local _ = {}
  end
end

-- The number of the thread that runs it.
local function thread_id()
  return (io.open("/proc/thread-self/stat"):read("n"))
end

-- How many threads this process has.
local function thread_count()
  local text = io.open("/proc/self/status"):read("a")
  return tonumber(text:match("Threads:%s*(%d+)"))
end

describe('a task with executor = "thread"', function()
  it("runs in a thread of its own in this process", function()
    local found = result_of(function()
      return {
        io.open("/proc/self/stat"):read("n"),
        io.open("/proc/thread-self/stat"):read("n"),
      }
    end)
    assert.equal(io.open("/proc/self/stat"):read("n"), found[1])
    assert.not_equal(thread_id(), found[2])
  end)

  it("can be the default of a configuration", function()
    local report = flow.run(function(task)
      task("work", function()
        return io.open("/proc/thread-self/stat"):read("n")
      end)
    end, { defaults = { executor = "thread" } })
    assert.not_equal(thread_id(), report:assert():result("work"))
  end)

  it("finds its thread warm", function()
    local config = { workers = 1 }
    local first = result_of(thread_id, nil, config)
    assert.equal(first, result_of(thread_id, nil, config))
  end)

  it("runs while the loop and other threads run", function()
    local handle = flow
      .build(function(task)
        for i = 1, 2 do
          task("work" .. i, {
            executor = "thread",
            timeout = 5,
            run = function(ctx)
              ctx.progress(0.5)
              spin()
            end,
          })
        end
      end, { workers = 2 })
      :start()
    for _ = 1, 1000 do
      local progress = handle:status().progress
      if progress.work1 and progress.work2 then
        break
      end
      sleep(0.001)
    end
    assert.truthy(handle:status().progress.work1)
    assert.truthy(handle:status().progress.work2)
    handle:cancel()
    assert.equal("cancelled", handle:wait().execution_state)
  end)

  it("holds its thread while it waits", function()
    local report = flow.run(function(task)
      for i = 1, 2 do
        task("work" .. i, {
          executor = "thread",
          run = function()
            require("astrum").sleep(0.003)
          end,
        })
      end
    end, { workers = 1 })
    assert.is_true(report:assert().execution_duration >= 0.006)
  end)

  it("gives the exact results of thousands of small tasks", function()
    local report = flow.run(function(task)
      local function add(a, b)
        return a + b
      end
      task("t1", { executor = "thread", inputs = { a = 1, b = 0 }, run = add })
      task("t2", { executor = "thread", inputs = { a = 1, b = 0 }, run = add })
      for i = 3, 80 do
        task("t" .. i, {
          executor = "thread",
          inputs = { a = F["t" .. i - 1], b = F["t" .. i - 2] },
          run = add,
        })
      end
      task("squares", {
        executor = "thread",
        map = {
          value = function()
            local values = {}
            for i = 1, 3000 do
              values[i] = i
            end
            return values
          end,
        },
        run = function(value)
          return value * value
        end,
      })
    end)
    assert.equal(23416728348467685, report:assert():result("t80"))
    local squares = report:result("squares")
    assert.equal(3000, squares.n)
    for i = 1, 3000 do
      assert.equal(i * i, squares[i])
    end
  end)

  it("keeps what it changes in an upvalue in its thread", function()
    local count = 0
    local function body()
      count = count + 1
      return count
    end
    local report = flow.run(function(task)
      task("a", { executor = "thread", run = body })
      task("b", { executor = "thread", depends_on = { "a" }, run = body })
    end, { workers = 1 })
    assert.same({ a = 1, b = 2 }, report:assert().task_return_set)
    assert.equal(0, count)
  end)

  it("keeps it when a thousand other bodies have run there", function()
    local count = 0
    local scheduler = flow.build(function(task)
      task("count", {
        executor = "thread",
        run = function()
          count = count + 1
          return count
        end,
      })
    end, { workers = 1 })
    assert.equal(1, scheduler:execute():assert():result "count")
    flow
      .run(function(task)
        for i = 1, 2100 do
          task("t" .. i, {
            executor = "thread",
            run = function()
              return i
            end,
          })
        end
      end, { workers = 1 })
      :assert()
    assert.equal(2, scheduler:execute():assert():result "count")
  end)

  it("gives only its first result, whatever else it returns", function()
    assert.equal(
      7,
      result_of(function()
        return 7, function() end
      end)
    )
    assert.is_nil(result_of(function()
      return table.unpack({}, 1, 5000)
    end))
    assert.is_nil(result_of(function()
      return nil, nil, 3
    end))
    assert.equal(
      "why",
      message_of(function()
        return nil, "why", print
      end)
    )
  end)

  it("finds in a ctx that it has kept from another task what that was", function()
    local kept
    local function body(ctx)
      if not kept then
        kept = ctx
        return
      elseif ctx.attempt == 1 then
        error "again"
      end
      local function text_of(fn)
        return (select(2, pcall(fn)):gsub("^.-:%d+: ", ""))
      end
      kept.progress(0.5)
      return {
        { kept.task, kept.attempt, tostring(kept), kept.cancelled() },
        { ctx.task, ctx.attempt, ctx.cancelled() },
        text_of(function()
          return kept.run_id
        end),
        text_of(function()
          kept.log "heard"
        end),
      }
    end
    local report = flow.run(function(task)
      task("first", { executor = "thread", run = body })
      task("second", { executor = "thread", depends_on = { "first" }, retry = 1, run = body })
    end, { workers = 1 })
    local over <const> = ": the body of task 'first' is over; of its ctx only task, item, attempt "
      .. "and cancelled() can be used"
    assert.same({
      { "first", 1, "ctx of task 'first', attempt 1", true },
      { "second", 2, false },
      "ctx.run_id" .. over,
      "ctx.log" .. over,
    }, report:assert():result("second"))
  end)

  it("sees the modules that its script sees, in a state of its own", function()
    local flows = flow.build
    assert.is_true(result_of(function()
      local is_there = type(flows) == "function"
      require("spec.support.flow").mark = true
      return is_there
    end))
    assert.is_nil(flow.mark)
  end)

  it("asks its condition and calls its inputs at home", function()
    local here, asked, called = thread_id()
    local result = result_of(function(value)
      return value
    end, {
      inputs = {
        value = function()
          called = thread_id()
          return 5
        end,
      },
      when = function()
        asked = thread_id()
        return true
      end,
    })
    assert.same({ 5, here, here }, { result, called, asked })
  end)

  it("tells of events as any task", function()
    local kinds = {}
    run(function() end, nil, {
      on_event = function(event)
        kinds[#kinds + 1] = event.kind
      end,
    })
    assert.same({
      "run_started",
      "task_ready",
      "attempt_started",
      "attempt_finished",
      "task_finished",
      "run_finished",
    }, kinds)
  end)

  it("takes its time in virtual time, too", function()
    local registry = flow.registry(function(task)
      task("work", {
        executor = "thread",
        run = function()
          return "real"
        end,
      })
      task("later", {
        depends_on = { "work" },
        run = function()
          sleep(1000)
          return "virtual"
        end,
      })
    end)
    local report = astrum.testing.run(registry, {})
    assert.same({ work = "real", later = "virtual" }, report:assert().task_return_set)
  end)

  it("can run a workflow whose tasks run in threads", function()
    local result = result_of(function()
      local inner = require("astrum").SchedulerRegistry "inner"
      inner.task("a", {
        executor = "thread",
        run = function()
          return 7
        end,
      })
      return inner:run({ config = { workers = 1 } }):assert():result("a")
    end)
    assert.equal(7, result)
  end)

  it("is answered when the runs that its body has started are over", function()
    local report = run(function()
      local library = require "astrum"
      local inner = library.SchedulerRegistry "inner"
      inner.task("a", function()
        library.sleep(0.003)
      end)
      inner:build_scheduler({}):start()
      return "started"
    end)
    assert.equal("started", report:assert():result("work"))
    assert.is_true(report:task("work").duration >= 0.003)
  end)
end)

describe("the threads", function()
  it("are as many as config.workers says, and shared by schedulers that say the same", function()
    local before = thread_count()
    -- The first bodies wait for one another, each in a thread of its own.
    local function use(workers)
      local file <close> = program.file ""
      local path, seen, count = file.path, {}, 0
      local report = flow.run(function(task)
        task("work", {
          executor = "thread",
          timeout = 10,
          map = { value = { 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12 } },
          run = function(value)
            local begun <close> = assert(io.open(path, "a"))
            begun:write("x"):flush()
            while begun:seek("end") < workers do
              sleep(0.001)
            end
            return value and thread_id()
          end,
        })
      end, { workers = workers })
      for _, id in ipairs(report:assert():result("work")) do
        count = count + (seen[id] and 0 or 1)
        seen[id] = true
      end
      return count
    end
    assert.equal(3, use(3))
    assert.equal(before + 3, thread_count())
    assert.equal(3, use(3))
    assert.equal(before + 3, thread_count())
  end)

  it("forget the bodies of schedulers that are gone", function()
    local config <const> = { workers = 5 }
    -- Each notes its own function, as long as that is there.
    for i = 1, 20 do
      flow
        .run(function(task)
          for k = 1, 500 do
            task("t" .. k, {
              executor = "thread",
              run = function()
                local seen = package.loaded.seen_bodies or setmetatable({}, { __mode = "k" })
                package.loaded.seen_bodies = seen
                seen[debug.getinfo(1, "f").func] = 500 * i + k
              end,
            })
          end
        end, config)
        :assert()
      collectgarbage()
    end
    local counts = flow
      .run(function(task)
        for k = 1, 200 do
          task("t" .. k, {
            executor = "thread",
            run = function()
              collectgarbage()
              local count = 0
              for _ in pairs(package.loaded.seen_bodies or {}) do
                count = count + 1
              end
              return count
            end,
          })
        end
      end, config)
      :assert().task_return_set
    local most = 0
    for _, count in pairs(counts) do
      most = math.max(most, count)
    end
    assert.is_true(most > 0)
    assert.is_true(most < 2100)
  end)

  it("share what takes some microseconds with the loop's own thread", function()
    local function build(executor)
      return flow.build(function(task)
        for i = 1, 2000 do
          task("t" .. i, {
            executor = executor,
            inputs = { last = i > 20 and F["t" .. i - 20] or i },
            run = function(last)
              local x = last
              for j = 1, 200 do
                x = (x * 5 + j) & 0xFFFF
              end
              return x
            end,
          })
        end
      end, { workers = 2 })
    end
    local limit = core.brief_limit(1)
    local scheduler = build "thread"
    scheduler:execute():assert()
    local before = core.brief_count()
    local values
    for _ = 1, 5 do
      values = scheduler:execute():assert().task_return_set
    end
    local at_home = core.brief_count() - before
    core.brief_limit(limit)
    assert.is_true(at_home > 500)
    assert.is_true(at_home < 9900)
    assert.are.same(build("loop"):execute().task_return_set, values)
  end)

  it("let the loop sleep while a body takes longer than it used to", function()
    local limit = core.brief_limit(0)
    local function switches()
      local text = io.open("/proc/thread-self/status"):read("a")
      return tonumber(text:match("\nvoluntary_ctxt_switches:%s*(%d+)"))
    end
    local pauses = {}
    for i = 1, 50 do
      pauses[i] = 0
    end
    pauses[51] = 0.02
    local scheduler = flow.build(function(task)
      task("work", {
        executor = "thread",
        map = { pause = pauses },
        run = function(pause)
          if pause > 0 then
            sleep(pause)
          end
        end,
      })
    end, { workers = 2 })
    local fewest = math.huge
    scheduler:execute():assert()
    for _ = 1, 3 do
      local before = switches()
      scheduler:execute():assert()
      fewest = math.min(fewest, switches() - before)
    end
    core.brief_limit(limit)
    assert.is_true(fewest < 12)
  end)

  it("are soon rid of many bodies that have not begun", function()
    local count <const> = 10000
    local began = os.clock()
    local handle = flow
      .build(function(task)
        for i = 1, count do
          task("work" .. i, {
            executor = "thread",
            priority = i * 7919 % count,
            run = function(ctx)
              ctx.progress(0.5)
              sleep(1000)
            end,
          })
        end
      end, { workers = 1 })
      :start()
    repeat
      sleep(0.001)
    until handle:status().running == count
    local queued = os.clock()
    handle:cancel()
    assert.equal("cancelled", handle:wait().execution_state)
    assert.is_true(os.clock() - queued < (queued - began) / 3)
  end)

  it("are one for each core by default", function()
    local before = thread_count()
    result_of(function() end)
    assert.is_true(thread_count() == before or thread_count() == before + core.cores())
  end)

  it("do the work of two schedulers at once", function()
    local function build(offset)
      return flow.build(function(task)
        task("work", {
          executor = "thread",
          map = { value = { 1, 2, 3, 4, 5, 6, 7, 8 } },
          run = function(value)
            return value + offset
          end,
        })
      end, { workers = 2 })
    end
    local first, second = build(10):start(), build(20):start()
    assert.same({ 11, 12, 13, 14, 15, 16, 17, 18, n = 8 }, first:wait():result("work"))
    assert.same({ 21, 22, 23, 24, 25, 26, 27, 28, n = 8 }, second:wait():result("work"))
  end)

  it("go on after errors, overflows and want of memory", function()
    local bodies = {
      function()
        error "boom"
      end,
      function()
        local function deeper()
          return 1 + deeper()
        end
        return deeper()
      end,
      function()
        return ("x"):rep(1 << 50)
      end,
      function()
        os.exit(3)
      end,
      function()
        coroutine.yield()
      end,
    }
    for _, body in ipairs(bodies) do
      assert.equal("failed", run(body, nil, { workers = 1 }).execution_state)
      assert.equal(
        5,
        result_of(function()
          return 5
        end, nil, { workers = 1 })
      )
    end
  end)

  it("are not ended by os.exit", function()
    assert.truthy(
      message_of(function()
        os.exit(true)
      end):find(
        ": os%.exit is not available in a worker thread\n"
          .. "help: return to end the body, or call error to fail the task$"
      )
    )
  end)
end)

describe("a body in a worker thread that is stopped", function()
  local loops = {
    ["computes"] = function(ctx)
      ctx.progress(0.5)
      spin()
    end,
    ["catches every error"] = function(ctx)
      ctx.progress(0.5)
      while true do
        pcall(function()
          spin()
        end)
      end
    end,
    ["computes in a coroutine"] = function(ctx)
      ctx.progress(0.5)
      coroutine.wrap(function()
        spin()
      end)()
    end,
    ["computes in a sort"] = function(ctx)
      ctx.progress(0.5)
      table.sort({ 1, 2, 3 }, function()
        spin()
      end)
    end,
    ["waits"] = function(ctx)
      ctx.progress(0.5)
      sleep(1000)
    end,
    ["waits for others"] = function(ctx)
      ctx.progress(0.5)
      astrum.all {
        function()
          sleep(1000)
        end,
        function()
          astrum.spawn { "sleep", "1000" }
        end,
      }
    end,
  }

  for what, body in pairs(loops) do
    it("times out while it " .. what, function()
      local report = run(body, { timeout = 0.01 }, { workers = 1 })
      assert.equal("timed_out", report:task("work").status)
      assert.equal("timed out after 0.01 s", report:task("work").error_message)
      assert.is_true(report:task("work").duration < 2)
      assert.equal(
        1,
        result_of(function()
          return 1
        end, nil, { workers = 1 })
      )
    end)

    it("is cancelled while it " .. what, function()
      local handle = flow
        .build(function(task)
          task("work", { executor = "thread", run = body })
        end, { workers = 1 })
        :start()
      for _ = 1, 2000 do
        sleep(0.001)
        if handle:status().progress.work then
          break
        end
      end
      handle:cancel("enough")
      local report = handle:wait()
      assert.equal("cancelled", report:task("work").status)
      assert.equal("the run was cancelled: enough", report:task("work").reason)
    end)
  end

  it("runs its <close> variables, and ctx.cancelled() is true in them", function()
    local file <close> = program.file ""
    local path = file.path
    local function body(ctx)
      local function note(text)
        local out <close> = io.open(path, "a")
        out:write(text)
      end
      local _ <close> = setmetatable({}, {
        __close = function()
          note("closed " .. tostring(ctx.cancelled()))
        end,
      })
      note "begun, "
      spin()
    end
    -- On a machine with much to do it may be stopped before it has begun.
    local limit, found = 0.01, ""
    while found == "" and limit < 5 do
      run(body, { timeout = limit })
      limit, found = limit * 2, io.open(path):read("a")
    end
    assert.matches("closed true$", found)
  end)

  it("gives its processes the cancel_grace of the task", function()
    local report = run(function()
      astrum.spawn { "sh", "-c", "trap '' TERM; while :; do sleep 0.01; done" }
    end, { timeout = 0.02, cancel_grace = 0.005 })
    assert.equal("timed_out", report:task("work").status)
    assert.is_true(report:task("work").duration < 2)
  end)

  it("is tried again", function()
    -- On a machine with much to do other attempts than the first may take long, too.
    local report = run(function(ctx)
      if ctx.attempt == 1 then
        spin()
      end
      return ctx.attempt
    end, { retry = 50, timeout = 0.02 })
    local work = report:assert():task("work")
    assert.equal("timed_out", work.attempt_statistics[1].status)
    assert.is_true(work.attempt_count > 1)
    assert.equal(work.attempt_count, report:result("work"))
  end)

  it("never begins when it is still in the queue", function()
    local file <close> = program.file ""
    local path = file.path
    local handle = flow
      .build(function(task)
        task("first", {
          executor = "thread",
          run = function(ctx)
            ctx.progress(0.5)
            sleep(1000)
          end,
        })
        task("second", {
          executor = "thread",
          run = function()
            io.open(path, "w"):write("begun"):close()
          end,
        })
      end, { workers = 1 })
      :start()
    for _ = 1, 2000 do
      sleep(0.001)
      if handle:status().progress.first then
        break
      end
    end
    handle:cancel()
    handle:wait()
    assert.equal("", io.open(path):read("a"))
  end)
end)

describe("a script with worker threads", function()
  -- Runs a script in astrum-lua.
  local function script_of(text, options)
    local file <close> = program.file(text)
    return program.run({ file.path }, options)
  end

  local TEXT <const> = [[
    local astrum = require "astrum"
    astrum.task("work", {
      executor = "thread",
      run = function(ctx)
        print("printed by " .. ctx.task)
        return 5
      end,
    })
    local report = astrum.run {}
    print(report.execution_state, report:result("work"), report.error_summary[1])
  ]]

  -- Has begun a body that never ends by itself.
  local BUSY <const> = [[
    local astrum = require "astrum"
    astrum.task("work", {
      executor = "thread",
      run = function(ctx)
        ctx.progress(0.5)
        while true do
          local _ = {}
        end
      end,
    })
    local handle = astrum.build_scheduler({}):start()
    repeat
      astrum.sleep(0.001)
    until handle:status().progress.work
  ]]

  it("shows what bodies print", function()
    local result = script_of(TEXT)
    assert.same({ code = 0, out = "printed by work\ncompleted\t5\tnil\n", err = "" }, result)
  end)

  it("works under stock lua5.4", function()
    if program.sanitizers() ~= "" then
      busted.pending "stock lua5.4 cannot load a module that is built with sanitizers"
    end
    local result = script_of(TEXT, {
      program = "lua5.4",
      env = ("LUA_PATH='lua/?.lua;lua/?/init.lua;;' LUA_CPATH=%s"):format(
        program.quote(program.build .. "/lua/?.so;;")
      ),
    })
    assert.same({ code = 0, out = "printed by work\ncompleted\t5\tnil\n", err = "" }, result)
  end)

  it("says why its bodies cannot run where no more signals may be pending", function()
    local file <close> = program.file [[
      local astrum = require "astrum"
      astrum.task("work", {
        executor = "thread",
        timeout = 5,
        run = function()
          while true do
            local _ = {}
          end
        end,
      })
      print(astrum.run({}):task("work").error_message)
    ]]
    local result = program.run(
      { "--sigpending=0", program.path, file.path },
      { program = "prlimit" }
    )
    assert.equal(
      "the worker thread cannot run the task: the limit of pending signals (ulimit -i) is reached, "
        .. "raise it; without a timer nothing could stop it there\n"
        .. 'help: executor = "process" needs none\n',
      result.out
    )
  end)

  it("stops its bodies also when no more signals may be pending since then", function()
    local result = script_of(BUSY .. [[
      os.execute("prlimit --sigpending=0 --pid $PPID")
      handle:cancel()
      print(handle:wait().execution_state)
    ]])
    assert.same({ code = 0, out = "cancelled\n", err = "" }, result)
  end)

  it("ends while bodies run, wait and are queued", function()
    local result = script_of [[
      local astrum = require "astrum"
      for i = 1, 6 do
        astrum.task("work" .. i, {
          executor = "thread",
          run = function(ctx)
            ctx.progress(0.5)
            while i % 2 == 0 do
              local _ = {}
            end
            astrum.sleep(1000)
          end,
        })
      end
      local handle = astrum.build_scheduler({ config = { workers = 2 } }):start()
      repeat
        astrum.sleep(0.001)
      until next(handle:status().progress)
      os.exit(7, true)
    ]]
    assert.same({ code = 7, out = "", err = "" }, result)
  end)

  it("ends when it is interrupted", function()
    local result = script_of(BUSY .. [[
      os.execute("(sleep 0.01; kill -INT $PPID) &")
      handle:wait()
    ]])
    assert.equal(130, result.code)
  end)
end)
