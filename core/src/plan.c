/*
 * Views of a frozen graph. A level is the longest path from a task without
 * dependencies, so every edge leads to a higher level and the tasks sorted by
 * level are in an order in which they could run.
 */
#include "plan.h"

#include <string.h>

/* An array of at least one element: arrays of nothing are NULL. */
static void *make_array(const astrum_alloc *a, size_t count, size_t size) {
  return astrum__alloc_array(a, count + 1, size);
}

static void free_array(const astrum_alloc *a, void *array, size_t count,
                       size_t size) {
  astrum__free(a, array, (count + 1) * size);
}

void astrum_plan_free(astrum_plan *plan) {
  if (plan == NULL)
    return;
  astrum_alloc a = plan->alloc;
  size_t tasks = plan->task_count, stages = plan->stage_count;
  free_array(&a, plan->level, tasks, sizeof *plan->level);
  free_array(&a, plan->by_stage, tasks, sizeof *plan->by_stage);
  free_array(&a, plan->first, stages, sizeof *plan->first);
  free_array(&a, plan->lingering, stages, sizeof *plan->lingering);
  free_array(&a, plan->linger, plan->linger_count, sizeof *plan->linger);
  astrum__free(&a, plan, sizeof *plan);
}

/* Levels and their number. */
static astrum_err find_levels(astrum_plan *plan) {
  const astrum_graph *graph = plan->graph;
  const astrum__neighbours *down = &graph->downstream;
  uint32_t count = plan->task_count, queued = 0;
  uint32_t *open = make_array(&plan->alloc, count, sizeof *open);
  uint32_t *order = make_array(&plan->alloc, count, sizeof *order);
  plan->level = make_array(&plan->alloc, count, sizeof *plan->level);
  int enough = open != NULL && order != NULL && plan->level != NULL;
  for (uint32_t i = 0; enough && i < count; i++) {
    plan->level[i] = 0;
    open[i] = astrum__graph_in_degree(graph, i);
    if (open[i] == 0)
      order[queued++] = i;
  }
  for (uint32_t taken = 0; taken < queued; taken++) {
    uint32_t task = order[taken], after = plan->level[task] + 1;
    plan->stage_count = after;
    for (uint32_t i = down->first[task]; i < down->first[task + 1]; i++) {
      uint32_t next = down->targets[i].id;
      /* Tasks are taken level by level: the last one sets the level. */
      plan->level[next] = after;
      if (--open[next] == 0)
        order[queued++] = next;
    }
  }
  free_array(&plan->alloc, open, count, sizeof *open);
  free_array(&plan->alloc, order, count, sizeof *order);
  return enough ? ASTRUM_OK : ASTRUM_ENOMEM;
}

/* Sorts the tasks by level, and by declaration within. */
static astrum_err sort_tasks(astrum_plan *plan) {
  uint32_t count = plan->task_count;
  size_t stages = plan->stage_count;
  plan->by_stage = make_array(&plan->alloc, count, sizeof *plan->by_stage);
  plan->first = astrum__zalloc(&plan->alloc, stages + 1, sizeof *plan->first);
  if (plan->by_stage == NULL || plan->first == NULL)
    return ASTRUM_ENOMEM;
  for (uint32_t i = 0; i < count; i++)
    plan->first[plan->level[i]]++;
  for (size_t i = 1; i <= stages; i++)
    plan->first[i] += plan->first[i - 1];
  for (uint32_t i = count; i-- > 0;)
    plan->by_stage[--plan->first[plan->level[i]]].id = i;
  return ASTRUM_OK;
}

/* The last stage in whose `parallel` list a task is. */
static uint32_t last_listed(const astrum_plan *plan, uint32_t task) {
  const astrum__neighbours *down = &plan->graph->downstream;
  uint32_t last = plan->stage_count - 1;
  for (uint32_t i = down->first[task]; i < down->first[task + 1]; i++) {
    uint32_t waiting = plan->level[down->targets[i].id];
    if (waiting - 1 < last)
      last = waiting - 1;
  }
  return last;
}

