/* Trigger rules, handled failures, tasks that clean up, stopping for good,
   conditions. */
#include "script.h"

static const char *const trigger_names[] = {
    "all_success", "all_done",    "all_failed", "one_success",
    "one_failed",  "none_failed", "min_one",    "always"};

/* a, b and c, and `t` with a trigger, which waits for all of them. */
static astrum_graph *three_and_trigger(astrum_trigger trigger) {
  astrum_graph *graph = new_graph();
  add(graph, "a; b; c", NULL);
  add(graph, "t: a b c", POLICY(.trigger = (uint8_t)trigger));
  freeze(graph);
  return graph;
}

/* What becomes of t when its three tasks end as the letters say, one after
   another: Success, Failure, Declined. "2" is when it is decided after the
   second one; "+" that it starts. */
static const char *decision(astrum_trigger trigger, const char *ends) {
  static char text[40];
  static const char *const names[] = {"a", "b", "c"};
  astrum_graph *graph = three_and_trigger(trigger);
  astrum_sched *sched = new_sched();
  astrum_run run = begin_run(sched, graph, keep_going());
  next(sched, 0);
  int i = 0;
  for (; ends[i] && record(sched, run, "t").state == ASTRUM_PENDING; i++)
    end(sched, run, names[i],
        ends[i] == 'S'   ? ASTRUM_SUCCEEDED
        : ends[i] == 'F' ? ASTRUM_FAILURE
                         : ASTRUM_DECLINED,
        (uint64_t)i + 1);
  astrum_record t = record(sched, run, "t");
  if (t.state == ASTRUM_SKIPPED)
    snprintf(text, sizeof text, "%d %s %u", i,
             t.cause == ASTRUM_CAUSE_UPSTREAM  ? "upstream"
             : t.cause == ASTRUM_CAUSE_TRIGGER ? "trigger"
                                               : "?",
             (unsigned)t.blame);
  else
    snprintf(text, sizeof text, "%d %s", i, t.attempts ? "+" : states[t.state]);
  TEARDOWN();
  return text;
}

TEST(each_trigger_comes_or_is_given_up_as_soon_as_that_is_sure) {
  static const struct {
    astrum_trigger trigger;
    const char *ends, *decision;
  } cases[] = {{ASTRUM_ALL_SUCCESS, "SSS", "3 ready"},
               {ASTRUM_ALL_SUCCESS, "SFS", "2 upstream 1"},
               {ASTRUM_ALL_SUCCESS, "SDS", "2 trigger 1"},
               {ASTRUM_ALL_DONE, "SFD", "3 ready"},
               {ASTRUM_ALL_FAILED, "FFF", "3 ready"},
               {ASTRUM_ALL_FAILED, "FSF", "2 trigger 1"},
               {ASTRUM_ALL_FAILED, "FDF", "2 trigger 1"},
               {ASTRUM_ONE_SUCCESS, "FDS", "3 ready"},
               {ASTRUM_ONE_SUCCESS, "S", "1 ready"},
               {ASTRUM_ONE_SUCCESS, "DFD", "3 upstream 1"},
               {ASTRUM_ONE_SUCCESS, "DDD", "3 trigger 2"},
               {ASTRUM_ONE_FAILED, "SF", "2 ready"},
               {ASTRUM_ONE_FAILED, "SDS", "3 trigger 2"},
               {ASTRUM_NONE_FAILED, "DDD", "3 ready"},
               {ASTRUM_NONE_FAILED, "SDS", "3 ready"},
               {ASTRUM_NONE_FAILED, "DF", "2 upstream 1"},
               {ASTRUM_NONE_FAILED_MIN_ONE_SUCCESS, "DDS", "3 ready"},
               {ASTRUM_NONE_FAILED_MIN_ONE_SUCCESS, "SF", "2 upstream 1"},
               {ASTRUM_NONE_FAILED_MIN_ONE_SUCCESS, "DDD", "3 trigger 2"},
               {ASTRUM_ALWAYS, "", "0 +"}};
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    const char *got = decision(cases[i].trigger, cases[i].ends);
    if (strcmp(got, cases[i].decision) != 0)
      printf("%s of %s:\n", trigger_names[cases[i].trigger], cases[i].ends);
    CHECK_STR(got, cases[i].decision);
  }
}

