/*
 * Plans: levels, stage lists and critical paths by hand and against slow
 * versions of their definitions, long chains, want of memory.
 */
#include "plan.h"

#include "check.h"
#include "fault.h"

#include <pthread.h>

/* A frozen graph of `count` tasks; */
static astrum_graph *make_graph(uint32_t count, const astrum__edge *edges,
                                size_t edge_count) {
  astrum_graph *graph = NULL;
  CHECK_EQ(astrum_graph_new(NULL, &graph), ASTRUM_OK);
  for (uint32_t i = 0; i < count; i++) {
    char name[16];
    astrum_task task;
    snprintf(name, sizeof name, "%u", (unsigned)i);
    CHECK_EQ(astrum_graph_add(graph, name, strlen(name), NULL, &task),
             ASTRUM_OK);
  }
  for (size_t i = 0; i < edge_count; i++)
    CHECK_EQ(astrum_graph_edge(graph, (astrum_task){edges[i].before},
                               (astrum_task){edges[i].after}),
             ASTRUM_OK);
  CHECK_EQ(astrum_graph_freeze(graph), ASTRUM_OK);
  return graph;
}

static astrum_plan *make_plan(const astrum_graph *graph) {
  astrum_plan *plan = NULL;
  CHECK_EQ(astrum_plan_new(graph, NULL, &plan), ASTRUM_OK);
  return plan;
}

static const char *ids(const astrum_task *tasks, size_t count) {
  static char text[256];
  size_t used = 0;
  text[0] = '\0';
  for (size_t i = 0; i < count && used < sizeof text - 16; i++)
    used += (size_t)snprintf(text + used, sizeof text - used, "%s%u",
                             i == 0 ? "" : " ", (unsigned)tasks[i].id);
  return text;
}

enum { ROOM = 64 };

static const char *list(const astrum_plan *plan, uint32_t stage,
                        astrum_stage_list kind) {
  astrum_task tasks[ROOM];
  uint32_t count = 0;
  CHECK_EQ(astrum_plan_stage(plan, stage, kind, tasks, ROOM, &count),
           ASTRUM_OK);
  return ids(tasks, count);
}

static const char *path(const astrum_plan *plan, const uint64_t *weights) {
  astrum_task tasks[ROOM];
  uint32_t count = 0;
  CHECK_EQ(astrum_plan_critical_path(plan, weights, tasks, ROOM, &count, NULL),
           ASTRUM_OK);
  return ids(tasks, count);
}

/*
 *   0 --> 1 --> 4        level 0: 0 2 3
 *    \         /         level 1: 1 5
 *     \   2 --+          level 2: 4
 *      +--> 5            3 stands alone
 */
static const astrum__edge sample[] = {{0, 1}, {1, 4}, {2, 4}, {0, 5}};

#define SAMPLE_PLAN                                                            \
  astrum_graph *graph = make_graph(6, sample, 4);                              \
  astrum_plan *plan = make_plan(graph);

#define END_PLAN                                                               \
  astrum_plan_free(plan);                                                      \
  astrum_graph_free(graph);

TEST(a_level_is_the_longest_path_from_an_entry) {
  SAMPLE_PLAN
  const uint32_t levels[] = {0, 1, 0, 0, 2, 1};
  for (uint32_t i = 0; i < 6; i++)
    CHECK_EQ(astrum_plan_level(plan, (astrum_task){i}), levels[i]);
  CHECK_EQ(astrum_plan_stage_count(plan), 3);
  END_PLAN
}

TEST(a_stage_starts_the_tasks_of_its_level) {
  SAMPLE_PLAN
  CHECK_STR(list(plan, 0, ASTRUM_STAGE_START), "0 2 3");
  CHECK_STR(list(plan, 1, ASTRUM_STAGE_START), "1 5");
  CHECK_STR(list(plan, 2, ASTRUM_STAGE_START), "4");
  END_PLAN
}

TEST(a_stage_waits_for_the_dependencies_of_its_tasks) {
  SAMPLE_PLAN
  CHECK_STR(list(plan, 0, ASTRUM_STAGE_WAIT_FOR), "");
  CHECK_STR(list(plan, 1, ASTRUM_STAGE_WAIT_FOR), "0");
  CHECK_STR(list(plan, 2, ASTRUM_STAGE_WAIT_FOR), "1 2");
  END_PLAN
}

