local astrum = require "astrum"
local flow = require "spec.support.flow"

local sleep = astrum.sleep

-- A body that counts how many like it run at once.
local function counter()
  local now, most = 0, 0
  local function body()
    now = now + 1
    most = math.max(most, now)
    sleep(0.001)
    now = now - 1
  end
  return body, function()
    return most
  end
end

-- Declares tasks { name, dependencies... } that note their start in a list.
local function run_noting(rows, config)
  local order = {}
  local report = flow.run(function(task)
    for _, row in ipairs(rows) do
      task(row[1], {
        depends_on = table.move(row, 2, #row, 1, {}),
        run = function()
          order[#order + 1] = row[1]
          sleep(row.time or 0)
        end,
      })
    end
  end, config)
  report:assert()
  return order
end

describe("concurrency_limit", function()
  for _, limit in ipairs { 1, 2, 3 } do
    it(("lets %d attempts run at once"):format(limit), function()
      local body, most = counter()
      flow
        .run(function(task)
          for i = 1, 7 do
            task("task" .. i, body)
          end
        end, { concurrency_limit = limit })
        :assert()
      assert.equal(limit, most())
    end)
  end

  it("is none by default", function()
    local started, all_started = 0, flow.gate()
    local report = flow.run(function(task)
      for i = 1, 50 do
        task("task" .. i, function()
          started = started + 1
          if started == 50 then
            all_started.open()
          end
          all_started.wait()
        end)
      end
    end)
    assert.equal(50, report:assert().successful_tasks)
  end)

  it("may be larger than the number of tasks", function()
    local body, most = counter()
    flow.run(function(task)
      task("one", body)
      task("two", body)
    end, { concurrency_limit = 100 })
    assert.equal(2, most())
  end)

  it("belongs to the run, not to the scheduler", function()
    local body, most = counter()
    local scheduler = flow.build(function(task)
      task("one", body)
      task("two", body)
    end, { concurrency_limit = 1 })
    local handles = { scheduler:start(), scheduler:start() }
    for _, handle in ipairs(handles) do
      handle:wait():assert()
    end
    assert.equal(2, most())
  end)

  it("is kept while tasks are retried", function()
    local now, most = 0, 0
    flow.run(function(task)
      for i = 1, 4 do
        task("task" .. i, {
          retry = 2,
          run = function(ctx)
            now = now + 1
            most = math.max(most, now)
            sleep(0)
            now = now - 1
            assert(ctx.attempt == 3)
          end,
        })
      end
    end, { concurrency_limit = 2 })
    assert.equal(2, most)
  end)

  it("counts the time for which a task waits for a slot apart", function()
    local report = flow.run_in_virtual_time(function(task)
      task("first", function()
        sleep(4)
      end)
      task("second", function() end)
    end, { concurrency_limit = 1 })
    assert.equal(4.0, report:task("second").wait_duration)
    assert.equal(0.0, report:task("second").duration)
  end)

  for _, limit in ipairs { 0, -3, 1.5, "2" } do
    it("refuses " .. tostring(limit), function()
      local failure = flow.raised(flow.build, function() end, { concurrency_limit = limit })
      assert.equal("ConfigError", failure.kind)
      local shown = type(limit) == "string" and "'2'" or tostring(limit)
      assert.equal("concurrency_limit must be a positive integer, got " .. shown, failure.text)
      assert.equal("leave it out for no limit", failure.help)
    end)
  end
end)

describe("the order of tasks", function()
  it("without a limit is that in which they became ready, ties by declaration", function()
    assert.same(
      { "a", "b", "c", "after_b", "after_a" },
      run_noting {
        { "after_a", "a" },
        { "after_b", "b" },
        { "a", time = 0.004 },
        { "b", time = 0.001 },
        { "c", time = 0.004 },
      }
    )
  end)

  it("with a limit begins with the longest path that is still to go", function()
    assert.same(
      { "long", "short", "middle", "alone", "end" },
      run_noting({
        { "alone" },
        { "short" },
        { "middle", "long" },
        { "end", "middle", "short" },
        { "long" },
      }, { concurrency_limit = 1 })
    )
  end)

  it("with a limit breaks ties by the moment of becoming ready, then by declaration", function()
    assert.same(
      { "first", "second", "third", "from_first", "from_second" },
      run_noting({
        { "from_second", "second" },
        { "from_first", "first" },
        { "first" },
        { "second" },
        { "third" },
      }, { concurrency_limit = 1 })
    )
  end)

  it("is the same in every run", function()
    local rows = {}
    for i = 1, 40 do
      rows[i] = { "task" .. i }
      for k = 1, i - 1 do
        if (i * 7 + k * 13) % 11 == 0 then
          table.insert(rows[i], "task" .. k)
        end
      end
    end
    local config = { concurrency_limit = 3 }
    assert.same(run_noting(rows, config), run_noting(rows, config))
  end)
end)
