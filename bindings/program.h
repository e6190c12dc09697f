/* Programs (lua_program.c): bodies, and where their arguments come from. */
#ifndef ASTRUM_PROGRAM_H
#define ASTRUM_PROGRAM_H

#include "binding.h"

enum {
  ARGUMENT_CONSTANT,
  ARGUMENT_REFERENCE,
  ARGUMENT_FUNCTION, /* called for each attempt */
  ARGUMENT_TEMPLATE, /* a table that is rebuilt with the references' values */
  ARGUMENT_INPUTS,   /* the table of all inputs */
  ARGUMENT_CONTEXT,
  ARGUMENT_ITEM, /* of the list number `value` of a map, from 1 */
  ARGUMENT_PARAM /* of the run, by its name */
};

enum {
  TYPE_NONE, /* unchecked */
  TYPE_INTEGER,
  TYPE_NUMBER,
  TYPE_STRING,
  TYPE_BOOLEAN,
  TYPE_TABLE,
  TYPE_LIST,
  TYPE_FUNCTION,
  TYPE_ANY,
  TYPE_PREDICATE
};

typedef struct {
  uint8_t kind, type;
  uint8_t optional;  /* nil is allowed, and so is nil on the way */
  uint8_t hidden;    /* only in the table of all inputs */
  uint32_t source;   /* task of a reference */
  uint32_t depth;    /* keys of its path */
  uint32_t value;    /* index in the values: keys of the path; the constant,
                        function or template */
  uint32_t check;    /* index of the predicate, or 0 */
  uint32_t fallback; /* index of the default value, or 0 */
  uint32_t name;     /* index of the parameter's name, or 0 */
} argument;

typedef struct {
  uint32_t first, count; /* arguments */
  uint32_t extra;        /* index in the extras and 1, or 0 */
  uint8_t slow;          /* something of Lua must run to resolve them */
  uint8_t wants_inputs;
  uint8_t uncertain; /* may run although a task upstream did not complete */
  uint8_t limited;   /* has a timeout */
} body_plan;

/* What few tasks have. */
typedef struct {
  uint32_t list_count; /* of a map: so many arguments behind the others */
  uint32_t condition;  /* index in the values, or 0: a function; behind it the
                          numbers of the arguments that it takes */
  uint32_t retry_on;   /* index in the values, or 0: a function of the error */
  uint64_t
      cancel_grace; /* of its processes between TERM and KILL, ns; 0: 5 s */
} body_extra;

/* User values: 1 the graph, 2 the bodies by task, 3 the values. */
struct program {
  const astrum_graph *graph;
  astrum_alloc alloc;
  body_plan *bodies;
  uint32_t task_count;
  argument *arguments;
  size_t argument_count, argument_capacity;
  body_extra *extras;
  uint32_t extra_count, extra_capacity;
  uint32_t value_count;
  uint32_t plain_keys; /* keys of plain declarations follow this value */
  int has_plain_keys;
  int has_maps;
  uint8_t *keeps; /* by task: its result stays; NULL: all do */
};

/* The extra of a task, or NULL. */
static inline const body_extra *binding_extra(const program *p, uint32_t task) {
  uint32_t extra = p->bodies[task].extra;
  return extra ? &p->extras[extra - 1] : NULL;
}

#define PROGRAM_TYPE "astrum.program"
program *binding_check_program(lua_State *L, int index);

/* Why an argument could not be resolved. */
enum {
  PROBLEM_NONE,
  PROBLEM_NOT_TABLE, /* something on the way cannot be indexed */
  PROBLEM_NO_FIELD,
  PROBLEM_TYPE,
  PROBLEM_REFUSED,       /* by a predicate */
  PROBLEM_TOO_MANY,      /* more arguments than a Lua stack holds */
  PROBLEM_NOT_COMPLETED, /* the task that it reads from is */
  PROBLEM_NOT_LIST,      /* what a map goes over */
  PROBLEM_LENGTHS,       /* of the lists of a map are not the same */
  PROBLEM_ITEMS,         /* more than max_items */
  PROBLEM_CONDITION      /* the condition raised an error */
};

typedef struct {
  uint8_t problem;
  uint32_t
      argument;  /* number among the task's, from 0; lists of a map follow */
  uint32_t step; /* how many keys of the path had been followed */
} input_problem;

/*
 * Pushes body and arguments of an attempt onto engine->slots, which holds the
 * tables of its run. Returns the number of arguments; -1: this needs Lua code,
 * so binding_prelude must do it; -2: an argument has a problem, described in
 * the attempt, and the value it has it with is on the top. Raises nothing.
 */
int binding_push_call(engine *e, attempt *a);

/* Resolves inputs inside the coroutine, asks the condition, and calls the body;
   or, for a map that is expanded, resolves and counts its lists. Argument: the
   attempt as light userdata. */
int binding_prelude(lua_State *L);

#endif
