/* The rules of the scheduler one by one: order, failures, retries, cancelling,
   detached tasks, runs inside runs, what is refused, memory. */
#include "script.h"

#include <sys/resource.h>

/* A graph of which the last task has another policy than the others. */
static astrum_graph *graph_and_last(const char *text, const char *last,
                                    astrum_policy policy) {
  astrum_graph *graph = new_graph();
  for (; *text; text++) {
    const char name[] = {*text, '\0'};
    add(graph, name, NULL);
  }
  add(graph, last, &policy);
  freeze(graph);
  return graph;
}

static astrum_policy retries(uint32_t count, uint64_t delay) {
  return *POLICY(.max_retries = count, .delay = delay);
}

static astrum_policy detached(void) { return *POLICY(.detached = 1); }

#define SETUP(text)                                                            \
  astrum_graph *graph = graph_of(text, NULL);                                  \
  astrum_sched *sched = new_sched()

/* --- order */

TEST(a_task_starts_when_all_it_waits_for_is_complete) {
  SETUP("a; b; c: a b");
  astrum_run run = begin_run(sched, graph, ALL_DEFAULTS);
  CHECK_STR(next(sched, 0), "+a +b");
  end(sched, run, "b", ASTRUM_SUCCEEDED, 1);
  CHECK_STR(next(sched, 1), "");
  end(sched, run, "a", ASTRUM_SUCCEEDED, 2);
  CHECK_STR(next(sched, 2), "+c");
  end(sched, run, "c", ASTRUM_SUCCEEDED, 3);
  CHECK_STR(next(sched, 3), "done:completed closed");
  TEARDOWN();
}

TEST(nothing_starts_before_begin) {
  SETUP("a");
  astrum_run run = open_run(sched, graph, ALL_DEFAULTS);
  CHECK_STR(next(sched, 0), "");
  CHECK(astrum_sched_wake(sched) == ASTRUM_NEVER);
  CHECK_EQ(astrum_sched_begin(sched, run, 5), ASTRUM_OK);
  CHECK_EQ(astrum_sched_wake(sched), 0);
  CHECK_EQ(astrum_sched_begin(sched, run, 6), ASTRUM_EINVAL);
  CHECK_STR(next(sched, 7), "+a");
  CHECK_EQ(record(sched, run, "a").ready, 5);
  CHECK_EQ(record(sched, run, "a").start, 7);
  TEARDOWN();
}

TEST(tasks_that_become_ready_together_start_in_the_order_of_declaration) {
  SETUP("c; b; a; z: b; y: b; x: b");
  astrum_run run = begin_run(sched, graph, ALL_DEFAULTS);
  CHECK_STR(next(sched, 0), "+c +b +a");
  end(sched, run, "b", ASTRUM_SUCCEEDED, 1);
  CHECK_STR(next(sched, 1), "+z +y +x");
  TEARDOWN();
}

TEST(tasks_start_in_the_order_in_which_they_became_ready) {
  SETUP("a; b; x: b; y: a");
  astrum_run run = begin_run(sched, graph, ALL_DEFAULTS);
  next(sched, 0);
  end(sched, run, "a", ASTRUM_SUCCEEDED, 1);
  end(sched, run, "b", ASTRUM_SUCCEEDED, 1);
  CHECK_STR(next(sched, 1), "+y +x");
  TEARDOWN();
}

TEST(with_a_limit_the_task_with_the_longest_path_before_it_goes_first) {
  SETUP("short; long; other; middle: long; last: middle; after: other");
  astrum_run run = begin_run(sched, graph, with_limit(1));
  CHECK_STR(next(sched, 0), "+long");
  end(sched, run, "long", ASTRUM_SUCCEEDED, 1);
  CHECK_STR(next(sched, 1), "+other");
  end(sched, run, "other", ASTRUM_SUCCEEDED, 2);
  CHECK_STR(next(sched, 2), "+middle");
  end(sched, run, "middle", ASTRUM_SUCCEEDED, 3);
  CHECK_STR(next(sched, 3), "+short");
  TEARDOWN();
}

TEST(no_more_attempts_run_than_the_limit_allows) {
  SETUP("a; b; c");
  astrum_run run = begin_run(sched, graph, with_limit(2));
  CHECK_STR(next(sched, 0), "+a +b");
  CHECK(astrum_sched_wake(sched) == ASTRUM_NEVER);
  end(sched, run, "b", ASTRUM_SUCCEEDED, 1);
  CHECK_STR(next(sched, 1), "+c");
  TEARDOWN();
}

TEST(two_runs_take_turns) {
  SETUP("a; b; c");
  astrum_graph *other = graph_of("x; y", NULL);
  begin_run(sched, graph, ALL_DEFAULTS);
  begin_run(sched, other, ALL_DEFAULTS);
  CHECK_STR(next(sched, 0), "+a +x +b +y +c");
  begin_run(sched, graph, with_limit(2));
  begin_run(sched, other, with_limit(2));
  CHECK_STR(next(sched, 0), "+a +x +b +y");
  astrum_graph_free(other);
  TEARDOWN();
}

TEST(next_writes_no_more_actions_than_there_is_room_for) {
  SETUP("a; b; c");
  astrum_action actions[2];
  begin_run(sched, graph, ALL_DEFAULTS);
  CHECK_EQ(astrum_sched_next(sched, 0, actions, 0), 0);
  CHECK_EQ(astrum_sched_next(sched, 0, actions, 2), 2);
  CHECK_EQ(astrum_sched_wake(sched), 0);
  CHECK_EQ(astrum_sched_next(sched, 0, actions, 2), 1);
  TEARDOWN();
}

