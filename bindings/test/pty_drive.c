/*
 * Runs a program on a terminal of its own and types, for specs of the prompt.
 * usage: pty_drive PROGRAM [ARGUMENT...]
 *
 * Its standard input is what to do, a step each line:
 *   > TEXT    type the text: \r is Enter, \t Tab, \\ a backslash, \xHH a byte
 *   < TEXT    wait until the text is written, behind what was waited for before
 *   size COLUMNS ROWS
 *   pause MILLISECONDS
 * At the end it waits until the program has ended. Everything that the program
 * has written goes to standard output. Exits with the program's code; with 99
 * when a text did not come in time, and with 98 when it could not be started.
 */
#define _GNU_SOURCE

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

enum { PATIENCE_MS = 15000, TOO_LATE = 99, NOT_STARTED = 98 };

static char output[1 << 20];
static size_t written; /* by the program, in `output` */
static size_t seen;    /* of it, up to the last text that was waited for */

/* Takes a \ and what follows out of a text; returns the new size. */
static size_t unescape(char *text) {
  char *to = text;
  for (const char *from = text; *from != '\0'; from++) {
    unsigned byte;
    if (*from != '\\') {
      *to++ = *from;
      continue;
    }
    from++;
    if (*from == 'x' && sscanf(from + 1, "%2x", &byte) == 1) {
      *to++ = (char)byte;
      from += 2;
    } else {
      *to++ = *from == 'r'   ? '\r'
              : *from == 't' ? '\t'
              : *from == 'n' ? '\n'
                             : *from;
    }
  }
  *to = '\0';
  return (size_t)(to - text);
}

/* Reads once. Returns 0 when the program has closed its end, or says nothing
   for `ms`. */
static int take(int terminal, int ms) {
  struct pollfd input = {.fd = terminal, .events = POLLIN};
  if (written + 1 >= sizeof output || poll(&input, 1, ms) <= 0)
    return 0;
  ssize_t size = read(terminal, output + written, sizeof output - written - 1);
  if (size <= 0)
    return 0;
  written += (size_t)size;
  return 1;
}

static int wait_for(int terminal, const char *text, size_t size) {
  for (;;) {
    const char *found = memmem(output + seen, written - seen, text, size);
    if (found != NULL) {
      seen = (size_t)(found - output) + size;
      return 1;
    }
    if (!take(terminal, PATIENCE_MS))
      return 0;
  }
}

static int type(int terminal, const char *text, size_t size) {
  return write(terminal, text, size) == (ssize_t)size;
}

static void set_size(int terminal, unsigned columns, unsigned rows) {
  struct winsize size = {.ws_col = (unsigned short)columns,
                         .ws_row = (unsigned short)rows};
  ioctl(terminal, TIOCSWINSZ, &size);
}

static int step(int terminal, char *line) {
  unsigned columns, rows, pause;
  if (sscanf(line, "pause %u", &pause) == 1)
    return usleep(pause * 1000) == 0;
  if (sscanf(line, "size %u %u", &columns, &rows) == 2) {
    set_size(terminal, columns, rows);
    return 1;
  }
  if ((line[0] != '>' && line[0] != '<') || line[1] != ' ') {
    fprintf(stderr, "pty_drive: no step: %s\n", line);
    return 0;
  }
  size_t size = unescape(line + 2);
  return line[0] == '>' ? type(terminal, line + 2, size)
                        : wait_for(terminal, line + 2, size);
}

static void run_program(const char *name, char **argv) {
  setsid();
  int terminal = open(name, O_RDWR);
  ioctl(terminal, TIOCSCTTY, 0);
  for (int i = 0; i < 3; i++)
    dup2(terminal, i);
  if (terminal > 2)
    close(terminal);
  execvp(argv[0], argv);
  _exit(NOT_STARTED);
}

int main(int argc, char **argv) {
  char line[4096];
  int terminal = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
  if (argc < 2 || terminal < 0 || grantpt(terminal) != 0 ||
      unlockpt(terminal) != 0)
    return NOT_STARTED;
  set_size(terminal, 80, 24);
  const char *name = ptsname(terminal);
  pid_t pid = fork();
  if (pid == 0)
    run_program(name, argv + 1);
  if (pid < 0)
    return NOT_STARTED;
  int code = 0, status = 0;
  while (code == 0 && fgets(line, sizeof line, stdin) != NULL) {
    line[strcspn(line, "\n")] = '\0';
    if (!step(terminal, line)) {
      fprintf(stderr, "pty_drive: did not come: %s\n", line);
      code = TOO_LATE;
    }
  }
  if (code != 0)
    kill(pid, SIGKILL);
  while (take(terminal, PATIENCE_MS))
    ;
  fwrite(output, 1, written, stdout);
  kill(pid, SIGHUP); /* it should be gone by now */
  waitpid(pid, &status, 0);
  if (code != 0)
    return code;
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}
