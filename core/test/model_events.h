/* What events do to the model. */
#ifndef ASTRUM_MODEL_EVENTS_H
#define ASTRUM_MODEL_EVENTS_H

#include "model_order.h"
#include "retry.h"

static inline void model_stop(model *m, model_run *run, uint8_t verdict,
                              uint8_t cause, uint32_t blame, int at_once,
                              uint64_t now);
static inline void model_item_ended(model *m, model_run *run, uint32_t t,
                                    uint64_t now);

/* --- states */

static inline void model_change(model *m, model_run *run, uint32_t t,
                                uint32_t item) {
  const astrum_record *record = &run->tasks[t].node[item].record;
  if (!run->changes)
    return;
  run->changed_order[run->change_count] = m->order++;
  run->changed[run->change_count++] = (astrum_action){
      .state = record->state,
      .cause = record->cause,
      .ticket = {run->id.id, t, record->attempts, item},
  };
}

static inline void model_ready(model *m, model_run *run, uint32_t t,
                               uint32_t item, uint64_t now) {
  model_node *node = &run->tasks[t].node[item];
  int first = node->record.state == ASTRUM_PENDING;
  node->record.state = ASTRUM_READY;
  node->order = m->order++;
  if (first) {
    node->record.ready = now;
    model_change(m, run, t, item);
  }
}

static inline void model_settle(model *m, model_run *run, uint32_t t,
                                uint32_t item, uint8_t state, uint8_t cause,
                                uint32_t blame, uint64_t now) {
  astrum_summary *sum = &run->summary;
  model_task *task = &run->tasks[t];
  astrum_record *record = &task->node[item].record;
  int was_ready = record->state == ASTRUM_READY;
  record->state = state;
  record->cause = cause;
  record->blame = blame;
  record->end = now;
  if (was_ready && !model_has_ready(run))
    memset(run->passed, 0, sizeof run->passed);
  if (item == 0 && task->expanded)
    record->busy += now - task->expanded_at;
  model_change(m, run, t, item);
  if (item > 0)
    return;
  run->ended[run->ended_count++] = t;
  if (!task->policy.detached)
    *(state == ASTRUM_COMPLETED   ? &sum->completed
      : state == ASTRUM_FAILED    ? &sum->failed
      : state == ASTRUM_TIMED_OUT ? &sum->timed_out
      : state == ASTRUM_CANCELLED ? &sum->cancelled
                                  : &sum->skipped) += 1;
}

/* Runs whose attached tasks are all final have their verdict. */
static inline void model_verdicts(model *m, uint64_t now) {
  for (int r = 0; r < MODEL_RUNS; r++) {
    model_run *run = &m->runs[r];
    if (!run->used || !run->begun || run->summary.end != ASTRUM_NEVER ||
        !model_all_final(run, 0))
      continue;
    run->summary.end = now;
    run->summary.state = run->stopped  ? run->verdict
                         : run->effect ? (uint8_t)ASTRUM_FAILED
                                       : (uint8_t)ASTRUM_COMPLETED;
  }
}

/* --- stopping */

/* The first run inside `run` that was opened at `from` or later. */
static inline model_run *model_child(model *m, const model_run *run,
                                     uint64_t from) {
  model_run *first = NULL;
  for (int r = 0; r < MODEL_RUNS; r++) {
    model_run *child = &m->runs[r];
    if (child->used && child->parent == run && child->opened >= from &&
        (!first || child->opened < first->opened))
      first = child;
  }
  return first;
}

/* Stops the runs inside one attempt, or inside all that do not go on. */
static inline void model_stop_inside(model *m, const model_run *run,
                                     const model_node *attempt, int at_once,
                                     uint64_t now) {
  for (model_run *child = model_child(m, run, 0); child;
       child = model_child(m, run, child->opened + 1)) {
    const model_task *task = &run->tasks[child->parent_ticket.task];
    const model_node *around = &task->node[child->parent_ticket.item];
    if (attempt ? attempt == around : around->stop || !model_goes_on(run, task))
      model_stop(m, child, ASTRUM_CANCELLED, ASTRUM_CAUSE_PARENT,
                 ASTRUM_NO_TASK, at_once, now);
  }
}

/* Asks a running attempt to stop, unless it knows. */
static inline void model_ask(model_node *node, uint8_t cause, uint32_t blame) {
  if (node->stop)
    return;
  node->stop = cause;
  node->stop_blame = blame;
  node->resuming = 0;
}

