/*
 * Tasks whose bodies are C functions: the executor of a loop that calls them.
 * For each task there is one slot with what is to be kept of its last attempt:
 *
 *   attempt begins   nothing
 *   goes on later    the call that was handed out
 *   has ended        its value, or the text of its error
 *
 * Integers stand in the slot itself, so they cost no memory of their own.
 */
#include "alloc.h"
#include "graph.h"
#include "internal.h"

#include <string.h>

typedef enum {
  EMPTY,
  INTEGER,
  DATA,
  TEXT,
  TEXT_LOST, /* there was no memory for it */
  LATE       /* a call that has been handed out */
} content_kind;

typedef struct {
  void *data;
  size_t size;
  void (*release)(void *data, size_t size);
} kept_data;

typedef union {
  int64_t integer;
  kept_data *data;
  char *text;
  astrum_call *call;
} slot_content;

typedef struct {
  astrum_function function;
  void *user;
} task_body;

struct astrum_flow {
  astrum_alloc alloc;
  const astrum_graph *graph;
  astrum_loop *loop;
  astrum_sched *sched; /* of the loop */
  uint32_t count, without_body;
  task_body *bodies;
  slot_content *slots;
  uint8_t *kinds; /* content_kind of each slot */
  astrum_run run; /* the last one */
  uint8_t running, closed;
};

struct astrum_call {
  astrum_flow *flow; /* NULL when the run was given up */
  astrum_alloc alloc;
  astrum_ticket ticket;
  const astrum_task *inputs;
  uint32_t input_count;
  uint8_t kind; /* of what has been set so far */
  uint8_t handed_out;
  slot_content content;
  void (*cancel)(astrum_call *call, void *user);
  void *cancel_user;
};

/* --- what is kept */

static void release_memory(const astrum_alloc *alloc, content_kind kind,
                           slot_content content) {
  if (kind == TEXT) {
    astrum__free(alloc, content.text, strlen(content.text) + 1);
    return;
  }
  kept_data kept = *content.data;
  astrum__free(alloc, content.data, sizeof kept);
  if (kept.release)
    kept.release(kept.data, kept.size);
}

static inline void release(const astrum_alloc *alloc, content_kind kind,
                           slot_content content) {
  if (kind == TEXT || kind == DATA)
    release_memory(alloc, kind, content);
}

static void set_slot(astrum_flow *flow, uint32_t task, content_kind kind,
                     slot_content content) {
  release(&flow->alloc, (content_kind)flow->kinds[task], flow->slots[task]);
  flow->kinds[task] = (uint8_t)kind;
  flow->slots[task] = content;
}

static void clear_slots(astrum_flow *flow) {
  for (uint32_t i = 0; i < flow->count; i++)
    set_slot(flow, i, EMPTY, (slot_content){0});
}

static astrum_value slot_value(const astrum_flow *flow, uint32_t task) {
  astrum_value value = {0};
  if (flow->kinds[task] == INTEGER)
    value.integer = flow->slots[task].integer;
  if (flow->kinds[task] == DATA) {
    value.data = flow->slots[task].data->data;
    value.size = flow->slots[task].data->size;
  }
  return value;
}

/* --- attempts */

static void set_content(astrum_call *call, content_kind kind,
                        slot_content content) {
  release(&call->alloc, (content_kind)call->kind, call->content);
  call->kind = (uint8_t)kind;
  call->content = content;
}

/* Reports the end of an attempt and keeps what it set as far as it counts,
   which is the scheduler's to say. */
static void end_attempt(astrum_call *call, int outcome) {
  astrum_flow *flow = call->flow;
  uint32_t task = call->ticket.task;
  astrum_state state = ASTRUM_PENDING;
  if (outcome < ASTRUM_SUCCEEDED || outcome > ASTRUM_DECLINED)
    outcome = ASTRUM_FAILURE_FINAL;
  astrum_loop_finished(flow->loop, call->ticket, (astrum_outcome)outcome);
  astrum__sched_state(flow->sched, flow->run, (astrum_task){task}, &state);
  int is_value = call->kind == INTEGER || call->kind == DATA;
  int failed = state == ASTRUM_FAILED || state == ASTRUM_TIMED_OUT;
  int keep = state == ASTRUM_COMPLETED ? is_value : failed && !is_value;
  if (!keep)
    set_content(call, EMPTY, (slot_content){0});
  set_slot(flow, task, (content_kind)call->kind, call->content);
}

static void start(void *user, const astrum_action *action) {
  astrum_flow *flow = user;
  uint32_t task = action->ticket.task;
  const task_body *body = &flow->bodies[task];
  astrum_call call = {
      .flow = flow, .alloc = flow->alloc, .ticket = action->ticket};
  call.input_count =
      astrum_graph_upstream(flow->graph, (astrum_task){task}, &call.inputs);
  int outcome = body->function(&call, body->user);
  if (call.handed_out) {
    set_content(&call, EMPTY, (slot_content){0});
    return;
  }
  if (outcome == ASTRUM_LATER)
    astrum_call_error(&call, "the function returned ASTRUM_LATER and did not "
                             "call astrum_call_later");
  end_attempt(&call, outcome);
}

