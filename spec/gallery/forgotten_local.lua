local astrum = require "astrum"

task("fetch", function() end)
