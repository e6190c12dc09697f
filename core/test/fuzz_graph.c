/*
 * Any bytes, read as a program that declares tasks and edges, freezes the graph
 * and asks for its plan, now and then without memory. Built with
 * -DASTRUM_FUZZ=ON, run by `make fuzz`.
 */
#include <astrum.h>

#include <stdlib.h>
#include <string.h>

enum { EDGES = 4096, TASKS = 4096 };

typedef struct {
  const uint8_t *at, *end;
  size_t live;
  unsigned until_failure; /* 0: none fails */
  uint32_t edges[EDGES][2];
  size_t edge_count;
} program;

static void must(int condition) {
  if (!condition)
    abort();
}

static unsigned next_byte(program *p) { return p->at < p->end ? *p->at++ : 0; }

static uint32_t next_number(program *p) {
  uint32_t low = next_byte(p);
  return low | next_byte(p) << 8;
}

static void *allocate(void *user, void *ptr, size_t old_size, size_t size) {
  program *p = user;
  if (size > old_size && p->until_failure > 0 && --p->until_failure == 0)
    return NULL;
  p->live += size - old_size;
  if (size == 0) {
    free(ptr);
    return NULL;
  }
  void *moved = realloc(ptr, size);
  must(moved != NULL);
  return moved;
}

static int has_edge(const program *p, astrum_task before, astrum_task after) {
  for (size_t i = 0; i < p->edge_count; i++)
    if (p->edges[i][0] == before.id && p->edges[i][1] == after.id)
      return 1;
  return 0;
}

static void add_task(program *p, astrum_graph *graph) {
  char name[8];
  size_t size = next_byte(p) % (sizeof name + 1);
  for (size_t i = 0; i < size; i++)
    name[i] = (char)next_byte(p);
  astrum_units units[2] = {{next_byte(p) % 3, next_byte(p) % 3}, {1, 1}};
  astrum_policy policy = ASTRUM_POLICY_INIT;
  unsigned flags = next_byte(p);
  policy.pools = units;
  policy.pool_count = flags & 3 ? 0 : next_byte(p) % 3;
  policy.detached = flags >> 2 & 1;
  policy.trigger = flags & 8 ? (uint8_t)next_byte(p) : 0;
  policy.backoff = flags & 16 ? (double)next_byte(p) / 64 : 0;
  uint32_t count = astrum_graph_task_count(graph);
  astrum_task task = {ASTRUM_NO_TASK}, found = {ASTRUM_NO_TASK};
  astrum_err err =
      astrum_graph_add(graph, name, size, flags & 32 ? &policy : NULL, &task);
  int is_there = astrum_graph_find(graph, name, size, &found) == ASTRUM_OK;
  must(astrum_graph_task_count(graph) == count + (err == ASTRUM_OK));
  must(is_there || (err != ASTRUM_OK && err != ASTRUM_EEXIST));
  if (err)
    return;
  size_t stored = 0;
  const char *text = astrum_graph_name(graph, task, &stored);
  must(task.id == count && found.id == task.id && stored == size);
  must(size == 0 || memcmp(text, name, size) == 0);
}

static void add_edge(program *p, astrum_graph *graph) {
  uint32_t count = astrum_graph_task_count(graph);
  astrum_task before = {next_number(p) % (count + 1)};
  astrum_task after = {next_number(p) % (count + 1)};
  astrum_err err = astrum_graph_edge(graph, before, after);
  must(err != ASTRUM_OK || (before.id < count && after.id < count));
  if (err || has_edge(p, before, after))
    return;
  p->edges[p->edge_count][0] = before.id;
  p->edges[p->edge_count][1] = after.id;
  p->edge_count++;
}

/* Each of the cycle waits for the one before it. */
static void check_cycle(const program *p, const astrum_graph *graph) {
  const astrum_task *tasks = NULL;
  size_t count = astrum_graph_cycle(graph, &tasks);
  must(count > 0);
  for (size_t i = 0; i < count; i++)
    must(has_edge(p, tasks[i], tasks[(i + 1) % count]));
}

static void check_plan(program *p, const astrum_graph *graph) {
  static astrum_task tasks[TASKS];
  const astrum_alloc alloc = {allocate, p};
  astrum_plan *plan = NULL;
  uint32_t count = astrum_graph_task_count(graph), sum = 0, length = 0;
  must(astrum_graph_edge_count(graph) == p->edge_count);
  astrum_err err = astrum_plan_new(graph, &alloc, &plan);
  if (err) {
    must(err == ASTRUM_ENOMEM && plan == NULL);
    return;
  }
  p->until_failure = 0;
  for (size_t i = 0; i < p->edge_count; i++)
    must(astrum_plan_level(plan, (astrum_task){p->edges[i][0]}) <
         astrum_plan_level(plan, (astrum_task){p->edges[i][1]}));
  uint32_t stages = astrum_plan_stage_count(plan);
  for (uint32_t stage = 0; stage < stages; stage++) {
    must(astrum_plan_stage(plan, stage, ASTRUM_STAGE_START, tasks, TASKS,
                           &length) == ASTRUM_OK);
    must(length > 0);
    sum += length;
    must(astrum_plan_stage(plan, stage, ASTRUM_STAGE_PARALLEL, tasks, TASKS,
                           &length) == ASTRUM_OK);
    must(length <= astrum_plan_max_parallelism(plan));
  }
  must(sum == count);
  must(astrum_plan_critical_path(plan, NULL, tasks, TASKS, &length, NULL) ==
       ASTRUM_OK);
  must(length == stages);
  for (uint32_t i = 1; i < length; i++)
    must(has_edge(p, tasks[i - 1], tasks[i]));
  astrum_plan_free(plan);
}

static void freeze(program *p, astrum_graph *graph) {
  astrum_err err = astrum_graph_freeze(graph);
  if (err == ASTRUM_ECYCLE)
    check_cycle(p, graph);
  else if (err == ASTRUM_OK)
    check_plan(p, graph);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size) {
  static program p;
  p.at = bytes;
  p.end = bytes + size;
  p.live = p.edge_count = 0;
  p.until_failure = 0;
  const astrum_alloc alloc = {allocate, &p};
  astrum_graph *graph = NULL;
  must(astrum_graph_new(&alloc, &graph) == ASTRUM_OK);
  while (p.at < p.end && p.edge_count < EDGES &&
         astrum_graph_task_count(graph) < TASKS) {
    switch (next_byte(&p) % 16) {
    case 0:
      freeze(&p, graph);
      break;
    case 1:
      p.until_failure = next_byte(&p) % 32;
      break;
    case 2:
    case 3:
    case 4:
    case 5:
      add_task(&p, graph);
      break;
    default:
      add_edge(&p, graph);
    }
  }
  p.until_failure = 0;
  freeze(&p, graph);
  astrum_graph_free(graph);
  must(p.live == 0);
  return 0;
}
