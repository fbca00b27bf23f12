# Side by side with other software: DLPack, the caller's streams and contexts.
set(here ${CMAKE_CURRENT_SOURCE_DIR})
if(MARS_HAS_CUDA)
  mars_test(interop_test ${here}/interop_test.cc ${here}/cuda_sim.c)
  target_include_directories(interop_test SYSTEM PRIVATE ${MARS_CUDA_INCLUDES})
  target_link_libraries(interop_test PRIVATE api_support ${CMAKE_DL_LIBS})
  if(EXISTS ${here}/simgpu/simgpu.h)
    target_compile_definitions(interop_test PRIVATE TESTS_SIMGPU)
  endif()
  # streams begin late by random times, so that a wait that is missing shows
  set_tests_properties(interop_test PROPERTIES TIMEOUT 300 LABELS "api;devices" ENVIRONMENT
    "MARS_SIMGPU_BYTES=256M;MARS_SIMGPU_SEED=7;MARS_CUDA_LIBRARY_PATH=${CMAKE_BINARY_DIR}/simgpu;MARS_CACHE_DIR=${CMAKE_BINARY_DIR}/kernels")
endif()
