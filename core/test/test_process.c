/*
 * Tests of child processes: what a child gets, what comes back, and that
 * nothing of it is left. Children that have to be in a certain state say so by
 * making a file in the working directory of the test.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include "check.h"
#include "fault.h"

#include <astrum.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define MEGABYTE ((size_t)1 << 20)
#define MILLISECOND UINT64_C(1000000)
#define GRACE_LONG (UINT64_C(60000) * MILLISECOND)

/* --- Helpers -------------------------------------------------------------- */

static void no_action(void *user, const astrum_action *action) {
  (void)user;
  (void)action;
}

static astrum_loop *new_loop_with(const astrum_alloc *alloc) {
  astrum_executor executor = {.size = sizeof executor,
                              .start = no_action,
                              .resume = no_action,
                              .cancel = no_action,
                              .ended = no_action};
  astrum_loop_options options = {
      .size = sizeof options, .alloc = alloc, .executor = &executor};
  astrum_loop *loop = NULL;
  CHECK_EQ(astrum_loop_new(&options, &loop), ASTRUM_OK);
  return loop;
}

static astrum_loop *new_loop(void) { return new_loop_with(NULL); }

/* What `ended` was told, and a copy of the output. */
typedef struct {
  int calls, code, signal;
  char *out, *err;
  size_t out_size, err_size;
  astrum_err error;
} outcome;

static char *copy(const char *bytes, size_t size) {
  char *text = malloc(size + 1);
  if (text == NULL) {
    abort();
  }
  memcpy(text, bytes, size);
  text[size] = '\0';
  return text;
}

static void on_ended(void *user, const astrum_process_result *result) {
  outcome *o = user;
  o->calls++;
  o->code = result->code;
  o->signal = result->signal;
  o->out_size = result->out_size;
  o->err_size = result->err_size;
  o->error = result->error;
  o->out = copy(result->out, result->out_size);
  o->err = copy(result->err, result->err_size);
}

static void forget(outcome *o) {
  free(o->out);
  free(o->err);
  memset(o, 0, sizeof *o);
}

static int has_ended(void *user) { return ((const outcome *)user)->calls > 0; }

static astrum_process_options options_of(const char *const *argv) {
  astrum_process_options options = {
      .size = sizeof options, .argv = argv, .grace = GRACE_LONG};
  return options;
}

static astrum_process *
start(astrum_loop *loop, const astrum_process_options *options, outcome *o) {
  astrum_process *process = NULL;
  int number = 0;
  memset(o, 0, sizeof *o);
  CHECK_EQ(astrum_process_start(loop, options, on_ended, o, &process, &number),
           ASTRUM_OK);
  CHECK_EQ(number, 0);
  CHECK_EQ(o->calls, 0);
  return process;
}

static void finish(astrum_loop *loop, outcome *o) {
  CHECK_EQ(astrum_loop_run(loop, has_ended, o), ASTRUM_OK);
  CHECK_EQ(o->calls, 1);
}

/* Runs one process on a loop of its own; forget the result. */
static outcome run(const astrum_process_options *options) {
  outcome o;
  astrum_loop *loop = new_loop();
  if (start(loop, options, &o) != NULL) {
    finish(loop, &o);
  }
  astrum_loop_free(loop);
  return o;
}

static outcome run_shell(const char *script) {
  const char *argv[] = {"sh", "-c", script, NULL};
  astrum_process_options options = options_of(argv);
  return run(&options);
}

/* The errno with which a process does not start. */
static int start_errno(const astrum_process_options *options) {
  outcome o = {.calls = 0};
  astrum_loop *loop = new_loop();
  astrum_process *process = NULL;
  int number = 0;
  CHECK_EQ(astrum_process_start(loop, options, on_ended, &o, &process, &number),
           ASTRUM_ESYSTEM);
  CHECK(process == NULL);
  astrum_loop_free(loop);
  CHECK_EQ(o.calls, 0);
  return number;
}

static void nap(void) {
  struct timespec millisecond = {.tv_nsec = 1000000};
  nanosleep(&millisecond, NULL);
}

/* Waits until a child has made the file, which is removed. */
static void await_file(const char *name) {
  for (int i = 0; i < 10000 && access(name, F_OK) != 0; i++) {
    nap();
  }
  CHECK_EQ(unlink(name), 0);
}

static uint64_t clock_now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (uint64_t)t.tv_sec * 1000 * MILLISECOND + (uint64_t)t.tv_nsec;
}

/* Processes of a group that are not zombies; with `all`, zombies too. */
static int count_group(int64_t group, int all) {
  int count = 0;
  DIR *proc = opendir("/proc");
  for (struct dirent *entry; proc != NULL && (entry = readdir(proc)) != NULL;) {
    char path[300], line[512] = "", state = '?';
    long long member = -1;
    snprintf(path, sizeof path, "/proc/%s/stat", entry->d_name);
    FILE *file = entry->d_name[0] >= '1' && entry->d_name[0] <= '9'
                     ? fopen(path, "r")
                     : NULL;
    if (file == NULL) {
      continue;
    }
    char *end =
        fgets(line, sizeof line, file) == NULL ? NULL : strrchr(line, ')');
    fclose(file);
    if (end != NULL && sscanf(end + 1, " %c %*d %lld", &state, &member) == 2 &&
        member == group && (all || state != 'Z')) {
      count++;
    }
  }
  if (proc != NULL) {
    closedir(proc);
  }
  return count;
}

/* What was killed takes a moment to go. */
static int group_is_gone(int64_t group) {
  for (int i = 0; i < 5000; i++) {
    if (count_group(group, 0) == 0) {
      return 1;
    }
    nap();
  }
  return 0;
}

static int count_descriptors(void) {
  int count = 0;
  DIR *fds = opendir("/proc/self/fd");
  while (fds != NULL && readdir(fds) != NULL) {
    count++;
  }
  if (fds != NULL) {
    closedir(fds);
  }
  return count;
}

