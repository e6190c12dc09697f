/*
 * The scheduler's data, shared by the files that make it up:
 *
 *   runs.c       the table of runs: opening, finding, forgetting
 *   scheduler.c  events and actions: the state machine itself
 *   triggers.c   what follows when a task becomes final
 *   stop.c       stopping attempts and runs
 *   maps.c       items: expanding, ending, breaking
 *   ready.c      which task goes next
 *   pools.c      lines and rates of pools
 *   timers.c     what time brings
 *   records.c    reading what happened
 *
 * A run has one array of instances: one for each task of its graph, and behind
 * them the items of its maps, as they are expanded. An index names either. Runs
 * form a tree; the outermost run, the root, holds the limits. Memory is taken
 * when a run is opened, a map is expanded or an attempt is handed out, so that
 * answering needs none.
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
  INSTANCE_WAITING = 0x1,  /* gave its slot back, waits for runs of its own */
  INSTANCE_RESUMING = 0x2, /* wants its slot again; WAITING is still set */
  INSTANCE_STOP = 0x4,     /* was asked to stop */
  INSTANCE_TOLD = 0x8,     /* the CANCEL has been handed out */
  INSTANCE_LATE = 0x10,    /* was asked to stop because it took too long */
  /* of what has ended */
  INSTANCE_GAVE_UP = 0x20, /* its last attempt forbade a retry */
  INSTANCE_SEEN = 0x40,    /* a final task: those downstream know of it */
  /* of a map: its items are known. Then it has no attempt, and STOP means that
     no item is to begin. */
  INSTANCE_EXPANDED = 0x80,
  /* of the task, so that its policy need not be looked up */
  INSTANCE_RETRIES = 0x100, /* may be retried: its attempts are recorded */
  INSTANCE_DETACHED = 0x200,
  INSTANCE_TIMED = 0x400,    /* its attempts have timers */
  INSTANCE_POOLED = 0x800,   /* its attempts take units of pools */
  INSTANCE_CLEANS = 0x1000,  /* runs in a run that stops, too */
  INSTANCE_TRIGGER = 0x2000, /* has another trigger than all_success */
  INSTANCE_HANDLES = 0x4000, /* its trigger handles failures */
  INSTANCE_MAP = 0x8000,     /* a map itself, not one of its items */

  INSTANCE_OF_ATTEMPT = INSTANCE_WAITING | INSTANCE_RESUMING | INSTANCE_STOP |
                        INSTANCE_TOLD | INSTANCE_LATE,
  /* What makes the end of an attempt more than that. */
  INSTANCE_SPECIAL = INSTANCE_OF_ATTEMPT | INSTANCE_RETRIES | INSTANCE_TIMED |
                     INSTANCE_POOLED | INSTANCE_MAP
};

/*
 * What the scheduler keeps of one task or item of one run. Some fields have a
 * second meaning in states in which the first one makes no sense; all
 * transitions go through astrum__make_ready, astrum__settle and the functions
 * that start and end attempts, which see to it.
 */
typedef struct {
  uint32_t pending; /* pending: tasks upstream that have not been seen final.
                       Running: one of its open child runs, its number + 1, or
                       0. Failed: consumers that may still handle it. */
  uint32_t next;    /* ready, resuming: in a line of its run. Final: in the list
                       of those not seen yet. Pending with a trigger of its own:
                       how many upstream have failed. */
  uint32_t attempt; /* number of the last attempt that began */
  uint32_t previous; /* its last ended attempt in run->attempts. Pending with a
                        trigger of its own: how many upstream were skipped. */
  uint32_t blame;    /* final, or asked to stop by its run or map: the task that
                        is the reason. Before: its timer. */
  uint8_t state, cause;
  uint16_t flags;
  uint64_t ready, start;
  uint64_t mark; /* begin of the running attempt; of a final task, its end */
} astrum__instance;

/* An ended attempt of a task that may be retried. */
typedef struct {
  uint32_t previous; /* index of the attempt before it */
  uint8_t outcome, will_retry;
  uint64_t start, end;
} astrum__attempt;

/* A map of a run, and its items once it is expanded. */
typedef struct {
  uint32_t task;
  uint32_t first, count; /* its items: indexes of instances */
  uint32_t left;         /* items that are not final */
  uint32_t next;         /* the first item that is pending, if any is */
  uint32_t active;       /* items that are ready, running or retrying */
  uint32_t max_active;
  uint8_t broken, tolerant;
  uint64_t expanded;
} astrum__map;

