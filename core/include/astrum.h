/*
 * astrum: a workflow engine for one process.
 *
 *   graph   tasks, dependencies and policies; immutable once frozen
 *   plan    views computed from a frozen graph: stages, critical path
 *   sched   the scheduler, a pure state machine: events in, actions out
 *   loop    drives a scheduler from a libuv loop: clock, timers, executors
 *   process child processes on that loop
 *   flow    tasks whose bodies are C functions, run on such a loop
 *
 * Objects are opaque. A `_new` function hands over ownership and the `_free`
 * function of the same kind takes it back; freeing NULL is allowed. A function
 * that can fail returns an astrum_err; when it fails, its out-pointers and its
 * objects are as they were before the call. Functions that return pointers
 * into an object lend them: the comment says for how long.
 *
 * An object and everything made from it belong to one thread at a time.
 * Frozen graphs and plans are read only and may be shared between threads.
 *
 * Times are nanoseconds of a monotonic clock whose zero means nothing.
 */
#ifndef ASTRUM_H
#define ASTRUM_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define ASTRUM_API __attribute__((visibility("default")))
#else
#define ASTRUM_API
#endif

#define ASTRUM_VERSION_MAJOR 0
#define ASTRUM_VERSION_MINOR 1
#define ASTRUM_VERSION_PATCH 0
#define ASTRUM_VERSION "0.1.0"

/* Text of the version of the library in use, "major.minor.patch". */
ASTRUM_API const char *astrum_version(void);

/* --- Errors --------------------------------------------------------------- */

/* Name, number and one-line text of every error the library returns. */
#define ASTRUM_ERROR_MAP(X)                                                    \
  X(ENOMEM, -1, "not enough memory")                                           \
  X(EINVAL, -2, "invalid argument")                                            \
  X(EEXIST, -3, "a task with this name exists already")                        \
  X(ENOENT, -4, "there is no task with this name")                             \
  X(EFROZEN, -5, "the graph is frozen")                                        \
  X(ENOTFROZEN, -6, "the graph is not frozen yet")                             \
  X(ECYCLE, -7, "the dependencies form a cycle")                               \
  X(ELIMIT, -8, "a limit of the library is exceeded")                          \
  X(ESTALE, -9, "the attempt or run is over")                                  \
  X(EBUSY, -10, "the object is still in use")                                  \
  X(EDEPTH, -11, "runs are nested too deeply")                                 \
  X(EIDLE, -12, "nothing is left that could happen")                           \
  X(ESYSTEM, -13, "the operating system refused")                              \
  X(EPOOL, -14, "a task needs more units of a pool than it can ever have")

typedef enum {
  ASTRUM_OK = 0,
#define ASTRUM_ERROR_ENUM(name, number, text) ASTRUM_##name = number,
  ASTRUM_ERROR_MAP(ASTRUM_ERROR_ENUM)
#undef ASTRUM_ERROR_ENUM
} astrum_error_code;

/* ASTRUM_OK or one of the negative error numbers. */
typedef int astrum_err;

/* One-line text of an error, never NULL, valid for ever. */
ASTRUM_API const char *astrum_strerror(astrum_err err);

/* Name of an error, "ENOMEM"; "OK" and "UNKNOWN" for what is none. */
ASTRUM_API const char *astrum_errname(astrum_err err);

/* --- Memory --------------------------------------------------------------- */

/*
 * Has the shape of lua_Alloc: resizes `ptr` from `old_size` to `new_size`
 * bytes, allocates when ptr is NULL, frees and returns NULL when new_size is 0.
 * Returns NULL when it cannot; shrinking may not fail.
 */
typedef void *(*astrum_alloc_fn)(void *user, void *ptr, size_t old_size,
                                 size_t new_size);

/*
 * Where an object takes its memory from. Functions that want one accept NULL
 * for the C library's; they copy the two fields.
 */
typedef struct {
  astrum_alloc_fn fn;
  void *user;
} astrum_alloc;

/* --- Graph ---------------------------------------------------------------- */

typedef struct astrum_graph astrum_graph;

/* A task of one graph: an index from 0 in the order of declaration. */
typedef struct {
  uint32_t id;
} astrum_task;

#define ASTRUM_NO_TASK UINT32_MAX

/* Longest name of a task, in bytes. Names may hold any bytes. */
#define ASTRUM_NAME_MAX 1024

/* No deadline, no timer. */
#define ASTRUM_NEVER UINT64_MAX

/*
 * When a task runs, seen from what becomes of the tasks that it waits for. The
 * names and meanings are those of Airflow's trigger rules. A task that did not
 * complete because of a failure counts as failed; one that was skipped for
 * another reason counts as skipped.
 */
typedef enum {
  ASTRUM_ALL_SUCCESS, /* all completed */
  ASTRUM_ALL_DONE,    /* all are over, whatever became of them */
  ASTRUM_ALL_FAILED,  /* all failed */
  ASTRUM_ONE_SUCCESS, /* one completed; waits for no other */
  ASTRUM_ONE_FAILED,  /* one failed; waits for no other */
  ASTRUM_NONE_FAILED, /* all completed or were skipped */
  ASTRUM_NONE_FAILED_MIN_ONE_SUCCESS, /* the same, and one completed */
  ASTRUM_ALWAYS                       /* waits for nothing */
} astrum_trigger;

/* So many units of the pool with this number. */
typedef struct {
  uint32_t pool, units;
} astrum_units;

/*
 * What applies to one task. Zero is the default of every field; equal
 * policies are stored once per graph.
 */
