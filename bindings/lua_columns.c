/*
 * The columns of declarations: numbers for strings, and what is looked at when
 * a workflow is built.
 */
#include "columns.h"
#include "reference.h"

#include <string.h>

#define DECLARATIONS_TYPE "astrum.declarations"

declarations *binding_check_declarations(lua_State *L, int index) {
  return luaL_checkudata(L, index, DECLARATIONS_TYPE);
}

const plain_input *binding_plain_inputs(const declarations *d, uint32_t number,
                                        uint32_t *count) {
  const plain_task *task = &d->tasks[number - 1];
  *count = task->input_count;
  return d->inputs + task->first_input;
}

void binding_push_plain_bodies(lua_State *L, int index) {
  lua_getiuservalue(L, index, COLUMN_BODIES);
}

void binding_push_plain_keys(lua_State *L, int index) {
  lua_getiuservalue(L, index, COLUMN_KEY_VALUES);
}

/* --- memory */

void *binding_grow_columns(lua_State *L, declarations *d, void *list,
                           uint32_t count, uint32_t more, uint32_t *capacity,
                           size_t size) {
  if (more > UINT32_MAX - count)
    luaL_error(L, "too many declarations");
  if (count + more <= *capacity)
    return list;
  size_t wanted = (size_t)*capacity + *capacity / 2 + 16;
  if (wanted < (size_t)count + more)
    wanted = (size_t)count + more;
  if (wanted > UINT32_MAX)
    wanted = UINT32_MAX;
  void *grown =
      d->alloc.fn(d->alloc.user, list, *capacity * size, wanted * size);
  if (!grown)
    binding_raise(L, "task", ASTRUM_ENOMEM);
  *capacity = (uint32_t)wanted;
  return grown;
}

/*
 * Strings of up to 40 bytes are one object each in Lua 5.4, so that a name is
 * found by its address. Those that are made one after the other stand side by
 * side, and so do their slots here: with a million of them it matters how many
 * lines of the cache are touched.
 */
enum { LONGEST = 40, STRIDE_BITS = 5, PAGE_BITS = 16 };

/* Whether Lua has been built so, or 0. */
static size_t longest_by_address(lua_State *L) {
  char text[LONGEST];
  memset(text, '-', sizeof text);
  const char *first = lua_pushlstring(L, text, sizeof text);
  const char *second = lua_pushlstring(L, text, sizeof text);
  lua_pop(L, 2);
  return first == second ? LONGEST : 0;
}

/* Keeps a word, which stays on the top, in the table below. */
static void keep_word(lua_State *L, const char *word) {
  lua_pushstring(L, word);
  lua_pushvalue(L, -1);
  lua_rawseti(L, -3, (lua_Integer)lua_rawlen(L, -3) + 1);
}

static int new_declarations(lua_State *L) {
  declarations *d = lua_newuserdatauv(L, sizeof *d, COLUMN_COUNT);
  memset(d, 0, sizeof *d);
  d->alloc.fn = lua_getallocf(L, &d->alloc.user);
  luaL_setmetatable(L, DECLARATIONS_TYPE);
  for (int value = 1; value <= COLUMN_COUNT; value++) {
    lua_newtable(L);
    lua_setiuservalue(L, -2, value);
  }
  d->longest = longest_by_address(L);
  lua_getiuservalue(L, -1, COLUMN_WORDS);
  keep_word(L, "run");
  d->run_key = lua_topointer(L, -1);
  lua_pop(L, 1);
  keep_word(L, "inputs");
  d->inputs_key = lua_topointer(L, -1);
  d->inputs_word = lua_tostring(L, -1);
  lua_pop(L, 1);
  keep_word(L, "ctx");
  d->ctx_word = lua_tostring(L, -1);
  lua_pop(L, 2);
  return 1;
}

static int free_declarations(lua_State *L) {
  declarations *d = binding_check_declarations(L, 1);
  const astrum_alloc *a = &d->alloc;
  if (d->tasks)
    a->fn(a->user, d->tasks, d->task_capacity * sizeof *d->tasks, 0);
  if (d->inputs)
    a->fn(a->user, d->inputs, d->input_capacity * sizeof *d->inputs, 0);
  if (d->symbols)
    a->fn(a->user, d->symbols, d->symbol_capacity * sizeof *d->symbols, 0);
  if (d->slots)
    a->fn(a->user, d->slots, d->slot_count * sizeof *d->slots, 0);
  if (d->sources)
    a->fn(a->user, d->sources, d->source_capacity * sizeof *d->sources, 0);
  if (d->source_slots)
    a->fn(a->user, d->source_slots,
          d->source_slot_count * sizeof *d->source_slots, 0);
  d->sources = NULL;
  d->source_slots = NULL;
  d->source_count = d->source_capacity = d->source_slot_count = 0;
  d->tasks = NULL;
  d->inputs = NULL;
  d->symbols = NULL;
  d->slots = NULL;
  d->slot_count = 0;
  d->task_count = d->task_capacity = 0;
  d->input_count = d->input_capacity = 0;
  d->symbol_count = d->symbol_capacity = 0;
  return 0;
}

