# What `cmake --install` puts where: program, both libraries, headers, pkg-config, CMake package, man page.
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)

set(package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/lcm)
install(TARGETS lcm lcm_static lcm_shared)
install(DIRECTORY include/lcm DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
install(FILES docs/man/lcm.1 DESTINATION ${CMAKE_INSTALL_MANDIR}/man1)

configure_file(cmake/lcm.pc.in lcm.pc @ONLY)
install(FILES ${CMAKE_BINARY_DIR}/lcm.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)

# The package names the shared library only: it brings its own dependencies along.
configure_package_config_file(cmake/lcm-config.cmake.in lcm-config.cmake INSTALL_DESTINATION ${package_dir}
  PATH_VARS CMAKE_INSTALL_INCLUDEDIR CMAKE_INSTALL_LIBDIR)
write_basic_package_version_file(lcm-config-version.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${CMAKE_BINARY_DIR}/lcm-config.cmake ${CMAKE_BINARY_DIR}/lcm-config-version.cmake
  DESTINATION ${package_dir})
