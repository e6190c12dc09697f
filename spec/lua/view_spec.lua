local graphs = require "spec.support.graphs"
local terminal = require "astrum.terminal"
local view = require "astrum.view"

local function golden(name)
  local file <close> = assert(io.open("spec/golden/" .. name .. ".txt", "rb"))
  return file:read("a")
end

local function lines_of(text)
  local lines = {}
  for line in text:gmatch("([^\n]*)\n") do
    lines[#lines + 1] = line
  end
  return lines
end

-- The tree as one text without its first line.
local function tree(workflow, options)
  return (view.tree(workflow, options):gsub("^[^\n]*\n", ""))
end

local function one_input(input)
  local workflow = graphs.workflow { { "source" }, { "target", {}, { "source" } } }
  workflow.tasks[2].inputs = { n = 1, input }
  return workflow
end

local function chain(count)
  local rows = {}
  for id = 1, count do
    rows[id] = { "task" .. id, id > 1 and { { "value", "task" .. id - 1 } } or nil }
  end
  return graphs.workflow(rows)
end

-- Every task takes from all tasks before it.
local function dense(count)
  local rows = {}
  for id = 1, count do
    local inputs = {}
    for source = 1, id - 1 do
      inputs[source] = { "value" .. source, "task" .. source }
    end
    rows[id] = { "task" .. id, inputs }
  end
  return graphs.workflow(rows)
end

describe("view.draw", function()
  for _, name in ipairs { "serial", "parallel", "fan_in", "branches", "checkout", "risk" } do
    it("draws the fast_start graph " .. name .. " as in its golden file", function()
      assert.equal(golden("view_" .. name), view.draw(graphs[name]()))
    end)
  end

  it("draws for 60 and for 120 columns", function()
    assert.equal(golden("view_checkout_60"), view.draw(graphs.checkout(), { width = 60 }))
    assert.equal(golden("view_checkout_120"), view.draw(graphs.checkout(), { width = 120 }))
  end)

  it("draws in plain ASCII", function()
    local text = view.draw(graphs.risk(), { unicode = false })
    assert.equal(golden("view_risk_ascii"), text)
    assert.is_nil(text:find("[^\n\x20-\x7E]"))
  end)

  it("draws in colour only where it is wanted", function()
    local options = { color = true }
    assert.equal(golden("view_fan_in_color"), view.draw(graphs.fan_in(), options))
    assert.is_nil(view.draw(graphs.fan_in()):find("\27", 1, true))
  end)

  it("says the same with colour and without", function()
    local text = view.draw(graphs.checkout(), { color = true, width = 60 })
    assert.equal(golden("view_checkout_60"), (text:gsub("\27%[[%d;]*m", "")))
  end)

  it("keeps every line within the width, whatever the names are", function()
    local workflow = graphs.workflow {
      { "注文を読み込む" },
      {
        ("long"):rep(40),
        { { "a", "注文を読み込む.items" }, { "b", "注文を読み込む" } },
      },
      { "split at spaces here", { { "c", ("long"):rep(40) .. ".value" } } },
    }
    for _, width in ipairs { 40, 60, 80, 120 } do
      for _, unicode in ipairs { true, false } do
        local options = { width = width, unicode = unicode }
        for _, line in ipairs(lines_of(view.draw(workflow, options))) do
          assert.is_true(terminal.display_width(line) <= width, line)
        end
      end
    end
  end)

  it("makes the tree, the matrix and the summary equally wide", function()
    local widths = {}
    for _, line in ipairs(lines_of(view.draw(graphs.risk(), { width = 400 }))) do
      if line:find("^[╭╰│├]") then
        widths[terminal.display_width(line)] = true
      end
    end
    local width = next(widths)
    assert.is_nil(next(widths, width))
    assert.is_true(width < 400)
  end)

  it("draws at least 40 columns wide", function()
    local workflow = graphs.checkout()
    assert.equal(view.draw(workflow, { width = 40 }), view.draw(workflow, { width = 1 }))
  end)

  it("draws a workflow without tasks", function()
    assert.equal(golden("view_empty"), view.draw(graphs.workflow {}))
  end)

  it("counts the edges and inputs of the risk workflow", function()
    local text = view.draw(graphs.risk())
    assert.truthy(text:find("Dependency edges: 20 ", 1, true))
    assert.truthy(text:find("Data items: 31 ", 1, true))
    assert.is_nil(text:find("Injected functions", 1, true))
  end)

  it("shows and counts functions", function()
    local workflow = one_input { parameter = "now", kind = "function", label = "os.time" }
    local text = view.draw(workflow)
    assert.truthy(text:find("⬅ 'now' ← ƒ(os.time) : any", 1, true))
    assert.truthy(text:find("1. ƒ(os.time).'now' → any", 1, true))
    assert.truthy(text:find("Injected functions: 1", 1, true))
    assert.truthy(text:find("Data items: 0", 1, true))
    assert.truthy(view.draw(workflow, { unicode = false }):find("fn(os.time)", 1, true))
  end)

  it("does not draw constants and the context", function()
    local workflow = graphs.serial()
    local inputs = workflow.tasks[2].inputs
    inputs[2] = { parameter = "limit", kind = "constant", value = 1000 }
    inputs[3] = { parameter = "ctx", kind = "context" }
    inputs.n = 3
    assert.equal(golden("view_serial"), view.draw(workflow))
  end)

  it("shows names as data, without what would disturb the terminal", function()
    local workflow = graphs.workflow { { "a\27[2J\nb" }, { "\u{202E}c" } }
    local text = view.draw(workflow, { color = false })
    assert.is_nil(text:find("\27", 1, true))
    assert.truthy(text:find("├─ a\\x1B[2J\\x0Ab", 1, true))
    assert.truthy(text:find("└─ \\xE2\\x80\\xAEc", 1, true))
  end)

  it("says how much of the matrix it leaves out", function()
    local text = view.draw(chain(1500))
    assert.truthy(text:find("│ task200 ", 1, true))
    assert.is_nil(text:find("│ task201 ", 1, true))
    assert.truthy(text:find("│ … and 1,300 more tasks │", 1, true))
  end)

  it("says how many names the summary leaves out", function()
    local text = view.draw(dense(30), { width = 200 })
    assert.truthy(text:find("task22, … and 8 more tasks", 1, true))
  end)
end)

describe("view.tree", function()
  it("is the tree alone", function()
    assert.equal(
      [[
📋 Astrum DAG dependency tree
└─ task1
   │  ➡ • → task2 : string
   └─ task2
         ⬅ • ← task1 : string
]],
      view.tree(graphs.serial())
    )
  end)

  it("counts what feeds a task and what it feeds, and shows a task once", function()
    local workflow = graphs.workflow {
      { "a" },
      { "b", {}, { "a" } },
      { "c", {}, { "a" } },
      { "d", {}, { "b", "c" } },
      { "e", {}, { "d" } },
      { "f", {}, { "d" } },
    }
    assert.equal(
      [[
└─ a ⇢×2
   ├─ b
   │  └─ d ⇠×2 ⇢×2
   │     ├─ e
   │     └─ f
   └─ c
      └─ ↩ d (already shown) ⇠×2 ⇢×2
]],
      tree(workflow)
    )
  end)

  it("writes paths as the user would", function()
    local function shown(...)
      local path = table.pack(...)
      local input = { parameter = "x", kind = "reference", source = "source", path = path }
      return tree(one_input(input)):match("⬅ (.-) ← source : any\n")
    end
    assert.equal("•", shown())
    assert.equal("'coupon'", shown("coupon"))
    assert.equal("[1]", shown(1))
    assert.equal("'items[1].sku'", shown("items", 1, "sku"))
    assert.equal("'[1].sku'", shown(1, "sku"))
    assert.equal("'[\"two words\"].x'", shown("two words", "x"))
    assert.equal("'[\"deep.x\"]'", shown("deep.x"))
    assert.equal('\'["a\\x0A\\"b"]\'', shown('a\n"b'))
  end)

  it("shows the declared type, and a predicate as checked", function()
    local function shown(kind)
      local input = {
        parameter = "x",
        kind = "reference",
        source = "source",
        type = kind,
        path = { n = 0 },
      }
      return tree(one_input(input)):match("← source : (.-)\n")
    end
    assert.equal("any", shown(nil))
    assert.equal("integer?", shown("integer?"))
    assert.equal("checked", shown(function() end))
  end)

  it("names a positional function by its place", function()
    local workflow = one_input { kind = "function", label = "flow.lua:3" }
    assert.truthy(tree(workflow):find("⬅ [1] ← ƒ(flow.lua:3) : any", 1, true))
  end)

  it("draws every reference inside a template", function()
    local workflow = one_input {
      parameter = "parts",
      kind = "template",
      references = {
        { source = "source", path = { n = 1, "a" } },
        { source = "source", path = { n = 1, "b" } },
      },
    }
    assert.equal(
      [[
└─ source
   │  ➡ 'a' → target : any
   │  ➡ 'b' → target : any
   └─ target
         ⬅ 'a' ← source : any
         ⬅ 'b' ← source : any
]],
      tree(workflow)
    )
  end)

  it("continues what is too deep for the width at the left", function()
    assert.equal(
      [[
├─ task1
│  │  ➡ • → task2 : any
│  └─ task2
│     │  ⬅ • ← task1 : any
│     │  ➡ • → task3 : any
│     └─ task3
│        │  ⬅ • ← task2 : any
│        │  ➡ • → task4 : any
│        └─ task4 ↓ continued below
│              ⬅ • ← task3 : any
│              ➡ • → task5 : any
└─ task4 (continued)
   └─ task5
         ⬅ • ← task4 : any
]],
      tree(chain(5), { width = 40 })
    )
  end)

  it("breaks a long line behind its branch lines", function()
    local workflow = graphs.workflow {
      { "load_pricing_rules" },
      { "next", { { "x", "load_pricing_rules.tax_basis_points", "integer" } } },
    }
    assert.equal(
      [[
└─ load_pricing_rules
   │  ➡ 'tax_basis_points' → next
   │    : integer
   └─ next
         ⬅ 'tax_basis_points'
           ← load_pricing_rules
           : integer
]],
      tree(workflow, { width = 40 })
    )
  end)

  it("warns when no task could start", function()
    local workflow = graphs.workflow { { "a", {}, { "b" } }, { "b", {}, { "a" } } }
    assert.equal(
      [[
└─ ⚠ No root node found (possible dependency cycle)
]],
      tree(workflow)
    )
    assert.equal(
      [[
`- ! No root node found (possible dependency cycle)
]],
      tree(workflow, { unicode = false })
    )
  end)

  it("cuts a deep workflow and says how many tasks it leaves out", function()
    local text = tree(chain(20000))
    assert.truthy(text:find("\n└─ … and 19,800 more tasks\n$"))
    assert.truthy(text:find(" task200\n", 1, true))
    assert.is_nil(text:find(" task201\n", 1, true))
  end)

  it("cuts a wide workflow and says how many tasks it leaves out", function()
    local rows = { { "source" } }
    for id = 2, 20000 do
      rows[id] = { "task" .. id, { { "value", "source" } } }
    end
    local text = tree(graphs.workflow(rows))
    assert.truthy(text:find("│  … and 19,979 more outputs\n", 1, true))
    assert.truthy(text:find("\n└─ … and 19,800 more tasks\n$"))
  end)

  it("cuts a tangled workflow and says how many repetitions it leaves out", function()
    local text = tree(dense(60))
    local shown = select(2, text:gsub("%(already shown%)", ""))
    local left_out = 60 * 59 // 2 - 59 - shown
    assert.truthy(
      text:find(("\n└─ … and %s more repeated tasks\n"):format(terminal.count(left_out)))
    )
  end)
end)
