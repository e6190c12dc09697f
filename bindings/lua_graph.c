/*
 * core.graph: graphs and plans as userdata. Ids in Lua begin at 1. What the
 * core refuses comes back as nil, text and name of the error; a wrong argument
 * raises.
 */
#include "reference.h"

#include <math.h>
#include <stddef.h>
#include <string.h>

#define GRAPH_TYPE "astrum.graph"
#define PLAN_TYPE "astrum.plan"

typedef struct {
  astrum_graph *graph; /* NULL: closed */
  int lent;            /* others point to the graph: only the collector, which
                          knows that they are gone, may free it */
} graph_box;

/* Its user value is the userdata of the graph. */
typedef struct {
  astrum_plan *plan; /* NULL: closed */
  const astrum_graph *graph;
} plan_box;

static astrum_alloc allocator_of(lua_State *L) {
  astrum_alloc alloc;
  alloc.fn = lua_getallocf(L, &alloc.user);
  return alloc;
}

static astrum_graph *check_graph(lua_State *L) {
  graph_box *box = luaL_checkudata(L, 1, GRAPH_TYPE);
  luaL_argcheck(L, box->graph != NULL, 1, "the graph is closed");
  return box->graph;
}

astrum_graph *astrum_binding_graph(lua_State *L, int index) {
  graph_box *box = luaL_checkudata(L, index, GRAPH_TYPE);
  luaL_argcheck(L, box->graph != NULL, index, "the graph is closed");
  box->lent = 1;
  return box->graph;
}

static plan_box *check_plan(lua_State *L) {
  plan_box *box = luaL_checkudata(L, 1, PLAN_TYPE);
  luaL_argcheck(L, box->plan != NULL, 1, "the plan is closed");
  return box;
}

/* An integer argument between two bounds. */
static lua_Integer check_between(lua_State *L, int index, const char *what,
                                 lua_Integer least, lua_Integer most) {
  lua_Integer value = luaL_checkinteger(L, index);
  if (value < least || value > most)
    luaL_argerror(L, index,
                  lua_pushfstring(L, "%s from %I to %I expected, got %I", what,
                                  (LUAI_UACINT)least, (LUAI_UACINT)most,
                                  (LUAI_UACINT)value));
  return value;
}

static astrum_task check_task(lua_State *L, int index,
                              const astrum_graph *graph) {
  lua_Integer count = astrum_graph_task_count(graph);
  lua_Integer id = check_between(L, index, "task id", 1, count);
  return (astrum_task){(uint32_t)(id - 1)};
}

static void push_task(lua_State *L, astrum_task task) {
  lua_pushinteger(L, (lua_Integer)task.id + 1);
}

static void push_tasks(lua_State *L, const astrum_task *tasks, size_t count) {
  lua_createtable(L, (int)count, 0);
  for (size_t i = 0; i < count; i++) {
    push_task(L, tasks[i]);
    lua_rawseti(L, -2, (lua_Integer)i + 1);
  }
}

/* Memory for a call into the core that goes with the stack, errors or not. */
static void *push_buffer(lua_State *L, size_t count, size_t size) {
  if (count > SIZE_MAX / 2 / size)
    luaL_error(L, "not enough memory");
  return lua_newuserdatauv(L, count * size, 0);
}

/*
 * The number on the top of the stack, in seconds, as nanoseconds. Returns 0 for
 * what is no time. More than nothing never becomes nothing, which has a meaning
 * of its own in policies.
 */
static int to_nanoseconds(lua_State *L, uint64_t *result) {
  if (lua_type(L, -1) != LUA_TNUMBER)
    return 0;
  lua_Number seconds = lua_tonumber(L, -1);
  if (!(seconds >= 0))
    return 0;
  double nanoseconds = seconds * 1e9 + 0.5;
  if (nanoseconds >= 18446744073709551616.0)
    *result = UINT64_MAX;
  else if (nanoseconds < 1 && seconds > 0)
    *result = 1;
  else
    *result = (uint64_t)nanoseconds;
  return 1;
}

/* --- graphs */

static int new_graph(lua_State *L) {
  astrum_alloc alloc = allocator_of(L);
  graph_box *box = lua_newuserdatauv(L, sizeof *box, 0);
  *box = (graph_box){.graph = NULL};
  luaL_setmetatable(L, GRAPH_TYPE);
  astrum_err err = astrum_graph_new(&alloc, &box->graph);
  return err == ASTRUM_OK ? 1 : binding_fail(L, err);
}

