/*
 * Values and functions as bytes: round trips, refusals, damaged bytes, want of
 * memory.
 */
#include "codec_support.h"
#include "travel.h"

/* What the encoder says to the value of an expression. */
static const char *refusal(const char *code, astrum_err wanted) {
  static codec_error error;
  lua_State *L = new_state();
  run(L, code);
  codec_buffer buffer = BUFFER;
  int top = lua_gettop(L);
  CHECK_EQ(codec_encode(L, 1, top, "result", 0, &buffer, &error), wanted);
  CHECK_EQ(buffer.size, 0);
  CHECK_EQ(lua_gettop(L), top);
  codec_free(&buffer);
  lua_close(L);
  return error.text;
}

/* Whether `check(copy...)`, of a chunk that returns values and `check`, is
   true for the copies of the values. */
static int holds(const char *code) {
  lua_State *L = new_state();
  run(L, code);
  codec_buffer buffer = BUFFER;
  codec_error error = {""};
  int count = lua_gettop(L) - 1;
  int ok = codec_encode(L, 1, count, "r", 0, &buffer, &error) == ASTRUM_OK &&
           codec_decode(L, buffer.bytes, buffer.size, &error) == count;
  if (!ok)
    printf("%s\n", error.text);
  ok = ok && lua_pcall(L, count, 1, 0) == LUA_OK;
  if (ok && !lua_toboolean(L, -1))
    ok = 0;
  codec_free(&buffer);
  lua_close(L);
  return ok;
}

/* --- what travels */

TEST(numbers_keep_their_bits_and_their_kind) {
  CHECK(holds("return math.mininteger, math.maxinteger, -1, 0, 127, 128, 2^53,"
              "function(a, b, c, d, e, f, g) return a == math.mininteger and "
              "b == math.maxinteger and c == -1 and d == 0 and e == 127 and "
              "f == 128 and g == 2^53 and math.type(g) == 'float' and "
              "math.type(a) == 'integer' end"));
  CHECK(holds("return 1.0, -0.0, 1/0, -1/0, 5e-324, 0.1, function(...) "
              "return string.pack('<dddddd', ...) == "
              "string.pack('<dddddd', 1.0, -0.0, 1/0, -1/0, 5e-324, 0.1) and "
              "math.type((...)) == 'float' end"));
  CHECK(holds("return 0/0, -(0/0), function(a, b) return "
              "string.pack('<I8', 0x7FF8 << 48) == string.pack('<d', a) and "
              "string.pack('<d', a) == string.pack('<d', b) end"));
}

/* Bytes of what a chunk returns. */
static size_t size_of(const char *code) {
  lua_State *L = new_state();
  run(L, code);
  codec_buffer buffer = BUFFER;
  codec_error error;
  CHECK_EQ(codec_encode(L, 1, lua_gettop(L), "r", 0, &buffer, &error),
           ASTRUM_OK);
  size_t size = buffer.size;
  codec_free(&buffer);
  lua_close(L);
  return size;
}

TEST(every_nan_is_written_and_read_as_one) {
  static const char wanted[] = "\xA7"
                               "AV\1\0\0\0\0\1\4\0\0\0\0\0\0\xF8\x7F";
  static const char other[] = "\xA7"
                              "AV\1\0\0\0\0\1\4\1\2\3\4\5\6\xF7\xFF";
  lua_State *L = new_state();
  codec_buffer buffer = BUFFER;
  codec_error error;
  CHECK_EQ(codec_decode(L, other, sizeof other - 1, &error), 1);
  lua_Number n = lua_tonumber(L, -1);
  CHECK(memcmp(&n, wanted + 10, sizeof n) == 0);
  lua_settop(L, 0);
  run(L, "return (string.unpack('<d', '\\1\\2\\3\\4\\5\\6\\xF7\\xFF'))");
  CHECK_EQ(codec_encode(L, 1, 1, "r", 0, &buffer, &error), ASTRUM_OK);
  CHECK(buffer.size == sizeof wanted - 1 &&
        memcmp(buffer.bytes, wanted, buffer.size) == 0);
  codec_free(&buffer);
  lua_close(L);
}

