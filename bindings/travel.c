/* Lua functions to bytes and back: travel.h tells what travels. */
#include "travel.h"

#include <lauxlib.h>

#include <stdio.h>
#include <string.h>

static const unsigned char magic[] = {0xA7, 'A', 'F', 1};

/* --- what loaded modules export: value -> "module" or "module\0field" */

/* Names the value on the top for the text below it; pops both. Of two names the
   smaller one, unless it has to be this one. */
static void name_export(lua_State *L, int exports, int always) {
  lua_pushvalue(L, -1);
  int is_named = lua_rawget(L, exports) == LUA_TSTRING;
  int keep = is_named && !always && lua_compare(L, -1, -3, LUA_OPLT);
  lua_pop(L, 1);
  if (keep) {
    lua_pop(L, 2);
    return;
  }
  lua_insert(L, -2);
  lua_rawset(L, exports);
}

static int has_identity(int type) {
  return type == LUA_TFUNCTION || type == LUA_TTABLE || type == LUA_TUSERDATA ||
         type == LUA_TLIGHTUSERDATA;
}

/* The fields of the module on the top, whose name is below it. */
static void name_fields(lua_State *L, int exports) {
  int module = lua_gettop(L);
  for (lua_pushnil(L); lua_next(L, module); lua_pop(L, 1)) {
    if (lua_type(L, -2) != LUA_TSTRING || !has_identity(lua_type(L, -1)))
      continue;
    lua_pushvalue(L, module - 1);
    lua_pushlstring(L, "", 1);
    lua_pushvalue(L, -4);
    lua_concat(L, 3);
    lua_pushvalue(L, -2);
    name_export(L, exports, 0);
  }
}

static void name_basic_library(lua_State *L, int exports) {
  static const char *const names[] = {
      "assert",   "collectgarbage", "dofile",   "error",        "getmetatable",
      "ipairs",   "load",           "loadfile", "next",         "pairs",
      "pcall",    "print",          "rawequal", "rawget",       "rawlen",
      "rawset",   "require",        "select",   "setmetatable", "tonumber",
      "tostring", "type",           "warn",     "xpcall"};
  int globals = lua_gettop(L);
  for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
    lua_pushliteral(L, "_G");
    lua_pushlstring(L, "", 1);
    const char *name = lua_pushstring(L, names[i]);
    lua_concat(L, 3);
    lua_pushstring(L, name);
    lua_rawget(L, globals);
    if (lua_iscfunction(L, -1))
      name_export(L, exports, 1);
    else
      lua_pop(L, 2);
  }
}

static int is_module_name(lua_State *L, int index) {
  size_t size;
  if (lua_type(L, index) != LUA_TSTRING)
    return 0;
  const char *name = lua_tolstring(L, index, &size);
  return strlen(name) == size;
}

void travel_push_exports(lua_State *L) {
  luaL_checkstack(L, 12, NULL);
  lua_newtable(L);
  int exports = lua_gettop(L), loaded = exports + 1, globals = exports + 2;
  luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
  lua_rawgeti(L, LUA_REGISTRYINDEX, LUA_RIDX_GLOBALS);
  for (lua_pushnil(L); lua_next(L, loaded); lua_pop(L, 1))
    if (is_module_name(L, -2) && lua_istable(L, -1) &&
        !lua_rawequal(L, -1, globals))
      name_fields(L, exports);
  lua_pushvalue(L, globals);
  name_basic_library(L, exports);
  lua_pop(L, 1);
  /* A module as a whole goes before what holds it, so these are first named by
     themselves, in a table of their own. */
  lua_newtable(L);
  int modules = lua_gettop(L);
  for (lua_pushnil(L); lua_next(L, loaded); lua_pop(L, 1)) {
    if (!is_module_name(L, -2) || !has_identity(lua_type(L, -1)))
      continue;
    lua_pushvalue(L, -2);
    lua_pushvalue(L, -2);
    name_export(L, modules, 0);
  }
  lua_pushliteral(L, LUA_GNAME);
  lua_pushvalue(L, globals);
  name_export(L, modules, 1);
  for (lua_pushnil(L); lua_next(L, modules);) {
    lua_pushvalue(L, -2);
    lua_insert(L, -2);
    lua_rawset(L, exports);
  }
  lua_settop(L, exports);
}

