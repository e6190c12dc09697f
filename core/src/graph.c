/*
 * Building a graph, checking it and making it immutable. All walks are loops
 * over arrays, and everything takes time in proportion to tasks and edges.
 */
#include "graph.h"

#include <math.h>
#include <string.h>

/* In the work array of a freeze: the task is on the path that is walked. */
#define ON_PATH UINT32_MAX

static int has_task(const astrum_graph *graph, astrum_task task) {
  return task.id < graph->names.count;
}

astrum_err astrum_graph_new(const astrum_alloc *alloc, astrum_graph **out) {
  astrum_alloc a = astrum__alloc_or_default(alloc);
  astrum_graph *graph = astrum__zalloc(&a, 1, sizeof *graph);
  if (graph == NULL)
    return ASTRUM_ENOMEM;
  graph->alloc = a;
  *out = graph;
  return ASTRUM_OK;
}

static void free_neighbours(const astrum_graph *graph,
                            astrum__neighbours *side) {
  astrum__free(&graph->alloc, side->targets,
               side->capacity * sizeof *side->targets);
  astrum__free(&graph->alloc, side->first,
               ((size_t)graph->names.count + 1) * sizeof *side->first);
  *side = (astrum__neighbours){0};
}

static void free_edges(astrum_graph *graph) {
  astrum__free(&graph->alloc, graph->edges,
               graph->edge_capacity * sizeof *graph->edges);
  graph->edges = NULL;
  graph->edge_capacity = 0;
}

/* The units of a policy that is stored here are the graph's own. */
static void free_units(const astrum_graph *graph, const astrum_policy *policy) {
  astrum__free(&graph->alloc, (void *)policy->pools,
               policy->pool_count * sizeof *policy->pools);
}

void astrum_graph_free(astrum_graph *graph) {
  if (graph == NULL)
    return;
  astrum_alloc a = graph->alloc;
  free_neighbours(graph, &graph->upstream);
  free_neighbours(graph, &graph->downstream);
  free_edges(graph);
  astrum__free(&a, graph->cycle, graph->cycle_count * sizeof *graph->cycle);
  for (uint32_t i = 0; i < graph->policy_keys.count; i++)
    free_units(graph, astrum__graph_policy_at(graph, i));
  for (size_t i = 0; i < graph->policy_keys.count; i += ASTRUM__POLICY_BLOCK)
    astrum__free(&a, graph->policy_blocks[i / ASTRUM__POLICY_BLOCK],
                 ASTRUM__POLICY_BLOCK * sizeof **graph->policy_blocks);
  astrum__free(&a, (void *)graph->policy_blocks,
               graph->policy_block_capacity * sizeof *graph->policy_blocks);
  astrum__free(&a, graph->policy_of,
               graph->policy_of_capacity * sizeof *graph->policy_of);
  astrum__names_free(&a, &graph->policy_keys);
  astrum__names_free(&a, &graph->names);
  astrum__free(&a, graph, sizeof *graph);
}

/* --- tasks and edges */

static int units_make_sense(const astrum_policy *policy) {
  if (policy->pool_count > 0 && policy->pools == NULL)
    return 0;
  for (uint32_t i = 0; i < policy->pool_count; i++) {
    if (policy->pools[i].units == 0)
      return 0;
    for (uint32_t k = 0; k < i; k++)
      if (policy->pools[k].pool == policy->pools[i].pool)
        return 0;
  }
  return 1;
}

static int makes_sense(const astrum_policy *policy) {
  if (policy->size != sizeof *policy)
    return 0;
  int backoff = policy->backoff == 0 ||
                (policy->backoff >= 1 && isfinite(policy->backoff));
  int of_map = policy->max_items || policy->max_concurrency || policy->tolerant;
  return backoff && policy->jitter <= 1 && policy->detached <= 1 &&
         policy->trigger <= ASTRUM_ALWAYS && policy->map <= 1 &&
         policy->tolerant <= 1 && (policy->map || !of_map) &&
         units_make_sense(policy);
}

