/*
 * The waits: sleep, await, all. Each works in a task, where it suspends the
 * strand, and in the main program, where it turns the loop until it is over.
 */
#include "task.h"
#include "thread.h"
#include "wait.h"

#include <string.h>

/* --- sleep */

typedef struct {
  astrum_timer timer;
  int over;
} main_sleep;

static void main_sleep_over(astrum_timer *timer) {
  ((main_sleep *)(void *)timer)->over = 1;
}

static int sleep_resumed(lua_State *L, int status, lua_KContext ctx) {
  (void)status;
  (void)ctx;
  binding_resumed(L);
  return 0;
}

static uint64_t deadline(engine *e, lua_Number seconds) {
  uint64_t now = astrum_loop_now(e->loop);
  lua_Number ns = seconds * 1e9;
  if (ns >= 9e18 || (uint64_t)ns >= ASTRUM_NEVER - 1 - now)
    return ASTRUM_NEVER - 1;
  return now + (uint64_t)ns;
}

/* core.sleep(seconds): at least that long; 0 lets others run. */
static int sleep_for(lua_State *L) {
  engine *e = binding_engine(L);
  if (lua_type(L, 1) != LUA_TNUMBER)
    return luaL_error(L, "sleep: the seconds must be a number, got %s",
                      luaL_typename(L, 1));
  lua_Number seconds = lua_tonumber(L, 1);
  if (!(seconds >= 0))
    return luaL_error(L, "sleep: the seconds must be 0 or more, got %s",
                      luaL_tolstring(L, 1, NULL));
  strand *s = binding_waiting_strand(e, L, "sleep");
  binding_loop(e, L);
  if (!s) {
    binding_check_drive(e, L, "sleep");
    main_sleep m = {.timer = {.fire = main_sleep_over}};
    astrum_err err =
        astrum_timer_start(e->loop, &m.timer, deadline(e, seconds));
    if (err)
      return binding_raise(L, "sleep", err);
    int over = binding_drive(e, &m.over);
    astrum_timer_stop(e->loop, &m.timer);
    return over ? 0 : binding_cannot_end(e, L, "sleep");
  }
  /* Room for the timer was made with the strand. */
  astrum_timer_start(e->loop, &s->timer, deadline(e, seconds));
  return binding_suspend(L, s, WAIT_TIMER, 0, sleep_resumed);
}

/* --- await */

#define WAIT_TYPE "astrum.wait"

/* User values: 1 what `done` was given, 2 the cleanup. */
typedef struct {
  strand *strand; /* suspended in it, or NULL */
  int done;
  int over; /* returned or cancelled */
} callback_wait;

/* done(...): the first call counts, later ones are ignored. */
static int callback_done(lua_State *L) {
  callback_wait *w = lua_touserdata(L, lua_upvalueindex(1));
  if (w->done || w->over)
    return 0;
  int count = lua_gettop(L);
  lua_createtable(L, count, 1);
  for (int i = 1; i <= count; i++) {
    lua_pushvalue(L, i);
    lua_rawseti(L, -2, i);
  }
  lua_pushinteger(L, count);
  lua_setfield(L, -2, "n");
  lua_setiuservalue(L, lua_upvalueindex(1), 1);
  w->done = 1;
  if (w->strand)
    binding_wake_soon(w->strand);
  return 0;
}

/* Returns what `done` was given; the wait is at index 2. */
static int callback_values(lua_State *L) {
  callback_wait *w = lua_touserdata(L, 2);
  w->over = 1;
  w->strand = NULL;
  lua_getiuservalue(L, 2, 1);
  int values = lua_gettop(L);
  lua_getfield(L, values, "n");
  int count = (int)lua_tointeger(L, -1);
  lua_pop(L, 1);
  luaL_checkstack(L, count, "too many values given to done");
  for (int i = 1; i <= count; i++)
    lua_rawgeti(L, values, i);
  return count;
}

static int callback_resumed(lua_State *L, int status, lua_KContext ctx) {
  (void)status;
  (void)ctx;
  strand *s = binding_resumed(L);
  lua_pushnil(L);
  binding_anchor(L, &s->joins);
  return callback_values(L);
}