TEST(a_run_of_no_tasks_completes_at_once) {
  SETUP("");
  astrum_run run = begin_run(sched, graph, with_limit(1));
  CHECK_STR(next(sched, 0), "done:completed closed");
  CHECK_EQ(astrum_sched_forget(sched, run), ASTRUM_OK);
  TEARDOWN();
}

/* --- failures */

TEST(fail_fast_skips_what_never_started_and_cancels_what_runs) {
  SETUP("a; b; c: a; d: b");
  astrum_run run = begin_run(sched, graph, ALL_DEFAULTS);
  next(sched, 0);
  end(sched, run, "a", ASTRUM_FAILURE, 5);
  CHECK_STR(state(sched, run, "a"), "failed");
  CHECK_STR(state(sched, run, "b"), "running");
  CHECK_EQ(record(sched, run, "a").cause, ASTRUM_CAUSE_ERROR);
  CHECK_EQ(record(sched, run, "d").state, ASTRUM_SKIPPED);
  CHECK_EQ(record(sched, run, "d").cause, ASTRUM_CAUSE_FAILURE);
  CHECK_EQ(record(sched, run, "d").blame, 0);
  CHECK_EQ(record(sched, run, "d").end, 5);
  CHECK_STR(next(sched, 5), "-b");
  CHECK_STR(next(sched, 6), "");
  end(sched, run, "b", ASTRUM_SUCCEEDED, 7);
  CHECK_STR(state(sched, run, "b"), "cancelled");
  CHECK_EQ(record(sched, run, "b").cause, ASTRUM_CAUSE_FAILURE);
  CHECK_STR(next(sched, 7), "done:failed closed");
  astrum_summary sum = summary(sched, run);
  CHECK_EQ(sum.cause, ASTRUM_CAUSE_ERROR);
  CHECK_EQ(sum.blame, 0);
  CHECK_EQ(sum.tasks, 4);
  CHECK_EQ(sum.failed, 1);
  CHECK_EQ(sum.cancelled, 1);
  CHECK_EQ(sum.skipped, 2);
  CHECK_EQ(sum.end, 7);
  TEARDOWN();
}

TEST(fail_fast_skips_a_task_that_is_ready) {
  SETUP("a; b");
  astrum_run run = begin_run(sched, graph, with_limit(1));
  CHECK_STR(next(sched, 0), "+a");
  end(sched, run, "a", ASTRUM_FAILURE_FINAL, 1);
  CHECK_STR(state(sched, run, "b"), "skipped");
  CHECK_STR(next(sched, 1), "done:failed closed");
  TEARDOWN();
}

TEST(fail_fast_cancels_a_task_that_waits_to_retry) {
  astrum_sched *sched = new_sched();
  astrum_graph *graph = graph_and_last("a", "r", retries(3, 100));
  astrum_run run = begin_run(sched, graph, ALL_DEFAULTS);
  CHECK_STR(next(sched, 0), "+a +r");
  end(sched, run, "r", ASTRUM_FAILURE, 1);
  CHECK_STR(state(sched, run, "r"), "retrying");
  end(sched, run, "a", ASTRUM_FAILURE, 2);
  CHECK_STR(state(sched, run, "r"), "cancelled");
  CHECK_STR(next(sched, 2), "done:failed closed");
  CHECK(astrum_sched_wake(sched) == ASTRUM_NEVER);
  CHECK_STR(next(sched, 1000), "");
  TEARDOWN();
}

TEST(keep_going_skips_exactly_what_depends_on_the_failure) {
  SETUP("a; b; c: a; d: c; e: b; f: d e");
  astrum_run run = begin_run(sched, graph, keep_going());
  next(sched, 0);
  end(sched, run, "a", ASTRUM_FAILURE, 3);
  CHECK_STR(state(sched, run, "c"), "skipped");
  CHECK_STR(state(sched, run, "d"), "skipped");
  CHECK_STR(state(sched, run, "f"), "skipped");
  CHECK_EQ(record(sched, run, "f").cause, ASTRUM_CAUSE_UPSTREAM);
  CHECK_EQ(record(sched, run, "f").blame, 0);
  end(sched, run, "b", ASTRUM_SUCCEEDED, 4);
  CHECK_STR(next(sched, 4), "+e");
  end(sched, run, "e", ASTRUM_SUCCEEDED, 5);
  CHECK_STR(next(sched, 5), "done:failed closed");
  CHECK_EQ(summary(sched, run).completed, 2);
  CHECK_EQ(summary(sched, run).skipped, 3);
  CHECK_EQ(summary(sched, run).cause, ASTRUM_CAUSE_ERROR);
  CHECK_EQ(summary(sched, run).blame, 0);
  TEARDOWN();
}

TEST(stopped_without_having_been_asked_is_a_final_failure) {
  astrum_policy policy = retries(3, 0);
  astrum_graph *graph = graph_of("a", &policy);
  astrum_sched *sched = new_sched();
  astrum_run run = begin_run(sched, graph, ALL_DEFAULTS);
  next(sched, 0);
  end(sched, run, "a", ASTRUM_STOPPED, 1);
  CHECK_STR(next(sched, 1), "done:failed closed");
  TEARDOWN();
}

/* --- retries */

TEST(a_failed_attempt_is_retried_until_no_retry_is_left) {
  astrum_policy policy = retries(2, 0);
  astrum_graph *graph = graph_of("a", &policy);
  astrum_sched *sched = new_sched();
  astrum_run run = begin_run(sched, graph, ALL_DEFAULTS);
  CHECK_STR(next(sched, 0), "+a");
  CHECK_EQ(astrum_sched_will_retry(sched, ticket(sched, run, "a")), 1);
  end(sched, run, "a", ASTRUM_FAILURE, 1);
  CHECK_STR(next(sched, 1), "+a2");
  end(sched, run, "a", ASTRUM_FAILURE, 2);
  CHECK_STR(next(sched, 2), "+a3");
  CHECK_EQ(astrum_sched_will_retry(sched, ticket(sched, run, "a")), 0);
  end(sched, run, "a", ASTRUM_FAILURE, 3);
  CHECK_STR(next(sched, 3), "done:failed closed");
  TEARDOWN();
}

