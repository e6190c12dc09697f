/*
 * Bodies in worker threads, seen from home: the thread of the engine's loop. A
 * body's place is taken by a function that encodes the arguments, hands them to
 * a pool, and waits for what comes back.
 */
#include "attempt.h"
#include "preempt_text.h"
#include "thread.h"
#include "thread_call.h"
#include "wait.h"

#include <stdlib.h>
#include <string.h>

enum { KEPT = 1 << 16 }; /* bytes of a buffer that waits for its next use */

/* Between two looks at what workers have told of small jobs, ns. */
#define LOOK UINT64_C(1000000)

/* Frees a buffer that is too large to wait for its next use. */
static void trim(codec_buffer *values) {
  if (values->capacity > KEPT)
    codec_free(values);
}

/* Of bodies: workers know them by it. */
static uint64_t new_id(void) {
  static atomic_uint_fast64_t last;
  return atomic_fetch_add(&last, 1) + 1;
}

/* --- what workers know of a run */

void binding_release_run(thread_run *shared) {
  if (--shared->users > 0)
    return;
  codec_free(&shared->message);
  free(shared);
}

void binding_free_thread_run(run *r) {
  if (r->shared)
    binding_release_run(r->shared);
  r->shared = NULL;
}

/* Of the run's data, which is on the top; pops it. After an error, as when the
   params do not travel, the run has none of it. */
static astrum_err share_run(lua_State *L, run *r, codec_error *error) {
  static const char *const fields[] = {"run_id", "path", "namespace", "seed",
                                       "params"};
  enum { COUNT = sizeof fields / sizeof *fields };
  int data = lua_gettop(L);
  luaL_checkstack(L, COUNT + 4, NULL);
  for (int i = 0; i < COUNT; i++)
    lua_getfield(L, data, fields[i]);
  thread_run *shared = calloc(1, sizeof *shared);
  if (!shared)
    binding_raise(L, "executor = \"thread\"", ASTRUM_ENOMEM);
  shared->users = 1;
  shared->message.alloc = thread_pool_alloc();
  astrum_err err =
      codec_encode(L, data + 1, COUNT, "params", 0, &shared->message, error);
  if (err)
    binding_release_run(shared);
  else
    r->shared = shared;
  lua_settop(L, data - 1);
  return err;
}

/* --- calls */

static thread_call *new_call(thread_home *h) {
  thread_call *c = h->free;
  if (c) {
    h->free = c->next_free;
    return c;
  }
  c = calloc(1, sizeof *c);
  if (!c)
    return NULL;
  c->home = h;
  c->next = h->calls;
  h->calls = c;
  c->job.values.alloc = thread_pool_alloc();
  return c;
}

static void free_call(thread_call *c) {
  thread_home *h = c->home;
  if (c->run)
    binding_release_run(c->run);
  free(c->about);
  c->about = NULL;
  c->run = NULL;
  c->strand = NULL;
  c->direct = NULL;
  c->answer = NULL;
  c->next_free = h->free;
  h->free = c;
}

/* The loop lives while any thread may tell something. */
static void count_calls(engine *e, int change) {
  size_t before = e->call_count;
  e->call_count += (size_t)change;
  if ((before == 0) != (e->call_count == 0) && e->loop)
    astrum_loop_hold(e->loop, e->call_count > 0);
}

static void end_call(thread_call *c) {
  c->is_over = 1;
  c->home->small -= c->job.is_small;
  count_calls(c->home->engine, -1);
}

/* For a worker that may not be able to stop. Returns NULL without memory. */
static preempt_about *describe(const engine *e, const attempt *a) {
  preempt_about *about = malloc(sizeof *about);
  if (about)
    preempt_describe(about, a, a && a->late, e->interrupted != 0);
  return about;
}

/* Nobody waits for it any more; an attempt that was has to be answered later
   if a worker has begun. */
