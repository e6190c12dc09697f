/* What time brings: timeouts of attempts, deadlines of runs, and the bound of
   all attempts. */
#include "script.h"

#define SETUP(...)                                                             \
  astrum_graph *graph = graph_of("a", POLICY(__VA_ARGS__));                    \
  astrum_sched *sched = new_sched()

TEST(an_attempt_that_takes_too_long_is_asked_to_stop_and_ends_as_timed_out) {
  SETUP(.timeout = 10);
  astrum_run run = begin_run(sched, graph, ALL_DEFAULTS);
  astrum_attempt attempt;
  uint32_t count;
  CHECK_STR(next(sched, 5), "+a");
  CHECK_EQ(astrum_sched_wake(sched), 15);
  CHECK_STR(next(sched, 14), "");
  CHECK_EQ(stopping(sched, run, "a"), ASTRUM_CAUSE_NONE);
  CHECK_STR(next(sched, 15), "-a");
  CHECK_STR(next(sched, 16), "");
  CHECK_EQ(stopping(sched, run, "a"), ASTRUM_CAUSE_TIMEOUT);
  end(sched, run, "a", ASTRUM_SUCCEEDED, 20);
  CHECK_STR(next(sched, 20), "done:failed closed");
  CHECK_STR(state(sched, run, "a"), "timed_out");
  CHECK_EQ(record(sched, run, "a").cause, ASTRUM_CAUSE_TIMEOUT);
  CHECK_EQ(record(sched, run, "a").busy, 15);
  CHECK_EQ(summary(sched, run).timed_out, 1);
  CHECK_EQ(summary(sched, run).failed, 0);
  CHECK_EQ(summary(sched, run).tasks, 1);
  CHECK_EQ(summary(sched, run).cause, ASTRUM_CAUSE_ERROR);
  astrum_sched_attempts(sched, run, (astrum_task){0}, &attempt, 1, &count);
  CHECK_EQ(attempt.outcome, ASTRUM_TIMEOUT);
  TEARDOWN();
}

TEST(an_answer_that_comes_too_late_is_no_success_although_nobody_noticed) {
  SETUP(.timeout = 10);
  astrum_run run = begin_run(sched, graph, ALL_DEFAULTS);
  next(sched, 0);
  end(sched, run, "a", ASTRUM_SUCCEEDED, 10);
  CHECK_STR(next(sched, 10), "done:failed closed");
  CHECK_STR(state(sched, run, "a"), "timed_out");
  TEARDOWN();
}

TEST(an_answer_in_time_leaves_no_timer) {
  SETUP(.timeout = 10, .idle_timeout = 8, .max_retries = 2, .delay = 3);
  for (int i = 0; i < 1000; i++) {
    astrum_run run = begin_run(sched, graph, ALL_DEFAULTS);
    CHECK_STR(next(sched, 0), "+a");
    end(sched, run, "a", ASTRUM_SUCCEEDED, 0);
    CHECK_STR(next(sched, 0), "done:completed closed");
    CHECK(astrum_sched_wake(sched) == ASTRUM_NEVER);
    astrum_sched_forget(sched, run);
  }
  CHECK(sched->timer_count <= 2);
  TEARDOWN();
}

TEST(a_timed_out_attempt_is_retried_and_gets_the_whole_time_anew) {
  SETUP(.timeout = 10, .max_retries = 2, .delay = 5);
  astrum_run run = begin_run(sched, graph, ALL_DEFAULTS);
  next(sched, 0);
  CHECK_STR(next(sched, 10), "-a");
  CHECK_EQ(astrum_sched_will_retry(sched, ticket(sched, run, "a")), 1);
  end(sched, run, "a", ASTRUM_STOPPED, 12);
  CHECK_STR(state(sched, run, "a"), "retrying");
  CHECK_EQ(astrum_sched_wake(sched), 17);
  CHECK_STR(next(sched, 17), "+a2");
  CHECK_EQ(astrum_sched_wake(sched), 27);
  end(sched, run, "a", ASTRUM_SUCCEEDED, 26);
  CHECK_STR(next(sched, 26), "done:completed closed");
  TEARDOWN();
}

