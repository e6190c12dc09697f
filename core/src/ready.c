/*
 * Which instance goes next.
 *
 * Without a limit each run has its own line and runs take turns. It is a plain
 * queue, threaded through the instances, unless priorities or pools ask for a
 * heap. With a limit the order matters more: the root has one heap for the
 * whole tree, and of equal priority the task with the longest path still
 * before it goes first, because the run cannot end before that path has.
 * Instances that want units of pools stand in the lines of those instead, and
 * are offered here when they may start (pools.c).
 *
 * What ends is taken out at once, so every entry that is popped is valid and
 * the room needed is known when a run is opened or a map expanded.
 */
#include "scheduler.h"

/* --- heaps */

int astrum__goes_before(const astrum__candidate *a,
                        const astrum__candidate *b) {
  if (a->priority != b->priority)
    return a->priority > b->priority;
  return a->rank != b->rank ? a->rank > b->rank : a->order < b->order;
}

static void sift_down(astrum__line *line, size_t i, astrum__candidate entry) {
  for (;;) {
    size_t child = 2 * i + 1;
    if (child >= line->used)
      break;
    if (child + 1 < line->used &&
        astrum__goes_before(&line->entries[child + 1], &line->entries[child]))
      child++;
    if (!astrum__goes_before(&line->entries[child], &entry))
      break;
    line->entries[i] = line->entries[child];
    i = child;
  }
  line->entries[i] = entry;
}

void astrum__line_push(astrum__line *line, astrum__candidate entry) {
  assert(line->used < line->capacity);
  size_t i = line->used++;
  while (i > 0 && astrum__goes_before(&entry, &line->entries[(i - 1) / 2])) {
    line->entries[i] = line->entries[(i - 1) / 2];
    i = (i - 1) / 2;
  }
  line->entries[i] = entry;
}

void astrum__line_pop(astrum__line *line) {
  astrum__candidate last = line->entries[--line->used];
  if (line->used > 0)
    sift_down(line, 0, last);
}

static void make_heap(astrum__line *line) {
  for (size_t i = line->used / 2; i-- > 0;)
    sift_down(line, i, line->entries[i]);
}

static int still_asks(const astrum_sched *sched,
                      const astrum__candidate *entry) {
  const astrum__instance *instance =
      &astrum__sched_run(sched, entry->run)->tasks[entry->index];
  return instance->state == ASTRUM_READY ||
         (instance->state == ASTRUM_RUNNING &&
          instance->flags & INSTANCE_RESUMING);
}

void astrum__line_sweep(const astrum_sched *sched, astrum__line *line) {
  size_t kept = 0;
  for (size_t i = 0; i < line->used; i++)
    if (still_asks(sched, &line->entries[i]))
      line->entries[kept++] = line->entries[i];
  line->used = kept;
  make_heap(line);
}

astrum_err astrum__line_room(astrum_sched *sched, astrum__line *line,
                             size_t more) {
  return astrum__grow(&sched->alloc, (void **)&line->entries, &line->capacity,
                      line->reserved + more, sizeof *line->entries);
}

/*
 * The length of the longest path that begins with each task: a walk over the
 * tasks from those nobody waits for, each after all its consumers.
 */
uint32_t *astrum__ready_ranks(astrum_sched *sched, const astrum__run *run) {
  const astrum_graph *graph = run->graph;
  uint32_t count = run->count;
  uint32_t *rank = astrum__alloc_array(&sched->alloc, count, sizeof *rank);
  uint32_t *open = astrum__alloc_array(&sched->alloc, count, sizeof *open);
  uint32_t *order = astrum__alloc_array(&sched->alloc, count, sizeof *order);
  if (!rank || !open || !order) {
    astrum__free(&sched->alloc, rank, count * sizeof *rank);
    rank = NULL;
    goto done;
  }
  uint32_t queued = 0;
  for (uint32_t i = 0; i < count; i++) {
    const astrum_task *tasks;
    rank[i] = 1;
    open[i] = astrum_graph_downstream(graph, (astrum_task){i}, &tasks);
    if (open[i] == 0)
      order[queued++] = i;
  }
  for (uint32_t taken = 0; taken < queued; taken++) {
    const astrum_task *tasks;
    uint32_t task = order[taken];
    uint32_t n = astrum_graph_upstream(graph, (astrum_task){task}, &tasks);
    for (uint32_t k = 0; k < n; k++) {
      uint32_t up = tasks[k].id;
      if (rank[up] <= rank[task])
        rank[up] = rank[task] + 1;
      if (--open[up] == 0)
        order[queued++] = up;
    }
  }
done:
  astrum__free(&sched->alloc, open, count * sizeof *open);
  astrum__free(&sched->alloc, order, count * sizeof *order);
  return rank;
}

/* --- room */

astrum_err astrum__ready_room(astrum_sched *sched, astrum__run *run,
                              size_t more) {
  if (!run->sorted || more == 0)
    return ASTRUM_OK;
  return astrum__line_room(sched, &astrum__ready_owner(run)->line, more);
}

void astrum__ready_free(astrum_sched *sched, astrum__run *run) {
  astrum__free(&sched->alloc, run->rank, run->count * sizeof *run->rank);
  astrum__free(&sched->alloc, run->line.entries,
               run->line.capacity * sizeof *run->line.entries);
}

/* --- what is ready */

