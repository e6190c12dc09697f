/*
 * What Lua tells about functions and callers, without the debug library:
 * the parameters of a task body and the user's line that an error points to.
 *
 * Chunks of the library call core.own() when they are loaded; core.where()
 * passes over functions of those chunks, so it does not matter how deep inside
 * the library a mistake is found, or under which name the chunk was loaded.
 */
#define _POSIX_C_SOURCE 200809L

#include "lua_inspect.h"

#include <lauxlib.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

/* Bytes; what is longer is not shown in a message. */
#define LONGEST_LINE 160

/* Its address is a key of the registry: the sources of the library's chunks. */
static const char own_key = 0;

/* The same of a table of functions and their sources, see find_kind. */
static const char kinds_key = 0;

int astrum_binding_is_identifier(const char *text, size_t size) {
  static const char *const reserved[] = {
      "and",      "break",  "do",   "else", "elseif", "end",  "false", "for",
      "function", "goto",   "if",   "in",   "local",  "nil",  "not",   "or",
      "repeat",   "return", "then", "true", "until",  "while"};
  size_t i;
  if (size == 0 || (text[0] >= '0' && text[0] <= '9'))
    return 0;
  for (i = 0; i < size; i++) {
    char c = text[i];
    if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' ||
          (c >= '0' && c <= '9')))
      return 0;
  }
  for (i = 0; i < sizeof reserved / sizeof reserved[0]; i++)
    if (strcmp(text, reserved[i]) == 0)
      return 0;
  return 1;
}

/* parameters(fn) -> names (with n) or nil, count, is_vararg, what */
static int inspect_parameters(lua_State *L) {
  lua_Debug ar;
  int i;
  luaL_checktype(L, 1, LUA_TFUNCTION);
  lua_settop(L, 1);
  lua_pushvalue(L, 1);
  lua_getinfo(L, ">Su", &ar);
  lua_createtable(L, ar.nparams, 1);
  lua_pushvalue(L, 1); /* lua_getlocal wants the function on top */
  for (i = 1; i <= ar.nparams; i++) {
    const char *name = lua_getlocal(L, NULL, i);
    if (name == NULL) {
      /* stripped of its debug data */
      lua_pushnil(L);
      lua_replace(L, 2);
      break;
    }
    lua_pushstring(L, name);
    lua_rawseti(L, 2, i);
  }
  lua_settop(L, 2);
  if (!lua_isnil(L, 2)) {
    lua_pushinteger(L, ar.nparams);
    lua_setfield(L, 2, "n");
  }
  lua_pushinteger(L, ar.nparams);
  lua_pushboolean(L, ar.isvararg);
  lua_pushstring(L, ar.what);
  return 4;
}

/* definition(fn) -> source, first and last line; -1 for C */
static int inspect_definition(lua_State *L) {
  lua_Debug ar;
  luaL_checktype(L, 1, LUA_TFUNCTION);
  lua_settop(L, 1);
  lua_getinfo(L, ">S", &ar);
  lua_pushstring(L, ar.short_src);
  lua_pushinteger(L, ar.linedefined);
  lua_pushinteger(L, ar.lastlinedefined);
  return 3;
}

/* upvalue(fn, name) -> the value of the upvalue of that name, or nil */
static int inspect_upvalue(lua_State *L) {
  const char *wanted = luaL_checkstring(L, 2);
  const char *name;
  luaL_checktype(L, 1, LUA_TFUNCTION);
  lua_settop(L, 2);
  for (int n = 1; (name = lua_getupvalue(L, 1, n)) != NULL; n++) {
    if (strcmp(name, wanted) == 0)
      return 1;
    lua_settop(L, 2);
  }
  return 0;
}

/*
 * source_line(source, line) -> the text of that line, nil when it cannot be
 * had. Only regular files are opened: a pipe could make us wait, and would
 * lose what another reader wants.
 */
static int inspect_source_line(lua_State *L) {
  const char *source = luaL_checkstring(L, 1);
  lua_Integer wanted = luaL_checkinteger(L, 2);
  char text[LONGEST_LINE + 2]; /* with its newline */
  lua_Integer line = 1;
  int begins = 1;
  struct stat about;
  FILE *file;
  if (stat(source, &about) != 0 || !S_ISREG(about.st_mode))
    return 0;
  file = fopen(source, "rb");
  if (file == NULL)
    return 0;
  while (line <= wanted && fgets(text, sizeof text, file) != NULL) {
    size_t size = strlen(text);
    int ends = size > 0 && text[size - 1] == '\n';
    if (line == wanted) {
      int is_whole = begins && (ends || feof(file));
      fclose(file);
      if (!is_whole)
        return 0;
      lua_pushlstring(L, text, ends ? size - 1 : size);
      return 1;
    }
    line += ends;
    begins = ends;
  }
  fclose(file);
  return 0;
}

