-- What is installed on a Debian machine: where the space goes, what everything
-- depends on, and which dependencies nothing satisfies. Five branches work on
-- the parsed package database while dpkg-query counts on its own, and the
-- report is written only if all of them agree.
--
--   astrum-lua examples/dpkg_report.lua [status-file]
--
-- Another status file than the machine's own is not compared with dpkg-query.

local astrum = require "astrum"
local task, F, Ref = astrum.task, astrum.F, astrum.Ref

local OWN_STATUS <const> = "/var/lib/dpkg/status"
local LISTED <const> = 10

-- What dpkg calls the states in which a package's files are all there.
local PRESENT <const> = {
  ["installed"] = true,
  ["triggers-awaited"] = true,
  ["triggers-pending"] = true,
}

-- Versions: [epoch:]upstream[-revision], compared as Debian policy 5.6.12 says.

-- Where a byte sorts: ~ before the end, the end and digits before letters,
-- letters before the rest.
local function weight(byte)
  if byte == nil or (byte >= 48 and byte <= 57) then
    return 0
  elseif byte == 126 then
    return -1
  elseif string.char(byte):find("%a") then
    return byte
  end
  return byte + 256
end

-- Text and numbers take turns; numbers compare by value, whatever their length.
local function compare_parts(a, b)
  local i, j = 1, 1
  while i <= #a or j <= #b do
    local x, y = weight(a:byte(i)), weight(b:byte(j))
    while x ~= 0 or y ~= 0 do
      if x ~= y then
        return x - y
      end
      i, j = i + 1, j + 1
      x, y = weight(a:byte(i)), weight(b:byte(j))
    end
    local m, n = a:match("^%d*", i), b:match("^%d*", j)
    i, j = i + #m, j + #n
    m, n = m:gsub("^0+", ""), n:gsub("^0+", "")
    if #m ~= #n then
      return #m - #n
    elseif m ~= n then
      return m < n and -1 or 1
    end
  end
  return 0
end

local function split_version(version)
  local epoch, rest = version:match("^(%d+):(.*)$")
  rest = rest or version
  local upstream, revision = rest:match("^(.*)%-([^-]*)$")
  return math.tointeger(epoch or 0), upstream or rest, revision or ""
end

-- Negative, zero or positive as version a is earlier than, equal to or later than b.
local function compare_versions(a, b)
  local epoch_a, upstream_a, revision_a = split_version(a)
  local epoch_b, upstream_b, revision_b = split_version(b)
  if epoch_a ~= epoch_b then
    return epoch_a - epoch_b
  end
  local order = compare_parts(upstream_a, upstream_b)
  return order ~= 0 and order or compare_parts(revision_a, revision_b)
end

-- < and > are old spellings of <= and >=.
local OPERATORS <const> = {
  ["<<"] = true,
  ["<="] = true,
  ["="] = true,
  [">="] = true,
  [">>"] = true,
  ["<"] = true,
  [">"] = true,
}

local function restriction_holds(version, operator, wanted)
  local order = compare_versions(version, wanted)
  if order == 0 then
    return operator ~= "<<" and operator ~= ">>"
  end
  return operator:sub(1, 1) == (order < 0 and "<" or ">")
end

-- Relations: "a:any (>= 1), b | c" is a list of groups of alternatives.

local function parse_relation(text)
  local name, qualifier, rest = text:match("^%s*([^%s:()]+):?([^%s()]*)%s*(.-)%s*$")
  local operator, version = (rest or ""):match("^%(%s*([<>=]+)%s*(%S+)%s*%)$")
  if not name or (rest ~= "" and not OPERATORS[operator]) then
    error(("cannot read the relation '%s'"):format(text), 0)
  end
  return {
    name = name,
    qualifier = qualifier ~= "" and qualifier or nil,
    operator = operator,
    version = version,
  }
end

local function parse_relations(...)
  local groups = {}
  for _, field in ipairs { ... } do
    for item in field:gmatch("[^,]+") do
      local text = item:match("^%s*(.-)%s*$")
      if text ~= "" then
        local group = { text = text }
        for alternative in text:gmatch("[^|]+") do
          table.insert(group, parse_relation(alternative))
        end
        table.insert(groups, group)
      end
    end
  end
  return groups
end

-- A size in KiB; what has none counts as nothing.
local function parse_size(text)
  return math.tointeger(tonumber(text)) or 0
end

local function parse_package(fields)
  for _, name in ipairs { "Package", "Version", "Architecture" } do
    if not fields[name] then
      error(("package '%s' has no field '%s'"):format(fields.Package or "?", name), 0)
    end
  end
  return {
    name = fields.Package,
    version = fields.Version,
    architecture = fields.Architecture,
    multi_arch = fields["Multi-Arch"],
    section = fields.Section or "(none)",
    kib = parse_size(fields["Installed-Size"]),
    needs = parse_relations(fields["Pre-Depends"] or "", fields.Depends or ""),
    provides = parse_relations(fields.Provides or ""),
  }
