/*
 * Drives a scheduler from a libuv loop.
 *
 *            +--> attempts that must stop are told, timers that are due fire
 *   turn ----+--> actions of the scheduler, one by one, to the executor
 *            +--> work left: the idle handle stays active, the poll does not
 *                 block; else the alarm is set to the next deadline
 *
 * libuv's timers count whole milliseconds, so deadlines have a heap of their
 * own and one timer descriptor (a libuv timer where there is none). No handle
 * keeps the loop alive unless something is to come of it, which is how a run
 * that waits for nothing is noticed.
 *
 * `data` of our handles stays NULL: luv, when it closes the loop at the end of
 * a Lua state, takes it for its own.
 */
#include "loop.h"

#include "../alloc.h"
#include "../internal.h"
#include "heap.h"
#include "origin.h"

#include <errno.h>
#include <unistd.h>
#include <uv.h>
#ifdef __linux__
#include <sys/timerfd.h>
#endif

/* How long a turn may take before the loop polls, ns. */
#define TURN_MAX UINT64_C(2000000)

/* Timers that fire between two looks at the clock. */
#define TIMERS_PER_LOOK 64

/* Outlives the loop object until libuv has closed the handles. */
typedef struct {
  astrum_alloc alloc;
  astrum_loop *loop; /* NULL once it is freed */
  uv_idle_t idle;
  uv_async_t async;
#ifdef __linux__
  uv_poll_t alarm;
  int alarm_fd;
#else
  uv_timer_t alarm;
#endif
  int open; /* handles that libuv has not closed */
} handles;

struct astrum_loop {
  astrum_alloc alloc;
  astrum_sched *sched;
  astrum_executor executor;
  void *user;
  uv_loop_t *uv;
  uv_loop_t *own; /* NULL when the loop is the host's */
  astrum__origin origin;
  handles *handles;
  struct astrum_process *processes;
  astrum__heap timers;
  uint64_t timer_order;
  uint64_t now;   /* time of the last look at the clock */
  uint64_t real;  /* the same on libuv's clock */
  uint64_t ahead; /* of libuv's clock, modulo 2^64, when time is real */
  uint64_t alarm; /* what the alarm is set to, on libuv's clock */
  uint8_t is_virtual;
  uint8_t looked;  /* the clock was read since the action was handed out */
  uint8_t turning; /* in turn() */
  uint8_t running; /* in uv_run() called by us */
};

/* --- timers */

static void schedule(astrum_loop *loop);

astrum_err astrum_timer_reserve(astrum_loop *loop, size_t count) {
  return astrum__grow(&loop->alloc, (void **)&loop->timers.entries,
                      &loop->timers.capacity, count,
                      sizeof *loop->timers.entries);
}

void astrum_timer_stop(astrum_loop *loop, astrum_timer *timer) {
  astrum__heap_remove(&loop->timers, timer);
  schedule(loop);
}

astrum_err astrum_timer_start(astrum_loop *loop, astrum_timer *timer,
                              uint64_t due) {
  astrum_err err = astrum_timer_reserve(loop, loop->timers.count + 1);
  if (err)
    return err;
  astrum__heap_remove(&loop->timers, timer);
  timer->due = due;
  timer->order = loop->timer_order++;
  astrum__heap_add(&loop->timers, timer);
  schedule(loop);
  return ASTRUM_OK;
}

/* Fires what was due when the turn began, but no timer that was started since:
   timers which start each other anew must not keep the loop from polling. */
static void fire_timers(astrum_loop *loop, uint64_t begin) {
  uint64_t order = loop->timer_order, real = loop->real;
  int fired = 0;
  while (loop->timers.count > 0 && loop->timers.entries[0].due <= begin &&
         loop->timers.entries[0].timer->order < order) {
    astrum_timer *timer = loop->timers.entries[0].timer;
    astrum__heap_remove(&loop->timers, timer);
    timer->fire(timer);
    if (++fired % TIMERS_PER_LOOK == 0) {
      astrum_loop_now(loop);
      if (loop->real - real > TURN_MAX)
        return;
    }
  }
}

/* --- turning */

