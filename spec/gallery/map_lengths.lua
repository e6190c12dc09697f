local astrum = require "astrum"
local task = astrum.task

task "pair" {
  map = { left = { 1, 2, 3 }, right = { 1, 2 } },
  run = function(left, right) end,
}

astrum.run():assert()
