local astrum = require "astrum"
local core = require "astrum.core"
local flow = require "spec.support.flow"
local places = require "spec.support.places"
local program = require "spec.support.program"

describe("astrum.sleep", function()
  for _, place in ipairs(places.both) do
    describe(place.name, function()
      local run = place.run

      it("takes at least the time it is given", function()
        local began = core.clock()
        run(function()
          astrum.sleep(0.003)
        end)
        assert.is_true(core.clock() - began >= 0.003)
      end)

      it("returns nothing", function()
        local count = run(function()
          return select("#", astrum.sleep(0))
        end)
        assert.equal(0, count)
      end)

      for name, case in pairs({
        ["no seconds"] = { n = 0, "sleep: the seconds must be a number, got no value" },
        ["a text"] = { n = 1, "sleep: the seconds must be a number, got string", "1" },
        ["a negative time"] = { n = 1, "sleep: the seconds must be 0 or more, got -1", -1 },
      }) do
        it("refuses " .. name, function()
          local message = flow.raised(run, function()
            astrum.sleep(table.unpack(case, 2, case.n + 1))
          end)
          assert.equal(case[1], (message:gsub("^[^ ]*:%d+: ", "")))
        end)
      end

      it("refuses what is not a number", function()
        assert.is_false(pcall(run, function()
          astrum.sleep(0 / 0)
        end))
      end)
    end)
  end

  it("lets other tasks run, also with 0 seconds", function()
    local list = {}
    flow.run(function(task)
      for _, name in ipairs({ "a", "b" }) do
        task(name, function()
          list[#list + 1] = name .. "1"
          astrum.sleep(0)
          list[#list + 1] = name .. "2"
        end)
      end
    end)
    assert.same({ "a1", "b1", "a2", "b2" }, list)
  end)

  it("wakes in the order of the times, not of the calls", function()
    local list = {}
    flow.run(function(task)
      for name, seconds in pairs({ late = 0.006, early = 0.001, middle = 0.003 }) do
        task(name, function()
          astrum.sleep(seconds)
          list[#list + 1] = name
        end)
      end
    end)
    assert.same({ "early", "middle", "late" }, list)
  end)

  it("without an end can be cancelled", function()
    local handle = flow
      .build(function(task)
        task("forever", function()
          astrum.sleep(math.huge)
        end)
      end)
      :start()
    astrum.sleep(0)
    handle:cancel()
    assert.equal("cancelled", handle:wait().execution_state)
  end)
end)

describe("a wait for which there are no descriptors", function()
  for _, count in ipairs { 5, 7 } do
    it("is an error and does not end the process at a limit of " .. count, function()
      local code = [[print(select(2, pcall(require("astrum").sleep, 0)))]]
      local command = "ulimit -n %d; exec %s -e %s"
      command = command:format(count, program.quote(program.path), program.quote(code))
      local result = program.run({ "-c", command }, { program = "sh" })
      local text = "astrum: cannot make an event loop: the operating system refused\n"
      assert.same({ code = 0, out = text, err = "" }, result)
    end)
  end
end)