static char *new_megabyte(void) {
  char *bytes = malloc(MEGABYTE);
  if (bytes == NULL) {
    abort();
  }
  for (size_t i = 0; i < MEGABYTE; i++) {
    bytes[i] = (char)(i * 7 + i / 251);
  }
  return bytes;
}

static void write_script(const char *path, const char *text, mode_t mode) {
  int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  CHECK(fd >= 0);
  CHECK_EQ(write(fd, text, strlen(text)), strlen(text));
  CHECK_EQ(fchmod(fd, mode), 0);
  close(fd);
}

/* --- What comes back ------------------------------------------------------ */

TEST(reports_the_exit_code) {
  outcome o = run_shell("exit 7");
  CHECK_EQ(o.code, 7);
  CHECK_EQ(o.signal, 0);
  CHECK_EQ(o.error, ASTRUM_OK);
  forget(&o);
}

TEST(reports_the_signal_that_ended_it) {
  outcome o = run_shell("kill -USR1 $$");
  CHECK_EQ(o.code, -1);
  CHECK_EQ(o.signal, SIGUSR1);
  forget(&o);
}

TEST(captures_both_outputs_apart) {
  outcome o = run_shell("echo one; echo two >&2");
  CHECK_STR(o.out, "one\n");
  CHECK_STR(o.err, "two\n");
  forget(&o);
}

TEST(captures_zero_bytes_as_they_are) {
  outcome o = run_shell("printf 'a\\0b'");
  CHECK_EQ(o.out_size, 3);
  CHECK(memcmp(o.out, "a\0b", 3) == 0);
  forget(&o);
}

TEST(throws_output_away_on_request) {
  const char *argv[] = {"sh", "-c", "echo one; echo two >&2", NULL};
  astrum_process_options options = options_of(argv);
  options.out = ASTRUM_STDIO_NULL;
  options.err = ASTRUM_STDIO_NULL;
  outcome o = run(&options);
  CHECK_EQ(o.code, 0);
  CHECK_STR(o.out, "");
  CHECK_STR(o.err, "");
  forget(&o);
}

TEST(passes_a_megabyte_each_way) {
  const char *argv[] = {"cat", NULL};
  char *input = new_megabyte();
  astrum_process_options options = options_of(argv);
  options.input = input;
  options.input_size = MEGABYTE;
  outcome o = run(&options);
  CHECK_EQ(o.code, 0);
  CHECK_EQ(o.out_size, MEGABYTE);
  CHECK(o.out_size == MEGABYTE && memcmp(o.out, input, MEGABYTE) == 0);
  CHECK_EQ(o.error, ASTRUM_OK);
  forget(&o);
  free(input);
}

TEST(survives_input_that_nobody_reads) {
  const char *argv[] = {"true", NULL};
  char *input = new_megabyte();
  astrum_process_options options = options_of(argv);
  options.input = input;
  options.input_size = MEGABYTE;
  outcome o = run(&options);
  CHECK_EQ(o.code, 0);
  CHECK_EQ(o.error, ASTRUM_OK);
  forget(&o);
  free(input);
}

TEST(survives_input_whose_reader_closes_it) {
  const char *argv[] = {"sh", "-c", "exec <&-; echo closed", NULL};
  char *input = new_megabyte();
  astrum_process_options options = options_of(argv);
  options.input = input;
  options.input_size = MEGABYTE;
  outcome o = run(&options);
  CHECK_STR(o.out, "closed\n");
  CHECK_EQ(o.error, ASTRUM_OK);
  forget(&o);
  free(input);
}

typedef struct {
  astrum_timer timer;
  astrum_process *process;
} ender;

static void end_reader(astrum_timer *timer) {
  const ender *e = (const ender *)(const void *)timer;
  siginfo_t info;
  write_script("go", "", 0600);
  waitid(P_PID, (id_t)astrum_process_pid(e->process), &info, WEXITED | WNOWAIT);
}

/*
 * Writes input that has no reader any more. When the loop turns first, a timer
 * is due and the child has made room in the pipe, so both are noticed at once;
 * the timer then ends the child before the input is written.
 */
static void write_input_without_a_reader(void) {
  const char *argv[] = {"sh", "-c",
                        "head -c 65536 >/dev/null; : > ready;"
                        "while [ ! -e go ]; do sleep 0.002; done",
                        NULL};
  char *input = new_megabyte();
  astrum_process_options options = options_of(argv);
  options.input = input;
  options.input_size = MEGABYTE;
  astrum_loop *loop = new_loop();
  outcome o;
  ender e = {.timer.fire = end_reader, .process = start(loop, &options, &o)};
  uint64_t due = astrum_loop_now(loop) + MILLISECOND;
  CHECK_EQ(astrum_timer_start(loop, &e.timer, due), ASTRUM_OK);
  await_file("ready");
  while (clock_now() < due) {
    nap();
  }
  finish(loop, &o);
  CHECK_EQ(o.code, 0);
  CHECK_EQ(o.error, ASTRUM_OK);
  unlink("go");
  forget(&o);
  astrum_loop_free(loop);
  free(input);
}

TEST(input_without_a_reader_does_not_raise_sigpipe_in_the_host) {
  sigset_t pipe, old, pending;
  write_input_without_a_reader();
  sigemptyset(&pipe);
  sigaddset(&pipe, SIGPIPE);
  sigprocmask(SIG_BLOCK, &pipe, &old);
  write_input_without_a_reader();
  sigpending(&pending);
  CHECK_EQ(sigismember(&pending, SIGPIPE), 0);
  sigprocmask(SIG_SETMASK, &old, NULL);
}

