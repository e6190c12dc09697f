/*
 * Graphs: what may be added, what freezing checks and makes, cycles, speed in
 * proportion to size, want of memory.
 */
#include "graph.h"

#include "check.h"
#include "fault.h"

#include <math.h>
#include <pthread.h>

static astrum_graph *new_graph(void) {
  astrum_graph *graph = NULL;
  CHECK_EQ(astrum_graph_new(NULL, &graph), ASTRUM_OK);
  return graph;
}

static astrum_task add(astrum_graph *graph, const char *name) {
  astrum_task task = {ASTRUM_NO_TASK};
  CHECK_EQ(astrum_graph_add(graph, name, strlen(name), NULL, &task), ASTRUM_OK);
  return task;
}

/* A graph of `count` tasks named "0", "1" ... */
static astrum_graph *numbered_graph(uint32_t count) {
  astrum_graph *graph = new_graph();
  for (uint32_t i = 0; i < count; i++) {
    char name[16];
    snprintf(name, sizeof name, "%u", (unsigned)i);
    add(graph, name);
  }
  return graph;
}

static astrum_err edge(astrum_graph *graph, uint32_t before, uint32_t after) {
  return astrum_graph_edge(graph, (astrum_task){before}, (astrum_task){after});
}

/* The ids of a list, "3 1 2", as text that lives until the next call. */
static const char *ids(const astrum_task *tasks, size_t count) {
  static char text[256];
  size_t used = 0;
  text[0] = '\0';
  for (size_t i = 0; i < count && used < sizeof text - 16; i++)
    used += (size_t)snprintf(text + used, sizeof text - used, "%s%u",
                             i == 0 ? "" : " ", (unsigned)tasks[i].id);
  return text;
}

static const char *upstream(const astrum_graph *graph, uint32_t task) {
  const astrum_task *tasks;
  uint32_t n = astrum_graph_upstream(graph, (astrum_task){task}, &tasks);
  return ids(tasks, n);
}

static const char *downstream(const astrum_graph *graph, uint32_t task) {
  const astrum_task *tasks;
  uint32_t n = astrum_graph_downstream(graph, (astrum_task){task}, &tasks);
  return ids(tasks, n);
}

static const char *cycle(const astrum_graph *graph) {
  const astrum_task *tasks;
  size_t n = astrum_graph_cycle(graph, &tasks);
  return ids(tasks, n);
}

/* --- tasks */

TEST(tasks_are_numbered_in_the_order_of_declaration) {
  astrum_graph *graph = new_graph();
  CHECK_EQ(add(graph, "load").id, 0);
  CHECK_EQ(add(graph, "price").id, 1);
  CHECK_EQ(astrum_graph_task_count(graph), 2);
  astrum_graph_free(graph);
}

TEST(a_task_is_found_by_its_name) {
  astrum_graph *graph = new_graph();
  add(graph, "load");
  add(graph, "price");
  astrum_task task = {7};
  CHECK_EQ(astrum_graph_find(graph, "price", 5, &task), ASTRUM_OK);
  CHECK_EQ(task.id, 1);
  CHECK_EQ(astrum_graph_find(graph, "prices", 6, &task), ASTRUM_ENOENT);
  CHECK_EQ(task.id, 1);
  astrum_graph_free(graph);
}

TEST(a_second_task_of_the_same_name_is_refused) {
  astrum_graph *graph = new_graph();
  add(graph, "load");
  astrum_task task = {7};
  CHECK_EQ(astrum_graph_add(graph, "load", 4, NULL, &task), ASTRUM_EEXIST);
  CHECK_EQ(task.id, 7);
  CHECK_EQ(astrum_graph_task_count(graph), 1);
  astrum_graph_free(graph);
}

TEST(a_name_with_nul_bytes_is_one_name) {
  astrum_graph *graph = new_graph();
  astrum_task first, second, found;
  CHECK_EQ(astrum_graph_add(graph, "a\0b", 3, NULL, &first), ASTRUM_OK);
  CHECK_EQ(astrum_graph_add(graph, "a\0c", 3, NULL, &second), ASTRUM_OK);
  CHECK_EQ(astrum_graph_find(graph, "a\0c", 3, &found), ASTRUM_OK);
  CHECK_EQ(found.id, second.id);
  size_t size;
  const char *name = astrum_graph_name(graph, first, &size);
  CHECK_EQ(size, 3);
  CHECK(memcmp(name, "a\0b", 3) == 0);
  astrum_graph_free(graph);
}

TEST(a_name_of_more_than_1024_bytes_is_refused) {
  astrum_graph *graph = new_graph();
  char name[ASTRUM_NAME_MAX + 1];
  memset(name, 'x', sizeof name);
  astrum_task task;
  CHECK_EQ(astrum_graph_add(graph, name, sizeof name, NULL, &task),
           ASTRUM_ELIMIT);
  CHECK_EQ(astrum_graph_add(graph, name, sizeof name - 1, NULL, &task),
           ASTRUM_OK);
  astrum_graph_free(graph);
}

