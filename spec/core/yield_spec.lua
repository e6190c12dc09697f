local astrum = require "astrum"
local flow = require "spec.support.flow"
local places = require "spec.support.places"

local in_task = places.in_task

describe("a task suspends", function()
  it("inside pcall", function()
    local ok, value = in_task(function()
      return pcall(function()
        astrum.sleep(0)
        return 5
      end)
    end)
    assert.is_true(ok)
    assert.is_nil(value) -- a body returns one value
  end)

  it("inside metamethods and iterators", function()
    local sum = in_task(function()
      local waits = setmetatable({}, {
        __add = function(_, n)
          astrum.sleep(0)
          return n
        end,
        __index = function()
          astrum.sleep(0)
          return 10
        end,
      })
      local total = (waits + 1) + waits.field
      local function iterate(_, i)
        astrum.sleep(0)
        return i < 2 and i + 1 or nil
      end
      for i in iterate, nil, 0 do
        total = total + 100 * i
      end
      return total
    end)
    assert.equal(311, sum)
  end)

  it("in the __close of a block that ends well", function()
    local closed = in_task(function()
      local seen = false
      do
        local _ <close> = setmetatable({}, {
          __close = function()
            astrum.sleep(0)
            seen = true
          end,
        })
      end
      return seen
    end)
    assert.is_true(closed)
  end)

  it("beside coroutines of its own", function()
    local list = in_task(function()
      local numbers = coroutine.wrap(function()
        for i = 1, 3 do
          coroutine.yield(i)
        end
      end)
      local seen = {}
      for i in numbers do
        astrum.sleep(0)
        seen[i] = i
      end
      return seen
    end)
    assert.same({ 1, 2, 3 }, list)
  end)
end)

describe("a wait where none can be", function()
  local boundary = "cannot wait here: attempt to yield across a C-call boundary (as in a "
    .. "table.sort comparison, a string.gsub callback or require)"

  it("names itself in a table.sort comparison", function()
    local text = "table.sort({ 2, 1 }, function() astrum.sleep(0) end)"
    assert.equal("flow.lua:2: sleep: " .. boundary, places.failure(text))
  end)

  it("names itself in a string.gsub callback", function()
    local text = '("x"):gsub(".", function() astrum.await(function() end) end)'
    assert.equal("flow.lua:2: await: " .. boundary, places.failure(text))
  end)

  it("names itself in a coroutine of the task's own", function()
    local text = "error(select(2, coroutine.resume(coroutine.create(function() astrum.sleep(0) "
      .. "end))), 0)"
    assert.equal(
      "flow.lua:2: sleep: a coroutine of your own cannot wait, only the task itself; call it in "
        .. "the body, or use astrum.all",
      places.failure(text)
    )
  end)

  it("names itself in a coroutine of the main program", function()
    local ok, message = coroutine.resume(coroutine.create(function()
      astrum.sleep(0)
    end))
    assert.is_false(ok)
    assert.equal(
      "sleep: only a task or the main program can wait, and this coroutine is neither",
      message:gsub("^.-:%d+: ", "")
    )
  end)
end)

describe("a task that yields by itself", function()
  it("fails and is told what to do", function()
    assert.equal(
      "coroutine.yield was called in the task itself, where nobody would resume it; wait with "
        .. "astrum.sleep, astrum.await or astrum.all, and yield only in coroutines of your own",
      places.failure "coroutine.yield(1)"
    )
  end)
end)

describe("a task that other code resumes", function()
  it("fails, and the other code gets an error", function()
    local resumed
    local report = flow.run(function(task)
      local body
      task("waits", function()
        body = coroutine.running()
        astrum.sleep(0.005)
      end)
      task("meddles", function()
        resumed = table.pack(coroutine.resume(body))
      end)
    end, { failure_mode = "keep_going" })
    assert.is_false(resumed[1])
    assert.equal(
      "this coroutine belongs to a task that waits; only the engine resumes it",
      (tostring(resumed[2]):gsub("^.-:%d+: ", ""))
    )
    assert.equal("failed", report:task("waits").status)
    assert.equal(
      "the task's coroutine was resumed by other code while it waited",
      report:task("waits").error_message
    )
  end)
end)

describe("a coroutine that is used again", function()
  it("has no hook of the task before", function()
    local counted = 0
    flow.run(function(task)
      task("first", function()
        debug.sethook(function()
          counted = counted + 1
        end, "", 1)
      end)
      task("second", {
        depends_on = { "first" },
        run = function()
          counted = 0
          for _ = 1, 100 do
          end
        end,
      })
    end)
    assert.equal(0, counted)
  end)
end)
