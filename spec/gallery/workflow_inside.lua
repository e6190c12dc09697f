local astrum = require "astrum"
local task = astrum.task

local payment = astrum.workflow "payment" {
  authorize = {
    inputs = { card = astrum.param("card") },
    run = function(card)
      error("card " .. card .. " was declined")
    end,
  },
  capture = { depends_on = { "authorize" }, run = function() end },
}

task "pay" { workflow = payment, inputs = { card = "4242" } }
task "ship" { depends_on = { "pay" }, run = function() end }

astrum.run():assert()
