/*
 * Test harness:
 *
 *   TEST(a_sentence_about_one_behaviour) { CHECK(...); CHECK_EQ(a, b); }
 *   TEST_MAIN(TEST_ENTRY(a_sentence_about_one_behaviour))
 *
 * A failing check prints one line and the test goes on. Arguments of the
 * program, if any, are the names of the tests to run.
 */
#ifndef ASTRUM_CHECK_H
#define ASTRUM_CHECK_H

#include <stdio.h>
#include <string.h>

typedef struct {
  const char *name;
  void (*run)(void);
} check_test;

static int check_failures; /* failed checks of the test that runs */

static inline void check_true(int ok, const char *what, const char *file,
                              int line) {
  if (!ok) {
    check_failures++;
    printf("%s:%d: check failed: %s\n", file, line, what);
  }
}

static inline void check_equal(long long a, long long b, const char *what,
                               const char *file, int line) {
  if (a != b) {
    check_failures++;
    printf("%s:%d: %s: %lld and %lld\n", file, line, what, a, b);
  }
}

static inline void check_string(const char *a, const char *b, const char *what,
                                const char *file, int line) {
  if (a == NULL || b == NULL ? a != b : strcmp(a, b) != 0) {
    check_failures++;
    printf("%s:%d: %s: \"%s\" and \"%s\"\n", file, line, what,
           a == NULL ? "(NULL)" : a, b == NULL ? "(NULL)" : b);
  }
}

#define CHECK(condition)                                                       \
  check_true((condition) ? 1 : 0, #condition, __FILE__, __LINE__)
#define CHECK_EQ(a, b)                                                         \
  check_equal((long long)(a), (long long)(b), #a " == " #b, __FILE__, __LINE__)
#define CHECK_STR(a, b) check_string(a, b, #a " == " #b, __FILE__, __LINE__)

static inline int check_wanted(const char *name, int count, char **names) {
  int wanted = count <= 1;
  for (int i = 1; i < count; i++)
    wanted |= strcmp(name, names[i]) == 0;
  return wanted;
}

static inline int check_run(const check_test *tests, size_t count, int argc,
                            char **argv) {
  int passed = 0, failed = 0;
  for (size_t i = 0; i < count; i++) {
    if (!check_wanted(tests[i].name, argc, argv))
      continue;
    check_failures = 0;
    tests[i].run();
    printf("%-6s %s\n", check_failures == 0 ? "ok" : "FAILED", tests[i].name);
    fflush(stdout);
    *(check_failures == 0 ? &passed : &failed) += 1;
  }
  printf("%d passed, %d failed\n", passed, failed);
  return failed == 0 && passed > 0 ? 0 : 1;
}

#define TEST(name) static void test_##name(void)
#define TEST_ENTRY(name)                                                       \
  { #name, test_##name }
#define TEST_MAIN(...)                                                         \
  int main(int argc, char **argv) {                                            \
    static const check_test tests[] = {__VA_ARGS__};                           \
    return check_run(tests, sizeof tests / sizeof tests[0], argc, argv);       \
  }

#endif
