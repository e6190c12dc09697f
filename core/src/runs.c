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
  *out = sched;
  return ASTRUM_OK;
}

static void free_run(astrum_sched *sched, astrum__run *run) {
  astrum__ready_free(sched, run);
  sched->delay_reserved -= run->delayed;
  astrum__free(&sched->alloc, run->attempts,
               run->attempt_capacity * sizeof *run->attempts);
  astrum__free(&sched->alloc, run->tasks, run->count * sizeof *run->tasks);
  astrum__free(&sched->alloc, run, sizeof *run);
}

static void leave(astrum_sched *sched, astrum__run *run) {
  *place_of(sched, run->id) = NULL;
  sched->open--;
  astrum__list_remove(&run->siblings);
  astrum__list_remove(&run->news);
  free_run(sched, run);
}

void astrum_sched_free(astrum_sched *sched) {
  if (!sched)
    return;
  astrum_alloc alloc = sched->alloc;
  /* Children go first: freeing a run looks at its root. Each round takes one
     level of the tree, of which there are few. */
  while (sched->open > 0) {
    for (uint32_t i = 0; i < sched->places; i++) {
      astrum__run *run = sched->runs[i];
      if (run && !astrum__list_linked(&run->children))
        leave(sched, run);
    }
  }
  astrum__free(&alloc, (void *)sched->runs,
               sched->places * sizeof *sched->runs);
  astrum__free(&alloc, sched->delays,
               sched->delay_capacity * sizeof *sched->delays);
  astrum__free(&alloc, sched, sizeof *sched);
}

/* --- opening and forgetting */

static void init_run(astrum__run *run, const astrum_graph *graph,
                     const astrum_run_options *options) {
  run->graph = graph;
  run->user = options->user;
  run->seed = options->seed;
  run->failure_mode = options->failure_mode;
  run->count = astrum__graph_count(graph);
  run->first = run->last = NO_INDEX;
  run->root = run;
  run->parent_task = ASTRUM_NO_TASK;
  run->concurrency = options->concurrency;
  run->blame = ASTRUM_NO_TASK;
  run->begin = run->end = ASTRUM_NEVER;
  astrum__list_init(&run->siblings);
  astrum__list_init(&run->children);
  astrum__list_init(&run->ready);
  astrum__list_init(&run->stopping);
  astrum__list_init(&run->news);
}

static void fill_tasks(astrum__run *run) {
  for (uint32_t i = 0; i < run->count; i++) {
    const astrum_policy *policy = astrum__graph_policy(run->graph, i);
    astrum__instance *instance = &run->tasks[i];
    *instance = (astrum__instance){
        .pending = astrum__graph_in_degree(run->graph, i),
        .next = NO_INDEX,
        .previous = NO_INDEX,
        .blame = ASTRUM_NO_TASK,
        .ready = ASTRUM_NEVER,
        .start = ASTRUM_NEVER,
        .mark = ASTRUM_NEVER,
    };
    if (policy->max_retries)
      instance->flags |= INSTANCE_RETRIES;
    if (policy->max_retries && policy->delay)
      run->delayed++;
    if (policy->detached) {
      instance->flags |= INSTANCE_DETACHED;
      run->detached_left++;
    } else {
      run->left++;
    }
  }
}

/* Takes the memory that the tasks of a run need. ENOMEM. */
static astrum_err reserve(astrum_sched *sched, astrum__run *run) {
  if (run->count == 0)
    return ASTRUM_OK;
  run->tasks =
      astrum__alloc_array(&sched->alloc, run->count, sizeof *run->tasks);
  if (!run->tasks)
    return ASTRUM_ENOMEM;
  fill_tasks(run);
  astrum_err err = astrum__delay_reserve(sched, run->delayed);
  if (err) {
    run->delayed = 0;
    return err;
  }
  sched->delay_reserved += run->delayed;
  return astrum__ready_reserve(sched, run);
}

astrum_err astrum_sched_open(astrum_sched *sched, const astrum_graph *graph,
                             const astrum_run_options *options,
                             astrum_run *out) {
  static const astrum_run_options none = ASTRUM_RUN_OPTIONS_INIT;
  if (!options)
    options = &none;
  if (options->size != sizeof *options ||
      options->failure_mode > ASTRUM_KEEP_GOING ||
      (options->parent && options->concurrency))
    return ASTRUM_EINVAL;
  if (!astrum_graph_frozen(graph))
    return ASTRUM_ENOTFROZEN;
  astrum__run *parent = NULL;
  astrum__instance *attempt = NULL;
  if (options->parent) {
    attempt = astrum__sched_running(sched, *options->parent, &parent);
    if (!attempt || attempt->flags & INSTANCE_STOP)
      return ASTRUM_ESTALE;
    if (parent->depth + 1 >= ASTRUM_DEPTH_MAX)
      return ASTRUM_EDEPTH;
  }

  astrum_err err = make_place(sched);
  if (err)
    return err;
  astrum__run *run = astrum__zalloc(&sched->alloc, 1, sizeof *run);
  if (!run)
    return ASTRUM_ENOMEM;
  init_run(run, graph, options);
  if (parent) {
    run->root = parent->root;
    run->parent = parent;
    run->parent_task = options->parent->task;
    run->depth = parent->depth + 1;
  }
  err = reserve(sched, run);
  if (err) {
    free_run(sched, run);
    return err;
  }
  enter(sched, run);
  if (parent) {
    astrum__list_append(&parent->children, &run->siblings);
    attempt->pending++;
  }
  out->id = run->id;
  return ASTRUM_OK;
}

astrum_err astrum_sched_forget(astrum_sched *sched, astrum_run id) {
  astrum__run *run = astrum__sched_run(sched, id.id);
  if (!run)
    return ASTRUM_ESTALE;
  if (!run->closed_told || astrum__list_linked(&run->children))
    return ASTRUM_EBUSY;
  leave(sched, run);
  return ASTRUM_OK;
}
