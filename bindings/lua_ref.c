/*
 * References: F.load_order.items[1].sku names a value that exists only inside
 * a run. A reference is a userdata that points to the one it was made from:
 *
 *   .sku -> [1] -> .items -> the task "load_order", and perhaps its owner
 *
 * Every field name is free, because the data sits in user values. Whatever
 * would use a reference as a value raises an error that says what it is.
 */
#include "lua_inspect.h"
#include "reference.h"

#include <lauxlib.h>
#include <stdio.h>
#include <string.h>

/* User values of a reference. */
enum {
  PARENT = 1, /* the reference it was made from; at the root the task's name */
  SOURCE,     /* the function that made it, or the short source of one */
  KEY         /* string or index; at the root the owner, if there is one */
};

typedef struct {
  int depth; /* keys from the task's result to here */
  int line;
} reference;

/* User values of what all functions here share. */
enum { MAKE_ERROR = 1, SHARED_VALUES = MAKE_ERROR };

#define METATABLE lua_upvalueindex(1)
#define SHARED lua_upvalueindex(2)
#define UPVALUES 2

static const char *const metatable_name = "astrum.reference";

/* --- Making references ---------------------------------------------------- */

static reference *to_reference(lua_State *L, int index) {
  reference *ref = (reference *)lua_touserdata(L, index);
  int same;
  if (ref == NULL || !lua_getmetatable(L, index))
    return NULL;
  same = lua_rawequal(L, -1, METATABLE);
  lua_pop(L, 1);
  return same ? ref : NULL;
}

static reference *check_reference(lua_State *L, int index) {
  reference *ref = to_reference(L, index);
  if (ref == NULL)
    luaL_typeerror(L, index, "reference");
  return ref;
}

/*
 * Pushes the nearest Lua function on the stack, or "?" where there is none, and
 * returns its line. `*from_c`: a C function stands between it and us. Its
 * source is found when somebody wants to know it.
 */
static int push_place(lua_State *L, int *from_c) {
  lua_Debug ar;
  for (int level = 1; lua_getstack(L, level, &ar); level++) {
    lua_getinfo(L, "fl", &ar);
    *from_c = level > 1;
    if (ar.currentline >= 0 || !lua_iscfunction(L, -1))
      return ar.currentline;
    lua_pop(L, 1);
  }
  lua_pushliteral(L, "?");
  *from_c = 1;
  return -1;
}

/* Replaces a function on the top by its short source. */
static void find_source(lua_State *L) {
  lua_Debug ar;
  if (!lua_isfunction(L, -1))
    return;
  lua_getinfo(L, ">S", &ar);
  lua_pushstring(L, ar.short_src);
}

/* Pushes a reference with parent and key of these places, but with no source
   yet. At the root its key is the owner; 0: none. */
static reference *new_reference(lua_State *L, int depth, int parent, int key) {
  reference *ref =
      (reference *)lua_newuserdatauv(L, sizeof *ref, key ? KEY : SOURCE);
  ref->depth = depth;
  lua_pushvalue(L, parent);
  lua_setiuservalue(L, -2, PARENT);
  if (key) {
    lua_pushvalue(L, key);
    lua_setiuservalue(L, -2, KEY);
  }
  lua_pushvalue(L, METATABLE);
  lua_setmetatable(L, -2);
  return ref;
}

/* Gives the reference below the top the source on the top, which is popped. */
static void set_place(lua_State *L, reference *ref, int line) {
  ref->line = line;
  lua_setiuservalue(L, -2, SOURCE);
}

/* Replaces parent, key and source on top of the stack by a reference. At the
   root the key is the owner or nil. */
static void make_reference(lua_State *L, int depth, int line) {
  int parent = lua_gettop(L) - 2, key = parent + 1;
  reference *ref = new_reference(L, depth, parent, lua_isnil(L, key) ? 0 : key);
  lua_pushvalue(L, parent + 2);
  set_place(L, ref, line);
  lua_replace(L, parent);
  lua_settop(L, parent);
}

