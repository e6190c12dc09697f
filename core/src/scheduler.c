/*
 * The state machine: events come in through begin, cancel, finished and
 * waiting; actions go out through next. Each event is carried through to its
 * end at once, so between two calls every state is final or explained:
 *
 *   begin, completed --> release --> ready.c --> START
 *   failed           --> retry   --> ready.c or delays
 *                    `-> settle  --> skip downstream, or stop the run
 *   cancel, failed   --> stop    --> CANCEL for what runs, skip the rest
 *   last task final  --> news    --> DONE, CLOSED
 *
 * Walks over runs and tasks are loops, never recursion.
 */
#include "scheduler.h"

#include "retry.h"

/* What stays of the flags when an attempt ends. */
#define TASK_FLAGS (INSTANCE_RETRIES | INSTANCE_DETACHED)

astrum__instance *astrum__sched_running(const astrum_sched *sched,
                                        astrum_ticket ticket,
                                        astrum__run **run) {
  astrum__run *found = astrum__sched_run(sched, ticket.run);
  if (!found || ticket.task >= found->count)
    return NULL;
  astrum__instance *instance = &found->tasks[ticket.task];
  if (instance->state != ASTRUM_RUNNING || instance->attempt != ticket.attempt)
    return NULL;
  *run = found;
  return instance;
}

/* --- ends */

static int attached(const astrum__run *run, uint32_t task) {
  return !(run->tasks[task].flags & INSTANCE_DETACHED);
}

/* A task leaves the states in which it can go on by itself. */
static void deactivate(astrum__run *run, uint32_t task) {
  if (attached(run, task))
    run->active--;
}

/* Puts a task into its final state. The caller sees to what follows. */
static void settle(astrum__run *run, uint32_t task, astrum_state state,
                   astrum_cause cause, uint32_t blame, uint64_t now) {
  astrum__instance *instance = &run->tasks[task];
  instance->state = (uint8_t)state;
  instance->cause = (uint8_t)cause;
  instance->blame = blame;
  instance->mark = now;
  if (!attached(run, task)) {
    run->detached_left--;
    return;
  }
  run->left--;
  if (state == ASTRUM_COMPLETED)
    run->completed++;
  else if (state == ASTRUM_FAILED)
    run->failed++;
  else if (state == ASTRUM_CANCELLED)
    run->cancelled++;
  else
    run->skipped++;
}

static void stop(astrum_sched *sched, astrum__run *run, astrum_state verdict,
                 astrum_cause cause, uint32_t blame, uint64_t now);

/* Looks whether an event has ended the run. */
static void check_end(astrum_sched *sched, astrum__run *run, uint64_t now) {
  if (!run->begun || (run->left > 0 && run->active > 0))
    return;
  /* A frozen graph has no cycle, so this is a bug of the scheduler: say so
     rather than hang. */
  if (run->left > 0 && !run->stopped)
    stop(sched, run, ASTRUM_FAILED, ASTRUM_CAUSE_STUCK, ASTRUM_NO_TASK, now);
  if (run->left > 0)
    return;
  if (run->end == ASTRUM_NEVER) {
    run->end = now;
    run->state = run->verdict;
    if (!run->stopped)
      run->state = run->failed ? ASTRUM_FAILED : ASTRUM_COMPLETED;
  }
  int news = !run->done_told || (!run->closed_told && run->detached_left == 0);
  if (news && !astrum__list_linked(&run->news))
    astrum__list_append(&sched->news, &run->news);
}

/* --- ready, skipped, stopped */

static void make_ready(astrum_sched *sched, astrum__run *run, uint32_t task,
                       uint64_t now) {
  astrum__instance *instance = &run->tasks[task];
  if (instance->state == ASTRUM_PENDING) {
    instance->ready = now;
    if (attached(run, task))
      run->active++;
  }
  instance->state = ASTRUM_READY;
  astrum__ready_push(sched, run, task);
}

