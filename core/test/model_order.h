/* What may start, in which order, and when something happens by itself. */
#ifndef ASTRUM_MODEL_ORDER_H
#define ASTRUM_MODEL_ORDER_H

#include "model_triggers.h"

/* --- slots */

/* Slots of a tree that are taken. */
static inline uint32_t model_occupied(const model *m, const model_run *root) {
  uint32_t occupied = 0;
  for (int r = 0; r < MODEL_RUNS; r++) {
    const model_run *run = &m->runs[r];
    for (uint32_t t = 0; run->used && run->root == root && t < run->count; t++)
      for (uint32_t i = 0; i <= model_items(&run->tasks[t]); i++)
        occupied +=
            run->tasks[t].node[i].live && !run->tasks[t].node[i].waiting;
  }
  return occupied;
}

/* Whether a task asks for a slot. */
static inline int model_asks(const model_node *node) {
  return node->record.state == ASTRUM_READY || node->resuming;
}

/* --- pools */

static inline uint32_t model_units(const model_task *task, uint32_t item,
                                   uint32_t pool) {
  return model_expands(task, item) ? 0 : task->units[pool];
}

/* Units of a pool that running attempts of a tree hold. */
static inline uint32_t model_held(const model *m, const model_run *root,
                                  uint32_t pool) {
  uint32_t held = 0;
  for (int r = 0; r < MODEL_RUNS; r++) {
    const model_run *run = &m->runs[r];
    for (uint32_t t = 0; run->used && run->root == root && t < run->count; t++)
      for (uint32_t i = 0; i <= model_items(&run->tasks[t]); i++)
        if (run->tasks[t].node[i].live)
          held += model_units(&run->tasks[t], i, pool);
  }
  return held;
}

/* Units of a pool that the attempts hold which `run` is inside of. */
static inline uint32_t model_held_around(const model_run *run, uint32_t pool) {
  uint32_t held = 0;
  for (; run->parent; run = run->parent)
    held += model_units(&run->parent->tasks[run->parent_ticket.task],
                        run->parent_ticket.item, pool);
  return held;
}

/* Whether another task is before this one in the line of a pool. */
static inline int model_stands_behind(const model *m, const model_run *run,
                                      const model_task *task,
                                      const model_node *node, uint32_t pool) {
  for (int r = 0; r < MODEL_RUNS; r++) {
    const model_run *other = &m->runs[r];
    if (!other->used || other->root != run->root)
      continue;
    for (uint32_t t = 0; t < other->count; t++) {
      const model_task *a = &other->tasks[t];
      if (a->units[pool] == 0 || a->policy.priority < task->policy.priority)
        continue;
      for (uint32_t i = a->policy.map; i <= model_items(a); i++)
        if (a->node[i].record.state == ASTRUM_READY &&
            (a->policy.priority > task->policy.priority ||
             a->node[i].order < node->order))
          return 1;
    }
  }
  return 0;
}

/* The time from which the rate of a pool allows a start. */
static inline uint64_t model_rate_allows(const model_run *root, uint32_t pool) {
  const astrum_pool *limit = &root->pools[pool];
  uint32_t count = root->start_count[pool];
  if (limit->rate == 0 || count < limit->rate)
    return 0;
  return model_later(root->starts[pool][count - limit->rate].time, limit->per);
}

/* The time from which the pools let this ready task start; ASTRUM_NEVER: not
   before something else happens. */
static inline uint64_t model_pools_allow(const model *m, const model_run *run,
                                         const model_task *task,
                                         uint32_t item) {
  uint64_t from = 0;
  for (uint32_t p = 0; p < run->root->pool_count; p++) {
    uint32_t units = model_units(task, item, p);
    uint32_t slots = run->root->pools[p].slots;
    if (units == 0)
      continue;
    if (slots && model_held(m, run->root, p) + units > slots)
      return ASTRUM_NEVER;
    if (model_stands_behind(m, run, task, &task->node[item], p))
      return ASTRUM_NEVER;
    uint64_t allowed = model_rate_allows(run->root, p);
    from = allowed > from ? allowed : from;
  }
  return from;
}

/* --- order */

/* The time from which a task that asks may start, as model_pools_allow. */
static inline uint64_t model_startable(const model *m, const model_run *run,
                                       uint32_t t, uint32_t item) {
  const model_task *task = &run->tasks[t];
  const model_run *root = run->root;
  if (!model_asks(&task->node[item]) ||
      (root->concurrency && model_occupied(m, root) >= root->concurrency))
    return ASTRUM_NEVER;
  return task->node[item].resuming ? 0 : model_pools_allow(m, run, task, item);
}

/* Whether `a` of `run` is to go before `b` of `other`, both startable. */
static inline int model_before(const model_run *run, const model_task *a,
                               const model_node *of_a, const model_run *other,
                               const model_task *b, const model_node *of_b) {
  if (run->root != other->root || (run->root->concurrency == 0 && run != other))
    return 0;
  if (of_a->resuming != of_b->resuming)
    return of_a->resuming;
  if (!of_a->resuming) {
    if (a->policy.priority != b->policy.priority)
      return a->policy.priority > b->policy.priority;
    if (run->root->concurrency && a->path != b->path)
      return a->path > b->path;
  }
  return of_a->order < of_b->order;
}

