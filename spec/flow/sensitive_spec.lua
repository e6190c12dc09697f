local astrum = require "astrum"
local flow = require "spec.support.flow"
local testing = require "astrum.testing"

local F, Ref, param = astrum.F, astrum.Ref, astrum.param

local SECRET <const> = "s3cr3t-%d+value"

-- All that a report shows, as one text.
local function shown(report)
  local parts = { tostring(report) }
  local function add(text)
    parts[#parts + 1] = tostring(text)
  end
  local function add_entry(entry)
    add(entry.error_message)
    add(entry.reason)
    add(entry.error)
    if entry.error then
      add(astrum.errors.full_text(entry.error))
      add(type(entry.error.cause) == "string" and entry.error.cause or "")
    end
    for _, attempt in ipairs(entry.attempt_statistics) do
      add(attempt.error_message)
      add(attempt.error)
    end
  end
  for _, entry in ipairs(report.task_statistics) do
    add_entry(entry)
    for _, item in ipairs(entry.items or {}) do
      add_entry(item)
    end
    if entry.report then
      add(shown(entry.report))
    end
  end
  for _, text in ipairs(report.error_summary) do
    add(text)
  end
  add(report:explain())
  local ok, why = pcall(report.assert, report)
  if not ok then
    add(why)
  end
  return table.concat(parts, "\n")
end

local function assert_hidden(text)
  assert.is_nil(text:find(SECRET, 1, true), text)
  assert.is_truthy(text:find("[hidden]", 1, true), text)
end

describe("a sensitive task", function()
  it("never shows its result in an error", function()
    local report = flow.run(function(task)
      task("token", {
        sensitive = true,
        run = function()
          return SECRET
        end,
      })
      task("use", {
        retry = 1,
        inputs = { token = F.token },
        run = function(token)
          error("cannot log in with " .. token, 0)
        end,
      })
    end)
    assert.equal("cannot log in with [hidden]", report:task("use").error_message)
    assert_hidden(shown(report))
    assert.equal(SECRET, report:result "token")
  end)

  it("never shows what is inside its result, nor where an error value is a table", function()
    local report = flow.run(function(task)
      task("token", {
        sensitive = true,
        run = function()
          return { user = { key = SECRET .. '"\n' } }
        end,
      })
      task("use", {
        inputs = { token = F.token },
        run = function(token)
          error { code = 401, header = "Basic " .. token.user.key }
        end,
      })
    end)
    assert_hidden(shown(report))
  end)

  it("never shows the beginning of a long value", function()
    local long = ("0123456789abcdef"):rep(100)
    local report = flow.run(function(task)
      task("token", {
        sensitive = true,
        run = function()
          return long
        end,
      })
      task("use", {
        inputs = { token = F.token },
        run = function(token)
          error { token = token }
        end,
      })
    end)
    assert.is_nil(shown(report):find("0123456789abcdef", 1, true))
  end)

  it("never shows its result in logs, progress, and reasons", function()
    local progress, report
    local written = flow.stderr_of(function()
      local handle
      handle = flow
        .build(function(task)
          task("token", {
            sensitive = true,
            run = function()
              return SECRET
            end,
          })
          task("use", {
            inputs = { token = F.token },
            run = function(token, ctx)
              ctx.log("token", token)
              ctx.progress(0.5, "with " .. token)
              progress = handle:status().progress.use.text
              handle:cancel("because of " .. token)
              astrum.sleep(10)
            end,
          })
        end)
        :start()
      report = handle:wait()
    end)
    assert.is_truthy(written:find("log use: token [hidden]\n", 1, true), written)
    assert.equal("with [hidden]", progress)
    assert.equal("the run was cancelled: because of [hidden]", report:task("use").reason)
    assert_hidden(shown(report))
  end)

  it("never shows a reason that is a table", function()
    local handle
    handle = flow
      .build(function(task)
        task("token", {
          sensitive = true,
          run = function()
            return SECRET
          end,
        })
        task("use", {
          inputs = { token = F.token },
          run = function(token)
            handle:cancel { token = token }
            astrum.sleep(10)
          end,
        })
      end)
      :start()
    assert_hidden(shown(handle:wait()))
  end)

  it("never shows its result in events", function()
    local texts, handle = {}, nil
    handle = flow
      .build(function(task)
        task("token", {
          sensitive = true,
          run = function()
            return SECRET
          end,
        })
        task("use", {
          inputs = { token = F.token },
          run = function(token)
            error("with " .. token, 0)
          end,
        })
        task("slow", {
          inputs = { token = F.token },
          run = function(token)
            handle:cancel(token)
            astrum.sleep(10)
          end,
        })
      end, {
        failure_mode = "keep_going",
        on_event = function(event)
          texts[#texts + 1] = tostring(event.error) .. tostring(event.reason)
        end,
      })
      :start()
    handle:wait()
    assert_hidden(table.concat(texts, "\n"))
  end)

  it("never shows its result in errors that nobody takes", function()
    local written = flow.stderr_of(function()
      flow.run(function(task)
        task("token", {
          sensitive = true,
          run = function()
            return SECRET
          end,
        })
        task("use", {
          inputs = { token = F.token },
          run = function(token)
            local _ <close> = setmetatable({}, {
              __close = function()
                error("cannot close " .. token, 0)
              end,
            })
            astrum.sleep(10)
          end,
        })
        task("fails", {
          depends_on = { "token" },
          run = function()
            error("boom", 0)
          end,
        })
      end)
    end)
    assert_hidden(written)
  end)

  it("stays hidden when results are not kept", function()
    local report = flow.run(function(task)
      task("token", {
        sensitive = true,
        run = function()
          return SECRET
        end,
      })
      task("session", {
        inputs = { token = F.token },
        run = function(token)
          return { header = "Bearer " .. token }
        end,
      })
      task("use", {
        inputs = { session = F.session },
        run = function(session)
          error("refused: " .. session.header, 0)
        end,
      })
    end, { keep_results = {} })
    assert.equal("refused: Bearer [hidden]", report:task("use").error_message)
  end)

  it("that is a map hides the results of its items", function()
    local report = flow.run(function(task)
      task("tokens", {
        sensitive = true,
        map = { n = { 1, 2 } },
        run = function(n)
          return SECRET .. n
        end,
      })
      task("use", {
        map = { token = F.tokens },
        run = function(token)
          error("with " .. token, 0)
        end,
        on_item_failure = "collect",
      })
    end)
    assert_hidden(shown(report))
  end)

  it("inside a workflow is hidden outside, too", function()
    local inner = flow.registry(function(task)
      task("token", {
        sensitive = true,
        run = function()
          return SECRET
        end,
      })
    end)
    local report = flow.run(function(task)
      task("login", { workflow = inner })
      task("use", {
        inputs = { token = F.login.token },
        run = function(token)
          error("with " .. token, 0)
        end,
      })
    end)
    assert_hidden(shown(report))
  end)

  it("of a run inside a body is hidden outside, too", function()
    local report = flow.run(function(task)
      task("use", function()
        local inner = flow.run(function(inside)
          inside("token", {
            sensitive = true,
            run = function()
              return SECRET
            end,
          })
        end)
        error("with " .. inner:result "token", 0)
      end)
    end)
    assert_hidden(shown(report))
  end)

  it("is hidden in the reason of a run inside", function()
    local inner = flow.build(function(task)
      task("wait", function()
        astrum.sleep(1)
      end)
    end)
    local text
    flow.run(function(task)
      task("token", {
        sensitive = true,
        run = function()
          return SECRET
        end,
      })
      task("use", {
        inputs = { token = F.token },
        run = function(token)
          local run = inner:start()
          run:cancel("no more " .. token)
          text = tostring(run:wait())
        end,
      })
    end)
    assert_hidden(text)
  end)

  it("hides thousands of values, and whole texts where there are too many to look for", function()
    local function message_of(count)
      local report = flow.run(function(task)
        task("tokens", {
          sensitive = true,
          run = function()
            local tokens = {}
            for i = 1, count do
              tokens[i] = ("token-%06d"):format(i)
            end
            return tokens
          end,
        })
        task("use", {
          inputs = { tokens = F.tokens },
          run = function(tokens)
            error("cannot log in with " .. tokens[#tokens], 0)
          end,
        })
      end)
      return report:task("use").error_message
    end
    assert.equal("cannot log in with [hidden]", message_of(5000))
    assert.equal("[hidden]", message_of(10001))
  end)

  it("does not make every failure look at every task", function()
    local function time_of(sensitive)
      local scheduler = flow.build(function(task)
        task("token", {
          sensitive = sensitive,
          run = function()
            return SECRET
          end,
        })
        for i = 1, 3000 do
          task("use" .. i, {
            inputs = { token = F.token },
            run = function(token)
              error(token, 0)
            end,
          })
        end
      end, { failure_mode = "keep_going" })
      local begin = os.clock()
      scheduler:execute()
      return os.clock() - begin
    end
    assert.is_true(time_of(true) < 15 * time_of(false))
  end)

  it("of a run inside that is over is not kept in memory", function()
    local alive = setmetatable({}, { __mode = "k" })
    local inner = flow.build(function(task)
      task("token", {
        sensitive = true,
        run = function()
          local token = { key = SECRET }
          alive[token] = true
          return token
        end,
      })
    end)
    local kept = 0
    flow.run(function(task)
      task("serve", function()
        for _ = 1, 500 do
          inner:execute()
        end
        collectgarbage()
        collectgarbage()
        for _ in pairs(alive) do
          kept = kept + 1
        end
      end)
    end)
    assert.is_true(kept < 150, kept)
  end)

  it("is hidden in the runs inside", function()
    local inner = flow.registry(function(task)
      task("use", {
        inputs = { token = param "token" },
        run = function(token)
          error("with " .. token, 0)
        end,
      })
    end)
    local report = flow.run(function(task)
      task("token", {
        sensitive = true,
        run = function()
          return SECRET
        end,
      })
      task("login", { workflow = inner, inputs = { token = F.token } })
    end)
    assert.equal("task 'login/use' failed: with [hidden]", report:task("login").error_message)
    assert_hidden(shown(report))
  end)
end)

-- The message of a task that fails with a text, beside a sensitive task that returns a value.
local function message_beside(value, text, inputs)
  local report = flow.run(function(task)
    task("secret", {
      sensitive = true,
      run = function()
        return value
      end,
    })
    task("use", {
      depends_on = { "secret" },
      inputs = inputs,
      run = function(...)
        return nil, text, ...
      end,
    })
  end)
  return report:task("use").error_message
end

describe("what is looked for of a sensitive result", function()
  it("are keys that are no short words", function()
    local value = { ["key-1"] = { 1 }, abcdefghijklmnopqrstuvwxyz = "a", [123456] = {}, x9z7 = "b" }
    local text = "key-1 abcdefghijklmnopqrstuvwxyz 123456 x9z7"
    assert.equal("[hidden] [hidden] [hidden] [hidden]", message_beside(value, text))
  end)

  it("are no names of fields", function()
    local value = { user = "alice-7", access_token = "token-9f3a", ["long-list"] = { "a", "b" } }
    local text = "the user alice-7 has no access_token"
    assert.equal("the user [hidden] has no access_token", message_beside(value, text))
  end)

  it("are no keys that a reference names", function()
    local inputs = { F.secret.oauth2_token }
    assert.equal(
      "oauth2_token [hidden]",
      message_beside({ oauth2_token = "9f3a" }, "oauth2_token 9f3a", inputs)
    )
  end)

  it("are all keys of a set", function()
    local value = { users = { alice = true, robert = false }, state = { valid = true, count = 1 } }
    assert.equal("[hidden] [hidden] valid", message_beside(value, "alice robert valid"))
  end)

  it("are tables that are keys", function()
    assert.equal("[hidden]", message_beside({ [{ "token-9f3a" }] = 1 }, "token-9f3a"))
  end)

  it("is at any depth", function()
    local value = { "token-9f3a" }
    for _ = 1, 100 do
      value = { value }
    end
    assert.equal("[hidden]", message_beside(value, "token-9f3a"))
  end)

  it("is each line of a text", function()
    local value = "BEGIN KEY\r\nline-1\nline-2"
    assert.equal("at '[hidden]', '[hidden]'", message_beside(value, "at 'BEGIN KEY', 'line-2'"))
  end)

  it("is what an object says of itself", function()
    local value = setmetatable({}, {
      __tostring = function()
        return "token-9f3a"
      end,
    })
    assert.equal("[hidden]", message_beside(value, "token-9f3a"))
  end)

  it("are all digits of a number", function()
    local value = { 3.14159265358979312, 12345.0 }
    assert.equal(
      "[hidden] [hidden] [hidden]",
      message_beside(value, "3.1415926535897931 3.1415926535898 12345")
    )
  end)

  it("is its beginning where a text breaks off", function()
    assert.equal("[hidden]... toke", message_beside("token-9f3a", "token-... toke"))
    assert.equal("[hidden]…", message_beside("token-9f3a", "token-9f…"))
  end)

  it("are both of two that overlap", function()
    assert.equal("<[hidden]>", message_beside({ "abcdefgh", "ghijklmn" }, "<abcdefghijklmn>"))
  end)

  it("is not what stands for it", function()
    assert.equal("[hidden] [hidden]", message_beside({ "hidden", "9f3a" }, "9f3a [hidden]"))
  end)
end)

describe("an error from before a sensitive value was known", function()
  it("does not show it in the report", function()
    local report = flow.run(function(task)
      task("login", {
        sensitive = true,
        retry = 1,
        run = function(ctx)
          if ctx.attempt == 1 then
            error("no answer for " .. SECRET, 0)
          end
          return SECRET
        end,
      })
    end)
    local attempt = report:task("login").attempt_statistics[1]
    assert.equal("no answer for [hidden]", attempt.error_message)
    assert_hidden(shown(report))
  end)
end)

describe("the explanation of a task", function()
  it("shows no short value that another task takes as a sensitive one", function()
    local report = flow.run(function(task)
      task("load", function()
        return { card = { pin = 12, name = "visible" } }
      end)
      task("pay", {
        inputs = { pin = Ref("integer", F.load.card.pin, { sensitive = true }) },
        run = function(pin)
          return pin
        end,
      })
      task("use", {
        inputs = { all = F.load, card = F.load.card, pin = F.load.card.pin },
        run = function(all, card, pin)
          return nil, "no", all, card, pin
        end,
      })
    end)
    local text = report:explain { unicode = true }
    assert.is_truthy(text:find('card = { name = "visible", pin = [hidden] }  (from', 1, true), text)
    assert.is_truthy(text:find("pin = [hidden]  (from load.card.pin)", 1, true), text)
    assert.is_truthy(
      text:find('all = { card = { name = "visible", pin = [hidden] } }', 1, true),
      text
    )
  end)

  it("does not need a copy of a large result", function()
    local many = {}
    for i = 1, 100000 do
      many[i] = { id = i }
    end
    local report = flow.run(function(task)
      task("token", {
        sensitive = true,
        run = function()
          return SECRET
        end,
      })
      task("use", {
        inputs = { token = F.token, rows = many },
        run = function(token, rows)
          return nil, token, rows
        end,
      })
    end)
    collectgarbage "stop"
    local before = collectgarbage "count"
    local text = report:explain { unicode = true }
    local used = collectgarbage "count" - before
    collectgarbage "restart"
    assert.is_truthy(text:find("… 99,994 more }", 1, true), text)
    assert.is_true(used < 500, used)
  end)

  it("survives inputs that cannot be compared", function()
    local report = flow.run(function(task)
      local function fail()
        error "no"
      end
      local object = setmetatable(
        { 1 },
        { __eq = fail, __len = fail, __pairs = fail, __name = "Bad" }
      )
      task("load", function()
        return { bad = object }
      end)
      task("use", {
        inputs = { bad = F.load.bad, template = { F.load.bad, object } },
        run = function(bad, template)
          return nil, "broken", bad, template
        end,
      })
    end)
    local text = report:explain()
    assert.is_truthy(text:find("bad = Bad { 1 }  (from load.bad)", 1, true), text)
    assert.is_truthy(text:find("template = { Bad { 1 }, Bad { 1 } }", 1, true), text)
  end)
end)

describe("a sensitive reference", function()
  it("hides what an object gives", function()
    local report = flow.run(function(task)
      task("load", function()
        return setmetatable({}, { __index = { token = SECRET } })
      end)
      task("use", {
        inputs = { token = Ref("string", F.load.token, { sensitive = true }) },
        run = function(token)
          error("with " .. token, 0)
        end,
      })
    end)
    assert.equal("with [hidden]", report:task("use").error_message)
  end)

  it("hides its default", function()
    local report = flow.run(function(task)
      task("load", function()
        return {}
      end)
      task("use", {
        inputs = { token = Ref("string", F.load.token, { sensitive = true, default = SECRET }) },
        run = function(token)
          error("with " .. token, 0)
        end,
      })
    end)
    assert.equal("with [hidden]", report:task("use").error_message)
  end)

  it("hides what it takes", function()
    local report = flow.run(function(task)
      task("load", function()
        return { token = SECRET, user = "visible" }
      end)
      task("use", {
        inputs = { token = Ref("string", F.load.token, { sensitive = true }), user = F.load.user },
        run = function(user, token)
          error(user .. " with " .. token, 0)
        end,
      })
    end)
    assert.equal("visible with [hidden]", report:task("use").error_message)
  end)

  it("hides what its check says of it", function()
    local report = flow.run(function(task)
      task("load", function()
        return { token = SECRET }
      end)
      task("use", {
        inputs = {
          token = Ref(function(value)
            return false, "bad token " .. value
          end, F.load.token, { sensitive = true }),
        },
        run = function(token)
          return token
        end,
      })
    end)
    assert_hidden(shown(report))
  end)

  it("that a map goes over hides the elements", function()
    local report = flow.run(function(task)
      task("load", function()
        return { SECRET .. 1, SECRET .. 2 }
      end)
      task("use", {
        map = { token = Ref("list", F.load, { sensitive = true }) },
        run = function(token)
          error("with " .. token, 0)
        end,
      })
    end)
    assert_hidden(shown(report))
  end)
end)

describe("a sensitive param", function()
  it("is never shown", function()
    local texts = {}
    local report = testing.run(
      flow.registry(function(task)
        task("use", {
          inputs = { token = param("token", { sensitive = true }) },
          run = function(token)
            error("with " .. token, 0)
          end,
        })
      end),
      {
        params = { token = SECRET },
        config = {
          on_event = function(event)
            texts[#texts + 1] = tostring(event.error)
          end,
        },
      }
    )
    assert_hidden(shown(report))
    assert_hidden(table.concat(texts))
  end)

  it("is not shown when it is of another type", function()
    local failure = flow.raised(function()
      flow
        .registry(function(task)
          task("use", {
            inputs = { token = param("token", { type = "integer", sensitive = true }) },
            run = function(token)
              return token
            end,
          })
        end)
        :run { params = { token = SECRET } }
    end)
    assert.is_nil(failure.message:find(SECRET, 1, true))
    assert.is_truthy(failure.message:find("param 'token'", 1, true))
  end)
end)
