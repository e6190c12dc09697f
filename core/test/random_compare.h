/*
 * Comparing all that can be read of a world with its model, and with the
 * invariants of docs/model.md:
 *
 *   I1, I2, I14, I15, I21, I24  records and attempts, with the model's
 *   I4, I22                     compare_task
 *   I8, I9, I25, I26            check_verdict, and actions as they are taken
 *   I3, I19, I20, I23           check_limits
 *   I5, I6, I10, I11, I12       actions as they are taken
 *   I7, I13, I16                the errors of calls
 *   I17, I18                    every world ends, and is played twice
 *   I27                         compare
 */
#ifndef ASTRUM_RANDOM_COMPARE_H
#define ASTRUM_RANDOM_COMPARE_H

#include "random_world.h"

static inline void compare_attempts(world *w, const model_run *run, uint32_t t,
                                    uint32_t item) {
  const model_node *node = &run->tasks[t].node[item];
  astrum_attempt got[MODEL_ATTEMPTS];
  uint32_t count = 0;
  astrum_err err =
      item ? astrum_sched_item_attempts(w->sched, run->id, (astrum_task){t},
                                        item, got, MODEL_ATTEMPTS, &count)
           : astrum_sched_attempts(w->sched, run->id, (astrum_task){t}, got,
                                   MODEL_ATTEMPTS, &count);
  EXPECT(w, err, ASTRUM_OK);
  EXPECT(w, count, node->record.attempts);
  for (uint32_t i = 0; i < count && !w->failed; i++) {
    const astrum_attempt *log = &node->log[i];
    EXPECT(w, got[i].attempt, i + 1);
    EXPECT(w, got[i].running, log->running);
    EXPECT(w, got[i].start, log->start);
    EXPECT(w, got[i].end, log->end);
    EXPECT(w, got[i].will_retry, log->will_retry);
    if (!log->running)
      EXPECT(w, got[i].outcome, log->outcome);
  }
}

/* What can be asked about the latest attempt. */
static inline void compare_ticket(world *w, const model_run *run, uint32_t t,
                                  uint32_t item) {
  const model_node *node = &run->tasks[t].node[item];
  astrum_ticket ticket = ticket_of(run, t, item);
  uint64_t deadline = ASTRUM_NEVER, due = ASTRUM_NEVER;
  EXPECT(w, astrum_sched_alive(w->sched, ticket), node->live);
  EXPECT(w, astrum_sched_stopping(w->sched, ticket),
         node->live ? node->stop : ASTRUM_CAUSE_NONE);
  EXPECT(w, astrum_sched_will_retry(w->sched, ticket),
         model_will_retry(run, t, item));
  if (node->live && node->stop)
    return;
  if (node->live) {
    deadline = model_deadline(run, t, item);
    due = node->idle < deadline ? node->idle : deadline;
  }
  EXPECT(w, astrum_sched_deadline(w->sched, ticket), deadline);
  EXPECT(w, astrum_sched_due(w->sched, ticket), due);
}

/* A task, or from 1 an item of a map. */
static inline void compare_node(world *w, const model_run *run, uint32_t t,
                                uint32_t item) {
  const model_task *task = &run->tasks[t];
  const astrum_record *want = &task->node[item].record;
  astrum_record got = {0};
  int final = model_final(&task->node[item]);
  EXPECT(w, read_record(w, run, t, item, &got), ASTRUM_OK);
  EXPECT(w, got.state, want->state);
  EXPECT(w, got.cause, final ? want->cause : ASTRUM_CAUSE_NONE);
  EXPECT(w, got.blame, final ? want->blame : ASTRUM_NO_TASK);
  EXPECT(w, got.attempts, want->attempts);
  EXPECT(w, got.ready, want->ready);
  EXPECT(w, got.start, want->start);
  EXPECT(w, got.end, want->end);
  EXPECT(w, got.busy, want->busy);
  EXPECT(w, got.items, want->items);
  EXPECT(w, got.left, item == 0 ? model_items_left(task) : 0);
  EXPECT(w, got.handled, want->handled);
  if (w->failed)
    printf("  (run %" PRIu32 ", task %" PRIu32 ", item %" PRIu32 ")\n",
           run->id.id, t, item);
  compare_attempts(w, run, t, item);
  compare_ticket(w, run, t, item);
}

static inline void compare_task(world *w, const model_run *run, uint32_t t) {
  const model_task *task = &run->tasks[t];
  uint32_t count, items = model_items(task), active = 0;
  astrum_record record;
  for (uint32_t i = 0; i <= items && !w->failed; i++) {
    const model_node *node = &task->node[i];
    compare_node(w, run, t, i);
    if (node->record.attempts > task->policy.max_retries + 1)
      wrong(w, "task %u has %u attempts", t, node->record.attempts);
    active +=
        i > 0 && node->record.state != ASTRUM_PENDING && !model_final(node);
    if (model_final(&task->node[0]) && !model_final(node))
      wrong(w, "map %u is final before its items", t);
  }
  if (task->policy.max_concurrency && active > task->policy.max_concurrency)
    wrong(w, "%u items of map %u are under way", active, t);
  EXPECT(w,
         astrum_sched_item_record(w->sched, run->id, (astrum_task){t},
                                  items + 1, &record),
         ASTRUM_EINVAL);
  EXPECT(w,
         astrum_sched_item_attempts(w->sched, run->id, (astrum_task){t},
                                    items + 1, NULL, 0, &count),
         ASTRUM_EINVAL);
}

