/* A world of random runs: graphs, policies, pools, limits. */
#ifndef ASTRUM_RANDOM_WORLD_H
#define ASTRUM_RANDOM_WORLD_H

#include "fault.h"
#include "model_events.h"

#include <inttypes.h>
#include <stdarg.h>

enum { STALE_TICKETS = 16, DEPTH = 4 };

/* What a world met. None may be missing in the sum of many, or the test does
   not test. */
#define WORLD_COUNTS(X)                                                        \
  X(runs)                                                                      \
  X(nested)                                                                    \
  X(starts)                                                                    \
  X(item_starts)                                                               \
  X(expansions)                                                                \
  X(resumes)                                                                   \
  X(cancels)                                                                   \
  X(busy)                                                                      \
  X(stale)                                                                     \
  X(memory)                                                                    \
  X(attempts_used)                                                             \
  X(stuck)                                                                     \
  X(epool)                                                                     \
  X(too_many_items)                                                            \
  X(no_items)                                                                  \
  X(changes)                                                                   \
  X(late)                                                                      \
  X(progress)                                                                  \
  X(not_expanded)                                                              \
  X(item_children)                                                             \
  X(cancelled_twice)

typedef struct {
#define WORLD_COUNT(name) int name;
  WORLD_COUNTS(WORLD_COUNT)
#undef WORLD_COUNT
} world_counts;

typedef struct {
  uint64_t seed, random, now, hash;
  int step, failed, faulty, quiet, loud, lucky;
  int moved; /* something was answered or handed out */
  /* What this world has; a part of all, so that each is met in depth. */
  int has_triggers, has_maps, has_pools, has_times, has_ranks, has_attempts;
  fault_state fault;
  astrum_sched *sched;
  model m;
  uint64_t opened;
  astrum_ticket old[STALE_TICKETS];
  uint32_t old_count;
  world_counts met;
} world;

static inline uint32_t pick(world *w, uint32_t n) {
  w->random ^= w->random << 13;
  w->random ^= w->random >> 7;
  w->random ^= w->random << 17;
  return (uint32_t)((w->random >> 16) % n);
}

/* Once in n times. */
static inline int once_in(world *w, uint32_t n) { return pick(w, n) == 0; }

/* Tells what is done, when a single world is played. */
static inline void trace(const world *w, const char *format, ...) {
  va_list args;
  if (!w->loud)
    return;
  printf("step %d, time %" PRIu64 ": ", w->step, w->now);
  va_start(args, format);
  vprintf(format, args);
  va_end(args);
  printf("\n");
}

/* The first thing that is wrong ends a world. */
static inline void wrong(world *w, const char *format, ...) {
  va_list args;
  if (w->failed)
    return;
  w->failed = 1;
  printf("seed %" PRIu64 ", step %d: ", w->seed, w->step);
  va_start(args, format);
  vprintf(format, args);
  va_end(args);
  printf("\n  replay: test_scheduler_random 1 %" PRIu64 "\n", w->seed);
}

#define EXPECT(w, got, wanted)                                                 \
  do {                                                                         \
    long long got_ = (long long)(got), wanted_ = (long long)(wanted);          \
    if (got_ != wanted_)                                                       \
      wrong(w, "%s is %lld, not %lld (%s:%d)", #got, got_, wanted_, __FILE__,  \
            __LINE__);                                                         \
  } while (0)

/* --- graphs */

static inline uint64_t random_bound(world *w, uint32_t most) {
  if (!w->has_times || pick(w, 4) > 0)
    return 0;
  return once_in(w, 20) ? UINT64_MAX : 1 + pick(w, most);
}

