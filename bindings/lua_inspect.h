/* What lua_inspect.c offers: sets parameters, definition, own and where in the
   table on top of the stack. */
#ifndef ASTRUM_LUA_INSPECT_H
#define ASTRUM_LUA_INSPECT_H

#include <lua.h>

int astrum_binding_open_inspect(lua_State *L);

/* Whether t.<text> is legal Lua. */
int astrum_binding_is_identifier(const char *text, size_t size);

#endif
