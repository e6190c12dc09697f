/* Flows: bodies in C, their values, errors, and attempts that end later. */
#include "fault.h"

#include <sys/wait.h>
#include <unistd.h>

enum { TASKS_MAX = 8 };

/* What a body is told to do, and what it saw. */
typedef struct {
  int outcome;  /* of the last attempt */
  int failures; /* attempts before it that are to fail */
  int64_t value;
  const char *error;
  int calls;
  astrum_call *late;
  int cancelled;
} plan;

/* A graph from a text: "a; b: a; c: a b". */
static astrum_graph *graph_of(const char *text, const astrum_policy *policy) {
  astrum_graph *graph = NULL;
  astrum_task task, before;
  CHECK_EQ(astrum_graph_new(NULL, &graph), ASTRUM_OK);
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
  CHECK_EQ(astrum_graph_freeze(graph), ASTRUM_OK);
  return graph;
}

/* Returns its own value and the sum of its inputs. */
static int add(astrum_call *call, void *user) {
  plan *p = user;
  int64_t sum = p->value;
  p->calls++;
  for (uint32_t i = 0; i < astrum_call_input_count(call); i++)
    sum += astrum_call_input(call, i).integer;
  astrum_call_return_integer(call, sum);
  if (p->error)
    astrum_call_error(call, p->error);
  return p->failures-- > 0 ? ASTRUM_FAILURE : p->outcome;
}

static astrum_flow *new_flow(const astrum_graph *graph, plan *plans,
                             astrum_function function) {
  astrum_flow *flow = NULL;
  CHECK_EQ(astrum_flow_new(graph, NULL, NULL, &flow), ASTRUM_OK);
  for (uint32_t i = 0; i < astrum_graph_task_count(graph); i++)
    CHECK_EQ(astrum_flow_set(flow, (astrum_task){i}, function, &plans[i]),
             ASTRUM_OK);
  return flow;
}

static uint8_t state(const astrum_flow *flow, uint32_t task) {
  astrum_record record = {0};
  CHECK_EQ(astrum_flow_record(flow, (astrum_task){task}, &record), ASTRUM_OK);
  return record.state;
}

static int64_t integer(const astrum_flow *flow, uint32_t task) {
  return astrum_flow_value(flow, (astrum_task){task}).integer;
}

static const char *error(const astrum_flow *flow, uint32_t task) {
  return astrum_flow_error(flow, (astrum_task){task});
}

#define SETUP(text, policy, function)                                          \
  plan plans[TASKS_MAX] = {{0}};                                               \
  astrum_summary sum = {0};                                                    \
  astrum_graph *graph = graph_of(text, policy);                                \
  astrum_flow *flow = new_flow(graph, plans, function)

#define TEARDOWN()                                                             \
  astrum_flow_free(flow);                                                      \
  astrum_graph_free(graph)

/* --- values */

TEST(tasks_get_the_values_of_the_tasks_they_wait_for) {
  SETUP("a; b; c: b a; d: c", NULL, add);
  for (int i = 0; i < 4; i++)
    plans[i].value = 1 << i;
  CHECK_EQ(astrum_flow_run(flow, NULL, &sum), ASTRUM_OK);
  CHECK_EQ(sum.state, ASTRUM_COMPLETED);
  CHECK_EQ(sum.completed, 4);
  CHECK_EQ(integer(flow, 2), 1 + 2 + 4);
  CHECK_EQ(integer(flow, 3), 1 + 2 + 4 + 8);
  CHECK(error(flow, 3) == NULL);
  TEARDOWN();
}

static int subtract(astrum_call *call, void *user) {
  plan *p = user;
  if (astrum_call_input_count(call) == 2)
    p->value =
        astrum_call_input(call, 0).integer - astrum_call_input(call, 1).integer;
  astrum_call_return_integer(call, p->value);
  return ASTRUM_SUCCEEDED;
}

TEST(inputs_are_in_the_order_of_the_edges) {
  SETUP("a; b; c: b a", NULL, subtract);
  plans[0].value = 10;
  plans[1].value = 3;
  CHECK_EQ(astrum_flow_run(flow, NULL, &sum), ASTRUM_OK);
  CHECK_EQ(integer(flow, 2), 3 - 10);
  TEARDOWN();
}

