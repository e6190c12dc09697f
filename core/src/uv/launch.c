/*
 * Starts child processes with posix_spawn, whose cost does not grow with our
 * memory: finds the command, and describes the files and signals of the child.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include "launch.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Where execvp would look for commands if `env` were the environment. */
static const char *search_path(const char *const *env) {
  for (; *env != NULL; env++) {
    if (strncmp(*env, "PATH=", 5) == 0) {
      return *env + 5;
    }
  }
  return "/bin:/usr/bin";
}

/* 0, or the errno with which `path` cannot be run. */
static int check_program(int directory, const char *path) {
  struct stat status;
  if (fstatat(directory, path, &status, 0) != 0) {
    return errno;
  }
  return S_ISREG(status.st_mode) &&
                 faccessat(directory, path, X_OK, AT_EACCESS) == 0
             ? 0
             : EACCES;
}

/*
 * Writes the path of the program that execvp would run in `directory` to
 * `path`, which has room for PATH_MAX bytes. Returns an errno.
 */
static int find_command(const char *name, const char *const *env, int directory,
                        char *path) {
  size_t name_size = strlen(name) + 1;
  if (name_size == 1) {
    return ENOENT;
  }
  if (name_size > PATH_MAX) {
    return ENAMETOOLONG;
  }
  if (strchr(name, '/') != NULL) {
    memcpy(path, name, name_size);
    return check_program(directory, path);
  }
  int error = ENOENT;
  for (const char *from = search_path(env);; from++) {
    size_t size = strcspn(from, ":");
    if (size < PATH_MAX - name_size) {
      memcpy(path, from, size);
      path[size] = '/';
      memcpy(path + size + (size > 0), name, name_size);
      int problem = check_program(directory, path);
      if (problem == 0) {
        return 0;
      }
      error = problem == EACCES ? EACCES : error;
    }
    from += size;
    if (*from == '\0') {
      return error;
    }
  }
}

/*
 * A descriptor that is closed, or that is not meant for children (the number
 * was free and a library got it), is not passed on.
 */
static int inheritable(int fd) {
  int flags = fcntl(fd, F_GETFD);
  return flags >= 0 && (flags & FD_CLOEXEC) == 0;
}

static int describe_files(posix_spawn_file_actions_t *actions,
                          const astrum_process_options *options, int directory,
                          const int *theirs) {
  const int inherit[3] = {options->inherit_stdin,
                          options->out == ASTRUM_STDIO_INHERIT,
                          options->err == ASTRUM_STDIO_INHERIT};
  int error = 0;
  if (directory != AT_FDCWD) {
    error = posix_spawn_file_actions_addfchdir_np(actions, directory);
  }
  for (int fd = 0; fd < 3 && error == 0; fd++) {
    if (theirs[fd] >= 0) {
      error = posix_spawn_file_actions_adddup2(actions, theirs[fd], fd);
    } else if (!inherit[fd] || !inheritable(fd)) {
      error = posix_spawn_file_actions_addopen(
          actions, fd, "/dev/null", fd == 0 ? O_RDONLY : O_WRONLY, 0);
    }
  }
  /* The last one: the number may be that of a pipe used above. */
  if (error == 0 && theirs[ASTRUM_CHANNEL_DESCRIPTOR] >= 0)
    error = posix_spawn_file_actions_adddup2(
        actions, theirs[ASTRUM_CHANNEL_DESCRIPTOR], ASTRUM_CHANNEL_DESCRIPTOR);
  return error;
}

/* An own group, nothing blocked, nothing ignored. */
static int describe_signals(posix_spawnattr_t *attributes) {
  sigset_t none, all;
  sigemptyset(&none);
  sigfillset(&all);
  int error = posix_spawnattr_setflags(attributes, POSIX_SPAWN_SETPGROUP |
                                                       POSIX_SPAWN_SETSIGMASK |
                                                       POSIX_SPAWN_SETSIGDEF);
  error = error != 0 ? error : posix_spawnattr_setpgroup(attributes, 0);
  error = error != 0 ? error : posix_spawnattr_setsigmask(attributes, &none);
  return error != 0 ? error : posix_spawnattr_setsigdefault(attributes, &all);
}

static int spawn_in(int directory, const astrum_process_options *options,
                    const int *theirs, pid_t *pid) {
  char path[PATH_MAX];
  posix_spawn_file_actions_t actions;
  posix_spawnattr_t attributes;
  char *const *env =
      options->env != NULL ? (char *const *)options->env : environ;
  int error =
      find_command(options->argv[0], (const char *const *)env, directory, path);
  if (error != 0) {
    return error;
  }
  error = posix_spawn_file_actions_init(&actions);
  if (error != 0) {
    return error;
  }
  error = posix_spawnattr_init(&attributes);
  if (error == 0) {
    error = describe_files(&actions, options, directory, theirs);
    error = error != 0 ? error : describe_signals(&attributes);
    if (error == 0) {
      error = posix_spawn(pid, path, &actions, &attributes,
                          (char *const *)options->argv, env);
    }
    posix_spawnattr_destroy(&attributes);
  }
  posix_spawn_file_actions_destroy(&actions);
  return error;
}

int astrum__spawn(const astrum_process_options *options, const int *theirs,
                  pid_t *pid) {
  if (options->cwd == NULL) {
    return spawn_in(AT_FDCWD, options, theirs, pid);
  }
#ifdef O_PATH
  int directory = open(options->cwd, O_PATH | O_DIRECTORY | O_CLOEXEC);
#else
  int directory = open(options->cwd, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
#endif
  if (directory < 0) {
    return errno;
  }
  int error = spawn_in(directory, options, theirs, pid);
  close(directory);
  return error;
}
