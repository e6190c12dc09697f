/*
 * The guard: stops Lua code that never waits.
 *
 * A count hook that is always set would make Lua more than twice as slow, so
 * there is none while nothing is wrong. When an attempt is overdue, a timer
 * signals the thread that runs it, and the handler sets a hook on the innermost
 * coroutine that runs, as lua.c does for Ctrl-C. The hook fires at the next
 * instruction of Lua and yields: nothing in Lua can catch a yield. Where no
 * yield is possible, below a C function, it raises the text of Lua's own memory
 * error, for which lua_error calls no message handler. Code that catches that,
 * or takes the hook away, meets the next signal a few milliseconds later.
 *
 * A hook belongs to one coroutine. So the functions that resume coroutines are
 * replaced: they note which one runs, and hand the stop on to their caller. In
 * this way it climbs up to the coroutine that was entered here. Whatever became
 * of that one, the flag `stopped` decides.
 *
 * Where the code was is told by the line of the instruction that the hook fires
 * at, as a coroutine that has yielded there tells that of the instruction
 * before it; or, if a call has just returned to it, by the line of that call,
 * which is what has taken the time.
 *
 * Timers are lazy. One that is set for an earlier time than wanted is left
 * alone, and set anew when it fires too early, so that an attempt seldom costs
 * a system call.
 *
 * Out of reach: a loop inside a C function, in a hook of debug.sethook, in a
 * __gc metamethod, in a coroutine that was resumed by other C code or by a
 * coroutine.resume kept from before; and, if the stop had to be raised and
 * nothing caught it, in a __close that was still to come, because Lua leaves
 * the hooks of a coroutine off that such an error has ended.
 */
#include "host.h"
#include "preempt.h"
#include "preempt_text.h"
#include "run.h"
#include "thread.h"
#include "thread_timer.h"

#include <stdatomic.h>
#include <string.h>

#define MS UINT64_C(1000000)

enum {
  AGAIN_MS = 1,           /* between two signals to what does not stop */
  STUBBORN_MS = 100,      /* then this is told, */
  STUBBORN_AGAIN_MS = 50, /* and signals come more seldom */
  CLEANUP_MS = 1000,
  BRIEF_MS = 2
};

/* Of so many coroutines, one inside the other, it is kept where they were. */
enum { MOST_KEPT = 5 };

/* Their addresses are keys in the registry, of texts that need no memory. */
static const char stop_key = 0;
static const char cleanup_key = 0;
/* And of where the code was that is being stopped. */
static const char place_key = 0;

static int is_stopped(const engine *e) {
  return e->guarded && e->guarded->stopped;
}

/* --- where the code was */

/* Pushes the traceback of a coroutine that is being stopped. */
static void push_frames(lua_State *L, const guarded *g, lua_State *co) {
  lua_Debug top;
  luaL_traceback(L, co, NULL, 0);
  if (g->cut != co || g->line == 0 || !lua_getstack(co, 0, &top))
    return;
  lua_getinfo(co, "Sl", &top);
  const char *told = lua_pushfstring(
      L, "stack traceback:\n\t%s:%d:", top.short_src, top.currentline);
  size_t size = strlen(told);
  const char *all = lua_tostring(L, -2);
  if (strncmp(all, told, size) == 0) {
    lua_pushfstring(L, "stack traceback:\n\t%s:%d:%s", top.short_src, g->line,
                    all + size);
    lua_replace(L, -3);
  }
  lua_pop(L, 1);
}

/* Pushes what is on the top with what was kept of the coroutines inside in
   front of it, and pops it. */
static void add_kept(lua_State *L, const guarded *g) {
  if (!g->kept)
    return;
  lua_rawgetp(L, LUA_REGISTRYINDEX, &place_key);
  lua_pushliteral(L, "\n");
  lua_rotate(L, -3, 2);
  lua_concat(L, 3);
}

/* Arguments: guarded, coroutine, as light userdata. */
static int keep_inner(lua_State *L) {
  const guarded *g = lua_touserdata(L, 1);
  push_frames(L, g, lua_touserdata(L, 2));
  add_kept(L, g);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &place_key);
  return 0;
}

/* Keeps where a coroutine is that is about to be left or closed. What is kept
   of it already is where the stop has met it first. */
