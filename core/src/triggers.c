/*
 * What follows when a task becomes final: the failure takes effect or is
 * handled, tasks downstream become ready or are skipped, the run ends.
 *
 * Final tasks stand in a list of their run, first in first out, until those
 * downstream have seen them:
 *
 *   settle --> list --> failures take effect --> each task downstream decides
 *               ^                                        |
 *               `----------- skipped ones ---------------'
 */
#include "scheduler.h"

/* --- becoming final */

static void mark_dirty(astrum_sched *sched, astrum__run *run) {
  if (!astrum__list_linked(&run->dirty))
    astrum__list_append(&sched->dirty, &run->dirty);
}

static void count_end(astrum__run *run, const astrum__instance *instance,
                      int was_active) {
  if (!astrum__attached(instance)) {
    run->detached_left--;
    return;
  }
  run->active -= (uint32_t)was_active;
  run->left--;
  switch (instance->state) {
  case ASTRUM_COMPLETED:
    run->completed++;
    break;
  case ASTRUM_FAILED:
    run->failed++;
    break;
  case ASTRUM_TIMED_OUT:
    run->timed_out++;
    break;
  case ASTRUM_CANCELLED:
    run->cancelled++;
    break;
  default:
    run->skipped++;
  }
}

/* What ends for a task and for an item alike. Returns whether it had begun to
   be ready. */
static int end_instance(astrum_sched *sched, astrum__run *run, uint32_t index,
                        astrum_state state, astrum_cause cause, uint32_t blame,
                        uint64_t now) {
  astrum__instance *instance = &run->tasks[index];
  int was_active = instance->state != ASTRUM_PENDING;
  astrum__instance_timers_free(sched, instance);
  if (!was_active)
    instance->previous = NO_INDEX; /* it was a counter */
  instance->state = (uint8_t)state;
  instance->cause = (uint8_t)cause;
  instance->blame = blame;
  instance->mark = now;
  instance->pending = 0;
  instance->next = NO_INDEX;
  if (run->changes)
    astrum__changed(sched, run, index);
  mark_dirty(sched, run);
  return was_active;
}

void astrum__settle_task(astrum_sched *sched, astrum__run *run, uint32_t task,
                         astrum_state state, astrum_cause cause, uint32_t blame,
                         uint64_t now) {
  int was_active = end_instance(sched, run, task, state, cause, blame, now);
  count_end(run, &run->tasks[task], was_active);
  if (run->final_first == NO_INDEX)
    run->final_first = task;
  else
    run->tasks[run->final_last].next = task;
  run->final_last = task;
}

void astrum__settle(astrum_sched *sched, astrum__run *run, uint32_t index,
                    astrum_state state, astrum_cause cause, uint32_t blame,
                    uint64_t now) {
  if (!astrum__is_item(run, index)) {
    astrum__settle_task(sched, run, index, state, cause, blame, now);
    return;
  }
  int was_active = end_instance(sched, run, index, state, cause, blame, now);
  astrum__item_settled(sched, run, index, was_active, now);
}

/* --- failures */

int astrum__handled(const astrum__run *run, uint32_t task, uint32_t *open) {
  const astrum__neighbours *side = &run->graph->downstream;
  int handled = 0;
  *open = 0;
  if (run->plain)
    return 0;
  for (uint32_t i = side->first[task]; i < side->first[task + 1]; i++) {
    const astrum__instance *consumer = &run->tasks[side->targets[i].id];
    if (!(consumer->flags & INSTANCE_HANDLES))
      continue;
    if (consumer->state == ASTRUM_COMPLETED)
      handled = 1;
    else if (!astrum__final(consumer))
      ++*open;
  }
  return handled || *open > 0;
}

int astrum__handled_for_good(const astrum__run *run, uint32_t task) {
  const astrum__neighbours *side = &run->graph->downstream;
  for (uint32_t i = side->first[task]; !run->plain && i < side->first[task + 1];
       i++) {
    const astrum__instance *consumer = &run->tasks[side->targets[i].id];
    if (consumer->flags & INSTANCE_HANDLES &&
        consumer->state == ASTRUM_COMPLETED)
      return 1;
  }
  return 0;
}

void astrum__take_effect(astrum_sched *sched, astrum__run *run, uint32_t task,
                         uint64_t now) {
  if (run->stopped || run->end != ASTRUM_NEVER ||
      !astrum__attached(&run->tasks[task]))
    return;
  if (!run->failing) {
    run->failing = 1;
    run->cause = ASTRUM_CAUSE_ERROR;
    run->blame = task;
  }
  if (run->failure_mode == ASTRUM_KEEP_GOING)
    return;
  uint32_t first = run->blame;
  astrum__stop(sched, run, ASTRUM_FAILED, ASTRUM_CAUSE_FAILURE, task, 0, now);
  run->cause = ASTRUM_CAUSE_ERROR;
  run->blame = first;
}

