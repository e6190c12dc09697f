/*
 * Lines on stderr about attempts that do not end. They are made without memory,
 * locks or Lua, so that a signal handler can write them.
 */
#ifndef ASTRUM_PREEMPT_TEXT_H
#define ASTRUM_PREEMPT_TEXT_H

#include "binding.h"

/* An attempt that is to stop, in words, for the thread that runs its body. */
typedef struct preempt_about {
  int by_signal;     /* a second one ends the program */
  char limit[64];    /* that is over, or "" */
  char subject[768]; /* who */
} preempt_about;

/* `is_late`: the attempt has taken too long. */
void preempt_describe(preempt_about *about, const attempt *a, int is_late,
                      int by_signal);

/* It was told to stop a while ago, and still runs. `about`: another thread has
   said so and why, or NULL. */
void preempt_tell_stubborn(const guarded *g, const preempt_about *about);

/* As binding_preempt_overran, whatever the engine. */
void preempt_tell_overrun(const attempt *a, uint64_t ran, uint64_t limit);

#endif