TEST(strings_keep_all_bytes) {
  CHECK(
      holds("local all = {} for i = 0, 255 do all[i + 1] = string.char(i) end "
            "all = table.concat(all) return '', all, all:rep(1000),"
            "function(a, b, c) return a == '' and #b == 256 and "
            "c == b:rep(1000) and b:byte(1) == 0 end"));
}

TEST(several_values_keep_their_number_with_nils_at_the_end) {
  CHECK(holds("return nil, 1, nil, nil, function(...) "
              "return select('#', ...) == 4 and select(2, ...) == 1 end"));
  CHECK(holds("return function(...) return select('#', ...) == 0 end"));
}

TEST(lists_keep_their_holes_and_length) {
  CHECK(holds("return {1, nil, 3, nil, nil, 6}, function(t) "
              "return #t == 6 and t[3] == 3 and t[2] == nil end"));
  CHECK(holds("return {nil, nil, 3}, function(t) return #t == 3 end"));
  CHECK(holds("return {1, 2, 3, x = 4, [10] = 5, [-1] = 6, [0] = 7}, "
              "function(t) return #t == 3 and t.x == 4 and t[10] == 5 and "
              "t[-1] == 6 and t[0] == 7 end"));
}

TEST(numbers_far_apart_as_keys_cost_no_more_than_others) {
  CHECK(holds("local t = {} for i = 0, 40 do t[1 << i] = i end return t, "
              "function(c) for i = 0, 40 do if c[1 << i] ~= i then return end "
              "end return true end"));
  CHECK(size_of("local t = {} for i = 0, 40 do t[1 << i] = i end return t") <
        400);
  CHECK(size_of("local t = table.pack(table.unpack({1}, 1, 100000)) "
                "t[100000] = 1 return t") < 200);
}

TEST(keys_of_every_kind_are_kept) {
  CHECK(holds("local k = {1} return {[true] = 1, [false] = 2, [1.5] = 3, "
              "[k] = 4, [2^63] = 6, ['a b'] = 7, [''] = 8}, k, "
              "function(t, c) return t[true] == 1 and t[false] == 2 and "
              "t[1.5] == 3 and t[c] == 4 and t[2^63] == 6 and "
              "t['a b'] == 7 and t[''] == 8 end"));
}

TEST(a_table_reached_twice_is_one_table_afterwards) {
  CHECK(holds("local a = {1} return {x = a, y = {a, a}}, a, function(t, c) "
              "return t.x == c and t.y[1] == c and t.y[2] == c and "
              "c[1] == 1 end"));
  CHECK(holds("local all = {} for i = 1, 500 do all[i] = {i} end "
              "local twice = {all} for i = 1, 500 do twice[i + 1] = all[i] end "
              "return twice, function(t) for i = 1, 500 do "
              "if t[i + 1] ~= t[1][i] or t[i + 1][1] ~= i then return end end "
              "return true end"));
}

TEST(tables_may_be_128_deep) {
  CHECK(holds("local t = {7} for i = 2, 128 do t = {t} end return t, "
              "function(c) for i = 1, 128 do c = c[1] end return c == 7 end"));
}

TEST(a_message_is_as_the_header_tells) {
  static const unsigned char wanted[] = {
      0xA7, 'A', 'V', 1,   0, 0, 0, 0, 1, /* one value */
      6,    1,   0,   0,   0, 1, 0, 0, 0, /* table: 1 item, 1 pair */
      0x85, 5,   1,   'v', 4, 0, 0, 0, 0, 0, 0, 0xF0, 0x3F};
  lua_State *L = new_state();
  run(L, "return {5, v = 1.0}");
  codec_buffer buffer = BUFFER;
  codec_error error;
  CHECK_EQ(codec_encode(L, 1, 1, "r", 0, &buffer, &error), ASTRUM_OK);
  CHECK_EQ(buffer.size, sizeof wanted);
  CHECK(buffer.size == sizeof wanted &&
        memcmp(buffer.bytes, wanted, sizeof wanted) == 0);
  codec_free(&buffer);
  lua_close(L);
}