/* A struct may have padding with any content, an array has none. */
enum { KEY_WORDS = 10, POOLS_MAX = 100 };

static void write_key(const astrum_policy *policy, uint64_t *key) {
  key[0] = policy->max_retries;
  key[1] = policy->delay;
  key[2] = policy->max_delay;
  key[3] = 0;
  if (policy->backoff != 0)
    memcpy(&key[3], &policy->backoff, sizeof key[3]);
  key[4] = policy->timeout;
  key[5] = policy->idle_timeout;
  key[6] = (uint64_t)policy->max_items << 32 | policy->max_concurrency;
  key[7] = (uint32_t)policy->priority;
  key[8] = (uint64_t)policy->jitter | (uint64_t)policy->detached << 8 |
           (uint64_t)policy->map << 16 | (uint64_t)policy->tolerant << 24 |
           (uint64_t)policy->trigger << 32;
  key[9] = policy->pool_count;
  for (uint32_t i = 0; i < policy->pool_count; i++)
    key[KEY_WORDS + i] =
        (uint64_t)policy->pools[i].pool << 32 | policy->pools[i].units;
}

/* Makes room for one more policy. `*block` is the new block if one began. */
static astrum_err policy_room(astrum_graph *graph, astrum_policy **block) {
  uint32_t count = graph->policy_keys.count;
  size_t block_index = count / ASTRUM__POLICY_BLOCK;
  *block = NULL;
  if (count % ASTRUM__POLICY_BLOCK != 0)
    return ASTRUM_OK;
  if (astrum__grow(&graph->alloc, (void **)&graph->policy_blocks,
                   &graph->policy_block_capacity, block_index + 1,
                   sizeof *graph->policy_blocks) != ASTRUM_OK)
    return ASTRUM_ENOMEM;
  *block =
      astrum__alloc_array(&graph->alloc, ASTRUM__POLICY_BLOCK, sizeof **block);
  if (*block == NULL)
    return ASTRUM_ENOMEM;
  graph->policy_blocks[block_index] = *block;
  return ASTRUM_OK;
}

/* Stores a copy of a policy and its key. */
static astrum_err store_policy(astrum_graph *graph, const astrum_policy *policy,
                               const uint64_t *key, size_t key_size,
                               uint32_t *index) {
  astrum_units *units = NULL;
  astrum_policy *block = NULL;
  size_t units_size = policy->pool_count * sizeof *units;
  if (policy->pool_count > 0) {
    units =
        astrum__alloc_array(&graph->alloc, policy->pool_count, sizeof *units);
    if (units == NULL)
      return ASTRUM_ENOMEM;
    memcpy(units, policy->pools, units_size);
  }
  astrum_err err = policy_room(graph, &block);
  if (err == ASTRUM_OK)
    err = astrum__names_add(&graph->alloc, &graph->policy_keys, key, key_size,
                            index);
  if (err != ASTRUM_OK) {
    if (block != NULL)
      astrum__free(&graph->alloc, block, ASTRUM__POLICY_BLOCK * sizeof *block);
    astrum__free(&graph->alloc, units, units_size);
    return err;
  }
  astrum_policy *copy = &graph->policy_blocks[*index / ASTRUM__POLICY_BLOCK]
                                             [*index % ASTRUM__POLICY_BLOCK];
  *copy = *policy;
  copy->pools = units;
  return ASTRUM_OK;
}

/* Finds the index of an equal policy, or stores this one. */
static astrum_err intern_policy(astrum_graph *graph,
                                const astrum_policy *policy, uint32_t *index) {
  uint64_t key[KEY_WORDS + POOLS_MAX];
  size_t size = (KEY_WORDS + (size_t)policy->pool_count) * sizeof *key;
  write_key(policy, key);
  *index = astrum__names_find(&graph->policy_keys, key, size);
  if (*index != ASTRUM_NO_TASK)
    return ASTRUM_OK;
  return store_policy(graph, policy, key, size, index);
}