TEST(leaves_a_sigpipe_that_was_pending_to_the_host) {
  sigset_t pipe, old, pending;
  int number;
  sigemptyset(&pipe);
  sigaddset(&pipe, SIGPIPE);
  sigprocmask(SIG_BLOCK, &pipe, &old);
  raise(SIGPIPE);
  write_input_without_a_reader();
  sigpending(&pending);
  CHECK_EQ(sigismember(&pending, SIGPIPE), 1);
  if (sigismember(&pending, SIGPIPE)) {
    sigwait(&pipe, &number);
  }
  sigprocmask(SIG_SETMASK, &old, NULL);
}

/* --- What a child gets ---------------------------------------------------- */

TEST(gives_input_that_can_be_opened_by_name) {
  const char *argv[] = {"cat", "/dev/stdin", NULL};
  astrum_process_options options = options_of(argv);
  options.input = "hello";
  options.input_size = 5;
  outcome o = run(&options);
  CHECK_STR(o.out, "hello");
  forget(&o);
}

TEST(gives_no_input_by_default) {
  const char *argv[] = {"readlink", "/proc/self/fd/0", NULL};
  astrum_process_options options = options_of(argv);
  outcome o = run(&options);
  CHECK_STR(o.out, "/dev/null\n");
  forget(&o);
}

TEST(runs_in_the_directory_asked_for) {
  const char *argv[] = {"pwd", "-P", NULL};
  astrum_process_options options = options_of(argv);
  options.cwd = "/usr";
  outcome o = run(&options);
  CHECK_STR(o.out, "/usr\n");
  forget(&o);
}

TEST(gives_exactly_the_environment_asked_for) {
  const char *argv[] = {"/usr/bin/env", NULL};
  const char *env[] = {"ONE=1", "TWO=a b", NULL};
  astrum_process_options options = options_of(argv);
  options.env = env;
  outcome o = run(&options);
  CHECK_STR(o.out, "ONE=1\nTWO=a b\n");
  forget(&o);
}

TEST(gives_the_environment_of_the_host_by_default) {
  setenv("ASTRUM_TEST_VARIABLE", "here", 1);
  outcome o = run_shell("echo $ASTRUM_TEST_VARIABLE");
  unsetenv("ASTRUM_TEST_VARIABLE");
  CHECK_STR(o.out, "here\n");
  forget(&o);
}

TEST(looks_the_command_up_in_the_path_it_is_given) {
  const char *argv[] = {"hello", NULL};
  const char *env[] = {"PATH=/nowhere:bin:/bin", NULL};
  char directory[] = "lookup-XXXXXX";
  CHECK(mkdtemp(directory) != NULL);
  CHECK_EQ(chdir(directory), 0);
  CHECK_EQ(mkdir("bin", 0700), 0);
  CHECK_EQ(chdir(".."), 0);
  char script[64];
  snprintf(script, sizeof script, "%s/bin/hello", directory);
  write_script(script, "#!/bin/sh\necho found in `pwd | sed s,.*/,,`\n", 0700);
  astrum_process_options options = options_of(argv);
  options.env = env;
  options.cwd = directory;
  outcome o = run(&options);
  char expected[64];
  snprintf(expected, sizeof expected, "found in %s\n", directory);
  CHECK_STR(o.out, expected);
  forget(&o);
  options.cwd = NULL;
  CHECK_EQ(start_errno(&options), ENOENT);
  unlink(script);
  *strrchr(script, '/') = '\0';
  rmdir(script);
  rmdir(directory);
}

TEST(looks_in_the_standard_places_without_a_path) {
  const char *argv[] = {"true", NULL};
  const char *env[] = {NULL};
  astrum_process_options options = options_of(argv);
  options.env = env;
  outcome o = run(&options);
  CHECK_EQ(o.code, 0);
  forget(&o);
}

TEST(leads_a_group_of_its_own) {
  const char *argv[] = {"cut", "-d", " ", "-f", "5", "/proc/self/stat", NULL};
  astrum_process_options options = options_of(argv);
  outcome o;
  char expected[32];
  astrum_loop *loop = new_loop();
  astrum_process *process = start(loop, &options, &o);
  snprintf(expected, sizeof expected, "%lld\n",
           (long long)astrum_process_pid(process));
  finish(loop, &o);
  CHECK_STR(o.out, expected);
  forget(&o);
  astrum_loop_free(loop);
}

TEST(starts_with_no_signal_blocked_or_ignored) {
  const char *argv[] = {"sed", "-n", "s/^Sig\\(Blk\\|Ign\\):[ \t]*//p",
                        "/proc/self/status", NULL};
  astrum_process_options options = options_of(argv);
  sigset_t set, old;
  sigemptyset(&set);
  sigaddset(&set, SIGUSR1);
  sigprocmask(SIG_BLOCK, &set, &old);
  signal(SIGPIPE, SIG_IGN);
  signal(SIGTERM, SIG_IGN);
  signal(SIGHUP, SIG_IGN);
  outcome o = run(&options);
  signal(SIGHUP, SIG_DFL);
  signal(SIGTERM, SIG_DFL);
  signal(SIGPIPE, SIG_DFL);
  sigprocmask(SIG_SETMASK, &old, NULL);
  unsigned long long blocked = 1, ignored = 1;
  CHECK_EQ(sscanf(o.out, "%llx %llx", &blocked, &ignored), 2);
  CHECK_EQ(blocked, 0);
  /* Of 32 and 33, which glibc keeps for itself, nobody can say. */
  CHECK_EQ(ignored & ~0x180000000ULL, 0);
  forget(&o);
}

