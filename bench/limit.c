#include "shapes.h"

#include <stdlib.h>
#include <string.h>

typedef struct {
  uint64_t start, end;
} stamp;

typedef struct {
  uint32_t count;
  size_t *before_first, *after_first; /* of each task; one more behind */
  uint32_t *before, *after;           /* edges, by either end */
  uint32_t *open;                     /* inputs that are not there yet */
  bench_body *bodies;
  size_t most_inputs;
} limit_graph;

static void build(limit_graph *g, const bench_shape *shape) {
  uint32_t count = shape->count;
  size_t edges = shape->first[count];
  size_t places = ((size_t)count + 1) * sizeof(size_t);
  g->count = count;
  g->before_first = bench_alloc(places);
  g->after_first = bench_alloc(places);
  g->before = bench_alloc(edges * sizeof *g->before);
  g->after = bench_alloc(edges * sizeof *g->after);
  g->open = bench_alloc(count * sizeof *g->open);
  g->bodies = bench_alloc(count * sizeof *g->bodies);
  g->most_inputs = 0;
  memcpy(g->before_first, shape->first, places);
  memcpy(g->before, shape->deps, edges * sizeof *g->before);
  memset(g->after_first, 0, places);
  for (size_t e = 0; e < edges; e++)
    g->after_first[shape->deps[e] + 1]++;
  for (uint32_t i = 0; i < count; i++) {
    size_t inputs = shape->first[i + 1] - shape->first[i];
    g->after_first[i + 1] += g->after_first[i];
    g->open[i] = (uint32_t)inputs;
    g->bodies[i] = bench_add;
    if (inputs > g->most_inputs)
      g->most_inputs = inputs;
  }
  /* Filling moves each begin to the end of its list, one place too far. */
  for (uint32_t i = 0; i < count; i++)
    for (size_t e = shape->first[i]; e < shape->first[i + 1]; e++)
      g->after[g->after_first[shape->deps[e]]++] = i;
  memmove(g->after_first + 1, g->after_first, count * sizeof(size_t));
  g->after_first[0] = 0;
}

static void release(limit_graph *g) {
  free(g->before_first);
  free(g->after_first);
  free(g->before);
  free(g->after);
  free(g->open);
  free(g->bodies);
}

static void run(limit_graph *g, int64_t *results, uint32_t *ring,
                int64_t *inputs, stamp *stamps, int readings) {
  size_t head = 0, tail = 0;
  uint64_t now = stamps ? bench_clock() : 0;
  for (uint32_t i = 0; i < g->count; i++)
    if (g->open[i] == 0)
      ring[tail++] = i;
  while (head < tail) {
    uint32_t task = ring[head++];
    if (stamps)
      stamps[task].start = readings == 2 ? bench_clock() : now;
    size_t count = 0;
    for (size_t e = g->before_first[task]; e < g->before_first[task + 1]; e++)
      inputs[count++] = results[g->before[e]];
    results[task] = g->bodies[task](inputs, count);
    if (stamps)
      stamps[task].end = now = bench_clock();
    for (size_t e = g->after_first[task]; e < g->after_first[task + 1]; e++)
      if (--g->open[g->after[e]] == 0)
        ring[tail++] = g->after[e];
  }
}

bench_result bench_limit(const bench_shape *shape, int readings) {
  bench_result result = {0, 0, 0, 0};
  limit_graph g;
  size_t count = shape->count, edges = shape->first[count];
  uint64_t began = bench_cpu_time();
  build(&g, shape);
  int64_t *results = bench_alloc(count * sizeof *results);
  uint32_t *ring = bench_alloc(count * sizeof *ring);
  int64_t *inputs = bench_alloc((g.most_inputs + 1) * sizeof *inputs);
  stamp *stamps = readings ? bench_alloc(count * sizeof *stamps) : NULL;
  uint64_t built = bench_cpu_time();
  run(&g, results, ring, inputs, stamps, readings);
  result.run = bench_cpu_time() - built;
  result.build = built - began;
  result.bytes = 2 * (count + 1) * sizeof(size_t) +
                 2 * edges * sizeof(uint32_t) +
                 count * (2 * sizeof(uint32_t) + sizeof(bench_body)) +
                 (count + g.most_inputs + 1) * sizeof(int64_t) +
                 (readings ? count * sizeof(stamp) : 0);
  for (size_t i = 0; i < count; i++)
    result.checksum += (uint64_t)results[i];
  free(results);
  free(ring);
  free(inputs);
  free(stamps);
  release(&g);
  return result;
}
