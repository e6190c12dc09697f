-- Runs every example as a user does and compares what it prints with spec/golden. The programs
-- of examples/embed are built against an astrum that is installed to a folder of its own.

local program = require "spec.support.program"

local BUILD <const> = program.build

-- What a run prints must not depend on who runs it.
local ENVIRONMENT <const> = "-u FORCE_COLOR -u CLICOLOR_FORCE LC_ALL=C.UTF-8 COLUMNS=100"

local function read_file(path)
  local file <close> = assert(io.open(path, "rb"))
  return file:read("a")
end

local function golden(name)
  return read_file("spec/golden/example_" .. name .. ".txt")
end

local function run_example(name, ...)
  return program.run({ "examples/" .. name .. ".lua", ... }, { env = ENVIRONMENT })
end

local function run_retriever(variables, ...)
  local unset = "-u RETRIEVER_MODEL -u RETRIEVER_CONCURRENCY -u RETRIEVER_MODEL_CALLS "
    .. "-u RETRIEVER_TOP "
  return program.run(
    { "examples/text_retriever.lua", ... },
    { env = unset .. ENVIRONMENT .. " " .. variables }
  )
end

local function run_stock(name, variables)
  return program.run(
    { "examples/" .. name .. ".lua" },
    { program = "lua5.4", env = ENVIRONMENT .. " " .. variables }
  )
end

local function shell(command, directory)
  return program.run({ "-c", command }, { program = "sh", directory = directory })
end

local function assert_prints(expected, result)
  assert.equal("", result.err)
  assert.equal(expected, result.out)
  assert.equal(0, result.code)
end

local function assert_refuses(message, result)
  assert.equal("", result.out)
  assert.equal(message, result.err)
  assert.equal(1, result.code)
end

describe("the example", function()
  it("hello joins the results of two tasks", function()
    assert_prints("Hello, world!\n", run_example("hello"))
  end)

  it("fast_start draws, runs and checks six workflows", function()
    assert_prints(golden("fast_start"), run_example("fast_start"))
  end)

  it("manual_dag shows the plan, the state and the dependencies", function()
    assert_prints(golden("manual_dag"), run_example("manual_dag"))
  end)

  it("error_summary shows the state and the error of every task", function()
    assert_prints(golden("error_summary"), run_example("error_summary"))
  end)

  it("coffee_shop draws six tasks with an injected function and tells every step", function()
    assert_prints(golden("coffee_shop"), run_example("coffee_shop"))
  end)

  it("namespaces uses both styles and makes its own views of orders and plan", function()
    assert_prints(golden("namespaces"), run_example("namespaces"))
  end)

  it("generated_inputs gets one result from inputs that are written and inputs made", function()
    assert_prints(golden("generated_inputs"), run_example("generated_inputs"))
  end)

  it("resilient_fetch asks again, gives up what hangs and takes the stored value", function()
    assert_prints(golden("resilient_fetch"), run_example("resilient_fetch"))
  end)

  it("approval goes on with an answer, without consent and without an answer", function()
    assert_prints(golden("approval"), run_example("approval"))
  end)

  it("primes counts in child processes, in a workflow that two tasks use", function()
    assert_prints(golden("primes"), run_example("primes"))
  end)

  it("embed_module runs one scheduler twice", function()
    assert_prints(golden("embed_module"), run_example("embed_module"))
  end)
end)

describe("the example embed_module under stock lua5.4", function()
  it("runs with the built module", function()
    if program.sanitizers() ~= "" then
      pending("stock lua5.4 cannot load a module that is built with sanitizers")
    end
    local paths = ("LUA_PATH='lua/?.lua;lua/?/init.lua;;' LUA_CPATH=%s"):format(
      program.quote(BUILD .. "/lua/?.so;;")
    )
    assert_prints(golden("embed_module"), run_stock("embed_module", paths))
  end)

  it("says how to find the module when it is not there", function()
    local paths = "LUA_PATH=/nowhere/?.lua LUA_CPATH=/nowhere/?.so"
    local message = [[
module 'astrum' not found:
	no field package.preload['astrum']
	no file '/nowhere/astrum.lua'
	no file '/nowhere/astrum.so'

embed_module: cannot load the module astrum. Install it with `make install`,
or build it and, at the top of its source tree, tell Lua where it is:

  make
  export LUA_PATH="lua/?.lua;lua/?/init.lua;;" LUA_CPATH="build/lua/?.so;;"
  lua5.4 examples/embed_module.lua
]]
    assert_refuses(message, run_stock("embed_module", paths))
  end)
end)

describe("the example dpkg_report", function()
  it("respects alternatives, versions, provides and architectures", function()
    local result = run_example("dpkg_report", "spec/golden/example_dpkg_status.txt")
    assert_prints(golden("dpkg_report"), result)
  end)

  it("agrees with dpkg-query about this machine", function()
    local states = shell("dpkg-query -W -f '${db:Status-Status}\\n'").out
    local _, count = states:gsub("%f[^\n\0]installed\n", "")
    local result = run_example("dpkg_report")
    assert.equal("", result.err)
    assert.equal(0, result.code)
    local agreed = result.out:match("\ndpkg%-query agrees: (%d+) packages, %d+ KiB\n$")
    assert.equal(count, tonumber(agreed))
  end)

  it("refuses a file that is not there", function()
    assert_refuses(
      "dpkg_report: Execution interrupted; task 'read_status' failed: "
        .. "/nowhere/status: No such file or directory\n",
      run_example("dpkg_report", "/nowhere/status")
    )
  end)

  it("refuses a file that is no package database", function()
    assert_refuses(
      "dpkg_report: Execution interrupted; task 'parse_packages' failed: "
        .. "line 1 is not a field: 'MIT License'\n",
      run_example("dpkg_report", "LICENSE")
    )
  end)
end)

