/*
 * What workflows do when the memory of their Lua state runs out. Each scenario
 * of the files is run again and again with allocation 0, 1, 2 ... of it
 * failing, until none failed: that one alone; that one and the next, because
 * Lua collects garbage and tries once more; that one and all later ones. It may
 * only complete, or say that there is not enough memory; its report can be
 * read; the next run of the state is as always; and nothing is left when the
 * state is closed. A scenario may say that only every so manieth allocation of
 * it is tried, in each of the three ways others.
 *
 * While Lua reads a compiled module, which is code of its own, only the first
 * allocation may fail: the others are two of three in the scenario that loads
 * everything anew, and each would end in the same error.
 *
 * usage: alloc_sweep FILE.lua... [--from N] [--step N] [SCENARIO...]
 */
#include "binding.h"
#include "embed.h"
#include "fault.h"

#include <lualib.h>

/* --- code: compiled once, because every round begins with a new state */

typedef struct {
  char *bytes;
  size_t size;
} code;

enum { MOST_FILES = 4 };

static code *modules, scenarios[MOST_FILES];
static int files;

static int append(lua_State *L, const void *bytes, size_t size, void *user) {
  code *c = user;
  (void)L;
  char *grown = realloc(c->bytes, c->size + size);
  if (!grown)
    return 1;
  memcpy(grown + c->size, bytes, size);
  c->bytes = grown;
  c->size += size;
  return 0;
}

static int compile(char **names) {
  lua_State *L = luaL_newstate();
  modules = calloc(astrum__embedded_count, sizeof *modules);
  int ok = L && modules;
  for (size_t i = 0; ok && i < astrum__embedded_count; i++) {
    const astrum_embedded *m = &astrum__embedded[i];
    ok = luaL_loadbufferx(L, m->code, m->size, m->chunk, NULL) == LUA_OK &&
         lua_dump(L, append, &modules[i], 0) == 0;
  }
  for (int i = 0; ok && i < files; i++) {
    ok = luaL_loadfilex(L, names[i], "t") == LUA_OK &&
         lua_dump(L, append, &scenarios[i], 0) == 0;
  }
  if (!ok)
    printf("%s\n", L ? lua_tostring(L, -1) : "not enough memory");
  if (L)
    lua_close(L);
  return ok;
}

static void free_code(void) {
  for (size_t i = 0; modules && i < astrum__embedded_count; i++)
    free(modules[i].bytes);
  free(modules);
  for (int i = 0; i < files; i++)
    free(scenarios[i].bytes);
}

/* --- memory */

typedef struct {
  fault_state fault;
  size_t again; /* how many allocations after the first one fail too */
  int reading;  /* a compiled module */
  int begun;    /* its first allocation has succeeded */
} memory;

static void *allocate(void *user, void *ptr, size_t old_size, size_t size) {
  memory *m = user;
  size_t failed = m->fault.failed, count = m->fault.count;
  if (m->begun) {
    int pause = m->fault.pause;
    fault_pause(&m->fault, 1);
    void *result = fault_alloc(&m->fault, ptr, old_size, size);
    fault_pause(&m->fault, pause);
    m->fault.count = count;
    return result;
  }
  void *result = fault_alloc(&m->fault, ptr, old_size, size);
  m->begun = m->reading && result && m->fault.count > count;
  if (m->fault.failed > failed && m->again > 0) {
    m->again--;
    m->fault.fail_at = m->fault.count;
  }
  return result;
}

enum { ONE, TWO, ALL, MODES };
static const char *const mode_names[] = {"", " and the next", " and all later"};

/* --- a state, with this on its stack; at AT_FILE what the first file returns
 */

enum { AT_FILE = 1, AT_NAME, AT_RUN, AT_WANTED, STACK = AT_WANTED };

static void push_code(lua_State *L, const code *c, const char *name) {
  void *user;
  /* Worker threads have other memory. */
  memory *m = lua_getallocf(L, &user) == allocate ? user : NULL;
  if (m)
    m->reading = 1;
  int status = luaL_loadbufferx(L, c->bytes, c->size, name, "b");
  if (m) {
    m->reading = 0;
    m->begun = 0;
  }
  if (status != LUA_OK)
    lua_error(L);
}

