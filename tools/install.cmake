# Installation: library, headers, command, find_package(mars) and mars.pc.
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)

target_include_directories(mars INTERFACE $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)
install(TARGETS mars EXPORT marsTargets LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(DIRECTORY ${CMAKE_SOURCE_DIR}/include/mars DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
install(FILES ${MARS_OPS_H} DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/mars)

# The installed command finds the library beside it, wherever the tree is moved to.
file(RELATIVE_PATH to_lib ${CMAKE_INSTALL_FULL_BINDIR} ${CMAKE_INSTALL_FULL_LIBDIR})
set_target_properties(mars_command PROPERTIES INSTALL_RPATH "$ORIGIN/${to_lib}")
install(TARGETS mars_command RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})

set(package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/mars)
install(EXPORT marsTargets NAMESPACE mars:: DESTINATION ${package_dir})
configure_package_config_file(${CMAKE_CURRENT_SOURCE_DIR}/cmake/marsConfig.cmake.in
                              ${CMAKE_CURRENT_BINARY_DIR}/marsConfig.cmake INSTALL_DESTINATION ${package_dir})
write_basic_package_version_file(${CMAKE_CURRENT_BINARY_DIR}/marsConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/marsConfig.cmake ${CMAKE_CURRENT_BINARY_DIR}/marsConfigVersion.cmake
        DESTINATION ${package_dir})

# pkg-config works from where the file lies, so that an installed tree can be moved.
file(RELATIVE_PATH MARS_PC_PREFIX ${CMAKE_INSTALL_FULL_LIBDIR}/pkgconfig ${CMAKE_INSTALL_PREFIX})
configure_file(${CMAKE_CURRENT_SOURCE_DIR}/cmake/mars.pc.in ${CMAKE_CURRENT_BINARY_DIR}/mars.pc @ONLY)
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/mars.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
