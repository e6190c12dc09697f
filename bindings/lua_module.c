/* astrum.core: the C side of the Lua module. */
#include "binding.h"
#include "lua_inspect.h"

__attribute__((visibility("default"))) int luaopen_astrum_core(lua_State *L) {
  luaL_checkversion(L);
  lua_newtable(L);
  astrum_binding_open_graph(L);
  astrum_binding_open_inspect(L);
  astrum_binding_open_ref(L);
  binding_open_engine(L);
  binding_open_terminal(L);
  binding_open_declare(L);
  binding_open_program(L);
  binding_open_run(L);
  binding_open_await(L);
  binding_open_spawn(L);
  binding_open_context(L);
  binding_open_preempt(L);
  binding_open_codec(L);
  binding_open_thread(L);
  binding_open_brief(L);
  binding_open_home(L);
  binding_open_worker(L);
  lua_pushstring(L, astrum_version());
  lua_setfield(L, -2, "version");
  return 1;
}
