local astrum = require "astrum"
local flow = require "spec.support.flow"
local places = require "spec.support.places"

-- Calls a function in a later turn of the loop, while something else waits.
local function later(fn)
  flow
    .build(function(task)
      task("later", function()
        astrum.sleep(0.001)
        fn()
      end)
    end)
    :start()
end

describe("astrum.await", function()
  for _, place in ipairs(places.both) do
    describe(place.name, function()
      local run = place.run

      it("returns what done was given before the function returned", function()
        local value = run(function()
          return astrum.await(function(done)
            done("at once")
          end)
        end)
        assert.equal("at once", value)
      end)

      it("returns what done is given later", function()
        local value = run(function()
          return astrum.await(function(done)
            later(function()
              done("later")
            end)
          end)
        end)
        assert.equal("later", value)
      end)

      it("keeps nil among the values, and how many there are", function()
        local values = run(function()
          return table.pack(astrum.await(function(done)
            done(nil, 2, nil)
          end))
        end)
        assert.same({ n = 3, [2] = 2 }, values)
      end)

      it("returns nothing when done is given nothing", function()
        local count = run(function()
          return select(
            "#",
            astrum.await(function(done)
              done()
            end)
          )
        end)
        assert.equal(0, count)
      end)

      it("ignores a second done", function()
        local kept
        local value = run(function()
          return astrum.await(function(done)
            kept = done
            done(1)
            done(2)
          end)
        end)
        kept(3)
        assert.equal(1, value)
      end)

      it("ignores a second done also before it goes on", function()
        local value = run(function()
          return astrum.await(function(done)
            later(function()
              done(1)
              done(2)
            end)
          end)
        end)
        assert.equal(1, value)
      end)

      it("does not call the cleanup when done came", function()
        local calls = 0
        run(function()
          return astrum.await(function(done)
            later(done)
            return function()
              calls = calls + 1
            end
          end)
        end)
        assert.equal(0, calls)
      end)

      it("raises what the function raises", function()
        local mark = {}
        assert.equal(
          mark,
          flow.raised(run, function()
            astrum.await(function()
              error(mark)
            end)
          end)
        )
      end)

      it("may be waited in by the function it is given", function()
        local value = run(function()
          return astrum.await(function(done)
            astrum.sleep(0)
            done(astrum.await(function(inner)
              inner(4)
            end))
          end)
        end)
        assert.equal(4, value)
      end)

      it("refuses what is not a function", function()
        local message = flow.raised(run, function()
          local _ = astrum.await(5) and nil
        end)
        assert.equal(
          "await: a function(done) is wanted, got number",
          (message:gsub("^[^ ]*:%d+: ", ""))
        )
      end)

      it("refuses a function that returns something else than a cleanup", function()
        local message = flow.raised(run, function()
          astrum.await(function()
            return "cleanup"
          end)
        end)
        assert.equal(
          "await: the function must return nothing or a cleanup function, got string",
          (message:gsub("^[^ ]*:%d+: ", ""))
        )
      end)

      it("takes many values", function()
        local values = {}
        for i = 1, 1000 do
          values[i] = i
        end
        local count = run(function()
          return select(
            "#",
            astrum.await(function(done)
              done(table.unpack(values))
            end)
          )
        end)
        assert.equal(1000, count)
      end)
    end)
  end

  it("that nothing can end raises in the main program, after its cleanup", function()
    local calls = 0
    local message = flow.raised(astrum.await, function()
      return function()
        calls = calls + 1
      end
    end)
    assert.equal("await: nothing is left that could end the wait", message)
    assert.equal(1, calls)
  end)

  it("calls the cleanup once when it is cancelled, and done means nothing then", function()
    local list, kept = {}, nil
    local handle = flow
      .build(function(task)
        task("waits", function()
          astrum.await(function(done)
            kept = done
            return function()
              list[#list + 1] = "cleanup"
              done("from the cleanup")
            end
          end)
          list[#list + 1] = "went on"
        end)
      end)
      :start()
    astrum.sleep(0.001)
    handle:cancel()
    handle:wait()
    kept("late")
    astrum.sleep(0)
    assert.same({ "cleanup" }, list)
  end)

  it("does not call the cleanup when done came in the same turn as the cancel", function()
    local calls, kept = 0, nil
    local handle = flow
      .build(function(task)
        task("waits", function()
          astrum.await(function(done)
            kept = done
            return function()
              calls = calls + 1
            end
          end)
        end)
      end)
      :start()
    astrum.sleep(0.001)
    kept()
    handle:cancel()
    handle:wait()
    assert.equal(0, calls)
  end)

  it("refuses a cleanup that waits, and ends the task all the same", function()
    local report
    local written = flow.stderr_of(function()
      local handle = flow
        .load([[
          task("waits", function()
            astrum.await(function()
              return function() sleep(0) end
            end)
          end)]])
        :build_scheduler({})
        :start()
      astrum.sleep(0.001)
      handle:cancel()
      report = handle:wait()
    end)
    assert.equal("cancelled", report:task("waits").status)
    assert.equal(
      "astrum: error in the cleanup of an await: flow.lua:3: sleep: cleanup cannot wait, "
        .. "the task is over\n",
      written
    )
  end)
end)