static int collect_graph(lua_State *L) {
  graph_box *box = luaL_checkudata(L, 1, GRAPH_TYPE);
  astrum_graph_free(box->graph);
  box->graph = NULL;
  return 0;
}

static int close_graph(lua_State *L) {
  graph_box *box = luaL_checkudata(L, 1, GRAPH_TYPE);
  return box->lent ? 0 : collect_graph(L);
}

/* The types of the fields of a policy. */
enum {
  FIELD_COUNT,
  FIELD_TIME,
  FIELD_PRIORITY,
  FIELD_BACKOFF,
  FIELD_FLAG,
  FIELD_TRIGGER,
  FIELD_POOLS
};

static const struct {
  const char *name;
  int type;
  size_t offset;
} policy_fields[] = {
    {"max_retries", FIELD_COUNT, offsetof(astrum_policy, max_retries)},
    {"delay", FIELD_TIME, offsetof(astrum_policy, delay)},
    {"max_delay", FIELD_TIME, offsetof(astrum_policy, max_delay)},
    {"backoff", FIELD_BACKOFF, offsetof(astrum_policy, backoff)},
    {"jitter", FIELD_FLAG, offsetof(astrum_policy, jitter)},
    {"detached", FIELD_FLAG, offsetof(astrum_policy, detached)},
    {"timeout", FIELD_TIME, offsetof(astrum_policy, timeout)},
    {"idle_timeout", FIELD_TIME, offsetof(astrum_policy, idle_timeout)},
    {"pools", FIELD_POOLS, 0},
    {"priority", FIELD_PRIORITY, offsetof(astrum_policy, priority)},
    {"trigger", FIELD_TRIGGER, offsetof(astrum_policy, trigger)},
    {"map", FIELD_FLAG, offsetof(astrum_policy, map)},
    {"tolerant", FIELD_FLAG, offsetof(astrum_policy, tolerant)},
    {"max_items", FIELD_COUNT, offsetof(astrum_policy, max_items)},
    {"max_concurrency", FIELD_COUNT, offsetof(astrum_policy, max_concurrency)},
};

/* What a field of each type must be. */
static const char *const field_wanted[] = {
    [FIELD_COUNT] = "a whole number from 0 to 4294967295",
    [FIELD_TIME] = "a whole number of nanoseconds, 0 or more",
    [FIELD_PRIORITY] = "a whole number of 32 bits",
    [FIELD_BACKOFF] = "a finite number, 1 or more",
    [FIELD_FLAG] = "a boolean",
    [FIELD_TRIGGER] = "the number of a trigger",
    [FIELD_POOLS] = "a list of { pool = number, units = number }",
};

/* A whole number between two bounds on the top of the stack. */
static int to_whole(lua_State *L, lua_Integer least, lua_Integer most,
                    lua_Integer *result) {
  int is_integer;
  *result = lua_tointegerx(L, -1, &is_integer);
  return lua_type(L, -1) == LUA_TNUMBER && is_integer && *result >= least &&
         *result <= most;
}

static int to_field32(lua_State *L, int index, const char *key, int least,
                      uint32_t *result) {
  lua_Integer value = 0;
  lua_pushstring(L, key);
  lua_rawget(L, index);
  int ok = to_whole(L, least, UINT32_MAX, &value);
  lua_pop(L, 1);
  *result = (uint32_t)value;
  return ok;
}

/* The list of pools on the top of the stack. The memory for them goes to place
   4 of the stack, see check_policy. */
static int to_pools(lua_State *L, astrum_policy *policy) {
  if (!lua_istable(L, -1))
    return 0;
  size_t count = lua_rawlen(L, -1);
  if (count > UINT32_MAX)
    return 0;
  astrum_units *pools = push_buffer(L, count + 1, sizeof *pools);
  lua_replace(L, 4);
  for (size_t i = 0; i < count; i++) {
    lua_rawgeti(L, -1, (lua_Integer)i + 1);
    int ok = lua_istable(L, -1) &&
             to_field32(L, lua_gettop(L), "pool", 0, &pools[i].pool) &&
             to_field32(L, lua_gettop(L), "units", 1, &pools[i].units);
    lua_pop(L, 1);
    if (!ok)
      return 0;
  }
  policy->pools = count > 0 ? pools : NULL;
  policy->pool_count = (uint32_t)count;
  return 1;
}

