/*
 * astrum-lua: runs scripts as the lua command does, with astrum inside.
 *
 * lua/astrum/command.lua reads the command line before anything runs,
 * lua/astrum/session.lua obeys the options that are about workflows. Everything
 * that can raise runs in `protected_main`, code of the user in guard_call.
 */
#define _POSIX_C_SOURCE 200809L

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>

#include <astrum.h>

#include "console.h"
#include "embed.h"
#include "guard.h"
#include "preempt.h"
#include "repl.h"

/* Exit codes; a signal gives 128 and its number. */
enum { EXIT_ERROR = 1, EXIT_USAGE = 2 };

/* Place in protected_main's stack of what lua/astrum/command.lua has read. */
enum { COMMAND = 3 };

/* Where the registry keeps how errors name the script. */
#define SOURCE "astrum.source"

#define VERSIONS ASTRUM_VERSION " (" LUA_RELEASE ")"

/* --- Embedded modules ----------------------------------------------------- */

static int load_embedded(lua_State *L) {
  const astrum_embedded *file = lua_touserdata(L, lua_upvalueindex(1));
  if (luaL_loadbufferx(L, file->code, file->size, file->chunk, NULL) != LUA_OK)
    return lua_error(L);
  lua_insert(L, 1);
  lua_call(L, lua_gettop(L) - 1, 1);
  return 1;
}

/* astrum.core, with the mark that this process is ours to end. */
static int open_core(lua_State *L) {
  luaopen_astrum_core(L);
  lua_pushboolean(L, 1);
  lua_setfield(L, -2, "owns_process");
  lua_pushboolean(L, 1);
  lua_setfield(L, -2, "is_program");
  return 1;
}

/* Where the registry keeps the function `require`. */
#define REQUIRE "astrum.require"

/* Makes `require` find astrum without any file. */
static void preload(lua_State *L) {
  luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_PRELOAD_TABLE);
  lua_pushcfunction(L, open_core);
  lua_setfield(L, -2, "astrum.core");
  lua_pushcfunction(L, console_open);
  lua_setfield(L, -2, "astrum.console");
  for (size_t i = 0; i < astrum__embedded_count; i++) {
    lua_pushlightuserdata(L, (void *)&astrum__embedded[i]);
    lua_pushcclosure(L, load_embedded, 1);
    lua_setfield(L, -2, astrum__embedded[i].module);
  }
  lua_getglobal(L, "require");
  lua_setfield(L, LUA_REGISTRYINDEX, REQUIRE);
  lua_pop(L, 1);
}

/* Pushes a function of one of our modules, whatever scripts do to `require`. */
static void push_function(lua_State *L, const char *module, const char *name) {
  lua_getfield(L, LUA_REGISTRYINDEX, REQUIRE);
  lua_pushstring(L, module);
  lua_call(L, 1, 1);
  lua_getfield(L, -1, name);
  lua_remove(L, -2);
}

/* --- Calls ---------------------------------------------------------------- */

/*
 * error -> text, with a traceback where the error brings one. Runs protected,
 * because it may call Lua code of anybody.
 */
static int to_text(lua_State *L) {
  if (lua_type(L, 1) == LUA_TSTRING) {
    push_function(L, "astrum.hint", "told");
    lua_pushvalue(L, 1);
    lua_call(L, 1, 1);
    return 1;
  }
  luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
  if (lua_getfield(L, -1, "astrum.error") == LUA_TTABLE &&
      lua_getfield(L, -1, "full_text") == LUA_TFUNCTION) {
    lua_pushvalue(L, 1);
    lua_call(L, 1, 1);
  } else {
    luaL_tolstring(L, 1, NULL);
  }
  return 1;
}

/* error -> exit code */
static int to_code(lua_State *L) {
  push_function(L, "astrum.cli", "exit_code");
  lua_insert(L, 1);
  lua_call(L, 1, 1);
  return 1;
}

/* The exit code for the error on the top of the stack. */
static int code_of(lua_State *L) {
  int code = EXIT_ERROR;
  if (lua_type(L, -1) != LUA_TSTRING) {
    lua_pushcfunction(L, to_code);
    lua_pushvalue(L, -2);
    if (lua_pcall(L, 1, 1, 0) == LUA_OK)
      code = (int)lua_tointeger(L, -1);
    lua_pop(L, 1);
  }
  return code;
}

static void print_message(const char *prefix, const char *message) {
  fflush(stdout);
  if (prefix != NULL)
    fprintf(stderr, "%s: ", prefix);
  fprintf(stderr, "%s\n", message);
  fflush(stderr);
}

