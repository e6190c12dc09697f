/*
 * The state machine: events come in through begin, cancel, finished, expanded,
 * progress, waiting and the passing of time; actions go out through next. Each
 * event is carried through to its end at once, so between two calls every state
 * is final or explained:
 *
 *   begin, completed --> triggers.c --> make_ready --> ready.c --> START
 *   failed           --> retry      --> make_ready, or a timer
 *                    `-> fail       --> triggers.c, stop.c
 *   expanded         --> maps.c     --> make_ready
 *   cancel, deadline --> stop.c     --> CANCEL for what runs, skip the rest
 *   last task final  --> news       --> DONE, CLOSED
 *
 * Walks over runs and tasks are loops, never recursion.
 */
#include "scheduler.h"

#include "retry.h"

/* --- time */

static void fire(astrum_sched *sched, uint32_t number, uint64_t now) {
  astrum__timer timer = sched->timers[number];
  astrum__run *run = astrum__sched_run(sched, timer.run);
  astrum__timer_stop(sched, number);
  switch ((astrum__timer_kind)timer.kind) {
  case TIMER_RETRY:
    astrum__instance_timers_free(sched, &run->tasks[timer.index]);
    astrum__make_ready(sched, run, timer.index, now);
    break;
  case TIMER_TIMEOUT:
    astrum__stop_late(sched, run, timer.index, ASTRUM_CAUSE_TIMEOUT, now);
    break;
  case TIMER_IDLE:
    astrum__stop_late(sched, run, timer.index, ASTRUM_CAUSE_IDLE, now);
    break;
  case TIMER_DEADLINE:
    astrum__stop(sched, run, ASTRUM_FAILED, ASTRUM_CAUSE_DEADLINE,
                 ASTRUM_NO_TASK, 0, now);
    break;
  case TIMER_RATE:
    astrum__pools_rate(sched, run, timer.index);
    break;
  }
  astrum__follow(sched, now);
}

static void fire_due(astrum_sched *sched, uint64_t now) {
  for (;;) {
    uint32_t timer = astrum__timer_due(sched, now);
    if (timer == NO_INDEX)
      return;
    fire(sched, timer, now);
  }
}

/* Lets happen what is due. */
static inline void advance(astrum_sched *sched, uint64_t now) {
  sched->now = now;
  if (sched->timers_set > 0)
    fire_due(sched, now);
}

/* --- events */

astrum_err astrum_sched_begin(astrum_sched *sched, astrum_run id,
                              uint64_t now) {
  advance(sched, now);
  astrum__run *run = astrum__sched_run(sched, id.id);
  if (!run)
    return ASTRUM_ESTALE;
  if (run->begun)
    return ASTRUM_EINVAL;
  run->begun = 1;
  run->begin = now;
  run->state = ASTRUM_RUNNING;
  if (run->deadline)
    astrum__timer_set(sched, run->deadline_timer, TIMER_DEADLINE,
                      astrum__add_clamped(now, run->deadline), run->id, 0);
  astrum__begin_tasks(sched, run, now);
  astrum__follow(sched, now);
  return ASTRUM_OK;
}

astrum_err astrum_sched_cancel(astrum_sched *sched, astrum_run id,
                               astrum_cause cause, uint64_t now) {
  advance(sched, now);
  astrum__run *run = astrum__sched_run(sched, id.id);
  if (!run)
    return ASTRUM_ESTALE;
  if (cause == ASTRUM_CAUSE_NONE || cause > ASTRUM_CAUSE_ATTEMPTS)
    return ASTRUM_EINVAL;
  int stuck = cause == ASTRUM_CAUSE_STUCK;
  astrum__stop(sched, run, stuck ? ASTRUM_FAILED : ASTRUM_CANCELLED, cause,
               ASTRUM_NO_TASK, stuck, now);
  astrum__follow(sched, now);
  return ASTRUM_OK;
}

/* Whether a task may begin one more attempt of its tree. The expansion of a map
   always may. */
static int attempts_left(const astrum__run *run,
                         const astrum__instance *instance) {
  return run->root->max_attempts == 0 || instance->flags & INSTANCE_MAP ||
         run->root->attempts_begun < run->root->max_attempts;
}

