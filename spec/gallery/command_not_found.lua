local astrum = require "astrum"
local task = astrum.task

task("convert", function()
  return astrum.spawn { "convrt", "a.png", "b.png" }
end)

astrum.run():assert()
