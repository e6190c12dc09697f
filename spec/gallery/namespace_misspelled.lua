local astrum = require "astrum"

astrum.namespace("checkout").task("pay", function() end)

astrum.run { namespace = "chekout" }