describe("the example fan_out", function()
  it("counts the words of the documents", function()
    assert_prints(golden("fan_out"), run_example("fan_out"))
  end)

  it("counts what it can read and reports the rest", function()
    local folder = shell("mktemp -d").out:match("^[^\n]+")
    local command = [[cd %s && echo one two > 'a file' && ln -s nowhere lost && ln -s . loop]]
    shell(command:format(program.quote(folder)))
    local result = run_example("fan_out", folder)
    shell("rm -r " .. program.quote(folder))
    local expected = "      2 FOLDER/a file\n      2 total\n"
    assert.equal(expected, (result.out:gsub(folder, "FOLDER")))
    local errors = "fan_out: FOLDER/loop: Is a directory\n"
      .. "fan_out: FOLDER/lost: No such file or directory\n"
    assert.equal(errors, (result.err:gsub(folder, "FOLDER")))
    assert.equal(1, result.code)
  end)

  it("refuses a folder that is not there", function()
    assert_refuses(
      "fan_out: find: ‘/nowhere’: No such file or directory\n",
      run_example("fan_out", "/nowhere")
    )
  end)
end)

describe("the example text_retriever", function()
  it("finds the documents for a question", function()
    assert_prints(golden("text_retriever"), run_retriever("RETRIEVER_MODEL=offline"))
  end)

  it("takes the question, the limits and the number of documents", function()
    local variables = "RETRIEVER_MODEL=offline RETRIEVER_CONCURRENCY=1 RETRIEVER_MODEL_CALLS=1 "
      .. "RETRIEVER_TOP=1"
    local result = run_retriever(variables, "--query", "are backups kept")
    local expected = "15 tasks, 7 stages, up to 6 side by side; 8 documents\n"
      .. "1. 0.54  backups.txt    Backups\n"
    assert_prints(expected, result)
  end)

  for _, option in ipairs { "--plan", "--plan-only" } do
    it(("prints the plan and runs nothing for %s"):format(option), function()
      assert_prints(golden("text_retriever_plan"), run_retriever("", option))
    end)
  end

  local refused <const> = {
    [""] = "set RETRIEVER_MODEL to the model to ask; only 'offline' is here",
    ["RETRIEVER_MODEL_CALLS=many"] = "RETRIEVER_MODEL_CALLS must be a positive integer, got 'many'",
    ["RETRIEVER_TOP=0"] = "RETRIEVER_TOP must be a positive integer, got '0'",
  }
  for variables, message in pairs(refused) do
    it(("ends with 2 and a message for the settings '%s'"):format(variables), function()
      local result = run_retriever(variables)
      assert.equal("text_retriever: " .. message .. "\n", result.err)
      assert.equal("", result.out)
      assert.equal(2, result.code)
    end)
  end

  it("ends with 2 and the usage for a wrong command line", function()
    local result = run_retriever("", "--quary", "x")
    local usage = "usage: text_retriever.lua [--plan] [--query TEXT]\n"
    assert.equal("text_retriever: " .. usage, result.err)
    assert.equal(2, result.code)
  end)
end)

describe("the C programs of examples/embed", function()
  local folder

  setup(function()
    folder = shell("mktemp -d").out:match("^[^\n]+")
    -- The pkg-config file names the place it was configured for.
    local command = [[
      cp -r examples/embed %s/embed
      cmake --install %s --prefix %s/astrum
      cd %s && sed -i "s|^prefix=.*|prefix=$PWD/astrum|" $(find . -name astrum.pc)]]
    local place = program.quote(folder)
    local result = shell(command:format(place, program.quote(BUILD), place, place))
    assert.equal("", result.err)
  end)

  teardown(function()
    shell("rm -rf " .. program.quote(folder))
  end)

  local function run_in_folder(command)
    local sanitizers = program.sanitizers()
    local flags = sanitizers ~= "" and "-fsanitize=" .. sanitizers or ""
    local variables = [[
      export CFLAGS='%s' MAKEFLAGS=
      export PKG_CONFIG_PATH=$(dirname $(find "$PWD/astrum" -name astrum.pc))
      export LUA_PATH="$PWD/astrum/share/lua/5.4/?.lua;$PWD/astrum/share/lua/5.4/?/init.lua"
      module=$(find "$PWD/astrum" -name core.so)
      export LUA_CPATH="${module%%/astrum/core.so}/?.so"
    ]]
    return shell(variables:format(flags) .. command, folder)
  end

  it("build with pkg-config and run", function()
    local result = run_in_folder("make -s -C embed tasks host && embed/tasks && embed/host")
    assert_prints(golden("embed"), result)
  end)

  it("build with CMake's find_package and run", function()
    local built = run_in_folder(
      "cmake -S embed -B built -DCMAKE_PREFIX_PATH=$PWD/astrum && cmake --build built"
    )
    assert.equal(0, built.code, built.err)
    assert_prints(golden("embed"), run_in_folder("built/tasks && built/host"))
  end)
end)
