# The Lua module and the program.

pkg_check_modules(LUA REQUIRED IMPORTED_TARGET lua5.4)

add_library(astrum_binding OBJECT
  bindings/codec.c
  bindings/codec_decode.c
  bindings/lua_await.c
  bindings/lua_brief.c
  bindings/lua_codec.c
  bindings/lua_context.c
  bindings/lua_columns.c
  bindings/lua_declare.c
  bindings/lua_engine.c
  bindings/lua_graph.c
  bindings/lua_inspect.c
  bindings/lua_luv.c
  bindings/lua_module.c
  bindings/lua_preempt.c
  bindings/lua_inputs.c
  bindings/lua_program.c
  bindings/lua_record.c
  bindings/lua_results.c
  bindings/lua_ref.c
  bindings/lua_run.c
  bindings/lua_spawn.c
  bindings/lua_attempt.c
  bindings/lua_strand.c
  bindings/lua_task.c
  bindings/lua_terminal.c
  bindings/lua_home.c
  bindings/lua_thread.c
  bindings/lua_worker.c
  bindings/preempt_text.c
  bindings/thread_pool.c
  bindings/thread_timer.c
  bindings/travel.c)
target_include_directories(astrum_binding PRIVATE
  bindings $<TARGET_PROPERTY:PkgConfig::LUA,INTERFACE_INCLUDE_DIRECTORIES>)
target_link_libraries(astrum_binding PRIVATE astrum astrum_dev)
if(ASTRUM_SANITIZE STREQUAL "thread")
  target_sources(astrum_binding PRIVATE bindings/test/tsan_longjmp.c)
endif()

# A module does not link Lua: whoever loads it has the symbols. The archive's
# public functions stay inside.
add_library(astrum_module MODULE $<TARGET_OBJECTS:astrum_binding>)
set_target_properties(astrum_module PROPERTIES
  PREFIX "" OUTPUT_NAME core
  LIBRARY_OUTPUT_DIRECTORY "${PROJECT_BINARY_DIR}/lua/astrum")
target_link_libraries(astrum_module PRIVATE astrum astrum_dev ${CMAKE_DL_LIBS})
if(APPLE)
  target_link_options(astrum_module PRIVATE -undefined dynamic_lookup)
else()
  target_link_options(astrum_module PRIVATE LINKER:--exclude-libs,ALL)
endif()

