/* encode, decode, exports, pack_function and unpack_function of astrum.core. */
#include "binding.h"
#include "travel.h"

#include <string.h>

enum { KEPT = 1 << 16 }; /* bytes of a buffer that waits for its next use */

/* The first upvalue of the functions. */
typedef struct {
  codec_buffer buffer;
  int closed; /* nothing frees the buffer later */
} scratch;

static codec_buffer *empty_buffer(lua_State *L) {
  scratch *s = lua_touserdata(L, lua_upvalueindex(1));
  s->buffer.size = 0;
  return &s->buffer;
}

static int close_scratch(lua_State *L) {
  scratch *s = lua_touserdata(L, 1);
  codec_free(&s->buffer);
  s->closed = 1;
  return 0;
}

/* Want of memory is raised, as Lua itself does. */
static int fail(lua_State *L, astrum_err err, const codec_error *error) {
  if (err == ASTRUM_ENOMEM)
    return luaL_error(L, "%s", astrum_strerror(err));
  lua_pushnil(L);
  lua_pushstring(L, error->text);
  return 2;
}

static int push_bytes(lua_State *L) {
  scratch *s = lua_touserdata(L, lua_upvalueindex(1));
  lua_pushlstring(L, (const char *)s->buffer.bytes, s->buffer.size);
  if (s->buffer.capacity > KEPT || s->closed)
    codec_free(&s->buffer);
  return 1;
}

/* encode(root, ...) -> bytes | nil, message */
static int encode(lua_State *L) {
  const char *root = luaL_checkstring(L, 1);
  codec_buffer *buffer = empty_buffer(L);
  codec_error error;
  astrum_err err =
      codec_encode(L, 2, lua_gettop(L) - 1, root, 0, buffer, &error);
  return err ? fail(L, err, &error) : push_bytes(L);
}

/* decode(bytes) -> number of values, value... | nil, message */
static int decode(lua_State *L) {
  size_t size;
  const char *bytes = luaL_checklstring(L, 1, &size);
  codec_error error;
  lua_settop(L, 1);
  lua_pushnil(L); /* where the number comes */
  int count = codec_decode(L, bytes, size, &error);
  if (count < 0)
    return fail(L, count, &error);
  lua_pushinteger(L, count);
  lua_replace(L, 2);
  return count + 1;
}

/* exports() -> what loaded modules export, for pack_function */
static int exports(lua_State *L) {
  travel_push_exports(L);
  return 1;
}

/* pack_function(fn [, exports()]) -> bytes | nil, message */
static int pack_function(lua_State *L) {
  luaL_checktype(L, 1, LUA_TFUNCTION);
  lua_settop(L, 2);
  if (!lua_istable(L, 2)) {
    travel_push_exports(L);
    lua_replace(L, 2);
  }
  codec_buffer *buffer = empty_buffer(L);
  codec_error error;
  astrum_err err = travel_pack(L, 1, 2, 0, buffer, &error);
  return err ? fail(L, err, &error) : push_bytes(L);
}

/* unpack_function(bytes) -> fn | nil, message; the bytes are trusted */
static int unpack_function(lua_State *L) {
  size_t size;
  const char *bytes = luaL_checklstring(L, 1, &size);
  codec_error error;
  astrum_err err = travel_unpack(L, bytes, size, 0, &error);
  return err ? fail(L, err, &error) : 1;
}

int binding_open_codec(lua_State *L) {
  static const luaL_Reg functions[] = {
      {"encode", encode},
      {"decode", decode},
      {"exports", exports},
      {"pack_function", pack_function},
      {"unpack_function", unpack_function},
      {NULL, NULL},
  };
  scratch *s = lua_newuserdatauv(L, sizeof *s, 0);
  memset(s, 0, sizeof *s);
  s->buffer.alloc.fn = lua_getallocf(L, &s->buffer.alloc.user);
  lua_createtable(L, 0, 1);
  lua_pushcfunction(L, close_scratch);
  lua_setfield(L, -2, "__gc");
  lua_setmetatable(L, -2);
  luaL_setfuncs(L, functions, 1);
  return 0;
}
