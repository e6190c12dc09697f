/*
 * Child processes on a libuv loop. A pidfd tells when the leader of the group
 * has exited; no signal handler is needed.
 *
 *   RUNNING --leader exits--> DRAINING --outputs end--> CLOSING --> `ended`
 *
 * The leader is reaped on the way to CLOSING, not before: as long as it is a
 * zombie its number is not used again, and the group can be signalled safely.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include "launch.h"
#include "loop.h"

#include "../alloc.h"
#include "../internal.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include <uv.h>

enum {
  DRAIN_LIMIT = 500, /* ms that output may last after the leader's exit */
  TICK = 10,         /* ms between two looks at a leader without a pidfd */
  READ_SIZE = 65536  /* as much as a pipe holds */
};

enum { RUNNING, DRAINING, CLOSING };

/* A handle that knows its process without `data`, see loop.c. */
typedef struct {
  union {
    uv_handle_t handle;
    uv_poll_t poll;
    uv_timer_t timer;
  } uv;
  astrum_process *process; /* NULL: not initialized */
} watcher;

/* What a child writes there goes to the host as it comes. */
#define CHANNEL ASTRUM_CHANNEL_DESCRIPTOR

/* Our end of a pipe to one of the three standard streams or the channel. */
typedef struct {
  watcher poll;
  int fd;                /* -1: not open */
  char *bytes;           /* input: what is to be written; else what was read */
  size_t used, capacity; /* input: bytes written, bytes in all */
  int full;              /* no memory for more, the rest is thrown away */
} stream;

struct astrum_process {
  astrum_process *next, **link; /* in the list of the loop */
  astrum_alloc alloc;
  void (*ended)(void *user, const astrum_process_result *result);
  void *user;
  pid_t pid;
  pid_t parent;     /* who has started it: a fork of ours may not signal it */
  int status;       /* as waitpid tells it */
  uint64_t grace;   /* ms */
  int pidfd;        /* -1: there is none, `tick` is used instead of `exit` */
  watcher exit;     /* poll */
  watcher tick;     /* timer */
  watcher deadline; /* timer of the grace time, then of the drain limit */
  unsigned handles; /* that are not closed yet */
  void (*message)(void *user, const char *bytes, size_t size); /* or NULL */
  stream
      streams[CHANNEL + 1]; /* by the number of the descriptor in the child */
  astrum_err error;
  uint8_t phase;
  uint8_t stopping;
  uint8_t lost; /* somebody else has reaped the leader */
};

/* --- Streams -------------------------------------------------------------- */

static void on_closed(uv_handle_t *handle);

static void close_watcher(watcher *w) {
  if (w->process != NULL && !uv_is_closing(&w->uv.handle)) {
    uv_close(&w->uv.handle, on_closed);
  }
}

static void add_watcher(astrum_process *process, watcher *w) {
  w->process = process;
  process->handles++;
}

static int start_poll(astrum_process *process, uv_loop_t *uv, watcher *w,
                      int fd, int events, uv_poll_cb callback) {
  if (uv_poll_init(uv, &w->uv.poll, fd) != 0) {
    return 0;
  }
  add_watcher(process, w);
  return uv_poll_start(&w->uv.poll, events, callback) == 0;
}

static void init_timer(astrum_process *process, uv_loop_t *uv, watcher *w) {
  uv_timer_init(uv, &w->uv.timer);
  add_watcher(process, w);
}

static void close_fd(int *fd) {
  if (*fd >= 0) {
    close(*fd);
    *fd = -1;
  }
}

static void close_stream(stream *s) {
  close_watcher(&s->poll);
  close_fd(&s->fd);
}

/*
 * Keeps our descriptors off the numbers of the standard streams, which are
 * free when the host has closed its own.
 */
static int lift(int *fd) {
  if (*fd > 2) {
    return 0;
  }
  int lifted = fcntl(*fd, F_DUPFD_CLOEXEC, 3);
  int error = lifted < 0 ? errno : 0;
  close(*fd);
  *fd = lifted;
  return error;
}

/* A pipe that is inherited by nobody; our end does not block. Errno. */
static int open_pipe(int *ours, int *theirs, int we_write) {
  uv_file ends[2];
  int error = uv_pipe(ends, we_write ? 0 : UV_NONBLOCK_PIPE,
                      we_write ? UV_NONBLOCK_PIPE : 0);
  if (error != 0) {
    return -error;
  }
  *ours = ends[we_write];
  *theirs = ends[!we_write];
  error = lift(ours);
  return error != 0 ? error : lift(theirs);
}

