/*
 * What the files of the binding share. It is the only code that sees both
 * lua.h and astrum.h.
 *
 *   engine    one per Lua state: the loop, the coroutines, what runs now
 *   program   a graph with its bodies and where their arguments come from
 *   run       one execution of a program: results, errors
 *   attempt   one attempt of a task; it has one strand or, inside astrum.all,
 *             several
 *   strand    a coroutine of ours and what it waits for
 *
 * The loop's callbacks work on one Lua thread of its own, engine->L. Calls on
 * it that can raise are made inside lua_pcall: an error never crosses a held
 * resource. Code of users runs there and may keep that thread and do with it
 * what it likes, so it is empty between two callbacks. What must not get lost
 * stands on a second thread, engine->slots, on which nothing is ever called.
 */
#ifndef ASTRUM_BINDING_H
#define ASTRUM_BINDING_H

#include <astrum.h>

#include <lauxlib.h>
#include <lua.h>
#include <stdatomic.h>

enum {
  SLOT_COROUTINES = 1, /* number -> coroutine */
  SLOT_RESULTS,        /* of the run whose tasks are being started */
  SLOT_VALUES,
  SLOT_BODIES,
  SLOT_COUNT = SLOT_BODIES
};

typedef struct engine engine;
typedef struct program program;
typedef struct run run;
typedef struct attempt attempt;
typedef struct strand strand;
typedef struct group group;
typedef struct guarded guarded;

/* A coroutine that nobody uses, by its number in SLOT_COROUTINES. */
typedef struct {
  lua_State *co;
  int number;
} pooled;

struct engine {
  lua_State *L;
  lua_State *slots;  /* its stack begins with the tables named in SLOT_... */
  lua_State *main;   /* the main thread of the Lua state */
  astrum_loop *loop; /* NULL before something has to wait or run */
  astrum_alloc alloc;
  strand *current;        /* whose coroutine runs now, or NULL */
  const char *refuses;    /* why nothing may wait now, or NULL */
  run *pinned;            /* whose tables are in the slots */
  run *runs;              /* all that are not closed, the newest first */
  strand *strands;        /* below the main program, the newest first */
  size_t strand_count;    /* all that are alive */
  struct child *children; /* processes (lua_spawn.c) */
  attempt *free_attempts;
  strand *free_strands;
  pooled *idle;
  int *numbers; /* that no coroutine has */
  int idle_count, number_count, coroutine_count, coroutine_capacity;
  volatile int interrupted; /* number of a signal, or 0 */
  int stop_runs;            /* it has not been told to the runs */
  int all_closed;           /* no run is open */
  volatile int driving;     /* the main program waits */
  int closing;              /* the Lua state is being closed */
  int closed;
  int forked;            /* what runs belongs to the parent of this process */
  astrum_ticker *ticker; /* of core.tick, or NULL */
  void (*on_writer)(int begins); /* or NULL */
  guarded *volatile guarded;     /* the innermost that runs (lua_preempt.c) */
  lua_State *volatile running;   /* the innermost coroutine that is known */
  struct thread_timer *timer;    /* NULL: nothing is stopped by time */
  int enabled;                   /* preemption, all of it */
  volatile int interrupts_main;  /* "interrupted!" is still to be raised */
  int told_overrun;
  size_t call_count;            /* bodies in them */
  struct thread_home *homes;    /* its worker threads (lua_thread.c) */
  uint8_t holds_jobs;           /* which are to be queued for them soon */
  lua_State *brief;             /* what some of their bodies run in at home */
  uint64_t brief_count;         /* so many have */
  uint64_t brief_at;            /* a time at which the guard's timer was set */
  uint64_t brief_ns;            /* those that take workers less time */
  struct thread_worker *worker; /* that it belongs to, or NULL (lua_worker.c) */
  uint8_t call_state;           /* CALL_..., of what the worker runs */
  const atomic_int *asked;      /* not 0: what the worker runs is to stop */
};

/* --- programs (lua_program.c) */

