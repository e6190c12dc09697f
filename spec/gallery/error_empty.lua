local astrum = require "astrum"
local task = astrum.task

task("fetch", function()
  error("", 0)
end)

astrum.run():assert()
