/*
 * A C program that hosts Lua, hands its numbers to a workflow written in Lua,
 * and reads the report. It needs Lua and, at run time, the installed module
 * `astrum`; libastrum itself is inside the module.
 */
#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The argument of the chunk is the list of readings; it returns the report. */
static const char workflow[] =
    "local readings = ...\n"
    "local astrum = require 'astrum'\n"
    "local task, F = astrum.task, astrum.F\n"
    "\n"
    "task 'lowest' {\n"
    "  inputs = { readings = readings },\n"
    "  run = function(readings) return math.min(table.unpack(readings)) end,\n"
    "}\n"
    "task 'highest' {\n"
    "  inputs = { readings = readings },\n"
    "  run = function(readings) return math.max(table.unpack(readings)) end,\n"
    "}\n"
    "task 'spread' {\n"
    "  inputs = { lowest = F.lowest, highest = F.highest },\n"
    "  run = function(lowest, highest) return highest - lowest end,\n"
    "}\n"
    "return astrum.run { 'spread' }\n";

static void push_readings(lua_State *L) {
  static const double readings[] = {18.5, 21.25, 19.0};
  const lua_Integer count = sizeof readings / sizeof *readings;

  lua_createtable(L, (int)count, 0);
  for (lua_Integer i = 0; i < count; i++) {
    lua_pushnumber(L, readings[i]);
    lua_rawseti(L, -2, i + 1);
  }
}

/* Runs under lua_pcall, so that whatever goes wrong in Lua ends up in main. */
static int run_workflow(lua_State *L) {
  const char *state;
  lua_Number spread;

  if (luaL_loadbufferx(L, workflow, sizeof workflow - 1, "=workflow", "t")) {
    return lua_error(L);
  }
  push_readings(L);
  lua_call(L, 1, 1);

  /* A failed task does not raise: the report tells. */
  lua_getfield(L, -1, "execution_state");
  state = luaL_checkstring(L, -1);
  if (strcmp(state, "completed") != 0) {
    lua_getfield(L, -2, "error_summary");
    lua_rawgeti(L, -1, 1);
    return lua_error(L);
  }

  lua_getfield(L, -2, "task_return_set");
  lua_getfield(L, -1, "spread");
  spread = luaL_checknumber(L, -1);
  printf("%s: the readings spread over %.2f degrees\n", state, spread);
  if (spread != 2.75) {
    return luaL_error(L, "the spread should be 2.75");
  }
  return 0;
}

int main(void) {
  lua_State *L = luaL_newstate();
  int status = EXIT_SUCCESS;

  if (L == NULL) {
    fputs("host: not enough memory\n", stderr);
    return EXIT_FAILURE;
  }
  luaL_openlibs(L);
  lua_pushcfunction(L, run_workflow);
  if (lua_pcall(L, 0, 0, 0) != LUA_OK) {
    fprintf(stderr, "host: %s\n", luaL_tolstring(L, -1, NULL));
    status = EXIT_FAILURE;
  }
  lua_close(L);
  return status;
}
