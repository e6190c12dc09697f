/* Lua values to bytes: codec.h has the format. codec_decode.c is the way back.
 */
#include "codec.h"

#include "lua_inspect.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum {
  ROOM = 16, /* for anything of fixed size, behind its tag */
  FEW = 8    /* objects that are found without an index */
};

/* --- bytes */

void codec_free(codec_buffer *buffer) {
  if (buffer->bytes)
    buffer->alloc.fn(buffer->alloc.user, buffer->bytes, buffer->capacity, 0);
  buffer->bytes = NULL;
  buffer->size = buffer->capacity = 0;
}

static void *resize(const codec_encoder *e, void *old, size_t old_size,
                    size_t size) {
  const astrum_alloc *alloc = &e->out->alloc;
  return alloc->fn(alloc->user, old, old ? old_size : 0, size);
}

static astrum_err grow(codec_encoder *e, size_t more) {
  codec_buffer *out = e->out;
  size_t used = out->size - e->base;
  if (used > e->limit || more > e->limit + ROOM - used)
    return ASTRUM_ELIMIT;
  size_t capacity = out->capacity < 256 ? 256 : out->capacity * 2;
  if (capacity - out->size < more)
    capacity = out->size + more;
  unsigned char *bytes = resize(e, out->bytes, out->capacity, capacity);
  if (!bytes)
    return ASTRUM_ENOMEM;
  out->bytes = bytes;
  out->capacity = capacity;
  return ASTRUM_OK;
}

static inline astrum_err reserve(codec_encoder *e, size_t more) {
  return e->out->capacity - e->out->size >= more ? ASTRUM_OK : grow(e, more);
}

/* The place of the next byte, and back. */
static inline unsigned char *begin(codec_encoder *e) {
  return e->out->bytes + e->out->size;
}
static inline void finish(codec_encoder *e, const unsigned char *p) {
  e->out->size = (size_t)(p - e->out->bytes);
}

static inline unsigned char *put_u32(unsigned char *p, uint32_t n) {
  p[0] = (unsigned char)n;
  p[1] = (unsigned char)(n >> 8);
  p[2] = (unsigned char)(n >> 16);
  p[3] = (unsigned char)(n >> 24);
  return p + 4;
}

static inline unsigned char *put_u64(unsigned char *p, uint64_t n) {
  return put_u32(put_u32(p, (uint32_t)n), (uint32_t)(n >> 32));
}

static inline unsigned char *put_varint(unsigned char *p, uint64_t n) {
  for (; n >= 0x80; n >>= 7)
    *p++ = (unsigned char)(n | 0x80);
  *p++ = (unsigned char)n;
  return p;
}

astrum_err codec_put_bytes(codec_encoder *e, const void *bytes, size_t size) {
  astrum_err err = reserve(e, size);
  if (!err && size > 0) {
    memcpy(begin(e), bytes, size);
    e->out->size += size;
  }
  return err;
}

astrum_err codec_put_string(codec_encoder *e, const char *text, size_t size) {
  if (size > CODEC_SIZE_MAX)
    return ASTRUM_ELIMIT;
  astrum_err err = reserve(e, ROOM + size);
  if (err)
    return err;
  unsigned char *p = put_varint(begin(e), size);
  memcpy(p, text, size);
  finish(e, p + size);
  return ASTRUM_OK;
}

astrum_err codec_put_byte(codec_encoder *e, int byte) {
  unsigned char c = (unsigned char)byte;
  return codec_put_bytes(e, &c, 1);
}

astrum_err codec_put_u32(codec_encoder *e, uint32_t n) {
  unsigned char bytes[4];
  put_u32(bytes, n);
  return codec_put_bytes(e, bytes, sizeof bytes);
}

void codec_patch_u32(codec_encoder *e, uint32_t offset, uint32_t n) {
  put_u32(e->out->bytes + e->base + offset, n);
}

uint32_t codec_offset(const codec_encoder *e) {
  return (uint32_t)(e->out->size - e->base);
}

/* --- objects by pointer */

static size_t place_of(const codec_encoder *e, const void *pointer) {
  uint64_t hash = (uint64_t)(uintptr_t)pointer * UINT64_C(0x9E3779B97F4A7C15);
  return (size_t)(hash >> 32) & (e->place_count - 1);
}

