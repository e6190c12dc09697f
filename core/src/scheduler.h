/*
 * The scheduler's data, shared by the files that make it up:
 *
 *   runs.c       the table of runs: opening, finding, forgetting
 *   scheduler.c  events and actions: the state machine itself
 *   ready.c      which task goes next: queues, limits
 *   records.c    reading what happened
 *
 * A run is one block of instances, one for each task of its graph. Runs form a
 * tree; the outermost run, the root, holds the limits. Nothing here is
 * allocated between the begin of a run and its end, but for the records of
 * attempts of tasks that may be retried.
 */
#ifndef ASTRUM_SCHEDULER_H
#define ASTRUM_SCHEDULER_H

#include "alloc.h"
#include "graph.h"
#include "internal.h"
#include "list.h"

#define NO_INDEX UINT32_MAX

enum {
  /* of the attempt that runs */
  INSTANCE_WAITING = 1,  /* gave its slot back, waits for runs of its own */
  INSTANCE_RESUMING = 2, /* wants its slot again; WAITING is still set */
  INSTANCE_STOP = 4,     /* was asked to stop */
  INSTANCE_TOLD = 8,     /* the CANCEL has been handed out */
  /* of the task, so that its policy need not be looked up */
  INSTANCE_RETRIES = 16, /* may be retried: its attempts are recorded */
  INSTANCE_DETACHED = 32
};

/* What the scheduler keeps of one task of one run. */
typedef struct {
  uint32_t pending;  /* dependencies that are not complete; while it runs, the
                        child runs that are open */
  uint32_t next;     /* in the queue of its run */
  uint32_t attempt;  /* number of the last attempt that began */
  uint32_t previous; /* its last ended attempt in run->attempts */
  uint32_t blame;
  uint8_t state, cause, flags;
  uint8_t outcome; /* of its last attempt that ended */
  uint64_t ready, start;
  uint64_t mark; /* begin of the running attempt; of a final task, its end */
} astrum__instance;

/* An ended attempt of a task that may be retried. */
typedef struct {
  uint32_t previous; /* index of the attempt before it */
  uint8_t outcome, will_retry;
  uint64_t start, end;
} astrum__attempt;

/* An entry of the queue of a root run with a limit; largest rank first. */
typedef struct {
  uint32_t rank; /* length of the longest path that begins with the task */
  uint32_t run, task;
  uint64_t order;
} astrum__candidate;

typedef struct {
  astrum__candidate *entries;
  size_t used, capacity;
  size_t reserved; /* tasks of all open runs of the tree */
} astrum__candidates;

typedef struct astrum__run {
  const astrum_graph *graph;
  void *user;
  astrum__instance *tasks;
  struct astrum__run *root, *parent;
  astrum__list siblings; /* node in parent->children */
  astrum__list children; /* list */
  astrum__list ready;    /* node: has something that may start */
  astrum__list stopping; /* node: has CANCELs to hand out */
  astrum__list news;     /* node: has DONE or CLOSED to hand out */
  uint32_t id, parent_task, depth, count;

  uint32_t first, last;           /* queue of instances, without a limit */
  uint32_t *rank;                 /* with a limit only */
  astrum__candidates candidates;  /* root with a limit only */
  uint32_t concurrency, occupied; /* root only */
  uint32_t queued;                /* its entries in the root's candidates */
  uint32_t waiting;               /* its entries in the delays */
  size_t delayed;                 /* tasks that may wait to be retried */

  uint32_t left, detached_left; /* tasks that are not final */
  uint32_t active;              /* attached tasks: ready, running, retrying */
  uint32_t running;
  uint32_t completed, failed, cancelled, skipped; /* attached tasks only */

  astrum__attempt *attempts;
  size_t attempt_count, attempt_capacity, attempt_reserved;

  uint32_t cancels, scan; /* CANCELs to hand out; where to look for them */
  uint32_t blame;
  uint64_t seed, begin, end;
  uint8_t failure_mode, state, cause, verdict;
  uint8_t begun, stopped, done_told, closed_told;
} astrum__run;

/* A task that waits until it may be retried. */
typedef struct {
  uint64_t due, order;
  uint32_t run, task;
} astrum__delay;

struct astrum_sched {
  astrum_alloc alloc;
  astrum__run **runs; /* the table; see runs.c */
  uint32_t places, open, next_id;
  astrum__list ready, stopping, news;
  astrum__delay *delays; /* binary heap */
  size_t delay_count, delay_capacity, delay_reserved;
  uint64_t order;
};

/* NULL when there is no such run. */
static inline astrum__run *astrum__sched_run(const astrum_sched *sched,
                                             uint32_t id) {
  if (sched->places == 0)
    return NULL;
  astrum__run *run = sched->runs[id & (sched->places - 1)];
  return run && run->id == id ? run : NULL;
}

/* The running attempt of a ticket, or NULL; `*run` is set with it. */
astrum__instance *astrum__sched_running(const astrum_sched *sched,
                                        astrum_ticket ticket,
                                        astrum__run **run);

static inline int astrum__final(const astrum__instance *instance) {
  return instance->state >= ASTRUM_COMPLETED;
}

/* --- ready.c */

/* Takes the memory that queueing the tasks of a new run may need. ENOMEM. */
astrum_err astrum__ready_reserve(astrum_sched *sched, astrum__run *run);

/* The part of the next function for trees with a limit. */
void astrum__candidate_push(astrum_sched *sched, astrum__run *run,
                            uint32_t task);

/* Queues a task that is ready, or that wants its slot again. */
static inline void astrum__ready_push(astrum_sched *sched, astrum__run *run,
                                      uint32_t task) {
  if (run->root->concurrency) {
    astrum__candidate_push(sched, run, task);
    return;
  }
  run->tasks[task].next = NO_INDEX;
  if (run->first == NO_INDEX) {
    run->first = task;
    astrum__list_append(&sched->ready, &run->ready);
  } else {
    run->tasks[run->last].next = task;
  }
  run->last = task;
}

/*
 * Takes the task that goes next, at the right moment, among the runs with a
 * free slot. Returns 0 when there is none.
 */
int astrum__ready_pop(astrum_sched *sched, astrum__run **run, uint32_t *task);

/* The number of occupied slots of a root has changed. */
void astrum__ready_update(astrum_sched *sched, astrum__run *root);

/* Takes one task, which is queued, out of the queue. */
void astrum__ready_remove(astrum_sched *sched, astrum__run *run, uint32_t task);

/* Empties the queue of a run without a limit. */
void astrum__ready_clear(astrum__run *run);

/* Takes the tasks of all stopped runs out of the candidates of a root. */
void astrum__ready_drop_stopped(astrum_sched *sched, astrum__run *root);

void astrum__ready_free(astrum_sched *sched, astrum__run *run);

/* --- delays, also ready.c: tasks that wait to be retried */

astrum_err astrum__delay_reserve(astrum_sched *sched, size_t more);
void astrum__delay_push(astrum_sched *sched, uint64_t due, astrum__run *run,
                        uint32_t task);
/* Takes the tasks of all stopped runs out. */
void astrum__delay_drop_stopped(astrum_sched *sched);
/* Takes the earliest entry that is due. Returns 0 when there is none. */
int astrum__delay_pop(astrum_sched *sched, uint64_t now, astrum__run **run,
                      uint32_t *task);

#endif
