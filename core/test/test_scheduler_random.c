/*
 * Random runs against the model: graphs, policies, pools, limits, a host that
 * answers late, twice, with old tickets, cancels, nests runs and gives slots
 * back, in virtual time and, in every fourth world, with allocations that fail.
 * After every call everything that can be read is compared.
 *
 *   test_scheduler_random [count] [first seed]     default 10000 1
 */
#include "random_compare.h"

#include <signal.h>

/* --- calls for runs */

/* A call at the present time: first what was due happens. */
static void pass_time(world *w) { model_advance(&w->m, w->now); }

static void begin_run(world *w, model_run *run) {
  trace(w, "begin run %u", run->id.id);
  pass_time(w);
  EXPECT(w, astrum_sched_begin(w->sched, run->id, w->now),
         run->begun ? ASTRUM_EINVAL : ASTRUM_OK);
  if (!run->begun)
    model_begin(&w->m, run, w->now);
}

static void forget_run(world *w, model_run *run) {
  astrum_err wanted = run->closed_told ? ASTRUM_OK : ASTRUM_EBUSY;
  if (model_child(&w->m, run, 0))
    wanted = ASTRUM_EBUSY;
  EXPECT(w, astrum_sched_forget(w->sched, run->id), wanted);
  if (wanted)
    return;
  EXPECT(w, astrum_sched_forget(w->sched, run->id), ASTRUM_ESTALE);
  astrum_graph_free(run->graph);
  run->used = 0;
  w->moved = 1;
}

static void cancel_run(world *w, model_run *run, uint8_t cause) {
  trace(w, "cancel run %u, cause %d; stopped %d, for good %d", run->id.id,
        cause, run->stopped, run->for_good);
  pass_time(w);
  EXPECT(w, astrum_sched_cancel(w->sched, run->id, (astrum_cause)cause, w->now),
         cause == ASTRUM_CAUSE_NONE ? ASTRUM_EINVAL : ASTRUM_OK);
  if (cause == ASTRUM_CAUSE_NONE)
    return;
  w->met.cancelled_twice += run->stopped;
  model_cancel(&w->m, run, cause, w->now);
}

static uint8_t random_cause(world *w) {
  static const uint8_t causes[] = {ASTRUM_CAUSE_REQUEST, ASTRUM_CAUSE_REQUEST,
                                   ASTRUM_CAUSE_REQUEST, ASTRUM_CAUSE_STUCK,
                                   ASTRUM_CAUSE_PARENT,  ASTRUM_CAUSE_NONE};
  return causes[pick(w, 6)];
}

/* --- calls for attempts */

static void keep_old(world *w, astrum_ticket ticket) {
  w->old[w->old_count++ % STALE_TICKETS] = ticket;
}

static astrum_outcome random_outcome(world *w) {
  static const astrum_outcome outcomes[] = {
      ASTRUM_SUCCEEDED, ASTRUM_SUCCEEDED, ASTRUM_SUCCEEDED,
      ASTRUM_SUCCEEDED, ASTRUM_SUCCEEDED, ASTRUM_SUCCEEDED,
      ASTRUM_SUCCEEDED, ASTRUM_SUCCEEDED, ASTRUM_SUCCEEDED,
      ASTRUM_SUCCEEDED, ASTRUM_FAILURE,   ASTRUM_FAILURE,
      ASTRUM_FAILURE,   ASTRUM_FAILURE,   ASTRUM_FAILURE_FINAL,
      ASTRUM_STOPPED,   ASTRUM_DECLINED,  ASTRUM_DECLINED,
      ASTRUM_TIMEOUT};
  if (w->lucky && pick(w, 8) > 0)
    return ASTRUM_SUCCEEDED;
  return outcomes[pick(w, sizeof outcomes / sizeof outcomes[0])];
}

/* Whether an attempt turns out too late in the call that is made now. */
static void note_late(world *w, const model_node *node, uint8_t before) {
  w->met.late += before == ASTRUM_CAUSE_NONE && node->stop != before;
}