/* The function given to await has returned its cleanup. */
static int callback_asked(lua_State *L, int status, lua_KContext ctx) {
  (void)status;
  (void)ctx;
  engine *e = astrum_binding_engine(L);
  callback_wait *w = lua_touserdata(L, 2);
  if (!lua_isnil(L, 3) && !lua_isfunction(L, 3))
    return luaL_error(L,
                      "await: the function must return nothing or a cleanup "
                      "function, got %s",
                      luaL_typename(L, 3));
  if (w->done)
    return callback_values(L);
  lua_settop(L, 3);
  lua_setiuservalue(L, 2, 2);
  strand *s = binding_waiting_strand(e, L, "await");
  if (!s) {
    binding_check_drive(e, L, "await");
    if (!binding_drive(e, &w->done)) {
      w->over = 1;
      lua_getiuservalue(L, 2, 2);
      if (lua_isfunction(L, -1))
        lua_call(L, 0, 0);
      return binding_cannot_end(e, L, "await");
    }
    return callback_values(L);
  }
  lua_pushvalue(L, 2);
  binding_anchor(L, &s->joins);
  w->strand = s;
  return binding_suspend(L, s, WAIT_CALLBACK, 0, callback_resumed);
}

/* core.await(function(done) ... return cleanup end) -> what done was given */
static int await(lua_State *L) {
  engine *e = binding_engine(L);
  if (!lua_isfunction(L, 1))
    return luaL_error(L, "await: a function(done) is wanted, got %s",
                      luaL_typename(L, 1));
  lua_settop(L, 1);
  binding_waiting_strand(e, L, "await");
  binding_loop(e, L);
  callback_wait *w = lua_newuserdatauv(L, sizeof *w, 2);
  memset(w, 0, sizeof *w);
  luaL_setmetatable(L, WAIT_TYPE);
  lua_pushvalue(L, 1);
  lua_pushvalue(L, 2);
  lua_pushcclosure(L, callback_done, 1);
  lua_callk(L, 1, 1, 0, callback_asked);
  return callback_asked(L, LUA_OK, 0);
}

static void cancel_callback(engine *e, strand *s) {
  lua_State *L = e->L;
  binding_anchored(L, &s->joins);
  callback_wait *w = lua_touserdata(L, -1);
  if (!w) {
    lua_pop(L, 1);
    return;
  }
  int was_done = w->done;
  w->over = 1;
  w->strand = NULL;
  lua_getiuservalue(L, -1, 2);
  lua_replace(L, -2);
  lua_pushnil(L);
  binding_anchor(L, &s->joins);
  if (!was_done && lua_isfunction(L, -1))
    binding_call_cleanup(e, "the cleanup of an await");
  else
    lua_pop(L, 1);
}

void binding_call_cleanup(engine *e, const char *where) {
  lua_State *L = e->L;
  if (e->forked) {
    lua_pop(L, 1);
    return;
  }
  const char *refused = e->refuses;
  e->refuses = "cleanup cannot wait, the task is over";
  int failed = lua_pcall(L, 0, 0, 0) != LUA_OK;
  e->refuses = refused;
  if (failed)
    binding_tell_error(e, where);
}

/* --- all */

#define GROUP_TYPE "astrum.group"

/* Groups inside one another: cancelling the outermost goes down to the last. */
#define DEPTH_MAX 200

/* Returns the results of a group, or raises its error. The group is at 2. */
static int group_values(lua_State *L) {
  const group *g = lua_touserdata(L, 2);
  lua_pushnil(L);
  binding_anchor(L, g);
  lua_getiuservalue(L, 2, g->failed ? GROUP_ERROR : GROUP_RESULTS);
  return g->failed ? lua_error(L) : 1;
}

static int group_resumed(lua_State *L, int status, lua_KContext ctx) {
  (void)status;
  (void)ctx;
  strand *s = binding_resumed(L);
  s->joins = NULL;
  return group_values(L);
}