TEST(messages_are_appended_to_the_buffer) {
  lua_State *L = new_state();
  run(L, "local a = {} return {a, a}, {a, a, a}, print");
  codec_buffer buffer = BUFFER;
  codec_error error;
  CHECK_EQ(codec_encode(L, 1, 1, "r", 0, &buffer, &error), ASTRUM_OK);
  size_t first = buffer.size;
  CHECK_EQ(codec_encode(L, 2, 1, "r", 0, &buffer, &error), ASTRUM_OK);
  size_t both = buffer.size;
  CHECK_EQ(codec_encode(L, 3, 1, "r", 0, &buffer, &error), ASTRUM_EINVAL);
  CHECK_EQ(buffer.size, both);
  CHECK_EQ(codec_decode(L, buffer.bytes, first, &error), 1);
  CHECK_EQ(lua_rawlen(L, -1), 2);
  CHECK_EQ(codec_decode(L, buffer.bytes + first, both - first, &error), 1);
  CHECK_EQ(lua_rawlen(L, -1), 3);
  codec_free(&buffer);
  lua_close(L);
}

/* --- what is refused */

TEST(what_is_no_data_is_refused_with_its_path) {
  CHECK_STR(refusal("return {a = {1, 2, {f = print}}}", ASTRUM_EINVAL),
            "result.a[3].f is a function");
  CHECK_STR(refusal("return function() end", ASTRUM_EINVAL),
            "result is a function");
  CHECK_STR(refusal("return 1, {x = coroutine.create(print)}", ASTRUM_EINVAL),
            "result[2].x is a coroutine");
  CHECK_STR(refusal("return {io.stdout}", ASTRUM_EINVAL),
            "result[1] is a userdata");
  CHECK_STR(refusal("return {a = setmetatable({}, {})}", ASTRUM_EINVAL),
            "result.a is a table with a metatable");
  CHECK_STR(refusal("return {a = {[print] = 1}}", ASTRUM_EINVAL),
            "a key of result.a is a function");
  CHECK_STR(refusal("return {[{x = print}] = 1}", ASTRUM_EINVAL),
            "result[{...}].x is a function");
}

TEST(a_light_userdata_is_refused) {
  lua_State *L = new_state();
  codec_buffer buffer = BUFFER;
  codec_error error;
  lua_pushlightuserdata(L, &buffer);
  CHECK_EQ(codec_encode(L, 1, 1, "result", 0, &buffer, &error), ASTRUM_EINVAL);
  CHECK_STR(error.text, "result is a light userdata");
  codec_free(&buffer);
  lua_close(L);
}

TEST(a_path_is_written_as_lua_code) {
  CHECK_STR(refusal("return {['a b'] = {['end'] = {['x\"\\n'] = print}}}",
                    ASTRUM_EINVAL),
            "result[\"a b\"][\"end\"][\"x\\\"\\010\"] is a function");
  CHECK_STR(
      refusal("return {[true] = {[1.5] = {[-7] = print}}}", ASTRUM_EINVAL),
      "result[true][1.5][-7] is a function");
  CHECK_STR(refusal("return {['%s%n'] = print}", ASTRUM_EINVAL),
            "result[\"%s%n\"] is a function");
  CHECK_STR(refusal("return {[('\xC3\xA4'):rep(30)] = print}", ASTRUM_EINVAL),
            "result[\"\xC3\xA4\xC3\xA4\xC3\xA4\xC3\xA4\xC3\xA4\xC3\xA4\xC3\xA4"
            "\xC3\xA4\xC3\xA4\xC3\xA4\xC3\xA4\xC3\xA4\xC3\xA4\xC3\xA4\xC3\xA4"
            "\xC3\xA4\xC3\xA4\xC3\xA4\xC3\xA4\xC3\xA4...\"] is a function");
}

TEST(of_a_long_path_the_first_steps_and_the_last_one_are_told) {
  CHECK_STR(refusal("local t = {f = print} "
                    "for i = 8, 2, -1 do t = {['k' .. i] = t} end return t",
                    ASTRUM_EINVAL),
            "result.k2.k3.k4.k5.k6.k7.k8.f is a function");
  CHECK_STR(refusal("local t = {f = print} "
                    "for i = 9, 2, -1 do t = {['k' .. i] = t} end return t",
                    ASTRUM_EINVAL),
            "result.k2.k3.k4 ... .f is a function");
}

