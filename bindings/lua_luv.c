/*
 * Sharing one libuv loop with luv, which is never linked: its functions are
 * looked up in the module that require "luv" loads or would load.
 *
 *   luv is loaded already    its loop becomes ours, and stays luv's to close
 *   luv may be loaded later  it is told to use our loop
 *   no luv                   nothing
 *
 * luv ends the process when a callback raises. Where the loop is shared, the
 * error is told on stderr instead.
 */
#define _POSIX_C_SOURCE 200809L

#include "run.h"

#include <dlfcn.h>
#include <lualib.h>
#include <string.h>

typedef struct uv_loop_s *(*luv_loop_fn)(lua_State *);
typedef void (*luv_set_loop_fn)(lua_State *, struct uv_loop_s *);
typedef int (*luv_pcall_fn)(lua_State *, int, int, int);
typedef void (*luv_set_callback_fn)(lua_State *, luv_pcall_fn);

typedef struct {
  luv_loop_fn loop;
  luv_set_loop_fn set_loop;
  luv_set_callback_fn set_callback;
} luv;

/* Object pointers to function pointers, the way POSIX provides for. */
static int look_up(void *library, const char *name, void *function) {
  void *symbol = dlsym(library, name);
  memcpy(function, &symbol, sizeof symbol);
  return symbol != NULL;
}

/* Pushes the file of luv, searched in the absolute entries of package.cpath
   alone: a module that lies about in the current folder is not loaded by
   surprise. Returns 0 when there is none. */
static int push_luv_path(lua_State *L) {
  luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
  if (lua_getfield(L, -1, LUA_LOADLIBNAME) != LUA_TTABLE)
    return 0;
  lua_getfield(L, -1, "searchpath");
  lua_getfield(L, -2, "cpath");
  const char *cpath = lua_tostring(L, -1);
  if (!cpath || !lua_isfunction(L, -2))
    return 0;
  lua_pushvalue(L, -2);
  lua_pushliteral(L, "luv");
  luaL_Buffer b;
  luaL_buffinit(L, &b);
  for (const char *at = cpath; *at;) {
    size_t n = strcspn(at, ";");
    if (*at == '/') {
      luaL_addlstring(&b, at, n);
      luaL_addchar(&b, ';');
    }
    at += n + (at[n] == ';');
  }
  luaL_pushresult(&b);
  lua_call(L, 2, 1);
  return lua_isstring(L, -1);
}

static int push_path(lua_State *L) {
  if (!push_luv_path(L))
    lua_pushnil(L);
  return 1;
}

static int find_luv(lua_State *L, luv *found) {
  int top = lua_gettop(L);
  lua_pushcfunction(L, push_path);
  int ok = lua_pcall(L, 0, 1, 0) == LUA_OK && lua_isstring(L, -1);
  /* Never closed: Lua loads it from the same file, or has. */
  void *library = ok ? dlopen(lua_tostring(L, -1), RTLD_NOW) : NULL;
  lua_settop(L, top);
  if (!library)
    return 0;
  /* A luv with a libuv of its own inside cannot share loops with us. */
  void *theirs = dlsym(library, "uv_run");
  return theirs && look_up(library, "luv_loop", &found->loop) &&
         look_up(library, "luv_set_loop", &found->set_loop) &&
         look_up(library, "luv_set_callback", &found->set_callback);
}

static int add_traceback(lua_State *L) {
  const char *message = luaL_tolstring(L, 1, NULL);
  luaL_traceback(L, L, message, 1);
  return 1;
}

/* In place of luv's own way of calling back; the result is as lua_pcall's. */
static int call_back(lua_State *L, int count, int results, int flags) {
  (void)flags;
  int base = lua_gettop(L) - count;
  lua_pushcfunction(L, add_traceback);
  lua_insert(L, base);
  int status = lua_pcall(L, count, results, base);
  lua_remove(L, base);
  if (status == LUA_OK)
    return results == LUA_MULTRET ? lua_gettop(L) - base + 1 : results;
  engine *e = astrum_binding_engine(L);
  lua_xmove(L, e->L, 1);
  binding_tell_error(e, "a luv callback");
  return -status;
}

struct uv_loop_s *binding_luv_loop(engine *e, lua_State *L) {
  (void)e;
  luv found;
  luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
  int loaded = lua_getfield(L, -1, "luv") == LUA_TTABLE;
  lua_pop(L, 2);
  if (!loaded || !find_luv(L, &found))
    return NULL;
  found.set_callback(L, call_back);
  return found.loop(L);
}

void binding_luv_share(engine *e, lua_State *L) {
  luv found;
  luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
  int loaded = lua_getfield(L, -1, "luv") != LUA_TNIL;
  lua_pop(L, 2);
  if (loaded || !find_luv(L, &found))
    return;
  found.set_loop(e->main, astrum_loop_uv(e->loop));
  found.set_callback(e->main, call_back);
}
