/*
 * How attempts end. A body gives a result or an error, is stopped, or takes too
 * long; the attempt is answered once nothing of it is left: no strand, no
 * process that is being ended, no child run.
 */
#include "attempt.h"
#include "preempt.h"
#include "thread.h"
#include "wait.h"

#include <stdio.h>
#include <string.h>

/* Of so many stopped attempts of a run it is kept where their bodies were. */
#define MOST_PLACES 10

/* --- texts: a literal may need memory, one that was made before does not */

int binding_push_text(lua_State *L) {
  lua_pushstring(L, lua_touserdata(L, 1));
  return 1;
}

void binding_push_no_memory(engine *e) {
  lua_pushcfunction(e->L, binding_push_text);
  lua_pushlightuserdata(e->L, (void *)astrum_strerror(ASTRUM_ENOMEM));
  lua_pcall(e->L, 1, 1, 0);
}

/* --- answers */

void binding_free_attempt(engine *e, attempt *a) {
  if (a->placed) {
    lua_pushnil(e->L);
    binding_anchor(e->L, &a->placed);
  }
  *binding_attempt_at(a->run, &a->ticket) = NULL;
  a->next = e->free_attempts;
  e->free_attempts = a;
}

void binding_drop_attempt(engine *e, attempt *a) {
  if (a->call)
    binding_cancel_direct(e, a);
  while (a->strands)
    binding_end_strand(e, a->strands);
  if (a->context)
    binding_drop_context(e, a);
  binding_free_attempt(e, a);
}

static int make_traceback(lua_State *L) {
  luaL_traceback(L, lua_touserdata(L, 1), NULL, 0);
  return 1;
}

void binding_keep_place(engine *e, strand *s, const guarded *g) {
  attempt *a = s->attempt;
  lua_State *outer = a->root && a->root != s ? a->root->co : NULL;
  if (a->placed == PLACED_NOT &&
      binding_preempt_keep_place(e, g, outer, &a->placed))
    a->placed = outer ? PLACED_MEMBER : PLACED_BODY;
}

/* Pushes where the body of an attempt is; nil when it is over. Raises
   nothing. */
static void push_place(engine *e, const attempt *a) {
  lua_State *L = e->L;
  if (a->root && a->placed) {
    binding_anchored(L, &a->placed);
    return;
  }
  lua_pushnil(L);
  if (!a->root)
    return;
  lua_pushcfunction(L, make_traceback);
  lua_pushlightuserdata(L, a->root->co);
  if (lua_pcall(L, 1, 1, 0) == LUA_OK)
    lua_replace(L, -2);
  else
    lua_pop(L, 1);
}

/* Pushes the error object of an attempt that took too long. Raises nothing. */
static void push_timeout(engine *e, attempt *a, astrum_cause cause) {
  lua_State *L = e->L;
  binding_push_run(L, a->run);
  lua_getiuservalue(L, -1, RUN_DATA);
  lua_replace(L, -2);
  lua_pushinteger(L, (lua_Integer)a->ticket.task + 1);
  lua_pushinteger(L, a->ticket.attempt);
  lua_pushinteger(L, a->ticket.item);
  lua_pushboolean(L, cause == ASTRUM_CAUSE_IDLE);
  push_place(e, a);
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
  binding_flush_jobs(e);
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
  if (a->told || a->run->wants_events != WANTS_EVENTS)
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
  binding_free_attempt(e, a);
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
    push_timeout(e, a, ASTRUM_CAUSE_TIMEOUT);
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
    binding_push_no_memory(e);
    binding_store_error(e, r, ticket);
  }
  astrum_outcome outcome = (astrum_outcome)a->outcome;
  astrum_loop_finished(e->loop, ticket, outcome);
  int noticed = late && !a->late;
  binding_free_attempt(e, a);
  astrum_record record;
  int tells = r->wants_events == WANTS_EVENTS ||
              (r->wants_events && (late || outcome != ASTRUM_SUCCEEDED));
  if (noticed || tells)
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
  if (tells && !expands && (late || outcome != ASTRUM_DECLINED))
    tell_answer(e, r, &ticket, outcome, late, &record);
}

void binding_finish(engine *e, attempt *a, astrum_outcome outcome) {
  a->ended = 1;
  a->outcome = (uint8_t)outcome;
  if (outcome != ASTRUM_SUCCEEDED)
    for (const run *r = a->child_runs; r; r = r->sibling)
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

void binding_push_traceback(lua_State *L, lua_State *co, int level) {
  binding_push_member_traceback(L, co, level);
  luaL_traceback(L, co, NULL, level);
  if (lua_isstring(L, -2)) {
    lua_pushliteral(L, "\n");
    lua_insert(L, -2);
    lua_concat(L, 3);
  } else {
    lua_replace(L, -2);
  }
}

/* Makes the error object of an attempt and leaves it, and whether another one
   would fail of the same. */
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
  if (a->placed == PLACED_BODY)
    binding_anchored(L, &a->placed);
  else
    binding_push_traceback(L, f->co, 0);
  lua_pushstring(L, f->kind);
  lua_call(L, 7, 2);
  return 2;
}

