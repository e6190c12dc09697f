/*
 * What the attempts of a run leave: where they stand while they are alive,
 * results of tasks and of the items of maps, errors.
 */
#include "task.h"

#include <string.h>

/* --- attempts and items */

attempt **binding_attempt_at(const run *r, const astrum_ticket *ticket) {
  if (ticket->item)
    return &r->items[ticket->task].attempts[ticket->item - 1];
  return &r->attempts[ticket->task];
}

int binding_make_items(engine *e, run *r, uint32_t task, uint32_t count) {
  size_t size = count * sizeof(attempt *);
  if (count == 0)
    return 1;
  attempt **attempts = e->alloc.fn(e->alloc.user, NULL, 0, size);
  if (!attempts)
    return 0;
  memset(attempts, 0, size);
  r->items[task] = (map_items){attempts, count};
  return 1;
}

void binding_free_attempts(engine *e, run *r) {
  size_t tasks = (size_t)r->program->task_count + 1;
  for (size_t i = 0; r->items && i < tasks; i++) {
    map_items *items = &r->items[i];
    if (items->attempts)
      e->alloc.fn(e->alloc.user, items->attempts,
                  items->count * sizeof(attempt *), 0);
  }
  if (r->items)
    e->alloc.fn(e->alloc.user, r->items, tasks * sizeof *r->items, 0);
  if (r->attempts)
    e->alloc.fn(e->alloc.user, r->attempts, tasks * sizeof *r->attempts, 0);
  r->attempts = NULL;
  r->items = NULL;
}

/* Takes the memory to find the attempts of a run; 0 without it. */
int binding_make_attempts(engine *e, run *r) {
  size_t tasks = (size_t)r->program->task_count + 1;
  r->attempts =
      e->alloc.fn(e->alloc.user, NULL, 0, tasks * sizeof *r->attempts);
  if (!r->attempts)
    return 0;
  memset(r->attempts, 0, tasks * sizeof *r->attempts);
  if (!r->program->has_maps)
    return 1;
  r->items = e->alloc.fn(e->alloc.user, NULL, 0, tasks * sizeof *r->items);
  if (!r->items)
    return 0;
  memset(r->items, 0, tasks * sizeof *r->items);
  return 1;
}

void binding_drop_attempts(engine *e, run *r) {
  for (uint32_t task = 0; task < r->program->task_count; task++) {
    if (r->attempts[task])
      binding_drop_attempt(e, r->attempts[task]);
    for (uint32_t i = 0; r->items && i < r->items[task].count; i++)
      if (r->items[task].attempts[i])
        binding_drop_attempt(e, r->items[task].attempts[i]);
  }
}

void binding_push_map(lua_State *L, run *r, uint32_t task) {
  binding_push_run(L, r);
  lua_getiuservalue(L, -1, RUN_MAPS);
  lua_rawgeti(L, -1, (lua_Integer)task + 1);
  lua_replace(L, -3);
  lua_pop(L, 1);
}

void binding_item_over(engine *e, run *r, uint32_t task) {
  lua_State *L = e->L;
  astrum_record record;
  if (astrum_sched_record(binding_sched(r), r->id, (astrum_task){task},
                          &record) != ASTRUM_OK ||
      record.state != ASTRUM_COMPLETED)
    return;
  binding_push_run(L, r);
  lua_getiuservalue(L, -1, RUN_DATA);
  lua_replace(L, -2);
  lua_pushinteger(L, (lua_Integer)task + 1);
  binding_push_map(L, r, task);
  lua_rawgeti(L, -1, 0);
  lua_replace(L, -2);
  lua_pushinteger(L, record.items);
  if (!binding_hook(e, binding_on_items, 4, 1))
    lua_pushnil(L);
  binding_pin(e, r);
  lua_xmove(L, e->slots, 1);
  lua_rawseti(e->slots, SLOT_RESULTS, (lua_Integer)task + 1);
  /* The lists that it went over must not keep what is to go. */
  binding_push_run(L, r);
  lua_getiuservalue(L, -1, RUN_MAPS);
  lua_pushnil(L);
  lua_rawseti(L, -2, (lua_Integer)task + 1);
  lua_pop(L, 2);
}

