-- What a report says when a task fails. Of three tasks that run at once the
-- second fails: the third is cancelled at once instead of waited for, and the
-- task that needs all three is skipped.
--
--   astrum-lua examples/error_summary.lua

local astrum = require "astrum"
local task, sleep = astrum.task, astrum.sleep

task("download_orders", function()
  sleep(0.02)
end)

task("download_inventory", function()
  sleep(0.03)
  return nil, "inventory service returned HTTP 503"
end)

task("warm_cache", function()
  sleep(0.5)
end)

task "reconcile_orders" {
  depends_on = { "download_orders", "download_inventory", "warm_cache" },
  run = function()
    error("never reached")
  end,
}

-- A failing task does not raise: its error is in the report.
local report = astrum.run {}

print(
  ("state=%s, completed=%d, failed=%d"):format(
    report.execution_state,
    report.successful_tasks,
    report.failed_tasks
  )
)

print()
local ROW <const> = "%-20s %5s  %-10s %s"
print(ROW:format("Task", "Stage", "Status", "Error"))
for _, row in ipairs(report.task_statistics) do
  print(ROW:format(row.task_name, row.stage_id, row.status, row.error_message or row.reason or "-"))
end

print()
print("error_summary")
for number, message in ipairs(report.error_summary) do
  print(number .. ". " .. message)
end

local status = {}
for _, row in ipairs(report.task_statistics) do
  status[row.task_name] = row.status
end
assert(status.download_orders == "completed")
assert(status.download_inventory == "failed")
assert(status.warm_cache == "cancelled")
assert(status.reconcile_orders == "skipped")
assert(report.execution_state == "failed")
assert(report.total_duration < 0.4, "the run waited for a task that it had cancelled")
