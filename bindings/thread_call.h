/*
 * What the home of worker threads, lua_thread.c, lua_home.c and lua_brief.c,
 * and lua_worker.c, which runs in them, share. All of it is made at home and
 * only read by workers.
 */
#ifndef ASTRUM_THREAD_CALL_H
#define ASTRUM_THREAD_CALL_H

#include "binding.h"
#include "thread_pool.h"

/* A function that is the body of tasks. */
typedef struct thread_body {
  thread_work work;
  struct thread_body *next, **link; /* in engine->bodies */
  int workers;
  const char *packed; /* its user value 1 */
  size_t packed_size;
  /* Only of home (lua_brief.c): */
  uint8_t brief;      /* BRIEF_... */
  uint8_t until_look; /* runs at home before one is timed */
} thread_body;

enum { THREAD_PACKED = 1, THREAD_COPY, THREAD_BODY_VALUES = THREAD_COPY };

/* Whether there is a copy for home, in user value 2. */
enum { BRIEF_UNTRIED, BRIEF_COPIED, BRIEF_NEVER };

/* Who runs a body: a worker; home; home if the workers have enough to do. */
typedef enum { PLACE_WORKER, PLACE_HOME, PLACE_SHARED } body_place;

/* On the top of engine->slots are the `count` arguments and the body. */
body_place binding_body_place(engine *e, const attempt *a,
                              const thread_body *body, int count);

/*
 * Runs a body at home and answers for the attempt, which has no strand. On the
 * top of engine->slots are its arguments and the body. Returns 1 when that is
 * done, and 0 with the stack as it was when it has to go to a worker; -1: it
 * has to after all. Takes them from the stack if it does not return 0.
 */
int binding_run_at_home(engine *e, attempt *a, thread_body *body, int count);

/* Writes work.id of all bodies of an engine, unless they are more than
   `capacity`, and returns their number. For workers. */
size_t binding_body_ids(engine *home, uint64_t *ids, size_t capacity);

/* A run, by a message: run_id, path, namespace, seed, params. */
typedef struct thread_run {
  int users; /* home counts them */
  codec_buffer message;
} thread_run;

typedef struct thread_call thread_call;

struct thread_call {
  thread_job job;
  const thread_body *body;
  const char *name; /* of the task; its graph keeps it */
  size_t name_size;
  thread_run *run;
  uint32_t item, attempt;
  lua_Number deadline; /* 0: none */
  uint64_t grace;      /* for its processes, ns */
  /* Set before the worker is asked to stop; may be NULL then, too. */
  struct preempt_about *about;
  int context_at; /* the argument that is the ctx, or 0 */
  /* Only of home: */
  struct thread_home *home;
  strand *strand;  /* that waits for it, or NULL */
  attempt *direct; /* that has no strand while it runs, or NULL */
  attempt *answer; /* that has to wait for it once it is cancelled, or NULL */
  int is_over;     /* nothing more comes of it */
  thread_call *next_free, *next; /* of its home */
};

/* A C function of package.preload. */
typedef struct {
  char *name;
  lua_CFunction function;
  void *data; /* its upvalue, or NULL */
} thread_preload;

/* The workers of a Lua state, for one size of the pool. */
typedef struct thread_home {
  struct thread_home *next;
  engine *engine;
  thread_pool *pool; /* NULL once it is closed */
  int workers;
  thread_call *calls; /* all of them */
  thread_call *free;
  int small; /* calls whose end may be told late */
  astrum_timer look;
  int looks;
  int has_found; /* something to take, since it looked the last time */
  /* What a worker begins with. */
  char *path, *cpath;
  thread_preload *preloads;
  size_t preload_count;
  int is_program;
} thread_home;

/* The pool with so many workers, with its threads. Raises when there can be
   none. */
thread_home *binding_home_of(engine *e, lua_State *L, int workers);

/* Of its timer: looks at what workers have told. */
void binding_on_look(astrum_timer *timer);

/* One user less; without any it is freed. */
void binding_release_run(thread_run *shared);

#endif