/* Answers an attempt with an outcome or, an expansion, with items. */
static void finish(world *w, model_run *run, uint32_t t, uint32_t item) {
  const model_task *task = &run->tasks[t];
  const model_node *node = &task->node[item];
  astrum_ticket ticket = ticket_of(run, t, item);
  astrum_outcome outcome = random_outcome(w);
  int busy = model_has_child(&w->m, run, t, item);
  uint32_t items = pick(w, MODEL_ITEMS + 1);
  uint8_t before = node->stop;
  pass_time(w);
  note_late(w, node, before);
  w->moved = 1;
  if (model_expands(task, item) && outcome == ASTRUM_SUCCEEDED) {
    size_t refused = w->fault.failed;
    astrum_err wanted = ASTRUM_OK;
    astrum_err err = astrum_sched_expanded(w->sched, ticket, items, w->now);
    if (w->fault.failed > refused)
      wanted = ASTRUM_ENOMEM;
    else if (busy)
      wanted = ASTRUM_EBUSY;
    else if (!node->stop && task->policy.max_items &&
             items > task->policy.max_items)
      wanted = ASTRUM_ELIMIT;
    EXPECT(w, err, wanted);
    w->met.too_many_items += err == ASTRUM_ELIMIT;
    if (err)
      return;
  } else {
    size_t count = w->fault.count;
    EXPECT(w, astrum_sched_finished(w->sched, ticket, outcome, w->now),
           busy ? ASTRUM_EBUSY : ASTRUM_OK);
    EXPECT(w, w->fault.count, count);
    w->met.busy += busy;
    w->met.not_expanded += !busy && model_expands(task, item);
    if (busy)
      return;
  }
  trace(w, "answer %u of %u.%u of run %u: outcome %d, %u items", ticket.attempt,
        t, item, run->id.id, outcome, items);
  keep_old(w, ticket);
  w->met.no_items +=
      model_expands(task, item) && outcome == ASTRUM_SUCCEEDED && items == 0;
  model_finish(&w->m, run, t, item, outcome, items, w->now);
}

/* What is said of attempts that are over changes nothing. */
static void answer_twice(world *w) {
  if (w->old_count == 0)
    return;
  astrum_ticket ticket = w->old[pick(
      w, w->old_count < STALE_TICKETS ? w->old_count : STALE_TICKETS)];
  pass_time(w);
  EXPECT(w, astrum_sched_alive(w->sched, ticket), 0);
  EXPECT(w, astrum_sched_stopping(w->sched, ticket), 0);
  EXPECT(w, astrum_sched_deadline(w->sched, ticket), ASTRUM_NEVER);
  EXPECT(w, astrum_sched_finished(w->sched, ticket, ASTRUM_SUCCEEDED, w->now),
         ASTRUM_ESTALE);
  EXPECT(w, astrum_sched_waiting(w->sched, ticket, 1, w->now), ASTRUM_ESTALE);
  EXPECT(w, astrum_sched_progress(w->sched, ticket, w->now), ASTRUM_ESTALE);
  EXPECT(w, astrum_sched_expanded(w->sched, ticket, 1, w->now), ASTRUM_ESTALE);
  w->met.stale++;
}

/* Says something that is wrong of a running attempt. */
static void answer_wrongly(world *w, model_run *run, uint32_t t,
                           uint32_t item) {
  astrum_ticket ticket = ticket_of(run, t, item);
  pass_time(w);
  if (!model_expands(&run->tasks[t], item))
    EXPECT(w, astrum_sched_expanded(w->sched, ticket, 1, w->now),
           ASTRUM_EINVAL);
  *(pick(w, 2) ? &ticket.item : &ticket.attempt) += 1 + MODEL_ITEMS;
  EXPECT(w, astrum_sched_alive(w->sched, ticket), 0);
  EXPECT(w, astrum_sched_finished(w->sched, ticket, ASTRUM_SUCCEEDED, w->now),
         ASTRUM_ESTALE);
}

static void set_waiting(world *w, model_run *run, uint32_t t, uint32_t item,
                        int on) {
  model_node *node = &run->tasks[t].node[item];
  pass_time(w);
  astrum_err wanted =
      node->waiting == on || node->resuming ? ASTRUM_EINVAL : ASTRUM_OK;
  EXPECT(w, astrum_sched_waiting(w->sched, ticket_of(run, t, item), on, w->now),
         wanted);
  if (wanted)
    return;
  trace(w, "waiting %d for %u.%u of run %u", on, t, item, run->id.id);
  w->moved = 1;
  if (on) {
    node->waiting = 1;
  } else if (!node->stop) {
    node->resuming = 1;
    node->order = w->m.order++;
  }
}

