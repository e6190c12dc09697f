/*
 * Random values as bytes, whole and damaged. A test that fails prints its seed;
 * CODEC_SEED in the environment makes it begin with that one, CODEC_VALUES is
 * the number of values.
 */
#include "codec_support.h"

#include <math.h>

static uint64_t state_of_random;

static uint64_t next_random(void) {
  uint64_t z = state_of_random += UINT64_C(0x9E3779B97F4A7C15);
  z = (z ^ z >> 30) * UINT64_C(0xBF58476D1CE4E5B9);
  z = (z ^ z >> 27) * UINT64_C(0x94D049BB133111EB);
  return z ^ z >> 31;
}

static int below(int n) { return (int)(next_random() % (uint64_t)n); }

static void push_number(lua_State *L) {
  static const double special[] = {0.0,    -0.0,     1.0,
                                   -1.0,   HUGE_VAL, -HUGE_VAL,
                                   5e-324, 2.5e-310, 9007199254740992.0};
  uint64_t bits = next_random();
  double d;
  switch (below(6)) {
  case 0:
    lua_pushinteger(L, below(300) - 100);
    break;
  case 1:
    lua_pushinteger(L, (lua_Integer)(bits >> below(64)));
    break;
  case 2:
    lua_pushinteger(L, below(2) ? LUA_MININTEGER : LUA_MAXINTEGER);
    break;
  case 3:
    lua_pushnumber(L, special[below(9)]);
    break;
  default:
    memcpy(&d, &bits, sizeof d);
    lua_pushnumber(L, d);
  }
}

static void push_text(lua_State *L) {
  char text[300];
  int size = below(20) ? below(12) : below(300);
  for (int i = 0; i < size; i++)
    text[i] = (char)next_random();
  lua_pushlstring(L, text, (size_t)size);
}

/* Pushes a value; `seen` is the index of a list of complete tables. */
static void push_value(lua_State *L, int seen, int depth) {
  int kind = below(depth > 0 ? 12 : 8);
  luaL_checkstack(L, 6, NULL);
  if (kind < 1) {
    lua_pushnil(L);
  } else if (kind < 2) {
    lua_pushboolean(L, below(2));
  } else if (kind < 5) {
    push_number(L);
  } else if (kind < 8) {
    push_text(L);
  } else if (kind < 9 && lua_rawlen(L, seen) > 0) {
    lua_rawgeti(L, seen, 1 + below((int)lua_rawlen(L, seen)));
  } else {
    lua_createtable(L, below(4), below(4));
    for (int i = 1, n = below(6); i <= n; i++) {
      push_value(L, seen, depth - 1);
      lua_rawseti(L, -2, below(4) ? i : below(50));
    }
    for (int n = below(4); n > 0; n--) {
      push_value(L, seen, below(8) ? 0 : depth - 1);
      if (lua_isnil(L, -1) ||
          (lua_isnumber(L, -1) && lua_tonumber(L, -1) != lua_tonumber(L, -1)))
        lua_pushboolean(L, below(2)), lua_replace(L, -2);
      push_value(L, seen, depth - 1);
      lua_rawset(L, -3);
    }
    lua_pushvalue(L, -1);
    lua_rawseti(L, seen, (lua_Integer)lua_rawlen(L, seen) + 1);
  }
}

static int same(lua_State *L, int a, int b, int known);

/* Whether the tables hold the same; keys that are tables must be known. */
static int same_table(lua_State *L, int a, int b, int known) {
  lua_pushvalue(L, a);
  lua_rawget(L, known);
  if (!lua_isnil(L, -1)) {
    int ok = lua_rawequal(L, -1, b);
    lua_pop(L, 1);
    return ok;
  }
  lua_pop(L, 1);
  /* One copy stands for one table, and the other way round. */
  lua_pushvalue(L, b);
  if (lua_rawget(L, known) != LUA_TNIL)
    return 0;
  lua_pop(L, 1);
  lua_pushvalue(L, a);
  lua_pushvalue(L, b);
  lua_rawset(L, known);
  lua_pushvalue(L, b);
  lua_pushvalue(L, b);
  lua_rawset(L, known);
  int top = lua_gettop(L), count = 0, table_keys = 0;
  for (lua_pushnil(L); lua_next(L, a); lua_settop(L, top + 1)) {
    count++;
    if (lua_istable(L, -2)) {
      table_keys++; /* compared where the table is a value too, or not */
      continue;
    }
    lua_pushvalue(L, -2);
    lua_rawget(L, b);
    if (!same(L, top + 2, top + 3, known))
      return 0;
  }
  for (lua_pushnil(L); lua_next(L, b); lua_pop(L, 1)) {
    count--;
    table_keys -= lua_istable(L, -2);
  }
  return count == 0 && table_keys == 0;
}

