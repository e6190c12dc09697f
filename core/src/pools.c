/*
 * Pools of a root run. An instance that wants units stands in the line of each
 * of its pools. It may start when it is the first in all of them, the units are
 * free and the rates allow it; then the first of its pools offers it to
 * whoever queues the other tasks of its run (ready.c). So there is at most one
 * offer a pool, and after each change only the pools it concerns look again.
 *
 *   line of db    a b c        a wants db, api: offered by db
 *   line of api   a d
 */
#include "scheduler.h"

static const astrum__want *wants_of(const astrum__run *run, uint32_t task,
                                    uint32_t *count) {
  uint32_t policy = astrum__graph_policy_index(run->graph, task);
  uint32_t first = run->wants_first[policy];
  *count = run->wants_first[policy + 1] - first;
  return run->wants + first;
}

/* --- opening */

astrum_err astrum__pools_open(astrum_sched *sched, astrum__run *run,
                              const astrum_run_options *options) {
  if (options->pool_count == 0)
    return ASTRUM_OK;
  run->pools =
      astrum__zalloc(&sched->alloc, options->pool_count, sizeof *run->pools);
  if (!run->pools)
    return ASTRUM_ENOMEM;
  run->pool_count = options->pool_count;
  for (uint32_t i = 0; i < run->pool_count; i++) {
    astrum__pool *pool = &run->pools[i];
    pool->timer = NO_INDEX;
    astrum__list_init(&pool->offer);
  }
  for (uint32_t i = 0; i < run->pool_count; i++) {
    astrum__pool *pool = &run->pools[i];
    pool->slots = options->pools[i].slots;
    pool->per = options->pools[i].per;
    if (options->pools[i].rate == 0)
      continue;
    pool->starts = astrum__alloc_array(&sched->alloc, options->pools[i].rate,
                                       sizeof *pool->starts);
    if (!pool->starts)
      return ASTRUM_ENOMEM;
    pool->rate = options->pools[i].rate;
  }
  /* Any pool may offer what waits for the rate of another. */
  for (uint32_t i = 0; i < run->pool_count; i++) {
    astrum_err err = astrum__timer_new(sched, &run->pools[i].timer);
    if (err)
      return err;
  }
  return ASTRUM_OK;
}

void astrum__pools_free(astrum_sched *sched, astrum__run *run) {
  for (uint32_t i = 0; i < run->pool_count; i++) {
    astrum__pool *pool = &run->pools[i];
    astrum__timer_free(sched, pool->timer);
    astrum__free(&sched->alloc, pool->starts,
                 pool->rate * sizeof *pool->starts);
    astrum__free(&sched->alloc, pool->line.entries,
                 pool->line.capacity * sizeof *pool->line.entries);
  }
  astrum__free(&sched->alloc, run->pools, run->pool_count * sizeof *run->pools);
  astrum__free(&sched->alloc, run->wants,
               run->wants_capacity * sizeof *run->wants);
  astrum__free(&sched->alloc, run->wants_first,
               ((size_t)run->policy_count + 1) * sizeof *run->wants_first);
}

/* Units of a pool that the attempts hold which a run is inside of. */
static uint64_t held_around(const astrum__run *run, uint32_t pool) {
  uint64_t held = 0;
  for (; run->parent; run = run->parent) {
    const astrum__run *parent = run->parent;
    uint32_t index = run->parent_index, count;
    if (!(parent->tasks[index].flags & INSTANCE_POOLED))
      continue;
    const astrum__want *wants =
        wants_of(parent, astrum__task_of(parent, index), &count);
    for (uint32_t i = 0; i < count; i++)
      held += wants[i].pool == pool ? wants[i].units : 0;
  }
  return held;
}

/* Adds what one policy wants; pools that are the same for the root become one.
 */
