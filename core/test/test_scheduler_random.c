/*
 * Random runs against the model: graphs, policies, limits, a host that answers
 * late, twice, with old tickets, cancels, nests runs and gives slots back, in
 * virtual time and, in every fourth world, with allocations that fail. After
 * every call everything that can be read is compared.
 *
 *   test_scheduler_random [count] [first seed]     default 2000 1
 */
#include "fault.h"
#include "model.h"
#include "scheduler.h"

#include <inttypes.h>
#include <stdarg.h>

enum { STALE_TICKETS = 16, DEPTH = 4 };

typedef struct {
  uint64_t seed, random, now, hash;
  int step, failed, faulty;
  fault_state fault;
  astrum_sched *sched;
  model m;
  astrum_ticket old[STALE_TICKETS];
  uint32_t old_count;
  /* What was met, to know that the test tests. */
  int runs, starts, retries, cancels, resumes, memory, busy, stale, nested;
} world;

static uint32_t pick(world *w, uint32_t n) {
  w->random ^= w->random << 13;
  w->random ^= w->random >> 7;
  w->random ^= w->random << 17;
  return (uint32_t)((w->random >> 16) % n);
}

/* The first thing that is wrong ends a world. */
static void wrong(world *w, const char *format, ...) {
  va_list args;
  if (w->failed)
    return;
  w->failed = 1;
  printf("seed %" PRIu64 ", step %d: ", w->seed, w->step);
  va_start(args, format);
  vprintf(format, args);
  va_end(args);
  printf("\n  replay: test_scheduler_random 1 %" PRIu64 "\n", w->seed);
}

#define EXPECT(w, got, wanted)                                                 \
  do {                                                                         \
    long long got_ = (long long)(got), wanted_ = (long long)(wanted);          \
    if (got_ != wanted_)                                                       \
      wrong(w, "%s is %lld, not %lld (line %d)", #got, got_, wanted_,          \
            __LINE__);                                                         \
  } while (0)

/* --- comparing */

static astrum_ticket ticket_of(const model_run *run, uint32_t task) {
  return (astrum_ticket){run->id.id, task, run->tasks[task].record.attempts};
}

static void compare_attempts(world *w, const model_run *run, uint32_t t) {
  const model_task *task = &run->tasks[t];
  astrum_attempt got[MODEL_ATTEMPTS];
  uint32_t count = 0;
  EXPECT(w,
         astrum_sched_attempts(w->sched, run->id, (astrum_task){t}, got,
                               MODEL_ATTEMPTS, &count),
         ASTRUM_OK);
  EXPECT(w, count, task->record.attempts);
  for (uint32_t i = 0; i < count && !w->failed; i++) {
    const astrum_attempt *log = &task->log[i];
    EXPECT(w, got[i].attempt, i + 1);
    EXPECT(w, got[i].running, log->running);
    EXPECT(w, got[i].start, log->start);
    EXPECT(w, got[i].end, log->end);
    EXPECT(w, got[i].will_retry, log->will_retry);
    if (!log->running)
      EXPECT(w, got[i].outcome, log->outcome);
  }
}

static void compare_task(world *w, const model_run *run, uint32_t t) {
  const model_task *task = &run->tasks[t];
  const astrum_record *want = &task->record;
  astrum_record got = {0};
  int final = model_final(task);
  EXPECT(w, astrum_sched_record(w->sched, run->id, (astrum_task){t}, &got),
         ASTRUM_OK);
  EXPECT(w, got.state, want->state);
  EXPECT(w, got.cause, final ? want->cause : ASTRUM_CAUSE_NONE);
  EXPECT(w, got.blame, final ? want->blame : ASTRUM_NO_TASK);
  EXPECT(w, got.attempts, want->attempts);
  EXPECT(w, got.ready, want->ready);
  EXPECT(w, got.start, want->start);
  EXPECT(w, got.end, want->end);
  EXPECT(w, got.busy, want->busy);
  if (want->attempts > 0)
    compare_attempts(w, run, t);
  EXPECT(w, astrum_sched_alive(w->sched, ticket_of(run, t)),
         model_running(task));
  EXPECT(w, astrum_sched_will_retry(w->sched, ticket_of(run, t)),
         model_running(task) && model_will_retry(task));
  if (want->attempts > task->policy.max_retries + 1)
    wrong(w, "task %u has %u attempts", t, want->attempts);
}