/* Stops a task or item, but not the runs inside it. */
static inline void model_stop_node(model *m, model_run *run, uint32_t t,
                                   uint32_t item, uint8_t cause, uint32_t blame,
                                   uint64_t now) {
  model_node *node = &run->tasks[t].node[item];
  if (node->live)
    model_ask(node, cause, blame);
  else if (!model_final(node))
    model_settle(m, run, t, item,
                 node->record.attempts ? ASTRUM_CANCELLED : ASTRUM_SKIPPED,
                 cause, blame, now);
}

static inline void model_stop_task(model *m, model_run *run, uint32_t t,
                                   uint8_t cause, uint32_t blame,
                                   uint64_t now) {
  model_task *task = &run->tasks[t];
  if (!task->expanded || model_final(&task->node[0])) {
    model_stop_node(m, run, t, 0, cause, blame, now);
    return;
  }
  if (!task->node[0].stop) {
    task->node[0].stop = cause;
    task->node[0].stop_blame = blame;
  }
  for (uint32_t i = 1; i <= model_items(task); i++)
    model_stop_node(m, run, t, i, cause, blame, now);
  model_item_ended(m, run, t, now);
}

/* --- what follows when tasks become final */

static inline void model_effect(model *m, model_run *run, uint32_t t,
                                uint64_t now) {
  run->tasks[t].effective = 1;
  if (run->stopped || run->summary.end != ASTRUM_NEVER)
    return;
  run->effect = 1;
  if (run->summary.blame == ASTRUM_NO_TASK) {
    run->summary.cause = ASTRUM_CAUSE_ERROR;
    run->summary.blame = t;
  }
  if (!run->keep_going)
    model_stop(m, run, ASTRUM_FAILED, ASTRUM_CAUSE_FAILURE, t, 0, now);
}

/* The failure of `t` is handled, takes effect or waits for a consumer. */
static inline void model_failure(model *m, model_run *run, uint32_t t,
                                 uint64_t now) {
  model_task *task = &run->tasks[t];
  if (!task->seen || !model_failed(&task->node[0]) || task->policy.detached ||
      task->effective || task->node[0].record.handled)
    return;
  if (model_handled(run, t)) {
    task->node[0].record.handled = 1;
    m->handled++;
  } else if (!model_may_be_handled(run, t)) {
    model_effect(m, run, t, now);
  }
}

static inline void model_look(model *m, model_run *run, uint32_t t,
                              uint32_t decider, uint64_t now) {
  model_task *task = &run->tasks[t];
  if (task->node[0].record.state != ASTRUM_PENDING || !model_goes_on(run, task))
    return;
  uint8_t trigger = task->policy.trigger;
  model_decision decision =
      model_decide((astrum_trigger)trigger, model_count_upstream(run, task));
  if (decision == MODEL_GO) {
    model_ready(m, run, t, 0, now);
    m->triggered[trigger]++;
    m->cleanups += run->stopped;
  } else if (decision == MODEL_SKIP) {
    uint32_t blame;
    uint8_t cause = model_skip_cause(run, task, decider, &blame);
    model_settle(m, run, t, 0, ASTRUM_SKIPPED, cause, blame, now);
    m->skipped[trigger]++;
  }
}

/* All that follows from tasks that became final, one after the other, in a run
   and then in those inside it. */
static inline void model_follow(model *m, model_run *run, uint64_t now) {
  if (run->following)
    return;
  run->following = 1;
  while (run->ended_seen < run->ended_count) {
    uint32_t t = run->ended[run->ended_seen++];
    run->tasks[t].seen = 1;
    for (uint32_t i = 0; i < run->tasks[t].upstream_count; i++)
      if (model_is_handler(&run->tasks[t], run->tasks[t].upstream[i])) {
        const model_task *failed = &run->tasks[run->tasks[t].upstream[i]];
        int before = failed->effective;
        model_failure(m, run, run->tasks[t].upstream[i], now);
        m->not_handled += failed->effective && !before;
      }
    model_failure(m, run, t, now);
    for (uint32_t d = 0; d < run->count; d++)
      if (model_waits_for(&run->tasks[d], t))
        model_look(m, run, d, t, now);
  }
  run->following = 0;
  for (model_run *child = model_child(m, run, 0); child;
       child = model_child(m, run, child->opened + 1))
    model_follow(m, child, now);
}