/* As write, but a pipe without a reader raises no signal. */
static ssize_t write_quietly(int fd, const void *bytes, size_t size) {
  sigset_t pipe, old, pending;
  sigpending(&pending);
  int was_pending = sigismember(&pending, SIGPIPE);
  sigemptyset(&pipe);
  sigaddset(&pipe, SIGPIPE);
  pthread_sigmask(SIG_BLOCK, &pipe, &old);
  ssize_t written;
  do {
    written = write(fd, bytes, size);
  } while (written < 0 && errno == EINTR);
  int error = errno;
  sigpending(&pending);
  if (!was_pending && sigismember(&pending, SIGPIPE)) {
    int number;
    sigwait(&pipe, &number);
  }
  pthread_sigmask(SIG_SETMASK, &old, NULL);
  errno = error;
  return written;
}

/* Writes what the pipe takes and keeps a copy of the rest. Errno. */
static int open_input(astrum_process *process, int *theirs, const char *bytes,
                      size_t size) {
  stream *s = &process->streams[0];
  int error = open_pipe(&s->fd, theirs, 1);
  if (error != 0) {
    return error;
  }
  ssize_t written = write_quietly(s->fd, bytes, size);
  size_t rest = written < 0 ? size : size - (size_t)written;
  if (rest == 0) {
    close_fd(&s->fd);
    return 0;
  }
  s->bytes = astrum__alloc_array(&process->alloc, rest, 1);
  if (s->bytes == NULL) {
    return ENOMEM;
  }
  s->capacity = rest;
  memcpy(s->bytes, bytes + (size - rest), rest);
  return 0;
}

static void free_bytes(astrum_process *process, stream *s) {
  astrum__free(&process->alloc, s->bytes, s->capacity);
  s->bytes = NULL;
  s->used = s->capacity = 0;
}

static void on_writable(uv_poll_t *poll, int status, int events) {
  watcher *w = astrum__container_of(poll, watcher, uv.poll);
  stream *s = astrum__container_of(w, stream, poll);
  (void)events;
  if (status == 0) {
    ssize_t written =
        write_quietly(s->fd, s->bytes + s->used, s->capacity - s->used);
    if (written >= 0) {
      s->used += (size_t)written;
    } else if (errno != EAGAIN) {
      status = -errno;
    }
  }
  /* That nobody reads the input is the child's business. */
  if (status != 0 || s->used == s->capacity) {
    close_stream(s);
    free_bytes(w->process, s);
  }
}

static void keep(astrum_process *process, stream *s, const char *bytes,
                 size_t size) {
  void *array = s->bytes;
  if (s->full || size > SIZE_MAX - s->used ||
      astrum__grow(&process->alloc, &array, &s->capacity, s->used + size, 1) !=
          ASTRUM_OK) {
    s->full = 1;
    process->error = ASTRUM_ENOMEM;
    return;
  }
  s->bytes = array;
  memcpy(s->bytes + s->used, bytes, size);
  s->used += size;
}

/* Reads what a full pipe holds; closes the stream at its end. */
static void read_output(astrum_process *process, stream *s) {
  char bytes[READ_SIZE];
  ssize_t size;
  do {
    size = read(s->fd, bytes, sizeof bytes);
  } while (size < 0 && errno == EINTR);
  if (size > 0 && s == &process->streams[CHANNEL]) {
    if (process->ended != NULL)
      process->message(process->user, bytes, (size_t)size);
  } else if (size > 0) {
    keep(process, s, bytes, (size_t)size);
  } else if (size == 0 || errno != EAGAIN) {
    if (size < 0 && process->error == ASTRUM_OK) {
      process->error = ASTRUM_ESYSTEM;
    }
    close_stream(s);
  }
}

/* --- Ending --------------------------------------------------------------- */

static void signal_group(const astrum_process *process, int number) {
  if (process->phase != CLOSING && !process->lost &&
      process->parent == getpid()) {
    kill(-process->pid, number);
  }
}

static void unlink_process(astrum_process *process) {
  if (process->link != NULL) {
    *process->link = process->next;
    if (process->next != NULL) {
      process->next->link = process->link;
    }
    process->link = NULL;
  }
}

static void free_process(astrum_process *process) {
  astrum_alloc alloc = process->alloc;
  for (int i = 0; i <= CHANNEL; i++) {
    free_bytes(process, &process->streams[i]);
  }
  astrum__free(&alloc, process, sizeof *process);
}

static void tell_ended(astrum_process *process) {
  const stream *out = &process->streams[1], *err = &process->streams[2];
  int status = process->status, known = !process->lost;
  astrum_process_result result = {
      .code = known && WIFEXITED(status) ? WEXITSTATUS(status) : -1,
      .signal = known && WIFSIGNALED(status) ? WTERMSIG(status) : 0,
      .out = out->used > 0 ? out->bytes : "",
      .out_size = out->used,
      .err = err->used > 0 ? err->bytes : "",
      .err_size = err->used,
      .error = known || process->error != 0 ? process->error : ASTRUM_ESYSTEM};
  process->ended(process->user, &result);
}