static void cancel(void *user, const astrum_action *action) {
  astrum_flow *flow = user;
  /* An attempt that is on its way goes on later: others end in `start`. */
  assert(flow->kinds[action->ticket.task] == LATE);
  astrum_call *call = flow->slots[action->ticket.task].call;
  if (call->cancel)
    call->cancel(call, call->cancel_user);
}

static void ended(void *user, const astrum_action *action) {
  astrum_flow *flow = user;
  if (action->kind == ASTRUM_CLOSED)
    flow->closed = 1;
}

/* --- the flow */

static void free_flow(astrum_flow *flow) {
  astrum_alloc alloc = flow->alloc;
  astrum__free(&alloc, flow->bodies, flow->count * sizeof *flow->bodies);
  astrum__free(&alloc, flow->slots, flow->count * sizeof *flow->slots);
  astrum__free(&alloc, flow->kinds, flow->count * sizeof *flow->kinds);
  astrum__free(&alloc, flow, sizeof *flow);
}

static astrum_err make_slots(astrum_flow *flow) {
  if (flow->count == 0)
    return ASTRUM_OK;
  flow->bodies = astrum__zalloc(&flow->alloc, flow->count, sizeof(task_body));
  flow->slots = astrum__zalloc(&flow->alloc, flow->count, sizeof(slot_content));
  flow->kinds = astrum__zalloc(&flow->alloc, flow->count, sizeof(uint8_t));
  return flow->bodies && flow->slots && flow->kinds ? ASTRUM_OK : ASTRUM_ENOMEM;
}

astrum_err astrum_flow_new(const astrum_graph *graph, struct uv_loop_s *uv,
                           const astrum_alloc *alloc, astrum_flow **out) {
  if (!astrum_graph_frozen(graph))
    return ASTRUM_ENOTFROZEN;
  if (graph->map_count > 0)
    return ASTRUM_EINVAL;
  astrum_alloc a = astrum__alloc_or_default(alloc);
  astrum_flow *flow = astrum__zalloc(&a, 1, sizeof *flow);
  if (!flow)
    return ASTRUM_ENOMEM;
  flow->alloc = a;
  flow->graph = graph;
  flow->count = flow->without_body = astrum_graph_task_count(graph);
  flow->run.id = ASTRUM_NO_RUN;
  astrum_executor executor = {.size = sizeof executor,
                              .start = start,
                              .cancel = cancel,
                              .ended = ended};
  astrum_loop_options options = {.size = sizeof options,
                                 .alloc = &a,
                                 .uv = uv,
                                 .executor = &executor,
                                 .user = flow};
  astrum_err err = make_slots(flow);
  if (!err)
    err = astrum_loop_new(&options, &flow->loop);
  if (err) {
    free_flow(flow);
    return err;
  }
  flow->sched = astrum_loop_sched(flow->loop);
  *out = flow;
  return ASTRUM_OK;
}

void astrum_flow_free(astrum_flow *flow) {
  if (!flow)
    return;
  assert(!flow->running);
  /* Callbacks of its child processes may still use values. */
  astrum_loop_free(flow->loop);
  clear_slots(flow);
  free_flow(flow);
}

astrum_loop *astrum_flow_loop(astrum_flow *flow) { return flow->loop; }

astrum_err astrum_flow_set(astrum_flow *flow, astrum_task task,
                           astrum_function function, void *user) {
  if (task.id >= flow->count || !function)
    return ASTRUM_EINVAL;
  if (flow->running)
    return ASTRUM_EBUSY;
  task_body *body = &flow->bodies[task.id];
  if (!body->function)
    flow->without_body--;
  *body = (task_body){function, user};
  return ASTRUM_OK;
}

static int is_closed(void *user) { return ((astrum_flow *)user)->closed; }

/* Answers for the attempts that nothing will finish any more. Whoever holds
   their calls may still give them back. */
static void give_up(astrum_flow *flow) {
  for (uint32_t i = 0; i < flow->count; i++) {
    if (flow->kinds[i] != LATE)
      continue;
    astrum_call *call = flow->slots[i].call;
    set_slot(flow, i, EMPTY, (slot_content){0});
    call->flow = NULL;
    astrum_loop_finished(flow->loop, call->ticket, ASTRUM_STOPPED);
  }
}

/* Turns the loop until the run is closed, whatever it takes. A run that waits
   for nothing costs no system call. */
static astrum_err drive(astrum_flow *flow) {
  astrum__loop_turn(flow->loop);
  astrum_err err = astrum_loop_run(flow->loop, is_closed, flow);
  if (err != ASTRUM_EIDLE)
    return err;
  astrum_loop_cancel(flow->loop, flow->run, ASTRUM_CAUSE_STUCK);
  if (astrum_loop_run(flow->loop, is_closed, flow) == ASTRUM_OK)
    return ASTRUM_OK;
  give_up(flow);
  astrum_loop_run(flow->loop, is_closed, flow);
  return ASTRUM_EIDLE;
}

