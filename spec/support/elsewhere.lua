-- Workflows of one task `work` whose body runs in a child process or a worker thread.
local assert = require "luassert"
local flow = require "spec.support.flow"

---@class spec.Elsewhere
---@field run fun(body: function, spec?: table, config?: table): table the report
---@field result_of fun(body: function, spec?: table, config?: table): any what the body returns
---@field message_of fun(body: function, spec?: table, config?: table): string how it fails

---@param executor string
---@return spec.Elsewhere
return function(executor)
  local M = {}

  function M.run(body, spec, config)
    spec = spec or {}
    spec.executor, spec.run = executor, body
    return flow.run(function(task)
      task("work", spec)
    end, config)
  end

  function M.result_of(body, spec, config)
    return (M.run(body, spec, config):assert():result("work"))
  end

  function M.message_of(body, spec, config)
    local report = M.run(body, spec, config)
    assert.equal("failed", report:task("work").status)
    return report:task("work").error_message
  end

  return M
end
