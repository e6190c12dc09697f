/*
 * Runs: starting and ending (lua_run.c), what attempts leave (lua_results.c),
 * reading it (lua_record.c).
 */
#ifndef ASTRUM_RUN_H
#define ASTRUM_RUN_H

#include "program.h"

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
int binding_run_busy(lua_State *L);
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

/* Pushes that error object onto engine->L, nil for none. Raises nothing. */
void binding_push_error(engine *e, run *r, const astrum_ticket *ticket);

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

#endif