TEST(a_trigger_that_needs_an_upstream_never_comes_without_one) {
  static const char *const ends[] = {"ready",   "ready", "ready",   "skipped",
                                     "skipped", "ready", "skipped", "ready"};
  for (int trigger = ASTRUM_ALL_SUCCESS; trigger <= ASTRUM_ALWAYS; trigger++) {
    astrum_graph *graph = graph_of("t", POLICY(.trigger = (uint8_t)trigger));
    astrum_sched *sched = new_sched();
    astrum_run run = begin_run(sched, graph, ALL_DEFAULTS);
    CHECK_STR(state(sched, run, "t"), ends[trigger]);
    if (record(sched, run, "t").state == ASTRUM_SKIPPED) {
      CHECK_EQ(record(sched, run, "t").cause, ASTRUM_CAUSE_TRIGGER);
      CHECK_EQ(record(sched, run, "t").blame, ASTRUM_NO_TASK);
      CHECK_STR(next(sched, 0), "done:completed closed");
    }
    TEARDOWN();
  }
}

TEST(a_task_that_runs_on_one_success_is_not_disturbed_by_what_ends_later) {
  astrum_graph *graph = new_graph();
  add(graph, "a; b", NULL);
  add(graph, "t: a b", POLICY(.trigger = ASTRUM_ONE_SUCCESS));
  freeze(graph);
  astrum_sched *sched = new_sched();
  astrum_graph *inner = graph_of("x", NULL);
  astrum_run run = begin_run(sched, graph, keep_going());
  next(sched, 0);
  end(sched, run, "a", ASTRUM_SUCCEEDED, 1);
  CHECK_STR(next(sched, 1), "+t");
  astrum_run child = begin_child(sched, inner, ticket(sched, run, "t"));
  CHECK_STR(next(sched, 1), "+x");
  end(sched, run, "b", ASTRUM_FAILURE, 2);
  CHECK_EQ(astrum_sched_finished(sched, ticket(sched, run, "t"),
                                 ASTRUM_SUCCEEDED, 3),
           ASTRUM_EBUSY);
  end(sched, child, "x", ASTRUM_SUCCEEDED, 3);
  next(sched, 3);
  end(sched, run, "t", ASTRUM_SUCCEEDED, 4);
  CHECK_STR(next(sched, 4), "done:failed closed");
  CHECK_STR(state(sched, run, "t"), "completed");
  astrum_graph_free(inner);
  TEARDOWN();
}

TEST(blame_for_upstream_is_the_first_failure_on_the_way) {
  astrum_graph *graph = graph_of("a; b: a; c: b; d: c", NULL);
  astrum_sched *sched = new_sched();
  astrum_run run = begin_run(sched, graph, keep_going());
  next(sched, 0);
  end(sched, run, "a", ASTRUM_FAILURE, 1);
  CHECK_EQ(record(sched, run, "d").cause, ASTRUM_CAUSE_UPSTREAM);
  CHECK_EQ(record(sched, run, "d").blame, task_of(graph, "a").id);
  TEARDOWN();
}

TEST(what_is_skipped_without_a_failure_does_not_count_as_failed) {
  astrum_graph *graph = new_graph();
  add(graph, "a; b: a", NULL);
  add(graph, "t: b", POLICY(.trigger = ASTRUM_NONE_FAILED));
  add(graph, "f: b", POLICY(.trigger = ASTRUM_ONE_FAILED));
  freeze(graph);
  astrum_sched *sched = new_sched();
  astrum_run run = begin_run(sched, graph, ALL_DEFAULTS);
  next(sched, 0);
  end(sched, run, "a", ASTRUM_DECLINED, 1);
  CHECK_EQ(record(sched, run, "b").cause, ASTRUM_CAUSE_TRIGGER);
  CHECK_EQ(record(sched, run, "b").blame, task_of(graph, "a").id);
  CHECK_STR(state(sched, run, "f"), "skipped");
  CHECK_STR(next(sched, 1), "+t");
  end(sched, run, "t", ASTRUM_SUCCEEDED, 2);
  CHECK_STR(next(sched, 2), "done:completed closed");
  TEARDOWN();
}

