/*
 * The arguments of an attempt. Most tasks take constants and references, which
 * are pushed from C, with raw reads that cannot raise. A task that needs more
 * (a function input, a predicate, a condition, a template, the table of all
 * inputs, a result with an __index) begins in binding_prelude instead, which
 * runs inside its coroutine, so that what is called there may wait, fail and be
 * timed like the body.
 */
#include "reference.h"
#include "task.h"
#include "wait.h"

#include <string.h>

/* --- resolving */

/* Whether the key on the top is "n". */
static int is_n(lua_State *L) {
  return lua_type(L, -1) == LUA_TSTRING &&
         strcmp(lua_tostring(L, -1), "n") == 0;
}

/* The length that the table at `index` names in `n`, as table.pack and a map
   leave it; else its border, and *named is 0. */
static lua_Integer named_length(lua_State *L, int index, int *named) {
  lua_pushliteral(L, "n");
  lua_rawget(L, index);
  *named = lua_isinteger(L, -1);
  lua_Integer length =
      *named ? lua_tointeger(L, -1) : (lua_Integer)lua_rawlen(L, index);
  lua_pop(L, 1);
  return length;
}

/* The length of the list at `index`, or -1 when it is none: it has other keys
   than 1 to its length, or not all of them though it names no length. */
static lua_Integer list_length(lua_State *L, int index) {
  if (!lua_istable(L, index))
    return -1;
  int named;
  index = lua_absindex(L, index);
  lua_Integer length = named_length(L, index, &named), count = 0;
  lua_pushnil(L);
  while (lua_next(L, index)) {
    lua_pop(L, 1);
    if (named && is_n(L))
      continue;
    if (!lua_isinteger(L, -1) || lua_tointeger(L, -1) < 1 ||
        lua_tointeger(L, -1) > length) {
      lua_pop(L, 1);
      return -1;
    }
    count++;
  }
  return named || count == length ? length : -1;
}

static int has_type(lua_State *L, int type) {
  switch (type) {
  case TYPE_INTEGER:
    return lua_isinteger(L, -1);
  case TYPE_NUMBER:
    return lua_type(L, -1) == LUA_TNUMBER;
  case TYPE_STRING:
    return lua_type(L, -1) == LUA_TSTRING;
  case TYPE_BOOLEAN:
    return lua_isboolean(L, -1);
  case TYPE_TABLE:
    return lua_istable(L, -1);
  case TYPE_LIST:
    return list_length(L, -1) >= 0;
  case TYPE_FUNCTION:
    return lua_isfunction(L, -1);
  case TYPE_ANY:
    return !lua_isnil(L, -1);
  default:
    return 1;
  }
}

#define NEEDS_LUA (-1)

/* Whether the task that a reference reads from has not completed, which only
   consumers that run all the same need to ask. */
static int is_missing(const attempt *at, uint32_t source) {
  const run *r = at->run;
  astrum_record record;
  if (!r->program->bodies[at->ticket.task].uncertain)
    return 0;
  return astrum_sched_record(astrum_loop_sched(r->engine->loop), r->id,
                             (astrum_task){source}, &record) != ASTRUM_OK ||
         record.state != ASTRUM_COMPLETED;
}

/* Where the tables of a run stand on the stack in use. */
typedef struct {
  int results, values;
} tables;

/*
 * Pushes the value at the end of a reference's path, or what the next key could
 * not be looked up in. With `raw` nothing is called, and a table that would
 * have to be asked through a metamethod gives NEEDS_LUA.
 */
static int follow(lua_State *L, tables t, const argument *a, int raw,
                  uint32_t *step) {
  lua_rawgeti(L, t.results, (lua_Integer)a->source + 1);
  for (uint32_t i = 0; i < a->depth; i++) {
    *step = i;
    if (!lua_istable(L, -1)) {
      if (lua_isnil(L, -1) && a->optional)
        return PROBLEM_NONE;
      return PROBLEM_NOT_TABLE;
    }
    lua_rawgeti(L, t.values, (lua_Integer)a->value + i);
    if (raw)
      lua_rawget(L, -2);
    else
      lua_gettable(L, -2);
    if (lua_isnil(L, -1)) {
      if (raw && lua_getmetatable(L, -2)) {
        lua_pop(L, 3);
        return NEEDS_LUA;
      }
      if (!a->optional) {
        lua_pop(L, 1);
        return PROBLEM_NO_FIELD;
      }
      lua_replace(L, -2);
      return PROBLEM_NONE;
    }
    lua_replace(L, -2);
  }
  *step = a->depth;
  return PROBLEM_NONE;
}