TEST(passes_no_descriptor_of_another_process_on) {
  const char *quiet[] = {"sleep", "100", NULL};
  char *input = new_megabyte();
  astrum_loop *loop = new_loop();
  astrum_process_options options = options_of(quiet);
  options.input = input;
  options.input_size = MEGABYTE;
  outcome other;
  outcome alone = run_shell("cd /proc/$$/fd; echo *");
  astrum_process *process = start(loop, &options, &other);
  outcome together = run_shell("cd /proc/$$/fd; echo *");
  CHECK_STR(together.out, alone.out);
  CHECK(strncmp(alone.out, "0 1 ", 4) == 0);
  astrum_process_kill(process);
  finish(loop, &other);
  forget(&alone);
  forget(&together);
  forget(&other);
  astrum_loop_free(loop);
  free(input);
}

/* Closes the standard streams; give the result to restore_standard. */
static void close_standard(int *saved) {
  fflush(stdout);
  for (int fd = 0; fd < 3; fd++) {
    saved[fd] = fcntl(fd, F_DUPFD_CLOEXEC, 10);
    close(fd);
  }
}

static void restore_standard(const int *saved) {
  for (int fd = 0; fd < 3; fd++) {
    if (saved[fd] >= 0) {
      dup2(saved[fd], fd);
      close(saved[fd]);
    } else {
      close(fd);
    }
  }
}

TEST(works_in_a_host_without_standard_streams) {
  const char *argv[] = {"sh", "-c", "cat; echo err >&2", NULL};
  char *input = new_megabyte();
  astrum_process_options options = options_of(argv);
  options.input = input;
  options.input_size = MEGABYTE;
  astrum_loop *loop = new_loop();
  outcome o;
  int saved[3];
  close_standard(saved);
  start(loop, &options, &o);
  finish(loop, &o);
  restore_standard(saved);
  CHECK_EQ(o.code, 0);
  CHECK_EQ(o.out_size, MEGABYTE);
  CHECK_STR(o.err, "err\n");
  CHECK_EQ(o.error, ASTRUM_OK);
  forget(&o);
  options.input_size = 0;
  options.out = ASTRUM_STDIO_NULL;
  close_standard(saved);
  start(loop, &options, &o);
  finish(loop, &o);
  restore_standard(saved);
  CHECK_STR(o.err, "err\n");
  forget(&o);
  astrum_loop_free(loop);
  free(input);
}

TEST(does_not_pass_on_what_a_library_put_in_place_of_a_standard_stream) {
  const char *argv[] = {"readlink", "/proc/self/fd/0", "/proc/self/fd/2", NULL};
  astrum_process_options options = options_of(argv);
  options.inherit_stdin = 1;
  options.err = ASTRUM_STDIO_INHERIT;
  int saved[3];
  close_standard(saved);
  for (int fd = 0; fd < 3; fd++) {
    open("/proc/self/stat", O_RDONLY | O_CLOEXEC);
  }
  outcome o = run(&options);
  restore_standard(saved);
  CHECK_STR(o.out, "/dev/null\n/dev/null\n");
  forget(&o);
}

TEST(inherits_the_streams_of_the_host_on_request) {
  const char *argv[] = {"sh", "-c", "cat; echo seen >&2", NULL};
  astrum_process_options options = options_of(argv);
  options.inherit_stdin = 1;
  options.out = ASTRUM_STDIO_INHERIT;
  options.err = ASTRUM_STDIO_INHERIT;
  int saved[3], ends[2];
  char text[32] = "";
  CHECK_EQ(pipe2(ends, O_CLOEXEC), 0);
  write_script("input", "typed\n", 0600);
  astrum_loop *loop = new_loop();
  outcome o;
  close_standard(saved);
  int in = open("input", O_RDONLY);
  int out = dup(ends[1]);
  int err = dup(ends[1]);
  start(loop, &options, &o);
  finish(loop, &o);
  restore_standard(saved);
  CHECK_EQ(in + out + err, 3);
  CHECK_EQ(read(ends[0], text, sizeof text - 1), 11);
  CHECK_STR(text, "typed\nseen\n");
  forget(&o);
  astrum_loop_free(loop);
  close(ends[0]);
  close(ends[1]);
  unlink("input");
}

/* --- What does not start -------------------------------------------------- */

TEST(says_that_there_is_no_such_command) {
  const char *argv[] = {"astrum-no-such-command", NULL};
  const char *path[] = {"./no/such/command", NULL};
  const char *empty[] = {"", NULL};
  astrum_process_options options = options_of(argv);
  CHECK_EQ(start_errno(&options), ENOENT);
  options.argv = path;
  CHECK_EQ(start_errno(&options), ENOENT);
  options.argv = empty;
  CHECK_EQ(start_errno(&options), ENOENT);
}

TEST(says_that_a_file_is_no_program) {
  const char *argv[] = {"plain", NULL};
  const char *path[] = {"./plain", NULL};
  const char *env[] = {"PATH=:/nowhere", NULL};
  write_script("plain", "#!/bin/sh\n", 0600);
  astrum_process_options options = options_of(argv);
  options.env = env;
  CHECK_EQ(start_errno(&options), EACCES);
  options.argv = path;
  CHECK_EQ(start_errno(&options), EACCES);
  unlink("plain");
}

TEST(says_that_the_directory_is_bad_before_it_looks_for_the_command) {
  const char *argv[] = {"astrum-no-such-command", NULL};
  const char *good[] = {"true", NULL};
  astrum_process_options options = options_of(argv);
  options.cwd = "/etc/passwd";
  CHECK_EQ(start_errno(&options), ENOTDIR);
  options.argv = good;
  options.cwd = "/no/such/directory";
  CHECK_EQ(start_errno(&options), ENOENT);
}

