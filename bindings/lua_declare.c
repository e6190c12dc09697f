/*
 * Declarations in columns. Most tasks are a body whose inputs are references to
 * results or to a field of them, and perhaps ctx, and nothing else. Such a
 * plain declaration is a few numbers here, the name and the body; a record of
 * Lua tables is made of it only when somebody looks at it. All others keep
 * their place in the order.
 *
 * Declarations are numbered from 1 in their order. Symbols are the names of
 * tasks, whether declared or only referred to, numbered from 1 as they come.
 */
#include "binding.h"
#include "lua_inspect.h"

#include <stdlib.h>
#include <string.h>

#define DECLARATIONS_TYPE "astrum.declarations"

/* User values. */
enum {
  NAMES = 1,  /* symbol -> name */
  BODIES,     /* declaration -> body of one that is plain */
  KEYS,       /* key of a path -> its number */
  KEY_VALUES, /* number -> key, or name of a parameter */
  SOURCES,    /* number -> source, and the other way round */
  WORDS,      /* those that mean something in a spec */
  USER_VALUES = WORDS
};

/* Upvalues of `declare`; the first is the metatable of references. */
#define KINDS lua_upvalueindex(2)
#define STORE lua_upvalueindex(3)
#define REGISTRY lua_upvalueindex(4)
#define TABLE(user_value) lua_upvalueindex(4 + (user_value))

/*
 * Names of inputs, and parameters of bodies with more are read in Lua. Strings
 * of up to 40 bytes are one object each in Lua 5.4, so that those of one text
 * have one address; the address of a longer one tells nothing.
 */
#define MOST_PARAMETERS 32

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
  lua_getiuservalue(L, index, BODIES);
}

void binding_push_plain_keys(lua_State *L, int index) {
  lua_getiuservalue(L, index, KEY_VALUES);
}

/* --- memory */