/* --- packing */

typedef struct {
  int exports; /* stack index */
  astrum_err err;
  codec_encoder *encoder;
} packer;

static int put_code(lua_State *L, const void *bytes, size_t size, void *user) {
  packer *p = user;
  (void)L;
  p->err = codec_put_bytes(p->encoder, bytes, size);
  return p->err;
}

/* The name of what a loaded module exports is on the top. */
static astrum_err put_export(codec_encoder *e) {
  size_t size;
  const char *name = lua_tolstring(e->L, -1, &size);
  size_t module = strlen(name);
  astrum_err err = codec_put_byte(e, CODEC_EXPORT);
  err = err ? err : codec_put_string(e, name, module);
  err = err ? err : codec_put_byte(e, module < size);
  if (!err && module < size)
    err = codec_put_string(e, name + module + 1, size - module - 1);
  return err;
}

/* The upvalue, whose value is on the top, of the function below it. */
static astrum_err put_upvalue(codec_encoder *e, const codec_frame *frame,
                              int n) {
  const void *id = lua_upvalueid(e->L, -2, n);
  codec_object *variable = codec_find(e, id);
  astrum_err err = codec_put_byte(e, variable != NULL);
  if (err)
    return err;
  if (variable) {
    codec_share(e, variable);
    err = codec_put_u32(e, variable->offset);
    return err ? err : codec_put_byte(e, (int)variable->number);
  }
  err = codec_remember(e, id, frame->offset, (uint32_t)n);
  return err ? err : codec_put_value(e, frame);
}

/* The Lua function on the top. */
static astrum_err put_function(codec_encoder *e, const codec_frame *up) {
  lua_State *L = e->L;
  packer *p = e->user;
  const void *pointer = lua_topointer(L, -1);
  const codec_object *object = codec_find(e, pointer);
  if (object)
    return codec_put_reference(e, up, object);
  codec_frame frame = {
      .up = up, .offset = codec_offset(e), .depth = up->depth + 1};
  if (frame.depth > CODEC_DEPTH_MAX)
    return codec_refuse(e, up, ASTRUM_ELIMIT,
                        "is nested too deeply: 128 tables and functions are "
                        "the most");
  astrum_err err = codec_remember(e, pointer, frame.offset, 0);
  err = err ? err : codec_put_byte(e, CODEC_FUNCTION);
  uint32_t size_at = codec_offset(e);
  err = err ? err : codec_put_u32(e, 0);
  if (err)
    return err;
  lua_Debug ar;
  lua_pushvalue(L, -1);
  lua_getinfo(L, ">u", &ar);
  if (lua_dump(L, put_code, p, 0) != 0)
    return p->err;
  codec_patch_u32(e, size_at, codec_offset(e) - size_at - 4);
  err = codec_put_byte(e, ar.nups);
  for (int n = 1; n <= ar.nups && !err; n++) {
    frame.name = lua_getupvalue(L, -1, n);
    err = put_upvalue(e, &frame, n);
    lua_pop(L, 1);
  }
  return err;
}

static int put_extension(codec_encoder *e, const codec_frame *up) {
  lua_State *L = e->L;
  const packer *p = e->user;
  if (!lua_checkstack(L, 4))
    return ASTRUM_ENOMEM;
  lua_pushvalue(L, -1);
  if (lua_rawget(L, p->exports) == LUA_TSTRING) {
    astrum_err err = put_export(e);
    lua_pop(L, 1);
    return err ? err : 1;
  }
  lua_pop(L, 1);
  if (lua_iscfunction(L, -1))
    return codec_refuse(
        e, up, ASTRUM_EINVAL,
        "is a function made by C that no loaded module exports");
  if (!lua_isfunction(L, -1))
    return 0;
  astrum_err err = put_function(e, up);
  return err ? err : 1;
}

