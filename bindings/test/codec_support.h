/* What the tests of the codec share. */
#ifndef ASTRUM_CODEC_SUPPORT_H
#define ASTRUM_CODEC_SUPPORT_H

#include "codec.h"
#include "fault.h"

#include <lauxlib.h>
#include <lualib.h>

static inline void *plain_alloc(void *user, void *ptr, size_t old_size,
                                size_t size) {
  (void)user, (void)old_size;
  if (size > 0)
    return realloc(ptr, size);
  free(ptr);
  return NULL;
}

#define BUFFER                                                                 \
  {                                                                            \
    .alloc = {.fn = plain_alloc }                                              \
  }

static inline lua_State *new_state(void) {
  lua_State *L = luaL_newstate();
  if (!L)
    abort();
  luaL_openlibs(L);
  return L;
}

/* Runs a chunk that has to succeed; its values are on the stack. */
static inline void run(lua_State *L, const char *code) {
  if (luaL_dostring(L, code)) {
    printf("%s\n", lua_tostring(L, -1));
    abort();
  }
}

#endif
