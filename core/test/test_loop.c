/*
 * The loop: it drives a scheduler, keeps time, and shares libuv with its host.
 * Timers here are a few milliseconds at most.
 */
#include "fault.h"

#include <pthread.h>
#include <sys/wait.h>
#include <unistd.h>
#include <uv.h>

static const uint64_t microsecond = 1000;
static const uint64_t millisecond = 1000000;

/* An executor that counts, and ends attempts in place unless told not to. */
typedef struct {
  astrum_loop *loop;
  int starts, cancels, done, closed, woken, changes;
  uint32_t items; /* of each map; with one too many, it fails */
  int later;      /* leave attempts open */
  int failures;   /* attempts that are to fail */
  uint8_t state;  /* of the last run that was done */
  astrum_err run; /* what astrum_loop_run said in a callback */
  astrum_ticket last;
  uv_loop_t *turned; /* by on_start, after it has cancelled the run */
  int inside;        /* on_start is on the stack */
  int overlapping;   /* callbacks that came while it was */
  int unsettled;     /* attempts that were begun since the loop was settled */
  int most_unsettled;
} host;

static int never(void *user) {
  (void)user;
  return 0;
}

static int is_closed(void *user) { return ((host *)user)->closed > 0; }
static int is_started(void *user) { return ((host *)user)->starts > 0; }
static int is_woken(void *user) { return ((host *)user)->woken > 0; }

static void on_start(void *user, const astrum_action *action) {
  host *h = user;
  h->overlapping += h->inside;
  h->starts++;
  h->unsettled++;
  h->last = action->ticket;
  h->run = astrum_loop_run(h->loop, never, NULL);
  if (h->turned) {
    astrum_loop_cancel(h->loop, (astrum_run){action->ticket.run},
                       ASTRUM_CAUSE_REQUEST);
    h->inside = 1;
    uv_run(h->turned, UV_RUN_NOWAIT);
    uv_run(h->turned, UV_RUN_DEFAULT);
    h->inside = 0;
  }
  if (h->later)
    return;
  CHECK_EQ(astrum_loop_finished(h->loop, action->ticket,
                                h->failures-- > 0 ? ASTRUM_FAILURE
                                                  : ASTRUM_SUCCEEDED),
           ASTRUM_OK);
}

static void on_cancel(void *user, const astrum_action *action) {
  host *h = user;
  h->overlapping += h->inside;
  h->cancels++;
  astrum_loop_finished(h->loop, action->ticket, ASTRUM_STOPPED);
}

static void on_ended(void *user, const astrum_action *action) {
  host *h = user;
  h->state = action->state;
  if (action->kind == ASTRUM_DONE)
    h->done++;
  else
    h->closed++;
}

static void on_expand(void *user, const astrum_action *action) {
  host *h = user;
  if (astrum_loop_expanded(h->loop, action->ticket, h->items))
    astrum_loop_finished(h->loop, action->ticket, ASTRUM_FAILURE);
}

static void on_changed(void *user, const astrum_action *action) {
  host *h = user;
  CHECK_EQ(action->kind, ASTRUM_CHANGED);
  h->changes++;
}

static void on_woken(void *user) { ((host *)user)->woken++; }

static void on_settled(void *user) {
  host *h = user;
  if (h->unsettled > h->most_unsettled)
    h->most_unsettled = h->unsettled;
  h->unsettled = 0;
}

static const astrum_executor executor = {.size = sizeof executor,
                                         .start = on_start,
                                         .expand = on_expand,
                                         .changed = on_changed,
                                         .cancel = on_cancel,
                                         .ended = on_ended,
                                         .woken = on_woken,
                                         .settled = on_settled};

static astrum_err open_host(host *h, uv_loop_t *uv, const astrum_alloc *alloc) {
  astrum_loop_options options = {.size = sizeof options,
                                 .alloc = alloc,
                                 .uv = uv,
                                 .executor = &executor,
                                 .user = h};
  *h = (host){0};
  return astrum_loop_new(&options, &h->loop);
}

static host *new_host(uv_loop_t *uv) {
  static host h;
  CHECK_EQ(open_host(&h, uv, NULL), ASTRUM_OK);
  return &h;
}