static void set_alarm(astrum_loop *loop, uint64_t due) {
  if (due == loop->alarm)
    return;
  /* The alarm of a forked process is that of its parent. */
  if (astrum_loop_forked(loop))
    return;
  uv_handle_t *handle = (uv_handle_t *)&loop->handles->alarm;
  loop->alarm = due;
#ifdef __linux__
  struct itimerspec when = {{0, 0}, {0, 0}};
  if (due != ASTRUM_NEVER) {
    /* Zero would disarm it; a time that has passed fires at once. */
    when.it_value.tv_sec = (time_t)(due / UINT64_C(1000000000));
    when.it_value.tv_nsec = (long)(due % UINT64_C(1000000000));
    if (due == 0)
      when.it_value.tv_nsec = 1;
  }
  timerfd_settime(loop->handles->alarm_fd, TFD_TIMER_ABSTIME, &when, NULL);
#endif
  if (due == ASTRUM_NEVER)
    uv_unref(handle);
  else
    uv_ref(handle);
}

static void on_idle(uv_idle_t *idle);
#ifndef __linux__
static void on_alarm(uv_timer_t *alarm);
#endif

/* When there is something to do next. */
static uint64_t next_due(const astrum_loop *loop) {
  uint64_t due = astrum_sched_wake(loop->sched);
  if (loop->timers.count > 0 && loop->timers.entries[0].due < due)
    due = loop->timers.entries[0].due;
  return due;
}

/* Makes sure that the loop turns when there is something to do. */
static void schedule(astrum_loop *loop) {
  if (loop->turning)
    return;
  uint64_t due = next_due(loop);
  uv_idle_t *idle = &loop->handles->idle;
  if (due <= loop->now) {
    if (!uv_is_active((uv_handle_t *)idle))
      uv_idle_start(idle, on_idle);
    set_alarm(loop, ASTRUM_NEVER);
    return;
  }
  uv_idle_stop(idle);
  /* Virtual time is moved by astrum_loop_run. */
  if (loop->is_virtual)
    due = ASTRUM_NEVER;
  else if (due != ASTRUM_NEVER)
    due -= loop->ahead;
#ifndef __linux__
  if (due != ASTRUM_NEVER && due != loop->alarm) {
    uint64_t wait = (due - loop->real + 999999) / 1000000;
    uv_update_time(loop->uv);
    uv_timer_start(&loop->handles->alarm, on_alarm, wait, 0);
  }
#endif
  set_alarm(loop, due);
}

static void dispatch(astrum_loop *loop, const astrum_action *action) {
  const astrum_executor *executor = &loop->executor;
  switch ((astrum_action_kind)action->kind) {
  case ASTRUM_START:
    executor->start(loop->user, action);
    break;
  case ASTRUM_EXPAND:
    executor->expand(loop->user, action);
    break;
  case ASTRUM_RESUME:
    executor->resume(loop->user, action);
    break;
  case ASTRUM_CANCEL:
    executor->cancel(loop->user, action);
    break;
  case ASTRUM_DONE:
  case ASTRUM_CLOSED:
    executor->ended(loop->user, action);
    break;
  case ASTRUM_CHANGED:
    executor->changed(loop->user, action);
    break;
  }
}

/* Carries out the next action. Returns 0 when there is none. */
static int act(astrum_loop *loop, astrum_action *action) {
  if (astrum_sched_next(loop->sched, loop->now, action, 1) == 0)
    return 0;
  loop->looked = 0;
  dispatch(loop, action);
  if (!loop->looked)
    astrum_loop_now(loop);
  return 1;
}

static void turn(astrum_loop *loop) {
  astrum_action action;
  if (loop->turning) {
    /* A callback turns the host's loop itself. What is to be done waits until
       it has returned, and must not keep that loop going until then. */
    uv_idle_stop(&loop->handles->idle);
    set_alarm(loop, ASTRUM_NEVER);
    return;
  }
  astrum_loop_now(loop);
  uint64_t begin = loop->real;
  loop->turning = 1;
  /* What is asked to stop hears of it before a timer could wake it. */
  while (astrum__sched_stops(loop->sched) && act(loop, &action)) {
  }
  fire_timers(loop, loop->now);
  astrum_loop_now(loop);
  /* One at a time: an action carried out in place decides what comes next,
     and the end of one task is the start of the next. */
  while (act(loop, &action)) {
    /* CLOSED follows DONE at once: who waits for a verdict may rely on it. */
    if (loop->real - begin > TURN_MAX && action.kind != ASTRUM_DONE)
      break;
  }
  if (loop->executor.settled)
    loop->executor.settled(loop->user);
  loop->turning = 0;
  schedule(loop);
}