/* Stores the value on the top of the stack in a field of a type. Returns 0
   when it does not fit. */
static int set_field(lua_State *L, astrum_policy *policy, int type,
                     size_t offset) {
  void *field = (char *)policy + offset;
  lua_Integer value = 0;
  switch (type) {
  case FIELD_COUNT:
    if (!to_whole(L, 0, UINT32_MAX, &value))
      return 0;
    *(uint32_t *)field = (uint32_t)value;
    return 1;
  case FIELD_TIME:
    if (!to_whole(L, 0, LUA_MAXINTEGER, &value))
      return 0;
    *(uint64_t *)field = (uint64_t)value;
    return 1;
  case FIELD_PRIORITY:
    if (!to_whole(L, INT32_MIN, INT32_MAX, &value))
      return 0;
    *(int32_t *)field = (int32_t)value;
    return 1;
  case FIELD_BACKOFF:
    *(double *)field = lua_tonumber(L, -1);
    return lua_type(L, -1) == LUA_TNUMBER && *(double *)field >= 1 &&
           isfinite(*(double *)field);
  case FIELD_FLAG:
    *(uint8_t *)field = (uint8_t)lua_toboolean(L, -1);
    return lua_isboolean(L, -1);
  case FIELD_TRIGGER:
    if (!to_whole(L, ASTRUM_ALL_SUCCESS, ASTRUM_ALWAYS, &value))
      return 0;
    *(uint8_t *)field = (uint8_t)value;
    return 1;
  default:
    return to_pools(L, policy);
  }
}

/* Sets the field `key` to the value on the top of the stack. */
static void set_policy(lua_State *L, astrum_policy *policy, const char *key) {
  size_t count = sizeof policy_fields / sizeof *policy_fields, i = 0;
  while (i < count && strcmp(key, policy_fields[i].name) != 0)
    i++;
  if (i == count) {
    luaL_argerror(L, 3, lua_pushfstring(L, "unknown policy '%s'", key));
    return;
  }
  int type = policy_fields[i].type;
  if (!set_field(L, policy, type, policy_fields[i].offset)) {
    const char *got = lua_type(L, -1) == LUA_TNUMBER
                          ? luaL_tolstring(L, -1, NULL)
                          : luaL_typename(L, -1);
    luaL_argerror(L, 3,
                  lua_pushfstring(L, "policy '%s' must be %s, got %s", key,
                                  field_wanted[type], got));
  }
}

/* Reads argument 3. Place 4 of the stack keeps memory of the policy. */
static void check_policy(lua_State *L, astrum_policy *policy) {
  if (lua_isnoneornil(L, 3))
    return;
  luaL_checktype(L, 3, LUA_TTABLE);
  lua_settop(L, 3);
  lua_pushnil(L);
  lua_pushnil(L);
  while (lua_next(L, 3)) {
    if (lua_type(L, -2) != LUA_TSTRING)
      luaL_argerror(L, 3, "policies have names");
    set_policy(L, policy, lua_tostring(L, -2));
    lua_pop(L, 1);
  }
}

static int graph_add(lua_State *L) {
  astrum_graph *graph = check_graph(L);
  luaL_checktype(L, 2, LUA_TSTRING);
  size_t size;
  const char *name = lua_tolstring(L, 2, &size);
  astrum_policy policy = ASTRUM_POLICY_INIT;
  check_policy(L, &policy);
  astrum_task task;
  astrum_err err = astrum_graph_add(graph, name, size, &policy, &task);
  if (err != ASTRUM_OK)
    return binding_fail(L, err);
  push_task(L, task);
  return 1;
}

static int graph_edge(lua_State *L) {
  astrum_graph *graph = check_graph(L);
  astrum_task before = check_task(L, 2, graph);
  astrum_task after = check_task(L, 3, graph);
  astrum_err err = astrum_graph_edge(graph, before, after);
  if (err != ASTRUM_OK)
    return binding_fail(L, err);
  lua_pushboolean(L, 1);
  return 1;
}

