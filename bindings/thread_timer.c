/*
 * Timers of threads. A signal carries the address of its timer; but one that
 * waited while its timer was closed may still come, so the handler believes it
 * only if the thread itself says that the timer is in use.
 */
#define _GNU_SOURCE

#include "thread_timer.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#ifdef __linux__
#include <sys/syscall.h>
#ifndef sigev_notify_thread_id
#define sigev_notify_thread_id _sigev_un._tid
#endif
#endif

#define NS_PER_S 1000000000u

uint64_t thread_timer_now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (uint64_t)t.tv_sec * NS_PER_S + (uint64_t)t.tv_nsec;
}

#ifdef SIGEV_THREAD_ID

/* The timer that was begun last in this thread. Its address tells threads
   apart. */
static _Thread_local thread_timer *volatile innermost;

/* How many signals came to this thread while their timers were not in use. */
static _Thread_local volatile unsigned ignored;

/* What is shared by all threads. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static int open_timers;
static int signal_number;
static struct sigaction old_action;

static void on_signal(int number, siginfo_t *info, void *context) {
  int saved = errno;
  (void)number;
  (void)context;
  int is_poke = info->si_code == SI_QUEUE && info->si_pid == getpid();
  if (info->si_code == SI_TIMER || is_poke) {
    thread_timer *t = innermost;
    while (t && t != info->si_value.sival_ptr)
      t = t->outer;
    if (t) {
      if (!is_poke)
        t->at = UINT64_MAX;
      t->fire(t->user);
    } else {
      ignored++;
    }
  }
  errno = saved;
}

/* Takes the first real-time signal that nobody handles. */
static int install(void) {
  struct sigaction action;
  memset(&action, 0, sizeof action);
  action.sa_sigaction = on_signal;
  action.sa_flags = SA_SIGINFO | SA_RESTART | SA_ONSTACK;
  sigemptyset(&action.sa_mask);
  for (int i = SIGRTMIN; i <= SIGRTMAX; i++)
    if (sigaction(i, NULL, &old_action) == 0 &&
        !(old_action.sa_flags & SA_SIGINFO) &&
        old_action.sa_handler == SIG_DFL && sigaction(i, &action, NULL) == 0) {
      signal_number = i;
      return 1;
    }
  return 0;
}

/* Ignoring a signal drops those that wait in any thread, which would end the
   process when they are no longer handled. */
static void uninstall(void) {
  signal(signal_number, SIG_IGN);
  sigaction(signal_number, &old_action, NULL);
}

/* Blocks or unblocks the signal in this thread; returns whether it was blocked
   before. */
static int mask_signal(int change) {
  sigset_t set, old;
  sigemptyset(&set);
  sigaddset(&set, signal_number);
  pthread_sigmask(change, &set, &old);
  return sigismember(&old, signal_number) == 1;
}

/* Makes the POSIX timer in this thread. */
static int attach(thread_timer *t) {
  struct sigevent event;
  timer_t id;
  memset(&event, 0, sizeof event);
  event.sigev_notify = SIGEV_THREAD_ID;
  event.sigev_signo = signal_number;
  event.sigev_value.sival_ptr = t;
  event.sigev_notify_thread_id = (pid_t)syscall(SYS_gettid);
  if (timer_create(CLOCK_MONOTONIC, &event, &id) != 0)
    return 0;
  t->id = (void *)id;
  t->was_blocked = mask_signal(SIG_UNBLOCK);
  t->thread = (const void *)&innermost;
  t->ignored = ignored;
  t->at = UINT64_MAX;
  return 1;
}

static void detach(thread_timer *t) {
  if (!t->thread)
    return;
  timer_delete((timer_t)t->id);
  if (t->was_blocked && t->thread == (const void *)&innermost)
    mask_signal(SIG_BLOCK);
  t->thread = NULL;
  t->at = UINT64_MAX;
}

const char *thread_timer_open(thread_timer *t) {
  const char *problem = NULL;
  t->outer = NULL;
  t->thread = NULL;
  t->depth = 0;
  pthread_mutex_lock(&lock);
  if (open_timers == 0 && !install())
    problem = "the host handles every real-time signal";
  else if (!attach(t))
    problem =
        errno == EAGAIN
            ? "the limit of pending signals (ulimit -i) is reached, raise it"
            : strerror(errno);
  if (!problem)
    open_timers++;
  else if (open_timers == 0 && signal_number != 0)
    uninstall();
  if (open_timers == 0)
    signal_number = 0;
  pthread_mutex_unlock(&lock);
  return problem;
}

/* Takes it out of the list of its thread, wherever it stands. */
static void unlink_timer(thread_timer *t) {
  if (innermost == t) {
    innermost = t->outer;
    return;
  }
  for (thread_timer *i = innermost; i; i = i->outer)
    if (i->outer == t) {
      i->outer = t->outer;
      return;
    }
}

void thread_timer_close(thread_timer *t) {
  detach(t);
  unlink_timer(t);
  pthread_mutex_lock(&lock);
  if (--open_timers == 0) {
    uninstall();
    signal_number = 0;
  }
  pthread_mutex_unlock(&lock);
}

void thread_timer_begin(thread_timer *t) {
  if (t->depth++ > 0)
    return;
  if (t->thread != (const void *)&innermost) {
    detach(t);
    attach(t);
  }
  t->outer = innermost;
  innermost = t;
  if (t->ignored != ignored) {
    /* One of them may have been its own. */
    t->ignored = ignored;
    t->at = UINT64_MAX;
  }
}

void thread_timer_end(thread_timer *t) {
  if (--t->depth == 0)
    innermost = t->outer;
}

void thread_timer_set(thread_timer *t, uint64_t at) {
  if (!t->thread || at == UINT64_MAX)
    return;
  struct itimerspec when;
  memset(&when, 0, sizeof when);
  t->at = at;
  if (at == 0)
    at = 1; /* 0 would disarm it */
  when.it_value.tv_sec = (time_t)(at / NS_PER_S);
  when.it_value.tv_nsec = (long)(at % NS_PER_S);
  timer_settime((timer_t)t->id, TIMER_ABSTIME, &when, NULL);
}

void thread_timer_poke(const thread_timer *t, pthread_t thread) {
  union sigval value = {.sival_ptr = (void *)t};
  if (pthread_sigqueue(thread, signal_number, value) == 0)
    return;
  /* The limit of pending signals is reached, but a timer has its own. */
  struct itimerspec soon = {.it_value = {.tv_nsec = 1}};
  timer_settime((timer_t)t->id, TIMER_ABSTIME, &soon, NULL);
}

int thread_timer_exists(void) { return 1; }

#else

int thread_timer_exists(void) { return 0; }

const char *thread_timer_open(thread_timer *t) {
  (void)t;
  return "this system cannot aim a timer at one thread";
}

void thread_timer_close(thread_timer *t) { (void)t; }
void thread_timer_begin(thread_timer *t) { (void)t; }
void thread_timer_end(thread_timer *t) { (void)t; }

void thread_timer_set(thread_timer *t, uint64_t at) {
  (void)t;
  (void)at;
}

void thread_timer_poke(const thread_timer *t, pthread_t thread) {
  (void)t;
  (void)thread;
}

#endif