typedef struct {
  uint32_t size;             /* sizeof(astrum_policy) */
  uint32_t max_retries;      /* further attempts after the first */
  uint64_t delay;            /* wait before the first retry, ns */
  uint64_t max_delay;        /* longest wait, ns; 0: no bound */
  double backoff;            /* factor from one wait to the next; 0 means 1 */
  uint64_t timeout;          /* longest time of an attempt, ns; 0: no bound */
  uint64_t idle_timeout;     /* longest time without progress, ns; likewise */
  const astrum_units *pools; /* taken by each attempt, all or none; copied */
  uint32_t pool_count;
  uint32_t max_items;       /* of a map, 0: no bound */
  uint32_t max_concurrency; /* items of a map at once, 0: no bound */
  int32_t priority;         /* larger goes first */
  uint8_t jitter;   /* 1: wait a random part of the delay, by the seed */
  uint8_t detached; /* 1: the run does not wait for this task */
  uint8_t trigger;  /* astrum_trigger */
  uint8_t map;      /* 1: one instance for each item of a list */
  uint8_t tolerant; /* 1: a map completes although items failed */
} astrum_policy;

#define ASTRUM_POLICY_INIT                                                     \
  { .size = sizeof(astrum_policy) }

/* An empty graph. ENOMEM. `alloc` NULL: the C library's. */
ASTRUM_API astrum_err astrum_graph_new(const astrum_alloc *alloc,
                                       astrum_graph **out);

/* Plans, runs and flows of the graph must be gone before. */
ASTRUM_API void astrum_graph_free(astrum_graph *graph);

/*
 * Makes room for so many tasks and edges in all, those there are included.
 * Optional: a large graph whose size is known is built faster, because nothing
 * of it has to grow. EFROZEN; ELIMIT for more than 2^32 - 2 tasks or 2^32 - 1
 * edges; ENOMEM.
 */
ASTRUM_API astrum_err astrum_graph_reserve(astrum_graph *graph, size_t tasks,
                                           size_t edges);

/*
 * Adds a task. The name is copied; `policy` NULL means all defaults.
 * EFROZEN; EINVAL for a policy that makes no sense (unknown size or trigger,
 * backoff below 1 or not finite, units of 0, a pool named twice, what is for
 * maps without a map); EEXIST; ELIMIT for a name longer than ASTRUM_NAME_MAX,
 * more than 100 pools or more than 2^32 - 2 tasks; ENOMEM.
 */
ASTRUM_API astrum_err astrum_graph_add(astrum_graph *graph, const char *name,
                                       size_t name_size,
                                       const astrum_policy *policy,
                                       astrum_task *out);

/*
 * `after` waits for `before`. The same pair may be given many times and counts
 * once. EFROZEN, EINVAL for tasks that are not of this graph, ELIMIT, ENOMEM.
 * A task that waits for itself is a cycle of one, found by freeze.
 */
ASTRUM_API astrum_err astrum_graph_edge(astrum_graph *graph, astrum_task before,
                                        astrum_task after);

/*
 * Checks the graph and makes it immutable. ECYCLE: astrum_graph_cycle tells
 * which tasks; the graph stays open. EINVAL for a detached task that another
 * task waits for. ENOMEM. Freezing a frozen graph does nothing.
 */
ASTRUM_API astrum_err astrum_graph_freeze(astrum_graph *graph);

/*
 * The cycle found by the last freeze: each task waits for the one before it,
 * and the first for the last. Returns their number, 0 without a cycle.
 * `*tasks` is valid until the graph is changed or freed.
 */
ASTRUM_API size_t astrum_graph_cycle(const astrum_graph *graph,
                                     const astrum_task **tasks);

/* 1 when astrum_graph_freeze has succeeded, else 0. */
ASTRUM_API int astrum_graph_frozen(const astrum_graph *graph);

/* Number of tasks added so far; their ids are 0 to this less one. */
ASTRUM_API uint32_t astrum_graph_task_count(const astrum_graph *graph);

/* Number of different edges. 0 before the graph is frozen. */
ASTRUM_API size_t astrum_graph_edge_count(const astrum_graph *graph);

/* The task of a name of `name_size` bytes. ENOENT when there is none. */
ASTRUM_API astrum_err astrum_graph_find(const astrum_graph *graph,
                                        const char *name, size_t name_size,
                                        astrum_task *out);

/* The name, not terminated by NUL, and its bytes in `*size`; valid until the
   graph is freed. NULL and 0 for a task that is not of the graph. */
ASTRUM_API const char *astrum_graph_name(const astrum_graph *graph,
                                         astrum_task task, size_t *size);

/* The policy; valid until the graph is freed. NULL for a task that is not of
   the graph. */
ASTRUM_API const astrum_policy *astrum_graph_policy(const astrum_graph *graph,
                                                    astrum_task task);

/*
 * Tasks that `task` waits for, each once, in the order in which the edges were
 * added; tasks that wait for it, in the order of declaration. Returns their
 * number: 0 on a graph that is not frozen and for a task that is not of it.
 * `*tasks` is valid until the graph is freed.
 */
ASTRUM_API uint32_t astrum_graph_upstream(const astrum_graph *graph,
                                          astrum_task task,
                                          const astrum_task **tasks);
ASTRUM_API uint32_t astrum_graph_downstream(const astrum_graph *graph,
                                            astrum_task task,
                                            const astrum_task **tasks);

/* --- Plan ----------------------------------------------------------------- */

/*
 * Views for people. Execution never follows stages: a task starts when its own
 * dependencies are complete. The level of a task is the length of the longest
 * path from a task without dependencies; a stage is all tasks of one level.
 * All lists are in the order of declaration.
 */
typedef struct astrum_plan astrum_plan;

/* The graph must be frozen (else ENOTFROZEN) and outlive the plan. ENOMEM. */
ASTRUM_API astrum_err astrum_plan_new(const astrum_graph *graph,
                                      const astrum_alloc *alloc,
                                      astrum_plan **out);
ASTRUM_API void astrum_plan_free(astrum_plan *plan);

/* Number of stages, which is one more than the highest level; 0 without
   tasks. */
ASTRUM_API uint32_t astrum_plan_stage_count(const astrum_plan *plan);