/* An entry of a line: a heap, whose first entry goes first. */
typedef struct {
  int32_t priority;
  uint32_t rank; /* length of the longest path that begins with the task */
  uint32_t run, index;
  uint64_t order;
} astrum__candidate;

typedef struct {
  astrum__candidate *entries;
  size_t used, capacity;
  size_t reserved; /* instances that may come to stand in it */
} astrum__line;

/* A pool of a root run. */
typedef struct {
  uint32_t slots, rate;
  uint64_t per;
  uint32_t taken;
  uint32_t started, newest; /* of `starts`: how many; the last one */
  uint64_t *starts;         /* ring of the last `rate` starts */
  astrum__line line;
  astrum__list offer; /* node in offers of a run: the first of its line may
                         start, and this is the first of its pools */
  struct astrum__run *offered_to;
  uint32_t timer; /* for the time when the rate allows that */
} astrum__pool;

/* So many units of a pool of the root. */
typedef struct {
  uint32_t pool, units;
} astrum__want;

typedef struct astrum__run {
  /* What each attempt reads or writes comes first. */
  const astrum_graph *graph;
  astrum__instance *tasks; /* and items */
  struct astrum__run *root;
  void *user;
  uint32_t id;
  uint32_t count;                     /* tasks */
  uint32_t first, last;               /* plain queue of instances */
  uint32_t resume_first, resume_last; /* attempts that want their slot back, in
                                         a tree without a limit */
  uint32_t left, detached_left;       /* tasks that are not final */
  uint32_t active; /* attached tasks: ready, running, retrying */
  uint32_t running;
  uint32_t completed;               /* of attached tasks */
  uint8_t begun, stopped, for_good; /* for_good: cleaning up is stopped too */
  uint8_t sorted;                   /* its tasks stand in a heap */
  uint8_t plain;                    /* all its tasks have the default trigger */
  uint8_t changes;                  /* tells what becomes of tasks */
  uint8_t failing;                  /* a failure has taken effect */
  uint8_t failure_mode, state, cause, verdict;
  uint8_t done_told, closed_told;
  uint32_t concurrency, occupied;        /* root only */
  uint64_t attempts_begun, max_attempts; /* root only */
  astrum__list ready;                    /* node: has what may start */

  struct astrum__run *parent;
  astrum__list siblings; /* node in parent->children */
  astrum__list children; /* list */
  astrum__list peers;    /* node: ring of the open runs of one attempt */
  astrum__list stopping; /* node: has CANCELs to hand out */
  astrum__list news;     /* node: has DONE or CLOSED to hand out */
  astrum__list dirty;    /* node: something of it became final */
  astrum__list offers;   /* list of pools */
  uint32_t parent_index, depth;
  uint32_t failed, timed_out, cancelled, skipped; /* of attached tasks */
  uint32_t final_first, final_last; /* final tasks not seen downstream */
  uint32_t cancels, scan; /* CANCELs to hand out; where to look for them */
  uint32_t deadline_timer;
  uint32_t blame;
  uint64_t seed, begin, end, deadline;

  astrum__line line; /* of a root with a limit, or of a sorted run without */
  uint32_t *rank;    /* by task, with a limit only */

  astrum__attempt *attempts;
  size_t attempt_count, attempt_capacity, attempt_reserved;

  uint32_t total;    /* instances */
  size_t capacity;   /* of tasks */
  astrum__map *maps; /* by task */
  uint32_t map_count;
  uint32_t *map_of; /* by item: index in maps */
  size_t map_of_capacity;

  astrum__pool *pools; /* root only */
  uint32_t pool_count;
  astrum__want *wants;   /* what policies want of the root's pools */
  uint32_t *wants_first; /* by policy, and the end */
  uint32_t wants_capacity, policy_count;
} astrum__run;

typedef enum {
  TIMER_RETRY,
  TIMER_TIMEOUT,
  TIMER_IDLE,
  TIMER_DEADLINE, /* of a run */
  TIMER_RATE      /* `index` is the number of a pool of the root `run` */
} astrum__timer_kind;

typedef struct {
  uint64_t due, order;
  uint32_t run, index;
  uint32_t place;         /* in the heap, from 1; 0: is not set */
  uint32_t pair;          /* the idle timer beside a timeout; in the list of
                             free timers the next one */
  uint32_t before, after; /* in the list of late attempts */
  uint8_t kind;
} astrum__timer;

