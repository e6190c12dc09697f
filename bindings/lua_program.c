/*
 * A program is a frozen graph with, for each task, its body and a compiled
 * list of where its arguments come from. Constants, keys of paths, functions
 * and names stand in one Lua table, `values`; an argument is a few numbers.
 * lua_inputs.c makes values of them.
 */
#include "columns.h"
#include "program.h"
#include "reference.h"

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

/* program:condition(id, fn, positions): fn says before the body
   runs first whether it is to run; it takes the arguments of these numbers, the
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

/* How many arguments the inputs of a plain declaration become. */
static uint32_t argument_count(const plain_task *task) {
  return task->input_count + task->takes_table + (task->context != 0);
}

static void add_plain_inputs(program *p, const declarations *d,
                             uint32_t number) {
  uint32_t count;
  const plain_input *input = binding_plain_inputs(d, number, &count);
  const plain_task *task = &d->tasks[number - 1];
  int takes_table = task->takes_table;
  body_plan *plan = &p->bodies[number - 1];
  argument *a = p->arguments + p->argument_count;
  plan->first = (uint32_t)p->argument_count;
  plan->count = argument_count(task);
  plan->slow = takes_table || task->context;
  if (takes_table) {
    plan->wants_inputs = 1;
    *a++ = (argument){.kind = ARGUMENT_INPUTS};
  }
  for (uint32_t i = 0; i < count; i++, input++) {
    if (i + 1 == task->context)
      *a++ = (argument){.kind = ARGUMENT_CONTEXT};
    *a++ = (argument){.kind = ARGUMENT_REFERENCE,
                      .hidden = (uint8_t)takes_table,
                      .source = d->symbols[input->symbol - 1].number - 1,
                      .depth = has_plain_key(input),
                      .value =
                          has_plain_key(input) ? p->plain_keys + input->key : 0,
                      .name = takes_table ? p->plain_keys + input->name : 0};
  }
  if (task->context == count + 1)
    *a = (argument){.kind = ARGUMENT_CONTEXT};
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
    arguments += argument_count(&d->tasks[end - 1]);
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