TEST(names_and_policies_stay_where_they_are) {
  astrum_graph *graph = new_graph();
  astrum_task first = add(graph, "first");
  size_t size;
  const char *name = astrum_graph_name(graph, first, &size);
  const astrum_policy *policy = astrum_graph_policy(graph, first);
  for (uint32_t i = 0; i < 1000; i++) {
    char text[16];
    snprintf(text, sizeof text, "%u", (unsigned)i);
    astrum_policy other = ASTRUM_POLICY_INIT;
    other.max_retries = i;
    astrum_task task;
    CHECK_EQ(astrum_graph_add(graph, text, strlen(text), &other, &task),
             ASTRUM_OK);
  }
  CHECK_EQ(astrum_graph_freeze(graph), ASTRUM_OK);
  CHECK(astrum_graph_name(graph, first, &size) == name);
  CHECK(astrum_graph_policy(graph, first) == policy);
  CHECK(size == 5 && memcmp(name, "first", 5) == 0);
  astrum_graph_free(graph);
}

TEST(what_is_not_a_task_of_the_graph_has_no_name_and_no_policy) {
  astrum_graph *graph = numbered_graph(2);
  size_t size = 7;
  CHECK(astrum_graph_name(graph, (astrum_task){2}, &size) == NULL);
  CHECK_EQ(size, 0);
  CHECK(astrum_graph_policy(graph, (astrum_task){ASTRUM_NO_TASK}) == NULL);
  astrum_graph_free(graph);
}

TEST(tasks_have_a_limit) {
  astrum_graph *graph = numbered_graph(1);
  astrum_task task = {7};
  graph->names.count = ASTRUM_NO_TASK - 1;
  CHECK_EQ(astrum_graph_add(graph, "more", 4, NULL, &task), ASTRUM_ELIMIT);
  CHECK_EQ(task.id, 7);
  graph->names.count = 1;
  astrum_graph_free(graph);
}

TEST(tasks_and_edges_that_have_room_take_memory_for_names_only) {
  enum { COUNT = 5000 };
  fault_state fault = fault_none();
  astrum_alloc alloc = fault_allocator(&fault);
  astrum_graph *graph;
  astrum_task task;
  char name[16];
  CHECK_EQ(astrum_graph_new(&alloc, &graph), ASTRUM_OK);
  CHECK_EQ(astrum_graph_reserve(graph, COUNT, COUNT), ASTRUM_OK);
  size_t live = fault.live, bytes = 0;
  for (uint32_t i = 0; i < COUNT; i++) {
    int size = snprintf(name, sizeof name, "t%u", (unsigned)i);
    CHECK_EQ(astrum_graph_add(graph, name, (size_t)size, NULL, &task),
             ASTRUM_OK);
    bytes += (size_t)size + 2;
    if (i > 0)
      CHECK_EQ(edge(graph, i - 1, i), ASTRUM_OK);
  }
  /* A part of the last block of names, the default policy. */
  CHECK(fault.live - live < bytes / 4 * 5 + 4000);
  CHECK_EQ(astrum_graph_add(graph, "one more", 8, NULL, &task), ASTRUM_OK);
  CHECK_EQ(astrum_graph_freeze(graph), ASTRUM_OK);
  CHECK_EQ(astrum_graph_find(graph, "t4321", 5, &task), ASTRUM_OK);
  CHECK_EQ(task.id, 4321);
  astrum_graph_free(graph);
}

TEST(room_for_more_than_there_can_be_is_refused) {
  astrum_graph *graph = numbered_graph(2);
  CHECK_EQ(astrum_graph_reserve(graph, ASTRUM_NO_TASK, 0), ASTRUM_ELIMIT);
  CHECK_EQ(astrum_graph_reserve(graph, 0, (size_t)UINT32_MAX + 1),
           ASTRUM_ELIMIT);
  /* Less than there is already. */
  CHECK_EQ(astrum_graph_reserve(graph, 0, 0), ASTRUM_OK);
  CHECK_EQ(astrum_graph_freeze(graph), ASTRUM_OK);
  CHECK_EQ(astrum_graph_reserve(graph, 3, 3), ASTRUM_EFROZEN);
  astrum_graph_free(graph);
}

TEST(a_graph_that_gets_no_more_room_stays_as_it_was) {
  FAULT_SWEEP(fault) {
    astrum_alloc alloc = fault_allocator(&fault);
    astrum_graph *graph;
    fault_pause(&fault, 1);
    CHECK_EQ(astrum_graph_new(&alloc, &graph), ASTRUM_OK);
    add(graph, "a");
    add(graph, "b");
    CHECK_EQ(edge(graph, 0, 1), ASTRUM_OK);
    fault_pause(&fault, 0);
    astrum_err err = astrum_graph_reserve(graph, 100, 100);
    CHECK_EQ(err, fault.failed > 0 ? ASTRUM_ENOMEM : ASTRUM_OK);
    fault_pause(&fault, 1);
    add(graph, "c");
    CHECK_EQ(edge(graph, 1, 2), ASTRUM_OK);
    CHECK_EQ(astrum_graph_freeze(graph), ASTRUM_OK);
    CHECK_STR(downstream(graph, 0), "1");
    CHECK_STR(upstream(graph, 2), "1");
    fault_pause(&fault, 0);
    astrum_graph_free(graph);
  }
}