static int released;

static void release(void *data, size_t size) {
  released++;
  *(char *)data = 'x';
  CHECK_EQ(size, 6);
}

/* The first task returns text, the second one looks at it. */
static int text_body(astrum_call *call, void *user) {
  plan *p = user;
  static char text[] = "hello";
  static char other[] = "other";
  p->calls++;
  if (astrum_call_input_count(call) == 0) {
    memcpy(text, "hello", 6);
    CHECK_EQ(astrum_call_return_data(call, other, sizeof other, release),
             ASTRUM_OK);
    CHECK_EQ(astrum_call_return_data(call, text, sizeof text, release),
             ASTRUM_OK);
    CHECK_EQ(released, 1);
    CHECK_EQ(astrum_call_return_data(call, NULL, 6, release), ASTRUM_EINVAL);
    return p->failures-- > 0 ? ASTRUM_FAILURE : ASTRUM_SUCCEEDED;
  }
  astrum_value value = astrum_call_input(call, 0);
  CHECK_STR(value.data, "hello");
  CHECK_EQ(value.size, 6);
  CHECK_EQ(value.integer, 0);
  value = astrum_call_input(call, 1);
  CHECK(value.data == NULL && value.size == 0 && value.integer == 0);
  return ASTRUM_SUCCEEDED;
}

TEST(data_goes_by_reference_and_is_released_once) {
  SETUP("a; b: a", NULL, text_body);
  released = 0;
  CHECK_EQ(astrum_flow_run(flow, NULL, &sum), ASTRUM_OK);
  CHECK_EQ(plans[1].calls, 1);
  CHECK_EQ(released, 1);
  CHECK_STR(astrum_flow_value(flow, (astrum_task){0}).data, "hello");
  TEARDOWN();
  CHECK_EQ(released, 2);
}

TEST(data_of_an_attempt_that_fails_is_released_at_once) {
  SETUP("a", NULL, text_body);
  released = 0;
  plans[0].failures = 1;
  CHECK_EQ(astrum_flow_run(flow, NULL, &sum), ASTRUM_OK);
  CHECK_EQ(sum.state, ASTRUM_FAILED);
  CHECK_EQ(released, 2);
  CHECK(astrum_flow_value(flow, (astrum_task){0}).data == NULL);
  TEARDOWN();
  CHECK_EQ(released, 2);
}

TEST(a_second_run_begins_without_the_values_of_the_first) {
  SETUP("a; b: a", NULL, add);
  plans[0].value = 5;
  CHECK_EQ(astrum_flow_run(flow, NULL, &sum), ASTRUM_OK);
  CHECK_EQ(integer(flow, 1), 5);
  plans[0].outcome = ASTRUM_FAILURE;
  CHECK_EQ(astrum_flow_run(flow, NULL, &sum), ASTRUM_OK);
  CHECK_EQ(sum.state, ASTRUM_FAILED);
  CHECK_EQ(integer(flow, 1), 0);
  CHECK_EQ(state(flow, 1), ASTRUM_SKIPPED);
  TEARDOWN();
}

/* --- failures */

TEST(a_failed_task_has_the_text_of_its_error) {
  SETUP("a; b: a; c", NULL, add);
  astrum_run_options options = ASTRUM_RUN_OPTIONS_INIT;
  options.failure_mode = ASTRUM_KEEP_GOING;
  char text[] = "no paper";
  plans[0].outcome = ASTRUM_FAILURE;
  plans[0].error = text;
  plans[2].error = "not used";
  CHECK_EQ(astrum_flow_run(flow, &options, &sum), ASTRUM_OK);
  text[0] = '?';
  CHECK_EQ(sum.state, ASTRUM_FAILED);
  CHECK_STR(error(flow, 0), "no paper");
  CHECK_EQ(state(flow, 1), ASTRUM_SKIPPED);
  CHECK(error(flow, 1) == NULL);
  CHECK_EQ(state(flow, 2), ASTRUM_COMPLETED);
  CHECK(error(flow, 2) == NULL);
  TEARDOWN();
}