static astrum_graph *chain(uint32_t count, const astrum_policy *policy) {
  astrum_graph *graph = NULL;
  CHECK_EQ(astrum_graph_new(NULL, &graph), ASTRUM_OK);
  for (uint32_t i = 0; i < count; i++) {
    char name[16];
    astrum_task task;
    int size = snprintf(name, sizeof name, "%u", (unsigned)i);
    astrum_graph_add(graph, name, (size_t)size, policy, &task);
    if (i > 0)
      astrum_graph_edge(graph, (astrum_task){i - 1}, task);
  }
  CHECK_EQ(astrum_graph_freeze(graph), ASTRUM_OK);
  return graph;
}

static astrum_run begin(host *h, const astrum_graph *graph) {
  astrum_run run = {ASTRUM_NO_RUN};
  CHECK_EQ(astrum_sched_open(astrum_loop_sched(h->loop), graph, NULL, &run),
           ASTRUM_OK);
  CHECK_EQ(astrum_loop_begin(h->loop, run), ASTRUM_OK);
  return run;
}

/* --- runs */

TEST(a_run_whose_attempts_end_in_place_completes) {
  astrum_graph *graph = chain(1000, NULL);
  host *h = new_host(NULL);
  begin(h, graph);
  CHECK_EQ(astrum_loop_run(h->loop, is_closed, h), ASTRUM_OK);
  CHECK_EQ(h->starts, 1000);
  CHECK_EQ(h->done, 1);
  CHECK_EQ(h->state, ASTRUM_COMPLETED);
  astrum_loop_free(h->loop);
  astrum_graph_free(graph);
}

TEST(the_executor_hears_when_all_actions_of_a_turn_are_handed_out) {
  astrum_graph *graph = NULL;
  CHECK_EQ(astrum_graph_new(NULL, &graph), ASTRUM_OK);
  for (int i = 0; i < 3; i++) {
    astrum_task task;
    astrum_graph_add(graph, &"abc"[i], 1, NULL, &task);
  }
  CHECK_EQ(astrum_graph_freeze(graph), ASTRUM_OK);
  host *h = new_host(NULL);
  h->later = 1;
  begin(h, graph);
  CHECK_EQ(astrum_loop_run(h->loop, is_started, h), ASTRUM_OK);
  CHECK_EQ(h->starts, 3);
  CHECK_EQ(h->most_unsettled, 3);
  CHECK_EQ(h->unsettled, 0);
  astrum_loop_free(h->loop);
  astrum_graph_free(graph);
}

TEST(a_retry_happens_after_its_delay) {
  astrum_policy policy = ASTRUM_POLICY_INIT;
  policy.max_retries = 1;
  policy.delay = 3 * millisecond;
  astrum_graph *graph = chain(1, &policy);
  host *h = new_host(NULL);
  h->failures = 1;
  uint64_t before = astrum_loop_now(h->loop);
  begin(h, graph);
  CHECK_EQ(astrum_loop_run(h->loop, is_closed, h), ASTRUM_OK);
  CHECK(astrum_loop_now(h->loop) - before >= 3 * millisecond);
  CHECK_EQ(h->starts, 2);
  CHECK_EQ(h->state, ASTRUM_COMPLETED);
  astrum_loop_free(h->loop);
  astrum_graph_free(graph);
}

TEST(a_cancel_reaches_an_attempt_that_goes_on) {
  astrum_graph *graph = chain(2, NULL);
  host *h = new_host(NULL);
  h->later = 1;
  astrum_run run = begin(h, graph);
  CHECK_EQ(astrum_loop_run(h->loop, is_closed, h), ASTRUM_EIDLE);
  CHECK_EQ(astrum_loop_cancel(h->loop, run, ASTRUM_CAUSE_REQUEST), ASTRUM_OK);
  CHECK_EQ(astrum_loop_run(h->loop, is_closed, h), ASTRUM_OK);
  CHECK_EQ(h->cancels, 1);
  CHECK_EQ(h->state, ASTRUM_CANCELLED);
  astrum_loop_free(h->loop);
  astrum_graph_free(graph);
}

