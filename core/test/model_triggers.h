/* Triggers: what a task does because of what became of those upstream. */
#ifndef ASTRUM_MODEL_TRIGGERS_H
#define ASTRUM_MODEL_TRIGGERS_H

#include "model.h"

typedef enum { MODEL_WAIT, MODEL_GO, MODEL_SKIP } model_decision;

/* What became of the tasks upstream whose end is known. */
typedef struct {
  int all, final, successful, failed, skipped;
} model_upstream;

static inline int model_counts_as_skipped(const model_node *node) {
  return node->record.state == ASTRUM_SKIPPED &&
         (node->record.cause == ASTRUM_CAUSE_CONDITION ||
          node->record.cause == ASTRUM_CAUSE_TRIGGER);
}

static inline int model_counts_as_failed(const model_node *node) {
  return model_final(node) && node->record.state != ASTRUM_COMPLETED &&
         !model_counts_as_skipped(node);
}

static inline model_upstream model_count_upstream(const model_run *run,
                                                  const model_task *task) {
  model_upstream up = {.all = (int)task->upstream_count};
  for (uint32_t i = 0; i < task->upstream_count; i++) {
    const model_task *other = &run->tasks[task->upstream[i]];
    if (!other->seen)
      continue;
    up.final++;
    up.successful += other->node[0].record.state == ASTRUM_COMPLETED;
    up.skipped += model_counts_as_skipped(&other->node[0]);
    up.failed += model_counts_as_failed(&other->node[0]);
  }
  return up;
}

/* The table of docs/model.md. */
static inline model_decision model_decide(astrum_trigger trigger,
                                          model_upstream up) {
  int all_final = up.final == up.all, go = 0, skip = 0;
  switch (trigger) {
  case ASTRUM_ALL_SUCCESS:
    go = up.successful == up.all;
    skip = up.failed + up.skipped > 0;
    break;
  case ASTRUM_ALL_DONE:
    go = all_final;
    break;
  case ASTRUM_ALL_FAILED:
    go = up.failed == up.all;
    skip = up.successful + up.skipped > 0;
    break;
  case ASTRUM_ONE_SUCCESS:
    go = up.successful > 0;
    skip = all_final && up.successful == 0;
    break;
  case ASTRUM_ONE_FAILED:
    go = up.failed > 0;
    skip = all_final && up.failed == 0;
    break;
  case ASTRUM_NONE_FAILED:
    go = all_final && up.failed == 0;
    skip = up.failed > 0;
    break;
  case ASTRUM_NONE_FAILED_MIN_ONE_SUCCESS:
    go = all_final && up.failed == 0 && up.successful > 0;
    skip = up.failed > 0 || (all_final && up.successful == 0);
    break;
  case ASTRUM_ALWAYS:
    go = 1;
    break;
  }
  return go ? MODEL_GO : skip ? MODEL_SKIP : MODEL_WAIT;
}

/* Cause and blame of a task that is skipped because `decider` ended, or with
   ASTRUM_NO_TASK because it has nobody upstream. */
static inline uint8_t model_skip_cause(const model_run *run,
                                       const model_task *task, uint32_t decider,
                                       uint32_t *blame) {
  uint8_t trigger = task->policy.trigger;
  *blame = decider;
  if (decider == ASTRUM_NO_TASK)
    return ASTRUM_CAUSE_TRIGGER;
  int asks_for_none = trigger == ASTRUM_ONE_SUCCESS ||
                      trigger == ASTRUM_NONE_FAILED ||
                      trigger == ASTRUM_NONE_FAILED_MIN_ONE_SUCCESS;
  if (!model_counts_as_failed(&run->tasks[decider].node[0]) &&
      !(asks_for_none && model_count_upstream(run, task).failed > 0))
    return ASTRUM_CAUSE_TRIGGER;
  for (uint32_t i = 0; i < task->upstream_count; i++) {
    const model_task *other = &run->tasks[task->upstream[i]];
    if (!other->seen || !model_counts_as_failed(&other->node[0]))
      continue;
    const astrum_record *record = &other->node[0].record;
    *blame =
        record->state == ASTRUM_SKIPPED ? record->blame : task->upstream[i];
    break;
  }
  return ASTRUM_CAUSE_UPSTREAM;
}

/* Whether a consumer of `upstream` is made for its failure. */
static inline int model_is_handler(const model_task *task, uint32_t upstream) {
  return (task->policy.trigger == ASTRUM_ONE_FAILED ||
          task->policy.trigger == ASTRUM_ALL_FAILED) &&
         model_waits_for(task, upstream);
}

/* Whether a consumer of `t` has handled its failure, or still could. */
static inline int model_handled(const model_run *run, uint32_t t) {
  for (uint32_t d = 0; d < run->count; d++)
    if (model_is_handler(&run->tasks[d], t) &&
        run->tasks[d].node[0].record.state == ASTRUM_COMPLETED)
      return 1;
  return 0;
}

static inline int model_may_be_handled(const model_run *run, uint32_t t) {
  for (uint32_t d = 0; d < run->count; d++)
    if (model_is_handler(&run->tasks[d], t) && !run->tasks[d].seen)
      return 1;
  return model_handled(run, t);
}

#endif
