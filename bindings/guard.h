/*
 * The way of astrum-lua into code of the user: with traceback, and with an
 * answer to signals.
 *
 * The first SIGINT, SIGTERM or SIGHUP is handed to the workflows that run,
 * which end in good order. Where there is none, SIGINT becomes the error
 * "interrupted!" and the others end the process. A second one ends it whatever
 * happens. SIGPIPE ends the process where no workflow runs; else what is
 * written is lost and the workflows go on. In a session at a prompt SIGINT
 * never ends the process.
 */
#ifndef ASTRUM_GUARD_H
#define ASTRUM_GUARD_H

#include <lua.h>

/* To be called once, before the others; child processes are killed when the
   process exits from then on. May raise. */
void guard_open(lua_State *L);

/*
 * lua_pcall. An error that is a text gets a traceback; an object that can
 * describe itself stays as it is.
 */
int guard_call(lua_State *L, int arguments, int results);

/* The signal that came during a guard_call, or 0. */
int guard_signal(void);

/* Between the two calls SIGINT does not end the process, however often it
   comes: 1, a prompt begins; 0, it is over. */
void guard_session(int on);

/* --- For the prompt */

/* What happened to the terminal. */
enum { GUARD_RESIZED = 1, GUARD_RESUMED = 2 };

/*
 * From here to guard_prompt_end a signal does no more than wake the engine's
 * loop and be seen by guard_signal; SIGINT again stops the runs, where the loop
 * does not turn. The end gives back the number of the signal, or 0; SIGTERM and
 * SIGHUP end the process there.
 */
void guard_prompt_begin(void);
int guard_prompt_end(void);

/* GUARD_RESIZED and GUARD_RESUMED, since the last call. */
int guard_prompt_changes(void);

/* In Lua. */

/*
 * read(prompt) -> line without its newline; nil at the end of the input; false
 * when the user dropped the line by SIGINT.
 */
int guard_read(lua_State *L);

/* call(f, ...) -> true, results of f; or false, error. Forgets the signal. */
int guard_pcall(lua_State *L);

#endif
