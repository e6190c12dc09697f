/*
 * A slow model of the scheduler that can be checked against docs/model.md by
 * reading: every rule is a walk over all tasks. The random test tells it of
 * the same events as the scheduler and compares.
 */
#ifndef ASTRUM_MODEL_H
#define ASTRUM_MODEL_H

#include "retry.h"

#include <astrum.h>
#include <string.h>

enum { MODEL_TASKS = 60, MODEL_ATTEMPTS = 4, MODEL_RUNS = 16 };

typedef struct {
  astrum_policy policy;
  uint8_t waits_for[MODEL_TASKS];
  uint32_t path; /* tasks on the longest path that begins here */
  astrum_record record;
  int waiting, resuming, stop, told;
  uint64_t order; /* when it became ready or asked to resume; when it began to
                     wait for its retry */
  uint64_t due;
  astrum_attempt log[MODEL_ATTEMPTS];
} model_task;

typedef struct model_run {
  int used;
  astrum_run id;
  astrum_graph *graph;
  struct model_run *root, *parent;
  uint32_t parent_task, depth, concurrency;
  uint64_t seed;
  int keep_going, begun, stopped, done_told, closed_told;
  astrum_summary summary;
  uint8_t verdict;
  uint32_t count;
  model_task tasks[MODEL_TASKS];
} model_run;

typedef struct {
  model_run runs[MODEL_RUNS];
  uint64_t order;
} model;

static inline int model_final(const model_task *task) {
  return task->record.state >= ASTRUM_COMPLETED;
}

static inline int model_running(const model_task *task) {
  return task->record.state == ASTRUM_RUNNING;
}

/* --- what holds now */

/* Slots of a tree that are taken. */
static inline uint32_t model_occupied(const model *m, const model_run *root) {
  uint32_t occupied = 0;
  for (int i = 0; i < MODEL_RUNS; i++) {
    const model_run *run = &m->runs[i];
    for (uint32_t t = 0; run->used && run->root == root && t < run->count; t++)
      occupied += model_running(&run->tasks[t]) && !run->tasks[t].waiting;
  }
  return occupied;
}

/* Whether an attempt has a child run that is not closed. */
static inline int model_has_child(const model *m, const model_run *parent,
                                  uint32_t task) {
  for (int i = 0; i < MODEL_RUNS; i++) {
    const model_run *run = &m->runs[i];
    if (run->used && run->parent == parent && run->parent_task == task &&
        !run->closed_told)
      return 1;
  }
  return 0;
}

static inline int model_cancels(const model_run *run) {
  int cancels = 0;
  for (uint32_t t = 0; t < run->count; t++)
    cancels += model_running(&run->tasks[t]) && run->tasks[t].stop &&
               !run->tasks[t].told;
  return cancels;
}

/* Whether DONE, or after it CLOSED, is to be told. */
static inline int model_news(const model_run *run) {
  if (run->summary.end == ASTRUM_NEVER)
    return 0;
  if (!run->done_told)
    return 1;
  for (uint32_t t = 0; t < run->count; t++)
    if (!model_final(&run->tasks[t]))
      return 0;
  return !run->closed_told;
}

/* Whether a task asks for a slot. */
static inline int model_asks(const model_task *task) {
  return task->record.state == ASTRUM_READY ||
         (model_running(task) && task->resuming);
}

static inline int model_startable(const model *m, const model_run *run,
                                  uint32_t task) {
  return model_asks(&run->tasks[task]) &&
         (run->root->concurrency == 0 ||
          model_occupied(m, run->root) < run->root->concurrency);
}

/* Whether `a` of `run` is to go before `b` of `other`, both asking. */
static inline int model_before(const model_run *run, const model_task *a,
                               const model_run *other, const model_task *b) {
  if (run->root != other->root)
    return 0;
  if (run->root->concurrency == 0)
    return run == other && a->order < b->order;
  uint32_t rank_a = a->resuming ? UINT32_MAX : a->path;
  uint32_t rank_b = b->resuming ? UINT32_MAX : b->path;
  return rank_a != rank_b ? rank_a > rank_b : a->order < b->order;
}