TEST(a_map_is_expanded_and_its_items_run) {
  for (uint32_t items = 3; items < 5; items++) {
    astrum_policy policy = ASTRUM_POLICY_INIT;
    policy.map = 1;
    policy.max_items = 3;
    astrum_graph *graph = chain(1, &policy);
    host *h = new_host(NULL);
    h->items = items;
    begin(h, graph);
    CHECK_EQ(astrum_loop_run(h->loop, is_closed, h), ASTRUM_OK);
    CHECK_EQ(h->starts, items == 3 ? 3 : 0);
    CHECK_EQ(h->state, items == 3 ? ASTRUM_COMPLETED : ASTRUM_FAILED);
    astrum_loop_free(h->loop);
    astrum_graph_free(graph);
  }
}

TEST(what_becomes_of_tasks_is_told_to_a_run_that_asks) {
  astrum_graph *graph = chain(5, NULL);
  host *h = new_host(NULL);
  astrum_run_options options = ASTRUM_RUN_OPTIONS_INIT;
  options.changes = 1;
  astrum_run run;
  astrum_sched_open(astrum_loop_sched(h->loop), graph, &options, &run);
  astrum_loop_begin(h->loop, run);
  CHECK_EQ(astrum_loop_run(h->loop, is_closed, h), ASTRUM_OK);
  CHECK_EQ(h->changes, 10);
  astrum_loop_free(h->loop);
  astrum_graph_free(graph);
}

TEST(progress_puts_off_the_end_of_an_attempt) {
  astrum_policy policy = ASTRUM_POLICY_INIT;
  policy.idle_timeout = 2 * millisecond;
  astrum_graph *graph = chain(1, &policy);
  host *h = new_host(NULL);
  h->later = 1;
  astrum_run run = begin(h, graph);
  astrum_loop_virtual(h->loop, 1);
  uint64_t before = astrum_loop_now(h->loop);
  CHECK_EQ(astrum_loop_run(h->loop, is_started, h), ASTRUM_OK);
  CHECK_EQ(astrum_loop_progress(h->loop, h->last), ASTRUM_OK);
  CHECK_EQ(astrum_loop_run(h->loop, is_closed, h), ASTRUM_OK);
  CHECK_EQ(astrum_loop_progress(h->loop, h->last), ASTRUM_ESTALE);
  CHECK_EQ(h->cancels, 1);
  CHECK(astrum_loop_now(h->loop) - before >= 2 * millisecond);
  astrum_record record;
  astrum_sched_record(astrum_loop_sched(h->loop), run, (astrum_task){0},
                      &record);
  CHECK_EQ(record.state, ASTRUM_TIMED_OUT);
  astrum_loop_free(h->loop);
  astrum_graph_free(graph);
}

TEST(a_run_with_nothing_left_that_could_happen_is_idle) {
  astrum_graph *graph = chain(1, NULL);
  host *h = new_host(NULL);
  CHECK_EQ(astrum_loop_run(h->loop, never, NULL), ASTRUM_EIDLE);
  h->later = 1;
  begin(h, graph);
  CHECK_EQ(astrum_loop_run(h->loop, is_closed, h), ASTRUM_EIDLE);
  CHECK_EQ(h->starts, 1);
  CHECK_EQ(astrum_loop_finished(h->loop, h->last, ASTRUM_SUCCEEDED), ASTRUM_OK);
  CHECK_EQ(astrum_loop_finished(h->loop, h->last, ASTRUM_SUCCEEDED),
           ASTRUM_ESTALE);
  CHECK_EQ(astrum_loop_run(h->loop, is_closed, h), ASTRUM_OK);
  astrum_loop_free(h->loop);
  astrum_graph_free(graph);
}

TEST(the_loop_cannot_be_run_from_a_callback) {
  astrum_graph *graph = chain(1, NULL);
  host *h = new_host(NULL);
  CHECK_EQ(astrum_loop_turning(h->loop), 0);
  begin(h, graph);
  CHECK_EQ(astrum_loop_run(h->loop, is_closed, h), ASTRUM_OK);
  CHECK_EQ(h->run, ASTRUM_EBUSY);
  astrum_loop_free(h->loop);
  astrum_graph_free(graph);
}

/* --- timers */

typedef struct {
  astrum_timer timer;
  host *h;
  int number;
  uint64_t fired_at;
  int again;
} alarm_clock;

static int fired[64], fired_count;

static void ring(astrum_timer *timer) {
  alarm_clock *a = (alarm_clock *)(void *)timer;
  a->fired_at = astrum_loop_now(a->h->loop);
  if (fired_count < 64)
    fired[fired_count] = a->number;
  fired_count++;
  if (a->again > 0) {
    a->again--;
    astrum_timer_start(a->h->loop, timer, 0);
  }
}

