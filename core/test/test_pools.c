/* Pools and their rates, priorities, and the order of the queue. */
#include "script.h"

static const astrum_pool one_slot[] = {{1, 0, 0}, {1, 0, 0}};
static const astrum_units of_first[] = {{0, 1}}, of_second[] = {{1, 1}};
static const astrum_units of_both[] = {{0, 1}, {1, 1}};

#define WANTS(units) .pools = units, .pool_count = sizeof(units) / sizeof *units

/* --- priorities */

TEST(the_task_with_the_largest_priority_goes_first) {
  for (uint32_t limit = 0; limit < 2; limit++) {
    astrum_graph *graph = new_graph();
    add(graph, "a", POLICY(.priority = -1));
    add(graph, "b; c", NULL);
    add(graph, "d", POLICY(.priority = 5));
    add(graph, "e: b", POLICY(.priority = 9));
    freeze(graph);
    astrum_sched *sched = new_sched();
    astrum_run run = begin_run(sched, graph, with_limit(limit));
    if (limit == 0) {
      CHECK_STR(next(sched, 0), "+d +b +c +a");
    } else {
      CHECK_STR(next(sched, 0), "+d");
      end(sched, run, "d", ASTRUM_SUCCEEDED, 1);
      CHECK_STR(next(sched, 1), "+b");
      end(sched, run, "b", ASTRUM_SUCCEEDED, 2);
      CHECK_STR(next(sched, 2), "+e");
      end(sched, run, "e", ASTRUM_SUCCEEDED, 3);
      CHECK_STR(next(sched, 3), "+c");
    }
    TEARDOWN();
  }
}

TEST(an_attempt_that_wants_its_slot_back_goes_before_any_priority) {
  for (uint32_t limit = 0; limit < 4; limit += 3) {
    astrum_graph *graph = new_graph();
    add(graph, "a; b", NULL);
    add(graph, "c: a", POLICY(.priority = INT32_MAX));
    add(graph, "x", NULL);
    freeze(graph);
    astrum_sched *sched = new_sched();
    astrum_run run = begin_run(sched, graph, with_limit(limit));
    next(sched, 0);
    astrum_sched_waiting(sched, ticket(sched, run, "b"), 1, 1);
    astrum_sched_waiting(sched, ticket(sched, run, "x"), 1, 1);
    end(sched, run, "a", ASTRUM_SUCCEEDED, 2);
    astrum_sched_waiting(sched, ticket(sched, run, "x"), 0, 3);
    astrum_sched_waiting(sched, ticket(sched, run, "b"), 0, 3);
    CHECK_STR(next(sched, 3), "^x ^b +c");
    TEARDOWN();
  }
}

TEST(without_a_limit_what_wants_to_go_on_goes_before_what_is_ready) {
  astrum_graph *graph = graph_of("a; b; c: a", NULL);
  astrum_sched *sched = new_sched();
  astrum_run run = begin_run(sched, graph, ALL_DEFAULTS);
  next(sched, 0);
  astrum_sched_waiting(sched, ticket(sched, run, "b"), 1, 1);
  end(sched, run, "a", ASTRUM_SUCCEEDED, 2);
  astrum_sched_waiting(sched, ticket(sched, run, "b"), 0, 3);
  CHECK_STR(next(sched, 3), "^b +c");
  TEARDOWN();
}

/* --- units */

TEST(units_of_a_pool_bound_what_runs_at_once) {
  astrum_graph *graph = graph_of("a; b; c", POLICY(WANTS(of_first)));
  astrum_sched *sched = new_sched();
  const astrum_pool pool = {2, 0, 0};
  astrum_run run =
      begin_run(sched, graph, OPTIONS(.pools = &pool, .pool_count = 1));
  CHECK_STR(next(sched, 0), "+a +b");
  CHECK(astrum_sched_wake(sched) == ASTRUM_NEVER);
  end(sched, run, "b", ASTRUM_SUCCEEDED, 1);
  CHECK_STR(next(sched, 1), "+c");
  TEARDOWN();
}

TEST(a_full_pool_holds_up_no_task_of_others) {
  for (uint32_t limit = 0; limit < 10; limit += 9) {
    astrum_graph *graph = new_graph();
    add(graph, "a; b", POLICY(WANTS(of_first)));
    add(graph, "c", NULL);
    add(graph, "d", POLICY(WANTS(of_second)));
    freeze(graph);
    astrum_sched *sched = new_sched();
    begin_run(
        sched, graph,
        OPTIONS(.pools = one_slot, .pool_count = 2, .concurrency = limit));
    CHECK_STR(next(sched, 0), "+a +c +d");
    TEARDOWN();
  }
}