static inline astrum_policy random_policy(world *w) {
  astrum_policy policy = ASTRUM_POLICY_INIT;
  if (once_in(w, 2)) {
    policy.max_retries = pick(w, MODEL_ATTEMPTS);
    policy.delay = pick(w, 2) * pick(w, 50);
    policy.backoff = pick(w, 2) ? 2 : 0;
    policy.max_delay = pick(w, 2) * 60;
    policy.jitter = pick(w, 2) == 0;
  }
  policy.timeout = random_bound(w, 40);
  policy.idle_timeout = random_bound(w, 20);
  if (w->has_triggers && once_in(w, 2))
    policy.trigger = (uint8_t)pick(w, ASTRUM_ALWAYS + 1);
  if (w->has_ranks && once_in(w, 2))
    policy.priority = (int32_t)pick(w, 3) - 1;
  if (w->has_maps && once_in(w, 4)) {
    policy.map = 1;
    policy.max_items = pick(w, 2) * (1 + pick(w, MODEL_ITEMS));
    policy.max_concurrency = pick(w, 2) * (1 + pick(w, 3));
    policy.tolerant = pick(w, 2) == 0;
  }
  return policy;
}

/* The pools of a task: of its graph in `units`, of the root in the model. */
static inline uint32_t random_units(world *w, model_run *run, model_task *task,
                                    const uint32_t *pool_of,
                                    uint32_t pool_count, astrum_units *units) {
  uint32_t count = 0;
  for (uint32_t p = 0; p < pool_count; p++) {
    if (pick(w, 3) > 0)
      continue;
    units[count] = (astrum_units){p, 1 + pick(w, 2)};
    task->units[pool_of ? pool_of[p] : p] += units[count++].units;
  }
  /* A root run that is refused is of little use. */
  for (uint32_t p = 0; p < MODEL_POOLS; p++)
    if (run->parent == NULL && run->pools[p].slots &&
        task->units[p] > run->pools[p].slots && pick(w, 50) > 0)
      count = 0;
  if (count == 0)
    memset(task->units, 0, sizeof task->units);
  return count;
}

/* Edges in a random order, which may lead to earlier declared tasks. */
static inline void random_edges(world *w, model_run *run, uint32_t *order,
                                uint8_t *has_consumer) {
  uint32_t count = run->count;
  for (uint32_t i = 0; i < count; i++) {
    uint32_t j = pick(w, i + 1);
    order[i] = order[j];
    order[j] = i;
  }
  for (uint32_t n = count > 1 ? pick(w, count * 2) : 0; n > 0; n--) {
    uint32_t a = pick(w, count), b = pick(w, count);
    uint32_t before = order[a < b ? a : b], after = order[a < b ? b : a];
    model_task *task = &run->tasks[after];
    if (a == b || model_waits_for(task, before))
      continue;
    task->upstream[task->upstream_count++] = before;
    has_consumer[before] = 1;
  }
}

static inline void add_task(world *w, model_run *run, uint32_t t, int detached,
                            const uint32_t *pool_of, uint32_t pool_count) {
  astrum_task task;
  astrum_units units[MODEL_POOLS];
  char name[16];
  int size = snprintf(name, sizeof name, "%" PRIu32, t);
  astrum_policy policy = random_policy(w);
  policy.detached = (uint8_t)detached;
  policy.pool_count =
      random_units(w, run, &run->tasks[t], pool_of, pool_count, units);
  policy.pools = policy.pool_count ? units : NULL;
  run->tasks[t].policy = policy;
  run->tasks[t].policy.pools = NULL; /* gone with this call */
  CHECK_EQ(astrum_graph_add(run->graph, name, (size_t)size, &policy, &task),
           ASTRUM_OK);
}