static inline void check_verdict(world *w, const model_run *run,
                                 const astrum_summary *sum) {
  EXPECT(w,
         sum->completed + sum->failed + sum->timed_out + sum->cancelled +
             sum->skipped,
         sum->tasks);
  if (!run->stopped)
    EXPECT(w, sum->state, run->effect ? ASTRUM_FAILED : ASTRUM_COMPLETED);
  for (uint32_t t = 0; t < run->count; t++) {
    const astrum_record *record = &run->tasks[t].node[0].record;
    if (model_cleans_up(&run->tasks[t]) && !run->for_good &&
        !run->tasks[t].policy.detached && record->state == ASTRUM_SKIPPED)
      EXPECT(w, record->cause, ASTRUM_CAUSE_CONDITION);
  }
}

/* Slots, units, starts and attempts of a tree. */
static inline void check_limits(world *w, const model_run *root) {
  uint32_t occupied = model_occupied(&w->m, root);
  if (root->concurrency && occupied > root->concurrency)
    wrong(w, "%u slots of %u are taken", occupied, root->concurrency);
  if (root->max_total_attempts &&
      root->total_attempts > root->max_total_attempts)
    wrong(w, "%u attempts of %u were made", root->total_attempts,
          root->max_total_attempts);
  for (uint32_t p = 0; p < root->pool_count; p++) {
    const astrum_pool *pool = &root->pools[p];
    uint32_t held = model_held(&w->m, root, p), within = 0;
    if (pool->slots && held > pool->slots)
      wrong(w, "%u units of pool %u are taken", held, p);
    for (uint32_t i = 0; i < root->start_count[p]; i++)
      within += model_later(root->starts[p][i].time, pool->per) > w->m.now;
    if (pool->rate && within > pool->rate)
      wrong(w, "%u attempts of pool %u started", within, p);
  }
}

static inline void compare_run(world *w, const model_run *run) {
  const astrum_summary *want = &run->summary;
  astrum_summary got = {0};
  EXPECT(w, astrum_sched_summary(w->sched, run->id, &got), ASTRUM_OK);
  EXPECT(w, got.state, want->state);
  EXPECT(w, got.cause, want->cause);
  EXPECT(w, got.blame, want->blame);
  EXPECT(w, got.tasks, want->tasks);
  EXPECT(w, got.completed, want->completed);
  EXPECT(w, got.failed, want->failed);
  EXPECT(w, got.timed_out, want->timed_out);
  EXPECT(w, got.cancelled, want->cancelled);
  EXPECT(w, got.skipped, want->skipped);
  EXPECT(w, got.running, want->running);
  EXPECT(w, got.begin, want->begin);
  EXPECT(w, got.end, want->end);
  if (w->failed)
    printf("  (run %" PRIu32 ")\n", run->id.id);
  if (want->end != ASTRUM_NEVER)
    check_verdict(w, run, &got);
  if (run->root == run)
    check_limits(w, run);
  for (uint32_t t = 0; t < run->count && !w->failed; t++)
    compare_task(w, run, t);
}

/* The tasks in which a single world differs from its model. */
static inline void print_differences(world *w) {
  for (int r = 0; r < MODEL_RUNS; r++) {
    const model_run *run = &w->m.runs[r];
    for (uint32_t t = 0; run->used && t < run->count; t++)
      for (uint32_t i = 0; i <= model_items(&run->tasks[t]); i++) {
        const astrum_record *want = &run->tasks[t].node[i].record;
        astrum_record got = {0};
        read_record(w, run, t, i, &got);
        if (got.state != want->state || got.attempts != want->attempts ||
            got.end != want->end)
          printf("  %u.%u of run %u: state %d, cause %d, %u attempts; model: "
                 "state %d, cause %d, %u attempts, trigger %d\n",
                 t, i, run->id.id, got.state, got.cause, got.attempts,
                 want->state, want->cause, want->attempts,
                 run->tasks[t].policy.trigger);
      }
  }
}

static inline void compare(world *w) {
  if (w->quiet)
    return;
  for (int r = 0; r < MODEL_RUNS && !w->failed; r++)
    if (w->m.runs[r].used)
      compare_run(w, &w->m.runs[r]);
  EXPECT(w, astrum_sched_wake(w->sched), model_wake(&w->m));
  EXPECT(w, w->fault.wrong_size, 0);
  if (w->failed && w->loud)
    print_differences(w);
}

#endif