static void compare_run(world *w, const model_run *run) {
  const astrum_summary *want = &run->summary;
  astrum_summary got = {0};
  EXPECT(w, astrum_sched_summary(w->sched, run->id, &got), ASTRUM_OK);
  EXPECT(w, got.state, want->state);
  EXPECT(w, got.cause, want->cause);
  EXPECT(w, got.blame, want->blame);
  EXPECT(w, got.tasks, want->tasks);
  EXPECT(w, got.completed, want->completed);
  EXPECT(w, got.failed, want->failed);
  EXPECT(w, got.cancelled, want->cancelled);
  EXPECT(w, got.skipped, want->skipped);
  EXPECT(w, got.running, want->running);
  EXPECT(w, got.begin, want->begin);
  EXPECT(w, got.end, want->end);
  if (want->end != ASTRUM_NEVER)
    EXPECT(w, got.completed + got.failed + got.cancelled + got.skipped,
           got.tasks);
  if (run->root == run) {
    uint32_t occupied = model_occupied(&w->m, run);
    EXPECT(w, astrum__sched_run(w->sched, run->id.id)->occupied, occupied);
    if (run->concurrency && occupied > run->concurrency)
      wrong(w, "%u slots of %u are taken", occupied, run->concurrency);
  }
  for (uint32_t t = 0; t < run->count && !w->failed; t++)
    compare_task(w, run, t);
}

/* What astrum_sched_wake should say. */
static uint64_t expected_wake(const model *m) {
  uint64_t wake = ASTRUM_NEVER;
  for (int i = 0; i < MODEL_RUNS; i++) {
    const model_run *run = &m->runs[i];
    if (!run->used)
      continue;
    if (model_cancels(run) || model_news(run))
      return 0;
    for (uint32_t t = 0; t < run->count; t++) {
      const model_task *task = &run->tasks[t];
      if (model_startable(m, run, t))
        return 0;
      if (task->record.state == ASTRUM_RETRYING && task->due < wake)
        wake = task->due;
    }
  }
  return wake;
}

static void compare(world *w) {
  for (int i = 0; i < MODEL_RUNS && !w->failed; i++)
    if (w->m.runs[i].used)
      compare_run(w, &w->m.runs[i]);
  EXPECT(w, astrum_sched_wake(w->sched), expected_wake(&w->m));
  EXPECT(w, w->fault.wrong_size, 0);
}

/* --- opening runs */

static astrum_policy random_policy(world *w) {
  astrum_policy policy = ASTRUM_POLICY_INIT;
  if (pick(w, 3) == 0) {
    policy.max_retries = pick(w, MODEL_ATTEMPTS);
    policy.delay = pick(w, 2) * pick(w, 50);
    policy.backoff = pick(w, 2) ? 2 : 0;
    policy.max_delay = pick(w, 2) * 60;
    policy.jitter = pick(w, 2) == 0;
  }
  return policy;
}

/* Ids in a random order, so that edges may lead to earlier declared tasks. */
static void random_graph(world *w, model_run *run) {
  uint32_t order[MODEL_TASKS];
  static const uint32_t sizes[] = {3, 8, 20, MODEL_TASKS + 1};
  uint32_t count = pick(w, sizes[pick(w, 4)]), edges = 0;
  uint8_t consumers[MODEL_TASKS] = {0};
  run->count = count;
  for (uint32_t i = 0; i < count; i++) {
    uint32_t j = pick(w, i + 1);
    order[i] = order[j];
    order[j] = i;
  }
  if (count > 1)
    edges = pick(w, count * 2);
  for (; edges > 0; edges--) {
    uint32_t a = pick(w, count), b = pick(w, count);
    if (a == b)
      continue;
    uint32_t before = order[a < b ? a : b], after = order[a < b ? b : a];
    run->tasks[after].waits_for[before] = 1;
    consumers[before] = 1;
  }
  CHECK_EQ(astrum_graph_new(NULL, &run->graph), ASTRUM_OK);
  for (uint32_t t = 0; t < count; t++) {
    astrum_task task;
    char name[16];
    astrum_policy policy = random_policy(w);
    policy.detached = !consumers[t] && pick(w, 6) == 0;
    run->tasks[t].policy = policy;
    int size = snprintf(name, sizeof name, "%" PRIu32, t);
    CHECK_EQ(astrum_graph_add(run->graph, name, (size_t)size, &policy, &task),
             ASTRUM_OK);
  }
  for (uint32_t after = 0; after < count; after++)
    for (uint32_t before = 0; before < count; before++)
      if (run->tasks[after].waits_for[before])
        astrum_graph_edge(run->graph, (astrum_task){before},
                          (astrum_task){after});
  CHECK_EQ(astrum_graph_freeze(run->graph), ASTRUM_OK);
  /* From the last task backwards all consumers are known. */
  for (uint32_t i = count; i-- > 0;) {
    model_task *task = &run->tasks[order[i]];
    task->path = 1;
    for (uint32_t t = 0; t < count; t++)
      if (run->tasks[t].waits_for[order[i]] && run->tasks[t].path >= task->path)
        task->path = run->tasks[t].path + 1;
  }
}

