/*
 * A slow model of the scheduler that can be checked against docs/model.md by
 * reading: every rule is a walk over all tasks. The random test tells it of
 * the same events as the scheduler and compares.
 *
 *   model.h           what is known of runs, tasks and items
 *   model_triggers.h  what a task upstream decides
 *   model_order.h     slots, pools, rates, order; the next time
 *   model_events.h    what events do
 */
#ifndef ASTRUM_MODEL_H
#define ASTRUM_MODEL_H

#include <astrum.h>
#include <string.h>

enum {
  MODEL_TASKS = 24,
  MODEL_ITEMS = 8,
  MODEL_ATTEMPTS = 4,
  MODEL_RUNS = 16,
  MODEL_POOLS = 3,
  MODEL_STARTS = 64,
  MODEL_CHANGES = 2 * MODEL_TASKS * (MODEL_ITEMS + 1)
};

/* What has attempts: a task, or an item of a map. */
typedef struct {
  astrum_record record;
  int live; /* an attempt has been handed out and not answered */
  int waiting, resuming, told;
  uint8_t stop; /* astrum_cause for which it was asked to stop */
  uint32_t stop_blame;
  uint64_t order; /* when it became ready or asked to resume */
  uint64_t retry, retry_set;
  uint64_t timeout, timeout_set;
  uint64_t idle, idle_set;
  astrum_attempt log[MODEL_ATTEMPTS];
} model_node;

typedef struct {
  astrum_policy policy;
  uint32_t units[MODEL_POOLS]; /* of the pools of the root */
  uint32_t upstream[MODEL_TASKS], upstream_count;
  uint32_t path; /* tasks on the longest path that begins here */
  int seen;      /* it is final, and the tasks downstream know */
  int effective; /* its failure has taken effect */
  int expanded, broken;
  uint64_t expanded_at;
  model_node node[MODEL_ITEMS + 1]; /* the task, then its items */
} model_task;

/* A start that counts for a rate. */
typedef struct {
  uint64_t time;
  astrum_ticket ticket;
} model_begun;

typedef struct model_run {
  int used;
  astrum_run id;
  astrum_graph *graph;
  struct model_run *root, *parent;
  astrum_ticket parent_ticket;
  uint64_t opened; /* in the order of opening */
  uint32_t depth;
  uint64_t seed, deadline, deadline_set, deadline_after;
  int keep_going, begun, done_told, closed_told;
  int stopped, for_good, effect;
  astrum_summary summary;
  uint8_t verdict; /* astrum_state it will have because it stopped */
  /* Of a root: limits of the tree, and what they count. */
  uint32_t concurrency, max_total_attempts, total_attempts;
  astrum_pool pools[MODEL_POOLS];
  uint32_t pool_count;
  model_begun starts[MODEL_POOLS][MODEL_STARTS];
  uint32_t start_count[MODEL_POOLS];
  /* What is still to be told with CHANGED. */
  int changes;
  astrum_action changed[MODEL_CHANGES];
  uint64_t changed_order[MODEL_CHANGES];
  uint32_t change_count, changes_told;
  /* Tasks that became final, for those downstream to see. */
  uint32_t ended[MODEL_TASKS], ended_count, ended_seen;
  int following;
  int passed[MODEL_RUNS]; /* starts of others since it could start */
  uint32_t count;
  model_task tasks[MODEL_TASKS];
} model_run;

/* What was met, to know that a test tests. */
#define MODEL_COUNTS(X)                                                        \
  X(retries)                                                                   \
  X(timeouts)                                                                  \
  X(idles)                                                                     \
  X(deadlines)                                                                 \
  X(jumps)                                                                     \
  X(declined)                                                                  \
  X(broken)                                                                    \
  X(endured)                                                                   \
  X(handled)                                                                   \
  X(not_handled)                                                               \
  X(cleanups)                                                                  \
  X(for_good)                                                                  \
  X(pool_waits)                                                                \
  X(rate_waits)