TEST(a_final_failure_keeps_a_timed_out_attempt_from_being_retried) {
  SETUP(.timeout = 10, .max_retries = 2);
  astrum_run run = begin_run(sched, graph, ALL_DEFAULTS);
  next(sched, 0);
  next(sched, 10);
  end(sched, run, "a", ASTRUM_FAILURE_FINAL, 11);
  CHECK_STR(next(sched, 11), "done:failed closed");
  CHECK_STR(state(sched, run, "a"), "timed_out");
  TEARDOWN();
}

TEST(progress_puts_off_the_idle_timeout_but_not_the_timeout) {
  SETUP(.timeout = 25, .idle_timeout = 10);
  astrum_run run = begin_run(sched, graph, ALL_DEFAULTS);
  next(sched, 0);
  astrum_ticket a = ticket(sched, run, "a");
  CHECK_EQ(astrum_sched_wake(sched), 10);
  CHECK_EQ(astrum_sched_due(sched, a), 10);
  CHECK_EQ(astrum_sched_deadline(sched, a), 25);
  CHECK_EQ(astrum_sched_progress(sched, a, 9), ASTRUM_OK);
  CHECK_EQ(astrum_sched_due(sched, a), 19);
  CHECK_EQ(astrum_sched_progress(sched, a, 18), ASTRUM_OK);
  CHECK_EQ(astrum_sched_due(sched, a), 25);
  CHECK_STR(next(sched, 24), "");
  CHECK_STR(next(sched, 25), "-a");
  CHECK_EQ(stopping(sched, run, "a"), ASTRUM_CAUSE_TIMEOUT);
  CHECK_EQ(astrum_sched_progress(sched, a, 26), ASTRUM_OK);
  end(sched, run, "a", ASTRUM_STOPPED, 27);
  CHECK_EQ(astrum_sched_progress(sched, a, 27), ASTRUM_ESTALE);
  CHECK(astrum_sched_deadline(sched, a) == ASTRUM_NEVER);
  TEARDOWN();
}

TEST(without_progress_an_attempt_ends_as_idle) {
  SETUP(.idle_timeout = 10);
  astrum_run run = begin_run(sched, graph, ALL_DEFAULTS);
  next(sched, 0);
  astrum_sched_progress(sched, ticket(sched, run, "a"), 5);
  CHECK_STR(next(sched, 14), "");
  CHECK_STR(next(sched, 15), "-a");
  end(sched, run, "a", ASTRUM_STOPPED, 16);
  CHECK_EQ(record(sched, run, "a").cause, ASTRUM_CAUSE_IDLE);
  CHECK_STR(state(sched, run, "a"), "timed_out");
  TEARDOWN();
}

TEST(the_first_reason_to_stop_an_attempt_counts) {
  SETUP(.timeout = 10, .max_retries = 1);
  astrum_run run = begin_run(sched, graph, ALL_DEFAULTS);
  next(sched, 0);
  CHECK_STR(next(sched, 10), "-a");
  cancel(sched, run, 11);
  CHECK_STR(next(sched, 11), "");
  CHECK_EQ(astrum_sched_will_retry(sched, ticket(sched, run, "a")), 0);
  end(sched, run, "a", ASTRUM_STOPPED, 12);
  CHECK_STR(next(sched, 12), "done:cancelled closed");
  CHECK_STR(state(sched, run, "a"), "timed_out");
  run = begin_run(sched, graph, ALL_DEFAULTS);
  next(sched, 20);
  cancel(sched, run, 21);
  CHECK_STR(next(sched, 40), "-a");
  end(sched, run, "a", ASTRUM_STOPPED, 41);
  CHECK_STR(state(sched, run, "a"), "cancelled");
  TEARDOWN();
}

TEST(an_attempt_that_answers_before_it_is_told_gets_no_cancel) {
  astrum_graph *graph = graph_of("a; b; c", POLICY(.timeout = 10));
  astrum_sched *sched = new_sched();
  astrum_run run = begin_run(sched, graph, keep_going());
  next(sched, 0);
  end(sched, run, "b", ASTRUM_SUCCEEDED, 10);
  CHECK_STR(next(sched, 10), "-a -c");
  end(sched, run, "c", ASTRUM_STOPPED, 11);
  end(sched, run, "a", ASTRUM_STOPPED, 11);
  CHECK_STR(next(sched, 11), "done:failed closed");
  TEARDOWN();
}

