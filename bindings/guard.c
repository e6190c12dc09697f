/*
 * The handlers are set while code of the user runs, or while a line is read,
 * and are as they were in between.
 */
#define _POSIX_C_SOURCE 200809L

#include "guard.h"
#include "console.h"
#include "host.h"

#include <errno.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <lauxlib.h>

/* Signals that come so soon after the first are the same one. */
enum { ONE_SIGNAL_MS = 20 };

/* What guard_call handles. */
static const int handled[] = {SIGINT, SIGTERM, SIGHUP, SIGPIPE};
enum { HANDLED = sizeof handled / sizeof handled[0] };

/* A handler gets nothing but its number: what it works on has to be here. */
static lua_State *volatile signal_state;
static engine *volatile signal_engine; /* NULL: its state is being closed */
static volatile sig_atomic_t signal_seen;
static volatile int64_t signal_time;
static volatile sig_atomic_t signal_session; /* SIGINT never ends the process */
static volatile sig_atomic_t prompt_changes;

/* Milliseconds of a clock that never goes back. */
static int64_t clock_ms(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* Also at the end of the process: os.exit may come at any moment. */
static void kill_children(void) {
  if (signal_engine)
    astrum_binding_kill(signal_engine);
}

/* Ends the process by a signal, when its handler has returned. */
static void end_by(int number) {
  signal(number, SIG_DFL);
  raise(number);
}

/* Nobody reads the output any more. Without a handler the workflows, and their
   child processes, would be left where they are. */
static void on_pipe(int number) {
  if (!signal_engine || !astrum_binding_busy(signal_engine))
    end_by(number);
}

/* Whether it is for code that was entered at the prompt and does not wait:
   runs in the background go on. */
static int is_for_code(int number) {
  return number == SIGINT && signal_session && signal_engine &&
         !astrum_binding_driving(signal_engine);
}

/* What guard.h says; but timeout(1) sends each signal twice, to us and to our
   group, and means it once. */
static void on_signal(int number) {
  int saved = errno;
  int64_t now = clock_ms();
  if (signal_seen == 0) {
    signal_seen = number;
    signal_time = now;
    if (is_for_code(number)) {
      astrum_binding_interrupt_main(signal_engine, signal_state);
    } else if (signal_engine &&
               astrum_binding_interrupt(signal_engine, number)) {
      /* The runs end, and with them the call that waits for them. */
    } else if (number == SIGINT && signal_engine) {
      astrum_binding_interrupt_main(signal_engine, signal_state);
    } else {
      end_by(number);
    }
  } else if (now - signal_time > ONE_SIGNAL_MS) {
    kill_children();
    if (number != SIGINT || !signal_session || !signal_engine)
      _exit(128 + number);
    if (is_for_code(number) || !astrum_binding_interrupt(signal_engine, number))
      astrum_binding_interrupt_main(signal_engine, signal_state);
  }
  errno = saved;
}

/* At the prompt a signal ends the read, and with it the line. When even that
   does not happen, because a task in the background holds up the loop, the
   second one stops the tasks. */
static void on_prompt_signal(int number) {
  int saved = errno;
  int64_t now = clock_ms();
  if (signal_seen != 0 && now - signal_time > ONE_SIGNAL_MS) {
    if (number != SIGINT) {
      kill_children();
      _exit(128 + number);
    }
    if (signal_engine)
      astrum_binding_interrupt(signal_engine, number);
  } else if (signal_seen == 0) {
    signal_seen = number;
    signal_time = now;
  }
  if (signal_engine)
    astrum_binding_wake(signal_engine);
  errno = saved;
}

/* The terminal has changed. */
static void on_change(int number) {
  int saved = errno;
  prompt_changes |= number == SIGWINCH ? GUARD_RESIZED : GUARD_RESUMED;
  if (signal_engine)
    astrum_binding_wake(signal_engine);
  errno = saved;
}

/* Sets the handler of a signal unless the parent made us ignore it. */
static void handle(int number, void (*handler)(int), struct sigaction *old) {
  struct sigaction action;
  memset(&action, 0, sizeof action);
  action.sa_handler = handler;
  sigemptyset(&action.sa_mask);
  for (int i = 0; i < HANDLED; i++)
    sigaddset(&action.sa_mask, handled[i]);
  if (sigaction(number, NULL, old) == 0 && old->sa_handler != SIG_IGN)
    sigaction(number, &action, NULL);
}

static int forget_engine(lua_State *L) {
  (void)L;
  signal_engine = NULL;
  return 0;
}

void guard_open(lua_State *L) {
  lua_newuserdatauv(L, 0, 0);
  lua_createtable(L, 0, 1);
  lua_pushcfunction(L, forget_engine);
  lua_setfield(L, -2, "__gc");
  lua_setmetatable(L, -2);
  lua_rawsetp(L, LUA_REGISTRYINDEX, (void *)&signal_engine);
  signal_engine = astrum_binding_engine(L);
  atexit(kill_children);
}

int guard_signal(void) { return signal_seen; }

/*
 * Message handler. Texts get the traceback; an object that can describe itself
 * stays as it is, so that `report` sees its kind.
 */
static int add_traceback(lua_State *L) {
  const char *message = lua_tostring(L, 1);
  if (message == NULL) {
    if (luaL_getmetafield(L, 1, "__tostring") != LUA_TNIL) {
      lua_settop(L, 1);
      return 1;
    }
    message =
        lua_pushfstring(L, "(error object is a %s value)", luaL_typename(L, 1));
  }
  luaL_traceback(L, L, message, 1);
  return 1;
}

int guard_call(lua_State *L, int arguments, int results) {
  struct sigaction old[HANDLED];
  int base = lua_gettop(L) - arguments;
  lua_pushcfunction(L, add_traceback);
  lua_insert(L, base);
  signal_state = L;
  for (int i = 0; i < HANDLED; i++)
    handle(handled[i], handled[i] == SIGPIPE ? on_pipe : on_signal, &old[i]);
  int status = lua_pcall(L, arguments, results, base);
  for (int i = 0; i < HANDLED; i++)
    sigaction(handled[i], &old[i], NULL);
  lua_remove(L, base);
  return status;
}

/* What is handled while a line is edited, and by what. */
static const struct {
  int number;
  void (*handler)(int);
} at_prompt[] = {{SIGINT, on_prompt_signal},
                 {SIGTERM, on_prompt_signal},
                 {SIGHUP, on_prompt_signal},
                 {SIGWINCH, on_change},
                 {SIGCONT, on_change}};
enum { AT_PROMPT = sizeof at_prompt / sizeof at_prompt[0] };

static struct sigaction before_prompt[AT_PROMPT];

void guard_prompt_begin(void) {
  signal_seen = 0;
  prompt_changes = 0;
  for (int i = 0; i < AT_PROMPT; i++)
    handle(at_prompt[i].number, at_prompt[i].handler, &before_prompt[i]);
}

int guard_prompt_changes(void) {
  int changes = prompt_changes;
  prompt_changes = 0;
  return changes;
}

int guard_prompt_end(void) {
  for (int i = 0; i < AT_PROMPT; i++)
    sigaction(at_prompt[i].number, &before_prompt[i], NULL);
  int number = signal_seen;
  signal_seen = 0;
  if (number != 0 && number != SIGINT)
    end_by(number);
  return number;
}

void guard_session(int on) { signal_session = on; }

int guard_read(lua_State *L) {
  struct sigaction old;
  char part[512];
  luaL_Buffer line;
  fputs(luaL_checkstring(L, 1), stdout);
  fflush(stdout);
  luaL_buffinit(L, &line);
  signal_seen = 0;
  clearerr(stdin);
  handle(SIGINT, on_prompt_signal, &old);
  int ended = 0, any = 0;
  while (!ended && fgets(part, sizeof part, stdin) != NULL) {
    size_t size = strlen(part);
    any = 1;
    ended = size > 0 && part[size - 1] == '\n';
    luaL_addlstring(&line, part, size - (size_t)ended);
  }
  sigaction(SIGINT, &old, NULL);
  console_line_ended();
  luaL_pushresult(&line);
  if (signal_seen != 0) {
    signal_seen = 0;
    lua_pushboolean(L, 0);
  } else if (!any) {
    lua_pushnil(L);
  }
  return 1;
}

int guard_pcall(lua_State *L) {
  luaL_checkany(L, 1);
  signal_seen = 0;
  int status = guard_call(L, lua_gettop(L) - 1, LUA_MULTRET);
  astrum_binding_forget_interrupt(signal_engine, L);
  signal_seen = 0;
  lua_pushboolean(L, status == LUA_OK);
  lua_insert(L, 1);
  return lua_gettop(L);
}