static void on_closed(uv_handle_t *handle) {
  astrum_process *process =
      astrum__container_of(handle, watcher, uv.handle)->process;
  if (--process->handles > 0) {
    return;
  }
  unlink_process(process);
  if (process->ended != NULL) {
    tell_ended(process);
  }
  free_process(process);
}

/* Waits for the leader, unless it lives on because we may not kill it. */
static void reap(astrum_process *process) {
  int flags =
      process->phase == RUNNING && kill(process->pid, 0) != 0 ? WNOHANG : 0;
  pid_t reaped;
  do {
    reaped = waitpid(process->pid, &process->status, flags);
  } while (reaped < 0 && errno == EINTR);
  if (reaped != process->pid) {
    process->lost = 1;
  }
}

static void stop_watching(astrum_process *process) {
  close_watcher(&process->exit);
  close_watcher(&process->tick);
  close_fd(&process->pidfd);
}

static void wind_up(astrum_process *process) {
  if (!process->lost) {
    reap(process);
  }
  process->phase = CLOSING;
  stop_watching(process);
  for (int i = 0; i <= CHANNEL; i++) {
    close_stream(&process->streams[i]);
  }
  close_watcher(&process->deadline);
}

static void wind_up_if_drained(astrum_process *process) {
  if (process->phase == DRAINING && process->streams[1].fd < 0 &&
      process->streams[2].fd < 0 && process->streams[CHANNEL].fd < 0) {
    wind_up(process);
  }
}

static void on_readable(uv_poll_t *poll, int status, int events) {
  watcher *w = astrum__container_of(poll, watcher, uv.poll);
  stream *s = astrum__container_of(w, stream, poll);
  (void)events;
  if (status == 0) {
    read_output(w->process, s);
  } else {
    w->process->error = ASTRUM_ESYSTEM;
    close_stream(s);
  }
  wind_up_if_drained(w->process);
}

static void on_deadline(uv_timer_t *timer) {
  astrum_process *process =
      astrum__container_of(timer, watcher, uv.timer)->process;
  if (process->phase == RUNNING) {
    signal_group(process, SIGKILL);
    return;
  }
  /* The loop may have been late: what is in the pipes still counts. */
  for (int i = 1; i <= CHANNEL; i++) {
    if (process->streams[i].fd >= 0) {
      read_output(process, &process->streams[i]);
    }
  }
  wind_up(process);
}

static void start_deadline(astrum_process *process, uint64_t milliseconds) {
  uv_timer_t *timer = &process->deadline.uv.timer;
  uv_update_time(timer->loop);
  uv_timer_start(timer, on_deadline, milliseconds, 0);
}

static int leader_exited(astrum_process *process) {
  siginfo_t info = {.si_pid = 0};
  int result;
  do {
    result =
        waitid(P_PID, (id_t)process->pid, &info, WEXITED | WNOHANG | WNOWAIT);
  } while (result != 0 && errno == EINTR);
  process->lost = result != 0;
  return process->lost || info.si_pid != 0;
}

static void look_for_exit(astrum_process *process) {
  if (!leader_exited(process)) {
    return;
  }
  stop_watching(process);
  process->phase = DRAINING;
  if (process->stopping) {
    signal_group(process, SIGKILL);
  }
  wind_up_if_drained(process);
  if (process->phase == DRAINING) {
    start_deadline(process, DRAIN_LIMIT);
  }
}

static void on_tick(uv_timer_t *timer) {
  look_for_exit(astrum__container_of(timer, watcher, uv.timer)->process);
}

/* The way that works without a pidfd: by the clock. */
static void watch_by_tick(astrum_process *process, uv_loop_t *uv) {
  close_watcher(&process->exit);
  close_fd(&process->pidfd);
  init_timer(process, uv, &process->tick);
  uv_timer_start(&process->tick.uv.timer, on_tick, TICK, TICK);
}

static void on_exit_poll(uv_poll_t *poll, int status, int events) {
  astrum_process *process =
      astrum__container_of(poll, watcher, uv.poll)->process;
  (void)events;
  if (status != 0) {
    watch_by_tick(process, poll->loop);
  }
  look_for_exit(process);
}

/* -1 where there is no pidfd, or no descriptor left for one. */
static int open_pidfd(pid_t pid) {
#ifdef SYS_pidfd_open
  return (int)syscall(SYS_pidfd_open, pid, 0);
#else
  (void)pid;
  return -1;
#endif
}