TEST(runs_inside_an_attempt_that_takes_too_long_stop) {
  SETUP(.timeout = 10);
  astrum_graph *inner = graph_of("x", NULL);
  astrum_run run = begin_run(sched, graph, with_limit(1));
  next(sched, 0);
  astrum_ticket a = ticket(sched, run, "a");
  astrum_run first = begin_child(sched, inner, a);
  begin_child(sched, inner, a);
  astrum_sched_waiting(sched, a, 1, 1);
  CHECK_STR(next(sched, 1), "+x");
  astrum_sched_waiting(sched, a, 0, 2);
  CHECK_STR(next(sched, 10), "-a -x done:cancelled closed");
  end(sched, first, "x", ASTRUM_STOPPED, 11);
  CHECK_STR(next(sched, 11), "done:cancelled closed");
  astrum_run late = {0};
  CHECK_EQ(astrum_sched_open(sched, inner, &OPTIONS(.parent = &a), &late),
           ASTRUM_ESTALE);
  end(sched, run, "a", ASTRUM_STOPPED, 12);
  CHECK_STR(next(sched, 12), "done:failed closed");
  astrum_graph_free(inner);
  TEARDOWN();
}

TEST(what_is_due_happens_in_the_order_of_time) {
  astrum_graph *graph = new_graph();
  add(graph, "a", POLICY(.timeout = 20));
  add(graph, "b", POLICY(.timeout = 10));
  add(graph, "c", POLICY(.max_retries = 1, .delay = 15));
  freeze(graph);
  astrum_sched *sched = new_sched();
  astrum_run run = begin_run(sched, graph, keep_going());
  next(sched, 0);
  end(sched, run, "c", ASTRUM_FAILURE, 0);
  CHECK_STR(next(sched, 30), "-b -a +c2");
  TEARDOWN();
}

/* --- deadlines */

TEST(a_deadline_is_no_bound_of_what_cleans_up) {
  astrum_graph *graph = new_graph();
  add(graph, "clean", POLICY(.trigger = ASTRUM_ALWAYS));
  add(graph, "a", NULL);
  freeze(graph);
  astrum_sched *sched = new_sched();
  astrum_run run = begin_run(sched, graph, OPTIONS(.deadline = 10));
  CHECK_STR(next(sched, 0), "+clean +a");
  CHECK(astrum_sched_due(sched, ticket(sched, run, "clean")) == ASTRUM_NEVER);
  CHECK_EQ(astrum_sched_due(sched, ticket(sched, run, "a")), 10);
  CHECK_STR(next(sched, 10), "-a");
  end(sched, run, "a", ASTRUM_STOPPED, 10);
  end(sched, run, "clean", ASTRUM_SUCCEEDED, 20);
  CHECK_STR(next(sched, 20), "done:failed closed");
  TEARDOWN();
}

TEST(a_run_that_takes_too_long_stops_as_failed) {
  astrum_graph *graph = new_graph();
  add(graph, "a; b: a", NULL);
  add(graph, "c: a", POLICY(.trigger = ASTRUM_ALL_DONE));
  freeze(graph);
  astrum_sched *sched = new_sched();
  astrum_run run = open_run(sched, graph, OPTIONS(.deadline = 10));
  CHECK(astrum_sched_wake(sched) == ASTRUM_NEVER);
  CHECK_EQ(astrum_sched_begin(sched, run, 5), ASTRUM_OK);
  CHECK_STR(next(sched, 5), "+a");
  CHECK_EQ(astrum_sched_wake(sched), 15);
  CHECK_EQ(astrum_sched_deadline(sched, ticket(sched, run, "a")), 15);
  CHECK_STR(next(sched, 15), "-a");
  CHECK_EQ(record(sched, run, "b").cause, ASTRUM_CAUSE_DEADLINE);
  end(sched, run, "a", ASTRUM_STOPPED, 16);
  CHECK_STR(next(sched, 16), "+c");
  CHECK(astrum_sched_deadline(sched, ticket(sched, run, "c")) == ASTRUM_NEVER);
  end(sched, run, "c", ASTRUM_SUCCEEDED, 99);
  CHECK_STR(next(sched, 99), "done:failed closed");
  CHECK_EQ(summary(sched, run).cause, ASTRUM_CAUSE_DEADLINE);
  CHECK_STR(state(sched, run, "a"), "cancelled");
  TEARDOWN();
}