TEST(parallel_are_tasks_that_nobody_waits_for_yet_then_those_of_the_stage) {
  SAMPLE_PLAN
  CHECK_STR(list(plan, 0, ASTRUM_STAGE_PARALLEL), "0 2 3");
  CHECK_STR(list(plan, 1, ASTRUM_STAGE_PARALLEL), "2 3 1 5");
  CHECK_STR(list(plan, 2, ASTRUM_STAGE_PARALLEL), "3 5 4");
  CHECK_EQ(astrum_plan_max_parallelism(plan), 4);
  END_PLAN
}

TEST(a_list_writes_what_has_room_and_counts_all) {
  SAMPLE_PLAN
  const uint32_t lengths[] = {1, 2, 3}, firsts[] = {4, 1, 3};
  for (int kind = ASTRUM_STAGE_START; kind <= ASTRUM_STAGE_PARALLEL; kind++) {
    astrum_task tasks[2] = {{77}, {78}};
    uint32_t count = 0;
    CHECK_EQ(
        astrum_plan_stage(plan, 2, (astrum_stage_list)kind, tasks, 1, &count),
        ASTRUM_OK);
    CHECK_EQ(count, lengths[kind]);
    CHECK_EQ(tasks[0].id, firsts[kind]);
    CHECK_EQ(tasks[1].id, 78);
    CHECK_EQ(
        astrum_plan_stage(plan, 2, (astrum_stage_list)kind, NULL, 0, &count),
        ASTRUM_OK);
    CHECK_EQ(count, lengths[kind]);
  }
  END_PLAN
}

TEST(a_stage_that_is_not_there_is_refused) {
  SAMPLE_PLAN
  uint32_t count = 77;
  CHECK_EQ(astrum_plan_stage(plan, 3, ASTRUM_STAGE_START, NULL, 0, &count),
           ASTRUM_EINVAL);
  CHECK_EQ(astrum_plan_stage(plan, 0, (astrum_stage_list)3, NULL, 0, &count),
           ASTRUM_EINVAL);
  CHECK_EQ(count, 77);
  END_PLAN
}

TEST(the_critical_path_is_the_longest_one) {
  SAMPLE_PLAN
  CHECK_STR(path(plan, NULL), "0 1 4");
  END_PLAN
}

TEST(the_critical_path_follows_the_weights) {
  SAMPLE_PLAN
  const uint64_t two[] = {1, 1, 9, 1, 1, 1};
  CHECK_STR(path(plan, two), "2 4");
  const uint64_t alone[] = {1, 1, 1, 90, 1, 1};
  CHECK_STR(path(plan, alone), "3");
  END_PLAN
}

TEST(of_several_critical_paths_the_earliest_declared_is_taken) {
  SAMPLE_PLAN
  const uint64_t ends[] = {5, 2, 1, 1, 0, 2};
  CHECK_STR(path(plan, ends), "0 1 4");
  const uint64_t entries[] = {1, 1, 2, 3, 1, 1};
  CHECK_STR(path(plan, entries), "0 1 4");
  const uint64_t nothing[] = {0, 0, 0, 0, 0, 0};
  CHECK_STR(path(plan, nothing), "0 1 4");
  END_PLAN
}

TEST(the_critical_path_comes_with_its_sum) {
  SAMPLE_PLAN
  const uint64_t weights[] = {1, 2, 5, 4, 10, 6};
  uint32_t count;
  uint64_t total;
  CHECK_EQ(astrum_plan_critical_path(plan, NULL, NULL, 0, &count, &total),
           ASTRUM_OK);
  CHECK_EQ(count, 3);
  CHECK_EQ(total, 3);
  astrum_task tasks[2] = {{77}, {78}};
  CHECK_EQ(astrum_plan_critical_path(plan, weights, tasks, 1, &count, &total),
           ASTRUM_OK);
  CHECK_EQ(count, 2);
  CHECK_EQ(total, 15);
  CHECK_EQ(tasks[0].id, 2);
  CHECK_EQ(tasks[1].id, 78);
  END_PLAN
}

TEST(sums_of_a_critical_path_are_clamped) {
  SAMPLE_PLAN
  const uint64_t weights[] = {UINT64_MAX, UINT64_MAX, 1, 1, 1, 1};
  uint32_t count;
  uint64_t total;
  CHECK_EQ(astrum_plan_critical_path(plan, weights, NULL, 0, &count, &total),
           ASTRUM_OK);
  CHECK_EQ(count, 3);
  CHECK(total == UINT64_MAX);
  END_PLAN
}

