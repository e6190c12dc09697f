/*
 * Stopping: what has not begun ends at once, what runs is asked to end. Those
 * CANCELs wait to be handed out in two places: attempts that took too long in
 * a list threaded through their timers, those of runs and maps that stop as
 * flags of the instances, for which `scan` says where to begin to look.
 */
#include "scheduler.h"

/* --- attempts */

static void forget_resume(astrum_sched *sched, astrum__run *run,
                          uint32_t index) {
  if (run->tasks[index].flags & INSTANCE_RESUMING)
    astrum__ready_unresume(sched, run, index);
}

/* The run or the map of an attempt stops. */
static void ask(astrum_sched *sched, astrum__run *run, uint32_t index,
                astrum_cause cause, uint32_t blame) {
  astrum__instance *instance = &run->tasks[index];
  if (instance->flags & INSTANCE_STOP)
    return;
  astrum__instance_timers_free(sched, instance);
  /* From here on it is no candidate: astrum__ready_sweep takes it out. */
  instance->flags &= (uint16_t)~INSTANCE_RESUMING;
  instance->flags |= INSTANCE_STOP;
  instance->cause = (uint8_t)cause;
  instance->blame = blame;
  if (run->cancels++ == 0)
    run->scan = index;
  else if (index < run->scan)
    run->scan = index;
  if (!astrum__list_linked(&run->stopping))
    astrum__list_append(&sched->stopping, &run->stopping);
}

void astrum__stop_late(astrum_sched *sched, astrum__run *run, uint32_t index,
                       astrum_cause cause, uint64_t now) {
  astrum__instance *instance = &run->tasks[index];
  uint32_t number = instance->blame;
  astrum__timer *timer = &sched->timers[number];
  forget_resume(sched, run, index);
  instance->flags |= INSTANCE_STOP | INSTANCE_LATE;
  instance->cause = (uint8_t)cause;
  astrum__timer_stop(sched, number);
  astrum__timer_free(sched, timer->pair);
  timer->pair = NO_INDEX;
  timer->run = run->id;
  timer->index = index;
  timer->before = sched->late_last;
  timer->after = NO_INDEX;
  if (sched->late_last == NO_INDEX) {
    sched->late_first = number;
    astrum__list_append(&sched->stopping, &sched->late);
  } else {
    sched->timers[sched->late_last].after = number;
  }
  sched->late_last = number;
  astrum__stop_inside(sched, run, index, now);
}

static void leave_late(astrum_sched *sched, uint32_t number) {
  const astrum__timer *timer = &sched->timers[number];
  if (timer->before == NO_INDEX)
    sched->late_first = timer->after;
  else
    sched->timers[timer->before].after = timer->after;
  if (timer->after == NO_INDEX)
    sched->late_last = timer->before;
  else
    sched->timers[timer->after].before = timer->before;
  if (sched->late_first == NO_INDEX)
    astrum__list_remove(&sched->late);
}

static void told(astrum__run *run) {
  if (--run->cancels == 0)
    astrum__list_remove(&run->stopping);
}

void astrum__stop_answered(astrum_sched *sched, astrum__run *run,
                           uint32_t index) {
  const astrum__instance *instance = &run->tasks[index];
  if (instance->flags & INSTANCE_TOLD)
    return;
  if (instance->flags & INSTANCE_LATE)
    leave_late(sched, instance->blame);
  else
    told(run);
}

void astrum__stop_next(astrum_sched *sched, astrum__run **run,
                       uint32_t *index) {
  if (sched->stopping.next == &sched->late) {
    const astrum__timer *timer = &sched->timers[sched->late_first];
    *run = astrum__sched_run(sched, timer->run);
    *index = timer->index;
    leave_late(sched, sched->late_first);
    (*run)->tasks[*index].flags |= INSTANCE_TOLD;
    return;
  }
  const uint16_t all =
      INSTANCE_STOP | INSTANCE_TOLD | INSTANCE_LATE | INSTANCE_EXPANDED;
  astrum__run *found =
      astrum__container_of(sched->stopping.next, astrum__run, stopping);
  while (found->tasks[found->scan].state != ASTRUM_RUNNING ||
         (found->tasks[found->scan].flags & all) != INSTANCE_STOP)
    found->scan++;
  *run = found;
  *index = found->scan;
  found->tasks[found->scan].flags |= INSTANCE_TOLD;
  told(found);
}

/* --- what belongs to a run or a map that stops */

