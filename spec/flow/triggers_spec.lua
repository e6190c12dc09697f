local astrum = require "astrum"
local flow = require "spec.support.flow"
local testing = require "astrum.testing"

local F, Ref, sleep = astrum.F, astrum.Ref, astrum.sleep

-- Upstream tasks by a letter: s succeeds, f fails, t times out, c is skipped by its condition, u is
-- skipped because of a failure upstream. They end in their order, one a second.
local function declare_upstream(task, letters)
  local names = {}
  local wait = task("wait", {
    trigger = "always",
    run = function() end,
  })
  for i = 1, #letters do
    local letter, name = letters:sub(i, i), "up" .. i
    names[i] = name
    if letter == "u" then
      task("root" .. i, function()
        sleep(i)
        error("root", 0)
      end)
      task(name, { depends_on = { "root" .. i }, run = function() end })
    else
      task(name, {
        depends_on = { wait },
        timeout = letter == "t" and i or nil,
        when = letter == "c" and function()
          sleep(i)
          return false
        end or nil,
        run = function()
          sleep(letter == "t" and 100 or i)
          if letter == "f" then
            error("boom", 0)
          end
        end,
      })
    end
  end
  return names
end

local function run_with(trigger, letters, mode)
  local registry = flow.registry(function(task)
    local names = declare_upstream(task, letters)
    task("last", {
      depends_on = names,
      trigger = trigger,
      run = function()
        return astrum.context().task
      end,
    })
  end)
  return testing.run(registry, { config = { failure_mode = mode } })
end

-- For each trigger and mix: status of the task and its reason, or when it started.
local EXPECTED <const> = {
  all_success = {
    ss = 2,
    sc = "task 'up2' was skipped",
    sf = "task 'up2' failed",
    st = "task 'up2' timed out",
    su = "task 'root2' failed",
    fs = "task 'up1' failed",
  },
  all_done = { ss = 2, sc = 2, sf = 2, fs = 2, tf = 2, uc = 2, cf = 2 },
  all_failed = {
    ff = 2,
    ft = 2,
    fu = 2,
    uu = 2,
    sf = "task 'up1' completed",
    fs = "task 'up2' completed",
    fc = "task 'up2' was skipped",
  },
  one_success = {
    ss = 1,
    fs = 2,
    cs = 2,
    sf = 1,
    ff = "task 'up1' failed",
    cc = "task 'up2' was skipped",
    cf = "task 'up2' failed",
    fc = "task 'up1' failed",
    uc = "task 'root1' failed",
  },
  one_failed = {
    fs = 1,
    sf = 2,
    tc = 1,
    us = 1,
    cu = 2,
    ss = "task 'up2' completed",
    cc = "task 'up2' was skipped",
    sc = "task 'up2' was skipped",
  },
  none_failed = {
    ss = 2,
    sc = 2,
    cc = 2,
    sf = "task 'up2' failed",
    cu = "task 'root2' failed",
    ts = "task 'up1' timed out",
  },
  none_failed_min_one_success = {
    ss = 2,
    cs = 2,
    sc = 2,
    cc = "task 'up2' was skipped",
    cf = "task 'up2' failed",
    us = "task 'root1' failed",
  },
  always = { ss = 0, ff = 0, uc = 0 },
}

