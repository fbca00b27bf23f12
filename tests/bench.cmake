# mars-bench: what its JSON holds, and that its hand-written competitors compute the right thing.
if(TARGET mars-bench)
  add_executable(bench_test ${CMAKE_CURRENT_LIST_DIR}/bench_test.cc)
  add_dependencies(bench_test mars-bench)
  target_compile_definitions(bench_test PRIVATE MARS_BENCH_BINARY="$<TARGET_FILE:mars-bench>")
  target_link_libraries(bench_test PRIVATE GTest::gtest GTest::gtest_main)
  add_test(NAME bench_test COMMAND bench_test)

  add_executable(bench_hand_test ${CMAKE_CURRENT_LIST_DIR}/bench_hand_test.cc)
  target_link_libraries(bench_hand_test PRIVATE bench_hand GTest::gtest GTest::gtest_main)
  add_test(NAME bench_hand_test COMMAND bench_hand_test)
endif()