TEST(refuses_options_that_make_no_sense) {
  const char *argv[] = {"true", NULL};
  const char *none[] = {NULL};
  astrum_process_options bad[6];
  for (int i = 0; i < 6; i++) {
    bad[i] = options_of(argv);
  }
  bad[0].size = 1;
  bad[1].argv = NULL;
  bad[2].argv = none;
  bad[3].out = ASTRUM_STDIO_NULL + 1;
  bad[4].input_size = 1;
  bad[5].input = "x";
  bad[5].input_size = 1;
  bad[5].inherit_stdin = 1;
  astrum_loop *loop = new_loop();
  for (int i = 0; i < 6; i++) {
    astrum_process *process = NULL;
    int number = 0;
    CHECK_EQ(
        astrum_process_start(loop, &bad[i], on_ended, NULL, &process, &number),
        ASTRUM_EINVAL);
    CHECK(process == NULL);
  }
  astrum_loop_free(loop);
}

/* The number that the next descriptor will have. */
static int next_descriptor(void) {
  int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
  close(fd);
  return fd;
}

static struct rlimit limit_descriptors(int most) {
  struct rlimit old, limit;
  getrlimit(RLIMIT_NOFILE, &old);
  limit = old;
  limit.rlim_cur = (rlim_t)most;
  setrlimit(RLIMIT_NOFILE, &limit);
  return old;
}

TEST(leaks_nothing_when_descriptors_run_out) {
  const char *argv[] = {"true", NULL};
  astrum_process_options options = options_of(argv);
  options.input = "x";
  options.input_size = 1;
  options.cwd = "/";
  astrum_loop *loop = new_loop();
  int before = count_descriptors(), free_from = next_descriptor();
  int failures = 0;
  astrum_err err = ASTRUM_ESYSTEM;
  for (int room = 0; err != ASTRUM_OK && room < 16; room++) {
    outcome o = {.calls = 0};
    astrum_process *process = NULL;
    int number = 0;
    struct rlimit old = limit_descriptors(free_from + room);
    err = astrum_process_start(loop, &options, on_ended, &o, &process, &number);
    setrlimit(RLIMIT_NOFILE, &old);
    if (err != ASTRUM_OK) {
      failures++;
      CHECK_EQ(err, ASTRUM_ESYSTEM);
      CHECK_EQ(number, EMFILE);
    } else {
      finish(loop, &o);
      forget(&o);
    }
    CHECK_EQ(count_descriptors(), before);
  }
  CHECK(failures >= 6); /* three pipes */
  astrum_loop_free(loop);
}

TEST(notices_the_exit_when_there_is_no_pidfd) {
  const char *argv[] = {"sh", "-c", "exit 3", NULL};
  astrum_process_options options = options_of(argv);
  options.out = ASTRUM_STDIO_NULL;
  options.err = ASTRUM_STDIO_NULL;
  astrum_loop *loop = new_loop();
  outcome o;
  int before = count_descriptors(), free_from = next_descriptor();
  struct rlimit old = limit_descriptors(free_from);
  start(loop, &options, &o);
  setrlimit(RLIMIT_NOFILE, &old);
  CHECK_EQ(count_descriptors(), before); /* none was left for a pidfd */
  finish(loop, &o);
  CHECK_EQ(o.code, 3);
  CHECK_EQ(o.error, ASTRUM_OK);
  forget(&o);
  astrum_loop_free(loop);
}

/* --- Stopping ------------------------------------------------------------- */

/* Starts a shell whose script makes the file `ready` in time. */
static astrum_process *start_shell(astrum_loop *loop, const char *script,
                                   uint64_t grace, outcome *o) {
  const char *argv[] = {"sh", "-c", script, NULL};
  astrum_process_options options = options_of(argv);
  options.grace = grace;
  astrum_process *process = start(loop, &options, o);
  await_file("ready");
  return process;
}

TEST(stop_ends_the_whole_group) {
  outcome o;
  astrum_loop *loop = new_loop();
  astrum_process *process =
      start_shell(loop, "sleep 100 & : > ready; sleep 100", GRACE_LONG, &o);
  int64_t group = astrum_process_pid(process);
  astrum_process_stop(process);
  finish(loop, &o);
  CHECK_EQ(o.code, -1);
  CHECK_EQ(o.signal, SIGTERM);
  CHECK(group_is_gone(group));
  forget(&o);
  astrum_loop_free(loop);
}

TEST(stop_lets_the_leader_clean_up) {
  outcome o;
  astrum_loop *loop = new_loop();
  astrum_process *process = start_shell(
      loop, "trap 'echo cleaned; exit 5' TERM; sleep 100 & : > ready; wait",
      GRACE_LONG, &o);
  astrum_process_stop(process);
  finish(loop, &o);
  CHECK_EQ(o.code, 5);
  CHECK_STR(o.out, "cleaned\n");
  forget(&o);
  astrum_loop_free(loop);
}

TEST(stop_kills_what_outlives_its_leader) {
  outcome o;
  astrum_loop *loop = new_loop();
  astrum_process *process =
      start_shell(loop,
                  "(trap '' TERM; : > ready; exec sleep 100) &"
                  "exec sleep 100",
                  GRACE_LONG, &o);
  int64_t group = astrum_process_pid(process);
  uint64_t begin = clock_now();
  astrum_process_stop(process);
  finish(loop, &o);
  CHECK_EQ(o.signal, SIGTERM);
  CHECK(group_is_gone(group));
  /* Not by the drain limit, though its output was captured. */
  CHECK(clock_now() - begin < 400 * MILLISECOND);
  forget(&o);
  astrum_loop_free(loop);
}

TEST(stop_kills_after_the_grace_time) {
  outcome o;
  astrum_loop *loop = new_loop();
  uint64_t grace = 20 * MILLISECOND;
  astrum_process *process =
      start_shell(loop, "trap '' TERM; : > ready; exec sleep 100", grace, &o);
  uint64_t begin = clock_now();
  astrum_process_stop(process);
  finish(loop, &o);
  CHECK_EQ(o.signal, SIGKILL);
  CHECK(clock_now() - begin >= grace);
  forget(&o);
  astrum_loop_free(loop);
}

