/*
 * Any bytes, decoded: an error or values, never more memory than promised, and
 * values that are decoded can be written and read again. Built with
 * -DASTRUM_FUZZ=ON, run by `make fuzz`.
 */
#include "codec.h"

#include <stdlib.h>

typedef struct {
  size_t live, peak;
} usage;

static void *count_alloc(void *user, void *ptr, size_t old_size, size_t size) {
  usage *u = user;
  void *moved = NULL;
  u->live += size - (ptr ? old_size : 0);
  u->peak = u->live > u->peak ? u->live : u->peak;
  if (size == 0)
    free(ptr);
  else if (!(moved = realloc(ptr, size)))
    abort();
  return moved;
}

static void must(int condition) {
  if (!condition)
    abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size) {
  usage u = {0, 0}, v = {0, 0};
  codec_error error;
  lua_State *L = lua_newstate(count_alloc, &u);
  must(L != NULL);
  lua_gc(L, LUA_GCSTOP);
  size_t before = u.live;
  u.peak = before;
  int count = codec_decode(L, bytes, size, &error);
  /* Four more for short strings, the rest for the Lua stack. */
  must(u.peak - before <= 20 * size + (1 << 16));
  must(count >= 0 ? lua_gettop(L) == count
                  : lua_gettop(L) == 0 && *error.text != '\0');
  if (count >= 0) {
    codec_buffer again = {.alloc = {count_alloc, &v}};
    must(codec_encode(L, 1, count, "value", 0, &again, &error) == ASTRUM_OK);
    must(codec_decode(L, again.bytes, again.size, &error) == count);
    codec_free(&again);
    must(v.live == 0);
  }
  lua_close(L);
  must(u.live == 0);
  return 0;
}
