local astrum = require "astrum"
local completion = require "astrum.repl.completion"
local schedulers = require "astrum.scheduler"
local sessions = require "astrum.repl.session"

describe("completion at the prompt", function()
  local session

  before_each(function()
    astrum.clear_registry()
    session = sessions.new()
    _G.shop = { name = "x", open = function() end, close = function() end, ["a-b"] = 1 }
    _G.F = astrum.F
  end)

  after_each(function()
    schedulers.observe(nil)
    astrum.clear_registry()
    _G.shop, _G.F = nil, nil
  end)

  local function complete(line, start)
    return completion.complete(session, line, start)
  end

  it("completes globals and words of Lua", function()
    assert.same({ "coroutine" }, complete "cor")
    assert.same({ "function" }, complete "local f = func")
  end)

  it("completes fields that are names", function()
    assert.same({ "close", "name", "open" }, complete "print(shop.")
    assert.same({ "open" }, complete "print(shop.o")
  end)

  it("completes only functions after a colon", function()
    assert.same({ "close", "open" }, complete "shop:")
  end)

  it("finds fields through tables that __index names", function()
    local base = setmetatable({ far = 1 }, { __index = { farther = 2 } })
    _G.shop = setmetatable({ near = 0 }, { __index = base })
    assert.same({ "far", "farther", "near" }, complete "shop.")
  end)

  it("ends for tables that are behind themselves", function()
    _G.shop.__index = setmetatable(_G.shop, _G.shop)
    assert.same({ "name" }, complete "shop.n")
  end)

  it("calls no function", function()
    local function fail()
      error "called"
    end
    _G.shop = setmetatable({}, { __index = fail, __pairs = fail, __len = fail })
    assert.same({}, complete "shop.")
    assert.same({}, complete "shop.name.")
    assert.same({}, complete "shop().")
  end)

  it("completes methods of strings and files", function()
    _G.shop = { text = "x" }
    assert.same({ "gmatch", "gsub" }, complete "shop.text:g")
    assert.same({ "setvbuf" }, complete "io.stdout:setv")
  end)

  it("completes task names after F that can stand there", function()
    for _, name in ipairs { "load_order", "load-all", "sum" } do
      astrum.task(name, function() end)
    end
    assert.same({ "load_order" }, complete "inputs = { F.lo")
    _G.shop = { F = astrum.F }
    assert.same({ "load_order", "sum" }, complete "shop.F.")
  end)

  it("completes all task names in a string after F", function()
    astrum.task("load order", function() end)
    astrum.task("load-all", function() end)
    assert.same({ "load order", "load-all" }, complete 'F["lo')
    assert.same({ "load-all" }, complete "F('load-")
    assert.same({}, complete 'print("lo')
  end)

  it("completes fields of the last result of a task", function()
    astrum.task("order", function()
      return { customer = { name = "Ada" }, count = 1 }
    end)
    astrum.run()
    assert.same({ "count", "customer" }, complete "F.order.")
    assert.same({ "name" }, complete "F.order.customer.n")
  end)

  it("completes fields and results of a report", function()
    astrum.task("order", function()
      return 1
    end)
    _G.shop = astrum.run()
    assert.same({ "critical_path" }, complete "shop:cri")
    assert.same({ "order" }, complete "shop.task_return_set.")
  end)

  it("completes commands", function()
    assert.same({ "report", "rerun", "reset", "result " }, complete ".re")
  end)

  it("leaves a blank behind a command that takes arguments", function()
    assert.same({ "show " }, complete ".sh")
    assert.same({ "quit" }, complete ".q")
  end)

  it("completes arguments of commands", function()
    astrum.task("load-order", function() end)
    assert.same({ "load-order" }, complete ".show lo")
    assert.same({ "load-order" }, complete ".run a lo")
    assert.same({ "tree" }, complete ".graph t")
    assert.same({ "off", "on" }, complete ".time o")
    assert.same({ "default" }, complete ".namespace ")
    assert.same({ "explain" }, complete ".help exp")
    assert.same({}, complete ".quit x")
    assert.same({}, complete ".nothing x")
  end)

  it("leaves names of files to the editor", function()
    assert.is_nil(complete ".load exa")
  end)

  it("gives what stands in place of the end of the line from a byte on", function()
    astrum.task("load-order", function() end)
    assert.same({ "order" }, complete(".show load-o", 12))
    assert.same({ "shop.open" }, complete("shop.op", 1))
  end)
end)
