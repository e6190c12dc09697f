local astrum = require "astrum"
local task = astrum.task

local function depth(n)
  return 1 + depth(n + 1)
end

task("measure", function()
  return depth(0)
end)

astrum.run():assert()
