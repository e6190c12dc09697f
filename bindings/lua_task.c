/*
 * Attempts and their strands.
 *
 * An attempt begins with one strand, the body. A strand is a coroutine from a
 * pool and what it waits for; the engine alone resumes it. When the body is
 * over, however it ends, the coroutine is closed, so that its to-be-closed
 * variables have run, and goes back to the pool. The attempt is answered once
 * nothing of it is left: no process that is being ended, no child run.
 *
 * Between two bodies there is no Lua code of ours.
 */
#include "binding.h"

#include <string.h>

/* Coroutines that are kept for the next attempts; the others are garbage. */
#define POOL_MAX 256

/* Its address is what our coroutines yield; nobody else can. */
static const char token = 0;

static void *take_memory(engine *e, size_t size) {
  return e->alloc.fn(e->alloc.user, NULL, 0, size);
}

static void give_memory(engine *e, void *ptr, size_t size) {
  e->alloc.fn(e->alloc.user, ptr, size, 0);
}

void binding_free_pools(engine *e) {
  binding_free_children(e);
  while (e->free_attempts) {
    attempt *a = e->free_attempts;
    e->free_attempts = a->next;
    give_memory(e, a, sizeof *a);
  }
  while (e->free_strands) {
    strand *s = e->free_strands;
    e->free_strands = s->next;
    give_memory(e, s, sizeof *s);
  }
  size_t capacity = (size_t)e->coroutine_capacity;
  if (e->idle)
    give_memory(e, e->idle, capacity * sizeof *e->idle);
  if (e->numbers)
    give_memory(e, e->numbers, capacity * sizeof *e->numbers);
  e->idle = NULL;
  e->numbers = NULL;
  e->idle_count = e->number_count = e->coroutine_capacity = 0;
}

/* --- coroutines */

/* Makes room to take every coroutine back without needing memory then. */
static int grow_pool(engine *e) {
  if (e->coroutine_count < e->coroutine_capacity)
    return 1;
  size_t old = (size_t)e->coroutine_capacity;
  size_t capacity = old ? old * 2 : 64;
  pooled *idle = e->alloc.fn(e->alloc.user, e->idle, old * sizeof *idle,
                             capacity * sizeof *idle);
  if (!idle)
    return 0;
  e->idle = idle;
  int *numbers = e->alloc.fn(e->alloc.user, e->numbers, old * sizeof *numbers,
                             capacity * sizeof *numbers);
  if (!numbers) {
    /* Shrinking back does not fail. */
    e->idle = e->alloc.fn(e->alloc.user, e->idle, capacity * sizeof *idle,
                          old * sizeof *idle);
    return 0;
  }
  e->numbers = numbers;
  e->coroutine_capacity = (int)capacity;
  return 1;
}

static int new_coroutine(lua_State *L) {
  lua_Integer number = lua_tointeger(L, 2);
  lua_newthread(L);
  lua_pushvalue(L, -1);
  lua_rawseti(L, 1, number);
  return 1;
}

static int take_coroutine(engine *e, strand *s) {
  if (e->idle_count > 0) {
    pooled p = e->idle[--e->idle_count];
    s->co = p.co;
    s->number = p.number;
    return 1;
  }
  if (!grow_pool(e))
    return 0;
  int fresh = e->number_count == 0;
  int number = fresh ? e->coroutine_count + 1 : e->numbers[e->number_count - 1];
  lua_State *L = e->L;
  lua_pushcfunction(L, new_coroutine);
  lua_pushvalue(L, SLOT_COROUTINES);
  lua_pushinteger(L, number);
  int status = lua_pcall(L, 2, 1, 0);
  s->co = status == LUA_OK ? lua_tothread(L, -1) : NULL;
  s->number = number;
  lua_pop(L, 1);
  if (status != LUA_OK)
    return 0;
  if (fresh)
    e->coroutine_count++;
  else
    e->number_count--;
  return 1;
}

/*
 * Takes back a coroutine that has ended well or been reset. One that did not
 * end well is not used again: the code that broke it may know it still.
 */
static void give_coroutine(engine *e, strand *s, int reuse) {
  if (e->closing)
    return;
  if (lua_gethook(s->co))
    lua_sethook(s->co, NULL, 0, 0);
  if (reuse && e->idle_count < POOL_MAX) {
    lua_settop(s->co, 0);
    e->idle[e->idle_count++] = (pooled){s->co, s->number};
    return;
  }
  e->numbers[e->number_count++] = s->number;
  lua_pushnil(e->L);
  lua_rawseti(e->L, SLOT_COROUTINES, s->number);
}