/* --- policies */

TEST(a_task_without_a_policy_has_all_defaults) {
  astrum_graph *graph = new_graph();
  const astrum_policy *policy = astrum_graph_policy(graph, add(graph, "load"));
  CHECK_EQ(policy->size, sizeof(astrum_policy));
  CHECK_EQ(policy->max_retries, 0);
  CHECK_EQ(policy->delay, 0);
  CHECK_EQ(policy->max_delay, 0);
  CHECK(policy->backoff == 0);
  CHECK_EQ(policy->jitter, 0);
  CHECK_EQ(policy->detached, 0);
  astrum_graph_free(graph);
}

TEST(a_policy_is_kept_as_it_was_given) {
  astrum_graph *graph = new_graph();
  astrum_policy given = {.size = sizeof given,
                         .max_retries = 3,
                         .delay = 1000,
                         .max_delay = 60000,
                         .backoff = 1.5,
                         .jitter = 1,
                         .detached = 1};
  astrum_task task;
  CHECK_EQ(astrum_graph_add(graph, "load", 4, &given, &task), ASTRUM_OK);
  const astrum_policy *policy = astrum_graph_policy(graph, task);
  CHECK_EQ(policy->max_retries, 3);
  CHECK_EQ(policy->delay, 1000);
  CHECK_EQ(policy->max_delay, 60000);
  CHECK(policy->backoff == 1.5);
  CHECK_EQ(policy->jitter, 1);
  CHECK_EQ(policy->detached, 1);
  astrum_graph_free(graph);
}

/* The same fields with other bytes in the padding, and units elsewhere. */
static astrum_policy same_policy(const astrum_policy *from, int padding,
                                 astrum_units *units) {
  astrum_policy policy;
  memset(&policy, padding, sizeof policy);
  policy.size = from->size;
  policy.max_retries = from->max_retries;
  policy.delay = from->delay;
  policy.max_delay = from->max_delay;
  policy.backoff = from->backoff;
  policy.timeout = from->timeout;
  policy.idle_timeout = from->idle_timeout;
  policy.pools = units;
  policy.pool_count = from->pool_count;
  for (uint32_t i = 0; i < from->pool_count; i++)
    units[i] = from->pools[i];
  policy.max_items = from->max_items;
  policy.max_concurrency = from->max_concurrency;
  policy.priority = from->priority;
  policy.jitter = from->jitter;
  policy.detached = from->detached;
  policy.trigger = from->trigger;
  policy.map = from->map;
  policy.tolerant = from->tolerant;
  return policy;
}

TEST(equal_policies_are_stored_once_and_others_apart) {
  const astrum_units one = {1, 2}, other = {2, 1}, two[] = {{1, 2}, {2, 1}};
  const astrum_policy policies[] = {
      {.size = sizeof(astrum_policy)},
      {.size = sizeof(astrum_policy), .max_retries = 1},
      {.size = sizeof(astrum_policy), .delay = 1},
      {.size = sizeof(astrum_policy), .max_delay = 1},
      {.size = sizeof(astrum_policy), .backoff = 1},
      {.size = sizeof(astrum_policy), .timeout = 1},
      {.size = sizeof(astrum_policy), .idle_timeout = 1},
      {.size = sizeof(astrum_policy), .priority = 1},
      {.size = sizeof(astrum_policy), .priority = -1},
      {.size = sizeof(astrum_policy), .jitter = 1},
      {.size = sizeof(astrum_policy), .detached = 1},
      {.size = sizeof(astrum_policy), .trigger = ASTRUM_ALWAYS},
      {.size = sizeof(astrum_policy), .map = 1},
      {.size = sizeof(astrum_policy), .map = 1, .tolerant = 1},
      {.size = sizeof(astrum_policy), .map = 1, .max_items = 1},
      {.size = sizeof(astrum_policy), .map = 1, .max_concurrency = 1},
      {.size = sizeof(astrum_policy), .pools = &one, .pool_count = 1},
      {.size = sizeof(astrum_policy), .pools = &other, .pool_count = 1},
      {.size = sizeof(astrum_policy), .pools = two, .pool_count = 2}};
  enum { KINDS = sizeof policies / sizeof policies[0] };
  astrum_graph *graph = new_graph();
  for (uint32_t i = 0; i < 2 * KINDS; i++) {
    astrum_units units[2];
    astrum_policy policy =
        same_policy(&policies[i % KINDS], i < KINDS ? 0 : 0xFF, units);
    char name[8];
    snprintf(name, sizeof name, "%u", (unsigned)i);
    astrum_task task;
    CHECK_EQ(astrum_graph_add(graph, name, strlen(name), &policy, &task),
             ASTRUM_OK);
  }
  CHECK_EQ(astrum__graph_policy_count(graph), KINDS);
  for (uint32_t i = 0; i < KINDS; i++) {
    CHECK(astrum_graph_policy(graph, (astrum_task){i}) ==
          astrum_graph_policy(graph, (astrum_task){i + KINDS}));
    CHECK(astrum_graph_policy(graph, (astrum_task){i}) ==
          astrum__graph_policy_at(graph, i));
  }
  const astrum_policy *last =
      astrum_graph_policy(graph, (astrum_task){KINDS - 1});
  CHECK_EQ(last->pools[1].pool, 2);
  CHECK_EQ(last->pools[1].units, 1);
  CHECK(last->pools != two);
  astrum_graph_free(graph);
}