static void init_model_run(model_run *run) {
  run->root = run;
  run->summary.blame = ASTRUM_NO_TASK;
  run->summary.begin = run->summary.end = ASTRUM_NEVER;
  for (uint32_t t = 0; t < run->count; t++) {
    astrum_record *record = &run->tasks[t].record;
    record->ready = record->start = record->end = ASTRUM_NEVER;
    record->blame = ASTRUM_NO_TASK;
    run->summary.tasks += !run->tasks[t].policy.detached;
  }
}

static void open_run(world *w, model_run *parent, uint32_t task) {
  model_run *run = NULL;
  for (int i = 0; i < MODEL_RUNS && !run; i++)
    if (!w->m.runs[i].used)
      run = &w->m.runs[i];
  if (!run)
    return;
  *run = (model_run){0};
  random_graph(w, run);
  init_model_run(run);
  astrum_ticket ticket = {0};
  astrum_run_options options = ASTRUM_RUN_OPTIONS_INIT;
  options.seed = run->seed = pick(w, 1000);
  options.failure_mode = pick(w, 2) ? ASTRUM_KEEP_GOING : ASTRUM_FAIL_FAST;
  run->keep_going = options.failure_mode == ASTRUM_KEEP_GOING;
  options.user = run;
  astrum_err wanted = ASTRUM_OK;
  if (parent) {
    ticket = ticket_of(parent, task);
    options.parent = &ticket;
    run->parent = parent;
    run->parent_task = task;
    run->root = parent->root;
    run->depth = parent->depth + 1;
    if (!model_running(&parent->tasks[task]) || parent->tasks[task].stop)
      wanted = ASTRUM_ESTALE;
  } else {
    options.concurrency = run->concurrency = pick(w, 2) * pick(w, 4);
  }
  size_t refused = w->fault.failed;
  astrum_run id = {12345};
  astrum_err err = astrum_sched_open(w->sched, run->graph, &options, &id);
  if (w->fault.failed > refused)
    wanted = ASTRUM_ENOMEM;
  EXPECT(w, err, wanted);
  if (err) {
    EXPECT(w, id.id, 12345);
    astrum_graph_free(run->graph);
    return;
  }
  run->id = id;
  run->used = 1;
  w->runs++;
  w->nested += parent != NULL;
}

static void begin_run(world *w, model_run *run) {
  EXPECT(w, astrum_sched_begin(w->sched, run->id, w->now),
         run->begun ? ASTRUM_EINVAL : ASTRUM_OK);
  if (run->begun)
    return;
  run->begun = 1;
  run->summary.begin = w->now;
  run->summary.state = ASTRUM_RUNNING;
  model_propagate(&w->m, run, w->now);
  model_verdicts(&w->m, w->now);
}

static void forget_run(world *w, model_run *run) {
  astrum_err wanted = run->closed_told ? ASTRUM_OK : ASTRUM_EBUSY;
  for (int i = 0; i < MODEL_RUNS; i++)
    if (w->m.runs[i].used && w->m.runs[i].parent == run)
      wanted = ASTRUM_EBUSY;
  EXPECT(w, astrum_sched_forget(w->sched, run->id), wanted);
  if (wanted)
    return;
  EXPECT(w, astrum_sched_forget(w->sched, run->id), ASTRUM_ESTALE);
  astrum_graph_free(run->graph);
  run->used = 0;
}

