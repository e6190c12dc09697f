/* Maps and their items. */
#include "script.h"

#define SETUP(text, ...)                                                       \
  astrum_graph *graph = new_graph();                                           \
  add(graph, "m", POLICY(.map = 1, __VA_ARGS__));                              \
  add(graph, text, NULL);                                                      \
  freeze(graph);                                                               \
  astrum_sched *sched = new_sched()

TEST(a_map_is_expanded_and_completes_with_the_last_of_its_items) {
  SETUP("z: m", .priority = 0);
  astrum_run run = begin_run(sched, graph, ALL_DEFAULTS);
  CHECK_STR(next(sched, 1), "*m");
  CHECK_EQ(summary(sched, run).running, 1);
  astrum_ticket m = ticket(sched, run, "m");
  expand(sched, run, "m", 3, 2);
  CHECK_EQ(astrum_sched_alive(sched, m), 0);
  CHECK_EQ(astrum_sched_finished(sched, m, ASTRUM_SUCCEEDED, 2), ASTRUM_ESTALE);
  CHECK_EQ(summary(sched, run).running, 0);
  CHECK_STR(next(sched, 3), "+m.1 +m.2 +m.3");
  CHECK_STR(state(sched, run, "m"), "running");
  end_item(sched, run, "m", 3, ASTRUM_SUCCEEDED, 4);
  end_item(sched, run, "m", 1, ASTRUM_DECLINED, 5);
  CHECK_STR(item_state(sched, run, "m", 1), "skipped");
  CHECK_EQ(record(sched, run, "m").left, 1);
  CHECK_STR(next(sched, 5), "");
  end_item(sched, run, "m", 2, ASTRUM_SUCCEEDED, 9);
  CHECK_STR(next(sched, 9), "+z");
  astrum_record record_of_map = record(sched, run, "m");
  CHECK_EQ(record_of_map.state, ASTRUM_COMPLETED);
  CHECK_EQ(record_of_map.items, 3);
  CHECK_EQ(record_of_map.left, 0);
  CHECK_EQ(record_of_map.start, 1);
  CHECK_EQ(record_of_map.end, 9);
  CHECK_EQ(record_of_map.busy, 1 + 7);
  CHECK_EQ(record_of_map.attempts, 1);
  CHECK_EQ(item_record(sched, run, "m", 2).ready, 2);
  CHECK_EQ(item_record(sched, run, "m", 2).busy, 6);
  CHECK_EQ(summary(sched, run).completed, 1);
  CHECK_EQ(summary(sched, run).tasks, 2);
  TEARDOWN();
}

TEST(a_map_without_items_completes_when_it_is_expanded) {
  SETUP("z: m", .priority = 0);
  astrum_run run = begin_run(sched, graph, ALL_DEFAULTS);
  next(sched, 0);
  expand(sched, run, "m", 0, 1);
  CHECK_STR(next(sched, 1), "+z");
  CHECK_EQ(record(sched, run, "m").items, 0);
  TEARDOWN();
}

TEST(no_more_items_than_max_concurrency_are_under_way) {
  SETUP("z", .max_concurrency = 2, .max_retries = 1, .delay = 10);
  astrum_run run = begin_run(sched, graph, ALL_DEFAULTS);
  next(sched, 0);
  expand(sched, run, "m", 4, 1);
  CHECK_STR(next(sched, 1), "+m.1 +m.2");
  CHECK_STR(item_state(sched, run, "m", 3), "pending");
  end_item(sched, run, "m", 1, ASTRUM_FAILURE, 2);
  CHECK_STR(next(sched, 2), "");
  end_item(sched, run, "m", 2, ASTRUM_SUCCEEDED, 3);
  CHECK_STR(next(sched, 3), "+m.3");
  CHECK_STR(next(sched, 12), "+m.1,2");
  end_item(sched, run, "m", 1, ASTRUM_SUCCEEDED, 13);
  CHECK_STR(next(sched, 13), "+m.4");
  TEARDOWN();
}

TEST(an_expansion_has_a_slot_and_no_units_and_its_items_have_both) {
  static const astrum_units units[] = {{0, 1}};
  const astrum_pool pool = {1, 1, 10};
  SETUP("z", .pools = units, .pool_count = 1);
  astrum_run run = begin_run(
      sched, graph, OPTIONS(.concurrency = 1, .pools = &pool, .pool_count = 1));
  CHECK_STR(next(sched, 0), "*m");
  expand(sched, run, "m", 2, 1);
  CHECK_STR(next(sched, 1), "+z");
  end(sched, run, "z", ASTRUM_SUCCEEDED, 2);
  CHECK_STR(next(sched, 2), "+m.1");
  end_item(sched, run, "m", 1, ASTRUM_SUCCEEDED, 3);
  CHECK_STR(next(sched, 11), "");
  CHECK_STR(next(sched, 12), "+m.2");
  TEARDOWN();
}