end

-- The fields of each paragraph of a status file, in order.
local function paragraphs(text)
  local next_line = text:gmatch("([^\n]*)\n?")
  local number = 0
  return function()
    local fields, last
    for line in next_line do
      number = number + 1
      if line:find("^%s*$") then
        if fields then
          return fields
        end
      elseif line:find("^%s") and last then
        fields[last] = fields[last] .. line
      else
        local name, value = line:match("^([^%s:]+):%s*(.-)%s*$")
        if not name then
          local shown = line:sub(1, 60):gsub("[^%g ]", "?")
          error(("line %d is not a field: '%s'"):format(number, shown), 0)
        end
        fields = fields or {}
        fields[name], last = value, name
      end
    end
    return fields
  end
end

-- Of two things with equal numbers the one whose name comes first.
local function sort_by(list, key)
  table.sort(list, function(a, b)
    if a[key] ~= b[key] then
      return a[key] > b[key]
    end
    return a.name < b.name
  end)
  return list
end

-- The workflow.

local status_file <const> = arg and arg[1] or OWN_STATUS

task "read_status" {
  inputs = { path = status_file },
  run = function(path)
    local file <close>, message = io.open(path, "rb")
    if not file then
      return nil, message
    end
    return file:read("a")
  end,
}

task "parse_packages" {
  inputs = { text = Ref("string", F.read_status) },
  run = function(text)
    local packages, kib, native = {}, 0, "all"
    for fields in paragraphs(text) do
      local state = (fields.Status or ""):match("(%S+)$")
      if PRESENT[state] then
        local package = parse_package(fields)
        kib = kib + package.kib
        table.insert(packages, package)
        if package.name == "dpkg" then
          native = package.architecture
        end
      end
    end
    if #packages == 0 then
      return nil, "no installed package found; is this a status file of dpkg?"
    end
    return { packages = packages, kib = kib, native = native }
  end,
}

task "sum_sections" {
  inputs = { packages = Ref("list", F.parse_packages.packages) },
  run = function(packages)
    local sections, by_name = {}, {}
    for _, package in ipairs(packages) do
      local section = by_name[package.section]
      if not section then
        section = { name = package.section, packages = 0, kib = 0 }
        by_name[section.name] = section
        table.insert(sections, section)
      end
      section.packages = section.packages + 1
      section.kib = section.kib + package.kib
    end
    return sort_by(sections, "kib")
  end,
}

