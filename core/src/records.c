/*
 * Reading what happened: of a task or an item, of its attempts, of a run.
 * Attempts of tasks that are never retried have no record of their own; the one
 * attempt is told from the task itself.
 */
#include "scheduler.h"

/* `item` from 1, or 0 for the task itself. */
static astrum_err find(const astrum_sched *sched, astrum_run id,
                       astrum_task task, uint32_t item, const astrum__run **run,
                       uint32_t *index) {
  *run = astrum__sched_run(sched, id.id);
  if (!*run)
    return ASTRUM_ESTALE;
  if (task.id >= (*run)->count)
    return ASTRUM_EINVAL;
  *index = task.id;
  if (item == 0)
    return ASTRUM_OK;
  *index = astrum__item_index(*run, task.id, item);
  return *index == NO_INDEX ? ASTRUM_EINVAL : ASTRUM_OK;
}

/* The attempts of a task that ended, the last one first. */
static const astrum__attempt *ended_before(const astrum__run *run,
                                           uint32_t index) {
  return index == NO_INDEX ? NULL : &run->attempts[index];
}

/* The last attempt of a task that ended and has no record of its own. */
static astrum_attempt untold_attempt(const astrum__run *run, uint32_t index) {
  const astrum__instance *instance = &run->tasks[index];
  astrum_attempt attempt = {.attempt = instance->attempt,
                            .start = instance->start,
                            .end = instance->mark};
  if (instance->flags & INSTANCE_EXPANDED)
    attempt.end = astrum__map_find(run, index)->expanded;
  else if (instance->state == ASTRUM_TIMED_OUT)
    attempt.outcome = ASTRUM_TIMEOUT;
  else if (instance->state == ASTRUM_CANCELLED)
    attempt.outcome = ASTRUM_STOPPED;
  else if (instance->state == ASTRUM_FAILED)
    attempt.outcome = instance->flags & INSTANCE_GAVE_UP ? ASTRUM_FAILURE_FINAL
                                                         : ASTRUM_FAILURE;
  return attempt;
}

static int attempt_runs(const astrum__instance *instance) {
  return instance->state == ASTRUM_RUNNING &&
         !(instance->flags & INSTANCE_EXPANDED);
}

static uint64_t busy_time(const astrum__run *run, uint32_t index) {
  const astrum__instance *instance = &run->tasks[index];
  uint64_t busy = 0;
  const astrum__attempt *at = NULL;
  if (instance->state != ASTRUM_PENDING)
    at = ended_before(run, instance->previous);
  if (!at && instance->attempt > 0 && !attempt_runs(instance)) {
    astrum_attempt attempt = untold_attempt(run, index);
    busy = attempt.end - attempt.start;
  }
  for (; at; at = ended_before(run, at->previous))
    busy += at->end - at->start;
  if (instance->flags & INSTANCE_EXPANDED && astrum__final(instance))
    busy += instance->mark - astrum__map_find(run, index)->expanded;
  return busy;
}

static int was_handled(const astrum__run *run, uint32_t index) {
  return !astrum__is_item(run, index) && astrum__failed(&run->tasks[index]) &&
         astrum__handled_for_good(run, index);
}

static void read_record(const astrum__run *run, uint32_t index,
                        astrum_record *out) {
  const astrum__instance *instance = &run->tasks[index];
  int final = astrum__final(instance);
  *out = (astrum_record){
      .state = instance->state,
      .cause = final ? instance->cause : (uint8_t)ASTRUM_CAUSE_NONE,
      .blame = final ? instance->blame : ASTRUM_NO_TASK,
      .attempts = instance->attempt,
      .ready = instance->ready,
      .start = instance->start,
      .end = final ? instance->mark : ASTRUM_NEVER,
      .busy = busy_time(run, index),
      .handled = (uint8_t)was_handled(run, index),
  };
  if (instance->flags & INSTANCE_EXPANDED) {
    const astrum__map *map = astrum__map_find(run, index);
    out->items = map->count;
    out->left = map->left;
  }
}

