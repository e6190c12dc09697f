-- A tour of astrum in six workflows: a chain, two independent tasks, a fan-in,
-- two independent branches, an order checkout that passes single fields along,
-- and a risk review whose tasks wait, fail once and try again.
--
--   astrum-lua examples/fast_start.lua
--
-- Each workflow has a namespace of its own. All six are declared first; then
-- each is drawn, run and checked.

local astrum = require "astrum"
local F, Ref, sleep = astrum.F, astrum.Ref, astrum.sleep

local CONFIG <const> = astrum.AstrumConfig {
  skip_type_check = true,
  silence = true,
  silence_warnings = true,
  visualize = true, -- draw each workflow when it is built
}

-- Example 1: a chain ---------------------------------------------------------
do
  local task = astrum.namespace("example_1").task

  task("task1", function()
    return "task1"
  end)

  -- An input says where a parameter of `run` gets its value from. F.task1 is
  -- the whole result of task1, so task2 waits for task1.
  task "task2" {
    inputs = { previous = Ref("string", F.task1) },
    run = function(previous)
      return "task2" .. previous
    end,
  }
end

-- Example 2: two independent tasks -------------------------------------------
do
  local task = astrum.namespace("example_2").task

  -- Nothing connects these two, so neither waits for the other.
  task("task1", function()
    return "task1"
  end)

  task("task2", function()
    return "task2"
  end)
end

-- Example 3: a fan-in --------------------------------------------------------
do
  local task = astrum.namespace("example_3").task

  task("task1", function()
    return "task1"
  end)

  task("task2", function()
    return "task2"
  end)

  task "task3" {
    inputs = {
      first = Ref("string", F.task1),
      second = Ref("string", F.task2),
    },
    run = function(first, second)
      return "task3" .. first .. second
    end,
  }
end

-- Example 4: two independent branches ----------------------------------------
do
  local task = astrum.namespace("example_4").task

  task("task1", function()
    return "task1"
  end)

  task("task2", function()
    return "task2"
  end)

  task "task3" {
    inputs = {
      first = Ref("string", F.task1),
      second = Ref("string", F.task2),
    },
    run = function(first, second)
      return "task3" .. first .. second
    end,
  }

  task("task4", function()
    return "task4"
  end)

  task "task5" {
    inputs = { previous = Ref("string", F.task4) },
    run = function(previous)
      return "task5" .. previous
    end,
  }
end

