/*
 * Which task goes next.
 *
 * Without a limit each run has a plain queue, threaded through its instances,
 * and runs take turns. With a limit the order matters: the root run has one
 * heap for the whole tree, and the task with the longest path still before it
 * goes first, because the run cannot end before that path has.
 *
 * A run that stops takes its entries out at once, so every entry that is
 * popped is valid and the room needed is known when a run is opened.
 */
#include "scheduler.h"

/* --- heap of candidates */

static int goes_before(const astrum__candidate *a, const astrum__candidate *b) {
  return a->rank != b->rank ? a->rank > b->rank : a->order < b->order;
}

static void sift_up(astrum__candidates *heap, size_t i,
                    astrum__candidate entry) {
  while (i > 0 && goes_before(&entry, &heap->entries[(i - 1) / 2])) {
    heap->entries[i] = heap->entries[(i - 1) / 2];
    i = (i - 1) / 2;
  }
  heap->entries[i] = entry;
}

static void sift_down(astrum__candidates *heap, size_t i,
                      astrum__candidate entry) {
  for (;;) {
    size_t child = 2 * i + 1;
    if (child >= heap->used)
      break;
    if (child + 1 < heap->used &&
        goes_before(&heap->entries[child + 1], &heap->entries[child]))
      child++;
    if (!goes_before(&heap->entries[child], &entry))
      break;
    heap->entries[i] = heap->entries[child];
    i = child;
  }
  heap->entries[i] = entry;
}

static void heap_push(astrum__candidates *heap, astrum__candidate entry) {
  assert(heap->used < heap->capacity);
  sift_up(heap, heap->used++, entry);
}

/* Takes out the entry at `i`. */
static void heap_remove(astrum__candidates *heap, size_t i) {
  astrum__candidate moved = heap->entries[--heap->used];
  if (i == heap->used)
    return;
  if (i > 0 && goes_before(&moved, &heap->entries[(i - 1) / 2]))
    sift_up(heap, i, moved);
  else
    sift_down(heap, i, moved);
}

/*
 * The length of the longest path that begins with each task: a walk over the
 * tasks from those nobody waits for, each after all its consumers.
 */