task "find_largest" {
  inputs = { packages = Ref("list", F.parse_packages.packages) },
  run = function(packages)
    local sorted = sort_by(table.move(packages, 1, #packages, 1, {}), "kib")
    return table.move(sorted, 1, math.min(LISTED, #sorted), 1, {})
  end,
}

-- How many packages name a package in their dependencies, once each.
task "count_dependents" {
  inputs = { packages = Ref("list", F.parse_packages.packages) },
  run = function(packages)
    local counts = {}
    for _, package in ipairs(packages) do
      counts[package.name] = 0
    end
    for _, package in ipairs(packages) do
      local seen = {}
      for _, group in ipairs(package.needs) do
        for _, relation in ipairs(group) do
          local name = relation.name
          if counts[name] and not seen[name] then
            seen[name] = true
            counts[name] = counts[name] + 1
          end
        end
      end
    end
    local needed = {}
    for name, count in pairs(counts) do
      if count > 0 then
        table.insert(needed, { name = name, dependents = count })
      end
    end
    return sort_by(needed, "dependents")
  end,
}

-- Who stands for a name: the package itself, and each that provides it.
task "index_providers" {
  inputs = { packages = Ref("list", F.parse_packages.packages) },
  run = function(packages)
    local providers = {}
    local function add(name, package, version)
      providers[name] = providers[name] or {}
      table.insert(providers[name], { package = package, version = version })
    end
    for _, package in ipairs(packages) do
      add(package.name, package, package.version)
      for _, group in ipairs(package.provides) do
        add(group[1].name, package, group[1].version)
      end
    end
    return providers
  end,
}

task "find_unmet" {
  inputs = {
    packages = Ref("list", F.parse_packages.packages),
    providers = Ref("table", F.index_providers),
    native = Ref("string", F.parse_packages.native),
  },
  run = function(packages, providers, native)
    local function architecture(package)
      return package.architecture == "all" and native or package.architecture
    end

    local function architecture_fits(relation, package, provider)
      if relation.qualifier == nil and provider.multi_arch == "foreign" then
        return true
      elseif relation.qualifier == "any" and provider.multi_arch == "allowed" then
        return true
      end
      return (relation.qualifier or architecture(package)) == architecture(provider)
    end

    local function is_met(relation, package)
      for _, provider in ipairs(providers[relation.name] or {}) do
        if architecture_fits(relation, package, provider.package) then
          if not relation.version then
            return true
          elseif provider.version then -- what has no version meets no restriction
            if restriction_holds(provider.version, relation.operator, relation.version) then
              return true
            end
          end
        end
      end
      return false
    end

    local unmet = {}
    for _, package in ipairs(packages) do
      for _, group in ipairs(package.needs) do
        local met = false
        for _, relation in ipairs(group) do
          met = met or is_met(relation, package)
        end
        if not met then
          table.insert(unmet, { name = package.name, needs = group.text })
        end
      end
    end
    return unmet
  end,
}

if status_file == OWN_STATUS then
  -- Runs beside all of the above: a child process is only waited for.
  task("query_dpkg", function()
    local result = astrum.spawn {
      "dpkg-query",
      "--show",
      "--showformat=${db:Status-Status} ${Installed-Size}\n",
    }
    if result.code ~= 0 then
      return nil, "dpkg-query failed: " .. result.stderr
    end
    local count, kib = 0, 0
    for state, size in result.stdout:gmatch("(%S+) (%d*)\n") do
      if PRESENT[state] then
        count = count + 1
        kib = kib + parse_size(size)
      end
    end
    return { count = count, kib = kib }
  end)
end

local function add_line(lines, ...)
  table.insert(lines, string.format(...))
end

local function write_sections(lines, sections, count, kib)
  add_line(lines, "%-32s %10s %12s", "Section", "packages", "MiB")
  local other = { sections = 0, packages = 0, kib = 0 }
  for rank, section in ipairs(sections) do
    if rank <= LISTED then
      add_line(lines, "  %-30s %10d %12.1f", section.name, section.packages, section.kib / 1024)
    else
      other.sections = other.sections + 1
      other.packages = other.packages + section.packages
      other.kib = other.kib + section.kib
    end
  end
  if other.sections > 0 then
    local label = ("(%d others)"):format(other.sections)
    add_line(lines, "  %-30s %10d %12.1f", label, other.packages, other.kib / 1024)
  end
  add_line(lines, "  %-30s %10d %12.1f", "all", count, kib / 1024)
end

task "write_report" {
  inputs = {
    path = status_file,
    packages = Ref("list", F.parse_packages.packages),
    kib = Ref("integer", F.parse_packages.kib),
    sections = Ref("list", F.sum_sections),
    largest = Ref("list", F.find_largest),
    most_needed = Ref("list", F.count_dependents),
    unmet = Ref("list", F.find_unmet),
    dpkg_query = status_file == OWN_STATUS and F.query_dpkg or false,
  },
  run = function(path, packages, kib, sections, largest, most_needed, unmet, dpkg_query)
    local in_sections, section_kib = 0, 0
    for _, section in ipairs(sections) do
      in_sections = in_sections + section.packages
      section_kib = section_kib + section.kib
    end
    assert(in_sections == #packages and section_kib == kib, "the sections do not add up")

    local lines = { "Packages in " .. path, "" }
    write_sections(lines, sections, #packages, kib)

    add_line(lines, "\n%-43s %12s", "Largest packages", "MiB")
    for _, package in ipairs(largest) do
      add_line(lines, "  %-41s %12.1f", package.name, package.kib / 1024)
    end

    add_line(lines, "\n%-43s %12s", "Most needed packages", "dependents")
    for rank = 1, math.min(LISTED, #most_needed) do
      add_line(lines, "  %-41s %12d", most_needed[rank].name, most_needed[rank].dependents)
    end

    add_line(lines, "\nUnmet dependencies: %d", #unmet)
    for _, dependency in ipairs(unmet) do
      add_line(lines, "  %s needs %s", dependency.name, dependency.needs)
    end

    if dpkg_query then
      local ours = ("%d packages, %d KiB"):format(#packages, kib)
      local theirs = ("%d packages, %d KiB"):format(dpkg_query.count, dpkg_query.kib)
      if ours ~= theirs then
        return nil, ("this report has %s, dpkg-query has %s"):format(ours, theirs)
      end
      add_line(lines, "\ndpkg-query agrees: %s", ours)
    else
      add_line(lines, "\nNot compared with dpkg-query: this is not the machine's own status file.")
    end
    return table.concat(lines, "\n")
  end,
}

local report = astrum.run { "write_report" }
if not report:ok() then
  io.stderr:write("dpkg_report: ", report.error_summary[1], "\n")
  os.exit(1)
end
print(report:result("write_report"))
