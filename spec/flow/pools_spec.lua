local astrum = require "astrum"
local flow = require "spec.support.flow"
local testing = require "astrum.testing"

local sleep = astrum.sleep

-- Runs in virtual time; when each task started, in whole seconds.
local function starts_of(declare, config)
  local report = testing.run(flow.registry(declare), { config = config })
  local starts = {}
  for _, entry in ipairs(report.task_statistics) do
    if entry.start_time then
      starts[entry.task_name] = math.floor(entry.start_time - report.total_start_time + 0.5)
    end
  end
  return starts, report
end

local function sleeper(seconds)
  return function()
    sleep(seconds)
  end
end

describe("a pool", function()
  it("lets no more tasks run than it has units", function()
    local starts = starts_of(function(task)
      for i = 1, 5 do
        task("t" .. i, { pool = "db", run = sleeper(1) })
      end
    end, { pools = { db = 2 } })
    assert.same({ t1 = 0, t2 = 0, t3 = 1, t4 = 1, t5 = 2 }, starts)
  end)

  it("gives all units of all pools or none", function()
    local starts = starts_of(function(task)
      task("a", { pools = { db = 1 }, run = sleeper(3) })
      task("b", { pools = { gpu = 2 }, run = sleeper(1) })
      task("both", { pools = { db = 2, gpu = 1 }, run = sleeper(1) })
    end, { pools = { db = 2, gpu = 2 } })
    assert.same({ a = 0, b = 0, both = 3 }, starts)
  end)

  it("serves first who came first, also when a later one would fit", function()
    local starts = starts_of(function(task)
      task("a", { pool = "db", run = sleeper(2) })
      task("wide", { pools = { db = 2 }, run = sleeper(1) })
      task("narrow", { pool = "db", run = sleeper(1) })
    end, { pools = { db = 2 } })
    assert.same({ a = 0, wide = 2, narrow = 3 }, starts)
  end)

  it("serves the larger priority first", function()
    local starts = starts_of(function(task)
      task("low", { pool = "db", run = sleeper(1) })
      task("middle", { pool = "db", priority = 1, run = sleeper(1) })
      task("high", { pool = "db", priority = 2, run = sleeper(1) })
    end, { pools = { db = 1 } })
    assert.same({ high = 0, middle = 1, low = 2 }, starts)
  end)

  it("that is full holds up no task of another pool", function()
    local starts = starts_of(function(task)
      task("a", { pool = "db", run = sleeper(5) })
      task("b", { pool = "db", run = sleeper(1) })
      task("c", { pool = "gpu", run = sleeper(1) })
      task("d", sleeper(1))
    end, { pools = { db = 1, gpu = 1 }, concurrency_limit = 2 })
    assert.same({ a = 0, c = 0, d = 1, b = 5 }, starts)
  end)

  it("gets its units back while a task waits to be retried", function()
    local starts = starts_of(function(task)
      local attempts = 0
      task("fails", {
        pool = "db",
        retry = { max = 1, delay = 10 },
        run = function()
          attempts = attempts + 1
          assert(attempts == 2, "again")
        end,
      })
      task("other", { pool = "db", run = sleeper(3) })
    end, { pools = { db = 1 } })
    assert.same({ fails = 0, other = 0 }, starts)
  end)

  it("with a rate starts no more attempts than that in its window", function()
    local starts = starts_of(function(task)
      for i = 1, 7 do
        task("t" .. i, { pool = "api", run = function() end })
      end
    end, { pools = { api = { rate = { 3, per = 10 } } } })
    assert.same({ t1 = 0, t2 = 0, t3 = 0, t4 = 10, t5 = 10, t6 = 10, t7 = 20 }, starts)
  end)

  it("with a rate counts retries", function()
    local _, report = starts_of(function(task)
      local attempts = 0
      task("fails", {
        pool = "api",
        retry = 3,
        run = function()
          attempts = attempts + 1
          assert(attempts == 4, "again")
        end,
      })
    end, { pools = { api = { rate = { 1, per = 5 } } } })
    local began = {}
    for i, attempt in ipairs(report:assert():task("fails").attempt_statistics) do
      began[i] = math.floor(attempt.start_time - report.total_start_time + 0.5)
    end
    assert.same({ 0, 5, 10, 15 }, began)
  end)

  it("counts for the items of a map", function()
    local _, report = starts_of(function(task)
      task("each", {
        map = { n = { 1, 2, 3, 4 } },
        pool = "db",
        run = function(n)
          sleep(1)
          return n
        end,
      })
    end, { pools = { db = 2 } })
    assert.is_true(math.abs(report:assert().execution_duration - 2) < 0.5)
  end)

  it("counts for the runs inside, and a waiting parent keeps its units", function()
    local inner = flow.registry(function(task)
      task("in1", { pool = "db", run = sleeper(1) })
      task("in2", { pool = "db", run = sleeper(1) })
    end)
    local starts, report = starts_of(function(task)
      task("outer", {
        pool = "db",
        run = function()
          return inner:run({}):assert().execution_duration
        end,
      })
    end, { pools = { db = 2 } })
    assert.same({ outer = 0 }, starts)
    assert.is_true(math.abs(report:assert():result "outer" - 2) < 0.5)
  end)

  it("counts for tasks that are workflows", function()
    local inner = flow.registry(function(task)
      task("in1", { pool = "db", run = sleeper(1) })
      task("in2", { pool = "db", run = sleeper(1) })
    end)
    local _, report = starts_of(function(task)
      task("one", { workflow = inner })
      task("two", { workflow = inner })
    end, { pools = { db = 1 } })
    assert.is_true(math.abs(report:assert().execution_duration - 4) < 0.5)
  end)
end)

