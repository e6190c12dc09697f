/*
 * A worker thread: a Lua state of its own that runs bodies for lua_thread.c.
 *
 * Bodies may wait, so they run inside of a task. Making a run for each would
 * take longer than many a body: one task, the host, runs them one by one in
 * core.serve. What it cannot go on after ends it, and thread_worker.lua begins
 * another: when a body was stopped, has yielded, or has left runs or processes
 * that must end before it is answered.
 */
#include "preempt.h"
#include "task.h"
#include "thread.h"
#include "thread_call.h"
#include "thread_timer.h"
#include "travel.h"
#include "wait.h"

#include <lualib.h>
#include <string.h>

enum {
  BODIES = 1000
}; /* more of them before those that are gone are dropped */

/* Their addresses are keys in the registry. */
static const char bodies_key = 0;
static const char run_key = 0;
static const char error_key = 0;
static const char traceback_key = 0;

static thread_call *current_call(const engine *e) {
  return (thread_call *)(void *)thread_worker_job(e->worker);
}

uint64_t binding_worker_grace(const engine *e) {
  const thread_call *c = current_call(e);
  return c ? c->grace : 0;
}

const char *binding_worker_task(const engine *e, size_t *size, uint32_t *item) {
  const thread_call *c = e->worker ? current_call(e) : NULL;
  if (!c)
    return NULL;
  *size = c->name_size;
  *item = c->item;
  return c->name;
}

const struct preempt_about *binding_worker_about(const engine *e) {
  const thread_call *c = current_call(e);
  return c ? c->about : NULL;
}

/* --- what ctx tells of the body that runs */

/* Pushes field number `place` of the run of a call. */
static void push_run_field(lua_State *L, const thread_call *c, int place) {
  if (lua_rawgetp(L, LUA_REGISTRYINDEX, &run_key) != LUA_TTABLE) {
    codec_error error;
    const codec_buffer *message = &c->run->message;
    lua_newtable(L);
    int fields = lua_gettop(L);
    int count = codec_decode(L, message->bytes, message->size, &error);
    for (; count > 0; count--)
      lua_rawseti(L, fields, count);
    lua_pushvalue(L, fields);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &run_key);
  }
  lua_rawgeti(L, -1, place);
}

static void push_key(lua_State *L, const thread_call *c) {
  push_run_field(L, c, 2);
  lua_pushliteral(L, "/");
  lua_pushlstring(L, c->name, c->name_size);
  if (c->item)
    lua_pushfstring(L, "[%I]", (LUAI_UACINT)c->item);
  else
    lua_pushliteral(L, "");
  lua_concat(L, 4);
}

/* core.told(_, key): a field of ctx, or nil */
static int told(lua_State *L) {
  static const char *const of_run[] = {"run_id", "path",   "namespace",
                                       "seed",   "params", NULL};
  const engine *e = binding_engine(L);
  const thread_call *c = e->worker ? current_call(e) : NULL;
  if (!c || lua_type(L, 2) != LUA_TSTRING)
    return 0;
  const char *key = lua_tostring(L, 2);
  luaL_checkstack(L, 16, NULL);
  if (strcmp(key, "task") == 0)
    lua_pushlstring(L, c->name, c->name_size);
  else if (strcmp(key, "attempt") == 0)
    lua_pushinteger(L, c->attempt);
  else if (strcmp(key, "item") == 0 && c->item)
    lua_pushinteger(L, c->item);
  else if (strcmp(key, "deadline") == 0 && c->deadline != 0)
    lua_pushnumber(L, c->deadline);
  else if (strcmp(key, "idempotency_key") == 0)
    push_key(L, c);
  else {
    for (int i = 0; of_run[i]; i++)
      if (strcmp(key, of_run[i]) == 0) {
        push_run_field(L, c, i + 1);
        return 1;
      }
    return 0;
  }
  return 1;
}