void astrum__loop_turn(astrum_loop *loop) {
  if (loop->own)
    turn(loop);
}

static void on_idle(uv_idle_t *idle) {
  turn(astrum__container_of(idle, handles, idle)->loop);
}

static void on_async(uv_async_t *async) {
  astrum_loop *loop = astrum__container_of(async, handles, async)->loop;
  uint8_t was_turning = loop->turning;
  loop->turning = 1;
  if (loop->executor.woken)
    loop->executor.woken(loop->user);
  loop->turning = was_turning;
  turn(loop);
}

#ifdef __linux__
static void on_alarm(uv_poll_t *alarm, int status, int events) {
  (void)status;
  (void)events;
  handles *h = astrum__container_of(alarm, handles, alarm);
  uint64_t expirations;
  if (read(h->alarm_fd, &expirations, sizeof expirations) < 0)
    return;
  h->loop->alarm = ASTRUM_NEVER;
  uv_unref((uv_handle_t *)alarm);
  turn(h->loop);
}
#else
static void on_alarm(uv_timer_t *alarm) {
  handles *h = astrum__container_of(alarm, handles, alarm);
  h->loop->alarm = ASTRUM_NEVER;
  uv_unref((uv_handle_t *)alarm);
  turn(h->loop);
}
#endif

/* --- making and freeing */

static void on_close(uv_handle_t *handle, handles *h) {
  (void)handle;
  if (--h->open > 0)
    return;
  astrum_alloc alloc = h->alloc;
  astrum__free(&alloc, h, sizeof *h);
}

static void on_idle_close(uv_handle_t *handle) {
  on_close(handle, astrum__container_of((uv_idle_t *)handle, handles, idle));
}

static void on_async_close(uv_handle_t *handle) {
  on_close(handle, astrum__container_of((uv_async_t *)handle, handles, async));
}

#ifdef __linux__
static void on_alarm_close(uv_handle_t *handle) {
  handles *h = astrum__container_of((uv_poll_t *)handle, handles, alarm);
  close(h->alarm_fd);
  on_close(handle, h);
}

static astrum_err open_alarm(uv_loop_t *uv, handles *h) {
  h->alarm_fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
  if (h->alarm_fd < 0)
    return ASTRUM_ESYSTEM;
  if (uv_poll_init(uv, &h->alarm, h->alarm_fd) != 0) {
    close(h->alarm_fd);
    return ASTRUM_ESYSTEM;
  }
  h->open++;
  if (uv_poll_start(&h->alarm, UV_READABLE, on_alarm) != 0)
    return ASTRUM_ESYSTEM;
  return ASTRUM_OK;
}
#else
static void on_alarm_close(uv_handle_t *handle) {
  on_close(handle, astrum__container_of((uv_timer_t *)handle, handles, alarm));
}

static astrum_err open_alarm(uv_loop_t *uv, handles *h) {
  uv_timer_init(uv, &h->alarm);
  h->open++;
  return ASTRUM_OK;
}
#endif

static astrum_err open_handles(uv_loop_t *uv, handles *h) {
  uv_idle_init(uv, &h->idle);
  h->idle.data = NULL;
  h->open = 1;
  if (uv_async_init(uv, &h->async, on_async) != 0)
    return ASTRUM_ESYSTEM;
  h->async.data = NULL;
  h->open++;
  uv_unref((uv_handle_t *)&h->async);
  astrum_err err = open_alarm(uv, h);
  h->alarm.data = NULL;
  if (!err)
    uv_unref((uv_handle_t *)&h->alarm);
  return err;
}