TEST(a_task_that_fails_without_a_text_has_one_too) {
  SETUP("a", NULL, add);
  plans[0].outcome = 77;
  CHECK_EQ(astrum_flow_run(flow, NULL, &sum), ASTRUM_OK);
  CHECK_STR(error(flow, 0), "the function gave no reason");
  TEARDOWN();
}

TEST(a_failed_attempt_is_retried_and_leaves_no_error) {
  astrum_policy policy = ASTRUM_POLICY_INIT;
  policy.max_retries = 2;
  SETUP("a; b: a", &policy, add);
  plans[0].failures = 2;
  plans[0].value = 4;
  CHECK_EQ(astrum_flow_run(flow, NULL, &sum), ASTRUM_OK);
  CHECK_EQ(plans[0].calls, 3);
  CHECK_EQ(sum.state, ASTRUM_COMPLETED);
  CHECK_EQ(integer(flow, 1), 4);
  CHECK(error(flow, 0) == NULL);
  TEARDOWN();
}

/* --- attempts that end later */

static void on_cancel(astrum_call *call, void *user) {
  plan *p = user;
  CHECK(call == p->late);
  p->cancelled++;
  astrum_call_error(call, "cancelled");
  p->late = NULL;
  astrum_call_finish(call, ASTRUM_STOPPED);
}

static int go_on_later(astrum_call *call, void *user) {
  plan *p = user;
  astrum_call *other = NULL;
  p->calls++;
  astrum_call_return_integer(call, 99);
  CHECK_EQ(astrum_call_later(call, on_cancel, p, &p->late), ASTRUM_OK);
  CHECK_EQ(astrum_call_later(call, on_cancel, p, &other), ASTRUM_EINVAL);
  CHECK_EQ(astrum_call_later(p->late, on_cancel, p, &other), ASTRUM_EINVAL);
  CHECK_EQ(astrum_call_task(p->late).id, astrum_call_task(call).id);
  CHECK_EQ(astrum_call_attempt(p->late), astrum_call_attempt(call));
  return ASTRUM_LATER;
}

typedef struct {
  astrum_timer timer;
  astrum_call *call;
} sleeper;

static void wake_up(astrum_timer *timer) {
  sleeper *s = (sleeper *)(void *)timer;
  int64_t sum = 1;
  for (uint32_t i = 0; i < astrum_call_input_count(s->call); i++)
    sum += astrum_call_input(s->call, i).integer;
  astrum_call_return_integer(s->call, sum);
  astrum_call_finish(s->call, ASTRUM_SUCCEEDED);
}

static int sleep_a_little(astrum_call *call, void *user) {
  sleeper *s = user;
  astrum_loop *loop = astrum_flow_loop(astrum_call_flow(call));
  s->timer.fire = wake_up;
  if (astrum_call_later(call, NULL, NULL, &s->call) ||
      astrum_timer_start(loop, &s->timer, astrum_loop_now(loop) + 1000000))
    return ASTRUM_FAILURE;
  return ASTRUM_LATER;
}

TEST(attempts_that_end_later_run_side_by_side) {
  plan plans[TASKS_MAX] = {{0}};
  astrum_graph *graph = graph_of("a; b; c: a b", NULL);
  astrum_flow *flow = new_flow(graph, plans, add);
  sleeper sleepers[3] = {{{0}, NULL}};
  astrum_summary sum = {0};
  for (uint32_t i = 0; i < 3; i++)
    astrum_flow_set(flow, (astrum_task){i}, sleep_a_little, &sleepers[i]);
  CHECK_EQ(astrum_flow_run(flow, NULL, &sum), ASTRUM_OK);
  CHECK_EQ(sum.state, ASTRUM_COMPLETED);
  CHECK_EQ(integer(flow, 2), 3);
  astrum_record a, b;
  astrum_flow_record(flow, (astrum_task){0}, &a);
  astrum_flow_record(flow, (astrum_task){1}, &b);
  CHECK(b.start < a.end && a.start < b.end);
  TEARDOWN();
}