static void tell_progress(world *w, model_run *run, uint32_t t, uint32_t item) {
  pass_time(w);
  EXPECT(w, astrum_sched_progress(w->sched, ticket_of(run, t, item), w->now),
         ASTRUM_OK);
  trace(w, "progress of %u.%u of run %u", t, item, run->id.id);
  model_progress(&w->m, run, t, item, w->now);
  w->met.progress++;
}

/* --- actions */

/* Nothing of a lower rank may be left when an action of `rank` comes. */
static void check_rank(world *w, int rank) {
  for (int r = 0; r < MODEL_RUNS && !w->quiet; r++) {
    const model_run *run = &w->m.runs[r];
    if (run->used &&
        ((rank > 0 && run->changes_told < run->change_count) ||
         (rank > 1 && model_cancels(run)) || (rank > 2 && model_news(run))))
      wrong(w, "an action came before one of higher rank");
  }
}

static void take_change(world *w, model_run *run, const astrum_action *action) {
  const astrum_action *want = &run->changed[run->changes_told++];
  if (run->changes_told > run->change_count) {
    wrong(w, "a change too many was told");
    return;
  }
  EXPECT(w, action->ticket.task, want->ticket.task);
  EXPECT(w, action->ticket.item, want->ticket.item);
  EXPECT(w, action->ticket.attempt, want->ticket.attempt);
  EXPECT(w, action->state, want->state);
  EXPECT(w, action->cause, want->cause);
  uint64_t order = run->changed_order[run->changes_told - 1];
  for (int r = 0; r < MODEL_RUNS; r++) {
    const model_run *other = &w->m.runs[r];
    if (other->used && other->changes_told < other->change_count)
      EXPECT(w, other->changed_order[other->changes_told] > order, 1);
  }
  w->met.changes++;
}

static void take_start(world *w, model_run *run, const astrum_action *action) {
  uint32_t t = action->ticket.task, item = action->ticket.item;
  model_task *task = &run->tasks[t];
  model_node *node = &task->node[item];
  int resume = action->kind == ASTRUM_RESUME;
  if (!w->quiet) {
    check_rank(w, 3);
    EXPECT(w, model_goes_on(run, task), 1);
    EXPECT(w, resume ? node->resuming : node->record.state == ASTRUM_READY, 1);
    EXPECT(w, model_startable(&w->m, run, t, item) <= w->now, 1);
    EXPECT(w, model_jumps_queue(&w->m, run, t, item), 0);
    EXPECT(w, !resume && model_attempts_used(run, t, item), 0);
    if (!w->faulty && !run->root->concurrency && !run->root->pool_count &&
        !run->root->max_total_attempts)
      EXPECT(w, model_starts_twice(&w->m, run), 0);
  }
  if (!resume)
    EXPECT(w, action->kind == ASTRUM_EXPAND, model_expands(task, item));
  if (resume)
    node->waiting = node->resuming = 0;
  else if (!w->failed)
    model_start(&w->m, run, t, item, w->now);
  EXPECT(w, action->ticket.attempt, node->record.attempts);
  w->met.starts += !resume;
  w->met.item_starts += !resume && item > 0;
  w->met.expansions += action->kind == ASTRUM_EXPAND;
  w->met.resumes += resume;
}

static void take_cancel(world *w, model_run *run, const astrum_action *action) {
  model_node *node = &run->tasks[action->ticket.task].node[action->ticket.item];
  check_rank(w, 1);
  EXPECT(w, node->live, 1);
  EXPECT(w, node->told, 0);
  EXPECT(w, action->cause, node->stop);
  EXPECT(w, action->ticket.attempt, node->record.attempts);
  if (node->stop == ASTRUM_CAUSE_NONE)
    wrong(w, "an attempt is asked to stop for no reason");
  node->told = 1;
  w->met.cancels++;
}

static void take_news(world *w, model_run *run, const astrum_action *action) {
  check_rank(w, 2);
  EXPECT(w, model_news(run), 1);
  EXPECT(w, action->kind == ASTRUM_CLOSED, run->done_told);
  EXPECT(w, action->state, run->summary.state);
  EXPECT(w, action->cause, run->summary.cause);
  if (run->done_told)
    run->closed_told = 1;
  run->done_told = 1;
}

