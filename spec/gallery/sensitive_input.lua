local astrum = require "astrum"
local task, F = astrum.task, astrum.F

task "log_in" {
  sensitive = true,
  run = function()
    return { user = "mia", token = "tok-1234567" }
  end,
}
task "fetch" {
  inputs = { user = F.log_in.user, header = F.log_in.token },
  run = function(user, header)
    error("401 for " .. header)
  end,
}

astrum.run():assert()