describe("a run inside that could never start", function()
  local function error_of(outer, inner, config)
    local report = flow.run(function(task)
      task("outer", {
        pools = outer,
        run = function()
          local registry = flow.registry(function(inside)
            inside("free", function() end)
            inside("small", { pools = { db = 1 }, run = function() end })
            inside("inner", { pools = inner, run = function() end })
          end)
          registry:run {}
        end,
      })
    end, config)
    local failure = report:task("outer").error
    return failure.cause.kind .. ": " .. failure.message:gsub("^%S+:%d+: ", "")
  end

  it("because the tasks around it hold units is refused", function()
    assert.equal(
      "SchedulerError: the run cannot be started: task 'inner' wants 2 units of pool 'db', "
        .. "which has 2, and the tasks around this run hold 1\n"
        .. "help: it could never start; take fewer units, or give the pool more slots",
      error_of({ db = 1 }, { db = 2 }, { pools = { db = 2 } })
    )
  end)

  it("because the pool is too small is refused", function()
    assert.equal(
      "SchedulerError: the run cannot be started: task 'inner' wants 5 units of pool 'db', "
        .. "which has 2\n"
        .. "help: it could never start; take fewer units, or give the pool more slots",
      error_of(nil, { db = 5 }, { pools = { db = 2 } })
    )
  end)

  it("because the outermost run has no such pool is refused", function()
    assert.equal(
      "ConfigError: the outermost run has no pool 'gpu'\n"
        .. "help: declare it in the config of that run, as in pools = { gpu = 2 }",
      error_of(nil, { gpu = 1 }, { pools = { db = 2 } })
    )
  end)

  it("as a task that is a workflow is refused the same way", function()
    local inner = flow.registry(function(task)
      task("inner", { pools = { db = 2 }, run = function() end })
    end)
    local report = flow.run(function(task)
      task("outer", { pool = "db", workflow = inner })
    end, { pools = { db = 2 } })
    assert.is_truthy(
      report:task("outer").error_message:find(
        "the run cannot be started: task 'inner' wants 2 units of pool 'db', which has 2, and the "
          .. "tasks around this run hold 1",
        1,
        true
      )
    )
  end)

  it("because several parents hold what their runs want is stuck and names the tasks", function()
    local report = flow.run(function(task)
      for _, name in ipairs { "one", "two" } do
        task(name, {
          pool = "db",
          run = function()
            sleep(0.001)
            flow
              .registry(function(inside)
                inside("inner_" .. name, { pool = "db", run = function() end })
              end)
              :run({})
              :assert()
          end,
        })
      end
    end, { pools = { db = 2 } })
    assert.equal("failed", report.execution_state)
    assert.same({
      "Execution failed: nothing is left that could happen; waiting: one, two",
    }, report.error_summary)
  end)
end)

describe("concurrency_limit", function()
  it("starts the larger priority first, then the longest remaining path", function()
    local order = {}
    local function note(task, name, options)
      options = options or {}
      options.run = function()
        order[#order + 1] = name
      end
      task(name, options)
    end
    flow.run(function(task)
      note(task, "short")
      note(task, "head")
      note(task, "tail", { depends_on = { "head" } })
      note(task, "last", { depends_on = { "tail" } })
      note(task, "urgent", { priority = 5 })
    end, { concurrency_limit = 1 })
    assert.same({ "urgent", "head", "tail", "short", "last" }, order)
  end)

  it("gives the slot of a task that waits to be retried to others", function()
    local starts = starts_of(function(task)
      local attempts = 0
      task("fails", {
        retry = { max = 1, delay = 10 },
        run = function()
          attempts = attempts + 1
          assert(attempts == 2, "again")
        end,
      })
      task("other", sleeper(3))
    end, { concurrency_limit = 1 })
    assert.same({ fails = 0, other = 0 }, starts)
  end)

  it("gives the slot of a task that waits for its run to that run", function()
    local inner = flow.registry(function(task)
      task("in1", sleeper(1))
      task("in2", sleeper(1))
    end)
    local _, report = starts_of(function(task)
      task("outer", { workflow = inner })
    end, { concurrency_limit = 1 })
    assert.is_true(math.abs(report:assert().execution_duration - 2) < 0.5)
  end)
end)