static void give_up(engine *e, thread_call *c, attempt *a) {
  thread_home *h = c->home;
  c->strand = NULL;
  c->direct = NULL;
  if (!c->is_over && h->pool)
    c->about = describe(e, a);
  if (!c->is_over && h->pool && !thread_pool_withdraw(h->pool, &c->job)) {
    c->answer = a;
    if (a)
      a->processes++;
    return;
  }
  if (!c->is_over && !e->closing)
    end_call(c);
  free_call(c);
}

void binding_cancel_call(engine *e, strand *s) {
  thread_call *c = s->call;
  s->call = NULL;
  give_up(e, c, s->attempt);
}

void binding_cancel_direct(engine *e, attempt *a) {
  thread_call *c = a->call;
  a->call = NULL;
  give_up(e, c, a);
}

/* --- what workers tell */

/* Arguments: attempt, event. */
static int tell_context(lua_State *L) {
  attempt *a = lua_touserdata(L, 1);
  const thread_event *event = lua_touserdata(L, 2);
  binding_push_context(L, a);
  int is_log = event->kind == THREAD_LOG;
  lua_getfield(L, -1, is_log ? "log" : "progress");
  if (!is_log)
    lua_pushnumber(L, event->fraction);
  if (event->text)
    lua_pushlstring(L, event->text, event->size);
  lua_call(L, lua_gettop(L) - 4, 0);
  return 0;
}

/* Argument: event. Returns what it says. */
static int stray_text(lua_State *L) {
  const thread_event *event = lua_touserdata(L, 1);
  size_t where = strlen(event->text) + 1;
  lua_pushlstring(L, event->text + where, event->size - where);
  return 1;
}

static void on_stray(engine *e, const thread_event *event) {
  lua_pushcfunction(e->L, stray_text);
  lua_pushlightuserdata(e->L, (void *)event);
  (void)lua_pcall(e->L, 1, 1, 0); /* an error is told in its place */
  binding_tell_error(e, event->text);
}

static void on_told(engine *e, const thread_event *event) {
  const thread_call *c = (const thread_call *)(const void *)event->job;
  lua_State *L = e->L;
  attempt *a = c->strand ? c->strand->attempt : c->direct;
  if (!a)
    return;
  lua_pushcfunction(L, tell_context);
  lua_pushlightuserdata(L, a);
  lua_pushlightuserdata(L, (void *)event);
  if (lua_pcall(L, 2, 0, 0) != LUA_OK)
    binding_tell_error(e, "a message of a worker");
}

static int take_answer(lua_State *L);

/* Argument: a call as light userdata. Returns its result; nothing when that is
   an error. */
static int read_result(lua_State *L) {
  const thread_call *c = lua_touserdata(L, 1);
  const codec_buffer *values = &c->job.values;
  codec_error error;
  lua_settop(L, 0);
  int count = codec_decode(L, values->bytes, values->size, &error);
  if (count < 0 || (count >= 2 && lua_isnil(L, 1) && !lua_isnil(L, 2)))
    return 0;
  lua_settop(L, 1);
  return 1;
}

/* The answer for an attempt without a strand, if it is a result. */
static int end_well(engine *e, thread_call *c) {
  lua_State *L = e->L;
  if (c->job.outcome != THREAD_RETURNED)
    return 0;
  if (!codec_decode_simple(L, c->job.values.bytes, c->job.values.size)) {
    int top = lua_gettop(L);
    lua_pushcfunction(L, read_result);
    lua_pushlightuserdata(L, c);
    if (lua_pcall(L, 1, LUA_MULTRET, 0) != LUA_OK || lua_gettop(L) == top) {
      lua_settop(L, top);
      return 0; /* the way in a coroutine tells why */
    }
  }
  attempt *a = c->direct;
  a->call = NULL;
  trim(&c->job.values);
  free_call(c);
  binding_end_directly(e, a);
  return 1;
}