/* Replaces a nil on the top that is allowed by the default, which nothing
   checks. Returns 0 for other values. */
static int take_fallback(lua_State *L, tables t, const argument *a) {
  if (!lua_isnil(L, -1) || !a->optional)
    return 0;
  if (a->fallback) {
    lua_pop(L, 1);
    lua_rawgeti(L, t.values, a->fallback);
  }
  return 1;
}

#define TOOK_FALLBACK (-3)

/* Pushes the value of a reference, or what was found on the way to it. A nil
   that is allowed, or its default, is told apart: nothing checks it. */
static int push_value(lua_State *L, tables t, const attempt *at,
                      const argument *a, int raw, uint32_t *step) {
  *step = 0;
  if (is_missing(at, a->source)) {
    lua_pushnil(L);
    return take_fallback(L, t, a) ? TOOK_FALLBACK : PROBLEM_NOT_COMPLETED;
  }
  int problem = follow(L, t, a, raw, step);
  if (problem != PROBLEM_NONE)
    return problem;
  if (take_fallback(L, t, a))
    return TOOK_FALLBACK;
  return has_type(L, a->type) ? PROBLEM_NONE : PROBLEM_TYPE;
}

/* Pushes the item of the attempt from a list of its map. */
static void push_item(lua_State *L, const attempt *at, const argument *a) {
  binding_push_run(L, at->run);
  lua_getiuservalue(L, -1, RUN_MAPS);
  lua_rawgeti(L, -1, (lua_Integer)at->ticket.task + 1);
  lua_rawgeti(L, -1, a->value);
  lua_rawgeti(L, -1, at->ticket.item);
  lua_replace(L, -5);
  lua_pop(L, 3);
}

int binding_push_call(engine *e, attempt *at) {
  lua_State *L = e->slots;
  const program *p = at->run->program;
  uint32_t task = at->ticket.task;
  input_problem *problem = &at->problem;
  const body_plan *plan = &p->bodies[task];
  const tables t = {SLOT_RESULTS, SLOT_VALUES};
  if (plan->slow)
    return NEEDS_LUA;
  int top = lua_gettop(L);
  if (plan->count > LUAI_MAXSTACK / 2 ||
      !lua_checkstack(L, (int)plan->count + LUA_MINSTACK)) {
    problem->problem = PROBLEM_TOO_MANY;
    lua_pushnil(L);
    return -2;
  }
  lua_rawgeti(L, SLOT_BODIES, (lua_Integer)task + 1);
  const argument *a = p->arguments + plan->first;
  for (uint32_t i = 0; i < plan->count; i++, a++) {
    if (a->kind == ARGUMENT_CONSTANT) {
      lua_rawgeti(L, SLOT_VALUES, a->value);
      continue;
    }
    if (a->kind == ARGUMENT_ITEM) {
      push_item(L, at, a);
      continue;
    }
    int found = push_value(L, t, at, a, 1, &problem->step);
    if (found == PROBLEM_NONE || found == TOOK_FALLBACK)
      continue;
    if (found == NEEDS_LUA) {
      lua_settop(L, top);
      return NEEDS_LUA;
    }
    problem->problem = (uint8_t)found;
    problem->argument = i;
    lua_replace(L, top + 1);
    lua_settop(L, top + 1);
    return -2;
  }
  return (int)plan->count;
}

/* --- the prelude: stack of the coroutine */

enum {
  AT_ATTEMPT = 1,
  AT_RESULTS,
  AT_VALUES,
  AT_INPUTS, /* the table of all inputs, or nil */
  AT_BODY,
  AT_ARGUMENTS
};

/* Raises the value on the top, marked as a mistake of this consumer. */
static int refuse(lua_State *L, attempt *at, int problem, uint32_t number,
                  uint32_t step) {
  at->problem.problem = (uint8_t)problem;
  at->problem.argument = number;
  at->problem.step = step;
  return lua_error(L);
}

static int prelude_from(lua_State *L, uint32_t number, int pushed);

/* The input of a task with this number. */
static const argument *argument_of(const attempt *at, uint32_t number) {
  const program *p = at->run->program;
  return &p->arguments[p->bodies[at->ticket.task].first + number];
}

/* Takes away what the predicate returned for the value below. */
static void take_verdict(lua_State *L, attempt *at, uint32_t number) {
  if (!lua_toboolean(L, -2)) {
    lua_remove(L, -2);
    refuse(L, at, PROBLEM_REFUSED, number, argument_of(at, number)->depth);
  }
  lua_pop(L, 2);
}

static int predicate_called(lua_State *L, int status, lua_KContext number) {
  (void)status;
  take_verdict(L, lua_touserdata(L, AT_ATTEMPT), (uint32_t)number);
  return prelude_from(L, (uint32_t)number, 1);
}

