local astrum = require "astrum"
local task = astrum.task

task("print", function()
  return nil, "no more paper"
end)

astrum.run():assert()
