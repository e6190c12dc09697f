-- Runs every example as a user does, with the program that runs the specs, and
-- compares what it prints with spec/golden. The programs of examples/embed are
-- built against an astrum installed to a folder of its own.

local function interpreter()
  local first = 0
  while arg[first - 1] do
    first = first - 1
  end
  return arg[first]
end

local PROGRAM <const> = interpreter()
local BUILD <const> = PROGRAM:match("^(.*)/bin/[^/]+$") or "build"

-- What a run prints must not depend on who runs it.
local ENVIRONMENT <const> = table.concat({
  "env -u FORCE_COLOR -u CLICOLOR_FORCE -u LUA_INIT -u LUA_INIT_5_4",
  "LC_ALL=C.UTF-8 COLUMNS=100",
}, " ")

local function quote(text)
  return "'" .. text:gsub("'", "'\\''") .. "'"
end

local function read_file(path)
  local file <close> = assert(io.open(path, "rb"))
  return file:read("a")
end

--- Runs a shell command: what it wrote, and its exit code.
local function shell(command)
  local errors = os.tmpname()
  local pipe = assert(io.popen(("{ %s\n} 2>%s"):format(command, errors)))
  local output = pipe:read("a")
  local _, _, code = pipe:close()
  local messages = read_file(errors)
  os.remove(errors)
  return { output = output, messages = messages, code = code }
end

local function run_example(name, ...)
  local words = { ENVIRONMENT, quote(PROGRAM), "examples/" .. name .. ".lua" }
  for _, argument in ipairs { ... } do
    table.insert(words, quote(argument))
  end
  return shell(table.concat(words, " "))
end

local function golden(name)
  return read_file("spec/golden/example_" .. name .. ".txt")
end

local function assert_prints(expected, result)
  assert.equal("", result.messages)
  assert.equal(expected, result.output)
  assert.equal(0, result.code)
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

  it("embed_module runs one scheduler twice", function()
    assert_prints(golden("embed_module"), run_example("embed_module"))
  end)
end)

describe("the example embed_module under stock lua5.4", function()
  local function run_stock(variables)
    return shell(("%s %s lua5.4 examples/embed_module.lua"):format(ENVIRONMENT, variables))
  end

  it("runs with the built module", function()
    if shell("ldd " .. quote(BUILD .. "/lua/astrum/core.so")).output:find("san.so", 1, true) then
      pending("a sanitized module cannot be loaded into stock lua5.4")
    end
    local paths = ("LUA_PATH='lua/?.lua;lua/?/init.lua;;' LUA_CPATH='%s/lua/?.so;;'"):format(BUILD)
    assert_prints(golden("embed_module"), run_stock(paths))
  end)

  it("says how to find the module when it is not there", function()
    local result = run_stock("LUA_PATH=/nowhere/?.lua LUA_CPATH=/nowhere/?.so")
    local help = [[

embed_module: cannot load the module astrum. Install it with `make install`,
or build it and, at the top of its source tree, tell Lua where it is:

  make
  export LUA_PATH="lua/?.lua;lua/?/init.lua;;" LUA_CPATH="build/lua/?.so;;"
  lua5.4 examples/embed_module.lua
]]
    assert.equal("", result.output)
    assert.equal(help, result.messages:sub(-#help))
    assert.equal("module 'astrum' not found:", result.messages:match("^[^\n]*"))
    assert.equal(1, result.code)
  end)
end)

describe("the example dpkg_report", function()
  it("respects alternatives, versions, provides and architectures", function()
    local result = run_example("dpkg_report", "spec/golden/example_dpkg_status.txt")
    assert_prints(golden("dpkg_report"), result)
  end)

  it("agrees with dpkg-query about this machine", function()
    local count = shell("dpkg-query -W -f '${db:Status-Status}\\n' | grep -c '^installed$'").output
    local result = run_example("dpkg_report")
    assert.equal("", result.messages)
    assert.equal(0, result.code)
    local agreed = result.output:match("\ndpkg%-query agrees: (%d+) packages, %d+ KiB\n$")
    assert.equal(tonumber(count), tonumber(agreed))
  end)

  it("refuses a file that is not there", function()
    local result = run_example("dpkg_report", "/nowhere/status")
    assert.equal("", result.output)
    assert.equal(
      "dpkg_report: Execution interrupted; task 'read_status' failed: "
        .. "/nowhere/status: No such file or directory\n",
      result.messages
    )
    assert.equal(1, result.code)
  end)

  it("refuses a file that is no package database", function()
    local result = run_example("dpkg_report", "LICENSE")
    assert.equal("", result.output)
    assert.equal(
      "dpkg_report: Execution interrupted; task 'parse_packages' failed: "
        .. "line 1 is not a field: 'MIT License'\n",
      result.messages
    )
    assert.equal(1, result.code)
  end)
end)

describe("the C programs of examples/embed", function()
  local folder

  setup(function()
    folder = shell("mktemp -d").output:match("^[^\n]+")
    local install = "cmake --install %s --prefix %s/astrum && cp -r examples/embed %s/embed"
    local result = shell(install:format(quote(BUILD), folder, folder))
    assert.equal(0, result.code, result.messages)
  end)

  teardown(function()
    shell("rm -rf " .. quote(folder))
  end)

  local function in_folder(command)
    local variables = "export PKG_CONFIG_PATH=$(dirname $(find $PWD/astrum -name astrum.pc))"
      .. ' LUA_PATH="$PWD/astrum/share/lua/5.4/?.lua;$PWD/astrum/share/lua/5.4/?/init.lua"'
      .. ' LUA_CPATH="$(dirname $(dirname $(find $PWD/astrum -name core.so)))/?.so"'
    return shell(("cd %s && %s && %s"):format(quote(folder), variables, command))
  end

  it("build with pkg-config and run", function()
    local result = in_folder("MAKEFLAGS= make -s -C embed tasks host && embed/tasks && embed/host")
    assert_prints(golden("embed"), result)
  end)

  it("build with CMake's find_package and run", function()
    local built =
      in_folder("cmake -S embed -B built -DCMAKE_PREFIX_PATH=$PWD/astrum && cmake --build built")
    assert.equal(0, built.code, built.messages)
    assert_prints(golden("embed"), in_folder("built/tasks && built/host"))
  end)
end)
