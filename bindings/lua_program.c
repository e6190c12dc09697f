/*
 * A program is a frozen graph with, for each task, its body and a compiled
 * list of where its arguments come from. Constants, keys of paths, functions
 * and names stand in one Lua table, `values`; an argument is a few numbers.
 *
 * Most tasks take constants and references: their arguments are pushed from C,
 * with raw reads that cannot raise. A task that needs more (a function input, a
 * predicate, a template, the table of all inputs, a result with an __index)
 * begins in binding_prelude instead, which runs inside its coroutine, so that
 * what is called there may wait, fail and be timed like the body.
 */
#include "binding.h"

#include <string.h>

program *binding_check_program(lua_State *L, int index) {
  program *p = luaL_checkudata(L, index, PROGRAM_TYPE);
  luaL_argcheck(L, p->graph != NULL, index, "the program is closed");
  return p;
}

enum { PROGRAM_GRAPH = 1, PROGRAM_BODIES, PROGRAM_VALUES };

/* --- making one */

static void *resize(const program *p, void *ptr, size_t old_size, size_t size) {
  return p->alloc.fn(p->alloc.user, ptr, old_size, size);
}

/* core.program(graph): the graph must be frozen. */
static int new_program(lua_State *L) {
  const astrum_graph *graph = astrum_binding_graph(L, 1);
  if (!astrum_graph_frozen(graph))
    return luaL_argerror(L, 1, "the graph is not frozen");
  uint32_t count = astrum_graph_task_count(graph);
  program *p = lua_newuserdatauv(L, sizeof *p, PROGRAM_VALUES);
  memset(p, 0, sizeof *p);
  p->alloc.fn = lua_getallocf(L, &p->alloc.user);
  luaL_setmetatable(L, PROGRAM_TYPE);
  lua_pushvalue(L, 1);
  lua_setiuservalue(L, -2, PROGRAM_GRAPH);
  lua_createtable(L, count < INT32_MAX ? (int)count : 0, 0);
  lua_setiuservalue(L, -2, PROGRAM_BODIES);
  lua_newtable(L);
  lua_setiuservalue(L, -2, PROGRAM_VALUES);
  if (count > 0) {
    p->bodies = resize(p, NULL, 0, count * sizeof *p->bodies);
    if (!p->bodies)
      return binding_raise(L, "program", ASTRUM_ENOMEM);
    memset(p->bodies, 0, count * sizeof *p->bodies);
  }
  p->graph = graph;
  p->task_count = count;
  return 1;
}

static int free_program(lua_State *L) {
  program *p = luaL_checkudata(L, 1, PROGRAM_TYPE);
  resize(p, p->arguments, p->argument_capacity * sizeof *p->arguments, 0);
  resize(p, p->bodies, p->task_count * sizeof *p->bodies, 0);
  p->graph = NULL;
  p->arguments = NULL;
  p->bodies = NULL;
  p->argument_capacity = p->argument_count = 0;
  p->task_count = 0;
  return 0;
}

static uint32_t check_task(lua_State *L, const program *p, int index) {
  lua_Integer id = luaL_checkinteger(L, index);
  luaL_argcheck(L, id >= 1 && id <= (lua_Integer)p->task_count, index,
                "no such task");
  return (uint32_t)id - 1;
}

/* program:body(id, fn) */
static int set_body(lua_State *L) {
  program *p = binding_check_program(L, 1);
  uint32_t task = check_task(L, p, 2);
  luaL_checktype(L, 3, LUA_TFUNCTION);
  lua_getiuservalue(L, 1, PROGRAM_BODIES);
  lua_pushvalue(L, 3);
  lua_rawseti(L, -2, (lua_Integer)task + 1);
  return 0;
}

/* Appends the value at `index` to the values; the number it has there. */
static uint32_t add_value(lua_State *L, program *p, int index) {
  index = lua_absindex(L, index);
  if (p->value_count == UINT32_MAX)
    luaL_error(L, "too many inputs");
  lua_getiuservalue(L, 1, PROGRAM_VALUES);
  lua_pushvalue(L, index);
  lua_rawseti(L, -2, (lua_Integer)p->value_count + 1);
  lua_pop(L, 1);
  return ++p->value_count;
}

/*
 * Appends an argument. Arguments of the Lua method: task, name or nil, whether
 * it is hidden. Tasks must come in the order of their numbers.
 */
