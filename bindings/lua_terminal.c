/* What the drawing asks of the terminal. */
#define _DEFAULT_SOURCE

#include "binding.h"

#include <sys/ioctl.h>
#include <unistd.h>

/*
 * core.terminal(fd) -> is a terminal, its columns or nil, its rows or nil.
 * Descriptor 1 is standard output, 2 standard error.
 */
static int terminal(lua_State *L) {
  int fd = (int)luaL_checkinteger(L, 1);
  struct winsize size;
  lua_pushboolean(L, isatty(fd));
  if (ioctl(fd, TIOCGWINSZ, &size) != 0 || size.ws_col == 0)
    return 1;
  lua_pushinteger(L, size.ws_col);
  if (size.ws_row == 0)
    return 2;
  lua_pushinteger(L, size.ws_row);
  return 3;
}

static const luaL_Reg functions[] = {
    {"terminal", terminal},
    {NULL, NULL},
};

int binding_open_terminal(lua_State *L) {
  binding_functions(L, functions);
  return 0;
}
