mars_test(linalg_tall_test ${CMAKE_CURRENT_SOURCE_DIR}/linalg_tall_test.cc)
target_link_libraries(linalg_tall_test PRIVATE api_support)
target_compile_options(linalg_tall_test PRIVATE -ffp-contract=off)
set_tests_properties(linalg_tall_test PROPERTIES TIMEOUT 600 LABELS api)