/* --- numbers for strings */

uint32_t binding_new_number(lua_State *L, int values, uint32_t *count) {
  if (*count >= BINDING_HANDLE - 1)
    luaL_error(L, "too many names");
  lua_rawseti(L, values, (lua_Integer)*count + 1);
  return ++*count;
}

uint32_t binding_number_of(lua_State *L, int numbers, int values,
                           uint32_t *count) {
  lua_pushvalue(L, -1);
  if (lua_rawget(L, numbers) == LUA_TNUMBER) {
    uint32_t known = (uint32_t)lua_tointeger(L, -1);
    lua_pop(L, 2);
    return known;
  }
  lua_pop(L, 1);
  lua_pushvalue(L, -1);
  uint32_t number = binding_new_number(L, values, count);
  lua_pushinteger(L, number);
  lua_rawset(L, numbers);
  return number;
}

static uint32_t slot_of(const char *text, uint32_t slot_count) {
  uintptr_t address = (uintptr_t)text;
  uint64_t page = (uint64_t)(address >> PAGE_BITS);
  uint64_t spread = (page * UINT64_C(0x9e3779b97f4a7c15)) >> 32;
  return (uint32_t)((address >> STRIDE_BITS) ^ spread) & (slot_count - 1);
}

/* The symbol of a string by its address, or 0. */
static uint32_t find_text(const declarations *d, const char *text) {
  if (d->slot_count == 0)
    return 0;
  uint32_t symbol = d->slots[slot_of(text, d->slot_count)];
  while (symbol && d->symbols[symbol - 1].text != text)
    symbol = d->symbols[symbol - 1].next;
  return symbol;
}

/* The same of the string at a place. */
static uint32_t find_long(lua_State *L, int name, int long_names) {
  lua_pushvalue(L, name);
  lua_rawget(L, long_names);
  uint32_t symbol = (uint32_t)lua_tointeger(L, -1);
  lua_pop(L, 1);
  return symbol;
}

static void enter_slot(declarations *d, uint32_t symbol) {
  task_symbol *s = &d->symbols[symbol - 1];
  uint32_t *slot = &d->slots[slot_of(s->text, d->slot_count)];
  s->next = *slot;
  *slot = symbol;
}

/* Empty slots of a hash table; raises for want of memory. */
static uint32_t *new_slots(lua_State *L, const declarations *d,
                           uint32_t count) {
  if (count == 0)
    luaL_error(L, "too many names");
  size_t size = (size_t)count * sizeof(uint32_t);
  uint32_t *slots = d->alloc.fn(d->alloc.user, NULL, 0, size);
  if (slots)
    return memset(slots, 0, size);
  binding_raise(L, "task", ASTRUM_ENOMEM);
  return NULL;
}

static void free_slots(const declarations *d, uint32_t *slots, uint32_t count) {
  if (slots)
    d->alloc.fn(d->alloc.user, slots, count * sizeof *slots, 0);
}

static void grow_slots(lua_State *L, declarations *d) {
  uint32_t count = d->slot_count ? d->slot_count * 2 : 16;
  uint32_t *slots = new_slots(L, d, count);
  free_slots(d, d->slots, d->slot_count);
  d->slots = slots;
  d->slot_count = count;
  for (uint32_t symbol = 1; symbol <= d->symbol_count; symbol++)
    enter_slot(d, symbol);
}

