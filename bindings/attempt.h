/*
 * What the files about attempts share:
 *
 *   lua_task.c     resumes strands; the executor of the loop
 *   lua_attempt.c  how attempts end: results, errors, answers
 *   lua_thread.c   bodies in worker threads
 *   lua_home.c     their pools
 *   lua_brief.c    those of them that are done at home
 *   lua_strand.c   coroutines, strands, and the way into a wait
 */
#ifndef ASTRUM_ATTEMPT_H
#define ASTRUM_ATTEMPT_H

#include "task.h"

/* --- lua_strand.c */

/* Its address is what our coroutines yield; nobody else can. */
extern const char binding_token;

/* Memory of the engine's allocator; binding_take returns NULL without it. */
void *binding_take(engine *e, size_t size);
void binding_give(engine *e, void *ptr, size_t size);

/*
 * Runs what a coroutine that did not end well has left to close. What is raised
 * there is told apart from the error that ended the coroutine, which stays its
 * result, and is reported on its own.
 */
void binding_reset_coroutine(engine *e, strand *s);

/* Whether code of the coroutine is on the C stack now: that of a task that runs
   or, through a resume of its own doing, that of one that waits. */
int binding_is_running(const strand *s);

/* Frees a strand whose coroutine is clean; `reuse`: it has ended well. */
void binding_drop_strand(engine *e, strand *s, int reuse);

/* Gives the slot of an attempt back when all of it waits for runs. */
void binding_release_slot(engine *e, attempt *a);

/* --- lua_attempt.c */

/* The place of the attempt is free again. */
void binding_free_attempt(engine *e, attempt *a);

/* The body of an attempt is over; it is answered when nothing of it is left. */
void binding_finish(engine *e, attempt *a, astrum_outcome outcome);

/* The body has failed; its error is on the top of its coroutine. `kind` as in
   the hook `failure`. */
void binding_fail_body(engine *e, strand *s, const char *kind, int was_closed);

/* A coroutine has ended well with `count` values; or badly, with its error on
   the top. */
void binding_end_well(engine *e, strand *s, int count);
/* The attempt, which has no strand, has the result on the top of e->L. */
void binding_end_directly(engine *e, attempt *a);
void binding_end_badly(engine *e, strand *s, const char *kind);

/* Keeps the error of an attempt that takes too long; what to answer. */
astrum_outcome binding_time_out(engine *e, attempt *a, astrum_cause cause);

/* Keeps where the code of a strand was that the guard has just stopped. */
void binding_keep_place(engine *e, strand *s, const guarded *g);

/* Keeps where the body of an attempt is that is to be stopped with its run; if
   that is in a worker thread, it is told by binding_tell_place. */
void binding_note_place(engine *e, attempt *a);

/* A worker has told where the body was that it has stopped for an attempt: a
   traceback, on the top of engine->L; pops it. */
void binding_tell_place(engine *e, attempt *a);

/* Pushes the text of an error for want of memory onto engine->L. */
void binding_push_no_memory(engine *e);

/* Pushes the text that is its argument, as light userdata. */
int binding_push_text(lua_State *L);

/* --- lua_task.c */

/* Resumes a strand with the `count` values on the top of its stack. */
void binding_resume(engine *e, strand *s, int count);

/* Goes on with a strand whose wait is over. */
void binding_strand_timer(astrum_timer *timer);

#endif