static void read_attempts(const astrum__run *run, uint32_t index,
                          astrum_attempt *attempts, uint32_t room,
                          uint32_t *count) {
  const astrum__instance *instance = &run->tasks[index];
  uint32_t number = instance->attempt;
  *count = number;
  if (number == 0)
    return;
  const astrum__attempt *at = ended_before(run, instance->previous);
  if (attempt_runs(instance)) {
    if (number <= room)
      attempts[number - 1] = (astrum_attempt){.attempt = number,
                                              .running = 1,
                                              .start = instance->mark,
                                              .end = ASTRUM_NEVER};
    number--;
  } else if (!at) {
    if (number <= room)
      attempts[number - 1] = untold_attempt(run, index);
    return;
  }
  for (; at; at = ended_before(run, at->previous), number--)
    if (number <= room)
      attempts[number - 1] = (astrum_attempt){
          .attempt = number,
          .outcome = at->outcome,
          .will_retry = at->will_retry,
          .start = at->start,
          .end = at->end,
      };
}

static astrum_err record_of(const astrum_sched *sched, astrum_run id,
                            astrum_task task, uint32_t item,
                            astrum_record *out) {
  const astrum__run *run;
  uint32_t index;
  astrum_err err = find(sched, id, task, item, &run, &index);
  if (!err)
    read_record(run, index, out);
  return err;
}

static astrum_err attempts_of(const astrum_sched *sched, astrum_run id,
                              astrum_task task, uint32_t item,
                              astrum_attempt *attempts, uint32_t room,
                              uint32_t *count) {
  const astrum__run *run;
  uint32_t index;
  astrum_err err = find(sched, id, task, item, &run, &index);
  if (!err)
    read_attempts(run, index, attempts, room, count);
  return err;
}

astrum_err astrum__sched_state(const astrum_sched *sched, astrum_run run,
                               astrum_task task, astrum_state *state) {
  const astrum__run *found;
  uint32_t index;
  astrum_err err = find(sched, run, task, 0, &found, &index);
  if (!err)
    *state = (astrum_state)found->tasks[index].state;
  return err;
}

astrum_err astrum_sched_record(const astrum_sched *sched, astrum_run id,
                               astrum_task task, astrum_record *out) {
  return record_of(sched, id, task, 0, out);
}

astrum_err astrum_sched_attempts(const astrum_sched *sched, astrum_run id,
                                 astrum_task task, astrum_attempt *attempts,
                                 uint32_t room, uint32_t *count) {
  return attempts_of(sched, id, task, 0, attempts, room, count);
}

astrum_err astrum_sched_item_record(const astrum_sched *sched, astrum_run id,
                                    astrum_task task, uint32_t item,
                                    astrum_record *out) {
  if (item == 0 && astrum__sched_run(sched, id.id))
    return ASTRUM_EINVAL;
  return record_of(sched, id, task, item, out);
}

astrum_err astrum_sched_item_attempts(const astrum_sched *sched, astrum_run id,
                                      astrum_task task, uint32_t item,
                                      astrum_attempt *attempts, uint32_t room,
                                      uint32_t *count) {
  if (item == 0 && astrum__sched_run(sched, id.id))
    return ASTRUM_EINVAL;
  return attempts_of(sched, id, task, item, attempts, room, count);
}

astrum_err astrum_sched_summary(const astrum_sched *sched, astrum_run id,
                                astrum_summary *out) {
  const astrum__run *run = astrum__sched_run(sched, id.id);
  if (!run)
    return ASTRUM_ESTALE;
  *out = (astrum_summary){
      .state = run->state,
      .cause = run->cause,
      .blame = run->blame,
      .tasks = run->left + run->completed + run->failed + run->timed_out +
               run->cancelled + run->skipped,
      .completed = run->completed,
      .failed = run->failed,
      .timed_out = run->timed_out,
      .cancelled = run->cancelled,
      .skipped = run->skipped,
      .running = run->running,
      .begin = run->begin,
      .end = run->end,
  };
  return ASTRUM_OK;
}
