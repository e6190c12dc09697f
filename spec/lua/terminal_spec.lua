local terminal = require "astrum.terminal"

local function environment(variables)
  return function(name)
    return variables[name]
  end
end

describe("terminal colour", function()
  local function color(variables, query)
    query = query or {}
    query.getenv = environment(variables)
    return terminal.color(query)
  end

  it("is on for a terminal", function()
    assert.is_true(color({ TERM = "xterm" }, { isatty = true }))
  end)

  it("is off where the stream is no terminal", function()
    assert.is_false(color({ TERM = "xterm" }, { isatty = false }))
  end)

  it("is off on a dumb terminal", function()
    assert.is_false(color({ TERM = "dumb" }, { isatty = true }))
  end)

  it("is on when FORCE_COLOR is set, even with NO_COLOR", function()
    assert.is_true(color { FORCE_COLOR = "1", NO_COLOR = "1" })
  end)

  it("ignores an empty FORCE_COLOR", function()
    assert.is_false(color { FORCE_COLOR = "" })
  end)

  it("is off when NO_COLOR is set, even with CLICOLOR_FORCE on a terminal", function()
    assert.is_false(color({ NO_COLOR = "1", CLICOLOR_FORCE = "1" }, { isatty = true }))
  end)

  it("ignores an empty NO_COLOR", function()
    assert.is_true(color({ NO_COLOR = "" }, { isatty = true }))
  end)

  it("is on when CLICOLOR_FORCE is set, without a terminal", function()
    assert.is_true(color { CLICOLOR_FORCE = "1" })
  end)

  it("ignores CLICOLOR_FORCE=0", function()
    assert.is_false(color { CLICOLOR_FORCE = "0" })
  end)

  it("follows the user's wish before the environment", function()
    assert.is_false(color({ FORCE_COLOR = "1" }, { color = "never", isatty = true }))
    assert.is_true(color({ NO_COLOR = "1" }, { color = "always" }))
    assert.is_false(color({ FORCE_COLOR = "1" }, { color = false }))
    assert.is_true(color({ NO_COLOR = "1" }, { color = true }))
  end)

  it("decides by itself when the wish is auto", function()
    assert.is_true(color({}, { color = "auto", isatty = true }))
  end)
end)

describe("terminal character set", function()
  local function unicode(variables)
    return terminal.unicode(environment(variables))
  end

  it("is Unicode for a UTF-8 locale, however it is spelled", function()
    assert.is_true(unicode { LANG = "en_US.UTF-8" })
    assert.is_true(unicode { LC_CTYPE = "C.utf8" })
  end)

  it("is ASCII for other locales and without one", function()
    assert.is_false(unicode { LANG = "C" })
    assert.is_false(unicode {})
  end)

  it("takes LC_ALL before LC_CTYPE before LANG", function()
    assert.is_false(unicode { LC_ALL = "C", LC_CTYPE = "C.UTF-8", LANG = "C.UTF-8" })
    assert.is_true(unicode { LC_ALL = "", LC_CTYPE = "C.UTF-8", LANG = "C" })
  end)
end)

describe("terminal width", function()
  it("is COLUMNS where it is a positive integer", function()
    assert.equal(100, terminal.width(120, environment { COLUMNS = "100" }))
  end)

  it("is the terminal's where COLUMNS makes no sense", function()
    for _, columns in ipairs { "0", "wide", "-5", "1e3", "" } do
      assert.equal(120, terminal.width(120, environment { COLUMNS = columns }))
    end
  end)

  it("is 80 where nothing is known", function()
    assert.equal(80, terminal.width(nil, environment {}))
    assert.equal(80, terminal.width(0, environment {}))
  end)
end)

describe("terminal options", function()
  it("ask the probe about the stream", function()
    local asked
    local function probe(fd)
      asked = fd
      return true, 132
    end
    local options = terminal.options(2, probe, { getenv = environment { LANG = "C.UTF-8" } })
    assert.equal(2, asked)
    assert.same({ width = 132, color = true, unicode = true }, options)
  end)

  it("are plain without a probe", function()
    local options = terminal.options(1, nil, { getenv = environment {} })
    assert.same({ width = 80, color = false, unicode = false }, options)
  end)
end)

describe("terminal escape", function()
  it("leaves text as it is", function()
    assert.equal("load_order • 注文 é 📋", terminal.escape("load_order • 注文 é 📋"))
  end)

  it("shows control characters", function()
    assert.equal("a\\x1B[31m\\x0A\\x00\\x7Fb", terminal.escape("a\27[31m\n\0\127b"))
    assert.equal("\\xC2\\x9B", terminal.escape("\u{9B}"))
  end)

  it("shows characters that reorder or hide text", function()
    assert.equal("a\\xE2\\x80\\xAEb", terminal.escape("a\u{202E}b"))
    assert.equal("\\xE2\\x81\\xA6", terminal.escape("\u{2066}"))
    assert.equal("\\xE2\\x80\\x8B", terminal.escape("\u{200B}"))
  end)

  it("shows invalid bytes and keeps what is valid around them", function()
    assert.equal("é\\xFF\\xC3(\\xED\\xA0\\x80é", terminal.escape("é\xFF\xC3(\xED\xA0\x80é"))
    assert.equal("a\\xC3", terminal.escape("a\xC3"))
  end)

  it("shows everything beyond ASCII where that is asked for", function()
    assert.equal(
      "\\u{6CE8}\\u{E9}\\xFFa\\xE2\\x80\\xAE",
      terminal.escape("注é\xFFa\u{202E}", true)
    )
  end)
end)

describe("terminal display width", function()
  it("counts columns", function()
    assert.equal(10, terminal.display_width("load_order"))
    assert.equal(4, terminal.display_width("注文"))
    assert.equal(2, terminal.display_width("📋"))
    assert.equal(1, terminal.display_width("e\u{301}"))
    assert.equal(5, terminal.display_width("⬅➡⇠⇢•"))
    assert.equal(0, terminal.display_width(""))
  end)

  it("cuts at a column, never inside a character", function()
    assert.equal("注文です", terminal.cut("注文です", 8))
    assert.equal("注文…", terminal.cut("注文です", 6))
    assert.equal("load...", terminal.cut("load_order", 7, "..."))
    assert.equal("…", terminal.cut("load_order", 0))
  end)
end)

describe("terminal count", function()
  it("sets thousands apart", function()
    assert.equal("0", terminal.count(0))
    assert.equal("999", terminal.count(999))
    assert.equal("1,000", terminal.count(1000))
    assert.equal("99,800", terminal.count(99800))
    assert.equal("123,456,789", terminal.count(123456789))
  end)
end)
