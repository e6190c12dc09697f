-- What the page is made of; scripts/check-report.sh uses it in a browser.
local flow = require "spec.support.flow"
local hostile = require "spec.support.hostile"
local markup = require "spec.support.markup"
local terminal = require "astrum.terminal"

local function shop()
  return flow
    .load([[
task("load", function() return { n = 1 } end)
task("secret", { sensitive = true, run = function() return "hunter2-token" end })
task("flaky", { retry = 1, run = function(ctx)
  if ctx.attempt == 1 then error("not yet") end
end })
task("charge", { inputs = { n = F.load.n, key = F.secret, rate = 0.2 }, depends_on = { "flaky" },
  run = function(n, key, rate) error("declined <b>for</b> " .. key) end })
task("receipt", { depends_on = { "charge" }, run = function() end })
]])
    :run { config = { failure_mode = "keep_going" } }
end

local function of_name(elements, name)
  local found = {}
  for _, element in ipairs(elements) do
    if element.name == name then
      found[#found + 1] = element
    end
  end
  return found
end

local function button_texts(elements)
  local texts = {}
  for _, element in ipairs(of_name(elements, "button")) do
    if element.parent.name == "td" then
      texts[#texts + 1] = element.text
    end
  end
  return texts
end

describe("the HTML report", function()
  local text, elements

  setup(function()
    text = shop():html()
    elements = markup.elements(text)
  end)

  it("lists every task in its table", function()
    assert.same({ "load", "secret", "flaky", "charge", "receipt" }, button_texts(elements))
  end)

  it("has the picture, bars for attempts, and waits for retries", function()
    assert.equal(5, #markup.of_class(elements, "node"))
    assert.equal(4, #markup.of_class(elements, "edge"))
    local lanes = markup.of_class(elements, "lane")
    assert.equal("slot 1", lanes[1].attributes["data-name"])
    local bars = {}
    for _, element in ipairs(of_name(elements, "b")) do
      if element.parent.attributes.class == "track" then
        bars[#bars + 1] = element.text
      end
    end
    table.sort(bars)
    assert.same({ "charge", "flaky", "flaky #2", "load", "secret" }, bars)
  end)

  it("says below the timeline what the colours of its bars mean", function()
    local function colours(page)
      local legend = markup.of_class(markup.elements(page), "legend")[1]
      local texts = {}
      for _, element in ipairs(of_name(markup.elements(page), "span")) do
        if element.parent.attributes.class == legend.attributes.class then
          texts[#texts + 1] = element.text
        end
      end
      return table.concat(texts, ", ", 1, #texts - 3)
    end
    assert.equal("completed, failed", colours(text))
    local late =
      flow.load([[task("late", { timeout = 0.001, run = function() sleep(1) end })]]):run {}:html()
    assert.equal("timed out", colours(late))
  end)

  it("tells errors with their traceback, and what did not run because of them", function()
    assert.is_truthy(text:find("declined &lt;b&gt;for&lt;/b&gt; [hidden]", 1, true))
    assert.is_truthy(text:find("stack traceback:", 1, true))
    assert.is_truthy(text:find("1 task did not run to the end because of it.", 1, true))
  end)

  it("never has a sensitive value", function()
    assert.is_nil(text:find("hunter2", 1, true))
  end)

  it("asks for nothing from elsewhere", function()
    assert.is_truthy(text:find("default-src 'none'", 1, true))
    for _, element in ipairs(elements) do
      local attributes = element.attributes
      assert.is_nil(attributes.src)
      assert.is_nil((attributes.href or "#"):match("^[^#]"))
      assert.is_nil(element.name == "link" or element.name == "img" or nil)
    end
    assert.is_nil(of_name(elements, "style")[1].text:find("@import", 1, true))
  end)

  it("has the report as JSON for its script", function()
    local data = of_name(elements, "script")[1]
    assert.equal("application/json", data.attributes.type)
    assert.is_nil(data.text:find("<", 1, true))
    local has_oracle, oracle = pcall(require, "dkjson")
    if not has_oracle then
      pending("dkjson is not installed (Debian package lua-dkjson)")
    end
    local page = oracle.decode(data.text)
    assert.equal("astrum-report/1", page.report.schema)
    local task = page.tasks[5]
    assert.equal("charge", task.name)
    assert.equal("charge", page.report.task_statistics[task.entry + 1].task_name)
    local inputs = {}
    for position, input in ipairs(task.inputs) do
      inputs[position] = input.text
    end
    assert.same({ "n = n", "key = whole result", "rate = 0.2" }, inputs)
  end)

  it("shows constants shortened, and without what is sensitive", function()
    local report = flow
      .load([[
task("key", { sensitive = true, run = function() return "hunter2-token" end })
task("use", {
  inputs = { key = F.key, url = "http://x/?hunter2-token", long = ("x"):rep(500), list = { 1, 2 } },
  run = function(key, url, long, list) end,
})
]])
      :run {}
    local page = report:html()
    assert.is_nil(page:find("hunter2", 1, true))
    assert.is_truthy(page:find([["url = \"http://x/?[hidden]\""]], 1, true))
    assert.is_truthy(page:find([["long = \"]] .. ("x"):rep(99) .. [[…\""]], 1, true))
    assert.is_truthy(page:find([["list = { 1, 2 }"]], 1, true))
  end)

  it("can be read by a machine that reads aloud", function()
    for _, element in ipairs(of_name(elements, "section")) do
      local attributes = element.attributes
      assert.is_truthy(attributes["aria-label"] or attributes["aria-labelledby"])
    end
    assert.equal("h1", of_name(elements, "h1")[1].name)
    for _, element in ipairs(of_name(elements, "th")) do
      assert.equal("col", element.attributes.scope)
    end
  end)

  it("has hostile names and errors as text", function()
    local report = flow.run(function(task)
      for _, name in ipairs(hostile.NAMES) do
        task(name, function()
          error(name, 0)
        end)
      end
    end, { failure_mode = "keep_going" })
    local hostile_text = report:html()
    local found = markup.elements(hostile_text)
    assert.equal(2, #of_name(found, "script"))
    assert.equal(0, #of_name(found, "img"))
    local names = button_texts(found)
    for position, name in ipairs(hostile.NAMES) do
      assert.equal(terminal.cut(terminal.escape(name), 120), names[position])
    end
    assert.is_truthy(utf8.len(hostile_text))
    assert.is_nil(hostile_text:find("[\0-\8\11-\31\127]"))
    assert.is_nil(hostile_text:find("\u{202E}", 1, true))
  end)

  it("is cut for a run of more than 10,000 tasks, and has those that failed", function()
    local report = flow.run(function(task)
      for number = 1, 10100 do
        task("task" .. number, function()
          assert(number < 10100, "the last one fails")
        end)
      end
    end, { failure_mode = "keep_going" })
    local page = report:html()
    assert.is_truthy(page:find("… and 100 more tasks, which completed, not shown", 1, true))
    assert.is_truthy(page:find(">task10100</button>", 1, true))
    assert.is_truthy(page:find("… and 5,100 more tasks</text>", 1, true))
  end)
end)