/* The handles free themselves when libuv has closed the last of them. */
static void close_handles(handles *h) {
  int open = h->open;
  h->loop = NULL;
  if (open == 0) {
    astrum__free(&h->alloc, h, sizeof *h);
    return;
  }
  if (!uv_is_closing((uv_handle_t *)&h->idle))
    uv_close((uv_handle_t *)&h->idle, on_idle_close);
  if (open > 1 && !uv_is_closing((uv_handle_t *)&h->async))
    uv_close((uv_handle_t *)&h->async, on_async_close);
  if (open > 2 && !uv_is_closing((uv_handle_t *)&h->alarm))
    uv_close((uv_handle_t *)&h->alarm, on_alarm_close);
}

static void close_own(astrum_loop *loop) {
  if (!loop->own)
    return;
  /* Handles of whoever else used it are the host's to close. */
  for (int i = 0; i < 100 && uv_loop_close(loop->own) == UV_EBUSY; i++)
    uv_run(loop->own, UV_RUN_NOWAIT);
  astrum__free(&loop->alloc, loop->own, sizeof *loop->own);
}

/* libuv ends the process when it has no descriptors for what all loops share.
   It makes that with the first one. */
static int has_descriptors(void) {
  uv_file ends[2];
  if (uv_pipe(ends, 0, 0) != 0)
    return 0;
  int third = dup(ends[0]);
  close(ends[0]);
  close(ends[1]);
  if (third >= 0)
    close(third);
  return third >= 0;
}

astrum_err astrum_loop_new(const astrum_loop_options *options,
                           astrum_loop **out) {
  const astrum_executor *executor = options->executor;
  if (options->size != sizeof *options || !executor ||
      executor->size != sizeof *executor || !executor->start ||
      !executor->cancel || !executor->ended)
    return ASTRUM_EINVAL;
  astrum_alloc alloc = astrum__alloc_or_default(options->alloc);
  astrum_loop *loop = astrum__zalloc(&alloc, 1, sizeof *loop);
  if (!loop)
    return ASTRUM_ENOMEM;
  loop->alloc = alloc;
  loop->executor = *executor;
  loop->user = options->user;
  loop->alarm = ASTRUM_NEVER;
  loop->uv = options->uv;
  astrum__origin_set(&loop->origin);
  astrum_err err = ASTRUM_ENOMEM;
  if (!loop->uv) {
    uv_loop_t *own = astrum__zalloc(&alloc, 1, sizeof *own);
    if (!own)
      goto fail;
    if (!has_descriptors() || uv_loop_init(own) != 0) {
      astrum__free(&alloc, own, sizeof *own);
      err = ASTRUM_ESYSTEM;
      goto fail;
    }
    loop->uv = loop->own = own;
  }
  loop->handles = astrum__zalloc(&alloc, 1, sizeof *loop->handles);
  if (!loop->handles)
    goto fail;
  loop->handles->alloc = alloc;
  loop->handles->loop = loop;
  err = open_handles(loop->uv, loop->handles);
  if (!err)
    err = astrum_sched_new(&alloc, &loop->sched);
  if (err)
    goto fail;
  astrum_loop_now(loop);
  *out = loop;
  return ASTRUM_OK;
fail:
  astrum_loop_free(loop);
  return err;
}

void astrum_loop_free(astrum_loop *loop) {
  if (!loop)
    return;
  astrum_alloc alloc = loop->alloc;
  /* A child shares the kernel's end of the loop with its parent, who would not
     hear of its descriptors any more if they were closed there. */
  if (astrum_loop_forked(loop))
    uv_loop_fork(loop->uv);
  if (loop->sched)
    astrum__processes_kill_all(loop);
  if (loop->handles)
    close_handles(loop->handles);
  close_own(loop);
  astrum_sched_free(loop->sched);
  astrum__free(&alloc, loop->timers.entries,
               loop->timers.capacity * sizeof *loop->timers.entries);
  astrum__origin_free(&loop->origin);
  astrum__free(&alloc, loop, sizeof *loop);
}

/* --- for the host */

astrum_sched *astrum_loop_sched(astrum_loop *loop) { return loop->sched; }

struct uv_loop_s *astrum_loop_uv(astrum_loop *loop) {
  return loop->uv;
}