TEST(items_have_retries_and_attempts_of_their_own) {
  SETUP("z", .max_retries = 1);
  astrum_run run = begin_run(sched, graph, keep_going());
  astrum_attempt list[2];
  uint32_t count;
  next(sched, 0);
  end(sched, run, "m", ASTRUM_FAILURE, 1);
  CHECK_STR(next(sched, 1), "*m2");
  expand(sched, run, "m", 2, 2);
  CHECK_STR(next(sched, 2), "+m.1 +m.2");
  end_item(sched, run, "m", 2, ASTRUM_FAILURE, 3);
  CHECK_STR(next(sched, 4), "+m.2,2");
  CHECK_EQ(astrum_sched_item_attempts(sched, run, task_of(graph, "m"), 2, list,
                                      2, &count),
           ASTRUM_OK);
  CHECK_EQ(count, 2);
  CHECK_EQ(list[0].outcome, ASTRUM_FAILURE);
  CHECK_EQ(list[0].start, 2);
  CHECK_EQ(list[1].running, 1);
  astrum_sched_attempts(sched, run, task_of(graph, "m"), list, 2, &count);
  CHECK_EQ(count, 2);
  CHECK_EQ(list[1].outcome, ASTRUM_SUCCEEDED);
  CHECK_EQ(list[1].end, 2);
  CHECK_EQ(record(sched, run, "m").busy, 2);
  TEARDOWN();
}

TEST(the_one_expansion_of_a_map_without_retries_is_listed_too) {
  SETUP("z", .priority = 0);
  astrum_run run = begin_run(sched, graph, ALL_DEFAULTS);
  astrum_attempt attempt;
  uint32_t count;
  next(sched, 3);
  expand(sched, run, "m", 1, 5);
  next(sched, 5);
  end_item(sched, run, "m", 1, ASTRUM_FAILURE, 8);
  astrum_sched_attempts(sched, run, task_of(graph, "m"), &attempt, 1, &count);
  CHECK_EQ(count, 1);
  CHECK_EQ(attempt.outcome, ASTRUM_SUCCEEDED);
  CHECK_EQ(attempt.start, 3);
  CHECK_EQ(attempt.end, 5);
  TEARDOWN();
}

TEST(the_jitter_of_items_differs) {
  SETUP("z", .max_retries = 1, .delay = 1000000, .jitter = 1);
  astrum_run run = begin_run(sched, graph, keep_going());
  next(sched, 0);
  expand(sched, run, "m", 2, 0);
  next(sched, 0);
  end_item(sched, run, "m", 1, ASTRUM_FAILURE, 0);
  uint64_t first = astrum_sched_wake(sched);
  CHECK(*next(sched, first) != '\0');
  end_item(sched, run, "m", 1, ASTRUM_SUCCEEDED, first);
  end_item(sched, run, "m", 2, ASTRUM_FAILURE, first);
  CHECK(astrum_sched_wake(sched) != 2 * first);
  TEARDOWN();
}

/* --- failures */

TEST(a_map_breaks_when_an_item_fails_for_good) {
  SETUP("z", .max_concurrency = 3, .max_retries = 1, .delay = 50);
  astrum_run run = begin_run(sched, graph, keep_going());
  next(sched, 0);
  expand(sched, run, "m", 4, 1);
  CHECK_STR(next(sched, 1), "+m.1 +m.2 +m.3");
  end_item(sched, run, "m", 3, ASTRUM_FAILURE, 2);
  end_item(sched, run, "m", 1, ASTRUM_FAILURE_FINAL, 3);
  CHECK_STR(next(sched, 3), "-m.2");
  CHECK_STR(item_state(sched, run, "m", 3), "cancelled");
  CHECK_STR(item_state(sched, run, "m", 4), "skipped");
  CHECK_EQ(item_record(sched, run, "m", 4).cause, ASTRUM_CAUSE_ITEM);
  CHECK_EQ(item_record(sched, run, "m", 4).blame, ASTRUM_NO_TASK);
  CHECK_STR(state(sched, run, "m"), "running");
  end_item(sched, run, "m", 2, ASTRUM_SUCCEEDED, 4);
  CHECK_STR(item_state(sched, run, "m", 2), "cancelled");
  CHECK_STR(state(sched, run, "m"), "failed");
  CHECK_EQ(record(sched, run, "m").cause, ASTRUM_CAUSE_ITEM);
  CHECK_EQ(item_record(sched, run, "m", 1).cause, ASTRUM_CAUSE_ERROR);
  end(sched, run, "z", ASTRUM_SUCCEEDED, 5);
  CHECK_STR(next(sched, 5), "done:failed closed");
  CHECK_EQ(summary(sched, run).failed, 1);
  CHECK_EQ(summary(sched, run).cancelled, 0);
  TEARDOWN();
}

