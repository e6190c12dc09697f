-- Writes docs/api.md from the annotations of the public Lua functions and docs/c-api.md from
-- core/include/astrum.h.
-- usage: lua5.4 scripts/docs.lua [check], at the root. With `check` nothing is written; exits 1
-- when a file is not up to date.

package.path = "scripts/?.lua;" .. package.path
local annotations = require "annotations"

local function read_file(path)
  local file <close> = io.open(path, "rb")
  return file and file:read("a") or ""
end

-- Text in which nothing but `code` is markup.
local function plain(text)
  local parts = {}
  for before, code in (text .. "``"):gmatch("([^`]*)(`[^`]*`)") do
    parts[#parts + 1] = before:gsub("[*<\\|]", "\\%0"):gsub("%f[%w_]_[%w_]*", "\\%0")
    parts[#parts + 1] = code ~= "``" and code or ""
  end
  return table.concat(parts)
end

local function code(text)
  return "`" .. text .. "`"
end

-- --- Lua

local function add_item(out, name, kind, text)
  out[#out + 1] = ("- %s %s %s"):format(name, code(kind), plain(text))
end

local function add_function(out, title, comment)
  local call = title .. "(" .. table.concat(comment.parameters, ", ") .. ")"
  out[#out + 1] = "### " .. code(call) .. "\n\n" .. plain(table.concat(comment.text, " ")) .. "\n"
  for _, parameter in ipairs(comment.parameters) do
    local what = comment.params[parameter]
    if what then
      local optional, rest = what:match("^(%??)%s*(.*)$")
      local kind, text = annotations.split_type(rest)
      add_item(out, code(parameter), kind .. optional, text)
    end
  end
  for _, result in ipairs(comment.returns) do
    add_item(out, "returns", annotations.split_type(result))
  end
  out[#out + 1] = ""
end

-- Fields of a registry that are for the library alone.
local HIDDEN <const> = { records = true, index = true, pending = true }

local function add_class(out, class, path)
  local found = annotations.read(path)
  local comment = found.classes[class]
  out[#out + 1] = "## " .. class .. "\n\n" .. plain(table.concat(comment.text, " ")) .. "\n"
  for _, field in ipairs(comment.fields) do
    local name, rest = field:match("^(%b[])%s+(.*)$")
    if not name then
      name, rest = field:match("^(%S+)%s+(.*)$")
    end
    if not HIDDEN[name] then
      add_item(out, code(name), annotations.split_type(rest))
    end
  end
  out[#out + 1] = ""
  return found
end

-- Tables that users write or read, and the files of their classes.
local TABLES <const> = {
  { "astrum.F", "lua/astrum/astrum.meta.lua" },
  { "astrum.TaskSpec", "lua/astrum/astrum.meta.lua" },
  { "astrum.RetryOptions", "lua/astrum/astrum.meta.lua" },
  { "astrum.BuildOptions", "lua/astrum/astrum.meta.lua" },
  { "astrum.Config", "lua/astrum/config.lua" },
  { "astrum.TaskDefaults", "lua/astrum/config.lua" },
  { "astrum.PoolOptions", "lua/astrum/config.lua" },
  { "astrum.Context", "lua/astrum/astrum.meta.lua" },
  { "astrum.SpawnOptions", "lua/astrum/astrum.meta.lua" },
  { "astrum.SpawnResult", "lua/astrum/astrum.meta.lua" },
  { "astrum.RunStatus", "lua/astrum/run.lua" },
  { "astrum.Event", "lua/astrum/event.lua" },
  { "astrum.TaskStatistics", "lua/astrum/report/statistics.lua" },
  { "astrum.AttemptStatistics", "lua/astrum/report/statistics.lua" },
  { "astrum.StageStatistics", "lua/astrum/report/statistics.lua" },
  { "astrum.TaskOrder", "lua/astrum/manual.lua" },
  { "astrum.ExecutionStage", "lua/astrum/manual.lua" },
  { "astrum.TestOptions", "lua/astrum/testing.lua" },
  { "astrum.Error", "lua/astrum/error.lua" },
}

local function lua_api()
  local out = {
    "# Lua API",
    "",
    "Written by `scripts/docs.lua` from the sources. [guide.md](guide.md) shows how to use it.",
    "A `?` after a type: nil is allowed.",
    "",
  }
  local section
  for _, entry in ipairs(annotations.public()) do
    if entry.comment then
      if entry.section ~= section then
        section = entry.section
        out[#out + 1] = "## " .. section:sub(1, 1):upper() .. section:sub(2) .. "\n"
      end
      add_function(out, "astrum." .. entry.name, entry.comment)
    end
  end
  out[#out + 1] = "## Errors\n"
  for _, comment in ipairs(annotations.read("lua/astrum/error.lua").functions) do
    if comment.owner == "M" and comment.name:find("^is") then
      add_function(out, "astrum.errors." .. comment.name, comment)
    end
  end
  out[#out + 1] = "## Testing\n"
  for _, comment in ipairs(annotations.read("lua/astrum/testing.lua").functions) do
    if comment.owner == "M" then
      add_function(out, "astrum.testing." .. comment.name, comment)
    end
  end
  for _, entry in ipairs(annotations.CLASSES) do
    local class, path, variable = table.unpack(entry)
    local found = add_class(out, class, path)
    for _, comment in ipairs(annotations.methods(found, class)) do
      add_function(out, variable .. ":" .. comment.name, comment)
    end
  end
  for _, entry in ipairs(TABLES) do
    add_class(out, table.unpack(entry))
  end
  return table.concat(out, "\n"):gsub(" +\n", "\n"):gsub("\n\n\n+", "\n\n")
end

-- --- C

-- A comment as paragraphs; what is indented in it is a drawing.
local function prose(comment)
  local text = comment:gsub("^/%*%s?", ""):gsub("%s*%*/%s*$", "")
  local lines, drawing = {}, false
  for line in (text .. "\n"):gmatch("(.-)\n") do
    line = line:find("^ %*") and line:gsub("^ %* ?", "") or line:gsub("^   ", "")
    if line ~= "" and (line:find("^  ") ~= nil) ~= drawing then
      drawing = not drawing
      lines[#lines + 1] = drawing and "```text" or "```\n"
    end
    lines[#lines + 1] = drawing and line or plain(line)
  end
  lines[#lines + 1] = drawing and "```" or ""
  local joined = table.concat(lines, "\n"):gsub("^\n+", ""):gsub("\n+$", "")
  return (joined:gsub("\n+```", "\n```"):gsub("([^\n])\n```text", "%1\n\n```text"))
end

-- The names that a declaration introduces.
local function names_of(declaration)
  local names = {}
  for name in declaration:gmatch("ASTRUM_API[^;]-([%w_]+)%s*%(") do
    names[#names + 1] = code(name)
  end
  if #names == 0 then
    local name = declaration:match("^#define ([%w_]+)")
      or declaration:match("}%s*([%w_]+);%s*$")
      or declaration:match("%(%*([%w_]+)%)%(")
      or declaration:match("([%w_]+);%s*$")
    names[1] = name and code(name)
  end
  return table.concat(names, ", ")
end

local function add_declaration(out, comment, declaration)
  out[#out + 1] = "### " .. names_of(declaration) .. "\n"
  out[#out + 1] = comment and prose(comment) .. "\n" or nil
  -- Without ASTRUM_API, lines that go on are aligned to what is left of the first.
  local shown = declaration:gsub("ASTRUM_API ", ""):gsub("\n           (         )", "\n%1")
  out[#out + 1] = "```c\n" .. shown .. "\n```\n"
end

local function c_api()
  local out = {
    "# C API\n",
    "Written by `scripts/docs.lua` from `core/include/astrum.h`. [guide.md](guide.md) has a",
    "program, and `examples/embed/tasks.c` is a longer one.\n",
  }
  local header = read_file("core/include/astrum.h"):gsub("\n#ifdef __cplusplus.-#endif\n", "\n")
  out[#out + 1] = prose(header:match("^(/%*.-%*/)")) .. "\n\n## Version\n"
  local body = header:match("#define ASTRUM_VERSION_MAJOR.*"):gsub("\n#endif%s*$", "\n")
  for block in (body .. "\n\n"):gmatch("%s*(.-)\n\n+") do
    local title = block:match("^/%* %-%-%- (.-) %-+ %*/$")
    local comment, rest = block:match("^(/%*.-%*/)\n?(.*)$")
    if title then
      out[#out + 1] = "## " .. title .. "\n"
    elseif comment and rest == "" then
      out[#out + 1] = prose(comment) .. "\n"
    elseif block ~= "" then
      add_declaration(out, comment, rest or block)
    end
  end
  return table.concat(out, "\n"):gsub("\n\n\n+", "\n\n")
end

-- ---

local code_of_exit = 0
for path, make in pairs { ["docs/api.md"] = lua_api, ["docs/c-api.md"] = c_api } do
  local text = make():gsub("%s*$", "\n", 1)
  if arg[1] ~= "check" then
    local file <close> = assert(io.open(path, "wb"))
    file:write(text)
  elseif read_file(path) ~= text then
    io.stderr:write(path, ": not up to date; run lua5.4 scripts/docs.lua\n")
    code_of_exit = 1
  end
end
os.exit(code_of_exit)