/* Calls the predicate for the value on the top. */
static void check_predicate(lua_State *L, attempt *at, const argument *a,
                            uint32_t number) {
  lua_rawgeti(L, AT_VALUES, a->check);
  lua_pushvalue(L, -2);
  lua_callk(L, 1, 2, (lua_KContext)number, predicate_called);
  take_verdict(L, at, number);
}

/* Pushes the value of a reference inside a template; it stands in `references`
   as { source id, key... }. In case of a mistake the reference is raised. */
static void resolve_inside(lua_State *L, attempt *at, uint32_t number,
                           int references, int reference) {
  lua_pushvalue(L, reference);
  lua_rawget(L, references);
  int path = lua_gettop(L);
  lua_rawgeti(L, path, 1);
  if (is_missing(at, (uint32_t)lua_tointeger(L, -1) - 1)) {
    lua_pushvalue(L, reference);
    refuse(L, at, PROBLEM_NOT_COMPLETED, number, 0);
  }
  lua_rawget(L, AT_RESULTS);
  lua_Integer keys = (lua_Integer)lua_rawlen(L, path);
  for (lua_Integer i = 2; i <= keys; i++) {
    int found = lua_istable(L, -1);
    if (found) {
      lua_rawgeti(L, path, i);
      found = lua_gettable(L, -2) != LUA_TNIL;
    }
    if (!found) {
      lua_pushvalue(L, reference);
      refuse(L, at, PROBLEM_NO_FIELD, number, (uint32_t)(i - 2));
    }
    lua_replace(L, -2);
  }
  lua_replace(L, path);
}

/* A table with a metatable is somebody's object: it is passed on as it is. */
static int is_object(lua_State *L, int index) {
  int has = lua_getmetatable(L, index);
  lua_pop(L, has);
  return has;
}

/*
 * Replaces the table on the top by a copy. `seen` maps the tables of the
 * template to their copies, so what is shared, or cyclic, stays so. Templates
 * are at most 100 levels deep, which is checked where they are declared.
 */
static void copy_template(lua_State *L, attempt *at, uint32_t number,
                          int references, int seen) {
  luaL_checkstack(L, 12, "a constant table is nested too deeply");
  int original = lua_gettop(L);
  lua_pushvalue(L, original);
  if (lua_rawget(L, seen) != LUA_TNIL) {
    lua_replace(L, original);
    return;
  }
  lua_pop(L, 1);
  lua_newtable(L);
  int copy = original + 1;
  lua_pushvalue(L, original);
  lua_pushvalue(L, copy);
  lua_rawset(L, seen);
  lua_pushnil(L);
  while (lua_next(L, original)) {
    int value = lua_gettop(L);
    if (lua_istable(L, value) && !is_object(L, value))
      copy_template(L, at, number, references, seen);
    else if (astrum_binding_is_reference(L, value)) {
      resolve_inside(L, at, number, references, value);
      lua_replace(L, value);
    }
    lua_pushvalue(L, -2);
    lua_insert(L, -2);
    lua_rawset(L, copy);
  }
  lua_replace(L, original);
}

static void push_template(lua_State *L, attempt *at, const argument *a,
                          uint32_t number) {
  lua_rawgeti(L, AT_VALUES, (lua_Integer)a->value + 1);
  lua_newtable(L);
  int references = lua_gettop(L) - 1;
  lua_rawgeti(L, AT_VALUES, a->value);
  copy_template(L, at, number, references, references + 1);
  lua_replace(L, references);
  lua_settop(L, references);
}

static int prelude_called(lua_State *L, int status, lua_KContext number);

/* Pushes the value of a reference, with all checks; may be continued in
   predicate_called. */
static void push_reference(lua_State *L, attempt *at, const argument *a,
                           uint32_t number) {
  const tables t = {AT_RESULTS, AT_VALUES};
  uint32_t step = 0;
  int problem = push_value(L, t, at, a, 0, &step);
  if (problem == TOOK_FALLBACK)
    return;
  if (problem != PROBLEM_NONE)
    refuse(L, at, problem, number, step);
  if (a->type == TYPE_PREDICATE)
    check_predicate(L, at, a, number);
}

static void push_param(lua_State *L, const attempt *at, const argument *a) {
  binding_push_run(L, at->run);
  lua_getiuservalue(L, -1, RUN_DATA);
  lua_getfield(L, -1, "params");
  lua_rawgeti(L, AT_VALUES, a->value);
  lua_gettable(L, -2);
  lua_replace(L, -4);
  lua_pop(L, 2);
}

