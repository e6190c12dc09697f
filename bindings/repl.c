/*
 * On a terminal the line is read key by key, or line by line without an editor,
 * whenever the event loop says that something is there: timers and runs in the
 * background go on while the user types. Anything else is read as a script
 * would be: the program waits for each line.
 */
#define _GNU_SOURCE

#include "repl.h"
#include "binding.h"
#include "console.h"
#include "editor.h"
#include "guard.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#ifdef __GLIBC__
#include <stdio_ext.h>
#endif

#include <lauxlib.h>

/* Keys in the registry. */
static const char completer_key = 0;

/* One line that is being read. */
typedef struct {
  lua_State *L;
  char *line; /* NULL: the input has ended */
  int edits;
  int is_over;
  int names; /* index in L of the completions */
  int next;  /* of them, from 1 */
#ifdef __GLIBC__
  FILE *held; /* stdout while what is printed is collected, to be shown above
                 the line; else NULL */
#endif
  editor_host host;
} reading;

/* --- completion */

/* (line, start, stop) -> list or nil. Indexes in Lua count from 1. */
static int call_completer(lua_State *L) {
  lua_rawgetp(L, LUA_REGISTRYINDEX, &completer_key);
  lua_insert(L, 1);
  lua_call(L, 3, 1);
  return 1;
}

static int complete(void *user, const char *line, int start, int end) {
  reading *r = user;
  lua_State *L = r->L;
  lua_settop(L, r->names - 1);
  lua_pushcfunction(L, call_completer);
  lua_pushlstring(L, line, (size_t)end);
  lua_pushinteger(L, start + 1);
  lua_pushinteger(L, end);
  if (lua_pcall(L, 3, 1, 0) != LUA_OK) {
    /* A completion that fails is none. */
    lua_pop(L, 1);
    lua_pushboolean(L, 0);
  }
  r->next = 1;
  return !lua_isnil(L, r->names);
}

static char *next_name(void *user) {
  reading *r = user;
  char *copy = NULL;
  if (lua_type(r->L, r->names) != LUA_TTABLE)
    return NULL;
  lua_rawgeti(r->L, r->names, r->next++);
  if (lua_type(r->L, -1) == LUA_TSTRING)
    copy = strdup(lua_tostring(r->L, -1));
  lua_pop(r->L, 1);
  return copy;
}

static int is_interrupted(void *user) {
  (void)user;
  return guard_signal() != 0;
}

/* --- output while a line is edited */

#ifdef __GLIBC__

enum { MOST_HELD = 1 << 16 };

static char output_buffer[MOST_HELD], error_buffer[MOST_HELD];

/* What is written to the stream that stands for stdout; print flushes it. */
static ssize_t pass_on(void *cookie, const char *bytes, size_t size) {
  return (ssize_t)fwrite(bytes, 1, size, cookie);
}

static void hold(FILE *stream, char *buffer) {
  setvbuf(stream, buffer, _IOFBF, MOST_HELD);
  /* The C library uses all of the buffer only after the next flush; this is
     the sequence for plain text. */
  fputs("\033[m", stream);
  fflush(stream);
}

/* Collects what is printed, but not where the user has said how to. */
static void hold_output(reading *r) {
  cookie_io_functions_t functions = {.write = pass_on};
  if (!r->edits || !__flbf(stdout))
    return;
  FILE *stand_in = fopencookie(stdout, "w", functions);
  if (stand_in == NULL)
    return;
  setvbuf(stand_in, NULL, _IONBF, 0);
  r->held = stdout;
  stdout = stand_in;
  hold(r->held, output_buffer);
  if (isatty(STDERR_FILENO))
    hold(stderr, error_buffer);
}

static void show_output(const reading *r) {
  if (r->held == NULL || (__fpending(r->held) == 0 && __fpending(stderr) == 0))
    return;
  editor_hide();
  fflush(r->held);
  fflush(stderr);
  editor_show();
}

static void release_output(reading *r) {
  if (r->held == NULL)
    return;
  fclose(stdout);
  stdout = r->held;
  fflush(stdout);
  fflush(stderr);
  setvbuf(stdout, NULL, _IOLBF, BUFSIZ);
  setvbuf(stderr, NULL, _IONBF, 0);
}

#else

static void hold_output(reading *r) { (void)r; }
static void show_output(const reading *r) { (void)r; }
static void release_output(reading *r) { (void)r; }

#endif

/* --- reading */

