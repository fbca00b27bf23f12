# Oracles that do not know the engine, for every test that compares values.
set(here ${CMAKE_CURRENT_SOURCE_DIR})
add_library(test_oracle STATIC ${here}/oracle.cc ${here}/oracle_ops.cc ${here}/oracle_functions.cc
            ${here}/oracle_reduce.cc ${here}/oracle_misc.cc)
add_dependencies(test_oracle mars_ops_header)
# its float and double arithmetic is its definition: no contraction to fused multiply-add
target_compile_options(test_oracle PRIVATE -ffp-contract=off ${TESTS_FAST})

# Tests of the whole library through the public API.
add_library(api_support STATIC ${here}/api_util.cc ${here}/api_input.cc ${here}/shim.c ${here}/fake_device.c
            ${here}/cuda_sim.c)
target_compile_definitions(api_support PRIVATE TESTS_SIMGPU)
add_dependencies(api_support mars_ops_header)
target_compile_options(api_support PRIVATE $<$<COMPILE_LANGUAGE:CXX>:${TESTS_FAST}>)
target_link_libraries(api_support PUBLIC test_oracle mars_core GTest::gtest)

foreach(area ops reduce types views graph random outofcore memory errors faults async)
  mars_test(api_${area}_test ${here}/api_${area}_test.cc)
  target_link_libraries(api_${area}_test PRIVATE api_support)
  target_compile_options(api_${area}_test PRIVATE -ffp-contract=off)
  set_tests_properties(api_${area}_test PROPERTIES TIMEOUT 600 LABELS api)
endforeach()
# the kernels that every machine has
add_test(NAME api_ops_baseline_test COMMAND api_ops_test)
set_tests_properties(api_ops_baseline_test PROPERTIES TIMEOUT 600 LABELS api ENVIRONMENT "MARS_ISA=baseline;MARS_TEST_QUICK=1")
# what ThreadSanitizer is for: threads of the caller, of the session and of the store at once
foreach(area async outofcore faults)
  set_tests_properties(api_${area}_test PROPERTIES LABELS "api;tsan")
endforeach()
# one measures its own memory, one fills file systems
set_tests_properties(api_memory_test api_errors_test PROPERTIES RUN_SERIAL ON)

# A user's program, in C, against the shared library.
add_executable(alt_c_program ${here}/alt_c_program.c)
add_dependencies(alt_c_program mars_ops_header)
target_link_libraries(alt_c_program PRIVATE mars m)
add_test(NAME alt_c_program COMMAND alt_c_program)
set_tests_properties(alt_c_program PROPERTIES LABELS api PASS_REGULAR_EXPRESSION
                     "400000 rows, 3 columns.*column 0: mean 49.500000 std 28.866070.*column 1: mean 5.250000 std 0.250000.*column 2: mean 1.995000 std 2.886750.*all columns standardised")