TEST(a_failure_cancels_attempts_that_would_end_later) {
  SETUP("a; b; c: a", NULL, add);
  astrum_flow_set(flow, (astrum_task){0}, go_on_later, &plans[0]);
  plans[1].outcome = ASTRUM_FAILURE;
  CHECK_EQ(astrum_flow_run(flow, NULL, &sum), ASTRUM_OK);
  CHECK_EQ(sum.state, ASTRUM_FAILED);
  CHECK_EQ(plans[0].cancelled, 1);
  CHECK_EQ(state(flow, 0), ASTRUM_CANCELLED);
  CHECK_EQ(integer(flow, 0), 0);
  CHECK(error(flow, 0) == NULL);
  CHECK_EQ(plans[2].calls, 0);
  TEARDOWN();
}

TEST(attempts_that_nothing_ends_are_cancelled_as_stuck) {
  SETUP("a", NULL, go_on_later);
  CHECK_EQ(astrum_flow_run(flow, NULL, &sum), ASTRUM_OK);
  CHECK_EQ(plans[0].cancelled, 1);
  CHECK_EQ(sum.state, ASTRUM_FAILED);
  CHECK_EQ(sum.cause, ASTRUM_CAUSE_STUCK);
  TEARDOWN();
}

static int never_end(astrum_call *call, void *user) {
  plan *p = user;
  static char text[] = "hello";
  CHECK_EQ(astrum_call_later(call, NULL, NULL, &p->late), ASTRUM_OK);
  CHECK_EQ(astrum_call_return_data(p->late, text, sizeof text, release),
           ASTRUM_OK);
  return ASTRUM_LATER;
}

TEST(a_run_that_cannot_be_ended_is_given_up) {
  SETUP("a; b: a", NULL, never_end);
  released = 0;
  CHECK_EQ(astrum_flow_run(flow, NULL, &sum), ASTRUM_EIDLE);
  CHECK_EQ(sum.state, ASTRUM_FAILED);
  CHECK_EQ(state(flow, 0), ASTRUM_CANCELLED);
  CHECK_EQ(state(flow, 1), ASTRUM_SKIPPED);
  CHECK(astrum_call_flow(plans[0].late) == NULL);
  CHECK_EQ(astrum_call_input_count(plans[0].late), 0);
  CHECK_EQ(released, 0);
  astrum_flow_set(flow, (astrum_task){0}, add, &plans[0]);
  astrum_flow_set(flow, (astrum_task){1}, add, &plans[1]);
  astrum_call *late = plans[0].late;
  CHECK_EQ(astrum_flow_run(flow, NULL, &sum), ASTRUM_OK);
  CHECK_EQ(sum.state, ASTRUM_COMPLETED);
  TEARDOWN();
  astrum_call_finish(late, ASTRUM_SUCCEEDED);
  CHECK_EQ(released, 1);
}

static int forget_to_ask(astrum_call *call, void *user) {
  (void)call;
  (void)user;
  return ASTRUM_LATER;
}

TEST(later_without_having_asked_for_it_is_a_failure) {
  SETUP("a", NULL, forget_to_ask);
  CHECK_EQ(astrum_flow_run(flow, NULL, &sum), ASTRUM_OK);
  CHECK_STR(error(flow, 0), "the function returned ASTRUM_LATER and did not "
                            "call astrum_call_later");
  TEARDOWN();
}

static int end_in_place(astrum_call *call, void *user) {
  plan *p = user;
  CHECK_EQ(astrum_call_later(call, NULL, NULL, &p->late), ASTRUM_OK);
  astrum_call_return_integer(p->late, 7);
  astrum_call_finish(p->late, ASTRUM_SUCCEEDED);
  return ASTRUM_LATER;
}

TEST(a_call_may_be_finished_before_its_function_returns) {
  SETUP("a; b: a", NULL, end_in_place);
  CHECK_EQ(astrum_flow_run(flow, NULL, &sum), ASTRUM_OK);
  CHECK_EQ(sum.completed, 2);
  CHECK_EQ(integer(flow, 1), 7);
  TEARDOWN();
}