/*
 * Prints the error on the top of the stack, if `status` says that there is one,
 * and takes it away. Returns the exit code.
 */
static int report(lua_State *L, const char *prefix, int status) {
  if (status == LUA_OK)
    return EXIT_SUCCESS;
  int code = code_of(L);
  lua_pushcfunction(L, to_text);
  lua_pushvalue(L, -2);
  int told = lua_pcall(L, 1, 1, 0);
  if (told != LUA_OK && lua_type(L, -2) == LUA_TSTRING)
    lua_pop(L, 1); /* as it came */
  else
    lua_remove(L, -2);
  const char *message = lua_tostring(L, -1);
  print_message(prefix, message ? message : "(error object has no text)");
  lua_pop(L, 1);
  return code;
}

/* Pushes the text that a function of astrum.cli returns for a word and the
   command. */
static const char *cli_text(lua_State *L, const char *name, const char *word) {
  push_function(L, "astrum.cli", name);
  lua_pushstring(L, word);
  lua_pushvalue(L, COMMAND);
  lua_call(L, 2, 1);
  return luaL_checkstring(L, -1);
}

/* --- Options -------------------------------------------------------------- */

static int has_option(lua_State *L, const char *name) {
  lua_getfield(L, COMMAND, name);
  int set = lua_toboolean(L, -1);
  lua_pop(L, 1);
  return set;
}

/* Place of the script in argv, argc when there is none. */
static int script_place(lua_State *L) {
  lua_getfield(L, COMMAND, "script");
  int place = (int)lua_tointeger(L, -1);
  lua_pop(L, 1);
  return place;
}

static const astrum_embedded *find_embedded(const char *module) {
  const astrum_embedded *file = astrum__embedded;
  while (strcmp(file->module, module) != 0)
    file++;
  return file;
}

/*
 * Pushes what the command line asks for. -E decides what the libraries may
 * look at, so only those are open that look at nothing.
 */
static void push_command(lua_State *L, int argc, char **argv) {
  static const luaL_Reg libraries[] = {
      {LUA_GNAME, luaopen_base},
      {LUA_STRLIBNAME, luaopen_string},
      {LUA_TABLIBNAME, luaopen_table},
      {LUA_MATHLIBNAME, luaopen_math},
      {NULL, NULL},
  };
  for (const luaL_Reg *library = libraries; library->name; library++) {
    luaL_requiref(L, library->name, library->func, 1);
    lua_pop(L, 1);
  }
  const astrum_embedded *file = find_embedded("astrum.command");
  if (luaL_loadbufferx(L, file->code, file->size, file->chunk, NULL) != LUA_OK)
    lua_error(L);
  lua_call(L, 0, 1);
  lua_getfield(L, -1, "parse");
  lua_remove(L, -2);
  lua_createtable(L, argc, 1);
  for (int i = 0; i < argc; i++) {
    lua_pushstring(L, argv[i]);
    lua_rawseti(L, -2, i);
  }
  lua_call(L, 1, 1);
}

/* arg: the script at 0, its arguments after it, the rest at negative places. */
static void set_arg(lua_State *L, int argc, char **argv, int script) {
  if (script >= argc)
    script = 0;
  lua_createtable(L, argc - script, script + 1);
  for (int i = 0; i < argc; i++) {
    lua_pushstring(L, argv[i]);
    lua_rawseti(L, -2, i - script);
  }
  lua_setglobal(L, "arg");
}

static int run_text(lua_State *L, const char *text, const char *name) {
  int status = luaL_loadbufferx(L, text, strlen(text), name, "t");
  return status == LUA_OK ? guard_call(L, 0, 0) : status;
}

/* Whether a file has a zero byte among its first ones. What is no regular file
   cannot be read a second time. */
static int is_binary(const char *name) {
  char start[512];
  struct stat about;
  if (!name || stat(name, &about) != 0 || !S_ISREG(about.st_mode))
    return 0;
  FILE *file = fopen(name, "rb");
  if (file == NULL)
    return 0;
  size_t size = fread(start, 1, sizeof start, file);
  fclose(file);
  return memchr(start, 0, size) != NULL;
}

/*
 * Loads a file, or standard input when `name` is NULL. Compiled code is
 * refused: Lua does not check it, so a damaged file could do anything.
 */