static void release_downstream(astrum_sched *sched, astrum__run *run,
                               uint32_t task, uint64_t now) {
  const astrum__neighbours *side = &run->graph->downstream;
  for (uint32_t i = side->first[task]; i < side->first[task + 1]; i++) {
    uint32_t id = side->targets[i].id;
    astrum__instance *instance = &run->tasks[id];
    if (--instance->pending == 0 && instance->state == ASTRUM_PENDING)
      make_ready(sched, run, id, now);
  }
}

/*
 * Skips everything downstream of a task that did not complete. The queue of
 * tasks still to look at is threaded through the skipped instances, which are
 * in no other queue.
 */
static void skip_downstream(astrum__run *run, uint32_t task, uint64_t now) {
  run->tasks[task].next = NO_INDEX;
  uint32_t last = task;
  for (uint32_t at = task; at != NO_INDEX; at = run->tasks[at].next) {
    const astrum__neighbours *side = &run->graph->downstream;
    for (uint32_t i = side->first[at]; i < side->first[at + 1]; i++) {
      uint32_t id = side->targets[i].id;
      if (run->tasks[id].state != ASTRUM_PENDING)
        continue;
      settle(run, id, ASTRUM_SKIPPED, ASTRUM_CAUSE_UPSTREAM, task, now);
      run->tasks[id].next = NO_INDEX;
      run->tasks[last].next = id;
      last = id;
    }
  }
}

/* Ends what has not begun and marks what runs to be cancelled. What is queued
   together with tasks of other runs is for the caller to take out. */
static void stop_one(astrum_sched *sched, astrum__run *run,
                     astrum_state verdict, astrum_cause cause, uint32_t blame,
                     uint64_t now) {
  if (run->stopped)
    return;
  run->stopped = 1;
  if (!run->begun) {
    run->begun = 1;
    run->begin = now;
  }
  if (run->end == ASTRUM_NEVER) {
    run->verdict = (uint8_t)verdict;
    run->cause = (uint8_t)cause;
    run->blame = blame;
  }
  if (run->root->concurrency == 0)
    astrum__ready_clear(run);
  for (uint32_t i = 0; i < run->count; i++) {
    astrum__instance *instance = &run->tasks[i];
    if (astrum__final(instance))
      continue;
    if (instance->state == ASTRUM_RUNNING) {
      instance->flags |= INSTANCE_STOP;
      instance->flags &= (uint8_t)~INSTANCE_RESUMING;
      instance->cause = (uint8_t)cause;
      instance->blame = blame;
      run->cancels++;
      continue;
    }
    if (instance->state != ASTRUM_PENDING)
      deactivate(run, i);
    settle(run, i, instance->attempt ? ASTRUM_CANCELLED : ASTRUM_SKIPPED, cause,
           blame, now);
  }
  run->scan = 0;
  if (run->cancels)
    astrum__list_append(&sched->stopping, &run->stopping);
  check_end(sched, run, now);
}

/* The run after `run` in a walk over the tree below `top`, or NULL. */
static astrum__run *next_below(astrum__run *run, const astrum__run *top) {
  if (astrum__list_linked(&run->children))
    return astrum__container_of(run->children.next, astrum__run, siblings);
  while (run != top) {
    if (run->siblings.next != &run->parent->children)
      return astrum__container_of(run->siblings.next, astrum__run, siblings);
    run = run->parent;
  }
  return NULL;
}

static void stop(astrum_sched *sched, astrum__run *top, astrum_state verdict,
                 astrum_cause cause, uint32_t blame, uint64_t now) {
  uint32_t queued = 0, waiting = 0;
  stop_one(sched, top, verdict, cause, blame, now);
  for (astrum__run *run = top; run; run = next_below(run, top)) {
    if (run != top)
      stop_one(sched, run, ASTRUM_CANCELLED, ASTRUM_CAUSE_PARENT,
               ASTRUM_NO_TASK, now);
    queued |= run->queued;
    waiting |= run->waiting;
    run->queued = run->waiting = 0;
  }
  if (queued)
    astrum__ready_drop_stopped(sched, top->root);
  if (waiting)
    astrum__delay_drop_stopped(sched);
}

/* --- events */