TEST(a_tolerant_map_completes_although_items_failed) {
  SETUP("z: m", .tolerant = 1);
  astrum_run run = begin_run(sched, graph, ALL_DEFAULTS);
  next(sched, 0);
  expand(sched, run, "m", 2, 1);
  next(sched, 1);
  end_item(sched, run, "m", 1, ASTRUM_FAILURE, 2);
  end_item(sched, run, "m", 2, ASTRUM_FAILURE, 2);
  CHECK_STR(next(sched, 2), "+z");
  CHECK_STR(state(sched, run, "m"), "completed");
  TEARDOWN();
}

TEST(fail_fast_stops_the_run_when_the_map_breaks) {
  SETUP("z", .priority = 0);
  astrum_run run = begin_run(sched, graph, ALL_DEFAULTS);
  next(sched, 0);
  expand(sched, run, "m", 2, 1);
  next(sched, 1);
  end_item(sched, run, "m", 1, ASTRUM_FAILURE, 2);
  CHECK_STR(next(sched, 2), "-z -m.2");
  CHECK_EQ(stopping(sched, run, "z"), ASTRUM_CAUSE_FAILURE);
  end(sched, run, "z", ASTRUM_STOPPED, 3);
  end_item(sched, run, "m", 2, ASTRUM_STOPPED, 4);
  CHECK_STR(next(sched, 4), "done:failed closed");
  CHECK_EQ(record(sched, run, "z").blame, task_of(graph, "m").id);
  CHECK_STR(state(sched, run, "m"), "failed");
  TEARDOWN();
}

TEST(a_break_that_stops_the_run_tells_the_runs_inside_the_items_once) {
  SETUP("z", .priority = 0);
  astrum_graph *inner = new_graph();
  add(inner, "x", NULL);
  add(inner, "c: x", POLICY(.trigger = ASTRUM_ALL_DONE));
  freeze(inner);
  astrum_run run = begin_run(sched, graph, ALL_DEFAULTS);
  next(sched, 0);
  expand(sched, run, "m", 2, 1);
  next(sched, 1);
  astrum_run child = begin_child(sched, inner, item_ticket(sched, run, "m", 2));
  CHECK_STR(next(sched, 1), "+x");
  end_item(sched, run, "m", 1, ASTRUM_FAILURE, 2);
  CHECK_STR(next(sched, 2), "-z -m.2 -x");
  end(sched, child, "x", ASTRUM_STOPPED, 3);
  CHECK_STR(next(sched, 3), "+c");
  astrum_graph_free(inner);
  TEARDOWN();
}

TEST(a_map_whose_failure_can_be_handled_stops_nothing) {
  astrum_graph *graph = new_graph();
  add(graph, "m", POLICY(.map = 1));
  add(graph, "h: m", POLICY(.trigger = ASTRUM_ALL_FAILED));
  add(graph, "z", NULL);
  freeze(graph);
  astrum_sched *sched = new_sched();
  astrum_run run = begin_run(sched, graph, ALL_DEFAULTS);
  next(sched, 0);
  expand(sched, run, "m", 2, 1);
  next(sched, 1);
  end_item(sched, run, "m", 1, ASTRUM_FAILURE, 2);
  CHECK_STR(next(sched, 2), "-m.2");
  end_item(sched, run, "m", 2, ASTRUM_STOPPED, 3);
  CHECK_STR(next(sched, 3), "+h");
  end(sched, run, "h", ASTRUM_SUCCEEDED, 4);
  end(sched, run, "z", ASTRUM_SUCCEEDED, 4);
  CHECK_STR(next(sched, 4), "done:completed closed");
  CHECK_EQ(record(sched, run, "m").handled, 1);
  TEARDOWN();
}

/* --- stopping */

