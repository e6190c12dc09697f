local astrum = require "astrum"
local flow = require "spec.support.flow"
local testing = require "astrum.testing"

local F, Ref, sleep = astrum.F, astrum.Ref, astrum.sleep

-- A run of one map with the options given; `n` is its list.
local function map_of(list, body, options, config)
  return testing.run(
    flow.registry(function(task)
      local spec = { map = { n = list }, run = body }
      for key, value in pairs(options or {}) do
        spec[key] = value
      end
      task("each", spec)
    end),
    { config = config }
  )
end

local function double(n)
  return n * 2
end

describe("a map", function()
  it("tells who reads a field of its elements that the result is a list", function()
    local report = flow
      .load(
        "task('each', { map = { n = { 1 } }, run = function(n) return { size = n } end })\n"
          .. "task('use', { inputs = { size = F.each.size }, run = function(size) end })"
      )
      :run()
    assert.equal(
      "flow.lua:2: task 'use': input 'size': each has no field 'size'\n"
        .. "help: task 'each' is a map, whose result is a list: take all of it as an input",
      report:task("use").error_message
    )
  end)

  it("has a result that is a list for Ref and for a param", function()
    local sum = astrum.workflow "sum" {
      add = {
        inputs = { numbers = astrum.param("numbers", { type = "list" }) },
        run = function(numbers)
          return numbers.n
        end,
      },
    }
    local report = flow.run(function(task)
      task("each", {
        map = { n = { 1, 2, 3 } },
        run = function(n)
          return n ~= 2 and n or nil
        end,
      })
      task("use", {
        inputs = { numbers = Ref("list", F.each) },
        run = function(numbers)
          return numbers[3]
        end,
      })
      task("nested", { workflow = sum, inputs = { numbers = F.each } })
    end)
    assert.equal(3, report:assert():result "use")
    assert.equal(3, report:result("nested").add)
  end)

  it("returns the results in the order of the list, with n", function()
    local report = map_of({ 3, 1, 2 }, function(n)
      sleep(n)
      return n * 10
    end)
    assert.same({ 30, 10, 20, n = 3 }, report:assert():result "each")
    assert.equal(1, report.total_tasks)
    assert.equal(1, report.successful_tasks)
    assert.is_true(math.abs(report.execution_duration - 3) < 0.5)
  end)

  it("takes lists from references, functions and params", function()
    local report = testing.run(
      flow.registry(function(task)
        task("list", function()
          return { files = { "a", "b" } }
        end)
        task("each", {
          map = {
            file = Ref("list", F.list.files),
            number = function()
              return { 1, 2 }
            end,
            region = astrum.param("regions", { type = "list" }),
          },
          inputs = { unit = "x" },
          run = function(unit, region, file, number)
            return unit .. file .. number .. region
          end,
        })
      end),
      { params = { regions = { "EU", "US" } } }
    )
    assert.same({ "xa1EU", "xb2US", n = 2 }, report:assert():result "each")
  end)

  it("takes the list of a table with references", function()
    local report = flow.run(function(task)
      task("load", function()
        return { x = 5 }
      end)
      task("each", { map = { n = { 1, F.load.x } }, run = double })
    end)
    assert.same({ 2, 10, n = 2 }, report:assert():result "each")
  end)

  it("goes over holes when the list has n", function()
    local report = map_of({ 1, nil, 3, nil, n = 4 }, function(n)
      return n == nil and "hole" or n
    end)
    assert.same({ 1, "hole", 3, "hole", n = 4 }, report:assert():result "each")
  end)

  it("has an empty result for an empty list, and its consumers go on", function()
    local report = testing.run(flow.registry(function(task)
      task("each", { map = { n = {} }, run = double })
      task("use", {
        inputs = { all = F.each },
        run = function(all)
          return all.n
        end,
      })
    end))
    assert.same({ n = 0 }, report:assert():result "each")
    assert.equal(0, report:result "use")
    assert.same({}, report:task("each").items)
    assert.equal("completed", report:task("each").status)
  end)

  it("of a map goes over its results", function()
    local report = flow.run(function(task)
      task("first", { map = { n = { 1, 2, 3 } }, run = double })
      task("second", { map = { n = F.first }, run = double })
    end)
    assert.same({ 4, 8, 12, n = 3 }, report:assert():result "second")
  end)

  it("runs no more than max_concurrency items at a time", function()
    local report = map_of({ 1, 1, 1, 1, 1 }, function(n)
      sleep(n)
    end, { max_concurrency = 2 })
    assert.is_true(math.abs(report:assert().execution_duration - 3) < 0.5)
  end)

  it("retries each item by itself", function()
    local report = map_of({ 1, 2, 3 }, function(n, ctx)
      if ctx.attempt < n then
        error("attempt " .. ctx.attempt, 0)
      end
      return ctx.item
    end, { retry = { max = 2, delay = 1 } })
    local entry = report:assert():task "each"
    assert.same({ 1, 2, 3, n = 3 }, report:result "each")
    assert.equal(6, entry.attempt_count)
    assert.same({}, entry.attempt_statistics)
    assert.equal(3, #entry.items)
    for i, item in ipairs(entry.items) do
      assert.equal(i, item.item)
      assert.equal("each", item.task_name)
      assert.equal("completed", item.status)
      assert.equal(i, item.attempt_count)
      assert.equal(i, #item.attempt_statistics)
    end
    assert.equal("attempt 1", entry.items[2].attempt_statistics[1].error_message)
    assert.is_true(entry.items[2].attempt_statistics[1].will_retry)
    assert.same({
      "Task 'each[2]' attempt 1/3 failed; retrying with 2 retries left: attempt 1",
      "Task 'each[3]' attempt 1/3 failed; retrying with 2 retries left: attempt 1",
      "Task 'each[3]' attempt 2/3 failed; retrying with 1 retries left: attempt 2",
    }, report.error_summary)
  end)

  it("tells each item who it is", function()
    local report = map_of({ "a", "b" }, function(n, ctx)
      return n .. ctx.item .. ctx.idempotency_key:sub(#ctx.run_id + 1)
    end)
    assert.same({ "a1/each[1]", "b2/each[2]", n = 2 }, report:assert():result "each")
  end)

  it("has no item in the ctx of other tasks", function()
    local report = flow.run(function(task)
      task("one", function(ctx)
        return ctx.item == nil
      end)
    end)
    assert.is_true(report:assert():result "one")
  end)

  it("runs a function that it is given again for each item", function()
    local calls = 0
    local report = flow.run(function(task)
      task("each", {
        map = { n = { 1, 2, 3 } },
        inputs = {
          token = function()
            calls = calls + 1
            return calls
          end,
        },
        run = function(n, token)
          return n + token
        end,
      })
    end)
    assert.same({ 2, 4, 6, n = 3 }, report:assert():result "each")
  end)
end)

describe("on_item_failure", function()
  local function fails_at(bad, seconds)
    return function(n)
      sleep(seconds or n)
      if n == bad then
        error("bad " .. n, 0)
      end
      return n
    end
  end

  it("fail: the first failure cancels the other items and fails the map", function()
    local report = map_of({ 1, 2, 3 }, fails_at(2), { max_concurrency = 2 })
    local entry = report:task "each"
    assert.equal("failed", report.execution_state)
    assert.equal("failed", entry.status)
    assert.equal("item 2: bad 2", entry.error_message)
    assert.equal(2, entry.error.item)
    assert.equal("bad 2", entry.error.message)
    assert.same({ "completed", "failed", "cancelled" }, {
      entry.items[1].status,
      entry.items[2].status,
      entry.items[3].status,
    })
    assert.equal("another item of the map failed", entry.items[3].reason)
    assert.same({
      "Execution interrupted; task 'each' failed: item 2: bad 2",
      "Final task 'each[2]' failed: bad 2",
    }, report.error_summary)
    local result, failure = report:result "each"
    assert.is_nil(result)
    assert.equal(entry.error, failure)
  end)

  it("fail: items that have not begun are skipped", function()
    local report = map_of({ 1, 2, 3 }, fails_at(1), { max_concurrency = 1 })
    local items = report:task("each").items
    assert.equal("skipped", items[2].status)
    assert.equal("another item of the map failed", items[2].reason)
  end)

  it("collect: the error object is in its place, and the map completes", function()
    local report = map_of({ 1, 2, 3 }, fails_at(2), { on_item_failure = "collect", retry = 1 })
    local result = report:assert():result "each"
    assert.equal(3, result.n)
    assert.same({ 1, 3 }, { result[1], result[3] })
    assert.equal("TaskFailedError", result[2].kind)
    assert.equal("bad 2", result[2].message)
    assert.equal(2, result[2].item)
    assert.same({
      "Item 'each[2]' failed, its error is in the result: bad 2",
      "Task 'each[2]' attempt 1/2 failed; retrying with 1 retries left: bad 2",
      "Task 'each[2]' exhausted 1 retries after 2 attempts: bad 2",
    }, report.error_summary)
    assert.equal("failed", report:task("each").items[2].status)
    assert.equal(2, report:task("each").items[2].attempt_count)
  end)

  it("skip: what failed is left out", function()
    local report = map_of({ 1, 2, 3, 4 }, fails_at(2), { on_item_failure = "skip" })
    assert.same({ 1, 3, 4, n = 3 }, report:assert():result "each")
    assert.same({ "Item 'each[2]' failed and was left out: bad 2" }, report.error_summary)
  end)

  it("skip: an item that its condition declined is left out, a nil result is not", function()
    local report = map_of({ 1, 2, 3 }, function(n)
      if n ~= 3 then
        return n
      end
    end, {
      on_item_failure = "skip",
      when = function(n)
        return n ~= 1
      end,
    })
    assert.same({ 2, n = 2 }, report:assert():result "each")
  end)

  it("collect: items that time out are errors, too", function()
    local report = map_of({ 1, 5, 2 }, function(n)
      sleep(n)
      return n
    end, { on_item_failure = "collect", timeout = 3 })
    local result = report:assert():result "each"
    assert.equal("TaskTimeoutError", result[2].kind)
    assert.equal("timed out after 3 s", result[2].message)
  end)

  it("fail: an item that times out fails the map", function()
    local report = map_of({ 1, 5, 2 }, function(n)
      sleep(n)
    end, { timeout = 3 })
    assert.equal("item 2: timed out after 3 s", report:task("each").error_message)
    assert.equal("failed", report:task("each").status)
    assert.equal("timed_out", report:task("each").items[2].status)
  end)

  it("of a map in keep_going leaves the rest of the run alone", function()
    local report = testing.run(
      flow.registry(function(task)
        task("each", {
          map = { n = { 1, 2 } },
          run = function(n)
            error("bad " .. n, 0)
          end,
        })
        task("other", function()
          sleep(3)
        end)
        task("use", {
          inputs = { all = F.each },
          run = function(all)
            return all
          end,
        })
      end),
      { config = { failure_mode = "keep_going" } }
    )
    assert.same({ each = "failed", other = "completed", use = "skipped" }, flow.statuses(report))
    assert.equal("task 'each' failed", report:task("use").reason)
  end)

  it("a failed map can be handled", function()
    local report = testing.run(flow.registry(function(task)
      task("each", {
        map = { n = { 1, 2 } },
        run = function(n)
          error("bad " .. n, 0)
        end,
      })
      task("repair", { depends_on = { "each" }, trigger = "one_failed", run = function() end })
    end))
    assert.equal("completed", report.execution_state)
    assert.is_true(report:task("each").handled)
  end)
end)

describe("a map over what is no list", function()
  local function error_of(lists, options)
    local registry = flow.load(
      [[
task("load", function() return given.lists end)
task "each" {
  map = { a = F.load.a,
          b = F.load.b },
  max_items = given.most,
  run = function(a, b) end,
}]],
      { lists = lists, most = options and options.max_items }
    )
    local entry = registry:run({}):task "each"
    assert.equal("failed", entry.status)
    assert.same({}, entry.items)
    return entry.error.kind .. ": " .. entry.error_message
  end

  it("says so", function()
    assert.equal(
      "TypeMatchError: flow.lua:3: task 'each': map 'a' "
        .. "wants a list, got number\n"
        .. "help: give it a table with the keys 1 to n",
      error_of { a = 3, b = {} }
    )
  end)

  it("says so for a table with other keys", function()
    assert.equal(
      "TypeMatchError: flow.lua:4: task 'each': map 'b' "
        .. "wants a list, got a table with the key 'x'\n"
        .. "help: give it a table with the keys 1 to n only",
      error_of { a = { 1 }, b = { x = 1 } }
    )
  end)

  it("says where the hole is in a list that names no length", function()
    assert.equal(
      "TypeMatchError: flow.lua:3: task 'each': map 'a' "
        .. "wants a list, got one with a hole: nothing is at 2\n"
        .. "help: leave no item out, or set its field n to the length and expect nil there",
      error_of { a = { 1, nil, 3 }, b = {} }
    )
  end)

  it("says so for a field that is missing", function()
    assert.equal(
      "FieldError: flow.lua:4: task 'each': map 'b': load has no field 'b'\nhelp: load has: a",
      error_of { a = { 1 } }
    )
  end)

  it("tells both lengths", function()
    assert.equal(
      "FieldError: flow.lua:4: task 'each': map 'b' has 1 item, 'a' has 2\n"
        .. "help: lists that a map goes over together have one length",
      error_of { a = { 1, 2 }, b = { 1 } }
    )
  end)

  it("tells how many are too many", function()
    assert.equal(
      "FieldError: flow.lua:3: task 'each': map 'a' has 3 items, more than its max_items 2\n"
        .. "help: raise max_items, or give the map less to do",
      error_of({ a = { 1, 2, 3 }, b = { 1, 2, 3 } }, { max_items = 2 })
    )
  end)

  it("retries a function that is to give it", function()
    local calls = 0
    local report = flow.run(function(task)
      task("each", {
        retry = 1,
        map = {
          n = function()
            calls = calls + 1
            assert(calls == 2, "no connection")
            return { 1 }
          end,
        },
        run = double,
      })
    end)
    assert.same({ 2, n = 1 }, report:assert():result "each")
  end)

  it("fails with the error of a function that is to give it", function()
    local report = flow.run(function(task)
      task("each", {
        map = {
          n = function()
            error("no connection", 0)
          end,
        },
        run = double,
      })
    end)
    local entry = report:task "each"
    assert.equal("no connection", entry.error_message)
    assert.same({
      "Execution interrupted; task 'each' failed: no connection",
      "Final task 'each' failed: no connection",
    }, report.error_summary)
  end)
end)

describe("a map that stops", function()
  it("by a cancel cancels what runs and skips the rest", function()
    local handle, closed = nil, {}
    handle = flow
      .build(function(task)
        task("each", {
          map = { n = { 1, 2, 3 } },
          max_concurrency = 2,
          run = function(n)
            local _ <close> = flow.closing(closed, "closed " .. n)
            if n == 2 then
              handle:cancel "enough"
            end
            sleep(10)
          end,
        })
      end)
      :start()
    local report = handle:wait()
    local entry = report:task "each"
    assert.equal("cancelled", report.execution_state)
    assert.equal("cancelled", entry.status)
    assert.same({ "closed 1", "closed 2" }, closed)
    assert.same({ "cancelled", "cancelled", "skipped" }, {
      entry.items[1].status,
      entry.items[2].status,
      entry.items[3].status,
    })
    assert.equal("the run was cancelled: enough", entry.items[3].reason)
    assert.equal(1, report.cancelled_tasks)
  end)

  it("while its list is being made has no items", function()
    local closed, items, handle = {}, 0, nil
    local function declare(task)
      task("each", {
        timeout = 5,
        map = {
          n = function()
            local _ <close> = flow.closing(closed, "closed")
            sleep(handle and 0 or 10)
            sleep(10)
            return { 1 }
          end,
        },
        run = function(n)
          items = items + n
        end,
      })
    end
    local report = astrum.testing.run(flow.registry(declare))
    assert.equal("timed_out", report:task("each").status)
    assert.equal("timed out after 5 s", report:task("each").error_message)
    handle = flow.build(declare):start()
    sleep(0.001)
    handle:cancel()
    assert.equal("cancelled", handle:wait():task("each").status)
    assert.same({ "closed", "closed" }, closed)
    assert.equal(0, items)
  end)

  it("by the deadline of its run says so", function()
    local report = map_of({ 10, 20 }, function(n)
      sleep(n)
    end, nil, { deadline = 3 })
    assert.equal("failed", report.execution_state)
    assert.equal("the run took longer than its deadline", report:task("each").items[1].reason)
    assert.equal(
      "Execution failed: the run took longer than its deadline of 3 s",
      report.error_summary[1]
    )
  end)
end)

describe("a map of 100,000 items", function()
  it("runs them all", function()
    local list = {}
    for i = 1, 100000 do
      list[i] = i
    end
    local report = flow.run(function(task)
      task("list", function()
        return list
      end)
      task("each", { map = { n = F.list }, run = double })
      task("sum", {
        inputs = { all = F.each },
        run = function(all)
          local sum = 0
          for i = 1, all.n do
            sum = sum + all[i]
          end
          return sum
        end,
      })
    end)
    assert.equal(100000 * 100001, report:assert():result "sum")
    assert.equal(100000, report:task("each").attempt_count)
    assert.equal("completed", report:task("each").items[100000].status)
  end)
end)
