-- The words of the command line, what is wrong with them, and completions for shells.

local program = require "spec.support.program"
local parse = require("astrum.command").parse

local USAGE <const> = "usage: astrum-lua [options] [script [args]]\n"
  .. "try 'astrum-lua --help' for the list of options\n"

describe("the command line", function()
  it("ends its options at the script", function()
    local command = parse { "--run", "-k", "flow.lua", "--list", "-j" }
    assert.equal(3, command.script)
    assert.same({}, command.looks)
    assert.is_true(command.run)
    assert.is_true(command.keep_going)
    assert.is_nil(command.mistake)
  end)

  it("ends its options at --, and at - for standard input", function()
    assert.equal(2, parse({ "--", "-k" }).script)
    assert.equal(2, parse({ "-k", "-", "-i" }).script)
  end)

  it("takes arguments in the word or behind it", function()
    local behind = parse { "--set", "a=1", "--trace", "t", "--html", "h", "-j", "2", "x" }
    local inside = parse { "--set=a=1", "--trace=t", "--html=h", "-j2", "x" }
    behind.script, inside.script = nil, nil
    behind.words, inside.words = nil, nil
    assert.same(behind, inside)
    assert.same({ a = "1" }, behind.set)
    assert.equal(2, behind.concurrency)
  end)

  it("asks for nothing with the options of lua", function()
    local command = parse { "-W", "-l", "m", "-e", "x = 1", "-E", "-i", "x" }
    assert.is_false(command.asks)
    assert.same({ { "W" }, { "l", "m" }, { "e", "x = 1" } }, command.steps)
  end)

  -- words, message
  local mistakes = {
    { { "--plna" }, "unknown option '--plna'\ndid you mean '--plan'?" },
    { { "--grpah=dot" }, "unknown option '--grpah=dot'\ndid you mean '--graph'?" },
    { { "--frobnicate" }, "unknown option '--frobnicate'" },
    { { "-q" }, "unknown option '-q'" },
    { { "-kn" }, "unknown option '-kn'" },
    { { "-run", "x" }, "unknown option '-run'\ndid you mean '--run'?" },
    { { "-list", "x" }, "unknown option '-list'\ndid you mean '--list'?" },
    { { "-h" }, "unknown option '-h'\ndid you mean '--help'?" },
    { { "--jobs=4" }, "unknown option '--jobs=4'\ndid you mean '-j'?" },
    { { "--keep-going" }, "unknown option '--keep-going'\ndid you mean '-k'?" },
    { { "--set" }, "option '--set' needs an argument" },
    { { "--html" }, "option '--html' needs an argument" },
    { { "--html=" }, "option '--html' needs an argument" },
    { { "-j" }, "option '-j' needs an argument" },
    { { "--list=x" }, "option '--list' takes no argument" },
    { { "--run=" }, "option '--run=' names no task; without '=' all tasks run" },
    { { "--set", "region" }, "option '--set' wants NAME=VALUE, got 'region'" },
    { { "--set", "=x" }, "option '--set' wants NAME=VALUE, got '=x'" },
    { { "-j", "0" }, "option '-j' wants a number of tasks from 1, got '0'" },
    { { "-j", "-1" }, "option '-j' wants a number of tasks from 1, got '-1'" },
    { { "-jmany" }, "option '-j' wants a number of tasks from 1, got 'many'" },
    { { "-j", "1e3" }, "option '-j' wants a number of tasks from 1, got '1e3'" },
    {
      { "--graph=dto" },
      "option '--graph' wants tree, dot, mermaid or svg, got 'dto'\ndid you mean '--graph=dot'?",
    },
    { { "--report=yaml2" }, "option '--report' wants text or json, got 'yaml2'" },
    {
      { "--completions", "csh-like" },
      "option '--completions' wants bash, zsh or fish, " .. "got 'csh-like'",
    },
  }
  for _, case in ipairs(mistakes) do
    it("refuses " .. table.concat(case[1], " "), function()
      local result = program.run(case[1])
      local message = program.path .. ": " .. case[2] .. "\n" .. USAGE
      assert.same({ code = 2, out = "", err = message }, result)
    end)
  end

  it("shows control characters of a wrong option as text", function()
    local result = program.run { "--a\27[2Jb" }
    assert.equal(program.path .. ": unknown option '--a\\x1B[2Jb'\n" .. USAGE, result.err)
  end)

  it("is explained by --help, two examples first, each option once", function()
    local out = program.run({ "--help" }).out
    assert.truthy(out:find "^usage: [^\n]*\n\n  astrum%-lua [^\n]*\n  astrum%-lua [^\n]*\n\n")
    for _, option in ipairs(require("astrum.command").OPTIONS) do
      local name = option.name:gsub("%p", "%%%0")
      local _, count = out:gsub("\n  [-n, ]*" .. name .. "[ %[\n]", "")
      assert.equal(1, count, option.name)
    end
    for line in out:gmatch "[^\n]+" do
      assert.is_true(#line <= 80, line)
    end
  end)

  it("has all its options in the man page", function()
    local file <close> = io.open "docs/astrum-lua.1" or io.open "../docs/astrum-lua.1"
    local page = file:read("a"):gsub("\\%-", "-")
    for _, option in ipairs(require("astrum.command").OPTIONS) do
      assert.truthy(page:find(option.name, 1, true), option.name)
    end
  end)
end)

describe("colour", function()
  local function draws(...)
    local text = 'require("astrum").task("a", function() end)'
    local out = program.run({ "--graph", ..., "-e", text }, { env = "-u NO_COLOR" }).out
    return out:find "\27%[" ~= nil
  end

  it("is there after --color=always and --color only", function()
    assert.is_false(draws "--color=auto")
    assert.is_false(draws "--color=never")
    assert.is_true(draws "--color=always")
    assert.is_true(draws "--color")
  end)
end)

describe("completions", function()
  -- What bash offers for the last of some words; '=' is a word of its own there.
  local function offers(...)
    local words = {}
    for i, word in ipairs { "astrum-lua", ... } do
      words[i] = program.quote(word)
    end
    local script = ([[
      eval "$(%s --completions bash)"
      compopt() { :; }
      COMP_WORDS=(%s) COMP_CWORD=%d
      _astrum_lua
      echo "${COMPREPLY[@]}"
    ]]):format(program.quote(program.path), table.concat(words, " "), #words - 1)
    local result = program.run({ "-c", script }, { program = "bash" })
    assert.equal("", result.err)
    return result.out
  end

  it("offer options in bash", function()
    assert.equal("--plan --progress=\n", offers "--p")
  end)

  it("offer what an option takes in bash", function()
    assert.equal("dot\n", offers("--graph", "=", "d"))
    assert.equal("tree dot mermaid svg\n", offers("--graph", "="))
    assert.equal("dot\n", offers "--graph=d")
    assert.equal("zsh\n", offers("--completions", "z"))
  end)

  it("offer files in bash", function()
    assert.equal("README.md\n", offers("--run", "READ"))
  end)

  it("are there for zsh and fish, with all options", function()
    for _, shell in ipairs { "zsh", "fish" } do
      local result = program.run { "--completions", shell }
      assert.equal(0, result.code)
      for _, option in ipairs(require("astrum.command").OPTIONS) do
        local name = shell == "fish" and "-l " .. option.name:sub(3) or option.name
        assert.truthy(result.out:find(name, 1, true), option.name)
      end
    end
  end)

  it("are what the shells can read", function()
    for _, shell in ipairs { "bash", "zsh", "fish" } do
      local script <close> = program.file(program.run({ "--completions", shell }).out)
      local check = ('! command -v %s >/dev/null || %s -n "$0"'):format(shell, shell)
      local result = program.run({ "-c", check, script.path }, { program = "sh" })
      assert.same({ code = 0, out = "", err = "" }, result)
    end
  end)
end)