void astrum_binding_push_reference_type(lua_State *L) {
  luaL_getmetatable(L, metatable_name);
}

int astrum_binding_read_reference(lua_State *L, int at, int owner, int *line,
                                  int *is_owned) {
  const reference *ref = to_reference(L, at);
  int root = at, top = lua_gettop(L);
  if (ref == NULL || ref->depth > 1)
    return -1;
  *line = ref->line;
  if (ref->depth == 1) {
    lua_getiuservalue(L, at, PARENT);
    root = ++top;
  }
  *is_owned = lua_getiuservalue(L, root, KEY) > LUA_TNIL;
  if (*is_owned && !lua_rawequal(L, -1, owner))
    return -1;
  lua_getiuservalue(L, root, PARENT);
  if (ref->depth == 1)
    lua_getiuservalue(L, at, KEY);
  else
    lua_pushnil(L);
  lua_getiuservalue(L, at, SOURCE);
  return ref->depth;
}

void astrum_binding_push_handle(lua_State *L, int name, int owner, int source,
                                int line) {
  reference *ref = new_reference(L, 0, name, owner);
  lua_pushvalue(L, source);
  set_place(L, ref, line);
}

/* --- Text ----------------------------------------------------------------- */

/*
 * Pushes the task's name, a table of the keys from 1 to the depth, and the
 * owner or nil. Returns the depth.
 */
static int push_path(lua_State *L, int index) {
  int depth = ((reference *)lua_touserdata(L, index))->depth;
  int i;
  lua_createtable(L, depth, 1);
  lua_pushvalue(L, index);
  for (i = depth; i > 0; i--) {
    lua_getiuservalue(L, -1, KEY);
    lua_rawseti(L, -3, i);
    lua_getiuservalue(L, -1, PARENT);
    lua_remove(L, -2);
  }
  lua_getiuservalue(L, -1, PARENT);
  lua_insert(L, -3); /* name, keys, root */
  lua_getiuservalue(L, -1, KEY);
  lua_remove(L, -2);
  return depth;
}

static int is_digit(char c) { return c >= '0' && c <= '9'; }

static void add_quoted(luaL_Buffer *b, const char *text, size_t size) {
  size_t i;
  luaL_addchar(b, '"');
  for (i = 0; i < size; i++) {
    unsigned char c = (unsigned char)text[i];
    if (c == '"' || c == '\\') {
      luaL_addchar(b, '\\');
      luaL_addchar(b, text[i]);
    } else if (c < 32 || c == 127) {
      luaL_addchar(b, '\\');
      luaL_addchar(b, (char)('0' + c / 100));
      luaL_addchar(b, (char)('0' + c / 10 % 10));
      luaL_addchar(b, (char)('0' + c % 10));
    } else {
      luaL_addchar(b, text[i]);
    }
  }
  luaL_addchar(b, '"');
}

static void add_name(luaL_Buffer *b, const char *text, size_t size) {
  if (astrum_binding_is_identifier(text, size)) {
    luaL_addchar(b, '.');
    luaL_addlstring(b, text, size);
    return;
  }
  luaL_addchar(b, '[');
  add_quoted(b, text, size);
  luaL_addchar(b, ']');
}

/* Pushes the reference as the user would write it, F.load_order.items[1]. */
static void push_text(lua_State *L, int index) {
  luaL_Buffer b;
  const char *text;
  size_t size;
  int depth, i, keys;
  index = lua_absindex(L, index);
  depth = push_path(L, index);
  lua_pop(L, 1);
  keys = lua_gettop(L);
  text = lua_tolstring(L, -2, &size);
  luaL_buffinit(L, &b);
  luaL_addchar(&b, 'F');
  add_name(&b, text, size);
  for (i = 1; i <= depth; i++) {
    if (lua_rawgeti(L, keys, i) == LUA_TSTRING) {
      text = lua_tolstring(L, -1, &size);
      lua_pop(L, 1); /* it stays alive in the table of keys */
      add_name(&b, text, size);
    } else {
      char step[32];
      snprintf(step, sizeof step, "[" LUA_INTEGER_FMT "]",
               lua_tointeger(L, -1));
      lua_pop(L, 1);
      luaL_addstring(&b, step);
    }
  }
  luaL_pushresult(&b);
  lua_replace(L, keys - 1); /* in place of the name */
  lua_settop(L, keys - 1);
}