/*
 * Runs what a coroutine that did not end well has left to close. What is raised
 * there is told apart from the error that ended the coroutine, which stays its
 * result, and is reported on its own.
 */
static void reset_coroutine(engine *e, strand *s) {
  const char *refused = e->refuses;
  strand *current = e->current;
  lua_State *L = e->L;
  if (!refused)
    e->refuses = "cleanup cannot wait, the task is over";
  e->current = s;
  int had_failed = lua_status(s->co) > LUA_YIELD;
  if (had_failed && lua_checkstack(s->co, 1)) {
    lua_pushvalue(s->co, -1);
    lua_xmove(s->co, L, 1);
  } else {
    lua_pushnil(L);
  }
  int status = binding_close_coroutine(e, s->co, s->attempt);
  e->current = current;
  e->refuses = refused;
  if (status == LUA_OK) {
    lua_pop(L, 1);
    return;
  }
  lua_xmove(s->co, L, 1);
  int raised = !had_failed || !lua_rawequal(L, -1, -2);
  lua_replace(L, -2);
  if (raised && !e->closed)
    binding_tell_error(e, "the cleanup of a task");
  else
    lua_pop(L, 1);
}

/* --- strands */

static void on_strand_timer(astrum_timer *timer);

strand *binding_new_strand(engine *e, attempt *a) {
  strand *s = e->free_strands;
  if (s)
    e->free_strands = s->next;
  else
    s = take_memory(e, sizeof *s);
  if (!s)
    return NULL;
  memset(s, 0, sizeof *s);
  if (astrum_timer_reserve(e->loop, e->strand_count + 8) != ASTRUM_OK ||
      !take_coroutine(e, s)) {
    s->next = e->free_strands;
    e->free_strands = s;
    return NULL;
  }
  s->engine = e;
  s->attempt = a;
  s->timer.fire = on_strand_timer;
  s->waits = WAIT_START;
  e->strand_count++;
  strand **list = a ? &a->strands : &e->strands;
  s->next = *list;
  s->link = list;
  if (*list)
    (*list)->link = &s->next;
  *list = s;
  if (a)
    a->busy++;
  return s;
}

/* Frees a strand whose coroutine is clean. */
static void drop_strand(engine *e, strand *s, int reuse) {
  give_coroutine(e, s, reuse);
  binding_leave_group(s);
  *s->link = s->next;
  if (s->next)
    s->next->link = s->link;
  s->next = e->free_strands;
  e->free_strands = s;
  e->strand_count--;
}

void binding_end_strand(engine *e, strand *s) {
  if (s->attempt && s->waits != WAIT_RUN && s->waits != WAIT_GROUP)
    s->attempt->busy--;
  if (s->attempt && s->attempt->root == s)
    s->attempt->root = NULL;
  binding_cancel_wait(e, s);
  if (e->loop)
    astrum_timer_stop(e->loop, &s->timer);
  reset_coroutine(e, s);
  drop_strand(e, s, 0);
}

void binding_wake_soon(strand *s) {
  /* Room for the timer was made with the strand. It is due now, behind what
     is due already, so that strands which wake each other hold nobody up. */
  astrum_loop *loop = s->engine->loop;
  astrum_timer_start(loop, &s->timer, astrum_loop_now(loop));
}

/* Gives the slot of an attempt back when all of it waits for runs. */
static void release_slot(engine *e, attempt *a) {
  if (a->busy > 0 || !a->slot || a->ended)
    return;
  a->slot = 0;
  astrum_loop_waiting(e->loop, a->ticket, 1);
}

void binding_rest(strand *s) {
  attempt *a = s->attempt;
  if (!a)
    return;
  a->busy--;
  release_slot(s->engine, a);
}

void binding_need_slot(strand *s) {
  attempt *a = s->attempt;
  s->waits = WAIT_SLOT;
  if (a)
    a->busy++;
  if (!a || a->slot) {
    binding_wake_soon(s);
    return;
  }
  if (a->asked)
    return;
  a->asked = 1;
  astrum_loop_waiting(s->engine->loop, a->ticket, 0);
}

