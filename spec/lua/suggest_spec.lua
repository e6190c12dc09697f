local suggest = require "astrum.suggest"

describe("a suggestion", function()
  it("is the name with the smallest edit distance", function()
    assert.equal("load_order", suggest.nearest("load_ordr", { "load_orders", "load_order", "x" }))
  end)

  it("is the first of equally near names", function()
    assert.equal("ab", suggest.nearest("a", { "ab", "ac" }))
  end)

  it("may be two edits away from a short name", function()
    assert.equal("tsak", suggest.nearest("task", { "tsak" }))
    assert.is_nil(suggest.nearest("task", { "tables" }))
  end)

  it("is not another letter for a single one", function()
    assert.is_nil(suggest.nearest("x", { "y", "b" }))
    assert.is_nil(suggest.nearest("y", { "run" }))
    assert.equal("db", suggest.nearest("bd", { "db" }))
    assert.equal("fetch", suggest.nearest("fech", { "x", "fetch" }))
  end)

  it("may be a third of a long name away, and no more", function()
    assert.equal("abcdefgh9999", suggest.nearest("abcdefghijkl", { "abcdefgh9999" }))
    assert.is_nil(suggest.nearest("abcdefghijkl", { "abcdefg99999" }))
  end)

  it("finds names with letters left out, added or changed anywhere", function()
    for _, name in ipairs { "retr", "retrry", "rotry", "etry", "xretry", "reXtYry" } do
      assert.equal("retry", suggest.nearest(name, { "run", "retry" }))
    end
  end)

  it("is the only name that begins like it", function()
    local names = { "trigger", "pool", "pool_size", "concurrency_limit" }
    assert.equal("trigger", suggest.nearest("trigger_rule", names))
    assert.equal("concurrency_limit", suggest.nearest("concurrency", names))
    assert.is_nil(suggest.nearest("pool_size_limit", names))
    assert.is_nil(suggest.nearest("triggering_rules", names))
  end)

  it("agrees with the plain edit distance", function()
    local function plain(a, b)
      local row = {}
      for j = 0, #b do
        row[j] = j
      end
      for i = 1, #a do
        local diagonal = row[0]
        row[0] = i
        for j = 1, #b do
          local cost = diagonal + (a:byte(i) == b:byte(j) and 0 or 1)
          diagonal, row[j] = row[j], math.min(cost, row[j] + 1, row[j - 1] + 1)
        end
      end
      return row[#b]
    end
    local state = 7
    local function word()
      local bytes = {}
      state = (state * 1103515245 + 12345) & 0x7fffffff
      for i = 1, state >> 8 & 7 do
        state = (state * 1103515245 + 12345) & 0x7fffffff
        bytes[i] = 97 + (state >> 8) % 3
      end
      return string.char(table.unpack(bytes))
    end
    for _ = 1, 500 do
      local a, b = word(), word()
      local near = plain(a, b) <= (#a == 1 and 1 or math.max(2, #a // 3))
      near = near and (a == b or b ~= "" and a:find("[" .. b .. "]") ~= nil)
      assert.equal(near and b or nil, suggest.nearest(a, { b }), a .. " " .. b)
    end
  end)
end)

describe("help for an unknown name", function()
  it("asks for the nearest name", function()
    assert.equal("did you mean 'retry'?", suggest.help("retrys", { "run", "retry" }, "options"))
  end)

  it("lists the names when none is near", function()
    local help = suggest.help("zzzzzzzz", { "run", "retry" }, "options")
    assert.equal("the options are: run, retry", help)
  end)

  it("lists the first ten of many names", function()
    local names = {}
    for i = 1, 14 do
      names[i] = "name_" .. i
    end
    assert.equal(
      "the tasks are: name_1, name_2, name_3, name_4, name_5, name_6, name_7, name_8, name_9, "
        .. "name_10 and 4 more",
      suggest.help("zzzzzzzzzz", names, "tasks")
    )
  end)

  it("says when there are no names", function()
    assert.equal("there are no tasks", suggest.help("a", {}, "tasks"))
  end)

  it("accepts keys of any type", function()
    assert.equal("the options are: run", suggest.help(1, { "run" }, "options"))
  end)
end)
