/* Runs two tasks with the installed library: 21, then twice that. */
#include <astrum.h>

#include <stdio.h>
#include <string.h>

static int base(astrum_call *call, void *user) {
  (void)user;
  astrum_call_return_integer(call, 21);
  return ASTRUM_SUCCEEDED;
}

static int twice(astrum_call *call, void *user) {
  (void)user;
  astrum_call_return_integer(call, 2 * astrum_call_input(call, 0).integer);
  return ASTRUM_SUCCEEDED;
}

/* Ends the program with what failed and why. */
static int failed(const char *what, astrum_err err) {
  fprintf(stderr, "%s: %s\n", what, astrum_strerror(err));
  return 1;
}

int main(void) {
  astrum_graph *graph;
  astrum_flow *flow;
  astrum_task first, second;
  astrum_err err;

  if (strcmp(astrum_version(), ASTRUM_VERSION) != 0) {
    fprintf(stderr, "header and library are of different versions\n");
    return 1;
  }
  if ((err = astrum_graph_new(NULL, &graph)) ||
      (err = astrum_graph_add(graph, "base", 4, NULL, &first)) ||
      (err = astrum_graph_add(graph, "twice", 5, NULL, &second)) ||
      (err = astrum_graph_edge(graph, first, second)) ||
      (err = astrum_graph_freeze(graph)))
    return failed("graph", err);
  if ((err = astrum_flow_new(graph, NULL, NULL, &flow)) ||
      (err = astrum_flow_set(flow, first, base, NULL)) ||
      (err = astrum_flow_set(flow, second, twice, NULL)) ||
      (err = astrum_flow_run(flow, NULL, NULL)))
    return failed("flow", err);
  int64_t value = astrum_flow_value(flow, second).integer;
  astrum_flow_free(flow);
  astrum_graph_free(graph);
  printf("astrum %s: %d\n", astrum_version(), (int)value);
  return value == 42 ? 0 : 1;
}