/* --- the ends of attempts */

static void free_attempt(engine *e, attempt *a) {
  a->run->attempts[a->ticket.task] = NULL;
  a->next = e->free_attempts;
  e->free_attempts = a;
}

void binding_drop_attempt(engine *e, attempt *a) {
  while (a->strands)
    binding_end_strand(e, a->strands);
  if (a->context)
    binding_drop_context(e, a);
  free_attempt(e, a);
}

/* Answers for an attempt when nothing of it is left. */
static void answer(engine *e, attempt *a) {
  run *r = a->run;
  if (!a->ended || a->strands || a->processes || a->child_runs)
    return;
  static const char *const names[] = {"succeeded", "failure", "failure",
                                      "stopped"};
  astrum_ticket ticket = a->ticket;
  /* Whatever it has come to, an attempt that was to stop counts as stopped. */
  if (astrum_sched_stopping(astrum_loop_sched(e->loop), ticket))
    a->outcome = ASTRUM_STOPPED;
  int will_retry = a->outcome == ASTRUM_FAILURE &&
                   astrum_sched_will_retry(astrum_loop_sched(e->loop), ticket);
  const char *outcome = names[a->outcome];
  if (a->context)
    binding_drop_context(e, a);
  astrum_loop_finished(e->loop, ticket, (astrum_outcome)a->outcome);
  free_attempt(e, a);
  if (r->waiters)
    binding_tell_waiters(r);
  if (r->wants_events)
    binding_event(e, r, "attempt_finished", ticket.task, ticket.attempt,
                  outcome, will_retry);
}

static void finish(engine *e, attempt *a, astrum_outcome outcome) {
  a->ended = 1;
  a->outcome = (uint8_t)outcome;
  if (outcome != ASTRUM_SUCCEEDED && a->child_runs)
    for (run *r = e->runs; r; r = r->next)
      if (r->parent == a)
        astrum_loop_cancel(e->loop, r->id, ASTRUM_CAUSE_PARENT);
  binding_attempt_relieved(e, a);
}

void binding_attempt_relieved(engine *e, attempt *a) {
  /* The runs that it waits for must not wait for its slot. */
  if (a->ended && a->child_runs && !a->processes && a->slot) {
    a->slot = 0;
    astrum_loop_waiting(e->loop, a->ticket, 1);
  }
  answer(e, a);
}

/* --- failures */

typedef struct {
  attempt *attempt;
  lua_State *co;    /* the error is on its top */
  const char *kind; /* as in the hook `failure` */
} failure;

/* Makes the error object of an attempt and leaves it. */
static int make_failure(lua_State *L) {
  const failure *f = lua_touserdata(L, 1);
  attempt *a = f->attempt;
  luaL_checkstack(L, 12, NULL);
  lua_checkstack(f->co, 1);
  lua_pushvalue(L, 2); /* the hook */
  binding_push_run(L, a->run);
  lua_getiuservalue(L, -1, RUN_DATA);
  lua_remove(L, -2);
  lua_pushinteger(L, (lua_Integer)a->ticket.task + 1);
  lua_pushinteger(L, a->ticket.attempt);
  lua_pushvalue(f->co, -1);
  lua_xmove(f->co, L, 1);
  int value = lua_gettop(L);
  /* A member of astrum.all that failed has left its own traceback. */
  binding_anchored(L, &a->problem);
  if (lua_istable(L, -1)) {
    lua_rawgeti(L, -1, 1);
    int same = lua_rawequal(L, -1, value);
    lua_pop(L, 1);
    lua_rawgeti(L, -1, 2);
    lua_replace(L, -2);
    lua_pushnil(L);
    binding_anchor(L, &a->problem);
    if (!same) {
      lua_pop(L, 1);
      lua_pushnil(L);
    }
  }
  luaL_traceback(L, f->co, NULL, 0);
  if (lua_isstring(L, -2)) {
    lua_pushliteral(L, "\n");
    lua_insert(L, -2);
    lua_concat(L, 3);
  } else {
    lua_replace(L, -2);
  }
  lua_pushstring(L, f->kind);
  lua_call(L, 6, 1);
  return 1;
}

