# The command-line tool: its modules over a stand-in for libmars, the command itself, an installed tree, the layering.
if(TARGET mars_tool)
  add_executable(tools_test tools_parse_test.cc tools_eval_test.cc tools_format_test.cc tools_shim.c tools_fake.c)
  add_dependencies(tools_test mars_ops_header)
  target_link_libraries(tools_test PRIVATE mars_tool GTest::gtest GTest::gtest_main)
  add_test(NAME tools_test COMMAND tools_test)
endif()

add_test(NAME check_includes COMMAND ${CMAKE_SOURCE_DIR}/tools/check_includes)
