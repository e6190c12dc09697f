local astrum = require "astrum"
local task, F = astrum.task, astrum.F

task("fetch", function()
  return nil, "no network"
end)
task "parse" { inputs = { page = F.fetch }, run = function(page) end }
task "summary" {
  trigger = "all_done",
  inputs = { words = F.parse },
  run = function(words) end,
}

astrum.run():assert()