static int may_retry(const astrum__run *run, uint32_t index) {
  const astrum__instance *instance = &run->tasks[index];
  const uint16_t stop = INSTANCE_STOP | INSTANCE_LATE;
  if (!(instance->flags & INSTANCE_RETRIES) ||
      (instance->flags & stop) == INSTANCE_STOP ||
      astrum__stops(run, instance) || !attempts_left(run, instance))
    return 0;
  if (astrum__is_item(run, index) && astrum__map_of(run, index)->broken)
    return 0;
  return instance->attempt <= astrum__policy_of(run, index)->max_retries;
}

/* Keeps the record of an attempt; the room was reserved when it began. */
static void record_attempt(astrum__run *run, uint32_t index,
                           astrum_outcome outcome, int will_retry,
                           uint64_t now) {
  astrum__instance *instance = &run->tasks[index];
  assert(run->attempt_count < run->attempt_capacity);
  run->attempts[run->attempt_count] = (astrum__attempt){
      .previous = instance->previous,
      .outcome = (uint8_t)outcome,
      .will_retry = (uint8_t)will_retry,
      .start = instance->mark,
      .end = now,
  };
  instance->previous = (uint32_t)run->attempt_count++;
}

/* An attempt failed and another is to follow. */
static void retry(astrum_sched *sched, astrum__run *run, uint32_t index,
                  uint64_t now) {
  astrum__instance *instance = &run->tasks[index];
  uint32_t task = astrum__task_of(run, index), item = 0;
  if (astrum__is_item(run, index))
    item = index - astrum__map_of(run, index)->first + 1;
  uint64_t delay =
      astrum__retry_delay(astrum__graph_policy(run->graph, task),
                          instance->attempt, run->seed, task, item);
  instance->cause = ASTRUM_CAUSE_NONE;
  if (delay == 0) {
    astrum__instance_timers_free(sched, instance);
    instance->flags &= (uint16_t)~INSTANCE_OF_ATTEMPT;
    astrum__make_ready(sched, run, index, now);
    return;
  }
  /* The timer of the attempt waits for the next one. */
  uint32_t timer = instance->blame;
  astrum__timer_free(sched, sched->timers[timer].pair);
  sched->timers[timer].pair = NO_INDEX;
  instance->flags &= (uint16_t)~INSTANCE_OF_ATTEMPT;
  instance->state = ASTRUM_RETRYING;
  uint64_t due = now < ASTRUM_NEVER - delay ? now + delay : ASTRUM_NEVER - 1;
  astrum__timer_set(sched, timer, TIMER_RETRY, due, run->id, index);
}

/* The final state after an attempt that is not retried. */
static void end_task(astrum_sched *sched, astrum__run *run, uint32_t index,
                     astrum_outcome outcome, uint64_t now) {
  astrum__instance *instance = &run->tasks[index];
  astrum_cause cause = (astrum_cause)instance->cause;
  uint32_t blame = instance->blame;
  astrum__instance_timers_free(sched, instance);
  instance->blame = ASTRUM_NO_TASK;
  instance->flags &= (uint16_t)~INSTANCE_OF_ATTEMPT;
  if (outcome == ASTRUM_SUCCEEDED)
    astrum__settle(sched, run, index, ASTRUM_COMPLETED, ASTRUM_CAUSE_NONE,
                   ASTRUM_NO_TASK, now);
  else if (outcome == ASTRUM_STOPPED)
    astrum__settle(sched, run, index, ASTRUM_CANCELLED, cause, blame, now);
  else if (outcome == ASTRUM_DECLINED)
    astrum__settle(sched, run, index, ASTRUM_SKIPPED, ASTRUM_CAUSE_CONDITION,
                   ASTRUM_NO_TASK, now);
  else if (outcome == ASTRUM_TIMEOUT)
    astrum__fail(sched, run, index, ASTRUM_TIMED_OUT, cause, now);
  else
    astrum__fail(sched, run, index, ASTRUM_FAILED, ASTRUM_CAUSE_ERROR, now);
}