TEST(a_final_failure_is_not_retried) {
  astrum_policy policy = retries(2, 0);
  astrum_graph *graph = graph_of("a", &policy);
  astrum_sched *sched = new_sched();
  astrum_run run = begin_run(sched, graph, ALL_DEFAULTS);
  next(sched, 0);
  end(sched, run, "a", ASTRUM_FAILURE_FINAL, 1);
  CHECK_STR(next(sched, 1), "done:failed closed");
  TEARDOWN();
}

TEST(a_retry_waits_for_its_delay_without_a_slot) {
  astrum_sched *sched = new_sched();
  astrum_policy policy = retries(2, 100);
  policy.backoff = 3;
  policy.max_delay = 250;
  astrum_graph *graph = graph_and_last("", "a", policy);
  astrum_run run = begin_run(sched, graph, with_limit(1));
  next(sched, 0);
  end(sched, run, "a", ASTRUM_FAILURE, 10);
  CHECK_EQ(astrum_sched_wake(sched), 110);
  CHECK_STR(next(sched, 109), "");
  CHECK_STR(next(sched, 110), "+a2");
  end(sched, run, "a", ASTRUM_FAILURE, 120);
  CHECK_EQ(astrum_sched_wake(sched), 370);
  CHECK_EQ(astrum__sched_run(sched, run.id)->occupied, 0);
  CHECK_STR(next(sched, 400), "+a3");
  end(sched, run, "a", ASTRUM_SUCCEEDED, 500);
  CHECK_EQ(record(sched, run, "a").busy, 10 + 10 + 100);
  CHECK_EQ(record(sched, run, "a").ready, 0);
  CHECK_EQ(record(sched, run, "a").start, 0);
  CHECK_EQ(record(sched, run, "a").end, 500);
  TEARDOWN();
}

TEST(the_same_seed_gives_the_same_jitter) {
  astrum_policy policy = retries(1, 1000000);
  policy.jitter = 1;
  astrum_graph *graph = graph_of("a", &policy);
  astrum_sched *sched = new_sched();
  uint64_t wakes[3];
  for (int i = 0; i < 3; i++) {
    astrum_run_options options = ASTRUM_RUN_OPTIONS_INIT;
    options.seed = i < 2 ? 7 : 8;
    astrum_run run = begin_run(sched, graph, options);
    next(sched, 0);
    end(sched, run, "a", ASTRUM_FAILURE, 0);
    wakes[i] = astrum_sched_wake(sched);
    astrum_sched_cancel(sched, run, ASTRUM_CAUSE_REQUEST, 0);
    next(sched, 0);
  }
  CHECK_EQ(wakes[0], wakes[1]);
  CHECK(wakes[0] != wakes[2]);
  TEARDOWN();
}

TEST(attempts_are_listed_with_outcome_and_times) {
  astrum_policy policy = retries(3, 0);
  astrum_graph *graph = graph_of("a", &policy);
  astrum_sched *sched = new_sched();
  astrum_run run = begin_run(sched, graph, ALL_DEFAULTS);
  astrum_attempt list[3];
  uint32_t count = 9;
  CHECK_EQ(astrum_sched_attempts(sched, run, (astrum_task){0}, list, 3, &count),
           ASTRUM_OK);
  CHECK_EQ(count, 0);
  next(sched, 1);
  end(sched, run, "a", ASTRUM_FAILURE, 2);
  next(sched, 3);
  astrum_sched_attempts(sched, run, (astrum_task){0}, list, 3, &count);
  CHECK_EQ(count, 2);
  CHECK_EQ(list[0].outcome, ASTRUM_FAILURE);
  CHECK_EQ(list[0].will_retry, 1);
  CHECK_EQ(list[0].start, 1);
  CHECK_EQ(list[0].end, 2);
  CHECK_EQ(list[1].attempt, 2);
  CHECK_EQ(list[1].running, 1);
  CHECK(list[1].end == ASTRUM_NEVER);
  end(sched, run, "a", ASTRUM_FAILURE_FINAL, 4);
  astrum_sched_attempts(sched, run, (astrum_task){0}, list, 1, &count);
  CHECK_EQ(count, 2);
  CHECK_EQ(list[0].attempt, 1);
  CHECK_EQ(list[1].running, 1);
  astrum_sched_attempts(sched, run, (astrum_task){0}, list, 3, &count);
  CHECK_EQ(list[1].outcome, ASTRUM_FAILURE_FINAL);
  CHECK_EQ(list[1].will_retry, 0);
  CHECK_EQ(list[1].running, 0);
  CHECK_EQ(astrum_sched_attempts(sched, run, (astrum_task){1}, list, 3, &count),
           ASTRUM_EINVAL);
  TEARDOWN();
}

TEST(the_one_attempt_of_a_task_without_retries_is_listed_too) {
  SETUP("a");
  astrum_run run = begin_run(sched, graph, ALL_DEFAULTS);
  astrum_attempt list[1];
  uint32_t count = 0;
  next(sched, 4);
  end(sched, run, "a", ASTRUM_FAILURE_FINAL, 9);
  astrum_sched_attempts(sched, run, (astrum_task){0}, list, 1, &count);
  CHECK_EQ(count, 1);
  CHECK_EQ(list[0].outcome, ASTRUM_FAILURE_FINAL);
  CHECK_EQ(list[0].start, 4);
  CHECK_EQ(list[0].end, 9);
  TEARDOWN();
}

