/*
 * What time brings: one heap of all timers of a scheduler, from which each can
 * be taken out. Timers have numbers, which stay while the heap moves:
 *
 *   timers      [number] -> due, what for, place
 *   timer_heap  [place - 1] -> number
 *
 * An attempt has a timer for its timeout, or for its idle time, or both, the
 * second as pair of the first. The first one is kept when the attempt ends, in
 * case a retry has to wait.
 */
#include "scheduler.h"

static int due_before(const astrum_sched *sched, uint32_t a, uint32_t b) {
  const astrum__timer *x = &sched->timers[a], *y = &sched->timers[b];
  return x->due != y->due ? x->due < y->due : x->order < y->order;
}

static void put(astrum_sched *sched, uint32_t place, uint32_t timer) {
  sched->timer_heap[place - 1] = timer;
  sched->timers[timer].place = place;
}

static void sift_up(astrum_sched *sched, uint32_t place, uint32_t timer) {
  while (place > 1 &&
         due_before(sched, timer, sched->timer_heap[place / 2 - 1])) {
    put(sched, place, sched->timer_heap[place / 2 - 1]);
    place /= 2;
  }
  put(sched, place, timer);
}

static void sift_down(astrum_sched *sched, uint32_t place, uint32_t timer) {
  const uint32_t *heap = sched->timer_heap;
  for (;;) {
    uint64_t child = 2 * (uint64_t)place;
    if (child > sched->timers_set)
      break;
    if (child < sched->timers_set &&
        due_before(sched, heap[child], heap[child - 1]))
      child++;
    if (!due_before(sched, heap[child - 1], timer))
      break;
    put(sched, place, heap[child - 1]);
    place = (uint32_t)child;
  }
  put(sched, place, timer);
}

astrum_err astrum__timer_new(astrum_sched *sched, uint32_t *timer) {
  uint32_t number = sched->timer_free;
  if (number != NO_INDEX) {
    sched->timer_free = sched->timers[number].pair;
  } else {
    if (sched->timer_count >= NO_INDEX - 1)
      return ASTRUM_ELIMIT;
    size_t need = (size_t)sched->timer_count + 1;
    if (astrum__grow(&sched->alloc, (void **)&sched->timer_heap,
                     &sched->timer_heap_capacity, need,
                     sizeof *sched->timer_heap) ||
        astrum__grow(&sched->alloc, (void **)&sched->timers,
                     &sched->timer_capacity, need, sizeof *sched->timers))
      return ASTRUM_ENOMEM;
    number = sched->timer_count++;
  }
  sched->timers[number] = (astrum__timer){.pair = NO_INDEX};
  *timer = number;
  return ASTRUM_OK;
}

void astrum__timer_stop(astrum_sched *sched, uint32_t timer) {
  uint32_t place = sched->timers[timer].place;
  if (place == 0)
    return;
  sched->timers[timer].place = 0;
  uint32_t moved = sched->timer_heap[--sched->timers_set];
  if (moved == timer)
    return;
  if (place > 1 && due_before(sched, moved, sched->timer_heap[place / 2 - 1]))
    sift_up(sched, place, moved);
  else
    sift_down(sched, place, moved);
}

void astrum__timer_free(astrum_sched *sched, uint32_t timer) {
  if (timer == NO_INDEX)
    return;
  astrum__timer_stop(sched, timer);
  sched->timers[timer].pair = sched->timer_free;
  sched->timer_free = timer;
}

void astrum__timer_set(astrum_sched *sched, uint32_t timer,
                       astrum__timer_kind kind, uint64_t due, uint32_t run,
                       uint32_t index) {
  astrum__timer_stop(sched, timer);
  astrum__timer *entry = &sched->timers[timer];
  entry->kind = (uint8_t)kind;
  entry->run = run;
  entry->index = index;
  entry->due = due;
  entry->order = sched->order++;
  if (due != ASTRUM_NEVER)
    sift_up(sched, ++sched->timers_set, timer);
}

/* Whether what the timer brings could not happen, for want of a slot. */
static int is_vain(const astrum_sched *sched, const astrum__timer *timer) {
  if (timer->kind != TIMER_RATE)
    return 0;
  const astrum__run *root = astrum__sched_run(sched, timer->run);
  return root->concurrency && root->occupied >= root->concurrency;
}

/* Walks down the heap from the top, past timers that are vain only. */
uint64_t astrum__timers_next(const astrum_sched *sched) {
  uint64_t next = ASTRUM_NEVER, place = 1;
  while (place <= sched->timers_set) {
    const astrum__timer *timer = &sched->timers[sched->timer_heap[place - 1]];
    if (is_vain(sched, timer) && 2 * place <= sched->timers_set) {
      place *= 2;
      continue;
    }
    if (!is_vain(sched, timer) && timer->due < next)
      next = timer->due;
    /* To the right, where there is nothing up first. */
    while (place % 2 == 1 || place == sched->timers_set) {
      if (place <= 1)
        return next;
      place /= 2;
    }
    place++;
  }
  return next;
}

/* --- of attempts */

int astrum__attempt_timers(astrum_sched *sched, astrum__run *run,
                           uint32_t index, uint64_t now) {
  astrum__instance *instance = &run->tasks[index];
  const astrum_policy *policy = astrum__policy_of(run, index);
  uint32_t timer, pair = NO_INDEX;
  if (astrum__timer_new(sched, &timer))
    return 0;
  if (policy->timeout && policy->idle_timeout &&
      astrum__timer_new(sched, &pair)) {
    astrum__timer_free(sched, timer);
    return 0;
  }
  instance->blame = timer;
  sched->timers[timer].pair = pair;
  if (policy->timeout)
    astrum__timer_set(sched, timer, TIMER_TIMEOUT,
                      astrum__add_clamped(now, policy->timeout), run->id,
                      index);
  if (policy->idle_timeout)
    astrum__timer_set(sched, pair == NO_INDEX ? timer : pair, TIMER_IDLE,
                      astrum__add_clamped(now, policy->idle_timeout), run->id,
                      index);
  return 1;
}

void astrum__instance_timers_free(astrum_sched *sched,
                                  astrum__instance *instance) {
  uint32_t timer = astrum__timer_of(instance);
  if (timer == NO_INDEX)
    return;
  astrum__timer_free(sched, sched->timers[timer].pair);
  astrum__timer_free(sched, timer);
  instance->blame = ASTRUM_NO_TASK;
}

void astrum__timers_free(astrum_sched *sched) {
  astrum__free(&sched->alloc, sched->timers,
               sched->timer_capacity * sizeof *sched->timers);
  astrum__free(&sched->alloc, sched->timer_heap,
               sched->timer_heap_capacity * sizeof *sched->timer_heap);
}
