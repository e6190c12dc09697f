# Turns Lua files into C data.
#
#   astrum_embed_lua(OUTPUT TEMPLATE COMPILER DIRECTORY FILE...)
#
# writes OUTPUT from TEMPLATE whenever one of the FILEs, named relative to
# DIRECTORY, or their list changes. COMPILER is a target (bindings/compile.c)
# that makes Lua's code of them; empty: they stay text. Run as a script it does
# the writing.

function(astrum_embed_lua output template compiler directory)
  set(list "${output}.list")
  list(JOIN ARGN "\n" names)
  file(CONFIGURE OUTPUT "${list}" CONTENT "${names}\n" @ONLY)
  list(TRANSFORM ARGN PREPEND "${directory}/" OUTPUT_VARIABLE files)
  set(program)
  if(compiler)
    set(program "$<TARGET_FILE:${compiler}>")
  endif()
  add_custom_command(
    OUTPUT "${output}"
    COMMAND ${CMAKE_COMMAND} -D "OUTPUT=${output}" -D "TEMPLATE=${template}"
            -D "DIRECTORY=${directory}" -D "LIST=${list}"
            -D "COMPILER=${program}" -P "${CMAKE_CURRENT_FUNCTION_LIST_FILE}"
    DEPENDS ${files} "${list}" "${template}" ${compiler}
            "${CMAKE_CURRENT_FUNCTION_LIST_FILE}"
    COMMENT "Embedding the Lua files"
    VERBATIM)
endfunction()

if(NOT CMAKE_SCRIPT_MODE_FILE OR NOT DEFINED LIST)
  return()
endif()

file(STRINGS "${LIST}" names)
set(ARRAYS "")
set(ENTRIES "")
foreach(name IN LISTS names)
  set(file "${DIRECTORY}/${name}")
  if(COMPILER)
    execute_process(
      COMMAND "${COMPILER}" "=${name}(embedded)" "${file}" "${OUTPUT}.code"
      RESULT_VARIABLE failed)
    if(failed)
      message(FATAL_ERROR "${file} cannot be compiled")
    endif()
    set(file "${OUTPUT}.code")
  endif()
  file(READ "${file}" bytes HEX)
  file(SIZE "${file}" size)
  string(REGEX REPLACE "(..)" "'\\\\x\\1'," bytes "${bytes}")
  string(REGEX REPLACE "\\.lua$" "" module "${name}")
  string(REGEX REPLACE "/init$" "" module "${module}")
  string(MAKE_C_IDENTIFIER "${module}" array)
  string(REPLACE "/" "." module "${module}")
  string(APPEND ARRAYS "\nstatic const char ${array}[] = {${bytes}0};\n")
  string(APPEND ENTRIES
         "\n  {\"${module}\", \"=${name}(embedded)\", ${array}, ${size}},")
endforeach()
configure_file("${TEMPLATE}" "${OUTPUT}" @ONLY)
