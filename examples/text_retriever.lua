-- Finds the documents that answer a question. Fifteen tasks read a folder of
-- texts, score each text in six ways and blend the scores: BM25 for words,
-- cosines of vectors for texts and for their sentences. A real retriever asks a
-- model for keywords, vectors and the last ranking; here a stand-in that needs
-- no network answers.
--
--   RETRIEVER_MODEL=offline astrum-lua examples/text_retriever.lua --query "slow build"
--   astrum-lua examples/text_retriever.lua --plan
--
-- Settings: RETRIEVER_MODEL (offline), RETRIEVER_CONCURRENCY (attempts at once,
-- no limit by default), RETRIEVER_MODEL_CALLS (calls of the model at once, 4 by
-- default), RETRIEVER_TOP (documents to show, 3 by default).

local astrum = require "astrum"
local task, F, param, sleep = astrum.task, astrum.F, astrum.param, astrum.sleep

-- Scores --------------------------------------------------------------------------

local function words(text)
  local list = {}
  for word in text:lower():gmatch("%w+") do
    list[#list + 1] = word
  end
  return list
end

-- Okapi BM25 of each document for some terms.
local function bm25(documents, terms)
  local K <const>, B <const> = 1.5, 0.75
  local counts, lengths, total, having = {}, {}, 0, {}
  for i, document in ipairs(documents) do
    local list = words(document.text)
    counts[i], lengths[i], total = {}, #list, total + #list
    for _, word in ipairs(list) do
      if not counts[i][word] then
        having[word] = (having[word] or 0) + 1
      end
      counts[i][word] = (counts[i][word] or 0) + 1
    end
  end
  local scores = {}
  for i in ipairs(documents) do
    local score, length = 0.0, lengths[i] * #documents / total
    for _, term in ipairs(terms) do
      local count, documents_having = counts[i][term] or 0, having[term] or 0
      local rarity = math.log(1 + (#documents - documents_having + 0.5) / (documents_having + 0.5))
      score = score + rarity * count * (K + 1) / (count + K * (1 - B + B * length))
    end
    scores[i] = score
  end
  return scores
end

local function cosine(a, b)
  local dot, aa, bb = 0, 0, 0
  for i = 1, #a do
    dot, aa, bb = dot + a[i] * b[i], aa + a[i] * a[i], bb + b[i] * b[i]
  end
  return aa > 0 and bb > 0 and dot / math.sqrt(aa * bb) or 0.0
end

-- For each list of vectors the best cosine with one of the wanted vectors.
local function likeness(lists, wanted)
  local scores = {}
  for i, vectors in ipairs(lists) do
    scores[i] = 0.0
    for _, vector in ipairs(vectors) do
      for _, other in ipairs(wanted) do
        scores[i] = math.max(scores[i], cosine(vector, other))
      end
    end
  end
  return scores
end

local function text_likeness(embedded, wanted)
  local lists = {}
  for i, document in ipairs(embedded) do
    lists[i] = { document.text }
  end
  return likeness(lists, wanted)
end

local function sentence_likeness(embedded, wanted)
  local lists = {}
  for i, document in ipairs(embedded) do
    lists[i] = document.sentences
  end
  return likeness(lists, wanted)
end

-- The stand-in for a model ----------------------------------------------------------

local model = {}

local RELATED <const> = {
  slow = { "time", "profile" },
  build = { "compile", "cache" },
  backup = { "copy", "restore" },
  alarm = { "incident", "service" },
}

function model.keywords(query)
  sleep(0.002)
  local found = {}
  for _, word in ipairs(words(query)) do
    table.move(RELATED[word] or {}, 1, #(RELATED[word] or {}), #found + 1, found)
  end
  return found
end

-- How often each group of three letters comes, counted in cells.
function model.embed(text)
  local CELLS <const> = 256
  sleep(0.002)
  local vector = {}
  for i = 1, CELLS do
    vector[i] = 0
  end
  for _, word in ipairs(words(text)) do
    local padded = " " .. word .. " "
    for i = 1, #padded - 2 do
      local a, b, c = padded:byte(i, i + 2)
      local cell = (a * 31 * 31 + b * 31 + c) % CELLS + 1
      vector[cell] = vector[cell] + 1
    end
  end
  return vector
end

-- How many words of the query a text has.
function model.rank(query, text)
  sleep(0.002)
  local has, hits = {}, 0
  for _, word in ipairs(words(text)) do
    has[word] = true
  end
  for _, word in ipairs(words(query)) do
    hits = hits + (has[word] and 1 or 0)
  end
  return hits
end

-- The workflow ------------------------------------------------------------------------

local FOLDER <const> = (arg[0]:match("^.*/") or "") .. "documents"

local QUERY <const> = param("query", { type = "string", default = "slow build" })

task "list_documents" {
  inputs = { folder = param("folder", { type = "string", default = FOLDER }) },
  run = function(folder)
    local found = astrum.spawn { "find", folder, "-name", "*.txt" }
    if found.code ~= 0 then
      return nil, found.stderr
    end
    local paths = {}
    for path in found.stdout:gmatch("[^\n]+") do
      paths[#paths + 1] = path
    end
    table.sort(paths)
    return paths
  end,
}

task "read_document" {
  map = { path = F.list_documents },
  max_concurrency = 8,
  run = function(path)
    local file <close> = assert(io.open(path))
    local text = file:read("a")
    return { name = path:match("[^/]*$"), title = text:match("^[^\n]*"), text = text }
  end,
}

task "embed_document" {
  map = { document = F.read_document },
  pool = "model",
  retry = 2,
  run = function(document)
    local sentences = {}
    for sentence in document.text:gmatch("[^.:]+") do
      sentences[#sentences + 1] = function()
        return model.embed(sentence)
      end
    end
    return { text = model.embed(document.text), sentences = astrum.all(sentences) }
  end,
}

task "generate_keywords" { pool = "model", retry = 2, inputs = { QUERY }, run = model.keywords }
task "embed_query" { pool = "model", retry = 2, inputs = { QUERY }, run = model.embed }
task "embed_keyword" {
  map = { text = F.generate_keywords },
  pool = "model",
  retry = 2,
  run = function(text)
    return model.embed(text)
  end,
}

task "keyword_bm25" { inputs = { F.read_document, F.generate_keywords }, run = bm25 }
task "query_bm25" {
  inputs = { documents = F.read_document, query = QUERY },
  run = function(documents, query)
    return bm25(documents, words(query))
  end,
}
task "keyword_texts" { inputs = { F.embed_document, F.embed_keyword }, run = text_likeness }
task "query_texts" { inputs = { F.embed_document, { F.embed_query } }, run = text_likeness }
task "keyword_sentences" { inputs = { F.embed_document, F.embed_keyword }, run = sentence_likeness }
task "query_sentences" { inputs = { F.embed_document, { F.embed_query } }, run = sentence_likeness }

local WEIGHTS <const> = { 0.16, 0.18, 0.18, 0.24, 0.12, 0.12 }

-- A table of references: each is replaced by its value.
task "normalize" {
  inputs = {
    channels = {
      F.keyword_bm25,
      F.query_bm25,
      F.keyword_texts,
      F.query_texts,
      F.keyword_sentences,
      F.query_sentences,
    },
  },
  run = function(channels)
    local normal = {}
    for i, scores in ipairs(channels) do
      local low, high = math.min(table.unpack(scores)), math.max(table.unpack(scores))
      normal[i] = {}
      for k, score in ipairs(scores) do
        normal[i][k] = high > low and (score - low) / (high - low) or 0.0
      end
    end
    return normal
  end,
}

task "blend" {
  inputs = { documents = F.read_document, normal = F.normalize },
  run = function(documents, normal)
    local blended = {}
    for k, document in ipairs(documents) do
      local score = 0.0
      for i, weight in ipairs(WEIGHTS) do
        score = score + normal[i][k] * weight
      end
      blended[k] = { document = document, score = score }
    end
    table.sort(blended, function(a, b)
      return a.score > b.score
    end)
    return blended
  end,
}

task "rank" {
  pool = "model",
  inputs = {
    query = QUERY,
    top = param("top", { type = "integer", default = 3 }),
    blended = F.blend,
  },
  run = function(query, top, blended)
    local ranked = {} -- results belong to who made them: they are not changed
    for i = 1, math.min(2 * top, #blended) do
      local document, score = blended[i].document, blended[i].score
      ranked[i] = { document = document, score = score, hits = model.rank(query, document.text) }
    end
    table.sort(ranked, function(a, b)
      return a.hits > b.hits or a.hits == b.hits and a.score > b.score
    end)
    return table.move(ranked, 1, top, 1, {})
  end,
}

-- The command line -------------------------------------------------------------------

local function refuse(message)
  io.stderr:write("text_retriever: ", message, "\n")
  os.exit(2)
end

local function read_arguments()
  local plan, text, i = false, nil, 1
  while arg[i] do
    if arg[i] == "--plan" or arg[i] == "--plan-only" then
      plan = true
    elseif arg[i] == "--query" and arg[i + 1] then
      i = i + 1
      text = arg[i]
    else
      refuse("usage: text_retriever.lua [--plan] [--query TEXT]")
    end
    i = i + 1
  end
  return plan, text
end

local function number_setting(name)
  local text = os.getenv(name)
  if not text or text == "" then
    return nil
  end
  local number = math.tointeger(tonumber(text))
  if not number or number < 1 then
    refuse(("%s must be a positive integer, got '%s'"):format(name, text))
  end
  return number
end

local plan_only, question = read_arguments()
local top = number_setting("RETRIEVER_TOP")
local scheduler = astrum.build_scheduler {
  config = {
    concurrency_limit = number_setting("RETRIEVER_CONCURRENCY"),
    pools = { model = number_setting("RETRIEVER_MODEL_CALLS") or 4 },
  },
}

if plan_only then
  print(scheduler:get_execute_timeline():get_visualization_table())
  return
end

if os.getenv("RETRIEVER_MODEL") ~= "offline" then
  refuse("set RETRIEVER_MODEL to the model to ask; only 'offline' is here")
end

local report = scheduler:execute { params = { query = question, top = top } }
report:assert()
print(
  ("%d tasks, %d stages, up to %d side by side; %d documents"):format(
    report.successful_tasks,
    report.total_stages,
    report.max_parallelism,
    report:result("read_document").n
  )
)
for place, found in ipairs(report:result("rank")) do
  print(
    ("%d. %.2f  %-14s %s"):format(place, found.score, found.document.name, found.document.title)
  )
end