static void take(world *w, const astrum_action *action) {
  static const char *const kinds[] = {
      [ASTRUM_CHANGED] = "changed", [ASTRUM_START] = "start",
      [ASTRUM_EXPAND] = "expand",   [ASTRUM_RESUME] = "resume",
      [ASTRUM_CANCEL] = "cancel",   [ASTRUM_DONE] = "done",
      [ASTRUM_CLOSED] = "closed"};
  model_run *run = action->user;
  w->hash = (w->hash ^ (action->kind * 31u + action->ticket.task * 7u +
                        action->ticket.attempt + action->ticket.item * 131u +
                        action->ticket.run * 1031u)) *
            UINT64_C(1099511628211);
  w->moved = 1;
  trace(w, "take %s, attempt %u of %u.%u of run %u, state %d, cause %d",
        kinds[action->kind], action->ticket.attempt, action->ticket.task,
        action->ticket.item, run->id.id, action->state, action->cause);
  EXPECT(w, action->ticket.run, run->id.id);
  EXPECT(w, run->used, 1);
  if (action->kind != ASTRUM_DONE && action->kind != ASTRUM_CLOSED &&
      (action->ticket.task >= run->count ||
       action->ticket.item > model_items(&run->tasks[action->ticket.task]))) {
    wrong(w, "an action is for a task that is not there");
    return;
  }
  switch ((astrum_action_kind)action->kind) {
  case ASTRUM_CHANGED:
    take_change(w, run, action);
    break;
  case ASTRUM_START:
  case ASTRUM_EXPAND:
  case ASTRUM_RESUME:
    take_start(w, run, action);
    break;
  case ASTRUM_CANCEL:
    take_cancel(w, run, action);
    break;
  case ASTRUM_DONE:
  case ASTRUM_CLOSED:
    take_news(w, run, action);
    break;
  }
}

/* A task that failed when it was its turn, without a word. Returns 0 when it
   did not. */
static int take_failure(world *w, model_run *run, uint32_t t, uint32_t item) {
  const model_node *node = &run->tasks[t].node[item];
  astrum_record record = {0};
  if (node->record.state != ASTRUM_READY)
    return 0;
  read_record(w, run, t, item, &record);
  if (record.cause != ASTRUM_CAUSE_MEMORY &&
      record.cause != ASTRUM_CAUSE_ATTEMPTS)
    return 0;
  if (model_startable(&w->m, run, t, item) > w->now ||
      model_jumps_queue(&w->m, run, t, item))
    return 0;
  EXPECT(w, model_attempts_used(run, t, item),
         record.cause == ASTRUM_CAUSE_ATTEMPTS);
  model_fail(&w->m, run, t, item, record.cause, w->now);
  w->met.memory += record.cause == ASTRUM_CAUSE_MEMORY;
  w->met.attempts_used += record.cause == ASTRUM_CAUSE_ATTEMPTS;
  w->moved = 1;
  return 1;
}

/* The first such failure in a run of this depth. */
static int take_failure_at(world *w, uint32_t depth) {
  for (int r = 0; r < MODEL_RUNS; r++) {
    model_run *run = &w->m.runs[r];
    if (!run->used || run->depth != depth)
      continue;
    for (uint32_t t = 0; t < run->count; t++)
      for (uint32_t i = 0; i <= model_items(&run->tasks[t]); i++)
        if (take_failure(w, run, t, i))
          return 1;
  }
  return 0;
}

/* Tasks that could not be started: for want of memory, which is the one thing
   that the model cannot foresee, or of attempts. The order among runs is not
   known; what failed in a run did so before the run around it stopped. */
static void take_failures(world *w) {
  for (uint32_t depth = DEPTH; depth-- > 0 && !w->failed;)
    if (take_failure_at(w, depth))
      depth = DEPTH;
}

static int limits_attempts(const world *w) {
  for (int r = 0; r < MODEL_RUNS; r++)
    if (w->m.runs[r].used && w->m.runs[r].max_total_attempts)
      return 1;
  return 0;
}

static void next(world *w) {
  astrum_action actions[5];
  int fails = w->faulty || limits_attempts(w), memory = w->met.memory;
  size_t room = 1 + pick(w, 5), refused = w->fault.failed;
  if (fails)
    room = 1;
  pass_time(w);
  size_t count = astrum_sched_next(w->sched, w->now, actions, room);
  if (fails)
    take_failures(w);
  EXPECT(w, w->met.memory - memory, w->fault.failed - refused);
  for (size_t i = 0; i < count && !w->failed; i++)
    take(w, &actions[i]);
  if (count < room && !w->failed && !w->quiet && model_wake(&w->m) == 0)
    wrong(w, "next left actions out");
}

/* --- the host */

static void arm_fault(world *w) {
  if (w->faulty && once_in(w, 4))
    fault_after(&w->fault, pick(w, 4), 0);
}