static void cancel_run(world *w, model_run *run) {
  int stuck = pick(w, 4) == 0;
  uint8_t cause = stuck ? ASTRUM_CAUSE_STUCK : ASTRUM_CAUSE_REQUEST;
  EXPECT(w, astrum_sched_cancel(w->sched, run->id, (astrum_cause)cause, w->now),
         ASTRUM_OK);
  model_stop(&w->m, run, stuck ? ASTRUM_FAILED : ASTRUM_CANCELLED, cause,
             ASTRUM_NO_TASK, w->now);
  model_verdicts(&w->m, w->now);
}

/* --- attempts */

static void keep_old(world *w, astrum_ticket ticket) {
  w->old[w->old_count++ % STALE_TICKETS] = ticket;
}

static astrum_outcome random_outcome(world *w) {
  static const astrum_outcome outcomes[] = {
      ASTRUM_SUCCEEDED, ASTRUM_SUCCEEDED, ASTRUM_SUCCEEDED,
      ASTRUM_SUCCEEDED, ASTRUM_SUCCEEDED, ASTRUM_SUCCEEDED,
      ASTRUM_FAILURE,   ASTRUM_FAILURE,   ASTRUM_FAILURE_FINAL,
      ASTRUM_STOPPED};
  return outcomes[pick(w, 10)];
}

static void finish(world *w, model_run *run, uint32_t task) {
  astrum_ticket ticket = ticket_of(run, task);
  astrum_outcome outcome = random_outcome(w);
  int busy = model_has_child(&w->m, run, task);
  size_t count = w->fault.count;
  EXPECT(w, astrum_sched_finished(w->sched, ticket, outcome, w->now),
         busy ? ASTRUM_EBUSY : ASTRUM_OK);
  EXPECT(w, w->fault.count, count);
  w->busy += busy;
  if (busy)
    return;
  keep_old(w, ticket);
  model_finish(&w->m, run, task, outcome, w->now);
  w->retries += run->tasks[task].record.state == ASTRUM_RETRYING;
}

static void answer_twice(world *w) {
  if (w->old_count == 0)
    return;
  astrum_ticket ticket = w->old[pick(
      w, w->old_count < STALE_TICKETS ? w->old_count : STALE_TICKETS)];
  EXPECT(w, astrum_sched_alive(w->sched, ticket), 0);
  EXPECT(w, astrum_sched_finished(w->sched, ticket, ASTRUM_SUCCEEDED, w->now),
         ASTRUM_ESTALE);
  EXPECT(w, astrum_sched_waiting(w->sched, ticket, 1, w->now), ASTRUM_ESTALE);
  w->stale++;
}

static void set_waiting(world *w, model_run *run, uint32_t t, int on) {
  model_task *task = &run->tasks[t];
  astrum_err wanted =
      task->waiting == on || task->resuming ? ASTRUM_EINVAL : ASTRUM_OK;
  EXPECT(w, astrum_sched_waiting(w->sched, ticket_of(run, t), on, w->now),
         wanted);
  if (wanted)
    return;
  if (on) {
    task->waiting = 1;
  } else if (!task->stop) {
    task->resuming = 1;
    task->order = w->m.order++;
  }
}

/* --- actions */

static void check_rank(world *w, int rank) {
  for (int i = 0; i < MODEL_RUNS; i++) {
    const model_run *run = &w->m.runs[i];
    if (run->used &&
        ((rank > 0 && model_cancels(run)) || (rank > 1 && model_news(run))))
      wrong(w, "an action came before one of higher rank");
  }
}

static void take_start(world *w, model_run *run, const astrum_action *action) {
  uint32_t t = action->ticket.task;
  model_task *task = &run->tasks[t];
  int resume = action->kind == ASTRUM_RESUME;
  check_rank(w, 2);
  EXPECT(w, run->stopped, 0);
  EXPECT(w, resume ? task->resuming : task->record.state == ASTRUM_READY, 1);
  EXPECT(w, model_startable(&w->m, run, t), 1);
  EXPECT(w, model_jumps_queue(&w->m, run, t), 0);
  for (uint32_t u = 0; u < run->count; u++)
    if (task->waits_for[u])
      EXPECT(w, run->tasks[u].record.state, ASTRUM_COMPLETED);
  if (resume)
    task->waiting = task->resuming = 0;
  else if (!w->failed)
    model_start(run, t, w->now);
  EXPECT(w, action->ticket.attempt, task->record.attempts);
  w->starts += !resume;
  w->resumes += resume;
}