/* The answer for an attempt without a strand: an error gets one to end in. */
static void end_direct(engine *e, thread_call *c) {
  if (end_well(e, c))
    return;
  attempt *a = c->direct;
  strand *s = binding_new_strand(e, a);
  a->call = NULL;
  if (!s) {
    free_call(c);
    binding_push_no_memory(e);
    binding_store_error(e, a->run, a->ticket);
    binding_finish(e, a, ASTRUM_FAILURE);
    return;
  }
  a->root = s;
  binding_pin(e, a->run);
  lua_pushcfunction(s->co, take_answer);
  lua_rawgeti(e->slots, SLOT_BODIES, (lua_Integer)a->ticket.task + 1);
  lua_xmove(e->slots, s->co, 1);
  lua_pushlightuserdata(s->co, c);
  binding_resume(e, s, 2);
}

/* Argument: a call as light userdata. Returns where its body was. */
static int read_place(lua_State *L) {
  const thread_call *c = lua_touserdata(L, 1);
  const codec_buffer *values = &c->job.values;
  codec_error error;
  if (codec_decode(L, values->bytes, values->size, &error) < 3)
    lua_pushnil(L);
  return 1;
}

/* The body of an attempt that could not wait for it any more has ended. */
static void read_stopped(engine *e, const thread_call *c, attempt *a) {
  lua_State *L = e->L;
  if (c->job.outcome != THREAD_STOPPED)
    return;
  lua_pushcfunction(L, read_place);
  lua_pushlightuserdata(L, (void *)c);
  if (lua_pcall(L, 1, 1, 0) == LUA_OK && lua_isstring(L, -1))
    binding_tell_place(e, a);
  else
    lua_pop(L, 1);
}

static void on_over(engine *e, thread_call *c) {
  end_call(c);
  if (c->direct) {
    end_direct(e, c);
    return;
  }
  if (c->strand) {
    /* As if a timer of its were due: this is the loop's turn, too. */
    binding_strand_timer(&c->strand->timer);
    return;
  }
  attempt *a = c->answer;
  if (a)
    read_stopped(e, c, a);
  trim(&c->job.values);
  free_call(c);
  if (a) {
    a->processes--;
    binding_attempt_relieved(e, a);
  }
}

/* Looks for the ends of small jobs after a while, for which workers may wait
   then. */
static void look_later(thread_home *h) {
  engine *e = h->engine;
  h->looks = astrum_timer_start(e->loop, &h->look,
                                astrum_loop_now(e->loop) + LOOK) == ASTRUM_OK;
  thread_pool_look(h->pool, h->looks);
}

/* Returns whether there was anything. */
static int look(thread_home *h) {
  thread_event *next, *events = thread_pool_take(h->pool);
  for (thread_event *event = events; event; event = next) {
    next = event->next;
    if (event->kind == THREAD_DONE) {
      /* The event is part of the call, which may be in use again after this. */
      on_over(h->engine, (thread_call *)(void *)event->job);
    } else {
      if (event->kind == THREAD_STRAY)
        on_stray(h->engine, event);
      else
        on_told(h->engine, event);
      thread_event_free(event);
    }
  }
  if (!events)
    return 0;
  h->has_found = 1;
  if (h->pool && h->small > 0 && !h->looks)
    look_later(h);
  return 1;
}

void binding_threads_woken(engine *e) {
  for (thread_home *h = e->homes; h; h = h->next)
    if (h->pool)
      look(h);
}

void binding_on_look(astrum_timer *timer) {
  thread_home *h =
      (thread_home *)(void *)((char *)timer - offsetof(thread_home, look));
  h->looks = 0;
  if (h->engine->closed || !h->pool)
    return;
  look(h);
  /* When there was nothing since the last time, home is woken from now on. */
  if (!h->has_found)
    thread_pool_look(h->pool, 0);
  else if (h->pool && h->small > 0 && !h->looks)
    look_later(h);
  h->has_found = 0;
}

/* --- the function in a body's place */

#define BODY_TYPE "astrum.thread_body"

