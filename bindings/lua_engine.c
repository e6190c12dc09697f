/*
 * The engine of a Lua state: one userdata in the registry, made when the module
 * is loaded and freed when the state is closed. Its loop is made when something
 * first runs or waits, so that luv, if it is there, can be asked first.
 */
#define _POSIX_C_SOURCE 200809L

#include "host.h"
#include "preempt.h"
#include "task.h"
#include "thread.h"

#include <string.h>
#include <time.h>

/* Their addresses are keys in the registry. */
static const char engine_key = 0;
static const char hooks_key = 0;
static const char anchors_key = 0;

void binding_close(engine *e) {
  if (e->closed)
    return;
  e->closing = 1;
  e->refuses = "the Lua state is being closed";
  e->forked = e->loop && astrum_loop_forked(e->loop);
  binding_close_threads(e);
  while (e->strands)
    binding_end_strand(e, e->strands);
  for (run *r = e->runs; r; r = r->next)
    binding_drop_attempts(e, r);
  e->closed = 1;
  e->runs = NULL;
}

/* Handles of luv's that are younger than the loop are gone by now. */
static void free_loop(engine *e) {
  binding_close(e);
  /* Signals may come in between. */
  astrum_loop *loop = e->loop;
  e->loop = NULL;
  astrum_ticker_stop(e->ticker);
  e->ticker = NULL;
  astrum_loop_free(loop);
  binding_preempt_free(e);
  binding_free_pools(e);
}

static int close_early(lua_State *L) {
  free_loop(*(engine **)lua_touserdata(L, 1));
  return 0;
}

static int close_engine(lua_State *L) {
  free_loop(lua_touserdata(L, 1));
  return 0;
}

engine *astrum_binding_engine(lua_State *L) {
  if (lua_rawgetp(L, LUA_REGISTRYINDEX, &engine_key) == LUA_TUSERDATA) {
    engine *e = lua_touserdata(L, -1);
    lua_pop(L, 1);
    return e;
  }
  lua_pop(L, 1);
  /* The engine comes last: where there is one, all of it is there. */
  lua_newtable(L);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &hooks_key);
  lua_newtable(L);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &anchors_key);
  engine *e = lua_newuserdatauv(L, sizeof *e, 2);
  memset(e, 0, sizeof *e);
  e->alloc.fn = lua_getallocf(L, &e->alloc.user);
  e->all_closed = 1;
  pthread_mutex_init(&e->bodies_lock, NULL);
  lua_rawgeti(L, LUA_REGISTRYINDEX, LUA_RIDX_MAINTHREAD);
  e->main = lua_tothread(L, -1);
  lua_pop(L, 1);
  e->L = lua_newthread(L);
  lua_setiuservalue(L, -2, 1);
  e->slots = lua_newthread(L);
  lua_setiuservalue(L, -2, 2);
  if (!lua_checkstack(e->L, 64) || !lua_checkstack(e->slots, 64)) {
    lua_pushstring(L, astrum_strerror(ASTRUM_ENOMEM));
    lua_error(L);
  }
  for (int i = 0; i < SLOT_COUNT; i++)
    lua_newtable(e->slots);
  lua_pushliteral(e->slots, "");
  lua_newtable(e->slots);
  lua_createtable(L, 0, 1);
  lua_pushcfunction(L, close_engine);
  lua_setfield(L, -2, "__gc");
  lua_setmetatable(L, -2);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &engine_key);
  return e;
}

engine *binding_engine(lua_State *L) {
  return lua_touserdata(L, lua_upvalueindex(1));
}

void binding_functions(lua_State *L, const luaL_Reg *functions) {
  astrum_binding_engine(L);
  lua_rawgetp(L, LUA_REGISTRYINDEX, &engine_key);
  luaL_setfuncs(L, functions, 1);
}

void binding_type(lua_State *L, const char *name, const luaL_Reg *methods) {
  luaL_newmetatable(L, name);
  lua_pushstring(L, name);
  lua_setfield(L, -2, "__metatable");
  binding_functions(L, methods);
  lua_newtable(L);
  for (; methods->name; methods++) {
    if (strncmp(methods->name, "__", 2) == 0)
      continue;
    lua_getfield(L, -2, methods->name);
    lua_setfield(L, -2, methods->name);
    lua_pushnil(L);
    lua_setfield(L, -3, methods->name);
  }
  lua_setfield(L, -2, "__index");
  lua_pop(L, 1);
}