file(GLOB_RECURSE ASTRUM_LUA_FILES CONFIGURE_DEPENDS
     RELATIVE "${PROJECT_SOURCE_DIR}/lua" lua/astrum/*.lua)
list(FILTER ASTRUM_LUA_FILES EXCLUDE REGEX "\\.meta\\.lua$")

# The program has Lua inside, as lua5.4 itself has: a call of its functions then
# costs less than one through a table of the dynamic linker.
set(ASTRUM_STATIC_LUA AUTO CACHE STRING "Link Lua statically: AUTO, ON, OFF")
set_property(CACHE ASTRUM_STATIC_LUA PROPERTY STRINGS AUTO ON OFF)
set(lua_library PkgConfig::LUA)
if(ASTRUM_STATIC_LUA)
  list(GET LUA_LIBRARIES 0 name)
  # Headers and archive are those of one Lua, where pkg-config says which.
  if(LUA_LIBRARY_DIRS)
    find_library(LUA_ARCHIVE NAMES lib${name}.a PATHS ${LUA_LIBRARY_DIRS}
                 NO_DEFAULT_PATH)
  else()
    find_library(LUA_ARCHIVE NAMES lib${name}.a)
  endif()
  mark_as_advanced(LUA_ARCHIVE)
  if(LUA_ARCHIVE)
    set(lua_library "${LUA_ARCHIVE}" m)
  elseif(NOT ASTRUM_STATIC_LUA STREQUAL "AUTO")
    message(FATAL_ERROR "ASTRUM_STATIC_LUA is ON, but lib${name}.a is not "
                        "there: install it, or leave it OFF")
  endif()
endif()

# Where the program has Lua inside, and what is built can run, the files are
# compiled: it starts in less than half the time.
set(compiler)
if(LUA_ARCHIVE AND ASTRUM_STATIC_LUA
   AND (NOT CMAKE_CROSSCOMPILING OR CMAKE_CROSSCOMPILING_EMULATOR))
  set(compiler astrum_compile)
  add_executable(astrum_compile bindings/compile.c)
  target_link_libraries(astrum_compile
    PRIVATE astrum_dev ${lua_library} ${CMAKE_DL_LIBS})
  target_include_directories(astrum_compile PRIVATE
    $<TARGET_PROPERTY:PkgConfig::LUA,INTERFACE_INCLUDE_DIRECTORIES>)
endif()

set(embedded "${PROJECT_BINARY_DIR}/embed.c")
astrum_embed_lua("${embedded}" "${PROJECT_SOURCE_DIR}/bindings/embed.c.in"
                 "${compiler}"
                 "${PROJECT_SOURCE_DIR}/lua" ${ASTRUM_LUA_FILES})

# One target writes the file, so that a parallel build writes it once.
add_library(astrum_embedded OBJECT "${embedded}")
target_include_directories(astrum_embedded PRIVATE bindings)
target_link_libraries(astrum_embedded PRIVATE astrum_dev)

# Exports Lua's functions where they are inside, so that C modules find them.
add_executable(astrum-lua bindings/console.c bindings/editor.c bindings/guard.c
               bindings/main.c bindings/repl.c
               $<TARGET_OBJECTS:astrum_embedded>
               $<TARGET_OBJECTS:astrum_binding>)
target_include_directories(astrum-lua PRIVATE
  bindings $<TARGET_PROPERTY:PkgConfig::LUA,INTERFACE_INCLUDE_DIRECTORIES>)
target_link_libraries(astrum-lua
  PRIVATE astrum astrum_dev ${lua_library} ${CMAKE_DL_LIBS})
set_target_properties(astrum-lua PROPERTIES
  ENABLE_EXPORTS ON RUNTIME_OUTPUT_DIRECTORY "${PROJECT_BINARY_DIR}/bin")

# Editing of lines at the prompt. Found by the header that we include: another
# library is called libedit, too.
set(ASTRUM_LIBEDIT AUTO CACHE STRING "Edit lines with libedit: AUTO, ON, OFF")
set_property(CACHE ASTRUM_LIBEDIT PROPERTY STRINGS AUTO ON OFF)
if(ASTRUM_LIBEDIT)
  find_path(LIBEDIT_INCLUDE_DIR editline/readline.h)
  find_library(LIBEDIT_LIBRARY edit)
  mark_as_advanced(LIBEDIT_INCLUDE_DIR LIBEDIT_LIBRARY)
  if(LIBEDIT_INCLUDE_DIR AND LIBEDIT_LIBRARY)
    target_compile_definitions(astrum-lua PRIVATE ASTRUM_LIBEDIT)
    target_include_directories(astrum-lua
      SYSTEM PRIVATE "${LIBEDIT_INCLUDE_DIR}")
    target_link_libraries(astrum-lua PRIVATE "${LIBEDIT_LIBRARY}")
  elseif(NOT ASTRUM_LIBEDIT STREQUAL "AUTO")
    message(FATAL_ERROR "ASTRUM_LIBEDIT is ON, but libedit is not there: "
                        "install it (Debian: libedit-dev), or leave it OFF")
  endif()
endif()

# Most of what Lua does between tasks is to make and free small tables, which
# mimalloc does in less time than the C library. It takes the place of malloc in
# the whole program; sanitizers want that place for themselves.
set(ASTRUM_MIMALLOC AUTO CACHE STRING "Allocate by mimalloc: AUTO, ON, OFF")
set_property(CACHE ASTRUM_MIMALLOC PROPERTY STRINGS AUTO ON OFF)
if(ASTRUM_SANITIZE AND ASTRUM_MIMALLOC AND NOT ASTRUM_MIMALLOC STREQUAL "AUTO")
  message(FATAL_ERROR "ASTRUM_MIMALLOC is ON, but a sanitizer replaces malloc "
                      "itself: leave one of the two away")
elseif(ASTRUM_MIMALLOC AND NOT ASTRUM_SANITIZE)
  find_library(MIMALLOC_LIBRARY mimalloc)
  mark_as_advanced(MIMALLOC_LIBRARY)
  if(MIMALLOC_LIBRARY)
    target_link_libraries(astrum-lua PRIVATE "${MIMALLOC_LIBRARY}")
    if(NOT APPLE) # no function of it is called by name
      target_link_options(astrum-lua PRIVATE LINKER:--no-as-needed)
    endif()
  elseif(NOT ASTRUM_MIMALLOC STREQUAL "AUTO")
    message(FATAL_ERROR "ASTRUM_MIMALLOC is ON, but mimalloc is not there: "
                        "install it (Debian: libmimalloc-dev), or leave it OFF")
  endif()
endif()

# The program prints its own completions.
set(ASTRUM_COMPLETIONS "${PROJECT_BINARY_DIR}/completions")
file(MAKE_DIRECTORY "${ASTRUM_COMPLETIONS}")
foreach(shell bash zsh fish)
  add_custom_command(TARGET astrum-lua POST_BUILD VERBATIM
    COMMAND sh -c "\"$1\" --completions \"$2\" >\"$3\"" sh
            $<TARGET_FILE:astrum-lua> ${shell} "${ASTRUM_COMPLETIONS}/${shell}")
endforeach()

if(BUILD_SHARED_LIBS)
  file(RELATIVE_PATH path "/${CMAKE_INSTALL_BINDIR}" "/${CMAKE_INSTALL_LIBDIR}")
  set_target_properties(astrum-lua PROPERTIES INSTALL_RPATH "$ORIGIN/${path}")
  file(RELATIVE_PATH path
       "/${ASTRUM_LUA_CDIR}/astrum" "/${CMAKE_INSTALL_LIBDIR}")
  set_target_properties(astrum_module PROPERTIES INSTALL_RPATH "$ORIGIN/${path}")
endif()