static void keep(engine *e, lua_State *co) {
  guarded *g = e->guarded;
  if (g->is_cleanup || g->kept == co || g->kept_count == MOST_KEPT)
    return;
  lua_pushcfunction(e->L, keep_inner);
  lua_pushlightuserdata(e->L, g);
  lua_pushlightuserdata(e->L, co);
  if (lua_pcall(e->L, 2, 0, 0) != LUA_OK) {
    lua_pop(e->L, 1);
    return;
  }
  g->kept = co;
  g->kept_count++;
}

/* Arguments: guarded, outer coroutine, key, as light userdata. */
static int keep_all(lua_State *L) {
  const guarded *g = lua_touserdata(L, 1);
  lua_State *outer = lua_touserdata(L, 2);
  if (g->kept == g->co) {
    lua_rawgetp(L, LUA_REGISTRYINDEX, &place_key);
  } else {
    push_frames(L, g, g->co);
    add_kept(L, g);
  }
  if (outer) {
    lua_pushliteral(L, "\n");
    luaL_traceback(L, outer, NULL, 0);
    lua_concat(L, 3);
  }
  binding_anchor(L, lua_touserdata(L, 3));
  lua_pushnil(L);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &place_key);
  return 0;
}

int binding_preempt_keep_place(engine *e, const guarded *g, lua_State *outer,
                               const void *key) {
  lua_State *L = e->L;
  lua_pushcfunction(L, keep_all);
  lua_pushlightuserdata(L, (void *)g);
  lua_pushlightuserdata(L, outer);
  lua_pushlightuserdata(L, (void *)key);
  if (lua_pcall(L, 3, 0, 0) == LUA_OK)
    return 1;
  lua_pop(L, 1);
  return 0;
}

/* --- stopping */

/* Leaves what runs in L. Never returns from a C function; in a hook, which is
   at that line, it may return, and then L yields. */
static int stop_here(engine *e, lua_State *L, int line) {
  guarded *g = e->guarded;
  g->cut = L;
  g->line = line;
  if (lua_isyieldable(L))
    return lua_yield(L, 0);
  keep(e, L); /* it may be caught */
  lua_rawgetp(L, LUA_REGISTRYINDEX, &stop_key);
  return lua_error(L);
}

/* The line at which a level of L is; 0: it is in C, or there is none. */
static int line_at(lua_State *L, int level) {
  lua_Debug info;
  if (!lua_getstack(L, level, &info))
    return 0;
  lua_getinfo(L, "l", &info);
  return info.currentline > 0 ? info.currentline : 0;
}

static void on_hook(lua_State *L, lua_Debug *info) {
  engine *e = astrum_binding_engine(L);
  if (!is_stopped(e)) {
    lua_sethook(L, NULL, 0, 0); /* it has got away */
    return;
  }
  guarded *g = e->guarded;
  if (info->event == LUA_HOOKRET) {
    g->call_line = line_at(L, 1);
    return;
  }
  int is_next = info->event == LUA_HOOKCOUNT;
  int line = is_next && g->call_line ? g->call_line : line_at(L, 0);
  g->call_line = 0;
  if (is_next || !lua_isyieldable(L) || g->signals > 1)
    stop_here(e, L, line);
  /* To yield from the call of a C function leaves the hooks of L off for good.
     So the next instruction is waited for, unless it has been taken away. */
}

/* May be called from a signal handler, as lua_sethook may. */
static void set_hook(lua_State *co) {
  lua_sethook(co, on_hook, LUA_MASKCALL | LUA_MASKRET | LUA_MASKCOUNT, 1);
}

static void clear_hook(lua_State *co) {
  if (lua_gethook(co) == on_hook)
    lua_sethook(co, NULL, 0, 0);
}

/* --- the signal handler */

/* Tells all bodies to stop. */
static void stop_bodies(const engine *e, uint64_t now) {
  for (guarded *g = e->guarded; g; g = g->outer) {
    if (g->stopped || g->is_cleanup)
      continue;
    g->since = now;
    g->stopped = STOPPED_BY_SIGNAL;
  }
}

/* A child process is ended by its parent when it does not stop. */
static void tell_stubborn(const engine *e, const guarded *g) {
  int is_ended =
      e->is_child && (e->interrupted || g->stopped == STOPPED_BY_SIGNAL);
  if (!is_ended)
    preempt_tell_stubborn(g,
                          binding_is_asked(e) ? binding_worker_about(e) : NULL);
}