TEST(of_a_path_with_long_keys_as_many_first_steps_are_told_as_fit) {
  CHECK_STR(refusal("local t = {f = print} "
                    "for i = 1, 4 do t = {[('\\1'):rep(50)] = t} end return t",
                    ASTRUM_EINVAL),
            "result[\""
            "\\001\\001\\001\\001\\001\\001\\001\\001\\001\\001"
            "\\001\\001\\001\\001\\001\\001\\001\\001\\001\\001"
            "\\001\\001\\001\\001\\001\\001\\001\\001\\001\\001"
            "\\001\\001\\001\\001\\001\\001\\001\\001\\001\\001"
            "...\"] ... .f is a function");
}

TEST(a_cycle_is_refused_with_both_ends) {
  CHECK_STR(refusal("local t = {a = {}} t.a.b = t return t", ASTRUM_EINVAL),
            "result.a.b is a cycle: it leads back to result");
  CHECK_STR(
      refusal("local t = {a = {{}}} t.a[1].b = t.a return 1, t", ASTRUM_EINVAL),
      "result[2].a[1].b is a cycle: it leads back to result[2].a");
  CHECK_STR(refusal("local t = {} t[t] = 1 return t", ASTRUM_EINVAL),
            "a key of result is a cycle: it leads back to result");
}

TEST(more_than_128_tables_inside_each_other_are_refused) {
  CHECK_STR(refusal("local t = {} for i = 1, 128 do t = {t} end return t",
                    ASTRUM_ELIMIT),
            "result[1][1][1] ... [1] is nested too deeply: 128 tables are the "
            "most");
}

TEST(too_many_values_and_bytes_are_refused) {
  CHECK_STR(refusal("return table.unpack({}, 1, 4097)", ASTRUM_ELIMIT),
            "result has 4097 values, and the most are 4096");
  lua_State *L = new_state();
  codec_error error;
  codec_buffer buffer = BUFFER;
  run(L, "return {('x'):rep(2000)}, {('x'):rep(900)}, ('y'):rep(5000)");
  CHECK_EQ(codec_encode(L, 1, 1, "result", 1000, &buffer, &error),
           ASTRUM_ELIMIT);
  CHECK_STR(error.text, "result is larger than 1000 bytes");
  CHECK_EQ(codec_encode(L, 2, 1, "result", 1000, &buffer, &error), ASTRUM_OK);
  /* Also where the buffer has room for more than the limit. */
  CHECK_EQ(codec_encode(L, 3, 1, "result", 0, &buffer, &error), ASTRUM_OK);
  size_t size = buffer.size;
  buffer.size = 0;
  CHECK_EQ(codec_encode(L, 3, 1, "result", size, &buffer, &error), ASTRUM_OK);
  buffer.size = 0;
  CHECK_EQ(codec_encode(L, 3, 1, "result", 4000, &buffer, &error),
           ASTRUM_ELIMIT);
  CHECK_EQ(codec_encode(L, 1, 3, "result", 2000, &buffer, &error),
           ASTRUM_ELIMIT);
  run(L, "local t = {} for i = 1, 100 do t[i] = ('y'):rep(2000) end return t");
  size_t capacity = buffer.capacity;
  CHECK_EQ(codec_encode(L, -1, 1, "result", 1000, &buffer, &error),
           ASTRUM_ELIMIT);
  CHECK_EQ(buffer.capacity, capacity);
  codec_free(&buffer);
  lua_close(L);
}

/* --- bytes that are no message */

static const char *damage(const char *bytes, size_t size) {
  static codec_error error;
  lua_State *L = luaL_newstate();
  CHECK_EQ(codec_decode(L, bytes, size, &error), ASTRUM_EINVAL);
  CHECK_EQ(lua_gettop(L), 0);
  lua_close(L);
  return error.text;
}

#define HEAD                                                                   \
  "\xA7"                                                                       \
  "AV\1"
#define DAMAGE(bytes) damage(bytes, sizeof(bytes) - 1)
#define ONE HEAD "\0\0\0\0\1"