const astrum_alloc *astrum__loop_alloc(astrum_loop *loop) {
  return &loop->alloc;
}

struct astrum_process **astrum__loop_processes(astrum_loop *loop) {
  return &loop->processes;
}

uint64_t astrum_loop_now(astrum_loop *loop) {
  loop->looked = 1;
  loop->real = uv_hrtime();
  if (!loop->is_virtual)
    loop->now = loop->real + loop->ahead;
  return loop->now;
}

void astrum_loop_virtual(astrum_loop *loop, int on) {
  astrum_loop_now(loop);
  loop->is_virtual = on != 0;
  loop->ahead = loop->now - loop->real;
  schedule(loop);
}

uint64_t astrum_loop_system_time(const astrum_loop *loop, uint64_t time) {
  if (loop->is_virtual || time == ASTRUM_NEVER)
    return ASTRUM_NEVER;
  return time - loop->ahead;
}

int astrum_loop_turning(const astrum_loop *loop) {
  return loop->turning || loop->running;
}

int astrum_loop_forked(const astrum_loop *loop) {
  return astrum__origin_left(&loop->origin);
}

void astrum_loop_wake(astrum_loop *loop) {
  uv_async_send(&loop->handles->async);
}

void astrum_loop_hold(astrum_loop *loop, int on) {
  uv_handle_t *async = (uv_handle_t *)&loop->handles->async;
  if (on)
    uv_ref(async);
  else
    uv_unref(async);
}

astrum_err astrum_loop_begin(astrum_loop *loop, astrum_run run) {
  astrum_err err = astrum_sched_begin(loop->sched, run, astrum_loop_now(loop));
  schedule(loop);
  return err;
}

astrum_err astrum_loop_cancel(astrum_loop *loop, astrum_run run,
                              astrum_cause cause) {
  astrum_err err =
      astrum_sched_cancel(loop->sched, run, cause, astrum_loop_now(loop));
  schedule(loop);
  return err;
}

astrum_err astrum_loop_finished(astrum_loop *loop, astrum_ticket ticket,
                                astrum_outcome outcome) {
  astrum_err err = astrum_sched_finished(loop->sched, ticket, outcome,
                                         astrum_loop_now(loop));
  schedule(loop);
  return err;
}

astrum_err astrum_loop_waiting(astrum_loop *loop, astrum_ticket ticket,
                               int waiting) {
  astrum_err err =
      astrum_sched_waiting(loop->sched, ticket, waiting, astrum_loop_now(loop));
  schedule(loop);
  return err;
}

astrum_err astrum_loop_expanded(astrum_loop *loop, astrum_ticket ticket,
                                uint32_t items) {
  astrum_err err =
      astrum_sched_expanded(loop->sched, ticket, items, astrum_loop_now(loop));
  schedule(loop);
  return err;
}

astrum_err astrum_loop_progress(astrum_loop *loop, astrum_ticket ticket) {
  astrum_err err =
      astrum_sched_progress(loop->sched, ticket, astrum_loop_now(loop));
  schedule(loop);
  return err;
}

/* Whether virtual time has a deadline to move to. */
static int may_move(const astrum_loop *loop) {
  return loop->is_virtual && next_due(loop) != ASTRUM_NEVER;
}

/* Moves it if only that is waited for. Our own handles count for libuv only
   when there is work at once. */
static void move_time(astrum_loop *loop) {
  uint64_t due = next_due(loop);
  if (!may_move(loop) || due <= loop->now || uv_loop_alive(loop->uv))
    return;
  loop->now = due;
  schedule(loop);
}

astrum_err astrum_loop_run(astrum_loop *loop, int (*until)(void *),
                           void *user) {
  if (astrum_loop_turning(loop))
    return ASTRUM_EBUSY;
  if (astrum_loop_forked(loop))
    return ASTRUM_EINVAL;
  while (!until(user)) {
    move_time(loop);
    loop->running = 1;
    int alive = uv_run(loop->uv, UV_RUN_ONCE);
    loop->running = 0;
    if (!alive && !until(user) && !may_move(loop))
      return ASTRUM_EIDLE;
  }
  return ASTRUM_OK;
}
