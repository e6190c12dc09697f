/*
 * Lua values as one flat run of bytes, for values that leave their Lua state:
 * to a thread, a child process, a journal, another machine.
 *
 * What travels: nil, booleans, integers, floats bit by bit (but one NaN for
 * all), strings, and tables of these without a metatable. A table that is
 * reached twice is written once and decoded to one table. The length `#t` of a
 * list with holes is kept where at least a fifth of its places is filled.
 * Refused, with the path of the value: functions, userdata, coroutines, tables
 * with a metatable, cycles, more than CODEC_DEPTH_MAX tables inside each other.
 * No metamethod is called, no code of Lua runs, either way.
 *
 * The format, in little endian. `count` and `length` are varints: seven bits a
 * byte, the lowest first, the eighth bit set in all but the last.
 *
 *   message   A7 'A' 'V', version (1), u32 shared, count values, value...
 *             `shared` is the number of objects that are referred to
 *
 *   00        nil
 *   01 02     false, true
 *   03        integer: varint of (i << 1) ^ (i >> 63)
 *   04        float: 8 bytes of IEEE 754; NaN is 00 00 00 00 00 00 F8 7F
 *   05        string: length, bytes
 *   06        table: u32 items, u32 pairs, the items 1, 2, 3 ... (which may be
 *             nil), then the pairs, each a key and a value
 *   07        the same, and something refers to it
 *   08        the object whose tag is at this u32, counted from the message's
 *             first byte
 *   09        boolean, only as a key: one byte, 0 or 1
 *   80..FF    an integer from 0 to 127, not as a key
 *   10..1F    of travel.h, refused here
 *
 * A key takes at least two bytes, so that an item takes at least one and a pair
 * three. The decoder compares what all tables that it has begun still need with
 * what is left before it makes the next one. So a message of n bytes needs at
 * most 16 n bytes of memory, and up to 1 MiB for short strings and Lua's stack.
 */
#ifndef ASTRUM_CODEC_H
#define ASTRUM_CODEC_H

#include <astrum.h>

#include <lua.h>

enum {
  CODEC_DEPTH_MAX = 128,    /* tables inside each other */
  CODEC_COUNT_MAX = 4096,   /* values of a message */
  CODEC_SIZE_MAX = 1 << 30, /* bytes of a message */
  CODEC_TEXT_SIZE = 512
};

/*
 * Bytes that grow. The caller sets `alloc` and zeros the rest, may use the
 * buffer again and again (size = 0), and gives it back with codec_free.
 */
typedef struct {
  unsigned char *bytes;
  size_t size, capacity;
  astrum_alloc alloc; /* fn must be set */
} codec_buffer;

void codec_free(codec_buffer *buffer);

/* One line, without the name of a function or a place in front. */
typedef struct {
  char text[CODEC_TEXT_SIZE];
} codec_error;

/*
 * Appends a message with the `count` values from the stack index `first` on.
 * `root` is their name in errors, "result": of several values the second one
 * is then `result[2]`. `limit`: most bytes of the message, 0: CODEC_SIZE_MAX.
 *
 * EINVAL: a value does not travel, `result.a[3].f is a function`. ELIMIT: too
 * deep, too many or too large. ENOMEM. After an error the buffer holds what it
 * held. Raises nothing, and leaves the stack as it was.
 */
astrum_err codec_encode(lua_State *L, int first, int count, const char *root,
                        size_t limit, codec_buffer *out, codec_error *error);

/*
 * Pushes the values of a message and returns their number. Whatever the bytes
 * are, EINVAL is the worst that comes of it: then nothing is pushed. Raises
 * only Lua's own error for want of memory, so a caller that holds something
 * calls it in a lua_pcall.
 */
int codec_decode(lua_State *L, const void *bytes, size_t size,
                 codec_error *error);

/*
 * Pushes the value of a message, and returns 1, if it is one value that takes
 * no memory: nil, a boolean or a number. Else it returns 0 and pushes nothing.
 * Needs one place of the stack, and never raises.
 */
int codec_decode_simple(lua_State *L, const void *bytes, size_t size);

/* --- for travel.c: a message with tags of its own */

