# The suites of the whole library on simulated GPUs: every session on one, two or four devices, or on two with a host that helps.
# Each device has so little memory that the suites' arrays come and go. A regular run takes a part of every suite: each
# STRIDE-th case from PICK on, always the same ones. run_matrix.sh takes all of them, on all lists, in units that this file lists for it.
set(gpu_env "MARS_CUDA_LIBRARY_PATH=${SIMGPU_DIR}" "MARS_CACHE_DIR=${CMAKE_BINARY_DIR}/kernels" MARS_SIMGPU_BYTES=64M)
set(gpu_one cuda:0)
set(gpu_two cuda:0,cuda:1)
set(gpu_four cuda:0,cuda:1,cuda:2,cuda:3)
set(gpu_mixed cuda:0,cuda:1,host)
set(gpu_count_one 1)
set(gpu_count_two 2)
set(gpu_count_four 4)
set(gpu_count_mixed 2)

# gpu_test(name program list BYTES LABELS VARIABLES..): one entry of CTest
function(gpu_test name program list bytes labels)
  add_test(NAME ${name} COMMAND ${program})
  set_tests_properties(${name} PROPERTIES TIMEOUT 1800 LABELS "${labels}" ENVIRONMENT
    "${gpu_env};MARS_TEST_DEVICES=${gpu_${list}};MARS_SIMGPU_DEVICES=${gpu_count_${list}};MARS_TEST_DEVICE_BYTES=${bytes};${ARGN}")
endfunction()

# gpu_suite(suite BYTES n STRIDE n PICK n SHARDS n LISTS one two .. [LATE four ..]): STRIDE, PICK and LISTS of the regular run. On the lists
# of LATE work on streams begins late by random times, so that a wait that is missing shows: two or three times as long, so few of
# them. The whole suite is SHARDS units on each list, a line each in gpu_units.txt: name program devices count bytes shards shard
# seed. Every 15th unit has such delays.
set(gpu_units)
set(gpu_n 0)
function(gpu_suite suite)
  cmake_parse_arguments(g "" "BYTES;STRIDE;PICK;SHARDS" "LISTS;LATE" ${ARGN})
  set(before)
  foreach(list ${g_LISTS})
    set(name ${suite}_on_gpu_${list})
    set(late)
    if(list IN_LIST g_LATE)
      set(late MARS_SIMGPU_SEED=7)
    endif()
    gpu_test(${name} ${suite}_test ${list} ${g_BYTES} "api;devices;release" MARS_TEST_QUICK=1 GTEST_TOTAL_SHARDS=${g_STRIDE} GTEST_SHARD_INDEX=${g_PICK}
             ${late})
    # the lists' kernels are the same: one after another, so that each is compiled once
    if(before)
      set_tests_properties(${name} PROPERTIES DEPENDS "${before}")
    endif()
    set(before ${name})
  endforeach()
  math(EXPR last "${g_SHARDS} - 1")
  foreach(list one two four mixed)
    foreach(shard RANGE ${last})
      string(APPEND gpu_units "${suite}.${list}.${shard} ${suite}_test ${gpu_${list}} ${gpu_count_${list}} ${g_BYTES} ${g_SHARDS} ${shard}")
      math(EXPR gpu_n "${gpu_n} + 1")
      math(EXPR rest "${gpu_n} % 15")
      if(rest EQUAL 0)
        string(APPEND gpu_units " ${gpu_n}\n")
      else()
        string(APPEND gpu_units " 0\n")
      endif()
    endforeach()
  endforeach()
  set(gpu_units "${gpu_units}" PARENT_SCOPE)
  set(gpu_n ${gpu_n} PARENT_SCOPE)
endfunction()

