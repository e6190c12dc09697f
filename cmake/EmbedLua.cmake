# Turns Lua files into C data.
#
#   astrum_embed_lua(OUTPUT TEMPLATE DIRECTORY FILE...)
#
# writes OUTPUT from TEMPLATE whenever one of the FILEs, named relative to
# DIRECTORY, or their list changes. Run as a script it does the writing.

function(astrum_embed_lua output template directory)
  set(list "${output}.list")
  list(JOIN ARGN "\n" names)
  file(CONFIGURE OUTPUT "${list}" CONTENT "${names}\n" @ONLY)
  list(TRANSFORM ARGN PREPEND "${directory}/" OUTPUT_VARIABLE files)
  add_custom_command(
    OUTPUT "${output}"
    COMMAND ${CMAKE_COMMAND} -D "OUTPUT=${output}" -D "TEMPLATE=${template}"
            -D "DIRECTORY=${directory}" -D "LIST=${list}"
            -P "${CMAKE_CURRENT_FUNCTION_LIST_FILE}"
    DEPENDS ${files} "${list}" "${template}"
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
  file(READ "${DIRECTORY}/${name}" bytes HEX)
  file(SIZE "${DIRECTORY}/${name}" size)
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