TEST(damaged_bytes_are_refused_with_the_place) {
  CHECK_STR(DAMAGE(""), "the bytes are no values that astrum has written");
  CHECK_STR(DAMAGE("return 5"),
            "the bytes are no values that astrum has written");
  CHECK_STR(DAMAGE("\xA7"
                   "AV\2\0\0\0\0\1\0"),
            "the values are written in version 2 of the format; this program "
            "reads version 1");
  CHECK_STR(DAMAGE(HEAD "\0\0"), "the bytes are damaged at 4: they end too "
                                 "early");
  CHECK_STR(DAMAGE(ONE), "the bytes are damaged at 9: there are more values "
                         "than bytes");
  CHECK_STR(DAMAGE(ONE "\0\0"), "the bytes are damaged at 10: more bytes "
                                "follow than belong to it");
  CHECK_STR(DAMAGE(ONE "\x10"), "the bytes are damaged at 9: the tag is "
                                "unknown");
  CHECK_STR(DAMAGE(ONE "\5\4abc"), "the bytes are damaged at 11: they end too "
                                   "early");
  CHECK_STR(DAMAGE(ONE "\3\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\2"),
            "the bytes are damaged at 20: a number is too large");
  CHECK_STR(DAMAGE(ONE "\6\xFF\xFF\xFF\xFF\0\0\0\0"),
            "the bytes are damaged at 18: a table is larger than what is left");
  CHECK_STR(DAMAGE(ONE "\6\2\0\0\0\0\0\0\0\6\2\0\0\0\0\0\0\0\0\0"),
            "the bytes are damaged at 27: a table is larger than what is left");
  CHECK_STR(DAMAGE(ONE "\6\0\0\0\0\1\0\0\0\0\0\0"),
            "the bytes are damaged at 18: a key cannot have this tag");
  CHECK_STR(DAMAGE(ONE "\6\0\0\0\0\1\0\0\0\4\0\0\0\0\0\0\xF8\x7F\0"),
            "the bytes are damaged at 27: a key is NaN");
  CHECK_STR(DAMAGE(ONE "\6\0\0\0\0\1\0\0\0\x09\2\0"),
            "the bytes are damaged at 18: a key is no boolean");
  CHECK_STR(DAMAGE(ONE "\x08\0\0\0\0"),
            "the bytes are damaged at 14: a reference leads nowhere");
  CHECK_STR(DAMAGE(ONE "\7\0\0\0\0\0\0\0\0"),
            "the bytes are damaged at 18: too many objects are referred to");
  CHECK_STR(DAMAGE(HEAD "\1\0\0\0\1\5\x20"
                        "0123456789ABCDEF0123456789ABCDEF"),
            "the bytes are damaged at 43: an object that is referred to is "
            "missing");
}

/* Whether what a chunk returns is one value that is read without memory, and
   the same. */
static int is_simple(const char *code) {
  lua_State *L = new_state();
  run(L, code);
  codec_buffer buffer = BUFFER;
  codec_error error;
  int count = lua_gettop(L);
  CHECK_EQ(codec_encode(L, 1, count, "r", 0, &buffer, &error), ASTRUM_OK);
  int simple = codec_decode_simple(L, buffer.bytes, buffer.size);
  CHECK_EQ(lua_gettop(L), count + simple);
  if (simple)
    CHECK(lua_rawequal(L, 1, 2) && lua_type(L, 1) == lua_type(L, 2) &&
          lua_isinteger(L, 1) == lua_isinteger(L, 2));
  for (size_t size = 0; size < buffer.size; size++)
    CHECK_EQ(codec_decode_simple(L, buffer.bytes, size), 0);
  codec_put_byte(&(codec_encoder){.out = &buffer, .limit = 100}, 0);
  CHECK_EQ(codec_decode_simple(L, buffer.bytes, buffer.size), 0);
  codec_free(&buffer);
  lua_close(L);
  return simple;
}

TEST(one_value_that_takes_no_memory_is_read_by_itself) {
  CHECK(is_simple("return nil"));
  CHECK(is_simple("return true"));
  CHECK(is_simple("return false"));
  CHECK(is_simple("return 7"));
  CHECK(is_simple("return math.mininteger"));
  CHECK(is_simple("return 2.5"));
  CHECK(!is_simple("return 'text'"));
  CHECK(!is_simple("return {}"));
  CHECK(!is_simple("return 1, 2"));
  CHECK(!is_simple("local t = {}; return { t, t }"));
  lua_State *L = new_state();
  CHECK_EQ(codec_decode_simple(L, ONE "\x10", 10), 0);
  CHECK_EQ(codec_decode_simple(L, "return 5\0\0", 10), 0);
  CHECK_EQ(lua_gettop(L), 0);
  lua_close(L);
}

TEST(more_than_4096_values_are_refused_when_read) {
  char bytes[8 + 2 + 4097] = HEAD "\0\0\0\0\x81\x20";
  CHECK_STR(damage(bytes, sizeof bytes), "the bytes are damaged at 10: there "
                                         "are more than 4096 values");
}

