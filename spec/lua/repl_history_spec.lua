local histories = require "astrum.repl.history"

local function environment(values)
  return function(name)
    return values[name]
  end
end

describe("the history of lines", function()
  local path, given, host

  before_each(function()
    path = os.tmpname()
    host = {
      private_file = function(name)
        assert(io.open(name, "ab")):close()
        return true
      end,
      set_history = function(lines)
        given = table.move(lines, 1, #lines, 1, {})
      end,
    }
  end)

  after_each(function()
    os.remove(path)
  end)

  local function write(text)
    local file <close> = assert(io.open(path, "wb"))
    file:write(text)
  end

  local function text()
    local file <close> = assert(io.open(path, "rb"))
    return file:read "a"
  end

  it("is kept where XDG_STATE_HOME says, else below the home folder", function()
    local home = { HOME = "/home/ada" }
    assert.equal("/home/ada/.local/state/astrum/history", histories.path(environment(home)))
    home.XDG_STATE_HOME = "/state"
    assert.equal("/state/astrum/history", histories.path(environment(home)))
    home.XDG_STATE_HOME = "state"
    assert.equal("/home/ada/.local/state/astrum/history", histories.path(environment(home)))
    assert.is_nil(histories.path(environment {}))
  end)

  it("gives each line once, where it was entered last", function()
    write "a\nb\na\nc\n"
    histories.open(host, path)
    assert.same({ "b", "a", "c" }, given)
    assert.equal("b\na\nc\n", text())
  end)

  it("adds lines that are not blank", function()
    write "a\nb\n"
    local history = histories.open(host, path)
    history:add "a"
    history:add "  "
    history:add "a"
    assert.same({ "b", "a" }, given)
    assert.equal("a\nb\na\n", text())
  end)

  it("keeps the newest 1000 lines", function()
    local lines = {}
    for i = 1, 1200 do
      lines[i] = "line " .. i
    end
    write(table.concat(lines, "\n") .. "\n")
    local history = histories.open(host, path)
    assert.equal(1000, #given)
    assert.equal("line 201", given[1])
    history:add "new"
    assert.equal(1000, #given)
    assert.equal("line 202", given[1])
    assert.equal("new", given[1000])
  end)

  it("tells why it cannot be kept", function()
    host.private_file = function()
      return nil, "/x: Permission denied"
    end
    local _, why = histories.open(host, path)
    assert.equal("/x: Permission denied", why)
  end)

  it("is kept for the session where it cannot be kept for others", function()
    host.private_file = function()
      return nil, "/x: Permission denied"
    end
    local history = histories.open(host, path)
    history:add "a"
    assert.same({ "a" }, given)
    assert.equal("", text())
    history, given = histories.open(host, nil), nil
    history:add "b"
    assert.same({ "b" }, given)
  end)

  it("keeps an entry of several lines as one line of the file, and gives it back whole", function()
    local entry = 'task("a", function() -- one\n\treturn 1\nend)'
    histories.open(host, path):add(entry)
    assert.equal('task("a", function() -- one\v\treturn 1\vend)\n', text())
    histories.open(host, path)
    assert.same({ entry }, given)
  end)
end)
