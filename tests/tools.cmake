# The command-line tool: its modules over a stand-in for libmars, the command itself, an installed tree, the layering.
if(TARGET mars_tool)
  add_executable(tools_test tools_parse_test.cc tools_eval_test.cc tools_format_test.cc tools_shim.c tools_fake.c)
  add_dependencies(tools_test mars_ops_header)
  target_link_libraries(tools_test PRIVATE mars_tool GTest::gtest GTest::gtest_main)
  add_test(NAME tools_test COMMAND tools_test)

  add_executable(tools_cli_test tools_cli_test.cc)
  add_dependencies(tools_cli_test mars_command ten_lines)
  target_compile_definitions(tools_cli_test PRIVATE MARS_COMMAND="$<TARGET_FILE:mars_command>"
                             MARS_TEN_LINES="$<TARGET_FILE:ten_lines>" MARS_SOURCE="${CMAKE_SOURCE_DIR}")
  target_link_libraries(tools_cli_test PRIVATE GTest::gtest GTest::gtest_main)
  if(MARS_HAS_SIMGPU)
    target_compile_definitions(tools_cli_test PRIVATE MARS_SIMGPU_DIR="${CMAKE_BINARY_DIR}/simgpu")
  endif()
  add_test(NAME tools_cli_test COMMAND tools_cli_test)
  set_tests_properties(tools_cli_test PROPERTIES TIMEOUT 300)

  # A sanitized library would want its consumers sanitized, too.
  if(NOT MARS_SANITIZE)
    add_test(NAME installed_tree
             COMMAND ${CMAKE_SOURCE_DIR}/tests/consumer/check ${CMAKE_BINARY_DIR} ${CMAKE_C_COMPILER} ${CMAKE_CXX_COMPILER})
  endif()
endif()

add_test(NAME check_includes COMMAND ${CMAKE_SOURCE_DIR}/tools/check_includes)
add_test(NAME setup_cuda_test COMMAND ${CMAKE_SOURCE_DIR}/tests/setup_cuda_test.sh ${CMAKE_SOURCE_DIR})
set_tests_properties(setup_cuda_test PROPERTIES LABELS release TIMEOUT 300 SKIP_RETURN_CODE 77)
