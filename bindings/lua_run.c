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

/* --- attempts and items */

attempt **binding_attempt_at(const run *r, const astrum_ticket *ticket) {
  if (ticket->item)
    return &r->items[ticket->task].attempts[ticket->item - 1];
  return &r->attempts[ticket->task];
}

int binding_make_items(engine *e, run *r, uint32_t task, uint32_t count) {
  size_t size = count * sizeof(attempt *);
  if (count == 0)
    return 1;
  attempt **attempts = e->alloc.fn(e->alloc.user, NULL, 0, size);
  if (!attempts)
    return 0;
  memset(attempts, 0, size);
  r->items[task] = (map_items){attempts, count};
  return 1;
}

static void free_attempts(engine *e, run *r) {
  size_t tasks = (size_t)r->program->task_count + 1;
  for (size_t i = 0; r->items && i < tasks; i++) {
    map_items *items = &r->items[i];
    if (items->attempts)
      e->alloc.fn(e->alloc.user, items->attempts,
                  items->count * sizeof(attempt *), 0);
  }
  if (r->items)
    e->alloc.fn(e->alloc.user, r->items, tasks * sizeof *r->items, 0);
  if (r->attempts)
    e->alloc.fn(e->alloc.user, r->attempts, tasks * sizeof *r->attempts, 0);
  r->attempts = NULL;
  r->items = NULL;
}

/* Takes the memory to find the attempts of a run; 0 without it. */
static int make_attempts(engine *e, run *r) {
  size_t tasks = (size_t)r->program->task_count + 1;
  r->attempts =
      e->alloc.fn(e->alloc.user, NULL, 0, tasks * sizeof *r->attempts);
  if (!r->attempts)
    return 0;
  memset(r->attempts, 0, tasks * sizeof *r->attempts);
  if (!r->program->has_maps)
    return 1;
  r->items = e->alloc.fn(e->alloc.user, NULL, 0, tasks * sizeof *r->items);
  if (!r->items)
    return 0;
  memset(r->items, 0, tasks * sizeof *r->items);
  return 1;
}

void binding_drop_attempts(engine *e, run *r) {
  for (uint32_t task = 0; task < r->program->task_count; task++) {
    if (r->attempts[task])
      binding_drop_attempt(e, r->attempts[task]);
    for (uint32_t i = 0; r->items && i < r->items[task].count; i++)
      if (r->items[task].attempts[i])
        binding_drop_attempt(e, r->items[task].attempts[i]);
  }
}

void binding_push_map(lua_State *L, run *r, uint32_t task) {
  binding_push_run(L, r);
  lua_getiuservalue(L, -1, RUN_MAPS);
  lua_rawgeti(L, -1, (lua_Integer)task + 1);
  lua_replace(L, -3);
  lua_pop(L, 1);
}

