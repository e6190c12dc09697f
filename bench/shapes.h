/*
 * The graphs of graphs.lua in C, and the least that running them can cost.
 */
#ifndef ASTRUM_BENCH_SHAPES_H
#define ASTRUM_BENCH_SHAPES_H

#include <stddef.h>
#include <stdint.h>

typedef struct {
  uint8_t size;
  char text[15];
} bench_name;

/* Task i waits for deps[first[i]] to deps[first[i + 1] - 1], all smaller. */
typedef struct {
  uint32_t count;
  size_t *first;
  uint32_t *deps;
  bench_name *names;
} bench_shape;

/* NULL in `deps` for an unknown name; exits without memory. */
bench_shape bench_make_shape(const char *name, uint32_t count);
void bench_free_shape(bench_shape *shape);

/* The body of all tasks: 1 and the sum of its inputs, within BENCH_MASK. */
enum { BENCH_MASK = 1048575 };
typedef int64_t (*bench_body)(const int64_t *inputs, size_t count);
int64_t bench_add(const int64_t *inputs, size_t count);

uint64_t bench_clock(void);    /* monotonic, ns */
uint64_t bench_cpu_time(void); /* of this process, ns */
void *bench_alloc(size_t size);

/* What a contender did: ns for all tasks, peak bytes, sum of all values. */
typedef struct {
  uint64_t build, run;
  size_t bytes;
  uint64_t checksum;
} bench_result;

/* The limit: ids, flat arrays, one counter a task, a ring of ready tasks, and
   the body called through a pointer. With `readings` begin and end of a task
   are kept: 1: the clock is read when it ends, which is when the next begins;
   2: when it begins, too. */
bench_result bench_limit(const bench_shape *shape, int readings);

#endif