static int tell(lua_State *L, thread_kind kind, double fraction, int index) {
  const engine *e = binding_engine(L);
  size_t size = 0;
  const char *text = luaL_optlstring(L, index, NULL, &size);
  int is_told = e->worker && current_call(e);
  if (is_told && !thread_pool_tell(e->worker, kind, fraction, text, size))
    return luaL_error(L, "%s", astrum_strerror(ASTRUM_ENOMEM));
  lua_pushboolean(L, is_told);
  return 1;
}

/* core.tell_log(text), core.tell_progress(fraction, text),
   core.tell_stray(where, text) -> whether a body runs for which it is told */
static int tell_log(lua_State *L) { return tell(L, THREAD_LOG, 0, 1); }

static int tell_progress(lua_State *L) {
  return tell(L, THREAD_PROGRESS, luaL_checknumber(L, 1), 2);
}

static int tell_stray(lua_State *L) {
  luaL_checkstring(L, 1);
  luaL_checkstring(L, 2);
  lua_settop(L, 2);
  lua_pushlstring(L, "", 1);
  lua_insert(L, 2);
  lua_concat(L, 3);
  return tell(L, THREAD_STRAY, 0, 1);
}

/* --- answers */

/* Writes the error of a call: text, value and traceback are the top three
   values, which it pops. A value that is no data is left out. */
static void put_failure(lua_State *L, thread_call *c) {
  codec_buffer *out = &c->job.values;
  codec_error error;
  int first = lua_gettop(L) - 2;
  c->job.outcome = THREAD_FAILED;
  out->size = 0;
  if (codec_encode(L, first, 3, "error", 0, out, &error) != ASTRUM_OK) {
    lua_pushnil(L);
    lua_replace(L, first + 1);
    if (codec_encode(L, first, 3, "error", 0, out, &error) != ASTRUM_OK)
      c->job.outcome = THREAD_BROKEN; /* without a text */
  }
  lua_settop(L, first - 1);
}

/* Pushes the text of the value at an index, and the value if it says more, by
   the function at index 1. */
static void push_error(lua_State *L, int index) {
  lua_pushvalue(L, 1);
  lua_pushvalue(L, index);
  lua_call(L, 1, 2);
}

/* The same for a result that is why it cannot leave. */
static void push_no_travel(lua_State *L, const char *why) {
  lua_pushvalue(L, 1);
  lua_pushnil(L);
  lua_pushstring(L, why);
  lua_call(L, 2, 2);
}

/* The values from index 3 on are what the body returned. Leaves of them what a
   task has: nil and an error, or one result. Returns whether it is an error. */
static int cut_results(lua_State *L) {
  int is_error = lua_gettop(L) >= 4 && lua_isnil(L, 3) && !lua_isnil(L, 4);
  lua_settop(L, is_error ? 4 : 3);
  return is_error;
}

/* The message handler of bodies: error -> error. Their first one counts; what
   is raised while it closes variables is told on its own. */
static int keep_error(lua_State *L) {
  engine *e = astrum_binding_engine(L);
  if (lua_rawgetp(L, LUA_REGISTRYINDEX, &traceback_key) != LUA_TNIL) {
    lua_pop(L, 1);
    if (lua_checkstack(e->L, 1)) {
      lua_xmove(L, e->L, 1);
      binding_tell_error(e, "the cleanup of a task");
    }
    lua_rawgetp(L, LUA_REGISTRYINDEX, &error_key);
    return 1;
  }
  lua_pop(L, 1);
  binding_push_traceback(L, L, 1);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &traceback_key);
  lua_pushvalue(L, 1);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &error_key);
  return 1;
}

static void forget_error(lua_State *L) {
  lua_pushnil(L);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &traceback_key);
  lua_pushnil(L);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &error_key);
}

/* What the body returned or raised becomes the answer. Returns whether it has
   failed. */
