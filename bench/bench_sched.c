/*
 * What the core costs per task: building a graph, running it through the
 * scheduler alone, and running it as a flow of C functions.
 *
 *   bench_sched [tasks] [rounds]     default 1000000 5; medians are printed
 *
 *   build    tasks with names, edges, freeze
 *   open     the run's memory
 *   untimed  begin to end, a counter for a clock
 *   timed    the same, the clock read once a task
 *   flow     astrum_flow_run, open included; each task returns
 *            (1 + the sum of its inputs) & 1048575, the checksum sums these up
 */
#include <astrum.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

typedef struct {
  size_t live, peak;
} usage;

typedef struct {
  const char *name;
  void (*edges)(astrum_graph *graph, uint32_t count);
} shape;

enum { BUILD, OPEN, UNTIMED, TIMED, FLOW, FIGURES };

#define ROUNDS_MAX 99

static void *count_bytes(void *user, void *ptr, size_t old_size,
                         size_t new_size) {
  usage *u = user;
  void *moved = NULL;
  if (new_size == 0)
    free(ptr);
  else if (!(moved = realloc(ptr, new_size)))
    return NULL;
  u->live = u->live - old_size + new_size;
  if (u->live > u->peak)
    u->peak = u->live;
  return moved;
}

static void must(astrum_err err) {
  if (err) {
    fprintf(stderr, "bench_sched: %s\n", astrum_strerror(err));
    exit(1);
  }
}

static uint64_t clock_now(void) {
  struct timespec ts;
  clock_gettime(CLOCK_MONOTONIC, &ts);
  return (uint64_t)ts.tv_sec * UINT64_C(1000000000) + (uint64_t)ts.tv_nsec;
}

/* --- shapes */

static void edge(astrum_graph *graph, uint32_t before, uint32_t after) {
  must(astrum_graph_edge(graph, (astrum_task){before}, (astrum_task){after}));
}

static void chain(astrum_graph *graph, uint32_t count) {
  for (uint32_t i = 1; i < count; i++)
    edge(graph, i - 1, i);
}

static void wide(astrum_graph *graph, uint32_t count) {
  for (uint32_t i = 1; i + 1 < count; i++)
    edge(graph, 0, i);
  for (uint32_t i = 1; i + 1 < count; i++)
    edge(graph, i, count - 1);
}

static void layered(astrum_graph *graph, uint32_t count) {
  uint32_t width = count < 1000 ? 10 : 100;
  uint32_t x = 12345;
  for (uint32_t i = width; i < count / width * width; i++) {
    for (int draw = 0; draw < 3; draw++) {
      x = (x * UINT32_C(1103515245) + 12345) & UINT32_C(0x7fffffff);
      edge(graph, (i / width - 1) * width + (x >> 8) % width, i);
    }
  }
}

static astrum_graph *build(const shape *s, uint32_t count, usage *u) {
  astrum_alloc alloc = {count_bytes, u};
  astrum_graph *graph;
  must(astrum_graph_new(&alloc, &graph));
  for (uint32_t i = 0; i < count; i++) {
    char name[16];
    astrum_task task;
    int size = snprintf(name, sizeof name, "t%" PRIu32, i);
    must(astrum_graph_add(graph, name, (size_t)size, NULL, &task));
  }
  s->edges(graph, count);
  must(astrum_graph_freeze(graph));
  return graph;
}

/* --- running */

/* Returns the time that opening the run took; `*spent` is that of running. */
static uint64_t run_sched(const astrum_graph *graph, usage *u, int timed,
                          uint64_t *spent) {
  astrum_alloc alloc = {count_bytes, u};
  astrum_sched *sched;
  astrum_run run;
  uint64_t before = clock_now();
  must(astrum_sched_new(&alloc, &sched));
  must(astrum_sched_open(sched, graph, NULL, &run));
  uint64_t opened = clock_now();
  uint64_t now = timed ? opened : 0;
  must(astrum_sched_begin(sched, run, now));
  astrum_action action;
  while (astrum_sched_next(sched, now, &action, 1) > 0) {
    if (action.kind != ASTRUM_START)
      continue;
    now = timed ? clock_now() : now + 1;
    must(astrum_sched_finished(sched, action.ticket, ASTRUM_SUCCEEDED, now));
  }
  *spent = clock_now() - opened;
  astrum_summary summary;
  must(astrum_sched_summary(sched, run, &summary));
  if (summary.completed != astrum_graph_task_count(graph)) {
    fprintf(stderr, "bench_sched: a run did not complete\n");
    exit(1);
  }
  astrum_sched_free(sched);
  return opened - before;
}