codec_object *codec_find(codec_encoder *e, const void *pointer) {
  if (!e->places) {
    for (size_t i = 0; i < e->object_count; i++)
      if (e->objects[i].pointer == pointer)
        return &e->objects[i];
    return NULL;
  }
  /* Places hold numbers from 1; one in two at least is free. */
  for (size_t at = place_of(e, pointer); e->places[at];
       at = (at + 1) & (e->place_count - 1))
    if (e->objects[e->places[at] - 1].pointer == pointer)
      return &e->objects[e->places[at] - 1];
  return NULL;
}

static void take_place(codec_encoder *e, uint32_t number) {
  size_t at = place_of(e, e->objects[number - 1].pointer);
  while (e->places[at])
    at = (at + 1) & (e->place_count - 1);
  e->places[at] = number;
}

static astrum_err more_objects(codec_encoder *e) {
  size_t capacity = e->object_capacity * 4, count = capacity * 2;
  int is_first = e->objects == e->first;
  codec_object *objects =
      resize(e, is_first ? NULL : e->objects,
             e->object_capacity * sizeof *objects, capacity * sizeof *objects);
  if (!objects)
    return ASTRUM_ENOMEM;
  if (is_first)
    memcpy(objects, e->first, sizeof e->first);
  e->objects = objects;
  e->object_capacity = capacity;
  uint32_t *places = resize(e, NULL, 0, count * sizeof *places);
  if (!places)
    return ASTRUM_ENOMEM;
  memset(places, 0, count * sizeof *places);
  if (e->places)
    resize(e, e->places, e->place_count * sizeof *places, 0);
  e->places = places;
  e->place_count = count;
  for (uint32_t i = 1; i <= e->object_count; i++)
    take_place(e, i);
  return ASTRUM_OK;
}

astrum_err codec_remember(codec_encoder *e, const void *pointer,
                          uint32_t offset, uint32_t number) {
  if (e->object_count == e->object_capacity) {
    astrum_err err = more_objects(e);
    if (err)
      return err;
  }
  codec_object *object = &e->objects[e->object_count++];
  object->pointer = pointer;
  object->offset = offset;
  object->number = number;
  if (e->places)
    take_place(e, (uint32_t)e->object_count);
  return ASTRUM_OK;
}

void codec_share(codec_encoder *e, const codec_object *object) {
  unsigned char *tag = e->out->bytes + e->base + object->offset;
  if (*tag == CODEC_TABLE || *tag == CODEC_FUNCTION) {
    ++*tag; /* the shared one of the two */
    e->shared++;
  }
}

static void free_objects(codec_encoder *e) {
  if (e->objects != e->first)
    resize(e, e->objects, e->object_capacity * sizeof *e->objects, 0);
  if (e->places)
    resize(e, e->places, e->place_count * sizeof *e->places, 0);
}

/* --- the texts of errors */

enum {
  KEY_SIZE = 40,
  STEP_SIZE = 4 * KEY_SIZE + 16,
  PATH_SIZE = 200,
  STEPS_MAX = 8, /* of a path that is told as a whole */
  STEPS_FIRST = 3
};

typedef struct {
  char *text;
  size_t size, used;
} writer;

/* What does not fit is left out. */
static void add(writer *w, const char *format, ...) {
  va_list list;
  va_start(list, format);
  int length = vsnprintf(w->text + w->used, w->size - w->used, format, list);
  va_end(list);
  if (length > 0)
    w->used += (size_t)length;
  if (w->used > w->size - 1)
    w->used = w->size - 1;
}

static void add_quoted(writer *w, const char *text, size_t size) {
  size_t end = size;
  if (size > KEY_SIZE) /* no half of a character */
    for (end = KEY_SIZE; end > 0 && (text[end] & 0xC0) == 0x80;)
      end--;
  add(w, "[\"");
  for (size_t i = 0; i < end; i++) {
    unsigned char c = (unsigned char)text[i];
    if (c == '"' || c == '\\')
      add(w, "\\%c", c);
    else if (c < 32 || c == 127)
      add(w, "\\%03d", c);
    else
      add(w, "%c", c);
  }
  add(w, end < size ? "...\"]" : "\"]");
}

/* The key at a stack index, as Lua would write it behind a table. */
static void add_key(writer *w, lua_State *L, int key) {
  size_t size;
  const char *text;
  switch (lua_type(L, key)) {
  case LUA_TSTRING:
    text = lua_tolstring(L, key, &size);
    if (size <= KEY_SIZE && astrum_binding_is_identifier(text, size))
      add(w, ".%s", text);
    else
      add_quoted(w, text, size);
    break;
  case LUA_TNUMBER:
    if (lua_isinteger(L, key))
      add(w, "[" LUA_INTEGER_FMT "]", lua_tointeger(L, key));
    else
      add(w, "[%.14g]", lua_tonumber(L, key));
    break;
  case LUA_TBOOLEAN:
    add(w, "[%s]", lua_toboolean(L, key) ? "true" : "false");
    break;
  default:
    add(w, "[{...}]");
  }
}