static void on_time(void *user) {
  engine *e = user;
  guarded *g = e->guarded;
  if (!g)
    return;
  uint64_t now = thread_timer_now();
  if (binding_is_asked(e))
    stop_bodies(e, now);
  if (!g->stopped) {
    if (g->is_brief) {
      g->is_brief = 0;
      g->due = now + BRIEF_MS * MS;
    }
    if (now < g->due) {
      thread_timer_set(e->timer, g->due);
      return;
    }
    g->since = now;
    g->stopped = STOPPED_BY_TIME;
  }
  set_hook(e->running);
  if (g->signals < 2)
    g->signals++;
  if (!g->is_told && now >= g->since + STUBBORN_MS * MS) {
    g->is_told = 1;
    tell_stubborn(e, g);
  }
  int pause = g->is_told ? STUBBORN_AGAIN_MS : AGAIN_MS;
  thread_timer_set(e->timer, now + (uint64_t)pause * MS);
}

void binding_preempt_interrupt(engine *e) {
  guarded *g = e->guarded;
  if (!g)
    return;
  uint64_t now = thread_timer_now();
  for (; g; g = g->outer) {
    if (g->stopped)
      continue;
    g->since = now;
    g->stopped = STOPPED_BY_SIGNAL;
  }
  set_hook(e->running);
  if (e->timer)
    thread_timer_set(e->timer, now + AGAIN_MS * MS);
}

void binding_preempt_ask(engine *e) {
  guarded *g = e->guarded;
  if (!g)
    return;
  uint64_t now = thread_timer_now();
  stop_bodies(e, now);
  if (!g->stopped)
    return;
  set_hook(e->running);
  if (e->timer)
    thread_timer_set(e->timer, now + AGAIN_MS * MS);
}

/* --- entering and leaving */

void binding_preempt_enter(engine *e, guarded *g, lua_State *co,
                           const attempt *a, uint64_t due) {
  *g = (guarded){.outer = e->guarded,
                 .outer_running = e->running,
                 .co = co,
                 .attempt = a,
                 .due = due,
                 .timed = e->timer != NULL};
  atomic_signal_fence(memory_order_seq_cst);
  e->running = co;
  e->guarded = g;
  if (!g->timed)
    return;
  thread_timer_begin(e->timer);
  if (due < e->timer->at)
    thread_timer_set(e->timer, due);
}

void binding_preempt_brief(engine *e, guarded *g) {
  g->is_told = 1;
  g->is_brief = 1;
  if (!e->timer)
    return;
  /* What was found or set here before is no later than it was then. */
  uint64_t at = e->timer->at;
  if (at == e->brief_at && at != UINT64_MAX)
    return;
  uint64_t latest = thread_timer_now() + BRIEF_MS * MS;
  if (at > latest)
    thread_timer_set(e->timer, latest);
  e->brief_at = at > latest ? latest : at;
}

int binding_preempt_leave(engine *e, guarded *g) {
  guarded *outer = g->outer;
  e->guarded = outer;
  e->running = g->outer_running;
  atomic_signal_fence(memory_order_seq_cst);
  if (g->stopped)
    clear_hook(g->co);
  if (!g->timed || !e->timer)
    return g->stopped;
  thread_timer_end(e->timer);
  if (outer && outer->stopped) {
    /* What was inside it has held it up, and may have for long. */
    outer->since = thread_timer_now();
    thread_timer_set(e->timer, 0);
  } else if (outer && outer->due < e->timer->at) {
    thread_timer_set(e->timer, outer->due);
  }
  return g->stopped;
}

void binding_preempt_move(engine *e, const attempt *a, uint64_t due) {
  for (guarded *g = e->guarded; g; g = g->outer)
    if (g->attempt == a && !g->is_cleanup)
      g->due = due;
  if (e->timer && e->guarded && e->guarded->due < e->timer->at)
    thread_timer_set(e->timer, e->guarded->due);
}

/* --- closing */

static int close_until(engine *e, lua_State *co, const attempt *a,
                       uint64_t due) {
  guarded g;
  clear_hook(co);
  binding_preempt_enter(e, &g, co, a, due);
  g.is_cleanup = 1;
#if LUA_VERSION_RELEASE_NUM >= 50406
  int status = lua_closethread(co, e->L);
#else
  int status = lua_resetthread(co);
#endif
  if (!binding_preempt_leave(e, &g))
    return status;
  if (status != LUA_OK)
    lua_pop(co, 1);
  lua_rawgetp(co, LUA_REGISTRYINDEX, &cleanup_key);
  return LUA_ERRRUN;
}

/* As close_until. The memory error that ended the coroutine, which most often
   is the stop, is no news of the cleanup. */