if(TARGET simgpu_cuda AND MARS_HAS_CUDA)
  # Elementwise arrays have some 10 KiB, matrices some 100.
  gpu_suite(api_ops BYTES 32768 STRIDE 131 PICK 5 SHARDS 40 LISTS one two four mixed)
  gpu_suite(api_types BYTES 32768 STRIDE 4 PICK 0 SHARDS 2 LISTS two mixed)
  gpu_suite(api_views BYTES 32768 STRIDE 5 PICK 1 SHARDS 2 LISTS four mixed)
  gpu_suite(api_reduce BYTES 32768 STRIDE 197 PICK 7 SHARDS 40 LISTS one two four mixed)
  gpu_suite(api_random BYTES 32768 STRIDE 7 PICK 1 SHARDS 2 LISTS one two four mixed)
  gpu_suite(api_graph BYTES 262144 STRIDE 8 PICK 7 SHARDS 4 LISTS two mixed)
  gpu_suite(api_outofcore BYTES 262144 STRIDE 13 PICK 9 SHARDS 4 LISTS two mixed)
  gpu_suite(api_async BYTES 262144 STRIDE 4 PICK 0 SHARDS 2 LISTS four mixed LATE four mixed)
  gpu_suite(api_faults BYTES 262144 STRIDE 3 PICK 1 SHARDS 1 LISTS two)
  gpu_suite(linalg_product BYTES 1048576 STRIDE 11 PICK 0 SHARDS 4 LISTS two mixed)
  gpu_suite(linalg_symmetric BYTES 1048576 STRIDE 19 PICK 3 SHARDS 3 LISTS one mixed LATE mixed)
  gpu_suite(linalg_einsum BYTES 1048576 STRIDE 10 PICK 6 SHARDS 8 LISTS two)
  gpu_suite(linalg_parts BYTES 1048576 STRIDE 12 PICK 1 SHARDS 4 LISTS mixed LATE mixed)
  gpu_suite(linalg_dense BYTES 1048576 STRIDE 5 PICK 0 SHARDS 4 LISTS two mixed LATE mixed)
  gpu_suite(linalg_norms BYTES 1048576 STRIDE 7 PICK 3 SHARDS 3 LISTS four LATE four)
  gpu_suite(linalg_solve BYTES 1048576 STRIDE 5 PICK 0 SHARDS 4 LISTS two mixed LATE mixed)
  gpu_suite(linalg_tall BYTES 1048576 STRIDE 5 PICK 0 SHARDS 3 LISTS four mixed LATE four mixed)
  file(GENERATE OUTPUT ${CMAKE_BINARY_DIR}/gpu_units.txt CONTENT "${gpu_units}")
  add_test(NAME run_matrix_test COMMAND ${CMAKE_CURRENT_SOURCE_DIR}/simgpu/run_matrix_test.sh)
  add_test(NAME compile_matrix_test COMMAND ${CMAKE_CURRENT_SOURCE_DIR}/gpu/compile_matrix_test.sh)
  set_tests_properties(run_matrix_test compile_matrix_test PROPERTIES LABELS "devices;release")

  # Every factorisation and its errors, which a part of the suites may miss; and all copies between devices by NCCL.
  function(gpu_cases name program list links cases)
    gpu_test(${name} ${program} ${list} 4194304 "api;devices;release" MARS_TEST_QUICK=1 MARS_SIMGPU_LINKS=${links} GTEST_FILTER=${cases})
  endfunction()
  gpu_cases(linalg_solve_factors_on_gpu_two linalg_solve_test two pcie
    *Sizes.Lu/f64:*Sizes.SolveAndInverse/f64:*Sizes.Determinant/f64:*.EveryRoutine:*.RowOrderIsKeptBesideLu:LinalgDeterminants.*)
  gpu_cases(linalg_errors_on_gpu_two linalg_solve_errors_test two pcie LinalgErrors.NumericOnesNameThePlace)
  gpu_cases(linalg_dense_factors_on_gpu_two linalg_dense_test two pcie Dense/1.*:DenseEigh.*:DenseSvd.*:DenseOrder.*)
  gpu_cases(linalg_tall_factors_on_gpu_two linalg_tall_test two pcie
    Tall.ConditionChoosesTheMethod:Tall.Batches:Tall.NotANumber:Tall.ExtremeScales:Tall.OneAfterAnother)
  gpu_cases(linalg_on_unlinked_gpu_four linalg_dense_test four none Dense/1.QrOfShapes:DenseQr.*:Dense/1.EighFindsKnownSpectra)

  if(TARGET mars-bench)
    add_executable(bench_devices_test ${CMAKE_CURRENT_SOURCE_DIR}/bench_devices_test.cc)
    add_dependencies(bench_devices_test mars-bench simgpu)
    target_compile_definitions(bench_devices_test PRIVATE MARS_BENCH_BINARY="$<TARGET_FILE:mars-bench>")
    target_link_libraries(bench_devices_test PRIVATE api_support GTest::gtest_main)
    add_test(NAME bench_devices_test COMMAND bench_devices_test)
    set_tests_properties(bench_devices_test PROPERTIES TIMEOUT 300 LABELS "devices;release" ENVIRONMENT
                         "${gpu_env};MARS_SIMGPU_DEVICES=2")
    add_test(NAME bench_devices_without_nvrtc COMMAND bench_devices_test)
    set_tests_properties(bench_devices_without_nvrtc PROPERTIES LABELS devices ENVIRONMENT "MARS_CUDA_LIBRARY_PATH=${CMAKE_BINARY_DIR}/simgpu:!"
                         PASS_REGULAR_EXPRESSION "libnvrtc is missing.*PASSED  . 0 tests" FAIL_REGULAR_EXPRESSION "FAILED")
  endif()
endif()