/* Pushes the error object for what is on the top of a coroutine. Returns
   whether another attempt would fail of the same. */
static int push_failure(engine *e, attempt *a, lua_State *co,
                        const char *kind) {
  lua_State *L = e->L;
  failure f = {a, co, kind};
  binding_flush_jobs(e);
  lua_pushcfunction(L, make_failure);
  lua_pushlightuserdata(L, &f);
  binding_push_hook(L, binding_on_failure);
  /* Should the hook fail, its error stands in for the object. */
  if (lua_pcall(L, 2, 2, 0) != LUA_OK)
    return 0;
  int is_final = lua_toboolean(L, -1);
  lua_pop(L, 1);
  return is_final;
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
void binding_fail_body(engine *e, strand *s, const char *kind, int was_closed) {
  attempt *a = s->attempt;
  astrum_outcome outcome = ASTRUM_FAILURE;
  if (a->problem.problem == PROBLEM_CONDITION) {
    outcome = ASTRUM_FAILURE_FINAL;
    push_failure(e, a, s->co, "condition");
  } else if (a->problem.problem != PROBLEM_NONE) {
    outcome = ASTRUM_FAILURE_FINAL;
    push_input_failure(e, a, s->co);
  } else {
    if (push_failure(e, a, s->co, kind) || !may_retry(e, a))
      outcome = ASTRUM_FAILURE_FINAL;
  }
  binding_store_error(e, a->run, a->ticket);
  a->root = NULL;
  a->busy--;
  if (!was_closed)
    binding_reset_coroutine(e, s);
  binding_drop_strand(e, s, was_closed);
  binding_finish(e, a, outcome);
}

/* Keeps the traceback of a member for the failure of the body. Argument: the
   strand as light userdata. */
static int keep_traceback(lua_State *L) {
  const strand *s = lua_touserdata(L, 1);
  binding_anchored(L, s->member_of);
  binding_push_traceback(L, s->co, 0);
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
    binding_reset_coroutine(e, s);
  attempt *a = s->attempt;
  if (a)
    a->busy--;
  binding_member_ended(e, s, failed);
  binding_drop_strand(e, s, was_closed);
  if (a)
    binding_release_slot(e, a);
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
void binding_end_well(engine *e, strand *s, int count) {
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
    binding_fail_body(e, s, "returned", 1);
    return;
  }
  attempt *a = s->attempt;
  if (a->expands || a->declined)
    lua_pop(co, 1);
  else
    keep_result(e, a, co);
  a->root = NULL;
  a->busy--;
  binding_drop_strand(e, s, 1);
  binding_finish(e, a, a->declined ? ASTRUM_DECLINED : ASTRUM_SUCCEEDED);
}

void binding_end_directly(engine *e, attempt *a) {
  keep_result(e, a, e->L);
  binding_finish(e, a, ASTRUM_SUCCEEDED);
}

void binding_end_badly(engine *e, strand *s, const char *kind) {
  if (s->member_of)
    end_member(e, s, 1, 0);
  else
    binding_fail_body(e, s, kind, 0);
}

/* Calls the hook with the place on the top of engine->L; pops it. */
static void tell_stopped(engine *e, const attempt *a) {
  lua_State *L = e->L;
  int place = lua_gettop(L);
  binding_push_run(L, a->run);
  lua_getiuservalue(L, -1, RUN_DATA);
  lua_replace(L, -2);
  lua_pushinteger(L, (lua_Integer)a->ticket.task + 1);
  lua_pushinteger(L, a->ticket.item);
  lua_rotate(L, place, -1);
  if (a->late)
    binding_push_error(e, a->run, &a->ticket);
  else
    lua_pushnil(L);
  binding_hook(e, binding_on_stopped, 5, 0);
}

void binding_note_place(engine *e, attempt *a) {
  int is_away = a->call || (a->root && a->root->waits == WAIT_THREAD);
  if (a->noted || (!a->root && !is_away))
    return;
  a->noted = 1;
  if (is_away || a->run->places == MOST_PLACES)
    return;
  push_place(e, a);
  binding_tell_place(e, a);
}

void binding_tell_place(engine *e, attempt *a) {
  int is_wanted = a->noted && a->run->places < MOST_PLACES;
  if (!a->late && !is_wanted) {
    lua_pop(e->L, 1);
    return;
  }
  if (!a->late)
    a->run->places++;
  tell_stopped(e, a);
}

astrum_outcome binding_time_out(engine *e, attempt *a, astrum_cause cause) {
  push_timeout(e, a, cause);
  astrum_outcome outcome =
      may_retry(e, a) ? ASTRUM_STOPPED : ASTRUM_FAILURE_FINAL;
  binding_store_error(e, a->run, a->ticket);
  a->late = 1;
  return outcome;
}