typedef struct {
  model_run *run;
  uint32_t task, item;
} attempt;

/* A random run, and one of its running attempts if there is one. */
static attempt random_attempt(world *w) {
  model_run *used[MODEL_RUNS];
  uint32_t count = 0;
  attempt found = {.task = ASTRUM_NO_TASK};
  for (int r = 0; r < MODEL_RUNS; r++)
    if (w->m.runs[r].used)
      used[count++] = &w->m.runs[r];
  if (count == 0)
    return found;
  model_run *run = found.run = used[pick(w, count)];
  uint32_t from = pick(w, run->count + 1), skip = pick(w, 3);
  for (uint32_t n = 0; n < run->count; n++) {
    uint32_t t = (from + n) % run->count;
    for (uint32_t i = 0; i <= model_items(&run->tasks[t]); i++) {
      if (!run->tasks[t].node[i].live)
        continue;
      found.task = t;
      found.item = i;
      if (skip-- == 0)
        return found;
    }
  }
  return found;
}

static void random_event(world *w) {
  uint32_t what = pick(w, 100);
  attempt at = random_attempt(w);
  arm_fault(w);
  if (what < 30)
    next(w);
  else if (what < 36)
    w->now += pick(w, once_in(w, 5) ? 200 : 15);
  else if (what < 38)
    answer_twice(w);
  else if (what < 39)
    open_run(w, NULL, 0, 0);
  else if (!at.run)
    return;
  else if (what < 42)
    begin_run(w, at.run);
  else if (what < 43)
    once_in(w, 2) ? cancel_run(w, at.run, random_cause(w)) : (void)0;
  else if (what < 45)
    forget_run(w, at.run);
  else if (at.task == ASTRUM_NO_TASK)
    return;
  else if (what < 55)
    set_waiting(w, at.run, at.task, at.item, (int)pick(w, 2));
  else if (what < 60 && at.run->depth + 1 < DEPTH)
    open_run(w, at.run, at.task, at.item);
  else if (what < 64)
    tell_progress(w, at.run, at.task, at.item);
  else if (what < 65)
    answer_wrongly(w, at.run, at.task, at.item);
  else
    finish(w, at.run, at.task, at.item);
}

/* Finishes an attempt, or lets its child runs have its slot. */
static void answer(world *w, model_run *run, uint32_t t, uint32_t item) {
  const model_node *node = &run->tasks[t].node[item];
  if (!node->live)
    return;
  if (!model_has_child(&w->m, run, t, item))
    finish(w, run, t, item);
  else if (!node->waiting)
    set_waiting(w, run, t, item, 1);
}

/* Attempts that hold units can wait for runs that want the same units. */
static void cancel_stuck(world *w) {
  for (int r = 0; r < MODEL_RUNS; r++) {
    model_run *run = &w->m.runs[r];
    if (!run->used || run->parent || run->closed_told)
      continue;
    EXPECT(w, run->pool_count > 0, 1);
    cancel_run(w, run, ASTRUM_CAUSE_STUCK);
    w->met.stuck++;
    return;
  }
}

/* Answers what runs, most of the time. Returns 0 when nothing is left. */
static int drain(world *w) {
  int open = 0;
  w->moved = 0;
  for (int r = 0; r < MODEL_RUNS && !w->failed; r++) {
    model_run *run = &w->m.runs[r];
    if (!run->used)
      continue;
    open++;
    if (!run->begun) {
      begin_run(w, run);
      w->moved = 1;
    }
    for (uint32_t t = 0; t < run->count && !w->failed; t++)
      for (uint32_t i = 0; i <= model_items(&run->tasks[t]); i++)
        if (w->step % 4 > 0 || once_in(w, 2))
          answer(w, run, t, i);
        else
          w->moved = 1;
    forget_run(w, run);
  }
  next(w);
  uint64_t wake = model_wake(&w->m);
  if (wake != 0 && wake != ASTRUM_NEVER && wake > w->now)
    w->now = wake;
  else if (wake == ASTRUM_NEVER && open && !w->moved)
    cancel_stuck(w);
  return open;
}