-- Example 5: an order checkout -----------------------------------------------
-- F.load_order.items is one field of a result: a task takes what it needs and
-- waits for nothing else. Money is in cents.
do
  local task = astrum.namespace("example_5").task

  task("load_order", function()
    return {
      order_id = "order-1001",
      customer_id = "customer-42",
      region = "CN-SH",
      coupon = "SAVE20",
      items = {
        { sku = "mesh-keyboard", qty = 2 },
        { sku = "flow-mouse", qty = 1 },
        { sku = "dag-sticker", qty = 3 },
      },
    }
  end)

  task("load_inventory", function()
    return { stock = { ["mesh-keyboard"] = 5, ["flow-mouse"] = 8, ["dag-sticker"] = 99 } }
  end)

  task("load_pricing_rules", function()
    return {
      prices_cents = { ["mesh-keyboard"] = 1200, ["flow-mouse"] = 2500, ["dag-sticker"] = 800 },
      discounts = { SAVE20 = 20, WELCOME10 = 10 },
      tax_basis_points = { ["CN-SH"] = 800, ["US-CA"] = 925 },
    }
  end)

  task "validate_cart" {
    inputs = {
      items = Ref("list", F.load_order.items),
      stock = Ref("table", F.load_inventory.stock),
    },
    run = function(items, stock)
      local missing_skus, reserved_items = {}, {}
      for _, item in ipairs(items) do
        if (stock[item.sku] or 0) < item.qty then
          table.insert(missing_skus, item.sku)
        else
          table.insert(reserved_items, { sku = item.sku, qty = item.qty })
        end
      end
      return {
        is_valid = #missing_skus == 0,
        missing_skus = missing_skus,
        reserved_items = reserved_items,
      }
    end,
  }

  task "compute_subtotal" {
    inputs = {
      items = Ref("list", F.load_order.items),
      prices_cents = Ref("table", F.load_pricing_rules.prices_cents),
    },
    run = function(items, prices_cents)
      local line_items, subtotal_cents = {}, 0
      for _, item in ipairs(items) do
        local unit_cents = prices_cents[item.sku]
        local line_total_cents = unit_cents * item.qty
        subtotal_cents = subtotal_cents + line_total_cents
        table.insert(line_items, {
          sku = item.sku,
          qty = item.qty,
          unit_cents = unit_cents,
          line_total_cents = line_total_cents,
        })
      end
      return { line_items = line_items, subtotal_cents = subtotal_cents }
    end,
  }

  task "apply_discount" {
    inputs = {
      subtotal_cents = Ref("integer", F.compute_subtotal.subtotal_cents),
      coupon = Ref("string", F.load_order.coupon),
      discounts = Ref("table", F.load_pricing_rules.discounts),
    },
    run = function(subtotal_cents, coupon, discounts)
      local discount_rate = discounts[coupon] or 0
      local discount_cents = subtotal_cents * discount_rate // 100
      return {
        discount_rate = discount_rate,
        discount_cents = discount_cents,
        net_subtotal_cents = subtotal_cents - discount_cents,
      }
    end,
  }

  task "add_tax" {
    inputs = {
      net_subtotal_cents = Ref("integer", F.apply_discount.net_subtotal_cents),
      region = Ref("string", F.load_order.region),
      tax_basis_points = Ref("table", F.load_pricing_rules.tax_basis_points),
    },
    run = function(net_subtotal_cents, region, tax_basis_points)
      local basis_points = tax_basis_points[region]
      return {
        tax_basis_points = basis_points,
        tax_cents = net_subtotal_cents * basis_points // 10000,
      }
    end,
  }

  task "build_inventory_audit" {
    inputs = {
      order_id = Ref("string", F.load_order.order_id),
      is_valid = Ref("boolean", F.validate_cart.is_valid),
      missing_skus = Ref("list", F.validate_cart.missing_skus),
      reserved_items = Ref("list", F.validate_cart.reserved_items),
    },
    run = function(order_id, is_valid, missing_skus, reserved_items)
      local reserved_count = 0
      for _, item in ipairs(reserved_items) do
        reserved_count = reserved_count + item.qty
      end
      return {
        audit_id = "audit-" .. order_id,
        is_valid = is_valid,
        missing_skus = missing_skus,
        reserved_count = reserved_count,
      }
    end,
  }

  task "build_receipt" {
    inputs = {
      order_id = Ref("string", F.load_order.order_id),
      customer_id = Ref("string", F.load_order.customer_id),
      line_items = Ref("list", F.compute_subtotal.line_items),
      subtotal_cents = Ref("integer", F.compute_subtotal.subtotal_cents),
      discount_cents = Ref("integer", F.apply_discount.discount_cents),
      net_subtotal_cents = Ref("integer", F.apply_discount.net_subtotal_cents),
      tax_cents = Ref("integer", F.add_tax.tax_cents),
      audit_id = Ref("string", F.build_inventory_audit.audit_id),
      is_valid = Ref("boolean", F.build_inventory_audit.is_valid),
      missing_skus = Ref("list", F.build_inventory_audit.missing_skus),
    },
    run = function(inputs) -- the parameter `inputs` is the table of them all
      return {
        receipt_id = "receipt-" .. inputs.order_id,
        order_id = inputs.order_id,
        customer_id = inputs.customer_id,
        line_items = inputs.line_items,
        subtotal_cents = inputs.subtotal_cents,
        discount_cents = inputs.discount_cents,
        tax_cents = inputs.tax_cents,
        payable_cents = inputs.net_subtotal_cents + inputs.tax_cents,
        status = inputs.is_valid and "ready_to_pay" or "blocked",
        audit_id = inputs.audit_id,
        missing_skus = inputs.missing_skus,
      }
    end,
  }

  task "finalize_order" {
    inputs = {
      receipt = Ref("table", F.build_receipt),
      audit_id = Ref("string", F.build_inventory_audit.audit_id),
    },
    run = function(receipt, audit_id)
      return {
        order_id = receipt.order_id,
        receipt_id = receipt.receipt_id,
        audit_id = audit_id,
        status = receipt.status == "ready_to_pay" and "submitted" or "blocked",
        payable_cents = receipt.payable_cents,
        missing_skus = receipt.missing_skus,
      }
    end,
  }
end

