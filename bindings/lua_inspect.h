/* What lua_inspect.c offers: sets parameters, definition, own and where in the
   table on top of the stack. */
#ifndef ASTRUM_LUA_INSPECT_H
#define ASTRUM_LUA_INSPECT_H

#include <lua.h>

int astrum_binding_open_inspect(lua_State *L);

/* Whether t.<text> is legal Lua. */
int astrum_binding_is_identifier(const char *text, size_t size);

/*
 * Pushes the source of the nearest caller outside of the library, or of the
 * `nearest` Lua function whosesoever, and returns its line; "?" and -1 where
 * there is none. Looks from level `first` on, 1 for the caller. `*from_c`: it
 * is not the function there.
 */
int astrum_binding_push_place(lua_State *L, int kinds, int first, int nearest,
                              int *from_c);

/* Pushes the table that push_place remembers functions in, its `kinds`. */
void astrum_binding_push_kinds(lua_State *L);

#endif