static void set_alarm(alarm_clock *a, host *h, int number, uint64_t due) {
  if (!a->timer.place)
    *a = (alarm_clock){.timer = {.fire = ring}, .h = h, .number = number};
  CHECK_EQ(astrum_timer_start(h->loop, &a->timer, due), ASTRUM_OK);
}

TEST(timers_fire_in_the_order_of_deadlines_and_then_of_their_starts) {
  host *h = new_host(NULL);
  uint64_t base = astrum_loop_now(h->loop) + millisecond;
  static const int offsets[] = {3, 1, 2, 1, 3, 2, 1};
  static const int order[] = {1, 3, 6, 2, 5, 0, 4};
  alarm_clock alarms[7] = {0};
  fired_count = 0;
  for (int i = 0; i < 7; i++)
    set_alarm(&alarms[i], h, i, base + (uint64_t)offsets[i]);
  CHECK_EQ(astrum_loop_run(h->loop, never, NULL), ASTRUM_EIDLE);
  CHECK_EQ(fired_count, 7);
  for (int i = 0; i < 7; i++)
    CHECK_EQ(fired[i], order[i]);
  astrum_loop_free(h->loop);
}

TEST(a_timer_fires_before_its_deadline_is_a_millisecond_past) {
  host *h = new_host(NULL);
  alarm_clock a = {0};
  uint64_t late = ASTRUM_NEVER;
  /* The best of some, for the machine may be busy. */
  for (int i = 0; i < 10; i++) {
    uint64_t due = astrum_loop_now(h->loop) + 300 * microsecond;
    set_alarm(&a, h, 0, due);
    CHECK_EQ(astrum_loop_run(h->loop, never, NULL), ASTRUM_EIDLE);
    CHECK(a.fired_at >= due);
    if (a.fired_at - due < late)
      late = a.fired_at - due;
  }
  CHECK(late < 600 * microsecond);
  astrum_loop_free(h->loop);
}

TEST(a_timer_that_is_stopped_does_not_fire_and_keeps_nothing_alive) {
  host *h = new_host(NULL);
  alarm_clock a = {0}, b = {0};
  fired_count = 0;
  uint64_t now = astrum_loop_now(h->loop);
  set_alarm(&a, h, 1, now + UINT64_C(3600) * 1000 * millisecond);
  set_alarm(&b, h, 2, now + millisecond);
  astrum_timer_stop(h->loop, &a.timer);
  astrum_timer_stop(h->loop, &a.timer);
  CHECK_EQ(astrum_loop_run(h->loop, never, NULL), ASTRUM_EIDLE);
  CHECK_EQ(fired_count, 1);
  CHECK_EQ(fired[0], 2);
  astrum_loop_free(h->loop);
}

TEST(a_timer_that_is_started_again_fires_once_at_the_later_time) {
  host *h = new_host(NULL);
  alarm_clock a = {0};
  fired_count = 0;
  uint64_t now = astrum_loop_now(h->loop);
  set_alarm(&a, h, 1, now);
  set_alarm(&a, h, 1, now + 2 * millisecond);
  CHECK_EQ(astrum_loop_run(h->loop, never, NULL), ASTRUM_EIDLE);
  CHECK_EQ(fired_count, 1);
  CHECK(a.fired_at >= now + 2 * millisecond);
  astrum_loop_free(h->loop);
}

TEST(timers_that_start_themselves_anew_do_not_hold_up_runs) {
  astrum_graph *graph = chain(100, NULL);
  host *h = new_host(NULL);
  alarm_clock a = {0};
  set_alarm(&a, h, 1, 0);
  a.again = 100000000;
  begin(h, graph);
  CHECK_EQ(astrum_loop_run(h->loop, is_closed, h), ASTRUM_OK);
  CHECK_EQ(h->starts, 100);
  astrum_loop_free(h->loop);
  astrum_graph_free(graph);
}

/* --- virtual time */

static const uint64_t hour = UINT64_C(3600000000000);