/* The level of a task, from 0; 0 also for a task that is not of the graph. */
ASTRUM_API uint32_t astrum_plan_level(const astrum_plan *plan,
                                      astrum_task task);

/* Length of the longest `parallel` list of all stages. */
ASTRUM_API uint32_t astrum_plan_max_parallelism(const astrum_plan *plan);

typedef enum {
  ASTRUM_STAGE_START,    /* the tasks of the stage */
  ASTRUM_STAGE_WAIT_FOR, /* their dependencies */
  ASTRUM_STAGE_PARALLEL  /* tasks of earlier stages that no task up to this
                            stage waits for, then the tasks of the stage */
} astrum_stage_list;

/*
 * Writes up to `room` tasks of one list of a stage to `tasks` and the length
 * of the whole list to `*count`. EINVAL for a stage that is not there, ENOMEM.
 */
ASTRUM_API astrum_err astrum_plan_stage(const astrum_plan *plan, uint32_t stage,
                                        astrum_stage_list list,
                                        astrum_task *tasks, uint32_t room,
                                        uint32_t *count);

/*
 * The path of dependencies whose weights have the largest sum; the earliest
 * declared of several. `weights` has one value per task, NULL means 1 each.
 * Sums are clamped. Writes up to `room` tasks, the length of the path to
 * `*count` and, unless NULL, the sum to `*total`. ENOMEM.
 */
ASTRUM_API astrum_err astrum_plan_critical_path(const astrum_plan *plan,
                                                const uint64_t *weights,
                                                astrum_task *tasks,
                                                uint32_t room, uint32_t *count,
                                                uint64_t *total);

/* --- Scheduler ------------------------------------------------------------ */

/*
 * A pure state machine. It knows no clock, does no input or output and calls
 * nobody: the host tells it what happened (`now` is always an argument, and
 * never goes back) and asks what to do with astrum_sched_next. The same calls
 * give the same actions, so a run can be simulated, fuzzed and replayed.
 *
 * It holds a tree of runs. A child run belongs to an attempt of its parent
 * run; limits belong to the outermost run.
 *
 * Time passes with the calls: before a call does anything else, all that was
 * due up to its `now` happens, in the order of time.
 *
 *   task    PENDING -> READY -> RUNNING -> COMPLETED
 *             |          ^         |-----> FAILED, TIMED_OUT, CANCELLED
 *             |          |         v
 *             |          +----- RETRYING -> CANCELLED
 *             +-> SKIPPED (never started; also from READY, and from RUNNING
 *                          when the condition of its first attempt says no)
 *
 *   run     PENDING -> RUNNING -> COMPLETED | FAILED | CANCELLED
 *
 * docs/model.md has the rules in full.
 */
typedef struct astrum_sched astrum_sched;

/* A run of one scheduler. A number comes back after 2^32 others at the
   earliest. */
typedef struct {
  uint32_t id;
} astrum_run;

#define ASTRUM_NO_RUN UINT32_MAX

/* One attempt. Whoever carries it out answers with its ticket. */
typedef struct {
  uint32_t run;
  uint32_t task;
  uint32_t attempt; /* from 1 */
  uint32_t item;    /* of a map, from 1; 0: the task itself */
} astrum_ticket;

/* A pool of a root run, which limits what is done at once and how often. */
typedef struct {
  uint32_t slots; /* units that may be taken at once, 0: no bound */
  uint32_t rate;  /* attempts that may start within any `per`, 0: no bound */
  uint64_t per;   /* ns, more than 0 when there is a rate */
} astrum_pool;

typedef enum {
  ASTRUM_FAIL_FAST, /* the first failure ends the run */
  ASTRUM_KEEP_GOING /* only what depends on a failure is skipped */
} astrum_failure_mode;

/* How many runs may be inside one another. */
#define ASTRUM_DEPTH_MAX 16

typedef struct {
  uint32_t size;        /* sizeof(astrum_run_options) */
  uint32_t concurrency; /* attempts at once, 0: no limit; root runs only */
  uint32_t max_total_attempts; /* of the tree, 0: no bound; root runs only */
  uint64_t seed;               /* of the jitter */
  uint64_t deadline;           /* ns after its begin, 0: none */
  const astrum_pool *pools;    /* copied; root runs only */
  uint32_t pool_count;
  const uint32_t *pool_of; /* by pool of the graph: number of the root's pool;
                              NULL: the same numbers. Copied. */
  uint32_t pool_of_count;
  const astrum_ticket *parent; /* the attempt this run belongs to, or NULL */
  void *user;                  /* comes back with every action of the run */
  uint8_t failure_mode;        /* astrum_failure_mode */
  uint8_t changes;             /* 1: tell with CHANGED what becomes of tasks */
} astrum_run_options;

#define ASTRUM_RUN_OPTIONS_INIT                                                \
  { .size = sizeof(astrum_run_options) }

/* States of tasks and, where they make sense, of runs. */
typedef enum {
  ASTRUM_PENDING,
  ASTRUM_READY,
  ASTRUM_RUNNING,
  ASTRUM_RETRYING, /* waits for its next attempt */
  ASTRUM_COMPLETED,
  ASTRUM_FAILED,
  ASTRUM_TIMED_OUT, /* its last attempt took too long */
  ASTRUM_CANCELLED, /* had started, or waited to retry */
  ASTRUM_SKIPPED    /* never started */
} astrum_state;