static int graph_freeze(lua_State *L) {
  astrum_graph *graph = check_graph(L);
  astrum_err err = astrum_graph_freeze(graph);
  if (err == ASTRUM_OK) {
    lua_pushboolean(L, 1);
    return 1;
  }
  if (err == ASTRUM_EINVAL) {
    lua_pushnil(L);
    lua_pushliteral(L, "a task waits for a detached task");
    lua_pushstring(L, astrum_errname(err));
    return 3;
  }
  binding_fail(L, err);
  if (err != ASTRUM_ECYCLE)
    return 3;
  const astrum_task *tasks;
  size_t count = astrum_graph_cycle(graph, &tasks);
  push_tasks(L, tasks, count);
  return 4;
}

static int graph_count(lua_State *L) {
  lua_pushinteger(L, (lua_Integer)astrum_graph_task_count(check_graph(L)));
  return 1;
}

static int graph_edge_count(lua_State *L) {
  lua_pushinteger(L, (lua_Integer)astrum_graph_edge_count(check_graph(L)));
  return 1;
}

static int graph_name(lua_State *L) {
  const astrum_graph *graph = check_graph(L);
  size_t size;
  const char *name = astrum_graph_name(graph, check_task(L, 2, graph), &size);
  lua_pushlstring(L, name, size);
  return 1;
}

static int graph_find(lua_State *L) {
  const astrum_graph *graph = check_graph(L);
  luaL_checktype(L, 2, LUA_TSTRING);
  size_t size;
  const char *name = lua_tolstring(L, 2, &size);
  astrum_task task;
  if (astrum_graph_find(graph, name, size, &task) == ASTRUM_OK)
    push_task(L, task);
  else
    lua_pushnil(L);
  return 1;
}

static int graph_upstream(lua_State *L) {
  const astrum_graph *graph = check_graph(L);
  astrum_task task = check_task(L, 2, graph);
  if (!astrum_graph_frozen(graph))
    return binding_fail(L, ASTRUM_ENOTFROZEN);
  const astrum_task *tasks;
  uint32_t count = astrum_graph_upstream(graph, task, &tasks);
  push_tasks(L, tasks, count);
  return 1;
}

static int graph_downstream(lua_State *L) {
  const astrum_graph *graph = check_graph(L);
  astrum_task task = check_task(L, 2, graph);
  if (!astrum_graph_frozen(graph))
    return binding_fail(L, ASTRUM_ENOTFROZEN);
  const astrum_task *tasks;
  uint32_t count = astrum_graph_downstream(graph, task, &tasks);
  push_tasks(L, tasks, count);
  return 1;
}

/* --- plans */

static int graph_plan(lua_State *L) {
  check_graph(L);
  astrum_alloc alloc = allocator_of(L);
  plan_box *box = lua_newuserdatauv(L, sizeof *box, 1);
  *box = (plan_box){.graph = astrum_binding_graph(L, 1)};
  luaL_setmetatable(L, PLAN_TYPE);
  lua_pushvalue(L, 1);
  lua_setiuservalue(L, -2, 1);
  astrum_err err = astrum_plan_new(box->graph, &alloc, &box->plan);
  return err == ASTRUM_OK ? 1 : binding_fail(L, err);
}

static int close_plan(lua_State *L) {
  plan_box *box = luaL_checkudata(L, 1, PLAN_TYPE);
  astrum_plan_free(box->plan);
  box->plan = NULL;
  return 0;
}

static int plan_stage_count(lua_State *L) {
  const plan_box *box = check_plan(L);
  lua_pushinteger(L, (lua_Integer)astrum_plan_stage_count(box->plan));
  return 1;
}

static int plan_level(lua_State *L) {
  const plan_box *box = check_plan(L);
  astrum_task task = check_task(L, 2, box->graph);
  lua_pushinteger(L, (lua_Integer)astrum_plan_level(box->plan, task));
  return 1;
}

static int plan_max_parallelism(lua_State *L) {
  const plan_box *box = check_plan(L);
  lua_pushinteger(L, (lua_Integer)astrum_plan_max_parallelism(box->plan));
  return 1;
}

