local astrum = require "astrum"
local task = astrum.task

task("outer", function()
  astrum.workflow "inner" { a = function() end }:run { config = { concurrency_limit = 2 } }
end)

astrum.run():assert()