TEST(a_reference_to_a_table_that_is_not_complete_is_refused) {
  CHECK_STR(DAMAGE(HEAD "\1\0\0\0\1\7\1\0\0\0\0\0\0\0\x08\x09\0\0\0"),
            "the bytes are damaged at 23: a reference leads nowhere");
}

TEST(tables_nested_too_deeply_are_refused_when_read) {
  char bytes[9 + 129 * 9 + 1] = ONE;
  for (int i = 0; i < 129; i++) {
    bytes[9 + 9 * i] = 6;
    bytes[10 + 9 * i] = 1;
  }
  CHECK_STR(damage(bytes, sizeof bytes),
            "the bytes are damaged at 1170: tables are nested too deeply");
}

typedef struct {
  size_t live, peak;
} usage;

static void *count_alloc(void *user, void *ptr, size_t old_size, size_t size) {
  usage *u = user;
  u->live += size - (ptr ? old_size : 0);
  u->peak = u->live > u->peak ? u->live : u->peak;
  return plain_alloc(NULL, ptr, old_size, size);
}

/* Most bytes that a state without libraries needs more to decode a message. */
static size_t needed(const void *bytes, size_t size, int *count) {
  usage u = {0, 0};
  codec_error error;
  lua_State *L = lua_newstate(count_alloc, &u);
  if (!L)
    abort();
  lua_gc(L, LUA_GCSTOP);
  size_t before = u.live;
  u.peak = before;
  *count = codec_decode(L, bytes, size, &error);
  lua_close(L);
  CHECK_EQ(u.live, 0);
  return u.peak - before;
}

TEST(decoding_needs_at_most_16_times_the_bytes) {
  static const char *const codes[] = {
      "local t = {} for i = 1, 5000 do t[i] = {} end return t",
      "local t = {} for i = 1, 5000 do t[i] = true end return t",
      "local t = {} for i = 1, 4097 do t[i * 3] = true end return t",
      "local t = {} for i = 1, 4097 do t['k' .. i] = true end return t",
      "local t = {} for i = 1, 2000 do t[i] = {[true] = 1, [false] = 2} end "
      "return t",
      "local t = {} for i = 1, 2000 do t[i] = {[-1] = 1} end return t",
      "local t = {} for i = 1, 2000 do local s = {} t[i] = {s, s} end return t",
      "local t = {} for i = 1, 2000 do local s = {} t[i] = s t[2000 + i] = s "
      "end return t",
  };
  for (size_t i = 0; i < sizeof codes / sizeof codes[0]; i++) {
    lua_State *L = new_state();
    run(L, codes[i]);
    codec_buffer buffer = BUFFER;
    codec_error error;
    CHECK_EQ(codec_encode(L, 1, 1, "r", 0, &buffer, &error), ASTRUM_OK);
    int count;
    size_t most = needed(buffer.bytes, buffer.size, &count);
    CHECK_EQ(count, 1);
    if (most > 16 * buffer.size + 4096)
      printf("%s: %zu bytes need %zu\n", codes[i], buffer.size, most);
    CHECK(most <= 16 * buffer.size + 4096);
    codec_free(&buffer);
    lua_close(L);
  }
}

TEST(tables_that_claim_to_be_large_get_no_memory) {
  /* Each of 100 tables wants all that is left. */
  enum { SIZE = 100000 };
  unsigned char *bytes = calloc(1, SIZE);
  if (!bytes)
    abort();
  memcpy(bytes, ONE, 9);
  for (uint32_t i = 0; i < 100; i++) {
    unsigned char *p = bytes + 9 + 9 * i;
    uint32_t items = SIZE - 9 - 9 * (i + 1);
    p[0] = 6;
    for (int k = 0; k < 4; k++)
      p[1 + k] = (unsigned char)(items >> 8 * k);
  }
  int count;
  CHECK(needed(bytes, SIZE, &count) <= 16 * SIZE + 4096);
  CHECK_EQ(count, ASTRUM_EINVAL);
  free(bytes);
}

/* --- want of memory */

static const char rich[] =
    "local shared, all = {1, 2}, {} "
    "for i = 1, 40 do all[i] = {i, tostring(i), x = shared, [i / 3] = i} end "
    "all.text = ('x'):rep(3000) return all";

