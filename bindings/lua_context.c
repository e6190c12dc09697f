/*
 * The `ctx` of an attempt: a userdata whose fields are computed when they are
 * asked for. It may outlive the attempt and then tells what it last knew; in a
 * worker that is not all, because the next body has taken its place.
 */
#include "preempt.h"
#include "task.h"
#include "wait.h"

#include <string.h>

#define CONTEXT_TYPE "astrum.context"

/* User values: 1 the run, 2 the task's name. */
typedef struct {
  run *run;
  attempt *attempt; /* NULL when it is over */
  astrum_ticket ticket;
  /* Of the task whose body it is, which need not be one of this run. */
  lua_Integer number, item;
} context;

/* Pushes a field of what the host gave with the run of the context at an
   index. */
static int push_data_field(lua_State *L, int index, const char *field) {
  lua_getiuservalue(L, index, 1);
  lua_getiuservalue(L, -1, RUN_DATA);
  if (!lua_istable(L, -1))
    return 0;
  lua_getfield(L, -1, field);
  return 1;
}

/* Pushes what another process or thread has told of the body that runs, a
   table, when it is that of a task there. Returns 0 for nothing. */
static int push_told(lua_State *L, int index) {
  int top = lua_gettop(L);
  if (push_data_field(L, index, "told") && lua_istable(L, -1))
    return 1;
  lua_settop(L, top);
  return 0;
}

/* Takes over what does not change from a table of that kind on the top. */
static void keep_told(lua_State *L, int index, context *c) {
  if (lua_getfield(L, -1, "task") == LUA_TNIL)
    return; /* no body is begun */
  lua_setiuservalue(L, index, 2);
  lua_getfield(L, -1, "attempt");
  lua_getfield(L, -2, "item");
  c->number = lua_tointeger(L, -2);
  c->item = lua_tointeger(L, -1);
}

/* Raises when the worker whose ctx this was can tell no more by `name`. */
static void check_heard(lua_State *L, int index, const char *name) {
  const context *c = lua_touserdata(L, index);
  if (c->attempt || !push_told(L, index))
    return;
  lua_getiuservalue(L, index, 2);
  luaL_error(L,
             "ctx.%s: the body of task '%s' is over; of its ctx only task, "
             "item, attempt and cancelled() can be used",
             name, lua_tostring(L, -1));
}

void binding_push_context(lua_State *L, attempt *a) {
  luaL_checkstack(L, 12, NULL);
  if (a->context) {
    binding_anchored(L, &a->context);
    return;
  }
  context *c = lua_newuserdatauv(L, sizeof *c, 2);
  memset(c, 0, sizeof *c);
  luaL_setmetatable(L, CONTEXT_TYPE);
  binding_push_run(L, a->run);
  lua_setiuservalue(L, -2, 1);
  size_t size;
  astrum_task task = {a->ticket.task};
  const char *name = astrum_graph_name(a->run->program->graph, task, &size);
  lua_pushlstring(L, name, size);
  lua_setiuservalue(L, -2, 2);
  c->run = a->run;
  c->attempt = a;
  c->ticket = a->ticket;
  c->number = a->ticket.attempt;
  c->item = a->ticket.item;
  int index = lua_gettop(L);
  if (push_told(L, index))
    keep_told(L, index, c);
  lua_settop(L, index);
  lua_pushvalue(L, -1);
  binding_anchor(L, &a->context);
  a->context = 1;
}

void binding_drop_context(engine *e, attempt *a) {
  binding_anchored(e->L, &a->context);
  context *c = lua_touserdata(e->L, -1);
  if (c)
    c->attempt = NULL;
  lua_pop(e->L, 1);
  lua_pushnil(e->L);
  binding_anchor(e->L, &a->context);
  a->context = 0;
}

/* The context whose field, a function, is called. */
static context *upvalue_context(lua_State *L) {
  return lua_touserdata(L, lua_upvalueindex(1));
}

/* ctx.cancelled() -> whether the run is being stopped */
static int cancelled(lua_State *L) {
  const context *c = upvalue_context(L);
  engine *e = c->run->engine;
  int over = !c->attempt || e->closed || binding_is_asked(e);
  lua_pushboolean(
      L, over || astrum_sched_stopping(astrum_loop_sched(e->loop), c->ticket));
  return 1;
}

