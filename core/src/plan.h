/*
 * A plan is what a frozen graph looks like by levels. A task lingers when it
 * belongs to the `parallel` list of later stages than its own: until the stage
 * before the first one in which a task waits for it.
 */
#ifndef ASTRUM_PLAN_H
#define ASTRUM_PLAN_H

#include "graph.h"

typedef struct {
  uint32_t task;
  uint32_t last; /* the last stage that lists it */
} astrum__linger;

struct astrum_plan {
  astrum_alloc alloc;
  const astrum_graph *graph;
  uint32_t task_count;
  uint32_t *level;       /* by task */
  astrum_task *by_stage; /* stage after stage, each by declaration */
  uint32_t *first;       /* by stage, and the end: index in by_stage */
  uint32_t stage_count;
  uint32_t max_parallelism;
  uint32_t *lingering;    /* by stage: how many linger there */
  astrum__linger *linger; /* in the order of by_stage */
  uint32_t linger_count;
};

#endif