astrum_err travel_pack(lua_State *L, int index, int exports, size_t limit,
                       codec_buffer *out, codec_error *error) {
  codec_encoder e;
  codec_begin(&e, L, limit, out, error);
  packer p = {.exports = lua_absindex(L, exports), .encoder = &e};
  e.extend = put_extension;
  e.user = &p;
  astrum_err err = codec_put_bytes(&e, magic, sizeof magic);
  if (!err)
    err = codec_put_string(&e, ASTRUM_VERSION, strlen(ASTRUM_VERSION));
  return codec_encode_values(&e, err, lua_absindex(L, index), 1, "the body");
}

/* --- unpacking */

/* fetch(module [, field]) -> value; 3: the modules, or nil */
static int fetch(lua_State *L) {
  if (lua_istable(L, 3)) {
    lua_pushvalue(L, 1);
    lua_rawget(L, 3);
    if (lua_istable(L, -1) && !lua_isnil(L, 2)) {
      lua_pushvalue(L, 2);
      lua_rawget(L, -2);
    }
    return 1;
  }
  luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
  lua_pushvalue(L, 1);
  lua_rawget(L, -2);
  if (!lua_toboolean(L, -1)) {
    lua_rawgeti(L, LUA_REGISTRYINDEX, LUA_RIDX_GLOBALS);
    lua_pushliteral(L, "require");
    lua_rawget(L, -2);
    lua_pushvalue(L, 1);
    lua_call(L, 1, 1);
  }
  if (!lua_isnil(L, 2)) {
    lua_pushvalue(L, 2);
    lua_gettable(L, -2);
  }
  return 1;
}

/* Writes the first line of the error on the top. */
static astrum_err cannot_load(codec_decoder *d, const char *module) {
  const char *text = lua_tostring(d->L, -1);
  if (!text)
    text = "its error is no text";
  size_t size = strcspn(text, "\n");
  if (size > 0 && text[size - 1] == ':')
    size--;
  snprintf(d->error->text, sizeof d->error->text,
           "module '%s' cannot be loaded: %.*s", module, (int)size, text);
  return ASTRUM_EINVAL;
}

static astrum_err get_export(codec_decoder *d) {
  lua_State *L = d->L;
  const char *module, *field;
  size_t module_size, field_size;
  astrum_err err = codec_get_string(d, &module, &module_size);
  if (err)
    return err;
  if (d->at == d->end)
    return codec_damaged(d, "they end too early");
  int has_field = *d->at++;
  lua_pushcfunction(L, fetch);
  module = lua_pushlstring(L, module, module_size);
  if (has_field) {
    err = codec_get_string(d, &field, &field_size);
    if (err)
      return err;
    field = lua_pushlstring(L, field, field_size);
  } else {
    field = NULL;
    lua_pushnil(L);
  }
  /* The names stay alive below the call. */
  lua_pushvalue(L, -3);
  lua_pushvalue(L, -3);
  lua_pushvalue(L, -3);
  if (d->modules)
    lua_pushvalue(L, d->modules);
  else
    lua_pushnil(L);
  int status = lua_pcall(L, 3, 1, 0);
  if (status == LUA_ERRMEM)
    lua_error(L);
  if (status != LUA_OK)
    return cannot_load(d, module);
  if (lua_isnil(L, -1)) {
    snprintf(d->error->text, sizeof d->error->text,
             "module '%s' has no field '%s' here", module, field ? field : "?");
    return ASTRUM_EINVAL;
  }
  lua_replace(L, -4);
  lua_pop(L, 2);
  return ASTRUM_OK;
}

