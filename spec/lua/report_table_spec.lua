local graphs = require "spec.support.graphs"
local reports = require "spec.support.reports"
local terminal = require "astrum.terminal"

local reported <const> = reports.reported
local shop <const> = reports.shop

local function golden(name)
  local file <close> = assert(io.open("spec/golden/" .. name .. ".txt", "rb"))
  return (file:read("a"):gsub("\n$", ""))
end

describe("report text", function()
  it("is a table, the totals and the error summary", function()
    assert.equal(golden("report_shop"), shop():tostring { unicode = true })
  end)

  it("is what tostring gives", function()
    local shown = shop()
    assert.equal(shown:tostring(), tostring(shown))
  end)

  it("has states in colour when it is told to, at the same places", function()
    local shown = shop()
    local text = shown:tostring { unicode = true, color = true }
    assert.truthy(text:find("\27[32mcompleted\27[0m", 1, true))
    assert.truthy(text:find("\27[31mfailed\27[0m", 1, true))
    assert.equal(shown:tostring { unicode = true }, (text:gsub("\27%[%d+m", "")))
  end)

  it("keeps the carets below what they point to on a narrow terminal", function()
    local line = '   7 | task("a_long_name", { inputs = { u = F.load.usr, other = "日本語" } })'
    local before = line:match "^(.-)usr"
    local message = "flow.lua:7: load has no field 'usr'\n"
      .. line
      .. "\n     | "
      .. (" "):rep(#before - 7)
      .. "^^^"
    for width = 30, 80 do
      local text = reported(graphs.workflow { { "a" } }, {
        state = "failed",
        blame = "a",
        tasks = { a = { state = "failed", cause = "error", error = message } },
      }):tostring { unicode = true, width = width }
      local shown, carets = text:match "\n(   7 | [^\n]*)\n(     | [^\n]*)"
      assert.is_true(terminal.display_width(shown) <= width, shown)
      local start = #carets:match "^[^%^]*"
      assert.equal(start, terminal.display_width(shown:match "^(.-)usr"), shown .. "\n" .. carets)
      assert.equal(3, #carets:match "%^+")
    end
  end)

  it("keeps the carets below what they point to where only ASCII can be shown", function()
    local text = reported(graphs.workflow { { "a" } }, {
      state = "failed",
      blame = "a",
      tasks = {
        a = {
          state = "failed",
          cause = "error",
          error = 'bad\n   7 | x("日本e\u{301}", größe)\n     |            ^^^^^',
        },
      },
    }):tostring { unicode = false }
    local shown, carets = text:match "\n(   7 | [^\n]*)\n(     | [^\n]*)"
    local first, last = carets:find "%^+"
    assert.equal("gr\\u{F6}\\u{DF}e", shown:sub(first, last))
  end)

  it("keeps to the width that it is given", function()
    local text = reported(graphs.workflow { { "a" } }, {
      state = "failed",
      blame = "a",
      tasks = { a = { state = "failed", cause = "error", error = ("word "):rep(20) .. "end" } },
    }):tostring { unicode = true, width = 70 }
    for line in text:gmatch "[^\n]+" do
      assert.is_true(utf8.len(line) <= 70, line)
    end
    assert.truthy(text:find("word wor…\n", 1, true), text)
    assert.truthy(text:find("word\n  word", 1, true), text)
    assert.truthy(text:find("word end", 1, true), text)
  end)

  it("leaves out zero counts but those of completed and failed", function()
    local shown = reported(graphs.serial(), { duration = 1.25 })
    assert.equal(
      "state=completed, completed=2, failed=0, duration=1.250 s",
      shown:tostring():match("[^\n]*$")
    )
  end)

  it("shows names and errors as data", function()
    local text = reported(graphs.workflow { { "注文\27[2J" } }, {
      state = "failed",
      blame = "注文\27[2J",
      tasks = { ["注文\27[2J"] = { state = "failed", cause = "error", error = "x\27[1m\ny" } },
    })
    assert.is_nil(text:tostring({ unicode = true }):find("\27", 1, true))
    assert.truthy(text:tostring({ unicode = true }):find("注文\\x1B[2J", 1, true))
    assert.is_nil(text:tostring({ unicode = false }):find("[^\n\x20-\x7E]"))
  end)

  it("shows 50 tasks, failed ones among them, and says how many are left", function()
    local rows = {}
    for id = 1, 120 do
      rows[id] = { "task" .. id }
    end
    local shown = reported(graphs.workflow(rows), {
      state = "failed",
      tasks = { task119 = { state = "failed", cause = "error", finish = 1, error = "boom" } },
    })
    local text = shown:tostring { unicode = true }
    assert.truthy(text:find("\ntask49 ", 1, true))
    assert.is_nil(text:find("\ntask50 ", 1, true))
    assert.truthy(text:find("\ntask119 .*boom\n… and 70 more\nstate=failed"))
    assert.truthy(shown:tostring({ unicode = false }):find("\n... and 70 more\n", 1, true))
  end)

  it("shows ten messages and says how many are left", function()
    local rows, tasks = {}, {}
    for id = 1, 12 do
      rows[id] = { "task" .. id }
      tasks["task" .. id] = { state = "failed", cause = "error", finish = id, error = "boom" }
    end
    local text = reported(graphs.workflow(rows), { state = "failed", tasks = tasks }):tostring {
      unicode = true,
    }
    assert.truthy(text:find("\nFinal task 'task10' failed: boom\n… and 2 more messages$"))
  end)
end)
