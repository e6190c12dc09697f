local flow = require "spec.support.flow"
local program = require "spec.support.program"

local TEXT <const> = [[
local astrum = require "astrum"
local task, F = astrum.task, astrum.F
task("load", function() return { n = 1 } end)
task("use", { inputs = { n = F.load.n, t = os.time }, run = function(n, t) return n end })
local scheduler = astrum.build_scheduler { config = { visualize = %s } }
io.write("built\n")
scheduler:execute():assert()
]]

-- Runs the program; what it writes where the terminal is said to be 60 wide.
local function run(visualize)
  local file <close> = program.file(TEXT:format(visualize))
  return program.run({ file.path }, { env = "-u FORCE_COLOR LC_ALL=C.UTF-8 COLUMNS=60" })
end

describe("visualize", function()
  it("draws the workflow to standard output when it is built", function()
    local result = run(true)
    assert.equal(0, result.code)
    assert.equal("", result.err)
    local drawn, rest = result.out:match("^(.*\n)(built\n)$")
    assert.equal("built\n", rest)
    assert.is_truthy(drawn:find("Astrum Execution Plan", 1, true))
    assert.is_truthy(drawn:find("⬅ 'n' ← load : any", 1, true))
    assert.is_truthy(drawn:find("1. load.'n' → any", 1, true))
    assert.is_truthy(drawn:find("Injected functions: 1", 1, true))
  end)

  it("draws nothing by default", function()
    local result = run(false)
    assert.equal("built\n", result.out)
    assert.equal("", result.err)
  end)
end)

describe("the drawing of a scheduler", function()
  local function scheduler()
    return flow
      .load([[
task("load", function() return { n = 1 } end)
task("use", { inputs = { n = F.load.n, t = os.time }, run = function(n, t) return n end })
]])
      :build_scheduler()
  end

  it("is the tree with inputs and outputs of every task", function()
    assert.equal(
      [[
📋 Astrum DAG dependency tree
└─ load
   │  ➡ 'n' → use : any
   └─ use
         ⬅ 'n' ← load : any
         ⬅ 't' ← ƒ(os.time) : any
]],
      scheduler():tree { width = 60, unicode = true, color = false }
    )
  end)

  it("has the list that a map goes over", function()
    local F <const> = require("astrum").F
    local drawn = flow.build(function(task)
      task("files", function()
        return { list = {} }
      end)
      task("count", { map = { path = F.files.list }, run = function(path) end }) -- luacheck: ignore
    end)
    local text = drawn:tree { unicode = true, color = false }
    assert.is_truthy(text:find("➡ 'list' → count : any (each)", 1, true), text)
    assert.is_truthy(text:find("⬅ 'list' ← files : any (each)", 1, true), text)
  end)

  it("has the tree, the table and the summary", function()
    local text = scheduler():draw { width = 60, unicode = true, color = false }
    assert.is_truthy(text:find("╭─ Astrum Execution Plan ─", 1, true))
    assert.is_truthy(text:find("📊 Data Transport Matrix", 1, true))
    assert.is_truthy(text:find("Tasks: 2", 1, true))
    assert.is_truthy(text:find("Dependency edges: 1", 1, true))
  end)

  it("names a function input by its name, and by its line where it has none", function()
    local text = flow
      .load(
        [[
local function nameless() end
task("use", {
  inputs = { a = print, b = string.format, c = nameless, d = given },
  run = function(a, b, c, d) end,
})
]],
        coroutine.wrap(function() end)
      )
      :build_scheduler()
      :tree { width = 60, unicode = true, color = false }
    assert.equal(
      [[
📋 Astrum DAG dependency tree
└─ use
      ⬅ 'a' ← ƒ(print) : any
      ⬅ 'b' ← ƒ(string.format) : any
      ⬅ 'c' ← ƒ(flow.lua:1) : any
      ⬅ 'd' ← ƒ(C function) : any
]],
      text
    )
  end)

  it("refuses options that it does not know or cannot use", function()
    local cases = {
      { { widht = 60 }, "draw: unknown option 'widht'", "did you mean 'width'?" },
      { { width = "wide" }, "draw: width must be an integer from 0, got string" },
      { { width = 0.5 }, "draw: width must be an integer from 0, got 0.5" },
      { { color = "yes" }, "draw: color must be true or false, got string" },
      { 60, "draw: the options are a table, got number" },
    }
    for _, case in ipairs(cases) do
      local failure = flow.raised(scheduler().draw, scheduler(), case[1])
      assert.same({ case[2], case[3] }, { failure.text, failure.help })
    end
  end)

  it("can do with ASCII alone", function()
    local text = scheduler():draw { width = 60, unicode = false, color = false }
    assert.is_nil(text:find("[\x80-\xFF]"))
  end)
end)