/* Why a task or run is in its final state. */
typedef enum {
  ASTRUM_CAUSE_NONE,
  ASTRUM_CAUSE_ERROR,    /* its own attempt failed */
  ASTRUM_CAUSE_FAILURE,  /* fail_fast after the failure of another task */
  ASTRUM_CAUSE_UPSTREAM, /* a task it depends on did not complete */
  ASTRUM_CAUSE_REQUEST,  /* the host cancelled the run */
  ASTRUM_CAUSE_PARENT,   /* the attempt that the run belongs to was cancelled */
  ASTRUM_CAUSE_STUCK,    /* nothing was left that could let it go on */
  ASTRUM_CAUSE_MEMORY,   /* the scheduler had no memory to start it */
  ASTRUM_CAUSE_TIMEOUT,  /* its attempt took longer than its timeout */
  ASTRUM_CAUSE_IDLE,     /* it told no progress for its idle_timeout */
  ASTRUM_CAUSE_DEADLINE, /* the run took longer than its deadline */
  ASTRUM_CAUSE_CONDITION, /* its own condition said no */
  ASTRUM_CAUSE_TRIGGER, /* its trigger can no longer come, without a failure */
  ASTRUM_CAUSE_ITEM,    /* an item of the map failed */
  ASTRUM_CAUSE_ATTEMPTS /* the tree had used its max_total_attempts */
} astrum_cause;

/* What became of an attempt. */
typedef enum {
  ASTRUM_SUCCEEDED,
  ASTRUM_FAILURE,       /* is retried if retries are left */
  ASTRUM_FAILURE_FINAL, /* is not retried */
  ASTRUM_STOPPED,       /* ended because of a CANCEL; else a final failure */
  ASTRUM_DECLINED,      /* the condition says that the task is not to run */
  ASTRUM_TIMEOUT        /* took too long; the scheduler's word, never an answer:
                           given as one it is a final failure */
} astrum_outcome;

typedef enum {
  ASTRUM_START,  /* begin the attempt `ticket` */
  ASTRUM_EXPAND, /* count the items of the map `ticket`; answer with expanded,
                    or with finished when that fails */
  ASTRUM_RESUME, /* an attempt that called astrum_sched_waiting has its slot */
  ASTRUM_CANCEL, /* end the attempt soon and answer with finished */
  ASTRUM_DONE,   /* the verdict of run `ticket.run` is known: nothing but
                    detached tasks of it is alive */
  ASTRUM_CLOSED, /* nothing of the run is alive; it may be forgotten */
  ASTRUM_CHANGED /* of a run with `changes`: a task or item became ready for the
                    first time, or is final. Comes before all other actions, in
                    the order in which it happened; ticket.attempt is the number
                    of its last attempt */
} astrum_action_kind;

typedef struct {
  uint8_t kind;  /* astrum_action_kind */
  uint8_t cause; /* astrum_cause of a CANCEL, CHANGED, DONE or CLOSED */
  uint8_t state; /* astrum_state: of the run with DONE and CLOSED, of the task
                    or item with CHANGED */
  astrum_ticket ticket;
  void *user; /* of the run's options */
} astrum_action;

/* A scheduler without runs. `alloc` NULL: the C library's. ENOMEM. */
ASTRUM_API astrum_err astrum_sched_new(const astrum_alloc *alloc,
                                       astrum_sched **out);

/* Drops all runs; nobody is asked to end attempts that run. */
ASTRUM_API void astrum_sched_free(astrum_sched *sched);

/*
 * Makes a run of a frozen graph, which must outlive it. Nothing starts before
 * astrum_sched_begin. All memory that reporting an outcome could need is taken
 * here or when an attempt is handed out. ENOTFROZEN; EINVAL for options that
 * make no sense (unknown size or failure mode, a limit or pools on a child run,
 * a pool that the root has not, a rate without a time); EPOOL when a task wants
 * more units than a pool has beside what the attempts hold that the run is
 * inside of; ESTALE when the parent attempt is over; EDEPTH; ELIMIT for too
 * many runs; ENOMEM.
 */
ASTRUM_API astrum_err astrum_sched_open(astrum_sched *sched,
                                        const astrum_graph *graph,
                                        const astrum_run_options *options,
                                        astrum_run *out);

/* Tasks without dependencies become ready. ESTALE; EINVAL when begun before, or
   cancelled before it was begun. */
ASTRUM_API astrum_err astrum_sched_begin(astrum_sched *sched, astrum_run run,
                                         uint64_t now);

/*
 * Asks a run and the runs inside it to stop: nothing new starts, and a CANCEL
 * comes for each attempt that runs. Tasks whose trigger is ASTRUM_ALL_DONE or
 * ASTRUM_ALWAYS, made to clean up, still run. The run is cancelled, or failed
 * when the cause is ASTRUM_CAUSE_STUCK. A run that has not been begun ends at
 * once. A run that is stopping already, or has its verdict, is stopped with all
 * that is left of it: cleaning up and detached tasks too. ESTALE; EINVAL for no
 * cause.
 */
ASTRUM_API astrum_err astrum_sched_cancel(astrum_sched *sched, astrum_run run,
                                          astrum_cause cause, uint64_t now);

/*
 * Reports the end of an attempt. Needs no memory. Whatever the outcome, an
 * attempt that was asked to stop ends as cancelled, or as timed out when it
 * took too long; ASTRUM_FAILURE_FINAL keeps the latter from being retried.
 * An outcome that makes no sense is a final failure. ESTALE: the ticket is not
 * that of a running attempt, nothing changed. EBUSY: CLOSED has not been handed
 * out for a child run of it; nothing changed, answer again after that.
 */
ASTRUM_API astrum_err astrum_sched_finished(astrum_sched *sched,
                                            astrum_ticket ticket,
                                            astrum_outcome outcome,
                                            uint64_t now);

/*
 * Answers an EXPAND: the map has so many items, which become ready now. Needs
 * memory. An attempt that was asked to stop ends as with finished. ESTALE;
 * EINVAL for a ticket of something else; EBUSY as with finished; ELIMIT for
 * more than its max_items, or more than the library can count; ENOMEM. After an
 * error the attempt is still to be answered.
 */
ASTRUM_API astrum_err astrum_sched_expanded(astrum_sched *sched,
                                            astrum_ticket ticket,
                                            uint32_t items, uint64_t now);

