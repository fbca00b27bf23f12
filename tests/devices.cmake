# Devices with memory of their own: plans, movement, faults, on fake ones.
set(here ${CMAKE_CURRENT_SOURCE_DIR})
mars_test(devices_join_test ${here}/devices_join_test.cc ${here}/plan_shim.c)
target_link_libraries(devices_join_test PRIVATE api_support)
set_tests_properties(devices_join_test PROPERTIES TIMEOUT 600 LABELS "api;tsan")
mars_test(devices_test ${here}/devices_test.cc ${here}/plan_shim.c)
target_link_libraries(devices_test PRIVATE api_support)
set_tests_properties(devices_test PROPERTIES TIMEOUT 600 LABELS "api;tsan")

# The suites of the whole library once more, every session on two devices of 1 MiB, mostly with a host that helps.
function(devices_suite devices suite)
  add_test(NAME ${suite}_on_devices COMMAND ${suite}_test)
  set_tests_properties(${suite}_on_devices PROPERTIES TIMEOUT 600 LABELS "api;devices;release" ENVIRONMENT
                       "MARS_TEST_DEVICES=${devices};MARS_TEST_QUICK=1")
endfunction()
foreach(suite api_ops api_types api_views api_graph api_random api_faults api_async linalg_product linalg_solve linalg_dense
        linalg_tall)
  devices_suite("fake:0,fake:1,host" ${suite})
endforeach()
foreach(suite api_reduce api_outofcore)
  devices_suite("fake:0,fake:1" ${suite})
endforeach()

# What the whole suites on simulated GPUs have found: a plan whose chunks changed places for ever, and one that the validator took
# for wrong, as chunks of less than a page had all of it.
function(devices_case name suite devices bytes cases)
  add_test(NAME ${name} COMMAND ${suite}_test --gtest_filter=${cases})
  set_tests_properties(${name} PROPERTIES TIMEOUT 120 LABELS "api;devices;release" ENVIRONMENT
                       "MARS_TEST_DEVICES=${devices};MARS_TEST_DEVICE_BYTES=${bytes};MARS_TEST_REFUSE_EVERY=0")
endfunction()
devices_case(api_graph_copied_down_ahead api_graph fake:0 262144 Seeds/LargeGraphs.MatchTheNaiveEvaluatorOutOfCore/0)
devices_case(linalg_product_below_a_page linalg_product fake:0,fake:1,fake:2,fake:3 1048576 Dtype/Matmul.EveryOrigin/c128)