uint32_t binding_symbol_of(lua_State *L, declarations *d, int name, int names,
                           int long_names) {
  size_t size;
  const char *text = lua_tolstring(L, name, &size);
  int is_long = size > d->longest;
  uint32_t known =
      is_long ? find_long(L, name, long_names) : find_text(d, text);
  if (known)
    return known;
  lua_Integer symbol = (lua_Integer)d->symbol_count + 1;
  d->symbols = binding_grow_columns(L, d, d->symbols, d->symbol_count, 1,
                                    &d->symbol_capacity, sizeof *d->symbols);
  if (d->symbol_count >= d->slot_count)
    grow_slots(L, d);
  /* Without memory for the second of these the first does not count. */
  lua_pushvalue(L, name);
  lua_rawseti(L, names, symbol);
  if (is_long) {
    lua_pushvalue(L, name);
    lua_pushinteger(L, symbol);
    lua_rawset(L, long_names);
  }
  d->symbols[d->symbol_count++] = (task_symbol){.text = text};
  enter_slot(d, d->symbol_count);
  return d->symbol_count;
}

/* Keeps the value on the top, which is popped. */
static const void *keep_last(lua_State *L, int index, int place) {
  const void *value = lua_topointer(L, -1);
  lua_getiuservalue(L, index, COLUMN_LAST);
  lua_insert(L, -2);
  lua_rawseti(L, -2, place);
  lua_pop(L, 1);
  return value;
}

/* What the last functions hold need not stay for as long as the tasks do. */
static void forget_last(lua_State *L, declarations *d, int index) {
  d->last_source = d->last_caller = NULL;
  for (int place = LAST_SOURCE; place <= LAST_CALLER; place++) {
    lua_pushnil(L);
    keep_last(L, index, place);
  }
}

/* The slot of a source, or the empty one where it belongs. */
static uint32_t *source_slot(const declarations *d, const char *text) {
  uint64_t hash = UINT64_C(0xcbf29ce484222325); /* FNV-1a */
  for (const char *c = text; *c; c++)
    hash = (hash ^ (unsigned char)*c) * UINT64_C(0x100000001b3);
  uint32_t mask = d->source_slot_count - 1, place = (uint32_t)hash & mask;
  while (d->source_slots[place] &&
         strcmp(d->sources[d->source_slots[place] - 1].text, text) != 0)
    place = (place + 1) & mask;
  return &d->source_slots[place];
}

/* Makes room for one more. */
static void grow_sources(lua_State *L, declarations *d) {
  d->sources = binding_grow_columns(L, d, d->sources, d->source_count, 1,
                                    &d->source_capacity, sizeof *d->sources);
  if (d->source_count < d->source_slot_count / 2)
    return;
  uint32_t count = d->source_slot_count ? d->source_slot_count * 2 : 8;
  uint32_t *slots = new_slots(L, d, count);
  free_slots(d, d->source_slots, d->source_slot_count);
  d->source_slots = slots;
  d->source_slot_count = count;
  for (uint32_t number = 1; number <= d->source_count; number++)
    *source_slot(d, d->sources[number - 1].text) = number;
}

static uint32_t source_by_text(lua_State *L, declarations *d,
                               const char *text) {
  if (strlen(text) >= LUA_IDSIZE)
    return 0;
  grow_sources(L, d);
  uint32_t *slot = source_slot(d, text);
  if (*slot == 0) {
    strcpy(d->sources[d->source_count].text, text);
    *slot = ++d->source_count;
  }
  return *slot;
}

uint32_t binding_source_of(lua_State *L, declarations *d, int index,
                           int source) {
  lua_Debug ar;
  if (!lua_isfunction(L, source))
    return source_by_text(L, d, lua_tostring(L, source));
  /* The last one is kept, so what has its address is the same. */
  if (lua_topointer(L, source) == d->last_source)
    return d->last_source_number;
  lua_pushvalue(L, source);
  lua_getinfo(L, ">S", &ar);
  uint32_t number = source_by_text(L, d, ar.short_src);
  d->last_source = NULL;
  lua_pushvalue(L, source);
  d->last_source = keep_last(L, index, LAST_SOURCE);
  d->last_source_number = number;
  return number;
}

void binding_keep_caller(lua_State *L, declarations *d, int index,
                         uint32_t source) {
  d->last_caller = NULL;
  keep_last(L, index, LAST_CALLER_SOURCE);
  d->last_caller = keep_last(L, index, LAST_CALLER);
  d->last_caller_number = source;
}

/* store:add(name) -> number of a declaration that is not plain */
static int add(lua_State *L) {
  declarations *d = binding_check_declarations(L, 1);
  luaL_checktype(L, 2, LUA_TSTRING);
  lua_settop(L, 2);
  lua_getiuservalue(L, 1, COLUMN_NAMES);
  lua_getiuservalue(L, 1, COLUMN_LONG_NAMES);
  uint32_t symbol = binding_symbol_of(L, d, 2, 3, 4);
  d->tasks = binding_grow_columns(L, d, d->tasks, d->task_count, 1,
                                  &d->task_capacity, sizeof *d->tasks);
  d->tasks[d->task_count] =
      (plain_task){.symbol = symbol, .first_input = d->input_count};
  d->symbols[symbol - 1].number = ++d->task_count;
  lua_pushinteger(L, d->task_count);
  return 1;
}