static int put_answer(lua_State *L, thread_call *c, int status) {
  codec_buffer *out = &c->job.values;
  codec_error error;
  luaL_checkstack(L, 12, NULL);
  if (status == LUA_OK || status == LUA_YIELD) {
    int is_error = cut_results(L);
    out->size = 0;
    astrum_err err = codec_encode(L, 3, 1 + is_error, "result", 0, out, &error);
    c->job.outcome = THREAD_RETURNED;
    if (err == ASTRUM_OK)
      return 0;
    if (is_error) {
      push_error(L, 4);
    } else {
      push_no_travel(L,
                     err == ASTRUM_ENOMEM ? astrum_strerror(err) : error.text);
    }
    lua_pushnil(L);
  } else {
    if (lua_rawgetp(L, LUA_REGISTRYINDEX, &traceback_key) != LUA_TNIL) {
      lua_rawgetp(L, LUA_REGISTRYINDEX, &error_key);
      push_error(L, lua_gettop(L));
    } else {
      push_error(L, lua_gettop(L) - 1);
    }
    lua_rawgetp(L, LUA_REGISTRYINDEX, &traceback_key);
    forget_error(L);
  }
  put_failure(L, c);
  return 1;
}

/* --- bodies */

/* Replaces the table of bodies on the top by one without those that are gone at
   home. Returns how many may be added before the next time: as many as it has,
   but not few. */
static lua_Integer drop_bodies(lua_State *L) {
  const thread_home *h = thread_worker_user(astrum_binding_engine(L)->worker);
  int old = lua_gettop(L);
  uint64_t *ids;
  size_t capacity, count = BODIES;
  do {
    lua_settop(L, old);
    capacity = count;
    ids = lua_newuserdatauv(L, capacity * sizeof *ids, 0);
    count = binding_body_ids(h->engine, ids, capacity);
  } while (count > capacity);
  lua_Integer kept = 0;
  lua_newtable(L);
  for (size_t i = 0; i < count; i++) {
    if (lua_rawgeti(L, old, (lua_Integer)ids[i]) == LUA_TNIL) {
      lua_pop(L, 1);
      continue;
    }
    lua_rawseti(L, -2, (lua_Integer)ids[i]);
    kept++;
  }
  lua_pushvalue(L, -1);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &bodies_key);
  lua_replace(L, old);
  lua_settop(L, old);
  return kept < BODIES ? BODIES : kept;
}

/* Pushes the function of a call. Raises when it cannot be had here. */
static void push_body(lua_State *L, const thread_call *c) {
  lua_Integer id = (lua_Integer)c->body->work.id;
  lua_rawgetp(L, LUA_REGISTRYINDEX, &bodies_key);
  if (lua_rawgeti(L, -1, id) == LUA_TFUNCTION) {
    lua_replace(L, -2);
    return;
  }
  lua_pop(L, 1);
  lua_rawgeti(L, -1, 0);
  lua_Integer left = lua_tointeger(L, -1);
  lua_pop(L, 1);
  if (left == 0)
    left = drop_bodies(L);
  codec_error error;
  if (travel_unpack(L, c->body->packed, c->body->packed_size, 0, &error) !=
      ASTRUM_OK)
    luaL_error(L, "%s", error.text);
  lua_pushinteger(L, left - 1);
  lua_rawseti(L, -3, 0);
  lua_pushvalue(L, -1);
  lua_rawseti(L, -3, id);
  lua_replace(L, -2);
}

/* Pushes the arguments of a call; returns their number. */
static int push_arguments(lua_State *L, engine *e, const thread_call *c) {
  codec_error error;
  const codec_buffer *values = &c->job.values;
  int count = codec_decode(L, values->bytes, values->size, &error);
  if (count < 0)
    luaL_error(L, "%s", error.text);
  if (c->context_at) {
    binding_push_context(L, e->current->attempt);
    lua_replace(L, lua_gettop(L) - count + c->context_at - 1);
  }
  return count;
}

/* --- serving. Stack: 1 a function that tells of errors, 2 the handler */