/* Cannot fail: what does not work is in the result's error. */
static void watch(astrum_process *process, uv_loop_t *uv) {
  init_timer(process, uv, &process->deadline);
  process->pidfd = open_pidfd(process->pid);
  if (process->pidfd < 0 ||
      !start_poll(process, uv, &process->exit, process->pidfd, UV_READABLE,
                  on_exit_poll)) {
    watch_by_tick(process, uv);
  }
  for (int i = 0; i <= CHANNEL; i++) {
    stream *s = &process->streams[i];
    if (s->fd >= 0 && !start_poll(process, uv, &s->poll, s->fd,
                                  i == 0 ? UV_WRITABLE : UV_READABLE,
                                  i == 0 ? on_writable : on_readable)) {
      process->error = ASTRUM_ESYSTEM;
      close_stream(s);
    }
  }
}

static void link_process(astrum_process *process, astrum_process **head) {
  process->next = *head;
  process->link = head;
  if (process->next != NULL) {
    process->next->link = &process->next;
  }
  *head = process;
}

static int options_valid(const astrum_process_options *options) {
  return options != NULL && options->size == sizeof *options &&
         options->argv != NULL && options->argv[0] != NULL &&
         options->out <= ASTRUM_STDIO_NULL &&
         options->err <= ASTRUM_STDIO_NULL &&
         (options->input_size == 0 ||
          (options->input != NULL && !options->inherit_stdin));
}

/* Opens the pipes, starts the child, closes its ends. Errno. */
static int launch(astrum_process *process,
                  const astrum_process_options *options) {
  int theirs[CHANNEL + 1] = {-1, -1, -1, -1};
  int error = 0;
  if (options->input_size > 0) {
    error =
        open_input(process, &theirs[0], options->input, options->input_size);
  }
  if (error == 0 && options->out == ASTRUM_STDIO_CAPTURE) {
    error = open_pipe(&process->streams[1].fd, &theirs[1], 0);
  }
  if (error == 0 && options->err == ASTRUM_STDIO_CAPTURE) {
    error = open_pipe(&process->streams[2].fd, &theirs[2], 0);
  }
  if (error == 0 && options->message != NULL) {
    error = open_pipe(&process->streams[CHANNEL].fd, &theirs[CHANNEL], 0);
  }
  if (error == 0) {
    error = astrum__spawn(options, theirs, &process->pid);
  }
  for (int i = 0; i <= CHANNEL; i++) {
    close_fd(&theirs[i]);
    if (error != 0) {
      close_fd(&process->streams[i].fd);
    }
  }
  return error;
}

/* --- Public functions ----------------------------------------------------- */

astrum_err astrum_process_start(
    astrum_loop *loop, const astrum_process_options *options,
    void (*ended)(void *user, const astrum_process_result *result), void *user,
    astrum_process **out, int *system_errno) {
  if (!options_valid(options) || ended == NULL) {
    return ASTRUM_EINVAL;
  }
  const astrum_alloc *alloc = astrum__loop_alloc(loop);
  astrum_process *process = astrum__zalloc(alloc, 1, sizeof *process);
  if (process == NULL) {
    return ASTRUM_ENOMEM;
  }
  process->alloc = *alloc;
  process->ended = ended;
  process->user = user;
  process->message = options->message;
  process->grace = options->grace / 1000000 + (options->grace % 1000000 != 0);
  process->parent = getpid();
  process->pidfd = -1;
  for (int i = 0; i <= CHANNEL; i++) {
    process->streams[i].fd = -1;
  }
  int error = launch(process, options);
  if (error != 0) {
    free_process(process);
    if (error == ENOMEM) {
      return ASTRUM_ENOMEM;
    }
    *system_errno = error;
    return ASTRUM_ESYSTEM;
  }
  watch(process, astrum_loop_uv(loop));
  link_process(process, astrum__loop_processes(loop));
  *out = process;
  return ASTRUM_OK;
}

void astrum_process_stop(astrum_process *process) {
  if (process->stopping) {
    return;
  }
  process->stopping = 1;
  if (process->phase == RUNNING) {
    signal_group(process, SIGTERM);
    /* A process that is stopped does not see TERM before it goes on. */
    signal_group(process, SIGCONT);
    start_deadline(process, process->grace);
  } else {
    signal_group(process, SIGKILL);
  }
}

void astrum_process_kill(astrum_process *process) {
  process->stopping = 1;
  signal_group(process, SIGKILL);
}

int64_t astrum_process_pid(const astrum_process *process) {
  return process->pid;
}

void astrum_loop_kill(astrum_loop *loop) {
  const astrum_process *process = *astrum__loop_processes(loop);
  for (; process != NULL; process = process->next)
    signal_group(process, SIGKILL);
}

void astrum__processes_kill_all(astrum_loop *loop) {
  astrum_process **head = astrum__loop_processes(loop);
  while (*head != NULL) {
    astrum_process *process = *head;
    unlink_process(process);
    process->ended = NULL;
    if (process->phase != CLOSING) {
      signal_group(process, SIGKILL);
      wind_up(process);
    }
  }
}
