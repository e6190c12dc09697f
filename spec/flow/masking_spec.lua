-- Whatever is shown of a run, in whichever spelling: nothing of a sensitive value, nor its
-- beginning, is in it.
local astrum = require "astrum"
local errors = require "astrum.error"
local flow = require "spec.support.flow"
local pretty = require "astrum.pretty"
local program = require "spec.support.program"
local terminal = require "astrum.terminal"

local F, Ref, param = astrum.F, astrum.Ref, astrum.param

local SECRETS <const> = {
  ["a long text"] = "tok_" .. ("abcdefghij"):rep(12),
  ["text that is not ASCII"] = "pässwörd-öäü-geheim",
  ["quotes and control characters"] = 'qu"o\\te\t\27and more',
  ["several lines"] = "-----BEGIN\r\n\tabcdefgh\nsecond line",
  ["bytes that are no text"] = "\xFF\xFEbinary\0value\xC3",
}

-- The beginnings of the ways to spell a secret.
local function beginnings(secret)
  local texts = { secret, errors.escape(secret), ("%q"):format(secret):sub(2) }
  for _, ascii in ipairs { false, true } do
    texts[#texts + 1] = terminal.escape(secret, ascii)
    texts[#texts + 1] = pretty.value(secret, { unicode = not ascii }):sub(2)
  end
  for i, text in ipairs(texts) do
    texts[i] = text:sub(1, 6)
  end
  return texts
end

local function assert_masked(way, text, secret)
  for _, beginning in ipairs(beginnings(secret)) do
    local at = text:find(beginning, 1, true)
    assert.is_nil(at, at and way .. " shows: " .. text:sub(math.max(1, at - 60), at + 60))
  end
end

-- How a body gives its secret away.
local BODIES <const> = {
  text = function(secret)
    error(("y"):rep(190) .. secret, 0)
  end,
  lines = function(secret)
    error("first\n" .. secret .. "\nlast")
  end,
  fields = function(secret)
    error { body = ("y"):rep(190) .. secret, [secret] = secret, list = { secret, { secret } } }
  end,
  object = function(secret)
    error(setmetatable({}, {
      __tostring = function()
        return "object with " .. secret
      end,
    }))
  end,
  class = function(secret)
    error(setmetatable({ 1 }, { __name = "Class" .. secret }))
  end,
  chunk = function(secret)
    assert(load("return '" .. secret .. "' .. nil"))()
  end,
  syntax = function(secret)
    assert(load(secret .. " )("))
  end,
  returned = function(secret)
    return nil, { body = ("y"):rep(190) .. secret }
  end,
  run_inside = function(secret)
    astrum
      .workflow "masked_inside" {
      use = {
        inputs = { given = param "given" },
        run = function(given)
          error { body = ("y"):rep(190) .. given }
        end,
      },
    }
      :run({ params = { given = secret } })
      :assert()
  end,
}

local function declare(task, secret)
  task("secret", {
    sensitive = true,
    run = function()
      return secret
    end,
  })
  task("session", {
    inputs = { given = F.secret },
    run = function(given)
      return {
        url = ("x"):rep(50) .. given,
        [given] = { given },
        deep = { { { given } } },
        object = setmetatable({}, {
          __name = "Class" .. given,
          __tostring = function()
            return ("o"):rep(55) .. given
          end,
        }),
        class = setmetatable({ given }, { __name = "Class" .. given }),
      }
    end,
  })
  for name, body in pairs(BODIES) do
    task(name, {
      inputs = {
        given = F.secret,
        session = F.session,
        url = F.session.url,
        object = F.session.object,
        template = { ("c"):rep(55), F.session.url, { F.secret } },
      },
      run = function(given, session, url, object, template)
        return body(given, session, url, object, template)
      end,
    })
  end
end

-- What shows a report, by name.
local WAYS <const> = {
  ["the table"] = tostring,
  ["the summary"] = function(report)
    return table.concat(report.error_summary, "\n")
  end,
  ["the explanation"] = function(report)
    return report:explain { unicode = true }
  end,
  ["the explanation in ASCII"] = function(report)
    return report:explain { unicode = false }
  end,
  ["assert"] = function(report)
    local e = flow.raised(report.assert, report)
    return tostring(e) .. errors.full_text(e)
  end,
  JSON = function(report)
    return report:json { results = true }
  end,
  ["the page"] = function(report)
    return report:html()
  end,
  ["the trace"] = function(report)
    local pieces = {}
    report:trace(function(piece)
      pieces[#pieces + 1] = piece
    end)
    return table.concat(pieces)
  end,
  ["the errors of tasks"] = function(report)
    local texts = {}
    for _, entry in ipairs(report.task_statistics) do
      local e = entry.error
      texts[#texts + 1] = tostring(entry.error_message)
        .. tostring(entry.reason)
        .. tostring(e)
        .. (e and errors.full_text(e) .. tostring(e.path) .. tostring(e.traceback) or "")
    end
    return table.concat(texts, "\n")
  end,
}

for what, secret in pairs(SECRETS) do
  describe("a sensitive value with " .. what, function()
    local function all_failing(config)
      return flow.run(function(task)
        declare(task, secret)
      end, config or { failure_mode = "keep_going" })
    end

    for way, show in pairs(WAYS) do
      it("is not in " .. way .. ", nor is its beginning", function()
        assert_masked(way, show(all_failing()), secret)
      end)
    end

    it("is not in the explanation of any task that fails alone, nor is its beginning", function()
      for name in pairs(BODIES) do
        local registry = flow.registry(function(task)
          declare(task, secret)
        end)
        local report = registry:run { target_tasks = { name } }
        assert.equal("failed", report:task(name).status)
        assert_masked(name, report:explain { unicode = true }, secret)
        assert_masked(name, report:explain { unicode = false }, secret)
        assert_masked(name, tostring(report), secret)
      end
    end)

    it("is not in events, logs, and progress, nor is its beginning", function()
      local texts = {}
      texts[1] = flow.stderr_of(function()
        all_failing {
          failure_mode = "keep_going",
          silence = false,
          on_event = function(event)
            texts[#texts + 1] = tostring(event.error) .. tostring(event.reason)
          end,
        }
      end)
      texts[#texts + 1] = flow.stderr_of(function()
        local handle
        handle = flow
          .build(function(task)
            declare(task, secret)
            task("tells", {
              inputs = { given = F.secret },
              run = function(given, ctx)
                ctx.log(("l"):rep(190) .. given)
                ctx.progress(0.5, ("p"):rep(190) .. given)
                texts[#texts + 1] = handle:status().progress.tells.text
                handle:cancel { reason = ("r"):rep(190) .. given }
                astrum.sleep(10)
              end,
            })
          end)
          :start()
        local report = handle:wait()
        texts[#texts + 1] = tostring(report) .. report:explain()
      end)
      assert_masked("one of them", table.concat(texts, "\n"), secret)
    end)

    it("is not in errors that nobody takes, nor is its beginning", function()
      local written = flow.stderr_of(function()
        local handle = flow
          .build(function(task)
            declare(task, secret)
            task("closes", {
              inputs = { given = F.secret },
              run = function(given)
                local _ <close> = setmetatable({}, {
                  __close = function()
                    error { body = ("y"):rep(190) .. given }
                  end,
                })
                error("no", 0)
              end,
            })
          end, {
            on_event = function(event)
              if event.error then
                error { body = ("y"):rep(190) .. secret }
              end
            end,
          })
          :start()
        handle:on_done(function()
          error { body = ("y"):rep(190) .. secret }
        end)
        handle:wait()
      end)
      assert.is_truthy(written:find("astrum: error in", 1, true))
      assert_masked("standard error", written, secret)
    end)

    it("is not in what a check of a Ref or a condition says, nor is its beginning", function()
      local report = flow.run(function(task)
        declare(task, secret)
        task("checks", {
          inputs = {
            given = Ref(function(value)
              return false, { body = ("w"):rep(190) .. value }
            end, F.secret),
          },
          run = function(given)
            return given
          end,
        })
        task("asks", {
          inputs = { given = F.secret },
          when = function(given)
            error { body = ("w"):rep(190) .. given }
          end,
          run = function(given)
            return given
          end,
        })
      end, { failure_mode = "keep_going" })
      assert_masked("the table", tostring(report), secret)
      assert_masked("the explanation", report:explain(), secret)
    end)
  end)
end

describe("a sensitive value", function()
  -- What the prompt tells, in both character sets.
  local function told_at_prompt(source, lines)
    local file <close> = program.file(source)
    local texts = {}
    for i, locale in ipairs { "C.UTF-8", "C" } do
      local input = ".load " .. file.path .. "\n" .. lines
      local result = program.run({ "-i" }, { input = input, env = "LC_ALL=" .. locale })
      texts[i] = result.out .. result.err
    end
    return table.concat(texts, "\n")
  end

  it("is not in the name of a chunk whose beginning Lua has cut off", function()
    local path = "/data/" .. ("d"):rep(60) .. "/TOKEN-abcdefgh/script.lua"
    local report = flow
      .load(([[
task("where", { sensitive = true, run = function() return %q end })
task("use", { inputs = { path = F.where }, run = function(path)
  assert(load("error('refused')", "@" .. path))()
end })
]]):format(path))
      :run {}
    local told = report:explain()
    assert.is_truthy(told:find("[hidden]:1: refused", 1, true), told)
    assert.is_nil(told:find("abcdefgh", 1, true))
  end)

  it("is not in what the commands of the prompt show, nor is its beginning", function()
    local told = told_at_prompt(
      ([[
local astrum = require "astrum"
local task, F = astrum.task, astrum.F
task("secret", { sensitive = true, run = function() return %q end })
task("session", {
  inputs = { given = F.secret },
  run = function(given)
    return {
      body = ("y"):rep(190) .. given,
      [given] = { given },
      object = setmetatable({}, { __tostring = function() return ("o"):rep(190) .. given end }),
    }
  end,
})
task("fails", {
  inputs = { session = F.session },
  run = function(session) error { body = session.body } end,
})
]]):format(SECRETS["a long text"]),
      [[
.run
.result session
.result secret
.show session
.show fails
.explain fails
.timeline
.report
]]
    )
    assert.is_truthy(told:find("[hidden]", 1, true))
    assert_masked("the prompt", told, SECRETS["a long text"])
  end)

  for _, executor in ipairs { "process", "thread" } do
    it("is not in what a body in a " .. executor .. " tells, nor is its beginning", function()
      local file <close> = program.file(([[
local astrum = require "astrum"
local task, F = astrum.task, astrum.F
task("secret", { sensitive = true, run = function() return "tok_" .. ("abcdefghij"):rep(12) end })
task("fails", {
  inputs = { secret = F.secret },
  executor = %q,
  run = function(secret, ctx)
    ctx.log(("l"):rep(190) .. secret)
    ctx.progress(0.5, ("p"):rep(190) .. secret)
    local _ <close> = setmetatable({}, {
      __close = function() error("while closing: " .. secret, 0) end,
    })
    -- A function cannot travel: only the text of the error comes home.
    error { body = ("y"):rep(190) .. secret, print }
  end,
})
]]):format(executor))
      local result = program.run { "--run", "--log", "--progress=plain", "--report", file.path }
      local text = result.out .. result.err
      assert.is_truthy(text:find("yyy[hidden]", 1, true), text)
      assert.is_truthy(text:find("while closing: [hidden]", 1, true), text)
      assert_masked("astrum-lua", text, SECRETS["a long text"])
    end)
  end
end)
