local astrum = require "astrum"

astrum.task("around", function()
  return astrum.run()
end)

astrum.run():assert()
