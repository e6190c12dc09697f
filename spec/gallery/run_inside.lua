local astrum = require "astrum"

local shop = astrum.SchedulerRegistry "shop"
shop:task("open", function()
  error("the key does not fit")
end)

astrum.task("morning", function()
  shop:run():assert()
end)

astrum.run():assert()