enum {
  ARGUMENT_CONSTANT,
  ARGUMENT_REFERENCE,
  ARGUMENT_FUNCTION, /* called for each attempt */
  ARGUMENT_TEMPLATE, /* a table that is rebuilt with the references' values */
  ARGUMENT_INPUTS,   /* the table of all inputs */
  ARGUMENT_CONTEXT,
  ARGUMENT_ITEM, /* of the list number `value` of a map, from 1 */
  ARGUMENT_PARAM /* of the run, by its name */
};

enum {
  TYPE_NONE, /* unchecked */
  TYPE_INTEGER,
  TYPE_NUMBER,
  TYPE_STRING,
  TYPE_BOOLEAN,
  TYPE_TABLE,
  TYPE_LIST,
  TYPE_FUNCTION,
  TYPE_ANY,
  TYPE_PREDICATE
};

typedef struct {
  uint8_t kind, type;
  uint8_t optional;  /* nil is allowed, and so is nil on the way */
  uint8_t hidden;    /* only in the table of all inputs */
  uint32_t source;   /* task of a reference */
  uint32_t depth;    /* keys of its path */
  uint32_t value;    /* index in the values: keys of the path; the constant,
                        function or template */
  uint32_t check;    /* index of the predicate, or 0 */
  uint32_t fallback; /* index of the default value, or 0 */
  uint32_t name;     /* index of the parameter's name, or 0 */
} argument;

typedef struct {
  uint32_t first, count; /* arguments */
  uint32_t extra;        /* index in the extras and 1, or 0 */
  uint8_t slow;          /* something of Lua must run to resolve them */
  uint8_t wants_inputs;
  uint8_t uncertain; /* may run although a task upstream did not complete */
  uint8_t limited;   /* has a timeout */
} body_plan;

/* What few tasks have. */
typedef struct {
  uint32_t list_count; /* of a map: so many arguments behind the others */
  uint32_t condition;  /* index in the values, or 0: a function; behind it the
                          numbers of the arguments that it takes */
  uint32_t retry_on;   /* index in the values, or 0: a function of the error */
  uint64_t
      cancel_grace; /* of its processes between TERM and KILL, ns; 0: 5 s */
} body_extra;

/* A declaration in columns (lua_declare.c). */
typedef struct {
  uint32_t symbol, first_input, input_count;
  int line;
  uint32_t source;
  uint8_t is_plain;    /* else only `symbol` means something */
  uint8_t takes_table; /* its one parameter is `inputs` */
  uint8_t is_listed;   /* its inputs are in the order of its parameters */
  uint8_t context;     /* place of the parameter `ctx`, from 1; 0: none */
} plain_task;

#define BINDING_HANDLE UINT32_MAX

typedef struct {
  uint32_t symbol; /* of the task that it reads from */
  uint32_t key;    /* number of the field; 0: the whole result, BINDING_HANDLE:
                      the same, given as the handle of the task */
  uint32_t name;   /* number of the parameter's name, when it takes a table */
  int line;
  uint32_t source;
} plain_input;

typedef struct {
  const char *text; /* of the string that is kept */
  uint32_t hash;
  uint32_t number; /* of the declaration, or 0 */
} task_symbol;

typedef struct {
  astrum_alloc alloc;
  plain_task *tasks;
  plain_input *inputs;
  task_symbol *symbols;
  uint32_t *slots; /* hash table of symbols, 0: empty */
  uint32_t task_count, task_capacity;
  uint32_t input_count, input_capacity;
  uint32_t symbol_count, symbol_capacity, slot_count;
  uint32_t key_count, source_count;
  const char *last_source, *last_key;
  uint32_t last_source_number, last_key_number;
  const char *run_word, *inputs_word,
      *ctx_word; /* texts of the words that are kept */
} declarations;

declarations *binding_check_declarations(lua_State *L, int index);
const plain_input *binding_plain_inputs(const declarations *d, uint32_t number,
                                        uint32_t *count);

/* The tables of bodies by number of the declaration, and of keys by number; the
   declarations are at `index`. */
void binding_push_plain_bodies(lua_State *L, int index);
void binding_push_plain_keys(lua_State *L, int index);
int binding_open_declare(lua_State *L);

