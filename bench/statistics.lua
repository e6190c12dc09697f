-- Medians, growth exponents and tables in Markdown that also read well in a terminal.
local M = {}

---@param values number[]
---@return number? median nil for no values
function M.median(values)
  local sorted = table.move(values, 1, #values, 1, {})
  table.sort(sorted)
  local middle = (#sorted + 1) // 2
  if #sorted % 2 == 1 or #sorted == 0 then
    return sorted[middle]
  end
  return (sorted[middle] + sorted[middle + 1]) / 2
end

---The median of the ratios of each round.
---@param above number[] by round
---@param below number[] by round
---@return number?
function M.ratio(above, below)
  local ratios = {}
  for round = 1, math.min(#above, #below) do
    ratios[round] = above[round] / below[round]
  end
  return M.median(ratios)
end

---The exponent e of a cost that grows as size^e, by least squares of the logarithms.
---@param points number[][] pairs of a size and the whole cost
---@return number? exponent nil for fewer than two points
function M.exponent(points)
  local n, sx, sy, sxx, sxy = #points, 0, 0, 0, 0
  if n < 2 then
    return nil
  end
  for _, point in ipairs(points) do
    local x, y = math.log(point[1]), math.log(point[2])
    sx, sy, sxx, sxy = sx + x, sy + y, sxx + x * x, sxy + x * y
  end
  return (n * sxy - sx * sy) / (n * sxx - sx * sx)
end

---A number with three digits that mean something, "-" for nil.
---@param value number?
---@param unit string? follows the number
---@return string
function M.short(value, unit)
  if value == nil then
    return "-"
  end
  local size = math.abs(value)
  local digits = size >= 100 and 0 or size >= 10 and 1 or 2
  return ("%." .. digits .. "f"):format(value) .. (unit or "")
end

---1000 as 1k, 1000000 as 1M.
---@param count integer
---@return string
function M.count(count)
  if count >= 1000000 and count % 1000000 == 0 then
    return count // 1000000 .. "M"
  elseif count >= 1000 and count % 1000 == 0 then
    return count // 1000 .. "k"
  end
  return tostring(count)
end

---A table in Markdown.
---@param head string[]
---@param rows string[][]
---@return string
function M.table(head, rows)
  local widths, lines = {}, {}
  for column, text in ipairs(head) do
    widths[column] = utf8.len(text)
    for _, row in ipairs(rows) do
      widths[column] = math.max(widths[column], utf8.len(row[column]))
    end
  end
  local function line(row)
    local cells = {}
    for column, width in ipairs(widths) do
      local space = (" "):rep(width - utf8.len(row[column]))
      cells[column] = column == 1 and row[column] .. space or space .. row[column]
    end
    return "| " .. table.concat(cells, " | ") .. " |"
  end
  lines[1] = line(head)
  local rule = {}
  for column, width in ipairs(widths) do
    rule[column] = column == 1 and ("-"):rep(width) or ("-"):rep(width - 1) .. ":"
  end
  lines[2] = "| " .. table.concat(rule, " | ") .. " |"
  for _, row in ipairs(rows) do
    lines[#lines + 1] = line(row)
  end
  return table.concat(lines, "\n")
end

return M