/* Writes the key that a frame is at; what encloses that frame comes before. */
static writer step_of(lua_State *L, const codec_frame *frame, char *text) {
  writer step = {text, STEP_SIZE, 0};
  add_key(&step, L, frame->key);
  return step;
}

/*
 * Adds the path from the message or upvalue down to the value that `frame`
 * encloses; of a long path the first steps and the last one. Returns the frame
 * of that name.
 */
static const codec_frame *add_path(writer *w, lua_State *L,
                                   const codec_frame *frame) {
  const codec_frame *root = frame;
  int count = 0;
  for (; !root->name; root = root->up)
    count++;
  add(w, "%s", root->name);
  if (!root->up && root->key > 0)
    add(w, "[%d]", root->key);
  if (count == 0)
    return root;
  char text[STEP_SIZE], last_text[STEP_SIZE];
  writer last = step_of(L, frame, last_text);
  size_t used = last.used;
  int told = 0, most = count > STEPS_MAX ? STEPS_FIRST : count - 1;
  for (; told < most; told++) {
    const codec_frame *at = frame;
    for (int i = count - 1; i > told; i--)
      at = at->up;
    writer step = step_of(L, at, text);
    used += step.used;
    if (used > PATH_SIZE)
      break;
    add(w, "%s", text);
  }
  add(w, told < count - 1 ? " ... %s" : "%s", last_text);
  return root;
}

static void add_subject(writer *w, lua_State *L, const codec_frame *frame) {
  if (frame->in_key) {
    add(w, "a key of ");
    frame = frame->up;
  }
  const char *of = "";
  int left = 3; /* of nested functions the innermost are told */
  for (; frame->up; frame = frame->up) {
    const codec_frame *name = frame;
    while (!name->name)
      name = name->up;
    if (!name->up)
      break;
    if (left-- == 0) {
      add(w, " of ...");
      break;
    }
    add(w, "%supvalue '", of);
    frame = add_path(w, L, frame);
    add(w, "'");
    of = " of ";
  }
  if (!*of)
    add_path(w, L, frame);
}

astrum_err codec_refuse(codec_encoder *e, const codec_frame *up, astrum_err err,
                        const char *text) {
  size_t rest = strlen(text) + 1; /* which is told in any case */
  writer w = {e->error->text, sizeof e->error->text - rest, 0};
  add_subject(&w, e->L, up);
  w.size += rest;
  add(&w, " %s", text);
  return err;
}

static astrum_err refuse_cycle(codec_encoder *e, const codec_frame *up,
                               const codec_frame *table) {
  writer w = {e->error->text, sizeof e->error->text, 0};
  add_subject(&w, e->L, up);
  add(&w, " is a cycle: it leads back to ");
  add_subject(&w, e->L, table->up);
  return ASTRUM_EINVAL;
}

/* --- values */

static inline unsigned char *put_integer(unsigned char *p, lua_Integer i) {
  *p++ = CODEC_INTEGER;
  return put_varint(p, (uint64_t)i << 1 ^ (i < 0 ? UINT64_MAX : 0));
}

static inline unsigned char *put_float(unsigned char *p, lua_Number n) {
  uint64_t bits;
  memcpy(&bits, &n, sizeof bits);
  *p++ = CODEC_FLOAT;
  return put_u64(p, n == n ? bits : UINT64_C(0x7FF8) << 48);
}

static astrum_err put_text(codec_encoder *e, int index) {
  size_t size;
  const char *text = lua_tolstring(e->L, index, &size);
  if (size > CODEC_SIZE_MAX)
    return ASTRUM_ELIMIT;
  astrum_err err = reserve(e, ROOM + size);
  if (err)
    return err;
  unsigned char *p = begin(e);
  *p++ = CODEC_STRING;
  p = put_varint(p, size);
  memcpy(p, text, size);
  finish(e, p + size);
  return ASTRUM_OK;
}

