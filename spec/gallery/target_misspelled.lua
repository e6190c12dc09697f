local astrum = require "astrum"
local task = astrum.task

task("bake_bread", function() end)
task("brew_coffee", function() end)

astrum.run { "brew_cofee" }