TEST(a_plan_of_nothing_is_empty) {
  astrum_graph *graph = make_graph(0, NULL, 0);
  astrum_plan *plan = make_plan(graph);
  uint32_t count = 77;
  uint64_t total = 77;
  CHECK_EQ(astrum_plan_stage_count(plan), 0);
  CHECK_EQ(astrum_plan_max_parallelism(plan), 0);
  CHECK_EQ(astrum_plan_level(plan, (astrum_task){0}), 0);
  CHECK_EQ(astrum_plan_stage(plan, 0, ASTRUM_STAGE_START, NULL, 0, &count),
           ASTRUM_EINVAL);
  CHECK_EQ(astrum_plan_critical_path(plan, NULL, NULL, 0, &count, &total),
           ASTRUM_OK);
  CHECK_EQ(count, 0);
  CHECK_EQ(total, 0);
  END_PLAN
}

TEST(a_plan_needs_a_frozen_graph) {
  astrum_graph *graph;
  astrum_plan *plan = NULL;
  CHECK_EQ(astrum_graph_new(NULL, &graph), ASTRUM_OK);
  CHECK_EQ(astrum_plan_new(graph, NULL, &plan), ASTRUM_ENOTFROZEN);
  CHECK(plan == NULL);
  astrum_graph_free(graph);
}

TEST(freeing_no_plan_is_allowed) { astrum_plan_free(NULL); }

/* --- against the definitions */

enum { SMALL = 9 };

/* A random graph, as edges and as a matrix, whose ids are not in the order of
   the edges. */
typedef struct {
  uint32_t count;
  astrum__edge edges[SMALL * SMALL];
  size_t edge_count;
  uint8_t joined[SMALL][SMALL];
  uint64_t weights[SMALL];
} random_graph;

static uint32_t next_random(uint64_t *state) {
  *state = *state * UINT64_C(6364136223846793005) + 1442695040888963407u;
  return (uint32_t)(*state >> 33);
}

static random_graph make_random(uint64_t *random) {
  random_graph made = {.count = next_random(random) % SMALL + 1};
  uint32_t names[SMALL] = {0};
  for (uint32_t i = 0; i < made.count; i++) {
    uint32_t k = next_random(random) % (i + 1);
    names[i] = names[k];
    names[k] = i;
    made.weights[i] = next_random(random) % 4;
  }
  uint32_t density = next_random(random) % 100;
  for (uint32_t a = 0; a < made.count; a++)
    for (uint32_t b = a + 1; b < made.count; b++)
      if (next_random(random) % 100 < density) {
        made.joined[names[a]][names[b]] = 1;
        made.edges[made.edge_count++] = (astrum__edge){names[a], names[b]};
      }
  return made;
}

static void slow_levels(const random_graph *g, uint32_t *level) {
  memset(level, 0, SMALL * sizeof *level);
  for (uint32_t round = 0; round < g->count; round++)
    for (uint32_t a = 0; a < g->count; a++)
      for (uint32_t b = 0; b < g->count; b++)
        if (g->joined[a][b] && level[b] < level[a] + 1)
          level[b] = level[a] + 1;
}

/* Whether a task of a level up to `stage` waits for `task`. */
static int is_waited_for(const random_graph *g, const uint32_t *level,
                         uint32_t task, uint32_t stage) {
  for (uint32_t b = 0; b < g->count; b++)
    if (g->joined[task][b] && level[b] <= stage)
      return 1;
  return 0;
}

/* Whether a task of exactly this level waits for `task`. */
static int stage_waits_for(const random_graph *g, const uint32_t *level,
                           uint32_t task, uint32_t stage) {
  for (uint32_t b = 0; b < g->count; b++)
    if (g->joined[task][b] && level[b] == stage)
      return 1;
  return 0;
}

static uint32_t slow_list(const random_graph *g, const uint32_t *level,
                          uint32_t stage, astrum_stage_list kind,
                          astrum_task *tasks) {
  uint32_t n = 0;
  for (uint32_t i = 0; i < g->count; i++)
    if ((kind == ASTRUM_STAGE_START && level[i] == stage) ||
        (kind == ASTRUM_STAGE_WAIT_FOR &&
         stage_waits_for(g, level, i, stage)) ||
        (kind == ASTRUM_STAGE_PARALLEL && level[i] < stage &&
         !is_waited_for(g, level, i, stage)))
      tasks[n++].id = i;
  for (uint32_t i = 0; kind == ASTRUM_STAGE_PARALLEL && i < g->count; i++)
    if (level[i] == stage)
      tasks[n++].id = i;
  return n;
}