/* Pushes the value of one argument; may be continued in prelude_called. */
static void push_argument(lua_State *L, attempt *at, const argument *a,
                          uint32_t number) {
  switch (a->kind) {
  case ARGUMENT_CONSTANT:
    lua_rawgeti(L, AT_VALUES, a->value);
    break;
  case ARGUMENT_REFERENCE:
    push_reference(L, at, a, number);
    break;
  case ARGUMENT_FUNCTION:
    lua_rawgeti(L, AT_VALUES, a->value);
    lua_callk(L, 0, 1, (lua_KContext)number, prelude_called);
    break;
  case ARGUMENT_TEMPLATE:
    push_template(L, at, a, number);
    break;
  case ARGUMENT_INPUTS:
    lua_pushvalue(L, AT_INPUTS);
    break;
  case ARGUMENT_ITEM:
    push_item(L, at, a);
    break;
  case ARGUMENT_PARAM:
    push_param(L, at, a);
    break;
  default:
    binding_push_context(L, at);
    break;
  }
}

/* --- maps */

/* The lists of the map stand behind AT_BODY: counts and keeps them. */
static int keep_lists(lua_State *L, attempt *at, uint32_t first) {
  int count = lua_gettop(L) - AT_BODY;
  lua_Integer items = 0;
  luaL_checkstack(L, 8, NULL);
  for (int i = 1; i <= count; i++) {
    lua_Integer length = list_length(L, AT_BODY + i);
    int problem = PROBLEM_NONE;
    if (length < 0 || length > INT32_MAX)
      problem = PROBLEM_NOT_LIST;
    else if (i > 1 && length != items)
      problem = PROBLEM_LENGTHS;
    if (problem != PROBLEM_NONE) {
      lua_pushvalue(L, AT_BODY + i);
      return refuse(L, at, problem, first + (uint32_t)i - 1, (uint32_t)items);
    }
    items = length;
  }
  const astrum_policy *policy = astrum_graph_policy(
      at->run->program->graph, (astrum_task){at->ticket.task});
  if (policy->max_items && items > (lua_Integer)policy->max_items) {
    lua_pushnil(L);
    return refuse(L, at, PROBLEM_ITEMS, first, (uint32_t)items);
  }
  lua_createtable(L, count, 1);
  lua_createtable(L, (int)items, 1);
  lua_rawseti(L, -2, 0);
  for (int i = 1; i <= count; i++) {
    lua_pushvalue(L, AT_BODY + i);
    lua_rawseti(L, -2, i);
  }
  binding_push_run(L, at->run);
  lua_getiuservalue(L, -1, RUN_MAPS);
  lua_pushvalue(L, -3);
  lua_rawseti(L, -2, (lua_Integer)at->ticket.task + 1);
  at->items = (uint32_t)items;
  return 0;
}

/* --- conditions and bodies */

static int prelude_done(lua_State *L, int status, lua_KContext ctx) {
  (void)status;
  (void)ctx;
  return lua_gettop(L) - AT_BODY + 1;
}

static int call_body(lua_State *L) {
  int count = lua_gettop(L) - AT_BODY;
  lua_callk(L, count, LUA_MULTRET, 0, prelude_done);
  return prelude_done(L, LUA_OK, 0);
}

static lua_Integer agreed_key(const attempt *at) {
  return (lua_Integer)at->ticket.item << 32 | at->ticket.task;
}

int binding_asks(lua_State *L, const attempt *at) {
  const body_extra *extra = binding_extra(at->run->program, at->ticket.task);
  if (!extra || !extra->condition)
    return 0;
  if (at->ticket.attempt == 1)
    return 1;
  /* An earlier one may have failed before it came to the condition. */
  int top = lua_gettop(L);
  binding_push_run(L, at->run);
  int agreed = lua_getiuservalue(L, -1, RUN_AGREED) == LUA_TTABLE &&
               lua_rawgeti(L, -1, agreed_key(at)) != LUA_TNIL;
  lua_settop(L, top);
  return !agreed;
}

/* Remembers for later attempts that the condition has said yes. */
static void keep_agreement(lua_State *L, const attempt *at) {
  int top = lua_gettop(L);
  binding_push_run(L, at->run);
  if (lua_getiuservalue(L, -1, RUN_AGREED) != LUA_TTABLE) {
    lua_newtable(L);
    lua_pushvalue(L, -1);
    lua_setiuservalue(L, top + 1, RUN_AGREED);
  }
  lua_pushboolean(L, 1);
  lua_rawseti(L, lua_gettop(L) - 1, agreed_key(at));
  lua_settop(L, top);
}

