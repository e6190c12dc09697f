local astrum = require "astrum"

astrum.task("load", function()
  return 1
end)

astrum.run()

astrum.task("save", function()
  return 2
end)