TEST(a_task_may_want_units_of_many_pools_but_not_of_any_number) {
  enum { MOST = 100 };
  astrum_units units[MOST + 1];
  astrum_graph *graph = new_graph();
  astrum_task task;
  astrum_policy policy = ASTRUM_POLICY_INIT;
  for (uint32_t i = 0; i <= MOST; i++)
    units[i] = (astrum_units){i, 1};
  policy.pools = units;
  policy.pool_count = MOST;
  CHECK_EQ(astrum_graph_add(graph, "a", 1, &policy, &task), ASTRUM_OK);
  policy.pool_count = MOST + 1;
  CHECK_EQ(astrum_graph_add(graph, "b", 1, &policy, &task), ASTRUM_ELIMIT);
  astrum_graph_free(graph);
}

TEST(a_policy_that_makes_no_sense_is_refused) {
  const astrum_units none = {0, 0}, twice[] = {{1, 1}, {2, 1}, {1, 2}};
  const astrum_policy policies[] = {
      {.size = sizeof(astrum_policy), .trigger = ASTRUM_ALWAYS + 1},
      {.size = sizeof(astrum_policy), .pool_count = 1},
      {.size = sizeof(astrum_policy), .pools = &none, .pool_count = 1},
      {.size = sizeof(astrum_policy), .pools = twice, .pool_count = 3},
      {.size = sizeof(astrum_policy), .map = 2},
      {.size = sizeof(astrum_policy), .map = 1, .tolerant = 2},
      {.size = sizeof(astrum_policy), .tolerant = 1},
      {.size = sizeof(astrum_policy), .max_items = 1},
      {.size = sizeof(astrum_policy), .max_concurrency = 1},
      {.size = 0},
      {.size = sizeof(astrum_policy) - 1},
      {.size = sizeof(astrum_policy) + 8},
      {.size = sizeof(astrum_policy), .backoff = 0.99},
      {.size = sizeof(astrum_policy), .backoff = -1},
      {.size = sizeof(astrum_policy), .backoff = (double)NAN},
      {.size = sizeof(astrum_policy), .backoff = (double)INFINITY},
      {.size = sizeof(astrum_policy), .jitter = 2},
      {.size = sizeof(astrum_policy), .detached = 2}};
  astrum_graph *graph = new_graph();
  for (size_t i = 0; i < sizeof policies / sizeof policies[0]; i++) {
    astrum_task task = {7};
    CHECK_EQ(astrum_graph_add(graph, "x", 1, &policies[i], &task),
             ASTRUM_EINVAL);
    CHECK_EQ(task.id, 7);
  }
  CHECK_EQ(astrum_graph_task_count(graph), 0);
  astrum_graph_free(graph);
}

TEST(a_thousand_different_policies_are_all_kept) {
  astrum_graph *graph = new_graph();
  for (uint32_t i = 0; i < 1000; i++) {
    astrum_policy policy = ASTRUM_POLICY_INIT;
    policy.delay = i;
    char name[16];
    snprintf(name, sizeof name, "%u", (unsigned)i);
    astrum_task task;
    CHECK_EQ(astrum_graph_add(graph, name, strlen(name), &policy, &task),
             ASTRUM_OK);
  }
  size_t right = 0;
  for (uint32_t i = 0; i < 1000; i++)
    right += astrum_graph_policy(graph, (astrum_task){i})->delay == i;
  CHECK_EQ(right, 1000);
  CHECK_EQ(astrum__graph_policy_count(graph), 1000);
  astrum_graph_free(graph);
}

/* --- edges */