/* The condition has answered; its answer is on the top. */
static int condition_asked(lua_State *L, int status, lua_KContext ctx) {
  (void)status;
  (void)ctx;
  attempt *at = lua_touserdata(L, AT_ATTEMPT);
  int yes = lua_toboolean(L, -1);
  lua_pop(L, 1);
  at->problem.problem = PROBLEM_NONE;
  if (yes) {
    keep_agreement(L, at);
    binding_tell_start(at->run->engine, at);
    return call_body(L);
  }
  at->declined = 1;
  return 0;
}

/* Replaces an entry of a condition's list on the top by the argument. */
static void push_position(lua_State *L, attempt *at) {
  const program *p = at->run->program;
  const body_plan *plan = &p->bodies[at->ticket.task];
  if (lua_type(L, -1) == LUA_TSTRING) {
    if (strcmp(lua_tostring(L, -1), "inputs") == 0)
      lua_pushvalue(L, AT_INPUTS);
    else
      binding_push_context(L, at);
  } else {
    lua_Integer number = lua_tointeger(L, -1);
    const argument *a = &p->arguments[plan->first + (uint32_t)number - 1];
    if (a->hidden) {
      lua_rawgeti(L, AT_VALUES, a->name);
      lua_rawget(L, AT_INPUTS);
    } else {
      lua_pushvalue(L, AT_BODY + (int)number);
    }
  }
  lua_replace(L, -2);
}

static int ask_condition(lua_State *L, attempt *at, uint32_t condition) {
  luaL_checkstack(L, LUA_MINSTACK, NULL);
  lua_rawgeti(L, AT_VALUES, (lua_Integer)condition + 1);
  int positions = lua_gettop(L);
  int count = (int)lua_rawlen(L, positions);
  luaL_checkstack(L, count + 2, "the condition has too many parameters");
  lua_rawgeti(L, AT_VALUES, condition);
  for (int i = 1; i <= count; i++) {
    lua_rawgeti(L, positions, i);
    push_position(L, at);
  }
  lua_remove(L, positions);
  /* Should it raise, there is no other attempt. */
  at->problem.problem = PROBLEM_CONDITION;
  lua_callk(L, count, 1, 0, condition_asked);
  return condition_asked(L, LUA_OK, 0);
}

/* Pushes the arguments from `number` on, whose value may be on the top
   already; then what they are for. */
static int prelude_from(lua_State *L, uint32_t number, int pushed) {
  attempt *at = lua_touserdata(L, AT_ATTEMPT);
  const program *p = at->run->program;
  const body_plan *plan = &p->bodies[at->ticket.task];
  const body_extra *extra = binding_extra(p, at->ticket.task);
  uint32_t end = at->expands ? plan->count + extra->list_count : plan->count;
  for (uint32_t i = number; i < end; i++) {
    const argument *a = argument_of(at, i);
    if (!pushed) {
      if (!lua_checkstack(L, LUA_MINSTACK)) {
        lua_pushnil(L);
        return refuse(L, at, PROBLEM_TOO_MANY, i, 0);
      }
      push_argument(L, at, a, i);
    }
    pushed = 0;
    if (plan->wants_inputs && a->name && !at->expands) {
      lua_rawgeti(L, AT_VALUES, a->name);
      lua_pushvalue(L, -2);
      lua_rawset(L, AT_INPUTS);
    }
    if (a->hidden && !at->expands)
      lua_pop(L, 1);
  }
  if (at->expands)
    return keep_lists(L, at, plan->count);
  if (binding_asks(L, at))
    return ask_condition(L, at, extra->condition);
  return call_body(L);
}

static int prelude_called(lua_State *L, int status, lua_KContext number) {
  (void)status;
  return prelude_from(L, (uint32_t)number, 1);
}

int binding_prelude(lua_State *L) {
  attempt *at = lua_touserdata(L, AT_ATTEMPT);
  engine *e = at->run->engine;
  const body_plan *plan = &at->run->program->bodies[at->ticket.task];
  luaL_checkstack(L, LUA_MINSTACK, NULL);
  lua_pushvalue(e->slots, SLOT_RESULTS);
  lua_pushvalue(e->slots, SLOT_VALUES);
  lua_rawgeti(e->slots, SLOT_BODIES, (lua_Integer)at->ticket.task + 1);
  lua_xmove(e->slots, L, 3);
  if (plan->wants_inputs)
    lua_createtable(L, 0, (int)(plan->count < INT32_MAX ? plan->count : 0));
  else
    lua_pushnil(L);
  lua_insert(L, AT_INPUTS);
  return prelude_from(L, at->expands ? plan->count : 0, 0);
}