/* --- Errors --------------------------------------------------------------- */

/* Raises the message on top, as what the function of on_misuse makes of it. */
static int raise_message(lua_State *L) {
  if (lua_getiuservalue(L, SHARED, MAKE_ERROR) == LUA_TFUNCTION) {
    lua_insert(L, -2);
    lua_call(L, 1, 1);
  } else {
    lua_pop(L, 1);
    luaL_where(L, 1);
    lua_insert(L, -2);
    lua_concat(L, 2);
  }
  return lua_error(L);
}

static int raise_value_misuse(lua_State *L, int index) {
  push_text(L, index);
  lua_pushliteral(L, " is a reference; its value exists only inside run"
                     "\nhelp: list it in inputs, and use the parameter of run");
  lua_concat(L, 2);
  return raise_message(L);
}

/*
 * Checks the key at `key` for the reference at `ref` (0: for F, which takes
 * names only), and makes a whole float an integer.
 */
static void check_key(lua_State *L, int ref, int key) {
  int is_whole;
  lua_Integer index;
  if (lua_type(L, key) == LUA_TSTRING)
    return;
  if (ref == 0) {
    lua_pushfstring(L, "F: the name of a task is a string, got %s",
                    luaL_typename(L, key));
    raise_message(L);
  }
  if (lua_type(L, key) != LUA_TNUMBER) {
    push_text(L, ref);
    lua_pushfstring(L, "%s: a key is a name or an index from 1, got %s",
                    lua_tostring(L, -1), luaL_typename(L, key));
    raise_message(L);
  }
  index = lua_tointegerx(L, key, &is_whole);
  if (!is_whole || index < 1) {
    push_text(L, ref);
    luaL_tolstring(L, key, NULL);
    lua_pushfstring(L, "%s[%s]: %s", lua_tostring(L, -2), lua_tostring(L, -1),
                    is_whole ? "indexes start at 1"
                             : "an index is a whole number from 1");
    raise_message(L);
  }
  lua_pushinteger(L, index);
  lua_replace(L, key);
}

/* --- Metamethods of a reference ------------------------------------------- */

static int reference_index(lua_State *L) {
  int depth = check_reference(L, 1)->depth + 1;
  int from_c, line;
  lua_settop(L, 2);
  if (lua_type(L, 2) != LUA_TSTRING)
    check_key(L, 1, 2);
  reference *ref = new_reference(L, depth, 1, 2);
  line = push_place(L, &from_c);
  /* ipairs, table.unpack and their like would go on for ever. */
  if (from_c && lua_isinteger(L, 2))
    return raise_value_misuse(L, 1);
  set_place(L, ref, line);
  return 1;
}

static int reference_misuse(lua_State *L) {
  if (to_reference(L, 1) != NULL)
    return raise_value_misuse(L, 1);
  check_reference(L, 2);
  return raise_value_misuse(L, 2);
}

static int reference_newindex(lua_State *L) {
  check_reference(L, 1);
  reference_index(L);
  return raise_value_misuse(L, lua_gettop(L));
}

static int reference_call(lua_State *L) {
  check_reference(L, 1);
  push_text(L, 1);
  lua_pushliteral(L, " is a reference and cannot be called; its value exists "
                     "only inside run\nhelp: list it in inputs, and use the "
                     "parameter of run");
  lua_concat(L, 2);
  return raise_message(L);
}

/*
 * Whether both name the same value. Owners are compared where both are known:
 * tasks of one name in two registries are two tasks.
 */
