local astrum = require "astrum"
local task = astrum.task

task("fetch", function()
  error()
end)

astrum.run():assert()
