/*
 * Small things that every file of the core may use.
 */
#ifndef ASTRUM_INTERNAL_H
#define ASTRUM_INTERNAL_H

#include <assert.h>
#include <astrum.h>

/* The struct of `type` whose `member` is at `pointer`. */
#define astrum__container_of(pointer, type, member)                            \
  ((type *)(void *)((char *)(pointer)-offsetof(type, member)))

/* a + b, or UINT64_MAX where that does not fit: for times and weights. */
static inline uint64_t astrum__add_clamped(uint64_t a, uint64_t b) {
  return a > UINT64_MAX - b ? UINT64_MAX : a + b;
}

/* Whether the next thing to do is to ask an attempt to stop, or to tell of what
   happened before. In scheduler.c. */
int astrum__sched_stops(const astrum_sched *sched);

/* Carries out what can happen at once, as long as a turn may take, without a
   poll. Does nothing on a loop of the host's, which has more to look after. In
   uv/loop.c. */
void astrum__loop_turn(astrum_loop *loop);

/* The state of a task of a run; the rest of its record costs more. ESTALE and
   EINVAL as astrum_sched_record. In records.c. */
astrum_err astrum__sched_state(const astrum_sched *sched, astrum_run run,
                               astrum_task task, astrum_state *state);

#endif
