-- Reads documents in Markdown: their code blocks, headings and links.

local M = {}

---@param path string
---@return string
function M.read(path)
  local file <close> = assert(io.open(path, "rb"))
  return file:read("a")
end

---@class spec.Block
---@field heading string under which it stands
---@field kind string "lua", "c", ...
---@field line integer of its first line
---@field code string
---@field output string? the text block that follows with nothing but a blank line between

---The code blocks of a document. A text block that follows another one is its output.
---@param path string
---@return spec.Block[]
function M.blocks(path)
  local blocks, open, last, heading, number = {}, nil, nil, "", 0
  for line in (M.read(path) .. "\n"):gmatch("(.-)\n") do
    number = number + 1
    local kind = line:match("^```(%w*)")
    if open and kind then
      open.code = table.concat(open, "\n") .. "\n"
      if open.kind == "text" and last then
        last.output, last = open.code, nil
      else
        blocks[#blocks + 1], last = open, open
      end
      open = nil
    elseif open then
      open[#open + 1] = line
    elseif kind then
      open = { kind = kind, heading = heading, line = number + 1 }
    elseif line ~= "" then
      heading = line:match("^#+ (.*)$") or heading
      last = nil
    end
  end
  return blocks
end

---The anchors that the headings of a document make.
---@param path string
---@return table<string, true>
function M.anchors(path)
  local anchors = {}
  for heading in M.read(path):gmatch("\n#+ ([^\n]*)") do
    local anchor = heading:lower():gsub("[^%w _-]", ""):gsub(" ", "-")
    anchors[anchor] = true
  end
  return anchors
end

---The links of a document to other files of the repository and to headings.
---@param path string
---@return { file: string, anchor: string? }[]
function M.links(path)
  local folder, links = path:match("^(.*/)") or "", {}
  for target in M.read(path):gmatch("%]%(([^)%s]+)%)") do
    if not target:find("^%a+:") then
      local file, anchor = target:match("^([^#]*)#?(.*)$")
      file = file == "" and path or folder .. file
      links[#links + 1] = { file = file, anchor = anchor ~= "" and anchor or nil }
    end
  end
  return links
end

return M