void astrum__fail(astrum_sched *sched, astrum__run *run, uint32_t index,
                  astrum_state state, astrum_cause cause, uint64_t now) {
  astrum__map *map =
      astrum__is_item(run, index) ? astrum__map_of(run, index) : NULL;
  int breaks = map && !map->broken && !map->tolerant;
  if (breaks)
    map->broken = 1;
  astrum__settle(sched, run, index, state, cause, ASTRUM_NO_TASK, now);
  if (breaks && map->left > 0)
    astrum__map_break(sched, run, map, now);
}

/* A failed task is seen: its failure takes effect if nothing can handle it. */
static void see_failure(astrum_sched *sched, astrum__run *run, uint32_t task,
                        uint64_t now) {
  uint32_t open;
  if (!astrum__handled(run, task, &open))
    astrum__take_effect(sched, run, task, now);
  else if (!astrum__handled_for_good(run, task))
    run->tasks[task].pending = open;
}

/* A task that handles failures is seen final. */
static void see_handler(astrum_sched *sched, astrum__run *run, uint32_t task,
                        uint64_t now) {
  const astrum__neighbours *side = &run->graph->upstream;
  int completed = run->tasks[task].state == ASTRUM_COMPLETED;
  for (uint32_t i = side->first[task]; i < side->first[task + 1]; i++) {
    uint32_t id = side->targets[i].id;
    astrum__instance *upstream = &run->tasks[id];
    if (!astrum__failed(upstream) || upstream->pending == 0)
      continue;
    upstream->pending = completed ? 0 : upstream->pending - 1;
    if (upstream->pending == 0 && !completed)
      astrum__take_effect(sched, run, id, now);
  }
}

/* --- triggers */

typedef enum { COUNTS_SUCCESS, COUNTS_SKIPPED, COUNTS_FAILED } standing;

static standing standing_of(const astrum__instance *instance) {
  if (instance->state == ASTRUM_COMPLETED)
    return COUNTS_SUCCESS;
  return instance->state == ASTRUM_SKIPPED &&
                 (instance->cause == ASTRUM_CAUSE_CONDITION ||
                  instance->cause == ASTRUM_CAUSE_TRIGGER)
             ? COUNTS_SKIPPED
             : COUNTS_FAILED;
}

typedef enum { WAIT, GO, SKIP } decision;

/* From the numbers of tasks upstream: those not seen final, and of the others
   the failed, skipped and successful ones. */
static decision decide(astrum_trigger trigger, uint32_t pending,
                       uint32_t failed, uint32_t skipped, uint32_t successful) {
  int all = pending == 0;
  switch (trigger) {
  case ASTRUM_ALL_SUCCESS:
    return failed || skipped ? SKIP : all ? GO : WAIT;
  case ASTRUM_ALL_DONE:
    return all ? GO : WAIT;
  case ASTRUM_ALL_FAILED:
    return successful || skipped ? SKIP : all ? GO : WAIT;
  case ASTRUM_ONE_SUCCESS:
    return successful ? GO : all ? SKIP : WAIT;
  case ASTRUM_ONE_FAILED:
    return failed ? GO : all ? SKIP : WAIT;
  case ASTRUM_NONE_FAILED:
    return failed ? SKIP : all ? GO : WAIT;
  case ASTRUM_NONE_FAILED_MIN_ONE_SUCCESS:
    return failed ? SKIP : !all ? WAIT : successful ? GO : SKIP;
  case ASTRUM_ALWAYS:
    return GO;
  }
  return GO;
}

/* The first task upstream that was seen to have failed, or what that one has
   as blame if it was skipped. */
static uint32_t failed_upstream(const astrum__run *run, uint32_t task) {
  const astrum__neighbours *side = &run->graph->upstream;
  uint32_t i = side->first[task];
  for (;; i++) {
    const astrum__instance *upstream = &run->tasks[side->targets[i].id];
    if (upstream->flags & INSTANCE_SEEN &&
        standing_of(upstream) == COUNTS_FAILED)
      break;
  }
  uint32_t id = side->targets[i].id;
  return run->tasks[id].state == ASTRUM_SKIPPED ? run->tasks[id].blame : id;
}

static void skip(astrum_sched *sched, astrum__run *run, uint32_t task,
                 uint32_t decider, int upstream, uint64_t now) {
  if (upstream)
    astrum__settle(sched, run, task, ASTRUM_SKIPPED, ASTRUM_CAUSE_UPSTREAM,
                   failed_upstream(run, task), now);
  else
    astrum__settle(sched, run, task, ASTRUM_SKIPPED, ASTRUM_CAUSE_TRIGGER,
                   decider, now);
}

