/*
 * Tasks and edges as flat arrays. While the graph is open edges are pairs in
 * the order in which they came. Freezing turns them into two lists of
 * neighbours, in which those of task t are targets[first[t] .. first[t + 1]):
 *
 *   first     0 . 2 3 . 3      one per task, and the end
 *   targets   b c | d |        each neighbour once
 */
#ifndef ASTRUM_GRAPH_H
#define ASTRUM_GRAPH_H

#include "alloc.h"
#include "internal.h"
#include "names.h"

typedef struct {
  uint32_t before, after;
} astrum__edge;

typedef struct {
  uint32_t *first;
  astrum_task *targets; /* NULL when there are none */
  size_t capacity;      /* of targets */
} astrum__neighbours;

/* Policies stand in blocks of this many, so that they never move. */
#define ASTRUM__POLICY_BLOCK 16u

struct astrum_graph {
  astrum_alloc alloc;
  astrum__names names; /* number of a name: id of the task */
  uint32_t *policy_of; /* by task: index of its policy; NULL: 0 for all */
  size_t policy_of_capacity;
  astrum__names policy_keys; /* number of a key: index of the policy */
  astrum_policy **policy_blocks;
  size_t policy_block_capacity;
  uint32_t default_policy; /* index of the one of all defaults, from 1, or 0 */
  /* What there is among the tasks, so that a run without it need not look. */
  uint32_t map_count;
  uint8_t has_pools, has_priorities, has_triggers, has_detached;

  astrum__edge *edges; /* as long as the graph is open */
  size_t edge_count;   /* frozen: of the different edges */
  size_t edge_capacity;
  uint8_t has_backward; /* a task waits for one that was declared later, or for
                           itself: else there is no cycle */

  int frozen;
  astrum__neighbours upstream, downstream; /* once it is frozen */
  astrum_task *cycle;
  size_t cycle_count;
};

/*
 * Shortcuts for the rest of the core, which knows that the graph is frozen and
 * the task is one of it.
 */
static inline uint32_t astrum__graph_count(const astrum_graph *graph) {
  return graph->names.count;
}

/* Number of the tasks that `task` waits for. */
static inline uint32_t astrum__graph_in_degree(const astrum_graph *graph,
                                               uint32_t task) {
  return graph->upstream.first[task + 1] - graph->upstream.first[task];
}

static inline uint32_t astrum__graph_policy_count(const astrum_graph *graph) {
  return graph->policy_keys.count;
}

static inline const astrum_policy *
astrum__graph_policy_at(const astrum_graph *graph, uint32_t index) {
  return &graph->policy_blocks[index / ASTRUM__POLICY_BLOCK]
                              [index % ASTRUM__POLICY_BLOCK];
}

static inline uint32_t astrum__graph_policy_index(const astrum_graph *graph,
                                                  uint32_t task) {
  return graph->policy_of ? graph->policy_of[task] : 0;
}

static inline const astrum_policy *
astrum__graph_policy(const astrum_graph *graph, uint32_t task) {
  return astrum__graph_policy_at(graph,
                                 astrum__graph_policy_index(graph, task));
}

#endif