TEST(want_of_memory_while_writing_leaves_the_buffer_as_it_was) {
  lua_State *L = new_state();
  run(L, rich);
  FAULT_SWEEP(fault) {
    codec_buffer buffer = {.alloc = fault_allocator(&fault)};
    codec_error error;
    astrum_err err = codec_encode(L, 1, 1, "result", 0, &buffer, &error);
    CHECK_EQ(err, fault.failed ? ASTRUM_ENOMEM : ASTRUM_OK);
    if (err) {
      CHECK_EQ(buffer.size, 0);
      CHECK_STR(error.text, "result: not enough memory");
    }
    CHECK_EQ(lua_gettop(L), 1);
    codec_free(&buffer);
  }
  lua_close(L);
}

static int protected_decode(lua_State *L) {
  codec_buffer *buffer = lua_touserdata(L, 1);
  codec_error error;
  if (codec_decode(L, buffer->bytes, buffer->size, &error) != 1)
    return luaL_error(L, "%s", error.text);
  return 1;
}

TEST(want_of_memory_while_reading_is_raised_and_loses_nothing) {
  lua_State *L = new_state();
  run(L, rich);
  codec_buffer buffer = BUFFER;
  codec_error error;
  CHECK_EQ(codec_encode(L, 1, 1, "r", 0, &buffer, &error), ASTRUM_OK);
  lua_close(L);
  for (size_t n = 0, failed = 1; failed > 0; n++) {
    fault_state fault = fault_none();
    L = lua_newstate(fault_alloc, &fault);
    if (!L)
      abort();
    fault_after(&fault, n, 1);
    lua_pushcfunction(L, protected_decode);
    lua_pushlightuserdata(L, &buffer);
    int status = lua_pcall(L, 1, 1, 0);
    failed = fault.failed;
    CHECK_EQ(status, failed ? LUA_ERRMEM : LUA_OK);
    fault_pause(&fault, 1);
    lua_close(L);
    CHECK_EQ(fault.live, 0);
    CHECK_EQ(fault.wrong_size, 0);
  }
  codec_free(&buffer);
}

/* --- functions */

static int protected_travel(lua_State *L) {
  codec_buffer *buffer = lua_touserdata(L, 1);
  codec_error error;
  travel_push_exports(L);
  astrum_err err = travel_pack(L, 2, -1, 0, buffer, &error);
  err = err ? err : travel_unpack(L, buffer->bytes, buffer->size, 0, &error);
  if (err == ASTRUM_ENOMEM)
    return luaL_error(L, "not enough memory");
  return err ? luaL_error(L, "%s", error.text) : 1;
}

TEST(want_of_memory_while_a_function_travels_loses_nothing) {
  for (size_t n = 0, failed = 1; failed > 0; n++) {
    fault_state fault = fault_none();
    lua_State *L = lua_newstate(fault_alloc, &fault);
    if (!L)
      abort();
    luaL_openlibs(L);
    lua_settop(L, 0);
    codec_buffer buffer = {.alloc = fault_allocator(&fault)};
    lua_pushcfunction(L, protected_travel);
    lua_pushlightuserdata(L, &buffer);
    run(L,
        "local n, t = 0, {{1}, {2}} local function f() n = n + 1 return f end "
        "t.f = f return function() f() return t, string.format, n end");
    fault_after(&fault, n, 1);
    int status = lua_pcall(L, 2, 1, 0);
    failed = fault.failed;
    fault_pause(&fault, 1);
    CHECK_EQ(status == LUA_OK, failed == 0);
    if (failed)
      CHECK_STR(lua_tostring(L, -1), "not enough memory");
    codec_free(&buffer);
    lua_close(L);
    CHECK_EQ(fault.live, 0);
    CHECK_EQ(fault.wrong_size, 0);
  }
}

TEST(functions_may_be_128_deep) {
  lua_State *L = new_state();
  codec_buffer buffer = BUFFER;
  lua_pushcfunction(L, protected_travel);
  lua_pushlightuserdata(L, &buffer);
  run(L, "local function nest(n) if n == 0 then return 7 end "
         "local inner = nest(n - 1) return function() return inner end end "
         "return nest(128)");
  CHECK_EQ(lua_pcall(L, 2, 1, 0), LUA_OK);
  for (int i = 0; i < 128; i++)
    lua_call(L, 0, 1);
  CHECK_EQ(lua_tointeger(L, -1), 7);
  codec_free(&buffer);
  lua_close(L);
}