/* A module, in a way that worker threads can load it, too. */
static int load_module(lua_State *L) {
  const code *c = lua_touserdata(L, lua_upvalueindex(1));
  push_code(L, c, astrum__embedded[c - modules].chunk);
  lua_insert(L, 1);
  lua_call(L, lua_gettop(L) - 1, 1);
  return 1;
}

/* Argument: the number of a scenario. */
static int set_up(lua_State *L) {
  lua_Integer number = lua_tointeger(L, 1);
  luaL_openlibs(L);
  luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_PRELOAD_TABLE);
  lua_pushcfunction(L, luaopen_astrum_core);
  lua_setfield(L, -2, "astrum.core");
  for (size_t i = 0; i < astrum__embedded_count; i++) {
    lua_pushlightuserdata(L, &modules[i]);
    lua_pushcclosure(L, load_module, 1);
    lua_setfield(L, -2, astrum__embedded[i].module);
  }
  lua_settop(L, 0);
  push_code(L, &scenarios[0], "scenarios");
  lua_call(L, 0, 1);
  for (int i = 1; i < files; i++) {
    push_code(L, &scenarios[i], "scenarios");
    lua_pushvalue(L, AT_FILE);
    lua_call(L, 1, 0);
  }
  if (lua_rawgeti(L, AT_FILE, number) == LUA_TNIL)
    return 2;
  lua_getfield(L, -1, "name");
  lua_getfield(L, -2, "prepare");
  lua_call(L, 0, 2);
  lua_remove(L, AT_FILE + 1);
  return STACK;
}

/* An error that nobody catches. */
static int panic(lua_State *L) {
  printf("uncaught error: %s\n", lua_tostring(L, -1));
  fflush(stdout);
  abort();
}

static lua_State *new_state(memory *m, int number) {
  lua_State *L = lua_newstate(allocate, m);
  if (!L)
    return NULL;
  lua_atpanic(L, panic);
  lua_pushcfunction(L, set_up);
  lua_pushinteger(L, number);
  if (lua_pcall(L, 1, STACK, 0) == LUA_OK)
    return L;
  printf("scenario %d: %s\n", number, lua_tostring(L, -1));
  lua_close(L);
  return NULL;
}

/* --- rounds */

static int try_scenario(lua_State *L) {
  lua_settop(L, STACK);
  lua_pushvalue(L, AT_RUN);
  return lua_pcall(L, 0, 1, 0);
}

/* Loads the C module for the first time. */
static int open_module(lua_State *L) {
  luaL_requiref(L, "astrum.core", luaopen_astrum_core, 0);
  return 1;
}

/* As `play`, for the C module alone. */
static int play_open(size_t n, int mode, size_t *failed) {
  memory m = {.fault = fault_none(), .again = mode == TWO};
  lua_State *L = lua_newstate(allocate, &m);
  *failed = 0;
  if (!L)
    return 0;
  lua_atpanic(L, panic);
  luaL_openlibs(L);
  fault_after(&m.fault, n, mode == ALL);
  lua_pushcfunction(L, open_module);
  int ok = lua_pcall(L, 0, 1, 0) == LUA_OK ||
           strcmp(lua_tostring(L, -1), "not enough memory") == 0;
  *failed = m.fault.failed;
  fault_pause(&m.fault, 1);
  lua_pushcfunction(L, open_module);
  ok = lua_pcall(L, 0, 1, 0) == LUA_OK && ok;
  lua_close(L);
  return ok && m.fault.live == 0 && m.fault.wrong_size == 0;
}

/* Whether what try_scenario left on the stack is as it may be. */
static int judge(lua_State *L, int status, int faulty, const char *when) {
  lua_getfield(L, AT_FILE, status == LUA_OK ? "check" : "check_error");
  lua_insert(L, -2);
  lua_pushboolean(L, faulty);
  lua_pushvalue(L, AT_WANTED);
  int ok = lua_pcall(L, 3, 1, 0) == LUA_OK && lua_isnil(L, -1) &&
           (faulty || status == LUA_OK);
  if (!ok)
    printf("%s: %s\n", when, luaL_tolstring(L, -1, NULL));
  return ok;
}