/* Pushes the error object for what is on the top of a coroutine. */
static void push_failure(engine *e, attempt *a, lua_State *co,
                         const char *kind) {
  lua_State *L = e->L;
  failure f = {a, co, kind};
  lua_pushcfunction(L, make_failure);
  lua_pushlightuserdata(L, &f);
  binding_push_hook(L, binding_on_failure);
  /* Should the hook fail, its error stands in for the object. */
  lua_pcall(L, 2, 1, 0);
}

/* Tells of an input that could not be resolved; the value is on the top of
   `from`. Pushes the error object onto engine->L. */
static void push_input_failure(engine *e, attempt *a, lua_State *from) {
  lua_State *L = e->L;
  /* A copy: closing a coroutine that failed looks at its error. */
  lua_pushvalue(from, -1);
  lua_xmove(from, L, 1);
  int value = lua_gettop(L);
  binding_push_run(L, a->run);
  lua_getiuservalue(L, -1, RUN_DATA);
  lua_replace(L, -2);
  lua_pushinteger(L, (lua_Integer)a->ticket.task + 1);
  lua_pushinteger(L, a->ticket.attempt);
  lua_pushinteger(L, a->problem.problem);
  lua_pushinteger(L, (lua_Integer)a->problem.argument + 1);
  lua_pushinteger(L, a->problem.step);
  lua_rotate(L, value, -1);
  if (!binding_hook(e, binding_on_input, 7, 1))
    lua_pushnil(L);
}

/* The body has failed; its error is on the top of its coroutine. */
static void fail_body(engine *e, strand *s, const char *kind, int was_closed) {
  attempt *a = s->attempt;
  astrum_outcome outcome = ASTRUM_FAILURE;
  if (a->problem.problem != PROBLEM_NONE) {
    outcome = ASTRUM_FAILURE_FINAL;
    push_input_failure(e, a, s->co);
  } else {
    push_failure(e, a, s->co, kind);
  }
  binding_store_error(e, a->run, a->ticket);
  a->root = NULL;
  a->busy--;
  if (!was_closed)
    reset_coroutine(e, s);
  drop_strand(e, s, was_closed);
  finish(e, a, outcome);
}

/* Keeps the traceback of a member for the failure of the body: a pair of the
   error and the text, which begins with that of the member's own member, if
   the error comes from there. Argument: the strand as light userdata. */
static int keep_traceback(lua_State *L) {
  strand *s = lua_touserdata(L, 1);
  lua_createtable(L, 2, 0);
  lua_pushvalue(s->co, -1);
  lua_xmove(s->co, L, 1);
  luaL_traceback(L, s->co, NULL, 0);
  binding_anchored(L, &s->attempt->problem);
  if (lua_istable(L, -1)) {
    lua_rawgeti(L, -1, 1);
    if (lua_rawequal(L, -1, 3)) {
      lua_rawgeti(L, -2, 2);
      lua_pushliteral(L, "\n");
      lua_pushvalue(L, 4);
      lua_concat(L, 3);
      lua_replace(L, 4);
    }
  }
  lua_settop(L, 4);
  lua_rawseti(L, 2, 2);
  lua_rawseti(L, 2, 1);
  binding_anchor(L, &s->attempt->problem);
  return 0;
}

/* A member of a group is over; its result or error is on the top of its
   coroutine. */
static void end_member(engine *e, strand *s, int failed, int was_closed) {
  if (failed && s->attempt) {
    lua_pushcfunction(e->L, keep_traceback);
    lua_pushlightuserdata(e->L, s);
    if (lua_pcall(e->L, 1, 0, 0) != LUA_OK)
      lua_pop(e->L, 1);
  }
  lua_xmove(s->co, e->L, 1);
  if (!was_closed)
    reset_coroutine(e, s);
  attempt *a = s->attempt;
  if (a)
    a->busy--;
  binding_member_ended(e, s, failed);
  drop_strand(e, s, was_closed);
  if (a)
    release_slot(e, a);
}

/* A coroutine has ended well with `count` values. */
static void end_well(engine *e, strand *s, int count) {
  lua_State *co = s->co;
  int failed = count >= 2 && lua_isnil(co, -count) && !lua_isnil(co, 1 - count);
  if (failed) /* return nil, e */
    lua_settop(co, lua_gettop(co) - count + 2);
  else if (count == 0)
    lua_pushnil(co);
  else
    lua_settop(co, lua_gettop(co) - count + 1);
  if (s->member_of) {
    end_member(e, s, failed, 1);
    return;
  }
  if (failed) {
    fail_body(e, s, "returned", 1);
    return;
  }
  attempt *a = s->attempt;
  lua_xmove(co, e->L, 1);
  binding_pin(e, a->run);
  lua_rawseti(e->L, SLOT_RESULTS, (lua_Integer)a->ticket.task + 1);
  a->root = NULL;
  a->busy--;
  drop_strand(e, s, 1);
  finish(e, a, ASTRUM_SUCCEEDED);
}

