/*
 * The pool. A worker that finds no job spins for a moment before it sleeps, as
 * waking it takes far longer than a small job. The other way round, home is not
 * woken for each small job: a worker that has more of them to do wakes it after
 * a few, as long as home looks by itself after a millisecond.
 * Small jobs are queued a few at a time, so that home seldom meets the workers
 * at the lock. Shared ones are for home as well: while there are no others, one
 * worker is left asleep in its place, so that no core has two threads to run.
 */
#define _GNU_SOURCE

#include "thread_pool.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
  SPIN_NS = 20000,  /* before a worker sleeps */
  SMALL_NS = 20000, /* jobs of which home hears in groups */
  GROUP = 32,       /* of at most so many, */
  GROUP_NS = 50000, /* and not longer after the first of them */
  HELD = 16,        /* jobs that are queued together, at most so many */
  HELD_NS = 4000    /* and not more than workers do in such a time */
};

struct thread_worker {
  thread_pool *pool;
  pthread_t thread;
  thread_job *job;
  uint64_t begin; /* of the job */
  atomic_int asked;
  void (*interrupt)(void *user, pthread_t thread);
  void *user;
};

struct thread_pool {
  pthread_mutex_t lock;
  pthread_cond_t there_is_work;
  thread_job *queue, **insert_at;
  atomic_int queued; /* read without the lock only to spin */
  int others;        /* of the queue, that are not shared */
  int is_late;       /* home does not come to those that are */
  int awake;         /* workers, with those that are still starting */
  int sleeping;      /* workers */
  int signalled;     /* of these, that are being woken */
  int free;          /* workers without a job, or that are still starting */
  atomic_int closing;
  thread_event *told, **told_end;
  int told_count;
  uint64_t told_since; /* when the first of them was told */
  int is_woken;        /* home, and has not taken since */
  int looks;           /* home, by itself */
  /* Only of home: */
  thread_job *held, **held_end;
  int held_count, held_others;
  uint64_t held_ns;
  void (*run)(thread_worker *worker);
  void (*wake)(void *user);
  void *user;
  int count; /* of workers that have been started */
  int most;  /* of them */
  thread_worker workers[];
};

static uint64_t now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (uint64_t)t.tv_sec * UINT64_C(1000000000) + (uint64_t)t.tv_nsec;
}

static void *reallocate(void *user, void *ptr, size_t old_size,
                        size_t new_size) {
  (void)user;
  (void)old_size;
  if (new_size > 0)
    return realloc(ptr, new_size);
  free(ptr);
  return NULL;
}

astrum_alloc thread_pool_alloc(void) {
  return (astrum_alloc){.fn = reallocate};
}

/* --- starting and ending */

static void *start(void *argument) {
  thread_worker *w = argument;
  w->pool->run(w);
  return NULL;
}

/* Returns 0, or why it could not. Signals are for the threads of the host: its
   handlers may rely on that. */
static int start_worker(thread_pool *pool) {
  sigset_t all, old;
  sigfillset(&all);
  sigdelset(&all, SIGSEGV);
  sigdelset(&all, SIGBUS);
  sigdelset(&all, SIGFPE);
  sigdelset(&all, SIGILL);
  sigdelset(&all, SIGABRT);
  pthread_sigmask(SIG_SETMASK, &all, &old);
  thread_worker *w = &pool->workers[pool->count];
  w->pool = pool;
  int code = pthread_create(&w->thread, NULL, start, w);
  pthread_sigmask(SIG_SETMASK, &old, NULL);
  pool->count += code == 0;
  return code;
}

/* It is held for a very short time, so that who waits for it had better spin
   than sleep. */
static void init_lock(pthread_mutex_t *lock) {
  pthread_mutexattr_t attributes;
  pthread_mutexattr_init(&attributes);
#ifdef PTHREAD_ADAPTIVE_MUTEX_INITIALIZER_NP
  pthread_mutexattr_settype(&attributes, PTHREAD_MUTEX_ADAPTIVE_NP);
#endif
  pthread_mutex_init(lock, &attributes);
  pthread_mutexattr_destroy(&attributes);
}