/* The key below the value on the top. */
static astrum_err put_key(codec_encoder *e, codec_frame *frame) {
  lua_State *L = e->L;
  int type = lua_type(L, -2);
  if (type == LUA_TSTRING)
    return put_text(e, -2);
  astrum_err err = reserve(e, ROOM);
  if (err)
    return err;
  unsigned char *p = begin(e);
  if (type == LUA_TNUMBER) {
    p = lua_isinteger(L, -2) ? put_integer(p, lua_tointeger(L, -2))
                             : put_float(p, lua_tonumber(L, -2));
  } else if (type == LUA_TBOOLEAN) {
    *p++ = CODEC_KEY_BOOLEAN;
    *p++ = (unsigned char)lua_toboolean(L, -2);
  } else {
    frame->in_key = 1;
    lua_pushvalue(L, -2);
    err = codec_put_value(e, frame);
    lua_pop(L, 1);
    frame->in_key = 0;
    return err;
  }
  finish(e, p);
  return ASTRUM_OK;
}

/* So many nils in place of items; the filled ones among them are `filled`. */
static int may_fill(lua_Integer holes, lua_Integer filled) {
  return holes <= 16 + 4 * filled;
}

static astrum_err put_holes(codec_encoder *e, lua_Integer count) {
  astrum_err err = reserve(e, (size_t)count);
  if (!err && count > 0) {
    memset(begin(e), CODEC_NIL, (size_t)count);
    e->out->size += (size_t)count;
  }
  return err;
}

/*
 * The items, then the pairs. lua_next gives the array part first and in order,
 * so the items are what comes in order, up to the length.
 */
static astrum_err put_contents(codec_encoder *e, codec_frame *frame) {
  lua_State *L = e->L;
  lua_Integer length = (lua_Integer)lua_rawlen(L, -1);
  lua_Integer items = 0, holes = 0;
  uint32_t pairs = 0;
  for (lua_pushnil(L); lua_next(L, -2); lua_pop(L, 1)) {
    lua_Integer place = 0;
    if (items < length && pairs == 0 && lua_isinteger(L, -2))
      place = lua_tointeger(L, -2);
    if (place > items && place <= length &&
        may_fill(holes + place - items - 1, items - holes)) {
      astrum_err err = put_holes(e, place - items - 1);
      err = err ? err : codec_put_value(e, frame);
      if (err)
        return err;
      holes += place - items - 1;
      items = place;
      continue;
    }
    pairs++;
    astrum_err err = put_key(e, frame);
    err = err ? err : codec_put_value(e, frame);
    if (err)
      return err;
  }
  codec_patch_u32(e, frame->offset + 1, (uint32_t)items);
  codec_patch_u32(e, frame->offset + 5, pairs);
  return ASTRUM_OK;
}

astrum_err codec_put_reference(codec_encoder *e, const codec_frame *up,
                               const codec_object *object) {
  for (const codec_frame *f = up; f->up && !e->extend; f = f->up)
    if (f->offset == object->offset)
      return refuse_cycle(e, up, f);
  codec_share(e, object);
  astrum_err err = codec_put_byte(e, CODEC_REFERENCE);
  return err ? err : codec_put_u32(e, object->offset);
}

static astrum_err put_table(codec_encoder *e, const codec_frame *up) {
  lua_State *L = e->L;
  const void *pointer = lua_topointer(L, -1);
  const codec_object *object = codec_find(e, pointer);
  if (object)
    return codec_put_reference(e, up, object);
  if (lua_getmetatable(L, -1)) {
    lua_pop(L, 1);
    return codec_refuse(e, up, ASTRUM_EINVAL, "is a table with a metatable");
  }
  codec_frame frame = {.up = up,
                       .offset = codec_offset(e),
                       .key = lua_gettop(L) + 1,
                       .depth = up->depth + 1};
  if (frame.depth > CODEC_DEPTH_MAX)
    return codec_refuse(e, up, ASTRUM_ELIMIT,
                        "is nested too deeply: 128 tables are the most");
  if (!lua_checkstack(L, 4))
    return ASTRUM_ENOMEM;
  astrum_err err = codec_remember(e, pointer, frame.offset, 0);
  if (err)
    return err;
  unsigned char *p = begin(e);
  *p = CODEC_TABLE;
  memset(p + 1, 0, 8);
  finish(e, p + 9);
  err = put_contents(e, &frame);
  if (err)
    lua_settop(L, frame.key - 1);
  return err;
}

/* A value of this type at `index`, if it is nil, a boolean or a number: where
   it ends, or NULL. There is ROOM. */
