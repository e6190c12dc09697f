/*
 * Lines on stderr about attempts that do not end. They are made without memory,
 * locks or Lua, so that a signal handler can write them.
 */
#ifndef ASTRUM_PREEMPT_TEXT_H
#define ASTRUM_PREEMPT_TEXT_H

#include "binding.h"

/* It was told to stop a while ago, and still runs. */
void preempt_tell_stubborn(const guarded *g);

/* As binding_preempt_overran, whatever the engine. */
void preempt_tell_overrun(const attempt *a, uint64_t ran, uint64_t limit);

#endif
