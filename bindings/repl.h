/* What the prompt, which is written in Lua, asks of the program. */
#ifndef ASTRUM_REPL_H
#define ASTRUM_REPL_H

#include <lua.h>

/*
 * Pushes the table `host` of astrum.repl:
 *
 *   read(prompt) -> line without its newline; nil at the end of the input;
 *     false when the user dropped the line by SIGINT. On a terminal the event
 *     loop turns meanwhile.
 *   call(f, ...) -> true, results of f; or false, error. Forgets signals.
 *   edits: whether lines are edited, so that there is a history
 *   set_completer(f): f(line, start, stop) -> list of texts to stand in place
 *     of the bytes from `start` to `stop`, or nil for names of files
 *   set_history(lines): what the keys for history go through, the oldest first
 *   private_file(path) -> true, or nil and why: makes a file that only its
 *     owner can read, with the folders that it is in
 */
void repl_push_host(lua_State *L);

#endif
