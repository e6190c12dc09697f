-- Mistakes that people make, and all that the command line tells: spec/gallery has a program with
-- each mistake, and beside it the command, what it writes on standard error, and its exit code.
--
-- ASTRUM_GALLERY=write writes the texts anew. Then read them: every one says what is wrong, where,
-- and what to do.

local program = require "spec.support.program"

local FOLDER <const> = "spec/gallery/"
local WRITES <const> = os.getenv "ASTRUM_GALLERY" == "write"

-- What is printed must not depend on who runs it.
local ENVIRONMENT <const> = "-u FORCE_COLOR -u CLICOLOR_FORCE LC_ALL=C.UTF-8 COLUMNS=100"

local function read(path)
  local file <close> = assert(io.open(path, "rb"))
  return file:read "a"
end

local function write(path, text)
  local file <close> = assert(io.open(path, "wb"))
  file:write(text)
end

local function names()
  local list = {}
  local pipe <close> = assert(io.popen("ls " .. FOLDER .. "*.txt"))
  for path in pipe:lines() do
    list[#list + 1] = path:match "([^/]+)%.txt$"
  end
  return list
end

-- What the command tells on standard error, with what no two runs share replaced.
local function transcript(command)
  local words = {}
  for word in command:gmatch "%S+" do
    words[#words + 1] = word
  end
  table.remove(words, 1)
  local result = program.run(words, { directory = FOLDER, env = ENVIRONMENT })
  local told = result.err:gsub(program.path:gsub("%p", "%%%0"), "astrum-lua")
  told = told:gsub("%d+%.%d+s%f[%W]", "TIME")
  return ("$ %s\n%s(exit code %d)\n"):format(command, told, result.code)
end

describe("the command line tells all that is to be told of", function()
  local list = names()

  for _, name in ipairs(list) do
    it("the mistake " .. name, function()
      local path = FOLDER .. name .. ".txt"
      local golden = read(path)
      local told = transcript(golden:match "^%$ ([^\n]*)")
      if WRITES then
        write(path, told)
      end
      assert.equal(WRITES and told or golden, told)
    end)
  end

  it("at least forty mistakes", function()
    assert.is_true(#list >= 40)
  end)
end)
