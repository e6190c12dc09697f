-- Waits for somebody's answer. A task asks and is suspended until `decide` is
-- called from elsewhere: a web server, a message, here the main program. "No"
-- skips the payment; no answer in time goes to the manager.
--
--   astrum-lua examples/approval.lua

local astrum = require "astrum"
local task, F, Ref = astrum.task, astrum.F, astrum.Ref

-- Who waits for an answer: a function by order.
local asked = {}

-- Gives an answer; false when nobody waits for it.
local function decide(order, answer)
  local done = asked[order]
  asked[order] = nil
  if done then
    done(answer)
  end
  return done ~= nil
end

local ORDER <const> = astrum.param("order", { type = "string" })

task "ask" {
  timeout = 0.1,
  inputs = { order = ORDER },
  run = function(order)
    return astrum.await(function(done)
      asked[order] = done
      return function() -- the time is over
        asked[order] = nil
      end
    end)
  end,
}

task "pay" {
  inputs = { order = ORDER, answer = F.ask },
  when = function(answer)
    return answer.approved
  end,
  run = function(order, answer)
    return ("%s is paid, approved by %s"):format(order, answer.by)
  end,
}

task "tell_manager" {
  trigger = "one_failed",
  inputs = { order = ORDER },
  depends_on = { "ask" },
  run = function(order)
    return order .. " goes to the manager: nobody answered"
  end,
}

task "record" {
  trigger = "all_done",
  inputs = { paid = Ref("string?", F.pay), told = Ref("string?", F.tell_manager) },
  run = function(paid, told)
    return paid or told or "not approved"
  end,
}

local scheduler = astrum.build_scheduler()

local function process(id, answer)
  local run = scheduler:start { params = { order = id } }
  if answer then
    repeat
      astrum.sleep(0) -- the world turns until somebody answers
    until decide(id, answer)
  end
  local report = run:wait()
  print(("%s: %s"):format(report.execution_state, report:result("record")))
  return report
end

local approved = process("A-1", { approved = true, by = "Ann" })
local declined = process("A-2", { approved = false, by = "Ann" })
local unanswered = process("A-3")

assert(approved:task("pay").status == "completed")
assert(declined:task("pay").status == "skipped")
assert(unanswered:task("ask").status == "timed_out" and unanswered:ok())
assert(not decide("A-3", { approved = true }), "an answer that comes too late changed something")