/* Whether one of all those that ask is to go before this one. */
static inline int model_jumps_queue(const model *m, const model_run *run,
                                    uint32_t task) {
  for (int i = 0; i < MODEL_RUNS; i++) {
    const model_run *other = &m->runs[i];
    for (uint32_t t = 0; other->used && t < other->count; t++)
      if (model_asks(&other->tasks[t]) &&
          model_before(other, &other->tasks[t], run, &run->tasks[task]))
        return 1;
  }
  return 0;
}

/* --- what follows from events */

static inline void model_settle(model_run *run, uint32_t task, uint8_t state,
                                uint8_t cause, uint32_t blame, uint64_t now) {
  astrum_summary *sum = &run->summary;
  model_task *of = &run->tasks[task];
  of->record.state = state;
  of->record.cause = cause;
  of->record.blame = blame;
  of->record.end = now;
  if (of->policy.detached)
    return;
  *(state == ASTRUM_COMPLETED   ? &sum->completed
    : state == ASTRUM_FAILED    ? &sum->failed
    : state == ASTRUM_CANCELLED ? &sum->cancelled
                                : &sum->skipped) += 1;
}

static inline void model_ready(model *m, model_run *run, uint32_t task,
                               uint64_t now) {
  astrum_record *record = &run->tasks[task].record;
  if (record->state == ASTRUM_PENDING)
    record->ready = now;
  record->state = ASTRUM_READY;
  run->tasks[task].order = m->order++;
}

/* Pending tasks become ready or skipped until nothing changes. */
static inline void model_propagate(model *m, model_run *run, uint64_t now) {
  for (int again = run->begun && !run->stopped; again;) {
    again = 0;
    for (uint32_t t = 0; t < run->count; t++) {
      int complete = 1, lost = 0;
      uint32_t blame = ASTRUM_NO_TASK;
      if (run->tasks[t].record.state != ASTRUM_PENDING)
        continue;
      for (uint32_t u = 0; u < run->count; u++) {
        const astrum_record *up = &run->tasks[u].record;
        if (!run->tasks[t].waits_for[u] || up->state == ASTRUM_COMPLETED)
          continue;
        complete = 0;
        if (!model_final(&run->tasks[u]))
          continue;
        lost = 1;
        blame = up->state == ASTRUM_SKIPPED ? up->blame : u;
      }
      if (lost)
        model_settle(run, t, ASTRUM_SKIPPED, ASTRUM_CAUSE_UPSTREAM, blame, now);
      else if (complete)
        model_ready(m, run, t, now);
      again |= lost;
    }
  }
}

static inline void model_stop(model *m, model_run *run, uint8_t verdict,
                              uint8_t cause, uint32_t blame, uint64_t now) {
  if (!run->stopped) {
    int has_verdict = run->summary.end != ASTRUM_NEVER;
    run->stopped = 1;
    if (!run->begun)
      run->summary.begin = now;
    run->begun = 1;
    if (!has_verdict) {
      run->verdict = verdict;
      run->summary.cause =
          cause == ASTRUM_CAUSE_FAILURE ? (uint8_t)ASTRUM_CAUSE_ERROR : cause;
      run->summary.blame = blame;
    }
    for (uint32_t t = 0; t < run->count; t++) {
      model_task *task = &run->tasks[t];
      if (model_running(task)) {
        task->stop = 1;
        task->resuming = 0;
        /* Told once the attempt has ended. */
        task->record.cause = cause;
        task->record.blame = blame;
      } else if (!model_final(task)) {
        model_settle(run, t,
                     task->record.attempts ? ASTRUM_CANCELLED : ASTRUM_SKIPPED,
                     cause, blame, now);
      }
    }
  }
  for (int i = 0; i < MODEL_RUNS; i++)
    if (m->runs[i].used && m->runs[i].parent == run)
      model_stop(m, &m->runs[i], ASTRUM_CANCELLED, ASTRUM_CAUSE_PARENT,
                 ASTRUM_NO_TASK, now);
}

