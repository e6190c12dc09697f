/*
 * Reading what happened: of a task, of its attempts, of a run. Attempts of
 * tasks that are never retried have no record of their own; the one attempt is
 * told from the task itself.
 */
#include "scheduler.h"

static astrum_err find(const astrum_sched *sched, astrum_run id,
                       astrum_task task, const astrum__run **run) {
  *run = astrum__sched_run(sched, id.id);
  if (!*run)
    return ASTRUM_ESTALE;
  return task.id < (*run)->count ? ASTRUM_OK : ASTRUM_EINVAL;
}

/* The attempts of a task that ended, the last one first. */
static const astrum__attempt *ended_before(const astrum__run *run,
                                           uint32_t index) {
  return index == NO_INDEX ? NULL : &run->attempts[index];
}

static uint64_t busy_time(const astrum__run *run,
                          const astrum__instance *instance) {
  uint64_t busy = 0;
  const astrum__attempt *at = ended_before(run, instance->previous);
  if (!at && instance->attempt > 0 && astrum__final(instance))
    return instance->mark - instance->start;
  for (; at; at = ended_before(run, at->previous))
    busy += at->end - at->start;
  return busy;
}

astrum_err astrum_sched_record(const astrum_sched *sched, astrum_run id,
                               astrum_task task, astrum_record *out) {
  const astrum__run *run;
  astrum_err err = find(sched, id, task, &run);
  if (err)
    return err;
  const astrum__instance *instance = &run->tasks[task.id];
  int final = astrum__final(instance);
  *out = (astrum_record){
      .state = instance->state,
      .cause = final ? instance->cause : (uint8_t)ASTRUM_CAUSE_NONE,
      .blame = final ? instance->blame : ASTRUM_NO_TASK,
      .attempts = instance->attempt,
      .ready = instance->ready,
      .start = instance->start,
      .end = final ? instance->mark : ASTRUM_NEVER,
      .busy = busy_time(run, instance),
  };
  return ASTRUM_OK;
}

astrum_err astrum_sched_attempts(const astrum_sched *sched, astrum_run id,
                                 astrum_task task, astrum_attempt *attempts,
                                 uint32_t room, uint32_t *count) {
  const astrum__run *run;
  astrum_err err = find(sched, id, task, &run);
  if (err)
    return err;
  const astrum__instance *instance = &run->tasks[task.id];
  uint32_t number = instance->attempt;
  *count = number;
  if (number == 0)
    return ASTRUM_OK;
  const astrum__attempt *at = ended_before(run, instance->previous);
  int running = instance->state == ASTRUM_RUNNING;
  if (running || !at) {
    if (number <= room)
      attempts[number - 1] = (astrum_attempt){
          .attempt = number,
          .running = (uint8_t)running,
          .outcome = instance->outcome,
          .start = running ? instance->mark : instance->start,
          .end = running ? ASTRUM_NEVER : instance->mark,
      };
    number--;
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
  return ASTRUM_OK;
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
      .tasks = run->left + run->completed + run->failed + run->cancelled +
               run->skipped,
      .completed = run->completed,
      .failed = run->failed,
      .cancelled = run->cancelled,
      .skipped = run->skipped,
      .running = run->running,
      .begin = run->begin,
      .end = run->end,
  };
  return ASTRUM_OK;
}