/* --- results that go before their run does */

/* Counts the tasks below each task, if results are to go before the run does.
   Returns 0 when there is no memory. */
int binding_count_readers(engine *e, run *r) {
  const program *p = r->program;
  const astrum_task *below;
  if (!p->keeps)
    return 1;
  r->readers =
      e->alloc.fn(e->alloc.user, NULL, 0, p->task_count * sizeof *r->readers);
  for (uint32_t i = 0; r->readers && i < p->task_count; i++)
    r->readers[i] = astrum_graph_downstream(p->graph, (astrum_task){i}, &below);
  return r->readers != NULL;
}

void binding_release_results(engine *e, run *r, uint32_t task) {
  const astrum_task *above;
  astrum_record record;
  if (astrum_sched_record(binding_sched(r), r->id, (astrum_task){task},
                          &record) != ASTRUM_OK ||
      record.state != ASTRUM_COMPLETED)
    return;
  binding_pin(e, r);
  uint32_t count =
      astrum_graph_upstream(r->program->graph, (astrum_task){task}, &above);
  for (uint32_t i = 0; i < count; i++) {
    uint32_t source = above[i].id;
    if (--r->readers[source] > 0 || r->program->keeps[source])
      continue;
    lua_pushnil(e->slots);
    lua_rawseti(e->slots, SLOT_RESULTS, (lua_Integer)source + 1);
  }
}

/* Whether a task had a result that is gone. */
int binding_is_released(const run *r, uint32_t task) {
  const astrum_task *below;
  return r->readers && r->readers[task] == 0 && !r->program->keeps[task] &&
         astrum_graph_downstream(r->program->graph, (astrum_task){task},
                                 &below) > 0;
}

/* --- errors */

/* Pushes the table at a number of the one on the top, made if there is none. */
static void push_table(lua_State *L, lua_Integer key) {
  if (lua_rawgeti(L, -1, key) == LUA_TTABLE)
    return;
  lua_pop(L, 1);
  lua_createtable(L, 1, 0);
  lua_pushvalue(L, -1);
  lua_rawseti(L, -3, key);
}

int binding_keep_error(lua_State *L) {
  const astrum_ticket *ticket = lua_touserdata(L, 3);
  lua_pushvalue(L, 1);
  push_table(L, (lua_Integer)ticket->task + 1);
  if (ticket->item)
    push_table(L, -(lua_Integer)ticket->item);
  lua_pushvalue(L, 2);
  lua_rawseti(L, -2, ticket->attempt);
  return 0;
}

void binding_push_error(engine *e, run *r, const astrum_ticket *ticket) {
  lua_State *L = e->L;
  int top = lua_gettop(L);
  binding_push_run(L, r);
  lua_getiuservalue(L, -1, RUN_ERRORS);
  int found = lua_rawgeti(L, -1, (lua_Integer)ticket->task + 1) == LUA_TTABLE;
  if (found && ticket->item)
    found = lua_rawgeti(L, -1, -(lua_Integer)ticket->item) == LUA_TTABLE;
  if (found)
    lua_rawgeti(L, -1, ticket->attempt);
  else
    lua_pushnil(L);
  lua_replace(L, top + 1);
  lua_settop(L, top + 1);
}

void binding_store_error(engine *e, run *r, astrum_ticket ticket) {
  lua_State *L = e->L;
  lua_pushcfunction(L, binding_keep_error);
  binding_push_run(L, r);
  lua_getiuservalue(L, -1, RUN_ERRORS);
  lua_replace(L, -2);
  lua_rotate(L, -3, -1);
  lua_pushlightuserdata(L, &ticket);
  if (lua_pcall(L, 3, 0, 0) != LUA_OK)
    lua_pop(L, 1);
}