TEST(a_task_takes_all_its_units_or_none_and_later_ones_wait_behind_it) {
  astrum_graph *graph = new_graph();
  add(graph, "a", POLICY(WANTS(of_first)));
  add(graph, "both", POLICY(WANTS(of_both)));
  add(graph, "b", POLICY(WANTS(of_second)));
  freeze(graph);
  astrum_sched *sched = new_sched();
  astrum_run run =
      begin_run(sched, graph, OPTIONS(.pools = one_slot, .pool_count = 2));
  CHECK_STR(next(sched, 0), "+a");
  end(sched, run, "a", ASTRUM_SUCCEEDED, 1);
  CHECK_STR(next(sched, 1), "+both");
  end(sched, run, "both", ASTRUM_SUCCEEDED, 2);
  CHECK_STR(next(sched, 2), "+b");
  TEARDOWN();
}

TEST(a_task_of_larger_priority_takes_the_place_of_one_that_could_start) {
  astrum_graph *graph = new_graph();
  add(graph, "a", NULL);
  add(graph, "low", POLICY(WANTS(of_both)));
  add(graph, "high: a", POLICY(WANTS(of_second), .priority = 1));
  freeze(graph);
  astrum_sched *sched = new_sched();
  astrum_run run =
      begin_run(sched, graph,
                OPTIONS(.pools = one_slot, .pool_count = 2, .concurrency = 1));
  CHECK_STR(next(sched, 0), "+a");
  end(sched, run, "a", ASTRUM_SUCCEEDED, 1);
  CHECK_STR(next(sched, 1), "+high");
  end(sched, run, "high", ASTRUM_SUCCEEDED, 2);
  CHECK_STR(next(sched, 2), "+low");
  TEARDOWN();
}

TEST(units_are_given_back_whatever_becomes_of_the_attempt) {
  static const astrum_outcome outcomes[] = {ASTRUM_SUCCEEDED, ASTRUM_FAILURE,
                                            ASTRUM_DECLINED};
  for (int i = 0; i < 3; i++) {
    astrum_graph *graph = graph_of("a; b", POLICY(WANTS(of_first)));
    astrum_sched *sched = new_sched();
    astrum_run run = begin_run(sched, graph,
                               OPTIONS(.pools = one_slot, .pool_count = 1,
                                       .failure_mode = ASTRUM_KEEP_GOING));
    CHECK_STR(next(sched, 0), "+a");
    end(sched, run, "a", outcomes[i], 1);
    CHECK_STR(next(sched, 1), "+b");
    TEARDOWN();
  }
}

TEST(an_attempt_that_waits_for_runs_keeps_its_units) {
  astrum_graph *graph = graph_of("a; b", POLICY(WANTS(of_first)));
  astrum_sched *sched = new_sched();
  astrum_run run =
      begin_run(sched, graph, OPTIONS(.pools = one_slot, .pool_count = 1));
  CHECK_STR(next(sched, 0), "+a");
  astrum_sched_waiting(sched, ticket(sched, run, "a"), 1, 1);
  CHECK_STR(next(sched, 1), "");
  TEARDOWN();
}

TEST(what_stops_leaves_the_lines_of_its_pools) {
  astrum_graph *graph = graph_of("a; b", POLICY(WANTS(of_first)));
  astrum_graph *outer = graph_of("o; p", NULL);
  astrum_sched *sched = new_sched();
  astrum_run run =
      begin_run(sched, outer, OPTIONS(.pools = one_slot, .pool_count = 1));
  next(sched, 0);
  astrum_run first = begin_child(sched, graph, ticket(sched, run, "o"));
  begin_child(sched, graph, ticket(sched, run, "p"));
  CHECK_STR(next(sched, 0), "+a");
  cancel(sched, first, 1);
  CHECK_STR(next(sched, 1), "-a");
  end(sched, first, "a", ASTRUM_STOPPED, 2);
  CHECK_STR(next(sched, 2), "done:cancelled closed +a");
  TEARDOWN();
  astrum_graph_free(outer);
}

/* --- rates */