/* Pushes what the host gave with the run. */
static void push_data(lua_State *L) {
  lua_getiuservalue(L, lua_upvalueindex(1), 1);
  lua_getiuservalue(L, -1, RUN_DATA);
  lua_remove(L, -2);
}

/* ctx.log(...): one line of the values, as print writes them. */
static int log_values(lua_State *L) {
  const context *c = upvalue_context(L);
  int count = lua_gettop(L);
  check_heard(L, lua_upvalueindex(1), "log");
  lua_settop(L, count);
  luaL_Buffer b;
  luaL_buffinit(L, &b);
  for (int i = 1; i <= count; i++) {
    if (i > 1)
      luaL_addchar(&b, '\t');
    luaL_tolstring(L, i, NULL);
    luaL_addvalue(&b);
  }
  luaL_pushresult(&b);
  binding_push_hook(L, binding_on_log);
  push_data(L);
  lua_pushinteger(L, (lua_Integer)c->ticket.task + 1);
  lua_pushinteger(L, c->ticket.attempt);
  lua_pushinteger(L, c->ticket.item);
  lua_pushvalue(L, count + 1);
  lua_call(L, 5, 0);
  return 0;
}

/* The idle timeout begins anew. */
static void tell_progress(const context *c) {
  engine *e = c->run->engine;
  astrum_loop_progress(e->loop, c->ticket);
  uint64_t due = astrum_sched_due(astrum_loop_sched(e->loop), c->ticket);
  binding_preempt_move(e, c->attempt, astrum_loop_system_time(e->loop, due));
}

/* ctx.progress(fraction, text): fraction from 0 to 1; text may be left out. */
static int progress(lua_State *L) {
  const context *c = upvalue_context(L);
  if (lua_rawequal(L, 1, lua_upvalueindex(1)))
    return luaL_error(L, "ctx.progress: call it with a dot, as in "
                         "ctx.progress(0.5)");
  lua_Number fraction = luaL_checknumber(L, 1);
  if (!(fraction >= 0 && fraction <= 1))
    return luaL_error(L,
                      "ctx.progress: the fraction must be from 0 to 1, not "
                      "%f",
                      fraction);
  if (!lua_isnoneornil(L, 2))
    luaL_checkstring(L, 2);
  if (!c->attempt)
    return 0; /* a later attempt may be telling its own */
  if (c->attempt->limited)
    tell_progress(c);
  lua_settop(L, 2);
  lua_getiuservalue(L, lua_upvalueindex(1), 1);
  lua_getiuservalue(L, -1, RUN_PROGRESS);
  lua_createtable(L, 2, 0);
  lua_pushvalue(L, 1);
  lua_rawseti(L, -2, 1);
  lua_pushvalue(L, 2);
  lua_rawseti(L, -2, 2);
  lua_rawseti(L, -2, (lua_Integer)c->ticket.task + 1);
  push_data(L);
  if (lua_istable(L, -1) && lua_getfield(L, -1, "told") == LUA_TTABLE) {
    lua_getfield(L, -1, "progress");
    lua_pushvalue(L, 1);
    lua_pushvalue(L, 2);
    lua_call(L, 2, 0);
  }
  return 0;
}

static int push_method(lua_State *L, lua_CFunction method) {
  lua_pushvalue(L, 1);
  lua_pushcclosure(L, method, 1);
  return 1;
}

/* Pushes the field of an answer by a worker's table. Returns 0 for nothing. */
static int push_told_field(lua_State *L, const char *key) {
  int top = lua_gettop(L);
  if (push_told(L, 1) && lua_getfield(L, -1, key) != LUA_TNIL)
    return 1;
  lua_settop(L, top);
  return 0;
}

lua_Number binding_attempt_deadline(const attempt *a) {
  const run *r = a->run;
  if (!a->limited)
    return 0;
  uint64_t due = astrum_sched_deadline(binding_sched(r), a->ticket);
  if (due == ASTRUM_NEVER)
    return 0;
  return r->wall + (lua_Number)(due - r->begin) / 1e9;
}