TEST(virtual_time_waits_for_nothing) {
  host *h = new_host(NULL);
  alarm_clock a = {0}, b = {0};
  fired_count = 0;
  uint64_t real = uv_hrtime();
  astrum_loop_virtual(h->loop, 1);
  uint64_t now = astrum_loop_now(h->loop);
  CHECK_EQ(astrum_loop_now(h->loop), now);
  set_alarm(&a, h, 1, now + 2 * hour);
  set_alarm(&b, h, 2, now + hour);
  CHECK_EQ(astrum_loop_run(h->loop, never, NULL), ASTRUM_EIDLE);
  CHECK_EQ(fired_count, 2);
  CHECK_EQ(fired[0], 2);
  CHECK_EQ(b.fired_at, now + hour);
  CHECK_EQ(a.fired_at, now + 2 * hour);
  CHECK_EQ(astrum_loop_now(h->loop), now + 2 * hour);
  CHECK(uv_hrtime() - real < hour);
  astrum_loop_free(h->loop);
}

TEST(delays_and_deadlines_of_runs_are_virtual_too) {
  astrum_policy policy = ASTRUM_POLICY_INIT;
  policy.max_retries = 1;
  policy.delay = hour;
  policy.timeout = 3 * hour;
  astrum_graph *graph = chain(1, &policy);
  host *h = new_host(NULL);
  h->failures = 1;
  astrum_loop_virtual(h->loop, 1);
  uint64_t before = astrum_loop_now(h->loop);
  begin(h, graph);
  CHECK_EQ(astrum_loop_run(h->loop, is_closed, h), ASTRUM_OK);
  CHECK_EQ(h->state, ASTRUM_COMPLETED);
  CHECK_EQ(astrum_loop_now(h->loop), before + hour);
  h->later = 1;
  h->closed = 0;
  begin(h, graph);
  CHECK_EQ(astrum_loop_run(h->loop, is_closed, h), ASTRUM_OK);
  CHECK_EQ(h->state, ASTRUM_FAILED);
  CHECK_EQ(astrum_loop_now(h->loop),
           before + hour + 3 * hour + hour + 3 * hour);
  astrum_loop_free(h->loop);
  astrum_graph_free(graph);
}

TEST(virtual_time_never_goes_back_and_goes_on_at_its_real_pace) {
  host *h = new_host(NULL);
  alarm_clock a = {0};
  astrum_loop_virtual(h->loop, 1);
  uint64_t now = astrum_loop_now(h->loop);
  set_alarm(&a, h, 1, now + hour);
  CHECK_EQ(astrum_loop_run(h->loop, never, NULL), ASTRUM_EIDLE);
  astrum_loop_virtual(h->loop, 0);
  now = astrum_loop_now(h->loop);
  CHECK(now >= a.fired_at);
  CHECK(now - a.fired_at < hour);
  set_alarm(&a, h, 1, now + 2 * millisecond);
  uint64_t real = uv_hrtime();
  CHECK_EQ(astrum_loop_run(h->loop, never, NULL), ASTRUM_EIDLE);
  CHECK(a.fired_at >= now + 2 * millisecond);
  CHECK(uv_hrtime() - real >= millisecond);
  /* Time that passed while it stood still is not made up for. */
  astrum_loop_virtual(h->loop, 1);
  now = astrum_loop_now(h->loop);
  while (uv_hrtime() - real < 4 * millisecond) {
  }
  astrum_loop_virtual(h->loop, 0);
  CHECK(astrum_loop_now(h->loop) >= now);
  CHECK(astrum_loop_now(h->loop) - now < hour);
  astrum_loop_free(h->loop);
}

static uint64_t virtual_then;

static int is_polled(void *user) {
  (void)user;
  return virtual_then != 0;
}

static void look_at_time(uv_timer_t *timer) {
  host *h = timer->data;
  virtual_then = astrum_loop_now(h->loop);
  uv_close((uv_handle_t *)timer, NULL);
}

TEST(virtual_time_stands_still_while_the_host_waits_for_something_real) {
  host *h = new_host(NULL);
  alarm_clock a = {0};
  uv_timer_t real;
  uv_timer_init(astrum_loop_uv(h->loop), &real);
  real.data = h;
  uv_timer_start(&real, look_at_time, 3, 0);
  astrum_loop_virtual(h->loop, 1);
  uint64_t now = astrum_loop_now(h->loop);
  set_alarm(&a, h, 1, now + hour);
  CHECK_EQ(astrum_loop_run(h->loop, never, NULL), ASTRUM_EIDLE);
  CHECK_EQ(virtual_then, now);
  CHECK_EQ(a.fired_at, now + hour);
  astrum_loop_free(h->loop);
}