-- Example 6: a risk review ---------------------------------------------------
-- sleep stands for the wait for some service. It suspends its own task only:
-- twelve tasks wait 10 ms each, and the whole review takes about 70.
local credit_calls = 0
do
  local task = astrum.namespace("example_6").task
  local LATENCY <const> = 0.01

  task("fetch_profile", function()
    sleep(LATENCY)
    return {
      customer_id = "customer-42",
      email = "ops@example.com",
      region = "EU",
      segment = "enterprise",
    }
  end)

  task("fetch_activity", function()
    sleep(LATENCY)
    return { login_count_7d = 3, failed_login_count_7d = 2, new_device = true }
  end)

  task("fetch_payments", function()
    sleep(LATENCY)
    return { failed_payments_30d = 1, chargebacks_90d = 0, average_ticket_cents = 5500 }
  end)

  task "fetch_credit_score" {
    retry = 1,
    inputs = { customer_id = Ref("string", F.fetch_profile.customer_id) },
    run = function(customer_id, ctx) -- ctx describes this attempt
      credit_calls = credit_calls + 1
      sleep(LATENCY)
      if ctx.attempt == 1 then
        return nil, "temporary credit provider timeout for " .. customer_id
      end
      return { provider = "mock-credit", credit_score = 680 }
    end,
  }

  task "normalize_activity" {
    inputs = {
      login_count_7d = Ref("integer", F.fetch_activity.login_count_7d),
      failed_login_count_7d = Ref("integer", F.fetch_activity.failed_login_count_7d),
      new_device = Ref("boolean", F.fetch_activity.new_device),
    },
    run = function(login_count_7d, failed_login_count_7d, new_device)
      sleep(LATENCY)
      local points = failed_login_count_7d * 10 + (new_device and 5 or 0)
      return {
        activity_points = math.max(0, points - math.min(login_count_7d, 5)),
        activity_flags = new_device and { "new_device" } or {},
      }
    end,
  }

  task "detect_payment_flags" {
    inputs = {
      failed_payments_30d = Ref("integer", F.fetch_payments.failed_payments_30d),
      chargebacks_90d = Ref("integer", F.fetch_payments.chargebacks_90d),
      average_ticket_cents = Ref("integer", F.fetch_payments.average_ticket_cents),
    },
    run = function(failed_payments_30d, chargebacks_90d, average_ticket_cents)
      sleep(LATENCY)
      local points = failed_payments_30d * 25 + chargebacks_90d * 45
      local flags = {}
      if failed_payments_30d > 0 then
        table.insert(flags, "recent_failed_payment")
      end
      if chargebacks_90d > 0 then
        table.insert(flags, "recent_chargeback")
      end
      if average_ticket_cents >= 5000 then
        table.insert(flags, "high_ticket")
        points = points + 10
      end
      return { payment_points = points, payment_flags = flags }
    end,
  }

  task "build_region_policy" {
    inputs = {
      region = Ref("string", F.fetch_profile.region),
      segment = Ref("string", F.fetch_profile.segment),
    },
    run = function(region, segment)
      sleep(LATENCY)
      return {
        region = region,
        segment = segment,
        region_points = region == "EU" and 5 or 0,
        review_threshold = 60,
        decline_threshold = 90,
        notification_channel = "email",
      }
    end,
  }

  task "score_risk" {
    inputs = {
      activity_points = Ref("integer", F.normalize_activity.activity_points),
      payment_points = Ref("integer", F.detect_payment_flags.payment_points),
      credit_score = Ref("integer", F.fetch_credit_score.credit_score),
      region_points = Ref("integer", F.build_region_policy.region_points),
      review_threshold = Ref("integer", F.build_region_policy.review_threshold),
      decline_threshold = Ref("integer", F.build_region_policy.decline_threshold),
    },
    run = function(inputs)
      sleep(LATENCY)
      local credit_points = inputs.credit_score < 700 and 20 or 0
      return {
        risk_score = inputs.activity_points
          + inputs.payment_points
          + inputs.region_points
          + credit_points,
        credit_points = credit_points,
        review_threshold = inputs.review_threshold,
        decline_threshold = inputs.decline_threshold,
      }
    end,
  }

  task "choose_action" {
    inputs = {
      risk_score = Ref("integer", F.score_risk.risk_score),
      review_threshold = Ref("integer", F.score_risk.review_threshold),
      decline_threshold = Ref("integer", F.score_risk.decline_threshold),
      channel = Ref("string", F.build_region_policy.notification_channel),
    },
    run = function(risk_score, review_threshold, decline_threshold, channel)
      sleep(LATENCY)
      local action = "approve"
      if risk_score >= decline_threshold then
        action = "decline"
      elseif risk_score >= review_threshold then
        action = "manual_review"
      end
      return {
        action = action,
        priority = action == "approve" and "normal" or "high",
        channel = channel,
      }
    end,
  }

  task "send_notification" {
    inputs = {
      email = Ref("string", F.fetch_profile.email),
      action = Ref("string", F.choose_action.action),
      channel = Ref("string", F.choose_action.channel),
    },
    run = function(email, action, channel)
      sleep(LATENCY)
      local message_id = table.concat({ channel, email, action }, ":")
      return { sent = true, channel = channel, message_id = message_id }
    end,
  }

  task "archive_decision" {
    inputs = {
      customer_id = Ref("string", F.fetch_profile.customer_id),
      action = Ref("string", F.choose_action.action),
      risk_score = Ref("integer", F.score_risk.risk_score),
    },
    run = function(customer_id, action, risk_score)
      sleep(LATENCY)
      local archive_key = table.concat({ "risk", customer_id, action }, "/")
      return { archive_key = archive_key, risk_score = risk_score }
    end,
  }

  task "final_summary" {
    inputs = {
      action = Ref("string", F.choose_action.action),
      priority = Ref("string", F.choose_action.priority),
      risk_score = Ref("integer", F.score_risk.risk_score),
      credit_score = Ref("integer", F.fetch_credit_score.credit_score),
      notification = Ref("table", F.send_notification),
      archive_key = Ref("string", F.archive_decision.archive_key),
    },
    run = function(action, priority, risk_score, credit_score, notification, archive_key)
      sleep(LATENCY)
      return {
        status = "completed",
        action = action,
        priority = priority,
        risk_score = risk_score,
        credit_score = credit_score,
        notified = notification.sent,
        archive_key = archive_key,
      }
    end,
  }
