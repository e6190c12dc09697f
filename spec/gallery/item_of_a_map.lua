local astrum = require "astrum"
local task, F = astrum.task, astrum.F

task("list_files", function()
  return { "a.png", "b.png", "c.txt", "d.png" }
end)
task "resize" {
  map = { file = F.list_files },
  inputs = { width = 80 },
  run = function(file, width)
    if not file:find("%.png$") then
      error(file .. " is no picture")
    end
  end,
}
task "publish" { inputs = { pictures = F.resize }, run = function(pictures) end }

astrum.run():assert()
