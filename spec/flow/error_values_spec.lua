local astrum = require "astrum"
local flow = require "spec.support.flow"

local sleep = astrum.sleep

-- The statistics of a task whose body is this.
local function ended(body)
  local report = flow.run(function(task)
    task("load", body)
  end)
  assert.equal("failed", report.execution_state)
  return report:task("load")
end

describe("an error value", function()
  local described = setmetatable({}, {
    __tostring = function()
      return "as the object tells"
    end,
  })
  local broken = setmetatable({}, {
    __tostring = function()
      error "no text"
    end,
  })
  local cases = {
    { "a string", "boom", "boom" },
    { "an empty string", "", "(the error message is empty)" },
    { "blanks", "  \n", "(the error message is empty)" },
    { "a number", 42, "42" },
    { "false", false, "(error object is a boolean value)" },
    { "nil", nil, "(error object is a nil value)" },
    { "a plain table", { code = 1 }, "{ code = 1 }" },
    { "a function", print, "(error object is a function value)" },
    { "an object with a text", described, "as the object tells" },
    { "an object whose text raises", broken, "(error object is a table value)" },
  }
  for _, case in ipairs(cases) do
    local name, value, text = case[1], case[2], case[3]
    it("that is " .. name .. " fails the task and is kept as the cause", function()
      local entry = ended(function()
        error(value, 0)
      end)
      assert.equal("TaskFailedError", entry.error.kind)
      assert.equal(text, entry.error.message)
      assert.equal(value, entry.error.cause)
      assert.equal("load", entry.error.task)
      assert.equal(1, entry.error.attempt)
      assert.is_truthy(entry.error_message:find("%S"))
    end)
  end

  it("that a body returns after nil fails the task as an error would", function()
    local problem = { code = 5 }
    local entry = ended(function()
      return nil, problem
    end)
    assert.equal(problem, entry.error.cause)
    assert.is_nil(entry.error.traceback)
  end)

  it("is told by one line when the object is written", function()
    local entry = ended(function()
      error("boom", 0)
    end)
    assert.equal("boom", tostring(entry.error))
    assert.equal("boom", entry.error_message)
  end)

  it("of the library stays what it is", function()
    local entry = ended(function()
      astrum.run { namespace = "nowhere at all" }
    end)
    assert.equal("TaskNotFoundError", entry.error.cause.kind)
    assert.is_true(astrum.errors.is(entry.error, "SchedulerError"))
    assert.is_truthy(entry.error_message:find("namespace 'nowhere at all' has no tasks", 1, true))
  end)

  it("that is a text of Lua names the line of the body", function()
    local line = debug.getinfo(1, "l").currentline
    local entry = ended(function()
      error "boom"
    end)
    assert.equal(
      debug.getinfo(1, "S").short_src .. ":" .. line + 2 .. ": boom",
      entry.error_message
    )
  end)

  it("from a stack overflow is a failure as any other", function()
    local function deeper(n)
      return 1 + deeper(n + 1)
    end
    local entry = ended(function()
      return deeper(1)
    end)
    assert.is_truthy(entry.error_message:find("stack overflow", 1, true))
  end)

  it("names what is wrong when a body yields by itself", function()
    local entry = ended(function()
      coroutine.yield(1)
    end)
    assert.equal(
      "coroutine.yield was called in the task itself, where nobody would resume it; wait with "
        .. "astrum.sleep, astrum.await or astrum.all, and yield only in coroutines of your own",
      entry.error_message
    )
  end)
end)

describe("the traceback of a failure", function()
  local function fail_here()
    error("boom", 0)
  end

  it("shows the functions of the body that failed", function()
    local entry = ended(function()
      fail_here()
    end)
    assert.is_truthy(entry.error.traceback:find("upvalue 'fail_here'", 1, true))
  end)

  it("shows them also after a wait", function()
    local entry = ended(function()
      sleep(0)
      fail_here()
    end)
    assert.is_truthy(entry.error.traceback:find("upvalue 'fail_here'", 1, true))
  end)

  it("shows those of the member of astrum.all that failed, then those of the body", function()
    local function fail_in_member()
      sleep(0)
      fail_here()
    end
    local function wait_for_all()
      astrum.all { fail_in_member }
    end
    local entry = ended(function()
      wait_for_all()
    end)
    local traceback = entry.error.traceback
    local member = traceback:find("upvalue 'fail_here'", 1, true)
    local body = traceback:find("upvalue 'wait_for_all'", 1, true)
    assert.is_truthy(member)
    assert.is_truthy(body)
    assert.is_true(member < body)
  end)

  it("shows those of a member of a member first", function()
    local function inner()
      fail_here()
    end
    local function outer()
      astrum.all { inner }
    end
    local entry = ended(function()
      astrum.all { outer }
    end)
    local _, count = entry.error.traceback:gsub("stack traceback:", "")
    assert.equal(3, count)
    local first = "stack traceback:\n\t[C]: in function 'error'\n"
    assert.equal(first, entry.error.traceback:sub(1, #first))
  end)

  -- Members, whose tracebacks name what they call.
  local function member()
    fail_here()
  end

  local function other_member()
    member()
  end

  it("is not that of a member whose error was caught", function()
    local entry = ended(function()
      pcall(astrum.all, { member })
      error("another", 0)
    end)
    assert.equal("another", entry.error_message)
    assert.is_nil(entry.error.traceback:find("fail_here", 1, true))
  end)

  it("is not that of a member whose error was caught and equals a later one", function()
    local entry = ended(function()
      pcall(astrum.all, { member })
      error("boom", 0)
    end)
    assert.equal("boom", entry.error_message)
    assert.is_nil(entry.error.traceback:find("fail_here", 1, true))
  end)

  it("is not that of a member of another task that raised the same value", function()
    local report = flow.run(function(task)
      task("catches", function()
        pcall(astrum.all, { member })
      end)
      task("fails", {
        depends_on = { "catches" },
        run = function()
          error("boom", 0)
        end,
      })
    end)
    assert.is_nil(report:task("fails").error.traceback:find("fail_here", 1, true))
  end)

  it("is that of the group whose error it is when two groups fail with one value", function()
    local entry = ended(function()
      astrum.all {
        function()
          astrum.all { member }
        end,
        function()
          pcall(astrum.all, { other_member })
          sleep(0.001)
        end,
      }
    end)
    assert.is_truthy(entry.error.traceback:find("upvalue 'fail_here'", 1, true))
    assert.is_nil(entry.error.traceback:find("upvalue 'member'", 1, true))
  end)
end)

describe("a failure of a to-be-closed variable", function()
  it("does not replace the error of the body", function()
    local entry
    local written = flow.stderr_of(function()
      entry = ended(function()
        local _ <close> = setmetatable({}, {
          __close = function()
            error("while closing", 0)
          end,
        })
        error("boom", 0)
      end)
    end)
    assert.equal("boom", entry.error_message)
    assert.equal("astrum: error in the cleanup of a task: while closing\n", written)
  end)
end)