/* --- cancelling */

TEST(a_cancel_skips_cancels_and_waits_for_the_answers) {
  SETUP("a; b: a");
  astrum_run run = begin_run(sched, graph, ALL_DEFAULTS);
  next(sched, 0);
  CHECK_EQ(astrum_sched_cancel(sched, run, ASTRUM_CAUSE_REQUEST, 1), ASTRUM_OK);
  CHECK_EQ(astrum_sched_cancel(sched, run, ASTRUM_CAUSE_REQUEST, 2), ASTRUM_OK);
  CHECK_STR(next(sched, 2), "-a");
  CHECK_STR(state(sched, run, "b"), "skipped");
  CHECK_STR(states[summary(sched, run).state], "running");
  end(sched, run, "a", ASTRUM_STOPPED, 3);
  CHECK_STR(next(sched, 3), "done:cancelled closed");
  CHECK_EQ(summary(sched, run).cause, ASTRUM_CAUSE_REQUEST);
  CHECK_EQ(record(sched, run, "a").cause, ASTRUM_CAUSE_REQUEST);
  TEARDOWN();
}

TEST(an_attempt_that_was_asked_to_stop_is_not_retried) {
  astrum_policy policy = retries(5, 0);
  astrum_graph *graph = graph_of("a", &policy);
  astrum_sched *sched = new_sched();
  astrum_run run = begin_run(sched, graph, ALL_DEFAULTS);
  next(sched, 0);
  astrum_sched_cancel(sched, run, ASTRUM_CAUSE_REQUEST, 1);
  CHECK_EQ(astrum_sched_will_retry(sched, ticket(sched, run, "a")), 0);
  end(sched, run, "a", ASTRUM_FAILURE, 2);
  CHECK_STR(next(sched, 2), "done:cancelled closed");
  TEARDOWN();
}

TEST(a_run_cancelled_before_it_is_begun_ends_at_once) {
  SETUP("a; b");
  astrum_run run = open_run(sched, graph, ALL_DEFAULTS);
  CHECK_EQ(astrum_sched_cancel(sched, run, ASTRUM_CAUSE_REQUEST, 3), ASTRUM_OK);
  CHECK_EQ(astrum_sched_begin(sched, run, 4), ASTRUM_EINVAL);
  CHECK_STR(next(sched, 4), "done:cancelled closed");
  CHECK_EQ(summary(sched, run).begin, 3);
  CHECK_EQ(summary(sched, run).skipped, 2);
  TEARDOWN();
}

TEST(a_run_cancelled_as_stuck_fails) {
  SETUP("a");
  astrum_run run = begin_run(sched, graph, ALL_DEFAULTS);
  next(sched, 0);
  astrum_sched_cancel(sched, run, ASTRUM_CAUSE_STUCK, 1);
  CHECK_STR(next(sched, 1), "-a");
  end(sched, run, "a", ASTRUM_STOPPED, 1);
  CHECK_STR(next(sched, 1), "done:failed closed");
  CHECK_EQ(summary(sched, run).cause, ASTRUM_CAUSE_STUCK);
  TEARDOWN();
}

TEST(cancels_are_handed_out_before_verdicts_and_starts) {
  SETUP("a");
  astrum_graph *other = graph_of("x", NULL);
  astrum_run run = begin_run(sched, graph, ALL_DEFAULTS);
  next(sched, 0);
  begin_run(sched, other, ALL_DEFAULTS);
  astrum_run third = open_run(sched, other, ALL_DEFAULTS);
  astrum_sched_cancel(sched, third, ASTRUM_CAUSE_REQUEST, 1);
  astrum_sched_cancel(sched, run, ASTRUM_CAUSE_REQUEST, 1);
  CHECK_STR(next(sched, 1), "-a done:cancelled closed +x");
  astrum_graph_free(other);
  TEARDOWN();
}

TEST(a_cancel_needs_a_cause) {
  SETUP("a");
  astrum_run run = begin_run(sched, graph, ALL_DEFAULTS);
  CHECK_EQ(astrum_sched_cancel(sched, run, ASTRUM_CAUSE_NONE, 0),
           ASTRUM_EINVAL);
  CHECK_EQ(astrum_sched_cancel(sched, run, (astrum_cause)99, 0), ASTRUM_EINVAL);
  CHECK_STR(next(sched, 0), "+a");
  TEARDOWN();
}

/* --- detached tasks */

TEST(a_run_does_not_wait_for_detached_tasks) {
  astrum_sched *sched = new_sched();
  astrum_graph *graph = graph_and_last("a", "d", detached());
  astrum_run run = begin_run(sched, graph, ALL_DEFAULTS);
  CHECK_STR(next(sched, 0), "+a +d");
  end(sched, run, "a", ASTRUM_SUCCEEDED, 1);
  CHECK_STR(next(sched, 1), "done:completed");
  CHECK_EQ(astrum_sched_forget(sched, run), ASTRUM_EBUSY);
  end(sched, run, "d", ASTRUM_FAILURE, 2);
  CHECK_STR(next(sched, 2), "closed");
  CHECK_EQ(summary(sched, run).tasks, 1);
  CHECK_EQ(summary(sched, run).failed, 0);
  CHECK_STR(state(sched, run, "d"), "failed");
  TEARDOWN();
}

TEST(the_failure_of_a_detached_task_leaves_the_run_alone) {
  astrum_sched *sched = new_sched();
  astrum_graph *graph = graph_and_last("a", "d", detached());
  astrum_run run = begin_run(sched, graph, ALL_DEFAULTS);
  next(sched, 0);
  end(sched, run, "d", ASTRUM_FAILURE, 1);
  CHECK_STR(next(sched, 1), "");
  end(sched, run, "a", ASTRUM_SUCCEEDED, 2);
  CHECK_STR(next(sched, 2), "done:completed closed");
  TEARDOWN();
}