/* What the answer of an attempt counts as. */
static astrum_outcome judge(const astrum__instance *instance,
                            astrum_outcome answer) {
  if (instance->flags & INSTANCE_LATE)
    return ASTRUM_TIMEOUT;
  if (instance->flags & INSTANCE_STOP)
    return ASTRUM_STOPPED;
  if (answer == ASTRUM_SUCCEEDED || answer == ASTRUM_FAILURE ||
      answer == ASTRUM_DECLINED)
    return answer;
  return ASTRUM_FAILURE_FINAL;
}

/* An attempt that counted for nothing is taken back. */
static void take_back(astrum__run *run, astrum__instance *instance) {
  if (--instance->attempt == 0)
    instance->start = ASTRUM_NEVER;
  if (run->root->max_attempts && !(instance->flags & INSTANCE_MAP))
    run->root->attempts_begun--;
}

/* All that an answer may bring with it. */
static void answer_slow(astrum_sched *sched, astrum__run *run, uint32_t index,
                        astrum_outcome answer, uint64_t now) {
  astrum__instance *instance = &run->tasks[index];
  astrum_outcome outcome = judge(instance, answer);
  int may = outcome == ASTRUM_FAILURE ||
            (outcome == ASTRUM_TIMEOUT && answer != ASTRUM_FAILURE_FINAL);
  int will_retry = may && may_retry(run, index);
  if (instance->flags & INSTANCE_RETRIES) {
    run->attempt_reserved--;
    if (outcome != ASTRUM_DECLINED)
      record_attempt(run, index, outcome, will_retry, now);
  }
  if (instance->flags & INSTANCE_RESUMING)
    astrum__ready_unresume(sched, run, index);
  run->running--;
  if (!(instance->flags & INSTANCE_WAITING))
    run->root->occupied--;
  if (instance->flags & INSTANCE_STOP)
    astrum__stop_answered(sched, run, index);
  if (instance->flags & INSTANCE_POOLED)
    astrum__pools_give(sched, run, index, outcome == ASTRUM_DECLINED);
  if (outcome == ASTRUM_DECLINED)
    take_back(run, instance);
  instance->flags &= (uint16_t)~INSTANCE_GAVE_UP;
  if (outcome == ASTRUM_FAILURE_FINAL)
    instance->flags |= INSTANCE_GAVE_UP;
  if (will_retry)
    retry(sched, run, index, now);
  else
    end_task(sched, run, index, outcome, now);
  astrum__ready_update(sched, run);
  astrum__follow(sched, now);
}

/* The same for a task of a run without triggers that completes and has nothing
   special about it: the shortest way. */
static void complete_plain(astrum_sched *sched, astrum__run *run, uint32_t task,
                           uint64_t now) {
  astrum__instance *done = &run->tasks[task];
  const astrum__neighbours *side = &run->graph->downstream;
  const astrum_task *targets = side->targets;
  uint32_t next = side->first[task], end = side->first[task + 1];
  run->running--;
  run->root->occupied--;
  done->state = ASTRUM_COMPLETED;
  done->mark = now;
  if (astrum__attached(done)) {
    run->active--;
    run->left--;
    run->completed++;
  } else {
    run->detached_left--;
  }
  if (run->changes)
    astrum__changed(sched, run, task);
  for (; next < end; next++) {
    astrum__instance *instance = &run->tasks[targets[next].id];
    if (instance->state == ASTRUM_PENDING && --instance->pending == 0)
      astrum__make_ready(sched, run, targets[next].id, now);
  }
  if (run->root->concurrency)
    astrum__ready_update(sched, run);
  astrum__check_end(sched, run, now);
}

astrum_err astrum_sched_finished(astrum_sched *sched, astrum_ticket ticket,
                                 astrum_outcome outcome, uint64_t now) {
  astrum__run *run = NULL;
  uint32_t index;
  advance(sched, now);
  const astrum__instance *instance =
      astrum__sched_running(sched, ticket, &run, &index);
  if (!instance)
    return ASTRUM_ESTALE;
  if (instance->pending > 0)
    return ASTRUM_EBUSY;
  if (outcome == ASTRUM_SUCCEEDED && run->plain &&
      !(instance->flags & INSTANCE_SPECIAL) && !astrum__is_item(run, index))
    complete_plain(sched, run, index, now);
  else
    answer_slow(sched, run, index, outcome, now);
  return ASTRUM_OK;
}

