local astrum = require "astrum"
local flow = require "spec.support.flow"
local places = require "spec.support.places"

local function value_after(value, seconds)
  return function()
    astrum.sleep(seconds)
    return value
  end
end

describe("astrum.all", function()
  for _, place in ipairs(places.both) do
    describe(place.name, function()
      local run = place.run

      it("returns the results in the order of the list, with their number", function()
        local list = run(function()
          return astrum.all({
            value_after("a", 0.002),
            value_after("b", 0),
            value_after("c", 0.001),
          })
        end)
        assert.same({ n = 3, "a", "b", "c" }, list)
      end)

      it("keeps the places of nil results", function()
        local list = run(function()
          return astrum.all({ value_after(nil, 0), value_after(2, 0), function() end })
        end)
        assert.same({ n = 3, [2] = 2 }, list)
      end)

      it("takes the first value of each", function()
        local list = run(function()
          return astrum.all({
            function()
              return 1, 2, 3
            end,
          })
        end)
        assert.same({ n = 1, 1 }, list)
      end)

      it("of nothing is an empty list", function()
        assert.same(
          { n = 0 },
          run(function()
            return astrum.all({})
          end)
        )
      end)

      it("runs them at once", function()
        local list = {}
        run(function()
          local function member(name)
            return function()
              list[#list + 1] = name .. "1"
              astrum.sleep(0)
              list[#list + 1] = name .. "2"
            end
          end
          astrum.all({ member("a"), member("b") })
        end)
        assert.same({ "a1", "b1", "a2", "b2" }, list)
      end)

      it("may stand inside another", function()
        local list = run(function()
          return astrum.all({
            function()
              return astrum.all({ value_after(1, 0), value_after(2, 0.001) })
            end,
            value_after(3, 0),
          })
        end)
        assert.same({ n = 2, { n = 2, 1, 2 }, 3 }, list)
      end)

      it("raises the first error and cancels the others", function()
        local mark, list = {}, {}
        local raised = flow.raised(run, function()
          astrum.all({
            function()
              local _ <close> = flow.closing(list, "closed")
              astrum.sleep(10)
              list[#list + 1] = "went on"
            end,
            function()
              astrum.sleep(0)
              error(mark)
            end,
            function()
              astrum.sleep(0.001)
              list[#list + 1] = "second error"
              error("second")
            end,
          })
        end)
        assert.equal(mark, raised)
        astrum.sleep(0.002)
        assert.same({ "closed" }, list)
      end)

      it("takes nil and an error that a member returns as an error", function()
        local raised = flow.raised(run, function()
          astrum.all({
            function()
              return nil, "no such order"
            end,
          })
        end)
        assert.equal("no such order", raised)
      end)

      it("goes on after an error that is caught", function()
        local list = run(function()
          assert(not pcall(astrum.all, { error }))
          return astrum.all({ value_after(1, 0) })
        end)
        assert.same({ n = 1, 1 }, list)
      end)

      it("cancels the members of a member", function()
        local list = {}
        pcall(run, function()
          astrum.all({
            function()
              astrum.all({
                function()
                  local _ <close> = flow.closing(list, "inner closed")
                  astrum.sleep(10)
                end,
              })
            end,
            function()
              astrum.sleep(0.001)
              error("boom")
            end,
          })
        end)
        assert.same({ "inner closed" }, list)
      end)

      it("takes ten thousand members", function()
        local list = run(function()
          local members = {}
          for i = 1, 10000 do
            members[i] = function()
              astrum.sleep(0)
              return i
            end
          end
          return astrum.all(members)
        end)
        assert.equal(10000, list.n)
        assert.equal(1, list[1])
        assert.equal(10000, list[10000])
      end)

      it("cancels ten thousand members", function()
        local closed = 0
        local raised = flow.raised(run, function()
          local members = {}
          for i = 1, 10000 do
            members[i] = function()
              local _ <close> = setmetatable({}, {
                __close = function()
                  closed = closed + 1
                end,
              })
              astrum.sleep(10)
            end
          end
          members[10001] = function()
            astrum.sleep(0)
            error("boom", 0)
          end
          astrum.all(members)
        end)
        assert.equal("boom", raised)
        assert.equal(10000, closed)
      end)

      for name, case in pairs({
        ["what is not a list"] = {
          "all: a list of functions is wanted, as in all { f, g }, got number",
          5,
        },
        ["an entry that is no function"] = {
          "all: entry 2 of the list must be a function, got table",
          { print, {} },
        },
        ["a hole"] = {
          "all: entry 2 of the list must be a function, got nil",
          { print, nil, print },
        },
        ["a name"] = {
          "all: the functions must stand at 1, 2, 3 and so on, but the list has the key 'first'",
          { print, first = print },
        },
        ["a place far away"] = {
          "all: the functions must stand at 1, 2, 3 and so on, but the list has the key '7'",
          { [7] = print },
        },
      }) do
        it("refuses " .. name, function()
          local message = flow.raised(run, function()
            local list = astrum.all(case[2])
            return list
          end)
          assert.equal(case[1], (message:gsub("^[^ ]*:%d+: ", "")))
        end)
      end
    end)
  end

  it("takes a list with its length as table.pack makes it", function()
    local list = astrum.all(table.pack(value_after(1, 0)))
    assert.same({ n = 1, 1 }, list)
  end)

  it("in the main program raises when nothing can end it, and closes its members", function()
    local list = {}
    local message = flow.raised(astrum.all, {
      function()
        local _ <close> = flow.closing(list, "closed")
        astrum.await(function() end)
      end,
    })
    assert.equal("all: nothing is left that could end the wait", message)
    assert.same({ "closed" }, list)
  end)

  it("of a task that is cancelled cancels its members", function()
    local list = {}
    local handle = flow
      .build(function(task)
        task("group", function()
          local _ <close> = flow.closing(list, "body")
          astrum.all({
            function()
              local _ <close> = flow.closing(list, "member")
              astrum.sleep(10)
            end,
          })
        end)
      end)
      :start()
    astrum.sleep(0.001)
    handle:cancel()
    handle:wait()
    assert.same({ "member", "body" }, list)
  end)
end)
