# What `cmake --install` puts where, and how others find it.

install(TARGETS astrum EXPORT astrum
        ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR}
        LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(FILES core/include/astrum.h TYPE INCLUDE)

set(package "${CMAKE_INSTALL_LIBDIR}/cmake/astrum")
install(EXPORT astrum NAMESPACE astrum:: FILE astrumTargets.cmake
        DESTINATION ${package})
configure_package_config_file(
  cmake/astrumConfig.cmake.in "${PROJECT_BINARY_DIR}/astrumConfig.cmake"
  INSTALL_DESTINATION ${package})
write_basic_package_version_file(
  "${PROJECT_BINARY_DIR}/astrumConfigVersion.cmake"
  COMPATIBILITY SameMinorVersion)
install(FILES "${PROJECT_BINARY_DIR}/astrumConfig.cmake"
              "${PROJECT_BINARY_DIR}/astrumConfigVersion.cmake"
        DESTINATION ${package})

# astrum.pc finds the rest from where it is, so the folder may be moved.
file(RELATIVE_PATH ASTRUM_PC_UP "/${CMAKE_INSTALL_LIBDIR}/pkgconfig" "/")
string(REGEX REPLACE "/$" "" ASTRUM_PC_UP "${ASTRUM_PC_UP}")
# A static library needs libuv named to everyone who links it.
set(ASTRUM_REQUIRES "Requires")
if(BUILD_SHARED_LIBS)
  set(ASTRUM_REQUIRES "Requires.private")
endif()
configure_file(cmake/astrum.pc.in "${PROJECT_BINARY_DIR}/astrum.pc" @ONLY)
install(FILES "${PROJECT_BINARY_DIR}/astrum.pc"
        DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)

if(ASTRUM_BUILD_LUA)
  install(TARGETS astrum_module LIBRARY DESTINATION ${ASTRUM_LUA_CDIR}/astrum)
  install(DIRECTORY lua/astrum DESTINATION ${ASTRUM_LUA_LDIR}
          FILES_MATCHING PATTERN "*.lua")
  install(TARGETS astrum-lua RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
  install(FILES "${ASTRUM_COMPLETIONS}/bash" RENAME astrum-lua
          DESTINATION ${CMAKE_INSTALL_DATADIR}/bash-completion/completions)
  install(FILES "${ASTRUM_COMPLETIONS}/zsh" RENAME _astrum-lua
          DESTINATION ${CMAKE_INSTALL_DATADIR}/zsh/site-functions)
  install(FILES "${ASTRUM_COMPLETIONS}/fish" RENAME astrum-lua.fish
          DESTINATION ${CMAKE_INSTALL_DATADIR}/fish/vendor_completions.d)
  install(FILES docs/astrum-lua.1 DESTINATION ${CMAKE_INSTALL_MANDIR}/man1)
endif()
