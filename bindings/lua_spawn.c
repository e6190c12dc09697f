/*
 * astrum.spawn: a child process that a task, or the main program, waits for.
 * When the wait is cancelled the process group is told to end, and the attempt
 * is answered only when it has.
 */
#define _DEFAULT_SOURCE

#include "task.h"
#include "thread.h"
#include "wait.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

/* POSIX wants programs to declare it. */
extern char **environ;

/* The result of a process that has ended is anchored under its address. */
typedef struct child {
  engine *engine;
  strand *strand;   /* that waits for it, or NULL */
  attempt *attempt; /* that has to outlive it once it is cancelled, or NULL */
  astrum_process *process;
  int done;
  astrum_err error; /* why there is no result */
  int dropped;      /* nobody wants it */
  int receives;     /* a function, anchored under this, takes its messages */
  int writes;       /* on_writer has been told of it */
  struct child *next, **link;
} child;

static void free_child(child *c) {
  engine *e = c->engine;
  if (c->receives && !e->closed) {
    lua_pushnil(e->L);
    binding_anchor(e->L, &c->receives);
  }
  if (c->writes && e->on_writer)
    e->on_writer(0);
  *c->link = c->next;
  if (c->next)
    c->next->link = c->link;
  e->alloc.fn(e->alloc.user, c, sizeof *c, 0);
}

void binding_free_children(engine *e) {
  while (e->children)
    free_child(e->children);
}

/* --- the end */

typedef struct {
  const astrum_process_result *result;
  child *child;
} ending;

static void set_text(lua_State *L, const char *name, const char *text,
                     size_t size) {
  lua_pushlstring(L, text ? text : "", size);
  lua_setfield(L, -2, name);
}

static int keep_result(lua_State *L) {
  const ending *end = lua_touserdata(L, 1);
  const astrum_process_result *r = end->result;
  lua_createtable(L, 0, 4);
  if (r->signal) {
    lua_pushinteger(L, r->signal);
    lua_setfield(L, -2, "signal");
  } else {
    lua_pushinteger(L, r->code);
    lua_setfield(L, -2, "code");
  }
  set_text(L, "stdout", r->out, r->out_size);
  set_text(L, "stderr", r->err, r->err_size);
  binding_anchor(L, end->child);
  return 0;
}

static void on_end(void *user, const astrum_process_result *result) {
  child *c = user;
  engine *e = c->engine;
  c->process = NULL;
  if (e->closed) {
    free_child(c);
    return;
  }
  if (c->dropped) {
    attempt *a = c->attempt;
    free_child(c);
    if (a) {
      a->processes--;
      binding_attempt_relieved(e, a);
    }
    return;
  }
  ending end = {result, c};
  c->error = result->error;
  lua_pushcfunction(e->L, keep_result);
  lua_pushlightuserdata(e->L, &end);
  if (lua_pcall(e->L, 1, 0, 0) != LUA_OK) {
    lua_pop(e->L, 1);
    c->error = ASTRUM_ENOMEM;
  }
  c->done = 1;
  if (c->strand)
    binding_wake_soon(c->strand);
}

void binding_cancel_process(engine *e, strand *s) {
  child *c = s->child;
  s->child = NULL;
  c->strand = NULL;
  if (c->done) {
    lua_pushnil(e->L);
    binding_anchor(e->L, c);
    free_child(c);
    return;
  }
  c->dropped = 1;
  c->attempt = s->attempt;
  if (s->attempt)
    s->attempt->processes++;
  astrum_process_stop(c->process);
}

/* Returns the result of a process that has ended. */
static int take_result(lua_State *L, child *c) {
  astrum_err error = c->error;
  binding_anchored(L, c);
  lua_pushnil(L);
  binding_anchor(L, c);
  free_child(c);
  if (error == ASTRUM_ENOMEM)
    return luaL_error(L, "spawn: not enough memory for the output");
  if (error)
    return luaL_error(L, "spawn: the system does not tell how the process "
                         "ended; is SIGCHLD ignored, or does other code wait "
                         "for child processes that are not its own?");
  return 1;
}

static int spawn_resumed(lua_State *L, int status, lua_KContext ctx) {
  (void)status;
  (void)ctx;
  strand *s = binding_resumed(L);
  child *c = s->child;
  s->child = NULL;
  return take_result(L, c);
}

/* --- messages of a worker */