/* --- what is refused */

static int misuse(astrum_call *call, void *user) {
  astrum_flow *flow = astrum_call_flow(call);
  CHECK_EQ(astrum_flow_run(flow, NULL, NULL), ASTRUM_EBUSY);
  CHECK_EQ(astrum_flow_set(flow, astrum_call_task(call), misuse, user),
           ASTRUM_EBUSY);
  astrum_flow_cancel(flow);
  return ASTRUM_SUCCEEDED;
}

TEST(a_function_can_cancel_its_run_but_not_run_or_change_the_flow) {
  SETUP("a; b: a", NULL, misuse);
  astrum_flow_cancel(flow);
  CHECK_EQ(astrum_flow_run(flow, NULL, &sum), ASTRUM_OK);
  CHECK_EQ(sum.state, ASTRUM_CANCELLED);
  CHECK_EQ(state(flow, 0), ASTRUM_CANCELLED);
  CHECK_EQ(state(flow, 1), ASTRUM_SKIPPED);
  TEARDOWN();
}

TEST(a_flow_is_not_run_in_a_forked_process) {
  SETUP("a", NULL, add);
  fflush(stdout);
  pid_t child = fork();
  if (child == 0) {
    astrum_record record;
    int refused = astrum_flow_run(flow, NULL, NULL) == ASTRUM_EINVAL;
    int untouched =
        astrum_flow_record(flow, (astrum_task){0}, &record) == ASTRUM_ESTALE;
    TEARDOWN();
    _exit(refused && untouched ? 0 : 1);
  }
  int status = -1;
  CHECK_EQ(waitpid(child, &status, 0), child);
  CHECK_EQ(status, 0);
  CHECK_EQ(astrum_flow_run(flow, NULL, &sum), ASTRUM_OK);
  CHECK_EQ(sum.state, ASTRUM_COMPLETED);
  TEARDOWN();
}

TEST(a_flow_is_not_run_before_each_task_has_a_function) {
  astrum_graph *graph = graph_of("a; b", NULL);
  astrum_flow *flow = NULL;
  astrum_record record;
  plan p = {0};
  CHECK_EQ(astrum_flow_new(graph, NULL, NULL, &flow), ASTRUM_OK);
  CHECK_EQ(astrum_flow_set(flow, (astrum_task){0}, add, &p), ASTRUM_OK);
  CHECK_EQ(astrum_flow_set(flow, (astrum_task){0}, add, &p), ASTRUM_OK);
  CHECK_EQ(astrum_flow_run(flow, NULL, NULL), ASTRUM_EINVAL);
  CHECK_EQ(astrum_flow_set(flow, (astrum_task){1}, NULL, &p), ASTRUM_EINVAL);
  CHECK_EQ(astrum_flow_set(flow, (astrum_task){2}, add, &p), ASTRUM_EINVAL);
  CHECK_EQ(astrum_flow_record(flow, (astrum_task){0}, &record), ASTRUM_ESTALE);
  CHECK(error(flow, 0) == NULL);
  CHECK_EQ(integer(flow, 9), 0);
  CHECK_EQ(p.calls, 0);
  astrum_run_options options = ASTRUM_RUN_OPTIONS_INIT;
  astrum_flow_set(flow, (astrum_task){1}, add, &p);
  options.user = &p;
  CHECK_EQ(astrum_flow_run(flow, &options, NULL), ASTRUM_EINVAL);
  TEARDOWN();
  astrum_flow_free(NULL);
}

TEST(an_attempt_that_takes_too_long_is_told_through_its_cancel) {
  astrum_policy policy = ASTRUM_POLICY_INIT;
  policy.timeout = 1000000;
  SETUP("a", &policy, go_on_later);
  CHECK_EQ(astrum_flow_run(flow, NULL, &sum), ASTRUM_OK);
  CHECK_EQ(plans[0].cancelled, 1);
  CHECK_EQ(sum.timed_out, 1);
  CHECK_EQ(state(flow, 0), ASTRUM_TIMED_OUT);
  CHECK_STR(error(flow, 0), "cancelled");
  TEARDOWN();
}

