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

#include <errno.h>
#include <langinfo.h>
#include <limits.h>
#include <wchar.h>

#include <editline/readline.h>

enum {
  SIGNAL_MS = 50,     /* how soon a signal is seen while a key is waited for */
  PASTE_MOST = 100000 /* bytes that are kept, which is more than are taken */
};

static const editor_host *host;
static const char *shown_prompt;
static char *typed;
static int is_over;
/* Bytes of a line that is given to the editor, and up to which it is typed at.
   libedit takes room for 8192, and looks at all of it with each key. */
enum { MOST_BYTES = 7500, FULL = 8000, HALF_OF_ROOM = 4096 };

static int is_set_up;
static int keys = -1;  /* the terminal, opened so that no read blocks */
static int known_rows; /* that libedit takes the terminal to have */
static locale_t locale;

/* A line break inside of a line would end it for libedit, so a sign stands for
   it; where the locale does not have that one, a blank of Lua's. */
#define SIGN "\xE2\x8F\x8E"
#define PLAIN_SIGN "\v"
static int has_signs; /* lines with a sign have been given to the editor */

/* The terminal puts these around what is pasted. */
#define PASTE_ON "\033[?2004h"
#define PASTE_OFF "\033[?2004l"
static const char paste_begins[] = "\033[200~";
static const char paste_ends[] = "\033[201~";

static struct {
  int is_on;
  size_t matched; /* bytes of what begins or ends it that have been read */
  size_t size, capacity;
  char *text;
} paste;

/* What has been read, but has not been given to libedit. */
static char queue[sizeof paste_begins];
static size_t queued;
static int has_waited; /* libedit has asked for more than that */
static int is_probing; /* it would get nothing more */

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

/* Around the buffer of stdout, where what is to be printed may stand. */
static void tell_terminal(const char *sequence, size_t size) {
  ssize_t written;
  do
    written = write(STDOUT_FILENO, sequence, size);
  while (written < 0 && errno == EINTR);
}

/* The column behind a text that begins at one, as libedit shows it. */
static int column_behind(int column, const char *text, int size) {
  mbstate_t state;
  memset(&state, 0, sizeof state);
  for (int i = 0; i < size;) {
    wchar_t character;
    size_t bytes = mbrtowc(&character, text + i, (size_t)(size - i), &state);
    if (bytes > (size_t)(size - i)) /* no character: the state is undefined */
      memset(&state, 0, sizeof state);
    int width = bytes <= (size_t)(size - i) ? wcwidth(character) : 4;
    if (text[i] == '\t')
      width = 8 - column % 8;
    else if (width < 0)
      width = 2;
    column += width;
    i += bytes > 0 && bytes <= (size_t)(size - i) ? (int)bytes : 1;
  }
  return column;
}

/* The size of the terminal, as libedit takes it. */
static struct winsize terminal_size(void) {
  struct winsize size = {0};
  if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_col == 0 ||
      size.ws_row == 0)
    size = (struct winsize){.ws_row = 24, .ws_col = 80};
  return size;
}

/* Rows between the prompt and the first `size` bytes of the line. */
static int rows_before(int size) {
  locale_t outer = enter();
  int columns = column_behind(0, shown_prompt, (int)strlen(shown_prompt));
  if (rl_line_buffer != NULL)
    columns = column_behind(columns, rl_line_buffer, size);
  leave(outer);
  return columns / terminal_size().ws_col;
}

void editor_hide(void) {
  char sequence[32];
  int rows = rows_before(rl_point);
  int length =
      rows > 0 ? snprintf(sequence, sizeof sequence, "\033[%dA\r\033[J", rows)
               : snprintf(sequence, sizeof sequence, "\r\033[J");
  tell_terminal(sequence, (size_t)length);
}

/*
 * A line that is higher than the terminal: libedit loses count of its rows, and
 * writes outside of them. So it is told of a terminal that is high enough, and
 * the line is shown anew, as the cursor cannot go up to rows that have gone;
 * that is not needed after characters at its end.
 */
static void show_high_line(int is_longer) {
  static const char clear[] = "\033[H\033[J";
  struct winsize size = terminal_size();
  int rows = rows_before(rl_end) + 2;
  if (is_over || rows < size.ws_row || (is_longer && rows <= known_rows))
    return;
  if (rows > known_rows) {
    known_rows = 2 * rows;
    rl_set_screen_size(known_rows, size.ws_col);
  }
  tell_terminal(clear, strlen(clear));
  rl_forced_update_display();
}

/* Puts a text where the cursor is. */
static void insert(const char *text) {
  editor_hide();
  rl_insert_text(text);
  rl_forced_update_display();
}

static char **complete(const char *text, int start, int end) {
  if (strspn(rl_line_buffer, " \t") >= (size_t)end) {
    /* All names there are would help nobody. */
    rl_attempted_completion_over = 1;
    insert("  ");
    return NULL;
  }
  int has_names = host->complete(host->user, rl_line_buffer, start, end);
  rl_attempted_completion_over = 1;
  return rl_completion_matches(text, has_names ? next_name : next_file);
}

