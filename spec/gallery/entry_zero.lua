local astrum = require "astrum"
local task, F = astrum.task, astrum.F

task("list", function()
  return { "a", "b" }
end)
task "first" { inputs = { item = F.list[0] }, run = function(item) end }

astrum.run():assert()
