#include "shapes.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

void *bench_alloc(size_t size) {
  void *memory = malloc(size ? size : 1);
  if (!memory) {
    fprintf(stderr, "bench: not enough memory\n");
    exit(1);
  }
  return memory;
}

static uint64_t read_clock(clockid_t clock) {
  struct timespec ts;
  clock_gettime(clock, &ts);
  return (uint64_t)ts.tv_sec * UINT64_C(1000000000) + (uint64_t)ts.tv_nsec;
}

uint64_t bench_clock(void) { return read_clock(CLOCK_MONOTONIC); }

uint64_t bench_cpu_time(void) { return read_clock(CLOCK_PROCESS_CPUTIME_ID); }

static uint32_t *chain(uint32_t count, uint32_t id, uint32_t *next) {
  (void)count;
  if (id > 0)
    *next++ = id - 1;
  return next;
}

static uint32_t *wide(uint32_t count, uint32_t id, uint32_t *next) {
  if (id > 0 && id + 1 < count)
    *next++ = 0;
  for (uint32_t i = 1; id + 1 == count && i + 1 < count; i++)
    *next++ = i;
  return next;
}

static uint32_t *tree(uint32_t count, uint32_t id, uint32_t *next) {
  uint64_t heap = count - 1 - id;
  for (uint64_t child = 2 * heap + 1; child <= 2 * heap + 2; child++)
    if (child < count)
      *next++ = count - 1 - (uint32_t)child;
  return next;
}

/* `count` is a square. */
static uint32_t *wave(uint32_t count, uint32_t id, uint32_t *next) {
  uint32_t side = (uint32_t)(sqrt(count) + 0.5);
  if (id % side > 0)
    *next++ = id - 1;
  if (id >= side)
    *next++ = id - side;
  return next;
}

static uint32_t *none(uint32_t count, uint32_t id, uint32_t *next) {
  (void)count;
  (void)id;
  return next;
}

/* Three draws from the layer before, repeated ones dropped. */
static uint32_t *layered(uint32_t width, uint32_t id, uint32_t *next,
                         uint32_t *random) {
  uint32_t *list = next;
  for (int draw = 0; id >= width && draw < 3; draw++) {
    *random = (*random * UINT32_C(1103515245) + 12345) & UINT32_C(0x7fffffff);
    uint32_t before = (id / width - 1) * width + (*random >> 8) % width;
    int repeated = 0;
    for (uint32_t *d = list; d < next; d++)
      repeated |= *d == before;
    if (!repeated)
      *next++ = before;
  }
  return next;
}

bench_shape bench_make_shape(const char *name, uint32_t count) {
  static const struct {
    const char *name;
    uint32_t *(*deps)(uint32_t count, uint32_t id, uint32_t *next);
  } simple[] = {{"chain", chain},
                {"wide", wide},
                {"tree", tree},
                {"wave", wave},
                {"sleepers", none}};
  bench_shape shape = {0, NULL, NULL, NULL};
  int is_layered = strcmp(name, "layered") == 0;
  uint32_t width = count < 1000 ? 10 : 100;
  uint32_t *(*deps)(uint32_t, uint32_t, uint32_t *) = NULL;
  for (size_t i = 0; i < sizeof simple / sizeof *simple; i++)
    if (strcmp(name, simple[i].name) == 0)
      deps = simple[i].deps;
  if (!deps && !is_layered)
    return shape;
  if (is_layered)
    count = count / width * width;
  if (deps == wave) {
    uint32_t side = (uint32_t)sqrt(count);
    count = side * side;
  }
  shape.count = count;
  shape.first = bench_alloc(((size_t)count + 1) * sizeof *shape.first);
  shape.deps = bench_alloc((size_t)count * 3 * sizeof *shape.deps);
  uint32_t *next = shape.deps, random = 12345;
  for (uint32_t id = 0; id < count; id++) {
    shape.first[id] = (size_t)(next - shape.deps);
    next =
        is_layered ? layered(width, id, next, &random) : deps(count, id, next);
  }
  shape.first[count] = (size_t)(next - shape.deps);
  shape.names = bench_alloc((size_t)count * sizeof *shape.names);
  for (uint32_t id = 0; id < count; id++) {
    bench_name *named = &shape.names[id];
    named->size =
        (uint8_t)snprintf(named->text, sizeof named->text, "t%" PRIu32, id);
  }
  return shape;
}

void bench_free_shape(bench_shape *shape) {
  free(shape->first);
  free(shape->deps);
  free(shape->names);
}

int64_t bench_add(const int64_t *inputs, size_t count) {
  int64_t sum = 1;
  for (size_t i = 0; i < count; i++)
    sum += inputs[i];
  return sum & BENCH_MASK;
}