/* What lingers: first how much and how much in each stage, then which. */
static astrum_err find_lingering(astrum_plan *plan) {
  uint32_t count = plan->task_count, used = 0;
  size_t stages = plan->stage_count;
  uint32_t *change = astrum__zalloc(&plan->alloc, stages + 1, sizeof *change);
  if (change == NULL)
    return ASTRUM_ENOMEM;
  plan->lingering = change;
  for (uint32_t task = 0; task < count; task++) {
    uint32_t last = last_listed(plan, task);
    if (last == plan->level[task])
      continue;
    used++;
    /* Comes with the stage after its own, goes after the last one. The array
       is of differences until it is summed up; they may wrap around zero. */
    change[plan->level[task] + 1]++;
    change[last + 1]--;
  }
  plan->linger = make_array(&plan->alloc, used, sizeof *plan->linger);
  if (plan->linger == NULL)
    return ASTRUM_ENOMEM;
  for (uint32_t i = 0; i < count; i++) {
    uint32_t task = plan->by_stage[i].id, last = last_listed(plan, task);
    if (last != plan->level[task])
      plan->linger[plan->linger_count++] = (astrum__linger){task, last};
  }
  assert(plan->linger_count == used);
  for (size_t i = 0; i < stages; i++) {
    if (i > 0)
      change[i] += change[i - 1];
    uint32_t all = change[i] + (plan->first[i + 1] - plan->first[i]);
    if (all > plan->max_parallelism)
      plan->max_parallelism = all;
  }
  return ASTRUM_OK;
}

astrum_err astrum_plan_new(const astrum_graph *graph, const astrum_alloc *alloc,
                           astrum_plan **out) {
  if (!astrum_graph_frozen(graph))
    return ASTRUM_ENOTFROZEN;
  astrum_alloc a = astrum__alloc_or_default(alloc);
  astrum_plan *plan = astrum__zalloc(&a, 1, sizeof *plan);
  if (plan == NULL)
    return ASTRUM_ENOMEM;
  plan->alloc = a;
  plan->graph = graph;
  plan->task_count = astrum__graph_count(graph);
  astrum_err err = find_levels(plan);
  if (err == ASTRUM_OK)
    err = sort_tasks(plan);
  if (err == ASTRUM_OK)
    err = find_lingering(plan);
  if (err != ASTRUM_OK) {
    astrum_plan_free(plan);
    return err;
  }
  *out = plan;
  return ASTRUM_OK;
}

uint32_t astrum_plan_stage_count(const astrum_plan *plan) {
  return plan->stage_count;
}

uint32_t astrum_plan_level(const astrum_plan *plan, astrum_task task) {
  return task.id < plan->task_count ? plan->level[task.id] : 0;
}

uint32_t astrum_plan_max_parallelism(const astrum_plan *plan) {
  return plan->max_parallelism;
}

/* --- lists of a stage */

/* Where a list goes: what does not fit is counted only. */
typedef struct {
  astrum_task *tasks;
  uint32_t room, count;
} output;

static void put(output *out, uint32_t task) {
  if (out->count < out->room)
    out->tasks[out->count].id = task;
  out->count++;
}

/* A set of tasks between two ids, one bit each. */
typedef struct {
  uint32_t from, to;
  size_t words;
  uint64_t *bits;
} task_set;

static void widen(task_set *set, uint32_t task) {
  set->from = task < set->from ? task : set->from;
  set->to = task > set->to ? task : set->to;
}

static astrum_err open_set(const astrum_plan *plan, task_set *set) {
  set->words = (set->to - set->from) / 64 + (size_t)1;
  set->bits = astrum__zalloc(&plan->alloc, set->words, sizeof *set->bits);
  return set->bits == NULL ? ASTRUM_ENOMEM : ASTRUM_OK;
}

static void include(task_set *set, uint32_t task) {
  uint32_t bit = task - set->from;
  set->bits[bit / 64] |= UINT64_C(1) << bit % 64;
}

/* Puts the tasks of the set out in the order of declaration, and frees it. */
static void close_set(const astrum_plan *plan, task_set *set, output *out) {
  for (size_t word = 0; word < set->words; word++) {
    uint64_t bits = set->bits[word];
    for (uint32_t bit = 0; bits != 0; bit++, bits >>= 1)
      if (bits & 1)
        put(out, set->from + (uint32_t)(word * 64) + bit);
  }
  astrum__free(&plan->alloc, set->bits, set->words * sizeof *set->bits);
}

static void put_stage(const astrum_plan *plan, uint32_t stage, output *out) {
  for (uint32_t i = plan->first[stage]; i < plan->first[stage + 1]; i++)
    put(out, plan->by_stage[i].id);
}

/* The dependencies of the tasks of a stage, each once. */
static astrum_err put_waited_for(const astrum_plan *plan, uint32_t stage,
                                 output *out) {
  const astrum__neighbours *up = &plan->graph->upstream;
  task_set set = {.from = UINT32_MAX};
  /* Twice the same walk: how wide the set is, then what is in it. */
  for (int pass = 0; pass < 2; pass++) {
    for (uint32_t i = plan->first[stage]; i < plan->first[stage + 1]; i++) {
      uint32_t task = plan->by_stage[i].id;
      for (uint32_t k = up->first[task]; k < up->first[task + 1]; k++) {
        if (pass == 0)
          widen(&set, up->targets[k].id);
        else
          include(&set, up->targets[k].id);
      }
    }
    if (pass == 0 && set.from > set.to)
      return ASTRUM_OK;
    if (pass == 0 && open_set(plan, &set) != ASTRUM_OK)
      return ASTRUM_ENOMEM;
  }
  close_set(plan, &set, out);
  return ASTRUM_OK;
}

