rockspec_format = "3.0"
package = "astrum"
version = "dev-1"
source = {
  url = "git+file://.",
}
description = {
  summary = "Workflow engine for one process",
  detailed = [[
    Tasks are Lua tables that name where each argument comes from. All that
    can run runs at once, with retries, cancellation and a full report. The
    scheduler is a C library on libuv.
  ]],
  license = "MIT",
  labels = { "workflow", "scheduler", "async" },
}
dependencies = {
  "lua ~> 5.4",
}
external_dependencies = {
  LIBUV = { header = "uv.h", library = "uv" },
}
build = {
  type = "cmake",
  variables = {
    CMAKE_INSTALL_PREFIX = "$(PREFIX)",
    ASTRUM_LUA_CDIR = "$(LIBDIR)",
    ASTRUM_LUA_LDIR = "$(LUADIR)",
    ASTRUM_BUILD_TESTS = "OFF",
  },
}
