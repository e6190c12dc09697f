-- Runs every program of the documents and compares what it prints, and checks what else in them
-- could come to be wrong: generated pages, links, commands, names of files.

local documents = require "spec.support.documents"
local program = require "spec.support.program"

local BUILD <const> = program.path:match("^(.*)/bin/[^/]+$")

-- What a program prints must not depend on who runs it.
local ENVIRONMENT <const> = "-u FORCE_COLOR -u CLICOLOR_FORCE LC_ALL=C.UTF-8 COLUMNS=100"

-- The lines that the programs of the guide leave out, in one line, so that the numbers of the
-- others stay.
local FIRST_LINES <const> = 'local astrum = require "astrum" '
  .. "local task, F, Ref, T, sleep = astrum.task, astrum.F, astrum.Ref, astrum.T, astrum.sleep "

local PAGES <const> = {
  "README.md",
  "CONTRIBUTING.md",
  "docs/guide.md",
  "docs/testing.md",
  "docs/model.md",
  "docs/performance.md",
  "docs/report-json.md",
  "docs/from-astrum.md",
  "docs/api.md",
  "docs/c-api.md",
}

local function shell(command, directory)
  return program.run({ "-c", command }, { program = "sh", directory = directory })
end

-- Where an output tells times, times, columns and blanks at the ends of lines are not compared.
local function comparable(text, has_times)
  if has_times then
    text = text:gsub("%d+%.%d+ ?m?s%f[%W]", "TIME"):gsub("%-%-+", "--"):gsub(" +", " ")
  end
  return (text:gsub("[ \t]+\n", "\n"):gsub("\n*$", "\n"))
end

local function assert_prints(expected, result)
  local has_times = expected:find("%d ms") or expected:find("%d%.%d+s\n")
  assert.equal(comparable(expected, has_times), comparable(result.out .. result.err, has_times))
end

