/*
 * C tasks: the core and the limit of shapes.h in turn, in one process. Run by
 * main.lua.
 *
 *   bench_sched SHAPE TASKS ROUNDS [CONTENDER]
 *
 * Prints for each round and contender: its name, ns a task to build and to
 * run, peak bytes a task, the checksum.
 *
 *   limit          see shapes.h
 *   limit stamped  the same with two times kept for each task, both read
 *   limit stamped once  the same, the clock read once a task
 *   sched          the graph with names; begin to end of a run through the
 *                  scheduler alone, which says what to call next; a counter
 *                  for a clock
 *   sched stamped  the same, the clock read once a task
 *   flow           the same graph as a flow of C functions
 */
#include "shapes.h"

#include <astrum.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct {
  size_t live, peak;
} usage;

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

static astrum_graph *build(const bench_shape *shape, usage *u) {
  astrum_alloc alloc = {count_bytes, u};
  astrum_graph *graph;
  must(astrum_graph_new(&alloc, &graph));
  must(astrum_graph_reserve(graph, shape->count, shape->first[shape->count]));
  for (uint32_t i = 0; i < shape->count; i++) {
    const bench_name *name = &shape->names[i];
    astrum_task task;
    must(astrum_graph_add(graph, name->text, name->size, NULL, &task));
    for (size_t e = shape->first[i]; e < shape->first[i + 1]; e++)
      must(astrum_graph_edge(graph, (astrum_task){shape->deps[e]}, task));
  }
  must(astrum_graph_freeze(graph));
  return graph;
}

/* By name for scripts/check-cost.sh, which counts what they do. */
bench_result bench_sched(const bench_shape *shape, int stamped);
bench_result bench_flow(const bench_shape *shape);

/* What a host keeps of each task. */
typedef struct {
  bench_body *bodies;
  int64_t *values, *inputs;
} sched_host;

static sched_host new_host(const bench_shape *shape) {
  uint32_t count = shape->count;
  sched_host h;
  h.bodies = bench_alloc(count * sizeof *h.bodies);
  h.values = bench_alloc(count * sizeof *h.values);
  h.inputs = bench_alloc(((size_t)count + 1) * sizeof *h.inputs);
  for (uint32_t i = 0; i < count; i++)
    h.bodies[i] = bench_add;
  return h;
}

static uint64_t free_host(sched_host *h, uint32_t count) {
  uint64_t sum = 0;
  for (uint32_t i = 0; i < count; i++)
    sum += (uint64_t)h->values[i];
  free(h->bodies);
  free(h->values);
  free(h->inputs);
  return sum;
}

static void call(const sched_host *h, const bench_shape *shape, uint32_t task) {
  size_t count = 0;
  for (size_t e = shape->first[task]; e < shape->first[task + 1]; e++)
    h->inputs[count++] = h->values[shape->deps[e]];
  h->values[task] = h->bodies[task](h->inputs, count);
}

bench_result bench_sched(const bench_shape *shape, int stamped) {
  bench_result result = {0, 0, 0, 0};
  usage u = {0, 0};
  astrum_alloc alloc = {count_bytes, &u};
  astrum_sched *sched;
  astrum_run run;
  uint64_t began = bench_cpu_time();
  astrum_graph *graph = build(shape, &u);
  must(astrum_sched_new(&alloc, &sched));
  sched_host host = new_host(shape);
  must(astrum_sched_open(sched, graph, NULL, &run));
  uint64_t opened = bench_cpu_time(), now = stamped ? bench_clock() : 0;
  must(astrum_sched_begin(sched, run, now));
  astrum_action action;
  while (astrum_sched_next(sched, now, &action, 1) > 0) {
    if (action.kind != ASTRUM_START)
      continue;
    call(&host, shape, action.ticket.task);
    now = stamped ? bench_clock() : now + 1;
    must(astrum_sched_finished(sched, action.ticket, ASTRUM_SUCCEEDED, now));
  }
  result.run = bench_cpu_time() - opened;
  result.build = opened - began;
  result.bytes = u.peak;
  astrum_summary summary;
  must(astrum_sched_summary(sched, run, &summary));
  if (summary.completed != shape->count) {
    fprintf(stderr, "bench_sched: a run did not complete\n");
    exit(1);
  }
  result.checksum = free_host(&host, shape->count);
  astrum_sched_free(sched);
  astrum_graph_free(graph);
  return result;
}