int binding_raise(lua_State *L, const char *what, astrum_err err) {
  return luaL_error(L, "%s: %s", what, astrum_strerror(err));
}

int binding_fail(lua_State *L, astrum_err err) {
  lua_pushnil(L);
  lua_pushstring(L, astrum_strerror(err));
  if (err == ASTRUM_ENOMEM)
    return lua_error(L);
  lua_pushstring(L, astrum_errname(err));
  return 3;
}

/* --- the loop */

/* Pushes a userdata without metatable, kept until the state is closed, and the
   metatable with which it frees the loop then. */
static void push_closer(engine *e, lua_State *L) {
  luaL_checkstack(L, 8, NULL);
  engine **closer = lua_newuserdatauv(L, sizeof(engine *), 0);
  *closer = e;
  lua_pushvalue(L, -1);
  binding_anchor(L, &e->loop);
  lua_createtable(L, 0, 1);
  lua_pushcfunction(L, close_early);
  lua_setfield(L, -2, "__gc");
}

/* Raises in a process that was forked after the loop was made. */
static void check_process(const engine *e, lua_State *L) {
  if (e->loop && astrum_loop_forked(e->loop))
    luaL_error(L, "astrum: this process was forked while astrum was in use; "
                  "its runs belong to the parent. Start another program with "
                  "astrum.spawn, or fork before the first run");
}

astrum_loop *binding_loop(engine *e, lua_State *L) {
  if (e->closed)
    luaL_error(L, "astrum: the Lua state is being closed");
  check_process(e, L);
  if (e->loop)
    return e->loop;
  /* What was made last is closed first. So our handles are gone before luv
     closes a loop of its own, which may be younger than the engine, and luv's
     handles before our loop. */
  push_closer(e, L);
  astrum_loop_options options = {
      .size = sizeof options,
      .alloc = &e->alloc,
      .uv = binding_luv_loop(e, L),
      .executor = &binding_executor,
      .user = e,
  };
  astrum_err err = astrum_loop_new(&options, &e->loop);
  if (err)
    binding_raise(L, "astrum: cannot make an event loop", err);
  lua_setmetatable(L, -2);
  lua_pop(L, 1);
  if (!options.uv)
    binding_luv_share(e, L);
  return e->loop;
}

/* Whether the program runs the loop itself, through luv. */
static int luv_runs(lua_State *L) {
  int runs = 0;
  int top = lua_gettop(L);
  luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
  if (lua_getfield(L, -1, "luv") == LUA_TTABLE &&
      lua_getfield(L, -1, "loop_mode") == LUA_TFUNCTION &&
      lua_pcall(L, 0, 1, 0) == LUA_OK)
    runs = !lua_isnil(L, -1);
  lua_settop(L, top);
  return runs;
}

typedef struct {
  const engine *engine;
  const int *done;
} goal;

/* An interrupted program waits only until its runs are closed. */
static int is_reached(void *user) {
  const goal *g = user;
  return *g->done || (g->engine->interrupted && g->engine->all_closed);
}

void binding_check_drive(engine *e, lua_State *L, const char *what) {
  if (astrum_loop_turning(binding_loop(e, L)) || L == e->L || luv_runs(L))
    luaL_error(L,
               "%s: the event loop is turning, and a callback of it cannot "
               "wait; use scheduler:start() and handle:on_done(), or wait in a "
               "task",
               what);
}

int binding_drive(engine *e, const int *done) {
  goal g = {e, done};
  e->driving = 1;
  astrum_err err = astrum_loop_run(e->loop, is_reached, &g);
  e->driving = 0;
  return err == ASTRUM_OK && *done;
}

int binding_cannot_end(engine *e, lua_State *L, const char *what) {
  int was_interrupted = e->interrupted;
  e->interrupted = 0;
  if (was_interrupted)
    return luaL_error(L, "interrupted!");
  return luaL_error(L, "%s: nothing is left that could end the wait", what);
}

