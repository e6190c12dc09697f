-- What shells need to complete the options of astrum-lua. Made from the list of options, so that
-- nothing has to be kept in step.
local commands = require "astrum.command"

local M = {}

-- stylua: ignore
local SHORT <const> = {
  { "-e", "run a text", true },
  { "-l", "load a module", true },
  { "-i", "go to the prompt after the script" },
  { "-v", "show the version" },
  { "-E", "ignore the environment" },
  { "-W", "turn warnings on" },
  { "-j", "how many tasks run at once", true },
  { "-k", "go on after a failure" },
  { "-n", "say what would run" },
}

-- stylua: ignore
local TEXTS <const> = {
  ["--list"] = "list the tasks",
  ["--check"] = "check without running",
  ["--plan"] = "show stages and critical path",
  ["--graph"] = "draw without running",
  ["--dry-run"] = "say what would run",
  ["--run"] = "run what is declared",
  ["--set"] = "give a param a value",
  ["--report"] = "print the report of each run",
  ["--json"] = "print the report as JSON",
  ["--trace"] = "write a trace",
  ["--html"] = "write a page",
  ["--progress"] = "how progress is shown",
  ["--log"] = "log events",
  ["--color"] = "when there is colour",
  ["--completions"] = "print completions for a shell",
  ["--help"] = "show all options",
  ["--version"] = "show the version",
}

local FILES <const> = { ["--trace"] = true, ["--html"] = true }

local function join(list, map, separator)
  local parts = {}
  for i, value in ipairs(list) do
    parts[i] = map(value)
  end
  return table.concat(parts, separator)
end

---@return string for bash, to be put where bash-completion looks
function M.bash()
  local cases = {}
  for _, option in ipairs(commands.OPTIONS) do
    if option.choices then
      local words = table.concat(option.choices, " ")
      cases[#cases + 1] = ("    %s) words='%s' ;;\n"):format(option.name, words)
    end
  end
  local words = join(commands.OPTIONS, function(option)
    return option.name .. (option.argument == "optional" and option.choices and "=" or "")
  end, " ") .. " " .. join(SHORT, function(option)
    return option[1]
  end, " ")
  return [==[
# bash completion for astrum-lua
_astrum_lua() {
  local current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD - 1]}
  local option words=
  # '=' is a word of its own where it is in COMP_WORDBREAKS.
  if [[ $current == = ]]; then
    option=$previous current=
  elif [[ $previous == = ]]; then
    option=${COMP_WORDS[COMP_CWORD - 2]}
  elif [[ $current == --*=* ]]; then
    option=${current%%=*} current=${current#*=}
  else
    option=$previous
    [[ $option == --completions ]] || option=
  fi
  case $option in
]==] .. table.concat(cases) .. [==[
  esac
  COMPREPLY=()
  if [[ $words ]]; then
    mapfile -t COMPREPLY < <(compgen -W "$words" -- "$current")
  elif [[ $current == -* ]]; then
    mapfile -t COMPREPLY < <(compgen -W ']==] .. words .. [==[' -- "$current")
    [[ ${COMPREPLY[0]} != *= ]] || compopt -o nospace
  else
    compopt -o filenames
    mapfile -t COMPREPLY < <(compgen -f -- "$current")
  fi
}
complete -F _astrum_lua astrum-lua]==]
end

---@return string for zsh, the file _astrum-lua of a folder of fpath
function M.zsh()
  local lines = {}
  for _, option in ipairs(commands.OPTIONS) do
    local spec = option.name
    local action = ""
    if option.choices then
      action = ":choice:(" .. table.concat(option.choices, " ") .. ")"
    elseif FILES[option.name] then
      action = ":file:_files"
    elseif option.argument then
      action = ":value: "
    end
    if option.argument == "optional" then
      spec, action = spec .. "=-", ":" .. action
    elseif option.argument then
      spec = spec .. "="
    end
    lines[#lines + 1] = ("  '*%s[%s]%s'"):format(spec, TEXTS[option.name], action)
  end
  for _, option in ipairs(SHORT) do
    local argument = option[3] and "+" or ""
    local action = option[3] and ":value: " or ""
    lines[#lines + 1] = ("  '*%s%s[%s]%s'"):format(option[1], argument, option[2], action)
  end
  return "#compdef astrum-lua\n_arguments -S \\\n"
    .. table.concat(lines, " \\\n")
    .. " \\\n  ':script:_files' \\\n  '*::argument:_files'"
end

---@return string for fish
function M.fish()
  local lines = { "# fish completion for astrum-lua" }
  for _, option in ipairs(commands.OPTIONS) do
    local line = ("complete -c astrum-lua -l %s -d '%s'"):format(
      option.name:sub(3),
      TEXTS[option.name]
    )
    if option.choices then
      local required = option.argument == "required" and " -x" or " -f"
      line = line .. required .. " -a '" .. table.concat(option.choices, " ") .. "'"
    elseif FILES[option.name] then
      line = line .. " -r -F"
    elseif option.argument == "required" then
      line = line .. " -x"
    end
    lines[#lines + 1] = line
  end
  for _, option in ipairs(SHORT) do
    local line = ("complete -c astrum-lua -s %s -d '%s'"):format(option[1]:sub(2), option[2])
    lines[#lines + 1] = line .. (option[3] and " -x" or "")
  end
  return table.concat(lines, "\n")
end

return M