TEST(stop_reaches_a_process_that_is_suspended) {
  outcome o;
  astrum_loop *loop = new_loop();
  astrum_process *process =
      start_shell(loop, ": > ready; kill -STOP $$; sleep 100", GRACE_LONG, &o);
  char state = '?', path[64];
  snprintf(path, sizeof path, "/proc/%lld/stat",
           (long long)astrum_process_pid(process));
  for (int i = 0; i < 5000 && state != 'T'; i++) {
    FILE *file = fopen(path, "r");
    if (file == NULL || fscanf(file, "%*d (sh) %c", &state) != 1) {
      state = '?';
    }
    if (file != NULL) {
      fclose(file);
    }
    nap();
  }
  CHECK_EQ(state, 'T');
  astrum_process_stop(process);
  finish(loop, &o);
  CHECK_EQ(o.signal, SIGTERM);
  forget(&o);
  astrum_loop_free(loop);
}

TEST(a_second_stop_changes_nothing) {
  outcome o;
  astrum_loop *loop = new_loop();
  astrum_process *process =
      start_shell(loop,
                  "n=0; trap 'n=$((n+1)); : > ready' TERM; : > ready;"
                  "while [ ! -e go ]; do sleep 0.005; done; echo $n",
                  GRACE_LONG, &o);
  astrum_process_stop(process);
  await_file("ready");
  astrum_process_stop(process);
  write_script("go", "", 0600);
  finish(loop, &o);
  CHECK_STR(o.out, "1\n");
  unlink("go");
  forget(&o);
  astrum_loop_free(loop);
}

TEST(kill_ends_the_whole_group_at_once) {
  outcome o;
  astrum_loop *loop = new_loop();
  astrum_process *process = start_shell(
      loop, "trap '' TERM; sleep 100 & : > ready; sleep 100", GRACE_LONG, &o);
  int64_t group = astrum_process_pid(process);
  astrum_process_kill(process);
  finish(loop, &o);
  CHECK_EQ(o.signal, SIGKILL);
  CHECK(group_is_gone(group));
  forget(&o);
  astrum_loop_free(loop);
}

TEST(a_process_without_a_pidfd_can_be_stopped) {
  const char *argv[] = {"sh", "-c",
                        "ulimit -n 64; trap '' TERM; : > ready; exec sleep 100",
                        NULL};
  astrum_process_options options = options_of(argv);
  options.out = ASTRUM_STDIO_NULL;
  options.err = ASTRUM_STDIO_NULL;
  options.grace = 20 * MILLISECOND;
  astrum_loop *loop = new_loop();
  outcome o;
  int free_from = next_descriptor();
  struct rlimit old = limit_descriptors(free_from);
  astrum_process *process = start(loop, &options, &o);
  setrlimit(RLIMIT_NOFILE, &old);
  await_file("ready");
  astrum_process_stop(process);
  finish(loop, &o);
  CHECK_EQ(o.signal, SIGKILL);
  forget(&o);
  astrum_loop_free(loop);
}

/* --- Output that outlives the leader -------------------------------------- */

TEST(waits_for_output_kept_open_no_longer_than_the_drain_limit) {
  outcome o;
  astrum_loop *loop = new_loop();
  uint64_t begin = clock_now();
  astrum_process *process =
      start_shell(loop, "sleep 100 & echo early; : > ready", GRACE_LONG, &o);
  int64_t group = astrum_process_pid(process);
  finish(loop, &o);
  uint64_t time = clock_now() - begin;
  CHECK_EQ(o.code, 0);
  CHECK_STR(o.out, "early\n");
  CHECK(time >= 490 * MILLISECOND);
  CHECK(time < 5000 * MILLISECOND);
  /* Nobody asked to stop it. */
  CHECK_EQ(count_group(group, 0), 1);
  CHECK_EQ(kill((pid_t)-group, SIGKILL), 0);
  forget(&o);
  astrum_loop_free(loop);
}

TEST(takes_output_that_comes_soon_after_the_exit_of_the_leader) {
  outcome o;
  astrum_loop *loop = new_loop();
  start_shell(loop, "(sleep 0.02; echo late) & : > ready", GRACE_LONG, &o);
  finish(loop, &o);
  CHECK_STR(o.out, "late\n");
  forget(&o);
  astrum_loop_free(loop);
}

/* Fires once the leader is a zombie that the process knows of. */
typedef struct {
  astrum_timer timer;
  astrum_loop *loop;
  astrum_process *process;
  int rounds;
} stopper;

static void stop_later(astrum_timer *timer) {
  stopper *s = (stopper *)(void *)timer;
  siginfo_t info = {.si_pid = 0};
  waitid(P_PID, (id_t)astrum_process_pid(s->process), &info,
         WEXITED | WNOHANG | WNOWAIT);
  /* Two more turns for the loop to see it. */
  s->rounds += info.si_pid != 0;
  if (s->rounds > 2) {
    astrum_process_stop(s->process);
  } else {
    astrum_timer_start(s->loop, timer, astrum_loop_now(s->loop) + MILLISECOND);
  }
}

TEST(stop_after_the_exit_of_the_leader_kills_what_is_left_of_its_group) {
  outcome o;
  astrum_loop *loop = new_loop();
  uint64_t begin = clock_now();
  astrum_process *process =
      start_shell(loop, "sleep 100 & echo early; : > ready", GRACE_LONG, &o);
  int64_t group = astrum_process_pid(process);
  stopper s = {.timer.fire = stop_later, .loop = loop, .process = process};
  CHECK_EQ(astrum_timer_start(loop, &s.timer, begin), ASTRUM_OK);
  finish(loop, &o);
  CHECK(clock_now() - begin < 400 * MILLISECOND);
  CHECK_EQ(o.code, 0);
  CHECK_STR(o.out, "early\n");
  CHECK(group_is_gone(group));
  forget(&o);
  astrum_loop_free(loop);
}

/* --- Nothing is left ------------------------------------------------------ */

