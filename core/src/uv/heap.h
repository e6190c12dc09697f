/*
 * The timers of a loop as a heap, from which each can be taken out. An entry
 * has four below it and the time in itself, so that the way down is short and
 * looks at few timers.
 */
#ifndef ASTRUM_HEAP_H
#define ASTRUM_HEAP_H

#include <astrum.h>

typedef struct {
  uint64_t due; /* of the timer */
  astrum_timer *timer;
} astrum__heap_entry;

/* All zero is an empty one; its owner makes room and frees it. */
typedef struct {
  astrum__heap_entry *entries; /* place of a timer is the index + 1 */
  size_t count, capacity;
} astrum__heap;

/* There is room for it, and it is not in it. */
void astrum__heap_add(astrum__heap *heap, astrum_timer *timer);

/* Does nothing to a timer that is not in it. */
void astrum__heap_remove(astrum__heap *heap, astrum_timer *timer);

#endif
