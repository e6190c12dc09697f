-- Counts primes on several cores. The counting is a workflow of its own, which
-- two tasks use with different params. Its parts run in child processes, so
-- that they compute at the same time and one that takes too long is ended.
--
--   astrum-lua examples/primes.lua

local astrum = require "astrum"
local task, F = astrum.task, astrum.F

local function is_prime(number)
  for divisor = 2, math.floor(number ^ 0.5) do
    if number % divisor == 0 then
      return false
    end
  end
  return number > 1
end

local count_primes = astrum.workflow "count_primes" {
  split = {
    inputs = {
      limit = astrum.param("limit", { type = "integer" }),
      parts = astrum.param("parts", { type = "integer", default = 4 }),
    },
    run = function(limit, parts)
      local ranges = {}
      for i = 1, parts do
        ranges[i] = { first = limit * (i - 1) // parts + 1, last = limit * i // parts }
      end
      return ranges
    end,
  },

  -- The body travels to the child process with the function it uses.
  count = {
    map = { range = F.split },
    executor = "process",
    max_concurrency = 2,
    timeout = 30,
    run = function(range)
      local count = 0
      for number = range.first, range.last do
        count = count + (is_prime(number) and 1 or 0)
      end
      return count
    end,
  },

  sum = {
    inputs = { counts = F.count },
    run = function(counts)
      local sum = 0
      for _, count in ipairs(counts) do
        sum = sum + count
      end
      return sum
    end,
  },
}

task "small" { workflow = count_primes, inputs = { limit = 100, parts = 1 } }
task "large" { workflow = count_primes, inputs = { limit = 20000 } }

task "compare" {
  inputs = { small = F.small.sum, large = F.large.sum },
  run = function(small, large)
    return ("%d primes up to 100, %d up to 20000"):format(small, large)
  end,
}

local report = astrum.run():assert()
print(report:result("compare"))
print(("%d child processes"):format(#report:task("large").report:task("count").items + 1))
assert(report:result("large").sum == 2262)