static int plan_stage(lua_State *L) {
  static const char *const lists[] = {
      [ASTRUM_STAGE_START] = "start",
      [ASTRUM_STAGE_WAIT_FOR] = "wait_for",
      [ASTRUM_STAGE_PARALLEL] = "parallel",
      NULL,
  };
  enum { FEW = 64 };
  const astrum_plan *plan = check_plan(L)->plan;
  lua_Integer stages = astrum_plan_stage_count(plan);
  uint32_t stage = (uint32_t)check_between(L, 2, "level", 0, stages - 1);
  astrum_stage_list list =
      (astrum_stage_list)luaL_checkoption(L, 3, NULL, lists);
  astrum_task few[FEW], *tasks = few;
  uint32_t count = 0;
  astrum_err err = astrum_plan_stage(plan, stage, list, few, FEW, &count);
  if (err == ASTRUM_OK && count > FEW) {
    uint32_t room = count;
    tasks = push_buffer(L, room, sizeof *tasks);
    err = astrum_plan_stage(plan, stage, list, tasks, room, &count);
  }
  if (err != ASTRUM_OK)
    return binding_fail(L, err);
  push_tasks(L, tasks, count);
  return 1;
}

/* The weights in argument 2, by task; what it does not name weighs nothing. */
static uint64_t *push_weights(lua_State *L, uint32_t count) {
  uint64_t *weights = push_buffer(L, count, sizeof *weights);
  for (uint32_t i = 0; i < count; i++) {
    weights[i] = 0;
    if (lua_rawgeti(L, 2, (lua_Integer)i + 1) != LUA_TNIL &&
        !to_nanoseconds(L, &weights[i]))
      luaL_argerror(
          L, 2,
          lua_pushfstring(
              L, "weight of task %I must be a number of seconds, 0 or more",
              (LUAI_UACINT)i + 1));
    lua_pop(L, 1);
  }
  return weights;
}

static int plan_critical_path(lua_State *L) {
  const plan_box *box = check_plan(L);
  uint32_t room = astrum_graph_task_count(box->graph), count;
  int weighted = !lua_isnoneornil(L, 2);
  if (weighted)
    luaL_checktype(L, 2, LUA_TTABLE);
  const uint64_t *weights = weighted ? push_weights(L, room) : NULL;
  astrum_task *tasks = push_buffer(L, room, sizeof *tasks);
  uint64_t total;
  astrum_err err = astrum_plan_critical_path(box->plan, weights, tasks, room,
                                             &count, &total);
  if (err != ASTRUM_OK)
    return binding_fail(L, err);
  push_tasks(L, tasks, count);
  if (weighted)
    lua_pushnumber(L, (lua_Number)total / 1e9);
  else
    lua_pushinteger(L, (lua_Integer)total);
  return 2;
}

/* --- */

/* Makes a metatable with __gc, __close and methods; leaves nothing. Doing it
   again mends what an earlier call had no memory for. */
static void make_type(lua_State *L, const char *name, lua_CFunction collect,
                      lua_CFunction close, const luaL_Reg *methods) {
  luaL_newmetatable(L, name);
  lua_pushcfunction(L, collect);
  lua_setfield(L, -2, "__gc");
  lua_pushcfunction(L, close);
  lua_setfield(L, -2, "__close");
  lua_pushstring(L, name);
  lua_setfield(L, -2, "__metatable");
  lua_newtable(L);
  luaL_setfuncs(L, methods, 0);
  lua_setfield(L, -2, "__index");
  lua_pop(L, 1);
}

int astrum_binding_open_graph(lua_State *L) {
  static const luaL_Reg graph_methods[] = {
      {"add", graph_add},
      {"edge", graph_edge},
      {"freeze", graph_freeze},
      {"count", graph_count},
      {"edge_count", graph_edge_count},
      {"name", graph_name},
      {"find", graph_find},
      {"upstream", graph_upstream},
      {"downstream", graph_downstream},
      {"plan", graph_plan},
      {NULL, NULL},
  };
  static const luaL_Reg plan_methods[] = {
      {"stage_count", plan_stage_count},         {"level", plan_level},
      {"max_parallelism", plan_max_parallelism}, {"stage", plan_stage},
      {"critical_path", plan_critical_path},     {NULL, NULL},
  };
  make_type(L, GRAPH_TYPE, collect_graph, close_graph, graph_methods);
  make_type(L, PLAN_TYPE, close_plan, close_plan, plan_methods);
  lua_pushcfunction(L, new_graph);
  lua_setfield(L, -2, "graph");
  return 0;
}
