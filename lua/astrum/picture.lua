-- Pictures of a workflow, and of what came of it: text for Mermaid and Graphviz, and SVG.
local core = require "astrum.core"
local errors = require "astrum.error"
local graph = require "astrum.picture.graph"
local options = require "astrum.options"

core.own()

local M = {}

local LIMITS <const> = { "tasks", "edges", tasks = "integer", edges = "integer" }
local SVG <const> = {
  "tasks",
  "edges",
  "graphviz",
  tasks = "integer",
  edges = "integer",
  graphviz = "boolean",
}

---@param workflow astrum.Workflow
---@param report astrum.Report?
---@param given table?
---@return string
function M.mermaid(workflow, report, given)
  given = options.simple(given, LIMITS, "mermaid")
  return require("astrum.picture.mermaid").draw(graph.of(workflow, report, given))
end

---@param workflow astrum.Workflow
---@param report astrum.Report?
---@param given table?
---@return string
function M.dot(workflow, report, given)
  given = options.simple(given, LIMITS, "dot")
  return require("astrum.picture.dot").draw(graph.of(workflow, report, given))
end

-- What Graphviz makes of a text, or nil. The text goes through a file of our own, so nothing of it
-- is seen by the shell.
local function graphviz(text)
  local path = os.tmpname()
  local file <close> = assert(io.open(path, "wb"))
  file:write(text)
  file:close()
  local pipe = assert(io.popen(("dot -Tsvg '%s' 2>/dev/null"):format(path:gsub("'", "'\\''"))))
  local svg = pipe:read("a")
  local ok = pipe:close()
  os.remove(path)
  return ok and svg or nil
end

---@param workflow astrum.Workflow
---@param report astrum.Report?
---@param given table?
---@return string
function M.svg(workflow, report, given)
  given = options.simple(given, SVG, "svg")
  local drawn = graph.of(workflow, report, given)
  if not given.graphviz then
    return require("astrum.picture.svg").draw(drawn)
  end
  local svg = graphviz(require("astrum.picture.dot").draw(drawn))
  if not svg then
    local help = "install the package graphviz, or leave graphviz out"
    errors.raise("ConfigError", "svg: the program dot of Graphviz cannot be run", help)
  end
  return svg
end

return M
