/* Worker threads: at home (lua_thread.c, lua_home.c), and in them
 * (lua_worker.c). */
#ifndef ASTRUM_THREAD_H
#define ASTRUM_THREAD_H

#include "binding.h"

/*
 * Hands an attempt to a worker thread whose body, with `count` arguments on it,
 * is on the top of engine->slots, if that is a body of those and nothing needs
 * the attempt's own coroutine. Then the attempt has no strand until the answer
 * comes. Returns whether it has done so; pops nothing, raises nothing.
 */
int binding_call_directly(engine *e, attempt *a, int count);

/* Gives up the body of such an attempt. */
void binding_cancel_direct(engine *e, attempt *a);

/* Undoes the wait of a strand for a body in another thread. */
void binding_cancel_call(engine *e, strand *s);

/* After astrum_loop_wake. */
void binding_threads_woken(engine *e);

/* Before the loop may sleep: takes what has been told, and does at home what
   workers have not come to, until the scheduler goes on. */
void binding_threads_settle(engine *e);

/* Bodies for worker threads wait at home for more of them, to be queued
   together or to run one after the other. Whatever may take long, as any code
   of the user's, is preceded by binding_flush_jobs. */
void binding_queue_jobs(engine *e);
void binding_end_batch(engine *e);

static inline void binding_flush_jobs(engine *e) {
  if (e->holds_jobs)
    binding_queue_jobs(e);
  if (e->brief_left)
    binding_end_batch(e);
}

/* Stops and ends the threads; in a forked process there are none. */
void binding_close_threads(engine *e);
/* Frees what is kept of them; nothing waits any more. */
void binding_free_homes(engine *e);
void binding_free_thread_run(run *r);

/* Of the job that a worker has taken. */
enum { CALL_NONE, CALL_NEXT, CALL_BEGUN, CALL_ENDED };

/* Time between TERM and KILL for the processes of the body that a worker runs,
   ns. */
uint64_t binding_worker_grace(const engine *e);

/* The task whose body a worker runs, and its item or 0; NULL: there is none, or
   it is no worker. For signal handlers, too. */
const char *binding_worker_task(const engine *e, size_t *size, uint32_t *item);

/* What home has said of the attempt whose body is to stop; NULL: nothing. For
   signal handlers, too. */
const struct preempt_about *binding_worker_about(const engine *e);

/* What each thread of a pool runs. */
void binding_run_worker(struct thread_worker *worker);

#endif