/* The index of a policy that a task asks for. */
static astrum_err find_policy(astrum_graph *graph, const astrum_policy *policy,
                              uint32_t *index) {
  if (policy->size == sizeof *policy && policy->pool_count > POOLS_MAX)
    return ASTRUM_ELIMIT;
  if (!makes_sense(policy))
    return ASTRUM_EINVAL;
  return intern_policy(graph, policy, index);
}

/* The same for the policy of all defaults. */
static astrum_err find_default(astrum_graph *graph, uint32_t *index) {
  static const astrum_policy defaults = ASTRUM_POLICY_INIT;
  astrum_err err = ASTRUM_OK;
  if (graph->default_policy > 0)
    *index = graph->default_policy - 1;
  else
    err = intern_policy(graph, &defaults, index);
  if (err == ASTRUM_OK)
    graph->default_policy = *index + 1;
  return err;
}

/* Makes room for the policy of one more task. */
static astrum_err policy_of_room(astrum_graph *graph, uint32_t index) {
  uint32_t count = graph->names.count;
  int is_first = graph->policy_of == NULL;
  if (is_first && index == 0)
    return ASTRUM_OK;
  astrum_err err = astrum__grow(&graph->alloc, (void **)&graph->policy_of,
                                &graph->policy_of_capacity, (size_t)count + 1,
                                sizeof *graph->policy_of);
  for (uint32_t i = 0; err == ASTRUM_OK && is_first && i < count; i++)
    graph->policy_of[i] = 0;
  return err;
}

astrum_err astrum_graph_add(astrum_graph *graph, const char *name,
                            size_t name_size, const astrum_policy *policy,
                            astrum_task *out) {
  if (graph->frozen)
    return ASTRUM_EFROZEN;
  uint32_t index, id;
  astrum_err err = policy == NULL ? find_default(graph, &index)
                                  : find_policy(graph, policy, &index);
  if (err == ASTRUM_OK)
    err = policy_of_room(graph, index);
  /* The last step, so that there is nothing to undo. */
  if (err == ASTRUM_OK)
    err = astrum__names_add(&graph->alloc, &graph->names, name, name_size, &id);
  if (err != ASTRUM_OK)
    return err;
  if (graph->policy_of != NULL)
    graph->policy_of[id] = index;
  if (policy != NULL) {
    graph->map_count += policy->map;
    graph->has_pools |= policy->pool_count > 0;
    graph->has_priorities |= policy->priority != 0;
    graph->has_triggers |= policy->trigger != ASTRUM_ALL_SUCCESS;
    graph->has_detached |= policy->detached;
  }
  out->id = id;
  return ASTRUM_OK;
}

astrum_err astrum_graph_edge(astrum_graph *graph, astrum_task before,
                             astrum_task after) {
  if (graph->frozen)
    return ASTRUM_EFROZEN;
  if (!has_task(graph, before) || !has_task(graph, after))
    return ASTRUM_EINVAL;
  if (graph->edge_count >= UINT32_MAX)
    return ASTRUM_ELIMIT;
  astrum_err err =
      astrum__grow(&graph->alloc, (void **)&graph->edges, &graph->edge_capacity,
                   graph->edge_count + 1, sizeof *graph->edges);
  if (err != ASTRUM_OK)
    return err;
  graph->edges[graph->edge_count++] = (astrum__edge){before.id, after.id};
  graph->has_backward |= before.id >= after.id;
  return ASTRUM_OK;
}