/* User values: 1 the graph, 2 the bodies by task, 3 the values. */
struct program {
  const astrum_graph *graph;
  astrum_alloc alloc;
  body_plan *bodies;
  uint32_t task_count;
  argument *arguments;
  size_t argument_count, argument_capacity;
  body_extra *extras;
  uint32_t extra_count, extra_capacity;
  uint32_t value_count;
  uint32_t plain_keys; /* keys of plain declarations follow this value */
  int has_plain_keys;
  int has_maps;
  uint8_t *keeps; /* by task: its result stays; NULL: all do */
};

/* The extra of a task, or NULL. */
static inline const body_extra *binding_extra(const program *p, uint32_t task) {
  uint32_t extra = p->bodies[task].extra;
  return extra ? &p->extras[extra - 1] : NULL;
}

#define PROGRAM_TYPE "astrum.program"
program *binding_check_program(lua_State *L, int index);

/* Why an argument could not be resolved. */
enum {
  PROBLEM_NONE,
  PROBLEM_NOT_TABLE, /* something on the way cannot be indexed */
  PROBLEM_NO_FIELD,
  PROBLEM_TYPE,
  PROBLEM_REFUSED,       /* by a predicate */
  PROBLEM_TOO_MANY,      /* more arguments than a Lua stack holds */
  PROBLEM_NOT_COMPLETED, /* the task that it reads from is */
  PROBLEM_NOT_LIST,      /* what a map goes over */
  PROBLEM_LENGTHS,       /* of the lists of a map are not the same */
  PROBLEM_ITEMS,         /* more than max_items */
  PROBLEM_CONDITION      /* the condition raised an error */
};

typedef struct {
  uint8_t problem;
  uint32_t
      argument;  /* number among the task's, from 0; lists of a map follow */
  uint32_t step; /* how many keys of the path had been followed */
} input_problem;

/*
 * Pushes body and arguments of an attempt onto engine->slots, which holds the
 * tables of its run. Returns the number of arguments; -1: this needs Lua code,
 * so binding_prelude must do it; -2: an argument has a problem, described in
 * the attempt, and the value it has it with is on the top. Raises nothing.
 */
int binding_push_call(engine *e, attempt *a);

/* Resolves inputs inside the coroutine, asks the condition, and calls the body;
   or, for a map that is expanded, resolves and counts its lists. Argument: the
   attempt as light userdata. */
int binding_prelude(lua_State *L);

int binding_open_program(lua_State *L);

/* --- runs (lua_run.c) */

/* User values of a run. */
enum {
  RUN_PROGRAM = 1,
  RUN_RESULTS,
  RUN_ERRORS, /* task -> attempt -> error object; -item -> the same of it */
  RUN_DATA,   /* what the host gave with it */
  RUN_PROGRESS,
  RUN_MAPS,   /* task -> its lists; at 0 the results of its items */
  RUN_PARENT, /* the run it is inside of, whose records its own lean on */
  RUN_AGREED, /* set of tasks and items whose conditions said yes, or nil */
  RUN_VALUES = RUN_AGREED
};

/* Someone who is told when a run has its verdict, or a task of it is over. */
typedef struct waiter {
  struct waiter *next, **link;
  strand *strand; /* NULL: the main program, which looks at `over` */
  uint32_t task;  /* ASTRUM_NO_TASK: the run */
  int over;
} waiter;

/* The attempts of a map's items that are alive. */
typedef struct {
  attempt **attempts;
  uint32_t count;
} map_items;

/* The attempts that failed; all attempts, and the run. */
enum { WANTS_FAILURES = 1, WANTS_EVENTS = 2 };

struct run {
  engine *engine;
  program *program;
  run *next, **link;  /* engine->runs */
  attempt **attempts; /* that are alive, by task */
  map_items *items;   /* by task, NULL without maps */
  uint32_t *readers;  /* by task: tasks below it that have not completed; NULL:
                         all results are kept */
  waiter *waiters;
  attempt *parent;              /* told when the run is closed */
  run *sibling, **sibling_link; /* among those of its parent */
  astrum_run id;
  int done; /* has its verdict */
  uint8_t opened, closed;
  uint8_t wants_events; /* 0, WANTS_FAILURES or WANTS_EVENTS */
  uint8_t places;       /* where bodies were that were stopped: how many */
  uint8_t limited;      /* it, or a run around it, has a deadline */
  double wall;          /* wall clock at its begin, s since 1970 */
  uint64_t begin;
  struct thread_run *shared; /* what worker threads know of it, or NULL */
};