TEST(fail_fast_cancels_detached_tasks) {
  astrum_sched *sched = new_sched();
  astrum_graph *graph = graph_and_last("a", "d", detached());
  astrum_run run = begin_run(sched, graph, ALL_DEFAULTS);
  next(sched, 0);
  end(sched, run, "a", ASTRUM_FAILURE, 1);
  CHECK_STR(next(sched, 1), "-d done:failed");
  end(sched, run, "d", ASTRUM_STOPPED, 2);
  CHECK_STR(next(sched, 2), "closed");
  TEARDOWN();
}

TEST(a_cancel_after_the_verdict_reaches_detached_tasks) {
  astrum_sched *sched = new_sched();
  astrum_graph *graph = graph_and_last("a", "d", detached());
  astrum_run run = begin_run(sched, graph, ALL_DEFAULTS);
  next(sched, 0);
  end(sched, run, "a", ASTRUM_SUCCEEDED, 1);
  CHECK_STR(next(sched, 1), "done:completed");
  astrum_sched_cancel(sched, run, ASTRUM_CAUSE_REQUEST, 2);
  CHECK_STR(next(sched, 2), "-d");
  end(sched, run, "d", ASTRUM_STOPPED, 3);
  CHECK_STR(next(sched, 3), "closed");
  CHECK_STR(state(sched, run, "d"), "cancelled");
  CHECK_STR(states[summary(sched, run).state], "completed");
  CHECK_EQ(summary(sched, run).cause, ASTRUM_CAUSE_NONE);
  TEARDOWN();
}

/* --- runs inside runs */

TEST(an_attempt_cannot_end_before_its_child_runs) {
  SETUP("a");
  astrum_graph *inner = graph_of("x", NULL);
  astrum_run run = begin_run(sched, graph, ALL_DEFAULTS);
  next(sched, 0);
  astrum_ticket parent = ticket(sched, run, "a");
  astrum_run child = begin_child(sched, inner, parent);
  CHECK_STR(next(sched, 1), "+x");
  CHECK_EQ(astrum_sched_finished(sched, parent, ASTRUM_SUCCEEDED, 1),
           ASTRUM_EBUSY);
  end(sched, child, "x", ASTRUM_SUCCEEDED, 2);
  CHECK_EQ(astrum_sched_finished(sched, parent, ASTRUM_SUCCEEDED, 2),
           ASTRUM_EBUSY);
  CHECK_STR(next(sched, 2), "done:completed closed");
  CHECK_EQ(astrum_sched_finished(sched, parent, ASTRUM_SUCCEEDED, 3),
           ASTRUM_OK);
  CHECK_STR(next(sched, 3), "done:completed closed");
  CHECK_EQ(astrum_sched_forget(sched, run), ASTRUM_EBUSY);
  CHECK_EQ(astrum_sched_forget(sched, child), ASTRUM_OK);
  CHECK_EQ(astrum_sched_forget(sched, run), ASTRUM_OK);
  astrum_graph_free(inner);
  TEARDOWN();
}

TEST(child_runs_are_cancelled_with_their_parent) {
  SETUP("a; b");
  astrum_graph *inner = graph_of("x; y: x", NULL);
  astrum_run run = begin_run(sched, graph, ALL_DEFAULTS);
  next(sched, 0);
  astrum_run child = begin_child(sched, inner, ticket(sched, run, "a"));
  next(sched, 1);
  astrum_run grand = begin_child(sched, inner, ticket(sched, child, "x"));
  astrum_run unbegun = begin_child(sched, inner, ticket(sched, child, "x"));
  CHECK_STR(next(sched, 2), "+x +x");
  end(sched, run, "b", ASTRUM_FAILURE, 3);
  CHECK_STR(next(sched, 3), "-a -x -x -x");
  end(sched, grand, "x", ASTRUM_STOPPED, 4);
  end(sched, unbegun, "x", ASTRUM_STOPPED, 4);
  CHECK_STR(next(sched, 4), "done:cancelled closed done:cancelled closed");
  end(sched, child, "x", ASTRUM_STOPPED, 5);
  CHECK_STR(next(sched, 5), "done:cancelled closed");
  CHECK_EQ(summary(sched, child).cause, ASTRUM_CAUSE_PARENT);
  CHECK_EQ(record(sched, child, "x").cause, ASTRUM_CAUSE_PARENT);
  end(sched, run, "a", ASTRUM_STOPPED, 6);
  CHECK_STR(next(sched, 6), "done:failed closed");
  astrum_graph_free(inner);
  TEARDOWN();
}

TEST(a_failed_child_run_leaves_its_parent_alone) {
  SETUP("a");
  astrum_graph *inner = graph_of("x", NULL);
  astrum_run run = begin_run(sched, graph, ALL_DEFAULTS);
  next(sched, 0);
  astrum_run child = begin_child(sched, inner, ticket(sched, run, "a"));
  next(sched, 0);
  end(sched, child, "x", ASTRUM_FAILURE, 1);
  CHECK_STR(next(sched, 1), "done:failed closed");
  end(sched, run, "a", ASTRUM_SUCCEEDED, 2);
  CHECK_STR(next(sched, 2), "done:completed closed");
  astrum_graph_free(inner);
  TEARDOWN();
}

