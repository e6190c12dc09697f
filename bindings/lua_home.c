/*
 * The homes of worker threads: for each size that is asked for a pool, and what
 * the Lua states of its workers begin with.
 */
#define _GNU_SOURCE

#include "thread.h"
#include "thread_call.h"

#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Called by workers. */
static void wake_home(void *user) {
  const thread_home *h = user;
  astrum_loop_wake(h->engine->loop);
}

static void free_places(thread_home *h) {
  for (size_t i = 0; i < h->preload_count; i++)
    free(h->preloads[i].name);
  free(h->preloads);
  free(h->path);
  free(h->cpath);
  h->preloads = NULL;
  h->preload_count = 0;
  h->path = h->cpath = NULL;
}

static void free_home(thread_home *h) {
  while (h->calls) {
    thread_call *c = h->calls;
    h->calls = c->next;
    if (c->run)
      binding_release_run(c->run);
    codec_free(&c->job.values);
    free(c->about);
    free(c);
  }
  free_places(h);
  free(h);
}

void binding_close_threads(engine *e) {
  for (thread_home *h = e->homes; h; h = h->next) {
    thread_pool *pool = h->pool;
    h->pool = NULL;
    if (pool && !e->forked)
      thread_pool_close(pool);
  }
}

void binding_free_homes(engine *e) {
  while (e->homes) {
    thread_home *h = e->homes;
    e->homes = h->next;
    free_home(h);
  }
}

static char *copy_text(const char *text) {
  size_t size = strlen(text) + 1;
  char *copy = malloc(size);
  return copy ? memcpy(copy, text, size) : NULL;
}

/* The C function on the top, under a name at -2, if another state may call it:
   it has no upvalue or, as those of astrum's own files, a light one. */
static int copy_preload(lua_State *L, thread_home *h) {
  lua_CFunction function = lua_tocfunction(L, -1);
  if (!function || lua_type(L, -2) != LUA_TSTRING)
    return 1;
  const char *name = lua_tostring(L, -2);
  void *data = NULL;
  if (lua_getupvalue(L, -1, 1)) {
    data = lua_islightuserdata(L, -1) ? lua_touserdata(L, -1) : NULL;
    lua_pop(L, 1);
    if (!data || strncmp(name, "astrum", 6) != 0)
      return 1;
  }
  thread_preload *grown =
      realloc(h->preloads, (h->preload_count + 1) * sizeof *grown);
  char *copy = copy_text(name);
  if (grown)
    h->preloads = grown;
  if (!grown || !copy) {
    free(copy);
    return 0;
  }
  grown[h->preload_count++] = (thread_preload){copy, function, data};
  return 1;
}

/* What its states begin with: the places of modules. Returns 0 without
   memory. */
static int read_places(lua_State *L, thread_home *h) {
  int top = lua_gettop(L), ok = 1;
  lua_getfield(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
  if (lua_getfield(L, -1, "package") == LUA_TTABLE) {
    if (lua_getfield(L, -1, "path") == LUA_TSTRING)
      ok = (h->path = copy_text(lua_tostring(L, -1))) != NULL;
    if (lua_getfield(L, -2, "cpath") == LUA_TSTRING)
      ok = ok && (h->cpath = copy_text(lua_tostring(L, -1))) != NULL;
  }
  lua_settop(L, top + 1);
  if (lua_getfield(L, -1, "astrum.core") == LUA_TTABLE) {
    lua_getfield(L, -1, "is_program");
    h->is_program = lua_toboolean(L, -1);
  }
  lua_settop(L, top);
  if (lua_getfield(L, LUA_REGISTRYINDEX, LUA_PRELOAD_TABLE) == LUA_TTABLE)
    for (lua_pushnil(L); ok && lua_next(L, top + 1); lua_pop(L, 1))
      ok = copy_preload(L, h);
  lua_settop(L, top);
  return ok;
}

static thread_home *find_home(engine *e, lua_State *L, int workers) {
  for (thread_home *h = e->homes; h; h = h->next)
    if (h->workers == workers)
      return h;
  thread_home *h = calloc(1, sizeof *h);
  if (!h)
    binding_raise(L, "executor = \"thread\"", ASTRUM_ENOMEM);
  h->engine = e;
  h->workers = workers;
  h->look.fire = binding_on_look;
  h->next = e->homes;
  e->homes = h;
  return h;
}

thread_home *binding_home_of(engine *e, lua_State *L, int workers) {
  thread_home *h = find_home(e, L, workers);
  int code;
  if (h->pool)
    return h;
  free_places(h);
  luaL_checkstack(L, 10, NULL);
  if (!read_places(L, h))
    binding_raise(L, "executor = \"thread\"", ASTRUM_ENOMEM);
  h->pool = thread_pool_new(workers, binding_run_worker, wake_home, h, &code);
  if (!h->pool)
    luaL_error(L, "executor = \"thread\" cannot start a thread: %s",
               strerror(code));
  return h;
}

/* core.cores() -> how many threads can run at once */
static int cores(lua_State *L) {
  long count = sysconf(_SC_NPROCESSORS_ONLN);
#ifdef __linux__
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof set, &set) == 0)
    count = CPU_COUNT(&set);
#endif
  lua_pushinteger(L, count < 1 ? 1 : count);
  return 1;
}

int binding_open_home(lua_State *L) {
  static const luaL_Reg functions[] = {
      {"cores", cores},
      {NULL, NULL},
  };
  binding_functions(L, functions);
  return 0;
}