static int reference_eq(lua_State *L) {
  const reference *a = to_reference(L, 1);
  const reference *b = to_reference(L, 2);
  int same = a != NULL && b != NULL && a->depth == b->depth;
  int i;
  if (!same) {
    lua_pushboolean(L, 0);
    return 1;
  }
  lua_settop(L, 2);
  for (i = a->depth; same && i > 0; i--) {
    lua_getiuservalue(L, 1, KEY);
    lua_getiuservalue(L, 2, KEY);
    same = lua_rawequal(L, -1, -2);
    lua_settop(L, 2);
    lua_getiuservalue(L, 1, PARENT);
    lua_getiuservalue(L, 2, PARENT);
    lua_replace(L, 2);
    lua_replace(L, 1);
  }
  if (same) {
    lua_getiuservalue(L, 1, PARENT);
    lua_getiuservalue(L, 2, PARENT);
    lua_getiuservalue(L, 1, KEY);
    lua_getiuservalue(L, 2, KEY);
    same = lua_rawequal(L, 3, 4) &&
           (lua_isnil(L, 5) || lua_isnil(L, 6) || lua_rawequal(L, 5, 6));
  }
  lua_pushboolean(L, same);
  return 1;
}

static int reference_tostring(lua_State *L) {
  check_reference(L, 1);
  push_text(L, 1);
  return 1;
}

/* --- F -------------------------------------------------------------------- */

static int root_index(lua_State *L) {
  int from_c;
  lua_settop(L, 2);
  check_key(L, 0, 2);
  reference *ref = new_reference(L, 0, 2, 0);
  int line = push_place(L, &from_c);
  set_place(L, ref, line);
  return 1;
}

static int root_misuse(lua_State *L) {
  lua_pushliteral(L, "F is where references begin and has no value; name a "
                     "task, as in F.load_order");
  return raise_message(L);
}

static int root_newindex(lua_State *L) {
  root_index(L);
  return raise_value_misuse(L, lua_gettop(L));
}

static int root_tostring(lua_State *L) {
  lua_pushliteral(L, "F");
  return 1;
}

static int raise_bad_path(lua_State *L, int path, const char *why) {
  lua_pushfstring(L, "F \"%s\": %s; a path is written task.field[1].field",
                  lua_tostring(L, path), why);
  return raise_message(L);
}

/* Replaces the reference on top by the one that a key (pushed on it) makes. */
static void make_child(lua_State *L, int depth, int source, int line) {
  lua_pushvalue(L, source);
  make_reference(L, depth, line);
}

/* Pushes what "task.field[1].field" at index `path` names. */
static void make_from_path(lua_State *L, int path, int source, int line) {
  size_t size, i, start;
  const char *text = lua_tolstring(L, path, &size);
  int depth = 0;
  i = strcspn(text, ".[]");
  if (i == 0)
    raise_bad_path(L, path, "the name of a task is missing");
  lua_pushlstring(L, text, i);
  lua_pushnil(L);
  make_child(L, depth, source, line);
  while (i < size) {
    if (text[i] == '.') {
      start = ++i;
      i += strcspn(text + i, ".[]");
      if (i == start)
        raise_bad_path(L, path, "a name is missing after a dot");
      lua_pushlstring(L, text + start, i - start);
    } else if (text[i] == '[') {
      start = ++i;
      while (is_digit(text[i]))
        i++;
      if (i == start || i - start > 18 || text[i] != ']')
        raise_bad_path(L, path, "brackets hold an index");
      lua_pushlstring(L, text + start, i - start);
      lua_pushinteger(L, lua_tointeger(L, -1));
      lua_remove(L, -2);
      if (lua_tointeger(L, -1) < 1)
        raise_bad_path(L, path, "indexes start at 1");
      i++;
    } else {
      raise_bad_path(L, path, "a dot or a bracket is missing");
    }
    make_child(L, ++depth, source, line);
  }
}