/* The attempt is getting on: its idle_timeout begins anew. ESTALE. */
ASTRUM_API astrum_err astrum_sched_progress(astrum_sched *sched,
                                            astrum_ticket ticket, uint64_t now);

/*
 * With `waiting` 1 an attempt gives its slot back because it waits for runs of
 * its own; with 0 it asks for a slot again and goes on when RESUME comes. No
 * RESUME comes once it has been asked to stop. It may be finished meanwhile.
 * Units of pools are kept. ESTALE; EINVAL when it does not change anything.
 */
ASTRUM_API astrum_err astrum_sched_waiting(astrum_sched *sched,
                                           astrum_ticket ticket, int waiting,
                                           uint64_t now);

/*
 * Writes up to `room` actions and returns their number; 0 means that there is
 * nothing to do before the next event or astrum_sched_wake. The start time of
 * an attempt is the `now` of the call that handed it out, so an executor that
 * works in place asks for one action at a time.
 */
ASTRUM_API size_t astrum_sched_next(astrum_sched *sched, uint64_t now,
                                    astrum_action *actions, size_t room);

/* When to call astrum_sched_next next although nothing happened: 0 when there
   are actions to hand out, ASTRUM_NEVER when only an event can bring some. */
ASTRUM_API uint64_t astrum_sched_wake(const astrum_sched *sched);

/* Whether a failure of this running attempt would be retried; 0 for any other
   ticket. */
ASTRUM_API int astrum_sched_will_retry(const astrum_sched *sched,
                                       astrum_ticket ticket);

/*
 * When a running attempt must be over: the earliest of its timeout and the
 * deadlines of its run and of the runs around it, as far as they have not
 * stopped and would stop it: it may clean up. ASTRUM_NEVER: no bound, or no
 * such attempt. `due` is the same with its idle_timeout, which progress moves.
 */
ASTRUM_API uint64_t astrum_sched_deadline(const astrum_sched *sched,
                                          astrum_ticket ticket);
ASTRUM_API uint64_t astrum_sched_due(const astrum_sched *sched,
                                     astrum_ticket ticket);

/* Whether this is the ticket of a running attempt. */
ASTRUM_API int astrum_sched_alive(const astrum_sched *sched,
                                  astrum_ticket ticket);

/* Why this running attempt was asked to stop, or ASTRUM_CAUSE_NONE. */
ASTRUM_API astrum_cause astrum_sched_stopping(const astrum_sched *sched,
                                              astrum_ticket ticket);

/*
 * Frees a run. ESTALE; EBUSY before CLOSED has been handed out, and as long as
 * child runs of it have not been forgotten.
 */
ASTRUM_API astrum_err astrum_sched_forget(astrum_sched *sched, astrum_run run);

/* --- Records -------------------------------------------------------------- */

/* What the scheduler knows of one task of a run. Times that did not come
   are ASTRUM_NEVER. */
typedef struct {
  uint8_t state;     /* astrum_state */
  uint8_t cause;     /* astrum_cause, once the state is final */
  uint32_t blame;    /* task whose failure is the reason, or ASTRUM_NO_TASK */
  uint32_t attempts; /* begun so far */
  uint64_t ready;    /* all its dependencies were complete */
  uint64_t start;    /* of its first attempt */
  uint64_t end;      /* when its final state was decided */
  uint64_t busy;     /* sum of the time of its ended attempts, ns; of a map
                        also the time from its expansion to its end */
  uint32_t items;    /* of a map that has been expanded */
  uint8_t handled;   /* 1: it failed, and a task made for that completed */
  uint32_t left;     /* items that are not final yet */
} astrum_record;

typedef struct {
  uint32_t attempt;
  uint8_t outcome;    /* astrum_outcome; STOPPED for a cancelled one */
  uint8_t will_retry; /* another attempt was to follow */
  uint8_t running;    /* 1: has not ended, `end` is ASTRUM_NEVER */
  uint64_t start, end;
} astrum_attempt;

typedef struct {
  uint8_t state; /* astrum_state of the run */
  uint8_t cause;
  uint32_t blame; /* the first task whose failure nothing handled, or
                     ASTRUM_NO_TASK */
  /* The counts leave detached tasks out, and a map is one task; those that are
     final sum up to `tasks` when the run has its verdict. */
  uint32_t tasks, completed, failed, timed_out, cancelled, skipped;
  uint32_t running;    /* attempts that have been started and not answered */
  uint64_t begin, end; /* begin; verdict, or ASTRUM_NEVER */
} astrum_summary;

/* ESTALE for a run that is not there, EINVAL for a task that is not. */
ASTRUM_API astrum_err astrum_sched_record(const astrum_sched *sched,
                                          astrum_run run, astrum_task task,
                                          astrum_record *out);

/*
 * Writes up to `room` attempts of a task, the first one first, and the number
 * of all attempts to `*count`. ESTALE, EINVAL.
 */
ASTRUM_API astrum_err astrum_sched_attempts(const astrum_sched *sched,
                                            astrum_run run, astrum_task task,
                                            astrum_attempt *attempts,
                                            uint32_t room, uint32_t *count);

/* The same for an item of a map, from 1. EINVAL for one that is not there. */
ASTRUM_API astrum_err astrum_sched_item_record(const astrum_sched *sched,
                                               astrum_run run, astrum_task task,
                                               uint32_t item,
                                               astrum_record *out);
ASTRUM_API astrum_err astrum_sched_item_attempts(
    const astrum_sched *sched, astrum_run run, astrum_task task, uint32_t item,
    astrum_attempt *attempts, uint32_t room, uint32_t *count);

/* The state and the counts of a run. ESTALE. */
ASTRUM_API astrum_err astrum_sched_summary(const astrum_sched *sched,
                                           astrum_run run, astrum_summary *out);

/* --- Loop ----------------------------------------------------------------- */

