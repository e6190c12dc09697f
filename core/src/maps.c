/*
 * The items of maps. A map that is expanded stays running, without an attempt,
 * until all its items are final. Items are instances like tasks, but only the
 * map counts in its run.
 */
#include "scheduler.h"

astrum__map *astrum__map_find(const astrum__run *run, uint32_t task) {
  uint32_t low = 0, high = run->map_count;
  while (low + 1 < high) {
    uint32_t middle = low + (high - low) / 2;
    if (run->maps[middle].task <= task)
      low = middle;
    else
      high = middle;
  }
  return &run->maps[low];
}

uint32_t astrum__item_index(const astrum__run *run, uint32_t task,
                            uint32_t item) {
  if (!(run->tasks[task].flags & INSTANCE_MAP))
    return NO_INDEX;
  const astrum__map *map = astrum__map_find(run, task);
  return item <= map->count ? map->first + item - 1 : NO_INDEX;
}

/* --- expanding */

astrum_err astrum__map_reserve(astrum_sched *sched, astrum__run *run,
                               uint32_t task, uint32_t items) {
  size_t total = (size_t)run->total + items;
  if (total >= NO_INDEX)
    return ASTRUM_ELIMIT;
  astrum_err err = astrum__grow(&sched->alloc, (void **)&run->tasks,
                                &run->capacity, total, sizeof *run->tasks);
  if (!err)
    err = astrum__grow(&sched->alloc, (void **)&run->map_of,
                       &run->map_of_capacity, total - run->count,
                       sizeof *run->map_of);
  if (!err)
    err = astrum__ready_room(sched, run, items);
  if (!err)
    err = astrum__changes_room(sched, run, items);
  if (!err)
    err = astrum__pools_room(sched, run, task, items);
  return err;
}

static void make_items(astrum__run *run, astrum__map *map, uint32_t items,
                       uint64_t now) {
  const astrum_policy *policy = astrum__graph_policy(run->graph, map->task);
  const uint16_t of_map = INSTANCE_MAP | INSTANCE_TRIGGER | INSTANCE_HANDLES;
  uint16_t flags = astrum__policy_flags(policy) & (uint16_t)~of_map;
  if (policy->pool_count)
    flags |= INSTANCE_POOLED;
  map->first = map->next = run->total;
  map->count = map->left = items;
  map->max_active = policy->max_concurrency ? policy->max_concurrency : items;
  map->expanded = now;
  for (uint32_t i = 0; i < items; i++) {
    run->map_of[run->total - run->count] = (uint32_t)(map - run->maps);
    run->tasks[run->total++] = (astrum__instance){
        .next = NO_INDEX,
        .previous = NO_INDEX,
        .blame = ASTRUM_NO_TASK,
        .flags = flags,
        .ready = ASTRUM_NEVER,
        .start = ASTRUM_NEVER,
        .mark = ASTRUM_NEVER,
    };
  }
}

/* The final state of a map whose items are all final. */
static void end_map(astrum_sched *sched, astrum__run *run,
                    const astrum__map *map, uint64_t now) {
  const astrum__instance *instance = &run->tasks[map->task];
  if (map->broken)
    astrum__settle_task(sched, run, map->task, ASTRUM_FAILED, ASTRUM_CAUSE_ITEM,
                        ASTRUM_NO_TASK, now);
  else if (instance->flags & INSTANCE_STOP)
    astrum__settle_task(sched, run, map->task, ASTRUM_CANCELLED,
                        (astrum_cause)instance->cause, instance->blame, now);
  else
    astrum__settle_task(sched, run, map->task, ASTRUM_COMPLETED,
                        ASTRUM_CAUSE_NONE, ASTRUM_NO_TASK, now);
}

void astrum__map_expand(astrum_sched *sched, astrum__run *run, uint32_t task,
                        uint32_t items, uint64_t now) {
  astrum__map *map = astrum__map_find(run, task);
  make_items(run, map, items, now);
  if (run->sorted)
    astrum__ready_owner(run)->line.reserved += items;
  if (run->changes)
    sched->change_reserved += 2 * (size_t)items;
  astrum__pools_reserve(run, task, items);
  run->tasks[task].flags |= INSTANCE_EXPANDED;
  if (items == 0)
    end_map(sched, run, map, now);
  else
    astrum__map_release(sched, run, map, now);
}

void astrum__map_release(astrum_sched *sched, astrum__run *run,
                         astrum__map *map, uint64_t now) {
  uint32_t end = map->first + map->count;
  while (map->next < end && map->active < map->max_active) {
    map->active++;
    astrum__make_ready(sched, run, map->next++, now);
  }
}

/* --- ending */

void astrum__item_settled(astrum_sched *sched, astrum__run *run, uint32_t index,
                          int was_active, uint64_t now) {
  astrum__map *map = astrum__map_of(run, index);
  map->left--;
  map->active -= (uint32_t)was_active;
  if (map->left == 0)
    end_map(sched, run, map, now);
  else if (was_active && !map->broken &&
           !(run->tasks[map->task].flags & INSTANCE_STOP))
    astrum__map_release(sched, run, map, now);
}

int astrum__map_stop(astrum_sched *sched, astrum__run *run,
                     const astrum__map *map, astrum_cause cause, uint32_t blame,
                     uint64_t now) {
  int queued = 0;
  for (uint32_t i = map->first; i < map->first + map->count; i++)
    queued |= astrum__stop_instance(sched, run, i, cause, blame, now);
  return queued;
}

void astrum__map_break(astrum_sched *sched, astrum__run *run, astrum__map *map,
                       uint64_t now) {
  uint32_t end = map->first + map->count, open;
  astrum__ready_drop(sched, run, map->first, end, 1);
  int queued =
      astrum__map_stop(sched, run, map, ASTRUM_CAUSE_ITEM, ASTRUM_NO_TASK, now);
  if (queued && run->sorted)
    astrum__ready_sweep(sched, astrum__ready_owner(run));
  if (queued && run->root->pool_count)
    astrum__pools_sweep(sched, run->root);
  /* A run that stops tells the runs inside the items, too, once for both. */
  if (map->left > 0 && run->failure_mode == ASTRUM_FAIL_FAST &&
      astrum__attached(&run->tasks[map->task]) && !run->stopped &&
      run->end == ASTRUM_NEVER && !astrum__handled(run, map->task, &open)) {
    astrum__take_effect(sched, run, map->task, now);
    return;
  }
  for (uint32_t i = map->first; i < end; i++) {
    const astrum__instance *item = &run->tasks[i];
    if (item->state == ASTRUM_RUNNING && item->cause == ASTRUM_CAUSE_ITEM)
      astrum__stop_inside(sched, run, i, now);
  }
}
