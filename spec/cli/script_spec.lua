-- What is told of a script that cannot be run, or that comes to its end with nothing done.

local program = require "spec.support.program"

local DECLARES <const> = [[
local astrum = require "astrum"
local task = astrum.task
task("load", function() end)
task("save", { description = "Not plain.", depends_on = { "load" }, run = function() end })
]]

-- A folder with some files in it, which is gone when the returned value is closed.
local function folder(files)
  local path = os.tmpname()
  os.remove(path)
  assert(os.execute("mkdir " .. path))
  for name, text in pairs(files) do
    local file <close> = assert(io.open(path .. "/" .. name, "wb"))
    file:write(text)
  end
  return setmetatable({ path = path }, {
    __close = function()
      os.execute("rm -r " .. path)
    end,
  })
end

-- Runs words in such a folder.
local function run(files, ...)
  local place <close> = folder(files)
  local result = program.run({ ... }, { directory = place.path })
  result.err = result.err:gsub(program.path:gsub("%p", "%%%0"), "PROGRAM")
  return result
end

describe("a script that declares tasks and runs none", function()
  local NOTICE <const> = "PROGRAM: flow.lua declares 2 tasks and runs none: "
    .. "'astrum-lua --run flow.lua' runs them, 'astrum-lua --list flow.lua' lists them\n"

  it("is told of, and ends with 0 all the same", function()
    local result = run({ ["flow.lua"] = DECLARES .. "print 'done'" }, "flow.lua")
    assert.same({ code = 0, out = "done\n", err = NOTICE }, result)
    assert.equal(NOTICE, run({ ["flow.lua"] = DECLARES }, "--color=never", "flow.lua").err)
  end)

  it("is told of when it builds a scheduler and never executes it", function()
    local text = DECLARES .. "local scheduler = astrum.build_scheduler()"
    assert.equal(NOTICE, run({ ["flow.lua"] = text }, "flow.lua").err)
  end)

  it("is told of when it has one task", function()
    local text = "require('astrum').task('load', function() end)"
    local message = "PROGRAM: flow.lua declares 1 task and runs none: "
      .. "'astrum-lua --run flow.lua' runs it, 'astrum-lua --list flow.lua' lists it\n"
    assert.equal(message, run({ ["flow.lua"] = text }, "flow.lua").err)
  end)

  it("is told of from standard input", function()
    local result = program.run({ "-" }, { input = DECLARES })
    local message = ": the script declares 2 tasks and runs none: "
      .. "'astrum-lua --run -' runs them, 'astrum-lua --list -' lists them\n"
    assert.same({ code = 0, out = "", err = program.path .. message }, result)
  end)

  it("has options behind it that were meant for the program", function()
    for _, option in ipairs { "--list", "-n", "--graph=dot", "--run" } do
      local result = run({ ["flow.lua"] = DECLARES }, "flow.lua", "x", option)
      local message = "PROGRAM: flow.lua declares 2 tasks and runs none: "
        .. "options go in front of the script, as in 'astrum-lua %s flow.lua'\n"
      assert.same({ code = 0, out = "", err = message:format(option) }, result)
    end
    assert.equal(NOTICE, run({ ["flow.lua"] = DECLARES }, "flow.lua", "--help").err)
  end)

  -- What the script does else, so that nobody has to be told.
  local silent = {
    ["runs something"] = "astrum.run { 'load' }",
    ["runs another graph"] = "astrum.DynamicScheduler({ tasks = { { 'x', print } } }):execute()",
    ["draws its tasks"] = "astrum.build_scheduler():tree()",
    ["catches a mistake of a build"] = "task('bad', { depends_on = { 'x' }, run = print }) "
      .. "pcall(astrum.build_scheduler)",
    ["tests its tasks"] = "astrum.testing.run(astrum.get_registry())",
    ["looks at its tasks in their order"] = "astrum.build_task_orders()",
    ["forgets its tasks"] = "astrum.clear_registry()",
    ["ends the program itself"] = "os.exit(true, true)",
  }
  for what, code in pairs(silent) do
    it("is not told of when it " .. what, function()
      local result = run({ ["flow.lua"] = DECLARES .. code }, "flow.lua")
      assert.equal("", result.err)
      assert.equal(0, result.code)
    end)
  end

  it("is not told of when the tasks are those of a module", function()
    local files = { ["flow.lua"] = DECLARES, ["main.lua"] = 'require "flow"' }
    assert.same({ code = 0, out = "", err = "" }, run(files, "main.lua"))
    assert.same({ code = 0, out = "", err = "" }, run(files, "-l", "flow"))
  end)

  it("is not told of by other programs", function()
    if program.sanitizers() ~= "" then
      return -- lua5.4 does not load what is built with them
    end
    local lua = program.run({ "-e", DECLARES }, {
      program = "lua5.4",
      env = ("LUA_PATH='lua/?.lua;lua/?/init.lua' LUA_CPATH='%s/lua/?.so'"):format(program.build),
    })
    assert.same({ code = 0, out = "", err = "" }, lua)
  end)

  it("is not told of at the prompt, or by a look", function()
    assert.equal("", run({ ["flow.lua"] = DECLARES }, "-i", "flow.lua").err)
    assert.equal("", run({ ["flow.lua"] = DECLARES }, "--list", "flow.lua").err)
  end)

  it("is told of with the one task that was declared after the run", function()
    local text = DECLARES .. "astrum.run()\ntask('late', function() end)\n"
    local message = "PROGRAM: flow.lua:6: task 'late' is declared too late for a run, "
      .. "so it never runs\n"
    assert.same({ code = 0, out = "", err = message }, run({ ["flow.lua"] = text }, "flow.lua"))
    local result = run({ ["flow.lua"] = text }, "--run", "--progress=none", "flow.lua")
    assert.same({ code = 0, out = "", err = message }, result)
  end)

  it("is told of with a task that takes the place of those that have run", function()
    local text = DECLARES .. "astrum.run()\nastrum.clear_registry()\ntask('late', print)\n"
    local message = "PROGRAM: flow.lua:7: task 'late' is declared too late for a run, "
      .. "so it never runs\n"
    assert.same({ code = 0, out = "", err = message }, run({ ["flow.lua"] = text }, "flow.lua"))
  end)

  it("is not told of with the tasks of another namespace than the one that runs", function()
    local text = DECLARES .. "astrum.namespace('other').task('x', print)\nastrum.run()\n"
    assert.same({ code = 0, out = "", err = "" }, run({ ["flow.lua"] = text }, "flow.lua"))
  end)

  it("is told of with the first tasks that were declared after the run", function()
    local text = DECLARES
      .. "astrum.run()\nfor i = 1, 5 do task('t' .. i, { retry = 1, run = print }) end\n"
    local message = "PROGRAM: flow.lua:6: 5 tasks are declared too late for a run, "
      .. "so they never run: 't1', 't2', 't3', and 2 more\n"
    assert.same({ code = 0, out = "", err = message }, run({ ["flow.lua"] = text }, "flow.lua"))
  end)
end)