/* Upvalue n of the function on the top is a variable of an earlier function. */
static astrum_err join_upvalue(codec_decoder *d, int n) {
  lua_State *L = d->L;
  uint32_t offset;
  astrum_err err = codec_get_u32(d, &offset);
  err = err ? err : codec_get_object(d, offset);
  if (err)
    return err;
  if (d->at == d->end)
    return codec_damaged(d, "they end too early");
  int other = *d->at++;
  if (!lua_isfunction(L, -1) || lua_iscfunction(L, -1) ||
      !lua_getupvalue(L, -1, other))
    return codec_damaged(d, "there is no such variable");
  lua_pop(L, 1);
  lua_upvaluejoin(L, -2, n, -1, other);
  lua_pop(L, 1);
  return ASTRUM_OK;
}

/* The tag has been read. */
static astrum_err get_function(codec_decoder *d, int is_shared, int depth) {
  lua_State *L = d->L;
  size_t offset = (size_t)(d->at - d->start) - 1;
  uint32_t size;
  astrum_err err = codec_get_u32(d, &size);
  if (err)
    return err;
  if (size >= (size_t)(d->end - d->at))
    return codec_damaged(d, "they end too early");
  int status = luaL_loadbufferx(L, (const char *)d->at, size, "=body", "b");
  if (status == LUA_ERRMEM)
    lua_error(L);
  if (status != LUA_OK)
    return codec_damaged(d, lua_tostring(L, -1));
  if (is_shared && (err = codec_keep(d, offset)) != ASTRUM_OK)
    return err;
  d->at += size;
  int count = *d->at++;
  for (int n = 1; n <= count; n++) {
    if (!lua_getupvalue(L, -1, n))
      return codec_damaged(d, "a function has fewer upvalues");
    lua_pop(L, 1);
    if (d->at == d->end)
      return codec_damaged(d, "they end too early");
    if (*d->at++ == 0) {
      err = codec_get_value(d, depth + 1);
      if (!err)
        lua_setupvalue(L, -2, n);
    } else {
      err = join_upvalue(d, n);
    }
    if (err)
      return err;
  }
  return ASTRUM_OK;
}

static astrum_err get_extension(codec_decoder *d, int tag, int depth) {
  if (depth >= CODEC_DEPTH_MAX || !lua_checkstack(d->L, 10))
    return codec_damaged(d, "functions are nested too deeply");
  switch (tag) {
  case CODEC_FUNCTION:
  case CODEC_SHARED_FUNCTION:
    return get_function(d, tag == CODEC_SHARED_FUNCTION, depth);
  case CODEC_EXPORT:
    return get_export(d);
  default:
    return codec_damaged(d, "the tag is unknown");
  }
}

astrum_err travel_unpack(lua_State *L, const void *bytes, size_t size,
                         int modules, codec_error *error) {
  codec_decoder d = {.L = L,
                     .start = bytes,
                     .error = error,
                     .extend = get_extension,
                     .modules = modules ? lua_absindex(L, modules) : 0};
  if (size <= sizeof magic || size > CODEC_SIZE_MAX ||
      memcmp(bytes, magic, sizeof magic) != 0) {
    snprintf(error->text, sizeof error->text,
             "the bytes are no function that astrum has packed");
    return ASTRUM_EINVAL;
  }
  d.at = d.start + sizeof magic;
  d.end = d.start + size;
  const char *version;
  size_t length;
  astrum_err err = codec_get_string(&d, &version, &length);
  if (err)
    return err;
  if (length != strlen(ASTRUM_VERSION) ||
      memcmp(version, ASTRUM_VERSION, length) != 0) {
    snprintf(error->text, sizeof error->text,
             "the function was packed by astrum %.*s, and this is astrum %s",
             length > 40 ? 40 : (int)length, version, ASTRUM_VERSION);
    return ASTRUM_EINVAL;
  }
  int count = codec_decode_values(&d);
  if (count < 0)
    return count;
  if (count == 1 && lua_isfunction(L, -1))
    return ASTRUM_OK;
  lua_pop(L, count);
  return codec_damaged(&d, "there is no function in them");
}