TEST(two_hundred_processes_leave_no_zombie_and_no_descriptor) {
  const char *argv[] = {"true", NULL};
  astrum_process_options options = options_of(argv);
  options.input = "x";
  options.input_size = 1;
  outcome o[20];
  astrum_loop *loop = new_loop();
  int before = count_descriptors();
  for (int round = 0; round < 10; round++) {
    for (int i = 0; i < 20; i++) {
      start(loop, &options, &o[i]);
    }
    for (int i = 0; i < 20; i++) {
      finish(loop, &o[i]);
      CHECK_EQ(o[i].code, 0);
      forget(&o[i]);
    }
  }
  CHECK_EQ(count_descriptors(), before);
  CHECK_EQ(waitpid(-1, NULL, WNOHANG), -1);
  CHECK_EQ(errno, ECHILD);
  astrum_loop_free(loop);
}

TEST(freeing_the_loop_ends_its_processes_without_a_word) {
  outcome first, second;
  fault_state fault = fault_none();
  astrum_alloc alloc = fault_allocator(&fault);
  int before = count_descriptors();
  astrum_loop *loop = new_loop_with(&alloc);
  const char *argv[] = {"sleep", "100", NULL};
  astrum_process_options options = options_of(argv);
  astrum_process *process =
      start_shell(loop, "trap '' TERM; sleep 100 & : > ready; sleep 100",
                  GRACE_LONG, &first);
  int64_t group = astrum_process_pid(process);
  start(loop, &options, &second);
  astrum_loop_free(loop);
  CHECK_EQ(first.calls + second.calls, 0);
  CHECK(group_is_gone(group));
  CHECK_EQ(waitpid(-1, NULL, WNOHANG), -1);
  CHECK_EQ(errno, ECHILD);
  CHECK_EQ(count_descriptors(), before);
  CHECK_EQ(fault.live, 0);
  CHECK_EQ(fault.wrong_size, 0);
}

TEST(freeing_the_loop_in_a_forked_process_leaves_those_of_the_parent_alone) {
  const char *const argv[] = {"sleep", "0.01", NULL};
  astrum_process_options options = options_of(argv);
  astrum_loop *loop = new_loop();
  outcome o;
  start(loop, &options, &o);
  fflush(stdout);
  pid_t child = fork();
  if (child == 0) {
    astrum_loop_kill(loop);
    astrum_loop_free(loop);
    _exit(0);
  }
  CHECK_EQ(waitpid(child, NULL, 0), child);
  finish(loop, &o);
  CHECK_EQ(o.code, 0);
  CHECK_EQ(o.signal, 0);
  forget(&o);
  astrum_loop_free(loop);
}

TEST(freeing_the_loop_reaps_a_leader_whose_output_is_still_open) {
  outcome o;
  astrum_loop *loop = new_loop();
  astrum_process *process =
      start_shell(loop, "sleep 100 & : > ready", GRACE_LONG, &o);
  int64_t group = astrum_process_pid(process);
  astrum_loop_free(loop);
  CHECK_EQ(o.calls, 0);
  CHECK(group_is_gone(group));
  CHECK_EQ(waitpid(-1, NULL, WNOHANG), -1);
}

TEST(survives_a_host_that_reaps_all_children) {
  signal(SIGCHLD, SIG_IGN);
  outcome o = run_shell("echo text; exit 3");
  signal(SIGCHLD, SIG_DFL);
  CHECK_EQ(o.code, -1);
  CHECK_EQ(o.signal, 0);
  CHECK_STR(o.out, "text\n");
  CHECK_EQ(o.error, ASTRUM_ESYSTEM);
  forget(&o);
}

typedef struct {
  astrum_loop *loop;
  outcome second;
  int left;
} chain;

static void start_next(void *user, const astrum_process_result *result) {
  const char *argv[] = {"true", NULL};
  astrum_process_options options = options_of(argv);
  chain *c = user;
  CHECK_EQ(result->code, 0);
  if (--c->left > 0) {
    astrum_process *process;
    int number;
    CHECK_EQ(astrum_process_start(c->loop, &options, start_next, c, &process,
                                  &number),
             ASTRUM_OK);
  }
}

static int chain_is_over(void *user) { return ((const chain *)user)->left < 1; }

TEST(the_end_of_a_process_can_start_the_next) {
  const char *argv[] = {"true", NULL};
  astrum_process_options options = options_of(argv);
  chain c = {.loop = new_loop(), .left = 3};
  astrum_process *process;
  int number;
  CHECK_EQ(
      astrum_process_start(c.loop, &options, start_next, &c, &process, &number),
      ASTRUM_OK);
  CHECK_EQ(astrum_loop_run(c.loop, chain_is_over, &c), ASTRUM_OK);
  CHECK_EQ(c.left, 0);
  astrum_loop_free(c.loop);
}

/* --- Memory --------------------------------------------------------------- */

TEST(goes_on_reading_when_memory_for_output_runs_out) {
  const char *argv[] = {"sh", "-c",
                        "head -c 300000 /dev/zero; echo end >&2; exit 4", NULL};
  astrum_process_options options = options_of(argv);
  options.err = ASTRUM_STDIO_NULL;
  fault_state fault = fault_none();
  astrum_alloc alloc = fault_allocator(&fault);
  astrum_loop *loop = new_loop_with(&alloc);
  outcome o;
  start(loop, &options, &o);
  fault_after(&fault, 0, 1);
  finish(loop, &o);
  CHECK_EQ(o.code, 4);
  CHECK_EQ(o.error, ASTRUM_ENOMEM);
  CHECK_EQ(o.out_size, 0);
  forget(&o);
  astrum_loop_free(loop);
  CHECK_EQ(fault.live, 0);
}