static void take(world *w, const astrum_action *action) {
  model_run *run = action->user;
  uint32_t t = action->ticket.task;
  w->hash = (w->hash ^ (action->kind * 31u + t * 7u + action->ticket.attempt +
                        action->ticket.run * 1031u)) *
            UINT64_C(1099511628211);
  EXPECT(w, action->ticket.run, run->id.id);
  EXPECT(w, run->used, 1);
  switch ((astrum_action_kind)action->kind) {
  case ASTRUM_START:
  case ASTRUM_RESUME:
    take_start(w, run, action);
    break;
  case ASTRUM_CANCEL:
    EXPECT(w, model_running(&run->tasks[t]), 1);
    EXPECT(w, run->tasks[t].stop, 1);
    EXPECT(w, run->tasks[t].told, 0);
    EXPECT(w, action->cause, run->tasks[t].record.cause);
    EXPECT(w, action->ticket.attempt, run->tasks[t].record.attempts);
    run->tasks[t].told = 1;
    w->cancels++;
    break;
  case ASTRUM_DONE:
  case ASTRUM_CLOSED:
    check_rank(w, 1);
    EXPECT(w, model_news(run), 1);
    EXPECT(w, action->kind == ASTRUM_CLOSED, run->done_told);
    EXPECT(w, action->state, run->summary.state);
    EXPECT(w, action->cause, run->summary.cause);
    if (run->done_told)
      run->closed_told = 1;
    run->done_told = 1;
    break;
  }
}

/* Tasks that could not be started for want of memory, which is the one thing
   that the model cannot foresee. */
static void take_memory_failures(world *w) {
  for (int i = 0; i < MODEL_RUNS; i++) {
    model_run *run = &w->m.runs[i];
    for (uint32_t t = 0; run->used && t < run->count; t++) {
      astrum_record record;
      astrum_sched_record(w->sched, run->id, (astrum_task){t}, &record);
      if (record.cause != ASTRUM_CAUSE_MEMORY || model_final(&run->tasks[t]))
        continue;
      EXPECT(w, run->tasks[t].record.state, ASTRUM_READY);
      EXPECT(w, model_startable(&w->m, run, t), 1);
      model_fail(&w->m, run, t, ASTRUM_CAUSE_MEMORY, w->now);
      model_verdicts(&w->m, w->now);
      w->memory++;
      return;
    }
  }
}

static void next(world *w) {
  astrum_action actions[5];
  size_t room = w->faulty ? 1 : 1 + pick(w, 5), refused = w->fault.failed;
  model_advance(&w->m, w->now);
  size_t count = astrum_sched_next(w->sched, w->now, actions, room);
  for (; refused < w->fault.failed && !w->failed; refused++)
    take_memory_failures(w);
  for (size_t i = 0; i < count && !w->failed; i++)
    take(w, &actions[i]);
  if (count < room && !w->failed && expected_wake(&w->m) == 0)
    wrong(w, "next left actions out");
}

/* --- the host */

static void arm_fault(world *w) {
  if (w->faulty && pick(w, 4) == 0)
    fault_after(&w->fault, pick(w, 4), 0);
}

/* A random run, and one of its running attempts if there is one. */
static model_run *random_run(world *w, uint32_t *task) {
  model_run *used[MODEL_RUNS];
  uint32_t count = 0;
  *task = ASTRUM_NO_TASK;
  for (int i = 0; i < MODEL_RUNS; i++)
    if (w->m.runs[i].used)
      used[count++] = &w->m.runs[i];
  if (count == 0)
    return NULL;
  model_run *run = used[pick(w, count)];
  uint32_t from = pick(w, run->count + 1);
  for (uint32_t i = 0; i < run->count && *task == ASTRUM_NO_TASK; i++)
    if (model_running(&run->tasks[(from + i) % run->count]))
      *task = (from + i) % run->count;
  return run;
}

