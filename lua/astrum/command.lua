-- Reads the command line. bindings/main.c runs this file before the libraries may look at the
-- environment, because -E says whether they may; so it requires nothing.
local M = {}

---An option that begins with two dashes, or the long name of a letter.
---@class astrum.LongOption
---@field name string with its dashes
---@field argument? "required"|"optional" none when left out
---@field choices? string[] what the argument may be
---@field look? string what is looked at in place of a run
---@field needs_run? true it is about runs, and means nothing when nothing runs

local COLORS <const> = { "auto", "always", "never" }
local GRAPHS <const> = { "tree", "dot", "mermaid", "svg" }
local LOGS <const> = { "plain", "json" }
local PROGRESS <const> = { "auto", "plain", "full", "none" }
local REPORTS <const> = { "text", "json" }
local SHELLS <const> = { "bash", "zsh", "fish" }

-- stylua: ignore
---In the order in which help and completions list them.
---@type astrum.LongOption[]
M.OPTIONS = {
  { name = "--list", look = "list" },
  { name = "--check", look = "check" },
  { name = "--plan", look = "plan" },
  { name = "--graph", look = "graph", argument = "optional", choices = GRAPHS },
  { name = "--dry-run", look = "dry-run" },
  { name = "--run", argument = "optional" },
  { name = "--set", argument = "required" },
  { name = "--report", argument = "optional", choices = REPORTS, needs_run = true },
  { name = "--json", needs_run = true },
  { name = "--trace", argument = "required", needs_run = true },
  { name = "--html", argument = "required", needs_run = true },
  { name = "--progress", argument = "optional", choices = PROGRESS, needs_run = true },
  { name = "--log", argument = "optional", choices = LOGS, needs_run = true },
  { name = "--color", argument = "optional", choices = COLORS },
  { name = "--completions", argument = "required", choices = SHELLS },
  { name = "--help" },
  { name = "--version" },
}

local by_name <const> = {}
for _, option in ipairs(M.OPTIONS) do
  by_name[option.name] = option
end

---The long option of a word, or the one that a letter stands for.
---@param word string such as --graph=dot
---@return astrum.LongOption?
function M.find(word)
  local letter = { ["-n"] = "--dry-run" }
  return by_name[letter[word] or word:match "^%-%-[^=]*"]
end

---@class astrum.Command what the command line asks for
---@field words string[] all of it
---@field name string of the program, as it was called
---@field steps { [1]: string, [2]: string? }[] -e, -l and -W in their order, by letter
---@field script integer place of the script among the words, or one past the last
---@field program boolean there is a script or a text of -e
---@field asks boolean something is asked for that lua has not
---@field interactive? true -i
---@field version? true -v
---@field clean? true -E
---@field show? "help"|"version"|"completions"
---@field shell? string
---@field looks { what: string, form: string?, option: string }[]
---@field run? true
---@field targets? string[] of --run
---@field set table<string, string> texts by name of a param
---@field report? "text"|"json"
---@field trace? string a file
---@field html? string a file
---@field progress? "auto"|"plain"|"full"|"none"
---@field log? "plain"|"json"
---@field color? "auto"|"always"|"never"
---@field concurrency? integer -j
---@field keep_going? true -k
---@field needs_run? string the first option given that is about runs
---@field mistake? { [1]: string, [2]: string, [3]: any } its kind, the option, what it wants

local handlers = {}