TEST(stages_of_random_graphs_are_what_the_definitions_say) {
  uint64_t random = 7;
  for (int round = 0; round < 500; round++) {
    random_graph g = make_random(&random);
    uint32_t level[SMALL], stages = 0, most = 0;
    slow_levels(&g, level);
    astrum_graph *graph = make_graph(g.count, g.edges, g.edge_count);
    astrum_plan *plan = make_plan(graph);
    for (uint32_t i = 0; i < g.count; i++) {
      CHECK_EQ(astrum_plan_level(plan, (astrum_task){i}), level[i]);
      stages = level[i] + 1 > stages ? level[i] + 1 : stages;
    }
    CHECK_EQ(astrum_plan_stage_count(plan), stages);
    for (uint32_t stage = 0; stage < stages; stage++)
      for (int kind = 0; kind <= ASTRUM_STAGE_PARALLEL; kind++) {
        astrum_task tasks[SMALL];
        uint32_t n =
            slow_list(&g, level, stage, (astrum_stage_list)kind, tasks);
        char expected[64];
        snprintf(expected, sizeof expected, "%s", ids(tasks, n));
        CHECK_STR(list(plan, stage, (astrum_stage_list)kind), expected);
        if (kind == ASTRUM_STAGE_PARALLEL && n > most)
          most = n;
      }
    CHECK_EQ(astrum_plan_max_parallelism(plan), most);
    END_PLAN
  }
}

typedef struct {
  astrum_task tasks[SMALL];
  uint32_t count;
  uint64_t sum;
} found_path;

/* Tries all paths on from the end of `now`; tasks in order, so the first of
   several best ones is the earliest declared. */
static void slow_path(const random_graph *g, const uint64_t *weights,
                      found_path now, found_path *best) {
  int ends = 1;
  for (uint32_t b = 0; b < g->count; b++)
    if (g->joined[now.tasks[now.count - 1].id][b]) {
      found_path longer = now;
      longer.tasks[longer.count++].id = b;
      longer.sum += weights[b];
      slow_path(g, weights, longer, best);
      ends = 0;
    }
  if (ends && (best->count == 0 || now.sum > best->sum))
    *best = now;
}

TEST(critical_paths_of_random_graphs_are_the_earliest_best_of_all_paths) {
  uint64_t random = 11;
  const uint64_t ones[SMALL] = {1, 1, 1, 1, 1, 1, 1, 1, 1};
  for (int round = 0; round < 500; round++) {
    random_graph g = make_random(&random);
    const uint64_t *weights = round % 2 == 0 ? g.weights : ones;
    found_path best = {.count = 0};
    for (uint32_t i = 0; i < g.count; i++) {
      int waits = 0;
      for (uint32_t a = 0; a < g.count; a++)
        waits |= g.joined[a][i];
      found_path start = {.tasks = {{i}}, .count = 1, .sum = weights[i]};
      if (!waits)
        slow_path(&g, weights, start, &best);
    }
    astrum_graph *graph = make_graph(g.count, g.edges, g.edge_count);
    astrum_plan *plan = make_plan(graph);
    char expected[64];
    snprintf(expected, sizeof expected, "%s", ids(best.tasks, best.count));
    CHECK_STR(path(plan, round % 2 == 0 ? weights : NULL), expected);
    uint32_t count;
    uint64_t total;
    CHECK_EQ(astrum_plan_critical_path(plan, weights, NULL, 0, &count, &total),
             ASTRUM_OK);
    CHECK_EQ(total, best.sum);
    END_PLAN
  }
}

/* --- size and memory */

enum { CHAIN = 200000, SMALL_STACK = 128 * 1024 };