/* A CHANGED to hand out. */
typedef struct {
  uint32_t run, index;
  uint8_t state, cause;
} astrum__change;

struct astrum_sched {
  astrum_alloc alloc;
  astrum__run **runs; /* the table; see runs.c */
  uint32_t places, open, next_id;
  astrum__list ready, stopping, news, dirty;
  astrum__list late; /* node in stopping: late_first is one */
  astrum__timer *timers;
  uint32_t *timer_heap;
  size_t timer_capacity, timer_heap_capacity;
  uint32_t timer_count;           /* timers made so far, free ones included */
  uint32_t timer_free;            /* list */
  uint32_t timers_set;            /* entries of the heap */
  uint32_t late_first, late_last; /* timers of late attempts not told of it */
  astrum__change *changes;        /* ring */
  size_t change_first, change_count, change_capacity, change_reserved;
  uint64_t order;
  uint64_t now; /* of the last call */
};

/* NULL when there is no such run. */
static inline astrum__run *astrum__sched_run(const astrum_sched *sched,
                                             uint32_t id) {
  if (sched->places == 0)
    return NULL;
  astrum__run *run = sched->runs[id & (sched->places - 1)];
  return run && run->id == id ? run : NULL;
}

static inline int astrum__final(const astrum__instance *instance) {
  return instance->state >= ASTRUM_COMPLETED;
}

static inline int astrum__failed(const astrum__instance *instance) {
  return instance->state == ASTRUM_FAILED ||
         instance->state == ASTRUM_TIMED_OUT;
}

static inline int astrum__attached(const astrum__instance *instance) {
  return !(instance->flags & INSTANCE_DETACHED);
}

static inline int astrum__is_item(const astrum__run *run, uint32_t index) {
  return index >= run->count;
}

/* Of an item. */
static inline astrum__map *astrum__map_of(const astrum__run *run,
                                          uint32_t index) {
  return &run->maps[run->map_of[index - run->count]];
}

/* The map of a task that is one; in maps.c. */
astrum__map *astrum__map_find(const astrum__run *run, uint32_t task);

/* The index of an item, from 1, or NO_INDEX if there is none; in maps.c. */
uint32_t astrum__item_index(const astrum__run *run, uint32_t task,
                            uint32_t item);

/* The task that an instance belongs to. */
static inline uint32_t astrum__task_of(const astrum__run *run, uint32_t index) {
  return astrum__is_item(run, index) ? astrum__map_of(run, index)->task : index;
}

static inline const astrum_policy *astrum__policy_of(const astrum__run *run,
                                                     uint32_t index) {
  return astrum__graph_policy(run->graph, astrum__task_of(run, index));
}

/* Whether an instance must end because its run stops. */
static inline int astrum__stops(const astrum__run *run,
                                const astrum__instance *instance) {
  return run->stopped &&
         (run->for_good || !(instance->flags & INSTANCE_CLEANS));
}

/* The running attempt of a ticket, or NULL; `*run` and `*index` are set with
   it. */
static inline astrum__instance *astrum__sched_running(const astrum_sched *sched,
                                                      astrum_ticket ticket,
                                                      astrum__run **run,
                                                      uint32_t *index) {
  astrum__run *found = astrum__sched_run(sched, ticket.run);
  if (!found || ticket.task >= found->count)
    return NULL;
  uint32_t at = ticket.task;
  if (ticket.item) {
    at = astrum__item_index(found, at, ticket.item);
    if (at == NO_INDEX)
      return NULL;
  }
  astrum__instance *instance = &found->tasks[at];
  if (instance->state != ASTRUM_RUNNING ||
      instance->attempt != ticket.attempt ||
      instance->flags & INSTANCE_EXPANDED)
    return NULL;
  *run = found;
  *index = at;
  return instance;
}

/* --- runs.c */

/* What stays of the flags of a policy, for instances of it. */
uint16_t astrum__policy_flags(const astrum_policy *policy);

/* A run has closed: it is none of the open runs of its attempt any more. */
void astrum__leave_peers(astrum__run *run);

/* Makes room for what becomes of `more` instances. ENOMEM. */
astrum_err astrum__changes_room(astrum_sched *sched, const astrum__run *run,
                                size_t more);
/* An instance became ready for the first time, or final. */
void astrum__changed(astrum_sched *sched, const astrum__run *run,
                     uint32_t index);