TEST(what_is_skipped_because_of_a_failure_counts_as_failed) {
  astrum_graph *graph = new_graph();
  add(graph, "a; b: a", NULL);
  add(graph, "f: b", POLICY(.trigger = ASTRUM_ONE_FAILED));
  freeze(graph);
  astrum_sched *sched = new_sched();
  astrum_run run = begin_run(sched, graph, keep_going());
  next(sched, 0);
  end(sched, run, "a", ASTRUM_FAILURE, 1);
  CHECK_STR(next(sched, 1), "+f");
  TEARDOWN();
}

/* --- handled failures */

static astrum_graph *with_handler(astrum_trigger trigger) {
  astrum_graph *graph = new_graph();
  add(graph, "a; b; x", NULL);
  add(graph, "h: a b", POLICY(.trigger = (uint8_t)trigger));
  freeze(graph);
  return graph;
}

TEST(a_handled_failure_neither_stops_nor_fails_the_run) {
  astrum_graph *graph = with_handler(ASTRUM_ONE_FAILED);
  astrum_sched *sched = new_sched();
  astrum_run run = begin_run(sched, graph, ALL_DEFAULTS);
  next(sched, 0);
  end(sched, run, "a", ASTRUM_FAILURE, 1);
  CHECK_EQ(record(sched, run, "a").handled, 0);
  CHECK_STR(next(sched, 1), "+h");
  end(sched, run, "h", ASTRUM_SUCCEEDED, 2);
  CHECK_EQ(record(sched, run, "a").handled, 1);
  end(sched, run, "b", ASTRUM_SUCCEEDED, 3);
  end(sched, run, "x", ASTRUM_SUCCEEDED, 3);
  CHECK_STR(next(sched, 3), "done:completed closed");
  CHECK_EQ(summary(sched, run).failed, 1);
  CHECK_EQ(summary(sched, run).blame, ASTRUM_NO_TASK);
  CHECK_EQ(summary(sched, run).cause, ASTRUM_CAUSE_NONE);
  TEARDOWN();
}

TEST(a_failure_that_nothing_handled_takes_effect_when_that_is_sure) {
  astrum_graph *graph = with_handler(ASTRUM_ALL_FAILED);
  astrum_sched *sched = new_sched();
  astrum_run run = begin_run(sched, graph, ALL_DEFAULTS);
  next(sched, 0);
  end(sched, run, "a", ASTRUM_FAILURE, 1);
  CHECK_STR(next(sched, 1), "");
  end(sched, run, "b", ASTRUM_SUCCEEDED, 2);
  CHECK_STR(state(sched, run, "h"), "skipped");
  CHECK_STR(next(sched, 2), "-x");
  CHECK_EQ(stopping(sched, run, "x"), ASTRUM_CAUSE_FAILURE);
  end(sched, run, "x", ASTRUM_STOPPED, 3);
  CHECK_STR(next(sched, 3), "done:failed closed");
  CHECK_EQ(summary(sched, run).blame, task_of(graph, "a").id);
  CHECK_EQ(record(sched, run, "a").handled, 0);
  TEARDOWN();
}

TEST(when_a_handler_fails_the_first_failure_is_the_one_to_blame) {
  astrum_graph *graph = with_handler(ASTRUM_ONE_FAILED);
  astrum_sched *sched = new_sched();
  astrum_run run = begin_run(sched, graph, ALL_DEFAULTS);
  next(sched, 0);
  end(sched, run, "a", ASTRUM_FAILURE, 1);
  next(sched, 1);
  end(sched, run, "h", ASTRUM_FAILURE, 2);
  CHECK_STR(next(sched, 2), "-b -x");
  CHECK_EQ(summary(sched, run).blame, task_of(graph, "a").id);
  TEARDOWN();
}

