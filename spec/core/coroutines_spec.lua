-- Coroutines of the engine are values that a program can keep, resume and close. The cases that
-- would end the process are programs of their own.
local astrum = require "astrum"
local flow = require "spec.support.flow"
local program = require "spec.support.program"

local RESUMED <const> = "the task's coroutine was resumed by other code while it waited"

local function run(text)
  local file <close> = program.file('local astrum = require "astrum"\n' .. text)
  return program.run { file.path }
end

-- Four tasks that leave their coroutines in `kept`; a fifth gives some of them to the members of
-- astrum.all.
local KEEPERS <const> = [[
  local kept = {}
  for i = 1, 4 do
    astrum.task("keeper" .. i, function()
      kept[i] = coroutine.running()
      astrum.sleep(0.001)
    end)
  end
  astrum.task("all", {
    depends_on = { "keeper1", "keeper2", "keeper3", "keeper4" },
    run = function()
      local function member() return 2 end
      astrum.all { function() touch(kept[1]) end, member, member, member }
    end,
  })
  print(astrum.testing.run("default"):task("all").error_message)
]]

describe("a coroutine that a program has kept", function()
  for _, name in ipairs { "resume", "close" } do
    it("of an earlier task cannot make a member of astrum.all run twice by " .. name, function()
      local result = run("local touch = coroutine." .. name .. "\n" .. KEEPERS)
      assert.same({ code = 0, out = RESUMED .. "\n", err = "" }, result)
    end)

    it("of an on_done function can be given to " .. name .. " without harm", function()
      local result = run([[
        local kept
        astrum.task("a", function() return 1 end)
        astrum.task("b", { inputs = { a = astrum.F.a }, run = function(a) return a end })
        local scheduler = astrum.build_scheduler()
        local handle = scheduler:start()
        handle:on_done(function() kept = coroutine.running() end)
        handle:wait()
        for _ = 1, 10 do coroutine.]] .. name .. [[(kept) end
        print(scheduler:execute():result "b")
      ]])
      assert.same({ code = 0, out = "1\n", err = "" }, result)
    end)
  end

  it("fails the task that waits in it when it is closed", function()
    local waiting, go_on = {}, nil
    local pipe <close> = program.pipe()
    local report = flow.run(function(task)
      task("spawn", function()
        waiting[#waiting + 1] = coroutine.running()
        astrum.spawn { "cat", pipe.path }
      end)
      task("all", function()
        waiting[#waiting + 1] = coroutine.running()
        astrum.all {
          function()
            astrum.await(function(done)
              go_on = done
            end)
          end,
        }
      end)
      task("close", function()
        astrum.sleep(0)
        for _, coroutine_of_task in ipairs(waiting) do
          coroutine.close(coroutine_of_task)
        end
        assert(io.open(pipe.path, "w")):close()
        go_on()
      end)
    end, { failure_mode = "keep_going" })
    assert.equal(RESUMED, report:task("spawn").error_message)
    assert.equal(RESUMED, report:task("all").error_message)
  end)

  it("may turn the loop while other code runs it", function()
    if not package.searchpath("luv", package.cpath) then
      pending "luv is not installed"
    end
    local result = run [[
      local uv = require "luv"
      local kept, go_on
      astrum.task("wait", function()
        kept = coroutine.running()
        pcall(astrum.await, function(done) go_on = done end)
        local timer = uv.new_timer()
        timer:start(5, 0, function() timer:close() end)
        uv.run()
        return "ran"
      end)
      local handle = astrum.build_scheduler():start()
      uv.run "nowait"
      print(coroutine.resume(kept))
      go_on()
      print(handle:wait():task("wait").error_message)
    ]]
    assert.same({ code = 0, out = "true\tran\n" .. RESUMED .. "\n", err = "" }, result)
  end)
end)