/* --- triggers.c */

/* Puts a task or an item into its final state. What follows comes with
   astrum__follow, which each event ends with. */
void astrum__settle(astrum_sched *sched, astrum__run *run, uint32_t index,
                    astrum_state state, astrum_cause cause, uint32_t blame,
                    uint64_t now);

/* The same for a task alone. */
void astrum__settle_task(astrum_sched *sched, astrum__run *run, uint32_t task,
                         astrum_state state, astrum_cause cause, uint32_t blame,
                         uint64_t now);

/* Nothing attached is left in a run, or nothing that could go on. */
void astrum__end_run(astrum_sched *sched, astrum__run *run, uint64_t now);

/* Looks whether an event has ended the run. */
static inline void astrum__check_end(astrum_sched *sched, astrum__run *run,
                                     uint64_t now) {
  if (run->begun && (run->left == 0 || run->active == 0))
    astrum__end_run(sched, run, now);
}

/* A task or item has failed for good. */
void astrum__fail(astrum_sched *sched, astrum__run *run, uint32_t index,
                  astrum_state state, astrum_cause cause, uint64_t now);

/* A failure takes effect on its run. */
void astrum__take_effect(astrum_sched *sched, astrum__run *run, uint32_t task,
                         uint64_t now);

/* Whether a failure of a task has, or may yet have, no effect on its run
   because another task handles it. `*open` is how many may still. */
int astrum__handled(const astrum__run *run, uint32_t task, uint32_t *open);

/* Whether one of the consumers that handle failures has completed. */
int astrum__handled_for_good(const astrum__run *run, uint32_t task);

/* Tasks that can become ready, or never can, when the run begins. */
void astrum__begin_tasks(astrum_sched *sched, astrum__run *run, uint64_t now);

/* Carries an event through to its end. */
void astrum__follow(astrum_sched *sched, uint64_t now);

/* --- stop.c */

/* Stops a run and the runs inside it. */
void astrum__stop(astrum_sched *sched, astrum__run *top, astrum_state verdict,
                  astrum_cause cause, uint32_t blame, int for_good,
                  uint64_t now);

/* An attempt takes too long: asks it to stop. */
void astrum__stop_late(astrum_sched *sched, astrum__run *run, uint32_t index,
                       astrum_cause cause, uint64_t now);

/* Ends an instance that has not begun, asks one that runs to stop. Returns 1
   if it may have stood in a line. */
int astrum__stop_instance(astrum_sched *sched, astrum__run *run, uint32_t index,
                          astrum_cause cause, uint32_t blame, uint64_t now);

/* Stops the runs inside an attempt. */
void astrum__stop_inside(astrum_sched *sched, astrum__run *run, uint32_t index,
                         uint64_t now);

/* Takes note that an attempt which was asked to stop has answered. */
void astrum__stop_answered(astrum_sched *sched, astrum__run *run,
                           uint32_t index);

/* Whether there is a CANCEL to hand out; the next one, to be told. */
static inline int astrum__stop_any(const astrum_sched *sched) {
  return astrum__list_linked(&sched->stopping);
}
void astrum__stop_next(astrum_sched *sched, astrum__run **run, uint32_t *index);

/* --- maps.c */

/* Makes room for the items of a map. ELIMIT, ENOMEM. */
astrum_err astrum__map_reserve(astrum_sched *sched, astrum__run *run,
                               uint32_t task, uint32_t items);

/* The map has that many. */
void astrum__map_expand(astrum_sched *sched, astrum__run *run, uint32_t task,
                        uint32_t items, uint64_t now);

/* An item has become final; the map may, too. */
void astrum__item_settled(astrum_sched *sched, astrum__run *run, uint32_t index,
                          int was_active, uint64_t now);

/* Stops all items of a map that are not final. Returns 1 if one of them may
   have stood in a line. */
int astrum__map_stop(astrum_sched *sched, astrum__run *run,
                     const astrum__map *map, astrum_cause cause, uint32_t blame,
                     uint64_t now);

/* An item of a map that is not tolerant has failed. */
void astrum__map_break(astrum_sched *sched, astrum__run *run, astrum__map *map,
                       uint64_t now);

/* Items become ready, as many as may be at once. */
void astrum__map_release(astrum_sched *sched, astrum__run *run,
                         astrum__map *map, uint64_t now);

/* --- ready.c */

