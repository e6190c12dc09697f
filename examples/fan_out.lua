-- Counts the words of every file in a folder: one instance of a task for each
-- file, at most eight at once. A file that cannot be read does not stop the
-- others; it is reported at the end.
--
--   astrum-lua examples/fan_out.lua [FOLDER]

local astrum = require "astrum"
local task, F = astrum.task, astrum.F

task "list_files" {
  inputs = { folder = astrum.param("folder", { type = "string" }) },
  run = function(folder)
    local found =
      astrum.spawn { "find", folder, "(", "-type", "f", "-o", "-type", "l", ")", "-print0" }
    if found.code ~= 0 then
      return nil, (found.stderr:gsub("\n$", ""))
    end
    local paths = {}
    for path in found.stdout:gmatch("[^\0]+") do
      paths[#paths + 1] = path
    end
    table.sort(paths)
    return paths
  end,
}

task "count_words" {
  map = { path = F.list_files },
  max_concurrency = 8,
  on_item_failure = "collect", -- an error in place of the count
  run = function(path)
    local file <close>, why = io.open(path, "rb")
    if not file then
      return nil, why
    end
    local text, read_error = file:read("a")
    if not text then
      return nil, path .. ": " .. read_error
    end
    local _, count = text:gsub("%S+", "")
    return count
  end,
}

task "sum_up" {
  inputs = { paths = F.list_files, counts = F.count_words },
  run = function(paths, counts)
    local sum = { total = 0, lines = {}, errors = {} }
    for i = 1, counts.n do
      if math.type(counts[i]) == "integer" then
        sum.total = sum.total + counts[i]
        sum.lines[#sum.lines + 1] = ("%7d %s"):format(counts[i], paths[i])
      else
        sum.errors[#sum.errors + 1] = tostring(counts[i])
      end
    end
    return sum
  end,
}

local folder = arg[1] or (arg[0]:match("^.*/") or "") .. "documents"
local report = astrum.run { params = { folder = folder } }
local sum, failure = report:result("sum_up")
if not sum then
  io.stderr:write("fan_out: ", report:task("list_files").error_message or tostring(failure), "\n")
  os.exit(1)
end

for _, line in ipairs(sum.lines) do
  print(line)
end
print(("%7d total"):format(sum.total))
for _, message in ipairs(sum.errors) do
  io.stderr:write("fan_out: ", message, "\n")
end
assert(#sum.lines + #sum.errors == #report:task("count_words").items)
os.exit(#sum.errors == 0 and 0 or 1)