TEST(a_waiting_parent_lends_its_slot_and_resumes_before_anything_starts) {
  SETUP("a; b; c: b");
  astrum_graph *inner = graph_of("x", NULL);
  astrum_run run = begin_run(sched, graph, with_limit(1));
  CHECK_STR(next(sched, 0), "+b");
  astrum_ticket parent = ticket(sched, run, "b");
  astrum_run child = begin_child(sched, inner, parent);
  CHECK_STR(next(sched, 0), "");
  CHECK_EQ(astrum_sched_waiting(sched, parent, 0, 1), ASTRUM_EINVAL);
  CHECK_EQ(astrum_sched_waiting(sched, parent, 1, 1), ASTRUM_OK);
  CHECK_EQ(astrum_sched_waiting(sched, parent, 1, 1), ASTRUM_EINVAL);
  CHECK_STR(next(sched, 1), "+a");
  end(sched, run, "a", ASTRUM_SUCCEEDED, 2);
  CHECK_STR(next(sched, 2), "+x");
  CHECK_EQ(astrum_sched_waiting(sched, parent, 0, 3), ASTRUM_OK);
  CHECK_STR(next(sched, 3), "");
  end(sched, child, "x", ASTRUM_SUCCEEDED, 4);
  CHECK_STR(next(sched, 4), "done:completed closed ^b");
  end(sched, run, "b", ASTRUM_SUCCEEDED, 5);
  CHECK_STR(next(sched, 5), "+c");
  astrum_graph_free(inner);
  TEARDOWN();
}

TEST(a_parent_that_was_asked_to_stop_gets_no_resume) {
  SETUP("a");
  astrum_run run = begin_run(sched, graph, with_limit(1));
  next(sched, 0);
  astrum_ticket a = ticket(sched, run, "a");
  astrum_sched_waiting(sched, a, 1, 0);
  astrum_sched_waiting(sched, a, 0, 0);
  astrum_sched_cancel(sched, run, ASTRUM_CAUSE_REQUEST, 1);
  CHECK_STR(next(sched, 1), "-a");
  end(sched, run, "a", ASTRUM_STOPPED, 2);
  CHECK_STR(next(sched, 2), "done:cancelled closed");
  TEARDOWN();
}

TEST(an_attempt_that_ends_while_it_asks_for_its_slot_gets_no_resume) {
  for (uint32_t limit = 0; limit < 2; limit++) {
    astrum_policy policy = retries(1, 0);
    astrum_graph *graph = graph_of("a; b", &policy);
    astrum_sched *sched = new_sched();
    astrum_run run = begin_run(sched, graph, with_limit(limit * 2));
    CHECK_STR(next(sched, 0), "+a +b");
    astrum_sched_waiting(sched, ticket(sched, run, "a"), 1, 0);
    astrum_sched_waiting(sched, ticket(sched, run, "b"), 1, 0);
    astrum_sched_waiting(sched, ticket(sched, run, "a"), 0, 0);
    astrum_sched_waiting(sched, ticket(sched, run, "b"), 0, 0);
    end(sched, run, "b", ASTRUM_FAILURE, 1);
    CHECK_STR(next(sched, 1), "^a +b2");
    TEARDOWN();
  }
}

TEST(runs_can_be_nested_as_deeply_as_the_header_says) {
  SETUP("a");
  astrum_run run = begin_run(sched, graph, ALL_DEFAULTS);
  for (int depth = 1; depth < ASTRUM_DEPTH_MAX; depth++) {
    CHECK_STR(next(sched, 0), "+a");
    run = begin_child(sched, graph, ticket(sched, run, "a"));
  }
  CHECK_STR(next(sched, 0), "+a");
  astrum_ticket deepest = ticket(sched, run, "a");
  astrum_run_options options = ASTRUM_RUN_OPTIONS_INIT;
  options.parent = &deepest;
  CHECK_EQ(astrum_sched_open(sched, graph, &options, &run), ASTRUM_EDEPTH);
  TEARDOWN();
}

/* --- what is refused */

TEST(options_that_make_no_sense_are_refused) {
  SETUP("a");
  astrum_run run = {77};
  astrum_run_options options = {.size = 3};
  CHECK_EQ(astrum_sched_open(sched, graph, &options, &run), ASTRUM_EINVAL);
  options = ALL_DEFAULTS;
  options.failure_mode = 2;
  CHECK_EQ(astrum_sched_open(sched, graph, &options, &run), ASTRUM_EINVAL);
  astrum_ticket parent = {0, 0, 1, 0};
  options = with_limit(1);
  options.parent = &parent;
  CHECK_EQ(astrum_sched_open(sched, graph, &options, &run), ASTRUM_EINVAL);
  options.concurrency = 0;
  CHECK_EQ(astrum_sched_open(sched, graph, &options, &run), ASTRUM_ESTALE);
  astrum_graph *open = NULL;
  astrum_graph_new(NULL, &open);
  CHECK_EQ(astrum_sched_open(sched, open, NULL, &run), ASTRUM_ENOTFROZEN);
  CHECK_EQ(run.id, 77);
  astrum_graph_free(open);
  TEARDOWN();
}

TEST(a_ticket_is_stale_as_soon_as_its_attempt_is_over) {
  astrum_policy policy = retries(1, 0);
  astrum_graph *graph = graph_of("a", &policy);
  astrum_sched *sched = new_sched();
  astrum_run run = begin_run(sched, graph, ALL_DEFAULTS);
  next(sched, 0);
  astrum_ticket first = ticket(sched, run, "a");
  CHECK_EQ(astrum_sched_alive(sched, first), 1);
  end(sched, run, "a", ASTRUM_FAILURE, 1);
  CHECK_EQ(astrum_sched_alive(sched, first), 0);
  CHECK_STR(next(sched, 1), "+a2");
  CHECK_EQ(astrum_sched_finished(sched, first, ASTRUM_SUCCEEDED, 2),
           ASTRUM_ESTALE);
  CHECK_EQ(astrum_sched_will_retry(sched, first), 0);
  CHECK_EQ(astrum_sched_waiting(sched, first, 1, 2), ASTRUM_ESTALE);
  CHECK_STR(state(sched, run, "a"), "running");
  TEARDOWN();
}