TEST(a_rate_spaces_the_starts) {
  astrum_graph *graph = graph_of("a; b; c; d", POLICY(WANTS(of_first)));
  astrum_sched *sched = new_sched();
  const astrum_pool pool = {0, 2, 10};
  astrum_run run =
      begin_run(sched, graph, OPTIONS(.pools = &pool, .pool_count = 1));
  CHECK_STR(next(sched, 3), "+a +b");
  end(sched, run, "a", ASTRUM_SUCCEEDED, 4);
  CHECK_EQ(astrum_sched_wake(sched), 13);
  CHECK_STR(next(sched, 12), "");
  CHECK_STR(next(sched, 13), "+c +d");
  CHECK(astrum_sched_wake(sched) == ASTRUM_NEVER);
  TEARDOWN();
}

TEST(retries_count_for_the_rate_and_declined_attempts_do_not) {
  astrum_graph *graph =
      graph_of("a; b; c", POLICY(WANTS(of_first), .max_retries = 5));
  astrum_sched *sched = new_sched();
  const astrum_pool pool = {0, 2, 10};
  astrum_run run =
      begin_run(sched, graph, OPTIONS(.pools = &pool, .pool_count = 1));
  CHECK_STR(next(sched, 0), "+a +b");
  end(sched, run, "a", ASTRUM_FAILURE, 1);
  CHECK_STR(next(sched, 1), "");
  end(sched, run, "b", ASTRUM_DECLINED, 2);
  CHECK_STR(next(sched, 2), "+c");
  CHECK_STR(next(sched, 9), "");
  CHECK_STR(next(sched, 10), "+a2");
  TEARDOWN();
}

TEST(a_task_of_two_rates_waits_for_the_later_one) {
  astrum_graph *graph = graph_of("a; b", POLICY(WANTS(of_both)));
  astrum_sched *sched = new_sched();
  const astrum_pool pools[] = {{0, 1, 10}, {0, 1, 25}};
  begin_run(sched, graph, OPTIONS(.pools = pools, .pool_count = 2));
  CHECK_STR(next(sched, 0), "+a");
  CHECK_EQ(astrum_sched_wake(sched), 25);
  CHECK_STR(next(sched, 24), "");
  CHECK_STR(next(sched, 25), "+b");
  TEARDOWN();
}

TEST(a_rate_that_could_start_nothing_for_want_of_a_slot_wakes_nobody) {
  astrum_graph *graph = new_graph();
  add(graph, "a; b", POLICY(WANTS(of_first)));
  add(graph, "r", POLICY(.max_retries = 1, .delay = 50, .priority = 9));
  freeze(graph);
  astrum_sched *sched = new_sched();
  const astrum_pool pool = {0, 1, 10};
  astrum_run run = begin_run(
      sched, graph, OPTIONS(.pools = &pool, .pool_count = 1, .concurrency = 1));
  CHECK_STR(next(sched, 0), "+r");
  end(sched, run, "r", ASTRUM_FAILURE, 0);
  CHECK_STR(next(sched, 0), "+a");
  CHECK_EQ(astrum_sched_wake(sched), 50);
  end(sched, run, "a", ASTRUM_SUCCEEDED, 1);
  CHECK_EQ(astrum_sched_wake(sched), 10);
  TEARDOWN();
}

/* --- trees */

TEST(child_runs_take_units_of_the_pools_of_the_root) {
  astrum_graph *graph = graph_of("a", NULL);
  astrum_graph *inner = graph_of("x", POLICY(WANTS(of_first)));
  static const uint32_t pool_of[] = {1};
  astrum_sched *sched = new_sched();
  astrum_run run =
      begin_run(sched, graph, OPTIONS(.pools = one_slot, .pool_count = 2));
  next(sched, 0);
  astrum_ticket a = ticket(sched, run, "a");
  astrum_run_options mapped =
      OPTIONS(.parent = &a, .pool_of = pool_of, .pool_of_count = 1);
  astrum_run first = begin_run(sched, inner, mapped);
  begin_run(sched, inner, mapped);
  CHECK_STR(next(sched, 0), "+x");
  begin_child(sched, inner, a);
  CHECK_STR(next(sched, 0), "+x");
  end(sched, first, "x", ASTRUM_SUCCEEDED, 1);
  CHECK_STR(next(sched, 1), "done:completed closed +x");
  astrum_graph_free(inner);
  TEARDOWN();
}

