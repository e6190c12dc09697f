/*
 * libedit in the manner of readline's callbacks. Its state is global, and so is
 * ours. The user's locale holds only inside its functions: characters of more
 * than one byte are one there, and the program's own locale stays as it is.
 */
#define _GNU_SOURCE

#include "editor.h"

#ifdef ASTRUM_LIBEDIT

#include <fcntl.h>
#include <locale.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <editline/readline.h>

static const editor_host *host;
static const char *shown_prompt;
static char *typed;
static int is_over;
static int is_set_up;
static locale_t locale;

/* What stands before the name that is completed. */
static char breaks[] = " \t\n\"\\'`@$><=;|&{}()[]+*/%^~#,.:";
static char breaks_of_files[] = " \t\n";

static locale_t enter(void) { return locale ? uselocale(locale) : (locale_t)0; }

static void leave(locale_t outer) {
  if (outer)
    uselocale(outer);
}

static char *breaks_of_line(void) {
  const char *line = rl_line_buffer;
  if (strncmp(line, ".load ", 6) == 0 || strncmp(line, ".save ", 6) == 0)
    return breaks_of_files;
  return breaks;
}

static char *next_name(const char *text, int state) {
  (void)text;
  (void)state;
  return host->next_name(host->user);
}

/* The names of files, those of folders with a slash behind. */
static char *next_file(const char *text, int state) {
  struct stat about;
  char *name = rl_filename_completion_function(text, state);
  if (name == NULL || stat(name, &about) != 0 || !S_ISDIR(about.st_mode))
    return name;
  size_t size = strlen(name);
  char *longer = realloc(name, size + 2);
  if (longer == NULL)
    return name;
  longer[size] = '/';
  longer[size + 1] = '\0';
  return longer;
}

static char **complete(const char *text, int start, int end) {
  int has_names = host->complete(host->user, rl_line_buffer, start, end);
  rl_attempted_completion_over = 1;
  return rl_completion_matches(text, has_names ? next_name : next_file);
}

static void on_line(char *line) {
  typed = line;
  is_over = 1;
  /* Without this the next prompt would stay invisible until a key comes. */
  rl_callback_handler_remove();
}

void editor_open(void) {
  if (is_set_up)
    return;
  is_set_up = 1;
  locale = newlocale(LC_CTYPE_MASK, "", (locale_t)0);
  rl_readline_name = "astrum-lua";
  rl_catch_signals = 0;
  /* stdout may be a stream without a descriptor. */
  int terminal = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3);
  if (terminal >= 0)
    rl_outstream = fdopen(terminal, "w");
  locale_t outer = enter();
  rl_initialize();
  using_history();
  leave(outer);
  rl_attempted_completion_function = complete;
  rl_completion_word_break_hook = breaks_of_line;
}

int editor_works(void) {
  const char *terminal = getenv("TERM");
  return isatty(STDIN_FILENO) && isatty(STDOUT_FILENO) && terminal != NULL &&
         *terminal != '\0' && strcmp(terminal, "dumb") != 0;
}

void editor_begin(const char *prompt, const editor_host *new_host) {
  host = new_host;
  shown_prompt = prompt;
  typed = NULL;
  is_over = 0;
  locale_t outer = enter();
  /* A completion would be followed by a blank. */
  rl_completion_append_character = 0;
  rl_callback_handler_install(prompt, on_line);
  leave(outer);
}

int editor_key(char **line) {
  /* At the end of the input libedit would ask for more for ever. */
  struct pollfd input = {.fd = STDIN_FILENO, .events = POLLIN};
  if (poll(&input, 1, 0) > 0 && !(input.revents & POLLIN)) {
    on_line(NULL);
  } else {
    locale_t outer = enter();
    rl_callback_read_char();
    leave(outer);
  }
  *line = typed;
  return is_over;
}

void editor_end(void) {
  if (is_over)
    return;
  locale_t outer = enter();
  rl_callback_handler_remove();
  leave(outer);
}

/* Columns of a text, where a character takes one. */
static int columns_of(const char *text, int size) {
  int columns = 0;
  for (int i = 0; i < size; i++)
    columns += ((unsigned char)text[i] & 0xC0) != 0x80;
  return columns;
}

void editor_hide(void) {
  struct winsize size = {0};
  char sequence[32];
  int columns = columns_of(shown_prompt, (int)strlen(shown_prompt));
  if (rl_line_buffer != NULL)
    columns += columns_of(rl_line_buffer, rl_point);
  int rows = 0;
  if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0)
    rows = columns / size.ws_col;
  int length =
      rows > 0 ? snprintf(sequence, sizeof sequence, "\033[%dA\r\033[J", rows)
               : snprintf(sequence, sizeof sequence, "\r\033[J");
  /* Around the buffer of stdout, where what is to be printed stands. */
  if (write(STDOUT_FILENO, sequence, (size_t)length) < 0)
    return;
}

void editor_show(void) {
  locale_t outer = enter();
  rl_forced_update_display();
  leave(outer);
}

void editor_resize(void) {
  locale_t outer = enter();
  rl_resize_terminal();
  leave(outer);
}

void editor_resume(void) {
  locale_t outer = enter();
  /* libedit takes the terminal to be as it left it. */
  rl_deprep_terminal();
  rl_prep_terminal(1);
  rl_forced_update_display();
  leave(outer);
}

void editor_clear_history(void) {
  editor_open();
  clear_history();
}

void editor_add_history(const char *line) {
  editor_open();
  locale_t outer = enter();
  add_history(line);
  leave(outer);
}

#else

int editor_works(void) { return 0; }

void editor_open(void) {}

void editor_begin(const char *prompt, const editor_host *host) {
  (void)prompt;
  (void)host;
}

int editor_key(char **line) {
  *line = NULL;
  return 1;
}

void editor_end(void) {}
void editor_hide(void) {}
void editor_show(void) {}
void editor_resize(void) {}
void editor_resume(void) {}
void editor_clear_history(void) {}
void editor_add_history(const char *line) { (void)line; }

#endif
