/*
 * Bodies at home. To hand a body to a worker thread and to take its answer back
 * takes longer than some bodies do: these are brief, and run at home. Others
 * take so little that home does its share of them while workers have enough to
 * do, in the place of one worker. What runs is not the function of the script,
 * but a copy, made as a worker makes its own, that can only compute. It sees a
 * `math` of its own, no other library, no globals, and no metatable of the
 * script's: strings have one of ours while it runs. So nobody sees what it
 * does, and it may be given up at any time and the body be run by a worker from
 * the beginning: when it asks for anything else, when it fails, and when it
 * takes longer than it used to.
 *
 * What a body keeps in its variables is that of its thread, of which home is
 * one more then. With a single worker there is one such state, and scripts may
 * rely on that: its bodies are not run at home.
 */
#include "attempt.h"
#include "preempt.h"
#include "thread.h"
#include "thread_call.h"
#include "travel.h"

#include <lauxlib.h>
#include <lualib.h>
#include <string.h>

/* What it takes a worker, with all that is around the body, ns. With those that
   take longer two cores are faster than one. */
#define BRIEF_NS 1150

/* How much less the same takes at home, ns. */
#define AROUND_NS 150

/* Home does its share of what takes workers less, ns. It is not there for
   anything else in this time. */
#define SHARED_NS 20000

enum {
  LOOK_EVERY = 16,       /* of so many runs one is timed */
  STRING_MAX = 4096,     /* bytes */
  UNCOLLECTED = 1 << 20, /* KiB that copies may ask for without a collection */
  BATCH = 64             /* of them, at most so many */
};

/* Their addresses are keys in the registry. */
static const char modules_key = 0;
static const char coroutine_key = 0;

/* --- copies */

/* __index of what a copy sees: it looks for something else. */
static int refuse(lua_State *L) {
  return luaL_error(L, "only a worker has it");
}

static void set_limit(lua_State *L) {
  lua_createtable(L, 0, 1);
  lua_pushcfunction(L, refuse);
  lua_setfield(L, -2, "__index");
  lua_setmetatable(L, -2);
}

/* Pushes what stands for the modules: functions of our own, which take no time
   to speak of and keep nothing. */
static void push_modules(lua_State *L) {
  if (lua_rawgetp(L, LUA_REGISTRYINDEX, &modules_key) == LUA_TTABLE)
    return;
  lua_pop(L, 1);
  lua_newtable(L);
  lua_pushcfunction(L, luaopen_math);
  lua_call(L, 0, 1);
  lua_pushnil(L);
  lua_setfield(L, -2, "random");
  lua_pushnil(L);
  lua_setfield(L, -2, "randomseed");
  set_limit(L);
  lua_newtable(L);
  lua_pushvalue(L, -2);
  lua_setfield(L, -2, "math");
  set_limit(L);
  lua_setfield(L, -3, LUA_GNAME);
  lua_setfield(L, -2, "math");
  lua_pushvalue(L, -1);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &modules_key);
}

/* Argument: a thread_body. Makes its copy, if there can be one. */
static int make_copy(lua_State *L) {
  thread_body *body = lua_touserdata(L, 1);
  codec_error error;
  body->brief = BRIEF_NEVER;
  luaL_checkstack(L, LUA_MINSTACK, NULL);
  push_modules(L);
  if (travel_unpack(L, body->packed, body->packed_size, 2, &error) != ASTRUM_OK)
    return 0;
  lua_setiuservalue(L, 1, THREAD_COPY);
  body->brief = BRIEF_COPIED;
  return 0;
}

static int make_coroutine(lua_State *L) {
  lua_State *co = lua_newthread(L);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &coroutine_key);
  astrum_binding_engine(L)->brief = co;
  return 0;
}

/* On the top of the slots is the body. Returns 0 when it cannot run at home. */
static int prepare(engine *e, const thread_body *body) {
  lua_State *L = e->slots;
  if (body->brief == BRIEF_COPIED && e->brief)
    return 1;
  if (body->brief == BRIEF_UNTRIED) {
    lua_pushcfunction(L, make_copy);
    lua_pushvalue(L, -2);
    if (lua_pcall(L, 1, 0, 0) != LUA_OK)
      lua_pop(L, 1);
  }
  if (body->brief != BRIEF_COPIED)
    return 0;
  if (!e->brief) {
    lua_pushcfunction(L, make_coroutine);
    if (lua_pcall(L, 0, 0, 0) != LUA_OK)
      lua_pop(L, 1);
  }
  return e->brief != NULL;
}