/*
 * Drives one scheduler from a libuv loop, its own or the host's: hands actions
 * to the executor, keeps time, and turns again while there is work, for at
 * most a few milliseconds before the loop polls.
 *
 * Callbacks may call everything here but astrum_loop_run and astrum_loop_free,
 * for any run, the one they are called for too. One that runs the host's libuv
 * loop itself gets no callback of ours inside; they come when it has returned.
 */
struct uv_loop_s;
typedef struct astrum_loop astrum_loop;

/* Carries actions out. All are called from the loop's thread. */
typedef struct {
  uint32_t size; /* sizeof(astrum_executor) */
  /* START. Answers with astrum_loop_finished, at once or later. */
  void (*start)(void *user, const astrum_action *action);
  /* EXPAND. Answers with astrum_loop_expanded or astrum_loop_finished, at once
     or later. May be NULL when no graph has a map. */
  void (*expand)(void *user, const astrum_action *action);
  /* RESUME. May be NULL when no attempt ever waits for a run. */
  void (*resume)(void *user, const astrum_action *action);
  /* CANCEL. Answers with astrum_loop_finished, at once or later. */
  void (*cancel)(void *user, const astrum_action *action);
  /* DONE and CLOSED. */
  void (*ended)(void *user, const astrum_action *action);
  /* CHANGED. May be NULL when no run asks for it. */
  void (*changed)(void *user, const astrum_action *action);
  /* After astrum_loop_wake. May be NULL. */
  void (*woken)(void *user);
  /* The loop polls next: what was put off until all actions were handed out
     has to be done now. May be NULL. */
  void (*settled)(void *user);
} astrum_executor;

typedef struct {
  uint32_t size;             /* sizeof(astrum_loop_options) */
  const astrum_alloc *alloc; /* copied; NULL: the C library's */
  struct uv_loop_s *uv;      /* a loop of the host's, or NULL for an own one */
  const astrum_executor *executor; /* copied */
  void *user;                      /* for the executor */
} astrum_loop_options;

/* Makes a loop with a scheduler of its own. EINVAL for options that make no
   sense (unknown size, no executor, an executor without a function it needs);
   ENOMEM; ESYSTEM when libuv cannot be set up. */
ASTRUM_API astrum_err astrum_loop_new(const astrum_loop_options *options,
                                      astrum_loop **out);

/*
 * Frees the loop and its scheduler. Runs that are open are dropped without a
 * word to the executor, timers do not fire, child processes are killed and
 * reaped. Not from a callback. An own libuv loop is closed; a host's loop has
 * handles of ours to close in its next iteration. In a process that was forked
 * after the loop was made, the child processes are left to the parent, whose
 * loop goes on.
 */
ASTRUM_API void astrum_loop_free(astrum_loop *loop);

/* The scheduler, valid until the loop is freed. Tell it of events through the
   functions below, which also wake the loop. */
ASTRUM_API astrum_sched *astrum_loop_sched(astrum_loop *loop);

/* The libuv loop, the host's or the own one, valid until the loop is freed. */
ASTRUM_API struct uv_loop_s *astrum_loop_uv(astrum_loop *loop);

/* Reads the clock, ns. */
ASTRUM_API uint64_t astrum_loop_now(astrum_loop *loop);

/* The scheduler's functions of the same names, at the present time. */
ASTRUM_API astrum_err astrum_loop_begin(astrum_loop *loop, astrum_run run);
ASTRUM_API astrum_err astrum_loop_cancel(astrum_loop *loop, astrum_run run,
                                         astrum_cause cause);
ASTRUM_API astrum_err astrum_loop_finished(astrum_loop *loop,
                                           astrum_ticket ticket,
                                           astrum_outcome outcome);
ASTRUM_API astrum_err astrum_loop_waiting(astrum_loop *loop,
                                          astrum_ticket ticket, int waiting);
ASTRUM_API astrum_err astrum_loop_expanded(astrum_loop *loop,
                                           astrum_ticket ticket,
                                           uint32_t items);
ASTRUM_API astrum_err astrum_loop_progress(astrum_loop *loop,
                                           astrum_ticket ticket);

/*
 * With `on` 1 time becomes virtual: it stands still while the loop works, and
 * when nothing could happen but what time brings, astrum_loop_run moves it to
 * the next deadline instead of waiting. While something of libuv is pending
 * that is not ours (a child process, a socket), real time is waited for and
 * virtual time stands still. With 0 time goes on from where it is, at its real
 * pace. For tests of what takes hours.
 */
ASTRUM_API void astrum_loop_virtual(astrum_loop *loop, int on);

/* When the system's monotonic clock is what the loop's clock is at `time`.
   ASTRUM_NEVER for ASTRUM_NEVER, and while time is virtual. */
ASTRUM_API uint64_t astrum_loop_system_time(const astrum_loop *loop,
                                            uint64_t time);

/*
 * Turns the loop until `until(user)` is not 0, which is asked before each turn.
 * EIDLE: it is still 0, and nothing is left that could happen. EBUSY: called
 * from a callback of the loop. EINVAL: astrum_loop_forked.
 */
ASTRUM_API astrum_err astrum_loop_run(astrum_loop *loop, int (*until)(void *),
                                      void *user);

/*
 * Makes the loop turn and call `woken` soon; several calls may count as one.
 * The one function that other threads and signal handlers may call, as long as
 * the loop is not freed. That somebody may call it does not keep
 * astrum_loop_run from returning EIDLE: a timer or a libuv handle does.
 */
ASTRUM_API void astrum_loop_wake(astrum_loop *loop);

/*
 * While `on`, the loop is kept alive: astrum_loop_run does not return EIDLE,
 * and virtual time stands still. For work in other threads, which tell of its
 * end by astrum_loop_wake.
 */
ASTRUM_API void astrum_loop_hold(astrum_loop *loop, int on);

/* A descriptor that is being watched. */
typedef struct astrum_watch astrum_watch;