TEST(after_it_is_forgotten_everything_about_a_run_is_stale) {
  SETUP("a");
  astrum_run run = begin_run(sched, graph, ALL_DEFAULTS);
  next(sched, 0);
  astrum_ticket old = ticket(sched, run, "a");
  CHECK_EQ(astrum_sched_forget(sched, run), ASTRUM_EBUSY);
  end(sched, run, "a", ASTRUM_SUCCEEDED, 1);
  next(sched, 1);
  CHECK_EQ(astrum_sched_forget(sched, run), ASTRUM_OK);
  astrum_run again = begin_run(sched, graph, ALL_DEFAULTS);
  CHECK(again.id != run.id);
  next(sched, 2);
  astrum_record record_of;
  astrum_summary sum;
  uint32_t count;
  CHECK_EQ(astrum_sched_forget(sched, run), ASTRUM_ESTALE);
  CHECK_EQ(astrum_sched_begin(sched, run, 3), ASTRUM_ESTALE);
  CHECK_EQ(astrum_sched_cancel(sched, run, ASTRUM_CAUSE_REQUEST, 3),
           ASTRUM_ESTALE);
  CHECK_EQ(astrum_sched_finished(sched, old, ASTRUM_SUCCEEDED, 3),
           ASTRUM_ESTALE);
  CHECK_EQ(astrum_sched_record(sched, run, (astrum_task){0}, &record_of),
           ASTRUM_ESTALE);
  CHECK_EQ(astrum_sched_attempts(sched, run, (astrum_task){0}, NULL, 0, &count),
           ASTRUM_ESTALE);
  CHECK_EQ(astrum_sched_summary(sched, run, &sum), ASTRUM_ESTALE);
  CHECK_STR(state(sched, again, "a"), "running");
  TEARDOWN();
}

TEST(numbers_of_runs_do_not_come_back_soon) {
  SETUP("");
  astrum_run first = begin_run(sched, graph, ALL_DEFAULTS);
  next(sched, 0);
  CHECK_EQ(astrum_sched_forget(sched, first), ASTRUM_OK);
  int back = 0;
  for (int i = 0; i < 100000; i++) {
    astrum_run run = begin_run(sched, graph, ALL_DEFAULTS);
    back += run.id == first.id;
    next(sched, 0);
    astrum_sched_forget(sched, run);
  }
  CHECK_EQ(back, 0);
  TEARDOWN();
}

TEST(many_runs_can_be_open_at_once) {
  SETUP("a");
  enum { RUNS = 1000 };
  static astrum_run runs[RUNS];
  for (int i = 0; i < RUNS; i++)
    runs[i] = begin_run(sched, graph, ALL_DEFAULTS);
  astrum_action action;
  while (astrum_sched_next(sched, 0, &action, 1) > 0)
    if (action.kind == ASTRUM_START)
      astrum_sched_finished(sched, action.ticket, ASTRUM_SUCCEEDED, 0);
  int completed = 0;
  for (int i = 0; i < RUNS; i++)
    completed += summary(sched, runs[i]).state == ASTRUM_COMPLETED;
  CHECK_EQ(completed, RUNS);
  TEARDOWN();
}

/* --- memory */

TEST(a_task_that_cannot_be_started_for_want_of_memory_fails) {
  fault_state fault = fault_none();
  astrum_alloc alloc = fault_allocator(&fault);
  astrum_policy policy = retries(1, 0);
  astrum_graph *graph = graph_of("a; b: a", &policy);
  astrum_sched *sched = NULL;
  CHECK_EQ(astrum_sched_new(&alloc, &sched), ASTRUM_OK);
  astrum_run run = begin_run(sched, graph, ALL_DEFAULTS);
  fault_after(&fault, 0, 1);
  CHECK_STR(next(sched, 1), "done:failed closed");
  CHECK_EQ(record(sched, run, "a").cause, ASTRUM_CAUSE_MEMORY);
  CHECK_EQ(record(sched, run, "a").attempts, 0);
  CHECK_STR(state(sched, run, "b"), "skipped");
  TEARDOWN();
  CHECK_EQ(fault.live, 0);
}

TEST(want_of_memory_leaves_the_scheduler_as_it_was) {
  astrum_policy policy = retries(2, 10);
  astrum_graph *graph = graph_of("a; b; c: a b; d: c", &policy);
  FAULT_SWEEP(fault) {
    astrum_alloc alloc = fault_allocator(&fault);
    astrum_sched *sched = NULL;
    if (astrum_sched_new(&alloc, &sched))
      continue;
    astrum_run_options options = with_limit(2);
    astrum_run run = {77};
    if (astrum_sched_open(sched, graph, &options, &run)) {
      CHECK_EQ(run.id, 77);
      CHECK(astrum_sched_wake(sched) == ASTRUM_NEVER);
    } else {
      astrum_action action = {0};
      uint64_t now = 0;
      astrum_sched_begin(sched, run, now);
      while (action.kind != ASTRUM_CLOSED) {
        now = astrum_sched_wake(sched) > now ? astrum_sched_wake(sched) : now;
        if (astrum_sched_next(sched, now, &action, 1) == 0)
          break;
        if (action.kind == ASTRUM_START)
          astrum_sched_finished(sched, action.ticket,
                                action.ticket.attempt == 1 ? ASTRUM_FAILURE
                                                           : ASTRUM_SUCCEEDED,
                                now);
        if (action.kind == ASTRUM_CANCEL)
          astrum_sched_finished(sched, action.ticket, ASTRUM_STOPPED, now);
      }
      CHECK_EQ(action.kind, ASTRUM_CLOSED);
      CHECK_EQ(action.state, fault.failed ? ASTRUM_FAILED : ASTRUM_COMPLETED);
    }
    astrum_sched_free(sched);
  }
  astrum_graph_free(graph);
}