TEST(the_deadline_of_a_run_that_has_ended_means_nothing) {
  SETUP(.priority = 0);
  astrum_run run = begin_run(sched, graph, OPTIONS(.deadline = 10));
  next(sched, 0);
  end(sched, run, "a", ASTRUM_SUCCEEDED, 9);
  CHECK_STR(next(sched, 9), "done:completed closed");
  CHECK(astrum_sched_wake(sched) == ASTRUM_NEVER);
  CHECK_STR(next(sched, 20), "");
  run = begin_run(sched, graph, OPTIONS(.deadline = 10));
  cancel(sched, run, 20);
  next(sched, 20);
  CHECK(astrum_sched_wake(sched) == ASTRUM_NEVER);
  TEARDOWN();
}

TEST(the_deadline_reaches_detached_tasks_after_the_verdict) {
  astrum_graph *graph = new_graph();
  add(graph, "a", NULL);
  add(graph, "d", POLICY(.detached = 1));
  freeze(graph);
  astrum_sched *sched = new_sched();
  astrum_run run = begin_run(sched, graph, OPTIONS(.deadline = 10));
  next(sched, 0);
  end(sched, run, "a", ASTRUM_SUCCEEDED, 1);
  CHECK_STR(next(sched, 1), "done:completed");
  CHECK_STR(next(sched, 10), "-d");
  end(sched, run, "d", ASTRUM_STOPPED, 11);
  CHECK_EQ(summary(sched, run).state, ASTRUM_COMPLETED);
  TEARDOWN();
}

TEST(the_deadline_of_the_run_around_an_attempt_counts_for_it) {
  SETUP(.timeout = 50);
  astrum_run run = begin_run(sched, graph, OPTIONS(.deadline = 30));
  next(sched, 0);
  astrum_run child = begin_child(sched, graph, ticket(sched, run, "a"));
  next(sched, 0);
  CHECK_EQ(astrum_sched_deadline(sched, ticket(sched, child, "a")), 30);
  CHECK_STR(next(sched, 30), "-a -a");
  TEARDOWN();
}

/* --- max_total_attempts */

TEST(no_attempt_begins_when_the_tree_has_had_all_of_its) {
  astrum_graph *graph = graph_of("a; b; c", POLICY(.max_retries = 9));
  astrum_sched *sched = new_sched();
  astrum_run run = begin_run(sched, graph,
                             OPTIONS(.max_total_attempts = 3, .concurrency = 1,
                                     .failure_mode = ASTRUM_KEEP_GOING));
  CHECK_STR(next(sched, 0), "+a");
  end(sched, run, "a", ASTRUM_FAILURE, 1);
  CHECK_STR(next(sched, 1), "+b");
  end(sched, run, "b", ASTRUM_FAILURE, 2);
  CHECK_STR(next(sched, 2), "+c");
  CHECK_EQ(astrum_sched_will_retry(sched, ticket(sched, run, "c")), 0);
  end(sched, run, "c", ASTRUM_FAILURE, 3);
  CHECK_STR(next(sched, 3), "done:failed closed");
  CHECK_EQ(record(sched, run, "a").cause, ASTRUM_CAUSE_ATTEMPTS);
  CHECK_EQ(record(sched, run, "a").attempts, 1);
  CHECK_EQ(record(sched, run, "c").cause, ASTRUM_CAUSE_ERROR);
  TEARDOWN();
}

TEST(attempts_of_runs_inside_count_for_the_tree) {
  SETUP(.priority = 0);
  astrum_run run = begin_run(sched, graph, OPTIONS(.max_total_attempts = 1));
  next(sched, 0);
  astrum_run child = begin_child(sched, graph, ticket(sched, run, "a"));
  CHECK_STR(next(sched, 1), "done:failed closed");
  CHECK_EQ(record(sched, child, "a").cause, ASTRUM_CAUSE_ATTEMPTS);
  TEARDOWN();
}

TEST(bounds_of_the_tree_belong_to_its_root) {
  SETUP(.priority = 0);
  astrum_run run = begin_run(sched, graph, ALL_DEFAULTS);
  next(sched, 0);
  astrum_ticket a = ticket(sched, run, "a");
  CHECK_EQ(astrum_sched_open(sched, graph,
                             &OPTIONS(.parent = &a, .max_total_attempts = 1),
                             &run),
           ASTRUM_EINVAL);
  TEARDOWN();
}