thread_pool *thread_pool_new(int most, void (*run)(thread_worker *worker),
                             void (*wake)(void *user), void *user, int *code) {
  size_t size = sizeof(thread_pool) + (size_t)most * sizeof(thread_worker);
  thread_pool *pool = calloc(1, size);
  *code = ENOMEM;
  if (!pool)
    return NULL;
  init_lock(&pool->lock);
  pthread_cond_init(&pool->there_is_work, NULL);
  pool->insert_at = &pool->queue;
  pool->told_end = &pool->told;
  pool->held_end = &pool->held;
  pool->run = run;
  pool->wake = wake;
  pool->user = user;
  pool->most = most;
  pool->free = pool->awake = 1;
  *code = start_worker(pool);
  if (*code == 0)
    return pool;
  thread_pool_close(pool);
  return NULL;
}

static void ask(thread_worker *w) {
  if (atomic_exchange(&w->asked, 1) == 0 && w->interrupt)
    w->interrupt(w->user, w->thread);
}

void thread_pool_close(thread_pool *pool) {
  pthread_mutex_lock(&pool->lock);
  atomic_store(&pool->closing, 1);
  pool->queue = NULL;
  atomic_store(&pool->queued, 0);
  for (int i = 0; i < pool->count; i++)
    if (pool->workers[i].job)
      ask(&pool->workers[i]);
  pthread_cond_broadcast(&pool->there_is_work);
  pthread_mutex_unlock(&pool->lock);
  for (int i = 0; i < pool->count; i++)
    pthread_join(pool->workers[i].thread, NULL);
  for (thread_event *event = pool->told, *next; event; event = next) {
    next = event->next;
    thread_event_free(event);
  }
  pthread_cond_destroy(&pool->there_is_work);
  pthread_mutex_destroy(&pool->lock);
  free(pool);
}

/* --- with the lock: how many threads there shall be */

static int wanted(const thread_pool *pool) {
  int at_home = pool->most > 1 && pool->others == 0 && !pool->is_late;
  return pool->most - at_home;
}

/*
 * Whether another one is to be woken. One that wakes up wakes the next if there
 * is more to do, but is_large: home wakes one for each large job, and sleeps.
 * Linux puts who is woken on the core of the one who did it, if no other is
 * idle, and with two workers on one core it may take 20 ms to see it.
 */
static int may_wake(thread_pool *pool, int is_large) {
  int wake = pool->queue && pool->sleeping > pool->signalled &&
             (pool->signalled == 0 || is_large) &&
             pool->awake + pool->signalled < wanted(pool);
  pool->signalled += wake;
  return wake;
}

/* How many are to be started. */
static int may_start(thread_pool *pool) {
  int more = atomic_load(&pool->queued) - pool->free;
  int most = wanted(pool) - pool->count;
  if (more > most)
    more = most;
  if (more <= 0)
    return 0;
  pool->free += more;
  pool->awake += more;
  return more;
}

/* --- home: the queue */

/* Starts so many; those that cannot be started are not asked for again. */
static void start_more(thread_pool *pool, int more) {
  while (more > 0 && start_worker(pool) == 0)
    more--;
  if (more == 0)
    return;
  pthread_mutex_lock(&pool->lock);
  pool->most = pool->count;
  pool->free -= more;
  pool->awake -= more;
  pthread_mutex_unlock(&pool->lock);
}

static void flush(thread_pool *pool, int is_large) {
  pthread_mutex_lock(&pool->lock);
  thread_job *behind = *pool->insert_at;
  *pool->held_end = behind;
  if (behind)
    behind->link = pool->held_end;
  *pool->insert_at = pool->held;
  pool->held->link = pool->insert_at;
  pool->insert_at = pool->held_end;
  atomic_fetch_add(&pool->queued, pool->held_count);
  pool->others += pool->held_others;
  int wake = may_wake(pool, is_large), more = may_start(pool);
  pthread_mutex_unlock(&pool->lock);
  pool->held = NULL;
  pool->held_end = &pool->held;
  pool->held_count = 0;
  pool->held_others = 0;
  pool->held_ns = 0;
  if (wake)
    pthread_cond_signal(&pool->there_is_work);
  if (more > 0)
    start_more(pool, more);
}

