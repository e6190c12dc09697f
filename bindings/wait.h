/* Waits (lua_await.c), processes (lua_spawn.c), and ctx (lua_context.c). */
#ifndef ASTRUM_WAIT_H
#define ASTRUM_WAIT_H

#include "binding.h"

/* Undoes the wait of a strand that is being ended. Raises nothing. */
void binding_cancel_wait(engine *e, strand *s);
void binding_cancel_process(engine *e, strand *s);
/* Time between TERM and KILL for the processes of an attempt, ns. */
uint64_t binding_grace(const attempt *a);
/* Frees the records of processes; the loop that ran them is gone. */
void binding_free_children(engine *e);

/* A member of a group has ended; its error or result is on the top of
   engine->L, and popped. Raises nothing. */
void binding_member_ended(engine *e, strand *s, int failed);

/* Pushes the traceback of the member whose error astrum.all has raised in a
   coroutine, at a level of its stack; nil when the error, which is on the top
   of `co`, is another's. */
void binding_push_member_traceback(lua_State *L, lua_State *co, int level);

/* Pushes the traceback of a coroutine with such an error, from a level on; that
   of the member comes first. `co` may be L. */
void binding_push_traceback(lua_State *L, lua_State *co, int level);

/* The strand is no member of its group any more. */
void binding_leave_group(strand *s);

/* When the attempt must be over, in seconds since 1970; 0: at no time. */
lua_Number binding_attempt_deadline(const attempt *a);

/* Pushes the `ctx` of an attempt. May raise. */
void binding_push_context(lua_State *L, attempt *a);
/* The attempt is over. Raises nothing. */
void binding_drop_context(engine *e, attempt *a);

#endif
