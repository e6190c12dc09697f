/* Uses one function of each part of the installed library. */
#include <astrum.h>

#include <stdio.h>
#include <string.h>

int main(void) {
  if (strcmp(astrum_version(), ASTRUM_VERSION) != 0)
    return 1;
  astrum_graph *graph;
  if (astrum_graph_new(NULL, &graph) != ASTRUM_OK)
    return 1;
  astrum_task task;
  astrum_err err = astrum_graph_add(graph, "a", 1, NULL, &task);
  astrum_graph_free(graph);
  if (err != ASTRUM_OK)
    return 1;
  astrum_loop_options options = {.size = sizeof options};
  astrum_executor executor = {.size = sizeof executor};
  options.executor = &executor;
  astrum_loop *loop;
  if (astrum_loop_new(&options, &loop) != ASTRUM_OK)
    return 1;
  astrum_loop_free(loop);
  printf("astrum %s\n", astrum_version());
  return 0;
}
