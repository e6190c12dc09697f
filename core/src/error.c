/*
 * Texts of the library: its version, and the names and messages of its errors.
 */
#include "internal.h"

const char *astrum_version(void) { return ASTRUM_VERSION; }

const char *astrum_strerror(astrum_err err) {
  switch (err) {
  case ASTRUM_OK:
    return "no error";
#define ERROR_TEXT(name, number, text)                                         \
  case number:                                                                 \
    return text;
    ASTRUM_ERROR_MAP(ERROR_TEXT)
#undef ERROR_TEXT
  default:
    return "unknown error";
  }
}

const char *astrum_errname(astrum_err err) {
  switch (err) {
  case ASTRUM_OK:
    return "OK";
#define ERROR_NAME(name, number, text)                                         \
  case number:                                                                 \
    return #name;
    ASTRUM_ERROR_MAP(ERROR_NAME)
#undef ERROR_NAME
  default:
    return "UNKNOWN";
  }
}
