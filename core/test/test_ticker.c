/* Tickers: they call back while the loop has something else to do. */
#include "fault.h"

static const uint64_t millisecond = 1000000;

typedef struct {
  astrum_loop *loop;
  astrum_ticker *ticker;
  astrum_timer timer;
  int ticks, most; /* stops itself at the last one, 0 for never */
  int over;
} host;

static void ignore(void *user, const astrum_action *action) {
  (void)user;
  (void)action;
}

static astrum_err open_host(host *h, const astrum_alloc *alloc) {
  static const astrum_executor executor = {.size = sizeof executor,
                                           .start = ignore,
                                           .cancel = ignore,
                                           .ended = ignore};
  astrum_loop_options options = {
      .size = sizeof options, .alloc = alloc, .executor = &executor, .user = h};
  *h = (host){0};
  return astrum_loop_new(&options, &h->loop);
}

static void on_tick(void *user) {
  host *h = user;
  if (++h->ticks == h->most) {
    astrum_ticker_stop(h->ticker);
    h->ticker = NULL;
  }
}

static void on_timer(astrum_timer *timer) {
  host *h = (host *)(void *)((char *)timer - offsetof(host, timer));
  h->over = 1;
}

static int is_over(void *user) { return ((host *)user)->over; }

static int has_ticked(void *user) { return ((host *)user)->ticks >= 2; }

static void start(host *h) {
  CHECK_EQ(astrum_ticker_start(h->loop, millisecond, on_tick, h, &h->ticker),
           ASTRUM_OK);
}

static void wait_for(host *h, uint64_t time) {
  h->timer.fire = on_timer;
  CHECK_EQ(
      astrum_timer_start(h->loop, &h->timer, astrum_loop_now(h->loop) + time),
      ASTRUM_OK);
}

TEST(a_ticker_calls_back_while_the_loop_waits) {
  host h;
  CHECK_EQ(open_host(&h, NULL), ASTRUM_OK);
  start(&h);
  wait_for(&h, 10000 * millisecond);
  CHECK_EQ(astrum_loop_run(h.loop, has_ticked, &h), ASTRUM_OK);
  CHECK_EQ(h.over, 0);
  astrum_ticker_stop(h.ticker);
  astrum_loop_free(h.loop);
}

TEST(a_ticker_is_no_reason_for_the_loop_to_go_on) {
  host h;
  CHECK_EQ(open_host(&h, NULL), ASTRUM_OK);
  start(&h);
  CHECK_EQ(astrum_loop_run(h.loop, is_over, &h), ASTRUM_EIDLE);
  astrum_ticker_stop(h.ticker);
  astrum_loop_free(h.loop);
}

TEST(a_ticker_that_is_stopped_by_its_own_call_is_silent) {
  host h;
  CHECK_EQ(open_host(&h, NULL), ASTRUM_OK);
  h.most = 1;
  start(&h);
  wait_for(&h, 10 * millisecond);
  CHECK_EQ(astrum_loop_run(h.loop, is_over, &h), ASTRUM_OK);
  CHECK_EQ(h.ticks, 1);
  CHECK(h.ticker == NULL);
  astrum_ticker_stop(h.ticker);
  astrum_loop_free(h.loop);
}

TEST(a_ticker_does_not_hold_virtual_time) {
  host h;
  CHECK_EQ(open_host(&h, NULL), ASTRUM_OK);
  start(&h);
  astrum_loop_virtual(h.loop, 1);
  wait_for(&h, 3600 * 1000 * millisecond);
  CHECK_EQ(astrum_loop_run(h.loop, is_over, &h), ASTRUM_OK);
  astrum_ticker_stop(h.ticker);
  astrum_loop_free(h.loop);
}

TEST(a_ticker_that_makes_no_sense_is_refused) {
  host h;
  CHECK_EQ(open_host(&h, NULL), ASTRUM_OK);
  CHECK_EQ(astrum_ticker_start(h.loop, millisecond - 1, on_tick, &h, &h.ticker),
           ASTRUM_EINVAL);
  CHECK_EQ(astrum_ticker_start(h.loop, millisecond, NULL, &h, &h.ticker),
           ASTRUM_EINVAL);
  CHECK(h.ticker == NULL);
  astrum_loop_free(h.loop);
}

TEST(want_of_memory_for_a_ticker_leaves_nothing_behind) {
  FAULT_SWEEP(fault) {
    astrum_alloc alloc = fault_allocator(&fault);
    host h;
    if (open_host(&h, &alloc))
      continue;
    astrum_err err =
        astrum_ticker_start(h.loop, millisecond, on_tick, &h, &h.ticker);
    CHECK_EQ(err, fault.failed ? ASTRUM_ENOMEM : ASTRUM_OK);
    astrum_ticker_stop(h.ticker);
    astrum_loop_free(h.loop);
  }
}

TEST_MAIN(TEST_ENTRY(a_ticker_calls_back_while_the_loop_waits),
          TEST_ENTRY(a_ticker_is_no_reason_for_the_loop_to_go_on),
          TEST_ENTRY(a_ticker_that_is_stopped_by_its_own_call_is_silent),
          TEST_ENTRY(a_ticker_does_not_hold_virtual_time),
          TEST_ENTRY(a_ticker_that_makes_no_sense_is_refused),
          TEST_ENTRY(want_of_memory_for_a_ticker_leaves_nothing_behind))