static int close_stopped(engine *e, lua_State *co, const attempt *a,
                         uint64_t due) {
  int was_ended = lua_status(co) == LUA_ERRMEM;
  int status = close_until(e, co, a, due);
  if (status != LUA_ERRMEM || !was_ended)
    return status;
  lua_pop(co, 1);
  return LUA_OK;
}

int binding_close_coroutine(engine *e, lua_State *co, const attempt *a) {
  return close_stopped(e, co, a, thread_timer_now() + CLEANUP_MS * MS);
}

/* Closes a coroutine that was stopped, below the one that was entered. */
static void close_child(engine *e, lua_State *co) {
  guarded *g = e->guarded;
  if (g->cleanup_due == 0)
    g->cleanup_due = thread_timer_now() + CLEANUP_MS * MS;
  if (close_stopped(e, co, g->attempt, g->cleanup_due) == LUA_OK)
    return;
  lua_xmove(co, e->L, 1);
  if (e->closed)
    lua_pop(e->L, 1);
  else
    binding_tell_error(e, "the cleanup of a coroutine");
}

/* --- coroutine.resume, wrap and close: as Lua's own, but for the note of who
   runs and the stop */

/* What has to be done after `co` has run in L. */
static void back_from(engine *e, lua_State *L, lua_State *co);

static lua_State *check_coroutine(lua_State *L) {
  lua_State *co = lua_tothread(L, 1);
  luaL_argexpected(L, co, 1, "thread");
  return co;
}

/* Resumes with `count` arguments from L. Returns the number of results, which
   it pushes; or -1, and pushes the error. */
static int resume(engine *e, lua_State *L, lua_State *co, int count) {
  if (is_stopped(e))
    return stop_here(e, L, 0);
  if (!lua_checkstack(co, count)) {
    lua_pushliteral(L, "too many arguments to resume");
    return -1;
  }
  lua_xmove(L, co, count);
  lua_State *outer = e->running;
  int results;
  e->running = co;
  int status = lua_resume(co, L, count, &results);
  e->running = outer;
  back_from(e, L, co);
  if (status != LUA_OK && status != LUA_YIELD) {
    lua_xmove(co, L, 1);
    return -1;
  }
  if (!lua_checkstack(L, results + 1)) {
    lua_pop(co, results);
    lua_pushliteral(L, "too many results to resume");
    return -1;
  }
  lua_xmove(co, L, results);
  return results;
}

static int coroutine_resume(lua_State *L) {
  lua_State *co = check_coroutine(L);
  int results = resume(binding_engine(L), L, co, lua_gettop(L) - 1);
  lua_pushboolean(L, results >= 0);
  if (results < 0)
    results = 1;
  lua_insert(L, -(results + 1));
  return results + 1;
}

/* Runs what a coroutine has left to close, for its owner in L. */
static int reset(engine *e, lua_State *L, lua_State *co) {
  lua_State *outer = e->running;
  e->running = co;
#if LUA_VERSION_RELEASE_NUM >= 50406
  int status = lua_closethread(co, L);
#else
  int status = lua_resetthread(co);
#endif
  e->running = outer;
  back_from(e, L, co);
  return status;
}

/* What coroutine.wrap returns. */
static int call_wrapped(lua_State *L) {
  engine *e = binding_engine(L);
  lua_State *co = lua_tothread(L, lua_upvalueindex(2));
  int results = resume(e, L, co, lua_gettop(L));
  if (results >= 0)
    return results;
  int status = lua_status(co);
  if (status != LUA_OK && status != LUA_YIELD) {
    status = reset(e, L, co);
    lua_xmove(co, L, 1);
  }
  if (status != LUA_ERRMEM && lua_type(L, -1) == LUA_TSTRING) {
    luaL_where(L, 1);
    lua_insert(L, -2);
    lua_concat(L, 2);
  }
  return lua_error(L);
}

static int coroutine_wrap(lua_State *L) {
  luaL_checktype(L, 1, LUA_TFUNCTION);
  lua_pushvalue(L, lua_upvalueindex(1));
  lua_State *co = lua_newthread(L);
  lua_pushvalue(L, 1);
  lua_xmove(L, co, 1);
  lua_pushcclosure(L, call_wrapped, 2);
  return 1;
}