static inline unsigned char *put_simple(lua_State *L, int index, int type,
                                        unsigned char *p) {
  switch (type) {
  case LUA_TNIL:
    *p++ = CODEC_NIL;
    return p;
  case LUA_TBOOLEAN:
    *p++ = lua_toboolean(L, index) ? CODEC_TRUE : CODEC_FALSE;
    return p;
  case LUA_TNUMBER:
    if (lua_isinteger(L, index)) {
      lua_Integer i = lua_tointeger(L, index);
      if (i < 0 || i >= 128)
        return put_integer(p, i);
      *p++ = (unsigned char)(CODEC_SMALL | i);
      return p;
    }
    return put_float(p, lua_tonumber(L, index));
  default:
    return NULL;
  }
}

astrum_err codec_put_value(codec_encoder *e, const codec_frame *up) {
  lua_State *L = e->L;
  astrum_err err = reserve(e, ROOM);
  if (err)
    return err;
  int type = lua_type(L, -1);
  const unsigned char *end = put_simple(L, -1, type, begin(e));
  if (end) {
    finish(e, end);
    return ASTRUM_OK;
  }
  if (type == LUA_TSTRING)
    return put_text(e, -1);
  if (e->extend) {
    int written = e->extend(e, up);
    if (written != 0)
      return written < 0 ? written : ASTRUM_OK;
  }
  if (type == LUA_TTABLE)
    return put_table(e, up);
  return codec_refuse(e, up, ASTRUM_EINVAL,
                      type == LUA_TFUNCTION   ? "is a function"
                      : type == LUA_TTHREAD   ? "is a coroutine"
                      : type == LUA_TUSERDATA ? "is a userdata"
                                              : "is a light userdata");
}

/* --- messages */

static astrum_err put_message(codec_encoder *e, int first, int count,
                              const char *root) {
  lua_State *L = e->L;
  if (count > CODEC_COUNT_MAX) {
    snprintf(e->error->text, sizeof e->error->text,
             "%s has %d values, and the most are %d", root, count,
             (int)CODEC_COUNT_MAX);
    return ASTRUM_ELIMIT;
  }
  astrum_err err = reserve(e, ROOM);
  if (err)
    return err;
  uint32_t head = codec_offset(e);
  finish(e, put_varint(put_u32(begin(e), 0), (uint64_t)count));
  codec_frame frame = {.name = root};
  for (int i = 0; i < count && !err; i++) {
    err = reserve(e, ROOM);
    if (err)
      break;
    int type = lua_type(L, first + i);
    const unsigned char *end = put_simple(L, first + i, type, begin(e));
    if (end) {
      finish(e, end);
      continue;
    }
    if (type == LUA_TSTRING) {
      err = put_text(e, first + i);
      continue;
    }
    if (!lua_checkstack(L, 4))
      return ASTRUM_ENOMEM;
    frame.key = count > 1 ? i + 1 : 0;
    lua_pushvalue(L, first + i);
    err = codec_put_value(e, &frame);
    lua_pop(L, 1);
  }
  if (!err)
    codec_patch_u32(e, head, e->shared);
  return !err && codec_offset(e) > e->limit ? ASTRUM_ELIMIT : err;
}

astrum_err codec_encode_values(codec_encoder *e, astrum_err err, int first,
                               int count, const char *root) {
  *e->error->text = '\0';
  if (!err)
    err = put_message(e, first, count, root);
  free_objects(e);
  if (!err)
    return ASTRUM_OK;
  e->out->size = e->base;
  if (*e->error->text == '\0' && err == ASTRUM_ELIMIT)
    snprintf(e->error->text, sizeof e->error->text,
             "%s is larger than %zu bytes", root, e->limit);
  else if (*e->error->text == '\0')
    snprintf(e->error->text, sizeof e->error->text, "%s: %s", root,
             astrum_strerror(err));
  return err;
}

void codec_begin(codec_encoder *e, lua_State *L, size_t limit,
                 codec_buffer *out, codec_error *error) {
  e->L = L;
  e->out = out;
  e->error = error;
  e->base = out->size;
  e->limit = limit > 0 && limit < CODEC_SIZE_MAX ? limit : CODEC_SIZE_MAX;
  e->shared = 0;
  e->extend = NULL;
  e->user = NULL;
  e->objects = e->first; /* which need no zeros */
  e->object_capacity = FEW;
  e->places = NULL;
  e->object_count = e->place_count = 0;
}

astrum_err codec_encode(lua_State *L, int first, int count, const char *root,
                        size_t limit, codec_buffer *out, codec_error *error) {
  static const unsigned char magic[] = {0xA7, 'A', 'V', 1};
  codec_encoder e;
  codec_begin(&e, L, limit, out, error);
  return codec_encode_values(&e, codec_put_bytes(&e, magic, sizeof magic),
                             lua_absindex(L, first), count, root);
}