/* One line as the terminal's own editor gives it. */
static char *plain_line(void) {
  char *line = NULL;
  size_t capacity = 0;
  clearerr(stdin);
  ssize_t size = getline(&line, &capacity, stdin);
  if (size < 0) {
    free(line);
    return NULL;
  }
  if (size > 0 && line[size - 1] == '\n')
    line[size - 1] = '\0';
  return line;
}

static void on_readable(void *user) {
  reading *r = user;
  if (r->is_over)
    return;
  if (r->edits) {
    r->is_over = editor_key(&r->line);
  } else {
    r->line = plain_line();
    r->is_over = 1;
  }
}

/* Asked before each turn of the loop. */
static int is_over(void *user) {
  reading *r = user;
  int changes = guard_prompt_changes();
  if (r->is_over || guard_signal() != 0)
    return 1;
  if (r->edits) {
    if (changes & GUARD_RESIZED)
      editor_resize();
    if (changes & GUARD_RESUMED)
      editor_resume();
    show_output(r);
  }
  return 0;
}

/* Turns the loop until the line is over. Raises nothing. */
static astrum_err turn(engine *e, reading *r) {
  astrum_watch *watch;
  astrum_err err =
      astrum_loop_watch(e->loop, STDIN_FILENO, on_readable, r, &watch);
  if (err)
    return err;
  e->driving = 1;
  err = astrum_loop_run(e->loop, is_over, r);
  e->driving = 0;
  e->interrupted = 0;
  astrum_watch_stop(watch);
  return err;
}

static int read_line(lua_State *L) {
  const char *prompt = luaL_checkstring(L, 1);
  if (!isatty(STDIN_FILENO))
    return guard_read(L);
  engine *e = astrum_binding_engine(L);
  luaL_checkstack(L, LUA_MINSTACK, NULL);
  binding_loop(e, L);
  reading r = {.L = L, .edits = editor_works(), .names = lua_gettop(L) + 1};
  r.host = (editor_host){complete, next_name, is_interrupted, &r};
  guard_prompt_begin();
  console_line_begins();
  if (r.edits) {
    fflush(stdout);
    editor_open();
    hold_output(&r);
    editor_begin(prompt, &r.host);
  } else {
    fputs(prompt, stdout);
    fflush(stdout);
  }
  astrum_err err = turn(e, &r);
  if (r.edits)
    editor_end();
  release_output(&r);
  int number = guard_prompt_end();
  console_line_ended();
  lua_settop(L, r.names - 1);
  if (err) {
    free(r.line);
    return binding_raise(L, "the prompt cannot be read", err);
  }
  if (number != 0) {
    free(r.line);
    lua_pushboolean(L, 0);
  } else if (r.line == NULL) {
    lua_pushnil(L);
  } else {
    lua_pushstring(L, r.line);
    free(r.line);
  }
  return 1;
}

/* --- for Lua */

static int set_completer(lua_State *L) {
  luaL_checktype(L, 1, LUA_TFUNCTION);
  lua_settop(L, 1);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &completer_key);
  return 0;
}

static int set_history(lua_State *L) {
  luaL_checktype(L, 1, LUA_TTABLE);
  editor_clear_history();
  lua_Integer count = luaL_len(L, 1);
  for (lua_Integer i = 1; i <= count; i++) {
    lua_rawgeti(L, 1, i);
    editor_add_history(luaL_checkstring(L, -1));
    lua_pop(L, 1);
  }
  return 0;
}

/* Makes the folders that a file is in. `path` is changed meanwhile. */
static int make_folders(char *path) {
  for (char *slash = strchr(path + 1, '/'); slash != NULL;
       slash = strchr(slash + 1, '/')) {
    *slash = '\0';
    int failed = mkdir(path, 0700) != 0 && errno != EEXIST;
    *slash = '/';
    if (failed)
      return -1;
  }
  return 0;
}

static int private_file(lua_State *L) {
  size_t size;
  const char *path = luaL_checklstring(L, 1, &size);
  char *copy = lua_newuserdatauv(L, size + 1, 0);
  memcpy(copy, path, size + 1);
  if (size == 0 || make_folders(copy) != 0)
    return luaL_fileresult(L, 0, path);
  int file = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  if (file < 0)
    return luaL_fileresult(L, 0, path);
  int failed = fchmod(file, 0600);
  close(file);
  return luaL_fileresult(L, !failed, path);
}

void repl_push_host(lua_State *L) {
  static const luaL_Reg host[] = {
      {"read", read_line},
      {"call", guard_pcall},
      {"set_completer", set_completer},
      {"set_history", set_history},
      {"private_file", private_file},
      {NULL, NULL},
  };
  luaL_newlib(L, host);
  lua_pushboolean(L, editor_works());
  lua_setfield(L, -2, "edits");
}
