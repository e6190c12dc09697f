/* What lua_inspect.c offers: sets parameters, definition, own and where in the
   table on top of the stack. */
#ifndef ASTRUM_LUA_INSPECT_H
#define ASTRUM_LUA_INSPECT_H

#include <lua.h>

int astrum_binding_open_inspect(lua_State *L);

/* Whether t.<text> is legal Lua. */
int astrum_binding_is_identifier(const char *text, size_t size);

/* Pushes the source of the nearest caller outside of the library, "?" if there
   is none, and returns its line, or -1. */
int astrum_binding_push_place(lua_State *L);

#endif