TEST(the_items_of_a_map_stop_with_the_run) {
  SETUP("z", .max_concurrency = 1);
  astrum_run run = begin_run(sched, graph, ALL_DEFAULTS);
  next(sched, 0);
  expand(sched, run, "m", 3, 1);
  CHECK_STR(next(sched, 1), "+m.1");
  cancel(sched, run, 2);
  CHECK_STR(next(sched, 2), "-z -m.1");
  CHECK_STR(item_state(sched, run, "m", 2), "skipped");
  end_item(sched, run, "m", 1, ASTRUM_SUCCEEDED, 3);
  CHECK_STR(item_state(sched, run, "m", 1), "cancelled");
  CHECK_STR(state(sched, run, "m"), "cancelled");
  CHECK_EQ(record(sched, run, "m").cause, ASTRUM_CAUSE_REQUEST);
  end(sched, run, "z", ASTRUM_STOPPED, 3);
  CHECK_STR(next(sched, 3), "done:cancelled closed");
  TEARDOWN();
}

TEST(a_map_that_cleans_up_goes_on_in_a_run_that_stops) {
  SETUP("z", .trigger = ASTRUM_ALWAYS, .max_concurrency = 1);
  astrum_run run = begin_run(sched, graph, ALL_DEFAULTS);
  next(sched, 0);
  expand(sched, run, "m", 2, 1);
  next(sched, 1);
  cancel(sched, run, 2);
  CHECK_STR(next(sched, 2), "-z");
  end_item(sched, run, "m", 1, ASTRUM_SUCCEEDED, 3);
  CHECK_STR(next(sched, 3), "+m.2");
  cancel(sched, run, 4);
  CHECK_STR(next(sched, 4), "-m.2");
  TEARDOWN();
}

TEST(an_expansion_that_was_asked_to_stop_makes_no_items) {
  SETUP("z", .priority = 0);
  astrum_run run = begin_run(sched, graph, ALL_DEFAULTS);
  next(sched, 0);
  cancel(sched, run, 1);
  expand(sched, run, "m", 5, 2);
  CHECK_STR(state(sched, run, "m"), "cancelled");
  CHECK_EQ(record(sched, run, "m").items, 0);
  TEARDOWN();
}

TEST(an_expansion_may_take_too_long_or_be_declined) {
  SETUP("z", .timeout = 10);
  astrum_run run = begin_run(sched, graph, keep_going());
  next(sched, 0);
  CHECK_STR(next(sched, 10), "-m");
  expand(sched, run, "m", 5, 11);
  CHECK_STR(state(sched, run, "m"), "timed_out");
  run = begin_run(sched, graph, keep_going());
  next(sched, 20);
  end(sched, run, "m", ASTRUM_DECLINED, 21);
  CHECK_STR(state(sched, run, "m"), "skipped");
  TEARDOWN();
}

/* --- what is refused */

TEST(an_expansion_must_make_sense) {
  SETUP("z", .max_items = 3);
  astrum_graph *inner = graph_of("x", NULL);
  astrum_run run = begin_run(sched, graph, ALL_DEFAULTS);
  next(sched, 0);
  astrum_ticket m = ticket(sched, run, "m");
  CHECK_EQ(astrum_sched_expanded(sched, m, 4, 1), ASTRUM_ELIMIT);
  CHECK_EQ(astrum_sched_expanded(sched, ticket(sched, run, "z"), 1, 1),
           ASTRUM_EINVAL);
  astrum_run child = begin_child(sched, inner, m);
  CHECK_EQ(astrum_sched_expanded(sched, m, 1, 1), ASTRUM_EBUSY);
  next(sched, 1);
  end(sched, child, "x", ASTRUM_SUCCEEDED, 1);
  next(sched, 1);
  CHECK_EQ(astrum_sched_expanded(sched, m, 3, 1), ASTRUM_OK);
  CHECK_EQ(astrum_sched_expanded(sched, m, 3, 1), ASTRUM_ESTALE);
  next(sched, 1);
  astrum_ticket item = item_ticket(sched, run, "m", 1);
  CHECK_EQ(astrum_sched_expanded(sched, item, 1, 1), ASTRUM_EINVAL);
  item.item = 4;
  CHECK_EQ(astrum_sched_alive(sched, item), 0);
  item.task = task_of(graph, "z").id;
  CHECK_EQ(astrum_sched_alive(sched, item), 0);
  astrum_graph_free(inner);
  TEARDOWN();
}

