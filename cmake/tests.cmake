# One program per file of core/test; they see the library's inner functions.

set(astrum_tests alloc error flow graph loop maps names plan pools process retry
                 scheduler scheduler_random timeouts triggers)
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

# Built by `make bench` only.
add_executable(bench_sched EXCLUDE_FROM_ALL bench/bench_sched.c)
target_compile_definitions(bench_sched PRIVATE _GNU_SOURCE)
target_link_libraries(bench_sched PRIVATE astrum astrum_dev)

# Every allocation of workflows fails once.
if(ASTRUM_BUILD_LUA)
  add_executable(alloc_sweep bindings/test/alloc_sweep.c "${embedded}"
                 $<TARGET_OBJECTS:astrum_binding>)
  target_include_directories(alloc_sweep PRIVATE bindings core/test)
  target_compile_definitions(alloc_sweep PRIVATE _GNU_SOURCE)
  target_link_libraries(alloc_sweep
    PRIVATE astrum astrum_dev PkgConfig::LUA ${CMAKE_DL_LIBS})
  set_target_properties(alloc_sweep PROPERTIES
    RUNTIME_OUTPUT_DIRECTORY "${PROJECT_BINARY_DIR}/test")
  set(every)
  if(ASTRUM_SANITIZE)
    set(every --step 7) # sanitizers take their time
  endif()
  add_test(NAME alloc_sweep
           COMMAND alloc_sweep ${PROJECT_SOURCE_DIR}/bindings/test/alloc_sweep.lua
                   ${every})
  set_tests_properties(alloc_sweep PROPERTIES TIMEOUT 600)
endif()