/* F(task or reference, key, ...) or F "task.field[1].field" */
static int root_call(lua_State *L) {
  int top = lua_gettop(L);
  int depth = 0;
  int from_c, i, line;
  const reference *base = to_reference(L, 2);
  luaL_checkstack(L, 16, "too many keys");
  if (top < 2) {
    lua_pushliteral(L, "F: name a task, as in F(\"load_order\", \"coupon\")");
    return raise_message(L);
  }
  if (base == NULL)
    check_key(L, 0, 2);
  line = push_place(L, &from_c);
  if (base == NULL && top == 2) {
    make_from_path(L, 2, top + 1, line);
    return 1;
  }
  if (base == NULL) {
    lua_pushvalue(L, 2);
    lua_pushnil(L);
  } else {
    /* A copy, so that its line is this one. */
    depth = base->depth;
    lua_getiuservalue(L, 2, PARENT);
    lua_getiuservalue(L, 2, KEY);
  }
  make_child(L, depth, top + 1, line);
  for (i = 3; i <= top; i++) {
    check_key(L, top + 2, i);
    lua_pushvalue(L, i);
    make_child(L, ++depth, top + 1, line);
  }
  return 1;
}

/* --- Functions for the library -------------------------------------------- */

/*
 * Puts the source in the place of the function that made the reference, and in
 * those that it was made from: who keeps references need not keep functions,
 * with all that these hold.
 */
static void let_go(lua_State *L, int index) {
  int depth = ((reference *)lua_touserdata(L, index))->depth;
  lua_pushvalue(L, index);
  for (; depth >= 0; depth--) {
    if (lua_getiuservalue(L, -1, SOURCE) == LUA_TFUNCTION) {
      find_source(L);
      lua_setiuservalue(L, -2, SOURCE);
    } else {
      lua_pop(L, 1);
    }
    lua_getiuservalue(L, -1, PARENT);
    lua_replace(L, -2);
  }
  lua_pop(L, 1);
}

/* is_reference(value); one that is will be kept */
static int lua_is_reference(lua_State *L) {
  int is = to_reference(L, 1) != NULL;
  if (is)
    let_go(L, 1);
  lua_pushboolean(L, is);
  return 1;
}

/* reference(ref) -> task, path (with n), source, line, owner or nil */
static int lua_reference(lua_State *L) {
  const reference *ref = check_reference(L, 1);
  lua_settop(L, 1);
  let_go(L, 1);
  lua_pushinteger(L, push_path(L, 1));
  lua_setfield(L, 3, "n");
  lua_getiuservalue(L, 1, SOURCE);
  lua_pushinteger(L, ref->line);
  lua_rotate(L, 4, -1); /* task, path, source, line, owner */
  return 5;
}

/* reference_task(ref) -> task, number of keys, owner or nil */
static int lua_reference_task(lua_State *L) {
  const reference *ref = check_reference(L, 1);
  int i;
  lua_settop(L, 1);
  lua_pushvalue(L, 1);
  for (i = ref->depth; i > 0; i--) {
    lua_getiuservalue(L, -1, PARENT);
    lua_replace(L, -2);
  }
  lua_getiuservalue(L, 2, PARENT);
  lua_pushinteger(L, ref->depth);
  lua_getiuservalue(L, 2, KEY);
  return 3;
}

/* new_handle(task, owner, source, line): the task's whole result */
static int lua_new_handle(lua_State *L) {
  luaL_checktype(L, 1, LUA_TSTRING);
  lua_settop(L, 4);
  if (lua_isnil(L, 3)) {
    lua_pushliteral(L, "?");
    lua_replace(L, 3);
  }
  luaL_checktype(L, 3, LUA_TSTRING);
  lua_pushvalue(L, 1);
  lua_pushvalue(L, 2);
  make_child(L, 0, 3, (int)luaL_optinteger(L, 4, -1));
  return 1;
}