TEST(one_of_several_handlers_is_enough) {
  astrum_graph *graph = new_graph();
  add(graph, "a", NULL);
  add(graph, "g: a; h: a", POLICY(.trigger = ASTRUM_ONE_FAILED));
  freeze(graph);
  for (int first = 0; first < 2; first++) {
    astrum_sched *sched = new_sched();
    astrum_run run = begin_run(sched, graph, keep_going());
    next(sched, 0);
    end(sched, run, "a", ASTRUM_FAILURE, 1);
    CHECK_STR(next(sched, 1), "+g +h");
    end(sched, run, first ? "g" : "h", ASTRUM_SUCCEEDED, 2);
    end(sched, run, first ? "h" : "g", ASTRUM_DECLINED, 3);
    CHECK_STR(next(sched, 3), "done:completed closed");
    astrum_sched_free(sched);
  }
  astrum_graph_free(graph);
}

TEST(a_failure_is_handled_by_a_task_that_completed_before_it) {
  astrum_graph *graph = with_handler(ASTRUM_ONE_FAILED);
  astrum_sched *sched = new_sched();
  astrum_run run = begin_run(sched, graph, ALL_DEFAULTS);
  next(sched, 0);
  end(sched, run, "a", ASTRUM_FAILURE, 1);
  next(sched, 1);
  end(sched, run, "h", ASTRUM_SUCCEEDED, 2);
  end(sched, run, "b", ASTRUM_FAILURE, 3);
  end(sched, run, "x", ASTRUM_SUCCEEDED, 4);
  CHECK_STR(next(sched, 4), "done:completed closed");
  CHECK_EQ(record(sched, run, "b").handled, 1);
  TEARDOWN();
}

TEST(a_failure_handled_by_a_detached_task_does_not_hold_up_the_verdict) {
  astrum_graph *graph = new_graph();
  add(graph, "a", NULL);
  add(graph, "h: a", POLICY(.trigger = ASTRUM_ONE_FAILED, .detached = 1));
  freeze(graph);
  astrum_sched *sched = new_sched();
  astrum_run run = begin_run(sched, graph, ALL_DEFAULTS);
  next(sched, 0);
  end(sched, run, "a", ASTRUM_FAILURE, 1);
  CHECK_STR(next(sched, 1), "done:completed +h");
  end(sched, run, "h", ASTRUM_FAILURE, 2);
  CHECK_STR(next(sched, 2), "closed");
  CHECK_EQ(summary(sched, run).state, ASTRUM_COMPLETED);
  TEARDOWN();
}

/* --- cleaning up, stopping for good */

static astrum_graph *with_cleanup(void) {
  astrum_graph *graph = new_graph();
  add(graph, "a; b", NULL);
  add(graph, "c: a b", POLICY(.trigger = ASTRUM_ALL_DONE));
  add(graph, "e: c", NULL);
  freeze(graph);
  return graph;
}

TEST(tasks_that_clean_up_run_after_a_failure_and_the_run_stays_failed) {
  astrum_graph *graph = with_cleanup();
  astrum_sched *sched = new_sched();
  astrum_run run = begin_run(sched, graph, ALL_DEFAULTS);
  next(sched, 0);
  end(sched, run, "a", ASTRUM_FAILURE, 1);
  CHECK_STR(state(sched, run, "e"), "skipped");
  CHECK_STR(next(sched, 1), "-b");
  end(sched, run, "b", ASTRUM_STOPPED, 2);
  CHECK_STR(next(sched, 2), "+c");
  end(sched, run, "c", ASTRUM_SUCCEEDED, 3);
  CHECK_STR(next(sched, 3), "done:failed closed");
  TEARDOWN();
}

TEST(a_second_cancel_stops_tasks_that_clean_up) {
  astrum_graph *graph = with_cleanup();
  astrum_sched *sched = new_sched();
  astrum_run run = begin_run(sched, graph, ALL_DEFAULTS);
  next(sched, 0);
  cancel(sched, run, 1);
  end(sched, run, "a", ASTRUM_STOPPED, 2);
  end(sched, run, "b", ASTRUM_STOPPED, 2);
  CHECK_STR(next(sched, 2), "+c");
  cancel(sched, run, 3);
  CHECK_STR(next(sched, 3), "-c");
  end(sched, run, "c", ASTRUM_STOPPED, 4);
  CHECK_STR(next(sched, 4), "done:cancelled closed");
  CHECK_STR(state(sched, run, "c"), "cancelled");
  TEARDOWN();
}

