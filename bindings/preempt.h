/* Stopping Lua code that never waits (lua_preempt.c). */
#ifndef ASTRUM_PREEMPT_H
#define ASTRUM_PREEMPT_H

#include "binding.h"

/* Why the guard has stopped a coroutine. */
enum { STOPPED_NOT, STOPPED_BY_TIME, STOPPED_BY_SIGNAL };

/* What runs under the guard: a coroutine and those that it resumes. Lives on
   the C stack of who resumes it; only lua_preempt.c looks into it. */
struct guarded {
  guarded *outer;
  lua_State *outer_running;
  lua_State *co;
  const attempt *attempt; /* NULL: none, below the main program */
  volatile uint64_t due;
  volatile uint64_t since; /* when it was told to stop, or could obey, ns */
  volatile int stopped;    /* STOPPED_... */
  lua_State *volatile cut; /* coroutine that the stop has reached last */
  int line;                /* where `cut` has yielded in a hook; 0: Lua tells */
  int call_line;           /* of the call that the next instruction is after */
  const lua_State *kept;   /* whose place has been kept last */
  int kept_count;
  uint64_t cleanup_due;     /* of the coroutines below it; 0: none is closed */
  uint8_t is_cleanup;       /* closes a coroutine */
  uint8_t timed;            /* the timer knows of it */
  volatile uint8_t is_told; /* that it does not stop, or nobody is to be told */
  volatile uint8_t is_brief; /* has no time yet at which it must be over */
  volatile uint8_t signals;  /* that told it to stop: 0, 1, more */
};

/*
 * Around lua_resume: from here on a signal of the user, and the timer when the
 * time `due` comes (ns of CLOCK_MONOTONIC; ASTRUM_NEVER: no bound), stop the
 * Lua code of `co` and of the coroutines that it resumes. They nest, when a
 * task turns the loop itself. Without binding_enable_preemption nothing is
 * stopped by time.
 */
void binding_preempt_enter(engine *e, guarded *g, lua_State *co,
                           const attempt *a, uint64_t due);

/* Between the two: it is stopped by time after some milliseconds, unless it is
   over, and nobody is told if that takes long. Seldom reads the clock.
 */
void binding_preempt_brief(engine *e, guarded *g);

/*
 * Returns STOPPED_... : when it is not STOPPED_NOT the coroutine must never be
 * resumed, and whatever it returned or raised does not count. It has yielded
 * nothing, raised, or even ended; binding_close_coroutine is next. Its stack
 * can be read for a traceback; values may be pushed on it, none popped.
 */
int binding_preempt_leave(engine *e, guarded *g);

/*
 * Keeps, under a key of binding_anchor, where the code was that the guard has
 * stopped: a traceback, innermost frames first, also those of the coroutines
 * inside. `outer` is the coroutine that waits for that one, or NULL. After
 * binding_preempt_leave, and before the coroutine is closed. Returns 0 without
 * memory. Raises nothing.
 */
int binding_preempt_keep_place(engine *e, const guarded *g, lua_State *outer,
                               const void *key);

/* Everything of an attempt that runs now must be over at another time. */
void binding_preempt_move(engine *e, const attempt *a, uint64_t due);

/*
 * lua_closethread, where what is left to close may take one second in all.
 * Returns its status; if it is not LUA_OK the error is on the top of `co`. A
 * memory error, or a stop, that had ended the coroutine before is left out:
 * then it returns LUA_OK. Raises nothing.
 */
int binding_close_coroutine(engine *e, lua_State *co, const attempt *a);

/* Says on stderr that a body ran for `ran` ns although its attempt had only
   `limit`; the first time, and only where preemption is not enabled. */
void binding_preempt_overran(engine *e, const attempt *a, uint64_t ran,
                             uint64_t limit);

/*
 * Installs the signal handler and replaces coroutine.resume, wrap and close.
 * Pushes true; or nil and why it cannot be had on this system. A second call
 * changes nothing. Raises for want of memory.
 */
int binding_enable_preemption(engine *e, lua_State *L);

/* Makes the timer that this needs, if there is none. Returns NULL, or why it
   cannot be had. Raises for want of memory. */
const char *binding_preempt_timer(engine *e, lua_State *L);

/* Stops what runs under the guard. May be called from a signal handler. */
void binding_preempt_interrupt(engine *e);

/* Whether the thread of another state wants what runs here to stop. */
static inline int binding_is_asked(const engine *e) {
  return e->asked && atomic_load(e->asked);
}

/* Stops what runs under the guard, but for cleanup. */
void binding_preempt_ask(engine *e);

/* The engine is being closed: the signal and its timer are given back. */
void binding_preempt_free(engine *e);

#endif