astrum_err astrum_graph_reserve(astrum_graph *graph, size_t tasks,
                                size_t edges) {
  if (graph->frozen)
    return ASTRUM_EFROZEN;
  if (tasks >= ASTRUM_NO_TASK || edges > UINT32_MAX)
    return ASTRUM_ELIMIT;
  astrum_err err =
      astrum__names_reserve(&graph->alloc, &graph->names, (uint32_t)tasks);
  if (err == ASTRUM_OK)
    err = astrum__grow(&graph->alloc, (void **)&graph->edges,
                       &graph->edge_capacity, edges, sizeof *graph->edges);
  return err;
}

/* --- freezing */

/* Gives the end of an array back; where that fails, the array stays. */
static void *shrink(const astrum_graph *graph, void *array, size_t *capacity,
                    size_t count, size_t size) {
  if (count == 0 || count == *capacity)
    return array;
  void *moved =
      astrum__realloc(&graph->alloc, array, *capacity * size, count * size);
  if (moved == NULL)
    return array;
  *capacity = count;
  return moved;
}

/* Leaves each neighbour once, the first time it came, and frees the rest. */
static void drop_repeated(const astrum_graph *graph, astrum__neighbours *side,
                          uint32_t *seen_by) {
  size_t count = graph->names.count;
  uint32_t written = 0;
  if (side->targets == NULL)
    return;
  for (size_t i = 0; i < count; i++)
    seen_by[i] = ASTRUM_NO_TASK;
  for (uint32_t task = 0; task < count; task++) {
    uint32_t from = side->first[task], to = side->first[task + 1];
    side->first[task] = written;
    for (uint32_t i = from; i < to; i++) {
      astrum_task target = side->targets[i];
      if (seen_by[target.id] == task)
        continue;
      seen_by[target.id] = task;
      side->targets[written++] = target;
    }
  }
  side->first[count] = written;
  side->targets = shrink(graph, side->targets, &side->capacity, written,
                         sizeof(astrum_task));
}

static astrum_err new_neighbours(const astrum_graph *graph, size_t edges,
                                 astrum__neighbours *side) {
  size_t count = (size_t)graph->names.count + 1;
  *side = (astrum__neighbours){
      .first = astrum__zalloc(&graph->alloc, count, sizeof *side->first),
      .targets =
          astrum__alloc_array(&graph->alloc, edges, sizeof *side->targets),
      .capacity = edges};
  if (side->first != NULL && (side->targets != NULL || edges == 0))
    return ASTRUM_OK;
  free_neighbours(graph, side);
  return ASTRUM_ENOMEM;
}

/*
 * Makes the lists of what tasks wait for from the pairs. Counting first and
 * filling from the end keeps the order of the edges. `work` has room for all
 * tasks.
 */
static astrum_err make_upstream(const astrum_graph *graph, uint32_t *work,
                                astrum__neighbours *side) {
  size_t count = graph->names.count, edges = graph->edge_count;
  astrum_err err = new_neighbours(graph, edges, side);
  if (err != ASTRUM_OK)
    return err;
  for (size_t i = 0; i < edges; i++)
    side->first[graph->edges[i].after]++;
  for (size_t i = 1; i <= count; i++)
    side->first[i] += side->first[i - 1];
  for (size_t i = edges; i-- > 0;) {
    uint32_t place = --side->first[graph->edges[i].after];
    side->targets[place].id = graph->edges[i].before;
  }
  drop_repeated(graph, side, work);
  return ASTRUM_OK;
}

/* Turns those lists round. Going through the tasks from the last one leaves
   the consumers of each in the order of declaration. */
static astrum_err make_downstream(const astrum_graph *graph,
                                  const astrum__neighbours *upstream,
                                  astrum__neighbours *side) {
  size_t count = graph->names.count, edges = upstream->first[count];
  astrum_err err = new_neighbours(graph, edges, side);
  if (err != ASTRUM_OK)
    return err;
  for (size_t i = 0; i < edges; i++)
    side->first[upstream->targets[i].id]++;
  for (size_t i = 1; i <= count; i++)
    side->first[i] += side->first[i - 1];
  for (size_t task = count; task-- > 0;)
    for (size_t i = upstream->first[task + 1]; i-- > upstream->first[task];) {
      uint32_t place = --side->first[upstream->targets[i].id];
      side->targets[place].id = (uint32_t)task;
    }
  return ASTRUM_OK;
}