static inline void random_graph(world *w, model_run *run,
                                const uint32_t *pool_of, uint32_t pool_count) {
  static const uint32_t sizes[] = {4, 8, 14, MODEL_TASKS + 1};
  uint32_t order[MODEL_TASKS];
  uint8_t has_consumer[MODEL_TASKS] = {0};
  run->count = pick(w, sizes[pick(w, 4)]);
  random_edges(w, run, order, has_consumer);
  CHECK_EQ(astrum_graph_new(NULL, &run->graph), ASTRUM_OK);
  for (uint32_t t = 0; t < run->count; t++)
    add_task(w, run, t, !has_consumer[t] && once_in(w, 6), pool_of, pool_count);
  for (uint32_t t = 0; t < run->count; t++)
    for (uint32_t i = 0; i < run->tasks[t].upstream_count; i++)
      astrum_graph_edge(run->graph, (astrum_task){run->tasks[t].upstream[i]},
                        (astrum_task){t});
  CHECK_EQ(astrum_graph_freeze(run->graph), ASTRUM_OK);
  /* From the last task backwards all consumers are known. */
  for (uint32_t i = run->count; i-- > 0;) {
    model_task *task = &run->tasks[order[i]];
    task->path = 1;
    for (uint32_t t = 0; t < run->count; t++)
      if (model_waits_for(&run->tasks[t], order[i]) &&
          run->tasks[t].path >= task->path)
        task->path = run->tasks[t].path + 1;
  }
}

/* The record of a task or, from 1, of an item. */
static inline astrum_err read_record(const world *w, const model_run *run,
                                     uint32_t t, uint32_t item,
                                     astrum_record *record) {
  astrum_task task = {t};
  return item ? astrum_sched_item_record(w->sched, run->id, task, item, record)
              : astrum_sched_record(w->sched, run->id, task, record);
}

/* --- runs */

static inline astrum_ticket ticket_of(const model_run *run, uint32_t task,
                                      uint32_t item) {
  return (astrum_ticket){run->id.id, task,
                         run->tasks[task].node[item].record.attempts, item};
}

static inline void random_pools(world *w, model_run *run) {
  if (!w->has_pools)
    return;
  run->pool_count = 1 + pick(w, MODEL_POOLS);
  for (uint32_t p = 0; p < run->pool_count; p++) {
    astrum_pool *pool = &run->pools[p];
    pool->slots = pick(w, 5);
    if (once_in(w, 2))
      continue;
    pool->rate = 1 + pick(w, 3);
    pool->per = once_in(w, 20) ? UINT64_MAX : 1 + pick(w, 40);
  }
}

static inline void init_model_run(model_run *run) {
  run->summary.blame = ASTRUM_NO_TASK;
  run->summary.begin = run->summary.end = ASTRUM_NEVER;
  run->deadline = ASTRUM_NEVER;
  for (uint32_t t = 0; t < run->count; t++) {
    astrum_record *record = &run->tasks[t].node[0].record;
    record->ready = record->start = record->end = ASTRUM_NEVER;
    record->blame = ASTRUM_NO_TASK;
    run->summary.tasks += !run->tasks[t].policy.detached;
  }
}

/* Whether a task wants more of a pool than it can ever have. */
static inline int wants_too_much(const model_run *run) {
  for (uint32_t p = 0; p < run->root->pool_count; p++) {
    uint32_t slots = run->root->pools[p].slots;
    for (uint32_t t = 0; slots && t < run->count; t++)
      if (run->tasks[t].units[p] &&
          run->tasks[t].units[p] + model_held_around(run, p) > slots)
        return 1;
  }
  return 0;
}

static inline void random_options(world *w, model_run *run,
                                  astrum_run_options *options) {
  options->seed = run->seed = pick(w, 1000);
  run->keep_going = (int)pick(w, 2);
  options->failure_mode =
      run->keep_going ? ASTRUM_KEEP_GOING : ASTRUM_FAIL_FAST;
  options->changes = (uint8_t)(run->changes = (int)pick(w, 2));
  options->user = run;
  if (w->has_times && once_in(w, 3))
    run->deadline_after = once_in(w, 20) ? UINT64_MAX : 1 + pick(w, 150);
  options->deadline = run->deadline_after;
  if (run->parent)
    return;
  run->concurrency = pick(w, 2) * pick(w, 4);
  if (w->has_attempts && once_in(w, 2))
    run->max_total_attempts = 1 + pick(w, 12);
  /* With a limit it is known which of several runs fails first. */
  if (run->max_total_attempts && run->pool_count)
    run->concurrency = 1 + pick(w, 3);
  options->concurrency = run->concurrency;
  options->max_total_attempts = run->max_total_attempts;
  options->pools = run->pools;
  options->pool_count = run->pool_count;
}

