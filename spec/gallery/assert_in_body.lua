local astrum = require "astrum"
local task = astrum.task

task("read", function()
  local file = assert(io.open("no-such-file.csv"))
  return file:read("a")
end)

astrum.run():assert()