static const char *bad_function(const char *bytes, size_t size) {
  static codec_error error;
  lua_State *L = luaL_newstate();
  CHECK_EQ(travel_unpack(L, bytes, size, 0, &error), ASTRUM_EINVAL);
  CHECK_EQ(lua_gettop(L), 0);
  lua_close(L);
  return error.text;
}

#define BAD(bytes) bad_function(bytes, sizeof(bytes) - 1)
#define BODY                                                                   \
  "\xA7"                                                                       \
  "AF\1\5" ASTRUM_VERSION "\0\0\0\0\1"

TEST(bytes_that_are_no_function_are_refused) {
  CHECK_STR(BAD("print(1)"),
            "the bytes are no function that astrum has packed");
  CHECK_STR(BAD("\xA7"
                "AF\1\5"
                "9.9.9"
                "\0\0\0\0\1\0"),
            "the function was packed by astrum 9.9.9, and this is "
            "astrum " ASTRUM_VERSION);
  CHECK_STR(BAD(BODY "\0"), "the bytes are damaged at 16: there is no function "
                            "in them");
  CHECK_STR(
      BAD(BODY "\x10\1\0\0\0x\0"),
      "the bytes are damaged at 20: attempt to load a text chunk (mode is "
      "'b')");
  CHECK_STR(BAD(BODY "\x10\4\0\0\0\x1BLua\0"),
            "the bytes are damaged at 20: body: bad binary format (truncated "
            "chunk)");
  CHECK_STR(BAD(BODY "\x13"),
            "the bytes are damaged at 16: the tag is unknown");
}

TEST_MAIN(
    TEST_ENTRY(numbers_keep_their_bits_and_their_kind),
    TEST_ENTRY(every_nan_is_written_and_read_as_one),
    TEST_ENTRY(strings_keep_all_bytes),
    TEST_ENTRY(several_values_keep_their_number_with_nils_at_the_end),
    TEST_ENTRY(lists_keep_their_holes_and_length),
    TEST_ENTRY(numbers_far_apart_as_keys_cost_no_more_than_others),
    TEST_ENTRY(keys_of_every_kind_are_kept),
    TEST_ENTRY(a_table_reached_twice_is_one_table_afterwards),
    TEST_ENTRY(tables_may_be_128_deep),
    TEST_ENTRY(a_message_is_as_the_header_tells),
    TEST_ENTRY(messages_are_appended_to_the_buffer),
    TEST_ENTRY(what_is_no_data_is_refused_with_its_path),
    TEST_ENTRY(a_light_userdata_is_refused),
    TEST_ENTRY(a_path_is_written_as_lua_code),
    TEST_ENTRY(of_a_long_path_the_first_steps_and_the_last_one_are_told),
    TEST_ENTRY(of_a_path_with_long_keys_as_many_first_steps_are_told_as_fit),
    TEST_ENTRY(a_cycle_is_refused_with_both_ends),
    TEST_ENTRY(more_than_128_tables_inside_each_other_are_refused),
    TEST_ENTRY(too_many_values_and_bytes_are_refused),
    TEST_ENTRY(damaged_bytes_are_refused_with_the_place),
    TEST_ENTRY(one_value_that_takes_no_memory_is_read_by_itself),
    TEST_ENTRY(more_than_4096_values_are_refused_when_read),
    TEST_ENTRY(a_reference_to_a_table_that_is_not_complete_is_refused),
    TEST_ENTRY(tables_nested_too_deeply_are_refused_when_read),
    TEST_ENTRY(decoding_needs_at_most_16_times_the_bytes),
    TEST_ENTRY(tables_that_claim_to_be_large_get_no_memory),
    TEST_ENTRY(want_of_memory_while_writing_leaves_the_buffer_as_it_was),
    TEST_ENTRY(want_of_memory_while_reading_is_raised_and_loses_nothing),
    TEST_ENTRY(want_of_memory_while_a_function_travels_loses_nothing),
    TEST_ENTRY(functions_may_be_128_deep),
    TEST_ENTRY(bytes_that_are_no_function_are_refused))