void astrum__ready_update(astrum_sched *sched, astrum__run *run) {
  astrum__run *owner = astrum__ready_owner(run);
  int may = owner->line.used > 0 || owner->first != NO_INDEX ||
            owner->resume_first != NO_INDEX ||
            astrum__list_linked(&owner->offers);
  if (owner->concurrency && owner->occupied >= owner->concurrency)
    may = 0;
  if (may && !astrum__list_linked(&owner->ready))
    astrum__list_append(&sched->ready, &owner->ready);
  else if (!may && astrum__list_linked(&owner->ready))
    astrum__list_remove(&owner->ready);
}

void astrum__ready_push_slow(astrum_sched *sched, astrum__run *run,
                             uint32_t index) {
  if (run->tasks[index].flags & INSTANCE_POOLED) {
    astrum__pools_push(sched, run, index);
    return;
  }
  astrum__line_push(
      &astrum__ready_owner(run)->line,
      (astrum__candidate){
          .priority = astrum__policy_of(run, index)->priority,
          .rank = run->rank ? run->rank[astrum__task_of(run, index)] : 0,
          .run = run->id,
          .index = index,
          .order = sched->order++});
  astrum__ready_update(sched, run);
}

void astrum__ready_resume(astrum_sched *sched, astrum__run *run,
                          uint32_t index) {
  if (run->root->concurrency) {
    /* What has begun is ended before something else begins. No task has such
       a rank. */
    astrum__line_push(&run->root->line,
                      (astrum__candidate){.priority = INT32_MAX,
                                          .rank = UINT32_MAX,
                                          .run = run->id,
                                          .index = index,
                                          .order = sched->order++});
  } else {
    run->tasks[index].next = NO_INDEX;
    if (run->resume_first == NO_INDEX)
      run->resume_first = index;
    else
      run->tasks[run->resume_last].next = index;
    run->resume_last = index;
  }
  astrum__ready_update(sched, run);
}

/* Pops from the heap of a run or from what pools offer to it. */
static void pop_sorted(astrum_sched *sched, astrum__run *owner,
                       astrum__run **run, uint32_t *index) {
  astrum__candidate best = {0};
  int pooled = astrum__pools_best(sched, owner, &best);
  if (owner->line.used > 0 &&
      (!pooled || astrum__goes_before(&owner->line.entries[0], &best))) {
    best = owner->line.entries[0];
    pooled = 0;
  }
  *run = astrum__sched_run(sched, best.run);
  *index = best.index;
  if (pooled)
    astrum__pools_pop(*run, *index);
  else
    astrum__line_pop(&owner->line);
}

uint32_t astrum__ready_pop_slow(astrum_sched *sched, astrum__run *owner,
                                astrum__run **run) {
  uint32_t index;
  *run = owner;
  if (owner->resume_first != NO_INDEX) {
    index = owner->resume_first;
    owner->resume_first = owner->tasks[index].next;
  } else if (owner->first != NO_INDEX) {
    index = owner->first;
    owner->first = owner->tasks[index].next;
  } else {
    pop_sorted(sched, owner, run, &index);
  }
  if (owner->sorted)
    astrum__ready_update(sched, owner);
  else if (owner->first == NO_INDEX && owner->resume_first == NO_INDEX)
    astrum__list_remove(&owner->ready);
  if (astrum__list_linked(&owner->ready))
    astrum__ready_turn(sched, owner);
  return index;
}

/* --- taking out */

void astrum__ready_unresume(astrum_sched *sched, astrum__run *run,
                            uint32_t index) {
  run->tasks[index].flags &= (uint16_t)~INSTANCE_RESUMING;
  if (run->root->concurrency) {
    astrum__line_sweep(sched, &run->root->line);
  } else {
    uint32_t before = NO_INDEX;
    for (uint32_t at = run->resume_first; at != index; at = run->tasks[at].next)
      before = at;
    if (run->resume_last == index)
      run->resume_last = before;
    if (before != NO_INDEX)
      run->tasks[before].next = run->tasks[index].next;
    else
      run->resume_first = run->tasks[index].next;
  }
  astrum__ready_update(sched, run);
}

static void drop_from(astrum__run *run, uint32_t *head, uint32_t *tail,
                      uint32_t first, uint32_t end, int cleaning) {
  uint32_t at = *head, last = NO_INDEX;
  *head = NO_INDEX;
  for (uint32_t next; at != NO_INDEX; at = next) {
    astrum__instance *instance = &run->tasks[at];
    next = instance->next;
    if (at >= first && at < end &&
        (cleaning || !(instance->flags & INSTANCE_CLEANS)))
      continue;
    instance->next = NO_INDEX;
    if (last == NO_INDEX)
      *head = at;
    else
      run->tasks[last].next = at;
    last = at;
  }
  *tail = last;
}

void astrum__ready_drop(astrum_sched *sched, astrum__run *run, uint32_t first,
                        uint32_t end, int cleaning) {
  if (run->first == NO_INDEX && run->resume_first == NO_INDEX)
    return;
  drop_from(run, &run->first, &run->last, first, end, cleaning);
  drop_from(run, &run->resume_first, &run->resume_last, first, end, cleaning);
  astrum__ready_update(sched, run);
}

void astrum__ready_sweep(astrum_sched *sched, astrum__run *run) {
  astrum__line_sweep(sched, &run->line);
  astrum__ready_update(sched, run);
}