static const char *sign(void) {
  return strcmp(nl_langinfo(CODESET), "UTF-8") == 0 ? SIGN : PLAIN_SIGN;
}

/* A copy of a text with signs for its line breaks, to be freed. */
static char *with_signs(const char *text) {
  const char *own = sign();
  char *copy = malloc(strlen(text) * strlen(own) + 1), *to = copy;
  if (copy == NULL)
    return NULL;
  for (; *text != '\0'; text++) {
    if (*text == '\n') {
      has_signs = 1;
      to = stpcpy(to, own);
    } else {
      *to++ = *text;
    }
  }
  *to = '\0';
  return copy;
}

/* Puts line breaks in the place of signs. */
static void without_signs(char *line) {
  char *to = line;
  while (has_signs && *line != '\0') {
    size_t size = strncmp(line, SIGN, strlen(SIGN)) == 0 ? strlen(SIGN)
                  : *line == *PLAIN_SIGN                 ? 1
                                                         : 0;
    *to++ = size > 0 ? '\n' : *line;
    line += size > 0 ? size : 1;
  }
  if (has_signs)
    *to = '\0';
}

static void on_line(char *line) {
  if (line != NULL)
    without_signs(line);
  typed = line;
  is_over = 1;
  tell_terminal(PASTE_OFF, strlen(PASTE_OFF));
  /* Without this the next prompt would stay invisible until a key comes. */
  rl_callback_handler_remove();
}

/* --- keys */

/* Waits for a byte, in short turns: a signal may come just before each. The
   terminal drops what was typed before Ctrl-C, also what poll has told of, so
   that a read which blocks might never end. */
static int read_byte(char *byte) {
  struct pollfd input = {.fd = STDIN_FILENO, .events = POLLIN};
  while (!host->is_interrupted(host->user)) {
    if (poll(&input, 1, SIGNAL_MS) > 0) {
      ssize_t size = read(keys >= 0 ? keys : STDIN_FILENO, byte, 1);
      if (size >= 0 || (errno != EINTR && errno != EAGAIN))
        return size == 1;
    }
  }
  return 0;
}

static int next_byte(char *byte) {
  if (queued == 0 && is_probing) {
    is_probing = 0;
    return 0;
  }
  if (queued == 0) {
    has_waited = 1;
    return read_byte(byte);
  }
  *byte = queue[0];
  memmove(queue, queue + 1, --queued);
  return 1;
}

/* What libedit reads by: one character, or -1 at the end. */
static int next_character(FILE *file) {
  mbstate_t state;
  wchar_t character;
  char byte;
  (void)file;
  memset(&state, 0, sizeof state);
  while (next_byte(&byte)) {
    size_t size = mbrtowc(&character, &byte, 1, &state);
    if (size == (size_t)-1)
      return (unsigned char)byte;
    if (size != (size_t)-2)
      return (int)character;
  }
  return -1;
}

static int has_more(void) {
  struct pollfd input = {.fd = STDIN_FILENO, .events = POLLIN};
  return poll(&input, 1, 0) > 0;
}

/* Has libedit do what it can do without a further key. */
static void probe(void) {
  while (is_probing && !is_over)
    rl_callback_read_char();
  is_probing = 0;
}

/* Gives libedit what is queued. */
static void pass_on(void) {
  locale_t outer = enter();
  while (queued > 0 && !is_over) {
    int at_end = rl_point == rl_end, end = rl_end;
    /* libedit says where they are but for an empty line. */
    rl_point = rl_end = 0;
    rl_callback_read_char();
    /* A search gives back the key that has ended it, for the next call. */
    is_probing = has_waited;
    has_waited = 0;
    probe();
    int added = rl_end - end;
    show_high_line(at_end && rl_point == rl_end && added > 0 &&
                   added <= MB_LEN_MAX);
  }
  leave(outer);
}

static void add_pasted(char byte) {
  if (paste.size == PASTE_MOST)
    return;
  if (paste.size + 2 > paste.capacity) {
    size_t capacity = paste.capacity ? 2 * paste.capacity : 256;
    char *text = realloc(paste.text, capacity);
    if (text == NULL)
      return;
    paste.text = text;
    paste.capacity = capacity;
  }
  paste.text[paste.size++] = byte;
}

/* Nothing of it is a key: control characters are left out. */
static void insert_pasted(void) {
  size_t size = 0;
  for (size_t i = 0; i < paste.size; i++) {
    /* The terminal may have made one of the other. */
    char byte = paste.text[i] == '\r' ? '\n' : paste.text[i];
    if (byte == '\n' || byte == '\t' ||
        ((unsigned char)byte >= ' ' && byte != '\x7f'))
      paste.text[size++] = byte;
  }
  while (size > 0 && paste.text[size - 1] == '\n')
    size--;
  if (size == 0)
    return;
  paste.text[size] = '\0';
  locale_t outer = enter();
  char *text = with_signs(paste.text);
  if (text != NULL && (size_t)rl_end + strlen(text) > MOST_BYTES) {
    static const char told[] =
        "what was pasted is too long to be edited; put it into a file, and "
        "enter .load FILE\n";
    editor_hide();
    tell_terminal(told, strlen(told));
    rl_forced_update_display();
    free(text);
  } else if (text != NULL) {
    insert(text);
    free(text);
    /* After that the length of the line is known. */
    is_probing = 1;
    probe();
    show_high_line(0);
  }
  leave(outer);
}

