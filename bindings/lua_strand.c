/*
 * Strands: coroutines from a pool, and the way into a wait. The engine alone
 * resumes them. When one is over, however it ends, its coroutine is closed, so
 * that its to-be-closed variables have run, and goes back to the pool.
 */
#include "attempt.h"
#include "preempt.h"
#include "thread.h"
#include "wait.h"

#include <string.h>

/* Coroutines that are kept for the next attempts; the others are garbage. */
#define POOL_MAX 256

const char binding_token = 0;

void *binding_take(engine *e, size_t size) {
  return e->alloc.fn(e->alloc.user, NULL, 0, size);
}

void binding_give(engine *e, void *ptr, size_t size) {
  e->alloc.fn(e->alloc.user, ptr, size, 0);
}

void binding_free_pools(engine *e) {
  binding_free_children(e);
  binding_free_homes(e);
  while (e->free_attempts) {
    attempt *a = e->free_attempts;
    e->free_attempts = a->next;
    binding_give(e, a, sizeof *a);
  }
  while (e->free_strands) {
    strand *s = e->free_strands;
    e->free_strands = s->next;
    binding_give(e, s, sizeof *s);
  }
  size_t capacity = (size_t)e->coroutine_capacity;
  if (e->idle)
    binding_give(e, e->idle, capacity * sizeof *e->idle);
  if (e->numbers)
    binding_give(e, e->numbers, capacity * sizeof *e->numbers);
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

int binding_is_running(const strand *s) {
  lua_Debug ar;
  return lua_status(s->co) == LUA_OK && lua_getstack(s->co, 0, &ar);
}

/*
 * Runs what a coroutine that did not end well has left to close. What is raised
 * there is told apart from the error that ended the coroutine, which stays its
 * result, and is reported on its own.
 */
void binding_reset_coroutine(engine *e, strand *s) {
  const char *refused = e->refuses;
  strand *current = e->current;
  lua_State *L = e->L;
  /* It is left to whoever resumed it. At the end of the state that is nobody:
     the function on its top never returns. */
  if (e->forked || (binding_is_running(s) && !e->closing))
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

strand *binding_new_strand(engine *e, attempt *a) {
  strand *s = e->free_strands;
  if (s)
    e->free_strands = s->next;
  else
    s = binding_take(e, sizeof *s);
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
  s->timer.fire = binding_strand_timer;
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
void binding_drop_strand(engine *e, strand *s, int reuse) {
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
  binding_reset_coroutine(e, s);
  binding_drop_strand(e, s, 0);
}

void binding_wake_soon(strand *s) {
  /* Room for the timer was made with the strand. It is due now, behind what
     is due already, so that strands which wake each other hold nobody up. */
  astrum_loop *loop = s->engine->loop;
  astrum_timer_start(loop, &s->timer, astrum_loop_now(loop));
}

/* Gives the slot of an attempt back when all of it waits for runs. */
void binding_release_slot(engine *e, attempt *a) {
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
  binding_release_slot(s->engine, a);
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

int binding_suspend(lua_State *L, strand *s, wait_kind kind, lua_KContext ctx,
                    lua_KFunction k) {
  s->waits = (uint8_t)kind;
  s->granted = 0;
  lua_pushlightuserdata(L, (void *)&binding_token);
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
  if (s && L != e->L) {
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
  if (L == e->L || (e->loop && astrum_loop_turning(e->loop)))
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
