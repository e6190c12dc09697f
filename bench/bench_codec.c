/*
 * How long values take to become bytes and values again, in time of the CPU.
 * `make bench`. For comparison, what is least: {v=5} looked at, and made, by
 * calls of Lua's API alone.
 */
#include "codec.h"

#include <lauxlib.h>
#include <lualib.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
  return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

/* The value is on the top. Prints the best of five rounds, ns a value. */
static void measure(lua_State *L, const char *name, int times) {
  codec_buffer buffer = {.alloc.fn = lua_getallocf(L, &buffer.alloc.user)};
  codec_error error;
  double write = 1e18, read = 1e18;
  for (int round = 0; round < 5; round++) {
    double begin = now();
    for (int i = 0; i < times; i++) {
      buffer.size = 0;
      if (codec_encode(L, -1, 1, "value", 0, &buffer, &error)) {
        printf("%s\n", error.text);
        exit(1);
      }
    }
    double middle = now();
    for (int i = 0; i < times; i++) {
      if (codec_decode(L, buffer.bytes, buffer.size, &error) != 1)
        exit(1);
      lua_pop(L, 1);
    }
    double end = now();
    write = middle - begin < write ? middle - begin : write;
    read = end - middle < read ? end - middle : read;
  }
  printf("codec %-22s %9zu B   write %12.1f ns   read %12.1f ns\n", name,
         buffer.size, write / times, read / times);
  codec_free(&buffer);
  lua_pop(L, 1);
}

static void look(lua_State *L) {
  size_t size;
  if (!lua_istable(L, -1) || !lua_topointer(L, -1) || lua_getmetatable(L, -1) ||
      !lua_checkstack(L, 4) || lua_rawlen(L, -1) > 0)
    exit(1);
  for (lua_pushnil(L); lua_next(L, -2); lua_pop(L, 1))
    if (lua_type(L, -2) != LUA_TSTRING || !lua_tolstring(L, -2, &size) ||
        !lua_isinteger(L, -1) || lua_tointeger(L, -1) != 5)
      exit(1);
}

static void make(lua_State *L) {
  lua_createtable(L, 0, 1);
  lua_pushlstring(L, "v", 1);
  lua_pushinteger(L, 5);
  lua_rawset(L, -3);
}

static void measure_api(lua_State *L) {
  enum { TIMES = 1000000 };
  double write = 1e18, read = 1e18;
  for (int round = 0; round < 5; round++) {
    make(L);
    double begin = now();
    for (int i = 0; i < TIMES; i++)
      look(L);
    double middle = now();
    lua_pop(L, 1);
    for (int i = 0; i < TIMES; i++) {
      make(L);
      lua_pop(L, 1);
    }
    double end = now();
    write = middle - begin < write ? middle - begin : write;
    read = end - middle < read ? end - middle : read;
  }
  printf("Lua   %-22s %9s     look  %12.1f ns   make %12.1f ns\n", "{v=5}", "",
         write / TIMES, read / TIMES);
}

int main(void) {
  static const struct {
    const char *name, *code;
    int times;
  } values[] = {
      {"5", "return 5", 1000000},
      {"{v=5}", "return {v=5}", 1000000},
      {"10 orders (1 KB)",
       "local t = {} for i = 1, 10 do t[i] = { sku = 'item-' .. i, qty = i,"
       " price = i / 7, name = ('x'):rep(40), paid = true } end return t",
       50000},
      {"10,000 orders (1 MB)",
       "local t = {} for i = 1, 10000 do t[i] = { sku = 'item-' .. i, qty = i,"
       " price = i / 7, name = ('x'):rep(40), paid = true } end return t",
       20},
      {"100,000 integers",
       "local t = {} for i = 1, 100000 do t[i] = i end return t", 100},
      {"string of 1 MiB", "return ('x'):rep(1 << 20)", 1000},
  };
  lua_State *L = luaL_newstate();
  if (!L)
    return 1;
  luaL_openlibs(L);
  measure_api(L);
  for (size_t i = 0; i < sizeof values / sizeof values[0]; i++) {
    if (luaL_dostring(L, values[i].code))
      return 1;
    measure(L, values[i].name, values[i].times);
  }
  lua_close(L);
  return 0;
}