static int load_file(lua_State *L, const char *name) {
  int status = luaL_loadfilex(L, name, "t");
  const char *why = NULL;
  if (status == LUA_ERRSYNTAX && strstr(lua_tostring(L, -1), "(mode is 't')"))
    why = "this is compiled Lua code; run its source instead";
  else if (status == LUA_ERRSYNTAX && is_binary(name))
    why = "this is no text, so it is no Lua script";
  if (why != NULL) {
    lua_pop(L, 1);
    lua_pushfstring(L, "%s: %s", name ? name : "stdin", why);
  }
  return status;
}

static int run_file(lua_State *L, const char *name) {
  int status = load_file(L, name);
  return status == LUA_OK ? guard_call(L, 0, 0) : status;
}

/* "mod" or "global=mod". */
static int run_library(lua_State *L, const char *option) {
  const char *equals = strchr(option, '=');
  const char *module = equals ? equals + 1 : option;
  size_t size = equals ? (size_t)(equals - option) : strlen(option);
  lua_pushglobaltable(L);
  lua_pushlstring(L, option, size);
  lua_getglobal(L, "require");
  lua_pushstring(L, module);
  int status = guard_call(L, 1, 1);
  if (status == LUA_OK)
    lua_settable(L, -3);
  else
    lua_replace(L, -3);
  lua_pop(L, 1);
  return status;
}

/* LUA_INIT of this version, or the general one. */
static int run_init(lua_State *L) {
  const char *name = "=LUA_INIT" LUA_VERSUFFIX;
  const char *text = getenv(name + 1);
  if (text == NULL) {
    name = "=LUA_INIT";
    text = getenv(name + 1);
  }
  if (text == NULL)
    return LUA_OK;
  return text[0] == '@' ? run_file(L, text + 1) : run_text(L, text, name);
}

/* Obeys -e, -l and -W in their order. */
static int run_steps(lua_State *L) {
  int status = LUA_OK;
  lua_getfield(L, COMMAND, "steps");
  int steps = lua_gettop(L);
  for (int i = 1; status == LUA_OK && lua_rawgeti(L, steps, i) != LUA_TNIL;
       i++) {
    lua_rawgeti(L, -1, 1);
    lua_rawgeti(L, -2, 2);
    const char *letter = lua_tostring(L, -2), *value = lua_tostring(L, -1);
    if (*letter == 'W')
      lua_warning(L, "@on", 0);
    else if (*letter == 'e')
      status = run_text(L, value, "=(command line)");
    else
      status = run_library(L, value);
    if (status == LUA_OK)
      lua_settop(L, steps);
  }
  return status;
}

/* Runs argv[script] with the arguments after it. */
static int run_script(lua_State *L, int argc, char **argv, int script) {
  const char *name = argv[script];
  if (strcmp(name, "-") == 0 && strcmp(argv[script - 1], "--") != 0)
    name = NULL;
  int status = load_file(L, name);
  if (status == LUA_ERRFILE) {
    push_function(L, "astrum.cli", "no_script");
    lua_insert(L, -2);
    lua_pushvalue(L, COMMAND);
    lua_call(L, 2, 1);
  }
  if (status != LUA_OK)
    return status;
  lua_Debug ar;
  lua_pushvalue(L, -1);
  lua_getinfo(L, ">S", &ar);
  lua_pushstring(L, ar.short_src);
  lua_setfield(L, LUA_REGISTRYINDEX, SOURCE);
  luaL_checkstack(L, argc - script + LUA_MINSTACK, "too many arguments");
  for (int i = script + 1; i < argc; i++)
    lua_pushstring(L, argv[i]);
  return guard_call(L, argc - script - 1, 0);
}

/* --- Prompt --------------------------------------------------------------- */

/* The prompt, until the end of the input. */
static void converse(lua_State *L) {
  push_function(L, "astrum.repl", "run");
  repl_push_host(L);
  guard_session(1);
  lua_call(L, 1, 0);
  guard_session(0);
}

/* --- Program -------------------------------------------------------------- */

/*
 * Calls a function of astrum.session, which may run code of the user, with the
 * command and returns its exit code; nothing for a command that lua has, too.
 */
static int session(lua_State *L, const char *self, const char *name) {
  if (!has_option(L, "asks"))
    return EXIT_SUCCESS;
  push_function(L, "astrum.session", name);
  lua_pushvalue(L, COMMAND);
  int status = guard_call(L, 1, 1);
  if (status != LUA_OK)
    return report(L, self, status);
  int code = (int)lua_tointeger(L, -1);
  lua_pop(L, 1);
  return code;
}