typedef struct {
  astrum_timer timer;
  int fired;
} pause;

static void pause_over(astrum_timer *timer) {
  ((pause *)(void *)timer)->fired = 1;
}

/*
 * core.drain(): turns the loop until no run is alive, and then once more so
 * that handles which are being closed are closed. For the end of a program.
 */
static int drain(lua_State *L) {
  engine *e = binding_engine(L);
  if (e->closed || !e->loop || astrum_loop_forked(e->loop) ||
      astrum_loop_turning(e->loop) || luv_runs(L))
    return 0;
  binding_drive(e, &e->all_closed);
  pause once = {.timer = {.fire = pause_over}};
  if (astrum_timer_start(e->loop, &once.timer, 0) == ASTRUM_OK)
    binding_drive(e, &once.fired);
  return 0;
}

/* --- hooks: functions of lua/astrum for what is not on the hot path */

const char binding_on_failure[] = "failure";
const char binding_on_input[] = "input";
const char binding_on_timeout[] = "timeout";
const char binding_on_stopped[] = "stopped";
const char binding_on_items[] = "items";
const char binding_on_event[] = "event";
const char binding_on_log[] = "log";
const char binding_on_done[] = "done";
const char binding_on_error[] = "error";

static const char *const hook_names[] = {binding_on_failure, binding_on_input,
                                         binding_on_timeout, binding_on_stopped,
                                         binding_on_items,   binding_on_event,
                                         binding_on_log,     binding_on_done,
                                         binding_on_error,   NULL};

void binding_push_hook(lua_State *L, const char *name) {
  lua_rawgetp(L, LUA_REGISTRYINDEX, &hooks_key);
  lua_rawgetp(L, -1, name);
  lua_replace(L, -2);
}

int binding_hook(engine *e, const char *name, int count, int results) {
  lua_State *L = e->L;
  binding_flush_jobs(e);
  binding_push_hook(L, name);
  lua_insert(L, -(count + 1));
  if (lua_pcall(L, count, results, 0) == LUA_OK)
    return 1;
  lua_pop(L, 1);
  return 0;
}

/* Arguments: name of the place, error, the hook. */
static int call_error_hook(lua_State *L) {
  lua_pushvalue(L, 3);
  lua_pushstring(L, lua_touserdata(L, 1));
  lua_pushvalue(L, 2);
  lua_call(L, 2, 0);
  return 0;
}

void binding_tell_error(engine *e, const char *where) {
  lua_State *L = e->L;
  binding_flush_jobs(e);
  lua_pushcfunction(L, call_error_hook);
  lua_insert(L, -2);
  lua_pushlightuserdata(L, (void *)where);
  lua_insert(L, -2);
  binding_push_hook(L, binding_on_error);
  if (lua_pcall(L, 3, 0, 0) != LUA_OK)
    lua_pop(L, 1);
}

/* core.set_hooks { name = function }: all of them must be there. */
static int set_hooks(lua_State *L) {
  luaL_checktype(L, 1, LUA_TTABLE);
  lua_settop(L, 1);
  lua_rawgetp(L, LUA_REGISTRYINDEX, &hooks_key);
  for (int i = 0; hook_names[i]; i++) {
    if (lua_getfield(L, 1, hook_names[i]) != LUA_TFUNCTION)
      return luaL_error(L, "hook '%s' is missing", hook_names[i]);
    lua_rawsetp(L, 2, hook_names[i]);
  }
  return 0;
}

/* --- anchors: Lua values that live as long as something of C */

void binding_anchor(lua_State *L, const void *key) {
  lua_rawgetp(L, LUA_REGISTRYINDEX, &anchors_key);
  lua_insert(L, -2);
  lua_rawsetp(L, -2, key);
  lua_pop(L, 1);
}

void binding_anchored(lua_State *L, const void *key) {
  lua_rawgetp(L, LUA_REGISTRYINDEX, &anchors_key);
  lua_rawgetp(L, -1, key);
  lua_replace(L, -2);
}

/* --- ticks */

