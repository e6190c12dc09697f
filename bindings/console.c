/*
 * The standard streams of the program: data kept apart from what scripts print,
 * a display below all output, files written whole.
 *
 * The display is lines at the bottom of the terminal on standard error. While
 * it is open, stdout and stderr are streams of our own that clear it before
 * anything is written; it is drawn again with the next tick. While child
 * processes write to the terminal themselves there is no display.
 */
#define _GNU_SOURCE

#include "console.h"
#include "host.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <lauxlib.h>
#include <lualib.h>

/* Lines of the display. */
enum { MOST_LINES = 64 };

/* There is one terminal, and handlers at the exit get no argument. */
static struct {
  int open;     /* the streams are ours */
  int mid_line; /* the last output did not end its line */
  int editing;  /* the user types a line, which is not to be written over */
  int writers;  /* child processes that write to the terminal */
  int lines;    /* that are shown */
  int widths[MOST_LINES];
} display;

static void write_all(int fd, const char *text, size_t size) {
  while (size > 0) {
    ssize_t written = write(fd, text, size);
    if (written < 0 && errno == EINTR)
      continue;
    if (written < 0)
      return;
    text += written;
    size -= (size_t)written;
  }
}

/* --- display */

/* Rows that the display takes; the terminal may have become narrower. */
static int shown_rows(void) {
  struct winsize size;
  int columns = 0, rows = 0;
  if (ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0)
    columns = size.ws_col;
  for (int i = 0; i < display.lines; i++) {
    int width = display.widths[i];
    rows +=
        columns > 0 && width > columns ? (width + columns - 1) / columns : 1;
  }
  return rows;
}

/* What clears the display: at most `room` bytes. Forgets it. */
static size_t clear_text(char *text, size_t room) {
  int rows = shown_rows(), size = 0;
  if (rows == 1)
    size = snprintf(text, room, "\r\033[K");
  else if (rows > 1)
    size = snprintf(text, room, "\r\033[%dA\033[J", rows - 1);
  display.lines = 0;
  return (size_t)size;
}

static void clear_display(void) {
  if (display.lines > 0) {
    char text[32];
    write_all(STDERR_FILENO, text, clear_text(text, sizeof text));
  }
}

static void on_writer(int begins) {
  clear_display();
  fflush(stdout);
  display.writers += begins ? 1 : -1;
}

/* console.draw(lines, widths) -> whether it was drawn: not while a line that
   the user types or a script has begun stands where it would be, or child
   processes write. */
static int draw(lua_State *L) {
  char start[32];
  luaL_Buffer text;
  luaL_checktype(L, 1, LUA_TTABLE);
  luaL_checktype(L, 2, LUA_TTABLE);
  lua_settop(L, 2);
  int count = (int)lua_rawlen(L, 1);
  /* What was written is shown first, above. */
  fflush(stdout);
  luaL_argcheck(L, count <= MOST_LINES, 1, "too many lines");
  if (!display.open || display.mid_line || display.editing ||
      display.writers > 0) {
    lua_pushboolean(L, 0);
    return 1;
  }
  luaL_buffinit(L, &text);
  luaL_addlstring(&text, start, clear_text(start, sizeof start));
  for (int i = 0; i < count; i++) {
    lua_rawgeti(L, 2, i + 1);
    display.widths[i] = (int)lua_tointeger(L, -1);
    lua_pop(L, 1);
    if (i > 0)
      luaL_addchar(&text, '\n');
    lua_rawgeti(L, 1, i + 1);
    luaL_addvalue(&text);
  }
  luaL_pushresult(&text);
  size_t size;
  const char *bytes = lua_tolstring(L, -1, &size);
  write_all(STDERR_FILENO, bytes, size);
  display.lines = count;
  lua_pushboolean(L, 1);
  return 1;
}

/* console.clear() */
static int clear(lua_State *L) {
  (void)L;
  clear_display();
  return 0;
}

#ifdef __GLIBC__

static ssize_t write_stream(void *cookie, const char *text, size_t size) {
  int fd = (int)(intptr_t)cookie;
  if (size == 0)
    return 0;
  clear_display();
  write_all(fd, text, size);
  display.mid_line = text[size - 1] != '\n';
  return (ssize_t)size;
}

static FILE *clearing_stream(int fd, int buffering) {
  cookie_io_functions_t functions = {.write = write_stream};
  FILE *file = fopencookie((void *)(intptr_t)fd, "w", functions);
  if (file)
    setvbuf(file, NULL, buffering, BUFSIZ);
  return file;
}

/* Puts a stream in the place of one of io's. */
static void replace_stream(lua_State *L, const char *name, FILE *file) {
  luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
  lua_getfield(L, -1, LUA_IOLIBNAME);
  lua_getfield(L, -1, name);
  luaL_Stream *stream = luaL_testudata(L, -1, LUA_FILEHANDLE);
  if (stream && stream->closef)
    stream->f = file;
  lua_pop(L, 3);
}

