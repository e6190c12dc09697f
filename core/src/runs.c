/*
 * The scheduler object and its runs: opening, finding, forgetting.
 *
 * Runs are numbered as they are opened. They stand in a table, whose size is a
 * power of two, at the place that the low bits of the number say; a number
 * whose place is taken is passed over. So a number comes back only after 2^32
 * others, and nothing is to be allocated or searched to find or forget a run.
 */
#include "scheduler.h"

enum { FIRST_PLACES = 16 };

/* --- the table */

static astrum__run **place_of(const astrum_sched *sched, uint32_t id) {
  return &sched->runs[id & (sched->places - 1)];
}

/* Keeps at least half of the places free. ELIMIT, ENOMEM. */
static astrum_err make_place(astrum_sched *sched) {
  if (sched->open < sched->places / 2)
    return ASTRUM_OK;
  if (sched->places > UINT32_MAX / 4)
    return ASTRUM_ELIMIT;
  uint32_t places = sched->places ? sched->places * 2 : FIRST_PLACES;
  astrum__run **runs = astrum__zalloc(&sched->alloc, places, sizeof *runs);
  if (!runs)
    return ASTRUM_ENOMEM;
  for (uint32_t i = 0; i < sched->places; i++)
    if (sched->runs[i])
      runs[sched->runs[i]->id & (places - 1)] = sched->runs[i];
  astrum__free(&sched->alloc, (void *)sched->runs,
               sched->places * sizeof *sched->runs);
  sched->runs = runs;
  sched->places = places;
  return ASTRUM_OK;
}

/* Gives a run its number and its place, which make_place has seen to. */
static void enter(astrum_sched *sched, astrum__run *run) {
  uint32_t id = sched->next_id;
  while (id == ASTRUM_NO_RUN || *place_of(sched, id))
    id++;
  run->id = id;
  *place_of(sched, id) = run;
  sched->next_id = id + 1;
  sched->open++;
}

/* --- the scheduler */

astrum_err astrum_sched_new(const astrum_alloc *alloc, astrum_sched **out) {
  astrum_alloc a = astrum__alloc_or_default(alloc);
  astrum_sched *sched = astrum__zalloc(&a, 1, sizeof *sched);
  if (!sched)
    return ASTRUM_ENOMEM;
  sched->alloc = a;
  astrum__list_init(&sched->ready);
  astrum__list_init(&sched->stopping);
  astrum__list_init(&sched->news);
  astrum__list_init(&sched->dirty);
  astrum__list_init(&sched->late);
  sched->timer_free = sched->late_first = sched->late_last = NO_INDEX;
  *out = sched;
  return ASTRUM_OK;
}

static void free_run(astrum_sched *sched, astrum__run *run) {
  astrum__ready_free(sched, run);
  astrum__pools_free(sched, run);
  astrum__timer_free(sched, run->deadline_timer);
  astrum__free(&sched->alloc, run->maps, run->map_count * sizeof *run->maps);
  astrum__free(&sched->alloc, run->map_of,
               run->map_of_capacity * sizeof *run->map_of);
  astrum__free(&sched->alloc, run->attempts,
               run->attempt_capacity * sizeof *run->attempts);
  astrum__free(&sched->alloc, run->tasks, run->capacity * sizeof *run->tasks);
  astrum__free(&sched->alloc, run, sizeof *run);
}

/* What its instances might have needed of lines that others share. */
static void unreserve(astrum_sched *sched, astrum__run *run) {
  if (run->sorted)
    astrum__ready_owner(run)->line.reserved -= run->total;
  if (run->changes)
    sched->change_reserved -= 2 * (size_t)run->total;
  for (uint32_t i = 0; run->wants_first && i < run->count; i++)
    if (!(run->tasks[i].flags & INSTANCE_MAP))
      astrum__pools_unreserve(run, i, 1);
  for (uint32_t i = 0; i < run->map_count; i++)
    astrum__pools_unreserve(run, run->maps[i].task, run->maps[i].count);
}