astrum_err astrum_sched_begin(astrum_sched *sched, astrum_run id,
                              uint64_t now) {
  astrum__run *run = astrum__sched_run(sched, id.id);
  if (!run)
    return ASTRUM_ESTALE;
  if (run->begun)
    return ASTRUM_EINVAL;
  run->begun = 1;
  run->begin = now;
  run->state = ASTRUM_RUNNING;
  for (uint32_t i = 0; i < run->count; i++)
    if (run->tasks[i].pending == 0)
      make_ready(sched, run, i, now);
  check_end(sched, run, now);
  return ASTRUM_OK;
}

astrum_err astrum_sched_cancel(astrum_sched *sched, astrum_run id,
                               astrum_cause cause, uint64_t now) {
  astrum__run *run = astrum__sched_run(sched, id.id);
  if (!run)
    return ASTRUM_ESTALE;
  if (cause == ASTRUM_CAUSE_NONE || cause > ASTRUM_CAUSE_MEMORY)
    return ASTRUM_EINVAL;
  astrum_state verdict =
      cause == ASTRUM_CAUSE_STUCK ? ASTRUM_FAILED : ASTRUM_CANCELLED;
  stop(sched, run, verdict, cause, ASTRUM_NO_TASK, now);
  return ASTRUM_OK;
}

static int may_retry(const astrum__run *run, uint32_t task) {
  const astrum__instance *instance = &run->tasks[task];
  return instance->flags & INSTANCE_RETRIES &&
         !(instance->flags & INSTANCE_STOP) &&
         instance->attempt <=
             astrum__graph_policy(run->graph, task)->max_retries;
}

/* Keeps the record of an attempt; the room was reserved when it began. */
static void record_attempt(astrum__run *run, uint32_t task,
                           astrum_outcome outcome, int will_retry,
                           uint64_t now) {
  astrum__instance *instance = &run->tasks[task];
  if (!(instance->flags & INSTANCE_RETRIES))
    return;
  assert(run->attempt_count < run->attempt_capacity);
  run->attempt_reserved--;
  run->attempts[run->attempt_count] = (astrum__attempt){
      .previous = instance->previous,
      .outcome = (uint8_t)outcome,
      .will_retry = (uint8_t)will_retry,
      .start = instance->mark,
      .end = now,
  };
  instance->previous = (uint32_t)run->attempt_count++;
}

static void retry(astrum_sched *sched, astrum__run *run, uint32_t task,
                  uint64_t now) {
  astrum__instance *instance = &run->tasks[task];
  uint64_t delay = astrum__retry_delay(astrum__graph_policy(run->graph, task),
                                       instance->attempt, run->seed, task);
  if (delay == 0) {
    make_ready(sched, run, task, now);
    return;
  }
  instance->state = ASTRUM_RETRYING;
  uint64_t due = now < ASTRUM_NEVER - delay ? now + delay : ASTRUM_NEVER - 1;
  astrum__delay_push(sched, due, run, task);
}

/* A task has failed for good: the mode of the run says what follows. */
static void fail(astrum_sched *sched, astrum__run *run, uint32_t task,
                 astrum_cause cause, uint64_t now) {
  settle(run, task, ASTRUM_FAILED, cause, ASTRUM_NO_TASK, now);
  if (!attached(run, task) || run->stopped)
    return;
  if (run->blame == ASTRUM_NO_TASK) {
    run->cause = ASTRUM_CAUSE_ERROR;
    run->blame = task;
  }
  if (run->failure_mode == ASTRUM_KEEP_GOING) {
    skip_downstream(run, task, now);
    return;
  }
  stop(sched, run, ASTRUM_FAILED, ASTRUM_CAUSE_FAILURE, task, now);
  run->cause = ASTRUM_CAUSE_ERROR;
}

