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
  resize(p, p->extras, p->extra_capacity * sizeof *p->extras, 0);
  p->extras = NULL;
  p->extra_count = p->extra_capacity = 0;
  resize(p, p->arguments, p->argument_capacity * sizeof *p->arguments, 0);
  resize(p, p->bodies, p->task_count * sizeof *p->bodies, 0);
  if (p->keeps)
    resize(p, p->keeps, p->task_count, 0);
  p->keeps = NULL;
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

/* program:keep(ids): only these results, and those nobody waits for, stay until
   the report is gone. Called at most once. */
static int keep_results(lua_State *L) {
  program *p = binding_check_program(L, 1);
  luaL_checktype(L, 2, LUA_TTABLE);
  if (p->task_count == 0 || p->keeps)
    return 0;
  p->keeps = resize(p, NULL, 0, p->task_count);
  if (!p->keeps)
    return binding_raise(L, "program", ASTRUM_ENOMEM);
  memset(p->keeps, 0, p->task_count);
  for (lua_Integer i = 1; lua_rawgeti(L, 2, i) != LUA_TNIL; i++) {
    p->keeps[check_task(L, p, -1)] = 1;
    lua_pop(L, 1);
  }
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
  if (kind != ARGUMENT_CONSTANT && kind != ARGUMENT_REFERENCE &&
      kind != ARGUMENT_ITEM)
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

/* The extra of a task, made if there is none. */
static body_extra *take_extra(lua_State *L, program *p, uint32_t task) {
  body_plan *plan = &p->bodies[task];
  if (plan->extra)
    return &p->extras[plan->extra - 1];
  if (p->extra_count == p->extra_capacity) {
    size_t old = p->extra_capacity * sizeof *p->extras;
    uint32_t capacity = p->extra_capacity ? p->extra_capacity * 2 : 8;
    body_extra *grown = resize(p, p->extras, old, capacity * sizeof *p->extras);
    if (!grown)
      binding_raise(L, "program", ASTRUM_ENOMEM);
    p->extras = grown;
    p->extra_capacity = capacity;
  }
  body_extra *extra = &p->extras[p->extra_count++];
  memset(extra, 0, sizeof *extra);
  plan->extra = p->extra_count;
  return extra;
}

/* program:item(id, name, hidden, number): the item of a list of the map */
static int add_item(lua_State *L) {
  lua_Integer number = luaL_checkinteger(L, 5);
  argument *a = add_argument(L, ARGUMENT_ITEM);
  a->value = (uint32_t)number;
  return 0;
}

/* program:param(id, name, hidden, param): a parameter of the run */
static int add_param(lua_State *L) {
  luaL_checktype(L, 5, LUA_TSTRING);
  argument *a = add_argument(L, ARGUMENT_PARAM);
  a->value = add_value(L, binding_check_program(L, 1), 5);
  return 0;
}

/* program:map(id, count): the last `count` arguments of the task are the lists
   that it goes over */
static int set_map(lua_State *L) {
  program *p = binding_check_program(L, 1);
  uint32_t task = check_task(L, p, 2);
  lua_Integer count = luaL_checkinteger(L, 3);
  body_plan *plan = &p->bodies[task];
  luaL_argcheck(L, count >= 1 && count <= (lua_Integer)plan->count, 3,
                "there are not so many arguments");
  take_extra(L, p, task)->list_count = (uint32_t)count;
  plan->count -= (uint32_t)count;
  p->has_maps = 1;
  return 0;
}

/* program:condition(id, fn, positions): fn says before the first attempt
   whether the task is to run; it takes the arguments of these numbers, the
   table of all for "inputs", the attempt's ctx for "context" */
static int set_condition(lua_State *L) {
  program *p = binding_check_program(L, 1);
  uint32_t task = check_task(L, p, 2);
  luaL_checktype(L, 3, LUA_TFUNCTION);
  luaL_checktype(L, 4, LUA_TTABLE);
  lua_settop(L, 4);
  uint32_t at = add_value(L, p, 3);
  add_value(L, p, 4);
  take_extra(L, p, task)->condition = at;
  p->bodies[task].slow = 1;
  for (lua_Integer i = 1; i <= (lua_Integer)lua_rawlen(L, 4); i++) {
    lua_rawgeti(L, 4, i);
    if (lua_type(L, -1) == LUA_TSTRING &&
        strcmp(lua_tostring(L, -1), "inputs") == 0)
      p->bodies[task].wants_inputs = 1;
    lua_pop(L, 1);
  }
  return 0;
}

/* program:retry_on(id, fn): fn says for an error object whether to retry */
static int set_retry_on(lua_State *L) {
  program *p = binding_check_program(L, 1);
  uint32_t task = check_task(L, p, 2);
  luaL_checktype(L, 3, LUA_TFUNCTION);
  uint32_t at = add_value(L, p, 3);
  take_extra(L, p, task)->retry_on = at;
  return 0;
}

/* program:cancel_grace(id, ns): between TERM and KILL for its processes */
static int set_grace(lua_State *L) {
  program *p = binding_check_program(L, 1);
  uint32_t task = check_task(L, p, 2);
  lua_Integer grace = luaL_checkinteger(L, 3);
  take_extra(L, p, task)->cancel_grace = (uint64_t)grace;
  return 0;
}

/* program:flags(id, uncertain, limited): it may run although a task upstream
   did not complete; it has a timeout */
static int set_flags(lua_State *L) {
  program *p = binding_check_program(L, 1);
  body_plan *plan = &p->bodies[check_task(L, p, 2)];
  plan->uncertain = (uint8_t)lua_toboolean(L, 3);
  plan->limited = (uint8_t)lua_toboolean(L, 4);
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

/* --- plain declarations */

/* Makes room for so many arguments more. */
static void reserve_arguments(lua_State *L, program *p, size_t more) {
  size_t wanted = p->argument_count + more;
  if (wanted <= p->argument_capacity)
    return;
  if (wanted > UINT32_MAX)
    luaL_error(L, "too many inputs");
  if (wanted < p->argument_capacity + p->argument_capacity / 2)
    wanted = p->argument_capacity + p->argument_capacity / 2;
  argument *grown =
      resize(p, p->arguments, p->argument_capacity * sizeof *p->arguments,
             wanted * sizeof *p->arguments);
  if (!grown)
    binding_raise(L, "program", ASTRUM_ENOMEM);
  p->arguments = grown;
  p->argument_capacity = wanted;
}

/* Copies the keys that plain declarations have, once. */
static void take_plain_keys(lua_State *L, program *p, const declarations *d) {
  if (p->has_plain_keys)
    return;
  if (d->key_count > UINT32_MAX - p->value_count)
    luaL_error(L, "too many inputs");
  binding_push_plain_keys(L, 2);
  lua_getiuservalue(L, 1, PROGRAM_VALUES);
  for (uint32_t i = 1; i <= d->key_count; i++) {
    lua_rawgeti(L, -2, i);
    lua_rawseti(L, -2, (lua_Integer)p->value_count + i);
  }
  lua_pop(L, 2);
  p->plain_keys = p->value_count;
  p->value_count += d->key_count;
  p->has_plain_keys = 1;
}

static uint32_t has_plain_key(const plain_input *input) {
  return input->key != 0 && input->key != BINDING_HANDLE;
}

static void add_plain_inputs(program *p, const declarations *d,
                             uint32_t number) {
  uint32_t count;
  const plain_input *input = binding_plain_inputs(d, number, &count);
  int takes_table = d->tasks[number - 1].takes_table;
  body_plan *plan = &p->bodies[number - 1];
  argument *a = p->arguments + p->argument_count;
  plan->first = (uint32_t)p->argument_count;
  plan->count = count + (uint32_t)takes_table;
  if (takes_table) {
    plan->slow = plan->wants_inputs = 1;
    *a++ = (argument){.kind = ARGUMENT_INPUTS};
  }
  for (uint32_t i = 0; i < count; i++, input++)
    *a++ = (argument){.kind = ARGUMENT_REFERENCE,
                      .hidden = (uint8_t)takes_table,
                      .source = d->symbols[input->symbol - 1].number - 1,
                      .depth = has_plain_key(input),
                      .value =
                          has_plain_key(input) ? p->plain_keys + input->key : 0,
                      .name = takes_table ? p->plain_keys + input->name : 0};
  p->argument_count += plan->count;
}

/*
 * program:plain(declarations, first, count) -> number behind the last one that
 * has been taken: plain declarations, from `first` to at most `count`, which
 * are the tasks of these numbers. What they read from has been declared.
 */
static int add_plain(lua_State *L) {
  program *p = binding_check_program(L, 1);
  const declarations *d = binding_check_declarations(L, 2);
  uint32_t number = check_task(L, p, 3) + 1;
  uint32_t count = check_task(L, p, 4) + 1;
  luaL_argcheck(L, count <= d->task_count, 4, "no such declaration");
  lua_settop(L, 4);
  take_plain_keys(L, p, d);
  uint32_t end = number;
  size_t arguments = 0;
  for (; end <= count && d->tasks[end - 1].is_plain; end++)
    arguments +=
        d->tasks[end - 1].input_count + (size_t)d->tasks[end - 1].takes_table;
  reserve_arguments(L, p, arguments);
  binding_push_plain_bodies(L, 2);
  lua_getiuservalue(L, 1, PROGRAM_BODIES);
  for (; number < end; number++) {
    lua_rawgeti(L, -2, number);
    lua_rawseti(L, -2, number);
    add_plain_inputs(p, d, number);
  }
  lua_pushinteger(L, end);
  return 1;
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

/* The length of the list at `index`, or -1 when it is none: `n`, as table.pack
   and a map leave it, or its border. */
static lua_Integer list_length(lua_State *L, int index) {
  if (!lua_istable(L, index))
    return -1;
  lua_pushliteral(L, "n");
  lua_rawget(L, index);
  int counted = lua_isinteger(L, -1);
  lua_Integer length =
      counted ? lua_tointeger(L, -1) : (lua_Integer)lua_rawlen(L, index);
  lua_pop(L, 1);
  lua_pushnil(L);
  while (lua_next(L, index)) {
    lua_pop(L, 1);
    int is_n = counted && lua_type(L, -1) == LUA_TSTRING &&
               strcmp(lua_tostring(L, -1), "n") == 0;
    if (is_n)
      continue;
    if (!lua_isinteger(L, -1) || lua_tointeger(L, -1) < 1 ||
        lua_tointeger(L, -1) > length) {
      lua_pop(L, 1);
      return -1;
    }
  }
  return length;
}

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

/* The condition has answered; its answer is on the top. */
static int condition_asked(lua_State *L, int status, lua_KContext ctx) {
  (void)status;
  (void)ctx;
  attempt *at = lua_touserdata(L, AT_ATTEMPT);
  at->problem.problem = PROBLEM_NONE;
  int yes = lua_toboolean(L, -1);
  lua_pop(L, 1);
  if (yes) {
    run *r = at->run;
    if (r->wants_events)
      binding_event(r->engine, r, "attempt_started", &at->ticket, NULL, 0);
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
  if (extra && extra->condition && at->ticket.attempt == 1)
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

static const luaL_Reg methods[] = {
    {"body", set_body},         {"keep", keep_results},
    {"constant", add_constant}, {"call", add_call},
    {"template", add_template}, {"inputs", add_inputs},
    {"context", add_context},   {"item", add_item},
    {"param", add_param},       {"reference", add_reference},
    {"map", set_map},           {"condition", set_condition},
    {"retry_on", set_retry_on}, {"flags", set_flags},
    {"plain", add_plain},       {"cancel_grace", set_grace},
    {"__gc", free_program},     {NULL, NULL},
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