static uint32_t *remaining_paths(astrum_sched *sched, const astrum__run *run) {
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

/* --- ready tasks */

static int has_free_slot(const astrum__run *root) {
  return root->concurrency == 0 || root->occupied < root->concurrency;
}

astrum_err astrum__ready_reserve(astrum_sched *sched, astrum__run *run) {
  astrum__run *root = run->root;
  if (root->concurrency == 0 || run->count == 0)
    return ASTRUM_OK;
  astrum__candidates *heap = &root->candidates;
  astrum_err err =
      astrum__grow(&sched->alloc, (void **)&heap->entries, &heap->capacity,
                   heap->reserved + run->count, sizeof *heap->entries);
  if (err)
    return err;
  run->rank = remaining_paths(sched, run);
  if (!run->rank)
    return ASTRUM_ENOMEM;
  heap->reserved += run->count;
  return ASTRUM_OK;
}

void astrum__ready_free(astrum_sched *sched, astrum__run *run) {
  if (run->rank && run->root != run)
    run->root->candidates.reserved -= run->count;
  astrum__free(&sched->alloc, run->rank, run->count * sizeof *run->rank);
  astrum__free(&sched->alloc, run->candidates.entries,
               run->candidates.capacity * sizeof *run->candidates.entries);
}

void astrum__ready_update(astrum_sched *sched, astrum__run *root) {
  if (root->concurrency == 0)
    return;
  int may = root->candidates.used > 0 && has_free_slot(root);
  if (may && !astrum__list_linked(&root->ready))
    astrum__list_append(&sched->ready, &root->ready);
  else if (!may && astrum__list_linked(&root->ready))
    astrum__list_remove(&root->ready);
}

void astrum__ready_clear(astrum__run *run) {
  run->first = NO_INDEX;
  astrum__list_remove(&run->ready);
}

void astrum__ready_drop_stopped(astrum_sched *sched, astrum__run *root) {
  astrum__candidates *heap = &root->candidates;
  size_t all = heap->used;
  heap->used = 0;
  for (size_t i = 0; i < all; i++) {
    astrum__candidate entry = heap->entries[i];
    if (!astrum__sched_run(sched, entry.run)->stopped)
      heap_push(heap, entry);
  }
  astrum__ready_update(sched, root);
}

/* What has begun is ended before something else begins. */
static uint32_t rank_of(const astrum__run *run, uint32_t task) {
  if (run->tasks[task].flags & INSTANCE_RESUMING)
    return UINT32_MAX;
  return run->rank[task];
}

void astrum__candidate_push(astrum_sched *sched, astrum__run *run,
                            uint32_t task) {
  run->queued++;
  heap_push(&run->root->candidates,
            (astrum__candidate){.rank = rank_of(run, task),
                                .run = run->id,
                                .task = task,
                                .order = sched->order++});
  astrum__ready_update(sched, run->root);
}

int astrum__ready_pop(astrum_sched *sched, astrum__run **run, uint32_t *task) {
  if (!astrum__list_linked(&sched->ready))
    return 0;
  astrum__run *head =
      astrum__container_of(sched->ready.next, astrum__run, ready);
  if (head->concurrency) {
    astrum__candidate entry = head->candidates.entries[0];
    heap_remove(&head->candidates, 0);
    *run = astrum__sched_run(sched, entry.run);
    *task = entry.task;
    (*run)->queued--;
    astrum__ready_update(sched, head);
  } else {
    *run = head;
    *task = head->first;
    head->first = head->tasks[head->first].next;
    if (head->first == NO_INDEX)
      astrum__list_remove(&head->ready);
  }
  /* Runs take turns. */
  if (astrum__list_linked(&head->ready) && head->ready.next != &sched->ready) {
    astrum__list_remove(&head->ready);
    astrum__list_append(&sched->ready, &head->ready);
  }
  return 1;
}

static void remove_candidate(astrum__run *run, uint32_t task) {
  astrum__candidates *heap = &run->root->candidates;
  size_t i = 0;
  while (heap->entries[i].run != run->id || heap->entries[i].task != task)
    i++;
  heap_remove(heap, i);
  run->queued--;
}

void astrum__ready_remove(astrum_sched *sched, astrum__run *run,
                          uint32_t task) {
  if (run->root->concurrency) {
    remove_candidate(run, task);
    astrum__ready_update(sched, run->root);
    return;
  }
  uint32_t before = NO_INDEX;
  for (uint32_t at = run->first; at != task; at = run->tasks[at].next)
    before = at;
  if (run->last == task)
    run->last = before;
  if (before != NO_INDEX)
    run->tasks[before].next = run->tasks[task].next;
  else
    run->first = run->tasks[task].next;
  if (run->first == NO_INDEX)
    astrum__list_remove(&run->ready);
}

/* --- delays */

static int due_before(const astrum__delay *a, const astrum__delay *b) {
  return a->due != b->due ? a->due < b->due : a->order < b->order;
}

astrum_err astrum__delay_reserve(astrum_sched *sched, size_t more) {
  return astrum__grow(&sched->alloc, (void **)&sched->delays,
                      &sched->delay_capacity, sched->delay_reserved + more,
                      sizeof *sched->delays);
}

static void insert_delay(astrum_sched *sched, astrum__delay entry) {
  assert(sched->delay_count < sched->delay_capacity);
  size_t i = sched->delay_count++;
  while (i > 0 && due_before(&entry, &sched->delays[(i - 1) / 2])) {
    sched->delays[i] = sched->delays[(i - 1) / 2];
    i = (i - 1) / 2;
  }
  sched->delays[i] = entry;
}

void astrum__delay_push(astrum_sched *sched, uint64_t due, astrum__run *run,
                        uint32_t task) {
  run->waiting++;
  insert_delay(sched, (astrum__delay){due, sched->order++, run->id, task});
}

void astrum__delay_drop_stopped(astrum_sched *sched) {
  size_t all = sched->delay_count;
  sched->delay_count = 0;
  for (size_t i = 0; i < all; i++) {
    astrum__delay entry = sched->delays[i];
    if (!astrum__sched_run(sched, entry.run)->stopped)
      insert_delay(sched, entry);
  }
}

int astrum__delay_pop(astrum_sched *sched, uint64_t now, astrum__run **run,
                      uint32_t *task) {
  if (sched->delay_count == 0 || sched->delays[0].due > now)
    return 0;
  *run = astrum__sched_run(sched, sched->delays[0].run);
  *task = sched->delays[0].task;
  (*run)->waiting--;
  astrum__delay moved = sched->delays[--sched->delay_count];
  size_t i = 0;
  for (;;) {
    size_t child = 2 * i + 1;
    if (child >= sched->delay_count)
      break;
    if (child + 1 < sched->delay_count &&
        due_before(&sched->delays[child + 1], &sched->delays[child]))
      child++;
    if (!due_before(&sched->delays[child], &moved))
      break;
    sched->delays[i] = sched->delays[child];
    i = child;
  }
  sched->delays[i] = moved;
  return 1;
}
