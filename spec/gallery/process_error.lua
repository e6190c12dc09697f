local astrum = require "astrum"
local task = astrum.task

local function parse(text)
  error("line 7: " .. text)
end

task "parse" {
  executor = "process",
  inputs = { text = "no comma" },
  run = function(text)
    parse(text)
  end,
}

astrum.run():assert()
