/*
 * What tests of the scheduler share. A script of calls in virtual time is
 * compared with the actions they lead to, written as text:
 *
 *   "+a" start   "*m" expand   "^a" resume   "-a" cancel
 *   "done:completed"   "closed"   "!a:ready" changed
 *
 * with the number of an item after the name, "+m.2", and that of the attempt
 * from the second on: "+a2", "+m.2,2".
 */
#ifndef ASTRUM_SCRIPT_H
#define ASTRUM_SCRIPT_H

#include "fault.h"
#include "scheduler.h"

enum { SCRIPT_TEXT = 1024 };

/* --- graphs */

static inline astrum_graph *new_graph(void) {
  astrum_graph *graph = NULL;
  CHECK_EQ(astrum_graph_new(NULL, &graph), ASTRUM_OK);
  return graph;
}

static inline astrum_task task_of(const astrum_graph *graph, const char *name) {
  astrum_task task = {ASTRUM_NO_TASK};
  CHECK_EQ(astrum_graph_find(graph, name, strlen(name), &task), ASTRUM_OK);
  return task;
}

/* Adds tasks from a text, all with one policy: "a; b: a; c: a b". */
static inline void add(astrum_graph *graph, const char *text,
                       const astrum_policy *policy) {
  astrum_task task, before;
  for (const char *at = text; *at; at += strspn(at, "; ")) {
    size_t length = strcspn(at, ":;");
    CHECK_EQ(astrum_graph_add(graph, at, length, policy, &task), ASTRUM_OK);
    at += length;
    while (*at == ':' || *at == ' ') {
      at += strspn(at, ": ");
      length = strcspn(at, " ;");
      CHECK_EQ(astrum_graph_find(graph, at, length, &before), ASTRUM_OK);
      CHECK_EQ(astrum_graph_edge(graph, before, task), ASTRUM_OK);
      at += length;
    }
  }
}

static inline void freeze(astrum_graph *graph) {
  CHECK_EQ(astrum_graph_freeze(graph), ASTRUM_OK);
}

static inline astrum_graph *graph_of(const char *text,
                                     const astrum_policy *policy) {
  astrum_graph *graph = new_graph();
  add(graph, text, policy);
  freeze(graph);
  return graph;
}

#define POLICY(...)                                                            \
  (&(astrum_policy){.size = sizeof(astrum_policy), __VA_ARGS__})

/* --- runs */

static inline astrum_sched *new_sched(void) {
  astrum_sched *sched = NULL;
  CHECK_EQ(astrum_sched_new(NULL, &sched), ASTRUM_OK);
  return sched;
}

#define OPTIONS(...)                                                           \
  ((astrum_run_options){.size = sizeof(astrum_run_options), __VA_ARGS__})

#define ALL_DEFAULTS ((astrum_run_options)ASTRUM_RUN_OPTIONS_INIT)

static inline astrum_run_options with_limit(uint32_t concurrency) {
  return OPTIONS(.concurrency = concurrency);
}

static inline astrum_run_options keep_going(void) {
  return OPTIONS(.failure_mode = ASTRUM_KEEP_GOING);
}

/* Opens a run; names in actions are those of `graph`. */
static inline astrum_run open_run(astrum_sched *sched, astrum_graph *graph,
                                  astrum_run_options options) {
  astrum_run run = {ASTRUM_NO_RUN};
  options.user = graph;
  CHECK_EQ(astrum_sched_open(sched, graph, &options, &run), ASTRUM_OK);
  return run;
}

static inline astrum_run begin_run(astrum_sched *sched, astrum_graph *graph,
                                   astrum_run_options options) {
  astrum_run run = open_run(sched, graph, options);
  CHECK_EQ(astrum_sched_begin(sched, run, 0), ASTRUM_OK);
  return run;
}

static inline astrum_run begin_child(astrum_sched *sched, astrum_graph *graph,
                                     astrum_ticket parent) {
  return begin_run(sched, graph, OPTIONS(.parent = &parent));
}

static inline void cancel(astrum_sched *sched, astrum_run run, uint64_t now) {
  CHECK_EQ(astrum_sched_cancel(sched, run, ASTRUM_CAUSE_REQUEST, now),
           ASTRUM_OK);
}

/* --- actions */

static const char *const states[] = {"pending",   "ready",     "running",
                                     "retrying",  "completed", "failed",
                                     "timed_out", "cancelled", "skipped"};