/* new_reference(task, path, source, line): path is a list of keys, with n */
static int lua_new_reference(lua_State *L) {
  int line = (int)luaL_checkinteger(L, 4);
  lua_Integer i, n;
  luaL_checktype(L, 1, LUA_TSTRING);
  luaL_checktype(L, 2, LUA_TTABLE);
  luaL_checktype(L, 3, LUA_TSTRING);
  lua_settop(L, 4);
  lua_getfield(L, 2, "n");
  n = luaL_checkinteger(L, 5);
  lua_pushvalue(L, 1);
  lua_pushnil(L);
  make_child(L, 0, 3, line);
  for (i = 1; i <= n; i++) {
    lua_geti(L, 2, i);
    check_key(L, 6, 7);
    make_child(L, (int)i, 3, line);
  }
  return 1;
}

/* on_misuse(fn): fn(message) gives what is raised, instead of a string */
static int lua_on_misuse(lua_State *L) {
  luaL_checktype(L, 1, LUA_TFUNCTION);
  lua_settop(L, 1);
  lua_setiuservalue(L, SHARED, MAKE_ERROR);
  return 0;
}

int astrum_binding_is_reference(lua_State *L, int index) {
  return luaL_testudata(L, index, metatable_name) != NULL;
}

/* --- Registration --------------------------------------------------------- */

static const luaL_Reg functions[] = {
    {"is_reference", lua_is_reference},
    {"reference", lua_reference},
    {"reference_task", lua_reference_task},
    {"new_handle", lua_new_handle},
    {"new_reference", lua_new_reference},
    {"on_misuse", lua_on_misuse},
    {NULL, NULL},
};

static const luaL_Reg reference_methods[] = {
    {"__index", reference_index},       {"__newindex", reference_newindex},
    {"__call", reference_call},         {"__eq", reference_eq},
    {"__tostring", reference_tostring}, {NULL, NULL},
};

static const luaL_Reg root_methods[] = {
    {"__index", root_index},
    {"__newindex", root_newindex},
    {"__call", root_call},
    {"__tostring", root_tostring},
    {NULL, NULL},
};

/* Pushes the upvalues of all functions here; the first is at `metatable`. */
static void push_upvalues(lua_State *L, int metatable) {
  for (int i = 0; i < UPVALUES; i++)
    lua_pushvalue(L, metatable + i);
}

/*
 * Fills the metatable on top: `methods`, and `misuse` for every operator that
 * asks for a value.
 */
static void fill_metatable(lua_State *L, const luaL_Reg *methods,
                           lua_CFunction misuse, int metatable) {
  static const char *const operators[] = {
      "__add",  "__sub",  "__mul", "__div",   "__mod",   "__pow", "__unm",
      "__idiv", "__band", "__bor", "__bxor",  "__shl",   "__shr", "__bnot",
      "__lt",   "__le",   "__len", "__pairs", "__concat"};
  size_t i;
  push_upvalues(L, metatable);
  luaL_setfuncs(L, methods, UPVALUES);
  for (i = 0; i < sizeof operators / sizeof operators[0]; i++) {
    push_upvalues(L, metatable);
    lua_pushcclosure(L, misuse, UPVALUES);
    lua_setfield(L, -2, operators[i]);
  }
  lua_pushboolean(L, 0);
  lua_setfield(L, -2, "__metatable");
}

int astrum_binding_open_ref(lua_State *L) {
  int module = lua_gettop(L);
  int metatable = module + 1;
  luaL_newmetatable(L, metatable_name);
  lua_newuserdatauv(L, 0, SHARED_VALUES);
  lua_pushvalue(L, metatable);
  fill_metatable(L, reference_methods, reference_misuse, metatable);
  lua_pop(L, 1);

  lua_newuserdatauv(L, 0, 0);
  lua_createtable(L, 0, 32);
  fill_metatable(L, root_methods, root_misuse, metatable);
  lua_pushliteral(L, "astrum.F");
  lua_setfield(L, -2, "__name");
  lua_setmetatable(L, -2);
  lua_setfield(L, module, "F");

  lua_pushvalue(L, module);
  push_upvalues(L, metatable);
  luaL_setfuncs(L, functions, UPVALUES);
  lua_settop(L, module);
  return 0;
}
