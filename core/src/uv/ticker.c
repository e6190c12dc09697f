/* A timer of libuv's that does not keep the loop alive. */
#include "loop.h"

#include "../alloc.h"
#include "../internal.h"

#include <uv.h>

/* Outlives the loop object until libuv has closed the timer. */
struct astrum_ticker {
  uv_timer_t timer;
  astrum_alloc alloc;
  void (*fire)(void *user);
  void *user;
};

static astrum_ticker *ticker_of(uv_timer_t *timer) {
  return astrum__container_of(timer, astrum_ticker, timer);
}

static void on_timer(uv_timer_t *timer) {
  astrum_ticker *ticker = ticker_of(timer);
  ticker->fire(ticker->user);
}

static void on_close(uv_handle_t *handle) {
  astrum_ticker *ticker = ticker_of((uv_timer_t *)handle);
  astrum_alloc alloc = ticker->alloc;
  astrum__free(&alloc, ticker, sizeof *ticker);
}

astrum_err astrum_ticker_start(astrum_loop *loop, uint64_t interval,
                               void (*fire)(void *user), void *user,
                               astrum_ticker **out) {
  uint64_t milliseconds = interval / 1000000;
  if (milliseconds == 0 || !fire)
    return ASTRUM_EINVAL;
  const astrum_alloc *alloc = astrum__loop_alloc(loop);
  astrum_ticker *ticker = astrum__zalloc(alloc, 1, sizeof *ticker);
  if (!ticker)
    return ASTRUM_ENOMEM;
  *ticker = (astrum_ticker){.alloc = *alloc, .fire = fire, .user = user};
  uv_loop_t *uv = astrum_loop_uv(loop);
  uv_timer_init(uv, &ticker->timer);
  ticker->timer.data = NULL;
  uv_unref((uv_handle_t *)&ticker->timer);
  uv_update_time(uv);
  uv_timer_start(&ticker->timer, on_timer, milliseconds, milliseconds);
  *out = ticker;
  return ASTRUM_OK;
}

void astrum_ticker_stop(astrum_ticker *ticker) {
  if (ticker)
    uv_close((uv_handle_t *)&ticker->timer, on_close);
}