/* own(): the chunk that calls is part of the library */
static int inspect_own(lua_State *L) {
  lua_Debug ar;
  if (!lua_getstack(L, 1, &ar))
    return 0;
  lua_getinfo(L, "Sf", &ar);
  /* Stripped chunks all share one name, so it cannot tell them apart. */
  if (*ar.what != 'C' && strcmp(ar.source, "=?") != 0)
    lua_rawsetp(L, lua_upvalueindex(1), ar.source); /* keeps source alive */
  return 0;
}

/*
 * Replaces the Lua function on the top, that of `ar`, by its source; true for
 * one of the library. The answer is kept in the table at `kinds` for as long as
 * the function lives.
 */
static void find_kind(lua_State *L, int kinds, lua_Debug *ar) {
  lua_getinfo(L, "S", ar);
  lua_rawgetp(L, LUA_REGISTRYINDEX, &own_key);
  int is_own = lua_rawgetp(L, -1, ar->source) != LUA_TNIL;
  lua_pop(L, 2);
  if (is_own)
    lua_pushboolean(L, 1);
  else
    lua_pushstring(L, ar->short_src);
  lua_insert(L, -2);
  lua_pushvalue(L, -2);
  lua_rawset(L, kinds);
}

/* Pushes what find_kind says of the function at a level, false for one in C. */
static void push_kind(lua_State *L, int kinds, lua_Debug *ar) {
  lua_getinfo(L, "fl", ar);
  if (lua_iscfunction(L, -1)) {
    lua_pop(L, 1);
    lua_pushboolean(L, 0);
    return;
  }
  lua_pushvalue(L, -1);
  if (lua_rawget(L, kinds) == LUA_TNIL) {
    lua_pop(L, 1);
    find_kind(L, kinds, ar);
  } else {
    lua_replace(L, -2);
  }
}

void astrum_binding_push_kinds(lua_State *L) {
  lua_rawgetp(L, LUA_REGISTRYINDEX, &kinds_key);
}

int astrum_binding_push_place(lua_State *L, int kinds, int first, int nearest,
                              int *from_c) {
  lua_Debug ar;
  int level;
  for (level = first; lua_getstack(L, level, &ar); level++) {
    push_kind(L, kinds, &ar);
    int type = lua_type(L, -1);
    int is_own = type == LUA_TBOOLEAN && lua_toboolean(L, -1);
    if (type == LUA_TSTRING || (nearest && is_own)) {
      if (is_own) {
        lua_pop(L, 1);
        lua_getinfo(L, "S", &ar);
        lua_pushstring(L, ar.short_src);
      }
      *from_c = level > first;
      return ar.currentline;
    }
    lua_pop(L, 1);
  }
  lua_pushliteral(L, "?");
  *from_c = 1;
  return -1;
}

/* own_sources() -> set of the names that tracebacks give our chunks */
static int inspect_own_sources(lua_State *L) {
  lua_Debug ar;
  lua_settop(L, 0);
  lua_newtable(L);
  lua_pushnil(L);
  while (lua_next(L, lua_upvalueindex(1))) {
    lua_getinfo(L, ">S", &ar);
    lua_pushboolean(L, 1);
    lua_setfield(L, 1, ar.short_src);
  }
  return 1;
}

/* where() -> source, line of the nearest caller outside of the library */
static int inspect_where(lua_State *L) {
  int from_c;
  int line = astrum_binding_push_place(L, lua_upvalueindex(2), 1, 0, &from_c);
  lua_pushinteger(L, line);
  return 2;
}

int astrum_binding_open_inspect(lua_State *L) {
  static const luaL_Reg plain[] = {
      {"parameters", inspect_parameters},
      {"definition", inspect_definition},
      {"source_line", inspect_source_line},
      {"upvalue", inspect_upvalue},
      {NULL, NULL},
  };
  static const luaL_Reg callers[] = {
      {"own", inspect_own},
      {"own_sources", inspect_own_sources},
      {"where", inspect_where},
      {NULL, NULL},
  };
  luaL_setfuncs(L, plain, 0);
  lua_newtable(L);
  lua_pushvalue(L, -1);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &own_key);
  lua_newtable(L);
  lua_createtable(L, 0, 1);
  lua_pushliteral(L, "k");
  lua_setfield(L, -2, "__mode");
  lua_setmetatable(L, -2);
  lua_pushvalue(L, -1);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &kinds_key);
  luaL_setfuncs(L, callers, 2);
  return 0;
}