TEST(in_virtual_time_a_run_that_waits_for_nothing_is_idle) {
  astrum_graph *graph = chain(1, NULL);
  host *h = new_host(NULL);
  h->later = 1;
  begin(h, graph);
  astrum_loop_virtual(h->loop, 1);
  CHECK_EQ(astrum_loop_run(h->loop, is_closed, h), ASTRUM_EIDLE);
  astrum_loop_free(h->loop);
  astrum_graph_free(graph);
}

TEST(a_long_run_in_virtual_time_lets_the_loop_poll) {
  astrum_graph *graph = chain(300000, NULL);
  host *h = new_host(NULL);
  uv_timer_t real;
  uv_timer_init(astrum_loop_uv(h->loop), &real);
  real.data = h;
  uv_timer_start(&real, look_at_time, 1, 0);
  astrum_loop_virtual(h->loop, 1);
  virtual_then = 0;
  begin(h, graph);
  CHECK_EQ(astrum_loop_run(h->loop, is_polled, h), ASTRUM_OK);
  CHECK_EQ(h->closed, 0);
  CHECK_EQ(astrum_loop_run(h->loop, is_closed, h), ASTRUM_OK);
  astrum_loop_free(h->loop);
  astrum_graph_free(graph);
}

TEST(ten_thousand_timers_fire_in_order) {
  enum { COUNT = 10000 };
  static alarm_clock alarms[COUNT];
  host *h = new_host(NULL);
  uint64_t base = astrum_loop_now(h->loop) + millisecond, random = 1;
  fired_count = 0;
  for (int i = 0; i < COUNT; i++) {
    random = random * UINT64_C(6364136223846793005) + 1;
    set_alarm(&alarms[i], h, i, base + (random >> 44));
  }
  for (int i = 0; i < COUNT; i += 3)
    astrum_timer_stop(h->loop, &alarms[i].timer);
  CHECK_EQ(astrum_loop_run(h->loop, never, NULL), ASTRUM_EIDLE);
  CHECK_EQ(fired_count, COUNT - (COUNT + 2) / 3);
  int early = 0;
  for (int i = 0; i < COUNT; i++)
    early += i % 3 != 0 && alarms[i].fired_at < alarms[i].timer.due;
  CHECK_EQ(early, 0);
  astrum_loop_free(h->loop);
}

/* --- waking */

static void *wake_from_thread(void *loop) {
  astrum_loop_wake(loop);
  return NULL;
}

TEST(another_thread_can_wake_the_loop) {
  host *h = new_host(NULL);
  alarm_clock guard = {0};
  pthread_t thread;
  set_alarm(&guard, h, 0, astrum_loop_now(h->loop) + 5000 * millisecond);
  CHECK_EQ(pthread_create(&thread, NULL, wake_from_thread, h->loop), 0);
  CHECK_EQ(astrum_loop_run(h->loop, is_woken, h), ASTRUM_OK);
  pthread_join(thread, NULL);
  CHECK_EQ(h->woken, 1);
  astrum_loop_free(h->loop);
}

/* --- the host's libuv loop */

TEST(a_host_can_run_its_own_libuv_loop) {
  uv_loop_t uv;
  uv_loop_init(&uv);
  astrum_graph *graph = chain(10, NULL);
  host *h = new_host(&uv);
  CHECK(astrum_loop_uv(h->loop) == &uv);
  alarm_clock a = {0};
  set_alarm(&a, h, 0, astrum_loop_now(h->loop) + millisecond);
  begin(h, graph);
  CHECK_EQ(uv_run(&uv, UV_RUN_DEFAULT), 0);
  CHECK_EQ(h->closed, 1);
  CHECK(a.fired_at > 0);
  CHECK_EQ(h->run, ASTRUM_EBUSY);
  astrum_loop_free(h->loop);
  CHECK_EQ(uv_run(&uv, UV_RUN_DEFAULT), 0);
  CHECK_EQ(uv_loop_close(&uv), 0);
  astrum_graph_free(graph);
}