/* --- looking */

static uint32_t check_number(lua_State *L, const declarations *d, int index) {
  lua_Integer number = luaL_checkinteger(L, index);
  luaL_argcheck(L, number >= 1 && number <= (lua_Integer)d->task_count, index,
                "no such declaration");
  return (uint32_t)number;
}

static int count_of(lua_State *L) {
  lua_pushinteger(L, binding_check_declarations(L, 1)->task_count);
  return 1;
}

/* store:find(name) -> number of its declaration, or nil */
static int find(lua_State *L) {
  const declarations *d = binding_check_declarations(L, 1);
  lua_settop(L, 2);
  if (lua_type(L, 2) != LUA_TSTRING)
    return 0;
  lua_getiuservalue(L, 1, COLUMN_LONG_NAMES);
  lua_insert(L, 2);
  uint32_t symbol = lua_rawlen(L, 3) > d->longest
                        ? find_long(L, 3, 2)
                        : find_text(d, lua_tostring(L, 3));
  uint32_t number = symbol ? d->symbols[symbol - 1].number : 0;
  if (number == 0)
    return 0;
  lua_pushinteger(L, number);
  return 1;
}

/* store:is_plain(number): false where there is no declaration */
static int is_plain(lua_State *L) {
  const declarations *d = binding_check_declarations(L, 1);
  lua_Integer number = luaL_checkinteger(L, 2);
  lua_pushboolean(L, number >= 1 && number <= (lua_Integer)d->task_count &&
                         d->tasks[number - 1].is_plain);
  return 1;
}

static int name_of(lua_State *L) {
  const declarations *d = binding_check_declarations(L, 1);
  uint32_t number = check_number(L, d, 2);
  lua_getiuservalue(L, 1, COLUMN_NAMES);
  lua_rawgeti(L, -1, d->tasks[number - 1].symbol);
  return 1;
}

static void push_source(lua_State *L, const declarations *d, uint32_t source) {
  lua_pushstring(L, d->sources[source - 1].text);
}

static void push_body(lua_State *L, uint32_t number) {
  lua_getiuservalue(L, 1, COLUMN_BODIES);
  lua_rawgeti(L, -1, number);
  lua_replace(L, -2);
}

/* store:plain(number) -> name, body, source, line, count of inputs, whether the
   body takes the table of all, place of its parameter ctx from 1 or 0 */
static int plain(lua_State *L) {
  const declarations *d = binding_check_declarations(L, 1);
  uint32_t number = check_number(L, d, 2);
  const plain_task *task = &d->tasks[number - 1];
  luaL_argcheck(L, task->is_plain, 2, "not a plain declaration");
  lua_getiuservalue(L, 1, COLUMN_NAMES);
  lua_rawgeti(L, -1, task->symbol);
  lua_replace(L, -2);
  push_body(L, number);
  push_source(L, d, task->source);
  lua_pushinteger(L, task->line);
  lua_pushinteger(L, task->input_count);
  lua_pushboolean(L, task->takes_table);
  lua_pushinteger(L, task->context);
  return 7;
}

/* store:input(number, place) -> parameter, nil in a list, task, path, source,
   line, whether it is a handle */
static int input_of(lua_State *L) {
  const declarations *d = binding_check_declarations(L, 1);
  uint32_t number = check_number(L, d, 2);
  const plain_task *task = &d->tasks[number - 1];
  lua_Integer place = luaL_checkinteger(L, 3);
  luaL_argcheck(L, place >= 1 && place <= (lua_Integer)task->input_count, 3,
                "no such input");
  const plain_input *input = &d->inputs[task->first_input + place - 1];
  lua_settop(L, 3);
  lua_getiuservalue(L, 1, COLUMN_KEY_VALUES);
  if (task->takes_table) {
    lua_rawgeti(L, 4, input->name);
  } else if (task->is_listed) {
    lua_pushnil(L);
  } else {
    int parameter = (int)place + (task->context && place >= task->context);
    push_body(L, number);
    lua_pushstring(L, lua_getlocal(L, NULL, parameter));
    lua_replace(L, -2);
  }
  lua_getiuservalue(L, 1, COLUMN_NAMES);
  lua_rawgeti(L, -1, input->symbol);
  lua_replace(L, -2);
  lua_createtable(L, 1, 1);
  int has_key = input->key != 0 && input->key != BINDING_HANDLE;
  lua_pushinteger(L, has_key);
  lua_setfield(L, -2, "n");
  if (has_key) {
    lua_rawgeti(L, 4, input->key);
    lua_rawseti(L, -2, 1);
  }
  push_source(L, d, input->source);
  lua_pushinteger(L, input->line);
  lua_pushboolean(L, input->key == BINDING_HANDLE);
  return 6;
}