void astrum_sched_free(astrum_sched *sched) {
  if (!sched)
    return;
  astrum_alloc alloc = sched->alloc;
  for (uint32_t i = 0; i < sched->places; i++)
    if (sched->runs[i])
      free_run(sched, sched->runs[i]);
  astrum__free(&alloc, (void *)sched->runs,
               sched->places * sizeof *sched->runs);
  astrum__timers_free(sched);
  astrum__free(&alloc, sched->changes,
               sched->change_capacity * sizeof *sched->changes);
  astrum__free(&alloc, sched, sizeof *sched);
}

/* --- changes */

astrum_err astrum__changes_room(astrum_sched *sched, const astrum__run *run,
                                size_t more) {
  size_t need = sched->change_reserved + 2 * more;
  if (!run->changes || need <= sched->change_capacity)
    return ASTRUM_OK;
  if (need < 2 * sched->change_capacity)
    need = 2 * sched->change_capacity;
  astrum__change *ring = astrum__alloc_array(&sched->alloc, need, sizeof *ring);
  if (!ring)
    return ASTRUM_ENOMEM;
  for (size_t i = 0; i < sched->change_count; i++)
    ring[i] =
        sched->changes[(sched->change_first + i) % sched->change_capacity];
  astrum__free(&sched->alloc, sched->changes,
               sched->change_capacity * sizeof *sched->changes);
  sched->changes = ring;
  sched->change_first = 0;
  sched->change_capacity = need;
  return ASTRUM_OK;
}

void astrum__changed(astrum_sched *sched, const astrum__run *run,
                     uint32_t index) {
  assert(sched->change_count < sched->change_capacity);
  size_t at = sched->change_first + sched->change_count++;
  const astrum__instance *instance = &run->tasks[index];
  sched->changes[at % sched->change_capacity] =
      (astrum__change){run->id, index, instance->state, instance->cause};
}

/* --- opening and forgetting */

uint16_t astrum__policy_flags(const astrum_policy *policy) {
  astrum_trigger trigger = (astrum_trigger)policy->trigger;
  int timed = policy->timeout || policy->idle_timeout ||
              (policy->max_retries && policy->delay);
  unsigned flags = 0;
  flags |= policy->max_retries ? INSTANCE_RETRIES : 0;
  flags |= policy->detached ? INSTANCE_DETACHED : 0;
  flags |= timed ? INSTANCE_TIMED : 0;
  flags |= policy->pool_count && !policy->map ? INSTANCE_POOLED : 0;
  flags |= trigger == ASTRUM_ALL_DONE || trigger == ASTRUM_ALWAYS
               ? INSTANCE_CLEANS
               : 0;
  flags |= trigger != ASTRUM_ALL_SUCCESS ? INSTANCE_TRIGGER : 0;
  flags |= trigger == ASTRUM_ONE_FAILED || trigger == ASTRUM_ALL_FAILED
               ? INSTANCE_HANDLES
               : 0;
  flags |= policy->map ? INSTANCE_MAP : 0;
  return (uint16_t)flags;
}

static void init_run(astrum__run *run, const astrum_graph *graph,
                     const astrum_run_options *options) {
  run->graph = graph;
  run->user = options->user;
  run->seed = options->seed;
  run->failure_mode = options->failure_mode;
  run->changes = options->changes;
  run->deadline = options->deadline;
  run->count = run->total = astrum__graph_count(graph);
  run->first = run->last = NO_INDEX;
  run->resume_first = run->resume_last = NO_INDEX;
  run->final_first = run->final_last = NO_INDEX;
  run->deadline_timer = NO_INDEX;
  run->root = run;
  run->parent_index = NO_INDEX;
  run->concurrency = options->concurrency;
  run->max_attempts = options->max_total_attempts;
  run->plain = !graph->has_triggers;
  run->blame = ASTRUM_NO_TASK;
  run->begin = run->end = ASTRUM_NEVER;
  astrum__list_init(&run->siblings);
  astrum__list_init(&run->children);
  astrum__list_init(&run->peers);
  astrum__list_init(&run->ready);
  astrum__list_init(&run->stopping);
  astrum__list_init(&run->news);
  astrum__list_init(&run->dirty);
  astrum__list_init(&run->offers);
}