TEST(two_loops_share_one_libuv_loop) {
  uv_loop_t uv;
  uv_loop_init(&uv);
  astrum_graph *graph = chain(10, NULL);
  host one, two;
  CHECK_EQ(open_host(&one, &uv, NULL), ASTRUM_OK);
  CHECK_EQ(open_host(&two, &uv, NULL), ASTRUM_OK);
  begin(&one, graph);
  begin(&two, graph);
  uv_run(&uv, UV_RUN_DEFAULT);
  CHECK_EQ(one.closed + two.closed, 2);
  astrum_loop_free(one.loop);
  astrum_loop_free(two.loop);
  uv_run(&uv, UV_RUN_DEFAULT);
  CHECK_EQ(uv_loop_close(&uv), 0);
  astrum_graph_free(graph);
}

TEST(a_long_run_lets_the_hosts_handles_have_their_turn) {
  uv_loop_t uv;
  uv_loop_init(&uv);
  astrum_graph *graph = chain(200000, NULL);
  host *h = new_host(&uv);
  begin(h, graph);
  CHECK(uv_run(&uv, UV_RUN_NOWAIT) != 0);
  CHECK(h->starts > 0);
  CHECK_EQ(h->closed, 0);
  uv_run(&uv, UV_RUN_DEFAULT);
  CHECK_EQ(h->closed, 1);
  astrum_loop_free(h->loop);
  uv_run(&uv, UV_RUN_DEFAULT);
  CHECK_EQ(uv_loop_close(&uv), 0);
  astrum_graph_free(graph);
}

TEST(a_callback_that_turns_the_hosts_loop_gets_no_callback_inside) {
  uv_loop_t uv;
  uv_loop_init(&uv);
  astrum_graph *graph = chain(1, NULL);
  host *h = new_host(&uv);
  h->turned = &uv;
  h->later = 1;
  begin(h, graph);
  begin(h, graph);
  while (h->closed < 2 && uv_run(&uv, UV_RUN_ONCE))
    ;
  CHECK_EQ(h->overlapping, 0);
  CHECK_EQ(h->starts, 2);
  CHECK_EQ(h->cancels, 2);
  CHECK_EQ(h->closed, 2);
  astrum_loop_free(h->loop);
  uv_run(&uv, UV_RUN_DEFAULT);
  CHECK_EQ(uv_loop_close(&uv), 0);
  astrum_graph_free(graph);
}

/* --- freeing */

TEST(a_forked_process_can_only_free_the_loop_and_its_parent_goes_on) {
  host *h = new_host(NULL);
  alarm_clock a = {0};
  CHECK_EQ(astrum_loop_forked(h->loop), 0);
  /* The kernel knows of the descriptors of a loop that has polled. */
  set_alarm(&a, h, 0, astrum_loop_now(h->loop) + millisecond);
  CHECK_EQ(astrum_loop_run(h->loop, never, NULL), ASTRUM_EIDLE);
  a.fired_at = 0;
  set_alarm(&a, h, 0, astrum_loop_now(h->loop) + 5 * millisecond);
  fflush(stdout);
  pid_t child = fork();
  if (child == 0) {
    int ok = astrum_loop_forked(h->loop) &&
             astrum_loop_run(h->loop, never, NULL) == ASTRUM_EINVAL;
    astrum_timer_stop(h->loop, &a.timer);
    astrum_loop_free(h->loop);
    _exit(ok ? 0 : 1);
  }
  int status = -1;
  CHECK_EQ(waitpid(child, &status, 0), child);
  CHECK_EQ(status, 0);
  alarm(10);
  CHECK_EQ(astrum_loop_run(h->loop, never, NULL), ASTRUM_EIDLE);
  alarm(0);
  CHECK(a.fired_at > 0);
  astrum_loop_free(h->loop);
}

TEST(a_loop_can_be_freed_with_timers_and_runs_pending) {
  fault_state fault = fault_none();
  astrum_alloc alloc = fault_allocator(&fault);
  astrum_graph *graph = chain(5, NULL);
  host h;
  alarm_clock a = {0};
  CHECK_EQ(open_host(&h, NULL, &alloc), ASTRUM_OK);
  fired_count = 0;
  set_alarm(&a, &h, 0, 0);
  begin(&h, graph);
  astrum_loop_free(h.loop);
  astrum_loop_free(NULL);
  CHECK_EQ(fired_count, 0);
  CHECK_EQ(h.starts, 0);
  CHECK_EQ(fault.live, 0);
  CHECK_EQ(fault.wrong_size, 0);
  astrum_graph_free(graph);
}