static int take_too_long(astrum_call *call, void *user) {
  plan *p = user;
  astrum_loop *loop = astrum_flow_loop(astrum_call_flow(call));
  uint64_t begin = astrum_loop_now(loop);
  astrum_call_return_integer(call, 7);
  p->calls++;
  while (astrum_loop_now(loop) - begin < 2000000) {
  }
  return ASTRUM_SUCCEEDED;
}

TEST(a_function_that_returns_too_late_has_timed_out_and_has_no_value) {
  astrum_policy policy = ASTRUM_POLICY_INIT;
  policy.timeout = 1000000;
  policy.max_retries = 1;
  SETUP("a", &policy, take_too_long);
  CHECK_EQ(astrum_flow_run(flow, NULL, &sum), ASTRUM_OK);
  CHECK_EQ(plans[0].calls, 2);
  CHECK_EQ(state(flow, 0), ASTRUM_TIMED_OUT);
  CHECK_EQ(integer(flow, 0), 0);
  CHECK_STR(error(flow, 0), "the attempt took longer than its timeout");
  TEARDOWN();
}

TEST(a_function_may_decline_its_task) {
  SETUP("a; b: a", NULL, add);
  plans[0].outcome = ASTRUM_DECLINED;
  CHECK_EQ(astrum_flow_run(flow, NULL, &sum), ASTRUM_OK);
  CHECK_EQ(sum.state, ASTRUM_COMPLETED);
  CHECK_EQ(sum.skipped, 2);
  CHECK_EQ(integer(flow, 0), 0);
  CHECK(error(flow, 0) == NULL);
  TEARDOWN();
}

TEST(a_task_that_found_no_attempt_left_says_so) {
  SETUP("a; b", NULL, add);
  astrum_run_options options = ASTRUM_RUN_OPTIONS_INIT;
  options.max_total_attempts = 1;
  options.failure_mode = ASTRUM_KEEP_GOING;
  CHECK_EQ(astrum_flow_run(flow, &options, &sum), ASTRUM_OK);
  CHECK_STR(error(flow, 1), "the run has used its max_total_attempts");
  options.changes = 1;
  CHECK_EQ(astrum_flow_run(flow, &options, &sum), ASTRUM_EINVAL);
  TEARDOWN();
}

TEST(a_flow_has_no_maps) {
  astrum_policy policy = ASTRUM_POLICY_INIT;
  astrum_flow *flow = NULL;
  policy.map = 1;
  astrum_graph *graph = graph_of("a", &policy);
  CHECK_EQ(astrum_flow_new(graph, NULL, NULL, &flow), ASTRUM_EINVAL);
  CHECK(flow == NULL);
  astrum_graph_free(graph);
}

TEST(a_flow_needs_a_frozen_graph) {
  astrum_graph *graph = NULL;
  astrum_flow *flow = NULL;
  astrum_graph_new(NULL, &graph);
  CHECK_EQ(astrum_flow_new(graph, NULL, NULL, &flow), ASTRUM_ENOTFROZEN);
  CHECK(flow == NULL);
  astrum_graph_free(graph);
}

/* --- memory */

/* Uses everything that takes memory. */
static int hungry(astrum_call *call, void *user) {
  plan *p = user;
  static char text[] = "hello";
  if (astrum_call_attempt(call) == 1) {
    astrum_call_error(call, "not yet");
    return ASTRUM_FAILURE;
  }
  if (astrum_call_return_data(call, text, sizeof text, release))
    return ASTRUM_FAILURE_FINAL;
  p->value++;
  if (astrum_call_task(call).id == 0)
    return ASTRUM_SUCCEEDED;
  if (astrum_call_later(call, NULL, NULL, &p->late))
    return ASTRUM_FAILURE_FINAL;
  astrum_call_finish(p->late, ASTRUM_SUCCEEDED);
  return ASTRUM_LATER;
}