static int push_deadline(lua_State *L, const context *c) {
  lua_Number deadline = 0;
  if (c->attempt && !c->run->engine->closed)
    deadline = binding_attempt_deadline(c->attempt);
  if (deadline == 0)
    return 0;
  lua_pushnumber(L, deadline);
  return 1;
}

static int index_context(lua_State *L) {
  const context *c = luaL_checkudata(L, 1, CONTEXT_TYPE);
  const char *key = lua_type(L, 2) == LUA_TSTRING ? lua_tostring(L, 2) : "";
  if (strcmp(key, "cancelled") == 0)
    return push_method(L, cancelled);
  if (strcmp(key, "log") == 0)
    return push_method(L, log_values);
  if (strcmp(key, "progress") == 0)
    return push_method(L, progress);
  if (strcmp(key, "task") == 0) {
    lua_getiuservalue(L, 1, 2);
    return 1;
  }
  if (strcmp(key, "attempt") == 0) {
    lua_pushinteger(L, c->number);
    return 1;
  }
  if (strcmp(key, "item") == 0) {
    if (c->item == 0)
      return 0;
    lua_pushinteger(L, c->item);
    return 1;
  }
  check_heard(L, 1, key);
  if (push_told_field(L, key))
    return 1;
  if (strcmp(key, "namespace") == 0 || strcmp(key, "run_id") == 0 ||
      strcmp(key, "params") == 0)
    return push_data_field(L, 1, key);
  if (strcmp(key, "deadline") == 0)
    return push_deadline(L, c);
  if (strcmp(key, "idempotency_key") == 0) {
    if (!push_data_field(L, 1, "path"))
      return 0;
    lua_pushliteral(L, "/");
    lua_getiuservalue(L, 1, 2);
    if (c->ticket.item)
      lua_pushfstring(L, "[%I]", (LUAI_UACINT)c->ticket.item);
    else
      lua_pushliteral(L, "");
    lua_concat(L, 4);
    return 1;
  }
  return luaL_error(
      L,
      "ctx has no field '%s'; it has task, item, namespace, "
      "attempt, run_id, idempotency_key, deadline, params, cancelled(), "
      "log(...), progress(fraction, text)",
      luaL_tolstring(L, 2, NULL));
}

static int set_context(lua_State *L) {
  return luaL_error(L, "ctx is read only");
}

static int describe_context(lua_State *L) {
  const context *c = luaL_checkudata(L, 1, CONTEXT_TYPE);
  lua_getiuservalue(L, 1, 2);
  lua_pushfstring(L, "ctx of task '%s', attempt %d", lua_tostring(L, -1),
                  (int)c->number);
  return 1;
}

/* core.context() -> the ctx of the task that runs, or nil */
static int current_context(lua_State *L) {
  engine *e = binding_engine(L);
  if (!e->current || !e->current->attempt)
    return 0;
  binding_push_context(L, e->current->attempt);
  return 1;
}

static const luaL_Reg methods[] = {
    {"__newindex", set_context},
    {"__tostring", describe_context},
    {NULL, NULL},
};

/* core.current_run() -> what the host gave with the run whose task runs now,
   and the number of that task; nothing outside of a task */
static int current_run(lua_State *L) {
  engine *e = binding_engine(L);
  const attempt *a = e->current ? e->current->attempt : NULL;
  if (!a)
    return 0;
  binding_push_run(L, a->run);
  lua_getiuservalue(L, -1, RUN_DATA);
  lua_pushinteger(L, (lua_Integer)a->ticket.task + 1);
  return 2;
}

static const luaL_Reg functions[] = {
    {"current_run", current_run},
    {"context", current_context},
    {NULL, NULL},
};

int binding_open_context(lua_State *L) {
  binding_type(L, CONTEXT_TYPE, methods);
  luaL_getmetatable(L, CONTEXT_TYPE);
  lua_pushcfunction(L, index_context);
  lua_setfield(L, -2, "__index");
  lua_pop(L, 1);
  binding_functions(L, functions);
  return 0;
}
