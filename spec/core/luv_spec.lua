-- luv and the engine share one loop. Each case is a program of its own, because what is loaded
-- first decides whose loop it is.
local program = require "spec.support.program"

if not package.searchpath("luv", package.cpath) then
  pending "luv is not installed"
  return
end

local FIRST <const> = {
  ["luv is loaded first"] = 'local uv = require "luv" local astrum = require "astrum"\n',
  ["luv is loaded before something runs"] = 'local astrum = require "astrum"\n'
    .. 'local uv = require "luv" astrum.sleep(0)\n',
  ["astrum is loaded first"] = 'local astrum = require "astrum" astrum.sleep(0)\n'
    .. 'local uv = require "luv"\n',
}

local function run(text)
  local file <close> = program.file(text)
  return program.run { file.path }
end

for order, beginning in pairs(FIRST) do
  describe("when " .. order, function()
    it("a task awaits a luv timer", function()
      local result = run(beginning .. [[
        astrum.task("wait", function()
          local timer = uv.new_timer()
          return astrum.await(function(done)
            timer:start(5, 0, function() timer:close() done("fired") end)
            return function() timer:close() end
          end)
        end)
        print(astrum.run():assert():result "wait")
      ]])
      assert.same({ code = 0, out = "fired\n", err = "" }, result)
    end)

    it("an error in a luv callback is told and ends nothing", function()
      local result = run(beginning .. [[
        local timer = uv.new_timer()
        timer:start(1, 0, function() timer:close() error("bad callback", 0) end)
        astrum.task("wait", function() astrum.sleep(0.004) return "goes on" end)
        print(astrum.run():assert():result "wait")
      ]])
      assert.equal(0, result.code)
      assert.equal("goes on\n", result.out)
      assert.equal("astrum: error in a luv callback: bad callback\n", result.err:match "^[^\n]*\n")
    end)

    it("a run goes on while the program turns luv's loop", function()
      local result = run(beginning .. [[
        astrum.task("wait", function() astrum.sleep(0.005) return "ran" end)
        local handle = astrum.build_scheduler():start()
        handle:on_done(function(report) print("done", report:result "wait") end)
        uv.run()
        print(handle:status().state)
      ]])
      assert.same({ code = 0, out = "done\tran\ncompleted\n", err = "" }, result)
    end)

    it("a task that turns luv's loop itself is cancelled when it has returned", function()
      local result = run(beginning .. [[
        local handle
        astrum.task("turn", function()
          local _ <close> = setmetatable({}, { __close = function() print "closed" end })
          handle:cancel()
          uv.run "nowait"
          uv.run()
          print "turned"
          astrum.sleep(0)
          print "not reached"
        end)
        handle = astrum.build_scheduler():start()
        print(handle:wait().execution_state)
      ]])
      assert.same({ code = 0, out = "turned\nclosed\ncancelled\n", err = "" }, result)
    end)

    it("a task that cancels its run and computes on does not go on after its next wait", function()
      local result = run(beginning .. [[
        local handle
        astrum.task("busy", function()
          handle:cancel()
          local now = uv.hrtime()
          repeat until uv.hrtime() - now > 5e6
          astrum.sleep(0)
          print "not reached"
        end)
        handle = astrum.build_scheduler():start()
        print(handle:wait().execution_state)
      ]])
      assert.same({ code = 0, out = "cancelled\n", err = "" }, result)
    end)

    it("the state can be closed with runs and luv handles alive", function()
      local result = run(beginning .. [[
        local timer = uv.new_timer()
        timer:start(1000, 0, function() end)
        astrum.task("wait", function()
          local _ <close> = setmetatable({}, { __close = function() print "closed" end })
          astrum.sleep(1)
        end)
        astrum.build_scheduler():start()
        astrum.sleep(0.001)
        os.exit(5, true)
      ]])
      assert.same({ code = 5, out = "closed\n", err = "" }, result)
    end)

    it("execute in a luv callback is refused", function()
      local result = run(beginning .. [[
        astrum.task("a", function() end)
        local scheduler = astrum.build_scheduler()
        local timer = uv.new_timer()
        timer:start(1, 0, function()
          timer:close()
          print(select(2, pcall(scheduler.execute, scheduler)).text)
        end)
        uv.run()
      ]])
      assert.equal(0, result.code)
      assert.equal(
        "execute: the event loop is turning, and a callback of it cannot wait; use "
          .. "scheduler:start() and handle:on_done(), or wait in a task\n",
        result.out
      )
    end)
  end)
end
