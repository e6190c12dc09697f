# One program per file of core/test; they see the library's inner functions.

set(astrum_tests alloc error flow graph loop maps names plan pools process retry
                 scheduler scheduler_random ticker timeouts triggers watch)
foreach(name IN LISTS astrum_tests)
  add_executable(test_${name} core/test/test_${name}.c
                 $<TARGET_OBJECTS:astrum>)
  target_include_directories(test_${name} PRIVATE
    core/include core/src core/test)
  target_compile_definitions(test_${name} PRIVATE _GNU_SOURCE)
  target_link_libraries(test_${name} PRIVATE PkgConfig::UV astrum_dev)
  set_target_properties(test_${name} PROPERTIES
    RUNTIME_OUTPUT_DIRECTORY "${PROJECT_BINARY_DIR}/test")
  add_test(NAME ${name} COMMAND test_${name})
  set_tests_properties(${name} PROPERTIES TIMEOUT 120)
endforeach()

add_test(NAME boundary
         COMMAND ${PROJECT_SOURCE_DIR}/scripts/check-boundary.sh
                 "${PROJECT_BINARY_DIR}")
add_test(NAME install
         COMMAND ${PROJECT_SOURCE_DIR}/scripts/check-install.sh
                 "${PROJECT_BINARY_DIR}")
set_tests_properties(install PROPERTIES TIMEOUT 120)

# Values and functions as bytes.
if(ASTRUM_BUILD_LUA)
  foreach(name codec codec_random)
    add_executable(test_${name} bindings/test/test_${name}.c
                   $<TARGET_OBJECTS:astrum_binding>)
    target_include_directories(test_${name} PRIVATE bindings core/test)
    target_compile_definitions(test_${name} PRIVATE _GNU_SOURCE)
    target_link_libraries(test_${name}
      PRIVATE astrum astrum_dev PkgConfig::LUA ${CMAKE_DL_LIBS})
    set_target_properties(test_${name} PROPERTIES
      RUNTIME_OUTPUT_DIRECTORY "${PROJECT_BINARY_DIR}/test")
    add_test(NAME ${name} COMMAND test_${name})
    set_tests_properties(${name} PROPERTIES TIMEOUT 300)
  endforeach()
  # What is nested deepest needs little of the C stack.
  add_test(NAME codec_small_stack
           COMMAND sh -c "ulimit -s 256 && exec \"$0\" \"$@\""
                   $<TARGET_FILE:test_codec> tables_may_be_128_deep
                   more_than_128_tables_inside_each_other_are_refused
                   tables_nested_too_deeply_are_refused_when_read
                   functions_may_be_128_deep)
endif()

# Built by `make bench` only.
add_executable(bench_sched EXCLUDE_FROM_ALL
               bench/bench_sched.c bench/limit.c bench/shapes.c)
target_compile_definitions(bench_sched PRIVATE _GNU_SOURCE)
target_link_libraries(bench_sched PRIVATE astrum astrum_dev m)
if(ASTRUM_BUILD_LUA)
  add_executable(bench_codec EXCLUDE_FROM_ALL bench/bench_codec.c
                 $<TARGET_OBJECTS:astrum_binding>)
  target_include_directories(bench_codec PRIVATE bindings)
  target_compile_definitions(bench_codec PRIVATE _GNU_SOURCE)
  target_link_libraries(bench_codec
    PRIVATE astrum astrum_dev PkgConfig::LUA ${CMAKE_DL_LIBS})
endif()

# Programs with Lua states of their own. alloc_sweep: every allocation of
# workflows fails once.
if(ASTRUM_BUILD_LUA)
  foreach(name IN ITEMS alloc_sweep test_preempt test_states test_thread_pool)
    add_executable(${name} bindings/test/${name}.c
                   $<TARGET_OBJECTS:astrum_embedded>
                   $<TARGET_OBJECTS:astrum_binding>)
    target_include_directories(${name} PRIVATE bindings core/test)
    target_compile_definitions(${name} PRIVATE _GNU_SOURCE)
    target_link_libraries(${name}
      PRIVATE astrum astrum_dev PkgConfig::LUA ${CMAKE_DL_LIBS})
    set_target_properties(${name} PROPERTIES
      RUNTIME_OUTPUT_DIRECTORY "${PROJECT_BINARY_DIR}/test")
  endforeach()
  add_test(NAME preempt COMMAND test_preempt)
  set_tests_properties(preempt PROPERTIES TIMEOUT 120)
  add_test(NAME thread_pool COMMAND test_thread_pool)
  set_tests_properties(thread_pool PROPERTIES TIMEOUT 120)
  set(every)
  if(ASTRUM_SANITIZE)
    set(every --step 7) # sanitizers take their time
  endif()
  add_test(NAME alloc_sweep
           COMMAND alloc_sweep ${PROJECT_SOURCE_DIR}/bindings/test/alloc_sweep.lua
                   ${PROJECT_SOURCE_DIR}/bindings/test/alloc_sweep_policy.lua
                   ${every})
  set_tests_properties(alloc_sweep PROPERTIES TIMEOUT 600)
  add_test(NAME states COMMAND test_states)
  set_tests_properties(states PROPERTIES TIMEOUT 120)
endif()

# Types at a terminal, for specs of the prompt.
if(ASTRUM_BUILD_LUA)
  add_executable(pty_drive bindings/test/pty_drive.c)
  target_link_libraries(pty_drive PRIVATE astrum_dev)
  set_target_properties(pty_drive PROPERTIES
    RUNTIME_OUTPUT_DIRECTORY "${PROJECT_BINARY_DIR}/test")
endif()
