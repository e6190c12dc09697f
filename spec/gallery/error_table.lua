local astrum = require "astrum"
local task = astrum.task

task("fetch", function()
  error { code = 503, body = "busy" }
end)

astrum.run():assert()