static argument *add_argument(lua_State *L, int kind) {
  program *p = binding_check_program(L, 1);
  uint32_t task = check_task(L, p, 2);
  body_plan *plan = &p->bodies[task];
  if (plan->count > 0 && plan->first + plan->count != p->argument_count)
    luaL_error(L, "the arguments of a task must be added together");
  uint32_t name = lua_isnoneornil(L, 3) ? 0 : add_value(L, p, 3);
  if (p->argument_count == UINT32_MAX)
    luaL_error(L, "too many inputs");
  if (p->argument_count == p->argument_capacity) {
    size_t old = p->argument_capacity * sizeof *p->arguments;
    size_t capacity = p->argument_capacity ? p->argument_capacity * 2 : 16;
    argument *grown =
        resize(p, p->arguments, old, capacity * sizeof *p->arguments);
    if (!grown)
      binding_raise(L, "program", ASTRUM_ENOMEM);
    p->arguments = grown;
    p->argument_capacity = capacity;
  }
  if (plan->count == 0)
    plan->first = (uint32_t)p->argument_count;
  argument *a = &p->arguments[p->argument_count++];
  memset(a, 0, sizeof *a);
  plan->count++;
  a->kind = (uint8_t)kind;
  a->name = name;
  a->hidden = (uint8_t)lua_toboolean(L, 4);
  if (kind != ARGUMENT_CONSTANT && kind != ARGUMENT_REFERENCE)
    plan->slow = 1;
  if (a->hidden)
    plan->slow = 1;
  return a;
}

/* program:constant(id, name, hidden, value) */
static int add_constant(lua_State *L) {
  lua_settop(L, 5);
  argument *a = add_argument(L, ARGUMENT_CONSTANT);
  a->value = add_value(L, binding_check_program(L, 1), 5);
  return 0;
}

/* program:call(id, name, hidden, fn): fn is called for each attempt */
static int add_call(lua_State *L) {
  luaL_checktype(L, 5, LUA_TFUNCTION);
  argument *a = add_argument(L, ARGUMENT_FUNCTION);
  a->value = add_value(L, binding_check_program(L, 1), 5);
  return 0;
}

/*
 * program:template(id, name, hidden, table, references): a table of which a
 * copy is made for each attempt, with the references in it, at any depth,
 * replaced by their values. references = { [reference] = { source id, key... }
 * }
 */
static int add_template(lua_State *L) {
  luaL_checktype(L, 5, LUA_TTABLE);
  luaL_checktype(L, 6, LUA_TTABLE);
  lua_settop(L, 6);
  argument *a = add_argument(L, ARGUMENT_TEMPLATE);
  program *p = binding_check_program(L, 1);
  a->value = add_value(L, p, 5);
  add_value(L, p, 6);
  return 0;
}

/* program:inputs(id): the parameter gets the table of all inputs */
static int add_inputs(lua_State *L) {
  lua_settop(L, 2);
  add_argument(L, ARGUMENT_INPUTS);
  program *p = binding_check_program(L, 1);
  p->bodies[check_task(L, p, 2)].wants_inputs = 1;
  return 0;
}

/* program:context(id): the parameter gets the attempt's ctx */
static int add_context(lua_State *L) {
  lua_settop(L, 2);
  add_argument(L, ARGUMENT_CONTEXT);
  return 0;
}

static const char *const type_names[] = {
    "",      "integer", "number",   "string", "boolean",
    "table", "list",    "function", "any",    NULL};

static void set_type(lua_State *L, program *p, argument *a, int index) {
  if (lua_isnoneornil(L, index))
    return;
  if (lua_isfunction(L, index)) {
    a->type = TYPE_PREDICATE;
    a->check = add_value(L, p, index);
    return;
  }
  size_t size;
  const char *name = luaL_checklstring(L, index, &size);
  if (size > 0 && name[size - 1] == '?') {
    a->optional = 1;
    size--;
  }
  for (int i = 1; type_names[i]; i++)
    if (strlen(type_names[i]) == size && memcmp(type_names[i], name, size) == 0)
      a->type = (uint8_t)i;
  luaL_argcheck(L, a->type != TYPE_NONE, index, "unknown type");
}

/*
 * program:reference(id, name, hidden, source id, path, type, optional, default)
 * path = { n =, keys }; type is nil, a type's name or a predicate; a default
 * that is not nil makes it optional.
 */
