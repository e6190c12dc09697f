local astrum = require "astrum"
local flow = require "spec.support.flow"
local hostile = require "spec.support.hostile"

local has_oracle, oracle = pcall(require, "dkjson")

local function decode(text)
  if not has_oracle then
    pending("dkjson is not installed (Debian package lua-dkjson)")
  end
  local value, _, why = oracle.decode(text)
  assert.is_nil(why)
  return value
end

-- What differs from run to run: times, durations, the id of the run.
local function steady(text)
  return (
    text
      :gsub('("[%w_]*time": )[%d.e-]+', "%1TIME")
      :gsub('("[%w_]*duration": )[%d.e-]+', "%1TIME")
      :gsub('("run_id": )"[^"]*"', '%1"ID"')
      :gsub('"stack traceback:[^"]*"', '"TRACEBACK"')
  )
end

local function read_file(path)
  local file <close> = assert(io.open(path, "rb"))
  return file:read "a"
end

local function shop()
  local registry = flow.load [[
task("load", function() return { items = { 10, 20 } } end)
task("flaky", { retry = 1, run = function(ctx) sleep(0.002)
  if ctx.attempt == 1 then error("not yet") end
end })
task("each", { map = { item = F.load.items }, run = function(item) return item // 10 end })
task("charge", { inputs = { load = F.load }, depends_on = { "flaky" }, run = function(load)
  error("card declined")
end })
task("receipt", { depends_on = { "charge" }, run = function() end })
task("log", { detached = true, run = function() end })
]]
  return astrum.testing.run(registry, { config = { failure_mode = "keep_going" } })
end

describe("the JSON of a report", function()
  it("is as docs/report-json.md says", function()
    assert.equal(
      read_file "spec/golden/report_json.txt",
      steady(shop():json { indent = true }) .. "\n"
    )
  end)

  it("has one line unless lines are asked for", function()
    local text = shop():json()
    assert.is_nil(text:find("\n", 1, true))
    assert.equal("astrum-report/1", decode(text).schema)
  end)

  it("is read by another program", function()
    local report = shop()
    local read = decode(report:json())
    assert.equal("failed", read.execution_state)
    assert.equal(report.total_tasks, read.total_tasks)
    assert.equal(report.execution_duration, read.execution_duration)
    assert.same(report.error_summary, setmetatable(read.error_summary, nil))
    assert.equal("charge", read.task_statistics[4].task_name)
    assert.equal("flow.lua:7: card declined", read.task_statistics[4].error.message)
    assert.equal(2, #read.task_statistics[3].items)
    assert.equal("log", read.tail_tasks[1].task_name)
  end)

  it("names every key that docs/report-json.md describes, and no other", function()
    local page = read_file "docs/report-json.md"
    local keys = {}
    for key in shop():json({ results = true }):gmatch('"([%w_]+)":') do
      keys[key] = true
    end
    keys.items = nil
    for key in pairs(keys) do
      assert.is_truthy(page:find("`" .. key .. "`", 1, true), key)
    end
  end)

  it("leaves results out unless they are asked for", function()
    local report = shop()
    assert.is_nil(report:json():find('"result"', 1, true))
    local read = decode(report:json { results = true })
    assert.same({ 10, 20 }, setmetatable(read.task_statistics[1].result.items, nil))
    assert.is_nil(read.task_statistics[4].result)
  end)

  it("never shows a sensitive value", function()
    local report = flow
      .load([[
task("token", { sensitive = true, run = function() return { key = "hunter2-token" } end })
task("account", function() return { name = "ann", pin = 4711081547 } end)
task("use", {
  inputs = { token = F.token.key, pin = Ref("integer", F.account.pin, { sensitive = true }) },
  run = function(token, pin)
    return { url = "http://x/" .. token, [token] = pin, n = 4711081547 }
  end,
})
task("fail", { inputs = { token = F.token.key }, run = function(token)
  error("cannot use " .. token)
end })
]])
      :run { config = { failure_mode = "keep_going" } }
    local text = report:json { results = true }
    assert.is_nil(text:find("hunter2", 1, true))
    assert.is_nil(text:find("4711081547", 1, true))
    local tasks = decode(text).task_statistics
    assert.equal("[hidden]", tasks[1].result)
    assert.equal("[hidden]", tasks[2].result.pin)
    assert.equal("ann", tasks[2].result.name)
    assert.equal("http://x/[hidden]", tasks[3].result.url)
    assert.equal("[hidden]", tasks[3].result.n)
    assert.equal("flow.lua:10: cannot use [hidden]", tasks[4].error_message)
  end)

  it("never shows what is sensitive inside a task that is a workflow", function()
    local inner = flow.registry(function(task)
      task("pin", {
        sensitive = true,
        run = function()
          return 42
        end,
      })
      task("name", function()
        return "ann"
      end)
    end)
    local report = flow.run(function(task)
      task("outer", { workflow = inner })
    end)
    local read = decode(report:json { results = true })
    assert.same(
      { pin = "[hidden]", name = "ann" },
      setmetatable(read.task_statistics[1].result, nil)
    )
  end)

  it("has the report of a task that is a workflow inside it", function()
    local inner = flow.registry(function(task)
      task("a", function()
        return 1
      end)
    end)
    local report = flow.run(function(task)
      task("outer", { workflow = inner })
    end)
    local read = decode(report:json())
    assert.equal("a", read.task_statistics[1].report.task_statistics[1].task_name)
  end)

  it("is valid whatever names and errors are", function()
    local report = flow.run(function(task)
      for _, name in ipairs(hostile.NAMES) do
        task(name, function()
          error(name, 0)
        end)
      end
    end, { failure_mode = "keep_going" })
    local text = report:json()
    assert.is_truthy(utf8.len(text))
    assert.is_nil(text:find("[\0-\31\127]"))
    local tasks = decode(text).task_statistics
    for position, name in ipairs(hostile.NAMES) do
      if utf8.len(name) then
        assert.equal(name, tasks[position].task_name)
        assert.equal(name:find "%S" and name, tasks[position].error_message)
      end
    end
  end)

  it("refuses options that it does not know", function()
    local failure = flow.raised(shop().json, shop(), { result = true })
    assert.equal("json: unknown option 'result'", failure.text)
    assert.equal("did you mean 'results'?", failure.help)
  end)

  it("of a run without tasks has empty lists", function()
    local registry = astrum.SchedulerRegistry "none"
    registry.task("a", function() end)
    local text = registry:build_scheduler({ target_tasks = {} }):execute():json()
    assert.is_truthy(text:find('"task_statistics":[]', 1, true))
    assert.is_truthy(text:find('"critical_path":{"tasks":[],"duration":0.0}', 1, true))
  end)
end)