astrum_err astrum_sched_finished(astrum_sched *sched, astrum_ticket ticket,
                                 astrum_outcome outcome, uint64_t now) {
  astrum__run *run = NULL;
  astrum__instance *instance = astrum__sched_running(sched, ticket, &run);
  if (!instance)
    return ASTRUM_ESTALE;
  if (instance->pending > 0)
    return ASTRUM_EBUSY;
  uint32_t task = ticket.task;
  int stopped = (instance->flags & INSTANCE_STOP) != 0;
  if (stopped)
    outcome = ASTRUM_STOPPED;
  else if (outcome == ASTRUM_STOPPED)
    outcome = ASTRUM_FAILURE_FINAL;
  int will_retry = outcome == ASTRUM_FAILURE && may_retry(run, task);
  record_attempt(run, task, outcome, will_retry, now);
  if (instance->flags & INSTANCE_RESUMING)
    astrum__ready_remove(sched, run, task);
  run->running--;
  if (!(instance->flags & INSTANCE_WAITING))
    run->root->occupied--;
  if (stopped && !(instance->flags & INSTANCE_TOLD) && --run->cancels == 0)
    astrum__list_remove(&run->stopping);
  instance->flags &= TASK_FLAGS;
  instance->outcome = (uint8_t)outcome;
  if (will_retry) {
    retry(sched, run, task, now);
  } else {
    deactivate(run, task);
    if (outcome == ASTRUM_SUCCEEDED) {
      settle(run, task, ASTRUM_COMPLETED, ASTRUM_CAUSE_NONE, ASTRUM_NO_TASK,
             now);
      release_downstream(sched, run, task, now);
    } else if (outcome == ASTRUM_STOPPED) {
      settle(run, task, ASTRUM_CANCELLED, (astrum_cause)instance->cause,
             instance->blame, now);
    } else {
      fail(sched, run, task, ASTRUM_CAUSE_ERROR, now);
    }
  }
  if (run->root->concurrency)
    astrum__ready_update(sched, run->root);
  check_end(sched, run, now);
  return ASTRUM_OK;
}

astrum_err astrum_sched_waiting(astrum_sched *sched, astrum_ticket ticket,
                                int waiting, uint64_t now) {
  (void)now;
  astrum__run *run = NULL;
  astrum__instance *instance = astrum__sched_running(sched, ticket, &run);
  if (!instance)
    return ASTRUM_ESTALE;
  int waits = (instance->flags & INSTANCE_WAITING) != 0;
  if (waits == (waiting != 0) || instance->flags & INSTANCE_RESUMING)
    return ASTRUM_EINVAL;
  if (waiting) {
    instance->flags |= INSTANCE_WAITING;
    run->root->occupied--;
    astrum__ready_update(sched, run->root);
  } else if (!(instance->flags & INSTANCE_STOP)) {
    instance->flags |= INSTANCE_RESUMING;
    astrum__ready_push(sched, run, ticket.task);
  }
  return ASTRUM_OK;
}

/* --- actions */

static astrum_action action_for(const astrum__run *run, astrum_action_kind kind,
                                uint32_t task) {
  astrum_action action = {.kind = (uint8_t)kind, .user = run->user};
  action.ticket.run = run->id;
  action.ticket.task = task;
  if (task == ASTRUM_NO_TASK) {
    action.cause = run->cause;
    action.state = run->state;
  } else {
    action.cause = run->tasks[task].cause;
    action.ticket.attempt = run->tasks[task].attempt;
  }
  return action;
}

static void end_delays(astrum_sched *sched, uint64_t now) {
  astrum__run *run;
  uint32_t task;
  while (astrum__delay_pop(sched, now, &run, &task))
    make_ready(sched, run, task, now);
}

static astrum_action next_cancel(astrum_sched *sched) {
  astrum__run *run =
      astrum__container_of(sched->stopping.next, astrum__run, stopping);
  const uint8_t both = INSTANCE_STOP | INSTANCE_TOLD;
  while ((run->tasks[run->scan].flags & both) != INSTANCE_STOP)
    run->scan++;
  run->tasks[run->scan].flags |= INSTANCE_TOLD;
  if (--run->cancels == 0)
    astrum__list_remove(&run->stopping);
  return action_for(run, ASTRUM_CANCEL, run->scan);
}

static astrum_action next_news(astrum_sched *sched) {
  astrum__run *run = astrum__container_of(sched->news.next, astrum__run, news);
  int closes = run->detached_left == 0;
  astrum_action_kind kind = run->done_told ? ASTRUM_CLOSED : ASTRUM_DONE;
  if (kind == ASTRUM_DONE)
    run->done_told = 1;
  else
    run->closed_told = 1;
  if (!closes || kind == ASTRUM_CLOSED)
    astrum__list_remove(&run->news);
  if (kind == ASTRUM_CLOSED && run->parent)
    run->parent->tasks[run->parent_task].pending--;
  return action_for(run, kind, ASTRUM_NO_TASK);
}