/* Stops a run and those inside it; what follows, follows later. */
static inline void model_stop(model *m, model_run *run, uint8_t verdict,
                              uint8_t cause, uint32_t blame, int at_once,
                              uint64_t now) {
  int for_good = at_once || run->stopped || !run->begun ||
                 run->summary.end != ASTRUM_NEVER;
  if (!run->begun)
    run->summary.begin = now;
  if (!run->stopped && run->summary.end == ASTRUM_NEVER) {
    run->verdict = verdict;
    run->summary.cause =
        cause == ASTRUM_CAUSE_FAILURE ? (uint8_t)ASTRUM_CAUSE_ERROR : cause;
    run->summary.blame = blame;
  }
  m->for_good += run->stopped && !run->for_good;
  run->begun = run->stopped = 1;
  run->for_good |= for_good;
  for (uint32_t t = 0; t < run->count; t++)
    if (!model_goes_on(run, &run->tasks[t]))
      model_stop_task(m, run, t, cause, blame, now);
  model_stop_inside(m, run, NULL, run->for_good, now);
}

/* --- maps */

static inline void model_ready_items(model *m, model_run *run, uint32_t t,
                                     uint64_t now) {
  model_task *task = &run->tasks[t];
  uint32_t active = 0, most = task->policy.max_concurrency;
  for (uint32_t i = 1; i <= model_items(task); i++)
    active += task->node[i].record.state != ASTRUM_PENDING &&
              !model_final(&task->node[i]);
  for (uint32_t i = 1; i <= model_items(task); i++)
    if (task->node[i].record.state == ASTRUM_PENDING &&
        (most == 0 || active < most)) {
      model_ready(m, run, t, i, now);
      active++;
    }
}

/* Whether the run stops because a map of it breaks. */
static inline int model_break_stops(const model_run *run, uint32_t t) {
  const model_task *task = &run->tasks[t];
  int running = 0;
  for (uint32_t i = 1; i <= model_items(task); i++)
    running += task->node[i].live;
  return running > 0 && !run->keep_going && !task->policy.detached &&
         !run->stopped && !model_may_be_handled(run, t);
}

static inline void model_break(model *m, model_run *run, uint32_t t,
                               uint64_t now) {
  model_task *task = &run->tasks[t];
  int knew[MODEL_ITEMS + 1];
  task->broken = 1;
  m->broken++;
  for (uint32_t i = 1; i <= model_items(task); i++) {
    knew[i] = task->node[i].stop != ASTRUM_CAUSE_NONE;
    model_stop_node(m, run, t, i, ASTRUM_CAUSE_ITEM, ASTRUM_NO_TASK, now);
  }
  /* A run that stops tells the runs inside it, and once is enough. */
  if (model_break_stops(run, t)) {
    model_effect(m, run, t, now);
    return;
  }
  for (uint32_t i = 1; i <= model_items(task); i++)
    if (!knew[i])
      model_stop_inside(m, run, &task->node[i], 0, now);
}

/* Looks after a map whose items have changed. */
static inline void model_item_ended(model *m, model_run *run, uint32_t t,
                                    uint64_t now) {
  model_task *task = &run->tasks[t];
  model_node *map = &task->node[0];
  int left = 0, failed = 0;
  if (!task->expanded || model_final(map))
    return;
  for (uint32_t i = 1; i <= model_items(task); i++)
    failed += model_failed(&task->node[i]);
  if (failed && !task->policy.tolerant && !task->broken)
    model_break(m, run, t, now);
  for (uint32_t i = 1; i <= model_items(task); i++)
    left += !model_final(&task->node[i]);
  if (left > 0) {
    if (!task->broken && model_goes_on(run, task))
      model_ready_items(m, run, t, now);
  } else if (task->broken) {
    model_settle(m, run, t, 0, ASTRUM_FAILED, ASTRUM_CAUSE_ITEM, ASTRUM_NO_TASK,
                 now);
  } else if (map->stop) {
    model_settle(m, run, t, 0, ASTRUM_CANCELLED, map->stop, map->stop_blame,
                 now);
  } else {
    m->endured += failed > 0;
    model_settle(m, run, t, 0, ASTRUM_COMPLETED, ASTRUM_CAUSE_NONE,
                 ASTRUM_NO_TASK, now);
  }
}

/* --- attempts */

/* A task or item is final because of its attempt, or because it got none. */
static inline void model_end(model *m, model_run *run, uint32_t t,
                             uint32_t item, uint8_t state, uint8_t cause,
                             uint32_t blame, uint64_t now) {
  model_settle(m, run, t, item, state, cause, blame, now);
  if (item > 0)
    model_item_ended(m, run, t, now);
  model_follow(m, run, now);
}

static inline void model_fail(model *m, model_run *run, uint32_t t,
                              uint32_t item, uint8_t cause, uint64_t now) {
  model_end(m, run, t, item, ASTRUM_FAILED, cause, ASTRUM_NO_TASK, now);
  model_verdicts(m, now);
}

