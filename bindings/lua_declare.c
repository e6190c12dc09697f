/*
 * Declaring plain tasks: reads what the user gives, and writes it in columns.
 * What it finds that is not plain, or not right, is read again in Lua, where
 * the messages are.
 */
#include "columns.h"
#include "lua_inspect.h"
#include "reference.h"

#include <locale.h>
#include <stdlib.h>
#include <string.h>

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

typedef struct {
  declarations *d;
  int store, registry, name, spec;     /* places on the stack */
  int body, inputs;                    /* inputs: 0 when there are none */
  int names, long_names, keys, values; /* tables of the store */
  uint32_t number, first_input;        /* of the new task, counted from 0 */
} declaring;

/*
 * Whether another task has been declared meanwhile. Whatever makes a new object
 * may collect garbage, and finalizers may declare tasks, or change where tasks
 * are declared: after such a call nothing is written before this was asked.
 */
static int is_overtaken(lua_State *L, const declaring *x) {
  return lua_touserdata(L, STORE) != x->d || x->d->task_count != x->number ||
         x->d->input_count != x->first_input;
}

static int is_plain_table(lua_State *L, int index) {
  return lua_istable(L, index) && !lua_getmetatable(L, index);
}

/* Finds body and inputs in the spec; 0 when it has anything else. */
static int read_spec(lua_State *L, declaring *x) {
  const declarations *d = x->d;
  if (lua_isfunction(L, x->spec)) {
    x->body = x->spec;
    return 1;
  }
  if (!is_plain_table(L, x->spec))
    return 0;
  int top = lua_gettop(L);
  lua_pushnil(L);
  while (lua_next(L, x->spec)) {
    const void *key = lua_topointer(L, -2);
    lua_insert(L, -2); /* the value stays, below its key */
    top++;
    if (key == d->run_key)
      x->body = top;
    else if (key == d->inputs_key)
      x->inputs = top;
    else
      return 0;
  }
  return x->body && lua_isfunction(L, x->body) &&
         (!x->inputs || is_plain_table(L, x->inputs));
}