/* Whether the host can go on after the body that has ended. */
static int can_go_on(const engine *e, const attempt *a) {
  return !a->child_runs && !a->processes &&
         !(e->guarded && e->guarded->stopped);
}

static int serve_on(lua_State *L);

/* A body has ended. Returns whether the host can go on. */
static int finish(lua_State *L, engine *e, int status) {
  thread_call *c = current_call(e);
  attempt *a = e->current->attempt;
  int failed = put_answer(L, c, status);
  e->call_state = CALL_ENDED;
  lua_settop(L, 2);
  lua_pushnil(L);
  lua_rawsetp(L, LUA_REGISTRYINDEX,
              &run_key); /* the body may have changed it */
  if (a->context)
    binding_drop_context(e, a);
  if (can_go_on(e, a))
    return 1;
  if (failed)
    luaL_error(L, "what the body has left is to be stopped");
  return 0;
}

static int body_ended(lua_State *L, int status, lua_KContext context) {
  engine *e = astrum_binding_engine(L);
  (void)context;
  return finish(L, e, status) ? serve_on(L) : 0;
}

static int serve_on(lua_State *L) {
  engine *e = binding_engine(L);
  for (;;) {
    if (e->call_state != CALL_NEXT) {
      e->call_state = CALL_NEXT;
      if (!thread_pool_next(e->worker))
        return 0;
      /* A stop for the last one that came too late must not hit this one. */
      if (!can_go_on(e, e->current->attempt))
        return 0;
    }
    const thread_call *c = current_call(e);
    e->call_state = CALL_BEGUN;
    if (binding_is_asked(e))
      return 0;
    push_body(L, c);
    int count = push_arguments(L, e, c);
    int status = lua_pcallk(L, count, LUA_MULTRET, 2, 0, body_ended);
    if (!finish(L, e, status))
      return 0;
  }
}

/* core.serve(told_of): runs bodies until the pool is closed, or until what runs
   them must end first. told_of(error), or told_of(nil, why) of a result that
   cannot leave, gives a text, and a value that says more or nil. */
static int serve(lua_State *L) {
  lua_settop(L, 1);
  lua_pushcfunction(L, keep_error);
  return serve_on(L);
}

/* core.is_serving() -> whether there may be more to do */
static int is_serving(lua_State *L) {
  const engine *e = binding_engine(L);
  lua_pushboolean(L, e->worker && !thread_worker_closing(e->worker));
  return 1;
}

/*
 * core.end_call(text, value, traceback): what ran the bodies has ended, with
 * that error if it did not end well. A body that was begun is answered; of one
 * that was to be stopped home wants to know nothing but the traceback.
 */
static int end_call(lua_State *L) {
  engine *e = binding_engine(L);
  thread_call *c = current_call(e);
  lua_settop(L, 3);
  if (!c)
    return 0;
  forget_error(L);
  if (binding_is_asked(e)) {
    put_failure(L, c);
    c->job.outcome = THREAD_STOPPED;
  } else if (e->call_state == CALL_BEGUN) {
    put_failure(L, c);
  } else if (e->call_state == CALL_NEXT) {
    return 0; /* the next host runs it */
  }
  e->call_state = CALL_NONE;
  thread_pool_hand_in(e->worker);
  return 0;
}

/* --- the thread */

/* Called by home. */
static void interrupt(void *user, pthread_t thread) {
  const engine *e = user;
  if (e->timer)
    thread_timer_poke(e->timer, thread);
  astrum_loop_wake(e->loop);
}

static int refuse_exit(lua_State *L) {
  return luaL_error(L,
                    "os.exit is not available in a worker thread\n"
                    "help: return to end the body, or call error to fail the "
                    "task");
}

static int open_core(lua_State *L) {
  luaopen_astrum_core(L);
  const engine *e = astrum_binding_engine(L);
  const thread_home *h = thread_worker_user(e->worker);
  lua_pushboolean(L, h->is_program);
  lua_setfield(L, -2, "is_program");
  return 1;
}

