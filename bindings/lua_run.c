/*
 * Runs: one userdata each, kept alive by the engine until nothing of the run is
 * alive, and by its report for as long as that is read. Its records stay in
 * the scheduler until then, so a report costs nothing that is not looked at.
 */
#define _POSIX_C_SOURCE 200809L

#include "task.h"
#include "thread.h"

#include <string.h>
#include <time.h>

run *binding_check_run(lua_State *L, int index) {
  return luaL_checkudata(L, index, RUN_TYPE);
}

run *binding_check_open(lua_State *L) {
  run *r = binding_check_run(L, 1);
  if (!r->opened || r->engine->closed)
    luaL_error(L, "the run is gone: its Lua state is being closed");
  return r;
}

astrum_task binding_check_run_task(lua_State *L, const run *r) {
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

void binding_push_run(lua_State *L, run *r) { binding_anchored(L, r); }

void binding_pin(engine *e, run *r) {
  static const int slots[] = {SLOT_RESULTS, SLOT_VALUES, SLOT_BODIES};
  lua_State *L = e->slots;
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
    lua_pushnil(e->slots);
    lua_replace(e->slots, slot);
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

static uint32_t option_count(lua_State *L, const char *name) {
  lua_Integer value;
  if (!option_integer(L, name, &value))
    return 0;
  if (value < 1 || value > UINT32_MAX)
    luaL_error(L, "%s must be a positive integer", name);
  return (uint32_t)value;
}

/* The length of the list in a field, which is left on the top. */
static uint32_t option_list(lua_State *L, const char *name) {
  if (lua_getfield(L, 2, name) == LUA_TNIL)
    return 0;
  luaL_checktype(L, -1, LUA_TTABLE);
  return (uint32_t)lua_rawlen(L, -1);
}

static lua_Integer pool_field(lua_State *L, const char *name) {
  lua_getfield(L, -1, name);
  lua_Integer value = luaL_optinteger(L, -1, 0);
  lua_pop(L, 1);
  return value;
}

/* Memory that goes with the stack. */
static void *push_array(lua_State *L, uint32_t count, size_t size) {
  return lua_newuserdatauv(L, (count + 1) * size, 0);
}

static void read_pools(lua_State *L, astrum_run_options *options) {
  uint32_t count = option_list(L, "pools");
  int list = lua_gettop(L);
  astrum_pool *pools = push_array(L, count, sizeof *pools);
  for (uint32_t i = 0; i < count; i++) {
    lua_rawgeti(L, list, (lua_Integer)i + 1);
    pools[i] = (astrum_pool){.slots = (uint32_t)pool_field(L, "slots"),
                             .rate = (uint32_t)pool_field(L, "rate"),
                             .per = (uint64_t)pool_field(L, "per")};
    lua_pop(L, 1);
  }
  options->pools = pools;
  options->pool_count = count;
  count = option_list(L, "pool_of");
  list = lua_gettop(L);
  uint32_t *numbers = push_array(L, count, sizeof *numbers);
  for (uint32_t i = 0; i < count; i++) {
    lua_rawgeti(L, list, (lua_Integer)i + 1);
    numbers[i] = (uint32_t)luaL_checkinteger(L, -1);
    lua_pop(L, 1);
  }
  options->pool_of = numbers;
  options->pool_of_count = count;
}

/* Leaves on the stack what the options point to. */
static void read_options(lua_State *L, astrum_run_options *options) {
  lua_Integer value;
  options->concurrency = option_count(L, "concurrency");
  options->max_total_attempts = option_count(L, "max_total_attempts");
  if (option_integer(L, "seed", &value))
    options->seed = (uint64_t)value;
  if (option_integer(L, "deadline", &value))
    options->deadline = (uint64_t)value;
  if (option_flag(L, "keep_going"))
    options->failure_mode = ASTRUM_KEEP_GOING;
  options->changes = (uint8_t)option_flag(L, "changes");
  read_pools(L, options);
}

/* Links a run that has been opened; nothing can fail from here on. */
static void enlist(engine *e, run *r, attempt *parent) {
  r->opened = 1;
  r->parent = parent;
  if (parent) {
    r->sibling = parent->child_runs;
    r->sibling_link = &parent->child_runs;
    if (r->sibling)
      r->sibling->sibling_link = &r->sibling;
    parent->child_runs = r;
  }
  r->next = e->runs;
  r->link = &e->runs;
  if (r->next)
    r->next->link = &r->next;
  e->runs = r;
  e->all_closed = 0;
}

/*
 * core.start(program, options) -> run, or nil, message, name of the error if
 * it is one of the library.
 * Begins a run; nothing of it runs before the loop turns. Inside a task it
 * belongs to the task's attempt.
 * options: keep_going, concurrency, max_total_attempts, seed, deadline (ns),
 * pools = list of { slots, rate, per = ns }, pool_of = list of the numbers in
 * it from 0, events (the hook is told of attempts and the run), failures (of
 * attempts that fail), changes (of what becomes of tasks), data (goes to the
 * hooks).
 */
static int start(lua_State *L) {
  engine *e = binding_engine(L);
  program *p = binding_check_program(L, 1);
  luaL_checktype(L, 2, LUA_TTABLE);
  lua_settop(L, 2);
  astrum_run_options options = ASTRUM_RUN_OPTIONS_INIT;
  read_options(L, &options);
  if (e->refuses) {
    lua_pushnil(L);
    lua_pushstring(L, e->refuses);
    return 2;
  }
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
  lua_newtable(L);
  lua_setiuservalue(L, ud, RUN_MAPS);
  if (parent) {
    binding_push_run(L, parent->run);
    lua_setiuservalue(L, ud, RUN_PARENT);
  }
  if (option_flag(L, "events"))
    r->wants_events = WANTS_EVENTS;
  else if (option_flag(L, "failures"))
    r->wants_events = WANTS_FAILURES;
  r->limited = (uint8_t)(options.deadline > 0 || (parent && parent->limited));
  if (!binding_make_attempts(e, r))
    return binding_raise(L, "run", ASTRUM_ENOMEM);
  if (!binding_count_readers(e, r))
    return binding_raise(L, "run", ASTRUM_ENOMEM);
  lua_pushvalue(L, ud);
  binding_anchor(L, r);
  options.user = r;
  astrum_err err =
      astrum_sched_open(binding_sched(r), p->graph, &options, &r->id);
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
  if (astrum_sched_summary(binding_sched(r), r->id, &summary) == ASTRUM_OK)
    r->begin = summary.begin;
  lua_settop(L, ud);
  if (r->wants_events == WANTS_EVENTS)
    binding_event(e, r, "run_started", NULL, NULL, 0);
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
  binding_free_attempts(e, r);
  if (r->readers)
    e->alloc.fn(e->alloc.user, r->readers,
                r->program->task_count * sizeof *r->readers, 0);
  r->readers = NULL;
  binding_free_thread_run(r);
  if (r->opened && !e->closed && e->loop)
    astrum_sched_forget(binding_sched(r), r->id);
  r->opened = 0;
  r->program = NULL;
  return 0;
}

/* --- ending */

const char *const binding_state_names[] = {"pending",   "ready",     "running",
                                           "retrying",  "completed", "failed",
                                           "timed_out", "cancelled", "skipped"};

static int is_over(const run *r, uint32_t task) {
  astrum_record rec;
  if (task == ASTRUM_NO_TASK)
    return r->done;
  return astrum_sched_record(binding_sched(r), r->id, (astrum_task){task},
                             &rec) != ASTRUM_OK ||
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
    *r->sibling_link = r->sibling;
    if (r->sibling)
      r->sibling->sibling_link = r->sibling_link;
    binding_attempt_relieved(e, parent);
  }
}

void binding_run_ended(void *user, const astrum_action *action) {
  engine *e = user;
  if (e->closed)
    return;
  binding_flush_jobs(e);
  run *r = action->user;
  if (action->kind == ASTRUM_DONE) {
    if (r->wants_events == WANTS_EVENTS)
      binding_event(e, r, "run_finished", NULL,
                    binding_state_names[action->state], 0);
    on_done(e, r);
  } else {
    on_closed(e, r);
  }
}

void binding_run_changed(void *user, const astrum_action *action) {
  if (action->state == ASTRUM_READY)
    binding_event(user, action->user, "task_ready", &action->ticket, NULL, 0);
  else
    binding_event(user, action->user, "task_finished", &action->ticket,
                  binding_state_names[action->state], 0);
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
  run *r = binding_check_open(L);
  engine *e = r->engine;
  uint32_t task = ASTRUM_NO_TASK;
  if (!lua_isnoneornil(L, 2))
    task = binding_check_run_task(L, r).id;
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
  run *r = lua_isnil(L, 1) ? NULL : binding_check_open(L);
  if (r && is_over(r, lua_isnil(L, 2) ? ASTRUM_NO_TASK
                                      : binding_check_run_task(L, r).id))
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
  run *r = binding_check_open(L);
  if (!r->closed)
    astrum_loop_cancel(r->engine->loop, r->id, ASTRUM_CAUSE_REQUEST);
  return 0;
}

/* --- events */

typedef struct {
  const char *kind, *detail;
  const astrum_ticket *ticket;
  double time;
  int will_retry;
} event;

/* Arguments: the hook, the run's data, the event. */
static int tell_event(lua_State *L) {
  const event *ev = lua_touserdata(L, 3);
  const astrum_ticket *ticket = ev->ticket;
  lua_settop(L, 2);
  lua_pushstring(L, ev->kind);
  if (ticket)
    lua_pushinteger(L, (lua_Integer)ticket->task + 1);
  else
    lua_pushnil(L);
  lua_pushinteger(L, ticket ? ticket->item : 0);
  lua_pushinteger(L, ticket ? ticket->attempt : 0);
  lua_pushnumber(L, ev->time);
  lua_pushstring(L, ev->detail);
  lua_pushboolean(L, ev->will_retry);
  lua_call(L, 8, 0);
  return 0;
}

void binding_event(engine *e, run *r, const char *kind,
                   const astrum_ticket *ticket, const char *detail,
                   int will_retry) {
  lua_State *L = e->L;
  event ev = {kind, detail, ticket, 0, will_retry};
  binding_flush_jobs(e);
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
    {"wait", wait_run},
    {"cancel", cancel},
    {"status", binding_run_status},
    {"record", binding_run_record},
    {"busy", binding_run_busy},
    {"attempts", binding_run_attempts},
    {"result", binding_run_result},
    {"state", binding_run_state},
    {"outcome", binding_run_outcome},
    {"next_unusual", binding_run_next_unusual},
    {"error", binding_run_error},
    {"progress", binding_run_progress},
    {"telling", binding_run_telling},
    {"running", binding_run_running},
    {"finished", finished},
    {"closed", closed},
    {"data", data},
    {"__gc", free_run},
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