static int add_reference(lua_State *L) {
  lua_settop(L, 9);
  program *p = binding_check_program(L, 1);
  uint32_t source = check_task(L, p, 5);
  luaL_checktype(L, 6, LUA_TTABLE);
  lua_getfield(L, 6, "n");
  lua_Integer depth = luaL_checkinteger(L, -1);
  argument *a = add_argument(L, ARGUMENT_REFERENCE);
  a->source = source;
  a->depth = (uint32_t)depth;
  for (lua_Integer i = 1; i <= depth; i++) {
    lua_rawgeti(L, 6, i);
    uint32_t at = add_value(L, p, -1);
    if (i == 1)
      a->value = at;
    lua_pop(L, 1);
  }
  set_type(L, p, a, 7);
  if (lua_toboolean(L, 8))
    a->optional = 1;
  if (!lua_isnil(L, 9)) {
    a->optional = 1;
    a->fallback = add_value(L, p, 9);
  }
  if (a->type == TYPE_PREDICATE)
    p->bodies[check_task(L, p, 2)].slow = 1;
  return 0;
}

/* --- resolving */

/* Whether the table on the top is a list: the keys 1 to n and no others. */
static int is_list(lua_State *L) {
  lua_Unsigned length = lua_rawlen(L, -1);
  lua_Unsigned count = 0;
  lua_pushnil(L);
  while (lua_next(L, -2)) {
    lua_pop(L, 1);
    if (!lua_isinteger(L, -1) || ++count > length) {
      lua_pop(L, 1);
      return 0;
    }
  }
  return count == length;
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
    return lua_istable(L, -1) && is_list(L);
  case TYPE_FUNCTION:
    return lua_isfunction(L, -1);
  case TYPE_ANY:
    return !lua_isnil(L, -1);
  default:
    return 1;
  }
}

#define NEEDS_LUA (-1)

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

/* Pushes the value of a reference that has no predicate; calls nothing. */
static int resolve_raw(lua_State *L, tables t, const argument *a,
                       uint32_t *step) {
  int problem = follow(L, t, a, 1, step);
  if (problem != PROBLEM_NONE || take_fallback(L, t, a))
    return problem;
  return has_type(L, a->type) ? PROBLEM_NONE : PROBLEM_TYPE;
}

int binding_push_call(engine *e, const program *p, uint32_t task,
                      input_problem *problem) {
  lua_State *L = e->slots;
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
    int found = resolve_raw(L, t, a, &problem->step);
    if (found == PROBLEM_NONE)
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
  int problem = follow(L, t, a, 0, &step);
  if (problem == PROBLEM_NONE) {
    if (take_fallback(L, t, a))
      return;
    if (!has_type(L, a->type))
      problem = PROBLEM_TYPE;
  }
  if (problem != PROBLEM_NONE)
    refuse(L, at, problem, number, step);
  if (a->type == TYPE_PREDICATE)
    check_predicate(L, at, a, number);
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
  default:
    binding_push_context(L, at);
    break;
  }
}

static int prelude_done(lua_State *L, int status, lua_KContext ctx) {
  (void)status;
  (void)ctx;
  return lua_gettop(L) - AT_BODY + 1;
}

/* Pushes the arguments from `number` on, whose value may be on the top
   already, and calls the body. */
static int prelude_from(lua_State *L, uint32_t number, int pushed) {
  attempt *at = lua_touserdata(L, AT_ATTEMPT);
  const program *p = at->run->program;
  const body_plan *plan = &p->bodies[at->ticket.task];
  for (uint32_t i = number; i < plan->count; i++) {
    const argument *a = argument_of(at, i);
    if (!pushed) {
      if (!lua_checkstack(L, LUA_MINSTACK)) {
        lua_pushnil(L);
        return refuse(L, at, PROBLEM_TOO_MANY, i, 0);
      }
      push_argument(L, at, a, i);
    }
    pushed = 0;
    if (plan->wants_inputs && a->name) {
      lua_rawgeti(L, AT_VALUES, a->name);
      lua_pushvalue(L, -2);
      lua_rawset(L, AT_INPUTS);
    }
    if (a->hidden)
      lua_pop(L, 1);
  }
  int count = lua_gettop(L) - AT_BODY;
  lua_callk(L, count, LUA_MULTRET, 0, prelude_done);
  return prelude_done(L, LUA_OK, 0);
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
  return prelude_from(L, 0, 0);
}

static const luaL_Reg methods[] = {
    {"body", set_body},
    {"constant", add_constant},
    {"call", add_call},
    {"template", add_template},
    {"inputs", add_inputs},
    {"context", add_context},
    {"reference", add_reference},
    {"__gc", free_program},
    {NULL, NULL},
};

static const luaL_Reg functions[] = {
    {"program", new_program},
    {NULL, NULL},
};

int binding_open_program(lua_State *L) {
  binding_type(L, PROGRAM_TYPE, methods);
  binding_functions(L, functions);
  return 0;
}