static void end_badly(engine *e, strand *s, const char *kind) {
  if (s->member_of)
    end_member(e, s, 1, 0);
  else
    fail_body(e, s, kind, 0);
}

/* --- running */

/* Replaces what is on the stack of a coroutine by a text; needs no memory
   when the text was made before, which a literal may not be. */
static int push_text(lua_State *L) {
  lua_pushstring(L, lua_touserdata(L, 1));
  return 1;
}

static void replace_by_text(engine *e, lua_State *co, const char *text) {
  lua_pushcfunction(e->L, push_text);
  lua_pushlightuserdata(e->L, (void *)text);
  lua_pcall(e->L, 1, 1, 0);
  lua_xmove(e->L, co, 1);
}

/* Ends a strand that a signal has stopped. It may just have begun to wait. */
static void end_stopped(engine *e, strand *s) {
  if (s->attempt && (s->waits == WAIT_RUN || s->waits == WAIT_GROUP))
    s->attempt->busy++;
  binding_cancel_wait(e, s);
  astrum_timer_stop(e->loop, &s->timer);
  s->waits = WAIT_NONE;
  if (lua_checkstack(s->co, 1))
    replace_by_text(e, s->co, "interrupted");
  end_badly(e, s, "raised");
}

/* Resumes a strand with the `count` values on the top of its stack. */
static void resume(engine *e, strand *s, int count) {
  lua_State *co = s->co;
  int results = 0;
  /* Not NULL when a task turns the loop itself, through luv. */
  strand *outer = e->current;
  e->current = s;
  s->waits = WAIT_NONE;
  s->granted = 1;
  guarded guard;
  binding_preempt_enter(e, &guard, co, s->attempt, ASTRUM_NEVER);
  int status = lua_resume(co, e->L, count, &results);
  int stopped = binding_preempt_leave(e, &guard);
  e->current = outer;
  if (e->stop_runs)
    binding_stop_runs(e);
  if (stopped) {
    end_stopped(e, s);
  } else if (status == LUA_OK) {
    end_well(e, s, results);
  } else if (status != LUA_YIELD) {
    end_badly(e, s, "raised");
  } else if (s->waits != WAIT_NONE && results == 1 &&
             lua_touserdata(co, -1) == &token) {
    lua_pop(co, 1);
  } else {
    lua_settop(co, 0);
    replace_by_text(e, co,
                    "coroutine.yield was called in the task itself, where "
                    "nobody would resume it; wait with astrum.sleep, "
                    "astrum.await or astrum.all, and yield only in coroutines "
                    "of your own");
    end_badly(e, s, "yielded");
  }
}

/* Goes on with a strand whose wait is over. */
static void wake(engine *e, strand *s) {
  if (s->waits == WAIT_START) {
    resume(e, s, lua_gettop(s->co) - 1);
    return;
  }
  if (lua_status(s->co) != LUA_YIELD) {
    replace_by_text(e, s->co,
                    "the task's coroutine was resumed by other code while it "
                    "waited");
    end_badly(e, s, "resumed");
    return;
  }
  resume(e, s, 0);
}

static void on_strand_timer(astrum_timer *timer) {
  strand *s = (strand *)(void *)((char *)timer - offsetof(strand, timer));
  wake(s->engine, s);
}

int binding_suspend(lua_State *L, strand *s, wait_kind kind, lua_KContext ctx,
                    lua_KFunction k) {
  s->waits = (uint8_t)kind;
  s->granted = 0;
  lua_pushlightuserdata(L, (void *)&token);
  return lua_yieldk(L, 1, ctx, k);
}

strand *binding_resumed(lua_State *L) {
  engine *e = astrum_binding_engine(L);
  strand *s = e->current;
  if (!s || s->co != L || !s->granted)
    luaL_error(L, "this coroutine belongs to a task that waits; only the "
                  "engine resumes it");
  return s;
}