TEST(items_that_are_not_there_have_no_record) {
  SETUP("z", .priority = 0);
  astrum_run run = begin_run(sched, graph, ALL_DEFAULTS);
  astrum_record out;
  uint32_t count;
  astrum_task m = task_of(graph, "m"), z = task_of(graph, "z");
  CHECK_EQ(astrum_sched_item_record(sched, run, m, 1, &out), ASTRUM_EINVAL);
  next(sched, 0);
  expand(sched, run, "m", 1, 1);
  CHECK_EQ(astrum_sched_item_record(sched, run, m, 1, &out), ASTRUM_OK);
  CHECK_EQ(astrum_sched_item_record(sched, run, m, 0, &out), ASTRUM_EINVAL);
  CHECK_EQ(astrum_sched_item_record(sched, run, m, 2, &out), ASTRUM_EINVAL);
  CHECK_EQ(astrum_sched_item_record(sched, run, z, 1, &out), ASTRUM_EINVAL);
  CHECK_EQ(astrum_sched_item_attempts(sched, run, m, 2, NULL, 0, &count),
           ASTRUM_EINVAL);
  CHECK_EQ(astrum_sched_item_attempts(sched, run, m, 0, NULL, 0, &count),
           ASTRUM_EINVAL);
  run.id = 99;
  CHECK_EQ(astrum_sched_item_record(sched, run, m, 0, &out), ASTRUM_ESTALE);
  CHECK_EQ(astrum_sched_item_attempts(sched, run, m, 0, NULL, 0, &count),
           ASTRUM_ESTALE);
  TEARDOWN();
}

TEST(expansions_are_left_out_of_max_total_attempts) {
  SETUP("z", .max_retries = 3);
  astrum_run run = begin_run(
      sched, graph,
      OPTIONS(.max_total_attempts = 1, .failure_mode = ASTRUM_KEEP_GOING));
  CHECK_STR(next(sched, 0), "*m +z");
  end(sched, run, "m", ASTRUM_FAILURE, 1);
  CHECK_STR(next(sched, 1), "*m2");
  expand(sched, run, "m", 1, 2);
  CHECK_STR(next(sched, 2), "");
  CHECK_EQ(item_record(sched, run, "m", 1).cause, ASTRUM_CAUSE_ATTEMPTS);
  CHECK_STR(state(sched, run, "m"), "failed");
  TEARDOWN();
}

/* --- changes, memory, size */

TEST(what_becomes_of_items_is_told) {
  SETUP("z", .priority = 0);
  astrum_run run = begin_run(
      sched, graph, OPTIONS(.changes = 1, .failure_mode = ASTRUM_KEEP_GOING));
  CHECK_STR(next(sched, 0), "!m:ready !z:ready *m +z");
  expand(sched, run, "m", 2, 1);
  CHECK_STR(next(sched, 1), "!m.1:ready !m.2:ready +m.1 +m.2");
  end_item(sched, run, "m", 1, ASTRUM_FAILURE, 2);
  CHECK_STR(next(sched, 2), "!m.1:failed -m.2");
  end_item(sched, run, "m", 2, ASTRUM_STOPPED, 3);
  CHECK_STR(next(sched, 3), "!m.2:cancelled !m:failed");
  TEARDOWN();
}

TEST(want_of_memory_leaves_an_expansion_to_be_answered) {
  static const astrum_units units[] = {{0, 1}};
  const astrum_pool pool = {1, 0, 0};
  size_t refused = 1;
  for (size_t skip = 0; refused > 0; skip++) {
    fault_state fault = fault_none();
    astrum_alloc alloc = fault_allocator(&fault);
    astrum_graph *graph =
        graph_of("m", POLICY(.map = 1, .pools = units, .pool_count = 1));
    astrum_sched *sched = NULL;
    astrum_sched_new(&alloc, &sched);
    astrum_run run = begin_run(sched, graph,
                               OPTIONS(.changes = 1, .pools = &pool,
                                       .pool_count = 1, .concurrency = 2));
    next(sched, 0);
    astrum_ticket m = ticket(sched, run, "m");
    fault_after(&fault, skip, 0);
    astrum_err err = astrum_sched_expanded(sched, m, 100, 1);
    refused = fault.failed;
    CHECK_EQ(err, refused ? ASTRUM_ENOMEM : ASTRUM_OK);
    CHECK_EQ(astrum_sched_alive(sched, m), refused > 0);
    if (refused) {
      CHECK_EQ(record(sched, run, "m").items, 0);
      CHECK_EQ(astrum_sched_expanded(sched, m, 100, 2), ASTRUM_OK);
    } else {
      CHECK(skip >= 4);
    }
    astrum_action action;
    while (astrum_sched_next(sched, 2, &action, 1) > 0)
      if (action.kind == ASTRUM_START)
        astrum_sched_finished(sched, action.ticket, ASTRUM_SUCCEEDED, 2);
    CHECK_EQ(summary(sched, run).state, ASTRUM_COMPLETED);
    CHECK_EQ(astrum_sched_forget(sched, run), ASTRUM_OK);
    TEARDOWN();
    CHECK_EQ(fault.live, 0);
  }
}

