local flow = require "spec.support.flow"
local hostile = require "spec.support.hostile"
local markup = require "spec.support.markup"
local program = require "spec.support.program"
local terminal = require "astrum.terminal"

local function read_file(path)
  local file <close> = assert(io.open(path, "rb"))
  return file:read "a"
end

local function coffee()
  return flow.load([[
task("take_order", function() return { drink = "latte", size = { ml = 300 } } end)
task("grind", {
  inputs = { drink_type = F.take_order.drink },
  retry = 2,
  run = function(drink_type) return drink_type end,
})
task("serve", {
  inputs = { beans = F.grind, ml = F.take_order.size.ml, shop = os.time },
  depends_on = { "take_order" },
  run = function(beans, ml, shop) return true end,
})
task("clean", { depends_on = { "serve" }, trigger = "all_done", run = function() end })
]])
end

-- A chain of tasks with hostile names, each of them also a field that travels.
local function hostile_chain()
  local before
  return flow.build(function(task)
    for _, name in ipairs(hostile.NAMES) do
      local reference = before and require("astrum").F(before, name)
      task(name, { inputs = { reference }, run = function(...) end }) -- luacheck: ignore 212
      before = name
    end
  end)
end

local function shown(name)
  return terminal.cut(terminal.escape(name), 48)
end

local function fan(count)
  return flow.build(function(task)
    task("first", function() end)
    for number = 1, count do
      task("task" .. number, { depends_on = { "first" }, run = function() end })
    end
  end)
end

