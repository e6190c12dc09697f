local astrum = require "astrum"
local task = astrum.task

task "greet" {
  description = "say hello",
  inputs = {
    name = astrum.param("name", { default = "world" }),
    times = astrum.param("times", { type = "integer", default = 1 }),
  },
  run = function(name, times)
    if name == "nobody" then
      error("nobody is there")
    end
  end,
}
task "wave" { depends_on = { "greet" }, run = function() end }