#define RUN_TYPE "astrum.run"
run *binding_check_run(lua_State *L, int index);

/* The run at index 1, whose records can be read; the task of it at index 2. */
run *binding_check_open(lua_State *L);
astrum_task binding_check_run_task(lua_State *L, const run *r);

static inline astrum_sched *binding_sched(const run *r) {
  return astrum_loop_sched(r->engine->loop);
}

/* By astrum_state. */
extern const char *const binding_state_names[];

/* --- what attempts leave (lua_results.c) */

/* Keeps an error object. Arguments: the table of errors of a run, the object,
   the ticket as light userdata. */
int binding_keep_error(lua_State *L);

/* Memory to find the attempts of a run; 0 without it. */
int binding_make_attempts(engine *e, run *r);
void binding_free_attempts(engine *e, run *r);

/* Counts the tasks below each task, if results are to go before the run does;
   0 without memory. */
int binding_count_readers(engine *e, run *r);

/* Whether a task had a result that is gone. */
int binding_is_released(const run *r, uint32_t task);

/* --- methods of runs that read (lua_record.c) */

int binding_run_status(lua_State *L);
int binding_run_record(lua_State *L);
int binding_run_attempts(lua_State *L);
int binding_run_result(lua_State *L);
int binding_run_state(lua_State *L);
int binding_run_outcome(lua_State *L);
int binding_run_next_unusual(lua_State *L);
int binding_run_error(lua_State *L);
int binding_run_progress(lua_State *L);
int binding_run_telling(lua_State *L);
int binding_run_running(lua_State *L);

/* --- runs (lua_run.c) */

/* Pushes the userdata of a run that is not closed. Raises nothing. */
void binding_push_run(lua_State *L, run *r);

/* Stores the error object on the top of engine->L as that of an attempt; pops
   it. Raises nothing. */
void binding_store_error(engine *e, run *r, astrum_ticket ticket);

/* Tells the run's listener of an event, of an attempt or, without a ticket, of
   the run. Raises nothing. */
void binding_event(engine *e, run *r, const char *kind,
                   const astrum_ticket *ticket, const char *detail,
                   int will_retry);

/* Where the attempt of a ticket stands; the task or item must be there. */
attempt **binding_attempt_at(const run *r, const astrum_ticket *ticket);

/* CHANGED. */
void binding_run_changed(void *user, const astrum_action *action);

/* Pushes the table of a map, which has been expanded. Raises nothing. */
void binding_push_map(lua_State *L, run *r, uint32_t task);

/* Makes room for the attempts of a map's items; 0 without memory. */
int binding_make_items(engine *e, run *r, uint32_t task, uint32_t count);

/* An item of a map has been answered, or a map without items expanded: if the
   map has completed by that, its result is made of those of its items. Raises
   nothing. */
void binding_item_over(engine *e, run *r, uint32_t task);

/* Ends all attempts of a run, which nobody will answer. */
void binding_drop_attempts(engine *e, run *r);

/* Puts the run's tables into the slots. Raises nothing. */
void binding_pin(engine *e, run *r);

/* Tells those who wait for tasks that are over now. Raises nothing. */
void binding_tell_waiters(run *r);

/* Calls the hook for errors nobody else would see with the one on the top of
   engine->L; pops it. Raises nothing. */
void binding_tell_error(engine *e, const char *where);

/* An attempt of a task has been answered: if the task has completed by that,
   results that nobody waits for any more go, but those that are to be kept.
   Only for a run with `readers`. Raises nothing. */
void binding_release_results(engine *e, run *r, uint32_t task);

/* DONE and CLOSED. */
void binding_run_ended(void *user, const astrum_action *action);

/* Forgets what an earlier attempt told by ctx.progress. Raises nothing. */
void binding_clear_progress(engine *e, run *r, uint32_t task);

/* Whether the strand runs inside the run. */
int binding_inside(const strand *s, const run *r);

/* Tells all runs of a signal that has come. */
void binding_stop_runs(engine *e);

int binding_open_run(lua_State *L);

/* --- attempts and strands (lua_task.c) */

