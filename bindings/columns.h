/*
 * Declarations in columns. Most tasks are a body whose inputs are references to
 * results or to a field of them, and perhaps ctx, and nothing else. Such a
 * plain declaration is a few numbers here, the name and the body; a record of
 * Lua tables is made of it only when somebody looks at it. All others keep
 * their place in the order.
 *
 *   lua_declare.c  reads what the user gives
 *   lua_columns.c  keeps it; looking at it, and building of it
 *
 * Declarations are numbered from 1 in their order. Symbols are the names of
 * tasks, whether declared or only referred to, numbered from 1 as they come.
 */
#ifndef ASTRUM_COLUMNS_H
#define ASTRUM_COLUMNS_H

#include "binding.h"

typedef struct {
  uint32_t symbol, first_input, input_count;
  int line;
  uint32_t source;
  uint8_t is_plain;    /* else only `symbol` means something */
  uint8_t takes_table; /* its one parameter is `inputs` */
  uint8_t is_listed;   /* its inputs are in the order of its parameters */
  uint8_t context;     /* place of the parameter `ctx`, from 1; 0: none */
} plain_task;

#define BINDING_HANDLE UINT32_MAX

typedef struct {
  uint32_t symbol; /* of the task that it reads from */
  uint32_t key;    /* number of the field; 0: the whole result, BINDING_HANDLE:
                      the same, given as the handle of the task */
  uint32_t name;   /* number of the parameter's name, when it takes a table */
  int line;
  uint32_t source;
} plain_input;

typedef struct {
  const char *text; /* of the string that is kept */
  uint32_t number;  /* of the declaration, or 0 */
  uint32_t next;    /* symbol in the same slot, or 0 */
} task_symbol;

/* Of a chunk, as it is shown. */
typedef struct {
  char text[LUA_IDSIZE];
} task_source;

typedef struct {
  astrum_alloc alloc;
  plain_task *tasks;
  plain_input *inputs;
  task_symbol *symbols;
  task_source *sources;
  uint32_t *source_slots; /* hash table of their numbers, 0: empty */
  uint32_t *slots;        /* hash table: the first symbol of each, 0: none */
  uint32_t task_count, task_capacity;
  uint32_t input_count, input_capacity;
  uint32_t symbol_count, symbol_capacity, slot_count;
  uint32_t source_count, source_capacity, source_slot_count;
  uint32_t key_count;
  size_t longest;          /* bytes of a name that is found by its address */
  const void *last_source; /* a function, which is kept */
  const void *last_caller; /* a function of the user, which is kept */
  const void *last_key;
  uint32_t last_source_number, last_caller_number, last_key_number;
  /* Words that are kept: as lua_topointer tells them, and their texts. */
  const void *run_key, *inputs_key;
  const char *inputs_word, *ctx_word;
} declarations;

/* User values of the declarations of a registry. */
enum {
  COLUMN_NAMES = 1,  /* symbol -> name */
  COLUMN_BODIES,     /* declaration -> body of one that is plain */
  COLUMN_KEYS,       /* key of a path -> its number */
  COLUMN_KEY_VALUES, /* number -> key, or name of a parameter */
  COLUMN_LONG_NAMES, /* name -> symbol, of those not found by their address */
  COLUMN_LAST,       /* LAST_...: what the fields of these names are of */
  COLUMN_WORDS,      /* those that mean something in a spec */
  COLUMN_COUNT = COLUMN_WORDS
};

/* In the table COLUMN_LAST. */
enum { LAST_SOURCE = 1, LAST_CALLER, LAST_CALLER_SOURCE };

declarations *binding_check_declarations(lua_State *L, int index);
const plain_input *binding_plain_inputs(const declarations *d, uint32_t number,
                                        uint32_t *count);

/* The tables of bodies by number of the declaration, and of keys by number; the
   declarations are at `index`. */
void binding_push_plain_bodies(lua_State *L, int index);
void binding_push_plain_keys(lua_State *L, int index);

/* --- for lua_declare.c. All raise for want of memory. */

/* Makes room for `more` than `count` elements; returns where they are now. */
void *binding_grow_columns(lua_State *L, declarations *d, void *list,
                           uint32_t count, uint32_t more, uint32_t *capacity,
                           size_t size);

/* A new number for the value on the top, which is popped. */
uint32_t binding_new_number(lua_State *L, int values, uint32_t *count);

/* The number of the value on the top, which is popped, in two tables that stand
   at `numbers` and `values`. */
uint32_t binding_number_of(lua_State *L, int numbers, int values,
                           uint32_t *count);

/* The symbol of the name at a place, or a new one. The tables of names and of
   long names stand at those places. */
uint32_t binding_symbol_of(lua_State *L, declarations *d, int name, int names,
                           int long_names);

/* The number of the source at a place, or of that of the function there; 0: it
   is too long. The declarations are at `index`. Makes no object. */
uint32_t binding_source_of(lua_State *L, declarations *d, int index,
                           int source);

/* From now on the function below the top is the last caller, and what is on the
   top its source, of that number. Pops both. */
void binding_keep_caller(lua_State *L, declarations *d, int index,
                         uint32_t source);

/* --- lua_declare.c */

/* store:declarer(registry) -> declare; handles belong to the registry */
int binding_declarer(lua_State *L);
/* store:adopt(declare): from now on it declares here */
int binding_adopt_declarer(lua_State *L);

#endif
