local astrum = require "astrum"
local task = astrum.task

for i = 1, 14 do
  task("check_" .. i, function()
    error("check " .. i .. " failed")
  end)
end
for i = 1, 14 do
  task("publish_" .. i, { depends_on = { "check_1" }, run = function() end })
end

astrum.run({ config = { failure_mode = "keep_going" } }):assert()