TEST(upstream_comes_in_the_order_of_edges_and_downstream_of_declaration) {
  astrum_graph *graph = numbered_graph(5);
  edge(graph, 3, 4);
  edge(graph, 0, 3);
  edge(graph, 1, 4);
  edge(graph, 0, 1);
  edge(graph, 0, 2);
  edge(graph, 0, 4);
  CHECK_EQ(astrum_graph_freeze(graph), ASTRUM_OK);
  CHECK_STR(downstream(graph, 0), "1 2 3 4");
  CHECK_STR(upstream(graph, 4), "3 1 0");
  CHECK_STR(upstream(graph, 0), "");
  CHECK_STR(downstream(graph, 4), "");
  CHECK_EQ(astrum_graph_edge_count(graph), 6);
  CHECK_EQ(astrum__graph_in_degree(graph, 4), 3);
  astrum_graph_free(graph);
}

TEST(an_edge_given_many_times_counts_once) {
  astrum_graph *graph = numbered_graph(3);
  for (int i = 0; i < 5; i++) {
    CHECK_EQ(edge(graph, 0, 2), ASTRUM_OK);
    CHECK_EQ(edge(graph, 0, 1), ASTRUM_OK);
    CHECK_EQ(edge(graph, 1, 2), ASTRUM_OK);
  }
  CHECK_EQ(astrum_graph_freeze(graph), ASTRUM_OK);
  CHECK_EQ(astrum_graph_edge_count(graph), 3);
  CHECK_STR(downstream(graph, 0), "1 2");
  CHECK_STR(upstream(graph, 2), "0 1");
  astrum_graph_free(graph);
}

TEST(an_edge_joins_tasks_of_the_graph) {
  astrum_graph *graph = numbered_graph(2);
  CHECK_EQ(edge(graph, 0, 2), ASTRUM_EINVAL);
  CHECK_EQ(edge(graph, 2, 0), ASTRUM_EINVAL);
  CHECK_EQ(edge(graph, ASTRUM_NO_TASK, 0), ASTRUM_EINVAL);
  CHECK_EQ(astrum_graph_freeze(graph), ASTRUM_OK);
  CHECK_EQ(astrum_graph_edge_count(graph), 0);
  astrum_graph_free(graph);
}

TEST(edges_have_a_limit) {
  astrum_graph *graph = numbered_graph(2);
  graph->edge_count = UINT32_MAX;
  CHECK_EQ(edge(graph, 0, 1), ASTRUM_ELIMIT);
  graph->edge_count = 0;
  astrum_graph_free(graph);
}

TEST(an_open_graph_shows_no_edges) {
  astrum_graph *graph = numbered_graph(2);
  edge(graph, 0, 1);
  CHECK_EQ(astrum_graph_edge_count(graph), 0);
  CHECK_STR(downstream(graph, 0), "");
  CHECK_STR(upstream(graph, 1), "");
  CHECK_EQ(astrum_graph_frozen(graph), 0);
  astrum_graph_free(graph);
}

TEST(what_is_not_a_task_of_the_graph_has_no_neighbours) {
  astrum_graph *graph = numbered_graph(2);
  edge(graph, 0, 1);
  CHECK_EQ(astrum_graph_freeze(graph), ASTRUM_OK);
  CHECK_STR(downstream(graph, 2), "");
  CHECK_STR(upstream(graph, ASTRUM_NO_TASK), "");
  astrum_graph_free(graph);
}

/* --- freezing */

TEST(a_frozen_graph_cannot_be_changed) {
  astrum_graph *graph = numbered_graph(2);
  edge(graph, 0, 1);
  CHECK_EQ(astrum_graph_freeze(graph), ASTRUM_OK);
  CHECK_EQ(astrum_graph_frozen(graph), 1);
  astrum_task task;
  CHECK_EQ(astrum_graph_add(graph, "x", 1, NULL, &task), ASTRUM_EFROZEN);
  CHECK_EQ(edge(graph, 0, 1), ASTRUM_EFROZEN);
  CHECK_EQ(astrum_graph_task_count(graph), 2);
  CHECK_EQ(astrum_graph_edge_count(graph), 1);
  astrum_graph_free(graph);
}

TEST(freezing_again_does_nothing) {
  astrum_graph *graph = numbered_graph(2);
  edge(graph, 0, 1);
  CHECK_EQ(astrum_graph_freeze(graph), ASTRUM_OK);
  const astrum_task *before, *after;
  astrum_graph_downstream(graph, (astrum_task){0}, &before);
  CHECK_EQ(astrum_graph_freeze(graph), ASTRUM_OK);
  astrum_graph_downstream(graph, (astrum_task){0}, &after);
  CHECK(before == after);
  astrum_graph_free(graph);
}

TEST(a_graph_without_tasks_can_be_frozen) {
  astrum_graph *graph = new_graph();
  CHECK_EQ(astrum_graph_freeze(graph), ASTRUM_OK);
  CHECK_EQ(astrum_graph_task_count(graph), 0);
  CHECK_EQ(astrum_graph_edge_count(graph), 0);
  astrum_graph_free(graph);
}

TEST(freeing_no_graph_is_allowed) { astrum_graph_free(NULL); }

