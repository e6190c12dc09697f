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
#include <pthread.h>
#include <stdatomic.h>

enum {
  SLOT_COROUTINES = 1, /* number -> coroutine */
  SLOT_RESULTS,        /* of the run whose tasks are being started */
  SLOT_VALUES,
  SLOT_BODIES,
  SLOT_COUNT = SLOT_BODIES,
  SLOT_TEXT, /* a string, and the metatable of strings for lua_brief.c */
  SLOT_STRINGS
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
  int is_child;          /* this process runs the body of a task elsewhere */
  astrum_ticker *ticker; /* of core.tick, or NULL */
  void (*on_writer)(int begins); /* or NULL */
  guarded *volatile guarded;     /* the innermost that runs (lua_preempt.c) */
  lua_State *volatile running;   /* the innermost coroutine that is known */
  struct thread_timer *timer;    /* NULL: nothing is stopped by time */
  int enabled;                   /* preemption, all of it */
  volatile int interrupts_main;  /* "interrupted!" is still to be raised */
  int told_overrun;
  size_t call_count;          /* bodies in them */
  struct thread_home *homes;  /* its worker threads (lua_home.c) */
  struct thread_body *bodies; /* the functions that they know */
  pthread_mutex_t bodies_lock;
  uint8_t holds_jobs;           /* which are to be queued for them soon */
  uint8_t brief_left;           /* of their batch, 0: there is none */
  uint8_t brief_plain;          /* it may run copies */
  uint8_t brief_collects;       /* the collector goes on after it */
  lua_State *brief;             /* what some of their bodies run in at home */
  uint64_t brief_count;         /* so many have */
  uint64_t brief_at;            /* a time at which the guard's timer was set */
  uint64_t brief_ns;            /* those that take workers less time */
  struct thread_worker *worker; /* that it belongs to, or NULL (lua_worker.c) */
  uint8_t call_state;           /* CALL_..., of what the worker runs */
  const atomic_int *asked;      /* not 0: what the worker runs is to stop */
};

/* --- engine (lua_engine.c) */

/* The engine of a Lua state, made if there is none yet. Raises for want of
   memory. Valid until the state is closed. */
engine *astrum_binding_engine(lua_State *L);

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

/* --- luv (lua_luv.c) */

/* luv's libuv loop, if luv is loaded, or NULL. Raises nothing. */
struct uv_loop_s *binding_luv_loop(engine *e, lua_State *L);
/* Makes luv use our loop when it is loaded later. */
void binding_luv_share(engine *e, lua_State *L);

/* --- astrum.core (lua_module.c) */

/* Its parts: each sets its functions in the table on the top. */
int astrum_binding_open_graph(lua_State *L);
int astrum_binding_open_ref(lua_State *L);
int binding_open_engine(lua_State *L);
int binding_open_terminal(lua_State *L);
int binding_open_declare(lua_State *L);
int binding_open_program(lua_State *L);
int binding_open_run(lua_State *L);
int binding_open_await(lua_State *L);
int binding_open_spawn(lua_State *L);
int binding_open_context(lua_State *L);
int binding_open_preempt(lua_State *L);
int binding_open_codec(lua_State *L);
int binding_open_thread(lua_State *L);
int binding_open_brief(lua_State *L);
int binding_open_home(lua_State *L);
int binding_open_worker(lua_State *L);
int luaopen_astrum_core(lua_State *L);

#endif
