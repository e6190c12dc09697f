-- What bodies for worker threads see when they are so brief that they run at home (lua_brief.c):
-- copies of what computes of Lua's library, and globals of their own. Whatever else they look for
-- ends them there, and a worker runs them.
local core = require "astrum.core"

core.own()

-- Nothing that keeps something from one call to the next, waits, or catches errors.
local PARTS <const> = {
  _G = {
    "assert",
    "error",
    "ipairs",
    "next",
    "pairs",
    "rawequal",
    "rawget",
    "rawlen",
    "rawset",
    "select",
    "tonumber",
    "tostring",
    "type",
  },
  math = {
    "abs",
    "acos",
    "asin",
    "atan",
    "ceil",
    "cos",
    "deg",
    "exp",
    "floor",
    "fmod",
    "huge",
    "log",
    "max",
    "maxinteger",
    "min",
    "mininteger",
    "modf",
    "pi",
    "rad",
    "sin",
    "sqrt",
    "tan",
    "tointeger",
    "type",
    "ult",
  },
  string = {
    "byte",
    "char",
    "find",
    "format",
    "gmatch",
    "gsub",
    "len",
    "lower",
    "match",
    "pack",
    "packsize",
    "rep",
    "reverse",
    "sub",
    "unpack",
    "upper",
  },
  table = { "concat", "insert", "move", "pack", "remove", "sort", "unpack" },
  utf8 = { "char", "charpattern", "codepoint", "codes", "len", "offset" },
}

local modules = {}
for module, names in pairs(PARTS) do
  local part, whole = {}, module == "_G" and _G or require(module)
  for _, name in ipairs(names) do
    part[name] = whole[name]
  end
  modules[module] = part
end

local globals = modules._G
for module, part in pairs(modules) do
  globals[module] = part
end
for _, part in pairs(modules) do
  setmetatable(part, {
    __index = function()
      error("only a worker has it", 0)
    end,
  })
end

core.brief_modules(modules)