/* What the functions in bodies' places have. */
enum { UP_ENGINE = 1, UP_BODY, UP_FAIL, UP_REFUSE };

/* Returns what came of a call, or raises its error. On the top is the function
   UP_FAIL. */
static int read_answer(lua_State *L, thread_call *c) {
  thread_outcome outcome = c->job.outcome;
  codec_buffer *values = &c->job.values;
  codec_error error;
  /* It is not used again before what it holds has been read. */
  free_call(c);
  if (outcome == THREAD_STOPPED)
    return luaL_error(L, "the worker thread was stopped");
  if (outcome == THREAD_BROKEN) {
    lua_pushlstring(L, (const char *)values->bytes, values->size);
    return luaL_error(L, "the worker thread cannot run the task: %s",
                      lua_tostring(L, -1));
  }
  if (outcome == THREAD_FAILED)
    lua_pushlstring(L, c->name, c->name_size);
  int count = codec_decode(L, values->bytes, values->size, &error);
  trim(values);
  if (count < 0)
    return luaL_error(L, "%s", error.text);
  if (outcome != THREAD_FAILED)
    return count;
  lua_call(L, count + 1, 0);
  return luaL_error(L, "the task failed");
}

/* The body has come to its end there. */
static int call_resumed(lua_State *L, int status, lua_KContext context) {
  (void)status;
  (void)context;
  strand *s = binding_resumed(L);
  thread_call *c = s->call;
  s->call = NULL;
  lua_settop(L, 0);
  lua_pushvalue(L, lua_upvalueindex(UP_FAIL));
  return read_answer(L, c);
}

/* Arguments: the function in the body's place, the call as light userdata. */
static int take_answer(lua_State *L) {
  thread_call *c = lua_touserdata(L, 2);
  lua_getupvalue(L, 1, UP_FAIL);
  return read_answer(L, c);
}

/* Its ctx, which the worker puts in again. */
static int take_context(lua_State *L, const attempt *a, int count) {
  int at = 0;
  if (!a->context)
    return 0;
  binding_anchored(L, &a->context);
  for (int i = 1; i <= count; i++)
    if (lua_rawequal(L, i, -1)) {
      lua_pushnil(L);
      lua_replace(L, i);
      at = i;
    }
  lua_pop(L, 1);
  return at;
}

static void enqueue(engine *e, thread_call *c) {
  thread_home *h = c->home;
  int is_virtual = astrum_loop_system_time(e->loop, 0) == ASTRUM_NEVER;
  if (thread_pool_submit(h->pool, &c->job, !is_virtual))
    e->holds_jobs = 1;
  h->small += c->job.is_small;
  if (c->job.is_small && !h->looks)
    look_later(h);
}

/* Hands over a call whose arguments are encoded, for an attempt of a run that
   is shared. */
static void submit(engine *e, thread_call *c, thread_body *body, attempt *a,
                   body_place place) {
  astrum_task task = {a->ticket.task};
  c->job.work = &body->work;
  c->body = body;
  c->name = astrum_graph_name(a->run->program->graph, task, &c->name_size);
  c->run = a->run->shared;
  c->run->users++;
  c->item = a->ticket.item;
  c->attempt = a->ticket.attempt;
  c->deadline = a->limited ? binding_attempt_deadline(a) : 0;
  c->grace = binding_grace(a);
  c->is_over = 0;
  count_calls(e, 1);
  c->job.is_shared = place == PLACE_SHARED;
  enqueue(e, c);
}

void binding_queue_jobs(engine *e) {
  e->holds_jobs = 0;
  for (thread_home *h = e->homes; h; h = h->next)
    if (h->pool)
      thread_pool_flush(h->pool);
}

/* Raises which of the `count` arguments, or that the params, cannot go there.
 */
static int refuse(lua_State *L, int count, astrum_err err,
                  const codec_error *error) {
  lua_pushvalue(L, lua_upvalueindex(UP_REFUSE));
  lua_insert(L, 1);
  lua_pushstring(L, err == ASTRUM_ENOMEM ? astrum_strerror(err) : error->text);
  lua_insert(L, 2);
  lua_call(L, count + 1, 0);
  return luaL_error(L, "the arguments cannot go to a worker thread");
}