/*
 * Calls `readable` from the loop whenever reading from a descriptor would not
 * block: there is something to read, the input has ended, or reading it fails.
 * It is called again until all of it is read. As long as it is watched,
 * astrum_loop_run does not return EIDLE. The descriptor stays the host's, and
 * blocking or not, as it was; a file on a disk cannot be watched. To be stopped
 * before the loop is freed. EINVAL: no open descriptor, no function; ENOMEM;
 * ESYSTEM: the system cannot watch it.
 */
ASTRUM_API astrum_err astrum_loop_watch(astrum_loop *loop, int descriptor,
                                        void (*readable)(void *user),
                                        void *user, astrum_watch **out);

/* `readable` is not called any more. The watch is freed. NULL is allowed. */
ASTRUM_API void astrum_watch_stop(astrum_watch *watch);

/* Whether this process was forked after the loop was made. The loop is the
   parent's then: all that may be done with it is astrum_loop_free. */
ASTRUM_API int astrum_loop_forked(const astrum_loop *loop);

/* Whether a callback of the loop is on the stack. */
ASTRUM_API int astrum_loop_turning(const astrum_loop *loop);

/*
 * A timer, part of the host's own structure; zero before its first use. Fires
 * once, in the order of deadlines, equal ones in the order they were started.
 */
typedef struct astrum_timer {
  uint64_t due;
  uint64_t order;
  size_t place; /* 0: not started */
  void (*fire)(struct astrum_timer *timer);
} astrum_timer;

/* Makes room for `count` timers: with no more than that started, starting one
   cannot fail. ENOMEM. */
ASTRUM_API astrum_err astrum_timer_reserve(astrum_loop *loop, size_t count);

/* Starts or restarts a timer, whose `fire` must be set, for the time `due` of
   astrum_loop_now. The structure must stay where it is until the timer has
   fired or was stopped. ENOMEM. */
ASTRUM_API astrum_err astrum_timer_start(astrum_loop *loop, astrum_timer *timer,
                                         uint64_t due);

/* `fire` is not called any more. Stopping a timer that is not started does
   nothing. */
ASTRUM_API void astrum_timer_stop(astrum_loop *loop, astrum_timer *timer);

/*
 * Calls back again and again, for a display of what runs: real time even when
 * that of the loop is virtual, late while callbacks take long, and never a
 * reason for the loop to go on.
 */
typedef struct astrum_ticker astrum_ticker;

/* Begins at once. `interval` is in ns; libuv counts whole milliseconds. EINVAL
   when it is less than one, ENOMEM. */
ASTRUM_API astrum_err astrum_ticker_start(astrum_loop *loop, uint64_t interval,
                                          void (*fire)(void *user), void *user,
                                          astrum_ticker **out);

/* To be called before the loop is freed; also from `fire`. NULL is allowed. */
ASTRUM_API void astrum_ticker_stop(astrum_ticker *ticker);

/* --- Child processes ------------------------------------------------------ */

typedef struct astrum_process astrum_process;

typedef enum {
  ASTRUM_STDIO_CAPTURE, /* collect what it writes */
  ASTRUM_STDIO_INHERIT,
  ASTRUM_STDIO_NULL
} astrum_stdio;

/* The descriptor of a child process that `message` reads from. */
#define ASTRUM_CHANNEL_DESCRIPTOR 3

typedef struct {
  uint32_t size;           /* sizeof(astrum_process_options) */
  const char *const *argv; /* ends with NULL; argv[0] is looked up in PATH */
  const char *const *env;  /* "NAME=value" ... NULL; NULL: the host's own */
  const char *cwd;         /* NULL: the host's own */
  const void *input;       /* written to its standard input, then closed */
  size_t input_size;       /* copied by the call; 0: it reads from /dev/null */
  uint64_t grace;          /* ns between TERM and KILL */
  uint8_t inherit_stdin;   /* 1: standard input is the host's */
  uint8_t out, err;        /* astrum_stdio */
  /* NULL, or called from the loop with what the child writes to its descriptor
     3, as it comes; in no pieces but those of the pipe. All of it has come when
     `ended` is called. */
  void (*message)(void *user, const char *bytes, size_t size);
} astrum_process_options;

typedef struct {
  int code;        /* exit code, or -1 when a signal ended it */
  int signal;      /* number of that signal, or 0 */
  const char *out; /* captured output, valid during the call */
  size_t out_size;
  const char *err;
  size_t err_size;
  astrum_err error; /* ENOMEM, ESYSTEM: output could not be kept; else 0 */
} astrum_process_result;

/*
 * Starts a child process as leader of a process group of its own. `ended` is
 * called once from the loop, after the process was reaped and its output read
 * to the end, but no later than a fixed time after its exit when something
 * else keeps its output open; then `*out` is freed. ENOMEM; EINVAL;
 * ESYSTEM with the errno in `*system_errno` (ENOENT: no such command or
 * directory).
 */
ASTRUM_API astrum_err astrum_process_start(
    astrum_loop *loop, const astrum_process_options *options,
    void (*ended)(void *user, const astrum_process_result *result), void *user,
    astrum_process **out, int *system_errno);

/*
 * Ends the whole process group: TERM, and KILL after the grace time. `ended` is
 * still called when it is gone. A second call changes nothing.
 */
ASTRUM_API void astrum_process_stop(astrum_process *process);

/*
 * Sends KILL to the groups of all child processes of a loop, for a host that
 * is about to end. A signal handler may call it.
 */
ASTRUM_API void astrum_loop_kill(astrum_loop *loop);

/* Sends KILL to the whole group at once. `ended` is still called. */
ASTRUM_API void astrum_process_kill(astrum_process *process);

/* The process id, which is also that of its group. */
ASTRUM_API int64_t astrum_process_pid(const astrum_process *process);

/* --- Flow ----------------------------------------------------------------- */

/*
 * Tasks whose bodies are C functions: one for each task of a frozen graph, run
 * one at a time in the thread of astrum_flow_run. A task gets the values of
 * the tasks it waits for and returns one.
 */
