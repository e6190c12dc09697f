-- The lines that `silence = false` writes to standard error, and what tasks log.
local program = require "spec.support.program"

-- Runs a program; its lines on standard error without the times and names of runs.
local function lines_of(text)
  local file <close> = program.file('local astrum = require "astrum"\n' .. text)
  local result = program.run { file.path }
  local lines = {}
  for line in result.err:gmatch("[^\n]+") do
    line = line:gsub("^%d%d:%d%d:%d%d%.%d%d%d ", ""):gsub("%d+T%d+Z%-%x+", "RUN")
    lines[#lines + 1] = line
  end
  return lines, result
end

describe("silence = false", function()
  it("writes one line for each event of the run", function()
    local lines, result = lines_of [[
astrum.task("load", function() return 1 end)
astrum.task("use", { inputs = { n = astrum.F.load }, run = function(n) return n end })
astrum.run { config = { silence = false } }:assert()
]]
    assert.equal(0, result.code)
    assert.equal("", result.out)
    assert.same({
      "run_started RUN",
      "attempt_started load",
      "attempt_finished load completed",
      "attempt_started use",
      "attempt_finished use completed",
      "run_finished RUN completed",
    }, lines)
  end)

  it("tells of failures and retries", function()
    local lines = lines_of [[
astrum.task("load", { retry = 1, run = function() error("boom\nsecond line", 0) end })
astrum.task("slow", function() astrum.sleep(10) end)
astrum.run { config = { silence = false } }
]]
    assert.same({
      "run_started RUN",
      "attempt_started load",
      "attempt_finished load failed, will be retried: boom",
      "attempt_started slow",
      "attempt_started load #2",
      "attempt_finished load #2 failed: boom",
      "attempt_finished slow cancelled",
      "run_finished RUN failed",
    }, lines)
  end)

  it("begins every line with the time", function()
    local _, result = lines_of [[
astrum.task("load", function() end)
astrum.run { config = { silence = false } }
]]
    for line in result.err:gmatch("[^\n]+") do
      assert.is_truthy(line:find("^%d%d:%d%d:%d%d%.%d%d%d %l"), line)
    end
  end)

  it("shows names as data", function()
    local lines = lines_of [[
astrum.task("a\nb\27[31m%s", function() end)
astrum.run { config = { silence = false } }
]]
    assert.equal("attempt_started a\\x0Ab\\x1B[31m%s", lines[2])
  end)
end)

describe("silence", function()
  it("is the default: a run writes nothing", function()
    local lines, result = lines_of [[
astrum.task("load", { retry = 1, run = function() error "boom" end })
astrum.run {}
]]
    assert.same({}, lines)
    assert.equal("", result.out)
  end)
end)

describe("ctx.log", function()
  it("writes a line with the task's name, whatever silence says", function()
    local lines = lines_of [[
astrum.task("load", function(ctx) ctx.log("rows", 3, nil, { 1 } ~= nil) end)
astrum.run {}
]]
    assert.same({ "log load: rows 3 nil true" }, lines)
  end)

  it("writes one line for each line of the text", function()
    local lines = lines_of [[
astrum.task("load", function(ctx) ctx.log("one\ntwo") end)
astrum.run {}
]]
    assert.same({ "log load: one", "log load: two" }, lines)
  end)
end)

describe("an error in an on_done function", function()
  it("is told on standard error and leaves the run as it is", function()
    local lines, result = lines_of [[
astrum.task("load", function() end)
local handle = astrum.build_scheduler({}):start()
local called = 0
handle:on_done(function() error("boom", 0) end)
handle:on_done(function() called = called + 1 end)
print(handle:wait().execution_state, called)
]]
    assert.equal("completed\t1\n", result.out)
    assert.equal("astrum: error in an on_done function: boom", lines[1])
  end)
end)