struct attempt {
  run *run;
  astrum_ticket ticket;
  uint32_t items;     /* counted by an expansion */
  uint64_t begin;     /* of one that is limited */
  strand *strands;    /* alive, the newest first */
  strand *root;       /* the body, while it is alive */
  uint32_t busy;      /* strands that need the slot */
  uint32_t processes; /* being ended, which the answer has to wait for; bodies
                         in worker threads, too */
  run *child_runs;    /* not closed, likewise */
  uint8_t outcome;
  uint8_t ended;    /* the body is over, `outcome` is set */
  uint8_t slot;     /* holds its slot */
  uint8_t asked;    /* has asked for it again */
  uint8_t context;  /* a context userdata points here */
  uint8_t expands;  /* counts the items of a map */
  uint8_t limited;  /* must be over at some time */
  uint8_t late;     /* took too long; its error has been kept */
  uint8_t declined; /* the condition said no */
  uint8_t told;     /* an event has told that it started */
  input_problem problem;
  struct thread_call *call; /* its body, which is in a worker thread and has no
                               strand */
  attempt *next;            /* among the free ones */
};

typedef enum {
  WAIT_NONE,
  WAIT_START, /* has not begun */
  WAIT_TIMER,
  WAIT_CALLBACK,
  WAIT_GROUP,
  WAIT_PROCESS,
  WAIT_RUN,
  WAIT_SLOT,
  WAIT_THREAD,
  WAIT_CANCEL /* the guard has stopped it; it is never resumed */
} wait_kind;

struct strand {
  engine *engine;
  attempt *attempt; /* NULL below the main program */
  lua_State *co;
  int number;         /* of the coroutine */
  uint8_t waits;      /* wait_kind */
  uint8_t granted;    /* the engine resumes it, nobody else */
  group *member_of;   /* NULL for a body */
  int place;          /* among the group's members, from 1 */
  group *joins;       /* the group it waits for */
  astrum_timer timer; /* ends a sleep; wakes it after the other waits */
  waiter waiter;
  struct child *child;       /* process that it waits for */
  struct thread_call *call;  /* body in a worker thread, likewise */
  int depth;                 /* groups around it */
  strand *peer, **peer_link; /* among the members of its group */
  strand *next, **link;
};

/* User values of a group. */
enum {
  GROUP_RESULTS = 1,
  GROUP_ERROR,
  GROUP_TRACEBACK, /* of the member that failed */
  GROUP_VALUES = GROUP_TRACEBACK
};

/* The members of an astrum.all. */
struct group {
  strand *owner;   /* who waits; NULL: the main program */
  strand *members; /* that are alive, the newest first */
  int left;
  int failed, over;
};

/* Makes a strand with a coroutine; NULL when there is no memory. */
strand *binding_new_strand(engine *e, attempt *a);

/* Ends a strand: undoes its wait, closes its coroutine, frees it. */
void binding_end_strand(engine *e, strand *s);

/* Tells that an attempt has started, once. */
void binding_tell_start(engine *e, attempt *a);

/* Whether the condition of the task has to be asked in this attempt. */
int binding_asks(lua_State *L, const attempt *a);

/* Ends all strands of an attempt, which nobody will answer, and frees it. */
void binding_drop_attempt(engine *e, attempt *a);

/* Frees what is kept for later use. */
void binding_free_pools(engine *e);

/* The strand goes on in the loop's next turn. */
void binding_wake_soon(strand *s);

/* A process or child run that an attempt had to wait for is gone. */
void binding_attempt_relieved(engine *e, attempt *a);

/* A strand stops, or starts, to need the slot of its attempt. */
void binding_rest(strand *s);
void binding_need_slot(strand *s);

/*
 * The strand that may wait now in L, or NULL for the main program. Raises an
 * error that says why nobody may wait here; `what` is the waiting function.
 */
strand *binding_waiting_strand(engine *e, lua_State *L, const char *what);

/* Suspends the strand; the continuation calls binding_resumed first, which
   raises when somebody else than the engine has resumed the coroutine. */
int binding_suspend(lua_State *L, strand *s, wait_kind kind, lua_KContext ctx,
                    lua_KFunction k);
strand *binding_resumed(lua_State *L);

/* Calls the function on the top of engine->L, for which nothing may wait;
   pops it. What it raises is told as an error of `where`. Raises nothing. */