/* --- batches: copies that run with no code of the user's in between */

/* Whether values of the basic types, but strings, are in this state what they
   are in that of a worker. */
static uint8_t has_plain_values(lua_State *L) {
  lua_pushnil(L);
  lua_pushboolean(L, 0);
  lua_pushinteger(L, 0);
  lua_pushcfunction(L, refuse);
  uint8_t plain = 1;
  for (int i = -4; i < 0 && plain; i++)
    plain = !lua_getmetatable(L, i);
  lua_pop(L, plain ? 4 : 5);
  return plain;
}

/* Exchanges the metatable of strings and the value at SLOT_STRINGS. */
static void exchange_strings(lua_State *L) {
  if (!lua_getmetatable(L, SLOT_TEXT))
    lua_pushnil(L);
  lua_pushvalue(L, SLOT_STRINGS);
  lua_setmetatable(L, SLOT_TEXT);
  lua_replace(L, SLOT_STRINGS);
}

/*
 * No finalizer runs while strings are those of copies: what is asked for in a
 * batch counts for the collector when the batch is over. (LUA_GCSTOP would not
 * do: LUA_GCRESTART forgets how far the collector is.)
 */
static void begin_batch(engine *e) {
  lua_State *L = e->slots;
  e->brief_left = BATCH;
  e->brief_plain = has_plain_values(L);
  e->brief_collects = lua_gc(L, LUA_GCISRUNNING) == 1;
  if (e->brief_collects)
    lua_gc(L, LUA_GCSTEP, -UNCOLLECTED);
  exchange_strings(L);
}

void binding_end_batch(engine *e) {
  e->brief_left = 0;
  exchange_strings(e->slots);
  if (e->brief_collects)
    lua_gc(e->L, LUA_GCSTEP, UNCOLLECTED);
}

/* Whether there can be a copy more. */
static int next_of_batch(engine *e) {
  if (e->brief_left == 1)
    binding_end_batch(e);
  if (e->brief_left == 0)
    begin_batch(e);
  else
    e->brief_left--;
  return e->brief_plain;
}

/* --- running */

/* Whether a value is the same in every Lua state: a NaN loses its sign on the
   way to another. Not for long strings. */
static int is_simple(lua_State *L, int index) {
  if (lua_isinteger(L, index))
    return 1;
  switch (lua_type(L, index)) {
  case LUA_TNUMBER: {
    lua_Number n = lua_tonumber(L, index);
    return n == n;
  }
  case LUA_TSTRING:
    return lua_rawlen(L, index) <= STRING_MAX;
  case LUA_TNIL:
  case LUA_TBOOLEAN:
    return 1;
  default:
    return 0;
  }
}

body_place binding_body_place(engine *e, const attempt *a,
                              const thread_body *body, int count) {
  lua_State *L = e->slots;
  uint64_t typical =
      atomic_load_explicit(&body->work.typical, memory_order_relaxed);
  int is_brief = typical < e->brief_ns;
  if (typical == 0 || (typical >= SHARED_NS && !is_brief) || e->brief_ns == 0 ||
      body->brief == BRIEF_NEVER || body->workers == 1 || a->limited ||
      !e->timer)
    return PLACE_WORKER;
  for (int i = 0; i < count; i++)
    if (!is_simple(L, -2 - i))
      return PLACE_WORKER;
  return is_brief ? PLACE_HOME : PLACE_SHARED;
}

/* Runs the function on the stack of the coroutine. Returns the number of its
   results, or -1 when it is to be given up. */
static int run_copy(engine *e, const attempt *a, lua_State *co, int count) {
  strand *outer = e->current;
  guarded guard;
  int results = 0;
  e->current = NULL;
  e->brief = NULL; /* whoever may run now shall not use it */
  binding_preempt_enter(e, &guard, co, a, ASTRUM_NEVER);
  binding_preempt_brief(e, &guard);
  int status = lua_resume(co, e->L, count, &results);
  int by = binding_preempt_leave(e, &guard);
  e->current = outer;
  if (by || status != LUA_OK)
    return -1;
  e->brief = co;
  return results;
}

