# Side by side with other software: DLPack, the caller's streams and contexts.
set(here ${CMAKE_CURRENT_SOURCE_DIR})
if(MARS_HAS_CUDA)
  mars_test(interop_test ${here}/interop_test.cc ${here}/interop_cuda_test.cc ${here}/interop_cuda_copies_test.cc ${here}/cuda_sim.c)
  target_include_directories(interop_test SYSTEM PRIVATE ${MARS_CUDA_INCLUDES})
  target_link_libraries(interop_test PRIVATE api_support ${CMAKE_DL_LIBS})
  if(EXISTS ${here}/simgpu/simgpu.h)
    target_compile_definitions(interop_test PRIVATE TESTS_SIMGPU)
  endif()
  # memory that nobody touches takes none of the host's; streams begin late by random times, so that a wait that is missing shows
  set_tests_properties(interop_test PROPERTIES TIMEOUT 300 LABELS "api;devices" ENVIRONMENT
    "MARS_SIMGPU_BYTES=8G;MARS_SIMGPU_SEED=7;MARS_CUDA_LIBRARY_PATH=${CMAKE_BINARY_DIR}/simgpu;MARS_CACHE_DIR=${CMAKE_BINARY_DIR}/kernels")
endif()

# A user's program, in C, against the shared library.
add_executable(alt_dlpack_program ${here}/alt_dlpack_program.c)
add_dependencies(alt_dlpack_program mars_ops_header)
target_link_libraries(alt_dlpack_program PRIVATE mars m)
add_test(NAME alt_dlpack_program COMMAND alt_dlpack_program host)
set_tests_properties(alt_dlpack_program PROPERTIES LABELS api PASS_REGULAR_EXPRESSION
                     "480 x 640 bytes on host, device type 1.*corners 0 255.*mean 175.88.*lent 0 times")
if(MARS_HAS_SIMGPU)
  # what the platform's checks find, and what was not given back, is said among the output
  add_test(NAME alt_dlpack_program_on_simgpu COMMAND alt_dlpack_program cuda:0)
  set_tests_properties(alt_dlpack_program_on_simgpu PROPERTIES LABELS "api;devices" PASS_REGULAR_EXPRESSION
                       "480 x 640 bytes on cuda:0, device type 2.*mean 175.88.*lent 0 times"
                       FAIL_REGULAR_EXPRESSION "failed check: ;leak at exit: " ENVIRONMENT
    "MARS_SIMGPU_REPORT=/dev/stderr;MARS_SIMGPU_BYTES=256M;MARS_CUDA_LIBRARY_PATH=${CMAKE_BINARY_DIR}/simgpu;MARS_CACHE_DIR=${CMAKE_BINARY_DIR}/kernels")
endif()