void binding_call_cleanup(engine *e, const char *where);

/* The executor of the loop. */
extern const astrum_executor binding_executor;

/* --- engine (lua_engine.c) */

/* Of the first upvalue of the running function. */
engine *binding_engine(lua_State *L);

/* Registers functions, with the engine as upvalue, in the table on the top. */
void binding_functions(lua_State *L, const luaL_Reg *functions);

/* Makes the metatable of a type of userdata. What begins with two underscores
   is a metamethod, and no method: nobody can call __gc by its name. */
void binding_type(lua_State *L, const char *name, const luaL_Reg *methods);

/* The Lua state is being closed: ends what runs, without its answer. Whatever
   the loop may still do changes nothing. A second call does nothing. */
void binding_close(engine *e);

int binding_open_engine(lua_State *L);
int binding_open_terminal(lua_State *L);

/* Makes the loop if there is none. Raises, in a forked process too. */
astrum_loop *binding_loop(engine *e, lua_State *L);

/* Raises in L when the loop cannot be driven from here. */
void binding_check_drive(engine *e, lua_State *L, const char *what);

/* Turns the loop until `*done`. Returns 0 when nothing is left that could
   happen, or the program was interrupted. Raises nothing. */
int binding_drive(engine *e, const int *done);

/* Raises the error for a wait of the main program that binding_drive ended. */
int binding_cannot_end(engine *e, lua_State *L, const char *what);

/*
 * Calls a hook (a function of lua/astrum) with the `count` values on the top of
 * engine->L, which it pops, and pushes `results` values. Returns 0, with
 * nothing pushed, when it is missing or raises. Raises nothing.
 */
int binding_hook(engine *e, const char *name, int count, int results);
void binding_push_hook(lua_State *L, const char *name);
extern const char binding_on_failure[], binding_on_input[],
    binding_on_timeout[], binding_on_stopped[], binding_on_items[],
    binding_on_event[], binding_on_log[], binding_on_done[], binding_on_error[];

/* Keeps the value on the top of L under a key, nil: no longer; pops it. Raises
   only for want of memory for a new key. */
void binding_anchor(lua_State *L, const void *key);
/* Pushes what is kept under a key. Raises nothing. */
void binding_anchored(lua_State *L, const void *key);

/* Raises an error for a code of the library. */
int binding_raise(lua_State *L, const char *what, astrum_err err);
/* Pushes nil, text and name of an error. Want of memory is raised, as Lua
   itself does: nobody looks for it in a result. */
int binding_fail(lua_State *L, astrum_err err);

/* --- Lua code that never waits (lua_preempt.c) */

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
  volatile uint64_t since;  /* when it was told to stop, or could obey, ns */
  volatile int stopped;     /* STOPPED_... */
  lua_State *volatile cut;  /* coroutine that the stop has reached last */
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

int binding_open_preempt(lua_State *L);

/* --- waits (lua_await.c), processes (lua_spawn.c), contexts (lua_context.c) */

/* Undoes the wait of a strand that is being ended. Raises nothing. */
void binding_cancel_wait(engine *e, strand *s);
void binding_cancel_process(engine *e, strand *s);
/* Time between TERM and KILL for the processes of an attempt, ns. */
uint64_t binding_grace(const attempt *a);
/* Frees the records of processes; the loop that ran them is gone. */
void binding_free_children(engine *e);

/* A member of a group has ended; its error or result is on the top of
   engine->L, and popped. Raises nothing. */
void binding_member_ended(engine *e, strand *s, int failed);

/* Pushes the traceback of the member whose error astrum.all has raised in a
   coroutine, at a level of its stack; nil when the error, which is on the top
   of `co`, is another's. */
void binding_push_member_traceback(lua_State *L, lua_State *co, int level);

/* Pushes the traceback of a coroutine with such an error, from a level on; that
   of the member comes first. `co` may be L. */
void binding_push_traceback(lua_State *L, lua_State *co, int level);

/* The strand is no member of its group any more. */
void binding_leave_group(strand *s);

int binding_open_await(lua_State *L);
int binding_open_spawn(lua_State *L);
int binding_open_context(lua_State *L);

/* --- worker threads (lua_thread.c, lua_worker.c) */

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