static inline void model_start(model *m, model_run *run, uint32_t t,
                               uint32_t item, uint64_t now) {
  model_task *task = &run->tasks[t];
  model_node *node = &task->node[item];
  model_run *root = run->root;
  uint32_t number = ++node->record.attempts;
  node->record.state = ASTRUM_RUNNING;
  node->live = 1;
  if (number == 1)
    node->record.start = now;
  node->log[number - 1] = (astrum_attempt){
      .attempt = number, .running = 1, .start = now, .end = ASTRUM_NEVER};
  node->timeout_set = m->order++;
  node->timeout = task->policy.timeout ? model_later(now, task->policy.timeout)
                                       : ASTRUM_NEVER;
  node->idle_set = m->order++;
  node->idle = task->policy.idle_timeout
                   ? model_later(now, task->policy.idle_timeout)
                   : ASTRUM_NEVER;
  run->summary.running++;
  root->total_attempts += !model_expands(task, item);
  for (uint32_t p = 0; p < root->pool_count; p++) {
    if (model_units(task, item, p) == 0)
      continue;
    if (root->start_count[p] == MODEL_STARTS)
      memmove(root->starts[p], root->starts[p] + 1,
              --root->start_count[p] * sizeof root->starts[p][0]);
    root->starts[p][root->start_count[p]++] =
        (model_begun){now, {run->id.id, t, number, item}};
  }
}

/* A start that was declined counts for nothing. */
static inline void model_uncount(model_run *run, uint32_t t, uint32_t item) {
  model_run *root = run->root;
  uint32_t number = run->tasks[t].node[item].record.attempts;
  astrum_ticket ticket = {run->id.id, t, number, item};
  root->total_attempts -= !model_expands(&run->tasks[t], item);
  for (uint32_t p = 0; p < root->pool_count; p++) {
    uint32_t kept = 0;
    for (uint32_t i = 0; i < root->start_count[p]; i++)
      if (memcmp(&root->starts[p][i].ticket, &ticket, sizeof ticket) != 0)
        root->starts[p][kept++] = root->starts[p][i];
    root->start_count[p] = kept;
  }
}

static inline void model_decline(model *m, model_run *run, uint32_t t,
                                 uint32_t item, uint64_t now) {
  model_node *node = &run->tasks[t].node[item];
  model_uncount(run, t, item);
  if (--node->record.attempts == 0)
    node->record.start = ASTRUM_NEVER;
  m->declined++;
  model_end(m, run, t, item, ASTRUM_SKIPPED, ASTRUM_CAUSE_CONDITION,
            ASTRUM_NO_TASK, now);
}

static inline void model_retry(model *m, model_run *run, uint32_t t,
                               uint32_t item, uint64_t now) {
  model_task *task = &run->tasks[t];
  model_node *node = &task->node[item];
  uint64_t delay = astrum__retry_delay(&task->policy, node->record.attempts,
                                       run->seed, t, item);
  m->retries++;
  node->record.state = ASTRUM_RETRYING;
  node->retry = model_later(now, delay);
  node->retry_set = m->order++;
  if (delay == 0)
    model_ready(m, run, t, item, now);
}

static inline void model_expanded(model *m, model_run *run, uint32_t t,
                                  uint32_t items, uint64_t now) {
  model_task *task = &run->tasks[t];
  task->expanded = 1;
  task->expanded_at = now;
  task->node[0].record.items = items;
  for (uint32_t i = 1; i <= items; i++) {
    task->node[i] = (model_node){0};
    task->node[i].record = (astrum_record){.blame = ASTRUM_NO_TASK,
                                           .ready = ASTRUM_NEVER,
                                           .start = ASTRUM_NEVER,
                                           .end = ASTRUM_NEVER};
  }
  model_item_ended(m, run, t, now);
  model_follow(m, run, now);
}