static astrum_err map_policy(astrum__run *run, const astrum_policy *policy,
                             const astrum_run_options *options,
                             uint32_t *used) {
  uint32_t first = *used;
  for (uint32_t i = 0; i < policy->pool_count; i++) {
    uint32_t pool = policy->pools[i].pool, at = first;
    if (options->pool_of) {
      if (pool >= options->pool_of_count)
        return ASTRUM_EINVAL;
      pool = options->pool_of[pool];
    }
    if (pool >= run->root->pool_count)
      return ASTRUM_EINVAL;
    while (at < *used && run->wants[at].pool != pool)
      at++;
    if (at == *used)
      run->wants[(*used)++] = (astrum__want){.pool = pool};
    uint64_t units = (uint64_t)run->wants[at].units + policy->pools[i].units;
    run->wants[at].units = units < UINT32_MAX ? (uint32_t)units : UINT32_MAX;
  }
  return ASTRUM_OK;
}

astrum_err astrum__pools_map(astrum_sched *sched, astrum__run *run,
                             const astrum_run_options *options) {
  for (uint32_t i = 0; i < options->pool_of_count; i++)
    if (options->pool_of[i] >= run->root->pool_count)
      return ASTRUM_EINVAL;
  if (!run->graph->has_pools)
    return ASTRUM_OK;
  uint32_t policies = astrum__graph_policy_count(run->graph), all = 0, used = 0;
  for (uint32_t i = 0; i < policies; i++)
    all += astrum__graph_policy_at(run->graph, i)->pool_count;
  run->policy_count = policies;
  run->wants_first = astrum__zalloc(&sched->alloc, (size_t)policies + 1,
                                    sizeof *run->wants_first);
  run->wants = astrum__alloc_array(&sched->alloc, all, sizeof *run->wants);
  run->wants_capacity = run->wants ? all : 0;
  if (!run->wants_first || !run->wants)
    return ASTRUM_ENOMEM;
  /* A policy may have no task, whose name was refused. */
  for (uint32_t i = 0; i < run->count; i++)
    run->wants_first[astrum__graph_policy_index(run->graph, i)] = 1;
  for (uint32_t i = 0; i < policies; i++) {
    int has_task = run->wants_first[i] != 0;
    run->wants_first[i] = used;
    astrum_err err = ASTRUM_OK;
    if (has_task)
      err = map_policy(run, astrum__graph_policy_at(run->graph, i), options,
                       &used);
    if (err)
      return err;
  }
  run->wants_first[policies] = used;
  for (uint32_t i = 0; i < used; i++) {
    uint32_t slots = run->root->pools[run->wants[i].pool].slots;
    if (slots &&
        run->wants[i].units + held_around(run, run->wants[i].pool) > slots)
      return ASTRUM_EPOOL;
  }
  return ASTRUM_OK;
}

astrum_err astrum__pools_room(astrum_sched *sched, astrum__run *run,
                              uint32_t task, size_t more) {
  uint32_t count;
  if (!run->wants_first)
    return ASTRUM_OK;
  const astrum__want *wants = wants_of(run, task, &count);
  for (uint32_t i = 0; i < count; i++) {
    astrum__line *line = &run->root->pools[wants[i].pool].line;
    astrum_err err = astrum__line_room(sched, line, more);
    if (err)
      return err;
  }
  return ASTRUM_OK;
}

void astrum__pools_reserve(astrum__run *run, uint32_t task, size_t more) {
  uint32_t count;
  if (!run->wants_first)
    return;
  const astrum__want *wants = wants_of(run, task, &count);
  for (uint32_t i = 0; i < count; i++)
    run->root->pools[wants[i].pool].line.reserved += more;
}

void astrum__pools_unreserve(astrum__run *run, uint32_t task, size_t less) {
  uint32_t count;
  if (!run->wants_first)
    return;
  const astrum__want *wants = wants_of(run, task, &count);
  for (uint32_t i = 0; i < count; i++)
    run->root->pools[wants[i].pool].line.reserved -= less;
}

/* --- offers */