static int call_body(lua_State *L) {
  engine *e = binding_engine(L);
  thread_body *body = lua_touserdata(L, lua_upvalueindex(UP_BODY));
  int count = lua_gettop(L);
  luaL_checkstack(L, 12, NULL);
  strand *s = binding_waiting_strand(e, L, "executor = \"thread\"");
  attempt *a = s ? s->attempt : NULL;
  if (!a)
    return luaL_error(L, "this is the body of a task");
  run *r = a->run;
  thread_home *h = binding_home_of(e, L, body->workers);
  int context_at = take_context(L, a, count);
  codec_error error;
  if (!r->shared) {
    binding_push_run(L, r);
    lua_getiuservalue(L, -1, RUN_DATA);
    lua_replace(L, -2);
    astrum_err err = share_run(L, r, &error);
    if (err)
      return refuse(L, count, err, &error);
  }
  thread_call *c = new_call(h);
  if (!c)
    return binding_raise(L, "executor = \"thread\"", ASTRUM_ENOMEM);
  c->job.values.size = 0;
  astrum_err err =
      codec_encode(L, 1, count, "arguments", 0, &c->job.values, &error);
  if (err) {
    free_call(c);
    return refuse(L, count, err, &error);
  }
  c->context_at = context_at;
  c->strand = s;
  s->call = c;
  submit(e, c, body, a, PLACE_WORKER);
  return binding_suspend(L, s, WAIT_THREAD, 0, call_resumed);
}

/* The pool for a body, or NULL when there is none yet. */
static thread_home *pool_of(const engine *e, const thread_body *body) {
  thread_home *h = e->homes;
  while (h && h->workers != body->workers)
    h = h->next;
  return h && h->pool ? h : NULL;
}

/* Pushes the body that the function at a place stands for. */
static thread_body *push_body(lua_State *L, int at) {
  lua_getupvalue(L, at, UP_BODY);
  return lua_touserdata(L, -1);
}

int binding_call_directly(engine *e, attempt *a, int count) {
  lua_State *L = e->slots;
  int body_at = lua_gettop(L) - count;
  if (lua_tocfunction(L, body_at) != call_body || a->context)
    return 0;
  thread_body *body = push_body(L, body_at);
  body_place place = binding_body_place(e, a, body, count);
  thread_home *h = place == PLACE_HOME ? NULL : pool_of(e, body);
  int is_done = 0;
  if (place == PLACE_HOME ||
      (place == PLACE_SHARED && h && thread_pool_is_busy(h->pool)))
    is_done = binding_run_at_home(e, a, body, count);
  if (is_done > 0)
    return 1;
  lua_settop(L, is_done == 0 ? body_at + count : body_at - 1);
  if (is_done < 0)
    binding_push_call(e, a); /* as it did before */
  if (place == PLACE_HOME)
    h = pool_of(e, body);
  thread_call *c = h && a->run->shared ? new_call(h) : NULL;
  if (!c)
    return 0;
  codec_error error;
  c->job.values.size = 0;
  if (codec_encode(L, body_at + 1, count, "arguments", 0, &c->job.values,
                   &error) != ASTRUM_OK) {
    free_call(c);
    return 0; /* the way in a coroutine tells why */
  }
  c->context_at = 0;
  c->direct = a;
  a->call = c;
  submit(e, c, body, a, place);
  return 1;
}