typedef struct {
  const char *bytes;
  size_t size;
} chunk;

/* Arguments: the function, the chunk. */
static int hand_on(lua_State *L) {
  const chunk *c = lua_touserdata(L, 2);
  lua_settop(L, 1);
  lua_pushlstring(L, c->bytes, c->size);
  lua_call(L, 1, 0);
  return 0;
}

static void on_message(void *user, const char *bytes, size_t size) {
  child *c = user;
  engine *e = c->engine;
  lua_State *L = e->L;
  if (c->dropped || e->closed)
    return;
  chunk piece = {bytes, size};
  lua_pushcfunction(L, hand_on);
  binding_anchored(L, &c->receives);
  lua_pushlightuserdata(L, &piece);
  if (lua_pcall(L, 2, 0, 0) != LUA_OK)
    binding_tell_error(e, "a message of a worker");
}

/* --- the start: everything that can raise comes before the process */

static const char *check_text(lua_State *L, int index, const char *what) {
  size_t size;
  if (!lua_isstring(L, index))
    luaL_error(L, "spawn: %s must be a string, got %s", what,
               luaL_typename(L, index));
  const char *text = lua_tolstring(L, index, &size);
  if (strlen(text) != size)
    luaL_error(L, "spawn: %s must not hold a NUL byte", what);
  return text;
}

/* The texts stay in the table at index 1 or on the stack. */
static const char **read_arguments(lua_State *L) {
  lua_Unsigned count = lua_rawlen(L, 1);
  if (count == 0)
    luaL_error(L, "spawn: name the command, as in spawn { \"ls\", \"-l\" }");
  luaL_checkstack(L, (int)(count < 100000 ? count + 4 : 1 << 20),
                  "too many arguments");
  const char **argv = lua_newuserdatauv(L, (count + 1) * sizeof *argv, 0);
  for (lua_Unsigned i = 0; i < count; i++) {
    lua_rawgeti(L, 1, (lua_Integer)i + 1);
    if (i > 0 && !lua_isstring(L, -1))
      luaL_error(L, "spawn: entry %d of the list must be a string, got %s",
                 (int)i + 1, luaL_typename(L, -1));
    argv[i] = check_text(L, -1, i == 0 ? "the command" : "an argument");
  }
  argv[count] = NULL;
  return argv;
}

static int is_replaced(lua_State *L, int index, const char *entry) {
  const char *equals = strchr(entry, '=');
  if (!equals)
    return 0;
  lua_pushlstring(L, entry, (size_t)(equals - entry));
  lua_rawget(L, index);
  int found = !lua_isnil(L, -1);
  lua_pop(L, 1);
  return found;
}

/* The host's environment with what the table at `index` changes. */
static const char **read_environment(lua_State *L, int index) {
  size_t count = 0;
  for (char **entry = environ; entry && *entry; entry++)
    count++;
  lua_pushnil(L);
  while (lua_next(L, index)) {
    lua_pop(L, 1);
    count++;
  }
  luaL_checkstack(L, (int)(count < 100000 ? count + 8 : 1 << 20),
                  "too many variables");
  const char **env = lua_newuserdatauv(L, (count + 1) * sizeof *env, 0);
  size_t n = 0;
  for (char **entry = environ; entry && *entry; entry++)
    if (!is_replaced(L, index, *entry))
      env[n++] = *entry;
  lua_pushnil(L);
  while (lua_next(L, index)) {
    if (lua_type(L, -2) != LUA_TSTRING)
      luaL_error(L, "spawn: env wants names as keys, as in env = { LANG = "
                    "\"C\" }");
    if (lua_isboolean(L, -1) && !lua_toboolean(L, -1)) {
      lua_pop(L, 1); /* false takes the variable out */
      continue;
    }
    const char *name = check_text(L, -2, "a name in env");
    const char *value = check_text(L, -1, "a value in env");
    if (*name == '\0' || strchr(name, '='))
      luaL_error(L, "spawn: '%s' cannot be a name in env", name);
    env[n++] = lua_pushfstring(L, "%s=%s", name, value);
    lua_insert(L, -3); /* the text stays below the key */
    lua_pop(L, 1);
  }
  env[n] = NULL;
  return env;
}