static inline void model_fail(model *m, model_run *run, uint32_t task,
                              uint8_t cause, uint64_t now) {
  model_settle(run, task, ASTRUM_FAILED, cause, ASTRUM_NO_TASK, now);
  if (run->tasks[task].policy.detached || run->stopped)
    return;
  if (run->summary.blame == ASTRUM_NO_TASK) {
    run->summary.cause = ASTRUM_CAUSE_ERROR;
    run->summary.blame = task;
  }
  if (run->keep_going)
    model_propagate(m, run, now);
  else
    model_stop(m, run, ASTRUM_FAILED, ASTRUM_CAUSE_FAILURE, task, now);
}

/* Runs whose attached tasks are all final have their verdict. */
static inline void model_verdicts(model *m, uint64_t now) {
  for (int i = 0; i < MODEL_RUNS; i++) {
    model_run *run = &m->runs[i];
    int left = 0;
    for (uint32_t t = 0; run->used && t < run->count; t++)
      left += !run->tasks[t].policy.detached && !model_final(&run->tasks[t]);
    if (!run->used || !run->begun || left || run->summary.end != ASTRUM_NEVER)
      continue;
    run->summary.end = now;
    run->summary.state = run->stopped          ? run->verdict
                         : run->summary.failed ? (uint8_t)ASTRUM_FAILED
                                               : (uint8_t)ASTRUM_COMPLETED;
  }
}

static inline int model_will_retry(const model_task *task) {
  return !task->stop && task->record.attempts <= task->policy.max_retries;
}

static inline void model_finish(model *m, model_run *run, uint32_t t,
                                astrum_outcome outcome, uint64_t now) {
  model_task *task = &run->tasks[t];
  astrum_record *record = &task->record;
  if (task->stop)
    outcome = ASTRUM_STOPPED;
  else if (outcome == ASTRUM_STOPPED)
    outcome = ASTRUM_FAILURE_FINAL;
  int retries = outcome == ASTRUM_FAILURE && model_will_retry(task);
  astrum_attempt *log = &task->log[record->attempts - 1];
  log->outcome = (uint8_t)outcome;
  log->will_retry = (uint8_t)retries;
  log->running = 0;
  log->end = now;
  record->busy += now - log->start;
  run->summary.running--;
  task->waiting = task->resuming = task->stop = task->told = 0;
  if (retries) {
    uint64_t delay =
        astrum__retry_delay(&task->policy, record->attempts, run->seed, t);
    record->state = ASTRUM_RETRYING;
    task->due = now + delay;
    task->order = m->order++;
    if (delay == 0)
      model_ready(m, run, t, now);
  } else if (outcome == ASTRUM_SUCCEEDED) {
    model_settle(run, t, ASTRUM_COMPLETED, ASTRUM_CAUSE_NONE, ASTRUM_NO_TASK,
                 now);
    model_propagate(m, run, now);
  } else if (outcome == ASTRUM_STOPPED) {
    model_settle(run, t, ASTRUM_CANCELLED, record->cause, record->blame, now);
  } else {
    model_fail(m, run, t, ASTRUM_CAUSE_ERROR, now);
  }
  model_verdicts(m, now);
}

/* Retries that are due become ready, in the order of their times. */
static inline void model_advance(model *m, uint64_t now) {
  for (;;) {
    model_run *at = NULL;
    uint32_t task = 0;
    for (int i = 0; i < MODEL_RUNS; i++) {
      model_run *run = &m->runs[i];
      for (uint32_t t = 0; run->used && t < run->count; t++) {
        const model_task *a = &run->tasks[t];
        const model_task *b = at ? &at->tasks[task] : NULL;
        if (a->record.state != ASTRUM_RETRYING || a->due > now)
          continue;
        if (!b || a->due < b->due ||
            (a->due == b->due && a->order < b->order)) {
          at = run;
          task = t;
        }
      }
    }
    if (!at)
      return;
    model_ready(m, at, task, now);
  }
}

static inline void model_start(model_run *run, uint32_t t, uint64_t now) {
  model_task *task = &run->tasks[t];
  uint32_t number = ++task->record.attempts;
  task->record.state = ASTRUM_RUNNING;
  if (number == 1)
    task->record.start = now;
  task->log[number - 1] = (astrum_attempt){
      .attempt = number, .running = 1, .start = now, .end = ASTRUM_NEVER};
  run->summary.running++;
}

#endif