astrum_err astrum_sched_expanded(astrum_sched *sched, astrum_ticket ticket,
                                 uint32_t items, uint64_t now) {
  astrum__run *run = NULL;
  uint32_t index;
  advance(sched, now);
  astrum__instance *instance =
      astrum__sched_running(sched, ticket, &run, &index);
  if (!instance)
    return ASTRUM_ESTALE;
  if (!(instance->flags & INSTANCE_MAP))
    return ASTRUM_EINVAL;
  if (instance->pending > 0)
    return ASTRUM_EBUSY;
  if (instance->flags & INSTANCE_STOP) {
    answer_slow(sched, run, index, ASTRUM_SUCCEEDED, now);
    return ASTRUM_OK;
  }
  uint32_t most = astrum__policy_of(run, index)->max_items;
  if (most && items > most)
    return ASTRUM_ELIMIT;
  astrum_err err = astrum__map_reserve(sched, run, index, items);
  if (err)
    return err;
  instance = &run->tasks[index];
  if (instance->flags & INSTANCE_RETRIES) {
    run->attempt_reserved--;
    record_attempt(run, index, ASTRUM_SUCCEEDED, 0, now);
  }
  if (instance->flags & INSTANCE_RESUMING)
    astrum__ready_unresume(sched, run, index);
  run->running--;
  if (!(instance->flags & INSTANCE_WAITING))
    run->root->occupied--;
  astrum__instance_timers_free(sched, instance);
  instance->flags &= (uint16_t)~INSTANCE_OF_ATTEMPT;
  astrum__map_expand(sched, run, index, items, now);
  astrum__ready_update(sched, run);
  astrum__follow(sched, now);
  return ASTRUM_OK;
}

astrum_err astrum_sched_progress(astrum_sched *sched, astrum_ticket ticket,
                                 uint64_t now) {
  astrum__run *run = NULL;
  uint32_t index;
  advance(sched, now);
  const astrum__instance *instance =
      astrum__sched_running(sched, ticket, &run, &index);
  if (!instance)
    return ASTRUM_ESTALE;
  uint32_t timer = astrum__timer_of(instance);
  if (timer == NO_INDEX || instance->flags & INSTANCE_STOP)
    return ASTRUM_OK;
  const astrum_policy *policy = astrum__policy_of(run, index);
  if (sched->timers[timer].pair != NO_INDEX)
    timer = sched->timers[timer].pair;
  if (policy->idle_timeout)
    astrum__timer_set(sched, timer, TIMER_IDLE,
                      astrum__add_clamped(now, policy->idle_timeout), run->id,
                      index);
  return ASTRUM_OK;
}

astrum_err astrum_sched_waiting(astrum_sched *sched, astrum_ticket ticket,
                                int waiting, uint64_t now) {
  astrum__run *run = NULL;
  uint32_t index;
  advance(sched, now);
  astrum__instance *instance =
      astrum__sched_running(sched, ticket, &run, &index);
  if (!instance)
    return ASTRUM_ESTALE;
  int waits = (instance->flags & INSTANCE_WAITING) != 0;
  if (waits == (waiting != 0) || instance->flags & INSTANCE_RESUMING)
    return ASTRUM_EINVAL;
  if (waiting) {
    instance->flags |= INSTANCE_WAITING;
    run->root->occupied--;
    astrum__ready_update(sched, run);
  } else if (!(instance->flags & INSTANCE_STOP)) {
    instance->flags |= INSTANCE_RESUMING;
    astrum__ready_resume(sched, run, index);
  }
  return ASTRUM_OK;
}

/* --- actions */

/* Of a run, with its cause and state. */
static astrum_action action_for_run(const astrum__run *run,
                                    astrum_action_kind kind) {
  astrum_action action = {.kind = (uint8_t)kind,
                          .cause = run->cause,
                          .state = run->state,
                          .user = run->user};
  action.ticket.run = run->id;
  action.ticket.task = ASTRUM_NO_TASK;
  return action;
}

