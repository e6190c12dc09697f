-- Faults that were seen, each named for what the user saw.
local astrum = require "astrum"
local flow = require "spec.support.flow"
local program = require "spec.support.program"

local function program_code(text)
  local file <close> = program.file(text)
  return program.run({ file.path }).code
end

describe("a run", function()
  it("wakes a sleeper though another task never stops waking itself", function()
    local rounds, stop = 0, false
    flow.run(function(task)
      task("busy", function()
        while not stop and rounds < 100000 do
          rounds = rounds + 1
          astrum.all { function() end }
        end
      end)
      task("sleeper", function()
        astrum.sleep(0.002)
        stop = true
      end)
    end)
    assert.is_true(rounds < 100000)
  end)

  it("ends though a cancelled process and a child run are left of an attempt", function()
    local inner = flow.build(function(task)
      task("one", function() end)
    end)
    local report = flow.run(function(task)
      task("outer", function()
        pcall(astrum.all, {
          function()
            astrum.spawn { "sh", "-c", "trap '' TERM; sleep 0.02" }
          end,
          function()
            astrum.sleep(0.01)
            error "stop"
          end,
        })
        inner:start()
      end)
    end, { concurrency_limit = 1 })
    assert.equal("completed", report.execution_state)
  end)

  it("has no negative planning time when it is of a DynamicScheduler", function()
    local scheduler = astrum.DynamicScheduler { tasks = { { "a", function() end } } }
    assert.is_true(scheduler:execute().planning_duration > 0)
  end)
end)

describe("an event of an attempt that returned after it was cancelled", function()
  it("does not say that it succeeded", function()
    local text = flow.stderr_of(function()
      local handle
      local scheduler = flow.build(function(task)
        task("self", function()
          handle:cancel()
        end)
      end, { silence = false })
      handle = scheduler:start()
      handle:wait()
    end)
    assert.truthy(text:find("attempt_finished self cancelled", 1, true))
  end)
end)

describe("an object in a constant table with references", function()
  it("is passed on as it is and not copied", function()
    local connection = setmetatable({}, {})
    local report = flow.run(function(task)
      task("a", function()
        return 1
      end)
      task("b", {
        inputs = { settings = { connection = connection, n = astrum.F.a } },
        run = function(settings)
          return rawequal(settings.connection, connection) and settings.n
        end,
      })
    end)
    assert.equal(1, report:result "b")
  end)
end)

describe("ctx.progress of an attempt that is over", function()
  it("does not overwrite that of the next attempt", function()
    local first, handle
    local scheduler = flow.build(function(task)
      task("a", {
        retry = 1,
        run = function(ctx)
          if ctx.attempt == 1 then
            first = ctx
            ctx.progress(0.9)
            error "again"
          end
          first.progress(0.1)
          return handle:status().progress.a == nil
        end,
      })
    end)
    handle = scheduler:start()
    assert.is_true(handle:wait():result "a")
  end)
end)

describe("a coroutine of a task that failed", function()
  it("is not used for another task, so that who kept it does no harm", function()
    local kept
    local report = flow.run(function(task)
      task("wrong", function()
        kept = coroutine.running()
        coroutine.yield()
      end)
      task("innocent", function()
        astrum.sleep(0.004)
        return "fine"
      end)
      task("late", function()
        astrum.sleep(0.001)
        coroutine.resume(kept)
      end)
    end, { failure_mode = "keep_going" })
    assert.equal("fine", report:result "innocent")
  end)
end)

describe("astrum.all", function()
  it("inside itself without end is an error and no crash", function()
    local function nest()
      return astrum.all { nest }
    end
    local report = flow.run(function(task)
      task("nest", nest)
    end)
    local message = report:task("nest").error_message:gsub("^.-:%d+: ", "")
    assert.equal("all: more than 200 calls are inside one another", message)
  end)
end)

describe("os.exit that closes the state", function()
  it("works in an on_done function while other tasks wait", function()
    local code = program_code [[
      local astrum = require "astrum"
      local waiting = astrum.SchedulerRegistry "waiting"
      for i = 1, 300 do
        waiting.task("s" .. i, function() astrum.sleep(10) end)
      end
      waiting:build_scheduler():start()
      local quick = astrum.SchedulerRegistry "quick"
      quick.task("q", function() end)
      local handle = quick:build_scheduler():start()
      handle:on_done(function() os.exit(4, true) end)
      handle:wait()
    ]]
    assert.equal(4, code)
  end)
end)

describe("control characters in an error that nobody else would see", function()
  it("do not reach the terminal", function()
    local text = flow.stderr_of(function()
      local scheduler = flow.build(function(task)
        task("a", function() end)
      end)
      local handle = scheduler:start()
      handle:on_done(function()
        error("\27[2Jgone", 0)
      end)
      handle:wait()
    end)
    assert.equal("astrum: error in an on_done function: \\x1B[2Jgone\n", text:match "^[^\n]*\n")
  end)
end)
