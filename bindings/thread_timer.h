/*
 * A timer that interrupts the thread it is used in: a POSIX timer whose signal
 * goes to that thread alone. Opening one installs a handler for a real-time
 * signal, which is the one change of the process made here; when the last timer
 * is closed, the signal is as it was.
 */
#ifndef ASTRUM_THREAD_TIMER_H
#define ASTRUM_THREAD_TIMER_H

#include <pthread.h>
#include <stdint.h>

typedef struct thread_timer {
  void (*fire)(void *user); /* runs inside the signal handler */
  void *user;
  volatile uint64_t at;       /* when it fires next; UINT64_MAX: never */
  struct thread_timer *outer; /* begun before in the same thread */
  const void *thread;         /* whose timer `id` is, or NULL */
  int depth;                  /* of begin without end */
  unsigned ignored;           /* signals of that thread that were considered */
  int was_blocked;            /* the signal, in that thread */
  void *id;
} thread_timer;

/* ns of the clock that the timers go by, CLOCK_MONOTONIC. */
uint64_t thread_timer_now(void);

/* Whether this system has such timers at all. */
int thread_timer_exists(void);

/*
 * Makes a timer in memory of the caller, who has set `fire` and `user`. Returns
 * NULL, or why it cannot be had; then nothing has changed.
 */
const char *thread_timer_open(thread_timer *t);

/* Ends it. No signal of it is handled after that. */
void thread_timer_close(thread_timer *t);

/*
 * It fires only between begin and end, in the thread that called begin. They
 * nest, also with those of other timers. Moving to another thread costs three
 * system calls, anything else none.
 */
void thread_timer_begin(thread_timer *t);
void thread_timer_end(thread_timer *t);

/*
 * It fires once at that time, soon if it is past, and not at the time set
 * before. When it has come, `at` is UINT64_MAX before `fire` is called. May be
 * called from a signal handler.
 */
void thread_timer_set(thread_timer *t, uint64_t at);

/*
 * Interrupts a thread that has begun with the timer as if its time had come,
 * and leaves the time that is set, unless no more signals may be pending: then
 * the timer fires in its place. The one function for other threads; the
 * caller sees to it that neither timer nor thread ends meanwhile.
 */
void thread_timer_poke(const thread_timer *t, pthread_t thread);

#endif