static void live(world *w, uint64_t seed, int quiet, int loud) {
  memset(w, 0, offsetof(world, m));
  for (int r = 0; r < MODEL_RUNS; r++)
    w->m.runs[r].used = 0;
  memset(&w->m.order, 0, sizeof *w - offsetof(world, m.order));
  w->seed = seed;
  w->random = seed * UINT64_C(0x9e3779b97f4a7c15) + 1;
  w->quiet = quiet;
  w->loud = loud;
  w->faulty = seed % 4 == 0;
  w->lucky = pick(w, 2) > 0;
  w->has_triggers = pick(w, 3) > 0;
  w->has_maps = pick(w, 3) > 0;
  w->has_pools = pick(w, 3) > 0;
  w->has_times = pick(w, 3) > 0;
  w->has_ranks = pick(w, 2) > 0;
  w->has_attempts = pick(w, 4) == 0;
  w->fault = fault_none();
  w->now = pick(w, 1000);
  astrum_alloc alloc = fault_allocator(&w->fault);
  EXPECT(w, astrum_sched_new(&alloc, &w->sched), ASTRUM_OK);
  open_run(w, NULL, 0, 0);
  if (once_in(w, 2) && w->m.runs[0].used)
    begin_run(w, &w->m.runs[0]);
  int steps = (int)pick(w, 400);
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
  for (int r = 0; r < MODEL_RUNS; r++)
    if (w->m.runs[r].used)
      astrum_graph_free(w->m.runs[r].graph);
}

/* --- what was met */

typedef struct {
  const char *name;
  long long times;
} met;

enum { KINDS = 64 };

static void add(met *kinds, const char *name, long long times) {
  for (int i = 0; i < KINDS; i++) {
    if (kinds[i].name && strcmp(kinds[i].name, name) != 0)
      continue;
    kinds[i].name = name;
    kinds[i].times += times;
    return;
  }
}

static void add_world(met *kinds, const world *w) {
  static const char *const come[] = {"all_success come", "all_done come",
                                     "all_failed come",  "one_success come",
                                     "one_failed come",  "none_failed come",
                                     "min_one come",     "always come"};
  static const char *const skip[] = {"all_success skip", NULL,
                                     "all_failed skip",  "one_success skip",
                                     "one_failed skip",  "none_failed skip",
                                     "min_one skip",     NULL};
  const model *m = &w->m;
#define ADD(name) add(kinds, #name, w->met.name);
  WORLD_COUNTS(ADD)
#undef ADD
#define ADD(name) add(kinds, #name, m->name);
  MODEL_COUNTS(ADD)
#undef ADD
  for (int i = 0; i <= ASTRUM_ALWAYS; i++) {
    add(kinds, come[i], m->triggered[i]);
    if (skip[i])
      add(kinds, skip[i], m->skipped[i]);
  }
}

/* Returns the number of things that were never met. */
static int print_met(const met *kinds) {
  int missing = 0;
  for (int i = 0; i < KINDS && kinds[i].name; i++) {
    printf("%s%s %lld", i ? ", " : "", kinds[i].name, kinds[i].times);
    missing += kinds[i].times == 0;
  }
  printf("\n");
  return missing;
}

static uint64_t playing;

/* An assertion of the scheduler, or worse. */
static void print_seed(int number) {
  printf("crashed in seed %" PRIu64
         "\n  replay: test_scheduler_random 1 %" PRIu64 "\n",
         playing, playing);
  fflush(stdout);
  signal(number, SIG_DFL);
  raise(number);
}

int main(int argc, char **argv) {
  static world w, again;
  static met kinds[KINDS];
  uint64_t count = argc > 1 ? strtoull(argv[1], NULL, 10) : 10000;
  uint64_t first = argc > 2 ? strtoull(argv[2], NULL, 10) : 1;
  int failed = 0;
  if (count > 1) {
    signal(SIGABRT, print_seed);
    signal(SIGSEGV, print_seed);
  }
  for (uint64_t seed = first; seed - first < count && failed < 5; seed++) {
    playing = seed;
    live(&w, seed, 0, count == 1);
    live(&again, seed, 1, 0);
    if (!w.failed && w.hash != again.hash)
      wrong(&w, "the same calls gave other actions");
    failed += w.failed;
    add_world(kinds, &w);
  }
  printf("%" PRIu64 " worlds from seed %" PRIu64 ": ", count, first);
  int missing = print_met(kinds);
  if (count >= 1000 && missing > 0) {
    printf("%d of these were never met\n", missing);
    failed++;
  }
  printf("%-6s random_runs_follow_the_model\n", failed ? "FAILED" : "ok");
  printf("%d passed, %d failed\n", !failed, failed > 0);
  return failed > 0 || check_failures > 0;
}