static inline void write_action(char *text, size_t room,
                                const astrum_action *action) {
  static const char signs[] = {[ASTRUM_START] = '+',
                               [ASTRUM_EXPAND] = '*',
                               [ASTRUM_RESUME] = '^',
                               [ASTRUM_CANCEL] = '-',
                               [ASTRUM_CHANGED] = '!'};
  size_t size = 0;
  if (action->kind == ASTRUM_DONE || action->kind == ASTRUM_CLOSED) {
    int done = action->kind == ASTRUM_DONE;
    snprintf(text, room, done ? "done:%s " : "closed ", states[action->state]);
    return;
  }
  const astrum_ticket *ticket = &action->ticket;
  const char *name =
      astrum_graph_name(action->user, (astrum_task){ticket->task}, &size);
  size_t used = (size_t)snprintf(text, room, "%c%.*s", signs[action->kind],
                                 (int)size, name);
  if (ticket->item)
    used += (size_t)snprintf(text + used, room - used, ".%u",
                             (unsigned)ticket->item);
  if (action->kind == ASTRUM_CHANGED)
    used += (size_t)snprintf(text + used, room - used, ":%s",
                             states[action->state]);
  else if (ticket->attempt > 1)
    used +=
        (size_t)snprintf(text + used, room - used, ticket->item ? ",%u" : "%u",
                         (unsigned)ticket->attempt);
  snprintf(text + used, room - used, " ");
}

/* All actions there are at `now`, as text that lives until the next call. */
static inline const char *next(astrum_sched *sched, uint64_t now) {
  static char text[SCRIPT_TEXT];
  astrum_action action;
  text[0] = '\0';
  size_t used = 0;
  while (used + 64 < SCRIPT_TEXT &&
         astrum_sched_next(sched, now, &action, 1) > 0) {
    write_action(text + used, SCRIPT_TEXT - used, &action);
    used = strlen(text);
  }
  if (used > 0)
    text[used - 1] = '\0';
  return text;
}

/* --- attempts and records */

static inline astrum_record record(astrum_sched *sched, astrum_run run,
                                   const char *name) {
  astrum_record record = {0};
  astrum_task task = task_of(astrum__sched_run(sched, run.id)->graph, name);
  CHECK_EQ(astrum_sched_record(sched, run, task, &record), ASTRUM_OK);
  return record;
}

static inline astrum_record item_record(astrum_sched *sched, astrum_run run,
                                        const char *name, uint32_t item) {
  astrum_record record = {0};
  astrum_task task = task_of(astrum__sched_run(sched, run.id)->graph, name);
  CHECK_EQ(astrum_sched_item_record(sched, run, task, item, &record),
           ASTRUM_OK);
  return record;
}

/* The ticket of the last attempt of a task, and of an item. */
static inline astrum_ticket ticket(astrum_sched *sched, astrum_run run,
                                   const char *name) {
  astrum_task task = task_of(astrum__sched_run(sched, run.id)->graph, name);
  return (astrum_ticket){run.id, task.id, record(sched, run, name).attempts, 0};
}

static inline astrum_ticket item_ticket(astrum_sched *sched, astrum_run run,
                                        const char *name, uint32_t item) {
  astrum_ticket ticket_of_item = ticket(sched, run, name);
  ticket_of_item.item = item;
  ticket_of_item.attempt = item_record(sched, run, name, item).attempts;
  return ticket_of_item;
}

static inline void end(astrum_sched *sched, astrum_run run, const char *name,
                       astrum_outcome outcome, uint64_t now) {
  CHECK_EQ(astrum_sched_finished(sched, ticket(sched, run, name), outcome, now),
           ASTRUM_OK);
}

static inline void end_item(astrum_sched *sched, astrum_run run,
                            const char *name, uint32_t item,
                            astrum_outcome outcome, uint64_t now) {
  CHECK_EQ(astrum_sched_finished(sched, item_ticket(sched, run, name, item),
                                 outcome, now),
           ASTRUM_OK);
}

static inline void expand(astrum_sched *sched, astrum_run run, const char *name,
                          uint32_t items, uint64_t now) {
  CHECK_EQ(astrum_sched_expanded(sched, ticket(sched, run, name), items, now),
           ASTRUM_OK);
}

static inline const char *state(astrum_sched *sched, astrum_run run,
                                const char *name) {
  return states[record(sched, run, name).state];
}

static inline const char *item_state(astrum_sched *sched, astrum_run run,
                                     const char *name, uint32_t item) {
  return states[item_record(sched, run, name, item).state];
}

static inline astrum_cause stopping(astrum_sched *sched, astrum_run run,
                                    const char *name) {
  return astrum_sched_stopping(sched, ticket(sched, run, name));
}

static inline astrum_summary summary(astrum_sched *sched, astrum_run run) {
  astrum_summary summary = {0};
  CHECK_EQ(astrum_sched_summary(sched, run, &summary), ASTRUM_OK);
  return summary;
}

#define TEARDOWN()                                                             \
  astrum_sched_free(sched);                                                    \
  astrum_graph_free(graph)

#endif