/* Runs at home what is still queued, if there is such a job. */
static int relieve(thread_home *h) {
  engine *e = h->engine;
  lua_State *L = e->slots;
  thread_job *job = thread_pool_reclaim(h->pool);
  if (!job)
    return 0;
  thread_call *c = (thread_call *)(void *)job;
  attempt *a = c->direct;
  binding_pin(e, a->run);
  int top = lua_gettop(L), is_done = 0;
  int count = binding_push_call(e, a); /* as it did before */
  h->small -= job->is_small;
  a->call = NULL;
  if (count >= 0) {
    thread_body *body = push_body(L, top + 1);
    if (binding_body_place(e, a, body, count) != PLACE_WORKER)
      is_done = binding_run_at_home(e, a, body, count);
  }
  lua_settop(L, top);
  if (is_done > 0) {
    count_calls(e, -1);
    trim(&job->values);
    free_call(c);
    return 1;
  }
  a->call = c;
  job->is_shared = 0;
  enqueue(e, c);
  return 1;
}

/* Whether the scheduler has something to do. */
static int is_due(const engine *e) {
  return astrum_sched_wake(astrum_loop_sched(e->loop)) == 0;
}

void binding_threads_settle(engine *e) {
  for (thread_home *h = e->homes; h; h = h->next)
    while (h->pool && !is_due(e) && (look(h) || relieve(h))) {
    }
}

size_t binding_body_ids(engine *home, uint64_t *ids, size_t capacity) {
  size_t count = 0;
  pthread_mutex_lock(&home->bodies_lock);
  for (const thread_body *b = home->bodies; b; b = b->next, count++)
    if (count < capacity)
      ids[count] = b->work.id;
  pthread_mutex_unlock(&home->bodies_lock);
  return count;
}

static void link_body(engine *e, thread_body *body) {
  pthread_mutex_lock(&e->bodies_lock);
  body->next = e->bodies;
  body->link = &e->bodies;
  if (body->next)
    body->next->link = &body->next;
  e->bodies = body;
  pthread_mutex_unlock(&e->bodies_lock);
}

/* __gc: workers need not keep what they have of it. */
static int forget_body(lua_State *L) {
  engine *e = binding_engine(L);
  thread_body *body = lua_touserdata(L, 1);
  pthread_mutex_lock(&e->bodies_lock);
  *body->link = body->next;
  if (body->next)
    body->next->link = body->link;
  pthread_mutex_unlock(&e->bodies_lock);
  return 0;
}

/* core.thread_body(packed, workers) -> a function as workers know it, for
   core.thread_call: one for all tasks that have it */
static int thread_body_of(lua_State *L) {
  lua_settop(L, 2);
  thread_body *body = lua_newuserdatauv(L, sizeof *body, THREAD_BODY_VALUES);
  memset(body, 0, sizeof *body);
  body->packed = luaL_checklstring(L, 1, &body->packed_size);
  body->workers = (int)luaL_checkinteger(L, 2);
  body->work.id = new_id();
  lua_pushvalue(L, 1);
  lua_setiuservalue(L, 3, THREAD_PACKED);
  link_body(binding_engine(L), body);
  luaL_setmetatable(L, BODY_TYPE);
  return 1;
}

/*
 * core.thread_call(body, fail, refuse) -> a function for the body of a program.
 * fail(name, text, value, traceback) raises what went wrong in the worker;
 * refuse(why, ...) raises what cannot go there: an argument, or the params.
 */
static int thread_call_of(lua_State *L) {
  luaL_checktype(L, 1, LUA_TUSERDATA);
  luaL_checktype(L, 2, LUA_TFUNCTION);
  luaL_checktype(L, 3, LUA_TFUNCTION);
  lua_settop(L, 3);
  lua_pushvalue(L, lua_upvalueindex(1));
  lua_insert(L, 1);
  lua_pushcclosure(L, call_body, 4);
  return 1;
}

int binding_open_thread(lua_State *L) {
  static const luaL_Reg methods[] = {{"__gc", forget_body}, {NULL, NULL}};
  binding_type(L, BODY_TYPE, methods);
  static const luaL_Reg functions[] = {
      {"thread_body", thread_body_of},
      {"thread_call", thread_call_of},
      {NULL, NULL},
  };
  binding_functions(L, functions);
  return 0;
}