static void *plan_long_chain(void *unused) {
  (void)unused;
  astrum__edge *edges = calloc(CHAIN, sizeof *edges);
  /* Declared backwards, with a task that stands alone at the end. */
  for (uint32_t i = 0; i < CHAIN - 2; i++)
    edges[i] = (astrum__edge){.before = i + 1, .after = i};
  astrum_graph *graph = make_graph(CHAIN, edges, CHAIN - 2);
  astrum_plan *plan = make_plan(graph);
  free(edges);
  CHECK_EQ(astrum_plan_stage_count(plan), CHAIN - 1);
  CHECK_EQ(astrum_plan_level(plan, (astrum_task){0}), CHAIN - 2);
  CHECK_EQ(astrum_plan_max_parallelism(plan), 2);
  uint32_t count = 0;
  CHECK_EQ(astrum_plan_critical_path(plan, NULL, NULL, 0, &count, NULL),
           ASTRUM_OK);
  CHECK_EQ(count, CHAIN - 1);
  uint32_t right = 0;
  for (uint32_t i = 0; i < CHAIN - 1; i++) {
    astrum_task tasks[2];
    astrum_plan_stage(plan, i, ASTRUM_STAGE_PARALLEL, tasks, 2, &count);
    right += count == 2 && tasks[i == 0].id == CHAIN - 1 &&
             tasks[i > 0].id == CHAIN - 2 - i;
    astrum_plan_stage(plan, i, ASTRUM_STAGE_WAIT_FOR, tasks, 2, &count);
    right += i == 0 ? count == 0 : count == 1 && tasks[0].id == CHAIN - 1 - i;
  }
  CHECK_EQ(right, 2 * (CHAIN - 1));
  END_PLAN
  return NULL;
}

TEST(all_stages_of_a_long_chain_need_little_time_and_stack) {
  pthread_attr_t small;
  pthread_t thread;
  pthread_attr_init(&small);
  CHECK_EQ(pthread_attr_setstacksize(&small, SMALL_STACK), 0);
  CHECK_EQ(pthread_create(&thread, &small, plan_long_chain, NULL), 0);
  pthread_join(thread, NULL);
  pthread_attr_destroy(&small);
}

TEST(want_of_memory_makes_no_plan_or_leaves_it_as_it_was) {
  astrum_graph *graph = make_graph(6, sample, 4);
  FAULT_SWEEP(fault) {
    astrum_alloc alloc = fault_allocator(&fault);
    astrum_plan *plan = NULL;
    astrum_err err = astrum_plan_new(graph, &alloc, &plan);
    CHECK_EQ(err, fault.failed > 0 ? ASTRUM_ENOMEM : ASTRUM_OK);
    CHECK_EQ(plan == NULL, err == ASTRUM_ENOMEM);
    if (plan == NULL)
      continue;
    size_t live = fault.live;
    for (int call = 0; call < 4; call++) {
      astrum_task tasks[ROOM];
      uint32_t count = 77;
      size_t failed = fault.failed;
      tasks[0].id = 78;
      err = call < 3 ? astrum_plan_stage(plan, 1, (astrum_stage_list)call,
                                         tasks, ROOM, &count)
                     : astrum_plan_critical_path(plan, NULL, tasks, ROOM,
                                                 &count, NULL);
      CHECK_EQ(err, fault.failed > failed ? ASTRUM_ENOMEM : ASTRUM_OK);
      CHECK_EQ(count == 77, err != ASTRUM_OK);
      CHECK_EQ(tasks[0].id == 78, err != ASTRUM_OK);
      CHECK_EQ(fault.live, live);
    }
    astrum_plan_free(plan);
  }
  astrum_graph_free(graph);
}

TEST_MAIN(
    TEST_ENTRY(a_level_is_the_longest_path_from_an_entry),
    TEST_ENTRY(a_stage_starts_the_tasks_of_its_level),
    TEST_ENTRY(a_stage_waits_for_the_dependencies_of_its_tasks),
    TEST_ENTRY(
        parallel_are_tasks_that_nobody_waits_for_yet_then_those_of_the_stage),
    TEST_ENTRY(a_list_writes_what_has_room_and_counts_all),
    TEST_ENTRY(a_stage_that_is_not_there_is_refused),
    TEST_ENTRY(the_critical_path_is_the_longest_one),
    TEST_ENTRY(the_critical_path_follows_the_weights),
    TEST_ENTRY(of_several_critical_paths_the_earliest_declared_is_taken),
    TEST_ENTRY(the_critical_path_comes_with_its_sum),
    TEST_ENTRY(sums_of_a_critical_path_are_clamped),
    TEST_ENTRY(a_plan_of_nothing_is_empty),
    TEST_ENTRY(a_plan_needs_a_frozen_graph),
    TEST_ENTRY(freeing_no_plan_is_allowed),
    TEST_ENTRY(stages_of_random_graphs_are_what_the_definitions_say),
    TEST_ENTRY(
        critical_paths_of_random_graphs_are_the_earliest_best_of_all_paths),
    TEST_ENTRY(all_stages_of_a_long_chain_need_little_time_and_stack),
    TEST_ENTRY(want_of_memory_makes_no_plan_or_leaves_it_as_it_was))