static int body(astrum_call *call, void *user) {
  int64_t value = 1;
  uint32_t count = astrum_call_input_count(call);
  for (uint32_t i = 0; i < count; i++)
    value += astrum_call_input(call, i).integer;
  value &= BENCH_MASK;
  *(uint64_t *)user += (uint64_t)value;
  astrum_call_return_integer(call, value);
  return ASTRUM_SUCCEEDED;
}

bench_result bench_flow(const bench_shape *shape) {
  bench_result result = {0, 0, 0, 0};
  usage u = {0, 0};
  astrum_alloc alloc = {count_bytes, &u};
  astrum_flow *flow;
  astrum_summary summary;
  uint64_t began = bench_cpu_time();
  astrum_graph *graph = build(shape, &u);
  must(astrum_flow_new(graph, NULL, &alloc, &flow));
  for (uint32_t i = 0; i < shape->count; i++)
    must(astrum_flow_set(flow, (astrum_task){i}, body, &result.checksum));
  uint64_t built = bench_cpu_time();
  must(astrum_flow_run(flow, NULL, &summary));
  result.run = bench_cpu_time() - built;
  result.build = built - began;
  result.bytes = u.peak;
  if (summary.state != ASTRUM_COMPLETED) {
    fprintf(stderr, "bench_sched: a flow did not complete\n");
    exit(1);
  }
  astrum_flow_free(flow);
  astrum_graph_free(graph);
  return result;
}

static void print(const char *name, bench_result result, uint32_t count) {
  printf("%s\t%.2f\t%.2f\t%.1f\t%" PRIu64 "\n", name,
         (double)result.build / count, (double)result.run / count,
         (double)result.bytes / count, result.checksum);
}

enum {
  LIMIT,
  LIMIT_STAMPED,
  LIMIT_STAMPED_ONCE,
  SCHED,
  SCHED_STAMPED,
  FLOW,
  CONTENDERS
};

static bench_result run(int contender, const bench_shape *shape) {
  switch (contender) {
  case LIMIT:
    return bench_limit(shape, 0);
  case LIMIT_STAMPED:
    return bench_limit(shape, 2);
  case LIMIT_STAMPED_ONCE:
    return bench_limit(shape, 1);
  case SCHED:
  case SCHED_STAMPED:
    return bench_sched(shape, contender == SCHED_STAMPED);
  default:
    return bench_flow(shape);
  }
}

int main(int argc, char **argv) {
  static const char *const names[CONTENDERS] = {
      "limit", "limit stamped", "limit stamped once",
      "sched", "sched stamped", "flow"};
  int is_right = argc == 4 || argc == 5;
  long count = is_right ? strtol(argv[2], NULL, 10) : 0;
  long rounds = is_right ? strtol(argv[3], NULL, 10) : 0;
  bench_shape shape = {0, NULL, NULL, NULL};
  if (count >= 10 && count <= 100000000 && rounds >= 1)
    shape = bench_make_shape(argv[1], (uint32_t)count);
  if (!shape.deps) {
    fprintf(stderr, "usage: bench_sched SHAPE TASKS ROUNDS [CONTENDER]\n");
    return 2;
  }
  for (long round = 0; round < rounds; round++)
    for (int i = 0; i < CONTENDERS; i++)
      if (argc == 4 || strcmp(argv[4], names[i]) == 0)
        print(names[i], run(i, &shape), shape.count);
  bench_free_shape(&shape);
  return 0;
}