/* When the rate of a pool allows the next start. */
static uint64_t rate_allows(const astrum__pool *pool) {
  if (pool->rate == 0 || pool->started < pool->rate)
    return 0;
  uint32_t oldest = pool->newest + 1 == pool->rate ? 0 : pool->newest + 1;
  return astrum__add_clamped(pool->starts[oldest], pool->per);
}

/* When the first of the line of a pool may start: it is the first of all its
   lines and has its units. ASTRUM_NEVER when something else must happen. */
static uint64_t may_start(const astrum__run *root,
                          const astrum__candidate *head,
                          const astrum__want *wants, uint32_t count) {
  uint64_t when = 0;
  for (uint32_t i = 0; i < count; i++) {
    const astrum__pool *pool = &root->pools[wants[i].pool];
    const astrum__candidate *first = &pool->line.entries[0];
    if (first->run != head->run || first->index != head->index)
      return ASTRUM_NEVER;
    if (pool->slots && wants[i].units > pool->slots - pool->taken)
      return ASTRUM_NEVER;
    uint64_t allows = rate_allows(pool);
    when = allows > when ? allows : when;
  }
  return when;
}

/* A pool looks whether it has something to offer. */
static void look(astrum_sched *sched, astrum__run *root, uint32_t number) {
  astrum__pool *pool = &root->pools[number];
  uint64_t when = ASTRUM_NEVER, now = sched->now;
  astrum__run *owner = root;
  astrum__run *offered =
      astrum__list_linked(&pool->offer) ? pool->offered_to : NULL;
  if (pool->line.used > 0) {
    const astrum__candidate *head = &pool->line.entries[0];
    astrum__run *run = astrum__sched_run(sched, head->run);
    uint32_t count;
    const astrum__want *wants =
        wants_of(run, astrum__task_of(run, head->index), &count);
    owner = astrum__ready_owner(run);
    if (wants[0].pool == number)
      when = may_start(root, head, wants, count);
  }
  astrum__timer_stop(sched, pool->timer);
  if (when > now && when != ASTRUM_NEVER)
    astrum__timer_set(sched, pool->timer, TIMER_RATE, when, root->id, number);
  if (offered && (when > now || offered != owner)) {
    astrum__list_remove(&pool->offer);
    astrum__ready_update(sched, offered);
  }
  if (when <= now && !astrum__list_linked(&pool->offer)) {
    pool->offered_to = owner;
    astrum__list_append(&owner->offers, &pool->offer);
    astrum__ready_update(sched, owner);
  }
}

/* The pool which would offer the first of the line of another one. */
static uint32_t offering(const astrum_sched *sched, const astrum__run *root,
                         uint32_t number) {
  const astrum__line *line = &root->pools[number].line;
  if (line->used == 0)
    return number;
  const astrum__run *run = astrum__sched_run(sched, line->entries[0].run);
  uint32_t count;
  return wants_of(run, astrum__task_of(run, line->entries[0].index), &count)
      ->pool;
}

/* The line, the units or the starts of a pool have changed. */
static void look_around(astrum_sched *sched, astrum__run *root,
                        uint32_t number) {
  uint32_t by = offering(sched, root, number);
  look(sched, root, number);
  if (by != number)
    look(sched, root, by);
}

void astrum__pools_push(astrum_sched *sched, astrum__run *run, uint32_t index) {
  astrum__run *root = run->root;
  uint32_t task = astrum__task_of(run, index), count;
  const astrum__want *wants = wants_of(run, task, &count);
  astrum__candidate entry = {
      .priority = astrum__graph_policy(run->graph, task)->priority,
      .run = run->id,
      .index = index,
      .order = sched->order++};
  for (uint32_t i = 0; i < count; i++) {
    astrum__line *line = &root->pools[wants[i].pool].line;
    uint32_t displaced = offering(sched, root, wants[i].pool);
    astrum__line_push(line, entry);
    if (line->entries[0].order == entry.order) {
      look(sched, root, displaced);
      look(sched, root, wants[i].pool);
    }
  }
  look(sched, root, wants[0].pool);
}