end

-- All six are declared: run them ---------------------------------------------

local function run(namespace)
  local scheduler = astrum.build_scheduler { namespace = namespace, config = CONFIG }
  return scheduler:execute():assert() -- assert: raise if a task failed
end

do
  local results = run("example_1").task_return_set
  assert(results.task2 == "task2task1")
  print("example_1: task2 = " .. results.task2 .. "  ok")
end

do
  local results = run("example_2").task_return_set
  assert(results.task1 == "task1" and results.task2 == "task2")
  print("example_2: task1 = " .. results.task1 .. ", task2 = " .. results.task2 .. "  ok")
end

do
  local results = run("example_3").task_return_set
  assert(results.task3 == "task3task1task2")
  print("example_3: task3 = " .. results.task3 .. "  ok")
end

do
  local results = run("example_4").task_return_set
  assert(results.task3 == "task3task1task2" and results.task5 == "task5task4")
  print("example_4: task3 = " .. results.task3 .. ", task5 = " .. results.task5 .. "  ok")
end

do
  local results = run("example_5").task_return_set
  assert(results.compute_subtotal.subtotal_cents == 7300)
  assert(results.apply_discount.discount_cents == 1460)
  assert(results.add_tax.tax_cents == 467)

  local order = results.finalize_order
  assert(order.order_id == "order-1001")
  assert(order.receipt_id == "receipt-order-1001")
  assert(order.audit_id == "audit-order-1001")
  assert(order.status == "submitted")
  assert(order.payable_cents == 6307)
  assert(#order.missing_skus == 0)
  print(("example_5: order %s, %d cents to pay  ok"):format(order.status, order.payable_cents))
end

do
  local report = run("example_6")
  assert(report.execution_state == "completed")
  assert(credit_calls == 2)
  assert(report:task("fetch_credit_score").attempt_count == 2)

  local summary = report:result("final_summary")
  assert(summary.status == "completed")
  assert(summary.action == "manual_review")
  assert(summary.priority == "high")
  assert(summary.risk_score == 82)
  assert(summary.credit_score == 680)
  assert(summary.notified == true)
  assert(summary.archive_key == "risk/customer-42/manual_review")
  print(("example_6: %s, risk score %d  ok"):format(summary.action, summary.risk_score))
end

print("all six examples passed")