/* Makes room in the line of a run for `more` instances. ENOMEM. */
astrum_err astrum__ready_room(astrum_sched *sched, astrum__run *run,
                              size_t more);

/* The lengths of the longest paths that begin with each task. NULL: ENOMEM. */
uint32_t *astrum__ready_ranks(astrum_sched *sched, const astrum__run *run);

/* The part of the next function for what does not stand in a plain queue. */
void astrum__ready_push_slow(astrum_sched *sched, astrum__run *run,
                             uint32_t index);

/* Queues an instance that is ready, or that wants its slot again. */
static inline void astrum__ready_push(astrum_sched *sched, astrum__run *run,
                                      uint32_t index) {
  if (run->sorted) {
    astrum__ready_push_slow(sched, run, index);
    return;
  }
  run->tasks[index].next = NO_INDEX;
  if (run->first == NO_INDEX) {
    run->first = index;
    if (!astrum__list_linked(&run->ready))
      astrum__list_append(&sched->ready, &run->ready);
  } else {
    run->tasks[run->last].next = index;
  }
  run->last = index;
}

/* An instance may run: for the first time, or again. */
static inline void astrum__make_ready(astrum_sched *sched, astrum__run *run,
                                      uint32_t index, uint64_t now) {
  astrum__instance *instance = &run->tasks[index];
  if (instance->state == ASTRUM_PENDING) {
    instance->state = ASTRUM_READY;
    instance->ready = now;
    instance->pending = 0;
    instance->previous = NO_INDEX;
    if (astrum__attached(instance) && !astrum__is_item(run, index))
      run->active++;
    if (run->changes)
      astrum__changed(sched, run, index);
  }
  instance->state = ASTRUM_READY;
  astrum__ready_push(sched, run, index);
}

/* Queues an attempt that wants its slot again. */
void astrum__ready_resume(astrum_sched *sched, astrum__run *run,
                          uint32_t index);

/* Runs take turns: puts one that is in the list at its end. */
static inline void astrum__ready_turn(astrum_sched *sched, astrum__run *owner) {
  if (owner->ready.next == &sched->ready)
    return;
  astrum__list_remove(&owner->ready);
  astrum__list_append(&sched->ready, &owner->ready);
}

/* The part of the next function for what does not stand in a plain queue. */
uint32_t astrum__ready_pop_slow(astrum_sched *sched, astrum__run *owner,
                                astrum__run **run);

/* Takes the instance that goes next, at the right moment. Only when a run is in
   the list of those that have one and a free slot. */
static inline uint32_t astrum__ready_pop(astrum_sched *sched,
                                         astrum__run **run) {
  astrum__run *owner =
      astrum__container_of(sched->ready.next, astrum__run, ready);
  if (owner->sorted || owner->resume_first != NO_INDEX)
    return astrum__ready_pop_slow(sched, owner, run);
  uint32_t index = owner->first;
  *run = owner;
  owner->first = owner->tasks[index].next;
  if (owner->first == NO_INDEX)
    astrum__list_remove(&owner->ready);
  else
    astrum__ready_turn(sched, owner);
  return index;
}

/* The slots, the lines or the offers of whoever queues the tasks of a run have
   changed. */
void astrum__ready_update(astrum_sched *sched, astrum__run *run);

/* Who queues the tasks of a run: its root if that has a limit. */
static inline astrum__run *astrum__ready_owner(astrum__run *run) {
  return run->root->concurrency ? run->root : run;
}

/* Takes an attempt that no longer wants its slot out of the line. */
void astrum__ready_unresume(astrum_sched *sched, astrum__run *run,
                            uint32_t index);

/*
 * In two steps when many instances end at once. Before: takes those which
 * will, from `first` to before `end`, out of the plain queues of their run.
 * With `cleaning` 0 those that clean up stay. After: the same in the heap, for
 * all that are neither ready nor resuming.
 */
void astrum__ready_drop(astrum_sched *sched, astrum__run *run, uint32_t first,
                        uint32_t end, int cleaning);
void astrum__ready_sweep(astrum_sched *sched, astrum__run *run);

void astrum__ready_free(astrum_sched *sched, astrum__run *run);

/* Heaps of candidates. */
int astrum__goes_before(const astrum__candidate *a, const astrum__candidate *b);
void astrum__line_push(astrum__line *line, astrum__candidate entry);
void astrum__line_pop(astrum__line *line);
void astrum__line_sweep(const astrum_sched *sched, astrum__line *line);
astrum_err astrum__line_room(astrum_sched *sched, astrum__line *line,
                             size_t more);