typedef struct astrum_flow astrum_flow;

/* One attempt of a task, as its function sees it. */
typedef struct astrum_call astrum_call;

/* What a task returned. All zero when it returned nothing. */
typedef struct {
  int64_t integer;
  const void *data; /* NULL unless it returned data */
  size_t size;      /* of data, bytes */
} astrum_value;

/* Returned in place of an outcome by a function that called
   astrum_call_later. */
#define ASTRUM_LATER (-1)

/*
 * The body of a task. Returns ASTRUM_SUCCEEDED, ASTRUM_FAILURE,
 * ASTRUM_FAILURE_FINAL, ASTRUM_DECLINED or ASTRUM_LATER; anything else is a
 * final failure.
 * `call` is valid until it returns, `user` is that of astrum_flow_set.
 */
typedef int (*astrum_function)(astrum_call *call, void *user);

/*
 * The graph must be frozen (else ENOTFROZEN), have no map (else EINVAL) and
 * outlive the flow. `uv` is a loop of the host's to run on, or NULL for an own
 * one; `alloc` NULL: the C library's. ENOMEM, ESYSTEM.
 */
ASTRUM_API astrum_err astrum_flow_new(const astrum_graph *graph,
                                      struct uv_loop_s *uv,
                                      const astrum_alloc *alloc,
                                      astrum_flow **out);

/* Releases all values. Not from a function or callback of the flow. */
ASTRUM_API void astrum_flow_free(astrum_flow *flow);

/* The loop, for timers and child processes; valid until the flow is freed. */
ASTRUM_API astrum_loop *astrum_flow_loop(astrum_flow *flow);

/* Sets the body of a task. EINVAL for a task that is not of the graph and for
   no function; EBUSY during a run. */
ASTRUM_API astrum_err astrum_flow_set(astrum_flow *flow, astrum_task task,
                                      astrum_function function, void *user);

/*
 * Runs all tasks once and returns when nothing of the run is alive, detached
 * tasks included. ASTRUM_OK means that the run has ended; how is in `*out`
 * (which may be NULL). `options` NULL means all defaults; `parent` and `user`
 * must be NULL and `changes` 0. Values of an earlier run are released first.
 *
 * EINVAL for such options, when a task has no function and in a process that
 * was forked after the flow was made; EBUSY during a run or from a callback;
 * ENOMEM. EIDLE: attempts that were to finish later did not, and nothing is
 * left that could make them, not even after a cancel; the run is given up and
 * `*out` says how far it came.
 */
ASTRUM_API astrum_err astrum_flow_run(astrum_flow *flow,
                                      const astrum_run_options *options,
                                      astrum_summary *out);

/* Asks the run to stop, from a function or callback. Without a run it does
   nothing. */
ASTRUM_API void astrum_flow_cancel(astrum_flow *flow);

/*
 * What is known of a task of the last run, during it and afterwards. ESTALE
 * before the first run, EINVAL for a task that is not of the graph.
 */
ASTRUM_API astrum_err astrum_flow_record(const astrum_flow *flow,
                                         astrum_task task, astrum_record *out);

/* What a completed task returned, else all zero. Data is valid until the next
   run begins or the flow is freed. */
ASTRUM_API astrum_value astrum_flow_value(const astrum_flow *flow,
                                          astrum_task task);

/* Why a task failed or timed out, ended by NUL; NULL when it did not. Valid as
   long as a value. */
ASTRUM_API const char *astrum_flow_error(const astrum_flow *flow,
                                         astrum_task task);

/* The flow that the call belongs to; NULL once its run was given up. */
ASTRUM_API astrum_flow *astrum_call_flow(const astrum_call *call);

/* The task whose body is called. */
ASTRUM_API astrum_task astrum_call_task(const astrum_call *call);

/* The number of the attempt, from 1. */
ASTRUM_API uint32_t astrum_call_attempt(const astrum_call *call);

/*
 * The values of the tasks that this one waits for, in the order in which the
 * edges were added. An index that is too large gives a value of all zero.
 */
ASTRUM_API uint32_t astrum_call_input_count(const astrum_call *call);
ASTRUM_API astrum_value astrum_call_input(const astrum_call *call,
                                          uint32_t index);

/*
 * Sets what the task returns if it succeeds; the last one counts. Data is not
 * copied: `release` (NULL: nothing to do) is called once with it when nobody
 * needs it any more, at once if the attempt does not succeed. EINVAL for no
 * data; ENOMEM; in both cases it stays the caller's.
 */
ASTRUM_API void astrum_call_return_integer(astrum_call *call, int64_t integer);
ASTRUM_API astrum_err astrum_call_return_data(astrum_call *call, void *data,
                                              size_t size,
                                              void (*release)(void *data,
                                                              size_t size));

/*
 * Says why the attempt fails: a text ended by NUL, which is copied. Without
 * memory for it the text is that of ENOMEM.
 */
ASTRUM_API void astrum_call_error(astrum_call *call, const char *text);

/*
 * For a function that starts something and returns ASTRUM_LATER. Hands out a
 * call that is valid until it is given to astrum_call_finish, which must be
 * done once, from the same thread. `cancel` (NULL: none) is called at most
 * once, when the attempt should end early, because the run stops or it took too
 * long; it may finish the call. Of `call`
 * only the accessors are of use from then on. ENOMEM; EINVAL when a call was
 * handed out already.
 */
ASTRUM_API astrum_err astrum_call_later(astrum_call *call,
                                        void (*cancel)(astrum_call *call,
                                                       void *user),
                                        void *user, astrum_call **out);

/* Ends an attempt with an astrum_outcome, and the call. When its run was given
   up it only releases what was set; such calls have no flow and no inputs. */
ASTRUM_API void astrum_call_finish(astrum_call *call, int outcome);

#ifdef __cplusplus
}
#endif

#endif