/* An attempt ends; that of an expansion that succeeds has counted `items`. */
static inline void model_finish(model *m, model_run *run, uint32_t t,
                                uint32_t item, astrum_outcome answer,
                                uint32_t items, uint64_t now) {
  model_node *node = &run->tasks[t].node[item];
  astrum_record *record = &node->record;
  astrum_attempt *log = &node->log[record->attempts - 1];
  uint8_t stop = node->stop;
  int slow = stop == ASTRUM_CAUSE_TIMEOUT || stop == ASTRUM_CAUSE_IDLE;
  astrum_outcome outcome = answer;
  if (stop)
    outcome = slow ? ASTRUM_TIMEOUT : ASTRUM_STOPPED;
  else if (answer == ASTRUM_STOPPED || answer == ASTRUM_TIMEOUT)
    outcome = ASTRUM_FAILURE_FINAL;
  int retries = (slow || outcome == ASTRUM_FAILURE) &&
                answer != ASTRUM_FAILURE_FINAL &&
                model_will_retry(run, t, item);
  log->outcome = (uint8_t)outcome;
  log->will_retry = (uint8_t)retries;
  log->running = 0;
  log->end = now;
  run->summary.running--;
  node->live = node->waiting = node->resuming = node->told = 0;
  node->stop = ASTRUM_CAUSE_NONE;
  if (outcome != ASTRUM_DECLINED)
    record->busy += now - log->start;
  if (retries)
    model_retry(m, run, t, item, now);
  else if (outcome == ASTRUM_DECLINED)
    model_decline(m, run, t, item, now);
  else if (outcome == ASTRUM_SUCCEEDED && model_expands(&run->tasks[t], item))
    model_expanded(m, run, t, items, now);
  else if (outcome == ASTRUM_SUCCEEDED)
    model_end(m, run, t, item, ASTRUM_COMPLETED, ASTRUM_CAUSE_NONE,
              ASTRUM_NO_TASK, now);
  else if (outcome == ASTRUM_STOPPED)
    model_end(m, run, t, item, ASTRUM_CANCELLED, stop, node->stop_blame, now);
  else if (slow)
    model_end(m, run, t, item, ASTRUM_TIMED_OUT, stop, ASTRUM_NO_TASK, now);
  else
    model_end(m, run, t, item, ASTRUM_FAILED, ASTRUM_CAUSE_ERROR,
              ASTRUM_NO_TASK, now);
  model_verdicts(m, now);
}

static inline void model_progress(model *m, model_run *run, uint32_t t,
                                  uint32_t item, uint64_t now) {
  const astrum_policy *policy = &run->tasks[t].policy;
  model_node *node = &run->tasks[t].node[item];
  if (node->stop || policy->idle_timeout == 0)
    return;
  node->idle = model_later(now, policy->idle_timeout);
  node->idle_set = m->order++;
}

/* --- runs */

static inline void model_begin(model *m, model_run *run, uint64_t now) {
  run->begun = 1;
  run->summary.begin = now;
  run->summary.state = ASTRUM_RUNNING;
  run->deadline_set = m->order++;
  if (run->deadline_after)
    run->deadline = model_later(now, run->deadline_after);
  for (uint32_t t = 0; t < run->count; t++)
    if (run->tasks[t].upstream_count == 0 ||
        run->tasks[t].policy.trigger == ASTRUM_ALWAYS)
      model_look(m, run, t, ASTRUM_NO_TASK, now);
  model_follow(m, run, now);
  model_verdicts(m, now);
}

static inline void model_cancel(model *m, model_run *run, uint8_t cause,
                                uint64_t now) {
  int stuck = cause == ASTRUM_CAUSE_STUCK;
  model_stop(m, run, stuck ? ASTRUM_FAILED : ASTRUM_CANCELLED, cause,
             ASTRUM_NO_TASK, stuck, now);
  model_follow(m, run, now);
  model_verdicts(m, now);
}

/* --- time */

static inline void model_fire(model *m, model_timer timer, uint64_t now) {
  model_run *run = timer.run;
  model_node *node = &run->tasks[timer.task].node[timer.item];
  switch (timer.kind) {
  case MODEL_RETRY:
    model_ready(m, run, timer.task, timer.item, now);
    break;
  case MODEL_TIMEOUT:
  case MODEL_IDLE:
    m->timeouts += timer.kind == MODEL_TIMEOUT;
    m->idles += timer.kind == MODEL_IDLE;
    model_ask(node,
              timer.kind == MODEL_IDLE ? ASTRUM_CAUSE_IDLE
                                       : ASTRUM_CAUSE_TIMEOUT,
              ASTRUM_NO_TASK);
    model_stop_inside(m, run, node, 0, now);
    break;
  case MODEL_DEADLINE:
    m->deadlines++;
    model_stop(m, run, ASTRUM_FAILED, ASTRUM_CAUSE_DEADLINE, ASTRUM_NO_TASK, 0,
               now);
    break;
  }
  model_follow(m, run, now);
  model_verdicts(m, now);
}

/* All that is due happens, in the order of the times. */
static inline void model_advance(model *m, uint64_t now) {
  int fired = 0;
  m->now = now;
  for (;; fired++) {
    model_timer timer = model_first_timer(m);
    if (timer.due > now || timer.due == ASTRUM_NEVER)
      break;
    model_fire(m, timer, now);
  }
  m->jumps += fired > 1;
}

#endif
