/*
 * Reading what became of a run and its tasks. The records stay in the
 * scheduler, so a report costs nothing that is not looked at.
 */
#include "run.h"

static const char *const cause_names[] = {
    "none",     "error",     "failure", "upstream", "request",
    "parent",   "stuck",     "memory",  "timeout",  "idle",
    "deadline", "condition", "trigger", "item",     "attempts"};

static void set_time(lua_State *L, const char *name, const run *r,
                     uint64_t time) {
  if (time == ASTRUM_NEVER)
    return;
  lua_pushnumber(L, (lua_Number)(time - r->begin) / 1e9);
  lua_setfield(L, -2, name);
}

static void set_count(lua_State *L, const char *name, uint32_t count) {
  lua_pushinteger(L, count);
  lua_setfield(L, -2, name);
}

static void set_blame(lua_State *L, uint32_t task) {
  if (task == ASTRUM_NO_TASK)
    return;
  lua_pushinteger(L, (lua_Integer)task + 1);
  lua_setfield(L, -2, "blame");
}

/*
 * run:status() -> { state, cause, blame = id, tasks, completed, failed,
 * cancelled, skipped, running, wall = seconds since 1970 at its begin,
 * duration = seconds until now or to the verdict }
 */
int binding_run_status(lua_State *L) {
  run *r = binding_check_open(L);
  astrum_summary s;
  astrum_err err = astrum_sched_summary(binding_sched(r), r->id, &s);
  if (err)
    return binding_raise(L, "status", err);
  lua_createtable(L, 0, 12);
  lua_pushstring(L, binding_state_names[s.state]);
  lua_setfield(L, -2, "state");
  lua_pushstring(L, cause_names[s.cause]);
  lua_setfield(L, -2, "cause");
  set_blame(L, s.blame);
  set_count(L, "tasks", s.tasks);
  set_count(L, "completed", s.completed);
  set_count(L, "failed", s.failed);
  set_count(L, "timed_out", s.timed_out);
  set_count(L, "cancelled", s.cancelled);
  set_count(L, "skipped", s.skipped);
  set_count(L, "running", s.running);
  lua_pushnumber(L, r->wall);
  lua_setfield(L, -2, "wall");
  uint64_t end = s.end;
  if (end == ASTRUM_NEVER)
    end = astrum_loop_now(r->engine->loop);
  set_time(L, "duration", r, end);
  return 1;
}

/* The item of a map at an index of the stack, 0 for none. */
static uint32_t check_item(lua_State *L, int index) {
  lua_Integer item = luaL_optinteger(L, index, 0);
  luaL_argcheck(L, item >= 0 && item < UINT32_MAX, index, "no such item");
  return (uint32_t)item;
}

static astrum_err read_record(const run *r, astrum_task task, uint32_t item,
                              astrum_record *out) {
  if (item)
    return astrum_sched_item_record(binding_sched(r), r->id, task, item, out);
  return astrum_sched_record(binding_sched(r), r->id, task, out);
}

static astrum_err read_attempts(const run *r, astrum_task task, uint32_t item,
                                astrum_attempt *list, uint32_t room,
                                uint32_t *count) {
  if (item)
    return astrum_sched_item_attempts(binding_sched(r), r->id, task, item, list,
                                      room, count);
  return astrum_sched_attempts(binding_sched(r), r->id, task, list, room,
                               count);
}

/* run:record(id, [item]) -> { state, cause, blame, attempts, ready, start,
   finish, busy, items, left, handled }: times in seconds since the run's begin,
   nil where there is none */
int binding_run_record(lua_State *L) {
  run *r = binding_check_open(L);
  astrum_task task = binding_check_run_task(L, r);
  astrum_record rec;
  astrum_err err = read_record(r, task, check_item(L, 3), &rec);
  if (err)
    return binding_raise(L, "record", err);
  lua_createtable(L, 0, 11);
  lua_pushstring(L, binding_state_names[rec.state]);
  lua_setfield(L, -2, "state");
  lua_pushstring(L, cause_names[rec.cause]);
  lua_setfield(L, -2, "cause");
  set_blame(L, rec.blame);
  set_count(L, "attempts", rec.attempts);
  set_time(L, "ready", r, rec.ready);
  set_time(L, "start", r, rec.start);
  set_time(L, "finish", r, rec.end);
  lua_pushnumber(L, (lua_Number)rec.busy / 1e9);
  lua_setfield(L, -2, "busy");
  if (rec.items) {
    set_count(L, "items", rec.items);
    set_count(L, "left", rec.left);
  }
  if (rec.handled) {
    lua_pushboolean(L, 1);
    lua_setfield(L, -2, "handled");
  }
  if (binding_is_released(r, task.id)) {
    lua_pushboolean(L, 1);
    lua_setfield(L, -2, "released");
  }
  return 1;
}

/* run:busy(id, [item]) -> seconds in attempts, count of attempts: as in the
   record, without the rest of it */
