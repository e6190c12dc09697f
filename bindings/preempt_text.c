#define _POSIX_C_SOURCE 200809L

#include "preempt_text.h"
#include "preempt.h"
#include "task.h"
#include "thread.h"

#include <string.h>
#include <unistd.h>

/* Longer lines are cut; the end of a line is kept free. */
typedef struct {
  char bytes[1024];
  size_t size;
} line;

enum { NAME_MAX_BYTES = 160, END_BYTES = 400 };

static void add(line *l, const char *text) {
  size_t size = strlen(text), room = sizeof l->bytes - l->size;
  if (size > room)
    size = room;
  memcpy(l->bytes + l->size, text, size);
  l->size += size;
}

/* A name is data: whatever a terminal could obey is written as \xNN. */
static void add_name(line *l, const char *name, size_t size) {
  static const char digits[] = "0123456789ABCDEF";
  int is_cut = size > NAME_MAX_BYTES;
  if (is_cut)
    size = NAME_MAX_BYTES;
  for (size_t i = 0; i < size; i++) {
    unsigned char c = (unsigned char)name[i];
    if (l->size + 4 > sizeof l->bytes - END_BYTES)
      return;
    if (c >= 0x20 && c < 0x7f) {
      l->bytes[l->size++] = (char)c;
      continue;
    }
    l->bytes[l->size++] = '\\';
    l->bytes[l->size++] = 'x';
    l->bytes[l->size++] = digits[c >> 4];
    l->bytes[l->size++] = digits[c & 15];
  }
  if (is_cut)
    add(l, "...");
}

static void add_number(line *l, uint64_t number) {
  char digits[21];
  size_t i = sizeof digits;
  digits[--i] = '\0';
  do
    digits[--i] = (char)('0' + number % 10);
  while ((number /= 10) > 0);
  add(l, digits + i);
}

/* As "1.25 s" or "0.005 s": in hundredths, below a second in thousandths,
   without zeros at the end. */
static void add_seconds(line *l, uint64_t ns) {
  uint64_t unit = ns < 1000000000 ? 1000000 : 10000000;
  uint64_t thousandths = (ns + unit / 2) / unit * (unit / 1000000);
  char fraction[5] = {'.', (char)('0' + thousandths / 100 % 10),
                      (char)('0' + thousandths / 10 % 10),
                      (char)('0' + thousandths % 10), '\0'};
  add_number(l, thousandths / 1000);
  for (int i = 3; i > 0 && fraction[i] == '0'; i--)
    fraction[i] = '\0';
  if (fraction[1] != '\0')
    add(l, fraction);
  add(l, " s");
}

/* parent/task[item]. The outermost attempt of a worker thread is the host of
   the task that it runs. */
static void add_path(line *l, const attempt *a) {
  const attempt *path[ASTRUM_DEPTH_MAX];
  int depth = 0;
  for (; a && depth < ASTRUM_DEPTH_MAX; a = a->run->parent)
    path[depth++] = a;
  while (depth-- > 0) {
    const run *r = path[depth]->run;
    uint32_t item = path[depth]->ticket.item;
    size_t size;
    const char *name =
        r->parent ? NULL : binding_worker_task(r->engine, &size, &item);
    if (!name)
      name = astrum_graph_name(r->program->graph,
                               (astrum_task){path[depth]->ticket.task}, &size);
    add_name(l, name, size);
    if (item != 0) {
      add(l, "[");
      add_number(l, item);
      add(l, "]");
    }
    if (depth > 0)
      add(l, "/");
  }
}

static void add_subject(line *l, const attempt *a) {
  if (!a) {
    add(l, "a function of astrum.all");
    return;
  }
  add(l, "task '");
  add_path(l, a);
  add(l, "'");
}

static void finish(line *l) {
  add(l, "\n");
  /* Nobody is left to tell when this fails. */
  ssize_t written = write(STDERR_FILENO, l->bytes, l->size);
  (void)written;
}

/* What is over. */
static void add_limit(line *l, const attempt *a) {
  const astrum_policy *policy =
      a ? astrum_graph_policy(a->run->program->graph,
                              (astrum_task){a->ticket.task})
        : NULL;
  if (policy && policy->timeout != 0) {
    add(l, "its timeout of ");
    add_seconds(l, policy->timeout);
  } else if (policy && policy->idle_timeout != 0) {
    add(l, "its idle_timeout of ");
    add_seconds(l, policy->idle_timeout);
  } else {
    add(l, "its time");
  }
}

static void copy(char *to, size_t capacity, const line *l) {
  size_t size = l->size < capacity ? l->size : capacity - 1;
  memcpy(to, l->bytes, size);
  to[size] = '\0';
}

void preempt_describe(preempt_about *about, const attempt *a, int is_late,
                      int by_signal) {
  line l = {.size = 0};
  add_subject(&l, a);
  copy(about->subject, sizeof about->subject, &l);
  l.size = 0;
  if (is_late)
    add_limit(&l, a);
  copy(about->limit, sizeof about->limit, &l);
  about->by_signal = by_signal;
}

void preempt_tell_stubborn(const guarded *g, const preempt_about *about) {
  preempt_about own;
  if (!about) {
    /* No signal of the user comes to a worker thread. */
    const attempt *a = g->attempt;
    int is_worker = a && a->run->engine->worker;
    preempt_describe(&own, a, g->stopped == STOPPED_BY_TIME,
                     g->stopped == STOPPED_BY_SIGNAL && !is_worker);
    about = &own;
  }
  line l = {.size = 0};
  add(&l, "astrum: ");
  if (g->is_cleanup)
    add(&l, "the cleanup of ");
  add(&l, about->subject);
  const char *limit = g->is_cleanup ? "its limit of 1 s" : about->limit;
  if (*limit) {
    add(&l, " still runs although ");
    add(&l, limit);
    add(&l, " is over");
  } else {
    add(&l, " does not stop");
  }
  add(&l, ": it is where Lua cannot be stopped, most likely in a C function "
          "such as string.find; ");
  add(&l, *limit || !about->by_signal
              ? "with executor = \"process\" a task can be stopped anywhere"
              : "a second signal ends the program");
  finish(&l);
}

void preempt_tell_overrun(const attempt *a, uint64_t ran, uint64_t limit) {
  line l = {.size = 0};
  add(&l, "astrum: ");
  add_subject(&l, a);
  add(&l, " ran ");
  add_seconds(&l, ran);
  add(&l, " although its timeout is ");
  add_seconds(&l, limit);
  add(&l, ": Lua code that never waits is stopped only after "
          "astrum.enable_preemption(), or with executor = \"process\"");
  finish(&l);
}