void binding_leave_group(strand *s) {
  s->member_of = NULL;
  if (!s->peer_link)
    return;
  *s->peer_link = s->peer;
  if (s->peer)
    s->peer->peer_link = s->peer_link;
  s->peer_link = NULL;
}

/* Ends the members of a group that are alive, the newest first. */
static void end_members(engine *e, group *g) {
  while (g->members) {
    strand *s = g->members;
    binding_leave_group(s);
    binding_end_strand(e, s);
  }
}

/* Ends a group that nobody waits for any more. Raises nothing. */
static void give_up(engine *e, group *g) {
  g->over = 1;
  end_members(e, g);
  lua_pushnil(e->L);
  binding_anchor(e->L, g);
}

static void group_over(group *g) {
  g->over = 1;
  if (g->owner)
    binding_need_slot(g->owner);
}

void binding_member_ended(engine *e, strand *s, int failed) {
  lua_State *L = e->L;
  group *g = s->member_of;
  binding_anchored(L, g);
  lua_insert(L, -2);
  binding_leave_group(s);
  if (g->over) {
    lua_pop(L, 2);
    return;
  }
  if (failed) {
    g->failed = 1;
    lua_setiuservalue(L, -2, GROUP_ERROR);
    lua_pop(L, 1);
    end_members(e, g);
    group_over(g);
    return;
  }
  lua_getiuservalue(L, -2, GROUP_RESULTS);
  lua_insert(L, -2);
  lua_rawseti(L, -2, s->place);
  lua_pop(L, 2);
  if (--g->left == 0)
    group_over(g);
}

/* Nothing of the list may be passed over in silence. Its length may stand in it
   as `n`, as table.pack leaves it. */
static void check_keys(lua_State *L, lua_Unsigned count) {
  lua_pushnil(L);
  while (lua_next(L, 1)) {
    lua_pop(L, 1);
    int is_integer;
    lua_Integer key = lua_tointegerx(L, -1, &is_integer);
    if (is_integer && lua_type(L, -1) == LUA_TNUMBER && key >= 1 &&
        (lua_Unsigned)key <= count)
      continue;
    if (lua_type(L, -1) == LUA_TSTRING && strcmp(lua_tostring(L, -1), "n") == 0)
      continue;
    luaL_error(L,
               "all: the functions must stand at 1, 2, 3 and so on, but the "
               "list has the key '%s'",
               luaL_tolstring(L, -1, NULL));
  }
}

static void check_functions(lua_State *L, lua_Unsigned count) {
  for (lua_Unsigned i = 1; i <= count; i++) {
    if (lua_rawgeti(L, 1, (lua_Integer)i) != LUA_TFUNCTION)
      luaL_error(L, "all: entry %d of the list must be a function, got %s",
                 (int)i, luaL_typename(L, -1));
    lua_pop(L, 1);
  }
}

/* core.all { f, g, ... } -> { n =, their results }: runs them at once; the
   first error cancels the others and is raised. */
