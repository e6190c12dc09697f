local astrum = require "astrum"

astrum.taks("fetch", function() end)
