local astrum = require "astrum"
local task, F = astrum.task, astrum.F

local Point = {}
Point.__index = Point

function Point:length()
  return math.sqrt(self.x ^ 2 + self.y ^ 2)
end

task "load" {
  run = function()
    return { point = setmetatable({ x = 3, y = 4 }, Point) }
  end,
}

task "measure" {
  executor = "thread",
  retry = { max = 2, delay = 1 },
  inputs = { point = F.load.point },
  run = function(point)
    return point:length()
  end,
}

astrum.run():assert()
