/* Watching descriptors from the loop. */
#include "fault.h"

#include <fcntl.h>
#include <unistd.h>

static void ignore(void *user, const astrum_action *action) {
  (void)user;
  (void)action;
}

static astrum_loop *new_loop(const astrum_alloc *alloc) {
  astrum_executor executor = {.size = sizeof executor,
                              .start = ignore,
                              .cancel = ignore,
                              .ended = ignore};
  astrum_loop_options options = {
      .size = sizeof options, .alloc = alloc, .executor = &executor};
  astrum_loop *loop = NULL;
  astrum_loop_new(&options, &loop);
  return loop;
}

static int never(void *user) {
  (void)user;
  return 0;
}

typedef struct {
  astrum_watch *watch;
  int descriptor, reads;
  char bytes[8]; /* one by one */
} reader;

static void on_readable(void *user) {
  reader *r = user;
  CHECK_EQ(read(r->descriptor, &r->bytes[r->reads], 1), 1);
  r->reads++;
}

static int has_read_three(void *user) { return ((reader *)user)->reads >= 3; }

typedef struct {
  astrum_timer timer;
  int descriptor;
} writer;

static void fire_write(astrum_timer *timer) {
  CHECK_EQ(write(((writer *)(void *)timer)->descriptor, "c", 1), 1);
}

TEST(a_descriptor_that_is_watched_is_read_while_timers_go_on) {
  astrum_loop *loop = new_loop(NULL);
  int ends[2];
  CHECK_EQ(pipe(ends), 0);
  int flags = fcntl(ends[0], F_GETFL);
  reader r = {.descriptor = ends[0]};
  CHECK_EQ(astrum_loop_watch(loop, ends[0], on_readable, &r, &r.watch),
           ASTRUM_OK);
  CHECK_EQ(fcntl(ends[0], F_GETFL), flags); /* it blocks as before */
  CHECK_EQ(write(ends[1], "ab", 2), 2);
  writer w = {.timer = {.fire = fire_write}, .descriptor = ends[1]};
  astrum_timer_start(loop, &w.timer, astrum_loop_now(loop) + 1000000);
  CHECK_EQ(astrum_loop_run(loop, has_read_three, &r), ASTRUM_OK);
  CHECK_STR(r.bytes, "abc");
  astrum_watch_stop(r.watch);
  CHECK_EQ(write(ends[1], "d", 1), 1);
  CHECK_EQ(astrum_loop_run(loop, never, NULL), ASTRUM_EIDLE);
  CHECK_EQ(r.reads, 3);
  close(ends[0]);
  close(ends[1]);
  astrum_loop_free(loop);
}

TEST(what_cannot_be_watched_is_refused) {
  astrum_loop *loop = new_loop(NULL);
  astrum_watch *watch = NULL;
  CHECK_EQ(astrum_loop_watch(loop, -1, on_readable, NULL, &watch),
           ASTRUM_EINVAL);
  CHECK_EQ(astrum_loop_watch(loop, 0, NULL, NULL, &watch), ASTRUM_EINVAL);
  int file = open("/proc/self/exe", O_RDONLY);
  CHECK_EQ(astrum_loop_watch(loop, file, on_readable, NULL, &watch),
           ASTRUM_ESYSTEM);
  close(file);
  CHECK(watch == NULL);
  astrum_watch_stop(NULL);
  astrum_loop_free(loop);
}

TEST(want_of_memory_leaves_nothing_behind) {
  FAULT_SWEEP(fault) {
    astrum_alloc alloc = fault_allocator(&fault);
    astrum_loop *loop = new_loop(&alloc);
    reader r = {0};
    if (!loop)
      continue;
    int ends[2];
    CHECK_EQ(pipe(ends), 0);
    astrum_err err =
        astrum_loop_watch(loop, ends[0], on_readable, &r, &r.watch);
    CHECK_EQ(err, fault.failed ? ASTRUM_ENOMEM : ASTRUM_OK);
    astrum_watch_stop(r.watch);
    astrum_loop_free(loop);
    close(ends[0]);
    close(ends[1]);
  }
}

TEST_MAIN(TEST_ENTRY(a_descriptor_that_is_watched_is_read_while_timers_go_on),
          TEST_ENTRY(what_cannot_be_watched_is_refused),
          TEST_ENTRY(want_of_memory_leaves_nothing_behind))
