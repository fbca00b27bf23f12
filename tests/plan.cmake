mars_test(plan_test ${CMAKE_CURRENT_SOURCE_DIR}/plan_test.cc ${CMAKE_CURRENT_SOURCE_DIR}/plan_shim.c ${CMAKE_CURRENT_SOURCE_DIR}/shim.c)