/* Options that make no sense are refused. */
static inline void open_wrongly(world *w, const model_run *run,
                                astrum_run_options options) {
  astrum_pool pool = {.rate = 1};
  uint32_t pool_of[] = {0, MODEL_POOLS};
  astrum_run id = {12345};
  uint32_t how = pick(w, 5);
  trace(w, "open wrongly, %u", how);
  switch (how) {
  case 0:
    options.size--;
    break;
  case 1:
    options.failure_mode = 2;
    break;
  case 2:
    pool.per = run->parent != NULL;
    options.pools = &pool;
    options.pool_count = 1;
    break;
  case 3:
    options.pool_of = pool_of;
    options.pool_of_count = 2;
    break;
  default:
    if (run->parent == NULL)
      return;
    *(pick(w, 2) ? &options.concurrency : &options.max_total_attempts) = 1;
  }
  EXPECT(w, astrum_sched_open(w->sched, run->graph, &options, &id),
         ASTRUM_EINVAL);
  EXPECT(w, id.id, 12345);
}

static inline model_run *free_run(world *w) {
  for (int r = 0; r < MODEL_RUNS; r++)
    if (!w->m.runs[r].used)
      return &w->m.runs[r];
  return NULL;
}

/* Opens a root run, or one inside an attempt of `parent`. */
static inline void open_run(world *w, model_run *parent, uint32_t task,
                            uint32_t item) {
  model_run *run = free_run(w);
  uint32_t mapped[MODEL_POOLS], *pool_of = NULL;
  astrum_run_options options = ASTRUM_RUN_OPTIONS_INIT;
  astrum_err wanted = ASTRUM_OK;
  if (!run)
    return;
  memset(run, 0, sizeof *run);
  for (int r = 0; r < MODEL_RUNS; r++)
    w->m.runs[r].passed[run - w->m.runs] = 0;
  run->root = run;
  if (parent) {
    run->parent = parent;
    run->parent_ticket = ticket_of(parent, task, item);
    run->root = parent->root;
    run->depth = parent->depth + 1;
    options.parent = &run->parent_ticket;
    if (parent->tasks[task].node[item].stop)
      wanted = ASTRUM_ESTALE;
  } else {
    random_pools(w, run);
  }
  uint32_t pool_count = run->root->pool_count;
  if (pool_count > 0 && once_in(w, 3)) {
    for (uint32_t p = 0; p < MODEL_POOLS; p++)
      mapped[p] = pick(w, pool_count);
    options.pool_of = pool_of = mapped;
    options.pool_of_count = pool_count = MODEL_POOLS;
  }
  random_graph(w, run, pool_of, pool_count);
  random_options(w, run, &options);
  init_model_run(run);
  int too_much = wants_too_much(run);
  size_t refused = w->fault.failed;
  astrum_run id = {12345};
  if (wanted == ASTRUM_OK && !too_much && !w->faulty && once_in(w, 20))
    open_wrongly(w, run, options);
  astrum_err err = astrum_sched_open(w->sched, run->graph, &options, &id);
  if (w->fault.failed > refused)
    wanted = ASTRUM_ENOMEM;
  else if (too_much && err == ASTRUM_EPOOL)
    w->met.epool += parent != NULL, wanted = ASTRUM_EPOOL;
  else if (too_much && wanted == ASTRUM_OK)
    wanted = ASTRUM_EPOOL;
  trace(w, "open in task %u.%u of run %u: %s, run %u of %u tasks", task, item,
        parent ? parent->id.id : 0, astrum_errname(err), id.id, run->count);
  EXPECT(w, err, wanted);
  if (err) {
    EXPECT(w, id.id, 12345);
    astrum_graph_free(run->graph);
    return;
  }
  run->id = id;
  run->used = 1;
  run->opened = ++w->opened;
  w->met.runs++;
  w->met.nested += parent != NULL;
  w->met.item_children += item > 0;
}

#endif