/* --- memory and size */

TEST(without_memory_for_its_timers_a_task_fails) {
  astrum_graph *graph =
      graph_of("a", POLICY(.timeout = 5, .idle_timeout = 5, .max_retries = 1));
  size_t refused = 1;
  for (size_t skip = 0; refused > 0; skip++) {
    fault_state fault = fault_none();
    astrum_alloc alloc = fault_allocator(&fault);
    astrum_sched *sched = NULL;
    CHECK_EQ(astrum_sched_new(&alloc, &sched), ASTRUM_OK);
    astrum_run run = begin_run(sched, graph, ALL_DEFAULTS);
    fault_after(&fault, skip, 1);
    const char *told = next(sched, 0);
    refused = fault.failed;
    CHECK_STR(told, refused ? "done:failed closed" : "+a");
    if (refused)
      CHECK_EQ(record(sched, run, "a").cause, ASTRUM_CAUSE_MEMORY);
    else
      CHECK_EQ(skip, 3);
    CHECK_EQ(astrum_sched_wake(sched), refused ? ASTRUM_NEVER : 5);
    astrum_sched_free(sched);
    CHECK_EQ(fault.live, 0);
  }
  astrum_graph_free(graph);
}

TEST(many_attempts_may_time_out_at_once) {
  enum { COUNT = 100000 };
  astrum_graph *graph = new_graph();
  for (uint32_t i = 0; i < COUNT; i++) {
    char name[16];
    astrum_task task;
    int size = snprintf(name, sizeof name, "%u", (unsigned)i);
    astrum_graph_add(graph, name, (size_t)size,
                     POLICY(.timeout = 10 + i % 7, .idle_timeout = 5), &task);
  }
  freeze(graph);
  astrum_sched *sched = new_sched();
  astrum_run run = begin_run(sched, graph, keep_going());
  astrum_action action;
  while (astrum_sched_next(sched, 0, &action, 1) > 0)
    if (action.ticket.task % 2)
      astrum_sched_progress(sched, action.ticket, 0);
  while (astrum_sched_next(sched, 50, &action, 1) > 0)
    if (action.kind == ASTRUM_CANCEL)
      astrum_sched_finished(sched, action.ticket, ASTRUM_STOPPED, 50);
  CHECK_EQ(summary(sched, run).timed_out, COUNT);
  CHECK_EQ(sched->timers_set, 0);
  TEARDOWN();
}

TEST_MAIN(
    TEST_ENTRY(
        an_attempt_that_takes_too_long_is_asked_to_stop_and_ends_as_timed_out),
    TEST_ENTRY(
        an_answer_that_comes_too_late_is_no_success_although_nobody_noticed),
    TEST_ENTRY(an_answer_in_time_leaves_no_timer),
    TEST_ENTRY(a_timed_out_attempt_is_retried_and_gets_the_whole_time_anew),
    TEST_ENTRY(a_final_failure_keeps_a_timed_out_attempt_from_being_retried),
    TEST_ENTRY(progress_puts_off_the_idle_timeout_but_not_the_timeout),
    TEST_ENTRY(without_progress_an_attempt_ends_as_idle),
    TEST_ENTRY(the_first_reason_to_stop_an_attempt_counts),
    TEST_ENTRY(an_attempt_that_answers_before_it_is_told_gets_no_cancel),
    TEST_ENTRY(runs_inside_an_attempt_that_takes_too_long_stop),
    TEST_ENTRY(what_is_due_happens_in_the_order_of_time),
    TEST_ENTRY(a_deadline_is_no_bound_of_what_cleans_up),
    TEST_ENTRY(a_run_that_takes_too_long_stops_as_failed),
    TEST_ENTRY(the_deadline_of_a_run_that_has_ended_means_nothing),
    TEST_ENTRY(the_deadline_reaches_detached_tasks_after_the_verdict),
    TEST_ENTRY(the_deadline_of_the_run_around_an_attempt_counts_for_it),
    TEST_ENTRY(no_attempt_begins_when_the_tree_has_had_all_of_its),
    TEST_ENTRY(attempts_of_runs_inside_count_for_the_tree),
    TEST_ENTRY(bounds_of_the_tree_belong_to_its_root),
    TEST_ENTRY(without_memory_for_its_timers_a_task_fails),
    TEST_ENTRY(many_attempts_may_time_out_at_once))