handlers["--run"] = function(command, value)
  command.run = true
  if not value then
    return nil
  end
  command.targets = command.targets or {}
  for target in value:gmatch "[^,]+" do
    command.targets[#command.targets + 1] = target
  end
  return #command.targets == 0 and "no_target" or nil
end

handlers["--set"] = function(command, value)
  local name, text = value:match "^([^=]+)=(.*)$"
  if not name then
    return "no_value"
  end
  command.set[name] = text
end

handlers["--json"] = function(command)
  command.report = "json"
end

handlers["--report"] = function(command, value)
  command.report = value or "text"
end

handlers["--progress"] = function(command, value)
  command.progress = value or "auto"
end

handlers["--log"] = function(command, value)
  command.log = value or "plain"
end

handlers["--color"] = function(command, value)
  command.color = value or "always"
end

handlers["--completions"] = function(command, value)
  command.show, command.shell = "completions", value
end

handlers["--help"] = function(command)
  command.show = "help"
end

handlers["--version"] = function(command)
  command.show = "version"
end

local function file_option(key)
  return function(command, value)
    if value == "" then
      return "no_argument"
    elseif value:find "%.lua$" then
      return "is_script"
    end
    command[key] = value
  end
end

handlers["--trace"] = file_option "trace"
handlers["--html"] = file_option "html"

local function has(list, value)
  for _, one in ipairs(list) do
    if one == value then
      return true
    end
  end
  return false
end

-- Obeys a long option. `rest` is the next word. Returns whether that was taken, or nil and the
-- mistake.
local function long_option(command, word, rest)
  local name, value = word:match "^(%-%-[^=]*)=(.*)$"
  name = name or word
  local option = by_name[name]
  if not option then
    return nil, { "unknown_option", word }
  end
  local takes_next = false
  if option.argument == "required" and not value then
    if rest == nil then
      return nil, { "no_argument", name }
    end
    value, takes_next = rest, true
  elseif not option.argument and value then
    return nil, { "extra_argument", name }
  end
  if option.choices and value and not has(option.choices, value) then
    return nil, { "wrong_choice", name, { value = value, choices = option.choices } }
  end
  if option.look then
    local look = { what = option.look, form = value, option = name }
    command.looks[#command.looks + 1] = look
  end
  if option.needs_run and value ~= "none" then
    command.needs_run = command.needs_run or name
  end
  local handler = handlers[name]
  local mistake = handler and handler(command, value)
  if mistake then
    return nil, { mistake, name, value }
  end
  return takes_next
end

local letters = {
  i = function(command)
    command.interactive, command.version = true, true
  end,
  v = function(command)
    command.version = true
  end,
  E = function(command)
    command.clean = true
  end,
  W = function(command)
    command.steps[#command.steps + 1] = { "W" }
  end,
  k = function(command)
    command.keep_going = true
    command.needs_run = command.needs_run or "-k"
  end,
  n = function(command)
    command.looks[#command.looks + 1] = { what = "dry-run", option = "-n" }
  end,
}

local arguments = {
  e = function(command, value)
    command.steps[#command.steps + 1] = { "e", value }
    command.program = true
  end,
  l = function(command, value)
    command.steps[#command.steps + 1] = { "l", value }
  end,
  j = function(command, value)
    local number = value:find "^%d+$" and math.tointeger(tonumber(value))
    if not number or number < 1 or number > 0xFFFFFFFF then
      return "no_number"
    end
    command.concurrency = number
    command.needs_run = command.needs_run or "-j"
  end,
}

-- The same for a letter.
local function short_option(command, word, rest)
  local letter = word:sub(2, 2)
  if by_name["-" .. word] then
    -- Not a module 'ist' for -list.
    return nil, { "unknown_option", word }
  elseif arguments[letter] then
    local value, takes_next = word:sub(3), false
    if value == "" then
      local is_option = rest and rest:find "^%-" and not (letter == "j" and rest:find "^%-%d")
      if rest == nil or is_option then
        return nil, { "no_argument", word }
      end
      value, takes_next = rest, true
    end
    local mistake = arguments[letter](command, value)
    if mistake then
      return nil, { mistake, "-" .. letter, value }
    end
    return takes_next
  elseif letters[letter] and #word == 2 then
    letters[letter](command)
    return false
  end
  return nil, { "unknown_option", word }
end

---What the words of a command line ask for. Options end at the first word that is none.
---@param words string[] from 1; at 0 the name of the program
---@return astrum.Command
function M.parse(words)
  local command =
    { name = words[0], words = words, steps = {}, looks = {}, set = {}, program = false }
  local i = 1
  while words[i] and words[i]:sub(1, 1) == "-" and words[i] ~= "-" do
    local word = words[i]
    i = i + 1
    if word == "--" then
      break
    end
    local read = word:sub(1, 2) == "--" and long_option or short_option
    local takes_next, mistake = read(command, word, words[i])
    if mistake then
      command.mistake = mistake
      break
    end
    i = i + (takes_next and 1 or 0)
    if command.show then
      break
    end
  end
  command.script = i
  command.asks = command.looks[1] ~= nil
    or command.run
    or command.needs_run ~= nil
    or command.progress ~= nil
    or command.color ~= nil
    or next(command.set) ~= nil
  command.program = command.program or words[i] ~= nil
  return command
end

return M
