/* What the program astrum-lua asks of the engine of its Lua state. */
#ifndef ASTRUM_HOST_H
#define ASTRUM_HOST_H

#include "binding.h"

/* Whether a workflow runs or the main program waits; whether it waits. May be
   called from a signal handler, as the next two. */
int astrum_binding_busy(const engine *e);
int astrum_binding_driving(const engine *e);

/*
 * Returns 0 when no workflow runs and the main program does not wait; else the
 * workflows are cancelled, the Lua code of a body that runs is stopped, the
 * main program's wait ends, and core.interrupted() tells the number.
 */
int astrum_binding_interrupt(engine *e, int signal);

/*
 * May be called from a signal handler: Lua code of the main program, which runs
 * on L, gets the error "interrupted!", also in a coroutine of its own.
 */
void astrum_binding_interrupt_main(engine *e, lua_State *L);

/* The call is over; the error has been raised by now or is not any more. */
void astrum_binding_forget_interrupt(engine *e, lua_State *L);

/* May be called from a signal handler: the loop, if there is one, turns. */
void astrum_binding_wake(engine *e);

/* For a program that ends at once: its child processes are killed. */
void astrum_binding_kill(engine *e);

/* `tell` is called with 1 before astrum.spawn starts a process that writes
   where the program does, and with 0 when it is over. */
void astrum_binding_on_writer(engine *e, void (*tell)(int begins));

#endif