int thread_pool_submit(thread_pool *pool, thread_job *job, int patient) {
  uint64_t typical =
      atomic_load_explicit(&job->work->typical, memory_order_relaxed);
  job->is_small = patient && typical > 0 && typical < SMALL_NS;
  job->state = THREAD_QUEUED;
  job->worker = NULL;
  job->next = NULL;
  job->link = pool->held_end;
  *pool->held_end = job;
  pool->held_end = &job->next;
  pool->held_count++;
  pool->held_others += !job->is_shared;
  pool->held_ns += typical;
  if (job->is_small && pool->held_count < HELD && pool->held_ns < HELD_NS)
    return 1;
  flush(pool, !job->is_small);
  return 0;
}

void thread_pool_flush(thread_pool *pool) {
  if (pool->held)
    flush(pool, 0);
}

/* With the lock: takes a job out of the queue. */
static void unlink_job(thread_pool *pool, thread_job *job) {
  *job->link = job->next;
  if (job->next)
    job->next->link = job->link;
  if (pool->insert_at == &job->next)
    pool->insert_at = job->link;
  atomic_fetch_sub(&pool->queued, 1);
  pool->others -= !job->is_shared;
  if (!pool->queue)
    pool->is_late = 0;
}

int thread_pool_is_busy(const thread_pool *pool) {
  int queued = atomic_load_explicit(&pool->queued, memory_order_relaxed);
  return queued + pool->held_count >= 2 * pool->most;
}

thread_job *thread_pool_reclaim(thread_pool *pool) {
  if (atomic_load_explicit(&pool->queued, memory_order_relaxed) == 0)
    return NULL;
  pthread_mutex_lock(&pool->lock);
  thread_job *job = pool->queue;
  if (job && !job->is_shared)
    job = NULL;
  if (job) {
    unlink_job(pool, job);
    job->state = THREAD_FREE;
  }
  pthread_mutex_unlock(&pool->lock);
  return job;
}

int thread_pool_withdraw(thread_pool *pool, thread_job *job) {
  int withdrawn = 0;
  thread_pool_flush(pool);
  pthread_mutex_lock(&pool->lock);
  if (job->state == THREAD_QUEUED) {
    unlink_job(pool, job);
    job->state = THREAD_FREE;
    withdrawn = 1;
  } else if (job->state == THREAD_RUNNING) {
    ask(job->worker);
  }
  pthread_mutex_unlock(&pool->lock);
  return withdrawn;
}

thread_event *thread_pool_take(thread_pool *pool) {
  pthread_mutex_lock(&pool->lock);
  thread_event *events = pool->told;
  pool->told = NULL;
  pool->told_end = &pool->told;
  pool->told_count = 0;
  pool->is_woken = 0;
  pool->insert_at = &pool->queue;
  pthread_mutex_unlock(&pool->lock);
  return events;
}

void thread_pool_look(thread_pool *pool, int looks) {
  pthread_mutex_lock(&pool->lock);
  int tell = !looks && pool->told && !pool->is_woken;
  pool->looks = looks;
  pool->is_woken |= tell;
  pool->is_late = !looks && pool->queue;
  int wake = may_wake(pool, 0), more = may_start(pool);
  pthread_mutex_unlock(&pool->lock);
  if (tell)
    pool->wake(pool->user);
  if (wake)
    pthread_cond_signal(&pool->there_is_work);
  if (more > 0)
    start_more(pool, more);
}

void thread_event_free(thread_event *event) {
  if (event->kind != THREAD_DONE)
    free(event);
}

/* --- workers */

const atomic_int *thread_worker_asked(const thread_worker *w) {
  return &w->asked;
}

void *thread_worker_user(const thread_worker *w) { return w->pool->user; }

int thread_worker_closing(const thread_worker *w) {
  return atomic_load(&w->pool->closing);
}

thread_job *thread_worker_job(const thread_worker *w) { return w->job; }

void thread_worker_bind(thread_worker *w,
                        void (*interrupt)(void *user, pthread_t thread),
                        void *user) {
  pthread_mutex_lock(&w->pool->lock);
  w->interrupt = interrupt;
  w->user = user;
  pthread_mutex_unlock(&w->pool->lock);
}

/* Returns whether home has to be woken. */
static int add_event(thread_pool *pool, thread_event *event) {
  event->next = NULL;
  *pool->told_end = event;
  pool->told_end = &event->next;
  pool->told_count++;
  return !pool->is_woken;
}