TEST(a_run_that_could_never_have_its_units_is_refused) {
  static const astrum_units three[] = {{0, 3}}, two[] = {{0, 2}};
  const astrum_pool pool = {4, 0, 0};
  astrum_graph *graph = graph_of("a", POLICY(WANTS(two)));
  astrum_graph *inner = graph_of("x", POLICY(WANTS(three)));
  astrum_graph *fits = graph_of("x", POLICY(WANTS(two)));
  astrum_sched *sched = new_sched();
  astrum_run run =
      begin_run(sched, graph, OPTIONS(.pools = &pool, .pool_count = 1));
  next(sched, 0);
  astrum_ticket a = ticket(sched, run, "a");
  astrum_run child = {77};
  CHECK_EQ(astrum_sched_open(sched, inner, &OPTIONS(.parent = &a), &child),
           ASTRUM_EPOOL);
  CHECK_EQ(child.id, 77);
  begin_child(sched, fits, a);
  CHECK_STR(next(sched, 0), "+x");
  const astrum_pool small = {1, 0, 0};
  CHECK_EQ(astrum_sched_open(sched, graph,
                             &OPTIONS(.pools = &small, .pool_count = 1),
                             &child),
           ASTRUM_EPOOL);
  astrum_graph_free(fits);
  astrum_graph_free(inner);
  TEARDOWN();
}

TEST(pools_that_make_no_sense_are_refused) {
  astrum_graph *graph = graph_of("a", POLICY(WANTS(of_second)));
  astrum_sched *sched = new_sched();
  astrum_run run = {77};
  const astrum_pool no_time = {0, 1, 0};
  static const uint32_t wrong[] = {0, 2};
  const astrum_run_options options[] = {
      ALL_DEFAULTS,
      OPTIONS(.pools = one_slot, .pool_count = 1),
      OPTIONS(.pools = &no_time, .pool_count = 1),
      OPTIONS(.pools = NULL, .pool_count = 2),
      OPTIONS(.pools = one_slot, .pool_count = 2, .pool_of = wrong,
              .pool_of_count = 1),
      OPTIONS(.pools = one_slot, .pool_count = 2, .pool_of = wrong,
              .pool_of_count = 2),
      OPTIONS(.pools = one_slot, .pool_count = 2, .changes = 2)};
  for (size_t i = 0; i < sizeof options / sizeof options[0]; i++)
    CHECK_EQ(astrum_sched_open(sched, graph, &options[i], &run), ASTRUM_EINVAL);
  CHECK_EQ(run.id, 77);
  TEARDOWN();
}

TEST(two_pools_of_a_graph_may_be_one_for_the_root) {
  static const uint32_t pool_of[] = {0, 0};
  const astrum_pool pool = {2, 1, 10};
  astrum_graph *graph = graph_of("a; b", POLICY(WANTS(of_both)));
  astrum_sched *sched = new_sched();
  astrum_run run = begin_run(sched, graph,
                             OPTIONS(.pools = &pool, .pool_count = 1,
                                     .pool_of = pool_of, .pool_of_count = 2));
  CHECK_STR(next(sched, 0), "+a");
  CHECK(astrum_sched_wake(sched) == ASTRUM_NEVER);
  end(sched, run, "a", ASTRUM_SUCCEEDED, 1);
  CHECK_STR(next(sched, 10), "+b");
  TEARDOWN();
}

/* --- memory */

