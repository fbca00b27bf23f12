mars_test(loops_test loops_test.cc loops_cast_test.cc loops_shim.c)
mars_test(random_test random_test.cc loops_shim.c)
target_link_libraries(loops_test PRIVATE test_oracle) # api.cmake
target_link_libraries(random_test PRIVATE test_oracle)