static int same(lua_State *L, int a, int b, int known) {
  luaL_checkstack(L, 8, NULL);
  int type = lua_type(L, a);
  if (type != lua_type(L, b))
    return 0;
  if (type == LUA_TTABLE) {
    int top = lua_gettop(L);
    int ok = same_table(L, a, b, known);
    lua_settop(L, top);
    return ok;
  }
  if (type != LUA_TNUMBER)
    return lua_rawequal(L, a, b);
  if (lua_isinteger(L, a) || lua_isinteger(L, b))
    return lua_isinteger(L, a) && lua_isinteger(L, b) &&
           lua_tointeger(L, a) == lua_tointeger(L, b);
  lua_Number x = lua_tonumber(L, a), y = lua_tonumber(L, b);
  uint64_t nan = UINT64_C(0x7FF8) << 48;
  return memcmp(&x, &y, sizeof x) == 0 ||
         (x != x && memcmp(&y, &nan, sizeof y) == 0);
}

static void on_random_values(void (*check)(lua_State *L, int count,
                                           codec_buffer *buffer),
                             long values) {
  const char *seed_text = getenv("CODEC_SEED");
  const char *values_text = getenv("CODEC_VALUES");
  uint64_t seed = seed_text ? strtoull(seed_text, NULL, 10) : 1;
  if (values_text)
    values = strtol(values_text, NULL, 10);
  codec_buffer buffer = BUFFER;
  lua_State *L = new_state();
  for (long i = 0; i < values; i++, seed++) {
    int failures = check_failures;
    state_of_random = seed;
    lua_settop(L, 0);
    lua_newtable(L);
    int count = below(10) ? 1 : below(5);
    for (int n = 0; n < count; n++)
      push_value(L, 1, 5);
    buffer.size = 0;
    check(L, count, &buffer);
    if (check_failures > failures) {
      printf("with CODEC_SEED=%llu\n", (unsigned long long)seed);
      break;
    }
  }
  codec_free(&buffer);
  lua_close(L);
}

static void check_round_trip(lua_State *L, int count, codec_buffer *buffer) {
  codec_error error = {""};
  CHECK_EQ(codec_encode(L, 2, count, "r", 0, buffer, &error), ASTRUM_OK);
  CHECK_STR(error.text, "");
  CHECK_EQ(codec_decode(L, buffer->bytes, buffer->size, &error), count);
  if (lua_gettop(L) != 1 + 2 * count)
    return;
  lua_newtable(L);
  int known = lua_gettop(L);
  for (int n = 0; n < count; n++)
    CHECK(same(L, 2 + n, 2 + count + n, known));
}

TEST(random_values_come_back_bit_by_bit) {
  on_random_values(check_round_trip, 200000);
}

/* Cut anywhere, and with bytes changed. */
static void check_damage(lua_State *L, int count, codec_buffer *buffer) {
  codec_error error;
  if (codec_encode(L, 2, count, "r", 0, buffer, &error) != ASTRUM_OK)
    return;
  int top = lua_gettop(L);
  for (int i = 0; i < 20; i++) {
    size_t size = (size_t)below((int)buffer->size);
    unsigned char *cut = malloc(size + 1); /* so that one too far is found */
    if (!cut)
      abort();
    memcpy(cut, buffer->bytes, size);
    CHECK_EQ(codec_decode(L, cut, size, &error), ASTRUM_EINVAL);
    CHECK_EQ(lua_gettop(L), top);
    free(cut);
  }
  for (int i = 0; i < 20; i++) {
    unsigned char *bytes = malloc(buffer->size);
    if (!bytes)
      abort();
    memcpy(bytes, buffer->bytes, buffer->size);
    for (int n = 1 + below(4); n > 0; n--)
      bytes[4 + below((int)buffer->size - 4)] = (unsigned char)next_random();
    int result = codec_decode(L, bytes, buffer->size, &error);
    CHECK(result == ASTRUM_EINVAL || result == lua_gettop(L) - top);
    lua_settop(L, top);
    free(bytes);
  }
}

TEST(damaged_messages_are_refused_or_are_other_values) {
  on_random_values(check_damage, 10000);
}

TEST_MAIN(TEST_ENTRY(random_values_come_back_bit_by_bit),
          TEST_ENTRY(damaged_messages_are_refused_or_are_other_values))