/* --- pools.c */

/* The pools of a root. ENOMEM. */
astrum_err astrum__pools_open(astrum_sched *sched, astrum__run *run,
                              const astrum_run_options *options);

/* What the policies of a run want of the root's pools. EINVAL, EPOOL, ENOMEM.
 */
astrum_err astrum__pools_map(astrum_sched *sched, astrum__run *run,
                             const astrum_run_options *options);

/* Makes room in the lines for `more` instances of a task. ENOMEM. */
astrum_err astrum__pools_room(astrum_sched *sched, astrum__run *run,
                              uint32_t task, size_t more);
/* So many may stand there, or never will again. */
void astrum__pools_reserve(astrum__run *run, uint32_t task, size_t more);
void astrum__pools_unreserve(astrum__run *run, uint32_t task, size_t less);

/* An instance becomes ready: stands in all its lines. */
void astrum__pools_push(astrum_sched *sched, astrum__run *run, uint32_t index);

/* The instance of an offer leaves its lines. The next call is one of the three
   below. */
void astrum__pools_pop(astrum__run *run, uint32_t index);

/* Units and rates are taken by an attempt that begins, at `now`. */
void astrum__pools_take(astrum_sched *sched, astrum__run *run, uint32_t index,
                        uint64_t now);

/* They are given back; those of the rate when the attempt does not count. */
void astrum__pools_give(astrum_sched *sched, astrum__run *run, uint32_t index,
                        int declined);

/* The pools of an instance look for what they can offer. */
void astrum__pools_look(astrum_sched *sched, astrum__run *run, uint32_t index);

/* The best offer to a run, or to a root with a limit. Returns 0 without one. */
int astrum__pools_best(const astrum_sched *sched, const astrum__run *owner,
                       astrum__candidate *best);

/* The time has come that a rate waited for. */
void astrum__pools_rate(astrum_sched *sched, astrum__run *root, uint32_t pool);

/* Takes what is not ready any more out of all lines. */
void astrum__pools_sweep(astrum_sched *sched, astrum__run *root);

void astrum__pools_free(astrum_sched *sched, astrum__run *run);

/* --- timers.c */

/* ENOMEM; ELIMIT for too many. */
astrum_err astrum__timer_new(astrum_sched *sched, uint32_t *timer);

/* Stops it, too. NO_INDEX does nothing. */
void astrum__timer_free(astrum_sched *sched, uint32_t timer);

/* Sets a timer, anew if it is set. Never for ASTRUM_NEVER. */
void astrum__timer_set(astrum_sched *sched, uint32_t timer,
                       astrum__timer_kind kind, uint64_t due, uint32_t run,
                       uint32_t index);
void astrum__timer_stop(astrum_sched *sched, uint32_t timer);

/* The timer that is due first, or NO_INDEX. */
static inline uint32_t astrum__timer_due(const astrum_sched *sched,
                                         uint64_t now) {
  if (sched->timers_set == 0 || sched->timers[sched->timer_heap[0]].due > now)
    return NO_INDEX;
  return sched->timer_heap[0];
}

/* When the next timer fires that makes anything happen, or ASTRUM_NEVER. */
uint64_t astrum__timers_next(const astrum_sched *sched);

/* The timers of an attempt that begins. Returns 0 for want of memory. */
int astrum__attempt_timers(astrum_sched *sched, astrum__run *run,
                           uint32_t index, uint64_t now);

/* The timer of a running attempt or of one that waits for its retry, or
   NO_INDEX. */
static inline uint32_t astrum__timer_of(const astrum__instance *instance) {
  const uint16_t stop = INSTANCE_STOP | INSTANCE_LATE | INSTANCE_EXPANDED;
  if (!(instance->flags & INSTANCE_TIMED))
    return NO_INDEX;
  if (instance->state == ASTRUM_RETRYING ||
      (instance->state == ASTRUM_RUNNING &&
       ((instance->flags & stop) == 0 || instance->flags & INSTANCE_LATE)))
    return instance->blame;
  return NO_INDEX;
}

/* Gives the timers of an instance back. */
void astrum__instance_timers_free(astrum_sched *sched,
                                  astrum__instance *instance);

void astrum__timers_free(astrum_sched *sched);

#endif