/* The number of the key at a place. */
static uint32_t key_of(lua_State *L, declaring *x, int index) {
  declarations *d = x->d;
  const void *key = lua_topointer(L, index);
  if (key && key == d->last_key)
    return d->last_key_number;
  lua_pushvalue(L, index);
  uint32_t number = binding_number_of(L, x->keys, x->values, &d->key_count);
  if (key) {
    lua_rawgeti(L, x->values, number);
    d->last_key = lua_topointer(L, -1);
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
  int source = lua_gettop(L), key = source - 1, task = source - 2;
  input->line = line;
  input->source = binding_source_of(L, x->d, x->store, source);
  if (input->source == 0)
    return 0;
  if (depth > 0)
    input->key = key_of(L, x, key);
  else
    input->key = owned ? BINDING_HANDLE : 0;
  input->symbol = binding_symbol_of(L, x->d, task, x->names, x->long_names);
  lua_settop(L, at - 1);
  return 1;
}

static int is_reserved(const declarations *d, const char *name) {
  return name == d->ctx_word || name == d->inputs_word;
}

/* Appends an input, which counts once the task does. */
static plain_input *append(lua_State *L, declaring *x, uint32_t place) {
  declarations *d = x->d;
  d->inputs = binding_grow_columns(L, d, d->inputs, x->first_input, place + 1,
                                   &d->input_capacity, sizeof *d->inputs);
  plain_input *input = &d->inputs[x->first_input + place];
  memset(input, 0, sizeof *input);
  return input;
}

typedef struct {
  int count; /* of parameters */
  int named; /* of these, as far as they are known */
  const char *names[MOST_PARAMETERS];
} parameters;

/* Reads those of the body; 0 when it takes any number. */
static int read_parameters(lua_State *L, const declaring *x, parameters *p) {
  lua_Debug ar;
  lua_pushvalue(L, x->body);
  p->named = 0;
  while (p->named < MOST_PARAMETERS &&
         (p->names[p->named] = lua_getlocal(L, NULL, p->named + 1)))
    p->named++;
  lua_getinfo(L, ">u", &ar);
  p->count = ar.nparams;
  return !ar.isvararg && p->count <= MOST_PARAMETERS;
}

/* Finds ctx among the names, which becomes NULL there; 0 when they are not
   those of a plain declaration. */
static int check_names(const declaring *x, parameters *p, plain_task *task) {
  if (p->named != p->count)
    return 0;
  for (int i = 0; i < p->count; i++) {
    if (p->names[i] == x->d->ctx_word && task->context == 0) {
      p->names[i] = NULL;
      task->context = (uint8_t)(i + 1);
    } else if (is_reserved(x->d, p->names[i])) {
      return 0;
    }
  }
  return 1;
}

/* The place of the input whose key is below the top, from 0; -1: it is none. */
static int place_of_input(lua_State *L, const parameters *p,
                          const plain_task *task) {
  if (task->is_listed) {
    lua_Integer position = lua_isinteger(L, -2) ? lua_tointeger(L, -2) : 0;
    return position >= 1 && position <= p->count ? (int)position - 1 : -1;
  }
  if (lua_type(L, -2) != LUA_TSTRING)
    return -1;
  const char *name = lua_tostring(L, -2);
  for (int i = 0; i < p->count; i++)
    if (p->names[i] == name)
      return i - (task->context && i >= task->context);
  return -1;
}

/* Makes room for an input for each parameter but ctx. */
static int expect_inputs(lua_State *L, declaring *x, parameters *p,
                         plain_task *task) {
  if (!task->is_listed && !check_names(x, p, task))
    return 0;
  task->input_count = (uint32_t)p->count - (task->context ? 1 : 0);
  if (task->input_count > 0)
    append(L, x, task->input_count - 1);
  return 1;
}

/* An input for each of the parameters but ctx; the table has no others. */
static int read_inputs(lua_State *L, declaring *x, parameters *p,
                       plain_task *task) {
  uint32_t found = 0;
  if (x->inputs)
    lua_pushnil(L);
  while (x->inputs && lua_next(L, x->inputs)) {
    if (found == 0) {
      task->is_listed = (uint8_t)lua_isinteger(L, -2);
      if (!expect_inputs(L, x, p, task))
        return 0;
    }
    plain_input input = {0};
    int place = place_of_input(L, p, task);
    if (place < 0 || !read_reference(L, x, &input))
      return 0;
    x->d->inputs[x->first_input + (uint32_t)place] = input;
    found++;
  }
  if (found == 0 && !expect_inputs(L, x, p, task))
    return 0;
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
  uint64_t head; /* how the text begins, where that tells the order */
  const char *text;
  uint32_t number; /* in COLUMN_KEY_VALUES, which keeps it */
} input_name;

static int compare_names(const void *first, const void *second) {
  const input_name *a = first, *b = second;
  if (a->head != b->head)
    return a->head < b->head ? -1 : 1;
  return strcoll(a->text, b->text);
}

/* Whether strcoll goes by bytes. */
static int is_order_of_bytes(void) {
  const char *locale = setlocale(LC_COLLATE, NULL);
  return locale && (strcmp(locale, "C") == 0 || strcmp(locale, "POSIX") == 0);
}

/* The first bytes of a text, as a number that is ordered as they are. */
static uint64_t head_of(const char *text, size_t size) {
  uint64_t head = 0;
  for (size_t i = 0; i < sizeof head; i++)
    head = head << 8 | (i < size ? (unsigned char)text[i] : 0);
  return head;
}

/* Pushes memory with the names of the inputs, in the order of table.sort; NULL
   when one cannot be the name of an input of such a body. */
static input_name *sorted_names(lua_State *L, const declaring *x, int count) {
  declarations *d = x->d;
  input_name *names =
      lua_newuserdatauv(L, ((size_t)count + 1) * sizeof *names, 0);
  if (is_overtaken(L, x))
    return NULL;
  int found = 0, by_bytes = is_order_of_bytes();
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
    uint32_t number =
        count > MOST_PARAMETERS
            ? binding_new_number(L, x->values, &d->key_count)
            : binding_number_of(L, x->keys, x->values, &d->key_count);
    uint64_t head = by_bytes ? head_of(text, size) : 0;
    names[found++] = (input_name){head, text, number};
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

/* Pushes the source of the caller, and notes where the task is declared. */
static void push_caller(lua_State *L, const declaring *x, plain_task *task) {
  declarations *d = x->d;
  lua_Debug ar;
  if (lua_getstack(L, 2, &ar)) {
    lua_getinfo(L, "fl", &ar);
    if (lua_topointer(L, -1) == d->last_caller) {
      task->line = ar.currentline;
      task->source = d->last_caller_number;
      lua_rawgeti(L, TABLE(COLUMN_LAST), LAST_CALLER_SOURCE);
      return;
    }
  } else {
    lua_pushnil(L);
  }
  int is_further;
  task->line = astrum_binding_push_place(L, KINDS, 2, 0, &is_further);
  task->source = binding_source_of(L, d, x->store, lua_gettop(L));
  if (!is_further) {
    lua_pushvalue(L, -2);
    lua_pushvalue(L, -2);
    binding_keep_caller(L, d, x->store, task->source);
  }
}

/*
 * declare(name, spec) -> handle, or nothing when this is not a plain
 * declaration, or no right one: then it has to be read in Lua. Nothing has been
 * declared then, and neither when memory is short. A function of the library
 * calls it for its own caller.
 */
static int declare(lua_State *L) {
  declarations *d = lua_touserdata(L, STORE);
  declaring x = {.d = d,
                 .store = 3,
                 .registry = REGISTRY,
                 .name = 1,
                 .spec = 2,
                 .names = TABLE(COLUMN_NAMES),
                 .long_names = TABLE(COLUMN_LONG_NAMES),
                 .keys = TABLE(COLUMN_KEYS),
                 .values = TABLE(COLUMN_KEY_VALUES),
                 .number = d->task_count,
                 .first_input = d->input_count};
  if (lua_type(L, x.name) != LUA_TSTRING)
    return 0;
  lua_settop(L, 2);
  lua_pushvalue(L, STORE); /* a finalizer may take another one */
  size_t size = lua_rawlen(L, x.name);
  parameters p;
  if (size < 1 || size > 1024 || !read_spec(L, &x) ||
      lua_iscfunction(L, x.body) || !read_parameters(L, &x, &p))
    return 0;
  plain_task task = {.is_plain = 1, .first_input = x.first_input};
  int takes_table =
      x.inputs && p.count == 1 && p.named == 1 && p.names[0] == d->inputs_word;
  if (takes_table ? !read_table(L, &x, &task) : !read_inputs(L, &x, &p, &task))
    return 0;
  push_caller(L, &x, &task);
  astrum_binding_push_handle(L, x.name, x.registry, lua_gettop(L), task.line);
  if (is_overtaken(L, &x))
    return 0;
  /* From here on nothing makes an object. */
  task.symbol = binding_symbol_of(L, d, x.name, x.names, x.long_names);
  if (d->symbols[task.symbol - 1].number)
    return 0;
  d->tasks = binding_grow_columns(L, d, d->tasks, d->task_count, 1,
                                  &d->task_capacity, sizeof *d->tasks);
  lua_pushvalue(L, x.body);
  lua_rawseti(L, TABLE(COLUMN_BODIES), (lua_Integer)d->task_count + 1);
  d->tasks[d->task_count] = task;
  d->input_count += task.input_count;
  d->symbols[task.symbol - 1].number = ++d->task_count;
  return 1;
}

int binding_declarer(lua_State *L) {
  binding_check_declarations(L, 1);
  lua_settop(L, 2);
  for (int value = COLUMN_NAMES; value <= COLUMN_LAST; value++)
    lua_getiuservalue(L, 1, value);
  astrum_binding_push_reference_type(L);
  lua_insert(L, 1);
  astrum_binding_push_kinds(L);
  lua_insert(L, 2);
  lua_pushcclosure(L, declare, lua_gettop(L));
  return 1;
}

int binding_adopt_declarer(lua_State *L) {
  binding_check_declarations(L, 1);
  luaL_argcheck(L, lua_tocfunction(L, 2) == declare, 2, "no declarer");
  lua_settop(L, 2);
  lua_pushvalue(L, 1);
  lua_setupvalue(L, 2, 3);
  for (int value = COLUMN_NAMES; value <= COLUMN_LAST; value++) {
    lua_getiuservalue(L, 1, value);
    lua_setupvalue(L, 2, 4 + value);
  }
  return 0;
}