TEST(a_task_that_waits_for_a_detached_one_is_refused) {
  astrum_graph *graph = numbered_graph(1);
  astrum_policy detached = ASTRUM_POLICY_INIT;
  detached.detached = 1;
  astrum_task log, after;
  CHECK_EQ(astrum_graph_add(graph, "log", 3, &detached, &log), ASTRUM_OK);
  edge(graph, 0, log.id);
  after = add(graph, "after");
  edge(graph, log.id, after.id);
  CHECK_EQ(astrum_graph_freeze(graph), ASTRUM_EINVAL);
  CHECK_EQ(astrum_graph_frozen(graph), 0);
  CHECK_STR(cycle(graph), "");
  astrum_graph_free(graph);
}

TEST(a_detached_task_may_wait_for_others) {
  astrum_graph *graph = numbered_graph(1);
  astrum_policy detached = ASTRUM_POLICY_INIT;
  detached.detached = 1;
  astrum_task log;
  CHECK_EQ(astrum_graph_add(graph, "log", 3, &detached, &log), ASTRUM_OK);
  edge(graph, 0, log.id);
  CHECK_EQ(astrum_graph_freeze(graph), ASTRUM_OK);
  astrum_graph_free(graph);
}

/* --- cycles */

TEST(a_task_that_waits_for_itself_is_a_cycle_of_one) {
  astrum_graph *graph = numbered_graph(3);
  edge(graph, 0, 1);
  CHECK_EQ(edge(graph, 1, 1), ASTRUM_OK);
  edge(graph, 1, 2);
  CHECK_EQ(astrum_graph_freeze(graph), ASTRUM_ECYCLE);
  CHECK_STR(cycle(graph), "1");
  astrum_graph_free(graph);
}

TEST(a_cycle_begins_with_its_earliest_task_and_runs_forward) {
  astrum_graph *graph = numbered_graph(6);
  edge(graph, 5, 0); /* before the cycle */
  edge(graph, 0, 4);
  edge(graph, 4, 2);
  edge(graph, 2, 3);
  edge(graph, 3, 4);
  edge(graph, 3, 1); /* behind it */
  CHECK_EQ(astrum_graph_freeze(graph), ASTRUM_ECYCLE);
  CHECK_STR(cycle(graph), "2 3 4");
  astrum_graph_free(graph);
}

TEST(a_graph_with_a_cycle_stays_open) {
  astrum_graph *graph = numbered_graph(2);
  CHECK_STR(cycle(graph), "");
  edge(graph, 0, 1);
  edge(graph, 1, 0);
  CHECK_EQ(astrum_graph_freeze(graph), ASTRUM_ECYCLE);
  CHECK_STR(cycle(graph), "0 1");
  CHECK_EQ(astrum_graph_frozen(graph), 0);
  CHECK_EQ(add(graph, "more").id, 2);
  CHECK_EQ(edge(graph, 0, 2), ASTRUM_OK);
  CHECK_EQ(astrum_graph_freeze(graph), ASTRUM_ECYCLE);
  CHECK_STR(cycle(graph), "0 1");
  astrum_graph_free(graph);
}

static uint32_t next_random(uint64_t *state) {
  *state = *state * UINT64_C(6364136223846793005) + 1442695040888963407u;
  return (uint32_t)(*state >> 33);
}

TEST(what_is_called_a_cycle_in_random_graphs_is_one) {
  enum { TASKS = 12 };
  uint64_t random = 1;
  int cycles = 0;
  for (int round = 0; round < 500; round++) {
    uint8_t joined[TASKS][TASKS] = {{0}};
    astrum_graph *graph = numbered_graph(TASKS);
    uint32_t edges = next_random(&random) % 24;
    for (uint32_t i = 0; i < edges; i++) {
      uint32_t before = next_random(&random) % TASKS;
      uint32_t after = next_random(&random) % TASKS;
      joined[before][after] = 1;
      edge(graph, before, after);
    }
    /* reached[a][b]: a path leads from a to b (Warshall). */
    uint8_t reached[TASKS][TASKS];
    memcpy(reached, joined, sizeof joined);
    int has_cycle = 0;
    for (int k = 0; k < TASKS; k++)
      for (int a = 0; a < TASKS; a++)
        for (int b = 0; b < TASKS; b++)
          reached[a][b] |= reached[a][k] & reached[k][b];
    for (int a = 0; a < TASKS; a++)
      has_cycle |= reached[a][a];
    CHECK_EQ(astrum_graph_freeze(graph), has_cycle ? ASTRUM_ECYCLE : ASTRUM_OK);
    const astrum_task *tasks;
    size_t size = astrum_graph_cycle(graph, &tasks);
    CHECK_EQ(size > 0, has_cycle);
    int seen[TASKS] = {0};
    for (size_t i = 0; i < size; i++) {
      CHECK(joined[tasks[(i + size - 1) % size].id][tasks[i].id]);
      CHECK_EQ(seen[tasks[i].id]++, 0);
      CHECK(tasks[0].id <= tasks[i].id);
    }
    cycles += has_cycle;
    astrum_graph_free(graph);
  }
  CHECK(cycles > 100 && cycles < 400);
}