TEST(the_failure_of_a_cleanup_changes_no_verdict) {
  astrum_graph *graph = with_cleanup();
  astrum_sched *sched = new_sched();
  astrum_run run = begin_run(sched, graph, ALL_DEFAULTS);
  next(sched, 0);
  cancel(sched, run, 1);
  end(sched, run, "a", ASTRUM_STOPPED, 2);
  end(sched, run, "b", ASTRUM_STOPPED, 2);
  next(sched, 2);
  end(sched, run, "c", ASTRUM_FAILURE, 3);
  CHECK_STR(next(sched, 3), "done:cancelled closed");
  CHECK_EQ(summary(sched, run).cause, ASTRUM_CAUSE_REQUEST);
  TEARDOWN();
}

TEST(a_run_that_stops_before_it_begins_or_is_stuck_cleans_nothing_up) {
  astrum_graph *graph = with_cleanup();
  astrum_sched *sched = new_sched();
  astrum_run run = open_run(sched, graph, ALL_DEFAULTS);
  cancel(sched, run, 1);
  CHECK_STR(next(sched, 1), "done:cancelled closed");
  run = begin_run(sched, graph, ALL_DEFAULTS);
  next(sched, 0);
  astrum_sched_cancel(sched, run, ASTRUM_CAUSE_STUCK, 1);
  CHECK_STR(state(sched, run, "c"), "skipped");
  TEARDOWN();
}

TEST(a_ready_cleanup_stays_in_the_queue_of_a_run_that_stops) {
  for (uint32_t limit = 0; limit < 2; limit++) {
    astrum_graph *graph = new_graph();
    add(graph, "a; b", NULL);
    add(graph, "c", POLICY(.trigger = ASTRUM_ALWAYS));
    add(graph, "d", NULL);
    freeze(graph);
    astrum_sched *sched = new_sched();
    astrum_run run = begin_run(sched, graph, with_limit(limit));
    cancel(sched, run, 0);
    CHECK_STR(next(sched, 0), "+c");
    end(sched, run, "c", ASTRUM_SUCCEEDED, 1);
    CHECK_STR(next(sched, 1), "done:cancelled closed");
    TEARDOWN();
  }
}

TEST(runs_inside_a_cleanup_go_on_until_the_run_stops_for_good) {
  astrum_graph *graph = new_graph();
  add(graph, "a", NULL);
  add(graph, "c", POLICY(.trigger = ASTRUM_ALWAYS));
  freeze(graph);
  astrum_graph *inner = graph_of("x", POLICY(.trigger = ASTRUM_ALL_DONE));
  astrum_sched *sched = new_sched();
  astrum_run run = begin_run(sched, graph, ALL_DEFAULTS);
  next(sched, 0);
  begin_child(sched, inner, ticket(sched, run, "a"));
  begin_child(sched, inner, ticket(sched, run, "c"));
  CHECK_STR(next(sched, 0), "+x +x");
  cancel(sched, run, 1);
  CHECK_STR(next(sched, 1), "-a");
  cancel(sched, run, 2);
  CHECK_STR(next(sched, 2), "-c -x -x");
  astrum_graph_free(inner);
  TEARDOWN();
}

TEST(a_run_told_to_stop_again_by_the_run_around_it_stops_for_good) {
  astrum_graph *graph = graph_of("a", NULL);
  astrum_graph *inner = graph_of("x", POLICY(.trigger = ASTRUM_ALWAYS));
  astrum_sched *sched = new_sched();
  astrum_run run = begin_run(sched, graph, ALL_DEFAULTS);
  next(sched, 0);
  astrum_run child = begin_child(sched, inner, ticket(sched, run, "a"));
  CHECK_STR(next(sched, 0), "+x");
  cancel(sched, child, 1);
  CHECK_STR(next(sched, 1), "");
  cancel(sched, run, 2);
  CHECK_STR(next(sched, 2), "-a -x");
  astrum_graph_free(inner);
  TEARDOWN();
}