int thread_pool_tell(thread_worker *w, thread_kind kind, double fraction,
                     const char *text, size_t size) {
  thread_pool *pool = w->pool;
  thread_event *event = malloc(sizeof *event + size + 1);
  if (!event)
    return 0;
  *event = (thread_event){.job = w->job, .kind = kind, .fraction = fraction};
  if (text) {
    char *copy = (char *)(event + 1);
    memcpy(copy, text, size);
    copy[size] = '\0';
    event->text = copy;
    event->size = size;
  }
  pthread_mutex_lock(&pool->lock);
  int wake = add_event(pool, event);
  pool->is_woken = 1;
  pthread_mutex_unlock(&pool->lock);
  if (wake)
    pool->wake(pool->user);
  return 1;
}

void thread_work_took(thread_work *work, uint64_t took) {
  uint64_t typical = atomic_load_explicit(&work->typical, memory_order_relaxed);
  /* One that was held up by others does not count for much. */
  if (typical > 0 && took > 4 * typical)
    took = 4 * typical;
  typical = typical > 0 ? (7 * typical + took) / 8 + 1 : took + 1;
  atomic_store_explicit(&work->typical, typical, memory_order_relaxed);
}

/* With the lock. Returns whether home has to be woken. */
static int hand_in(thread_worker *w) {
  thread_pool *pool = w->pool;
  thread_job *job = w->job;
  if (!job)
    return 0;
  uint64_t end = now();
  thread_work_took(job->work, end - w->begin);
  w->begin = end;
  w->job = NULL;
  pool->free++;
  atomic_store(&w->asked, 0);
  job->state = THREAD_OVER;
  job->done = (thread_event){.job = job, .kind = THREAD_DONE};
  return add_event(pool, &job->done);
}

void thread_pool_hand_in(thread_worker *w) {
  thread_pool *pool = w->pool;
  pthread_mutex_lock(&pool->lock);
  int wake = hand_in(w);
  pool->is_woken |= wake;
  pthread_mutex_unlock(&pool->lock);
  if (wake)
    pool->wake(pool->user);
}

static void relax(void) {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#endif
}

/* Without the lock: until there may be something, but not for long. */
static void spin(thread_pool *pool) {
  uint64_t end = now() + SPIN_NS;
  do {
    for (int i = 0; i < 20; i++) {
      if (atomic_load(&pool->queued) > 0 || atomic_load(&pool->closing))
        return;
      relax();
    }
    sched_yield();
  } while (now() < end);
}

/* With the lock, which it lets go of: sleeps until there is a job. */
static void wait_for_work(thread_pool *pool) {
  while (!pool->queue && !atomic_load(&pool->closing)) {
    pool->sleeping++;
    pool->awake--;
    pthread_cond_wait(&pool->there_is_work, &pool->lock);
    pool->awake++;
    pool->sleeping--;
    if (pool->signalled > 0)
      pool->signalled--;
  }
}

thread_job *thread_pool_next(thread_worker *w) {
  thread_pool *pool = w->pool;
  pthread_mutex_lock(&pool->lock);
  int was_small = w->job && w->job->is_small;
  uint64_t began = w->begin;
  if (w->job)
    hand_in(w);
  else
    w->begin = now();
  thread_job *job = pool->queue;
  int waits = !job && !atomic_load(&pool->closing);
  /* Small jobs are told of in groups while there is more to do. */
  if (pool->told_count == 1)
    pool->told_since = w->begin;
  int group = pool->looks && was_small && w->begin - began < GROUP_NS && job &&
              job->is_small && pool->told_count < GROUP &&
              w->begin - pool->told_since < GROUP_NS;
  int wake = pool->told && !pool->is_woken && !group;
  pool->is_woken |= wake;
  if (waits || wake) {
    pthread_mutex_unlock(&pool->lock);
    if (wake)
      pool->wake(pool->user);
    if (waits)
      spin(pool);
    pthread_mutex_lock(&pool->lock);
    wait_for_work(pool);
    w->begin = now();
    job = pool->queue;
  }
  if (atomic_load(&pool->closing))
    job = NULL;
  int more = 0;
  if (job) {
    unlink_job(pool, job);
    job->state = THREAD_RUNNING;
    job->worker = w;
    w->job = job;
    pool->free--;
    more = may_wake(pool, 0);
  }
  pthread_mutex_unlock(&pool->lock);
  if (more)
    pthread_cond_signal(&pool->there_is_work);
  return job;
}