/* A task with a trigger of its own looks at one upstream that is final. */
static void look(astrum_sched *sched, astrum__run *run, uint32_t task,
                 uint32_t seen, standing counts, uint64_t now) {
  astrum__instance *instance = &run->tasks[task];
  astrum_trigger trigger =
      (astrum_trigger)astrum__graph_policy(run->graph, task)->trigger;
  instance->pending--;
  instance->next += counts == COUNTS_FAILED;
  instance->previous += counts == COUNTS_SKIPPED;
  uint32_t failed = instance->next, skipped = instance->previous;
  uint32_t successful = astrum__graph_in_degree(run->graph, task) -
                        instance->pending - failed - skipped;
  decision decided =
      decide(trigger, instance->pending, failed, skipped, successful);
  if (decided == GO)
    astrum__make_ready(sched, run, task, now);
  else if (decided == SKIP)
    skip(sched, run, task, seen,
         counts == COUNTS_FAILED ||
             (failed &&
              (trigger == ASTRUM_ONE_SUCCESS || trigger == ASTRUM_NONE_FAILED ||
               trigger == ASTRUM_NONE_FAILED_MIN_ONE_SUCCESS)),
         now);
}

static void see_downstream(astrum_sched *sched, astrum__run *run, uint32_t task,
                           uint64_t now) {
  const astrum__neighbours *side = &run->graph->downstream;
  standing counts = standing_of(&run->tasks[task]);
  run->tasks[task].flags |= INSTANCE_SEEN;
  for (uint32_t i = side->first[task]; i < side->first[task + 1]; i++) {
    uint32_t id = side->targets[i].id;
    astrum__instance *instance = &run->tasks[id];
    if (instance->state != ASTRUM_PENDING)
      continue;
    if (instance->flags & INSTANCE_TRIGGER)
      look(sched, run, id, task, counts, now);
    else if (counts != COUNTS_SUCCESS)
      skip(sched, run, id, task, counts == COUNTS_FAILED, now);
    else if (--instance->pending == 0)
      astrum__make_ready(sched, run, id, now);
  }
}

void astrum__begin_tasks(astrum_sched *sched, astrum__run *run, uint64_t now) {
  for (uint32_t i = 0; i < run->count; i++) {
    /* Most tasks wait for others, which the graph tells at less cost. */
    if (run->plain && astrum__graph_in_degree(run->graph, i) > 0)
      continue;
    const astrum__instance *instance = &run->tasks[i];
    if (!(instance->flags & INSTANCE_TRIGGER)) {
      if (instance->pending == 0)
        astrum__make_ready(sched, run, i, now);
      continue;
    }
    astrum_trigger trigger =
        (astrum_trigger)astrum__graph_policy(run->graph, i)->trigger;
    if (instance->pending > 0 && trigger != ASTRUM_ALWAYS)
      continue;
    if (decide(trigger, 0, 0, 0, 0) == GO)
      astrum__make_ready(sched, run, i, now);
    else
      skip(sched, run, i, ASTRUM_NO_TASK, 0, now);
  }
  mark_dirty(sched, run);
}

/* --- the end of a run */

void astrum__end_run(astrum_sched *sched, astrum__run *run, uint64_t now) {
  /* A frozen graph has no cycle, so this is a bug of the scheduler: say so
     rather than hang. */
  if (run->left > 0 && !run->stopped)
    astrum__stop(sched, run, ASTRUM_FAILED, ASTRUM_CAUSE_STUCK, ASTRUM_NO_TASK,
                 1, now);
  if (run->left > 0)
    return;
  if (run->end == ASTRUM_NEVER) {
    run->end = now;
    run->state = run->verdict;
    if (!run->stopped)
      run->state = run->failing ? ASTRUM_FAILED : ASTRUM_COMPLETED;
  }
  if (run->detached_left == 0 && run->deadline_timer != NO_INDEX)
    astrum__timer_stop(sched, run->deadline_timer);
  int news = !run->done_told || (!run->closed_told && run->detached_left == 0);
  if (news && !astrum__list_linked(&run->news))
    astrum__list_append(&sched->news, &run->news);
}

static void see_final(astrum_sched *sched, astrum__run *run, uint64_t now) {
  while (run->final_first != NO_INDEX) {
    uint32_t task = run->final_first;
    const astrum__instance *instance = &run->tasks[task];
    if (!run->stopped) {
      if (instance->flags & INSTANCE_HANDLES)
        see_handler(sched, run, task, now);
      if (astrum__failed(instance))
        see_failure(sched, run, task, now);
    }
    see_downstream(sched, run, task, now);
    /* Taken out last: those that follow stand behind it. */
    run->final_first = run->tasks[task].next;
  }
}

void astrum__follow(astrum_sched *sched, uint64_t now) {
  while (astrum__list_linked(&sched->dirty)) {
    astrum__run *run =
        astrum__container_of(sched->dirty.next, astrum__run, dirty);
    astrum__list_remove(&run->dirty);
    see_final(sched, run, now);
    astrum__check_end(sched, run, now);
  }
}