/* --- size */

enum { CHAIN = 200000, SMALL_STACK = 128 * 1024 };

static void *walk_long_chain(void *unused) {
  (void)unused;
  astrum_graph *graph = numbered_graph(CHAIN);
  for (uint32_t i = 1; i < CHAIN; i++)
    edge(graph, i - 1, i);
  edge(graph, CHAIN - 1, 0);
  CHECK_EQ(astrum_graph_freeze(graph), ASTRUM_ECYCLE);
  const astrum_task *tasks;
  CHECK_EQ(astrum_graph_cycle(graph, &tasks), CHAIN);
  CHECK_EQ(tasks[0].id, 0);
  CHECK_EQ(tasks[CHAIN - 1].id, CHAIN - 1);
  astrum_graph_free(graph);

  graph = numbered_graph(CHAIN);
  for (uint32_t i = CHAIN - 1; i > 0; i--)
    edge(graph, i, i - 1);
  CHECK_EQ(astrum_graph_freeze(graph), ASTRUM_OK);
  CHECK_EQ(astrum_graph_edge_count(graph), CHAIN - 1);
  astrum_graph_free(graph);
  return NULL;
}

TEST(a_long_chain_needs_no_deep_stack) {
  pthread_attr_t small;
  pthread_t thread;
  pthread_attr_init(&small);
  CHECK_EQ(pthread_attr_setstacksize(&small, SMALL_STACK), 0);
  CHECK_EQ(pthread_create(&thread, &small, walk_long_chain, NULL), 0);
  pthread_join(thread, NULL);
  pthread_attr_destroy(&small);
}

TEST(a_frozen_graph_takes_60_bytes_a_task_besides_names_and_edges) {
  enum { TASKS = 100000, EDGES_PER_TASK = 3 };
  fault_state fault = fault_none();
  astrum_alloc alloc = fault_allocator(&fault);
  astrum_graph *graph;
  CHECK_EQ(astrum_graph_new(&alloc, &graph), ASTRUM_OK);
  size_t names = 0;
  uint64_t random = 1;
  for (uint32_t i = 0; i < TASKS; i++) {
    char name[16];
    astrum_task task;
    snprintf(name, sizeof name, "task_%06u", (unsigned)i);
    names += strlen(name);
    CHECK_EQ(astrum_graph_add(graph, name, strlen(name), NULL, &task),
             ASTRUM_OK);
    for (int k = 0; i > 0 && k < EDGES_PER_TASK; k++)
      edge(graph, next_random(&random) % i, i);
  }
  CHECK_EQ(astrum_graph_freeze(graph), ASTRUM_OK);
  size_t edges = 2 * sizeof(astrum_task) * astrum_graph_edge_count(graph);
  CHECK(fault.live - names - edges <= 60 * (size_t)TASKS);
  CHECK(fault.count < 150);
  astrum_graph_free(graph);
  CHECK_EQ(fault.live, 0);
  CHECK_EQ(fault.wrong_size, 0);
}

/* --- memory */

/* Does a step that fails for want of memory again, which must do it. */
#define INSIST(expression)                                                     \
  do {                                                                         \
    size_t failed_before = fault.failed;                                       \
    astrum_err first_try = (expression);                                       \
    CHECK_EQ(first_try == ASTRUM_ENOMEM, fault.failed > failed_before);        \
    if (first_try == ASTRUM_ENOMEM) {                                          \
      fault_pause(&fault, 1);                                                  \
      CHECK_EQ(expression, ASTRUM_OK);                                         \
      fault_pause(&fault, 0);                                                  \
    }                                                                          \
  } while (0)

TEST(each_step_that_had_no_memory_can_be_done_again) {
  FAULT_SWEEP(fault) {
    astrum_alloc alloc = fault_allocator(&fault);
    astrum_graph *graph = NULL;
    INSIST(astrum_graph_new(&alloc, &graph));
    for (uint32_t i = 0; i < 40; i++) {
      char name[ASTRUM_NAME_MAX];
      memset(name, 'n', sizeof name);
      snprintf(name, 16, "%u", (unsigned)i);
      astrum_policy policy = ASTRUM_POLICY_INIT;
      policy.max_retries = i / 2;
      astrum_task task = {ASTRUM_NO_TASK};
      INSIST(astrum_graph_add(graph, name, 30 * i / 2, &policy, &task));
      CHECK_EQ(task.id, i);
      CHECK_EQ(astrum_graph_policy(graph, task)->max_retries, i / 2);
      if (i > 1) {
        INSIST(edge(graph, i - 1, i));
        INSIST(edge(graph, i / 2, i));
      }
    }
    /* What finds no memory to become smaller stays as it is. */
    if (astrum_graph_freeze(graph) == ASTRUM_ENOMEM)
      CHECK(fault.failed > 0);
    fault_pause(&fault, 1);
    CHECK_EQ(astrum_graph_freeze(graph), ASTRUM_OK);
    fault_pause(&fault, 0);
    CHECK_EQ(astrum_graph_task_count(graph), 40);
    CHECK_EQ(astrum__graph_policy_count(graph), 20);
    CHECK_EQ(astrum_graph_edge_count(graph), 38 + 37);
    CHECK_STR(upstream(graph, 30), "29 15");
    CHECK_STR(downstream(graph, 7), "8 14 15");
    astrum_graph_free(graph);
  }
}