static int body(astrum_call *call, void *user) {
  int64_t value = 1;
  uint32_t count = astrum_call_input_count(call);
  for (uint32_t i = 0; i < count; i++)
    value += astrum_call_input(call, i).integer;
  value &= 1048575;
  *(int64_t *)user += value;
  astrum_call_return_integer(call, value);
  return ASTRUM_SUCCEEDED;
}

/* Returns the sum of all values. */
static int64_t run_flow(const astrum_graph *graph, usage *u, uint64_t *spent) {
  astrum_alloc alloc = {count_bytes, u};
  astrum_flow *flow;
  astrum_summary summary;
  int64_t sum = 0;
  must(astrum_flow_new(graph, NULL, &alloc, &flow));
  for (uint32_t i = 0; i < astrum_graph_task_count(graph); i++)
    must(astrum_flow_set(flow, (astrum_task){i}, body, &sum));
  uint64_t before = clock_now();
  must(astrum_flow_run(flow, NULL, &summary));
  *spent = clock_now() - before;
  if (summary.state != ASTRUM_COMPLETED) {
    fprintf(stderr, "bench_sched: a flow did not complete\n");
    exit(1);
  }
  astrum_flow_free(flow);
  return sum;
}

/* --- printing */

static int compare(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return x < y ? -1 : x > y;
}

static void measure(const shape *s, uint32_t count, int rounds) {
  double figures[FIGURES][ROUNDS_MAX];
  size_t peak_sched = 0, peak_flow = 0, edges = 0;
  int64_t sum = 0;
  for (int round = 0; round < rounds; round++) {
    usage u = {0, 0};
    uint64_t spent[FIGURES], before = clock_now();
    astrum_graph *graph = build(s, count, &u);
    spent[BUILD] = clock_now() - before;
    run_sched(graph, &u, 0, &spent[UNTIMED]);
    spent[OPEN] = run_sched(graph, &u, 1, &spent[TIMED]);
    peak_sched = u.peak;
    sum = run_flow(graph, &u, &spent[FLOW]);
    peak_flow = u.peak;
    for (int i = 0; i < FIGURES; i++)
      figures[i][round] = (double)spent[i] / count;
    edges = astrum_graph_edge_count(graph);
    astrum_graph_free(graph);
  }
  printf("%-8s %8" PRIu32 " %8zu", s->name, count, edges);
  for (int i = 0; i < FIGURES; i++) {
    qsort(figures[i], (size_t)rounds, sizeof figures[i][0], compare);
    printf(" %8.1f", figures[i][rounds / 2]);
  }
  printf(" %8.1f %8.1f %14" PRId64 "\n", (double)peak_sched / count,
         (double)peak_flow / count, sum);
  fflush(stdout);
}

int main(int argc, char **argv) {
  static const shape shapes[] = {
      {"chain", chain}, {"wide", wide}, {"layered", layered}};
  long count = argc > 1 ? strtol(argv[1], NULL, 10) : 1000000;
  long rounds = argc > 2 ? strtol(argv[2], NULL, 10) : 5;
  if (count < 3 || count > 100000000 || rounds < 1 || rounds > ROUNDS_MAX) {
    fprintf(stderr, "usage: bench_sched [tasks] [rounds]\n");
    return 2;
  }
  printf(
      "ns and bytes per task\n%-8s %8s %8s %8s %8s %8s %8s %8s %8s %8s %14s\n",
      "shape", "tasks", "edges", "build", "open", "untimed", "timed", "flow",
      "B sched", "B flow", "checksum");
  for (size_t i = 0; i < sizeof shapes / sizeof shapes[0]; i++)
    measure(&shapes[i], (uint32_t)count, (int)rounds);
  return 0;
}
