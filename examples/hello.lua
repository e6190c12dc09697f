-- The smallest workflow: two tasks run side by side, a third joins them.
--
--   astrum-lua examples/hello.lua

local astrum = require "astrum"
local task, F = astrum.task, astrum.F

task("greeting", function()
  return "Hello"
end)

task("name", function()
  astrum.sleep(0.01)
  return "world"
end)

task "message" {
  inputs = { greeting = F.greeting, name = F.name },
  run = function(greeting, name)
    return greeting .. ", " .. name .. "!"
  end,
}

local report = astrum.run { "message" }
local message = report:assert():result("message")

assert(message == "Hello, world!")
print(message)
