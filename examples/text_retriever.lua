-- Finds the texts that answer a question: fifteen tasks score them in six ways
-- and blend the scores. A real retriever asks a model for keywords, vectors and
-- the last ranking; here a stand-in that needs no network answers.
--
--   RETRIEVER_MODEL=offline astrum-lua examples/text_retriever.lua --query "slow build"
--   astrum-lua examples/text_retriever.lua --plan-only
--
-- Settings: RETRIEVER_MODEL (offline), RETRIEVER_CONCURRENCY (attempts at once,
-- no limit by default), RETRIEVER_TOP (texts to show, 3 by default).

local astrum = require "astrum"
local F, sleep = astrum.F, astrum.sleep

local TEXTS <const> = {
  "A build that uses the cache compiles only what has changed.",
  "The compiler is slow when every file includes every header.",
  "Backups run at night and are kept for a month.",
  "Tests that share a database cannot run side by side.",
  "A profile shows which step of the build takes the time.",
  "The cafeteria opens at eight and closes at six.",
}

-- The stand-in for a model --------------------------------------------------------

local SIZE <const> = 64
local model = {}

local RELATED <const> = {
  slow = { "time", "profile" },
  build = { "compiler", "cache" },
  backup = { "night", "kept" },
}

local function words(text)
  local list = {}
  for word in text:lower():gmatch("%w+") do
    list[#list + 1] = word
  end
  return list
end

function model.keywords(query)
  sleep(0.005)
  local found = {}
  for _, word in ipairs(words(query)) do
    for _, related in ipairs(RELATED[word] or {}) do
      found[#found + 1] = related
    end
  end
  return found
end

-- How often each group of three letters comes, counted in SIZE cells.
function model.embed(text)
  sleep(0.002)
  local vector = {}
  for i = 1, SIZE do
    vector[i] = 0
  end
  for _, word in ipairs(words(text)) do
    local padded = " " .. word .. " "
    for i = 1, #padded - 2 do
      local a, b, c = padded:byte(i, i + 2)
      local cell = (a * 31 * 31 + b * 31 + c) % SIZE + 1
      vector[cell] = vector[cell] + 1
    end
  end
  return vector
end

function model.rank(query, text)
  sleep(0.002)
  local wanted, hits = {}, 0
  for _, word in ipairs(words(query)) do
    wanted[word] = true
  end
  for _, word in ipairs(words(text)) do
    hits = hits + (wanted[word] and 1 or 0)
  end
  return hits
end

-- Scores --------------------------------------------------------------------------

-- Okapi BM25 of every text for some terms.
local function bm25(texts, terms)
  local K <const>, B <const> = 1.5, 0.75
  local counts, lengths, total, having = {}, {}, 0, {}
  for i, text in ipairs(texts) do
    local list = words(text)
    counts[i], lengths[i], total = {}, #list, total + #list
    for _, word in ipairs(list) do
      if not counts[i][word] then
        having[word] = (having[word] or 0) + 1
      end
      counts[i][word] = (counts[i][word] or 0) + 1
    end
  end
  local scores = {}
  for i in ipairs(texts) do
    local score = 0.0
    for _, term in ipairs(terms) do
      local count = counts[i][term] or 0
      local rarity =
        math.log(1 + (#texts - (having[term] or 0) + 0.5) / ((having[term] or 0) + 0.5))
      local length = lengths[i] / (total / #texts)
      score = score + rarity * count * (K + 1) / (count + K * (1 - B + B * length))
    end
    scores[i] = score
  end
  return scores
end

local function cosine(a, b)
  local dot, aa, bb = 0, 0, 0
  for i = 1, SIZE do
    dot, aa, bb = dot + a[i] * b[i], aa + a[i] * a[i], bb + b[i] * b[i]
  end
  return aa > 0 and bb > 0 and dot / math.sqrt(aa * bb) or 0.0
end

-- For every vector the best likeness to one of the wanted ones.
local function likeness(vectors, wanted)
  local scores = {}
  for i, vector in ipairs(vectors) do
    scores[i] = 0.0
    for _, other in ipairs(wanted) do
      scores[i] = math.max(scores[i], cosine(vector, other))
    end
  end
  return scores
end

-- Scores of windows, each handed to the texts in it: the best one counts.
local function spread(windows, scores, count)
  local spread_scores = {}
  for i = 1, count do
    spread_scores[i] = 0.0
  end
  for w, window in ipairs(windows) do
    for i = window.first, window.last do
      spread_scores[i] = math.max(spread_scores[i], scores[w])
    end
  end
  return spread_scores
end

local function vectors_of(windows)
  local vectors = {}
  for i, window in ipairs(windows) do
    vectors[i] = window.vector
  end
  return vectors
end

local function embed_all(texts)
  local waits = {}
  for i, text in ipairs(texts) do
    waits[i] = function()
      return model.embed(text)
    end
  end
  return astrum.all(waits)
end

-- The workflow ----------------------------------------------------------------------

-- Nothing is kept between calls: each has a registry of its own.
local function declare(all_texts, question, settings)
  local registry = astrum.SchedulerRegistry("text_retriever")
  local task = registry.task

  task("load_input", function()
    return { texts = all_texts, query = question }
  end)

  task "embed_texts" { inputs = { F.load_input.texts }, run = embed_all }

  task "build_windows" {
    inputs = { vectors = F.embed_texts },
    run = function(vectors)
      local windows = {}
      for first = 1, #vectors - 1 do
        local vector = {}
        for i = 1, SIZE do
          vector[i] = (vectors[first][i] + vectors[first + 1][i]) / 2
        end
        windows[first] = { first = first, last = first + 1, vector = vector }
      end
      return windows
    end,
  }

  task "generate_keywords" { retry = 2, inputs = { F.load_input.query }, run = model.keywords }
  task "embed_query" { retry = 2, inputs = { F.load_input.query }, run = model.embed }
  task "embed_keywords" { inputs = { F.generate_keywords }, run = embed_all }

  task "keyword_bm25" { inputs = { F.load_input.texts, F.generate_keywords }, run = bm25 }
  task "query_bm25" {
    inputs = { texts = F.load_input.texts, query = F.load_input.query },
    run = function(texts, query)
      return bm25(texts, words(query))
    end,
  }
  task "query_likeness" { inputs = { F.embed_texts, { F.embed_query } }, run = likeness }
  task "keyword_likeness" { inputs = { F.embed_texts, F.embed_keywords }, run = likeness }

  local function window_scores(windows, wanted, all)
    return spread(windows, likeness(vectors_of(windows), wanted), #all)
  end
  task "query_windows" {
    inputs = { F.build_windows, { F.embed_query }, F.load_input.texts },
    run = window_scores,
  }
  task "keyword_windows" {
    inputs = { F.build_windows, F.embed_keywords, F.load_input.texts },
    run = window_scores,
  }

  local weights <const> = {
    { "keyword_bm25", 0.16 },
    { "query_bm25", 0.18 },
    { "query_likeness", 0.24 },
    { "keyword_likeness", 0.18 },
    { "query_windows", 0.12 },
    { "keyword_windows", 0.12 },
  }
  local scores = {}
  for i, channel in ipairs(weights) do
    scores[i] = F(channel[1])
  end

  -- A table of references: each is replaced by its value.
  task "normalize" {
    inputs = { channels = scores },
    run = function(channels)
      local normal = {}
      for i, list in ipairs(channels) do
        local low, high = math.min(table.unpack(list)), math.max(table.unpack(list))
        normal[i] = {}
        for k, score in ipairs(list) do
          normal[i][k] = high > low and (score - low) / (high - low) or 0.0
        end
      end
      return normal
    end,
  }

  task "blend" {
    inputs = { texts = F.load_input.texts, normal = F.normalize },
    run = function(texts, normal)
      local blended = {}
      for k, text in ipairs(texts) do
        local score = 0.0
        for i, channel in ipairs(weights) do
          score = score + normal[i][k] * channel[2]
        end
        blended[k] = { text = text, score = score }
      end
      table.sort(blended, function(a, b)
        return a.score > b.score
      end)
      return table.move(blended, 1, 2 * settings.top, 1, {})
    end,
  }

  task "rank" {
    inputs = { query = F.load_input.query, candidates = F.blend },
    run = function(query, candidates)
      local ranked = {} -- results belong to who made them: they are not changed
      for i, candidate in ipairs(candidates) do
        local rank = model.rank(query, candidate.text)
        ranked[i] = { text = candidate.text, score = candidate.score, rank = rank }
      end
      table.sort(ranked, function(a, b)
        return a.rank > b.rank or a.rank == b.rank and a.score > b.score
      end)
      return table.move(ranked, 1, settings.top, 1, {})
    end,
  }

  return registry:build_scheduler {
    target_tasks = { "rank" },
    config = { concurrency_limit = settings.concurrency },
  }
end

-- The command line -------------------------------------------------------------------

local function refuse(message)
  io.stderr:write("text_retriever: ", message, "\n")
  os.exit(2)
end

local function read_arguments()
  local given, i = { query = "slow build" }, 1
  while arg[i] do
    if arg[i] == "--plan-only" then
      given.plan_only = true
    elseif arg[i] == "--query" and arg[i + 1] then
      i = i + 1
      given.query = arg[i]
    else
      refuse("usage: text_retriever.lua [--plan-only] [--query TEXT]")
    end
    i = i + 1
  end
  return given
end

local function number_setting(name, default)
  local text = os.getenv(name)
  if not text or text == "" then
    return default
  end
  local number = math.tointeger(tonumber(text))
  if not number or number < 1 then
    refuse(("%s must be a positive integer, got '%s'"):format(name, text))
  end
  return number
end

local given = read_arguments()
local settings = {
  concurrency = number_setting("RETRIEVER_CONCURRENCY"),
  top = number_setting("RETRIEVER_TOP", 3),
}
local scheduler = declare(TEXTS, given.query, settings)

if given.plan_only then
  print(scheduler:get_execute_timeline():get_visualization_table())
  os.exit(0)
end

if os.getenv("RETRIEVER_MODEL") ~= "offline" then
  refuse("set RETRIEVER_MODEL to the model to ask; only 'offline' is here")
end

local report = scheduler:execute():assert()
print(
  ("%d tasks, %d stages, up to %d side by side"):format(
    report.successful_tasks,
    report.total_stages,
    report.max_parallelism
  )
)
for place, found in ipairs(report:result("rank")) do
  print(("%d. %.2f  %s"):format(place, found.score, found.text))
end