static int coroutine_close(lua_State *L) {
  engine *e = binding_engine(L);
  lua_State *co = check_coroutine(L);
  lua_Debug level;
  if (co == L)
    return luaL_error(L, "cannot close a running coroutine");
  if (lua_status(co) == LUA_OK && lua_getstack(co, 0, &level))
    return luaL_error(L, "cannot close a normal coroutine");
  if (is_stopped(e))
    return stop_here(e, L, 0);
  int status = reset(e, L, co);
  lua_pushboolean(L, status == LUA_OK);
  if (status == LUA_OK)
    return 1;
  lua_xmove(co, L, 1);
  return 2;
}

static const luaL_Reg replacements[] = {
    {"resume", coroutine_resume},
    {"wrap", coroutine_wrap},
    {"close", coroutine_close},
    {NULL, NULL},
};

/* --- interrupting the main program */

static void raise_interrupted(lua_State *L, lua_Debug *info) {
  engine *e = astrum_binding_engine(L);
  (void)info;
  lua_sethook(L, NULL, 0, 0);
  if (!e->interrupts_main)
    return;
  e->interrupts_main = 0;
  lua_pushliteral(L, "interrupted!");
  lua_error(L);
}

void astrum_binding_interrupt_main(engine *e, lua_State *L) {
  lua_State *co = e->running ? e->running : L;
  e->interrupts_main = 1;
  lua_sethook(co, raise_interrupted,
              LUA_MASKCALL | LUA_MASKRET | LUA_MASKLINE | LUA_MASKCOUNT, 1);
}

void astrum_binding_forget_interrupt(engine *e, lua_State *L) {
  e->interrupts_main = 0;
  if (lua_gethook(L) == raise_interrupted)
    lua_sethook(L, NULL, 0, 0);
}

static void back_from(engine *e, lua_State *L, lua_State *co) {
  if (e->interrupts_main)
    astrum_binding_interrupt_main(e, L);
  if (!is_stopped(e))
    return;
  if (e->guarded->cut == co) {
    keep(e, co);
    close_child(e, co);
  } else {
    clear_hook(co);
  }
  stop_here(e, L, 0);
}

/* --- enabling */

void binding_preempt_overran(engine *e, const attempt *a, uint64_t ran,
                             uint64_t limit) {
  if (e->timer || e->told_overrun)
    return;
  e->told_overrun = 1;
  preempt_tell_overrun(a, ran, limit);
}

/* Replaces the functions in package.loaded.coroutine, if it is there. */
static void replace_functions(lua_State *L) {
  luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
  if (lua_getfield(L, -1, "coroutine") == LUA_TTABLE)
    binding_functions(L, replacements);
  lua_pop(L, 2);
}

const char *binding_preempt_timer(engine *e, lua_State *L) {
  if (e->timer)
    return NULL;
  thread_timer *t = e->alloc.fn(e->alloc.user, NULL, 0, sizeof *t);
  if (!t) {
    binding_fail(L, ASTRUM_ENOMEM);
    return NULL;
  }
  t->fire = on_time;
  t->user = e;
  const char *problem = thread_timer_open(t);
  if (problem)
    e->alloc.fn(e->alloc.user, t, sizeof *t, 0);
  else
    e->timer = t;
  return problem;
}

int binding_enable_preemption(engine *e, lua_State *L) {
  if (e->closed)
    return luaL_error(L, "enable_preemption: the Lua state is being closed");
  const char *problem = binding_preempt_timer(e, L);
  if (problem) {
    lua_pushnil(L);
    lua_pushfstring(L,
                    "enable_preemption: %s; Lua code that never waits is "
                    "stopped only with executor = \"process\"",
                    problem);
    return 2;
  }
  if (!e->enabled)
    replace_functions(L);
  e->enabled = 1;
  lua_pushboolean(L, 1);
  return 1;
}

void binding_preempt_free(engine *e) {
  thread_timer *t = e->timer;
  if (!t)
    return;
  e->timer = NULL;
  thread_timer_close(t);
  e->alloc.fn(e->alloc.user, t, sizeof *t, 0);
}

static int enable_preemption(lua_State *L) {
  return binding_enable_preemption(binding_engine(L), L);
}

static const luaL_Reg functions[] = {
    {"enable_preemption", enable_preemption},
    {NULL, NULL},
};

int binding_open_preempt(lua_State *L) {
  /* What lua_error knows as the memory error of Lua itself. */
  lua_pushliteral(L, "not enough memory");
  lua_rawsetp(L, LUA_REGISTRYINDEX, &stop_key);
  lua_pushliteral(L, "it took more than 1 s and was stopped");
  lua_rawsetp(L, LUA_REGISTRYINDEX, &cleanup_key);
  binding_functions(L, functions);
  return 0;
}