static void set_places(lua_State *L, const thread_home *h) {
  lua_getfield(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
  lua_getfield(L, -1, "package");
  if (h->path) {
    lua_pushstring(L, h->path);
    lua_setfield(L, -2, "path");
  }
  if (h->cpath) {
    lua_pushstring(L, h->cpath);
    lua_setfield(L, -2, "cpath");
  }
  lua_getfield(L, -2, "os");
  lua_pushcfunction(L, refuse_exit);
  lua_setfield(L, -2, "exit");
  luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_PRELOAD_TABLE);
  for (size_t i = 0; i < h->preload_count; i++) {
    const thread_preload *p = &h->preloads[i];
    if (p->data)
      lua_pushlightuserdata(L, p->data);
    lua_pushcclosure(L, p->function, p->data != NULL);
    lua_setfield(L, -2, p->name);
  }
  lua_pushcfunction(L, open_core);
  lua_setfield(L, -2, "astrum.core");
  lua_pop(L, 4);
}

/* Argument: the worker, as light userdata. */
static int work(lua_State *L) {
  thread_worker *worker = lua_touserdata(L, 1);
  luaL_openlibs(L);
  lua_gc(L, LUA_GCGEN, 0, 0);
  engine *e = astrum_binding_engine(L);
  e->worker = worker;
  e->asked = thread_worker_asked(worker);
  set_places(L, thread_worker_user(worker));
  lua_newtable(L);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &bodies_key);
  const char *problem = binding_preempt_timer(e, L);
  /* Where no system call gives one, bodies run all the same. */
  if (problem && thread_timer_exists())
    return luaL_error(L,
                      "%s; without a timer nothing could stop it there\n"
                      "help: executor = \"process\" needs none",
                      problem);
  binding_enable_preemption(e, L);
  binding_loop(e, L);
  thread_worker_bind(worker, interrupt, e);
  lua_settop(L, 0);
  lua_getglobal(L, "require");
  lua_pushliteral(L, "astrum.thread_worker");
  lua_call(L, 1, 1);
  lua_getfield(L, -1, "main");
  lua_call(L, 0, 0);
  return 0;
}

static void put_text(codec_buffer *out, const char *text) {
  size_t size = strlen(text);
  void *bytes = out->alloc.fn(out->alloc.user, NULL, 0, size + 1);
  codec_free(out);
  out->bytes = bytes;
  out->capacity = bytes ? size + 1 : 0;
  out->size = bytes ? size : 0;
  if (bytes)
    memcpy(bytes, text, size + 1);
}

/* Answers every job with the reason why it cannot be run. */
static void refuse_jobs(thread_worker *worker, const char *why) {
  thread_job *job = thread_worker_job(worker);
  for (;;) {
    if (job) {
      job->outcome = THREAD_BROKEN;
      put_text(&job->values, why);
    }
    job = thread_pool_next(worker);
    if (!job)
      return;
  }
}

void binding_run_worker(thread_worker *worker) {
  lua_State *L = luaL_newstate();
  if (!L) {
    refuse_jobs(worker, astrum_strerror(ASTRUM_ENOMEM));
    return;
  }
  lua_pushcfunction(L, work);
  lua_pushlightuserdata(L, worker);
  int status = lua_pcall(L, 1, 0, 0);
  thread_worker_bind(worker, NULL, NULL);
  if (status != LUA_OK) {
    const char *why = lua_tostring(L, -1);
    refuse_jobs(worker, why ? why : "its Lua state has failed");
  }
  lua_close(L);
}

int binding_open_worker(lua_State *L) {
  static const luaL_Reg functions[] = {
      {"serve", serve},           {"is_serving", is_serving},
      {"end_call", end_call},     {"told", told},
      {"tell_log", tell_log},     {"tell_progress", tell_progress},
      {"tell_stray", tell_stray}, {NULL, NULL},
  };
  binding_functions(L, functions);
  return 0;
}