/* Whether one of all those that could start is to go before this one. */
static inline int model_jumps_queue(const model *m, const model_run *run,
                                    uint32_t task, uint32_t item) {
  for (int r = 0; r < MODEL_RUNS; r++) {
    const model_run *other = &m->runs[r];
    for (uint32_t t = 0; other->used && t < other->count; t++)
      for (uint32_t i = 0; i <= model_items(&other->tasks[t]); i++)
        if (model_asks(&other->tasks[t].node[i]) &&
            model_before(other, &other->tasks[t], &other->tasks[t].node[i], run,
                         &run->tasks[task], &run->tasks[task].node[item]) &&
            model_startable(m, other, t, i) <= m->now)
          return 1;
  }
  return 0;
}

static inline int model_has_ready(const model_run *run) {
  for (uint32_t t = 0; t < run->count; t++)
    for (uint32_t i = 0; i <= model_items(&run->tasks[t]); i++)
      if (run->tasks[t].node[i].record.state == ASTRUM_READY)
        return 1;
  return 0;
}

/* Runs without limits take turns: whether `run` starts a second time before
   another one that was ready all the time. */
static inline int model_starts_twice(model *m, model_run *run) {
  int twice = 0;
  for (int r = 0; r < MODEL_RUNS; r++) {
    model_run *other = &m->runs[r];
    if (!other->used || other->root->concurrency || other->root->pool_count ||
        other->root->max_total_attempts)
      continue;
    if (other == run || !model_has_ready(other))
      memset(other->passed, 0, sizeof other->passed);
    else
      twice |= ++other->passed[run - m->runs] > 1;
  }
  return twice;
}

/* Whether the tree has no attempt left for this start. */
static inline int model_attempts_used(const model_run *run, uint32_t t,
                                      uint32_t item) {
  const model_run *root = run->root;
  return !model_expands(&run->tasks[t], item) && root->max_total_attempts &&
         root->total_attempts >= root->max_total_attempts;
}

/* --- time */

typedef enum {
  MODEL_RETRY,
  MODEL_TIMEOUT,
  MODEL_IDLE,
  MODEL_DEADLINE
} model_timer_kind;

/* What happens by itself at `due`. Of equal ones the first set is first. */
typedef struct {
  uint64_t due, set;
  model_timer_kind kind;
  model_run *run;
  uint32_t task, item;
} model_timer;

static inline void model_earlier(model_timer *first, model_timer timer) {
  if (timer.due < first->due ||
      (timer.due == first->due && timer.set < first->set))
    *first = timer;
}

static inline void model_timers_of(model_timer *first, model_run *run,
                                   uint32_t t, uint32_t i) {
  const model_node *node = &run->tasks[t].node[i];
  if (node->record.state == ASTRUM_RETRYING)
    model_earlier(first, (model_timer){node->retry, node->retry_set,
                                       MODEL_RETRY, run, t, i});
  if (!node->live || node->stop)
    return;
  model_earlier(first, (model_timer){node->timeout, node->timeout_set,
                                     MODEL_TIMEOUT, run, t, i});
  model_earlier(
      first, (model_timer){node->idle, node->idle_set, MODEL_IDLE, run, t, i});
}

/* What happens first. */
static inline model_timer model_first_timer(model *m) {
  model_timer first = {.due = ASTRUM_NEVER};
  for (int r = 0; r < MODEL_RUNS; r++) {
    model_run *run = &m->runs[r];
    if (!run->used)
      continue;
    if (run->begun && !run->stopped && !model_all_final(run, 1))
      model_earlier(&first, (model_timer){run->deadline, run->deadline_set,
                                          MODEL_DEADLINE, run, 0, 0});
    for (uint32_t t = 0; t < run->count; t++)
      for (uint32_t i = 0; i <= model_items(&run->tasks[t]); i++)
        model_timers_of(&first, run, t, i);
  }
  return first;
}

/* What astrum_sched_wake should say: 0 when there is something to do. */
static inline uint64_t model_wake(model *m) {
  uint64_t wake = model_first_timer(m).due;
  for (int r = 0; r < MODEL_RUNS; r++) {
    const model_run *run = &m->runs[r];
    if (!run->used)
      continue;
    if (run->changes_told < run->change_count || model_cancels(run) ||
        model_news(run))
      return 0;
    for (uint32_t t = 0; t < run->count; t++)
      for (uint32_t i = 0; i <= model_items(&run->tasks[t]); i++) {
        if (!model_asks(&run->tasks[t].node[i]))
          continue;
        uint64_t from = model_startable(m, run, t, i);
        if (from <= m->now)
          return 0;
        m->rate_waits += from != ASTRUM_NEVER;
        m->pool_waits += from == ASTRUM_NEVER && (run->root->concurrency == 0 ||
                                                  model_occupied(m, run->root) <
                                                      run->root->concurrency);
        wake = from < wake ? from : wake;
      }
  }
  return wake;
}

/* When a running attempt must be over. A deadline does nothing in a run that
   has stopped, nor, before the verdict, to tasks that clean up and what is
   inside them. */
static inline uint64_t model_deadline(const model_run *run, uint32_t t,
                                      uint32_t item) {
  uint64_t deadline = run->tasks[t].node[item].timeout;
  for (int goes_on = 0; run; run = run->parent) {
    goes_on = (goes_on || model_cleans_up(&run->tasks[t])) &&
              run->summary.end == ASTRUM_NEVER;
    if (!run->stopped && !goes_on && run->deadline < deadline)
      deadline = run->deadline;
    t = run->parent_ticket.task;
  }
  return deadline;
}

#endif