int astrum__stop_instance(astrum_sched *sched, astrum__run *run, uint32_t index,
                          astrum_cause cause, uint32_t blame, uint64_t now) {
  astrum__instance *instance = &run->tasks[index];
  if (astrum__final(instance))
    return 0;
  if (instance->state == ASTRUM_RUNNING) {
    int resuming = (instance->flags & INSTANCE_RESUMING) != 0;
    ask(sched, run, index, cause, blame);
    return resuming;
  }
  int queued = instance->state == ASTRUM_READY;
  astrum__settle(sched, run, index,
                 instance->attempt ? ASTRUM_CANCELLED : ASTRUM_SKIPPED, cause,
                 blame, now);
  return queued;
}

/* The run after `run` in a walk over the tree below `top`, or NULL. `inside`
   says whether those inside `run` belong to it. */
static astrum__run *next_below(astrum__run *run, const astrum__run *top,
                               int inside) {
  if (inside && astrum__list_linked(&run->children))
    return astrum__container_of(run->children.next, astrum__run, siblings);
  while (run != top) {
    if (run->siblings.next != &run->parent->children)
      return astrum__container_of(run->siblings.next, astrum__run, siblings);
    run = run->parent;
  }
  return NULL;
}

/* Stops one run. What is queued together with tasks of other runs is for the
   caller to sweep out, if this returns 1. */
static int stop_one(astrum_sched *sched, astrum__run *run, astrum_state verdict,
                    astrum_cause cause, uint32_t blame, int for_good,
                    uint64_t now) {
  int queued = 0;
  if (run->for_good)
    return 0;
  run->for_good =
      for_good || run->stopped || !run->begun || run->end != ASTRUM_NEVER;
  if (!run->stopped && run->end == ASTRUM_NEVER) {
    run->verdict = (uint8_t)verdict;
    run->cause = (uint8_t)cause;
    run->blame = blame;
  }
  run->stopped = 1;
  if (run->deadline_timer != NO_INDEX)
    astrum__timer_stop(sched, run->deadline_timer);
  if (!run->begun) {
    run->begun = 1;
    run->begin = now;
    if (!astrum__list_linked(&run->dirty))
      astrum__list_append(&sched->dirty, &run->dirty);
  }
  if (run->left == 0 && run->detached_left == 0)
    return 0;
  astrum__ready_drop(sched, run, 0, run->total, run->for_good);
  for (uint32_t i = 0; i < run->count; i++) {
    astrum__instance *instance = &run->tasks[i];
    if (astrum__final(instance) || !astrum__stops(run, instance))
      continue;
    if (instance->flags & INSTANCE_EXPANDED) {
      if (!(instance->flags & INSTANCE_STOP)) {
        instance->flags |= INSTANCE_STOP;
        instance->cause = (uint8_t)cause;
        instance->blame = blame;
      }
      queued |= astrum__map_stop(sched, run, astrum__map_find(run, i), cause,
                                 blame, now);
    } else {
      queued |= astrum__stop_instance(sched, run, i, cause, blame, now);
    }
  }
  return queued;
}

void astrum__stop(astrum_sched *sched, astrum__run *top, astrum_state verdict,
                  astrum_cause cause, uint32_t blame, int for_good,
                  uint64_t now) {
  int queued = 0, inside = 1;
  for (astrum__run *run = top; run; run = next_below(run, top, inside)) {
    if (run != top) {
      /* What goes on keeps its runs. */
      const astrum__run *parent = run->parent;
      inside = parent->for_good ||
               parent->tasks[run->parent_index].flags & INSTANCE_STOP;
      if (!inside)
        continue;
      verdict = ASTRUM_CANCELLED;
      cause = ASTRUM_CAUSE_PARENT;
      blame = ASTRUM_NO_TASK;
      for_good = parent->for_good;
    }
    int of_run = stop_one(sched, run, verdict, cause, blame, for_good, now);
    if (of_run && run->sorted && run->root->concurrency == 0)
      astrum__ready_sweep(sched, run);
    queued |= of_run;
  }
  if (queued && top->root->concurrency)
    astrum__ready_sweep(sched, top->root);
  if (queued && top->root->pool_count)
    astrum__pools_sweep(sched, top->root);
}

void astrum__stop_inside(astrum_sched *sched, astrum__run *run, uint32_t index,
                         uint64_t now) {
  uint32_t number = run->tasks[index].pending;
  if (number == 0)
    return;
  astrum__run *first = astrum__sched_run(sched, number - 1);
  astrum__run *child = first;
  do {
    astrum__stop(sched, child, ASTRUM_CANCELLED, ASTRUM_CAUSE_PARENT,
                 ASTRUM_NO_TASK, 0, now);
    child = astrum__container_of(child->peers.next, astrum__run, peers);
  } while (child != first);
}
