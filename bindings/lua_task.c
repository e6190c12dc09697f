/*
 * Running attempts. An attempt begins with one strand, the body, and may get
 * more by astrum.all. Strands are resumed here and nowhere else, under the
 * guard of lua_preempt.c; between two bodies there is no Lua code of ours.
 */
#include "attempt.h"
#include "preempt.h"
#include "thread.h"
#include "wait.h"

#include <stddef.h>
#include <string.h>

/* --- running */

static void replace_by_text(engine *e, lua_State *co, const char *text) {
  lua_pushcfunction(e->L, binding_push_text);
  lua_pushlightuserdata(e->L, (void *)text);
  lua_pcall(e->L, 1, 1, 0);
  lua_xmove(e->L, co, 1);
}

/*
 * The guard has stopped a strand, which may just have begun to wait. After a
 * signal it fails. When its time is over the scheduler knows it too and asks in
 * this turn of the loop for the end of the attempt.
 */
static void stopped(engine *e, strand *s, const guarded *g, int by) {
  if (s->attempt)
    binding_keep_place(e, s, g);
  if (by != STOPPED_BY_TIME && s->attempt && s->attempt->root == s)
    binding_note_place(e, s->attempt);
  if (s->attempt && (s->waits == WAIT_RUN || s->waits == WAIT_GROUP))
    s->attempt->busy++;
  binding_cancel_wait(e, s);
  astrum_timer_stop(e->loop, &s->timer);
  s->waits = WAIT_CANCEL;
  if (by == STOPPED_BY_TIME)
    return;
  s->waits = WAIT_NONE;
  if (lua_checkstack(s->co, 1))
    replace_by_text(e, s->co, "interrupted");
  binding_end_badly(e, s, "raised");
}

/* When the attempt of a strand must be over, on the system's clock. */
static uint64_t due_of(engine *e, const strand *s) {
  const attempt *a = s->attempt;
  if (!a || !a->limited)
    return ASTRUM_NEVER;
  return astrum_loop_system_time(
      e->loop, astrum_sched_due(astrum_loop_sched(e->loop), a->ticket));
}

/* A body that has come back too late is told of where it cannot be stopped. */
static void tell_overrun(engine *e, const attempt *a) {
  uint64_t due = astrum_sched_due(astrum_loop_sched(e->loop), a->ticket);
  uint64_t now = astrum_loop_now(e->loop);
  if (now >= due)
    binding_preempt_overran(e, a, now - a->begin, due - a->begin);
}

void binding_resume(engine *e, strand *s, int count) {
  binding_flush_jobs(e);
  lua_State *co = s->co;
  int results = 0;
  /* Not NULL when a task turns the loop itself, through luv. */
  strand *outer = e->current;
  e->current = s;
  s->waits = WAIT_NONE;
  s->granted = 1;
  guarded guard;
  binding_preempt_enter(e, &guard, co, s->attempt, due_of(e, s));
  if (binding_is_asked(e))
    binding_preempt_ask(e);
  int status = lua_resume(co, e->L, count, &results);
  int by = binding_preempt_leave(e, &guard);
  e->current = outer;
  if (e->stop_runs)
    binding_stop_runs(e);
  if (!by && s->attempt && s->attempt->limited)
    tell_overrun(e, s->attempt);
  if (by) {
    stopped(e, s, &guard, by);
  } else if (status == LUA_OK) {
    binding_end_well(e, s, results);
  } else if (status != LUA_YIELD) {
    binding_end_badly(e, s, "raised");
  } else if (s->waits != WAIT_NONE && results == 1 &&
             lua_touserdata(co, -1) == &binding_token) {
    lua_pop(co, 1);
  } else {
    lua_settop(co, 0);
    replace_by_text(e, co,
                    "coroutine.yield was called in the task itself, where "
                    "nobody would resume it; wait with astrum.sleep, "
                    "astrum.await or astrum.all, and yield only in coroutines "
                    "of your own");
    binding_end_badly(e, s, "yielded");
  }
}

/* Whether a coroutine is as it was left when its strand began to wait; whoever
   has got hold of it can resume or close it. */
static int is_untouched(const strand *s) {
  if (s->waits == WAIT_START)
    return lua_status(s->co) == LUA_OK && lua_gettop(s->co) == 1 &&
           !binding_is_running(s);
  return lua_status(s->co) == LUA_YIELD;
}

/* Goes on with a strand whose wait is over. */
static void wake(engine *e, strand *s) {
  if (is_untouched(s)) {
    binding_resume(e, s, 0);
    return;
  }
  lua_State *co = s->co;
  int top = lua_gettop(co);
  int runs = binding_is_running(s);
  binding_cancel_wait(e, s);
  replace_by_text(e, s->co,
                  "the task's coroutine was resumed by other code while it "
                  "waited");
  binding_end_badly(e, s, "resumed");
  if (runs) /* whoever resumed it turns the loop in it */
    lua_settop(co, top);
}

void binding_strand_timer(astrum_timer *timer) {
  strand *s = (strand *)(void *)((char *)timer - offsetof(strand, timer));
  wake(s->engine, s);
}

/* --- the executor */

static attempt *new_attempt(engine *e, run *r, astrum_ticket ticket) {
  attempt *a = e->free_attempts;
  if (a)
    e->free_attempts = a->next;
  else
    a = binding_take(e, sizeof *a);
  if (!a)
    return NULL;
  memset(a, 0, sizeof *a);
  a->run = r;
  a->ticket = ticket;
  a->slot = 1;
  return a;
}