/*
 * Takes away tasks that wait for none that is left, again and again. Returns
 * how many remain: those in cycles and those behind them, whose `open` is more
 * than 0. `order` has room for all tasks.
 */
static uint32_t count_stuck(const astrum__neighbours *upstream,
                            const astrum__neighbours *downstream,
                            uint32_t count, uint32_t *open, uint32_t *order) {
  uint32_t queued = 0;
  for (uint32_t i = 0; i < count; i++) {
    open[i] = upstream->first[i + 1] - upstream->first[i];
    if (open[i] == 0)
      order[queued++] = i;
  }
  for (uint32_t taken = 0; taken < queued; taken++) {
    uint32_t task = order[taken];
    for (uint32_t i = downstream->first[task]; i < downstream->first[task + 1];
         i++) {
      uint32_t next = downstream->targets[i].id;
      if (--open[next] == 0)
        order[queued++] = next;
    }
  }
  return count - queued;
}

/*
 * Walks from a stuck task to one that it waits for and that is stuck too, until
 * it comes to a task for the second time. Writes the tasks of the cycle, each
 * before those that it waits for, to the end of `path`, which has `*size`
 * tasks.
 */
static uint32_t *walk_cycle(const astrum__neighbours *upstream, uint32_t *open,
                            uint32_t *path, uint32_t *size) {
  uint32_t task = 0, length = 0;
  while (open[task] == 0)
    task++;
  while (open[task] != ON_PATH) {
    path[length++] = task;
    open[task] = ON_PATH;
    uint32_t i = upstream->first[path[length - 1]];
    while (open[upstream->targets[i].id] == 0)
      i++;
    task = upstream->targets[i].id;
  }
  uint32_t start = length - 1;
  while (path[start] != task)
    start--;
  *size = length - start;
  return path + start;
}

/* Keeps a cycle: in the order of time, the earliest declared task first. */
static astrum_err keep_cycle(astrum_graph *graph, const uint32_t *path,
                             uint32_t size) {
  astrum_task *cycle = astrum__alloc_array(&graph->alloc, size, sizeof *cycle);
  if (cycle == NULL)
    return ASTRUM_ENOMEM;
  uint32_t earliest = 0;
  for (uint32_t i = 1; i < size; i++)
    if (path[i] < path[earliest])
      earliest = i;
  for (uint32_t i = 0; i < size; i++)
    cycle[i].id = path[earliest >= i ? earliest - i : earliest + size - i];
  astrum__free(&graph->alloc, graph->cycle,
               graph->cycle_count * sizeof *graph->cycle);
  graph->cycle = cycle;
  graph->cycle_count = size;
  return ASTRUM_ECYCLE;
}

/* Looks for a cycle and keeps it. `work` has room for all tasks. */
static astrum_err find_cycle(astrum_graph *graph,
                             const astrum__neighbours *upstream,
                             const astrum__neighbours *downstream,
                             uint32_t *work) {
  uint32_t count = graph->names.count, size;
  uint32_t *order = astrum__alloc_array(&graph->alloc, count, sizeof *order);
  if (order == NULL)
    return ASTRUM_ENOMEM;
  astrum_err err = ASTRUM_OK;
  if (count_stuck(upstream, downstream, count, work, order) > 0) {
    uint32_t *path = walk_cycle(upstream, work, order, &size);
    err = keep_cycle(graph, path, size);
  }
  astrum__free(&graph->alloc, order, count * sizeof *order);
  return err;
}

