/*
 * Runs: one userdata each, kept alive by the engine until nothing of the run is
 * alive, and by its report for as long as that is read. Its records stay in
 * the scheduler until then, so a report costs nothing that is not looked at.
 */
#define _POSIX_C_SOURCE 200809L

#include "binding.h"

#include <string.h>
#include <time.h>

run *binding_check_run(lua_State *L, int index) {
  return luaL_checkudata(L, index, RUN_TYPE);
}

/* A run whose records can be read. */
static run *check_open(lua_State *L) {
  run *r = binding_check_run(L, 1);
  if (!r->opened || r->engine->closed)
    luaL_error(L, "the run is gone: its Lua state is being closed");
  return r;
}

static astrum_task check_task(lua_State *L, const run *r) {
  lua_Integer id = luaL_checkinteger(L, 2);
  luaL_argcheck(L, id >= 1 && id <= (lua_Integer)r->program->task_count, 2,
                "no such task");
  return (astrum_task){(uint32_t)id - 1};
}

void binding_clear_progress(engine *e, run *r, uint32_t task) {
  lua_State *L = e->L;
  binding_push_run(L, r);
  lua_getiuservalue(L, -1, RUN_PROGRESS);
  lua_pushnil(L);
  lua_rawseti(L, -2, (lua_Integer)task + 1);
  lua_pop(L, 2);
}

static astrum_sched *sched_of(const run *r) {
  return astrum_loop_sched(r->engine->loop);
}

void binding_push_run(lua_State *L, run *r) { binding_anchored(L, r); }

void binding_pin(engine *e, run *r) {
  static const int slots[] = {SLOT_RESULTS, SLOT_VALUES, SLOT_BODIES};
  lua_State *L = e->L;
  if (e->pinned == r)
    return;
  e->pinned = r;
  binding_push_run(L, r);
  lua_getiuservalue(L, -1, RUN_RESULTS);
  lua_replace(L, slots[0]);
  lua_getiuservalue(L, -1, RUN_PROGRAM);
  lua_getiuservalue(L, -1, 3);
  lua_replace(L, slots[1]);
  lua_getiuservalue(L, -1, 2);
  lua_replace(L, slots[2]);
  lua_pop(L, 2);
}

static void unpin(engine *e) {
  e->pinned = NULL;
  for (int slot = SLOT_RESULTS; slot <= SLOT_COUNT; slot++) {
    lua_pushnil(e->L);
    lua_replace(e->L, slot);
  }
}

int binding_inside(const strand *s, const run *r) {
  const attempt *a = s ? s->attempt : NULL;
  for (; a; a = a->run->parent)
    if (a->run == r)
      return 1;
  return 0;
}

/* --- starting */