describe("the programs of the documents", function()
  local folder

  setup(function()
    folder = shell("mktemp -d").out:match("^[^\n]+")
  end)

  teardown(function()
    shell("rm -rf " .. program.quote(folder))
  end)

  local function write(name, text)
    local file <close> = assert(io.open(folder .. "/" .. name, "wb"))
    file:write(text)
  end

  local function run_lua(block)
    local is_whole = block.code:find('require "astrum"', 1, true)
    write("flow.lua", is_whole and block.code or FIRST_LINES .. block.code)
    return program.run({ "flow.lua" }, { env = ENVIRONMENT, directory = folder })
  end

  local function run_c(block)
    write("main.c", block.code)
    local cache = documents.read(BUILD .. "/CMakeCache.txt")
    local sanitizers = cache:match("\nASTRUM_SANITIZE:STRING=([^\n]+)")
    local command = [[
      cc -std=c11 -Wall -Wextra -Wpedantic -Werror %s -Icore/include \
        $(pkg-config --cflags lua5.4) %s/main.c %s/libastrum.a \
        $(pkg-config --libs lua5.4 libuv) -o %s/main || exit
      LUA_PATH="lua/?.lua;lua/?/init.lua" LUA_CPATH=%s"/lua/?.so" %s/main]]
    local flags = sanitizers and "-fsanitize=" .. sanitizers or ""
    local place, build = program.quote(folder), program.quote(BUILD)
    return shell(command:format(flags, place, build, place, build, place))
  end

  -- The input is a pipe here, so what is typed after a prompt is not seen.
  local function run_console(block)
    local typed, seen = {}, {}
    local command, shown = block.code:match("^%$ astrum%-lua ([^\n]*)\n[^\n]*\n(.*)$")
    for line in shown:gmatch("[^\n]*\n") do
      local prompt, text = line:match("^(>>? )(.*)$")
      typed[#typed + 1] = text
      seen[#seen + 1] = prompt or line
    end
    block.output = table.concat(seen) .. "> \n"
    local words = {}
    for word in command:gmatch("%S+") do
      words[#words + 1] = word
    end
    local result = program.run(words, { input = table.concat(typed), env = ENVIRONMENT })
    result.out = result.out:gsub("^[^\n]*\n", "")
    return result
  end

  -- Commands that are about the program above them.
  local function run_sh(block)
    local command = block.code:gsub("%f[%C]astrum%-lua ", program.quote(program.path) .. " ")
    local words = { "-c", "exec 2>&1\n" .. command }
    local result = program.run(words, { program = "sh", env = ENVIRONMENT, directory = folder })
    result.out = result.out:gsub(program.path:gsub("%p", "%%%0"), "astrum-lua")
    return result
  end

  local RUN <const> = { lua = run_lua, c = run_c, console = run_console, sh = run_sh }

  local with_programs <const> =
    { "README.md", "docs/guide.md", "docs/testing.md", "docs/from-astrum.md" }
  for _, page in ipairs(with_programs) do
    local blocks = documents.blocks(page)
    for i, block in ipairs(blocks) do
      local run = RUN[block.kind]
      if block.kind == "sh" and not block.code:find "^astrum%-lua " then
        run = nil
      elseif blocks[i + 1] and blocks[i + 1].code:find "^astrum%-lua .*flow.lua" then
        block.is_declaration = block.output == nil
        block.output = block.output or ""
      end
      if run then
        local name = ("%s, line %d (%s)"):format(page, block.line, block.heading)
        it(("print what is written below them: %s"):format(name), function()
          local result = run(block)
          assert.is_string(block.output, "no text block follows")
          if block.is_declaration then
            result.err = result.err:gsub("^[^\n]* declares %d+ tasks? and runs none:[^\n]*\n", "")
          end
          assert_prints(block.output, result)
          assert.equal(0, result.code)
        end)
      end
    end
  end

  it("begin in README.md with one of at most 20 lines", function()
    local first = documents.blocks("README.md")[1]
    assert.equal("lua", first.kind)
    local _, lines = first.code:gsub("\n", "")
    assert.is_true(lines <= 20)
  end)
end)

describe("the generated documents", function()
  it("are up to date", function()
    local result = program.run { "scripts/docs.lua", "check" }
    assert.equal("", result.err)
    assert.equal(0, result.code)
  end)

  it("have something to say of every public function and parameter", function()
    local result = program.run { "scripts/check-annotations.lua" }
    assert.equal("", result.err)
    assert.equal(0, result.code)
  end)

  it("name every function of astrum.h", function()
    local page = documents.read("docs/c-api.md")
    for name in documents.read("core/include/astrum.h"):gmatch("\nASTRUM_API [^;(]-([%w_]+)%(") do
      assert.is_truthy(page:find("### [^\n]*`" .. name .. "`"), name)
    end
  end)
end)

describe("the documents", function()
  it("link to files and headings that are there", function()
    local broken = {}
    for _, page in ipairs(PAGES) do
      for _, link in ipairs(documents.links(page)) do
        local file = io.open(link.file)
        if file then
          file:close()
        end
        if not file or link.anchor and not documents.anchors(link.file)[link.anchor] then
          broken[#broken + 1] = ("%s: %s#%s"):format(page, link.file, link.anchor or "")
        end
      end
    end
    assert.same({}, broken)
  end)

  it("name commands of make that are there", function()
    local makefile = documents.read("Makefile")
    for _, page in ipairs { "README.md", "CONTRIBUTING.md" } do
      for _, block in ipairs(documents.blocks(page)) do
        for target in ("\n" .. block.code):gmatch("\n%l* *make (%l+)") do
          assert.is_truthy(makefile:find("\n" .. target .. ":", 1, true), target)
        end
      end
    end
  end)
end)

describe("the map of files in CONTRIBUTING.md", function()
  local named, folders = {}, {}

  setup(function()
    for cell in documents.read("CONTRIBUTING.md"):gmatch("\n| (`[^|]*`) |") do
      local folder
      for path in cell:gmatch("`([^`]+)`") do
        folder = path:match("^(.*)/[^/]+$") or folder
        path = (path:find("/.") or not folder) and path or folder .. "/" .. path
        named[#named + 1] = path
        folders[#folders + 1] = path:match("^.*/$")
      end
    end
  end)

  local function exists(path)
    return shell("test -e " .. program.quote(path)).code == 0
  end

  it("names files that are there", function()
    assert.is_true(#named > 40)
    for _, path in ipairs(named) do
      assert.is_true(exists(path), path)
    end
  end)

  it("names every source file", function()
    local list = table.concat(named, "\n") .. "\n"
    local command = "find core/src bindings lua -name '*.c' -o -name '*.lua'"
    for path in shell(command).out:gmatch("[^\n]+") do
      local known = list:find(path .. "\n", 1, true) ~= nil
      for _, folder in ipairs(folders) do
        known = known or path:sub(1, #folder) == folder
      end
      assert.is_true(known, path)
    end
  end)
end)
