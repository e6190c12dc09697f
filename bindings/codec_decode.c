/* Bytes to Lua values. Every length is compared with what is left first. */
#include "codec.h"

#include <stdio.h>
#include <string.h>

astrum_err codec_damaged(codec_decoder *d, const char *text) {
  snprintf(d->error->text, sizeof d->error->text,
           "the bytes are damaged at %zu: %s", (size_t)(d->at - d->start),
           text);
  return ASTRUM_EINVAL;
}

static size_t left(const codec_decoder *d) { return (size_t)(d->end - d->at); }

static astrum_err cut(codec_decoder *d) {
  return codec_damaged(d, "they end too early");
}

static inline uint32_t read_u32(const unsigned char *p) {
  return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 |
         (uint32_t)p[3] << 24;
}

astrum_err codec_get_u32(codec_decoder *d, uint32_t *n) {
  if (left(d) < 4)
    return cut(d);
  *n = read_u32(d->at);
  d->at += 4;
  return ASTRUM_OK;
}

static astrum_err get_varint(codec_decoder *d, uint64_t *n) {
  uint64_t value = 0;
  if (d->at < d->end && *d->at < 0x80) {
    *n = *d->at++;
    return ASTRUM_OK;
  }
  for (int shift = 0; shift < 64; shift += 7) {
    if (d->at == d->end)
      return cut(d);
    uint64_t byte = *d->at++;
    if (shift == 63 && byte > 1)
      break;
    value |= (byte & 0x7F) << shift;
    if (byte < 0x80) {
      *n = value;
      return ASTRUM_OK;
    }
  }
  return codec_damaged(d, "a number is too large");
}

astrum_err codec_get_string(codec_decoder *d, const char **text, size_t *size) {
  uint64_t length;
  astrum_err err = get_varint(d, &length);
  if (err)
    return err;
  if (length > left(d))
    return cut(d);
  *text = (const char *)d->at;
  *size = (size_t)length;
  d->at += length;
  return ASTRUM_OK;
}

/* --- objects that something refers to */

astrum_err codec_keep(codec_decoder *d, size_t offset) {
  if (d->left == 0)
    return codec_damaged(d, "too many objects are referred to");
  d->left--;
  lua_pushvalue(d->L, -1);
  lua_rawseti(d->L, d->objects, (lua_Integer)offset);
  return ASTRUM_OK;
}

astrum_err codec_get_object(codec_decoder *d, uint32_t offset) {
  if (d->objects == 0 || lua_rawgeti(d->L, d->objects, offset) == LUA_TNIL)
    return codec_damaged(d, "a reference leads nowhere");
  return ASTRUM_OK;
}

/* --- values */

static inline lua_Number get_float(codec_decoder *d) {
  uint64_t bits = (uint64_t)read_u32(d->at + 4) << 32 | read_u32(d->at);
  d->at += 8;
  lua_Number n;
  memcpy(&n, &bits, sizeof n);
  if (n != n) {
    bits = UINT64_C(0x7FF8) << 48;
    memcpy(&n, &bits, sizeof n);
  }
  return n;
}

static astrum_err get_key(codec_decoder *d, int depth) {
  if (d->at == d->end)
    return cut(d);
  switch (*d->at) {
  case CODEC_STRING:
  case CODEC_INTEGER:
  case CODEC_TABLE:
  case CODEC_SHARED_TABLE:
  case CODEC_REFERENCE:
    return codec_get_value(d, depth);
  case CODEC_FLOAT: {
    astrum_err err = codec_get_value(d, depth);
    if (err)
      return err;
    lua_Number n = lua_tonumber(d->L, -1);
    return n == n ? ASTRUM_OK : codec_damaged(d, "a key is NaN");
  }
  case CODEC_KEY_BOOLEAN:
    if (left(d) < 2 || d->at[1] > 1)
      return codec_damaged(d, "a key is no boolean");
    lua_pushboolean(d->L, d->at[1]);
    d->at += 2;
    return ASTRUM_OK;
  default:
    if (d->extend && *d->at >= CODEC_EXTENSION && *d->at < CODEC_EXTENSION_END)
      return codec_get_value(d, depth);
    return codec_damaged(d, "a key cannot have this tag");
  }
}

/* The tag has been read. */
static astrum_err get_table(codec_decoder *d, int is_shared, int depth) {
  lua_State *L = d->L;
  size_t offset = (size_t)(d->at - d->start) - 1;
  if (left(d) < 8)
    return cut(d);
  uint32_t items = read_u32(d->at), pairs = read_u32(d->at + 4);
  uint64_t need = (uint64_t)items + UINT64_C(3) * pairs;
  d->at += 8;
  if (d->owed > left(d) || need > left(d) - d->owed)
    return codec_damaged(d, "a table is larger than what is left");
  if (depth >= CODEC_DEPTH_MAX)
    return codec_damaged(d, "tables are nested too deeply");
  if (!lua_checkstack(L, 6))
    return codec_damaged(d, "the Lua stack is full");
  d->owed += (size_t)need;
  lua_createtable(L, (int)items, (int)pairs);
  /* Only where functions travel a table can be inside itself. */
  if (is_shared && d->extend) {
    astrum_err err = codec_keep(d, offset);
    if (err)
      return err;
  }
  for (uint32_t i = 1; i <= items; i++) {
    d->owed--;
    astrum_err err = codec_get_value(d, depth + 1);
    if (err)
      return err;
    lua_rawseti(L, -2, i);
  }
  for (uint32_t i = 0; i < pairs; i++) {
    d->owed -= 3;
    astrum_err err = get_key(d, depth + 1);
    err = err ? err : codec_get_value(d, depth + 1);
    if (err)
      return err;
    lua_rawset(L, -3);
  }
  return is_shared && !d->extend ? codec_keep(d, offset) : ASTRUM_OK;
}