strand *binding_waiting_strand(engine *e, lua_State *L, const char *what) {
  strand *s = e->current;
  if (e->refuses)
    luaL_error(L, "%s: %s", what, e->refuses);
  if (s) {
    if (L != s->co)
      luaL_error(L,
                 "%s: a coroutine of your own cannot wait, only the task "
                 "itself; call it in the body, or use astrum.all",
                 what);
    if (!lua_isyieldable(L))
      luaL_error(L,
                 "%s: cannot wait here: attempt to yield across a C-call "
                 "boundary (as in a table.sort comparison, a string.gsub "
                 "callback or require)",
                 what);
    return s;
  }
  if (e->loop && astrum_loop_turning(e->loop))
    luaL_error(L,
               "%s: a callback of the event loop cannot wait; only a task "
               "or the main program can",
               what);
  if (L != e->main)
    luaL_error(L,
               "%s: only a task or the main program can wait, and this "
               "coroutine is neither",
               what);
  return NULL;
}

/* --- the executor */

static attempt *new_attempt(engine *e, run *r, astrum_ticket ticket) {
  attempt *a = e->free_attempts;
  if (a)
    e->free_attempts = a->next;
  else
    a = take_memory(e, sizeof *a);
  if (!a)
    return NULL;
  memset(a, 0, sizeof *a);
  a->run = r;
  a->ticket = ticket;
  a->slot = 1;
  return a;
}

static void out_of_memory(engine *e, run *r, astrum_ticket ticket) {
  lua_pushcfunction(e->L, push_text);
  lua_pushlightuserdata(e->L, (void *)"not enough memory");
  lua_pcall(e->L, 1, 1, 0);
  binding_store_error(e, r, ticket);
  astrum_loop_finished(e->loop, ticket, ASTRUM_FAILURE);
}

static void on_start(void *user, const astrum_action *action) {
  engine *e = user;
  run *r = action->user;
  attempt *a = new_attempt(e, r, action->ticket);
  strand *s = a ? binding_new_strand(e, a) : NULL;
  if (!s) {
    if (a)
      free_attempt(e, a);
    out_of_memory(e, r, action->ticket);
    return;
  }
  a->root = s;
  r->attempts[action->ticket.task] = a;
  if (action->ticket.attempt > 1)
    binding_clear_progress(e, r, action->ticket.task);
  binding_pin(e, r);
  if (r->wants_events)
    binding_event(e, r, "attempt_started", action->ticket.task,
                  action->ticket.attempt, NULL, 0);
  int count =
      binding_push_call(e, r->program, action->ticket.task, &a->problem);
  if (count == -1) {
    lua_pushcfunction(s->co, binding_prelude);
    lua_pushlightuserdata(s->co, a);
    resume(e, s, 1);
  } else if (count == -2) {
    lua_xmove(e->L, s->co, 1);
    fail_body(e, s, "input", 1);
  } else if (!lua_checkstack(s->co, count + LUA_MINSTACK)) {
    lua_pop(e->L, count + 1);
    lua_pushnil(s->co);
    a->problem.problem = PROBLEM_TOO_MANY;
    fail_body(e, s, "input", 1);
  } else {
    lua_xmove(e->L, s->co, count + 1);
    resume(e, s, count);
  }
}

static void on_resume(void *user, const astrum_action *action) {
  (void)user;
  run *r = action->user;
  attempt *a = r->attempts[action->ticket.task];
  a->slot = 1;
  a->asked = 0;
  for (strand *s = a->strands; s; s = s->next)
    if (s->waits == WAIT_SLOT)
      binding_wake_soon(s);
}

static void on_cancel(void *user, const astrum_action *action) {
  engine *e = user;
  run *r = action->user;
  attempt *a = r->attempts[action->ticket.task];
  if (a->ended)
    return; /* it answers when what is left of it is gone */
  while (a->strands)
    binding_end_strand(e, a->strands);
  finish(e, a, ASTRUM_STOPPED);
}

static void on_woken(void *user) {
  engine *e = user;
  if (e->stop_runs)
    binding_stop_runs(e);
}

const astrum_executor binding_executor = {
    .size = sizeof(astrum_executor),
    .start = on_start,
    .resume = on_resume,
    .cancel = on_cancel,
    .ended = binding_run_ended,
    .woken = on_woken,
};