TEST(want_of_memory_for_pools_leaves_the_scheduler_as_it_was) {
  static const astrum_pool pools[] = {{1, 0, 0}, {2, 3, 7}};
  astrum_graph *outer = graph_of("o", NULL);
  astrum_graph *graph = new_graph();
  add(graph, "a; b", POLICY(WANTS(of_both), .priority = 1));
  add(graph, "m", POLICY(WANTS(of_first), .map = 1));
  freeze(graph);
  FAULT_SWEEP(fault) {
    astrum_alloc alloc = fault_allocator(&fault);
    astrum_sched *sched = NULL;
    astrum_run run = {77}, child = {77};
    if (astrum_sched_new(&alloc, &sched))
      continue;
    if (astrum_sched_open(sched, outer,
                          &OPTIONS(.pools = pools, .pool_count = 2,
                                   .deadline = 5, .changes = 1),
                          &run)) {
      CHECK_EQ(run.id, 77);
      CHECK(astrum_sched_wake(sched) == ASTRUM_NEVER);
      astrum_sched_free(sched);
      continue;
    }
    astrum_sched_begin(sched, run, 0);
    astrum_action action;
    while (astrum_sched_next(sched, 0, &action, 1) > 0) {
    }
    astrum_ticket o = {run.id, 0, 1, 0};
    if (astrum_sched_open(sched, graph, &OPTIONS(.parent = &o, .changes = 1),
                          &child)) {
      CHECK_EQ(child.id, 77);
      CHECK_EQ(astrum_sched_finished(sched, o, ASTRUM_SUCCEEDED, 1), ASTRUM_OK);
    } else {
      astrum_sched_begin(sched, child, 0);
      while (astrum_sched_next(sched, 1, &action, 1) > 0) {
        if (action.kind == ASTRUM_EXPAND &&
            astrum_sched_expanded(sched, action.ticket, 40, 1))
          astrum_sched_finished(sched, action.ticket, ASTRUM_FAILURE, 1);
        if (action.kind == ASTRUM_START || action.kind == ASTRUM_CANCEL)
          astrum_sched_finished(sched, action.ticket, ASTRUM_SUCCEEDED, 1);
      }
    }
    astrum_sched_free(sched);
  }
  astrum_graph_free(outer);
  astrum_graph_free(graph);
}

/* --- size */

TEST(a_long_line_of_a_pool_is_no_burden) {
  enum { COUNT = 100000 };
  astrum_graph *graph = new_graph();
  for (uint32_t i = 0; i < COUNT; i++) {
    char name[16];
    astrum_task task;
    int size = snprintf(name, sizeof name, "%u", (unsigned)i);
    astrum_graph_add(graph, name, (size_t)size,
                     POLICY(WANTS(of_both), .priority = (int32_t)(i % 3)),
                     &task);
  }
  freeze(graph);
  astrum_sched *sched = new_sched();
  astrum_run run =
      begin_run(sched, graph,
                OPTIONS(.pools = one_slot, .pool_count = 2, .concurrency = 4));
  astrum_action action;
  int wrong_order = 0, last = 2;
  while (astrum_sched_next(sched, 0, &action, 1) > 0) {
    if (action.kind != ASTRUM_START)
      continue;
    wrong_order += (int)(action.ticket.task % 3) > last;
    last = (int)(action.ticket.task % 3);
    astrum_sched_finished(sched, action.ticket, ASTRUM_SUCCEEDED, 0);
  }
  CHECK_EQ(wrong_order, 0);
  CHECK_EQ(summary(sched, run).completed, COUNT);
  TEARDOWN();
}

TEST_MAIN(
    TEST_ENTRY(the_task_with_the_largest_priority_goes_first),
    TEST_ENTRY(an_attempt_that_wants_its_slot_back_goes_before_any_priority),
    TEST_ENTRY(without_a_limit_what_wants_to_go_on_goes_before_what_is_ready),
    TEST_ENTRY(units_of_a_pool_bound_what_runs_at_once),
    TEST_ENTRY(a_full_pool_holds_up_no_task_of_others),
    TEST_ENTRY(
        a_task_takes_all_its_units_or_none_and_later_ones_wait_behind_it),
    TEST_ENTRY(
        a_task_of_larger_priority_takes_the_place_of_one_that_could_start),
    TEST_ENTRY(units_are_given_back_whatever_becomes_of_the_attempt),
    TEST_ENTRY(an_attempt_that_waits_for_runs_keeps_its_units),
    TEST_ENTRY(what_stops_leaves_the_lines_of_its_pools),
    TEST_ENTRY(a_rate_spaces_the_starts),
    TEST_ENTRY(retries_count_for_the_rate_and_declined_attempts_do_not),
    TEST_ENTRY(a_task_of_two_rates_waits_for_the_later_one),
    TEST_ENTRY(a_rate_that_could_start_nothing_for_want_of_a_slot_wakes_nobody),
    TEST_ENTRY(child_runs_take_units_of_the_pools_of_the_root),
    TEST_ENTRY(a_run_that_could_never_have_its_units_is_refused),
    TEST_ENTRY(pools_that_make_no_sense_are_refused),
    TEST_ENTRY(two_pools_of_a_graph_may_be_one_for_the_root),
    TEST_ENTRY(want_of_memory_for_pools_leaves_the_scheduler_as_it_was),
    TEST_ENTRY(a_long_line_of_a_pool_is_no_burden))