astrum_err astrum_flow_run(astrum_flow *flow, const astrum_run_options *options,
                           astrum_summary *out) {
  if (flow->running || astrum_loop_turning(flow->loop))
    return ASTRUM_EBUSY;
  if (flow->without_body > 0 || astrum_loop_forked(flow->loop) ||
      (options && (options->parent || options->user || options->changes)))
    return ASTRUM_EINVAL;
  astrum_run run;
  astrum_err err = astrum_sched_open(flow->sched, flow->graph, options, &run);
  if (err)
    return err;
  if (flow->run.id != ASTRUM_NO_RUN) {
    astrum_sched_forget(flow->sched, flow->run);
    clear_slots(flow);
  }
  flow->run = run;
  flow->closed = 0;
  flow->running = 1;
  astrum_loop_begin(flow->loop, run);
  err = drive(flow);
  flow->running = 0;
  if (out)
    astrum_sched_summary(flow->sched, run, out);
  return err;
}

void astrum_flow_cancel(astrum_flow *flow) {
  if (flow->running)
    astrum_loop_cancel(flow->loop, flow->run, ASTRUM_CAUSE_REQUEST);
}

astrum_err astrum_flow_record(const astrum_flow *flow, astrum_task task,
                              astrum_record *out) {
  return astrum_sched_record(flow->sched, flow->run, task, out);
}

astrum_value astrum_flow_value(const astrum_flow *flow, astrum_task task) {
  return task.id < flow->count ? slot_value(flow, task.id) : (astrum_value){0};
}

const char *astrum_flow_error(const astrum_flow *flow, astrum_task task) {
  astrum_record record;
  if (astrum_flow_record(flow, task, &record) ||
      (record.state != ASTRUM_FAILED && record.state != ASTRUM_TIMED_OUT))
    return NULL;
  if (record.cause == ASTRUM_CAUSE_ATTEMPTS)
    return "the run has used its max_total_attempts";
  if (flow->kinds[task.id] == TEXT)
    return flow->slots[task.id].text;
  if (flow->kinds[task.id] == TEXT_LOST || record.cause == ASTRUM_CAUSE_MEMORY)
    return astrum_strerror(ASTRUM_ENOMEM);
  if (record.cause == ASTRUM_CAUSE_TIMEOUT)
    return "the attempt took longer than its timeout";
  if (record.cause == ASTRUM_CAUSE_IDLE)
    return "the attempt told no progress for its idle_timeout";
  return "the function gave no reason";
}

/* --- for functions */

astrum_flow *astrum_call_flow(const astrum_call *call) { return call->flow; }

astrum_task astrum_call_task(const astrum_call *call) {
  return (astrum_task){call->ticket.task};
}

uint32_t astrum_call_attempt(const astrum_call *call) {
  return call->ticket.attempt;
}

uint32_t astrum_call_input_count(const astrum_call *call) {
  return call->flow ? call->input_count : 0;
}

astrum_value astrum_call_input(const astrum_call *call, uint32_t index) {
  if (index >= astrum_call_input_count(call))
    return (astrum_value){0};
  return slot_value(call->flow, call->inputs[index].id);
}

void astrum_call_return_integer(astrum_call *call, int64_t integer) {
  set_content(call, INTEGER, (slot_content){.integer = integer});
}

astrum_err astrum_call_return_data(astrum_call *call, void *data, size_t size,
                                   void (*release_data)(void *data,
                                                        size_t size)) {
  if (!data)
    return ASTRUM_EINVAL;
  kept_data *kept = astrum__zalloc(&call->alloc, 1, sizeof *kept);
  if (!kept)
    return ASTRUM_ENOMEM;
  *kept = (kept_data){data, size, release_data};
  set_content(call, DATA, (slot_content){.data = kept});
  return ASTRUM_OK;
}

void astrum_call_error(astrum_call *call, const char *text) {
  size_t size = strlen(text) + 1;
  char *copy = astrum__alloc_array(&call->alloc, size, 1);
  if (copy)
    memcpy(copy, text, size);
  set_content(call, copy ? TEXT : TEXT_LOST, (slot_content){.text = copy});
}

astrum_err astrum_call_later(astrum_call *call,
                             void (*cancel_call)(astrum_call *call, void *user),
                             void *user, astrum_call **out) {
  if (call->handed_out)
    return ASTRUM_EINVAL;
  astrum_call *late = astrum__zalloc(&call->alloc, 1, sizeof *late);
  if (!late)
    return ASTRUM_ENOMEM;
  *late = *call;
  late->handed_out = 1;
  late->cancel = cancel_call;
  late->cancel_user = user;
  call->handed_out = 1;
  call->kind = EMPTY;
  set_slot(call->flow, call->ticket.task, LATE, (slot_content){.call = late});
  *out = late;
  return ASTRUM_OK;
}

void astrum_call_finish(astrum_call *call, int outcome) {
  if (call->flow)
    end_attempt(call, outcome);
  else
    set_content(call, EMPTY, (slot_content){0});
  astrum_alloc alloc = call->alloc;
  astrum__free(&alloc, call, sizeof *call);
}