/* --- conditions */

TEST(a_declined_attempt_counts_for_nothing) {
  for (uint32_t retries = 0; retries < 2; retries++) {
    astrum_graph *graph = graph_of("a", POLICY(.max_retries = retries));
    astrum_sched *sched = new_sched();
    astrum_run run = begin_run(sched, graph, OPTIONS(.max_total_attempts = 1));
    uint32_t count = 9;
    next(sched, 1);
    end(sched, run, "a", ASTRUM_DECLINED, 2);
    CHECK_STR(next(sched, 2), "done:completed closed");
    astrum_record a = record(sched, run, "a");
    CHECK_EQ(a.state, ASTRUM_SKIPPED);
    CHECK_EQ(a.cause, ASTRUM_CAUSE_CONDITION);
    CHECK_EQ(a.attempts, 0);
    CHECK_EQ(a.busy, 0);
    CHECK(a.start == ASTRUM_NEVER);
    CHECK_EQ(
        astrum_sched_attempts(sched, run, (astrum_task){0}, NULL, 0, &count),
        ASTRUM_OK);
    CHECK_EQ(count, 0);
    TEARDOWN();
  }
}

TEST(only_a_first_attempt_can_be_declined) {
  astrum_graph *graph = graph_of("a", POLICY(.max_retries = 3));
  astrum_sched *sched = new_sched();
  astrum_run run = begin_run(sched, graph, ALL_DEFAULTS);
  next(sched, 0);
  end(sched, run, "a", ASTRUM_FAILURE, 1);
  CHECK_STR(next(sched, 1), "+a2");
  end(sched, run, "a", ASTRUM_DECLINED, 2);
  CHECK_STR(next(sched, 2), "done:failed closed");
  CHECK_EQ(record(sched, run, "a").attempts, 2);
  TEARDOWN();
}

/* --- telling of changes */

TEST(a_run_tells_in_order_what_becomes_of_its_tasks) {
  astrum_graph *graph = new_graph();
  add(graph, "a; b: a; c: b", NULL);
  add(graph, "d: a", POLICY(.trigger = ASTRUM_ALL_DONE));
  freeze(graph);
  astrum_sched *sched = new_sched();
  astrum_run run = begin_run(
      sched, graph, OPTIONS(.changes = 1, .failure_mode = ASTRUM_KEEP_GOING));
  CHECK_STR(next(sched, 0), "!a:ready +a");
  end(sched, run, "a", ASTRUM_FAILURE, 1);
  CHECK_EQ(astrum_sched_wake(sched), 0);
  CHECK_STR(next(sched, 1), "!a:failed !b:skipped !d:ready !c:skipped +d");
  end(sched, run, "d", ASTRUM_SUCCEEDED, 2);
  CHECK_STR(next(sched, 2), "!d:completed done:failed closed");
  TEARDOWN();
}

TEST(a_change_has_the_cause_and_the_number_of_the_last_attempt) {
  astrum_graph *graph = graph_of("a", POLICY(.max_retries = 1));
  astrum_sched *sched = new_sched();
  astrum_action action = {0};
  astrum_run run = begin_run(sched, graph, OPTIONS(.changes = 1));
  CHECK_STR(next(sched, 0), "!a:ready +a");
  end(sched, run, "a", ASTRUM_FAILURE, 1);
  CHECK_STR(next(sched, 1), "+a2");
  end(sched, run, "a", ASTRUM_FAILURE, 2);
  CHECK_EQ(astrum_sched_next(sched, 2, &action, 1), 1);
  CHECK_EQ(action.kind, ASTRUM_CHANGED);
  CHECK_EQ(action.cause, ASTRUM_CAUSE_ERROR);
  CHECK_EQ(action.ticket.attempt, 2);
  TEARDOWN();
}

