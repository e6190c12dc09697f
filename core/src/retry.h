/* Arithmetic of retries: how long to wait before the next attempt. */
#ifndef ASTRUM_RETRY_H
#define ASTRUM_RETRY_H

#include <astrum.h>

/*
 * Nanoseconds to wait after attempt number `attempt` (from 1) of `task` failed,
 * or of its item `item` (from 1; 0: the task itself). With jitter it is a
 * random part of the delay ("full jitter"), which depends on the four numbers
 * alone. The result is clamped below ASTRUM_NEVER / 2.
 */
uint64_t astrum__retry_delay(const astrum_policy *policy, uint32_t attempt,
                             uint64_t seed, uint32_t task, uint32_t item);

#endif
