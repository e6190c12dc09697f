-- Gets data from services that fail. A price is fetched until it comes: the
-- waits between attempts grow, an attempt that hangs is given up. The exchange
-- rate will not come, so asking again is no use; the stored one is taken
-- instead, and the run is saved.
--
-- The services are a shell script: it fails, hangs or answers as the number of
-- the request says.
--
--   astrum-lua examples/resilient_fetch.lua

local astrum = require "astrum"
local task, F, Ref = astrum.task, astrum.F, astrum.Ref

local SERVICE <const> = [[
  case $1-$2 in
    price-1) echo 'HTTP 503' >&2; exit 1;;
    price-2) exec sleep 60;;
    price-*) echo 1200;;
    rate-*) echo 'HTTP 404' >&2; exit 1;;
  esac
]]

-- What a service answers, or nil and its message.
local function request(service, attempt)
  local answer = astrum.spawn { "sh", "-c", SERVICE, "service", service, tostring(attempt) }
  if answer.code ~= 0 then
    return nil, (answer.stderr:gsub("\n$", ""))
  end
  return tonumber(answer.stdout)
end

-- 4xx: the request is wrong and will stay so.
local function may_pass(err)
  return not tostring(err):find("HTTP 4%d%d")
end

task("fetch_price", function(ctx)
  return request("price", ctx.attempt)
end)

task("fetch_rate", function(ctx)
  return request("rate", ctx.attempt)
end)

-- Runs only when fetch_rate has failed; its success makes up for the failure.
task "stored_rate" {
  trigger = "one_failed",
  depends_on = { "fetch_rate" },
  run = function()
    return 0.9
  end,
}

-- Runs as soon as one of the two is there. The other one is nil.
task "rate" {
  trigger = "one_success",
  inputs = { fresh = Ref("number?", F.fetch_rate), stored = Ref("number?", F.stored_rate) },
  run = function(fresh, stored)
    return fresh or stored
  end,
}

task "convert" {
  inputs = { price = Ref("integer", F.fetch_price), rate = Ref("number", F.rate) },
  run = function(price, rate)
    return price * rate
  end,
}

local report = astrum.run {
  config = {
    defaults = {
      timeout = 0.4,
      retry = { max = 3, delay = 0.005, backoff = 2, max_delay = 0.02, on = may_pass },
    },
  },
}
print(("state=%s, converted=%.0f"):format(report.execution_state, report:result("convert")))
for _, name in ipairs { "fetch_price", "fetch_rate" } do
  for _, attempt in ipairs(report:task(name).attempt_statistics) do
    local what = attempt.error_message or attempt.status
    print(("%s, attempt %d: %s"):format(name, attempt.attempt_number, what))
  end
end

assert(report:ok() and report:result("convert") == 1080.0)
assert(report:task("fetch_price").attempt_count == 3)
assert(report:task("fetch_rate").attempt_count == 1, "an error that stays was retried")