TEST(want_of_memory_loses_nothing) {
  astrum_policy policy = ASTRUM_POLICY_INIT;
  policy.max_retries = 1;
  astrum_graph *graph = graph_of("a; b: a", &policy);
  FAULT_SWEEP(fault) {
    astrum_alloc alloc = fault_allocator(&fault);
    astrum_flow *flow = NULL;
    astrum_summary sum = {0};
    plan plans[2] = {{0}};
    released = 0;
    if (astrum_flow_new(graph, NULL, &alloc, &flow)) {
      CHECK(fault.failed > 0 && flow == NULL);
      continue;
    }
    for (uint32_t i = 0; i < 2; i++)
      astrum_flow_set(flow, (astrum_task){i}, hungry, &plans[i]);
    astrum_err err = astrum_flow_run(flow, NULL, &sum);
    CHECK(err == ASTRUM_OK || (err == ASTRUM_ENOMEM && fault.failed > 0));
    if (fault.failed == 0)
      CHECK_EQ(sum.state, ASTRUM_COMPLETED);
    if (sum.state == ASTRUM_FAILED)
      CHECK(error(flow, sum.blame) != NULL);
    astrum_flow_free(flow);
    CHECK_EQ(released, plans[0].value + plans[1].value);
  }
  astrum_graph_free(graph);
}

static int complain(astrum_call *call, void *user) {
  fault_after(user, 0, 1);
  astrum_call_error(call, "a reason");
  return ASTRUM_FAILURE;
}

TEST(an_error_whose_text_found_no_memory_says_so) {
  fault_state fault = fault_none();
  astrum_alloc alloc = fault_allocator(&fault);
  astrum_graph *graph = graph_of("a", NULL);
  astrum_flow *flow = NULL;
  CHECK_EQ(astrum_flow_new(graph, NULL, &alloc, &flow), ASTRUM_OK);
  astrum_flow_set(flow, (astrum_task){0}, complain, &fault);
  CHECK_EQ(astrum_flow_run(flow, NULL, NULL), ASTRUM_OK);
  CHECK_STR(error(flow, 0), "not enough memory");
  TEARDOWN();
  CHECK_EQ(fault.live, 0);
}

TEST_MAIN(
    TEST_ENTRY(tasks_get_the_values_of_the_tasks_they_wait_for),
    TEST_ENTRY(inputs_are_in_the_order_of_the_edges),
    TEST_ENTRY(data_goes_by_reference_and_is_released_once),
    TEST_ENTRY(data_of_an_attempt_that_fails_is_released_at_once),
    TEST_ENTRY(a_second_run_begins_without_the_values_of_the_first),
    TEST_ENTRY(a_failed_task_has_the_text_of_its_error),
    TEST_ENTRY(a_task_that_fails_without_a_text_has_one_too),
    TEST_ENTRY(a_failed_attempt_is_retried_and_leaves_no_error),
    TEST_ENTRY(attempts_that_end_later_run_side_by_side),
    TEST_ENTRY(a_failure_cancels_attempts_that_would_end_later),
    TEST_ENTRY(attempts_that_nothing_ends_are_cancelled_as_stuck),
    TEST_ENTRY(a_run_that_cannot_be_ended_is_given_up),
    TEST_ENTRY(later_without_having_asked_for_it_is_a_failure),
    TEST_ENTRY(a_call_may_be_finished_before_its_function_returns),
    TEST_ENTRY(a_function_can_cancel_its_run_but_not_run_or_change_the_flow),
    TEST_ENTRY(a_flow_is_not_run_in_a_forked_process),
    TEST_ENTRY(a_flow_is_not_run_before_each_task_has_a_function),
    TEST_ENTRY(an_attempt_that_takes_too_long_is_told_through_its_cancel),
    TEST_ENTRY(a_function_that_returns_too_late_has_timed_out_and_has_no_value),
    TEST_ENTRY(a_function_may_decline_its_task),
    TEST_ENTRY(a_task_that_found_no_attempt_left_says_so),
    TEST_ENTRY(a_flow_has_no_maps), TEST_ENTRY(a_flow_needs_a_frozen_graph),
    TEST_ENTRY(want_of_memory_loses_nothing),
    TEST_ENTRY(an_error_whose_text_found_no_memory_says_so))