/* Tells of tasks that the script has declared and never run. */
static void tell_unused(lua_State *L, const char *self) {
  luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
  if (lua_getfield(L, -1, "astrum.registry") == LUA_TTABLE) {
    push_function(L, "astrum.unused", "text");
    lua_pushvalue(L, COMMAND);
    lua_getfield(L, LUA_REGISTRYINDEX, SOURCE);
    lua_call(L, 2, 1);
    const char *text = lua_tostring(L, -1);
    if (text != NULL)
      print_message(self, text);
    lua_pop(L, 1);
  }
  lua_pop(L, 2);
}

/* Options, script or prompt. Returns the exit code. */
static int obey(lua_State *L, int argc, char **argv) {
  int script = script_place(L);
  if (has_option(L, "interactive")) {
    push_function(L, "astrum.scheduler", "note_runs");
    lua_call(L, 0, 0);
  }
  int status = has_option(L, "clean") ? LUA_OK : run_init(L);
  if (status == LUA_OK)
    status = run_steps(L);
  if (status == LUA_OK && script < argc)
    status = run_script(L, argc, argv, script);
  int version = has_option(L, "version");
  int bare = !has_option(L, "program") && !version;
  int prompt = has_option(L, "interactive") || (bare && isatty(STDIN_FILENO));
  if (status == LUA_OK && bare && !prompt)
    status = run_file(L, NULL);
  if (status != LUA_OK)
    return report(L, argv[0], status);
  int code = session(L, argv[0], prompt ? "pause" : "finish");
  if (prompt && code == EXIT_SUCCESS) {
    if (!version)
      puts(cli_text(L, "version", VERSIONS));
    converse(L);
  } else if (script < argc && code == EXIT_SUCCESS) {
    tell_unused(L, argv[0]);
  }
  return code;
}

/* Drives detached tasks to their end, and closes what the loop still holds. */
static int drain(lua_State *L) {
  int status = LUA_OK;
  luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
  if (lua_getfield(L, -1, "astrum.core") == LUA_TTABLE) {
    lua_getfield(L, -1, "drain");
    status = guard_call(L, 0, 0);
  }
  return status;
}

/* (argc, argv) -> exit code */
static int protected_main(lua_State *L) {
  int argc = (int)lua_tointeger(L, 1);
  char **argv = lua_touserdata(L, 2);
  push_command(L, argc, argv);
  if (has_option(L, "clean")) {
    lua_pushboolean(L, 1);
    lua_setfield(L, LUA_REGISTRYINDEX, "LUA_NOENV");
  }
  luaL_openlibs(L);
  preload(L);
  guard_open(L);
  /* Where the system cannot do it, a task that overruns says so. */
  lua_pop(L, binding_enable_preemption(astrum_binding_engine(L), L));
  if (has_option(L, "mistake")) {
    print_message(argv[0], cli_text(L, "mistake", NULL));
    lua_pushinteger(L, EXIT_USAGE);
    return 1;
  }
  if (has_option(L, "show")) {
    puts(cli_text(L, "show", VERSIONS));
    lua_pushinteger(L, EXIT_SUCCESS);
    return 1;
  }
  if (has_option(L, "version"))
    puts(cli_text(L, "version", VERSIONS));
  set_arg(L, argc, argv, script_place(L));
  lua_gc(L, LUA_GCGEN, 0, 0);
  int code = session(L, argv[0], "begin");
  if (code == EXIT_SUCCESS)
    code = obey(L, argc, argv);
  int drained = report(L, argv[0], drain(L));
  if (guard_signal() != 0)
    code = 128 + guard_signal();
  lua_pushinteger(L, code != EXIT_SUCCESS ? code : drained);
  return 1;
}

/*
 * Takes the places of standard streams that are closed, or the first files that
 * are opened would get what is written to them. To use one stays an error.
 */
static void keep_places(void) {
  for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++) {
    if (fcntl(fd, F_GETFD) < 0)
      (void)!open("/dev/null", fd == STDIN_FILENO ? O_WRONLY : O_RDONLY);
  }
}

int main(int argc, char **argv) {
  char name[] = "astrum-lua";
  char *nameless[] = {name, NULL};
  if (argc < 1) {
    argc = 1;
    argv = nameless;
  }
  keep_places();
  lua_State *L = luaL_newstate();
  if (L == NULL) {
    print_message(argv[0], "not enough memory to start");
    return EXIT_ERROR;
  }
  lua_pushcfunction(L, protected_main);
  lua_pushinteger(L, argc);
  lua_pushlightuserdata(L, argv);
  int status = lua_pcall(L, 2, 1, 0);
  int code =
      status == LUA_OK ? (int)lua_tointeger(L, -1) : report(L, argv[0], status);
  lua_close(L);
  return code;
}