describe("a word that is taken for the script", function()
  -- words, what is said of them
  local cases = {
    { { "--run", "parse", "flow.lua" }, "tasks to run stand behind a '=', as in --run=parse" },
    {
      { "--graph", "svg", "flow.lua" },
      "what --graph takes stands behind a '=', as in --graph=svg",
    },
    {
      { "--report", "jsn", "flow.lua" },
      "what --report takes stands behind a '=', as in --report=json",
    },
    {
      { "--json", "out.json", "flow.lua" },
      "--json takes no file; it prints on standard output: --json flow.lua >out.json",
    },
    { { "--run", "flow" }, "did you mean 'flow.lua'?" },
    { { "flow" }, "did you mean 'flow.lua'?" },
  }
  for _, case in ipairs(cases) do
    it("gets help after " .. table.concat(case[1], " "), function()
      local words = case[1]
      local result = run({ ["flow.lua"] = DECLARES }, table.unpack(words))
      local word = words[2] or words[1]
      local message = "PROGRAM: cannot open %s: No such file or directory\nhelp: %s\n"
      assert.same({ code = 1, out = "", err = message:format(word, case[2]) }, result)
    end)
  end

  it("gets no help where nothing else can have been meant", function()
    for _, words in ipairs { { "none.lua" }, { "--run", "none.lua" }, { "-k", "none" } } do
      local result = run({}, table.unpack(words))
      local message = ("PROGRAM: cannot open %s: No such file or directory\n"):format(words[#words])
      assert.same({ code = 1, out = "", err = message }, result)
    end
  end)
end)

describe("a script that is no text", function()
  it("is told so", function()
    local result = run({ ["a.lua"] = "\127ELF\1\0\0\0" }, "a.lua")
    local message = "PROGRAM: a.lua: this is no text, so it is no Lua script\n"
    assert.same({ code = 1, out = "", err = message }, result)
  end)
end)

describe("a script that has not got the library", function()
  it("is told how to get it", function()
    local cases = {
      { 'task "a" {}', "task", 'write local task = require("astrum").task' },
      { 'astrum.task("a", print)', "astrum", 'write local astrum = require "astrum"' },
    }
    for _, case in ipairs(cases) do
      local result = run({ ["flow.lua"] = case[1] }, "flow.lua")
      assert.equal(1, result.code)
      assert.truthy(result.err:find("(global '" .. case[2] .. "')", 1, true))
      assert.truthy(result.err:find("\nhelp: " .. case[3] .. "\n", 1, true))
    end
  end)
end)

describe("a function of the library that is called with a colon", function()
  local cases = {
    { "task", "astrum:task { run = print }" },
    { "task", 'astrum:task "load" { run = print }' },
    { "run", "astrum:run()" },
    { "build_scheduler", "astrum:build_scheduler {}" },
    { "param", 'astrum:param "x"' },
    { "namespace", 'astrum:namespace "x"' },
    { "AstrumConfig", "astrum:AstrumConfig {}" },
  }
  for _, case in ipairs(cases) do
    it("says so: " .. case[2], function()
      local text = 'local astrum = require "astrum"\n' .. case[2]
      local message = "PROGRAM: flow.lua:2: %s: call it with a dot\n   2 | %s\n     |        %s\n"
        .. "help: write astrum.%s, not astrum:%s\n"
      local carets = ("^"):rep(#case[1])
      local expected = message:format(case[1], case[2], carets, case[1], case[1])
      assert.same({ code = 2, out = "", err = expected }, run({ ["flow.lua"] = text }, "flow.lua"))
    end)
  end

  it("says so where it waits, too", function()
    local text = 'local astrum = require "astrum"\nastrum:sleep(1)'
    local message = "PROGRAM: flow.lua:2: sleep: the seconds must be a number, got table\n"
      .. "   2 | astrum:sleep(1)\n     |        ^^^^^\nhelp: write astrum.sleep, not astrum:sleep\n"
    local result = run({ ["flow.lua"] = text }, "flow.lua")
    assert.equal(message, result.err:sub(1, #message))
  end)

  it("says where the name of a task goes", function()
    local text = 'require("astrum").task { name = "load", run = print }'
    local message = "PROGRAM: flow.lua:1: task: the name is a string, got table\n"
      .. 'help: as in task "load" { run = function() ... end }\n'
    assert.equal(message, run({ ["flow.lua"] = text }, "flow.lua").err)
  end)
end)