astrum_err codec_get_value(codec_decoder *d, int depth) {
  lua_State *L = d->L;
  if (d->at == d->end)
    return cut(d);
  int tag = *d->at++;
  if (tag >= CODEC_SMALL) {
    lua_pushinteger(L, tag - CODEC_SMALL);
    return ASTRUM_OK;
  }
  switch (tag) {
  case CODEC_NIL:
    lua_pushnil(L);
    return ASTRUM_OK;
  case CODEC_FALSE:
  case CODEC_TRUE:
    lua_pushboolean(L, tag == CODEC_TRUE);
    return ASTRUM_OK;
  case CODEC_INTEGER: {
    uint64_t n;
    astrum_err err = get_varint(d, &n);
    if (!err)
      lua_pushinteger(L, (lua_Integer)(n >> 1 ^ (n & 1 ? UINT64_MAX : 0)));
    return err;
  }
  case CODEC_FLOAT:
    if (left(d) < 8)
      return cut(d);
    lua_pushnumber(L, get_float(d));
    return ASTRUM_OK;
  case CODEC_STRING: {
    const char *text;
    size_t size;
    astrum_err err = codec_get_string(d, &text, &size);
    if (!err)
      lua_pushlstring(L, text, size);
    return err;
  }
  case CODEC_TABLE:
  case CODEC_SHARED_TABLE:
    return get_table(d, tag == CODEC_SHARED_TABLE, depth);
  case CODEC_REFERENCE: {
    uint32_t offset;
    astrum_err err = codec_get_u32(d, &offset);
    return err ? err : codec_get_object(d, offset);
  }
  default:
    if (d->extend && tag >= CODEC_EXTENSION && tag < CODEC_EXTENSION_END)
      return d->extend(d, tag, depth);
    d->at--;
    return codec_damaged(d, "the tag is unknown");
  }
}

/* --- messages */

static int get_message(codec_decoder *d) {
  lua_State *L = d->L;
  uint64_t count;
  astrum_err err = codec_get_u32(d, &d->left);
  err = err ? err : get_varint(d, &count);
  if (err)
    return err;
  if (count > CODEC_COUNT_MAX)
    return codec_damaged(d, "there are more than 4096 values");
  /* An object takes nine bytes, what refers to it five. */
  if (count > left(d) || d->left > left(d) / 14)
    return codec_damaged(d, "there are more values than bytes");
  if (!lua_checkstack(L, (int)count + 4))
    return codec_damaged(d, "the Lua stack is full");
  if (d->left > 0) {
    lua_createtable(L, 0, (int)d->left);
    d->objects = lua_gettop(L);
  }
  d->owed = (size_t)count;
  for (uint64_t i = 0; i < count; i++) {
    d->owed--;
    err = codec_get_value(d, 0);
    if (err)
      return err;
  }
  if (d->at != d->end)
    return codec_damaged(d, "more bytes follow than belong to it");
  if (d->left > 0)
    return codec_damaged(d, "an object that is referred to is missing");
  if (d->objects)
    lua_remove(L, d->objects);
  return (int)count;
}

int codec_decode_values(codec_decoder *d) {
  int top = lua_gettop(d->L);
  *d->error->text = '\0';
  int count = get_message(d);
  if (count < 0)
    lua_settop(d->L, top);
  return count;
}

int codec_decode_simple(lua_State *L, const void *bytes, size_t size) {
  /* Without objects that are referred to, and of one value. */
  static const unsigned char head[] = {0xA7, 'A', 'V', 1, 0, 0, 0, 0, 1};
  const unsigned char *start = bytes;
  if (size <= sizeof head || memcmp(start, head, sizeof head) != 0)
    return 0;
  int tag = start[sizeof head];
  if (tag > CODEC_FLOAT && tag < CODEC_SMALL)
    return 0;
  codec_error error;
  codec_decoder d = {.L = L,
                     .start = start,
                     .at = start + sizeof head,
                     .end = start + size,
                     .error = &error};
  if (codec_get_value(&d, 0) != ASTRUM_OK)
    return 0;
  if (d.at == d.end)
    return 1;
  lua_pop(L, 1);
  return 0;
}

int codec_decode(lua_State *L, const void *bytes, size_t size,
                 codec_error *error) {
  static const unsigned char magic[] = {0xA7, 'A', 'V'};
  const unsigned char *start = bytes;
  if (size <= sizeof magic || memcmp(start, magic, sizeof magic) != 0) {
    snprintf(error->text, sizeof error->text,
             "the bytes are no values that astrum has written");
    return ASTRUM_EINVAL;
  }
  if (start[3] != 1) {
    snprintf(error->text, sizeof error->text,
             "the values are written in version %d of the format; this program "
             "reads version 1",
             start[3]);
    return ASTRUM_EINVAL;
  }
  if (size > CODEC_SIZE_MAX) {
    snprintf(error->text, sizeof error->text,
             "the values are larger than %d bytes", (int)CODEC_SIZE_MAX);
    return ASTRUM_EINVAL;
  }
  codec_decoder d = {.L = L,
                     .start = start,
                     .at = start + 4,
                     .end = start + size,
                     .error = error};
  return codec_decode_values(&d);
}