/* Whether a task waits for one that the run does not wait for. */
static int waits_for_detached(const astrum_graph *graph,
                              const astrum__neighbours *downstream) {
  for (uint32_t i = 0; graph->has_detached && i < graph->names.count; i++)
    if (downstream->first[i] != downstream->first[i + 1] &&
        astrum__graph_policy(graph, i)->detached)
      return 1;
  return 0;
}

astrum_err astrum_graph_freeze(astrum_graph *graph) {
  if (graph->frozen)
    return ASTRUM_OK;
  size_t count = graph->names.count;
  astrum__neighbours upstream = {0}, downstream = {0};
  astrum_err err = ASTRUM_ENOMEM;
  /* One more than tasks, for an array of nothing is NULL. */
  uint32_t *work = astrum__alloc_array(&graph->alloc, count + 1, sizeof *work);
  if (work != NULL)
    err = make_upstream(graph, work, &upstream);
  if (err == ASTRUM_OK)
    err = make_downstream(graph, &upstream, &downstream);
  if (err == ASTRUM_OK && graph->has_backward)
    err = find_cycle(graph, &upstream, &downstream, work);
  if (err == ASTRUM_OK && waits_for_detached(graph, &downstream))
    err = ASTRUM_EINVAL;
  astrum__free(&graph->alloc, work, (count + 1) * sizeof *work);
  if (err != ASTRUM_OK) {
    free_neighbours(graph, &upstream);
    free_neighbours(graph, &downstream);
    return err;
  }
  free_edges(graph);
  graph->edge_count = upstream.first[count];
  graph->upstream = upstream;
  graph->downstream = downstream;
  graph->frozen = 1;
  astrum__names_trim(&graph->alloc, &graph->names);
  if (graph->policy_of != NULL)
    graph->policy_of =
        shrink(graph, graph->policy_of, &graph->policy_of_capacity, count,
               sizeof *graph->policy_of);
  return ASTRUM_OK;
}

/* --- reading */

size_t astrum_graph_cycle(const astrum_graph *graph,
                          const astrum_task **tasks) {
  *tasks = graph->cycle;
  return graph->cycle_count;
}

int astrum_graph_frozen(const astrum_graph *graph) { return graph->frozen; }

uint32_t astrum_graph_task_count(const astrum_graph *graph) {
  return graph->names.count;
}

size_t astrum_graph_edge_count(const astrum_graph *graph) {
  return graph->frozen ? graph->edge_count : 0;
}

astrum_err astrum_graph_find(const astrum_graph *graph, const char *name,
                             size_t name_size, astrum_task *out) {
  uint32_t id = astrum__names_find(&graph->names, name, name_size);
  if (id == ASTRUM_NO_TASK)
    return ASTRUM_ENOENT;
  out->id = id;
  return ASTRUM_OK;
}

const char *astrum_graph_name(const astrum_graph *graph, astrum_task task,
                              size_t *size) {
  if (has_task(graph, task))
    return astrum__names_get(&graph->names, task.id, size);
  *size = 0;
  return NULL;
}

const astrum_policy *astrum_graph_policy(const astrum_graph *graph,
                                         astrum_task task) {
  return has_task(graph, task) ? astrum__graph_policy(graph, task.id) : NULL;
}

static uint32_t neighbours(const astrum_graph *graph,
                           const astrum__neighbours *side, astrum_task task,
                           const astrum_task **tasks) {
  *tasks = NULL;
  if (!graph->frozen || !has_task(graph, task))
    return 0;
  uint32_t from = side->first[task.id], to = side->first[task.id + 1];
  if (from < to)
    *tasks = side->targets + from;
  return to - from;
}

uint32_t astrum_graph_upstream(const astrum_graph *graph, astrum_task task,
                               const astrum_task **tasks) {
  return neighbours(graph, &graph->upstream, task, tasks);
}

uint32_t astrum_graph_downstream(const astrum_graph *graph, astrum_task task,
                                 const astrum_task **tasks) {
  return neighbours(graph, &graph->downstream, task, tasks);
}