typedef struct {
  model_run runs[MODEL_RUNS];
  uint64_t order;
  uint64_t now; /* of the last call */
  /* What was met. */
#define MODEL_COUNT(name) int name;
  MODEL_COUNTS(MODEL_COUNT)
#undef MODEL_COUNT
  int triggered[ASTRUM_ALWAYS + 1], skipped[ASTRUM_ALWAYS + 1];
} model;

/* Time `after` a time; what would come after the end of time never comes. */
static inline uint64_t model_later(uint64_t time, uint64_t after) {
  return time > ASTRUM_NEVER - after ? ASTRUM_NEVER : time + after;
}

static inline int model_final(const model_node *node) {
  return node->record.state >= ASTRUM_COMPLETED;
}

static inline int model_failed(const model_node *node) {
  return node->record.state == ASTRUM_FAILED ||
         node->record.state == ASTRUM_TIMED_OUT;
}

/* Items of a task that have been made. */
static inline uint32_t model_items(const model_task *task) {
  return task->node[0].record.items;
}

static inline uint32_t model_items_left(const model_task *task) {
  uint32_t left = 0;
  for (uint32_t i = 1; i <= model_items(task); i++)
    left += (uint32_t)!model_final(&task->node[i]);
  return left;
}

/* Whether an attempt of this node counts the items of a map. */
static inline int model_expands(const model_task *task, uint32_t item) {
  return task->policy.map && item == 0;
}

static inline int model_cleans_up(const model_task *task) {
  return task->policy.trigger == ASTRUM_ALL_DONE ||
         task->policy.trigger == ASTRUM_ALWAYS;
}

/* Whether attempts of a task may still begin. */
static inline int model_goes_on(const model_run *run, const model_task *task) {
  return !run->stopped || (model_cleans_up(task) && !run->for_good);
}

static inline int model_waits_for(const model_task *task, uint32_t upstream) {
  for (uint32_t i = 0; i < task->upstream_count; i++)
    if (task->upstream[i] == upstream)
      return 1;
  return 0;
}

/* Whether an attempt has a child run that is not closed. */
static inline int model_has_child(const model *m, const model_run *parent,
                                  uint32_t task, uint32_t item) {
  for (int i = 0; i < MODEL_RUNS; i++) {
    const model_run *run = &m->runs[i];
    if (run->used && run->parent == parent && !run->closed_told &&
        run->parent_ticket.task == task && run->parent_ticket.item == item)
      return 1;
  }
  return 0;
}

/* Attempts that are to be asked to stop and do not know yet. */
static inline int model_cancels(const model_run *run) {
  int cancels = 0;
  for (uint32_t t = 0; t < run->count; t++)
    for (uint32_t i = 0; i <= model_items(&run->tasks[t]); i++) {
      const model_node *node = &run->tasks[t].node[i];
      cancels += node->live && node->stop && !node->told;
    }
  return cancels;
}

static inline int model_all_final(const model_run *run, int detached_too) {
  for (uint32_t t = 0; t < run->count; t++)
    if (!model_final(&run->tasks[t].node[0]) &&
        (detached_too || !run->tasks[t].policy.detached))
      return 0;
  return 1;
}

/* Whether DONE, or after it CLOSED, is to be told. */
static inline int model_news(const model_run *run) {
  if (run->summary.end == ASTRUM_NEVER)
    return 0;
  return !run->done_told || (!run->closed_told && model_all_final(run, 1));
}

/* Whether a failure of the running attempt would be retried. */
static inline int model_will_retry(const model_run *run, uint32_t t,
                                   uint32_t item) {
  const model_task *task = &run->tasks[t];
  const model_node *node = &task->node[item];
  const model_run *root = run->root;
  if (!node->live || !model_goes_on(run, task) || (item && task->broken))
    return 0;
  if (node->stop && node->stop != ASTRUM_CAUSE_TIMEOUT &&
      node->stop != ASTRUM_CAUSE_IDLE)
    return 0;
  if (!model_expands(task, item) && root->max_total_attempts &&
      root->total_attempts >= root->max_total_attempts)
    return 0;
  return node->record.attempts <= task->policy.max_retries;
}

#endif
