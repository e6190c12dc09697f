local astrum = require "astrum"

local task, T = astrum.task, astrum.T

task "load" {
  outputs = { T("price", "total", "totl") },
  run = function()
    return { total = 1 }
  end,
}
task "price" { run = function(total) end }

astrum.run()
