/* The standard streams of astrum-lua, for lua/astrum/session.lua. */
#ifndef ASTRUM_CONSOLE_H
#define ASTRUM_CONSOLE_H

#include <lua.h>

/* The user has ended a line that the program had begun. */
void console_line_ended(void);

/* Opens the module astrum.console. */
int console_open(lua_State *L);

#endif