int binding_run_busy(lua_State *L) {
  const run *r = binding_check_open(L);
  astrum_task task = binding_check_run_task(L, r);
  astrum_record rec;
  astrum_err err = read_record(r, task, check_item(L, 3), &rec);
  if (err)
    return binding_raise(L, "busy", err);
  lua_pushnumber(L, (lua_Number)rec.busy / 1e9);
  lua_pushinteger(L, rec.attempts);
  return 2;
}

/* run:state(id, [item]) -> that of the record, without the rest of it */
int binding_run_state(lua_State *L) {
  run *r = binding_check_open(L);
  astrum_task task = binding_check_run_task(L, r);
  astrum_record rec;
  astrum_err err = read_record(r, task, check_item(L, 3), &rec);
  if (err)
    return binding_raise(L, "record", err);
  lua_pushstring(L, binding_state_names[rec.state]);
  return 1;
}

/* run:outcome(id) -> state, cause, blame: those of the record, and no table */
int binding_run_outcome(lua_State *L) {
  run *r = binding_check_open(L);
  astrum_task task = binding_check_run_task(L, r);
  astrum_record rec;
  astrum_err err = astrum_sched_record(binding_sched(r), r->id, task, &rec);
  if (err)
    return binding_raise(L, "outcome", err);
  lua_pushstring(L, binding_state_names[rec.state]);
  lua_pushstring(L, cause_names[rec.cause]);
  if (rec.blame == ASTRUM_NO_TASK)
    return 2;
  lua_pushinteger(L, (lua_Integer)rec.blame + 1);
  return 3;
}

/* run:next_unusual(id) -> the next task behind `id`, which is 0 at first, that
   did not complete with its first attempt or is a map; nil for none */
int binding_run_next_unusual(lua_State *L) {
  run *r = binding_check_open(L);
  lua_Integer id = luaL_checkinteger(L, 2);
  uint32_t count = (uint32_t)r->program->task_count;
  luaL_argcheck(L, id >= 0 && id <= count, 2, "no such task");
  for (uint32_t at = (uint32_t)id; at < count; at++) {
    astrum_record rec;
    astrum_err err =
        astrum_sched_record(binding_sched(r), r->id, (astrum_task){at}, &rec);
    if (err)
      return binding_raise(L, "next_unusual", err);
    if (rec.state != ASTRUM_COMPLETED || rec.attempts != 1 || rec.items) {
      lua_pushinteger(L, (lua_Integer)at + 1);
      return 1;
    }
  }
  return 0;
}

/* Pushes the error of an attempt, or nil when it has not failed. Only for want
   of memory a failure has left none. */
static void push_error(lua_State *L, astrum_task task, uint32_t item,
                       uint32_t number, int failed) {
  int top = lua_gettop(L);
  lua_getiuservalue(L, 1, RUN_ERRORS);
  int found = lua_rawgeti(L, -1, (lua_Integer)task.id + 1) == LUA_TTABLE;
  if (found && item)
    found = lua_rawgeti(L, -1, -(lua_Integer)item) == LUA_TTABLE;
  if (found)
    lua_rawgeti(L, -1, number);
  else
    lua_pushnil(L);
  lua_replace(L, top + 1);
  lua_settop(L, top + 1);
  if (failed && lua_isnil(L, -1)) {
    lua_pop(L, 1);
    lua_pushstring(L, astrum_strerror(ASTRUM_ENOMEM));
  }
}

static int has_failed(const astrum_attempt *at) {
  return !at->running &&
         (at->outcome == ASTRUM_FAILURE ||
          at->outcome == ASTRUM_FAILURE_FINAL || at->outcome == ASTRUM_TIMEOUT);
}

/* run:attempts(id, [item]) -> list of { attempt, outcome, will_retry, start,
   finish, error } */
int binding_run_attempts(lua_State *L) {
  static const char *const outcomes[] = {"succeeded",     "failure",
                                         "failure_final", "stopped",
                                         "declined",      "timed_out"};
  run *r = binding_check_open(L);
  astrum_task task = binding_check_run_task(L, r);
  uint32_t item = check_item(L, 3);
  uint32_t count = 0;
  astrum_err err = read_attempts(r, task, item, NULL, 0, &count);
  if (err)
    return binding_raise(L, "attempts", err);
  size_t room = count ? count : 1;
  astrum_attempt *list = lua_newuserdatauv(L, room * sizeof *list, 0);
  err = read_attempts(r, task, item, list, count, &count);
  if (err)
    return binding_raise(L, "attempts", err);
  lua_createtable(L, (int)count, 0);
  for (uint32_t i = 0; i < count; i++) {
    lua_createtable(L, 0, 6);
    set_count(L, "attempt", list[i].attempt);
    if (!list[i].running) {
      lua_pushstring(L, outcomes[list[i].outcome]);
      lua_setfield(L, -2, "outcome");
    }
    lua_pushboolean(L, list[i].will_retry);
    lua_setfield(L, -2, "will_retry");
    set_time(L, "start", r, list[i].start);
    set_time(L, "finish", r, list[i].end);
    push_error(L, task, item, list[i].attempt, has_failed(&list[i]));
    lua_setfield(L, -2, "error");
    lua_rawseti(L, -2, (lua_Integer)i + 1);
  }
  return 1;
}