/* Bodies for worker threads wait at home for more of them, to be queued
   together. Whatever may take long, as any code of the user's, is preceded by
   binding_flush_jobs. */
void binding_queue_jobs(engine *e);

static inline void binding_flush_jobs(engine *e) {
  if (e->holds_jobs)
    binding_queue_jobs(e);
}

/* Stops and ends the threads; in a forked process there are none. */
void binding_close_threads(engine *e);
/* Frees what is kept of them; nothing waits any more. */
void binding_free_homes(engine *e);
void binding_free_thread_run(run *r);

/* Of the job that a worker has taken. */
enum { CALL_NONE, CALL_NEXT, CALL_BEGUN, CALL_ENDED };

/* The same for the body that a worker runs. */
uint64_t binding_worker_grace(const engine *e);

/* What each thread of a pool runs. */
void binding_run_worker(struct thread_worker *worker);

int binding_open_thread(lua_State *L);
int binding_open_brief(lua_State *L);
int binding_open_worker(lua_State *L);

/* When the attempt must be over, in seconds since 1970; 0: at no time. */
lua_Number binding_attempt_deadline(const attempt *a);

/* Pushes the `ctx` of an attempt. May raise. */
void binding_push_context(lua_State *L, attempt *a);
/* The attempt is over. Raises nothing. */
void binding_drop_context(engine *e, attempt *a);

/* --- luv (lua_luv.c) */

/* luv's libuv loop, if luv is loaded, or NULL. Raises nothing. */
struct uv_loop_s *binding_luv_loop(engine *e, lua_State *L);
/* Makes luv use our loop when it is loaded later. */
void binding_luv_share(engine *e, lua_State *L);

/* --- values and functions as bytes (lua_codec.c) */

int binding_open_codec(lua_State *L);

/* --- for main.c */

/* The engine of a Lua state, made if there is none yet. Raises for want of
   memory. Valid until the state is closed. */
engine *astrum_binding_engine(lua_State *L);

/* Whether a workflow runs or the main program waits; whether it waits. May be
   called from a signal handler, as the next two. */
int astrum_binding_busy(const engine *e);
int astrum_binding_driving(const engine *e);

/*
 * Returns 0 when no workflow runs and the main program does not wait; else the
 * workflows are cancelled, the Lua code of a body that runs is stopped, the
 * main program's wait ends, and core.interrupted() tells the number.
 */
int astrum_binding_interrupt(engine *e, int signal);

/*
 * May be called from a signal handler: Lua code of the main program, which runs
 * on L, gets the error "interrupted!", also in a coroutine of its own.
 */
void astrum_binding_interrupt_main(engine *e, lua_State *L);

/* The call is over; the error has been raised by now or is not any more. */
void astrum_binding_forget_interrupt(engine *e, lua_State *L);

/* May be called from a signal handler: the loop, if there is one, turns. */
void astrum_binding_wake(engine *e);

/* For a program that ends at once: its child processes are killed. */
void astrum_binding_kill(engine *e);

/* `tell` is called with 1 before astrum.spawn starts a process that writes
   where the program does, and with 0 when it is over. */
void astrum_binding_on_writer(engine *e, void (*tell)(int begins));

/* --- graph and references: each sets its functions in the table on the top */

int astrum_binding_open_graph(lua_State *L);
int astrum_binding_open_ref(lua_State *L);
astrum_graph *astrum_binding_graph(lua_State *L, int index);
int astrum_binding_is_reference(lua_State *L, int index);

/*
 * For functions whose first upvalue is the metatable of references, which
 * astrum_binding_push_reference_type pushes.
 *
 * astrum_binding_read_reference pushes task, key or nil, and source of the
 * reference at `at` to a result or to a field of one, on top of whatever, and
 * returns the number of its keys; -1: it is something else, or of another owner
 * than that at `owner`. astrum_binding_push_handle pushes a handle.
 */
void astrum_binding_push_reference_type(lua_State *L);
int astrum_binding_read_reference(lua_State *L, int at, int owner, int *line,
                                  int *is_owned);
void astrum_binding_push_handle(lua_State *L, int name, int owner, int source,
                                int line);

int luaopen_astrum_core(lua_State *L);

#endif
