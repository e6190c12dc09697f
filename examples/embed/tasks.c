/*
 * Tasks that are C functions, on libastrum alone:
 *
 *   load_prices -> sum_prices -\
 *                               +-> add_tax
 *   fetch_tax_rate ------------/
 *
 * fetch_tax_rate waits for a timer, as it would for a socket, and succeeds at
 * the second attempt. Meanwhile the others go on.
 */
#include <astrum.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MILLISECOND UINT64_C(1000000)

static void must(astrum_err err, const char *what) {
  if (err != ASTRUM_OK) {
    fprintf(stderr, "tasks: %s: %s\n", what, astrum_strerror(err));
    exit(EXIT_FAILURE);
  }
}

/* --- The bodies ----------------------------------------------------------- */

/* Data is handed on by its address; this one lives for ever. */
static int load_prices(astrum_call *call, void *user) {
  static int64_t prices[] = {2400, 2500, 2400};
  (void)user;
  if (astrum_call_return_data(call, prices, sizeof prices, NULL)) {
    return ASTRUM_FAILURE;
  }
  return ASTRUM_SUCCEEDED;
}

static int sum_prices(astrum_call *call, void *user) {
  astrum_value value = astrum_call_input(call, 0);
  const int64_t *prices = value.data;
  int64_t sum = 0;
  (void)user;
  for (size_t i = 0; i < value.size / sizeof *prices; i++) {
    sum += prices[i];
  }
  astrum_call_return_integer(call, sum);
  return ASTRUM_SUCCEEDED;
}

/* A task that waits keeps what it needs in a structure of its own. */
typedef struct {
  astrum_timer timer; /* first, so that its address is that of the request */
  astrum_call *call;
} rate_request;

static void receive_tax_rate(astrum_timer *timer) {
  astrum_call *call = ((rate_request *)timer)->call;
  if (astrum_call_attempt(call) == 1) {
    astrum_call_error(call, "the tax service does not answer");
    astrum_call_finish(call, ASTRUM_FAILURE);
  } else {
    astrum_call_return_integer(call, 800); /* basis points */
    astrum_call_finish(call, ASTRUM_SUCCEEDED);
  }
}

static void cancel_tax_rate(astrum_call *call, void *user) {
  rate_request *request = user;
  astrum_timer_stop(astrum_flow_loop(astrum_call_flow(call)), &request->timer);
  astrum_call_finish(call, ASTRUM_STOPPED);
}

static int fetch_tax_rate(astrum_call *call, void *user) {
  rate_request *request = user;
  astrum_loop *loop = astrum_flow_loop(astrum_call_flow(call));
  uint64_t due = astrum_loop_now(loop) + 5 * MILLISECOND;

  request->timer.fire = receive_tax_rate;
  if (astrum_timer_start(loop, &request->timer, due)) {
    return ASTRUM_FAILURE;
  }
  if (astrum_call_later(call, cancel_tax_rate, request, &request->call)) {
    astrum_timer_stop(loop, &request->timer);
    return ASTRUM_FAILURE;
  }
  return ASTRUM_LATER;
}

/* Inputs come in the order of the edges: the sum, then the rate. */
static int add_tax(astrum_call *call, void *user) {
  int64_t sum = astrum_call_input(call, 0).integer;
  int64_t basis_points = astrum_call_input(call, 1).integer;
  (void)user;
  astrum_call_return_integer(call, sum + sum * basis_points / 10000);
  return ASTRUM_SUCCEEDED;
}

/* --- The graph ------------------------------------------------------------ */

enum { LOAD_PRICES, SUM_PRICES, FETCH_TAX_RATE, ADD_TAX, TASK_COUNT };

static const struct {
  const char *name;
  uint32_t max_retries;
  astrum_function function;
} tasks[TASK_COUNT] = {
    [LOAD_PRICES] = {"load_prices", 0, load_prices},
    [SUM_PRICES] = {"sum_prices", 0, sum_prices},
    [FETCH_TAX_RATE] = {"fetch_tax_rate", 1, fetch_tax_rate},
    [ADD_TAX] = {"add_tax", 0, add_tax},
};

static astrum_graph *build_graph(astrum_task ids[TASK_COUNT]) {
  astrum_graph *graph;
  must(astrum_graph_new(NULL, &graph), "graph");
  for (size_t i = 0; i < TASK_COUNT; i++) {
    astrum_policy policy = ASTRUM_POLICY_INIT;
    policy.max_retries = tasks[i].max_retries;
    must(astrum_graph_add(graph, tasks[i].name, strlen(tasks[i].name), &policy,
                          &ids[i]),
         tasks[i].name);
  }
  must(astrum_graph_edge(graph, ids[LOAD_PRICES], ids[SUM_PRICES]), "edge");
  must(astrum_graph_edge(graph, ids[SUM_PRICES], ids[ADD_TAX]), "edge");
  must(astrum_graph_edge(graph, ids[FETCH_TAX_RATE], ids[ADD_TAX]), "edge");
  must(astrum_graph_freeze(graph), "freeze");
  return graph;
}

/* The graph does not change any more: it could serve any number of flows. */
static astrum_flow *build_flow(const astrum_graph *graph,
                               const astrum_task ids[TASK_COUNT],
                               rate_request *request) {
  astrum_flow *flow;
  must(astrum_flow_new(graph, NULL, NULL, &flow), "flow");
  for (size_t i = 0; i < TASK_COUNT; i++) {
    void *user = i == FETCH_TAX_RATE ? request : NULL;
    must(astrum_flow_set(flow, ids[i], tasks[i].function, user), tasks[i].name);
  }
  return flow;
}

static void print_errors(const astrum_flow *flow,
                         const astrum_task ids[TASK_COUNT]) {
  for (size_t i = 0; i < TASK_COUNT; i++) {
    const char *error = astrum_flow_error(flow, ids[i]);
    if (error != NULL) {
      fprintf(stderr, "tasks: %s: %s\n", tasks[i].name, error);
    }
  }
}

int main(void) {
  astrum_task ids[TASK_COUNT];
  rate_request request = {.call = NULL};
  astrum_graph *graph = build_graph(ids);
  astrum_flow *flow = build_flow(graph, ids, &request);
  astrum_summary summary;
  astrum_record rate;
  int64_t total;

  must(astrum_flow_run(flow, NULL, &summary), "run");
  must(astrum_flow_record(flow, ids[FETCH_TAX_RATE], &rate), "record");
  total = astrum_flow_value(flow, ids[ADD_TAX]).integer;
  print_errors(flow, ids);
  printf("%" PRIu32 " of %" PRIu32 " tasks completed, fetch_tax_rate after "
         "%" PRIu32 " attempts: %" PRId64 " cents\n",
         summary.completed, summary.tasks, rate.attempts, total);

  astrum_flow_free(flow);
  astrum_graph_free(graph);
  return summary.state == ASTRUM_COMPLETED && total == 7884 ? EXIT_SUCCESS
                                                            : EXIT_FAILURE;
}
