-- Makes the pictures of README.md anew, from real runs: the page of a run, and a session at the
-- prompt, each light and dark. Needs tmux, chromium and pngquant (Debian packages).
--
--   build/bin/astrum-lua scripts/pictures.lua
local astrum = require "astrum"
local task, F, sleep, spawn = astrum.task, astrum.F, astrum.sleep, astrum.spawn

local FLOWS <const> = "scripts/pictures"
local IMAGES <const> = "docs/images"

local function run(...)
  local result = spawn { ... }
  if result.code ~= 0 then
    error(("%s ended with %s: %s"):format(..., result.code or result.signal, result.stderr), 2)
  end
  return result.stdout
end

local function write(path, text)
  local file <close> = assert(io.open(path, "wb"))
  assert(file:write(text))
end

local ROOT <const> = run("pwd"):gsub("\n$", "")
local FOLDER <const> = run("mktemp", "-d"):gsub("\n$", "")

-- --- a terminal

local COLUMNS <const>, ROWS <const> = "88", "60"

-- What is typed in a shell in the folder of the flows.
local SESSION <const> = {
  "astrum-lua -i orders.lua",
  ".run",
  'task("fetch_rates", function() sleep(0.1) return { DE = 19, FR = 20 } end)',
  ".explain",
  ".run",
  ".result invoice",
  ".plan",
}

local function tmux(...)
  return run("tmux", "-f", "/dev/null", "-S", FOLDER .. "/tmux", ...)
end

-- Waits until the last line is a prompt again, and the screen another one than before.
local function wait_for_prompt(before)
  for _ = 1, 500 do
    sleep(0.02)
    local screen = tmux("capture-pane", "-p"):gsub("%s+$", "")
    if screen ~= before and screen:find "\n>>?$" then
      return screen
    end
  end
  error("the prompt did not come back:\n" .. tmux("capture-pane", "-p"))
end

task("session", function()
  local path = ROOT .. "/build/bin:" .. os.getenv "PATH"
  -- stylua: ignore
  tmux(
    "new-session", "-d", "-x", COLUMNS, "-y", ROWS, "-c", ROOT .. "/" .. FLOWS,
    "env", "-u", "ENV", "-u", "COLUMNS", "-u", "NO_COLOR", "XDG_STATE_HOME=" .. FOLDER,
    "PATH=" .. path, "LC_ALL=C.UTF-8", "PS1=$ ", "sh"
  )
  local _ <close> = setmetatable({}, {
    __close = function()
      tmux "kill-server"
    end,
  })
  local screen = ""
  for _, line in ipairs(SESSION) do
    tmux("send-keys", "-l", line)
    tmux("send-keys", "Enter")
    screen = wait_for_prompt(screen)
  end
  return (tmux("capture-pane", "-p", "-e"):gsub("%s+$", ""):gsub("\n[^\n]*$", ""))
end)

-- --- what a terminal shows, as a page