static void fill_tasks(astrum__run *run) {
  const astrum_graph *graph = run->graph;
  uint32_t last_policy = NO_INDEX, maps = 0, detached = 0;
  astrum__instance fresh = {.blame = ASTRUM_NO_TASK,
                            .ready = ASTRUM_NEVER,
                            .start = ASTRUM_NEVER,
                            .mark = ASTRUM_NEVER};
  for (uint32_t i = 0; i < run->count; i++) {
    uint32_t policy = astrum__graph_policy_index(graph, i);
    if (policy != last_policy) {
      last_policy = policy;
      fresh.flags =
          astrum__policy_flags(astrum__graph_policy_at(graph, policy));
      fresh.next = fresh.flags & INSTANCE_TRIGGER ? 0 : NO_INDEX;
      fresh.previous = fresh.next;
    }
    astrum__instance *instance = &run->tasks[i];
    *instance = fresh;
    instance->pending = astrum__graph_in_degree(graph, i);
    detached += (fresh.flags & INSTANCE_DETACHED) != 0;
    if (fresh.flags & INSTANCE_MAP)
      run->maps[maps++] = (astrum__map){
          .task = i, .tolerant = astrum__graph_policy(graph, i)->tolerant};
  }
  run->detached_left = detached;
  run->left = run->count - detached;
}

/* Takes the memory that a run needs. Counts nothing as reserved yet. */
static astrum_err take_memory(astrum_sched *sched, astrum__run *run,
                              const astrum_run_options *options) {
  const astrum_graph *graph = run->graph;
  const astrum_alloc *alloc = &sched->alloc;
  astrum_err err = ASTRUM_OK;
  if (run->root == run)
    err = astrum__pools_open(sched, run, options);
  if (!err)
    err = astrum__pools_map(sched, run, options);
  if (!err && run->deadline)
    err = astrum__timer_new(sched, &run->deadline_timer);
  if (err || run->count == 0)
    return err;
  run->tasks = astrum__alloc_array(alloc, run->count, sizeof *run->tasks);
  if (!run->tasks)
    return ASTRUM_ENOMEM;
  run->capacity = run->count;
  if (graph->map_count) {
    run->maps = astrum__zalloc(alloc, graph->map_count, sizeof *run->maps);
    if (!run->maps)
      return ASTRUM_ENOMEM;
    run->map_count = graph->map_count;
  }
  if (run->root->concurrency) {
    run->rank = astrum__ready_ranks(sched, run);
    if (!run->rank)
      return ASTRUM_ENOMEM;
  }
  err = astrum__ready_room(sched, run, run->count);
  if (!err)
    err = astrum__changes_room(sched, run, run->count);
  return err;
}

/* Counts what the tasks of a run may need of the lines of pools, and makes room
   for it. What has been counted when there is no memory is taken back. */
static astrum_err reserve_pools(astrum_sched *sched, astrum__run *run) {
  for (uint32_t i = 0; run->wants_first && i < run->count; i++) {
    if (run->tasks[i].flags & INSTANCE_MAP)
      continue;
    if (astrum__pools_room(sched, run, i, 1) == ASTRUM_OK) {
      astrum__pools_reserve(run, i, 1);
      continue;
    }
    while (i-- > 0)
      if (!(run->tasks[i].flags & INSTANCE_MAP))
        astrum__pools_unreserve(run, i, 1);
    return ASTRUM_ENOMEM;
  }
  return ASTRUM_OK;
}

