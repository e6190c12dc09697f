local astrum = require "astrum"

astrum.run()
