/*
 * compile CHUNK FILE OUTPUT: writes the code that Lua makes of a file, so that
 * the program need not make it again each time it starts. Run by the build;
 * only the very Lua that it is linked with reads what it writes.
 */
#include <lauxlib.h>
#include <stdio.h>
#include <stdlib.h>

static int write_part(lua_State *L, const void *part, size_t size, void *file) {
  (void)L;
  return fwrite(part, 1, size, file) != size;
}

/* Reads a file that is written anew by nobody while the build runs. */
static int load(lua_State *L, const char *chunk, const char *path) {
  FILE *file = fopen(path, "rb");
  luaL_Buffer text;
  if (!file)
    return luaL_error(L, "%s: it cannot be read", path);
  luaL_buffinit(L, &text);
  for (size_t size = 1; size > 0; luaL_addsize(&text, size))
    size = fread(luaL_prepbuffer(&text), 1, LUAL_BUFFERSIZE, file);
  fclose(file);
  luaL_pushresult(&text);
  size_t size;
  const char *code = lua_tolstring(L, -1, &size);
  if (luaL_loadbufferx(L, code, size, chunk, "t") != LUA_OK)
    return lua_error(L);
  return 0;
}

/* Arguments: chunk, file, output. */
static int compile(lua_State *L) {
  const char *path = luaL_checkstring(L, 3);
  load(L, luaL_checkstring(L, 1), luaL_checkstring(L, 2));
  FILE *file = fopen(path, "wb");
  int failed = !file || lua_dump(L, write_part, file, 0) != 0;
  if (file)
    failed |= fclose(file) != 0;
  if (failed)
    return luaL_error(L, "%s: it cannot be written", path);
  return 0;
}

int main(int argc, char **argv) {
  lua_State *L = luaL_newstate();
  if (!L || argc != 4)
    return EXIT_FAILURE;
  lua_pushcfunction(L, compile);
  for (int i = 1; i < argc; i++)
    lua_pushstring(L, argv[i]);
  int status = lua_pcall(L, argc - 1, 0, 0);
  if (status != LUA_OK)
    fprintf(stderr, "compile: %s\n", lua_tostring(L, -1));
  lua_close(L);
  return status == LUA_OK ? EXIT_SUCCESS : EXIT_FAILURE;
}
