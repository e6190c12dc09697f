local astrum = require "astrum"
local task = astrum.task

task("wait", function()
  astrum.await(function(done) end)
end)
task "after" { depends_on = { "wait" }, run = function() end }

astrum.run():assert()
