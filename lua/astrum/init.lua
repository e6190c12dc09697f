-- astrum: workflows of Lua functions. Everything public stands here.
local config = require "astrum.config"
local core = require "astrum.core"
local errors = require "astrum.error"
local manual = require "astrum.manual"
local params = require "astrum.param"
local ref = require "astrum.ref"
local registry = require "astrum.registry"
require "astrum.scheduler"
local testing = require "astrum.testing"

core.own()

---@class astrum
local astrum = {
  VERSION = core.version,

  -- declaring
  task = registry.task,
  F = ref.F,
  Ref = ref.Ref,
  T = ref.T,
  param = params.param,

  -- namespaces
  namespace = registry.namespace,
  use_namespace = registry.use_namespace,
  active_namespace = registry.active_namespace,
  get_registry = registry.get_registry,
  clear_registry = registry.clear_registry,
  DEFAULT_NAMESPACE = registry.DEFAULT_NAMESPACE,
  SchedulerRegistry = registry.SchedulerRegistry,
  workflow = registry.workflow,

  -- building and running
  AstrumConfig = config.AstrumConfig,
  build_scheduler = registry.build_scheduler,
  build_task_orders = registry.build_task_orders,
  run = registry.run,

  -- graphs by hand
  TaskOrder = manual.TaskOrder,
  ExecutionPlanner = manual.ExecutionPlanner,
  DynamicScheduler = manual.DynamicScheduler,

  -- waiting
  sleep = core.sleep,
  await = core.await,
  all = core.all,
  spawn = core.spawn,
  context = core.context,
  enable_preemption = core.enable_preemption,

  -- tests of workflows: run
  testing = testing,

  errors = errors,
}

return astrum