local STYLE <const> = [[
:root { --paper: #ffffff; --window: #f6f8fa; --rule: #d0d7de; --ink: #1f2328; --dim: #767f89;
  --c31: #cf222e; --c32: #1a7f37; --c33: #9a6700; --c34: #0969da; --c35: #8250df; --c36: #0969da; }
@media (prefers-color-scheme: dark) { :root { --paper: #0d1117; --window: #151b23;
  --rule: #3d444d; --ink: #e6edf3; --dim: #8b949e; --c31: #ff7b72; --c32: #3fb950;
  --c33: #d29922; --c34: #58a6ff; --c35: #bc8cff; --c36: #58a6ff; } }
body { margin: 0; background: var(--paper); }
main { margin: 12px; background: var(--window); border: 1px solid var(--rule);
  border-radius: 10px; }
header { display: flex; gap: 8px; padding: 11px 14px 0; }
header i { width: 11px; height: 11px; border-radius: 50%; background: var(--rule); }
pre { margin: 0; padding: 12px 18px 16px; color: var(--ink);
  font: 13px/1.45 "DejaVu Sans Mono", monospace; }
b { font-weight: 700; } .c2 { color: var(--dim); }
.c31 { color: var(--c31); } .c32 { color: var(--c32); } .c33 { color: var(--c33); }
.c34 { color: var(--c34); } .c35 { color: var(--c35); } .c36 { color: var(--c36); }
]]

local ENTITIES <const> = { ["&"] = "&amp;", ["<"] = "&lt;", [">"] = "&gt;" }

-- The classes of text behind the codes of an escape sequence.
local function apply(codes, classes)
  for code in codes:gmatch "%d*" do
    code = tonumber(code) or 0
    if code == 0 then
      classes.bold, classes.dim, classes.color = nil, nil, nil
    elseif code == 1 then
      classes.bold = "b"
    elseif code == 2 then
      classes.dim = "c2"
    elseif code >= 31 and code <= 36 then
      classes.color = "c" .. code
    elseif code == 39 then
      classes.color = nil
    end
  end
end

local function html_of(screen)
  local parts, classes, from = {}, {}, 1
  local function add(text)
    local html = text:gsub("[&<>]", ENTITIES)
    local class = classes.color or classes.dim
    html = class and html ~= "" and ('<span class="%s">%s</span>'):format(class, html) or html
    parts[#parts + 1] = classes.bold and html ~= "" and "<b>" .. html .. "</b>" or html
  end
  for before, codes, behind in screen:gmatch "()\27%[([%d;]*)m()" do
    add(screen:sub(from, before - 1))
    apply(codes, classes)
    from = behind
  end
  add(screen:sub(from))
  return table.concat(parts)
end

-- Prompts are paler, and what was typed is bolder: a picture has no cursor that moves.
local function with_typed_lines(html)
  local marked = ("\n" .. html):gsub("\n([$&][gt;]*) ([^\n]*)", function(prompt, typed)
    return ('\n<span class="c2">%s</span> <b>%s</b>'):format(prompt, typed)
  end)
  return marked:sub(2)
end

task("session_page", {
  inputs = { screen = F.session },
  run = function(screen)
    local path = FOLDER .. "/session.html"
    local content = with_typed_lines(html_of(screen))
    write(
      path,
      ('<!doctype html><meta charset="utf-8"><style>%s</style>'):format(STYLE)
        .. "<main><header><i></i><i></i><i></i></header><pre>"
        .. content
        .. "</pre></main>"
    )
    local _, lines = screen:gsub("\n", "")
    return { path = path, width = 784, height = math.ceil((lines + 1) * 18.85) + 78 }
  end,
})

-- --- the page of a run

task("report_page", function()
  local path = FOLDER .. "/report.html"
  local program = ROOT .. "/build/bin/astrum-lua"
  local words = { program, "--html", path, "nightly_import.lua", cwd = ROOT .. "/" .. FLOWS }
  assert(spawn(words).code == 0)
  return { path = path, width = 1080, height = 1600 }
end)

-- --- pictures

-- preferredColorScheme of Chromium
local SCHEMES <const> = { dark = 0, light = 1 }

local function photograph(page, name, scheme)
  local raw, path = FOLDER .. "/" .. name, IMAGES .. "/" .. name
  run(
    "chromium",
    "--headless",
    "--no-sandbox",
    "--hide-scrollbars",
    "--force-device-scale-factor=2",
    "--blink-settings=preferredColorScheme=" .. SCHEMES[scheme],
    ("--window-size=%d,%d"):format(page.width, page.height),
    "--user-data-dir=" .. raw .. ".profile",
    "--screenshot=" .. raw,
    "file://" .. page.path
  )
  run("pngquant", "--force", "--strip", "--speed=1", "--nofs", "64", "--output", path, raw)
  return path
end

for _, what in ipairs { "session", "report" } do
  for scheme, suffix in pairs { dark = "-dark", light = "" } do
    local name = what .. suffix .. ".png"
    task("photograph " .. name, {
      inputs = { page = F[what .. "_page"] },
      run = function(page)
        print(photograph(page, name, scheme))
      end,
    })
  end
end

local report = astrum.run { config = { concurrency_limit = 2 } }
run("rm", "-r", FOLDER)
report:assert()
