local astrum = require "astrum"
local task = astrum.task

task("fetch", function()
  return "page"
end)

print(astrum.run():result("fetsh"))