static void random_event(world *w) {
  uint32_t task, what = pick(w, 100);
  model_run *run = random_run(w, &task);
  arm_fault(w);
  if (what < 30)
    next(w);
  else if (what < 36)
    w->now += pick(w, 20);
  else if (what < 38)
    answer_twice(w);
  else if (what < 39)
    open_run(w, NULL, 0);
  else if (!run)
    return;
  else if (what < 42)
    begin_run(w, run);
  else if (what < 43 && pick(w, 3) == 0)
    cancel_run(w, run);
  else if (what < 45)
    forget_run(w, run);
  else if (task == ASTRUM_NO_TASK)
    return;
  else if (what < 55)
    set_waiting(w, run, task, (int)pick(w, 2));
  else if (what < 60 && run->depth + 1 < DEPTH)
    open_run(w, run, task);
  else
    finish(w, run, task);
}

/* Finishes an attempt, or lets its child runs have its slot. */
static void answer(world *w, model_run *run, uint32_t t) {
  const model_task *task = &run->tasks[t];
  if (!model_running(task))
    return;
  if (!model_has_child(&w->m, run, t))
    finish(w, run, t);
  else if (!task->waiting)
    set_waiting(w, run, t, 1);
}

/* Answers everything. Returns 0 when nothing is left. */
static int drain(world *w) {
  int open = 0;
  for (int i = 0; i < MODEL_RUNS && !w->failed; i++) {
    model_run *run = &w->m.runs[i];
    if (!run->used)
      continue;
    open++;
    if (!run->begun)
      begin_run(w, run);
    for (uint32_t t = 0; t < run->count && !w->failed; t++)
      answer(w, run, t);
    forget_run(w, run);
  }
  next(w);
  uint64_t wake = expected_wake(&w->m);
  if (wake != 0 && wake != ASTRUM_NEVER && wake > w->now)
    w->now = wake;
  return open;
}

static void live(world *w, uint64_t seed) {
  *w = (world){.seed = seed, .random = seed * UINT64_C(0x9e3779b97f4a7c15) + 1};
  w->faulty = seed % 4 == 0;
  w->fault = fault_none();
  w->now = pick(w, 1000);
  astrum_alloc alloc = fault_allocator(&w->fault);
  EXPECT(w, astrum_sched_new(&alloc, &w->sched), ASTRUM_OK);
  open_run(w, NULL, 0);
  int steps = (int)pick(w, 300);
  for (w->step = 0; w->step < steps && !w->failed; w->step++) {
    random_event(w);
    compare(w);
  }
  fault_after(&w->fault, FAULT_NONE - w->fault.count, 0);
  /* Some are freed in the middle. */
  if (pick(w, 10) > 0)
    for (; !w->failed && drain(w); w->step++) {
      compare(w);
      if (w->step > 20000)
        wrong(w, "the runs do not end");
    }
  astrum_sched_free(w->sched);
  EXPECT(w, w->fault.live, 0);
  EXPECT(w, w->fault.wrong_size, 0);
  for (int i = 0; i < MODEL_RUNS; i++)
    if (w->m.runs[i].used)
      astrum_graph_free(w->m.runs[i].graph);
}

int main(int argc, char **argv) {
  static world w, again;
  uint64_t count = argc > 1 ? strtoull(argv[1], NULL, 10) : 2000;
  uint64_t first = argc > 2 ? strtoull(argv[2], NULL, 10) : 1;
  world sum = {0};
  int failed = 0;
  for (uint64_t seed = first; seed - first < count && failed < 5; seed++) {
    live(&w, seed);
    live(&again, seed);
    if (!w.failed && w.hash != again.hash)
      wrong(&w, "the same calls gave other actions");
    failed += w.failed;
    sum.runs += w.runs, sum.starts += w.starts, sum.retries += w.retries;
    sum.cancels += w.cancels, sum.resumes += w.resumes, sum.busy += w.busy;
    sum.memory += w.memory, sum.stale += w.stale, sum.nested += w.nested;
  }
  printf("%" PRIu64 " worlds from seed %" PRIu64
         ": %d runs, %d of them nested, "
         "%d starts, %d delayed retries, %d cancels, %d resumes, %d without "
         "memory, %d busy, %d stale\n",
         count, first, sum.runs, sum.nested, sum.starts, sum.retries,
         sum.cancels, sum.resumes, sum.memory, sum.busy, sum.stale);
  printf("%-6s random_runs_follow_the_model\n", failed ? "FAILED" : "ok");
  printf("%d passed, %d failed\n", !failed, failed > 0);
  return failed > 0 || check_failures > 0;
}
