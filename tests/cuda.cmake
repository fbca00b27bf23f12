if(MARS_HAS_CUDA)
  add_library(cuda_shim STATIC ${CMAKE_CURRENT_LIST_DIR}/cuda_shim.c ${CMAKE_CURRENT_LIST_DIR}/vm_shim.c
              ${CMAKE_CURRENT_LIST_DIR}/vm_stage.c ${CMAKE_CURRENT_LIST_DIR}/cuda_sim.c ${CMAKE_CURRENT_LIST_DIR}/cuda_traffic.c)
  target_include_directories(cuda_shim SYSTEM PRIVATE ${MARS_CUDA_INCLUDES})
  add_dependencies(cuda_shim mars_ops_header)
  if(EXISTS ${CMAKE_CURRENT_LIST_DIR}/simgpu/simgpu.h)
    target_compile_definitions(cuda_shim PRIVATE TESTS_SIMGPU)
  endif()
  mars_test(cuda_text_test ${CMAKE_CURRENT_LIST_DIR}/cuda_text_test.cc)
  target_link_libraries(cuda_text_test PRIVATE cuda_shim mars_core)

  # The host device's own tests, run by the CUDA device: every program against the oracle.
  add_executable(cuda_vm_test ${CMAKE_CURRENT_LIST_DIR}/vm_test.cc ${CMAKE_CURRENT_LIST_DIR}/vm_reduce_test.cc
                 ${CMAKE_CURRENT_LIST_DIR}/vm_scan_test.cc ${CMAKE_CURRENT_LIST_DIR}/vm_util.cc
                 ${CMAKE_CURRENT_LIST_DIR}/cuda_ops_test.cc ${CMAKE_CURRENT_LIST_DIR}/cuda_traffic_test.cc
                 ${CMAKE_CURRENT_LIST_DIR}/cuda_turn_test.cc
                 ${CMAKE_CURRENT_LIST_DIR}/loops_shim.c)
  target_compile_definitions(cuda_vm_test PRIVATE VM_CUDA)
  set_target_properties(cuda_vm_test PROPERTIES TESTS_RELEASE_ONLY ON)
  # in parts, as each compiles some hundred kernels; a driver is looked for among the stand-ins first
  foreach(part VmPoints*:VmPieces*:VmDevice*:VmScan* VmReduce* *EveryRow* CudaRandom*:*CudaOps* *Traffic*:*CudaTurn*)
    string(MAKE_C_IDENTIFIER "cuda_vm_test_${part}" name)
    add_test(NAME ${name} COMMAND cuda_vm_test --gtest_filter=${part})
    list(APPEND cuda_tests ${name})
  endforeach()
  target_link_libraries(cuda_vm_test PRIVATE cuda_shim mars_core test_oracle GTest::gtest GTest::gtest_main)
  mars_test(cuda_device_test ${CMAKE_CURRENT_LIST_DIR}/cuda_device_test.cc ${CMAKE_CURRENT_LIST_DIR}/cuda_tile_shim.c)
  target_link_libraries(cuda_device_test PRIVATE cuda_shim mars_core)
  mars_test(cuda_fault_test ${CMAKE_CURRENT_LIST_DIR}/cuda_fault_test.cc)
  target_link_libraries(cuda_fault_test PRIVATE cuda_shim api_support)
  # What a device reaches, for tests/gpu/run_on_gpu.sh.
  add_executable(gpu_measure ${CMAKE_CURRENT_LIST_DIR}/gpu/measure.c ${CMAKE_CURRENT_LIST_DIR}/gpu/cases.c)
  target_include_directories(gpu_measure SYSTEM PRIVATE ${MARS_CUDA_INCLUDES})
  target_link_libraries(gpu_measure PRIVATE cuda_shim mars_core OpenMP::OpenMP_C m)
  add_dependencies(gpu_measure mars_ops_header)
  # The arena's slab against pools of the driver, for the same script.
  add_executable(gpu_pools ${CMAKE_CURRENT_LIST_DIR}/gpu/pools.c)
  target_include_directories(gpu_pools SYSTEM PRIVATE ${MARS_CUDA_INCLUDES})
  target_link_libraries(gpu_pools PRIVATE cuda_shim mars_core ${CMAKE_DL_LIBS})
  add_dependencies(gpu_pools mars_ops_header)
  add_test(NAME gpu_pools COMMAND gpu_pools)
  set_tests_properties(gpu_pools PROPERTIES SKIP_RETURN_CODE 77)
  list(APPEND cuda_tests gpu_pools)

  if(MARS_HAS_SIMGPU AND TARGET mars_command AND TARGET mars-bench)
    # the script for machines with GPUs, on the simulated platform: a proof of the script
    add_test(NAME gpu_script_test COMMAND ${CMAKE_CURRENT_LIST_DIR}/gpu/run_on_gpu_test.sh)
    add_test(NAME gpu_script_on_simgpu COMMAND ${CMAKE_CURRENT_LIST_DIR}/gpu/run_on_gpu_test.sh ${CMAKE_BINARY_DIR})
    set_tests_properties(gpu_script_test gpu_script_on_simgpu PROPERTIES LABELS "release;gpu" TIMEOUT 600)
    set_tests_properties(gpu_script_on_simgpu PROPERTIES SKIP_RETURN_CODE 77)
  endif()

  # The kernels of a suite for every architecture. Of all suites: tests/gpu/compile_matrix.sh.
  mars_test(cuda_matrix_test ${CMAKE_CURRENT_LIST_DIR}/cuda_matrix_test.cc)
  target_link_libraries(cuda_matrix_test PRIVATE cuda_shim mars_core)
  set(sources ${CMAKE_BINARY_DIR}/kernel_sources)
  add_test(NAME cuda_matrix_sources COMMAND ${CMAKE_COMMAND} -E env MARS_KERNEL_SOURCES=${sources} $<TARGET_FILE:cuda_fault_test>
           --gtest_filter=*WithoutMemory*)
  file(MAKE_DIRECTORY ${sources})
  set_tests_properties(cuda_matrix_sources PROPERTIES FIXTURES_SETUP cuda_sources)
  set_tests_properties(cuda_matrix_test PROPERTIES FIXTURES_REQUIRED cuda_sources)
  list(APPEND cuda_tests cuda_matrix_sources cuda_matrix_test)
  if(MARS_INCLUDE_nvtx)
    # a tool that NVTX loads, and what it sees
    add_library(nvtx_tool MODULE ${CMAKE_CURRENT_LIST_DIR}/nvtx_tool.c)
    target_include_directories(nvtx_tool SYSTEM PRIVATE ${MARS_INCLUDE_nvtx})
    target_link_libraries(nvtx_tool PRIVATE Threads::Threads)
    mars_test(nvtx_test ${CMAKE_CURRENT_LIST_DIR}/nvtx_test.cc)
    target_link_libraries(nvtx_test PRIVATE cuda_shim api_support)
    target_compile_definitions(nvtx_test PRIVATE NVTX_TOOL="$<TARGET_FILE:nvtx_tool>")
    add_dependencies(nvtx_test nvtx_tool)
    add_test(NAME nvtx_test_without_a_tool COMMAND nvtx_test --gtest_filter=WithoutATool.*)
    list(APPEND nvtx_tests nvtx_test nvtx_test_without_a_tool)
  endif()
  mars_test(cuda_factor_test ${CMAKE_CURRENT_LIST_DIR}/cuda_factor_test.cc ${CMAKE_CURRENT_LIST_DIR}/cuda_tile_shim.c)
  target_link_libraries(cuda_factor_test PRIVATE cuda_shim mars_core)
  mars_test(cuda_clique_test ${CMAKE_CURRENT_LIST_DIR}/cuda_clique_test.cc ${CMAKE_CURRENT_LIST_DIR}/cuda_tile_shim.c)
  target_link_libraries(cuda_clique_test PRIVATE cuda_shim mars_core)
  # some hundred kernels each through NVRTC, which no sanitizer looks into
  set_tests_properties(${cuda_tests} cuda_text_test PROPERTIES LABELS release TIMEOUT 900)
  set_tests_properties(${cuda_tests} cuda_device_test cuda_factor_test cuda_clique_test cuda_fault_test ${nvtx_tests} PROPERTIES
                       ENVIRONMENT "MARS_CUDA_LIBRARY_PATH=${CMAKE_BINARY_DIR}/simgpu;MARS_CACHE_DIR=${CMAKE_BINARY_DIR}/kernels")

  set_property(TEST cuda_matrix_test APPEND PROPERTY ENVIRONMENT MARS_KERNEL_SOURCES=${sources})
endif()
