# Fuzz targets for clang's libFuzzer; scripts/fuzz.sh builds and runs them.

if(NOT CMAKE_C_COMPILER_ID MATCHES "Clang")
  message(FATAL_ERROR "ASTRUM_FUZZ needs clang: -DCMAKE_C_COMPILER=clang")
endif()

function(astrum_fuzz name)
  add_executable(${name} ${ARGN})
  target_include_directories(${name} PRIVATE core/include core/src bindings)
  target_compile_options(${name} PRIVATE
    -fsanitize=fuzzer,address,undefined -fno-sanitize-recover=all
    -fno-omit-frame-pointer)
  target_link_options(${name} PRIVATE -fsanitize=fuzzer,address,undefined)
  target_link_libraries(${name} PRIVATE astrum_dev)
  set_target_properties(${name} PROPERTIES
    RUNTIME_OUTPUT_DIRECTORY "${PROJECT_BINARY_DIR}/fuzz")
endfunction()

astrum_fuzz(fuzz_graph core/test/fuzz_graph.c core/src/alloc.c core/src/error.c
            core/src/graph.c core/src/names.c core/src/plan.c core/src/retry.c)
if(ASTRUM_BUILD_LUA)
  astrum_fuzz(fuzz_codec bindings/test/fuzz_codec.c bindings/codec.c
              bindings/codec_decode.c bindings/lua_inspect.c core/src/error.c)
  target_link_libraries(fuzz_codec PRIVATE PkgConfig::LUA)
endif()