TEST(changes_of_several_runs_come_in_the_order_in_which_they_happened) {
  astrum_graph *graph = graph_of("a; b", NULL);
  astrum_sched *sched = new_sched();
  astrum_run first = begin_run(sched, graph, OPTIONS(.changes = 1));
  astrum_run second = begin_run(sched, graph, OPTIONS(.changes = 1));
  CHECK_STR(next(sched, 0), "!a:ready !b:ready !a:ready !b:ready +a +a +b +b");
  end(sched, second, "b", ASTRUM_SUCCEEDED, 1);
  end(sched, first, "a", ASTRUM_SUCCEEDED, 1);
  CHECK_STR(next(sched, 1), "!b:completed !a:completed");
  TEARDOWN();
}

/* --- size */

TEST(a_long_chain_of_triggers_needs_no_stack) {
  enum { COUNT = 200000 };
  astrum_graph *graph = new_graph();
  const astrum_policy *policy = POLICY(.trigger = ASTRUM_NONE_FAILED);
  for (uint32_t i = 0; i < COUNT; i++) {
    char name[16];
    astrum_task task;
    int size = snprintf(name, sizeof name, "%u", (unsigned)i);
    astrum_graph_add(graph, name, (size_t)size, policy, &task);
    if (i > 0)
      astrum_graph_edge(graph, (astrum_task){i - 1}, task);
  }
  freeze(graph);
  astrum_sched *sched = new_sched();
  astrum_run run = begin_run(sched, graph, keep_going());
  next(sched, 0);
  end(sched, run, "0", ASTRUM_FAILURE, 1);
  CHECK_EQ(summary(sched, run).skipped, COUNT - 1);
  CHECK_STR(next(sched, 1), "done:failed closed");
  TEARDOWN();
}

TEST_MAIN(
    TEST_ENTRY(each_trigger_comes_or_is_given_up_as_soon_as_that_is_sure),
    TEST_ENTRY(a_trigger_that_needs_an_upstream_never_comes_without_one),
    TEST_ENTRY(
        a_task_that_runs_on_one_success_is_not_disturbed_by_what_ends_later),
    TEST_ENTRY(blame_for_upstream_is_the_first_failure_on_the_way),
    TEST_ENTRY(what_is_skipped_without_a_failure_does_not_count_as_failed),
    TEST_ENTRY(what_is_skipped_because_of_a_failure_counts_as_failed),
    TEST_ENTRY(a_handled_failure_neither_stops_nor_fails_the_run),
    TEST_ENTRY(a_failure_that_nothing_handled_takes_effect_when_that_is_sure),
    TEST_ENTRY(when_a_handler_fails_the_first_failure_is_the_one_to_blame),
    TEST_ENTRY(one_of_several_handlers_is_enough),
    TEST_ENTRY(a_failure_is_handled_by_a_task_that_completed_before_it),
    TEST_ENTRY(
        a_failure_handled_by_a_detached_task_does_not_hold_up_the_verdict),
    TEST_ENTRY(
        tasks_that_clean_up_run_after_a_failure_and_the_run_stays_failed),
    TEST_ENTRY(a_second_cancel_stops_tasks_that_clean_up),
    TEST_ENTRY(the_failure_of_a_cleanup_changes_no_verdict),
    TEST_ENTRY(a_run_that_stops_before_it_begins_or_is_stuck_cleans_nothing_up),
    TEST_ENTRY(a_ready_cleanup_stays_in_the_queue_of_a_run_that_stops),
    TEST_ENTRY(runs_inside_a_cleanup_go_on_until_the_run_stops_for_good),
    TEST_ENTRY(a_run_told_to_stop_again_by_the_run_around_it_stops_for_good),
    TEST_ENTRY(a_declined_attempt_counts_for_nothing),
    TEST_ENTRY(only_a_first_attempt_can_be_declined),
    TEST_ENTRY(a_run_tells_in_order_what_becomes_of_its_tasks),
    TEST_ENTRY(a_change_has_the_cause_and_the_number_of_the_last_attempt),
    TEST_ENTRY(
        changes_of_several_runs_come_in_the_order_in_which_they_happened),
    TEST_ENTRY(a_long_chain_of_triggers_needs_no_stack))
