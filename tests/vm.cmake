set_source_files_properties(${CMAKE_CURRENT_LIST_DIR}/vm_util.cc PROPERTIES COMPILE_OPTIONS ${TESTS_FAST}) # and for the CUDA device
mars_test(vm_test ${CMAKE_CURRENT_LIST_DIR}/vm_test.cc ${CMAKE_CURRENT_LIST_DIR}/vm_reduce_test.cc
          ${CMAKE_CURRENT_LIST_DIR}/vm_scan_test.cc ${CMAKE_CURRENT_LIST_DIR}/vm_rows_test.cc
          ${CMAKE_CURRENT_LIST_DIR}/vm_util.cc
          ${CMAKE_CURRENT_LIST_DIR}/vm_shim.c ${CMAKE_CURRENT_LIST_DIR}/vm_stage.c)
target_link_libraries(vm_test PRIVATE test_oracle) # api.cmake
