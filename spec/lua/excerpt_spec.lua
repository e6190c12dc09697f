local astrum = require "astrum"
local excerpt = require "astrum.excerpt"
local program = require "spec.support.program"

-- The message of the error that a file raises when it is run, or when what it declares is built.
-- The name of the file is replaced by flow.lua.
local function message_of(text)
  local file <close> = program.file(text)
  local registry = astrum.SchedulerRegistry "flow"
  local names =
    { task = registry.task, F = astrum.F, Ref = astrum.Ref, T = astrum.T, print = print }
  local chunk = assert(load(text, "@" .. file.path, "t", names))
  local ok, e = pcall(chunk)
  if ok then
    ok, e = pcall(registry.build_scheduler, registry)
  end
  assert(not ok, "nothing is wrong")
  return (e.message:gsub(file.path:gsub("%W", "%%%0"), "flow.lua"))
end

-- What is above the carets in the only line of a text.
local function marked(text, marks)
  local file <close> = program.file(text)
  local shown = excerpt.of(file.path, 1, marks)
  if not shown then
    return nil
  end
  local line, carets = shown:match("^(.*)\n(.*)$")
  local first, last = carets:find("%^+")
  return line:sub(first, last), first
end

describe("a message about a declaration", function()
  it("shows the line with carets below the task that is not there", function()
    assert.equal(
      [[
flow.lua:5: task 'apply_discount': input 'coupon' reads from unknown task 'load_ordr'
   5 |     coupon = F.load_ordr.coupon,
     |                ^^^^^^^^^
help: did you mean 'load_order'? (declared at flow.lua:1)]],
      message_of [[
task("load_order", function() end)
task "apply_discount" {
  inputs = {
    subtotal = F.load_order.subtotal,
    coupon = F.load_ordr.coupon,
  },
  run = function(subtotal, coupon) end,
}
]]
    )
  end)

  local cases <const> = {
    {
      "an unknown option on the line of the name",
      'task("a", { retrys = 1, run = print })',
      [[
flow.lua:1: task 'a': unknown option 'retrys'
   1 | task("a", { retrys = 1, run = print })
     |             ^^^^^^
help: did you mean 'retry'?]],
    },
    {
      "the option where it is on another line of the declaration",
      'task "a" {\n  retrys = 1,\n  run = print }',
      [[
flow.lua:1: task 'a': unknown option 'retrys'
   2 |   retrys = 1,
     |   ^^^^^^
help: did you mean 'retry'?]],
    },
    {
      "the parameter without input, in the line of the body",
      'task "a" {\n  inputs = { subtotal_cents = 1 },\n  run = function(subtotal_cent) end }',
      [[
flow.lua:3: task 'a': parameter 'subtotal_cent' has no input
   3 |   run = function(subtotal_cent) end }
     |                  ^^^^^^^^^^^^^
help: did you mean 'subtotal_cents'?]],
    },
    {
      "the input that nobody receives",
      'task("a", { inputs = { y = 1 }, run = function() end })',
      [[
flow.lua:1: task 'a': input 'y' is never received by run
   1 | task("a", { inputs = { y = 1 }, run = function() end })
     |                        ^
help: name a parameter after it, or take the parameter 'inputs']],
    },
    {
      "the name that is declared twice",
      'task("ship", print)\ntask("ship", print)',
      [[
flow.lua:2: task 'ship' is declared twice in namespace 'flow'
   2 | task("ship", print)
     |       ^^^^
help: first declared at flow.lua:1; give one of them another name]],
    },
    {
      "the unknown name in depends_on",
      'task("ship", { depends_on = { "shop" }, run = print })',
      [[
flow.lua:1: Registry 'flow' has unknown dependencies: ['shop']
   1 | task("ship", { depends_on = { "shop" }, run = print })
     |                                ^^^^
help: task 'ship' depends on it; the tasks are: ship]],
    },
    {
      "the reference that closes a cycle",
      'task("a", { inputs = { F.b }, run = print })\n'
        .. 'task("b", { depends_on = { "a" }, run = print })',
      [[
flow.lua:1: dependency cycle: a -> b -> a
   1 | task("a", { inputs = { F.b }, run = print })
     |                          ^
help: each of them waits for the next; take one of these dependencies out
flow.lua:2: b needs a]],
    },
    {
      "the task that never got its body",
      'task "never"',
      [[
flow.lua:1: task 'never' has a name but never got its body
   1 | task "never"
     |       ^^^^^
help: write task 'never' { run = function() ... end }; a misspelled variable is nil]],
    },
    {
      "the target and the parameter of an output",
      'task("a", { outputs = { T("qqqqqq", nil, "x") }, run = print })',
      [[
flow.lua:1: task 'a': output goes to unknown task 'qqqqqq'
   1 | task("a", { outputs = { T("qqqqqq", nil, "x") }, run = print })
     |                            ^^^^^^
help: the tasks are: a]],
    },
  }
  for _, case in ipairs(cases) do
    it("puts carets below " .. case[1], function()
      assert.equal(case[3], message_of(case[2]))
    end)
  end
end)

describe("an excerpt", function()
  local function reference(after)
    return { { name = "load", form = "reference", after = after } }
  end

  it("marks the reference and not what only looks like it", function()
    local line = 'load = "load" .. load, load_all = F.load_all, x = F.load.y'
    local text, first = marked(line, reference())
    assert.equal("load", text)
    assert.equal(#"   1 | " + line:find("load.y", 1, true), first)
  end)

  it("knows every spelling of a reference", function()
    for _, spelling in ipairs {
      "F.load",
      "F . load",
      'F("load", 1)',
      "F 'load.x[1]'",
      'F["load"]',
      "astrum.F.load[1]",
    } do
      assert.equal("load", (marked("x = " .. spelling .. ",", reference())), spelling)
    end
    assert.is_nil(marked("x = OFF.load", reference()))
  end)

  it("takes the input that is meant where two of a line are alike", function()
    local line = "ab = F.load, b = F.load"
    local _, first = marked(line, reference("b"))
    assert.equal(#"   1 | " + 20, first)
  end)

  it("is left out where two places are possible", function()
    assert.is_nil(marked("f(F.load, F.load)", reference()))
  end)

  it("counts columns of tabs and of other scripts", function()
    local file <close> = program.file "\tgröße = F.load"
    assert.equal(
      "   1 |     größe = F.load\n     |               ^^^^",
      excerpt.of(file.path, 1, reference())
    )
  end)

  it("is left out for what is no line of a text file", function()
    local long = ("x"):rep(200) .. " F.load"
    for what, text in pairs {
      ["a long line"] = long,
      ["control characters"] = "\27[2J F.load",
      ["no UTF-8"] = "\xFF F.load",
      ["no line"] = "",
    } do
      assert.is_nil(marked(text, reference()), what)
    end
    assert.is_nil(excerpt.of("/no/such/file", 1, reference()))
    assert.is_nil(excerpt.of("?", -1, reference()))
    assert.is_nil(excerpt.of(".", 1, reference()))
  end)

  it("is left out for a pipe, which is not opened", function()
    local folder = program
      .run({ "-c", "d=$(mktemp -d) && mkfifo $d/p && echo $d" }, {
        program = "sh",
      }).out
      :match("^[^\n]+")
    assert.is_nil(excerpt.of(folder .. "/p", 1, reference()))
    program.run({ "-r", folder }, { program = "rm" })
  end)

  it("finds a line behind one that is too long", function()
    local file <close> = program.file(("x"):rep(1000) .. "\nF.load")
    assert.equal("   2 | F.load\n     |   ^^^^", excerpt.of(file.path, 2, reference()))
  end)
end)