static void take_pasted(char byte) {
  add_pasted(byte);
  paste.matched = byte == paste_ends[paste.matched] ? paste.matched + 1
                  : byte == paste_ends[0]           ? 1
                                                    : 0;
  if (paste_ends[paste.matched] != '\0')
    return;
  paste.is_on = 0;
  paste.size -= paste.size < paste.matched ? paste.size : paste.matched;
  paste.matched = 0;
  insert_pasted();
  free(paste.text);
  paste.text = NULL;
  paste.size = paste.capacity = 0;
}

static void take(char byte) {
  if (paste.is_on) {
    take_pasted(byte);
    return;
  }
  if (queued == 0 && rl_end > FULL && (unsigned char)byte >= ' ' &&
      byte != '\x7f')
    return;
  queue[queued++] = byte;
  if (byte == paste_begins[queued - 1]) {
    if (paste_begins[queued] == '\0') {
      paste.is_on = 1;
      queued = 0;
      return;
    }
    /* The terminal sends all of it at once. */
    if (has_more())
      return;
  }
  pass_on();
}

/* --- lines */

/*
 * rl_line_buffer becomes invalid when libedit needs more room for a line, and
 * libedit writes to it all the same. So it gets the room at once: by one
 * character after the other, until it needs more than for the first text, and
 * sets the pointer to what is large enough for that.
 */
static void make_room(void) {
  char *text = malloc(HALF_OF_ROOM + 1), *before = rl_line_buffer;
  if (text == NULL)
    return;
  memset(text, ' ', HALF_OF_ROOM);
  text[HALF_OF_ROOM] = '\0';
  rl_insert_text(text);
  free(text);
  rl_line_buffer = NULL;
  for (int i = 0; i < 4 * HALF_OF_ROOM && rl_line_buffer == NULL; i++)
    rl_insert_text(" ");
  if (rl_line_buffer == NULL)
    rl_line_buffer = before;
}

void editor_open(void) {
  if (is_set_up)
    return;
  is_set_up = 1;
  const char *name = ttyname(STDIN_FILENO);
  if (name != NULL)
    keys = open(name, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
  locale = newlocale(LC_CTYPE_MASK, "", (locale_t)0);
  rl_readline_name = "astrum-lua";
  rl_catch_signals = 0;
  /* stdout may be a stream without a descriptor. */
  int terminal = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3);
  if (terminal >= 0)
    rl_outstream = fdopen(terminal, "w");
  rl_getc_function = next_character;
  locale_t outer = enter();
  rl_initialize();
  using_history();
  make_room();
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
  /* Of one that has not come to its end nothing is left. */
  paste.is_on = 0;
  paste.size = paste.matched = 0;
  locale_t outer = enter();
  /* A completion would be followed by a blank. */
  rl_completion_append_character = 0;
  /* libedit sets them with the first key. */
  rl_point = rl_end = 0;
  rl_callback_handler_install(prompt, on_line);
  known_rows = terminal_size().ws_row;
  tell_terminal(PASTE_ON, strlen(PASTE_ON));
  pass_on();
  leave(outer);
}

int editor_key(char **line) {
  char byte;
  if (is_over) {
    /* By keys that came with those of the line before. */
  } else if (read_byte(&byte)) {
    take(byte);
  } else {
    /* At the end of the input libedit would ask for more for ever. */
    on_line(NULL);
  }
  *line = typed;
  return is_over;
}

void editor_end(void) {
  if (is_over)
    return;
  tell_terminal(PASTE_OFF, strlen(PASTE_OFF));
  locale_t outer = enter();
  rl_callback_handler_remove();
  leave(outer);
}

void editor_show(void) {
  locale_t outer = enter();
  rl_forced_update_display();
  leave(outer);
}

void editor_resize(void) {
  locale_t outer = enter();
  rl_resize_terminal();
  known_rows = terminal_size().ws_row;
  editor_hide();
  rl_forced_update_display();
  show_high_line(0);
  leave(outer);
}

void editor_resume(void) {
  locale_t outer = enter();
  /* libedit takes the terminal to be as it left it. */
  rl_deprep_terminal();
  rl_prep_terminal(1);
  tell_terminal(PASTE_ON, strlen(PASTE_ON));
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
  char *shown = with_signs(line);
  if (shown != NULL && strlen(shown) <= MOST_BYTES)
    add_history(shown);
  free(shown);
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
