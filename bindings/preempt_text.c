#define _POSIX_C_SOURCE 200809L

#include "preempt_text.h"
#include "preempt.h"
#include "task.h"

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

/* parent/task[item] */
static void add_path(line *l, const attempt *a) {
  const attempt *path[ASTRUM_DEPTH_MAX];
  int depth = 0;
  for (; a && depth < ASTRUM_DEPTH_MAX; a = a->run->parent)
    path[depth++] = a;
  while (depth-- > 0) {
    const astrum_ticket *ticket = &path[depth]->ticket;
    size_t size;
    const char *name = astrum_graph_name(path[depth]->run->program->graph,
                                         (astrum_task){ticket->task}, &size);
    add_name(l, name, size);
    if (ticket->item != 0) {
      add(l, "[");
      add_number(l, ticket->item);
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

static uint64_t timeout_of(const attempt *a) {
  return astrum_graph_policy(a->run->program->graph,
                             (astrum_task){a->ticket.task})
      ->timeout;
}

/* What is over. */
static void add_limit(line *l, const guarded *g) {
  if (g->is_cleanup) {
    add(l, "its limit of 1 s");
  } else if (g->attempt && timeout_of(g->attempt) != 0) {
    add(l, "its timeout of ");
    add_seconds(l, timeout_of(g->attempt));
  } else {
    add(l, "its time");
  }
}

void preempt_tell_stubborn(const guarded *g) {
  line l = {.size = 0};
  add(&l, "astrum: ");
  if (g->is_cleanup)
    add(&l, "the cleanup of ");
  add_subject(&l, g->attempt);
  if (g->stopped == STOPPED_BY_SIGNAL) {
    add(&l, " does not stop: it is where Lua cannot be stopped, most likely in "
            "a C function such as string.find; a second signal ends the "
            "program");
  } else {
    add(&l, " still runs although ");
    add_limit(&l, g);
    add(&l, " is over: it is where Lua cannot be stopped, most likely in a C "
            "function such as string.find; with executor = \"process\" a task "
            "can be stopped anywhere");
  }
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
