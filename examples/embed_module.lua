-- astrum as a module inside a program of your own, under stock lua5.4: a
-- registry of its own, one scheduler, as many runs as there is work.
--
--   make
--   export LUA_PATH="lua/?.lua;lua/?/init.lua;;" LUA_CPATH="build/lua/?.so;;"
--   lua5.4 examples/embed_module.lua

local HELP <const> = [[
embed_module: cannot load the module astrum. Install it with `make install`,
or build it and, at the top of its source tree, tell Lua where it is:

  make
  export LUA_PATH="lua/?.lua;lua/?/init.lua;;" LUA_CPATH="build/lua/?.so;;"
  lua5.4 examples/embed_module.lua
]]

local found, astrum = pcall(require, "astrum")
if not found then
  io.stderr:write(tostring(astrum), "\n\n", HELP)
  os.exit(1)
end

local F = astrum.F

-- A registry that only this program sees: it is in no global namespace.
local registry = astrum.SchedulerRegistry("text_statistics")
local task = registry.task
local current_text

task "split_words" {
  inputs = {
    text = function() -- called anew in every run
      return current_text
    end,
  },
  run = function(text)
    local words = {}
    for word in text:lower():gmatch("%a+") do
      table.insert(words, word)
    end
    return words
  end,
}

task "count_words" {
  inputs = { words = F.split_words },
  run = function(words)
    return #words
  end,
}

task "find_longest" {
  inputs = { words = F.split_words },
  run = function(words)
    local longest = ""
    for _, word in ipairs(words) do
      longest = #word > #longest and word or longest
    end
    return longest
  end,
}

-- Inputs in an array go to the parameters by position, so that string.format
-- and other C functions can be a body.
task "summarize" {
  inputs = { "%d words, the longest is '%s'", F.count_words, F.find_longest },
  run = string.format,
}

-- Built once, run as often as wanted.
local scheduler = registry:build_scheduler()

local function summarize(text)
  current_text = text
  return scheduler:execute():assert():result("summarize")
end

local first = summarize("the quick brown fox jumps")
local second = summarize("declare tasks and let the engine order them")
print(first)
print(second)

assert(first == "5 words, the longest is 'quick'")
assert(second == "8 words, the longest is 'declare'")
