/*
 * What lua_thread.c, the home of worker threads, and lua_worker.c, which runs
 * in them, share. All of it is made at home and only read by workers.
 */
#ifndef ASTRUM_THREAD_CALL_H
#define ASTRUM_THREAD_CALL_H

#include "binding.h"
#include "thread_pool.h"

/* A function that is the body of tasks. */
typedef struct {
  thread_work work;
  int workers;
  const char *packed; /* the user value keeps it */
  size_t packed_size;
} thread_body;

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
  int context_at;      /* the argument that is the ctx, or 0 */
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
  /* What a worker begins with. */
  char *path, *cpath;
  thread_preload *preloads;
  size_t preload_count;
  int is_program;
} thread_home;

#endif