TEST(a_graph_that_could_not_be_frozen_stays_as_it_was) {
  FAULT_SWEEP(fault) {
    astrum_alloc alloc = fault_allocator(&fault);
    astrum_graph *graph;
    fault_pause(&fault, 1);
    CHECK_EQ(astrum_graph_new(&alloc, &graph), ASTRUM_OK);
    for (int i = 0; i < 3; i++)
      add(graph, (const char *[]){"a", "b", "c"}[i]);
    edge(graph, 0, 1);
    edge(graph, 1, 0);
    CHECK_EQ(astrum_graph_freeze(graph), ASTRUM_ECYCLE);
    size_t live = fault.live;
    fault.count = 0;
    fault_pause(&fault, 0);
    astrum_err err = astrum_graph_freeze(graph);
    CHECK_EQ(err, fault.failed > 0 ? ASTRUM_ENOMEM : ASTRUM_ECYCLE);
    CHECK_EQ(fault.live, live);
    CHECK_EQ(astrum_graph_frozen(graph), 0);
    CHECK_STR(cycle(graph), "0 1");
    CHECK_EQ(edge(graph, 0, 2), ASTRUM_OK);
    astrum_graph_free(graph);
  }
}

TEST_MAIN(
    TEST_ENTRY(tasks_are_numbered_in_the_order_of_declaration),
    TEST_ENTRY(a_task_is_found_by_its_name),
    TEST_ENTRY(a_second_task_of_the_same_name_is_refused),
    TEST_ENTRY(a_name_with_nul_bytes_is_one_name),
    TEST_ENTRY(a_name_of_more_than_1024_bytes_is_refused),
    TEST_ENTRY(names_and_policies_stay_where_they_are),
    TEST_ENTRY(what_is_not_a_task_of_the_graph_has_no_name_and_no_policy),
    TEST_ENTRY(tasks_have_a_limit),
    TEST_ENTRY(tasks_and_edges_that_have_room_take_memory_for_names_only),
    TEST_ENTRY(room_for_more_than_there_can_be_is_refused),
    TEST_ENTRY(a_graph_that_gets_no_more_room_stays_as_it_was),
    TEST_ENTRY(a_task_without_a_policy_has_all_defaults),
    TEST_ENTRY(a_policy_is_kept_as_it_was_given),
    TEST_ENTRY(equal_policies_are_stored_once_and_others_apart),
    TEST_ENTRY(a_task_may_want_units_of_many_pools_but_not_of_any_number),
    TEST_ENTRY(a_policy_that_makes_no_sense_is_refused),
    TEST_ENTRY(a_thousand_different_policies_are_all_kept),
    TEST_ENTRY(
        upstream_comes_in_the_order_of_edges_and_downstream_of_declaration),
    TEST_ENTRY(an_edge_given_many_times_counts_once),
    TEST_ENTRY(an_edge_joins_tasks_of_the_graph),
    TEST_ENTRY(edges_have_a_limit), TEST_ENTRY(an_open_graph_shows_no_edges),
    TEST_ENTRY(what_is_not_a_task_of_the_graph_has_no_neighbours),
    TEST_ENTRY(a_frozen_graph_cannot_be_changed),
    TEST_ENTRY(freezing_again_does_nothing),
    TEST_ENTRY(a_graph_without_tasks_can_be_frozen),
    TEST_ENTRY(freeing_no_graph_is_allowed),
    TEST_ENTRY(a_task_that_waits_for_a_detached_one_is_refused),
    TEST_ENTRY(a_detached_task_may_wait_for_others),
    TEST_ENTRY(a_task_that_waits_for_itself_is_a_cycle_of_one),
    TEST_ENTRY(a_cycle_begins_with_its_earliest_task_and_runs_forward),
    TEST_ENTRY(a_graph_with_a_cycle_stays_open),
    TEST_ENTRY(what_is_called_a_cycle_in_random_graphs_is_one),
    TEST_ENTRY(a_long_chain_needs_no_deep_stack),
    TEST_ENTRY(a_frozen_graph_takes_60_bytes_a_task_besides_names_and_edges),
    TEST_ENTRY(each_step_that_had_no_memory_can_be_done_again),
    TEST_ENTRY(a_graph_that_could_not_be_frozen_stays_as_it_was))
