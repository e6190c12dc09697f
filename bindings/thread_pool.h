/*
 * Threads that carry out jobs for one event loop: a queue, its workers, and
 * what they tell. Knows nothing of Lua. `home` is the thread of the loop.
 *
 *   home     submit --> queue --> next     worker
 *            take   <-- told  <-- next, tell
 *
 * One mutex guards all of it; a worker hands in one job and takes the next
 * under one lock. Memory is malloc's, as the allocator of a Lua state is not
 * for several threads.
 */
#ifndef ASTRUM_THREAD_POOL_H
#define ASTRUM_THREAD_POOL_H

#include "codec.h"

#include <pthread.h>
#include <stdatomic.h>

typedef struct thread_pool thread_pool;
typedef struct thread_worker thread_worker;

/* What all jobs of one function have. Belongs to home. */
typedef struct {
  uint64_t id;                  /* no other of the process has it */
  atomic_uint_fast64_t typical; /* ns that a job takes; 0: not known yet */
} thread_work;

typedef enum {
  THREAD_FREE,
  THREAD_QUEUED,
  THREAD_RUNNING,
  THREAD_OVER
} thread_state;

/* FAILED, STOPPED: the values are text, value, traceback. BROKEN: no message
   but a text, why the worker cannot run anything. */
typedef enum {
  THREAD_RETURNED,
  THREAD_FAILED,
  THREAD_STOPPED,
  THREAD_BROKEN
} thread_outcome;

/* STRAY: an error that nobody takes; the text is where it was, a zero byte, and
   what it says. */
typedef enum {
  THREAD_DONE,
  THREAD_LOG,
  THREAD_PROGRESS,
  THREAD_STRAY
} thread_kind;

typedef struct thread_job thread_job;

/* What a worker tells of a job; DONE comes last. */
typedef struct thread_event {
  struct thread_event *next;
  thread_job *job;
  thread_kind kind;
  double fraction;  /* of PROGRESS */
  const char *text; /* may be NULL; goes with the event */
  size_t size;
} thread_event;

struct thread_job {
  thread_job *next, **link; /* in a queue: what points to it */
  thread_work *work;
  thread_worker *worker;  /* that runs it */
  codec_buffer values;    /* for the worker; afterwards for home */
  thread_outcome outcome; /* set by the worker */
  thread_state state;     /* under the lock */
  int is_small;           /* home may hear of its end later than at once */
  int is_shared;          /* home does its part of such jobs */
  thread_event done;
};

/*
 * Starts a thread; others, at most `most` in all, follow when there are jobs
 * that nobody is free for. Each calls `run`, which returns when
 * thread_pool_next gave NULL. `wake` is called by workers when there is
 * something to take. NULL: no thread could be started; *code says why.
 */
thread_pool *thread_pool_new(int most, void (*run)(thread_worker *worker),
                             void (*wake)(void *user), void *user, int *code);

/* Stops what runs, waits until all threads have ended, and frees the pool. No
   job of it is touched after that; events that were not taken are gone. */
void thread_pool_close(thread_pool *pool);

/* --- for home */

/*
 * Puts a job into the queue: in front of older ones, but behind those that were
 * submitted since the last thread_pool_take. `patient`: home may hear late of
 * the end of a job that this made `is_small`. A few of these are kept back, to
 * be queued together. Returns whether any is.
 */
int thread_pool_submit(thread_pool *pool, thread_job *job, int patient);

/* Queues what was kept back. Home does so before it turns to anything else. */
void thread_pool_flush(thread_pool *pool);

/* 1: nobody has begun it, and it is out of the queue. 0: it is being stopped,
   or is over; THREAD_DONE is still to be taken. */
int thread_pool_withdraw(thread_pool *pool, thread_job *job);

/* Whether workers have enough to do for home to do something else. */
int thread_pool_is_busy(const thread_pool *pool);

/* A shared job that nobody has begun, out of the queue; NULL: there is none. */
thread_job *thread_pool_reclaim(thread_pool *pool);

/* What has been told, the oldest first; free each with thread_event_free. */
thread_event *thread_pool_take(thread_pool *pool);
void thread_event_free(thread_event *event);

/* Whether home takes by itself, a millisecond or so from now. As long as it
   does, workers may keep the ends of small jobs for that. */
void thread_pool_look(thread_pool *pool, int looks);

/* Notes how long a job of that work took, ns. */
void thread_work_took(thread_work *work, uint64_t took);

/* The allocator of thread_job.values. */
astrum_alloc thread_pool_alloc(void);

/* --- for workers */

/* The user of the pool. */
void *thread_worker_user(const thread_worker *worker);

/* Not 0 while the job that it runs is to stop. */
const atomic_int *thread_worker_asked(const thread_worker *worker);

/* Who is called, by home and with the lock held, when that has been set. NULL:
   nobody. */
void thread_worker_bind(thread_worker *worker,
                        void (*interrupt)(void *user, pthread_t thread),
                        void *user);

/* The job it runs, or NULL. */
thread_job *thread_worker_job(const thread_worker *worker);

int thread_worker_closing(const thread_worker *worker);

/* Hands in the job that it runs, if it does, and waits for the next one. NULL:
   the pool is being closed. */
thread_job *thread_pool_next(thread_worker *worker);

/* Only hands it in. */
void thread_pool_hand_in(thread_worker *worker);

/* Tells something of the job that it runs. Returns 0 without memory. */
int thread_pool_tell(thread_worker *worker, thread_kind kind, double fraction,
                     const char *text, size_t size);

#endif