describe("Mermaid text", function()
  it("has the fields on its edges and the retries in its nodes", function()
    assert.equal(
      [[
flowchart TD
    n1["take_order"]
    n2["grind\nretry=2"]
    n3["serve"]
    n4["clean\nall_done"]
    n1 -->|"drink -> drink_type"| n2
    n2 -->|"whole result"| n3
    n1 -->|"size.ml -> ml"| n3
    n3 --> n4
]],
      coffee():build_scheduler():mermaid()
    )
  end)

  it("of fast_start.lua has the six graphs", function()
    local file <close> = program.file [[
local astrum = require "astrum"
local write = io.write
io.write, print = function() return io.stdout end, function() end
io.stdout:setvbuf "full"
astrum.sleep = function() end
dofile "examples/fast_start.lua"
for number = 1, 6 do
  local scheduler = astrum.build_scheduler { namespace = "example_" .. number }
  io.stderr:write("example ", number, "\n", scheduler:mermaid())
end
]]
    local result = program.run { file.path }
    assert.equal(read_file "spec/golden/mermaid_fast_start.txt", result.err)
  end)

  it("of a report has outcomes, durations and colours", function()
    local report = flow.run(function(task)
      task("good", function() end)
      task("bad", {
        depends_on = { "good" },
        run = function()
          error "no"
        end,
      })
      task("never", { depends_on = { "bad" }, run = function() end })
    end)
    local text = report:mermaid():gsub('%d[%d.]* [^ ,"]*s', "TIME")
    assert.equal(
      [[
flowchart TD
    n1["good\n✓ completed, TIME"]:::completed
    n2["bad\n✗ failed, TIME"]:::failed
    n3["never\n↷ skipped"]:::skipped
    n1 ==> n2
    n2 ==> n3
    classDef completed fill:#dcf5e3,stroke:#1a7f37,color:#0b3d1b
    classDef failed fill:#ffe0dd,stroke:#cf222e,color:#5c0b12
    classDef skipped fill:#eceff2,stroke:#6e7781,color:#32383f,stroke-dasharray:4 3
]],
      text
    )
  end)

  it("has hostile names as text", function()
    local names = {}
    for line in hostile_chain():mermaid():gmatch("[^\n]+") do
      local number, label = line:match('^    n(%d+)%["([^"]*)"%]$')
      if number then
        assert.is_nil(
          label:find("[`<>*~|;{}\\]", 1) and label:gsub("#%d+;", ""):find("[`<>*~|{}\\]")
        )
        names[#names + 1] = label:gsub("#(%d+);", function(code)
          return string.char(code)
        end)
      elseif line ~= "flowchart TD" then
        assert.is_truthy(line:find('^    n%d+ %-%->|"[^"|]*"| n%d+$'), line)
      end
    end
    assert.equal(#hostile.NAMES, #names)
    for position, name in ipairs(hostile.NAMES) do
      assert.equal(shown(name), names[position])
    end
  end)
end)

describe("Mermaid text of a name", function()
  local cases <const> = {
    { "- list", "#45; list" },
    { "1. list", "1#46; list" },
    { "fa:fa-car", "fa#58;fa-car" },
    { "www.example.com", "#119;#119;#119;#46;example.com" },
    { "__init__ a_b", "#95;#95;init#95;#95; a_b" },
    { "items[1].sku (x)", "items[1].sku (x)" },
    { 'a "b" <c> & #d;', "a #34;b#34; #60;c#62; #38; #35;d#59;" },
  }

  for _, case in ipairs(cases) do
    it(("has nothing that a version of Mermaid takes for markup: %s"):format(case[1]), function()
      local scheduler = flow.build(function(task)
        task(case[1], function() end)
      end)
      assert.equal(('flowchart TD\n    n1["%s"]\n'):format(case[2]), scheduler:mermaid())
    end)
  end
end)

describe("text for Graphviz", function()
  it("has the fields on its edges and the retries in its nodes", function()
    local text = coffee():build_scheduler():dot()
    assert.is_truthy(
      text:find('\n  n2 [label="grind\\nretry=2", style="rounded,filled"];\n', 1, true)
    )
    assert.is_truthy(text:find('\n  n1 -> n2 [label="drink -> drink_type"];\n', 1, true))
    assert.is_truthy(text:find("\n  n3 -> n4;\n", 1, true))
  end)

  it("has hostile names as text", function()
    local names = {}
    for line in hostile_chain():dot():gmatch("[^\n]+") do
      local label = line:match('^  n%d+ %[label="(.*)", style="rounded,filled"%];$')
      if label then
        assert.is_nil(label:gsub("\\.", ""):find('["\\]'))
        names[#names + 1] = label:gsub("\\(.)", "%1"):gsub("&amp;", "&")
      end
    end
    for position, name in ipairs(hostile.NAMES) do
      assert.equal(shown(name), names[position])
    end
  end)

  it("is understood by Graphviz", function()
    if not os.execute "command -v dot >/dev/null" then
      pending "Graphviz is not installed (Debian package graphviz)"
    end
    local svg = hostile_chain():svg { graphviz = true }
    local found = 0
    for title in svg:gmatch("<title>n(%d+)</title>") do
      found = math.max(found, tonumber(title))
    end
    assert.equal(#hostile.NAMES, found)
  end)
end)

describe("an SVG picture by Graphviz", function()
  it("is refused where Graphviz is not installed", function()
    local file <close> = program.file [[
local astrum = require "astrum"
astrum.task("a", function() end)
print(select(2, pcall(function()
  astrum.build_scheduler():svg { graphviz = true }
end)))
]]
    local result = program.run({ "PATH=/nowhere", program.path, file.path }, { program = "env" })
    local text = result.out:gsub("^[^:]*:", "FILE:")
    assert.equal(
      [[
FILE:4: svg: the program dot of Graphviz cannot be run
help: install the package graphviz, or leave graphviz out
]],
      text
    )
  end)
end)

describe("an SVG picture", function()
  it("is well-formed and has a box for each task and a line for each edge", function()
    local elements = markup.elements(coffee():build_scheduler():svg())
    assert.equal(4, #markup.of_class(elements, "node"))
    assert.equal(4, #markup.of_class(elements, "edge"))
    assert.equal("svg", elements[1].name)
    assert.equal("http://www.w3.org/2000/svg", elements[1].attributes.xmlns)
  end)

  it("is the same whenever it is drawn", function()
    local scheduler = coffee():build_scheduler()
    assert.equal(scheduler:svg(), scheduler:svg())
    assert.equal(scheduler:svg(), coffee():build_scheduler():svg())
  end)

  it("has colours for light and dark", function()
    local text = coffee():build_scheduler():svg()
    assert.is_truthy(text:find("@media (prefers-color-scheme: dark)", 1, true))
  end)

  it("needs nothing from elsewhere", function()
    local text = coffee():build_scheduler():svg():gsub('xmlns="[^"]*"', "")
    assert.is_nil(text:find("https?:"))
    assert.is_nil(text:find("@import", 1, true))
    assert.is_nil(text:find("url%([^#]"))
  end)

  it("has hostile names as text", function()
    local elements = markup.elements(hostile_chain():svg())
    local names = markup.of_class(elements, "name")
    assert.equal(#hostile.NAMES, #names)
    for position, name in ipairs(hostile.NAMES) do
      assert.equal(shown(name), names[position].text)
    end
    for _, element in ipairs(elements) do
      assert.is_nil(element.name:match("^[si][cm][rg]"))
    end
  end)

  it("tells whole names and outcomes as titles", function()
    local report = flow.run(function(task)
      task("good", function() end)
    end)
    local elements = markup.elements(report:svg())
    local node = markup.of_class(elements, "node")[1]
    assert.equal("node completed", node.attributes.class)
    for _, element in ipairs(elements) do
      if element.parent == node and element.name == "title" then
        assert.is_truthy(element.text:find("^good, ✓ completed, "))
      end
    end
  end)

  it("says when there are no tasks", function()
    local scheduler = coffee():build_scheduler { target_tasks = {} }
    local elements = markup.elements(scheduler:svg())
    assert.equal("no tasks", markup.of_class(elements, "more")[1].text)
  end)
end)

describe("a picture of a large workflow", function()
  it("is cut and says how much is left out", function()
    local scheduler = fan(1299)
    local more = "… and 1,100 more tasks and 1,100 more edges"
    assert.is_truthy(scheduler:mermaid():find('\n    more["' .. more .. '"]\n', 1, true))
    assert.is_truthy(scheduler:dot():find(more, 1, true))
    assert.is_truthy(scheduler:svg():find(more, 1, true))
  end)

  it("is as large as is asked for", function()
    local elements = markup.elements(fan(299):svg { tasks = 300, edges = 300 })
    assert.equal(300, #markup.of_class(elements, "node"))
    assert.equal(0, #markup.of_class(elements, "more"))
  end)

  it("has the tasks that failed first", function()
    local report = flow.run(function(task)
      for number = 1, 20 do
        task("task" .. number, function()
          assert(number < 20, "the last one fails")
        end)
      end
    end, { failure_mode = "keep_going" })
    local text = report:mermaid { tasks = 3 }
    assert.is_truthy(text:find("task20", 1, true))
    assert.is_truthy(text:find("task2\\n", 1, true))
    assert.is_nil(text:find("task3", 1, true))
  end)

  it("of a chain of 5,000 tasks comes without recursion", function()
    local scheduler = flow.build(function(task)
      for number = 1, 5000 do
        local before = number > 1 and { "task" .. number - 1 } or nil
        task("task" .. number, { depends_on = before, run = function() end })
      end
    end)
    local elements = markup.elements(scheduler:svg { tasks = 5000, edges = 5000 })
    assert.equal(5000, #markup.of_class(elements, "node"))
  end)
end)

describe("the methods that draw", function()
  it("refuse options that they do not know or cannot use", function()
    local scheduler = coffee():build_scheduler()
    local cases = {
      { "mermaid", { task = 3 }, "mermaid: unknown option 'task'", "did you mean 'tasks'?" },
      { "dot", { edges = "all" }, "dot: edges must be an integer from 0, got string" },
      { "svg", { graphviz = 1 }, "svg: graphviz must be true or false, got 1" },
    }
    for _, case in ipairs(cases) do
      local failure = flow.raised(scheduler[case[1]], scheduler, case[2])
      assert.same({ case[3], case[4] }, { failure.text, failure.help })
    end
  end)
end)
