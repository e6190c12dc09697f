/*
 * Names and texts of the errors, and the version.
 */
#include "check.h"

#include <astrum.h>

TEST(every_error_has_its_name_and_text) {
#define CHECK_ERROR(name, number, text)                                        \
  CHECK_EQ(ASTRUM_##name, number);                                             \
  CHECK_STR(astrum_errname(number), #name);                                    \
  CHECK_STR(astrum_strerror(number), text);
  ASTRUM_ERROR_MAP(CHECK_ERROR)
#undef CHECK_ERROR
}

TEST(errors_are_negative_and_different) {
  int seen[32] = {0};
#define COUNT_ERROR(name, number, text)                                        \
  CHECK((number) < 0 && (number) > -32);                                       \
  CHECK_EQ(seen[-(number)]++, 0);
  ASTRUM_ERROR_MAP(COUNT_ERROR)
#undef COUNT_ERROR
}

TEST(texts_of_errors_are_one_line) {
#define CHECK_LINE(name, number, text) CHECK(strchr(text, '\n') == NULL);
  ASTRUM_ERROR_MAP(CHECK_LINE)
#undef CHECK_LINE
}

TEST(success_is_ok) {
  CHECK_STR(astrum_errname(ASTRUM_OK), "OK");
  CHECK_STR(astrum_strerror(ASTRUM_OK), "no error");
}

TEST(other_numbers_are_unknown) {
  CHECK_STR(astrum_errname(-1000), "UNKNOWN");
  CHECK_STR(astrum_strerror(-1000), "unknown error");
  CHECK_STR(astrum_errname(1), "UNKNOWN");
  CHECK_STR(astrum_strerror(1), "unknown error");
}

TEST(the_version_is_that_of_the_header) {
  char text[32];
  snprintf(text, sizeof text, "%d.%d.%d", ASTRUM_VERSION_MAJOR,
           ASTRUM_VERSION_MINOR, ASTRUM_VERSION_PATCH);
  CHECK_STR(astrum_version(), text);
  CHECK_STR(ASTRUM_VERSION, text);
}

TEST_MAIN(TEST_ENTRY(every_error_has_its_name_and_text),
          TEST_ENTRY(errors_are_negative_and_different),
          TEST_ENTRY(texts_of_errors_are_one_line), TEST_ENTRY(success_is_ok),
          TEST_ENTRY(other_numbers_are_unknown),
          TEST_ENTRY(the_version_is_that_of_the_header))
