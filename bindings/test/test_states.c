/*
 * What a Lua state with astrum does to its process and to other states in it.
 */
#include "binding.h"
#include "check.h"
#include "embed.h"
#include "fault.h"

#include <lualib.h>
#include <sys/wait.h>
#include <unistd.h>

static int load_embedded(lua_State *L) {
  const astrum_embedded *file = lua_touserdata(L, lua_upvalueindex(1));
  if (luaL_loadbufferx(L, file->code, file->size, file->chunk, NULL) != LUA_OK)
    return lua_error(L);
  lua_call(L, 0, 1);
  return 1;
}

static lua_State *new_state(fault_state *fault) {
  lua_State *L = lua_newstate(fault_alloc, fault);
  luaL_openlibs(L);
  luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_PRELOAD_TABLE);
  lua_pushcfunction(L, luaopen_astrum_core);
  lua_setfield(L, -2, "astrum.core");
  for (size_t i = 0; i < astrum__embedded_count; i++) {
    lua_pushlightuserdata(L, (void *)&astrum__embedded[i]);
    lua_pushcclosure(L, load_embedded, 1);
    lua_setfield(L, -2, astrum__embedded[i].module);
  }
  lua_pop(L, 1);
  return L;
}

/* Runs a text; what it returns must be true. */
static void run_text(lua_State *L, const char *text) {
  if (luaL_loadstring(L, text) != LUA_OK || lua_pcall(L, 0, 1, 0) != LUA_OK)
    CHECK_STR(luaL_tolstring(L, -1, NULL), "no error");
  CHECK(lua_toboolean(L, -1));
  lua_settop(L, 0);
}

static void close_state(lua_State *L, fault_state *fault) {
  lua_close(L);
  CHECK_EQ(fault->live, 0);
  CHECK_EQ(fault->wrong_size, 0);
}

/* --- a forked process */

static int closings;

static int count_closing(lua_State *L) {
  (void)L;
  closings++;
  return 0;
}

TEST(a_forked_process_runs_and_closes_nothing_of_its_parents) {
  fault_state fault = fault_none();
  lua_State *L = new_state(&fault);
  closings = 0;
  lua_register(L, "count_closing", count_closing);
  run_text(L,
           "astrum = require 'astrum'\n"
           "astrum.task('wait', function()\n"
           "  local _ <close> = setmetatable({}, { __close = count_closing })\n"
           "  return astrum.spawn({ 'sleep', '0.01' }).code\n"
           "end)\n"
           "astrum.task('asks', function()\n"
           "  astrum.await(function(done)\n"
           "    answer = done\n"
           "    return count_closing\n"
           "  end)\n"
           "end)\n"
           "handle = astrum.build_scheduler():start()\n"
           "astrum.sleep(0.001)\n"
           "return answer ~= nil");
  fflush(stdout);
  pid_t child = fork();
  if (child == 0) {
    run_text(
        L,
        "local ok, why = pcall(astrum.sleep, 0)\n"
        "local waited = pcall(handle.wait, handle)\n"
        "handle:cancel()\n"
        "return not ok and not waited and why == 'astrum: this process was '\n"
        "  .. 'forked while astrum was in use; its runs belong to the '\n"
        "  .. 'parent. Start another program with astrum.spawn, or fork '\n"
        "  .. 'before the first run'");
    close_state(L, &fault);
    CHECK_EQ(closings, 0);
    fflush(stdout);
    _exit(check_failures > 0);
  }
  int status = -1;
  CHECK_EQ(waitpid(child, &status, 0), child);
  CHECK_EQ(status, 0);
  alarm(10);
  run_text(L, "answer()\n"
              "local report = handle:wait()\n"
              "return report:ok() and report:result 'wait' == 0");
  alarm(0);
  CHECK_EQ(closings, 1);
  close_state(L, &fault);
}