/*
 * The tasks that linger in a stage. They are looked for backwards, because most
 * linger for a few stages only, until as many are found as there are.
 */
static astrum_err put_lingering(const astrum_plan *plan, uint32_t stage,
                                output *out) {
  uint32_t all = plan->lingering[stage];
  if (all == 0)
    return ASTRUM_OK;
  /* The first that belongs to this stage or a later one. */
  uint32_t end = 0, above = plan->linger_count;
  while (end < above) {
    uint32_t middle = end + (above - end) / 2;
    if (plan->level[plan->linger[middle].task] < stage)
      end = middle + 1;
    else
      above = middle;
  }
  task_set set = {.from = UINT32_MAX};
  for (int pass = 0; pass < 2; pass++) {
    uint32_t found = 0;
    for (uint32_t i = end; found < all; i--) {
      const astrum__linger *linger = &plan->linger[i - 1];
      if (linger->last < stage)
        continue;
      found++;
      if (pass == 0)
        widen(&set, linger->task);
      else
        include(&set, linger->task);
    }
    if (pass == 0 && open_set(plan, &set) != ASTRUM_OK)
      return ASTRUM_ENOMEM;
  }
  close_set(plan, &set, out);
  return ASTRUM_OK;
}

astrum_err astrum_plan_stage(const astrum_plan *plan, uint32_t stage,
                             astrum_stage_list list, astrum_task *tasks,
                             uint32_t room, uint32_t *count) {
  if (stage >= plan->stage_count)
    return ASTRUM_EINVAL;
  output out = {.tasks = tasks, .room = room};
  astrum_err err = ASTRUM_OK;
  switch (list) {
  case ASTRUM_STAGE_START:
    put_stage(plan, stage, &out);
    break;
  case ASTRUM_STAGE_WAIT_FOR:
    err = put_waited_for(plan, stage, &out);
    break;
  case ASTRUM_STAGE_PARALLEL:
    err = put_lingering(plan, stage, &out);
    if (err == ASTRUM_OK)
      put_stage(plan, stage, &out);
    break;
  default:
    return ASTRUM_EINVAL;
  }
  if (err == ASTRUM_OK)
    *count = out.count;
  return err;
}

/* --- critical path */

/* Of tasks a and b, whether a path goes on rather with a. */
static int leads(const uint64_t *sums, uint32_t a, uint32_t b) {
  return sums[a] != sums[b] ? sums[a] > sums[b] : a < b;
}

astrum_err astrum_plan_critical_path(const astrum_plan *plan,
                                     const uint64_t *weights,
                                     astrum_task *tasks, uint32_t room,
                                     uint32_t *count, uint64_t *total) {
  const astrum__neighbours *down = &plan->graph->downstream;
  uint32_t all = plan->task_count;
  /* Sum of the heaviest path from each task on, and the task after it. */
  uint64_t *sums = make_array(&plan->alloc, all, sizeof *sums);
  uint32_t *after = make_array(&plan->alloc, all, sizeof *after);
  astrum_err err = ASTRUM_ENOMEM;
  if (sums == NULL || after == NULL)
    goto done;
  uint32_t best = ASTRUM_NO_TASK;
  for (uint32_t i = all; i-- > 0;) {
    uint32_t task = plan->by_stage[i].id, next = ASTRUM_NO_TASK;
    for (uint32_t k = down->first[task]; k < down->first[task + 1]; k++) {
      uint32_t candidate = down->targets[k].id;
      if (next == ASTRUM_NO_TASK || leads(sums, candidate, next))
        next = candidate;
    }
    after[task] = next;
    sums[task] = astrum__add_clamped(weights == NULL ? 1 : weights[task],
                                     next == ASTRUM_NO_TASK ? 0 : sums[next]);
    if (plan->level[task] == 0 &&
        (best == ASTRUM_NO_TASK || leads(sums, task, best)))
      best = task;
  }
  output out = {.tasks = tasks, .room = room};
  for (uint32_t task = best; task != ASTRUM_NO_TASK; task = after[task])
    put(&out, task);
  *count = out.count;
  if (total != NULL)
    *total = best == ASTRUM_NO_TASK ? 0 : sums[best];
  err = ASTRUM_OK;
done:
  free_array(&plan->alloc, sums, all, sizeof *sums);
  free_array(&plan->alloc, after, all, sizeof *after);
  return err;
}