static void out_of_memory(engine *e, run *r, astrum_ticket ticket) {
  binding_push_no_memory(e);
  binding_store_error(e, r, ticket);
  astrum_loop_finished(e->loop, ticket, ASTRUM_FAILURE);
}

/* Makes an attempt that has no strand yet; NULL when there is no memory, and
   then it has been answered. */
static attempt *begin(engine *e, const astrum_action *action) {
  run *r = action->user;
  attempt *a = new_attempt(e, r, action->ticket);
  if (!a) {
    out_of_memory(e, r, action->ticket);
    return NULL;
  }
  a->limited = r->limited || r->program->bodies[action->ticket.task].limited;
  if (a->limited)
    a->begin = astrum_loop_now(e->loop);
  *binding_attempt_at(r, &action->ticket) = a;
  return a;
}

/* Gives it the first one. Returns 0 when it has been answered for want of
   memory. */
static int begin_body(engine *e, attempt *a) {
  a->root = binding_new_strand(e, a);
  if (a->root)
    return 1;
  run *r = a->run;
  astrum_ticket ticket = a->ticket;
  binding_free_attempt(e, a);
  out_of_memory(e, r, ticket);
  return 0;
}

static void begin_prelude(engine *e, attempt *a) {
  strand *s = a->root;
  lua_pushcfunction(s->co, binding_prelude);
  lua_pushlightuserdata(s->co, a);
  binding_resume(e, s, 1);
}

static void on_start(void *user, const astrum_action *action) {
  engine *e = user;
  if (e->closed)
    return;
  run *r = action->user;
  attempt *a = begin(e, action);
  if (!a)
    return;
  if (action->ticket.attempt > 1)
    binding_clear_progress(e, r, action->ticket.task);
  binding_pin(e, r);
  if (!binding_asks(e->L, a))
    binding_tell_start(e, a);
  int top = lua_gettop(e->slots);
  int count = binding_push_call(e, a);
  if ((count >= 0 && binding_call_directly(e, a, count)) || !begin_body(e, a)) {
    lua_settop(e->slots, top);
    return;
  }
  strand *s = a->root;
  if (count == -1) {
    begin_prelude(e, a);
  } else if (count == -2) {
    lua_xmove(e->slots, s->co, 1);
    binding_fail_body(e, s, "input", 1);
  } else if (!lua_checkstack(s->co, count + LUA_MINSTACK)) {
    lua_settop(e->slots, top);
    lua_pushnil(s->co);
    a->problem.problem = PROBLEM_TOO_MANY;
    binding_fail_body(e, s, "input", 1);
  } else {
    lua_xmove(e->slots, s->co, count + 1);
    binding_resume(e, s, count);
  }
}

static void on_expand(void *user, const astrum_action *action) {
  engine *e = user;
  if (e->closed)
    return;
  attempt *a = begin(e, action);
  if (!a || !begin_body(e, a))
    return;
  a->expands = 1;
  binding_pin(e, a->run);
  begin_prelude(e, a);
}

static void on_resume(void *user, const astrum_action *action) {
  const engine *e = user;
  if (e->closed)
    return;
  run *r = action->user;
  attempt *a = *binding_attempt_at(r, &action->ticket);
  a->slot = 1;
  a->asked = 0;
  for (strand *s = a->strands; s; s = s->next)
    if (s->waits == WAIT_SLOT)
      binding_wake_soon(s);
}

static void on_cancel(void *user, const astrum_action *action) {
  engine *e = user;
  if (e->closed)
    return;
  binding_flush_jobs(e);
  run *r = action->user;
  attempt *a = *binding_attempt_at(r, &action->ticket);
  if (a->ended)
    return; /* it answers when what is left of it is gone */
  astrum_outcome outcome = ASTRUM_STOPPED;
  if (action->cause == ASTRUM_CAUSE_TIMEOUT ||
      action->cause == ASTRUM_CAUSE_IDLE)
    outcome = binding_time_out(e, a, (astrum_cause)action->cause);
  else if (action->cause != ASTRUM_CAUSE_FAILURE &&
           action->cause != ASTRUM_CAUSE_ITEM)
    binding_note_place(e, a);
  if (a->call)
    binding_cancel_direct(e, a);
  while (a->strands)
    binding_end_strand(e, a->strands);
  binding_finish(e, a, outcome);
}

static void on_woken(void *user) {
  engine *e = user;
  if (e->closed)
    return;
  if (e->stop_runs || binding_is_asked(e))
    binding_stop_runs(e);
  binding_threads_woken(e);
  /* Inside a callback that turns the loop nothing is settled before its end. */
  binding_flush_jobs(e);
}

static void on_settled(void *user) {
  engine *e = user;
  binding_flush_jobs(e);
  if (e->call_count == 0 || e->closed || e->forked)
    return;
  binding_threads_settle(e);
  binding_flush_jobs(e);
}

const astrum_executor binding_executor = {
    .size = sizeof(astrum_executor),
    .start = on_start,
    .expand = on_expand,
    .changed = binding_run_changed,
    .resume = on_resume,
    .cancel = on_cancel,
    .ended = binding_run_ended,
    .woken = on_woken,
    .settled = on_settled,
};