local function sorted_keys(values)
  local keys = {}
  for key in pairs(values) do
    keys[#keys + 1] = key
  end
  table.sort(keys)
  return keys
end

describe("a trigger", function()
  for _, trigger in ipairs(sorted_keys(EXPECTED)) do
    for _, letters in ipairs(sorted_keys(EXPECTED[trigger])) do
      local expected = EXPECTED[trigger][letters]
      it(trigger .. " decides as documented after " .. letters, function()
        local report = run_with(trigger, letters, "keep_going")
        local entry = report:task "last"
        if type(expected) == "string" then
          assert.equal("skipped", entry.status)
          assert.equal(expected, entry.reason)
        else
          assert.equal("completed", entry.status)
          local started = entry.start_time - report.total_start_time
          assert.is_true(math.abs(started - expected) < 0.5, "started after " .. started)
        end
      end)
    end
  end
end)

describe("a handled failure", function()
  for _, trigger in ipairs { "one_failed", "all_failed" } do
    for _, mode in ipairs { "fail_fast", "keep_going" } do
      it("does not fail a " .. mode .. " run when its " .. trigger .. " task completes", function()
        local report = testing.run(
          flow.registry(function(task)
            task("load", {
              retry = 1,
              run = function()
                error("boom", 0)
              end,
            })
            task("other", function()
              sleep(5)
            end)
            task("repair", { depends_on = { "load" }, trigger = trigger, run = function() end })
          end),
          { config = { failure_mode = mode } }
        )
        assert.equal("completed", report.execution_state)
        assert.is_true(report:ok())
        assert.equal(report, report:assert())
        assert.same(
          { load = "failed", other = "completed", repair = "completed" },
          flow.statuses(report)
        )
        assert.is_true(report:task("load").handled)
        assert.same({
          "Task 'load' failed, which task 'repair' handled: boom",
          "Task 'load' attempt 1/2 failed; retrying with 1 retries left: boom",
          "Task 'load' exhausted 1 retries after 2 attempts: boom",
        }, report.error_summary)
        assert.equal("boom", report:task("load").error_message)
      end)
    end
  end

  it("takes effect when the task that was to handle it fails, too", function()
    local report = testing.run(flow.registry(function(task)
      task("load", function()
        error("boom", 0)
      end)
      task("other", function()
        sleep(100)
      end)
      task("repair", {
        depends_on = { "load" },
        trigger = "one_failed",
        run = function()
          sleep(1)
          error("no spare part", 0)
        end,
      })
    end))
    assert.equal("failed", report.execution_state)
    assert.same({ load = "failed", other = "cancelled", repair = "failed" }, flow.statuses(report))
    assert.is_nil(report:task("load").handled)
    assert.same({
      "Execution interrupted; task 'load' failed: boom",
      "Task 'load' failed during execution: boom",
      "Final task 'repair' failed: no spare part",
    }, report.error_summary)
  end)

  it("takes effect when the task that was to handle it is declined", function()
    local report = testing.run(flow.registry(function(task)
      task("load", function()
        error("boom", 0)
      end)
      task("repair", {
        depends_on = { "load" },
        trigger = "one_failed",
        when = function()
          return false
        end,
        run = function() end,
      })
    end))
    assert.equal("failed", report.execution_state)
    assert.equal("its `when` said no", report:task("repair").reason)
  end)

  it("by all_failed takes effect when another task upstream completes", function()
    local report = testing.run(flow.registry(function(task)
      task("load", function()
        error("boom", 0)
      end)
      task("slow", function()
        sleep(1)
      end)
      task("never", function()
        sleep(100)
      end)
      task("repair", {
        depends_on = { "load", "slow" },
        trigger = "all_failed",
        run = function() end,
      })
    end))
    assert.equal("failed", report.execution_state)
    assert.equal("task 'slow' completed", report:task("repair").reason)
    assert.equal("cancelled", report:task("never").status)
    assert.is_true(report.execution_duration < 2)
  end)

  it("lets the consumer see by an optional reference that there is no result", function()
    local report = flow.run(function(task)
      task("load", function()
        error("boom", 0)
      end)
      task("repair", {
        inputs = {
          rows = Ref("list?", F.load),
          count = Ref("integer", F.load.count, { default = 7 }),
        },
        trigger = "one_failed",
        run = function(rows, count)
          return { rows = rows == nil, count = count }
        end,
      })
    end)
    assert.same({ rows = true, count = 7 }, report:assert():result "repair")
  end)
end)

describe("cleanup", function()
  for _, trigger in ipairs { "all_done", "always" } do
    it("by " .. trigger .. " runs after a failure, and the run stays failed", function()
      local closed = {}
      local report = testing.run(flow.registry(function(task)
        task("open", function() end)
        task("use", {
          depends_on = { "open" },
          run = function()
            sleep(1)
            error("boom", 0)
          end,
        })
        task("slow", function()
          sleep(100)
        end)
        task("later", { depends_on = { "slow" }, run = function() end })
        task("close", {
          depends_on = { "use", "slow" },
          trigger = trigger,
          run = function()
            sleep(3)
            closed[#closed + 1] = "closed"
          end,
        })
      end))
      assert.same({ "closed" }, closed)
      assert.equal("failed", report.execution_state)
      assert.same({
        open = "completed",
        use = "failed",
        slow = "cancelled",
        later = "skipped",
        close = "completed",
      }, flow.statuses(report))
      assert.equal("task 'use' failed", report:task("later").reason)
    end)

    it("by " .. trigger .. " runs after a cancel, and the run stays cancelled", function()
      local closed, handle = 0, nil
      handle = flow
        .build(function(task)
          task("use", function()
            handle:cancel "enough"
            sleep(10)
          end)
          task("close", {
            depends_on = { "use" },
            trigger = trigger,
            run = function()
              sleep(0.001)
              closed = closed + 1
            end,
          })
        end)
        :start()
      local report = handle:wait()
      assert.equal(1, closed)
      assert.equal("cancelled", report.execution_state)
      assert.same({ use = "cancelled", close = "completed" }, flow.statuses(report))
      assert.equal("the run was cancelled: enough", report:task("use").reason)
    end)
  end

  it("is cancelled when the run is cancelled a second time", function()
    local handle
    handle = flow
      .build(function(task)
        task("use", function()
          handle:cancel "enough"
          sleep(10)
        end)
        task("close", {
          depends_on = { "use" },
          trigger = "all_done",
          run = function()
            handle:cancel "now"
            sleep(10)
          end,
        })
      end)
      :start()
    local report = handle:wait()
    assert.equal("cancelled", report:task("close").status)
    assert.equal("the run was cancelled: enough", report:task("close").reason)
  end)

  it("that fails does not change why the run failed", function()
    local report = flow.run(function(task)
      task("use", function()
        error("boom", 0)
      end)
      task("close", {
        depends_on = { "use" },
        trigger = "all_done",
        run = function()
          error("cannot close", 0)
        end,
      })
    end)
    assert.equal("Execution interrupted; task 'use' failed: boom", report.error_summary[1])
    assert.equal("failed", report:task("close").status)
  end)
end)

describe("a reference to a task that did not complete", function()
  local function error_of(upstream, upstream_status)
    local registry = flow.load(
      [[
task("load", given)
task "use" {
  inputs = { rows = F.load.rows },
  trigger = "all_done",
  run = function(rows) end,
}]],
      upstream
    )
    local report = registry:run { config = { failure_mode = "keep_going" } }
    assert.equal(upstream_status, report:task("load").status)
    local failure = report:task("use").error
    assert.equal("FieldError", failure.kind)
    assert.equal(1, #report:task("use").attempt_statistics)
    return failure.message
  end

  it("is a mistake of the consumer that says how to allow it", function()
    local text = error_of({
      run = function()
        error("boom", 0)
      end,
    }, "failed")
    assert.equal(
      "flow.lua:3: task 'use': input 'rows' reads from task 'load', which failed\n"
        .. 'help: write Ref("any?", ...) to get nil then, or give it a default',
      text
    )
  end)

  it("says when it was skipped", function()
    local text = error_of({
      when = function()
        return false
      end,
      run = function() end,
    }, "skipped")
    assert.equal(
      "flow.lua:3: task 'use': input 'rows' reads from task 'load', which was skipped\n"
        .. 'help: write Ref("any?", ...) to get nil then, or give it a default',
      text
    )
  end)

  it("inside a constant table is a mistake, too", function()
    local registry = flow.load [[
task("load", function() error("boom", 0) end)
task "use" {
  inputs = { parts = { rows = F.load.rows } },
  trigger = "one_failed",
  run = function(parts) end,
}]]
    local report = registry:run {}
    assert.equal(
      "flow.lua:3: task 'use': input 'parts' reads from task 'load', which failed\n"
        .. 'help: take it as an input of its own, as Ref("any?", ...) to get nil then',
      report:task("use").error_message
    )
  end)

  it("is nil although a task that always runs began before it was over", function()
    local report = testing.run(flow.registry(function(task)
      task("load", function()
        sleep(1)
        return 1
      end)
      task("use", {
        inputs = { n = Ref("integer?", F.load) },
        trigger = "always",
        run = function(n)
          return n == nil
        end,
      })
    end))
    assert.is_true(report:result "use")
  end)

  it("fails a task that always runs and begins before it is over", function()
    local registry = flow.load [[
task("load", function() sleep(1) return 1 end)
task "use" { inputs = { n = F.load }, trigger = "always", run = function(n) end }]]
    local report = testing.run(registry)
    assert.equal(
      "flow.lua:2: task 'use': input 'n' reads from task 'load', which is not over\n"
        .. 'help: write Ref("any?", ...) to get nil then, or give it a default',
      report:task("use").error_message
    )
  end)
end)

describe("skips", function()
  it("pass on by the trigger rule only", function()
    local report = testing.run(flow.registry(function(task)
      task("choose", {
        when = function()
          return false
        end,
        run = function() end,
      })
      task("after", { depends_on = { "choose" }, run = function() end })
      task("after2", { depends_on = { "after" }, run = function() end })
      task("join", { depends_on = { "after2" }, trigger = "none_failed", run = function() end })
    end))
    assert.equal("completed", report.execution_state)
    assert.same({
      choose = "skipped",
      after = "skipped",
      after2 = "skipped",
      join = "completed",
    }, flow.statuses(report))
    assert.equal("its `when` said no", report:task("choose").reason)
    assert.equal("task 'choose' was skipped", report:task("after").reason)
    assert.equal("task 'after' was skipped", report:task("after2").reason)
    assert.equal(0, #report.error_summary)
  end)

  it("because of a failure name the first task that was not skipped", function()
    local report = testing.run(
      flow.registry(function(task)
        task("load", function()
          error("boom", 0)
        end)
        task("a", { depends_on = { "load" }, run = function() end })
        task("b", { depends_on = { "a" }, trigger = "none_failed", run = function() end })
        task("c", { depends_on = { "b" }, trigger = "all_failed", run = function() end })
      end),
      { config = { failure_mode = "keep_going" } }
    )
    assert.equal("task 'load' failed", report:task("a").reason)
    assert.equal("task 'load' failed", report:task("b").reason)
    assert.equal("completed", report:task("c").status)
    assert.equal("failed", report.execution_state)
  end)
end)