TEST(options_that_make_no_sense_are_refused) {
  astrum_executor partial = executor;
  astrum_loop_options options = {.size = sizeof options};
  astrum_loop *loop = NULL;
  CHECK_EQ(astrum_loop_new(&options, &loop), ASTRUM_EINVAL);
  options.executor = &partial;
  partial.size = 1;
  CHECK_EQ(astrum_loop_new(&options, &loop), ASTRUM_EINVAL);
  partial.size = sizeof partial;
  partial.cancel = NULL;
  CHECK_EQ(astrum_loop_new(&options, &loop), ASTRUM_EINVAL);
  partial = executor;
  options.size = 1;
  CHECK_EQ(astrum_loop_new(&options, &loop), ASTRUM_EINVAL);
  CHECK(loop == NULL);
}

TEST(want_of_memory_leaves_nothing_behind) {
  FAULT_SWEEP(fault) {
    astrum_alloc alloc = fault_allocator(&fault);
    host h;
    alarm_clock a = {.timer = {.fire = ring}, .h = &h};
    astrum_err err = open_host(&h, NULL, &alloc);
    if (err) {
      CHECK_EQ(err, ASTRUM_ENOMEM);
      continue;
    }
    err = astrum_timer_start(h.loop, &a.timer, 0);
    CHECK_EQ(err, fault.failed ? ASTRUM_ENOMEM : ASTRUM_OK);
    CHECK_EQ(a.timer.place > 0, err == ASTRUM_OK);
    astrum_loop_free(h.loop);
  }
}

TEST_MAIN(
    TEST_ENTRY(a_run_whose_attempts_end_in_place_completes),
    TEST_ENTRY(the_executor_hears_when_all_actions_of_a_turn_are_handed_out),
    TEST_ENTRY(a_retry_happens_after_its_delay),
    TEST_ENTRY(a_cancel_reaches_an_attempt_that_goes_on),
    TEST_ENTRY(a_map_is_expanded_and_its_items_run),
    TEST_ENTRY(what_becomes_of_tasks_is_told_to_a_run_that_asks),
    TEST_ENTRY(progress_puts_off_the_end_of_an_attempt),
    TEST_ENTRY(a_run_with_nothing_left_that_could_happen_is_idle),
    TEST_ENTRY(the_loop_cannot_be_run_from_a_callback),
    TEST_ENTRY(timers_fire_in_the_order_of_deadlines_and_then_of_their_starts),
    TEST_ENTRY(a_timer_fires_before_its_deadline_is_a_millisecond_past),
    TEST_ENTRY(a_timer_that_is_stopped_does_not_fire_and_keeps_nothing_alive),
    TEST_ENTRY(a_timer_that_is_started_again_fires_once_at_the_later_time),
    TEST_ENTRY(timers_that_start_themselves_anew_do_not_hold_up_runs),
    TEST_ENTRY(virtual_time_waits_for_nothing),
    TEST_ENTRY(delays_and_deadlines_of_runs_are_virtual_too),
    TEST_ENTRY(virtual_time_never_goes_back_and_goes_on_at_its_real_pace),
    TEST_ENTRY(
        virtual_time_stands_still_while_the_host_waits_for_something_real),
    TEST_ENTRY(in_virtual_time_a_run_that_waits_for_nothing_is_idle),
    TEST_ENTRY(a_long_run_in_virtual_time_lets_the_loop_poll),
    TEST_ENTRY(ten_thousand_timers_fire_in_order),
    TEST_ENTRY(another_thread_can_wake_the_loop),
    TEST_ENTRY(a_host_can_run_its_own_libuv_loop),
    TEST_ENTRY(two_loops_share_one_libuv_loop),
    TEST_ENTRY(a_long_run_lets_the_hosts_handles_have_their_turn),
    TEST_ENTRY(a_callback_that_turns_the_hosts_loop_gets_no_callback_inside),
    TEST_ENTRY(a_forked_process_can_only_free_the_loop_and_its_parent_goes_on),
    TEST_ENTRY(a_loop_can_be_freed_with_timers_and_runs_pending),
    TEST_ENTRY(options_that_make_no_sense_are_refused),
    TEST_ENTRY(want_of_memory_leaves_nothing_behind))
