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

#include <stdio.h>
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
  lua_pushvalue(e->slots, SLOT_COROUTINES);
  lua_xmove(e->slots, L, 1);
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
  lua_pushnil(e->slots);
  lua_rawseti(e->slots, SLOT_COROUTINES, s->number);
}

/* Whether code of the coroutine is on the C stack now: that of a task that runs
   or, through a resume of its own doing, that of one that waits. */
static int is_running(const strand *s) {
  lua_Debug ar;
  return lua_status(s->co) == LUA_OK && lua_getstack(s->co, 0, &ar);
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
  /* It is left to whoever resumed it. At the end of the state that is nobody:
     the function on its top never returns. */
  if (e->forked || (is_running(s) && !e->closing))
    return;
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
  *binding_attempt_at(a->run, &a->ticket) = NULL;
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

static void push_text_of_memory(engine *e);

static int make_traceback(lua_State *L) {
  luaL_traceback(L, lua_touserdata(L, 1), NULL, 0);
  return 1;
}

/* Pushes where a coroutine is, nil for none. Raises nothing. */
static void push_place(engine *e, lua_State *co) {
  lua_State *L = e->L;
  lua_pushnil(L);
  if (!co)
    return;
  lua_pushcfunction(L, make_traceback);
  lua_pushlightuserdata(L, co);
  if (lua_pcall(L, 1, 1, 0) == LUA_OK)
    lua_replace(L, -2);
  else
    lua_pop(L, 1);
}

/* Pushes the error object of an attempt that took too long; `co` is where its
   body is, NULL when that is over. Raises nothing. */
static void push_timeout(engine *e, attempt *a, astrum_cause cause,
                         lua_State *co) {
  lua_State *L = e->L;
  binding_push_run(L, a->run);
  lua_getiuservalue(L, -1, RUN_DATA);
  lua_replace(L, -2);
  lua_pushinteger(L, (lua_Integer)a->ticket.task + 1);
  lua_pushinteger(L, a->ticket.attempt);
  lua_pushinteger(L, a->ticket.item);
  lua_pushboolean(L, cause == ASTRUM_CAUSE_IDLE);
  push_place(e, co);
  if (!binding_hook(e, binding_on_timeout, 6, 1))
    lua_pushnil(L);
}

/* Tells of the error on the top of engine->L, which the function that says
   whether to retry has raised. */
static void tell_of_condition(engine *e, const attempt *a) {
  char where[160];
  size_t size;
  astrum_task task = {a->ticket.task};
  const char *name = astrum_graph_name(a->run->program->graph, task, &size);
  snprintf(where, sizeof where, "retry.on of task '%.*s', which is not retried",
           size < 100 ? (int)size : 100, name);
  binding_tell_error(e, where);
}

/* Asks the task whether to retry after the error object on the top of
   engine->L, which stays there. */
static int may_retry(engine *e, attempt *a) {
  lua_State *L = e->L;
  const body_extra *extra = binding_extra(a->run->program, a->ticket.task);
  if (!extra || !extra->retry_on ||
      !astrum_sched_will_retry(astrum_loop_sched(e->loop), a->ticket))
    return 1;
  binding_pin(e, a->run);
  lua_rawgeti(e->slots, SLOT_VALUES, extra->retry_on);
  lua_xmove(e->slots, L, 1);
  lua_pushvalue(L, -2);
  const char *refused = e->refuses;
  e->refuses = "retry.on cannot wait";
  int status = lua_pcall(L, 1, 1, 0);
  e->refuses = refused;
  if (status != LUA_OK) {
    tell_of_condition(e, a);
    return 0;
  }
  int yes = lua_toboolean(L, -1);
  lua_pop(L, 1);
  return yes;
}

void binding_tell_start(engine *e, attempt *a) {
  if (a->told || !a->run->wants_events)
    return;
  a->told = 1;
  binding_event(e, a->run, "attempt_started", &a->ticket, NULL, 0);
}

/* Tells of an attempt that has been answered with what became of it. */
static void tell_answer(engine *e, run *r, const astrum_ticket *ticket,
                        astrum_outcome outcome, int late,
                        const astrum_record *record) {
  static const char *const names[] = {"completed", "failed",  "failed",
                                      "cancelled", "skipped", "timed_out"};
  if (record->state == ASTRUM_CANCELLED)
    outcome = ASTRUM_STOPPED;
  else if (late)
    outcome = ASTRUM_TIMEOUT;
  binding_event(e, r, "attempt_finished", ticket, names[outcome],
                record->state < ASTRUM_COMPLETED);
}

static void clear_result(engine *e, run *r, const astrum_ticket *ticket) {
  lua_State *L = e->slots;
  binding_pin(e, r);
  if (ticket->item) {
    binding_push_map(L, r, ticket->task);
    lua_rawgeti(L, -1, 0);
    lua_pushnil(L);
    lua_rawseti(L, -2, ticket->item);
    lua_pop(L, 2);
    return;
  }
  lua_pushnil(L);
  lua_rawseti(L, SLOT_RESULTS, (lua_Integer)ticket->task + 1);
}

static void read_record(engine *e, const run *r, const astrum_ticket *ticket,
                        astrum_record *record) {
  astrum_sched *sched = astrum_loop_sched(e->loop);
  astrum_task task = {ticket->task};
  memset(record, 0, sizeof *record);
  if (ticket->item)
    astrum_sched_item_record(sched, r->id, task, ticket->item, record);
  else
    astrum_sched_record(sched, r->id, task, record);
}

/* Answers for the expansion of a map. Returns 0 when it has failed. */
static int answer_expansion(engine *e, attempt *a) {
  run *r = a->run;
  astrum_ticket ticket = a->ticket;
  if (!binding_make_items(e, r, ticket.task, a->items) ||
      astrum_loop_expanded(e->loop, ticket, a->items) != ASTRUM_OK) {
    a->outcome = ASTRUM_FAILURE_FINAL;
    return 0;
  }
  uint32_t items = a->items;
  free_attempt(e, a);
  if (items == 0) {
    binding_item_over(e, r, ticket.task);
    if (r->readers)
      binding_release_results(e, r, ticket.task);
    if (r->waiters)
      binding_tell_waiters(r);
  }
  return 1;
}

/* Answers for an attempt when nothing of it is left. */
static void answer(engine *e, attempt *a) {
  run *r = a->run;
  if (!a->ended || a->strands || a->processes || a->child_runs)
    return;
  astrum_ticket ticket = a->ticket;
  astrum_sched *sched = astrum_loop_sched(e->loop);
  int stopping = astrum_sched_stopping(sched, ticket) != ASTRUM_CAUSE_NONE;
  int late = a->late, expands = a->expands;
  if (a->limited && !stopping &&
      astrum_loop_now(e->loop) >= astrum_sched_due(sched, ticket)) {
    /* Nobody has noticed before it was over. */
    push_timeout(e, a, ASTRUM_CAUSE_TIMEOUT, NULL);
    if (a->declined || !may_retry(e, a))
      a->outcome = ASTRUM_FAILURE_FINAL;
    late = 1;
  }
  /* One that ended while its condition was asked counts, too. */
  if (!expands && (late || a->outcome != ASTRUM_DECLINED))
    binding_tell_start(e, a);
  if (a->context)
    binding_drop_context(e, a);
  if (expands && !stopping && !late && a->outcome == ASTRUM_SUCCEEDED) {
    if (answer_expansion(e, a))
      return;
    push_text_of_memory(e);
    binding_store_error(e, r, ticket);
  }
  astrum_outcome outcome = (astrum_outcome)a->outcome;
  astrum_loop_finished(e->loop, ticket, outcome);
  int noticed = late && !a->late;
  free_attempt(e, a);
  astrum_record record;
  if (noticed || r->wants_events)
    read_record(e, r, &ticket, &record);
  if (noticed && record.state != ASTRUM_CANCELLED) {
    binding_store_error(e, r, ticket);
    clear_result(e, r, &ticket);
  } else if (noticed) {
    lua_pop(e->L, 1);
  }
  if (ticket.item)
    binding_item_over(e, r, ticket.task);
  if (r->readers)
    binding_release_results(e, r, ticket.task);
  if (r->waiters)
    binding_tell_waiters(r);
  if (r->wants_events && !expands && (late || outcome != ASTRUM_DECLINED))
    tell_answer(e, r, &ticket, outcome, late, &record);
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

/* Pushes the traceback of a coroutine that has failed; that of the member of
   astrum.all whose error it is, if it is one's, comes first. */
static void push_traceback(lua_State *L, lua_State *co) {
  binding_push_member_traceback(L, co);
  luaL_traceback(L, co, NULL, 0);
  if (lua_isstring(L, -2)) {
    lua_pushliteral(L, "\n");
    lua_insert(L, -2);
    lua_concat(L, 3);
  } else {
    lua_replace(L, -2);
  }
}

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
  lua_pushinteger(L, a->ticket.item);
  lua_pushvalue(f->co, -1);
  lua_xmove(f->co, L, 1);
  push_traceback(L, f->co);
  lua_pushstring(L, f->kind);
  lua_call(L, 7, 1);
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
  lua_pushinteger(L, a->ticket.item);
  lua_pushinteger(L, a->problem.problem);
  lua_pushinteger(L, (lua_Integer)a->problem.argument + 1);
  lua_pushinteger(L, a->problem.step);
  lua_rotate(L, value, -1);
  if (!binding_hook(e, binding_on_input, 8, 1))
    lua_pushnil(L);
}

/* The body has failed; its error is on the top of its coroutine. */
static void fail_body(engine *e, strand *s, const char *kind, int was_closed) {
  attempt *a = s->attempt;
  astrum_outcome outcome = ASTRUM_FAILURE;
  if (a->problem.problem == PROBLEM_CONDITION) {
    outcome = ASTRUM_FAILURE_FINAL;
    push_failure(e, a, s->co, "condition");
  } else if (a->problem.problem != PROBLEM_NONE) {
    outcome = ASTRUM_FAILURE_FINAL;
    push_input_failure(e, a, s->co);
  } else {
    push_failure(e, a, s->co, kind);
    if (!may_retry(e, a))
      outcome = ASTRUM_FAILURE_FINAL;
  }
  binding_store_error(e, a->run, a->ticket);
  a->root = NULL;
  a->busy--;
  if (!was_closed)
    reset_coroutine(e, s);
  drop_strand(e, s, was_closed);
  finish(e, a, outcome);
}

/* Keeps the traceback of a member for the failure of the body. Argument: the
   strand as light userdata. */
static int keep_traceback(lua_State *L) {
  const strand *s = lua_touserdata(L, 1);
  binding_anchored(L, s->member_of);
  push_traceback(L, s->co);
  lua_setiuservalue(L, -2, GROUP_TRACEBACK);
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

/* Keeps the value on the top of a coroutine as the result of its attempt. */
static void keep_result(engine *e, attempt *a, lua_State *co) {
  lua_State *L = e->slots;
  if (a->ticket.item) {
    binding_push_map(L, a->run, a->ticket.task);
    lua_rawgeti(L, -1, 0);
    lua_xmove(co, L, 1);
    lua_rawseti(L, -2, a->ticket.item);
    lua_pop(L, 2);
    return;
  }
  binding_pin(e, a->run);
  lua_xmove(co, L, 1);
  lua_rawseti(L, SLOT_RESULTS, (lua_Integer)a->ticket.task + 1);
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
  if (a->expands || a->declined)
    lua_pop(co, 1);
  else
    keep_result(e, a, co);
  a->root = NULL;
  a->busy--;
  drop_strand(e, s, 1);
  finish(e, a, a->declined ? ASTRUM_DECLINED : ASTRUM_SUCCEEDED);
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

static void push_text_of_memory(engine *e) {
  lua_pushcfunction(e->L, push_text);
  lua_pushlightuserdata(e->L, (void *)astrum_strerror(ASTRUM_ENOMEM));
  lua_pcall(e->L, 1, 1, 0);
}

static void replace_by_text(engine *e, lua_State *co, const char *text) {
  lua_pushcfunction(e->L, push_text);
  lua_pushlightuserdata(e->L, (void *)text);
  lua_pcall(e->L, 1, 1, 0);
  lua_xmove(e->L, co, 1);
}

/*
 * The guard has stopped a strand, which may just have begun to wait. After a
 * signal it fails. When its time is over the scheduler knows it too and asks in
 * this turn of the loop for the end of the attempt.
 */
static void stopped(engine *e, strand *s, int by) {
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
  end_badly(e, s, "raised");
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
  binding_preempt_enter(e, &guard, co, s->attempt, due_of(e, s));
  int status = lua_resume(co, e->L, count, &results);
  int by = binding_preempt_leave(e, &guard);
  e->current = outer;
  if (e->stop_runs)
    binding_stop_runs(e);
  if (!by && s->attempt && s->attempt->limited)
    tell_overrun(e, s->attempt);
  if (by) {
    stopped(e, s, by);
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

/* Whether a coroutine is as it was left when its strand began to wait; whoever
   has got hold of it can resume or close it. */
static int is_untouched(const strand *s) {
  if (s->waits == WAIT_START)
    return lua_status(s->co) == LUA_OK && lua_gettop(s->co) == 1 &&
           !is_running(s);
  return lua_status(s->co) == LUA_YIELD;
}

/* Goes on with a strand whose wait is over. */
static void wake(engine *e, strand *s) {
  if (is_untouched(s)) {
    resume(e, s, 0);
    return;
  }
  lua_State *co = s->co;
  int top = lua_gettop(co);
  int runs = is_running(s);
  binding_cancel_wait(e, s);
  replace_by_text(e, s->co,
                  "the task's coroutine was resumed by other code while it "
                  "waited");
  end_badly(e, s, "resumed");
  if (runs) /* whoever resumed it turns the loop in it */
    lua_settop(co, top);
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
  push_text_of_memory(e);
  binding_store_error(e, r, ticket);
  astrum_loop_finished(e->loop, ticket, ASTRUM_FAILURE);
}

/* Makes an attempt with its first strand; NULL when there is no memory, and
   then it has been answered. */
static attempt *begin(engine *e, const astrum_action *action) {
  run *r = action->user;
  attempt *a = new_attempt(e, r, action->ticket);
  strand *s = a ? binding_new_strand(e, a) : NULL;
  if (!s) {
    if (a)
      free_attempt(e, a);
    out_of_memory(e, r, action->ticket);
    return NULL;
  }
  a->root = s;
  a->limited = r->limited || r->program->bodies[action->ticket.task].limited;
  if (a->limited)
    a->begin = astrum_loop_now(e->loop);
  *binding_attempt_at(r, &action->ticket) = a;
  return a;
}

static void begin_prelude(engine *e, attempt *a) {
  strand *s = a->root;
  lua_pushcfunction(s->co, binding_prelude);
  lua_pushlightuserdata(s->co, a);
  resume(e, s, 1);
}

static void on_start(void *user, const astrum_action *action) {
  engine *e = user;
  if (e->closed)
    return;
  run *r = action->user;
  attempt *a = begin(e, action);
  if (!a)
    return;
  strand *s = a->root;
  if (action->ticket.attempt > 1)
    binding_clear_progress(e, r, action->ticket.task);
  binding_pin(e, r);
  if (!binding_asks(e->L, a))
    binding_tell_start(e, a);
  int count = binding_push_call(e, a);
  if (count == -1) {
    begin_prelude(e, a);
  } else if (count == -2) {
    lua_xmove(e->slots, s->co, 1);
    fail_body(e, s, "input", 1);
  } else if (!lua_checkstack(s->co, count + LUA_MINSTACK)) {
    lua_pop(e->slots, count + 1);
    lua_pushnil(s->co);
    a->problem.problem = PROBLEM_TOO_MANY;
    fail_body(e, s, "input", 1);
  } else {
    lua_xmove(e->slots, s->co, count + 1);
    resume(e, s, count);
  }
}

static void on_expand(void *user, const astrum_action *action) {
  engine *e = user;
  if (e->closed)
    return;
  attempt *a = begin(e, action);
  if (!a)
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

/* Keeps the error of an attempt that takes too long; what to answer. */
static astrum_outcome time_out(engine *e, attempt *a, astrum_cause cause) {
  push_timeout(e, a, cause, a->root ? a->root->co : NULL);
  astrum_outcome outcome =
      may_retry(e, a) ? ASTRUM_STOPPED : ASTRUM_FAILURE_FINAL;
  binding_store_error(e, a->run, a->ticket);
  a->late = 1;
  return outcome;
}

static void on_cancel(void *user, const astrum_action *action) {
  engine *e = user;
  if (e->closed)
    return;
  run *r = action->user;
  attempt *a = *binding_attempt_at(r, &action->ticket);
  if (a->ended)
    return; /* it answers when what is left of it is gone */
  astrum_outcome outcome = ASTRUM_STOPPED;
  if (action->cause == ASTRUM_CAUSE_TIMEOUT ||
      action->cause == ASTRUM_CAUSE_IDLE)
    outcome = time_out(e, a, (astrum_cause)action->cause);
  while (a->strands)
    binding_end_strand(e, a->strands);
  finish(e, a, outcome);
}

static void on_woken(void *user) {
  engine *e = user;
  if (e->stop_runs)
    binding_stop_runs(e);
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
};