/* Makes room for the record of an attempt that is about to begin. */
static int reserve_attempt(astrum_sched *sched, astrum__run *run,
                           uint32_t task) {
  if (!(run->tasks[task].flags & INSTANCE_RETRIES))
    return 1;
  size_t need = run->attempt_count + run->attempt_reserved + 1;
  if (need > NO_INDEX ||
      astrum__grow(&sched->alloc, (void **)&run->attempts,
                   &run->attempt_capacity, need, sizeof *run->attempts))
    return 0;
  run->attempt_reserved++;
  return 1;
}

/* Returns 0 when the task has ended for want of memory instead. */
static int start(astrum_sched *sched, astrum__run *run, uint32_t task,
                 uint64_t now) {
  astrum__instance *instance = &run->tasks[task];
  if (!reserve_attempt(sched, run, task)) {
    deactivate(run, task);
    fail(sched, run, task, ASTRUM_CAUSE_MEMORY, now);
    check_end(sched, run, now);
    return 0;
  }
  instance->state = ASTRUM_RUNNING;
  instance->mark = now;
  instance->pending = 0;
  if (instance->attempt++ == 0)
    instance->start = now;
  run->running++;
  run->root->occupied++;
  if (run->root->concurrency)
    astrum__ready_update(sched, run->root);
  return 1;
}

/* START or RESUME of the task that goes next; 0 when none can. */
static int next_ready(astrum_sched *sched, uint64_t now,
                      astrum_action *action) {
  astrum__run *run;
  uint32_t task;
  while (astrum__ready_pop(sched, &run, &task)) {
    astrum__instance *instance = &run->tasks[task];
    if (instance->state == ASTRUM_RUNNING) {
      instance->flags &= (uint8_t) ~(INSTANCE_WAITING | INSTANCE_RESUMING);
      run->root->occupied++;
      astrum__ready_update(sched, run->root);
      *action = action_for(run, ASTRUM_RESUME, task);
      return 1;
    }
    if (start(sched, run, task, now)) {
      *action = action_for(run, ASTRUM_START, task);
      return 1;
    }
    /* The failure may have cancelled others, which comes first. */
    return 0;
  }
  return 0;
}

static int has_actions(const astrum_sched *sched) {
  return astrum__list_linked(&sched->stopping) ||
         astrum__list_linked(&sched->news) ||
         astrum__list_linked(&sched->ready);
}

size_t astrum_sched_next(astrum_sched *sched, uint64_t now,
                         astrum_action *actions, size_t room) {
  size_t count = 0;
  if (sched->delay_count > 0)
    end_delays(sched, now);
  while (count < room && has_actions(sched)) {
    if (astrum__list_linked(&sched->stopping))
      actions[count++] = next_cancel(sched);
    else if (astrum__list_linked(&sched->news))
      actions[count++] = next_news(sched);
    else
      count += (size_t)next_ready(sched, now, &actions[count]);
  }
  return count;
}

uint64_t astrum_sched_wake(const astrum_sched *sched) {
  if (has_actions(sched))
    return 0;
  return sched->delay_count > 0 ? sched->delays[0].due : ASTRUM_NEVER;
}

int astrum_sched_will_retry(const astrum_sched *sched, astrum_ticket ticket) {
  astrum__run *run = NULL;
  return astrum__sched_running(sched, ticket, &run) &&
         may_retry(run, ticket.task);
}

int astrum_sched_alive(const astrum_sched *sched, astrum_ticket ticket) {
  astrum__run *run = NULL;
  return astrum__sched_running(sched, ticket, &run) != NULL;
}

int astrum_sched_stopping(const astrum_sched *sched, astrum_ticket ticket) {
  astrum__run *run = NULL;
  const astrum__instance *instance = astrum__sched_running(sched, ticket, &run);
  return instance && instance->flags & INSTANCE_STOP;
}