TEST(survives_the_failure_of_any_allocation) {
  const char *argv[] = {"cat", NULL};
  char *input = new_megabyte();
  astrum_process_options options = options_of(argv);
  options.input = input;
  options.input_size = 200000;
  FAULT_SWEEP(fault) {
    astrum_alloc alloc = fault_allocator(&fault);
    outcome o = {.calls = 0};
    astrum_process *process = NULL;
    int number = 0, before = count_descriptors();
    /* Only the allocations of the process are to fail. */
    size_t fail_at = fault.fail_at;
    fault.fail_at = FAULT_NONE;
    astrum_loop *loop = new_loop_with(&alloc);
    fault.fail_at = fault.count + fail_at;
    astrum_err err =
        astrum_process_start(loop, &options, on_ended, &o, &process, &number);
    if (err == ASTRUM_OK) {
      finish(loop, &o);
      CHECK_EQ(o.code, 0);
      CHECK_EQ(o.error, fault.failed > 0 ? ASTRUM_ENOMEM : ASTRUM_OK);
      CHECK(o.out_size <= 200000 && memcmp(o.out, input, o.out_size) == 0);
      CHECK(fault.failed > 0 || o.out_size == 200000);
    } else {
      CHECK_EQ(err, ASTRUM_ENOMEM);
      CHECK(process == NULL && number == 0);
    }
    forget(&o);
    astrum_loop_free(loop);
    CHECK_EQ(count_descriptors(), before);
    fault.fail_at = fail_at;
  }
  free(input);
}

/* --- Main ----------------------------------------------------------------- */

static const check_test tests[] = {
    TEST_ENTRY(reports_the_exit_code),
    TEST_ENTRY(reports_the_signal_that_ended_it),
    TEST_ENTRY(captures_both_outputs_apart),
    TEST_ENTRY(captures_zero_bytes_as_they_are),
    TEST_ENTRY(throws_output_away_on_request),
    TEST_ENTRY(passes_a_megabyte_each_way),
    TEST_ENTRY(survives_input_that_nobody_reads),
    TEST_ENTRY(survives_input_whose_reader_closes_it),
    TEST_ENTRY(input_without_a_reader_does_not_raise_sigpipe_in_the_host),
    TEST_ENTRY(leaves_a_sigpipe_that_was_pending_to_the_host),
    TEST_ENTRY(gives_input_that_can_be_opened_by_name),
    TEST_ENTRY(gives_no_input_by_default),
    TEST_ENTRY(runs_in_the_directory_asked_for),
    TEST_ENTRY(gives_exactly_the_environment_asked_for),
    TEST_ENTRY(gives_the_environment_of_the_host_by_default),
    TEST_ENTRY(looks_the_command_up_in_the_path_it_is_given),
    TEST_ENTRY(looks_in_the_standard_places_without_a_path),
    TEST_ENTRY(leads_a_group_of_its_own),
    TEST_ENTRY(starts_with_no_signal_blocked_or_ignored),
    TEST_ENTRY(passes_no_descriptor_of_another_process_on),
    TEST_ENTRY(works_in_a_host_without_standard_streams),
    TEST_ENTRY(
        does_not_pass_on_what_a_library_put_in_place_of_a_standard_stream),
    TEST_ENTRY(inherits_the_streams_of_the_host_on_request),
    TEST_ENTRY(says_that_there_is_no_such_command),
    TEST_ENTRY(says_that_a_file_is_no_program),
    TEST_ENTRY(says_that_the_directory_is_bad_before_it_looks_for_the_command),
    TEST_ENTRY(refuses_options_that_make_no_sense),
    TEST_ENTRY(leaks_nothing_when_descriptors_run_out),
    TEST_ENTRY(notices_the_exit_when_there_is_no_pidfd),
    TEST_ENTRY(stop_ends_the_whole_group),
    TEST_ENTRY(stop_lets_the_leader_clean_up),
    TEST_ENTRY(stop_kills_what_outlives_its_leader),
    TEST_ENTRY(stop_kills_after_the_grace_time),
    TEST_ENTRY(stop_reaches_a_process_that_is_suspended),
    TEST_ENTRY(a_second_stop_changes_nothing),
    TEST_ENTRY(kill_ends_the_whole_group_at_once),
    TEST_ENTRY(a_process_without_a_pidfd_can_be_stopped),
    TEST_ENTRY(waits_for_output_kept_open_no_longer_than_the_drain_limit),
    TEST_ENTRY(takes_output_that_comes_soon_after_the_exit_of_the_leader),
    TEST_ENTRY(
        stop_after_the_exit_of_the_leader_kills_what_is_left_of_its_group),
    TEST_ENTRY(two_hundred_processes_leave_no_zombie_and_no_descriptor),
    TEST_ENTRY(freeing_the_loop_ends_its_processes_without_a_word),
    TEST_ENTRY(
        freeing_the_loop_in_a_forked_process_leaves_those_of_the_parent_alone),
    TEST_ENTRY(freeing_the_loop_reaps_a_leader_whose_output_is_still_open),
    TEST_ENTRY(survives_a_host_that_reaps_all_children),
    TEST_ENTRY(the_end_of_a_process_can_start_the_next),
    TEST_ENTRY(goes_on_reading_when_memory_for_output_runs_out),
    TEST_ENTRY(survives_the_failure_of_any_allocation)};

int main(int argc, char **argv) {
  char directory[] = "/tmp/astrum-process-XXXXXX";
  if (mkdtemp(directory) == NULL || chdir(directory) != 0) {
    return 2;
  }
  /* Whoever started us may have ignored it. */
  signal(SIGPIPE, SIG_DFL);
  /* A test that hangs is a test that failed. */
  alarm(100);
  int result = check_run(tests, sizeof tests / sizeof tests[0], argc, argv);
  if (chdir("/") != 0 || rmdir(directory) != 0) {
    printf("%s: not empty\n", directory);
    result = 1;
  }
  return result;
}