/* --- size */

TEST(long_chains_need_no_stack) {
  enum { COUNT = 1000000 };
  struct rlimit limit;
  CHECK_EQ(getrlimit(RLIMIT_STACK, &limit), 0);
  limit.rlim_cur = 256 * 1024;
  CHECK_EQ(setrlimit(RLIMIT_STACK, &limit), 0);
  astrum_graph *graph = NULL;
  astrum_graph_new(NULL, &graph);
  for (uint32_t i = 0; i < COUNT; i++) {
    char name[16];
    astrum_task task;
    int size = snprintf(name, sizeof name, "%u", (unsigned)i);
    astrum_graph_add(graph, name, (size_t)size, NULL, &task);
    if (i > 0)
      astrum_graph_edge(graph, (astrum_task){i - 1}, task);
  }
  CHECK_EQ(astrum_graph_freeze(graph), ASTRUM_OK);
  astrum_sched *sched = new_sched();
  astrum_run run = begin_run(sched, graph, with_limit(1));
  astrum_run skipped = begin_run(sched, graph, keep_going());
  astrum_action action;
  while (astrum_sched_next(sched, 0, &action, 1) > 0)
    if (action.kind == ASTRUM_START)
      astrum_sched_finished(sched, action.ticket,
                            action.ticket.run == skipped.id ? ASTRUM_FAILURE
                                                            : ASTRUM_SUCCEEDED,
                            0);
  CHECK_EQ(summary(sched, run).completed, COUNT);
  CHECK_EQ(summary(sched, skipped).skipped, COUNT - 1);
  TEARDOWN();
}

TEST_MAIN(
    TEST_ENTRY(a_task_starts_when_all_it_waits_for_is_complete),
    TEST_ENTRY(nothing_starts_before_begin),
    TEST_ENTRY(
        tasks_that_become_ready_together_start_in_the_order_of_declaration),
    TEST_ENTRY(tasks_start_in_the_order_in_which_they_became_ready),
    TEST_ENTRY(
        with_a_limit_the_task_with_the_longest_path_before_it_goes_first),
    TEST_ENTRY(no_more_attempts_run_than_the_limit_allows),
    TEST_ENTRY(two_runs_take_turns),
    TEST_ENTRY(next_writes_no_more_actions_than_there_is_room_for),
    TEST_ENTRY(a_run_of_no_tasks_completes_at_once),
    TEST_ENTRY(fail_fast_skips_what_never_started_and_cancels_what_runs),
    TEST_ENTRY(fail_fast_skips_a_task_that_is_ready),
    TEST_ENTRY(fail_fast_cancels_a_task_that_waits_to_retry),
    TEST_ENTRY(keep_going_skips_exactly_what_depends_on_the_failure),
    TEST_ENTRY(stopped_without_having_been_asked_is_a_final_failure),
    TEST_ENTRY(a_failed_attempt_is_retried_until_no_retry_is_left),
    TEST_ENTRY(a_final_failure_is_not_retried),
    TEST_ENTRY(a_retry_waits_for_its_delay_without_a_slot),
    TEST_ENTRY(the_same_seed_gives_the_same_jitter),
    TEST_ENTRY(attempts_are_listed_with_outcome_and_times),
    TEST_ENTRY(the_one_attempt_of_a_task_without_retries_is_listed_too),
    TEST_ENTRY(a_cancel_skips_cancels_and_waits_for_the_answers),
    TEST_ENTRY(an_attempt_that_was_asked_to_stop_is_not_retried),
    TEST_ENTRY(a_run_cancelled_before_it_is_begun_ends_at_once),
    TEST_ENTRY(a_run_cancelled_as_stuck_fails),
    TEST_ENTRY(cancels_are_handed_out_before_verdicts_and_starts),
    TEST_ENTRY(a_cancel_needs_a_cause),
    TEST_ENTRY(a_run_does_not_wait_for_detached_tasks),
    TEST_ENTRY(the_failure_of_a_detached_task_leaves_the_run_alone),
    TEST_ENTRY(fail_fast_cancels_detached_tasks),
    TEST_ENTRY(a_cancel_after_the_verdict_reaches_detached_tasks),
    TEST_ENTRY(an_attempt_cannot_end_before_its_child_runs),
    TEST_ENTRY(child_runs_are_cancelled_with_their_parent),
    TEST_ENTRY(a_failed_child_run_leaves_its_parent_alone),
    TEST_ENTRY(
        a_waiting_parent_lends_its_slot_and_resumes_before_anything_starts),
    TEST_ENTRY(a_parent_that_was_asked_to_stop_gets_no_resume),
    TEST_ENTRY(an_attempt_that_ends_while_it_asks_for_its_slot_gets_no_resume),
    TEST_ENTRY(runs_can_be_nested_as_deeply_as_the_header_says),
    TEST_ENTRY(options_that_make_no_sense_are_refused),
    TEST_ENTRY(a_ticket_is_stale_as_soon_as_its_attempt_is_over),
    TEST_ENTRY(after_it_is_forgotten_everything_about_a_run_is_stale),
    TEST_ENTRY(numbers_of_runs_do_not_come_back_soon),
    TEST_ENTRY(many_runs_can_be_open_at_once),
    TEST_ENTRY(a_task_that_cannot_be_started_for_want_of_memory_fails),
    TEST_ENTRY(want_of_memory_leaves_the_scheduler_as_it_was),
    TEST_ENTRY(long_chains_need_no_stack))
