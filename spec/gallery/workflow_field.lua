local astrum = require "astrum"
local task, F = astrum.task, astrum.F

local payment = astrum.workflow "payment" {
  authorize = {
    run = function()
      return "ok"
    end,
  },
}
task "pay" { workflow = payment }
task "mail" { inputs = { code = F.pay.autorize }, run = function(code) end }

astrum.run()
