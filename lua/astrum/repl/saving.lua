-- What was entered in a session, as a script that makes the same tasks.
local core = require "astrum.core"
local errors = require "astrum.error"
local registries = require "astrum.registry"
local sessions = require "astrum.repl.session"
local suggest = require "astrum.suggest"

core.own()

local M = {}

local HEAD <const> = [[
local astrum = require "astrum"
local task, F, Ref = astrum.task, astrum.F, astrum.Ref
local run, sleep = astrum.run, astrum.sleep
]]

-- As at the prompt: what comes behind it may declare tasks again.
local NEXT_ENTRY <const> =
  'require("astrum.registry").begin_entry() -- tasks below take the place of those above'

-- The text of a chunk as a statement that others can follow, in its namespace.
local function statement(chunk)
  local text = load(chunk.text, "=text", "t") and chunk.text or "local _ = " .. chunk.text
  if not load(text .. "\nlocal _", "=text", "t") then
    -- It ends with a `return`, which no statement can follow.
    text = ("local _ = (function()\n%s\nend)()"):format(text)
  elseif text:find "^%s*%(" then
    -- What begins with a bracket would call the value of the line above it.
    text = ";" .. text
  end
  if sessions.locals(chunk.text)[1] then
    -- They end with the entry, as at the prompt.
    text = "do\n" .. text .. "\nend"
  end
  if chunk.namespace ~= registries.DEFAULT_NAMESPACE then
    text = ("astrum.use_namespace(%q, function()\n%s\nend)"):format(chunk.namespace, text)
  end
  return text
end

-- The tasks that there are, by the number of the entry that declared them.
local function current_tasks()
  local current = {}
  for _, name in ipairs(registries.namespaces()) do
    for _, record in ipairs(registries.namespace(name).records) do
      current[record.entry] = current[record.entry] or {}
      table.insert(current[record.entry], record)
    end
  end
  return current
end

-- Whether a chunk belongs into a script that makes the same tasks.
local function is_worth_keeping(chunk, tasks)
  if chunk.has_failed then
    return false
  elseif tasks > 0 then
    return true
  end
  return chunk.is_statement and not (chunk.file and chunk.is_declaration)
end

-- What ran before the prompt, with its arguments, or nil.
local function script_chunk()
  local arg = rawget(_G, "arg")
  if type(arg) ~= "table" or arg[-1] == nil or type(arg[0]) ~= "string" or arg[0] == "-" then
    return nil
  end
  local text = ("dofile(%q)"):format(arg[0])
  if arg[1] ~= nil then
    local words = {}
    for i, word in ipairs(arg) do
      words[i] = (", %q"):format(tostring(word))
    end
    text = ("arg = { [0] = %q%s }\nassert(loadfile(arg[0]))(table.unpack(arg))"):format(
      arg[0],
      table.concat(words)
    )
  end
  return {
    text = text,
    file = arg[0],
    namespace = registries.DEFAULT_NAMESPACE,
    is_declaration = true,
  }
end

local function is_of_command_line(record)
  return record.source == "(command line)"
end

---@class astrum.SavedScript
---@field text string
---@field count integer of declarations in it, and in the files that it runs
---@field files string[] those
---@field in_files integer of the declarations
---@field missing { names: string[], why: string }[] declarations that are not in it

---@param session astrum.ReplSession
---@return astrum.SavedScript
function M.script(session)
  local current = current_tasks()
  local script = { count = 0, files = {}, in_files = 0, missing = {} }
  local parts, seen, is_behind_file = { HEAD }, {}, false
  local function miss(records, why)
    local names = {}
    for i, record in ipairs(records) do
      names[i] = record.name
    end
    if #names > 0 then
      table.insert(script.missing, { names = names, why = why })
    end
  end
  local function add(chunk, records)
    local again = is_behind_file and chunk.is_declaration
    for _, name in ipairs(chunk.names or {}) do
      again, seen[name] = again or seen[name], true
    end
    if again then
      parts[#parts + 1] = NEXT_ENTRY
    end
    parts[#parts + 1] = statement(chunk)
    script.count = script.count + #records
    if chunk.file then
      is_behind_file = true
      script.files[#script.files + 1] = chunk.file
      script.in_files = script.in_files + #records
    end
  end
  -- Of a file that was loaded several times the last one counts.
  local last_of = {}
  for each = 1, session.entry do
    local chunk = session.chunks[each]
    if chunk and chunk.file and not chunk.has_failed then
      last_of[chunk.file] = chunk
    end
  end
  local given, of_script = {}, {}
  for _, record in ipairs(current[0] or {}) do
    table.insert(is_of_command_line(record) and given or of_script, record)
  end
  local first = script_chunk()
  miss(given, "declared by -e")
  if first and last_of[first.file] then
    miss(of_script, first.file .. " declares them no more")
  elseif first then
    add(first, of_script)
  else
    miss(of_script, "declared before the prompt")
  end
  local entry = 1
  while entry <= session.entry do
    local chunk, records = session.chunks[entry], {}
    local last = chunk and chunk.last or entry
    for each = entry, last do
      table.move(current[each] or {}, 1, #(current[each] or {}), #records + 1, records)
    end
    local is_older = chunk and chunk.file and last_of[chunk.file] ~= chunk
    if is_older then
      miss(records, chunk.file .. " declares them no more")
    elseif chunk and is_worth_keeping(chunk, #records) then
      add(chunk, records)
    else
      miss(records, chunk and "the entry failed" or "declared while no entry ran")
    end
    entry = last + 1
  end
  script.text = table.concat(parts, "\n") .. "\n"
  return script
end

local function plural(count, noun)
  return ("%d %s%s"):format(count, noun, count == 1 and "" or "s")
end

---What became of a save, to read.
---@param script astrum.SavedScript
---@param path string of the file that it was written to
---@return string
function M.told(script, path)
  local text = ("saved %s to %s"):format(plural(script.count, "declaration"), errors.escape(path))
  if script.files[1] then
    local is_part = script.in_files > 0 and script.in_files < script.count
    local counted = is_part and (" for %d of them"):format(script.in_files) or ""
    text = text .. ", which runs " .. suggest.enumerate(script.files) .. counted
  end
  local lines = { text }
  for _, missing in ipairs(script.missing) do
    lines[#lines + 1] = ("not saved: %s (%s)"):format(suggest.enumerate(missing.names), missing.why)
  end
  return table.concat(lines, "\n")
end

---Whether a script runs a file.
---@param script astrum.SavedScript
---@param path string
---@return boolean
function M.runs(script, path)
  local function plain(name)
    local text = name:gsub("/%.?/+", "/"):gsub("^%./+", "")
    return text
  end
  for _, file in ipairs(script.files) do
    if plain(file) == plain(path) then
      return true
    end
  end
  return false
end

return M