void binding_item_over(engine *e, run *r, uint32_t task) {
  lua_State *L = e->L;
  astrum_record record;
  if (astrum_sched_record(sched_of(r), r->id, (astrum_task){task}, &record) !=
          ASTRUM_OK ||
      record.state != ASTRUM_COMPLETED)
    return;
  binding_push_run(L, r);
  lua_getiuservalue(L, -1, RUN_DATA);
  lua_replace(L, -2);
  lua_pushinteger(L, (lua_Integer)task + 1);
  binding_push_map(L, r, task);
  lua_rawgeti(L, -1, 0);
  lua_replace(L, -2);
  lua_pushinteger(L, record.items);
  if (!binding_hook(e, binding_on_items, 4, 1))
    lua_pushnil(L);
  binding_pin(e, r);
  lua_xmove(L, e->slots, 1);
  lua_rawseti(e->slots, SLOT_RESULTS, (lua_Integer)task + 1);
  /* The lists that it went over must not keep what is to go. */
  binding_push_run(L, r);
  lua_getiuservalue(L, -1, RUN_MAPS);
  lua_pushnil(L);
  lua_rawseti(L, -2, (lua_Integer)task + 1);
  lua_pop(L, 2);
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

/* Counts the tasks below each task, if results are to go before the run does.
   Returns 0 when there is no memory. */
static int count_readers(engine *e, run *r) {
  const program *p = r->program;
  const astrum_task *below;
  if (!p->keeps)
    return 1;
  r->readers =
      e->alloc.fn(e->alloc.user, NULL, 0, p->task_count * sizeof *r->readers);
  for (uint32_t i = 0; r->readers && i < p->task_count; i++)
    r->readers[i] = astrum_graph_downstream(p->graph, (astrum_task){i}, &below);
  return r->readers != NULL;
}

void binding_release_results(engine *e, run *r, uint32_t task) {
  const astrum_task *above;
  astrum_record record;
  if (astrum_sched_record(sched_of(r), r->id, (astrum_task){task}, &record) !=
          ASTRUM_OK ||
      record.state != ASTRUM_COMPLETED)
    return;
  binding_pin(e, r);
  uint32_t count =
      astrum_graph_upstream(r->program->graph, (astrum_task){task}, &above);
  for (uint32_t i = 0; i < count; i++) {
    uint32_t source = above[i].id;
    if (--r->readers[source] > 0 || r->program->keeps[source])
      continue;
    lua_pushnil(e->slots);
    lua_rawseti(e->slots, SLOT_RESULTS, (lua_Integer)source + 1);
  }
}

/* Whether a task had a result that is gone. */
static int is_released(const run *r, uint32_t task) {
  const astrum_task *below;
  return r->readers && r->readers[task] == 0 && !r->program->keeps[task] &&
         astrum_graph_downstream(r->program->graph, (astrum_task){task},
                                 &below) > 0;
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
 * options: keep_going, concurrency, max_total_attempts, seed, deadline (ns),
 * pools = list of { slots, rate, per = ns }, pool_of = list of the numbers in
 * it from 0, events (the hook is told of attempts and the run), changes (and of
 * what becomes of tasks), data (goes to the hooks).
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
  lua_newtable(L);
  lua_setiuservalue(L, ud, RUN_MAPS);
  if (parent) {
    binding_push_run(L, parent->run);
    lua_setiuservalue(L, ud, RUN_PARENT);
  }
  r->wants_events = (uint8_t)option_flag(L, "events");
  r->limited = (uint8_t)(options.deadline > 0 || (parent && parent->limited));
  if (!make_attempts(e, r))
    return binding_raise(L, "run", ASTRUM_ENOMEM);
  if (!count_readers(e, r))
    return binding_raise(L, "run", ASTRUM_ENOMEM);
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
    binding_event(e, r, "run_started", NULL, NULL, 0);
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
  free_attempts(e, r);
  if (r->readers)
    e->alloc.fn(e->alloc.user, r->readers,
                r->program->task_count * sizeof *r->readers, 0);
  r->readers = NULL;
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
  if (e->closed)
    return;
  run *r = action->user;
  if (action->kind == ASTRUM_DONE) {
    if (r->wants_events)
      binding_event(e, r, "run_finished", NULL, state_names[action->state], 0);
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
                  state_names[action->state], 0);
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

/* Pushes the table at a number of the one on the top, made if there is none. */
static void push_table(lua_State *L, lua_Integer key) {
  if (lua_rawgeti(L, -1, key) == LUA_TTABLE)
    return;
  lua_pop(L, 1);
  lua_createtable(L, 1, 0);
  lua_pushvalue(L, -1);
  lua_rawseti(L, -3, key);
}

/* Arguments: table of errors, the error, the ticket as light userdata. */
static int keep_error(lua_State *L) {
  const astrum_ticket *ticket = lua_touserdata(L, 3);
  lua_pushvalue(L, 1);
  push_table(L, (lua_Integer)ticket->task + 1);
  if (ticket->item)
    push_table(L, -(lua_Integer)ticket->item);
  lua_pushvalue(L, 2);
  lua_rawseti(L, -2, ticket->attempt);
  return 0;
}

void binding_store_error(engine *e, run *r, astrum_ticket ticket) {
  lua_State *L = e->L;
  lua_pushcfunction(L, keep_error);
  binding_push_run(L, r);
  lua_getiuservalue(L, -1, RUN_ERRORS);
  lua_replace(L, -2);
  lua_rotate(L, -3, -1);
  lua_pushlightuserdata(L, &ticket);
  if (lua_pcall(L, 3, 0, 0) != LUA_OK)
    lua_pop(L, 1);
}

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
  set_count(L, "timed_out", s.timed_out);
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

/* The item of a map at an index of the stack, 0 for none. */
static uint32_t check_item(lua_State *L, int index) {
  lua_Integer item = luaL_optinteger(L, index, 0);
  luaL_argcheck(L, item >= 0 && item < UINT32_MAX, index, "no such item");
  return (uint32_t)item;
}

static astrum_err read_record(const run *r, astrum_task task, uint32_t item,
                              astrum_record *out) {
  if (item)
    return astrum_sched_item_record(sched_of(r), r->id, task, item, out);
  return astrum_sched_record(sched_of(r), r->id, task, out);
}

static astrum_err read_attempts(const run *r, astrum_task task, uint32_t item,
                                astrum_attempt *list, uint32_t room,
                                uint32_t *count) {
  if (item)
    return astrum_sched_item_attempts(sched_of(r), r->id, task, item, list,
                                      room, count);
  return astrum_sched_attempts(sched_of(r), r->id, task, list, room, count);
}

/* run:record(id, [item]) -> { state, cause, blame, attempts, ready, start,
   finish, busy, items, handled }: times in seconds since the run's begin, nil
   where there is none */
static int record(lua_State *L) {
  run *r = check_open(L);
  astrum_task task = check_task(L, r);
  astrum_record rec;
  astrum_err err = read_record(r, task, check_item(L, 3), &rec);
  if (err)
    return binding_raise(L, "record", err);
  lua_createtable(L, 0, 10);
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
  if (rec.items)
    set_count(L, "items", rec.items);
  if (rec.handled) {
    lua_pushboolean(L, 1);
    lua_setfield(L, -2, "handled");
  }
  if (is_released(r, task.id)) {
    lua_pushboolean(L, 1);
    lua_setfield(L, -2, "released");
  }
  return 1;
}

/* Pushes the error of an attempt, or nil when it has not failed. Only for want
   of memory a failure has left none. */
static void push_error(lua_State *L, astrum_task task, uint32_t item,
                       uint32_t number, int failed) {
  int top = lua_gettop(L);
  lua_getiuservalue(L, 1, RUN_ERRORS);
  int found = lua_rawgeti(L, -1, (lua_Integer)task.id + 1) == LUA_TTABLE;
  if (found && item)
    found = lua_rawgeti(L, -1, -(lua_Integer)item) == LUA_TTABLE;
  if (found)
    lua_rawgeti(L, -1, number);
  else
    lua_pushnil(L);
  lua_replace(L, top + 1);
  lua_settop(L, top + 1);
  if (failed && lua_isnil(L, -1)) {
    lua_pop(L, 1);
    lua_pushstring(L, astrum_strerror(ASTRUM_ENOMEM));
  }
}

static int has_failed(const astrum_attempt *at) {
  return !at->running &&
         (at->outcome == ASTRUM_FAILURE ||
          at->outcome == ASTRUM_FAILURE_FINAL || at->outcome == ASTRUM_TIMEOUT);
}

/* run:attempts(id, [item]) -> list of { attempt, outcome, will_retry, start,
   finish, error } */
static int attempts(lua_State *L) {
  static const char *const outcomes[] = {"succeeded",     "failure",
                                         "failure_final", "stopped",
                                         "declined",      "timed_out"};
  run *r = check_open(L);
  astrum_task task = check_task(L, r);
  uint32_t item = check_item(L, 3);
  uint32_t count = 0;
  astrum_err err = read_attempts(r, task, item, NULL, 0, &count);
  if (err)
    return binding_raise(L, "attempts", err);
  size_t room = count ? count : 1;
  astrum_attempt *list = lua_newuserdatauv(L, room * sizeof *list, 0);
  err = read_attempts(r, task, item, list, count, &count);
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
    push_error(L, task, item, list[i].attempt, has_failed(&list[i]));
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

/* Pushes the error of a task that could not begin because the tree has had all
   its attempts. It is made when it is first asked for. */
static void push_refusal(lua_State *L, astrum_task task, uint32_t item) {
  push_error(L, task, item, 0, 0);
  if (!lua_isnil(L, -1))
    return;
  lua_pop(L, 1);
  binding_push_hook(L, binding_on_failure);
  lua_getiuservalue(L, 1, RUN_DATA);
  lua_pushinteger(L, (lua_Integer)task.id + 1);
  lua_pushinteger(L, 0);
  lua_pushinteger(L, item);
  lua_pushnil(L);
  lua_pushnil(L);
  lua_pushliteral(L, "attempts");
  lua_call(L, 7, 1);
  lua_pushcfunction(L, keep_error);
  lua_getiuservalue(L, 1, RUN_ERRORS);
  lua_pushvalue(L, -3);
  astrum_ticket ticket = {.task = task.id, .item = item};
  lua_pushlightuserdata(L, &ticket);
  lua_call(L, 3, 0);
}

/* run:error(id, [item]) -> error object of a task or item that has failed for
   good, or nil; of a map that of the first item that failed */
static int last_error(lua_State *L) {
  run *r = check_open(L);
  astrum_task task = check_task(L, r);
  uint32_t item = check_item(L, 3);
  astrum_record rec;
  astrum_err err = read_record(r, task, item, &rec);
  for (uint32_t i = 1;
       !err && item == 0 && rec.cause == ASTRUM_CAUSE_ITEM && i <= rec.items;
       i++) {
    astrum_record of_item;
    err = read_record(r, task, i, &of_item);
    if (!err &&
        (of_item.state == ASTRUM_FAILED || of_item.state == ASTRUM_TIMED_OUT)) {
      item = i;
      rec = of_item;
    }
  }
  if (err)
    return binding_raise(L, "error", err);
  if (rec.state != ASTRUM_FAILED && rec.state != ASTRUM_TIMED_OUT)
    return 0;
  if (rec.attempts == 0 && rec.cause == ASTRUM_CAUSE_ATTEMPTS)
    push_refusal(L, task, item);
  else
    push_error(L, task, item, rec.attempts, 1);
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