/* Returns whether everything was as it should be; `*failed` is the number of
   allocations that were refused. */
static int play(int number, size_t n, int mode, size_t *failed) {
  if (number == 0)
    return play_open(n, mode, failed);
  memory m = {.fault = fault_none(), .again = mode == TWO};
  fault_state *fault = &m.fault;
  *failed = 0;
  lua_State *L = new_state(&m, number);
  if (!L)
    return 0;
  fault_after(fault, n, mode == ALL);
  int status = try_scenario(L);
  *failed = fault->failed;
  /* Every other time the state is closed while there is still none. */
  int close_without = mode == ALL && n % 2 == 1;
  fault_pause(fault, 1);
  int ok = judge(L, status, *failed > 0, "with a failure");
  if (!close_without)
    ok = judge(L, try_scenario(L), 0, "afterwards") && ok;
  fault_pause(fault, !close_without);
  lua_close(L);
  if (fault->live == 0 && fault->wrong_size == 0)
    return ok;
  printf("%zu bytes left, %zu wrong sizes\n", fault->live, fault->wrong_size);
  return 0;
}

static int sweep(int number, const char *name, size_t from, size_t step) {
  enum { ENOUGH = 10 };
  int complaints = 0;
  size_t n = from;
  for (int mode = ONE; mode < MODES; mode++) {
    size_t failed = 1;
    size_t first = from + (size_t)mode % step;
    for (n = first; failed > 0 && complaints < ENOUGH; n += step) {
      if (play(number, n, mode, &failed))
        continue;
      printf("  in %s with allocation %zu%s failing\n", name, n,
             mode_names[mode]);
      fflush(stdout);
      complaints++;
    }
  }
  printf("%-6s %s, %zu allocations\n", complaints ? "FAILED" : "ok", name,
         n - step);
  fflush(stdout);
  return complaints == 0;
}

/* Copies the name of a scenario; 0 stands for the loading of the C module.
   `*step` becomes its own. Returns 0 when there is none of the number. */
static int find_scenario(int number, char *name, size_t size, size_t *step) {
  *step = 1;
  if (number == 0)
    return snprintf(name, size, "open") > 0;
  memory m = {.fault = fault_none()};
  lua_State *L = new_state(&m, number);
  if (!L)
    return 0;
  int found = lua_isstring(L, AT_NAME);
  if (found) {
    snprintf(name, size, "%s", lua_tostring(L, AT_NAME));
    lua_rawgeti(L, AT_FILE, number);
    lua_getfield(L, -1, "step");
    *step = (size_t)lua_tointeger(L, -1);
  }
  lua_close(L);
  return found;
}

static int is_wanted(const char *name, int count, char **names) {
  for (int i = 0; i < count; i++)
    if (strcmp(names[i], name) == 0)
      return 1;
  return count == 0;
}

int main(int argc, char **argv) {
  size_t from = 0, step = 1, own;
  int first = 1;
  while (first < argc && files < MOST_FILES && strstr(argv[first], ".lua")) {
    first++;
    files++;
  }
  for (; first + 1 < argc && strncmp(argv[first], "--", 2) == 0; first += 2) {
    size_t value = strtoul(argv[first + 1], NULL, 10);
    *(strcmp(argv[first], "--from") == 0 ? &from : &step) = value;
  }
  if (files == 0 || step == 0) {
    printf("usage: %s FILE.lua... [--from N] [--step N] [SCENARIO...]\n",
           argv[0]);
    return 2;
  }
  int passed = 0, failed = 0;
  char name[64];
  if (compile(argv + 1))
    for (int i = 0; find_scenario(i, name, sizeof name, &own); i++)
      if (is_wanted(name, argc - first, argv + first))
        ++*(sweep(i, name, from, step * own) ? &passed : &failed);
  free_code();
  printf("%d passed, %d failed\n", passed, failed);
  return failed || !passed;
}