typedef struct {
  const codec_buffer *values;
} copied;

static int read_copy(lua_State *L) {
  const copied *c = lua_touserdata(L, 1);
  codec_error error;
  lua_settop(L, 0);
  return codec_decode(L, c->values->bytes, c->values->size, &error) == 1;
}

/* Replaces the result on the top of a coroutine by a copy, as one that comes
   from another state is. Returns 0 if it cannot be had. */
static int copy_result(engine *e, lua_State *co) {
  if (is_simple(co, -1) || lua_type(co, -1) == LUA_TSTRING)
    return 1;
  codec_buffer values = {.alloc = e->alloc};
  codec_error error;
  copied c = {&values};
  int ok = codec_encode(co, -1, 1, "result", 0, &values, &error) == ASTRUM_OK;
  if (ok) {
    lua_pushcfunction(e->L, read_copy);
    lua_pushlightuserdata(e->L, &c);
    ok = lua_pcall(e->L, 1, 1, 0) == LUA_OK && !lua_isnil(e->L, -1);
    lua_pop(co, 1);
    lua_xmove(e->L, co, 1);
  }
  codec_free(&values);
  return ok;
}

/* A result as a task has one: of several values the first, but not an error. */
static int take_result(engine *e, lua_State *co, int results) {
  if (results < 0 ||
      (results >= 2 && lua_isnil(co, -results) && !lua_isnil(co, 1 - results)))
    return 0;
  if (results == 0)
    lua_pushnil(co);
  else
    lua_settop(co, lua_gettop(co) - results + 1);
  return copy_result(e, co);
}

/* The coroutine is not used again. */
static void give_up(engine *e, lua_State *co, const attempt *a) {
  e->brief = NULL;
  if (binding_close_coroutine(e, co, a) != LUA_OK)
    lua_pop(co, 1);
}

int binding_run_at_home(engine *e, attempt *a, thread_body *body, int count) {
  lua_State *L = e->slots;
  if (!next_of_batch(e) || !prepare(e, body))
    return 0;
  lua_State *co = e->brief;
  if (!lua_checkstack(co, count + LUA_MINSTACK))
    return 0;
  int is_timed = body->until_look == 0;
  uint64_t began = is_timed ? astrum_loop_now(e->loop) : 0;
  body->until_look = is_timed ? LOOK_EVERY : body->until_look - 1;
  lua_getiuservalue(L, -1, THREAD_COPY);
  lua_xmove(L, co, 1);
  lua_pop(L, 1);
  lua_xmove(L, co, count);
  int results = run_copy(e, a, co, count);
  if (!take_result(e, co, results)) {
    body->brief = BRIEF_NEVER;
    give_up(e, co, a);
    return -1;
  }
  lua_xmove(co, e->L, 1);
  if (is_timed)
    thread_work_took(&body->work, astrum_loop_now(e->loop) - began + AROUND_NS);
  e->brief_count++;
  binding_end_directly(e, a);
  return 1;
}

/* core.brief_count() -> how many bodies have been run at home */
static int brief_count(lua_State *L) {
  lua_pushinteger(L, (lua_Integer)binding_engine(L)->brief_count);
  return 1;
}

/* core.brief_limit(ns) -> the limit before; bodies that take workers less are
   brief, 0: none runs at home */
static int brief_limit(lua_State *L) {
  engine *e = binding_engine(L);
  lua_Integer limit = luaL_checkinteger(L, 1);
  luaL_argcheck(L, limit >= 0, 1, "a time in ns");
  lua_pushinteger(L, (lua_Integer)e->brief_ns);
  e->brief_ns = (uint64_t)limit;
  return 1;
}

int binding_open_brief(lua_State *L) {
  engine *e = astrum_binding_engine(L);
  e->brief_ns = BRIEF_NS;
  lua_pushvalue(e->slots, SLOT_STRINGS);
  lua_xmove(e->slots, L, 1); /* an error must leave nothing on the slots */
  lua_pushcfunction(L, refuse);
  lua_setfield(L, -2, "__index");
  lua_pop(L, 1);
  static const luaL_Reg functions[] = {
      {"brief_count", brief_count},
      {"brief_limit", brief_limit},
      {NULL, NULL},
  };
  binding_functions(L, functions);
  return 0;
}
