-- Workflows as plain tables, in the form that lua/astrum/view.lua reads, made without the C
-- module: the six graphs of fast_start and helpers to make others.
local M = {}

local function parse_path(text)
  local path = { n = 0 }
  for name, index in text:gmatch("([%a_][%w_]*)%[?(%d*)%]?") do
    path.n = path.n + 1
    path[path.n] = name
    if index ~= "" then
      path.n = path.n + 1
      path[path.n] = math.tointeger(tonumber(index))
    end
  end
  return path
end

--- Inputs of a task from { "parameter", "task.field[1].name", "type" } rows.
local function inputs_of(rows)
  local inputs = { n = #rows }
  for position, row in ipairs(rows) do
    local source, rest = row[2]:match("^([^.]+)%.?(.*)$")
    inputs[position] = {
      parameter = row[1],
      kind = "reference",
      type = row[3],
      source = source,
      path = parse_path(rest),
    }
  end
  return inputs
end

--- A workflow from { name, inputs, depends_on } rows, in the order of declaration.
---@param rows table[]
---@return table
function M.workflow(rows)
  local workflow = { tasks = {}, index = {}, detached = {} }
  for id, row in ipairs(rows) do
    local task = { name = row[1], inputs = inputs_of(row[2] or {}), depends = {} }
    local known = {}
    local function depend(name)
      if not known[name] then
        known[name] = true
        task.depends[#task.depends + 1] = name
      end
    end
    for _, input in ipairs(task.inputs) do
      depend(input.source)
    end
    for _, name in ipairs(row[3] or {}) do
      depend(name)
    end
    task.record = { name = task.name, retry = row.retry or 0 }
    task.policy = { retry = row.retry or 0 }
    task.detached = row.detached
    workflow.detached[id] = row.detached
    workflow.tasks[id] = task
    workflow.index[task.name] = id
  end
  return workflow
end

function M.serial()
  return M.workflow { { "task1" }, { "task2", { { "previous", "task1", "string" } } } }
end

function M.parallel()
  return M.workflow { { "task1" }, { "task2" } }
end

function M.fan_in()
  return M.workflow {
    { "task1" },
    { "task2" },
    { "task3", { { "first", "task1", "string" }, { "second", "task2", "string" } } },
  }
end

function M.branches()
  return M.workflow {
    { "task1" },
    { "task2" },
    { "task3", { { "first", "task1", "string" }, { "second", "task2", "string" } } },
    { "task4" },
    { "task5", { { "previous", "task4", "string" } } },
  }
end

function M.checkout()
  return M.workflow {
    { "load_order" },
    { "load_inventory" },
    { "load_pricing_rules" },
    {
      "validate_cart",
      {
        { "items", "load_order.items", "list" },
        { "stock", "load_inventory.stock", "table" },
      },
    },
    {
      "compute_subtotal",
      {
        { "items", "load_order.items", "list" },
        { "prices_cents", "load_pricing_rules.prices_cents", "table" },
      },
    },
    {
      "apply_discount",
      {
        { "subtotal_cents", "compute_subtotal.subtotal_cents", "integer" },
        { "coupon", "load_order.coupon", "string" },
        { "discounts", "load_pricing_rules.discounts", "table" },
      },
    },
    {
      "add_tax",
      {
        { "net_subtotal_cents", "apply_discount.net_subtotal_cents", "integer" },
        { "region", "load_order.region", "string" },
        { "tax_basis_points", "load_pricing_rules.tax_basis_points", "table" },
      },
    },
    {
      "build_inventory_audit",
      {
        { "order_id", "load_order.order_id", "string" },
        { "is_valid", "validate_cart.is_valid", "boolean" },
        { "missing_skus", "validate_cart.missing_skus", "list" },
        { "reserved_items", "validate_cart.reserved_items", "list" },
      },
    },
    {
      "build_receipt",
      {
        { "order_id", "load_order.order_id", "string" },
        { "customer_id", "load_order.customer_id", "string" },
        { "line_items", "compute_subtotal.line_items", "list" },
        { "subtotal_cents", "compute_subtotal.subtotal_cents", "integer" },
        { "discount_cents", "apply_discount.discount_cents", "integer" },
        { "net_subtotal_cents", "apply_discount.net_subtotal_cents", "integer" },
        { "tax_cents", "add_tax.tax_cents", "integer" },
        { "audit_id", "build_inventory_audit.audit_id", "string" },
        { "is_valid", "build_inventory_audit.is_valid", "boolean" },
        { "missing_skus", "build_inventory_audit.missing_skus", "list" },
      },
    },
    {
      "finalize_order",
      {
        { "receipt", "build_receipt", "table" },
        { "audit_id", "build_inventory_audit.audit_id", "string" },
      },
    },
  }
end

function M.risk()
  return M.workflow {
    { "fetch_profile" },
    { "fetch_activity" },
    { "fetch_payments" },
    { "fetch_credit_score", { { "customer_id", "fetch_profile.customer_id" } }, retry = 1 },
    {
      "normalize_activity",
      {
        { "login_count_7d", "fetch_activity.login_count_7d" },
        { "failed_login_count_7d", "fetch_activity.failed_login_count_7d" },
        { "new_device", "fetch_activity.new_device" },
      },
    },
    {
      "detect_payment_flags",
      {
        { "failed_payments_30d", "fetch_payments.failed_payments_30d" },
        { "chargebacks_90d", "fetch_payments.chargebacks_90d" },
        { "average_ticket_cents", "fetch_payments.average_ticket_cents" },
      },
    },
    {
      "build_region_policy",
      {
        { "region", "fetch_profile.region" },
        { "segment", "fetch_profile.segment" },
      },
    },
    {
      "score_risk",
      {
        { "activity_points", "normalize_activity.activity_points" },
        { "payment_points", "detect_payment_flags.payment_points" },
        { "credit_score", "fetch_credit_score.credit_score" },
        { "region_points", "build_region_policy.region_points" },
        { "review_threshold", "build_region_policy.review_threshold" },
        { "decline_threshold", "build_region_policy.decline_threshold" },
      },
    },
    {
      "choose_action",
      {
        { "risk_score", "score_risk.risk_score" },
        { "review_threshold", "score_risk.review_threshold" },
        { "decline_threshold", "score_risk.decline_threshold" },
        { "channel", "build_region_policy.notification_channel" },
      },
    },
    {
      "send_notification",
      {
        { "email", "fetch_profile.email" },
        { "action", "choose_action.action" },
        { "channel", "choose_action.channel" },
      },
    },
    {
      "archive_decision",
      {
        { "customer_id", "fetch_profile.customer_id" },
        { "action", "choose_action.action" },
        { "risk_score", "score_risk.risk_score" },
      },
    },
    {
      "final_summary",
      {
        { "action", "choose_action.action" },
        { "priority", "choose_action.priority" },
        { "risk_score", "score_risk.risk_score" },
        { "credit_score", "fetch_credit_score.credit_score" },
        { "notification", "send_notification" },
        { "archive_key", "archive_decision.archive_key" },
      },
    },
  }
end

return M