/* run:result(id) -> the value the task returned, nil when it has not */
int binding_run_result(lua_State *L) {
  run *r = binding_check_open(L);
  astrum_task task = binding_check_run_task(L, r);
  lua_getiuservalue(L, 1, RUN_RESULTS);
  lua_rawgeti(L, -1, (lua_Integer)task.id + 1);
  return 1;
}

/* Pushes the error of a task that could not begin because the tree has had all
   its attempts. It is made when it is first asked for. */
static void push_refusal(lua_State *L, astrum_task task, uint32_t item) {
  push_error(L, task, item, 0, 0);
  if (!lua_isnil(L, -1))
    return;
  lua_pop(L, 1);
  binding_push_hook(L, binding_on_failure);
  lua_getiuservalue(L, 1, RUN_DATA);
  lua_pushinteger(L, (lua_Integer)task.id + 1);
  lua_pushinteger(L, 0);
  lua_pushinteger(L, item);
  lua_pushnil(L);
  lua_pushnil(L);
  lua_pushliteral(L, "attempts");
  lua_call(L, 7, 1);
  lua_pushcfunction(L, binding_keep_error);
  lua_getiuservalue(L, 1, RUN_ERRORS);
  lua_pushvalue(L, -3);
  astrum_ticket ticket = {.task = task.id, .item = item};
  lua_pushlightuserdata(L, &ticket);
  lua_call(L, 3, 0);
}

/* run:error(id, [item]) -> error object of a task or item that has failed for
   good, or nil; of a map that of the first item that failed */
int binding_run_error(lua_State *L) {
  run *r = binding_check_open(L);
  astrum_task task = binding_check_run_task(L, r);
  uint32_t item = check_item(L, 3);
  astrum_record rec;
  astrum_err err = read_record(r, task, item, &rec);
  for (uint32_t i = 1;
       !err && item == 0 && rec.cause == ASTRUM_CAUSE_ITEM && i <= rec.items;
       i++) {
    astrum_record of_item;
    err = read_record(r, task, i, &of_item);
    if (!err &&
        (of_item.state == ASTRUM_FAILED || of_item.state == ASTRUM_TIMED_OUT)) {
      item = i;
      rec = of_item;
    }
  }
  if (err)
    return binding_raise(L, "error", err);
  if (rec.state != ASTRUM_FAILED && rec.state != ASTRUM_TIMED_OUT)
    return 0;
  if (rec.attempts == 0 && rec.cause == ASTRUM_CAUSE_ATTEMPTS)
    push_refusal(L, task, item);
  else
    push_error(L, task, item, rec.attempts, 1);
  return 1;
}

/* run:progress(id) -> fraction, text: what the task last told */
int binding_run_progress(lua_State *L) {
  run *r = binding_check_open(L);
  astrum_task task = binding_check_run_task(L, r);
  lua_getiuservalue(L, 1, RUN_PROGRESS);
  if (lua_rawgeti(L, -1, (lua_Integer)task.id + 1) != LUA_TTABLE)
    return 0;
  lua_rawgeti(L, -1, 1);
  lua_rawgeti(L, -2, 2);
  return 2;
}

/* run:telling() -> list of the tasks that have told their progress */
int binding_run_telling(lua_State *L) {
  binding_check_open(L);
  lua_Integer count = 0;
  lua_settop(L, 1);
  lua_newtable(L);
  lua_getiuservalue(L, 1, RUN_PROGRESS);
  lua_pushnil(L);
  while (lua_next(L, 3)) {
    lua_pop(L, 1);
    lua_pushvalue(L, -1);
    lua_rawseti(L, 2, ++count);
  }
  lua_settop(L, 2);
  return 1;
}

/* Items of a map that are alive. */
static uint32_t running_items(const run *r, uint32_t task) {
  uint32_t count = 0;
  if (r->items)
    for (uint32_t i = 0; i < r->items[task].count; i++)
      count += r->items[task].attempts[i] != NULL;
  return count;
}

/*
 * run:running(most) -> list of up to `most` tasks that run, in the order of
 * their numbers, { id, items = of a map that run }; how many there are in all.
 * Takes time with the tasks and items of the run.
 */
int binding_run_running(lua_State *L) {
  run *r = binding_check_open(L);
  lua_Integer most = luaL_checkinteger(L, 2), count = 0;
  lua_newtable(L);
  for (uint32_t task = 0; r->attempts && task < r->program->task_count;
       task++) {
    uint32_t items = running_items(r, task);
    if (!items && !r->attempts[task])
      continue;
    if (++count > most)
      continue;
    lua_createtable(L, 1, 1);
    lua_pushinteger(L, (lua_Integer)task + 1);
    lua_rawseti(L, -2, 1);
    if (items)
      set_count(L, "items", items);
    lua_rawseti(L, -2, count);
  }
  lua_pushinteger(L, count);
  return 2;
}