void astrum__pools_pop(astrum__run *run, uint32_t index) {
  uint32_t count;
  const astrum__want *wants =
      wants_of(run, astrum__task_of(run, index), &count);
  for (uint32_t i = 0; i < count; i++)
    astrum__line_pop(&run->root->pools[wants[i].pool].line);
}

void astrum__pools_look(astrum_sched *sched, astrum__run *run, uint32_t index) {
  uint32_t count;
  const astrum__want *wants =
      wants_of(run, astrum__task_of(run, index), &count);
  for (uint32_t i = 0; i < count; i++)
    look_around(sched, run->root, wants[i].pool);
}

void astrum__pools_rate(astrum_sched *sched, astrum__run *root, uint32_t pool) {
  look(sched, root, pool);
}

/* --- units and rates */

static void note_start(astrum__pool *pool, uint64_t now) {
  if (pool->rate == 0)
    return;
  pool->newest = pool->started == 0 || pool->newest + 1 == pool->rate
                     ? 0
                     : pool->newest + 1;
  pool->starts[pool->newest] = now;
  if (pool->started < pool->rate)
    pool->started++;
}

/* Takes one start at `when` out; those after it move up. */
static void forget_start(astrum__pool *pool, uint64_t when) {
  uint32_t at = pool->newest, last = pool->rate - 1, left = pool->started;
  for (; left > 0 && pool->starts[at] > when; left--)
    at = at == 0 ? last : at - 1;
  if (left == 0 || pool->starts[at] != when)
    return; /* it has been pushed out since */
  while (at != pool->newest) {
    uint32_t later = at == last ? 0 : at + 1;
    pool->starts[at] = pool->starts[later];
    at = later;
  }
  pool->started--;
  pool->newest = pool->newest == 0 ? last : pool->newest - 1;
}

void astrum__pools_take(astrum_sched *sched, astrum__run *run, uint32_t index,
                        uint64_t now) {
  uint32_t count;
  const astrum__want *wants =
      wants_of(run, astrum__task_of(run, index), &count);
  for (uint32_t i = 0; i < count; i++) {
    astrum__pool *pool = &run->root->pools[wants[i].pool];
    if (pool->slots)
      pool->taken += wants[i].units;
    note_start(pool, now);
  }
  astrum__pools_look(sched, run, index);
}

void astrum__pools_give(astrum_sched *sched, astrum__run *run, uint32_t index,
                        int declined) {
  uint32_t count;
  const astrum__want *wants =
      wants_of(run, astrum__task_of(run, index), &count);
  for (uint32_t i = 0; i < count; i++) {
    astrum__pool *pool = &run->root->pools[wants[i].pool];
    if (pool->slots)
      pool->taken -= wants[i].units;
    if (declined && pool->rate)
      forget_start(pool, run->tasks[index].mark);
  }
  astrum__pools_look(sched, run, index);
}

/* --- for ready.c */

int astrum__pools_best(const astrum_sched *sched, const astrum__run *owner,
                       astrum__candidate *best) {
  int found = 0;
  for (const astrum__list *at = owner->offers.next; at != &owner->offers;
       at = at->next) {
    astrum__candidate head =
        astrum__container_of(at, astrum__pool, offer)->line.entries[0];
    const astrum__run *run = astrum__sched_run(sched, head.run);
    if (run->rank)
      head.rank = run->rank[astrum__task_of(run, head.index)];
    if (!found || astrum__goes_before(&head, best))
      *best = head;
    found = 1;
  }
  return found;
}

void astrum__pools_sweep(astrum_sched *sched, astrum__run *root) {
  for (uint32_t i = 0; i < root->pool_count; i++)
    astrum__line_sweep(sched, &root->pools[i].line);
  for (uint32_t i = 0; i < root->pool_count; i++)
    look(sched, root, i);
}