static inline astrum_action
action_for(const astrum__run *run, astrum_action_kind kind, uint32_t index) {
  const astrum__instance *instance = &run->tasks[index];
  astrum_action action = {.kind = (uint8_t)kind,
                          .cause = instance->cause,
                          .ticket = {run->id, index, instance->attempt, 0},
                          .user = run->user};
  if (astrum__is_item(run, index)) {
    const astrum__map *map = astrum__map_of(run, index);
    action.ticket.task = map->task;
    action.ticket.item = index - map->first + 1;
  }
  return action;
}

static astrum_action next_change(astrum_sched *sched) {
  astrum__change change = sched->changes[sched->change_first];
  astrum_action action = action_for(astrum__sched_run(sched, change.run),
                                    ASTRUM_CHANGED, change.index);
  sched->change_first = (sched->change_first + 1) % sched->change_capacity;
  sched->change_count--;
  action.state = change.state;
  action.cause = change.cause;
  return action;
}

static astrum_action next_cancel(astrum_sched *sched) {
  astrum__run *run;
  uint32_t index;
  astrum__stop_next(sched, &run, &index);
  return action_for(run, ASTRUM_CANCEL, index);
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
    astrum__leave_peers(run);
  return action_for_run(run, kind);
}

/* Makes room for what an attempt that is about to begin may need later. */
static int reserve_attempt(astrum_sched *sched, astrum__run *run,
                           uint32_t index, uint64_t now) {
  uint16_t flags = run->tasks[index].flags;
  if (flags & INSTANCE_RETRIES) {
    size_t need = run->attempt_count + run->attempt_reserved + 1;
    if (need > NO_INDEX ||
        astrum__grow(&sched->alloc, (void **)&run->attempts,
                     &run->attempt_capacity, need, sizeof *run->attempts))
      return 0;
  }
  if (flags & INSTANCE_TIMED && !astrum__attempt_timers(sched, run, index, now))
    return 0;
  run->attempt_reserved += (flags & INSTANCE_RETRIES) != 0;
  return 1;
}

/* What the beginning of an attempt may need. Returns 0 when the task has ended
   instead, for want of memory or because the tree has had all its attempts. */
static int start_slow(astrum_sched *sched, astrum__run *run, uint32_t index,
                      uint64_t now) {
  const uint16_t reserves = INSTANCE_RETRIES | INSTANCE_TIMED;
  const astrum__instance *instance = &run->tasks[index];
  astrum_cause cause = ASTRUM_CAUSE_NONE;
  if (!attempts_left(run, instance))
    cause = ASTRUM_CAUSE_ATTEMPTS;
  else if (instance->flags & reserves &&
           !reserve_attempt(sched, run, index, now))
    cause = ASTRUM_CAUSE_MEMORY;
  if (cause != ASTRUM_CAUSE_NONE) {
    if (instance->flags & INSTANCE_POOLED)
      astrum__pools_look(sched, run, index);
    astrum__fail(sched, run, index, ASTRUM_FAILED, cause, now);
    astrum__follow(sched, now);
    return 0;
  }
  if (run->root->max_attempts && !(instance->flags & INSTANCE_MAP))
    run->root->attempts_begun++;
  if (instance->flags & INSTANCE_POOLED)
    astrum__pools_take(sched, run, index, now);
  return 1;
}

static int start(astrum_sched *sched, astrum__run *run, uint32_t index,
                 uint64_t now) {
  astrum__run *root = run->root;
  astrum__instance *instance = &run->tasks[index];
  if ((instance->flags & INSTANCE_SPECIAL || root->max_attempts) &&
      !start_slow(sched, run, index, now))
    return 0;
  instance->state = ASTRUM_RUNNING;
  instance->mark = now;
  instance->pending = 0;
  if (instance->attempt++ == 0)
    instance->start = now;
  run->running++;
  root->occupied++;
  if (root->concurrency)
    astrum__ready_update(sched, run);
  return 1;
}

/* START, EXPAND or RESUME of the instance that goes next; 0 when it cannot. */
static int next_ready(astrum_sched *sched, uint64_t now,
                      astrum_action *action) {
  astrum__run *run;
  uint32_t index = astrum__ready_pop(sched, &run);
  astrum__instance *instance = &run->tasks[index];
  if (instance->state == ASTRUM_RUNNING) {
    instance->flags &= (uint16_t) ~(INSTANCE_WAITING | INSTANCE_RESUMING);
    run->root->occupied++;
    astrum__ready_update(sched, run);
    *action = action_for(run, ASTRUM_RESUME, index);
    return 1;
  }
  /* Its failure may have cancelled others, which comes first. */
  if (!start(sched, run, index, now))
    return 0;
  *action = action_for(
      run, instance->flags & INSTANCE_MAP ? ASTRUM_EXPAND : ASTRUM_START,
      index);
  return 1;
}