enum {
  CODEC_NIL,
  CODEC_FALSE,
  CODEC_TRUE,
  CODEC_INTEGER,
  CODEC_FLOAT,
  CODEC_STRING,
  CODEC_TABLE,
  CODEC_SHARED_TABLE,
  CODEC_REFERENCE,
  CODEC_KEY_BOOLEAN,
  CODEC_EXTENSION = 0x10,
  CODEC_FUNCTION = CODEC_EXTENSION,
  CODEC_SHARED_FUNCTION,
  CODEC_EXPORT,
  CODEC_EXTENSION_END = 0x20,
  CODEC_SMALL = 0x80
};

/* What encloses a value: a table, an upvalue, or (up is NULL) the message. */
typedef struct codec_frame {
  const struct codec_frame *up;
  const char *name; /* of the upvalue or the message; NULL: a table */
  uint32_t offset;  /* of the table's tag */
  int key;          /* stack index of the key that it is at */
  int in_key;       /* the key itself is being written */
  int depth;        /* tables and functions around what is inside */
} codec_frame;

/* An object that has been written. */
typedef struct {
  const void *pointer;
  uint32_t offset; /* of its tag */
  uint32_t number; /* for the extension */
} codec_object;

typedef struct codec_encoder codec_encoder;

struct codec_encoder {
  lua_State *L;
  codec_buffer *out;
  codec_error *error;
  size_t base, limit;
  uint32_t shared;
  /* NULL, or writes the value on the top if it can: 1: written, 0: not one
     for it, or an error. Such messages may hold cycles. Pops nothing. */
  int (*extend)(codec_encoder *e, const codec_frame *up);
  void *user;
  /* All objects, in their order, and their places by pointer. */
  codec_object *objects;
  uint32_t *places;
  size_t object_count, object_capacity, place_count;
  codec_object first[8];
};

void codec_begin(codec_encoder *e, lua_State *L, size_t limit,
                 codec_buffer *out, codec_error *error);
/* As codec_encode, behind first bytes that the caller has put, unless that gave
   the error `err`. `first` is no negative index. */
astrum_err codec_encode_values(codec_encoder *e, astrum_err err, int first,
                               int count, const char *root);
/* Writes the value on the top, which stays. */
astrum_err codec_put_value(codec_encoder *e, const codec_frame *up);
astrum_err codec_put_string(codec_encoder *e, const char *text, size_t size);
astrum_err codec_put_bytes(codec_encoder *e, const void *bytes, size_t size);
astrum_err codec_put_byte(codec_encoder *e, int byte);
astrum_err codec_put_u32(codec_encoder *e, uint32_t n);
void codec_patch_u32(codec_encoder *e, uint32_t offset, uint32_t n);
uint32_t codec_offset(const codec_encoder *e);
/* NULL when it has not been written. */
codec_object *codec_find(codec_encoder *e, const void *pointer);
astrum_err codec_remember(codec_encoder *e, const void *pointer,
                          uint32_t offset, uint32_t number);
/* Notes that something refers to the object. */
void codec_share(codec_encoder *e, const codec_object *object);
/* EINVAL when it is a cycle, which only an extension may write. */
astrum_err codec_put_reference(codec_encoder *e, const codec_frame *up,
                               const codec_object *object);
/* Writes the path of what `up` encloses and the text into the error. */
astrum_err codec_refuse(codec_encoder *e, const codec_frame *up, astrum_err err,
                        const char *text);

typedef struct codec_decoder codec_decoder;

struct codec_decoder {
  lua_State *L;
  const unsigned char *start, *at, *end;
  codec_error *error;
  size_t owed;   /* bytes that the tables which are begun need at least */
  int objects;   /* stack index of offset -> object, if any are referred to */
  uint32_t left; /* objects of these that are still to come */
  int modules;   /* of the extension: stack index of its modules, or 0 */
  /* NULL, or pushes the value of a tag from CODEC_EXTENSION on. */
  astrum_err (*extend)(codec_decoder *d, int tag, int depth);
};

/* As codec_decode, from what follows the first bytes of a message. */
int codec_decode_values(codec_decoder *d);
astrum_err codec_get_value(codec_decoder *d, int depth);
astrum_err codec_get_u32(codec_decoder *d, uint32_t *n);
/* A length and so many bytes, which stay where they are. */
astrum_err codec_get_string(codec_decoder *d, const char **text, size_t *size);
/* Keeps the object on the top, whose tag is at `offset`, for references. */
astrum_err codec_keep(codec_decoder *d, size_t offset);
/* Pushes it; EINVAL when there is none. */
astrum_err codec_get_object(codec_decoder *d, uint32_t offset);
astrum_err codec_damaged(codec_decoder *d, const char *text);

#endif
