# Kernels of the user's own: expressions, CUDA C.
set(here ${CMAKE_CURRENT_SOURCE_DIR})
mars_test(kernel_expression_test ${here}/kernel_expression_test.cc)
target_link_libraries(kernel_expression_test PRIVATE api_support)
set_tests_properties(kernel_expression_test PROPERTIES LABELS api)
mars_test(kernel_raw_test ${here}/kernel_raw_test.cc)
target_link_libraries(kernel_raw_test PRIVATE api_support)
set_tests_properties(kernel_raw_test PROPERTIES TIMEOUT 300 LABELS "api;devices" ENVIRONMENT
  "MARS_SIMGPU_DEVICES=2;MARS_SIMGPU_BYTES=256M;MARS_CUDA_LIBRARY_PATH=${CMAKE_BINARY_DIR}/simgpu;MARS_CACHE_DIR=${CMAKE_BINARY_DIR}/kernels")
if(MARS_HAS_SIMGPU)
  # the same programs as PTX, on a simulated GPU
  add_test(NAME kernel_expression_on_simgpu COMMAND kernel_expression_test)
  set_tests_properties(kernel_expression_on_simgpu PROPERTIES TIMEOUT 600 LABELS "api;devices;release" ENVIRONMENT
    "MARS_TEST_DEVICES=cuda:0;MARS_SIMGPU_BYTES=512M;MARS_CUDA_LIBRARY_PATH=${CMAKE_BINARY_DIR}/simgpu;MARS_CACHE_DIR=${CMAKE_BINARY_DIR}/kernels")
endif()