int astrum__sched_stops(const astrum_sched *sched) {
  return astrum__stop_any(sched);
}

static int has_actions(const astrum_sched *sched) {
  return astrum__stop_any(sched) || astrum__list_linked(&sched->news) ||
         astrum__list_linked(&sched->ready) || sched->change_count > 0;
}

size_t astrum_sched_next(astrum_sched *sched, uint64_t now,
                         astrum_action *actions, size_t room) {
  size_t count = 0;
  advance(sched, now);
  while (count < room) {
    if (sched->change_count > 0)
      actions[count++] = next_change(sched);
    else if (astrum__stop_any(sched))
      actions[count++] = next_cancel(sched);
    else if (astrum__list_linked(&sched->news))
      actions[count++] = next_news(sched);
    else if (astrum__list_linked(&sched->ready))
      count += (size_t)next_ready(sched, now, &actions[count]);
    else
      break;
  }
  return count;
}

uint64_t astrum_sched_wake(const astrum_sched *sched) {
  return has_actions(sched) ? 0 : astrum__timers_next(sched);
}

/* --- questions */

int astrum_sched_will_retry(const astrum_sched *sched, astrum_ticket ticket) {
  astrum__run *run = NULL;
  uint32_t index;
  return astrum__sched_running(sched, ticket, &run, &index) &&
         may_retry(run, index);
}

uint64_t astrum_sched_deadline(const astrum_sched *sched,
                               astrum_ticket ticket) {
  astrum__run *run = NULL;
  uint32_t index;
  const astrum__instance *instance =
      astrum__sched_running(sched, ticket, &run, &index);
  if (!instance)
    return ASTRUM_NEVER;
  uint64_t timeout = astrum__policy_of(run, index)->timeout, due = ASTRUM_NEVER;
  if (timeout)
    due = astrum__add_clamped(instance->mark, timeout);
  /* What cleans up goes on after the deadline of its run, with all inside it;
     not after one that comes when the run has its verdict. */
  for (int goes_on = 0; run; run = run->parent) {
    uint64_t of_run = astrum__add_clamped(run->begin, run->deadline);
    goes_on |= (run->tasks[index].flags & INSTANCE_CLEANS) != 0;
    goes_on &= run->end == ASTRUM_NEVER;
    if (run->deadline && !run->stopped && !goes_on && of_run < due)
      due = of_run;
    index = run->parent_index;
  }
  return due;
}

uint64_t astrum_sched_due(const astrum_sched *sched, astrum_ticket ticket) {
  astrum__run *run = NULL;
  uint32_t index;
  uint64_t due = astrum_sched_deadline(sched, ticket);
  const astrum__instance *instance =
      astrum__sched_running(sched, ticket, &run, &index);
  uint32_t timer = instance ? astrum__timer_of(instance) : NO_INDEX;
  if (timer == NO_INDEX || instance->flags & INSTANCE_STOP)
    return due;
  if (sched->timers[timer].pair != NO_INDEX)
    timer = sched->timers[timer].pair;
  if (sched->timers[timer].place && sched->timers[timer].due < due)
    due = sched->timers[timer].due;
  return due;
}

int astrum_sched_alive(const astrum_sched *sched, astrum_ticket ticket) {
  astrum__run *run = NULL;
  uint32_t index;
  return astrum__sched_running(sched, ticket, &run, &index) != NULL;
}

astrum_cause astrum_sched_stopping(const astrum_sched *sched,
                                   astrum_ticket ticket) {
  astrum__run *run = NULL;
  uint32_t index;
  const astrum__instance *instance =
      astrum__sched_running(sched, ticket, &run, &index);
  return instance && instance->flags & INSTANCE_STOP
             ? (astrum_cause)instance->cause
             : ASTRUM_CAUSE_NONE;
}