TEST(a_forked_process_leaves_worker_threads_to_its_parent) {
  fault_state fault = fault_none();
  lua_State *L = new_state(&fault);
  run_text(L, "local astrum = require 'astrum'\n"
              "astrum.task('wait', { executor = 'thread', run = function(ctx)\n"
              "  ctx.progress(0.5)\n"
              "  astrum.sleep(1000)\n"
              "end })\n"
              "handle = astrum.build_scheduler():start()\n"
              "repeat astrum.sleep(0.001) until handle:status().progress.wait\n"
              "return true");
  fflush(stdout);
  pid_t child = fork();
  if (child == 0) {
    alarm(10);
    close_state(L, &fault);
    fflush(stdout);
    _exit(check_failures > 0);
  }
  int status = -1;
  CHECK_EQ(waitpid(child, &status, 0), child);
  CHECK_EQ(status, 0);
  alarm(10);
  run_text(L, "handle:cancel()\n"
              "return handle:wait().execution_state == 'cancelled'");
  alarm(0);
  close_state(L, &fault);
}

/* --- several states */

TEST(worker_threads_belong_to_their_state) {
  static const char text[] =
      "local astrum = require 'astrum'\n"
      "astrum.task('square', { executor = 'thread',\n"
      "  map = { value = { 1, 2, 3, 4 } },\n"
      "  run = function(value) return value * value end })\n"
      "local squares = astrum.run():assert():result 'square'\n"
      "return squares[1] == 1 and squares[4] == 16";
  fault_state one = fault_none(), two = fault_none();
  lua_State *L = new_state(&one), *other = new_state(&two);
  run_text(L, text);
  run_text(other, text);
  close_state(L, &one);
  run_text(other, "return require('astrum').run():ok()");
  close_state(other, &two);
}

static int run_other(lua_State *L) {
  lua_State *other = lua_touserdata(L, lua_upvalueindex(1));
  run_text(other,
           "local astrum = require 'astrum'\n"
           "astrum.clear_registry()\n"
           "astrum.task('a', function() astrum.sleep(0.001) return 1 end)\n"
           "return astrum.run():result 'a' == 1");
  return 0;
}

TEST(a_task_of_one_state_can_run_a_workflow_of_another) {
  fault_state one = fault_none(), two = fault_none();
  lua_State *L = new_state(&one), *other = new_state(&two);
  lua_pushlightuserdata(L, other);
  lua_pushcclosure(L, run_other, 1);
  lua_setglobal(L, "run_other");
  run_text(
      L,
      "local astrum = require 'astrum'\n"
      "astrum.task('a', function() run_other() astrum.sleep(0) return 1 end)\n"
      "astrum.task('b', function() astrum.sleep(0.001) run_other() end)\n"
      "return astrum.run():assert():result 'a' == 1");
  close_state(other, &two);
  close_state(L, &one);
}

/* --- memory */

TEST(the_records_of_runs_inside_runs_go_with_their_reports) {
  fault_state fault = fault_none();
  lua_State *L = new_state(&fault);
  run_text(L, "local astrum = require 'astrum'\n"
              "local inner = astrum.SchedulerRegistry 'inner'\n"
              "inner.task('a', function() end)\n"
              "inner = inner:build_scheduler()\n"
              "local reports\n"
              "astrum.task('outer', function()\n"
              "  reports[#reports + 1] = inner:execute()\n"
              "end)\n"
              "local outer = astrum.build_scheduler()\n"
              "function round()\n"
              "  reports = {}\n"
              "  for _ = 1, 200 do outer:execute():assert() end\n"
              "  collectgarbage() collectgarbage()\n"
              "  reports = nil\n"
              "  collectgarbage() collectgarbage()\n"
              "end\n"
              "round() round()\n"
              "return true");
  size_t before = fault.live;
  run_text(L, "round() round() round() return true");
  CHECK(fault.live < before + 4096);
  close_state(L, &fault);
}

TEST_MAIN(TEST_ENTRY(a_forked_process_runs_and_closes_nothing_of_its_parents),
          TEST_ENTRY(a_forked_process_leaves_worker_threads_to_its_parent),
          TEST_ENTRY(worker_threads_belong_to_their_state),
          TEST_ENTRY(a_task_of_one_state_can_run_a_workflow_of_another),
          TEST_ENTRY(the_records_of_runs_inside_runs_go_with_their_reports))