/* Each way a large map can end takes time in proportion to its size. */
TEST(large_maps_end_in_every_way) {
  enum { COUNT = 100000 };
  static const astrum_units units[] = {{0, 1}};
  const astrum_pool pool = {1, 0, 0};
  for (int way = 0; way < 6; way++) {
    const astrum_policy *policy =
        POLICY(.map = 1, .max_concurrency = way == 1, .max_retries = 1,
               .delay = 5, .timeout = 9, .pools = units,
               .pool_count = way == 2);
    astrum_graph *graph = graph_of("m", policy);
    astrum_sched *sched = new_sched();
    astrum_run run = begin_run(sched, graph,
                               OPTIONS(.concurrency = way == 3 ? 2 : 0,
                                       .pools = &pool, .pool_count = 1));
    astrum_action action;
    next(sched, 0);
    expand(sched, run, "m", COUNT, 0);
    uint32_t started = 0;
    while (started < COUNT / 2 && astrum_sched_next(sched, 0, &action, 1) > 0) {
      started++;
      if (way < 4)
        astrum_sched_finished(sched, action.ticket, ASTRUM_SUCCEEDED, 0);
    }
    if (way == 4)
      astrum_sched_finished(sched, action.ticket, ASTRUM_FAILURE_FINAL, 0);
    else if (way > 0)
      cancel(sched, run, 0);
    while (astrum_sched_next(sched, 0, &action, 1) > 0)
      if (action.kind == ASTRUM_START || action.kind == ASTRUM_CANCEL)
        astrum_sched_finished(sched, action.ticket, ASTRUM_SUCCEEDED, 0);
    CHECK_EQ(summary(sched, run).state, way == 0   ? ASTRUM_COMPLETED
                                        : way == 4 ? ASTRUM_FAILED
                                                   : ASTRUM_CANCELLED);
    CHECK_EQ(sched->timers_set, 0);
    CHECK_EQ(astrum_sched_forget(sched, run), ASTRUM_OK);
    TEARDOWN();
  }
}

TEST_MAIN(
    TEST_ENTRY(a_map_is_expanded_and_completes_with_the_last_of_its_items),
    TEST_ENTRY(a_map_without_items_completes_when_it_is_expanded),
    TEST_ENTRY(no_more_items_than_max_concurrency_are_under_way),
    TEST_ENTRY(an_expansion_has_a_slot_and_no_units_and_its_items_have_both),
    TEST_ENTRY(items_have_retries_and_attempts_of_their_own),
    TEST_ENTRY(the_one_expansion_of_a_map_without_retries_is_listed_too),
    TEST_ENTRY(the_jitter_of_items_differs),
    TEST_ENTRY(a_map_breaks_when_an_item_fails_for_good),
    TEST_ENTRY(a_tolerant_map_completes_although_items_failed),
    TEST_ENTRY(fail_fast_stops_the_run_when_the_map_breaks),
    TEST_ENTRY(a_break_that_stops_the_run_tells_the_runs_inside_the_items_once),
    TEST_ENTRY(a_map_whose_failure_can_be_handled_stops_nothing),
    TEST_ENTRY(the_items_of_a_map_stop_with_the_run),
    TEST_ENTRY(a_map_that_cleans_up_goes_on_in_a_run_that_stops),
    TEST_ENTRY(an_expansion_that_was_asked_to_stop_makes_no_items),
    TEST_ENTRY(an_expansion_may_take_too_long_or_be_declined),
    TEST_ENTRY(an_expansion_must_make_sense),
    TEST_ENTRY(items_that_are_not_there_have_no_record),
    TEST_ENTRY(expansions_are_left_out_of_max_total_attempts),
    TEST_ENTRY(what_becomes_of_items_is_told),
    TEST_ENTRY(want_of_memory_leaves_an_expansion_to_be_answered),
    TEST_ENTRY(large_maps_end_in_every_way))