static uint8_t read_stdio(lua_State *L, const char *key) {
  static const char *const modes[] = {"capture", "inherit", "null"};
  lua_getfield(L, 1, key);
  if (lua_isnil(L, -1)) {
    lua_pop(L, 1);
    return ASTRUM_STDIO_CAPTURE;
  }
  const char *mode = lua_type(L, -1) == LUA_TSTRING ? lua_tostring(L, -1) : "";
  for (uint8_t i = 0; i < 3; i++)
    if (strcmp(mode, modes[i]) == 0) {
      lua_pop(L, 1);
      return i;
    }
  luaL_error(L, "spawn: %s must be \"capture\", \"inherit\" or \"null\"", key);
  return 0;
}

static void check_keys(lua_State *L) {
  static const char *const known[] = {"cwd",    "env",    "stdin",
                                      "stdout", "stderr", NULL};
  lua_Unsigned count = lua_rawlen(L, 1);
  lua_pushnil(L);
  while (lua_next(L, 1)) {
    lua_pop(L, 1);
    if (lua_isinteger(L, -1)) {
      lua_Integer place = lua_tointeger(L, -1);
      if (place < 1 || (lua_Unsigned)place > count)
        luaL_error(L, "spawn: there is an argument at %I, but none before it",
                   (LUAI_UACINT)place);
      continue;
    }
    const char *key = lua_type(L, -1) == LUA_TSTRING ? lua_tostring(L, -1) : "";
    int ok = 0;
    for (int i = 0; known[i]; i++)
      ok = ok || strcmp(known[i], key) == 0;
    if (!ok)
      luaL_error(L,
                 "spawn: unknown option '%s'; it takes cwd, env, stdin, "
                 "stdout, stderr",
                 luaL_tolstring(L, -1, NULL));
  }
}

static void read_options(lua_State *L, astrum_process_options *options) {
  if (!lua_istable(L, 1))
    luaL_error(L,
               "spawn: a table with the command is wanted, as in "
               "spawn { \"ls\", \"-l\" }, got %s",
               luaL_typename(L, 1));
  check_keys(L);
  options->out = read_stdio(L, "stdout");
  options->err = read_stdio(L, "stderr");
  if (lua_getfield(L, 1, "cwd") != LUA_TNIL)
    options->cwd = check_text(L, -1, "cwd");
  if (lua_getfield(L, 1, "stdin") != LUA_TNIL) {
    if (!lua_isstring(L, -1))
      luaL_error(L, "spawn: stdin must be a string, got %s",
                 luaL_typename(L, -1));
    options->input = lua_tolstring(L, -1, &options->input_size);
  }
  if (lua_getfield(L, 1, "env") != LUA_TNIL) {
    if (!lua_istable(L, -1))
      luaL_error(L, "spawn: env must be a table, got %s", luaL_typename(L, -1));
    options->env = read_environment(L, lua_gettop(L));
  }
  options->argv = read_arguments(L);
}

static child *new_child(engine *e, lua_State *L) {
  child *c = e->alloc.fn(e->alloc.user, NULL, 0, sizeof *c);
  if (!c)
    binding_raise(L, "spawn", ASTRUM_ENOMEM);
  memset(c, 0, sizeof *c);
  c->engine = e;
  c->next = e->children;
  c->link = &e->children;
  if (c->next)
    c->next->link = &c->next;
  e->children = c;
  return c;
}

static int cannot_start(lua_State *L, const astrum_process_options *options,
                        astrum_err err, int code) {
  if (err != ASTRUM_ESYSTEM)
    return binding_raise(L, "spawn", err);
  if (options->cwd && access(options->cwd, X_OK) != 0)
    return luaL_error(L, "spawn: cannot start '%s' in '%s': %s",
                      options->argv[0], options->cwd, strerror(errno));
  const char *hint = "";
  if (code == ENOENT && !options->argv[1] && strchr(options->argv[0], ' '))
    hint = " (there is no shell: give each word as an entry of its own)";
  return luaL_error(L, "spawn: cannot start '%s': %s%s", options->argv[0],
                    strerror(code), hint);
}

uint64_t binding_grace(const attempt *a) {
  const body_extra *extra =
      a ? binding_extra(a->run->program, a->ticket.task) : NULL;
  if (a && a->run->engine->worker && !a->run->parent)
    return binding_worker_grace(a->run->engine);
  return extra && extra->cancel_grace ? extra->cancel_grace
                                      : UINT64_C(5000000000);
}

