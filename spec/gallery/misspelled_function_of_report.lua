local astrum = require "astrum"

astrum.task("fetch", function() end)
astrum.run():asert()