static int all(lua_State *L) {
  engine *e = binding_engine(L);
  if (!lua_istable(L, 1))
    return luaL_error(L,
                      "all: a list of functions is wanted, as in "
                      "all { f, g }, got %s",
                      luaL_typename(L, 1));
  lua_settop(L, 1);
  lua_Unsigned count = lua_rawlen(L, 1);
  luaL_argcheck(L, count < INT32_MAX, 1, "too many functions");
  check_functions(L, count);
  check_keys(L, count);
  strand *owner = binding_waiting_strand(e, L, "all");
  int depth = owner ? owner->depth + 1 : 1;
  if (depth > DEPTH_MAX)
    return luaL_error(L, "all: more than %d calls are inside one another",
                      DEPTH_MAX);
  binding_loop(e, L);
  if (!owner)
    binding_check_drive(e, L, "all");
  group *g = lua_newuserdatauv(L, sizeof *g, GROUP_VALUES);
  memset(g, 0, sizeof *g);
  luaL_setmetatable(L, GROUP_TYPE);
  lua_createtable(L, (int)count, 1);
  lua_pushinteger(L, (lua_Integer)count);
  lua_setfield(L, -2, "n");
  lua_setiuservalue(L, 2, GROUP_RESULTS);
  if (count == 0) {
    lua_getiuservalue(L, 2, GROUP_RESULTS);
    return 1;
  }
  g->owner = owner;
  g->left = (int)count;
  lua_pushvalue(L, 2);
  binding_anchor(L, g);
  attempt *a = owner ? owner->attempt : NULL;
  for (int i = 1; i <= (int)count; i++) {
    strand *s = binding_new_strand(e, a);
    if (!s) {
      give_up(e, g);
      return binding_raise(L, "all", ASTRUM_ENOMEM);
    }
    s->member_of = g;
    s->place = i;
    s->depth = depth;
    s->peer = g->members;
    s->peer_link = &g->members;
    if (s->peer)
      s->peer->peer_link = &s->peer;
    g->members = s;
    lua_rawgeti(L, 1, i);
    lua_xmove(L, s->co, 1);
    binding_wake_soon(s);
  }
  if (!owner) {
    if (!binding_drive(e, &g->over)) {
      give_up(e, g);
      return binding_cannot_end(e, L, "all");
    }
    return group_values(L);
  }
  owner->joins = g;
  binding_rest(owner);
  return binding_suspend(L, owner, WAIT_GROUP, 0, group_resumed);
}

/* Pushes what stands at 2 in a frame of a coroutine, if that is one of `all`.
   Nothing that can raise may be called on `co`. */
static int push_group(lua_State *L, lua_State *co, int level) {
  lua_Debug ar;
  if (!lua_getstack(co, level, &ar))
    return 0;
  lua_getinfo(co, "f", &ar);
  int is_all = lua_tocfunction(co, -1) == all;
  lua_pop(co, 1);
  if (!is_all || !lua_getlocal(co, &ar, 2))
    return 0;
  lua_xmove(co, L, 1);
  return 1;
}

/* The stack of `co` has not been unwound. */
void binding_push_member_traceback(lua_State *L, lua_State *co, int level) {
  int found = 0;
  luaL_checkstack(L, 5, NULL);
  if (!lua_checkstack(co, 2)) {
    lua_pushnil(L);
    return;
  }
  lua_pushvalue(co, -1);
  lua_xmove(co, L, 1);
  int value = lua_gettop(L);
  if (push_group(L, co, level)) {
    const group *g = luaL_testudata(L, -1, GROUP_TYPE);
    if (g && g->failed) {
      lua_getiuservalue(L, -1, GROUP_ERROR);
      found = lua_rawequal(L, -1, value);
      lua_getiuservalue(L, value + 1, GROUP_TRACEBACK);
      lua_replace(L, value);
    }
  }
  lua_settop(L, value - !found);
  if (!found)
    lua_pushnil(L);
}

/* --- cancelling */

void binding_cancel_wait(engine *e, strand *s) {
  switch ((wait_kind)s->waits) {
  case WAIT_CALLBACK:
    cancel_callback(e, s);
    break;
  case WAIT_PROCESS:
    binding_cancel_process(e, s);
    break;
  case WAIT_THREAD:
    binding_cancel_call(e, s);
    break;
  case WAIT_RUN:
    if (s->waiter.link) {
      *s->waiter.link = s->waiter.next;
      if (s->waiter.next)
        s->waiter.next->link = s->waiter.link;
      s->waiter.link = NULL;
    }
    break;
  default:
    break;
  }
  if (s->joins) {
    group *g = s->joins;
    s->joins = NULL;
    give_up(e, g);
  }
}

static const luaL_Reg none[] = {{NULL, NULL}};

static const luaL_Reg functions[] = {
    {"sleep", sleep_for},
    {"await", await},
    {"all", all},
    {NULL, NULL},
};

int binding_open_await(lua_State *L) {
  binding_type(L, WAIT_TYPE, none);
  binding_type(L, GROUP_TYPE, none);
  binding_functions(L, functions);
  return 0;
}