/* Starts what the table at index 1 says; at index 2 is a function for its
   messages, or nil. */
static int start(lua_State *L) {
  engine *e = binding_engine(L);
  astrum_process_options options = {.size = sizeof options};
  int receives = lua_isfunction(L, 2);
  if (receives)
    options.message = on_message;
  read_options(L, &options);
  strand *s = binding_waiting_strand(e, L, "spawn");
  binding_loop(e, L);
  if (!s)
    binding_check_drive(e, L, "spawn");
  options.grace = binding_grace(s ? s->attempt : NULL);
  child *c = new_child(e, L);
  if (receives) {
    lua_pushvalue(L, 2);
    binding_anchor(L, &c->receives);
    c->receives = 1;
  }
  /* A worker writes only what its task prints, mostly nothing. */
  if (!receives && e->on_writer &&
      (options.out == ASTRUM_STDIO_INHERIT ||
       options.err == ASTRUM_STDIO_INHERIT)) {
    c->writes = 1;
    e->on_writer(1);
  }
  int code = 0;
  astrum_err err =
      astrum_process_start(e->loop, &options, on_end, c, &c->process, &code);
  if (err) {
    free_child(c);
    return cannot_start(L, &options, err, code);
  }
  if (!s) {
    if (binding_drive(e, &c->done))
      return take_result(L, c);
    c->dropped = 1;
    astrum_process_stop(c->process);
    return binding_cannot_end(e, L, "spawn");
  }
  c->strand = s;
  s->child = c;
  return binding_suspend(L, s, WAIT_PROCESS, 0, spawn_resumed);
}

/* core.spawn { "command", "argument", cwd, env, stdin, stdout, stderr } ->
   { code or signal, stdout, stderr } */
static int spawn(lua_State *L) {
  lua_settop(L, 1);
  lua_settop(L, 2);
  return start(L);
}

/* core.spawn_worker(spec, receive): the same; `receive` is called with what the
   process writes to its descriptor 3, as it comes. */
static int spawn_worker(lua_State *L) {
  luaL_checktype(L, 2, LUA_TFUNCTION);
  lua_settop(L, 2);
  return start(L);
}

/* core.write_channel(bytes): to the parent that reads descriptor 3. */
static int write_channel(lua_State *L) {
  size_t size, done = 0;
  const char *bytes = luaL_checklstring(L, 1, &size);
  while (done < size) {
    ssize_t written =
        write(ASTRUM_CHANNEL_DESCRIPTOR, bytes + done, size - done);
    if (written < 0 && errno != EINTR)
      return luaL_error(L, "the parent process is gone");
    if (written > 0)
      done += (size_t)written;
  }
  return 0;
}

/* Nobody reads the channel once the parent is gone, killed maybe: then this
   process and what it has started is over, too. */
static void *watch_parent(void *unused) {
  struct pollfd channel = {.fd = ASTRUM_CHANNEL_DESCRIPTOR};
  int count;
  (void)unused;
  do {
    count = poll(&channel, 1, -1);
  } while (count < 0 && errno == EINTR);
  if (count == 1 && (channel.revents & (POLLERR | POLLHUP)))
    kill(0, SIGKILL);
  return NULL;
}

/* The signals of the process are for its other threads. */
static int start_watch(void) {
  pthread_t thread;
  sigset_t all, old;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &old);
  int code = pthread_create(&thread, NULL, watch_parent, NULL);
  pthread_sigmask(SIG_SETMASK, &old, NULL);
  if (code == 0)
    pthread_detach(thread);
  return code;
}

/* core.keep_channel(): this process runs a body for its parent, with which it
   ends. Programs that it starts do not get the channel, so that the parent need
   not wait for those that outlive this process. */
static int keep_channel(lua_State *L) {
  binding_engine(L)->is_child = 1;
  fcntl(ASTRUM_CHANNEL_DESCRIPTOR, F_SETFD, FD_CLOEXEC);
  int code = start_watch();
  if (code != 0)
    return luaL_error(L, "cannot start a thread: %s", strerror(code));
  return 0;
}

static const luaL_Reg functions[] = {
    {"keep_channel", keep_channel},
    {"write_channel", write_channel},
    {"spawn", spawn},
    {"spawn_worker", spawn_worker},
    {NULL, NULL},
};

int binding_open_spawn(lua_State *L) {
  binding_functions(L, functions);
  return 0;
}