/* Makes room for one more than `count` elements. */
static void *grow(lua_State *L, declarations *d, void *list, uint32_t count,
                  uint32_t more, uint32_t *capacity, size_t size) {
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

/* Keeps a word, and tells where it is. */
static const char *keep_word(lua_State *L, const char *word) {
  const char *text = lua_pushstring(L, word);
  lua_rawseti(L, -2, (lua_Integer)lua_rawlen(L, -2) + 1);
  return text;
}

static int new_declarations(lua_State *L) {
  declarations *d = lua_newuserdatauv(L, sizeof *d, USER_VALUES);
  memset(d, 0, sizeof *d);
  d->alloc.fn = lua_getallocf(L, &d->alloc.user);
  luaL_setmetatable(L, DECLARATIONS_TYPE);
  for (int value = 1; value <= USER_VALUES; value++) {
    lua_newtable(L);
    lua_setiuservalue(L, -2, value);
  }
  lua_getiuservalue(L, -1, WORDS);
  d->run_word = keep_word(L, "run");
  d->inputs_word = keep_word(L, "inputs");
  d->ctx_word = keep_word(L, "ctx");
  lua_pop(L, 1);
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

/* A new number for the value on the top, which is popped. */
static uint32_t new_number(lua_State *L, int values, uint32_t *count) {
  if (*count >= BINDING_HANDLE - 1)
    luaL_error(L, "too many names");
  lua_rawseti(L, values, (lua_Integer)*count + 1);
  return ++*count;
}

/* The number of the value on the top, which is popped, in two tables that stand
   at `numbers` and `values`. */
static uint32_t number_of(lua_State *L, int numbers, int values,
                          uint32_t *count) {
  lua_pushvalue(L, -1);
  if (lua_rawget(L, numbers) == LUA_TNUMBER) {
    uint32_t known = (uint32_t)lua_tointeger(L, -1);
    lua_pop(L, 2);
    return known;
  }
  lua_pop(L, 1);
  lua_pushvalue(L, -1);
  uint32_t number = new_number(L, values, count);
  lua_pushinteger(L, number);
  lua_rawset(L, numbers);
  return number;
}

static uint32_t hash_of(const char *text, size_t size) {
  const uint64_t factor = UINT64_C(0x9e3779b97f4a7c15);
  uint64_t hash = size * factor;
  while (size > 0) {
    uint64_t word = 0;
    size_t part = size < sizeof word ? size : sizeof word;
    memcpy(&word, text, part);
    hash = (hash ^ word) * factor;
    hash ^= hash >> 32;
    text += part;
    size -= part;
  }
  return (uint32_t)((hash * factor) >> 32);
}

/* The slot of the name on the top, or the empty one where it belongs. */
static uint32_t *find_slot(lua_State *L, const declarations *d, int names,
                           const char *text, uint32_t hash) {
  uint32_t place = hash & (d->slot_count - 1);
  for (;; place = (place + 1) & (d->slot_count - 1)) {
    uint32_t symbol = d->slots[place];
    if (symbol == 0)
      return &d->slots[place];
    if (d->symbols[symbol - 1].hash != hash)
      continue;
    if (d->symbols[symbol - 1].text == text)
      return &d->slots[place];
    lua_rawgeti(L, names, symbol);
    int same = lua_rawequal(L, -1, -2);
    lua_pop(L, 1);
    if (same)
      return &d->slots[place];
  }
}

static void grow_slots(lua_State *L, declarations *d) {
  uint32_t count = d->slot_count ? d->slot_count * 2 : 16;
  if (count == 0)
    luaL_error(L, "too many names");
  uint32_t *slots =
      d->alloc.fn(d->alloc.user, NULL, 0, (size_t)count * sizeof *slots);
  if (!slots) {
    binding_raise(L, "task", ASTRUM_ENOMEM);
    return;
  }
  memset(slots, 0, (size_t)count * sizeof *slots);
  for (uint32_t symbol = 1; symbol <= d->symbol_count; symbol++) {
    uint32_t place = d->symbols[symbol - 1].hash & (count - 1);
    while (slots[place])
      place = (place + 1) & (count - 1);
    slots[place] = symbol;
  }
  if (d->slots)
    d->alloc.fn(d->alloc.user, d->slots, d->slot_count * sizeof *slots, 0);
  d->slots = slots;
  d->slot_count = count;
}

/* The symbol of the name on the top, which is popped; a new one is made. */
static uint32_t symbol_of(lua_State *L, declarations *d, int names) {
  size_t size;
  const char *text = lua_tolstring(L, -1, &size);
  uint32_t hash = hash_of(text, size);
  if (d->symbol_count >= d->slot_count - d->slot_count / 4)
    grow_slots(L, d);
  uint32_t *slot = find_slot(L, d, names, text, hash);
  if (*slot) {
    lua_pop(L, 1);
    return *slot;
  }
  d->symbols = grow(L, d, d->symbols, d->symbol_count, 1, &d->symbol_capacity,
                    sizeof *d->symbols);
  lua_rawseti(L, names, (lua_Integer)d->symbol_count + 1);
  d->symbols[d->symbol_count] = (task_symbol){.text = text, .hash = hash};
  *slot = ++d->symbol_count;
  return *slot;
}

/* The number of the source on the top, which is popped. */
static uint32_t source_of(lua_State *L, declarations *d, int index) {
  /* The last one is kept, so what has its address is the same string. */
  const char *text = lua_tostring(L, -1);
  if (text == d->last_source) {
    lua_pop(L, 1);
    return d->last_source_number;
  }
  lua_getiuservalue(L, index, SOURCES);
  lua_insert(L, -2);
  int table = lua_gettop(L) - 1;
  d->last_source_number = number_of(L, table, table, &d->source_count);
  lua_rawgeti(L, table, d->last_source_number);
  d->last_source = lua_tostring(L, -1);
  lua_pop(L, 2);
  return d->last_source_number;
}

/* --- declaring */

typedef struct {
  declarations *d;
  int store, registry, name, spec; /* places on the stack */
  int body, inputs;                /* inputs: 0 when there are none */
  int names, keys, values;         /* tables of the store */
  uint32_t number, first_input;    /* of the new task, counted from 0 */
} declaring;

/*
 * Whether another task has been declared meanwhile. Whatever makes a new object
 * may collect garbage, and finalizers may declare tasks, or change where tasks
 * are declared: after such a call nothing is written before this was asked.
 */
static int is_overtaken(lua_State *L, const declaring *x) {
  return lua_touserdata(L, x->store) != x->d || x->d->task_count != x->number ||
         x->d->input_count != x->first_input;
}

/* Finds body and inputs in the spec; 0 when it has anything else. */
static int read_spec(lua_State *L, declaring *x) {
  const declarations *d = x->d;
  if (lua_isfunction(L, x->spec)) {
    x->body = x->spec;
    return 1;
  }
  if (!lua_istable(L, x->spec) || lua_getmetatable(L, x->spec))
    return 0;
  lua_pushnil(L);
  lua_pushnil(L);
  int body = lua_gettop(L) - 1, inputs = body + 1;
  lua_pushnil(L);
  while (lua_next(L, x->spec)) {
    const char *key =
        lua_type(L, -2) == LUA_TSTRING ? lua_tostring(L, -2) : NULL;
    if (key == d->run_word)
      lua_replace(L, body);
    else if (key == d->inputs_word)
      lua_replace(L, inputs);
    else
      return 0;
  }
  if (!lua_isfunction(L, body))
    return 0;
  x->body = body;
  if (lua_isnil(L, inputs))
    return 1;
  x->inputs = inputs;
  if (!lua_istable(L, inputs) || lua_getmetatable(L, inputs))
    return 0;
  return 1;
}

/* The number of the key on the top, which is popped. */
static uint32_t key_of(lua_State *L, declaring *x) {
  declarations *d = x->d;
  const char *text =
      lua_type(L, -1) == LUA_TSTRING ? lua_tostring(L, -1) : NULL;
  if (text && text == d->last_key) {
    lua_pop(L, 1);
    return d->last_key_number;
  }
  uint32_t number = number_of(L, x->keys, x->values, &d->key_count);
  if (text) {
    lua_rawgeti(L, x->values, number);
    d->last_key = lua_tostring(L, -1);
    d->last_key_number = number;
    lua_pop(L, 1);
  }
  return number;
}

/* Reads the value on the top, which is popped; 0 when it is not a reference to
   a result or to a field of one. */
static int read_reference(lua_State *L, declaring *x, plain_input *input) {
  int line, owned, at = lua_gettop(L);
  int depth = astrum_binding_read_reference(L, at, x->registry, &line, &owned);
  if (depth < 0)
    return 0; /* what was pushed goes with the call */
  /* task, key or nil, source */
  input->line = line;
  input->source = source_of(L, x->d, x->store);
  if (depth == 0) {
    input->key = owned ? BINDING_HANDLE : 0;
    lua_pop(L, 1);
  } else {
    input->key = key_of(L, x);
  }
  input->symbol = symbol_of(L, x->d, x->names);
  lua_settop(L, at - 1);
  return 1;
}

static int is_reserved(const declarations *d, const char *name) {
  return name == d->ctx_word || name == d->inputs_word;
}

/* Appends an input, which counts once the task does. */
static plain_input *append(lua_State *L, declaring *x, uint32_t place) {
  declarations *d = x->d;
  d->inputs = grow(L, d, d->inputs, x->first_input, place + 1,
                   &d->input_capacity, sizeof *d->inputs);
  plain_input *input = &d->inputs[x->first_input + place];
  memset(input, 0, sizeof *input);
  return input;
}

/* The name of a parameter of the body, or NULL. */
static const char *parameter_of(lua_State *L, const declaring *x, int place) {
  lua_pushvalue(L, x->body);
  const char *name = lua_getlocal(L, NULL, place);
  lua_pop(L, 1);
  return name;
}

/* Reads the names of parameters, that of ctx as NULL; 0 when they are not those
   of a plain declaration. */
static int read_names(lua_State *L, const declaring *x, int count,
                      const char **names, plain_task *task) {
  for (int i = 0; i < count; i++) {
    names[i] = parameter_of(L, x, i + 1);
    if (names[i] == x->d->ctx_word && task->context == 0) {
      names[i] = NULL;
      task->context = (uint8_t)(i + 1);
    } else if (!names[i] || is_reserved(x->d, names[i])) {
      return 0;
    }
  }
  return 1;
}

/* The place of the input whose key is below the top, from 0; -1: it is none. */
static int place_of_input(lua_State *L, const char *const *names, int count,
                          const plain_task *task) {
  if (task->is_listed) {
    lua_Integer position = lua_isinteger(L, -2) ? lua_tointeger(L, -2) : 0;
    return position >= 1 && position <= count ? (int)position - 1 : -1;
  }
  if (lua_type(L, -2) != LUA_TSTRING)
    return -1;
  const char *name = lua_tostring(L, -2);
  for (int i = 0; i < count; i++)
    if (names[i] == name)
      return i - (task->context && i >= task->context);
  return -1;
}

/* An input for each of so many parameters but ctx; the table has no others. */
static int read_parameters(lua_State *L, declaring *x, int parameters,
                           plain_task *task) {
  const char *names[MOST_PARAMETERS];
  uint32_t found = 0;
  if (x->inputs) {
    task->is_listed = lua_rawgeti(L, x->inputs, 1) != LUA_TNIL;
    lua_pop(L, 1);
  }
  if (parameters > MOST_PARAMETERS ||
      (!task->is_listed && !read_names(L, x, parameters, names, task)))
    return 0;
  task->input_count = (uint32_t)parameters - (task->context ? 1 : 0);
  if (task->input_count > 0)
    append(L, x, task->input_count - 1);
  if (x->inputs)
    lua_pushnil(L);
  while (x->inputs && lua_next(L, x->inputs)) {
    plain_input input = {0};
    int place = place_of_input(L, names, parameters, task);
    if (place < 0 || !read_reference(L, x, &input))
      return 0;
    x->d->inputs[x->first_input + (uint32_t)place] = input;
    found++;
  }
  return found == task->input_count;
}

/* How many inputs there are; -1: some have no name. */
static int count_inputs(lua_State *L, const declaring *x) {
  int count = 0;
  lua_pushnil(L);
  while (lua_next(L, x->inputs)) {
    lua_pop(L, 1);
    if (lua_type(L, -1) != LUA_TSTRING) {
      lua_pop(L, 1);
      return -1;
    }
    count++;
  }
  return count;
}

typedef struct {
  const char *text;
  uint32_t number; /* in KEY_VALUES, which keeps it */
} input_name;

static int compare_names(const void *a, const void *b) {
  return strcoll(((const input_name *)a)->text, ((const input_name *)b)->text);
}

/* Pushes memory with the names of the inputs, in the order of table.sort; NULL
   when one cannot be the name of an input of such a body. */
static input_name *sorted_names(lua_State *L, const declaring *x, int count) {
  declarations *d = x->d;
  input_name *names =
      lua_newuserdatauv(L, ((size_t)count + 1) * sizeof *names, 0);
  if (is_overtaken(L, x))
    return NULL;
  int found = 0;
  lua_pushnil(L);
  while (lua_next(L, x->inputs)) {
    size_t size;
    const char *text =
        lua_type(L, -2) == LUA_TSTRING ? lua_tolstring(L, -2, &size) : NULL;
    /* Since they were counted, a finalizer may have changed them. */
    if (found == count || !text || is_reserved(d, text) || strlen(text) != size)
      return NULL;
    lua_pop(L, 1);
    lua_pushvalue(L, -1);
    /* Of very many names few come again. */
    uint32_t number = count > MOST_PARAMETERS
                          ? new_number(L, x->values, &d->key_count)
                          : number_of(L, x->keys, x->values, &d->key_count);
    names[found++] = (input_name){text, number};
  }
  if (found != count)
    return NULL;
  qsort(names, (size_t)count, sizeof *names, compare_names);
  return names;
}

/* Any number of inputs for a body that takes the table of all. */
static int read_table(lua_State *L, declaring *x, plain_task *task) {
  int count = count_inputs(L, x);
  if (count <= 0)
    return 0;
  task->takes_table = 1;
  task->input_count = (uint32_t)count;
  const input_name *names = sorted_names(L, x, count);
  if (!names)
    return 0;
  for (int i = 0; i < count; i++) {
    plain_input input = {.name = names[i].number};
    lua_rawgeti(L, x->values, names[i].number);
    lua_rawget(L, x->inputs);
    if (!read_reference(L, x, &input))
      return 0;
    *append(L, x, (uint32_t)i) = input;
  }
  lua_pop(L, 1);
  return 1;
}

/*
 * declare(name, spec) -> handle, or nothing when this is not a plain
 * declaration, or no right one: then it has to be read in Lua. Nothing has been
 * declared then, and neither when memory is short. A function of the library
 * calls it for its own caller.
 */
static int declare(lua_State *L) {
  lua_Debug ar;
  declarations *d = lua_touserdata(L, STORE);
  declaring x = {.d = d,
                 .store = STORE,
                 .registry = REGISTRY,
                 .name = 1,
                 .spec = 2,
                 .names = TABLE(NAMES),
                 .keys = TABLE(KEYS),
                 .values = TABLE(KEY_VALUES),
                 .number = d->task_count,
                 .first_input = d->input_count};
  if (lua_type(L, x.name) != LUA_TSTRING)
    return 0;
  size_t size = lua_rawlen(L, x.name);
  if (size < 1 || size > 1024 || !read_spec(L, &x) ||
      lua_iscfunction(L, x.body))
    return 0;
  lua_pushvalue(L, x.body);
  lua_getinfo(L, ">u", &ar);
  if (ar.isvararg)
    return 0;
  plain_task task = {.is_plain = 1, .first_input = x.first_input};
  int takes_table =
      ar.nparams == 1 && x.inputs && parameter_of(L, &x, 1) == d->inputs_word;
  if (takes_table ? !read_table(L, &x, &task)
                  : !read_parameters(L, &x, ar.nparams, &task))
    return 0;
  int from_c;
  task.line = astrum_binding_push_place(L, KINDS, 2, 0, &from_c);
  int place = lua_gettop(L);
  astrum_binding_push_handle(L, x.name, x.registry, place, task.line);
  if (is_overtaken(L, &x))
    return 0;
  /* From here on nothing makes an object. */
  lua_pushvalue(L, x.name);
  task.symbol = symbol_of(L, d, x.names);
  if (d->symbols[task.symbol - 1].number)
    return 0;
  lua_pushvalue(L, place);
  task.source = source_of(L, d, x.store);
  d->tasks = grow(L, d, d->tasks, d->task_count, 1, &d->task_capacity,
                  sizeof *d->tasks);
  lua_pushvalue(L, x.body);
  lua_rawseti(L, TABLE(BODIES), (lua_Integer)d->task_count + 1);
  d->tasks[d->task_count] = task;
  d->input_count += task.input_count;
  d->symbols[task.symbol - 1].number = ++d->task_count;
  return 1;
}

/* store:declarer(registry) -> declare; handles belong to the registry */
static int declarer(lua_State *L) {
  binding_check_declarations(L, 1);
  lua_settop(L, 2);
  for (int value = NAMES; value <= KEY_VALUES; value++)
    lua_getiuservalue(L, 1, value);
  astrum_binding_push_reference_type(L);
  lua_insert(L, 1);
  astrum_binding_push_kinds(L);
  lua_insert(L, 2);
  lua_pushcclosure(L, declare, lua_gettop(L));
  return 1;
}

/* store:adopt(declare): from now on it declares here */
static int adopt(lua_State *L) {
  binding_check_declarations(L, 1);
  luaL_argcheck(L, lua_tocfunction(L, 2) == declare, 2, "no declarer");
  lua_settop(L, 2);
  lua_pushvalue(L, 1);
  lua_setupvalue(L, 2, 3);
  for (int value = NAMES; value <= KEY_VALUES; value++) {
    lua_getiuservalue(L, 1, value);
    lua_setupvalue(L, 2, 4 + value);
  }
  return 0;
}

/* store:add(name) -> number of a declaration that is not plain */
static int add(lua_State *L) {
  declarations *d = binding_check_declarations(L, 1);
  luaL_checktype(L, 2, LUA_TSTRING);
  lua_settop(L, 2);
  lua_getiuservalue(L, 1, NAMES);
  lua_pushvalue(L, 2);
  uint32_t symbol = symbol_of(L, d, 3);
  d->tasks = grow(L, d, d->tasks, d->task_count, 1, &d->task_capacity,
                  sizeof *d->tasks);
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
  if (lua_type(L, 2) != LUA_TSTRING || d->slot_count == 0)
    return 0;
  size_t size;
  const char *text = lua_tolstring(L, 2, &size);
  lua_getiuservalue(L, 1, NAMES);
  lua_insert(L, 2);
  uint32_t symbol = *find_slot(L, d, 2, text, hash_of(text, size));
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
  lua_getiuservalue(L, 1, NAMES);
  lua_rawgeti(L, -1, d->tasks[number - 1].symbol);
  return 1;
}

static void push_source(lua_State *L, uint32_t source) {
  lua_getiuservalue(L, 1, SOURCES);
  lua_rawgeti(L, -1, source);
  lua_replace(L, -2);
}

static void push_body(lua_State *L, uint32_t number) {
  lua_getiuservalue(L, 1, BODIES);
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
  lua_getiuservalue(L, 1, NAMES);
  lua_rawgeti(L, -1, task->symbol);
  lua_replace(L, -2);
  push_body(L, number);
  push_source(L, task->source);
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
  lua_getiuservalue(L, 1, KEY_VALUES);
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
  lua_getiuservalue(L, 1, NAMES);
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
  push_source(L, input->source);
  lua_pushinteger(L, input->line);
  lua_pushboolean(L, input->key == BINDING_HANDLE);
  return 6;
}

/* --- building */

/*
 * store:add_tasks(graph, first, count, policy) -> number behind the last one
 * that has been added: plain declarations, from `first` to at most `count`.
 */
static int add_tasks(lua_State *L) {
  const declarations *d = binding_check_declarations(L, 1);
  astrum_graph *graph = astrum_binding_graph(L, 2);
  uint32_t number = (uint32_t)luaL_checkinteger(L, 3);
  uint32_t count = check_number(L, d, 4);
  lua_getiuservalue(L, 1, NAMES);
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
    {"declarer", declarer}, {"adopt", adopt},
    {"add", add},           {"count", count_of},
    {"find", find},         {"is_plain", is_plain},
    {"name", name_of},      {"plain", plain},
    {"input", input_of},    {"add_tasks", add_tasks},
    {"connect", connect},   {"__gc", free_declarations},
    {NULL, NULL},
};

int binding_open_declare(lua_State *L) {
  binding_type(L, DECLARATIONS_TYPE, methods);
  lua_pushcfunction(L, new_declarations);
  lua_setfield(L, -2, "declarations");
  return 0;
}