/* store:reads(number, place) -> number of the declaration that a plain one
   reads from by that input, 0 for one that is not there; nil behind the last */
static int reads(lua_State *L) {
  const declarations *d = binding_check_declarations(L, 1);
  uint32_t number = check_number(L, d, 2), count;
  lua_Integer place = luaL_checkinteger(L, 3);
  const plain_input *inputs = binding_plain_inputs(d, number, &count);
  if (place < 1 || place > (lua_Integer)count)
    return 0;
  lua_pushinteger(L, d->symbols[inputs[place - 1].symbol - 1].number);
  return 1;
}

/* --- building */

/*
 * store:add_tasks(graph, first, count, policy) -> number behind the last one
 * that has been added: plain declarations, from `first` to at most `count`.
 */
static int add_tasks(lua_State *L) {
  declarations *d = binding_check_declarations(L, 1);
  astrum_graph *graph = astrum_binding_graph(L, 2);
  uint32_t number = (uint32_t)luaL_checkinteger(L, 3);
  uint32_t count = check_number(L, d, 4);
  forget_last(L, d, 1);
  lua_getiuservalue(L, 1, COLUMN_NAMES);
  int names = lua_gettop(L);
  if (astrum_graph_reserve(graph, count, d->input_count) == ASTRUM_ENOMEM)
    return binding_raise(L, "task", ASTRUM_ENOMEM);
  for (; number <= count && d->tasks[number - 1].is_plain; number++) {
    size_t size;
    astrum_task task;
    lua_rawgeti(L, names, d->tasks[number - 1].symbol);
    const char *name = lua_tolstring(L, -1, &size);
    astrum_err err = astrum_graph_add(graph, name, size, NULL, &task);
    lua_pop(L, 1);
    if (err == ASTRUM_ENOMEM)
      return binding_raise(L, "task", err);
    if (err != ASTRUM_OK)
      break;
  }
  lua_pushinteger(L, number);
  return 1;
}

/*
 * store:connect(graph, first, count) -> number behind the last one whose inputs
 * are edges of the graph now: plain declarations, from `first` to at most
 * `count`, that read from none but the first `count`.
 */
static int connect(lua_State *L) {
  const declarations *d = binding_check_declarations(L, 1);
  astrum_graph *graph = astrum_binding_graph(L, 2);
  uint32_t number = (uint32_t)luaL_checkinteger(L, 3);
  uint32_t count = check_number(L, d, 4);
  for (; number <= count && d->tasks[number - 1].is_plain; number++) {
    uint32_t inputs;
    const plain_input *input = binding_plain_inputs(d, number, &inputs);
    for (uint32_t i = 0; i < inputs; i++) {
      uint32_t before = d->symbols[input[i].symbol - 1].number;
      if (before == 0 || before > count) {
        lua_pushinteger(L, number);
        return 1;
      }
    }
    for (uint32_t i = 0; i < inputs; i++) {
      astrum_task before = {d->symbols[input[i].symbol - 1].number - 1};
      astrum_err err =
          astrum_graph_edge(graph, before, (astrum_task){number - 1});
      if (err != ASTRUM_OK)
        return binding_raise(L, "task", err);
    }
  }
  lua_pushinteger(L, number);
  return 1;
}

static const luaL_Reg methods[] = {
    {"declarer", binding_declarer},
    {"adopt", binding_adopt_declarer},
    {"add", add},
    {"count", count_of},
    {"find", find},
    {"is_plain", is_plain},
    {"name", name_of},
    {"plain", plain},
    {"input", input_of},
    {"reads", reads},
    {"add_tasks", add_tasks},
    {"connect", connect},
    {"__gc", free_declarations},
    {NULL, NULL},
};

int binding_open_declare(lua_State *L) {
  binding_type(L, DECLARATIONS_TYPE, methods);
  lua_pushcfunction(L, new_declarations);
  lua_setfield(L, -2, "declarations");
  return 0;
}