static astrum_err check_options(const astrum_run_options *options) {
  if (options->size != sizeof *options ||
      options->failure_mode > ASTRUM_KEEP_GOING || options->changes > 1 ||
      (options->pool_count && !options->pools) ||
      (options->pool_of_count && !options->pool_of))
    return ASTRUM_EINVAL;
  if (options->parent && (options->concurrency || options->pool_count ||
                          options->max_total_attempts))
    return ASTRUM_EINVAL;
  for (uint32_t i = 0; i < options->pool_count; i++)
    if (options->pools[i].rate && options->pools[i].per == 0)
      return ASTRUM_EINVAL;
  return ASTRUM_OK;
}

/* Puts a run beside the other ones of its attempt. */
static void join_peers(const astrum_sched *sched, astrum__run *run) {
  astrum__instance *attempt = &run->parent->tasks[run->parent_index];
  astrum__list_append(&run->parent->children, &run->siblings);
  if (attempt->pending == 0)
    attempt->pending = run->id + 1;
  else
    astrum__list_append(&astrum__sched_run(sched, attempt->pending - 1)->peers,
                        &run->peers);
}

void astrum__leave_peers(astrum__run *run) {
  astrum__instance *attempt = &run->parent->tasks[run->parent_index];
  if (!astrum__list_linked(&run->peers))
    attempt->pending = 0;
  else if (attempt->pending == run->id + 1)
    attempt->pending =
        astrum__container_of(run->peers.next, astrum__run, peers)->id + 1;
  astrum__list_remove(&run->peers);
}

astrum_err astrum_sched_open(astrum_sched *sched, const astrum_graph *graph,
                             const astrum_run_options *options,
                             astrum_run *out) {
  static const astrum_run_options none = ASTRUM_RUN_OPTIONS_INIT;
  if (!options)
    options = &none;
  astrum_err err = check_options(options);
  if (err)
    return err;
  if (!astrum_graph_frozen(graph))
    return ASTRUM_ENOTFROZEN;
  astrum__run *parent = NULL;
  uint32_t index = NO_INDEX;
  if (options->parent) {
    const astrum__instance *attempt =
        astrum__sched_running(sched, *options->parent, &parent, &index);
    if (!attempt || attempt->flags & INSTANCE_STOP)
      return ASTRUM_ESTALE;
    if (parent->depth + 1 >= ASTRUM_DEPTH_MAX)
      return ASTRUM_EDEPTH;
  }

  err = make_place(sched);
  if (err)
    return err;
  astrum__run *run = astrum__zalloc(&sched->alloc, 1, sizeof *run);
  if (!run)
    return ASTRUM_ENOMEM;
  init_run(run, graph, options);
  if (parent) {
    run->root = parent->root;
    run->parent = parent;
    run->parent_index = index;
    run->depth = parent->depth + 1;
  }
  run->sorted =
      run->root->concurrency || graph->has_priorities || graph->has_pools;
  err = take_memory(sched, run, options);
  if (!err) {
    fill_tasks(run);
    err = reserve_pools(sched, run);
  }
  if (err) {
    free_run(sched, run);
    return err;
  }
  if (run->sorted)
    astrum__ready_owner(run)->line.reserved += run->count;
  if (run->changes)
    sched->change_reserved += 2 * (size_t)run->count;
  enter(sched, run);
  if (parent)
    join_peers(sched, run);
  out->id = run->id;
  return ASTRUM_OK;
}

astrum_err astrum_sched_forget(astrum_sched *sched, astrum_run id) {
  astrum__run *run = astrum__sched_run(sched, id.id);
  if (!run)
    return ASTRUM_ESTALE;
  if (!run->closed_told || astrum__list_linked(&run->children))
    return ASTRUM_EBUSY;
  *place_of(sched, run->id) = NULL;
  sched->open--;
  astrum__list_remove(&run->siblings);
  astrum__list_remove(&run->news);
  unreserve(sched, run);
  free_run(sched, run);
  return ASTRUM_OK;
}
