local astrum = require "astrum"
local task = astrum.task

local function fetch()
  return "page"
end

task "fetch" { run = fetch() }