/* console.open_display() -> whether there is one. Once it is open it stays. */
static int open_display(lua_State *L) {
  if (!display.open && isatty(STDERR_FILENO)) {
    FILE *err = clearing_stream(STDERR_FILENO, _IONBF);
    FILE *out =
        isatty(STDOUT_FILENO) ? clearing_stream(STDOUT_FILENO, _IOLBF) : NULL;
    if (err) {
      fflush(stdout);
      replace_stream(L, "stderr", err);
      stderr = err;
      if (out) {
        replace_stream(L, "stdout", out);
        stdout = out;
      }
      display.open = 1;
      astrum_binding_on_writer(astrum_binding_engine(L), on_writer);
      atexit(clear_display);
    }
  }
  lua_pushboolean(L, display.open);
  return 1;
}

#else

/* Streams that call back are not to be had everywhere. */
static int open_display(lua_State *L) {
  lua_pushboolean(L, 0);
  return 1;
}

#endif

void console_line_begins(void) {
  clear_display();
  display.editing = 1;
}

void console_line_ended(void) {
  display.editing = 0;
  display.mid_line = 0;
}

/* --- data */

static int close_data(lua_State *L) {
  luaL_Stream *stream = luaL_checkudata(L, 1, LUA_FILEHANDLE);
  return luaL_fileresult(L, fclose(stream->f) == 0, NULL);
}

/*
 * console.divert() -> a file: what was standard output. All that anybody writes
 * to standard output from now on goes to standard error. nil and why where
 * there is no standard output.
 */
static int divert(lua_State *L) {
  luaL_Stream *stream = lua_newuserdatauv(L, sizeof *stream, 0);
  stream->closef = NULL;
  luaL_setmetatable(L, LUA_FILEHANDLE);
  fflush(stdout);
  int fd = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3);
  stream->f = fd >= 0 ? fdopen(fd, "w") : NULL;
  if (!stream->f || dup2(STDERR_FILENO, STDOUT_FILENO) < 0) {
    /* EINVAL: main.c keeps the place of a stream that is closed. */
    int number = errno == EINVAL ? EBADF : errno;
    lua_pushnil(L);
    lua_pushstring(L, strerror(number));
    return 2;
  }
  stream->closef = close_data;
  return 1;
}

/* --- files */

static int fail(lua_State *L, const char *path, const char *why) {
  lua_pushnil(L);
  lua_pushfstring(L, "cannot write %s: %s", path, why);
  return 2;
}

/* Whether a file may be put at a path; else why not. */
static const char *refusal(const char *path) {
  struct stat found;
  if (lstat(path, &found) != 0)
    return errno == ENOENT ? NULL : strerror(errno);
  if (S_ISLNK(found.st_mode))
    return "it is a symbolic link; name the file that it leads to";
  if (S_ISDIR(found.st_mode))
    return "it is a folder";
  return S_ISREG(found.st_mode) ? NULL : "it is not a file";
}

static int write_and_close(int fd, const char *text, size_t size) {
  FILE *file = fdopen(fd, "w");
  if (!file) {
    close(fd);
    return 0;
  }
  size_t written = fwrite(text, 1, size, file);
  return (fclose(file) == 0) & (written == size);
}

/*
 * Makes a file beside `path`, to take its place: its descriptor, and its name,
 * which is pushed. -1 when it cannot be made; then what is pushed, nil and a
 * message, is for the caller to return.
 */
static int make_beside(lua_State *L, const char *path, char **name) {
  const char *why = refusal(path);
  if (why) {
    fail(L, path, why);
    return -1;
  }
  const char *pattern = lua_pushfstring(L, "%s.XXXXXX", path);
  *name = lua_newuserdatauv(L, strlen(pattern) + 1, 0);
  strcpy(*name, pattern);
  int fd = mkstemp(*name);
  if (fd < 0)
    fail(L, path, strerror(errno));
  return fd;
}

/*
 * console.check_file(path) -> true, or nil and a message: whether write_file
 * could write it now. Leaves nothing behind.
 */
static int check_file(lua_State *L) {
  char *temporary;
  int fd = make_beside(L, luaL_checkstring(L, 1), &temporary);
  if (fd < 0)
    return 2;
  close(fd);
  unlink(temporary);
  lua_pushboolean(L, 1);
  return 1;
}

/*
 * console.write_file(path, text) -> true, or nil and a message. The file is
 * there whole or not at all, and takes the place of one that was there.
 */
static int write_file(lua_State *L) {
  size_t size;
  const char *path = luaL_checkstring(L, 1);
  const char *text = luaL_checklstring(L, 2, &size);
  char *temporary;
  int fd = make_beside(L, path, &temporary);
  if (fd < 0)
    return 2;
  mode_t mask = umask(0);
  umask(mask);
  fchmod(fd, 0666 & ~mask);
  if (!write_and_close(fd, text, size) || rename(temporary, path) != 0) {
    int number = errno;
    unlink(temporary);
    return fail(L, path, strerror(number));
  }
  lua_pushboolean(L, 1);
  return 1;
}

int console_open(lua_State *L) {
  static const luaL_Reg functions[] = {
      {"open_display", open_display},
      {"draw", draw},
      {"clear", clear},
      {"divert", divert},
      {"check_file", check_file},
      {"write_file", write_file},
      {NULL, NULL},
  };
  luaL_newlib(L, functions);
  return 1;
}