static double wall_time(void) {
  struct timespec t;
  clock_gettime(CLOCK_REALTIME, &t);
  return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static int option_integer(lua_State *L, const char *name, lua_Integer *value) {
  int found = lua_getfield(L, 2, name) != LUA_TNIL;
  if (found)
    *value = luaL_checkinteger(L, -1);
  lua_pop(L, 1);
  return found;
}

static int option_flag(lua_State *L, const char *name) {
  lua_getfield(L, 2, name);
  int set = lua_toboolean(L, -1);
  lua_pop(L, 1);
  return set;
}

static void read_options(lua_State *L, astrum_run_options *options) {
  lua_Integer value;
  if (option_integer(L, "concurrency", &value)) {
    luaL_argcheck(L, value >= 1 && value < UINT32_MAX, 2,
                  "concurrency must be a positive integer");
    options->concurrency = (uint32_t)value;
  }
  if (option_integer(L, "seed", &value))
    options->seed = (uint64_t)value;
  if (option_flag(L, "keep_going"))
    options->failure_mode = ASTRUM_KEEP_GOING;
}

/* Links a run that has been opened; nothing can fail from here on. */
static void enlist(engine *e, run *r, attempt *parent) {
  r->opened = 1;
  r->parent = parent;
  if (parent)
    parent->child_runs++;
  r->next = e->runs;
  r->link = &e->runs;
  if (r->next)
    r->next->link = &r->next;
  e->runs = r;
  e->all_closed = 0;
}

/*
 * core.start(program, options) -> run, or nil, message, name of the error.
 * Begins a run; nothing of it runs before the loop turns. Inside a task it
 * belongs to the task's attempt.
 * options: keep_going, concurrency, seed, events (the hook is told of them),
 * data (goes to the hooks).
 */
static int start(lua_State *L) {
  engine *e = binding_engine(L);
  program *p = binding_check_program(L, 1);
  luaL_checktype(L, 2, LUA_TTABLE);
  lua_settop(L, 2);
  astrum_run_options options = ASTRUM_RUN_OPTIONS_INIT;
  read_options(L, &options);
  if (e->refuses)
    return luaL_error(L, "a run cannot be started: %s", e->refuses);
  binding_loop(e, L);
  attempt *parent = e->current ? e->current->attempt : NULL;
  if (parent)
    options.parent = &parent->ticket;

  run *r = lua_newuserdatauv(L, sizeof *r, RUN_VALUES);
  memset(r, 0, sizeof *r);
  r->engine = e;
  r->program = p;
  luaL_setmetatable(L, RUN_TYPE);
  int ud = lua_gettop(L);
  lua_pushvalue(L, 1);
  lua_setiuservalue(L, ud, RUN_PROGRAM);
  lua_createtable(L, p->task_count < INT32_MAX ? (int)p->task_count : 0, 0);
  lua_setiuservalue(L, ud, RUN_RESULTS);
  lua_newtable(L);
  lua_setiuservalue(L, ud, RUN_ERRORS);
  lua_getfield(L, 2, "data");
  lua_setiuservalue(L, ud, RUN_DATA);
  lua_newtable(L);
  lua_setiuservalue(L, ud, RUN_PROGRESS);
  r->wants_events = (uint8_t)option_flag(L, "events");
  size_t size = (p->task_count + 1) * sizeof *r->attempts;
  r->attempts = e->alloc.fn(e->alloc.user, NULL, 0, size);
  if (!r->attempts)
    return binding_raise(L, "run", ASTRUM_ENOMEM);
  memset(r->attempts, 0, size);
  lua_pushvalue(L, ud);
  binding_anchor(L, r);
  options.user = r;
  astrum_err err = astrum_sched_open(sched_of(r), p->graph, &options, &r->id);
  if (err) {
    lua_pushnil(L);
    binding_anchor(L, r);
    return binding_fail(L, err);
  }
  enlist(e, r, parent);
  r->wall = wall_time();
  r->begin = astrum_loop_now(e->loop);
  astrum_loop_begin(e->loop, r->id);
  astrum_summary summary;
  if (astrum_sched_summary(sched_of(r), r->id, &summary) == ASTRUM_OK)
    r->begin = summary.begin;
  lua_settop(L, ud);
  if (r->wants_events) {
    binding_event(e, r, "run_started", ASTRUM_NO_TASK, 0, NULL, 0);
  }
  return 1;
}

static int free_run(lua_State *L) {
  run *r = binding_check_run(L, 1);
  engine *e = r->engine;
  if (!r->program)
    return 0;
  /* Nothing but the end of the Lua state takes a run away that is alive, and
     then before the engine. */
  if (r->opened && !r->closed)
    binding_close(e);
  if (r->attempts)
    e->alloc.fn(e->alloc.user, r->attempts,
                (r->program->task_count + 1) * sizeof *r->attempts, 0);
  r->attempts = NULL;
  if (r->opened && !e->closed && e->loop)
    astrum_sched_forget(sched_of(r), r->id);
  r->opened = 0;
  r->program = NULL;
  return 0;
}

/* --- ending */

static const char *const state_names[] = {"pending",   "ready",     "running",
                                          "retrying",  "completed", "failed",
                                          "timed_out", "cancelled", "skipped"};

static const char *const cause_names[] = {
    "none",     "error",     "failure", "upstream", "request",
    "parent",   "stuck",     "memory",  "timeout",  "idle",
    "deadline", "condition", "trigger", "item",     "attempts"};

static int is_over(const run *r, uint32_t task) {
  astrum_record rec;
  if (task == ASTRUM_NO_TASK)
    return r->done;
  return astrum_sched_record(sched_of(r), r->id, (astrum_task){task}, &rec) !=
             ASTRUM_OK ||
         rec.state >= ASTRUM_COMPLETED;
}

static void unlink_waiter(waiter *w) {
  *w->link = w->next;
  if (w->next)
    w->next->link = w->link;
  w->link = NULL;
}

static void link_waiter(run *r, waiter *w, uint32_t task) {
  w->task = task;
  w->over = 0;
  w->next = r->waiters;
  w->link = &r->waiters;
  if (w->next)
    w->next->link = &w->next;
  r->waiters = w;
}

void binding_tell_waiters(run *r) {
  for (waiter *w = r->waiters, *next; w; w = next) {
    next = w->next;
    if (!is_over(r, w->task))
      continue;
    unlink_waiter(w);
    w->over = 1;
    if (w->strand)
      binding_need_slot(w->strand);
  }
}

static void on_done(engine *e, run *r) {
  r->done = 1;
  binding_push_run(e->L, r);
  lua_getiuservalue(e->L, -1, RUN_DATA);
  lua_replace(e->L, -2);
  binding_hook(e, binding_on_done, 1, 0);
  binding_tell_waiters(r);
}

static void on_closed(engine *e, run *r) {
  r->closed = 1;
  binding_tell_waiters(r);
  *r->link = r->next;
  if (r->next)
    r->next->link = r->link;
  e->all_closed = e->runs == NULL;
  if (e->pinned == r)
    unpin(e);
  attempt *parent = r->parent;
  r->parent = NULL;
  lua_pushnil(e->L);
  binding_anchor(e->L, r);
  if (parent) {
    parent->child_runs--;
    binding_attempt_relieved(e, parent);
  }
}

void binding_run_ended(void *user, const astrum_action *action) {
  engine *e = user;
  run *r = action->user;
  if (action->kind == ASTRUM_DONE) {
    if (r->wants_events)
      binding_event(e, r, "run_finished", ASTRUM_NO_TASK, 0,
                    state_names[action->state], 0);
    on_done(e, r);
  } else {
    on_closed(e, r);
  }
}

void binding_stop_runs(engine *e) {
  e->stop_runs = 0;
  for (run *r = e->runs; r; r = r->next)
    if (!r->parent)
      astrum_loop_cancel(e->loop, r->id, ASTRUM_CAUSE_REQUEST);
}

/* --- waiting */

static int wait_resumed(lua_State *L, int status, lua_KContext ctx) {
  (void)status;
  (void)ctx;
  binding_resumed(L);
  lua_settop(L, 1);
  return 1;
}

/* The main program waits; a run for which nothing is left that could happen is
   ended as stuck. */
static void wait_in_main(engine *e, lua_State *L, run *r, uint32_t task) {
  waiter w = {.strand = NULL};
  binding_check_drive(e, L, "wait");
  link_waiter(r, &w, task);
  int over = binding_drive(e, &w.over);
  if (!over) {
    astrum_loop_cancel(e->loop, r->id, ASTRUM_CAUSE_STUCK);
    over = binding_drive(e, &w.over);
  }
  if (over)
    return;
  unlink_waiter(&w);
  luaL_error(L, "the run does not end although nothing of it is alive: this is "
                "a bug of astrum");
}

/*
 * run:wait([id]) -> run, when it has its verdict; with the number of a task,
 * when that is over. Of a run that is waited for and can never end, what runs
 * is cancelled and the run fails.
 */
static int wait_run(lua_State *L) {
  run *r = check_open(L);
  engine *e = r->engine;
  uint32_t task = ASTRUM_NO_TASK;
  if (!lua_isnoneornil(L, 2))
    task = check_task(L, r).id;
  lua_settop(L, 1);
  if (is_over(r, task))
    return 1;
  if (!e->current && !e->refuses) {
    /* Other than a sleep, a run may also be waited for in a coroutine of the
       main program's: nothing is suspended by it. */
    wait_in_main(e, L, r, task);
    return 1;
  }
  strand *s = binding_waiting_strand(e, L, "wait");
  if (binding_inside(s, r))
    return luaL_error(L, "wait: a task cannot wait for the run it is part of");
  s->waiter.strand = s;
  link_waiter(r, &s->waiter, task);
  s->waits = WAIT_RUN;
  binding_rest(s);
  return binding_suspend(L, s, WAIT_RUN, 0, wait_resumed);
}

/*
 * core.check_wait(run, id, what): raises where nobody could wait for the run,
 * or for the task of it; nil stands for a run that is to be started.
 */
static int check_wait(lua_State *L) {
  engine *e = binding_engine(L);
  const char *what = luaL_checkstring(L, 3);
  run *r = lua_isnil(L, 1) ? NULL : check_open(L);
  if (r && is_over(r, lua_isnil(L, 2) ? ASTRUM_NO_TASK : check_task(L, r).id))
    return 0;
  if (!e->current && !e->refuses) {
    binding_check_drive(e, L, what);
    return 0;
  }
  strand *s = binding_waiting_strand(e, L, what);
  if (r && binding_inside(s, r))
    return luaL_error(L, "%s: a task cannot wait for the run it is part of",
                      what);
  return 0;
}

/* run:cancel(): nothing new starts, what runs is cancelled. */
static int cancel(lua_State *L) {
  run *r = check_open(L);
  if (!r->closed)
    astrum_loop_cancel(r->engine->loop, r->id, ASTRUM_CAUSE_REQUEST);
  return 0;
}

/* --- errors and events */

/* Arguments: table of errors, the error; upvalues none. */
typedef struct {
  lua_Integer task, attempt;
} error_place;

static int keep_error(lua_State *L) {
  const error_place *place = lua_touserdata(L, 3);
  if (lua_rawgeti(L, 1, place->task) != LUA_TTABLE) {
    lua_pop(L, 1);
    lua_createtable(L, 1, 0);
    lua_pushvalue(L, -1);
    lua_rawseti(L, 1, place->task);
  }
  lua_pushvalue(L, 2);
  lua_rawseti(L, -2, place->attempt);
  return 0;
}

void binding_store_error(engine *e, run *r, astrum_ticket ticket) {
  lua_State *L = e->L;
  error_place place = {(lua_Integer)ticket.task + 1, ticket.attempt};
  lua_pushcfunction(L, keep_error);
  binding_push_run(L, r);
  lua_getiuservalue(L, -1, RUN_ERRORS);
  lua_replace(L, -2);
  lua_rotate(L, -3, -1);
  lua_pushlightuserdata(L, &place);
  if (lua_pcall(L, 3, 0, 0) != LUA_OK)
    lua_pop(L, 1);
}

typedef struct {
  const char *kind, *detail;
  lua_Integer task, attempt;
  double time;
  int will_retry;
} event;

/* Arguments: the hook, the run's data, the event. */
static int tell_event(lua_State *L) {
  const event *ev = lua_touserdata(L, 3);
  lua_settop(L, 2);
  lua_pushstring(L, ev->kind);
  if (ev->task)
    lua_pushinteger(L, ev->task);
  else
    lua_pushnil(L);
  lua_pushinteger(L, ev->attempt);
  lua_pushnumber(L, ev->time);
  lua_pushstring(L, ev->detail);
  lua_pushboolean(L, ev->will_retry);
  lua_call(L, 7, 0);
  return 0;
}

void binding_event(engine *e, run *r, const char *kind, uint32_t task,
                   uint32_t number, const char *detail, int will_retry) {
  lua_State *L = e->L;
  event ev = {
      kind,   detail, task == ASTRUM_NO_TASK ? 0 : (lua_Integer)task + 1,
      number, 0,      will_retry};
  ev.time = (double)(astrum_loop_now(e->loop) - r->begin) / 1e9;
  lua_pushcfunction(L, tell_event);
  binding_push_hook(L, binding_on_event);
  binding_push_run(L, r);
  lua_getiuservalue(L, -1, RUN_DATA);
  lua_replace(L, -2);
  lua_pushlightuserdata(L, &ev);
  if (lua_pcall(L, 3, 0, 0) != LUA_OK)
    binding_tell_error(e, "an event handler");
}

/* --- reading */

static void set_time(lua_State *L, const char *name, const run *r,
                     uint64_t time) {
  if (time == ASTRUM_NEVER)
    return;
  lua_pushnumber(L, (lua_Number)(time - r->begin) / 1e9);
  lua_setfield(L, -2, name);
}

static void set_count(lua_State *L, const char *name, uint32_t count) {
  lua_pushinteger(L, count);
  lua_setfield(L, -2, name);
}

static void set_blame(lua_State *L, uint32_t task) {
  if (task == ASTRUM_NO_TASK)
    return;
  lua_pushinteger(L, (lua_Integer)task + 1);
  lua_setfield(L, -2, "blame");
}

/*
 * run:status() -> { state, cause, blame = id, tasks, completed, failed,
 * cancelled, skipped, running, wall = seconds since 1970 at its begin,
 * duration = seconds until now or to the verdict }
 */
static int status(lua_State *L) {
  run *r = check_open(L);
  astrum_summary s;
  astrum_err err = astrum_sched_summary(sched_of(r), r->id, &s);
  if (err)
    return binding_raise(L, "status", err);
  lua_createtable(L, 0, 12);
  lua_pushstring(L, state_names[s.state]);
  lua_setfield(L, -2, "state");
  lua_pushstring(L, cause_names[s.cause]);
  lua_setfield(L, -2, "cause");
  set_blame(L, s.blame);
  set_count(L, "tasks", s.tasks);
  set_count(L, "completed", s.completed);
  set_count(L, "failed", s.failed);
  set_count(L, "cancelled", s.cancelled);
  set_count(L, "skipped", s.skipped);
  set_count(L, "running", s.running);
  lua_pushnumber(L, r->wall);
  lua_setfield(L, -2, "wall");
  uint64_t end = s.end;
  if (end == ASTRUM_NEVER)
    end = astrum_loop_now(r->engine->loop);
  set_time(L, "duration", r, end);
  return 1;
}

/* run:record(id) -> { state, cause, blame, attempts, ready, start, finish,
   busy }: times in seconds since the run's begin, nil where there is none */
static int record(lua_State *L) {
  run *r = check_open(L);
  astrum_record rec;
  astrum_err err =
      astrum_sched_record(sched_of(r), r->id, check_task(L, r), &rec);
  if (err)
    return binding_raise(L, "record", err);
  lua_createtable(L, 0, 8);
  lua_pushstring(L, state_names[rec.state]);
  lua_setfield(L, -2, "state");
  lua_pushstring(L, cause_names[rec.cause]);
  lua_setfield(L, -2, "cause");
  set_blame(L, rec.blame);
  set_count(L, "attempts", rec.attempts);
  set_time(L, "ready", r, rec.ready);
  set_time(L, "start", r, rec.start);
  set_time(L, "finish", r, rec.end);
  lua_pushnumber(L, (lua_Number)rec.busy / 1e9);
  lua_setfield(L, -2, "busy");
  return 1;
}

/* Pushes the error of an attempt, or nil when it has not failed. Only for want
   of memory a failure has left none. */
static void push_error(lua_State *L, astrum_task task, uint32_t number,
                       int failed) {
  lua_getiuservalue(L, 1, RUN_ERRORS);
  if (lua_rawgeti(L, -1, (lua_Integer)task.id + 1) == LUA_TTABLE)
    lua_rawgeti(L, -1, number);
  else
    lua_pushnil(L);
  lua_replace(L, -3);
  lua_pop(L, 1);
  if (failed && lua_isnil(L, -1)) {
    lua_pop(L, 1);
    lua_pushstring(L, astrum_strerror(ASTRUM_ENOMEM));
  }
}

static int has_failed(const astrum_attempt *at) {
  return !at->running &&
         (at->outcome == ASTRUM_FAILURE || at->outcome == ASTRUM_FAILURE_FINAL);
}

/* run:attempts(id) -> list of { attempt, outcome, will_retry, start, finish,
   error } */
static int attempts(lua_State *L) {
  static const char *const outcomes[] = {"succeeded", "failure",
                                         "failure_final", "stopped"};
  run *r = check_open(L);
  astrum_task task = check_task(L, r);
  astrum_sched *sched = sched_of(r);
  uint32_t count = 0;
  astrum_err err = astrum_sched_attempts(sched, r->id, task, NULL, 0, &count);
  if (err)
    return binding_raise(L, "attempts", err);
  size_t room = count ? count : 1;
  astrum_attempt *list = lua_newuserdatauv(L, room * sizeof *list, 0);
  err = astrum_sched_attempts(sched, r->id, task, list, count, &count);
  if (err)
    return binding_raise(L, "attempts", err);
  lua_createtable(L, (int)count, 0);
  for (uint32_t i = 0; i < count; i++) {
    lua_createtable(L, 0, 6);
    set_count(L, "attempt", list[i].attempt);
    if (!list[i].running) {
      lua_pushstring(L, outcomes[list[i].outcome]);
      lua_setfield(L, -2, "outcome");
    }
    lua_pushboolean(L, list[i].will_retry);
    lua_setfield(L, -2, "will_retry");
    set_time(L, "start", r, list[i].start);
    set_time(L, "finish", r, list[i].end);
    push_error(L, task, list[i].attempt, has_failed(&list[i]));
    lua_setfield(L, -2, "error");
    lua_rawseti(L, -2, (lua_Integer)i + 1);
  }
  return 1;
}

/* run:result(id) -> the value the task returned, nil when it has not */
static int result(lua_State *L) {
  run *r = check_open(L);
  astrum_task task = check_task(L, r);
  lua_getiuservalue(L, 1, RUN_RESULTS);
  lua_rawgeti(L, -1, (lua_Integer)task.id + 1);
  return 1;
}

/* run:error(id) -> error object of a task that has failed for good, or nil */
static int last_error(lua_State *L) {
  run *r = check_open(L);
  astrum_task task = check_task(L, r);
  astrum_record rec;
  astrum_err err = astrum_sched_record(sched_of(r), r->id, task, &rec);
  if (err)
    return binding_raise(L, "error", err);
  if (rec.state != ASTRUM_FAILED)
    return 0;
  push_error(L, task, rec.attempts, rec.state == ASTRUM_FAILED);
  return 1;
}

/* run:progress(id) -> fraction, text: what the task last told */
static int progress(lua_State *L) {
  run *r = check_open(L);
  astrum_task task = check_task(L, r);
  lua_getiuservalue(L, 1, RUN_PROGRESS);
  if (lua_rawgeti(L, -1, (lua_Integer)task.id + 1) != LUA_TTABLE)
    return 0;
  lua_rawgeti(L, -1, 1);
  lua_rawgeti(L, -2, 2);
  return 2;
}

/* run:finished(), run:closed(): it has its verdict; nothing of it is alive */
static int finished(lua_State *L) {
  lua_pushboolean(L, binding_check_run(L, 1)->done);
  return 1;
}

static int closed(lua_State *L) {
  lua_pushboolean(L, binding_check_run(L, 1)->closed);
  return 1;
}

static int data(lua_State *L) {
  binding_check_run(L, 1);
  lua_getiuservalue(L, 1, RUN_DATA);
  return 1;
}

static const luaL_Reg methods[] = {
    {"wait", wait_run},    {"cancel", cancel},     {"status", status},
    {"record", record},    {"attempts", attempts}, {"result", result},
    {"error", last_error}, {"progress", progress}, {"finished", finished},
    {"closed", closed},    {"data", data},         {"__gc", free_run},
    {NULL, NULL},
};

static const luaL_Reg functions[] = {
    {"start", start},
    {"check_wait", check_wait},
    {NULL, NULL},
};

int binding_open_run(lua_State *L) {
  binding_type(L, RUN_TYPE, methods);
  binding_functions(L, functions);
  return 0;
}