static void on_tick(void *user) {
  engine *e = user;
  lua_State *L = e->L;
  if (e->closed)
    return;
  const char *refused = e->refuses;
  e->refuses = "what is called at a tick cannot wait";
  binding_anchored(L, &e->ticker);
  if (lua_pcall(L, 0, 0, 0) != LUA_OK)
    binding_tell_error(e, "what is called at a tick");
  e->refuses = refused;
}

/*
 * core.tick(seconds, function): calls it again and again while the loop turns,
 * and does not keep the loop going. One at a time; core.tick() ends it.
 */
static int tick(lua_State *L) {
  engine *e = binding_engine(L);
  lua_settop(L, 2);
  if (lua_isnil(L, 1)) {
    astrum_ticker_stop(e->ticker);
    e->ticker = NULL;
    binding_anchor(L, &e->ticker);
    return 0;
  }
  lua_Number seconds = luaL_checknumber(L, 1);
  luaL_argcheck(L, seconds >= 0.001 && seconds < 1e6, 1, "out of range");
  luaL_checktype(L, 2, LUA_TFUNCTION);
  astrum_loop *loop = binding_loop(e, L);
  binding_anchor(L, &e->ticker);
  astrum_ticker_stop(e->ticker);
  e->ticker = NULL;
  astrum_err err = astrum_ticker_start(loop, (uint64_t)(seconds * 1e9), on_tick,
                                       e, &e->ticker);
  return err ? binding_raise(L, "tick", err) : 0;
}

/* --- interruption */

int astrum_binding_busy(const engine *e) {
  return e->loop && (e->runs || e->driving);
}

int astrum_binding_driving(const engine *e) { return e->driving; }

int astrum_binding_interrupt(engine *e, int signal) {
  if (!astrum_binding_busy(e))
    return 0;
  e->interrupted = signal;
  e->stop_runs = 1;
  astrum_loop_wake(e->loop);
  binding_preempt_interrupt(e);
  return 1;
}

void astrum_binding_wake(engine *e) {
  if (e->loop)
    astrum_loop_wake(e->loop);
}

void astrum_binding_kill(engine *e) {
  if (e->loop)
    astrum_loop_kill(e->loop);
}

void astrum_binding_on_writer(engine *e, void (*tell)(int begins)) {
  e->on_writer = tell;
}

/* core.interrupted([keep]) -> number of the signal that cancelled the runs, or
   nothing; asking forgets it, unless `keep`. */
static int interrupted(lua_State *L) {
  engine *e = binding_engine(L);
  int keep = lua_toboolean(L, 1);
  if (!e->interrupted)
    return 0;
  lua_pushinteger(L, e->interrupted);
  if (!keep)
    e->interrupted = 0;
  return 1;
}

/* --- clocks and terminal */

static lua_Number read_clock(clockid_t clock) {
  struct timespec t;
  clock_gettime(clock, &t);
  return (lua_Number)t.tv_sec + (lua_Number)t.tv_nsec / 1e9;
}

/* core.clock() -> seconds of a monotonic clock */
static int monotonic_clock(lua_State *L) {
  lua_pushnumber(L, read_clock(CLOCK_MONOTONIC));
  return 1;
}

/* core.time() -> seconds since 1970 */
static int wall_clock(lua_State *L) {
  lua_pushnumber(L, read_clock(CLOCK_REALTIME));
  return 1;
}

/* core.virtual_time(on): see astrum_loop_virtual. Returns whether it is done:
   not to runs that go on already. */
static int virtual_time(lua_State *L) {
  engine *e = binding_engine(L);
  int on = lua_toboolean(L, 1);
  astrum_loop *loop = binding_loop(e, L);
  int refused = on && !e->all_closed;
  if (!refused)
    astrum_loop_virtual(loop, on);
  lua_pushboolean(L, !refused);
  return 1;
}

static const luaL_Reg functions[] = {
    {"virtual_time", virtual_time},
    {"drain", drain},
    {"tick", tick},
    {"set_hooks", set_hooks},
    {"interrupted", interrupted},
    {"clock", monotonic_clock},
    {"time", wall_clock},
    {NULL, NULL},
};

int binding_open_engine(lua_State *L) {
  binding_functions(L, functions);
  return 0;
}
