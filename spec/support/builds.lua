-- Builds of workflows from source text.
local assert = require "luassert"
local astrum = require "astrum"
local build = require "astrum.build"
local errors = require "astrum.error"
local registry = require "astrum.registry"

local M = {}

---Runs text as the file flow.lua with a `task` of a new registry `mine`, and builds that.
---@param text string
---@param given? table options of the build
---@return table workflow
---@return table registry
function M.build_flow(text, given)
  local mine = registry.SchedulerRegistry "mine"
  local env = {
    task = mine.task,
    mine = mine,
    registry = registry.SchedulerRegistry,
    F = astrum.F,
    Ref = astrum.Ref,
    T = astrum.T,
    param = astrum.param,
    workflow = astrum.workflow,
    body = function() end,
  }
  assert(load(text, "=flow.lua", "t", setmetatable(env, { __index = _G })))()
  return build.build(mine, given), mine
end

---The error of a build that fails.
---@param text string
---@param given? table
---@return table
function M.mistakes_of(text, given)
  local ok, e = pcall(M.build_flow, text, given)
  assert.is_false(ok, text)
  assert.is_true(errors.is_error(e), tostring(e))
  return e
end

return M
