local astrum = require "astrum"

astrum.task("wait", function()
  astrum.slep(1)
end)

astrum.run():assert()
