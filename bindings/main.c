/*
 * astrum-lua: runs scripts as the lua command does, with astrum inside.
 *
 * The command line is read twice: read_options checks it before anything
 * runs, run_options then obeys -e, -l and -W in their order. Everything that
 * can raise runs in `protected_main`, code of the user in guard_call.
 */
#define _POSIX_C_SOURCE 200809L

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>

#include <astrum.h>

#include "binding.h"
#include "embed.h"
#include "guard.h"
#include "repl.h"

/* Exit codes; a signal gives 128 and its number. */
enum { EXIT_ERROR = 1, EXIT_USAGE = 2 };

#define VERSIONS ASTRUM_VERSION " (" LUA_RELEASE ")"

typedef struct {
  int script;       /* place of the script in argv, argc when there is none */
  int bad;          /* place of an option that cannot be obeyed, or 0 */
  int incomplete;   /* ... because its argument is missing */
  int interactive;  /* -i */
  int version;      /* -v */
  int execute;      /* -e was given */
  int clean;        /* -E */
  const char *show; /* "help" or "version" */
} options;

/* --- Embedded modules ----------------------------------------------------- */

static int load_embedded(lua_State *L) {
  const astrum_embedded *file = lua_touserdata(L, lua_upvalueindex(1));
  if (luaL_loadbufferx(L, file->code, file->size, file->chunk, "t") != LUA_OK)
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
  lua_insert(L, -2);
  lua_pcall(L, 1, 1, 0);
  const char *message = lua_tostring(L, -1);
  print_message(prefix, message ? message : "(error object has no text)");
  lua_pop(L, 1);
  return code;
}

/* Pushes the text that a function of astrum.cli returns for one word. */
static const char *cli_text(lua_State *L, const char *name, const char *word) {
  push_function(L, "astrum.cli", name);
  lua_pushstring(L, word);
  lua_call(L, 1, 1);
  return luaL_checkstring(L, -1);
}

/* --- Options -------------------------------------------------------------- */

static int takes_argument(const char *option) {
  return option[1] == 'e' || option[1] == 'l';
}

/* Notes one option without argument; returns 0 when it is unknown. */
static int note_option(options *o, const char *option) {
  if (strcmp(option, "--help") == 0)
    o->show = "help";
  else if (strcmp(option, "--version") == 0)
    o->show = "version";
  else if (option[1] == '-' || option[2] != '\0')
    return 0;
  else if (option[1] == 'i')
    o->interactive = o->version = 1;
  else if (option[1] == 'v')
    o->version = 1;
  else if (option[1] == 'E')
    o->clean = 1;
  else
    return option[1] == 'W';
  return 1;
}

/* Reads the options up to the script; stops at the first bad one. */
static void read_options(int argc, char **argv, options *o) {
  int i = 1;
  for (; i < argc && argv[i][0] == '-' && argv[i][1] != '\0'; i++) {
    if (strcmp(argv[i], "--") == 0) {
      i++;
      break;
    }
    if (takes_argument(argv[i])) {
      o->execute |= argv[i][1] == 'e';
      if (argv[i][2] == '\0' && (i + 1 >= argc || argv[i + 1][0] == '-')) {
        o->incomplete = 1;
        o->bad = i;
        break;
      }
      i += argv[i][2] == '\0';
    } else if (!note_option(o, argv[i])) {
      o->bad = i;
      break;
    }
    if (o->show != NULL)
      break;
  }
  o->script = i;
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

/*
 * Loads a file, or standard input when `name` is NULL. Compiled code is
 * refused: Lua does not check it, so a damaged file could do anything.
 */
static int load_file(lua_State *L, const char *name) {
  int status = luaL_loadfilex(L, name, "t");
  if (status == LUA_ERRSYNTAX && strstr(lua_tostring(L, -1), "(mode is 't')")) {
    lua_pop(L, 1);
    lua_pushfstring(L, "%s: this is compiled Lua code; run its source instead",
                    name ? name : "stdin");
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

static int run_options(lua_State *L, int script, char **argv) {
  for (int i = 1; i < script; i++) {
    int status = LUA_OK;
    if (argv[i][1] == 'W') {
      lua_warning(L, "@on", 0);
    } else if (takes_argument(argv[i])) {
      char option = argv[i][1];
      const char *value = argv[i][2] != '\0' ? argv[i] + 2 : argv[++i];
      status = option == 'e' ? run_text(L, value, "=(command line)")
                             : run_library(L, value);
    }
    if (status != LUA_OK)
      return status;
  }
  return LUA_OK;
}

/* Runs argv[script] with the arguments after it. */
static int run_script(lua_State *L, int argc, char **argv, int script) {
  const char *name = argv[script];
  if (strcmp(name, "-") == 0 && strcmp(argv[script - 1], "--") != 0)
    name = NULL;
  int status = load_file(L, name);
  if (status != LUA_OK)
    return status;
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

/* Prints what --help, --version or a bad option ask for. */
static int show(lua_State *L, char **argv, const options *o) {
  if (o->bad != 0) {
    const char *function = o->incomplete ? "no_argument" : "unknown_option";
    print_message(argv[0], cli_text(L, function, argv[o->bad]));
    return EXIT_USAGE;
  }
  puts(cli_text(L, o->show, VERSIONS));
  return EXIT_SUCCESS;
}

/* Options, script or prompt. Returns the exit code. */
static int obey(lua_State *L, int argc, char **argv, const options *o) {
  int status = o->clean ? LUA_OK : run_init(L);
  if (status == LUA_OK)
    status = run_options(L, o->script, argv);
  if (status == LUA_OK && o->script < argc)
    status = run_script(L, argc, argv, o->script);
  if (status != LUA_OK)
    return report(L, argv[0], status);
  int bare = o->script == argc && !o->execute && !o->version;
  if (o->interactive || (bare && isatty(STDIN_FILENO))) {
    if (!o->version)
      puts(cli_text(L, "version", VERSIONS));
    converse(L);
  } else if (bare) {
    return report(L, argv[0], run_file(L, NULL));
  }
  return EXIT_SUCCESS;
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
  options o = {0};
  read_options(argc, argv, &o);
  if (o.clean) {
    lua_pushboolean(L, 1);
    lua_setfield(L, LUA_REGISTRYINDEX, "LUA_NOENV");
  }
  luaL_openlibs(L);
  preload(L);
  guard_open(L);
  /* Where the system cannot do it, a task that overruns says so. */
  lua_pop(L, binding_enable_preemption(astrum_binding_engine(L), L));
  if (o.bad != 0 || o.show != NULL) {
    lua_pushinteger(L, show(L, argv, &o));
    return 1;
  }
  if (o.version)
    puts(cli_text(L, "version", VERSIONS));
  set_arg(L, argc, argv, o.script);
  lua_gc(L, LUA_GCGEN, 0, 0);
  int code = obey(L, argc, argv, &o);
  int drained = report(L, argv[0], drain(L));
  if (guard_signal() != 0)
    code = 128 + guard_signal();
  lua_pushinteger(L, code != EXIT_SUCCESS ? code : drained);
  return 1;
}

int main(int argc, char **argv) {
  char name[] = "astrum-lua";
  char *nameless[] = {name, NULL};
  if (argc < 1) {
    argc = 1;
    argv = nameless;
  }
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
